//! People who send things: keys, messages, answers, the same again, and what the rules refuse. Everything is really
//! signed.

use sealpost_ledger::address::Address;
use sealpost_ledger::genesis::Genesis;
use sealpost_ledger::hash::{ContentCommit, KeyCommit, TransactionId};
use sealpost_ledger::height::BlockHeight;
use sealpost_ledger::key_bundle::KeyBundle;
use sealpost_ledger::message::{Body, Message, Mode, Slot, SlotRecipient, Suite};
use sealpost_ledger::receipt::{Answer, Receipt, receipt_commit};
use sealpost_ledger::signature::SigningKey;
use sealpost_ledger::transaction::{Payload, SignedTransaction, TRANSACTION_VERSION, Transaction};
use sealpost_node::wire::TransactionMessage;
use sealpost_tests::harness::random::Random;
use std::sync::Arc;

const SECRET: [u8; 32] = [9; 32];

/// Everybody.
pub struct People {
    genesis: Arc<Genesis>,
    keys: Vec<SigningKey>,
    bundles: Vec<u64>,
    /// Messages, and who may answer them.
    messages: Vec<(TransactionId, usize)>,
    sent: Vec<TransactionMessage>,
    body_bytes: usize,
    nonce: u64,
}

impl People {
    /// Of whom the first are members.
    pub fn keys() -> Vec<SigningKey> {
        (0..6_u8).map(|number| SigningKey::from_bytes(&[100 + number; 32]).expect("a key")).collect()
    }
    /// Nobody has sent anything. Bodies will have so many bytes at most.
    pub fn new(genesis: &Arc<Genesis>, body_bytes: usize) -> Self {
        let keys = Self::keys();
        let bundles = vec![0; keys.len()];
        Self {
            genesis: genesis.clone(),
            keys,
            bundles,
            messages: Vec::new(),
            sent: Vec::new(),
            body_bytes,
            nonce: 0,
        }
    }
    /// Somebody sends something, when the last block has that height.
    pub fn send(&mut self, height: BlockHeight, random: &mut Random) -> TransactionMessage {
        let who = random.below(self.keys.len());
        let expiry = height.saturating_add(5 + random.below(40) as u64);
        let told = match random.below(10) {
            0..4 => self.message(who, expiry, random),
            4..7 => self.bundle(who, expiry),
            7 if !self.messages.is_empty() => self.answer(expiry, random),
            // What is known already, from another side.
            8 if !self.sent.is_empty() => return self.sent[random.below(self.sent.len())].clone(),
            // Over before any block may contain it, or with a number that comes too early.
            9 if random.below(2) == 0 => self.bundle(who, height),
            9 => {
                self.bundles[who] += 1;
                let early = self.bundle(who, expiry);
                self.bundles[who] -= 2;
                early
            }
            _ => self.message(who, expiry, random),
        };
        self.sent.push(told.clone());
        told
    }
    /// Somebody sends what others have signed.
    pub fn declare(&mut self, expiry: BlockHeight, payload: Payload) -> TransactionMessage {
        TransactionMessage { transaction: self.sign(0, expiry, payload), body: None }
    }
    fn message(&mut self, who: usize, expiry: BlockHeight, random: &mut Random) -> TransactionMessage {
        let to = random.below(self.keys.len());
        let body = Body::new(vec![7; 1 + random.below(self.body_bytes)]);
        let address = Address::new(self.keys[to].public_key());
        let slot = Slot {
            recipient: SlotRecipient::Named { address, bundle: 1 },
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
            body_length: body.as_bytes().len() as u32,
        };
        let transaction = self.sign(who, expiry, Payload::Message(message));
        self.messages.push((transaction.id(), to));
        TransactionMessage { transaction, body: Some(body) }
    }
    fn bundle(&mut self, who: usize, expiry: BlockHeight) -> TransactionMessage {
        self.bundles[who] += 1;
        let sequence = self.bundles[who];
        let mut ecies = [2; 33];
        ecies[1..].copy_from_slice(self.keys[who].public_key().as_bytes());
        let bundle = KeyBundle { sequence, ecies, ml_kem: None, valid_until: BlockHeight::new(1_000_000) };
        TransactionMessage { transaction: self.sign(who, expiry, Payload::KeyBundle(bundle)), body: None }
    }
    fn answer(&mut self, expiry: BlockHeight, random: &mut Random) -> TransactionMessage {
        let (message, by) = self.messages[random.below(self.messages.len())];
        let receipt = Receipt { message, slot: 0, answer: Answer::Opened { secret: SECRET } };
        TransactionMessage { transaction: self.sign(by, expiry, Payload::Receipt(receipt)), body: None }
    }
    fn sign(&mut self, who: usize, expiry: BlockHeight, payload: Payload) -> SignedTransaction {
        self.nonce += 1;
        let transaction = Transaction {
            version: TRANSACTION_VERSION,
            chain: self.genesis.chain_id(),
            sender: Address::new(self.keys[who].public_key()),
            expiry,
            payload,
            nonce: self.nonce,
        };
        transaction.sign(&self.keys[who], &[0; 32]).expect("a transaction that can be signed")
    }
}
