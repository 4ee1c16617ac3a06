//! What happened, in order: a number that two runs of a seed have to agree in, and, where it is wanted, the lines.

use std::collections::VecDeque;
use std::fmt;
use std::hash::{DefaultHasher, Hasher};

/// Lines that are kept.
const KEPT: usize = 400;

/// The trace of a run.
pub struct Trace {
    hasher: DefaultHasher,
    lines: Option<VecDeque<String>>,
}

impl Trace {
    /// Keeps the last lines only if they are wanted.
    pub fn new(lines: bool) -> Self {
        // Its keys are always the same.
        Self { hasher: DefaultHasher::new(), lines: lines.then(VecDeque::new) }
    }
    /// Something has happened: `what` tells it, and `facts` are what two runs have to agree in.
    pub fn note(&mut self, now: u64, facts: &[u64], what: fmt::Arguments<'_>) {
        self.hasher.write_u64(now);
        for fact in facts {
            self.hasher.write_u64(*fact);
        }
        if let Some(lines) = &mut self.lines {
            if lines.len() == KEPT {
                lines.pop_front();
            }
            lines.push_back(format!("{:>9.3} s  {what}", now as f64 / 1000.0));
        }
    }
    /// The number.
    pub fn hash(&self) -> u64 {
        self.hasher.finish()
    }
    /// The last lines.
    pub fn lines(&self) -> Vec<String> {
        self.lines.iter().flatten().cloned().collect()
    }
}

/// The first bytes of a hash as a fact.
pub fn fact(bytes: &[u8]) -> u64 {
    bytes.first_chunk().map_or(0, |bytes| u64::from_le_bytes(*bytes))
}
