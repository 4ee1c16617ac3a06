//! The recorded counts, one on a line, and what is said where those of a run differ.

use std::fmt;

/// What records anew.
pub(crate) const COMMAND: &str = "cargo run --release -p sealpost-counts -- record";
/// A count this many percent off, up or down, is a finding.
const TOLERANCE_PERCENT: u128 = 5;
const MADE_BY: &str = "made by ";

/// Instructions by operation, in the order in which they are done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Record {
    /// Compiler, its host and valgrind. Counts by others can't be compared.
    pub(crate) made_by: String,
    /// What was done, and its instructions.
    pub(crate) counts: Vec<(String, u64)>,
}

impl Record {
    /// Reads what [`Display`](fmt::Display) wrote.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let mut made_by = None;
        let mut counts = Vec::new();
        for (line, number) in text.lines().zip(1..) {
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            if let Some(programs) = line.strip_prefix(MADE_BY) {
                made_by = Some(programs.to_owned());
                continue;
            }
            let count = line.trim_start().split_once(' ').and_then(|(count, name)| {
                let count = count.replace('_', "").parse().ok()?;
                Some((name.trim().to_owned(), count))
            });
            counts.push(count.ok_or_else(|| format!("line {number} is no count: {line}"))?);
        }
        let made_by = made_by.ok_or("no line says what the counts were made by")?;
        Ok(Self { made_by, counts })
    }
}

impl fmt::Display for Record {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "# Instructions of each operation (docs/testing.md). Written by: {COMMAND}")?;
        writeln!(f, "{MADE_BY}{}", self.made_by)?;
        for (name, count) in &self.counts {
            writeln!(f, "{:>13} {name}", grouped(*count))?;
        }
        Ok(())
    }
}

/// `1234567` as `1_234_567`.
fn grouped(count: u64) -> String {
    let digits = count.to_string();
    let mut out = String::new();
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            out.push('_');
        }
        out.push(digit);
    }
    out
}

/// What became of an operation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// Within the tolerance.
    Same,
    /// It costs more.
    More,
    /// It costs less, and the count that stands recorded would hide the way back.
    Less,
    /// Counted, but not recorded.
    New,
    /// Recorded, but not counted.
    Gone,
}

impl Verdict {
    /// Whether there is nothing to do.
    pub(crate) fn is_fine(self) -> bool {
        self == Verdict::Same
    }
}

/// An operation, as recorded and as counted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Line {
    name: String,
    recorded: Option<u64>,
    counted: Option<u64>,
}

impl Line {
    /// Percent that the count has grown by.
    fn growth(&self) -> Option<f64> {
        let (recorded, counted) = (self.recorded? as f64, self.counted? as f64);
        Some((counted / recorded - 1.0) * 100.0)
    }
    /// What became of it.
    pub(crate) fn verdict(&self) -> Verdict {
        let (recorded, counted) = match (self.recorded, self.counted) {
            (None, _) => return Verdict::New,
            (_, None) => return Verdict::Gone,
            (Some(recorded), Some(counted)) => (recorded, counted),
        };
        let within = u128::from(recorded.abs_diff(counted)) * 100 <= u128::from(recorded) * TOLERANCE_PERCENT;
        // Nothing takes no instructions: a count of zero means that counting did not work.
        if within && counted > 0 {
            Verdict::Same
        } else if counted <= recorded {
            Verdict::Less
        } else {
            Verdict::More
        }
    }
}

impl fmt::Display for Line {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let number = |count: Option<u64>| count.map_or("-".to_owned(), grouped);
        let growth = self.growth().map_or(String::new(), |growth| format!("{growth:+.2} %"));
        let words = match self.verdict() {
            Verdict::Same => "",
            Verdict::More => "  COSTS MORE",
            Verdict::Less => "  COSTS LESS: record it",
            Verdict::New => "  NEW: record it",
            Verdict::Gone => "  GONE: record that",
        };
        let (recorded, counted) = (number(self.recorded), number(self.counted));
        write!(f, "{recorded:>13} {counted:>13} {growth:>10}  {}{words}", self.name)
    }
}

/// All operations of both, those that are recorded first.
pub(crate) fn compare(recorded: &Record, counted: &Record) -> Vec<Line> {
    let find = |of: &Record, name: &str| of.counts.iter().find(|(other, _)| other == name).map(|(_, n)| *n);
    let line = |name: &str| Line {
        name: name.to_owned(),
        recorded: find(recorded, name),
        counted: find(counted, name),
    };
    let new = counted.counts.iter().filter(|(name, _)| find(recorded, name).is_none());
    recorded.counts.iter().chain(new).map(|(name, _)| line(name)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(counts: &[(&str, u64)]) -> Record {
        let counts = counts.iter().map(|(name, count)| ((*name).to_owned(), *count)).collect();
        Record { made_by: "rustc 1, valgrind 2".into(), counts }
    }

    fn verdict(recorded: u64, counted: u64) -> Verdict {
        let lines = compare(&record(&[("a", recorded)]), &record(&[("a", counted)]));
        assert_eq!(lines.len(), 1);
        lines[0].verdict()
    }

    #[test]
    fn five_percent_are_let_pass_and_more_is_not() {
        assert_eq!(verdict(1000, 1000), Verdict::Same);
        assert_eq!(verdict(1000, 1050), Verdict::Same);
        assert_eq!(verdict(1000, 1051), Verdict::More);
        assert_eq!(verdict(1000, 950), Verdict::Same);
        assert_eq!(verdict(1000, 949), Verdict::Less);
        assert_eq!(verdict(1000, 0), Verdict::Less);
        assert_eq!(verdict(0, 1000), Verdict::More);
        assert!(!verdict(0, 0).is_fine());
    }

    #[test]
    fn an_operation_does_not_vanish_or_appear_unnoticed() {
        let lines = compare(&record(&[("a", 1), ("b", 2)]), &record(&[("b", 2), ("c", 3)]));
        let verdicts: Vec<_> = lines.iter().map(Line::verdict).collect();
        assert_eq!(verdicts, [Verdict::Gone, Verdict::Same, Verdict::New]);
        assert_eq!(verdicts.iter().filter(|verdict| verdict.is_fine()).count(), 1);
    }

    #[test]
    fn what_is_written_is_read_again() {
        let written = record(&[("check one signature", 1_234_567), ("b", 12), ("c", 999_000)]);
        assert_eq!(Record::parse(&written.to_string()), Ok(written));
        assert!(Record::parse("made by x\n12x some").is_err());
        assert!(Record::parse("12 some").is_err());
    }
}
