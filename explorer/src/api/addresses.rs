//! An address: its newest keys, its membership, its lists and its keys over time.

use super::Api;
use super::answer::{Form, Keep, Page, answer, proven};
use super::input::{Cursor, Named, Nothing, Paging, Params, number_cursor, page_size};
use super::problem::Problem;
use super::view::{HeaderView, TransactionView, hex};
use super::{ROOT, table};
use crate::reader::{Proven, ReadError};
use axum::extract::State;
use axum::http::header::{LINK, VARY};
use axum::http::{HeaderMap, HeaderValue};
use axum::response::Response;
use sealpost_api::verify::VerifyError;
use sealpost_api::{BundleView, MailboxQuery, MailboxSide, Order};
use sealpost_ledger::address::Address;
use sealpost_ledger::genesis::Genesis;
use sealpost_ledger::transaction::Payload;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

/// Encryption keys of an identity.
#[derive(Debug, Serialize, ToSchema)]
#[schema(title = "KeyBundle")]
struct KeysView {
    /// 1 for the first of an identity.
    sequence: u64,
    /// ECIES key, SEC1 compressed.
    #[schema(pattern = "^[0-9a-f]{66}$")]
    ecies: String,
    /// ML-KEM-768 key.
    #[schema(pattern = "^[0-9a-f]*$")]
    ml_kem: Option<String>,
    /// Last height at which senders should use it.
    valid_until: u64,
    /// The transaction that published it.
    #[schema(pattern = "^[0-9a-f]{64}$")]
    transaction: String,
    /// The height of its block.
    height: u64,
    /// From which height on it is withdrawn.
    revoked_from: Option<u64>,
}

/// A membership.
#[derive(Debug, Serialize, ToSchema)]
#[schema(title = "Member")]
struct MemberView {
    /// `admitted` or `ended`.
    status: String,
    /// The height of the block that made it so; 0 for the members of the genesis.
    since: u64,
}

/// What the ledger's state holds about an address.
#[derive(Debug, Serialize, ToSchema)]
#[schema(title = "Address")]
pub(super) struct AddressView {
    /// The address, lower case.
    address: String,
    /// The newest key bundle; null if it is proven that there is none.
    keys: Option<KeysView>,
    /// The membership; null if it is proven that there never was one.
    member: Option<MemberView>,
    /// The block after which this holds.
    at: HeaderView,
}

/// An address of this network, in lower case.
async fn parse(api: &Api, Named(text): &Named) -> Result<(Address, String), Problem> {
    let address = api.reader.address(text).await?;
    let genesis = api.reader.genesis().await?;
    Ok((address, address.to_text(genesis.prefix())))
}

/// What the ledger's state holds about an address: its newest keys, and whether it is a member.
#[utoipa::path(
    get, path = "/addresses/{address}", tag = "addresses",
    params(("address" = String, Path, description = "The address.")),
    responses((status = 200, description = "The address.", body = super::answer::Answer<AddressView>))
)]
pub(super) async fn address(
    State(api): State<Api>,
    named: Named,
    Params(Nothing {}): Params<Nothing>,
) -> Result<Response, Problem> {
    let (address, text) = parse(&api, &named).await?;
    let genesis = api.reader.genesis().await?;
    let bundle = api.reader.bundle_at(&address, None).await?;
    // After the same block.
    let member = api.reader.membership(&address, Some(bundle.header.height)).await?.found;
    let view = AddressView {
        address: text,
        at: HeaderView::from(&bundle.header),
        keys: bundle.found.map(|record| KeysView {
            sequence: record.bundle.sequence,
            ecies: hex(&record.bundle.ecies),
            ml_kem: record.bundle.ml_kem.as_deref().map(hex),
            valid_until: record.bundle.valid_until.get(),
            transaction: record.transaction.to_string(),
            height: record.height.get(),
            revoked_from: record.revoked_from.map(|height| height.get()),
        }),
        member: member
            .map(|record| MemberView { status: record.status.name().into(), since: record.since.get() }),
    };
    proven(&genesis, Keep::Ask, view)
}

/// Which list of an address.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(super) enum Side {
    /// Open messages to it.
    #[default]
    Received,
    /// Everything it signed: messages, receipts, keys.
    Sent,
}

/// In which order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(super) enum Direction {
    /// The newest first.
    #[default]
    Newest,
    /// The oldest first: what is new comes at the end.
    Oldest,
}

/// Which part of which list.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(super) struct Listing {
    /// Which list.
    #[serde(default)]
    #[param(inline, required = false)]
    side: Side,
    /// In which order.
    #[serde(default)]
    #[param(inline, required = false)]
    order: Direction,
    /// In which form; unless given, as `Accept` says.
    #[param(inline, required = false)]
    format: Option<Form>,
    /// What follows this place: the `next` of the page before, the `cursor` of an entry or the id of an event.
    #[param(max_length = 64)]
    after: Option<String>,
    /// Entries of the page.
    #[param(minimum = 1, maximum = 100, default = 25)]
    limit: Option<u32>,
}

/// A page of an address's list, each entry proven, and the cursor of what follows.
pub(super) async fn listed(
    api: &Api,
    genesis: &Genesis,
    query: MailboxQuery,
) -> Result<(Vec<TransactionView>, Option<String>), Problem> {
    let page = api.reader.mailbox(query.clone()).await?;
    let address = api.reader.address(&query.address).await?;
    let mut items = Vec::with_capacity(page.entries.len());
    for found in page.entries {
        let Proven { found, transaction, header } = api.reader.prove(found).await?;
        let belongs = match query.side {
            MailboxSide::Sent => transaction.sender() == address,
            MailboxSide::Received => transaction.message().is_some_and(|m| m.slot_of(&address).is_some()),
        };
        if !belongs {
            let what = format!("transaction {} in the list of {}", transaction.id(), query.address);
            return Err(ReadError::Untrusted { what, source: VerifyError::OtherEntry }.into());
        }
        items.push(TransactionView::new(&transaction, &header, found.place.index, genesis));
    }
    let next = items.last().filter(|_| page.more).map(|item| item.cursor.clone());
    Ok((items, next))
}

/// The transactions of an address. Each is proven; that none is left out is the node's word.
///
/// Answers as CSV to who asks for `text/csv`: the header `Link` then names the next page.
#[utoipa::path(
    get, path = "/addresses/{address}/messages", tag = "addresses",
    params(("address" = String, Path, description = "The address."), Listing),
    responses((
        status = 200, description = "A page of the list.",
        content((super::answer::Answer<Page<TransactionView>> = "application/json"), (String = "text/csv"))
    ))
)]
pub(super) async fn messages(
    State(api): State<Api>,
    named: Named,
    headers: HeaderMap,
    Params(listing): Params<Listing>,
) -> Result<Response, Problem> {
    let (_, text) = parse(&api, &named).await?;
    let limit = page_size(listing.limit)?;
    // Read here too, so that the error is the same for every list.
    let after = listing.after.as_deref().map(Cursor::parse).transpose()?;
    let genesis = api.reader.genesis().await?;
    let query = MailboxQuery {
        address: text.clone(),
        side: match listing.side {
            Side::Received => MailboxSide::Received,
            Side::Sent => MailboxSide::Sent,
        },
        after: after.map(|after| after.to_string()),
        limit: Some(limit),
        order: match listing.order {
            Direction::Newest => Order::NewestFirst,
            Direction::Oldest => Order::OldestFirst,
        },
    };
    let (items, next) = listed(&api, &genesis, query).await?;
    let link = next.as_ref().map(|next| {
        let (side, order) = (listing.side.name(), listing.order.name());
        let format = if listing.format == Some(Form::Csv) { "&format=csv" } else { "" };
        let query = format!("side={side}&order={order}&limit={limit}&after={next}{format}");
        format!("<{ROOT}/addresses/{text}/messages?{query}>; rel=\"next\"")
    });
    let mut response = match Form::wanted(listing.format, &headers) {
        Form::Csv => table::transactions(&items, &genesis)?,
        Form::Json => {
            let observed = vec!["next"];
            answer(&genesis, Keep::Ask, Page { items, next, complete: false }, observed)?
        }
    };
    response.headers_mut().insert(VARY, HeaderValue::from_static("accept"));
    if let Some(link) = link {
        let link = HeaderValue::from_str(&link).map_err(super::answer::failed)?;
        response.headers_mut().insert(LINK, link);
    }
    Ok(response)
}

impl Side {
    const fn name(self) -> &'static str {
        match self {
            Side::Received => "received",
            Side::Sent => "sent",
        }
    }
}

impl Direction {
    const fn name(self) -> &'static str {
        match self {
            Direction::Newest => "newest",
            Direction::Oldest => "oldest",
        }
    }
}

/// The key bundles of an address, the newest first. Each is proven by the transaction that published it; whether it
/// was withdrawn, and that none is left out, is the node's word.
#[utoipa::path(
    get, path = "/addresses/{address}/keys", tag = "addresses",
    params(("address" = String, Path, description = "The address."), Paging),
    responses((
        status = 200, description = "A page of its key bundles.",
        body = super::answer::Answer<Page<KeysView>>
    ))
)]
pub(super) async fn keys(
    State(api): State<Api>,
    named: Named,
    Params(Paging { after, limit }): Params<Paging>,
) -> Result<Response, Problem> {
    let (address, _) = parse(&api, &named).await?;
    let limit = page_size(limit)?;
    let mut before = number_cursor::<u64>(after.as_deref())?;
    let genesis = api.reader.genesis().await?;
    let mut items = Vec::new();
    let next = loop {
        let (told, more) = api.reader.told_bundles(&address, before).await?;
        let left = (limit as usize).saturating_sub(items.len());
        let cut = told.len() > left;
        for bundle in told.iter().take(left) {
            items.push(proven_keys(&api, &address, bundle).await?);
        }
        let last = items.last().map(|keys| keys.sequence);
        match more {
            _ if cut => break last,
            Some(more) if items.len() >= limit as usize => break Some(more),
            // A node that goes round in circles ends nowhere.
            Some(more) if before.is_none_or(|before| more < before) => before = Some(more),
            _ => break None,
        }
    };
    let page = Page { items, next: next.map(|next| next.to_string()), complete: false };
    answer(&genesis, Keep::Ask, page, vec!["items[].revoked_from", "next"])
}

/// A key bundle by the transaction that published it.
async fn proven_keys(api: &Api, address: &Address, told: &BundleView) -> Result<KeysView, Problem> {
    let what = || format!("key bundle {}", told.sequence);
    let untrusted = || ReadError::Untrusted { what: what(), source: VerifyError::OtherEntry };
    let id = told.transaction.ok_or_else(untrusted)?;
    let Proven { transaction, header, .. } = api.reader.transaction(&id).await?;
    match transaction.payload() {
        Payload::KeyBundle(bundle)
            if transaction.sender() == *address && bundle.sequence == told.sequence =>
        {
            Ok(KeysView {
                sequence: bundle.sequence,
                ecies: hex(&bundle.ecies),
                ml_kem: bundle.ml_kem.as_deref().map(hex),
                valid_until: bundle.valid_until.get(),
                transaction: id.to_string(),
                height: header.height.get(),
                revoked_from: told.revoked_from.map(|height| height.get()),
            })
        }
        _ => Err(untrusted().into()),
    }
}
