//! What a node does when far more is sent than it can take: strangers send several times what it takes in, over RPC and
//! by gossip, most of it over again. It must answer whoever asks how it is, keep within its memory, go on taking in
//! nearly as much as before, let a member's messages through, and be well again when the flood ends.

use crate::ingest::{CALLS, EXPIRY, PER_CALL, Pace, host, prepare, prepare_accepted, send};
use crate::open_loop::connect;
use crate::people::{PEOPLE, People};
use crate::report::{Goal, Report, quantile_ms};
use clap::Args;
use futures::future::join_all;
use http_body_util::{BodyExt, Full};
use hyper::Request;
use hyper::body::Bytes;
use hyper::client::conn::http1::SendRequest;
use jsonrpsee::http_client::{HttpClient, HttpClientBuilder};
use sealpost_api::{NewTransaction, SealpostRpcClient, WaitFor};
use sealpost_ledger::genesis::Genesis;
use sealpost_ledger::postage::Price;
use sealpost_tests::harness::network::{Network, NetworkOptions, Place};
use sealpost_tests::harness::pulse::Pulse;
use sealpost_tests::harness::stand_in::Answers;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

#[derive(Debug, Args)]
pub(crate) struct Options {
    /// How long the flood lasts
    #[arg(long, default_value_t = 600)]
    seconds: u64,
    /// How many times as much as is taken in
    #[arg(long, default_value_t = 5)]
    factor: usize,
    /// Seconds that show how much is taken in, before the flood and after it: an empty ledger's first ones vary
    #[arg(long, default_value_t = 60)]
    capacity_seconds: u64,
    /// Messages that are ready for them
    #[arg(long, default_value_t = 1_300_000)]
    capacity_messages: u64,
    /// Bytes of each message: header, signature and body. Larger ones fill blocks by more than half, so that the price
    /// rises beyond what was paid
    #[arg(long, default_value_t = 400)]
    bytes: usize,
    /// Connections of the flood
    #[arg(long, default_value_t = 240)]
    connections: usize,
}

const VALIDATOR: usize = 0;
const FULL_NODE: usize = 1;
/// Pause between two messages of the member.
const MEMBER_PAUSE: Duration = Duration::from_millis(250);
/// Longest wait of the member for one message, and for the network to be well again.
const PATIENCE: Duration = Duration::from_secs(60);
/// Pause between two questions how a node is: what they cost is taken from what is measured.
const QUESTION_PAUSE: Duration = Duration::from_millis(100);
/// Pause between two looks at how far the nodes are.
const SAMPLE: Duration = Duration::from_secs(1);
/// Numbers of the member's messages, which the flood does not use.
const MEMBERS_OWN: u64 = 1 << 40;
/// What is sent and was never sent before, against what is taken in.
const FRESH: f64 = 1.1;
/// Calls that are sent over again are of the last so many.
const RECENT: usize = 1_000;
/// What everybody pays: blocks that are more than half full raise the price, and a flood that does not pay it is no load.
const PAID: Price = 64;
const PRICE: &str = "sealpost_postage_price";
const FINAL: &str = "sealpost_transactions_total";

pub(crate) async fn run(options: &Options) -> Report {
    let network = network();
    let people = People::new(network.genesis(), PEOPLE).paying(PAID);
    let header = people.message(0, 0, EXPIRY).0.as_bytes().len();
    let make = |number| people.message(number, options.bytes.saturating_sub(header), EXPIRY);
    let hosts: Vec<String> = network.all().map(|member| host(&network.said(member, "rpc"))).collect();

    let capacity_from = async |first| {
        let calls = prepare(first..first + options.capacity_messages, PER_CALL, make);
        let pace = Pace { calls: CALLS, seconds: options.capacity_seconds, per_second: 0 };
        let taken = send(&hosts, calls, pace).await;
        taken.messages as f64 / taken.seconds
    };
    let capacity = capacity_from(0).await;

    // Of the flood a little more than is taken in was never sent before.
    let (fresh, all) = (capacity * FRESH, capacity * options.factor as f64);
    let first = options.capacity_messages;
    let last = first + (fresh * options.seconds as f64) as u64;
    let calls = Arc::new(prepare_accepted(first..last, PER_CALL, make));
    let pulses =
        [VALIDATOR, FULL_NODE].map(|node| Pulse::of_health(&network.said(node, "metrics"), QUESTION_PAUSE));
    let asked = Pulse::start(&network.said(VALIDATOR, "rpc"), PATIENCE, QUESTION_PAUSE);
    let client = HttpClientBuilder::default()
        .request_timeout(PATIENCE)
        .build(network.said(FULL_NODE, "rpc"))
        .expect("a client");
    let (ended, before) = (Arc::new(AtomicBool::new(false)), network.metric(VALIDATOR, FINAL));
    let member = tokio::spawn(member(client.clone(), member_of(network.genesis()), ended.clone()));
    let behind = tokio::spawn(furthest_behind(clients(&network), ended.clone()));
    let started = Instant::now();
    let (new, again) = tokio::join!(
        flood(&hosts, &calls, fresh, options, |number, _| number),
        // What is sent over again is some of the newest.
        flood(&hosts, &calls, all - fresh, options, |number, passed| passed
            .saturating_sub(1 + number % RECENT)),
    );
    let seconds = started.elapsed().as_secs_f64();
    let (after, price) = (network.metric(VALIDATOR, FINAL), network.metric(VALIDATOR, PRICE));
    ended.store(true, Ordering::Relaxed);
    let Member { mut took, lost } = member.await.expect("a member that ends");
    let behind = behind.await.expect("somebody who looks");
    let answers = join_all(pulses.map(Pulse::stop)).await;
    let asked = asked.stop().await;
    let well = well_again(&client, &network).await;
    let own_memory = [VALIDATOR, FULL_NODE].map(|node| network.own_memory_kib(node) as f64 / 1024.0);
    worked_off(&clients(&network)).await;
    let capacity_after = capacity_from(last).await;
    let mut report = Report::new(format!(
        "One validator and one full node; for {} s strangers send {} times what both take in, to both, over {} \
         connections for what is new and as many for what is sent again.",
        options.seconds, options.factor, options.connections
    ));
    report.row("taken in before the flood", capacity, "per second");
    let sent = (new + again) as f64 / seconds;
    report.row("sent by the flood", sent, "per second");
    report.row("… of it never sent before", new as f64 / seconds, "per second");
    report.goal(
        "… against what was taken in before",
        sent / capacity,
        "",
        Goal::AtLeast(0.9 * options.factor as f64),
    );
    let rate = (after - before) / seconds;
    report.row("taken in during the flood", rate, "per second");
    report.goal("… against before", rate / capacity, "", Goal::AtLeast(0.8));
    report.row("taken in after the flood, with all its messages in the store", capacity_after, "per second");
    report.row("taken in during the flood, against after", rate / capacity_after, "");
    report.goal("price at the end of the flood", price, "", Goal::AtMost(PAID as f64));
    for (answers, name) in answers.into_iter().zip(["validator", "full node"]) {
        slowest(&mut report, answers, &format!("{name}: checks of health"));
    }
    slowest(&mut report, asked, "validator: questions for its status over RPC");
    report.row("messages of a member, sent meanwhile", (took.len() + lost) as f64, "");
    report.goal("… not final within a minute", lost as f64, "", Goal::AtMost(0.0));
    report.row("… submit to final: median", quantile_ms(&mut took, 0.5), "ms");
    report.row("… submit to final: 99 of 100", quantile_ms(&mut took, 0.99), "ms");
    report.row("full node: blocks that it was behind, at most", behind as f64, "");
    for ((node, name), own) in
        [(VALIDATOR, "validator"), (FULL_NODE, "full node")].into_iter().zip(own_memory)
    {
        report.goal(format!("{name}: memory of its own at the end"), own, "MiB", Goal::AtMost(512.0));
        report.row(
            format!("{name}: peak memory, mapped files included"),
            network.peak_memory_kib(node) as f64 / 1024.0,
            "MiB",
        );
    }
    report.goal("after the flood, until a message is final at once again", well, "s", Goal::AtMost(60.0));
    report
}

/// How many questions were answered, and how slowly.
fn slowest(report: &mut Report, answers: Result<Answers, String>, name: &str) {
    match answers {
        Ok(answers) => {
            report.row(name, answers.count as f64, "");
            let slowest = answers.percentile(100).as_secs_f64() * 1e3;
            report.goal("… slowest answer", slowest, "ms", Goal::AtMost(5_000.0));
        }
        Err(error) => {
            eprintln!("{name}: {error}");
            report.goal(format!("{name}: without an answer"), 1.0, "", Goal::AtMost(0.0));
        }
    }
}

/// A network whose blocks have room for what the machine can do, with one member.
fn network() -> Network {
    let name = "overloaded".to_owned();
    let place = Place::Loopback;
    let options = NetworkOptions { name, validators: 1, full_nodes: 1, place, heartbeat_ms: None };
    let network = Network::create(&options);
    let member = member_of(network.genesis()).addresses()[0].to_text(network.genesis().prefix());
    let mut network = network.with_rules(|rules| {
        rules["limits"]["block_bytes"] = (8 << 20).into();
        rules["postage"]["floor"] = 0.into();
        // As the genesis of this repository has it: the rest is the members'.
        rules["postage"]["strangers_percent"] = 75.into();
        rules["members"] = serde_json::json!([member]);
    });
    network.start_members(&network.all().collect::<Vec<_>>());
    network
}

/// Sends so many messages a second to all nodes in turn, whatever they answer. Which of the calls is sent, its number
/// says and what part of the time has passed, in calls. Returns how many messages were sent.
async fn flood(
    hosts: &[String],
    calls: &Arc<Vec<Bytes>>,
    per_second: f64,
    options: &Options,
    choose: fn(usize, usize) -> usize,
) -> usize {
    let pause = PER_CALL as f64 / per_second;
    let (start, next) = (Instant::now(), Arc::new(AtomicUsize::new(0)));
    let span = Duration::from_secs(options.seconds);
    let end = start + span;
    let workers = (0..options.connections).map(|worker| {
        let (calls, next) = (calls.clone(), next.clone());
        let host = hosts[worker % hosts.len()].clone();
        tokio::spawn(async move {
            let mut connection = None;
            let mut sent = 0;
            loop {
                let number = next.fetch_add(1, Ordering::Relaxed);
                let due = start + Duration::from_secs_f64(number as f64 * pause);
                if due > end || Instant::now() > end {
                    return sent;
                }
                tokio::time::sleep_until(due.into()).await;
                let passed = start.elapsed().as_secs_f64() / span.as_secs_f64() * calls.len() as f64;
                let Some(request) = calls.get(choose(number, passed as usize)) else { return sent };
                sent += PER_CALL;
                connection = ask(connection, &host, request.clone()).await;
            }
        })
    });
    let done = join_all(workers.collect::<Vec<_>>()).await;
    done.into_iter().map(|worker| worker.expect("a sender that ends")).sum()
}

/// Sends a call and reads the answer, whatever it says. Returns the connection if it can be used again.
async fn ask(
    connection: Option<SendRequest<Full<Bytes>>>,
    host: &str,
    request: Bytes,
) -> Option<SendRequest<Full<Bytes>>> {
    let mut connection = match connection {
        Some(connection) => connection,
        None => connect(host).await,
    };
    connection.ready().await.ok()?;
    let request = Request::post("/")
        .header("host", host)
        .header("content-type", "application/json")
        .body(Full::new(request))
        .expect("a request");
    let answer = connection.send_request(request).await.ok()?;
    answer.into_body().collect().await.ok()?;
    Some(connection)
}

/// Asks both nodes how they are, as [`VALIDATOR`] and [`FULL_NODE`] have it.
fn clients(network: &Network) -> [HttpClient; 2] {
    [VALIDATOR, FULL_NODE].map(|node| network.client(node).clone())
}

/// How many blocks the full node is behind the validator at most, second for second.
async fn furthest_behind([validator, full_node]: [HttpClient; 2], ended: Arc<AtomicBool>) -> u64 {
    let mut furthest = 0;
    while !ended.load(Ordering::Relaxed) {
        if let (Ok(first), Ok(second)) = tokio::join!(validator.node_status(), full_node.node_status()) {
            furthest = furthest.max(first.height.blocks_since(second.height));
        }
        tokio::time::sleep(SAMPLE).await;
    }
    furthest
}

/// Waits until next to nothing of the flood waits for a block any more, but not for ever.
async fn worked_off(nodes: &[HttpClient]) {
    let since = Instant::now();
    while since.elapsed() < PATIENCE {
        let waiting = join_all(nodes.iter().map(|node| node.node_status())).await;
        if waiting.iter().flatten().all(|status| status.mempool_transactions < PER_CALL as u64) {
            break;
        }
        tokio::time::sleep(SAMPLE).await;
    }
}

/// The member alone: nobody of the flood, in which the same people send over and over.
fn member_of(genesis: &Genesis) -> People {
    People::of(genesis, PEOPLE..PEOPLE + 1).paying(PAID)
}

/// What became of the member's messages.
struct Member {
    took: Vec<Duration>,
    lost: usize,
}

/// A member who sends a message now and then, and again if the node is too busy to take it.
async fn member(client: HttpClient, people: People, ended: Arc<AtomicBool>) -> Member {
    let mut done = Member { took: Vec::new(), lost: 0 };
    for number in MEMBERS_OWN.. {
        if ended.load(Ordering::Relaxed) {
            break;
        }
        match until_final(&client, &people, number).await {
            Some(took) => done.took.push(took),
            None => done.lost += 1,
        }
        tokio::time::sleep(MEMBER_PAUSE).await;
    }
    done
}

/// How long a message takes until it is final, if it is in time.
async fn until_final(client: &HttpClient, people: &People, number: u64) -> Option<Duration> {
    let (transaction, body) = people.message(number, 250, EXPIRY);
    let NewTransaction { transaction, body } = NewTransaction::new(&transaction, body.as_ref());
    let since = Instant::now();
    while since.elapsed() < PATIENCE {
        let answer = client.tx_submit(transaction.clone(), body.clone(), Some(WaitFor::Final)).await;
        match answer {
            Ok(_) => return Some(since.elapsed()),
            // Busy: the node says after how long to ask again, and a member does not give up.
            Err(_) => tokio::time::sleep(Duration::from_millis(100)).await,
        }
    }
    None
}

/// Seconds until a message becomes final within a second again.
async fn well_again(client: &HttpClient, network: &Network) -> f64 {
    let people = member_of(network.genesis());
    let since = Instant::now();
    for number in (2 * MEMBERS_OWN).. {
        let took = until_final(client, &people, number).await;
        if since.elapsed() > PATIENCE || took.is_some_and(|took| took < Duration::from_secs(1)) {
            break;
        }
    }
    since.elapsed().as_secs_f64()
}
