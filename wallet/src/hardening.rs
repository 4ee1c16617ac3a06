//! What the wallet's process does to keep secrets out of files it did not write: no core dumps, no debugger of
//! the same user, no memory that is swapped out. The binary does this before it reads any secret.
//!
//! Locking is best effort: an ordinary user may lock 8 MiB on most systems, which is less than one stretching of
//! a passphrase takes. Where the limit is in the way nothing is locked, and `-v` and `doctor` say so.

use std::fmt;
use std::sync::OnceLock;

/// How well the process is protected.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hardening {
    /// Whether no core dump is written when the process dies.
    pub no_core_dumps: Protection,
    /// Whether others of the same user can't look into its memory.
    pub not_traceable: Protection,
    /// Whether its memory is never written to swap space.
    pub locked_memory: Protection,
}

/// One of the protections.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Protection {
    /// It holds.
    On,
    /// It does not, and why.
    Off(String),
}

impl Protection {
    fn from_result(result: Result<(), impl fmt::Display>) -> Self {
        match result {
            Ok(()) => Protection::On,
            Err(error) => Protection::Off(error.to_string()),
        }
    }
    /// Why it does not hold, if it doesn't.
    pub fn missing(&self) -> Option<&str> {
        match self {
            Protection::On => None,
            Protection::Off(why) => Some(why),
        }
    }
}

static DONE: OnceLock<Hardening> = OnceLock::new();

/// Protects this process. To be called once, by a program that is nothing but a wallet, before it reads
/// secrets; a second call changes nothing.
pub fn harden() -> &'static Hardening {
    DONE.get_or_init(platform::harden)
}

/// How this process is protected; nothing if it never asked for it.
pub fn hardening() -> Option<&'static Hardening> {
    DONE.get()
}

/// Whether this machine swaps memory out at all, as far as can be seen.
pub fn swaps() -> Option<bool> {
    let text = std::fs::read_to_string("/proc/swaps").ok()?;
    // A line of headings, then one for each swap space.
    Some(text.lines().count() > 1)
}

#[cfg(target_os = "linux")]
mod platform {
    use super::{Hardening, Protection};
    use rustix::mm::{MlockAllFlags, mlockall};
    use rustix::process::{DumpableBehavior, Resource, Rlimit, getrlimit, set_dumpable_behavior, setrlimit};

    pub(super) fn harden() -> Hardening {
        let none = Rlimit { current: Some(0), maximum: Some(0) };
        Hardening {
            no_core_dumps: Protection::from_result(setrlimit(Resource::Core, none)),
            not_traceable: Protection::from_result(set_dumpable_behavior(DumpableBehavior::NotDumpable)),
            locked_memory: lock_memory(),
        }
    }

    /// All of it, or none: under a limit, an allocation beyond it would end the program.
    fn lock_memory() -> Protection {
        let limit = getrlimit(Resource::Memlock);
        let endless = Rlimit { current: None, maximum: None };
        let unlimited = limit.current.is_none() || setrlimit(Resource::Memlock, endless).is_ok();
        if !unlimited {
            let allowed = sealpost_terminal::bytes(limit.current.unwrap_or_default());
            return Protection::Off(format!("this user may lock {allowed} only (`ulimit -l`)"));
        }
        // On fault: what is reserved and never touched, such as threads' stacks, takes no memory.
        let all = MlockAllFlags::CURRENT | MlockAllFlags::FUTURE | MlockAllFlags::ONFAULT;
        Protection::from_result(mlockall(all))
    }
}

#[cfg(not(target_os = "linux"))]
mod platform {
    use super::{Hardening, Protection};

    pub(super) fn harden() -> Hardening {
        let not_here = || Protection::Off("not known on this system".into());
        Hardening { no_core_dumps: not_here(), not_traceable: not_here(), locked_memory: not_here() }
    }
}
