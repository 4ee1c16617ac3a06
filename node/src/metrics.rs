//! Metrics in Prometheus' text format, and health: `/metrics`, `/livez` and `/readyz` on a port of their own.

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
use std::net::SocketAddr;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};
use thiserror::Error;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

/// Bounds of the histograms' buckets, in seconds.
const SECONDS: &[f64] =
    &[0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0];

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
pub struct Served {
    /// Where it listens.
    pub address: SocketAddr,
    /// Serves until the node stops.
    pub task: futures::future::BoxFuture<'static, ()>,
}

#[derive(Clone)]
struct Readiness {
    store: Store,
    recorder: PrometheusHandle,
    head: watch::Receiver<BlockHeight>,
    progress: watch::Receiver<Instant>,
    health: HealthSource,
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
    store: Store,
    head: watch::Receiver<BlockHeight>,
    health: HealthSource,
    stop: CancellationToken,
) -> Result<Served, MetricsError> {
    let recorder = recorder()?;
    let failed = |source| MetricsError::Listen { listen, source };
    let listener = tokio::net::TcpListener::bind(listen).await.map_err(failed)?;
    let address = listener.local_addr().map_err(failed)?;
    let (progressed, progress) = watch::channel(Instant::now());
    let readiness = Readiness { store, recorder, head: head.clone(), progress, health };
    let app = Router::new()
        .route("/metrics", get(async |State(readiness): State<Readiness>| readiness.recorder.render()))
        .route("/livez", get(async || "alive\n"))
        .route("/readyz", get(ready))
        .with_state(readiness);
    let task = Box::pin(async move {
        let watching = note_progress(head, progressed);
        let serving = axum::serve(listener, app).with_graceful_shutdown(stop.clone().cancelled_owned());
        tokio::select! {
            served = serving => if let Err(error) = served {
                tracing::error!(%error, "metrics are not served any more");
            },
            () = watching => stop.cancelled().await,
        }
    });
    Ok(Served { address, task })
}

/// One recorder for the process, however many nodes run in it.
fn recorder() -> Result<PrometheusHandle, BuildError> {
    static RECORDER: Mutex<Option<PrometheusHandle>> = Mutex::new(None);
    let mut installed = RECORDER.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(recorder) = installed.as_ref() {
        return Ok(recorder.clone());
    }
    let seconds = Matcher::Suffix("_seconds".into());
    let recorder = PrometheusBuilder::new().set_buckets_for_metric(seconds, SECONDS)?.install_recorder()?;
    metrics::gauge!("sealpost_build_info", "version" => env!("CARGO_PKG_VERSION")).set(1.0);
    *installed = Some(recorder.clone());
    Ok(recorder)
}

/// Remembers when the head last moved.
async fn note_progress(mut head: watch::Receiver<BlockHeight>, progressed: watch::Sender<Instant>) {
    while head.changed().await.is_ok() {
        progressed.send_replace(Instant::now());
    }
}

/// Ready to serve: the chain goes on, and this node with it. Not ready is answered with 503 and the check that failed.
async fn ready(State(readiness): State<Readiness>) -> impl IntoResponse {
    let heartbeat = Duration::from_millis(readiness.store.tip().genesis_file().timing().heartbeat_ms.into());
    let (height, age) = (*readiness.head.borrow(), readiness.progress.borrow().elapsed());
    let (chain, limit) = (height > BlockHeight::GENESIS, heartbeat.saturating_mul(3));
    let (health, alone) = (readiness.health.now(), readiness.store.tip().validators().count() == 1);
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
    ];
    let ok = checks.iter().all(|check| check.ok);
    let status = if ok { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    (status, Json(serde_json::json!({ "ready": ok, "checks": checks })))
}
