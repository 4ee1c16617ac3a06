//! `draft`: what was written and has not been sent. None of it needs a node.

use super::Session;
use crate::drafts::{Listed, Listing, Typed};
use crate::failure;
use crate::wallet::Wallet;
use clap::Subcommand;
use sealpost_terminal::{
    Failure, bytes, clock, counted, printable, printable_lines, rfc3339, short, short_address,
};

#[derive(Debug, Subcommand)]
pub(super) enum DraftCommand {
    /// List what was written and not sent
    List,
    /// Show what was written
    Show {
        /// The draft: its id, or how it begins
        id: String,
    },
    /// Throw a draft away; what has gone ahead of it stays on the ledger, and nothing names it
    Discard {
        /// The draft: its id, or how it begins
        id: String,
    },
}

/// A draft in a list.
#[derive(serde::Serialize)]
pub(super) struct Entry {
    id: String,
    to: Vec<String>,
    written: String,
    subject: String,
    bytes: u64,
    files: usize,
    parts: u32,
    signed: u32,
    /// Files that are not taken in yet: sending reads them where they were.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    needs: Vec<String>,
    /// It came with a backup, and does not go on by itself.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    restored: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) waiting: Option<String>,
}

#[derive(serde::Serialize)]
struct Drafts {
    drafts: Vec<Entry>,
    /// What is wrong with those that can't be read.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    damaged: Vec<String>,
}

#[derive(serde::Serialize)]
struct Named {
    name: String,
    bytes: u64,
}

#[derive(serde::Serialize)]
struct Shown {
    id: String,
    to: Vec<String>,
    written: String,
    subject: String,
    text: String,
    reply_to: Option<String>,
    files: Vec<Named>,
}

#[derive(serde::Serialize)]
struct Discarded {
    id: String,
}

pub(super) fn draft(command: &DraftCommand, session: &Session<'_>) -> Result<(), Failure> {
    let wallet = session.wallet()?;
    match command {
        DraftCommand::List => list(&wallet, session),
        DraftCommand::Show { id } => show(&wallet, session, id),
        DraftCommand::Discard { id } => {
            let id = wallet.discard(id).map_err(failure)?.to_string();
            session.terminal.say(format_args!("Draft {id} is thrown away"));
            session.terminal.emit("sealpost/draft-discard/1", &Discarded { id });
            Ok(())
        }
    }
}

fn list(wallet: &Wallet, session: &Session<'_>) -> Result<(), Failure> {
    let Listing { drafts: listed, damaged: unread } = wallet.drafts().map_err(failure)?;
    let drafts: Vec<_> = listed.iter().map(|draft| entry(wallet, draft)).collect();
    drafts.iter().for_each(|entry| print(session, entry));
    match drafts.as_slice() {
        [] if !unread.is_empty() => {}
        [] => session.terminal.note("there are no drafts"),
        [first, ..] => hint(session, first),
    }
    let damaged: Vec<_> = unread.iter().map(ToString::to_string).collect();
    damaged.iter().skip(1).for_each(|damage| session.terminal.warn(damage));
    session.terminal.emit("sealpost/draft-list/1", &Drafts { drafts, damaged });
    // What is well was listed.
    unread.into_iter().next().map_or(Ok(()), |first| Err(failure(first)))
}

fn show(wallet: &Wallet, session: &Session<'_>, id: &str) -> Result<(), Failure> {
    let draft = wallet.take_draft(id).map_err(failure)?;
    let Typed { written_ms, subject, text, reply_to, files, .. } = &draft.letter;
    let shown = Shown {
        id: draft.id.to_string(),
        to: addresses(wallet, &draft.letter),
        written: rfc3339(*written_ms),
        subject: subject.clone(),
        text: text.clone(),
        reply_to: reply_to.clone(),
        files: files.iter().map(|file| Named { name: file.name.clone(), bytes: file.length }).collect(),
    };
    let terminal = session.terminal;
    terminal.say(format_args!("Draft    {}, written {}", shown.id, clock(*written_ms)));
    for address in &shown.to {
        terminal.say(format_args!("To       {}", short_address(address)));
    }
    if !subject.is_empty() {
        terminal.say(format_args!("Subject  {}", printable(subject)));
    }
    for file in &shown.files {
        terminal.say(format_args!("File     {} ({})", printable(&file.name), bytes(file.bytes)));
    }
    terminal.say(format_args!("\n{}\n", printable_lines(text)));
    terminal.emit("sealpost/draft-show/1", &shown);
    Ok(())
}

/// A draft as it is listed.
pub(super) fn entry(wallet: &Wallet, draft: &Listed) -> Entry {
    let letter = &draft.letter;
    let files: u64 = letter.files.iter().map(|file| file.length).sum();
    Entry {
        id: draft.id.to_string(),
        to: addresses(wallet, letter),
        written: rfc3339(letter.written_ms),
        subject: letter.subject.clone(),
        bytes: files.saturating_add(letter.text.len() as u64),
        files: letter.files.len(),
        parts: draft.parts,
        signed: draft.signed,
        needs: letter.needed().map(str::to_owned).collect(),
        restored: draft.restored,
        waiting: None,
    }
}

/// A draft in one line.
pub(super) fn print(session: &Session<'_>, entry: &Entry) {
    let to: Vec<_> = entry.to.iter().map(short_address).collect();
    let size = bytes(entry.bytes);
    let files =
        if entry.files > 0 { format!(", {}", counted(entry.files as u64, "file")) } else { String::new() };
    let begun = match entry.signed {
        0 => String::new(),
        signed => format!("  {signed} of {} parts signed", entry.parts),
    };
    session.terminal.say(format_args!(
        "{}  {}  draft  {}  {size}{files}  {}{begun}",
        short(&entry.id),
        entry.written,
        to.join(", "),
        printable(&entry.subject)
    ));
    for path in &entry.needs {
        session.terminal.say(format_args!("    still needs the file {}", printable(path)));
    }
    if entry.restored {
        session.terminal.say(
            "    came with a backup: the wallet it was made of may have sent it, and then it arrives twice",
        );
    }
    if let Some(reason) = &entry.waiting {
        session.terminal.say(format_args!("    {reason}"));
    }
}

/// What to do with a draft.
pub(super) fn hint(session: &Session<'_>, entry: &Entry) {
    let id = entry.id.get(..8).unwrap_or_default();
    session.terminal.note(format_args!("Next     sealpost send --draft {id}, or sealpost draft show {id}"));
}

fn addresses(wallet: &Wallet, letter: &Typed) -> Vec<String> {
    letter.to.iter().map(|address| address.to_text(wallet.genesis().prefix())).collect()
}
