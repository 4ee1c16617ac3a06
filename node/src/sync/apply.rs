//! Verifies a run of blocks that somebody says are final, and appends it: signatures, links, roots,
//! certificates, nothing less than a validator checks. Blocks.

use crate::store::{Ahead, Store, StoreError};
use crate::wire::{EncodedBlock, Fault};
use sealpost_ledger::block::Block;
use sealpost_ledger::chain::{self, CommittedBlock, ReplayError, VerifyError};
use sealpost_ledger::height::BlockHeight;
use std::sync::Arc;

/// How far a run held.
#[derive(Debug)]
pub(super) struct Applied {
    /// The blocks that hold; they are on disk.
    pub(super) committed: Vec<Arc<CommittedBlock>>,
    /// Why the next one does not, if so.
    pub(super) refused: Option<Refused>,
}

/// Why a block was not taken.
#[derive(Debug)]
pub(super) struct Refused {
    pub(super) reason: String,
    /// What whoever brought it did wrong.
    pub(super) fault: Fault,
}

/// Verifies and appends a run that follows the store's tip. `proven` is certainly final: blocks out of the
/// network's retention below it may come without the bodies of their messages, and no others, so that nobody
/// can make a node miss bodies it should have.
pub(super) fn apply(
    store: &Store,
    blocks: &[EncodedBlock],
    proven: BlockHeight,
) -> Result<Applied, StoreError> {
    let bodiless = store.bodiless_up_to(proven);
    let mut ahead = Ahead::new(store.clone());
    let mut tip = store.tip();
    let mut committed = Vec::with_capacity(blocks.len());
    let mut refused = None;
    for encoded in blocks {
        let verified = encoded.read().map_err(|e| Stop::Refused(false_block(e)));
        let verified = verified.and_then(|block| {
            // A clock decides nothing about the past.
            if !lacks_bodies(&block) {
                let verified = chain::verify_block(&tip, &ahead, block, None)?;
                return verified.commit(encoded.certificate.clone()).map_err(|e| false_block(e).into());
            }
            if block.height() > bodiless {
                let reason = format!("block {} comes without the bodies of its messages", block.height());
                // Whoever has dropped them since it was asked is no liar.
                return Err(Stop::Refused(Refused { reason, fault: Fault::NoAnswer }));
            }
            Ok(chain::replay_block(&tip, &ahead, block, encoded.certificate.clone())?)
        });
        match verified {
            Ok(block) => {
                ahead.add(block.verified());
                tip = block.tip().clone();
                committed.push(Arc::new(block));
            }
            Err(Stop::Refused(reason)) => {
                refused = Some(reason);
                break;
            }
            Err(Stop::Store(error)) => return Err(error),
        }
    }
    if !committed.is_empty() {
        ahead.append(&committed, proven)?;
    }
    Ok(Applied { committed, refused })
}

/// Why a run ends before its end.
enum Stop {
    Refused(Refused),
    Store(StoreError),
}

impl From<Refused> for Stop {
    fn from(refused: Refused) -> Self {
        Stop::Refused(refused)
    }
}

impl From<VerifyError> for Stop {
    fn from(error: VerifyError) -> Self {
        match error {
            VerifyError::Invalid(error) => false_block(error).into(),
            VerifyError::View(error) => Stop::Store(error.into()),
        }
    }
}

impl From<ReplayError> for Stop {
    fn from(error: ReplayError) -> Self {
        match error {
            ReplayError::Verify(error) => error.into(),
            ReplayError::Certificate(error) => false_block(error).into(),
        }
    }
}

fn false_block(error: impl std::fmt::Display) -> Refused {
    Refused { reason: error.to_string(), fault: Fault::FalseBlock }
}

/// Whether a block was sent without the bodies of its messages.
fn lacks_bodies(block: &Block) -> bool {
    block.bodies().is_empty() && block.transactions().iter().any(|t| t.message().is_some())
}

#[cfg(test)]
mod tests;
