//! Who a client is: an address, or the network that one host has of IPv6.

use hyper::HeaderMap;
use ipnet::IpNet;
use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

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
    /// proxy has is the client's; what stands before it is anybody's claim. Of whom a trusted proxy says nothing that can
    /// be read, so much is known that it is not the proxy's machine that asks.
    pub fn of(peer: IpAddr, headers: &HeaderMap, trusted: &[IpNet]) -> Self {
        let mut client = peer;
        if !is_trusted(client, trusted) {
            return Self::new(client);
        }
        // As bytes: one of them that is no text would take the whole line, and what the proxy says with it.
        let lines: Vec<_> = headers.get_all("x-forwarded-for").iter().map(|line| line.as_bytes()).collect();
        for hop in lines.into_iter().rev().flat_map(|line| line.rsplit(|byte| *byte == b',')) {
            let Some(address) = hop_address(hop) else { return Self::new(client).elsewhere() };
            client = address;
            if !is_trusted(client, trusted) {
                break;
            }
        }
        Self::new(client)
    }
    /// The same, but in no case this machine.
    fn elsewhere(self) -> Self {
        if self.is_here() { Self(Ipv4Addr::UNSPECIFIED.into()) } else { self }
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

/// The address in a line of a proxy; some write the port behind it, and IPv6 in brackets.
fn hop_address(hop: &[u8]) -> Option<IpAddr> {
    let hop = std::str::from_utf8(hop).ok()?.trim();
    let bare = hop.strip_prefix('[').and_then(|hop| hop.strip_suffix(']')).unwrap_or(hop);
    bare.parse().ok().or_else(|| hop.parse().ok().map(|with_port: SocketAddr| with_port.ip()))
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

    fn client(peer: &str, forwarded: &[&str], trusted: &[&str]) -> String {
        let lines: Vec<_> = forwarded.iter().map(|line| line.as_bytes()).collect();
        of(peer, &lines, trusted).to_string()
    }

    fn of(peer: &str, forwarded: &[&[u8]], trusted: &[&str]) -> Client {
        let mut headers = HeaderMap::new();
        for line in forwarded {
            headers.append("x-forwarded-for", HeaderValue::from_bytes(line).unwrap());
        }
        let trusted: Vec<_> = trusted.iter().map(|net| network(net).unwrap()).collect();
        Client::of(peer.parse().unwrap(), &headers, &trusted)
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
    fn what_no_text_is_before_a_proxys_word_does_not_take_that_away() {
        let here = &["127.0.0.1"];
        assert_eq!(of("127.0.0.1", &[b"\xff, 198.51.100.7"], here).to_string(), "198.51.100.7");
        assert_eq!(of("127.0.0.1", &[b"\xff", b"198.51.100.7"], here).to_string(), "198.51.100.7");
    }

    #[test]
    fn whom_a_proxy_names_with_a_port_is_known() {
        for hop in
            ["198.51.100.7:4711", " 198.51.100.7 ", "::ffff:198.51.100.7", "[::ffff:198.51.100.7]:4711"]
        {
            assert_eq!(client("127.0.0.1", &[hop], &["127.0.0.1"]), "198.51.100.7", "{hop}");
        }
        for hop in ["2001:db8:1:2::3", "[2001:db8:1:2::3]", "[2001:db8:1:2::3]:4711"] {
            assert_eq!(client("127.0.0.1", &[hop], &["127.0.0.1"]), "2001:db8:1:2::", "{hop}");
        }
    }

    #[test]
    fn whom_a_proxy_does_not_name_so_that_it_can_be_read_is_not_this_machine() {
        for line in [
            b"unknown".as_slice(),
            b"",
            b"198.51.100.7, \xff",
            b"198.51.100.7,",
            b"198.51.100.7;1",
            b"_gateway",
        ] {
            for proxy in ["127.0.0.1", "::1"] {
                let client = of(proxy, &[line], &["127.0.0.1", "::1"]);
                assert!(!client.is_here() && client.to_string() == "0.0.0.0", "{proxy}: {line:?}");
            }
        }
        // It itself asks, or somebody beside it.
        assert!(of("127.0.0.1", &[], &["127.0.0.1"]).is_here());
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
