//! `outbox`: what was sent, and what still has to be.

use super::{Session, runtime};
use crate::failure;
use crate::light::LightError;
use crate::outbox::OutboxEntry;
use sealpost_ledger::height::BlockHeight;
use sealpost_terminal::{Failure, clock, rfc3339, short, short_address};

#[derive(serde::Serialize)]
pub(super) struct Entry {
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
pub(super) struct Listed {
    pub(super) entries: Vec<Entry>,
}

pub(super) fn entry(entry: OutboxEntry, refused: Option<LightError>) -> Entry {
    let status = match (&refused, entry.height) {
        (Some(_), _) => "refused",
        (None, Some(_)) => "final",
        (None, None) => "accepted",
    };
    Entry {
        id: entry.id.to_string(),
        kind: entry.kind,
        to: entry.to,
        signed: rfc3339(entry.signed_ms),
        status,
        height: entry.height,
        refused: refused.map(|error| error.to_string()),
    }
}

pub(super) fn outbox(session: &Session<'_>) -> Result<(), Failure> {
    let wallet = session.wallet()?;
    let entries = runtime()?.block_on(async {
        let light = session.light(wallet.profile()).await?;
        wallet.flush_outbox(&light).await.map_err(failure)
    })?;
    let mut listed = Listed { entries: Vec::new() };
    for (kept, refused) in entries {
        let time = clock(kept.signed_ms);
        let entry = entry(kept, refused);
        let to: Vec<_> = entry.to.iter().map(short_address).collect();
        let status = || entry.status.to_owned();
        let place = entry.height.map_or_else(status, |height| format!("final in block {height}"));
        let id = short(&entry.id);
        session.terminal.say(format_args!("{id}  {time}  {:<10} {place}  {}", entry.kind, to.join(", ")));
        if let Some(error) = &entry.refused {
            session.terminal.say(format_args!("    {error}"));
        }
        listed.entries.push(entry);
    }
    if listed.entries.is_empty() {
        session.terminal.note("nothing was sent from here yet");
    }
    session.terminal.emit("sealpost/outbox/1", &listed);
    Ok(())
}
