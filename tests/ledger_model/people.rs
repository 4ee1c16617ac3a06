//! Who writes to the ledger in the comparison: people, validators, and transactions most of which are nearly right.

use super::model::{Model, is_paid, stamp};
use sealpost_ledger::address::Address;
use sealpost_ledger::codec::encode;
use sealpost_ledger::genesis::{
    GENESIS_FORMAT, Genesis, GenesisFile, GenesisValidator, Limits, PostageRules, Timing,
};
use sealpost_ledger::hash::{ContentCommit, KeyCommit, Tag, TransactionId, tagged};
use sealpost_ledger::height::BlockHeight;
use sealpost_ledger::key_bundle::{KeyBundle, Revoke};
use sealpost_ledger::membership::{Designate, MemberChange, MemberStatus, ValidatorsChange};
use sealpost_ledger::message::{Body, Message, Mode, Slot, SlotRecipient, Suite};
use sealpost_ledger::receipt::{Answer, Receipt, RefusalReason, receipt_commit};
use sealpost_ledger::signature::{PublicKey, Signature, SigningKey};
use sealpost_ledger::transaction::{Payload, TRANSACTION_VERSION, Transaction, VerifiedTransaction};
use sealpost_ledger::validator::Validator;
use sealpost_tests::harness::random::Random;
use std::sync::Arc;

const PREFIX: &str = "seal";
/// The first two are members from the beginning.
const PEOPLE: u8 = 6;
/// Those who are or may become validators.
const VALIDATORS: u8 = 6;
/// What a slot's recipient reveals.
const SECRET: [u8; 32] = [9; 32];
const WINDOW: u64 = 10;
/// Hashes after which whoever looks for a stamp gives up.
const PATIENCE: u64 = 100_000;

pub(super) struct People {
    pub(super) genesis: Arc<Genesis>,
    people: Vec<SigningKey>,
    validators: Vec<SigningKey>,
    /// What was sent before, to be sent again.
    sent: Vec<VerifiedTransaction>,
}

fn keys(first: u8, count: u8) -> Vec<SigningKey> {
    (first..first + count).map(|seed| SigningKey::from_bytes(&[seed; 32]).unwrap()).collect()
}

fn address(key: &SigningKey) -> Address {
    Address::new(key.public_key())
}

impl People {
    pub(super) fn found(random: &mut Random) -> Self {
        let (people, validators) = (keys(1, PEOPLE), keys(101, VALIDATORS));
        let validator = |(number, key): (usize, &SigningKey)| GenesisValidator {
            name: format!("validator-{number}"),
            public_key: key.public_key(),
            power: 1 + number as u64,
        };
        let prefix = sealpost_ledger::address::AddressPrefix::new(PREFIX).unwrap();
        let file = GenesisFile {
            format: GENESIS_FORMAT.into(),
            chain_name: "model".into(),
            address_prefix: PREFIX.into(),
            time_ms: 1_700_000_000_000,
            validators: validators.iter().enumerate().take(4).map(validator).collect(),
            limits: Limits { block_bytes: 64 << 10, body_bytes: 16 << 10, slots: 4, expiry_window: WINDOW },
            postage: PostageRules {
                floor: random.below(40) as u64,
                strangers_percent: [10, 40, 100][random.below(3)],
                member_quota_bytes: 2_000 + random.below(10_000) as u32,
            },
            timing: Timing { block_interval_ms: 0, heartbeat_ms: 10_000, clock_drift_ms: 5_000 },
            members: people.iter().take(2).map(|key| address(key).to_text(&prefix)).collect(),
            retention_blocks: 0,
        };
        Self { genesis: Arc::new(Genesis::new(file).unwrap()), people, validators, sent: Vec::new() }
    }
    /// A key that is no validator's.
    pub(super) fn nobody(&self) -> PublicKey {
        self.people[0].public_key()
    }
    pub(super) fn key_of(&self, key: &PublicKey) -> &SigningKey {
        self.validators.iter().find(|validator| validator.public_key() == *key).expect("a validator")
    }
    /// Candidates for the next block.
    pub(super) fn make(
        &mut self,
        model: &Model,
        count: usize,
        random: &mut Random,
    ) -> Vec<VerifiedTransaction> {
        let mut made = Vec::new();
        for _ in 0..count {
            let one = match self.sent.len() {
                sent if sent > 0 && random.below(12) == 0 => {
                    self.sent[sent - 1 - random.below(sent.min(20))].clone()
                }
                _ => self.one(model, random),
            };
            self.sent.push(one.clone());
            made.push(one);
        }
        made
    }
    fn one(&self, model: &Model, random: &mut Random) -> VerifiedTransaction {
        let next = model.height + 1;
        let expiry = match random.below(12) {
            0 => next - 1,
            1 => next + WINDOW + 1,
            2 => next + WINDOW,
            _ => next + random.below(WINDOW as usize) as u64,
        };
        let mut sender = random.below(self.people.len());
        let mut body = None;
        let payload = match random.below(16) {
            0..=5 => {
                let length = [0, 100, 1_000, 3_000, 7_000, 16 << 10][random.below(6)];
                let written = Body::new(vec![random.next() as u8; length]);
                body = Some(written.clone());
                Payload::Message(self.message(&written, random))
            }
            6..=8 => {
                let (receipt, by) = self.receipt(model, random);
                // Usually by whom it is for.
                sender = if random.below(5) == 0 { sender } else { by.unwrap_or(sender) };
                Payload::Receipt(receipt)
            }
            9 | 10 => Payload::KeyBundle(self.bundle(model, sender, random)),
            11 | 12 => {
                let newest = model.next_sequence(&address(&self.people[sender]));
                let sequence = random.below(newest as usize + 1) as u64;
                let from = BlockHeight::new([next, next + 1, next + 3, next + 8][random.below(4)]);
                Payload::Revoke(Revoke { sequence, from })
            }
            13 => {
                let class = format!("class-{}", random.below(3));
                Payload::Designate(Designate { class, to: address(&self.people[random.below(6)]) })
            }
            14 => Payload::Validators(self.validators_change(model, random)),
            _ => Payload::Member(self.member_change(model, expiry, random)),
        };
        let key = &self.people[sender];
        let mut transaction = Transaction {
            version: TRANSACTION_VERSION,
            chain: self.genesis.chain_id(),
            sender: address(key),
            expiry: BlockHeight::new(expiry),
            payload,
            nonce: random.next() >> 16,
        };
        if random.below(6) > 0 {
            pay(&mut transaction, model.price, body.as_ref().map_or(0, |body| body.as_bytes().len()));
        }
        transaction.sign(key, &[0; 32]).unwrap().verify(body, &self.genesis).expect("well-formed")
    }
    fn message(&self, body: &Body, random: &mut Random) -> Message {
        let mode = if random.below(5) == 0 { Mode::Sealed } else { Mode::Open };
        let first = random.below(self.people.len());
        let slot = |number: usize| Slot {
            recipient: match mode {
                Mode::Open => {
                    let to = (first + number) % self.people.len();
                    SlotRecipient::Named { address: address(&self.people[to]), bundle: 1 }
                }
                Mode::Sealed => SlotRecipient::Hidden { ephemeral: [number as u8; 33], view_tag: 7 },
            },
            ecies_share: [1; _],
            ml_kem_share: None,
            wrapped_key: [2; _],
            receipt_commit: receipt_commit(&SECRET),
        };
        Message {
            suite: Suite::Ecies,
            mode,
            slots: (0..1 + random.below(3)).map(slot).collect(),
            key_commit: KeyCommit::from_bytes([4; 32]),
            content_commit: ContentCommit::from_bytes([5; 32]),
            body_hash: body.hash(),
            body_length: body.as_bytes().len() as u32,
        }
    }
    /// An answer to some message, and whose it would be.
    fn receipt(&self, model: &Model, random: &mut Random) -> (Receipt, Option<usize>) {
        let answer = match random.below(4) {
            0 => Answer::Refused { reason: RefusalReason::Unwanted },
            1 => Answer::Opened { secret: [random.below(2) as u8 + 8; 32] },
            _ => Answer::Opened { secret: SECRET },
        };
        if model.messages.is_empty() || random.below(10) == 0 {
            let message = TransactionId::from_bytes([random.next() as u8; 32]);
            return (Receipt { message, slot: 0, answer }, None);
        }
        let (id, message) = model.messages.iter().nth(random.below(model.messages.len())).unwrap();
        let slot = random.below(message.slots.len() + 1);
        let recipient = message.slots.get(slot).and_then(|slot| match slot.recipient {
            SlotRecipient::Named { address: to, .. } => self.people.iter().position(|key| address(key) == to),
            SlotRecipient::Hidden { .. } => None,
        });
        (Receipt { message: *id, slot: slot as u16, answer }, recipient)
    }
    fn bundle(&self, model: &Model, owner: usize, random: &mut Random) -> KeyBundle {
        let key = self.people[owner].public_key();
        let mut ecies = [2; 33];
        ecies[1..].copy_from_slice(key.as_bytes());
        let right = model.next_sequence(&Address::new(key));
        let sequence = [right, right, right, right - 1, right + 1][random.below(5)];
        let valid_until = [model.height, model.height + 1, 1_000, 1_000][random.below(4)];
        KeyBundle { sequence, ecies, ml_kem: None, valid_until: BlockHeight::new(valid_until) }
    }
    /// A change to a set of these, approved by all in office, that takes effect then.
    pub(super) fn change_to(&self, model: &Model, seats: &[usize], effective: u64) -> VerifiedTransaction {
        let seat = |seat: &usize| Validator { key: self.validators[*seat].public_key(), power: 3 };
        let mut validators: Vec<_> = seats.iter().map(seat).collect();
        validators.sort_by_key(|validator| validator.key);
        let approvals = self.all_approve(model, model.validators_digest(effective, &validators));
        let effective = BlockHeight::new(effective);
        let change = ValidatorsChange { validators, effective, approvals };
        self.paid(model, 0, model.height + 5, Payload::Validators(change))
    }
    /// A change of somebody's status, approved by all in office, that expires so many blocks later.
    pub(super) fn status_of(
        &self,
        model: &Model,
        whom: usize,
        status: MemberStatus,
        later: u64,
    ) -> VerifiedTransaction {
        let (address, expiry) = (address(&self.people[whom]), model.height + later);
        let approvals = self.all_approve(model, model.member_digest(expiry, &address, status));
        self.paid(model, 0, expiry, Payload::Member(MemberChange { address, status, approvals }))
    }
    /// Something of somebody's with a nonce that pays for nothing.
    pub(super) fn unpaid(&self, model: &Model, sender: usize, number: u8) -> VerifiedTransaction {
        let class = format!("class-{number}");
        let payload = Payload::Designate(Designate { class, to: address(&self.people[0]) });
        let mut transaction = self.transaction(sender, model.height + 5, payload);
        let bytes = (encode(&transaction).len() + 64) as u64;
        transaction.nonce = (0..)
            .find(|nonce| {
                let tried = Transaction { nonce: *nonce, ..transaction.clone() };
                !is_paid(&tried, model.price, bytes)
            })
            .unwrap();
        self.signed(sender, transaction)
    }
    fn all_approve(&self, model: &Model, digest: [u8; 32]) -> Vec<(u16, Signature)> {
        let sign = |(position, validator): (usize, &Validator)| {
            (position as u16, self.key_of(&validator.key).sign(&digest, &[0; 32]).unwrap())
        };
        model.validators.iter().enumerate().map(sign).collect()
    }
    fn transaction(&self, sender: usize, expiry: u64, payload: Payload) -> Transaction {
        Transaction {
            version: TRANSACTION_VERSION,
            chain: self.genesis.chain_id(),
            sender: address(&self.people[sender]),
            expiry: BlockHeight::new(expiry),
            payload,
            nonce: 0,
        }
    }
    fn paid(&self, model: &Model, sender: usize, expiry: u64, payload: Payload) -> VerifiedTransaction {
        let mut transaction = self.transaction(sender, expiry, payload);
        pay(&mut transaction, model.price, 0);
        self.signed(sender, transaction)
    }
    fn signed(&self, sender: usize, transaction: Transaction) -> VerifiedTransaction {
        let signed = transaction.sign(&self.people[sender], &[0; 32]).unwrap();
        signed.verify(None, &self.genesis).expect("well-formed")
    }
    fn validators_change(&self, model: &Model, random: &mut Random) -> ValidatorsChange {
        let chosen = self.validators.iter().filter(|_| random.below(4) > 0);
        let mut set: Vec<_> = chosen.map(|key| Validator { key: key.public_key(), power: 3 }).collect();
        if set.is_empty() || random.below(6) == 0 {
            set = model.validators.clone();
        }
        if random.below(8) == 0 {
            // No point has this x-coordinate.
            set[0].key = PublicKey::from_bytes([0; 32]);
        }
        set.sort_by_key(|validator| validator.key);
        let validators = set;
        let effective = model.height + 1 + [0, 1, 1, 2, 3, WINDOW, WINDOW + 1][random.below(7)];
        let approvals = self.approvals(model, model.validators_digest(effective, &validators), random);
        ValidatorsChange { validators, effective: BlockHeight::new(effective), approvals }
    }
    fn member_change(&self, model: &Model, expiry: u64, random: &mut Random) -> MemberChange {
        let address = address(&self.people[random.below(self.people.len())]);
        let status = [MemberStatus::Admitted, MemberStatus::Ended][random.below(2)];
        let approvals = self.approvals(model, model.member_digest(expiry, &address, status), random);
        MemberChange { address, status, approvals }
    }
    /// Usually of all present validators; else of some, in another order, or of others under something else.
    fn approvals(&self, model: &Model, digest: [u8; 32], random: &mut Random) -> Vec<(u16, Signature)> {
        let mut approvals = self.all_approve(model, digest);
        let last = approvals.len() - 1;
        match random.below(10) {
            0 => approvals.truncate(random.below(approvals.len())),
            1 => approvals.reverse(),
            2 => approvals[last].1 = approvals[0].1,
            3 => approvals[last].0 = 60,
            4 => approvals.push(approvals[last]),
            5 if approvals.len() > 3 => drop(approvals.remove(0)),
            _ => {}
        }
        approvals
    }
}

/// Looks for a stamp at that price.
fn pay(transaction: &mut Transaction, price: u64, body: usize) {
    let bytes = (encode(transaction).len() + 64 + body) as u64;
    let core = tagged(Tag::Postage, &[&encode(&Transaction { nonce: 0, ..transaction.clone() })]);
    let most = u64::MAX / (price * bytes.div_ceil(1024).max(1)).max(1);
    if let Some(nonce) = (0..PATIENCE).find(|nonce| stamp(&core, *nonce) <= most) {
        transaction.nonce = nonce;
        assert!(is_paid(transaction, price, bytes));
    }
}
