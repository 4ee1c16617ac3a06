//! What the fuzzer tries of the RPC: requests to all methods, over a ledger with some blocks. Nothing that a client says
//! makes the node fail: every answer is JSON, and no error is the node's own.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use super::methods::Methods;
use super::reading::Reading;
use super::{PoolAnswer, PoolSizes, Reader, SubmissionRefusal, Wiring};
use crate::health::{Health, HealthSource};
use crate::store::testing::{Chain, RECIPIENT, SENDER, address};
use crate::store::{Store, StoreOptions};
use jsonrpsee::RpcModule;
use sealpost_api::SealpostRpcServer;
use sealpost_ledger::fuzzing::Target;
use sealpost_ledger::hash::TransactionId;
use sealpost_ledger::height::BlockHeight;
use serde_json::{Value, json};
use std::sync::{Arc, OnceLock};
use std::time::Instant;
use tempfile::TempDir;
use tokio::runtime::Runtime;
use tokio::sync::{mpsc, watch};
use tokio_util::sync::CancellationToken;

/// JSON-RPC's own number for a failure of the server, and ours.
const FAILURES: [i64; 2] = [-32_603, 5_000];
const BLOCKS: u64 = 4;

/// What is tried.
pub(crate) fn targets() -> Vec<Target> {
    let served = Arc::new(OnceLock::new());
    let asked = served.clone();
    let seeds = move || requests(served.get_or_init(Served::start));
    vec![Target::new("rpc_request", seeds, move |input| {
        std::str::from_utf8(input).is_ok_and(|request| asked.get_or_init(Served::start).ask(request))
    })]
}

/// The methods over a ledger, made with the first request.
struct Served {
    runtime: Runtime,
    methods: RpcModule<Methods>,
    _folder: TempDir,
    prefix: sealpost_ledger::address::AddressPrefix,
    transactions: Vec<(TransactionId, String)>,
}

impl Served {
    fn start() -> Self {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let (folder, chain) = (tempfile::tempdir().unwrap(), Chain::new("fuzz"));
        let (store, _) = Store::open(folder.path(), chain.genesis.clone(), StoreOptions::default()).unwrap();
        chain.grow(&store, BLOCKS);
        let ids = (1..=BLOCKS).filter_map(|height| store.block(BlockHeight::new(height)).unwrap());
        let transactions = ids.flat_map(|block| {
            let each = block.transactions().iter();
            each.map(|one| (one.id(), const_hex::encode(one.as_bytes()))).collect::<Vec<_>>()
        });
        let transactions = transactions.collect();
        let within = runtime.enter();
        let (submissions, mut submitted) = super::submissions::submissions(1_000, 10);
        let (queries, mut asked) = mpsc::channel(1_000);
        tokio::spawn(async move {
            while let Some(super::Submission { reply, .. }) = submitted.recv().await {
                let _ = reply.send(Err(SubmissionRefusal::TimedOut));
            }
        });
        tokio::spawn(async move {
            while let Some(super::PoolQuery { ids, reply }) = asked.recv().await {
                let _ = reply.send(vec![PoolAnswer { waiting: false, first_seen_ms: None }; ids.len()]);
            }
        });
        let health = Health { deciding: true, syncing: false, target: 0, peers: 0, needs_peers: false };
        let wiring = Wiring {
            submissions,
            queries,
            pool: watch::channel(PoolSizes::default()).1,
            head: watch::channel(BlockHeight::new(BLOCKS)).1,
            health: HealthSource::new(move || health),
            roster: None,
            stop: CancellationToken::new(),
        };
        let (genesis, prefix) = (chain.genesis.clone(), chain.genesis.prefix().clone());
        let reading = Reading::new(Reader { store, genesis }, 4);
        let methods = Methods { reading, wiring, started: Instant::now() }.into_rpc();
        drop(within);
        Self { runtime, methods, _folder: folder, prefix, transactions }
    }
    /// Whether there was an answer and no error.
    fn ask(&self, request: &str) -> bool {
        let answer = self.runtime.block_on(self.methods.raw_json_request(request, 1));
        let Ok((answer, _)) = answer else { return false };
        let answer: Value = serde_json::from_str(answer.get()).expect("JSON");
        let error = answer.get("error");
        let number = error.and_then(|error| error.get("code")).and_then(Value::as_i64);
        assert!(number.is_none_or(|number| !FAILURES.contains(&number)), "{request}: {answer}");
        error.is_none()
    }
}

fn requests(served: &Served) -> Vec<Vec<u8>> {
    let (id, bytes) = served.transactions.first().unwrap();
    let [from, to] = [SENDER, RECIPIENT].map(|number| address(number).to_text(&served.prefix));
    let requests = [
        ("node_status", json!({})),
        ("node_peers", json!({})),
        ("node_version", json!({})),
        ("chain_genesis", json!({})),
        ("chain_head", json!({})),
        ("chain_header", json!({ "block": 1 })),
        ("chain_header", json!({ "block": id })),
        ("chain_headers", json!({ "from": 1, "limit": 3 })),
        ("chain_block", json!({ "block": 2, "from": 1, "limit": 1 })),
        ("chain_transactions", json!({ "from": 1, "limit": 3 })),
        ("chain_certificate", json!({ "block": 2 })),
        ("chain_validators", json!({ "height": 2 })),
        ("chain_equivocations", json!({ "after": 0, "limit": 3 })),
        ("chain_validatorChanges", json!({ "after": 1, "limit": 3 })),
        ("tx_submit", json!({ "transaction": bytes, "body": "00", "wait": "accepted" })),
        (
            "tx_submitMany",
            json!({ "transactions": [{ "transaction": bytes, "body": null }], "wait": "final" }),
        ),
        ("tx_get", json!({ "id": id })),
        ("tx_status", json!({ "id": id })),
        ("tx_body", json!({ "id": id })),
        ("tx_receipts", json!({ "id": id })),
        ("postage_price", json!({ "bytes": 1000 })),
        ("directory_bundle", json!({ "address": from, "at_height": 2 })),
        ("directory_history", json!({ "address": from, "before": 2 })),
        ("directory_designation", json!({ "address": from, "class": "notices.tax", "at_height": 2 })),
        ("member_status", json!({ "address": to, "at_height": 2 })),
        (
            "mailbox_list",
            json!({ "query": { "address": to, "side": "received", "after": "1-0", "limit": 2 } }),
        ),
        ("mailbox_list", json!({ "query": { "address": from, "side": "sent", "order": "oldest" } })),
        ("mailbox_tags", json!({ "query": { "from": 1, "limit": 3 } })),
        ("proof_inclusion", json!({ "id": id })),
        ("proof_absence", json!({ "id": id, "slot": 0, "at_height": 3 })),
        ("proof_history", json!({ "block": 1, "head": 3 })),
        ("proof_consistency", json!({ "from": 1, "to": 3 })),
        ("evidence_get", json!({ "id": id, "until": 3, "with_body": true })),
        ("chain_subscribeBlocks", json!({ "from": 1 })),
        ("tx_subscribeStatus", json!({ "id": id })),
        ("mailbox_subscribe", json!({ "address": to, "from": 1 })),
        ("chain_unsubscribeBlocks", json!([1])),
    ];
    let request = |(method, params): (&str, Value)| {
        json!({ "jsonrpc": "2.0", "id": 1, "method": method, "params": params }).to_string().into_bytes()
    };
    requests.into_iter().map(request).collect()
}
