//! Pages that need little or nothing from the node.

use crate::page::{Id, PageError, Source, name, render};
use crate::reader::Reader;
use askama::Template;
use axum::extract::State;
use axum::response::Response;

#[derive(Template)]
#[template(path = "glossary.html")]
struct Glossary {
    proven: Source,
    claimed: Source,
    observed: Source,
    unknowable: Source,
}

#[derive(Template)]
#[template(path = "about.html")]
struct About {
    network: String,
    chain: Id,
    version: &'static str,
}

pub(super) async fn glossary() -> Response {
    render(&Glossary {
        proven: Source::Proven,
        claimed: Source::Claimed,
        observed: Source::Observed,
        unknowable: Source::Unknowable,
    })
}

pub(super) async fn about(State(reader): State<Reader>) -> Result<Response, PageError> {
    let genesis = reader.genesis().await?;
    Ok(render(&About {
        network: name(genesis.chain_name()),
        chain: Id::new(genesis.chain_id()),
        version: env!("CARGO_PKG_VERSION"),
    }))
}

pub(super) async fn unknown() -> PageError {
    PageError::NotFound("There is no such page.".into())
}
