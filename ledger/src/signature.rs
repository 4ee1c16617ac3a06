//! Signatures: BIP-340 Schnorr on secp256k1, for senders and validators alike.
//!
//! What is signed is always a 32-byte tagged hash. Batches are checked with one multi-scalar
//! multiplication under random weights; a batch passes exactly when each of its signatures would pass
//! alone, and a failing batch names its first bad member.

use crate::codec::{Decode, Encode};
use crate::hash::{ParseHashError, Tag, parse_hex32, tagged};
use k256::elliptic_curve::ops::{LinearCombination, Reduce};
use k256::elliptic_curve::point::DecompressPoint;
use k256::elliptic_curve::{PrimeField, subtle::Choice};
use k256::{AffinePoint, FieldBytes, ProjectivePoint, Scalar, schnorr};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};
use sha2::{Digest, Sha256};
use std::{fmt, str::FromStr};
use thiserror::Error;

/// A public key: the 32-byte x-coordinate of a point (BIP-340).
///
/// Any 32 bytes can be held; that they name a point on the curve shows when a signature is verified, or
/// with [`PublicKey::is_on_curve`].
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Encode, Decode)]
pub struct PublicKey([u8; 32]);

/// A signature: 64 bytes, `R.x ‖ s` (BIP-340).
#[derive(Clone, Copy, PartialEq, Eq, Hash, Encode, Decode)]
pub struct Signature([u8; 64]);

/// A signature does not hold for that key and message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("the signature does not match the key and the signed bytes")]
pub struct BadSignature;

/// One signature of a batch does not hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("signature {index} of the batch does not match its key and signed bytes")]
pub struct BadBatch {
    /// Position of the first bad one.
    pub index: usize,
}

impl PublicKey {
    /// Names 32 bytes as an x-only key.
    pub const fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }
    /// The x-coordinate, big-endian.
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
    /// Whether a point with this x-coordinate exists.
    pub fn is_on_curve(&self) -> bool {
        schnorr::VerifyingKey::from_bytes(&self.0.into()).is_ok()
    }
    /// Checks one signature over a 32-byte digest.
    pub fn verify(&self, digest: &[u8; 32], signature: &Signature) -> Result<(), BadSignature> {
        self.verify_bytes(digest, signature)
    }
    /// Checks one signature over bytes of any length, as BIP-340 allows. The ledger signs digests only;
    /// this is here so that the published vectors can be run as they are.
    pub fn verify_bytes(&self, message: &[u8], signature: &Signature) -> Result<(), BadSignature> {
        let key = schnorr::VerifyingKey::from_bytes(&self.0.into()).map_err(|_| BadSignature)?;
        let signature = schnorr::Signature::try_from(signature.0.as_slice()).map_err(|_| BadSignature)?;
        key.verify_raw(message, &signature).map_err(|_| BadSignature)
    }
}

impl Signature {
    /// Names 64 bytes as a signature.
    pub const fn from_bytes(bytes: [u8; 64]) -> Self {
        Self(bytes)
    }
    /// `R.x ‖ s`.
    pub const fn as_bytes(&self) -> &[u8; 64] {
        &self.0
    }
}

/// A secret key that signs. The ledger's rules never hold one; wallets and validators do. Its bytes are
/// wiped when it is dropped, and it has no `Debug` output worth reading.
pub struct SigningKey(schnorr::SigningKey);

/// 32 bytes are not a secret key: zero, or not below the order of the group.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("these 32 bytes are not a secp256k1 secret key")]
pub struct BadSecretKey;

impl SigningKey {
    /// Reads a secret scalar, big-endian.
    pub fn from_bytes(bytes: &[u8; 32]) -> Result<Self, BadSecretKey> {
        schnorr::SigningKey::from_bytes(&FieldBytes::from(*bytes)).map(Self).map_err(|_| BadSecretKey)
    }
    /// A key for development networks, made from a name. **Its secret is public and worthless**: anybody
    /// can make it again from the name, which is the point.
    ///
    /// # Errors
    /// With probability 2^-128, when the hash of the name is no key.
    pub fn development(name: &str) -> Result<Self, BadSecretKey> {
        Self::from_bytes(&tagged(Tag::Development, &[name.as_bytes()]))
    }
    /// The public key that verifies what this key signs.
    pub fn public_key(&self) -> PublicKey {
        PublicKey(self.0.verifying_key().to_bytes().into())
    }
    /// Signs a digest. `aux_rand` should be fresh randomness: it hardens against fault and side-channel
    /// attacks, and the signature stays valid without it (BIP-340, "Default Signing").
    ///
    /// # Errors
    /// With probability 2^-256, when the derived nonce is zero.
    pub fn sign(&self, digest: &[u8; 32], aux_rand: &[u8; 32]) -> Result<Signature, BadSecretKey> {
        let signature = self.0.sign_raw(digest, aux_rand).map_err(|_| BadSecretKey)?;
        Ok(Signature(signature.to_bytes()))
    }
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SigningKey(of {})", self.public_key())
    }
}

/// A claim that `signature` by `key` holds over `digest`.
#[derive(Debug, Clone, Copy)]
pub struct Signed {
    /// Who is said to have signed.
    pub key: PublicKey,
    /// What is said to be signed.
    pub digest: [u8; 32],
    /// The signature.
    pub signature: Signature,
}

/// Below this many, single checks are as fast as one combination.
const SMALLEST_BATCH: usize = 4;

/// Checks many signatures, faster than one by one (BIP-340, "Batch Verification").
///
/// The weights come from a hash over the whole batch, so a result depends on its input alone, and nobody
/// can choose signatures whose errors cancel without first fixing them.
pub fn verify_batch(batch: &[Signed]) -> Result<(), BadBatch> {
    if batch.len() >= SMALLEST_BATCH && combination_holds(batch) {
        return Ok(());
    }
    for (index, signed) in batch.iter().enumerate() {
        signed.key.verify(&signed.digest, &signed.signature).map_err(|BadSignature| BadBatch { index })?;
    }
    Ok(())
}

/// `Σ aᵢsᵢ·G = Σ aᵢ·Rᵢ + Σ aᵢeᵢ·Pᵢ`. False also when any part can't be read: the single checks then say which.
fn combination_holds(batch: &[Signed]) -> bool {
    let mut seed = Sha256::new();
    for signed in batch {
        seed.update(signed.key.0);
        seed.update(signed.digest);
        seed.update(signed.signature.0);
    }
    let seed: [u8; 32] = seed.finalize().into();
    let mut left = Scalar::ZERO;
    let mut right = Vec::with_capacity(batch.len().saturating_mul(2));
    for (index, signed) in batch.iter().enumerate() {
        let Some(terms) = Terms::read(signed) else { return false };
        // 128 random bits make a wrong batch pass with probability 2^-128 at most.
        let mut weight = [0_u8; 32];
        let random = tagged(Tag::BatchWeights, &[&seed, &(index as u64).to_le_bytes()]);
        for (to, from) in weight.iter_mut().skip(16).zip(random) {
            *to = from;
        }
        let weight = if index == 0 { Scalar::ONE } else { Scalar::reduce(&FieldBytes::from(weight)) };
        left += weight * terms.s;
        right.push((ProjectivePoint::from(terms.r), weight));
        right.push((ProjectivePoint::from(terms.p), weight * terms.e));
    }
    ProjectivePoint::mul_by_generator_vartime(&left) == ProjectivePoint::lincomb_vartime(right.as_slice())
}

/// The numbers of one BIP-340 check: `s·G = R + e·P`.
struct Terms {
    s: Scalar,
    e: Scalar,
    r: AffinePoint,
    p: AffinePoint,
}

impl Terms {
    fn read(signed: &Signed) -> Option<Self> {
        let (r_x, s) = signed.signature.0.split_at_checked(32)?;
        let r_x = FieldBytes::try_from(r_x).ok()?;
        let s = Scalar::from_repr(FieldBytes::try_from(s).ok()?).into_option()?;
        // R must have an even y: BIP-340 fixes it so.
        let r = AffinePoint::decompress(&r_x, Choice::from(0)).into_option()?;
        let p = AffinePoint::decompress(&FieldBytes::from(signed.key.0), Choice::from(0)).into_option()?;
        let tag = Sha256::digest(b"BIP0340/challenge");
        let challenge = Sha256::new()
            .chain_update(tag)
            .chain_update(tag)
            .chain_update(r_x)
            .chain_update(signed.key.0)
            .chain_update(signed.digest)
            .finalize();
        Some(Self { s, e: Scalar::reduce(&challenge), r, p })
    }
}

macro_rules! hex_text {
    ($name:ident, $len:literal, $parse:expr) => {
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&const_hex::encode(self.0))
            }
        }
        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!(stringify!($name), "({})"), self)
            }
        }
        impl FromStr for $name {
            type Err = ParseHashError;
            fn from_str(text: &str) -> Result<Self, ParseHashError> {
                let parse: fn(&str) -> Result<[u8; $len], ParseHashError> = $parse;
                parse(text).map(Self)
            }
        }
        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
                s.collect_str(self)
            }
        }
        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
                String::deserialize(d)?.parse().map_err(D::Error::custom)
            }
        }
    };
}
hex_text!(PublicKey, 32, |text| parse_hex32("public key", text));
hex_text!(Signature, 64, |text| {
    let refused = || ParseHashError { what: "signature", got: text.chars().take(136).collect() };
    let (r, s) = text.split_at_checked(64).ok_or_else(refused)?;
    let (r, s) = (parse_hex32("signature", r)?, parse_hex32("signature", s)?);
    let mut bytes = [0_u8; 64];
    for (to, from) in bytes.iter_mut().zip(r.into_iter().chain(s)) {
        *to = from;
    }
    Ok(bytes)
});

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::indexing_slicing)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn signed(seed: u8, message: u8) -> Signed {
        let key = SigningKey::from_bytes(&[seed; 32]).unwrap();
        let digest = [message; 32];
        let signature = key.sign(&digest, &[0; 32]).unwrap();
        Signed { key: key.public_key(), digest, signature }
    }

    #[test]
    fn a_good_batch_passes_and_a_bad_member_is_named() {
        let mut batch: Vec<_> = (1..20).map(|n| signed(n, n)).collect();
        assert!(combination_holds(&batch));
        assert_eq!(verify_batch(&batch), Ok(()));
        batch[7].digest[0] ^= 1;
        assert!(!combination_holds(&batch));
        assert_eq!(verify_batch(&batch), Err(BadBatch { index: 7 }));
    }

    #[test]
    fn errors_that_cancel_without_weights_are_caught() {
        // s of one raised and s of the other lowered by the same amount keeps the plain sum.
        let mut batch: Vec<_> = (1..6).map(|n| signed(n, n)).collect();
        let shift = |signature: &mut Signature, up: bool| {
            let s = Scalar::from_repr(FieldBytes::try_from(&signature.0[32..]).unwrap()).unwrap();
            let s = if up { s + Scalar::ONE } else { s - Scalar::ONE };
            signature.0[32..].copy_from_slice(&s.to_repr());
        };
        shift(&mut batch[1].signature, true);
        shift(&mut batch[2].signature, false);
        assert_eq!(verify_batch(&batch), Err(BadBatch { index: 1 }));
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn a_batch_agrees_with_single_checks(flips in prop::collection::vec((0_usize..8, 0_usize..128, 1_u8..), 0..3)) {
            let mut batch: Vec<_> = (1..9).map(|n| signed(n, n)).collect();
            for (member, byte, mask) in flips {
                match byte {
                    0..64 => batch[member].signature.0[byte] ^= mask,
                    64..96 => batch[member].digest[byte - 64] ^= mask,
                    _ => batch[member].key.0[byte - 96] ^= mask,
                }
            }
            let single = batch.iter().position(|s| s.key.verify(&s.digest, &s.signature).is_err());
            prop_assert_eq!(combination_holds(&batch), single.is_none());
            prop_assert_eq!(verify_batch(&batch).err().map(|e| e.index), single);
        }
    }
}
