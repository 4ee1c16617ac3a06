//! Colours for people. They are put into the text here and taken out again by
//! [`Terminal`](crate::Terminal) where they are not wanted, so callers never ask.
//! Nothing is told by colour alone: every mark is a sign or a word too.

use std::fmt::Display;

use anstyle::{AnsiColor, Style};

fn painted(style: Style, text: impl Display) -> String {
    format!("{style}{text}{style:#}")
}

/// Something held: green.
pub fn good(text: impl Display) -> String {
    painted(AnsiColor::Green.on_default(), text)
}

/// Something failed: bold red.
pub fn bad(text: impl Display) -> String {
    painted(AnsiColor::Red.on_default().bold(), text)
}

/// Something to look at: yellow.
pub fn caution(text: impl Display) -> String {
    painted(AnsiColor::Yellow.on_default().bold(), text)
}

/// Secondary text: dimmed.
pub fn faint(text: impl Display) -> String {
    painted(Style::new().dimmed(), text)
}

/// What the eye should find first: bold.
pub fn strong(text: impl Display) -> String {
    painted(Style::new().bold(), text)
}

/// A step that held: `✔ text`.
pub fn held(text: impl Display) -> String {
    format!("{} {text}", good("✔"))
}

/// A step that did not hold: `✘ text`.
pub fn not_held(text: impl Display) -> String {
    format!("{} {text}", bad("✘"))
}
