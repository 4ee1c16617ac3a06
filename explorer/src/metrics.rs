//! What this explorer does, in Prometheus' text format, on `/metrics`. Its numbers are its own, however many explorers
//! and nodes run in one process. No address, id or client is a label.

use crate::reader::Counted;
use axum::extract::{MatchedPath, Request, State};
use axum::middleware::Next;
use axum::response::Response;
use metrics_exporter_prometheus::{BuildError, Matcher, PrometheusBuilder, PrometheusRecorder};
use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

/// Bounds of the histograms' buckets, in seconds.
const SECONDS: &[f64] = &[0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0];

/// How often durations are added up when nobody asks for them.
const ADD_UP: Duration = Duration::from_secs(5);

/// Counts. Cloning it copies a reference.
#[derive(Clone)]
pub(crate) struct Meter {
    recorder: Arc<PrometheusRecorder>,
    connections: Arc<AtomicUsize>,
    /// Connections refused.
    refused: Arc<AtomicU64>,
}

/// Held as long as a connection is open.
pub(crate) struct Connected(Arc<AtomicUsize>);

impl Drop for Connected {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// What is read when somebody asks.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Now {
    /// The last final block that the node told and that was verified.
    pub(crate) height: u64,
    /// Open streams of events.
    pub(crate) streams: usize,
    /// What was asked of the node, and what was not because it was kept.
    pub(crate) reader: Counted,
}

impl Meter {
    pub(crate) fn new() -> Result<Self, BuildError> {
        let seconds = Matcher::Suffix("_seconds".into());
        let recorder = PrometheusBuilder::new().set_buckets_for_metric(seconds, SECONDS)?.build_recorder();
        Ok(Self { recorder: Arc::new(recorder), connections: Arc::default(), refused: Arc::default() })
    }
    /// Counts a connection.
    pub(crate) fn connected(&self) -> Connected {
        self.connections.fetch_add(1, Ordering::Relaxed);
        Connected(self.connections.clone())
    }
    /// Counts a connection that was refused because its client has too many.
    pub(crate) fn refuse(&self) {
        self.refused.fetch_add(1, Ordering::Relaxed);
    }
    /// Keeps memory bounded where nobody asks for numbers: until it is added up, each duration is kept by itself.
    pub(crate) async fn add_up(&self) -> Infallible {
        let recorder = self.recorder.handle();
        loop {
            tokio::time::sleep(ADD_UP).await;
            recorder.run_upkeep();
        }
    }
    /// All numbers as text.
    pub(crate) fn render(&self, now: Now) -> String {
        metrics::with_local_recorder(&*self.recorder, || {
            metrics::gauge!("sealpost_build_info", "version" => env!("CARGO_PKG_VERSION")).set(1.0);
            metrics::gauge!("sealpost_explorer_height").set(now.height as f64);
            metrics::gauge!("sealpost_explorer_streams").set(now.streams as f64);
            let connections = self.connections.load(Ordering::Relaxed);
            metrics::gauge!("sealpost_explorer_connections").set(connections as f64);
            let refused = self.refused.load(Ordering::Relaxed);
            metrics::counter!("sealpost_explorer_connections_refused_total").absolute(refused);
            told_of_reader(&now.reader);
            #[cfg(target_os = "linux")]
            {
                let collector = metrics_process::Collector::default();
                collector.describe();
                collector.collect();
            }
        });
        self.recorder.handle().render()
    }
}

fn told_of_reader(reader: &Counted) {
    metrics::counter!("sealpost_explorer_node_questions_total").absolute(reader.questions);
    metrics::counter!("sealpost_explorer_node_errors_total").absolute(reader.unanswered);
    metrics::counter!("sealpost_explorer_checks_refused_total").absolute(reader.refused_checks);
    for (kind, (kept, missing)) in [("headers", reader.headers), ("blocks", reader.blocks)] {
        for (result, count) in [("kept", kept), ("missing", missing)] {
            metrics::counter!("sealpost_explorer_cache_total", "kind" => kind, "result" => result)
                .absolute(count);
        }
    }
}

/// Counts requests by the route, not by what was asked for.
pub(crate) async fn measure(State(meter): State<Meter>, request: Request, next: Next) -> Response {
    let route = request.extensions().get::<MatchedPath>().map(MatchedPath::as_str);
    let route = route.unwrap_or("unknown").to_owned();
    let began = Instant::now();
    let response = next.run(request).await;
    let status = response.status().as_u16().to_string();
    metrics::with_local_recorder(&*meter.recorder, || {
        let seconds = began.elapsed().as_secs_f64();
        metrics::histogram!("sealpost_http_duration_seconds", "route" => route.clone()).record(seconds);
        metrics::counter!("sealpost_http_requests_total", "route" => route, "status" => status).increment(1);
    });
    response
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::limits::Limits;
    use axum::Router;
    use tokio::net::TcpListener;
    use tokio_util::sync::CancellationToken;

    /// Longest wait for what is added up every five seconds.
    const PATIENCE: Duration = Duration::from_secs(60);

    #[tokio::test]
    async fn what_nobody_asks_for_is_added_up_all_the_same() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let (meter, stop) = (Meter::new().unwrap(), CancellationToken::new());
        let (counting, ended) = (meter.clone(), stop.clone());
        let serving = tokio::spawn(async move {
            crate::listen::serve(listener, Router::new(), &Limits::default(), counting, ended).await;
        });
        metrics::with_local_recorder(&*meter.recorder, || {
            let measured = metrics::histogram!("sealpost_http_duration_seconds", "route" => "/");
            (0..12_347).for_each(|_| measured.record(0.001));
        });
        // Whoever renders adds up, too; the recorder's own view of itself does not.
        let added_up = async {
            while !format!("{:?}", meter.recorder).contains("count: 12347") {
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        };
        let added_up = tokio::time::timeout(PATIENCE, added_up).await;
        assert!(added_up.is_ok(), "each duration is kept by itself: {:?}", meter.recorder);
        stop.cancel();
        serving.await.unwrap();
    }
}
