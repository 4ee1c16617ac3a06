//! What all pages share: the frame, the errors, and how times and ids are written.

use crate::reader::ReadError;
use askama::Template;
use axum::http::StatusCode;
use axum::response::{Html, IntoResponse, Response};
use jiff::Timestamp;

/// Where a fact comes from. Written in words, never by colour alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Source {
    /// Checked here against the genesis.
    Proven,
    /// Nobody can know.
    Unknowable,
    /// This node saw it.
    Observed,
}

impl std::fmt::Display for Source {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Source::Proven => "proven",
            Source::Unknowable => "unknowable",
            Source::Observed => "observed",
        })
    }
}

/// A point in time, in both spellings.
#[derive(Debug, Clone)]
pub(crate) struct Time {
    /// RFC 3339, for machines.
    pub(crate) machine: String,
    /// For people, in UTC.
    pub(crate) human: String,
}

impl Time {
    pub(crate) fn new(ms: u64) -> Self {
        let stamp =
            i64::try_from(ms).ok().and_then(|ms| Timestamp::from_millisecond(ms).ok()).unwrap_or_default();
        Self {
            machine: format!("{stamp:.3}"),
            human: stamp.strftime("%Y-%m-%d %H:%M:%S%.3f UTC").to_string(),
        }
    }
}

/// An id: shown short, there whole.
#[derive(Debug, Clone)]
pub(crate) struct Id {
    pub(crate) whole: String,
    pub(crate) short: String,
}

impl Id {
    pub(crate) fn new(id: impl std::fmt::Display) -> Self {
        let whole = id.to_string();
        let (head, tail) = (whole.get(..10), whole.get(whole.len().saturating_sub(6)..));
        let short = match (head, tail) {
            (Some(head), Some(tail)) if whole.len() > 20 => format!("{head}…{tail}"),
            _ => whole.clone(),
        };
        Self { whole, short }
    }
}

/// Renders a page.
pub(crate) fn render(page: &impl Template) -> Response {
    match page.render() {
        Ok(text) => Html(text).into_response(),
        Err(error) => {
            tracing::error!(%error, "a page could not be rendered");
            StatusCode::INTERNAL_SERVER_ERROR.into_response()
        }
    }
}

#[derive(Template)]
#[template(path = "error.html")]
struct ErrorPage<'a> {
    title: &'a str,
    message: &'a str,
    help: &'a str,
}

/// Why there is no such page.
#[derive(Debug)]
pub(crate) enum PageError {
    /// The address of the page is malformed.
    Malformed(String),
    /// Not an id, but the beginning of one.
    Beginning(String),
    /// There is no such thing.
    NotFound(String),
    /// The node gave no answer, or one that does not hold.
    Read(ReadError),
}

/// Whether a text is the beginning of an id: hexadecimal, and not so short that it could be anything. Nothing
/// finds ids by their beginnings, because the ledger's index is over whole ones.
pub(crate) fn is_beginning(text: &str) -> bool {
    (4..64).contains(&text.len()) && text.chars().all(|c| c.is_ascii_hexdigit())
}

impl From<ReadError> for PageError {
    fn from(error: ReadError) -> Self {
        match error {
            ReadError::NotFound(error) => PageError::NotFound(error.message),
            ReadError::Malformed(error) => PageError::Malformed(error.message),
            error => PageError::Read(error),
        }
    }
}

impl IntoResponse for PageError {
    fn into_response(self) -> Response {
        let (status, title, message, help) = match self {
            PageError::Malformed(message) => (
                StatusCode::BAD_REQUEST,
                "That can't be looked up",
                message,
                "Search takes a height, a hash, an id or an address.",
            ),
            PageError::NotFound(message) => {
                (StatusCode::NOT_FOUND, "Not found", message, "What is not final yet is not shown here.")
            }
            PageError::Read(error @ (ReadError::Untrusted { .. } | ReadError::Evidence { .. })) => {
                tracing::error!(%error, "the node's answer does not hold");
                (
                    StatusCode::BAD_GATEWAY,
                    "The node's answer does not hold",
                    error.to_string(),
                    "Do not rely on this node. Ask another one.",
                )
            }
            PageError::Beginning(text) => (
                StatusCode::NOT_FOUND,
                "Give the whole id",
                format!("“{text}” is how an id begins; ids are found by all of their 64 digits."),
                "Your wallet knows beginnings of its own messages: `sealpost status` prints the whole id.",
            ),
            PageError::Read(error) => {
                // Where the node is concerns whoever runs this, and nobody who reads the pages.
                tracing::warn!(%error, "the node can't be asked");
                (
                    StatusCode::SERVICE_UNAVAILABLE,
                    "The node can't be asked",
                    "The node behind these pages does not answer.".to_owned(),
                    "Try again in a moment.",
                )
            }
        };
        (status, render(&ErrorPage { title, message: &message, help })).into_response()
    }
}
