//! Health: `/livez` says that this program runs, `/readyz` that it can answer, with a named check for each reason why
//! it might not.

use crate::reader::{ReadError, Reader};
use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use sealpost_api::NodeStatus;
use sealpost_ledger::block::Header;
use sealpost_ledger::genesis::Genesis;
use serde::Serialize;
use std::time::{SystemTime, UNIX_EPOCH};

/// A named check.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct Check {
    /// Its name.
    pub(crate) name: &'static str,
    /// Whether it holds.
    pub(crate) ok: bool,
    /// Why, for people.
    pub(crate) detail: String,
}

/// Whether this explorer can answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct Readiness {
    /// Whether every check holds.
    pub(crate) ready: bool,
    /// The checks.
    pub(crate) checks: Vec<Check>,
}

/// How a node is, as far as it could be asked and believed.
pub(crate) struct Examined {
    pub(crate) readiness: Readiness,
    /// Why the first check that failed did, if the node gave no answer or one that does not hold.
    pub(crate) error: Option<ReadError>,
}

/// Asks the node how it is, and checks what can be checked.
pub(crate) async fn examine(reader: &Reader) -> Examined {
    let mut checks = Vec::new();
    let found = asked(reader).await;
    let error = match found {
        Ok((genesis, status, head)) => {
            checks.push(passed("node", "the node answers"));
            checks.push(chain(&genesis, head.as_ref()));
            checks.push(synced(&status));
            checks.push(progress(&genesis, head.as_ref()));
            None
        }
        Err(error) => {
            checks.push(match &error {
                ReadError::Untrusted { .. } | ReadError::Evidence { .. } => Check {
                    name: "chain",
                    ok: false,
                    detail: format!("the node's head does not hold: {error}"),
                },
                ReadError::Busy => Check { name: "node", ok: false, detail: error.to_string() },
                // Where the node is concerns whoever runs this, and nobody else.
                _ => Check { name: "node", ok: false, detail: "the node does not answer".into() },
            });
            Some(error)
        }
    };
    let ready = checks.iter().all(|check| check.ok);
    Examined { readiness: Readiness { ready, checks }, error }
}

async fn asked(reader: &Reader) -> Result<(std::sync::Arc<Genesis>, NodeStatus, Option<Header>), ReadError> {
    let genesis = reader.genesis().await?;
    let status = reader.status().await?;
    let head = reader.last_block().await?;
    Ok((genesis, status, head.map(|sealed| sealed.header)))
}

fn passed(name: &'static str, detail: &str) -> Check {
    Check { name, ok: true, detail: detail.into() }
}

fn chain(genesis: &Genesis, head: Option<&Header>) -> Check {
    let chain = genesis.chain_id();
    match head {
        Some(head) => {
            let detail = format!("block {} holds against the genesis of chain {chain}", head.height);
            Check { name: "chain", ok: true, detail }
        }
        None => Check { name: "chain", ok: false, detail: "there is no final block yet".into() },
    }
}

fn synced(status: &NodeStatus) -> Check {
    let detail = format!("its last final block is {}, others claim {}", status.height, status.target);
    Check { name: "synced", ok: !status.syncing, detail }
}

/// Idle networks make a block at each heartbeat; three without one are too many.
fn progress(genesis: &Genesis, head: Option<&Header>) -> Check {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis());
    let timing = genesis.timing();
    let since = u128::from(head.map_or_else(|| genesis.time_ms(), |head| head.time_ms));
    let age = now.saturating_sub(since) / 1000;
    // The proposer's clock may go wrong by as much as the genesis allows.
    let allowed = u128::from(timing.heartbeat_ms).saturating_mul(3) + u128::from(timing.clock_drift_ms);
    let allowed = allowed / 1000;
    let detail = format!("the last block is {age} s old, {allowed} s are allowed");
    Check { name: "progress", ok: age <= allowed, detail }
}

/// `/readyz`.
pub(crate) async fn ready(State(reader): State<Reader>) -> Response {
    let readiness = examine(&reader).await.readiness;
    let status = if readiness.ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    (status, Json(readiness)).into_response()
}
