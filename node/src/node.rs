//! The composition root: the one place that knows mempool, consensus, store and RPC, and connects them by
//! bounded channels.
//!
//! ```text
//!  rpc ──submission──► admission ──verified──► pool ◄──candidates── consensus ──► store
//!   ▲                                           │ ▲                     │
//!   └───────── answers, head ───────────────────┘ └────── committed ────┘
//! ```

mod admission;
mod pool;
#[cfg(test)]
mod tests;

use crate::consensus::{self, ConsensusError, ConsensusHandle};
use crate::mempool::{Mempool, MempoolLimits};
use crate::metrics::{self, MetricsError};
use crate::rpc::{self, PoolSizes, RpcError, RpcHandle};
use crate::store::{Recovery, Store, StoreError, StoreOptions};
use sealpost_ledger::genesis::Genesis;
use sealpost_ledger::signature::SigningKey;
use std::future::Future;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use thiserror::Error;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

/// Submissions that wait for verification.
const SUBMISSIONS: usize = 4096;
/// Messages that wait on the other channels.
const QUEUE: usize = 64;

/// What a node is started with.
#[derive(Debug)]
pub struct Config {
    /// The network.
    pub genesis: Arc<Genesis>,
    /// Folder of the store.
    pub data: PathBuf,
    /// Whether all bodies are kept, whatever the genesis says of retention.
    pub archive: bool,
    /// File of the engine's log of votes.
    pub wal: PathBuf,
    /// The node's name among its peers' logs.
    pub moniker: String,
    /// The node's network identity.
    pub identity: libp2p::identity::Keypair,
    /// The key that votes; nothing on a node that only follows.
    pub validator: Option<Arc<SigningKey>>,
    /// Where other validators reach this node.
    pub listen: libp2p::Multiaddr,
    /// Where this node reaches the others.
    pub peers: Vec<libp2p::Multiaddr>,
    /// Where the RPC listens; port 0 takes a free one.
    pub rpc: SocketAddr,
    /// Where metrics and health listen, if they do; port 0 takes a free one.
    pub metrics: Option<SocketAddr>,
    /// Bounds of the mempool.
    pub mempool: MempoolLimits,
}

/// Why a node does not start, or stopped.
#[derive(Debug, Error)]
#[allow(missing_docs)]
pub enum NodeError {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    Consensus(#[from] ConsensusError),
    #[error(transparent)]
    Rpc(#[from] RpcError),
    #[error(transparent)]
    Metrics(#[from] MetricsError),
    #[error("the node key is not a validator of this network; remove it to run as a full node")]
    NotAValidator,
    #[error("a task of the node failed: {0}")]
    Task(String),
}

/// A node at work.
#[derive(Debug)]
pub struct Node {
    /// Where the RPC listens.
    pub rpc: SocketAddr,
    /// Where metrics and health listen.
    pub metrics: Option<SocketAddr>,
    /// How the store was found.
    pub recovery: Recovery,
    server: RpcHandle,
    consensus: ConsensusHandle,
    tasks: JoinSet<()>,
    stop: CancellationToken,
}

impl Node {
    /// Opens the store and starts every part, each before the ones that need it.
    pub async fn start(config: Config) -> Result<Self, NodeError> {
        let Config { genesis, data, .. } = &config;
        if let Some(key) = &config.validator
            && genesis.validators().find(&key.public_key()).is_none()
        {
            return Err(NodeError::NotAValidator);
        }
        let (genesis, data) = (genesis.clone(), data.clone());
        let options = StoreOptions { archive: config.archive, ..StoreOptions::default() };
        let opened = tokio::task::spawn_blocking(move || Store::open(&data, genesis, options)).await;
        let (store, recovery) = opened.map_err(|error| NodeError::Task(error.to_string()))??;
        let stop = CancellationToken::new();
        let mut tasks = JoinSet::new();

        let (submissions, submitted) = mpsc::channel(SUBMISSIONS);
        let (verified, admitted) = mpsc::channel(QUEUE);
        let (queries, queried) = mpsc::channel(SUBMISSIONS);
        let (candidates, wanted) = mpsc::channel(QUEUE);
        let (refused, refusals) = mpsc::channel(QUEUE);
        let (committed, blocks) = mpsc::channel(QUEUE);
        let (waiting, pending) = watch::channel(0);
        let (sizes, pool) = watch::channel(PoolSizes::default());
        let (height, head) = watch::channel(store.tip().height());

        tasks.spawn(admission::run(submitted, verified, store.clone(), stop.clone()));
        let pool_task = pool::Pool {
            mempool: Mempool::new(config.mempool),
            admitted,
            queried,
            wanted,
            refusals,
            blocks,
            waiting,
            sizes,
            height,
            store: store.clone(),
        };
        tasks.spawn(pool_task.run(stop.clone()));

        let metrics = match config.metrics {
            Some(listen) => {
                let served = metrics::serve(listen, store.clone(), head.clone(), stop.clone()).await?;
                tasks.spawn(served.task);
                Some(served.address)
            }
            None => None,
        };
        let wiring = rpc::Wiring {
            submissions,
            queries,
            pool,
            head,
            validator: config.validator.is_some(),
            stop: stop.clone(),
        };
        let server = rpc::start(config.rpc, store.clone(), wiring).await?;
        let only_peers = !config.peers.is_empty();
        let consensus = consensus::start(
            consensus::Config {
                moniker: config.moniker,
                identity: config.identity,
                validator: config.validator,
                listen: config.listen,
                peers: config.peers,
                only_peers,
                wal: config.wal,
            },
            store,
            consensus::Wiring { candidates, refused, committed, pending, stop: stop.clone() },
        )
        .await?;
        Ok(Self { rpc: server.address, metrics, recovery, server, consensus, tasks, stop })
    }
    /// Works until `shutdown` is done or a part fails, then stops the parts: who takes in first, who
    /// writes last.
    pub async fn run_until(mut self, shutdown: impl Future<Output = ()>) -> Result<(), NodeError> {
        let ended = tokio::select! {
            () = shutdown => None,
            ended = self.consensus.stopped() => Some(ended.map_err(NodeError::from)),
            Some(task) = self.tasks.join_next() => {
                let reason = task.err().map_or("it ended by itself".to_owned(), |error| error.to_string());
                Some(Err(NodeError::Task(reason)))
            }
        };
        tracing::info!("stopping");
        self.stop.cancel();
        self.server.stop().await;
        let ended = match ended {
            Some(ended) => ended,
            None => self.consensus.stopped().await.map_err(NodeError::from),
        };
        while self.tasks.join_next().await.is_some() {}
        ended
    }
}
