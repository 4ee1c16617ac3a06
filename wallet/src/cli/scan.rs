//! The scan for sealed messages, as commands show it: a bar while it runs, a line when it is through.

use super::Session;
use super::progress::SealedWatch;
use crate::failure;
use crate::light::Light;
use crate::scan::ScanReport;
use crate::wallet::Wallet;
use sealpost_ledger::height::BlockHeight;
use sealpost_terminal::{Failure, Terminal, grouped, short, style};

/// What a scan did, in JSON.
#[derive(serde::Serialize)]
pub(super) struct Scanned {
    height: BlockHeight,
    slots: u64,
    per_second: u64,
    found: u64,
    refused: u64,
}

impl Scanned {
    pub(super) fn new(report: &ScanReport) -> Self {
        let ScanReport { progress, refused_count, .. } = report;
        // Float to integer saturates; a rate is for people.
        let per_second = progress.per_second.round() as u64;
        let (height, slots, found) = (progress.height, progress.slots, progress.found);
        Self { height, slots, per_second, found, refused: *refused_count }
    }
}

/// Scans for sealed messages, up to the newest block.
pub(super) async fn scan(session: &Session<'_>, wallet: &Wallet, light: &Light) -> Result<Scanned, Failure> {
    let watch = SealedWatch::new(session.terminal);
    let report = wallet.scan(light, &|progress| watch.hear(progress)).await;
    drop(watch);
    warn_set_aside(session.terminal, wallet);
    Ok(tell(session, &report.map_err(failure)?))
}

/// The same from the first block on.
pub(super) async fn rescan(
    session: &Session<'_>,
    wallet: &Wallet,
    light: &Light,
) -> Result<Scanned, Failure> {
    let watch = SealedWatch::new(session.terminal);
    let report = wallet.rescan(light, &|progress| watch.hear(progress)).await;
    drop(watch);
    warn_set_aside(session.terminal, wallet);
    Ok(tell(session, &report.map_err(failure)?))
}

/// Warns if what earlier scans had found could not be read.
pub(super) fn warn_set_aside(terminal: &Terminal, wallet: &Wallet) {
    if let Some(path) = wallet.scan_set_aside() {
        terminal.warn(format_args!(
            "what scans had found could not be read, and is kept as {}. All that the ledger shows to the keys of now, \
             and that the archive has, was found again. Receipts of sealed messages that came in letters which were not \
             kept are missing: put the file `scan` back from a backup to have them again",
            path.display()
        ));
    }
}

fn tell(session: &Session<'_>, report: &ScanReport) -> Scanned {
    let terminal = session.terminal;
    for (id, reason) in &report.refused {
        terminal.warn(format_args!("sealed message {} is not shown: {reason}", short(id)));
    }
    let named = report.refused.len() as u64;
    if report.refused_count > named {
        let more = report.refused_count.saturating_sub(named);
        terminal.warn(format_args!("{more} more sealed messages to this wallet break the rules"));
    }
    let (progress, scanned) = (&report.progress, Scanned::new(report));
    if progress.slots > 0 {
        terminal.note(style::faint(format!(
            "scanned {} sealed slots up to block {}, {} a second",
            grouped(progress.slots),
            progress.height,
            grouped(scanned.per_second)
        )));
    }
    scanned
}
