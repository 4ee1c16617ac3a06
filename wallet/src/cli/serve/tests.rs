//! What a client may send. The whole server is tested from outside, in `tests/serve.rs`.
#![allow(clippy::unwrap_used)]

use super::connection::Lines;
use super::methods;
use super::protocol::{Refusal, request};
use proptest::prelude::*;
use serde_json::{Value, json};

fn code(line: &str) -> (i32, String) {
    let (_, refusal) = request(line.as_bytes()).unwrap_err();
    let (number, code) = refusal.code();
    (number, code.to_owned())
}

#[test]
fn a_request_is_read_and_everything_else_is_named() {
    let read = request(br#"{"jsonrpc":"2.0","id":7,"method":"inbox","params":{"limit":3}}"#).unwrap();
    assert_eq!((read.id, read.method.as_str()), (json!(7), "inbox"));
    assert_eq!(read.params, json!({ "limit": 3 }));
    let malformed = (-32700, "serve.malformed".to_owned());
    let no_request = (-32600, "serve.request".to_owned());
    for line in ["", "{", "nonsense", &"[".repeat(1_000_000)] {
        assert_eq!(code(line), malformed, "{line:.20}");
    }
    for line in [
        "[]",
        "7",
        r#"{"jsonrpc":"2.0","method":"inbox"}"#,
        r#"{"jsonrpc":"2.0","id":null,"method":"inbox"}"#,
        r#"{"jsonrpc":"2.0","id":1.5,"method":"inbox"}"#,
        r#"{"jsonrpc":"2.0","id":[1],"method":"inbox"}"#,
        r#"{"jsonrpc":"1.0","id":1,"method":"inbox"}"#,
        r#"{"jsonrpc":"2.0","id":1}"#,
        r#"{"jsonrpc":"2.0","id":1,"method":"inbox","params":[1]}"#,
        r#"{"jsonrpc":"2.0","id":1,"method":"inbox","more":1}"#,
    ] {
        assert_eq!(code(line), no_request, "{line}");
    }
    let (id, _) = request(br#"{"jsonrpc":"2.0","id":"a"}"#).unwrap_err();
    assert_eq!(id, json!("a"), "the answer carries the id, so that the client knows which one");
}

#[tokio::test]
async fn lines_are_bounded_and_what_came_in_pieces_is_whole() {
    use tokio::io::AsyncWriteExt;
    let (mut client, server) = tokio::io::duplex(64);
    let mut lines = Lines::new(server);
    client.write_all(b"one\ntw").await.unwrap();
    assert_eq!(lines.next(10).await.ok().flatten().unwrap(), b"one");
    // Given up in the middle of a line, as a select does.
    assert!(futures::poll!(Box::pin(lines.next(10))).is_pending());
    client.write_all(b"o\n0123456789\n0123456789a\n").await.unwrap();
    assert_eq!(lines.next(10).await.ok().flatten().unwrap(), b"two");
    assert_eq!(lines.next(10).await.ok().flatten().unwrap(), b"0123456789");
    let refusal: Refusal = lines.next(10).await.unwrap_err();
    assert_eq!(refusal.code().1, "serve.too_long");
    let (client, server) = tokio::io::duplex(64);
    drop(client);
    assert!(Lines::new(server).next(10).await.unwrap().is_none());
}

/// `docs/serve.md` has a row for each method, and for no other.
#[test]
fn the_page_lists_the_methods() {
    let page = include_str!("../../../../docs/serve.md");
    let rows = page.lines().filter_map(|line| line.strip_prefix("| `")?.split_once('`'));
    let mut listed: Vec<_> = rows.map(|(name, _)| name).filter(|name| !name.contains('.')).collect();
    listed.sort_unstable();
    assert_eq!(listed, methods::all());
}

proptest! {
    #[test]
    fn no_line_is_too_much_for_the_reader(line in prop::collection::vec(any::<u8>(), 0..200)) {
        let _ = request(&line);
    }

    #[test]
    fn whatever_stands_in_a_request_is_answered_under_its_id(
        id in any::<i64>(), method in ".{0,40}", key in "[a-z]{0,8}", value in any::<i32>(),
    ) {
        let line = json!({ "jsonrpc": "2.0", "id": id, "method": method, "params": { key: value } });
        let read = request(line.to_string().as_bytes()).unwrap();
        prop_assert_eq!((read.id, read.method), (json!(id), method));
        prop_assert_ne!(read.params, Value::Null);
    }
}
