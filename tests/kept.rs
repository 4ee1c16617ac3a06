//! What a release wrote, every later one reads: the home of a validator and of two wallets, with a backup and a file of
//! evidence. Each archive in `tests/kept` was written by the release that it is named after, and is never changed. (That of
//! 0.1.0 was written before its release.)

use crate::world::World;
use jsonrpsee::http_client::{HttpClient, HttpClientBuilder};
use sealpost_api::SealpostRpcClient;
use sealpost_ledger::hash::BlockHash;
use sealpost_ledger::height::BlockHeight;
use sealpost_tests::{Server, json, run};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::fs;
use std::path::Path;
use std::process::Command;

const FOLDER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/kept");
const TEXT: &str = "The lift in house 7 is out of service.";

/// What an archive holds.
#[derive(Debug, Serialize, Deserialize)]
struct Contents {
    /// The last final block.
    height: BlockHeight,
    block: BlockHash,
    /// A letter that bob has opened and given a receipt for, with a file.
    answered: String,
    /// One that he has not opened.
    unopened: String,
    /// One that does not say whom it is for, not opened either.
    sealed: String,
    /// Bob's address.
    bob: String,
}

fn client(node: &Server) -> HttpClient {
    HttpClientBuilder::default().build(node.said("rpc")).unwrap()
}

/// Writes an archive; to be run once for each release: `cargo test -p sealpost-tests -- --ignored kept::`
#[tokio::test]
#[ignore = "it writes a file of the repository"]
async fn this_release_is_kept() {
    let archive = Path::new(FOLDER).join(concat!(env!("CARGO_PKG_VERSION"), ".tar.gz"));
    assert!(!archive.exists(), "{} stays as it is", archive.display());
    let world = World::new();
    let send = |more: &[&str]| {
        let sent = world.wallet("alice", &[&["send", "bob", "-m", TEXT], more].concat());
        sent["id"].as_str().unwrap().to_owned()
    };
    let plan = world.path("plan.pdf");
    fs::write(&plan, [7; 5000]).unwrap();
    let answered = send(&["--subject", "Lift", "--attach", &plan]);
    world.wallet("bob", &["inbox"]);
    world.wallet("bob", &["read", &answered]);
    world.wallet("bob", &["receipt", "give", &answered]);
    world.wallet("alice", &["status", &answered]);
    let notice = world.path("notice.json");
    world.wallet("alice", &["evidence", "create", &answered, "-o", &notice, "--with-body", "--disclose"]);
    let (unopened, sealed) = (send(&[]), send(&["--sealed"]));
    world.wallet("bob", &["keys", "rotate"]);
    world.wallet("bob", &["backup", &world.path("bob.backup")]);
    let head = client(&world.node).node_status().await.unwrap();
    let listed = world.wallet("bob", &["list"]);
    let bob = listed["wallets"].as_array().unwrap().iter().find(|wallet| wallet["wallet"] == "bob").unwrap();
    let bob = bob["address"].as_str().unwrap().to_owned();
    let contents = Contents { height: head.height, block: head.block, answered, unopened, sealed, bob };
    fs::write(world.path("contents.json"), serde_json::to_string_pretty(&contents).unwrap()).unwrap();
    let World { dir, node } = world;
    assert!(node.stop().success());
    let mut tar = Command::new("tar");
    tar.args(["--exclude=node.log", "-czf"]).arg(&archive).arg("-C").arg(dir.path()).arg(".");
    assert!(tar.status().unwrap().success());
}

#[tokio::test]
async fn what_earlier_releases_wrote_is_read() {
    let archives = fs::read_dir(FOLDER).unwrap().map(|entry| entry.unwrap().path());
    let archives: Vec<_> = archives.filter(|path| path.extension().is_some_and(|ext| ext == "gz")).collect();
    assert!(!archives.is_empty());
    for archive in archives {
        is_read(&archive).await;
    }
}

async fn is_read(archive: &Path) {
    let what = archive.display();
    let dir = tempfile::tempdir().unwrap();
    let home = dir.path();
    let mut tar = Command::new("tar");
    // Root, too, gets files of its own.
    tar.args(["--no-same-owner", "-xzf"]).arg(archive).arg("-C").arg(home);
    assert!(tar.status().unwrap().success());
    let contents = fs::read(home.join("contents.json")).unwrap();
    let contents: Contents = serde_json::from_slice(&contents).unwrap();
    let path = |name: &str| home.join(name).to_str().unwrap().to_owned();

    // The chain is whole, and the validator goes on with it, by its log of votes.
    let checked = run("sealpost-node", home, &["check"]);
    assert!(checked.status.success(), "{what}: {checked:?}");
    let node = Server::node(home);
    let url = node.said("rpc");
    let header = client(&node).chain_headers(contents.height, 1).await.unwrap().remove(0);
    assert_eq!(header.view.hash, contents.block, "{what}");
    let wallet = |name: &str, args: &[&str]| {
        let passphrase = path("passphrase");
        json(
            "sealpost",
            home,
            &[&["-w", name, "--passphrase-file", &passphrase, "--node", &url], args].concat(),
        )
    };
    let text = |id: &str| wallet("bob", &["read", id])["text"].as_str().map(str::to_owned);
    let sent = wallet("alice", &["send", "bob", "-m", "Is it mended?"]);
    assert_eq!(sent["status"], "final", "{what}");
    assert_eq!(text(sent["id"].as_str().unwrap()).as_deref(), Some("Is it mended?"), "{what}");

    // Wallets have what they had.
    wallet("bob", &["inbox"]);
    for id in [&contents.answered, &contents.unopened, &contents.sealed] {
        assert_eq!(text(id).as_deref(), Some(TEXT), "{what}: {id}");
    }
    let saved = path("saved");
    wallet("bob", &["read", &contents.answered, "-o", &saved]);
    assert_eq!(fs::read(Path::new(&saved).join("plan.pdf")).unwrap(), [7; 5000], "{what}");
    let status = wallet("alice", &["status", &contents.answered]);
    assert_eq!(status["slots"][0]["answer"], "opened", "{what}: {status}");

    // What left the home does its work elsewhere.
    let elsewhere = tempfile::tempdir().unwrap();
    let (notice, genesis) = (path("notice.json"), path("node/genesis.json"));
    let verified = run("sealpost", elsewhere.path(), &["evidence", "verify", &notice, "--genesis", &genesis]);
    assert!(verified.status.success(), "{what}: {verified:?}");
    json("sealpost", elsewhere.path(), &["network", "add", "--genesis", &genesis]);
    let (passphrase, backup) = (path("passphrase"), path("bob.backup"));
    let restore = ["--passphrase-file", &passphrase, "restore-backup", &backup];
    json("sealpost", elsewhere.path(), &restore);
    let listed: Value = json("sealpost", elsewhere.path(), &["list"]);
    assert_eq!(listed["wallets"][0]["address"], *contents.bob, "{what}: {listed}");
    assert!(node.stop().success());
}
