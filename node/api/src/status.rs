//! The node about itself.

use sealpost_ledger::hash::{BlockHash, ChainId};
use sealpost_ledger::height::BlockHeight;
use serde::{Deserialize, Serialize};

/// How the node is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NodeStatus {
    /// The network, for machines.
    pub chain: ChainId,
    /// The network, for people.
    pub chain_name: String,
    /// Height of the last final block; 0 before the first.
    pub height: BlockHeight,
    /// Its hash.
    pub block: BlockHash,
    /// Its time, milliseconds since 1970 UTC.
    pub block_time_ms: u64,
    /// Whether the node is behind others and catching up, or does not know yet.
    pub syncing: bool,
    /// The highest block that others claim to have.
    pub target: BlockHeight,
    /// Connected peers.
    pub peers: u32,
    /// Whether the node decides blocks with other validators now.
    pub validator: bool,
    /// Number of validators.
    pub validators: u32,
    /// Transactions waiting.
    pub mempool_transactions: u64,
    /// Their bytes.
    pub mempool_bytes: u64,
    /// Postage price of the next block, in expected hashes per KiB.
    pub postage_price: u64,
    /// Bytes of headers, certificates and transactions on disk.
    pub headers_bytes: u64,
    /// Bytes of bodies on disk.
    pub bodies_bytes: u64,
    /// Seconds since the node was started.
    pub uptime_seconds: u64,
    /// The node's version.
    pub version: String,
}

/// A peer of the node.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PeerView {
    /// Its network identity.
    pub peer: String,
    /// Where it is, as a multiaddress.
    pub address: String,
    /// Whether it came by itself.
    pub incoming: bool,
    /// What program it says it is.
    pub agent: Option<String>,
    /// The last final block it told of.
    pub height: Option<BlockHeight>,
    /// Its standing: 0 without faults, banned at 100.
    pub faults: u32,
    /// Seconds since it connected.
    pub seconds: u64,
}

/// What the node is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NodeVersion {
    /// Version of the program.
    pub version: String,
    /// Version of formats and methods.
    pub protocol: u32,
}

/// What sending costs now.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PostageQuote {
    /// Size asked for: header, signature and body, in bytes.
    pub bytes: u64,
    /// Price of the next block, in expected hashes per KiB.
    pub price: u64,
    /// Expected hashes for that size.
    pub work: u64,
    /// The highest price the block after the next can have: work for it to be safe.
    pub price_after: u64,
    /// Height the price is for.
    pub height: BlockHeight,
}
