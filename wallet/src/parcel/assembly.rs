//! Putting together what came in parts. The sender may lie in every number: nothing is believed, and nothing is
//! reserved by a length that is only announced.

use super::{parts_of, to_u64};
use crate::envelope::{Content, Data, Letter, Part, Parts};
use sealpost_ledger::hash::TransactionId;
use sealpost_terminal::bytes;
use sha2::{Digest, Sha256};
use std::io::Write;
use thiserror::Error;

/// Something of a letter that went ahead in parts.
#[derive(Debug, Clone)]
pub struct Piece<'a> {
    /// What it is, for people: the text, or the name of a file.
    pub what: String,
    /// Which attachment it is, from 0; the text if none.
    pub attachment: Option<usize>,
    /// Number of its first part among the parts of the letter.
    pub first: u32,
    /// What the letter says of it.
    pub parts: &'a Parts,
}

/// Why what came in parts can't be put together.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[allow(missing_docs)]
pub enum ParcelError {
    #[error("{what}: {} ({length} bytes), the limit is {} ({limit} bytes)", bytes(*length), bytes(*limit))]
    TooLong { what: String, length: u64, limit: u64 },
    #[error("{what}: {length} bytes in {parts} parts, which can't be; the sender broke the rules")]
    Impossible { what: String, length: u64, parts: usize },
    #[error("{what}: part {number} of {of} is missing, message {id}: {reason}")]
    Missing { what: String, number: usize, of: usize, id: TransactionId, reason: String },
    #[error("{what}: part {number} of {of}, message {id}, {fault}; the sender broke the rules")]
    Foreign { what: String, number: usize, of: usize, id: TransactionId, fault: String },
    #[error(
        "{what}: the parts have {found} bytes together, {expected} were announced; the sender broke the rules"
    )]
    Length { what: String, expected: u64, found: u64 },
    #[error(
        "{what}: the parts together have the SHA-256 {found}, {expected} was announced; the sender broke the rules"
    )]
    Hash { what: String, expected: String, found: String },
    #[error("{what}: it goes on in bytes that are no UTF-8; the sender broke the rules")]
    NotText { what: String },
    #[error("{what} can't be written: {reason}")]
    Write { what: String, reason: String },
}

impl ParcelError {
    /// Whether the sender broke the rules, so that nobody can put it together, with whatever node.
    pub const fn is_lie(&self) -> bool {
        match self {
            Self::Impossible { .. }
            | Self::Foreign { .. }
            | Self::Length { .. }
            | Self::Hash { .. }
            | Self::NotText { .. } => true,
            Self::TooLong { .. } | Self::Missing { .. } | Self::Write { .. } => false,
        }
    }
}

/// What of a letter went ahead, in the order in which its parts are numbered: the text, then the files.
pub fn pieces(letter: &Letter) -> Vec<Piece<'_>> {
    let text = letter.continued.as_ref().map(|parts| ("the text".to_owned(), None, parts));
    let files = letter.attachments.iter().enumerate().filter_map(|(number, file)| match &file.data {
        Data::Parts(parts) => Some((file.name.clone(), Some(number), parts)),
        Data::Whole(_) => None,
    });
    let mut first = 0_u32;
    let numbered = text.into_iter().chain(files).map(|(what, attachment, parts)| {
        let piece = Piece { what, attachment, first, parts };
        first = first.saturating_add(u32::try_from(parts.messages.len()).unwrap_or(u32::MAX));
        piece
    });
    numbered.collect()
}

/// A piece in the making: takes its parts in order, and writes what they hold.
#[derive(Debug)]
pub struct Assembly<'a, W> {
    piece: &'a Piece<'a>,
    parcel: Option<[u8; 16]>,
    taken: usize,
    length: u64,
    hash: Sha256,
    out: W,
}

impl<'a, W: Write> Assembly<'a, W> {
    /// Begins a piece of at most `limit` bytes; `part_limit` is what one message of this network can hold.
    /// `parcel` is what the parts of the letter have in common, if one of them was seen already.
    pub fn begin(
        piece: &'a Piece<'a>,
        limit: u64,
        part_limit: usize,
        parcel: Option<[u8; 16]>,
        out: W,
    ) -> Result<Self, ParcelError> {
        let Parts { length, messages, .. } = piece.parts;
        if *length > limit {
            return Err(ParcelError::TooLong { what: piece.what.clone(), length: *length, limit });
        }
        let (fewest, found) = (parts_of(*length, part_limit), to_u64(messages.len()));
        // Every part holds something, and none more than a message can.
        if found < fewest.max(1) || found > *length {
            let (what, parts) = (piece.what.clone(), messages.len());
            return Err(ParcelError::Impossible { what, length: *length, parts });
        }
        Ok(Self { piece, parcel, taken: 0, length: 0, hash: Sha256::new(), out })
    }
    /// Takes the next part.
    pub fn add(&mut self, content: Content) -> Result<(), ParcelError> {
        let fault = |fault: String| self.foreign(fault);
        let Content::Part(Part { parcel, number, bytes }) = content else {
            return Err(fault("is a letter".into()));
        };
        let place = u32::try_from(self.taken).unwrap_or(u32::MAX).saturating_add(self.piece.first);
        if number != place {
            return Err(fault(format!("has number {number} where {place} is due")));
        }
        if self.parcel.is_some_and(|known| known != parcel) {
            return Err(fault("belongs to another letter".into()));
        }
        if bytes.is_empty() {
            return Err(fault("is empty".into()));
        }
        let length = self.length.saturating_add(to_u64(bytes.len()));
        if length > self.piece.parts.length {
            let announced = self.piece.parts.length;
            return Err(fault(format!("makes {length} bytes, and {announced} were announced")));
        }
        self.out.write_all(&bytes).map_err(|error| ParcelError::Write {
            what: self.piece.what.clone(),
            reason: error.to_string(),
        })?;
        self.hash.update(&bytes);
        (self.parcel, self.length) = (Some(parcel), length);
        self.taken = self.taken.saturating_add(1);
        Ok(())
    }
    /// All parts are there: is it what was announced? Returns where it was written, and the parcel.
    pub fn finish(self) -> Result<(W, Option<[u8; 16]>), ParcelError> {
        let (what, announced) = (self.piece.what.clone(), self.piece.parts);
        if self.taken != announced.messages.len() || self.length != announced.length {
            return Err(ParcelError::Length { what, expected: announced.length, found: self.length });
        }
        let found: [u8; 32] = self.hash.finalize().into();
        if found != announced.sha256 {
            let (expected, found) = (const_hex::encode(announced.sha256), const_hex::encode(found));
            return Err(ParcelError::Hash { what, expected, found });
        }
        Ok((self.out, self.parcel))
    }
    /// Bytes so far.
    pub const fn length(&self) -> u64 {
        self.length
    }
    fn foreign(&self, fault: String) -> ParcelError {
        let of = self.piece.parts.messages.len();
        let id = self.piece.parts.messages.get(self.taken).copied();
        let id = id.unwrap_or_else(|| TransactionId::from_bytes([0; 32]));
        ParcelError::Foreign {
            what: self.piece.what.clone(),
            number: self.taken.saturating_add(1),
            of,
            id,
            fault,
        }
    }
}
