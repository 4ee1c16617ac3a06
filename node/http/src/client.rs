//! Who a client is: an address, or the network that one host has of IPv6.

use hyper::HeaderMap;
use ipnet::IpNet;
use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// A client, as limits know it: its address; of IPv6 the half that a network gets, because a host can take any
/// other half.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Client(IpAddr);

impl Client {
    /// The client with that address.
    pub fn new(address: IpAddr) -> Self {
        Self(match address.to_canonical() {
            // A machine's own address is not shared with a network.
            IpAddr::V6(address) if !address.is_loopback() => {
                let [a, b, c, d, ..] = address.segments();
                IpAddr::V6(Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0))
            }
            address => address,
        })
    }
    /// Who sent a request. Each proxy adds whom it heard it from at the end, so the last address that no trusted
    /// proxy has is the client's; what stands before it is anybody's claim.
    pub fn of(peer: IpAddr, headers: &HeaderMap, trusted: &[IpNet]) -> Self {
        let mut client = peer;
        if !is_trusted(client, trusted) {
            return Self::new(client);
        }
        let lines = headers.get_all("x-forwarded-for").iter();
        let chain: Vec<_> =
            lines.filter_map(|line| line.to_str().ok()).flat_map(|line| line.split(',')).collect();
        for hop in chain.into_iter().rev() {
            let Ok(address) = hop.trim().parse() else { break };
            client = address;
            if !is_trusted(client, trusted) {
                break;
            }
        }
        Self::new(client)
    }
    /// Whether it is this machine under the address that its own programs have, 127.0.0.1 or ::1. The other loopback
    /// addresses are clients like any other: nobody has one without having asked for it.
    pub fn is_here(&self) -> bool {
        self.0 == Ipv4Addr::LOCALHOST || self.0 == Ipv6Addr::LOCALHOST
    }
}

impl fmt::Display for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Whether an address is a trusted proxy's.
pub fn is_trusted(address: IpAddr, trusted: &[IpNet]) -> bool {
    trusted.iter().any(|net| net.contains(&address.to_canonical()))
}

/// A network such as `10.0.0.0/8`, or an address alone.
pub fn network(text: &str) -> Option<IpNet> {
    text.parse().ok().or_else(|| text.parse::<IpAddr>().ok().map(IpNet::from))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use hyper::header::HeaderValue;

    fn client(peer: &str, forwarded: &[&'static str], trusted: &[&str]) -> String {
        let lines = forwarded.iter().map(|line| HeaderValue::from_static(line));
        let mut headers = HeaderMap::new();
        for line in lines {
            headers.append("x-forwarded-for", line);
        }
        let trusted: Vec<_> = trusted.iter().map(|net| net.parse().unwrap()).collect();
        Client::of(peer.parse().unwrap(), &headers, &trusted).to_string()
    }

    #[test]
    fn only_a_trusted_proxy_says_who_asks() {
        assert_eq!(client("192.0.2.1", &["198.51.100.7"], &[]), "192.0.2.1");
        assert_eq!(client("192.0.2.1", &["198.51.100.7"], &["10.0.0.0/8"]), "192.0.2.1");
        assert_eq!(client("10.0.0.1", &["198.51.100.7"], &["10.0.0.0/8"]), "198.51.100.7");
        assert_eq!(client("::ffff:10.0.0.1", &["198.51.100.7"], &["10.0.0.0/8"]), "198.51.100.7");
    }

    #[test]
    fn what_a_client_claims_of_itself_is_not_believed() {
        let trusted = &["10.0.0.0/8"];
        assert_eq!(client("10.0.0.1", &["1.1.1.1, 198.51.100.7"], trusted), "198.51.100.7");
        assert_eq!(client("10.0.0.1", &["1.1.1.1", "198.51.100.7, 10.2.2.2"], trusted), "198.51.100.7");
        assert_eq!(client("10.0.0.1", &["10.9.9.9, nonsense"], trusted), "10.0.0.1");
        assert_eq!(client("10.0.0.1", &[], trusted), "10.0.0.1");
    }

    #[test]
    fn a_network_of_ipv6_is_one_client() {
        assert_eq!(client("2001:db8:1:2:3:4:5:6", &[], &[]), client("2001:db8:1:2:ffff::1", &[], &[]));
        assert_ne!(client("2001:db8:1:2::1", &[], &[]), client("2001:db8:1:3::1", &[], &[]));
    }

    #[test]
    fn this_machine_has_two_addresses_and_no_other() {
        let is_here = |text: &str| Client::new(text.parse().unwrap()).is_here();
        assert!(["127.0.0.1", "::1", "::ffff:127.0.0.1"].iter().all(|text| is_here(text)));
        assert!(!["127.0.0.2", "::2", "::", "192.0.2.1", "0.0.0.0"].iter().any(|text| is_here(text)));
    }
}
