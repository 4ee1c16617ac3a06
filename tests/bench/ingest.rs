//! How many messages a network takes in: signed beforehand, sent by this process over RPC, verified, durable and final
//! when they are counted. What both cores could check and do nothing else is measured in the same run.

use crate::open_loop::connect;
use crate::people::{PEOPLE, People, WithBody};
use crate::report::{Goal, Report, quantile_ms};
use clap::Args;
use futures::future::join_all;
use http_body_util::{BodyExt, Full};
use hyper::Request;
use hyper::body::Bytes;
use hyper::client::conn::http1::SendRequest;
use jsonrpsee::http_client::HttpClientBuilder;
use rayon::prelude::*;
use sealpost_api::{NewTransaction, SealpostRpcClient};
use sealpost_ledger::certificate::CommitCertificate;
use sealpost_ledger::codec::decode;
use sealpost_ledger::height::BlockHeight;
use sealpost_ledger::signature::{Signed, verify_batch};
use sealpost_tests::harness::network::{Network, NetworkOptions, Place};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Once};
use std::time::{Duration, Instant};

#[derive(Debug, Args)]
pub(crate) struct Options {
    /// Nodes that vote
    #[arg(long, default_value_t = 1)]
    validators: usize,
    /// How long
    #[arg(long, default_value_t = 60)]
    seconds: u64,
    /// Messages a second; 0 for as many as are taken
    #[arg(long, default_value_t = 0)]
    per_second: u64,
    /// Messages signed beforehand; the run ends when there are none left
    #[arg(long, default_value_t = 1_500_000)]
    messages: u64,
    /// Bytes of each message: header, signature and body
    #[arg(long, default_value_t = 600)]
    bytes: usize,
    /// Messages of one call
    #[arg(long, default_value_t = PER_CALL)]
    per_call: usize,
    /// Calls under way at once
    #[arg(long, default_value_t = CALLS)]
    calls: usize,
    /// People who send, in turn
    #[arg(long, default_value_t = PEOPLE)]
    people: u64,
}

/// Messages of a call, and calls at once, unless told otherwise.
pub(crate) const PER_CALL: usize = 100;
pub(crate) const CALLS: usize = 32;
/// What is sent expires long after a measurement.
pub(crate) const EXPIRY: BlockHeight = BlockHeight::new(50_000);
/// Signatures that are checked to learn what this machine can.
const CHECKED: usize = 40_000;
/// Signatures of one batch.
const BATCH: usize = 256;

/// One call that is ready to be sent.
pub(crate) struct Call {
    request: Bytes,
    messages: usize,
}

pub(crate) async fn run(options: &Options) -> Report {
    let network = network(options.validators);
    let people = People::new(network.genesis(), options.people);
    let header = people.message(0, 0, EXPIRY).0.as_bytes().len();
    let body_bytes = options.bytes.saturating_sub(header);
    let count = match options.per_second {
        0 => options.messages,
        per_second => per_second * options.seconds,
    };
    let started = Instant::now();
    let make = |number| people.message(number, body_bytes, EXPIRY);
    let calls = prepare(0..count, options.per_call, make);
    let signing = started.elapsed();
    let sample: Vec<Signed> =
        (0..CHECKED as u64).into_par_iter().map(|number| make(number).0.signed()).collect();
    let single = per_second(&sample, |part| {
        assert!(part.iter().all(|s| s.key.verify(&s.digest, &s.signature).is_ok()))
    });
    let batched = per_second(&sample, |part| assert!(verify_batch(part).is_ok()));

    let cpu = |network: &Network| network.all().map(|member| network.cpu_seconds(member)).sum::<f64>();
    let client = HttpClientBuilder::default().build(network.said(0, "rpc")).expect("a client");
    // Rounds of the time when the validators were still looking for one another don't count.
    let begun = client.node_status().await.expect("a node").height;
    let before = cpu(&network);
    let hosts: Vec<String> = network.all().map(|member| host(&network.said(member, "rpc"))).collect();
    let pace = Pace { calls: options.calls, seconds: options.seconds, per_second: options.per_second };
    let mut sent = send(&hosts, calls, pace).await;
    let used = cpu(&network) - before;
    let Sent { messages, refused, seconds, .. } = sent;
    let rate = messages as f64 / seconds;

    let status = client.node_status().await.expect("a node");
    let late = in_rounds_above_0(&client, begun, status.height).await;
    if !late.is_empty() {
        eprintln!("in a round above 0, after block {begun}: {late:?}");
    }
    let mut report = Report::new(format!(
        "{} validators, messages of {} bytes by {} people, {} of them in a call, {} calls at once, {}.",
        options.validators,
        header + body_bytes,
        options.people,
        options.per_call,
        options.calls,
        if options.per_second == 0 {
            "as fast as they are taken".into()
        } else {
            format!("{} a second", options.per_second)
        },
    ));
    report.row("signing and encoding beforehand", signing.as_secs_f64(), "s");
    report.row("both cores, one signature at a time", single, "per second");
    report.row("both cores, signatures in batches of 256", batched, "per second");
    report.row("time", seconds, "s");
    report.row("final messages", messages as f64, "");
    let wanted = if options.validators == 1 { 20_000.0 } else { 4_000.0 };
    if options.per_second == 0 {
        report.goal("final messages per second", rate, "per second", Goal::AtLeast(wanted));
        if options.validators == 1 {
            report.goal("… against one signature at a time", rate / single, "", Goal::AtLeast(0.6));
            report.row("… against signatures in batches", rate / batched, "");
        }
    } else {
        report.row("final messages per second", rate, "per second");
    }
    report.goal("messages refused", refused as f64, "", Goal::AtMost(0.0));
    report.goal("blocks decided in a round above 0", late.len() as f64, "", Goal::AtMost(0.0));
    report.row("blocks", status.height.blocks_since(begun) as f64, "");
    let latency = options.per_second > 0 && options.validators == 1;
    let (median, most) = (quantile_ms(&mut sent.times, 0.5), quantile_ms(&mut sent.times, 0.99));
    if latency {
        report.goal("submit to final: median", median, "ms", Goal::AtMost(50.0));
        report.goal("submit to final: 99 of 100", most, "ms", Goal::AtMost(250.0));
    } else {
        report.row("submit to final: median", median, "ms");
        report.row("submit to final: 99 of 100", most, "ms");
    }
    report.row("nodes: processor time for a message", used / messages as f64 * 1e6, "µs");
    let bytes = (header + body_bytes) * messages;
    let peak = network.all().map(|member| network.peak_memory_kib(member)).max().unwrap_or(0);
    report.goal("peak memory of a node", peak as f64 / 1024.0, "MiB", Goal::AtMost(512.0));
    let own = network.all().map(|member| network.own_memory_kib(member)).max().unwrap_or(0);
    report.row("… of its own at the end, without mapped files", own as f64 / 1024.0, "MiB");
    let disk = folder_bytes(&network.home(0).join("node/data"));
    report.row("disk, against the bytes of the messages", disk as f64 / bytes as f64, "");
    report
}

/// Messages per second that one validator takes in, as [`run`] measures them.
pub(crate) async fn rate(seconds: u64, bytes: usize) -> f64 {
    let network = network(1);
    let people = People::new(network.genesis(), PEOPLE);
    let header = people.message(0, 0, EXPIRY).0.as_bytes().len();
    let make = |number| people.message(number, bytes.saturating_sub(header), EXPIRY);
    // More than it takes.
    let calls = prepare(0..seconds * 50_000, PER_CALL, make);
    let pace = Pace { calls: CALLS, seconds, per_second: 0 };
    let sent = send(&[host(&network.said(0, "rpc"))], calls, pace).await;
    assert_eq!(sent.refused, 0, "some messages were refused");
    sent.messages as f64 / sent.seconds
}

/// A network whose rules take floods for nothing.
pub(crate) fn network(validators: usize) -> Network {
    let name = "measured".to_owned();
    let place = Place::Loopback;
    let options = NetworkOptions { name, validators, full_nodes: 0, place, heartbeat_ms: None };
    let mut network = Network::create(&options).with_rules(free_of_postage);
    network.start_members(&network.all().collect::<Vec<_>>());
    network
}

/// Rules under which a flood of messages costs their senders nothing, as if all were members: what is measured is the
/// network, not the price that keeps such floods away.
fn free_of_postage(rules: &mut serde_json::Value) {
    rules["limits"]["block_bytes"] = (8 << 20).into();
    rules["postage"]["strangers_percent"] = 100.into();
    rules["postage"]["floor"] = 0.into();
}

/// Signs messages and puts them into calls.
pub(crate) fn prepare(
    numbers: std::ops::Range<u64>,
    per_call: usize,
    make: impl Fn(u64) -> WithBody + Sync,
) -> Vec<Call> {
    let numbers: Vec<u64> = numbers.collect();
    let chunks = numbers.par_chunks(per_call);
    let call = |chunk: &[u64]| call(&chunk.iter().map(|number| make(*number)).collect::<Vec<_>>(), "final");
    chunks.map(call).collect()
}

/// The same for calls that are answered when the messages are in the mempool.
pub(crate) fn prepare_accepted(
    numbers: std::ops::Range<u64>,
    per_call: usize,
    make: impl Fn(u64) -> WithBody + Sync,
) -> Vec<Bytes> {
    let numbers: Vec<u64> = numbers.collect();
    let chunks = numbers.par_chunks(per_call);
    let call =
        |chunk: &[u64]| call(&chunk.iter().map(|number| make(*number)).collect::<Vec<_>>(), "accepted");
    chunks.map(|chunk| call(chunk).request).collect()
}

/// How calls are sent.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Pace {
    /// Under way at once.
    pub(crate) calls: usize,
    /// How long.
    pub(crate) seconds: u64,
    /// Messages; 0 for as many as are taken.
    pub(crate) per_second: u64,
}

/// What became of all calls.
pub(crate) struct Sent {
    pub(crate) messages: usize,
    pub(crate) refused: usize,
    pub(crate) seconds: f64,
    pub(crate) times: Vec<Duration>,
}

pub(crate) fn host(rpc: &str) -> String {
    rpc.trim_start_matches("http://").trim_end_matches('/').to_owned()
}

/// A call as it is sent, and what it is to be answered after.
fn call(messages: &[WithBody], wait: &str) -> Call {
    let new = messages.iter().map(|(transaction, body)| NewTransaction::new(transaction, body.as_ref()));
    let transactions: Vec<NewTransaction> = new.collect();
    let params = serde_json::json!({"transactions": transactions, "wait": wait});
    let request = serde_json::json!({"jsonrpc": "2.0", "id": 1, "method": "tx_submitMany", "params": params});
    Call { request: request.to_string().into(), messages: messages.len() }
}

/// Checks per second on all cores, in batches of [`BATCH`].
fn per_second(signed: &[Signed], check: impl Fn(&[Signed]) + Sync + Send) -> f64 {
    let started = Instant::now();
    signed.par_chunks(BATCH).for_each(check);
    signed.len() as f64 / started.elapsed().as_secs_f64()
}

/// What became of a call.
struct Done {
    accepted: usize,
    refused: usize,
    /// From when it was sent, or was to be sent.
    took: Duration,
    at: Instant,
}

pub(crate) async fn send(hosts: &[String], calls: Vec<Call>, how: Pace) -> Sent {
    let (calls, next) = (Arc::new(calls), Arc::new(AtomicUsize::new(0)));
    let start = Instant::now();
    let end = start + Duration::from_secs(how.seconds);
    let per_call = calls.first().map_or(0, |call| call.messages);
    let pace = (how.per_second > 0).then(|| Duration::from_secs_f64(per_call as f64 / how.per_second as f64));
    let workers = (0..how.calls).map(|worker| {
        let (calls, next) = (calls.clone(), next.clone());
        let host = hosts[worker % hosts.len()].clone();
        tokio::spawn(async move {
            let mut connection: Connection = connect(&host).await;
            let mut done = Vec::new();
            loop {
                let number = next.fetch_add(1, Ordering::Relaxed);
                let Some(call) = calls.get(number) else { return done };
                let mut due = Instant::now();
                if let Some(pace) = pace {
                    due = start + pace.mul_f64(number as f64);
                    tokio::time::sleep_until(due.into()).await;
                } else if due > end {
                    return done;
                }
                let accepted = ask(&mut connection, &host, call.request.clone()).await;
                let (took, refused) = (due.elapsed(), call.messages.saturating_sub(accepted));
                done.push(Done { accepted, refused, took, at: Instant::now() });
            }
        })
    });
    let done = join_all(workers.collect::<Vec<_>>()).await;
    let done: Vec<Done> = done.into_iter().flat_map(|worker| worker.expect("a sender that ends")).collect();
    let last = done.iter().map(|done| done.at).max();
    Sent {
        messages: done.iter().map(|done| done.accepted).sum(),
        refused: done.iter().map(|done| done.refused).sum(),
        seconds: last.map_or(0.0, |last| (last - start).as_secs_f64()),
        times: done.iter().map(|done| done.took).collect(),
    }
}

type Connection = SendRequest<Full<Bytes>>;

/// Sends a call; how many of its messages are final.
async fn ask(connection: &mut Connection, host: &str, request: Bytes) -> usize {
    connection.ready().await.expect("an open connection");
    let request = Request::post("/")
        .header("host", host)
        .header("content-type", "application/json")
        .body(Full::new(request))
        .expect("a request");
    let response = connection.send_request(request).await.expect("an answer");
    let answer = response.into_body().collect().await.expect("a whole answer").to_bytes();
    let text = std::str::from_utf8(&answer).expect("JSON");
    // Not parsed: that would be this process' work, on the cores that are measured.
    let accepted = text.matches("\"status\":\"final\"").count();
    if let Some((_, error)) = text.split_once("\"error\":") {
        static TOLD: Once = Once::new();
        TOLD.call_once(|| eprintln!("the first refusal: {}", error.chars().take(300).collect::<String>()));
    }
    accepted
}

/// The blocks after one, up to another, that were decided in a round above 0.
async fn in_rounds_above_0(
    client: &impl SealpostRpcClient,
    after: BlockHeight,
    last: BlockHeight,
) -> Vec<u64> {
    let (mut from, mut above) = (after.saturating_add(1), Vec::new());
    while from <= last {
        let headers = client.chain_headers(from, sealpost_api::MAX_HEADERS).await.expect("headers");
        if headers.is_empty() {
            break;
        }
        for header in headers {
            let certificate: CommitCertificate =
                decode("certificate", header.certificate.as_bytes(), 1 << 20).expect("a certificate");
            if certificate.round > 0 {
                above.push(from.get());
            }
            from = from.saturating_add(1);
        }
    }
    above
}

/// Bytes of all files of a folder, as they count on the disk.
pub(crate) fn folder_bytes(folder: &std::path::Path) -> u64 {
    use std::os::unix::fs::MetadataExt;
    let entries = std::fs::read_dir(folder).expect("a folder").map(|entry| entry.expect("an entry"));
    let bytes = |entry: std::fs::DirEntry| {
        let about = entry.metadata().expect("a file");
        if about.is_dir() { folder_bytes(&entry.path()) } else { about.blocks() * 512 }
    };
    entries.map(bytes).sum()
}
