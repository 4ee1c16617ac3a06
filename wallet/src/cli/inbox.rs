//! `inbox`: messages that came, each verified. Parts of letters are left out.

use super::complete::complete;
use super::follow::Follower;
use super::keeping::or_offline;
use super::notify::Hook;
use super::progress::ScanWatch;
use super::scan::{Scanned, rescan, scan};
use super::{Session, own_keys, runtime};
use crate::contacts::Contacts;
use crate::failure;
use crate::light::Light;
use crate::wallet::{Incoming, Wallet};
use clap::Args;
use sealpost_ledger::height::BlockHeight;
use sealpost_ledger::message::Mode;
use sealpost_terminal::{Failure, bytes, clock, printable, rfc3339};

#[derive(Debug, Args)]
#[command(after_help = "Examples:
  sealpost inbox --unread --since 2d
  sealpost inbox --follow --exec notify-send -- 'New message'
  sealpost inbox --follow --exec ./on-message

The program of --exec is run for each new message, those that came since it last ran included, four at once, for a \
minute at most. It is told in its environment: SEALPOST_MESSAGE (id), SEALPOST_FROM, SEALPOST_CONTACT, \
SEALPOST_HEIGHT, SEALPOST_TIME, SEALPOST_BYTES, SEALPOST_SLOT, SEALPOST_RECEIPTS (1 for a sealed reply that carries \
receipts and says nothing besides, otherwise 0), and SEALPOST_NETWORK and SEALPOST_WALLET, so that it can call \
`sealpost read`. What it prints goes to standard error.

Sealed messages name nobody, so the wallet looks at every one of them with its own keys: no node learns which are \
yours by a question for your address. A node can leave messages out; another one shows them: --rescan --node URL. \
A scan looks at yours and at about one in 256 of everybody else's; listing and reading yours again shows the node which \
they are: use one of your own, or one that you trust with that.")]
pub(super) struct InboxArgs {
    /// Show at most so many, the newest first
    #[arg(short = 'n', long, value_name = "N", default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..))]
    limit: u32,
    /// Go on, and show messages as they come; the wallet's keys are rotated and destroyed when it is time
    #[arg(short, long)]
    follow: bool,
    /// Read every block and prove that no open message is left out; without it, a node could omit some
    #[arg(long, conflicts_with_all = ["limit", "follow", "no_scan", "unread", "since"])]
    complete: bool,
    /// With --complete: the block to begin with
    #[arg(long, value_name = "HEIGHT", requires = "complete", default_value_t = 1)]
    from: u64,
    /// Don't look for sealed messages: show those that were found before
    #[arg(long)]
    no_scan: bool,
    /// Look for sealed messages from the first block on once more: finds what a node left out that was asked before
    #[arg(long, conflicts_with_all = ["no_scan", "complete"])]
    rescan: bool,
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
    pub(super) from: Option<String>,
    pub(super) contact: Option<String>,
    pub(super) height: BlockHeight,
    pub(super) time: String,
    pub(super) body_bytes: u32,
    pub(super) slot: u16,
    sealed: bool,
    unread: bool,
    /// A sealed reply that carries receipts and says nothing besides.
    pub(super) only_receipts: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    subject: Option<String>,
}

#[derive(serde::Serialize)]
pub(super) struct Listed {
    pub(super) messages: Vec<Entry>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) scan: Option<Scanned>,
}

pub(super) fn inbox(args: &InboxArgs, session: &Session<'_>) -> Result<(), Failure> {
    let mut wallet = session.wallet()?;
    runtime()?.block_on(async {
        let light = session.light(wallet.profile()).await.map_err(or_offline)?;
        if args.complete {
            return complete(session, &wallet, &light, BlockHeight::new(args.from)).await;
        }
        if !args.follow {
            own_keys::look(session, &mut wallet, &light).await?;
        }
        // Asked for before the list, so that nothing falls between the two.
        let next = light.next_height().await.map_err(failure)?;
        let limit = usize::try_from(args.limit).unwrap_or(usize::MAX);
        let scanned = match (args.no_scan, args.rescan) {
            (true, _) => None,
            (false, true) => Some(rescan(session, &wallet, &light).await?),
            (false, false) => Some(scan(session, &wallet, &light).await?),
        };
        let found = matching(args, session, &wallet, &light, limit).await?;
        let entries = entries(&wallet, &found)?;
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
            let (with_text, scans) = (args.exec_text, !args.no_scan);
            let wallet = &mut wallet;
            let mut follower = Follower { session, wallet, shown, hook, with_text, scans, own_entry: None };
            return follower.follow(light, next).await;
        }
        session.terminal.emit("sealpost/inbox/1", &Listed { messages: entries, scan: scanned });
        Ok(())
    })
}

/// Both kinds of letters, the newest first.
fn with_sealed(mut open: Vec<Incoming>, sealed: Vec<Incoming>, limit: usize) -> Vec<Incoming> {
    open.extend(sealed);
    open.sort_by_key(|incoming| std::cmp::Reverse((incoming.message.header.height, incoming.message.index)));
    open.truncate(limit);
    open
}

/// The newest messages, the sealed ones among them that scans have found.
pub(super) async fn newest(
    wallet: &Wallet,
    light: &Light,
    enough: usize,
    heard: &(dyn Fn(usize) + Sync),
) -> Result<Vec<Incoming>, Failure> {
    let open = wallet.inbox(light, enough, heard).await.map_err(failure)?;
    Ok(with_sealed(open, wallet.sealed_inbox(light, enough).await.map_err(failure)?, enough))
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
        let mut found = newest(wallet, light, enough, &|count| watch.hear(count)).await?;
        drop(watch);
        let since = args.since.unwrap_or(0);
        let all =
            found.len() < enough || found.last().is_some_and(|oldest| oldest.message.header.time_ms < since);
        if filters {
            let mut kept = Vec::new();
            for incoming in found {
                let marked = wallet.archive().marked(&incoming.message.id()).map_err(failure)?;
                let read = incoming.only_receipts || marked.is_some();
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

/// How messages are shown.
pub(super) fn entries(wallet: &Wallet, found: &[Incoming]) -> Result<Vec<Entry>, Failure> {
    let contacts = wallet.profile().contacts().map_err(failure)?;
    found.iter().map(|incoming| named(wallet, &contacts, incoming)).collect()
}

/// How one message is shown.
pub(super) fn entry(wallet: &Wallet, incoming: &Incoming) -> Result<Entry, Failure> {
    named(wallet, &wallet.profile().contacts().map_err(failure)?, incoming)
}

fn named(wallet: &Wallet, contacts: &Contacts, incoming: &Incoming) -> Result<Entry, Failure> {
    let message = &incoming.message;
    let sealed = message.transaction.message().is_some_and(|message| message.mode == Mode::Sealed);
    let mark = wallet.archive().marked(&message.id()).map_err(failure)?;
    // A letter that can't be read is listed all the same.
    let kept = wallet.letter(&message.id()).ok().flatten();
    // A sealed message's sender on the ledger is a key made for it alone.
    let sender = if sealed { incoming.author } else { Some(message.transaction.sender()) };
    Ok(Entry {
        id: message.id().to_string(),
        from: sender.map(|sender| sender.to_text(wallet.genesis().prefix())),
        contact: sender.and_then(|sender| contacts.name_of(&sender).map(Into::into)),
        height: message.header.height,
        time: rfc3339(message.header.time_ms),
        body_bytes: message.transaction.message().map_or(0, |message| message.body_length),
        slot: incoming.slot,
        sealed,
        // There is nothing to read in receipts.
        unread: mark.is_none() && !incoming.only_receipts,
        only_receipts: incoming.only_receipts,
        subject: kept.map(|kept| kept.letter.subject),
    })
}

pub(super) fn print(session: &Session<'_>, entry: &Entry) {
    let terminal = session.terminal;
    let unknown = || "an author unknown until its body is found".to_owned();
    let from = entry.contact.clone().or_else(|| entry.from.as_ref().map(|from| terminal.address(from)));
    let from = from.unwrap_or_else(unknown);
    let time =
        entry.time.parse::<jiff::Timestamp>().ok().and_then(|t| u64::try_from(t.as_millisecond()).ok());
    let sealed = if entry.sealed { "  sealed" } else { "" };
    let unread = if entry.unread { "  unread" } else { "" };
    let subject = match entry.only_receipts {
        true => Some("  receipt".into()),
        false => entry.subject.as_deref().map(|subject| format!("  {}", printable(subject))),
    };
    terminal.say(format_args!(
        "{}  {}  block {}  from {from}  {}{sealed}{unread}{}",
        terminal.id(&entry.id),
        time.map_or_else(|| entry.time.clone(), clock),
        entry.height,
        bytes(entry.body_bytes.into()),
        subject.unwrap_or_default()
    ));
}
