//! Our BIP-340 signatures, alone and in batches, against libsecp256k1, Bitcoin's own implementation: the same verdict on
//! what is accepted and what is refused, over random values and over every edge that the encoding has.

use k256::elliptic_curve::ops::Reduce;
use k256::elliptic_curve::point::AffineCoordinates;
use k256::{FieldBytes, ProjectivePoint, Scalar};
use sealpost_ledger::signature::{PublicKey, Signature, Signed, SigningKey, verify_batch};
use secp256k1::{Keypair, SecretKey, XOnlyPublicKey, schnorr};
use sha2::{Digest, Sha256};

/// Cases that are compared at least.
const CASES: usize = 12_000;
/// The prime of the field, and the order of the group.
const P: &str = "fffffffffffffffffffffffffffffffffffffffffffffffffffffffefffffc2f";
const N: &str = "fffffffffffffffffffffffffffffffebaaedce6af48a03bbfd25e8cd0364141";

/// What libsecp256k1 says.
fn theirs(signed: &Signed) -> bool {
    let Ok(key) = XOnlyPublicKey::from_byte_array(*signed.key.as_bytes()) else { return false };
    schnorr::Signature::from_byte_array(*signed.signature.as_bytes()).verify(&signed.digest, &key).is_ok()
}

/// What we say, alone.
fn ours(signed: &Signed) -> bool {
    signed.key.verify(&signed.digest, &signed.signature).is_ok()
}

/// Bytes that look random and are the same each time.
struct Noise(u64);

impl Noise {
    fn bytes(&mut self) -> [u8; 32] {
        self.0 += 1;
        Sha256::digest(self.0.to_le_bytes()).into()
    }
    fn below(&mut self, end: usize) -> usize {
        usize::from(u16::from_le_bytes([self.bytes()[0], self.bytes()[1]])) % end
    }
}

fn number(hex: &str) -> [u8; 32] {
    const_hex::decode(hex).unwrap().try_into().unwrap()
}

/// A number and a small one, big-endian; goes round at 2^256.
fn plus(number: [u8; 32], by: i64) -> [u8; 32] {
    let mut carry = by;
    let mut sum = number;
    for byte in sum.iter_mut().rev() {
        carry += i64::from(*byte);
        *byte = carry.rem_euclid(256) as u8;
        carry = carry.div_euclid(256);
    }
    sum
}

/// Numbers at which readings could differ.
fn edges() -> Vec<[u8; 32]> {
    let mut edges = vec![[0; 32], [0xff; 32], [0x7f; 32], [0x80; 32]];
    for around in [[0; 32], number(P), number(N)] {
        // Beyond the prime there are 977 + 2^32 numbers that are no coordinate; some would be the x of a point.
        edges.extend((-4..=12).map(|by| plus(around, by)));
    }
    edges.extend((0..8).map(|bit| plus([0; 32], 1 << (bit * 4))));
    edges
}

fn with(signed: &Signed, r: Option<[u8; 32]>, s: Option<[u8; 32]>) -> Signed {
    let mut bytes = *signed.signature.as_bytes();
    r.iter().for_each(|r| bytes[..32].copy_from_slice(r));
    s.iter().for_each(|s| bytes[32..].copy_from_slice(s));
    Signed { signature: Signature::from_bytes(bytes), ..*signed }
}

fn sign(secret: [u8; 32], digest: [u8; 32], aux: [u8; 32]) -> Signed {
    let key = SigningKey::from_bytes(&secret).unwrap();
    Signed { key: key.public_key(), digest, signature: key.sign(&digest, &aux).unwrap() }
}

/// The number that a signature answers to.
fn challenge(r: &[u8; 32], key: &[u8; 32], digest: &[u8; 32]) -> Scalar {
    let tag = Sha256::digest(b"BIP0340/challenge");
    let hash = [tag, tag].iter().fold(Sha256::new(), |hash, tag| hash.chain_update(tag));
    let hash: [u8; 32] = hash.chain_update(r).chain_update(key).chain_update(digest).finalize().into();
    <Scalar as Reduce<FieldBytes>>::reduce(&hash.into())
}

/// Signatures that only whoever has the secret can make, and no honest signer does: R at infinity, R with an odd y, and
/// the key with the wrong sign.
fn by_hand(noise: &mut Noise) -> Vec<Signed> {
    let scalar = |noise: &mut Noise| <Scalar as Reduce<FieldBytes>>::reduce(&noise.bytes().into());
    let point = |scalar: Scalar| {
        let point = (ProjectivePoint::GENERATOR * scalar).to_affine();
        (<[u8; 32]>::from(point.x()), bool::from(point.y_is_odd()))
    };
    let (mut secret, nonce, digest) = (scalar(noise), scalar(noise), noise.bytes());
    let (key, is_odd) = point(secret);
    if is_odd {
        secret = -secret;
    }
    let (r, r_is_odd) = point(nonce);
    let challenge = |r: &[u8; 32]| challenge(r, &key, &digest);
    let (even, odd) = if r_is_odd { (-nonce, nonce) } else { (nonce, -nonce) };
    let made = |r: [u8; 32], s: Scalar| {
        let signature = Signature::from_bytes([r, s.to_bytes().into()].concat().try_into().unwrap());
        Signed { key: PublicKey::from_bytes(key), digest, signature }
    };
    let infinite = noise.bytes();
    vec![
        made(r, even + challenge(&r) * secret),
        made(r, odd + challenge(&r) * secret),
        made(r, even - challenge(&r) * secret),
        made(r, -(even + challenge(&r) * secret)),
        made(infinite, challenge(&infinite) * secret),
        made([0; 32], challenge(&[0; 32]) * secret),
    ]
}

/// Every case: good ones, and each of them spoilt in every way there is.
fn cases() -> Vec<Signed> {
    let (mut noise, edges) = (Noise(340), edges());
    let mut cases = Vec::new();
    for secret in [plus([0; 32], 1), plus([0; 32], 2), plus(number(N), -1), plus(number(N), -2)] {
        cases.push(sign(secret, noise.bytes(), noise.bytes()));
    }
    for round in 0..60 {
        let good = sign(noise.bytes(), noise.bytes(), noise.bytes());
        cases.push(good);
        // Each part at each edge, and two at a time.
        for edge in &edges {
            cases.push(with(&good, Some(*edge), None));
            cases.push(with(&good, None, Some(*edge)));
            cases.push(with(&good, Some(*edge), Some(edges[noise.below(edges.len())])));
            cases.push(Signed { key: PublicKey::from_bytes(*edge), ..good });
            // A digest is taken as it is.
            cases.push(Signed { digest: *edge, ..good });
            cases.push(sign(noise.bytes(), *edge, *edge));
        }
        // One bit of each part.
        for part in 0..3 {
            let (at, bit) = (noise.below(32), 1 << (round % 8));
            let mut changed = [*good.key.as_bytes(), good.digest, [0; 32]];
            changed[part][at] ^= bit;
            let [key, digest, rest] = changed;
            let mut signature = *good.signature.as_bytes();
            signature[at] ^= rest[at];
            signature[32 + at] ^= rest[31 - at];
            let (key, signature) = (PublicKey::from_bytes(key), Signature::from_bytes(signature));
            cases.push(Signed { key, digest, signature });
        }
        let [r, s] = [0, 32].map(|at| <[u8; 32]>::try_from(&good.signature.as_bytes()[at..at + 32]).unwrap());
        cases.push(with(&good, Some(s), Some(r)));
        cases.push(Signed { key: PublicKey::from_bytes(noise.bytes()), ..good });
        cases.push(with(&good, Some(noise.bytes()), None));
        cases.extend(by_hand(&mut noise));
    }
    cases
}

#[test]
fn libsecp256k1_accepts_and_refuses_what_we_do() {
    let cases = cases();
    let mut counts = [0; 2];
    for case in &cases {
        let expected = theirs(case);
        assert_eq!(ours(case), expected, "{case:?}");
        counts[usize::from(expected)] += 1;
    }
    let [refused, accepted] = counts;
    println!("{} signatures compared: {accepted} accepted, {refused} refused by both", cases.len());
    assert!(cases.len() >= CASES && accepted > 3_000 && refused > 5_000, "{counts:?}");
}

#[test]
fn a_batch_names_the_first_that_libsecp256k1_refuses() {
    let (cases, mut noise) = (cases(), Noise(9));
    let good: Vec<_> = cases.iter().filter(|case| theirs(case)).copied().collect();
    let (mut whole, mut broken) = (0, 0);
    for number in 0..400 {
        let size = 1 + noise.below(40);
        let mut batch: Vec<_> = (0..size).map(|_| good[noise.below(good.len())]).collect();
        for _ in 0..number % 3 {
            batch[noise.below(size)] = cases[noise.below(cases.len())];
        }
        let expected = batch.iter().position(|case| !theirs(case));
        assert_eq!(verify_batch(&batch).err().map(|bad| bad.index), expected);
        *(if expected.is_some() { &mut broken } else { &mut whole }) += 1;
    }
    println!("{whole} whole batches and {broken} broken ones compared");
    assert!(whole > 100 && broken > 100, "{whole} {broken}");
}

#[test]
fn both_make_the_same_keys_and_signatures() {
    let (mut noise, mut count) = (Noise(7), 0);
    let random: Vec<_> = (0..500).map(|_| noise.bytes()).collect();
    for secret in random.into_iter().chain(edges()) {
        let (ours, theirs) = (SigningKey::from_bytes(&secret), SecretKey::from_secret_bytes(secret));
        assert_eq!(ours.is_ok(), theirs.is_ok(), "{secret:?}");
        let (Ok(ours), Ok(theirs)) = (ours, theirs) else { continue };
        let (pair, digest, aux) = (Keypair::from_secret_key(&theirs), noise.bytes(), noise.bytes());
        assert_eq!(*ours.public_key().as_bytes(), pair.x_only_public_key().0.to_byte_array());
        let signature = schnorr::sign_with_aux_rand(&digest, &pair, &aux);
        assert_eq!(ours.sign(&digest, &aux).unwrap().as_bytes(), signature.as_byte_array());
        count += 1;
    }
    println!("{count} keys and signatures compared");
    assert!(count > 500);
}

#[test]
fn both_take_the_same_numbers_for_keys() {
    let (mut noise, mut counts) = (Noise(11), [0; 2]);
    let random: Vec<_> = (0..4_000).map(|_| noise.bytes()).collect();
    for x in random.into_iter().chain(edges()) {
        let expected = XOnlyPublicKey::from_byte_array(x).is_ok();
        assert_eq!(PublicKey::from_bytes(x).is_on_curve(), expected, "{x:?}");
        counts[usize::from(expected)] += 1;
    }
    println!("{} numbers compared: {} are keys", counts[0] + counts[1], counts[1]);
    assert!(counts.iter().all(|count| *count > 1_500), "{counts:?}");
}

/// The negative control: verifiers with the mistakes that such code has had. Each has to disagree somewhere.
#[test]
fn a_verifier_with_a_mistake_would_be_found_out() {
    // Does not look whether the y of R is even.
    let careless = |signed: &Signed| {
        let key = [&[2], signed.key.as_bytes().as_slice()].concat();
        let Ok(key) = k256::PublicKey::from_sec1_bytes(&key) else { return false };
        let [r, s] =
            [0, 32].map(|at| <[u8; 32]>::try_from(&signed.signature.as_bytes()[at..at + 32]).unwrap());
        let s = <Scalar as Reduce<FieldBytes>>::reduce(&s.into());
        let e = challenge(&r, signed.key.as_bytes(), &signed.digest);
        let point = (ProjectivePoint::GENERATOR * s - key.to_projective() * e).to_affine();
        <[u8; 32]>::from(point.x()) == r
    };
    // Takes the x of a key for what is left of it beyond the prime, which is 2^256 - 2^32 - 977.
    let reducing = |signed: &Signed| {
        let key = *signed.key.as_bytes();
        let reduced = if key >= number(P) { plus(plus(key, 1 << 32), 977) } else { key };
        PublicKey::from_bytes(reduced).is_on_curve()
    };
    let cases = cases();
    assert!(cases.iter().any(|case| careless(case) != theirs(case)), "a signature with the wrong sign");
    let is_key = |signed: &Signed| XOnlyPublicKey::from_byte_array(*signed.key.as_bytes()).is_ok();
    assert!(cases.iter().any(|case| reducing(case) != is_key(case)), "a key beyond the prime");
}
