//! A network of real nodes under faults, with messages flowing to all of them: nothing that was reported
//! final is lost, nobody forks, and it goes on when the faults are over.

use sealpost_api::SealpostRpcClient;
use sealpost_ledger::height::BlockHeight;
use sealpost_tests::harness::faults::FaultKind;
use sealpost_tests::harness::invariants::{Bounds, Invariants};
use sealpost_tests::harness::load::{Load, LoadOptions, Messages, probe};
use sealpost_tests::harness::namespace::{Wire, ready};
use sealpost_tests::harness::network::{Network, NetworkOptions, Place};
use sealpost_tests::harness::soak::{SoakOptions, soak};
use std::time::Duration;

/// A message to any node is final there so long after the last fault, and all are level.
const RECOVERY: Duration = Duration::from_secs(20);
/// The most memory of a node.
const MEMORY_KIB: u64 = 256 * 1024;
/// Longest wait for traffic that flows.
const FLOWING: Duration = Duration::from_secs(30);
/// A pause long enough for several rounds without the paused one.
const PAUSE: Duration = Duration::from_secs(10);

/// So often a line goes and comes back.
const FLAPS: usize = 8;

const LOAD: LoadOptions = LoadOptions { per_second: 20, in_flight: 64, bytes: 0 };

fn four_and_two(name: &str) -> NetworkOptions {
    let place = Place::Lab(Wire::Bridge);
    NetworkOptions { name: name.to_owned(), validators: 4, full_nodes: 2, place, heartbeat_ms: Some(1000) }
}

/// A network with traffic, and what was seen of it.
struct Trial {
    network: Network,
    load: Load,
    seen: Invariants,
}

impl Trial {
    fn start(options: &NetworkOptions) -> Self {
        let network = Network::start(options);
        let load = Load::start(&network, LOAD);
        let seen = Invariants::new(&network, Bounds { recovery: RECOVERY, memory_kib: MEMORY_KIB });
        Self { network, load, seen }
    }
    /// Traffic flows, though not to everybody.
    async fn flows(&self, during: &str) {
        assert!(self.load.flows(20, FLOWING).await, "no messages become final {during}");
    }
    /// Everything holds again.
    async fn holds(&mut self, after: &str) {
        let acknowledged = self.load.acknowledged();
        let held = self.seen.check(&mut self.network, &acknowledged).await;
        let recovery = held.unwrap_or_else(|broken| panic!("after {after}: {broken}"));
        println!("height {:5}: well again {recovery:.1?} after {after}", self.seen.height());
    }
    /// The faults end; each has hit something.
    fn heal(&mut self) {
        let ended = self.network.faults().heal();
        assert!(ended.iter().all(|fired| fired.hits > 0), "I9: a fault that hit nothing: {ended:?}");
    }
    /// The end: all of it once more, and the disks.
    async fn end(mut self, kinds: &[FaultKind]) {
        let report = self.load.stop().await;
        let verdict = self.seen.finish(&mut self.network, &report.acknowledged).await;
        let verdict = verdict.unwrap_or_else(|broken| panic!("at the end: {broken}"));
        let tally = self.network.faults().tally();
        assert!(kinds.iter().all(|kind| tally.contains_key(kind)), "I9: {tally:?}");
        assert!(verdict.messages > 100, "I9: only {} messages were acknowledged", verdict.messages);
        println!("{tally:?}\n{verdict:?}");
    }
}

/// Nodes that start at the same moment call each other at the same moment, and over a distance their calls cross.
#[tokio::test(flavor = "multi_thread")]
async fn nodes_far_from_each_other_find_together_and_decide() {
    if !ready("nodes_far_from_each_other_find_together_and_decide") {
        return;
    }
    let place = Place::Lab(Wire::Delayed(Duration::from_millis(50)));
    let name = "far".to_owned();
    let options = NetworkOptions { name, validators: 4, full_nodes: 1, place, heartbeat_ms: Some(1000) };
    let network = Network::start(&options);
    let messages = Messages::new(network.genesis().clone());
    for member in network.all() {
        probe(network.client(member), &messages, RECOVERY).await.unwrap();
    }
    for member in network.all() {
        let peers = network.client(member).node_peers().await.unwrap();
        assert_eq!(peers.len(), 4, "{} knows {peers:?}", network.name(member));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_validator_that_is_killed_paused_or_wiped_costs_nothing() {
    if !ready("a_validator_that_is_killed_paused_or_wiped_costs_nothing") {
        return;
    }
    let mut trial = Trial::start(&four_and_two("one-validator"));
    trial.flows("at first").await;
    trial.holds("the start").await;
    // A check that can't fail proves nothing.
    let never_sent = Messages::new(trial.network.genesis().clone()).make(BlockHeight::new(1000)).id;
    let broken = trial.seen.check(&mut trial.network, &[never_sent]).await.unwrap_err();
    assert!(broken.contains("LOST"), "{broken}");

    trial.network.kill_member(0);
    trial.flows("while one validator of four is dead").await;
    trial.network.start_member(0);
    trial.holds("a kill").await;

    trial.network.pause_member(1);
    trial.flows("while one validator of four is paused").await;
    tokio::time::sleep(PAUSE).await;
    trial.network.resume_member(1);
    trial.holds("a pause").await;

    trial.network.kill_member(2);
    trial.network.wipe_member(2);
    trial.flows("while one validator of four is wiped").await;
    trial.network.rejoin_member(2);
    trial.holds("a validator's loss of all its data").await;

    let full_node = 4;
    trial.network.kill_member(full_node);
    trial.network.wipe_member(full_node);
    trial.network.rejoin_member(full_node);
    trial.holds("a full node's loss of all its data").await;

    let validators = trial.network.validators();
    trial.network.kill_members(&validators);
    trial.network.start_members(&validators);
    trial.holds("all validators' death at once").await;

    trial.end(&[FaultKind::Kill, FaultKind::Pause, FaultKind::Wipe, FaultKind::KillAll]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_parted_network_goes_on_with_three_halts_with_two_and_never_forks() {
    if !ready("a_parted_network_goes_on_with_three_halts_with_two_and_never_forks") {
        return;
    }
    let mut trial = Trial::start(&four_and_two("partitions"));
    let messages = Messages::new(trial.network.genesis().clone());
    trial.flows("at first").await;

    // Three of four go on, with one full node on either side.
    trial.network.faults().part(&[0, 1, 2, 4], &[3, 5]);
    trial.flows("with three validators of four").await;
    let cut_off = probe(trial.network.client(3), &messages, Duration::from_secs(3)).await;
    assert!(cut_off.is_err(), "one validator of four made a block of its own after {cut_off:?}");
    trial.heal();
    trial.holds("a partition 3|1").await;

    // Nobody has a quorum: everybody stands.
    trial.network.faults().part(&[0, 1, 4], &[2, 3, 5]);
    // What was decided before may still arrive; a message sent now must not become final.
    for member in [0, 2] {
        let halted = probe(trial.network.client(member), &messages, Duration::from_secs(5)).await;
        assert!(halted.is_err(), "two validators of four made a block after {halted:?}");
    }
    trial.heal();
    trial.holds("a partition 2|2").await;

    // One hears nobody, and all hear it.
    trial.network.faults().deafen(&[1], &[0, 2, 3, 4, 5]);
    trial.flows("while one validator is deaf").await;
    trial.heal();
    trial.holds("one validator's deafness").await;

    trial.network.faults().lose(&[0, 1, 2, 3, 4, 5], 10);
    trial.flows("at a loss of 10 %").await;
    trial.heal();
    trial.holds("loss").await;

    trial.end(&[FaultKind::Partition, FaultKind::OneWay, FaultKind::Loss]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_line_that_comes_and_goes_each_second_costs_nothing() {
    if !ready("a_line_that_comes_and_goes_each_second_costs_nothing") {
        return;
    }
    let mut trial = Trial::start(&four_and_two("flapping"));
    trial.flows("at first").await;
    for _ in 0..FLAPS {
        trial.network.faults().part(&[3, 5], &[0, 1, 2, 4]);
        tokio::time::sleep(Duration::from_secs(1)).await;
        trial.heal();
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    trial.flows("after the line came and went").await;
    trial.holds("a flapping line").await;
    trial.end(&[FaultKind::Partition]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn seven_validators_go_on_without_two_and_halt_without_three() {
    if !ready("seven_validators_go_on_without_two_and_halt_without_three") {
        return;
    }
    let options = NetworkOptions { validators: 7, full_nodes: 1, ..four_and_two("seven") };
    let mut trial = Trial::start(&options);
    let messages = Messages::new(trial.network.genesis().clone());
    trial.flows("at first").await;

    trial.network.kill_member(0);
    trial.network.kill_member(1);
    trial.flows("while two validators of seven are dead").await;
    trial.network.kill_member(2);
    // What was decided before may still arrive; a message sent now must not become final.
    let halted = probe(trial.network.client(3), &messages, Duration::from_secs(5)).await;
    assert!(halted.is_err(), "four validators of seven made a block after {halted:?}");
    trial.network.start_members(&[0, 1, 2]);
    trial.holds("the death of three validators of seven").await;

    trial.end(&[FaultKind::Kill]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_minute_of_random_faults_loses_nothing() {
    if !ready("a_minute_of_random_faults_loses_nothing") {
        return;
    }
    let options = SoakOptions {
        duration: Duration::from_secs(60),
        least_faults: 4,
        seed: 7,
        network: NetworkOptions { place: Place::Lab(Wire::Delayed(Duration::ZERO)), ..four_and_two("soak") },
        load: LOAD,
        bounds: Bounds { recovery: RECOVERY, memory_kib: MEMORY_KIB },
    };
    let outcome = soak(&options, |line| println!("{line}")).await;
    let verdict = outcome.unwrap_or_else(|broken| panic!("{broken}"));
    assert!(verdict.faults() >= options.least_faults, "I9: {verdict}");
    println!("{verdict}");
}
