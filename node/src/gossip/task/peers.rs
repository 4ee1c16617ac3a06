//! Peers that come and go: who is connected, where they are reached, and of whom they tell.

use super::{Burden, Connected, Purpose, SIMULTANEOUS, Task};
use crate::gossip::addresses::is_usable;
use crate::gossip::standing::Hearing;
use crate::wire::{MAX_PEER_ADDRESSES, MAX_PEERS, News, Peer, PeerAddresses, Request};
use libp2p::core::ConnectedPoint;
use libp2p::multiaddr::Protocol;
use libp2p::{PeerId, identify};
use std::time::Instant;

/// Relays at which a node behind a router asks to be reached.
const MAX_RELAYS: usize = 2;
/// The protocol by which a peer says that it relays.
const RELAYS: &str = "/libp2p/circuit/relay/0.2.0/hop";

impl Task {
    pub(super) fn on_connected(&mut self, peer: PeerId, endpoint: &ConnectedPoint) {
        let now = Instant::now();
        let (address, incoming) = (endpoint.get_remote_address().clone(), endpoint.is_listener());
        self.addresses.connected(peer, (!incoming).then_some(&address), now);
        if let Some(known) = self.connected.get(&peer) {
            // Subscriptions are told once, on a peer's first connection. One that comes again while its first
            // seems to live has restarted and knows nothing of ours: both begin anew. (A direct connection
            // beside a relayed one is no restart.)
            let relayed = known.address.iter().any(|part| part == Protocol::P2pCircuit);
            if incoming && !relayed && now.saturating_duration_since(known.since) > SIMULTANEOUS {
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
        };
        self.connected.insert(peer, connected);
        self.counted();
    }
    pub(super) fn on_gone(&mut self, peer: PeerId) {
        // Nobody gets around a ban by leaving before it.
        self.hear_out(peer);
        if self.connected.remove(&peer).is_some() {
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
        connected.agent = Some(info.agent_version.chars().filter(char::is_ascii_graphic).take(64).collect());
        let (remote, now) = (connected.address.clone(), Instant::now());
        let usable = info.listen_addrs.iter().filter(|a| is_usable(a, &remote, self.config.quic));
        self.addresses.introduce(peer, usable.take(MAX_PEER_ADDRESSES).cloned().collect(), now);
        self.question(peer, Request::Status, Purpose::Status);
        // What it holds and we missed, because we were away.
        self.question(peer, Request::Waiting, Purpose::Waiting);
        self.question(peer, Request::Peers, Purpose::Peers);
        let relays = info.protocols.iter().any(|protocol| protocol.as_ref() == RELAYS);
        if self.config.nat && relays && self.relays.len() < MAX_RELAYS {
            let through = remote.with_p2p(peer).map(|address| address.with(Protocol::P2pCircuit));
            if let Ok(address) = through
                && let Ok(listener) = self.swarm.listen_on(address)
            {
                self.relays.insert(listener);
            }
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
