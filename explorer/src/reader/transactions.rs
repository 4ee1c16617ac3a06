//! Single transactions, their bodies, their answers and their evidence.

use super::{ReadError, Reader};
use sealpost_api::verify::{verify_absence, verify_receipt, verify_transaction};
use sealpost_api::{FinalTransaction, SealpostRpcClient};
use sealpost_ledger::block::Header;
use sealpost_ledger::hash::{BodyHash, TransactionId};
use sealpost_ledger::height::BlockHeight;
use sealpost_ledger::message::{Body, Slot};
use sealpost_ledger::receipt::Answer;
use sealpost_ledger::transaction::SignedTransaction;

/// A final transaction that holds: its header, certificate, path and signature are checked.
pub(crate) struct Proven {
    pub(crate) found: FinalTransaction,
    pub(crate) transaction: SignedTransaction,
    pub(crate) header: Header,
}

impl Reader {
    pub(crate) async fn transaction(&self, id: &TransactionId) -> Result<Proven, ReadError> {
        let found = self.ask(self.client.tx_get(*id)).await?;
        let proven = self.prove(found).await?;
        if proven.transaction.id() == *id {
            Ok(proven)
        } else {
            Err(ReadError::other(format_args!("transaction {id}")))
        }
    }
    pub(crate) async fn prove(&self, found: FinalTransaction) -> Result<Proven, ReadError> {
        let header = self.header_at(found.place.height).await?;
        let what = format!("transaction {}", found.view.id);
        let transaction = verify_transaction(&found, &header).map_err(ReadError::untrusted(&what))?;
        if transaction.id() != found.view.id {
            return Err(ReadError::other(what));
        }
        Ok(Proven { found, transaction, header })
    }
    /// The encrypted body of a message, if the node still has it; its hash is checked.
    pub(crate) async fn encrypted_body(
        &self,
        id: &TransactionId,
        hash: &BodyHash,
    ) -> Result<Body, ReadError> {
        let body = Body::new(self.ask(self.client.tx_body(*id)).await?.0);
        if body.hash() == *hash { Ok(body) } else { Err(ReadError::other(format_args!("the body of {id}"))) }
    }
    /// The header up to which the silence of a slot is proven; of a message that stands in the block at `since`.
    pub(crate) async fn silence(
        &self,
        id: &TransactionId,
        slot: u16,
        since: BlockHeight,
    ) -> Result<Header, ReadError> {
        let (floor, what) = (self.floor().and(since), format!("the silence of slot {slot} of {id}"));
        let answer = self.ask(self.client.proof_absence(*id, slot, None)).await?;
        let header = self.present(floor, &answer.at, &what).await?;
        verify_absence(&answer, id, slot, &header).map_err(ReadError::untrusted(what))?;
        Ok(header)
    }
    /// The receipt of a slot that came between two questions: when the node first told of none, and then
    /// could not prove the silence.
    pub(crate) async fn late_receipt(
        &self,
        id: &TransactionId,
        slot: u16,
    ) -> Result<TransactionId, ReadError> {
        let told = self.ask(self.client.tx_receipts(*id)).await?;
        let found = told.into_iter().find(|receipt| receipt.slot == slot).map(|receipt| receipt.id);
        found.ok_or_else(|| ReadError::other(format_args!("the answer of slot {slot} of {id}")))
    }
    /// A receipt that answers a slot of a message: final, signed by the slot's recipient, with the secret
    /// that the slot commits to; and what it says.
    pub(crate) async fn receipt(
        &self,
        receipt: &TransactionId,
        message: &TransactionId,
        number: u16,
        slot: &Slot,
    ) -> Result<(Answer, Proven), ReadError> {
        let proven = self.transaction(receipt).await?;
        let said = verify_receipt(&proven.transaction, message, number, slot)
            .map_err(ReadError::untrusted(format_args!("receipt {receipt}")))?;
        Ok((said, proven))
    }
}
