//! Exit codes, the same for all three binaries, and [`Failure`]: what a command ends with when it does not
//! end well.

use serde::Serialize;
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
        }
    }
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
}

#[derive(Serialize)]
struct Json<'a> {
    schema: &'static str,
    code: &'a str,
    message: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    help: Option<&'a str>,
    exit: u8,
}

impl Failure {
    /// Makes a failure.
    pub fn new(exit: Exit, code: impl Into<Cow<'static, str>>, message: impl fmt::Display) -> Self {
        Self { exit, code: code.into(), message: message.to_string(), help: None }
    }
    /// Wrong usage or input.
    pub fn usage(message: impl fmt::Display) -> Self {
        Self::new(Exit::Usage, "input", message)
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
    /// As one JSON object.
    pub fn to_json(&self) -> String {
        let json = Json {
            schema: "sealpost/error/1",
            code: &self.code,
            message: &self.message,
            help: self.help.as_deref(),
            exit: self.exit.code(),
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
