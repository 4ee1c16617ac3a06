//! Requests and answers in gzip.

use super::*;
use flate2::Compression;
use flate2::read::GzDecoder;
use flate2::write::GzEncoder;
use serde_json::{Value, json};
use std::io::{Read, Write};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut packed = GzEncoder::new(Vec::new(), Compression::best());
    packed.write_all(bytes).unwrap();
    packed.finish().unwrap()
}

/// What a node answers to these bytes: status, head and body. In the old version of HTTP, whose answers come whole.
async fn post(node: &Running, headers: &str, body: &[u8]) -> (u16, String, Vec<u8>) {
    let mut stream = TcpStream::connect(node.url.trim_start_matches("http://")).await.unwrap();
    let length = body.len();
    let head = format!(
        "POST / HTTP/1.0\r\nhost: localhost\r\ncontent-type: application/json\r\ncontent-length: {length}\r\n{headers}\r\n"
    );
    stream.write_all(head.as_bytes()).await.unwrap();
    // It may have heard enough before the end.
    let _ = stream.write_all(body).await;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await.unwrap();
    let end = answer.windows(4).position(|window| window == b"\r\n\r\n").unwrap();
    let head = String::from_utf8(answer[..end].to_vec()).unwrap().to_lowercase();
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    (status, head, answer[end + 4..].to_vec())
}

fn call(method: &str, params: &Value) -> Vec<u8> {
    json!({ "jsonrpc": "2.0", "id": 1, "method": method, "params": params }).to_string().into_bytes()
}

const PACKED: &str = "content-encoding: gzip\r\n";

#[tokio::test(flavor = "multi_thread")]
async fn a_packed_request_is_understood_and_answers_are_packed_for_those_who_ask() {
    let (dir, genesis) = network();
    let node = Running::start(dir.path(), &genesis).await;
    let bundles = (10..40).map(|seed| {
        let bundle = key_bundle(&genesis, &key(seed), 1, BlockHeight::new(100));
        json!({ "transaction": Hex(bundle.signed().to_bytes()) })
    });
    let params = json!({ "transactions": bundles.collect::<Vec<_>>(), "wait": "final" });
    let (plain, packed) = (call("tx_submitMany", &params), gzip(&call("tx_submitMany", &params)));
    assert!(packed.len() * 3 < plain.len() * 2, "{} of {}", packed.len(), plain.len());
    let all_final = |body: &[u8]| {
        let answer: Value = serde_json::from_slice(body).unwrap();
        let answers = answer["result"].as_array().unwrap().clone();
        assert!(answers.len() == 30 && answers.iter().all(|one| one["status"] == "final"), "{answer}");
    };
    let (status, head, body) = post(&node, PACKED, &packed).await;
    assert!(status == 200 && !head.contains("content-encoding"), "{head}");
    all_final(&body);
    let asking = format!("{PACKED}accept-encoding: gzip\r\n");
    let (status, head, body) = post(&node, &asking, &packed).await;
    assert!(status == 200 && head.contains("content-encoding: gzip"), "{head}");
    let mut unpacked = Vec::new();
    GzDecoder::new(body.as_slice()).read_to_end(&mut unpacked).unwrap();
    all_final(&unpacked);
    node.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_small_request_that_unpacks_to_a_large_one_is_refused_as_the_large_one_is() {
    let (dir, genesis) = network();
    let node = Running::start(dir.path(), &genesis).await;
    // Valid all the same: only its length is wrong.
    let of_length = |bytes: usize| {
        let mut call = call("node_version", &json!({}));
        let end = call.pop().unwrap();
        call.resize(bytes - 1, b' ');
        call.push(end);
        call
    };
    let limit = 4 << 20;
    assert_eq!(post(&node, "", &of_length(limit + 1)).await.0, 413);
    assert_eq!(post(&node, PACKED, &gzip(&of_length(limit))).await.0, 200);
    let bomb = gzip(&of_length(64 << 20));
    assert!(bomb.len() < 1 << 20, "{}", bomb.len());
    for packed in [gzip(&of_length(limit + 1)), bomb, b"no gzip".to_vec()] {
        let (status, _, body) = post(&node, PACKED, &packed).await;
        let answer: Value = serde_json::from_slice(&body).unwrap();
        assert_eq!((status, &answer["error"]["data"]["code"]), (400, &json!("input.malformed")), "{answer}");
    }
    assert_eq!(post(&node, "content-encoding: br\r\n", b"{}").await.0, 415);
    node.stop().await;
}

/// Gzip may go on for ever and unpack to nothing: a row of empty ones.
#[tokio::test(flavor = "multi_thread")]
async fn what_unpacks_to_nothing_is_not_read_for_ever() {
    let (dir, genesis) = network();
    let node = Running::start(dir.path(), &genesis).await;
    let endless = gzip(b"").repeat(300_000);
    assert!(endless.len() > 4 << 20);
    let (status, ..) = post(&node, PACKED, &endless).await;
    assert!((400..500).contains(&status), "{status}");
    node.stop().await;
}
