//! What surrounds a node and can fail it: open files, a disk that can only be read, files of somebody else, a bit that turned
//! in its log of votes. It says what is wrong and what to do, before it does anything; and nothing is lost.

use jsonrpsee::http_client::HttpClientBuilder;
use sealpost_ledger::genesis::Genesis;
use sealpost_tests::harness::load::{Messages, probe};
use sealpost_tests::harness::namespace::ready;
use sealpost_tests::harness::network::{Network, NetworkOptions, Place};
use sealpost_tests::harness::skip::skip;
use sealpost_tests::{Server, by_another_user, json, node_command, program, run, run_by};
use serde_json::Value;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};
use tokio::net::TcpStream;

const SOON: Duration = Duration::from_secs(60);
/// Exit code of a program that something around it keeps from its work.
const UNAVAILABLE: i32 = 3;
/// Fewer open files than a node needs.
const FEW: u32 = 128;

fn node(home: &Path) -> Command {
    node_command(home, "/ip4/127.0.0.1/tcp/0", &["--p2p", "off"])
}

/// The error with which a node ends that can't start.
fn refusal(command: Command, log: &Path) -> Value {
    let _none = fs::remove_file(log);
    let ended = Server::launch(command, log).ready_or_ended().expect_err("it starts");
    assert_eq!(ended.status.and_then(|status| status.code()), Some(UNAVAILABLE), "{}", ended.said);
    let log = fs::read_to_string(log).unwrap();
    let error = log.lines().find(|line| line.starts_with("{\"schema\":\"sealpost/error/1\""));
    serde_json::from_str(error.unwrap_or_else(|| panic!("no error: {log}"))).unwrap()
}

fn says(error: &Value, field: &str, words: &str) {
    assert!(error[field].as_str().unwrap_or_default().contains(words), "{words:?} is not in {error}");
}

/// A message becomes final.
async fn works(node: &Server, home: &Path) {
    let genesis = Genesis::parse(&fs::read(home.join("node/genesis.json")).unwrap()).unwrap();
    let client = HttpClientBuilder::default().build(node.said("rpc")).unwrap();
    probe(&client, &Messages::new(genesis), SOON).await.unwrap();
}

#[tokio::test]
async fn a_node_raises_its_limit_of_open_files_or_says_what_it_needs() {
    let dir = tempfile::tempdir().unwrap();
    let (home, log) = (dir.path(), dir.path().join("node.log"));
    json("sealpost-node", home, &["init", "--new-network", "files"]);
    let limited = |flags: &str| {
        let limit = format!("ulimit {flags} {FEW} && exec \"$0\" \"$@\"");
        let mut shell = Command::new("sh");
        shell.args(["-c", &limit]);
        run_by(shell, &node(home))
    };
    let refused = refusal(limited("-n"), &log);
    assert_eq!(refused["code"], "system.open_files", "{refused}");
    says(&refused, "message", &FEW.to_string());
    says(&refused, "help", "ulimit -n");

    // What it may raise itself it does, and then bears with more connections than it could have had.
    let started = Server::launch(limited("-Sn"), &log).ready();
    let address = started.said("rpc").trim_start_matches("http://").to_owned();
    let mut held = Vec::new();
    for _ in 0..FEW {
        held.push(TcpStream::connect(&address).await.unwrap());
    }
    works(&started, home).await;
    let limits = fs::read_to_string(format!("/proc/{}/limits", started.id())).unwrap();
    let open = limits.lines().find_map(|line| line.strip_prefix("Max open files")).unwrap();
    let soft: u32 = open.split_whitespace().next().unwrap().parse().unwrap();
    assert!(soft > FEW, "{limits}");
    assert!(started.stop().success());
}

#[tokio::test]
async fn a_disk_that_can_only_be_read_is_named_and_what_was_there_stays() {
    if !ready("a_disk_that_can_only_be_read_is_named_and_what_was_there_stays") {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let (home, log) = (dir.path().join("home"), dir.path().join("node.log"));
    fs::create_dir(&home).unwrap();
    json("sealpost-node", &home, &["init", "--new-network", "readonly"]);
    let started = Server::launch(node(&home), &log).ready();
    works(&started, &home).await;
    let genesis = home.join("node/genesis.json").display().to_string();
    json("sealpost", &home, &["network", "add", "--genesis", &genesis, "--node", &started.said("rpc")]);
    assert!(started.stop().success());

    let mounted = ReadOnly::mount(&home);
    let refused = refusal(node(&home), &log);
    says(&refused, "message", "Read-only file system");
    says(&refused, "message", home.to_str().unwrap());
    // Whoever only reads can go on, and a wallet that has to write says which file it was.
    let passphrase = dir.path().join("passphrase");
    fs::write(&passphrase, "not very secret\n").unwrap();
    fs::set_permissions(&passphrase, fs::Permissions::from_mode(0o600)).unwrap();
    let words = dir.path().join("words");
    let new = ["--passphrase-file", passphrase.to_str().unwrap(), "new", "alice", "--mnemonic-out"];
    let new = run("sealpost", &home, &[&new[..], &[words.to_str().unwrap(), "--json"]].concat());
    let error: Value = serde_json::from_slice(&new.stderr).unwrap();
    assert_eq!((error["code"].as_str(), new.status.code()), (Some("file.io"), Some(UNAVAILABLE)), "{error}");
    says(&error, "message", home.to_str().unwrap());
    assert!(!words.exists(), "words of a wallet that does not come to be");
    assert!(run("sealpost-node", &home, &["peers", "id"]).status.success());

    drop(mounted);
    let started = Server::launch(node(&home), &log).ready();
    works(&started, &home).await;
    assert!(started.stop().success());
    assert!(run("sealpost-node", &home, &["check"]).status.success());
}

/// A folder that can only be read, until this is dropped.
struct ReadOnly<'a>(&'a Path);

impl<'a> ReadOnly<'a> {
    fn mount(folder: &'a Path) -> Self {
        let mount = |args: &[&str]| {
            let done = Command::new("mount").args(args).arg(folder).status().unwrap();
            assert!(done.success(), "mount {args:?} {}", folder.display());
        };
        mount(&["--bind", folder.to_str().unwrap()]);
        let mounted = Self(folder);
        mount(&["-o", "remount,bind,ro"]);
        mounted
    }
}

impl Drop for ReadOnly<'_> {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(self.0).status();
    }
}

#[test]
fn a_home_of_somebody_else_is_refused_by_its_name() {
    const TEST: &str = "a_home_of_somebody_else_is_refused_by_its_name";
    if !ready(TEST) {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o755)).unwrap();
    let (home, log) = (dir.path().join("home"), dir.path().join("node.log"));
    fs::create_dir(&home).unwrap();
    json("sealpost-node", &home, &["init", "--new-network", "private"]);
    // It is the home that is closed to him, not the program.
    let copy = dir.path().join("sealpost-node");
    fs::copy(program("sealpost-node"), &copy).unwrap();
    if !by_another_user(&copy).arg("--version").output().is_ok_and(|output| output.status.success()) {
        return skip(
            TEST,
            "another user can't run the program here (setpriv, or the folder of temporary files)",
        );
    }
    let mut stranger = by_another_user(&copy);
    stranger.args(["run", "--rpc", "127.0.0.1:0", "--metrics", "off", "--p2p", "off", "--json"]);
    stranger.env("SEALPOST_HOME", &home).env_remove("SEALPOST_NODE").env_remove("RUST_LOG");
    let refused = refusal(stranger, &log);
    says(&refused, "message", "ermission denied");
    says(&refused, "message", home.to_str().unwrap());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_validator_whose_log_of_votes_has_a_turned_bit_does_not_vote() {
    let (name, place) = ("turned".to_owned(), Place::Loopback);
    let options = NetworkOptions { name, validators: 2, full_nodes: 0, place, heartbeat_ms: Some(1000) };
    let mut network = Network::create(&options);
    network.start_member(0);
    // Alone it votes and decides nothing: its votes bind.
    let wal = network.home(0).join("node/consensus.wal");
    const HEADER: usize = 12;
    // All of a vote, and no half of the next: it comes to rest.
    let (since, mut votes) = (Instant::now(), Vec::new());
    loop {
        tokio::time::sleep(Duration::from_millis(500)).await;
        let now = fs::read(&wal).unwrap();
        if now.len() > HEADER && now == votes {
            break;
        }
        assert!(since.elapsed() < SOON, "it does not vote");
        votes = now;
    }
    network.kill_member(0);
    assert_eq!(fs::read(&wal).unwrap(), votes);
    let log = network.folder().join("turned.log");
    let (version, length, checksum, last) = (3, HEADER + 1, HEADER + 9, votes.len() - 1);
    for at in [version, length, checksum, last] {
        let mut turned = votes.clone();
        turned[at] ^= 4;
        fs::write(&wal, &turned).unwrap();
        let refused = refusal(node(network.home(0)), &log);
        assert_eq!(refused["code"], "consensus.wal_damaged", "byte {at}: {refused}");
        says(&refused, "message", wal.to_str().unwrap());
        assert_eq!(fs::read(&wal).unwrap(), turned, "byte {at}: it was written to");
    }
    // As it was it is taken, and together they go on.
    fs::write(&wal, &votes).unwrap();
    network.start_members(&[0, 1]);
    let messages = Messages::new(network.genesis().clone());
    probe(network.client(0), &messages, SOON).await.unwrap();
}
