//! Open files: connections, the store's files and the log of votes count against one limit of the process. A node that
//! meets it amid its work would stop, or half of it would without a word; so it is looked at before anything starts.

use super::Config;
use thiserror::Error;

/// Files of the node's own: journal, index, log of votes, sockets that listen, and what the runtime has.
const OWN: u64 = 512;
/// More is not asked for, where more may be had.
const PLENTY: u64 = 65_536;
/// Connections to one peer: both sides may dial at once.
const OF_PEER: u64 = 2;

/// The process may not have as many open files as the node can come to need.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error(
    "this process may have {allowed} open files, and the node with all its connections may come to need {needed}"
)]
pub struct TooFewFiles {
    /// What is needed, as [`OWN`] and the settings of connections say.
    pub needed: u64,
    /// What the operating system allows at most.
    pub allowed: u64,
}

/// Sees to it that the process may have as many open files as a node can come to need: raises its limit up to what the
/// operating system allows this user.
///
/// # Errors
/// If that is not enough.
pub(super) fn allow(config: &Config) -> Result<(), TooFewFiles> {
    raise_to(needed(config))
}

fn needed(config: &Config) -> u64 {
    let gossip = config.gossip.as_ref().map_or(0, |gossip| {
        u64::from(gossip.limits.outgoing).saturating_add(u64::from(gossip.limits.incoming))
    });
    let mesh = config.consensus.as_ref().map_or(0, |consensus| count(consensus.peers.len()));
    let of_peers = gossip.saturating_add(mesh).saturating_mul(OF_PEER);
    OWN.saturating_add(count(config.rpc_limits.connections)).saturating_add(of_peers)
}

fn count(number: usize) -> u64 {
    u64::try_from(number).unwrap_or(u64::MAX)
}

/// Raises the limit as far as the operating system lets, up to plenty: for commands, which open every file of a ledger.
/// What is not had is told by whoever can't open a file.
pub(crate) fn raise() {
    let most = (1..=PLENTY.ilog2()).rev().map(|power| 1 << power);
    let _raised = most.take_while(|most| *most > OWN).find(|most| raise_to(*most).is_ok());
}

#[cfg(unix)]
fn raise_to(needed: u64) -> Result<(), TooFewFiles> {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    // Nothing is no limit.
    let enough = |limit: Option<u64>| limit.is_none_or(|limit| limit >= needed);
    if enough(current) {
        return Ok(());
    }
    let allowed = maximum.or(current).unwrap_or(0);
    if !enough(maximum) {
        return Err(TooFewFiles { needed, allowed });
    }
    // Some systems allow less than the maximum that they tell.
    let plenty = maximum.map_or(PLENTY, |maximum| maximum.min(PLENTY)).max(needed);
    let raise = |to| setrlimit(Resource::Nofile, Rlimit { current: Some(to), maximum });
    raise(plenty)
        .or_else(|_| raise(needed))
        .map_err(|_| TooFewFiles { needed, allowed: current.unwrap_or(allowed) })
}

#[cfg(not(unix))]
fn raise_to(_: u64) -> Result<(), TooFewFiles> {
    Ok(())
}
