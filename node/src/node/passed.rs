//! What has become final of late. A transaction is verified at one time and put into the mempool at a later one; if a
//! block has brought it in between, it would wait for a block that never comes.

use sealpost_ledger::block::Block;
use sealpost_ledger::hash::TransactionId;
use sealpost_ledger::height::BlockHeight;
use std::collections::{HashSet, VecDeque};

/// Transactions that are remembered, unless the last block alone has more: those of some seconds at full speed.
const REMEMBERED: usize = 100_000;

/// The transactions of the last blocks.
#[derive(Debug, Default)]
pub(super) struct Passed {
    blocks: VecDeque<(BlockHeight, HashSet<TransactionId>)>,
    count: usize,
}

impl Passed {
    /// Remembers a block, which follows the one before.
    pub(super) fn add(&mut self, block: &Block) {
        let ids: HashSet<_> = block.transactions().iter().map(|transaction| transaction.id()).collect();
        self.count = self.count.saturating_add(ids.len());
        self.blocks.push_back((block.height(), ids));
        while self.count > REMEMBERED && self.blocks.len() > 1 {
            let Some((_, oldest)) = self.blocks.pop_front() else { return };
            self.count = self.count.saturating_sub(oldest.len());
        }
    }
    /// Whether a block above that height has brought a transaction; nothing if they are not all remembered.
    pub(super) fn brought_after(&self, height: BlockHeight, id: &TransactionId) -> Option<bool> {
        let next = height.saturating_add(1);
        match self.blocks.front() {
            Some((oldest, _)) if *oldest > next => None,
            _ => Some(
                self.blocks.iter().rev().take_while(|(at, _)| *at >= next).any(|(_, ids)| ids.contains(id)),
            ),
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::indexing_slicing)]
mod tests {
    use super::*;
    use crate::store::testing::Chain;
    use crate::store::{Store, StoreOptions};

    #[test]
    fn a_block_that_came_after_is_told_from_one_before() {
        let chain = Chain::new("passed");
        let dir = tempfile::tempdir().unwrap();
        let (store, _) = Store::open(dir.path(), chain.genesis.clone(), StoreOptions::default()).unwrap();
        let blocks = chain.run(&store, 3);
        let mut passed = Passed::default();
        let second = blocks[1].block().transactions()[0].id();
        assert_eq!(passed.brought_after(BlockHeight::GENESIS, &second), Some(false));
        blocks.iter().for_each(|block| passed.add(block.block()));
        for (checked_at, brought) in [(0, true), (1, true), (2, false), (3, false)] {
            assert_eq!(passed.brought_after(BlockHeight::new(checked_at), &second), Some(brought));
        }
        // With what has no room any more it can't be told.
        passed.count = REMEMBERED + 1;
        passed.add(blocks[2].block());
        assert_eq!(passed.brought_after(BlockHeight::GENESIS, &second), None);
        assert_eq!(passed.brought_after(BlockHeight::new(1), &second), Some(true));
    }
}
