//! `network contradictions`: the proofs that a network contradicted itself. Checking one needs the genesis alone.

use super::{Session, read_genesis};
use crate::light::{Contradiction, MAX_CONTRADICTION_BYTES, Shown};
use clap::{Args, Subcommand};
use sealpost_terminal::{Exit, Failure, clock, printable, short, style};
use std::io::Read;
use std::path::{Path, PathBuf};

#[derive(Debug, Clone, Args)]
pub(super) struct ContradictionsArgs {
    #[command(subcommand)]
    command: Option<ContradictionsCommand>,
}

#[derive(Debug, Clone, Subcommand)]
enum ContradictionsCommand {
    /// List the proofs kept here
    List,
    /// Check a proof: exit 0 if it holds, 1 if not, 2 if it is none
    #[command(after_help = "Example: needs neither node nor wallet
  sealpost network contradictions verify 7-aa-bb.json --genesis genesis.json")]
    Verify {
        /// The file
        file: PathBuf,
    },
}

#[derive(serde::Serialize)]
struct Kept {
    file: PathBuf,
    valid: bool,
    #[serde(flatten)]
    shown: Option<Shown>,
}

#[derive(serde::Serialize)]
struct Listed {
    contradictions: Vec<Kept>,
}

pub(super) fn contradictions(args: &ContradictionsArgs, session: &Session<'_>) -> Result<(), Failure> {
    match args.command.as_ref().unwrap_or(&ContradictionsCommand::List) {
        ContradictionsCommand::List => list(session),
        ContradictionsCommand::Verify { file } => verify(file, session),
    }
}

fn list(session: &Session<'_>) -> Result<(), Failure> {
    let (terminal, profile) = (session.terminal, session.profile()?);
    let folder = profile.contradictions_folder();
    let mut files: Vec<_> = match std::fs::read_dir(&folder) {
        Ok(entries) => entries.flatten().map(|entry| entry.path()).collect(),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Vec::new(),
        Err(error) => return Err(sealpost_terminal::file_failure("read", &folder, &error)),
    };
    files.retain(|file| file.extension().is_some_and(|extension| extension == "json"));
    files.sort();
    if files.is_empty() {
        terminal.note("none: no node has shown a contradiction");
    }
    let mut contradictions = Vec::new();
    for file in files {
        let shown = read(&file).ok().and_then(|read| read.verify(profile.genesis()).ok());
        match &shown {
            Some(shown) => terminal.say(format_args!("{}  {}", file.display(), summary(shown))),
            None => terminal.say(format_args!("{}  does not hold", file.display())),
        }
        contradictions.push(Kept { valid: shown.is_some(), file, shown });
    }
    terminal.emit("sealpost/network-contradictions/1", &Listed { contradictions });
    Ok(())
}

fn verify(file: &Path, session: &Session<'_>) -> Result<(), Failure> {
    let genesis = match &session.genesis {
        Some(path) => read_genesis(path)?,
        None => session.profile()?.genesis().clone(),
    };
    let terminal = session.terminal;
    let found = read(file)?;
    let shown = found.verify(&genesis).map_err(|error| {
        let text = format!("{} proves no contradiction of this network: {error}", file.display());
        Failure::no("network.no_contradiction", text)
    })?;
    for number in 0..2 {
        let (Some(height), Some(block)) = (shown.heights.get(number), shown.blocks.get(number)) else {
            continue;
        };
        let by = shown.said_by.get(number).map_or("", String::as_str);
        let when = shown.said_ms.get(number).copied().unwrap_or_default();
        terminal.say(style::held(format_args!(
            "block {height} is {}: signed by more than two thirds; shown by {}, {}",
            short(block),
            printable(by),
            clock(when)
        )));
    }
    terminal.say(style::held(summary(&shown)));
    terminal
        .say("It does not show which of the two is right, nor, of the addresses, who really answered there.");
    let report = Kept { file: file.to_owned(), valid: true, shown: Some(shown) };
    terminal.emit("sealpost/network-contradictions-verify/1", &report);
    Ok(())
}

fn summary(shown: &Shown) -> String {
    let [first, second] = shown.heights;
    if first == second {
        let count = shown.signed_both.len();
        format!("two different blocks {first} are signed; {count} of the validators signed both")
    } else {
        format!("block {first} is signed, and is not in the history of the signed block {second}")
    }
}

fn read(file: &Path) -> Result<Contradiction, Failure> {
    let failed = |error| Failure::usage(format_args!("{}: {error}", file.display()));
    let mut json = Vec::new();
    let opened = std::fs::File::open(file).map_err(failed)?;
    opened.take(MAX_CONTRADICTION_BYTES).read_to_end(&mut json).map_err(failed)?;
    Contradiction::from_json(&json).map_err(|error| {
        let text = format!("{}: {error}", file.display());
        Failure::new(Exit::Usage, "network.contradiction_file", text)
    })
}
