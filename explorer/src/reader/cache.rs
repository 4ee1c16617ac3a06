//! A cache of what is final, by height: it never gets stale, and it never grows beyond its bound.

use sealpost_ledger::height::BlockHeight;
use std::collections::BTreeMap;

/// Entries by height. When their weights together exceed the bound, the lowest heights go first, because the
/// newest blocks are asked for most.
#[derive(Debug)]
pub(super) struct Bounded<V> {
    entries: BTreeMap<BlockHeight, (V, usize)>,
    weight: usize,
    most: usize,
}

impl<V: Clone> Bounded<V> {
    pub(super) const fn new(most: usize) -> Self {
        Self { entries: BTreeMap::new(), weight: 0, most }
    }
    pub(super) fn get(&self, height: BlockHeight) -> Option<V> {
        self.entries.get(&height).map(|(value, _)| value.clone())
    }
    pub(super) fn highest(&self) -> Option<BlockHeight> {
        self.entries.last_key_value().map(|(height, _)| *height)
    }
    pub(super) fn insert(&mut self, height: BlockHeight, value: V, weight: usize) {
        let before = self.entries.insert(height, (value, weight));
        self.weight =
            self.weight.saturating_sub(before.map_or(0, |(_, weight)| weight)).saturating_add(weight);
        while self.weight > self.most {
            let Some((_, (_, weight))) = self.entries.pop_first() else { break };
            self.weight = self.weight.saturating_sub(weight);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_lowest_go_first_and_the_bound_holds() {
        let mut cache = Bounded::new(10);
        for height in 1..=100 {
            cache.insert(BlockHeight::new(height), height, 3);
            assert!(cache.weight <= 10);
        }
        let kept: Vec<_> = (1..=100).filter_map(|height| cache.get(BlockHeight::new(height))).collect();
        assert_eq!(kept, [98, 99, 100]);
        // The same height again takes the place of what was there.
        cache.insert(BlockHeight::new(100), 7, 4);
        assert_eq!((cache.weight, cache.get(BlockHeight::new(100))), (10, Some(7)));
        // What is heavier than everything leaves nothing behind.
        cache.insert(BlockHeight::new(101), 1, 11);
        assert_eq!((cache.weight, cache.entries.len()), (0, 0));
    }
}
