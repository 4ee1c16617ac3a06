//! `keys`: publish, withdraw and list encryption keys.

use super::progress::PostageWatch;
use super::{Session, runtime};
use crate::failure;
use crate::wallet::Wallet;
use clap::Subcommand;
use sealpost_ledger::height::BlockHeight;
use sealpost_ledger::state::BundleRecord;
use sealpost_terminal::{Failure, short, style};

#[derive(Debug, Clone, Subcommand)]
pub(super) enum KeysCommand {
    /// Make new encryption keys and publish them; they supersede those before
    Publish,
    /// Withdraw a key bundle: from a height on, nobody encrypts to it
    Revoke(RevokeArgs),
    /// List the key bundles whose secrets are here, and the published one
    List,
}

#[derive(Debug, Clone, clap::Args)]
pub(super) struct RevokeArgs {
    /// Sequence number of the bundle
    sequence: u64,
    /// First height at which it is not used any more; without it, a few blocks from now
    #[arg(long, value_name = "HEIGHT")]
    from: Option<BlockHeight>,
}

#[derive(serde::Serialize)]
pub(super) struct Revoked {
    pub(super) sequence: u64,
    pub(super) from: BlockHeight,
    pub(super) id: String,
    pub(super) height: Option<BlockHeight>,
}

#[derive(serde::Serialize)]
pub(super) struct Published {
    pub(super) sequence: u64,
    pub(super) id: String,
    pub(super) height: Option<BlockHeight>,
}

#[derive(serde::Serialize)]
pub(super) struct Listed {
    here: Vec<u64>,
    published: Option<Newest>,
}

impl Listed {
    pub(super) fn new(wallet: &Wallet, published: Option<BundleRecord>) -> Self {
        let here: Vec<u64> = wallet.bundles().iter().map(|secret| secret.sequence).collect();
        let published = published.map(|record| Newest {
            sequence: record.bundle.sequence,
            height: record.height,
            valid_until: record.bundle.valid_until,
            revoked_from: record.revoked_from,
            secret_here: here.contains(&record.bundle.sequence),
        });
        Self { here, published }
    }
}

#[derive(serde::Serialize)]
struct Newest {
    sequence: u64,
    height: BlockHeight,
    valid_until: BlockHeight,
    revoked_from: Option<BlockHeight>,
    secret_here: bool,
}

pub(super) fn keys(command: &KeysCommand, session: &Session<'_>) -> Result<(), Failure> {
    match command {
        KeysCommand::Publish => publish(session),
        KeysCommand::Revoke(args) => revoke(args, session),
        KeysCommand::List => list(session),
    }
}

fn revoke(args: &RevokeArgs, session: &Session<'_>) -> Result<(), Failure> {
    let wallet = session.wallet()?;
    let (from, sent) = runtime()?.block_on(async {
        let light = session.light(wallet.profile()).await?;
        let watch = PostageWatch::new(session.terminal);
        let progress = |tried, work| watch.hear(tried, work);
        wallet.revoke_keys(&light, args.sequence, args.from, &progress).await.map_err(failure)
    })?;
    let height = sent.place.map(|place| place.header.height);
    let place = height.map_or("accepted".into(), |height| format!("final in block {height}"));
    session.terminal.say(style::held(format_args!(
        "key bundle #{} is withdrawn from height {from} on, {place}  {}",
        args.sequence,
        short(sent.id)
    )));
    session.terminal.say("its secret stays here: what was sent to it before can still be read");
    let (sequence, id) = (args.sequence, sent.id.to_string());
    session.terminal.emit("sealpost/keys-revoke/1", &Revoked { sequence, from, id, height });
    Ok(())
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
    let published = runtime()?.block_on(async {
        let light = session.light(wallet.profile()).await?;
        light.bundle(&wallet.address()).await.map_err(failure)
    })?;
    let listed = Listed::new(&wallet, published);
    for sequence in &listed.here {
        session.terminal.say(format_args!("#{sequence}  secret is here"));
    }
    let published = &listed.published;
    match published {
        None => session.terminal.say("published: none; `sealpost keys publish` makes some"),
        Some(newest) => session.terminal.say(format_args!(
            "published: #{} in block {}, to be used until height {}",
            newest.sequence, newest.height, newest.valid_until
        )),
    }
    if let Some(from) = published.as_ref().and_then(|newest| newest.revoked_from) {
        session.terminal.warn(format_args!("the published keys are withdrawn from height {from} on"));
    }
    if published.as_ref().is_some_and(|newest| !newest.secret_here) {
        session.terminal.warn(
            "the published keys are not this wallet's: another copy of it published them, or somebody has its words",
        );
    }
    session.terminal.emit("sealpost/keys-list/1", &listed);
    Ok(())
}
