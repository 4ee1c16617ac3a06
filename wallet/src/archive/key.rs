//! The archive's key: random, among the wallet's secrets, so that it outlives a change of the passphrase and
//! goes with a backup. It is not the passphrase's key, and not made from the mnemonic.

use crate::random::{NoRandomness, random};
use chacha20poly1305::aead::{Aead, Payload};
use chacha20poly1305::{KeyInit, XChaCha20Poly1305, XNonce};
use sealpost_ledger::hash::{TransactionId, sha256};
use serde::{Deserialize, Serialize};
use zeroize::{Zeroize, ZeroizeOnDrop, Zeroizing};

use crate::envelope::padded_length;

const ABOUT: &[u8] = b"sealpost/v1/archive-letter";
const NAME: &[u8] = b"sealpost/v1/archive-name";
const LENGTH_BYTES: usize = 4;
const ID_BYTES: usize = 32;

/// Encrypts letters, and names their files.
#[derive(Clone, Serialize, Deserialize, Zeroize, ZeroizeOnDrop)]
#[serde(deny_unknown_fields)]
pub struct ArchiveKey {
    #[serde(with = "const_hex::serde")]
    letters: [u8; 32],
    #[serde(with = "const_hex::serde")]
    names: [u8; 32],
}

impl ArchiveKey {
    /// A new key.
    pub fn generate() -> Result<Self, NoRandomness> {
        Ok(Self { letters: *random::<32>()?, names: *random::<32>()? })
    }
    /// Another key for letters, the same for names.
    pub(super) fn renewed(&self) -> Result<Self, NoRandomness> {
        Ok(Self { letters: *random::<32>()?, names: self.names })
    }
    /// What a letter's files are called. All inputs have one length, so a keyed SHA-256 is enough.
    pub(super) fn name(&self, id: &TransactionId) -> String {
        let hash = sha256(&[NAME, &self.names, id.as_bytes()]);
        const_hex::encode(hash.first_chunk::<16>().unwrap_or(&[0; 16]))
    }
    /// `nonce (24) ‖ AEAD(length (4) ‖ id (32) ‖ record ‖ zeros)`, padded as envelopes are, so that the
    /// file's length does not tell which message it was.
    pub(super) fn seal(&self, id: &TransactionId, record: &[u8]) -> Result<Vec<u8>, NoRandomness> {
        let nonce = random::<24>()?;
        let length = LENGTH_BYTES.saturating_add(ID_BYTES).saturating_add(record.len());
        let mut plaintext = Zeroizing::new(Vec::with_capacity(padded_length(length)));
        plaintext.extend_from_slice(&u32::try_from(record.len()).unwrap_or(u32::MAX).to_le_bytes());
        plaintext.extend_from_slice(id.as_bytes());
        plaintext.extend_from_slice(record);
        plaintext.resize(padded_length(length), 0);
        let cipher = XChaCha20Poly1305::new((&self.letters).into());
        let payload = Payload { msg: &plaintext, aad: ABOUT };
        let ciphertext = cipher.encrypt(&XNonce::from(*nonce), payload);
        // It fails only beyond 256 GiB.
        Ok([nonce.as_slice(), &ciphertext.unwrap_or_default()].concat())
    }
    /// Id and record of a sealed letter; nothing if it is not one under this key.
    pub(super) fn open(&self, sealed: &[u8]) -> Option<(TransactionId, Zeroizing<Vec<u8>>)> {
        let (nonce, ciphertext) = sealed.split_first_chunk::<24>()?;
        let cipher = XChaCha20Poly1305::new((&self.letters).into());
        let payload = Payload { msg: ciphertext, aad: ABOUT };
        let plaintext = cipher.decrypt(&XNonce::from(*nonce), payload).map(Zeroizing::new).ok()?;
        let (length, rest) = plaintext.split_first_chunk::<LENGTH_BYTES>()?;
        let (id, rest) = rest.split_first_chunk::<ID_BYTES>()?;
        let record = rest.get(..usize::try_from(u32::from_le_bytes(*length)).ok()?)?;
        Some((TransactionId::from_bytes(*id), Zeroizing::new(record.to_vec())))
    }
}

impl std::fmt::Debug for ArchiveKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("ArchiveKey")
    }
}
