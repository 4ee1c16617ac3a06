//! How fast blocks come: a line for the log now and then, while many are to come.

use super::Progress;
use sealpost_ledger::height::BlockHeight;
use std::time::{Duration, Instant};

/// Pause between two lines.
const PAUSE: Duration = Duration::from_secs(5);
/// Fewer blocks than these are not worth a line.
const WORTH_A_LINE: u64 = 100;

/// When it was looked at last, and how far the chain was.
#[derive(Debug)]
pub(super) struct Pace {
    at: Instant,
    height: BlockHeight,
}

/// What is to be said.
#[derive(Debug, PartialEq)]
pub(super) struct Line {
    pub(super) blocks_per_second: f64,
    /// Until the rest is here, if it goes on like this; infinite if nothing came.
    pub(super) seconds_left: f64,
}

impl Pace {
    pub(super) const fn new(at: Instant, height: BlockHeight) -> Self {
        Self { at, height }
    }
    /// What is to be said now, if anything.
    pub(super) fn line(&mut self, progress: &Progress, now: Instant) -> Option<Line> {
        let passed = now.saturating_duration_since(self.at);
        if passed < PAUSE {
            return None;
        }
        let blocks = progress.height.blocks_since(self.height);
        *self = Self::new(now, progress.height);
        let behind = progress.behind();
        let blocks_per_second = blocks as f64 / passed.as_secs_f64();
        // A number divided by zero is infinite.
        let seconds_left = behind as f64 / blocks_per_second;
        (behind >= WORTH_A_LINE).then_some(Line { blocks_per_second, seconds_left })
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn progress(height: u64, agreed: u64) -> Progress {
        let [height, agreed, proven] = [height, agreed, 0].map(BlockHeight::new);
        Progress { fulfilled: 0, height, target: agreed, agreed, proven, heard: true }
    }

    #[test]
    fn it_is_said_every_five_seconds_how_fast_blocks_come_and_how_long_it_takes() {
        let (start, second) = (Instant::now(), Duration::from_secs(1));
        let mut pace = Pace::new(start, BlockHeight::new(50));
        assert_eq!(pace.line(&progress(90, 1_000), start + second * 4), None, "too early");
        let line = |blocks_per_second, seconds_left| Some(Line { blocks_per_second, seconds_left });
        assert_eq!(pace.line(&progress(100, 1_000), start + second * 5), line(10.0, 90.0));
        assert_eq!(pace.line(&progress(100, 1_000), start + second * 9), None, "again");
        assert_eq!(pace.line(&progress(100, 1_000), start + second * 10), line(0.0, f64::INFINITY));
        assert_eq!(pace.line(&progress(150, 1_000), start + second * 20), line(5.0, 170.0));
    }

    #[test]
    fn the_last_hundred_blocks_are_not_worth_a_line() {
        let (start, much) = (Instant::now(), Duration::from_secs(60));
        let at = |height| Pace::new(start, BlockHeight::GENESIS).line(&progress(height, 1_000), start + much);
        assert!(at(900).is_some());
        assert_eq!(at(901), None);
    }
}
