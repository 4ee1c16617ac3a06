//! What a person writes, as bytes: subject, text, attachments; salted and padded.

use crate::random::NoRandomness;
use sealpost_ledger::codec::{Decode, DecodeError, Encode, MAX_BYTES, decode, encode};
use sealpost_ledger::hash::TransactionId;
use thiserror::Error;
use zeroize::Zeroizing;

/// Bytes of a body besides content and padding: nonce 24, salt 32, length 4, tag 16.
pub const MAX_CONTENT_OVERHEAD: usize = 24 + 32 + 4 + 16;
const SALT_BYTES: usize = 32;
const LENGTH_BYTES: usize = 4;

/// What a message says.
#[derive(Debug, Clone, PartialEq, Eq, Default, Encode, Decode)]
#[bincode(crate = "sealpost_ledger::codec")]
pub struct Content {
    /// The subject, may be empty.
    pub subject: String,
    /// The text.
    pub text: String,
    /// The message it answers.
    pub reply_to: Option<TransactionId>,
    /// Files.
    pub attachments: Vec<Attachment>,
}

/// A file in a message.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
#[bincode(crate = "sealpost_ledger::codec")]
pub struct Attachment {
    /// Its name as the sender gave it. Never a path to write to.
    pub name: String,
    /// Its bytes.
    pub bytes: Vec<u8>,
}

/// Why bytes are no plaintext.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[allow(missing_docs)]
pub enum ContentError {
    #[error("the plaintext is shorter than its own header")]
    Short,
    #[error("the plaintext's padding is not zeros to the next step")]
    Padding,
    #[error("the content can't be read: {0}")]
    Content(#[from] DecodeError),
    #[error(transparent)]
    Randomness(#[from] NoRandomness),
}

impl Content {
    /// Canonical bytes.
    pub fn to_bytes(&self) -> Vec<u8> {
        encode(self)
    }
    /// Reads canonical bytes.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, DecodeError> {
        decode("content", bytes, MAX_BYTES)
    }
}

/// The padded length of a plaintext: the next power of two below 1 KiB, and Padmé above, which adds at most
/// 12 % (Nikitin et al., "Reducing Metadata Leakage from Encrypted Files", PETS 2019).
pub fn padded_length(length: usize) -> usize {
    if length <= 1024 {
        return length.next_power_of_two().max(64);
    }
    let exponent = length.ilog2();
    let kept = exponent.ilog2().saturating_add(1);
    let mask = (1_usize << exponent.saturating_sub(kept)).saturating_sub(1);
    length.saturating_add(mask) & !mask
}

/// `salt (32) ‖ length (4, little-endian) ‖ content ‖ zeros`.
pub(super) fn to_plaintext(salt: &[u8; 32], content: &[u8]) -> Zeroizing<Vec<u8>> {
    let length = SALT_BYTES.saturating_add(LENGTH_BYTES).saturating_add(content.len());
    let mut plaintext = Zeroizing::new(Vec::with_capacity(padded_length(length)));
    plaintext.extend_from_slice(salt);
    plaintext.extend_from_slice(&u32::try_from(content.len()).unwrap_or(u32::MAX).to_le_bytes());
    plaintext.extend_from_slice(content);
    plaintext.resize(padded_length(length), 0);
    plaintext
}

/// Salt and content of a plaintext.
pub(super) fn from_plaintext(plaintext: &[u8]) -> Result<([u8; 32], &[u8]), ContentError> {
    let (salt, rest) = plaintext.split_first_chunk::<SALT_BYTES>().ok_or(ContentError::Short)?;
    let (length, rest) = rest.split_first_chunk::<LENGTH_BYTES>().ok_or(ContentError::Short)?;
    let length = usize::try_from(u32::from_le_bytes(*length)).map_err(|_| ContentError::Short)?;
    let (content, padding) = rest.split_at_checked(length).ok_or(ContentError::Short)?;
    let unpadded = plaintext.len().saturating_sub(padding.len());
    if padded_length(unpadded) != plaintext.len() || padding.iter().any(|byte| *byte != 0) {
        return Err(ContentError::Padding);
    }
    Ok((*salt, content))
}
