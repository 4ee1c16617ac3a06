//! An address: its keys, what it received and what it signed.

use crate::page::{Id, PageError, Time, render};
use crate::reader::Reader;
use askama::Template;
use axum::extract::{Path, Query, State};
use axum::response::Response;
use sealpost_api::{BundleView, FinalTransaction, MailboxSide, PayloadView};
use serde::Deserialize;

struct Entry {
    id: Id,
    kind: &'static str,
    height: u64,
    time: Time,
    other: Id,
    answer: String,
}

struct List {
    title: &'static str,
    side: &'static str,
    empty: &'static str,
    entries: Vec<Entry>,
    next: Option<String>,
}

#[derive(Template)]
#[template(path = "address.html")]
struct AddressPage {
    address: Id,
    bundles: Vec<BundleView>,
    lists: Vec<List>,
}

/// Where each list begins.
#[derive(Debug, Deserialize)]
pub(super) struct After {
    received: Option<String>,
    sent: Option<String>,
}

pub(super) async fn address(
    State(reader): State<Reader>,
    Path(address): Path<String>,
    Query(After { received, sent }): Query<After>,
) -> Result<Response, PageError> {
    reader.address(&address).await?;
    let bundles = reader.bundles(&address).await?.bundles;
    let received = list(&reader, MailboxSide::Received, &address, received).await?;
    let sent = list(&reader, MailboxSide::Sent, &address, sent).await?;
    Ok(render(&AddressPage { address: Id::new(address), bundles, lists: vec![received, sent] }))
}

async fn list(
    reader: &Reader,
    side: MailboxSide,
    address: &str,
    after: Option<String>,
) -> Result<List, PageError> {
    let page = reader.list(side, address, after).await?;
    let mut entries = Vec::with_capacity(page.entries.len());
    for found in page.entries {
        let proven = reader.prove(found).await?;
        entries.push(entry(&proven.found, proven.header.time_ms));
    }
    let (title, side, empty) = match side {
        MailboxSide::Received => ("Received", "received", "No open message names this address."),
        MailboxSide::Sent => ("Signed", "sent", "This address has signed nothing."),
    };
    Ok(List { title, side, empty, entries, next: page.next.filter(|_| page.more) })
}

fn entry(found: &FinalTransaction, time_ms: u64) -> Entry {
    let (kind, other, answer) = match &found.view.payload {
        PayloadView::Message(message) => {
            let answered = message.slots.iter().filter(|slot| slot.receipt.is_some()).count();
            (
                "message",
                Id::new(&found.view.sender),
                format!("{answered} of {} answered", message.slots.len()),
            )
        }
        PayloadView::Receipt(receipt) => ("receipt", Id::new(receipt.message), receipt.answer.clone()),
        PayloadView::KeyBundle(bundle) => {
            ("key bundle", Id::new(&found.view.sender), format!("number {}", bundle.sequence))
        }
        PayloadView::Revoke { sequence, from } => {
            ("revoke", Id::new(&found.view.sender), format!("number {sequence} from height {from} on"))
        }
        PayloadView::Designate { class, to } => ("designate", Id::new(to), class.clone()),
        PayloadView::Validators { effective, .. } => {
            ("validators", Id::new(&found.view.sender), format!("from height {effective} on"))
        }
        PayloadView::Member { address, status, .. } => ("member", Id::new(address), status.clone()),
    };
    Entry {
        id: Id::new(found.view.id),
        kind,
        height: found.place.height.get(),
        time: Time::new(time_ms),
        other,
        answer,
    }
}
