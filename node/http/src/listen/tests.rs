#![allow(clippy::unwrap_used)]

use super::*;
use http_body_util::Full as Whole;
use hyper::body::Bytes;
use std::convert::Infallible;
use tokio::task::JoinHandle;
use tower::service_fn;

/// A server that answers with so many bytes, each request after all its body has come.
struct Served {
    address: SocketAddr,
    stop: CancellationToken,
    task: JoinHandle<()>,
}

struct Uncounted;

impl Count for Uncounted {
    type Open = ();
    fn opened(&self) {}
    fn refused(&self) {}
}

/// No test waits so long, unless it fails.
const LONG: Duration = Duration::from_secs(60);

fn doors() -> Doors {
    let patience = Patience { first: LONG, head: LONG, taking: LONG, parting: LONG };
    Doors {
        connections: 10,
        per_client: 2,
        reserve: Some(4),
        trusted_proxies: Vec::new(),
        calls_per_connection: 8,
        patience,
        full_for_client: Refusal::new("429 Too Many Requests", "text/plain", "yours"),
        full_for_all: Refusal::new("503 Service Unavailable", "text/plain", "all"),
    }
}

async fn served(doors: Doors, length: usize) -> Served {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (address, stop) = (listener.local_addr().unwrap(), CancellationToken::new());
    let ended = stop.clone();
    let service = move |_: &Peer| {
        service_fn(move |_: Request<Incoming>| async move {
            let body = Whole::new(Bytes::from(vec![7_u8; length]));
            Ok::<_, Infallible>(Response::new(body))
        })
    };
    let task = tokio::spawn(async move { serve(listener, &doors, Uncounted, ended, service).await });
    Served { address, stop, task }
}

impl Served {
    async fn connect(&self, from: &str) -> TcpStream {
        let socket = tokio::net::TcpSocket::new_v4().unwrap();
        socket.bind(SocketAddr::new(from.parse().unwrap(), 0)).unwrap();
        socket.connect(self.address).await.unwrap()
    }
    /// Asks, and gives the connection back with the status.
    async fn ask(&self, from: &str) -> (TcpStream, String) {
        let mut stream = self.connect(from).await;
        stream.write_all(b"GET / HTTP/1.1\r\nhost: x\r\n\r\n").await.unwrap();
        let mut begin = [0; 12];
        stream.read_exact(&mut begin).await.unwrap();
        (stream, String::from_utf8_lossy(begin.get(9..).unwrap()).into_owned())
    }
    async fn stop(self) {
        self.stop.cancel();
        self.task.await.unwrap();
    }
}

/// Ends when the other side has ended the connection; what came before is thrown away.
async fn ended(stream: &mut TcpStream) {
    let mut ignored = [0; 4096];
    let reading = async { while stream.read(&mut ignored).await.is_ok_and(|length| length > 0) {} };
    tokio::time::timeout(LONG, reading).await.unwrap();
}

#[tokio::test]
async fn a_client_has_its_share_and_neither_others_nor_this_machine_are_locked_out() {
    let server = served(doors(), 1).await;
    let mut held = Vec::new();
    for from in ["127.0.0.2", "127.0.0.2", "127.0.0.3", "127.0.0.3", "127.0.0.4", "127.0.0.4"] {
        let (stream, status) = server.ask(from).await;
        assert_eq!(status, "200", "{from}");
        held.push(stream);
    }
    assert_eq!(server.ask("127.0.0.2").await.1, "429");
    // Six of ten are taken, and the rest is the reserve.
    assert_eq!(server.ask("127.0.0.5").await.1, "503");
    for _ in 0..4 {
        let (stream, status) = server.ask("127.0.0.1").await;
        assert_eq!(status, "200");
        held.push(stream);
    }
    drop(held);
    server.stop().await;
}

#[tokio::test]
async fn who_says_nothing_is_not_waited_for() {
    let mut doors = doors();
    doors.patience.first = Duration::from_millis(50);
    let server = served(doors, 1).await;
    ended(&mut server.connect("127.0.0.2").await).await;
    server.stop().await;
}

#[tokio::test]
async fn who_dawdles_over_a_head_or_between_two_requests_is_not_waited_for() {
    let mut doors = doors();
    doors.patience.head = Duration::from_millis(50);
    let server = served(doors, 1).await;
    let mut dawdling = server.connect("127.0.0.2").await;
    dawdling.write_all(b"GET / HTTP/1.1\r\nhost:").await.unwrap();
    ended(&mut dawdling).await;
    let (mut idle, status) = server.ask("127.0.0.2").await;
    assert_eq!(status, "200");
    ended(&mut idle).await;
    server.stop().await;
}

#[tokio::test]
async fn who_says_nothing_or_never_ends_does_not_hold_up_the_end() {
    let mut doors = doors();
    doors.patience.parting = Duration::from_millis(50);
    let server = served(doors, 1).await;
    let silent = server.connect("127.0.0.2").await;
    let mut dawdling = server.connect("127.0.0.2").await;
    dawdling.write_all(b"GET / HTTP/1.1\r\nhost:").await.unwrap();
    // Both have been let in: who comes after them has been.
    drop(server.ask("127.0.0.3").await);
    tokio::time::timeout(LONG, server.stop()).await.unwrap();
    drop((silent, dawdling));
}

/// More than any system keeps for a reader.
const LONG_ANSWER: usize = 64 << 20;

#[tokio::test]
async fn who_takes_nothing_is_cut_off_once_and_for_all() {
    let mut doors = doors();
    doors.patience.taking = Duration::from_millis(50);
    (doors.connections, doors.reserve) = (1, None);
    let server = served(doors, LONG_ANSWER).await;
    let (idle, status) = server.ask("127.0.0.2").await;
    assert_eq!(status, "200");
    // There is one place. It is free again, though the client has not gone.
    let again = tokio::time::timeout(LONG, server.ask("127.0.0.2")).await.unwrap();
    assert_eq!(again.1, "200");
    drop((idle, again));
    server.stop().await;
}
