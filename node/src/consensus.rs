//! Consensus: the validators agree on one block per height. An existing engine (Malachite, Tendermint's
//! algorithm in Rust) runs rounds, votes, timeouts and catching up; this room gives it our types, our
//! signatures and our blocks. Nothing outside names the engine, so that it can be exchanged.
//!
//! Two rules keep a validator safe. A block is on disk before it is voted for, and a final block is on disk
//! before the next height begins. And a key whose log of votes is lost doesn't vote again by itself: see
//! [`ConsensusError::WalMissing`].

mod application;
#[cfg(feature = "test-byzantine")]
mod byzantine;
mod codec;
mod context;
mod disk;
#[cfg(feature = "fuzzing")]
pub(crate) mod fuzzing;
mod links;
mod misbehavior;
mod names;
mod proposals;
mod signer;
#[cfg(any(test, feature = "simulation"))]
pub mod simulation;
mod task;
#[cfg(test)]
pub(crate) mod testing;
#[cfg(test)]
mod tests;
mod votes;

pub use disk::Disk;
pub use votes::{VotesDamage, begin_wal, put_wal_back, set_wal_aside, voted_height};

use crate::store::Store;
use application::Application;
use codec::WireCodec;
use context::{Address, Sealpost};
use sealpost_ledger::certificate::CertificateError;
use sealpost_ledger::chain::CommittedBlock;
use sealpost_ledger::execution::Refusal;
use sealpost_ledger::hash::{BlockHash, TransactionId};
use sealpost_ledger::height::BlockHeight;
use sealpost_ledger::signature::SigningKey;
use sealpost_ledger::transaction::VerifiedTransaction;
use signer::{VoteSigner, VoteVerifier};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use task::Task;
use thiserror::Error;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

/// Log targets to silence on a network of one validator: with no peer to listen, the engine reports every
/// vote it publishes as an error there. With several validators the same target tells useful things.
pub const MUTED_TARGETS: &[&str] = &["arc_malachitebft_network"];

/// Requests to the engine that wait at once.
const REQUESTS: usize = 16;

/// The engine, under the names this room uses.
mod engine {
    pub(super) use arc_malachitebft_app_channel::app::config::{
        ConsensusConfig, NodeConfig, P2pConfig, ValuePayload, ValueSyncConfig,
    };
    pub(super) use arc_malachitebft_app_channel::app::consensus::{
        Input, LivenessMsg, LocallyProposedValue, ProposedValue, SignedConsensusMsg, VoteExtensionError,
    };
    pub(super) use arc_malachitebft_app_channel::app::engine::host::{
        HeightParams, Next, SyncedValueOutcome,
    };
    pub(super) use arc_malachitebft_app_channel::app::engine::network::{
        Msg as NetworkActorMsg, PersistentPeerError,
    };
    pub(super) use arc_malachitebft_app_channel::app::engine::wal::decode_entry;
    pub(super) use arc_malachitebft_app_channel::app::streaming::StreamContent;
    pub(super) use arc_malachitebft_app_channel::app::types::codec::{Codec, HasEncodedLen};
    pub(super) use arc_malachitebft_app_channel::app::types::core::{
        Address, CommitCertificate, Context, ExtendedCommitCertificate, ExtendedCommitSignature, Height,
        LinearTimeouts, NilOrVal, PolkaCertificate, PolkaSignature, Proposal, ProposalPart, Round,
        RoundCertificate, RoundCertificateType, RoundSignature, SignedExtension, SignedMessage,
        SigningScheme, Validator, ValidatorProof, ValidatorSet, Validity, Value, Vote, VoteExtensionScope,
        VoteType,
    };
    pub(super) use arc_malachitebft_app_channel::app::types::streaming::{StreamId, StreamMessage};
    pub(super) use arc_malachitebft_app_channel::app::types::sync::{
        RawDecidedValue, Request as SyncRequest, Response as SyncResponse, Status as SyncStatus,
    };
    pub(super) use arc_malachitebft_app_channel::app::types::{MisbehaviorEvidence, PeerId};
    #[cfg(not(feature = "test-byzantine"))]
    pub(super) use arc_malachitebft_app_channel::start_engine;
    pub(super) use arc_malachitebft_app_channel::{
        AppMsg, Channels, ConsensusContext, ConsensusRequestError, EngineHandle, NetworkContext,
        NetworkIdentity, NetworkMsg, NetworkRequest, Reply, RequestContext, Signer, SyncContext, Verifier,
        WalContext,
    };
    pub(super) use arc_malachitebft_signing::{Error as SigningError, VerificationResult};
    pub(super) use arc_malachitebft_sync::{ValueRequest, ValueResponse};
    #[cfg(any(test, feature = "simulation"))]
    pub(super) use {
        arc_malachitebft_app_channel::app::consensus::{
            ConsensusMsg, Effect, Error as CoreError, Params, Resumable, Resume, State, process,
        },
        arc_malachitebft_app_channel::app::engine::wal::encode_entry,
        arc_malachitebft_app_channel::app::metrics::Metrics,
        arc_malachitebft_app_channel::app::types::core::{
            ThresholdParams, Timeout, TimeoutKind, Timeouts, ValueOrigin, ValuePayload as CoreValuePayload,
            ValueResponse as CoreValueResponse,
        },
        arc_malachitebft_signing::VerifierExt,
    };
}

/// How this node takes part.
#[derive(Debug, Clone)]
pub struct Config {
    /// The node's name among its peers' logs.
    pub moniker: String,
    /// The node's network identity.
    pub identity: libp2p::identity::Keypair,
    /// The key that votes.
    pub validator: Arc<SigningKey>,
    /// Where validators reach this node, such as `/ip4/127.0.0.1/tcp/26656`.
    pub listen: libp2p::Multiaddr,
    /// Where this node reaches the others. Nobody else is let in.
    pub peers: Vec<libp2p::Multiaddr>,
    /// File of the engine's log of votes.
    pub wal: PathBuf,
}

/// What consensus asks of the mempool.
#[derive(Debug)]
pub enum MempoolRequest {
    /// Transactions that may stand in the next block.
    Candidates {
        /// Their bytes together are no more than this.
        max_bytes: usize,
        /// And those of senders who are not members no more than this.
        max_strangers_bytes: usize,
        /// Where they are awaited.
        reply: oneshot::Sender<Vec<VerifiedTransaction>>,
    },
    /// Those of these transactions that wait there. They were verified when they came, and need not be again.
    Waiting {
        /// Which.
        ids: Vec<TransactionId>,
        /// Where they are awaited.
        reply: oneshot::Sender<Vec<VerifiedTransaction>>,
    },
}

/// The mempool, as consensus sees it where it may wait for answers.
pub trait Pool {
    /// As [`MempoolRequest::Candidates`].
    fn candidates(&self, max_bytes: usize, max_strangers_bytes: usize) -> Vec<VerifiedTransaction>;
    /// As [`MempoolRequest::Waiting`].
    fn waiting(&self, ids: Vec<TransactionId>) -> Vec<VerifiedTransaction>;
}

/// What connects consensus with the rest of the node.
#[derive(Debug)]
pub struct Wiring {
    /// Asks the mempool for transactions.
    pub mempool: mpsc::Sender<MempoolRequest>,
    /// Tells which of them the rules refuse.
    pub refused: mpsc::Sender<Vec<(TransactionId, Refusal)>>,
    /// Tells of each final block, once it is on disk.
    pub committed: mpsc::Sender<Arc<CommittedBlock>>,
    /// How many transactions wait. To be sent anew after each final block, when what it contains has been
    /// taken out, even if the number is the same: an idle network waits for that.
    pub pending: watch::Receiver<usize>,
    /// Cancelled to stop.
    pub stop: CancellationToken,
}

/// Why consensus doesn't start, or stopped. None of these is a peer's fault.
#[derive(Debug, Error)]
#[allow(missing_docs)]
pub enum ConsensusError {
    #[error(
        "the log of this validator's votes, {}, is missing. Voting without it could mean voting twice for one \
         height, which others can prove. Safe ways out: put the log back; or remove the validator key and run \
         as a full node; or, if no other copy of this key runs anywhere, start once with --rejoin: the node \
         then follows until the network has gone on without its vote, and only then begins a new log",
        wal.display()
    )]
    WalMissing { wal: PathBuf },
    #[error(
        "the log of this validator's votes, {}, is damaged: {damage}. Votes that bind may be lost. Put it away, and the \
         next start names the ways out",
        wal.display()
    )]
    WalDamaged { wal: PathBuf, damage: VotesDamage },
    #[error(
        "the log of this validator's votes, {}, is in use: another process votes with it. Stop that one first",
        wal.display()
    )]
    WalHeld { wal: PathBuf },
    #[error("the log of votes could not be begun: {0}")]
    WalUnwritten(sealpost_terminal::Failure),
    #[error("the log of votes {}: {source}", wal.display())]
    Wal { wal: PathBuf, source: std::io::Error },
    #[error("consensus cannot listen on {listen}: {source}; choose another address, or stop what uses it")]
    Listen { listen: libp2p::Multiaddr, source: std::io::Error },
    #[error("the consensus engine could not start: {0}")]
    Start(String),
    #[error("the consensus engine stopped by itself; its reason is in the log above")]
    EngineStopped,
    #[error(
        "the consensus engine's network ended by itself, and its reason is in the log above: this node would neither \
         vote nor hear of votes. Mend the reason and start it again"
    )]
    NetworkEnded,
    #[error("consensus: {0}; this node stops voting so that it can do no harm")]
    Store(String),
    #[error(
        "consensus decided block {block} at height {height}, which this node has never seen or finds invalid"
    )]
    UnknownBlock { block: BlockHash, height: BlockHeight },
    #[error("consensus decided with a certificate that does not hold: {0}")]
    Certificate(#[from] CertificateError),
    #[error("consensus: a task of its own failed: {0}")]
    Task(String),
}

/// Consensus at work. It ends when the token in [`Wiring`] is cancelled, or by an error.
#[derive(Debug)]
pub struct ConsensusHandle {
    task: JoinHandle<Result<(), ConsensusError>>,
}

impl ConsensusHandle {
    /// Waits for the end. May be dropped and called again, but not after it has returned.
    pub async fn stopped(&mut self) -> Result<(), ConsensusError> {
        match (&mut self.task).await {
            Ok(result) => result,
            Err(error) => Err(ConsensusError::Task(error.to_string())),
        }
    }
}

/// Starts to take part at the end of the stored chain.
pub async fn start(config: Config, store: Store, wiring: Wiring) -> Result<ConsensusHandle, ConsensusError> {
    let tip = store.tip();
    check(&config)?;
    let chain = tip.genesis_file().chain_id();
    let verifier = VoteVerifier::new(chain);
    let signer = VoteSigner::new(chain, config.validator.clone());
    let identity = network_identity(&config, &signer).await?;
    let address = Address(signer.public_key());
    let consensus = engine::ConsensusContext::new_validator(
        address,
        Box::new(verifier.clone()),
        Box::new(signer.clone()),
    );
    let max_block_bytes = max_block_bytes(tip.genesis_file().limits().block_bytes);
    let settings = EngineConfig::new(&config, max_block_bytes, &chain.to_string());
    let wal = engine::WalContext::new(config.wal.clone(), WireCodec);
    let network = engine::NetworkContext::new(identity, WireCodec);
    #[cfg(not(feature = "test-byzantine"))]
    let started = engine::start_engine(
        Sealpost,
        settings,
        wal,
        network,
        consensus,
        engine::SyncContext::new(WireCodec),
        engine::RequestContext::new(REQUESTS),
    )
    .await;
    #[cfg(feature = "test-byzantine")]
    let started = {
        let means = byzantine::Means { store: store.clone(), signer: signer.clone(), max_block_bytes };
        byzantine::start_engine(settings, wal, network, consensus, means).await
    };
    let (channels, engine) = started.map_err(|error| ConsensusError::Start(format!("{error:#}")))?;
    let mut links = tokio::spawn(links::tend(channels.net_requests.clone(), config.peers.clone()));
    let application = Application::new(store, signer, verifier, max_block_bytes);
    let mut task = Task::new(application, channels, wiring);
    let task = tokio::spawn(async move {
        let result = task.run(&mut links).await;
        links.abort();
        stop_engine(engine, task, &config).await;
        result
    });
    Ok(ConsensusHandle { task })
}

/// Whether [`start`] may vote with what it is given, and listen: so that a node can say so before it begins.
pub fn check(config: &Config) -> Result<(), ConsensusError> {
    votes::check_wal(&config.wal)?;
    check_listen(&config.listen)
}

/// Tries the address once: the engine only logs it when it can't listen, and then goes on deaf.
fn check_listen(listen: &libp2p::Multiaddr) -> Result<(), ConsensusError> {
    use libp2p::multiaddr::Protocol;
    let mut parts = listen.iter();
    let address: std::net::IpAddr = match parts.next() {
        Some(Protocol::Ip4(address)) => address.into(),
        Some(Protocol::Ip6(address)) => address.into(),
        _ => return Ok(()),
    };
    let Some(Protocol::Tcp(port)) = parts.next() else { return Ok(()) };
    let bound = std::net::TcpListener::bind((address, port));
    bound.map(drop).map_err(|source| ConsensusError::Listen { listen: listen.clone(), source })
}

/// Encoded, a full block is longer than what its limit counts: header and length fields.
fn max_block_bytes(limit: u32) -> u32 {
    limit.saturating_add(limit / 4)
}

async fn network_identity(
    config: &Config,
    signer: &VoteSigner,
) -> Result<engine::NetworkIdentity, ConsensusError> {
    use engine::{Codec, Signer};
    let (moniker, keypair) = (config.moniker.clone(), config.identity.clone());
    let key = signer.public_key();
    let peer = keypair.public().to_peer_id().to_bytes();
    let proof = signer.sign_validator_proof(key.as_bytes().to_vec(), peer).await;
    let proof = proof.map_err(|error| ConsensusError::Start(error.to_string()))?;
    let proof = WireCodec.encode(&proof).map_err(|error| ConsensusError::Start(error.to_string()))?;
    Ok(engine::NetworkIdentity::new_validator(moniker, keypair, Address(key).to_string(), proof))
}

/// Stops the engine and waits, for a bounded time, for it and for what it holds: consensus may be wanted again at once.
///
/// Its network comes first, while the task still listens. Without the task the engine's parts fail one
/// by one and are killed; the network's own task, which nobody tells to stop then, would hold the address for good.
async fn stop_engine(engine: engine::EngineHandle, task: Task, config: &Config) {
    const PATIENCE: Duration = Duration::from_secs(3);
    let node = engine.actor.get_cell();
    let mut parts = node.get_children().into_iter();
    if let Some(network) =
        parts.find(|part| part.is_message_type_of::<engine::NetworkActorMsg<Sealpost>>() == Some(true))
        && let Err(error) = network.stop_and_wait(Some("shutdown".into()), Some(PATIENCE)).await
    {
        tracing::warn!(%error, "the consensus engine's network did not stop in time");
    }
    drop(task);
    node.stop_children_and_wait(Some("shutdown".into()), Some(PATIENCE)).await;
    engine.actor.stop(Some("shutdown".into()));
    if tokio::time::timeout(PATIENCE, engine.handle).await.is_err() {
        tracing::warn!("the consensus engine did not stop in time");
    }
    if tokio::time::timeout(PATIENCE, released(config)).await.is_err() {
        tracing::warn!("the consensus engine has stopped and still holds its log of votes or its address");
    }
}

/// Waits until nothing is left of an engine that has stopped. The thread that writes the log ends a little later than
/// the part it belongs to; and a call to a peer that does not answer keeps what the network listens with, until the
/// task of that call is told that it is over.
async fn released(config: &Config) {
    const PAUSE: Duration = Duration::from_millis(10);
    while votes::is_held(&config.wal) || check_listen(&config.listen).is_err() {
        tokio::time::sleep(PAUSE).await;
    }
}

/// The engine's own settings.
#[derive(Debug)]
struct EngineConfig {
    moniker: String,
    consensus: engine::ConsensusConfig,
    sync: engine::ValueSyncConfig,
}

impl EngineConfig {
    fn new(config: &Config, max_block_bytes: u32, chain: &str) -> Self {
        use bytesize::ByteSize;
        let mut p2p = engine::P2pConfig {
            listen_addr: config.listen.clone(),
            persistent_peers: config.peers.clone(),
            persistent_peers_only: true,
            rpc_max_size: ByteSize::mib(16),
            pubsub_max_size: ByteSize::kib(512),
            ..engine::P2pConfig::default()
        };
        // Nodes of another network don't even speak the same protocol.
        p2p.protocol_names.consensus = format!("/sealpost/{chain}/consensus/1");
        p2p.protocol_names.sync = format!("/sealpost/{chain}/sync/1");
        p2p.protocol_names.validator_proof = format!("/sealpost/{chain}/validator-proof/1");
        // Several validators may share an address, as they do on a test machine.
        p2p.discovery.max_connections_per_ip = 64;
        p2p.discovery.ip_throttle_duration = Duration::ZERO;
        let consensus = engine::ConsensusConfig {
            p2p,
            value_payload: engine::ValuePayload::ProposalAndParts,
            ..engine::ConsensusConfig::default()
        };
        let sync = engine::ValueSyncConfig {
            status_update_interval: Duration::from_secs(2),
            max_response_size: ByteSize::b(u64::from(max_block_bytes).clamp(10 << 20, 15 << 20)),
            ..engine::ValueSyncConfig::default()
        };
        Self { moniker: config.moniker.clone(), consensus, sync }
    }
}

impl engine::NodeConfig for EngineConfig {
    fn moniker(&self) -> &str {
        &self.moniker
    }
    fn consensus(&self) -> &engine::ConsensusConfig {
        &self.consensus
    }
    fn consensus_mut(&mut self) -> &mut engine::ConsensusConfig {
        &mut self.consensus
    }
    fn value_sync(&self) -> &engine::ValueSyncConfig {
        &self.sync
    }
    fn value_sync_mut(&mut self) -> &mut engine::ValueSyncConfig {
        &mut self.sync
    }
}
