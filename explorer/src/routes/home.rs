//! The first page, and the list of blocks.

use crate::page::{Id, PageError, Time, render};
use crate::reader::Reader;
use askama::Template;
use axum::extract::{Query, State};
use axum::response::Response;
use sealpost_api::{BlockId, SealedHeader};
use sealpost_ledger::height::BlockHeight;
use serde::Deserialize;

/// Blocks on the first page.
const FIRST: u32 = 10;
/// Blocks in the list.
const LIST: u32 = 50;
/// Blocks looked at for the latest messages, and messages shown.
const MESSAGES: usize = 10;

pub(super) struct Row {
    height: u64,
    hash: Id,
    time: Time,
    transactions: u32,
}

struct Latest {
    id: Id,
    kind: String,
    sender: Id,
    height: u64,
}

#[derive(Template)]
#[template(path = "home.html")]
struct Home {
    network: String,
    chain: Id,
    height: u64,
    head: Option<Time>,
    validators: u32,
    waiting: u64,
    price: u64,
    blocks: Vec<Row>,
    latest: Vec<Latest>,
}

#[derive(Template)]
#[template(path = "blocks.html")]
struct Blocks {
    blocks: Vec<Row>,
    older: Option<u64>,
}

/// Which blocks are listed.
#[derive(Debug, Deserialize)]
pub(super) struct Before {
    before: Option<u64>,
}

pub(super) async fn home(State(reader): State<Reader>) -> Result<Response, PageError> {
    let status = reader.status().await?;
    let blocks = last_blocks(&reader, status.height, FIRST).await?;
    let mut latest = Vec::new();
    for sealed in blocks.iter().filter(|sealed| sealed.view.transaction_count > 0) {
        if latest.len() >= MESSAGES {
            break;
        }
        let (page, _) = reader.block(BlockId::Height(sealed.view.height), None).await?;
        latest.extend(page.transactions.into_iter().rev().map(|transaction| Latest {
            id: Id::new(transaction.id),
            kind: transaction.kind.replace('_', " "),
            sender: Id::new(transaction.sender),
            height: sealed.view.height.get(),
        }));
    }
    latest.truncate(MESSAGES);
    Ok(render(&Home {
        network: status.chain_name,
        chain: Id::new(status.chain),
        height: status.height.get(),
        head: (status.height > BlockHeight::GENESIS).then(|| Time::new(status.block_time_ms)),
        validators: status.validators,
        waiting: status.mempool_transactions,
        price: status.postage_price,
        blocks: blocks.iter().map(row).collect(),
        latest,
    }))
}

pub(super) async fn blocks(
    State(reader): State<Reader>,
    Query(Before { before }): Query<Before>,
) -> Result<Response, PageError> {
    let height = reader.status().await?.height;
    let last = before.map_or(height, |before| height.min(BlockHeight::new(before.saturating_sub(1))));
    let blocks = last_blocks(&reader, last, LIST).await?;
    let older = blocks.last().map(|sealed| sealed.view.height.get()).filter(|height| *height > 1);
    Ok(render(&Blocks { blocks: blocks.iter().map(row).collect(), older }))
}

/// The blocks up to a height, the newest first.
async fn last_blocks(reader: &Reader, last: BlockHeight, count: u32) -> Result<Vec<SealedHeader>, PageError> {
    if last == BlockHeight::GENESIS {
        return Ok(Vec::new());
    }
    let first = last.get().saturating_sub(u64::from(count).saturating_sub(1)).max(1);
    let wanted = u32::try_from(last.get().saturating_sub(first).saturating_add(1)).unwrap_or(count);
    let mut headers = reader.headers(BlockHeight::new(first), wanted).await?;
    headers.reverse();
    Ok(headers)
}

fn row(sealed: &SealedHeader) -> Row {
    Row {
        height: sealed.view.height.get(),
        hash: Id::new(sealed.view.hash),
        time: Time::new(sealed.view.time_ms),
        transactions: sealed.view.transaction_count,
    }
}
