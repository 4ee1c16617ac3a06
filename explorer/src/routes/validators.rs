//! The validators in office, and those that were caught saying two things at once.

use crate::page::{Id, PageError, render};
use crate::reader::{Reader, Witnessed};
use askama::Template;
use axum::extract::{Query, State};
use axum::response::Response;
use sealpost_api::NamedValidator;
use serde::Deserialize;

struct Entry {
    number: u64,
    validator: Id,
    name: Option<String>,
    height: u64,
    round: u32,
    kind: String,
    blocks: [Option<Id>; 2],
    proven: bool,
}

#[derive(Template)]
#[template(path = "validators.html")]
struct ValidatorsPage {
    height: u64,
    validators: Vec<NamedValidator>,
    total_power: u64,
    entries: Vec<Entry>,
    more: Option<u64>,
}

/// Where the list of equivocations begins.
#[derive(Debug, Deserialize)]
pub(super) struct After {
    after: Option<u64>,
}

pub(super) async fn validators(
    State(reader): State<Reader>,
    Query(After { after }): Query<After>,
) -> Result<Response, PageError> {
    let in_office = reader.validators().await?;
    let page = reader.equivocations(after, &in_office).await?;
    let power = in_office.validators.iter().map(|validator| validator.power);
    Ok(render(&ValidatorsPage {
        height: in_office.height.get(),
        total_power: power.fold(0, u64::saturating_add),
        validators: in_office.validators,
        entries: page.entries.into_iter().map(entry).collect(),
        more: page.next,
    }))
}

fn entry(Witnessed { view, proven }: Witnessed) -> Entry {
    Entry {
        number: view.number,
        validator: Id::new(view.validator),
        name: view.name,
        height: view.height.get(),
        round: view.round,
        kind: view.kind,
        blocks: [view.first, view.second].map(|block| block.map(Id::new)),
        proven,
    }
}
