//! A block: what its header says, who made it final, what it contains, and where it stands in history.

use crate::page::{Id, PageError, Params, Piece, Source, Time, kind, render, shown, validator_name};
use crate::reader::{Block, Entry, Reader};
use askama::Template;
use axum::extract::{Path, State};
use axum::response::Response;
use sealpost_api::{BlockId, Signer};
use sealpost_ledger::address::AddressPrefix;
use sealpost_ledger::height::BlockHeight;
use sealpost_terminal::bytes;
use serde::Deserialize;

struct Field {
    name: &'static str,
    value: String,
    meaning: &'static str,
}

struct Row {
    index: u32,
    id: Id,
    kind: String,
    sender: Id,
    size: String,
}

struct SignerRow {
    name: String,
    key: Id,
    power: u64,
    signed: bool,
}

/// The block's place in the history under the newest one.
pub(super) struct HistoryView {
    pub(super) head: u64,
    pub(super) head_time: Time,
    pub(super) head_hash: Id,
    pub(super) path: Vec<String>,
}

#[derive(Template)]
#[template(path = "block.html")]
struct BlockPage {
    proven: Source,
    height: u64,
    hash: String,
    time: Time,
    previous: Option<u64>,
    next: Option<u64>,
    fields: Vec<Field>,
    signers: Vec<SignerRow>,
    signed: usize,
    signed_power: u64,
    total_power: u64,
    round: u32,
    size: String,
    transactions: Vec<Row>,
    piece: Piece,
    history: Option<HistoryView>,
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
        PageError::Malformed(format!("“{}” is neither a height nor a block hash.", shown(text)))
    })
}

pub(super) async fn block(
    State(reader): State<Reader>,
    Path(block): Path<String>,
    Params(From { from }): Params<From>,
) -> Result<Response, PageError> {
    let block = reader.block(block_id(&block)?).await?;
    let head = reader.status().await?.height;
    let history = history(&reader, &block).await?;
    let genesis = reader.genesis().await?;
    let Block { header, commit, transactions } = block;
    let fields = fields(&header);
    let piece = Piece::new(from.unwrap_or(0), header.transaction_count);
    let rows = (0_u32..).zip(&transactions);
    let listed: Vec<_> = rows
        .skip(piece.from as usize)
        .take(piece.positions().len())
        .map(|(index, transaction)| row(Entry::new(index, transaction), genesis.prefix()))
        .collect();
    let size = (0_u32..).zip(&transactions).map(|(index, transaction)| Entry::new(index, transaction).bytes);
    let height = header.height;
    Ok(render(&BlockPage {
        proven: Source::Proven,
        height: height.get(),
        hash: header.hash().to_string(),
        time: Time::new(header.time_ms),
        previous: height.previous().filter(|height| *height > BlockHeight::GENESIS).map(BlockHeight::get),
        next: height.next().filter(|next| *next <= head).map(BlockHeight::get),
        fields,
        signed: commit.signed(),
        signed_power: commit.signed_power,
        total_power: commit.total_power,
        round: commit.round,
        signers: commit.signers.iter().map(signer).collect(),
        size: bytes(size.fold(0, u64::saturating_add)),
        transactions: listed,
        piece,
        history,
    }))
}

/// What the hash of a block covers, field by field.
fn fields(header: &sealpost_ledger::block::Header) -> Vec<Field> {
    let field =
        |name, value: &dyn std::fmt::Display, meaning| Field { name, value: value.to_string(), meaning };
    vec![
        field("version", &header.version, "The format of the header."),
        field("chain", &header.chain, "The network: the hash of its genesis."),
        field("height", &header.height, "The block's place in the chain; the first is 1."),
        field("time", &header.time_ms, "The proposer's clock, milliseconds since 1970 UTC."),
        field("parent", &header.parent, "The block before; changing that one would change this hash."),
        field(
            "transaction count",
            &header.transaction_count,
            "How many leaves the tree of transactions has.",
        ),
        field("transactions root", &header.tx_root, "Commits to every transaction of this block (RFC 6962)."),
        field("history root", &header.history_root, "Commits to every earlier block (RFC 6962)."),
        field("state root", &header.state_root, "Commits to keys and receipts after this block."),
        field("validators", &header.validators_hash, "Who decided this block."),
        field("next validators", &header.next_validators_hash, "Who decides the next one."),
        field("postage price", &header.postage_price, "Expected hashes per KiB that a sender works for."),
        field("proposer", &header.proposer, "Who put it together; its clock gave the time."),
    ]
}

/// Where a block stands in the history under the newest one; nothing if it is the newest.
pub(super) async fn history(reader: &Reader, block: &Block) -> Result<Option<HistoryView>, PageError> {
    let proof = reader.history_proof(&block.header).await?;
    Ok(proof.map(|proof| HistoryView {
        head: proof.head.get(),
        head_time: Time::new(proof.head_time_ms),
        head_hash: Id::new(proof.head_hash),
        path: proof.path,
    }))
}

fn signer(signer: &Signer) -> SignerRow {
    SignerRow {
        name: validator_name(signer.name.as_deref()),
        key: Id::new(signer.public_key),
        power: signer.power,
        signed: signer.signed,
    }
}

fn row(entry: Entry, prefix: &AddressPrefix) -> Row {
    Row {
        index: entry.index,
        id: Id::new(entry.id),
        kind: kind(entry.kind),
        sender: Id::new(entry.sender.to_text(prefix)),
        size: bytes(entry.bytes),
    }
}
