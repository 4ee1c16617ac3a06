//! How the RPC ends, with clients that do not want it to.
#![allow(clippy::unwrap_used)]

use super::testing::wiring;
use super::{Limits, start};
use crate::store::testing::{Chain, RECIPIENT, address};
use crate::store::{Store, StoreOptions};
use sealpost_http::Patience;
use sealpost_ledger::height::BlockHeight;
use serde_json::json;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpSocket;

const EVER: Duration = Duration::from_secs(3600);
const SOON: Duration = Duration::from_secs(60);

/// It would be waited for an hour.
#[tokio::test]
async fn whoever_takes_its_answer_slowly_does_not_keep_the_server_from_stopping() {
    let (dir, chain) = (tempfile::tempdir().unwrap(), Chain::wide("stopping"));
    let (store, _) = Store::open(dir.path(), chain.genesis.clone(), StoreOptions::default()).unwrap();
    for block in 0..2 {
        let messages = (0..10).map(|number| chain.circular(&format!("{block} {number}")));
        store.append(&chain.next(&store, messages.collect())).unwrap();
    }
    let parting = Duration::from_millis(100);
    let patience = Patience { first: EVER, head: EVER, taking: EVER, parting };
    let limits = Limits { patience, ..Limits::default() };
    let wiring = wiring(BlockHeight::new(2));
    let rpc = start("127.0.0.1:0".parse().unwrap(), &limits, store, wiring).await.unwrap();

    let socket = TcpSocket::new_v4().unwrap();
    socket.set_recv_buffer_size(4096).unwrap();
    let mut client = socket.connect(rpc.address).await.unwrap();
    let head = "GET / HTTP/1.1\r\nhost: localhost\r\nconnection: upgrade\r\nupgrade: websocket\r\n\
                sec-websocket-version: 13\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";
    client.write_all(head.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    while !answer.ends_with(b"\r\n\r\n") {
        answer.push(client.read_u8().await.unwrap());
    }
    assert!(answer.starts_with(b"HTTP/1.1 101"));
    let query = json!({ "address": address(RECIPIENT).to_text(chain.genesis.prefix()), "side": "received" });
    let call = json!({ "jsonrpc": "2.0", "id": 1, "method": "mailbox_list", "params": { "query": query } });
    for _ in 0..4 {
        let call = call.to_string();
        let mut frame = vec![0x81, 0x80 | 126];
        frame.extend(u16::try_from(call.len()).unwrap().to_be_bytes());
        // Masked with zeros, which changes nothing.
        frame.extend([0; 4]);
        frame.extend(call.as_bytes());
        client.write_all(&frame).await.unwrap();
    }
    // An answer is on its way.
    client.read_exact(&mut [0; 1000]).await.unwrap();
    tokio::time::timeout(SOON, rpc.stop()).await.unwrap();
}
