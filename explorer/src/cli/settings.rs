//! The explorer's settings: from flags, environment, file and defaults.

use crate::limits::Limits;
use clap::Args;
use confique::Config;
use confique::env::parse::list_by_comma;
use ipnet::IpNet;
use sealpost_terminal::Failure;
use std::num::NonZeroU32;
use std::path::PathBuf;
use std::time::Duration;

/// Settings of the explorer.
#[derive(Debug, Clone, Config)]
#[config(layer_attr(derive(Clone, Debug, serde::Serialize)))]
#[config(layer_attr(serde(deny_unknown_fields)))]
pub(super) struct ExplorerSettings {
    /// The node to ask.
    #[config(env = "SEALPOST_NODE", default = "http://127.0.0.1:17325")]
    pub(super) node: String,
    /// Genesis of the network, a file that you got from somebody you trust: everything is checked against it. Without it
    /// against the one that the node gives first, and what the pages call proven is worth no more than that node's word.
    #[config(env = "SEALPOST_EXPLORER_GENESIS")]
    pub(super) genesis: Option<PathBuf>,
    /// Where to listen.
    #[config(env = "SEALPOST_EXPLORER_LISTEN", default = "127.0.0.1:17329")]
    pub(super) listen: String,
    /// Requests per second of one client (an address; an IPv6 /64), five seconds' worth of them at once; 0 for no
    /// limit. They may lead to five times as many questions to the node.
    #[config(env = "SEALPOST_EXPLORER_RATE", default = 20)]
    pub(super) rate: u32,
    /// Proxies, as addresses or networks such as 10.0.0.0/8, whose X-Forwarded-For says who the client is.
    #[config(env = "SEALPOST_EXPLORER_TRUSTED_PROXIES", parse_env = list_by_comma, default = [])]
    pub(super) trusted_proxies: Vec<String>,
    /// Connections at once; who comes after that waits.
    #[config(env = "SEALPOST_EXPLORER_CONNECTIONS", default = 512)]
    pub(super) connections: usize,
    /// Connections of one client at once; those of trusted proxies are not counted.
    #[config(env = "SEALPOST_EXPLORER_CONNECTIONS_PER_CLIENT", default = 64)]
    pub(super) connections_per_client: usize,
    /// Streams of events at once: those of the API and of pages that keep themselves up to date.
    #[config(env = "SEALPOST_EXPLORER_STREAMS", default = 256)]
    pub(super) streams: usize,
    /// Streams of events of one client at once.
    #[config(env = "SEALPOST_EXPLORER_STREAMS_PER_CLIENT", default = 8)]
    pub(super) streams_per_client: usize,
    /// Longest time until an answer begins, in seconds.
    #[config(env = "SEALPOST_EXPLORER_REQUEST_SECONDS", default = 10)]
    pub(super) request_seconds: u64,
    /// Largest body of a request, in bytes. Nothing that is asked here needs one.
    #[config(env = "SEALPOST_EXPLORER_BODY_BYTES", default = 1_048_576)]
    pub(super) body_bytes: u64,
}

/// The flags that limit clients.
#[derive(Debug, Args)]
pub(super) struct LimitArgs {
    /// Requests per second of one client, such as 20/s; 0 for no limit
    #[arg(long, value_name = "N/s", value_parser = rate)]
    rate: Option<u32>,
    /// A proxy whose X-Forwarded-For says who the client is: an address or a network. Repeat it for more
    #[arg(long, value_name = "CIDR")]
    trusted_proxy: Vec<String>,
    /// Connections at once
    #[arg(long, value_name = "N")]
    connections: Option<usize>,
    /// Connections of one client at once
    #[arg(long, value_name = "N")]
    connections_per_client: Option<usize>,
    /// Streams of events at once
    #[arg(long, value_name = "N")]
    streams: Option<usize>,
    /// Streams of events of one client at once
    #[arg(long, value_name = "N")]
    streams_per_client: Option<usize>,
    /// Longest time until an answer begins, in seconds
    #[arg(long, value_name = "N")]
    request_seconds: Option<u64>,
}

fn rate(text: &str) -> Result<u32, String> {
    let number = text.strip_suffix("/s").unwrap_or(text);
    number.parse().map_err(|_| "a number of requests per second is expected, such as 20/s".to_owned())
}

impl LimitArgs {
    /// Puts what was given over the other settings.
    pub(super) fn enter(self, flags: &mut <ExplorerSettings as Config>::Layer) {
        flags.rate = self.rate;
        flags.trusted_proxies = (!self.trusted_proxy.is_empty()).then_some(self.trusted_proxy);
        (flags.connections, flags.streams) = (self.connections, self.streams);
        flags.connections_per_client = self.connections_per_client;
        flags.streams_per_client = self.streams_per_client;
        flags.request_seconds = self.request_seconds;
    }
}

impl ExplorerSettings {
    /// The limits that these settings set.
    pub(super) fn limits(&self) -> Result<Limits, Failure> {
        let networks = self.trusted_proxies.iter().map(|text| network(text));
        for (name, is_zero) in [
            ("connections", self.connections == 0),
            ("connections_per_client", self.connections_per_client == 0),
            ("request_seconds", self.request_seconds == 0),
        ] {
            if is_zero {
                return Err(Failure::usage(format_args!("{name}: 0, at least 1 is needed")));
            }
        }
        Ok(Limits {
            rate: NonZeroU32::new(self.rate),
            trusted_proxies: networks.collect::<Result<_, _>>()?,
            connections: self.connections.min(tokio::sync::Semaphore::MAX_PERMITS),
            connections_per_client: self.connections_per_client,
            streams: self.streams,
            streams_per_client: self.streams_per_client,
            request_time: Duration::from_secs(self.request_seconds),
            body_bytes: self.body_bytes,
        })
    }
}

/// A network, or an address alone.
fn network(text: &str) -> Result<IpNet, Failure> {
    sealpost_http::network(text).ok_or_else(|| {
        Failure::usage(format_args!("trusted_proxies: {text:?} is no address and no network"))
            .help("such as 127.0.0.1 or 10.0.0.0/8")
    })
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_rate_is_written_with_or_without_its_unit() {
        assert_eq!(rate("20/s"), Ok(20));
        assert_eq!(rate("0"), Ok(0));
        for text in ["", "/s", "20/m", "-1", "2.5"] {
            rate(text).unwrap_err();
        }
    }

    #[test]
    fn a_proxy_is_an_address_or_a_network() {
        assert_eq!(network("127.0.0.1").unwrap().to_string(), "127.0.0.1/32");
        assert_eq!(network("2001:db8::/32").unwrap().to_string(), "2001:db8::/32");
        for text in ["", "localhost", "10.0.0.0/33", "10.0.0.0/8, 127.0.0.1"] {
            network(text).unwrap_err();
        }
    }
}
