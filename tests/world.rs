//! A small world of real programs: a node, alice and bob with wallets, each the other's contact.

use sealpost_tests::{Server, json, run};
use std::fs;
use std::io::{BufRead, BufReader, Lines};
use std::path::Path;
use std::process::{Child, ChildStdout, Stdio};

pub(crate) struct World {
    pub(crate) dir: tempfile::TempDir,
    pub(crate) node: Server,
}

pub(crate) fn secret(path: &Path, text: &str) {
    use std::os::unix::fs::PermissionsExt;
    fs::write(path, text).unwrap();
    fs::set_permissions(path, fs::Permissions::from_mode(0o600)).unwrap();
}

impl World {
    pub(crate) fn new() -> Self {
        Self::with_genesis(|_| {})
    }
    /// A world on a network with other rules.
    pub(crate) fn with_genesis(change: impl FnOnce(&mut serde_json::Value)) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let home = dir.path();
        json("sealpost-node", home, &["init", "--new-network", "world"]);
        let path = home.join("node/genesis.json");
        let mut genesis = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
        change(&mut genesis);
        fs::write(&path, genesis.to_string()).unwrap();
        let node = Server::node(home);
        secret(&home.join("passphrase"), "correct horse\n");
        let world = Self { dir, node };
        let genesis = world.path("node/genesis.json");
        json(
            "sealpost",
            home_of(&world),
            &["network", "add", "--genesis", &genesis, "--node", &world.node.said("rpc")],
        );
        for name in ["alice", "bob"] {
            let words = world.path(&format!("{name}.words"));
            let made = world.wallet(name, &["new", name, "--mnemonic-out", &words]);
            world.wallet(name, &["keys", "publish"]);
            let address = made["address"].as_str().unwrap();
            json("sealpost", home_of(&world), &["contact", "add", name, address]);
        }
        world
    }
    pub(crate) fn path(&self, name: &str) -> String {
        self.dir.path().join(name).to_str().unwrap().to_owned()
    }
    /// A command of a wallet that must end well.
    pub(crate) fn wallet(&self, name: &str, args: &[&str]) -> serde_json::Value {
        let passphrase = self.path("passphrase");
        json("sealpost", home_of(self), &[&["-w", name, "--passphrase-file", &passphrase], args].concat())
    }
    /// The error that a command of a wallet ends with.
    pub(crate) fn error(&self, name: &str, args: &[&str]) -> serde_json::Value {
        let passphrase = self.path("passphrase");
        failed(home_of(self), &[&["-w", name, "--passphrase-file", &passphrase], args].concat())
    }
    /// A command of a wallet that goes on, and the JSON lines that it prints.
    pub(crate) fn follow(&self, name: &str, args: &[&str]) -> Following {
        let passphrase = self.path("passphrase");
        let mut command = sealpost_tests::command("sealpost", home_of(self));
        command.args(["-w", name, "--passphrase-file", &passphrase, "--json"]).args(args);
        let mut child = command.stderr(Stdio::null()).spawn().unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        Following { child, lines: Some(lines) }
    }
    /// The exit code of a command of a wallet.
    pub(crate) fn exit(&self, name: &str, args: &[&str]) -> i32 {
        let passphrase = self.path("passphrase");
        let args = [&["-w", name, "--passphrase-file", &passphrase], args].concat();
        run("sealpost", home_of(self), &args).status.code().unwrap()
    }
}

/// A command that goes on. It is killed when this is dropped.
pub(crate) struct Following {
    child: Child,
    lines: Option<Lines<BufReader<ChildStdout>>>,
}

impl Following {
    /// What it prints next.
    pub(crate) fn next(&mut self) -> serde_json::Value {
        let lines = self.lines.as_mut().expect("somebody who reads");
        serde_json::from_str(&lines.next().expect("another line").unwrap()).unwrap()
    }
    /// Nobody reads any more.
    pub(crate) fn leave(&mut self) {
        self.lines = None;
    }
    /// Waits until it ends, and says whether it ended well.
    pub(crate) fn ends_well(&mut self) -> bool {
        self.child.wait().unwrap().success()
    }
}

impl Drop for Following {
    fn drop(&mut self) {
        // It may have ended.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

pub(crate) fn home_of(world: &World) -> &Path {
    world.dir.path()
}

/// The error that a command of `sealpost` ends with.
pub(crate) fn failed(home: &Path, args: &[&str]) -> serde_json::Value {
    let output = run("sealpost", home, &[args, &["--json"]].concat());
    let error = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(!output.status.success() && output.stdout.is_empty(), "{args:?}: {output:?}");
    serde_json::from_str(&error).unwrap_or_else(|_| panic!("{args:?}: {error}"))
}
