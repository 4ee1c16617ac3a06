//! The RPC server: answers what `sealpost-api` describes, from the store, and hands submissions to whoever
//! verifies them. It knows neither mempool nor consensus: the [`Wiring`] connects it.

mod chain;
mod compression;
mod directory;
mod equivocation;
mod evidence;
mod metering;
mod methods;
mod proof;
mod range;
mod subscriptions;
mod tags;
mod transaction;

use crate::health::HealthSource;
use crate::store::{Store, StoreError};
use crate::wire::PeerInfo;
use jsonrpsee::core::middleware::RpcServiceBuilder;
use jsonrpsee::server::{BatchRequestConfig, PingConfig, Server, ServerConfig, ServerHandle};
use sealpost_api::{ApiError, Category, Place, SealpostRpcServer, WaitFor};
use sealpost_ledger::execution::Refusal;
use sealpost_ledger::genesis::Genesis;
use sealpost_ledger::hash::TransactionId;
use sealpost_ledger::height::BlockHeight;
use sealpost_ledger::message::Body;
use sealpost_ledger::transaction::{SignedTransaction, TransactionError};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Instant;
use thiserror::Error;
use tokio::sync::{mpsc, oneshot, watch};
use tokio_util::sync::CancellationToken;

/// Connections served at once.
const MAX_CONNECTIONS: u32 = 100;
/// Subscriptions of one connection.
const MAX_SUBSCRIPTIONS: u32 = 20;
/// Calls in one batch.
const MAX_BATCH: u32 = 50;
/// Longest request, in bytes, unpacked if it comes in gzip, unless a single transaction may be longer.
const MAX_REQUEST_BYTES: u64 = 4 << 20;
/// Longest answer, in bytes: a page of the largest transactions in hexadecimal stays below.
const MAX_RESPONSE_BYTES: u32 = 32 << 20;

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
    #[error("the transaction waited too long for a block and was let go; sign it again with a later expiry")]
    TimedOut,
    /// This node failed.
    #[error("{0}")]
    Internal(String),
}

/// A question about a transaction that may be waiting.
#[derive(Debug)]
pub struct PoolQuery {
    /// Which.
    pub id: TransactionId,
    /// Where the answer is awaited.
    pub reply: oneshot::Sender<PoolAnswer>,
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
    pub submissions: mpsc::Sender<Submission>,
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
}

impl RpcHandle {
    /// Ends all connections and waits until that is done.
    pub async fn stop(self) {
        // Fails only if it has stopped already.
        let _ = self.server.stop();
        self.server.stopped().await;
    }
}

/// Starts to serve.
pub async fn start(listen: SocketAddr, store: Store, wiring: Wiring) -> Result<RpcHandle, RpcError> {
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
        .max_connections(MAX_CONNECTIONS)
        .max_subscriptions_per_connection(MAX_SUBSCRIPTIONS)
        .set_batch_request_config(BatchRequestConfig::Limit(MAX_BATCH))
        .enable_ws_ping(PingConfig::new())
        .set_tcp_no_delay(true)
        .build();
    let metering = RpcServiceBuilder::new().layer_fn(metering::Metered::new);
    let server = Server::builder()
        .set_config(config)
        .set_http_middleware(compression::layers(largest))
        .set_rpc_middleware(metering);
    let server = server.build(listen).await.map_err(failed)?;
    let address = server.local_addr().map_err(failed)?;
    let reader = Reader { store, genesis };
    let methods = methods::Methods { reader, wiring, started: Instant::now() };
    Ok(RpcHandle { address, server: server.start(methods.into_rpc()) })
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
