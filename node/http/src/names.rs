//! Under which names a server is asked. A page in somebody's browser may ask any server that the browser reaches, also
//! one on its own machine, and a name of the page's own may lead there (DNS rebinding). The browser says so in two
//! headers: `Host` has the name that was asked for, `Origin` whose page it is.

use hyper::HeaderMap;
use hyper::header::{HOST, ORIGIN};
use std::collections::BTreeSet;
use std::net::IpAddr;
use thiserror::Error;

/// The names of a server, and the pages that may ask it.
#[derive(Debug, Clone, Default)]
pub struct Names {
    hosts: BTreeSet<String>,
    origins: BTreeSet<String>,
}

/// Why a request is none for this server.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum Foreign {
    /// It is for a server of another name.
    #[error("the request is for {0:?}")]
    Host(String),
    /// It was made by somebody else's page.
    #[error("the request comes from a page of {0:?}")]
    Origin(String),
}

impl Names {
    /// Of a server with these names besides its addresses and `localhost`, asked by pages of these origins besides its
    /// own, such as `https://ledger.example.org`.
    pub fn new(hosts: &[String], origins: &[String]) -> Self {
        let lower = |names: &[String]| names.iter().map(|name| name.to_ascii_lowercase()).collect();
        Self { hosts: lower(hosts), origins: lower(origins) }
    }
    /// Whether the request is for this server, and not another's page that made it. What no browser sends, such as a
    /// request without a name, is nobody's page.
    pub fn check(&self, headers: &HeaderMap) -> Result<(), Foreign> {
        let named: Vec<_> = headers.get_all(HOST).iter().collect();
        let host = match named.as_slice() {
            [] => None,
            [host] => Some(text(host)),
            // Of two names one would be looked at here and the other elsewhere.
            several => {
                return Err(Foreign::Host(
                    several.iter().map(|host| text(host)).collect::<Vec<_>>().join(", "),
                ));
            }
        };
        if let Some(host) = &host
            && !self.is_own(host)
        {
            return Err(Foreign::Host(host.clone()));
        }
        for origin in headers.get_all(ORIGIN) {
            let origin = text(origin);
            let page = origin.split_once("://").map(|(_, authority)| authority);
            let is_same = page.is_some() && page == host.as_deref();
            if !is_same && !self.origins.contains(&origin) {
                return Err(Foreign::Origin(origin));
            }
        }
        Ok(())
    }
    /// An address is nobody's name: it leads where it says, whatever a page would like.
    fn is_own(&self, host: &str) -> bool {
        let name = without_port(host);
        let name = name.strip_suffix('.').unwrap_or(name);
        let bare = name.strip_prefix('[').and_then(|name| name.strip_suffix(']')).unwrap_or(name);
        name == "localhost" || bare.parse::<IpAddr>().is_ok() || self.hosts.contains(name)
    }
}

fn text(value: &hyper::header::HeaderValue) -> String {
    String::from_utf8_lossy(value.as_bytes()).trim().to_ascii_lowercase()
}

fn without_port(host: &str) -> &str {
    match host.rsplit_once(':') {
        // The colons of an address between brackets are its own.
        Some((name, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => name,
        _ => host,
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use hyper::header::{HeaderName, HeaderValue};

    fn check(names: &Names, lines: &[(HeaderName, &'static str)]) -> Result<(), Foreign> {
        let mut headers = HeaderMap::new();
        for (name, value) in lines {
            headers.append(name, HeaderValue::from_static(value));
        }
        names.check(&headers)
    }

    fn names() -> Names {
        Names::new(&["Node.example.org".to_owned()], &["https://Ledger.example.org".to_owned()])
    }

    #[test]
    fn addresses_localhost_and_the_given_names_are_own_and_no_others() {
        let own = [
            "127.0.0.1:17325",
            "192.0.2.1",
            "[::1]:17325",
            "[2001:db8::1]",
            "localhost",
            "LocalHost:17325",
            "node.example.org:17325",
            "NODE.example.org.",
        ];
        for host in own {
            assert_eq!(check(&names(), &[(HOST, host)]), Ok(()), "{host}");
        }
        let foreign = [
            "evil.example:17325",
            "127.0.0.1.evil.example",
            "localhost.evil.example",
            "sub.node.example.org",
            "",
            ":17325",
            "[::1",
            "127.0.0.1:17325, evil.example",
        ];
        for host in foreign {
            assert!(matches!(check(&names(), &[(HOST, host)]), Err(Foreign::Host(_))), "{host}");
        }
        assert!(check(&names(), &[(HOST, "localhost"), (HOST, "evil.example")]).is_err());
        // No browser leaves it out.
        assert_eq!(check(&names(), &[]), Ok(()));
    }

    #[test]
    fn pages_of_the_same_server_and_the_given_ones_may_ask_and_no_others() {
        let from = |host, origin| check(&names(), &[(HOST, host), (ORIGIN, origin)]);
        for (host, origin) in [
            ("localhost:17325", "http://localhost:17325"),
            ("node.example.org", "https://node.example.org"),
            ("127.0.0.1:17325", "https://ledger.example.org"),
        ] {
            assert_eq!(from(host, origin), Ok(()), "{origin}");
        }
        for (host, origin) in [
            ("127.0.0.1:17325", "http://evil.example"),
            ("127.0.0.1:17325", "http://127.0.0.1:8000"),
            ("localhost:17325", "http://localhost"),
            ("127.0.0.1:17325", "null"),
            ("0.0.0.0:17325", "https://evil.example"),
            ("127.0.0.1:17325", "http://ledger.example.org"),
        ] {
            assert_eq!(from(host, origin), Err(Foreign::Origin(origin.to_owned())), "{host}");
        }
        let several = [(HOST, "127.0.0.1"), (ORIGIN, "http://127.0.0.1"), (ORIGIN, "http://evil.example")];
        assert!(check(&names(), &several).is_err());
        assert!(check(&names(), &[(ORIGIN, "http://evil.example")]).is_err());
    }
}
