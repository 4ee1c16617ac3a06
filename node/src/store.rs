//! The store: final blocks on disk. [`Store::append`] returns when a block would survive a power cut, and
//! only then may anybody be told that it is final.
//!
//! The journal is the truth, the index over it can be made again at any time. One
//! process holds the directory. After an error of the disk the store refuses to go on: what the disk kept
//! is known only after opening it again.

mod ahead;
#[cfg(test)]
mod batch_tests;
mod check;
mod closed;
#[cfg(test)]
mod crash_tests;
mod directory;
mod durable;
mod equivocations;
mod error;
mod frame;
#[cfg(feature = "fuzzing")]
pub(crate) mod fuzzing;
mod index;
mod journal;
mod lists;
mod proposals;
mod pruning;
#[cfg(test)]
mod pruning_tests;
mod record;
mod recovery;
mod repair;
mod shared;
pub mod snapshot;
mod stats;
mod stream;
#[cfg(any(test, feature = "fuzzing"))]
#[cfg_attr(not(test), allow(dead_code))]
pub(crate) mod testing;
#[cfg(test)]
mod tests;
#[cfg(test)]
mod validator_tests;
mod view;

pub use ahead::Ahead;
pub use check::{CheckError, CheckReport, check};
pub use closed::Closed;
pub use directory::{DirectoryLock, FORMAT, lock_directory};
pub use equivocations::{MAX_EQUIVOCATIONS, Recorded};
pub use error::StoreError;
pub use lists::{Cursor, Order};
pub use proposals::{Maker, ProposedBlock};
pub use recovery::{RebuildReason, Recovery};
pub use repair::{FileCut, NewNote, Repair, RepairPlan, plan_repair};
pub use stats::{StoreStats, stats};

use bytes::Bytes;
use directory::{Directory, Opened};
use equivocations::Equivocations;
use index::{Index, Mailbox};
use journal::Journal;
use lists::List;
use proposals::Proposals;
use sealpost_ledger::address::Address;
use sealpost_ledger::block::{Block, Header};
use sealpost_ledger::certificate::CommitCertificate;
use sealpost_ledger::chain::{CommittedBlock, Tip};
use sealpost_ledger::equivocation::Equivocation;
use sealpost_ledger::genesis::Genesis;
use sealpost_ledger::hash::{BlockHash, TransactionId};
use sealpost_ledger::height::BlockHeight;
use sealpost_ledger::merkle::{self, Node, SUBTREE_LEAVES, leaf_hash, path_by_subtrees, verify_inclusion};
use sealpost_ledger::message::Body;
use sealpost_ledger::state::{ReceiptRecord, StateKey, StateProof, StateRecord, prove};
use sealpost_ledger::transaction::SignedTransaction;
use sealpost_ledger::validator::ValidatorSet;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard};
use tokio::sync::watch;

/// A final transaction and its place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Located {
    /// Height of its block.
    pub height: BlockHeight,
    /// Position in the block.
    pub index: u32,
    /// The transaction.
    pub transaction: SignedTransaction,
}

/// How a store is opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StoreOptions {
    /// Keeps all bodies, whatever the genesis says of retention.
    pub archive: bool,
    /// A file of the journal that has grown beyond this is followed by a new one.
    pub segment_bytes: u64,
    /// So many versions of the state are kept before the newest; all if this is an archive. Each block that changes
    /// the state makes one.
    pub state_versions: u64,
}

/// A file of the journal that has grown beyond this is followed by a new one, unless told otherwise.
const SEGMENT_BYTES: u64 = 256 * 1024 * 1024;

/// Versions of the state that are kept, unless told otherwise.
const STATE_VERSIONS: u64 = 1_000;

impl Default for StoreOptions {
    fn default() -> Self {
        Self { archive: false, segment_bytes: SEGMENT_BYTES, state_versions: STATE_VERSIONS }
    }
}

/// Makes an archive's data an ordinary node's, which may drop what is out of retention. Returns whether it was an
/// archive's.
pub fn give_up_archive(dir: &Path, genesis: &Genesis) -> Result<bool, CheckError> {
    Ok(Directory::open_existing(dir, genesis.chain_id())?.give_up_archive()?)
}

/// The body of a message, or why there is none.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FoundBody {
    /// Here it is.
    Kept(Body),
    /// The message is final, and its body is older than this node keeps bodies.
    Pruned,
    /// No final message has that id.
    Unknown,
}

impl FoundBody {
    /// The body, if it is kept.
    pub fn kept(self) -> Option<Body> {
        match self {
            FoundBody::Kept(body) => Some(body),
            FoundBody::Pruned | FoundBody::Unknown => None,
        }
    }
}

/// An entry of the state as it was after a block, or why it can't be proven.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FoundState {
    /// The entry, if there was one, and the proof of its presence or absence.
    Proven(Box<(Option<StateRecord>, StateProof)>),
    /// The block is final, and the state after it is older than this node keeps states.
    Dropped,
    /// No final block has that height.
    Unknown,
}

/// How much the store holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sizes {
    /// Bytes of headers, certificates and transactions.
    pub headers_bytes: u64,
    /// Bytes of bodies.
    pub bodies_bytes: u64,
}

/// The store. Cloning it copies a reference. Every method blocks.
#[derive(Clone)]
pub struct Store(Arc<Inner>);

struct Inner {
    // Dropped in this order: the directory's lock goes last, and then it is told.
    tip: RwLock<Tip>,
    journal: RwLock<Journal>,
    proposals: Mutex<Proposals>,
    equivocations: Mutex<Equivocations>,
    failure: Mutex<Option<String>>,
    /// Blocks whose bodies are kept; all if there is no number.
    retention: Option<u64>,
    index: Index,
    directory: Directory,
    open: watch::Sender<()>,
}

impl Store {
    /// Opens the data directory, making it if need be, and brings it into order.
    pub fn open(
        dir: &Path,
        genesis: Arc<Genesis>,
        options: StoreOptions,
    ) -> Result<(Self, Recovery), StoreError> {
        let directory = Directory::open(dir, genesis.chain_id())?;
        directory.upgrade(genesis.chain_id())?;
        if genesis.retention_blocks() > 0 {
            directory.keep_archive(if options.archive { Opened::Archive } else { Opened::Ordinary })?;
        }
        let retention = Some(genesis.retention_blocks()).filter(|blocks| *blocks > 0 && !options.archive);
        let mut journal = Journal::open(&directory.journal(), options.segment_bytes, stream::TornEnd::Later)?;
        let versions = Some(options.state_versions).filter(|_| !options.archive);
        let (index, tip, recovery) = recovery::open_index(&directory.index(), versions, &journal, &genesis)?;
        // Not before: the index may know that what looks unfinished was whole once.
        journal.cut_unfinished()?;
        let proposals = Proposals::open(&directory.journal(), tip.height())?;
        let equivocations = Equivocations::open(&directory.journal(), stream::TornEnd::Cut)?;
        let inner = Inner {
            tip: RwLock::new(tip),
            journal: RwLock::new(journal),
            proposals: Mutex::new(proposals),
            equivocations: Mutex::new(equivocations),
            failure: Mutex::new(None),
            retention,
            index,
            directory,
            open: watch::Sender::new(()),
        };
        Ok((Self(Arc::new(inner)), recovery))
    }
    /// Takes in the next final block. It is durable when this returns.
    ///
    /// # Errors
    /// After [`StoreError::Io`] or [`StoreError::Fatal`] the store refuses everything: stop the node.
    pub fn append(&self, block: &CommittedBlock) -> Result<(), StoreError> {
        self.append_all(&[block], BlockHeight::GENESIS)
    }
    /// Takes in a run of final blocks, each the child of the one before, with one sync for all: for
    /// catching up. They are durable when this returns; after a crash in between, a beginning of the run
    /// is there. [`Ahead`] is the view to verify the later ones of a run on.
    ///
    /// # Errors
    /// As [`append`](Self::append). A run that does not follow the tip is refused as a whole.
    pub fn append_many(&self, blocks: &[Arc<CommittedBlock>]) -> Result<(), StoreError> {
        self.append_many_below(blocks, BlockHeight::GENESIS)
    }
    /// As [`append_many`](Self::append_many), for a node that joins late: blocks that lie out of the network's
    /// retention below `proven`, a height that is certainly final, may come without the bodies of their
    /// messages, as [`replay_block`](sealpost_ledger::chain::replay_block) makes them.
    ///
    /// # Errors
    /// As [`append_many`](Self::append_many); [`StoreError::Bodiless`] if bodies are missing that must be
    /// there, and then nothing is appended.
    pub fn append_many_below(
        &self,
        blocks: &[Arc<CommittedBlock>],
        proven: BlockHeight,
    ) -> Result<(), StoreError> {
        let blocks: Vec<_> = blocks.iter().map(Arc::as_ref).collect();
        self.append_all(&blocks, self.bodiless_up_to(proven))
    }
    /// Up to this height blocks may come without their bodies when `proven` is certainly final; 0 on a node
    /// that keeps all bodies.
    pub fn bodiless_up_to(&self, proven: BlockHeight) -> BlockHeight {
        let old = self.0.retention.and_then(|retention| proven.get().checked_sub(retention));
        old.map_or(BlockHeight::GENESIS, BlockHeight::new)
    }
    /// Keeps a block that was proposed in a round. It is durable when this returns; a vote for it may leave only then.
    pub fn put_proposal(&self, block: &Block, round: u32, maker: Maker) -> Result<(), StoreError> {
        self.check_alive()?;
        if block.height() <= self.tip().height() {
            return Ok(());
        }
        let result = self.pending().put(block, round, maker);
        self.note_failure(result)
    }
    /// A proposed block that is not decided yet.
    pub fn proposal(&self, hash: &BlockHash) -> Option<Block> {
        self.pending().get(hash)
    }
    /// All blocks proposed for a height that is not decided yet, in the order of their hashes.
    pub fn proposals_at(&self, height: BlockHeight) -> Vec<ProposedBlock> {
        self.pending().at(height)
    }
    /// Keeps an equivocation that was verified. It is durable when this returns.
    pub fn put_equivocation(&self, equivocation: &Equivocation) -> Result<Recorded, StoreError> {
        self.check_alive()?;
        let result = self.recorded().put(equivocation);
        self.note_failure(result)
    }
    /// Recorded equivocations after a number, each with its own; the first has number 1.
    pub fn equivocations(&self, after: u64, limit: usize) -> Vec<(u64, Equivocation)> {
        self.recorded().after(after, limit)
    }
    /// How many equivocations are recorded.
    pub fn equivocation_count(&self) -> usize {
        self.recorded().count()
    }
    /// The end of the chain.
    pub fn tip(&self) -> Tip {
        self.0.tip.read().unwrap_or_else(PoisonError::into_inner).clone()
    }
    /// Header and certificate of a block.
    pub fn header(&self, height: BlockHeight) -> Result<Option<(Header, CommitCertificate)>, StoreError> {
        self.journal().header(height)
    }
    /// A block with its bodies; nothing if they are not kept any more.
    pub fn block(&self, height: BlockHeight) -> Result<Option<Block>, StoreError> {
        Ok(self.journal().block(height)?.map(|(block, _)| block))
    }
    /// A block with its bodies and its certificate, as another node needs it to catch up;
    /// nothing if its bodies are not kept any more.
    pub fn certified_block(
        &self,
        height: BlockHeight,
    ) -> Result<Option<(Block, CommitCertificate)>, StoreError> {
        self.journal().block(height)
    }
    /// Encoded blocks with their certificates from a height on, for a peer that catches up: at most
    /// `max_blocks`, and no more once they reach `max_bytes` together. The first is given whatever its size.
    /// Blocks whose bodies are not kept any more come without them.
    pub fn blocks(
        &self,
        from: BlockHeight,
        max_blocks: usize,
        max_bytes: usize,
    ) -> Result<Vec<(Bytes, CommitCertificate)>, StoreError> {
        let (mut found, mut bytes, mut height) = (Vec::new(), 0_usize, from);
        while found.len() < max_blocks {
            // The lock is taken for each block anew: a long answer must not hold up the next block.
            let Some((block, certificate)) = self.journal().block_as_kept(height)? else { break };
            let encoded = Bytes::from(block.to_bytes());
            bytes = bytes.saturating_add(encoded.len());
            if bytes > max_bytes && !found.is_empty() {
                break;
            }
            found.push((encoded, certificate));
            height = height.saturating_add(1);
        }
        Ok(found)
    }
    /// Checks what lies on disk of a block against its checksums, which a start does for the newest blocks only, and
    /// whether the index finds its transactions. Returns the bytes that were read; nothing if there is no such block.
    ///
    /// # Errors
    /// [`StoreError::Damaged`] names the place, [`StoreError::Index`] what is not found.
    pub fn check_block(&self, height: BlockHeight) -> Result<Option<u64>, StoreError> {
        let Some((record, bytes)) = self.journal().check_sums(height)? else { return Ok(None) };
        for (index, transaction) in (0_u32..).zip(&record.transactions) {
            let id = transaction.id();
            let found = self.index().transaction(&id);
            if !found
                .is_ok_and(|found| found.is_some_and(|found| (found.height, found.index) == (height, index)))
            {
                let what = format!("transaction {id} of block {height} is not found");
                return Err(StoreError::Index { path: self.0.directory.index(), what });
            }
        }
        Ok(Some(bytes))
    }
    /// Damages the index, for a test of those who must notice.
    #[cfg(test)]
    pub(crate) fn forget_transaction(&self, id: &TransactionId) {
        self.index().forget_transaction(id).unwrap_or_else(|error| unreachable!("{error}"));
    }
    /// Height of a final block.
    pub fn height_of(&self, block: &BlockHash) -> Result<Option<BlockHeight>, StoreError> {
        Ok(self.index().height_of(block)?)
    }
    /// A final transaction.
    pub fn transaction(&self, id: &TransactionId) -> Result<Option<Located>, StoreError> {
        let Some(place) = self.index().transaction(id)? else { return Ok(None) };
        let journal = self.journal();
        let Some(bytes) = journal.transaction(place.height, place.transaction)? else { return Ok(None) };
        // The frame's checksum covers the whole record; the id shows that this part is the right one.
        match SignedTransaction::from_bytes(&bytes) {
            Ok(transaction) if transaction.id() == *id => {
                Ok(Some(Located { height: place.height, index: place.index, transaction }))
            }
            _ => Err(journal.damaged(place.height, format!("transaction {id}"))),
        }
    }
    /// Where a final transaction stands, by the index alone: the height, and its number in the block.
    pub fn place(&self, id: &TransactionId) -> Result<Option<(BlockHeight, u32)>, StoreError> {
        Ok(self.index().transaction(id)?.map(|place| (place.height, place.index)))
    }
    /// The body of a final message.
    pub fn body(&self, id: &TransactionId) -> Result<FoundBody, StoreError> {
        let Some(place) = self.index().transaction(id)? else { return Ok(FoundBody::Unknown) };
        let Some(start) = place.body else { return Ok(FoundBody::Unknown) };
        let Some(located) = self.transaction(id)? else { return Ok(FoundBody::Unknown) };
        let Some(message) = located.transaction.message() else { return Ok(FoundBody::Unknown) };
        let journal = self.journal();
        let body = journal.body(place.height, (start, message.body_length))?;
        let Some(body) = body else { return Ok(FoundBody::Pruned) };
        if message.body_hash != body.hash() {
            return Err(journal.damaged(place.height, format!("the body of message {id}")));
        }
        Ok(FoundBody::Kept(body))
    }
    /// The lowest height from which on all bodies are kept.
    pub fn oldest_body_height(&self) -> BlockHeight {
        self.journal().dropped().saturating_add(1)
    }
    /// Drops the bodies that are out of retention now, as far as whole files are. Returns whether any went.
    pub fn prune(&self) -> Result<bool, StoreError> {
        self.check_alive()?;
        let Some(retention) = self.0.retention else { return Ok(false) };
        self.0.journal.write().unwrap_or_else(PoisonError::into_inner).drop_old_bodies(retention)
    }
    /// The transactions of a block.
    pub fn transactions(&self, height: BlockHeight) -> Result<Option<Vec<SignedTransaction>>, StoreError> {
        Ok(self.journal().record(height)?.map(|record| record.transactions))
    }
    /// A block without its bodies, and its certificate.
    pub fn bare_block(
        &self,
        height: BlockHeight,
    ) -> Result<Option<(Header, Vec<SignedTransaction>, CommitCertificate)>, StoreError> {
        let record = self.journal().record(height)?;
        Ok(record.map(|record| (record.header, record.transactions, record.certificate)))
    }
    /// The ids of a block's transactions.
    pub fn transaction_ids(&self, height: BlockHeight) -> Result<Option<Vec<TransactionId>>, StoreError> {
        let transactions = self.transactions(height)?;
        Ok(transactions.map(|list| list.iter().map(SignedTransaction::id).collect()))
    }
    /// The inclusion path of a block's transaction under the root in the block's header. What it costs hardly grows
    /// with the block: the transactions around it are read, and the index has the rest of the tree.
    ///
    /// # Errors
    /// [`StoreError::Damaged`] if the path does not lead to that root.
    pub fn path(&self, header: &Header, index: u32) -> Result<Option<Vec<Node>>, StoreError> {
        let (height, index) = (header.height, usize::try_from(index).unwrap_or(usize::MAX));
        let first = index / SUBTREE_LEAVES * SUBTREE_LEAVES;
        let range = first..first.saturating_add(SUBTREE_LEAVES);
        let journal = self.journal();
        let Some(found) = journal.some_transactions(height, range)? else { return Ok(None) };
        let (near, count) = (found.bytes.iter().map(|bytes| leaf_hash(bytes)), found.of);
        let near: Vec<Node> = near.collect();
        let roots = match count > SUBTREE_LEAVES {
            true => self.index().subtree_roots(height)?,
            false => vec![merkle::root(&near)],
        };
        let Some(path) = path_by_subtrees(&near, &roots, index) else { return Ok(None) };
        let leaf = near.get(index.saturating_sub(first));
        let root = header.tx_root.to_bytes();
        let holds = |leaf| verify_inclusion(&root, count as u64, index as u64, leaf, &path).is_ok();
        if !leaf.is_some_and(holds) {
            return Err(journal.damaged(height, format!("transactions around {index}, or the index")));
        }
        Ok(Some(path))
    }
    /// Open messages to an address, a page of them beyond `after`.
    pub fn received(
        &self,
        address: &Address,
        after: Option<Cursor>,
        limit: usize,
        order: Order,
    ) -> Result<Vec<Located>, StoreError> {
        self.list(Mailbox::Received, address, after, limit, order)
    }
    /// Transactions of a sender, a page of them beyond `after`.
    pub fn sent(
        &self,
        address: &Address,
        after: Option<Cursor>,
        limit: usize,
        order: Order,
    ) -> Result<Vec<Located>, StoreError> {
        self.list(Mailbox::Sent, address, after, limit, order)
    }
    /// Sealed messages, the oldest first, a page of them beyond `after`.
    pub fn sealed(&self, after: Option<Cursor>, limit: usize) -> Result<Vec<Located>, StoreError> {
        self.list(Mailbox::Received, &index::NOBODY, after, limit, Order::OldestFirst)
    }
    /// The answer to a message.
    pub fn receipt(&self, message: &TransactionId, slot: u16) -> Result<Option<ReceiptRecord>, StoreError> {
        match self.index().record(&StateKey::Receipt(*message, slot))? {
            Some(StateRecord::Receipt(record)) => Ok(Some(record)),
            _ => Ok(None),
        }
    }
    /// Whether an address is a member's after the last block.
    pub fn is_member(&self, address: &Address) -> Result<bool, StoreError> {
        let record = self.index().record(&StateKey::Member(*address))?;
        Ok(matches!(record, Some(StateRecord::Member(record)) if record.is_member()))
    }
    /// An entry of the state after a height, with the proof under that block's state root.
    pub fn prove(&self, key: &StateKey, at: BlockHeight) -> Result<FoundState, StoreError> {
        let Some(version) = self.state_version(at)? else { return Ok(FoundState::Unknown) };
        let proven = prove(self, version, key);
        // Afterwards, since a version may be dropped while it is read.
        if version < self.index().oldest_version()? {
            return Ok(FoundState::Dropped);
        }
        Ok(FoundState::Proven(Box::new(proven?)))
    }
    /// The lowest height whose state can be proven.
    pub fn oldest_state_height(&self) -> Result<BlockHeight, StoreError> {
        let oldest = self.index().oldest_version()?;
        // Versions grow with the heights: the first height with that one, by halving.
        let (mut from, mut to) = (BlockHeight::GENESIS.get(), self.tip().height().get());
        while from < to {
            let middle = from.midpoint(to);
            match self.state_version(BlockHeight::new(middle))? {
                Some(version) if version >= oldest => to = middle,
                _ => from = middle.saturating_add(1),
            }
        }
        Ok(BlockHeight::new(from))
    }
    /// The state tree's version after a height.
    pub fn state_version(&self, height: BlockHeight) -> Result<Option<u64>, StoreError> {
        Ok(self.index().state_version(height)?)
    }
    /// The validators that decide a height, if it is not beyond the next one.
    pub fn validators(&self, height: BlockHeight) -> Result<ValidatorSet, StoreError> {
        let changed = self.index().validators(height)?;
        Ok(changed.map_or_else(|| self.tip().genesis_file().validators().clone(), |(_, set)| set))
    }
    /// Changes of the validators that blocks after a height announce, the earliest first: that block's
    /// height, and the set that decides from the next one on.
    pub fn validator_changes(
        &self,
        after: BlockHeight,
        limit: usize,
    ) -> Result<Vec<(BlockHeight, ValidatorSet)>, StoreError> {
        let sets = self.index().validators_from(after.saturating_add(2), limit)?;
        let announced = |effective: BlockHeight| effective.saturating_sub(1);
        Ok(sets.into_iter().map(|(effective, set)| (announced(effective), set)).collect())
    }
    /// A full subtree of the tree over all block hashes.
    pub fn subtree(&self, level: u8, index: u64) -> Result<Option<Node>, StoreError> {
        Ok(self.index().subtree(level, index)?)
    }
    /// How much the store holds.
    pub fn sizes(&self) -> Sizes {
        let (headers_bytes, bodies_bytes) = self.journal().bytes();
        Sizes { headers_bytes, bodies_bytes }
    }

    fn list(
        &self,
        mailbox: Mailbox,
        address: &Address,
        after: Option<Cursor>,
        limit: usize,
        order: Order,
    ) -> Result<Vec<Located>, StoreError> {
        let list = List::open(self.index(), mailbox.kind(), *address)?;
        list.page(after, limit, order)?
            .into_iter()
            .map(|place| self.listed(mailbox, address, place))
            .collect()
    }
    /// The transaction at a place that a list names.
    fn listed(&self, mailbox: Mailbox, address: &Address, at: Cursor) -> Result<Located, StoreError> {
        let Cursor { height, index } = at;
        let journal = self.journal();
        let number = usize::try_from(index).unwrap_or(usize::MAX);
        let found = journal.some_transactions(height, number..number.saturating_add(1))?;
        let bytes = found.and_then(|found| found.bytes.into_iter().next());
        let transaction = bytes.and_then(|bytes| SignedTransaction::from_bytes(&bytes).ok());
        match transaction.filter(|transaction| mailbox.lists(transaction, address)) {
            Some(transaction) => Ok(Located { height, index, transaction }),
            None => Err(journal.damaged(height, format!("transaction {index}, or the list that names it"))),
        }
    }
    fn append_all(&self, blocks: &[&CommittedBlock], bodiless: BlockHeight) -> Result<(), StoreError> {
        self.check_alive()?;
        let result = self.append_unguarded(blocks, bodiless);
        self.note_failure(result)
    }
    fn append_unguarded(&self, blocks: &[&CommittedBlock], bodiless: BlockHeight) -> Result<(), StoreError> {
        let mut journal = self.0.journal.write().unwrap_or_else(PoisonError::into_inner);
        let mut tip = &self.tip();
        for block in blocks {
            let (found, parent) = (block.block().height(), block.block().header().parent);
            if found != tip.next_height() || parent != tip.block() {
                return Err(StoreError::NotNext { found, tip: tip.height() });
            }
            // What a note says is dropped was out of retention when it was written.
            if found > bodiless.max(journal.dropped()) && !block.block().is_whole() {
                return Err(StoreError::Bodiless { height: found });
            }
            tip = block.tip();
        }
        let parts = blocks.iter().map(|block| (block.block().as_ref(), block.certificate()));
        let written = journal.append(parts)?;
        for (block, written) in blocks.iter().zip(&written) {
            self.index().commit(block, written).map_err(StoreError::fatal)?;
            *self.0.tip.write().unwrap_or_else(PoisonError::into_inner) = block.tip().clone();
        }
        if let Some(retention) = self.0.retention
            && let Err(error) = journal.drop_old_bodies(retention)
        {
            // The blocks are safe. What could not be deleted is tried again on the next start.
            tracing::warn!(%error, "bodies out of retention could not be dropped");
        }
        drop(journal);
        self.pending().drop_decided(tip.height())
    }
    fn check_alive(&self) -> Result<(), StoreError> {
        match self.0.failure.lock().unwrap_or_else(PoisonError::into_inner).as_ref() {
            Some(reason) => Err(StoreError::Fatal { reason: reason.clone() }),
            None => Ok(()),
        }
    }
    /// After a failed write or sync nobody knows what is on disk: nothing is written from then on.
    fn note_failure<T>(&self, result: Result<T, StoreError>) -> Result<T, StoreError> {
        if let Err(error) = &result
            && !matches!(error, StoreError::NotNext { .. } | StoreError::Bodiless { .. })
        {
            *self.0.failure.lock().unwrap_or_else(PoisonError::into_inner) = Some(error.to_string());
        }
        result
    }
    fn index(&self) -> &Index {
        &self.0.index
    }
    fn journal(&self) -> RwLockReadGuard<'_, Journal> {
        self.0.journal.read().unwrap_or_else(PoisonError::into_inner)
    }
    fn recorded(&self) -> MutexGuard<'_, Equivocations> {
        self.0.equivocations.lock().unwrap_or_else(PoisonError::into_inner)
    }
    fn pending(&self) -> MutexGuard<'_, Proposals> {
        self.0.proposals.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
