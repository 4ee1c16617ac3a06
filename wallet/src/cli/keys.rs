//! `keys`: the life of encryption keys: publish, rotate, withdraw, destroy, and list them as the ledger has them.

use super::own_keys::{self, tell, tell_tended};
use super::progress::PostageWatch;
use super::{Session, runtime};
use crate::failure;
use crate::keystore::Moment;
use crate::wallet::{
    BundleState, Foreign, OwnBundle, OwnKeys, Postponed, Rotated, Standing, Wallet, WalletError,
};
use clap::{Subcommand, ValueEnum};
use sealpost_ledger::height::BlockHeight;
use sealpost_terminal::{Failure, clock, rfc3339, short, style};

#[derive(Debug, Clone, Subcommand)]
pub(super) enum KeysCommand {
    /// Make new encryption keys and publish them; they supersede those before
    Publish,
    /// Supersede the published keys by new ones; the old ones open what was sent to them until their grace
    /// period ends
    Rotate(RotateArgs),
    /// Withdraw a key bundle: from a height on, nobody encrypts to it
    Revoke(RevokeArgs),
    /// Do what is due: rotate old keys, destroy those past their grace period
    #[command(after_help = "`inbox --follow` does the same while it runs. For a machine that runs no wallet:
  a timer or cron job with `sealpost keys tend`, once a day")]
    Tend,
    /// Keep superseded keys for ever, or destroy them after their grace period
    Archival(ArchivalArgs),
    /// List this wallet's key bundles, checked against the ledger
    List(ListArgs),
}

#[derive(Debug, Clone, clap::Args)]
pub(super) struct RotateArgs {
    /// Supersede keys that this wallet did not publish: yours from another copy, or a stranger's
    #[arg(long)]
    take_back: bool,
}

#[derive(Debug, Clone, clap::Args)]
pub(super) struct RevokeArgs {
    /// Sequence number of the bundle; without it the newest
    sequence: Option<u64>,
    /// First height at which it is not used any more; without it, a few blocks from now
    #[arg(long, value_name = "HEIGHT")]
    from: Option<BlockHeight>,
}

#[derive(Debug, Clone, clap::Args)]
pub(super) struct ArchivalArgs {
    /// Whether to keep them
    #[arg(value_enum)]
    keep: Switch,
}

#[derive(Debug, Clone, clap::Args)]
pub(super) struct ListArgs {
    /// List at most so many of those on the ledger, the newest first
    #[arg(short = 'n', long, value_name = "N", default_value_t = 25, value_parser = clap::value_parser!(u32).range(1..))]
    limit: u32,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Switch {
    On,
    Off,
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
    sequence: u64,
    id: Option<String>,
    height: Option<BlockHeight>,
}

#[derive(serde::Serialize)]
struct Cared {
    rotated: Option<Published>,
    destroyed: Vec<u64>,
    /// Letters that went with them though they should have been kept.
    lost: usize,
    postponed: Vec<Waits>,
}

/// A secret that waits for letters that could not be kept.
#[derive(serde::Serialize)]
struct Waits {
    sequence: u64,
    letters: usize,
    /// When it is destroyed all the same.
    until: String,
}

#[derive(serde::Serialize)]
struct Archival {
    archival: bool,
    changed: bool,
}

#[derive(serde::Serialize)]
pub(super) struct Listed {
    here: Vec<u64>,
    published: Option<Newest>,
    archival: bool,
    alarm: Option<String>,
    bundles: Vec<Entry>,
}

impl Listed {
    pub(super) fn new(wallet: &Wallet, own: &OwnKeys, bundles: &[OwnBundle]) -> Self {
        let published = own.newest.as_ref().map(|record| Newest {
            sequence: record.bundle.sequence,
            height: record.height,
            valid_until: record.bundle.valid_until,
            revoked_from: record.revoked_from,
            secret_here: own.standing == Standing::Ours,
        });
        let alarm = match own.standing {
            Standing::Alarm(alarm) => Some(alarm.to_string()),
            _ => None,
        };
        Self {
            here: wallet.bundles().iter().map(|secret| secret.sequence).collect(),
            published,
            archival: wallet.is_archival(),
            alarm,
            bundles: bundles.iter().map(entry).collect(),
        }
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

#[derive(serde::Serialize)]
struct Entry {
    sequence: u64,
    state: &'static str,
    secret_here: bool,
    ours: bool,
    height: Option<BlockHeight>,
    time: Option<String>,
    valid_until: Option<BlockHeight>,
    withdrawn_from: Option<BlockHeight>,
    superseded_at: Option<BlockHeight>,
    #[serde(skip_serializing_if = "Option::is_none")]
    grace_until_height: Option<BlockHeight>,
    #[serde(skip_serializing_if = "Option::is_none")]
    grace_until: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    destroyed: Option<String>,
}

pub(super) fn keys(command: &KeysCommand, session: &Session<'_>) -> Result<(), Failure> {
    match command {
        KeysCommand::Publish => {
            let published = rotate(session, Foreign::Refuse)?;
            session.terminal.emit("sealpost/keys-publish/1", &published);
            Ok(())
        }
        KeysCommand::Rotate(args) => {
            let foreign = if args.take_back { Foreign::Supersede } else { Foreign::Refuse };
            let published = rotate(session, foreign)?;
            session.terminal.emit("sealpost/keys-rotate/1", &published);
            Ok(())
        }
        KeysCommand::Revoke(args) => revoke(args, session),
        KeysCommand::Tend => tend(session),
        KeysCommand::Archival(args) => archival(args, session),
        KeysCommand::List(args) => list(args, session),
    }
}

fn rotate(session: &Session<'_>, foreign: Foreign) -> Result<Published, Failure> {
    let mut wallet = session.wallet()?;
    let rotated = runtime()?.block_on(async {
        let light = session.light(wallet.profile()).await?;
        let watch = PostageWatch::new(session.terminal);
        let progress = |tried, work| watch.hear(tried, work);
        wallet.rotate_keys(&light, &session.terms(), foreign, &progress).await.map_err(failure)
    })?;
    let published = published(&rotated);
    let place = published.height.map_or("accepted".into(), |height| format!("final in block {height}"));
    let id = rotated.sent.as_ref().map_or_else(
        || "an earlier run had published it; nothing was done twice".into(),
        |sent| short(sent.id),
    );
    session.terminal.say(style::held(format_args!("key bundle #{} {place}  {id}", rotated.sequence)));
    if wallet.bundles().len() > 1 {
        let days = session.settings.keys.grace_days;
        let fate = match wallet.is_archival() {
            true => "this wallet is archival and keeps them".to_owned(),
            false => format!("they are destroyed when their grace period is over, after {days} days"),
        };
        session.terminal.note(format_args!("The keys before still open what was sent to them; {fate}."));
    }
    Ok(published)
}

pub(super) fn published(rotated: &Rotated) -> Published {
    Published {
        sequence: rotated.sequence,
        id: rotated.sent.as_ref().map(|sent| sent.id.to_string()),
        height: rotated.published.map(|block| block.height),
    }
}

fn revoke(args: &RevokeArgs, session: &Session<'_>) -> Result<(), Failure> {
    let mut wallet = session.wallet()?;
    let (sequence, from, sent) = runtime()?.block_on(async {
        let light = session.light(wallet.profile()).await?;
        let watch = PostageWatch::new(session.terminal);
        let progress = |tried, work| watch.hear(tried, work);
        wallet.revoke_keys(&light, args.sequence, args.from, &progress).await.map_err(failure)
    })?;
    let height = sent.place.map(|place| place.header.height);
    let place = height.map_or("accepted".into(), |height| format!("final in block {height}"));
    session.terminal.say(style::held(format_args!(
        "key bundle #{sequence} is withdrawn from height {from} on, {place}  {}",
        short(sent.id)
    )));
    session.terminal.say("a secret that is here stays: what was sent to it before can still be read");
    session.terminal.note("Nobody can write to you before `sealpost keys rotate` publishes new keys.");
    session
        .terminal
        .emit("sealpost/keys-revoke/1", &Revoked { sequence, from, id: sent.id.to_string(), height });
    Ok(())
}

fn tend(session: &Session<'_>) -> Result<(), Failure> {
    let mut wallet = session.wallet()?;
    let tended = runtime()?.block_on(async {
        let light = session.light(wallet.profile()).await?;
        let watch = PostageWatch::new(session.terminal);
        let progress = |tried, work| watch.hear(tried, work);
        own_keys::tend(session, &mut wallet, &light, &progress).await
    })?;
    if let Standing::Alarm(alarm) = tended.own.standing {
        return Err(failure(WalletError::ForeignKeys { alarm }));
    }
    let terminal = session.terminal;
    tell_tended(terminal, &tended);
    match tended.own.standing {
        Standing::Ours
            if tended.rotated.is_none() && tended.destroyed.is_empty() && tended.postponed.is_empty() =>
        {
            terminal.note("Nothing is due.");
        }
        Standing::Ours => {}
        _ => tell(terminal, &tended.own),
    }
    let rotated = tended.rotated.as_ref().map(published);
    let postponed = tended.postponed.iter().map(|&Postponed { sequence, letters, until_ms }| Waits {
        sequence,
        letters,
        until: rfc3339(until_ms),
    });
    let (destroyed, lost, postponed) = (tended.destroyed, tended.lost, postponed.collect());
    terminal.emit("sealpost/keys-tend/1", &Cared { rotated, destroyed, lost, postponed });
    Ok(())
}

fn archival(args: &ArchivalArgs, session: &Session<'_>) -> Result<(), Failure> {
    let mut wallet = session.wallet()?;
    let keep = args.keep == Switch::On;
    if wallet.is_archival() != keep {
        let question = match keep {
            true => {
                "Keep superseded keys for ever? Old messages stay readable: for you, and for whoever gets this \
                 wallet and its passphrase, now or in many years."
            }
            false => {
                "Destroy superseded keys after their grace period? What was sent to them can't be opened any more \
                 then, by anybody; those past it are destroyed with the next `keys tend`."
            }
        };
        if !session.terminal.confirm(question)? {
            return Err(Failure::locked("confirm.no", "nothing was changed"));
        }
    }
    let changed = wallet.set_archival(keep).map_err(failure)?;
    let what = if keep {
        "superseded keys are kept"
    } else {
        "superseded keys are destroyed after their grace period"
    };
    session.terminal.say(style::held(what));
    session.terminal.emit("sealpost/keys-archival/1", &Archival { archival: keep, changed });
    Ok(())
}

fn list(args: &ListArgs, session: &Session<'_>) -> Result<(), Failure> {
    let mut wallet = session.wallet()?;
    let most = usize::try_from(args.limit).unwrap_or(usize::MAX);
    let (own, bundles) = runtime()?.block_on(async {
        let light = session.light(wallet.profile()).await?;
        wallet.list_bundles(&light, &session.terms(), most).await.map_err(failure)
    })?;
    let terminal = session.terminal;
    bundles.iter().for_each(|bundle| terminal.say(line(bundle, wallet.is_archival())));
    if own.newest.is_none() {
        terminal.say("published: none; `sealpost keys publish` makes some");
    }
    if let Some(from) = own.newest.as_ref().and_then(|record| record.revoked_from) {
        terminal.warn(format_args!("the newest keys are withdrawn from height {from} on"));
    }
    terminal.emit("sealpost/keys-list/1", &Listed::new(&wallet, &own, &bundles));
    if let Standing::Alarm(alarm) = own.standing {
        return Err(failure(WalletError::ForeignKeys { alarm }));
    }
    tell(terminal, &own);
    Ok(())
}

fn line(bundle: &OwnBundle, archival: bool) -> String {
    let place = |moment: &Moment| format!("block {}, {}", moment.height, clock(moment.time_ms));
    let published = bundle.published.as_ref().map_or_else(|| "in no block".into(), place);
    let state = match (bundle.state, bundle.grace_ends, bundle.destroyed_ms) {
        (BundleState::Unpublished, ..) => "made here, not published: `keys rotate` uses it".into(),
        (BundleState::Live, ..) => match bundle.valid_until {
            Some(until) => format!("live, to be used until height {until}"),
            None => "live".into(),
        },
        (BundleState::Expired, ..) => "past its last height: nobody encrypts to it".into(),
        (BundleState::Withdrawn, ..) => "withdrawn: nobody encrypts to it".into(),
        (BundleState::InGrace | BundleState::Superseded, ..) if archival => "superseded, kept".into(),
        (BundleState::InGrace, Some(end), _) => {
            format!("superseded, in grace until {} and height {}", clock(end.time_ms), end.height)
        }
        (BundleState::Destroyed, _, Some(at)) => format!("destroyed on {}", clock(at)),
        (BundleState::InGrace, None, _) => "superseded, in grace".into(),
        (BundleState::Superseded, ..) => "superseded, past its grace period".into(),
        (BundleState::Destroyed, ..) => "destroyed".into(),
        (BundleState::Elsewhere, ..) => "not this copy's".into(),
    };
    let secret = if bundle.secret_here { "secret is here" } else { "no secret here" };
    format!("#{:<4} {published:<40} {secret:<15} {state}", bundle.sequence)
}

fn entry(bundle: &OwnBundle) -> Entry {
    Entry {
        sequence: bundle.sequence,
        state: bundle.state.name(),
        secret_here: bundle.secret_here,
        ours: bundle.ours,
        height: bundle.published.map(|block| block.height),
        time: bundle.published.map(|block| rfc3339(block.time_ms)),
        valid_until: bundle.valid_until,
        withdrawn_from: bundle.withdrawn_from,
        superseded_at: bundle.superseded.map(|block| block.height),
        grace_until_height: bundle.grace_ends.map(|end| end.height),
        grace_until: bundle.grace_ends.map(|end| rfc3339(end.time_ms)),
        destroyed: bundle.destroyed_ms.map(rfc3339),
    }
}
