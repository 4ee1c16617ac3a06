//! How ids, sizes and times are written for people, and how foreign text is made harmless to print.

use jiff::Timestamp;
use std::fmt::Write;
use std::time::Duration;

/// The beginning and end of a long id: `5d0c1f…91ab`.
pub fn short(id: impl std::fmt::Display) -> String {
    let id = id.to_string();
    match (id.get(..8), id.get(id.len().saturating_sub(4)..)) {
        (Some(start), Some(end)) if id.len() > 16 => format!("{start}…{end}"),
        _ => id,
    }
}

/// An address with prefix and tail: `seal1p8…q7xk`.
pub fn short_address(address: impl std::fmt::Display) -> String {
    let text = address.to_string();
    let start = text.rfind('1').map_or(4, |at| at + 3);
    match (text.get(..start), text.get(text.len().saturating_sub(4)..)) {
        (Some(head), Some(tail)) if text.len() > start + 4 => format!("{head}…{tail}"),
        _ => text,
    }
}

/// A count or height with its thousands apart: `18 203`.
pub fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(' ');
        }
        text.push(digit);
    }
    text
}

/// A number with its noun: `1 validator`, `4 validators`. For nouns that take an s.
pub fn counted(number: u64, noun: &str) -> String {
    let ending = if number == 1 { "" } else { "s" };
    format!("{} {noun}{ending}", grouped(number))
}

/// Text that somebody else wrote, fit for one line of a terminal. Control characters (escape sequences
/// among them) and the marks that turn the direction of writing are shown as `\u{…}` instead of obeyed,
/// so that a subject line can't paint over what we say about it.
pub fn printable(text: &str) -> String {
    escaped(text, |_| false)
}

/// As [`printable`], for text of several lines: line breaks and tabs stay.
pub fn printable_lines(text: &str) -> String {
    escaped(text, |c| matches!(c, '\n' | '\t'))
}

fn escaped(text: &str, keep: impl Fn(char) -> bool) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        if keep(c) || !(c.is_control() || is_invisible_mark(c)) {
            out.push(c);
        } else {
            // Writing into a string does not fail.
            let _infallible = write!(out, "\\u{{{:x}}}", u32::from(c));
        }
    }
    out
}

/// Direction marks, zero-width characters, fillers, line separators, annotations and tag characters.
fn is_invisible_mark(c: char) -> bool {
    matches!(c,
        '\u{ad}' | '\u{34f}' | '\u{115f}' | '\u{1160}' | '\u{17b4}' | '\u{17b5}' | '\u{180b}'..='\u{180f}'
        | '\u{3164}' | '\u{ffa0}' | '\u{fff9}'..='\u{fffb}' | '\u{1bca0}'..='\u{1bca3}'
        | '\u{1d173}'..='\u{1d17a}' | '\u{e0080}'..='\u{e0fff}' | '\u{61c}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}'
        | '\u{feff}' | '\u{e0000}'..='\u{e007f}')
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
    fn addresses_keep_prefix_and_tail() {
        assert_eq!(short_address("seal1p8wwwwwwwwwwwwwwq7xk"), "seal1p8…q7xk");
        assert_eq!(short_address("alice"), "alice");
    }

    #[test]
    fn counts_are_grouped() {
        assert_eq!((grouped(7).as_str(), grouped(18_203).as_str()), ("7", "18 203"));
        assert_eq!(grouped(1_018_203), "1 018 203");
    }

    #[test]
    fn one_is_no_plural() {
        assert_eq!(
            (counted(1, "validator").as_str(), counted(0, "peer").as_str()),
            ("1 validator", "0 peers")
        );
        assert_eq!(counted(1_200, "transaction"), "1 200 transactions");
    }

    #[test]
    fn foreign_text_cannot_steer_the_terminal() {
        assert_eq!(printable("a\x1b[2Jb\r\n"), "a\\u{1b}[2Jb\\u{d}\\u{a}");
        assert_eq!(printable("txt.\u{202e}exe"), "txt.\\u{202e}exe");
        assert_eq!(printable_lines("two\nlines\x07"), "two\nlines\\u{7}");
        // Fillers that look like nothing, and marks that only some programs hide.
        assert_eq!(printable("a\u{ad}\u{3164}\u{180e}b"), "a\\u{ad}\\u{3164}\\u{180e}b");
        assert_eq!(printable("Grüße, 世界 ✔"), "Grüße, 世界 ✔");
    }

    #[test]
    fn long_ids_are_shortened_and_short_ones_left() {
        assert_eq!(short("ab".repeat(32)), "abababab…abab");
        assert_eq!(short("abcd"), "abcd");
    }
}
