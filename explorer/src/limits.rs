//! What a client may cost: requests per second, the time of a request, its size, streams and connections. Clients are
//! told apart by their address; behind a proxy by the one that a trusted proxy names.

mod places;

pub(crate) use places::{Full, Place, Places};

use crate::api::problem::Problem;
use axum::extract::{ConnectInfo, Query, Request, State};
use axum::http::header::CONTENT_LENGTH;
use axum::http::{HeaderMap, StatusCode, Uri};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use governor::clock::{Clock, DefaultClock};
use governor::{DefaultKeyedRateLimiter, Quota, RateLimiter};
use ipnet::IpNet;
use sealpost_api::{DEFAULT_PAGE, MAX_PAGE};
use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::num::NonZeroU32;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

/// Limits of an explorer.
#[derive(Debug, Clone)]
pub struct Limits {
    /// Requests per second and client, five seconds' worth of them at once; without, there is no limit.
    pub rate: Option<NonZeroU32>,
    /// Proxies whose `X-Forwarded-For` is believed.
    pub trusted_proxies: Vec<IpNet>,
    /// Connections at once; who comes after that waits.
    pub connections: usize,
    /// Connections of one client at once; of a trusted proxy, as many as there are.
    pub connections_per_client: usize,
    /// Streams of events at once: those of the API and of pages that keep themselves up to date.
    pub streams: usize,
    /// Streams of events of one client at once.
    pub streams_per_client: usize,
    /// Longest time until an answer begins.
    pub request_time: Duration,
    /// Largest body of a request, in bytes. Nothing that is asked here needs one.
    pub body_bytes: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            rate: NonZeroU32::new(20),
            trusted_proxies: Vec::new(),
            connections: 512,
            connections_per_client: 64,
            streams: 256,
            streams_per_client: 8,
            request_time: Duration::from_secs(10),
            body_bytes: 1 << 20,
        }
    }
}

/// A client, as limits know it: its address; of IPv6 the half that a network gets, because a host can take any
/// other half.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Client(IpAddr);

impl Client {
    pub(crate) fn new(address: IpAddr) -> Self {
        Self(match address.to_canonical() {
            IpAddr::V6(address) => {
                let [a, b, c, d, ..] = address.segments();
                IpAddr::V6(Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0))
            }
            address => address,
        })
    }
    /// Who sent a request. Each proxy adds whom it heard it from at the end, so the last address that no trusted
    /// proxy has is the client's; what stands before it is anybody's claim.
    fn of(peer: IpAddr, headers: &HeaderMap, trusted: &[IpNet]) -> Self {
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
}

/// Whether an address is a trusted proxy's.
pub(crate) fn is_trusted(address: IpAddr, trusted: &[IpNet]) -> bool {
    trusted.iter().any(|net| net.contains(&address.to_canonical()))
}

/// Requests after which clients that were not seen for long are forgotten.
const FORGET_AFTER: u32 = 1024;

/// Watches over requests. Cloning it copies a reference.
#[derive(Clone)]
pub(crate) struct Guard(Arc<Inner>);

struct Inner {
    limits: Limits,
    buckets: Option<DefaultKeyedRateLimiter<Client>>,
    counted: AtomicU32,
}

impl Guard {
    pub(crate) fn new(limits: Limits) -> Self {
        let quota = limits.rate.map(|rate| Quota::per_second(rate).allow_burst(rate.saturating_mul(BURST)));
        let buckets = quota.map(RateLimiter::keyed);
        Self(Arc::new(Inner { limits, buckets, counted: AtomicU32::new(0) }))
    }
    /// Takes a request from a client's bucket, as often as it weighs.
    fn count(&self, client: Client, weight: NonZeroU32) -> Result<(), Problem> {
        let Some(buckets) = &self.0.buckets else { return Ok(()) };
        if self.0.counted.fetch_add(1, Ordering::Relaxed) % FORGET_AFTER == FORGET_AFTER - 1 {
            buckets.retain_recent();
            buckets.shrink_to_fit();
        }
        // No weight is above what a bucket holds.
        buckets.check_key_n(&client, weight).unwrap_or(Ok(())).map_err(|until| {
            let wait = until.wait_time_from(DefaultClock::default().now());
            // Rounded up: who comes back then is answered.
            let seconds = wait.as_secs().saturating_add(u64::from(wait.subsec_nanos() > 0)).max(1);
            let rate = self.0.limits.rate.map_or(0, NonZeroU32::get);
            let detail = format!("more than {rate} requests per second came from you");
            Problem::new(StatusCode::TOO_MANY_REQUESTS, "explorer.rate", detail).retry_after(seconds)
        })
    }
}

/// What a request weighs: a long page is asked of the node entry by entry.
fn weight(uri: &Uri) -> NonZeroU32 {
    // Read as whoever answers reads it: other ways to write the same weigh the same.
    let read = Query::<Vec<(String, String)>>::try_from_uri(uri);
    let parts = read.map_or_else(|_| Vec::new(), |Query(parts)| parts);
    let limits = parts.into_iter().filter(|(name, _)| name == "limit");
    let limit = limits.filter_map(|(_, value)| value.parse::<u32>().ok()).max();
    let pages = limit.unwrap_or(0).min(MAX_PAGE).div_ceil(DEFAULT_PAGE);
    NonZeroU32::new(pages).unwrap_or(NonZeroU32::MIN)
}

/// Seconds' worth of requests that may come at once: a page and what belongs to it.
const BURST: NonZeroU32 = match NonZeroU32::new(5) {
    Some(burst) => burst,
    None => NonZeroU32::MIN,
};

/// Lets a request through, or says why not. What is let through knows its [`Client`].
pub(crate) async fn guard(State(guard): State<Guard>, mut request: Request, next: Next) -> Response {
    let limits = &guard.0.limits;
    let peer = request.extensions().get::<ConnectInfo<SocketAddr>>().map(|peer| peer.0.ip());
    let peer = peer.unwrap_or(IpAddr::V6(Ipv6Addr::UNSPECIFIED));
    let client = Client::of(peer, request.headers(), &limits.trusted_proxies);
    request.extensions_mut().insert(client);
    // Whoever keeps this program alive asks for that alone.
    let is_alive = request.uri().path() == "/livez";
    let weight = weight(request.uri());
    let counted = if is_alive { Ok(()) } else { guard.count(client, weight) };
    let let_through = counted.and_then(|()| small_enough(request.headers(), limits.body_bytes));
    if let Err(problem) = let_through {
        return problem.into_response();
    }
    match tokio::time::timeout(limits.request_time, next.run(request)).await {
        Ok(response) => response,
        Err(_) => {
            let detail = "the node behind this site took too long";
            Problem::new(StatusCode::GATEWAY_TIMEOUT, "node.timeout", detail).retry_after(5).into_response()
        }
    }
}

fn small_enough(headers: &HeaderMap, most: u64) -> Result<(), Problem> {
    let length: Option<u64> =
        headers.get(CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse().ok());
    match length {
        Some(length) if length > most => {
            let detail = format!("the request's body is {length} bytes, the limit is {most}");
            Err(Problem::new(StatusCode::PAYLOAD_TOO_LARGE, "explorer.body", detail))
        }
        _ => Ok(()),
    }
}

/// Counts streams of events. Cloning it copies a reference.
#[derive(Debug, Clone)]
pub(crate) struct Streams(Places);

impl Streams {
    pub(crate) fn new(limits: &Limits) -> Self {
        Self(Places::new(limits.streams, limits.streams_per_client))
    }
    /// How many are open.
    pub(crate) fn count(&self) -> usize {
        self.0.count()
    }
    /// Opens one more.
    pub(crate) fn enter(&self, client: Client) -> Result<Place, Problem> {
        self.0.enter(client).map_err(|full| {
            let (status, detail) = match full {
                Full::ForClient => {
                    (StatusCode::TOO_MANY_REQUESTS, "as many streams of yours are open as may be")
                }
                Full::ForAll => (StatusCode::SERVICE_UNAVAILABLE, "no more streams can be opened"),
            };
            Problem::new(status, "explorer.streams", detail).retry_after(30)
        })
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use axum::http::HeaderValue;

    fn client(peer: &str, forwarded: &[&'static str], trusted: &[&str]) -> String {
        let lines = forwarded.iter().map(|line| HeaderValue::from_static(line));
        let mut headers = HeaderMap::new();
        for line in lines {
            headers.append("x-forwarded-for", line);
        }
        let trusted: Vec<_> = trusted.iter().map(|net| net.parse().unwrap()).collect();
        Client::of(peer.parse().unwrap(), &headers, &trusted).0.to_string()
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
    fn a_bucket_empties_and_others_are_not_touched() {
        let guard = Guard::new(Limits { rate: NonZeroU32::new(2), ..Limits::default() });
        let [one, other] = ["192.0.2.1", "192.0.2.2"].map(|text| Client::new(text.parse().unwrap()));
        let once = NonZeroU32::MIN;
        let refused = (0..100).find_map(|_| guard.count(one, once).err()).unwrap();
        let response = refused.into_response();
        assert_eq!(response.status(), StatusCode::TOO_MANY_REQUESTS);
        assert_eq!(response.headers()["retry-after"], "1");
        guard.count(other, once).unwrap();
        let boundless = Guard::new(Limits { rate: None, ..Limits::default() });
        assert!((0..1000).all(|_| boundless.count(one, once).is_ok()));
    }

    #[test]
    fn a_long_page_weighs_as_much_as_the_short_ones_it_replaces() {
        let weight = |query: &str| weight(&format!("/{query}").parse().unwrap());
        let queries = ["", "?", "?limit=25", "?side=sent&limit=26", "?limit=99999"];
        assert_eq!(queries.map(|query| weight(query).get()), [1, 1, 1, 2, 4]);
        // However it is written.
        let queries = ["?%6cimit=100", "?limit=1%300", "?limit=%2B100", "?a=%FF&limit=100"];
        assert_eq!(queries.map(|query| weight(query).get()), [4, 4, 4, 4]);
        // The smallest bucket holds the heaviest request.
        let guard = Guard::new(Limits { rate: NonZeroU32::new(1), ..Limits::default() });
        let one = Client::new("192.0.2.1".parse().unwrap());
        guard.count(one, weight("?limit=100")).unwrap();
        guard.count(one, weight("?limit=100")).unwrap_err();
    }

    #[test]
    fn too_many_streams_are_refused_with_a_status_of_their_own() {
        let limits = Limits { streams: 2, streams_per_client: 1, ..Limits::default() };
        let streams = Streams::new(&limits);
        let [one, other, third] =
            ["192.0.2.1", "192.0.2.2", "192.0.2.3"].map(|text| Client::new(text.parse().unwrap()));
        let _held = [one, other].map(|client| streams.enter(client).unwrap());
        assert_eq!(streams.enter(one).unwrap_err().into_response().status(), 429);
        assert_eq!(streams.enter(third).unwrap_err().into_response().status(), 503);
    }
}
