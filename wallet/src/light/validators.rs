//! Headers under the validators of their height. When a header names validators that no known change leads
//! to, the node is asked for the changes; each must be signed by the validators before it.

use super::{Light, LightError};
use sealpost_api::verify::{ValidatorHistory, VerifyError};
use sealpost_api::{MAX_PAGE, SealedHeader, SealpostRpcClient};
use sealpost_ledger::block::Header;
use std::sync::{MutexGuard, PoisonError};

/// Verified headers that are kept for the transactions to come from the same blocks.
const MAX_HEADERS_KEPT: usize = 4096;

impl Light {
    /// Verifies a header's certificate.
    pub(crate) async fn verify_header(&self, sealed: &SealedHeader) -> Result<Header, LightError> {
        let mut verified = self.validators().verify_header(sealed);
        if let Err(VerifyError::UnknownValidators { .. }) = verified {
            self.follow_validators().await?;
            verified = self.validators().verify_header(sealed);
        }
        let (header, _) =
            verified.map_err(|error| self.untrusted(format!("block {}", sealed.view.height), error))?;
        let mut headers = self.headers();
        // However long the ledger is: what is forgotten is asked for again.
        if headers.len() >= MAX_HEADERS_KEPT {
            headers.clear();
        }
        headers.insert(header.height, header.clone());
        Ok(header)
    }
    /// Takes in every change of the validators that the node knows and this wallet does not.
    async fn follow_validators(&self) -> Result<(), LightError> {
        // On a copy: others go on verifying meanwhile, and may be here too.
        let mut history = self.validators().clone();
        loop {
            let call = self.client.chain_validator_changes(history.last_change(), Some(MAX_PAGE));
            let page = self.ask(call).await?;
            for change in &page {
                let what = || format!("the change of validators in block {}", change.at.view.height);
                history.extend(change).map_err(|error| self.untrusted(what(), error))?;
            }
            if page.len() < MAX_PAGE as usize {
                break;
            }
        }
        let mut known = self.validators();
        if history.last_change() > known.last_change() {
            *known = history;
        }
        Ok(())
    }
    pub(super) fn validators(&self) -> MutexGuard<'_, ValidatorHistory> {
        self.validators.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
