//! `inbox`: messages that came, each verified, none opened.

use super::progress::ScanWatch;
use super::{Session, runtime};
use crate::failure;
use crate::light::Light;
use crate::wallet::{Incoming, Wallet};
use clap::Args;
use sealpost_ledger::height::BlockHeight;
use sealpost_terminal::{Failure, bytes, clock, rfc3339, short, short_address};

#[derive(Debug, Args)]
pub(super) struct InboxArgs {
    /// Show at most so many, the newest first
    #[arg(short = 'n', long, value_name = "N", default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..))]
    limit: u32,
    /// Go on, and show messages as they come
    #[arg(short, long)]
    follow: bool,
}

#[derive(serde::Serialize)]
pub(super) struct Entry {
    id: String,
    from: String,
    contact: Option<String>,
    height: BlockHeight,
    time: String,
    body_bytes: u32,
    slot: u16,
}

#[derive(serde::Serialize)]
pub(super) struct Listed {
    pub(super) messages: Vec<Entry>,
}

pub(super) fn inbox(args: &InboxArgs, session: &Session<'_>) -> Result<(), Failure> {
    let wallet = session.wallet()?;
    runtime()?.block_on(async {
        let light = session.light(wallet.profile()).await?;
        // Asked for before the list, so that nothing falls between the two.
        let next = light.next_height().await.map_err(failure)?;
        let limit = usize::try_from(args.limit).unwrap_or(usize::MAX);
        let watch = ScanWatch::new(session.terminal);
        let found = wallet.inbox(&light, limit, &|count| watch.hear(count)).await.map_err(failure)?;
        drop(watch);
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
            return follow(session, &wallet, &light, next).await;
        }
        session.terminal.emit("sealpost/inbox/1", &Listed { messages: entries });
        Ok(())
    })
}

async fn follow(
    session: &Session<'_>,
    wallet: &Wallet,
    light: &Light,
    from: BlockHeight,
) -> Result<(), Failure> {
    let mut incoming = light.follow(&wallet.address(), from).await.map_err(failure)?;
    while let Some(proven) = incoming.next(light).await.map_err(failure)? {
        // What comes on this line are answers to our own messages, too.
        if let Some(found) = wallet.incoming(proven) {
            let entry = entry(wallet, &found)?;
            print(session, &entry);
            session.terminal.emit("sealpost/inbox-entry/1", &entry);
        }
    }
    Err(Failure::unavailable("node.unreachable", "the node ended the subscription").help("run it again"))
}

pub(super) fn entry(wallet: &Wallet, incoming: &Incoming) -> Result<Entry, Failure> {
    let (message, sender) = (&incoming.message, incoming.message.transaction.sender());
    let contacts = wallet.profile().contacts().map_err(failure)?;
    Ok(Entry {
        id: message.id().to_string(),
        from: sender.to_text(wallet.genesis().prefix()),
        contact: contacts.name_of(&sender).map(Into::into),
        height: message.header.height,
        time: rfc3339(message.header.time_ms),
        body_bytes: message.transaction.message().map_or(0, |message| message.body_length),
        slot: incoming.slot,
    })
}

fn print(session: &Session<'_>, entry: &Entry) {
    let from = entry.contact.clone().unwrap_or_else(|| short_address(&entry.from));
    let time =
        entry.time.parse::<jiff::Timestamp>().ok().and_then(|t| u64::try_from(t.as_millisecond()).ok());
    session.terminal.say(format_args!(
        "{}  {}  block {}  from {from}  {}",
        short(&entry.id),
        time.map_or_else(|| entry.time.clone(), clock),
        entry.height,
        bytes(entry.body_bytes.into())
    ));
}
