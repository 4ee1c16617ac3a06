//! Proofs as the RPC tells them. Paths are RFC 6962's, from the leaf upwards.

use crate::{Hex, SealedHeader};
use sealpost_ledger::height::BlockHeight;
use serde::{Deserialize, Serialize};

/// Shows that a transaction stands in a block.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct InclusionProof {
    /// The block.
    pub at: SealedHeader,
    /// Position in it.
    pub index: u32,
    /// Size of the tree under `tx_root`.
    pub tree_size: u32,
    /// The path.
    pub path: Vec<Hex>,
}

/// Shows that a slot had no answer after a block.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AbsenceProof {
    /// The block whose state root the proof leads to.
    pub at: SealedHeader,
    /// Canonical bytes of the state proof.
    pub proof: Hex,
}

/// Shows that an earlier block is under a later block's `history_root`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HistoryProof {
    /// The earlier block.
    pub block: SealedHeader,
    /// The later block.
    pub head: SealedHeader,
    /// The path of leaf `block.height - 1` in the tree of `head.height - 1` leaves.
    pub path: Vec<Hex>,
}

/// Shows that the history under one block begins with the history under an earlier one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ConsistencyProof {
    /// The earlier block's height.
    pub from: BlockHeight,
    /// The later block's height.
    pub to: BlockHeight,
    /// The proof between `from - 1` and `to - 1` leaves.
    pub path: Vec<Hex>,
}
