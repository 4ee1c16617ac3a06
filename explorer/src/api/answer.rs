//! How answers are given: the frame around what was asked for, which says against which genesis it was proven; how
//! long it may be kept; and nothing at all (304) to who has it already.

use axum::body::{Body, to_bytes};
use axum::extract::Request;
use axum::http::header::{ALLOW, CACHE_CONTROL, CONTENT_TYPE, ETAG, IF_NONE_MATCH, VARY};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use sealpost_ledger::genesis::Genesis;
use sealpost_ledger::hash::sha256;
use serde::Serialize;
use utoipa::ToSchema;

use super::problem::Problem;

/// What was asked for, and how far it can be relied on.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Answer<T> {
    /// The network: the hash of the genesis that all of `data` was checked against, but for what `observed` names.
    #[schema(pattern = "^[0-9a-f]{64}$")]
    chain: String,
    /// What was asked for.
    data: T,
    /// Fields of `data`, by their paths, that are the word of one node alone.
    observed: Vec<&'static str>,
}

/// A page of a list.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Page<T> {
    /// The entries.
    pub(super) items: Vec<T>,
    /// Give it as `after` for what follows; null if nothing follows now.
    pub(super) next: Option<String>,
    /// Whether it is proven that no entry is left out between the first and the last of this page.
    pub(super) complete: bool,
}

/// For how long an answer may be kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Keep {
    /// It is final and can't change.
    Forever,
    /// It is to be asked for again each time; who has it already is told so.
    Ask,
}

impl Keep {
    const fn header(self) -> (HeaderName, &'static str) {
        let value = match self {
            Keep::Forever => "public, max-age=31536000, immutable",
            Keep::Ask => "no-cache",
        };
        (CACHE_CONTROL, value)
    }
}

/// A proven answer.
pub(super) fn proven<T: Serialize>(genesis: &Genesis, keep: Keep, data: T) -> Result<Response, Problem> {
    answer(genesis, keep, data, Vec::new())
}

/// An answer in which some fields are the word of the node.
pub(super) fn answer<T: Serialize>(
    genesis: &Genesis,
    keep: Keep,
    data: T,
    observed: Vec<&'static str>,
) -> Result<Response, Problem> {
    let chain = genesis.chain_id().to_string();
    let json = serde_json::to_vec(&Answer { chain, data, observed }).map_err(failed)?;
    Ok(octets(keep, "application/json", json))
}

/// Bytes of any kind.
pub(super) fn octets(keep: Keep, content_type: &'static str, bytes: impl Into<Body>) -> Response {
    let kind = (CONTENT_TYPE, content_type);
    ([kind, keep.header()], bytes.into()).into_response()
}

/// An answer could not be written.
pub(super) fn failed(error: impl std::fmt::Display) -> Problem {
    tracing::error!(%error, "an answer could not be written");
    Problem::new(StatusCode::INTERNAL_SERVER_ERROR, "internal.bug", "the answer could not be written")
}

/// Longest answer, in bytes: an evidence file of the largest message stays below.
const MAX_ANSWER_BYTES: usize = 64 << 20;

/// Names each answer by its content, and sends nothing to who names it.
pub(super) async fn tag(request: Request, next: Next) -> Result<Response, Problem> {
    let known = request.headers().get(IF_NONE_MATCH).cloned();
    let may_be_known = matches!(*request.method(), Method::GET | Method::HEAD);
    let response = next.run(request).await;
    let streams =
        response.headers().get(CONTENT_TYPE).is_some_and(|kind| kind.as_bytes().starts_with(b"text/event"));
    if !may_be_known || streams || response.status() != StatusCode::OK {
        return Ok(response);
    }
    let (mut head, body) = response.into_parts();
    let bytes = to_bytes(body, MAX_ANSWER_BYTES).await.map_err(failed)?;
    let tag = tag_of(&head.headers, &bytes);
    let same = known.is_some_and(|known| names(&known, &tag));
    head.headers.insert(ETAG, HeaderValue::from_str(&tag).map_err(failed)?);
    if !same {
        return Ok(Response::from_parts(head, bytes.into()));
    }
    let kept = [ETAG, CACHE_CONTROL, VARY].map(|name| head.headers.remove(&name).map(|value| (name, value)));
    let mut response = StatusCode::NOT_MODIFIED.into_response();
    response.headers_mut().extend(kept.into_iter().flatten());
    Ok(response)
}

/// A tag: the same content of the same kind has the same one at every copy of this program. Weak, because it stays
/// the same when somebody on the way compresses the content.
fn tag_of(headers: &HeaderMap, bytes: &[u8]) -> String {
    let kind = headers.get(CONTENT_TYPE).map_or(&[][..], |kind| kind.as_bytes());
    let half: String = const_hex::encode(sha256(&[kind, &[0], bytes])).chars().take(32).collect();
    format!("W/\"{half}\"")
}

/// Whether a list of tags names one (RFC 9110, 13.1.2: weak comparison).
fn names(list: &HeaderValue, tag: &str) -> bool {
    let Ok(list) = list.to_str() else { return false };
    let strong = |one: &str| one.trim().trim_start_matches("W/").to_owned();
    list.split(',').any(|one| one.trim() == "*" || strong(one) == strong(tag))
}

/// Nothing is at that address.
pub(super) async fn unknown() -> Problem {
    Problem::new(StatusCode::NOT_FOUND, "explorer.route", "there is no such resource")
        .help("the reference of this API is at /api")
}

/// The API is for reading.
pub(super) async fn not_allowed() -> Response {
    let detail = "this API can be read, and nothing else";
    let problem = Problem::new(StatusCode::METHOD_NOT_ALLOWED, "explorer.method", detail);
    let mut response = problem.into_response();
    response.headers_mut().insert(ALLOW, HeaderValue::from_static("GET,HEAD"));
    response
}

/// In which form a list is wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(super) enum Form {
    /// JSON.
    Json,
    /// Comma-separated values (RFC 4180), for spreadsheets.
    Csv,
}

impl Form {
    /// What the request's `Accept` prefers, unless its `format` says it. What accepts neither gets JSON.
    pub(super) fn wanted(format: Option<Form>, headers: &HeaderMap) -> Self {
        format.unwrap_or_else(|| {
            let accept = headers.get_all("accept").iter().filter_map(|value| value.to_str().ok());
            let ranges: Vec<_> = accept.flat_map(|line| line.split(',')).filter_map(range).collect();
            if quality(&ranges, "text/csv") > quality(&ranges, "application/json") {
                Form::Csv
            } else {
                Form::Json
            }
        })
    }
}

/// A media range and its quality in thousandths (RFC 9110, 12.5.1).
fn range(text: &str) -> Option<(&str, u16)> {
    let mut parts = text.split(';').map(str::trim);
    let range = parts.next()?;
    let quality = parts.find_map(|part| part.strip_prefix("q=")).map_or(Some(1.0), |q| q.parse::<f32>().ok());
    let quality = quality.filter(|quality| (0.0..=1.0).contains(quality))?;
    // At most 1000, and not negative.
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
    Some((range, (quality * 1000.0) as u16))
}

/// The quality of a type: by the most specific range that covers it.
fn quality(ranges: &[(&str, u16)], wanted: &str) -> u16 {
    let group = wanted.split('/').next().unwrap_or_default();
    let whole = |range: &str| range.eq_ignore_ascii_case(wanted);
    let part = |range: &str| range.strip_suffix("/*").is_some_and(|part| part.eq_ignore_ascii_case(group));
    let any = |range: &str| range == "*/*";
    let by =
        |covers: &dyn Fn(&str) -> bool| ranges.iter().find(|(range, _)| covers(range)).map(|found| found.1);
    by(&whole).or_else(|| by(&part)).or_else(|| by(&any)).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn form(accept: &'static str) -> Form {
        let headers = HeaderMap::from_iter([(axum::http::header::ACCEPT, HeaderValue::from_static(accept))]);
        Form::wanted(None, &headers)
    }

    #[test]
    fn who_prefers_csv_gets_csv_and_everybody_else_json() {
        for accept in ["text/csv", "text/csv;q=0.9, application/json;q=0.8", "TEXT/CSV, */*;q=0.1", "text/*"]
        {
            assert_eq!(form(accept), Form::Csv, "{accept}");
        }
        for accept in [
            "",
            "*/*",
            "application/json",
            "application/json, text/csv",
            "text/csv;q=0",
            "text/csv;q=nan",
            "x",
        ] {
            assert_eq!(form(accept), Form::Json, "{accept}");
        }
        assert_eq!(Form::wanted(Some(Form::Csv), &HeaderMap::new()), Form::Csv);
    }

    #[test]
    fn a_tag_is_found_in_a_list_whether_it_is_weak_or_not() {
        let tag = "W/\"5d0c\"";
        for list in ["\"5d0c\"", "W/\"5d0c\"", "\"a\", \"5d0c\"", "*"] {
            assert!(names(&HeaderValue::from_static(list), tag), "{list}");
        }
        for list in ["5d0c", "\"5d0\"", "", "\"a\",W/\"b\""] {
            assert!(!names(&HeaderValue::from_static(list), tag), "{list}");
        }
    }
}
