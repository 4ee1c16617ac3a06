//! Signatures: BIP-340 Schnorr on secp256k1, for senders and validators alike.
//!
//! What is signed is always a 32-byte tagged hash. Batches are checked with one multi-scalar
//! multiplication under random weights; a batch passes exactly when each of its signatures would pass
//! alone, and a failing batch names its first bad member.

use crate::codec::{Decode, Encode};
use crate::hash::{ParseHashError, Tag, parse_hex32, tagged};
use k256::{FieldBytes, schnorr};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};
use std::{fmt, str::FromStr};
use thiserror::Error;

mod batch;
mod curve;
mod glv;
mod msm;

pub use batch::verify_batch;

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
    /// How many bytes it has.
    pub const BYTES: usize = 64;

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
