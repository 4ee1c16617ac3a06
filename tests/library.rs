//! The wallet as a library: its example, which its documentation shows, does the whole job against a real node, on
//! a runtime of one thread.

use sealpost_tests::{Server, json, run};
use std::path::Path;

#[path = "../wallet/examples/notice.rs"]
#[allow(dead_code)]
mod example;

#[tokio::test(flavor = "current_thread")]
async fn the_example_of_the_library_ends_in_evidence_that_a_stranger_checks() {
    let dir = tempfile::tempdir().unwrap();
    let home = dir.path();
    json("sealpost-node", home, &["init", "--new-network", "library"]);
    let node = Server::node(home);
    let genesis = home.join("node/genesis.json");
    // Any folder, no conventions.
    let evidence = example::notice(&home.join("embedded"), &genesis, &node.said("rpc")).await.unwrap();
    let file = home.join("notice.json");
    std::fs::write(&file, evidence).unwrap();
    let elsewhere = tempfile::tempdir().unwrap();
    let text = |path: &Path| path.to_str().unwrap().to_owned();
    let verify = ["evidence", "verify", &text(&file), "--genesis", &text(&genesis)];
    assert_eq!(run("sealpost", elsewhere.path(), &verify).status.code(), Some(0));
}
