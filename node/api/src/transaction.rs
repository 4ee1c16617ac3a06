//! Transactions as the RPC tells them.

use crate::{ApiError, BundleView, Hex, NamedValidator};
use sealpost_ledger::hash::{BlockHash, BodyHash, ContentCommit, KeyCommit, TransactionId};
use sealpost_ledger::height::BlockHeight;
use sealpost_ledger::message::Body;
use sealpost_ledger::transaction::SignedTransaction;
use serde::{Deserialize, Serialize};

/// How long a submission is waited for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum WaitFor {
    /// Until it is verified and in the node's mempool.
    #[default]
    Accepted,
    /// Until it is in a final block on this node's disk.
    Final,
}

/// The answer to a submission.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Submitted {
    /// The transaction.
    pub id: TransactionId,
    /// How far it has come.
    #[serde(flatten)]
    pub status: TransactionStatus,
}

/// A transaction to be submitted together with others.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NewTransaction {
    /// Canonical bytes: header and signature.
    pub transaction: Hex,
    /// The encrypted body, if it is a message.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub body: Option<Hex>,
}

impl NewTransaction {
    /// A transaction, with its body if it is a message.
    pub fn new(transaction: &SignedTransaction, body: Option<&Body>) -> Self {
        let body = body.map(|body| Hex(body.as_bytes().to_vec()));
        Self { transaction: Hex(transaction.to_bytes()), body }
    }
}

/// What became of one of many transactions.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum SubmissionAnswer {
    /// It was taken in.
    Taken(Submitted),
    /// It was not, and the others have nothing to do with it.
    Refused {
        /// Why.
        error: ApiError,
    },
}

/// How far a transaction has come.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "status", rename_all = "snake_case")]
pub enum TransactionStatus {
    /// This node has not heard of it.
    Unknown,
    /// Verified, and waiting in the node's mempool.
    Accepted,
    /// In a final block, on disk.
    Final(Place),
}

/// Where a final transaction stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Place {
    /// Height of its block.
    pub height: BlockHeight,
    /// Position in the block.
    pub index: u32,
    /// Hash of the block.
    pub block: BlockHash,
    /// The block's time, milliseconds since 1970 UTC by its proposer's clock.
    pub time_ms: u64,
    /// When this node first saw the transaction, milliseconds since 1970 UTC; an observation of this node
    /// alone since it was started.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub first_seen_ms: Option<u64>,
}

/// A final transaction, with its place and its inclusion path.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FinalTransaction {
    /// Canonical bytes: header and signature, no body.
    pub transaction: Hex,
    /// Where it stands.
    pub place: Place,
    /// RFC 6962 inclusion path under the block's `tx_root`, from the leaf upwards.
    pub path: Vec<Hex>,
    /// Size of that tree.
    pub tree_size: u32,
    /// The transaction, decoded.
    pub view: TransactionView,
}

/// A transaction's fields.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TransactionView {
    /// Its id.
    pub id: TransactionId,
    /// Address of who signed.
    pub sender: String,
    /// Last height whose block could contain it.
    pub expiry: BlockHeight,
    /// Postage nonce.
    pub nonce: u64,
    /// Bytes without the body.
    pub bytes: u64,
    /// What it does.
    pub payload: PayloadView,
}

/// What a transaction does.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum PayloadView {
    /// Sends a message.
    Message(MessageView),
    /// Answers a message.
    Receipt(ReceiptView),
    /// Publishes encryption keys.
    KeyBundle(BundleView),
    /// Withdraws encryption keys.
    Revoke {
        /// Which bundle of the sender.
        sequence: u64,
        /// From which height on.
        from: BlockHeight,
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
        validators: Vec<NamedValidator>,
        /// The first height it decides.
        effective: BlockHeight,
        /// How many of the present validators approve it.
        approvals: u32,
    },
    /// Admits a member or ends a membership.
    Member {
        /// Whom.
        address: String,
        /// `admitted` or `ended`.
        status: String,
        /// How many of the present validators approve it.
        approvals: u32,
    },
}

/// A message's header.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MessageView {
    /// 1: ECIES; 2: ECIES and ML-KEM-768.
    pub suite: u8,
    /// Whether sender and recipients are hidden.
    pub sealed: bool,
    /// The recipients, in the order of their slots.
    pub slots: Vec<SlotView>,
    /// Commitment to the content key.
    pub key_commit: KeyCommit,
    /// Commitment to the plaintext.
    pub content_commit: ContentCommit,
    /// Hash of the encrypted body.
    pub body_hash: BodyHash,
    /// Length of the encrypted body in bytes.
    pub body_length: u32,
    /// Whether this node still has the body.
    pub body_kept: bool,
}

/// A recipient's slot.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SlotView {
    /// The recipient's address; nothing if it is hidden.
    pub recipient: Option<String>,
    /// Which of the recipient's key bundles was used.
    pub bundle: Option<u64>,
    /// The answer, if one is final.
    pub receipt: Option<ReceiptView>,
}

/// A receipt.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReceiptView {
    /// The receipt's own transaction.
    pub id: TransactionId,
    /// The message answered.
    pub message: TransactionId,
    /// Which of its slots.
    pub slot: u16,
    /// `opened` or `refused`.
    pub answer: String,
    /// Why it was refused.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// Where the receipt stands, if it is final.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub place: Option<Place>,
}
