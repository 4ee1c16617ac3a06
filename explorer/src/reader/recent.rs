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
use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError};
use tokio::sync::Mutex;

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
            bytes: (transaction.as_bytes().len() as u64).saturating_add(body),
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
        let mut search = Search::new(first, head);
        self.take_kept(&mut search);
        let kept = search.known.len();
        self.counts.blocks().add(kept, search.heights().count().saturating_sub(kept));
        if !search.is_complete() {
            let kept = |search: &mut Search| self.take_kept(search);
            search.complete(&self.reading, kept, |from, wanted| self.summaries(from, wanted)).await?;
        }
        Ok(search.found())
    }
    /// Reads blocks and counts them.
    async fn summaries(&self, from: BlockHeight, wanted: u32) -> Result<Vec<Arc<Summary>>, ReadError> {
        let blocks = self.read_whole(from, wanted).await?;
        let summaries: Vec<_> = blocks.into_iter().map(|block| Arc::new(Summary::new(block))).collect();
        self.keep(&summaries);
        Ok(summaries)
    }
    fn keep(&self, blocks: &[Arc<Summary>]) {
        let mut summaries = self.summaries.lock().unwrap_or_else(PoisonError::into_inner);
        for summary in blocks {
            let weight = summary.entries.len().saturating_add(8);
            summaries.insert(summary.header.height, summary.clone(), weight);
        }
    }
    fn take_kept(&self, search: &mut Search) {
        let summaries = self.summaries.lock().unwrap_or_else(PoisonError::into_inner);
        let heights = (search.first.get()..=search.last.get()).map(BlockHeight::new);
        search.known.extend(heights.filter_map(|height| Some((height, summaries.get(height)?))));
    }
}

/// What is known of the blocks that one page needs, and what is asked next. It holds on to what was read, because the
/// cache need not have room for all of it.
struct Search {
    first: BlockHeight,
    last: BlockHeight,
    known: BTreeMap<BlockHeight, Arc<Summary>>,
    /// Blocks that the next part has.
    step: u64,
    questions: u32,
    /// The part that is being asked for, its first and its last block.
    part: Option<(BlockHeight, BlockHeight)>,
}

impl Search {
    fn new(first: BlockHeight, last: BlockHeight) -> Self {
        Self { first, last, known: BTreeMap::new(), step: 1, questions: 0, part: None }
    }
    /// Heights, the newest first.
    fn heights(&self) -> impl Iterator<Item = BlockHeight> + use<> {
        (self.first.get()..=self.last.get()).rev().map(BlockHeight::new)
    }
    fn newest_gap(&self) -> Option<BlockHeight> {
        self.heights().find(|height| !self.known.contains_key(height))
    }
    fn is_complete(&self) -> bool {
        self.newest_gap().is_none()
    }
    /// Asks for what is missing. One question after the other, whoever asks them: who waited finds here what the one before
    /// has read. But nobody waits for all of another's: whoever wants little has it after one question of each.
    async fn complete<A>(
        &mut self,
        reading: &Mutex<()>,
        kept: impl Fn(&mut Self),
        read: impl Fn(BlockHeight, u32) -> A,
    ) -> Result<(), ReadError>
    where
        A: Future<Output = Result<Vec<Arc<Summary>>, ReadError>>,
    {
        loop {
            let _turn = reading.lock().await;
            kept(self);
            let Some((from, wanted)) = self.next() else { return Ok(()) };
            let blocks = read(from, wanted).await?;
            self.answered(blocks);
        }
    }
    /// From where on, and how many blocks to ask for; nothing when all are known or enough was asked.
    fn next(&mut self) -> Option<(BlockHeight, u32)> {
        if self.questions >= MAX_QUESTIONS {
            return None;
        }
        // Somebody else may have read some of it meanwhile.
        let left = self.part.and_then(|(from, end)| {
            let mut left = (from.get()..=end.get()).map(BlockHeight::new);
            Some((left.find(|height| !self.known.contains_key(height))?, end))
        });
        let (from, end) = match left {
            Some(part) => part,
            None => {
                let end = self.newest_gap()?;
                let from = end.saturating_sub(self.step.saturating_sub(1)).max(self.first);
                self.step = self.step.saturating_mul(4).min(MAX_STEP);
                (from, end)
            }
        };
        self.questions = self.questions.saturating_add(1);
        self.part = Some((from, end));
        let wanted = end.blocks_since(from).saturating_add(1);
        Some((from, u32::try_from(wanted).unwrap_or(u32::MAX)))
    }
    /// Takes in the answer: blocks from where it was asked on, maybe fewer than were asked for.
    fn answered(&mut self, blocks: Vec<Arc<Summary>>) {
        if let Some((from, _)) = &mut self.part {
            *from = from.saturating_add(blocks.len() as u64);
        }
        self.known.extend(blocks.into_iter().map(|block| (block.header.height, block)));
    }
    /// The blocks up to the last, the newest first, without a gap.
    fn found(&self) -> Vec<Arc<Summary>> {
        self.heights().map_while(|height| self.known.get(&height).cloned()).collect()
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::indexing_slicing)]
mod tests {
    use super::*;
    use std::cell::RefCell;

    /// Asks until there is nothing more to ask; each answer holds so many blocks at most.
    fn run(blocks: &[Arc<Summary>], most: usize) -> (usize, u32) {
        let mut search = Search::new(BlockHeight::FIRST, BlockHeight::new(blocks.len() as u64));
        while let Some((from, wanted)) = search.next() {
            let wanted = most.min(wanted as usize);
            let later = blocks.iter().rev().skip_while(|block| block.header.height < from);
            search.answered(later.take(wanted).cloned().collect());
        }
        (search.found().len(), search.questions)
    }

    #[test]
    fn no_block_is_asked_for_twice_whatever_the_cache_holds() {
        let blocks = testing::blocks(501);
        // 1, 4, 16, 64 and five times up to 100.
        assert_eq!(run(&blocks, usize::MAX), (501, 9));
    }

    /// Whoever wants the newest block is not held up by who wants five hundred, whatever the cache has room for.
    #[tokio::test]
    async fn nobody_waits_for_all_of_another_s_questions() {
        let blocks = testing::blocks(501);
        let (reading, asked) = (Mutex::new(()), RefCell::new(Vec::new()));
        let read = async |name: &'static str, first: u64| {
            let mut search = Search::new(BlockHeight::new(first), BlockHeight::new(501));
            // The cache has room for nothing, and the node gives one block at a time.
            let answer = |from: BlockHeight, _| {
                asked.borrow_mut().push(name);
                let block = blocks.iter().find(|block| block.header.height == from).cloned();
                async move {
                    tokio::task::yield_now().await;
                    Ok(block.into_iter().collect())
                }
            };
            search.complete(&reading, |_| {}, answer).await.unwrap();
            search.found().len()
        };
        let found = futures::join!(read("many", 1), read("one", 501));
        assert_eq!(found, (5, 1));
        assert_eq!(asked.borrow()[..3], ["many", "one", "many"]);
        assert_eq!(asked.borrow().len() as u32, MAX_QUESTIONS + 1);
    }

    #[tokio::test]
    async fn what_another_has_read_meanwhile_is_not_asked_for_again() {
        let blocks = testing::blocks(5);
        let (cache, asked) = (RefCell::new(Vec::new()), RefCell::new(Vec::new()));
        let mut search = Search::new(BlockHeight::FIRST, BlockHeight::new(5));
        let kept = |search: &mut Search| {
            search.known.extend(
                cache.borrow().iter().map(|block: &Arc<Summary>| (block.header.height, block.clone())),
            );
        };
        let read = |from: BlockHeight, _| {
            asked.borrow_mut().push(from.get());
            // Block 2 comes from somebody else while block 1 is read.
            cache.borrow_mut().extend(blocks.iter().filter(|block| block.header.height.get() == 2).cloned());
            let block = blocks.iter().find(|block| block.header.height == from).cloned();
            async move { Ok(block.into_iter().collect()) }
        };
        search.complete(&Mutex::new(()), kept, read).await.unwrap();
        assert_eq!((asked.into_inner(), search.found().len()), (vec![5, 1, 3, 4], 5));
    }

    #[test]
    fn of_large_blocks_the_newest_are_found() {
        let blocks = testing::blocks(501);
        // 1 and 4 in five questions; of the next 16 the last ones were not reached.
        assert_eq!(run(&blocks, 1), (5, MAX_QUESTIONS));
        assert_eq!(run(&blocks, 0), (0, MAX_QUESTIONS));
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
