//! Commands that come to an end: each is run once for every call of it that changes a file, with a fault at that call,
//! from the same beginning.

use crate::life::kind;
use crate::traced::{self, Call, Effect, Fault, SOCKET, told};
use sealpost_tests::harness::random::Random;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// A command, and what must hold after a fault in it.
pub(crate) struct Job<'a> {
    pub(crate) name: &'a str,
    /// Makes the beginning in an empty folder, and gives the command.
    pub(crate) begin: &'a dyn Fn(&Path) -> Result<Command, String>,
    /// What must hold there afterwards. Given what the command said, and the call that was hit.
    pub(crate) after: &'a dyn Fn(&Path, &Output, &Call) -> Result<(), String>,
}

/// What was done to jobs.
#[derive(Debug, Default)]
pub(crate) struct Done {
    /// Faults that came, by job.
    pub(crate) jobs: BTreeMap<String, u64>,
    /// Faults that there might have been.
    tried: BTreeMap<String, u64>,
    /// By kind of call.
    pub(crate) calls: BTreeMap<String, u64>,
    /// Faults that did not come: the command went otherwise than the one that was counted.
    pub(crate) missed: u64,
    /// What did not hold: the first of each job.
    broken: Vec<String>,
}

impl Done {
    pub(crate) fn count(&self) -> u64 {
        self.jobs.values().sum()
    }
    /// How many faults came in a job. None is no success, unless there is no such call in it.
    pub(crate) fn told_of(&mut self, job: &str, what: &str) {
        let came = self.jobs.get(job).copied().unwrap_or(0);
        println!("{job}: {came} {what}");
        if came == 0 && self.tried.get(job).is_some_and(|tried| *tried > 0) {
            self.note(Err(format!("{job}: no fault came, nothing was tested")));
        }
    }
    /// Notes faults that may come.
    pub(crate) fn try_for(&mut self, job: &str, faults: u64) {
        *self.tried.entry(job.to_owned()).or_default() += faults;
    }
    /// Notes a fault that came, in a job that works in that place.
    pub(crate) fn count_one(&mut self, job: &str, place: &Path, call: &Call) {
        *self.jobs.entry(job.to_owned()).or_default() += 1;
        *self.calls.entry(format!("{} {}", kind_of(place, call), call.name)).or_default() += 1;
    }
    /// Goes on with other jobs when one did not hold, so that a run tells of all.
    pub(crate) fn note(&mut self, put: Result<(), String>) {
        if let Err(why) = put {
            println!("did not hold: {why}");
            self.broken.push(why);
        }
    }
    /// What came, by job and by kind of call, and what did not.
    pub(crate) fn summary(&self, what: &str) -> String {
        let (jobs, calls) = (told(&self.jobs), told(&self.calls));
        format!("{} {what} ({jobs}; {calls}), {} more did not come", self.count(), self.missed)
    }
    /// Whether all held, and anything was done to them, if there were any.
    pub(crate) fn held(&self) -> Result<(), String> {
        if !self.broken.is_empty() {
            return Err(self.broken.join("\n\n"));
        }
        if self.count() == 0 && !self.tried.is_empty() {
            return Err("no fault came, nothing was tested".into());
        }
        Ok(())
    }
    /// Puts a job to such faults at all its calls of which `is_meant` says so, or at `most` of them.
    pub(crate) fn every_fault(
        &mut self,
        folder: &Path,
        job: &Job<'_>,
        effect: Effect,
        is_meant: &dyn Fn(&Call) -> bool,
        (most, random): (Option<u64>, &mut Random),
    ) -> Result<(), String> {
        // One name for all: what is counted is what is hit.
        let (place, written) = (folder.join("place"), folder.join("trace"));
        let meant = |call: &Call| is_meant(call) && call.paths.iter().any(|path| is_of(&place, path));
        let begin = || {
            // There may be none.
            let _none = std::fs::remove_dir_all(&place);
            let _none = std::fs::remove_file(&written);
            std::fs::create_dir_all(&place).map_err(|error| error.to_string())?;
            (job.begin)(&place)
        };
        let named = |why: String| format!("{}: {why}", job.name);
        let (output, trace) = traced::run(&begin().map_err(named)?, None, &written).map_err(named)?;
        if !output.status.success() {
            return Err(named(format!("without a fault: {}", said(&output))));
        }
        if let (Effect::Fail(_), Some(path)) = (effect, trace.left_to_chance(&place)) {
            return Err(named(format!("after a power cut {} may be gone: no sync follows", path.display())));
        }
        let mut faults = trace.faults(effect, meant);
        if most.is_some() {
            faults = shuffled(faults, random);
        }
        self.try_for(job.name, faults.len() as u64);
        let mut came = 0;
        for fault in faults {
            if most.is_some_and(|most| came >= most) {
                break;
            }
            let ran = traced::run(&begin().map_err(named)?, Some(&fault), &written);
            let (output, trace) = ran.map_err(named)?;
            // What is said to a terminal or another thread is no disk: if that failed as well, nothing follows from it.
            let hit = trace.hit(&fault).filter(|call| meant(call) && !trace.fails_besides(meant));
            let Some(call) = hit else {
                self.missed += 1;
                continue;
            };
            came += 1;
            self.count_one(job.name, &place, call);
            (job.after)(&place, &output, call).map_err(|why| {
                let paths: Vec<_> = call.paths.iter().map(|path| path.display().to_string()).collect();
                named(format!(
                    "{effect:?} at {} number {} ({}): {why}\nit had said: {}",
                    fault.call,
                    fault.number,
                    paths.join(", "),
                    said(&output)
                ))
            })?;
        }
        Ok(())
    }
}

/// All that a command printed.
pub(crate) fn said(output: &Output) -> String {
    let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    format!("{} {out} {err}", output.status)
}

/// A copy of a folder, in a place where there is none.
pub(crate) fn copy(from: &Path, to: &Path) -> Result<(), String> {
    let copied = Command::new("cp").args(["-a", "--sparse=always", "-T"]).args([from, to]).status();
    match copied.is_ok_and(|status| status.success()) {
        true => Ok(()),
        false => Err(format!("{} could not be copied", from.display())),
    }
}

fn is_of(place: &Path, path: &Path) -> bool {
    path.starts_with(place) || path == Path::new(SOCKET)
}

fn kind_of(place: &Path, call: &Call) -> String {
    let path = call.paths.iter().rfind(|path| is_of(place, path)).cloned().unwrap_or_default();
    let path = path.strip_prefix(place).map_or(path.clone(), PathBuf::from);
    let ids = |name: &String| name.len() >= 16 && name.chars().take(16).all(|c| c.is_ascii_hexdigit());
    Some(kind(&path)).filter(|name| !ids(name)).unwrap_or_else(|| "entry".into())
}

fn shuffled(mut all: Vec<Fault>, random: &mut Random) -> Vec<Fault> {
    let mut chosen = Vec::new();
    while !all.is_empty() {
        chosen.push(all.swap_remove(random.below(all.len())));
    }
    chosen
}
