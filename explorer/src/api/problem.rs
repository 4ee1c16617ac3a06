//! Errors of the API: RFC 9457 problem details, with the string code that RPC and commands use too
//! (`docs/errors.md`).

use crate::reader::ReadError;
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE, RETRY_AFTER};
use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use sealpost_api::{ApiError, Category};
use serde::Serialize;
use std::borrow::Cow;
use utoipa::ToSchema;

/// Why a request is not answered as asked.
#[derive(Debug, Clone)]
pub(crate) struct Problem {
    status: StatusCode,
    code: Cow<'static, str>,
    detail: String,
    help: Option<Cow<'static, str>>,
    /// Seconds after which it may do.
    retry_after: Option<u64>,
}

/// Why a request is not answered as asked (RFC 9457).
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Problem)]
pub(super) struct ProblemView<'a> {
    /// Where this kind of problem is explained, relative to this site.
    #[serde(rename = "type")]
    #[schema(format = "uri-reference")]
    kind: String,
    /// The HTTP status in words.
    title: &'a str,
    /// The HTTP status.
    #[schema(minimum = 400, maximum = 599)]
    status: u16,
    /// What happened, for people.
    detail: &'a str,
    /// Stable code, such as `tx.unknown`; the same in the node's RPC and in commands.
    #[schema(pattern = r"^[a-z0-9_]+\.[a-z0-9_]+$")]
    code: &'a str,
    /// The way out, for people.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    help: Option<&'a str>,
}

/// Codes that a client of this API may meet, and what they mean; `docs/errors.md` has them all.
pub(super) const CODES: &[(&str, &str)] = &[
    ("block.none", "There is no final block yet."),
    ("block.state_dropped", "This node does not keep the state of that height any more."),
    ("block.unknown", "No final block has that height or hash on this node."),
    ("explorer.body", "The request has a body that is too large."),
    (
        "explorer.busy",
        "More waits to be checked than can be checked soon; Retry-After says when to come again.",
    ),
    ("explorer.connections", "Too many connections of this client are open; close one, or come again."),
    ("explorer.method", "The API can be read, and nothing else."),
    (
        "explorer.rate",
        "Too many requests came from this client, or they took too many questions to the node; Retry-After says when to come again.",
    ),
    ("explorer.replay", "That place lies too far back to go on from; read the lists instead."),
    ("explorer.route", "There is no such resource."),
    ("explorer.streams", "No more streams of events can be opened."),
    ("input.address", "Not an address of this network."),
    ("input.cursor", "Not a cursor; give the next of the page before."),
    ("input.id", "Not an id, a hash or a height."),
    ("input.limit", "More entries than a page may hold."),
    ("input.parameter", "A parameter is unknown, repeated, missing or malformed."),
    ("input.until", "The message became final later than the height asked for."),
    ("internal.bug", "A bug of ours."),
    ("node.timeout", "The node took too long."),
    ("node.unreachable", "The node behind this site does not answer."),
    ("node.untrusted", "What the node said does not hold."),
    ("tx.body_pruned", "This node does not keep that body any more."),
    ("tx.not_a_message", "That transaction is no message."),
    ("tx.unknown", "No final transaction has that id on this node."),
];

/// The content type of problems.
pub(crate) const PROBLEM_JSON: &str = "application/problem+json";

impl Problem {
    pub(crate) fn new(
        status: StatusCode,
        code: impl Into<Cow<'static, str>>,
        detail: impl Into<String>,
    ) -> Self {
        Self { status, code: code.into(), detail: detail.into(), help: None, retry_after: None }
    }
    /// A part of the request is malformed.
    pub(crate) fn input(code: &'static str, detail: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, code, detail)
    }
    /// Adds the way out.
    pub(crate) fn help(mut self, help: impl Into<Cow<'static, str>>) -> Self {
        self.help = Some(help.into());
        self
    }
    /// Says when to come again.
    pub(crate) fn retry_after(mut self, seconds: u64) -> Self {
        self.retry_after = Some(seconds);
        self
    }
    fn told(status: StatusCode, error: ApiError) -> Self {
        let problem = Self::new(status, error.code, error.message);
        Self { help: error.help.map(Cow::Owned), ..problem }
    }
}

impl From<ReadError> for Problem {
    fn from(error: ReadError) -> Self {
        match error {
            ReadError::NotFound(error) | ReadError::StateDropped(error) => {
                Self::told(StatusCode::NOT_FOUND, error)
            }
            ReadError::Malformed(error) if error.category == Category::Input => {
                Self::told(StatusCode::BAD_REQUEST, error)
            }
            ReadError::Malformed(error) => Self::told(StatusCode::SERVICE_UNAVAILABLE, error),
            ReadError::Untrusted { .. } | ReadError::Evidence { .. } => {
                tracing::error!(%error, "the node's answer does not hold");
                Self::new(StatusCode::BAD_GATEWAY, "node.untrusted", error.to_string())
                    .help("Do not rely on this node. Ask another one.")
            }
            ReadError::Busy => {
                Self::new(StatusCode::SERVICE_UNAVAILABLE, "explorer.busy", error.to_string()).retry_after(2)
            }
            ReadError::Unreachable { .. } => {
                // Where the node is concerns whoever runs this, and nobody who asks.
                tracing::warn!(%error, "the node can't be asked");
                let detail = "the node behind this API does not answer";
                Self::new(StatusCode::SERVICE_UNAVAILABLE, "node.unreachable", detail).retry_after(5)
            }
        }
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let view = ProblemView {
            kind: format!("/api#{}", self.code),
            title: self.status.canonical_reason().unwrap_or("Error"),
            status: self.status.as_u16(),
            detail: &self.detail,
            code: &self.code,
            help: self.help.as_deref(),
        };
        // Plain strings and numbers: writing them can't fail.
        let body = serde_json::to_vec(&view).unwrap_or_default();
        let headers = [(CONTENT_TYPE, PROBLEM_JSON), (CACHE_CONTROL, "no-store")];
        let mut response = (self.status, headers, body).into_response();
        if let Some(seconds) = self.retry_after {
            response.headers_mut().insert(RETRY_AFTER, HeaderValue::from(seconds));
        }
        response
    }
}
