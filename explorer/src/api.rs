//! The REST API: what the pages show, for programs, under `/api/v1`. Nothing is answered that was not verified first,
//! and each answer names the genesis it was verified against. `docs/api.md` says how to page, cache and subscribe;
//! the OpenAPI document is made from the handlers here, so that the two can't drift apart.
//!
//! ```text
//! limits ─► tag (ETag, 304) ─► blocks, messages, … ─► reader (asks the node, verifies)
//!                                    └─► view ─► answer, table, feed, events ─► client
//! ```

mod addresses;
mod answer;
mod blocks;
mod document;
mod events;
mod feed;
mod input;
mod messages;
mod network;
pub(crate) mod problem;
mod reference;
mod table;
mod transactions;
mod validators;
mod view;

pub(crate) use document::text as document;

use crate::follow::Follower;
use crate::limits::Streams;
use crate::questions::Questions;
use crate::reader::Reader;
use axum::Router;
use axum::middleware::from_fn;
use tokio_util::sync::CancellationToken;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

/// Where the API is.
const ROOT: &str = "/api/v1";

/// What requests are answered from.
#[derive(Clone)]
pub(crate) struct Api {
    /// Asks the node.
    pub(crate) reader: Reader,
    /// Tells of new blocks.
    pub(crate) follower: Follower,
    /// Counts streams of events.
    pub(crate) streams: Streams,
    /// What clients' questions cost, for what is asked after an answer has begun.
    pub(crate) questions: Questions,
    /// Ends streams of events.
    pub(crate) stop: CancellationToken,
}

/// An evidence file (`docs/protocol.md`, "Evidence").
#[derive(ToSchema)]
#[allow(dead_code)]
struct EvidenceFile {
    /// Names format and version.
    format: String,
}

/// Bytes.
#[derive(ToSchema)]
#[schema(value_type = String, format = Binary)]
#[allow(dead_code)]
struct Octets(Vec<u8>);

/// Every resource, with its part of the document.
fn resources() -> OpenApiRouter<Api> {
    OpenApiRouter::new()
        .routes(routes!(network::status))
        .routes(routes!(network::postage))
        .routes(routes!(network::search))
        .routes(routes!(blocks::list))
        .routes(routes!(blocks::block))
        .routes(routes!(blocks::transactions))
        .routes(routes!(transactions::transaction))
        .routes(routes!(messages::message))
        .routes(routes!(messages::receipts))
        .routes(routes!(messages::evidence))
        .routes(routes!(messages::body))
        .routes(routes!(addresses::address))
        .routes(routes!(addresses::messages))
        .routes(routes!(addresses::keys))
        .routes(routes!(feed::feed))
        .routes(routes!(events::events))
        .routes(routes!(validators::validators))
        .routes(routes!(validators::changes))
        .routes(routes!(validators::equivocations))
}

/// The API, its document and its reference.
pub(crate) fn router(api: Api) -> Router {
    let (resources, _) = resources().split_for_parts();
    let resources = resources
        .fallback(answer::unknown)
        .method_not_allowed_fallback(answer::not_allowed)
        .layer(from_fn(answer::tag))
        .with_state(api);
    Router::new().nest(ROOT, resources).merge(reference::router())
}
