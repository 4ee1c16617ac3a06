//! Bounds connections by IP address. Network identities cost nothing, addresses do: without this bound one
//! machine could take every place with identities made for the purpose. An IPv6 /64 counts as one address,
//! because that is what one customer is given.

use libp2p::core::Endpoint;
use libp2p::core::transport::PortUse;
use libp2p::multiaddr::Protocol;
use libp2p::swarm::behaviour::{ConnectionClosed, ConnectionEstablished};
use libp2p::swarm::{
    ConnectionDenied, ConnectionId, FromSwarm, NetworkBehaviour, THandler, THandlerInEvent, THandlerOutEvent,
    ToSwarm, dummy,
};
use libp2p::{Multiaddr, PeerId};
use std::collections::HashMap;
use std::convert::Infallible;
use std::net::{IpAddr, Ipv6Addr};
use std::task::{Context, Poll};
use std::time::Instant;
use thiserror::Error;

/// Addresses whose offences are remembered.
const MAX_OFFENDERS: usize = 4_096;
/// Identities of one address that are banned before the address is: an office behind one router shall not
/// be cut off for a single bad node.
const OFFENCES: u32 = 3;

/// The bound, as a behaviour of the swarm.
#[derive(Debug)]
pub(super) struct IpLimits {
    limit: u32,
    connections: HashMap<IpAddr, u32>,
    offenders: HashMap<IpAddr, Offender>,
}

#[derive(Debug, Clone, Copy)]
struct Offender {
    offences: u32,
    until: Instant,
}

/// Why a connection is refused.
#[derive(Debug, Error)]
pub(super) enum IpRefusal {
    #[error("{ip} has {limit} connections already")]
    TooMany { ip: IpAddr, limit: u32 },
    #[error("{ip} is banned")]
    Banned { ip: IpAddr },
}

impl IpLimits {
    /// At most `limit` connections from one address.
    pub(super) fn new(limit: u32) -> Self {
        Self { limit, connections: HashMap::new(), offenders: HashMap::new() }
    }
    /// Notes that a peer at that address is banned until then; after several, the address is banned too.
    /// This machine itself never is.
    pub(super) fn note_ban(&mut self, address: &Multiaddr, until: Instant) {
        let Some(ip) = ip_of(address).filter(|ip| !ip.is_loopback()) else { return };
        if self.offenders.len() >= MAX_OFFENDERS {
            let now = Instant::now();
            self.offenders.retain(|_, offender| offender.until > now);
        }
        if self.offenders.len() < MAX_OFFENDERS {
            let offender = self.offenders.entry(ip).or_insert(Offender { offences: 0, until });
            offender.offences = offender.offences.saturating_add(1);
            offender.until = offender.until.max(until);
        }
    }
    fn check(&self, address: &Multiaddr) -> Result<(), IpRefusal> {
        let Some(ip) = ip_of(address) else { return Ok(()) };
        if self.offenders.get(&ip).is_some_and(|o| o.offences >= OFFENCES && o.until > Instant::now()) {
            return Err(IpRefusal::Banned { ip });
        }
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
        _: ConnectionId,
        _: &Multiaddr,
        remote: &Multiaddr,
    ) -> Result<(), ConnectionDenied> {
        self.check(remote).map_err(ConnectionDenied::new)
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
        _: &Multiaddr,
        _: Endpoint,
        _: PortUse,
    ) -> Result<THandler<Self>, ConnectionDenied> {
        Ok(dummy::ConnectionHandler)
    }
    fn on_swarm_event(&mut self, event: FromSwarm<'_>) {
        match event {
            FromSwarm::ConnectionEstablished(ConnectionEstablished { endpoint, .. }) => {
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
        for count in 1..=OFFENCES {
            assert!(limits.check(&other).is_ok(), "refused after {} only", count - 1);
            limits.note_ban(&other, far);
            limits.note_ban(&here, far);
        }
        assert!(matches!(limits.check(&other), Err(IpRefusal::Banned { .. })));
        assert!(limits.check(&here).is_ok());
        limits.offenders.values_mut().for_each(|offender| offender.until = Instant::now());
        assert!(limits.check(&other).is_ok());
    }
}
