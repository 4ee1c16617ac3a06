//! Faults at system calls: a program runs under strace, which kills it on entering a chosen call, before that is done,
//! or makes the call fail. Nothing in the program knows of it, so that the libraries it is made of are covered as well.
//! What strace writes down shows whether the fault came, and at which file: one that did not come counts as none.

use sealpost_tests::run_by;
use std::collections::BTreeMap;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::time::Duration;

/// What changes a file or a folder. Not every machine has all of them.
pub(crate) const CHANGES: &[&str] = &[
    "write",
    "writev",
    "pwrite64",
    "pwritev",
    "pwritev2",
    "copy_file_range",
    "sendfile",
    "ftruncate",
    "truncate",
    "fallocate",
    "rename",
    "renameat",
    "renameat2",
    "link",
    "linkat",
    "unlink",
    "unlinkat",
    "rmdir",
    "mkdir",
    "mkdirat",
    // What is said to others.
    "sendto",
    "sendmsg",
];
/// What a socket is called instead of a path.
pub(crate) const SOCKET: &str = "socket";
/// What makes changes durable.
pub(crate) const SYNCS: &[&str] = &["fsync", "fdatasync", "msync", "sync_file_range"];
/// What is waited for is looked at so often. Time is counted in such steps: if all stood still, nothing is late.
const STEP: Duration = Duration::from_millis(2);
/// strace finds a process, and writes down its end, within so many steps; on a busy machine each takes longer.
const WRITTEN_WITHIN: u32 = 15_000;
/// A command comes to its end within so many steps: one that does not, because a call failed, is broken.
const ENDS_WITHIN: u32 = 150_000;
pub(crate) const SIGKILL: i32 = 9;

/// What happens at a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Effect {
    /// The whole process is gone before the call is done.
    Kill,
    /// This call fails with such an error, such as `EIO`, and is not done.
    Fail(&'static str),
    /// So do all that come after it.
    FailFromThere(&'static str),
}

/// A fault at one call.
#[derive(Debug, Clone)]
pub(crate) struct Fault {
    pub(crate) effect: Effect,
    /// Name of the call.
    pub(crate) call: String,
    /// The how manieth of a thread: strace counts for each of them.
    pub(crate) number: usize,
    /// Only calls that name this file are counted.
    pub(crate) path: Option<PathBuf>,
}

/// A call that strace has seen.
#[derive(Debug, Clone)]
pub(crate) struct Call {
    pub(crate) thread: u32,
    pub(crate) name: String,
    /// Files that it names, by descriptor or by path.
    pub(crate) paths: Vec<PathBuf>,
    /// What it returned, if it did.
    pub(crate) returned: Option<i64>,
    /// Whether strace made it fail.
    pub(crate) failed: bool,
    /// Whether it failed because the disk is full.
    pub(crate) no_room: bool,
}

/// What strace wrote down of a run.
#[derive(Debug, Default)]
pub(crate) struct Trace {
    pub(crate) calls: Vec<Call>,
    /// Whether the process was killed.
    pub(crate) killed: bool,
}

/// Whether programs can be run under strace here, and it does what is asked of it.
pub(crate) fn check() -> Result<(), String> {
    let folder = tempfile::tempdir().map_err(|error| error.to_string())?;
    let (file, written) = (folder.path().join("file"), folder.path().join("trace"));
    let mut program = Command::new("sh");
    program.args(["-c", "echo one > \"$0\"; echo two > \"$0\""]).arg(&file);
    let fault = Fault { effect: Effect::Kill, call: "write".into(), number: 2, path: Some(file.clone()) };
    let ran = run(&program, Some(&fault), &written);
    let (output, trace) = ran.map_err(|why| {
        format!("this can't be run here: {why}. It needs strace (apt-get install strace), and ptrace")
    })?;
    match trace.hit(&fault).is_some() && std::fs::read(&file).is_ok_and(|left| left.is_empty()) {
        true => Ok(()),
        false => Err(format!(
            "this can't be run here: strace puts no faults into programs: {}",
            String::from_utf8_lossy(&output.stderr)
        )),
    }
}

/// Runs a command under strace to its end. What it says goes to files beside what is written down: a pipe would be held
/// open by strace, too.
pub(crate) fn run(
    command: &Command,
    fault: Option<&Fault>,
    written: &Path,
) -> Result<(Output, Trace), String> {
    let failed = |error: std::io::Error| format!("strace: {error}");
    let (out, err) = (written.with_extension("out"), written.with_extension("err"));
    let mut under = traced(command, fault, written);
    under.stdin(Stdio::null());
    under.stdout(std::fs::File::create(&out).map_err(failed)?);
    under.stderr(std::fs::File::create(&err).map_err(failed)?);
    let mut child = under.spawn().map_err(failed)?;
    let tracer = Tracer::of(child.id());
    let ended = end_of_command(&mut child).map_err(failed)?;
    let read = |path| std::fs::read(path).map_err(failed);
    let (stdout, stderr) = (read(&out)?, read(&err)?);
    let Some(status) = ended else {
        return Err(format!(
            "with {fault:?} it comes to no end; it has said: {}{}",
            String::from_utf8_lossy(&stdout),
            String::from_utf8_lossy(&stderr)
        ));
    };
    let killed = status.signal() == Some(SIGKILL);
    Ok((Output { status, stdout, stderr }, tracer.read(written, killed)?))
}

/// How a command ended; nothing if it had to be ended.
fn end_of_command(child: &mut Child) -> std::io::Result<Option<ExitStatus>> {
    for _ in 0..ENDS_WITHIN {
        if let Some(status) = child.try_wait()? {
            return Ok(Some(status));
        }
        std::thread::sleep(STEP);
    }
    child.kill()?;
    child.wait()?;
    Ok(None)
}

/// A field of what the system says about a process.
fn about(process: u32, field: &str) -> Option<String> {
    let status = std::fs::read_to_string(format!("/proc/{process}/status")).ok()?;
    status.lines().find_map(|line| Some(line.strip_prefix(field)?.trim().to_owned()))
}

/// Whether a process runs; one that nobody has waited for yet does not.
fn is_alive(process: u32) -> bool {
    about(process, "State:").is_some_and(|state| !state.starts_with(['Z', 'X']))
}

/// The strace of a process.
pub(crate) struct Tracer {
    process: u32,
    tracer: Option<u32>,
}

impl Tracer {
    /// Finds it. A process that is over so soon has none any more.
    pub(crate) fn of(process: u32) -> Self {
        for _ in 0..WRITTEN_WITHIN {
            let tracer =
                about(process, "TracerPid:").and_then(|pid| pid.parse().ok()).filter(|pid| *pid != 0);
            if tracer.is_some() || !is_alive(process) {
                return Self { process, tracer };
            }
            std::thread::sleep(STEP);
        }
        Self { process, tracer: None }
    }
    /// Reads what it wrote down of the process, which has ended. It is all there when that end is.
    pub(crate) fn read(&self, written: &Path, killed: bool) -> Result<Trace, String> {
        for _ in 0..WRITTEN_WITHIN {
            if !self.tracer.is_some_and(is_alive) {
                let text = std::fs::read_to_string(written).map_err(|error| format!("strace: {error}"))?;
                if tells_the_end(&text, self.process) {
                    return Ok(Trace { killed, ..Trace::parse(&text) });
                }
            }
            std::thread::sleep(STEP);
        }
        Err("strace did not write down how its process ended".into())
    }
}

/// Whether the end of a process is written down: that of its first thread, which is the last.
fn tells_the_end(text: &str, process: u32) -> bool {
    let ends = text.lines().rev().filter_map(|line| line.split_once(' '));
    let mut ends = ends.filter(|(_, what)| what.trim_start().starts_with("+++ "));
    ends.any(|(thread, _)| thread.parse() == Ok(process))
}

/// The same command under strace, with a fault or only written down. The program stays a child of whoever starts it.
pub(crate) fn traced(command: &Command, fault: Option<&Fault>, written: &Path) -> Command {
    let mut under = Command::new("strace");
    // Not --seccomp-bpf: with it nothing is injected.
    under.args(["-D", "-f", "-q", "-y", "-s", "0", "-o"]).arg(written);
    let calls: Vec<_> = CHANGES.iter().chain(SYNCS).map(|call| format!("?{call}")).collect();
    under.args(["-e", &format!("trace={}", calls.join(","))]);
    if let Some(fault) = fault {
        if let Some(path) = &fault.path {
            under.arg("-P").arg(path);
        }
        let number = fault.number;
        let (what, when) = match fault.effect {
            Effect::Kill => ("signal=KILL".to_owned(), number.to_string()),
            Effect::Fail(error) => (format!("error={error}"), number.to_string()),
            Effect::FailFromThere(error) => (format!("error={error}"), format!("{number}+")),
        };
        under.args(["-e", &format!("inject={}:{what}:when={when}", fault.call)]);
    }
    under.arg("--");
    run_by(under, command)
}

impl Trace {
    fn parse(text: &str) -> Self {
        let mut trace = Self::default();
        // The call that each thread is in.
        let mut open: BTreeMap<u32, usize> = BTreeMap::new();
        for line in text.lines() {
            let Some((thread, rest)) = line.split_once(' ') else { continue };
            let (Ok(thread), rest) = (thread.parse(), rest.trim_start()) else { continue };
            if rest.starts_with("+++ ") || rest.starts_with("--- ") {
                // An end, or a signal.
                continue;
            }
            if let Some(rest) = rest.strip_prefix("<... ") {
                if let Some(call) = open.remove(&thread).and_then(|at| trace.calls.get_mut(at)) {
                    (call.returned, call.failed, call.no_room) = end_of(rest);
                }
            } else if let Some((name, arguments)) = rest.split_once('(') {
                let (returned, failed, no_room) = end_of(arguments);
                open.insert(thread, trace.calls.len());
                let (name, paths) = (name.to_owned(), paths_of(arguments));
                trace.calls.push(Call { thread, name, paths, returned, failed, no_room });
            }
        }
        trace
    }
    /// The call that a fault hit, if it came.
    pub(crate) fn hit(&self, fault: &Fault) -> Option<&Call> {
        let mut counts: BTreeMap<u32, usize> = BTreeMap::new();
        self.calls.iter().find(|call| {
            if call.name != fault.call {
                return false;
            }
            let count = counts.entry(call.thread).or_default();
            *count += 1;
            match fault.effect {
                Effect::Kill => *count == fault.number && self.killed && call.returned.is_none(),
                Effect::Fail(_) | Effect::FailFromThere(_) => call.failed,
            }
        })
    }
    /// Whether a fault made something fail that was not meant: what strace counts are the calls of a thread, whatever
    /// they are about.
    pub(crate) fn fails_besides(&self, is_meant: impl Fn(&Call) -> bool) -> bool {
        self.calls.iter().any(|call| call.failed && !is_meant(call))
    }
    /// Whether a file was synced before anything more was written to it.
    pub(crate) fn syncs_first(&self, path: &Path) -> bool {
        let of_file = self.calls.iter().filter(|call| call.paths.iter().any(|named| named == path));
        let mut changes = of_file.filter(|call| call.returned.is_some_and(|returned| returned >= 0));
        changes.next().is_some_and(|call| SYNCS.contains(&call.name.as_str()))
    }
    /// The first thing below a place that came to be there, stayed, and may be gone after a power cut: the folder that it
    /// is in was not synced afterwards.
    pub(crate) fn left_to_chance(&self, place: &Path) -> Option<&Path> {
        let makes = |call: &Call| {
            let name = call.name.as_str();
            call.returned == Some(0) && ["mkdir", "rename", "link"].iter().any(|kind| name.starts_with(kind))
        };
        let synced = |later: &[Call], folder: &Path| {
            let mut later = later.iter().filter(|call| SYNCS.contains(&call.name.as_str()));
            later.any(|call| call.returned == Some(0) && call.paths.iter().any(|path| path == folder))
        };
        let made = self.calls.iter().zip(1..).filter(|(call, _)| makes(call));
        let made = made.filter_map(|(call, next)| Some((call.paths.last()?.as_path(), next)));
        let mut made = made.filter(|(path, _)| path.starts_with(place) && path.exists());
        made.find(|(path, next)| {
            let later = self.calls.get(*next..).unwrap_or_default();
            path.parent().is_some_and(|folder| !synced(later, folder))
        })
        .map(|(path, _)| path)
    }
    /// A fault for each call of which `is_meant` says so, one behind the other, known by its number in its thread.
    pub(crate) fn faults(&self, effect: Effect, is_meant: impl Fn(&Call) -> bool) -> Vec<Fault> {
        let mut counts: BTreeMap<(u32, &str), usize> = BTreeMap::new();
        let mut found: Vec<Fault> = Vec::new();
        for call in &self.calls {
            let count = counts.entry((call.thread, &call.name)).or_default();
            *count += 1;
            let known = found.iter().any(|fault| fault.call == call.name && fault.number == *count);
            if is_meant(call) && !known {
                found.push(Fault { effect, call: call.name.clone(), number: *count, path: None });
            }
        }
        found
    }
}

/// What a call returned, whether strace made it so, and whether there was no room.
fn end_of(line: &str) -> (Option<i64>, bool, bool) {
    let end = line.rsplit_once(" = ").map_or("", |(_, end)| end);
    let returned = end.split(' ').next().and_then(|number| number.parse().ok());
    (returned, end.ends_with("(INJECTED)"), end.starts_with("-1 ENOSPC"))
}

/// Files among the arguments of a call: `4</a/file>` and `"/a/file"`; and sockets.
fn paths_of(arguments: &str) -> Vec<PathBuf> {
    let parts = arguments.split(['<', '>', '"']).filter_map(|part| {
        let socket = part.starts_with("socket:[").then(|| PathBuf::from(SOCKET));
        socket.or_else(|| part.starts_with('/').then(|| PathBuf::from(part)))
    });
    parts.collect()
}

/// How often what was done, in words.
pub(crate) fn told(tally: &BTreeMap<String, u64>) -> String {
    let told: Vec<_> = tally.iter().map(|(what, count)| format!("{what} {count}")).collect();
    told.join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "\
        71 write(3</a/file>, \"\"..., 9 <unfinished ...>\n\
        72 write(4<anon_inode:[eventfd]>, \"\"..., 8) = -1 ENOSPC (No space left on device) (INJECTED)\n\
        71 <... write resumed>) = -1 ENOSPC (No space left on device)\n\
        72 --- SIGTERM {si_signo=SIGTERM, si_code=SI_USER (0)} ---\n\
        72 +++ exited with 0 +++\n";

    #[test]
    fn the_end_of_a_process_is_that_of_its_first_thread() {
        assert!(!tells_the_end(TEXT, 71));
        assert!(tells_the_end(&format!("{TEXT}71    +++ killed by SIGKILL +++\n"), 71));
    }

    #[test]
    fn what_failed_besides_is_seen_and_signals_are_no_calls() {
        let trace = Trace::parse(TEXT);
        assert_eq!(trace.calls.len(), 2);
        assert!(trace.calls[0].no_room && !trace.calls[0].failed);
        assert!(trace.fails_besides(|call| call.paths.contains(&PathBuf::from("/a/file"))));
        assert!(!trace.fails_besides(|call| call.thread == 72));
    }

    #[test]
    fn what_was_made_and_not_synced_is_left_to_chance() {
        let folder = tempfile::tempdir().expect("a folder");
        let made = folder.path().join("made");
        std::fs::create_dir(&made).expect("made");
        let (above, made) = (folder.path().display(), made.display());
        let mkdir = format!("7 mkdir(\"{made}\", 0700) = 0\n");
        let sync = |result: &str| format!("7 fsync(3<{above}>) = {result}\n");
        let is_left = |text: String| Trace::parse(&text).left_to_chance(folder.path()).is_some();
        assert!(is_left(mkdir.clone()));
        assert!(is_left(format!("{}{mkdir}", sync("0"))));
        assert!(is_left(format!("{mkdir}{}", sync("-1 EIO (Input/output error)"))));
        assert!(!is_left(format!("{mkdir}{}", sync("0"))));
    }
}
