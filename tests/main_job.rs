//! The main job with the real programs: a person writes, another reads and answers, a stranger checks, an
//! auditor looks. Each way to fail has its own exit code.

use crate::world::{World, home_of, secret};
use sealpost_tests::{Server, get, json, run, run_with_input};
use std::fs;
use std::path::Path;

const TEXT: &str = "The lift in house 7 is out of service.\n";

#[test]
fn a_message_is_sent_read_answered_proved_and_looked_at() {
    let world = World::new();
    let passphrase = world.path("passphrase");
    fs::write(world.path("plan.pdf"), [7; 5000]).unwrap();

    // Alice writes from standard input, with a file.
    let plan = world.path("plan.pdf");
    let send = [
        "-w",
        "alice",
        "--passphrase-file",
        &passphrase,
        "send",
        "bob",
        "-f",
        "-",
        "--subject",
        "Lift",
        "--attach",
        &plan,
        "--json",
    ];
    let sent = run_with_input("sealpost", home_of(&world), &send, TEXT);
    assert!(sent.status.success(), "{}", String::from_utf8_lossy(&sent.stderr));
    let sent: serde_json::Value = serde_json::from_slice(&sent.stdout).unwrap();
    assert_eq!((sent["status"].as_str(), sent["suite"].as_u64()), (Some("final"), Some(2)));
    let id = sent["id"].as_str().unwrap();

    // Bob finds, reads and answers.
    let inbox = world.wallet("bob", &["inbox"]);
    assert_eq!(inbox["messages"][0]["id"], id);
    assert_eq!(inbox["messages"][0]["contact"], "alice");
    let silent = world.wallet("alice", &["status", id]);
    assert_eq!(silent["slots"][0]["answer"], "silent");
    let saved = world.path("saved");
    let read = world.wallet("bob", &["read", &id[..6], "-o", &saved]);
    assert_eq!((read["text"].as_str(), read["subject"].as_str()), (Some(TEXT), Some("Lift")));
    assert_eq!(fs::read(Path::new(&saved).join("plan.pdf")).unwrap(), [7; 5000]);
    world.wallet("bob", &["receipt", "give", id]);
    let opened = world.wallet("alice", &["status", id]);
    assert_eq!(opened["slots"][0]["answer"], "opened");

    // Alice can't read it any more than anybody else; nobody answers twice; bob alone answers.
    assert_eq!(world.exit("alice", &["read", id]), 1);
    assert_eq!(world.exit("bob", &["refuse", id]), 5);
    assert_eq!(world.exit("alice", &["receipt", "give", id]), 1);

    check_evidence(&world, id);
    look_at(&world, id);
}

fn check_evidence(world: &World, id: &str) {
    let (file, genesis) = (world.path("notice.json"), world.path("node/genesis.json"));
    world.wallet("alice", &["evidence", "create", id, "-o", &file, "--with-body", "--disclose"]);
    let elsewhere = tempfile::tempdir().unwrap();
    let verify = |file: &str, genesis: &str| {
        // A stranger: an empty home, no node, no wallet.
        let args = ["evidence", "verify", file, "--genesis", genesis];
        run("sealpost", elsewhere.path(), &args).status.code().unwrap()
    };
    assert_eq!(verify(&file, &genesis), 0);
    let text = fs::read_to_string(&file).unwrap();
    let changed = world.path("changed.json");
    let at = text.find("\"transaction\": \"").unwrap() + 300;
    let byte = if text.as_bytes()[at] == b'A' { "B" } else { "A" };
    fs::write(&changed, format!("{}{byte}{}", &text[..at], &text[at + 1..])).unwrap();
    assert_ne!(verify(&changed, &genesis), 0);
    fs::write(&changed, text.replacen("\"index\": 0", "\"index\": 1", 1)).unwrap();
    assert_eq!(verify(&changed, &genesis), 1);
    fs::write(&changed, &text[..text.len() / 2]).unwrap();
    assert_eq!(verify(&changed, &genesis), 2);
    let other = Path::new(env!("CARGO_MANIFEST_DIR")).join("../genesis.json");
    assert_eq!(verify(&file, other.to_str().unwrap()), 1);
}

fn look_at(world: &World, id: &str) {
    let node = world.node.said("rpc");
    let args = ["serve", "--node", &node, "--listen", "127.0.0.1:0"];
    let log = world.dir.path().join("explorer.log");
    let explorer = Server::start("sealpost-explorer", home_of(world), &args, &log);
    let url = explorer.said("explorer");
    let (head, page) = get(&format!("{url}/message/{id}"));
    assert!(head.starts_with("HTTP/1.1 200"), "{head}");
    assert!(head.contains("default-src 'none'"), "{head}");
    for words in
        ["Signed by the sender", "Committed by 1 of 1 validators", "Opened by", "proven", "Merkle path"]
    {
        assert!(page.contains(words), "{words} is missing in {page}");
    }
    assert!(!page.contains("http://") && !page.contains("https://"), "the page names another place: {page}");
    let (_, page) = get(&format!("{url}/validators"));
    assert!(page.contains("1 in office, with power 1 together"), "{page}");
    assert!(page.contains("This node has recorded none"), "{page}");
    let (head, _) = get(&format!("{url}/search?q={id}"));
    assert!(head.contains(&format!("location: /tx/{id}")), "{head}");
    let bob = world.wallet("bob", &["address"])["address"].as_str().unwrap().to_owned();
    let (head, page) = get(&format!("{url}/address/{bob}"));
    assert!(head.starts_with("HTTP/1.1 200") && page.contains(id) && page.contains(&bob), "{head}{page}");
    let (head, page) = get(&format!("{url}/message/{}", &id[..8]));
    assert!(head.starts_with("HTTP/1.1 404") && page.contains("whole id"), "{head}{page}");
    let (_, home) = get(&format!("{url}/"));
    assert!(home.contains(id));
    let (head, file) = get(&format!("{url}/message/{id}/evidence"));
    assert!(head.contains("attachment"));
    let downloaded = world.path("downloaded.json");
    fs::write(&downloaded, file).unwrap();
    let genesis = world.path("node/genesis.json");
    let verify = ["evidence", "verify", &downloaded, "--genesis", &genesis];
    assert_eq!(run("sealpost", home_of(world), &verify).status.code(), Some(0));
}

#[test]
fn an_explorer_with_a_genesis_believes_no_other_network() {
    let world = World::new();
    let node = world.node.said("rpc");
    let (own, other) = (world.path("node/genesis.json"), world.path("other.json"));
    fs::copy(Path::new(env!("CARGO_MANIFEST_DIR")).join("../genesis.json"), &other).unwrap();
    for (genesis, status) in [(own, "200"), (other, "502")] {
        let args = ["serve", "--node", &node, "--listen", "127.0.0.1:0", "--genesis", &genesis];
        let log = world.dir.path().join("explorer.log");
        let explorer = Server::start("sealpost-explorer", home_of(&world), &args, &log);
        let (head, page) = get(&format!("{}/block/1", explorer.said("explorer")));
        assert!(head.starts_with(&format!("HTTP/1.1 {status}")), "{genesis}: {head}{page}");
    }
}

#[test]
fn what_sends_nothing_leaves_nothing_and_what_is_refused_is_seen() {
    let world = World::new();
    let home = home_of(&world);
    let dry = world.wallet("alice", &["send", "bob", "-m", "x", "--dry-run"]);
    assert_eq!(dry["status"], "prepared");
    let kept = world.wallet("alice", &["outbox"]);
    assert!(kept["entries"].as_array().unwrap().iter().all(|entry| entry["kind"] != "message"), "{kept}");
    let quote = world.wallet("alice", &["postage", "4096"]);
    assert_eq!(quote["bytes"], 4096);
    let drawn = run("sealpost", home, &["-w", "alice", "address", "--qr"]);
    let drawn = String::from_utf8(drawn.stdout).unwrap();
    let address = world.wallet("alice", &["address"])["address"].as_str().unwrap().to_owned();
    assert!(drawn.contains('\u{2588}') && drawn.trim_end().ends_with(&address), "{drawn}");

    let sent = world.wallet("alice", &["send", "bob", "-m", "x"]);
    let id = sent["id"].as_str().unwrap();
    assert_eq!(world.wallet("bob", &["refuse", id, "--reason", "unwanted"])["answer"], "refused");
    let slot = &world.wallet("alice", &["status", id])["slots"][0];
    assert_eq!((slot["answer"].as_str(), slot["reason"].as_str()), (Some("refused"), Some("unwanted")));
}

#[test]
fn each_way_to_fail_has_its_exit_code() {
    let world = World::new();
    assert_eq!(world.exit("alice", &["send", "nobody", "-m", "x"]), 2);
    assert_eq!(world.exit("alice", &["--node", "http://127.0.0.1:1", "inbox"]), 3);
    secret(&world.dir.path().join("wrong"), "wrong\n");
    let wrong = world.path("wrong");
    let locked = ["-w", "bob", "--passphrase-file", &wrong, "inbox"];
    assert_eq!(run("sealpost", home_of(&world), &locked).status.code(), Some(4));
    let unknown = "00".repeat(32);
    assert_eq!(world.exit("alice", &["status", &unknown]), 1);
    let stranger = world.wallet("alice", &["new", "carol", "--mnemonic-out", &world.path("carol.words")]);
    assert_eq!(world.exit("alice", &["send", stranger["address"].as_str().unwrap(), "-m", "x"]), 1);
    fs::write(world.path("big"), vec![0; 100_000]).unwrap();
    let bounded = ["send", "bob", "--attach", &world.path("big"), "--attachment-limit", "99999"];
    assert_eq!(world.exit("alice", &bounded), 2);

    // A node of another network is not believed.
    let other = tempfile::tempdir().unwrap();
    json("sealpost-node", other.path(), &["init", "--new-network", "other"]);
    let node = Server::node(other.path());
    assert_eq!(world.exit("alice", &["--node", &node.said("rpc"), "inbox"]), 6);
}

#[test]
fn what_was_written_while_the_node_was_away_is_sent_from_the_outbox() {
    let World { dir, node } = World::new();
    let home = dir.path();
    let passphrase = home.join("passphrase");
    let alice = ["-w", "alice", "--passphrase-file", passphrase.to_str().unwrap()];
    let sent =
        json("sealpost", home, &[&alice[..], &["send", "bob", "-m", "one", "--wait", "accepted"]].concat());
    let id = sent["id"].as_str().unwrap().to_owned();
    node.kill();
    let away = run("sealpost", home, &[&alice[..], &["outbox"]].concat());
    assert_eq!(away.status.code(), Some(3));
    let node = Server::node(home);
    let url = node.said("rpc");
    let outbox = [&alice[..], &["--node", &url, "outbox"]].concat();
    json("sealpost", home, &outbox);
    // Waits on the server until it is final, if it was not before the kill.
    let final_now = || {
        let listed = json("sealpost", home, &outbox);
        let entries = listed["entries"].as_array().unwrap();
        entries.iter().any(|entry| entry["id"] == id.as_str() && entry["status"] == "final")
    };
    assert!((0..1000).any(|_| final_now()), "the message is not final");
    assert!(node.stop().success());
}
