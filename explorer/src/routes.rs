//! The page map.

mod address;
mod block;
mod home;
mod message;
mod plain;
mod search;
mod validators;
mod verify;

use crate::api::{self, Api};
use crate::follow::Follower;
use crate::limits::{Guard, Limits, Streams, guard};
use crate::metrics::{Meter, Now, measure};
use crate::reader::Reader;
use crate::{assets, headers, health};
use axum::Router;
use axum::middleware::{from_fn, from_fn_with_state};
use axum::routing::get;
use tokio_util::sync::CancellationToken;

pub(crate) fn router(reader: Reader, limits: Limits, meter: Meter, stop: CancellationToken) -> Router {
    let follower = Follower::start(reader.clone(), stop.clone());
    let streams = Streams::new(&limits);
    let api = Api { reader: reader.clone(), follower: follower.clone(), streams: streams.clone(), stop };
    let counted = meter.clone();
    let metrics =
        async move || counted.render(Now { height: follower.height().get(), streams: streams.count() });
    pages(reader)
        .merge(api::router(api))
        .route("/metrics", get(metrics))
        .layer(from_fn_with_state(Guard::new(limits), guard))
        .layer(from_fn_with_state(meter, measure))
        .layer(from_fn(headers::add))
}

fn pages(reader: Reader) -> Router {
    Router::new()
        .route("/", get(home::home))
        .route("/blocks", get(home::blocks))
        .route("/block/{block}", get(block::block))
        .route("/message/{id}", get(message::message))
        .route("/message/{id}/evidence", get(message::evidence))
        .route("/message/{id}/evidence.html", get(verify::evidence))
        .route("/message/{id}/check", get(verify::check))
        .route("/verify", get(verify::page))
        .route("/verify/offline.html", get(verify::offline))
        .route("/verify/licences.txt", get(verify::licences))
        .route("/verify.js", get(verify::script))
        .route("/verify.css", get(verify::style))
        .route("/genesis.json", get(verify::genesis))
        .route("/tx/{id}", get(message::transaction))
        .route("/address/{address}", get(address::address))
        .route("/validators", get(validators::validators))
        .route("/search", get(search::search))
        .route("/glossary", get(plain::glossary))
        .route("/about", get(plain::about))
        .route("/livez", get(async || "alive\n"))
        .route("/readyz", get(health::ready))
        .route("/style.css", get(async || assets::serve("style.css")))
        .route("/favicon.svg", get(async || assets::serve("favicon.svg")))
        .route("/favicon.ico", get(async || assets::serve("favicon.svg")))
        .fallback(plain::unknown)
        .with_state(reader)
}
