//! Whether a node stays as fast as its ledger grows: the same questions and the same load over a short ledger and over
//! a long one.

use crate::filled::{self, Length};
use crate::ingest::{CALLS, PER_CALL, Pace, folder_bytes, host, prepare, send};
use crate::people::{PEOPLE, People};
use crate::report::{Goal, Report, quantile_ms};
use clap::Args;
use jsonrpsee::http_client::HttpClientBuilder;
use sealpost_api::{MailboxQuery, MailboxSide, Order, SealpostRpcClient};
use sealpost_ledger::height::BlockHeight;
use sealpost_node::home::Home;
use sealpost_tests::Server;
use sealpost_tests::harness::random::Random;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

#[derive(Debug, Args)]
pub(crate) struct Options {
    /// Messages of the short ledger
    #[arg(long, default_value_t = 100_000)]
    short: u64,
    /// Messages of the long ledger
    #[arg(long, default_value_t = 10_000_000)]
    long: u64,
    /// Messages in each block
    #[arg(long, default_value_t = 1_000)]
    per_block: u64,
    /// Bytes of each message's encrypted body
    #[arg(long, default_value_t = 250)]
    body_bytes: usize,
    /// Keeps the ledgers in this folder and takes them from there the next time
    #[arg(long)]
    folder: Option<PathBuf>,
    /// Lookups of each kind
    #[arg(long, default_value_t = 10_000)]
    lookups: usize,
    /// Seconds of load
    #[arg(long, default_value_t = 20)]
    seconds: u64,
    /// Messages that are ready to be sent in that time
    #[arg(long, default_value_t = 500_000)]
    load: u64,
}

/// What was measured over one ledger.
struct Measured {
    start_ms: f64,
    by_id: [f64; 2],
    by_address: [f64; 2],
    ingest: f64,
    peak_mib: f64,
    own_mib: f64,
    disk: f64,
}

pub(crate) async fn run(options: &Options) -> Report {
    let temporary = tempfile::tempdir().expect("a folder");
    let folder = options.folder.clone().unwrap_or_else(|| temporary.path().to_owned());
    let mut report = Report::new(format!(
        "A ledger of {} messages and one of {}, in blocks of {}; a tenth answered.",
        options.short, options.long, options.per_block
    ));
    let mut both = Vec::new();
    for messages in [options.short, options.long] {
        let length = Length { messages, per_block: options.per_block, body_bytes: options.body_bytes };
        both.push(measure(&folder.join(messages.to_string()), length, options).await);
    }
    let [short, long] = &both[..] else { unreachable!("two lengths") };
    let mut pair = |what: &str, value: fn(&Measured) -> f64, unit: &'static str, goal: Option<Goal>| {
        report.row(format!("{what}: short"), value(short), unit);
        match goal {
            Some(goal) => report.goal(format!("{what}: long"), value(long), unit, goal),
            None => report.row(format!("{what}: long"), value(long), unit),
        }
    };
    pair("start until ready, journal warm", |m| m.start_ms, "ms", Some(Goal::AtMost(3_000.0)));
    pair("lookup by id, over RPC: median", |m| m.by_id[0], "ms", None);
    pair("lookup by id, over RPC: 99 of 100", |m| m.by_id[1], "ms", Some(Goal::AtMost(2.0)));
    pair("ten newest of an address, over RPC: median", |m| m.by_address[0], "ms", None);
    pair("ten newest of an address, over RPC: 99 of 100", |m| m.by_address[1], "ms", Some(Goal::AtMost(2.0)));
    pair("final messages per second", |m| m.ingest, "per second", None);
    pair("peak memory", |m| m.peak_mib, "MiB", Some(Goal::AtMost(512.0)));
    pair("… of its own at the end, without mapped files", |m| m.own_mib, "MiB", None);
    pair("disk, against the bytes of the transactions", |m| m.disk, "", Some(Goal::AtMost(1.25)));
    report.goal("ingest, long against short", long.ingest / short.ingest, "", Goal::AtLeast(0.9));
    let ratio = short.by_id[0] / long.by_id[0];
    report.goal("lookups by id per second, long against short", ratio, "", Goal::AtLeast(0.9));
    let ratio = short.by_address[0] / long.by_address[0];
    report.goal("lookups by address per second, long against short", ratio, "", Goal::AtLeast(0.9));
    report
}

async fn measure(home: &Path, length: Length, options: &Options) -> Measured {
    std::fs::create_dir_all(home).expect("a folder");
    if filled::fill(home, length).is_some() {
        // What filling it left to be written is no load of the node's.
        rustix::fs::sync();
    }
    let genesis = Home::new(home.join("node")).genesis().expect("a genesis");
    let people = People::new(&genesis, PEOPLE);
    let disk = folder_bytes(&home.join("node/data"));
    // Warm: the journal is walked on every start, and this one is for the page cache.
    assert!(Server::node(home).stop().success());
    let started = Instant::now();
    let node = Server::node(home);
    let start_ms = started.elapsed().as_secs_f64() * 1e3;
    let client = HttpClientBuilder::default().build(node.said("rpc")).expect("a client");
    let mut random = Random::new(1);
    let mut by_id = Vec::new();
    for _ in 0..options.lookups {
        let number = random.next() % length.messages;
        let (message, _) = people.message(number, length.body_bytes, length.expiry(number));
        let id = message.id();
        let started = Instant::now();
        let found = client.tx_get(id).await.expect("a message of this ledger");
        by_id.push(started.elapsed());
        assert_eq!(found.view.id, id);
    }
    let mut by_address = Vec::new();
    for _ in 0..options.lookups {
        let address = people.addresses()[random.below(PEOPLE as usize)].to_text(genesis.prefix());
        let (side, order) = (MailboxSide::Received, Order::NewestFirst);
        let query = MailboxQuery { address, side, order, after: None, limit: Some(10) };
        let started = Instant::now();
        let page = client.mailbox_list(query).await.expect("a list");
        by_address.push(started.elapsed());
        assert!(!page.entries.is_empty());
    }
    let transactions = transaction_bytes(&people, length);
    let height = client.node_status().await.expect("a node").height;
    let expiry = height.saturating_add(50_000);
    // Numbers that no earlier run over this ledger has used.
    let first = length.messages + height.get().saturating_sub(length.blocks()) * 1_000_000;
    let calls = prepare(first..first + options.load, PER_CALL, |number| {
        people.message(number, length.body_bytes, expiry)
    });
    let pace = Pace { calls: CALLS, seconds: options.seconds, per_second: 0 };
    let sent = send(&[host(&node.said("rpc"))], calls, pace).await;
    let quantiles = |times: &mut Vec<Duration>| [quantile_ms(times, 0.5), quantile_ms(times, 0.99)];
    Measured {
        start_ms,
        by_id: quantiles(&mut by_id),
        by_address: quantiles(&mut by_address),
        ingest: sent.messages as f64 / sent.seconds,
        peak_mib: node.peak_memory_kib() as f64 / 1024.0,
        own_mib: node.own_memory_kib() as f64 / 1024.0,
        disk: disk as f64 / transactions as f64,
    }
}

/// Bytes of all messages and receipts of a filled ledger.
fn transaction_bytes(people: &People, length: Length) -> u64 {
    let (message, body) = people.message(0, length.body_bytes, BlockHeight::FIRST);
    let (receipt, _) = people.receipt(0, &message, BlockHeight::FIRST);
    let message_bytes = message.as_bytes().len() + body.map_or(0, |body| body.as_bytes().len());
    length.messages * message_bytes as u64
        + length.messages / filled::ANSWERED * receipt.as_bytes().len() as u64
}
