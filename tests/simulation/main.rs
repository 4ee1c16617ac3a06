//! Whole networks without network and clock: the engine's state machine and the node's own logic over lines, disks and
//! clocks that a seed breaks in thousands of ways. What must hold is checked at each step; a seed always does the same.
//!
//! ```sh
//! cargo run --release -p sealpost-tests --bin sealpost-simulation -- --seeds 0..10000
//! ```
//!
//! Prints counts and one line that begins with `HELD` or `BROKEN`, and exits with 0 or 1. After `BROKEN` stand the seed and
//! the end of its trace. With `--broken` a rule is switched off, and the end must be `BROKEN` (`tests/simulation.rs`).

mod counts;
mod disk;
mod faults;
mod judge;
mod machine;
mod misdeeds;
mod network;
mod newcomer;
mod office;
mod people;
mod schedule;
mod talk;
mod trace;
mod world;

use clap::Parser;
use counts::Counts;
use schedule::{Broken, Schedule};
use std::ops::{Range, RangeInclusive};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::{Duration, Instant};
use world::Outcome;

#[derive(Debug, Parser)]
#[command(about = "Simulates networks of validators under faults, one for each seed", max_term_width = 100)]
struct Cli {
    /// The seeds: the first, and the one after the last
    #[arg(long, default_value = "0..1000", value_parser = seeds)]
    seeds: Range<u64>,
    /// Validators: at least, and at most
    #[arg(long, default_value = "4..=7", value_parser = nodes)]
    nodes: RangeInclusive<usize>,
    /// Simulated seconds for which things go wrong: at least, and at most
    #[arg(long, default_value = "10..=90", value_parser = seconds)]
    seconds: RangeInclusive<usize>,
    /// Of so many seeds one runs twice, and must do the same; none if it is 0
    #[arg(long, default_value_t = 20)]
    twice_every: u64,
    /// Switches something off that the simulation has to notice, and runs all seeds
    #[arg(long)]
    broken: Option<Broken>,
    /// Prints the whole trace of the first seed
    #[arg(long)]
    trace: bool,
    /// Prints counts so often, in seconds
    #[arg(long, default_value_t = 600)]
    report_every: u64,
}

fn main() {
    let cli = Cli::parse();
    if std::env::var_os("RUST_LOG").is_none() {
        // A panic is told once, with its seed.
        std::panic::set_hook(Box::new(|_| {}));
    }
    let range =
        schedule::Range { nodes: cli.nodes.clone(), seconds: cli.seconds.clone(), broken: cli.broken };
    let simulation = Simulation { range };
    if cli.trace {
        let outcome = simulation.run(cli.seeds.start, true);
        for line in &outcome.lines {
            println!("{line}");
        }
        println!("{}{:?}, hash {:016x}", outcome.counts, outcome.held, outcome.hash);
        return;
    }
    let broken = match cli.broken {
        None => simulation.hold(&cli),
        Some(what) => simulation.notice(&cli, what),
    };
    std::process::exit(i32::from(broken));
}

struct Simulation {
    range: schedule::Range,
}

impl Simulation {
    /// Runs a seed. A panic is a rule that did not hold.
    fn run(&self, seed: u64, lines: bool) -> Outcome {
        let schedule = |random: &mut _| Schedule::of(random, &self.range);
        catch_unwind(AssertUnwindSafe(|| world::run(seed, schedule, lines))).unwrap_or_else(|panic| {
            let said = panic.downcast_ref::<String>().map(String::as_str);
            let said = said.or(panic.downcast_ref::<&str>().copied()).unwrap_or("something");
            let held = Err(format!("PANIC: {said}"));
            Outcome { counts: Counts::default(), hash: 0, held, lines: Vec::new() }
        })
    }
    /// Everything must hold, in each seed. Says whether something did not.
    fn hold(&self, cli: &Cli) -> bool {
        let (mut counts, mut twice, mut told) = (Counts::default(), 0_u64, Instant::now());
        for seed in cli.seeds.clone() {
            let outcome = self.run(seed, false);
            counts.merge(&outcome.counts);
            if let Err(why) = outcome.held {
                print!("{counts}");
                println!("BROKEN simulation (seed {seed}): {why}");
                for line in self.run(seed, true).lines {
                    println!("{line}");
                }
                return true;
            }
            if cli.twice_every > 0 && seed % cli.twice_every == 0 {
                twice += 1;
                let again = self.run(seed, false).hash;
                if again != outcome.hash {
                    println!(
                        "BROKEN simulation (seed {seed}): two runs differ: {:x}, {again:x}",
                        outcome.hash
                    );
                    return true;
                }
            }
            if told.elapsed() > Duration::from_secs(cli.report_every) {
                told = Instant::now();
                println!("after seed {seed}:\n{counts}");
            }
        }
        print!("{counts}");
        let Range { start, end } = cli.seeds;
        let hours = counts.get(counts::Kind::Work, "simulated seconds") / 3_600;
        println!(
            "HELD simulation (seeds {start}..{end}): {} schedules, {hours} simulated hours, {} blocks decided, {twice} \
             run twice and the same",
            counts.get(counts::Kind::Work, "schedules"),
            counts.get(counts::Kind::Work, "blocks decided"),
        );
        false
    }
    /// Something is switched off: some seed must notice.
    fn notice(&self, cli: &Cli, what: Broken) -> bool {
        let mut noticed = Vec::new();
        for seed in cli.seeds.clone() {
            if let Err(why) = self.run(seed, false).held {
                noticed.push((seed, why));
            }
        }
        let Range { start, end } = cli.seeds;
        match noticed.first() {
            Some((seed, why)) => {
                let count = noticed.len();
                println!(
                    "BROKEN {what:?} (seeds {start}..{end}): noticed by {count} of them, first seed {seed}: {why}"
                );
                true
            }
            None => {
                println!("HELD {what:?} (seeds {start}..{end}): nobody has noticed");
                false
            }
        }
    }
}

fn seeds(text: &str) -> Result<Range<u64>, String> {
    let (start, end) = text.split_once("..").ok_or("a range such as 0..1000 is needed")?;
    let number = |text: &str| text.parse().map_err(|_| format!("{text:?} is no number"));
    Ok(number(start)?..number(end)?)
}

fn nodes(text: &str) -> Result<RangeInclusive<usize>, String> {
    within(text, 4, 20)
}

fn seconds(text: &str) -> Result<RangeInclusive<usize>, String> {
    within(text, 1, 100_000)
}

fn within(text: &str, least: usize, most: usize) -> Result<RangeInclusive<usize>, String> {
    let (start, end) = text.split_once("..=").ok_or("a range such as 4..=7 is needed")?;
    let number = |text: &str| text.parse::<usize>().map_err(|_| format!("{text:?} is no number"));
    let (start, end) = (number(start)?, number(end)?);
    if start < least || end < start || end > most {
        return Err(format!("what can be simulated is {least}..={most}"));
    }
    Ok(start..=end)
}
