//! The terminal: standard output for data, standard error for talk, and never a panic over a closed pipe.

use crate::GlobalArgs;
use anstyle::{AnsiColor, Style};
use serde::Serialize;
use std::fmt::Display;
use std::io::{self, IsTerminal, Write};

/// Where a command prints.
#[derive(Debug, Clone)]
pub struct Terminal {
    globals: GlobalArgs,
}

#[derive(Serialize)]
struct Tagged<'a, T> {
    schema: &'a str,
    #[serde(flatten)]
    value: &'a T,
}

impl Terminal {
    pub(crate) fn new(globals: GlobalArgs) -> Self {
        Self { globals }
    }
    /// Whether machine output is wanted.
    pub fn is_json(&self) -> bool {
        self.globals.json
    }
    /// The flags of every command.
    pub fn globals(&self) -> &GlobalArgs {
        &self.globals
    }
    /// Whether somebody can be asked.
    pub fn can_ask(&self) -> bool {
        !self.globals.no_input && io::stdin().is_terminal()
    }
    /// Whether progress may be drawn.
    pub fn shows_progress(&self) -> bool {
        !self.globals.json && !self.globals.quiet && io::stderr().is_terminal()
    }
    /// A line of data for people; silent in JSON mode.
    pub fn say(&self, line: impl Display) {
        if !self.globals.json {
            write_line(anstream::stdout(), &line);
        }
    }
    /// A line of talk, on standard error; silent when quiet or in JSON mode.
    pub fn note(&self, line: impl Display) {
        if !self.globals.quiet && !self.globals.json {
            write_line(anstream::stderr(), &line);
        }
    }
    /// A warning, on standard error, even when quiet.
    pub fn warn(&self, line: impl Display) {
        let style = Style::new().fg_color(Some(AnsiColor::Yellow.into())).bold();
        write_line(anstream::stderr(), &format_args!("{style}warning:{style:#} {line}"));
    }
    /// One JSON object with its schema, such as `sealpost/send/1`, in one line; silent without JSON mode.
    pub fn emit<T: Serialize>(&self, schema: &str, value: &T) {
        if self.globals.json
            && let Ok(line) = serde_json::to_string(&Tagged { schema, value })
        {
            write_line(io::stdout(), &line);
        }
    }
    /// Raw bytes as data: a file that was asked for on standard output.
    pub fn write(&self, bytes: &[u8]) {
        let mut out = io::stdout().lock();
        let written = out.write_all(bytes).and_then(|()| out.flush());
        end_on_closed_pipe(written);
    }
    pub(crate) fn fail(&self, failure: &crate::Failure) {
        if self.globals.json {
            write_line(io::stderr(), &failure.to_json());
            return;
        }
        let style = Style::new().fg_color(Some(AnsiColor::Red.into())).bold();
        write_line(anstream::stderr(), &format_args!("{style}error:{style:#} {}", failure.message));
        if let Some(help) = &failure.help {
            let style = Style::new().bold();
            write_line(anstream::stderr(), &format_args!("{style}help:{style:#}  {help}"));
        }
    }
}

fn write_line(mut out: impl Write, line: &dyn Display) {
    let written = writeln!(out, "{line}").and_then(|()| out.flush());
    end_on_closed_pipe(written);
}

/// Whoever read has left, as `| head` does: ends quietly. Other failures have nowhere to be told.
fn end_on_closed_pipe(written: io::Result<()>) {
    if written.is_err_and(|error| error.kind() == io::ErrorKind::BrokenPipe) {
        std::process::exit(0);
    }
}
