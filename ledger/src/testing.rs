//! A little chain for tests: four validators, real signatures, real blocks, proofs and certificates. Only
//! the envelopes are stand-ins, since the ledger never looks inside them.
#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

use crate::address::Address;
use crate::block::Header;
use crate::certificate::{CommitCertificate, CommitSignature, VoteKind, vote_digest};
use crate::chain::{CommittedBlock, Tip, propose, verify_block};
use crate::evidence::{
    CertifiedHeader, Disclosure, Evidence, NewestBundle, ProvenAbsence, ProvenBundle, ProvenTransaction,
};
use crate::genesis::{
    DEVELOPMENT_VALIDATOR, GENESIS_FORMAT, Genesis, GenesisFile, GenesisValidator, Limits, PostageRules,
    Timing,
};
use crate::hash::{Tag, TransactionId, tagged};
use crate::height::BlockHeight;
use crate::key_bundle::KeyBundle;
use crate::membership::{MemberChange, MemberStatus, ValidatorsChange, member_approval, validators_approval};
use crate::merkle;
use crate::message::{
    Body, Message, MessageContext, Mode, Slot, SlotRecipient, Suite, content_commit, key_commit,
};
use crate::receipt::{Answer, Receipt, receipt_commit};
use crate::signature::{PublicKey, Signature, SigningKey};
use crate::state::{MemoryState, StateKey, StateProof, StateRecord, prove};
use crate::transaction::{Payload, SignedTransaction, TRANSACTION_VERSION, Transaction};
use crate::validator::{Validator, ValidatorSet};
use std::sync::Arc;

/// A key whose secret is the same byte 32 times.
pub(crate) fn key(seed: u8) -> SigningKey {
    SigningKey::from_bytes(&[seed; 32]).unwrap()
}

pub(crate) fn address(seed: u8) -> Address {
    Address::new(key(seed).public_key())
}

/// Seeds of the validators, and of the people in the story.
pub(crate) const VALIDATORS: [u8; 4] = [101, 102, 103, 104];
pub(crate) const ALICE: u8 = 1;
pub(crate) const BOB: u8 = 2;
pub(crate) const CAROL: u8 = 3;
pub(crate) const SALT: [u8; 32] = [0x5a; 32];
pub(crate) const CONTENT: &[u8] = b"The lift is out of service";
/// What the slots' recipients can reveal.
pub(crate) const SECRETS: [[u8; 32]; 2] = [[0xb0; 32], [0xca; 32]];

pub(crate) fn genesis_file() -> GenesisFile {
    let validator = |seed: u8| GenesisValidator {
        name: format!("validator-{seed}"),
        public_key: key(seed).public_key(),
        power: 1,
    };
    GenesisFile {
        format: GENESIS_FORMAT.to_owned(),
        chain_name: "example".to_owned(),
        address_prefix: "seal".to_owned(),
        time_ms: 1_700_000_000_000,
        validators: VALIDATORS.map(validator).to_vec(),
        limits: Limits { block_bytes: 1 << 20, body_bytes: 1 << 16, slots: 16, expiry_window: 1000 },
        postage: PostageRules { floor: 0, strangers_percent: 100, member_quota_bytes: 0 },
        timing: Timing { block_interval_ms: 0, heartbeat_ms: 10_000, clock_drift_ms: 5_000 },
        members: Vec::new(),
        retention_blocks: 0,
    }
}

/// The chain so far.
pub(crate) struct Chain {
    /// Who signs each block, as far as they are validators at its height; the first of them proposes.
    pub(crate) signers: Vec<SigningKey>,
    pub(crate) genesis: Arc<Genesis>,
    pub(crate) tip: Tip,
    pub(crate) state: MemoryState,
    pub(crate) blocks: Vec<CommittedBlock>,
}

impl Chain {
    pub(crate) fn new() -> Self {
        Self::with(genesis_file())
    }
    pub(crate) fn with(file: GenesisFile) -> Self {
        Self::of(Genesis::new(file).unwrap(), VALIDATORS[..3].iter().copied().map(key).collect())
    }
    /// The chain of the genesis at the root of the repository.
    pub(crate) fn development() -> Self {
        let genesis = Genesis::parse(include_bytes!("../../genesis.json")).unwrap();
        Self::of(genesis, vec![SigningKey::development(DEVELOPMENT_VALIDATOR).unwrap()])
    }
    fn of(genesis: Genesis, signers: Vec<SigningKey>) -> Self {
        let genesis = Arc::new(genesis);
        let (tip, first) = Tip::genesis(genesis.clone()).unwrap();
        let mut state = MemoryState::default();
        state.apply(&first.update, &first.changes);
        Self { signers, genesis, tip, state, blocks: Vec::new() }
    }
    /// Signs a payload for the next blocks.
    pub(crate) fn sign(&self, seed: u8, payload: Payload) -> SignedTransaction {
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
    /// Makes the next block of these transactions, as a proposer, a voter and a committer would.
    pub(crate) fn add(&mut self, transactions: Vec<(SignedTransaction, Option<Body>)>) -> BlockHeight {
        let count = transactions.len();
        let candidates = transactions.into_iter().map(|(t, body)| t.verify(body, &self.genesis).unwrap());
        let now = self.tip.time_ms() + 1000;
        let in_office = |signer: &&SigningKey| self.tip.validators().find(&signer.public_key()).is_some();
        let signers: Vec<&SigningKey> = self.signers.iter().filter(in_office).collect();
        let proposer = signers[0].public_key();
        let candidates: Vec<_> = candidates.collect();
        let proposal = propose(&self.tip, &self.state, candidates, now, proposer).unwrap();
        assert_eq!(proposal.refused, []);
        assert_eq!(proposal.block.block().transactions().len(), count);
        let block = proposal.block.block().as_ref().clone();
        let verified = verify_block(&self.tip, &self.state, block, Some(now)).unwrap();
        let certificate = certify_with(verified.block().header(), &signers, self.tip.validators());
        let committed = verified.commit(certificate).unwrap();
        if let Some(update) = committed.verified().update() {
            self.state.apply(update, committed.verified().changes());
        }
        self.state.add_transactions(committed.block());
        self.tip = committed.tip().clone();
        self.blocks.push(committed);
        self.tip.height()
    }
    /// A change to validators of power 1, approved by some of the present ones.
    pub(crate) fn validators_change(&self, to: &[u8], effective: u64, by: &[u8]) -> SignedTransaction {
        let (set, present) = (validators(to), self.tip.validators());
        let effective = BlockHeight::new(effective);
        let chain = self.genesis.chain_id();
        let digest = validators_approval(&chain, &present.hash(), effective, set.validators());
        let approvals = approve(&digest, by, present);
        let change = ValidatorsChange { validators: set.validators().to_vec(), effective, approvals };
        self.sign(ALICE, Payload::Validators(change))
    }
    /// A change of a member by a transaction that expires then, approved by some of the validators.
    pub(crate) fn member_change(
        &self,
        whom: u8,
        status: MemberStatus,
        expiry: u64,
        by: &[u8],
    ) -> SignedTransaction {
        let (address, present) = (address(whom), self.tip.validators());
        let expiry = BlockHeight::new(expiry);
        let digest = member_approval(&self.genesis.chain_id(), &present.hash(), expiry, &address, status);
        let approvals = approve(&digest, by, present);
        let signed = self.sign(ALICE, Payload::Member(MemberChange { address, status, approvals }));
        let transaction = Transaction { expiry, ..signed.transaction().clone() };
        transaction.sign(&key(ALICE), &[0; 32]).unwrap()
    }
    pub(crate) fn block_count(&self) -> usize {
        self.blocks.len()
    }
    pub(crate) fn block(&self, height: BlockHeight) -> &CommittedBlock {
        &self.blocks[usize::try_from(height.get()).unwrap() - 1]
    }
    pub(crate) fn certified(&self, height: BlockHeight) -> CertifiedHeader {
        let block = self.block(height);
        CertifiedHeader { header: block.block().header().clone(), certificate: block.certificate().clone() }
    }
    pub(crate) fn proven(&self, id: TransactionId) -> ProvenTransaction {
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
    pub(crate) fn state_proof(&self, at: BlockHeight, key: &StateKey) -> (Option<StateRecord>, StateProof) {
        prove(&self.state, self.block(at).tip().state_version(), key).unwrap()
    }
    /// That of the owner's first bundle.
    pub(crate) fn key_proof(&self, slot: u16, owner: u8, at: BlockHeight) -> ProvenBundle {
        let proven = |key| match self.state_proof(at, &key) {
            (Some(StateRecord::Bundle(record)), proof) => (record, proof),
            _ => unreachable!("no bundle of {owner}"),
        };
        let (record, proof) = proven(StateKey::Directory(address(owner)));
        if record.bundle.sequence == 1 {
            return ProvenBundle { slot, block: at, record, proof, newest: None };
        }
        let newest = Some(NewestBundle { record, proof });
        let (record, proof) = proven(StateKey::Bundle(address(owner), 1));
        ProvenBundle { slot, block: at, record, proof, newest }
    }
    pub(crate) fn absence(&self, id: TransactionId, slot: u16, at: BlockHeight) -> ProvenAbsence {
        let (record, proof) = self.state_proof(at, &StateKey::Receipt(id, slot));
        assert_eq!(record, None);
        ProvenAbsence { slot, block: at, proof }
    }
    /// A message from Alice to these people, with its body.
    pub(crate) fn message(&self, to: &[u8]) -> (SignedTransaction, Body) {
        let body = Body::new(vec![0xe7; 48]);
        let recipient = |seed: &u8| SlotRecipient::Named { address: address(*seed), bundle: 1 };
        let context = MessageContext {
            version: TRANSACTION_VERSION,
            chain: self.genesis.chain_id(),
            sender: address(ALICE),
            expiry: self.tip.next_height().saturating_add(50),
            suite: Suite::Ecies,
            mode: Mode::Open,
            recipients: to.iter().map(recipient).collect(),
            content_commit: content_commit(&SALT, CONTENT),
        };
        let slots = context.recipients.iter().zip(SECRETS).map(|(recipient, secret)| Slot {
            recipient: *recipient,
            ecies_share: [0x11; 129],
            ml_kem_share: None,
            wrapped_key: [0x22; 48],
            receipt_commit: receipt_commit(&secret),
        });
        let message = Message {
            suite: context.suite,
            mode: context.mode,
            slots: slots.collect(),
            key_commit: key_commit(&context.hash(), &[0x33; 32]),
            content_commit: context.content_commit,
            body_hash: body.hash(),
            body_length: body.as_bytes().len() as u32,
        };
        (self.sign(ALICE, Payload::Message(message)), body)
    }
    pub(crate) fn bundle(&self, owner: u8) -> SignedTransaction {
        self.numbered_bundle(owner, 1)
    }
    pub(crate) fn numbered_bundle(&self, owner: u8, sequence: u64) -> SignedTransaction {
        self.bundle_until(owner, sequence, BlockHeight::new(1000))
    }
    pub(crate) fn bundle_until(
        &self,
        owner: u8,
        sequence: u64,
        valid_until: BlockHeight,
    ) -> SignedTransaction {
        let mut ecies = [2; 33];
        ecies[1..].copy_from_slice(key(owner + 10).public_key().as_bytes());
        self.sign(owner, Payload::KeyBundle(KeyBundle { sequence, ecies, ml_kem: None, valid_until }))
    }
    pub(crate) fn opened(&self, by: u8, message: TransactionId, slot: u16) -> SignedTransaction {
        let answer = Answer::Opened { secret: SECRETS[usize::from(slot)] };
        self.sign(by, Payload::Receipt(Receipt { message, slot, answer }))
    }
}

/// Signatures of some validators under a digest, in the order of the set.
pub(crate) fn approve(digest: &[u8; 32], by: &[u8], set: &ValidatorSet) -> Vec<(u16, Signature)> {
    let sign = |seed: &u8| {
        let position = set.find(&key(*seed).public_key()).map_or(u16::MAX, |(position, _)| position);
        (position, key(*seed).sign(digest, &[0; 32]).unwrap())
    };
    let mut approvals: Vec<_> = by.iter().map(sign).collect();
    approvals.sort_by_key(|(position, _)| *position);
    approvals
}

/// A certificate by the validators with these seeds, in the order of the set.
pub(crate) fn certify(header: &Header, seeds: &[u8], set: &ValidatorSet) -> CommitCertificate {
    let keys: Vec<_> = seeds.iter().copied().map(key).collect();
    certify_with(header, &keys.iter().collect::<Vec<_>>(), set)
}

fn certify_with(header: &Header, signers: &[&SigningKey], set: &ValidatorSet) -> CommitCertificate {
    let (height, block, round) = (header.height, header.hash(), 0);
    let digest = vote_digest(&header.chain, VoteKind::Precommit, height, round, Some(&block));
    let position = |key: &PublicKey| set.find(key).map_or(u16::MAX, |(position, _)| position);
    let mut signatures: Vec<_> = signers
        .iter()
        .map(|signer| CommitSignature {
            validator: position(&signer.public_key()),
            signature: signer.sign(&digest, &[0; 32]).unwrap(),
        })
        .collect();
    signatures.sort_by_key(|commit| commit.validator);
    CommitCertificate { height, round, block, signatures }
}

pub(crate) fn validators(seeds: &[u8]) -> ValidatorSet {
    let validator = |seed: &u8| Validator { key: key(*seed).public_key(), power: 1 };
    ValidatorSet::new(seeds.iter().map(validator).collect()).unwrap()
}

/// The chain and the evidence of a story: Bob and Carol publish keys (block 1), Alice writes to both
/// (block 2), Bob opens (block 3), Carol does not answer until block 4.
pub(crate) fn story() -> (Chain, Evidence) {
    let mut chain = Chain::new();
    let bundles = vec![(chain.bundle(BOB), None), (chain.bundle(CAROL), None)];
    chain.add(bundles);
    let (message, body) = chain.message(&[BOB, CAROL]);
    let (other, other_body) = chain.message(&[CAROL]);
    let (third, third_body) = chain.message(&[BOB]);
    let id = message.id();
    let sent = chain.add(vec![
        (other.clone(), Some(other_body)),
        (message, Some(body.clone())),
        (third, Some(third_body)),
    ]);
    let receipt = chain.opened(BOB, id, 0);
    let receipt_id = receipt.id();
    let elsewhere =
        chain.sign(CAROL, Payload::Receipt(Receipt { message: other.id(), slot: 0, answer: CAROL_REFUSES }));
    let answered = chain.add(vec![(receipt, None), (elsewhere, None)]);
    let until = chain.add(Vec::new());
    let evidence = Evidence {
        chain: chain.genesis.chain_id(),
        blocks: [sent, answered, until].map(|height| chain.certified(height)).to_vec(),
        validator_changes: Vec::new(),
        message: chain.proven(id),
        receipts: vec![chain.proven(receipt_id)],
        keys: vec![chain.key_proof(0, BOB, sent), chain.key_proof(1, CAROL, sent)],
        absences: vec![chain.absence(id, 1, until)],
        body: Some(body),
        disclosure: Some(Disclosure { salt: SALT, content: CONTENT.to_vec(), author: None }),
    };
    (chain, evidence)
}

const CAROL_REFUSES: Answer = Answer::Refused { reason: crate::receipt::RefusalReason::Unwanted };

/// A stream of bytes that look random and are the same each time.
pub(crate) fn noise(seed: u64) -> impl Iterator<Item = u8> {
    (0_u64..).flat_map(move |n| tagged(Tag::Development, &[b"noise", &seed.to_le_bytes(), &n.to_le_bytes()]))
}
