//! Streams of events: everything that concerns an address, once, in order, whenever and wherever one was cut off.

use super::client::{Event, Events, get};
use super::{Stage, explore, shared};
use crate::world::World;
use serde_json::json;

fn path(address: &str) -> String {
    format!("/api/v1/addresses/{address}/events")
}

fn open(stage: &Stage, address: &str, last: &str) -> Events {
    Events::open(&stage.url(), &path(address), &[("Last-Event-ID", last)])
        .unwrap_or_else(|no| panic!("{no:?}"))
}

/// Events that tell of something.
fn told(events: &[Event]) -> Vec<&Event> {
    events.iter().filter(|event| event.name != "head").collect()
}

fn height(stage: &Stage) -> u64 {
    stage.data("/api/v1/status")["head"]["height"].as_u64().unwrap()
}

#[test]
fn who_was_cut_off_anywhere_misses_nothing_and_hears_nothing_twice() {
    let stage = &shared();
    let height = height(stage);
    for address in [&stage.alice, &stage.bob] {
        let all = open(stage, address, "0-0").until(height);
        assert!(told(&all).len() >= 6, "{all:?}");
        let after = format!("{}?after=0-0", path(address));
        let by_parameter = Events::open(&stage.url(), &after, &[]).unwrap_or_else(|no| panic!("{no:?}"));
        assert_eq!(told(&{ by_parameter }.until(height)), told(&all));
        for (position, event) in all.iter().enumerate() {
            let rest = open(stage, address, &event.id).until(height);
            assert_eq!(told(&rest), told(&all[position + 1..]), "cut off after {}", event.id);
        }
    }
}

/// Two events of one block: who saw the first has still to be told the second.
#[test]
fn who_was_cut_off_within_a_block_hears_the_rest_of_it() {
    // Slow blocks, so that two people who write at once are in the same one.
    let world = World::with_genesis(|genesis| genesis["timing"]["block_interval_ms"] = 2000.into());
    let explorer = explore(&world, &world.node.said("rpc"), &["--rate", "0"]);
    let url = explorer.said("explorer");
    let bob = world.wallet("bob", &["address"])["address"].as_str().unwrap().to_owned();
    let mut height = 0;
    let shared = (0..10).any(|_| {
        std::thread::scope(|scope| {
            scope.spawn(|| world.wallet("alice", &["send", "bob", "-m", "x"]));
            scope.spawn(|| world.wallet("bob", &["send", "alice", "-m", "x"]));
        });
        let head = get(&url, "/api/v1/status", &[]).json()["data"]["head"].clone();
        height = head["height"].as_u64().unwrap();
        head["transaction_count"].as_u64().unwrap() > 1
    });
    assert!(shared, "no block held two transactions");
    let read = |last: &str| {
        let opened = Events::open(&url, &path(&bob), &[("Last-Event-ID", last)]);
        opened.unwrap_or_else(|no| panic!("{no:?}")).until(height)
    };
    let all = read("0-0");
    for (position, event) in all.iter().enumerate() {
        assert_eq!(told(&read(&event.id)), told(&all[position + 1..]), "cut off after {}", event.id);
    }
}

#[test]
fn the_stream_and_the_lists_tell_the_same() {
    let stage = &shared();
    let (list, height) = (format!("/api/v1/addresses/{}/messages?limit=100", stage.alice), height(stage));
    let all = open(stage, &stage.alice, "0-0").until(height);
    let of = |name: &str| {
        let named = all.iter().filter(|event| event.name == name);
        named.map(|event| event.data["data"].clone()).collect::<Vec<_>>()
    };
    let items = |side: &str| stage.data(&format!("{list}&order=oldest&side={side}"))["items"].clone();
    assert_eq!(json!(of("signed")), items("sent"));
    assert_eq!(json!(of("message")), items("received"));
    // Answers to her messages, which no list has.
    let answers: Vec<_> = of("receipt").iter().map(|data| data["payload"]["answer"].clone()).collect();
    assert_eq!(answers, ["opened", "refused"]);
    let bob = open(stage, &stage.bob, "0-0").until(height);
    let received: Vec<_> = bob.iter().filter(|event| event.name == "message").collect();
    assert_eq!(received.len(), 3, "the sealed one names nobody: {bob:?}");
}

#[test]
fn what_happens_now_is_told_and_what_happened_meanwhile_is_not_lost() {
    let stage = Stage::new(&[]);
    let mut live = Events::open(&stage.url(), &path(&stage.bob), &[]).unwrap_or_else(|no| panic!("{no:?}"));
    let first = live.next();
    assert_eq!(first.name, "head");
    let send = || stage.world.wallet("alice", &["send", "bob", "-m", "x"])["id"].as_str().unwrap().to_owned();
    let id = send();
    let event = loop {
        match live.next() {
            event if event.name == "head" => {}
            event => break event,
        }
    };
    assert_eq!((event.name.as_str(), &event.data["data"]["id"]), ("message", &json!(id)));
    assert_eq!(event.data["chain"], stage.get("/api/v1/status").json()["chain"]);
    drop(live);
    let missed = [send(), send()];
    let mut again = open(&stage, &stage.bob, &event.id);
    let seen = again.until(height(&stage));
    let seen: Vec<_> = told(&seen).into_iter().map(|event| event.data["data"]["id"].clone()).collect();
    assert_eq!(json!(seen), json!(missed));
}

/// Questions that an explorer has asked its node.
fn questions(stage: &Stage) -> u64 {
    let numbers = stage.get("/metrics");
    let count =
        numbers.text().lines().find_map(|line| line.strip_prefix("sealpost_explorer_node_questions_total "));
    count.unwrap_or_else(|| panic!("{}", numbers.text())).parse().unwrap()
}

/// Whose message a receipt answers is asked once, for whoever comes; and not at all, if the message was read.
#[test]
fn the_message_of_a_receipt_is_asked_for_once() {
    let stage = Stage::new(&[]);
    let height = height(&stage);
    let place = &stage.data(&format!("/api/v1/transactions/{}", stage.receipt))["transaction"]["place"];
    // Behind the messages, before both answers.
    let before = format!("{}-4294967295", place["height"].as_u64().unwrap() - 1);
    // The last block has no answers. When it was told, the explorer has asked what it asks at its start.
    open(&stage, &stage.bob, &format!("{}-4294967295", height - 1)).until(height);
    let replay = |last: &str| {
        let asked = questions(&stage);
        let events = open(&stage, &stage.alice, last).until(height);
        let answers = events.iter().filter(|event| event.name == "receipt").count();
        assert_eq!(answers, 2, "{events:?}");
        questions(&stage) - asked
    };
    let (first, second, whole) = (replay(&before), replay(&before), replay("0-0"));
    assert_eq!((first, second, whole), (3, 1, 1), "one for the blocks, and one for each message");
}

#[test]
fn a_place_that_is_none_is_refused() {
    let stage = &shared();
    for last in ["x", "1", "1-", "-1", "1-1-1", "999999999999-0", "99999999999999999999-0"] {
        let refused =
            Events::open(&stage.url(), &path(&stage.bob), &[("Last-Event-ID", last)]).err().unwrap();
        assert_eq!((refused.status, &refused.json()["code"]), (400, &json!("input.cursor")), "{last}");
    }
}

/// What a stream asks while its client reads it is paid by that client as any other answer is.
#[test]
fn what_a_stream_asks_is_at_the_cost_of_who_reads_it() {
    let stage = Stage::new(&["--rate", "1/s", "--trusted-proxy", "127.0.0.0/8"]);
    // As many receipts, each for a message of its own, as are more than all questions that are granted at once.
    let receipts = 60;
    let list = (0..receipts).map(|_| "{\"to\":[\"bob\"],\"text\":\"x\"}\n").collect::<String>();
    let file = stage.world.path("list.jsonl");
    std::fs::write(&file, list).unwrap();
    stage.world.wallet("alice", &["send-many", &file]);
    let before = format!("{}-4294967295", height(&stage));
    stage.world.wallet("bob", &["receipt", "give", "--all", "--yes"]);
    let ask = |path: &str, client: &str| get(&stage.url(), path, &[("X-Forwarded-For", client)]);
    assert_eq!(ask("/glossary", "192.0.2.7").status, 200);
    let from = [("X-Forwarded-For", "192.0.2.7"), ("Last-Event-ID", before.as_str())];
    let mut events =
        Events::open(&stage.url(), &path(&stage.alice), &from).unwrap_or_else(|no| panic!("{no:?}"));
    let told = (0..).map(|_| events.next()).filter(|event| event.name == "receipt").take(receipts).count();
    assert_eq!(told, receipts);
    let refused = ask("/glossary", "192.0.2.7");
    assert_eq!((refused.status, &refused.json()["code"]), (429, &json!("explorer.rate")));
    assert!(refused.text().contains("questions per second to the node"), "{}", refused.text());
    assert_eq!(ask("/glossary", "192.0.2.8").status, 200);
}
