//! Four validators, an explorer of one of them, and three wallets that write through another.

use crate::world::{failed, secret};
use sealpost_tests::harness::network::{Network, NetworkOptions, Place};
use sealpost_tests::{Server, get, json};
use serde_json::Value;
use std::path::{Path, PathBuf};

/// Blocks come when there is something in them: pages stand still while they are looked at.
const HEARTBEAT_MS: u64 = 3_600_000;

pub(super) struct Town {
    // The explorer before what it asks.
    explorer: Server,
    pub(super) network: Network,
    home: tempfile::TempDir,
}

impl Town {
    /// A network whose first validators have names that others chose.
    pub(super) fn new(name: &str, validator_names: &[&str]) -> Self {
        let mut network = Network::create(&NetworkOptions {
            name: name.to_owned(),
            validators: 4,
            full_nodes: 0,
            place: Place::Loopback,
            heartbeat_ms: Some(HEARTBEAT_MS),
        });
        network.change_genesis(|genesis| {
            for (at, name) in validator_names.iter().enumerate() {
                genesis["validators"][at]["name"] = (*name).into();
            }
        });
        network.start_members(&network.validators());
        let home = tempfile::tempdir().unwrap();
        let genesis = genesis_of(&network);
        let writes_to = network.said(0, "rpc");
        let add = ["network", "add", "--genesis", &genesis, "--node", &writes_to];
        json("sealpost", home.path(), &add);
        secret(&home.path().join("passphrase"), "correct horse\n");

        let asks = network.said(3, "rpc");
        // One visitor looks at everything as fast as it can.
        let args =
            ["serve", "--node", &asks, "--listen", "127.0.0.1:0", "--genesis", &genesis, "--rate", "0"];
        let log = home.path().join("explorer.log");
        let explorer = Server::start("sealpost-explorer", home.path(), &args, &log);
        let town = Self { explorer, network, home };
        for name in ["alice", "bob", "carol"] {
            let words = town.path(&format!("{name}.words"));
            let made = town.wallet(name, &["new", name, "--mnemonic-out", words.to_str().unwrap()]);
            town.wallet(name, &["keys", "publish"]);
            json("sealpost", town.home(), &["contact", "add", name, made["address"].as_str().unwrap()]);
        }
        town
    }
    pub(super) fn home(&self) -> &Path {
        self.home.path()
    }
    pub(super) fn path(&self, name: &str) -> PathBuf {
        self.home.path().join(name)
    }
    /// The genesis file.
    pub(super) fn genesis(&self) -> String {
        genesis_of(&self.network)
    }
    pub(super) fn url(&self) -> String {
        self.explorer.said("explorer")
    }
    /// A command of a wallet that must end well.
    pub(super) fn wallet(&self, name: &str, args: &[&str]) -> Value {
        let passphrase = self.path("passphrase");
        let as_whom = ["-w", name, "--passphrase-file", passphrase.to_str().unwrap()];
        json("sealpost", self.home(), &[&as_whom, args].concat())
    }
    /// The error that a command ends with.
    pub(super) fn error(&self, args: &[&str]) -> Value {
        failed(self.home(), args)
    }
    /// What the explorer's API answers.
    pub(super) fn api(&self, path: &str) -> Value {
        let (head, body) = get(&format!("{}/api/v1{path}", self.url()));
        assert!(head.starts_with("HTTP/1.1 200"), "{path}: {head}\n{body}");
        serde_json::from_str(&body).unwrap()
    }
}

fn genesis_of(network: &Network) -> String {
    network.folder().join("testnet/genesis.json").to_str().unwrap().to_owned()
}
