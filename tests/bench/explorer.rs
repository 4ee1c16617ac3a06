//! An explorer over a long ledger at a fixed rate of requests: which pages, from where in the ledger, and how long
//! they take. Node, explorer and load share this machine.

use crate::filled::{self, Length};
use crate::open_loop::{self, Answered, Planned};
use crate::people::{PEOPLE, People};
use crate::report::{Goal, Report, quantile_ms};
use clap::Args;
use jsonrpsee::http_client::HttpClientBuilder;
use sealpost_api::{BlockId, SealpostRpcClient};
use sealpost_ledger::genesis::Genesis;
use sealpost_ledger::height::BlockHeight;
use sealpost_tests::Server;
use sealpost_tests::harness::random::Random;
use std::path::PathBuf;
use std::time::Duration;

#[derive(Debug, Args)]
pub(crate) struct Options {
    /// Messages on the ledger
    #[arg(long, default_value_t = 1_000_000)]
    messages: u64,
    /// Messages in each block
    #[arg(long, default_value_t = 200)]
    per_block: u64,
    /// Bytes of each message's encrypted body
    #[arg(long, default_value_t = 600)]
    body_bytes: usize,
    /// Keeps the ledger in this folder and takes it from there the next time; else it is made for this run
    #[arg(long)]
    folder: Option<PathBuf>,
    /// Requests a second
    #[arg(long, default_value_t = 500.0)]
    per_second: f64,
    /// How long
    #[arg(long, default_value_t = 60)]
    seconds: u32,
    /// Connections
    #[arg(long, default_value_t = 64)]
    connections: usize,
    /// Clients, as a proxy before the explorer names them
    #[arg(long, default_value_t = 1_000)]
    clients: usize,
    /// What the choice of pages begins with
    #[arg(long, default_value_t = 1)]
    seed: u64,
}

/// Blocks whose messages are asked for.
const SAMPLED_BLOCKS: u64 = 2_000;
/// Seconds of load before the measurement.
const WARM_UP: u32 = 5;

pub(crate) async fn run(options: &Options) -> Report {
    let temporary = tempfile::tempdir().expect("a folder");
    let home = options.folder.clone().unwrap_or_else(|| temporary.path().to_owned());
    std::fs::create_dir_all(&home).expect("the folder");
    let length =
        Length { messages: options.messages, per_block: options.per_block, body_bytes: options.body_bytes };
    let filled = filled::fill(&home, length);
    let node = Server::node(&home);
    let rpc = node.said("rpc");
    // Clients come through a proxy here, so that the limits per client are at work as they are for real.
    let genesis = home.join("node/genesis.json").display().to_string();
    let args = ["serve", "--node", &rpc, "--listen", "127.0.0.1:0", "--genesis", &genesis];
    let args = [&args[..], &["--trusted-proxy", "127.0.0.1"]].concat();
    let explorer = Server::start("sealpost-explorer", &home, &args, &home.join("explorer.log"));
    let url = explorer.said("explorer");
    let host = url.trim_start_matches("http://").trim_end_matches('/').to_owned();

    let mut plans = Plans::new(&rpc, options).await;
    let count = |seconds: u32| (f64::from(seconds) * options.per_second) as usize;
    let warm_up = plans.make(count(WARM_UP));
    open_loop::send(&host, warm_up, options.per_second, options.connections).await;
    let plan = plans.make(count(options.seconds));
    let cpu = (node.cpu_seconds(), explorer.cpu_seconds());
    let mut answered = open_loop::send(&host, plan, options.per_second, options.connections).await;
    let used = (node.cpu_seconds() - cpu.0, explorer.cpu_seconds() - cpu.1);

    let mut report = Report::new(format!(
        "Explorer over {} messages in {} blocks, {} requests a second for {} s over {} connections.",
        options.messages, plans.blocks, options.per_second, options.seconds, options.connections
    ));
    if let Some(took) = filled {
        report.row("filling the ledger", took.as_secs_f64(), "s");
    }
    tell(&mut report, &mut answered, options);
    let seconds = f64::from(options.seconds);
    report.row("node: share of a core", used.0 / seconds * 100.0, "%");
    report.row("explorer: share of a core", used.1 / seconds * 100.0, "%");
    report.row("node: peak memory", node.peak_memory_kib() as f64 / 1024.0, "MiB");
    report.row("explorer: peak memory", explorer.peak_memory_kib() as f64 / 1024.0, "MiB");
    report
}

fn tell(report: &mut Report, answered: &mut [Answered], options: &Options) {
    // A transaction that is a message, and a search with one hit, lead on to another page.
    let bad = answered.iter().filter(|answer| !matches!(answer.status, 200 | 303 | 307 | 308)).count();
    report.goal("answers that are no page", bad as f64, "", Goal::AtMost(0.0));
    let lateness = |answer: &Answered| answer.late;
    let mut late: Vec<Duration> = answered.iter().map(lateness).collect();
    report.row("sent late, for want of a free connection: 99 of 100", quantile_ms(&mut late, 0.99), "ms");
    let mut all: Vec<Duration> = answered.iter().map(|answer| answer.took).collect();
    report.row("every page: median", quantile_ms(&mut all, 0.5), "ms");
    report.goal("every page: 99 of 100", quantile_ms(&mut all, 0.99), "ms", Goal::AtMost(20.0));
    report.row("every page: slowest", quantile_ms(&mut all, 1.0), "ms");
    for (kind, share) in KINDS {
        let of_kind = || answered.iter().filter(|answer| answer.kind == *kind);
        let mut times: Vec<Duration> = of_kind().map(|answer| answer.took).collect();
        if times.is_empty() {
            continue;
        }
        let bytes = of_kind().map(|answer| answer.bytes).sum::<usize>() / times.len();
        let name = format!("{kind} ({share} % of all, {bytes} bytes)");
        report.row(format!("{name}: median"), quantile_ms(&mut times, 0.5), "ms");
        report.goal(format!("{kind}: 99 of 100"), quantile_ms(&mut times, 0.99), "ms", Goal::AtMost(20.0));
    }
    let total = f64::from(options.seconds) * options.per_second;
    report.row("requests", total, "");
}

/// Kinds of pages, and how many of a hundred requests go to each.
const KINDS: &[(&str, usize)] = &[
    ("message", 35),
    ("block", 25),
    ("address", 10),
    ("home", 5),
    ("blocks", 5),
    ("transaction", 5),
    ("search", 5),
    ("api message", 5),
    ("api block", 5),
];

/// Chooses requests by a seed.
struct Plans {
    random: Random,
    blocks: u64,
    clients: usize,
    messages: Vec<String>,
    addresses: Vec<String>,
}

impl Plans {
    /// Asks the node what there is on its ledger.
    async fn new(rpc: &str, options: &Options) -> Self {
        let client = HttpClientBuilder::default().build(rpc).expect("a client");
        let blocks = client.node_status().await.expect("a node").height.get();
        let mut random = Random::new(options.seed);
        let mut messages = Vec::new();
        for _ in 0..SAMPLED_BLOCKS.min(blocks) {
            let height = BlockHeight::new(1 + random.below(blocks as usize) as u64);
            let page = client.chain_block(BlockId::Height(height), None, Some(100)).await.expect("a block");
            let ids = page.transactions.iter().filter(|entry| entry.kind == "message").map(|entry| entry.id);
            messages.extend(ids.take(100).map(|id| id.to_string()));
        }
        let genesis = client.chain_genesis().await.expect("a genesis");
        let genesis = Genesis::parse(genesis.as_bytes()).expect("a genesis");
        let people = People::new(&genesis, PEOPLE);
        let addresses = people.addresses().iter().map(|address| address.to_text(genesis.prefix())).collect();
        Self { random, blocks, clients: options.clients, messages, addresses }
    }
    fn make(&mut self, count: usize) -> Vec<Planned> {
        (0..count).map(|_| self.one()).collect()
    }
    fn one(&mut self) -> Planned {
        let mut place = self.random.below(100);
        let kinds = KINDS.iter().find(|(_, share)| {
            let here = place < *share;
            place = place.saturating_sub(*share);
            here
        });
        let kind = kinds.expect("shares of a hundred").0;
        let message = self.messages[self.random.below(self.messages.len())].clone();
        let address = &self.addresses[self.random.below(self.addresses.len())];
        let height = 1 + self.random.below(self.blocks as usize) as u64;
        let path = match kind {
            "message" => format!("/message/{message}"),
            "block" => format!("/block/{height}"),
            "address" => format!("/address/{address}"),
            "home" => "/".into(),
            "blocks" => format!("/blocks?before={height}"),
            "transaction" => format!("/tx/{message}"),
            "search" => format!("/search?q={height}"),
            "api message" => format!("/api/v1/messages/{message}"),
            "api block" => format!("/api/v1/blocks/{height}"),
            other => unreachable!("no page {other}"),
        };
        let client = self.random.below(self.clients);
        let client = format!("10.{}.{}.{}", client >> 16, (client >> 8) & 255, client & 255);
        Planned { kind, path, client }
    }
}
