//! `check`: walks through the data of a stopped node, and cuts off damage if it is told to.

use super::home;
use crate::home::Home;
use crate::store::{self, CheckError, CheckReport, RepairPlan, StoreError};
use clap::Args;
use sealpost_ledger::genesis::Genesis;
use sealpost_ledger::height::BlockHeight;
use sealpost_terminal::{Failure, Terminal, bytes, grouped, style};
use std::path::Path;
use std::sync::Arc;

/// Blocks between two lines of progress.
const STEP: u64 = 10_000;

#[derive(Debug, Args)]
pub(super) struct CheckArgs {
    /// Cut the journal at the first damage, so that the node fetches the rest from its peers again; what is
    /// cut is kept in a folder beside it. Proposals and recorded equivocations are cut in the same way
    #[arg(long)]
    repair: bool,
}

#[derive(serde::Serialize)]
struct Repaired {
    keeps: BlockHeight,
    dropped_bytes: u64,
    files: Vec<String>,
    copies: String,
    note: Option<String>,
    votes: Option<String>,
}

pub(super) fn check(args: &CheckArgs, terminal: &Terminal) -> Result<(), Failure> {
    let home = home(terminal)?;
    let genesis = home.genesis()?;
    match store::check(&home.data(), &genesis, progress(terminal, "checked")) {
        Ok(report) => tell(&report, terminal),
        Err(error) if !is_damage(&error) => return Err(error.into()),
        Err(error) if args.repair => return repair(&home, &genesis, &error, terminal),
        Err(error) => return Err(refuse(&home, &genesis, error)),
    }
    Ok(())
}

/// Says how far a walk through blocks is.
pub(super) fn progress(terminal: &Terminal, what: &'static str) -> impl FnMut(BlockHeight, BlockHeight) {
    move |height, last| {
        if height.get() % STEP == 0 {
            terminal.note(format_args!("{what} {} of {}", grouped(height.get()), grouped(last.get())));
        }
    }
}

/// Says what the next start cuts off a journal, if anything.
pub(super) fn say_torn(torn_bytes: u64, terminal: &Terminal) {
    if torn_bytes > 0 {
        let torn = bytes(torn_bytes);
        terminal.say(format_args!("{torn} at the end were never finished; the next start cuts them off"));
    }
}

/// Whether something on disk is not as it was written, rather than out of reach.
const fn is_damage(error: &CheckError) -> bool {
    matches!(
        error,
        CheckError::Index { .. } | CheckError::Beside(_) | CheckError::Store(StoreError::Damaged { .. })
    )
}

/// What a cut of the files beside the blocks costs.
const LOST_BESIDE: &str = "blocks that were proposed here and not decided, or recorded equivocations";

/// Damage, and what a repair would do; nothing is cut without being asked for.
fn refuse(home: &Home, genesis: &Arc<Genesis>, error: CheckError) -> Failure {
    let repair = store::plan_repair(&home.data(), genesis);
    let beside = matches!(error, CheckError::Beside(_));
    let failure = Failure::from(error);
    match repair.map(|repair| repair.plan) {
        Ok(plan) if beside => failure.help(format!(
            "all {} blocks and the index hold. `check --repair` cuts the file at the damage, and keeps a copy of what \
             goes: {LOST_BESIDE}",
            grouped(plan.keep.get())
        )),
        Ok(plan) if !plan.cuts.is_empty() => failure.help(format!(
            "the blocks up to {} hold. `check --repair` drops what comes after, {} in {} files, and keeps a copy \
             of it; the node fetches it from its peers again",
            grouped(plan.keep.get()),
            bytes(plan.bytes()),
            plan.cuts.len()
        )),
        Ok(RepairPlan { note: Some(note), loses_blocks: false, .. }) => failure.help(format!(
            "all blocks hold. `check --repair` writes {} anew, by the bodies that are there: they are kept from block {} on",
            note.path.display(),
            grouped(note.oldest_body_height.get())
        )),
        Ok(plan) if plan.loses_blocks => failure.help(format!(
            "the blocks up to {} hold. `check --repair` deletes the index, which knows later ones; the node fetches \
             those from its peers again",
            grouped(plan.keep.get()),
        )),
        _ => failure,
    }
}

fn repair(
    home: &Home,
    genesis: &Arc<Genesis>,
    error: &CheckError,
    terminal: &Terminal,
) -> Result<(), Failure> {
    terminal.say(style::not_held(error));
    // Before anything is cut: a crash in between leaves a validator that doesn't vote, never one that votes
    // again at a height that was decided.
    let repair = store::plan_repair(&home.data(), genesis)?;
    let votes = if repair.plan.loses_blocks { home.set_votes_aside()? } else { None };
    let beside = matches!(error, CheckError::Beside(_));
    let carried_out = if beside { repair.carry_out_beside() } else { repair.carry_out() };
    let (plan, copies) = carried_out.map_err(|error| still_aside(votes.as_deref(), Failure::from(error)))?;
    for cut in plan.all_cuts() {
        let (path, from) = (cut.path.display(), cut.from);
        terminal.say(format_args!("cut        {path} at byte {from}, {}", bytes(cut.bytes)));
    }
    if let Some(note) = &plan.note {
        let oldest = grouped(note.oldest_body_height.get());
        terminal.say(format_args!(
            "written    {} anew: bodies are kept from block {oldest} on",
            note.path.display()
        ));
    }
    let note = plan.note.as_ref().map(|note| note.path.display().to_string());
    let files: Vec<_> = plan.all_cuts().map(|cut| cut.path.display().to_string()).collect();
    if !files.is_empty() {
        terminal.say(format_args!("kept       a copy in {}", copies.display()));
    }
    if !plan.beside.is_empty() {
        terminal.say(format_args!("lost       {LOST_BESIDE}"));
    }
    if beside {
        terminal.say("all blocks and the index hold, and a log of votes stays as it is");
    } else if !plan.loses_blocks {
        terminal.say("the journal is whole; the index was deleted, and the next start makes it anew");
    } else {
        terminal.say(format_args!(
            "the blocks up to {} hold; the node fetches the later ones from its peers",
            grouped(plan.keep.get())
        ));
        if let Some(aside) = &votes {
            terminal.warn(votes_aside(aside));
        }
    }
    let votes = votes.map(|path| path.display().to_string());
    let copies = if files.is_empty() { String::new() } else { copies.display().to_string() };
    let repaired = Repaired { keeps: plan.keep, dropped_bytes: plan.bytes(), files, copies, note, votes };
    terminal.emit("sealpost/check-repair/1", &repaired);
    Ok(())
}

/// What a validator has to know whose log of votes was put away.
pub(super) fn votes_aside(aside: &Path) -> String {
    format!(
        "this validator may have voted beyond the last block that is here, so its log of votes was put away as {}. \
         Start it with `sealpost-node run --rejoin`: it follows until the network has gone on without its vote, \
         and only then votes again",
        aside.display()
    )
}

/// The failure of a command that leaves the log of votes aside says where it is.
pub(super) fn still_aside(votes: Option<&Path>, failure: Failure) -> Failure {
    match votes {
        Some(aside) => failure.help(votes_aside(aside)),
        None => failure,
    }
}

fn tell(report: &CheckReport, terminal: &Terminal) {
    terminal.say(style::held(format_args!(
        "{} blocks, {} transactions, {} bodies: links, roots, signatures and certificates hold",
        grouped(report.blocks),
        grouped(report.transactions),
        grouped(report.bodies)
    )));
    if report.oldest_body_height > BlockHeight::FIRST {
        let oldest = grouped(report.oldest_body_height.get());
        terminal.say(format_args!("bodies are kept from block {oldest} on"));
    }
    match report.indexed {
        Some(height) => terminal.say(style::held(format_args!("the index agrees up to block {height}"))),
        None => terminal.say("there is no index of this release; the next start makes it"),
    }
    say_torn(report.torn_bytes, terminal);
    terminal.emit("sealpost/check/1", report);
}
