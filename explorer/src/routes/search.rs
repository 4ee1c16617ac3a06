//! Search: a height, a hash, an id or an address.

use crate::page::{PageError, is_beginning};
use crate::reader::Reader;
use axum::extract::{Query, State};
use axum::response::Redirect;
use sealpost_api::BlockId;
use serde::Deserialize;

/// What is looked for.
#[derive(Debug, Deserialize)]
pub(super) struct Wanted {
    #[serde(default)]
    q: String,
}

pub(super) async fn search(
    State(reader): State<Reader>,
    Query(Wanted { q }): Query<Wanted>,
) -> Result<Redirect, PageError> {
    let wanted = q.trim().to_lowercase();
    if let Ok(height) = wanted.parse::<u64>() {
        return Ok(Redirect::to(&format!("/block/{height}")));
    }
    if let Ok(hash) = wanted.parse() {
        // A block and a transaction look alike; the block is asked for first.
        if reader.block(BlockId::Hash(hash), None).await.is_ok() {
            return Ok(Redirect::to(&format!("/block/{hash}")));
        }
        return Ok(Redirect::to(&format!("/tx/{hash}")));
    }
    if reader.address(&wanted).await.is_ok() {
        return Ok(Redirect::to(&format!("/address/{wanted}")));
    }
    if is_beginning(&wanted) {
        return Err(PageError::Beginning(wanted));
    }
    let shown: String = wanted.chars().take(80).collect();
    Err(PageError::Malformed(format!("“{shown}” is no height, hash, id or address of this network.")))
}
