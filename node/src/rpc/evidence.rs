//! Evidence files, put together from the store. Whoever receives one checks it without trusting this node.

use super::{Failure, MAX_RESPONSE_BYTES, Reader};
use sealpost_api::{ApiError, Category, MAX_PAGE};
use sealpost_ledger::evidence::{
    CertifiedHeader, Evidence, NewestBundle, ProvenAbsence, ProvenBundle, ProvenTransaction, ProvenValidators,
};
use sealpost_ledger::hash::TransactionId;
use sealpost_ledger::height::BlockHeight;
use sealpost_ledger::message::{Message, SlotRecipient};
use sealpost_ledger::state::{BundleRecord, StateKey, StateProof, StateRecord};
use std::collections::BTreeSet;

/// What an answer has besides its result.
const AROUND_A_RESULT: usize = 1024;

impl Reader {
    /// The evidence file of a message, with the receipts and absences up to a height.
    pub(super) fn evidence(
        &self,
        id: &TransactionId,
        until: Option<BlockHeight>,
        with_body: bool,
    ) -> Result<String, Failure> {
        let longest = usize::try_from(MAX_RESPONSE_BYTES).unwrap_or(usize::MAX);
        self.evidence_within(longest.saturating_sub(AROUND_A_RESULT), id, until, with_body)
    }
    /// The same, if it is no longer than that as a JSON string. An evidence file may be as long as an answer, and is a little
    /// longer in one: so whoever can be given it can check it.
    fn evidence_within(
        &self,
        longest: usize,
        id: &TransactionId,
        until: Option<BlockHeight>,
        with_body: bool,
    ) -> Result<String, Failure> {
        let (located, message) = self.located_message(id)?;
        let until = self.proof_height(until)?;
        if until < located.height {
            let text = format!("until: the message became final later, at {}", located.height);
            return Err(ApiError::new(Category::Input, "input.until", text).into());
        }
        let body = match with_body {
            true => Some(self.store.body(id)?.kept().ok_or_else(|| super::transaction::body_pruned(id))?),
            false => None,
        };
        let keys = self.proven_keys(&message, located.height)?;
        let (receipts, absences) = self.proven_answers(id, &message, until)?;
        let message = self.proven(id)?;
        let mut heights = BTreeSet::from([message.block]);
        heights.extend(receipts.iter().map(|receipt| receipt.block));
        heights.extend(absences.iter().map(|absence| absence.block));
        let validator_changes = self.changes_before(heights.last().copied().unwrap_or_default())?;
        heights.extend(validator_changes.iter().map(|change| change.block));
        let blocks = heights.into_iter().map(|height| {
            let (header, certificate) = self.raw_header(height)?;
            Ok(CertifiedHeader { header, certificate })
        });
        let evidence = Evidence {
            chain: self.genesis.chain_id(),
            blocks: blocks.collect::<Result<_, Failure>>()?,
            validator_changes,
            message,
            receipts,
            keys,
            absences,
            body,
            disclosure: None,
        };
        let json = evidence.to_json();
        let length = length_as_string(&json);
        if length > longest {
            let text = format!("the evidence of {id} is {length} bytes in an answer, the limit is {longest}");
            let error = ApiError::new(Category::Input, "evidence.too_long", text);
            return Err(error
                .help("ask for it up to an earlier block (until), or without the body: each answer, each silence and \
                     each change of the validators until then is in it")
                .into());
        }
        Ok(json)
    }
    /// Every change of the validators that a block before this one announces: with them a stranger comes
    /// from the genesis' validators to those of the last block.
    fn changes_before(&self, last: BlockHeight) -> Result<Vec<ProvenValidators>, Failure> {
        let (mut changes, mut after) = (Vec::new(), BlockHeight::GENESIS);
        loop {
            let page = self.store.validator_changes(after, MAX_PAGE as usize)?;
            for (block, validators) in &page {
                if *block >= last {
                    return Ok(changes);
                }
                changes.push(ProvenValidators { block: *block, validators: validators.clone() });
            }
            let Some((block, _)) = page.last() else { return Ok(changes) };
            after = *block;
        }
    }
    fn proven(&self, id: &TransactionId) -> Result<ProvenTransaction, Failure> {
        let located = self.located(id)?;
        let (header, _) = self.raw_header(located.height)?;
        let path = self.path(&located, &header)?;
        let (block, index) = (located.height, located.index);
        Ok(ProvenTransaction { block, index, path, transaction: located.transaction })
    }
    /// The key bundles used, as far as they stand in the directory, and the newest of those that were not: a sender may have
    /// used one from a contact card that was never published. They are proven in the state of the message's block; a node that has dropped it leaves them
    /// out, and who wrote what to whom and who answered is proven all the same.
    fn proven_keys(&self, message: &Message, at: BlockHeight) -> Result<Vec<ProvenBundle>, Failure> {
        let mut keys = Vec::new();
        for (slot, content) in (0_u16..).zip(&message.slots) {
            let SlotRecipient::Named { address, bundle } = content.recipient else { continue };
            let Some((newest, newest_proof)) = self.proven_bundle(StateKey::Directory(address), at)? else {
                continue;
            };
            if newest.bundle.sequence == bundle {
                keys.push(ProvenBundle {
                    slot,
                    block: at,
                    record: newest,
                    proof: newest_proof,
                    newest: None,
                });
            } else if let Some((record, proof)) = self.proven_bundle(StateKey::Bundle(address, bundle), at)? {
                let newest = Some(NewestBundle { record: newest, proof: newest_proof });
                keys.push(ProvenBundle { slot, block: at, record, proof, newest });
            }
        }
        Ok(keys)
    }
    fn proven_bundle(
        &self,
        key: StateKey,
        at: BlockHeight,
    ) -> Result<Option<(BundleRecord, StateProof)>, Failure> {
        Ok(match self.prove_if_kept(&key, at)? {
            Some((Some(StateRecord::Bundle(record)), proof)) => Some((record, proof)),
            _ => None,
        })
    }
    fn proven_answers(
        &self,
        id: &TransactionId,
        message: &Message,
        until: BlockHeight,
    ) -> Result<(Vec<ProvenTransaction>, Vec<ProvenAbsence>), Failure> {
        let (mut receipts, mut absences) = (Vec::new(), Vec::new());
        for (slot, content) in (0_u16..).zip(&message.slots) {
            // The answer to a sealed slot never stands on the ledger: its absence there would say nothing.
            if matches!(content.recipient, SlotRecipient::Hidden { .. }) {
                continue;
            }
            let (record, proof) = self.prove(&StateKey::Receipt(*id, slot), until)?;
            match record {
                Some(StateRecord::Receipt(record)) => receipts.push(self.proven(&record.receipt)?),
                _ => absences.push(ProvenAbsence { slot, block: until, proof }),
            }
        }
        Ok((receipts, absences))
    }
}

/// Bytes of an evidence file in a JSON string: besides its quotes and the ends of its lines nothing in it is escaped.
fn length_as_string(json: &str) -> usize {
    let escaped = json.bytes().filter(|byte| matches!(byte, b'"' | b'\n')).count();
    json.len().saturating_add(escaped).saturating_add(2)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::store::testing::Chain;
    use crate::store::{Store, StoreOptions};

    /// Two versions are all that this node keeps: the message's own is long gone, and a receipt came since.
    #[test]
    fn an_old_message_has_evidence_without_the_state_of_its_block() {
        let (dir, chain) = (tempfile::tempdir().unwrap(), Chain::new("old"));
        let options = StoreOptions { state_versions: 2, ..StoreOptions::default() };
        let store = Store::open(dir.path(), chain.genesis.clone(), options).unwrap().0;
        let message = chain.message("The lift is out of service");
        let mut blocks = vec![vec![message.clone()], vec![chain.receipt(&message)]];
        blocks.extend((1..=5).map(|number| vec![chain.bundle(number)]));
        for transactions in blocks {
            store.append(&chain.next(&store, transactions)).unwrap();
        }
        let reader = Reader { store, genesis: chain.genesis.clone() };
        let bundle = StateKey::Bundle(crate::store::testing::address(crate::store::testing::RECIPIENT), 1);
        assert!(reader.prove_if_kept(&bundle, BlockHeight::FIRST).unwrap().is_none(), "it was dropped");
        let evidence =
            Evidence::from_json(reader.evidence(&message.id(), None, true).unwrap().as_bytes()).unwrap();
        assert_eq!((evidence.receipts.len(), evidence.keys.len(), evidence.absences.len()), (1, 0, 0));
        evidence.check(&chain.genesis).unwrap();
        // Nobody may believe that a state is proven which was asked for and is gone.
        let Err(Failure::Answer(error)) = reader.evidence(&message.id(), Some(BlockHeight::FIRST), true)
        else {
            unreachable!("the state after the first block is gone")
        };
        assert_eq!(error.code, "block.state_dropped");
    }

    #[test]
    fn evidence_that_no_answer_holds_is_refused_with_the_limit_and_a_way_out() {
        let (dir, chain) = (tempfile::tempdir().unwrap(), Chain::new("long"));
        let store = Store::open(dir.path(), chain.genesis.clone(), StoreOptions::default()).unwrap().0;
        let message = chain.message("The lift is out of service");
        store.append(&chain.next(&store, vec![message.clone()])).unwrap();
        store.append(&chain.next(&store, vec![chain.receipt(&message)])).unwrap();
        let (id, reader) = (message.id(), Reader { store, genesis: chain.genesis.clone() });
        let whole = reader.evidence(&id, None, true).unwrap();
        let length = serde_json::to_string(&whole).unwrap().len();
        assert_eq!(reader.evidence_within(length, &id, None, true).unwrap(), whole);
        let Err(Failure::Answer(error)) = reader.evidence_within(length - 1, &id, None, true) else {
            unreachable!("it is a byte longer")
        };
        assert_eq!((error.category, error.code.as_str()), (Category::Input, "evidence.too_long"));
        assert!(error.message.contains(&length.to_string()) && error.help.is_some(), "{error:?}");
        // The way out is one.
        reader.evidence_within(length - 1, &id, None, false).unwrap();
    }
}
