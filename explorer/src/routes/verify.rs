//! Checking evidence in the reader's browser: the page, the file to keep, and both with a message's evidence
//! in them. Nothing is uploaded: the page's policy forbids its script every connection.

use super::message::parse_id;
use crate::page::{PageError, render};
use crate::reader::Reader;
use crate::verify_page::{Embedded, HASHES, LICENCES, OFFLINE, Role, SCRIPT, STYLE, with_evidence};
use askama::Template;
use axum::extract::{Path, State};
use axum::http::HeaderValue;
use axum::http::header::{CONTENT_DISPOSITION, CONTENT_SECURITY_POLICY, CONTENT_TYPE};
use axum::response::{IntoResponse, Response};
use sealpost_ledger::hash::TransactionId;

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
    let material = Material::read(&reader, &id).await?;
    let evidence = material.evidence().element(Role::Evidence);
    Ok(show(evidence + &site_genesis(&material.genesis)))
}

/// What the checker needs to check a message.
struct Material {
    id: TransactionId,
    /// The file's name.
    name: String,
    evidence: String,
    genesis: String,
}

impl Material {
    /// By what a part of an address names.
    async fn read(reader: &Reader, id: &str) -> Result<Self, PageError> {
        let id = parse_id(id)?;
        let evidence = reader.whole_evidence(&id).await?;
        let genesis = genesis_text(reader).await?;
        Ok(Self { id, name: format!("{id}.evidence.json"), evidence, genesis })
    }
    fn evidence(&self) -> Embedded<'_> {
        Embedded { name: &self.name, text: &self.evidence }
    }
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
    let material = Material::read(&reader, &id).await?;
    let genesis = Embedded { name: "the one that came with this file", text: &material.genesis };
    let name = format!("{}.evidence.html", material.id);
    Ok(attachment(&name, with_evidence(&material.evidence(), &genesis)))
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

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::indexing_slicing)]
mod tests {
    use crate::{Limits, Settings, start};
    use sealpost_ledger::genesis::Genesis;
    use std::sync::Arc;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    /// Head and body of an answer by an explorer whose node does not answer.
    async fn get(genesis: Option<Arc<Genesis>>, path: &str) -> (String, String) {
        let node = "http://127.0.0.1:1".to_owned();
        let (listen, limits) = ("127.0.0.1:0".parse().unwrap(), Limits::default());
        let explorer = start(Settings { listen, node, genesis, limits }).await.unwrap();
        let mut stream = tokio::net::TcpStream::connect(explorer.address).await.unwrap();
        let request = format!("GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        explorer.stop().await;
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        (head.to_lowercase(), body.to_owned())
    }

    fn genesis() -> Arc<Genesis> {
        Arc::new(Genesis::parse(include_bytes!("../../../genesis.json")).unwrap())
    }

    #[tokio::test]
    async fn the_page_may_connect_to_nobody_and_make_no_markup() {
        let (head, body) = get(Some(genesis()), "/verify").await;
        assert!(head.starts_with("http/1.1 200"), "{head}");
        let policies: Vec<_> =
            head.lines().filter(|line| line.starts_with("content-security-policy:")).collect();
        assert_eq!(policies.len(), 1, "{head}");
        for rule in [
            "default-src 'none'",
            "script-src 'self'",
            "connect-src 'none'",
            "base-uri 'none'",
            "require-trusted-types-for 'script'",
            "trusted-types 'none'",
        ] {
            assert!(policies[0].contains(rule), "{rule}: {policies:?}");
        }
        assert!(head.contains("referrer-policy: no-referrer") && head.contains("nosniff"), "{head}");
        assert!(!body.contains("style=") && !body.contains("https://"), "{body}");
        assert_eq!(body.matches("<h1").count(), 1);
        assert!(body.contains("id=\"embedded-genesis\"") && !body.contains("embedded-evidence"), "{body}");
    }

    #[tokio::test]
    async fn without_a_node_the_page_asks_for_a_genesis() {
        let (head, body) = get(None, "/verify").await;
        assert!(head.starts_with("http/1.1 200") && !body.contains("embedded-"), "{head} {body}");
        let (head, _) = get(None, "/genesis.json").await;
        assert!(head.starts_with("http/1.1 503"), "{head}");
    }

    #[tokio::test]
    async fn what_is_served_is_what_was_built() {
        for (path, kind, expected) in [
            ("/verify.js", "text/javascript", crate::verify_page::SCRIPT),
            ("/verify.css", "text/css", crate::verify_page::STYLE),
            ("/verify/offline.html", "text/html", crate::verify_page::OFFLINE),
            ("/verify/licences.txt", "text/plain", crate::verify_page::LICENCES),
        ] {
            let (head, body) = get(None, path).await;
            assert!(head.starts_with("http/1.1 200") && head.contains(kind), "{path}: {head}");
            assert!(body == expected, "{path}");
            // Never shown from here, where another policy holds than the file brings along.
            assert_eq!(head.contains("content-disposition: attachment"), path.ends_with(".html"), "{path}");
        }
        let (head, body) = get(Some(genesis()), "/genesis.json").await;
        assert!(head.contains("application/json") && body == genesis().to_json(), "{head}");
    }

    #[tokio::test]
    async fn evidence_of_what_is_no_id_is_not_looked_up() {
        for path in
            ["/message/nonsense/evidence.html", "/message/nonsense/check", "/message/%3Cscript%3E/check"]
        {
            let (head, body) = get(Some(genesis()), path).await;
            let foreign = body.replace("<script type=\"module\" src=\"/assets/site.", "");
            assert!(
                head.starts_with("http/1.1 400") && !foreign.contains("<script"),
                "{path}: {head} {body}"
            );
        }
    }
}
