//! Bootstrap addresses that name a host: the operating system finds where it is, and all that it finds is called, one
//! after the other. A name that is to be of one version of IP leads to no address of the other.

use super::addresses::Call;
use libp2p::Multiaddr;
use libp2p::multiaddr::Protocol;
use std::net::IpAddr;

/// Addresses of a host that are tried.
const MAX_FOUND: usize = 4;

/// Which addresses of a host count.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Version {
    Any,
    Four,
    Six,
}

/// A host that is to be found.
#[derive(Debug)]
pub(super) struct Name {
    host: String,
    port: u16,
    version: Version,
}

/// The host that the address of a call names, if it does.
pub(super) fn unresolved(call: &Call) -> Option<Name> {
    let mut parts = call.addresses.first()?.iter();
    let (host, version) = match parts.next()? {
        Protocol::Dns(host) => (host.into_owned(), Version::Any),
        Protocol::Dns4(host) => (host.into_owned(), Version::Four),
        Protocol::Dns6(host) => (host.into_owned(), Version::Six),
        _ => return None,
    };
    match parts.next()? {
        Protocol::Tcp(port) | Protocol::Udp(port) => Some(Name { host, port, version }),
        _ => None,
    }
}

impl Name {
    /// Puts the host's IP addresses in its place; without one the call can't be made.
    pub(super) async fn resolve(self, call: Call) -> Call {
        let found = match tokio::net::lookup_host((self.host.as_str(), self.port)).await {
            Ok(found) => found.map(|found| found.ip()).collect(),
            Err(error) => {
                tracing::debug!(host = self.host, %error, "a host is not found");
                Vec::new()
            }
        };
        self.replaced(call, found)
    }
    fn replaced(&self, call: Call, found: Vec<IpAddr>) -> Call {
        let Some(address) = call.addresses.first() else { return call };
        let counts = |ip: &IpAddr| match self.version {
            Version::Any => true,
            Version::Four => ip.is_ipv4(),
            Version::Six => ip.is_ipv6(),
        };
        let place =
            |ip: IpAddr| address.iter().skip(1).fold(Multiaddr::from(ip), |place, part| place.with(part));
        let addresses = found.into_iter().filter(counts).take(MAX_FOUND).map(place).collect();
        Call { addresses, ..call }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn found_at(name: &str, found: &[&str]) -> Vec<String> {
        let call = Call { bootstrap: Some(0), peer: None, addresses: vec![name.parse().unwrap()] };
        let found = found.iter().map(|ip| ip.parse().unwrap()).collect();
        let call = unresolved(&call).unwrap().replaced(call, found);
        assert_eq!(call.bootstrap, Some(0));
        call.addresses.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn all_that_a_name_stands_for_is_called_and_nothing_of_the_other_version() {
        let found = ["2001:db8::1", "192.0.2.1", "2001:db8::2", "192.0.2.2"];
        assert_eq!(
            found_at("/dns4/a.example/tcp/7", &found),
            ["/ip4/192.0.2.1/tcp/7", "/ip4/192.0.2.2/tcp/7"]
        );
        assert_eq!(
            found_at("/dns6/a.example/udp/7/quic-v1", &found),
            ["/ip6/2001:db8::1/udp/7/quic-v1", "/ip6/2001:db8::2/udp/7/quic-v1"]
        );
        assert_eq!(found_at("/dns/a.example/tcp/7", &found).len(), 4);
        assert_eq!(found_at("/dns/a.example/tcp/7", &["192.0.2.1"; 100]).len(), MAX_FOUND);
        assert!(found_at("/dns4/a.example/tcp/7", &["2001:db8::1"]).is_empty());
    }
}
