//! Pauses that grow with each failure.

use std::time::Duration;

/// The first pause, doubled so many times, up to the longest.
pub fn doubled(first: Duration, times: u32, longest: Duration) -> Duration {
    first.saturating_mul(1_u32.checked_shl(times).unwrap_or(u32::MAX)).min(longest)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pause_doubles_up_to_the_longest_and_never_overflows() {
        let seconds = |times| doubled(Duration::from_secs(2), times, Duration::from_secs(60)).as_secs();
        assert_eq!([0, 1, 4, 5, 31, 32, u32::MAX].map(seconds), [2, 4, 32, 60, 60, 60, 60]);
    }
}
