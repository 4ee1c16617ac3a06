//! `inbox --complete`: every open message to this wallet in a range of blocks, with the proof that none was left out.

use super::Session;
use super::inbox::{Entry, entries, print};
use crate::failure;
use crate::light::{Light, Range};
use crate::wallet::{Wallet, WalletError};
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

/// Reads the range; what was found before an error is printed, and the error says where to go on.
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
    loop {
        let incoming = match wallet.next_of_range(light, &mut range).await {
            Ok(Some(incoming)) => incoming,
            Ok(None) => break,
            Err(error) => return Err(stopped(error, report.from, range.next_height())),
        };
        for entry in entries(wallet, &incoming)? {
            watch.aside(|| print(session, &entry));
            report.messages.push(entry);
        }
        watch.hear(range.next_height());
    }
    drop(watch);
    (report.block, report.transactions) = (range.last_block(), range.transactions());
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
    Ok(())
}

/// An error in the middle of a range says how far it is complete.
fn stopped(error: WalletError, from: BlockHeight, next: BlockHeight) -> Failure {
    let failure = failure(error).with("from", from.get()).with("next", next.get());
    if next == from {
        return failure;
    }
    let (last, help) = (next.saturating_sub(1), failure.help.clone().unwrap_or_default());
    failure.help(format!("{help}; blocks {from} to {last} are complete: go on with --from {next}"))
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
