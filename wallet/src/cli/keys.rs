//! `keys`: publish and list encryption keys.

use super::progress::PostageWatch;
use super::{Session, runtime};
use crate::failure;
use clap::Subcommand;
use sealpost_ledger::height::BlockHeight;
use sealpost_terminal::{Failure, short, style};

#[derive(Debug, Clone, Subcommand)]
pub(super) enum KeysCommand {
    /// Make new encryption keys and publish them; they supersede those before
    Publish,
    /// List the key bundles whose secrets are here, and the published one
    List,
}

#[derive(serde::Serialize)]
struct Published {
    sequence: u64,
    id: String,
    height: Option<BlockHeight>,
}

#[derive(serde::Serialize)]
struct Listed {
    here: Vec<u64>,
    published: Option<Newest>,
}

#[derive(serde::Serialize)]
struct Newest {
    sequence: u64,
    height: BlockHeight,
    valid_until: BlockHeight,
    secret_here: bool,
}

pub(super) fn keys(command: &KeysCommand, session: &Session<'_>) -> Result<(), Failure> {
    match command {
        KeysCommand::Publish => publish(session),
        KeysCommand::List => list(session),
    }
}

fn publish(session: &Session<'_>) -> Result<(), Failure> {
    let mut wallet = session.wallet()?;
    let (sequence, sent) = runtime()?.block_on(async {
        let light = session.light(wallet.profile()).await?;
        let watch = PostageWatch::new(session.terminal);
        wallet.publish_keys(&light, &|tried, work| watch.hear(tried, work)).await.map_err(failure)
    })?;
    let height = sent.place.map(|place| place.header.height);
    let place = height.map_or("accepted".into(), |height| format!("final in block {height}"));
    session.terminal.say(style::held(format_args!("key bundle #{sequence} {place}  {}", short(sent.id))));
    session
        .terminal
        .emit("sealpost/keys-publish/1", &Published { sequence, id: sent.id.to_string(), height });
    Ok(())
}

fn list(session: &Session<'_>) -> Result<(), Failure> {
    let wallet = session.wallet()?;
    let here: Vec<u64> = wallet.bundles().iter().map(|secret| secret.sequence).collect();
    let published = runtime()?.block_on(async {
        let light = session.light(wallet.profile()).await?;
        light.bundle(&wallet.address()).await.map_err(failure)
    })?;
    for sequence in &here {
        session.terminal.say(format_args!("#{sequence}  secret is here"));
    }
    let published = published.map(|record| Newest {
        sequence: record.bundle.sequence,
        height: record.height,
        valid_until: record.bundle.valid_until,
        secret_here: here.contains(&record.bundle.sequence),
    });
    match &published {
        None => session.terminal.say("published: none; `sealpost keys publish` makes some"),
        Some(newest) => session.terminal.say(format_args!(
            "published: #{} in block {}, to be used until height {}",
            newest.sequence, newest.height, newest.valid_until
        )),
    }
    if published.as_ref().is_some_and(|newest| !newest.secret_here) {
        session.terminal.warn(
            "the published keys are not this wallet's: another copy of it published them, or somebody has its words",
        );
    }
    session.terminal.emit("sealpost/keys-list/1", &Listed { here, published });
    Ok(())
}
