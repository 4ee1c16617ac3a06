//! kill -9 of the node, at random moments and right after an acknowledgement, while messages are sent.
//! Whatever was reported final is there after every restart, the data is sound, and the chain goes on.
//!
//! `SEALPOST_KILLS` sets how often, `SEALPOST_SEED` repeats a run. With `SEALPOST_NODE_BIN` naming a node
//! built with `--features test-no-fsync` the first test has to fail (`docs/testing.md`).

use futures::FutureExt;
use jsonrpsee::http_client::{HttpClient, HttpClientBuilder};
use sealpost_api::{SealpostRpcClient, TransactionStatus, WaitFor};
use sealpost_ledger::genesis::Genesis;
use sealpost_ledger::hash::TransactionId;
use sealpost_ledger::height::BlockHeight;
use sealpost_tests::harness::load::{Message, Messages};
use sealpost_tests::harness::random::Random;
use sealpost_tests::{Server, json, run};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::sync::Notify;

/// Senders at once.
const SENDERS: u64 = 4;
/// The longest random wait before a kill.
const LONGEST_MS: u64 = 400;

fn setting(name: &str, default: u64) -> u64 {
    std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(default)
}

fn client(node: &Server) -> HttpClient {
    HttpClientBuilder::default().build(node.said("rpc")).unwrap()
}

/// What the senders share.
struct Traffic {
    messages: Messages,
    acknowledged: Mutex<Vec<TransactionId>>,
    first: Notify,
}

/// Sends one message after another until the node is gone.
async fn send_on(traffic: Arc<Traffic>, client: HttpClient, expiry: BlockHeight) {
    loop {
        let Message { transaction, body, id } = traffic.messages.make(expiry);
        match client.tx_submit(transaction, Some(body), Some(WaitFor::Final)).await {
            Ok(submitted) => {
                assert!(matches!(submitted.status, TransactionStatus::Final(_)));
                traffic.acknowledged.lock().unwrap().push(id);
                traffic.first.notify_one();
            }
            Err(_) => return,
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_reported_final_outlives_every_kill() {
    let (kills, mut random) = (setting("SEALPOST_KILLS", 8), Random::new(setting("SEALPOST_SEED", 1)));
    let dir = tempfile::tempdir().unwrap();
    let home = dir.path();
    json("sealpost-node", home, &["init", "--new-network", "faults"]);
    let genesis = Genesis::parse(&std::fs::read(home.join("node/genesis.json")).unwrap()).unwrap();
    let traffic = Arc::new(Traffic {
        messages: Messages::new(genesis),
        acknowledged: Mutex::default(),
        first: Notify::new(),
    });
    let mut height = BlockHeight::GENESIS;
    for kill in 0..kills {
        let node = Server::node(home);
        let client = client(&node);
        let expiry = BlockHeight::new(client.node_status().await.unwrap().height.get() + 50_000);
        // What was acknowledged after the last kill was decided tells nothing about this life of the node.
        let _ = traffic.first.notified().now_or_never();
        let senders: Vec<_> =
            (0..SENDERS).map(|_| tokio::spawn(send_on(traffic.clone(), client.clone(), expiry))).collect();
        traffic.first.notified().await;
        // Every other time at once, so that the last acknowledgement is as fresh as can be.
        if kill % 2 == 1 {
            tokio::time::sleep(Duration::from_millis(random.next() % LONGEST_MS)).await;
        }
        node.kill();
        for sender in senders {
            sender.await.unwrap();
        }
        let node = Server::node(home);
        let client = self::client(&node);
        let acknowledged = traffic.acknowledged.lock().unwrap().clone();
        for id in &acknowledged {
            let status = client.tx_status(*id).await.unwrap();
            let lost = format!("{id}, reported final, is {status:?} after kill {kill} ({random:?})");
            assert!(matches!(status, TransactionStatus::Final(_)), "{lost}");
        }
        let now = client.node_status().await.unwrap().height;
        assert!(now > height, "the chain does not go on: {now} after {height}");
        height = now;
        assert!(node.stop().success());
    }
    let check = run("sealpost-node", home, &["check"]);
    assert!(check.status.success(), "{}", String::from_utf8_lossy(&check.stderr));
    let count = traffic.acknowledged.lock().unwrap().len();
    assert!(count as u64 >= kills, "only {count} messages were acknowledged: the test tests nothing");
}

#[tokio::test]
async fn a_flipped_byte_in_the_data_is_found_and_its_place_named() {
    let dir = tempfile::tempdir().unwrap();
    json("sealpost-node", dir.path(), &["init", "--new-network", "damage"]);
    let genesis = Genesis::parse(&std::fs::read(dir.path().join("node/genesis.json")).unwrap()).unwrap();
    let (node, messages) = (Server::node(dir.path()), Messages::new(genesis));
    // Several blocks, so that the first is not the last.
    for _ in 1..=3 {
        let Message { transaction, body, .. } = messages.make(BlockHeight::new(1000));
        client(&node).tx_submit(transaction, Some(body), Some(WaitFor::Final)).await.unwrap();
    }
    assert!(node.stop().success());
    assert!(run("sealpost-node", dir.path(), &["check"]).status.success());
    let journal = dir.path().join("node/data/journal");
    let segment = std::fs::read_dir(&journal)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .find(|path| path.to_string_lossy().contains("header"))
        .expect("a segment of headers");
    let mut bytes = std::fs::read(&segment).unwrap();
    // In the first record, which others follow: not an unfinished end.
    let at = bytes.len() / 6;
    bytes[at] ^= 1;
    std::fs::write(&segment, bytes).unwrap();
    let check = run("sealpost-node", dir.path(), &["check"]);
    assert_eq!(check.status.code(), Some(1));
    let said = String::from_utf8_lossy(&check.stderr).into_owned();
    assert!(said.contains("byte") && said.contains(segment.file_name().unwrap().to_str().unwrap()), "{said}");
}
