//! What scans have found and how far they came. It is as long as what is the wallet's own, however long the
//! ledger is, and stands encrypted in the wallet's folder: who writes to whom is in it.

use crate::light::Position;
use sealpost_ledger::address::Address;
use sealpost_ledger::codec::{Decode, Encode, MAX_BYTES, decode, encode};
use sealpost_ledger::hash::TransactionId;
use sealpost_ledger::receipt::Receipt;

const VERSION: u16 = 1;

/// What scans have found.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
#[bincode(crate = "sealpost_ledger::codec")]
pub struct ScanState {
    version: u16,
    /// Everything up to here was looked at.
    pub(super) position: Position,
    /// Bundles whose secrets were used for that.
    pub(super) secrets: Vec<u64>,
    /// Sealed messages to this wallet, in the order in which they were found.
    pub(super) found: Vec<Found>,
    answers: Vec<(TransactionId, Receipt)>,
}

/// A sealed message to this wallet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Encode, Decode)]
#[bincode(crate = "sealpost_ledger::codec")]
pub struct Found {
    /// The message.
    pub id: TransactionId,
    /// Where it stands.
    pub at: Position,
    /// Which slot is ours.
    pub slot: u16,
    /// The key bundle that it was made for.
    pub bundle: u64,
    /// Who wrote it; unknown if its body was not to be had.
    pub author: Option<Address>,
    /// What is in it.
    pub kind: FoundKind,
}

/// What is in a sealed message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Encode, Decode)]
#[bincode(crate = "sealpost_ledger::codec")]
pub enum FoundKind {
    /// A letter.
    Letter,
    /// A part of what was too long for one message.
    Part,
    /// Its body was not to be had.
    Unread,
}

impl Default for ScanState {
    fn default() -> Self {
        Self {
            version: VERSION,
            position: Position::default(),
            secrets: Vec::new(),
            found: Vec::new(),
            answers: Vec::new(),
        }
    }
}

impl ScanState {
    /// Sealed messages to this wallet, in the order in which they were found.
    pub fn found(&self) -> &[Found] {
        &self.found
    }
    /// How far scans have looked.
    pub fn position(&self) -> Position {
        self.position
    }
    /// The answer to a slot of a sealed message of ours, and the reply it came in.
    pub fn answer(&self, message: &TransactionId, slot: u16) -> Option<(TransactionId, Receipt)> {
        let answers =
            |(_, receipt): &&(TransactionId, Receipt)| receipt.message == *message && receipt.slot == slot;
        self.answers.iter().find(answers).copied()
    }
    /// Keeps an answer that holds; the first for a slot counts.
    pub(super) fn answered(&mut self, reply: TransactionId, receipt: Receipt) {
        if self.answer(&receipt.message, receipt.slot).is_none() {
            self.answers.push((reply, receipt));
        }
    }
    pub(super) fn to_bytes(&self) -> Vec<u8> {
        encode(self)
    }
    pub(super) fn from_bytes(bytes: &[u8]) -> Option<Self> {
        decode::<Self>("scan", bytes, MAX_BYTES).ok().filter(|state| state.version == VERSION)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use sealpost_ledger::receipt::{Answer, RefusalReason};

    #[test]
    fn the_first_answer_for_a_slot_counts() {
        let mut state = ScanState::default();
        let message = TransactionId::from_bytes([1; 32]);
        let opened = Receipt { message, slot: 0, answer: Answer::Opened { secret: [2; 32] } };
        let refused = Receipt { answer: Answer::Refused { reason: RefusalReason::Unwanted }, ..opened };
        let (first, second) = (TransactionId::from_bytes([3; 32]), TransactionId::from_bytes([4; 32]));
        state.answered(first, opened);
        state.answered(second, refused);
        assert_eq!(state.answer(&message, 0), Some((first, opened)));
        assert_eq!(state.answer(&message, 1), None);
        assert_eq!(ScanState::from_bytes(&state.to_bytes()), Some(state));
    }

    proptest! {
        #[test]
        fn whatever_stands_there_is_read_or_found_again(bytes: Vec<u8>) {
            let _ = ScanState::from_bytes(&bytes);
        }
    }
}
