//! What scans have found and how far they came. It is as long as what is the wallet's own, however long the
//! ledger is, and stands encrypted in the wallet's folder: who writes to whom is in it.
//!
//! ```text
//!  version (2 bytes) ─► length (4 bytes) and piece ─► …     one of how far, then of what was found, then of answers
//! ```

use crate::light::Position;
use sealpost_ledger::address::Address;
use sealpost_ledger::codec::{Decode, Encode, MAX_BYTES, decode, encode};
use sealpost_ledger::hash::TransactionId;
use sealpost_ledger::receipt::Receipt;
use std::cmp::Ordering;
use std::collections::HashMap;

const VERSION: u16 = 2;
/// One piece, and so bounded as a whole: a wallet with very many messages could not read it again.
const FORMER: u16 = 1;
/// What a piece has of each. That makes about half of what a decoder takes.
const IN_A_PIECE: usize = 65_536;

/// What scans have found.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ScanState {
    /// How far they have looked.
    pub(super) looked: Looked,
    /// Sealed messages to this wallet, in the order in which they were found.
    pub(super) found: Vec<Found>,
    answers: Vec<HeldAnswer>,
}

/// How far scans have looked.
#[derive(Debug, Clone, PartialEq, Eq, Default, Encode, Decode)]
#[bincode(crate = "sealpost_ledger::codec")]
pub(super) struct Looked {
    /// How often they have begun anew. What was begun before does not count as looked at after that.
    pub(super) rescans: u64,
    /// Everything up to here was looked at.
    pub(super) position: Position,
    /// Bundles whose secrets were used for that.
    pub(super) secrets: Vec<u64>,
}

/// The whole of version 1.
#[derive(Encode, Decode)]
#[bincode(crate = "sealpost_ledger::codec")]
struct Former {
    version: u16,
    position: Position,
    secrets: Vec<u64>,
    found: Vec<Found>,
    answers: Vec<HeldAnswer>,
}

#[derive(Encode, Decode)]
#[bincode(crate = "sealpost_ledger::codec")]
enum Piece {
    Looked(Looked),
    Found(Vec<Found>),
    Answers(Vec<HeldAnswer>),
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

impl Looked {
    /// How far two programs have come together, of which neither knew of the other: both say the truth.
    fn with(self, other: Self) -> Self {
        let same = self.secrets.len() == other.secrets.len()
            && self.secrets.iter().all(|secret| other.secrets.contains(secret));
        match self.rescans.cmp(&other.rescans) {
            Ordering::Less => other,
            Ordering::Greater => self,
            Ordering::Equal if same => Self { position: self.position.max(other.position), ..self },
            Ordering::Equal => {
                let Self { rescans, position, mut secrets } = self;
                let new: Vec<_> = other.secrets.into_iter().filter(|new| !secrets.contains(new)).collect();
                secrets.extend(new);
                Self { rescans, position: position.min(other.position), secrets }
            }
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
        self.looked.position
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
    /// Takes in what another program has written meanwhile, so that nothing is lost of what either has found. What that
    /// one has found keeps its place: whoever tells of new messages counts them. Returns how far both have looked.
    pub(super) fn unite(&mut self, kept: Self) -> Looked {
        let Self { looked, found, answers } = kept;
        let mine = std::mem::replace(&mut self.found, found);
        let mut places: HashMap<_, _> =
            self.found.iter().enumerate().map(|(place, found)| (found.id, place)).collect();
        for found in mine {
            match places.get(&found.id).and_then(|place| self.found.get_mut(*place)) {
                // What was in it is known to one of the two.
                Some(kept) if kept.kind == FoundKind::Unread => *kept = found,
                Some(_) => {}
                None => {
                    places.insert(found.id, self.found.len());
                    self.found.push(found);
                }
            }
        }
        let mine = std::mem::replace(&mut self.answers, answers);
        let of = |held: &HeldAnswer| (held.receipt.message, held.receipt.slot);
        let mut places: HashMap<_, _> =
            self.answers.iter().enumerate().map(|(place, held)| (of(held), place)).collect();
        for held in mine {
            match places.get(&of(&held)).and_then(|place| self.answers.get_mut(*place)) {
                Some(kept) if kept.at <= held.at => {}
                Some(kept) => *kept = held,
                None => {
                    places.insert(of(&held), self.answers.len());
                    self.answers.push(held);
                }
            }
        }
        self.looked.clone().with(looked)
    }
    pub(super) fn to_bytes(&self) -> Vec<u8> {
        let found = self.found.chunks(IN_A_PIECE).map(|found| Piece::Found(found.to_vec()));
        let answers = self.answers.chunks(IN_A_PIECE).map(|answers| Piece::Answers(answers.to_vec()));
        let mut bytes = VERSION.to_le_bytes().to_vec();
        for piece in std::iter::once(Piece::Looked(self.looked.clone())).chain(found).chain(answers) {
            let piece = encode(&piece);
            bytes.extend(u32::try_from(piece.len()).unwrap_or(u32::MAX).to_le_bytes());
            bytes.extend(piece);
        }
        bytes
    }
    pub(super) fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let (version, pieces) = bytes.split_first_chunk()?;
        match u16::from_le_bytes(*version) {
            VERSION => Self::from_pieces(pieces).filter(|state| state.to_bytes() == bytes),
            FORMER => {
                let Former { version: _, position, secrets, found, answers } =
                    decode("scan", bytes, MAX_BYTES).ok()?;
                Some(Self { looked: Looked { rescans: 0, position, secrets }, found, answers })
            }
            _ => None,
        }
    }
    fn from_pieces(mut bytes: &[u8]) -> Option<Self> {
        let mut state = Self::default();
        while let Some((length, rest)) = bytes.split_first_chunk() {
            let length = usize::try_from(u32::from_le_bytes(*length)).ok()?;
            let (piece, rest) = rest.split_at_checked(length)?;
            match decode("scan", piece, MAX_BYTES).ok()? {
                Piece::Looked(looked) => state.looked = looked,
                Piece::Found(found) => state.found.extend(found),
                Piece::Answers(answers) => state.answers.extend(answers),
            }
            bytes = rest;
        }
        Some(state)
    }
    /// Whether bytes are of the version that is written.
    #[cfg(any(test, feature = "fuzzing"))]
    pub(super) fn is_newest(bytes: &[u8]) -> bool {
        bytes.starts_with(&VERSION.to_le_bytes())
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

    #[test]
    fn what_two_programs_have_found_is_united_and_keeps_its_order() {
        let found = |number: u8, kind| {
            let at = Position { height: BlockHeight::new(number.into()), index: 0 };
            Found { id: TransactionId::from_bytes([number; 32]), at, slot: 0, bundle: 1, author: None, kind }
        };
        let (x, y, z) =
            (found(1, FoundKind::Letter), found(2, FoundKind::Letter), found(3, FoundKind::Letter));
        let mut kept = ScanState { found: vec![x, found(2, FoundKind::Unread), z], ..ScanState::default() };
        let mine = ScanState { found: vec![x, y, found(4, FoundKind::Part)], ..ScanState::default() };
        let mut state = mine.clone();
        state.unite(kept.clone());
        assert_eq!(state.found, [x, y, z, found(4, FoundKind::Part)]);
        kept.unite(mine);
        assert_eq!(kept.found, [x, y, found(4, FoundKind::Part), z], "the other's order comes first");
        let receipt = Receipt { message: x.id, slot: 0, answer: Answer::Opened { secret: [2; 32] } };
        let held = |index| HeldAnswer { reply: y.id, at: Position { index, ..y.at }, receipt };
        let mut other = state.clone();
        state.answered(held(3));
        other.answered(held(2));
        other.unite(state.clone());
        state.unite(other.clone());
        assert_eq!((state.answers(), other.answers()), (vec![held(2)], vec![held(2)]));
    }

    #[test]
    fn two_programs_have_together_looked_as_far_as_both_can_say_and_a_rescan_begins_anew() {
        let looked = |rescans, height, secrets: &[u64]| {
            let position = Position::end_of(BlockHeight::new(height));
            Looked { rescans, position, secrets: secrets.to_vec() }
        };
        for (one, other, both) in [
            (looked(0, 5, &[1]), looked(0, 9, &[1]), looked(0, 9, &[1])),
            (looked(0, 5, &[1, 2]), looked(0, 9, &[2, 1]), looked(0, 9, &[1, 2])),
            // Up to 5 both keys were used, one here and one there.
            (looked(0, 5, &[1]), looked(0, 9, &[1, 2]), looked(0, 5, &[1, 2])),
            (looked(1, 2, &[1]), looked(0, 9, &[1]), looked(1, 2, &[1])),
        ] {
            assert_eq!(one.clone().with(other.clone()).position, both.position);
            let Looked { rescans, mut secrets, .. } = other.with(one);
            secrets.sort_unstable();
            assert_eq!((rescans, secrets), (both.rescans, both.secrets));
        }
    }

    #[test]
    fn what_an_earlier_version_has_written_is_read() {
        let at = Position { height: BlockHeight::new(7), index: 1 };
        let found = Found {
            id: TransactionId::from_bytes([1; 32]),
            at,
            slot: 0,
            bundle: 1,
            author: None,
            kind: FoundKind::Letter,
        };
        let former = Former {
            version: FORMER,
            position: at,
            secrets: vec![1],
            found: vec![found],
            answers: Vec::new(),
        };
        let state = ScanState::from_bytes(&encode(&former)).unwrap();
        assert_eq!((state.position(), state.found(), state.looked.rescans), (at, [found].as_slice(), 0));
        assert!(ScanState::is_newest(&state.to_bytes()));
    }

    /// 16 MiB are what one decoding takes.
    #[test]
    fn more_messages_than_one_decoding_takes_are_kept_and_read_again() {
        let at = Position { height: BlockHeight::new(7), index: 1 };
        let id = TransactionId::from_bytes([1; 32]);
        let found = Found { id, at, slot: 0, bundle: 1, author: None, kind: FoundKind::Part };
        let mut state = ScanState { found: vec![found; 300_000], ..ScanState::default() };
        let receipt = Receipt { message: id, slot: 0, answer: Answer::Opened { secret: [2; 32] } };
        state.answers = vec![HeldAnswer { reply: id, at, receipt }; 100_000];
        let bytes = state.to_bytes();
        assert!(bytes.len() > MAX_BYTES);
        assert!(ScanState::from_bytes(&bytes) == Some(state));
    }

    proptest! {
        #[test]
        fn whatever_stands_there_is_read_or_found_again(bytes: Vec<u8>) {
            let _ = ScanState::from_bytes(&bytes);
        }
    }
}
