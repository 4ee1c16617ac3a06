//! How long a message takes to be final, and how many a network of one validator takes in, measured over the
//! RPC on this machine: `cargo run --release -p sealpost-tests --example finality`.

use jsonrpsee::http_client::{HttpClient, HttpClientBuilder};
use sealpost_api::{Hex, SealpostRpcClient, TransactionStatus, WaitFor};
use sealpost_ledger::address::Address;
use sealpost_ledger::genesis::Genesis;
use sealpost_ledger::height::BlockHeight;
use sealpost_ledger::signature::SigningKey;
use sealpost_ledger::transaction::{Payload, TRANSACTION_VERSION, Transaction};
use sealpost_tests::{Server, json};
use sealpost_wallet::envelope::{BundleSecret, Content, Recipient, SealRequest, seal};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

/// Messages sent one after another.
const SINGLE: usize = 500;
/// Messages sent by many at once.
const MANY: usize = 20_000;
/// Senders at once: a node serves 100 connections.
const SENDERS: usize = 80;

type Message = (Hex, Hex);

/// Fresh messages of one recipient in suite 1, signed by a key each.
fn messages(genesis: &Genesis, first: usize, count: usize) -> Vec<Message> {
    let mut bundle = BundleSecret::generate(1).unwrap().bundle(BlockHeight::new(1_000_000));
    bundle.ml_kem = None;
    let recipient = Address::new(SigningKey::from_bytes(&[5; 32]).unwrap().public_key());
    let recipients = [Recipient { address: recipient, bundle }];
    let content =
        Content { text: "The lift in house 7 is out of service until Friday.".into(), ..Content::default() };
    let (chain, expiry) = (genesis.chain_id(), BlockHeight::new(50_000));
    let body_limit = genesis.limits().body_bytes;
    let make = |number: usize| {
        let mut secret = [9; 32];
        secret[..8].copy_from_slice(&(number as u64).to_le_bytes());
        let key = SigningKey::from_bytes(&secret).unwrap();
        let sender = Address::new(key.public_key());
        let request =
            SealRequest { chain, sender, expiry, recipients: &recipients, content: &content, body_limit };
        let sealed = seal(&request).unwrap();
        let payload = Payload::Message(sealed.message);
        let transaction =
            Transaction { version: TRANSACTION_VERSION, chain, sender, expiry, payload, nonce: 0 };
        let signed = transaction.sign(&key, &[1; 32]).unwrap();
        (Hex(signed.to_bytes()), Hex(sealed.body.as_bytes().to_vec()))
    };
    (first..first + count).map(make).collect()
}

async fn submit(client: &HttpClient, (transaction, body): Message) -> Duration {
    let started = Instant::now();
    let submitted = client.tx_submit(transaction, Some(body), Some(WaitFor::Final)).await.unwrap();
    assert!(matches!(submitted.status, TransactionStatus::Final(_)));
    started.elapsed()
}

fn percentile(sorted: &[Duration], percent: usize) -> f64 {
    sorted[(sorted.len() - 1) * percent / 100].as_secs_f64() * 1e3
}

#[tokio::main]
async fn main() {
    let dir = tempfile::tempdir().unwrap();
    json("sealpost-node", dir.path(), &["init", "--new-network", "bench"]);
    let genesis = Genesis::parse(&std::fs::read(dir.path().join("node/genesis.json")).unwrap()).unwrap();
    let node = Server::node(dir.path());
    let client = HttpClientBuilder::default()
        .request_timeout(Duration::from_secs(120))
        .max_concurrent_requests(SENDERS)
        .build(node.said("rpc"))
        .unwrap();
    let single = messages(&genesis, 1, SINGLE);
    let size = single[0].0.0.len() + single[0].1.0.len();
    let mut times = Vec::new();
    for message in single {
        times.push(submit(&client, message).await);
    }
    times.sort();
    let cores = std::thread::available_parallelism().map_or(0, usize::from);
    println!("| what | value |\n|---|---|");
    println!("| cores, shared by node and senders | {cores} |");
    println!("| bytes of a message | {size} |");
    println!("| submit to final, one at a time: median | {:.1} ms |", percentile(&times, 50));
    println!("| submit to final, one at a time: 99 of 100 | {:.1} ms |", percentile(&times, 99));

    let many: Arc<Vec<Message>> = Arc::new(messages(&genesis, 1_000_000, MANY));
    let (next, started) = (Arc::new(AtomicUsize::new(0)), Instant::now());
    let senders = (0..SENDERS).map(|_| {
        let (many, next, client) = (many.clone(), next.clone(), client.clone());
        tokio::spawn(async move {
            let mut times = Vec::new();
            while let Some(message) = many.get(next.fetch_add(1, Ordering::Relaxed)) {
                times.push(submit(&client, message.clone()).await);
            }
            times
        })
    });
    let mut times = Vec::new();
    for sender in senders.collect::<Vec<_>>() {
        times.extend(sender.await.unwrap());
    }
    let seconds = started.elapsed().as_secs_f64();
    times.sort();
    println!("| {SENDERS} senders, {MANY} messages: final per second | {:.0} |", MANY as f64 / seconds);
    println!("| {SENDERS} senders: submit to final, median | {:.0} ms |", percentile(&times, 50));
    println!("| {SENDERS} senders: submit to final, 99 of 100 | {:.0} ms |", percentile(&times, 99));
    assert!(node.stop().success());
}
