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

use crate::api::{self, Api};
use crate::follow::Follower;
use crate::limits::{Guard, Limits, Streams, guard};
use crate::live::Hub;
use crate::metrics::{Meter, Now, measure};
use crate::reader::Reader;
use crate::{assets, headers, health, page};
use axum::Router;
use axum::extract::{FromRef, Path};
use axum::middleware::{from_fn, from_fn_with_state};
use axum::routing::get;
use tokio_util::sync::CancellationToken;
use tower_http::CompressionLevel;
use tower_http::compression::CompressionLayer;

/// What the pages are made from.
#[derive(Clone)]
pub(crate) struct Site {
    pub(crate) reader: Reader,
    pub(crate) live: Hub,
    /// Tells of new blocks.
    pub(crate) follower: Follower,
    /// Counts streams of events, together with those of the API.
    pub(crate) streams: Streams,
}

impl FromRef<Site> for Reader {
    fn from_ref(site: &Site) -> Self {
        site.reader.clone()
    }
}

pub(crate) fn router(site: Site, limits: Limits, meter: Meter, stop: CancellationToken) -> Router {
    let (follower, streams, watch) = (site.follower.clone(), site.streams.clone(), Guard::new(limits));
    let (reader, questions) = (site.reader.clone(), watch.questions());
    let api = Api { reader, follower: follower.clone(), streams: streams.clone(), questions, stop };
    let counted = meter.clone();
    let (reader, anchored) = (site.reader.clone(), site.reader.clone());
    let metrics = async move || {
        let (height, streams) = (follower.height().get(), streams.count());
        counted.render(Now { height, streams, reader: reader.counted() })
    };
    pages(site)
        .merge(api::router(api))
        .route("/metrics", get(metrics))
        .layer(from_fn_with_state(anchored, page::anchored))
        .layer(from_fn_with_state(watch, guard))
        .layer(from_fn_with_state(meter, measure))
        .layer(CompressionLayer::new().quality(CompressionLevel::Fastest))
        .layer(from_fn(headers::add))
}

fn pages(site: Site) -> Router {
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
        .route("/readyz", get(health::ready))
        .route("/assets/{name}", get(async |Path(name): Path<String>| assets::serve(&name)))
        .route("/favicon.svg", get(async || assets::serve_plain("favicon.svg")))
        .route("/favicon.ico", get(async || assets::serve_plain("favicon.svg")))
        .fallback(plain::unknown)
        .with_state(site)
        .layer(from_fn(headers::tag))
}
