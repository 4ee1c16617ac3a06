//! `sealpost-node dev`: a network at once, and what `--reset` may delete.

use sealpost_tests::{Server, json, run};
use std::path::Path;

fn start(home: &Path, more: &[&str]) -> Server {
    let state = home.join("play");
    let state = state.to_str().unwrap();
    let args = [&["dev", "--state", state, "--port", "0", "--accounts", "2"], more].concat();
    Server::start("sealpost-node", home, &args, &home.join("dev.log"))
}

/// What a command ended with: exit code and error code.
fn ended(home: &Path, args: &[&str]) -> (i32, String) {
    let output = run("sealpost-node", home, &[args, &["--json"]].concat());
    let error: serde_json::Value = serde_json::from_slice(&output.stderr).unwrap_or_default();
    (output.status.code().unwrap(), error["code"].as_str().unwrap_or_default().to_owned())
}

#[test]
fn dev_has_accounts_that_write_to_one_another_and_reset_begins_anew() {
    let dir = tempfile::tempdir().unwrap();
    let home = dir.path();
    let dev = start(home, &[]);
    let play = home.join("play");
    let passphrase = dev.said("passphrase_file");
    let alice = ["-w", "alice", "--passphrase-file", &passphrase, "send", "bob", "-m", "hello"];
    assert_eq!(json("sealpost", &play, &alice)["status"], "final");
    let chain = dev.said("chain");

    // The network runs: its folder stays.
    let state = play.to_str().unwrap();
    let reset = ["dev", "--state", state, "--port", "0", "--reset", "--yes"];
    assert_eq!(ended(home, &reset), (3, "store.locked".into()));
    assert!(play.join("node/genesis.json").exists() && play.join("networks").exists());
    assert_eq!(json("sealpost", &play, &alice)["status"], "final");

    // It has ended: now it goes, if somebody says so.
    assert!(dev.stop().success());
    let unasked = ["dev", "--state", state, "--port", "0", "--reset", "--no-input"];
    assert_eq!(ended(home, &unasked), (4, "input.nobody_to_ask".into()));
    let kept = start(home, &[]);
    assert_eq!(kept.said("chain"), chain);
    assert!(kept.stop().success());
    let anew = start(home, &["--reset", "--yes"]);
    assert_ne!(anew.said("chain"), chain);
    assert!(anew.stop().success());
}

#[test]
fn nothing_that_dev_has_not_made_is_deleted_or_written_to() {
    let dir = tempfile::tempdir().unwrap();
    let home = dir.path();
    let play = home.join("play");
    let state = play.to_str().unwrap();
    let reset = ["dev", "--state", state, "--port", "0", "--reset", "--yes"];
    // Somebody's own network, and wallets of it.
    json("sealpost-node", &play, &["init", "--new-network", "own"]);
    std::fs::create_dir_all(play.join("networks/own/wallets")).unwrap();
    let key = std::fs::read(play.join("node/validator.key")).unwrap();
    for refused in [&reset[..], &reset[..5]] {
        assert_eq!(ended(home, refused), (2, "input.usage".into()));
        assert_eq!(std::fs::read(play.join("node/validator.key")).unwrap(), key);
        assert!(!play.join("networks/dev").exists());
    }
    std::fs::remove_dir_all(play.join("node")).unwrap();
    // Wallets of another network beside those of `dev`.
    let dev = start(home, &[]);
    let chain = dev.said("chain");
    assert!(dev.stop().success());
    let anew = start(home, &["--reset", "--yes"]);
    assert_ne!(anew.said("chain"), chain);
    assert!(anew.stop().success());
    assert!(play.join("networks/own/wallets").exists());
}

#[test]
fn a_port_that_is_taken_is_answered_with_the_flag_that_dev_has() {
    let dir = tempfile::tempdir().unwrap();
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port().to_string();
    let output = run("sealpost-node", dir.path(), &["dev", "--accounts", "0", "--port", &port]);
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(3));
    assert!(said.contains("--port PORT") || said.contains("--port takes"), "{said}");
    assert!(!said.contains("--rpc"), "{said}");
}
