//! Execution: one transaction after another against the state, as a pure function. Says which state
//! entries a block writes, and why a transaction can't stand in it.

mod approved;
pub use approved::schedule;

use crate::address::Address;
use crate::chain::Tip;
use crate::hash::TransactionId;
use crate::height::BlockHeight;
use crate::key_bundle::KeyBundle;
use crate::message::SlotRecipient;
use crate::postage::{Price, next_price, work};
use crate::receipt::{Answer, Receipt, receipt_commit};
use crate::state::{
    AnswerKind, BundleRecord, DesignationRecord, LedgerView, ReceiptRecord, StateKey, StateRecord, ViewError,
};
use crate::transaction::{Payload, VerifiedTransaction};
use crate::validator::{QuorumError, ScheduledValidators, ValidatorSetError};
use std::collections::{BTreeMap, HashMap, HashSet};
use thiserror::Error;

/// Why a verified transaction can't stand in the next block: the sender's fault, or bad timing.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[allow(missing_docs)]
pub enum Refusal {
    #[error("expiry: height {expiry} is past, the next block is {next}; sign it again with a later expiry")]
    Expired { expiry: BlockHeight, next: BlockHeight },
    #[error(
        "expiry: height {expiry} lies more than {window} blocks ahead of {next} (genesis: limits.expiry_window)"
    )]
    ExpiryTooFar { expiry: BlockHeight, next: BlockHeight, window: u64 },
    #[error("transaction {id} is already on the ledger")]
    Repeated { id: TransactionId },
    #[error("postage: its work is below the {work} expected hashes that {bytes} bytes cost at price {price}")]
    Postage { work: u64, bytes: usize, price: u64 },
    #[error("the block is full: {bytes} bytes more would exceed {limit} (genesis: limits.block_bytes)")]
    BlockFull { bytes: usize, limit: u32 },
    #[error("the part of the block for senders who are not members is full ({limit} bytes)")]
    StrangersFull { limit: u64 },
    #[error("transaction: {bytes} bytes can never fit a block for this sender ({limit} bytes)")]
    NeverFits { bytes: usize, limit: u64 },
    #[error("receipt: message {message} is not final on this ledger")]
    UnknownMessage { message: TransactionId },
    #[error("receipt: message {message} has no slot {slot}")]
    UnknownSlot { message: TransactionId, slot: u16 },
    #[error("receipt: slot {slot} of a sealed message is answered inside a sealed reply, not on the ledger")]
    SealedSlot { slot: u16 },
    #[error("receipt: the signer is not the recipient of slot {slot}")]
    NotRecipient { slot: u16 },
    #[error("receipt: the secret does not match the commitment of slot {slot}")]
    WrongSecret { slot: u16 },
    #[error("receipt: slot {slot} of message {message} is already answered")]
    AlreadyAnswered { message: TransactionId, slot: u16 },
    #[error("key bundle: sequence {found}, the next one of this identity is {expected}")]
    Sequence { found: u64, expected: u64 },
    #[error("key bundle: valid until height {valid_until}, which is past; the next block is {next}")]
    BundleExpired { valid_until: BlockHeight, next: BlockHeight },
    #[error("key bundle: no bundle {sequence} of this identity is on the ledger")]
    UnknownBundle { sequence: u64 },
    #[error("key bundle: bundle {sequence} is withdrawn from height {from} on already")]
    AlreadyRevoked { sequence: u64, from: BlockHeight },
    #[error("key bundle: withdrawn from height {from} on; it must be later than the next block, {next}")]
    RevokedInThePast { from: BlockHeight, next: BlockHeight },
    #[error(
        "validators: the change takes effect at height {effective}; on top of block {next} it must be later, \
         and by no more than {window} blocks (genesis: limits.expiry_window)"
    )]
    Effective { effective: BlockHeight, next: BlockHeight, window: u64 },
    #[error("validators: another change is scheduled for height {effective}; wait until it is in effect")]
    ChangePending { effective: BlockHeight },
    #[error("validators: this is the present set")]
    SameValidators,
    #[error(transparent)]
    NoSet(#[from] ValidatorSetError),
    #[error("member: its status is {status} already")]
    SameStatus { status: &'static str },
    #[error(
        "member: the last change expired at height {last}, this one at {expiry} and must do so later; \
         approve it again with a later expiry"
    )]
    Superseded { expiry: BlockHeight, last: BlockHeight },
    #[error("approvals: {0}")]
    Approvals(#[from] QuorumError),
}

impl Refusal {
    /// The stable code of the refusal, the same in RPC, REST and commands.
    pub const fn code(&self) -> &'static str {
        match self {
            Refusal::Expired { .. } => "tx.expired",
            Refusal::ExpiryTooFar { .. } => "tx.expiry_too_far",
            Refusal::Repeated { .. } => "tx.repeated",
            Refusal::Postage { .. } => "tx.postage_too_low",
            Refusal::BlockFull { .. } | Refusal::StrangersFull { .. } => "tx.block_full",
            Refusal::NeverFits { .. } => "tx.too_long",
            Refusal::UnknownMessage { .. } => "receipt.unknown_message",
            Refusal::UnknownSlot { .. } => "receipt.unknown_slot",
            Refusal::SealedSlot { .. } => "receipt.sealed_slot",
            Refusal::NotRecipient { .. } => "receipt.not_recipient",
            Refusal::WrongSecret { .. } => "receipt.wrong_secret",
            Refusal::AlreadyAnswered { .. } => "receipt.already_answered",
            Refusal::Sequence { .. } => "bundle.sequence",
            Refusal::BundleExpired { .. } => "bundle.expired",
            Refusal::UnknownBundle { .. } => "bundle.unknown",
            Refusal::AlreadyRevoked { .. } => "bundle.already_revoked",
            Refusal::RevokedInThePast { .. } => "bundle.revoked_in_the_past",
            Refusal::Effective { .. } => "validator.effective",
            Refusal::ChangePending { .. } => "validator.change_pending",
            Refusal::SameValidators => "validator.unchanged",
            Refusal::NoSet(_) => "validator.no_set",
            Refusal::SameStatus { .. } => "member.unchanged",
            Refusal::Superseded { .. } => "member.superseded",
            Refusal::Approvals(QuorumError::Foreign { .. }) => "approval.foreign",
            Refusal::Approvals(QuorumError::Repeated { .. }) => "approval.repeated",
            Refusal::Approvals(QuorumError::TooFew { .. }) => "approval.too_few",
            Refusal::Approvals(QuorumError::Signature { .. }) => "approval.signature",
        }
    }
}

/// Why a transaction was not added: refused by the rules, or our storage failed.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum Rejection {
    /// By the rules.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// Our fault.
    #[error(transparent)]
    View(#[from] ViewError),
}

/// A block in the making.
pub(crate) struct Execution<'a, V> {
    tip: &'a Tip,
    view: &'a V,
    changes: BTreeMap<StateKey, StateRecord>,
    ids: HashSet<TransactionId>,
    used: u64,
    strangers: u64,
    quotas: HashMap<Address, u64>,
    scheduled: Option<ScheduledValidators>,
}

/// What a block's transactions come to.
pub(crate) struct Executed {
    /// State entries written.
    pub(crate) changes: BTreeMap<StateKey, StateRecord>,
    /// The price that the bytes used make for the next block.
    pub(crate) next_price: Price,
    /// The set that does not decide this block, but a later one.
    pub(crate) scheduled: Option<ScheduledValidators>,
}

impl<'a, V: LedgerView> Execution<'a, V> {
    pub(crate) fn new(tip: &'a Tip, view: &'a V) -> Self {
        let (changes, ids, quotas) = Default::default();
        let scheduled = tip.scheduled().cloned();
        Self { tip, view, changes, ids, used: 0, strangers: 0, quotas, scheduled }
    }

    /// What the transactions so far come to.
    pub(crate) fn finish(self) -> Executed {
        let genesis = self.tip.genesis_file();
        let (block_bytes, floor) = (u64::from(genesis.limits().block_bytes), genesis.postage().floor);
        let price = self.tip.price();
        // What members send within their quotas costs them nothing, so it must not make the others' price: it only
        // leaves them less room.
        let free = self.quotas.values().fold(0_u64, |sum, bytes| sum.saturating_add(*bytes));
        let (paid, room) = (self.used.saturating_sub(free), block_bytes.saturating_sub(free));
        let whole = next_price(price, paid, room, floor);
        // Those who are not members share a part of the block. If that part alone were not looked at, a flood that
        // fills a small part could never raise the price.
        let shared = next_price(price, self.strangers, genesis.strangers_bytes(), floor);
        Executed { changes: self.changes, next_price: whole.max(shared), scheduled: self.scheduled }
    }

    /// Adds a transaction, or leaves everything as it was.
    pub(crate) fn add(&mut self, transaction: &VerifiedTransaction) -> Result<(), Rejection> {
        self.check_expiry(transaction)?;
        let id = transaction.id();
        if self.ids.contains(&id) || self.view.is_final(&id)? {
            return Err(Refusal::Repeated { id }.into());
        }
        let room = self.find_room(transaction)?;
        let sender = transaction.signed().sender();
        let next = self.tip.next_height();
        match transaction.signed().payload() {
            Payload::Message(_) => {}
            Payload::Receipt(receipt) => {
                let record = self.check_receipt(receipt, &sender, id, next)?;
                let key = StateKey::Receipt(receipt.message, receipt.slot);
                self.changes.insert(key, StateRecord::Receipt(record));
            }
            Payload::KeyBundle(bundle) => {
                self.check_bundle(bundle, &sender, next)?;
                let record = StateRecord::Bundle(BundleRecord {
                    bundle: bundle.clone(),
                    transaction: id,
                    height: next,
                    revoked_from: None,
                });
                self.changes.insert(StateKey::Bundle(sender, bundle.sequence), record.clone());
                self.changes.insert(StateKey::Directory(sender), record);
            }
            Payload::Revoke(revoke) => self.revoke(revoke, sender, next)?,
            Payload::Designate(designate) => {
                let record = DesignationRecord { to: designate.to, transaction: id, height: next };
                let key = StateKey::Designation(sender, designate.class.clone());
                self.changes.insert(key, StateRecord::Designation(record));
            }
            Payload::Validators(change) => self.change_validators(change, id, next)?,
            Payload::Member(change) => {
                self.change_member(change, transaction.signed().transaction().expiry, next)?;
            }
        }
        self.ids.insert(id);
        self.take_room(room, sender, transaction.bytes() as u64);
        Ok(())
    }

    fn check_expiry(&self, transaction: &VerifiedTransaction) -> Result<(), Refusal> {
        let (expiry, next) = (transaction.signed().transaction().expiry, self.tip.next_height());
        let window = self.tip.genesis_file().limits().expiry_window;
        if expiry < next {
            return Err(Refusal::Expired { expiry, next });
        }
        if expiry.blocks_since(next) > window {
            return Err(Refusal::ExpiryTooFar { expiry, next, window });
        }
        Ok(())
    }

    /// A member sends within a quota for nothing; all others pay, and share a part of the block.
    fn find_room(&self, transaction: &VerifiedTransaction) -> Result<Room, Rejection> {
        let genesis = self.tip.genesis_file();
        let (limit, rules) = (genesis.limits().block_bytes, genesis.postage());
        let bytes = transaction.bytes();
        let strangers_limit = self.tip.genesis_file().strangers_bytes();
        let sender = transaction.signed().sender();
        let member = self.member(&sender)?.is_some_and(|record| record.is_member());
        let largest = if member { u64::from(limit) } else { strangers_limit };
        if bytes as u64 > largest {
            return Err(Refusal::NeverFits { bytes, limit: largest }.into());
        }
        if self.used.saturating_add(bytes as u64) > u64::from(limit) {
            return Err(Refusal::BlockFull { bytes, limit }.into());
        }
        let quota_used = self.quotas.get(&sender).copied().unwrap_or(0);
        if member && quota_used.saturating_add(bytes as u64) <= u64::from(rules.member_quota_bytes) {
            return Ok(Room::Quota);
        }
        let price = self.tip.price();
        if !transaction.is_paid(price) {
            let work = work(price, bytes);
            return Err(Refusal::Postage { work, bytes, price }.into());
        }
        if member {
            return Ok(Room::Paid);
        }
        if self.strangers.saturating_add(bytes as u64) > strangers_limit {
            return Err(Refusal::StrangersFull { limit: strangers_limit }.into());
        }
        Ok(Room::Strangers)
    }

    fn take_room(&mut self, room: Room, sender: Address, bytes: u64) {
        self.used = self.used.saturating_add(bytes);
        match room {
            Room::Quota => {
                let used = self.quotas.entry(sender).or_default();
                *used = used.saturating_add(bytes);
            }
            Room::Paid => {}
            Room::Strangers => self.strangers = self.strangers.saturating_add(bytes),
        }
    }

    fn check_receipt(
        &self,
        receipt: &Receipt,
        signer: &Address,
        id: TransactionId,
        height: BlockHeight,
    ) -> Result<ReceiptRecord, Rejection> {
        let Receipt { message, slot, answer } = *receipt;
        let found = self.view.message(&message)?.ok_or(Refusal::UnknownMessage { message })?;
        let target = found.slot(slot).ok_or(Refusal::UnknownSlot { message, slot })?;
        match target.recipient {
            SlotRecipient::Hidden { .. } => return Err(Refusal::SealedSlot { slot }.into()),
            SlotRecipient::Named { address, .. } if address != *signer => {
                return Err(Refusal::NotRecipient { slot }.into());
            }
            SlotRecipient::Named { .. } => {}
        }
        let answer = match answer {
            Answer::Opened { secret } if receipt_commit(&secret) != target.receipt_commit => {
                return Err(Refusal::WrongSecret { slot }.into());
            }
            Answer::Opened { .. } => AnswerKind::Opened,
            Answer::Refused { .. } => AnswerKind::Refused,
        };
        if self.record(&StateKey::Receipt(message, slot))?.is_some() {
            return Err(Refusal::AlreadyAnswered { message, slot }.into());
        }
        Ok(ReceiptRecord { receipt: id, answer, height })
    }

    fn check_bundle(&self, bundle: &KeyBundle, owner: &Address, next: BlockHeight) -> Result<(), Rejection> {
        let newest = match self.record(&StateKey::Directory(*owner))? {
            Some(StateRecord::Bundle(record)) => record.bundle.sequence,
            _ => 0,
        };
        let expected = newest.saturating_add(1);
        if bundle.sequence != expected {
            return Err(Refusal::Sequence { found: bundle.sequence, expected }.into());
        }
        if bundle.valid_until < next {
            return Err(Refusal::BundleExpired { valid_until: bundle.valid_until, next }.into());
        }
        Ok(())
    }

    /// An entry as this block has left it so far.
    fn record(&self, key: &StateKey) -> Result<Option<StateRecord>, ViewError> {
        match self.changes.get(key) {
            Some(record) => Ok(Some(record.clone())),
            None => self.view.record(key),
        }
    }
}

/// What a transaction's bytes are counted against.
#[derive(Clone, Copy)]
enum Room {
    /// A member's free quota.
    Quota,
    /// A member who pays.
    Paid,
    /// The part all others share.
    Strangers,
}

#[cfg(test)]
mod approval_tests;
#[cfg(test)]
mod tests;
