//! Progress on standard error: of the postage search, which Ctrl-C stops, of scans for messages, and of bytes
//! that are read, sent or fetched.

use crate::scan::ScanProgress;
use indicatif::{ProgressBar, ProgressStyle};
use sealpost_terminal::{Terminal, grouped};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

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
    /// A search without a bar of its own, because another one shows how far the whole is.
    pub(super) fn without_bar(terminal: &Terminal) -> Self {
        let mut watch = Self::new(terminal);
        watch.bar = None;
        watch
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

/// Between two lines of progress for programs.
const TELL_EVERY: Duration = Duration::from_millis(500);

/// Bytes on their way, with their rate and the time left.
pub(super) struct TransferWatch<'a> {
    terminal: &'a Terminal,
    work: &'static str,
    bar: Option<ProgressBar>,
    told: Mutex<Option<Instant>>,
}

#[derive(serde::Serialize)]
struct Transfer<'a> {
    event: &'static str,
    work: &'a str,
    bytes: u64,
    of_bytes: u64,
    #[serde(skip_serializing_if = "str::is_empty")]
    state: &'a str,
}

impl<'a> TransferWatch<'a> {
    /// Begins to watch; `work` says what is done with the bytes: `reading`, `sending`, `fetching`.
    pub(super) fn new(terminal: &'a Terminal, work: &'static str) -> Self {
        let bar = terminal.shows_progress().then(ProgressBar::no_length);
        if let Some(bar) = &bar {
            // The template is fixed, so it is right.
            if let Ok(style) = ProgressStyle::with_template(
                "{prefix} {bar:30} {bytes}/{total_bytes}, {bytes_per_sec}, {eta} left {msg}",
            ) {
                bar.set_style(style);
            }
            bar.set_prefix(work);
        }
        Self { terminal, work, bar, told: Mutex::new(None) }
    }
    /// Hears how far it is, and what state it is in.
    pub(super) fn hear(&self, bytes: u64, of_bytes: u64, state: &str) {
        if let Some(bar) = &self.bar {
            bar.set_length(of_bytes);
            bar.set_position(bytes);
            bar.set_message(state.to_owned());
        }
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        if bytes == of_bytes || told.is_none_or(|told| told.elapsed() >= TELL_EVERY) {
            *told = Some(Instant::now());
            let (event, work) = ("progress", self.work);
            self.terminal.progress(&Transfer { event, work, bytes, of_bytes, state });
        }
    }
}

impl Drop for TransferWatch<'_> {
    fn drop(&mut self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}

/// Messages of a list on their way.
pub(super) struct CountWatch<'a> {
    terminal: &'a Terminal,
    bar: Option<ProgressBar>,
    told: Mutex<Option<Instant>>,
}

#[derive(serde::Serialize)]
struct Count {
    event: &'static str,
    work: &'static str,
    messages: usize,
    of_messages: usize,
}

impl<'a> CountWatch<'a> {
    /// Begins to watch.
    pub(super) fn new(terminal: &'a Terminal) -> Self {
        let bar = terminal.shows_progress().then(ProgressBar::no_length);
        if let Some(bar) = &bar {
            // The template is fixed, so it is right.
            if let Ok(style) =
                ProgressStyle::with_template("sending {bar:30} {pos}/{len} messages, {per_sec}, {eta} left")
            {
                bar.set_style(style);
            }
        }
        Self { terminal, bar, told: Mutex::new(None) }
    }
    /// Hears how many messages of how many are done with.
    pub(super) fn hear(&self, messages: usize, of_messages: usize) {
        if let Some(bar) = &self.bar {
            bar.set_length(of_messages as u64);
            bar.set_position(messages as u64);
        }
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        if messages == of_messages || told.is_none_or(|told| told.elapsed() >= TELL_EVERY) {
            *told = Some(Instant::now());
            self.terminal.progress(&Count { event: "progress", work: "sending", messages, of_messages });
        }
    }
}

impl Drop for CountWatch<'_> {
    fn drop(&mut self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
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
