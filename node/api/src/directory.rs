//! The key directory as the RPC tells it.

use crate::{Hex, SealedHeader};
use sealpost_ledger::hash::TransactionId;
use sealpost_ledger::height::BlockHeight;
use serde::{Deserialize, Serialize};

/// The newest key bundle of an identity at a height, or the proof that there is none.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BundleAnswer {
    /// Block whose state root the proof leads to.
    pub at: SealedHeader,
    /// Canonical bytes of the record; nothing if the identity has published none.
    pub record: Option<Hex>,
    /// Canonical bytes of the state proof: of presence, or of absence.
    pub proof: Hex,
    /// The record, decoded.
    pub view: Option<BundleView>,
}

/// The key bundles of an identity.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BundleHistory {
    /// The newest first.
    pub bundles: Vec<BundleView>,
    /// Sequence number to ask for next; nothing on the last page.
    pub next: Option<u64>,
}

/// Where an identity receives notices of a class at a height, or the proof that it never said so.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DesignationAnswer {
    /// Block whose state root the proof leads to.
    pub at: SealedHeader,
    /// Canonical bytes of the record; nothing if there is none.
    pub record: Option<Hex>,
    /// Canonical bytes of the state proof: of presence, or of absence.
    pub proof: Hex,
    /// The record, decoded.
    pub view: Option<DesignationView>,
}

/// A designation's fields.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DesignationView {
    /// Address at which the notices are received; the identity's own, if it withdrew a redirection.
    pub to: String,
    /// The transaction that says so.
    pub transaction: TransactionId,
    /// The height of its block.
    pub height: BlockHeight,
}

/// What the ledger holds about a member at a height, or the proof that it holds nothing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MemberAnswer {
    /// Block whose state root the proof leads to.
    pub at: SealedHeader,
    /// Canonical bytes of the record; nothing if the identity never was a member.
    pub record: Option<Hex>,
    /// Canonical bytes of the state proof: of presence, or of absence.
    pub proof: Hex,
    /// The record, decoded.
    pub view: Option<MemberView>,
}

/// A member's fields.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MemberView {
    /// `admitted` or `ended`.
    pub status: String,
    /// The height of the block that made it so; 0 for the members of the genesis.
    pub since: BlockHeight,
    /// The next change must be in a transaction that expires later than this.
    pub last_expiry: BlockHeight,
}

/// A key bundle's fields.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BundleView {
    /// 1 for the first of an identity.
    pub sequence: u64,
    /// ECIES key, SEC1 compressed.
    pub ecies: Hex,
    /// ML-KEM-768 key.
    pub ml_kem: Option<Hex>,
    /// Last height at which senders should use it.
    pub valid_until: BlockHeight,
    /// The transaction that published it; nothing while that is not final.
    pub transaction: Option<TransactionId>,
    /// The height of its block.
    pub height: Option<BlockHeight>,
    /// From which height on it is withdrawn.
    pub revoked_from: Option<BlockHeight>,
}
