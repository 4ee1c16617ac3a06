//! A node that is killed on entering a call that changes a file, at every kind of file and call: in its first life, in
//! later ones, and in the commands that make and mend its data. Whatever was reported final must be there afterwards,
//! `check` must find the ledger sound, and nothing may have been signed twice.

use crate::commands;
use crate::life::{Limits, counted, live, places_of};
use crate::station::Station;
use crate::traced::{self, Effect, told};
use crate::wallet;
use crate::witness::Witness;
use clap::{Args, ValueEnum};
use sealpost_tests::harness::random::Random;
use std::collections::BTreeMap;
use std::path::Path;

/// One of so many kills is in a first life.
const FIRST_LIVES: usize = 6;
/// The whole ledger is checked after so many kills of later lives.
const CHECK_EVERY: u64 = 25;
/// Kills that miss, because a life went otherwise than the one that was counted: no more than so many for each that hits.
const MISSES: u64 = 3;
/// Messages that a node has to bring in after a kill.
const GOES_ON: usize = 3;

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Program {
    Node,
    Wallet,
}

/// How many boundaries, of what.
#[derive(Debug, Clone, Args)]
pub(crate) struct Boundaries {
    /// Boundaries of the running node, and at most so many of the commands of each program; all of the latter without it
    #[arg(long)]
    pub(crate) count: Option<u64>,
    /// What all chance comes from
    #[arg(long, default_value_t = 1)]
    pub(crate) seed: u64,
    /// Only commands whose names contain this, and no running node
    #[arg(long)]
    pub(crate) command: Option<String>,
    /// Only so many of the commands of each program, which the seed chooses
    #[arg(long)]
    pub(crate) commands: Option<usize>,
    /// Only this program
    #[arg(long)]
    pub(crate) only: Option<Program>,
    /// A control: a validator whose log of votes is begun anew after each kill has to be found out
    #[arg(long)]
    pub(crate) forgetful: bool,
    /// A control: programs of the commands that write their files in place have to be found out
    #[arg(long)]
    pub(crate) in_place: bool,
}

impl Boundaries {
    /// Those of all commands that are to be run.
    pub(crate) fn some_of<T>(
        &self,
        mut all: Vec<T>,
        name: impl Fn(&T) -> &str,
        random: &mut Random,
    ) -> Vec<T> {
        all.retain(|one| self.command.as_ref().is_none_or(|part| name(one).contains(part.as_str())));
        while self.commands.is_some_and(|most| all.len() > most) {
            all.remove(random.below(all.len()));
        }
        all
    }
    /// Whether this program is to be tortured.
    pub(crate) fn includes_program(&self, program: Program) -> bool {
        self.only.is_none_or(|only| only == program)
    }
}

/// Where a kill leaves something that is whole and not synced.
const SYNCED_BY_A_START: [&str; 2] = ["blocks fdatasync", "bodies fdatasync"];
/// Boundaries of the running node without `--count`.
const COUNT: u64 = 60;

pub(crate) async fn run(boundaries: Boundaries) -> Result<String, String> {
    traced::check()?;
    let mut random = Random::new(boundaries.seed);
    let mut said = Vec::new();
    if boundaries.in_place {
        return commands::in_place();
    }
    if boundaries.includes_program(Program::Node) {
        if boundaries.command.is_none() {
            said.push(node(&boundaries, &mut random).await?);
        }
        if !boundaries.forgetful {
            // Chance of its own: how much of it the node took depends on how busy the machine was.
            said.push(commands::run(&boundaries, &mut Random::new(boundaries.seed)).await?);
        }
    }
    if boundaries.includes_program(Program::Wallet) && !boundaries.forgetful {
        said.push(wallet::writes(&boundaries, &mut Random::new(boundaries.seed))?);
    }
    Ok(said.join("; "))
}

/// Kills of the running node.
async fn node(boundaries: &Boundaries, random: &mut Random) -> Result<String, String> {
    let count = boundaries.count.unwrap_or(COUNT);
    let folder = tempfile::tempdir().map_err(|error| error.to_string())?;
    let (station, witness) = Witness::beside(folder.path())?;
    let alone = ["--p2p", "off"];
    let later = witness.arguments();
    // What is counted: a life from the beginning, and one that goes on.
    let fresh = Station::new(&folder.path().join("counted"));
    let first_life = places_of(&counted(&fresh, &alone).await?, &fresh);
    counted(&station, &later).await?;
    let later_life = places_of(&counted(&station, &later).await?, &station);
    let mut hits: BTreeMap<String, u64> = BTreeMap::new();
    let (mut done, mut missed, mut checks, mut messages, mut starting) = (0, 0, 0, 0, 0);
    while done < count {
        if missed > MISSES * (done + 10) {
            return Err(format!("{missed} faults did not come, {done} did: the harness counts wrongly"));
        }
        let first = random.below(FIRST_LIVES) == 0 && !boundaries.forgetful;
        let own = folder.path().join(format!("first-{done}-{missed}"));
        let places = if first { &first_life } else { &later_life };
        let (place, mut fault) = places.any(random);
        fault.effect = Effect::Kill;
        let fresh = first.then(|| Station::new(&own));
        let victim = fresh.as_ref().unwrap_or(&station);
        fault.path = fault.path.map(|path| victim.home().join(path));
        let args = if first { &alone[..] } else { &later[..] };
        let others = done;
        let after = |why: String| format!("killed at {place}, {fault:?}, after {others} others: {why}");
        let life = live(victim, args, Some(&fault), Limits::SHORT).await.map_err(after)?;
        if life.trace.hit(&fault).is_none() {
            if life.trace.killed || !life.ended_well() {
                return Err(after(format!("it ended by itself: {:?}", life.status)));
            }
            missed += 1;
        } else {
            *hits.entry(place.clone()).or_default() += 1;
            done += 1;
            starting += u64::from(!life.was_ready);
        }
        if SYNCED_BY_A_START.contains(&place.as_str()) && life.trace.hit(&fault).is_some() {
            // It was written, not synced, and will be told as final.
            let again = live(victim, args, None, Limits::SHORT).await.map_err(after)?;
            if !again.trace.syncs_first(fault.path.as_deref().unwrap_or(Path::new(""))) {
                return Err(after("the next start takes for safe what nobody has synced".into()));
            }
        }
        if boundaries.forgetful {
            forget_votes(victim.home())?;
        }
        goes_on(victim, args, random).await.map_err(after)?;
        if first {
            victim.keeps_all_and_is_sound().await.map_err(after)?;
            checks += 1;
            messages += victim.promised().len();
            // Failed runs keep theirs.
            std::fs::remove_dir_all(&own).map_err(|error| error.to_string())?;
        } else {
            witness.saw_no_double_vote().await.map_err(after)?;
            if done % CHECK_EVERY == 0 {
                station.check().map_err(after)?;
                checks += 1;
                println!("{done} kills at write boundaries, {missed} missed");
            }
        }
    }
    station.keeps_all_and_is_sound().await?;
    messages += station.promised().len();
    if done > 0 && messages == 0 {
        return Err("no message became final: nothing was tested".into());
    }
    Ok(format!(
        "{done} kills of the node at write boundaries ({}), {starting} of them before it was ready, {missed} more did \
         not come, {} whole checks, {messages} messages reported final, none lost, nothing signed twice",
        told(&hits),
        checks + 1
    ))
}

/// A start after a kill: everything is there, and it goes on.
pub(crate) async fn goes_on(station: &Station, args: &[&str], random: &mut Random) -> Result<(), String> {
    let node = station.launch(args).ready_or()?;
    station.keeps_newest(&node).await?;
    let (before, traffic) = (station.promised().len(), station.traffic(&node));
    station.promises(before, GOES_ON).await?;
    // One way or the other: the next life begins with what this one leaves.
    if random.below(2) == 0 {
        node.kill();
        traffic.ended().await;
    } else {
        traffic.stop().await;
        node.stop();
    }
    Ok(())
}

/// Begins the log of votes anew, as nobody may.
fn forget_votes(home: &Path) -> Result<(), String> {
    const HEAD: [u8; 12] = [0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0];
    std::fs::write(home.join("node/consensus.wal"), HEAD).map_err(|error| error.to_string())
}
