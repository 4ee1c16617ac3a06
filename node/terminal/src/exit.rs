//! Exit codes, the same for all three binaries, and [`Failure`]: what a command ends with when it does not
//! end well.
//!
//! Scripts act on the numbers and on the string codes, so both are stable. A failure exists only at the
//! edge, in the binaries: the crates below have their own typed errors and become one here.

use serde::Serialize;
use serde_json::{Map, Value};
use std::borrow::Cow;
use std::fmt;

/// How a program ends. Scripts may rely on the numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exit {
    /// 1: the answer is no.
    No,
    /// 2: usage or input is wrong.
    Usage,
    /// 3: could not ask: no node, network, timeout, disk.
    Unavailable,
    /// 4: locked: wrong or missing passphrase, or nobody to confirm.
    Locked,
    /// 5: refused by the ledger's rules.
    Refused,
    /// 6: what a node said failed our check.
    Untrusted,
    /// 70: a bug of ours.
    Bug,
    /// 130: interrupted.
    Interrupted,
    /// 143: ended by SIGTERM before the work was done.
    Terminated,
}

impl Exit {
    /// The number.
    pub const fn code(self) -> u8 {
        match self {
            Exit::No => 1,
            Exit::Usage => 2,
            Exit::Unavailable => 3,
            Exit::Locked => 4,
            Exit::Refused => 5,
            Exit::Untrusted => 6,
            Exit::Bug => 70,
            Exit::Interrupted => 130,
            Exit::Terminated => 143,
        }
    }
}

/// What stands at the end of a program's `--help`: its examples, and what its exit codes mean.
pub fn with_exit_codes(examples: &str) -> String {
    format!(
        "{examples}\n\nExit codes:\n  \
         0    done, or the answer is yes\n  \
         1    the answer is no: not valid, not known, not there\n  \
         2    the command line or the input is wrong\n  \
         3    could not ask: no node, network, time, disk\n  \
         4    locked: a passphrase or a confirmation is missing\n  \
         5    refused by the ledger's rules\n  \
         6    what a node said does not hold\n  \
         70   a mistake of ours\n  \
         130  interrupted; 143 ended by a signal"
    )
}

/// Why a command did not do what it was asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// How the program ends.
    pub exit: Exit,
    /// Stable code, such as `tx.postage_too_low`; the table stands in `docs/errors.md`.
    pub code: Cow<'static, str>,
    /// What happened: the field, the limit.
    pub message: String,
    /// The way out.
    pub help: Option<String>,
    /// Facts for programs, such as `field`, `limit`, `got`: further keys of the JSON form.
    pub details: Map<String, Value>,
    /// Whether the command has said all there is to say and only the exit code is left.
    silent: bool,
}

#[derive(Serialize)]
struct Json<'a> {
    schema: &'static str,
    code: &'a str,
    message: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    help: Option<&'a str>,
    exit: u8,
    #[serde(flatten)]
    details: &'a Map<String, Value>,
}

impl Failure {
    /// Makes a failure.
    pub fn new(exit: Exit, code: impl Into<Cow<'static, str>>, message: impl fmt::Display) -> Self {
        let (code, message) = (code.into(), message.to_string());
        Self { exit, code, message, help: None, details: Map::new(), silent: false }
    }
    /// Ends with this exit code and prints nothing more: the command has shown its answer, which is no,
    /// or somebody stopped it.
    pub fn silent(exit: Exit) -> Self {
        Self { silent: true, ..Self::new(exit, "silent", "") }
    }
    /// The answer is no.
    pub fn no(code: impl Into<Cow<'static, str>>, message: impl fmt::Display) -> Self {
        Self::new(Exit::No, code, message)
    }
    /// A secret or a confirmation is missing or wrong.
    pub fn locked(code: impl Into<Cow<'static, str>>, message: impl fmt::Display) -> Self {
        Self::new(Exit::Locked, code, message)
    }
    /// The ledger's rules refuse it.
    pub fn refused(code: impl Into<Cow<'static, str>>, message: impl fmt::Display) -> Self {
        Self::new(Exit::Refused, code, message)
    }
    /// What a node said failed our check.
    pub fn untrusted(code: impl Into<Cow<'static, str>>, message: impl fmt::Display) -> Self {
        Self::new(Exit::Untrusted, code, message)
    }
    /// A fault of the program.
    pub fn bug(message: impl fmt::Display) -> Self {
        Self::new(Exit::Bug, "internal.bug", message)
    }
    /// Wrong usage or input.
    pub fn usage(message: impl fmt::Display) -> Self {
        Self::new(Exit::Usage, "input.usage", message)
    }
    /// The disk, the network or a node could not be asked.
    pub fn unavailable(code: impl Into<Cow<'static, str>>, message: impl fmt::Display) -> Self {
        Self::new(Exit::Unavailable, code, message)
    }
    /// Adds the way out.
    #[must_use]
    pub fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }
    /// Adds a fact for programs.
    #[must_use]
    pub fn with(mut self, name: &str, value: impl Into<Value>) -> Self {
        self.details.insert(name.to_owned(), value.into());
        self
    }
    /// Appends an error and what lies beneath it to the message.
    #[must_use]
    pub fn because(mut self, error: &dyn std::error::Error) -> Self {
        let mut cause = Some(error);
        while let Some(error) = cause {
            let text = error.to_string();
            // Many errors repeat their source in their own text; a thing is said once.
            if !self.message.contains(&text) {
                self.message.push_str(": ");
                self.message.push_str(&text);
            }
            cause = error.source();
        }
        self
    }
    pub(crate) fn is_silent(&self) -> bool {
        self.silent
    }
    /// As one JSON object.
    pub fn to_json(&self) -> String {
        let json = Json {
            schema: "sealpost/error/1",
            code: &self.code,
            message: &self.message,
            help: self.help.as_deref(),
            exit: self.exit.code(),
            details: &self.details,
        };
        serde_json::to_string(&json).unwrap_or_default()
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Failure {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_exit_codes_are_the_documented_ones() {
        let all = [
            Exit::No,
            Exit::Usage,
            Exit::Unavailable,
            Exit::Locked,
            Exit::Refused,
            Exit::Untrusted,
            Exit::Bug,
            Exit::Interrupted,
            Exit::Terminated,
        ];
        assert_eq!(all.map(Exit::code), [1, 2, 3, 4, 5, 6, 70, 130, 143]);
    }

    #[test]
    fn the_json_form_begins_with_the_schema_and_carries_the_facts() {
        let failure = Failure::refused("tx.postage_too_low", "too low").help("pay more").with("limit", 16);
        let expected = concat!(
            r#"{"schema":"sealpost/error/1","code":"tx.postage_too_low","message":"too low","#,
            r#""help":"pay more","exit":5,"limit":16}"#
        );
        assert_eq!(failure.to_json(), expected);
    }

    #[test]
    fn a_cause_is_said_once() {
        let cause = std::io::Error::other("disk on fire");
        let failure = Failure::unavailable("file.io", "cannot read the journal").because(&cause);
        assert_eq!(failure.because(&cause).message, "cannot read the journal: disk on fire");
    }
}
