//! Metrics in Prometheus' text format, and health: `/metrics`, `/livez` and `/readyz` on a port of their own.
//! What can be read at any time (disk, process, health) is read when somebody asks.

use crate::disk;
use crate::health::HealthSource;
use crate::store::Store;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::IntoResponse;
use axum::routing::get;
use axum::{Json, Router};
use metrics_exporter_prometheus::{BuildError, Matcher, PrometheusBuilder, PrometheusHandle};
use sealpost_ledger::height::BlockHeight;
use serde::Serialize;
use std::convert::Infallible;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};
use thiserror::Error;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

/// Bounds of the histograms' buckets, in seconds: from an fsync to the pause of an idle network.
const SECONDS: &[f64] = &[
    0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0,
];

/// How often what was measured is added up when nobody asks for it.
const ADD_UP: Duration = Duration::from_secs(5);

/// Why metrics are not served.
#[derive(Debug, Error)]
#[allow(missing_docs)]
pub enum MetricsError {
    #[error(
        "metrics cannot listen on {listen}: {source}; choose another address with --metrics, or stop what uses it"
    )]
    Listen { listen: SocketAddr, source: std::io::Error },
    #[error("metrics: {0}")]
    Recorder(#[from] BuildError),
}

/// The server, not yet running.
pub struct Server {
    /// Where it listens.
    pub address: SocketAddr,
    /// Serves until the node stops.
    pub task: futures::future::BoxFuture<'static, ()>,
}

/// What metrics and health are read from.
#[derive(Clone)]
pub struct Sources {
    /// The ledger.
    pub store: Store,
    /// Where it lies on disk.
    pub data: PathBuf,
    /// Free bytes there below which the node is not ready.
    pub disk_floor_bytes: u64,
    /// The last final block.
    pub head: watch::Receiver<BlockHeight>,
    /// How the node is.
    pub health: HealthSource,
}

#[derive(Clone)]
struct Served {
    sources: Sources,
    recorder: PrometheusHandle,
    progress: watch::Receiver<Instant>,
}

/// A named check of `/readyz`.
#[derive(Debug, Serialize)]
struct Check {
    name: &'static str,
    ok: bool,
    detail: String,
}

/// Prepares metrics and health on an address.
pub async fn serve(
    listen: SocketAddr,
    recorder: PrometheusHandle,
    sources: Sources,
    stop: CancellationToken,
) -> Result<Server, MetricsError> {
    let failed = |source| MetricsError::Listen { listen, source };
    let listener = tokio::net::TcpListener::bind(listen).await.map_err(failed)?;
    let address = listener.local_addr().map_err(failed)?;
    let (progressed, progress) = watch::channel(Instant::now());
    let head = sources.head.clone();
    let app = Router::new()
        .route("/metrics", get(measured))
        .route("/livez", get(async || "alive\n"))
        .route("/readyz", get(ready))
        .with_state(Served { sources, recorder: recorder.clone(), progress });
    let task = Box::pin(async move {
        let watching = note_progress(head, progressed);
        let serving = axum::serve(listener, app).with_graceful_shutdown(stop.clone().cancelled_owned());
        tokio::select! {
            served = serving => if let Err(error) = served {
                tracing::error!(%error, "metrics are not served any more");
            },
            () = watching => stop.cancelled().await,
            never = add_up(recorder) => match never {},
        }
    });
    Ok(Server { address, task })
}

/// Begins to record: one recorder for the process, however many nodes run in it. What is measured before is lost.
pub fn install() -> Result<PrometheusHandle, BuildError> {
    static RECORDER: Mutex<Option<PrometheusHandle>> = Mutex::new(None);
    let mut installed = RECORDER.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(recorder) = installed.as_ref() {
        return Ok(recorder.clone());
    }
    let seconds = Matcher::Suffix("_seconds".into());
    let recorder = PrometheusBuilder::new().set_buckets_for_metric(seconds, SECONDS)?.install_recorder()?;
    #[cfg(target_os = "linux")]
    metrics_process::Collector::default().describe();
    metrics::gauge!("sealpost_build_info", "version" => env!("CARGO_PKG_VERSION")).set(1.0);
    *installed = Some(recorder.clone());
    Ok(recorder)
}

/// Keeps memory bounded where nobody asks for metrics: until it is added up, each duration is kept by itself.
async fn add_up(recorder: PrometheusHandle) -> Infallible {
    loop {
        tokio::time::sleep(ADD_UP).await;
        recorder.run_upkeep();
    }
}

/// Remembers when the head last moved.
async fn note_progress(mut head: watch::Receiver<BlockHeight>, progressed: watch::Sender<Instant>) {
    while head.changed().await.is_ok() {
        progressed.send_replace(Instant::now());
    }
}

/// What the metrics of this moment are.
async fn measured(State(served): State<Served>) -> String {
    let Served { sources, recorder, progress } = served;
    let (health, age) = (sources.health.now(), progress.borrow().elapsed());
    let flag = |set: bool| if set { 1.0 } else { 0.0 };
    metrics::gauge!("sealpost_node_deciding").set(flag(health.deciding));
    metrics::gauge!("sealpost_node_syncing").set(flag(health.syncing));
    metrics::gauge!("sealpost_consensus_height").set(sources.head.borrow().get() as f64);
    metrics::gauge!("sealpost_consensus_block_age_seconds").set(age.as_secs_f64());
    metrics::gauge!("sealpost_consensus_heartbeat_seconds").set(sources.heartbeat().as_secs_f64());
    metrics::gauge!("sealpost_equivocations").set(sources.store.equivocation_count() as f64);
    metrics::gauge!("sealpost_disk_floor_bytes").set(sources.disk_floor_bytes as f64);
    if let Some(free) = sources.disk_free().await {
        metrics::gauge!("sealpost_disk_free_bytes").set(free as f64);
    }
    #[cfg(target_os = "linux")]
    metrics_process::Collector::default().collect();
    recorder.render()
}

impl Sources {
    /// The longest pause between two blocks of an idle network.
    fn heartbeat(&self) -> Duration {
        Duration::from_millis(self.store.tip().genesis_file().timing().heartbeat_ms.into())
    }
    /// Free bytes where the ledger lies; nothing if the system does not say. A disk on a network may let wait.
    async fn disk_free(&self) -> Option<u64> {
        let data = self.data.clone();
        let found = tokio::task::spawn_blocking(move || disk::free_bytes(&data)).await;
        found.ok()?.inspect_err(|error| tracing::debug!(%error, "the disk does not say how full it is")).ok()
    }
}

/// Ready to serve: the chain goes on, and this node with it. Not ready is answered with 503 and the check that failed.
async fn ready(State(served): State<Served>) -> impl IntoResponse {
    let Served { sources, progress, .. } = served;
    let (height, age) = (*sources.head.borrow(), progress.borrow().elapsed());
    let (chain, limit) = (height > BlockHeight::GENESIS, sources.heartbeat().saturating_mul(3));
    let (health, alone) = (sources.health.now(), sources.store.tip().validators().count() == 1);
    let (free, floor) = (sources.disk_free().await, sources.disk_floor_bytes);
    let checks = [
        Check {
            name: "synced",
            ok: !health.syncing,
            detail: format!("the last final block here is {height}, others claim {}", health.target),
        },
        Check {
            name: "peers",
            // The only validator of a network decides alone.
            ok: health.peers > 0 || !health.needs_peers || (health.deciding && alone),
            detail: format!("{} peers are connected", health.peers),
        },
        Check { name: "chain", ok: chain, detail: format!("the last final block is {height}") },
        Check {
            name: "progress",
            ok: age <= limit,
            detail: format!("the last block came {} s ago, {} s are allowed", age.as_secs(), limit.as_secs()),
        },
        Check {
            name: "disk",
            // A disk that does not say how full it is stops nobody.
            ok: free.is_none_or(|free| free >= floor),
            detail: match free {
                Some(free) => format!("{free} bytes are free, {floor} are wanted (disk_floor_mib)"),
                None => "the system does not say how much is free".to_owned(),
            },
        },
    ];
    let ok = checks.iter().all(|check| check.ok);
    let status = if ok { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    (status, Json(serde_json::json!({ "ready": ok, "checks": checks })))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::health::Health;
    use crate::store::StoreOptions;
    use crate::store::testing::Chain;

    /// Longest wait for what is added up every five seconds.
    const PATIENCE: Duration = Duration::from_secs(60);

    /// Each duration takes sixteen bytes until it is added up, and a flood measures millions.
    #[tokio::test]
    async fn what_nobody_asks_for_is_added_up_all_the_same() {
        let (folder, chain) = (tempfile::tempdir().unwrap(), Chain::new("measured"));
        let (_moves, head) = watch::channel(BlockHeight::GENESIS);
        let opened = Store::open(folder.path(), chain.genesis.clone(), StoreOptions::default());
        let health = Health { deciding: true, syncing: false, target: 0, peers: 0, needs_peers: false };
        let sources = Sources {
            store: opened.unwrap().0,
            data: folder.path().to_owned(),
            disk_floor_bytes: 0,
            head,
            health: HealthSource::new(move || health),
        };
        // Of its own: who asks the node of another test for metrics adds up the process' recorder.
        let recorder = PrometheusBuilder::new().set_buckets(SECONDS).unwrap().build_recorder();
        let stop = CancellationToken::new();
        let served = serve("127.0.0.1:0".parse().unwrap(), recorder.handle(), sources, stop.clone()).await;
        let serving = tokio::spawn(served.unwrap().task);
        metrics::with_local_recorder(&recorder, || {
            let measured = metrics::histogram!("sealpost_rpc_duration_seconds", "method" => "any");
            (0..12_347).for_each(|_| measured.record(0.001));
        });
        // Whoever renders adds up, too; the recorder's own view of itself does not.
        let added_up = async {
            while !format!("{recorder:?}").contains("count: 12347") {
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        };
        let added_up = tokio::time::timeout(PATIENCE, added_up).await;
        assert!(added_up.is_ok(), "each duration is kept by itself: {recorder:?}");
        stop.cancel();
        serving.await.unwrap();
    }
}
