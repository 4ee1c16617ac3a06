//! `thread`: a conversation in order, what came and what was sent.

use super::read::{Carried, carried, print_carried};
use super::{Session, runtime};
use crate::archive::{Mark, Way};
use crate::contacts::Contacts;
use crate::failure;
use crate::letters::Kept;
use crate::wallet::{Wallet, WalletError};
use clap::Args;
use sealpost_ledger::address::{Address, AddressPrefix};
use sealpost_ledger::height::BlockHeight;
use sealpost_terminal::{Failure, bytes, clock, printable, printable_lines, rfc3339, style};

#[derive(Debug, Args)]
pub(super) struct ThreadArgs {
    /// A letter of the conversation: its id, or how it begins
    id: String,
    /// Ask no node for what came since
    #[arg(long)]
    offline: bool,
}

#[derive(serde::Serialize)]
struct File {
    name: String,
    bytes: u64,
}

#[derive(serde::Serialize)]
struct Letter {
    id: String,
    direction: &'static str,
    from: String,
    contact: Option<String>,
    to: Vec<String>,
    height: Option<BlockHeight>,
    time: String,
    subject: String,
    text: String,
    reply_to: Option<String>,
    attachments: Vec<File>,
    /// Receipts for sealed messages that it carries.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    receipts: Vec<Carried>,
}

#[derive(serde::Serialize)]
struct Answer {
    letters: Vec<Letter>,
    missing: Vec<String>,
}

pub(super) fn thread(args: &ThreadArgs, session: &Session<'_>) -> Result<(), Failure> {
    let wallet = session.wallet()?;
    runtime()?.block_on(session.catch_up_if_possible(&wallet, args.offline))?;
    let (links, unreadable) = wallet.links().map_err(failure)?;
    let id = wallet.resolve_among(&links, &args.id).map_err(failure)?;
    session.warn_unreadable(unreadable);
    let thread = links.thread(&id);
    let thread = thread.ok_or_else(|| failure(WalletError::NotKept { text: args.id.clone() }))?;
    let contacts = wallet.profile().contacts().map_err(failure)?;
    let mut answer = Answer { letters: Vec::new(), missing: Vec::new() };
    for id in &thread.letters {
        // One that was forgotten meanwhile is left out.
        let Some(kept) = wallet.letter(id).map_err(failure)? else { continue };
        let receipts = carried(&wallet, kept.sealed.then_some(kept.from), &kept.letter.answers)?;
        print(session, &wallet, &contacts, &kept, &receipts);
        if kept.way == Way::Came {
            wallet.archive().mark(id, Mark::Read).map_err(failure)?;
        }
        if session.terminal.is_json() {
            answer.letters.push(letter(&contacts, wallet.genesis().prefix(), kept, receipts));
        }
    }
    for id in &thread.missing {
        session.terminal.note(format_args!(
            "{} is part of this conversation and not here: not for this wallet, not opened, or forgotten",
            session.terminal.id(id)
        ));
        answer.missing.push(id.to_string());
    }
    session.terminal.emit("sealpost/thread/1", &answer);
    Ok(())
}

/// How somebody is called here: you, a contact's name, or an address.
pub(super) fn called(wallet: &Wallet, contacts: &Contacts, session: &Session<'_>, who: &Address) -> String {
    if *who == wallet.address() {
        return "you".into();
    }
    let address = || session.terminal.address(who.to_text(wallet.genesis().prefix()));
    contacts.name_of(who).map_or_else(address, str::to_owned)
}

fn print(session: &Session<'_>, wallet: &Wallet, contacts: &Contacts, kept: &Kept, receipts: &[Carried]) {
    let terminal = session.terminal;
    let called = |who: &Address| called(wallet, contacts, session, who);
    let to: Vec<_> = kept.to.iter().map(called).collect();
    let place = kept
        .place
        .height()
        .map_or_else(|| "not known to be final".into(), |height| format!("block {height}"));
    let line = format!("{} → {}", called(&kept.from), to.join(", "));
    terminal.say(format_args!(
        "{}  {}  {place}  {}",
        style::strong(line),
        clock(kept.place.time_ms()),
        terminal.id(kept.id)
    ));
    if !kept.letter.subject.is_empty() {
        terminal.say(format_args!("Subject  {}", printable(&kept.letter.subject)));
    }
    if let Some(answered) = kept.letter.reply_to {
        terminal.say(format_args!("Answers  {}", terminal.id(answered)));
    }
    print_carried(terminal, receipts);
    for file in &kept.letter.attachments {
        terminal.say(format_args!("File     {} ({})", printable(&file.name), bytes(file.data.length())));
    }
    if !kept.letter.is_only_receipts() {
        terminal.say(format_args!("\n{}\n", terminal.wrapped(&printable_lines(&kept.letter.text))));
    }
}

fn letter(contacts: &Contacts, prefix: &AddressPrefix, kept: Kept, receipts: Vec<Carried>) -> Letter {
    let files = kept.letter.attachments.iter();
    Letter {
        id: kept.id.to_string(),
        direction: direction(kept.way),
        from: kept.from.to_text(prefix),
        contact: contacts.name_of(&kept.from).map(Into::into),
        to: kept.to.iter().map(|address| address.to_text(prefix)).collect(),
        height: kept.place.height(),
        time: rfc3339(kept.place.time_ms()),
        reply_to: kept.letter.reply_to.map(|id| id.to_string()),
        attachments: files.map(|file| File { name: file.name.clone(), bytes: file.data.length() }).collect(),
        receipts,
        subject: kept.letter.subject,
        text: kept.letter.text,
    }
}

fn direction(way: Way) -> &'static str {
    match way {
        Way::Came => "received",
        Way::Went => "sent",
    }
}
