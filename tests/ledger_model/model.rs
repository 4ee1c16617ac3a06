//! The model: what stands on the ledger in plain maps, and each rule as one sentence. Nothing here is fast.

use crate::state_tree::definition;
use sealpost_ledger::address::Address;
use sealpost_ledger::codec::encode;
use sealpost_ledger::genesis::Genesis;
use sealpost_ledger::hash::{ChainId, Tag, TransactionId, sha256, tagged};
use sealpost_ledger::height::BlockHeight;
use sealpost_ledger::key_bundle::{KeyBundle, Revoke};
use sealpost_ledger::membership::{MemberChange, MemberStatus, ValidatorsChange};
use sealpost_ledger::message::{Message, SlotRecipient};
use sealpost_ledger::receipt::{Answer, Receipt};
use sealpost_ledger::signature::Signature;
use sealpost_ledger::state::{
    AnswerKind, BundleRecord, DesignationRecord, MemberRecord, ReceiptRecord, StateKey, StateRecord,
    ValidatorsRecord,
};
use sealpost_ledger::transaction::{Payload, Transaction, VerifiedTransaction};
use sealpost_ledger::validator::Validator;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// Rules that the control lets the model forget.
pub(super) const RULES: [&str; 15] = [
    "expiry",
    "window",
    "repeated",
    "postage",
    "quota",
    "strangers",
    "block",
    "recipient",
    "secret",
    "answered",
    "sequence",
    "withdrawn",
    "approvals",
    "price",
    "free",
];

/// The ledger after a block, and what the next one has so far.
#[derive(Clone)]
pub(super) struct Model {
    genesis: Arc<Genesis>,
    pub(super) height: u64,
    pub(super) price: u64,
    pub(super) validators: Vec<Validator>,
    /// Who decides later, and from which height on.
    pub(super) pending: Option<(Vec<Validator>, u64)>,
    pub(super) records: BTreeMap<StateKey, StateRecord>,
    pub(super) messages: BTreeMap<TransactionId, Message>,
    ids: BTreeSet<TransactionId>,
    /// Of the block that is being made: its messages, and bytes of all, of strangers, and of each member's quota.
    new_messages: Vec<(TransactionId, Message)>,
    used: u64,
    strangers: u64,
    quotas: BTreeMap<[u8; 32], u64>,
    pub(super) forgotten: Option<&'static str>,
}

type Verdict = Result<(), &'static str>;

impl Model {
    pub(super) fn begin(genesis: &Arc<Genesis>) -> Self {
        let height = BlockHeight::GENESIS;
        let admitted = MemberRecord { status: MemberStatus::Admitted, since: height, last_expiry: height };
        let mut records = BTreeMap::from([(StateKey::Chain, StateRecord::Chain(genesis.chain_id()))]);
        for member in genesis.members() {
            records.insert(StateKey::Member(*member), StateRecord::Member(admitted));
        }
        let mut validators = genesis.validators().validators().to_vec();
        validators.sort_by_key(|validator| validator.key);
        Self {
            genesis: genesis.clone(),
            height: 0,
            price: genesis.file().postage.floor,
            validators,
            pending: None,
            records,
            messages: BTreeMap::new(),
            ids: BTreeSet::new(),
            new_messages: Vec::new(),
            used: 0,
            strangers: 0,
            quotas: BTreeMap::new(),
            forgotten: None,
        }
    }
    pub(super) fn state_root(&self) -> definition::Hash {
        let hashed = |(key, record): (&StateKey, &StateRecord)| (key.hash(), sha256(&[&record.to_bytes()]));
        definition::root(&self.records.iter().map(hashed).collect())
    }
    pub(super) fn validators_hash(&self) -> [u8; 32] {
        tagged(Tag::Validators, &[&encode(&self.validators)])
    }
    /// Whether a rule is in force and broken.
    fn breaks(&self, rule: &str, broken: bool) -> bool {
        broken && self.forgotten != Some(rule)
    }

    /// Takes a transaction into the block, or says by which rule it can't stand there.
    pub(super) fn add(&mut self, verified: &VerifiedTransaction) -> Verdict {
        let Transaction { sender, expiry, payload, .. } = verified.signed().transaction();
        let (id, next) = (verified.id(), self.height + 1);
        if self.breaks("expiry", expiry.get() < next) {
            return Err("tx.expired");
        }
        if self.breaks("window", expiry.get() > next + self.genesis.file().limits.expiry_window) {
            return Err("tx.expiry_too_far");
        }
        if self.breaks("repeated", self.ids.contains(&id)) {
            return Err("tx.repeated");
        }
        let room = self.room(verified)?;
        match payload {
            Payload::Message(message) => self.new_messages.push((id, message.clone())),
            Payload::Receipt(receipt) => self.receipt(receipt, sender, id)?,
            Payload::KeyBundle(bundle) => self.bundle(bundle, sender, id)?,
            Payload::Revoke(revoke) => self.revoke(revoke, sender)?,
            Payload::Designate(designate) => {
                let (to, transaction, height) = (designate.to, id, BlockHeight::new(next));
                let record = StateRecord::Designation(DesignationRecord { to, transaction, height });
                self.records.insert(StateKey::Designation(*sender, designate.class.clone()), record);
            }
            Payload::Validators(change) => self.change_validators(change, id)?,
            Payload::Member(change) => self.change_member(change, expiry.get())?,
        }
        self.ids.insert(id);
        let bytes = verified.bytes() as u64;
        self.used += bytes;
        match room {
            Room::Quota => *self.quotas.entry(*sender.as_bytes()).or_default() += bytes,
            Room::Paid => {}
            Room::Shared => self.strangers += bytes,
        }
        Ok(())
    }
    /// The block is full, or not; price and validators move on.
    pub(super) fn end_block(&mut self) {
        self.height += 1;
        self.messages.extend(std::mem::take(&mut self.new_messages));
        let block_bytes = u64::from(self.genesis.file().limits.block_bytes);
        // What members send for nothing is no demand: it leaves less room for what is paid.
        let free: u64 = self.quotas.values().sum();
        let free = if self.forgotten == Some("free") { 0 } else { free };
        let paid = self.moved(self.used - free, block_bytes - free);
        let price = paid.max(self.moved(self.strangers, self.shared_bytes()));
        if self.forgotten != Some("price") {
            self.price = price;
        }
        (self.used, self.strangers) = (0, 0);
        self.quotas.clear();
        // Whoever decides the next block is in this block's header.
        if self.pending.as_ref().is_some_and(|(_, effective)| *effective <= self.height + 1) {
            self.validators = self.pending.take().unwrap().0;
        }
    }
    /// By an eighth at most, towards half of what there is room for; upwards by one at least, up to the highest number.
    pub(super) fn moved(&self, used: u64, room: u64) -> u64 {
        let (half, price) = (i128::from((room / 2).max(1)), i128::from(self.price));
        let over = i128::from(used).min(2 * half) - half;
        let step = price * over.abs() / half / 8;
        let moved = match over {
            0 => price,
            1.. => price + step.max(1),
            _ => price - step,
        };
        u64::try_from(moved.min(u64::MAX.into())).unwrap().max(self.genesis.file().postage.floor)
    }
    fn shared_bytes(&self) -> u64 {
        let file = self.genesis.file();
        u64::from(file.limits.block_bytes) / 100 * u64::from(file.postage.strangers_percent)
    }

    /// Where there is room for it, if there is.
    fn room(&self, verified: &VerifiedTransaction) -> Result<Room, &'static str> {
        let (file, transaction) = (self.genesis.file(), verified.signed().transaction());
        let body = verified.body().map_or(0, |body| body.as_bytes().len());
        let bytes = (encode(transaction).len() + 64 + body) as u64;
        let member = self.member(&transaction.sender).is_some_and(|m| m.status == MemberStatus::Admitted);
        let whole = u64::from(file.limits.block_bytes);
        if bytes > (if member { whole } else { self.shared_bytes() }) {
            return Err("tx.too_long");
        }
        if self.breaks("block", self.used + bytes > whole) {
            return Err("tx.block_full");
        }
        let quota = u64::from(file.postage.member_quota_bytes);
        let before = self.quotas.get(transaction.sender.as_bytes()).copied().unwrap_or(0);
        if member && (before + bytes <= quota || self.forgotten == Some("quota")) {
            return Ok(Room::Quota);
        }
        if self.breaks("postage", !is_paid(transaction, self.price, bytes)) {
            return Err("tx.postage_too_low");
        }
        if member {
            return Ok(Room::Paid);
        }
        if self.breaks("strangers", self.strangers + bytes > self.shared_bytes()) {
            return Err("tx.block_full");
        }
        Ok(Room::Shared)
    }
    fn member(&self, address: &Address) -> Option<MemberRecord> {
        match self.records.get(&StateKey::Member(*address)) {
            Some(StateRecord::Member(record)) => Some(*record),
            _ => None,
        }
    }

    /// A slot is answered once, by whom it is for; "opened" with what only who opened it knows.
    fn receipt(&mut self, receipt: &Receipt, by: &Address, id: TransactionId) -> Verdict {
        let message = self.messages.get(&receipt.message).ok_or("receipt.unknown_message")?;
        let slot = message.slots.get(usize::from(receipt.slot)).ok_or("receipt.unknown_slot")?;
        let SlotRecipient::Named { address, .. } = slot.recipient else { return Err("receipt.sealed_slot") };
        if self.breaks("recipient", address != *by) {
            return Err("receipt.not_recipient");
        }
        let answer = match receipt.answer {
            Answer::Opened { secret } => {
                let commit = tagged(Tag::Receipt, &[&secret]);
                if self.breaks("secret", commit != slot.receipt_commit.to_bytes()) {
                    return Err("receipt.wrong_secret");
                }
                AnswerKind::Opened
            }
            Answer::Refused { .. } => AnswerKind::Refused,
        };
        let key = StateKey::Receipt(receipt.message, receipt.slot);
        if self.breaks("answered", self.records.contains_key(&key)) {
            return Err("receipt.already_answered");
        }
        let height = BlockHeight::new(self.height + 1);
        self.records.insert(key, StateRecord::Receipt(ReceiptRecord { receipt: id, answer, height }));
        Ok(())
    }
    /// Bundles of an identity are numbered from 1 without a gap.
    fn bundle(&mut self, bundle: &KeyBundle, owner: &Address, id: TransactionId) -> Verdict {
        if self.breaks("sequence", bundle.sequence != self.next_sequence(owner)) {
            return Err("bundle.sequence");
        }
        if bundle.valid_until.get() < self.height + 1 {
            return Err("bundle.expired");
        }
        let (transaction, height) = (id, BlockHeight::new(self.height + 1));
        let record = BundleRecord { bundle: bundle.clone(), transaction, height, revoked_from: None };
        self.records.insert(StateKey::Bundle(*owner, bundle.sequence), StateRecord::Bundle(record.clone()));
        self.records.insert(StateKey::Directory(*owner), StateRecord::Bundle(record));
        Ok(())
    }
    pub(super) fn next_sequence(&self, owner: &Address) -> u64 {
        let bundles = self.records.keys().filter(|key| matches!(key, StateKey::Bundle(of, _) if of == owner));
        bundles.count() as u64 + 1
    }
    /// A bundle is withdrawn from a height on that is later than the block; again only from an earlier one.
    fn revoke(&mut self, revoke: &Revoke, owner: &Address) -> Verdict {
        let key = StateKey::Bundle(*owner, revoke.sequence);
        let Some(StateRecord::Bundle(mut record)) = self.records.get(&key).cloned() else {
            return Err("bundle.unknown");
        };
        if revoke.from.get() <= self.height + 1 {
            return Err("bundle.revoked_in_the_past");
        }
        if self.breaks("withdrawn", record.revoked_from.is_some_and(|earlier| earlier <= revoke.from)) {
            return Err("bundle.already_revoked");
        }
        record.revoked_from = Some(revoke.from);
        if revoke.sequence + 1 == self.next_sequence(owner) {
            self.records.insert(StateKey::Directory(*owner), StateRecord::Bundle(record.clone()));
        }
        self.records.insert(key, StateRecord::Bundle(record));
        Ok(())
    }
    /// One change at a time, to another set, soon enough, and signed by two thirds of the present one.
    fn change_validators(&mut self, change: &ValidatorsChange, id: TransactionId) -> Verdict {
        let (next, effective) = (self.height + 1, change.effective.get());
        if self.pending.is_some() {
            return Err("validator.change_pending");
        }
        if effective <= next || effective > next + self.genesis.file().limits.expiry_window {
            return Err("validator.effective");
        }
        if change.validators == self.validators {
            return Err("validator.unchanged");
        }
        self.approved(&self.validators_digest(effective, &change.validators), &change.approvals)?;
        if !change.validators.iter().all(|validator| validator.key.is_on_curve()) {
            return Err("validator.no_set");
        }
        let record = ValidatorsRecord {
            validators: change.validators.clone(),
            effective: change.effective,
            transaction: id,
            height: BlockHeight::new(next),
        };
        self.records.insert(StateKey::Validators, StateRecord::Validators(record));
        self.pending = Some((change.validators.clone(), effective));
        Ok(())
    }
    /// Somebody becomes a member or is none any more, by an approval that is later than the last one.
    fn change_member(&mut self, change: &MemberChange, expiry: u64) -> Verdict {
        let found = self.member(&change.address);
        let present = found.map_or(MemberStatus::Ended, |record| record.status);
        if present == change.status {
            return Err("member.unchanged");
        }
        if found.is_some_and(|record| expiry <= record.last_expiry.get()) {
            return Err("member.superseded");
        }
        self.approved(&self.member_digest(expiry, &change.address, change.status), &change.approvals)?;
        let (since, last_expiry) = (BlockHeight::new(self.height + 1), BlockHeight::new(expiry));
        let record = MemberRecord { status: change.status, since, last_expiry };
        self.records.insert(StateKey::Member(change.address), StateRecord::Member(record));
        Ok(())
    }

    fn chain(&self) -> ChainId {
        self.genesis.chain_id()
    }
    pub(super) fn validators_digest(&self, effective: u64, validators: &[Validator]) -> [u8; 32] {
        let (chain, effective, validators) =
            (self.chain(), effective.to_le_bytes(), encode(&validators.to_vec()));
        let parts: &[&[u8]] = &[chain.as_bytes(), &self.validators_hash(), &effective, &validators];
        tagged(Tag::ValidatorsApproval, parts)
    }
    pub(super) fn member_digest(&self, expiry: u64, address: &Address, status: MemberStatus) -> [u8; 32] {
        let (chain, expiry, status) = (self.chain(), expiry.to_le_bytes(), encode(&status));
        let parts: &[&[u8]] =
            &[chain.as_bytes(), &self.validators_hash(), &expiry, address.as_bytes(), &status];
        tagged(Tag::MemberApproval, parts)
    }
    /// More than two thirds of the power signed, each once, in order, and every signature holds.
    fn approved(&self, digest: &[u8; 32], approvals: &[(u16, Signature)]) -> Verdict {
        if self.forgotten == Some("approvals") {
            return Ok(());
        }
        let mut last = None;
        let mut power = 0;
        for (position, _) in approvals {
            let validator = self.validators.get(usize::from(*position)).ok_or("approval.foreign")?;
            if last.is_some_and(|last| last >= *position) {
                return Err("approval.repeated");
            }
            last = Some(*position);
            power += validator.power;
        }
        let total: u64 = self.validators.iter().map(|validator| validator.power).sum();
        if power * 3 <= total * 2 {
            return Err("approval.too_few");
        }
        let holds = |(position, signature): &(u16, Signature)| {
            self.validators[usize::from(*position)].key.verify(digest, signature).is_ok()
        };
        if approvals.iter().all(holds) { Ok(()) } else { Err("approval.signature") }
    }
}

/// What part of the block it takes.
enum Room {
    Quota,
    Paid,
    Shared,
}

/// A stamp: the hash of what is sent and the nonce begins with enough zeros.
pub(super) fn is_paid(transaction: &Transaction, price: u64, bytes: u64) -> bool {
    let core = tagged(Tag::Postage, &[&encode(&Transaction { nonce: 0, ..transaction.clone() })]);
    stamp(&core, transaction.nonce) <= u64::MAX / (price * bytes.div_ceil(1024).max(1)).max(1)
}

/// The beginning of the hash that a nonce gives.
pub(super) fn stamp(core: &[u8; 32], nonce: u64) -> u64 {
    let hash = sha256(&[core, &[0; 24], &nonce.to_le_bytes()]);
    u64::from_be_bytes(hash[..8].try_into().unwrap())
}
