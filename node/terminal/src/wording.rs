//! How ids, sizes and times are written for people.

use jiff::Timestamp;
use std::time::Duration;

/// The beginning and end of a long id: `5d0c1f…91ab`.
pub fn short(id: impl std::fmt::Display) -> String {
    let id = id.to_string();
    match (id.get(..8), id.get(id.len().saturating_sub(4)..)) {
        (Some(start), Some(end)) if id.len() > 16 => format!("{start}…{end}"),
        _ => id,
    }
}

/// A size: `1.2 KiB`.
pub fn bytes(count: u64) -> String {
    bytesize::ByteSize(count).display().iec().to_string()
}

/// A duration: `3.2 ms`, `1.4 s`, `12 min`.
pub fn seconds(duration: Duration) -> String {
    let s = duration.as_secs_f64();
    match s {
        s if s < 0.01 => format!("{:.1} ms", s * 1e3),
        s if s < 1.0 => format!("{:.0} ms", s * 1e3),
        s if s < 120.0 => format!("{s:.1} s"),
        s if s < 7200.0 => format!("{:.0} min", s / 60.0),
        s => format!("{:.1} h", s / 3600.0),
    }
}

/// Milliseconds since 1970 as RFC 3339 in UTC, with milliseconds.
pub fn rfc3339(time_ms: u64) -> String {
    let stamp = i64::try_from(time_ms).ok().and_then(|ms| Timestamp::from_millisecond(ms).ok());
    stamp.map_or_else(|| "(no time)".into(), |stamp| format!("{stamp:.3}"))
}

/// Milliseconds since 1970 as UTC for people: `2026-11-24 12:04:07 UTC`.
pub fn clock(time_ms: u64) -> String {
    let stamp = i64::try_from(time_ms).ok().and_then(|ms| Timestamp::from_millisecond(ms).ok());
    stamp.map_or_else(|| "(no time)".into(), |stamp| stamp.strftime("%Y-%m-%d %H:%M:%S UTC").to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_written_in_utc() {
        assert_eq!(rfc3339(1_700_000_000_123), "2023-11-14T22:13:20.123Z");
        assert_eq!(clock(1_700_000_000_123), "2023-11-14 22:13:20 UTC");
    }

    #[test]
    fn long_ids_are_shortened_and_short_ones_left() {
        assert_eq!(short("ab".repeat(32)), "abababab…abab");
        assert_eq!(short("abcd"), "abcd");
    }
}
