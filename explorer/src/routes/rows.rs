//! The parts of a page that also arrive alone while it is open: the head, a row for a block, a row for an
//! entry.

use crate::page::{Id, Source, Time, kind};
use crate::reader::{Entry, ReadError, Reader, Summary};
use askama::Template;
use askama::filters::HtmlSafe;
use sealpost_api::{BlockId, NodeStatus};
use sealpost_ledger::address::AddressPrefix;
use sealpost_ledger::height::BlockHeight;
use sealpost_terminal::{bytes, grouped};

/// The newest block and what stands around it.
#[derive(Template)]
#[template(path = "head.html")]
pub(crate) struct Head {
    proven: Source,
    observed: Source,
    height: u64,
    hash: Option<Id>,
    time: Option<Time>,
    signed: usize,
    validators: usize,
    signed_power: u64,
    total_power: u64,
    round: u32,
    waiting: String,
    price: String,
    syncing: bool,
}

/// A block in a list.
#[derive(Template)]
#[template(path = "block_row.html")]
pub(crate) struct BlockRow {
    height: u64,
    hash: Id,
    time: Time,
    transactions: u32,
    size: String,
}

/// A transaction in a list of the newest.
#[derive(Template)]
#[template(path = "entry_row.html")]
pub(crate) struct EntryRow {
    id: Id,
    kind: String,
    sender: Id,
    height: u64,
    size: String,
}

impl HtmlSafe for Head {}
impl HtmlSafe for BlockRow {}
impl HtmlSafe for EntryRow {}

impl Head {
    /// The block at a height that is the newest, or was a moment ago.
    pub(crate) async fn new(
        reader: &Reader,
        status: &NodeStatus,
        height: BlockHeight,
    ) -> Result<Self, ReadError> {
        let mut head = Self {
            proven: Source::Proven,
            observed: Source::Observed,
            height: height.get(),
            hash: None,
            time: None,
            signed: 0,
            validators: status.validators as usize,
            signed_power: 0,
            total_power: 0,
            round: 0,
            waiting: sealpost_terminal::counted(status.mempool_transactions, "transaction"),
            price: grouped(status.postage_price),
            syncing: status.syncing,
        };
        if height > BlockHeight::GENESIS {
            let sealed = reader.certified(BlockId::Height(height)).await?;
            let commit = reader.commit(&sealed).await?;
            head.hash = Some(Id::new(sealed.0.hash()));
            head.time = Some(Time::new(sealed.0.time_ms));
            (head.signed, head.validators) = (commit.signed(), commit.signers.len());
            (head.signed_power, head.total_power) = (commit.signed_power, commit.total_power);
            head.round = commit.round;
        }
        Ok(head)
    }
}

impl BlockRow {
    pub(crate) fn new(summary: &Summary) -> Self {
        Self {
            height: summary.header.height.get(),
            hash: Id::new(summary.header.hash()),
            time: Time::new(summary.header.time_ms),
            transactions: summary.header.transaction_count,
            size: bytes(summary.bytes),
        }
    }
}

impl EntryRow {
    pub(crate) fn new(summary: &Summary, entry: &Entry, prefix: &AddressPrefix) -> Self {
        Self {
            id: Id::new(entry.id),
            kind: kind(entry.kind),
            sender: Id::new(entry.sender.to_text(prefix)),
            height: summary.header.height.get(),
            size: bytes(entry.bytes),
        }
    }
}
