//! The OpenAPI document: what the handlers say of themselves, and what is true of all of them.

use super::problem::{PROBLEM_JSON, ProblemView};
use super::{ROOT, events, resources};
use std::sync::LazyLock;
use utoipa::openapi::content::ContentBuilder;
use utoipa::openapi::header::HeaderBuilder;
use utoipa::openapi::info::{InfoBuilder, LicenseBuilder};
use utoipa::openapi::path::Operation;
use utoipa::openapi::response::ResponseBuilder;
use utoipa::openapi::tag::TagBuilder;
use utoipa::openapi::{OpenApi, Ref};
use utoipa::{PartialSchema, ToSchema};

const ABOUT: &str = "What a Sealpost ledger holds, for programs. Everything under `data` was verified against the \
genesis that `chain` names, but for the fields that `observed` names: those are the word of the node behind this \
site. Lists are read with `after` and `limit`. Errors are problem details (RFC 9457) with a stable `code`.";

/// Answers that any request may get.
const COMMON: [(u16, &str); 9] = [
    (400, "A part of the request is malformed; `code` says which."),
    (404, "There is no such thing, or it is not final yet."),
    (405, "This API can be read, and nothing else."),
    (413, "The request has a body that is too large."),
    (429, "Too many requests came from this client; `Retry-After` says when to come again."),
    (500, "A bug of this program."),
    (502, "What the node said does not hold."),
    (503, "The node can't be asked, or a limit of this site is reached."),
    (504, "The node took too long."),
];

/// Groups of resources.
const TAGS: [(&str, &str); 6] = [
    ("network", "The network as a whole."),
    ("blocks", "Blocks and what stands in them."),
    ("messages", "Messages: answers, evidence, encrypted bodies."),
    ("transactions", "Final transactions of any kind."),
    ("addresses", "Addresses: lists, keys, feed and events."),
    ("validators", "Who decides."),
];

/// The document.
pub(super) static DOCUMENT: LazyLock<OpenApi> = LazyLock::new(build);

/// The document as JSON text.
pub(crate) fn text() -> String {
    // Plain strings and numbers: writing them can't fail.
    let mut text = DOCUMENT.to_pretty_json().unwrap_or_default();
    text.push('\n');
    text
}

/// Whether any resource may answer with that status.
pub(super) fn is_common(status: &str) -> bool {
    COMMON.iter().any(|(common, _)| status.parse() == Ok(*common)) || status == "304"
}

fn build() -> OpenApi {
    let mut document = resources().into_openapi();
    document.info = InfoBuilder::new()
        .title("Sealpost explorer")
        .version("1")
        .description(Some(ABOUT))
        .license(Some(
            LicenseBuilder::new().name("MIT OR Apache-2.0").identifier(Some("MIT OR Apache-2.0")).build(),
        ))
        .build();
    let tag = |(name, text): (&str, &str)| TagBuilder::new().name(name).description(Some(text)).build();
    document.tags = Some(TAGS.map(tag).to_vec());
    let paths = std::mem::take(&mut document.paths.paths);
    document.paths.paths = paths
        .into_iter()
        .map(|(path, mut item)| {
            if let Some(operation) = &mut item.get {
                complete(&path, operation);
            }
            (format!("{ROOT}{path}"), item)
        })
        .collect();
    let components = document.components.get_or_insert_with(Default::default);
    for (name, schema) in [
        (ProblemView::name(), ProblemView::schema()),
        (events::HeadEvent::name(), events::HeadEvent::schema()),
        (events::TransactionEvent::name(), events::TransactionEvent::schema()),
    ] {
        components.schemas.insert(name.into_owned(), schema);
    }
    document
}

/// Adds what is true of every resource.
fn complete(path: &str, operation: &mut Operation) {
    let streams = path.ends_with("/events");
    for (status, text) in COMMON {
        let content = ContentBuilder::new().schema(Some(Ref::from_schema_name("Problem"))).build();
        let response = ResponseBuilder::new().description(text).content(PROBLEM_JSON, content).build();
        operation.responses.responses.entry(status.to_string()).or_insert_with(|| response.into());
    }
    if !streams {
        let response = ResponseBuilder::new()
            .description("What the client has, as `If-None-Match` names it, is still so.")
            .header("ETag", HeaderBuilder::new().description(Some("The name of this content.")).build())
            .build();
        operation.responses.responses.insert("304".into(), response.into());
    }
}
