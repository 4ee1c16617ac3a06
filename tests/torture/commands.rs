//! The commands of the node that make and mend what is on disk, each with a fault at every call that changes a file:
//! `init`, `testnet`, `snapshot create` and `restore`, `check --repair`.

use crate::jobs::{Done, Job, copy, said};
use crate::station::Station;
use crate::traced::{Call, Effect, told};
use crate::writes::Boundaries;
use sealpost_tests::harness::random::Random;
use sealpost_tests::{Server, command, run as run_node};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// Messages of the ledger that is copied and mended.
const MESSAGES: usize = 40;

/// Kills at all write boundaries, or at some of each command.
pub(crate) async fn run(boundaries: &Boundaries, random: &mut Random) -> Result<String, String> {
    let folder = tempfile::tempdir().map_err(|error| error.to_string())?;
    let ledger = Ledger::new(folder.path()).await?;
    let mut done = Done::default();
    for job in boundaries.some_of(ledger.jobs(), |job| job.name, random) {
        let after = |place: &Path, _: &Output, _: &Call| (job.after)(place);
        let put = Job { name: job.name, begin: &*job.begin, after: &after };
        let put =
            done.every_fault(folder.path(), &put, Effect::Kill, &|_| true, (boundaries.count, &mut *random));
        done.note(put);
        done.told_of(job.name, "kills");
    }
    done.held()?;
    Ok(format!(
        "{} kills of the node's commands at write boundaries ({}), {} more did not come",
        done.count(),
        told(&done.jobs),
        done.missed
    ))
}

/// A control: a script that writes its file in place has to be found out.
pub(crate) fn in_place() -> Result<String, String> {
    let folder = tempfile::tempdir().map_err(|error| error.to_string())?;
    let begin = |place: &Path| {
        let file = place.join("file");
        fs::write(&file, "old").map_err(|error| error.to_string())?;
        let mut script = Command::new("sh");
        script.args(["-c", "printf half > \"$0\"; printf ' and half' >> \"$0\""]).arg(file);
        Ok(script)
    };
    let after = |place: &Path, _: &Output, _: &Call| match fs::read_to_string(place.join("file")).as_deref() {
        Ok("old" | "half and half") => Ok(()),
        found => Err(format!("neither the old file nor the new one: {found:?}")),
    };
    let job = Job { name: "a script that writes in place", begin: &begin, after: &after };
    let mut done = Done::default();
    done.every_fault(folder.path(), &job, Effect::Kill, &|_| true, (None, &mut Random::new(1)))?;
    Ok(format!("{} kills, and every file was whole", done.count()))
}

/// A ledger with messages, a snapshot of it, and the same with a damaged journal.
struct Ledger {
    station: Station,
    snapshot: PathBuf,
    damaged: PathBuf,
}

/// Makes something of a folder, or says why not.
type Work<'a, T> = Box<dyn Fn(&Path) -> Result<T, String> + 'a>;

/// A job that owns what it does.
struct Owned<'a> {
    name: &'static str,
    begin: Work<'a, Command>,
    after: Work<'a, ()>,
}

fn owned<'a>(
    name: &'static str,
    begin: impl Fn(&Path) -> Result<Command, String> + 'a,
    after: impl Fn(&Path) -> Result<(), String> + 'a,
) -> Owned<'a> {
    Owned { name, begin: Box::new(begin), after: Box::new(after) }
}

impl Ledger {
    async fn new(folder: &Path) -> Result<Self, String> {
        let station = Station::new(&folder.join("ledger"));
        let node = station.start()?;
        let traffic = station.traffic(&node);
        station.promises(0, MESSAGES).await?;
        traffic.stop().await;
        node.stop();
        let snapshot = folder.join("snapshot");
        let out = snapshot.display().to_string();
        ok(station.home(), &["snapshot", "create", "--out", &out])?;
        let damaged = folder.join("damaged");
        copy(station.home(), &damaged)?;
        let journal = damaged.join("node/data/journal/headers-000001.log");
        let mut bytes = fs::read(&journal).map_err(|error| error.to_string())?;
        let middle = bytes.len() / 2;
        bytes.iter_mut().skip(middle).take(1).for_each(|byte| *byte ^= 1);
        fs::write(&journal, bytes).map_err(|error| error.to_string())?;
        Ok(Self { station, snapshot, damaged })
    }
    fn jobs(&self) -> Vec<Owned<'_>> {
        let snapshot = self.snapshot.display().to_string();
        let init = |place: &Path| Ok(node(place, &["init", "--new-network", "torn"]));
        let testnet = |place: &Path| {
            let out = place.join("net").display().to_string();
            Ok(node(place, &["testnet", "--validators", "2", "--out", &out]))
        };
        let create = |place: &Path| {
            copy(self.station.home(), &place.join("home"))?;
            let out = place.join("out").display().to_string();
            Ok(node(&place.join("home"), &["snapshot", "create", "--out", &out]))
        };
        let (restored, again) = (snapshot.clone(), snapshot);
        let restore = move |place: &Path| {
            copy(self.station.home(), place)?;
            fs::remove_dir_all(place.join("node/data")).map_err(|error| error.to_string())?;
            Ok(node(place, &["snapshot", "restore", &restored]))
        };
        let repair = |place: &Path| {
            copy(&self.damaged, place)?;
            Ok(node(place, &["check", "--repair"]))
        };
        vec![
            owned("init", init, init_again),
            owned("testnet", testnet, whole_testnet),
            owned("snapshot create", create, snapshot_again),
            owned("snapshot restore", restore, move |place| self.restore_again(place, &again)),
            owned("check --repair", repair, repair_again),
        ]
    }
    /// Restoring goes on, and no log of votes is lost or begun anew.
    fn restore_again(&self, place: &Path, snapshot: &str) -> Result<(), String> {
        let log = fs::read(self.station.home().join("node/consensus.wal")).map_err(|e| e.to_string())?;
        let home = place.join("node");
        let restored = run_node("sealpost-node", place, &["snapshot", "restore", snapshot, "--json"]);
        // It was at its place when the kill came.
        if !restored.status.success() && !said(&restored).contains("name a folder that is new or empty") {
            return Err(said(&restored));
        }
        ok(place, &["check"])?;
        let put_away = (1..4).any(|number| {
            fs::read(home.join(format!("consensus.wal.aside-{number}"))).is_ok_and(|found| found == log)
        });
        match home.join("consensus.wal").exists() || !put_away {
            false => Ok(()),
            true => Err("the log of votes was not put away".into()),
        }
    }
}

fn node(home: &Path, args: &[&str]) -> Command {
    let mut node = command("sealpost-node", home);
    node.args(args).arg("--json");
    node
}

fn ok(home: &Path, args: &[&str]) -> Result<(), String> {
    let output = run_node("sealpost-node", home, &[args, &["--json"]].concat());
    match output.status.success() {
        true => Ok(()),
        false => Err(format!("{args:?}: {}", said(&output))),
    }
}

/// Either there is a home, or it is made now; and a node lives there.
fn init_again(place: &Path) -> Result<(), String> {
    if !place.join("node/genesis.json").exists() {
        ok(place, &["init", "--new-network", "torn"])?;
    }
    let started = Server::launch_node(place, &["--p2p", "off"], &place.join("log")).ready_or()?;
    match started.stop().success() {
        true => Ok(()),
        false => Err("the node did not stop well".into()),
    }
}

/// Where the genesis is, all of the network is: whoever finds it makes no other.
fn whole_testnet(place: &Path) -> Result<(), String> {
    let out = place.join("net");
    if !out.join("genesis.json").exists() {
        return Ok(());
    }
    let homes = ["validator-1", "validator-2"].map(|name| out.join(name));
    let files = homes.iter().flat_map(|home| {
        let files = [
            "node.toml",
            "node/genesis.json",
            "node/network.key",
            "node/validator.key",
            "node/consensus.wal",
        ];
        files.map(|file| home.join(file))
    });
    match files.chain([out.join("start.sh")]).find(|file| !file.exists()) {
        None => Ok(()),
        Some(missing) => Err(format!("there is a genesis, and no {}", missing.display())),
    }
}

/// Half a snapshot is taken for none, and a whole one is made beside it.
fn snapshot_again(place: &Path) -> Result<(), String> {
    let (home, out, other) =
        (place.join("home"), place.join("out"), place.join("other").display().to_string());
    let text = out.display().to_string();
    let verified = run_node("sealpost-node", &home, &["snapshot", "verify", &text, "--json"]);
    let whole = out.join("manifest.json").exists();
    if verified.status.success() != whole {
        return Err(format!("the manifest is there: {whole}; {}", said(&verified)));
    }
    ok(&home, &["snapshot", "create", "--out", &other])?;
    ok(&home, &["snapshot", "verify", &other])
}

/// What was damaged is cut, a copy of it kept, and the rest is sound.
fn repair_again(place: &Path) -> Result<(), String> {
    ok(place, &["check", "--repair"])?;
    ok(place, &["check"])?;
    let data = fs::read_dir(place.join("node/data")).map_err(|error| error.to_string())?;
    let copies = data.flatten().filter(|entry| entry.file_name().to_string_lossy().starts_with("cut-after-"));
    let cut = copies.flat_map(|folder| fs::read_dir(folder.path()).into_iter().flatten().flatten());
    match cut.filter(|file| file.metadata().is_ok_and(|about| about.len() > 0)).count() {
        0 => Err("no copy of what was cut is kept".into()),
        _ => Ok(()),
    }
}
