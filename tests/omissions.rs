//! Nodes that are behind, leave something out, or never come to an end of it. What one of them withholds is found at the
//! next, and nothing is called certain that rests on what a node could not know.

use crate::world::{World, home_of};
use sealpost_tests::harness::liar::{Answer, Call, Liar, ask};
use sealpost_tests::run;
use serde_json::{Value, json};
use std::fs;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::time::Duration;

/// Blocks after which what was signed can't come into one any more: the fewest that a genesis may name.
const WINDOW: u64 = 10;

/// A node that lies about one thing.
fn liar(
    world: &World,
    method: &'static str,
    lie: impl Fn(&Call<'_>) -> Answer + Send + Sync + 'static,
) -> Liar {
    Liar::before(&world.node.said("rpc"), move |call| match call.method == method {
        true => lie(call),
        false => Answer::Truth,
    })
}

/// An error as a node answers it.
fn says(number: i64, code: &str) -> Answer {
    Answer::Error(json!({ "code": number, "message": code, "data": { "code": code } }))
}

fn exit_and_code(error: &Value) -> (i64, &str) {
    (error["exit"].as_i64().unwrap(), error["code"].as_str().unwrap())
}

fn head(world: &World) -> u64 {
    let head = ask(&world.node.said("rpc"), "chain_head", json!({})).unwrap();
    head["view"]["height"].as_u64().unwrap()
}

#[test]
fn sealed_messages_that_one_node_does_not_have_yet_are_found_at_the_next() {
    let world = World::new();
    let sent = world.wallet("alice", &["send", "bob", "--sealed", "-m", "noon"]);
    let short =
        |_: &Call<'_>| Answer::Lie(json!({ "tags": Vec::<Value>::new(), "to": 1, "next": Value::Null }));
    let behind = liar(&world, "mailbox_tags", short);
    // Alone it can't say what there is; that nothing was found is not what is remembered.
    let output = run(
        "sealpost",
        home_of(&world),
        &["-w", "bob", "--passphrase-file", &world.path("passphrase"), "--node", behind.url(), "inbox"],
    );
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(behind.told() > 0, "{said}");
    let inbox = world.wallet("bob", &["inbox"]);
    assert_eq!(inbox["messages"][0]["id"], sent["id"], "{inbox}");
    assert!(output.status.code() == Some(3) && said.contains("has reached block 1"), "{said}");

    // With another one beside it the command succeeds.
    let (told, sent) = (behind.told(), world.wallet("alice", &["send", "bob", "--sealed", "-m", "one"]));
    let honest = world.node.said("rpc");
    let inbox = world.wallet("bob", &["--node", behind.url(), "--node", &honest, "inbox"]);
    assert_eq!(inbox["messages"][0]["id"], sent["id"], "{inbox}");
    assert!(behind.told() > told);
}

#[test]
fn sealed_messages_that_a_node_left_out_are_found_by_a_scan_that_begins_anew() {
    let world = World::new();
    let sent = world.wallet("alice", &["send", "bob", "--sealed", "-m", "noon"]);
    let without = liar(&world, "mailbox_tags", |call| {
        let mut page = call.said.clone().unwrap();
        page["tags"] = json!([]);
        Answer::Lie(page)
    });
    let messages = |args: &[&str]| world.wallet("bob", args)["messages"].as_array().unwrap().clone();
    // Nobody can see that.
    assert!(messages(&["--node", without.url(), "inbox"]).is_empty() && without.told() > 0);
    assert!(messages(&["inbox"]).is_empty());
    for args in [&["inbox", "--rescan"][..], &["inbox"]] {
        let found = messages(args);
        assert_eq!((found.len(), &found[0]["id"]), (1, &sent["id"]), "{args:?}");
    }
}

#[test]
fn what_a_node_that_is_behind_can_not_list_is_kept_by_the_next_sync() {
    let world = World::new();
    let early = head(&world);
    world.wallet("alice", &["send", "bob", "-m", "late"]);
    let busy = liar(&world, "mailbox_list", |_| says(4000, "rpc.busy"));
    let behind = Liar::before(&world.node.said("rpc"), move |call| match call.method {
        "chain_head" => Answer::Lie(call.honest("chain_header", json!({ "block": early }))),
        "mailbox_list" => {
            let mut page = call.said.clone().unwrap();
            let entries = page["entries"].as_array_mut().unwrap();
            entries.retain(|entry| entry["place"]["height"].as_u64() <= Some(early));
            Answer::Lie(page)
        }
        _ => Answer::Truth,
    });
    let sync = ["--node", busy.url(), "--node", behind.url(), "sync"];
    let passphrase = world.path("passphrase");
    let args = [&["-w", "bob", "--passphrase-file", &passphrase], &sync[..]].concat();
    let exit = run("sealpost", home_of(&world), &args).status.code();
    assert!(busy.told() > 0 && behind.told() > 0);
    assert_eq!((world.wallet("bob", &["sync"])["kept"].as_u64(), exit), (Some(1), Some(3)));
}

#[test]
fn lists_without_end_or_order_are_not_followed() {
    let world = World::new();
    let first = world.wallet("alice", &["send", "bob", "-m", "one"])["id"].as_str().unwrap().to_owned();
    world.wallet("alice", &["send", "bob", "-m", "two"]);
    // Each lies a few times only: a wallet that believes it comes to an end, too.
    let lying = |alter: fn(&Call<'_>, &mut Value)| {
        let left = AtomicUsize::new(20);
        liar(&world, "mailbox_list", move |call| {
            let lies = left.fetch_update(Relaxed, Relaxed, |left| left.checked_sub(1));
            let mut page = call.said.clone().unwrap();
            if lies.is_ok() {
                alter(call, &mut page);
            }
            Answer::Lie(page)
        })
    };
    let same_cursor = lying(|_, page| page["more"] = true.into());
    let same_page = lying(|call, page| {
        let mut query = call.params["query"].clone();
        query["after"] = Value::Null;
        *page = call.honest("mailbox_list", json!({ "query": query }));
        page["more"] = true.into();
    });
    let reversed = lying(|_, page| page["entries"].as_array_mut().unwrap().reverse());
    let honest = world.node.said("rpc");
    for liar in [&same_cursor, &same_page, &reversed] {
        let error = world.error("bob", &["--node", liar.url(), "read", &first[..8]]);
        assert_eq!(exit_and_code(&error), (6, "node.untrusted"), "{error}");
        let read = world.wallet("bob", &["--node", liar.url(), "--node", &honest, "read", &first[..8]]);
        assert_eq!(read["text"], "one");
    }
}

#[test]
fn a_message_is_void_only_if_every_node_says_that_it_has_none() {
    let world = World::with_genesis(|genesis| {
        genesis["limits"]["expiry_window"] = WINDOW.into();
        genesis["timing"]["heartbeat_ms"] = 1000.into();
    });
    let early = head(&world);
    let sent = world.wallet("alice", &["send", "bob", "-m", "x", "--wait", "accepted"]);
    let id = sent["id"].as_str().unwrap();
    let list = world.path("list.jsonl");
    fs::write(&list, "{\"to\":[\"bob\"],\"text\":\"of a list\"}\n").unwrap();
    world.wallet("alice", &["send-many", &list, "--wait", "accepted"]);
    let proven = world.wallet("alice", &["send", "bob", "-m", "y"]);
    let until = head(&world) + WINDOW;
    while head(&world) <= until {
        std::thread::sleep(Duration::from_millis(200));
    }
    let busy = liar(&world, "tx_get", |_| says(4000, "rpc.busy"));
    let unknown = liar(&world, "tx_get", |_| says(2000, "tx.unknown"));
    let behind = Liar::before(&world.node.said("rpc"), move |call| match call.method {
        "chain_head" => Answer::Lie(call.honest("chain_header", json!({ "block": early }))),
        "tx_get" => says(2000, "tx.unknown"),
        _ => Answer::Truth,
    });
    // One does not say, one may not know, and only one that knows says no.
    let both = ["--node", busy.url(), "--node", unknown.url()];
    let status = world.wallet("alice", &[&both[..], &["status", id]].concat());
    assert_eq!(status["status"], "uncertain", "{status}");
    let passphrase = world.path("passphrase");
    let again = ["-w", "alice", "--passphrase-file", &passphrase, "--json", "send-many", &list];
    let output = run("sealpost", home_of(&world), &[&again[..], &both].concat());
    let listed = String::from_utf8(output.stdout).unwrap();
    assert!(listed.contains("rpc.busy") && !listed.contains("outbox.void"), "{listed}");
    let error = world.error("alice", &["--node", busy.url(), "--node", behind.url(), "status", id]);
    assert_eq!(exit_and_code(&error), (3, "node.behind"), "{error}");
    let status = world.wallet("alice", &["--node", unknown.url(), "status", id]);
    assert_eq!(status["status"], "void", "{status}");
    // Nobody is left to wait for, and that is no success.
    assert_eq!(world.exit("alice", &["--node", unknown.url(), "status", id, "--follow"]), 1);
    // What was seen to be final is not void, whoever says so.
    let error = world.error("alice", &["--node", unknown.url(), "status", proven["id"].as_str().unwrap()]);
    assert_eq!(exit_and_code(&error), (6, "node.untrusted"), "{error}");
    assert_eq!(world.wallet("alice", &["status", id])["status"], "final");
}

#[test]
fn a_receipt_whose_reply_had_no_body_once_counts_when_it_has() {
    let world = World::new();
    let sent = world.wallet("alice", &["send", "bob", "--sealed", "-m", "noon"]);
    let id = sent["id"].as_str().unwrap();
    world.wallet("bob", &["inbox"]);
    let given = world.wallet("bob", &["receipt", "give", id]);
    let without = liar(&world, "tx_body", |_| says(2000, "tx.body_pruned"));
    let inbox = world.wallet("alice", &["--node", without.url(), "inbox"]);
    assert!(without.told() > 0);
    let reply = &inbox["messages"][0];
    assert_eq!((&reply["id"], reply["from"].is_null()), (&given["receipt"], true), "{inbox}");

    let inbox = world.wallet("alice", &["inbox"]);
    let reply = &inbox["messages"][0];
    assert_eq!((&reply["id"], &reply["only_receipts"]), (&given["receipt"], &true.into()), "{inbox}");
    let status = world.wallet("alice", &["status", id]);
    let slot = &status["slots"][0];
    assert_eq!((slot["answer"].as_str(), &slot["receipt"]), (Some("opened"), &given["receipt"]), "{status}");
}
