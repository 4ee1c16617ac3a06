//! A validator whose clock is wrong: it can delay a round, and nothing else.

use sealpost_api::SealpostRpcClient as _;
use sealpost_ledger::height::BlockHeight;
use sealpost_tests::harness::clock::Clock;
use sealpost_tests::harness::invariants::{Bounds, Invariants};
use sealpost_tests::harness::load::{Load, LoadOptions};
use sealpost_tests::harness::namespace::{Wire, ready};
use sealpost_tests::harness::network::{Network, NetworkOptions, Place};
use sealpost_tests::harness::skip::skip;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

const TEST: &str = "a_clock_that_is_an_hour_off_or_jumps_costs_nothing";
const LOAD: LoadOptions = LoadOptions { per_second: 20, in_flight: 64, bytes: 0 };
const BOUNDS: Bounds = Bounds { recovery: Duration::from_secs(30), memory_kib: 256 * 1024 };
/// Longest wait for traffic that flows.
const FLOWING: Duration = Duration::from_secs(60);
const HOUR: i64 = 3600;
/// What a validator says of a proposed block whose time its clock does not allow.
const REFUSED: &str = "ahead of this clock's";

#[tokio::test(flavor = "multi_thread")]
async fn a_clock_that_is_an_hour_off_or_jumps_costs_nothing() {
    if !ready(TEST) {
        return;
    }
    let options = NetworkOptions {
        name: "clocks".into(),
        validators: 4,
        full_nodes: 0,
        place: Place::Lab(Wire::Bridge),
        heartbeat_ms: Some(1000),
    };
    let mut network = Network::create(&options);
    let Some(clock) = Clock::right(&network.folder().join("clock")) else {
        return skip(TEST, "libfaketime is not there: apt-get install faketime");
    };
    let (right, wrong) = ([0, 1, 2], 3);
    network.give_clock(wrong, clock.clone());
    let all: Vec<usize> = network.all().collect();
    network.start_members(&all);
    let load = Load::start_at(&network, &right, LOAD);
    let mut seen = Invariants::new(&network, BOUNDS);
    assert!(load.flows(20, FLOWING).await, "no messages become final at first");
    // Ahead, its own blocks are refused by the others; behind, it refuses theirs.
    for (offset, refusing) in [(HOUR, &right[..]), (-HOUR, &[wrong][..])] {
        let told: Vec<usize> = refusing.iter().map(|member| network.log(*member).len()).collect();
        clock.is_off_by(offset);
        let since = Instant::now();
        loop {
            assert!(load.flows(20, FLOWING).await, "no messages become final with a clock off by {offset} s");
            let tells = |(member, from): (&usize, &usize)| network.log(*member)[*from..].contains(REFUSED);
            if refusing.iter().zip(&told).any(tells) {
                break;
            }
            assert!(since.elapsed() < 2 * FLOWING, "I9: a clock off by {offset} s changes nothing");
        }
        let held = seen.check(&mut network, &load.acknowledged()).await;
        held.unwrap_or_else(|broken| panic!("with a clock off by {offset} s: {broken}"));
    }
    // Right again, its blocks are decided again.
    clock.is_off_by(0);
    let (key, client) = (network.validator_key(wrong), network.client(right[0]));
    let (mut from, since) = (client.chain_head().await.unwrap().unwrap().view.height, Instant::now());
    loop {
        assert!(load.flows(20, FLOWING).await, "no messages become final with a clock that is right again");
        let headers = client.chain_headers(from, 64).await.unwrap();
        if headers.iter().skip(1).any(|header| header.view.proposer == key) {
            break;
        }
        assert!(since.elapsed() < 2 * FLOWING, "none of its blocks is decided");
        from = headers.last().map_or(from, |header| header.view.height);
    }
    // No block has a time that the right ones would not have given it.
    let (mut next, mut before) = (BlockHeight::FIRST, 0);
    loop {
        let headers = network.client(right[0]).chain_headers(next, 64).await.unwrap();
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis();
        let latest = now + u128::from(network.genesis().timing().clock_drift_ms);
        for header in &headers {
            let (height, time) = (header.view.height, header.view.time_ms);
            assert!(
                time >= before && u128::from(time) <= latest,
                "block {height} has time {time}, after {before}"
            );
            (next, before) = (height.next().unwrap(), time);
        }
        if headers.is_empty() {
            break;
        }
    }
    let report = load.stop().await;
    let verdict = seen.finish(&mut network, &report.acknowledged).await;
    println!("{:?}", verdict.unwrap_or_else(|broken| panic!("at the end: {broken}")));
}
