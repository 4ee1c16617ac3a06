//! An address: its keys over time, what it received and what it signed, how it answers.

mod lists;

use crate::page::{Id, PageError, Params, Source, name, render};
use crate::reader::Reader;
use askama::Template;
use axum::extract::{Path, State};
use axum::response::Response;
use lists::{ANSWERS, KINDS, List, filter, received, sent};
use sealpost_api::BundleView;
use sealpost_ledger::address::Address;
use sealpost_ledger::height::BlockHeight;
use serde::Deserialize;

struct BundleRow {
    sequence: u64,
    published: Option<(String, String)>,
    valid_until: u64,
    revoked_from: Option<u64>,
    ecies: Id,
    ml_kem: bool,
}

struct Designation {
    class: String,
    at: u64,
    to: Option<(Id, u64)>,
}

#[derive(Template)]
#[template(path = "address.html")]
struct AddressPage {
    proven: Source,
    claimed: Source,
    address: Id,
    public_key: String,
    newest: Option<u64>,
    newest_at: Option<u64>,
    member: Option<String>,
    bundles: Vec<BundleRow>,
    older_keys: Option<u64>,
    lists: Vec<List>,
    designation: Option<Designation>,
}

/// Where each list begins, and what of it is shown.
#[derive(Debug, Default, Deserialize)]
pub(super) struct Wanted {
    received: Option<String>,
    sent: Option<String>,
    keys: Option<u64>,
    answer: Option<String>,
    kind: Option<String>,
    class: Option<String>,
}

/// A cursor, if one was given: forms send empty ones.
fn cursor(asked: Option<String>) -> Option<String> {
    asked.filter(|asked| !asked.is_empty())
}

pub(super) async fn address(
    State(reader): State<Reader>,
    Path(text): Path<String>,
    Params(wanted): Params<Wanted>,
) -> Result<Response, PageError> {
    let address = reader.address(&text).await?;
    // As it is written everywhere, however it was typed.
    let text = address.to_text(reader.genesis().await?.prefix());
    let answer = filter(wanted.answer.as_deref(), &ANSWERS, "answer")?;
    let kind = filter(wanted.kind.as_deref(), &KINDS, "kind")?;
    let class = wanted.class.filter(|class| !class.is_empty());
    let history = reader.bundles(&text, wanted.keys).await?;
    let has_blocks = reader.status().await?.height > BlockHeight::GENESIS;
    let (mut newest, mut newest_at, mut member, mut designation) = (None, None, None, None);
    if has_blocks {
        let standing = reader.bundle_at(&address, None).await?;
        (newest, newest_at) =
            (standing.found.map(|record| record.bundle.sequence), Some(standing.header.height.get()));
        let standing = reader.membership(&address, None).await?;
        let status =
            standing.found.map(|record| format!("{} since height {}", record.status.name(), record.since));
        let at = standing.header.height;
        member =
            Some(format!("{}, after block {at}", status.unwrap_or_else(|| "no member: pays postage".into())));
        if let Some(class) = class {
            designation = Some(designated(&reader, &address, class).await?);
        }
    }
    let received = received(&reader, &address, &text, cursor(wanted.received), answer).await?;
    let sent = sent(&reader, &address, &text, cursor(wanted.sent), kind).await?;
    Ok(render(&AddressPage {
        proven: Source::Proven,
        claimed: Source::Claimed,
        address: Id::new(&text),
        public_key: address.key().to_string(),
        newest,
        newest_at,
        member,
        bundles: history.bundles.iter().map(bundle).collect(),
        older_keys: history.next,
        lists: vec![received, sent],
        designation,
    }))
}

fn bundle(bundle: &BundleView) -> BundleRow {
    BundleRow {
        sequence: bundle.sequence,
        published: bundle.transaction.map(|id| {
            let height = bundle.height.map_or_else(|| "a block".into(), |height| format!("block {height}"));
            (format!("/tx/{id}"), height)
        }),
        valid_until: bundle.valid_until.get(),
        revoked_from: bundle.revoked_from.map(BlockHeight::get),
        ecies: Id::new(&bundle.ecies),
        ml_kem: bundle.ml_kem.is_some(),
    }
}

async fn designated(reader: &Reader, address: &Address, class: String) -> Result<Designation, PageError> {
    let standing = reader.designation(address, &class).await?;
    Ok(Designation {
        class: name(&class),
        at: standing.header.height.get(),
        to: standing.found.map(|view| (Id::new(view.to), view.height.get())),
    })
}
