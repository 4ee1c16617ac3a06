//! What is counted of calls, and what clients are told that are not let through.

use super::*;
use serde_json::{Value, json};
use std::num::NonZeroU32;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// The body of what is answered to a request; in the old version of HTTP, whose answers come whole.
async fn answered(to: &str, request: String) -> String {
    let mut stream = TcpStream::connect(to).await.unwrap();
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    answer.split_once("\r\n\r\n").unwrap().1.to_owned()
}

/// What a stranger is answered.
async fn called(node: &Running, call: &Value) -> Value {
    let body = call.to_string();
    let head = format!(
        "POST / HTTP/1.0\r\nhost: localhost\r\nx-forwarded-for: 192.0.2.1\r\ncontent-type: application/json\r\n\
         content-length: {}\r\n\r\n",
        body.len()
    );
    let answer = answered(node.url.trim_start_matches("http://"), head + &body).await;
    serde_json::from_str(&answer).unwrap()
}

async fn metrics(node: &Running) -> String {
    let request = "GET /metrics HTTP/1.0\r\nhost: localhost\r\n\r\n";
    answered(&node.metrics.to_string(), request.to_owned()).await
}

async fn behind_a_proxy(dir: &Path, genesis: &Arc<Genesis>, rate: u32) -> Running {
    let trusted_proxies = vec!["127.0.0.1/32".parse().unwrap()];
    let limits = Limits { rate: NonZeroU32::new(rate), trusted_proxies, ..Limits::default() };
    Running::with_limits(dir, genesis, limits).await
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_client_makes_up_is_no_metric_though_it_is_not_let_through() {
    let (dir, genesis) = network();
    let node = behind_a_proxy(dir.path(), &genesis, 1).await;
    let mut refused = 0;
    for number in 0..20 {
        let call = json!({ "jsonrpc": "2.0", "id": 1, "method": format!("made_up_{number}") });
        let answer = called(&node, &call).await;
        refused += usize::from(answer["error"]["data"]["code"] == "rpc.rate");
    }
    assert!(refused > 0);
    let metrics = metrics(&node).await;
    assert!(metrics.contains("sealpost_rpc_requests_total{method=\"unknown\""), "{metrics}");
    assert!(!metrics.contains("made_up"), "{metrics}");
    node.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn each_call_of_a_batch_is_counted_and_explained() {
    let (dir, genesis) = network();
    let node = behind_a_proxy(dir.path(), &genesis, 1000).await;
    let batch = json!([
        { "jsonrpc": "2.0", "id": 1, "method": "node_version" },
        { "jsonrpc": "2.0", "id": 2, "method": "chain_consistency_of_nothing" },
        { "jsonrpc": "2.0", "id": 3, "method": "proof_consistency", "params": { "from": "none", "to": 1 } },
    ]);
    let answers = called(&node, &batch).await;
    assert!(answers[0]["result"]["version"].is_string(), "{answers}");
    assert_eq!(answers[1]["error"]["code"], -32601);
    assert_eq!(answers[2]["error"]["code"], -32602);
    assert_eq!(answers[2]["error"]["data"]["code"], "input.malformed");
    assert!(answers[2]["error"]["data"]["help"].is_string(), "{answers}");
    let metrics = metrics(&node).await;
    let counted = "sealpost_rpc_requests_total{method=\"proof_consistency\",code=\"-32602\"}";
    assert!(metrics.contains(counted), "{metrics}");
    node.stop().await;
}
