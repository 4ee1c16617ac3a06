//! `sync`: opens and keeps what came, and places what was sent. Nobody is told, and nothing counts as read.

use super::{Session, runtime};
use clap::Args;
use sealpost_terminal::{Exit, Failure, counted};

#[derive(Debug, Args)]
pub(super) struct SyncArgs {
    /// Look at everything again, not only at what came since the last time
    #[arg(long)]
    all: bool,
}

#[derive(serde::Serialize)]
struct Synced {
    kept: usize,
    gone: usize,
    unreadable: usize,
}

pub(super) fn sync(args: &SyncArgs, session: &Session<'_>) -> Result<(), Failure> {
    if !session.keeps() {
        return Err(Failure::new(Exit::Usage, "archive.off", "the archive is off, so nothing would be kept")
            .help("turn it on with --archive on, or in the settings: archive = \"on\""));
    }
    let wallet = session.wallet()?;
    let from = if args.all { None } else { wallet.archive().caught_up() };
    let done = runtime()?.block_on(session.catch_up(&wallet, from))?;
    let letters = counted(u64::try_from(done.kept).unwrap_or(u64::MAX), "letter");
    session.terminal.say(format_args!("{letters} kept"));
    if done.gone > 0 {
        session.terminal.note(format_args!("{} more can't be opened: their keys are gone", done.gone));
    }
    if done.unreadable > 0 {
        session.terminal.warn(format_args!(
            "{} more break the envelope's rules, or the node has no body of them any more; `read` says which",
            done.unreadable
        ));
    }
    let (kept, gone, unreadable) = (done.kept, done.gone, done.unreadable);
    session.terminal.emit("sealpost/sync/1", &Synced { kept, gone, unreadable });
    Ok(())
}
