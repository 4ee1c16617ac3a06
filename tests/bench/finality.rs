//! How long one message takes from its submission until it is final, to all nodes of a network in turn, and what an
//! idle network costs.

use crate::report::{Goal, Report, quantile_ms};
use clap::Args;
use jsonrpsee::http_client::{HttpClient, HttpClientBuilder};
use sealpost_api::{SealpostRpcClient, TransactionStatus, WaitFor};
use sealpost_ledger::height::BlockHeight;
use sealpost_tests::harness::load::{Message, Messages};
use sealpost_tests::harness::namespace::{Wire, ready};
use sealpost_tests::harness::network::{Network, NetworkOptions, Place};
use std::time::{Duration, Instant};

#[derive(Debug, Args)]
pub(crate) struct Options {
    /// Nodes that vote
    #[arg(long, default_value_t = 1)]
    validators: usize,
    /// Nodes that follow
    #[arg(long, default_value_t = 0)]
    full_nodes: usize,
    /// One-way delay between any two nodes, each in a network namespace of its own; needs root
    #[arg(long, default_value_t = 0)]
    delay_ms: u64,
    /// Messages
    #[arg(long, default_value_t = 300)]
    messages: usize,
    /// Idle time that is looked at
    #[arg(long, default_value_t = 0)]
    idle_seconds: u64,
}

async fn submit(client: &HttpClient, message: Message) -> Duration {
    let started = Instant::now();
    let Message { transaction, body, .. } = message;
    let submitted = client.tx_submit(transaction, Some(body), Some(WaitFor::Final)).await.expect("taken");
    assert!(matches!(submitted.status, TransactionStatus::Final(_)));
    started.elapsed()
}

pub(crate) async fn run(options: &Options) -> Report {
    let delay = Duration::from_millis(options.delay_ms);
    let place = if delay.is_zero() { Place::Loopback } else { Place::Lab(Wire::Delayed(delay)) };
    if !delay.is_zero() && !ready("a measurement with delay") {
        std::process::exit(1);
    }
    let Options { validators, full_nodes, .. } = *options;
    let name = "finality".to_owned();
    let network = Network::start(&NetworkOptions { name, validators, full_nodes, place, heartbeat_ms: None });
    let messages = Messages::new(network.genesis().clone());
    let make = || messages.make(BlockHeight::new(50_000));
    let client = |member| {
        let builder = HttpClientBuilder::default().request_timeout(Duration::from_secs(120));
        builder.build(network.said(member, "rpc")).expect("a client")
    };
    let clients: Vec<HttpClient> = network.all().map(client).collect();
    let mut report = Report::new(format!(
        "{validators} validators, {full_nodes} full nodes, {} ms between any two, one message at a time to all in turn.",
        options.delay_ms
    ));
    // The first one warms everything up.
    for client in &clients {
        submit(client, make()).await;
    }
    let mut times = Vec::new();
    for count in 0..options.messages {
        times.push(submit(&clients[count % clients.len()], make()).await);
    }
    let goal = match (options.delay_ms, validators) {
        (0, 1) => 25.0,
        (0, _) => 100.0,
        _ => 500.0,
    };
    report.goal("submit to final: median", quantile_ms(&mut times, 0.5), "ms", Goal::AtMost(goal));
    report.row("submit to final: 99 of 100", quantile_ms(&mut times, 0.99), "ms");
    let idle = Duration::from_secs(options.idle_seconds);
    if !idle.is_zero() {
        let before: Vec<_> = network.all().map(|member| network.cpu_seconds(member)).collect();
        let height = clients[0].node_status().await.expect("a node").height;
        tokio::time::sleep(idle).await;
        let used = network.all().zip(before).map(|(member, before)| network.cpu_seconds(member) - before);
        let most = used.fold(0.0, f64::max) / idle.as_secs_f64() * 100.0;
        let blocks = clients[0].node_status().await.expect("a node").height.blocks_since(height);
        report.row("idle: blocks (heartbeat 30 s)", blocks as f64, "");
        report.goal("idle: the busiest node's share of a core", most, "%", Goal::AtMost(1.0));
    }
    for member in network.all() {
        let name = network.name(member);
        report.row(format!("peak memory of {name}"), network.peak_memory_kib(member) as f64 / 1024.0, "MiB");
    }
    report
}
