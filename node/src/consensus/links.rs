//! Keeps the links to the other validators whole. The engine may hold several connections to one peer, and its
//! gossip tells a peer what it listens to on the first of them only (rust-libp2p, issue 5097). When a network was
//! parted for about as long as a connection outlives its silence, one side has given its connection up and calls
//! anew while the other still holds the old one: the caller is never told again, and sends that validator nothing
//! more, for good. A peer that is connected and yet has no place among those whom gossip serves, though there is
//! room, is such a one; its link is cut here and made anew.

use super::engine::{ConsensusRequestError, NetworkRequest};
use crate::identity::peer_of;
use crate::pauses::doubled;
use libp2p::{Multiaddr, PeerId};
use std::collections::{BTreeMap, HashMap};
use std::time::Duration;
use tokio::sync::mpsc;
use tokio::time::{Instant, MissedTickBehavior, interval};

/// Gossip takes connected peers in, once a second, while it serves fewer than this (the engine's `mesh_n_low`). A
/// peer left out then was not heard to listen; with more peers it may be left out for good reason.
const SERVED_LOW: usize = 4;
/// How often links are looked at: the engine renews what it tells of them as often.
const LOOK: Duration = Duration::from_secs(1);
/// How long a connected peer may be left out before its link is made anew. Doubled with each attempt in a row.
const PATIENCE: Duration = Duration::from_secs(4);
/// And no longer than this.
const LONGEST_PATIENCE: Duration = Duration::from_secs(128);
/// How long the end of a link is awaited before its peer is called again.
const FAREWELL: Duration = Duration::from_secs(5);

/// Tends the links to these peers until the engine stops.
pub(super) async fn tend(requests: mpsc::Sender<NetworkRequest>, peers: Vec<Multiaddr>) {
    let addresses: HashMap<PeerId, Multiaddr> =
        peers.into_iter().filter_map(|address| Some((peer_of(&address)?, address))).collect();
    let mut links = Links::default();
    let mut clock = interval(LOOK);
    clock.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        clock.tick().await;
        if look(&requests, &addresses, &mut links).await.is_err() {
            // The engine has stopped.
            return;
        }
    }
}

async fn look(
    requests: &mpsc::Sender<NetworkRequest>,
    addresses: &HashMap<PeerId, Multiaddr>,
    links: &mut Links,
) -> Result<(), ConsensusRequestError> {
    let Some(state) = NetworkRequest::dump_state(requests).await? else { return Ok(()) };
    let topics = state.local_node.subscribed_topics.len();
    let connected = state.peers.iter().filter(|(peer, _)| addresses.contains_key(*peer));
    let connected = connected.map(|(peer, info)| (*peer, info.topics.len() == topics)).collect();
    for step in links.next(Instant::now(), &connected) {
        match step {
            Step::Cut(peer) => {
                tracing::info!(%peer, "gossip does not reach this validator; the link to it is made anew");
                if let Some(address) = addresses.get(&peer)
                    && let Err(error) =
                        NetworkRequest::remove_persistent_peer(requests, address.clone()).await?
                {
                    tracing::warn!(%peer, ?error, "the link could not be cut");
                }
            }
            Step::Call(peer) => {
                if let Some(address) = addresses.get(&peer)
                    && let Err(error) = NetworkRequest::add_persistent_peer(requests, address.clone()).await?
                {
                    tracing::warn!(%peer, ?error, "the link could not be made anew");
                }
            }
        }
    }
    Ok(())
}

/// What is to be done with a link.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Step {
    /// It is to end.
    Cut(PeerId),
    /// Its peer is to be called again.
    Call(PeerId),
}

/// The links that are not whole.
#[derive(Debug, Default)]
struct Links {
    /// Peers that are connected and left out: since when, and attempts before.
    left_out: BTreeMap<PeerId, (Instant, u32)>,
    /// Peers whose link was cut: when.
    cut: BTreeMap<PeerId, Instant>,
}

impl Links {
    /// What to do, given the connected peers and whether gossip serves each of them.
    fn next(&mut self, now: Instant, connected: &BTreeMap<PeerId, bool>) -> Vec<Step> {
        let ended = |peer: &PeerId, since: &Instant| {
            !connected.contains_key(peer) || now.duration_since(*since) >= FAREWELL
        };
        let mut steps: Vec<Step> = self
            .cut
            .extract_if(.., |peer, since| ended(peer, since))
            .map(|(peer, _)| Step::Call(peer))
            .collect();
        let served = connected.values().filter(|served| **served).count();
        if served >= SERVED_LOW {
            self.left_out.clear();
            return steps;
        }
        // Attempts are counted until gossip serves the peer: one that is away meanwhile may come back as it was.
        self.left_out.retain(|peer, _| connected.get(peer) != Some(&true));
        for (peer, _) in connected.iter().filter(|(_, served)| !**served) {
            let (since, attempts) = self.left_out.entry(*peer).or_insert((now, 0));
            let patience = doubled(PATIENCE, *attempts, LONGEST_PATIENCE);
            if now.duration_since(*since) >= patience && !self.cut.contains_key(peer) {
                (*since, *attempts) = (now, attempts.saturating_add(1));
                self.cut.insert(*peer, now);
                steps.push(Step::Cut(*peer));
            }
        }
        steps
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn peers<const N: usize>() -> [PeerId; N] {
        std::array::from_fn(|_| PeerId::random())
    }

    #[test]
    fn a_peer_left_out_is_cut_and_called_again_when_its_link_has_ended() {
        let [one, other] = peers();
        let (mut links, start) = (Links::default(), Instant::now());
        let left_out = BTreeMap::from([(one, true), (other, false)]);
        assert_eq!(links.next(start, &left_out), []);
        assert_eq!(links.next(start + PATIENCE - LOOK, &left_out), []);
        assert_eq!(links.next(start + PATIENCE, &left_out), [Step::Cut(other)]);
        assert_eq!(links.next(start + PATIENCE + LOOK, &left_out), [], "it still ends");
        let ended = BTreeMap::from([(one, true)]);
        assert_eq!(links.next(start + PATIENCE + 2 * LOOK, &ended), [Step::Call(other)]);
        assert_eq!(links.next(start + PATIENCE + 3 * LOOK, &ended), []);
    }

    #[test]
    fn a_link_that_does_not_end_is_called_again_all_the_same_and_cut_more_rarely() {
        let [peer] = peers();
        let (mut links, start) = (Links::default(), Instant::now());
        let left_out = BTreeMap::from([(peer, false)]);
        let seconds = (0..=60).map(|second| start + Duration::from_secs(second));
        let steps: Vec<(u64, Step)> = seconds
            .flat_map(|now| {
                links.next(now, &left_out).into_iter().map(move |step| ((now - start).as_secs(), step))
            })
            .collect();
        let (cut, call) = (Step::Cut(peer), Step::Call(peer));
        assert_eq!(steps, [(4, cut), (9, call), (12, cut), (17, call), (28, cut), (33, call), (60, cut)]);
    }

    #[test]
    fn a_peer_that_gossip_serves_and_one_among_many_are_left_alone() {
        let [one, other] = peers();
        let (mut links, start) = (Links::default(), Instant::now());
        links.next(start, &BTreeMap::from([(one, false)]));
        links.next(start + LOOK, &BTreeMap::from([(one, true)]));
        assert_eq!(links.next(start + PATIENCE, &BTreeMap::from([(one, false)])), [], "served in between");
        let many: [PeerId; SERVED_LOW] = peers();
        let mut connected: BTreeMap<PeerId, bool> = many.into_iter().map(|peer| (peer, true)).collect();
        connected.insert(other, false);
        for second in 0..60 {
            assert_eq!(links.next(start + Duration::from_secs(second), &connected), []);
        }
    }
}
