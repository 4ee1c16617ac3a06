//! Lists of messages: checked before anything leaves, sent with many in a call, and taken up again after a crash
//! without losing or doubling any.

use crate::parcels::{folder_of, until, wallet_command};
use crate::world::{World, home_of};
use sealpost_ledger::address::Address;
use sealpost_ledger::genesis::Genesis;
use sealpost_ledger::height::BlockHeight;
use sealpost_ledger::transaction::{Payload, TRANSACTION_VERSION, Transaction};
use sealpost_tests::harness::liar::{Answer, Liar, ask};
use sealpost_tests::{json, run};
use sealpost_wallet::envelope::BundleSecret;
use sealpost_wallet::mnemonic::Phrase;
use serde_json::Value;
use std::collections::BTreeMap;
use std::fmt::Write;
use std::fs;

/// A list of messages to bob whose subjects are numbered, as a file.
fn list(world: &World, count: usize) -> String {
    let line = |mut lines: String, number| {
        writeln!(lines, r#"{{"to":["bob"],"subject":"number {number}.","text":"of a list"}}"#).unwrap();
        lines
    };
    let path = world.path("list.jsonl");
    fs::write(&path, (0..count).fold(String::new(), line)).unwrap();
    path
}

/// How often each subject has come to bob, as he reads them.
fn came(world: &World) -> BTreeMap<String, usize> {
    world.wallet("bob", &["sync"]);
    let mbox = world.path("mbox");
    let _ = fs::remove_file(&mbox);
    world.wallet("bob", &["export", "all", "--mbox", &mbox]);
    let mut came = BTreeMap::new();
    for line in fs::read_to_string(&mbox).unwrap().lines() {
        if let Some(subject) = line.strip_prefix("Subject: ") {
            *came.entry(subject.to_owned()).or_default() += 1;
        }
    }
    came
}

fn once_each(count: usize) -> BTreeMap<String, usize> {
    (0..count).map(|number| (format!("number {number}."), 1)).collect()
}

fn counts(summary: &Value) -> [u64; 5] {
    ["before", "final", "accepted", "failed", "left"].map(|name| summary[name].as_u64().unwrap())
}

#[test]
fn a_list_arrives_once_however_often_it_is_given() {
    let world = World::new();
    let (count, path) = (230, list(&world, 230));
    let checked = world.wallet("alice", &["send-many", &path, "--dry-run"]);
    assert_eq!((checked["messages"].as_u64(), counts(&checked)), (Some(230), [0, 0, 0, 0, 230]));
    let sent = world.wallet("alice", &["send-many", &path]);
    assert_eq!(counts(&sent), [0, 230, 0, 0, 0], "{sent}");
    for (line, result) in (1..).zip(sent["results"].as_array().unwrap()) {
        assert_eq!((&result["line"], &result["status"]), (&Value::from(line), &Value::from("final")));
        assert!(
            result["height"].as_u64().is_some() && result["id"].as_str().is_some_and(|id| id.len() == 64)
        );
    }
    let again = world.wallet("alice", &["send-many", &path]);
    assert_eq!(counts(&again), [230, 0, 0, 0, 0], "{again}");
    assert_eq!(again["results"], sent["results"]);
    assert_eq!(came(&world), once_each(count));

    // On purpose it goes once more; a table is another list.
    let short = world.path("short.csv");
    fs::write(&short, "to,subject,text,sealed\nbob,by table,one,\nbob,by table,two,true\n").unwrap();
    assert_eq!(counts(&world.wallet("alice", &["send-many", &short])), [0, 2, 0, 0, 0]);
    assert_eq!(counts(&world.wallet("alice", &["send-many", &short, "--again"])), [0, 2, 0, 0, 0]);
    assert_eq!(counts(&world.wallet("alice", &["send-many", &short])), [2, 0, 0, 0, 0]);
    assert_eq!(came(&world)["by table"], 4);
}

#[test]
fn wrong_lines_are_named_and_nothing_of_their_list_is_sent() {
    let world = World::new();
    let path = world.path("list.jsonl");
    let long = "x".repeat(200_000);
    let lines = [
        r#"{"to":["bob"],"text":"fine"}"#.to_owned(),
        r#"{"to":["nobody"],"text":"x"}"#.to_owned(),
        r#"{"to":["bob"]}"#.to_owned(),
        r#"{"to":["bob"],"file":"missing.txt"}"#.to_owned(),
        r#"{"to":[],"text":"x"}"#.to_owned(),
        r#"{"to":"bob","text":"x","reply_to":"5d0c"}"#.to_owned(),
        format!(r#"{{"to":"bob","text":"{long}"}}"#),
        r#"{"to":"bob","txt":"x"}"#.to_owned(),
    ];
    fs::write(&path, lines.join("\n")).unwrap();
    let error = world.error("alice", &["send-many", &path]);
    assert_eq!((&error["code"], &error["exit"]), (&Value::from("input.list"), &Value::from(2)));
    let named: Vec<_> = error["mistakes"].as_array().unwrap().iter().collect();
    let named: Vec<_> =
        named.iter().map(|one| (one["line"].as_u64().unwrap(), one["field"].as_str().unwrap())).collect();
    let expected = [(2, "to"), (3, "text"), (4, "file"), (5, "to"), (6, "reply_to"), (7, "text"), (8, "txt")];
    assert_eq!(named, expected, "{error}");
    assert!(world.wallet("bob", &["inbox"])["messages"].as_array().unwrap().is_empty());

    // A recipient without keys stops nobody else's message, and the command does not end well.
    let words = world.path("carol.words");
    let carol = world.wallet("carol", &["new", "carol", "--mnemonic-out", &words]);
    json("sealpost", home_of(&world), &["contact", "add", "carol", carol["address"].as_str().unwrap()]);
    let lines = [
        r#"{"to":["carol"],"subject":"number 0.","text":"x"}"#,
        r#"{"to":["bob"],"subject":"number 1.","text":"x"}"#,
        r#"{"to":["bob","carol"],"subject":"number 2.","text":"x"}"#,
    ];
    fs::write(&path, lines.join("\n")).unwrap();
    let passphrase = world.path("passphrase");
    let flags = ["-w", "alice", "--passphrase-file", &passphrase, "send-many", &path, "--json"];
    let output = run("sealpost", home_of(&world), &flags);
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    let summary: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(counts(&summary), [0, 1, 0, 2, 0], "{summary}");
    let codes = summary["results"].as_array().unwrap().iter().map(|result| result["code"].as_str());
    assert_eq!(codes.collect::<Vec<_>>(), [Some("recipient.no_keys"), None, Some("recipient.no_keys")]);
    // With keys the rest goes, and only the rest.
    world.wallet("carol", &["keys", "publish"]);
    assert_eq!(counts(&world.wallet("alice", &["send-many", &path])), [1, 2, 0, 0, 0]);
    assert_eq!(world.wallet("carol", &["inbox"])["messages"].as_array().unwrap().len(), 2);
    assert_eq!(world.wallet("bob", &["inbox"])["messages"].as_array().unwrap().len(), 2);
}

/// `kill -9` at several moments, and with the node away; then it is given once more.
#[test]
fn a_wallet_that_is_killed_amid_a_list_loses_and_doubles_none_of_it() {
    let world = World::new();
    let (count, path) = (450, list(&world, 450));
    let outbox = folder_of(&world, "alice").join("outbox");
    let signed = || fs::read_dir(&outbox).unwrap().count();
    let before = signed();
    let mut interrupted = 0;
    for more in [1, 60, 150, 320] {
        let mut child = wallet_command(&world, "alice", &["send-many", &path]).spawn().unwrap();
        until(&mut child, || signed() >= before + more);
        interrupted += usize::from(child.try_wait().unwrap().is_none());
        child.kill().unwrap();
        child.wait().unwrap();
    }
    assert!(interrupted > 1, "it was never caught amid its work");
    let passphrase = world.path("passphrase");
    let flags = ["-w", "alice", "--passphrase-file", &passphrase, "--node", "http://127.0.0.1:1"];
    let away = run("sealpost", home_of(&world), &[&flags[..], &["send-many", &path, "--json"]].concat());
    assert_eq!(away.status.code(), Some(3), "{away:?}");
    let summary: Value = serde_json::from_slice(&away.stdout).unwrap();
    assert_eq!(counts(&summary), [0, 0, 0, 0, 450]);
    let sent = world.wallet("alice", &["send-many", &path]);
    let [early, done, accepted, failed, left] = counts(&sent);
    assert_eq!((early + done, accepted, failed, left), (450, 0, 0, 0), "{sent}");
    println!("{interrupted} times killed amid its work; {early} were final before the last run");
    let kept = world.wallet("alice", &["outbox"]);
    let messages = kept["entries"].as_array().unwrap().iter().filter(|entry| entry["kind"] == "message");
    assert_eq!(messages.count(), count);
    assert_eq!(came(&world), once_each(count));
}

/// `--again` is given again too, by whoever repeats the command that was interrupted: each time it is the same round.
#[test]
fn a_list_that_goes_once_more_and_is_interrupted_goes_on_and_does_not_begin_anew() {
    let world = World::new();
    let path = list(&world, 2);
    let again = ["send-many", &path, "--again"];
    assert_eq!(counts(&world.wallet("alice", &again)), [0, 2, 0, 0, 0]);
    // All are signed, and no node has one.
    let node = Liar::instead_of(&world.node.said("rpc"), "tx_submitMany", [Answer::OtherQuestion]);
    let passphrase = world.path("passphrase");
    let flags = ["-w", "alice", "--passphrase-file", &passphrase, "--node", node.url(), "--json"];
    let away = run("sealpost", home_of(&world), &[&flags[..], &again].concat());
    assert_eq!((away.status.code(), node.told()), (Some(3), 1), "{away:?}");
    assert_eq!(counts(&world.wallet("alice", &again)), [0, 2, 0, 0, 0]);
    let kept = world.wallet("alice", &["outbox"]);
    let messages = kept["entries"].as_array().unwrap().iter().filter(|entry| entry["kind"] == "message");
    assert_eq!(messages.count(), 4, "{kept}");
    let twice = once_each(2).into_keys().map(|subject| (subject, 2));
    assert_eq!(came(&world), twice.collect());
}

/// What is missing of a list is sent by itself: that it could not be signed is no reason to send the rest once more.
#[test]
fn a_list_of_which_not_everything_was_signed_does_not_begin_anew() {
    let world = World::new();
    let made = world.wallet("carol", &["new", "carol", "--mnemonic-out", &world.path("carol.words")]);
    json("sealpost", home_of(&world), &["contact", "add", "carol", made["address"].as_str().unwrap()]);
    let path = world.path("list.jsonl");
    let lines = ["carol", "bob"].map(|to| format!(r#"{{"to":["{to}"],"subject":"to {to}.","text":"x"}}"#));
    fs::write(&path, lines.join("\n")).unwrap();
    for _ in 0..2 {
        assert_eq!(world.exit("alice", &["send-many", &path, "--again"]), 1);
    }
    assert_eq!(came(&world), [("to bob.".to_owned(), 1)].into());
    world.wallet("carol", &["keys", "publish"]);
    assert_eq!(counts(&world.wallet("alice", &["send-many", &path, "--again"])), [1, 1, 0, 0, 0]);
    assert_eq!(counts(&world.wallet("alice", &["send-many", &path, "--again"])), [0, 2, 0, 0, 0]);
}

/// A list names people and texts by names, and what these stand for changes: an interrupted list is another one then.
#[test]
fn a_list_is_not_begun_anew_because_a_group_or_a_file_that_it_names_has_changed() {
    let world = World::new();
    let made = world.wallet("carol", &["new", "carol", "--mnemonic-out", &world.path("carol.words")]);
    json("sealpost", home_of(&world), &["contact", "add", "carol", made["address"].as_str().unwrap()]);
    world.wallet("alice", &["contact", "group", "add", "residents", "bob"]);
    let (path, notice) = (world.path("list.jsonl"), world.path("notice.txt"));
    fs::write(&notice, "out of service").unwrap();
    let lines = ["@residents", "carol"]
        .map(|to| format!(r#"{{"to":"{to}","subject":"to {to}.","file":"notice.txt"}}"#));
    fs::write(&path, lines.join("\n")).unwrap();
    let passphrase = world.path("passphrase");
    let send = |more: &[&str], exit: i32| {
        let flags = ["-w", "alice", "--passphrase-file", &passphrase, "--json", "send-many", &path];
        let output = run("sealpost", home_of(&world), &[&flags[..], more].concat());
        assert_eq!(output.status.code(), Some(exit), "{output:?}");
        let said = String::from_utf8(output.stderr).unwrap();
        let last = said.lines().last().map(|line| serde_json::from_str::<Value>(line).unwrap());
        (counts(&serde_json::from_slice(&output.stdout).unwrap()), last.unwrap_or_default())
    };
    let refused = || {
        let (counts, error) = send(&[], 2);
        assert_eq!((counts, &error["code"]), ([0, 0, 0, 0, 2], &Value::from("outbox.list_changed")));
        assert!(error["signed"] == 1 && error["message"].as_str().unwrap().contains("1 of its 2"), "{error}");
    };
    // Carol has no keys yet, so the list is not over.
    assert_eq!(send(&[], 1).0, [0, 1, 0, 1, 0]);
    world.wallet("alice", &["contact", "group", "add", "residents", "alice"]);
    refused();
    world.wallet("alice", &["contact", "group", "remove", "residents", "alice"]);
    fs::write(&notice, "in service").unwrap();
    refused();
    // As it was it goes on, and on purpose the changed one goes, too.
    fs::write(&notice, "out of service").unwrap();
    assert_eq!(send(&[], 1).0, [1, 0, 0, 1, 0]);
    assert_eq!(came(&world), [("to @residents.".to_owned(), 1)].into());
    fs::write(&notice, "in service").unwrap();
    assert_eq!(send(&["--changed"], 1).0, [0, 1, 0, 1, 0]);
    // Begun knowingly, it goes on without being asked again.
    world.wallet("carol", &["keys", "publish"]);
    assert_eq!(send(&[], 0).0, [1, 1, 0, 0, 0]);
    assert_eq!(came(&world), [("to @residents.".to_owned(), 2)].into());
    // All of it is out, and so the list that was interrupted is settled: for this one and for every later one.
    assert_eq!(send(&["--again"], 0).0, [0, 2, 0, 0, 0]);
    fs::write(&notice, "out of service again").unwrap();
    assert_eq!(send(&[], 0).0, [0, 2, 0, 0, 0]);
}

/// Whoever did not wait for the blocks has not noted them; that is no reason to send nothing.
#[test]
fn a_list_that_was_not_waited_for_goes_once_more_when_it_is_on_the_ledger() {
    let world = World::new();
    let path = list(&world, 2);
    let sent = world.wallet("alice", &["send-many", &path, "--wait", "accepted"]);
    assert_eq!(counts(&sent), [0, 0, 2, 0, 0]);
    let is_final = |result: &Value| {
        ask(&world.node.said("rpc"), "tx_get", serde_json::json!({ "id": result["id"] })).is_ok()
    };
    while !sent["results"].as_array().unwrap().iter().all(is_final) {
        std::thread::sleep(std::time::Duration::from_millis(50));
    }
    assert_eq!(counts(&world.wallet("alice", &["send-many", &path, "--again"])), [0, 2, 0, 0, 0]);
    assert_eq!(came(&world), once_each(2).into_keys().map(|subject| (subject, 2)).collect());
}

/// A list that fills blocks makes its own postage dearer: what is not paid enough for waits until the price falls.
#[test]
fn a_list_pays_what_is_asked_while_its_own_blocks_raise_the_price() {
    let world = World::with_genesis(|genesis| {
        genesis["postage"]["floor"] = 500.into();
        genesis["limits"]["block_bytes"] = 140_000.into();
    });
    let (count, path) = (400, list(&world, 400));
    let sent = world.wallet("alice", &["send-many", &path]);
    assert_eq!(counts(&sent), [0, 400, 0, 0, 0], "{sent}");
    assert_eq!(came(&world), once_each(count));
}

/// Publishes keys of bob's by hand: the ML-KEM key among them has the right length, and is none.
fn publish_broken_keys(world: &World) {
    let genesis = Genesis::parse(&fs::read(world.path("node/genesis.json")).unwrap()).unwrap();
    let words = fs::read_to_string(world.path("bob.words")).unwrap();
    let identity = Phrase::parse(words.trim()).unwrap().identity(genesis.prefix()).unwrap();
    let mut bundle = BundleSecret::generate(2).unwrap().bundle(BlockHeight::new(1_000_000));
    bundle.ml_kem = Some(vec![0xff; 1184]);
    let transaction = Transaction {
        version: TRANSACTION_VERSION,
        chain: genesis.chain_id(),
        sender: Address::new(identity.public_key()),
        expiry: BlockHeight::new(1000),
        payload: Payload::KeyBundle(bundle),
        nonce: 0,
    };
    let signed = transaction.sign(&identity, &[0; 32]).unwrap();
    let params = serde_json::json!({ "transaction": const_hex::encode(signed.to_bytes()), "wait": "final" });
    ask(&world.node.said("rpc"), "tx_submit", params).unwrap();
}

#[test]
fn a_key_that_weakens_the_messages_of_a_list_is_warned_about_once() {
    let world = World::new();
    publish_broken_keys(&world);
    let path = list(&world, 3);
    let passphrase = world.path("passphrase");
    let flags = ["-w", "alice", "--passphrase-file", &passphrase, "--json", "send-many", &path];
    let output = run("sealpost", home_of(&world), &flags);
    assert!(output.status.success(), "{output:?}");
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(said.matches("the ML-KEM key in key bundle #2 of bob is none").count(), 1, "{said}");
}
