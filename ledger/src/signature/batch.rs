//! Many signatures checked at once (BIP-340, "Batch Verification").
//!
//! Each signature claims `s·G = R + e·P`. A batch holds if the claims hold when added up under random weights,
//! `Σ wᵢsᵢ·G = Σ wᵢ·Rᵢ + Σ wᵢeᵢ·Pᵢ`: one sum of many multiples of points, see [`super::msm`].

use super::curve::{Beta, Point, lift_x};
use super::glv::{Halves, Short};
use super::msm::{self, Term};
use super::{BadBatch, BadSignature, PublicKey, Signed};
use crate::hash::{Tag, hasher_tagged};
use k256::elliptic_curve::PrimeField;
use k256::elliptic_curve::ops::Reduce;
use k256::{FieldBytes, ProjectivePoint, Scalar};
use sha2::{Digest, Sha256};
use std::collections::HashMap;
use std::ops::Range;

/// Below this many, single checks are as fast.
const SMALLEST_SUM: usize = 3;
/// Above this many, adding up more at once gains nothing, and memory starts to cost.
const LARGEST_SUM: usize = 1024;

/// Checks many signatures, faster than one by one. Passes exactly when each would pass alone, and otherwise names
/// the first that would not; wrong for any one batch with probability 2^-128.
///
/// The weights come from a hash over the whole batch, so a result depends on its input alone, and nobody can
/// choose signatures whose errors cancel without first fixing them.
///
/// A batch that fails is halved until its first bad member is found. All halvings together add up no more points
/// than the first sum did, and read none again. So a bad signature in every batch costs no more than single checks
/// would from 64 signatures on (half of it at 256), and less than twice that in the smallest batches; measured by
/// `sealpost-bench signatures`.
pub fn verify_batch(batch: &[Signed]) -> Result<(), BadBatch> {
    for (lot, first) in batch.chunks(LARGEST_SUM).zip((0_usize..).step_by(LARGEST_SUM)) {
        verify_lot(lot).map_err(|bad| BadBatch { index: first.saturating_add(bad.index) })?;
    }
    Ok(())
}

fn verify_lot(batch: &[Signed]) -> Result<(), BadBatch> {
    if batch.len() < SMALLEST_SUM {
        return verify_each(batch, 0);
    }
    let claims = Claims::read(batch);
    let readable = claims.members.len();
    if claims.hold(0..readable) {
        // One that can't be read is bad by itself.
        return if readable == batch.len() { Ok(()) } else { Err(BadBatch { index: readable }) };
    }
    let suspects = claims.suspects();
    verify_each(batch.get(suspects.clone()).unwrap_or(&[]), suspects.start)?;
    // Not reached but with probability 2^-128: then single checks have the last word.
    verify_each(batch, 0)
}

/// Checks one by one; `first` is the position of the first.
fn verify_each(batch: &[Signed], first: usize) -> Result<(), BadBatch> {
    for (signed, index) in batch.iter().zip(first..) {
        signed.key.verify(&signed.digest, &signed.signature).map_err(|BadSignature| BadBatch { index })?;
    }
    Ok(())
}

/// What the signatures of a batch claim, up to the first that can't be read.
struct Claims {
    members: Vec<Claim>,
    /// Each key once, also those that are no points; no member has one of these.
    keys: Vec<Option<Point>>,
}

/// One claim, weighted.
struct Claim {
    r: Point,
    /// Which key.
    key: usize,
    weight: Weight,
    /// `w·s`.
    s: Scalar,
    /// `w·e`.
    e: Scalar,
}

/// A random factor `u + v·λ` with u and v from -2^63 to 2^63 - 1. Multiplying a point by it takes half the additions
/// that 128 bits in one number would take, for λ times a point costs next to nothing.
///
/// No two pairs (u, v) give the same factor, so a wrong batch passes with probability 2^-128 at most, as with any
/// 2^128 equally likely factors. For let (x, y) be the difference of two pairs, |x|, |y| < 2^64, and x + yλ = 0 mod n.
/// Then n divides (x + yλ)(x + yλ²) = x² - xy + y², as λ² + λ + 1 = 0. But that is no more than 3·2^128, far below n,
/// so it is zero; and x² - xy + y² = 0 only for x = y = 0.
#[derive(Clone, Copy)]
struct Weight {
    u: i64,
    v: i64,
}

impl Weight {
    fn halves(self) -> Halves {
        Halves(Short::from(self.u), Short::from(self.v))
    }
}

/// The weights of a batch: one for the first member, which saves a little and gives nothing away, and as many random
/// ones as are asked for.
fn weights(batch: &[Signed]) -> impl Iterator<Item = Weight> {
    let mut seed = Sha256::new();
    for signed in batch {
        seed.update(signed.key.0);
        seed.update(signed.digest);
        seed.update(signed.signature.0);
    }
    let stream = hasher_tagged(Tag::BatchWeights.text()).chain_update(seed.finalize());
    let random = (0_u64..).flat_map(move |counter| {
        let block: [u8; 32] = stream.clone().chain_update(counter.to_le_bytes()).finalize().into();
        let mut words = block.as_chunks::<8>().0.iter().map(|word| i64::from_le_bytes(*word));
        std::iter::from_fn(move || Some(Weight { u: words.next()?, v: words.next()? })).collect::<Vec<_>>()
    });
    std::iter::once(Weight { u: 1, v: 0 }).chain(random)
}

impl Claims {
    fn read(batch: &[Signed]) -> Self {
        let mut numbers = HashMap::with_capacity(batch.len());
        let mut keys = Vec::with_capacity(batch.len());
        let mut key_of = |key: &PublicKey| {
            *numbers.entry(*key).or_insert_with(|| {
                keys.push(key.0);
                keys.len().saturating_sub(1)
            })
        };
        let places: Vec<usize> = batch.iter().map(|signed| key_of(&signed.key)).collect();
        let halves = batch.iter().map(|signed| signed.halves());
        let (nonces, responses): (Vec<_>, Vec<_>) = halves.unzip();
        let keys = lift_x(&keys);
        let challenge = hasher_tagged("BIP0340/challenge");
        let members =
            batch.iter().zip(places).zip(lift_x(&nonces)).zip(responses).zip(weights(batch)).map_while(
                |((((signed, key), r), s), weight)| {
                    keys.get(key).copied().flatten()?;
                    // The single check refuses zero as it refuses what is not below n.
                    let s = Scalar::from_repr(FieldBytes::from(s))
                        .into_option()
                        .filter(|s| !bool::from(s.is_zero()))?;
                    let (nonce, _) = signed.halves();
                    let hash = challenge
                        .clone()
                        .chain_update(nonce)
                        .chain_update(signed.key.0)
                        .chain_update(signed.digest);
                    let e = Scalar::reduce(&hash.finalize());
                    let factor = weight.halves().to_scalar();
                    Some(Claim { r: r?, key, weight, s: factor * s, e: factor * e })
                },
            );
        Self { members: members.collect(), keys }
    }

    /// Where the first bad one of claims that don't hold is, among [`SMALLEST_SUM`] at most.
    fn suspects(&self) -> Range<usize> {
        let mut suspects = 0..self.members.len();
        while suspects.len() > SMALLEST_SUM {
            let middle = suspects.start.midpoint(suspects.end);
            // If it is not in the first half, it is in the second.
            if self.hold(suspects.start..middle) {
                suspects.start = middle;
            } else {
                suspects.end = middle;
            }
        }
        suspects
    }

    /// Whether all claims of a range hold.
    fn hold(&self, range: Range<usize>) -> bool {
        self.difference(range).is_some_and(|difference| difference == ProjectivePoint::IDENTITY)
    }

    /// `Σ wᵢ·Rᵢ + Σ wᵢeᵢ·Pᵢ - Σ wᵢsᵢ·G`. A key or nonce that recurs is a point that recurs, whose multiples are added
    /// before it is multiplied, as far as keys go. `None` never, see where the constants are read and scalars split.
    fn difference(&self, range: Range<usize>) -> Option<ProjectivePoint> {
        let members = self.members.get(range)?;
        let beta = Beta::new()?;
        let mut terms = Vec::with_capacity(members.len().saturating_add(1).saturating_mul(4));
        let mut add = |point: Point, Halves(first, second): Halves| {
            terms.push(Term { point, scalar: first });
            terms.push(Term { point: point.endomorphism(&beta), scalar: second });
        };
        let mut generator = Scalar::ZERO;
        let mut keys = vec![Scalar::ZERO; self.keys.len()];
        for claim in members {
            add(claim.r, claim.weight.halves());
            generator -= claim.s;
            *keys.get_mut(claim.key)? += claim.e;
        }
        for (point, scalar) in self.keys.iter().zip(keys) {
            if !bool::from(scalar.is_zero()) {
                add((*point)?, Halves::split(scalar)?);
            }
        }
        add(Point::generator()?, Halves::split(generator)?);
        msm::sum(&terms)
    }
}

impl Signed {
    /// `R.x` and `s` of the signature.
    fn halves(&self) -> ([u8; 32], [u8; 32]) {
        let mut halves = self.signature.0.as_chunks::<32>().0.iter().copied();
        (halves.next().unwrap_or_default(), halves.next().unwrap_or_default())
    }
}

#[cfg(test)]
mod tests;
