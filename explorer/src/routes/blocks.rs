//! The list of blocks.

use crate::page::{Id, PageError, Params, Time, heights_before, render};
use crate::reader::{Certified, Reader};
use askama::Template;
use axum::extract::State;
use axum::response::Response;
use sealpost_ledger::height::BlockHeight;
use serde::Deserialize;

/// Blocks in the list.
const LIST: u32 = 50;

struct Row {
    height: u64,
    hash: Id,
    time: Time,
    transactions: u32,
    signatures: usize,
}

#[derive(Template)]
#[template(path = "blocks.html")]
struct Blocks {
    blocks: Vec<Row>,
    newer: Option<u64>,
    older: Option<u64>,
}

/// Which blocks are listed.
#[derive(Debug, Deserialize)]
pub(super) struct Before {
    before: Option<u64>,
}

pub(super) async fn blocks(
    State(reader): State<Reader>,
    Params(Before { before }): Params<Before>,
) -> Result<Response, PageError> {
    let head = reader.status().await?.height;
    let last = heights_before(before, head);
    let blocks = last_blocks(&reader, last, LIST).await?;
    let older = blocks.last().map(|sealed| sealed.0.height.get()).filter(|height| *height > 1);
    let newer = (last < head).then(|| last.get().saturating_add(u64::from(LIST)).saturating_add(1));
    Ok(render(&Blocks { blocks: blocks.iter().map(row).collect(), newer, older }))
}

/// The blocks up to a height, the newest first.
pub(super) async fn last_blocks(
    reader: &Reader,
    last: BlockHeight,
    count: u32,
) -> Result<Vec<Certified>, PageError> {
    if last == BlockHeight::GENESIS {
        return Ok(Vec::new());
    }
    let first = last.saturating_sub(u64::from(count).saturating_sub(1)).max(BlockHeight::FIRST);
    let wanted = u32::try_from(last.blocks_since(first).saturating_add(1)).unwrap_or(count);
    let mut headers = reader.headers(first, wanted).await?;
    headers.reverse();
    Ok(headers)
}

fn row(sealed: &Certified) -> Row {
    let (header, certificate) = &**sealed;
    Row {
        height: header.height.get(),
        hash: Id::new(header.hash()),
        time: Time::new(header.time_ms),
        transactions: header.transaction_count,
        signatures: certificate.signatures.len(),
    }
}
