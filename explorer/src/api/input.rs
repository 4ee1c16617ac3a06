//! What requests are read with. Everything malformed becomes a problem with a code; a parameter that does not exist
//! is refused, so that nobody believes a misspelt filter to be in force.

use super::problem::Problem;
use axum::extract::{FromRequestParts, Path, Query};
use axum::http::StatusCode;
use axum::http::request::Parts;
use sealpost_api::{BlockId, DEFAULT_PAGE, MAX_PAGE};
use sealpost_ledger::hash::TransactionId;
use sealpost_ledger::height::BlockHeight;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use utoipa::IntoParams;

/// The part of the address that names the resource.
pub(super) struct Named(pub(super) String);

impl<S: Send + Sync> FromRequestParts<S> for Named {
    type Rejection = Problem;
    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        match Path::from_request_parts(parts, state).await {
            Ok(Path(name)) => Ok(Self(name)),
            Err(error) => Err(Problem::input("input.parameter", error.body_text())),
        }
    }
}

/// The parameters after the question mark.
pub(super) struct Params<T>(pub(super) T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequestParts<S> for Params<T> {
    type Rejection = Problem;
    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        match Query::from_request_parts(parts, state).await {
            Ok(Query(params)) => Ok(Self(params)),
            Err(error) => Err(Problem::input("input.parameter", error.body_text())),
        }
    }
}

/// No parameters.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Nothing {}

/// Which part of a list.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(super) struct Paging {
    /// What follows this place: the `next` of the page before.
    #[param(max_length = 64)]
    pub(super) after: Option<String>,
    /// Entries of the page.
    #[param(minimum = 1, maximum = 100, default = 25)]
    pub(super) limit: Option<u32>,
}

/// The size of a page.
pub(super) fn page_size(limit: Option<u32>) -> Result<u32, Problem> {
    let limit = limit.unwrap_or(DEFAULT_PAGE);
    if (1..=MAX_PAGE).contains(&limit) {
        return Ok(limit);
    }
    Err(Problem::input("input.limit", format!("limit: {limit}, allowed is 1 to {MAX_PAGE}")))
}

/// A text of a request, short enough to be shown to whoever sent it.
fn shown(text: &str) -> String {
    text.chars().take(80).collect()
}

/// That a cursor is none.
pub(super) fn no_cursor(text: &str) -> Problem {
    let detail = format!("after: {:?} is not a cursor; give the `next` of the page before", shown(text));
    Problem::input("input.cursor", detail)
}

/// A number as it is written here: digits alone, no sign.
fn number<T: std::str::FromStr>(text: &str) -> Option<T> {
    let plain = (1..=20).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_digit());
    if plain { text.parse().ok() } else { None }
}

/// A cursor that is one number.
pub(super) fn number_cursor<T: std::str::FromStr>(after: Option<&str>) -> Result<Option<T>, Problem> {
    after.map(|text| number(text).ok_or_else(|| no_cursor(text))).transpose()
}

/// A place in the ledger: cursor of lists, and id of events.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Cursor {
    pub(super) height: BlockHeight,
    pub(super) index: u32,
}

impl Cursor {
    /// Behind every transaction of a block.
    pub(super) const fn end_of(height: BlockHeight) -> Self {
        Self { height, index: u32::MAX }
    }
    pub(super) fn parse(text: &str) -> Result<Self, Problem> {
        let place = text.split_once('-').and_then(|(height, index)| {
            Some(Self { height: BlockHeight::new(number(height)?), index: number(index)? })
        });
        place.ok_or_else(|| no_cursor(text))
    }
}

impl std::fmt::Display for Cursor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}-{}", self.height, self.index)
    }
}

/// A block by height or hash.
pub(super) fn block(Named(text): &Named) -> Result<BlockId, Problem> {
    let height = number(text).map(|height| BlockId::Height(BlockHeight::new(height)));
    height.or_else(|| text.parse().ok().map(BlockId::Hash)).ok_or_else(|| {
        Problem::input(
            "input.id",
            format!("{:?} is neither a height nor a block's hash of 64 hexadecimal digits", shown(text)),
        )
    })
}

/// A transaction by its id.
pub(super) fn transaction(Named(text): &Named) -> Result<TransactionId, Problem> {
    text.parse().map_err(|_| {
        let detail = format!("{:?} is not a transaction's id of 64 hexadecimal digits", shown(text));
        Problem::input("input.id", detail).help("give the whole id: nothing is found by its beginning")
    })
}

/// That a transaction is another kind of thing than what was asked for.
pub(super) fn not_a_message(id: &TransactionId) -> Problem {
    Problem::new(StatusCode::NOT_FOUND, "tx.not_a_message", format!("transaction {id} is no message"))
}
