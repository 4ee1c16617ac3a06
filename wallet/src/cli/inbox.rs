//! `inbox`: messages that came, each verified. Parts of letters are left out.

use super::complete::complete;
use super::progress::ScanWatch;
use super::scan::{Scanned, follow_sealed, scan};
use super::{Session, runtime};
use crate::failure;
use crate::light::Light;
use crate::wallet::{Incoming, Wallet};
use clap::Args;
use sealpost_ledger::height::BlockHeight;
use sealpost_ledger::message::Mode;
use sealpost_terminal::{Failure, bytes, clock, rfc3339, short, short_address};

#[derive(Debug, Args)]
#[command(
    after_help = "Sealed messages name nobody, so the wallet looks at every one of them with its own keys: no node
learns which are yours by a question for your address. A node can leave messages out (another one, --node URL,
shows them), and it sees which ones are fetched: yours, and about one in 256 of everybody else's."
)]
pub(super) struct InboxArgs {
    /// Show at most so many, the newest first
    #[arg(short = 'n', long, value_name = "N", default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..))]
    limit: u32,
    /// Go on, and show messages as they come
    #[arg(short, long)]
    follow: bool,
    /// Read every block and prove that no open message is left out; without it, a node could omit some
    #[arg(long, conflicts_with_all = ["limit", "follow", "no_scan"])]
    complete: bool,
    /// With --complete: the block to begin with
    #[arg(long, value_name = "HEIGHT", requires = "complete", default_value_t = 1)]
    from: u64,
    /// Don't look for sealed messages: show those that were found before
    #[arg(long)]
    no_scan: bool,
}

/// Whether sealed messages are looked for.
#[derive(Clone, Copy)]
enum Manner {
    Scan,
    NoScan,
}

#[derive(serde::Serialize)]
pub(super) struct Entry {
    id: String,
    from: Option<String>,
    contact: Option<String>,
    height: BlockHeight,
    time: String,
    body_bytes: u32,
    slot: u16,
    sealed: bool,
}

#[derive(serde::Serialize)]
struct Listed {
    messages: Vec<Entry>,
    #[serde(skip_serializing_if = "Option::is_none")]
    scan: Option<Scanned>,
}

pub(super) fn inbox(args: &InboxArgs, session: &Session<'_>) -> Result<(), Failure> {
    let wallet = session.wallet()?;
    runtime()?.block_on(async {
        let light = session.light(wallet.profile()).await?;
        if args.complete {
            return complete(session, &wallet, &light, BlockHeight::new(args.from)).await;
        }
        // Asked for before the list, so that nothing falls between the two.
        let next = light.next_height().await.map_err(failure)?;
        let limit = usize::try_from(args.limit).unwrap_or(usize::MAX);
        let manner = if args.no_scan { Manner::NoScan } else { Manner::Scan };
        let scanned = match manner {
            Manner::Scan => Some(scan(session, &wallet, &light).await?),
            Manner::NoScan => None,
        };
        let watch = ScanWatch::new(session.terminal);
        let found = wallet.inbox(&light, limit, &|count| watch.hear(count)).await.map_err(failure)?;
        drop(watch);
        let found = with_sealed(found, wallet.sealed_inbox(&light, limit).await.map_err(failure)?, limit);
        let entries = found.iter().map(|incoming| entry(&wallet, incoming)).collect::<Result<Vec<_>, _>>()?;
        if entries.is_empty() {
            session.terminal.note("nothing has come yet");
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
            return follow(session, &wallet, &light, next, manner).await;
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

async fn follow(
    session: &Session<'_>,
    wallet: &Wallet,
    light: &Light,
    from: BlockHeight,
    manner: Manner,
) -> Result<(), Failure> {
    let show = |found: &Incoming| {
        let entry = entry(wallet, found)?;
        print(session, &entry);
        session.terminal.emit("sealpost/inbox-entry/1", &entry);
        Ok(())
    };
    let open = async {
        let mut incoming = light.follow(&wallet.address(), from).await.map_err(failure)?;
        while let Some(proven) = incoming.next(light).await.map_err(failure)? {
            // What comes on this line are answers to our own messages, too.
            if let Some(found) = wallet.incoming(proven)
                && !wallet.is_part(light, &found).await.map_err(failure)?
            {
                show(&found)?;
            }
        }
        let ended = Failure::unavailable("node.unreachable", "the node ended the subscription");
        Err::<(), _>(ended.help("run it again"))
    };
    match manner {
        Manner::Scan => tokio::try_join!(open, follow_sealed(wallet, light, &show)).map(|_| ()),
        Manner::NoScan => open.await,
    }
}

pub(super) fn entry(wallet: &Wallet, incoming: &Incoming) -> Result<Entry, Failure> {
    let message = &incoming.message;
    let sealed = message.transaction.message().is_some_and(|message| message.mode == Mode::Sealed);
    let contacts = wallet.profile().contacts().map_err(failure)?;
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
    })
}

pub(super) fn print(session: &Session<'_>, entry: &Entry) {
    let unknown = || "an author unknown until its body is found".to_owned();
    let from = entry.contact.clone().or_else(|| entry.from.as_ref().map(short_address));
    let from = from.unwrap_or_else(unknown);
    let mark = if entry.sealed { "  sealed" } else { "" };
    let time =
        entry.time.parse::<jiff::Timestamp>().ok().and_then(|t| u64::try_from(t.as_millisecond()).ok());
    session.terminal.say(format_args!(
        "{}  {}  block {}  from {from}  {}{mark}",
        short(&entry.id),
        time.map_or_else(|| entry.time.clone(), clock),
        entry.height,
        bytes(entry.body_bytes.into())
    ));
}
