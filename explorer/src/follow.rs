//! Follows the chain for pages and API alike: one connection to the node, whatever the number of watchers. While
//! somebody watches, the newest blocks are kept here whole, each with every transaction it commits to, so that a
//! block is fetched and verified once and not once per watcher.

mod senders;

use crate::reader::{ReadError, Reader};
use futures::StreamExt;
use sealpost_api::SealpostRpcClient;
use sealpost_api::verify::WholeBlock;
use sealpost_ledger::address::Address;
use sealpost_ledger::block::Header;
use sealpost_ledger::hash::TransactionId;
use sealpost_ledger::height::BlockHeight;
use sealpost_ledger::transaction::{Payload, SignedTransaction};
use senders::Senders;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

/// Blocks kept for watchers.
const KEPT: usize = 32;
/// Blocks fetched at once.
const BATCH: u32 = 100;
/// Answers looked up at once.
const LOOKUPS: usize = 8;
/// Messages whose senders are kept, some 10 MiB: who replays what others have replayed asks nothing for it.
const SENDERS_KEPT: usize = 65_536;
/// Longest pause between two attempts to reach the node.
const LONGEST_PAUSE: Duration = Duration::from_secs(5);

/// A block with everything in it, and whose messages the receipts in it answer.
pub(crate) struct Seen {
    block: WholeBlock,
    /// By the receipt's position: who sent the message that it answers.
    answered: BTreeMap<usize, Address>,
}

/// Why a transaction concerns an address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Concern {
    /// An open message to it.
    Message,
    /// A receipt for a message that it sent.
    Receipt,
    /// It signed it.
    Signed,
}

impl Seen {
    fn new(block: WholeBlock, senders: &BTreeMap<TransactionId, Address>) -> Self {
        let receipts = block.transactions().iter().enumerate();
        let answered = receipts.filter_map(|(position, transaction)| match transaction.payload() {
            Payload::Receipt(receipt) => Some((position, *senders.get(&receipt.message)?)),
            _ => None,
        });
        Self { answered: answered.collect(), block }
    }
    pub(crate) fn header(&self) -> &Header {
        self.block.header()
    }
    /// The transactions that concern an address, with their positions.
    pub(crate) fn concerning(
        &self,
        address: Address,
    ) -> impl Iterator<Item = (u32, &SignedTransaction, Concern)> {
        self.block.transactions().iter().enumerate().filter_map(move |(position, transaction)| {
            let concern = match transaction.payload() {
                Payload::Message(message) if message.slot_of(&address).is_some() => Concern::Message,
                Payload::Receipt(_) if self.answered.get(&position) == Some(&address) => Concern::Receipt,
                _ if transaction.sender() == address => Concern::Signed,
                _ => return None,
            };
            Some((u32::try_from(position).ok()?, transaction, concern))
        })
    }
}

/// Blocks that were fetched, and what they cost.
pub(crate) struct Fetched {
    /// Those of which everything is known; none, if no more may be looked up before the first is.
    pub(crate) seen: Vec<Arc<Seen>>,
    /// Questions that the node was asked for them.
    pub(crate) questions: usize,
}

/// The messages that receipts in a block answer.
fn answered(block: &WholeBlock) -> impl Iterator<Item = TransactionId> {
    block.transactions().iter().filter_map(|transaction| match transaction.payload() {
        Payload::Receipt(receipt) => Some(receipt.message),
        _ => None,
    })
}

/// The chain as it grows. Cloning it copies a reference.
#[derive(Clone)]
pub(crate) struct Follower(Arc<Shared>);

struct Shared {
    reader: Reader,
    head: watch::Sender<BlockHeight>,
    kept: Mutex<VecDeque<Arc<Seen>>>,
    senders: Mutex<Senders>,
    /// Those who watch hold a copy each.
    watching: Arc<()>,
}

/// Held by who watches. While somebody does, new blocks are fetched as they come.
pub(crate) struct Watching {
    _held: Arc<()>,
    /// The last final block that was verified, as it changes; 0 before the first one that was told.
    pub(crate) head: watch::Receiver<BlockHeight>,
}

impl Follower {
    /// Starts to follow, until it is told to stop.
    pub(crate) fn start(reader: Reader, stop: CancellationToken) -> Self {
        let head = watch::Sender::new(BlockHeight::GENESIS);
        let senders = Mutex::new(Senders::new(SENDERS_KEPT));
        let (kept, watching) = (Mutex::default(), Arc::new(()));
        let follower = Self(Arc::new(Shared { reader, head, kept, senders, watching }));
        let at_work = follower.clone();
        tokio::spawn(async move {
            tokio::select! {
                () = at_work.run() => {}
                () = stop.cancelled() => {}
            }
        });
        follower
    }
    /// What asks the node.
    pub(crate) fn reader(&self) -> &Reader {
        &self.0.reader
    }
    /// Begins to watch.
    pub(crate) fn watch(&self) -> Watching {
        Watching { _held: self.0.watching.clone(), head: self.0.head.subscribe() }
    }
    /// The last final block that was verified, as it changes, for whoever needs no more than that.
    pub(crate) fn heads(&self) -> watch::Receiver<BlockHeight> {
        self.0.head.subscribe()
    }
    /// The last final block that was verified; 0 before the first one that was told.
    pub(crate) fn height(&self) -> BlockHeight {
        *self.0.head.borrow()
    }
    /// Blocks from a final height on, if they are kept: nobody is asked for them.
    pub(crate) fn kept(&self, from: BlockHeight) -> Option<Vec<Arc<Seen>>> {
        let kept = self.0.kept.lock().unwrap_or_else(PoisonError::into_inner);
        let kept: Vec<_> = kept.iter().skip_while(|seen| seen.header().height < from).cloned().collect();
        kept.first().is_some_and(|seen| seen.header().height == from).then_some(kept)
    }
    /// Blocks from a final height on, asked of the node, with so many lookups of answered messages at most. A block
    /// whose answers are not all known by then ends them: who comes back finds what was looked up.
    pub(crate) async fn fetch(&self, from: BlockHeight, lookups: usize) -> Result<Fetched, ReadError> {
        let blocks = self.0.reader.read_whole(from, BATCH).await?;
        let (senders, asked) = self.senders(&blocks, lookups).await?;
        let known =
            blocks.into_iter().take_while(|block| answered(block).all(|id| senders.contains_key(&id)));
        let seen = known.map(|block| Arc::new(Seen::new(block, &senders))).collect();
        Ok(Fetched { seen, questions: asked.saturating_add(1) })
    }
    /// Who sent the messages that receipts in these blocks answer, and how many of them the node was asked for: those
    /// of the first blocks first.
    async fn senders(
        &self,
        blocks: &[WholeBlock],
        most: usize,
    ) -> Result<(BTreeMap<TransactionId, Address>, usize), ReadError> {
        let (mut known, mut unknown, mut met) = (BTreeMap::new(), Vec::new(), BTreeSet::new());
        {
            let mut senders = self.0.senders.lock().unwrap_or_else(PoisonError::into_inner);
            for transaction in blocks.iter().flat_map(WholeBlock::transactions) {
                match transaction.payload() {
                    Payload::Message(_) => senders.insert(transaction.id(), transaction.sender()),
                    Payload::Receipt(receipt) => match senders.get(&receipt.message) {
                        Some(sender) => drop(known.insert(receipt.message, sender)),
                        None if met.insert(receipt.message) => unknown.push(receipt.message),
                        None => {}
                    },
                    _ => {}
                }
            }
        }
        unknown.truncate(most);
        let asked = unknown.len();
        known.extend(self.look_up(unknown).await?);
        Ok((known, asked))
    }
    /// Asks the node who sent these messages.
    async fn look_up(
        &self,
        messages: Vec<TransactionId>,
    ) -> Result<BTreeMap<TransactionId, Address>, ReadError> {
        let lookups: Vec<_> = messages.into_iter().map(|message| self.clone().sender(message)).collect();
        let (mut answers, mut found) =
            (futures::stream::iter(lookups).buffer_unordered(LOOKUPS), BTreeMap::new());
        while let Some(answer) = answers.next().await {
            let (message, sender) = answer?;
            // At once: after an error the next attempt goes on where this one ended.
            self.0.senders.lock().unwrap_or_else(PoisonError::into_inner).insert(message, sender);
            found.insert(message, sender);
        }
        Ok(found)
    }
    async fn sender(self, message: TransactionId) -> Result<(TransactionId, Address), ReadError> {
        Ok((message, self.0.reader.content(&message).await?.sender()))
    }
    async fn run(self) {
        let mut pause = Duration::from_millis(500);
        loop {
            let before = self.height();
            let error = match self.listen().await {
                Ok(()) => "the node ended the subscription".to_owned(),
                Err(error) => error.to_string(),
            };
            tracing::warn!(error, "new blocks are not told any more; asking again");
            pause = if self.height() > before {
                Duration::from_millis(500)
            } else {
                pause.saturating_mul(2).min(LONGEST_PAUSE)
            };
            tokio::time::sleep(pause).await;
        }
    }
    /// Takes in new blocks as long as the node tells them.
    async fn listen(&self) -> Result<(), ReadError> {
        let unreachable = |error: jsonrpsee::core::ClientError| self.0.reader.unreachable(&error);
        let client = self.0.reader.connect_live().await?;
        let mut blocks = client.chain_subscribe_blocks(None).await.map_err(unreachable)?;
        // Asked for after the subscription began, so that no block falls between.
        if let Some(head) = self.0.reader.last_block().await? {
            self.reached(head.header.height).await?;
        }
        while let Some(told) = blocks.next().await {
            let told = told.map_err(|error| self.0.reader.unreachable(&error.into()))?;
            self.reached(self.0.reader.verify_sealed(&told).await?.0.height).await?;
        }
        Ok(())
    }
    async fn reached(&self, height: BlockHeight) -> Result<(), ReadError> {
        if height <= self.height() {
            return Ok(());
        }
        if self.is_watched() {
            let newest = self.fetch(height, usize::MAX).await?.seen;
            let mut kept = self.0.kept.lock().unwrap_or_else(PoisonError::into_inner);
            for seen in newest {
                // Only a run without a gap is of use.
                if kept
                    .back()
                    .is_some_and(|last| last.header().height.saturating_add(1) != seen.header().height)
                {
                    kept.clear();
                }
                kept.push_back(seen);
                if kept.len() > KEPT {
                    kept.pop_front();
                }
            }
        }
        self.0.head.send_replace(height);
        Ok(())
    }
    /// Whether anybody watches.
    fn is_watched(&self) -> bool {
        Arc::strong_count(&self.0.watching) > 1
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::indexing_slicing)]
mod tests {
    use super::*;
    use crate::pretend;
    use sealpost_api::{ApiError, Category};
    use std::sync::OnceLock;

    fn follower(reader: &Reader) -> Follower {
        let (head, senders) =
            (watch::Sender::new(BlockHeight::GENESIS), Mutex::new(Senders::new(SENDERS_KEPT)));
        Follower(Arc::new(Shared {
            reader: reader.clone(),
            head,
            kept: Mutex::default(),
            senders,
            watching: Arc::new(()),
        }))
    }

    /// A node refuses what comes too fast. Without what came before, a page with more receipts than that would never
    /// be told.
    #[tokio::test]
    async fn what_was_found_before_an_error_is_not_asked_for_again() {
        let (genesis, evidence) = pretend::example();
        let (sent, other) =
            (evidence.message.transaction, evidence.receipts.first().unwrap().transaction.id());
        let id = sent.id();
        let told = serde_json::json!({
            "transaction": sealpost_api::Hex::from(sent.as_bytes().to_vec()),
            "place": { "height": 1, "index": 0, "time_ms": 0, "block": "00".repeat(32) },
            "path": [], "tree_size": 1,
            "view": {
                "id": id, "sender": "", "expiry": 1, "nonce": 0, "bytes": 0, "signature": "00",
                "payload": { "kind": "revoke", "sequence": 1, "from": 1 },
            },
        });
        let asking = Arc::new(OnceLock::<Follower>::new());
        let answer = {
            let asking = asking.clone();
            move |_: String, params: serde_json::Value| {
                let (asking, told) = (asking.clone(), told.clone());
                async move {
                    if params["id"] == serde_json::json!(id) {
                        return Ok(told);
                    }
                    let follower = asking.get().unwrap();
                    while follower.0.senders.lock().unwrap().get(&id).is_none() {
                        tokio::task::yield_now().await;
                    }
                    Err(ApiError::new(Category::NotFound, "tx.unknown", "too fast"))
                }
            }
        };
        let url = pretend::node(answer).await;
        let follower = follower(&Reader::new(&url, Some(genesis)).unwrap());
        assert!(asking.set(follower.clone()).is_ok());
        assert!(follower.look_up(vec![id, other]).await.is_err());
        assert_eq!(follower.0.senders.lock().unwrap().get(&id), Some(sent.sender()));
    }
}
