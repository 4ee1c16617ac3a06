//! Changes of who decides and who belongs, with the real programs: proposed, approved, submitted; and the
//! wallets and strangers who follow.

use sealpost_tests::{Server, get, json, run};
use serde_json::Value;
use std::fs;
use std::path::Path;

struct World {
    dir: tempfile::TempDir,
    node: Server,
    key: String,
}

impl World {
    fn new() -> Self {
        use std::os::unix::fs::PermissionsExt;
        let dir = tempfile::tempdir().unwrap();
        let home = dir.path();
        let made = json("sealpost-node", home, &["init", "--new-network", "changing"]);
        let node = Server::node(home);
        let passphrase = home.join("passphrase");
        fs::write(&passphrase, "correct horse\n").unwrap();
        fs::set_permissions(&passphrase, fs::Permissions::from_mode(0o600)).unwrap();
        let world = Self { dir, node, key: made["validator"].as_str().unwrap().to_owned() };
        let (genesis, url) = (world.path("node/genesis.json"), world.node.said("rpc"));
        json("sealpost", world.home(), &["network", "add", "--genesis", &genesis, "--node", &url]);
        for name in ["alice", "bob"] {
            let words = world.path(&format!("{name}.words"));
            let made = world.wallet(name, &["new", name, "--mnemonic-out", &words]);
            world.wallet(name, &["keys", "publish"]);
            json("sealpost", world.home(), &["contact", "add", name, made["address"].as_str().unwrap()]);
        }
        world
    }
    fn home(&self) -> &Path {
        self.dir.path()
    }
    fn path(&self, name: &str) -> String {
        self.home().join(name).to_str().unwrap().to_owned()
    }
    fn wallet(&self, name: &str, args: &[&str]) -> Value {
        let passphrase = self.path("passphrase");
        json("sealpost", self.home(), &[&["-w", name, "--passphrase-file", &passphrase], args].concat())
    }
    fn node(&self, args: &[&str]) -> Value {
        json("sealpost-node", self.home(), args)
    }
    /// Exit and code of a command that must not end well.
    fn refused(&self, program: &str, args: &[&str]) -> (i32, String) {
        let output = run(program, self.home(), &[args, &["--json"]].concat());
        let error: Value = serde_json::from_slice(&output.stderr).unwrap();
        (output.status.code().unwrap(), error["code"].as_str().unwrap().to_owned())
    }
    fn show(&self) -> Value {
        self.node(&["validator", "show", "--node", &self.node.said("rpc")])
    }
    fn send(&self) -> String {
        let sent = self.wallet("alice", &["send", "bob", "-m", "hello", "--wait", "final"]);
        sent["id"].as_str().unwrap().to_owned()
    }
}

#[test]
fn validators_change_by_approval_and_wallets_and_evidence_follow() {
    let world = World::new();
    let url = world.node.said("rpc");
    let early = world.send();
    let next = world.show()["height"].as_u64().unwrap();
    let (file, effective) = (world.path("change.json"), (next + 3).to_string());
    let add = format!("{}:5", world.key);
    let propose =
        ["validator", "propose", "--add", &add, "--effective", &effective, "-o", &file, "--node", &url];
    assert_eq!(world.node(&propose)["approvals"].as_array().unwrap().len(), 0);
    assert_eq!(world.refused("sealpost-node", &propose), (2, "file.exists".into()));
    let passed = ["validator", "propose", "--add", &add, "--effective", "1", "-o", &file, "--node", &url];
    assert_eq!(world.refused("sealpost-node", &passed), (2, "validator.effective".into()));

    let submit = ["validator", "submit", &file, "--node", &url];
    assert_eq!(world.refused("sealpost-node", &submit), (5, "approval.too_few".into()));
    assert_eq!(world.node(&["validator", "approve", &file])["approvals"][0], world.key);
    // An approval holds for what was signed, and for nothing else.
    let text = fs::read_to_string(&file).unwrap();
    fs::write(&file, text.replace("\"power\": 5", "\"power\": 6")).unwrap();
    assert_eq!(world.refused("sealpost-node", &submit), (5, "approval.signature".into()));
    fs::write(&file, text).unwrap();
    assert_eq!(world.node(&submit)["height"], next);
    assert_eq!(world.show()["scheduled"]["validators"][0]["power"], 5);

    let mut late = world.send();
    while world.show()["height"].as_u64().unwrap() < next + 5 {
        late = world.send();
    }
    let shown = world.show();
    assert_eq!((&shown["validators"][0]["power"], &shown["scheduled"]), (&5.into(), &Value::Null));
    assert_eq!(world.refused("sealpost-node", &submit), (5, "validator.other_set".into()));

    // An auditor: each block under the set that decided it, also by an explorer that begins in the middle.
    let serve = ["serve", "--node", &url, "--listen", "127.0.0.1:0"];
    let explorer =
        Server::start("sealpost-explorer", world.home(), &serve, &world.home().join("explorer.log"));
    for (height, words) in [(next + 4, "Power 5 of 5 signed"), (next, "Power 1 of 1 signed")] {
        let (head, page) = get(&format!("{}/block/{height}", explorer.said("explorer")));
        assert!(head.starts_with("HTTP/1.1 200") && page.contains(words), "{head} {page}");
    }

    // A stranger with the genesis alone, before and after the change.
    let genesis = world.path("node/genesis.json");
    let stranger = tempfile::tempdir().unwrap();
    for (number, id) in [early, late].iter().enumerate() {
        let evidence = world.path(&format!("{number}.evidence.json"));
        world.wallet("alice", &["evidence", "create", id, "--absent-receipt", "-o", &evidence]);
        let args = ["evidence", "verify", &evidence, "--genesis", &genesis];
        assert_eq!(json("sealpost", stranger.path(), &args)["valid"], true);
        assert!(fs::read_to_string(&evidence).unwrap().contains("\"validator_changes\": [\n"));
    }
}

#[test]
fn members_designations_and_withdrawn_keys() {
    let world = World::new();
    let url = world.node.said("rpc");
    let bob = world.wallet("bob", &["address"])["address"].as_str().unwrap().to_owned();
    let file = world.path("member.json");
    world.node(&["member", "propose", &bob, "-o", &file, "--node", &url]);
    world.node(&["member", "approve", &file]);
    let submit = ["member", "submit", &file, "--node", &url];
    assert!(world.node(&submit)["height"].is_u64());
    assert_eq!(world.refused("sealpost-node", &submit), (5, "member.unchanged".into()));

    let designated = world.wallet("bob", &["designate", "tax", "alice"]);
    assert_eq!(designated["class"], "tax");
    let passphrase = world.path("passphrase");
    let as_alice = ["-w", "alice", "--passphrase-file", &passphrase];
    let wrong = [&as_alice[..], &["designate", "Tax", "bob"]].concat();
    assert_eq!(world.refused("sealpost", &wrong).0, 2);

    let revoked = world.wallet("bob", &["keys", "revoke", "1"]);
    let from = revoked["from"].as_u64().unwrap();
    assert_eq!(world.wallet("bob", &["keys", "list"])["published"]["revoked_from"], from);
    while world.show()["height"].as_u64().unwrap() < from {
        world.send();
    }
    let send = [&as_alice[..], &["send", "bob", "-m", "too late"]].concat();
    assert_eq!(world.refused("sealpost", &send), (1, "recipient.keys_revoked".into()));
    world.wallet("bob", &["keys", "publish"]);
    world.send();
}

/// The log of a key that has voted: at height 7.
const VOTES: [u8; 12] = [0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 7];
/// The log of a key that has never voted.
const NO_VOTES: [u8; 12] = [0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0];

/// A home with a validator's key and its log, whose genesis is lost; a copy of that lies outside.
fn home_without_genesis(dir: &Path, log: Option<[u8; 12]>) -> (std::path::PathBuf, Value) {
    let made = json("sealpost-node", dir, &["init", "--new-network", "own"]);
    let home = dir.join("node");
    fs::rename(home.join("genesis.json"), dir.join("genesis.json")).unwrap();
    match log {
        Some(votes) => fs::write(home.join("consensus.wal"), votes).unwrap(),
        None => fs::remove_file(home.join("consensus.wal")).unwrap(),
    }
    (home, made["validator"].clone())
}

#[test]
fn no_form_of_init_writes_over_a_validator_s_key_or_its_log() {
    let dir = tempfile::tempdir().unwrap();
    let genesis = dir.path().join("genesis.json");
    let genesis = genesis.to_str().unwrap();
    let forms: [(&[&str], bool); 5] = [
        (&["init"], false),
        (&["init", "--new-network", "another"], false),
        (&["init", "--genesis", genesis], true),
        (&["init", "--genesis", genesis, "--validator"], true),
        (&["init", "--validator"], true),
    ];
    let (home, public) = home_without_genesis(dir.path(), Some(VOTES));
    let key = fs::read(home.join("validator.key")).unwrap();
    for log in [Some(VOTES), None] {
        if log.is_none() {
            // A copy of the key alone, as from a backup.
            fs::remove_file(home.join("consensus.wal")).unwrap();
        }
        for (args, goes_on) in forms {
            let output = run("sealpost-node", dir.path(), &[args, &["--json"]].concat());
            let said = String::from_utf8_lossy(&output.stderr).into_owned();
            assert_eq!(output.status.code(), Some(if goes_on { 0 } else { 2 }), "{args:?}: {said}");
            assert_eq!(fs::read(home.join("validator.key")).unwrap(), key, "{args:?}");
            assert_eq!(fs::read(home.join("consensus.wal")).ok(), log.map(Vec::from), "{args:?}");
            assert_eq!(home.join("genesis.json").exists(), goes_on, "{args:?}");
            if goes_on {
                let made: Value = serde_json::from_slice(&output.stdout).unwrap();
                assert_eq!(made["validator"], public, "{args:?}");
                fs::remove_file(home.join("genesis.json")).unwrap();
            } else {
                assert!(said.contains("validator.key_there"), "{args:?}: {said}");
            }
        }
    }
}

#[test]
fn init_says_of_a_key_without_its_log_that_it_has_to_rejoin_and_no_log_is_begun() {
    let dir = tempfile::tempdir().unwrap();
    let (home, _) = home_without_genesis(dir.path(), None);
    let genesis = dir.path().join("genesis.json");
    let made =
        run("sealpost-node", dir.path(), &["init", "--genesis", genesis.to_str().unwrap(), "--validator"]);
    let said = String::from_utf8(made.stdout).unwrap();
    assert!(said.contains("next       sealpost-node run --rejoin"), "{said}");
    let start = ["run", "--rpc", "127.0.0.1:0", "--metrics", "off", "--json"];
    let started = run("sealpost-node", dir.path(), &start);
    let said = String::from_utf8_lossy(&started.stderr).into_owned();
    assert!(started.status.code() == Some(3) && said.contains("consensus.wal_missing"), "{said}");
    assert!(!home.join("consensus.wal").exists());
}

#[test]
fn an_interrupted_making_of_a_network_goes_on_with_its_own_key() {
    let dir = tempfile::tempdir().unwrap();
    let (home, public) = home_without_genesis(dir.path(), Some(NO_VOTES));
    let key = fs::read(home.join("validator.key")).unwrap();
    let made = json("sealpost-node", dir.path(), &["init", "--new-network", "own"]);
    assert_eq!(made["validator"], public);
    assert_eq!(fs::read(home.join("validator.key")).unwrap(), key);
    assert!(Server::node(dir.path()).stop().success());
}
