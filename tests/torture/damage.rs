//! Damage: in a copy of a full node's data one file is changed. `check` must name it, or the change is of no weight; and
//! what its words advise must bring everything back that was reported final, from the network if need be.

use crate::Times;
use crate::station::Station;
use sealpost_tests::harness::random::Random;
use sealpost_tests::json;
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

/// Messages of the ledger.
const MESSAGES: usize = 400;
/// Longest time until a node has caught up.
const PATIENCE: Duration = Duration::from_secs(60);
const SECTOR: usize = 512;

/// What happens to a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Blow {
    Bit(usize),
    Cut(usize),
    Sector(usize),
}

pub(crate) async fn run(times: Times) -> Result<String, String> {
    let folder = tempfile::tempdir().map_err(|error| error.to_string())?;
    let source = Station::new(&make(folder.path(), "source"));
    let validator = source.launch(&["--p2p", "/ip4/127.0.0.1/tcp/0"]).ready_or()?;
    let traffic = source.traffic(&validator);
    source.promises(0, MESSAGES).await?;
    traffic.stop().await;
    let peer = validator.said("p2p");

    let whole = make(folder.path(), "whole");
    let genesis = source.home().join("node/genesis.json").display().to_string();
    json("sealpost-node", &whole, &["init", "--genesis", &genesis]);
    let whole = source.copied_to(&whole);
    follow(&whole, &peer).await?;
    whole.check()?;

    let mut random = Random::new(times.seed);
    let mut found: BTreeMap<&str, u64> = BTreeMap::new();
    for number in 1..=times.count {
        let victim = source.copied_to(&folder.path().join("victim"));
        copy(whole.home(), victim.home());
        let (file, blow) = strike(&victim.home().join("node/data"), &mut random);
        let what = |why: String| format!("damage {number}, {blow:?} to {}: {why}", file.display());
        let outcome = overcome(&victim, &file, &peer).await.map_err(what)?;
        *found.entry(outcome).or_default() += 1;
        if number % 25 == 0 {
            println!("{number} damages: {found:?}");
        }
    }
    validator.stop();
    if found.keys().all(|outcome| *outcome == NO_WEIGHT) {
        return Err("no damage was noticed: nothing was tested".into());
    }
    let told: Vec<_> = found.iter().map(|(outcome, count)| format!("{count} {outcome}")).collect();
    Ok(format!("{} damages ({}), {} messages each time, none lost", times.count, told.join(", "), MESSAGES))
}

const NO_WEIGHT: &str = "of no weight";

/// Does what the node's own words advise, until the node has everything. Says what it took.
async fn overcome(victim: &Station, file: &Path, peer: &str) -> Result<&'static str, String> {
    let outcome = match victim.check() {
        Ok(()) => NO_WEIGHT,
        Err(said) => {
            let index = victim.home().join("node/data/index");
            let name = file.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
            if said.contains(&format!("delete {}", index.display())) {
                fs::remove_dir_all(&index).map_err(|error| error.to_string())?;
                "noticed and the index made anew"
            } else if said.contains(&name) && said.contains("delete the file") {
                fs::remove_file(file).map_err(|error| error.to_string())?;
                "noticed and the file written anew"
            } else if said.contains(&name) && said.contains("--repair") {
                let repaired =
                    sealpost_tests::run("sealpost-node", victim.home(), &["check", "--repair", "--json"]);
                if !repaired.status.success() {
                    return Err(String::from_utf8_lossy(&repaired.stderr).into_owned());
                }
                "noticed and repaired"
            } else {
                return Err(format!("check does not say where the damage is and what to do: {said}"));
            }
        }
    };
    follow(victim, peer).await?;
    victim.check().map(|()| outcome)
}

/// Starts a full node, waits until it has everything that was promised, and stops it.
async fn follow(station: &Station, peer: &str) -> Result<(), String> {
    let args = ["--p2p", "/ip4/127.0.0.1/tcp/0", "--bootstrap", peer];
    let node = station.launch(&args).ready_or()?;
    let since = Instant::now();
    loop {
        let kept = station.keeps_newest(&node).await;
        match kept {
            Ok(()) => break,
            Err(why) if since.elapsed() > PATIENCE => return Err(why),
            Err(_) => tokio::time::sleep(Duration::from_millis(50)).await,
        }
    }
    station.keeps_all(&node).await?;
    node.stop();
    Ok(())
}

fn make(folder: &Path, name: &str) -> PathBuf {
    let path = folder.join(name);
    fs::create_dir_all(&path).expect("a folder");
    path
}

fn copy(from: &Path, to: &Path) {
    if to.exists() {
        fs::remove_dir_all(to).expect("removed");
    }
    // Index files are mostly holes.
    let copied = Command::new("cp").args(["-a", "--sparse=always"]).args([from, to]).status();
    assert!(copied.expect("cp runs").success());
}

/// Changes one file below a folder, chosen by chance, of the journal as often as of all others; says which, and how.
/// Sectors that hold nothing, of which the index's files are full, are left alone.
fn strike(folder: &Path, random: &mut Random) -> (PathBuf, Blow) {
    let mut files = Vec::new();
    list(folder, &mut files);
    files.sort();
    let (journal, others): (Vec<_>, Vec<_>) = files
        .into_iter()
        .partition(|(path, _)| path.parent().is_some_and(|folder| folder.ends_with("journal")));
    let files = if random.below(2) == 0 { &journal } else { &others };
    loop {
        let (file, length) = &files[random.below(files.len())];
        let place = usize::try_from(random.next() % length).expect("a small file");
        let mut bytes = fs::read(file).expect("read");
        let start = place - place % SECTOR;
        let end = (start + SECTOR).min(bytes.len());
        if bytes[start..end].iter().all(|byte| *byte == 0) {
            continue;
        }
        let blow = match random.below(3) {
            0 => {
                bytes[place] ^= 1 << random.below(8);
                Blow::Bit(place)
            }
            1 => {
                bytes.truncate(place);
                Blow::Cut(place)
            }
            _ => {
                bytes[start..end].fill(0);
                Blow::Sector(start)
            }
        };
        fs::write(file, bytes).expect("written");
        return (file.clone(), blow);
    }
}

/// All files that hold something, but the lock.
fn list(folder: &Path, files: &mut Vec<(PathBuf, u64)>) {
    for entry in fs::read_dir(folder).expect("a folder") {
        let entry = entry.expect("an entry");
        let (path, about) = (entry.path(), entry.metadata().expect("a file"));
        if about.is_dir() {
            list(&path, files);
        } else if about.len() > 0 && !path.ends_with("LOCK") && !path.ends_with("lock") {
            files.push((path, about.len()));
        }
    }
}
