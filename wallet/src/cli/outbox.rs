//! `outbox`: what was sent, and what still has to be.

use super::{Session, runtime};
use crate::failure;
use sealpost_ledger::height::BlockHeight;
use sealpost_terminal::{Failure, clock, rfc3339};

#[derive(serde::Serialize)]
struct Entry {
    id: String,
    kind: String,
    to: Vec<String>,
    signed: String,
    status: &'static str,
    height: Option<BlockHeight>,
    #[serde(skip_serializing_if = "Option::is_none")]
    refused: Option<String>,
}

#[derive(serde::Serialize)]
struct Listed {
    entries: Vec<Entry>,
}

pub(super) fn outbox(session: &Session<'_>) -> Result<(), Failure> {
    let wallet = session.wallet()?;
    let entries = runtime()?.block_on(async {
        let light = session.light(wallet.profile()).await?;
        wallet.flush_outbox(&light).await.map_err(failure)
    })?;
    let mut listed = Listed { entries: Vec::new() };
    for (entry, refused) in entries {
        let status = match (&refused, entry.height) {
            (Some(_), _) => "refused",
            (None, Some(_)) => "final",
            (None, None) => "accepted",
        };
        let to: Vec<_> = entry.to.iter().map(|to| session.terminal.address(to)).collect();
        let place = entry.height.map_or(status.to_owned(), |height| format!("final in block {height}"));
        let (id, time) = (session.terminal.id(entry.id), clock(entry.signed_ms));
        session.terminal.say(format_args!("{id}  {time}  {:<10} {place}  {}", entry.kind, to.join(", ")));
        if let Some(error) = &refused {
            session.terminal.say(format_args!("    {error}"));
        }
        listed.entries.push(Entry {
            id: entry.id.to_string(),
            kind: entry.kind,
            to: entry.to,
            signed: rfc3339(entry.signed_ms),
            status,
            height: entry.height,
            refused: refused.map(|error| error.to_string()),
        });
    }
    if listed.entries.is_empty() {
        session.terminal.note("nothing was sent from here yet");
    }
    session.terminal.emit("sealpost/outbox/1", &listed);
    Ok(())
}
