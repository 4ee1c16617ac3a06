//! `db`: what lies on disk, and dropping what is out of retention.

use super::check::say_torn;
use super::home;
use crate::config::NodeSettings;
use crate::store::{self, Store, StoreOptions, StoreStats};
use clap::{Args, Subcommand};
use confique::Layer as _;
use sealpost_ledger::height::BlockHeight;
use sealpost_terminal::{Failure, Terminal, bytes, grouped, load_config};

#[derive(Debug, Subcommand)]
pub(super) enum DbCommand {
    /// Say what lies on disk; the node may be running
    Stats,
    /// Drop the bodies of a stopped node that are out of the network's retention
    Prune(PruneArgs),
}

#[derive(Debug, Args)]
pub(super) struct PruneArgs {
    /// Make an archive an ordinary node: without this, its data is not touched. Its old bodies go for good
    #[arg(long)]
    give_up_archive: bool,
}

#[derive(serde::Serialize)]
struct Pruned {
    height: BlockHeight,
    oldest_body_height: BlockHeight,
    dropped_bytes: u64,
    dropped_segments: u64,
}

pub(super) fn db(command: &DbCommand, terminal: &Terminal) -> Result<(), Failure> {
    match command {
        DbCommand::Stats => stats(terminal),
        DbCommand::Prune(args) => prune(args, terminal),
    }
}

fn stats(terminal: &Terminal) -> Result<(), Failure> {
    let home = home(terminal)?;
    let found = store::stats(&home.data(), &*home.genesis()?)?;
    let StoreStats { headers_bytes, headers_segments, bodies_bytes, bodies_segments, .. } = found;
    terminal.say(format_args!("height     {}", grouped(found.height.get())));
    terminal.say(format_args!("blocks     {} in {headers_segments} files", bytes(headers_bytes)));
    terminal.say(format_args!(
        "bodies     {} in {bodies_segments} files, from block {} on",
        bytes(bodies_bytes),
        grouped(found.oldest_body_height.get())
    ));
    terminal.say(format_args!("index      {}", bytes(found.index_bytes)));
    match found.retention_blocks {
        0 => terminal.say("retention  this network keeps bodies for ever"),
        blocks => terminal.say(format_args!("retention  bodies of the last {} blocks", grouped(blocks))),
    }
    if found.equivocations > 0 {
        terminal.say(format_args!("recorded   {} equivocations", grouped(found.equivocations)));
    }
    if !found.running {
        say_torn(found.torn_bytes, terminal);
    }
    terminal.emit("sealpost/db-stats/1", &found);
    Ok(())
}

fn prune(args: &PruneArgs, terminal: &Terminal) -> Result<(), Failure> {
    let layer = <NodeSettings as confique::Config>::Layer::empty();
    let settings: NodeSettings = load_config("node", terminal.globals(), layer)?;
    if settings.archive {
        return Err(Failure::usage("this node is an archive: it keeps all bodies")
            .help("set `archive = false` in its settings first"));
    }
    let home = home(terminal)?;
    let (data, genesis) = (home.data(), home.genesis()?);
    let before = store::stats(&data, &genesis)?;
    if args.give_up_archive && store::give_up_archive(&data, &genesis)? {
        terminal.say("this data is no archive's any more");
    }
    let (store, _) = Store::open(&data, genesis.clone(), StoreOptions::default())?;
    store.prune()?;
    drop(store);
    let after = store::stats(&data, &genesis)?;
    let pruned = Pruned {
        height: after.height,
        oldest_body_height: after.oldest_body_height,
        dropped_bytes: before.bodies_bytes.saturating_sub(after.bodies_bytes),
        dropped_segments: before.bodies_segments.saturating_sub(after.bodies_segments),
    };
    match pruned.dropped_segments {
        0 => terminal.say("nothing is old enough to go: files of bodies go whole, once all of a file is old"),
        files => terminal.say(format_args!(
            "dropped {} in {files} files; bodies are there from block {} on",
            bytes(pruned.dropped_bytes),
            grouped(pruned.oldest_body_height.get())
        )),
    }
    terminal.emit("sealpost/db-prune/1", &pruned);
    Ok(())
}
