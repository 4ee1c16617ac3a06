//! How old the view is. A node that withholds every newer block can't be caught by signatures; that its newest block is
//! old can be seen by the clock of this machine, and is said.

use sealpost_ledger::block::Header;
use sealpost_ledger::genesis::Genesis;
use std::time::Duration;

/// Heartbeats after which a head counts as old, unless told otherwise.
const HEARTBEATS: u32 = 3;
/// A head of that age is never old, unless told otherwise.
const AT_LEAST: Duration = Duration::from_secs(600);

/// What makes a view of the ledger doubtful.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Doubt {
    /// The newest verified block is older than it may be: newer ones may be withheld.
    Old {
        /// Its age by this machine's clock.
        age: Duration,
        /// The age it may have.
        max_age: Duration,
    },
    /// The newest verified block is of a later time than this machine's clock shows: that clock is wrong, and no
    /// age can be told.
    ClockBehind {
        /// By how much.
        by: Duration,
    },
}

/// The age that a network's newest block may have, unless told otherwise.
pub fn usual_max_age(genesis: &Genesis) -> Duration {
    let heartbeat = Duration::from_millis(genesis.timing().heartbeat_ms.into());
    heartbeat.saturating_mul(HEARTBEATS).max(AT_LEAST)
}

/// What is doubtful about a verified head at a time of this machine's clock.
pub fn doubts(head: &Header, genesis: &Genesis, max_age: Duration, now_ms: u64) -> Option<Doubt> {
    if let Some(ahead) = head.time_ms.checked_sub(now_ms).filter(|ahead| *ahead > 0) {
        // A proposer's clock may be ahead by that much, and nobody's is wrong.
        let drift = u64::from(genesis.timing().clock_drift_ms);
        return (ahead > drift).then_some(Doubt::ClockBehind { by: Duration::from_millis(ahead) });
    }
    let age = Duration::from_millis(now_ms.saturating_sub(head.time_ms));
    (age > max_age).then_some(Doubt::Old { age, max_age })
}
