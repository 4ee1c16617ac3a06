//! What checking signatures costs on one core, in turns: each signature by itself; batches with `k256`'s own linear
//! combination; the ledger's batches, and those with one bad signature in them. All read keys and hash what is signed,
//! as they would in earnest.

use crate::report::{Goal, Report, median};
use k256::elliptic_curve::ops::{LinearCombination, Reduce};
use k256::elliptic_curve::point::DecompressPoint;
use k256::elliptic_curve::{PrimeField, subtle::Choice};
use k256::{AffinePoint, FieldBytes, ProjectivePoint, Scalar};
use sealpost_ledger::signature::{Signed, SigningKey, verify_batch};
use sha2::{Digest, Sha256};
use std::time::Instant;

/// Measurements of each kind, in turns.
const REPETITIONS: usize = 9;
/// Signatures of a batch, and by how many senders (each by another, or a few).
const SIZES: [usize; 7] = [4, 8, 16, 64, 256, 1024, 4096];
const FEW: usize = 8;
/// A measurement checks at least so many, in as many batches as that takes.
const LEAST: usize = 512;
/// Single checks cost the same in batches of any size; so many are measured.
const SINGLE: usize = 256;

pub(crate) fn run() -> Report {
    let title = format!("Checking signatures on one core; medians of {REPETITIONS} in turns.");
    let mut report = Report::new(title);
    let few = |size| (size > 2 * FEW).then_some((size, FEW));
    for (size, senders) in SIZES.into_iter().flat_map(|size| [Some((size, size)), few(size)]).flatten() {
        let good: Vec<_> = (0..size).map(|n| signed(n, n % senders)).collect();
        let mut bad = good.clone();
        // The costliest place: everything before it is found good.
        bad[size - 1].digest[0] ^= 1;
        let single = &good[..size.min(SINGLE)];
        let mut times: [Vec<f64>; 4] = Default::default();
        for _ in 0..REPETITIONS {
            times[0].push(each(single, |batch| {
                batch.iter().all(|signed| signed.key.verify(&signed.digest, &signed.signature).is_ok())
            }));
            times[1].push(each(&good, combination_holds));
            times[2].push(each(&good, |batch| verify_batch(batch).is_ok()));
            times[3].push(each(&bad, |batch| verify_batch(batch).is_err_and(|bad| bad.index == size - 1)));
        }
        let [single, combination, batch, failing] = times.map(|mut times| median(&mut times));
        let name = format!("{size} signatures by {senders} senders");
        report.row(format!("{name}: one at a time"), single, "µs each");
        report.row(format!("{name}: k256's combination"), combination, "µs each");
        let goal = match (size, senders) {
            (256.., FEW) => Some(15.0),
            (256.., _) => Some(30.0),
            _ => None,
        };
        match goal {
            Some(most) => report.goal(format!("{name}: batch"), batch, "µs each", Goal::AtMost(most)),
            None => report.row(format!("{name}: batch"), batch, "µs each"),
        }
        report.row(format!("{name}: batch against one at a time"), batch / single, "");
        report.row(format!("{name}: one bad in the batch, against one at a time"), failing / single, "");
    }
    report
}

fn signed(message: usize, sender: usize) -> Signed {
    let key = SigningKey::development(&format!("sender {sender}")).expect("a key");
    let digest = Sha256::digest(message.to_le_bytes()).into();
    let signature = key.sign(&digest, &[0; 32]).expect("a signature");
    Signed { key: key.public_key(), digest, signature }
}

/// Microseconds per signature that a check takes, which has to succeed.
fn each(batch: &[Signed], check: impl Fn(&[Signed]) -> bool) -> f64 {
    let rounds = LEAST.div_ceil(batch.len());
    let started = Instant::now();
    for _ in 0..rounds {
        assert!(check(std::hint::black_box(batch)));
    }
    started.elapsed().as_secs_f64() * 1e6 / (rounds * batch.len()) as f64
}

/// The same check in the plainest way, for comparison.
fn combination_holds(batch: &[Signed]) -> bool {
    let mut seed = Sha256::new();
    for signed in batch {
        seed.update(signed.key.as_bytes());
        seed.update(signed.digest);
        seed.update(signed.signature.as_bytes());
    }
    let seed = seed.finalize();
    let challenge = Sha256::digest(b"BIP0340/challenge");
    let mut left = Scalar::ZERO;
    let mut right = Vec::with_capacity(2 * batch.len());
    for (index, signed) in batch.iter().enumerate() {
        let (r, s) = signed.signature.as_bytes().split_at(32);
        let r = FieldBytes::try_from(r).expect("32 bytes");
        let s = Scalar::from_repr(FieldBytes::try_from(s).expect("32 bytes")).expect("a scalar");
        let nonce = AffinePoint::decompress(&r, Choice::from(0)).expect("a point");
        let key = AffinePoint::decompress(&FieldBytes::from(*signed.key.as_bytes()), Choice::from(0))
            .expect("a point");
        let hash = Sha256::new()
            .chain_update(challenge)
            .chain_update(challenge)
            .chain_update(r)
            .chain_update(signed.key.as_bytes())
            .chain_update(signed.digest)
            .finalize();
        let e: Scalar = Scalar::reduce(&hash);
        let mut weight = [0; 32];
        let random = Sha256::new().chain_update(seed).chain_update((index as u64).to_le_bytes()).finalize();
        weight[16..].copy_from_slice(&random[..16]);
        let weight: Scalar = Scalar::reduce(&FieldBytes::from(weight));
        left += weight * s;
        right.push((ProjectivePoint::from(nonce), weight));
        right.push((ProjectivePoint::from(key), weight * e));
    }
    ProjectivePoint::mul_by_generator_vartime(&left) == ProjectivePoint::lincomb_vartime(right.as_slice())
}
