//! A little chain of the ledger's own making: real rules, signatures, certificates and proofs. Only the
//! envelopes are stand-ins, since evidence never looks inside them.

use sealpost_ledger::address::Address;
use sealpost_ledger::author::{AuthorBlock, author_salt, message_context};
use sealpost_ledger::block::Header;
use sealpost_ledger::certificate::{CommitCertificate, CommitSignature, VoteKind, vote_digest};
use sealpost_ledger::chain::{CommittedBlock, Tip, propose};
use sealpost_ledger::evidence::{
    CertifiedHeader, Evidence, NewestBundle, ProvenAbsence, ProvenBundle, ProvenTransaction,
};
use sealpost_ledger::genesis::{Genesis, GenesisFile, GenesisValidator};
use sealpost_ledger::hash::{ContextHash, TransactionId};
use sealpost_ledger::height::BlockHeight;
use sealpost_ledger::key_bundle::{KeyBundle, ML_KEM_KEY_BYTES};
use sealpost_ledger::membership::{ValidatorsChange, validators_approval};
use sealpost_ledger::merkle;
use sealpost_ledger::message::{
    Body, ML_KEM_CIPHERTEXT_BYTES, Message, MessageContext, Mode, Slot, SlotRecipient, Suite, content_commit,
    key_commit,
};
use sealpost_ledger::receipt::{Answer, Receipt, receipt_commit};
use sealpost_ledger::signature::{PublicKey, SigningKey};
use sealpost_ledger::state::{BundleRecord, MemoryState, StateKey, StateProof, StateRecord, prove};
use sealpost_ledger::transaction::{Payload, SignedTransaction, TRANSACTION_VERSION, Transaction};
use sealpost_ledger::validator::{Validator, ValidatorSet};
use std::sync::Arc;

pub(super) const ALICE: u8 = 1;
pub(super) const BOB: u8 = 2;
pub(super) const CAROL: u8 = 3;
pub(super) const DAVE: u8 = 4;
/// Signs sealed messages outside.
pub(super) const ONE_TIME: u8 = 90;
pub(super) const SALT: [u8; 32] = [0x5a; 32];
const BLINDING: [u8; 32] = [0xb1; 32];

/// A key whose secret is the same byte 32 times.
pub(super) fn key(seed: u8) -> SigningKey {
    SigningKey::from_bytes(&[seed; 32]).unwrap()
}

pub(super) fn address(seed: u8) -> Address {
    Address::new(key(seed).public_key())
}

/// What the recipient of a slot can reveal.
pub(super) fn secret(slot: usize) -> [u8; 32] {
    [0xb0 + slot as u8; 32]
}

/// A genesis like the repository's, with other validators: seeds and powers.
pub(super) fn genesis_of(validators: &[(u8, u64)]) -> GenesisFile {
    let root = Genesis::parse(include_bytes!("../../genesis.json")).unwrap();
    let named = |(seed, power): &(u8, u64)| GenesisValidator {
        name: format!("Nº {seed} ✓ 𝕊"),
        public_key: key(*seed).public_key(),
        power: *power,
    };
    let mut file = root.file().clone();
    file.chain_name = "browser".into();
    file.validators = validators.iter().map(named).collect();
    file.members =
        vec![address(ALICE).to_text(root.prefix()), address(DAVE).to_text(root.prefix()).to_uppercase()];
    file
}

pub(super) fn set_of(validators: &[(u8, u64)]) -> ValidatorSet {
    let validator = |(seed, power): &(u8, u64)| Validator { key: key(*seed).public_key(), power: *power };
    ValidatorSet::new(validators.iter().map(validator).collect()).unwrap()
}

/// What a message is like, besides its recipients.
pub(super) struct Kind<'a> {
    pub(super) suite: Suite,
    pub(super) mode: Mode,
    pub(super) content: &'a [u8],
    pub(super) salt: [u8; 32],
}

impl<'a> Kind<'a> {
    pub(super) fn open(content: &'a [u8]) -> Self {
        Self { suite: Suite::Ecies, mode: Mode::Open, content, salt: SALT }
    }
}

/// The chain so far.
pub(super) struct Chain {
    pub(super) genesis: Arc<Genesis>,
    /// Seeds of those who sign each block, as far as they are in office.
    pub(super) signers: Vec<u8>,
    tip: Tip,
    state: MemoryState,
    blocks: Vec<CommittedBlock>,
}

impl Chain {
    pub(super) fn new(file: GenesisFile, signers: &[u8]) -> Self {
        let genesis = Arc::new(Genesis::new(file).unwrap());
        let (tip, first) = Tip::genesis(genesis.clone()).unwrap();
        let mut state = MemoryState::default();
        state.apply(&first.update, &first.changes);
        Self { genesis, signers: signers.to_vec(), tip, state, blocks: Vec::new() }
    }
    pub(super) fn next_height(&self) -> u64 {
        self.tip.next_height().get()
    }
    pub(super) fn sign(&self, seed: u8, payload: Payload) -> SignedTransaction {
        let transaction = Transaction {
            version: TRANSACTION_VERSION,
            chain: self.genesis.chain_id(),
            sender: address(seed),
            expiry: self.tip.next_height().saturating_add(50),
            payload,
            nonce: 0,
        };
        transaction.sign(&key(seed), &[0; 32]).unwrap()
    }
    /// Makes the next block of these transactions and returns its height.
    pub(super) fn add(&mut self, transactions: Vec<(SignedTransaction, Option<Body>)>) -> BlockHeight {
        let count = transactions.len();
        let candidates: Vec<_> =
            transactions.into_iter().map(|(t, body)| t.verify(body, &self.genesis).unwrap()).collect();
        let set = self.tip.validators().clone();
        let in_office = |seed: &&u8| set.find(&key(**seed).public_key()).is_some();
        let signers: Vec<u8> = self.signers.iter().filter(in_office).copied().collect();
        let now = self.tip.time_ms() + 1000;
        let proposer = key(signers[0]).public_key();
        let proposal = propose(&self.tip, &self.state, candidates, now, proposer).unwrap();
        assert_eq!((proposal.refused, proposal.block.block().transactions().len()), (vec![], count));
        let certificate = certify(proposal.block.block().header(), &signers, &set);
        let committed = proposal.block.commit(certificate).unwrap();
        if let Some(update) = committed.verified().update() {
            self.state.apply(update, committed.verified().changes());
        }
        self.state.add_transactions(committed.block());
        self.tip = committed.tip().clone();
        self.blocks.push(committed);
        self.tip.height()
    }
    fn block(&self, height: BlockHeight) -> &CommittedBlock {
        &self.blocks[usize::try_from(height.get()).unwrap() - 1]
    }
    pub(super) fn certified(&self, height: BlockHeight) -> CertifiedHeader {
        let block = self.block(height);
        CertifiedHeader { header: block.block().header().clone(), certificate: block.certificate().clone() }
    }
    /// The blocks that announced other validators.
    pub(super) fn changes(&self) -> Vec<(BlockHeight, ValidatorSet)> {
        let change = |block: &CommittedBlock| {
            Some((block.block().height(), block.verified().new_validators()?.as_ref().clone()))
        };
        self.blocks.iter().filter_map(change).collect()
    }
    pub(super) fn proven(&self, id: TransactionId) -> ProvenTransaction {
        let holds = |b: &&CommittedBlock| b.block().transactions().iter().any(|t| t.id() == id);
        let block = self.blocks.iter().find(holds).unwrap().block();
        let index = block.transactions().iter().position(|t| t.id() == id).unwrap();
        ProvenTransaction {
            block: block.height(),
            index: index as u32,
            path: merkle::path(&block.leaves(), index).unwrap(),
            transaction: block.transactions()[index].clone(),
        }
    }
    /// That of the owner's first bundle.
    pub(super) fn key_proof(&self, slot: u16, owner: u8, at: BlockHeight) -> ProvenBundle {
        let (record, proof) = self.bundle_proof(&StateKey::Directory(address(owner)), at);
        if record.bundle.sequence == 1 {
            return ProvenBundle { slot, block: at, record, proof, newest: None };
        }
        let newest = Some(NewestBundle { record, proof });
        let (record, proof) = self.bundle_proof(&StateKey::Bundle(address(owner), 1), at);
        ProvenBundle { slot, block: at, record, proof, newest }
    }
    pub(super) fn bundle_proof(&self, key: &StateKey, at: BlockHeight) -> (BundleRecord, StateProof) {
        let version = self.block(at).tip().state_version();
        match prove(&self.state, version, key).unwrap() {
            (Some(StateRecord::Bundle(record)), proof) => (record, proof),
            _ => panic!("no bundle under {key:?}"),
        }
    }
    pub(super) fn absence(&self, id: TransactionId, slot: u16, at: BlockHeight) -> ProvenAbsence {
        let version = self.block(at).tip().state_version();
        let (record, proof) = prove(&self.state, version, &StateKey::Receipt(id, slot)).unwrap();
        assert_eq!(record, None);
        ProvenAbsence { slot, block: at, proof }
    }
    /// A message with its body, by Alice to these people, or by a one-time key to as many hidden ones.
    pub(super) fn message(&self, to: &[u8], kind: &Kind<'_>) -> (SignedTransaction, Body) {
        let body = Body::new(vec![0xe7; 48]);
        let (seed, recipients): (u8, Vec<_>) = match kind.mode {
            Mode::Open => {
                (ALICE, to.iter().map(|s| SlotRecipient::Named { address: address(*s), bundle: 1 }).collect())
            }
            Mode::Sealed => (
                ONE_TIME,
                to.iter().map(|s| SlotRecipient::Hidden { ephemeral: [*s; 33], view_tag: *s }).collect(),
            ),
        };
        let share = (kind.suite == Suite::EciesMlKem768).then(|| vec![0x44; ML_KEM_CIPHERTEXT_BYTES]);
        let slots = recipients.iter().enumerate().map(|(number, recipient)| Slot {
            recipient: *recipient,
            ecies_share: [0x11; 129],
            ml_kem_share: share.clone(),
            wrapped_key: [0x22; 48],
            receipt_commit: receipt_commit(&secret(number)),
        });
        let message = Message {
            suite: kind.suite,
            mode: kind.mode,
            slots: slots.collect(),
            key_commit: key_commit(&ContextHash::from_bytes([1; 32]), &[0x33; 32]),
            content_commit: content_commit(&kind.salt, kind.content),
            body_hash: body.hash(),
            body_length: body.as_bytes().len() as u32,
        };
        (self.sign(seed, Payload::Message(message)), body)
    }
    pub(super) fn bundle(&self, owner: u8, valid_until: u64, suite: Suite) -> SignedTransaction {
        self.numbered_bundle(owner, 1, valid_until, suite)
    }
    pub(super) fn numbered_bundle(
        &self,
        owner: u8,
        sequence: u64,
        valid_until: u64,
        suite: Suite,
    ) -> SignedTransaction {
        let mut ecies = [2; 33];
        ecies[1..].copy_from_slice(key(owner + 10).public_key().as_bytes());
        let ml_kem = (suite == Suite::EciesMlKem768).then(|| vec![0x55; ML_KEM_KEY_BYTES]);
        let valid_until = BlockHeight::new(valid_until);
        self.sign(owner, Payload::KeyBundle(KeyBundle { sequence, ecies, ml_kem, valid_until }))
    }
    pub(super) fn answer(
        &self,
        by: u8,
        message: TransactionId,
        slot: u16,
        answer: Answer,
    ) -> SignedTransaction {
        self.sign(by, Payload::Receipt(Receipt { message, slot, answer }))
    }
    /// A change of the validators, approved by those of the present ones that sign blocks.
    pub(super) fn change(&self, to: &[(u8, u64)], effective: u64) -> SignedTransaction {
        let (set, present) = (set_of(to), self.tip.validators());
        let effective = BlockHeight::new(effective);
        let digest =
            validators_approval(&self.genesis.chain_id(), &present.hash(), effective, set.validators());
        let approve = |seed: &u8| {
            let (position, _) = present.find(&key(*seed).public_key())?;
            Some((position, key(*seed).sign(&digest, &[0; 32]).unwrap()))
        };
        let mut approvals: Vec<_> = self.signers.iter().filter_map(approve).collect();
        approvals.sort_by_key(|(position, _)| *position);
        let validators = set.validators().to_vec();
        self.sign(DAVE, Payload::Validators(ValidatorsChange { validators, effective, approvals }))
    }
}

/// A certificate by the validators with these seeds, in the order of the set.
pub(super) fn certify(header: &Header, seeds: &[u8], set: &ValidatorSet) -> CommitCertificate {
    let (height, block, round) = (header.height, header.hash(), 0);
    let digest = vote_digest(&header.chain, VoteKind::Precommit, height, round, Some(&block));
    let position = |key: &PublicKey| set.find(key).map_or(u16::MAX, |(position, _)| position);
    let sign = |seed: &u8| CommitSignature {
        validator: position(&key(*seed).public_key()),
        signature: key(*seed).sign(&digest, &[0; 32]).unwrap(),
    };
    let mut signatures: Vec<_> = seeds.iter().map(sign).collect();
    signatures.sort_by_key(|commit| commit.validator);
    CommitCertificate { height, round, block, signatures }
}

/// The author's word inside a sealed message.
pub(super) fn author_block(signer: u8, sent: &SignedTransaction, to: &[u8]) -> AuthorBlock {
    let context: MessageContext = message_context(sent.transaction(), sent.message().unwrap());
    AuthorBlock::sign(&key(signer), &context.hash(), addresses(to), BLINDING, &[0; 32]).unwrap()
}

/// The salt of a message that has such an author block.
pub(super) fn salt_of(author: u8, to: &[u8]) -> [u8; 32] {
    author_salt(&BLINDING, &address(author), &addresses(to))
}

fn addresses(seeds: &[u8]) -> Vec<Address> {
    seeds.iter().map(|seed| address(*seed)).collect()
}

/// Evidence of a message alone, in its block.
pub(super) fn bare(chain: &Chain, id: TransactionId) -> Evidence {
    let message = chain.proven(id);
    Evidence {
        chain: chain.genesis.chain_id(),
        blocks: vec![chain.certified(message.block)],
        validator_changes: Vec::new(),
        message,
        receipts: Vec::new(),
        keys: Vec::new(),
        absences: Vec::new(),
        body: None,
        disclosure: None,
    }
}
