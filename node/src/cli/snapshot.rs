//! `snapshot`: a ledger as a directory that another machine can start from.

use super::check::{progress, still_aside, votes_aside};
use super::{home, read_genesis};
use crate::config::NodeSettings;
use crate::home::Home;
use crate::store::StoreOptions;
use crate::store::snapshot::{self, Checkpoint, SnapshotError, SnapshotReport};
use clap::{Args, Subcommand};
use confique::Layer as _;
use sealpost_ledger::genesis::Genesis;
use sealpost_ledger::height::BlockHeight;
use sealpost_terminal::{Failure, Terminal, bytes, create_private_folder, grouped, load_config, style};
use std::path::{Path, PathBuf};
use std::sync::Arc;

#[derive(Debug, Subcommand)]
pub(super) enum SnapshotCommand {
    /// Make a snapshot of this home's ledger; the node may be running
    Create(CreateArgs),
    /// Check a snapshot against the genesis
    Verify(VerifyArgs),
    /// Start an empty home from a snapshot: checked first, and every block run again
    Restore(VerifyArgs),
}

#[derive(Debug, Args)]
pub(super) struct CreateArgs {
    /// Folder to make; it must not exist, or be empty
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
}

#[derive(Debug, Args)]
pub(super) struct VerifyArgs {
    /// Folder of the snapshot
    #[arg(value_name = "DIR")]
    dir: PathBuf,
    /// Genesis of the network; without it, that of the home
    #[arg(long, value_name = "FILE")]
    genesis: Option<PathBuf>,
    /// A block that you know: a snapshot with another one at that height is refused
    #[arg(long, value_name = "HEIGHT:HASH")]
    checkpoint: Option<Checkpoint>,
}

#[derive(serde::Serialize)]
struct Said {
    snapshot: String,
    chain: String,
    height: BlockHeight,
    block: String,
    oldest_body_height: BlockHeight,
    bytes: u64,
}

#[derive(serde::Serialize)]
struct Restored {
    #[serde(flatten)]
    checked: Checked,
    votes: Option<String>,
}

#[derive(serde::Serialize)]
struct Checked {
    #[serde(flatten)]
    said: Said,
    transactions: u64,
    bodies: u64,
    absent_bodies: u64,
    state_entries: u64,
}

pub(super) fn snapshot(command: &SnapshotCommand, terminal: &Terminal) -> Result<(), Failure> {
    match command {
        SnapshotCommand::Create(args) => create(args, terminal),
        SnapshotCommand::Verify(args) => verify(args, terminal),
        SnapshotCommand::Restore(args) => restore(args, terminal),
    }
}

fn create(args: &CreateArgs, terminal: &Terminal) -> Result<(), Failure> {
    let home = home(terminal)?;
    let genesis = home.genesis()?;
    let manifest = snapshot::create(&home.data(), &genesis, &args.out, progress(terminal, "copied"))?;
    let said = said(&args.out, &manifest);
    terminal.say(style::held(format_args!(
        "{} holds the ledger up to block {}, {}",
        said.snapshot,
        grouped(said.height.get()),
        bytes(said.bytes)
    )));
    terminal.say(format_args!("block      {}", said.block));
    terminal.say("no key and no log of votes is in it; whoever restores it checks it against the genesis");
    terminal.emit("sealpost/snapshot-create/1", &said);
    Ok(())
}

fn verify(args: &VerifyArgs, terminal: &Terminal) -> Result<(), Failure> {
    let genesis = match &args.genesis {
        Some(path) => Arc::new(read_genesis(path)?),
        None => home(terminal)?.genesis()?,
    };
    let report = snapshot::verify(&args.dir, &genesis, args.checkpoint, progress(terminal, "checked"))?;
    let checked = checked(&args.dir, &report);
    tell(&checked, args.checkpoint, terminal);
    terminal.emit("sealpost/snapshot-verify/1", &checked);
    Ok(())
}

fn restore(args: &VerifyArgs, terminal: &Terminal) -> Result<(), Failure> {
    let layer = <NodeSettings as confique::Config>::Layer::empty();
    let settings: NodeSettings = load_config("node", terminal.globals(), layer)?;
    let home = home(terminal)?;
    let genesis = home_for(&home, args.genesis.as_deref())?;
    // What is made in it is not for others to read, whatever they may by default.
    create_private_folder(home.root())?;
    // Checked and written beside the data's place, which is empty and locked from here on.
    let restoration = snapshot::restore(
        &args.dir,
        &home.data(),
        &genesis,
        args.checkpoint,
        StoreOptions { archive: settings.archive, ..StoreOptions::default() },
        progress(terminal, "checked"),
    )?;
    // Before the data is there: a snapshot holds no log of votes, and the one in this home is of other data.
    let votes = home.set_votes_aside()?;
    let report = restoration.put_in_place().map_err(|error| match &votes {
        Some(aside) => put_back(&home, aside, error.into()),
        None => error.into(),
    })?;
    if !home.exists() {
        home.create(&genesis, None).map_err(|error| still_aside(votes.as_deref(), error.into()))?;
    }
    let checked = checked(&args.dir, &report);
    tell(&checked, args.checkpoint, terminal);
    terminal.say(format_args!("restored   {}", home.data().display()));
    if let Some(aside) = &votes {
        terminal.warn(votes_aside(aside));
    }
    // An attempt that was killed may have put the log away before this one.
    terminal.say(match votes.is_some() || home.lacks_votes() {
        true => "next       sealpost-node run --rejoin",
        false => "next       sealpost-node run",
    });
    let votes = votes.map(|path| path.display().to_string());
    terminal.emit("sealpost/snapshot-restore/1", &Restored { checked, votes });
    Ok(())
}

/// Nothing was restored, so the log of votes goes back to its place.
fn put_back(home: &Home, aside: &Path, failure: Failure) -> Failure {
    match home.put_votes_back(aside) {
        Ok(()) => failure,
        Err(error) => failure.because(&error).help(format!(
            "nothing was restored, so the log of votes binds as before: rename {} to {}",
            aside.display(),
            home.wal().display()
        )),
    }
}

/// The genesis to restore under. A home that has one keeps it, and none other is taken for it.
fn home_for(home: &Home, given: Option<&Path>) -> Result<Arc<Genesis>, Failure> {
    let given = given.map(read_genesis).transpose()?.map(Arc::new);
    match given {
        Some(given) if home.exists() => {
            let own = home.genesis()?;
            if own.chain_id() != given.chain_id() {
                let what = format!("{}: this home is of another network", home.root().display());
                return Err(Failure::usage(what).help("name another folder with --home"));
            }
            Ok(own)
        }
        Some(given) => Ok(given),
        None => Ok(home.genesis()?),
    }
}

fn said(dir: &Path, manifest: &snapshot::Manifest) -> Said {
    Said {
        snapshot: dir.display().to_string(),
        chain: manifest.chain.to_string(),
        height: manifest.height,
        block: manifest.block.to_string(),
        oldest_body_height: manifest.oldest_body_height,
        bytes: manifest.files.iter().fold(0, |sum, file| sum.saturating_add(file.bytes)),
    }
}

fn checked(dir: &Path, report: &SnapshotReport) -> Checked {
    Checked {
        said: said(dir, &report.manifest),
        transactions: report.transactions,
        bodies: report.bodies,
        absent_bodies: report.absent_bodies,
        state_entries: report.state_entries,
    }
}

fn tell(checked: &Checked, checkpoint: Option<Checkpoint>, terminal: &Terminal) {
    terminal.say(style::held(format_args!(
        "{} blocks, {} transactions, {} bodies, {} entries of the state: links, roots and certificates hold",
        grouped(checked.said.height.get()),
        grouped(checked.transactions),
        grouped(checked.bodies),
        grouped(checked.state_entries)
    )));
    terminal.say(format_args!("block      {}", checked.said.block));
    if checked.said.oldest_body_height > BlockHeight::FIRST {
        let oldest = grouped(checked.said.oldest_body_height.get());
        terminal.say(format_args!("bodies are there from block {oldest} on"));
    }
    if checked.absent_bodies > 0 {
        terminal.warn(format_args!(
            "{} bodies are not there that the network still keeps, and a node started from this snapshot won't have \
             them: its maker was still catching up, or withholds them. Take a snapshot of another node if you can",
            grouped(checked.absent_bodies)
        ));
    }
    if let Some(point) = checkpoint {
        terminal.say(style::held(format_args!("block {} is the one you know", point.height)));
    }
}

impl From<SnapshotError> for Failure {
    fn from(error: SnapshotError) -> Self {
        match error {
            SnapshotError::Store(error) => error.into(),
            SnapshotError::Check(error) => error.into(),
            error @ SnapshotError::Io { .. } => Failure::unavailable("store.io", error),
            error @ SnapshotError::NoSnapshot { .. } => Failure::no("snapshot.malformed", error),
            error @ SnapshotError::OtherChain { .. } => Failure::no("snapshot.other_chain", error),
            error @ SnapshotError::Damaged { .. } => {
                Failure::no("snapshot.damaged", error).help("copy or make it again; nothing was changed here")
            }
            error @ SnapshotError::Checkpoint { .. } => Failure::no("snapshot.checkpoint", error)
                .help("one of the two is of another history: ask where each came from"),
            error @ SnapshotError::Empty => Failure::no("snapshot.empty", error),
            error @ SnapshotError::Taken { .. } => {
                Failure::usage(error).help("name a folder that is new or empty, or move this one away")
            }
        }
    }
}
