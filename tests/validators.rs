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
