//! Keeps the links to the other validators whole. The engine may hold several connections to one peer, and its
//! gossip tells a peer what it listens to on the first of them only (rust-libp2p, issue 5097). When a network was
//! parted for about as long as a connection outlives its silence, one side has given its connection up and calls
//! anew while the other still holds the old one: the caller is never told again, and sends that validator nothing
//! more, for good. A peer that is connected and yet has no place among those whom gossip serves, though there is
//! room, is such a one; its link is cut here and made anew.
//!
//! The engine also goes on when its network has ended by itself, as that does when it can't listen: it only says so in
//! the log, and the validator neither votes nor hears any more. Whoever tends the links notices.

use super::engine::{ConsensusRequestError, NetworkRequest, PersistentPeerError};
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
/// How many looks in a row find nothing before the engine's network has ended.
const BLANK_LOOKS: u32 = 10;

/// Tends the links to these peers until the engine's network has ended.
pub(super) async fn tend(requests: mpsc::Sender<NetworkRequest>, peers: Vec<Multiaddr>) {
    tend_each(LOOK, &requests, peers).await;
}

async fn tend_each(period: Duration, requests: &mpsc::Sender<NetworkRequest>, peers: Vec<Multiaddr>) {
    let addresses: HashMap<PeerId, Multiaddr> =
        peers.into_iter().filter_map(|address| Some((peer_of(&address)?, address))).collect();
    let (mut links, mut blank) = (Links::default(), 0);
    let mut clock = interval(period);
    clock.set_missed_tick_behavior(MissedTickBehavior::Delay);
    while blank < BLANK_LOOKS {
        clock.tick().await;
        blank = Seen::of(look(requests, &addresses, &mut links).await).blanks(blank);
    }
}

/// What a look has found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Seen {
    /// The network at work.
    Links,
    /// No network: it has ended.
    Nothing,
    /// Too many questions wait there for another.
    Crowd,
}

impl Seen {
    fn of(look: Result<Self, ConsensusRequestError>) -> Self {
        look.unwrap_or_else(|error| match error {
            ConsensusRequestError::Full => Self::Crowd,
            ConsensusRequestError::Recv | ConsensusRequestError::Closed => Self::Nothing,
        })
    }
    /// How many looks in a row have found nothing, if there were so many before.
    fn blanks(self, before: u32) -> u32 {
        match self {
            Self::Links => 0,
            Self::Nothing => before.saturating_add(1),
            Self::Crowd => before,
        }
    }
}

async fn look(
    requests: &mpsc::Sender<NetworkRequest>,
    addresses: &HashMap<PeerId, Multiaddr>,
    links: &mut Links,
) -> Result<Seen, ConsensusRequestError> {
    let Some(state) = NetworkRequest::dump_state(requests).await? else { return Ok(Seen::Nothing) };
    let topics = state.local_node.subscribed_topics.len();
    let connected = state.peers.iter().filter(|(peer, _)| addresses.contains_key(*peer));
    let connected = connected.map(|(peer, info)| (*peer, info.topics.len() == topics)).collect();
    let steps = links.next(Instant::now(), &connected);
    take(steps, requests, addresses, links).await?;
    Ok(Seen::Links)
}

async fn take(
    steps: Vec<Step>,
    requests: &mpsc::Sender<NetworkRequest>,
    addresses: &HashMap<PeerId, Multiaddr>,
    links: &mut Links,
) -> Result<(), ConsensusRequestError> {
    for step in steps {
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
                let Some(address) = addresses.get(&peer) else { continue };
                match NetworkRequest::add_persistent_peer(requests, address.clone()).await? {
                    Ok(()) | Err(PersistentPeerError::AlreadyExists) => links.called(&peer),
                    Err(error) => {
                        tracing::warn!(%peer, ?error, "the link could not be made anew; it is tried again");
                    }
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
    /// Peers whose link was cut: when. Until the engine has taken its call each of them is out: it talks to no others.
    cut: BTreeMap<PeerId, Instant>,
}

impl Links {
    /// What to do, given the connected peers and whether gossip serves each of them.
    fn next(&mut self, now: Instant, connected: &BTreeMap<PeerId, bool>) -> Vec<Step> {
        let ended = |peer: &PeerId, since: &Instant| {
            !connected.contains_key(peer) || now.duration_since(*since) >= FAREWELL
        };
        let ended = self.cut.iter().filter(|(peer, since)| ended(peer, since));
        let mut steps: Vec<Step> = ended.map(|(peer, _)| Step::Call(*peer)).collect();
        let served = connected.values().filter(|served| **served).count();
        if served >= SERVED_LOW {
            self.left_out.clear();
            return steps;
        }
        // Attempts are counted until gossip serves the peer: one that is away meanwhile may come back as it was.
        self.left_out.retain(|peer, _| connected.get(peer) != Some(&true));
        let away = self.left_out.iter_mut().filter(|(peer, _)| !connected.contains_key(peer));
        away.for_each(|(_, (since, _))| *since = now);
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
    /// The engine calls a peer again, as it was told to.
    fn called(&mut self, peer: &PeerId) {
        self.cut.remove(peer);
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::panic)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_network_that_ended_is_given_up() {
        const OFTEN: Duration = Duration::from_millis(1);
        let (requests, mut asked) = mpsc::channel(1);
        let tended = tokio::spawn(async move { tend_each(OFTEN, &requests, Vec::new()).await });
        let mut questions = 0;
        while let Some(NetworkRequest::DumpState(reply)) = asked.recv().await {
            reply.send(None).unwrap();
            questions += 1;
        }
        tended.await.unwrap();
        assert_eq!(questions, BLANK_LOOKS);
        // It also ends if there is nobody any more to ask.
        let (requests, _) = mpsc::channel(1);
        tend_each(OFTEN, &requests, Vec::new()).await;
    }

    #[test]
    fn a_network_that_begins_late_or_falters_is_not_given_up() {
        use Seen::{Crowd, Links, Nothing};
        let most = |looks: &[Seen]| {
            let counts = looks.iter().scan(0, |blank, seen| {
                *blank = seen.blanks(*blank);
                Some(*blank)
            });
            counts.max()
        };
        assert_eq!(most(&[Nothing, Nothing, Links, Nothing, Links]), Some(2));
        assert_eq!(most(&[Links, Nothing, Crowd, Crowd, Nothing]), Some(2));
        assert_eq!(Seen::of(Err(ConsensusRequestError::Full)), Crowd);
        assert_eq!(Seen::of(Err(ConsensusRequestError::Recv)), Nothing);
    }

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
        links.called(&other);
        assert_eq!(links.next(start + PATIENCE + 3 * LOOK, &ended), []);
    }

    /// The engine talks to no others than it was told of: a call that is lost would shut a validator out for good.
    #[tokio::test]
    async fn a_call_that_is_lost_is_repeated_until_the_engine_has_taken_it() {
        let [peer] = peers();
        let address: Multiaddr = format!("/ip4/192.0.2.1/tcp/1/p2p/{peer}").parse().unwrap();
        let (addresses, nobody) = (HashMap::from([(peer, address)]), BTreeMap::new());
        let (requests, mut asked) = mpsc::channel(1);
        let (mut links, start) = (Links::default(), Instant::now());
        links.next(start, &BTreeMap::from([(peer, false)]));
        assert_eq!(links.next(start + PATIENCE, &BTreeMap::from([(peer, false)])), [Step::Cut(peer)]);
        let answers = [
            // None at all.
            None,
            Some(Err(PersistentPeerError::InternalError("busy".into()))),
            Some(Err(PersistentPeerError::AlreadyExists)),
        ];
        for answer in answers {
            let steps = links.next(start + PATIENCE + LOOK, &nobody);
            assert_eq!(steps, [Step::Call(peer)]);
            let engine = async {
                let Some(NetworkRequest::UpdatePersistentPeers(_, reply)) = asked.recv().await else {
                    panic!("no call is made")
                };
                if let Some(answer) = answer {
                    reply.send(answer).unwrap();
                }
            };
            // What has failed is told by the next look.
            let _ = tokio::join!(take(steps, &requests, &addresses, &mut links), engine);
        }
        assert_eq!(links.next(start + PATIENCE + LOOK, &nobody), []);
    }

    #[test]
    fn a_link_that_does_not_end_is_called_again_all_the_same_and_cut_more_rarely() {
        let [peer] = peers();
        let (mut links, start) = (Links::default(), Instant::now());
        let left_out = BTreeMap::from([(peer, false)]);
        let seconds = (0..=60).map(|second| start + Duration::from_secs(second));
        let steps: Vec<(u64, Step)> = seconds
            .flat_map(|now| {
                let steps = links.next(now, &left_out);
                if steps.contains(&Step::Call(peer)) {
                    links.called(&peer);
                }
                steps.into_iter().map(move |step| ((now - start).as_secs(), step))
            })
            .collect();
        let (cut, call) = (Step::Cut(peer), Step::Call(peer));
        assert_eq!(steps, [(4, cut), (9, call), (12, cut), (17, call), (28, cut), (33, call), (60, cut)]);
    }

    #[test]
    fn a_peer_that_comes_back_has_its_time_again() {
        let [peer] = peers();
        let (mut links, start) = (Links::default(), Instant::now());
        let (left_out, back) = (BTreeMap::from([(peer, false)]), start + Duration::from_secs(3600));
        assert_eq!(links.next(start, &left_out), []);
        assert_eq!(links.next(back - LOOK, &BTreeMap::new()), []);
        assert_eq!(links.next(back, &left_out), []);
        assert_eq!(links.next(back + PATIENCE, &left_out), [Step::Cut(peer)]);
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
