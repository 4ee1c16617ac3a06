//! What the delaying switch does on this machine: `cargo run -p sealpost-tests --example switch`. Needs root.

use sealpost_tests::harness::namespace::{Lab, Wire, ready};
use sealpost_tests::harness::stand_in::{self, ask, pour};
use std::time::Duration;

/// Bytes poured to measure the rate.
const BYTES: usize = 50_000_000;

fn main() {
    stand_in::play();
    if !ready("the switch") {
        return;
    }
    println!("| wire | answer within: least | median | 99 of 100 | one TCP stream | frames a second |");
    println!("|---|---|---|---|---|---|");
    measure("bridge", Wire::Bridge);
    for delay in [0, 10, 50] {
        measure(&format!("switch, {delay} ms"), Wire::Delayed(Duration::from_millis(delay)));
    }
}

fn measure(name: &str, wire: Wire) {
    let folder = tempfile::tempdir().expect("a folder");
    let lab = Lab::new(2, wire);
    let _answering = stand_in::answer_at(&lab, 1, &folder.path().join("log")).ready();
    let answers = ask(&lab, Some(0), 1, 200, Duration::from_secs(1));
    let frames = || lab.switch().map_or(0, |switch| switch.counters().kept);
    let before = frames();
    let took = pour(&lab, 0, 1, BYTES).as_secs_f64();
    let ms = |percent| answers.percentile(percent).as_secs_f64() * 1e3;
    println!(
        "| {name} | {:.2} ms | {:.2} ms | {:.2} ms | {:.0} Mbit/s | {:.0} |",
        ms(0),
        ms(50),
        ms(99),
        BYTES as f64 * 8.0 / 1e6 / took,
        (frames() - before) as f64 / took,
    );
    let dropped = lab.switch().map_or(0, |switch| switch.counters().dropped);
    assert_eq!(answers.count, 200, "{dropped} frames dropped");
}
