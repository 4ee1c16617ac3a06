//! Equivocations as the RPC tells them.

use crate::Hex;
use sealpost_ledger::hash::BlockHash;
use sealpost_ledger::height::BlockHeight;
use sealpost_ledger::signature::PublicKey;
use serde::{Deserialize, Serialize};

/// A page of the equivocations that a node has recorded, the oldest first.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EquivocationPage {
    /// The entries.
    pub entries: Vec<EquivocationView>,
    /// Number to ask for what follows. Given even when nothing follows yet.
    pub next: Option<u64>,
    /// Whether there is more beyond `next` now.
    pub more: bool,
}

/// Two conflicting statements of one validator.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EquivocationView {
    /// Its number on this node, from 1.
    pub number: u64,
    /// Canonical bytes, both signatures among them.
    pub equivocation: Hex,
    /// Who signed both.
    pub validator: PublicKey,
    /// Its name in the genesis, if it is there.
    pub name: Option<String>,
    /// The height decided about.
    pub height: BlockHeight,
    /// The round, from 0.
    pub round: u32,
    /// `proposal`, `prevote` or `precommit`.
    pub kind: String,
    /// One block signed for; nothing for a vote for nothing.
    pub first: Option<BlockHash>,
    /// The other one.
    pub second: Option<BlockHash>,
}
