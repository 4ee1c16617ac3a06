//! What evidence costs: made by a node of four validators from its store, asked for over RPC, and checked from its
//! JSON text, as a stranger does.

use crate::ingest::{EXPIRY, PER_CALL, Pace, host, network, prepare, send};
use crate::people::{PEOPLE, People};
use crate::report::{Goal, Report, quantile_ms};
use clap::Args;
use jsonrpsee::http_client::HttpClientBuilder;
use sealpost_api::{NewTransaction, SealpostRpcClient, SubmissionAnswer, WaitFor};
use sealpost_ledger::evidence::Evidence;
use std::hint::black_box;
use std::time::Instant;

#[derive(Debug, Args)]
pub(crate) struct Options {
    /// Messages around those that are asked for
    #[arg(long, default_value_t = 10_000)]
    messages: u64,
    /// Evidence files, half of them with a receipt, half with a proof of silence
    #[arg(long, default_value_t = 200)]
    files: u64,
}

pub(crate) async fn run(options: &Options) -> Report {
    let network = network(4);
    let genesis = network.genesis();
    let people = People::new(genesis, PEOPLE);
    let message = |number| people.message(number, 256, EXPIRY);
    let calls = prepare(0..options.messages, PER_CALL, message);
    let hosts = [host(&network.said(0, "rpc"))];
    let pace = Pace { calls: 4, seconds: 600, per_second: 0 };
    let sent = send(&hosts, calls, pace).await;
    assert_eq!(sent.refused, 0, "some messages were refused");
    let client = HttpClientBuilder::default().build(network.said(0, "rpc")).expect("a client");
    let asked: Vec<u64> = (0..options.files).map(|file| file * options.messages / options.files).collect();
    let answered: Vec<NewTransaction> = asked
        .iter()
        .step_by(2)
        .map(|number| people.receipt(*number, &message(*number).0, EXPIRY))
        .map(|(receipt, _)| NewTransaction::new(&receipt, None))
        .collect();
    for answers in answered.chunks(sealpost_api::MAX_SUBMISSIONS as usize) {
        let taken = client.tx_submit_many(answers.to_vec(), Some(WaitFor::Final)).await.expect("an answer");
        assert!(taken.iter().all(|one| matches!(one, SubmissionAnswer::Taken(_))), "{:?}", taken.first());
    }
    let (mut built, mut read, mut checked, mut bytes) = (Vec::new(), Vec::new(), Vec::new(), 0);
    for number in asked {
        let id = message(number).0.id();
        let started = Instant::now();
        let text = client.evidence_get(id, None, None).await.expect("evidence");
        built.push(started.elapsed());
        bytes += text.len();
        let started = Instant::now();
        let evidence = Evidence::from_json(text.as_bytes()).expect("evidence");
        read.push(started.elapsed());
        let started = Instant::now();
        black_box(evidence.check(genesis).expect("evidence that holds"));
        checked.push(started.elapsed());
    }
    let mut report = Report::new(format!(
        "{} evidence files of a network of four validators with {} messages, {} bytes each.",
        options.files,
        options.messages,
        bytes as u64 / options.files.max(1)
    ));
    report.goal(
        "built from the store, over RPC: median",
        quantile_ms(&mut built, 0.5),
        "ms",
        Goal::AtMost(2.0),
    );
    report.row("built from the store, over RPC: 99 of 100", quantile_ms(&mut built, 0.99), "ms");
    report.row("read from JSON: median", quantile_ms(&mut read, 0.5), "ms");
    report.goal("checked: median", quantile_ms(&mut checked, 0.5), "ms", Goal::AtMost(3.0));
    report.row("checked: 99 of 100", quantile_ms(&mut checked, 0.99), "ms");
    report
}
