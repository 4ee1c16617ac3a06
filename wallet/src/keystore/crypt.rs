//! How a passphrase becomes a key (Argon2id, RFC 9106), with the cost written down and bounded, and how
//! something small is encrypted under it (XChaCha20-Poly1305).

use crate::random::{NoRandomness, random};
use argon2::{Algorithm, Argon2, Params, Version};
use chacha20poly1305::aead::{Aead, Payload};
use chacha20poly1305::{KeyInit, XChaCha20Poly1305, XNonce};
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

/// The key derivation that is used.
pub(super) const KDF: &str = "argon2id";
/// The cipher that is used.
pub(super) const CIPHER: &str = "xchacha20-poly1305";

/// Memory in KiB, passes, lanes: RFC 9106's second recommendation. About 190 ms.
pub(super) const COST: Cost = Cost { memory_kib: 64 * 1024, passes: 3, lanes: 4 };
/// A file may not make its reader spend more than this.
const MOST: Cost = Cost { memory_kib: 1024 * 1024, passes: 16, lanes: 16 };
/// Nor less: whoever could write such a file would see the passphrase.
const LEAST: Cost = Cost { memory_kib: 19 * 1024, passes: 2, lanes: 1 };

/// What Argon2id costs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Cost {
    /// Memory in KiB.
    pub memory_kib: u32,
    /// Passes over it.
    pub passes: u32,
    /// Lanes.
    pub lanes: u32,
}

impl Cost {
    /// The field that is out of bounds, with its value, if there is one.
    pub(super) fn out_of_bounds(&self) -> Option<(&'static str, String)> {
        let fields = [
            ("cost.memory_kib", self.memory_kib, LEAST.memory_kib, MOST.memory_kib),
            ("cost.passes", self.passes, LEAST.passes, MOST.passes),
            ("cost.lanes", self.lanes, LEAST.lanes, MOST.lanes),
        ];
        let outside = fields.iter().find(|(_, found, least, most)| !(least..=most).contains(&found));
        outside.map(|(field, found, ..)| (*field, found.to_string()))
    }
    /// The key of a passphrase. Nothing if Argon2id can't be done so.
    pub(super) fn stretch(&self, salt: &[u8; 16], passphrase: &str) -> Result<Zeroizing<[u8; 32]>, String> {
        let Cost { memory_kib, passes, lanes } = *self;
        let params = Params::new(memory_kib, passes, lanes, Some(32)).map_err(|error| error.to_string())?;
        let mut key = Zeroizing::new([0_u8; 32]);
        Argon2::new(Algorithm::Argon2id, Version::V0x13, params)
            .hash_password_into(passphrase.as_bytes(), salt, key.as_mut())
            .map_err(|error| error.to_string())?;
        Ok(key)
    }
}

/// Something encrypted, with its nonce.
pub(super) struct Encrypted {
    pub(super) nonce: [u8; 24],
    pub(super) ciphertext: Vec<u8>,
}

/// Encrypts under a fresh nonce. Nothing for more than 256 GiB.
pub(super) fn encrypt(
    key: &[u8; 32],
    aad: &[u8],
    plaintext: &[u8],
) -> Result<Option<Encrypted>, NoRandomness> {
    let nonce = random::<24>()?;
    let payload = Payload { msg: plaintext, aad };
    let ciphertext = XChaCha20Poly1305::new(key.into()).encrypt(&XNonce::from(*nonce), payload);
    Ok(ciphertext.ok().map(|ciphertext| Encrypted { nonce: *nonce, ciphertext }))
}

/// Decrypts. Nothing if key, associated data or ciphertext are others.
pub(super) fn decrypt(
    key: &[u8; 32],
    nonce: &[u8; 24],
    aad: &[u8],
    ciphertext: &[u8],
) -> Option<Zeroizing<Vec<u8>>> {
    let payload = Payload { msg: ciphertext, aad };
    XChaCha20Poly1305::new(key.into()).decrypt(&XNonce::from(*nonce), payload).map(Zeroizing::new).ok()
}
