//! How people say since when: a day, a time, or how long ago.

use jiff::civil::Date;
use jiff::tz::TimeZone;
use jiff::{Span, Timestamp, ZonedDateTime};

/// A time in milliseconds since 1970 UTC: `2026-11-24` (UTC), an RFC 3339 time, or `2d`, `12h`, `1w` ago.
pub(super) fn since(text: &str) -> Result<u64, String> {
    since_as_of(text, &Timestamp::now().to_zoned_datetime(TimeZone::UTC))
}

fn since_as_of(text: &str, now: &ZonedDateTime) -> Result<u64, String> {
    let ago = |span: Span| now.checked_sub(span).ok().map(|time| time.timestamp());
    let day = |date: Date| date.to_zoned_datetime(TimeZone::UTC).ok().map(|time| time.timestamp());
    let time = text.parse::<Timestamp>().ok();
    let time = time.or_else(|| text.parse::<Date>().ok().and_then(day));
    let time = time.or_else(|| text.parse::<Span>().ok().and_then(ago));
    let time = time.and_then(|time| u64::try_from(time.as_millisecond()).ok());
    time.ok_or_else(|| "a day (2026-11-24), an RFC 3339 time, or how long ago (2d, 12h, 1w)".into())
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn days_times_and_spans_are_understood() {
        let now: ZonedDateTime = "2026-11-24T12:00:00[UTC]".parse().unwrap();
        let of = |text: &str| since_as_of(text, &now).map(sealpost_terminal::rfc3339);
        assert_eq!(of("2026-11-20").unwrap(), "2026-11-20T00:00:00.000Z");
        assert_eq!(of("2026-11-20T10:00:00+01:00").unwrap(), "2026-11-20T09:00:00.000Z");
        assert_eq!(of("2d").unwrap(), "2026-11-22T12:00:00.000Z");
        assert_eq!(of("1w 12h").unwrap(), "2026-11-17T00:00:00.000Z");
        for wrong in ["", "yesterday", "5", "2026-13-01", "-1", "300000y", "99999w"] {
            assert!(of(wrong).is_err(), "{wrong}");
        }
    }
}
