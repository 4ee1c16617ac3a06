//! The page map.

mod address;
mod block;
mod home;
mod message;
mod plain;
mod search;
mod validators;
mod verify;

use crate::reader::Reader;
use crate::{PATIENCE, assets, headers};
use axum::Router;
use axum::http::StatusCode;
use axum::middleware::from_fn;
use axum::routing::get;
use tower_http::timeout::TimeoutLayer;

pub(crate) fn router(reader: Reader) -> Router {
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
        .route("/readyz", get(plain::ready))
        .route("/style.css", get(async || assets::serve("style.css")))
        .route("/favicon.svg", get(async || assets::serve("favicon.svg")))
        .route("/favicon.ico", get(async || assets::serve("favicon.svg")))
        .fallback(plain::unknown)
        .with_state(reader)
        .layer(TimeoutLayer::with_status_code(StatusCode::GATEWAY_TIMEOUT, PATIENCE))
        .layer(from_fn(headers::add))
}
