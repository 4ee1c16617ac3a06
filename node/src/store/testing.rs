//! A chain of one validator that really signs, for the store's tests.

#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

use super::{Ahead, FoundState, Store};
use sealpost_ledger::address::Address;
use sealpost_ledger::certificate::{CommitCertificate, CommitSignature, VoteKind, vote_digest};
use sealpost_ledger::chain::{CommittedBlock, Tip, propose};
use sealpost_ledger::equivocation::{Equivocation, SignedVote};
use sealpost_ledger::genesis::Genesis;
use sealpost_ledger::hash::{BlockHash, ContentCommit, KeyCommit};
use sealpost_ledger::height::BlockHeight;
use sealpost_ledger::key_bundle::KeyBundle;
use sealpost_ledger::membership::{ValidatorsChange, validators_approval};
use sealpost_ledger::message::{Body, Message, Mode, Slot, SlotRecipient, Suite};
use sealpost_ledger::receipt::{Answer, Receipt, receipt_commit};
use sealpost_ledger::signature::{PublicKey, SigningKey};
use sealpost_ledger::state::{LedgerView, StateProof, StateRecord};
use sealpost_ledger::transaction::{Payload, Transaction, VerifiedTransaction};
use sealpost_ledger::validator::Validator;
use std::sync::{Arc, LazyLock};

pub(crate) const SENDER: u8 = 2;
pub(crate) const RECIPIENT: u8 = 3;
/// What only whoever opens a message learns.
const SECRET: [u8; 32] = [9; 32];

/// A network of one validator, with a store's view of it.
pub(crate) struct Chain {
    pub(crate) genesis: Arc<Genesis>,
    validator: SigningKey,
}

pub(crate) fn key(number: u8) -> SigningKey {
    SigningKey::from_bytes(&[number; 32]).unwrap()
}

pub(crate) fn address(number: u8) -> Address {
    Address::new(key(number).public_key())
}

/// What was found, if it was proven.
pub(super) fn proven(found: FoundState) -> (Option<StateRecord>, StateProof) {
    match found {
        FoundState::Proven(proven) => *proven,
        other => unreachable!("{other:?}"),
    }
}

/// The validator's two precommits in a round of height 1: for nothing, and for a block.
pub(crate) fn equivocation(chain: &Chain, round: u32, block: u8) -> Equivocation {
    equivocation_of(chain, &chain.validator, round, block)
}

/// The same of whoever has a key.
pub(crate) fn equivocation_of(chain: &Chain, signer: &SigningKey, round: u32, block: u8) -> Equivocation {
    let (id, height) = (chain.genesis.chain_id(), BlockHeight::FIRST);
    let votes = [None, Some(BlockHash::from_bytes([block; 32]))].map(|block| {
        let digest = vote_digest(&id, VoteKind::Precommit, height, round, block.as_ref());
        SignedVote { block, signature: signer.sign(&digest, &[0; 32]).unwrap() }
    });
    Equivocation::votes(signer.public_key(), height, round, VoteKind::Precommit, votes)
}

fn slot(address: Address) -> Slot {
    Slot {
        recipient: SlotRecipient::Named { address, bundle: 1 },
        ecies_share: [1; _],
        ml_kem_share: None,
        wrapped_key: [2; _],
        receipt_commit: receipt_commit(&SECRET),
    }
}

impl Chain {
    pub(crate) fn new(name: &str) -> Self {
        Self::keeping(name, 0)
    }
    /// A network whose ordinary nodes keep bodies for that many blocks.
    pub(crate) fn keeping(name: &str, retention_blocks: u64) -> Self {
        Self::with(name, retention_blocks, 65_536, 4)
    }
    /// A network whose blocks have room for messages to as many as may be.
    pub(crate) fn wide(name: &str) -> Self {
        Self::with(name, 0, 8 << 20, 256)
    }
    fn with(name: &str, retention_blocks: u64, block_bytes: u32, slots: u16) -> Self {
        let validator = key(1);
        let json = serde_json::json!({
            "format": "sealpost-genesis/1", "chain_name": name, "address_prefix": "t", "time_ms": 1000,
            "validators": [{"name": "one", "public_key": validator.public_key(), "power": 1}],
            "limits": {"block_bytes": block_bytes, "body_bytes": 4096, "slots": slots, "expiry_window": 1000},
            "postage": {"floor": 0, "strangers_percent": 100, "member_quota_bytes": 0},
            "timing": {"block_interval_ms": 0, "heartbeat_ms": 1000, "clock_drift_ms": 1000},
            "members": [], "retention_blocks": retention_blocks
        });
        let genesis = Arc::new(Genesis::parse(json.to_string().as_bytes()).unwrap());
        Self { genesis, validator }
    }
    /// A message from the sender to the recipient.
    pub(crate) fn message(&self, text: &str) -> VerifiedTransaction {
        self.message_to(address(RECIPIENT), text.as_bytes())
    }
    /// A message from the sender to whatever stands there for an address.
    pub(crate) fn message_to(&self, address: Address, body: &[u8]) -> VerifiedTransaction {
        self.message_with(Suite::Ecies, vec![slot(address)], body)
    }
    /// A message from the sender to everybody, in the suite whose slots are long: a third of a megabyte.
    pub(crate) fn circular(&self, text: &str) -> VerifiedTransaction {
        static EVERYBODY: LazyLock<Vec<Address>> =
            LazyLock::new(|| (1..u8::MAX).filter(|number| *number != SENDER).map(address).collect());
        let long = |address: &Address| Slot { ml_kem_share: Some(vec![3; 1088]), ..slot(*address) };
        self.message_with(Suite::EciesMlKem768, EVERYBODY.iter().map(long).collect(), text.as_bytes())
    }
    fn message_with(&self, suite: Suite, slots: Vec<Slot>, body: &[u8]) -> VerifiedTransaction {
        let body = Body::new(body.to_vec());
        let message = Message {
            suite,
            mode: Mode::Open,
            slots,
            key_commit: KeyCommit::from_bytes([4; 32]),
            content_commit: ContentCommit::from_bytes([5; 32]),
            body_hash: body.hash(),
            body_length: u32::try_from(body.as_bytes().len()).unwrap(),
        };
        self.sign(Payload::Message(message), Some(body))
    }
    /// The sender's key bundle with that number: a transaction that changes the state.
    pub(crate) fn bundle(&self, sequence: u64) -> VerifiedTransaction {
        let mut ecies = [2; 33];
        ecies[1..].copy_from_slice(PublicKey::as_bytes(&key(SENDER).public_key()));
        let valid_until = BlockHeight::new(1_000_000);
        self.sign(Payload::KeyBundle(KeyBundle { sequence, ecies, ml_kem: None, valid_until }), None)
    }
    /// The recipient's answer to such a message.
    pub(crate) fn receipt(&self, message: &VerifiedTransaction) -> VerifiedTransaction {
        let answer = Answer::Opened { secret: SECRET };
        self.sign_by(RECIPIENT, Payload::Receipt(Receipt { message: message.id(), slot: 0, answer }), None)
    }
    /// A change of the one validator's power, approved by itself.
    pub(crate) fn power(&self, store: &Store, power: u64, effective: BlockHeight) -> VerifiedTransaction {
        let validators = vec![Validator { key: self.validator.public_key(), power }];
        let present = store.tip().validators().hash();
        let digest = validators_approval(&self.genesis.chain_id(), &present, effective, &validators);
        let approvals = vec![(0, self.validator.sign(&digest, &[0; 32]).unwrap())];
        self.sign(Payload::Validators(ValidatorsChange { validators, effective, approvals }), None)
    }
    /// The next block after a store's tip, made final.
    pub(crate) fn next(&self, store: &Store, transactions: Vec<VerifiedTransaction>) -> CommittedBlock {
        self.next_on(&store.tip(), store, transactions, 2_000)
    }
    /// The next block after a store's tip, made final, of that time.
    pub(crate) fn next_at(&self, store: &Store, time_ms: u64) -> CommittedBlock {
        self.next_on(&store.tip(), store, Vec::new(), time_ms)
    }
    /// The next block after a tip, made final.
    fn next_on<V: LedgerView>(
        &self,
        tip: &Tip,
        view: &V,
        transactions: Vec<VerifiedTransaction>,
        time_ms: u64,
    ) -> CommittedBlock {
        let count = transactions.len();
        let proposal = propose(tip, view, transactions, time_ms, self.validator.public_key()).unwrap();
        assert_eq!(proposal.block.block().transactions().len(), count, "{:?}", proposal.refused);
        let (height, block) = (tip.next_height(), proposal.block.block().hash());
        let digest = vote_digest(&self.genesis.chain_id(), VoteKind::Precommit, height, 0, Some(&block));
        let signature = self.validator.sign(&digest, &[0; 32]).unwrap();
        let signatures = vec![CommitSignature { validator: 0, signature }];
        proposal.block.commit(CommitCertificate { height, round: 0, block, signatures }).unwrap()
    }
    /// Appends blocks: each with a message and a key bundle, every third one empty.
    pub(crate) fn grow(&self, store: &Store, blocks: u64) {
        for _ in 0..blocks {
            let transactions = self.transactions_of(store.tip().next_height().get());
            store.append(&self.next(store, transactions)).unwrap();
        }
    }
    /// The same blocks, not appended yet.
    pub(crate) fn run(&self, store: &Store, blocks: u64) -> Vec<Arc<CommittedBlock>> {
        let next = store.tip().next_height().get();
        self.run_of(store, (next..next + blocks).map(|height| self.transactions_of(height)))
    }
    /// Blocks of these transactions, not appended yet.
    pub(crate) fn run_of(
        &self,
        store: &Store,
        blocks: impl IntoIterator<Item = Vec<VerifiedTransaction>>,
    ) -> Vec<Arc<CommittedBlock>> {
        let (mut tip, mut view) = (store.tip(), Ahead::new(store.clone()));
        let next = |transactions| {
            let block = self.next_on(&tip, &view, transactions, 2_000);
            view.add(block.verified());
            tip = block.tip().clone();
            Arc::new(block)
        };
        blocks.into_iter().map(next).collect()
    }
    fn transactions_of(&self, height: u64) -> Vec<VerifiedTransaction> {
        let bundles = height - height / 3;
        match height % 3 {
            0 => Vec::new(),
            _ => vec![self.message(&format!("message {height}")), self.bundle(bundles)],
        }
    }
    fn sign(&self, payload: Payload, body: Option<Body>) -> VerifiedTransaction {
        self.sign_by(SENDER, payload, body)
    }
    fn sign_by(&self, by: u8, payload: Payload, body: Option<Body>) -> VerifiedTransaction {
        let transaction = Transaction {
            version: 1,
            chain: self.genesis.chain_id(),
            sender: address(by),
            expiry: BlockHeight::new(900),
            payload,
            nonce: 0,
        };
        transaction.sign(&key(by), &[0; 32]).unwrap().verify(body, &self.genesis).unwrap()
    }
}
