//! Accepts connections: so many at once and no more, each with a time limit for the head of a request, so that nobody
//! holds one by sending it a byte at a time, and for the reader of an answer, so that nobody holds one by taking
//! nothing. (axum's own loop has none of these.)

use crate::metrics::Meter;
use axum::Router;
use axum::extract::ConnectInfo;
use axum::http::Request;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::GracefulShutdown;
use hyper_util::service::TowerToHyperService;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use tokio_io_timeout::TimeoutStream;
use tokio_util::sync::CancellationToken;
use tower::ServiceExt;

/// Longest time for the head of a request, and longest silence between two requests of a connection.
const HEAD_TIME: Duration = Duration::from_secs(5);
/// How long a reader may take nothing of what waits for it.
const TAKING: Duration = Duration::from_secs(30);
/// Most header lines of a request.
const MAX_HEADERS: usize = 64;
/// Largest head of a request, in bytes.
const MAX_HEAD_BYTES: usize = 32 << 10;
/// Pause after the system refused a connection, usually because too many files are open.
const PAUSE: Duration = Duration::from_millis(200);

/// Serves until it is told to stop, then finishes what is being answered.
pub(crate) async fn serve(
    listener: TcpListener,
    app: Router,
    connections: usize,
    meter: Meter,
    stop: CancellationToken,
) {
    serve_patiently(listener, app, connections, meter, stop, TAKING).await;
}

/// The same with another time for readers that take nothing.
async fn serve_patiently(
    listener: TcpListener,
    app: Router,
    connections: usize,
    meter: Meter,
    stop: CancellationToken,
    taking: Duration,
) {
    let places = Arc::new(Semaphore::new(connections));
    let graceful = GracefulShutdown::new();
    loop {
        // Who comes when all places are taken waits in the system's queue.
        let accepted = tokio::select! {
            () = stop.cancelled() => break,
            accepted = async {
                let place = places.clone().acquire_owned().await.ok()?;
                Some((listener.accept().await, place))
            } => accepted,
        };
        let Some((accepted, place)) = accepted else { break };
        let (stream, peer) = match accepted {
            Ok(accepted) => accepted,
            Err(error) => {
                tracing::debug!(%error, "a connection was not accepted");
                tokio::time::sleep(PAUSE).await;
                continue;
            }
        };
        let service = app.clone().map_request(move |mut request: Request<Incoming>| {
            request.extensions_mut().insert(ConnectInfo::<SocketAddr>(peer));
            request
        });
        let mut builder = http1::Builder::new();
        builder.timer(TokioTimer::new()).header_read_timeout(HEAD_TIME);
        builder.max_headers(MAX_HEADERS).max_buf_size(MAX_HEAD_BYTES);
        let mut stream = TimeoutStream::new(stream);
        stream.set_write_timeout(Some(taking));
        let stream = TokioIo::new(Box::pin(stream));
        let connection = builder.serve_connection(stream, TowerToHyperService::new(service));
        let (connection, counted) = (graceful.watch(connection), meter.connected());
        tokio::spawn(async move {
            if let Err(error) = connection.await {
                tracing::debug!(%error, "a connection broke off");
            }
            drop((place, counted));
        });
    }
    drop(listener);
    graceful.shutdown().await;
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use axum::routing::get;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpStream;

    /// There is one place. Who takes nothing of a long answer loses it to the one who waits.
    #[tokio::test]
    async fn who_takes_nothing_of_an_answer_loses_the_place() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let app = Router::new()
            .route("/long", get(async || vec![7_u8; 64 << 20]))
            .route("/short", get(async || "here"));
        let (meter, stop) = (Meter::new().unwrap(), CancellationToken::new());
        let taking = Duration::from_millis(200);
        let serving = tokio::spawn(serve_patiently(listener, app, 1, meter, stop.clone(), taking));
        let ask = async |path: &str| {
            let mut stream = TcpStream::connect(address).await.unwrap();
            let request = format!("GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
            stream.write_all(request.as_bytes()).await.unwrap();
            stream
        };
        let mut idle = ask("/long").await;
        // It has begun.
        assert_eq!(idle.read_u8().await.unwrap(), b'H');
        let mut answer = String::new();
        let mut waiting = ask("/short").await;
        let answered = waiting.read_to_string(&mut answer);
        let answered = tokio::time::timeout(Duration::from_secs(60), answered).await;
        assert!(answered.is_ok(), "the place was not given up");
        assert!(answer.ends_with("here"), "{answer}");
        drop(idle);
        stop.cancel();
        serving.await.unwrap();
    }
}
