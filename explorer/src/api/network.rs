//! The network as a whole: how it is, what sending costs, and what a text may stand for.

use super::Api;
use super::answer::{Keep, answer, proven};
use super::input::{Nothing, Params};
use super::problem::Problem;
use super::view::HeaderView;
use crate::reader::ReadError;
use axum::extract::State;
use axum::response::Response;
use sealpost_api::BlockId;
use sealpost_ledger::hash::{BlockHash, TransactionId};
use sealpost_ledger::height::BlockHeight;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

/// The network, and the node behind this site.
#[derive(Debug, Serialize, ToSchema)]
#[schema(title = "Status")]
pub(super) struct StatusView {
    /// The network's name for people, from the genesis.
    chain_name: String,
    /// Prefix of its addresses.
    address_prefix: String,
    /// The last final block; null before the first.
    head: Option<HeaderView>,
    /// Number of validators that decide the next block.
    validators: u64,
    /// What the node says of itself.
    node: NodeView,
}

/// What a node says of itself.
#[derive(Debug, Serialize, ToSchema)]
#[schema(title = "Node")]
struct NodeView {
    /// Whether it is catching up with others, or does not know yet.
    syncing: bool,
    /// The highest block that others claim to have.
    target: u64,
    /// Connected peers.
    peers: u32,
    /// Transactions waiting.
    waiting: u64,
    /// Postage price of the next block, in expected hashes per KiB.
    postage_price: u64,
    /// Its version.
    version: String,
}

/// How the network is.
#[utoipa::path(
    get, path = "/status", tag = "network",
    responses((status = 200, description = "The network.", body = super::answer::Answer<StatusView>))
)]
pub(super) async fn status(
    State(api): State<Api>,
    Params(Nothing {}): Params<Nothing>,
) -> Result<Response, Problem> {
    let genesis = api.reader.genesis().await?;
    let told = api.reader.status().await?;
    let head = api.reader.last_block().await?;
    let validators = api.reader.validators().await?.validators.len() as u64;
    let view = StatusView {
        chain_name: genesis.chain_name().into(),
        address_prefix: genesis.prefix().as_str().into(),
        head: head.as_ref().map(|sealed| HeaderView::from(&sealed.header)),
        validators,
        node: NodeView {
            syncing: told.syncing,
            target: told.target.get(),
            peers: told.peers,
            waiting: told.mempool_transactions,
            postage_price: told.postage_price,
            version: told.version,
        },
    };
    answer(&genesis, Keep::Ask, view, vec!["node"])
}

/// For which size.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(super) struct Size {
    /// Bytes of header, signature and body.
    #[serde(default = "kibibyte")]
    #[param(required = false, minimum = 1, maximum = 1073741824, default = 1024)]
    bytes: u64,
}

const fn kibibyte() -> u64 {
    1024
}

/// What sending costs now.
#[derive(Debug, Serialize, ToSchema)]
#[schema(title = "Postage")]
pub(super) struct PostageView {
    /// The size asked for.
    bytes: u64,
    /// Price of the next block, in expected hashes per KiB.
    price: u64,
    /// Expected hashes for that size.
    work: u64,
    /// The highest price the block after the next can have: work for it to be safe.
    price_after: u64,
    /// Height of the next block.
    height: u64,
}

/// What a message of a size costs now.
#[utoipa::path(
    get, path = "/postage", tag = "network", params(Size),
    responses((
        status = 200, description = "The price, which is this node's word.",
        body = super::answer::Answer<PostageView>
    ))
)]
pub(super) async fn postage(
    State(api): State<Api>,
    Params(Size { bytes }): Params<Size>,
) -> Result<Response, Problem> {
    if !(1..=1 << 30).contains(&bytes) {
        let detail = format!("bytes: {bytes}, allowed is 1 to {}", 1 << 30);
        return Err(Problem::input("input.parameter", detail));
    }
    let genesis = api.reader.genesis().await?;
    let quote = api.reader.postage_quote(bytes).await?;
    let view = PostageView {
        bytes: quote.bytes,
        price: quote.price,
        work: quote.work,
        price_after: quote.price_after,
        height: quote.height.get(),
    };
    answer(&genesis, Keep::Ask, view, vec!["price", "work", "price_after", "height"])
}

/// Longest text that is looked for, in characters: no name is longer.
const MAX_WANTED: usize = 200;

/// What is looked for.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(super) struct Wanted {
    /// A height, a hash, an id or an address, written whole.
    #[param(max_length = 200)]
    q: String,
}

/// What a text may stand for.
#[derive(Debug, Serialize, ToSchema)]
#[schema(title = "Found")]
pub(super) struct Found {
    /// Everything it stands for; empty if there is nothing.
    hits: Vec<Hit>,
}

/// Something that was found.
#[derive(Debug, Serialize, ToSchema)]
struct Hit {
    /// What it is.
    kind: HitKind,
    /// Its name.
    name: String,
    /// Where it is in this API.
    #[schema(format = "uri-reference")]
    url: String,
}

/// What was found.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
enum HitKind {
    /// A final block.
    Block,
    /// A message.
    Message,
    /// A transaction that is no message.
    Transaction,
    /// An address of this network, whether it has ever been used or not.
    Address,
}

impl Hit {
    fn new(kind: HitKind, room: &str, name: &str) -> Self {
        Self { kind, url: format!("{}/{room}/{name}", super::ROOT), name: name.into() }
    }
}

/// `None` if the node knows no such thing.
fn if_there<T>(found: Result<T, ReadError>) -> Result<Option<T>, Problem> {
    match found {
        Ok(found) => Ok(Some(found)),
        Err(ReadError::NotFound(_)) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// Finds what a text stands for. Nothing is found by its beginning: the ledger's index is over whole ids.
#[utoipa::path(
    get, path = "/search", tag = "network", params(Wanted),
    responses((status = 200, description = "What was found.", body = super::answer::Answer<Found>))
)]
pub(super) async fn search(
    State(api): State<Api>,
    Params(Wanted { q }): Params<Wanted>,
) -> Result<Response, Problem> {
    if q.chars().count() > MAX_WANTED {
        return Err(Problem::input("input.parameter", "q: too long to be the name of anything"));
    }
    let genesis = api.reader.genesis().await?;
    let wanted = q.trim().to_lowercase();
    let mut hits = Vec::new();
    if let Ok(height) = wanted.parse().map(BlockHeight::new) {
        let found = if_there(api.reader.final_block(BlockId::Height(height)).await)?;
        hits.extend(found.map(|_| Hit::new(HitKind::Block, "blocks", &height.to_string())));
    } else if let Ok(hash) = wanted.parse::<BlockHash>() {
        let found = if_there(api.reader.final_block(BlockId::Hash(hash)).await)?;
        hits.extend(found.map(|_| Hit::new(HitKind::Block, "blocks", &wanted)));
        let id = TransactionId::from_bytes(*hash.as_bytes());
        let found = if_there(api.reader.transaction(&id).await)?;
        hits.extend(found.map(|proven| match proven.transaction.message() {
            Some(_) => Hit::new(HitKind::Message, "messages", &wanted),
            None => Hit::new(HitKind::Transaction, "transactions", &wanted),
        }));
    } else if api.reader.address(&wanted).await.is_ok() {
        hits.push(Hit::new(HitKind::Address, "addresses", &wanted));
    }
    proven(&genesis, Keep::Ask, Found { hits })
}
