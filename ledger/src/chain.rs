//! The chain's rules: how a block follows a tip. [`Block`] → [`VerifiedBlock`] → [`CommittedBlock`], each
//! rung earned by one kind of checking. Everything here is a pure function of the tip, what is final, and
//! the block; the clock is an argument.

use crate::block::{BLOCK_VERSION, Block, Header, history_leaf, transaction_root};
use crate::certificate::{CertificateError, CommitCertificate, VerifiedCertificate};
use crate::codec::{Decode, Encode};
use crate::execution::{Executed, Execution, Refusal, Rejection};
use crate::genesis::Genesis;
use crate::hash::{BlockHash, HistoryRoot, StateRoot, TransactionId};
use crate::height::BlockHeight;
use crate::membership::MemberStatus;
use crate::merkle::{HistoryFrontier, Subtree};
use crate::postage::Price;
use crate::signature::PublicKey;
use crate::state::{
    LedgerView, MemberRecord, MemoryState, StateKey, StateRecord, StateUpdate, ViewError, update,
};
use crate::transaction::{Known, TransactionError, VerifiedTransaction};
use crate::validator::{ScheduledValidators, Validator, ValidatorSet, ValidatorSetError};
use std::collections::BTreeMap;
use std::sync::Arc;
use thiserror::Error;

/// The end of the chain, and all that the next block depends on besides the state itself.
#[derive(Debug, Clone)]
pub struct Tip {
    genesis: Arc<Genesis>,
    height: BlockHeight,
    block: BlockHash,
    time_ms: u64,
    history: HistoryFrontier,
    state_root: StateRoot,
    state_version: u64,
    price: Price,
    validators: Arc<ValidatorSet>,
    scheduled: Option<ScheduledValidators>,
}

/// A tip without its genesis, to be stored.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct TipRecord {
    height: BlockHeight,
    block: BlockHash,
    time_ms: u64,
    history: HistoryFrontier,
    state_root: StateRoot,
    state_version: u64,
    price: Price,
    validators: Vec<Validator>,
    scheduled: Option<(Vec<Validator>, BlockHeight)>,
}

/// The changes that make the state of the genesis, and their place in the tree.
#[derive(Debug, Clone)]
pub struct GenesisState {
    /// The entries.
    pub changes: BTreeMap<StateKey, StateRecord>,
    /// The tree with them.
    pub update: StateUpdate,
}

impl Tip {
    /// The tip before the first block, and the state there.
    pub fn genesis(genesis: Arc<Genesis>) -> Result<(Self, GenesisState), ViewError> {
        let mut changes = BTreeMap::from([(StateKey::Chain, StateRecord::Chain(genesis.chain_id()))]);
        for member in genesis.members() {
            let record = MemberRecord {
                status: MemberStatus::Admitted,
                since: BlockHeight::GENESIS,
                last_expiry: BlockHeight::GENESIS,
            };
            changes.insert(StateKey::Member(*member), StateRecord::Member(record));
        }
        let update = update(&MemoryState::default(), 0, &changes)?;
        let tip = Self {
            height: BlockHeight::GENESIS,
            block: genesis.chain_id().into(),
            time_ms: genesis.time_ms(),
            history: HistoryFrontier::default(),
            state_root: update.root,
            state_version: 0,
            price: genesis.postage().floor,
            validators: Arc::new(genesis.validators().clone()),
            scheduled: None,
            genesis,
        };
        Ok((tip, GenesisState { changes, update }))
    }
    /// The tip as it is stored.
    pub fn to_record(&self) -> TipRecord {
        TipRecord {
            height: self.height,
            block: self.block,
            time_ms: self.time_ms,
            history: self.history.clone(),
            state_root: self.state_root,
            state_version: self.state_version,
            price: self.price,
            validators: self.validators.validators().to_vec(),
            scheduled: self.scheduled.as_ref().map(|s| (s.validators.validators().to_vec(), s.effective)),
        }
    }
    /// A stored tip, with the genesis it belongs to.
    pub fn restore(genesis: Arc<Genesis>, record: TipRecord) -> Result<Self, ValidatorSetError> {
        let scheduled = record.scheduled.map(|(validators, effective)| {
            let validators = Arc::new(ValidatorSet::new(validators)?);
            Ok(ScheduledValidators { validators, effective })
        });
        Ok(Self {
            height: record.height,
            block: record.block,
            time_ms: record.time_ms,
            history: record.history,
            state_root: record.state_root,
            state_version: record.state_version,
            price: record.price,
            validators: Arc::new(ValidatorSet::new(record.validators)?),
            scheduled: scheduled.transpose()?,
            genesis,
        })
    }
    /// The network.
    pub const fn genesis_file(&self) -> &Arc<Genesis> {
        &self.genesis
    }
    /// Height of the last block; 0 before the first.
    pub const fn height(&self) -> BlockHeight {
        self.height
    }
    /// Height of the block to come.
    pub fn next_height(&self) -> BlockHeight {
        self.height.saturating_add(1)
    }
    /// Hash of the last block.
    pub const fn block(&self) -> BlockHash {
        self.block
    }
    /// Its time.
    pub const fn time_ms(&self) -> u64 {
        self.time_ms
    }
    /// Right edge of the tree over all block hashes, the last block's included.
    pub const fn history(&self) -> &HistoryFrontier {
        &self.history
    }
    /// Root of the state after the last block.
    pub const fn state_root(&self) -> StateRoot {
        self.state_root
    }
    /// The state tree's version after the last block.
    pub const fn state_version(&self) -> u64 {
        self.state_version
    }
    /// Postage price of the block to come.
    pub const fn price(&self) -> Price {
        self.price
    }
    /// The validators that decide the block to come.
    pub const fn validators(&self) -> &Arc<ValidatorSet> {
        &self.validators
    }
    /// The validators of a later height, if a change is agreed on and not in effect yet.
    pub const fn scheduled(&self) -> Option<&ScheduledValidators> {
        self.scheduled.as_ref()
    }
    /// Whether a transaction could stand in the next block, as far as is known now.
    pub fn check<V: LedgerView>(&self, view: &V, transaction: &VerifiedTransaction) -> Result<(), Rejection> {
        Execution::new(self, view).add(transaction)
    }
}

/// A block whose every rule holds on top of its parent, with what it changes.
#[derive(Debug, Clone)]
pub struct VerifiedBlock {
    block: Arc<Block>,
    deciding: Arc<ValidatorSet>,
    tip: Tip,
    changes: BTreeMap<StateKey, StateRecord>,
    update: Option<StateUpdate>,
    subtrees: Vec<Subtree>,
}

/// A block that more than two thirds of the validators' power made final.
#[derive(Debug, Clone)]
pub struct CommittedBlock {
    verified: VerifiedBlock,
    certificate: CommitCertificate,
}

/// A block made by this node, and what it left out.
#[derive(Debug, Clone)]
pub struct Proposal {
    /// The block, executed.
    pub block: VerifiedBlock,
    /// Transactions that can't stand in this block, each with the reason. Those that are merely too many
    /// for one block are not among them.
    pub refused: Vec<(TransactionId, Refusal)>,
}

/// Why a block is not valid: its proposer's fault.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[allow(missing_docs)]
pub enum BlockError {
    #[error("block version {0} is unknown")]
    Version(u16),
    #[error("block {field} is {found}, the chain needs {expected}")]
    Field { field: &'static str, found: String, expected: String },
    #[error("block time {time_ms} is earlier than its parent's {parent_ms}")]
    TimeBackwards { time_ms: u64, parent_ms: u64 },
    #[error("block time {time_ms} is more than {drift_ms} ms ahead of this clock's {now_ms}")]
    TimeAhead { time_ms: u64, now_ms: u64, drift_ms: u32 },
    #[error("block has {messages} messages and {bodies} bodies")]
    Bodies { messages: usize, bodies: usize },
    #[error("block transaction {index}: {source}")]
    Transaction { index: usize, source: TransactionError },
    #[error("block transaction {index}: {source}")]
    Refused { index: usize, source: Refusal },
    #[error("block proposer {0} is not a validator")]
    Proposer(PublicKey),
}

/// Why a block could not be verified.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum VerifyError {
    /// The block is wrong: the proposer's fault.
    #[error(transparent)]
    Invalid(#[from] BlockError),
    /// Our storage failed: our fault.
    #[error(transparent)]
    View(#[from] ViewError),
}

/// Puts a block together from candidates, in their order, as far as they fit.
pub fn propose<V: LedgerView>(
    tip: &Tip,
    view: &V,
    candidates: impl IntoIterator<Item = VerifiedTransaction>,
    now_ms: u64,
    proposer: PublicKey,
) -> Result<Proposal, ViewError> {
    let mut execution = Execution::new(tip, view);
    let mut refused = Vec::new();
    let (mut transactions, mut bodies) = (Vec::new(), Vec::new());
    for candidate in candidates {
        match execution.add(&candidate) {
            Ok(()) => {
                transactions.push(candidate.signed().clone());
                bodies.extend(candidate.body().cloned());
            }
            Err(Rejection::Refused(Refusal::BlockFull { .. } | Refusal::StrangersFull { .. })) => {}
            // What only does not go with those before it may stand in another block: this one may never be final.
            Err(Rejection::Refused(_)) => match tip.check(view, &candidate) {
                Ok(()) => {}
                Err(Rejection::Refused(reason)) => refused.push((candidate.id(), reason)),
                Err(Rejection::View(error)) => return Err(error),
            },
            Err(Rejection::View(error)) => return Err(error),
        }
    }
    let leaves: Vec<_> = transactions.iter().map(|t| t.leaf()).collect();
    let outcome = Outcome::of(tip, view, execution)?;
    let header = Header {
        version: BLOCK_VERSION,
        chain: tip.genesis.chain_id(),
        height: tip.next_height(),
        time_ms: now_ms.max(tip.time_ms),
        parent: tip.block,
        transaction_count: u32::try_from(transactions.len()).unwrap_or(u32::MAX),
        tx_root: transaction_root(&leaves),
        history_root: HistoryRoot::from_bytes(tip.history.root()),
        state_root: outcome.state_root(tip),
        validators_hash: tip.validators.hash(),
        next_validators_hash: outcome.next_validators.hash(),
        postage_price: tip.price,
        proposer,
    };
    let block = Block::new(header, transactions, bodies);
    Ok(Proposal { block: outcome.verified(tip, block), refused })
}

/// Checks a block against the tip it claims to follow. `now_ms` is this node's clock, or `None` for a
/// block that is final already: a clock decides nothing about the past.
pub fn verify_block<V: LedgerView>(
    tip: &Tip,
    view: &V,
    block: Block,
    now_ms: Option<u64>,
) -> Result<VerifiedBlock, VerifyError> {
    verify_block_knowing(tip, view, block, now_ms, &Known::new())
}

/// As [`verify_block`], for whoever has verified some of the transactions before: those are not verified again.
pub fn verify_block_knowing<V: LedgerView>(
    tip: &Tip,
    view: &V,
    block: Block,
    now_ms: Option<u64>,
    known: &Known,
) -> Result<VerifiedBlock, VerifyError> {
    // The cheap checks first: a block that follows something else is not worth its signatures.
    check_header(tip, &block, now_ms)?;
    AuthenticBlock::verify_knowing(block, &tip.genesis, known)?.run(tip, view)
}

/// Runs a block's transactions and compares the state they make with the one its header names.
fn execute<V: LedgerView>(
    tip: &Tip,
    view: &V,
    block: Block,
    verified: &[VerifiedTransaction],
) -> Result<VerifiedBlock, VerifyError> {
    let mut execution = Execution::new(tip, view);
    for (index, transaction) in verified.iter().enumerate() {
        execution.add(transaction).map_err(|rejection| match rejection {
            Rejection::Refused(source) => VerifyError::Invalid(BlockError::Refused { index, source }),
            Rejection::View(error) => VerifyError::View(error),
        })?;
    }
    let outcome = Outcome::of(tip, view, execution)?;
    expect("state_root", block.header().state_root, outcome.state_root(tip))?;
    let next = outcome.next_validators.hash();
    expect("next_validators_hash", block.header().next_validators_hash, next)?;
    Ok(outcome.verified(tip, block))
}

fn expect<T: PartialEq + std::fmt::Display>(
    field: &'static str,
    found: T,
    expected: T,
) -> Result<(), BlockError> {
    if found == expected {
        return Ok(());
    }
    Err(BlockError::Field { field, found: found.to_string(), expected: expected.to_string() })
}

fn check_header(tip: &Tip, block: &Block, now_ms: Option<u64>) -> Result<(), BlockError> {
    let header = block.header();
    if header.version != BLOCK_VERSION {
        return Err(BlockError::Version(header.version));
    }
    expect("chain", header.chain, tip.genesis.chain_id())?;
    expect("height", header.height, tip.next_height())?;
    expect("parent", header.parent, tip.block)?;
    if header.time_ms < tip.time_ms {
        return Err(BlockError::TimeBackwards { time_ms: header.time_ms, parent_ms: tip.time_ms });
    }
    let drift_ms = tip.genesis.timing().clock_drift_ms;
    if let Some(now_ms) = now_ms
        && header.time_ms > now_ms.saturating_add(drift_ms.into())
    {
        return Err(BlockError::TimeAhead { time_ms: header.time_ms, now_ms, drift_ms });
    }
    let count = u32::try_from(block.transactions().len()).unwrap_or(u32::MAX);
    expect("transaction_count", header.transaction_count, count)?;
    expect("tx_root", header.tx_root, transaction_root(&block.leaves()))?;
    expect("history_root", header.history_root, HistoryRoot::from_bytes(tip.history.root()))?;
    expect("validators_hash", header.validators_hash, tip.validators.hash())?;
    expect("postage_price", header.postage_price, tip.price)?;
    if tip.validators.find(&header.proposer).is_none() {
        return Err(BlockError::Proposer(header.proposer));
    }
    Ok(())
}

/// What executing a block's transactions came to.
struct Outcome {
    changes: BTreeMap<StateKey, StateRecord>,
    update: Option<StateUpdate>,
    next_price: Price,
    /// Who decides the block after.
    next_validators: Arc<ValidatorSet>,
    scheduled: Option<ScheduledValidators>,
}

impl Outcome {
    fn of<V: LedgerView>(tip: &Tip, view: &V, execution: Execution<'_, V>) -> Result<Self, ViewError> {
        let Executed { changes, next_price, scheduled } = execution.finish();
        let after = tip.next_height().saturating_add(1);
        let (next_validators, scheduled) = match scheduled {
            Some(due) if due.effective <= after => (due.validators, None),
            later => (tip.validators.clone(), later),
        };
        let update = if changes.is_empty() {
            None
        } else {
            Some(update(view, tip.state_version.saturating_add(1), &changes)?)
        };
        Ok(Self { changes, update, next_price, next_validators, scheduled })
    }
    fn state_root(&self, tip: &Tip) -> StateRoot {
        self.update.as_ref().map_or(tip.state_root, |update| update.root)
    }
    fn verified(self, tip: &Tip, block: Block) -> VerifiedBlock {
        let mut history = tip.history.clone();
        let subtrees = history.append(history_leaf(&block.hash()));
        let after = Tip {
            genesis: tip.genesis.clone(),
            height: block.height(),
            block: block.hash(),
            time_ms: block.header().time_ms,
            history,
            state_root: block.header().state_root,
            state_version: self.update.as_ref().map_or(tip.state_version, |update| update.version),
            price: self.next_price,
            validators: self.next_validators,
            scheduled: self.scheduled,
        };
        VerifiedBlock {
            block: Arc::new(block),
            deciding: tip.validators.clone(),
            tip: after,
            changes: self.changes,
            update: self.update,
            subtrees,
        }
    }
}

impl VerifiedBlock {
    /// The block.
    pub const fn block(&self) -> &Arc<Block> {
        &self.block
    }
    /// The tip it makes.
    pub const fn tip(&self) -> &Tip {
        &self.tip
    }
    /// State entries it writes.
    pub const fn changes(&self) -> &BTreeMap<StateKey, StateRecord> {
        &self.changes
    }
    /// The validators that decide the blocks after it, if they are others than those that decide it.
    pub fn new_validators(&self) -> Option<&Arc<ValidatorSet>> {
        (self.tip.validators != self.deciding).then_some(&self.tip.validators)
    }
    /// What it adds to the state tree; nothing if it changes no entry.
    pub const fn update(&self) -> Option<&StateUpdate> {
        self.update.as_ref()
    }
    /// Full subtrees it completes in the history tree.
    pub fn subtrees(&self) -> &[Subtree] {
        &self.subtrees
    }
    /// Makes it final with a certificate of the validators that decide its height.
    pub fn commit(self, certificate: CommitCertificate) -> Result<CommittedBlock, CertificateError> {
        let header = self.block.header();
        certificate.verify(&header.chain, header.height, &self.block.hash(), &self.deciding)?;
        Ok(CommittedBlock { verified: self, certificate })
    }
    /// As [`commit`](Self::commit), with a certificate whose signatures were checked before.
    pub fn commit_verified(
        self,
        certificate: VerifiedCertificate,
    ) -> Result<CommittedBlock, CertificateError> {
        let header = self.block.header();
        let certificate =
            certificate.check(&header.chain, header.height, &self.block.hash(), &self.deciding)?;
        Ok(CommittedBlock { verified: self, certificate })
    }
}

impl CommittedBlock {
    /// The block and what it changes.
    pub const fn verified(&self) -> &VerifiedBlock {
        &self.verified
    }
    /// The block.
    pub const fn block(&self) -> &Arc<Block> {
        &self.verified.block
    }
    /// The certificate.
    pub const fn certificate(&self) -> &CommitCertificate {
        &self.certificate
    }
    /// The tip it makes.
    pub const fn tip(&self) -> &Tip {
        &self.verified.tip
    }
}

mod authentic;
mod replay;
pub use authentic::{AuthenticBlock, BareBlock};
pub use replay::{ReplayError, replay_block};

#[cfg(test)]
mod tests;
