//! Progress on standard error: of the postage search, which Ctrl-C stops, and of scans for messages.

use crate::scan::ScanProgress;
use indicatif::{ProgressBar, ProgressStyle};
use sealpost_terminal::{Terminal, grouped};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// Work below which nobody sees a bar: a fraction of a second.
const WORTH_SHOWING: u64 = 1 << 21;

/// A postage search that can be watched and stopped.
pub(super) struct PostageWatch {
    bar: Option<ProgressBar>,
    stopped: Arc<AtomicBool>,
}

impl PostageWatch {
    /// Begins to watch. To be made inside a runtime.
    pub(super) fn new(terminal: &Terminal) -> Self {
        let bar = terminal.shows_progress().then(ProgressBar::no_length);
        if let Some(bar) = &bar {
            // The template is fixed, so it is right.
            if let Ok(style) = ProgressStyle::with_template("postage {bar:30} {pos}/{len} hashes, {eta} left")
            {
                bar.set_style(style);
            }
        }
        let stopped = Arc::new(AtomicBool::new(false));
        let heard = stopped.clone();
        tokio::spawn(async move {
            if tokio::signal::ctrl_c().await.is_ok() {
                heard.store(true, Ordering::Relaxed);
            }
        });
        Self { bar, stopped }
    }
    /// Hears how far the search is; answers whether to go on.
    pub(super) fn hear(&self, tried: u64, expected: u64) -> bool {
        if let Some(bar) = self.bar.as_ref().filter(|_| expected > WORTH_SHOWING) {
            bar.set_length(expected.max(tried));
            bar.set_position(tried);
        }
        !self.stopped.load(Ordering::Relaxed)
    }
}

/// A scan for messages that can be watched: each is checked against the genesis, which takes a while.
pub(super) struct ScanWatch(Option<ProgressBar>);

impl ScanWatch {
    /// Begins to watch.
    pub(super) fn new(terminal: &Terminal) -> Self {
        let bar = terminal.shows_progress().then(ProgressBar::no_length);
        if let Some(bar) = &bar {
            // The template is fixed, so it is right.
            if let Ok(style) =
                ProgressStyle::with_template("{spinner} {pos} messages found and checked, {per_sec}")
            {
                bar.set_style(style);
            }
        }
        Self(bar)
    }
    /// Hears how many messages were found and checked so far.
    pub(super) fn hear(&self, count: usize) {
        if let Some(bar) = &self.0 {
            bar.set_position(count as u64);
        }
    }
}

impl Drop for ScanWatch {
    fn drop(&mut self) {
        if let Some(bar) = &self.0 {
            bar.finish_and_clear();
        }
    }
}

impl Drop for PostageWatch {
    fn drop(&mut self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}

/// A scan for sealed messages that can be watched.
pub(super) struct SealedWatch(Option<ProgressBar>);

impl SealedWatch {
    /// Begins to watch.
    pub(super) fn new(terminal: &Terminal) -> Self {
        let bar = terminal.shows_progress().then(ProgressBar::no_length);
        if let Some(bar) = &bar {
            // The template is fixed, so it is right.
            if let Ok(style) = ProgressStyle::with_template("sealed {bar:30} block {pos}/{len}, {msg}") {
                bar.set_style(style);
            }
        }
        Self(bar)
    }
    /// Hears how far the scan is.
    pub(super) fn hear(&self, progress: &ScanProgress) {
        if let Some(bar) = &self.0 {
            bar.set_length(progress.to.get());
            bar.set_position(progress.height.get());
            let (slots, found) = (grouped(progress.slots), progress.found);
            bar.set_message(format!("{slots} slots, {:.0} a second, {found} found", progress.per_second));
        }
    }
}

impl Drop for SealedWatch {
    fn drop(&mut self) {
        if let Some(bar) = &self.0 {
            bar.finish_and_clear();
        }
    }
}
