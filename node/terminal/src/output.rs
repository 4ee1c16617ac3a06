//! The terminal: standard output for data, standard error for talk, and never a panic over a closed pipe.

use crate::logging::Logging;
use crate::wording::printable_lines;
use crate::{Exit, Failure, GlobalArgs, prompt, style};
use serde::Serialize;
use serde_json::{Map, Value};
use std::fmt::Display;
use std::io::{self, IsTerminal, Write};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use zeroize::Zeroizing;

/// Where a command prints.
#[derive(Debug, Clone)]
pub struct Terminal {
    globals: GlobalArgs,
    logging: Logging,
    attached: Arc<Mutex<Map<String, Value>>>,
    /// Why not all of the data could be written.
    unwritten: Arc<OnceLock<String>>,
    /// Whether whoever read has left.
    unread: Arc<AtomicBool>,
}

#[derive(Serialize)]
struct Tagged<'a, T> {
    schema: &'a str,
    #[serde(flatten)]
    value: &'a T,
    #[serde(flatten)]
    attached: &'a Map<String, Value>,
}

impl Terminal {
    pub(crate) fn new(globals: GlobalArgs, logging: Logging) -> Self {
        Self { globals, logging, attached: Arc::default(), unwritten: Arc::default(), unread: Arc::default() }
    }
    /// Whether machine output is wanted.
    pub fn is_json(&self) -> bool {
        self.globals.json
    }
    /// The flags of every command.
    pub fn globals(&self) -> &GlobalArgs {
        &self.globals
    }
    /// The running log, for muting a target or changing the filter.
    pub fn logging(&self) -> &Logging {
        &self.logging
    }
    /// Whether somebody can be asked. Standard input may carry a message at the same time: questions go
    /// to the terminal itself.
    pub fn can_ask(&self) -> bool {
        !self.globals.no_input && prompt::has_terminal()
    }
    /// Asks for one line on the terminal; `None` if the person ended the input. Nobody there: exit 4.
    pub fn ask(&self, question: &str) -> Result<Option<String>, Failure> {
        prompt::ask(&self.globals, question)
    }
    /// Asks yes or no, no by default; `--yes` answers for the person. Nobody there: exit 4.
    pub fn confirm(&self, question: &str) -> Result<bool, Failure> {
        prompt::confirm(&self.globals, question)
    }
    /// Shows a secret on a screen of its own until the person presses Enter: nothing of it stays in the
    /// terminal's window or in what can be scrolled back to. Nobody there: exit 4.
    pub fn show_secret(&self, secret: &str, question: &str) -> Result<(), Failure> {
        prompt::show_secret(&self.globals, secret, question)
    }
    /// Asks for a secret, such as words that restore a wallet, on a screen of its own. Nobody there: exit 4.
    pub fn ask_secret(&self, question: &str) -> Result<Zeroizing<String>, Failure> {
        prompt::ask_secret(&self.globals, question)
    }
    /// Ends the program while a secret may be on the screen, and takes it away before.
    pub fn leave_secret(&self, exit: Exit) -> ! {
        prompt::leave_secret();
        std::process::exit(exit.code().into())
    }
    /// Whether progress may be drawn.
    pub fn shows_progress(&self) -> bool {
        !self.globals.json && !self.globals.quiet && io::stderr().is_terminal()
    }
    /// A line of data for people; silent in JSON mode.
    pub fn say(&self, line: impl Display) {
        if !self.globals.json && !self.is_unread() {
            self.written(write_line(anstream::stdout(), &line));
        }
    }
    /// A line of talk, on standard error; silent when quiet or in JSON mode.
    pub fn note(&self, line: impl Display) {
        if !self.globals.quiet && !self.globals.json {
            tell(anstream::stderr(), &line);
        }
    }
    /// A warning, on standard error, even when quiet; a JSON object there in JSON mode.
    pub fn warn(&self, line: impl Display) {
        let line = line.to_string();
        if self.globals.json {
            let warning = serde_json::json!({ "schema": "sealpost/warning/1", "message": line });
            tell(io::stderr(), &warning);
        } else {
            tell(
                anstream::stderr(),
                &format_args!("{} {}", style::caution("warning:"), printable_lines(&line)),
            );
        }
    }
    /// One JSON object with its schema, such as `sealpost/send/1`, in one line; silent without JSON mode.
    pub fn emit<T: Serialize>(&self, schema: &str, value: &T) {
        if self.globals.json
            && !self.is_unread()
            && let Ok(line) = serde_json::to_string(&Tagged { schema, value, attached: &self.attached() })
        {
            self.written(write_line(io::stdout(), &line));
        }
    }
    /// Adds a key to every JSON object that is emitted from now on: for what concerns all of a command's answers.
    pub fn attach<T: Serialize>(&self, key: &str, value: &T) {
        // Our own plain types: they become JSON.
        if let Ok(value) = serde_json::to_value(value) {
            self.attached().insert(key.to_owned(), value);
        }
    }
    /// Whether a key is added so.
    pub fn attaches(&self, key: &str) -> bool {
        self.attached().contains_key(key)
    }
    /// Leaves out again what was added so.
    pub fn detach(&self, key: &str) {
        self.attached().remove(key);
    }
    fn attached(&self) -> MutexGuard<'_, Map<String, Value>> {
        self.attached.lock().unwrap_or_else(PoisonError::into_inner)
    }
    /// How far a long work is, for programs: an object on standard error in JSON mode, nothing otherwise.
    pub fn progress<T: Serialize>(&self, value: &T) {
        let tagged = Tagged { schema: "sealpost/progress/1", value, attached: &Map::new() };
        if self.globals.json
            && let Ok(line) = serde_json::to_string(&tagged)
        {
            tell(io::stderr(), &line);
        }
    }
    /// Raw bytes as data: a file that was asked for on standard output.
    pub fn write(&self, bytes: &[u8]) {
        if self.is_unread() {
            return;
        }
        let mut out = io::stdout().lock();
        self.written(out.write_all(bytes).and_then(|()| out.flush()));
    }
    /// Whether whoever read standard output has left, as `| head` does. Nothing more is written then. What is being done
    /// goes on and has its own end; a command that does nothing but print, on and on, asks here and ends.
    pub fn is_unread(&self) -> bool {
        self.unread.load(Ordering::Relaxed)
    }
    /// That nobody reads is no failure. Another one, such as a full disk, ends nothing that is being done either, but is no
    /// success.
    fn written(&self, written: io::Result<()>) {
        match written {
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => {
                self.unread.store(true, Ordering::Relaxed);
            }
            Err(error) => drop(self.unwritten.set(error.to_string())),
            Ok(()) => {}
        }
    }
    /// What a command that has ended well ends with: if its data was not written, that.
    pub(crate) fn conclude(&self) -> Result<(), Failure> {
        let Some(why) = self.unwritten.get() else { return Ok(()) };
        let message = format_args!("what was done is done; standard output could not be written: {why}");
        Err(Failure::unavailable("file.io", message))
    }
    pub(crate) fn print_failure(globals: &GlobalArgs, failure: &Failure) {
        if failure.is_silent() {
            return;
        }
        if globals.json {
            tell(io::stderr(), &failure.to_json());
            return;
        }
        // What others wrote stands in both, such as a key of a file or the name of an attachment.
        let message = printable_lines(&failure.message);
        tell(anstream::stderr(), &format_args!("{} {message}", style::bad("error:")));
        if let Some(help) = &failure.help {
            tell(anstream::stderr(), &format_args!("{}  {}", style::strong("help:"), printable_lines(help)));
        }
    }
}

fn write_line(mut out: impl Write, line: &dyn Display) -> io::Result<()> {
    writeln!(out, "{line}").and_then(|()| out.flush())
}

/// Talk that nobody hears is no reason to end: a node goes on when its log reader dies.
fn tell(mut out: impl Write, line: &dyn Display) {
    // As one piece: whoever reads what several write never sees half a line.
    let _unheard = out.write_all(format!("{line}\n").as_bytes()).and_then(|()| out.flush());
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn whoever_stops_reading_ends_nothing_and_is_told_nothing_more() {
        let globals = GlobalArgs::default();
        let terminal = Terminal::new(globals.clone(), Logging::start(&globals, "warn").unwrap());
        assert!(!terminal.is_unread());
        terminal.written(Err(io::ErrorKind::BrokenPipe.into()));
        assert!(terminal.clone().is_unread(), "each that prints there knows it");
        assert!(terminal.conclude().is_ok(), "the command's own end counts");
        // A full disk is another matter.
        terminal.written(Err(io::ErrorKind::StorageFull.into()));
        assert_eq!(terminal.conclude().unwrap_err().code, "file.io");
    }
}
