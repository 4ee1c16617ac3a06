//! What a node's process does against its own bugs: a panic anywhere ends it, after the log has the reason, and the
//! service manager starts it into a state that is known to be sound. Half a node, whose one task is gone, would look
//! alive and lose what it is told. And no core dump is written: it would hold the validator's key.

use std::cell::Cell;
use std::panic::UnwindSafe;
use std::sync::Once;

thread_local! {
    static EXPECTED: Cell<bool> = const { Cell::new(false) };
}

/// Protects this process. Called by a program that is a node, once; again changes nothing. On the main thread a panic
/// ends the program in its own way, with a report.
pub(crate) fn protect() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        #[cfg(target_os = "linux")]
        {
            use rustix::process::{Resource, Rlimit, setrlimit};
            if let Err(error) = setrlimit(Resource::Core, Rlimit { current: Some(0), maximum: Some(0) }) {
                tracing::warn!(%error, "core dumps can't be switched off; one would hold this node's keys");
            }
        }
        let main_thread = std::thread::current().id();
        let tell = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |info| {
            tell(info);
            if std::thread::current().id() != main_thread && !EXPECTED.get() {
                tracing::error!("the node stops at once: after a bug nothing that it says can be relied on");
                std::process::abort();
            }
        }));
    });
}

/// Does work of which a panic is no reason to stop; nothing if there was one.
pub(crate) fn survive<T>(work: impl FnOnce() -> T + UnwindSafe) -> Option<T> {
    let before = EXPECTED.replace(true);
    let done = std::panic::catch_unwind(work);
    EXPECTED.set(before);
    done.ok()
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::panic)]
mod tests {
    use super::*;
    use std::os::unix::process::ExitStatusExt;
    use std::process::Command;

    /// Says to the process of the test below which of the two panics it is to have.
    const PANIC: &str = "SEALPOST_PANIC_TEST";
    const SIGABRT: i32 = 6;

    /// Not a test by itself: the process that panics.
    #[test]
    #[ignore = "started by the test below"]
    fn process_that_panics() {
        let Ok(kind) = std::env::var(PANIC) else { return };
        protect();
        let work = move || match kind.as_str() {
            "expected" => assert!(survive(|| panic!("of no weight")).is_none()),
            _ => panic!("the lift is stuck"),
        };
        std::thread::spawn(work).join().unwrap();
    }

    #[test]
    fn a_panic_of_any_thread_ends_the_process_and_says_why_unless_it_was_reckoned_with() {
        let run = |kind: &str| {
            let mut child = Command::new(std::env::current_exe().unwrap());
            child.args(["--ignored", "--exact", "--nocapture", "process::tests::process_that_panics"]);
            child.env(PANIC, kind).output().unwrap()
        };
        let unexpected = run("unexpected");
        assert_eq!(unexpected.status.signal(), Some(SIGABRT), "{unexpected:?}");
        assert!(String::from_utf8_lossy(&unexpected.stderr).contains("the lift is stuck"), "{unexpected:?}");
        assert!(run("expected").status.success());
    }
}
