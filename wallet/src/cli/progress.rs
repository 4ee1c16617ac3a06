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

/// A bar, if the terminal shows any. It is gone when this is dropped.
struct Bar(Option<ProgressBar>);

impl Bar {
    fn new(terminal: &Terminal, template: &str) -> Self {
        let bar = terminal.shows_progress().then(ProgressBar::no_length);
        // The template is fixed, so it is right.
        if let (Some(bar), Ok(style)) = (&bar, ProgressStyle::with_template(template)) {
            bar.set_style(style);
        }
        Self(bar)
    }
    fn show(&self, position: u64, length: u64) {
        if let Some(bar) = &self.0 {
            bar.set_length(length);
            bar.set_position(position);
        }
    }
}

impl Drop for Bar {
    fn drop(&mut self) {
        if let Some(bar) = &self.0 {
            bar.finish_and_clear();
        }
    }
}

/// Lines of progress for programs: not more of them than anybody reads.
#[derive(Default)]
struct Told(Mutex<Option<Instant>>);

impl Told {
    /// Whether it is time for a line. The last one is always told.
    fn is_due(&self, last: bool) -> bool {
        let mut told = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let due = last || told.is_none_or(|told| told.elapsed() >= TELL_EVERY);
        if due {
            *told = Some(Instant::now());
        }
        due
    }
}

/// A postage search that can be watched and stopped.
pub(super) struct PostageWatch {
    bar: Bar,
    stopped: Arc<AtomicBool>,
}

impl PostageWatch {
    /// Begins to watch. To be made inside a runtime.
    pub(super) fn new(terminal: &Terminal) -> Self {
        Self::with(Bar::new(terminal, "postage {bar:30} {pos}/{len} hashes, {eta} left"))
    }
    /// A search without a bar of its own, because another one shows how far the whole is.
    pub(super) fn without_bar() -> Self {
        Self::with(Bar(None))
    }
    fn with(bar: Bar) -> Self {
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
        if expected > WORTH_SHOWING {
            self.bar.show(tried, expected.max(tried));
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
    bar: Bar,
    told: Told,
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
        let template = "{prefix} {bar:30} {bytes}/{total_bytes}, {bytes_per_sec}, {eta} left {msg}";
        let bar = Bar::new(terminal, template);
        if let Some(bar) = &bar.0 {
            bar.set_prefix(work);
        }
        Self { terminal, work, bar, told: Told::default() }
    }
    /// Hears how far it is, and what state it is in.
    pub(super) fn hear(&self, bytes: u64, of_bytes: u64, state: &str) {
        self.bar.show(bytes, of_bytes);
        if let Some(bar) = &self.bar.0 {
            bar.set_message(state.to_owned());
        }
        if self.told.is_due(bytes == of_bytes) {
            let (event, work) = ("progress", self.work);
            self.terminal.progress(&Transfer { event, work, bytes, of_bytes, state });
        }
    }
}

/// Messages of a list on their way.
pub(super) struct CountWatch<'a> {
    terminal: &'a Terminal,
    bar: Bar,
    told: Told,
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
        let bar = Bar::new(terminal, "sending {bar:30} {pos}/{len} messages, {per_sec}, {eta} left");
        Self { terminal, bar, told: Told::default() }
    }
    /// Hears how many messages of how many are done with.
    pub(super) fn hear(&self, messages: usize, of_messages: usize) {
        self.bar.show(messages as u64, of_messages as u64);
        if self.told.is_due(messages == of_messages) {
            self.terminal.progress(&Count { event: "progress", work: "sending", messages, of_messages });
        }
    }
}

/// A scan for messages that can be watched: each is checked against the genesis, which takes a while.
pub(super) struct ScanWatch(Bar);

impl ScanWatch {
    /// Begins to watch.
    pub(super) fn new(terminal: &Terminal) -> Self {
        Self(Bar::new(terminal, "{spinner} {pos} messages found and checked, {per_sec}"))
    }
    /// Hears how many messages were found and checked so far.
    pub(super) fn hear(&self, count: usize) {
        if let Some(bar) = &self.0.0 {
            bar.set_position(count as u64);
        }
    }
}

/// A scan for sealed messages that can be watched.
pub(super) struct SealedWatch(Bar);

impl SealedWatch {
    /// Begins to watch.
    pub(super) fn new(terminal: &Terminal) -> Self {
        Self(Bar::new(terminal, "sealed {bar:30} block {pos}/{len}, {msg}"))
    }
    /// Hears how far the scan is.
    pub(super) fn hear(&self, progress: &ScanProgress) {
        self.0.show(progress.height.get(), progress.to.get());
        if let Some(bar) = &self.0.0 {
            let (slots, found) = (grouped(progress.slots), progress.found);
            bar.set_message(format!("{slots} slots, {:.0} a second, {found} found", progress.per_second));
        }
    }
}
