//! The node's settings: flag > environment > file > default.

use confique::Config;

/// Settings of a node.
#[derive(Debug, Clone, Config)]
#[config(layer_attr(derive(Clone, Debug, serde::Serialize)))]
#[config(layer_attr(serde(deny_unknown_fields)))]
pub struct NodeSettings {
    /// The node's name in its peers' logs.
    #[config(env = "SEALPOST_NAME", default = "sealpost")]
    pub name: String,
    /// Where the RPC listens. Others than this machine reach it only through a proxy of yours.
    #[config(env = "SEALPOST_RPC", default = "127.0.0.1:17325")]
    pub rpc: String,
    /// Where metrics and health listen; "off" for nowhere.
    #[config(env = "SEALPOST_METRICS", default = "127.0.0.1:17328")]
    pub metrics: String,
    /// Where other validators reach this node, as a multiaddress.
    #[config(env = "SEALPOST_CONSENSUS", default = "/ip4/127.0.0.1/tcp/17326")]
    pub consensus: String,
    /// Multiaddresses of the other validators.
    #[config(default = [])]
    pub peers: Vec<String>,
    /// Keeps the bodies of all messages, also those older than the network's retention.
    #[config(env = "SEALPOST_ARCHIVE", default = false)]
    pub archive: bool,
    /// Bounds of what waits for a block.
    #[config(nested)]
    pub mempool: MempoolSettings,
}

/// Bounds of what waits for a block.
#[derive(Debug, Clone, Config)]
#[config(layer_attr(derive(Clone, Debug, serde::Serialize)))]
#[config(layer_attr(serde(deny_unknown_fields)))]
pub struct MempoolSettings {
    /// Bytes of all waiting transactions and bodies together.
    #[config(env = "SEALPOST_MEMPOOL_BYTES", default = 67_108_864)]
    pub bytes: usize,
    /// Waiting transactions.
    #[config(env = "SEALPOST_MEMPOOL_COUNT", default = 50_000)]
    pub count: usize,
    /// Waiting transactions of one sender.
    #[config(env = "SEALPOST_MEMPOOL_PER_SENDER", default = 1_000)]
    pub per_sender: usize,
    /// Blocks that a transaction may wait.
    #[config(env = "SEALPOST_MEMPOOL_MAX_AGE", default = 1_000)]
    pub max_age: u64,
}
