//! A block: what its header says, who made it final, what it contains.

use crate::page::{Id, PageError, Time, render};
use crate::reader::Reader;
use askama::Template;
use axum::extract::{Path, Query, State};
use axum::response::Response;
use sealpost_api::{BlockId, Signer, TransactionSummary};
use sealpost_ledger::height::BlockHeight;
use serde::Deserialize;

struct Field {
    name: &'static str,
    value: String,
    meaning: &'static str,
}

struct Transaction {
    index: u32,
    id: Id,
    kind: String,
    sender: Id,
    bytes: u64,
}

#[derive(Template)]
#[template(path = "block.html")]
struct Block {
    height: u64,
    hash: Id,
    time: Time,
    previous: Option<u64>,
    next: u64,
    fields: Vec<Field>,
    signers: Vec<Signer>,
    signed_power: u64,
    total_power: u64,
    round: u32,
    count: u32,
    transactions: Vec<Transaction>,
    more: Option<u32>,
}

/// Which transactions are listed.
#[derive(Debug, Deserialize)]
pub(super) struct From {
    from: Option<u32>,
}

/// The block that a part of an address names.
pub(super) fn block_id(text: &str) -> Result<BlockId, PageError> {
    let height = text.parse().ok().map(|height| BlockId::Height(BlockHeight::new(height)));
    let hash = || text.parse().ok().map(BlockId::Hash);
    height.or_else(hash).ok_or_else(|| {
        let shown: String = text.chars().take(80).collect();
        PageError::Malformed(format!("“{shown}” is neither a height nor a block hash."))
    })
}

pub(super) async fn block(
    State(reader): State<Reader>,
    Path(block): Path<String>,
    Query(From { from }): Query<From>,
) -> Result<Response, PageError> {
    let block = block_id(&block)?;
    let (page, commit) = reader.block(block, from).await?;
    let view = &page.sealed.view;
    let field =
        |name, value: &dyn std::fmt::Display, meaning| Field { name, value: value.to_string(), meaning };
    let fields = vec![
        field("chain", &view.chain, "The network: the hash of its genesis."),
        field("parent", &view.parent, "The block before; changing that one would change this hash."),
        field("transactions root", &view.tx_root, "Commits to every transaction of this block (RFC 6962)."),
        field("history root", &view.history_root, "Commits to every earlier block (RFC 6962)."),
        field("state root", &view.state_root, "Commits to keys and receipts after this block."),
        field("validators", &view.validators_hash, "Who decided this block."),
        field("next validators", &view.next_validators_hash, "Who decides the next one."),
        field("postage price", &view.postage_price, "Expected hashes per KiB that a sender works for."),
        field("proposer", &view.proposer, "Who put it together; its clock gave the time."),
    ];
    let transactions = page.transactions.into_iter().map(transaction).collect();
    let height = view.height.get();
    Ok(render(&Block {
        height,
        hash: Id::new(view.hash),
        time: Time::new(view.time_ms),
        previous: height.checked_sub(1).filter(|height| *height > 0),
        next: height.saturating_add(1),
        fields,
        signers: commit.signers,
        signed_power: commit.signed_power,
        total_power: commit.total_power,
        round: commit.round,
        count: view.transaction_count,
        transactions,
        more: page.next,
    }))
}

fn transaction(summary: TransactionSummary) -> Transaction {
    Transaction {
        index: summary.index,
        id: Id::new(summary.id),
        kind: summary.kind.replace('_', " "),
        sender: Id::new(summary.sender),
        bytes: summary.bytes,
    }
}
