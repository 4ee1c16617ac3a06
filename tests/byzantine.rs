//! Validators that break the rules, as processes of their own (`sealpost-node-byzantine`): one of four harms nobody, and
//! two of four do it before everybody's eyes. `sealpost-torture byzantine` does the first for longer, at random.

use crate::world::failed;
use sealpost_api::SealpostRpcClient as _;
use sealpost_ledger::height::BlockHeight;
use sealpost_tests::harness::byzantine::{Honest, MISDEEDS, Ordeal, Trial};
use sealpost_tests::harness::invariants::{Bounds, Invariants, equivocations};
use sealpost_tests::harness::load::{Load, LoadOptions, Messages, probe};
use sealpost_tests::harness::namespace::{Wire, ready};
use sealpost_tests::harness::network::{Network, NetworkOptions, Place};
use sealpost_tests::{json, misbehaving_node, program};
use serde_json::Value;
use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::time::{Duration, Instant};

const LOAD: LoadOptions = LoadOptions { per_second: 20, in_flight: 64, bytes: 0 };
const BOUNDS: Bounds = Bounds { recovery: Duration::from_secs(20), memory_kib: 256 * 1024 };
/// Longest wait for traffic that flows.
const FLOWING: Duration = Duration::from_secs(60);

fn four(name: &str, full_nodes: usize) -> NetworkOptions {
    let (name, place) = (name.to_owned(), Place::Lab(Wire::Bridge));
    NetworkOptions { name, validators: 4, full_nodes, place, heartbeat_ms: Some(1000) }
}

/// The environment variable that tells a validator to misbehave stands in the program that is built to, and nowhere in
/// the one for use; and no feature is on unasked.
#[test]
fn nothing_that_is_built_for_use_knows_how_to_misbehave() {
    let names = |path: std::path::PathBuf| {
        let bytes = fs::read(path).unwrap();
        bytes.windows(22).any(|window| window == b"SEALPOST_TEST_MISDEEDS")
    };
    assert!(names(misbehaving_node()), "the test would not see it");
    assert!(!names(program("sealpost-node")));
    let manifest = fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../node/Cargo.toml")).unwrap();
    let features = manifest.split("[features]").nth(1).unwrap().split("\n[").next().unwrap();
    let switched_on = features.lines().filter(|line| line.starts_with("default"));
    assert_eq!(switched_on.count(), 0, "{features}");
    for part in ["consensus.rs", "consensus/byzantine.rs"] {
        let path = format!("{}/../node/src/{part}", env!("CARGO_MANIFEST_DIR"));
        let text = fs::read_to_string(path).unwrap();
        let guarded = match part {
            "consensus.rs" => "#[cfg(feature = \"test-byzantine\")]\nmod byzantine;",
            _ => "#[cfg(not(debug_assertions))]\ncompile_error!",
        };
        assert!(text.contains(guarded), "{part}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn one_validator_of_four_that_breaks_the_rules_harms_nobody_and_is_found_out() {
    if !ready("one_validator_of_four_that_breaks_the_rules_harms_nobody_and_is_found_out") {
        return;
    }
    let trial = Trial::start(&four("one-liar", 0), 1, Honest::AsBuilt, LOAD, BOUNDS).await;
    let mut trial = trial.unwrap_or_else(|broken| panic!("before: {broken}"));
    let ordeals = [
        Ordeal::of("two-blocks two-votes forged-votes far-votes poisoned-streams replay false-history", 2),
        Ordeal::of("wrong-parent wrong-state wrong-time oversized", 1),
        Ordeal::of("repeated-transaction forged-transaction withheld-parts conflicting-parts", 1),
        Ordeal::of("wrong-signature", 2),
        Ordeal::of("amnesia", 2),
    ];
    let done: BTreeSet<&str> =
        ordeals.iter().flat_map(|ordeal| &ordeal.misdeeds).map(|misdeed| misdeed.name).collect();
    let undone = MISDEEDS.iter().filter(|misdeed| !done.contains(misdeed.name)).map(|misdeed| misdeed.name);
    // The silent ones are two, below.
    assert_eq!(undone.collect::<Vec<_>>(), ["silent"], "a misdeed that is not done is not tested");
    let since = Instant::now();
    for ordeal in &ordeals {
        trial.endure(ordeal).await.unwrap_or_else(|broken| panic!("{broken}"));
        println!("{:5.1?}  height {:5}: held through {ordeal}", since.elapsed(), trial.seen.height());
    }
    println!("{}", trial.end().await.unwrap_or_else(|broken| panic!("at the end: {broken}")));
}

/// A copy of a validator with the same key, each of the two before other peers: some see the one's blocks first, some
/// the other's.
#[tokio::test(flavor = "multi_thread")]
async fn a_validator_that_shows_its_peers_different_blocks_is_proven_to_and_harms_nobody() {
    if !ready("a_validator_that_shows_its_peers_different_blocks_is_proven_to_and_harms_nobody") {
        return;
    }
    let mut network = Network::create(&four("two-faced", 1));
    let (face, other) = (3, 4);
    network.twin(face, other);
    network.faults().part(&[face], &[0]);
    network.faults().part(&[other], &[1, 2]);
    let all: Vec<usize> = network.all().collect();
    network.start_members(&all);
    let load = Load::start_at(&network, &[0, 1, 2], LOAD);
    let mut seen = Invariants::new(&network, BOUNDS);
    seen.distrust(&network, face);
    seen.distrust(&network, other);
    let (mut proven, since) = (false, Instant::now());
    while !proven && since.elapsed() < FLOWING {
        assert!(load.flows(20, FLOWING).await, "no messages become final");
        seen.check(&mut network, &load.acknowledged()).await.unwrap_or_else(|broken| panic!("{broken}"));
        // Whoever lives a step further from the rest is late with its blocks: a height may be decided before anybody has
        // heard of them. It hears itself say something else. (What honest ones keep: the misdeeds `two-blocks` and
        // `two-votes`.)
        for member in network.all() {
            proven |= !equivocations(&network, member).await.unwrap().is_empty();
        }
    }
    assert!(proven, "nobody has proof that the validator said two things at once\n{}", network.log_tails());
    let fired = network.faults().heal();
    assert!(fired.iter().all(|fired| fired.hits > 0), "I9: {fired:?}");
    assert!(load.flows(20, FLOWING).await, "no messages become final after the parting");
    let report = load.stop().await;
    let verdict = seen.finish(&mut network, &report.acknowledged).await;
    println!("{:?}", verdict.unwrap_or_else(|broken| panic!("at the end: {broken}")));
}

/// A liar on a fast line, and proposers on slow ones: what it sends under their openings is there before their blocks
/// are. That must not count against these.
#[tokio::test(flavor = "multi_thread")]
async fn rubbish_that_outruns_a_block_does_not_keep_it_from_being_decided() {
    if !ready("rubbish_that_outruns_a_block_does_not_keep_it_from_being_decided") {
        return;
    }
    const KILOBITS: u32 = 4_000;
    let mut network = Network::create(&four("outrun", 0));
    let liar = 3;
    network.corrupt(liar, &["poisoned-streams"]);
    let all: Vec<usize> = network.all().collect();
    network.start_members(&all);
    network.faults().slow(&[0, 1, 2], KILOBITS);
    // Each block comes with several times as much rubbish, which the honest ones pass on: it must fit their lines.
    let load = Load::start_at(&network, &[0, 1, 2], LoadOptions { per_second: 3, bytes: 10_000, ..LOAD });
    assert!(load.flows(20, FLOWING).await, "the blocks of proposers on slow lines are not decided");
    let refused = || {
        let tells = |member: &usize| {
            network.log(*member).contains("is none of the pieces that its block's opening names")
        };
        (0..3).filter(tells).count()
    };
    let since = Instant::now();
    while refused() == 0 && since.elapsed() < FLOWING {
        assert!(load.flows(10, FLOWING).await, "the blocks of proposers on slow lines are not decided");
    }
    assert!(network.log(liar).contains("misdeed=\"poisoned-streams\""), "I9");
    let refused = refused();
    assert!(refused > 0, "I9: the rubbish reached nobody");
    let fired = network.faults().heal();
    assert!(fired.iter().all(|fired| fired.hits > 0), "I9: {fired:?}");
    let report = load.stop().await;
    let mut seen = Invariants::new(&network, BOUNDS);
    seen.distrust(&network, liar);
    let verdict = seen.finish(&mut network, &report.acknowledged).await;
    println!("{:?}", verdict.unwrap_or_else(|broken| panic!("at the end: {broken}")));
}

/// From a third on they can stop the network; nothing is final then that was not before, and nothing is lost.
#[tokio::test(flavor = "multi_thread")]
async fn two_silent_validators_of_four_stop_the_others_and_lose_them_nothing() {
    if !ready("two_silent_validators_of_four_stop_the_others_and_lose_them_nothing") {
        return;
    }
    let mut network = Network::start(&four("two-silent", 0));
    let load = Load::start_at(&network, &[0, 1], LOAD);
    let seen = Invariants::new(&network, BOUNDS);
    assert!(load.flows(20, FLOWING).await, "no messages become final at first");
    for liar in [2, 3] {
        network.kill_member(liar);
        network.corrupt(liar, &["silent"]);
        network.start_member(liar);
    }
    let messages = Messages::new(network.genesis().clone());
    for member in [0, 1] {
        let halted = probe(network.client(member), &messages, Duration::from_secs(5)).await;
        assert!(halted.is_err(), "two honest validators of four made a block after {halted:?}");
    }
    for liar in [2, 3] {
        assert!(network.log(liar).contains("misdeed=\"silent\""), "I9: {}", network.log_tails());
        network.kill_member(liar);
        network.redeem(liar);
        network.start_member(liar);
    }
    let report = load.stop().await;
    let verdict = seen.finish(&mut network, &report.acknowledged).await;
    println!("{:?}", verdict.unwrap_or_else(|broken| panic!("after two silent ones: {broken}")));
}

/// More than a third can have two histories signed, if the honest ones do not hear of one another. Everybody who sees
/// both sees that; here each way of seeing it.
#[tokio::test(flavor = "multi_thread")]
async fn two_histories_that_two_validators_of_four_signed_are_seen_by_whoever_sees_both() {
    if !ready("two_histories_that_two_validators_of_four_signed_are_seen_by_whoever_sees_both") {
        return;
    }
    let mut network = Network::create(&four("two-histories", 2));
    network.twin(2, 4);
    network.twin(3, 5);
    network.faults().part(&[0, 2, 3], &[1, 4, 5]);
    let all: Vec<usize> = network.all().collect();
    network.start_members(&all);
    let messages = Messages::new(network.genesis().clone());
    // Each of the two honest ones calls final what its side has signed.
    for honest in [0, 1] {
        probe(network.client(honest), &messages, FLOWING).await.unwrap();
    }
    // Whoever compares the nodes sees it.
    let mut first = BTreeSet::new();
    for honest in [0, 1] {
        let headers = network.client(honest).chain_headers(BlockHeight::FIRST, 1).await.unwrap();
        first.insert(headers[0].view.hash);
    }
    assert_eq!(first.len(), 2, "both nodes have the same first block");
    // A wallet that asks both keeps the proof, which holds by itself.
    let proof = contradiction(&network);
    assert!(proof["valid"].as_bool().unwrap(), "{proof}");
    // When the two sides hear of one another again, the nodes themselves see it.
    let fired = network.faults().heal();
    assert!(fired.iter().all(|fired| fired.hits > 0), "I9: {fired:?}");
    let (mut named, suspects) = (false, [2, 3].map(|member| network.validator_key(member)));
    let since = Instant::now();
    while !named && since.elapsed() < FLOWING {
        tokio::time::sleep(Duration::from_millis(200)).await;
        for honest in [0, 1] {
            let found = equivocations(&network, honest).await.unwrap();
            assert!(found.iter().all(|found| suspects.contains(&found.validator)), "{found:?}");
            // Whose side is behind is offered blocks that follow none of its own; and where both decide the same height
            // at the same time, two votes of one key meet.
            named |= !found.is_empty() || network.log(honest).contains("refused a block from a peer");
        }
    }
    assert!(named, "no node tells of it\n{}", network.log_tails());
}

/// What a new wallet says that asks one honest node after the other: it must be a contradiction, and the proof must
/// hold by itself.
fn contradiction(network: &Network) -> Value {
    let folder = tempfile::tempdir().unwrap();
    let home = folder.path();
    let text = |name: &str| home.join(name).to_str().unwrap().to_owned();
    let genesis = network.folder().join("testnet/genesis.json").to_str().unwrap().to_owned();
    let (one, other) = (network.said(0, "rpc"), network.said(1, "rpc"));
    let passphrase = text("passphrase");
    fs::write(&passphrase, "correct horse\n").unwrap();
    fs::set_permissions(&passphrase, fs::Permissions::from_mode(0o600)).unwrap();
    json("sealpost", home, &["network", "add", "--genesis", &genesis, "--node", &one]);
    let wallet = ["-w", "alice", "--passphrase-file", &passphrase];
    let words = text("words");
    json("sealpost", home, &[&wallet[..], &["new", "alice", "--mnemonic-out", &words]].concat());
    let error = failed(home, &[&wallet[..], &["--node", &one, "--node", &other, "inbox"]].concat());
    let code = (error["code"].as_str(), error["exit"].as_u64());
    assert_eq!(code, (Some("network.contradiction"), Some(6)), "{error}");
    let file = error["file"].as_str().unwrap();
    json("sealpost", home, &["--genesis", &genesis, "network", "contradictions", "verify", file])
}
