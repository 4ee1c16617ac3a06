//! Verifies a run of blocks that somebody says are final, and appends it: signatures, links, roots,
//! certificates, nothing less than a validator checks. Blocks.

use crate::store::{Ahead, Store, StoreError};
use crate::wire::EncodedBlock;
use sealpost_ledger::chain::{self, CommittedBlock, VerifyError};
use std::sync::Arc;

/// How far a run held.
#[derive(Debug)]
pub(super) struct Applied {
    /// The blocks that hold; they are on disk.
    pub(super) committed: Vec<Arc<CommittedBlock>>,
    /// Why the next one does not, if so: the fault of whoever brought it.
    pub(super) refused: Option<String>,
}

/// Verifies and appends a run that follows the store's tip.
pub(super) fn apply(store: &Store, blocks: &[EncodedBlock]) -> Result<Applied, StoreError> {
    let mut ahead = Ahead::new(store.clone());
    let mut tip = store.tip();
    let mut committed = Vec::with_capacity(blocks.len());
    let mut refused = None;
    for encoded in blocks {
        let block = match encoded.read() {
            Ok(block) => block,
            Err(error) => {
                refused = Some(error.to_string());
                break;
            }
        };
        // A clock decides nothing about the past.
        let verified = match chain::verify_block(&tip, &ahead, block, None) {
            Ok(verified) => verified,
            Err(VerifyError::Invalid(error)) => {
                refused = Some(error.to_string());
                break;
            }
            Err(VerifyError::View(error)) => return Err(error.into()),
        };
        match verified.commit(encoded.certificate.clone()) {
            Ok(block) => {
                ahead.add(block.verified());
                tip = block.tip().clone();
                committed.push(Arc::new(block));
            }
            Err(error) => {
                refused = Some(error.to_string());
                break;
            }
        }
    }
    if !committed.is_empty() {
        ahead.append(&committed)?;
    }
    Ok(Applied { committed, refused })
}
