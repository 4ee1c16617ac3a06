//! `forget` and `mark`: what this machine remembers of messages.

use super::{Session, runtime};
use crate::archive::Mark;
use crate::failure;
use clap::{Args, Subcommand};
use sealpost_terminal::{Failure, counted};

#[derive(Debug, Args)]
#[command(
    after_help = "Forgetting removes what this wallet keeps: the letter from the archive, and of one that you \
sent its text from the outbox, so that you can't disclose it in evidence any more. It is not kept again. Of a sealed reply \
that answered for a message stays, encrypted, that it did.

It does not reach other copies: the recipients', backups of this machine, and what a disk may keep of a file that was \
deleted. The message stays on the ledger, and opens again as long as its key is here: keys are destroyed when they \
have been replaced for a while, not by this command."
)]
pub(super) struct ForgetArgs {
    /// The letters: their ids, or how they begin
    #[arg(required_unless_present = "all", value_name = "ID")]
    ids: Vec<String>,
    /// Forget every letter, and change the archive's key so that copies of the files are useless
    #[arg(long, conflicts_with = "ids")]
    all: bool,
}

#[derive(Debug, Clone, Subcommand)]
pub(super) enum MarkCommand {
    /// Count messages as read
    Read(MarkArgs),
    /// Count messages as unread
    Unread(MarkArgs),
}

#[derive(Debug, Clone, Args)]
pub(super) struct MarkArgs {
    /// The messages: their ids, or how they begin
    #[arg(required = true, value_name = "ID")]
    ids: Vec<String>,
}

#[derive(serde::Serialize)]
struct Forgotten {
    forgotten: Vec<String>,
    unknown: Vec<String>,
}

#[derive(serde::Serialize)]
struct Marked {
    #[serde(rename = "as")]
    mark: &'static str,
    messages: Vec<String>,
}

pub(super) fn forget(args: &ForgetArgs, session: &Session<'_>) -> Result<(), Failure> {
    let mut wallet = session.wallet()?;
    let terminal = session.terminal;
    let ids = match args.all {
        true => wallet.links().map_err(failure)?.0.in_order(),
        false => {
            let ids = args.ids.iter().map(|text| wallet.resolve_kept(text).map_err(failure));
            ids.collect::<Result<Vec<_>, _>>()?
        }
    };
    let what = counted(u64::try_from(ids.len()).unwrap_or(u64::MAX), "letter");
    if !terminal.confirm(&format!("Forget {what}? Nobody can bring them back from here."))? {
        return Err(
            Failure::locked("confirm.no", "nothing was forgotten").help("--yes answers without asking")
        );
    }
    let mut answer = Forgotten { forgotten: Vec::new(), unknown: Vec::new() };
    for id in ids {
        match wallet.forget(&id).map_err(failure)? {
            true => answer.forgotten.push(id.to_string()),
            false => answer.unknown.push(id.to_string()),
        }
    }
    if args.all {
        wallet.renew_archive().map_err(failure)?;
    }
    for id in &answer.forgotten {
        terminal.say(format_args!("forgotten  {}", terminal.id(id)));
    }
    for id in &answer.unknown {
        terminal.note(format_args!("nothing was kept of {}", terminal.id(id)));
    }
    terminal.emit("sealpost/forget/1", &answer);
    Ok(())
}

pub(super) fn mark(command: &MarkCommand, session: &Session<'_>) -> Result<(), Failure> {
    let (args, mark) = match command {
        MarkCommand::Read(args) => (args, "read"),
        MarkCommand::Unread(args) => (args, "unread"),
    };
    let wallet = session.wallet()?;
    let ids = runtime()?.block_on(async {
        let mut ids = Vec::with_capacity(args.ids.len());
        for text in &args.ids {
            ids.push(session.resolve(&wallet, text).await?);
        }
        Ok::<_, Failure>(ids)
    })?;
    for id in &ids {
        let marked = match command {
            MarkCommand::Read(_) => wallet.archive().mark(id, Mark::Read),
            MarkCommand::Unread(_) => wallet.archive().unmark(id),
        };
        marked.map_err(failure)?;
        session.terminal.say(format_args!("{mark}  {}", session.terminal.id(id)));
    }
    let messages = ids.iter().map(ToString::to_string).collect();
    session.terminal.emit("sealpost/mark/1", &Marked { mark, messages });
    Ok(())
}
