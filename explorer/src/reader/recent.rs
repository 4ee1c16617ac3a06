//! What the last blocks hold, counted from whole blocks that were checked: for charts, for the newest entries
//! and for finding recent ids by their beginnings. Counted blocks are kept, so that a page costs one question
//! for what is new.

use super::{ReadError, Reader};
use sealpost_api::verify::WholeBlock;
use sealpost_ledger::address::Address;
use sealpost_ledger::block::Header;
use sealpost_ledger::hash::TransactionId;
use sealpost_ledger::height::BlockHeight;
use sealpost_ledger::transaction::{Payload, SignedTransaction};
use std::sync::{Arc, PoisonError};

/// Most blocks that are looked back at: those of the longest chart, and one more.
pub(crate) const MAX_RECENT: u32 = 501;
/// Most questions to the node for one page. With the steps below they reach [`MAX_RECENT`] blocks as long as
/// each answer holds what it is asked for.
const MAX_QUESTIONS: u32 = 12;
/// Blocks of one question, at most. The first asks for one, each later one for four times as many, so that
/// the newest are there even if blocks are large.
const MAX_STEP: u64 = 100;

/// A block, counted.
#[derive(Debug)]
pub(crate) struct Summary {
    pub(crate) header: Header,
    /// Bytes of its transactions, bodies included.
    pub(crate) bytes: u64,
    pub(crate) messages: u32,
    pub(crate) receipts: u32,
    pub(crate) entries: Vec<Entry>,
}

/// A transaction of a block.
#[derive(Debug, Clone)]
pub(crate) struct Entry {
    pub(crate) index: u32,
    pub(crate) id: TransactionId,
    pub(crate) kind: &'static str,
    pub(crate) sender: Address,
    /// Bytes, body included.
    pub(crate) bytes: u64,
}

impl Entry {
    pub(crate) fn new(index: u32, transaction: &SignedTransaction) -> Self {
        let body = transaction.message().map_or(0, |message| u64::from(message.body_length));
        Self {
            index,
            id: transaction.id(),
            kind: transaction.payload().kind(),
            sender: transaction.sender(),
            bytes: (transaction.to_bytes().len() as u64).saturating_add(body),
        }
    }
}

impl Summary {
    fn new(block: WholeBlock) -> Self {
        let (header, transactions) = block.into_parts();
        let count = |wanted: fn(&Payload) -> bool| {
            let found = transactions.iter().filter(|transaction| wanted(transaction.payload())).count();
            u32::try_from(found).unwrap_or(u32::MAX)
        };
        let entries: Vec<_> =
            (0..).zip(&transactions).map(|(index, transaction)| Entry::new(index, transaction)).collect();
        Self {
            bytes: entries.iter().fold(0, |sum, entry| sum.saturating_add(entry.bytes)),
            messages: count(|payload| matches!(payload, Payload::Message(_))),
            receipts: count(|payload| matches!(payload, Payload::Receipt(_))),
            entries,
            header,
        }
    }
}

impl Reader {
    /// The blocks up to `head`, the newest first: `count` of them and [`MAX_RECENT`] at most, or fewer if
    /// they are so large that not all of them could be read for one page.
    pub(crate) async fn recent(&self, head: BlockHeight, count: u32) -> Result<Vec<Arc<Summary>>, ReadError> {
        let first = head.saturating_sub(u64::from(count.clamp(1, MAX_RECENT)).saturating_sub(1));
        let first = first.max(BlockHeight::FIRST);
        let (mut step, mut questions) = (1_u64, 0_u32);
        while let Some(end) = self.newest_gap(first, head) {
            let mut from = end.saturating_sub(step.saturating_sub(1)).max(first);
            while from <= end {
                if questions >= MAX_QUESTIONS {
                    return Ok(self.kept_summaries(first, head));
                }
                questions = questions.saturating_add(1);
                let wanted = u32::try_from(end.blocks_since(from).saturating_add(1)).unwrap_or(u32::MAX);
                let blocks = self.read_whole(from, wanted).await?;
                from = from.saturating_add(blocks.len() as u64);
                self.keep(blocks);
            }
            step = step.saturating_mul(4).min(MAX_STEP);
        }
        Ok(self.kept_summaries(first, head))
    }
    fn keep(&self, blocks: Vec<WholeBlock>) {
        let mut summaries = self.summaries.lock().unwrap_or_else(PoisonError::into_inner);
        for block in blocks {
            let summary = Arc::new(Summary::new(block));
            let weight = summary.entries.len().saturating_add(8);
            summaries.insert(summary.header.height, summary, weight);
        }
    }
    /// The highest block of a range that is not kept.
    fn newest_gap(&self, first: BlockHeight, last: BlockHeight) -> Option<BlockHeight> {
        let summaries = self.summaries.lock().unwrap_or_else(PoisonError::into_inner);
        let mut heights = (first.get()..=last.get()).rev().map(BlockHeight::new);
        heights.find(|height| summaries.get(*height).is_none())
    }
    fn kept_summaries(&self, first: BlockHeight, last: BlockHeight) -> Vec<Arc<Summary>> {
        let summaries = self.summaries.lock().unwrap_or_else(PoisonError::into_inner);
        let heights = (first.get()..=last.get()).rev().map(BlockHeight::new);
        heights.map_while(|height| summaries.get(height)).collect()
    }
}

/// Blocks for tests.
#[cfg(test)]
#[allow(clippy::unwrap_used)]
pub(crate) mod testing {
    use super::{Entry, Summary};
    use sealpost_ledger::address::Address;
    use sealpost_ledger::block::Header;
    use sealpost_ledger::hash::{
        BlockHash, ChainId, HistoryRoot, StateRoot, TransactionId, TransactionRoot, ValidatorsHash,
    };
    use sealpost_ledger::height::BlockHeight;
    use sealpost_ledger::signature::SigningKey;
    use std::sync::Arc;

    /// Blocks 1 to `count`, the newest first: two seconds apart, each with two messages, a receipt, 100 bytes
    /// and the price of its height counted, and one entry whose id is made of its height.
    pub(crate) fn blocks(count: u64) -> Vec<Arc<Summary>> {
        let key = SigningKey::from_bytes(&[7; 32]).unwrap().public_key();
        let header = |height: u64| Header {
            version: 1,
            chain: ChainId::from_bytes([0; 32]),
            height: BlockHeight::new(height),
            time_ms: height * 2000,
            parent: BlockHash::from_bytes([0; 32]),
            transaction_count: 1,
            tx_root: TransactionRoot::from_bytes([0; 32]),
            history_root: HistoryRoot::from_bytes([0; 32]),
            state_root: StateRoot::from_bytes([0; 32]),
            validators_hash: ValidatorsHash::from_bytes([0; 32]),
            next_validators_hash: ValidatorsHash::from_bytes([0; 32]),
            postage_price: height,
            proposer: key,
        };
        let entry = |height: u64| Entry {
            index: 0,
            id: TransactionId::from_bytes([height.to_le_bytes()[0]; 32]),
            kind: "message",
            sender: Address::new(key),
            bytes: 100,
        };
        let block = |height: u64| Summary {
            header: header(height),
            bytes: 100,
            messages: 2,
            receipts: 1,
            entries: vec![entry(height)],
        };
        (1..=count).rev().map(|height| Arc::new(block(height))).collect()
    }
}
