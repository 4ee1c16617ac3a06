//! How long a message takes from its submission until it is final, how many a network takes in, and what an
//! idle one costs, measured over the RPC of real nodes on this machine:
//!
//! ```sh
//! cargo run --release -p sealpost-tests --example finality                        # one validator
//! cargo run --release -p sealpost-tests --example finality -- --validators 4
//! cargo run --release -p sealpost-tests --example finality -- --validators 4 --delay-ms 50   # needs root
//! ```

use jsonrpsee::http_client::{HttpClient, HttpClientBuilder};
use sealpost_api::{SealpostRpcClient, TransactionStatus, WaitFor};
use sealpost_ledger::height::BlockHeight;
use sealpost_tests::harness::load::{Message, Messages};
use sealpost_tests::harness::namespace::{Wire, ready};
use sealpost_tests::harness::network::{Network, NetworkOptions, Place};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

const USAGE: &str = "finality [--validators 1] [--full-nodes 0] [--delay-ms 0] [--single 300] [--many 20000] \
                     [--senders 80] [--idle-seconds 0]";

/// The number after a flag.
fn number(args: &[String], flag: &str, default: usize) -> usize {
    let Some(place) = args.iter().position(|arg| arg == flag) else { return default };
    let value = args.get(place + 1).and_then(|value| value.parse().ok());
    value.unwrap_or_else(|| panic!("{flag} takes a number: {USAGE}"))
}

async fn submit(client: &HttpClient, message: Message) -> Duration {
    let started = Instant::now();
    let Message { transaction, body, .. } = message;
    let submitted = client.tx_submit(transaction, Some(body), Some(WaitFor::Final)).await.unwrap();
    assert!(matches!(submitted.status, TransactionStatus::Final(_)));
    started.elapsed()
}

fn percentile(sorted: &[Duration], percent: usize) -> f64 {
    sorted[(sorted.len() - 1) * percent / 100].as_secs_f64() * 1e3
}

fn clients(network: &Network, senders: usize) -> Vec<HttpClient> {
    let client = |member| {
        let builder = HttpClientBuilder::default().request_timeout(Duration::from_secs(120));
        builder.max_concurrent_requests(senders).build(network.said(member, "rpc")).unwrap()
    };
    network.all().map(client).collect()
}

#[tokio::main]
async fn main() {
    let args: Vec<String> = std::env::args().skip(1).collect();
    if args.iter().any(|arg| arg == "--help") {
        println!("{USAGE}");
        return;
    }
    let number = |flag, default| number(&args, flag, default);
    let delay = Duration::from_millis(number("--delay-ms", 0) as u64);
    let place = if delay.is_zero() { Place::Loopback } else { Place::Lab(Wire::Delayed(delay)) };
    if !delay.is_zero() && !ready("a measurement with delay") {
        std::process::exit(1);
    }
    let (validators, full_nodes) = (number("--validators", 1), number("--full-nodes", 0));
    let name = "finality".to_owned();
    let network = Network::start(&NetworkOptions { name, validators, full_nodes, place, heartbeat_ms: None });
    let messages = Messages::new(network.genesis().clone());
    let make = || messages.make(BlockHeight::new(50_000));
    let senders = number("--senders", 80);
    let clients = Arc::new(clients(&network, senders));
    let cores = std::thread::available_parallelism().map_or(0, usize::from);
    println!("| what | value |\n|---|---|");
    println!(
        "| validators, full nodes, one-way delay | {validators}, {full_nodes}, {} ms |",
        delay.as_millis()
    );
    println!("| cores, shared by all nodes and senders | {cores} |");

    // The first one warms everything up.
    for client in clients.iter() {
        submit(client, make()).await;
    }
    let single = number("--single", 300);
    let mut times = Vec::new();
    for count in 0..single {
        times.push(submit(&clients[count % clients.len()], make()).await);
    }
    times.sort();
    if !times.is_empty() {
        println!(
            "| submit to final, one at a time, to all nodes in turn: median | {:.1} ms |",
            percentile(&times, 50)
        );
        println!("| the same: 99 of 100 | {:.1} ms |", percentile(&times, 99));
    }

    let idle = Duration::from_secs(number("--idle-seconds", 0) as u64);
    if !idle.is_zero() {
        let before: Vec<_> = network.all().map(|member| network.cpu_seconds(member)).collect();
        let height = clients[0].node_status().await.unwrap().height;
        tokio::time::sleep(idle).await;
        let used = network.all().zip(before).map(|(member, before)| network.cpu_seconds(member) - before);
        let most = used.fold(0.0, f64::max) / idle.as_secs_f64() * 100.0;
        let blocks = clients[0].node_status().await.unwrap().height.blocks_since(height);
        println!("| idle for {} s: blocks made (heartbeat 30 s) | {blocks} |", idle.as_secs());
        println!("| idle: processor time of the busiest node | {most:.2} % of a core |");
    }

    let many: Arc<Vec<Message>> = Arc::new((0..number("--many", 20_000)).map(|_| make()).collect());
    if let Some(message) = many.first() {
        println!("| bytes of a message | {} |", message.transaction.0.len() + message.body.0.len());
        let (next, started) = (Arc::new(AtomicUsize::new(0)), Instant::now());
        let senders_of = |sender: usize| {
            let (many, next, client) = (many.clone(), next.clone(), clients[sender % clients.len()].clone());
            tokio::spawn(async move {
                let mut times = Vec::new();
                while let Some(message) = many.get(next.fetch_add(1, Ordering::Relaxed)) {
                    times.push(submit(&client, message.clone()).await);
                }
                times
            })
        };
        let mut times = Vec::new();
        for sender in (0..senders).map(senders_of).collect::<Vec<_>>() {
            times.extend(sender.await.unwrap());
        }
        let seconds = started.elapsed().as_secs_f64();
        times.sort();
        println!(
            "| {senders} senders, {} messages: final per second | {:.0} |",
            many.len(),
            many.len() as f64 / seconds
        );
        println!("| {senders} senders: submit to final, median | {:.0} ms |", percentile(&times, 50));
        println!("| {senders} senders: submit to final, 99 of 100 | {:.0} ms |", percentile(&times, 99));
    }
    for member in network.all() {
        println!(
            "| peak memory of {} | {} MiB |",
            network.name(member),
            network.peak_memory_kib(member) / 1024
        );
    }
}
