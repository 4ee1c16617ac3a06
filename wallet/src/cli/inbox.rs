//! `inbox`: messages that came, each verified, none opened.

use super::follow::Follower;
use super::notify::Hook;
use super::progress::ScanWatch;
use super::{Session, runtime};
use crate::failure;
use crate::light::Light;
use crate::wallet::{Incoming, Wallet};
use clap::Args;
use sealpost_ledger::height::BlockHeight;
use sealpost_terminal::{Failure, bytes, clock, printable, rfc3339};

#[derive(Debug, Args)]
#[command(after_help = "Examples:
  sealpost inbox --unread --since 2d
  sealpost inbox --follow --exec notify-send -- 'New message'
  sealpost inbox --follow --exec ./on-message

The program of --exec is run for each new message, those that came since it last ran included, four at once, for a \
minute at most. It is told in its environment: SEALPOST_MESSAGE (id), SEALPOST_FROM, SEALPOST_CONTACT, \
SEALPOST_HEIGHT, SEALPOST_TIME, SEALPOST_BYTES, SEALPOST_SLOT, and SEALPOST_NETWORK and SEALPOST_WALLET, so that it can call \
`sealpost read`. What it prints goes to standard error.")]
pub(super) struct InboxArgs {
    /// Show at most so many, the newest first
    #[arg(short = 'n', long, value_name = "N", default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..))]
    limit: u32,
    /// Go on, and show messages as they come
    #[arg(short, long)]
    follow: bool,
    /// Show only messages that were not read on this machine
    #[arg(short, long)]
    unread: bool,
    /// Show only messages since a day (2026-11-24), a time, or for so long (2d, 12h); by their blocks' times
    #[arg(long, value_name = "WHEN", value_parser = super::since::since)]
    since: Option<u64>,
    /// With --follow: run a program for each new message; no shell reads it. Its arguments follow after `--`
    #[arg(long, value_name = "PROGRAM", requires = "follow")]
    exec: Option<String>,
    /// Give the program the subject and the text, opened, on its standard input
    #[arg(long, requires = "follow")]
    exec_text: bool,
    /// Arguments of the program
    #[arg(last = true, value_name = "ARGUMENTS", requires = "exec")]
    arguments: Vec<String>,
}

#[derive(serde::Serialize)]
pub(super) struct Entry {
    pub(super) id: String,
    pub(super) from: String,
    pub(super) contact: Option<String>,
    pub(super) height: BlockHeight,
    pub(super) time: String,
    pub(super) body_bytes: u32,
    pub(super) slot: u16,
    unread: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    subject: Option<String>,
}

#[derive(serde::Serialize)]
struct Listed {
    messages: Vec<Entry>,
}

pub(super) fn inbox(args: &InboxArgs, session: &Session<'_>) -> Result<(), Failure> {
    let mut wallet = session.wallet()?;
    runtime()?.block_on(async {
        let light = session.light(wallet.profile()).await?;
        // Asked for before the list, so that nothing falls between the two.
        let next = light.next_height().await.map_err(failure)?;
        let limit = usize::try_from(args.limit).unwrap_or(usize::MAX);
        let found = matching(args, session, &wallet, &light, limit).await?;
        let entries = found.iter().map(|incoming| entry(&wallet, incoming)).collect::<Result<Vec<_>, _>>()?;
        if entries.is_empty() {
            session.terminal.note(match args.unread || args.since.is_some() {
                true => "no such message",
                false => "nothing has come yet",
            });
        }
        let in_order: Box<dyn Iterator<Item = &Entry>> =
            if args.follow { Box::new(entries.iter().rev()) } else { Box::new(entries.iter()) };
        for entry in in_order {
            print(session, entry);
            if args.follow {
                session.terminal.emit("sealpost/inbox-entry/1", entry);
            }
        }
        if args.follow {
            let shown = found.iter().map(|incoming| incoming.message.id()).collect();
            let hook = hook(args, session, &wallet);
            let with_text = args.exec_text;
            let mut follower = Follower { session, wallet: &mut wallet, shown, hook, with_text };
            return follower.follow(light, next).await;
        }
        session.terminal.emit("sealpost/inbox/1", &Listed { messages: entries });
        Ok(())
    })
}

/// The newest messages that are asked for. Without a filter, as many as are wanted; with one, further and
/// further back until there are enough, or all were seen.
async fn matching(
    args: &InboxArgs,
    session: &Session<'_>,
    wallet: &Wallet,
    light: &Light,
    limit: usize,
) -> Result<Vec<Incoming>, Failure> {
    let filters = args.unread || args.since.is_some();
    let mut enough = limit;
    loop {
        let watch = ScanWatch::new(session.terminal);
        let mut found = wallet.inbox(light, enough, &|count| watch.hear(count)).await.map_err(failure)?;
        drop(watch);
        let since = args.since.unwrap_or(0);
        let all =
            found.len() < enough || found.last().is_some_and(|oldest| oldest.message.header.time_ms < since);
        if filters {
            let mut kept = Vec::new();
            for incoming in found {
                let read = wallet.archive().marked(&incoming.message.id()).map_err(failure)?.is_some();
                if incoming.message.header.time_ms >= since && !(args.unread && read) {
                    kept.push(incoming);
                }
            }
            found = kept;
        }
        if !filters || all || found.len() >= limit {
            found.truncate(limit);
            return Ok(found);
        }
        enough = enough.saturating_mul(4);
    }
}

fn hook(args: &InboxArgs, session: &Session<'_>, wallet: &Wallet) -> Option<Hook> {
    let command = match &args.exec {
        Some(program) => [std::slice::from_ref(program), args.arguments.as_slice()].concat(),
        None => session.settings.notify.clone()?,
    };
    // The names of the settings, so that the program's own calls of `sealpost` mean the same wallet.
    let environment = vec![
        ("SEALPOST_NETWORK", wallet.genesis().chain_name().to_owned()),
        ("SEALPOST_WALLET", wallet.name().to_owned()),
    ];
    Hook::new(command, session.terminal, environment)
}

pub(super) fn entry(wallet: &Wallet, incoming: &Incoming) -> Result<Entry, Failure> {
    let (message, sender) = (&incoming.message, incoming.message.transaction.sender());
    let contacts = wallet.profile().contacts().map_err(failure)?;
    let mark = wallet.archive().marked(&message.id()).map_err(failure)?;
    // A letter that can't be read is listed all the same.
    let kept = wallet.letter(&message.id()).ok().flatten();
    Ok(Entry {
        id: message.id().to_string(),
        from: sender.to_text(wallet.genesis().prefix()),
        contact: contacts.name_of(&sender).map(Into::into),
        height: message.header.height,
        time: rfc3339(message.header.time_ms),
        body_bytes: message.transaction.message().map_or(0, |message| message.body_length),
        slot: incoming.slot,
        unread: mark.is_none(),
        subject: kept.map(|kept| kept.letter.subject),
    })
}

pub(super) fn print(session: &Session<'_>, entry: &Entry) {
    let terminal = session.terminal;
    let from = entry.contact.clone().unwrap_or_else(|| terminal.address(&entry.from));
    let time =
        entry.time.parse::<jiff::Timestamp>().ok().and_then(|t| u64::try_from(t.as_millisecond()).ok());
    let unread = if entry.unread { "  unread" } else { "" };
    let subject = entry.subject.as_deref().map(|subject| format!("  {}", printable(subject)));
    terminal.say(format_args!(
        "{}  {}  block {}  from {from}  {}{unread}{}",
        terminal.id(&entry.id),
        time.map_or_else(|| entry.time.clone(), clock),
        entry.height,
        bytes(entry.body_bytes.into()),
        subject.unwrap_or_default()
    ));
}
