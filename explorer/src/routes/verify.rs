//! Checking evidence in the reader's browser: the page, the file to keep, and both with a message's evidence in them.
//! Nothing is uploaded: the page's policy forbids its script every connection.

use super::message::parse;
use crate::page::{PageError, render};
use crate::reader::Reader;
use crate::verify_page::{Embedded, HASHES, LICENCES, OFFLINE, Role, SCRIPT, STYLE, with_evidence};
use askama::Template;
use axum::extract::{Path, State};
use axum::http::HeaderValue;
use axum::http::header::{CONTENT_DISPOSITION, CONTENT_SECURITY_POLICY, CONTENT_TYPE};
use axum::response::{IntoResponse, Response};

/// The script may compute and change the page. It may connect to nobody, and make no markup from text.
const POLICY: HeaderValue = HeaderValue::from_static(
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'none'; \
     form-action 'self'; base-uri 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'; \
     trusted-types 'none'",
);

#[derive(Template)]
#[template(path = "verify.html")]
struct Verify {
    /// Inert data for the script: elements made by [`Embedded::element`].
    data: String,
    script_hash: &'static str,
    offline_hash: &'static str,
}

/// The page; the genesis is in it if the node gives one, and is asked for otherwise.
pub(super) async fn page(State(reader): State<Reader>) -> Response {
    let genesis = genesis_text(&reader).await.ok();
    show(genesis.map(|text| site_genesis(&text)).unwrap_or_default())
}

/// The page with the evidence of a message in it.
pub(super) async fn check(
    State(reader): State<Reader>,
    Path(id): Path<String>,
) -> Result<Response, PageError> {
    let id = parse(&id)?;
    let (evidence, genesis) = (reader.evidence(&id).await?, genesis_text(&reader).await?);
    let name = format!("{id}.evidence.json");
    let evidence = Embedded { name: &name, text: &evidence }.element(Role::Evidence);
    Ok(show(evidence + &site_genesis(&genesis)))
}

fn show(data: String) -> Response {
    let [script_hash, offline_hash] = &*HASHES;
    let mut response = render(&Verify { data, script_hash, offline_hash });
    response.headers_mut().insert(CONTENT_SECURITY_POLICY, POLICY);
    response
}

fn site_genesis(text: &str) -> String {
    Embedded { name: "the one this site uses", text }.element(Role::Genesis)
}

async fn genesis_text(reader: &Reader) -> Result<String, PageError> {
    Ok(reader.genesis().await?.to_json())
}

/// The genesis that this site checks everything against.
pub(super) async fn genesis(State(reader): State<Reader>) -> Result<Response, PageError> {
    Ok(([(CONTENT_TYPE, "application/json")], genesis_text(&reader).await?).into_response())
}

/// The checker as one file, to keep.
pub(super) async fn offline() -> Response {
    attachment("sealpost-verify.html", OFFLINE.to_owned())
}

/// A message's evidence and the checker as one file, to keep.
pub(super) async fn evidence(
    State(reader): State<Reader>,
    Path(id): Path<String>,
) -> Result<Response, PageError> {
    let id = parse(&id)?;
    let (evidence, genesis) = (reader.evidence(&id).await?, genesis_text(&reader).await?);
    let name = format!("{id}.evidence.json");
    let evidence = Embedded { name: &name, text: &evidence };
    let genesis = Embedded { name: "the one that came with this file", text: &genesis };
    Ok(attachment(&format!("{id}.evidence.html"), with_evidence(&evidence, &genesis)))
}

/// A page to be kept and not to be shown from here. The name is ours: digits, letters, dots and hyphens.
fn attachment(name: &str, html: String) -> Response {
    let disposition = format!("attachment; filename=\"{name}\"");
    let kind = "text/html; charset=utf-8".to_owned();
    ([(CONTENT_TYPE, kind), (CONTENT_DISPOSITION, disposition)], html).into_response()
}

pub(super) async fn script() -> Response {
    ([(CONTENT_TYPE, "text/javascript; charset=utf-8")], SCRIPT).into_response()
}

pub(super) async fn style() -> Response {
    ([(CONTENT_TYPE, "text/css; charset=utf-8")], STYLE).into_response()
}

pub(super) async fn licences() -> Response {
    ([(CONTENT_TYPE, "text/plain; charset=utf-8")], LICENCES).into_response()
}
