//! The page map.

mod address;
mod block;
mod blocks;
mod body;
mod home;
mod live;
mod message;
mod network;
mod plain;
mod postage;
pub(crate) mod rows;
mod search;
mod timeline;
mod transaction;
mod tree;
mod trends;
mod validators;
mod verify;

use crate::live::Hub;
use crate::reader::Reader;
use crate::{PATIENCE, assets, headers};
use axum::Router;
use axum::extract::{FromRef, Path};
use axum::http::StatusCode;
use axum::middleware::from_fn;
use axum::routing::get;
use tower_http::compression::CompressionLayer;
use tower_http::timeout::TimeoutLayer;

/// What the pages are made from.
#[derive(Clone)]
pub(crate) struct Site {
    pub(crate) reader: Reader,
    pub(crate) live: Hub,
}

impl FromRef<Site> for Reader {
    fn from_ref(site: &Site) -> Self {
        site.reader.clone()
    }
}

pub(crate) fn router(site: Site) -> Router {
    Router::new()
        .route("/", get(home::home))
        .route("/live", get(live::live))
        .route("/blocks", get(blocks::blocks))
        .route("/block/{block}", get(block::block))
        .route("/block/{block}/tree", get(tree::tree))
        .route("/message/{id}", get(message::message))
        .route("/message/{id}/body", get(body::raw))
        .route("/message/{id}/evidence", get(message::evidence))
        .route("/message/{id}/evidence.html", get(verify::evidence))
        .route("/message/{id}/check", get(verify::check))
        .route("/verify", get(verify::page))
        .route("/verify/offline.html", get(verify::offline))
        .route("/verify/licences.txt", get(verify::licences))
        .route("/verify.js", get(verify::script))
        .route("/verify.css", get(verify::style))
        .route("/genesis.json", get(verify::genesis))
        .route("/tx/{id}", get(transaction::transaction))
        .route("/address/{address}", get(address::address))
        .route("/validators", get(validators::validators))
        .route("/validator/{key}", get(validators::validator))
        .route("/network", get(network::network))
        .route("/postage", get(postage::postage))
        .route("/search", get(search::search))
        .route("/glossary", get(plain::glossary))
        .route("/about", get(plain::about))
        .route("/livez", get(async || "alive\n"))
        .route("/readyz", get(plain::ready))
        .route("/assets/{name}", get(async |Path(name): Path<String>| assets::serve(&name)))
        .route("/favicon.svg", get(async || assets::serve_plain("favicon.svg")))
        .route("/favicon.ico", get(async || assets::serve_plain("favicon.svg")))
        .fallback(plain::unknown)
        .with_state(site)
        .layer(from_fn(headers::tag))
        .layer(TimeoutLayer::with_status_code(StatusCode::GATEWAY_TIMEOUT, PATIENCE))
        .layer(CompressionLayer::new())
        .layer(from_fn(headers::add))
}
