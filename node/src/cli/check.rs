//! `check`: walks through the data of a stopped node.

use super::home;
use crate::store;
use sealpost_ledger::height::BlockHeight;
use sealpost_terminal::{Failure, Terminal, bytes, grouped, style};

/// Blocks between two lines of progress.
const STEP: u64 = 10_000;

#[derive(serde::Serialize)]
struct Report {
    blocks: u64,
    transactions: u64,
    bodies: u64,
    torn_bytes: u64,
    indexed: Option<BlockHeight>,
}

pub(super) fn check(terminal: &Terminal) -> Result<(), Failure> {
    let home = home(terminal)?;
    let genesis = home.genesis()?;
    let report = store::check(&home.data(), &genesis, |height, last| {
        if height.get() % STEP == 0 {
            terminal.note(format_args!("checked {} of {}", grouped(height.get()), grouped(last.get())));
        }
    })?;
    terminal.say(style::held(format_args!(
        "{} blocks, {} transactions, {} bodies: links, roots, signatures and certificates hold",
        grouped(report.blocks),
        grouped(report.transactions),
        grouped(report.bodies)
    )));
    match report.indexed {
        Some(height) => terminal.say(style::held(format_args!("the index agrees up to block {height}"))),
        None => terminal.say("there is no index; the next start makes it"),
    }
    if report.torn_bytes > 0 {
        let torn = bytes(report.torn_bytes);
        terminal.say(format_args!("{torn} at the end were never finished; the next start cuts them off"));
    }
    terminal.emit(
        "sealpost/check/1",
        &Report {
            blocks: report.blocks,
            transactions: report.transactions,
            bodies: report.bodies,
            torn_bytes: report.torn_bytes,
            indexed: report.indexed,
        },
    );
    Ok(())
}
