//! Headers under the validators of their height. When a header names validators that no known change leads
//! to, the node is asked for the changes; each must be signed by the validators before it.

use super::LightError;
use super::node::Node;
use sealpost_api::verify::{ValidatorHistory, VerifyError};
use sealpost_api::{Hex, MAX_PAGE, SealedHeader, SealpostRpcClient, ValidatorsChanged};
use sealpost_ledger::block::Header;
use sealpost_ledger::height::BlockHeight;

impl Node {
    /// Verifies a header's certificate.
    pub(super) async fn verify_header(&self, sealed: &SealedHeader) -> Result<Header, LightError> {
        let what = format!("block {}", sealed.view.height);
        let verified = self.under_validators(&what, |validators| validators.verify_header(sealed));
        let (header, _) = verified.await?;
        self.take_in(&header, &sealed.header, &sealed.certificate)?;
        Ok(header)
    }
    /// Remembers a verified header and who showed it; a contradiction to one that was verified before is an error.
    pub(super) fn take_in(&self, header: &Header, bytes: &Hex, certificate: &Hex) -> Result<(), LightError> {
        let shown = self.statement(bytes.clone(), certificate.clone());
        self.known.take_in(header, shown).map_err(|proof| LightError::Contradiction { proof, file: None })
    }
    /// Checks something under the validators that are known; asks for the changes if it names others.
    pub(super) async fn under_validators<T>(
        &self,
        what: &str,
        check: impl Fn(&ValidatorHistory) -> Result<T, VerifyError>,
    ) -> Result<T, LightError> {
        let mut checked = check(&self.known.validators());
        if let Err(VerifyError::UnknownValidators { .. }) = checked {
            self.follow_validators().await?;
            checked = check(&self.known.validators());
        }
        checked.map_err(|error| self.untrusted(what, error))
    }
    /// Takes in every change of the validators that the node knows and this wallet does not.
    async fn follow_validators(&self) -> Result<(), LightError> {
        // On a copy: others go on verifying meanwhile, and may be here too.
        let mut history = self.known.validators().clone();
        self.changes(&mut history, None).await?;
        let mut known = self.known.validators();
        if history.last_change() > known.last_change() {
            *known = history;
        }
        Ok(())
    }
    /// The changes of the validators after those in `history` and before a height, added to it and verified.
    pub(super) async fn changes(
        &self,
        history: &mut ValidatorHistory,
        before: Option<BlockHeight>,
    ) -> Result<Vec<ValidatorsChanged>, LightError> {
        let mut changes = Vec::new();
        loop {
            let call = self.client.chain_validator_changes(history.last_change(), Some(MAX_PAGE));
            let page = self.ask(call).await?;
            let more = page.len() >= MAX_PAGE as usize;
            for change in page {
                if before.is_some_and(|before| change.at.view.height >= before) {
                    return Ok(changes);
                }
                let what = || format!("the change of validators in block {}", change.at.view.height);
                history.extend(&change).map_err(|error| self.untrusted(what(), error))?;
                changes.push(change);
            }
            if !more {
                return Ok(changes);
            }
        }
    }
}
