//! `send --sealed`: what it hides, what it leaves to be seen, and the pause before it goes.

use clap::Args;
use sealpost_ledger::message::Mode;
use sealpost_terminal::Failure;
use std::time::Duration;

/// Longest pause: a message has to reach a block before it expires.
const LONGEST: Duration = Duration::from_secs(24 * 60 * 60);

#[derive(Debug, Args)]
pub(super) struct SealedArgs {
    /// Hide who writes to whom
    ///
    /// A key made for this message alone signs it, the recipients are hidden, and your signature is inside, where
    /// the recipients find it (and each other). They find the message by scanning; receipts and replies come
    /// back sealed, too. What everybody still sees: that somebody sent a sealed message, to how many, in which
    /// size class, and when; and the node that takes it in sees your network address. A member's quota does not
    /// count for it: a one-time key pays postage like a stranger.
    #[arg(long)]
    sealed: bool,
    /// Wait a random time up to this before the message goes to the node: 30s, 10m, 2h
    ///
    /// It blurs when it was written: nothing is signed before. It is a draft meanwhile: if the program ends early,
    /// `sealpost send --draft` sends it. What goes ahead in parts waits, too.
    #[arg(long, value_name = "MAX", value_parser = duration, requires = "sealed")]
    delay: Option<Duration>,
}

impl SealedArgs {
    /// Whatever was asked for: this one is sealed.
    pub(super) fn seal(&mut self) {
        self.sealed = true;
    }
    pub(super) fn mode(&self) -> Mode {
        if self.sealed { Mode::Sealed } else { Mode::Open }
    }
    /// The pause: random, up to what was asked for.
    pub(super) fn pause(&self) -> Result<Option<Duration>, Failure> {
        let Some(most) = self.delay else { return Ok(None) };
        let random = crate::random::random::<8>().map_err(crate::failure)?;
        let most_ms = u64::try_from(most.as_millis()).unwrap_or(u64::MAX);
        Ok(Some(Duration::from_millis(u64::from_le_bytes(*random) % most_ms.saturating_add(1))))
    }
}

fn duration(text: &str) -> Result<Duration, String> {
    let wrong = || "a whole number and s, m or h, up to 24h: 30s, 10m, 2h".to_owned();
    let unit = text.chars().last().ok_or_else(wrong)?;
    let seconds: u64 = match unit {
        's' => 1,
        'm' => 60,
        'h' => 3600,
        _ => return Err(wrong()),
    };
    let number: u64 = text.trim_end_matches(unit).parse().map_err(|_| wrong())?;
    let length = Duration::from_secs(number.saturating_mul(seconds));
    if length > LONGEST { Err(wrong()) } else { Ok(length) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pause_is_a_number_and_a_unit_within_a_day() {
        assert_eq!(duration("90s"), Ok(Duration::from_secs(90)));
        assert_eq!(duration("10m"), Ok(Duration::from_secs(600)));
        assert_eq!(duration("24h"), Ok(LONGEST));
        for wrong in ["", "10", "m", "25h", "-1s", "1d", "1.5h", "99999999999999999999h"] {
            assert!(duration(wrong).is_err(), "{wrong}");
        }
    }
}
