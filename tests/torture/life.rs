//! A life of a node under strace: it starts, brings messages in, and is told to stop, unless a fault ends it before; and
//! the places in such a life where a fault can come.

use crate::station::{Station, end_of};
use crate::traced::{Effect, Fault, SIGKILL, Trace, Tracer, traced};
use sealpost_tests::Server;
use sealpost_tests::harness::random::Random;
use std::collections::BTreeMap;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::ExitStatus;
use std::time::Duration;

/// A node that is to end by itself does so within that time.
const PATIENCE: Duration = Duration::from_secs(300);

/// How long a life is.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Limits {
    /// Messages that it brings in before it is told to stop.
    messages: usize,
}

impl Limits {
    pub(crate) const SHORT: Self = Self { messages: 24 };
}

/// A life that has ended.
pub(crate) struct Life {
    pub(crate) trace: Trace,
    /// How the process ended.
    pub(crate) status: Option<ExitStatus>,
    /// Whether it had to be told to.
    pub(crate) told_to_stop: bool,
    pub(crate) was_ready: bool,
}

impl Life {
    /// Whether it did what it was told, and nothing else.
    pub(crate) fn ended_well(&self) -> bool {
        self.told_to_stop && self.status.is_some_and(|status| status.success())
    }
}

/// Runs a node for a life without a fault, whose calls are to be counted.
pub(crate) async fn counted(station: &Station, args: &[&str]) -> Result<Life, String> {
    let life = live(station, args, None, Limits::SHORT).await?;
    if life.ended_well() {
        return Ok(life);
    }
    let how = format!("told to stop: {}, was ready: {}", life.told_to_stop, life.was_ready);
    Err(format!(
        "without a fault it ended with {:?}, {how}, and said last:\n{}",
        life.status,
        station.last_said()
    ))
}

/// Runs a node for a life.
pub(crate) async fn live(
    station: &Station,
    args: &[&str],
    fault: Option<&Fault>,
    limits: Limits,
) -> Result<Life, String> {
    let written = station.home().with_extension("trace");
    // What a life before it has left.
    let _none = std::fs::remove_file(&written);
    let starting = Server::launch(traced(&station.command(args), fault, &written), &station.log());
    let tracer = Tracer::of(starting.id());
    let (status, was_ready, told_to_stop) = match starting.ready_or_ended() {
        Err(ended) if ended.status.is_none() => return Err(ended.said),
        Err(ended) => (ended.status, false, false),
        Ok(mut node) => {
            let (before, traffic) = (station.promised().len(), station.traffic(&node));
            tokio::select! {
                status = end_of(&mut node, PATIENCE) => {
                    traffic.ended().await;
                    let status = status.ok_or_else(|| format!("it neither went on nor ended within {PATIENCE:?}"))?;
                    (Some(status), true, false)
                }
                enough = station.promises(before, limits.messages) => {
                    enough?;
                    traffic.stop().await;
                    (Some(node.stop()), true, true)
                }
            }
        }
    };
    let killed = status.is_some_and(|status| status.signal() == Some(SIGKILL));
    Ok(Life { trace: tracer.read(&written, killed)?, status, told_to_stop, was_ready })
}

/// Places in a life where a fault can come: by kind of file and call, each with the paths below the home and how often
/// one thread makes that call on it.
#[derive(Debug)]
pub(crate) struct Places(BTreeMap<String, Vec<(String, PathBuf, usize)>>);

/// The places of a life, as it was written down.
pub(crate) fn places_of(life: &Life, station: &Station) -> Places {
    let mut counts: BTreeMap<(&str, &Path, u32), usize> = BTreeMap::new();
    for call in &life.trace.calls {
        for path in call.paths.iter().filter_map(|path| path.strip_prefix(station.home()).ok()) {
            *counts.entry((&call.name, path, call.thread)).or_default() += 1;
        }
    }
    let mut places: BTreeMap<String, Vec<(String, PathBuf, usize)>> = BTreeMap::new();
    for ((call, path, _), count) in counts {
        let of_kind = places.entry(format!("{} {call}", kind(path))).or_default();
        match of_kind.iter_mut().find(|(_, known, _)| known == path) {
            Some((_, _, most)) => *most = count.max(*most),
            None => of_kind.push((call.to_owned(), path.to_owned(), count)),
        }
    }
    Places(places)
}

impl Places {
    /// One of them, each kind of file and call as often as any other, and its name.
    pub(crate) fn any(&self, random: &mut Random) -> (String, Fault) {
        let (name, places) = self.0.iter().nth(random.below(self.0.len())).expect("a life has places");
        let (call, path, count) = &places[random.below(places.len())];
        let number = 1 + random.below(*count);
        let fault = Fault { effect: Effect::Kill, call: call.clone(), number, path: Some(path.clone()) };
        (name.clone(), fault)
    }
    /// The names of all of them.
    pub(crate) fn names(&self) -> impl Iterator<Item = &str> {
        self.0.keys().map(String::as_str)
    }
    /// Those of them whose name says so.
    pub(crate) fn only(mut self, is_meant: impl Fn(&str) -> bool) -> Self {
        self.0.retain(|name, _| is_meant(name));
        self
    }
}

/// What kind of file a path below a home is.
pub(crate) fn kind(path: &Path) -> String {
    let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    let text = path.to_string_lossy();
    let in_journal = text.contains("/journal");
    match name.as_str() {
        _ if text.contains("/index") => "index",
        _ if in_journal && name.starts_with("headers") => "blocks",
        _ if in_journal && name.starts_with("bodies") => "bodies",
        _ if in_journal && name.starts_with("proposals") => "proposals",
        _ if in_journal && name.starts_with("equivocations") => "equivocations",
        "journal" => "journal folder",
        "consensus.wal" => "votes",
        _ if name.starts_with("FORMAT") => "format",
        "LOCK" => "lock",
        _ if name.starts_with(".sealpost-") => "new file",
        // Linux' name for what has none.
        _ if name.starts_with('#') => "nameless file",
        other => other,
    }
    .to_owned()
}
