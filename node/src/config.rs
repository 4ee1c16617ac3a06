//! The node's settings: flag > environment > file > default.

use confique::Config;
use confique::env::parse::list_by_comma;

/// Settings of a node.
#[derive(Debug, Clone, Config)]
#[config(layer_attr(derive(Clone, Debug, serde::Serialize)))]
#[config(layer_attr(serde(deny_unknown_fields)))]
pub struct NodeSettings {
    /// The node's name in its peers' logs.
    #[config(env = "SEALPOST_NAME", default = "sealpost")]
    pub name: String,
    /// Where metrics and health listen; "off" for nowhere.
    #[config(env = "SEALPOST_METRICS", default = "127.0.0.1:17328")]
    pub metrics: String,
    /// Free space on the disk of the data, in MiB, below which the node calls itself not ready (`/readyz`).
    #[config(env = "SEALPOST_DISK_FLOOR_MIB", default = 512)]
    pub disk_floor_mib: u64,
    /// Whether the bodies of all messages are kept, even those beyond the network's retention, and the state after every
    /// block is.
    #[config(env = "SEALPOST_NODE_ARCHIVE", default = false)]
    pub archive: bool,
    /// What clients ask: wallets, explorers, programs.
    #[config(nested)]
    pub rpc: RpcSettings,
    /// The validators' mesh: used by nodes with a validator key only.
    #[config(nested)]
    pub consensus: ConsensusSettings,
    /// The network of all nodes.
    #[config(nested)]
    pub p2p: P2pSettings,
    /// Bounds of what waits for a block.
    #[config(nested)]
    pub mempool: MempoolSettings,
}

/// What clients ask: wallets, explorers, programs.
#[derive(Debug, Clone, Config)]
#[config(layer_attr(derive(Clone, Debug, serde::Serialize)))]
#[config(layer_attr(serde(deny_unknown_fields)))]
pub struct RpcSettings {
    /// Where the RPC listens. For the world there is to be a proxy before it, with TLS.
    #[config(env = "SEALPOST_RPC", default = "127.0.0.1:17325")]
    pub listen: String,
    /// Connections at once; an eighth of them is for programs on this machine alone.
    #[config(env = "SEALPOST_RPC_CONNECTIONS", default = 256)]
    pub connections: usize,
    /// Connections of one client (an address; an IPv6 /64) at once; those of programs on this machine and of
    /// trusted proxies are not counted.
    #[config(env = "SEALPOST_RPC_CONNECTIONS_PER_CLIENT", default = 32)]
    pub connections_per_client: usize,
    /// Calls per second of one client, five seconds' worth of them at once; 0 for no limit. A call that submits
    /// many transactions counts as many. Programs on this machine are not limited.
    #[config(env = "SEALPOST_RPC_RATE", default = 200)]
    pub rate: u32,
    /// Proxies, as addresses or networks such as 10.0.0.0/8, whose X-Forwarded-For says who the client is.
    #[config(env = "SEALPOST_RPC_TRUSTED_PROXIES", parse_env = list_by_comma, default = [])]
    pub trusted_proxies: Vec<String>,
    /// Names under which this node may be asked, such as node.example.org; its addresses and localhost need not
    /// be named. Under others it is not asked by whoever knows it, but by a page that deceives a browser.
    #[config(env = "SEALPOST_RPC_HOSTS", parse_env = list_by_comma, default = [])]
    pub hosts: Vec<String>,
    /// Origins of web pages that may ask this node, such as `https://ledger.example.org`.
    #[config(env = "SEALPOST_RPC_ORIGINS", parse_env = list_by_comma, default = [])]
    pub origins: Vec<String>,
}

/// The validators' mesh.
#[derive(Debug, Clone, Config)]
#[config(layer_attr(derive(Clone, Debug, serde::Serialize)))]
#[config(layer_attr(serde(deny_unknown_fields)))]
pub struct ConsensusSettings {
    /// Where the other validators reach this one, as a multiaddress.
    #[config(env = "SEALPOST_CONSENSUS", default = "/ip4/127.0.0.1/tcp/17326")]
    pub listen: String,
    /// Multiaddresses of the other validators. Nobody else is let in.
    #[config(env = "SEALPOST_CONSENSUS_PEERS", parse_env = list_by_comma, default = [])]
    pub peers: Vec<String>,
}

/// The network of all nodes.
#[derive(Debug, Clone, Config)]
#[config(layer_attr(derive(Clone, Debug, serde::Serialize)))]
#[config(layer_attr(serde(deny_unknown_fields)))]
pub struct P2pSettings {
    /// Where other nodes reach this one, as multiaddresses; ["off"] to talk to nobody, [] to call others
    /// without being called.
    #[config(env = "SEALPOST_P2P", parse_env = list_by_comma, default = ["/ip4/0.0.0.0/tcp/17327"])]
    pub listen: Vec<String>,
    /// Addresses by which others reach this node although it does not see them itself: behind a router with
    /// a forwarded port, or in a container.
    #[config(env = "SEALPOST_P2P_EXTERNAL", parse_env = list_by_comma, default = [])]
    pub external: Vec<String>,
    /// Multiaddresses of nodes to begin with.
    #[config(env = "SEALPOST_BOOTSTRAP", parse_env = list_by_comma, default = [])]
    pub bootstrap: Vec<String>,
    /// Whether QUIC addresses (/udp/PORT/quic-v1) are used besides TCP.
    #[config(env = "SEALPOST_P2P_QUIC", default = false)]
    pub quic: bool,
    /// Whether this node, behind a home router, asks others to relay to it, and to help through the router.
    #[config(env = "SEALPOST_P2P_NAT", default = false)]
    pub nat: bool,
    /// Whether this node relays to nodes behind home routers.
    #[config(env = "SEALPOST_P2P_RELAY", default = false)]
    pub relay: bool,
    /// Peers that this node looks for by itself.
    #[config(env = "SEALPOST_P2P_OUTGOING", default = 8)]
    pub outgoing: u32,
    /// Peers that may come by themselves.
    #[config(env = "SEALPOST_P2P_INCOMING", default = 64)]
    pub incoming: u32,
    /// Connections from one IP address (an IPv6 /64).
    #[config(env = "SEALPOST_P2P_PER_IP", default = 16)]
    pub per_ip: u32,
    /// Memory of the process, in MiB, beyond which no new connection is taken.
    #[config(env = "SEALPOST_P2P_MEMORY_MIB", default = 2048)]
    pub memory_mib: usize,
    /// Peer ids; if there are any, only these peers are talked to.
    #[config(env = "SEALPOST_P2P_ALLOW", parse_env = list_by_comma, default = [])]
    pub allow: Vec<String>,
    /// Peer ids that are never talked to.
    #[config(env = "SEALPOST_P2P_BLOCK", parse_env = list_by_comma, default = [])]
    pub block: Vec<String>,
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
