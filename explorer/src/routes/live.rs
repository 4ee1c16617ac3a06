//! `/live`: what is new, as server-sent events. `Last-Event-ID`, or `?after=`, is the last block seen.

use super::Site;
use crate::page::{PageError, Params};
use axum::Extension;
use axum::extract::State;
use axum::http::{HeaderMap, HeaderName};
use axum::response::sse::{KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use sealpost_http::Client;
use sealpost_ledger::height::BlockHeight;
use serde::Deserialize;

/// What was seen already.
#[derive(Debug, Deserialize)]
pub(super) struct Seen {
    after: Option<u64>,
}

pub(super) async fn live(
    State(site): State<Site>,
    Extension(client): Extension<Client>,
    Params(Seen { after }): Params<Seen>,
    headers: HeaderMap,
) -> Result<Response, PageError> {
    // What a browser that comes back says counts more than where its page began.
    let last = headers.get("last-event-id").and_then(|id| id.to_str().ok()?.parse().ok());
    let after = last.or(after).map(BlockHeight::new);
    let permit = match site.streams.enter(client) {
        Ok(permit) => permit,
        // Nobody reads this but a script.
        Err(problem) => return Ok(problem.into_response()),
    };
    let events = site.live.listen(&site.reader, after, permit).await?;
    // A proxy that collects answers before it passes them on would hold the news back.
    let unbuffered = [(HeaderName::from_static("x-accel-buffering"), "no")];
    Ok((unbuffered, Sse::new(events).keep_alive(KeepAlive::default())).into_response())
}
