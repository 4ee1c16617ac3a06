//! `inbox --complete`: every open message to this wallet in a range of blocks, with the proof that none was left out.

use super::Session;
use super::inbox::{Entry, entry, print};
use crate::failure;
use crate::light::{Light, LightError, Range, WholeBlock};
use crate::wallet::{Incoming, Wallet};
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
        let blocks = match range.next_blocks(light).await {
            Ok(Some(blocks)) => blocks,
            Ok(None) => break,
            Err(error) => return Err(stopped(error, &report, &range)),
        };
        for block in blocks {
            report.transactions = report.transactions.saturating_add(block.transactions().len() as u64);
            for incoming in incoming(wallet, light, block).map_err(|error| stopped(error, &report, &range))? {
                let entry = entry(wallet, &incoming)?;
                watch.aside(|| print(session, &entry));
                report.messages.push(entry);
            }
        }
        watch.hear(range.next_height());
    }
    drop(watch);
    report.block = range.last_block();
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

fn incoming(wallet: &Wallet, light: &Light, block: WholeBlock) -> Result<Vec<Incoming>, LightError> {
    let height = block.header().height;
    let found =
        crate::light::messages_to(block, &wallet.address()).map_err(|index| LightError::Untrusted {
            url: light.url().into(),
            what: format!("transaction {index} of block {height}"),
            reason: "its signature does not hold, although the block is signed".into(),
        })?;
    Ok(found.into_iter().filter_map(|message| wallet.incoming(message)).collect())
}

/// An error in the middle of a range says how far it is complete.
fn stopped(error: LightError, report: &Report, range: &Range) -> Failure {
    let failure = failure(error).with("from", report.from.get()).with("next", range.next_height().get());
    if range.next_height() == report.from {
        return failure;
    }
    let (last, next) = (range.next_height().saturating_sub(1), range.next_height());
    let help = failure.help.clone().unwrap_or_default();
    failure.help(format!("{help}; blocks {} to {last} are complete: go on with --from {next}", report.from))
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
