//! What a person has of a conversation: letters that came and were opened, and letters that were sent, from
//! archive and outbox alike; and how they answer one another.

use crate::archive::{Record, Way};
use crate::envelope::Letter;
use crate::outbox::OutboxEntry;
use sealpost_ledger::address::Address;
use sealpost_ledger::hash::TransactionId;
use sealpost_ledger::height::BlockHeight;
use std::collections::{BTreeMap, BTreeSet};

/// A letter whose content is here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Kept {
    /// Its id.
    pub id: TransactionId,
    /// Which way it went.
    pub way: Way,
    /// Who wrote it.
    pub from: Address,
    /// Whom to, as far as it is known.
    pub to: Vec<Address>,
    /// Where it stands.
    pub place: Place,
    /// Whether it is sealed: an answer to it must not name anybody either.
    pub sealed: bool,
    /// What it says.
    pub letter: Letter,
}

/// Where a letter stands, and since when. Ordered as the ledger orders them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Place {
    /// In a block; this wallet verified it.
    Final {
        /// The block.
        height: BlockHeight,
        /// Position in the block.
        index: u32,
        /// The block's time.
        time_ms: u64,
    },
    /// Signed here; its place in a block is not known.
    Signed {
        /// By this machine's clock.
        time_ms: u64,
        /// The block, if this wallet has verified that one contains it.
        height: Option<BlockHeight>,
    },
}

impl Place {
    /// The block's time, or that of signing; milliseconds since 1970 UTC.
    pub const fn time_ms(&self) -> u64 {
        match self {
            Place::Final { time_ms, .. } | Place::Signed { time_ms, .. } => *time_ms,
        }
    }
    /// The block.
    pub const fn height(&self) -> Option<BlockHeight> {
        match self {
            Place::Final { height, .. } => Some(*height),
            Place::Signed { height, .. } => *height,
        }
    }
}

impl From<Record> for Kept {
    fn from(record: Record) -> Self {
        let (id, Record { letter, facts, .. }) = (record.id(), record);
        let (height, time_ms) = (facts.header.height, facts.header.time_ms);
        let place = Place::Final { height, index: facts.index, time_ms };
        let sealed = facts.author_block.is_some();
        Self { id, way: facts.way, from: facts.author, to: facts.to, place, sealed, letter }
    }
}

impl Kept {
    /// A letter that was sent, from the outbox.
    pub(crate) fn sent(entry: &OutboxEntry, to: Vec<Address>, from: Address, letter: Letter) -> Self {
        let place = Place::Signed { time_ms: entry.signed_ms, height: entry.height };
        let sealed = entry.author.is_some();
        Self { id: entry.id, way: Way::Went, from, to, place, sealed, letter }
    }
}

/// How letters answer one another: ids, places and answers of all of them, which is little, and no text.
#[derive(Debug, Clone, Default)]
pub struct Links(BTreeMap<TransactionId, (Place, Option<TransactionId>)>);

/// A conversation in order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Thread {
    /// The letters that are here, in their order.
    pub letters: Vec<TransactionId>,
    /// What they answer that is not here: not opened yet, forgotten, or not for this wallet.
    pub missing: Vec<TransactionId>,
}

impl Links {
    /// Adds a letter.
    pub fn add(&mut self, kept: &Kept) {
        self.0.insert(kept.id, (kept.place, kept.letter.reply_to));
    }
    /// Everything that is connected with a letter by answers; nothing if neither it nor an answer to it is
    /// here.
    pub fn thread(&self, of: &TransactionId) -> Option<Thread> {
        let mut neighbours: BTreeMap<TransactionId, Vec<TransactionId>> = BTreeMap::new();
        for (id, (_, reply_to)) in &self.0 {
            if let Some(answered) = reply_to {
                neighbours.entry(*id).or_default().push(*answered);
                neighbours.entry(*answered).or_default().push(*id);
            }
        }
        let (mut found, mut to_visit) = (BTreeSet::from([*of]), vec![*of]);
        while let Some(id) = to_visit.pop() {
            let next = neighbours.get(&id).into_iter().flatten();
            to_visit.extend(next.filter(|id| found.insert(**id)));
        }
        let mut letters: Vec<_> =
            found.iter().filter_map(|id| self.0.get(id).map(|(place, _)| (*place, *id))).collect();
        letters.sort_unstable();
        let missing = found.into_iter().filter(|id| !self.0.contains_key(id)).collect();
        let letters: Vec<_> = letters.into_iter().map(|(_, id)| id).collect();
        if letters.is_empty() { None } else { Some(Thread { letters, missing }) }
    }
    /// What a letter answers, what that answers, and so on: the oldest first.
    pub fn ancestors(&self, of: &TransactionId) -> Vec<TransactionId> {
        let mut found = Vec::new();
        let answered = |id: &TransactionId| self.0.get(id).and_then(|(_, reply_to)| *reply_to);
        let mut next = answered(of);
        // An id can't be in what it is the hash of, so there are no rings; a bound all the same.
        while let Some(id) = next.filter(|_| found.len() < 1000) {
            found.push(id);
            next = answered(&id);
        }
        found.reverse();
        found
    }
    /// All letters, in their order.
    pub fn in_order(&self) -> Vec<TransactionId> {
        let mut letters: Vec<_> = self.0.iter().map(|(id, (place, _))| (*place, *id)).collect();
        letters.sort_unstable();
        letters.into_iter().map(|(_, id)| id).collect()
    }
    /// The ids that begin with a text.
    pub fn beginning(&self, text: &str) -> Vec<TransactionId> {
        self.0.keys().filter(|id| id.to_string().starts_with(text)).copied().collect()
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn id(number: u8) -> TransactionId {
        TransactionId::from_bytes([number; 32])
    }

    fn links(of: &[(u8, u64, Option<u8>)]) -> Links {
        let place = |height| match height {
            0 => Place::Signed { time_ms: 7, height: None },
            height => Place::Final { height: BlockHeight::new(height), index: 0, time_ms: 9 },
        };
        let entries = of.iter().map(|(n, height, answers)| (id(*n), (place(*height), answers.map(id))));
        Links(entries.collect())
    }

    #[test]
    fn a_thread_is_whole_and_in_order_from_whichever_letter_one_begins() {
        let links = links(&[
            (9, 1, None),
            (3, 2, Some(9)),
            (5, 4, Some(3)),
            (4, 3, Some(9)),
            (2, 0, Some(5)),
            (1, 2, None),
        ]);
        for of in [9, 3, 5, 4, 2] {
            let thread = links.thread(&id(of)).unwrap();
            assert_eq!(thread.letters, [9, 3, 4, 5, 2].map(id), "from {of}");
            assert!(thread.missing.is_empty());
        }
        assert_eq!(links.thread(&id(1)).unwrap().letters, [id(1)]);
        assert_eq!(links.thread(&id(8)), None);
        assert_eq!(links.ancestors(&id(2)), [9, 3, 5].map(id));
    }

    #[test]
    fn what_is_not_here_holds_a_thread_together_and_is_named() {
        let links = links(&[(3, 2, Some(9)), (4, 3, Some(9))]);
        let thread = links.thread(&id(4)).unwrap();
        assert_eq!((thread.letters, thread.missing), (vec![id(3), id(4)], vec![id(9)]));
        assert_eq!(links.thread(&id(9)).unwrap().letters.len(), 2);
    }
}
