//! Which target a program of the fuzzer works on, and what else it can do with it. libFuzzer has the command line, so
//! this is said in the environment: `SEALPOST_FUZZ` is the target's name, or `list`; with `SEALPOST_FUZZ_SEEDS` its
//! seeds are written into that folder; with `SEALPOST_FUZZ_REPLAY` every seed and every file of that folder is tried once,
//! and it is counted how many came as far as the target's claim: none is an error.

use sealpost_ledger::fuzzing::{Reached, Target};
use std::error::Error;
use std::path::Path;
use std::sync::OnceLock;
use std::{env, fs, process};

static CHOSEN: OnceLock<Target> = OnceLock::new();

/// Chooses; ends the process where there is nothing to fuzz.
pub(crate) fn choose(targets: Vec<Target>) {
    match chosen(targets) {
        Ok(Some(target)) => drop(CHOSEN.set(target)),
        Ok(None) => process::exit(0),
        Err(error) => {
            eprintln!("{error}");
            process::exit(2);
        }
    }
}

/// Tries an input on the chosen target.
pub(crate) fn run(input: &[u8]) {
    if let Some(target) = CHOSEN.get() {
        target.run(input);
    }
}

fn chosen(targets: Vec<Target>) -> Result<Option<Target>, Box<dyn Error>> {
    let name = env::var("SEALPOST_FUZZ").map_err(|_| "SEALPOST_FUZZ does not name a target")?;
    if name == "list" {
        targets.iter().for_each(|target| println!("{}", target.name()));
        return Ok(None);
    }
    let target = targets.into_iter().find(|target| target.name() == name);
    let target = target.ok_or_else(|| format!("there is no target {name}"))?;
    if let Some(folder) = env::var_os("SEALPOST_FUZZ_SEEDS") {
        write_seeds(&target, Path::new(&folder))?;
    } else if let Some(folder) = env::var_os("SEALPOST_FUZZ_REPLAY") {
        replay(&target, Path::new(&folder))?;
    } else {
        return Ok(Some(target));
    }
    Ok(None)
}

fn write_seeds(target: &Target, folder: &Path) -> Result<(), Box<dyn Error>> {
    fs::create_dir_all(folder)?;
    for (number, seed) in target.seeds().into_iter().enumerate() {
        fs::write(folder.join(format!("seed-{number:03}")), seed)?;
    }
    Ok(())
}

fn replay(target: &Target, folder: &Path) -> Result<(), Box<dyn Error>> {
    let mut inputs = target.seeds();
    for entry in fs::read_dir(folder)? {
        inputs.push(fs::read(entry?.path())?);
    }
    let reached = inputs.iter().filter(|input| target.run(input) == Reached::Claim).count();
    println!("{:<24} {:>4} inputs, {reached:>4} reached its claim", target.name(), inputs.len());
    if reached == 0 { Err(format!("no input reaches the claim of {}", target.name()).into()) } else { Ok(()) }
}
