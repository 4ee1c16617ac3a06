//! What the wallet's process does to keep secrets out of files it did not write: no core dumps, no debugger of
//! the same user, no memory that is swapped out. The binary does this before it reads any secret.
//!
//! Locking is best effort: an ordinary user may lock 8 MiB on most systems, which is less than one stretching of
//! a passphrase takes. Where the limit is in the way nothing is locked, and `-v` and `doctor` say so.
//! `unsafe` is forbidden here, so single pages can't be locked instead: only all of them by safe calls.

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
    use rustix::mm::{MlockAllFlags, mlockall, munlockall};
    use rustix::process::{DumpableBehavior, Resource, Rlimit, getrlimit, set_dumpable_behavior, setrlimit};

    /// So much beyond the limit is tried.
    const PROBE: u64 = 16 << 20;

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
        let Rlimit { current, maximum } = getrlimit(Resource::Memlock);
        // As far as this user may; where that is not far enough, the next steps find out.
        let raised = setrlimit(Resource::Memlock, Rlimit { current: maximum, maximum });
        let limit = if raised.is_ok() { maximum } else { current };
        // On fault: what is reserved and never touched, such as threads' stacks, takes no memory.
        let all = MlockAllFlags::CURRENT | MlockAllFlags::FUTURE | MlockAllFlags::ONFAULT;
        if let Err(error) = mlockall(all) {
            let allowed = limit.map(|limit| format!(" (`ulimit -l`: {})", sealpost_terminal::bytes(limit)));
            return Protection::Off(format!("{error}{}", allowed.unwrap_or_default()));
        }
        let Some(limit) = limit else { return Protection::On };
        // Whoever may lock more than the limit has the right to, whatever it says. Nothing is touched here.
        let beyond = usize::try_from(limit.saturating_add(PROBE)).unwrap_or(usize::MAX);
        let mut probe = Vec::<u8>::new();
        let fits = probe.try_reserve_exact(beyond).is_ok();
        // Else a compiler may leave an allocation out that nobody uses.
        std::hint::black_box(&probe);
        if fits {
            return Protection::On;
        }
        let allowed = sealpost_terminal::bytes(limit);
        // It can't fail after what was locked; if it did, the message below is still right.
        let _unlocked = munlockall();
        Protection::Off(format!("this user may lock {allowed} only (`ulimit -l`)"))
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
