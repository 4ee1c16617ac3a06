//! Running a final block again when the bodies of its messages are not kept any more. Two thirds of the
//! validators saw the bodies before they signed, and the message headers commit to them; everything else is
//! checked as when the block was new.

use super::{BlockError, CommittedBlock, Tip, VerifyError, check_header, execute};
use crate::block::Block;
use crate::certificate::{CertificateError, CommitCertificate};
use crate::state::LedgerView;
use crate::transaction::verify_headers;
use thiserror::Error;

/// Why a final block could not be run again.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum ReplayError {
    /// A rule does not hold, or our storage failed.
    #[error(transparent)]
    Verify(#[from] VerifyError),
    /// The certificate does not make the block final.
    #[error(transparent)]
    Certificate(#[from] CertificateError),
}

/// Checks a final block without its bodies against the tip it follows. The certificate is asked for because
/// it alone says that the bodies were there. A block that has bodies is refused: here nobody would look at
/// them.
pub fn replay_block<V: LedgerView>(
    tip: &Tip,
    view: &V,
    block: Block,
    certificate: CommitCertificate,
) -> Result<CommittedBlock, ReplayError> {
    check_header(tip, &block, None).map_err(VerifyError::from)?;
    if !block.bodies().is_empty() {
        let messages = block.transactions().iter().filter(|t| t.message().is_some()).count();
        return Err(VerifyError::from(BlockError::Bodies { messages, bodies: block.bodies().len() }).into());
    }
    let verified = verify_headers(block.transactions().to_vec(), &tip.genesis);
    let verified =
        verified.map_err(|(index, source)| VerifyError::from(BlockError::Transaction { index, source }))?;
    Ok(execute(tip, view, block, &verified)?.commit(certificate)?)
}

#[cfg(test)]
mod tests;
