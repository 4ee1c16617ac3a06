//! What concerns an address, as an Atom feed (RFC 4287): open messages to it and everything it signed, the newest
//! first. Answers to its messages have no list at the node; the event stream tells of them as they come.

use super::addresses::listed;
use super::answer::{Keep, failed, octets};
use super::input::{Named, Nothing, Params};
use super::problem::Problem;
use super::view::{PayloadView, TransactionView, time};
use super::{Api, ROOT};
use askama::Template;
use axum::extract::State;
use axum::response::Response;
use sealpost_api::{DEFAULT_PAGE, MailboxQuery, MailboxSide, Order};
use std::collections::BTreeMap;

struct Entry {
    id: String,
    title: String,
    kind: &'static str,
    time: String,
    sender: String,
    height: u64,
    index: u32,
}

#[derive(Template)]
#[template(path = "feed.xml")]
struct Feed {
    chain: String,
    chain_name: String,
    address: String,
    updated: String,
    version: &'static str,
    root: &'static str,
    entries: Vec<Entry>,
}

/// The last 25 transactions of an address as an Atom feed.
#[utoipa::path(
    get, path = "/addresses/{address}/feed.atom", tag = "addresses",
    params(("address" = String, Path, description = "The address.")),
    responses((status = 200, description = "The feed.", body = String, content_type = "application/atom+xml"))
)]
pub(super) async fn feed(
    State(api): State<Api>,
    named: Named,
    Params(Nothing {}): Params<Nothing>,
) -> Result<Response, Problem> {
    let address = api.reader.address(&named.0).await?;
    let genesis = api.reader.genesis().await?;
    let address = address.to_text(genesis.prefix());
    let mut found = BTreeMap::new();
    for side in [MailboxSide::Received, MailboxSide::Sent] {
        let query = MailboxQuery {
            address: address.clone(),
            side,
            after: None,
            limit: Some(DEFAULT_PAGE),
            order: Order::NewestFirst,
        };
        let (items, _) = listed(&api, &genesis, query).await?;
        // What somebody sent to themselves stands in both lists.
        found.extend(items.into_iter().map(|item| ((item.place.height, item.place.index), item)));
    }
    let newest = found.into_values().rev().take(DEFAULT_PAGE as usize);
    let entries: Vec<_> = newest.map(|item| entry(&item, &address)).collect();
    let feed = Feed {
        chain: genesis.chain_id().to_string(),
        chain_name: genesis.chain_name().into(),
        // A feed in which nothing has happened was last changed when the network was made.
        updated: entries.first().map_or_else(|| time(genesis.time_ms()), |entry| entry.time.clone()),
        address,
        version: env!("CARGO_PKG_VERSION"),
        root: ROOT,
        entries,
    };
    Ok(octets(Keep::Ask, "application/atom+xml; charset=utf-8", feed.render().map_err(failed)?))
}

fn entry(item: &TransactionView, address: &str) -> Entry {
    let title = match &item.payload {
        PayloadView::Message(_) if item.sender == address => "Message sent".into(),
        PayloadView::Message(_) => "Message received".into(),
        PayloadView::Receipt(receipt) => {
            format!("Receipt given: {} slot {} of {}", receipt.answer.name(), receipt.slot, receipt.message)
        }
        PayloadView::KeyBundle { sequence, .. } => format!("Keys published: bundle {sequence}"),
        PayloadView::Revoke { sequence, .. } => format!("Keys withdrawn: bundle {sequence}"),
        PayloadView::Designate { class, .. } => format!("Designation of class {class}"),
        PayloadView::Validators { effective, .. } => format!("Validators from height {effective} on"),
        PayloadView::Member { status, .. } => format!("Membership {status}"),
    };
    Entry {
        id: item.id.clone(),
        title,
        kind: item.payload.kind(),
        time: item.place.time.clone(),
        sender: item.sender.clone(),
        height: item.place.height,
        index: item.place.index,
    }
}
