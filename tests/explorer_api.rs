//! The explorer's REST API over real programs: that every resource of the OpenAPI document answers as it says, that
//! nothing is missed by who subscribes, that limits hold, and that nothing is passed on that does not hold.

mod caching;
mod client;
mod documented;
mod events;
mod fuzzed;
mod limits;
mod untrue;

use crate::world::{World, home_of};
use sealpost_tests::{Server, run};
use std::sync::{Arc, Mutex, PoisonError, Weak};

/// A name that would be a script on a page and a formula in a spreadsheet.
const HOSTILE_NAME: &str = "=cmd|' /C calc'!A0<script>alert(1)</script>";
/// A class of notices that begins as a formula does.
const HOSTILE_CLASS: &str = "-2.3";

/// A network on which something has happened, and an explorer of it.
pub(crate) struct Stage {
    pub(crate) world: World,
    pub(crate) explorer: Server,
    /// Opened by bob.
    pub(crate) opened: String,
    /// Refused by bob.
    pub(crate) refused: String,
    /// Not answered.
    pub(crate) silent: String,
    /// Sent without names.
    pub(crate) sealed: String,
    /// The receipt that bob gave.
    pub(crate) receipt: String,
    pub(crate) alice: String,
    pub(crate) bob: String,
}

impl Stage {
    pub(crate) fn new(flags: &[&str]) -> Self {
        let world = World::with_genesis(|genesis| {
            genesis["validators"][0]["name"] = HOSTILE_NAME.into();
            // No block comes but those of what the tests send: answers about the newest stay what they are.
            genesis["timing"]["heartbeat_ms"] = 3_600_000.into();
        });
        let send = |args: &[&str]| {
            let sent = world.wallet("alice", &[&["send", "bob", "-m", "x"], args].concat());
            sent["id"].as_str().unwrap().to_owned()
        };
        let (opened, refused, silent) = (send(&[]), send(&[]), send(&[]));
        let sealed = send(&["--sealed"]);
        let given = world.wallet("bob", &["receipt", "give", &opened]);
        world.wallet("bob", &["refuse", &refused, "--reason", "unwanted"]);
        let address = |name: &str| world.wallet(name, &["address"])["address"].as_str().unwrap().to_owned();
        let (alice, bob) = (address("alice"), address("bob"));
        let passphrase = world.path("passphrase");
        let alice_does =
            ["-w", "alice", "--passphrase-file", &passphrase, "designate", "--", HOSTILE_CLASS, "bob"];
        assert!(run("sealpost", home_of(&world), &alice_does).status.success());
        let receipt = given["receipt"].as_str().unwrap().to_owned();
        let explorer = explore(&world, &world.node.said("rpc"), flags);
        Self { explorer, opened, refused, silent, sealed, receipt, alice, bob, world }
    }
    pub(crate) fn url(&self) -> String {
        self.explorer.said("explorer")
    }
    pub(crate) fn get(&self, path: &str) -> client::Reply {
        client::get(&self.url(), path, &[])
    }
    /// What a resource holds.
    pub(crate) fn data(&self, path: &str) -> serde_json::Value {
        let reply = self.get(path);
        assert_eq!(reply.status, 200, "{path}: {reply:?}");
        reply.json()["data"].clone()
    }
}

/// An explorer of a world that asks a node there.
pub(crate) fn explore(world: &World, node: &str, flags: &[&str]) -> Server {
    let genesis = world.path("node/genesis.json");
    let args = ["serve", "--node", node, "--listen", "127.0.0.1:0", "--genesis", &genesis];
    let log = world.dir.path().join("explorer.log");
    Server::start("sealpost-explorer", home_of(world), &[&args, flags].concat(), &log)
}

/// The stage that tests share which only read, and are not limited. It is there as long as one of them runs: nothing
/// that is never dropped may hold processes.
pub(crate) fn shared() -> Arc<Stage> {
    static SHARED: Mutex<Weak<Stage>> = Mutex::new(Weak::new());
    let mut shared = SHARED.lock().unwrap_or_else(PoisonError::into_inner);
    shared.upgrade().unwrap_or_else(|| {
        let stage = Arc::new(Stage::new(&["--rate", "0"]));
        *shared = Arc::downgrade(&stage);
        stage
    })
}
