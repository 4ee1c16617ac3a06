//! A few hundred simulated networks (`sealpost-simulation` does more of them, and by other seeds), and what happens when
//! a rule is switched off: it must be noticed.

use std::process::Command;

/// What the simulation says, and whether everything held.
fn simulate(args: &[&str]) -> (String, bool) {
    let output = Command::new(env!("CARGO_BIN_EXE_sealpost-simulation")).args(args).output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    println!("{said}");
    (said, output.status.success())
}

#[test]
fn whatever_network_and_machines_do_the_rules_hold() {
    let (said, held) = simulate(&["--seeds", "0..200", "--seconds", "5..=40"]);
    assert!(held && said.contains("HELD simulation"), "{said}");
    // A fault that never hit shows nothing.
    for what in [
        "messages lost",
        "messages doubled",
        "late by seconds",
        "cut line",
        "died in a write",
        "double votes",
        "blocks sent early in another's name",
    ] {
        assert!(said.contains(what), "no {what}: {said}");
    }
}

/// The negative controls: each a defence that is switched off.
#[test]
fn what_is_switched_off_is_noticed() {
    for (broken, seeds, why) in [
        ("wal", "0..5", "two p"),
        ("fsync", "0..2", "LOST"),
        ("clock", "0..12", "ahead of every clock"),
        ("third", "0..4", "FORK"),
        ("mempool", "0..2", "mempool"),
        ("heal", "0..1", "not well"),
    ] {
        let (said, held) = simulate(&["--broken", broken, "--seeds", seeds]);
        assert!(!held && said.contains("BROKEN") && said.contains(why), "{said}");
    }
}
