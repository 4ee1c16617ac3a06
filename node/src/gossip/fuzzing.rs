//! What the fuzzer tries of the network of all nodes: addresses that peers give of themselves, and gossipsub's own words
//! as they are followed while they pass.
#![allow(clippy::unwrap_used)]

use super::addresses::is_usable;
use super::control::fuzzing::followed;
use super::ip_limits::ip_of;
use libp2p::Multiaddr;
use libp2p::multiaddr::Protocol;
use sealpost_ledger::fuzzing::Target;
use std::net::IpAddr;

/// What is tried.
pub(crate) fn targets() -> Vec<Target> {
    vec![Target::new("peer_address", addresses, address), followed()]
}

/// Two lines: an address, and where the peer is who gives it.
fn address(input: &[u8]) -> bool {
    let Some((text, from)) = std::str::from_utf8(input).ok().and_then(|text| text.split_once('\n')) else {
        return false;
    };
    let (Ok(address), Ok(from)) = (text.parse::<Multiaddr>(), from.parse::<Multiaddr>()) else {
        return false;
    };
    assert_eq!(address.to_string().parse().ok(), Some(address.clone()));
    let usable = [false, true].map(|quic| is_usable(&address, &from, quic));
    assert!(usable[1] || !usable[0]);
    if !usable[1] {
        return false;
    }
    // Nobody sends this node to its own machine or network from afar, however the address is written.
    let (is, by) = (plain_ip(&address).unwrap(), ip_of(&from).unwrap());
    assert!(!is.is_unspecified() && !is.is_multicast(), "{address}");
    // Nor to another place than the one that is looked at.
    let is_place =
        |part: &Protocol<'_>| matches!(part, Protocol::Ip4(_) | Protocol::Ip6(_) | Protocol::Tcp(_));
    assert!(address.iter().skip(2).all(|part| !is_place(&part)), "{address}");
    assert!(!is.is_loopback() || by.is_loopback(), "{address} by {from}");
    assert!(!is_home(is) || is_home(by) || by.is_loopback(), "{address} by {from}");
    true
}

fn plain_ip(address: &Multiaddr) -> Option<IpAddr> {
    match address.iter().next()? {
        Protocol::Ip4(ip) => Some(ip.into()),
        Protocol::Ip6(ip) => Some(IpAddr::V6(ip).to_canonical()),
        _ => None,
    }
}

fn is_home(ip: IpAddr) -> bool {
    match ip {
        IpAddr::V4(ip) => ip.is_private() || ip.is_link_local(),
        IpAddr::V6(ip) => ip.is_unique_local() || ip.is_unicast_link_local(),
    }
}

fn addresses() -> Vec<Vec<u8>> {
    let peer = "12D3KooWEyoppNCUx8Yx66oV9fJnriXwCcXwDDUA2kj6vnc6iDEp";
    [
        "/ip4/198.51.100.1/tcp/7\n/ip4/198.51.100.2/tcp/9".to_owned(),
        "/ip6/2001:db8::1/udp/7/quic-v1\n/ip6/2001:db8::2/tcp/9".to_owned(),
        "/ip4/192.168.1.2/tcp/7\n/ip4/10.0.0.1/tcp/9".to_owned(),
        "/ip6/::ffff:198.51.100.1/tcp/7\n/ip6/::1/tcp/9".to_owned(),
        "/ip6/::ffff:198.51.100.1/tcp/7\n/ip6/2001:db8::1/tcp/9".to_owned(),
        "/ip6/::ffff:127.0.0.1/tcp/7\n/ip4/127.0.0.1/tcp/9".to_owned(),
        format!("/ip4/198.51.100.1/tcp/7/p2p/{peer}\n/ip4/198.51.100.2/tcp/9/p2p/{peer}/p2p-circuit"),
        "/dns/a.example/tcp/7\n/ip4/127.0.0.1/tcp/9".to_owned(),
        "/ip4/198.51.100.1/tcp/7/ip4/127.0.0.1/tcp/22\n/ip4/198.51.100.2/tcp/9".to_owned(),
    ]
    .map(String::into_bytes)
    .to_vec()
}
