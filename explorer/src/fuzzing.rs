//! What the fuzzer tries here (`tests/fuzz`): requests to the whole page map, with no node behind it. Addresses, their
//! parameters and the headers that count are the input; what nodes send is tried by the wallet's and the ledger's own
//! targets.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use crate::follow::Follower;
use crate::limits::{Limits, Streams};
use crate::live::Hub;
use crate::metrics::Meter;
use crate::reader::Reader;
use crate::routes::{Site, router};
use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::Request;
use axum::http::header::{CONTENT_ENCODING, CONTENT_SECURITY_POLICY, CONTENT_TYPE};
use axum::http::{HeaderName, HeaderValue, StatusCode};
use axum::response::Response;
use sealpost_ledger::examples;
use sealpost_ledger::fuzzing::Target;
use std::sync::OnceLock;
use tokio::runtime::Runtime;
use tokio_util::sync::CancellationToken;
use tower::ServiceExt;

/// Nobody listens there.
const NO_NODE: &str = "http://127.0.0.1:1";
/// What makes an element. Where it stands in a request it must not stand in a page.
const ELEMENT: &str = "<xq";
/// Headers that anything here reads.
const READ: [&str; 7] = [
    "accept",
    "accept-encoding",
    "content-length",
    "if-none-match",
    "last-event-id",
    "x-forwarded-for",
    "host",
];

/// A server, made with the first request.
struct Served {
    runtime: Runtime,
    router: Router,
}

impl Served {
    fn start() -> Self {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let within = runtime.enter();
        let (genesis, _) = examples::evidence();
        let (reader, stop) = (Reader::new(NO_NODE, Some(genesis)).unwrap(), CancellationToken::new());
        let limits = Limits { rate: None, ..Limits::default() };
        let follower = Follower::start(reader.clone(), stop.clone());
        let site = Site { reader, live: Hub::new(stop.clone()), follower, streams: Streams::new(&limits) };
        let router = router(site, limits, Meter::new().unwrap(), stop);
        drop(within);
        Self { runtime, router }
    }
}

/// What is tried.
pub fn targets() -> Vec<Target> {
    let served = OnceLock::new();
    vec![Target::new("explorer_requests", seeds, move |input| {
        let served = served.get_or_init(Served::start);
        let Some(request) = request(input) else { return false };
        let path = request.uri().to_string();
        served.runtime.block_on(async {
            let response = served.router.clone().oneshot(request).await.unwrap();
            check(&path, response).await
        })
    })]
}

/// The first line is the address, the others are headers.
fn request(input: &[u8]) -> Option<Request> {
    let mut lines = input.split(|byte| *byte == b'\n');
    let address = std::str::from_utf8(lines.next()?).ok().filter(|address| address.starts_with('/'))?;
    let mut request = Request::builder().uri(address);
    for line in lines.take(READ.len()) {
        let at = line.iter().position(|byte| *byte == b':')?;
        let (name, value) = line.split_at(at);
        let name = HeaderName::from_bytes(name).ok().filter(|name| READ.contains(&name.as_str()))?;
        request = request.header(name, HeaderValue::from_bytes(value.get(1..)?).ok()?);
    }
    request.body(Body::empty()).ok()
}

/// Whether a page was made of it. Every answer is strict, none is a failure of this program, and nothing that was asked
/// comes back as markup.
async fn check(path: &str, response: Response) -> bool {
    let (status, headers) = (response.status(), response.headers().clone());
    let expected = [StatusCode::SERVICE_UNAVAILABLE, StatusCode::BAD_GATEWAY];
    assert!(!status.is_server_error() || expected.contains(&status), "{path}: {status}");
    let policy = headers.get(CONTENT_SECURITY_POLICY).expect("a policy").to_str().unwrap();
    assert!(policy.contains("default-src 'none'"), "{path}: {policy}");
    let kind = headers.get(CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default().to_owned();
    // Streams have no end, and a packed page is the same page.
    if kind.starts_with("text/event-stream") || headers.contains_key(CONTENT_ENCODING) {
        return true;
    }
    let body = to_bytes(response.into_body(), 4 << 20).await.expect("a whole page");
    let text = String::from_utf8_lossy(&body);
    if kind.starts_with("text/html") {
        assert!(!text.contains(ELEMENT), "{path}: an element of the request's own");
        assert!(!text.contains(NO_NODE), "{path} names the node");
    }
    if kind.contains("json") {
        assert!(serde_json::from_slice::<serde_json::Value>(&body).is_ok(), "{path}: {text}");
    }
    status != StatusCode::NOT_FOUND
}

fn seeds() -> Vec<Vec<u8>> {
    let id = "5d0c".repeat(16);
    let (genesis, evidence) = examples::evidence();
    let address = evidence.message.transaction.sender().to_text(genesis.prefix());
    let mut seeds: Vec<String> = [
        "/",
        "/?blocks=50",
        "/blocks?before=7",
        "/block/1",
        "/block/1/tree?leaf=3",
        "/validators?after=x&limit=5",
        "/validators",
        "/network",
        "/postage?blocks=500",
        "/glossary",
        "/about",
        "/verify",
        "/genesis.json",
        "/search?q=%3Cxq%3E",
        "/search?q=sealpost%3Aabc",
        "/tx/<xq>",
        "/tx/%3Cxq%3E",
        "/assets/..%2F..%2Fx",
        "/live?after=7",
        "/readyz",
        "/metrics",
        "/api/v1/openapi.json",
        "/api/v1/blocks?after=7&limit=5",
        "/api/v1/blocks.csv",
        "/api/v1/events?after=3-1",
        "/api/v1/status",
        "/api/v1/validators",
        "/nowhere<xq>",
        "/glossary\nif-none-match: \"a\", W/\"b\"\naccept-encoding: gzip",
        "/api/v1/blocks\naccept: text/csv;q=0.5, */*",
        "/livez\ncontent-length: 99999999",
        "/blocks\nx-forwarded-for: 1.2.3.4, ::1",
    ]
    .map(str::to_owned)
    .to_vec();
    for page in
        ["block", "tx", "message", "validator", "api/v1/blocks", "api/v1/transactions", "api/v1/messages"]
    {
        seeds.push(format!("/{page}/{id}"));
    }
    for rest in ["", "?side=sent", "?side=received&after=7-1&limit=100", "/keys"] {
        seeds.push(format!("/address/{address}{rest}"));
        seeds.push(format!("/api/v1/addresses/{address}{rest}"));
    }
    seeds.push(format!("/search?q={}", address.to_uppercase()));
    seeds.push(format!("/message/{id}/evidence.html?disclose=<xq>"));
    seeds.into_iter().map(String::into_bytes).collect()
}
