//! Encryption keys: random, published as key bundles, never derived from the mnemonic. Destroying one makes
//! the messages under it unreadable for good.

use crate::random::{NoRandomness, random};
use ml_kem::kem::{Decapsulate, Encapsulate, FromSeed, KeyExport};
use ml_kem::{DecapsulationKey, EncapsulationKey, MlKem768};
use sealpost_ledger::height::BlockHeight;
use sealpost_ledger::key_bundle::KeyBundle;
use sealpost_ledger::signature::SigningKey;
use serde::{Deserialize, Serialize};
use zeroize::{Zeroize, ZeroizeOnDrop, Zeroizing};

/// The secret half of a key bundle.
#[derive(Clone, Serialize, Deserialize, Zeroize, ZeroizeOnDrop)]
pub struct BundleSecret {
    /// Sequence number of the bundle.
    pub sequence: u64,
    #[serde(with = "const_hex::serde")]
    ecies: [u8; 32],
    #[serde(with = "const_hex::serde")]
    ml_kem_seed: [u8; 64],
}

impl BundleSecret {
    /// New random keys.
    pub fn generate(sequence: u64) -> Result<Self, NoRandomness> {
        loop {
            let ecies = random::<32>()?;
            // All but one in 2^128 numbers are secret keys.
            if SigningKey::from_bytes(&ecies).is_ok() {
                return Ok(Self { sequence, ecies: *ecies, ml_kem_seed: *random::<64>()? });
            }
        }
    }
    /// The public half.
    pub fn bundle(&self, valid_until: BlockHeight) -> KeyBundle {
        let ecies = ecies_public(&self.ecies);
        let ml_kem = self.decapsulation_key().encapsulation_key().to_bytes().to_vec();
        KeyBundle { sequence: self.sequence, ecies, ml_kem: Some(ml_kem), valid_until }
    }
    pub(super) fn ecies(&self) -> &[u8; 32] {
        &self.ecies
    }
    pub(super) fn ecies_public(&self) -> [u8; 33] {
        ecies_public(&self.ecies)
    }
    fn decapsulation_key(&self) -> DecapsulationKey<MlKem768> {
        let mut seed = self.ml_kem_seed.into();
        let key = MlKem768::from_seed(&seed).0;
        seed.zeroize();
        key
    }
    /// The second share of a slot of suite 2. A foreign ciphertext gives a share nobody has (implicit
    /// rejection, FIPS 203); only a wrong length gives none.
    pub(super) fn ml_kem_share(&self, ciphertext: &[u8]) -> Option<Zeroizing<[u8; 32]>> {
        let mut share = self.decapsulation_key().decapsulate_slice(ciphertext).ok()?;
        let kept = Zeroizing::new(share.into());
        share.zeroize();
        Some(kept)
    }
}

impl std::fmt::Debug for BundleSecret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "BundleSecret({})", self.sequence)
    }
}

/// The SEC1 compressed public key of an ECIES secret.
fn ecies_public(secret: &[u8; 32]) -> [u8; 33] {
    let mut public = [0_u8; 33];
    if let Ok(secret) = ecies::SecretKey::parse_slice(secret) {
        public = ecies::PublicKey::from_secret_key(&secret).serialize_compressed();
    }
    public
}

/// Whether a bundle's ML-KEM key is one. The ledger looks at its length alone, so anybody can publish bytes that are
/// none: FIPS 203, section 7.2, has them refused.
pub fn has_ml_kem(bundle: &KeyBundle) -> bool {
    bundle.ml_kem.as_ref().is_some_and(|key| encapsulation_key(key).is_some())
}

fn encapsulation_key(key: &[u8]) -> Option<EncapsulationKey<MlKem768>> {
    EncapsulationKey::new(&key.try_into().ok()?).ok()
}

/// A fresh share for the holder of an ML-KEM-768 key, and its ciphertext. `None` if it is no such key.
pub(super) fn ml_kem_encapsulate(key: &[u8]) -> Option<(Vec<u8>, Zeroizing<[u8; 32]>)> {
    let key = encapsulation_key(key)?;
    let (ciphertext, mut share) = key.encapsulate();
    let kept = Zeroizing::new(share.into());
    share.zeroize();
    Some((ciphertext.to_vec(), kept))
}
