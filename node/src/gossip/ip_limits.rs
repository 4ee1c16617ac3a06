//! Bounds connections by IP address. Network identities cost nothing, addresses do: without this bound one
//! machine could take every place with identities made for the purpose. An IPv6 /64 counts as one address,
//! because that is what one customer is given.

use libp2p::core::Endpoint;
use libp2p::core::transport::PortUse;
use libp2p::multiaddr::Protocol;
use libp2p::swarm::behaviour::{ConnectionClosed, ConnectionEstablished, ListenFailure};
use libp2p::swarm::{
    ConnectionDenied, ConnectionId, FromSwarm, NetworkBehaviour, THandler, THandlerInEvent, THandlerOutEvent,
    ToSwarm, dummy,
};
use libp2p::{Multiaddr, PeerId};
use std::collections::{HashMap, HashSet};
use std::convert::Infallible;
use std::net::{IpAddr, Ipv6Addr};
use std::task::{Context, Poll};
use std::time::Instant;
use thiserror::Error;

/// Addresses whose offences are remembered.
const MAX_OFFENDERS: usize = 4_096;
/// Connections of one address that are being set up: those that say nothing must not keep others out.
const MAX_PENDING: u32 = 4;
/// Identities of one address that are banned before the address is: an office behind one router shall not
/// be cut off for a single bad node.
const OFFENCES: usize = 3;

/// The bound, as a behaviour of the swarm.
#[derive(Debug)]
pub(super) struct IpLimits {
    limit: u32,
    connections: HashMap<IpAddr, u32>,
    pending: HashMap<ConnectionId, IpAddr>,
    offenders: HashMap<IpAddr, Offender>,
}

#[derive(Debug, Clone)]
struct Offender {
    /// Different ones: a single peer that is banned again and again counts once.
    peers: HashSet<PeerId>,
    until: Instant,
}

/// Why a connection is refused.
#[derive(Debug, Error)]
pub(super) enum IpRefusal {
    #[error("{ip} has {limit} connections already")]
    TooMany { ip: IpAddr, limit: u32 },
    #[error("{ip} is setting up {limit} connections already")]
    TooManyPending { ip: IpAddr, limit: u32 },
    #[error("{ip} is banned")]
    Banned { ip: IpAddr },
}

impl IpLimits {
    /// At most `limit` connections from one address.
    pub(super) fn new(limit: u32) -> Self {
        Self { limit, connections: HashMap::new(), pending: HashMap::new(), offenders: HashMap::new() }
    }
    /// Notes that a peer at that address is banned until then; after several, the address is banned too.
    /// This machine itself never is.
    pub(super) fn note_ban(&mut self, peer: PeerId, address: &Multiaddr, until: Instant) {
        let Some(ip) = ip_of(address).filter(|ip| !ip.is_loopback()) else { return };
        let now = Instant::now();
        if self.offenders.len() >= MAX_OFFENDERS || self.offenders.get(&ip).is_some_and(|o| o.until <= now) {
            self.offenders.retain(|_, offender| offender.until > now);
        }
        if self.offenders.len() < MAX_OFFENDERS {
            let offender = self.offenders.entry(ip).or_insert(Offender { peers: HashSet::new(), until });
            if offender.peers.len() < OFFENCES {
                offender.peers.insert(peer);
            }
            offender.until = offender.until.max(until);
        }
    }
    fn check_ban(&self, address: &Multiaddr) -> Result<(), IpRefusal> {
        let Some(ip) = ip_of(address) else { return Ok(()) };
        let banned = |o: &Offender| o.peers.len() >= OFFENCES && o.until > Instant::now();
        match self.offenders.get(&ip) {
            Some(offender) if banned(offender) => Err(IpRefusal::Banned { ip }),
            _ => Ok(()),
        }
    }
    fn check_pending(&self, address: &Multiaddr) -> Result<(), IpRefusal> {
        let Some(ip) = ip_of(address) else { return Ok(()) };
        // Several nodes of one machine may start at once.
        let limit = if ip.is_loopback() { self.limit.max(MAX_PENDING) } else { MAX_PENDING };
        let pending = self.pending.values().filter(|other| **other == ip).count();
        if pending >= usize::try_from(limit).unwrap_or(usize::MAX) {
            return Err(IpRefusal::TooManyPending { ip, limit });
        }
        Ok(())
    }
    fn check(&self, address: &Multiaddr) -> Result<(), IpRefusal> {
        self.check_ban(address)?;
        let Some(ip) = ip_of(address) else { return Ok(()) };
        if self.connections.get(&ip).copied().unwrap_or(0) >= self.limit {
            return Err(IpRefusal::TooMany { ip, limit: self.limit });
        }
        Ok(())
    }
}

/// The address that counts: none for a relayed connection, whose IP is the relay's.
pub(super) fn ip_of(address: &Multiaddr) -> Option<IpAddr> {
    if address.iter().any(|part| part == Protocol::P2pCircuit) {
        return None;
    }
    match address.iter().next()? {
        Protocol::Ip4(ip) => Some(ip.into()),
        Protocol::Ip6(ip) => match ip.to_ipv4_mapped() {
            Some(ip) => Some(ip.into()),
            None => {
                let [a, b, c, d, ..] = ip.segments();
                let whole = if ip.is_loopback() { ip } else { Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0) };
                Some(whole.into())
            }
        },
        _ => None,
    }
}

impl NetworkBehaviour for IpLimits {
    type ConnectionHandler = dummy::ConnectionHandler;
    type ToSwarm = Infallible;

    fn handle_pending_inbound_connection(
        &mut self,
        connection: ConnectionId,
        _: &Multiaddr,
        remote: &Multiaddr,
    ) -> Result<(), ConnectionDenied> {
        self.check(remote).and_then(|()| self.check_pending(remote)).map_err(ConnectionDenied::new)?;
        if let Some(ip) = ip_of(remote) {
            self.pending.insert(connection, ip);
        }
        Ok(())
    }
    fn handle_established_inbound_connection(
        &mut self,
        _: ConnectionId,
        _: PeerId,
        _: &Multiaddr,
        remote: &Multiaddr,
    ) -> Result<THandler<Self>, ConnectionDenied> {
        self.check(remote).map_err(ConnectionDenied::new)?;
        Ok(dummy::ConnectionHandler)
    }
    fn handle_established_outbound_connection(
        &mut self,
        _: ConnectionId,
        _: PeerId,
        address: &Multiaddr,
        _: Endpoint,
        _: PortUse,
    ) -> Result<THandler<Self>, ConnectionDenied> {
        self.check_ban(address).map_err(ConnectionDenied::new)?;
        Ok(dummy::ConnectionHandler)
    }
    fn on_swarm_event(&mut self, event: FromSwarm<'_>) {
        match event {
            FromSwarm::ListenFailure(ListenFailure { connection_id, .. }) => {
                self.pending.remove(&connection_id);
            }
            FromSwarm::ConnectionEstablished(ConnectionEstablished { connection_id, endpoint, .. }) => {
                self.pending.remove(&connection_id);
                if let Some(ip) = ip_of(endpoint.get_remote_address()) {
                    let count = self.connections.entry(ip).or_default();
                    *count = count.saturating_add(1);
                }
            }
            FromSwarm::ConnectionClosed(ConnectionClosed { endpoint, .. }) => {
                if let Some(ip) = ip_of(endpoint.get_remote_address())
                    && let Some(count) = self.connections.get_mut(&ip)
                {
                    *count = count.saturating_sub(1);
                    if *count == 0 {
                        self.connections.remove(&ip);
                    }
                }
            }
            _ => {}
        }
    }
    fn on_connection_handler_event(&mut self, _: PeerId, _: ConnectionId, event: THandlerOutEvent<Self>) {
        match event {}
    }
    fn poll(&mut self, _: &mut Context<'_>) -> Poll<ToSwarm<Self::ToSwarm, THandlerInEvent<Self>>> {
        Poll::Pending
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use std::time::Duration;

    fn address(text: &str) -> Multiaddr {
        text.parse().unwrap()
    }

    #[test]
    fn a_network_of_one_customer_counts_as_one_address() {
        let (a, b) = ("/ip6/2001:db8:1:2::5/tcp/1", "/ip6/2001:db8:1:2:9::/tcp/2");
        assert_eq!(ip_of(&address(a)), ip_of(&address(b)));
        assert_ne!(ip_of(&address(a)), ip_of(&address("/ip6/2001:db8:1:3::5/tcp/1")));
        assert_eq!(ip_of(&address("/ip6/::ffff:10.0.0.1/tcp/1")), ip_of(&address("/ip4/10.0.0.1/tcp/9")));
    }

    #[test]
    fn an_address_of_many_banned_peers_is_refused_until_its_time_and_this_machine_never() {
        let mut limits = IpLimits::new(4);
        let far = Instant::now() + Duration::from_secs(60);
        let (other, here) = (address("/ip4/10.1.1.1/tcp/1"), address("/ip4/127.0.0.1/tcp/1"));
        let same = PeerId::random();
        for count in 1..=OFFENCES {
            assert!(limits.check(&other).is_ok(), "refused after {} only", count - 1);
            let peer = if count == 1 { same } else { PeerId::random() };
            limits.note_ban(peer, &other, far);
            limits.note_ban(same, &other, far);
            limits.note_ban(peer, &here, far);
        }
        assert!(matches!(limits.check(&other), Err(IpRefusal::Banned { .. })));
        assert!(limits.check(&here).is_ok());
        limits.offenders.values_mut().for_each(|offender| offender.until = Instant::now());
        assert!(limits.check(&other).is_ok());
        // What was forgiven does not count any more.
        limits.note_ban(PeerId::random(), &other, far);
        assert!(limits.check(&other).is_ok());
    }

    #[test]
    fn connections_that_say_nothing_keep_out_only_their_own_address() {
        let mut limits = IpLimits::new(16);
        let (silent, other) = (address("/ip4/10.1.1.1/tcp/1"), address("/ip4/10.1.1.2/tcp/1"));
        let mut come = |from: &Multiaddr, number: usize| {
            limits.handle_pending_inbound_connection(ConnectionId::new_unchecked(number), from, from).is_ok()
        };
        assert_eq!((0..100).filter(|number| come(&silent, *number)).count(), 4);
        assert!(come(&other, 200));
    }
}
