//! What the RPC's clients may cost. Most of it can be set; the rest is here to be small in tests.

use super::refusals;
use ipnet::IpNet;
use sealpost_api::{ApiError, Category};
use sealpost_http::{Client, Flow, Full, Names, Patience, Places, Rates};
use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

/// Limits of the RPC.
#[derive(Debug, Clone)]
pub struct Limits {
    /// Connections at once; an eighth of them is for programs on this machine alone.
    pub connections: usize,
    /// Connections of one client at once; of a program on this machine and of a trusted proxy, as many as there are.
    pub connections_per_client: usize,
    /// Calls per second of one client that is not on this machine, five seconds' worth of them at once; without, there
    /// is no limit.
    pub rate: Option<NonZeroU32>,
    /// Proxies whose `X-Forwarded-For` is believed.
    pub trusted_proxies: Vec<IpNet>,
    /// Names under which this node may be asked, besides its addresses and `localhost`.
    pub hosts: Vec<String>,
    /// Origins of pages that may ask it, besides those of the same host.
    pub origins: Vec<String>,
    /// How long connections are waited for.
    pub patience: Patience,
    /// Longest time for a request to come.
    pub request_time: Duration,
    /// Bytes of all requests that come or are being answered together.
    pub request_bytes: usize,
    /// Bytes of all answers that wait for their readers together.
    pub answer_bytes: usize,
    /// Subscriptions that read old blocks at once; more of them take turns, block by block.
    pub replays: usize,
}

impl Default for Limits {
    fn default() -> Self {
        let patience = Patience {
            first: Duration::from_secs(10),
            // Clients keep a connection for 90 seconds: the one that closes first is the client, which knows that then,
            // and does not send a request into a connection that is being closed.
            head: Duration::from_secs(100),
            taking: Duration::from_secs(30),
            parting: Duration::from_secs(10),
        };
        Self {
            connections: 256,
            connections_per_client: 32,
            rate: NonZeroU32::new(200),
            trusted_proxies: Vec::new(),
            hosts: Vec::new(),
            origins: Vec::new(),
            patience,
            request_time: Duration::from_secs(30),
            request_bytes: 64 << 20,
            answer_bytes: 256 << 20,
            replays: 8,
        }
    }
}

impl Limits {
    /// Connections for programs on this machine alone.
    pub(super) fn reserve(&self) -> usize {
        self.connections / PARTS
    }
}

/// A client may hold two of so many parts of the memory that is there for requests or answers, and one is for programs
/// on this machine alone.
const PARTS: usize = 8;

/// Counts what clients hold and ask for.
#[derive(Debug)]
pub(super) struct Meters {
    pub(super) names: Names,
    pub(super) trusted_proxies: Vec<IpNet>,
    /// Longest time for a request to come.
    pub(super) request_time: Duration,
    pub(super) requests: Places,
    pub(super) answers: Places,
    rates: Rates,
}

impl Meters {
    /// With room for several of the longest requests and answers, whatever the limits say.
    pub(super) fn new(limits: &Limits, longest_request: usize, longest_answer: usize) -> Self {
        let room = |bytes: usize, longest: usize| {
            let bytes = bytes.max(longest.saturating_mul(PARTS));
            Places::with_reserve(bytes, bytes / PARTS * 2, bytes / PARTS)
        };
        Self {
            names: Names::new(&limits.hosts, &limits.origins),
            trusted_proxies: limits.trusted_proxies.clone(),
            request_time: limits.request_time,
            requests: room(limits.request_bytes, longest_request),
            answers: room(limits.answer_bytes, longest_answer),
            rates: Rates::new(limits.rate),
        }
    }
    /// Takes calls from a client's bucket, as often as they weigh. Programs on this machine have none.
    pub(super) fn count(&self, client: Client, weight: impl FnOnce() -> NonZeroU32) -> Result<(), ApiError> {
        if client.is_here() {
            return Ok(());
        }
        self.rates.take(client, weight()).map_err(|seconds| {
            refusals::count("rpc.rate");
            let message = format!("more than {} calls per second came from you", self.rates.per_second());
            ApiError::new(Category::Busy, "rpc.rate", message).help(format!("call again in {seconds} s"))
        })
    }
}

/// Whom a request comes from.
#[derive(Debug, Clone)]
pub(super) struct Caller {
    pub(super) client: Client,
    pub(super) flow: Arc<Flow>,
    pub(super) way: Way,
    /// Where the bytes of its answers are counted.
    pub(super) answers: Places,
}

/// How a call came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Way {
    /// In a request of HTTP.
    Request,
    /// Over a WebSocket.
    Socket,
}

/// What a client is told for whose request or answer there is no memory.
pub(super) fn no_room(full: Full, what: &str) -> ApiError {
    let message = match full {
        Full::ForClient => format!("{what} of yours take up as much memory as they may"),
        Full::ForAll => format!("{what} take up all the memory that this node has for them"),
    };
    refusals::busy(&message)
}
