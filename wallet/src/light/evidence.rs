//! Evidence as a node makes it: checked as anybody would check it, and that it leaves no answer out. A file without an
//! answer that stands on the ledger, or with a silence of long ago, would be true and misleading.

use super::LightError;
use super::node::Node;
use sealpost_api::SealpostRpcClient;
use sealpost_ledger::evidence::Evidence;
use sealpost_ledger::hash::TransactionId;
use sealpost_ledger::height::BlockHeight;
use sealpost_ledger::message::SlotRecipient;
use sealpost_ledger::transaction::Payload;

impl Node {
    /// The evidence of a message, checked against the genesis.
    pub(super) async fn evidence(
        &self,
        id: &TransactionId,
        until: Option<BlockHeight>,
        with_body: bool,
    ) -> Result<Evidence, LightError> {
        let floor = self.floor().height();
        let json = self.ask(self.client.evidence_get(*id, until, Some(with_body))).await?;
        let what = format!("the evidence of {id}");
        let evidence = Evidence::from_json(json.as_bytes()).map_err(|error| self.untrusted(&what, error))?;
        let findings = evidence.check(self.genesis()).map_err(|error| self.untrusted(&what, error))?;
        if findings.message() != *id {
            return Err(self.untrusted(what, "it is about another message"));
        }
        match misleading(&evidence, until.unwrap_or(floor)) {
            Some(reason) => Err(self.untrusted(what, reason)),
            None => Ok(evidence),
        }
    }
}

/// Why checked evidence does not tell how every open slot stood at a height.
fn misleading(evidence: &Evidence, at: BlockHeight) -> Option<String> {
    let slots = &evidence.message.transaction.message()?.slots;
    for (number, slot) in (0_u16..).zip(slots) {
        if matches!(slot.recipient, SlotRecipient::Hidden { .. }) {
            continue;
        }
        let answers =
            |receipt: &Payload| matches!(receipt, Payload::Receipt(receipt) if receipt.slot == number);
        if evidence.receipts.iter().any(|receipt| answers(receipt.transaction.payload())) {
            continue;
        }
        match evidence.absences.iter().find(|absence| absence.slot == number) {
            None => return Some(format!("it shows neither an answer nor the silence of slot {number}")),
            Some(absence) if absence.block < at => {
                let shown = absence.block;
                return Some(format!("it shows the silence of slot {number} up to block {shown}, not {at}"));
            }
            Some(_) => {}
        }
    }
    None
}
