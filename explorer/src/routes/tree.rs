//! The Merkle tree of a block, with the way of one transaction to the root lit up.

use super::block::block_id;
use crate::page::{Id, PageError, Params, Source, kind, render};
use crate::reader::Reader;
use crate::tree::{self, Level, Side};
use askama::Template;
use axum::extract::{Path, State};
use axum::response::Response;
use sealpost_api::Hex;
use sealpost_ledger::merkle::Node;
use serde::Deserialize;

struct Drawn {
    x: String,
    y: String,
    text_y: String,
    label_y: String,
    /// Upper end of the line to the parent; nothing for the root.
    parent: Option<(String, String)>,
    kind: &'static str,
    short: String,
    whole: String,
    leaves: String,
}

struct Step {
    number: usize,
    side: &'static str,
    leaves: String,
    sibling: String,
    result: String,
}

#[derive(Template)]
#[template(path = "tree.html")]
struct TreePage {
    proven: Source,
    height: u64,
    count: u32,
    leaf: u32,
    id: Id,
    kind: String,
    canvas: String,
    nodes: Vec<Drawn>,
    leaf_hash: String,
    steps: Vec<Step>,
    root: String,
    previous: Option<u32>,
    next: Option<u32>,
}

/// Which transaction's way is shown.
#[derive(Debug, Deserialize)]
pub(super) struct Leaf {
    leaf: Option<u32>,
}

pub(super) async fn tree(
    State(reader): State<Reader>,
    Path(block): Path<String>,
    Params(Leaf { leaf }): Params<Leaf>,
) -> Result<Response, PageError> {
    let block = reader.block(block_id(&block)?).await?;
    let (height, count, leaf) = (block.header.height, block.header.transaction_count, leaf.unwrap_or(0));
    let Some(transaction) = block.transactions.get(leaf as usize) else {
        return Err(PageError::NotFound(match count {
            0 => format!("Block {height} has no transactions, so there is no tree to show."),
            _ => format!("Block {height} has the transactions 0 to {}, not {leaf}.", count.saturating_sub(1)),
        }));
    };
    let leaves: Vec<Node> = block.transactions.iter().map(|transaction| transaction.leaf()).collect();
    let path = sealpost_ledger::merkle::path(&leaves, leaf as usize).unwrap_or_default();
    let levels = tree::levels(count.into(), leaf.into(), transaction.leaf(), &path).unwrap_or_default();
    Ok(render(&TreePage {
        proven: Source::Proven,
        height: height.get(),
        count,
        leaf,
        id: Id::new(transaction.id()),
        kind: kind(transaction.payload().kind()),
        canvas: format!("0 0 {:.0} {:.0}", tree::WIDTH, tree::height(levels.len())),
        nodes: drawn(&levels),
        leaf_hash: hex(&transaction.leaf()),
        steps: steps(&levels),
        root: block.header.tx_root.to_string(),
        previous: leaf.checked_sub(1),
        next: leaf.checked_add(1).filter(|next| *next < count),
    }))
}

fn hex(node: &Node) -> String {
    Hex::from(*node).to_string()
}

/// The nodes of the picture, from the root downwards.
fn drawn(levels: &[Level]) -> Vec<Drawn> {
    let number = |value: f64| format!("{value:.1}");
    let mut nodes = Vec::new();
    let mut parent: Option<(f64, f64)> = None;
    let last = levels.len().saturating_sub(1);
    for (at, (level, (on_path, beside, y))) in levels.iter().zip(tree::places(levels)).enumerate() {
        let node = |x: f64, hash: &Node, leaves: (u64, u64), kind: &'static str| {
            let whole = hex(hash);
            Drawn {
                x: number(x),
                y: number(y),
                text_y: number(y + 4.0),
                label_y: number(y + 29.0),
                parent: parent.map(|(x, y)| (number(x), number(y))),
                kind,
                short: whole.chars().take(8).collect(),
                whole,
                leaves: words(leaves),
            }
        };
        if let Some((hash, leaves)) = &level.beside {
            nodes.push(node(beside, hash, *leaves, "folded"));
        }
        let kind = if at == last && at > 0 { "path leaf" } else { "path" };
        nodes.push(node(on_path, &level.on_path, level.leaves, kind));
        parent = Some((on_path, y));
    }
    nodes
}

/// The same as steps of a calculation, from the leaf upwards.
fn steps(levels: &[Level]) -> Vec<Step> {
    let parents = levels.iter().rev().skip(1);
    let steps = levels.iter().rev().zip(parents).enumerate().filter_map(|(at, (level, parent))| {
        let ((sibling, leaves), side) = (level.beside?, level.side?);
        Some(Step {
            number: at.saturating_add(1),
            side: if side == Side::Left { "right" } else { "left" },
            leaves: words(leaves),
            sibling: hex(&sibling),
            result: hex(&parent.on_path),
        })
    });
    steps.collect()
}

fn words((first, count): (u64, u64)) -> String {
    match count {
        1 => format!("leaf {first}"),
        _ => format!("leaves {first} to {}", first.saturating_add(count).saturating_sub(1)),
    }
}
