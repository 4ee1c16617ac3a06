//! What consensus asks of the store. A trait, so that the simulation can put a disk in its place that loses at a
//! crash what was not synced.

use crate::store::{Maker, ProposedBlock, Store, StoreError};
use sealpost_ledger::block::Block;
use sealpost_ledger::certificate::CommitCertificate;
use sealpost_ledger::chain::{CommittedBlock, Tip};
use sealpost_ledger::equivocation::Equivocation;
use sealpost_ledger::height::BlockHeight;
use sealpost_ledger::state::LedgerView;
use sealpost_ledger::validator::ValidatorSet;

/// Final blocks and proposals on disk. What is put there is durable when the call returns.
pub trait Disk: LedgerView {
    /// The end of the chain.
    fn tip(&self) -> Tip;
    /// Keeps a block that was proposed in a round, and who made it; a vote for it may leave only then.
    fn put_proposal(&self, block: &Block, round: u32, maker: Maker) -> Result<(), StoreError>;
    /// All blocks proposed for a height that is not decided yet, in the order of their hashes.
    fn proposals_at(&self, height: BlockHeight) -> Vec<ProposedBlock>;
    /// Takes in the next final block.
    fn append(&self, block: &CommittedBlock) -> Result<(), StoreError>;
    /// Keeps an equivocation that was verified.
    fn put_equivocation(&self, equivocation: &Equivocation) -> Result<(), StoreError>;
    /// A block with its bodies and its certificate; nothing if its bodies are not kept any more.
    fn certified_block(&self, height: BlockHeight) -> Result<Option<(Block, CommitCertificate)>, StoreError>;
    /// The validators that decide a height, if it is not beyond the next one.
    fn validators(&self, height: BlockHeight) -> Result<ValidatorSet, StoreError>;
    /// The lowest height from which on all bodies are kept.
    fn oldest_body_height(&self) -> BlockHeight;
}

impl Disk for Store {
    fn tip(&self) -> Tip {
        Store::tip(self)
    }
    fn put_proposal(&self, block: &Block, round: u32, maker: Maker) -> Result<(), StoreError> {
        Store::put_proposal(self, block, round, maker)
    }
    fn proposals_at(&self, height: BlockHeight) -> Vec<ProposedBlock> {
        Store::proposals_at(self, height)
    }
    fn append(&self, block: &CommittedBlock) -> Result<(), StoreError> {
        Store::append(self, block)
    }
    fn put_equivocation(&self, equivocation: &Equivocation) -> Result<(), StoreError> {
        Store::put_equivocation(self, equivocation).map(drop)
    }
    fn certified_block(&self, height: BlockHeight) -> Result<Option<(Block, CommitCertificate)>, StoreError> {
        Store::certified_block(self, height)
    }
    fn validators(&self, height: BlockHeight) -> Result<ValidatorSet, StoreError> {
        Store::validators(self, height)
    }
    fn oldest_body_height(&self) -> BlockHeight {
        Store::oldest_body_height(self)
    }
}
