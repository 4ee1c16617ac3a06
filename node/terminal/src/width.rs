//! How wide the terminal is, and what follows from it: text is broken and ids are shortened for people at a
//! terminal only. Into a pipe or a file both go whole, since a program or a later command reads them there.

use crate::{Terminal, short, short_address};
use std::fmt::Display;

/// No terminal is taken to be narrower.
const LEAST: usize = 20;

impl Terminal {
    /// Columns of the terminal that standard output goes to; nothing if it goes elsewhere.
    pub fn columns(&self) -> Option<usize> {
        columns()
    }
    /// Text in lines that fit the terminal, broken between words; unchanged where there is no terminal.
    pub fn wrapped(&self, text: &str) -> String {
        self.columns().map_or_else(|| text.to_owned(), |columns| wrapped_to(text, columns))
    }
    /// An id, shortened at a terminal.
    pub fn id(&self, id: impl Display) -> String {
        if self.columns().is_some() { short(id) } else { id.to_string() }
    }
    /// An address, shortened at a terminal.
    pub fn address(&self, address: impl Display) -> String {
        if self.columns().is_some() { short_address(address) } else { address.to_string() }
    }
}

fn columns() -> Option<usize> {
    let (width, _) = terminal_size::terminal_size_of(std::io::stdout())?;
    Some(usize::from(width.0).max(LEAST))
}

/// Links and ids longer than a line stay whole, so that they can be copied.
fn wrapped_to(text: &str, columns: usize) -> String {
    textwrap::fill(text, textwrap::Options::new(columns).break_words(false))
}

/// Columns of a line of [`fenced`] text, at most: as many as the narrowest of the usual terminals has.
const FENCED: usize = 80;

/// Text that somebody else wrote, in lines that each begin as ours do not: the first with `first`, all others with `next`.
/// No line is so long that a terminal breaks it, and what follows begins where our own words begin.
pub fn fenced(text: &str, first: &str, next: &str) -> Vec<String> {
    let columns = columns().map_or(FENCED, |columns| columns.min(FENCED));
    let options =
        textwrap::Options::new(columns).initial_indent(first).subsequent_indent(next).break_words(true);
    // How far a tab reaches is the terminal's matter.
    textwrap::wrap(&text.replace('\t', "    "), options)
        .into_iter()
        .map(std::borrow::Cow::into_owned)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::{FENCED, fenced, wrapped_to};

    #[test]
    fn what_others_wrote_never_begins_a_line_of_its_own() {
        let text = format!("{}✔ opened by bob\n世界{}", "x".repeat(FENCED), "世".repeat(FENCED));
        let lines = fenced(&text, "Subject  ", "  | ");
        assert!(
            lines.len() > 3 && lines.first().is_some_and(|line| line.starts_with("Subject  ")),
            "{lines:?}"
        );
        assert!(lines.iter().skip(1).all(|line| line.starts_with("  | ")), "{lines:?}");
        assert!(lines.iter().all(|line| textwrap::core::display_width(line) <= FENCED), "{lines:?}");
        assert_eq!(fenced("", "  | ", "  | "), ["  | "]);
    }

    #[test]
    fn lines_are_broken_between_words_and_long_words_stay_whole() {
        let id = "ab".repeat(32);
        let text = format!("The lift in house seven is out.\n\n  indented\n{id} is its id");
        let wrapped = wrapped_to(&text, 20);
        assert_eq!(wrapped, format!("The lift in house\nseven is out.\n\n  indented\n{id}\nis its id"));
    }

    #[test]
    fn wide_characters_take_two_columns() {
        assert_eq!(wrapped_to("世界世界 世界世界 世界世界", 20), "世界世界 世界世界\n世界世界");
    }
}
