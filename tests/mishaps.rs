//! What a person gets wrong at the wallet: each mishap is named before anything is done, with its code and
//! the way out.

use crate::world::{World, failed, home_of};
use sealpost_tests::{Server, json, run};

fn code(error: &serde_json::Value) -> (&str, u64) {
    (error["code"].as_str().unwrap(), error["exit"].as_u64().unwrap())
}

#[test]
fn nothing_is_sent_or_kept_of_what_is_no_message() {
    let world = World::new();
    let twice = world.error("alice", &["send", "bob", "bob", "-m", "x"]);
    assert_eq!(code(&twice), ("message.repeated_recipient", 2));
    assert_eq!(twice["message"], "bob is named twice");
    let huge = world.path("huge");
    std::fs::File::create(&huge).unwrap().set_len(3 << 30).unwrap();
    let huge = world.error("alice", &["send", "bob", "--attach", &huge]);
    assert_eq!(code(&huge), ("message.too_long", 2));
    assert!(huge["message"].as_str().unwrap().contains("3.0 GiB"), "{huge}");
    for args in [&["send", "bob"][..], &["send", "bob", "-m", " \n"], &["send", "bob", "-f", "/dev/null"]] {
        assert_eq!(code(&world.error("alice", args)), ("message.empty", 2), "{args:?}");
    }
    let away = world.error("alice", &["--node", "http://127.0.0.1:1", "send", "bob", "-m", "x"]);
    assert_eq!(code(&away), ("node.unreachable", 3));
    assert!(away["help"].as_str().unwrap().contains("kept as a draft: `sealpost send --draft "), "{away}");
    assert_eq!(world.wallet("alice", &["draft", "list"])["drafts"].as_array().unwrap().len(), 1);
    let away = world.error("alice", &["--node", "http://127.0.0.1:1", "inbox"]);
    assert!(!away["help"].as_str().unwrap().contains("kept"), "{away}");
    let entries = world.wallet("alice", &["outbox"])["entries"].as_array().unwrap().clone();
    assert!(entries.iter().all(|entry| entry["kind"] != "message"), "{entries:?}");
}

#[test]
fn words_are_written_for_a_wallet_that_comes_to_be_and_for_no_other() {
    let world = World::new();
    let home = home_of(&world);
    let passphrase = world.path("passphrase");
    for (name, expected) in [("alice", "wallet.exists"), ("Not A Name", "wallet.name")] {
        let words = world.path("new.words");
        let args = ["--passphrase-file", &passphrase, "new", name, "--mnemonic-out", &words];
        assert_eq!(code(&failed(home, &args)), (expected, 2), "{name}");
        assert!(!std::path::Path::new(&words).exists(), "{name}");
    }
    let empty = ["--passphrase-fd", "0", "new", "carol", "--mnemonic-out", &world.path("carol.words")];
    assert_eq!(code(&failed(home, &empty)), ("passphrase.empty", 4));
    let restore = run("sealpost", home, &["restore", "carol", "--no-input"]);
    assert!(String::from_utf8_lossy(&restore.stderr).contains("--mnemonic-file"), "{restore:?}");
}

#[test]
fn what_is_not_there_or_cannot_be_read_is_told_apart() {
    let world = World::new();
    let home = home_of(&world);
    assert_eq!(code(&failed(home, &["-w", "nobody", "address"])), ("wallet.missing", 2));
    assert_eq!(code(&world.error("alice", &["status", "00aa"])), ("tx.unknown", 1));
    assert_eq!(code(&world.error("alice", &["inbox", "-n", "0"])), ("input.usage", 2));
    let no_url = world.error("alice", &["--node", "127.0.0.1:1", "inbox"]);
    assert_eq!(
        (code(&no_url), no_url["help"].as_str()),
        (("input.url", 2), Some("write http://127.0.0.1:1"))
    );

    // A home that is a file, and settings that are a folder: there, but not to be read.
    let file = home.join("node/genesis.json");
    let unreadable = failed(&file, &["list"]);
    assert_eq!(code(&unreadable), ("file.io", 3));
    assert!(unreadable["message"].as_str().unwrap().contains(file.to_str().unwrap()), "{unreadable}");
    let settings = failed(home, &["--config", home.to_str().unwrap(), "list"]);
    assert_eq!(code(&settings), ("file.io", 3));
}

#[test]
fn contacts_are_renamed_and_removed() {
    let world = World::new();
    let home = home_of(&world);
    assert_eq!(json("sealpost", home, &["contact", "rename", "bob", "Robert"])["name"], "robert");
    assert_eq!(world.wallet("alice", &["send", "robert", "-m", "x"])["status"], "final");
    json("sealpost", home, &["contact", "remove", "robert"]);
    assert_eq!(code(&failed(home, &["contact", "remove", "robert"])), ("contact.unknown", 2));
}

#[test]
fn a_node_of_another_network_is_not_saved_for_this_one() {
    let world = World::new();
    let home = home_of(&world);
    let genesis = world.path("node/genesis.json");
    let other = tempfile::tempdir().unwrap();
    json("sealpost-node", other.path(), &["init", "--new-network", "other"]);
    let foreign = Server::node(other.path());
    let of = |home: &std::path::Path| {
        let genesis = std::fs::read(home.join("node/genesis.json")).unwrap();
        serde_json::from_slice::<serde_json::Value>(&genesis).unwrap()["address_prefix"]
            .as_str()
            .unwrap()
            .to_owned()
    };
    assert_eq!((of(home), of(other.path())), ("sealworld".into(), "sealother".into()));
    let add = |node: &str| ["network", "add", "--genesis", &genesis, "--node", node].map(str::to_owned);
    let wrong = add(&foreign.said("rpc"));
    let wrong = failed(home, &wrong.iter().map(String::as_str).collect::<Vec<_>>());
    assert_eq!(code(&wrong), ("node.other_chain", 6));
    assert!(wrong["help"].as_str().unwrap().contains("sealpost network add"), "{wrong}");
    let shown = json("sealpost", home, &["network", "show"]);
    assert_eq!(shown["node"], world.node.said("rpc").as_str());

    // One that is away may be right; that it replaces another is said.
    let away = add("http://127.0.0.1:1");
    let away = run("sealpost", home, &away.iter().map(String::as_str).collect::<Vec<_>>());
    let said = String::from_utf8_lossy(&away.stderr);
    assert!(away.status.success() && said.contains("not checked") && said.contains("its node was"), "{said}");
}

#[test]
fn evidence_that_discloses_is_the_owners_alone_and_its_hint_names_the_real_genesis() {
    use std::os::unix::fs::PermissionsExt;
    let world = World::new();
    let home = home_of(&world);
    let sent = world.wallet("alice", &["send", "bob", "-m", "x"]);
    let id = sent["id"].as_str().unwrap();
    let (open, plain) = (world.path("open.json"), world.path("plain.json"));
    world.wallet("alice", &["evidence", "create", id, "-o", &plain]);
    let passphrase = world.path("passphrase");
    let create = [
        "-w",
        "alice",
        "--passphrase-file",
        &passphrase,
        "evidence",
        "create",
        id,
        "--disclose",
        "-o",
        &open,
    ];
    let created = run("sealpost", home, &create);
    let hint = String::from_utf8_lossy(&created.stderr).into_owned();
    let genesis = hint.split("--genesis ").nth(1).unwrap().trim();
    let verified = run("sealpost", home, &["evidence", "verify", &open, "--genesis", genesis]);
    assert!(verified.status.success(), "{hint}");
    let mode = |path: &str| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!((mode(&open), mode(&plain)), (0o600, 0o644));
    let shown = run("sealpost", home, &["evidence", "show", &open, "--genesis", genesis]);
    assert!(String::from_utf8_lossy(&shown.stdout).contains("VALID"), "{shown:?}");
}

#[test]
fn quiet_keeps_the_answer_and_drops_the_talk() {
    let world = World::new();
    let passphrase = world.path("passphrase");
    let send = ["-q", "-w", "alice", "--passphrase-file", &passphrase, "send", "bob", "-m", "x"];
    let sent = run("sealpost", home_of(&world), &send);
    let (out, err) = (String::from_utf8_lossy(&sent.stdout), String::from_utf8_lossy(&sent.stderr));
    assert!(out.contains("Message") && !out.contains("Next") && err.is_empty(), "{out}{err}");
}

#[test]
fn the_nodes_settings_are_checked_as_run_would_and_man_pages_make_their_folder() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("node.toml");
    let settings = file.to_str().unwrap();
    for text in [
        "[rpc]\nlisten = \"abc\"",
        "[rpc]\nconnections = 0",
        "[rpc]\nconnections_per_client = 0",
        "[rpc]\nrate = -1",
        "[rpc]\ntrusted_proxies = [\"localhost\"]",
        "[rpc]\nhosts = [\"http://node.example.org\"]",
        "[rpc]\norigins = [\"ledger.example.org\"]",
        "[rpc]\norigins = [\"https://ledger.example.org/\"]",
        "rpc = \"127.0.0.1:1\"",
        "metrics = \"abc\"",
        "[consensus]\nlisten = \"abc\"",
        "[consensus]\npeers = [\"/dns4/v1.example.org/tcp/17326\"]",
        "[p2p]\nlisten = [\"abc\"]",
    ] {
        std::fs::write(&file, text).unwrap();
        let checked = run("sealpost-node", dir.path(), &["--config", settings, "config", "check"]);
        assert_eq!(checked.status.code(), Some(2), "{text}: {checked:?}");
    }
    std::fs::write(
        &file,
        "[rpc]\nlisten = \"127.0.0.1:1\"\ntrusted_proxies = [\"127.0.0.1\", \"10.0.0.0/8\"]\n\
         hosts = [\"node.example.org\"]\norigins = [\"https://ledger.example.org\"]",
    )
    .unwrap();
    json("sealpost-node", dir.path(), &["--config", settings, "config", "check"]);
    let pages = dir.path().join("new/pages");
    let made = run("sealpost", dir.path(), &["man", "--dir", pages.to_str().unwrap()]);
    assert!(made.status.success() && pages.join("sealpost.1").exists(), "{made:?}");
}

/// What a node answers to a call.
fn call(node: &Server, method: &str, params: &str) -> serde_json::Value {
    use std::io::{Read, Write};
    let url = node.said("rpc");
    let host = url.strip_prefix("http://").unwrap();
    let body = format!("{{\"jsonrpc\":\"2.0\",\"id\":7,\"method\":\"{method}\",\"params\":{params}}}");
    let mut stream = std::net::TcpStream::connect(host).unwrap();
    write!(
        stream,
        "POST / HTTP/1.1\r\nHost: {host}\r\nContent-Type: application/json\r\nConnection: close\r\n\
         Content-Length: {}\r\n\r\n{body}",
        body.len()
    )
    .unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    serde_json::from_str(answer.split_once("\r\n\r\n").unwrap().1).unwrap()
}

#[test]
fn parameters_that_cannot_be_read_have_a_code_and_words() {
    let dir = tempfile::tempdir().unwrap();
    json("sealpost-node", dir.path(), &["init", "--new-network", "other"]);
    let node = Server::node(dir.path());
    for (method, params, words) in [
        ("chain_header", "{\"block\":\"abc\"}", "height (a number) or its hash"),
        ("chain_header", "{\"block\":true}", "height (a number) or its hash"),
        ("tx_get", "{\"id\":7}", "invalid type"),
        ("tx_get", "{}", "id"),
    ] {
        let answer = call(&node, method, params);
        let error = &answer["error"];
        assert_eq!((answer["id"].as_u64(), error["code"].as_i64()), (Some(7), Some(-32602)), "{answer}");
        assert_eq!(error["data"]["code"], "input.malformed", "{answer}");
        assert!(error["message"].as_str().unwrap().contains(words), "{answer}");
        assert!(error["data"]["help"].is_string(), "{answer}");
    }
}
