//! Peers that come and go: who is connected, where they are reached, and of whom they tell.

use super::{Burden, Connected, Purpose, SIMULTANEOUS, Task};
use crate::gossip::addresses::is_usable;
use crate::gossip::standing::Hearing;
use crate::wire::{MAX_PEER_ADDRESSES, MAX_PEERS, News, Peer, PeerAddresses, Request};
use libp2p::core::ConnectedPoint;
use libp2p::multiaddr::Protocol;
use libp2p::{PeerId, autonat, identify};
use std::time::{Duration, Instant};

/// Relays at which a node behind a router asks to be reached.
const MAX_RELAYS: usize = 2;
/// Pause until a peer is asked once more to relay.
const RELAY_PAUSE: Duration = Duration::from_secs(60);
/// Within this time a peer calls back that was asked to: autonat waits no longer.
const CALL_BACK: Duration = Duration::from_secs(30);
/// The protocol by which a peer says that it relays.
const RELAYS: &str = "/libp2p/circuit/relay/0.2.0/hop";

impl Task {
    /// `bootstrap` is the entry of the bootstrap addresses for which this node called.
    pub(super) fn on_connected(&mut self, peer: PeerId, endpoint: &ConnectedPoint, bootstrap: Option<usize>) {
        let now = Instant::now();
        let (address, incoming) = (endpoint.get_remote_address().clone(), endpoint.is_listener());
        self.addresses.connected(peer, (!incoming).then_some(&address), bootstrap);
        if let Some(known) = self.connected.get(&peer) {
            // Subscriptions are told once, on a peer's first connection. One that comes again while its first
            // seems to live has restarted and knows nothing of ours: both begin anew. (A direct connection
            // beside a relayed one is no restart, nor is one by which it tries whether this node is reached.)
            let relayed = known.address.iter().any(|part| part == Protocol::P2pCircuit);
            let calls_back = known.calls_back_until.is_some_and(|until| now < until);
            if incoming
                && !relayed
                && !calls_back
                && now.saturating_duration_since(known.since) > SIMULTANEOUS
            {
                tracing::debug!(%peer, "peer has restarted");
                // Fails if it has left by itself.
                let _ = self.swarm.disconnect_peer_id(peer);
            }
            return;
        }
        tracing::debug!(%peer, %address, incoming, "peer connected");
        let connected = Connected {
            since: now,
            address,
            incoming,
            agent: None,
            height: None,
            unjudged: Burden::default(),
            fetched: Burden::default(),
            unjudged_blocks: 0,
            hearing: Hearing::of(self.swarm.behaviour().gossipsub.peer_score(&peer)),
            relay_from: None,
            calls_back_until: None,
        };
        self.connected.insert(peer, connected);
        self.counted();
    }
    pub(super) fn on_gone(&mut self, peer: PeerId) {
        // Nobody gets around a ban by leaving before it.
        self.hear_out(peer);
        if let Some(connected) = self.connected.remove(&peer) {
            let now = Instant::now();
            // A node that is full, or has banned this one, takes a call and ends it before it says who it is: no reason to
            // call again at once.
            let stayed = now.saturating_duration_since(connected.since) > SIMULTANEOUS;
            self.addresses.left(&peer, stayed || connected.agent.is_some(), now);
            self.news(News::Gone { peer: Peer::new(peer) });
            self.counted();
        }
    }
    pub(super) fn counted(&self) {
        let incoming = self.connected.values().filter(|peer| peer.incoming).count();
        let outgoing = self.connected.len().saturating_sub(incoming);
        metrics::gauge!("sealpost_peers", "direction" => "incoming").set(incoming as f64);
        metrics::gauge!("sealpost_peers", "direction" => "outgoing").set(outgoing as f64);
        self.count.send_replace(self.connected.len());
    }
    pub(super) fn on_identified(&mut self, peer: PeerId, info: identify::Info) {
        if info.protocol_version != self.names.protocol {
            // Of another network: nothing to say, and no fault.
            tracing::debug!(%peer, protocol = %info.protocol_version, "peer of another network");
            self.addresses.forget(&peer);
            let _ = self.swarm.disconnect_peer_id(peer);
            return;
        }
        let Some(connected) = self.connected.get_mut(&peer) else { return };
        // Said once; what a peer says of itself later may be as much as it likes.
        if connected.agent.is_some() {
            return;
        }
        connected.relay_from = info.protocols.iter().any(|p| p.as_ref() == RELAYS).then(Instant::now);
        connected.agent = Some(info.agent_version.chars().filter(char::is_ascii_graphic).take(64).collect());
        let (remote, now) = (connected.address.clone(), Instant::now());
        let usable = info.listen_addrs.iter().filter(|a| is_usable(a, &remote, self.config.quic));
        self.addresses.introduce(peer, usable.take(MAX_PEER_ADDRESSES).cloned().collect(), now);
        self.question(peer, Request::Status, Purpose::Status);
        // What it holds and we missed, because we were away.
        self.question(peer, Request::Waiting, Purpose::Waiting);
        self.question(peer, Request::Peers, Purpose::Peers);
        self.look_for_relays(now);
    }
    /// Asks connected peers that relay, as long as this node is reached by too few of them.
    pub(super) fn look_for_relays(&mut self, now: Instant) {
        let missing = MAX_RELAYS.saturating_sub(self.relays.len());
        if !self.config.nat || missing == 0 {
            return;
        }
        let relays = &self.relays;
        let ready = self.connected.iter_mut().filter(|(peer, connected)| {
            connected.relay_from.is_some_and(|from| from <= now)
                && !relays.values().any(|other| other == *peer)
        });
        let mut asked = Vec::new();
        for (peer, connected) in ready.take(missing) {
            // One that refuses is asked again some time later.
            connected.relay_from = now.checked_add(RELAY_PAUSE);
            if let Ok(address) = connected.address.clone().with_p2p(*peer) {
                asked.push((*peer, address.with(Protocol::P2pCircuit)));
            }
        }
        for (peer, address) in asked {
            if let Ok(listener) = self.swarm.listen_on(address) {
                self.relays.insert(listener, peer);
            }
        }
    }
    /// A peer was asked to call this node by the addresses by which it believes to be reached, or has tried.
    pub(super) fn on_probe(&mut self, event: autonat::OutboundProbeEvent) {
        let now = Instant::now();
        let (peer, patience) = match event {
            autonat::OutboundProbeEvent::Request { peer, .. } => (Some(peer), CALL_BACK),
            // Its answer may overtake the connection that it tells of.
            autonat::OutboundProbeEvent::Response { peer, .. } => (Some(peer), SIMULTANEOUS),
            autonat::OutboundProbeEvent::Error { peer, .. } => (peer, SIMULTANEOUS),
        };
        if let Some(connected) = peer.and_then(|peer| self.connected.get_mut(&peer)) {
            connected.calls_back_until = now.checked_add(patience);
        }
    }
    /// Peers of which a peer knows. Nobody may send this node where the teller itself is not: near to it.
    pub(super) fn hear_of(&mut self, teller: PeerId, peers: Vec<PeerAddresses>) {
        let Some(remote) = self.connected.get(&teller).map(|teller| teller.address.clone()) else { return };
        let now = Instant::now();
        for PeerAddresses { peer, addresses } in peers {
            let Ok(peer) = peer.parse() else { continue };
            let addresses = addresses.iter().filter_map(|address| address.parse().ok());
            let usable = addresses.filter(|address| is_usable(address, &remote, self.config.quic));
            self.addresses.hear(peer, usable.take(MAX_PEER_ADDRESSES).collect(), now);
        }
    }
    /// Peers to tell another one of: connected, and not the asker.
    pub(super) fn acquaintances(&self, asker: PeerId) -> Vec<PeerAddresses> {
        let Some(remote) = self.connected.get(&asker).map(|asker| &asker.address) else { return Vec::new() };
        let known = self.addresses.introduced();
        let known = known.filter(|(peer, _)| **peer != asker && self.connected.contains_key(*peer));
        // What is near to this node may be far from the asker.
        let told = known.filter(|(_, addresses)| addresses.iter().any(|a| is_usable(a, remote, true)));
        told.take(MAX_PEERS)
            .map(|(peer, addresses)| PeerAddresses {
                peer: peer.to_string(),
                addresses: addresses.iter().take(MAX_PEER_ADDRESSES).map(ToString::to_string).collect(),
            })
            .collect()
    }
}
