//! Follows the chain for pages and API alike: one connection to the node, whatever the number of watchers. While
//! somebody watches, the newest blocks are kept here whole, each with every transaction it commits to, so that a
//! block is fetched and verified once and not once per watcher.

mod senders;

use crate::reader::{ReadError, Reader};
use futures::{StreamExt, TryStreamExt};
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

/// Blocks, and what they cost.
pub(crate) struct Blocks {
    /// One at least.
    pub(crate) seen: Vec<Arc<Seen>>,
    /// Questions that the node was asked for them; none, if they were kept.
    pub(crate) questions: usize,
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
    /// Blocks from a final height on.
    pub(crate) async fn blocks(&self, from: BlockHeight) -> Result<Blocks, ReadError> {
        let kept: Vec<_> = {
            let kept = self.0.kept.lock().unwrap_or_else(PoisonError::into_inner);
            kept.iter().skip_while(|seen| seen.header().height < from).cloned().collect()
        };
        if kept.first().is_some_and(|seen| seen.header().height == from) {
            return Ok(Blocks { seen: kept, questions: 0 });
        }
        self.fetch(from).await
    }
    async fn fetch(&self, from: BlockHeight) -> Result<Blocks, ReadError> {
        let blocks = self.0.reader.read_whole(from, BATCH).await?;
        let (senders, lookups) = self.senders(&blocks).await?;
        let seen = blocks.into_iter().map(|block| Arc::new(Seen::new(block, &senders))).collect();
        Ok(Blocks { seen, questions: lookups.saturating_add(1) })
    }
    /// Who sent the messages that receipts in these blocks answer, and how many of them the node was asked for.
    async fn senders(
        &self,
        blocks: &[WholeBlock],
    ) -> Result<(BTreeMap<TransactionId, Address>, usize), ReadError> {
        let (mut known, mut unknown) = (BTreeMap::new(), BTreeSet::new());
        {
            let mut senders = self.0.senders.lock().unwrap_or_else(PoisonError::into_inner);
            for transaction in blocks.iter().flat_map(WholeBlock::transactions) {
                match transaction.payload() {
                    Payload::Message(_) => senders.insert(transaction.id(), transaction.sender()),
                    Payload::Receipt(receipt) => match senders.get(&receipt.message) {
                        Some(sender) => drop(known.insert(receipt.message, sender)),
                        None => drop(unknown.insert(receipt.message)),
                    },
                    _ => {}
                }
            }
        }
        let lookups = unknown.iter().map(|message| self.clone().sender(*message));
        let lookups: Vec<_> = lookups.collect();
        let found: Vec<_> = futures::stream::iter(lookups).buffer_unordered(LOOKUPS).try_collect().await?;
        let mut senders = self.0.senders.lock().unwrap_or_else(PoisonError::into_inner);
        for (message, sender) in found {
            senders.insert(message, sender);
            known.insert(message, sender);
        }
        Ok((known, unknown.len()))
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
            let newest = self.fetch(height).await?.seen;
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
