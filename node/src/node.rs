//! The composition root: the one place that knows mempool, consensus, sync, gossip, store and RPC, and
//! connects them by bounded channels.
//!
//! ```text
//!  rpc ──submission──► admission ──verified──► pool ◄──candidates── consensus ─┐ one of them,
//!   ▲                     ▲                    │ ▲ ▲                           ├─► store
//!   └───── answers ───────┼────────────────────┘ │ └─────── final blocks ──────┤ as role says
//!                         │ told                 │ told                   sync ┘
//!                       gossip ◄─────────────────┘ ◄─── questions, answers ──┘
//! ```

mod admission;
mod measuring;
mod open_files;
mod passed;
mod pool;
mod role;
mod scrubbing;
#[cfg(test)]
mod tests;

use crate::consensus::{self, ConsensusError};
use crate::gossip::{self, GossipError};
use crate::health::{Health, HealthSource};
use crate::mempool::{Mempool, MempoolLimits};
use crate::metrics::{self, MetricsError};
use crate::rpc::{self, PoolSizes, RpcError, RpcHandle};
use crate::store::{Closed, Recovery, Store, StoreError, StoreOptions};
use crate::sync::{self, SyncError, Wish};
use crate::waiting::Waiting;
use futures::FutureExt;
use measuring::Measuring;
use open_files::TooFewFiles;
pub(crate) use open_files::raise as raise_open_files;
use sealpost_ledger::genesis::Genesis;
use std::future::Future;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use thiserror::Error;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

/// Submissions that wait for verification.
const SUBMISSIONS: usize = 4096;
/// The same of members, when there is no room for those of everybody.
const MEMBERS_SUBMISSIONS: usize = 512;
/// Batches of transactions that wait to be told to others: some 64 MiB, and as a rule references to what waits
/// in the mempool anyway.
const TELLINGS: usize = 1024;
/// Messages that wait on the other channels.
const QUEUE: usize = 64;
/// How long the store's last users are waited for when the node stops.
const CLOSING: Duration = Duration::from_secs(10);
/// Blocks that may be on their way to a node that is not behind.
const ON_THE_WAY: u64 = 2;

/// What a node is started with.
#[derive(Debug)]
pub struct Config {
    /// The network.
    pub genesis: Arc<Genesis>,
    /// Folder of the store.
    pub data: PathBuf,
    /// Whether all bodies are kept, whatever the genesis says of retention.
    pub archive: bool,
    /// How the node decides blocks; nothing if it only follows.
    pub consensus: Option<consensus::Config>,
    /// Whether a validator whose log of votes is gone may begin a new one, once that is safe.
    pub rejoin: bool,
    /// How the node talks to others; nothing if it talks to nobody.
    pub gossip: Option<gossip::Config>,
    /// Where the RPC listens; port 0 takes a free one.
    pub rpc: SocketAddr,
    /// What the RPC's clients may cost.
    pub rpc_limits: rpc::Limits,
    /// Where metrics and health listen, if they do; port 0 takes a free one.
    pub metrics: Option<SocketAddr>,
    /// Free bytes on the disk of the store below which the node calls itself not ready.
    pub disk_floor_bytes: u64,
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
    #[error(transparent)]
    Gossip(#[from] GossipError),
    #[error(transparent)]
    Sync(#[from] SyncError),
    #[error(transparent)]
    OpenFiles(#[from] TooFewFiles),
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
    /// Where other nodes reach it.
    pub p2p: Vec<libp2p::Multiaddr>,
    /// How the store was found.
    pub recovery: Recovery,
    server: RpcHandle,
    tasks: JoinSet<Result<(), NodeError>>,
    stop: CancellationToken,
    closed: Closed,
}

impl Node {
    /// Opens the store and starts every part, each before the ones that need it.
    pub async fn start(config: Config) -> Result<Self, NodeError> {
        // Opening the store is measured already.
        let measured = config.metrics.map(|listen| Ok((listen, metrics::install()?)));
        let measured = measured.transpose().map_err(MetricsError::Recorder)?;
        open_files::allow(&config)?;
        let (genesis, data) = (config.genesis.clone(), config.data.clone());
        let options = StoreOptions { archive: config.archive, ..StoreOptions::default() };
        let opened = tokio::task::spawn_blocking(move || Store::open(&data, genesis, options)).await;
        let (store, recovery) = opened.map_err(|error| NodeError::Task(error.to_string()))??;
        // Not before the store is this process's alone: the log of votes may be mended.
        if let Some(consensus) = &config.consensus
            && !config.rejoin
        {
            consensus::check(consensus)?;
        }
        let stop = CancellationToken::new();
        let mut tasks = JoinSet::new();

        let (submissions, submitted) = rpc::submissions(SUBMISSIONS, MEMBERS_SUBMISSIONS);
        let (telling, told) = mpsc::channel(SUBMISSIONS);
        let (verified, admitted) = mpsc::channel(QUEUE);
        let (queries, queried) = mpsc::channel(SUBMISSIONS);
        let (wish, wishes) = mpsc::channel(QUEUE);
        let (mempool, wanted) = mpsc::channel(QUEUE);
        let (refused, refusals) = mpsc::channel(QUEUE);
        let (committed, decided) = mpsc::channel(QUEUE);
        let (synced_to, synced) = mpsc::channel(QUEUE);
        let (tell, tellings) = mpsc::channel(TELLINGS);
        let (ask, questions) = mpsc::channel(QUEUE);
        let (fault, faults) = mpsc::channel(QUEUE);
        let (tidings, news) = mpsc::channel(SUBMISSIONS);
        let (roster, rosters) = mpsc::channel(QUEUE);
        let (waiting, pending) = watch::channel(0);
        let (sizes, pool) = watch::channel(PoolSizes::default());
        let (height, head) = watch::channel(store.tip().height());
        let (wish_of, wish_to) = watch::channel(Wish::default());
        let (progress_of, progress) = watch::channel(sync::begin(&store));
        let (deciding_of, deciding) = watch::channel(false);

        let verified_before = Waiting::default();
        let mempool_now =
            Mempool::new(config.mempool, store.tip().genesis_file().postage().strangers_percent);
        let (room, room_for_strangers) = watch::channel(mempool_now.strangers_part());
        let against = admission::Against {
            store: store.clone(),
            waiting: verified_before.clone(),
            room: room_for_strangers,
        };
        let beyond = against.clone();
        let submissions = submissions.knowing_room(move |id, bytes| beyond.refuses_stranger(id, bytes));
        tasks.spawn(admission::run(submitted, told, verified, against, stop.clone()).map(Ok));
        tasks.spawn(scrubbing::run(store.clone(), stop.clone()).map(Ok));
        let pool_task = pool::Pool {
            mempool: mempool_now,
            admitted,
            queried,
            wanted,
            refusals,
            decided,
            synced,
            wishes,
            tell: config.gossip.is_some().then_some(tell),
            waiting,
            sizes,
            room,
            height,
            measuring: Measuring::new(&store, &config.mempool),
            verified: verified_before.clone(),
            store: store.clone(),
        };
        tasks.spawn(pool_task.run(stop.clone()).map(Ok));

        let talks = config.gossip.is_some();
        let (mut p2p, mut peers) = (Vec::new(), watch::channel(0).1);
        if let Some(config) = config.gossip {
            let wiring = gossip::Wiring {
                told: telling,
                news: tidings,
                pool: wish,
                tell: tellings,
                ask: questions,
                faults,
                roster: rosters,
                stop: stop.clone(),
            };
            let handle = gossip::start(config, store.clone(), wiring).await?;
            (p2p, peers) = (handle.listen, handle.peers);
            tasks.spawn(handle.task.map(joined));
        }
        let syncing = sync::start(
            store.clone(),
            sync::Wiring {
                news,
                ask,
                waiting: verified_before.clone(),
                faults: fault,
                committed: synced_to,
                wish: wish_to,
                progress: progress_of,
                head: head.clone(),
                stop: stop.clone(),
            },
        );
        tasks.spawn(syncing.map(|ended| Ok(joined(ended)??)));
        let health = health(peers, progress.clone(), deciding, talks);

        let metrics = match measured {
            Some((listen, recorder)) => {
                let sources = metrics::Sources {
                    store: store.clone(),
                    data: config.data,
                    disk_floor_bytes: config.disk_floor_bytes,
                    head: head.clone(),
                    health: health.clone(),
                };
                let served = metrics::serve(listen, recorder, sources, stop.clone()).await?;
                tasks.spawn(served.task.map(Ok));
                Some(served.address)
            }
            None => None,
        };
        let wiring = rpc::Wiring {
            submissions,
            queries,
            pool,
            head: head.clone(),
            health,
            roster: talks.then_some(roster),
            stop: stop.clone(),
        };
        let server = rpc::start(config.rpc, &config.rpc_limits, store.clone(), wiring).await?;
        let closed = store.closed();
        let role = role::Role {
            store,
            consensus: config.consensus,
            rejoin: config.rejoin,
            wish: wish_of,
            progress,
            head,
            deciding: deciding_of,
            mempool,
            refused,
            decided: committed,
            pending,
            stop: stop.clone(),
        };
        tasks.spawn(role.run().map(|ended| Ok(ended?)));
        Ok(Self { rpc: server.address, metrics, p2p, recovery, server, tasks, stop, closed })
    }
    /// Works until `shutdown` is done or a part fails, then stops the parts: who takes in first, who
    /// writes last. When this returns the store is closed: another node may open it.
    pub async fn run_until(mut self, shutdown: impl Future<Output = ()>) -> Result<(), NodeError> {
        let failed = tokio::select! {
            () = shutdown => None,
            Some(ended) = self.tasks.join_next() => Some(match joined(ended) {
                Ok(Ok(())) => NodeError::Task("it ended by itself".to_owned()),
                Ok(Err(error)) | Err(error) => error,
            }),
        };
        match &failed {
            None => tracing::info!("stopping"),
            // Said at once: on a full disk the index's library, which maps its files, may end the process on the way.
            Some(error) => tracing::error!(%error, "a part of the node has failed; it stops"),
        }
        self.stop.cancel();
        self.server.stop().await;
        let mut result = failed.map_or(Ok(()), Err);
        while let Some(ended) = self.tasks.join_next().await {
            result = result.and(joined(ended).and_then(std::convert::identity));
        }
        // Reading for a client that has gone may still be under way on another thread.
        if tokio::time::timeout(CLOSING, self.closed.wait()).await.is_err() {
            tracing::warn!("the store is still in use; the end of this process closes it");
        }
        result
    }
}

fn joined<T>(ended: Result<T, tokio::task::JoinError>) -> Result<T, NodeError> {
    ended.map_err(|error| NodeError::Task(error.to_string()))
}

/// Puts together how the node is, from what its parts tell.
fn health(
    peers: watch::Receiver<usize>,
    progress: watch::Receiver<sync::Progress>,
    deciding: watch::Receiver<bool>,
    needs_peers: bool,
) -> HealthSource {
    HealthSource::new(move || {
        let (progress, deciding) = (*progress.borrow(), *deciding.borrow());
        let syncing = if deciding {
            progress.certainly_behind() > ON_THE_WAY
        } else {
            !progress.heard || progress.behind() > ON_THE_WAY
        };
        let (target, peers) = (progress.target.get(), *peers.borrow());
        Health { deciding, syncing, target, peers, needs_peers }
    })
}
