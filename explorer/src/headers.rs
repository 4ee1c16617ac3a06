//! Headers of every answer: nothing from elsewhere, nothing inline, nothing told to others; and for pages
//! that did not change since the browser saw them, no body at all.

use axum::body::{Body, HttpBody, to_bytes};
use axum::extract::Request;
use axum::http::header::{
    CACHE_CONTROL, CONTENT_LENGTH, CONTENT_SECURITY_POLICY, CONTENT_TYPE, ETAG, HeaderName, IF_NONE_MATCH,
    REFERRER_POLICY, X_CONTENT_TYPE_OPTIONS, X_FRAME_OPTIONS,
};
use axum::http::{HeaderValue, StatusCode};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use sealpost_ledger::hash::sha256;

/// Own scripts alone, and markup from them through one policy alone, which `live.ts` makes.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; \
                      connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'; \
                      require-trusted-types-for 'script'; trusted-types sealpost-rows";

const HEADERS: [(HeaderName, &str); 7] = [
    (CONTENT_SECURITY_POLICY, POLICY),
    (REFERRER_POLICY, "no-referrer"),
    (X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (X_FRAME_OPTIONS, "DENY"),
    (HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
    (HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
    (
        HeaderName::from_static("permissions-policy"),
        "camera=(), geolocation=(), microphone=(), payment=(), usb=()",
    ),
];

/// Longest page that gets a tag. Ours are much shorter, except with evidence in them.
const MAX_PAGE_BYTES: u64 = 4 << 20;

pub(crate) async fn add(request: Request, next: Next) -> Response {
    let mut response = next.run(request).await;
    let headers = response.headers_mut();
    for (name, value) in HEADERS {
        // A route with needs of its own, such as the checker, has set its own.
        headers.entry(name).or_insert(HeaderValue::from_static(value));
    }
    // Pages show the newest state unless a route says that its answer can't change.
    headers.entry(CACHE_CONTROL).or_insert(HeaderValue::from_static("no-cache"));
    response
}

/// Gives pages a tag of their content, and answers "not modified" to those who have it.
pub(crate) async fn tag(request: Request, next: Next) -> Response {
    let known = request.headers().get(IF_NONE_MATCH).cloned();
    let response = next.run(request).await;
    let is_page = response.status() == StatusCode::OK
        && response.headers().get(CONTENT_TYPE).is_some_and(|kind| kind.as_bytes().starts_with(b"text/html"));
    let is_short = response.body().size_hint().upper().is_some_and(|bytes| bytes <= MAX_PAGE_BYTES);
    if !is_page || !is_short {
        return response;
    }
    let (mut parts, body) = response.into_parts();
    let bytes = match to_bytes(body, usize::MAX).await {
        Ok(bytes) => bytes,
        Err(error) => {
            tracing::error!(%error, "a page could not be tagged");
            return StatusCode::INTERNAL_SERVER_ERROR.into_response();
        }
    };
    let mut digits = sealpost_api::Hex::from(sha256(&[&bytes])).to_string();
    digits.truncate(32);
    // Weak, because it is the same whether the page is compressed or not.
    let tag = format!("W/\"{digits}\"");
    let seen = known.as_ref().and_then(|known| known.to_str().ok());
    let unchanged = seen.is_some_and(|seen| seen.split(',').any(|one| one.trim() == tag));
    if let Ok(value) = HeaderValue::from_str(&tag) {
        parts.headers.insert(ETAG, value);
    }
    if unchanged {
        parts.status = StatusCode::NOT_MODIFIED;
        parts.headers.remove(CONTENT_LENGTH);
        return Response::from_parts(parts, Body::empty());
    }
    Response::from_parts(parts, Body::from(bytes))
}
