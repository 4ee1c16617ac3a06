//! `inbox --complete`: every open message to this wallet in a range of blocks, with the proof that none was left out.

use super::Session;
use super::inbox::{Entry, entries, print};
use crate::failure::{failure, with_help};
use crate::light::{Light, Range};
use crate::wallet::Wallet;
use indicatif::{ProgressBar, ProgressStyle};
use sealpost_ledger::hash::BlockHash;
use sealpost_ledger::height::BlockHeight;
use sealpost_terminal::{Failure, Terminal, counted, short, style};

#[derive(serde::Serialize)]
struct Report {
    from: BlockHeight,
    to: BlockHeight,
    block: Option<BlockHash>,
    transactions: u64,
    messages: Vec<Entry>,
}

/// Reads the range. What was found before an error is told all the same, and the error says where to go on.
pub(super) async fn complete(
    session: &Session<'_>,
    wallet: &Wallet,
    light: &Light,
    from: BlockHeight,
) -> Result<(), Failure> {
    let terminal = session.terminal;
    let to = light.head().await.map_err(failure)?.map_or(BlockHeight::GENESIS, |head| head.height);
    let mut range = Range::new(from, to);
    let mut report =
        Report { from: range.next_height(), to, block: None, transactions: 0, messages: Vec::new() };
    let watch = RangeWatch::new(terminal, report.from, to);
    let ended = loop {
        let next = range.next_height();
        match next_entries(wallet, light, &mut range).await {
            Ok(Some(entries)) => {
                for entry in entries {
                    watch.aside(|| print(session, &entry));
                    report.messages.push(entry);
                }
            }
            Ok(None) => break Ok(()),
            Err(failure) => {
                report.to = next.saturating_sub(1);
                break Err(stopped(failure, report.from, next));
            }
        }
        (report.block, report.transactions) = (range.last_block(), range.transactions());
        watch.hear(range.next_height());
    };
    drop(watch);
    if ended.is_err() {
        // Whoever goes on after it does not see it again.
        if report.block.is_some() {
            terminal.emit("sealpost/inbox-complete/1", &report);
        }
        return ended;
    }
    match report.block {
        Some(block) => terminal.say(style::held(format_args!(
            "complete: {} to this wallet in {}, blocks {} to {to} ({}); none is left out. Sealed messages are not \
             among them",
            counted(report.messages.len() as u64, "message"),
            counted(report.transactions, "transaction"),
            report.from,
            short(block),
        ))),
        None => terminal.note(format_args!("there is no block {} yet; the newest is block {to}", report.from)),
    }
    terminal.emit("sealpost/inbox-complete/1", &report);
    ended
}

/// The messages of the next blocks; nothing when the range is read.
async fn next_entries(
    wallet: &Wallet,
    light: &Light,
    range: &mut Range,
) -> Result<Option<Vec<Entry>>, Failure> {
    let incoming = wallet.next_of_range(light, range).await.map_err(failure)?;
    incoming.map(|incoming| entries(wallet, &incoming)).transpose()
}

/// An error in the middle of a range says how far it is complete.
fn stopped(failure: Failure, from: BlockHeight, next: BlockHeight) -> Failure {
    let failure = failure.with("from", from.get()).with("next", next.get());
    if next == from {
        return failure;
    }
    let last = next.saturating_sub(1);
    with_help(failure, &format!("blocks {from} to {last} are complete: go on with --from {next}"))
}

/// Blocks read, their rate, and the time left.
struct RangeWatch {
    bar: Option<ProgressBar>,
    from: BlockHeight,
}

impl RangeWatch {
    fn new(terminal: &Terminal, from: BlockHeight, to: BlockHeight) -> Self {
        let blocks = to.get().saturating_add(1).saturating_sub(from.get());
        let bar = terminal.shows_progress().then(|| ProgressBar::new(blocks));
        if let Some(bar) = &bar
            // The template is fixed, so it is right.
            && let Ok(style) = ProgressStyle::with_template(
                "{bar:30} {pos}/{len} blocks read and checked, {per_sec}, {eta} left",
            )
        {
            bar.set_style(style);
        }
        Self { bar, from }
    }
    fn hear(&self, next: BlockHeight) {
        if let Some(bar) = &self.bar {
            bar.set_position(next.get().saturating_sub(self.from.get()));
        }
    }
    /// Prints something while the bar stands still.
    fn aside(&self, print: impl FnOnce()) {
        match &self.bar {
            Some(bar) => bar.suspend(print),
            None => print(),
        }
    }
}

impl Drop for RangeWatch {
    fn drop(&mut self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}
