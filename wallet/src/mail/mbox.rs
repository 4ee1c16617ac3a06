//! A mailbox in one file, in the form called mboxrd: every message begins with a line `From `, and lines of
//! a message that look like one get a `>` before them, which takes itself back.

use std::io::{self, Write};

/// Writes messages one after another.
#[derive(Debug)]
pub struct Mbox<W>(W);

impl<W: Write> Mbox<W> {
    /// A mailbox that is written to `out`.
    pub fn new(out: W) -> Self {
        Self(out)
    }
    /// Adds a message. Lines end as the system's do, not as in mail.
    pub fn add(&mut self, message: &[u8], time_ms: u64) -> io::Result<()> {
        let stamp = i64::try_from(time_ms).ok().and_then(|ms| jiff::Timestamp::from_millisecond(ms).ok());
        let date = stamp.unwrap_or_default().strftime("%a %b %e %H:%M:%S %Y");
        writeln!(self.0, "From MAILER-DAEMON {date}")?;
        for line in message.split_inclusive(|byte| *byte == b'\n') {
            let line = line.strip_suffix(b"\n").unwrap_or(line);
            let line = line.strip_suffix(b"\r").unwrap_or(line);
            let unquoted = line.iter().position(|byte| *byte != b'>').and_then(|from| line.get(from..));
            if unquoted.is_some_and(|rest| rest.starts_with(b"From ")) {
                self.0.write_all(b">")?;
            }
            self.0.write_all(line)?;
            self.0.write_all(b"\n")?;
        }
        self.0.write_all(b"\n")
    }
    /// What was written to.
    pub fn into_inner(self) -> W {
        self.0
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_line_that_looks_like_a_beginning_is_quoted_and_the_quote_is_quoted() {
        let mut mbox = Mbox::new(Vec::new());
        let message = b"Subject: x\r\n\r\nFrom here\r\n>From there\r\n >From\r\nFromage\r\n";
        mbox.add(message, 1_700_000_000_000).unwrap();
        mbox.add(b"Subject: y\r\n\r\nno end", 1_699_000_000_000).unwrap();
        let text = String::from_utf8(mbox.into_inner()).unwrap();
        let first = "From MAILER-DAEMON Tue Nov 14 22:13:20 2023\nSubject: x\n\n>From here\n>>From there\n >From\nFromage\n\n";
        let second = "From MAILER-DAEMON Fri Nov  3 08:26:40 2023\nSubject: y\n\nno end\n\n";
        assert_eq!(text, [first, second].concat());
    }
}
