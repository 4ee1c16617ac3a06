//! The RPC server: answers what `sealpost-api` describes, from the store, and hands submissions to whoever
//! verifies them. It knows neither mempool nor consensus: the [`Wiring`] connects it.

mod calling;
mod chain;
mod compression;
mod directory;
mod equivocation;
mod evidence;
mod front;
#[cfg(feature = "fuzzing")]
pub(crate) mod fuzzing;
mod limits;
mod metering;
mod methods;
mod page;
mod proof;
mod range;
mod reading;
mod receiving;
mod refusals;
#[cfg(test)]
mod stopping_tests;
mod submissions;
mod subscriptions;
mod tags;
mod taking_in;
#[cfg(test)]
mod testing;
mod transaction;

pub use limits::Limits;
pub use submissions::{SubmissionQueue, Submissions, submissions};

use crate::health::HealthSource;
use crate::store::{Store, StoreError};
use crate::wire::PeerInfo;
use calling::Measured;
use front::{Counter, Front};
use jsonrpsee::core::middleware::RpcServiceBuilder;
use jsonrpsee::server::{BatchRequestConfig, PingConfig, Server, ServerConfig, ServerHandle, stop_channel};
use limits::Meters;
use reading::Reading;
use receiving::ReceivingLayer;
use sealpost_api::{ApiError, Category, Place, SealpostRpcServer, WaitFor};
use sealpost_http::{Doors, Peer, Refusal as Closed};
use sealpost_ledger::execution::Refusal;
use sealpost_ledger::genesis::Genesis;
use sealpost_ledger::hash::TransactionId;
use sealpost_ledger::height::BlockHeight;
use sealpost_ledger::message::Body;
use sealpost_ledger::transaction::{SignedTransaction, TransactionError};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};
use thiserror::Error;
use tokio::net::TcpListener;
use tokio::runtime::Runtime;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::JoinHandle;
use tokio_util::sync::{CancellationToken, DropGuard};

/// Calls under way on one connection; it is not read on until there are fewer.
const MAX_CALLS: usize = 32;
/// Answers that wait on a WebSocket before the calls wait whose answers come next.
const ANSWERS_WAITING: u32 = 16;
/// Subscriptions of one connection.
const MAX_SUBSCRIPTIONS: u32 = 20;
/// Calls in one batch.
const MAX_BATCH: u32 = 50;
/// Longest request, in bytes, unpacked if it comes in gzip, unless a single transaction may be longer.
const MAX_REQUEST_BYTES: u64 = 4 << 20;
/// Longest answer, in bytes. Pages end long before: after [`PAGE_BYTES`], or after a block that is none of the longest.
const MAX_RESPONSE_BYTES: u32 = 32 << 20;
/// A page of a list ends after the entry with which it has so many bytes. The longest entry, a message to as many as may
/// be, has about a megabyte.
const PAGE_BYTES: usize = 8 << 20;

/// A transaction that somebody submits.
#[derive(Debug)]
pub struct Submission {
    /// The transaction.
    pub transaction: SignedTransaction,
    /// Its body, if it is a message.
    pub body: Option<Body>,
    /// How far it has to come before the answer.
    pub wait: WaitFor,
    /// Where the answer is awaited.
    pub reply: oneshot::Sender<Result<Taken, SubmissionRefusal>>,
}

/// How far a submitted transaction came.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Taken {
    /// Verified and waiting for a block.
    Accepted,
    /// In a block that has just become final.
    Final(Place),
    /// In a block that was final before it was submitted.
    Before,
}

/// Why a submitted transaction was not taken in, or left again.
#[derive(Debug, Clone, Error)]
pub enum SubmissionRefusal {
    /// It breaks a rule that does not depend on the chain's state.
    #[error(transparent)]
    Transaction(#[from] TransactionError),
    /// It can't stand in the next block.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// A limit of this node.
    #[error("{message}")]
    Busy {
        /// Stable code.
        code: &'static str,
        /// What limit.
        message: String,
    },
    /// It waited too long for a block.
    #[error(
        "the transaction waited too long for a block, and this node let it go; up to its expiry a block may still contain it"
    )]
    TimedOut,
    /// This node failed.
    #[error("{0}")]
    Internal(String),
}

/// A question about transactions that may be waiting.
#[derive(Debug)]
pub struct PoolQuery {
    /// Which.
    pub ids: Vec<TransactionId>,
    /// Where the answers are awaited, one for each, in order.
    pub reply: oneshot::Sender<Vec<PoolAnswer>>,
}

/// What is known of a transaction besides the ledger.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PoolAnswer {
    /// Whether it waits for a block.
    pub waiting: bool,
    /// When this node first saw it, milliseconds since 1970 UTC.
    pub first_seen_ms: Option<u64>,
}

/// What waits for blocks, in numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct PoolSizes {
    /// Transactions.
    pub transactions: usize,
    /// Their bytes.
    pub bytes: usize,
}

/// What connects the RPC with the rest of the node.
#[derive(Debug, Clone)]
pub struct Wiring {
    /// Takes submissions.
    pub submissions: Submissions,
    /// Answers questions about what waits.
    pub queries: mpsc::Sender<PoolQuery>,
    /// Numbers of what waits.
    pub pool: watch::Receiver<PoolSizes>,
    /// Height of the last final block on disk.
    pub head: watch::Receiver<BlockHeight>,
    /// Tells how the node is.
    pub health: HealthSource,
    /// Tells who is connected; nothing if this node talks to nobody.
    pub roster: Option<mpsc::Sender<oneshot::Sender<Vec<PeerInfo>>>>,
    /// Cancelled to stop.
    pub stop: CancellationToken,
}

/// Why the RPC does not start.
#[derive(Debug, Error)]
#[error("the RPC cannot listen on {listen}: {source}; choose another address, or stop what uses it")]
pub struct RpcError {
    /// The address.
    pub listen: SocketAddr,
    /// What the system said.
    pub source: std::io::Error,
}

/// The server at work.
#[derive(Debug)]
pub struct RpcHandle {
    /// Where it listens.
    pub address: SocketAddr,
    server: ServerHandle,
    listening: JoinHandle<()>,
    /// How long clients may take for what is under way.
    parting: Duration,
    // Ends it also if nobody waits for that.
    stop: DropGuard,
    threads: Threads,
}

/// The RPC's own threads. What it does for clients, such as writing out megabytes, takes time on them alone: a task of
/// consensus does not wait behind it, and the system shares the cores between the two.
#[derive(Debug)]
struct Threads(Option<Runtime>);

impl Drop for Threads {
    fn drop(&mut self) {
        // Without waiting for readers: whoever drops this may be a task, which may not block.
        if let Some(runtime) = self.0.take() {
            runtime.shutdown_background();
        }
    }
}

impl RpcHandle {
    /// Ends all connections and waits until that is done.
    pub async fn stop(self) {
        drop(self.stop);
        // Fails only if it has stopped already.
        let _ = self.server.stop();
        // WebSockets are beyond what listens. Who takes its answers bit by bit does not keep the node from stopping.
        let sockets = tokio::time::timeout(self.parting, self.server.stopped());
        // A panic there is in the log.
        let (_, ended) = tokio::join!(self.listening, sockets);
        if ended.is_err() {
            tracing::debug!("WebSockets are still open, and end with the node");
        }
        drop(self.threads);
    }
}

/// Starts to serve.
pub async fn start(
    listen: SocketAddr,
    limits: &Limits,
    store: Store,
    wiring: Wiring,
) -> Result<RpcHandle, RpcError> {
    let failed = |source| RpcError { listen, source };
    let genesis = store.tip().genesis_file().clone();
    // A transaction and its body travel as hexadecimal text, with some words around.
    let largest = u64::from(genesis.limits().body_bytes)
        .saturating_add(sealpost_ledger::transaction::MAX_TRANSACTION_BYTES as u64)
        .saturating_mul(2)
        .saturating_add(4096)
        .max(MAX_REQUEST_BYTES);
    let largest = u32::try_from(largest).unwrap_or(u32::MAX);
    let config = ServerConfig::builder()
        .max_request_body_size(largest)
        .max_response_body_size(MAX_RESPONSE_BYTES)
        // Connections are counted at the door.
        .max_connections(u32::MAX)
        .set_message_buffer_capacity(ANSWERS_WAITING)
        .max_subscriptions_per_connection(MAX_SUBSCRIPTIONS)
        .set_batch_request_config(BatchRequestConfig::Limit(MAX_BATCH))
        .enable_ws_ping(PingConfig::new())
        .build();
    let as_usize = |bytes| usize::try_from(bytes).unwrap_or(usize::MAX);
    let meters = Arc::new(Meters::new(limits, as_usize(largest), as_usize(MAX_RESPONSE_BYTES)));
    let measuring = meters.clone();
    // Counted and timed inside: who is not let through makes up no methods there, and of a batch each call is counted.
    let calls = RpcServiceBuilder::new()
        .layer_fn(move |inner| Measured { inner, meters: measuring.clone(), longest: MAX_RESPONSE_BYTES })
        .layer_fn(metering::Metered::new);
    let receiving = ReceivingLayer { meters: meters.clone(), limit: largest };
    let builder = Server::builder()
        .set_config(config)
        .set_http_middleware(compression::layers(receiving))
        .set_rpc_middleware(calls)
        .to_service_builder();
    let listener = std::net::TcpListener::bind(listen).map_err(failed)?;
    listener.set_nonblocking(true).map_err(failed)?;
    let address = listener.local_addr().map_err(failed)?;
    let threads = tokio::runtime::Builder::new_multi_thread().thread_name("rpc").enable_all().build();
    let threads = threads.map_err(failed)?;
    let listener = {
        let _within = threads.enter();
        TcpListener::from_std(listener).map_err(failed)?
    };
    let reading = Reading::new(Reader { store, genesis }, limits.replays);
    let methods = methods::Methods { reading, wiring, started: Instant::now() }.into_rpc();
    let (stopping, server) = stop_channel();
    let (doors, stop) = (doors(limits), CancellationToken::new());
    let ended = stop.clone();
    let listening = threads.spawn(async move {
        let service = |peer: &Peer| {
            let inner = builder.clone().build(methods.clone(), stopping.clone());
            Front { inner, peer: peer.clone(), meters: meters.clone(), longest: as_usize(largest) }
        };
        sealpost_http::serve(listener, &doors, Counter, ended, service).await;
    });
    let (stop, threads) = (stop.drop_guard(), Threads(Some(threads)));
    Ok(RpcHandle { address, server, listening, parting: limits.patience.parting, stop, threads })
}

/// Who is let in, and what the others are told.
fn doors(limits: &Limits) -> Doors {
    let refusal = |status: &str, message: &str| {
        let error = ApiError::new(Category::Busy, "rpc.connections", message)
            .help("close some, or come again later; `rpc.connections` in node.toml has the numbers");
        Closed::new(status, "application/json", &refusals::body(error))
    };
    Doors {
        connections: limits.connections,
        per_client: limits.connections_per_client,
        reserve: Some(limits.reserve()),
        trusted_proxies: limits.trusted_proxies.clone(),
        calls_per_connection: MAX_CALLS,
        patience: limits.patience,
        full_for_client: refusal("429 Too Many Requests", "too many connections of yours are open"),
        full_for_all: refusal("503 Service Unavailable", "too many connections are open"),
    }
}

/// Answers from the store. Every method blocks; [`methods`] calls them where blocking is allowed.
#[derive(Clone)]
struct Reader {
    store: Store,
    genesis: Arc<Genesis>,
}

impl Reader {
    fn address(&self, text: &str) -> Result<sealpost_ledger::address::Address, ApiError> {
        sealpost_ledger::address::Address::parse(text, self.genesis.prefix()).map_err(|error| {
            ApiError::new(Category::Input, "input.address", format_args!("address: {error}"))
        })
    }
    fn text(&self, address: &sealpost_ledger::address::Address) -> String {
        address.to_text(self.genesis.prefix())
    }
}

impl From<StoreError> for Failure {
    fn from(error: StoreError) -> Self {
        Failure::Store(error)
    }
}

/// Why a reading failed: for the asker, or for the log.
#[derive(Debug)]
enum Failure {
    Answer(ApiError),
    Store(StoreError),
}

impl From<ApiError> for Failure {
    fn from(error: ApiError) -> Self {
        Failure::Answer(error)
    }
}

impl From<Failure> for ApiError {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::Answer(error) => error,
            Failure::Store(error) => {
                tracing::error!(%error, "the store could not answer");
                ApiError::new(Category::Internal, "internal.store", "this node could not read its store")
                    .help("ask another node; the operator finds the reason in the node's log")
            }
        }
    }
}

impl SubmissionRefusal {
    /// What the client hears. Every refusal of a transaction is counted here, by its code.
    pub fn counted(self) -> ApiError {
        let error = ApiError::from(self);
        metrics::counter!("sealpost_rejected_total", "code" => error.code.clone()).increment(1);
        error
    }
}

impl From<SubmissionRefusal> for ApiError {
    fn from(refusal: SubmissionRefusal) -> Self {
        let message = refusal.to_string();
        match refusal {
            SubmissionRefusal::Transaction(error) => ApiError::new(Category::Refused, error.code(), message),
            SubmissionRefusal::Refused(error) => ApiError::new(Category::Refused, error.code(), message),
            SubmissionRefusal::Busy { code, .. } => {
                ApiError::new(Category::Busy, code, message).help("submit it again in a few seconds")
            }
            SubmissionRefusal::TimedOut => ApiError::new(Category::Refused, "tx.expired", message),
            SubmissionRefusal::Internal(_) => ApiError::new(Category::Internal, "internal.node", message),
        }
    }
}
