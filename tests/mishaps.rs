//! What a person gets wrong at the wallet: each mishap is named before anything is done, with its code and
//! the way out.

use crate::world::{World, failed, home_of};
use sealpost_tests::run;

fn code(error: &serde_json::Value) -> (&str, u64) {
    (error["code"].as_str().unwrap(), error["exit"].as_u64().unwrap())
}

#[test]
fn nothing_is_sent_or_kept_of_what_is_no_message() {
    let world = World::new();
    for args in [&["send", "bob"][..], &["send", "bob", "-m", " \n"], &["send", "bob", "-f", "/dev/null"]] {
        assert_eq!(code(&world.error("alice", args)), ("message.empty", 2), "{args:?}");
    }
    let away = world.error("alice", &["--node", "http://127.0.0.1:1", "send", "bob", "-m", "x"]);
    assert_eq!(code(&away), ("node.unreachable", 3));
    assert!(away["help"].as_str().unwrap().contains("nothing was kept"), "{away}");
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
