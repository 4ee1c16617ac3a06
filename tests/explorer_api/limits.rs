//! What a client may cost, and how an operator sees how it goes.

use super::client::{Events, get};
use super::{Stage, explore, shared};
use crate::world::home_of;
use sealpost_tests::{LONGEST_SILENCE, run};
use serde_json::{Value, json};
use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::time::Instant;

#[test]
fn who_asks_too_much_is_told_when_to_come_again_and_others_are_not_touched() {
    let stage = Stage::new(&["--rate", "1/s", "--trusted-proxy", "127.0.0.0/8"]);
    let ask = |path: &str, client: &str| get(&stage.url(), path, &[("X-Forwarded-For", client)]);
    // More than comes in again while they are sent.
    let replies: Vec<_> = (0..200).map(|_| ask("/api/v1/search?q=x", "192.0.2.7")).collect();
    assert_eq!(replies[0].status, 200);
    let refused = replies.iter().find(|reply| reply.status == 429).expect("nobody was refused");
    assert_eq!(
        (refused.kind(), &refused.json()["code"]),
        ("application/problem+json", &json!("explorer.rate"))
    );
    assert!(refused.header("retry-after").parse::<u64>().unwrap() >= 1);
    // Pages count too, and what keeps this program alive does not.
    assert!((0..200).any(|_| ask("/glossary", "192.0.2.7").status == 429));
    assert_eq!(ask("/livez", "192.0.2.7").status, 200);
    // Somebody else behind the same proxy; a client can't make itself another one.
    assert_eq!(ask("/api/v1/search?q=x", "192.0.2.8").status, 200);
    assert!((0..200).any(|n| ask("/glossary", &format!("198.51.100.{n}, 192.0.2.7")).status == 429));
}

#[test]
fn no_proxy_is_trusted_unless_it_is_named() {
    let stage = Stage::new(&["--rate", "1/s"]);
    let ask = |n: u32| get(&stage.url(), "/glossary", &[("X-Forwarded-For", &format!("192.0.2.{n}"))]);
    assert!((0..250).any(|n| ask(n).status == 429));
}

#[test]
fn streams_and_bodies_are_bounded() {
    let stage = Stage::new(&["--streams", "3", "--streams-per-client", "2", "--trusted-proxy", "127.0.0.1"]);
    let path = format!("/api/v1/addresses/{}/events", stage.bob);
    let open = |client: &str| Events::open(&stage.url(), &path, &[("X-Forwarded-For", client)]);
    let held = [open("192.0.2.1"), open("192.0.2.1"), open("192.0.2.2")];
    assert!(held.iter().all(Result::is_ok));
    for (client, status) in [("192.0.2.1", 429), ("192.0.2.3", 503)] {
        let refused = open(client).err().expect("one stream too many");
        assert_eq!((refused.status, &refused.json()["code"]), (status, &json!("explorer.streams")));
        assert!(refused.header("retry-after").parse::<u64>().unwrap() >= 1);
    }
    let large = get(&stage.url(), "/api/v1/status", &[("Content-Length", "2000000")]);
    assert_eq!((large.status, &large.json()["code"]), (413, &json!("explorer.body")));
}

#[test]
fn connections_are_bounded_and_whoever_dawdles_loses_theirs() {
    let stage = Stage::new(&["--connections", "1"]);
    let host = stage.url().strip_prefix("http://").unwrap().to_owned();
    // It takes the only place and never says what it wants.
    let mut slow = TcpStream::connect(&host).unwrap();
    slow.write_all(b"GET / HTTP/1.1\r\nHost:").unwrap();
    // Answered only when the slow one was thrown out.
    assert_eq!(stage.get("/livez").status, 200);
    let mut rest = Vec::new();
    // Closed, whether with a word or without.
    drop(slow.read_to_end(&mut rest));
    assert!(!rest.starts_with(b"HTTP/1.1 200"), "{rest:?}");
}

#[test]
fn a_client_has_so_many_connections_and_those_of_a_trusted_proxy_are_not_counted() {
    let stage = Stage::new(&["--connections-per-client", "2"]);
    let path = format!("/api/v1/addresses/{}/events", stage.bob);
    let mut held = vec![
        Events::open(&stage.url(), &path, &[]).expect("the first"),
        Events::open(&stage.url(), &path, &[]).expect("the second"),
    ];
    let refused = stage.get("/livez");
    assert_eq!((refused.status, &refused.json()["code"]), (429, &json!("explorer.connections")));
    assert_eq!((refused.header("connection"), refused.header("retry-after")), ("close", "5"));
    held.pop();
    // The place is free as soon as the explorer sees that the connection is closed.
    let since = Instant::now();
    let numbers = loop {
        let reply = stage.get("/metrics");
        if reply.status == 200 {
            break reply;
        }
        assert!(since.elapsed() < LONGEST_SILENCE, "the place was not given back: {reply:?}");
    };
    let refused = numbers.text().lines().find_map(|line| {
        line.strip_prefix("sealpost_explorer_connections_refused_total ")?.parse::<u64>().ok()
    });
    assert!(refused.is_some_and(|count| count >= 1), "{}", numbers.text());
    let flags = ["--connections-per-client", "2", "--trusted-proxy", "127.0.0.1"];
    let behind = explore(&stage.world, &stage.world.node.said("rpc"), &flags);
    let open = || Events::open(&behind.said("explorer"), &path, &[]);
    assert!([open(), open(), open()].iter().all(Result::is_ok));
}

#[test]
fn health_and_numbers_are_told_and_name_nobody() {
    let stage = &shared();
    assert_eq!(stage.get("/livez").text(), "alive\n");
    let ready = stage.get("/readyz");
    assert_eq!((ready.status, &ready.json()["ready"]), (200, &Value::Bool(true)), "{ready:?}");
    let names: Vec<_> =
        ready.json()["checks"].as_array().unwrap().iter().map(|c| c["name"].clone()).collect();
    assert_eq!(names, ["node", "chain", "synced", "progress"]);
    stage.get(&format!("/api/v1/addresses/{}", stage.bob));
    stage.get(&format!("/api/v1/messages/{}", stage.opened));
    stage.get("/api/v1/blocks/999999999");
    let numbers = stage.get("/metrics");
    let text = numbers.text();
    assert!(
        text.contains("sealpost_http_requests_total{route=\"/api/v1/messages/{id}\",status=\"200\"}"),
        "{text}"
    );
    assert!(
        text.contains("sealpost_http_requests_total{route=\"/api/v1/blocks/{block}\",status=\"404\"}"),
        "{text}"
    );
    for name in ["sealpost_build_info", "sealpost_explorer_height", "sealpost_explorer_streams", "_bucket{"] {
        assert!(text.contains(name), "{name} is missing in {text}");
    }
    for secret in [&stage.bob, &stage.opened, &"127.0.0.1".to_owned()] {
        assert!(!text.contains(secret.as_str()), "{secret} stands in {text}");
    }
}

#[test]
fn an_explorer_is_checked_before_it_is_started() {
    let stage = &shared();
    let check = |node: &str, genesis: &str| {
        let args = ["check", "--node", node, "--genesis", genesis, "--json"];
        let output = run("sealpost-explorer", home_of(&stage.world), &args);
        let said: Value = serde_json::from_slice(&output.stdout).unwrap();
        assert_eq!(said["schema"], "sealpost/explorer-check/1");
        (output.status.code().unwrap(), said["ready"].as_bool().unwrap())
    };
    let (node, own) = (stage.world.node.said("rpc"), stage.world.path("node/genesis.json"));
    let other = Path::new(env!("CARGO_MANIFEST_DIR")).join("../genesis.json");
    assert_eq!(check(&node, &own), (0, true));
    assert_eq!(check("http://127.0.0.1:1", &own), (3, false));
    assert_eq!(check(&node, other.to_str().unwrap()), (6, false));
}

#[test]
fn without_a_node_it_says_so_and_not_where_the_node_is() {
    let stage = &shared();
    let alone = explore(&stage.world, "http://127.0.0.1:1", &[]);
    let url = alone.said("explorer");
    for path in ["/api/v1/status", "/api/v1/blocks/1", "/readyz"] {
        let reply = get(&url, path, &[]);
        assert_eq!(reply.status, 503, "{path}: {reply:?}");
        assert!(!reply.text().contains("127.0.0.1"), "{reply:?}");
    }
    let reply = get(&url, "/api/v1/blocks/1", &[]);
    assert_eq!((&reply.json()["code"], reply.header("retry-after")), (&json!("node.unreachable"), "5"));
}
