//! What all pages share: how sources, times, ids and durations are written, and how a page becomes an answer.
//! Everything that somebody else wrote goes through askama's escaping, and through [`printable`] where odd
//! characters could pretend to be something else.

mod error;
mod params;
mod piece;

pub(crate) use error::{PageError, is_beginning, shown};
pub(crate) use params::Params;
pub(crate) use piece::Piece;

use crate::reader::{Anchor, Reader};
use askama::Template;
use askama::filters::HtmlSafe;
use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::middleware::Next;
use axum::response::{Html, IntoResponse, Response};
use jiff::Timestamp;
use sealpost_ledger::height::BlockHeight;
use sealpost_terminal::{printable, seconds};
use std::time::Duration;

tokio::task_local! {
    /// Whose word the genesis is. Every page says so at its foot, those about errors too, and no page has to be told.
    static ANCHOR: Anchor;
}

/// Answers a request with pages that say whose word the genesis is.
pub(crate) async fn anchored(State(reader): State<Reader>, request: Request, next: Next) -> Response {
    ANCHOR.scope(reader.anchor(), next.run(request)).await
}

/// Whose word the genesis is, for the foot of a page. Where nobody knows, nothing is claimed.
pub(crate) fn anchor() -> Anchor {
    ANCHOR.try_with(|anchor| *anchor).unwrap_or(Anchor::Node)
}

/// Where a fact comes from. Written in words, never by colour alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Template)]
#[template(source = "<span class=\"badge {{ self.name() }}\">{{ self.name() }}</span>", ext = "html")]
pub(crate) enum Source {
    /// Checked here against the genesis.
    Proven,
    /// The node says so, and this page can't check it.
    Claimed,
    /// The node saw it.
    Observed,
    /// Nobody can know.
    Unknowable,
}

impl Source {
    const fn name(self) -> &'static str {
        match self {
            Source::Proven => "proven",
            Source::Claimed => "claimed",
            Source::Observed => "observed",
            Source::Unknowable => "unknowable",
        }
    }
}

/// A point in time, in both spellings.
#[derive(Debug, Clone, Template)]
#[template(source = "<time datetime=\"{{ machine }}\">{{ human }}</time>", ext = "html")]
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
#[derive(Debug, Clone, Template)]
#[template(source = "<code title=\"{{ whole }}\">{{ short }}</code>", ext = "html")]
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

// They are written by their own templates, which escape what they hold.
impl HtmlSafe for Source {}
impl HtmlSafe for Time {}
impl HtmlSafe for Id {}

/// A name that somebody gave, fit to be shown: marks that turn the direction of writing or can't be seen are
/// written out, and no more than 80 characters are shown.
pub(crate) fn name(text: &str) -> String {
    let short: String = text.chars().take(80).collect();
    let more = if short.len() < text.len() { "…" } else { "" };
    format!("{}{more}", printable(&short))
}

/// A validator's name for people.
pub(crate) fn validator_name(given: Option<&str>) -> String {
    given.map_or_else(|| "unnamed".into(), name)
}

/// The time between two points, in milliseconds since 1970: `3.2 s`, `4.5 days`.
pub(crate) fn elapsed(from_ms: u64, to_ms: u64) -> String {
    let between = Duration::from_millis(to_ms.saturating_sub(from_ms));
    let days = between.as_secs_f64() / 86_400.0;
    if days < 2.0 { seconds(between) } else { format!("{days:.1} days") }
}

/// The words of a kind of transaction.
pub(crate) fn kind(kind: &str) -> String {
    kind.replace('_', " ")
}

/// A height before which the blocks are listed, from a page's address.
pub(crate) fn heights_before(before: Option<u64>, last: BlockHeight) -> BlockHeight {
    before.map_or(last, |before| last.min(BlockHeight::new(before.saturating_sub(1))))
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hostile_text_is_no_markup_wherever_it_is_written() {
        let evil = "<script>alert(1)</script>\"' onload=\"x";
        for text in [Id::new(evil).to_string(), Time { machine: evil.into(), human: evil.into() }.to_string()]
        {
            assert!(!text.contains("<script") && !text.contains("\" onload"), "{text}");
        }
        assert_eq!(name("a\u{202e}b"), "a\\u{202e}b");
        assert_eq!(name(&"x".repeat(100)).chars().count(), 81);
        // Ids are cut between characters, whatever they are.
        let odd = Id::new("é".repeat(40));
        assert_eq!(odd.whole, "é".repeat(40));
    }

    #[test]
    fn durations_read_like_durations() {
        assert_eq!(elapsed(0, 1400), "1.4 s");
        assert_eq!(elapsed(5, 4), "0.0 ms");
        assert_eq!(elapsed(0, 86_400_000 * 9 / 2), "4.5 days");
    }
}
