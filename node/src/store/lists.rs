//! Lists of transactions by address, in the order of the chain: what each received and sent. Where its transactions
//! stand is kept in chunks of equal length, and the newest places, a chunk at most, in the list's head: adding to a
//! list rewrites its head alone, and any place in it is found by halving, however long it is.
//!
//! parity-db keeps values of a length together, and moves one whose length changes: from one file to another, and a hole
//! is left. So a head has room for a whole chunk from the first chunk on, and before that for a power of two of places.

use super::index::{Change, Index, Kind, wrong_length};
use sealpost_ledger::address::Address;
use sealpost_ledger::height::BlockHeight;
use sealpost_ledger::state::ViewError;

/// Places of a chunk. More would make the head, which is written again and again, longer; fewer, more chunks.
const CHUNK: usize = 16;
/// Bytes of a place: its height has six and not eight.
pub(super) const PLACE: usize = 10;

/// Which way a list is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Order {
    /// The oldest first.
    OldestFirst,
    /// The newest first.
    NewestFirst,
}

/// A place in a list, exclusive: that of a transaction on the chain.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Cursor {
    /// Height of the block.
    pub height: BlockHeight,
    /// Position in it.
    pub index: u32,
}

impl Cursor {
    pub(super) fn to_bytes(self) -> [u8; PLACE] {
        let [_, _, a, b, c, d, e, f] = self.height.get().to_be_bytes();
        let [g, h, i, j] = self.index.to_be_bytes();
        [a, b, c, d, e, f, g, h, i, j]
    }
    pub(super) const fn from_bytes([a, b, c, d, e, f, g, h, i, j]: [u8; PLACE]) -> Self {
        let height = BlockHeight::new(u64::from_be_bytes([0, 0, a, b, c, d, e, f]));
        Self { height, index: u32::from_be_bytes([g, h, i, j]) }
    }
}

/// One address's list of one kind.
pub(super) struct List<'a> {
    index: &'a Index,
    kind: Kind,
    address: Address,
    /// Whole chunks.
    chunks: u32,
    /// The newest places.
    head: Vec<Cursor>,
}

impl<'a> List<'a> {
    pub(super) fn open(index: &'a Index, kind: Kind, address: Address) -> Result<Self, ViewError> {
        let Some(bytes) = index.get(kind, address.as_bytes())? else {
            return Ok(Self { index, kind, address, chunks: 0, head: Vec::new() });
        };
        let (chunks, head) = bytes.split_first_chunk().ok_or_else(|| wrong_length("list"))?;
        let (chunks, mut head) = (u32::from_be_bytes(*chunks), places(head)?);
        // Room that nothing has taken yet: no transaction is in the genesis.
        let taken = head.partition_point(|place| place.height > BlockHeight::GENESIS);
        if head.drain(taken..).any(|place| place.height > BlockHeight::GENESIS) {
            return Err(wrong_length("list"));
        }
        Ok(Self { index, kind, address, chunks, head })
    }
    /// What adding places, each beyond all that are there, changes in the index.
    pub(super) fn add(mut self, new: &[Cursor]) -> Vec<Change> {
        let mut changes = Vec::new();
        for place in new {
            if self.head.len() >= CHUNK {
                changes.push((self.kind, self.key(self.chunks), Some(bytes(&self.head))));
                self.chunks = self.chunks.saturating_add(1);
                self.head.clear();
            }
            self.head.push(*place);
        }
        let room = if self.chunks > 0 { CHUNK } else { self.head.len().next_power_of_two() };
        let mut head = [&self.chunks.to_be_bytes(), bytes(&self.head).as_slice()].concat();
        head.resize(head.len().max(room.saturating_mul(PLACE).saturating_add(4)), 0);
        changes.push((self.kind, self.address.as_bytes().to_vec(), Some(head)));
        changes
    }
    /// A page of the list beyond `after`.
    pub(super) fn page(
        &self,
        after: Option<Cursor>,
        limit: usize,
        order: Order,
    ) -> Result<Vec<Cursor>, ViewError> {
        let (mut found, mut chunk) = (Vec::new(), None);
        let mut next = match (order, after) {
            (Order::OldestFirst, None) => Some(0),
            (Order::OldestFirst, Some(after)) => Some(self.count_until(after, true)?),
            (Order::NewestFirst, None) => self.count().checked_sub(1),
            (Order::NewestFirst, Some(after)) => self.count_until(after, false)?.checked_sub(1),
        };
        while let Some(at) = next.filter(|at| found.len() < limit && *at < self.count()) {
            let number = at / CHUNK;
            let places = match chunk.take() {
                Some((same, places)) if same == number => places,
                _ => self.chunk(number)?,
            };
            found.extend(places.get(at % CHUNK).copied());
            chunk = Some((number, places));
            next = match order {
                Order::OldestFirst => at.checked_add(1),
                Order::NewestFirst => at.checked_sub(1),
            };
        }
        Ok(found)
    }
    /// Whether a place stands in the list.
    pub(super) fn contains(&self, place: Cursor) -> Result<bool, ViewError> {
        Ok(self.count_until(place, true)? > self.count_until(place, false)?)
    }

    fn whole(&self) -> usize {
        usize::try_from(self.chunks).unwrap_or(usize::MAX)
    }
    fn count(&self) -> usize {
        self.whole().saturating_mul(CHUNK).saturating_add(self.head.len())
    }
    /// How many places stand before one, itself included or not.
    fn count_until(&self, place: Cursor, included: bool) -> Result<usize, ViewError> {
        let before = |other: &Cursor| *other < place || included && *other == place;
        // Chunks below `low` end before the place, those from `high` on do not.
        let (mut low, mut high) = (0, self.whole());
        while low < high {
            let middle = low.midpoint(high);
            if self.chunk(middle)?.last().is_some_and(before) {
                low = middle.saturating_add(1);
            } else {
                high = middle;
            }
        }
        let within = self.chunk(low)?.partition_point(before);
        Ok(low.saturating_mul(CHUNK).saturating_add(within))
    }
    /// A chunk; the head comes after the last.
    fn chunk(&self, number: usize) -> Result<Vec<Cursor>, ViewError> {
        if number >= self.whole() {
            return Ok(self.head.clone());
        }
        let key = self.key(u32::try_from(number).unwrap_or(u32::MAX));
        let bytes = self.index.get(self.kind, &key)?.ok_or_else(|| wrong_length("chunk of a list"))?;
        let places = places(&bytes)?;
        if places.len() == CHUNK { Ok(places) } else { Err(wrong_length("chunk of a list")) }
    }
    fn key(&self, chunk: u32) -> Vec<u8> {
        [self.address.as_bytes().as_slice(), &chunk.to_be_bytes()].concat()
    }
}

fn bytes(places: &[Cursor]) -> Vec<u8> {
    places.iter().flat_map(|place| place.to_bytes()).collect()
}

fn places(bytes: &[u8]) -> Result<Vec<Cursor>, ViewError> {
    match bytes.as_chunks() {
        (places, []) => Ok(places.iter().map(|place| Cursor::from_bytes(*place)).collect()),
        _ => Err(wrong_length("places of a list")),
    }
}

#[cfg(feature = "fuzzing")]
pub(super) mod fuzzing {
    //! For the fuzzer: the places of a list, as the index holds them.
    use super::{BlockHeight, Cursor, bytes, places};

    pub(in crate::store) fn seeds() -> Vec<Vec<u8>> {
        let place = |n| Cursor { height: BlockHeight::new(n), index: 7 };
        vec![Vec::new(), bytes(&[place(1), place(2)])]
    }
    pub(in crate::store) fn again(written: &[u8]) -> Option<Vec<u8>> {
        places(written).ok().map(|places| bytes(&places))
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::indexing_slicing)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use sealpost_ledger::signature::PublicKey;

    const KIND: Kind = crate::store::index::RECEIVED;

    fn place((height, index): (u64, u32)) -> Cursor {
        Cursor { height: BlockHeight::new(height), index }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(24))]
        #[test]
        fn a_list_reads_as_it_was_written(
            blocks in prop::collection::vec(prop::collection::btree_set(0_u32..40, 0..20), 0..25),
            limit in 1_usize..70,
            beside in (0_u64..30, 0_u32..41),
        ) {
            let dir = tempfile::tempdir().unwrap();
            let index = Index::open(dir.path(), None).unwrap();
            let [mine, other] = [1, 2].map(|n| Address::new(PublicKey::from_bytes([n; 32])));
            let open = |address| List::open(&index, KIND, address).unwrap();
            let mut model = Vec::new();
            for (height, indexes) in (1..).zip(&blocks) {
                let places: Vec<_> = indexes.iter().map(|index| place((height, *index))).collect();
                index.put(open(mine).add(&places)).unwrap();
                index.put(open(other).add(&[place((height, 7))])).unwrap();
                model.extend(places);
            }
            let list = open(mine);
            for order in [Order::OldestFirst, Order::NewestFirst] {
                let mut expected = model.clone();
                if order == Order::NewestFirst {
                    expected.reverse();
                }
                let (mut joined, mut after) = (Vec::new(), None);
                loop {
                    let page = list.page(after, limit, order).unwrap();
                    prop_assert!(page.len() <= limit);
                    let Some(last) = page.last() else { break };
                    after = Some(*last);
                    joined.extend(page);
                }
                prop_assert_eq!(&joined, &expected);
                // A cursor need not be a place of the list.
                let cursor = place(beside);
                let beyond = |other: &&Cursor| match order {
                    Order::OldestFirst => **other > cursor,
                    Order::NewestFirst => **other < cursor,
                };
                let expected: Vec<_> = expected.iter().filter(beyond).take(limit).copied().collect();
                prop_assert_eq!(list.page(Some(cursor), limit, order).unwrap(), expected);
            }
            prop_assert_eq!(list.contains(place(beside)).unwrap(), model.contains(&place(beside)));
            prop_assert!(model.iter().all(|place| list.contains(*place).unwrap()));
            prop_assert_eq!(open(other).page(None, 100, Order::OldestFirst).unwrap().len(), blocks.len());
        }
    }

    #[test]
    fn a_damaged_list_is_an_error() {
        let dir = tempfile::tempdir().unwrap();
        let index = Index::open(dir.path(), None).unwrap();
        let address = Address::new(PublicKey::from_bytes([1; 32]));
        let key = address.as_bytes().to_vec();
        for damaged in [vec![0; 3], vec![0; 4 + 11]] {
            index.put(vec![(KIND, key.clone(), Some(damaged))]).unwrap();
            assert!(List::open(&index, KIND, address).is_err());
        }
        // A head that claims a chunk which is not there.
        index.put(vec![(KIND, key, Some(vec![0, 0, 0, 1]))]).unwrap();
        let list = List::open(&index, KIND, address).unwrap();
        assert!(list.page(None, 1, Order::NewestFirst).is_err());
    }
}
