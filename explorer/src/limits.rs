//! What a client may cost: requests per second, the time of a request, its size, streams and connections. Clients are
//! told apart by their address; behind a proxy by the one that a trusted proxy names.

use crate::api::problem::Problem;
use crate::questions::Questions;
use axum::extract::{ConnectInfo, Query, Request, State};
use axum::http::header::CONTENT_LENGTH;
use axum::http::{HeaderMap, StatusCode, Uri};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use ipnet::IpNet;
use sealpost_api::{DEFAULT_PAGE, MAX_PAGE};
use sealpost_http::{Client, Full, Place, Places, Rates};
use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Limits of an explorer.
#[derive(Debug, Clone)]
pub struct Limits {
    /// Requests per second and client, five seconds' worth of them at once; without, there is no limit. They may lead to
    /// five times as many questions to the node.
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

/// Questions to the node that a client's requests may lead to, for each that it may send. By default one client takes
/// half of what a node grants an explorer on another machine.
const QUESTIONS: u32 = 5;

/// Watches over requests. Cloning it copies a reference.
#[derive(Clone)]
pub(crate) struct Guard(Arc<Inner>);

struct Inner {
    limits: Limits,
    rates: Rates,
    questions: Questions,
}

impl Guard {
    pub(crate) fn new(limits: Limits) -> Self {
        let rates = Rates::new(limits.rate);
        let questions = Questions::new(limits.rate.map(|rate| rate.get().saturating_mul(QUESTIONS)));
        Self(Arc::new(Inner { limits, rates, questions }))
    }
    /// What clients have left, for what is asked at their cost after an answer has begun.
    pub(crate) fn questions(&self) -> Questions {
        self.0.questions.clone()
    }
    /// Takes a request from a client's bucket, as often as it weighs.
    fn count(&self, client: Client, weight: NonZeroU32) -> Result<(), Problem> {
        self.0.rates.take(client, weight).map_err(|seconds| {
            let detail = format!("more than {} requests per second came from you", self.0.rates.per_second());
            Problem::new(StatusCode::TOO_MANY_REQUESTS, "explorer.rate", detail).retry_after(seconds)
        })
    }
    /// Whether what a client has asked for before is paid.
    fn owes_nothing(&self, client: Client) -> Result<(), Problem> {
        self.0.questions.admit(client, Instant::now()).map_err(|seconds| {
            let most = self.0.questions.per_second();
            let detail = format!("what you asked for took more than {most} questions per second to the node");
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
    let counted =
        if is_alive { Ok(()) } else { guard.owes_nothing(client).and_then(|()| guard.count(client, weight)) };
    let let_through = counted.and_then(|()| small_enough(request.headers(), limits.body_bytes));
    if let Err(problem) = let_through {
        return problem.into_response();
    }
    let answer = tokio::time::timeout(limits.request_time, next.run(request));
    match guard.0.questions.at_cost_of(client, answer).await {
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
    use crate::questions::note;
    use axum::Router;
    use axum::body::Body;
    use axum::middleware::from_fn_with_state;
    use axum::routing::get;
    use tower::ServiceExt as _;

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

    #[tokio::test]
    async fn whoever_asked_for_more_questions_than_are_granted_waits() {
        let watch = Guard::new(Limits { rate: NonZeroU32::new(1), ..Limits::default() });
        let pages = Router::new()
            .route("/page", get(async || (0..5_000).for_each(|_| note())))
            .route("/livez", get(async || "alive"))
            .layer(from_fn_with_state(watch, guard));
        let ask = async |path: &str| {
            let request = Request::get(path).body(Body::empty()).unwrap();
            pages.clone().oneshot(request).await.unwrap()
        };
        assert_eq!(ask("/page").await.status(), 200);
        let refused = ask("/page").await;
        assert_eq!(refused.status(), 429);
        assert!(refused.headers().contains_key("retry-after"));
        assert_eq!(ask("/livez").await.status(), 200);
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
