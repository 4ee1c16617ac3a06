//! A disk that fails: a sync or a write that ends with an error, once or from then on. A node must stop, say why, and
//! have reported nothing final that was not safe: what was not synced is cut off before it starts again, as a disk may
//! lose it. A command of the wallet must say which file it was, and leave what was there as it was.

use crate::cases::cases;
use crate::jobs::Done;
use crate::life::{Life, Limits, Places, counted, live, places_of};
use crate::room::Small;
use crate::traced::{self, Call, Effect, Fault, SYNCS, told};
use crate::wallet::{Scene, World};
use crate::witness::Witness;
use crate::writes::{Boundaries, Program, goes_on};
use sealpost_tests::harness::random::Random;
use sealpost_tests::harness::skip::all_is_required;
use sealpost_tests::last_lines;
use std::collections::BTreeMap;
use std::fs;
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::Output;

/// Faults of the running node without `--count`.
const COUNT: u64 = 30;
/// Faults that do not come, for each that does.
const MISSES: u64 = 3;
/// What a node has to sync, or it promises what it can't keep.
const SYNCED: [&str; 4] = ["blocks", "bodies", "proposals", "votes"];
/// Exit code of a node that something around it keeps from its work.
const UNAVAILABLE: i32 = 3;
const SIGBUS: i32 = 7;

pub(crate) async fn run(boundaries: Boundaries) -> Result<String, String> {
    traced::check()?;
    let mut random = Random::new(boundaries.seed);
    let mut said = Vec::new();
    if boundaries.includes_program(Program::Node) && boundaries.command.is_none() {
        said.push(node(boundaries.count.unwrap_or(COUNT), &mut random).await?);
    }
    if boundaries.includes_program(Program::Wallet) {
        // Chance of its own: how much of it the node took depends on how busy the machine was.
        said.push(wallet(&boundaries, &mut Random::new(boundaries.seed))?);
    }
    Ok(said.join("; "))
}

async fn node(count: u64, random: &mut Random) -> Result<String, String> {
    let folder = tempfile::tempdir().map_err(|error| error.to_string())?;
    let (station, witness) = Witness::beside(folder.path())?;
    let args = witness.arguments();
    let counted = counted(&station, &args).await?;
    let (mut syncs, writes) = (places_of(&counted, &station), places_of(&counted, &station));
    syncs = syncs.only(|name| SYNCS.iter().any(|sync| name.ends_with(sync)));
    if let Some(missing) = SYNCED.iter().find(|kind| !syncs.names().any(|name| name.starts_with(*kind))) {
        return Err(format!("the node never syncs its {missing}: no fault can come there"));
    }
    let writes = writes.only(|name| name.ends_with("write") || name.ends_with("write64"));
    let mut hits: BTreeMap<String, u64> = BTreeMap::new();
    let (mut done, mut missed) = (0, 0);
    while done < count {
        if missed > MISSES * (done + 10) {
            return Err(format!("{missed} faults did not come, {done} did: the harness counts wrongly"));
        }
        let (place, fault) = choose(&syncs, &writes, random);
        let fault = Fault { path: fault.path.map(|path| station.home().join(path)), ..fault };
        let before = fs::read_to_string(station.log()).unwrap_or_default().len();
        let others = done;
        let after = |why: String| format!("{place}, {fault:?}, after {others} others: {why}");
        let life = live(&station, &args, Some(&fault), Limits::SHORT).await.map_err(after)?;
        if life.trace.hit(&fault).is_some() {
            let log = fs::read_to_string(station.log()).unwrap_or_default();
            stopped_with_words(&life, log.get(before..).unwrap_or_default()).map_err(after)?;
            lose_unsynced(&life, fault.path.as_deref().unwrap_or(Path::new(""))).map_err(after)?;
            *hits.entry(format!("{place} {:?}", fault.effect)).or_default() += 1;
            done += 1;
        } else if !life.ended_well() {
            return Err(after(format!("it ended by itself: {:?}", life.status)));
        } else {
            missed += 1;
        }
        goes_on(&station, &args, random).await.map_err(after)?;
        witness.saw_no_double_vote().await.map_err(after)?;
    }
    station.keeps_all_and_is_sound().await?;
    match station.promised().len() {
        0 => Err("no message became final: nothing was tested".into()),
        messages => Ok(format!(
            "{done} failing calls of the node ({}), {missed} more did not come, {messages} messages reported final, none \
             lost, nothing signed twice",
            told(&hits)
        )),
    }
}

/// Syncs twice as often as writes, and each way of failing.
fn choose(syncs: &Places, writes: &Places, random: &mut Random) -> (String, Fault) {
    let sync = random.below(3) > 0;
    let (place, fault) = if sync { syncs } else { writes }.any(random);
    let effect = match random.below(3) {
        0 => Effect::FailFromThere("EIO"),
        1 if !sync => Effect::Fail("ENOSPC"),
        _ => Effect::Fail("EIO"),
    };
    (place, Fault { effect, ..fault })
}

/// A node whose disk has failed ends by itself, or as it was told to meanwhile, and says why.
fn stopped_with_words(life: &Life, log: &str) -> Result<(), String> {
    let status = life.status.ok_or("nobody knows how it ended")?;
    let ended = status.code() == Some(UNAVAILABLE) || status.signal() == Some(SIGBUS);
    let told = log.contains("Input/output error") || log.contains("No space left on device");
    match (ended || life.told_to_stop, told) {
        (true, true) => Ok(()),
        _ => Err(format!(
            "it ended with {status}, told to: {}, and said last:\n{}",
            life.told_to_stop,
            last_lines(log, 8)
        )),
    }
}

/// Cuts off what was written to a file that only grows and was not synced. One that was shortened since its last sync
/// stays as it is: what it was before is not known.
fn lose_unsynced(life: &Life, path: &Path) -> Result<(), String> {
    let text = path.to_string_lossy();
    if !["headers-", "bodies-", "proposals-", "consensus.wal"].iter().any(|name| text.contains(name)) {
        return Ok(());
    }
    let mut unsynced: i64 = 0;
    for call in life.trace.calls.iter().filter(|call| call.paths.iter().any(|named| named == path)) {
        match (call.name.as_str(), call.returned) {
            ("write" | "writev", Some(bytes)) if bytes > 0 => unsynced += bytes,
            ("fsync" | "fdatasync", Some(0)) => unsynced = 0,
            ("ftruncate", Some(0)) => return Ok(()),
            _ => {}
        }
    }
    let file = fs::OpenOptions::new().write(true).open(path).map_err(|error| error.to_string())?;
    let length = file.metadata().map_err(|error| error.to_string())?.len();
    let kept = length.saturating_sub(u64::try_from(unsynced).unwrap_or(0));
    file.set_len(kept).map_err(|error| error.to_string())
}

fn wallet(boundaries: &Boundaries, random: &mut Random) -> Result<String, String> {
    let mut done = Done::default();
    let mut left_out = String::new();
    for case in boundaries.some_of(cases(), |case| case.name, random) {
        let world = World::new()?;
        let sync = |call: &Call| SYNCS.contains(&call.name.as_str());
        let named = |_: &Scene<'_>, output: &Output, call: &Call| names_the_file(output, call);
        let chosen = (boundaries.count, &mut *random);
        let put = world.put(&case, Effect::Fail("EIO"), &sync, &named, &mut done, chosen);
        done.note(put);
        match Small::below(world.folder()) {
            Ok(small) => {
                let put = small.put(&world, &case, &mut done, (boundaries.count, &mut *random));
                done.note(put);
            }
            // In CI nothing is left out.
            Err(why) if all_is_required() => return Err(why),
            Err(why) => left_out = format!("; full disks were left out, which needs root: {why}"),
        }
        done.told_of(case.name, "failing calls");
    }
    done.held()?;
    Ok(done.summary("failing calls of the wallet") + &left_out)
}

/// A command whose file could not be written fails, and names the file or its folder. Where it goes on without, as it
/// may with what it asks the node for by the way, it warns of it.
pub(crate) fn names_the_file(output: &Output, call: &Call) -> Result<(), String> {
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    let folders = call.paths.iter().flat_map(|path| [Some(path.as_path()), path.parent()]).flatten();
    let folders: Vec<_> = folders.map(|folder| folder.display().to_string()).collect();
    let schema = if output.status.success() { "sealpost/warning/1" } else { "sealpost/error/1" };
    let mut lines = said.lines().filter(|line| line.contains(schema));
    match lines.any(|line| folders.iter().any(|folder| line.contains(folder))) {
        true => Ok(()),
        false => Err("it does not say what failed".into()),
    }
}
