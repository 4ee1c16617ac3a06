//! What of the evidence of a message goes into a file: whose answers, whose silence, the body, the text. Less in
//! the file is less to carry and less to tell; what is left out is not denied by what is in it.

use super::{Wallet, WalletError};
use crate::light::Light;
use sealpost_ledger::address::Address;
use sealpost_ledger::evidence::{Evidence, MAX_EVIDENCE_BYTES, SlotPart};
use sealpost_ledger::hash::TransactionId;
use sealpost_ledger::height::BlockHeight;
use sealpost_ledger::message::Mode;
use std::collections::BTreeSet;

/// What is to be in the evidence of a message, besides sender, block and commitments.
#[derive(Debug, Clone, Default)]
pub struct EvidenceRequest {
    /// Which answers.
    pub answers: Answers,
    /// Whose: of these recipients only, with the keys they were written to.
    pub recipients: Option<Vec<Address>>,
    /// As of this height; without it, of now.
    pub until: Option<BlockHeight>,
    /// The encrypted body.
    pub body: bool,
    /// What the message says, for everybody who gets the file.
    pub disclose: bool,
}

/// Which answers go into evidence.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Answers {
    /// Receipts and refusals.
    #[default]
    Given,
    /// These, and for whoever has not answered the proof that there was no answer.
    GivenAndSilence,
    /// The proof of the silence alone. It is an error if nobody is silent.
    Silence,
}

impl Wallet {
    /// The evidence of a message, checked, with those parts that are asked for.
    pub async fn prove(
        &self,
        light: &Light,
        id: &TransactionId,
        request: &EvidenceRequest,
    ) -> Result<Evidence, WalletError> {
        let whole = self.evidence(light, id, request.until, request.body, request.disclose).await?;
        let meant = self.slots_of(&whole, id, request.recipients.as_deref())?;
        let silent: BTreeSet<u16> = whole.absences.iter().map(|absence| absence.slot).collect();
        let evidence = whole.keeping(|part, slot| {
            let of_answers = match (request.answers, part) {
                (_, SlotPart::Key) if request.answers == Answers::Silence => silent.contains(&slot),
                (_, SlotPart::Key) | (Answers::GivenAndSilence, _) => true,
                (Answers::Given, part) => part == SlotPart::Receipt,
                (Answers::Silence, part) => part == SlotPart::Absence,
            };
            of_answers && meant.as_ref().is_none_or(|meant| meant.contains(&slot))
        });
        if request.answers == Answers::Silence && evidence.absences.is_empty() {
            return Err(WalletError::NoSilence { id: *id });
        }
        within(MAX_EVIDENCE_BYTES, id, evidence)
    }
    /// The slots of these recipients.
    fn slots_of(
        &self,
        evidence: &Evidence,
        id: &TransactionId,
        recipients: Option<&[Address]>,
    ) -> Result<Option<BTreeSet<u16>>, WalletError> {
        let Some(recipients) = recipients else { return Ok(None) };
        let message = evidence.message.transaction.message();
        if message.is_some_and(|message| message.mode == Mode::Sealed) {
            return Err(WalletError::RecipientsHidden { id: *id });
        }
        let slots = recipients.iter().map(|address| {
            let slot = message.and_then(|message| message.slot_of(address));
            slot.ok_or_else(|| WalletError::NotARecipient { id: *id, address: self.text(address) })
        });
        slots.collect::<Result<BTreeSet<u16>, _>>().map(Some)
    }
}

/// What nobody would read is no evidence: with what this wallet discloses it is longer than what the node has made.
fn within(longest: usize, id: &TransactionId, evidence: Evidence) -> Result<Evidence, WalletError> {
    let length = evidence.to_json().len();
    if length > longest { Err(WalletError::EvidenceTooLong { id: *id, length }) } else { Ok(evidence) }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn evidence_that_nobody_would_read_is_not_made() {
        let json = include_str!("../../../docs/example.evidence.json");
        let evidence = Evidence::from_json(json.as_bytes()).unwrap();
        let id = evidence.message.transaction.id();
        assert_eq!(within(json.len(), &id, evidence.clone()).unwrap(), evidence);
        let error = within(json.len() - 1, &id, evidence).unwrap_err();
        assert!(matches!(error, WalletError::EvidenceTooLong { length, .. } if length == json.len()));
    }
}
