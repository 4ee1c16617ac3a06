//! Gossip: our own small libp2p swarm, beside the validators' mesh. Every node takes part in it: it carries
//! waiting transactions and news of final blocks to everybody, and answers single nodes that ask for blocks
//! or for transactions they have missed.
//!
//! ```text
//!  peers ◄──TCP, Noise, Yamux──► swarm ──told transactions, news──► the rest of the node
//!                                  ▲ └──◄── verdicts, tellings, questions, faults ──┘
//! ```
//!
//! Nothing is forwarded before this node has verified it. Whatever a peer can make grow is bounded, and a
//! peer that breaks the rules loses its standing: first it is not listened to, then it is
//! disconnected, then banned. Messages carry no author: who put a transaction into the network is not told.

mod addresses;
mod behaviour;
mod closing;
mod control;
mod exchange;
#[cfg(feature = "fuzzing")]
pub(crate) mod fuzzing;
mod ip_limits;
mod names;
pub(crate) mod serve;
mod standing;
mod task;
#[cfg(test)]
mod tests;

use crate::store::Store;
use crate::wire::{Ask, Fault, News, Peer, PeerInfo, PoolWish, Tell, ToldTransactions};
use libp2p::identity::Keypair;
use libp2p::multiaddr::Protocol;
use libp2p::{Multiaddr, PeerId};
use std::collections::HashSet;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;
use thiserror::Error;
use tokio::sync::{mpsc, oneshot, watch};
use tokio_util::sync::CancellationToken;

/// How this node takes part.
#[derive(Debug)]
pub struct Config {
    /// The node's network identity.
    pub identity: Keypair,
    /// Where others reach this node, such as `/ip4/0.0.0.0/tcp/17327`.
    pub listen: Vec<Multiaddr>,
    /// Addresses by which others can reach this node although it does not see them itself: behind a
    /// router or a container's bridge.
    pub external: Vec<Multiaddr>,
    /// Where to begin.
    pub bootstrap: Vec<Multiaddr>,
    /// Whether QUIC addresses are used too.
    pub quic: bool,
    /// Whether a node behind a home router asks others to relay to it.
    pub nat: bool,
    /// Whether this node relays to others that are behind home routers.
    pub relay: bool,
    /// Bounds.
    pub limits: Limits,
    /// If not empty, only these peers are talked to.
    pub allow: HashSet<PeerId>,
    /// These peers are never talked to.
    pub block: HashSet<PeerId>,
}

/// Upper bounds of what peers may take from this node.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Peers that this node looks for by itself.
    pub outgoing: u32,
    /// Peers that may come by themselves.
    pub incoming: u32,
    /// Connections from one IP address (an IPv6 /64).
    pub per_ip: u32,
    /// Memory of the process, in bytes, beyond which no new connection is taken.
    pub memory_bytes: usize,
    /// Transactions and blocks of those that a peer tells in a second that are looked at, and twice as many at once.
    /// The rest is dropped, and beyond ten times as many the peer is banned for a while.
    pub told_per_second: u32,
    /// Questions of a peer in a second that are answered, and twice as many at once. The next ones are told that the node
    /// is busy, and who goes on all the same is banned for a while.
    pub asked_per_second: u32,
    /// A question not answered by then counts as lost; an answer not taken by then as well.
    pub answer_patience: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            outgoing: 8,
            incoming: 64,
            per_ip: 16,
            memory_bytes: 2 << 30,
            told_per_second: 10_000,
            asked_per_second: 128,
            answer_patience: Duration::from_secs(10),
        }
    }
}

/// What connects gossip with the rest of the node.
#[derive(Debug)]
pub struct Wiring {
    /// Takes transactions that peers told.
    pub told: mpsc::Sender<ToldTransactions>,
    /// Takes news of other nodes' chains.
    pub news: mpsc::Sender<News>,
    /// Asks the mempool for others.
    pub pool: mpsc::Sender<PoolWish>,
    /// What is to be told to everybody.
    pub tell: mpsc::Receiver<Tell>,
    /// Questions to peers.
    pub ask: mpsc::Receiver<Ask>,
    /// What peers did wrong.
    pub faults: mpsc::Receiver<(Peer, Fault)>,
    /// Wishes to see who is connected.
    pub roster: mpsc::Receiver<oneshot::Sender<Vec<PeerInfo>>>,
    /// Cancelled to stop.
    pub stop: CancellationToken,
}

/// Why gossip does not start.
#[derive(Debug, Error)]
#[allow(missing_docs)]
pub enum GossipError {
    #[error(
        "p2p cannot listen on {listen}: {reason}; choose another address with --p2p, or stop what uses it"
    )]
    Listen { listen: Multiaddr, reason: String },
    #[error("p2p.listen: {address} is no address to listen on: /ip4/ADDRESS/tcp/PORT is expected")]
    Address { address: Multiaddr },
    #[error("the network could not start: {0}")]
    Start(String),
}

/// Gossip at work. It ends when the token in [`Wiring`] is cancelled.
#[derive(Debug)]
pub struct GossipHandle {
    /// Addresses it listens on, with this node's identity.
    pub listen: Vec<Multiaddr>,
    /// How many peers are connected.
    pub peers: watch::Receiver<usize>,
    /// The running task.
    pub task: tokio::task::JoinHandle<()>,
}

/// Starts to take part.
pub async fn start(config: Config, store: Store, wiring: Wiring) -> Result<GossipHandle, GossipError> {
    for address in &config.listen {
        check_listen(address, config.quic)?;
    }
    let tip = store.tip();
    let names = behaviour::Names::new(&tip.genesis_file().chain_id());
    let swarm = behaviour::swarm(&config, &names, tip.genesis_file().limits().body_bytes)?;
    let (count, peers) = watch::channel(0);
    let mut task = task::Task::new(swarm, names, config, store, wiring, count);
    let listen = task.listen().await?;
    let task = tokio::spawn(task.run());
    Ok(GossipHandle { listen, peers, task })
}

/// Tries an address once, so that one in use is said at the start with its reason.
fn check_listen(listen: &Multiaddr, quic: bool) -> Result<(), GossipError> {
    let unfit = || GossipError::Address { address: listen.clone() };
    let failed =
        |error: std::io::Error| GossipError::Listen { listen: listen.clone(), reason: error.to_string() };
    let mut parts = listen.iter();
    let ip: IpAddr = match parts.next() {
        Some(Protocol::Ip4(ip)) => ip.into(),
        Some(Protocol::Ip6(ip)) => ip.into(),
        _ => return Err(unfit()),
    };
    match (parts.next(), parts.next()) {
        (Some(Protocol::Tcp(port)), None) => {
            std::net::TcpListener::bind(SocketAddr::new(ip, port)).map(drop).map_err(failed)
        }
        (Some(Protocol::Udp(port)), Some(Protocol::QuicV1)) if quic => {
            std::net::UdpSocket::bind(SocketAddr::new(ip, port)).map(drop).map_err(failed)
        }
        _ => Err(unfit()),
    }
}
