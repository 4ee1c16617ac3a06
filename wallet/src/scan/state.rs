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
    answers: Vec<HeldAnswer>,
}

/// An answer to a sealed message of ours, which was checked when it was found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Encode, Decode)]
#[bincode(crate = "sealpost_ledger::codec")]
pub struct HeldAnswer {
    /// The sealed reply that it came in.
    pub reply: TransactionId,
    /// Where the reply stands.
    pub at: Position,
    /// The answer.
    pub receipt: Receipt,
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
    /// A letter that carries receipts and says nothing besides.
    Receipts,
    /// Its body was found later, and breaks the rules.
    Broken,
}

impl HeldAnswer {
    fn answers(&self, message: &TransactionId, slot: u16) -> bool {
        self.receipt.message == *message && self.receipt.slot == slot
    }
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
    /// The answer to a slot of a sealed message of ours.
    pub fn answer(&self, message: &TransactionId, slot: u16) -> Option<HeldAnswer> {
        self.answers.iter().find(|held| held.answers(message, slot)).copied()
    }
    /// All answers to sealed messages of ours, the newest first.
    pub fn answers(&self) -> Vec<HeldAnswer> {
        let mut answers = self.answers.clone();
        answers.sort_by_key(|held| std::cmp::Reverse(held.at));
        answers
    }
    /// Keeps an answer that holds; of several for a slot the first on the ledger counts.
    pub(super) fn answered(&mut self, answer: HeldAnswer) {
        let Receipt { message, slot, .. } = answer.receipt;
        match self.answers.iter_mut().find(|held| held.answers(&message, slot)) {
            Some(held) if held.at <= answer.at => {}
            Some(held) => *held = answer,
            None => self.answers.push(answer),
        }
    }
    /// Those of the bundles at hand whose bodies were not to be had, the newest first, so many at most.
    pub(super) fn unread(&self, bundles: &[u64], most: usize) -> Vec<Found> {
        let unread = |found: &&Found| found.kind == FoundKind::Unread && bundles.contains(&found.bundle);
        let mut unread: Vec<_> = self.found.iter().filter(unread).copied().collect();
        unread.sort_by_key(|found| std::cmp::Reverse(found.at));
        unread.truncate(most);
        unread
    }
    /// What a message turned out to be.
    pub(super) fn turned_out(&mut self, message: Found) {
        if let Some(found) = self.found.iter_mut().find(|found| found.id == message.id) {
            *found = message;
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
    use sealpost_ledger::height::BlockHeight;
    use sealpost_ledger::receipt::{Answer, RefusalReason};

    #[test]
    fn the_first_answer_for_a_slot_counts() {
        let mut state = ScanState::default();
        let message = TransactionId::from_bytes([1; 32]);
        let opened = Receipt { message, slot: 0, answer: Answer::Opened { secret: [2; 32] } };
        let refused = Receipt { answer: Answer::Refused { reason: RefusalReason::Unwanted }, ..opened };
        let held = |height, receipt| {
            let at = Position { height: BlockHeight::new(height), index: 0 };
            HeldAnswer { reply: TransactionId::from_bytes([3; 32]), at, receipt }
        };
        state.answered(held(5, opened));
        state.answered(held(6, refused));
        assert_eq!(state.answer(&message, 0), Some(held(5, opened)));
        // A later scan with another secret finds an earlier one.
        state.answered(held(4, refused));
        assert_eq!(state.answer(&message, 0), Some(held(4, refused)));
        assert_eq!(state.answer(&message, 1), None);
        assert_eq!(ScanState::from_bytes(&state.to_bytes()), Some(state));
    }

    #[test]
    fn the_newest_messages_without_a_body_are_looked_at_again_as_long_as_their_keys_are_here() {
        let found = |number: u8, bundle, kind| {
            let at = Position { height: BlockHeight::new(number.into()), index: 0 };
            Found { id: TransactionId::from_bytes([number; 32]), at, slot: 0, bundle, author: None, kind }
        };
        let mut state = ScanState::default();
        state.found.extend([
            found(1, 3, FoundKind::Unread),
            found(5, 3, FoundKind::Unread),
            found(2, 3, FoundKind::Letter),
            found(3, 4, FoundKind::Unread),
            found(4, 3, FoundKind::Unread),
        ]);
        let heights = |state: &ScanState, bundles: &[u64], most| -> Vec<u64> {
            state.unread(bundles, most).iter().map(|found| found.at.height.get()).collect()
        };
        assert_eq!(heights(&state, &[3], 2), [5, 4]);
        assert_eq!(heights(&state, &[3, 4], 9), [5, 4, 3, 1]);
        state.turned_out(found(5, 3, FoundKind::Receipts));
        state.turned_out(found(4, 3, FoundKind::Broken));
        assert_eq!(heights(&state, &[3], 9), [1]);
        assert_eq!(ScanState::from_bytes(&state.to_bytes()), Some(state));
    }

    proptest! {
        #[test]
        fn whatever_stands_there_is_read_or_found_again(bytes: Vec<u8>) {
            let _ = ScanState::from_bytes(&bytes);
        }
    }
}
