//! Where peers are, and when to call them: bootstrap addresses for ever, with growing pauses; peers that were
//! found, while this node has fewer than it wants. Pure: the clock is an argument.

use super::ip_limits::ip_of;
use crate::identity::peer_of;
use crate::pauses::doubled;
use crate::wire::MAX_PEER_ADDRESSES;
use libp2p::multiaddr::Protocol;
use libp2p::{Multiaddr, PeerId};
use std::collections::HashMap;
use std::net::IpAddr;
use std::time::{Duration, Instant};

/// Pause after a first failed call.
const FIRST_PAUSE: Duration = Duration::from_millis(500);
/// Pauses double up to this.
const LONGEST_PAUSE: Duration = Duration::from_secs(30);
/// Peers whose addresses are remembered.
const MAX_KNOWN: usize = 1_024;
/// Calls in vain after which a peer is forgotten.
const MOST_ATTEMPTS: u32 = 8;
/// No address that leads anywhere is longer: what others say of peers shall not fill this node's memory.
const MAX_ADDRESS_BYTES: usize = 256;

#[derive(Debug, Clone)]
struct Attempts {
    failed: u32,
    next: Instant,
}

impl Attempts {
    const fn new(now: Instant) -> Self {
        Self { failed: 0, next: now }
    }
    fn called(&mut self, now: Instant) {
        let pause = doubled(FIRST_PAUSE, self.failed, LONGEST_PAUSE);
        // Two nodes that call each other at the same moment shall not do so for ever.
        let jitter = Duration::from_millis(u64::from(getrandom::u32().unwrap_or(0) % 256));
        self.next = now.checked_add(pause.saturating_add(jitter)).unwrap_or(now);
        self.failed = self.failed.saturating_add(1).min(16);
    }
}

/// An address to begin with, and the peer that was found there.
#[derive(Debug)]
struct Bootstrap {
    address: Multiaddr,
    peer: Option<PeerId>,
    attempts: Attempts,
}

/// A peer that was heard of.
#[derive(Debug)]
struct Known {
    addresses: Vec<Multiaddr>,
    /// Whether it said so itself.
    introduced: bool,
    /// Whether it is connected now, as far as it has been since it was heard of.
    connected: bool,
    attempts: Attempts,
}

/// The address book.
#[derive(Debug)]
pub(super) struct Addresses {
    bootstrap: Vec<Bootstrap>,
    known: HashMap<PeerId, Known>,
}

/// A call to make.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Call {
    /// The entry of the bootstrap addresses that it is for: what is called may be an IP address that stands for a name.
    pub(super) bootstrap: Option<usize>,
    pub(super) peer: Option<PeerId>,
    pub(super) addresses: Vec<Multiaddr>,
}

impl Addresses {
    /// Begins with these addresses.
    pub(super) fn new(bootstrap: &[Multiaddr], now: Instant) -> Self {
        let bootstrap = bootstrap.iter().map(|address| {
            let (peer, attempts) = (peer_of(address), Attempts::new(now));
            Bootstrap { address: address.clone(), peer, attempts }
        });
        Self { bootstrap: bootstrap.collect(), known: HashMap::new() }
    }
    /// A connected peer says where it is reached. That takes the place of whatever was heard of it. One that is reached
    /// nowhere has no place in the book.
    pub(super) fn introduce(&mut self, peer: PeerId, mut addresses: Vec<Multiaddr>, now: Instant) {
        addresses.truncate(MAX_PEER_ADDRESSES);
        if addresses.is_empty() {
            self.known.remove(&peer);
        } else if self.make_room(&peer) {
            // Whoever introduces itself and leaves is called as seldom as before.
            let attempts =
                self.known.remove(&peer).map_or_else(|| Attempts::new(now), |known| known.attempts);
            self.known.insert(peer, Known { addresses, introduced: true, connected: true, attempts });
        }
    }
    /// Somebody says where a peer is reached. Who is known is better known.
    pub(super) fn hear(&mut self, peer: PeerId, mut addresses: Vec<Multiaddr>, now: Instant) {
        addresses.truncate(MAX_PEER_ADDRESSES);
        if !addresses.is_empty() && !self.known.contains_key(&peer) && self.make_room(&peer) {
            let attempts = Attempts::new(now);
            let known = Known { addresses, introduced: false, connected: false, attempts };
            self.known.insert(peer, known);
        }
    }
    /// Makes room for one more: whoever was called most often in vain goes, hearsay first, and who is connected last: it
    /// was called, too, and stays.
    fn make_room(&mut self, peer: &PeerId) -> bool {
        if self.known.contains_key(peer) || self.known.len() < MAX_KNOWN {
            return true;
        }
        let standing = |known: &Known| (!known.connected, !known.introduced, known.attempts.failed);
        let worst = self.known.iter().max_by_key(|(_, known)| standing(known)).map(|(peer, _)| *peer);
        worst.is_some_and(|worst| self.known.remove(&worst).is_some())
    }
    /// Peers that introduced themselves, with their addresses.
    pub(super) fn introduced(&self) -> impl Iterator<Item = (&PeerId, &[Multiaddr])> {
        let introduced = self.known.iter().filter(|(_, known)| known.introduced);
        introduced.map(|(peer, known)| (peer, known.addresses.as_slice()))
    }
    /// Somebody else answered at an address of a peer.
    pub(super) fn wrong(&mut self, peer: &PeerId, address: &Multiaddr) {
        if let Some(known) = self.known.get_mut(peer) {
            known.addresses.retain(|other| !same_place(other, address));
            if known.addresses.is_empty() {
                self.known.remove(peer);
            }
        }
    }
    /// A call failed. Whoever was called in vain too often is forgotten.
    pub(super) fn failed(&mut self, peer: &PeerId) {
        if self.known.get(peer).is_some_and(|known| known.attempts.failed >= MOST_ATTEMPTS) {
            self.known.remove(peer);
        }
    }
    /// A peer is connected; at this address, if this node called, and for this entry of the bootstrap addresses. No
    /// success yet: a node that is full, or has banned this one, takes the call and ends it at once.
    pub(super) fn connected(&mut self, peer: PeerId, called: Option<&Multiaddr>, bootstrap: Option<usize>) {
        for (index, entry) in self.bootstrap.iter_mut().enumerate() {
            let same = called.is_some_and(|called| same_place(called, &entry.address));
            if same || bootstrap == Some(index) {
                entry.peer = Some(peer);
            }
        }
        if let Some(known) = self.known.get_mut(&peer) {
            known.connected = true;
        }
    }
    /// A peer has left. If it had stayed, or said who it is, it may be called again at once.
    pub(super) fn left(&mut self, peer: &PeerId, had_stayed: bool, now: Instant) {
        if let Some(known) = self.known.get_mut(peer) {
            known.connected = false;
            if had_stayed {
                known.attempts = Attempts::new(now);
            }
        }
        for entry in self.bootstrap.iter_mut().filter(|entry| had_stayed && entry.peer == Some(*peer)) {
            entry.attempts = Attempts::new(now);
        }
    }
    /// A peer is not of this network, or banned: it is not called any more.
    pub(super) fn forget(&mut self, peer: &PeerId) {
        self.known.remove(peer);
    }
    /// Whom to call now. `wanted` is how many found peers are missing; `is_out` says of a peer that it is
    /// connected already or not to be called. Of found peers those come first that have waited longest.
    pub(super) fn due(&mut self, now: Instant, wanted: usize, is_out: impl Fn(&PeerId) -> bool) -> Vec<Call> {
        let mut calls = Vec::new();
        for (index, entry) in self.bootstrap.iter_mut().enumerate() {
            if entry.attempts.next <= now && entry.peer.is_none_or(|peer| !is_out(&peer)) {
                entry.attempts.called(now);
                // Another peer may answer there now: what the address says counts.
                let (peer, addresses) = (peer_of(&entry.address), vec![entry.address.clone()]);
                calls.push(Call { bootstrap: Some(index), peer, addresses });
            }
        }
        if wanted == 0 {
            return calls;
        }
        let ready = self.known.iter_mut().filter(|(peer, k)| k.attempts.next <= now && !is_out(peer));
        let mut ready: Vec<_> = ready.collect();
        ready.sort_by_key(|(_, known)| known.attempts.next);
        for (peer, known) in ready.into_iter().take(wanted) {
            known.attempts.called(now);
            calls.push(Call { bootstrap: None, peer: Some(*peer), addresses: known.addresses.clone() });
        }
        calls
    }
}

fn same_place(a: &Multiaddr, b: &Multiaddr) -> bool {
    let place = |address: &Multiaddr| -> Multiaddr {
        address.iter().filter(|part| !matches!(part, Protocol::P2p(_))).collect()
    };
    place(a) == place(b)
}

/// Whether an address that a peer gave of itself is worth a call. Nobody may send this node to its own
/// machine or its own network from afar: `remote` is where the peer really is. Nor may an address lead elsewhere than it
/// seems to: whoever calls reads it from its end, and whoever bans from its beginning.
pub(super) fn is_usable(address: &Multiaddr, remote: &Multiaddr, quic: bool) -> bool {
    let mut parts = address.iter().skip(1);
    let transport = match parts.next() {
        Some(Protocol::Tcp(port)) => port != 0,
        Some(Protocol::Udp(port)) => quic && port != 0 && parts.next() == Some(Protocol::QuicV1),
        _ => false,
    };
    let (Some(ip), Some(from)) = (raw_ip(address), ip_of(remote)) else { return false };
    let behind: Vec<_> = parts.take(4).collect();
    let is_plain = matches!(
        behind.as_slice(),
        [] | [Protocol::P2p(_)]
            | [Protocol::P2p(_), Protocol::P2pCircuit]
            | [Protocol::P2p(_), Protocol::P2pCircuit, Protocol::P2p(_)]
    );
    let transport = transport && is_plain && address.len() <= MAX_ADDRESS_BYTES;
    transport && !ip.is_unspecified() && !ip.is_multicast() && nearness(ip) >= nearness(from)
}

/// As it is called: an IPv4 address that is written as one of IPv6 leads to the same machine.
fn raw_ip(address: &Multiaddr) -> Option<IpAddr> {
    match address.iter().next()? {
        Protocol::Ip4(ip) => Some(ip.into()),
        Protocol::Ip6(ip) => Some(IpAddr::V6(ip).to_canonical()),
        _ => None,
    }
}

/// 0 for this machine, 1 for a private network, 2 for the internet.
fn nearness(ip: IpAddr) -> u8 {
    let private = match ip {
        IpAddr::V4(ip) => ip.is_private() || ip.is_link_local(),
        IpAddr::V6(ip) => ip.is_unique_local() || ip.is_unicast_link_local(),
    };
    match (ip.is_loopback(), private) {
        (true, _) => 0,
        (false, true) => 1,
        (false, false) => 2,
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::indexing_slicing)]
mod tests {
    use super::*;

    fn address(text: &str) -> Multiaddr {
        text.parse().unwrap()
    }

    #[test]
    fn nobody_sends_this_node_to_its_own_machine_from_afar() {
        let (here, home, far) = ("/ip4/127.0.0.1/tcp/7", "/ip4/192.168.1.2/tcp/7", "/ip4/198.51.100.1/tcp/7");
        let usable = |of: &str, from: &str| is_usable(&address(of), &address(from), false);
        assert!(usable(here, here) && usable(home, here) && usable(far, here));
        assert!(usable(home, home) && !usable(here, home));
        assert!(usable(far, far) && !usable(home, far) && !usable(here, far));
        // However they are written.
        for own in ["127.0.0.1", "192.168.1.2", "169.254.1.2", "0.0.0.0"] {
            assert!(!usable(&format!("/ip6/::ffff:{own}/tcp/7"), far), "{own}");
        }
        assert!(usable("/ip6/::ffff:198.51.100.2/tcp/7", far));
        assert!(!usable("/ip4/0.0.0.0/tcp/7", far) && !usable("/ip4/198.51.100.1/tcp/0", far));
        assert!(!usable("/ip4/198.51.100.1/udp/7/quic-v1", far));
        assert!(is_usable(&address("/ip4/198.51.100.1/udp/7/quic-v1"), &address(far), true));
    }

    /// Its beginning would be banned for what its end does, and hide that end.
    #[test]
    fn an_address_leads_to_one_place() {
        let far = address("/ip4/198.51.100.1/tcp/7");
        let usable = |more: &str| is_usable(&address(&format!("{far}{more}")), &far, true);
        let [relay, peer] = [PeerId::random(), PeerId::random()].map(|peer| format!("/p2p/{peer}"));
        assert!(usable("") && usable(&peer));
        assert!(usable(&format!("{relay}/p2p-circuit")) && usable(&format!("{relay}/p2p-circuit{peer}")));
        for other in
            ["/ip4/127.0.0.1/tcp/22", "/ip4/198.51.100.2/tcp/22", "/udp/7/quic-v1", "/ws", "/p2p-circuit"]
        {
            assert!(!usable(other), "{other}");
            assert!(!usable(&format!("{peer}{other}{peer}")) || other == "/p2p-circuit", "{other}");
            assert!(!usable(&format!("{relay}/p2p-circuit{peer}{other}")), "{other}");
        }
        let quic = address("/ip4/198.51.100.1/udp/7/quic-v1/ip4/127.0.0.1/tcp/22");
        assert!(!is_usable(&quic, &far, true));
    }

    /// Who is there has been called, and that shall not make it look worse than strangers who only came by.
    #[test]
    fn who_is_connected_stays_in_a_full_book() {
        let (now, peer) = (Instant::now(), PeerId::random());
        let place = address("/ip4/198.51.100.1/tcp/7");
        let mut book = Addresses::new(&[], now);
        book.hear(peer, vec![place.clone()], now);
        assert_eq!(book.due(now, 1, |_| false).len(), 1);
        book.connected(peer, Some(&place), None);
        book.introduce(peer, vec![place.clone()], now);
        for _ in 0..2 * MAX_KNOWN {
            let other = PeerId::random();
            book.introduce(other, vec![place.clone()], now);
            book.left(&other, true, now);
        }
        assert_eq!(book.known.len(), MAX_KNOWN);
        assert!(book.known.contains_key(&peer));
        book.left(&peer, false, now);
        book.introduce(PeerId::random(), vec![place], now);
        assert!(!book.known.contains_key(&peer));
    }

    #[test]
    fn a_bootstrap_address_is_called_for_ever_with_growing_pauses() {
        let mut now = Instant::now();
        let mut book = Addresses::new(&[address("/ip4/10.0.0.1/tcp/1")], now);
        let mut last = Duration::ZERO;
        for _ in 0..12 {
            assert_eq!(book.due(now, 0, |_| false).len(), 1);
            assert!(book.due(now, 0, |_| false).is_empty());
            let pause = book.bootstrap[0].attempts.next - now;
            assert!(
                pause + Duration::from_millis(256) >= last
                    && pause <= LONGEST_PAUSE + Duration::from_millis(256)
            );
            last = pause;
            now += pause;
        }
    }

    #[test]
    fn a_connected_bootstrap_peer_is_called_again_only_when_it_is_gone() {
        let (now, peer) = (Instant::now(), PeerId::random());
        let place = address("/ip4/10.0.0.1/tcp/1");
        let mut book = Addresses::new(std::slice::from_ref(&place), now);
        book.due(now, 0, |_| false);
        book.connected(peer, Some(&place), None);
        assert_eq!(book.bootstrap[0].peer, Some(peer));
        let later = now + LONGEST_PAUSE;
        assert!(book.due(later, 0, |p| *p == peer).is_empty());
        book.left(&peer, true, now);
        assert_eq!(book.due(now, 0, |_| false).len(), 1);
    }

    #[test]
    fn the_peer_at_a_bootstrap_address_by_name_is_called_again_only_when_it_is_gone() {
        let (now, peer) = (Instant::now(), PeerId::random());
        let names = ["/dns4/one.example/tcp/1", "/dns4/two.example/tcp/1"].map(address);
        let mut book = Addresses::new(&names, now);
        let calls = book.due(now, 0, |_| false);
        assert_eq!(calls.iter().map(|call| call.bootstrap).collect::<Vec<_>>(), [Some(0), Some(1)]);
        // The name's place was taken by what it stands for.
        book.connected(peer, Some(&address("/ip4/10.0.0.1/tcp/1")), calls[1].bootstrap);
        let later = book.due(now + LONGEST_PAUSE, 0, |p| *p == peer);
        assert_eq!(later.iter().map(|call| call.bootstrap).collect::<Vec<_>>(), [Some(0)]);
    }

    #[test]
    fn whoever_takes_a_call_and_ends_it_is_called_with_growing_pauses_and_keeps_no_others_from_a_call() {
        let (mut now, full) = (Instant::now(), PeerId::random());
        let place = address("/ip4/10.0.0.1/tcp/1");
        let mut book = Addresses::new(std::slice::from_ref(&place), now);
        book.hear(full, vec![place.clone()], now);
        let mut last = Duration::ZERO;
        for _ in 0..6 {
            assert_eq!(book.due(now, 1, |_| false).len(), 2);
            book.connected(full, Some(&place), Some(0));
            book.introduce(full, vec![place.clone()], now);
            let next = [book.bootstrap[0].attempts.next, book.known[&full].attempts.next];
            let pause = *next.iter().min().unwrap() - now;
            assert!(pause >= FIRST_PAUSE && pause + Duration::from_millis(256) > last);
            assert!(book.due(now, 9, |_| false).is_empty());
            (last, now) = (pause, *next.iter().max().unwrap());
        }
        // Another one is heard of meanwhile, and its turn comes.
        let others: Vec<_> = (0..20).map(|_| PeerId::random()).collect();
        for other in &others {
            now += Duration::from_millis(1);
            book.hear(*other, vec![place.clone()], now);
        }
        now += LONGEST_PAUSE;
        let called: Vec<_> = (0..21).flat_map(|_| book.due(now, 1, |_| false)).collect();
        let called: Vec<_> =
            called.into_iter().filter(|call| call.bootstrap.is_none()).filter_map(|call| call.peer).collect();
        assert_eq!(called[1..], others, "the longest-waiting are not called first");
        assert_eq!(called[0], full);
    }

    #[test]
    fn a_peer_that_is_reached_nowhere_has_no_place_in_the_book() {
        let (now, peer) = (Instant::now(), PeerId::random());
        let mut book = Addresses::new(&[], now);
        book.introduce(peer, Vec::new(), now);
        assert!(book.known.is_empty() && book.due(now, 9, |_| false).is_empty());
        book.hear(peer, vec![address("/ip4/10.6.6.6/tcp/6")], now);
        book.introduce(peer, Vec::new(), now);
        assert!(book.known.is_empty());
        // Whoever is somebody else at its only address.
        book.introduce(peer, vec![address("/ip4/10.0.0.1/tcp/1")], now);
        book.wrong(&peer, &address("/ip4/10.0.0.1/tcp/1"));
        assert!(book.known.is_empty());
    }

    #[test]
    fn of_a_peer_few_addresses_are_kept_and_none_that_is_long() {
        let now = Instant::now();
        let many: Vec<_> = (1..=1_000).map(|port| address(&format!("/ip4/10.0.0.1/tcp/{port}"))).collect();
        let mut book = Addresses::new(&[], now);
        book.hear(PeerId::random(), many.clone(), now);
        book.introduce(PeerId::random(), many, now);
        for call in book.due(now, 2, |_| false) {
            assert_eq!(call.addresses.len(), MAX_PEER_ADDRESSES);
        }
        let long = format!("/ip4/198.51.100.1/tcp/7{}", "/p2p-circuit".repeat(200));
        assert!(!is_usable(&address(&long), &address("/ip4/198.51.100.1/tcp/7"), false));
    }

    #[test]
    fn found_peers_are_called_as_far_as_they_are_wanted() {
        let now = Instant::now();
        let mut book = Addresses::new(&[], now);
        for _ in 0..5 {
            book.hear(PeerId::random(), vec![address("/ip4/10.0.0.9/tcp/1")], now);
        }
        assert_eq!(book.due(now, 2, |_| false).len(), 2);
        assert_eq!(book.due(now, 9, |_| false).len(), 3);
        for _ in 0..MAX_KNOWN * 2 {
            book.hear(PeerId::random(), vec![address("/ip4/10.0.0.9/tcp/1")], now);
        }
        assert!(book.known.len() <= MAX_KNOWN);
    }

    #[test]
    fn what_a_peer_says_of_itself_outweighs_what_others_say() {
        let (now, peer) = (Instant::now(), PeerId::random());
        let (own, told) = (address("/ip4/10.0.0.1/tcp/1"), address("/ip4/10.6.6.6/tcp/6"));
        let mut book = Addresses::new(&[], now);
        book.hear(peer, vec![told.clone()], now);
        book.introduce(peer, vec![own.clone()], now);
        book.hear(peer, vec![told.clone()], now);
        assert_eq!(book.due(now, 1, |_| false)[0].addresses, std::slice::from_ref(&own));
        book.wrong(&peer, &told);
        assert_eq!(book.introduced().count(), 1);
        book.wrong(&peer, &own);
        assert_eq!(book.introduced().count(), 0);
    }
}
