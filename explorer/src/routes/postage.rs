//! Postage: what sending costs now, what a message of some size needs, and how the price moved.

use super::home::{Range, chosen, ranges, span};
use super::trends::{Row, groups, price};
use crate::charts::Chart;
use crate::page::{PageError, Params, Source, render};
use crate::reader::Reader;
use askama::Template;
use axum::extract::State;
use axum::response::Response;
use sealpost_ledger::postage::{charged_kib, next_price, work};
use sealpost_terminal::{bytes, grouped};
use serde::Deserialize;

/// Sizes whose postage is listed, in KiB.
const SIZES: [usize; 5] = [1, 4, 16, 64, 256];

struct Quote {
    size: String,
    kib: u64,
    work: String,
    asked: bool,
}

#[derive(Template)]
#[template(path = "postage.html")]
struct PostagePage {
    claimed: Source,
    proven: Source,
    price: String,
    height: u64,
    highest_next: String,
    floor: String,
    quotes: Vec<Quote>,
    bytes: Option<u64>,
    largest: u64,
    chart: Chart,
    rows: Vec<Row>,
    ranges: Vec<Range>,
    drawn: usize,
}

/// A size asked for, and how many blocks the chart spans.
#[derive(Debug, Deserialize)]
pub(super) struct Wanted {
    bytes: Option<String>,
    blocks: Option<u32>,
}

pub(super) async fn postage(
    State(reader): State<Reader>,
    Params(Wanted { bytes: asked, blocks }): Params<Wanted>,
) -> Result<Response, PageError> {
    let blocks = chosen(blocks)?;
    let genesis = reader.genesis().await?;
    let limits = genesis.limits();
    let asked =
        asked.filter(|text| !text.is_empty()).map(|text| size(&text, limits.block_bytes)).transpose()?;
    let status = reader.status().await?;
    let recent = span(&reader, status.height, blocks).await?;
    let groups = groups(&recent, blocks as usize);
    let now = status.postage_price;
    let sizes = SIZES.iter().map(|kib| kib.saturating_mul(1024));
    let listed =
        sizes.filter(|size| *size <= limits.block_bytes as usize).map(|size| quote(size, now, false));
    let asked_quote = asked.map(|size| quote(size, now, true));
    let full = u64::from(limits.block_bytes);
    Ok(render(&PostagePage {
        claimed: Source::Claimed,
        proven: Source::Proven,
        price: grouped(now),
        height: status.height.saturating_add(1).get(),
        highest_next: grouped(next_price(now, full, full, genesis.postage().floor)),
        floor: grouped(genesis.postage().floor),
        quotes: asked_quote.into_iter().chain(listed).collect(),
        bytes: asked.map(|size| size as u64),
        largest: full,
        chart: price(&groups),
        rows: groups.iter().rev().map(|group| group.row()).collect(),
        ranges: ranges(blocks),
        drawn: recent.len().min(blocks as usize),
    }))
}

fn size(text: &str, most: u32) -> Result<usize, PageError> {
    let size = text.trim().parse().ok().filter(|size| (1..=most as usize).contains(size));
    size.ok_or_else(|| PageError::Malformed(format!("A size is a number of bytes from 1 to {most}.")))
}

fn quote(size: usize, price: u64, asked: bool) -> Quote {
    Quote { size: bytes(size as u64), kib: charged_kib(size), work: grouped(work(price, size)), asked }
}
