//! `sealpost-explorer check`: whether an explorer could answer, with the checks of `/readyz`.

use crate::health::{Check, Readiness, examine};
use crate::reader::{ReadError, Reader};
use sealpost_ledger::genesis::Genesis;
use sealpost_terminal::{Exit, Failure, Terminal};
use std::sync::Arc;

pub(super) async fn check(
    node: &str,
    genesis: Option<Arc<Genesis>>,
    terminal: &Terminal,
) -> Result<(), Failure> {
    let examined = examine(&Reader::new(node, genesis)?).await;
    let Readiness { ready, checks } = &examined.readiness;
    for Check { name, ok, detail } in checks {
        let sign = if *ok { "ok  " } else { "FAIL" };
        terminal.say(format_args!("{sign}  {name:<9} {detail}"));
    }
    terminal.emit("sealpost/explorer-check/1", &examined.readiness);
    match examined.error {
        Some(error @ (ReadError::Untrusted { .. } | ReadError::Evidence { .. })) => {
            Err(Failure::untrusted("node.untrusted", error))
        }
        Some(error @ ReadError::Unreachable { .. }) => Err(Failure::unavailable("node.unreachable", error)),
        Some(error @ ReadError::Busy) => Err(Failure::unavailable("explorer.busy", error)),
        Some(ReadError::NotFound(error) | ReadError::StateDropped(error) | ReadError::Malformed(error)) => {
            Err(Failure::unavailable(error.code, error.message))
        }
        None if *ready => Ok(()),
        // What is wrong was said above.
        None => Err(Failure::silent(Exit::Unavailable)),
    }
}
