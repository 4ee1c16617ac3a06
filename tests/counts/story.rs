//! A small chain that is the same to the last bit each time: 200 people publish keys (block 1) and write a message each
//! (block 2), every second of which is answered (block 3). Signed for real; of encryption there is only the length.

use sealpost_ledger::address::Address;
use sealpost_ledger::block::Block;
use sealpost_ledger::certificate::{CommitCertificate, CommitSignature, VoteKind, vote_digest};
use sealpost_ledger::chain::{Tip, propose};
use sealpost_ledger::evidence::{CertifiedHeader, Evidence, ProvenAbsence, ProvenBundle, ProvenTransaction};
use sealpost_ledger::genesis::{
    GENESIS_FORMAT, Genesis, GenesisFile, GenesisValidator, Limits, PostageRules, Timing,
};
use sealpost_ledger::hash::{ContentCommit, KeyCommit};
use sealpost_ledger::height::BlockHeight;
use sealpost_ledger::key_bundle::KeyBundle;
use sealpost_ledger::merkle;
use sealpost_ledger::message::{Body, Message, Mode, Slot, SlotRecipient, Suite};
use sealpost_ledger::receipt::{Answer, Receipt, receipt_commit};
use sealpost_ledger::signature::{Signed, SigningKey};
use sealpost_ledger::state::{MemoryState, StateKey, StateRecord, prove};
use sealpost_ledger::transaction::{
    Payload, SignedTransaction, TRANSACTION_VERSION, Transaction, VerifiedTransaction,
};
use std::error::Error;
use std::sync::Arc;

/// People, and messages in the block of messages.
const PEOPLE: usize = 200;
/// Bytes of a message's body; with its transaction about 900.
const BODY_BYTES: usize = 400;
const VALIDATORS: usize = 4;
/// What a slot's recipient reveals in a receipt.
const SECRET: [u8; 32] = [9; 32];
const EXPIRY: BlockHeight = BlockHeight::new(50);

type Failure = Box<dyn Error>;
type WithBody = (SignedTransaction, Option<Body>);

/// A block, and all that it is applied to.
pub(crate) struct Before {
    pub(crate) tip: Tip,
    pub(crate) state: MemoryState,
    pub(crate) block: Block,
    pub(crate) verified: Vec<VerifiedTransaction>,
    certificate: CommitCertificate,
}

/// The chain.
pub(crate) struct Story {
    /// The block of messages.
    pub(crate) messages: Before,
    /// The block of receipts.
    pub(crate) receipts: Before,
    /// The end.
    pub(crate) tip: Tip,
    /// The state there.
    pub(crate) state: MemoryState,
}

/// Signatures over different digests, by so many senders in turn.
pub(crate) fn signatures(count: usize, senders: usize) -> Result<Vec<Signed>, Failure> {
    let keys = (0..senders).map(person).collect::<Result<Vec<_>, _>>()?;
    let signed = (0..count).zip(keys.iter().cycle()).map(|(number, key)| {
        let mut digest = [0xd1; 32];
        digest[..8].copy_from_slice(&(number as u64).to_le_bytes());
        Ok(Signed { key: key.public_key(), digest, signature: key.sign(&digest, &[0; 32])? })
    });
    signed.collect()
}

fn person(number: usize) -> Result<SigningKey, Failure> {
    Ok(SigningKey::development(&format!("person {number}"))?)
}

fn address(number: usize) -> Result<Address, Failure> {
    Ok(Address::new(person(number)?.public_key()))
}

/// Who gets a person's message.
fn recipient(sender: usize) -> usize {
    (sender * 7 + 1) % PEOPLE
}

fn validator(number: usize) -> Result<SigningKey, Failure> {
    Ok(SigningKey::development(&format!("validator {number}"))?)
}

/// Four validators; sending is free.
pub(crate) fn genesis() -> Result<Genesis, Failure> {
    let validators = (0..VALIDATORS).map(|number| {
        let (name, public_key) = (format!("validator-{number}"), validator(number)?.public_key());
        Ok(GenesisValidator { name, public_key, power: 1 })
    });
    Ok(Genesis::new(GenesisFile {
        format: GENESIS_FORMAT.into(),
        chain_name: "counts".into(),
        address_prefix: "seal".into(),
        time_ms: 1_700_000_000_000,
        validators: validators.collect::<Result<_, Failure>>()?,
        limits: Limits { block_bytes: 1 << 20, body_bytes: 1 << 16, slots: 16, expiry_window: 1000 },
        postage: PostageRules { floor: 0, strangers_percent: 100, member_quota_bytes: 0 },
        timing: Timing { block_interval_ms: 0, heartbeat_ms: 10_000, clock_drift_ms: 5_000 },
        members: Vec::new(),
        retention_blocks: 0,
    })?)
}

impl Story {
    /// Makes the chain.
    pub(crate) fn tell() -> Result<Self, Failure> {
        let genesis = Arc::new(genesis()?);
        let (mut tip, first) = Tip::genesis(genesis.clone())?;
        let mut state = MemoryState::default();
        state.apply(&first.update, &first.changes);
        let people = 0..PEOPLE;
        let keys = people.clone().map(|number| bundle(&genesis, number)).collect::<Result<_, _>>()?;
        next(&mut tip, &mut state, keys)?;
        let messages = people.map(|number| message(&genesis, number)).collect::<Result<Vec<_>, _>>()?;
        let answers = messages.iter().enumerate().step_by(2);
        let answers = answers.map(|(sender, (message, _))| receipt(&genesis, sender, message));
        let answers = answers.collect::<Result<_, _>>()?;
        let messages = next(&mut tip, &mut state, messages)?;
        let receipts = next(&mut tip, &mut state, answers)?;
        Ok(Self { messages, receipts, tip, state })
    }
    /// Where an answer to a message would stand that has none.
    pub(crate) fn unanswered_slot(&self) -> StateKey {
        StateKey::Receipt(self.messages.verified[1].id(), 0)
    }
    /// Evidence of a message that was opened.
    pub(crate) fn answer(&self) -> Result<Evidence, Failure> {
        let mut evidence = self.evidence(0)?;
        evidence.receipts.push(proven(&self.receipts.block, 0)?);
        Ok(evidence)
    }
    /// Evidence of a message that was not answered.
    pub(crate) fn silence(&self) -> Result<Evidence, Failure> {
        let mut evidence = self.evidence(1)?;
        let (_, proof) = prove(&self.state, self.tip.state_version(), &self.unanswered_slot())?;
        evidence.absences.push(ProvenAbsence { slot: 0, block: self.tip.height(), proof });
        Ok(evidence)
    }
    /// What both have: headers, the message and the keys it was written for.
    fn evidence(&self, sender: usize) -> Result<Evidence, Failure> {
        let block = &self.messages.block;
        let key = StateKey::Directory(address(recipient(sender))?);
        // Messages change no state: the keys stood there when they were written.
        let (record, proof) = prove(&self.messages.state, self.messages.tip.state_version(), &key)?;
        let Some(StateRecord::Bundle(record)) = record else { return Err("no keys".into()) };
        Ok(Evidence {
            chain: self.tip.genesis_file().chain_id(),
            blocks: vec![self.messages.certified(), self.receipts.certified()],
            validator_changes: Vec::new(),
            message: proven(block, sender)?,
            receipts: Vec::new(),
            keys: vec![ProvenBundle { slot: 0, block: block.height(), record, proof, newest: None }],
            absences: Vec::new(),
            body: block.bodies().get(sender).cloned(),
            disclosure: None,
        })
    }
}

impl Before {
    fn certified(&self) -> CertifiedHeader {
        CertifiedHeader { header: self.block.header().clone(), certificate: self.certificate.clone() }
    }
}

/// Makes a block of all of them final, and goes on to it.
fn next(tip: &mut Tip, state: &mut MemoryState, transactions: Vec<WithBody>) -> Result<Before, Failure> {
    let genesis = tip.genesis_file().clone();
    let verified = transactions.into_iter().map(|(one, body)| one.verify(body, &genesis));
    let verified = verified.collect::<Result<Vec<_>, _>>()?;
    let proposer = validator(0)?.public_key();
    let made = propose(tip, state, verified.clone(), tip.time_ms() + 1000, proposer)?.block;
    let block = made.block().as_ref().clone();
    assert_eq!(block.transactions().len(), verified.len(), "transactions that do not fit");
    let certificate = certify(tip, &block)?;
    let committed = made.commit(certificate.clone())?;
    let before = Before { tip: tip.clone(), state: state.clone(), block, verified, certificate };
    if let Some(update) = committed.verified().update() {
        state.apply(update, committed.verified().changes());
    }
    state.add_transactions(committed.block());
    *tip = committed.tip().clone();
    Ok(before)
}

/// Three of four validators sign.
fn certify(tip: &Tip, block: &Block) -> Result<CommitCertificate, Failure> {
    let (height, hash, round) = (block.height(), block.hash(), 0);
    let chain = tip.genesis_file().chain_id();
    let digest = vote_digest(&chain, VoteKind::Precommit, height, round, Some(&hash));
    let signatures = (0..VALIDATORS - 1).map(|number| {
        let key = validator(number)?;
        let (validator, _) = tip.validators().find(&key.public_key()).ok_or("not in office")?;
        Ok(CommitSignature { validator, signature: key.sign(&digest, &[0; 32])? })
    });
    let mut signatures = signatures.collect::<Result<Vec<_>, Failure>>()?;
    signatures.sort_by_key(|commit| commit.validator);
    Ok(CommitCertificate { height, round, block: hash, signatures })
}

fn proven(block: &Block, index: usize) -> Result<ProvenTransaction, Failure> {
    Ok(ProvenTransaction {
        block: block.height(),
        index: u32::try_from(index)?,
        path: merkle::path(&block.leaves(), index).ok_or("no such leaf")?,
        transaction: block.transactions().get(index).ok_or("no such transaction")?.clone(),
    })
}

fn sign(genesis: &Genesis, sender: usize, payload: Payload) -> Result<SignedTransaction, Failure> {
    let (version, chain) = (TRANSACTION_VERSION, genesis.chain_id());
    let key = person(sender)?;
    let sender = Address::new(key.public_key());
    let transaction = Transaction { version, chain, sender, expiry: EXPIRY, payload, nonce: 0 };
    Ok(transaction.sign(&key, &[0; 32])?)
}

/// A person's first keys. Any point on the curve is one.
fn bundle(genesis: &Genesis, owner: usize) -> Result<WithBody, Failure> {
    let mut ecies = [2; 33];
    ecies[1..].copy_from_slice(address(owner)?.key().as_bytes());
    let bundle = KeyBundle { sequence: 1, ecies, ml_kem: None, valid_until: BlockHeight::new(1000) };
    Ok((sign(genesis, owner, Payload::KeyBundle(bundle))?, None))
}

/// A person's message.
pub(crate) fn message(genesis: &Genesis, sender: usize) -> Result<WithBody, Failure> {
    let body = Body::new(sender.to_le_bytes().into_iter().cycle().take(BODY_BYTES).collect::<Vec<_>>());
    let slot = Slot {
        recipient: SlotRecipient::Named { address: address(recipient(sender))?, bundle: 1 },
        ecies_share: [1; _],
        ml_kem_share: None,
        wrapped_key: [2; _],
        receipt_commit: receipt_commit(&SECRET),
    };
    let message = Message {
        suite: Suite::Ecies,
        mode: Mode::Open,
        slots: vec![slot],
        key_commit: KeyCommit::from_bytes([4; 32]),
        content_commit: ContentCommit::from_bytes([5; 32]),
        body_hash: body.hash(),
        body_length: u32::try_from(BODY_BYTES)?,
    };
    Ok((sign(genesis, sender, Payload::Message(message))?, Some(body)))
}

/// The recipient's answer to a person's message.
fn receipt(genesis: &Genesis, sender: usize, message: &SignedTransaction) -> Result<WithBody, Failure> {
    let receipt = Receipt { message: message.id(), slot: 0, answer: Answer::Opened { secret: SECRET } };
    Ok((sign(genesis, recipient(sender), Payload::Receipt(receipt))?, None))
}
