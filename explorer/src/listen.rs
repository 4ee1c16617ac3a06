//! Accepts connections: so many at once and no more, so many of each client, each with a time limit for the head of a
//! request, so that nobody holds one by sending it a byte at a time, and for the reader of an answer, so that nobody
//! holds one by taking nothing. (axum's own loop has none of these.)

use crate::limits::{Client, Full, Limits, Place, Places, is_trusted};
use crate::metrics::Meter;
use axum::Router;
use axum::extract::ConnectInfo;
use axum::http::Request;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::GracefulShutdown;
use hyper_util::service::TowerToHyperService;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
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
/// What a client is told that has as many connections as it may, whatever it asks for.
const REFUSAL: &[u8] = b"HTTP/1.1 429 Too Many Requests\r\ncontent-type: application/problem+json\r\n\
content-length: 157\r\ncache-control: no-store\r\nretry-after: 5\r\nconnection: close\r\n\r\n\
{\"type\":\"/api#explorer.connections\",\"title\":\"Too Many Requests\",\"status\":429,\
\"detail\":\"too many connections of yours are open\",\"code\":\"explorer.connections\"}";
/// Refused connections that are waited for at once, until the client has taken the refusal; others are just closed.
const REFUSALS: usize = 64;
/// Longest time for a client to take its refusal.
const REFUSAL_TIME: Duration = Duration::from_secs(1);
/// Pause after the system refused a connection, usually because too many files are open.
const PAUSE: Duration = Duration::from_millis(200);

/// Serves until it is told to stop, then finishes what is being answered.
pub(crate) async fn serve(
    listener: TcpListener,
    app: Router,
    limits: &Limits,
    meter: Meter,
    stop: CancellationToken,
) {
    serve_patiently(listener, app, limits, meter, stop, TAKING).await;
}

/// The same with another time for readers that take nothing.
async fn serve_patiently(
    listener: TcpListener,
    app: Router,
    limits: &Limits,
    meter: Meter,
    stop: CancellationToken,
    taking: Duration,
) {
    let places = Arc::new(Semaphore::new(limits.connections));
    // Those of all are counted by the places.
    let clients = Places::new(usize::MAX, limits.connections_per_client);
    let refusals = Arc::new(Semaphore::new(REFUSALS));
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
        let Ok(own) = enter(&clients, peer.ip(), limits) else {
            meter.refused();
            refuse(stream, &refusals);
            continue;
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
            drop((place, own, counted));
        });
    }
    drop(listener);
    graceful.shutdown().await;
}

/// A place for a client's connection. What a trusted proxy brings is many clients': it bounds them itself.
fn enter(clients: &Places, peer: IpAddr, limits: &Limits) -> Result<Option<Place>, Full> {
    if is_trusted(peer, &limits.trusted_proxies) {
        return Ok(None);
    }
    clients.enter(Client::new(peer)).map(Some)
}

/// Says why the connection is closed, and closes it. What the client sends meanwhile is thrown away: closed over unread
/// bytes, a connection ends with a reset, and the client may not see what was said.
fn refuse(mut stream: TcpStream, refusals: &Arc<Semaphore>) {
    let Ok(waiting) = refusals.clone().try_acquire_owned() else { return };
    tokio::spawn(async move {
        let said = async {
            stream.write_all(REFUSAL).await?;
            stream.shutdown().await?;
            let mut ignored = [0; 1024];
            while stream.read(&mut ignored).await? > 0 {}
            std::io::Result::Ok(())
        };
        // Whoever broke off needs no reason.
        let _ = tokio::time::timeout(REFUSAL_TIME, said).await;
        drop(waiting);
    });
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
        let limits = Limits { connections: 1, ..Limits::default() };
        let ended = stop.clone();
        let serving =
            tokio::spawn(async move { serve_patiently(listener, app, &limits, meter, ended, taking).await });
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
    /// Asks from an address of this machine, and says how the answer begins.
    async fn begins(server: SocketAddr, from: &str) -> (TcpStream, String) {
        let socket = tokio::net::TcpSocket::new_v4().unwrap();
        socket.bind(SocketAddr::new(from.parse().unwrap(), 0)).unwrap();
        let mut stream = socket.connect(server).await.unwrap();
        stream.write_all(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n").await.unwrap();
        let mut begin = [0; 12];
        stream.read_exact(&mut begin).await.unwrap();
        (stream, String::from_utf8(begin.to_vec()).unwrap())
    }

    #[tokio::test]
    async fn each_client_has_so_many_connections_and_a_trusted_proxy_all() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let app = Router::new().route("/", get(async || "here"));
        let (meter, stop) = (Meter::new().unwrap(), CancellationToken::new());
        let trusted_proxies = vec!["127.0.0.9/32".parse().unwrap()];
        let limits = Limits { connections_per_client: 2, trusted_proxies, ..Limits::default() };
        let (counting, ended) = (meter.clone(), stop.clone());
        let serving = tokio::spawn(async move { serve(listener, app, &limits, counting, ended).await });
        let (one, other, proxy) = ("127.0.0.2", "127.0.0.3", "127.0.0.9");
        let mut held = Vec::new();
        for from in [one, one, other, proxy, proxy, proxy] {
            let (stream, begin) = begins(address, from).await;
            assert_eq!(begin, "HTTP/1.1 200", "{from}");
            held.push(stream);
        }
        // Refused with a word, and closed: whole, as its length says, and nothing after it.
        let (mut refused, begin) = begins(address, one).await;
        assert_eq!(begin, "HTTP/1.1 429");
        let mut rest = String::new();
        refused.read_to_string(&mut rest).await.unwrap();
        let (head, body) = rest.split_once("\r\n\r\n").unwrap();
        assert!(head.contains(&format!("content-length: {}\r\n", body.len())), "{head}");
        let said: serde_json::Value = serde_json::from_str(body).unwrap();
        assert_eq!(said.get("code").unwrap(), "explorer.connections");
        let numbers = || meter.render(crate::metrics::Now::default());
        let numbers = numbers();
        assert!(numbers.contains("\nsealpost_explorer_connections_refused_total 1\n"), "{numbers}");
        // Who closes one may open one. The place comes back a moment later.
        drop(held.remove(0));
        let again = async {
            while begins(address, one).await.1 != "HTTP/1.1 200" {
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(Duration::from_secs(60), again).await.unwrap();
        drop(held);
        stop.cancel();
        serving.await.unwrap();
    }
}
