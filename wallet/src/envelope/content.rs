//! What is in an envelope, as bytes: a letter or a part of one; salted and padded. What is too long for one
//! message goes ahead in parts, and the letter names them.

use crate::random::NoRandomness;
use sealpost_ledger::codec::{Decode, DecodeError, Encode, MAX_BYTES, decode, encode};
use sealpost_ledger::evidence::MAX_LETTER_ENTRIES;
use sealpost_ledger::hash::TransactionId;
use sealpost_ledger::receipt::Receipt;
use thiserror::Error;
use zeroize::Zeroizing;

/// Bytes of a body besides content and padding: nonce 24, salt 32, length 4, tag 16.
pub const MAX_CONTENT_OVERHEAD: usize = 24 + 32 + 4 + 16;
/// Bytes of a body besides the padded plaintext: nonce 24, tag 16.
const BODY_OVERHEAD: usize = 24 + 16;
const SALT_BYTES: usize = 32;
const LENGTH_BYTES: usize = 4;

/// What is in an envelope.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
#[bincode(crate = "sealpost_ledger::codec")]
pub enum Content {
    /// What a person wrote.
    Letter(Letter),
    /// Bytes that a letter names: nothing by themselves.
    Part(Part),
}

/// What a person wrote.
#[derive(Debug, Clone, PartialEq, Eq, Default, Encode, Decode)]
#[bincode(crate = "sealpost_ledger::codec")]
pub struct Letter {
    /// The subject, may be empty.
    pub subject: String,
    /// The text, or how it begins.
    pub text: String,
    /// How the text goes on, in UTF-8, if it is too long for one message.
    pub continued: Option<Parts>,
    /// The message it answers.
    pub reply_to: Option<TransactionId>,
    /// Receipts for sealed messages: they never stand on the ledger.
    pub answers: Vec<Receipt>,
    /// Files.
    pub attachments: Vec<Attachment>,
}

/// A file in a message.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
#[bincode(crate = "sealpost_ledger::codec")]
pub struct Attachment {
    /// Its name as the sender gave it. Never a path to write to.
    pub name: String,
    /// What is in it.
    pub data: Data,
}

/// What is in a file.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
#[bincode(crate = "sealpost_ledger::codec")]
pub enum Data {
    /// All of it, here.
    Whole(Vec<u8>),
    /// Where to find it.
    Parts(Parts),
}

impl Data {
    /// Length in bytes.
    pub fn length(&self) -> u64 {
        match self {
            Data::Whole(bytes) => u64::try_from(bytes.len()).unwrap_or(u64::MAX),
            Data::Parts(parts) => parts.length,
        }
    }
    /// Where it is, if it is not here.
    pub fn parts(&self) -> Option<&Parts> {
        match self {
            Data::Whole(_) => None,
            Data::Parts(parts) => Some(parts),
        }
    }
}

/// Bytes that went ahead in messages of their own.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
#[bincode(crate = "sealpost_ledger::codec")]
pub struct Parts {
    /// Length of the whole in bytes.
    pub length: u64,
    /// SHA-256 of the whole, as `sha256sum` prints it.
    pub sha256: [u8; 32],
    /// The messages with the parts, in order.
    pub messages: Vec<TransactionId>,
}

/// A part of something that is too long for one message.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
#[bincode(crate = "sealpost_ledger::codec")]
pub struct Part {
    /// Random, the same in all parts of one letter.
    pub parcel: [u8; 16],
    /// Its place among the parts of that letter, from 0.
    pub number: u32,
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

impl Letter {
    /// The messages that went ahead with its parts.
    pub fn parts(&self) -> impl Iterator<Item = &TransactionId> {
        let files = self.attachments.iter().filter_map(|file| match &file.data {
            Data::Whole(_) => None,
            Data::Parts(parts) => Some(parts),
        });
        self.continued.iter().chain(files).flat_map(|parts| &parts.messages)
    }
    /// Whether it carries receipts and says nothing besides.
    pub fn is_only_receipts(&self) -> bool {
        let Self { subject, text, continued, reply_to: _, answers, attachments } = self;
        let says_nothing =
            subject.is_empty() && text.is_empty() && continued.is_none() && attachments.is_empty();
        says_nothing && !answers.is_empty()
    }
}

impl From<Letter> for Content {
    fn from(letter: Letter) -> Self {
        Content::Letter(letter)
    }
}

impl Content {
    /// Canonical bytes.
    pub fn to_bytes(&self) -> Vec<u8> {
        encode(self)
    }
    /// Reads canonical bytes.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, DecodeError> {
        let content: Self = decode("content", bytes, MAX_BYTES)?;
        match content.too_many() {
            None => Ok(content),
            Some((what, count)) => {
                let reason = format!("{count} {what}, the limit is {MAX_LETTER_ENTRIES}");
                Err(DecodeError::Malformed { what: "content", reason })
            }
        }
    }
    /// What of a letter is more than a letter may have, and how many there are.
    pub(super) fn too_many(&self) -> Option<(&'static str, usize)> {
        let Content::Letter(Letter { answers, attachments, .. }) = self else { return None };
        let counted = [("attachments", attachments.len()), ("answers", answers.len())];
        counted.into_iter().find(|(_, count)| *count > MAX_LETTER_ENTRIES)
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

/// The longest content whose padded, encrypted body has at most `body_limit` bytes. In sealed mode the author block
/// takes its share of it.
pub fn largest_content(body_limit: usize) -> usize {
    let most = body_limit.saturating_sub(BODY_OVERHEAD);
    let padded = match most {
        0..64 => 0,
        64..=1024 => 1 << most.ilog2(),
        _ => {
            let exponent = most.ilog2();
            let kept = exponent.ilog2().saturating_add(1);
            most & !((1_usize << exponent.saturating_sub(kept)).saturating_sub(1))
        }
    };
    padded.saturating_sub(SALT_BYTES + LENGTH_BYTES)
}

/// `salt (32) ‖ length (4, little-endian) ‖ content ‖ author block, if sealed ‖ zeros`.
pub(super) fn to_plaintext(salt: &[u8; 32], content: &[u8], author: &[u8]) -> Zeroizing<Vec<u8>> {
    let length = SALT_BYTES.saturating_add(LENGTH_BYTES).saturating_add(content.len());
    let length = length.saturating_add(author.len());
    let mut plaintext = Zeroizing::new(Vec::with_capacity(padded_length(length)));
    plaintext.extend_from_slice(salt);
    plaintext.extend_from_slice(&u32::try_from(content.len()).unwrap_or(u32::MAX).to_le_bytes());
    plaintext.extend_from_slice(content);
    plaintext.extend_from_slice(author);
    plaintext.resize(padded_length(length), 0);
    plaintext
}

/// What a plaintext consists of besides its padding.
pub(super) struct Plain<'a> {
    pub(super) salt: [u8; 32],
    pub(super) content: &'a [u8],
    pub(super) author: &'a [u8],
}

/// Takes a plaintext apart. The author block has that many bytes, none in open mode.
pub(super) fn from_plaintext(plaintext: &[u8], author_bytes: usize) -> Result<Plain<'_>, ContentError> {
    let (salt, rest) = plaintext.split_first_chunk::<SALT_BYTES>().ok_or(ContentError::Short)?;
    let (length, rest) = rest.split_first_chunk::<LENGTH_BYTES>().ok_or(ContentError::Short)?;
    let length = usize::try_from(u32::from_le_bytes(*length)).map_err(|_| ContentError::Short)?;
    let (content, rest) = rest.split_at_checked(length).ok_or(ContentError::Short)?;
    let (author, padding) = rest.split_at_checked(author_bytes).ok_or(ContentError::Short)?;
    let unpadded = plaintext.len().saturating_sub(padding.len());
    if padded_length(unpadded) != plaintext.len() || padding.iter().any(|byte| *byte != 0) {
        return Err(ContentError::Padding);
    }
    Ok(Plain { salt: *salt, content, author })
}
