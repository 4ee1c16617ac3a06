//! What the reader did since the start, for an operator to see.

use std::sync::atomic::{AtomicU64, Ordering};

/// Counts.
#[derive(Debug, Default)]
pub(super) struct Counts {
    questions: AtomicU64,
    unanswered: AtomicU64,
    headers: Lookups,
    blocks: Lookups,
}

/// What a cache was asked for.
#[derive(Debug, Default)]
pub(super) struct Lookups {
    kept: AtomicU64,
    missing: AtomicU64,
}

/// The counts at a time.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Counted {
    /// Questions to the node.
    pub(crate) questions: u64,
    /// Those that it did not answer, or with something that can't be read. A refusal is an answer.
    pub(crate) unanswered: u64,
    /// Verified headers that were kept, and those that were not.
    pub(crate) headers: (u64, u64),
    /// Counted blocks that were kept, and those that were not.
    pub(crate) blocks: (u64, u64),
    /// Checks that were refused because too many waited.
    pub(crate) refused_checks: u64,
}

impl Lookups {
    /// Counts so many entries that were there, and so many that were not.
    pub(super) fn add(&self, kept: usize, missing: usize) {
        self.kept.fetch_add(kept as u64, Ordering::Relaxed);
        self.missing.fetch_add(missing as u64, Ordering::Relaxed);
    }
    fn read(&self) -> (u64, u64) {
        (self.kept.load(Ordering::Relaxed), self.missing.load(Ordering::Relaxed))
    }
}

impl Counts {
    pub(super) fn question(&self) {
        self.questions.fetch_add(1, Ordering::Relaxed);
    }
    pub(super) fn unanswered(&self) {
        self.unanswered.fetch_add(1, Ordering::Relaxed);
    }
    pub(super) const fn headers(&self) -> &Lookups {
        &self.headers
    }
    pub(super) const fn blocks(&self) -> &Lookups {
        &self.blocks
    }
    pub(super) fn read(&self, refused_checks: u64) -> Counted {
        Counted {
            questions: self.questions.load(Ordering::Relaxed),
            unanswered: self.unanswered.load(Ordering::Relaxed),
            headers: self.headers.read(),
            blocks: self.blocks.read(),
            refused_checks,
        }
    }
}
