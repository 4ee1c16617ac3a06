//! `outbox`: what was sent, and what still has to be.

use super::progress::PostageWatch;
use super::send::send_parts;
use super::signals::unless_stopped;
use super::{Session, draft, runtime, status};
use crate::drafts::{DraftError, Listed, Listing};
use crate::failure;
use crate::light::{Light, LightError};
use crate::outbox::OutboxEntry;
use crate::wallet::{Flushed, Wallet, WalletError};
use clap::Args;
use sealpost_api::{ApiError, Category, WaitFor};
use sealpost_ledger::height::BlockHeight;
use sealpost_terminal::{Exit, Failure, clock, rfc3339};

#[derive(Debug, Clone, Args)]
pub(super) struct OutboxArgs {
    /// One message, and how it stands: its id, or how it begins
    id: Option<String>,
}

#[derive(serde::Serialize)]
pub(super) struct Entry {
    id: String,
    kind: String,
    to: Vec<String>,
    signed: String,
    status: &'static str,
    height: Option<BlockHeight>,
    /// Last height whose block may contain it, if none does yet.
    #[serde(skip_serializing_if = "Option::is_none")]
    expiry: Option<BlockHeight>,
    #[serde(skip_serializing_if = "Option::is_none")]
    refused: Option<String>,
    /// Why the node does not take it now, though nothing is wrong with it.
    #[serde(skip_serializing_if = "Option::is_none")]
    waiting: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    parts: Option<u32>,
    /// What is wrong with it, if it does not say any more whom it is to.
    #[serde(skip_serializing_if = "Option::is_none")]
    damaged: Option<String>,
}

#[derive(serde::Serialize)]
pub(super) struct Sent {
    pub(super) entries: Vec<Entry>,
    pub(super) drafts: Vec<draft::Entry>,
    /// What is wrong with those that can't be read.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) damaged: Vec<String>,
}

/// An entry of the outbox, with what the node said of it if it did not take it.
pub(super) fn entry(
    wallet: &Wallet,
    entry: &OutboxEntry,
    not_taken: Option<&LightError>,
) -> Result<Entry, Failure> {
    let reason = not_taken.map(ToString::to_string);
    let (status, refused, waiting) = match (not_taken, entry.height) {
        (Some(error), _) if is_busy(error) => ("waiting", None, reason),
        (Some(_), _) => ("refused", reason, None),
        (None, Some(_)) => ("final", None, None),
        (None, None) => ("accepted", None, None),
    };
    let (to, damaged) = match wallet.sent_to(entry) {
        Err(WalletError::Outbox(error)) if error.is_of_one_entry() => (Vec::new(), Some(error.to_string())),
        to => (to.map_err(failure)?, None),
    };
    Ok(Entry {
        id: entry.id.to_string(),
        kind: entry.kind.clone(),
        to,
        signed: rfc3339(entry.signed_ms),
        status,
        height: entry.height,
        expiry: entry.expiry().filter(|_| entry.height.is_none()),
        refused,
        waiting,
        parts: entry.parcel.map(|parcel| parcel.parts).filter(|parts| *parts > 0),
        damaged,
    })
}

/// Whether a node had no room or failed by itself, so that this says nothing of what was handed in.
const fn is_busy(error: &LightError) -> bool {
    matches!(error, LightError::Node(ApiError { category: Category::Busy | Category::Internal, .. }))
}

pub(super) fn outbox(args: &OutboxArgs, session: &Session<'_>) -> Result<(), Failure> {
    if let Some(id) = &args.id {
        return status::show(id, false, session);
    }
    let wallet = session.wallet()?;
    let work = async {
        let light = session.light(wallet.profile()).await?;
        // What is signed goes first: it becomes void with time, and large drafts take long.
        let flushed = wallet.flush_outbox(&light).await.map_err(failure)?;
        let went_on = go_on(session, &wallet, &light).await?;
        let flushed = match went_on.left {
            0 => flushed,
            _ => wallet.flush_outbox(&light).await.map_err(failure)?,
        };
        Ok::<_, Failure>((flushed, went_on))
    };
    let stopped = "stopped before all was handed in; nothing is lost, and `sealpost outbox` goes on";
    let (flushed, went_on) = runtime()?.block_on(unless_stopped(work, stopped))?;
    let (Flushed { entries, damaged }, WentOn { drafts, damaged: unread, .. }) = (flushed, went_on);
    let mut unread: Vec<_> =
        damaged.into_iter().map(failure).chain(unread.into_iter().map(failure)).collect();
    let damaged = unread.iter().map(|failure| failure.message.clone()).collect();
    let mut listed = Sent { entries: Vec::new(), drafts, damaged };
    for (kept, not_taken) in entries {
        let entry = entry(&wallet, &kept, not_taken.as_ref())?;
        let to: Vec<_> = entry.to.iter().map(|to| session.terminal.address(to)).collect();
        let ahead = entry.parts.map(|parts| format!("  after {parts} parts")).unwrap_or_default();
        let status = entry.status;
        let place = match (entry.height, entry.expiry) {
            (Some(height), _) => format!("final in block {height}"),
            (None, Some(expiry)) => format!("{status}, void if no block up to {expiry} contains it"),
            (None, None) => status.to_owned(),
        };
        let (id, time) = (session.terminal.id(kept.id), clock(kept.signed_ms));
        session.terminal.say(format_args!(
            "{id}  {time}  {:<10} {place}{ahead}  {}",
            entry.kind,
            to.join(", ")
        ));
        if let Some(error) = entry.refused.as_ref().or(entry.waiting.as_ref()) {
            session.terminal.say(format_args!("    {error}"));
        }
        if let Some(damage) = &entry.damaged {
            session.terminal.warn(damage);
        }
        listed.entries.push(entry);
    }
    for entry in &listed.drafts {
        draft::print(session, entry);
    }
    if let Some(first) = listed.drafts.first() {
        draft::hint(session, first);
    }
    if listed.entries.is_empty() && listed.drafts.is_empty() && unread.is_empty() {
        session.terminal.note("nothing was sent from here yet");
    }
    session.terminal.emit("sealpost/outbox/1", &listed);
    // What was well was sent, and is listed.
    listed.damaged.iter().skip(1).for_each(|damage| session.terminal.warn(damage));
    if unread.is_empty() { Ok(()) } else { Err(unread.swap_remove(0)) }
}

/// What became of the drafts.
struct WentOn {
    /// How many are in the outbox now.
    left: usize,
    /// Those that are still here.
    drafts: Vec<draft::Entry>,
    /// What is wrong with those that can't be read.
    damaged: Vec<DraftError>,
}

/// Goes on with what has begun to leave, and tells what is still here then. A draft of which nothing has left
/// stays one until it is sent on purpose.
async fn go_on(session: &Session<'_>, wallet: &Wallet, light: &Light) -> Result<WentOn, Failure> {
    let (mut left, mut still) = (0_usize, Vec::new());
    let Listing { drafts, damaged } = wallet.drafts().map_err(failure)?;
    for listed in drafts {
        let mut entry = draft::entry(wallet, &listed);
        if listed.goes_on() {
            match send(session, wallet, light, &listed).await {
                Ok(()) => {
                    left = left.saturating_add(1);
                    continue;
                }
                Err(failure) if ends_all(failure.exit) => return Err(failure),
                Err(failure) => entry.waiting = Some(failure.message),
            }
        }
        still.push(entry);
    }
    Ok(WentOn { left, drafts: still, damaged })
}

/// Whether what ended the sending of one draft is no reason to go on with the next: somebody stopped it, a node lies, or
/// the wallet can't be read. That a node is away or does not take it leaves the others as they are.
const fn ends_all(exit: Exit) -> bool {
    match exit {
        Exit::No | Exit::Usage | Exit::Refused | Exit::Unavailable => false,
        Exit::Locked | Exit::Untrusted | Exit::Bug | Exit::Interrupted | Exit::Terminated => true,
    }
}

async fn send(session: &Session<'_>, wallet: &Wallet, light: &Light, listed: &Listed) -> Result<(), Failure> {
    let kept = wallet.take_draft(&listed.id.to_string()).map_err(failure)?;
    let letter = send_parts(session, wallet, light, &kept).await?;
    let watch = PostageWatch::new(session.terminal);
    let progress = |tried, work| watch.hear(tried, work);
    let sent = wallet.send_letter(light, kept, letter, WaitFor::Final, &progress).await;
    sent.map(|_| ()).map_err(failure)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whoever_stops_one_draft_stops_all_and_a_node_that_is_away_does_not() {
        for exit in [Exit::Interrupted, Exit::Terminated, Exit::Untrusted] {
            assert!(ends_all(exit), "{exit:?}");
        }
        for exit in [Exit::Unavailable, Exit::Refused, Exit::No, Exit::Usage] {
            assert!(!ends_all(exit), "{exit:?}");
        }
    }
}
