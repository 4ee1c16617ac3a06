//! Files served as they are: stylesheet, scripts and icon, embedded in the binary. Each has an address with
//! the beginning of its hash in it, so that a browser keeps it for ever and a new version has a new address.

use axum::http::StatusCode;
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE};
use axum::response::{IntoResponse, Response};
use rust_embed::{EmbeddedFile, RustEmbed};

#[derive(RustEmbed)]
#[folder = "assets/"]
struct Assets;

/// Digits of the hash in an address.
const DIGITS: usize = 12;

/// The address of an asset: `/assets/style.0123456789ab.css` for `style.css`.
pub(crate) fn url(name: &str) -> String {
    match (Assets::get(name), name.rsplit_once('.')) {
        (Some(file), Some((stem, ending))) => format!("/assets/{stem}.{}.{ending}", digest(&file)),
        _ => format!("/assets/{name}"),
    }
}

fn digest(file: &EmbeddedFile) -> String {
    let mut digits = sealpost_api::Hex::from(file.metadata.sha256_hash()).to_string();
    digits.truncate(DIGITS);
    digits
}

/// The asset at an address that [`url`] gave, to be kept for ever; nothing under any other hash.
pub(crate) fn serve(address: &str) -> Response {
    let mut parts = address.rsplitn(3, '.');
    let (Some(ending), Some(hash), Some(stem)) = (parts.next(), parts.next(), parts.next()) else {
        return StatusCode::NOT_FOUND.into_response();
    };
    match Assets::get(&format!("{stem}.{ending}")) {
        Some(file) if digest(&file) == hash => answer(file, ending, "public, max-age=31536000, immutable"),
        _ => StatusCode::NOT_FOUND.into_response(),
    }
}

/// An asset at its plain name, for those who expect it at a fixed place.
pub(crate) fn serve_plain(name: &str) -> Response {
    let ending = name.rsplit_once('.').map_or("", |(_, ending)| ending);
    match Assets::get(name) {
        Some(file) => answer(file, ending, "public, max-age=3600"),
        None => StatusCode::NOT_FOUND.into_response(),
    }
}

fn answer(file: EmbeddedFile, ending: &str, cache: &'static str) -> Response {
    let kind = match ending {
        "css" => "text/css; charset=utf-8",
        "js" => "text/javascript; charset=utf-8",
        "svg" => "image/svg+xml",
        _ => "application/octet-stream",
    };
    ([(CONTENT_TYPE, kind), (CACHE_CONTROL, cache)], file.data).into_response()
}
