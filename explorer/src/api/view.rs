//! What the API's answers are made of. Every view is made from bytes that were verified, never from fields that the
//! node decoded, so that "proven" is true of each field. Hashes, ids and keys are lower-case hexadecimal text,
//! times RFC 3339 in UTC, sizes bytes.

use sealpost_ledger::address::AddressPrefix;
use sealpost_ledger::block::Header;
use sealpost_ledger::codec::encode;
use sealpost_ledger::genesis::Genesis;
use sealpost_ledger::message::{Message, Mode, SlotRecipient};
use sealpost_ledger::receipt::{Answer, Receipt};
use sealpost_ledger::transaction::{Payload, SignedTransaction};
use sealpost_ledger::validator::Validator;
use serde::Serialize;
use std::fmt::Display;
use utoipa::ToSchema;

use crate::page::Time;

/// A point in time as the API writes it.
pub(super) fn time(ms: u64) -> String {
    Time::new(ms).machine
}

pub(super) fn hex(bytes: &[u8]) -> String {
    const_hex::encode(bytes)
}

fn text(shown: impl Display) -> String {
    shown.to_string()
}

/// A validator and its power.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub(super) struct ValidatorView {
    /// Its name in the genesis, if it is there.
    pub(super) name: Option<String>,
    /// Its key.
    #[schema(pattern = "^[0-9a-f]{64}$")]
    pub(super) public_key: String,
    /// Its power.
    pub(super) power: u64,
}

impl ValidatorView {
    pub(super) fn new(validator: &Validator, genesis: &Genesis) -> Self {
        Self {
            name: genesis.validator_name(&validator.key).map(Into::into),
            public_key: text(validator.key),
            power: validator.power,
        }
    }
    pub(super) fn all(validators: &[Validator], genesis: &Genesis) -> Vec<Self> {
        validators.iter().map(|validator| Self::new(validator, genesis)).collect()
    }
}

/// What a block's hash covers.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[schema(title = "Header")]
pub(super) struct HeaderView {
    /// The block's hash.
    #[schema(pattern = "^[0-9a-f]{64}$")]
    hash: String,
    /// Place in the chain; the first block has height 1.
    height: u64,
    /// The proposer's clock. Only the order of blocks is proven.
    #[schema(format = DateTime)]
    time: String,
    /// The block before; of the genesis for block 1.
    #[schema(pattern = "^[0-9a-f]{64}$")]
    parent: String,
    /// Number of transactions.
    transaction_count: u32,
    /// RFC 6962 root over the transactions.
    #[schema(pattern = "^[0-9a-f]{64}$")]
    tx_root: String,
    /// RFC 6962 root over the hashes of all earlier blocks.
    #[schema(pattern = "^[0-9a-f]{64}$")]
    history_root: String,
    /// Root of the state after this block: keys, receipts, members.
    #[schema(pattern = "^[0-9a-f]{64}$")]
    state_root: String,
    /// The validators that decide this block.
    #[schema(pattern = "^[0-9a-f]{64}$")]
    validators_hash: String,
    /// The validators that decide the next one.
    #[schema(pattern = "^[0-9a-f]{64}$")]
    next_validators_hash: String,
    /// Postage price of its transactions, in expected hashes per KiB.
    postage_price: u64,
    /// Key of the validator that put it together.
    #[schema(pattern = "^[0-9a-f]{64}$")]
    proposer: String,
    /// Canonical bytes, in hexadecimal: what the hash is over.
    #[schema(pattern = "^[0-9a-f]*$")]
    canonical: String,
}

impl From<&Header> for HeaderView {
    fn from(header: &Header) -> Self {
        Self {
            hash: text(header.hash()),
            height: header.height.get(),
            time: time(header.time_ms),
            parent: text(header.parent),
            transaction_count: header.transaction_count,
            tx_root: text(header.tx_root),
            history_root: text(header.history_root),
            state_root: text(header.state_root),
            validators_hash: text(header.validators_hash),
            next_validators_hash: text(header.next_validators_hash),
            postage_price: header.postage_price,
            proposer: text(header.proposer),
            canonical: hex(&encode(header)),
        }
    }
}

/// Where a transaction stands.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[schema(title = "Place")]
pub(super) struct PlaceView {
    /// Height of its block.
    pub(super) height: u64,
    /// Position in the block, from 0.
    pub(super) index: u32,
    /// Hash of the block.
    #[schema(pattern = "^[0-9a-f]{64}$")]
    pub(super) block: String,
    /// The block's time, by its proposer's clock.
    #[schema(format = DateTime)]
    pub(super) time: String,
}

impl PlaceView {
    pub(super) fn new(header: &Header, index: u32) -> Self {
        Self { height: header.height.get(), index, block: text(header.hash()), time: time(header.time_ms) }
    }
}

/// A final transaction: signed by its sender, in a block that the validators made final.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[schema(title = "Transaction")]
pub(super) struct TransactionView {
    /// Its id: the hash of what its sender signed.
    #[schema(pattern = "^[0-9a-f]{64}$")]
    pub(super) id: String,
    /// Address of who signed; of a key made for this one message if the message is sealed.
    pub(super) sender: String,
    /// Where it stands.
    pub(super) place: PlaceView,
    /// This transaction's place in lists: a list with `after` set to it goes on behind it.
    pub(super) cursor: String,
    /// Last height whose block could contain it.
    expiry: u64,
    /// Bytes of header and signature, without a body.
    bytes: u64,
    /// What it does.
    pub(super) payload: PayloadView,
}

/// What a transaction does.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[schema(title = "Payload")]
#[serde(tag = "kind", rename_all = "snake_case")]
pub(super) enum PayloadView {
    /// Sends a message.
    Message(MessageView),
    /// Answers a message.
    Receipt(ReceiptView),
    /// Publishes encryption keys.
    KeyBundle {
        /// 1 for the first of an identity.
        sequence: u64,
        /// ECIES key, SEC1 compressed.
        #[schema(pattern = "^[0-9a-f]{66}$")]
        ecies: String,
        /// ML-KEM-768 key.
        #[schema(pattern = "^[0-9a-f]*$")]
        ml_kem: Option<String>,
        /// Last height at which senders should use it.
        valid_until: u64,
    },
    /// Withdraws encryption keys.
    Revoke {
        /// Which bundle of the sender.
        sequence: u64,
        /// From which height on.
        from: u64,
    },
    /// Says where notices of a class are received.
    Designate {
        /// The class.
        class: String,
        /// Address of who receives them.
        to: String,
    },
    /// Changes the validators.
    Validators {
        /// The new set, ordered by key.
        validators: Vec<ValidatorView>,
        /// The first height it decides.
        effective: u64,
        /// How many of the present validators approve it.
        approvals: usize,
    },
    /// Admits a member or ends a membership.
    Member {
        /// Whom.
        address: String,
        /// `admitted` or `ended`.
        status: String,
        /// How many of the present validators approve it.
        approvals: usize,
    },
}

/// What a message shows the ledger.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[schema(title = "Message")]
pub(super) struct MessageView {
    /// 1: ECIES on secp256k1; 2: ECIES and ML-KEM-768.
    suite: u8,
    /// Whether sender and recipients are hidden.
    sealed: bool,
    /// The slots, one per recipient.
    pub(super) slots: Vec<SlotView>,
    /// Commitment to the content key.
    #[schema(pattern = "^[0-9a-f]{64}$")]
    key_commit: String,
    /// Commitment to the plaintext.
    #[schema(pattern = "^[0-9a-f]{64}$")]
    content_commit: String,
    /// Hash of the encrypted body.
    #[schema(pattern = "^[0-9a-f]{64}$")]
    body_hash: String,
    /// Length of the encrypted body.
    pub(super) body_bytes: u32,
}

impl MessageView {
    pub(super) fn new(message: &Message, prefix: &AddressPrefix) -> Self {
        Self {
            suite: message.suite.number(),
            sealed: message.mode == Mode::Sealed,
            slots: message.slots.iter().map(|slot| SlotView::new(&slot.recipient, prefix)).collect(),
            key_commit: text(message.key_commit),
            content_commit: text(message.content_commit),
            body_hash: text(message.body_hash),
            body_bytes: message.body_length,
        }
    }
}

/// A recipient's slot.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[schema(title = "Slot")]
pub(super) struct SlotView {
    /// The recipient's address; null if it is hidden.
    pub(super) recipient: Option<String>,
    /// Which of the recipient's key bundles was used.
    pub(super) bundle: Option<u64>,
}

impl SlotView {
    pub(super) fn new(recipient: &SlotRecipient, prefix: &AddressPrefix) -> Self {
        match recipient {
            SlotRecipient::Named { address, bundle } => {
                Self { recipient: Some(address.to_text(prefix)), bundle: Some(*bundle) }
            }
            SlotRecipient::Hidden { .. } => Self { recipient: None, bundle: None },
        }
    }
}

/// What a receipt says.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[schema(title = "Receipt")]
pub(super) struct ReceiptView {
    /// The message answered.
    #[schema(pattern = "^[0-9a-f]{64}$")]
    pub(super) message: String,
    /// Which of its slots, from 0.
    pub(super) slot: u16,
    /// The answer.
    pub(super) answer: AnswerView,
    /// Why it was refused.
    pub(super) reason: Option<String>,
}

impl From<&Receipt> for ReceiptView {
    fn from(receipt: &Receipt) -> Self {
        let (answer, reason) = AnswerView::of(&receipt.answer);
        Self { message: text(receipt.message), slot: receipt.slot, answer, reason }
    }
}

/// What a recipient answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
#[schema(title = "Answer")]
#[serde(rename_all = "snake_case")]
pub(super) enum AnswerView {
    /// The recipient's key signed after the slot was decrypted. It does not show that a person read it.
    Opened,
    /// The recipient's key signed a refusal.
    Refused,
}

impl AnswerView {
    pub(super) fn of(answer: &Answer) -> (Self, Option<String>) {
        match answer {
            Answer::Opened { .. } => (AnswerView::Opened, None),
            Answer::Refused { reason } => (AnswerView::Refused, Some(text(reason))),
        }
    }
    pub(super) const fn name(self) -> &'static str {
        match self {
            AnswerView::Opened => "opened",
            AnswerView::Refused => "refused",
        }
    }
}

impl TransactionView {
    /// A transaction at its proven place.
    pub(super) fn new(
        transaction: &SignedTransaction,
        header: &Header,
        index: u32,
        genesis: &Genesis,
    ) -> Self {
        let content = transaction.transaction();
        Self {
            id: text(transaction.id()),
            sender: transaction.sender().to_text(genesis.prefix()),
            place: PlaceView::new(header, index),
            cursor: format!("{}-{index}", header.height),
            expiry: content.expiry.get(),
            bytes: transaction.as_bytes().len() as u64,
            payload: PayloadView::new(&content.payload, genesis),
        }
    }
}

impl PayloadView {
    fn new(payload: &Payload, genesis: &Genesis) -> Self {
        let prefix = genesis.prefix();
        match payload {
            Payload::Message(message) => PayloadView::Message(MessageView::new(message, prefix)),
            Payload::Receipt(receipt) => PayloadView::Receipt(receipt.into()),
            Payload::KeyBundle(bundle) => PayloadView::KeyBundle {
                sequence: bundle.sequence,
                ecies: hex(&bundle.ecies),
                ml_kem: bundle.ml_kem.as_deref().map(hex),
                valid_until: bundle.valid_until.get(),
            },
            Payload::Revoke(revoke) => {
                PayloadView::Revoke { sequence: revoke.sequence, from: revoke.from.get() }
            }
            Payload::Designate(designate) => {
                PayloadView::Designate { class: designate.class.clone(), to: designate.to.to_text(prefix) }
            }
            Payload::Validators(change) => PayloadView::Validators {
                validators: ValidatorView::all(&change.validators, genesis),
                effective: change.effective.get(),
                approvals: change.approvals.len(),
            },
            Payload::Member(change) => PayloadView::Member {
                address: change.address.to_text(prefix),
                status: change.status.name().into(),
                approvals: change.approvals.len(),
            },
        }
    }
    /// Its name, as in `kind`.
    pub(super) const fn kind(&self) -> &'static str {
        match self {
            PayloadView::Message(_) => "message",
            PayloadView::Receipt(_) => "receipt",
            PayloadView::KeyBundle { .. } => "key_bundle",
            PayloadView::Revoke { .. } => "revoke",
            PayloadView::Designate { .. } => "designate",
            PayloadView::Validators { .. } => "validators",
            PayloadView::Member { .. } => "member",
        }
    }
}
