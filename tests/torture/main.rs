//! What a node may suffer without anything being lost: kills at random and at every write, power cuts, damage, a full
//! disk, one that fails, and one validator of four that breaks the rules; and what the wallet may. Real nodes, real messages; whatever was reported final must be there afterwards. Everything
//! random comes from a seed.
//!
//! ```sh
//! cargo run -p sealpost-tests --bin sealpost-torture -- kills --count 1000 --seed 1
//! ```
//!
//! Prints one line that begins with `HELD` or `BROKEN`, and exits with 0 or 1. With `SEALPOST_NODE_BIN` another node is
//! tortured; one that was built with `sealpost-node/test-no-fsync` must be found out (`tests/torture.rs`).

mod byzantine;
mod cases;
mod commands;
mod damage;
mod full;
mod jobs;
mod kills;
mod life;
mod mounted;
mod power;
mod room;
mod station;
mod syncs;
mod traced;
mod wallet;
mod witness;
mod writes;

use clap::{Args, Parser, Subcommand};

#[derive(Debug, Parser)]
#[command(about = "Tortures a node and looks whether anything is lost", max_term_width = 100)]
struct Cli {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, Subcommand)]
enum What {
    /// kill -9 at random moments of its work
    Kills(Times),
    /// The disk as it is at a random moment, mounted anew. Needs root
    Power(Times),
    /// A byte changed, a file cut, a sector of zeros, at random places of a data directory
    Damage(Times),
    /// A disk that is full. Needs root
    Full(Times),
    /// kill -9 at every kind of call that changes a file, of the node and of the wallet. Needs strace
    Writes(writes::Boundaries),
    /// Syncs and writes that fail, of the node and of the wallet. Needs strace
    Syncs(writes::Boundaries),
    /// A validator of four that breaks the rules, over and over. Needs root
    Byzantine(byzantine::Rounds),
}

/// How often, and from which seed.
#[derive(Debug, Clone, Copy, Args)]
struct Times {
    /// How often
    #[arg(long, default_value_t = 20)]
    count: u64,
    /// What all chance comes from
    #[arg(long, default_value_t = 1)]
    seed: u64,
}

#[tokio::main]
async fn main() {
    let (name, seed, outcome) = match Cli::parse().what {
        What::Kills(times) => ("kills", times.seed, kills::run(times).await),
        What::Power(times) => ("power", times.seed, power::run(times).await),
        What::Damage(times) => ("damage", times.seed, damage::run(times).await),
        What::Full(times) => ("full", times.seed, full::run(times).await),
        What::Writes(boundaries) => ("writes", boundaries.seed, writes::run(boundaries).await),
        What::Syncs(boundaries) => ("syncs", boundaries.seed, syncs::run(boundaries).await),
        What::Byzantine(rounds) => ("byzantine", rounds.seed, byzantine::run(rounds).await),
    };
    match outcome {
        Ok(said) => println!("HELD {name} (seed {seed}): {said}"),
        Err(broken) => {
            println!("BROKEN {name} (seed {seed}): {broken}");
            std::process::exit(1);
        }
    }
}
