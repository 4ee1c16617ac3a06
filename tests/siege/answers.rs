//! Clients of the RPC that ask for much and take nothing.

use super::{SOON, STRANGERS, Siege, VALIDATOR};
use sealpost_api::{SealpostRpcClient, WaitFor};
use sealpost_ledger::height::BlockHeight;
use sealpost_tests::harness::load::probe;
use sealpost_tests::harness::network::Place;
use sealpost_tests::harness::pulse::{OFTEN, Pulse};
use std::io::Write as _;
use std::time::Duration;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpSocket, TcpStream};

/// The most memory of a node whose clients take nothing of their answers: what it has for those, and what it has anyway.
const MEMORY_OF_ANSWERS_KIB: u64 = (256 + 256) * 1024;
/// Connections of each stranger.
const CONNECTIONS: usize = 32;
/// What each of them asks for, in answers of megabytes, if the node goes on reading.
const QUESTIONS: usize = 40;

/// Asks for megabytes again and again, over HTTP or a WebSocket, and takes none of them; until the node reads no more.
async fn takes_nothing(rpc: &str, from: &str, number: usize, batch: &str) -> TcpStream {
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_recv_buffer_size(4096).unwrap();
    socket.bind(format!("{from}:0").parse().unwrap()).unwrap();
    let mut stream = socket.connect(rpc.parse().unwrap()).await.unwrap();
    let question = if number.is_multiple_of(2) {
        let length = batch.len();
        let head = format!(
            "POST / HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\ncontent-length: {length}\r\n\r\n"
        );
        (head + batch).into_bytes()
    } else {
        let head = "GET / HTTP/1.1\r\nhost: localhost\r\nconnection: upgrade\r\nupgrade: websocket\r\n\
                    sec-websocket-version: 13\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";
        stream.write_all(head.as_bytes()).await.unwrap();
        let mut status = [0; 12];
        stream.read_exact(&mut status).await.unwrap();
        assert_eq!(&status, b"HTTP/1.1 101");
        let mut frame = vec![0x81, 0x80 | 127];
        frame.extend((batch.len() as u64).to_be_bytes());
        // Masked with zeros, which changes nothing.
        frame.extend([0; 4]);
        frame.extend(batch.as_bytes());
        frame
    };
    for _ in 0..QUESTIONS {
        // The node reads no more, or has given the connection up.
        let sent = tokio::time::timeout(Duration::from_secs(2), stream.write_all(&question)).await;
        if !matches!(sent, Ok(Ok(()))) {
            break;
        }
    }
    stream
}

#[tokio::test(flavor = "multi_thread")]
async fn clients_that_take_nothing_of_their_answers_cost_the_node_no_more_than_its_bound() {
    let siege = Siege::start("readers", Place::Loopback);
    let message = siege.messages.make_long(BlockHeight::new(1000), 60_000);
    let client = siege.network.client(VALIDATOR);
    let (transaction, body) = (message.transaction.clone(), message.body.clone());
    let submitted = client.tx_submit(transaction, Some(body), Some(WaitFor::Final)).await.unwrap();
    let call = serde_json::json!({
        "jsonrpc": "2.0", "id": 1, "method": "tx_body", "params": { "id": submitted.id }
    });
    // Long, so that the system does not keep many of them.
    let batch = serde_json::Value::from(vec![call; 50]).to_string() + &" ".repeat(100_000);
    let rpc = siege.network.said(VALIDATOR, "rpc").trim_start_matches("http://").to_owned();
    let pulse = Pulse::start(&format!("http://{rpc}"), SOON, OFTEN);
    let asking = STRANGERS.iter().flat_map(|from| (0..CONNECTIONS).map(move |number| (*from, number)));
    let asking = asking.map(|(from, number)| takes_nothing(&rpc, from, number, &batch));
    let held = futures::future::join_all(asking).await;
    // It goes on meanwhile: whoever runs it is answered, and messages become final.
    probe(client, &siege.messages, SOON).await.unwrap();
    let answers = pulse.stop().await.unwrap_or_else(|error| panic!("no answer: {error}"));
    let peak = siege.network.peak_memory_kib(VALIDATOR);
    let _ = writeln!(
        std::io::stderr(),
        "{} clients that take nothing: {} answers to another, p99 {:.1?}, the slowest {:.1?}, {} MiB",
        held.len(),
        answers.count,
        answers.percentile(99),
        answers.percentile(100),
        peak / 1024
    );
    assert!(peak < MEMORY_OF_ANSWERS_KIB, "{peak} KiB");
    let refused = siege.metric(VALIDATOR, "sealpost_rpc_refusals_total{code=\"rpc.busy\"}");
    assert!(refused > 0.0, "nobody asked for more than there is room for");
}
