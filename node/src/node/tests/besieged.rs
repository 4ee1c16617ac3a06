//! Clients that want more of the RPC than is theirs, or less than they should: over plain connections, from addresses of
//! this machine that are nobody's, so that they are strangers to the node.

use super::tags::sealed;
use super::*;
use serde_json::{Value, json};
use std::net::SocketAddr;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};
use tokio::task::JoinSet;

/// Two strangers, and this machine itself.
const ONE: &str = "127.0.0.2";
const OTHER: &str = "127.0.0.3";
const HERE: &str = "127.0.0.1";
/// No test waits so long, unless it fails.
const LONG: Duration = Duration::from_secs(60);
/// What a test waits for on purpose.
const SHORT: Duration = Duration::from_millis(200);

fn address(node: &Running) -> SocketAddr {
    node.url.trim_start_matches("http://").parse().unwrap()
}

/// A connection that keeps little of what it has not read.
async fn connect(node: &Running, from: &str) -> TcpStream {
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_recv_buffer_size(4096).unwrap();
    socket.bind(SocketAddr::new(from.parse().unwrap(), 0)).unwrap();
    socket.connect(address(node)).await.unwrap()
}

fn request(headers: &str, body: &str) -> String {
    let length = body.len();
    format!(
        "POST / HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n{headers}\
         content-length: {length}\r\n\r\n{body}"
    )
}

fn call(method: &str, params: &Value) -> Value {
    json!({ "jsonrpc": "2.0", "id": 1, "method": method, "params": params })
}

/// The head of an answer, with the empty line at its end.
async fn read_head(stream: &mut TcpStream) -> String {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await.unwrap());
    }
    String::from_utf8(head).unwrap()
}

/// Status and body of an answer. The connection stays.
async fn answer(stream: &mut TcpStream) -> (u16, Value) {
    let reading = async {
        let head = read_head(stream).await.to_lowercase();
        let status = head.split(' ').nth(1).unwrap().parse().unwrap();
        let (_, rest) = head.split_once("content-length: ").unwrap();
        let mut body = vec![0; rest.split_once('\r').unwrap().0.parse().unwrap()];
        stream.read_exact(&mut body).await.unwrap();
        (status, serde_json::from_slice(&body).unwrap_or_default())
    };
    tokio::time::timeout(LONG, reading).await.unwrap()
}

async fn ask(node: &Running, from: &str, text: &str) -> (u16, Value) {
    let mut stream = connect(node, from).await;
    stream.write_all(text.as_bytes()).await.unwrap();
    answer(&mut stream).await
}

fn code(answer: &Value) -> &str {
    answer["error"]["data"]["code"].as_str().unwrap_or_default()
}

fn version() -> String {
    request("", &call("node_version", &json!({})).to_string())
}

/// It is answered, whatever happens to others.
async fn is_served(node: &Running, from: &str) {
    let (status, answer) = ask(node, from, &version()).await;
    assert_eq!((status, answer["result"]["protocol"].is_u64()), (200, true), "{from}: {answer}");
}

/// Ends when the node has ended the connection.
async fn ended(stream: &mut TcpStream) {
    let mut ignored = [0; 4096];
    let reading = async { while stream.read(&mut ignored).await.is_ok_and(|length| length > 0) {} };
    tokio::time::timeout(LONG, reading).await.unwrap();
}

async fn upgrade(node: &Running, from: &str, headers: &str) -> (TcpStream, u16) {
    let mut stream = connect(node, from).await;
    let head = format!(
        "GET / HTTP/1.1\r\nhost: localhost\r\nconnection: upgrade\r\nupgrade: websocket\r\n\
         sec-websocket-version: 13\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n{headers}\r\n"
    );
    stream.write_all(head.as_bytes()).await.unwrap();
    let status = read_head(&mut stream).await.split(' ').nth(1).unwrap().parse().unwrap();
    (stream, status)
}

/// The head of a text message of so many bytes, masked with zeros.
fn frame_head(length: usize) -> Vec<u8> {
    let mut head = vec![0x81, 0x80 | 127];
    head.extend(u64::try_from(length).unwrap().to_be_bytes());
    head.extend([0; 4]);
    head
}

fn frame(text: &str) -> Vec<u8> {
    [frame_head(text.len()), text.as_bytes().to_vec()].concat()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_that_does_not_come_is_not_waited_for() {
    let (dir, genesis) = network();
    let limits = Limits { request_time: SHORT, ..Limits::default() };
    let node = Running::with_limits(dir.path(), &genesis, limits).await;
    let mut dawdling = connect(&node, ONE).await;
    let whole = version();
    dawdling.write_all(&whole.as_bytes()[..whole.len() - 1]).await.unwrap();
    let (status, said) = answer(&mut dawdling).await;
    assert_eq!((status, code(&said)), (408, "rpc.slow"), "{said}");
    // Over a WebSocket, too, if it is long: what is short costs nothing.
    let (mut socket, status) = upgrade(&node, ONE, "").await;
    assert_eq!(status, 101);
    socket.write_all(&frame_head(1 << 20)).await.unwrap();
    socket.write_all(&[b' '; 100 << 10]).await.unwrap();
    let trickling = async {
        while socket.write_all(b" ").await.is_ok() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(LONG, trickling).await.unwrap();
    is_served(&node, ONE).await;
    node.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_says_nothing_is_not_waited_for() {
    let (dir, genesis) = network();
    let mut limits = Limits::default();
    (limits.patience.first, limits.patience.head) = (SHORT, SHORT);
    let node = Running::with_limits(dir.path(), &genesis, limits).await;
    ended(&mut connect(&node, ONE).await).await;
    let mut idle = connect(&node, ONE).await;
    idle.write_all(version().as_bytes()).await.unwrap();
    assert_eq!(answer(&mut idle).await.0, 200);
    ended(&mut idle).await;
    node.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_that_do_not_come_take_up_so_much_memory_and_no_more() {
    let (dir, genesis) = network();
    // As small as it gets: room for eight of the longest, two of them one client's.
    let limits = Limits { request_bytes: 0, ..Limits::default() };
    let node = Running::with_limits(dir.path(), &genesis, limits).await;
    let text = request("", &" ".repeat(4 << 20));
    let almost = &text.as_bytes()[..text.len() - 1];
    // What they announce is nothing; what the three send is too much. Which of them is refused, the order decides in which
    // the node reads them.
    let mut held = JoinSet::new();
    for _ in 0..3 {
        let (mut stream, almost) = (connect(&node, ONE).await, almost.to_vec());
        held.spawn(async move {
            let (mut reading, mut writing) = stream.split();
            let sending = async {
                let _ = writing.write_all(&almost).await;
                std::future::pending::<()>().await
            };
            let mut begin = [0; 12];
            tokio::select! {
                heard = reading.read_exact(&mut begin) => heard.map(|_| begin).unwrap(),
                () = sending => unreachable!(),
            }
        });
    }
    let refused = tokio::time::timeout(LONG, held.join_next()).await.unwrap().unwrap().unwrap();
    assert_eq!(&refused, b"HTTP/1.1 503");
    for from in [OTHER, HERE] {
        is_served(&node, from).await;
    }
    assert_eq!(held.len(), 2);
    drop(held);
    // Then there is room again.
    let again = async {
        loop {
            let mut stream = connect(&node, ONE).await;
            let mut begin = [0; 12];
            // Broken off if it is refused before its end.
            if stream.write_all(text.as_bytes()).await.is_ok()
                && stream.read_exact(&mut begin).await.is_ok()
                && &begin != b"HTTP/1.1 503"
            {
                break;
            }
        }
    };
    tokio::time::timeout(LONG, again).await.unwrap();
    node.stop().await;
}

/// A batch whose answer is megabytes: the body of one message, again and again.
async fn long_batch(node: &Running, genesis: &Genesis) -> String {
    let (transaction, body) = sealed(genesis, 50, 1, 60_000);
    let (id, bytes, body) = (transaction.id(), Hex(transaction.to_bytes()), Hex(body.as_bytes().to_vec()));
    node.client.tx_submit(bytes, Some(body), Some(WaitFor::Final)).await.unwrap();
    Value::from(vec![call("tx_body", &json!({ "id": id })); 50]).to_string()
}

/// Asks for megabytes, and takes no more of the answer than its first byte: an answer to a batch is a list, and a refusal
/// is none.
async fn begins_list(node: &Running, batch: &str) -> (bool, TcpStream) {
    let mut stream = connect(node, ONE).await;
    stream.write_all(batch.as_bytes()).await.unwrap();
    read_head(&mut stream).await;
    (stream.read_u8().await.unwrap() == b'[', stream)
}

#[tokio::test(flavor = "multi_thread")]
async fn answers_that_nobody_takes_take_up_so_much_memory_and_no_more() {
    let (dir, genesis) = network();
    let mut limits = Limits { answer_bytes: 0, rate: None, ..Limits::default() };
    // The first ones are there still when the last ones come.
    limits.patience.taking = 2 * LONG;
    let node = Running::with_limits(dir.path(), &genesis, limits).await;
    let batch = request("", &long_batch(&node, &genesis).await);
    let mut held = Vec::new();
    while let (true, stream) = begins_list(&node, &batch).await {
        assert!(held.len() < 30, "{} answers of megabytes wait for one client", held.len());
        held.push(stream);
    }
    // A quarter of 256 MiB, by six each.
    assert!(held.len() >= 8, "{}", held.len());
    for from in [ONE, OTHER, HERE] {
        is_served(&node, from).await;
    }
    // With the connections the memory is free again.
    drop(held);
    let again = async { while !begins_list(&node, &batch).await.0 {} };
    tokio::time::timeout(LONG, again).await.unwrap();
    node.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_takes_nothing_of_an_answer_loses_the_connection() {
    let (dir, genesis) = network();
    let mut limits = Limits { rate: None, ..Limits::default() };
    limits.patience.taking = 5 * SHORT;
    let node = Running::with_limits(dir.path(), &genesis, limits).await;
    let batch = request("", &long_batch(&node, &genesis).await);
    let (is_list, mut stream) = begins_list(&node, &batch).await;
    assert!(is_list);
    // What is sent to nobody comes back as an error; long before the patience that a node has unless it is told.
    let cut_off = async { while stream.write_all(b" ").await.is_ok() {} };
    tokio::time::timeout(Limits::default().patience.taking / 2, cut_off).await.unwrap();
    is_served(&node, ONE).await;
    node.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_socket_that_takes_nothing_is_read_no_more_and_then_cut_off() {
    let (dir, genesis) = network();
    let mut limits = Limits { rate: None, ..Limits::default() };
    limits.patience.taking = 5 * SHORT;
    let node = Running::with_limits(dir.path(), &genesis, limits).await;
    // Long, so that the system does not keep many of them.
    let batch = frame(&(long_batch(&node, &genesis).await + &" ".repeat(1_000_000)));
    let (mut socket, status) = upgrade(&node, ONE, "").await;
    assert_eq!(status, 101);
    // Answers of megabytes, if they were all given.
    let mut taken = 0_usize;
    let asking = async {
        while taken < 100 && socket.write_all(&batch).await.is_ok() {
            taken += 1;
        }
    };
    tokio::time::timeout(LONG, asking).await.unwrap();
    // What the system keeps of requests on their way counts as well.
    assert!(taken < 100, "{taken} were read");
    is_served(&node, ONE).await;
    node.stop().await;
}

/// Messages that are no calls, as short as they can be: each is a task that waits until its client takes the answer.
#[tokio::test(flavor = "multi_thread")]
async fn sockets_that_flood_and_take_nothing_do_not_stop_other_sockets() {
    let (dir, genesis) = network();
    let mut limits = Limits::default();
    (limits.patience.taking, limits.patience.parting) = (10 * LONG, SHORT);
    let node = Running::with_limits(dir.path(), &genesis, limits).await;
    let mut flood = JoinSet::new();
    for from in [ONE, OTHER] {
        for _ in 0..32 {
            let (mut socket, status) = upgrade(&node, from, "").await;
            assert_eq!(status, 101);
            flood.spawn(async move {
                let empty = [0x81, 0x80, 0, 0, 0, 0].repeat(4096);
                // Until the node reads no more.
                while let Ok(Ok(())) = tokio::time::timeout(SHORT, socket.write_all(&empty)).await {}
                socket
            });
        }
    }
    let _held = flood.join_all().await;
    let version = tokio::time::timeout(LONG, node.client.node_version()).await.unwrap().unwrap();
    assert!(!version.version.is_empty());
    let (mut socket, _) = upgrade(&node, "127.0.0.4", "").await;
    socket.write_all(&frame(&call("node_version", &json!({})).to_string())).await.unwrap();
    tokio::time::timeout(LONG, socket.read_exact(&mut [0; 64])).await.unwrap().unwrap();
    node.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn json_that_is_nested_without_end_is_refused_and_others_are_served() {
    let (dir, genesis) = network();
    let node = Running::start(dir.path(), &genesis).await;
    const DEEP: usize = 100_000;
    let nested = "[".repeat(DEEP) + &"]".repeat(DEEP);
    let named = "{\"a\":".repeat(DEEP) + "1" + &"}".repeat(DEEP);
    let within = |value: &str| format!(r#"{{"jsonrpc":"2.0","id":1,"method":"tx_get","params":{value}}}"#);
    let id_of = |value: &str| within(&format!(r#"{{"id":{value}}}"#));
    let all = [
        "[".repeat(DEEP),
        nested.clone(),
        named.clone(),
        within(&nested),
        within(&named),
        id_of(&nested),
        id_of(&named),
    ];
    for body in all {
        let (status, said) = ask(&node, ONE, &request("", &body)).await;
        // A list gets a list.
        let first = said.get(0).unwrap_or(&said);
        assert!(first["error"]["code"].is_i64(), "{}: {status} {said}", &body[..60]);
        is_served(&node, OTHER).await;
    }
    node.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn sockets_keep_their_places_and_neither_others_nor_this_machine_are_locked_out() {
    let (dir, genesis) = network();
    let node = Running::start(dir.path(), &genesis).await;
    let mut held = Vec::new();
    for _ in 0..32 {
        let (socket, status) = upgrade(&node, ONE, "").await;
        assert_eq!(status, 101);
        held.push(socket);
    }
    let (status, said) = ask(&node, ONE, &version()).await;
    assert_eq!((status, code(&said)), (429, "rpc.connections"), "{said}");
    for from in [OTHER, HERE] {
        is_served(&node, from).await;
    }
    // Who closes one may open one.
    drop(held.pop());
    let again = async { while ask(&node, ONE, &version()).await.0 != 200 {} };
    tokio::time::timeout(LONG, again).await.unwrap();
    node.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_asks_too_much_is_told_so_and_others_are_not_touched() {
    let (dir, genesis) = network();
    let limits = Limits { rate: std::num::NonZeroU32::new(2), ..Limits::default() };
    let node = Running::with_limits(dir.path(), &genesis, limits).await;
    let mut stream = connect(&node, ONE).await;
    let mut said = Value::Null;
    for _ in 0..100 {
        stream.write_all(version().as_bytes()).await.unwrap();
        said = answer(&mut stream).await.1;
        if !said["error"].is_null() {
            break;
        }
    }
    assert_eq!(code(&said), "rpc.rate", "{said}");
    is_served(&node, OTHER).await;
    // What brings ten at once has had all that comes at once; so has a batch of as many.
    let many = call("tx_submitMany", &json!({ "transactions": vec![json!({ "transaction": "00" }); 10] }));
    let batch = Value::from(vec![call("node_version", &json!({})); 10]);
    for (from, heavy) in [("127.0.0.4", many), ("127.0.0.5", batch)] {
        let (_, first) = ask(&node, from, &request("", &heavy.to_string())).await;
        assert!(first.get("error").is_none(), "{first}");
        let (_, second) = ask(&node, from, &request("", &heavy.to_string())).await;
        assert_eq!(code(&second), "rpc.rate", "{second}");
    }
    for _ in 0..50 {
        is_served(&node, HERE).await;
    }
    node.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_page_makes_a_browser_ask_is_refused() {
    let (dir, genesis) = network();
    let (hosts, origins) =
        (vec!["node.example.org".to_owned()], vec!["https://ledger.example.org".to_owned()]);
    let node =
        Running::with_limits(dir.path(), &genesis, Limits { hosts, origins, ..Limits::default() }).await;
    let post = |host: &str, headers: &str| {
        request(headers, &call("node_version", &json!({})).to_string()).replace("localhost", host)
    };
    for (host, headers) in [
        ("evil.example:17325", ""),
        ("localhost", "origin: http://evil.example\r\n"),
        ("127.0.0.1:17325", "origin: http://127.0.0.1:8000\r\n"),
        ("127.0.0.1:17325", "origin: null\r\n"),
    ] {
        let expected =
            if headers.is_empty() { ("rpc.host", "rpc.hosts") } else { ("rpc.origin", "rpc.origins") };
        let (status, said) = ask(&node, HERE, &post(host, headers)).await;
        assert_eq!((status, code(&said)), (403, expected.0), "{host} {headers}");
        assert!(said["error"]["data"]["help"].as_str().unwrap().contains(expected.1), "{said}");
    }
    for (host, headers) in [
        ("node.example.org", ""),
        ("[::1]:17325", ""),
        ("localhost", "origin: http://localhost\r\n"),
        ("127.0.0.1:17325", "origin: https://ledger.example.org\r\n"),
    ] {
        assert_eq!(ask(&node, HERE, &post(host, headers)).await.0, 200, "{host} {headers}");
    }
    // A page of another origin may open a WebSocket, as far as browsers are concerned.
    assert_eq!(upgrade(&node, HERE, "origin: http://evil.example\r\n").await.1, 403);
    assert_eq!(upgrade(&node, HERE, "origin: https://ledger.example.org\r\n").await.1, 101);
    node.stop().await;
}

/// Every subscription that there may be, all of them from the first block on.
#[tokio::test(flavor = "multi_thread")]
async fn many_replays_get_on_and_what_is_submitted_meanwhile_becomes_final() {
    let (dir, genesis) = network();
    let limits = Limits { replays: 1, ..Limits::default() };
    let node = Running::with_limits(dir.path(), &genesis, limits).await;
    let blocks = 10;
    for seed in 10..10 + blocks {
        let bundle = key_bundle(&genesis, &key(seed), 1, BlockHeight::new(100));
        node.submit(&bundle, WaitFor::Final).await.unwrap();
    }
    let last = node.client.chain_head().await.unwrap().unwrap();
    let height = Header::from_bytes(last.header.as_bytes()).unwrap().height;
    let (mut clients, mut replays) = (Vec::new(), Vec::new());
    for _ in 0..4 {
        let client = WsClientBuilder::default().build(node.url.replace("http", "ws")).await.unwrap();
        for _ in 0..20 {
            let mut heard = client.chain_subscribe_blocks(Some(BlockHeight::FIRST)).await.unwrap();
            replays.push(tokio::spawn(async move {
                let mut expected = BlockHeight::FIRST;
                while expected <= height {
                    let block = heard.next().await.unwrap().unwrap();
                    assert_eq!(Header::from_bytes(block.header.as_bytes()).unwrap().height, expected);
                    expected = expected.saturating_add(1);
                }
            }));
        }
        clients.push(client);
    }
    let bundle = key_bundle(&genesis, &key(99), 1, BlockHeight::new(100));
    node.submit(&bundle, WaitFor::Final).await.unwrap();
    for replay in replays {
        tokio::time::timeout(LONG, replay).await.unwrap().unwrap();
    }
    node.stop().await;
}
