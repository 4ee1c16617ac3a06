//! What consensus asks of the place where blocks are kept. A seam of five methods, so that agreement can
//! be run and tested apart from journal and index. All of them may block on the disk.

use sealpost_ledger::block::Block;
use sealpost_ledger::certificate::CommitCertificate;
use sealpost_ledger::chain::{CommittedBlock, Tip};
use sealpost_ledger::height::BlockHeight;
use sealpost_ledger::state::LedgerView;

/// Final blocks, the state after them, and proposals that may become final.
pub trait Storage: LedgerView + Clone + Send + Sync + 'static {
    /// How it fails. Any failure stops consensus: a validator that can't write must not vote.
    type Error: std::error::Error + Send + Sync + 'static;

    /// The end of the chain.
    fn tip(&self) -> Tip;
    /// Makes a block the new end. It is on disk when this returns.
    fn append(&self, block: &CommittedBlock) -> Result<(), Self::Error>;
    /// Keeps a proposed block. It is on disk when this returns: a vote for it may follow.
    fn put_proposal(&self, block: &Block) -> Result<(), Self::Error>;
    /// Proposed blocks kept for a height.
    fn proposals(&self, height: BlockHeight) -> Result<Vec<Block>, Self::Error>;
    /// A final block with its bodies, and its certificate; nothing if it is to come or was pruned.
    fn decided(&self, height: BlockHeight) -> Result<Option<(Block, CommitCertificate)>, Self::Error>;
}
