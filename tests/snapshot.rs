//! Snapshots and repairs with the real programs: a running node's ledger is copied, checked by somebody who
//! has only the genesis, and another machine starts from it.

use sealpost_tests::{Server, command, json, run};
use std::fs;
use std::path::Path;

/// A copy of a folder and of all that is in it.
fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap().map(Result::unwrap) {
        match entry.file_type().unwrap().is_dir() {
            true => copy(&entry.path(), &to.join(entry.file_name())),
            false => drop(fs::copy(entry.path(), to.join(entry.file_name())).unwrap()),
        }
    }
}

#[test]
fn a_validator_restored_from_a_snapshot_does_not_vote_before_it_rejoins() {
    let (dir, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let (node, _) = network(dir.path());
    let out = other.path().join("snapshot");
    let out = out.to_str().unwrap();
    json("sealpost-node", dir.path(), &["snapshot", "create", "--out", out]);
    assert!(node.stop().success());
    let (data, log) = (dir.path().join("node/data"), dir.path().join("node/consensus.wal"));
    let votes = fs::read(&log).unwrap();
    assert!(!votes.is_empty());
    let damaged = other.path().join("damaged");
    copy(Path::new(out), &damaged);
    fs::remove_file(damaged.join("state.log")).unwrap();
    fs::remove_dir_all(&data).unwrap();

    // Nothing restored, nothing put away.
    let failed = ["snapshot", "restore", damaged.to_str().unwrap()];
    assert_eq!(refused(dir.path(), &failed), (1, "snapshot.damaged".into()));
    assert_eq!(fs::read(&log).unwrap(), votes);

    let restored = json("sealpost-node", dir.path(), &["snapshot", "restore", out]);
    assert_eq!(fs::read(restored["votes"].as_str().unwrap()).unwrap(), votes);
    assert!(data.exists() && !log.exists());
    let start = ["run", "--rpc", "127.0.0.1:0", "--metrics", "off", "--consensus", "/ip4/127.0.0.1/tcp/0"];
    let (code, error) = refused(dir.path(), &start);
    assert_eq!((code, error.as_str()), (3, "consensus.wal_missing"));
}

#[test]
fn a_restore_that_is_refused_leaves_the_log_of_votes_where_it_is() {
    let (dir, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let (node, _) = network(dir.path());
    let out = other.path().join("snapshot");
    let out = out.to_str().unwrap();
    json("sealpost-node", dir.path(), &["snapshot", "create", "--out", out]);
    let (home, restore) = (dir.path().join("node"), ["snapshot", "restore", out]);
    let log = home.join("consensus.wal");
    let files = || {
        let names = fs::read_dir(&home).unwrap().map(|entry| entry.unwrap().file_name());
        names.collect::<std::collections::BTreeSet<_>>()
    };
    let before = files();

    // While the node votes, its log is not taken from under it.
    assert_eq!(refused(dir.path(), &restore), (3, "store.locked".into()));
    assert_eq!(files(), before);
    assert!(node.stop().success());

    let votes = fs::read(&log).unwrap();
    assert_eq!(refused(dir.path(), &restore), (2, "input.usage".into()));
    assert_eq!(files(), before);
    assert!(fs::read(&log).unwrap() == votes, "the log has changed");
    assert!(Server::node(dir.path()).stop().success(), "the validator goes on");
}

/// The exit code of a command of a node that must not end well, and the code of its error.
fn refused(home: &Path, args: &[&str]) -> (i32, String) {
    let output = run("sealpost-node", home, &[args, &["--json"]].concat());
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    let error = said.lines().find_map(|line| {
        let error: serde_json::Value = serde_json::from_str(line).ok()?;
        (error["schema"] == "sealpost/error/1").then_some(error)
    });
    let error = error.unwrap_or_else(|| panic!("{args:?}: {}: {said}", output.status));
    (output.status.code().unwrap(), error["code"].as_str().unwrap().to_owned())
}

/// A network of one node, which runs, and the id of a message that is final on it.
fn network(home: &Path) -> (Server, String) {
    json("sealpost-node", home, &["init", "--new-network", "copied"]);
    let node = Server::node(home);
    let passphrase = home.join("passphrase");
    fs::write(&passphrase, "correct horse\n").unwrap();
    let mut permissions = fs::metadata(&passphrase).unwrap().permissions();
    std::os::unix::fs::PermissionsExt::set_mode(&mut permissions, 0o600);
    fs::set_permissions(&passphrase, permissions).unwrap();
    let (passphrase, genesis) = (passphrase.to_str().unwrap(), home.join("node/genesis.json"));
    let url = node.said("rpc");
    json("sealpost", home, &["network", "add", "--genesis", genesis.to_str().unwrap(), "--node", &url]);
    let words = home.join("words");
    let wallet = |args: &[&str]| {
        json("sealpost", home, &[&["-w", "alice", "--passphrase-file", passphrase], args].concat())
    };
    let made = wallet(&["new", "alice", "--mnemonic-out", words.to_str().unwrap()]);
    wallet(&["keys", "publish"]);
    let address = made["address"].as_str().unwrap();
    let sent = wallet(&["send", address, "-m", "to myself"]);
    (node, sent["id"].as_str().unwrap().to_owned())
}

#[test]
fn another_machine_starts_from_the_snapshot_of_a_running_node() {
    let (dir, elsewhere) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let (node, id) = network(dir.path());
    let out = elsewhere.path().join("snapshot");
    let (out, genesis) = (out.to_str().unwrap(), dir.path().join("node/genesis.json"));
    let genesis = genesis.to_str().unwrap();
    let made = json("sealpost-node", dir.path(), &["snapshot", "create", "--out", out]);
    let (height, block) = (made["height"].as_u64().unwrap(), made["block"].as_str().unwrap());
    assert!(height >= 2);
    let stats = json("sealpost-node", dir.path(), &["db", "stats"]);
    assert_eq!((stats["running"].as_bool(), stats["height"].as_u64()), (Some(true), Some(height)));
    assert!(node.stop().success());

    // A stranger with the genesis alone.
    let home = elsewhere.path().join("home");
    let verify = ["snapshot", "verify", out, "--genesis", genesis];
    let checked = json("sealpost-node", &home, &verify);
    assert_eq!((checked["height"].as_u64(), checked["bodies"].as_u64()), (Some(height), Some(1)));
    let names: Vec<_> = fs::read_dir(out).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(names.len(), 4, "{names:?}");
    let other = Path::new(env!("CARGO_MANIFEST_DIR")).join("../genesis.json");
    let foreign = ["snapshot", "verify", out, "--genesis", other.to_str().unwrap()];
    assert_eq!(refused(&home, &foreign), (1, "snapshot.other_chain".into()));

    // Damaged, shortened, of another history: refused, and nothing is left behind.
    let restore = ["snapshot", "restore", out, "--genesis", genesis];
    for name in ["headers.log", "bodies.log", "state.log"] {
        let path = Path::new(out).join(name);
        let whole = fs::read(&path).unwrap();
        let mut changed = whole.clone();
        changed[whole.len() / 2] ^= 1;
        for damaged in [&changed[..], &whole[..whole.len() - 1]] {
            fs::write(&path, damaged).unwrap();
            assert_eq!(refused(&home, &restore), (1, "snapshot.damaged".into()), "{name}");
            assert!(!home.join("node").join("data").exists());
        }
        fs::write(&path, whole).unwrap();
    }
    let wrong = format!("{}:{block}", height - 1);
    let pinned = [&restore[..], &["--checkpoint", &wrong]].concat();
    assert_eq!(refused(&home, &pinned), (1, "snapshot.checkpoint".into()));

    let right = format!("{height}:{block}");
    json("sealpost-node", &home, &[&restore[..], &["--checkpoint", &right]].concat());
    assert_eq!(refused(&home, &restore), (2, "input.usage".into()), "what is there is not overwritten");
    for folder in [&home, &home.join("node")] {
        let mode = std::os::unix::fs::PermissionsExt::mode(&fs::metadata(folder).unwrap().permissions());
        assert_eq!(mode & 0o777, 0o700, "{}: for the owner alone", folder.display());
    }
    assert!(!home.join("node/validator.key").exists() && !home.join("node/consensus.wal").exists());
    assert_eq!(json("sealpost-node", &home, &["check"])["blocks"].as_u64(), Some(height));
    let node = Server::node(&home);
    let url = node.said("rpc");
    let passphrase = dir.path().join("passphrase");
    let alice = ["--node", &url, "-w", "alice", "--passphrase-file", passphrase.to_str().unwrap()];
    let read = json("sealpost", dir.path(), &[&alice[..], &["read", &id]].concat());
    assert_eq!(read["text"].as_str(), Some("to myself"));
    assert!(node.stop().success());
    assert_eq!(json("sealpost-node", &home, &["db", "prune"])["dropped_segments"].as_u64(), Some(0));
}

#[test]
fn a_damaged_journal_is_cut_only_when_told_to_and_the_validator_does_not_vote_before_it_rejoins() {
    let dir = tempfile::tempdir().unwrap();
    let (node, _) = network(dir.path());
    assert!(node.stop().success());
    let headers = dir.path().join("node/data/journal/headers-000001.log");
    let mut bytes = fs::read(&headers).unwrap();
    // In the first record, which others follow.
    bytes[60] ^= 1;
    fs::write(&headers, &bytes).unwrap();
    let votes = fs::read(dir.path().join("node/consensus.wal")).unwrap();
    let output = run("sealpost-node", dir.path(), &["check"]);
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(1));
    assert!(said.contains("check --repair") && said.contains("drops"), "{said}");
    assert_eq!(fs::read(&headers).unwrap(), bytes, "nothing is cut without being told to");
    let repaired = json("sealpost-node", dir.path(), &["check", "--repair"]);
    assert_eq!(repaired["keeps"].as_u64(), Some(0));
    let copies = Path::new(repaired["copies"].as_str().unwrap()).join("headers-000001.log.from-0");
    assert_eq!(fs::read(copies).unwrap(), bytes);
    assert_eq!(json("sealpost-node", dir.path(), &["check"])["blocks"].as_u64(), Some(0));
    let aside = repaired["votes"].as_str().unwrap();
    assert_eq!(fs::read(aside).unwrap(), votes, "the log of votes is put away whole");
    assert!(!dir.path().join("node/consensus.wal").exists());
    let start = ["run", "--rpc", "127.0.0.1:0", "--metrics", "off", "--consensus", "/ip4/127.0.0.1/tcp/0"];
    let (code, error) = refused(dir.path(), &start);
    assert_ne!((code, error.as_str()), (0, ""), "it doesn't vote at heights that were decided");
}

/// A command's outcome under a limit of open files: `-Sn` for one that it may raise, `-n` for one that it may not.
fn limited(limit: &str, home: &Path, args: &[&str]) -> std::process::Output {
    let node = command("sealpost-node", home);
    let mut shell = std::process::Command::new("sh");
    shell
        .args(["-c", &format!("ulimit {limit} && exec \"$@\""), "sh"])
        .arg(node.get_program())
        .args(node.get_args());
    for (name, value) in node.get_envs() {
        match value {
            Some(value) => shell.env(name, value),
            None => shell.env_remove(name),
        };
    }
    shell.args(args).output().unwrap()
}

/// A ledger has many files. Who can't open them must not be told to delete one.
#[test]
fn too_few_open_files_are_more_if_the_system_lets_and_no_damage_if_not() {
    let dir = tempfile::tempdir().unwrap();
    let (node, _) = network(dir.path());
    assert!(node.stop().success());
    let raised = limited("-Sn 20", dir.path(), &["check"]);
    assert!(raised.status.success(), "{}", String::from_utf8_lossy(&raised.stderr));
    let output = limited("-n 20", dir.path(), &["check"]);
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(3), "{said}");
    assert!(said.contains("Too many open files") && !said.contains("delete"), "{said}");
}

/// What stands beside the blocks binds no vote: a repair leaves the log of votes, and the validator goes on.
#[test]
fn damage_in_proposals_or_equivocations_is_repaired_and_the_validator_goes_on() {
    let dir = tempfile::tempdir().unwrap();
    let (node, _) = network(dir.path());
    assert!(node.stop().success());
    let home = dir.path().join("node");
    let votes = fs::read(home.join("consensus.wal")).unwrap();
    for name in ["proposals", "equivocations"] {
        // Records of blocks, the first of them changed.
        let mut bytes = fs::read(home.join("data/journal/headers-000001.log")).unwrap();
        bytes[60] ^= 1;
        let path = home.join(format!("data/journal/{name}-000001.log"));
        fs::write(&path, &bytes).unwrap();
        let output = run("sealpost-node", dir.path(), &["check"]);
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(1), "{name}");
        assert!(said.contains(name) && said.contains("check --repair"), "{said}");
        let repaired = json("sealpost-node", dir.path(), &["check", "--repair"]);
        assert!(repaired["votes"].is_null() && repaired["keeps"].as_u64() > Some(0), "{repaired}");
        let copies = Path::new(repaired["copies"].as_str().unwrap());
        assert_eq!(fs::read(copies.join(format!("{name}-000001.log.from-0"))).unwrap(), bytes);
        assert_eq!(fs::read(home.join("consensus.wal")).unwrap(), votes);
        let checked = json("sealpost-node", dir.path(), &["check"]);
        assert_eq!(checked["indexed"], repaired["keeps"]);
    }
    assert!(Server::node(dir.path()).stop().success());
}
