//! Parcels: letters that are too long for one message. What is long goes ahead in parts of equal size, each a
//! message of its own, and the letter names them. This module is the arithmetic of it and the reader's
//! distrust; it asks nobody and writes nothing.

mod assembly;
#[cfg(test)]
mod tests;

pub use assembly::{Assembly, ParcelError, Piece, pieces};

use crate::envelope::{SealError, largest_content};
use sealpost_ledger::author::AuthorBlock;
use sealpost_ledger::evidence::MAX_LETTER_ENTRIES;
use sealpost_ledger::genesis::Genesis;
use sealpost_ledger::message::Mode;

/// The longest text of a letter, in bytes. What is longer is a file.
pub const MAX_TEXT_BYTES: u64 = 8 << 20;
/// How much of a long text stays in the letter: what is seen before the rest is fetched.
const TEXT_HEAD_BYTES: usize = 4096;
/// Bytes of a transaction with a message beside its slots, at most.
const HEADER_BYTES: usize = 512;
/// Bytes of a slot of suite 2, at most.
const SLOT_BYTES: usize = 1360;
/// Bytes of a content around the bytes of a part: variant 4, parcel 16, number 4, length 8.
const PART_BYTES: usize = 32;
/// Bytes of a letter around its texts and files.
const LETTER_BYTES: usize = 4 + 8 + 8 + 1 + 33 + 8 + 8;
/// Bytes of parts in a letter around their ids: length 8, hash 32, number of messages 8.
const PARTS_BYTES: usize = 48;
const ID_BYTES: usize = 32;

/// Lengths of what a letter is made of, in bytes.
#[derive(Debug, Clone, Default)]
pub struct Sizes<'a> {
    /// Subject.
    pub subject: usize,
    /// The text.
    pub text: &'a str,
    /// Name and content of each file.
    pub files: Vec<(usize, u64)>,
}

/// What of a letter goes ahead in parts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plan {
    /// Bytes of a part; the last of a file may have fewer.
    pub chunk: usize,
    /// Bytes of the text that stay in the letter; all of them, if it does not go on.
    pub head: usize,
    /// Whether each file goes ahead.
    pub ahead: Vec<bool>,
}

/// Longest content of a message to so many recipients, in bytes: its body must fit the network's limit when it
/// is padded, and the whole must fit the part of a block that is for senders who are not members.
pub fn room(genesis: &Genesis, recipients: usize, mode: Mode) -> usize {
    let limits = genesis.limits();
    let percent = usize::from(genesis.postage().strangers_percent);
    let strangers = to_usize(limits.block_bytes.into()) / 100 * percent;
    let free = strangers.saturating_sub(beside(recipients));
    let author = match mode {
        Mode::Open => 0,
        Mode::Sealed => AuthorBlock::length(recipients),
    };
    largest_content(to_usize(limits.body_bytes.into()).min(free)).saturating_sub(author)
}

/// Bytes of a message's transaction beside its body, at most.
pub fn beside(recipients: usize) -> usize {
    HEADER_BYTES.saturating_add(SLOT_BYTES.saturating_mul(recipients))
}

/// Number of parts of so many bytes.
pub fn parts_of(length: u64, chunk: usize) -> u64 {
    length.div_ceil(chunk.max(1) as u64)
}

/// Decides what goes ahead: nothing if the letter fits; else the longest first, until it fits.
pub fn plan(sizes: &Sizes<'_>, room: usize) -> Result<Plan, SealError> {
    // Told before anything goes ahead.
    if sizes.files.len() > MAX_LETTER_ENTRIES {
        return Err(SealError::TooMany { what: "attachments", count: sizes.files.len() });
    }
    let mut plan = Plan {
        chunk: room.saturating_sub(PART_BYTES),
        head: sizes.text.len(),
        ahead: vec![false; sizes.files.len()],
    };
    let mut longest: Vec<(usize, u64)> =
        sizes.files.iter().enumerate().map(|(number, file)| (number, file.1)).collect();
    longest.sort_by_key(|(_, length)| *length);
    loop {
        let length = length(sizes, &plan);
        if length <= to_u64(room) && plan.chunk > 0 {
            return Ok(plan);
        }
        let text_is_whole = plan.head == sizes.text.len() && plan.head > TEXT_HEAD_BYTES;
        let text = if text_is_whole { to_u64(sizes.text.len()) } else { 0 };
        match longest.pop() {
            Some((number, file)) if file > text && file > to_u64(PARTS_BYTES + ID_BYTES) => {
                if let Some(ahead) = plan.ahead.get_mut(number) {
                    *ahead = true;
                }
            }
            other if text > 0 => {
                longest.extend(other);
                plan.head = sizes.text.floor_char_boundary(TEXT_HEAD_BYTES);
            }
            _ => {
                let limit = u32::try_from(room).unwrap_or(u32::MAX);
                return Err(SealError::TooLong { length: to_usize(length), limit });
            }
        }
    }
}

/// Length of the letter that a plan makes, encoded.
fn length(sizes: &Sizes<'_>, plan: &Plan) -> u64 {
    let ids = |length: u64| parts_of(length, plan.chunk).saturating_mul(to_u64(ID_BYTES));
    let parts = |length: u64| to_u64(PARTS_BYTES).saturating_add(ids(length));
    let rest = sizes.text.len().saturating_sub(plan.head);
    let text = if rest > 0 { parts(to_u64(rest)) } else { 0 };
    let files = sizes.files.iter().zip(&plan.ahead).map(|((name, length), ahead)| {
        let data = if *ahead { parts(*length) } else { length.saturating_add(8) };
        data.saturating_add(to_u64(*name)).saturating_add(8 + 4)
    });
    let fixed = LETTER_BYTES.saturating_add(sizes.subject).saturating_add(plan.head);
    files.fold(to_u64(fixed).saturating_add(text), u64::saturating_add)
}

fn to_u64(length: usize) -> u64 {
    u64::try_from(length).unwrap_or(u64::MAX)
}

fn to_usize(length: u64) -> usize {
    usize::try_from(length).unwrap_or(usize::MAX)
}
