//! Random faults against a network of real nodes, repeated by a seed. Needs root.
//!
//! ```sh
//! cargo run -p sealpost-tests --example soak -- --minutes 30 --seed 7 --validators 4 --full-nodes 2
//! ```
//!
//! Prints each fault and, at the end, one line that begins with `HELD` or `BROKEN`; exits with 0 or 1.

use sealpost_tests::harness::invariants::Bounds;
use sealpost_tests::harness::load::LoadOptions;
use sealpost_tests::harness::namespace::{Wire, ready};
use sealpost_tests::harness::network::{NetworkOptions, Place};
use sealpost_tests::harness::soak::{SoakOptions, soak};
use std::time::Duration;

const USAGE: &str = "soak [--minutes 30] [--seconds 0] [--seed 1] [--validators 4] [--full-nodes 2] \
                     [--per-second 20] [--memory-mib 256] [--recovery-seconds 20]";

/// The number after a flag.
fn number(args: &[String], flag: &str, default: u64) -> u64 {
    let Some(place) = args.iter().position(|arg| arg == flag) else { return default };
    let value = args.get(place + 1).and_then(|value| value.parse().ok());
    value.unwrap_or_else(|| panic!("{flag} takes a number: {USAGE}"))
}

#[tokio::main]
async fn main() {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let unknown = args.iter().find(|arg| !arg.starts_with("--") && arg.parse::<u64>().is_err());
    if unknown.is_some() || args.iter().any(|arg| arg == "--help") {
        println!("{USAGE}");
        return;
    }
    let number = |flag, default| number(&args, flag, default);
    if !ready("the soak") {
        std::process::exit(1);
    }
    let count = |flag, default| usize::try_from(number(flag, default)).expect("a small number");
    // Seconds alone, for a short one.
    let minutes = if args.iter().any(|arg| arg == "--seconds") { 0 } else { 30 };
    let options = SoakOptions {
        duration: Duration::from_secs(number("--minutes", minutes) * 60 + number("--seconds", 0)),
        least_faults: 1,
        seed: number("--seed", 1),
        network: NetworkOptions {
            name: "soak".to_owned(),
            validators: count("--validators", 4),
            full_nodes: count("--full-nodes", 2),
            place: Place::Lab(Wire::Delayed(Duration::ZERO)),
            heartbeat_ms: Some(1000),
        },
        load: LoadOptions { per_second: number("--per-second", 20) as u32, in_flight: 64, bytes: 0 },
        bounds: Bounds {
            recovery: Duration::from_secs(number("--recovery-seconds", 20)),
            memory_kib: number("--memory-mib", 256) * 1024,
        },
    };
    match soak(&options, |line| println!("{line}")).await {
        Ok(verdict) => println!("{verdict}"),
        Err(broken) => {
            println!("{broken}");
            std::process::exit(1);
        }
    }
}
