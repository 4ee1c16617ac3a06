//! Checking evidence, in the order in which one fact rests on another: the genesis gives the validators,
//! they sign blocks, blocks hold transactions and state, and these say what happened to the message.

use super::answers::sealed_answers;
use super::findings::{Commit, Finding, Findings, KeyStanding, Place};
use super::refusal::{EvidencePart, EvidenceRefusal as No};
use super::{CertifiedHeader, Evidence, EvidenceError, ProvenAbsence, ProvenBundle, ProvenTransaction};
use crate::address::Address;
use crate::block::{BLOCK_VERSION, Header};
use crate::genesis::Genesis;
use crate::height::BlockHeight;
use crate::merkle::verify_inclusion;
use crate::message::{Message, Slot, SlotRecipient, content_commit};
use crate::receipt::{Answer, Receipt, receipt_commit};
use crate::state::{BundleRecord, StateKey, StateProof, StateRecord};
use crate::transaction::{Payload, TRANSACTION_VERSION};
use crate::validator::ValidatorSet;
use std::collections::{BTreeMap, BTreeSet};

impl Evidence {
    /// Checks every part of the evidence against the genesis and says what it shows.
    ///
    /// # Errors
    /// The first part that does not hold.
    pub fn check(&self, genesis: &Genesis) -> Result<Findings, EvidenceError> {
        let expected = genesis.chain_id();
        if self.chain != expected {
            return Err(No::OtherChain { found: self.chain, expected }.into());
        }
        let mut check = Check {
            evidence: self,
            blocks: certified_blocks(self, genesis)?,
            used: self.validator_changes.iter().map(|change| change.block).collect(),
        };
        let list = check.findings()?;
        if let Some(height) = check.blocks.keys().find(|height| !check.used.contains(height)) {
            return Err(No::UnusedBlock { height: *height }.into());
        }
        Ok(Findings::new(genesis, self.message.transaction.id(), list))
    }
}

/// A header that its validators made final.
struct FinalHeader<'a> {
    header: &'a Header,
    commit: Commit,
}

/// Walks from the genesis validators to the last block, and checks each certificate under the set that
/// was in office.
fn certified_blocks<'a>(
    evidence: &'a Evidence,
    genesis: &Genesis,
) -> Result<BTreeMap<BlockHeight, FinalHeader<'a>>, No> {
    let mut blocks = BTreeMap::new();
    let mut changes = evidence.validator_changes.iter().enumerate().peekable();
    let mut in_office = genesis.validators();
    let (mut previous, mut unlisted) = (None, None);
    for CertifiedHeader { header, certificate } in &evidence.blocks {
        let height = header.height;
        if header.version != BLOCK_VERSION {
            return Err(No::BlockVersion { height, version: header.version });
        }
        if header.chain != evidence.chain {
            return Err(No::BlockChain { height, found: header.chain, expected: evidence.chain });
        }
        if previous.is_some_and(|earlier| earlier >= height) {
            return Err(No::BlockOrder { height });
        }
        previous = Some(height);
        let expected = in_office.hash();
        if header.validators_hash != expected {
            return Err(No::OtherValidators { height, found: header.validators_hash, expected });
        }
        // Whoever has left office could sign what comes after.
        if let Some(height) = unlisted {
            return Err(No::UnlistedChange { height });
        }
        let verified = certificate.verify(&header.chain, height, &header.hash(), in_office);
        verified.map_err(|source| No::Certificate { height, source })?;
        let signers = certificate.signatures.iter().map(|commit| commit.validator);
        blocks.insert(height, FinalHeader { header, commit: Commit::of(in_office, signers) });

        if let Some((_, change)) = changes.next_if(|(_, change)| change.block == height) {
            check_change(header, in_office, &change.validators)?;
            in_office = &change.validators;
        } else if header.next_validators_hash != header.validators_hash {
            unlisted = Some(height);
        }
    }
    match changes.next() {
        None => Ok(blocks),
        Some((_, change)) if blocks.contains_key(&change.block) => {
            Err(No::ChangeOrder { height: change.block })
        }
        Some((index, change)) => {
            Err(No::MissingBlock { part: EvidencePart::ValidatorChange(index), height: change.block })
        }
    }
}

fn check_change(header: &Header, from: &ValidatorSet, to: &ValidatorSet) -> Result<(), No> {
    if header.next_validators_hash != to.hash() {
        return Err(No::OtherChange { height: header.height, announced: header.next_validators_hash });
    }
    if from == to {
        return Err(No::EmptyChange { height: header.height });
    }
    Ok(())
}

/// The parts that rest on final blocks.
struct Check<'a> {
    evidence: &'a Evidence,
    blocks: BTreeMap<BlockHeight, FinalHeader<'a>>,
    used: BTreeSet<BlockHeight>,
}

impl<'a> Check<'a> {
    fn findings(&mut self) -> Result<Vec<Finding>, No> {
        let proven = &self.evidence.message;
        let place = self.check_transaction(EvidencePart::Message, proven)?;
        let Payload::Message(message) = proven.transaction.payload() else {
            return Err(No::NotAMessage { kind: proven.transaction.payload().kind() });
        };
        let mut findings = vec![
            Finding::Signed {
                by: proven.transaction.sender(),
                message: proven.transaction.id(),
                mode: message.mode,
            },
            Finding::InBlock { place: place.clone(), index: proven.index },
            Finding::Committed { height: place.height, commit: place.commit.clone() },
        ];
        if message.slots.len() > 1 {
            findings.push(Finding::SameForAll {
                recipients: message.slots.len(),
                body: message.body_hash,
                key: message.key_commit,
                content: message.content_commit,
            });
        }
        self.check_keys(message, place.height, &mut findings)?;
        let answered = self.check_receipts(message, place.height, &mut findings)?;
        self.check_absences(message, place.height, &answered, &mut findings)?;
        self.check_plain_parts(message, &mut findings)?;
        Ok(findings)
    }

    /// The final block that a part names.
    fn block(&mut self, part: EvidencePart, height: BlockHeight) -> Result<&FinalHeader<'a>, No> {
        self.used.insert(height);
        self.blocks.get(&height).ok_or(No::MissingBlock { part, height })
    }

    /// Version, chain, place in the block and signature of a transaction.
    fn check_transaction(&mut self, part: EvidencePart, proven: &ProvenTransaction) -> Result<Place, No> {
        let chain = self.evidence.chain;
        let height = proven.block;
        let FinalHeader { header, commit } = self.block(part, height)?;
        let signed = &proven.transaction;
        let (version, found) = (signed.transaction().version, signed.transaction().chain);
        if version != TRANSACTION_VERSION {
            return Err(No::TransactionVersion { part, version });
        }
        if found != chain {
            return Err(No::TransactionChain { part, found, expected: chain });
        }
        let (root, size) = (header.tx_root.as_bytes(), header.transaction_count.into());
        verify_inclusion(root, size, proven.index.into(), &signed.leaf(), &proven.path)
            .map_err(|source| No::Inclusion { part, height, source })?;
        let claim = signed.signed();
        claim.key.verify(&claim.digest, &claim.signature).map_err(|_| No::Signature { part })?;
        Ok(Place::of(header, commit))
    }

    /// Key bundles stand in the directory as of the message's block.
    fn check_keys(
        &mut self,
        message: &Message,
        at: BlockHeight,
        findings: &mut Vec<Finding>,
    ) -> Result<(), No> {
        let mut previous = None;
        for ProvenBundle { slot, block, record, proof, newest } in &self.evidence.keys {
            let (slot, height, part) = (*slot, *block, EvidencePart::Key(*slot));
            check_order(part, slot, &mut previous)?;
            let (owner, sequence) = named(part, slot, message)?;
            if height != at {
                return Err(No::KeyBlock { part, height, message: at });
            }
            let root = self.block(part, height)?.header.state_root;
            let holds = |key: &StateKey, record: &BundleRecord, proof: &StateProof| {
                let record = StateRecord::Bundle(record.clone());
                proof.verify_present(&root, key, &record).map_err(|source| No::State { part, source })
            };
            let directory = StateKey::Directory(owner);
            match newest {
                None => holds(&directory, record, proof)?,
                Some(newest) => {
                    holds(&StateKey::Bundle(owner, sequence), record, proof)?;
                    holds(&directory, &newest.record, &newest.proof)?;
                    let found = newest.record.bundle.sequence;
                    if found <= sequence {
                        return Err(No::NotNewer { part, found, named: sequence });
                    }
                }
            }
            let found = record.bundle.sequence;
            if found != sequence {
                return Err(No::OtherBundle { part, found, named: sequence });
            }
            findings.push(Finding::KeyUsed {
                slot,
                owner,
                sequence,
                published_in: record.transaction,
                published_at: record.height,
                standing: KeyStanding::of(record, newest.as_ref().map(|newest| &newest.record), at),
            });
        }
        Ok(())
    }

    /// The same rules as the ledger's when it took the receipts in. Returns the answers' heights by slot.
    fn check_receipts(
        &mut self,
        message: &Message,
        at: BlockHeight,
        findings: &mut Vec<Finding>,
    ) -> Result<BTreeMap<u16, BlockHeight>, No> {
        let expected = self.evidence.message.transaction.id();
        let (mut answered, mut previous) = (BTreeMap::new(), None);
        for (index, proven) in self.evidence.receipts.iter().enumerate() {
            let part = EvidencePart::Receipt(index);
            let place = self.check_transaction(part, proven)?;
            let Payload::Receipt(receipt) = proven.transaction.payload() else {
                return Err(No::NotAReceipt { part, kind: proven.transaction.payload().kind() });
            };
            let Receipt { message: found, slot, answer } = *receipt;
            if found != expected {
                return Err(No::OtherMessage { part, found, expected });
            }
            check_order(part, slot, &mut previous)?;
            let (recipient, _) = named(part, slot, message)?;
            let by = proven.transaction.sender();
            if by != recipient {
                return Err(No::NotRecipient { part, slot, found: by, expected: recipient });
            }
            // The ledger takes an answer only to a message that is final already.
            if place.height <= at {
                return Err(No::AnswerTooEarly { part, height: place.height, message: at });
            }
            answered.insert(slot, place.height);
            let receipt = proven.transaction.id();
            findings.push(match answer {
                Answer::Opened { secret } => {
                    if receipt_commit(&secret) != slot_of(part, slot, message)?.receipt_commit {
                        return Err(No::WrongSecret { part, slot });
                    }
                    Finding::Opened { slot, by, receipt, place }
                }
                Answer::Refused { reason } => Finding::Refused { slot, by, receipt, reason, place },
            });
        }
        Ok(answered)
    }

    /// No answer stands in the state at those heights.
    fn check_absences(
        &mut self,
        message: &Message,
        at: BlockHeight,
        answered: &BTreeMap<u16, BlockHeight>,
        findings: &mut Vec<Finding>,
    ) -> Result<(), No> {
        let id = self.evidence.message.transaction.id();
        let mut previous = None;
        for ProvenAbsence { slot, block, proof } in &self.evidence.absences {
            let (slot, height, part) = (*slot, *block, EvidencePart::Absence(*slot));
            check_order(part, slot, &mut previous)?;
            // A hidden recipient can't answer on the ledger, so that nothing stands there means nothing.
            let (recipient, _) = named(part, slot, message)?;
            if height < at {
                return Err(No::AbsenceTooEarly { part, height, message: at });
            }
            if let Some(receipt) = answered.get(&slot).filter(|receipt| **receipt <= height) {
                return Err(No::AbsenceAnswered { part, height, receipt: *receipt });
            }
            let FinalHeader { header, commit } = self.block(part, height)?;
            let (root, place) = (header.state_root, Place::of(header, commit));
            // Blocks that change nothing share a state. Of these the newest is named, or a changed height
            // could stay unnoticed.
            let newest = self.blocks.values().rev().find(|other| other.header.state_root == root);
            if let Some(newest) = newest.map(|other| other.header.height).filter(|newest| *newest != height) {
                return Err(No::AbsenceNotNewest { part, height, newest });
            }
            proof
                .verify_absent(&root, &StateKey::Receipt(id, slot))
                .map_err(|source| No::State { part, source })?;
            findings.push(Finding::Unanswered { slot, recipient, place });
        }
        Ok(())
    }

    /// Body and plaintext are what the message commits to.
    fn check_plain_parts(&self, message: &Message, findings: &mut Vec<Finding>) -> Result<(), No> {
        if let Some(body) = &self.evidence.body {
            let length = body.as_bytes().len();
            if body.hash() != message.body_hash || length as u64 != u64::from(message.body_length) {
                return Err(No::OtherBody);
            }
            findings.push(Finding::BodyAttached { hash: message.body_hash, length });
        }
        if let Some(disclosure) = &self.evidence.disclosure {
            if content_commit(&disclosure.salt, &disclosure.content) != message.content_commit {
                return Err(No::OtherContent);
            }
            let length = disclosure.content.len();
            findings.push(Finding::ContentDisclosed { commit: message.content_commit, length });
            if let Some(author) = &disclosure.author {
                author
                    .verify(self.evidence.message.transaction.transaction(), &disclosure.salt)
                    .map_err(|source| No::Author { source })?;
                let (by, to) = (author.author, author.recipients.clone());
                findings.push(Finding::Authored { by, to });
                findings.extend(sealed_answers(&disclosure.content, by));
            }
        }
        Ok(())
    }
}

fn check_order(part: EvidencePart, slot: u16, previous: &mut Option<u16>) -> Result<(), No> {
    if previous.is_some_and(|earlier| earlier >= slot) {
        return Err(No::SlotOrder { part, slot });
    }
    *previous = Some(slot);
    Ok(())
}

fn slot_of(part: EvidencePart, slot: u16, message: &Message) -> Result<&Slot, No> {
    message.slot(slot).ok_or(No::UnknownSlot { part, slot, slots: message.slots.len() })
}

/// The recipient of an open slot, and the sequence of their key bundle.
fn named(part: EvidencePart, slot: u16, message: &Message) -> Result<(Address, u64), No> {
    match slot_of(part, slot, message)?.recipient {
        SlotRecipient::Named { address, bundle } => Ok((address, bundle)),
        SlotRecipient::Hidden { .. } => Err(No::SealedSlot { part, slot }),
    }
}
