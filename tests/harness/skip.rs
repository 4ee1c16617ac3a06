//! Tests that need something which is not everywhere, such as root, strace or a foreign implementation. They say aloud that
//! they were skipped; in continuous integration they fail instead.

use std::io::Write as _;

/// Whether everything has to be tested: this is continuous integration (`CI` is set).
pub fn all_is_required() -> bool {
    is_set("CI")
}

/// Whether an environment variable has a value.
pub fn is_set(name: &str) -> bool {
    std::env::var_os(name).is_some_and(|value| !value.is_empty())
}

/// Says that a test is skipped and why, past the test runner, which keeps what tests print.
///
/// # Panics
/// Where everything [has to be tested](all_is_required).
pub fn skip(test: &str, reason: &str) {
    assert!(!all_is_required(), "{test} can't be run, and must not be skipped where CI is set: {reason}");
    say(&format!("{test}: {reason}"));
}

/// Says that something was skipped. No macro: what those print the test runner keeps.
pub fn say(what: &str) {
    let _ = writeln!(std::io::stderr(), "\nSKIPPED: {what}\n");
}
