//! `export`: letters as Internet messages, for reading in other programs. What is written is plain text: the
//! files are the owner's alone, and nothing is overwritten.

use super::{Session, runtime};
use crate::envelope::Data;
use crate::failure;
use crate::letters::{Links, Place};
use crate::mail::{Mailer, Mbox};
use crate::wallet::{Wallet, WalletError};
use clap::{Args, Subcommand};
use sealpost_ledger::hash::TransactionId;
use sealpost_terminal::{Failure, NewFile, counted, file_exists, not_new, write_new_secret_file};
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};

#[derive(Debug, Clone, Subcommand)]
pub(super) enum ExportCommand {
    /// Write one conversation
    Thread {
        /// A letter of the conversation: its id, or how it begins
        id: String,
        #[command(flatten)]
        target: TargetArgs,
        /// Ask no node for what came since
        #[arg(long)]
        offline: bool,
    },
    /// Write every letter that is kept here
    All {
        #[command(flatten)]
        target: TargetArgs,
        /// Ask no node for what came since
        #[arg(long)]
        offline: bool,
    },
}

#[derive(Debug, Clone, Args)]
#[group(required = true, multiple = false)]
pub(super) struct TargetArgs {
    /// One file with all messages (mboxrd), decrypted
    #[arg(long, value_name = "FILE")]
    mbox: Option<PathBuf>,
    /// Folder for one file per message, decrypted
    #[arg(long, value_name = "DIR")]
    eml: Option<PathBuf>,
}

#[derive(serde::Serialize)]
struct Exported<'a> {
    letters: usize,
    /// Files that came in parts: they are not in it.
    files_left_out: usize,
    #[serde(rename = "to")]
    target: &'a Path,
}

pub(super) fn export(command: &ExportCommand, session: &Session<'_>) -> Result<(), Failure> {
    let wallet = session.wallet()?;
    let (ExportCommand::Thread { target, offline, .. } | ExportCommand::All { target, offline }) = command;
    runtime()?.block_on(session.catch_up_if_possible(&wallet, *offline))?;
    let (links, unreadable) = wallet.links().map_err(failure)?;
    session.warn_unreadable(unreadable);
    let letters = match command {
        ExportCommand::All { .. } => links.in_order(),
        ExportCommand::Thread { id, .. } => {
            let thread = links.thread(&wallet.resolve_among(&links, id).map_err(failure)?);
            thread.ok_or_else(|| failure(WalletError::NotKept { text: id.clone() }))?.letters
        }
    };
    let (written, path) = match (&target.mbox, &target.eml) {
        (Some(path), _) => (mbox(&wallet, &links, &letters, path)?, path),
        (None, Some(folder)) => (eml(&wallet, &links, &letters, folder)?, folder),
        (None, None) => return Err(Failure::usage("--mbox FILE or --eml DIR says where to")),
    };
    let Written { letters: written, files_left_out } = written;
    let count = counted(u64::try_from(written).unwrap_or(u64::MAX), "letter");
    session.terminal.say(format_args!("{count} written to {}", path.display()));
    if files_left_out > 0 {
        let files = counted(u64::try_from(files_left_out).unwrap_or(u64::MAX), "file");
        session.terminal.warn(format_args!(
            "{files} too long for one message left out: `sealpost read ID -o DIR` fetches and saves them"
        ));
    }
    session.terminal.note("These are plain copies: anybody who gets them can read them, and they prove nothing; `sealpost evidence create` does.");
    session.terminal.emit("sealpost/export/1", &Exported { letters: written, files_left_out, target: path });
    Ok(())
}

/// What was written.
#[derive(Default)]
struct Written {
    letters: usize,
    files_left_out: usize,
}

/// Hands over one message after another, with its id and place.
fn each(
    wallet: &Wallet,
    links: &Links,
    letters: &[TransactionId],
    mut write: impl FnMut(&TransactionId, Place, &[u8]) -> Result<(), Failure>,
) -> Result<Written, Failure> {
    let contacts = wallet.profile().contacts().map_err(failure)?;
    let name = |address: &_| contacts.name_of(address).map(str::to_owned);
    let mailer = Mailer { genesis: wallet.genesis(), name: &name };
    let mut written = Written::default();
    for id in letters {
        // One that was forgotten meanwhile is left out.
        let Some(kept) = wallet.letter(id).map_err(failure)? else { continue };
        write(id, kept.place, &mailer.message(&kept, &links.ancestors(id)))?;
        written.letters = written.letters.saturating_add(1);
        let in_parts = kept.letter.attachments.iter().filter(|file| matches!(file.data, Data::Parts(_)));
        written.files_left_out = written.files_left_out.saturating_add(in_parts.count());
    }
    Ok(written)
}

/// A file without a name until it is whole; it may be larger than memory.
fn mbox(wallet: &Wallet, links: &Links, letters: &[TransactionId], path: &Path) -> Result<Written, Failure> {
    let failed = |error: std::io::Error| not_new(path, &error);
    // A link that leads nowhere has the name as well.
    if path.symlink_metadata().is_ok() {
        return Err(file_exists(path));
    }
    let mut mailbox = Mbox::new(BufWriter::new(NewFile::beside(path).map_err(failed)?));
    let written = each(wallet, links, letters, |_, place, message| {
        mailbox.add(message, place.time_ms()).map_err(failed)
    })?;
    let mut out = mailbox.into_inner();
    out.flush().map_err(failed)?;
    let file = out.into_inner().map_err(|error| failed(error.into_error()))?;
    file.place(path).map_err(failed)?;
    Ok(written)
}

fn eml(wallet: &Wallet, links: &Links, letters: &[TransactionId], folder: &Path) -> Result<Written, Failure> {
    sealpost_terminal::create_private_folder(folder)?;
    each(wallet, links, letters, |id, place, message| {
        write_new_secret_file(&folder.join(file_name(id, place)), message)
    })
}

/// A name that is sorted as the ledger is, also within a second.
fn file_name(id: &TransactionId, place: Place) -> String {
    let time = i64::try_from(place.time_ms()).ok();
    let time = time.and_then(|ms| jiff::Timestamp::from_millisecond(ms).ok()).unwrap_or_default();
    let time = time.strftime("%Y-%m-%dT%H%M%SZ");
    match place {
        Place::Final { height, index, .. } => format!("{time}-{:08}-{index:04}-{id}.eml", height.get()),
        Place::Signed { .. } => format!("{time}-signed-{id}.eml"),
    }
}
