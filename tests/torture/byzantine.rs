//! One validator of four that breaks the rules, each time in other ways, on a network that loses packets at times and
//! whose honest validators are away at times. After some rounds another network, and another liar.

use clap::Args;
use sealpost_tests::harness::byzantine::{Honest, Ordeal, Outcome, Trial};
use sealpost_tests::harness::invariants::Bounds;
use sealpost_tests::harness::load::LoadOptions;
use sealpost_tests::harness::namespace::{Wire, ready};
use sealpost_tests::harness::network::{NetworkOptions, Place};
use sealpost_tests::harness::random::Random;
use std::time::Duration;

const LOAD: LoadOptions = LoadOptions { per_second: 20, in_flight: 64, bytes: 0 };
/// What must hold afterwards: within so long, in so much memory.
const BOUNDS: Bounds = Bounds { recovery: Duration::from_secs(30), memory_kib: 256 * 1024 };
/// A network lasts for so many rounds, and has one liar.
const ROUNDS_EACH: u64 = 10;
/// Validators.
const VALIDATORS: usize = 4;

/// How often, and from which seed.
#[derive(Debug, Clone, Args)]
pub(crate) struct Rounds {
    /// How often a validator misbehaves
    #[arg(long, default_value_t = 20)]
    pub(crate) rounds: u64,
    /// What all chance comes from
    #[arg(long, default_value_t = 1)]
    pub(crate) seed: u64,
    /// Nothing but these misdeeds, separated by commas, all of them in each round
    #[arg(long, value_name = "NAME,NAME,…", value_delimiter = ',')]
    only: Vec<String>,
    /// Control: the honest validators believe every proposed block, which has to end in BROKEN
    #[arg(long)]
    credulous: bool,
}

pub(crate) async fn run(rounds: Rounds) -> Result<String, String> {
    if !ready("sealpost-torture byzantine") {
        return Err("it can't be run here".to_owned());
    }
    let (place, heartbeat_ms) = (Place::Lab(Wire::Bridge), Some(1000));
    let name = "byzantine".to_owned();
    let options = NetworkOptions { name, validators: VALIDATORS, full_nodes: 1, place, heartbeat_ms };
    let honest = if rounds.credulous { Honest::Credulous } else { Honest::AsBuilt };
    let mut random = Random::new(rounds.seed);
    let (mut number, mut outcome) = (0, None);
    while number < rounds.rounds {
        let liar = random.below(VALIDATORS);
        let mut trial = Trial::start(&options, liar, honest, LOAD, BOUNDS).await?;
        for _ in 0..ROUNDS_EACH.min(rounds.rounds - number) {
            number += 1;
            let mut ordeal = Ordeal::choose(&mut random);
            if rounds.credulous {
                ordeal = Ordeal::of("wrong-state", 1);
            } else if !rounds.only.is_empty() {
                ordeal.misdeeds = Ordeal::of(&rounds.only.join(" "), 1).misdeeds;
            }
            println!("{number:4}  height {:5}  validator {}: {ordeal}", trial.seen.height(), liar + 1);
            if let Err(broken) = trial.endure(&ordeal).await {
                return Err(format!("round {number}: {broken}\n{}", trial.log_tails()));
            }
        }
        let ended = trial.end().await.map_err(|broken| format!("after round {number}: {broken}"))?;
        outcome = match outcome {
            None => Some(ended),
            Some(before) => Some(Outcome::and(before, ended)),
        };
    }
    let outcome = outcome.ok_or("no rounds, no test")?;
    Ok(format!("{number} rounds, {outcome}"))
}
