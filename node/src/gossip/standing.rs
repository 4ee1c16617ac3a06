//! What peers have done wrong, and for how long they are banned. Pure: the clock is an argument.
//!
//! Faults fade, so that a bad minute is forgiven; a ban doubles each time, so that insisting is not worth
//! it. Everything is bounded: identities cost nothing, so the table must not grow with them.

use super::behaviour::GRAYLIST;
use crate::pauses::doubled;
use crate::wire::Fault;
use libp2p::PeerId;
use std::collections::HashMap;
use std::time::{Duration, Instant};

/// Points at which a peer is banned.
pub(super) const BAN_AT: u32 = 100;
/// Points that fade in each second.
const FADE_PER_SECOND: u32 = 1;
/// How long the first ban lasts.
const FIRST_BAN: Duration = Duration::from_secs(60);
/// Bans double up to this.
const LONGEST_BAN: Duration = Duration::from_secs(24 * 3600);
/// Peers remembered.
const MAX_REMEMBERED: usize = 4_096;

#[derive(Debug, Clone, Copy)]
struct Entry {
    points: u32,
    since: Instant,
    bans: u32,
    banned_until: Option<Instant>,
}

/// The standing of all peers.
#[derive(Debug, Default)]
pub(super) struct Standing {
    peers: HashMap<PeerId, Entry>,
    /// Peers that were forgotten while they were banned, to be let in again.
    forgotten: Vec<PeerId>,
}

/// What follows from a fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Consequence {
    /// Nothing yet.
    None,
    /// The peer is to be disconnected and stays away until then.
    Ban {
        /// Until when.
        until: Instant,
    },
}

/// What a fault costs. Four malformed things in a row, or a false block and a half, and the peer is out.
const fn cost(fault: Fault) -> u32 {
    match fault {
        Fault::Malformed => 26,
        Fault::FalseBlock => 70,
        Fault::NoAnswer => 10,
        Fault::Flood => 5,
    }
}

impl Standing {
    /// Notes a fault.
    pub(super) fn note(&mut self, peer: PeerId, fault: Fault, now: Instant) -> Consequence {
        // What was on its way when it was banned is paid for already.
        if self.is_banned(&peer, now) {
            return Consequence::None;
        }
        if self.peers.len() >= MAX_REMEMBERED && !self.peers.contains_key(&peer) {
            self.forget(now);
        }
        let fresh = Entry { points: 0, since: now, bans: 0, banned_until: None };
        let entry = self.peers.entry(peer).or_insert(fresh);
        entry.points = faded(entry, now).saturating_add(cost(fault));
        entry.since = now;
        if entry.points < BAN_AT {
            return Consequence::None;
        }
        let until = now.checked_add(doubled(FIRST_BAN, entry.bans, LONGEST_BAN)).unwrap_or(now);
        entry.bans = entry.bans.saturating_add(1);
        entry.banned_until = Some(until);
        // It comes back with half of its burden.
        entry.points = BAN_AT / 2;
        Consequence::Ban { until }
    }
    /// A peer's points now.
    pub(super) fn points(&self, peer: &PeerId, now: Instant) -> u32 {
        self.peers.get(peer).map_or(0, |entry| faded(entry, now))
    }
    /// Whether a peer is banned now.
    pub(super) fn is_banned(&self, peer: &PeerId, now: Instant) -> bool {
        self.peers.get(peer).and_then(|entry| entry.banned_until).is_some_and(|until| until > now)
    }
    /// Peers whose ban is over, each told once.
    pub(super) fn released(&mut self, now: Instant) -> Vec<PeerId> {
        let mut released = std::mem::take(&mut self.forgotten);
        for (peer, entry) in &mut self.peers {
            if entry.banned_until.is_some_and(|until| until <= now) {
                entry.banned_until = None;
                entry.since = now;
                released.push(*peer);
            }
        }
        released
    }
    /// Makes room: those without points go first, then whoever has the fewest.
    fn forget(&mut self, now: Instant) {
        self.peers.retain(|_, entry| faded(entry, now) > 0 || entry.banned_until.is_some_and(|u| u > now));
        while self.peers.len() >= MAX_REMEMBERED {
            let least = self.peers.iter().min_by_key(|(_, entry)| (entry.banned_until, entry.points));
            let Some(least) = least.map(|(peer, _)| *peer) else { return };
            if self.peers.remove(&least).is_some_and(|entry| entry.banned_until.is_some()) {
                self.forgotten.push(least);
            }
        }
    }
}

/// Whether gossipsub listens to a peer. Only invalid messages make it stop, some of which it refuses before this node sees
/// them: so it is from here that their sender's fault is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Hearing {
    /// It does.
    Heard,
    /// It does not.
    Unheard,
}

impl Hearing {
    /// That of a peer with this score. One that comes back from a ban brings its old score with it.
    pub(super) fn of(score: Option<f64>) -> Self {
        if score.is_some_and(|score| score < GRAYLIST) { Self::Unheard } else { Self::Heard }
    }
    /// Notes the score; whether the peer has just come so far. It pays for that, and not for how long it lasts.
    pub(super) fn ends(&mut self, score: Option<f64>) -> bool {
        let before = std::mem::replace(self, Self::of(score));
        (before, *self) == (Self::Heard, Self::Unheard)
    }
}

fn faded(entry: &Entry, now: Instant) -> u32 {
    let seconds = u32::try_from(now.saturating_duration_since(entry.since).as_secs()).unwrap_or(u32::MAX);
    entry.points.saturating_sub(seconds.saturating_mul(FADE_PER_SECOND))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn later(now: Instant, seconds: u64) -> Instant {
        now + Duration::from_secs(seconds)
    }

    #[test]
    fn faults_add_up_to_a_ban_and_fade_with_time() {
        let (mut standing, peer, now) = (Standing::default(), PeerId::random(), Instant::now());
        for _ in 0..3 {
            assert_eq!(standing.note(peer, Fault::Malformed, now), Consequence::None);
        }
        assert_eq!(standing.points(&peer, later(now, 78)), 0);
        let ban = standing.note(peer, Fault::Malformed, now);
        assert_eq!(ban, Consequence::Ban { until: later(now, 60) });
        assert!(standing.is_banned(&peer, now));
        assert!(!standing.is_banned(&peer, later(now, 60)));
    }

    #[test]
    fn a_peer_that_insists_stays_away_longer_each_time() {
        let (mut standing, peer, mut now) = (Standing::default(), PeerId::random(), Instant::now());
        for expected in [60, 120, 240] {
            while standing.note(peer, Fault::FalseBlock, now) == Consequence::None {}
            assert!(standing.is_banned(&peer, later(now, expected - 1)));
            assert!(!standing.is_banned(&peer, later(now, expected)));
            now = later(now, expected);
            assert_eq!(standing.released(now), [peer]);
            assert_eq!(standing.released(now), []);
        }
    }

    #[test]
    fn whoever_is_not_listened_to_any_more_pays_for_it_once() {
        let mut hearing = Hearing::of(None);
        let scores = [0.0, GRAYLIST, GRAYLIST - 1.0, GRAYLIST - 100.0, GRAYLIST - 1.0, -1.0, GRAYLIST - 1.0];
        let paid = scores.map(|score| hearing.ends(Some(score)));
        assert_eq!(paid, [false, false, true, false, false, false, true]);
        // It comes back after a ban, with the score that it had then.
        let mut hearing = Hearing::of(Some(GRAYLIST - 100.0));
        assert!(!hearing.ends(Some(GRAYLIST - 90.0)));
    }

    #[test]
    fn identities_made_for_the_purpose_do_not_fill_the_memory_or_lift_a_ban() {
        let (mut standing, worst, now) = (Standing::default(), PeerId::random(), Instant::now());
        while standing.note(worst, Fault::FalseBlock, now) == Consequence::None {}
        for _ in 0..MAX_REMEMBERED * 2 {
            standing.note(PeerId::random(), Fault::Flood, now);
        }
        assert!(standing.peers.len() <= MAX_REMEMBERED);
        assert!(standing.is_banned(&worst, now));
    }
}
