//! The first page: the head, what came last, and the last blocks in numbers.

use super::rows::{BlockRow, EntryRow, Head};
use super::trends::{Row, charts, groups};
use crate::charts::Chart;
use crate::page::{Id, PageError, Params, name, render};
use crate::reader::{Reader, Summary};
use askama::Template;
use axum::extract::State;
use axum::response::Response;
use sealpost_ledger::address::AddressPrefix;
use sealpost_ledger::height::BlockHeight;
use serde::Deserialize;
use std::sync::Arc;

/// Blocks in the list, and entries in theirs.
const BLOCKS: usize = 10;
const ENTRIES: usize = 12;
/// How many blocks the charts may span.
pub(super) const RANGES: [u32; 3] = [50, 200, 500];

/// A choice of a range.
pub(super) struct Range {
    pub(super) blocks: u32,
    pub(super) chosen: bool,
}

#[derive(Template)]
#[template(path = "home.html")]
struct Home {
    network: String,
    chain: Id,
    head: Head,
    height: u64,
    blocks: Vec<BlockRow>,
    entries: Vec<EntryRow>,
    looked_at: usize,
    ranges: Vec<Range>,
    charts: Vec<Chart>,
    rows: Vec<Row>,
    drawn: usize,
}

/// How many blocks the charts span.
#[derive(Debug, Deserialize)]
pub(super) struct Wanted {
    blocks: Option<u32>,
}

/// The span asked for: one of [`RANGES`], the first unless told otherwise.
pub(super) fn chosen(asked: Option<u32>) -> Result<u32, PageError> {
    let asked = asked.unwrap_or(RANGES[0]);
    match RANGES.contains(&asked) {
        true => Ok(asked),
        false => Err(PageError::Malformed(format!("Charts span 50, 200 or 500 blocks, not {asked}."))),
    }
}

/// The ranges to choose from.
pub(super) fn ranges(chosen: u32) -> Vec<Range> {
    RANGES.map(|blocks| Range { blocks, chosen: blocks == chosen }).into()
}

/// Recent blocks for charts of a span: one more tells how long the first of them took.
pub(super) async fn span(
    reader: &Reader,
    head: BlockHeight,
    blocks: u32,
) -> Result<Vec<Arc<Summary>>, PageError> {
    if head == BlockHeight::GENESIS {
        return Ok(Vec::new());
    }
    Ok(reader.recent(head, blocks.saturating_add(1)).await?)
}

pub(super) async fn home(
    State(reader): State<Reader>,
    Params(Wanted { blocks }): Params<Wanted>,
) -> Result<Response, PageError> {
    let blocks = chosen(blocks)?;
    let genesis = reader.genesis().await?;
    let status = reader.status().await?;
    let height = status.height;
    let recent = span(&reader, height, blocks).await?;
    let groups = groups(&recent, blocks as usize);
    Ok(render(&Home {
        network: name(genesis.chain_name()),
        chain: Id::new(genesis.chain_id()),
        head: Head::new(&reader, &status, height).await?,
        height: height.get(),
        blocks: recent.iter().take(BLOCKS).map(|summary| BlockRow::new(summary)).collect(),
        entries: newest_entries(&recent, genesis.prefix()),
        looked_at: recent.len(),
        ranges: ranges(blocks),
        charts: charts(&groups),
        rows: groups.iter().rev().map(|group| group.row()).collect(),
        drawn: recent.len().min(blocks as usize),
    }))
}

fn newest_entries(recent: &[Arc<Summary>], prefix: &AddressPrefix) -> Vec<EntryRow> {
    let entries = recent.iter().flat_map(|summary| {
        summary.entries.iter().rev().map(move |entry| EntryRow::new(summary, entry, prefix))
    });
    entries.take(ENTRIES).collect()
}
