//! A guard against slow creep that looks at no clock: the instructions that the ledger's main operations take, as
//! valgrind's callgrind counts them, against the counts in `recorded.txt`. They are the same on a busy machine and on
//! an idle one, so a difference is a change of the code.
//!
//! ```sh
//! cargo run --release -p sealpost-counts -- check     # compares; fails where a count is more than 5 % off
//! cargo run --release -p sealpost-counts -- record    # writes the counts down anew, on purpose
//! cargo run --release -p sealpost-counts -- control   # does everything twice, and fails unless all of it is noticed
//! ```
//!
//! What is counted is not what processors do: valgrind knows no SHA extensions, so software paths are counted. A count
//! says nothing about memory, caches or waiting either; `sealpost-bench` measures time.

mod callgrind;
mod operations;
mod record;
mod story;

use operations::Times;
use record::{Record, compare};
use std::error::Error;
use std::path::PathBuf;
use std::process::ExitCode;

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let outcome = match words.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["check"] => check(),
        ["record"] => record(),
        ["control"] => control(),
        // What valgrind runs.
        ["run", "once"] => operations::run(Times::Once).map(|()| ExitCode::SUCCESS),
        ["run", "twice"] => operations::run(Times::Twice).map(|()| ExitCode::SUCCESS),
        _ => Err("say check, record or control".into()),
    };
    outcome.unwrap_or_else(|error| {
        eprintln!("{error}");
        ExitCode::from(2)
    })
}

fn path() -> PathBuf {
    PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/recorded.txt"))
}

fn recorded() -> Result<Record, Box<dyn Error>> {
    let path = path();
    let text = std::fs::read_to_string(&path).map_err(|error| format!("{}: {error}", path.display()))?;
    Ok(Record::parse(&text)?)
}

/// The recorded counts, if they were made by the programs at hand; otherwise says loudly that they were not.
fn comparable(counted: &Record) -> Result<Option<Record>, Box<dyn Error>> {
    let recorded = recorded()?;
    if recorded.made_by == counted.made_by {
        return Ok(Some(recorded));
    }
    println!(
        "NOT COMPARED: other programs made the recorded counts, and theirs differ for no fault of the code."
    );
    println!("  recorded by {}\n  counted by  {}", recorded.made_by, counted.made_by);
    println!("  If these are the programs of CI now, record anew: {}", record::COMMAND);
    Ok(None)
}

fn check() -> Result<ExitCode, Box<dyn Error>> {
    let counted = callgrind::count(Times::Once)?;
    let Some(recorded) = comparable(&counted)? else {
        print!("{counted}");
        return Ok(ExitCode::SUCCESS);
    };
    let lines = compare(&recorded, &counted);
    lines.iter().for_each(|line| println!("{line}"));
    if lines.iter().all(|line| line.verdict().is_fine()) {
        return Ok(ExitCode::SUCCESS);
    }
    println!(
        "\nWhere more is counted, find out why. If it is wanted, or where less is counted, record it in"
    );
    println!("the same commit, so that the next change is compared with it: {}", record::COMMAND);
    Ok(ExitCode::FAILURE)
}

fn record() -> Result<ExitCode, Box<dyn Error>> {
    let counted = callgrind::count(Times::Once)?;
    print!("{counted}");
    std::fs::write(path(), counted.to_string())?;
    Ok(ExitCode::SUCCESS)
}

/// Does every operation twice, and fails unless each is found to cost more than recorded.
fn control() -> Result<ExitCode, Box<dyn Error>> {
    let counted = callgrind::count(Times::Twice)?;
    let Some(recorded) = comparable(&counted)? else { return Ok(ExitCode::SUCCESS) };
    let lines = compare(&recorded, &counted);
    let missed: Vec<_> = lines.iter().filter(|line| line.verdict() != record::Verdict::More).collect();
    missed.iter().for_each(|line| println!("{line}"));
    println!(
        "done twice, {} of {} operations were found to cost more",
        lines.len() - missed.len(),
        lines.len()
    );
    let noticed = missed.is_empty() && !lines.is_empty();
    Ok(if noticed { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
