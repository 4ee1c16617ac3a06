//! Lets clients in: the doors of the explorer, and what it says at them. Whoever is let in meets the router, which is
//! told the address.

use crate::limits::Limits;
use crate::metrics::{Connected, Meter};
use axum::Router;
use axum::extract::ConnectInfo;
use axum::http::Request;
use sealpost_http::{Count, Doors, Incoming, Patience, Peer, Refusal};
use std::net::SocketAddr;
use std::time::Duration;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tower::ServiceExt;

/// Longest time for the head of a request, and longest silence between two requests of a connection.
const HEAD_TIME: Duration = Duration::from_secs(5);
/// How long a reader may take nothing of what waits for it.
const TAKING: Duration = Duration::from_secs(30);
/// How long what is under way may go on when the explorer stops.
const PARTING: Duration = Duration::from_secs(2);
/// What a client is told that has as many connections as it may, whatever it asks for.
const REFUSAL: &str = "{\"type\":\"/api#explorer.connections\",\"title\":\"Too Many Requests\",\"status\":429,\
\"detail\":\"too many connections of yours are open\",\"code\":\"explorer.connections\"}";

/// Serves until it is told to stop, then finishes what is being answered.
pub(crate) async fn serve(
    listener: TcpListener,
    app: Router,
    limits: &Limits,
    meter: Meter,
    stop: CancellationToken,
) {
    let counting = meter.clone();
    tokio::select! {
        () = serve_patiently(listener, app, limits, meter, stop, TAKING) => {}
        never = counting.add_up() => match never {},
    }
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
    let refusal = Refusal::new("429 Too Many Requests", "application/problem+json", REFUSAL);
    let doors = Doors {
        connections: limits.connections,
        per_client: limits.connections_per_client,
        reserve: None,
        trusted_proxies: limits.trusted_proxies.clone(),
        // One request after another: HTTP/1 has it so.
        calls_per_connection: usize::MAX,
        patience: Patience { first: HEAD_TIME, head: HEAD_TIME, taking, parting: PARTING },
        full_for_client: refusal.clone(),
        // Who comes too late for a place waits: it is not said.
        full_for_all: refusal,
    };
    let service = |peer: &Peer| {
        let address = peer.address;
        app.clone().map_request(move |mut request: Request<Incoming>| {
            request.extensions_mut().insert(ConnectInfo::<SocketAddr>(address));
            request
        })
    };
    sealpost_http::serve(listener, &doors, meter, stop, service).await;
}

impl Count for Meter {
    type Open = Connected;
    fn opened(&self) -> Connected {
        self.connected()
    }
    fn refused(&self) {
        self.refuse();
    }
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
