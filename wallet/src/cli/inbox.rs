//! `inbox`: messages that came, each verified, none opened.

use super::progress::ScanWatch;
use super::{Session, own_keys, runtime};
use crate::failure;
use crate::light::{Light, LightError};
use crate::wallet::{Incoming, Standing, Wallet, WalletError};
use clap::Args;
use sealpost_ledger::height::BlockHeight;
use sealpost_terminal::{Failure, bytes, clock, rfc3339, short, short_address};
use std::time::Duration;

/// How often a running wallet looks after its keys.
const TEND_EVERY: Duration = Duration::from_secs(60 * 60);

#[derive(Debug, Args)]
pub(super) struct InboxArgs {
    /// Show at most so many, the newest first
    #[arg(short = 'n', long, value_name = "N", default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..))]
    limit: u32,
    /// Go on, and show messages as they come; the wallet's keys are rotated and destroyed when it is time
    #[arg(short, long)]
    follow: bool,
}

#[derive(serde::Serialize)]
struct Entry {
    id: String,
    from: String,
    contact: Option<String>,
    height: BlockHeight,
    time: String,
    body_bytes: u32,
    slot: u16,
}

#[derive(serde::Serialize)]
struct Listed {
    messages: Vec<Entry>,
}

pub(super) fn inbox(args: &InboxArgs, session: &Session<'_>) -> Result<(), Failure> {
    let mut wallet = session.wallet()?;
    runtime()?.block_on(async {
        let light = session.light(wallet.profile()).await?;
        if !args.follow {
            own_keys::look(session, &mut wallet, &light).await?;
        }
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
            return follow(session, &mut wallet, &light, next).await;
        }
        session.terminal.emit("sealpost/inbox/1", &Listed { messages: entries });
        Ok(())
    })
}

async fn follow(
    session: &Session<'_>,
    wallet: &mut Wallet,
    light: &Light,
    from: BlockHeight,
) -> Result<(), Failure> {
    let mut incoming = light.follow(&wallet.address(), from).await.map_err(failure)?;
    // The first tick comes at once.
    let mut tending = tokio::time::interval(TEND_EVERY);
    let mut told = None;
    loop {
        let found = {
            // One question for the next entry until it is answered: half an answer must not be dropped.
            let mut next = std::pin::pin!(incoming.next(light));
            loop {
                tokio::select! {
                    found = &mut next => break found.map_err(failure)?,
                    _ = tending.tick() => tend(session, wallet, light, &mut told).await?,
                }
            }
        };
        let Some(proven) = found else { break };
        // What comes on this line are answers to our own messages, too.
        if let Some(found) = wallet.incoming(proven) {
            let entry = entry(wallet, &found)?;
            print(session, &entry);
            session.terminal.emit("sealpost/inbox-entry/1", &entry);
        }
    }
    Err(Failure::unavailable("node.unreachable", "the node ended the subscription").help("run it again"))
}

/// Does what is due with the wallet's keys, and says each state of the own entry once.
async fn tend(
    session: &Session<'_>,
    wallet: &mut Wallet,
    light: &Light,
    told: &mut Option<Standing>,
) -> Result<(), Failure> {
    let tended = match wallet.tend(light, &session.terms(), &|_, _| true).await {
        Ok(tended) => tended,
        // A node that is away or busy is asked again an hour later; the subscription says if it is gone.
        Err(
            error @ (WalletError::Light(LightError::Unreachable { .. }) | WalletError::Undelivered { .. }),
        ) => {
            session.terminal.warn(format_args!("the keys were not looked after: {error}"));
            return Ok(());
        }
        Err(error) => return Err(failure(error)),
    };
    own_keys::tell_tended(session.terminal, &tended);
    if told.replace(tended.own.standing) != Some(tended.own.standing) && tended.rotated.is_none() {
        own_keys::tell(session.terminal, &tended.own);
    }
    Ok(())
}

fn entry(wallet: &Wallet, incoming: &Incoming) -> Result<Entry, Failure> {
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
