//! Why there is no such page, told to people.

use super::render;
use crate::reader::ReadError;
use askama::Template;
use axum::http::StatusCode;
use axum::http::header::RETRY_AFTER;
use axum::response::{IntoResponse, Response};
use sealpost_api::ApiError;
use sealpost_terminal::printable;

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
    /// The node can't be asked that, and says what else to do.
    Refused { message: String, help: String },
    /// Not an id, but the beginning of one.
    Beginning(String),
    /// There is no such thing.
    NotFound(String),
    /// There was such a thing, and the node can't prove it any more.
    Dropped(String),
    /// The node gave no answer, or one that does not hold.
    Read(ReadError),
}

/// Whether a text is the beginning of an id: hexadecimal, and not so short that it could be anything.
pub(crate) fn is_beginning(text: &str) -> bool {
    (4..64).contains(&text.len()) && text.chars().all(|c| c.is_ascii_hexdigit())
}

/// The part of what somebody typed that is shown again.
pub(crate) fn shown(text: &str) -> String {
    super::name(text)
}

impl From<ReadError> for PageError {
    fn from(error: ReadError) -> Self {
        match error {
            ReadError::NotFound(error) => PageError::NotFound(error.message),
            ReadError::StateDropped(error) => PageError::Dropped(error.message),
            ReadError::Malformed(ApiError { message, help: Some(help), .. }) => {
                PageError::Refused { message, help }
            }
            ReadError::Malformed(error) => PageError::Malformed(error.message),
            error => PageError::Read(error),
        }
    }
}

impl IntoResponse for PageError {
    fn into_response(self) -> Response {
        let told: String;
        let (status, title, message, help) = match self {
            PageError::Refused { message, help } => {
                told = printable(&help);
                (StatusCode::BAD_REQUEST, "The node can't answer that", message, told.as_str())
            }
            PageError::Malformed(message) => (
                StatusCode::BAD_REQUEST,
                "That can't be looked up",
                message,
                "Search takes a height, a hash, an id or its beginning, an address, or a contact's card.",
            ),
            PageError::NotFound(message) => {
                (StatusCode::NOT_FOUND, "Not found", message, "What is not final yet is not shown here.")
            }
            PageError::Dropped(message) => (
                StatusCode::GONE,
                "The node behind these pages does not prove that any more",
                message,
                "It is no less true: an archive still proves it.",
            ),
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
                format!(
                    "“{text}” is how an id begins. Search finds beginnings in the newest blocks alone; \
                     everything else is found by the whole id of 64 digits."
                ),
                "Your wallet knows beginnings of its own messages: `sealpost status` prints the whole id.",
            ),
            PageError::Read(error @ ReadError::Busy) => (
                StatusCode::SERVICE_UNAVAILABLE,
                "Too much at once",
                format!("{error}. Nothing is shown here that was not checked."),
                "Try again in a moment.",
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
        // Messages of the node may repeat what somebody typed.
        let page = render(&ErrorPage { title, message: &printable(&message), help });
        if status == StatusCode::SERVICE_UNAVAILABLE {
            return (status, [(RETRY_AFTER, "10")], page).into_response();
        }
        (status, page).into_response()
    }
}
