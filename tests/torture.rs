//! A short torture of a real node in each way (`sealpost-torture` does it for longer, and by other seeds), and a flipped
//! byte whose place must be named.

use jsonrpsee::http_client::HttpClientBuilder;
use sealpost_api::{SealpostRpcClient, WaitFor};
use sealpost_ledger::genesis::Genesis;
use sealpost_ledger::height::BlockHeight;
use sealpost_tests::harness::load::{Message, Messages};
use sealpost_tests::harness::namespace::ready;
use sealpost_tests::harness::skip::{say, skip};
use sealpost_tests::{Server, json, run};
use std::process::Command;

/// What every run says that lost nothing.
fn holds(what: &str, count: u32) -> String {
    let mut torture = Command::new(env!("CARGO_BIN_EXE_sealpost-torture"));
    let output = torture.args([what, "--count", &count.to_string(), "--seed", "7"]).output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success() && said.contains(&format!("HELD {what}")), "{said}\n{output:?}");
    said
}

#[test]
fn what_was_reported_final_outlives_every_kill() {
    println!("{}", holds("kills", 12));
}

/// As [`holds`], for what needs strace. Where that can't be used the test is skipped, and fails if CI is set.
fn holds_traced(test: &str, what: &[&str]) {
    let mut torture = Command::new(env!("CARGO_BIN_EXE_sealpost-torture"));
    let output = torture.args(what).args(["--seed", "7"]).output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    if said.contains("can't be run here") {
        return skip(test, &said);
    }
    assert!(output.status.success() && said.contains(&format!("HELD {}", what[0])), "{said}\n{output:?}");
    println!("{said}");
}

#[test]
fn a_kill_at_any_write_of_the_node_loses_nothing() {
    let what = ["writes", "--only", "node", "--count", "4", "--commands", "1"];
    holds_traced("a_kill_at_any_write_of_the_node", &what);
}

#[test]
fn a_kill_at_any_write_of_the_wallet_loses_no_secret_and_sends_nothing_twice() {
    let what = ["writes", "--only", "wallet", "--count", "1", "--commands", "6"];
    holds_traced("a_kill_at_any_write_of_the_wallet", &what);
}

#[test]
fn a_disk_that_fails_stops_a_node_before_it_promises_and_is_named_by_the_wallet() {
    holds_traced("a_disk_that_fails", &["syncs", "--count", "2", "--commands", "4"]);
}

#[test]
fn what_could_not_be_written_to_standard_output_is_no_success() {
    let home = tempfile::tempdir().unwrap();
    let full = std::fs::File::create("/dev/full").unwrap();
    let mut list = sealpost_tests::command("sealpost", home.path());
    let output = list.args(["network", "list", "--json"]).stdout(full).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(3), "{said}");
    assert!(said.contains("standard output") && said.contains("file.io"), "{said}");
}

#[test]
fn damage_is_named_and_what_the_node_advises_brings_everything_back() {
    let said = holds("damage", 12);
    assert!(said.contains("noticed and repaired") && said.contains("index made anew"), "{said}");
}

#[test]
fn what_was_reported_final_outlives_power_cuts() {
    if !ready("what_was_reported_final_outlives_power_cuts") {
        return;
    }
    // A loop device is free, or there are none on this machine.
    if !Command::new("losetup").arg("-f").output().is_ok_and(|found| found.status.success()) {
        return say("what_was_reported_final_outlives_power_cuts: there is no loop device");
    }
    println!("{}", holds("power", 4));
}

#[test]
fn a_full_disk_stops_a_node_and_loses_nothing() {
    if !ready("a_full_disk_stops_a_node_and_loses_nothing") {
        return;
    }
    println!("{}", holds("full", 1));
}

#[tokio::test]
async fn a_flipped_byte_in_the_data_is_found_and_its_place_named() {
    let dir = tempfile::tempdir().unwrap();
    json("sealpost-node", dir.path(), &["init", "--new-network", "damage"]);
    let genesis = Genesis::parse(&std::fs::read(dir.path().join("node/genesis.json")).unwrap()).unwrap();
    let (node, messages) = (Server::node(dir.path()), Messages::new(genesis));
    let client = HttpClientBuilder::default().build(node.said("rpc")).unwrap();
    // Several blocks, so that the first is not the last.
    for _ in 1..=3 {
        let Message { transaction, body, .. } = messages.make(BlockHeight::new(1000));
        client.tx_submit(transaction, Some(body), Some(WaitFor::Final)).await.unwrap();
    }
    assert!(node.stop().success());
    assert!(run("sealpost-node", dir.path(), &["check"]).status.success());
    let journal = dir.path().join("node/data/journal");
    let segment = std::fs::read_dir(&journal)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .find(|path| path.to_string_lossy().contains("header"))
        .expect("a segment of headers");
    let mut bytes = std::fs::read(&segment).unwrap();
    // In the first record, which others follow: not an unfinished end.
    let at = bytes.len() / 6;
    bytes[at] ^= 1;
    std::fs::write(&segment, bytes).unwrap();
    let check = run("sealpost-node", dir.path(), &["check"]);
    assert_eq!(check.status.code(), Some(1));
    let said = String::from_utf8_lossy(&check.stderr).into_owned();
    assert!(said.contains("byte") && said.contains(segment.file_name().unwrap().to_str().unwrap()), "{said}");
}
