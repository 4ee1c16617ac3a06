//! The harness: the project's real programs as processes, on free ports of this machine, or in networks of
//! their own ([`harness`]).

pub mod harness;

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::sync::{OnceLock, mpsc};
use std::time::Duration;

/// A program of this project, built from the sources at hand in the profile of the running test.
/// `SEALPOST_NODE_BIN` and `SEALPOST_WALLET_BIN` name others to be tested in the place of node and wallet.
pub fn program(name: &str) -> PathBuf {
    static FOLDER: OnceLock<PathBuf> = OnceLock::new();
    let other = match name {
        "sealpost-node" => std::env::var_os("SEALPOST_NODE_BIN"),
        "sealpost" => std::env::var_os("SEALPOST_WALLET_BIN"),
        _ => None,
    };
    if let Some(other) = other {
        return other.into();
    }
    // The whole workspace, so that dependencies have the features they have in the tests.
    let folder = FOLDER.get_or_init(|| built(&["--bins"]));
    folder.join(name)
}

/// The node whose validator breaks the rules as `SEALPOST_TEST_MISDEEDS` says. It is another program: nothing that is
/// built for use knows how.
pub fn misbehaving_node() -> PathBuf {
    const NAME: &str = "sealpost-node-byzantine";
    static FOLDER: OnceLock<PathBuf> = OnceLock::new();
    let folder = FOLDER.get_or_init(|| built(&["--bin", NAME, "--features", "sealpost-node/test-byzantine"]));
    folder.join(NAME)
}

/// Builds these programs of the workspace in the profile of the running test, and says where they are.
fn built(what: &[&str]) -> PathBuf {
    let running = std::env::current_exe().expect("a running program has a path");
    // Tests and examples lie in a folder of their own below the profile's.
    let mut folder = running.parent().expect("a folder").to_path_buf();
    if folder.ends_with("deps") || folder.ends_with("examples") {
        folder.pop();
    }
    let mut build = Command::new("cargo");
    // Nothing of what cargo tells this test about itself: build scripts that look at it would run again, and everything
    // that rests on them.
    build.env_clear();
    for name in ["PATH", "HOME", "CARGO_HOME", "RUSTUP_HOME", "CARGO_INCREMENTAL", "RUSTFLAGS", "TMPDIR"] {
        build.envs(std::env::var_os(name).map(|value| (name, value)));
    }
    build.args(["build", "--quiet", "--workspace"]).args(what).arg("--target-dir");
    build.arg(folder.parent().expect("a profile's parent"));
    if folder.ends_with("release") {
        build.arg("--release");
    }
    let built = build.current_dir(env!("CARGO_MANIFEST_DIR")).status().expect("cargo runs");
    assert!(built.success(), "the programs do not build");
    folder
}

/// Runs a program to its end.
pub fn run(name: &str, home: &Path, args: &[&str]) -> Output {
    run_with_input(name, home, args, "")
}

/// Runs a program to its end with something on its standard input.
pub fn run_with_input(name: &str, home: &Path, args: &[&str], input: &str) -> Output {
    let mut child = command(name, home).args(args).stdin(Stdio::piped()).spawn().expect("the program starts");
    // A program that reads nothing closes its end.
    let _ = child.stdin.take().expect("piped").write_all(input.as_bytes());
    child.wait_with_output().expect("the program ends")
}

/// Runs a program that must end well, and reads the one JSON object it prints.
pub fn json(name: &str, home: &Path, args: &[&str]) -> serde_json::Value {
    let output = run(name, home, &[args, &["--json"]].concat());
    let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{name} {args:?}: {}\n{out}\n{err}", output.status);
    serde_json::from_str(&out).unwrap_or_else(|error| panic!("{name} {args:?}: {error}: {out}"))
}

/// A program of this project as a command that belongs to a home.
pub fn command(name: &str, home: &Path) -> Command {
    let mut command = Command::new(program(name));
    command.env("SEALPOST_HOME", home).env_remove("SEALPOST_NODE").env_remove("RUST_LOG");
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

/// The same command as the last arguments of another, which is to run it.
pub fn run_by(mut first: Command, command: &Command) -> Command {
    first.arg(command.get_program()).args(command.get_args());
    for (name, value) in command.get_envs() {
        match value {
            Some(value) => first.env(name, value),
            None => first.env_remove(name),
        };
    }
    first
}

/// A program as a command of another user, who owns nothing here. It ends badly where this user may not become that one.
pub fn by_another_user(program: &Path) -> Command {
    let mut command = Command::new("setpriv");
    command.args(["--reuid", "65534", "--regid", "65534", "--clear-groups"]).arg(program);
    command
}

/// The last lines of a text, so many at most.
pub fn last_lines(text: &str, count: usize) -> String {
    let lines: Vec<&str> = text.lines().collect();
    lines.get(lines.len().saturating_sub(count)..).unwrap_or_default().join("\n")
}

/// The node of a home as a command, on free ports, with its port for other validators at `mesh`.
pub fn node_command(home: &Path, mesh: &str, args: &[&str]) -> Command {
    let mut command = command("sealpost-node", home);
    command.args(["run", "--rpc", "127.0.0.1:0", "--metrics", "off", "--consensus", mesh]);
    command.args(args).arg("--json");
    command
}

/// How long a program may take until it is ready: a machine with many builds on it is slow. In steps, so that a time in
/// which all of it stood still is not counted.
const READY_WITHIN: u32 = 1_200;
const READY_STEP: Duration = Duration::from_millis(100);

/// A server process that says on its standard output when it is ready. It is killed when it is dropped.
#[derive(Debug)]
pub struct Server {
    process: Process,
    /// What it said when it was ready.
    pub ready: serde_json::Value,
}

/// A server process that has not said yet that it is ready. It is killed when it is dropped.
#[derive(Debug)]
pub struct Starting {
    process: Process,
    what: String,
    log: PathBuf,
    first_line: mpsc::Receiver<String>,
}

/// A server process that was never ready.
#[derive(Debug)]
pub struct Ended {
    /// How it ended; nothing if it did not.
    pub status: Option<ExitStatus>,
    /// All that is known of it, with its log.
    pub said: String,
}

/// A child process; nothing of it is left when this is dropped.
#[derive(Debug)]
struct Process(Child);

impl Server {
    /// Starts a program and waits until it is ready. Its log goes to `log`.
    pub fn start(name: &str, home: &Path, args: &[&str], log: &Path) -> Self {
        let mut command = command(name, home);
        command.args(args).arg("--json");
        Self::launch(command, log).ready()
    }
    /// Starts a command without waiting. Its log goes to `log`.
    pub fn launch(mut command: Command, log: &Path) -> Starting {
        let log_file = std::fs::OpenOptions::new().create(true).append(true).open(log).expect("a log file");
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(log_file);
        let mut child = command.spawn().expect("the program starts");
        let mut out = BufReader::new(child.stdout.take().expect("piped"));
        let (tell, first_line) = mpsc::channel();
        std::thread::spawn(move || {
            let mut line = String::new();
            // A test binary that plays a role says things of its own before.
            while !line.starts_with('{') {
                line.clear();
                if out.read_line(&mut line).unwrap_or(0) == 0 {
                    break;
                }
            }
            let _ = tell.send(line);
            // Whatever else it says is read, so that it never waits for a reader.
            let _ = std::io::copy(&mut out, &mut std::io::sink());
        });
        Starting { process: Process(child), what: format!("{command:?}"), log: log.to_owned(), first_line }
    }
    /// Starts the node of a home, on free ports.
    pub fn node(home: &Path) -> Self {
        Self::launch_node(home, &["--p2p", "off"], &home.join("node.log")).ready()
    }
    /// Starts the node of a home, on free ports, with more arguments, without waiting. Its log goes to `log`.
    pub fn launch_node(home: &Path, args: &[&str], log: &Path) -> Starting {
        Self::launch(node_command(home, "/ip4/127.0.0.1/tcp/0", args), log)
    }
    /// A field of what it said.
    pub fn said(&self, field: &str) -> String {
        self.ready[field].as_str().expect("a text").to_owned()
    }
    /// The process.
    pub fn id(&self) -> u32 {
        self.process.0.id()
    }
    /// Processor time that it has used so far, in seconds.
    pub fn cpu_seconds(&self) -> f64 {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.id())).expect("its numbers");
        // Fields 14 and 15, in ticks of a hundredth of a second; the name before them may hold spaces.
        let fields = stat.rsplit(") ").next().unwrap_or_default().split(' ').skip(11).take(2);
        fields.map(|ticks| ticks.parse::<f64>().expect("a number")).sum::<f64>() / 100.0
    }
    /// The most memory that it has had so far, in KiB.
    pub fn peak_memory_kib(&self) -> u64 {
        self.status_kib("VmHWM:")
    }
    /// Memory that it has of its own now, in KiB: without pages of files, which the kernel may take back.
    pub fn own_memory_kib(&self) -> u64 {
        self.status_kib("RssAnon:")
    }
    fn status_kib(&self, field: &str) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.id())).unwrap_or_default();
        let line = status.lines().find_map(|line| line.strip_prefix(field));
        line.and_then(|line| line.split_whitespace().next()).and_then(|kib| kib.parse().ok()).unwrap_or(0)
    }
    /// How it has ended, if it has.
    pub fn ended(&mut self) -> Option<ExitStatus> {
        self.process.0.try_wait().expect("a child of this process")
    }
    /// Sends a signal, such as `STOP`.
    pub fn signal(&self, name: &str) {
        let sent = Command::new("kill").args([&format!("-{name}"), &self.id().to_string()]).status();
        assert!(sent.expect("kill runs").success());
    }
    /// kill -9: nothing of the program runs any more when this returns.
    pub fn kill(mut self) {
        self.process.0.kill().expect("killed");
        self.process.0.wait().expect("waited for");
    }
    /// SIGTERM, and waits for the end.
    pub fn stop(mut self) -> ExitStatus {
        self.signal("TERM");
        self.process.0.wait().expect("waited for")
    }
}

impl Starting {
    /// Waits until it is ready.
    pub fn ready(self) -> Server {
        self.ready_or().unwrap_or_else(|why| panic!("{why}"))
    }
    /// Waits until it is ready, or says how it ended and what its log says.
    pub fn ready_or(self) -> Result<Server, String> {
        self.ready_or_ended().map_err(|ended| ended.said)
    }
    /// The same, with how it ended.
    pub fn ready_or_ended(self) -> Result<Server, Ended> {
        let Self { mut process, what, log, first_line } = self;
        let heard = (0..READY_WITHIN).find_map(|_| match first_line.recv_timeout(READY_STEP) {
            Err(mpsc::RecvTimeoutError::Timeout) => None,
            Err(mpsc::RecvTimeoutError::Disconnected) => Some(String::new()),
            Ok(line) => Some(line),
        });
        let closed = heard.as_ref().is_some_and(String::is_empty);
        let line = heard.unwrap_or_default();
        match serde_json::from_str(&line) {
            Ok(ready) => Ok(Server { process, ready }),
            Err(error) => {
                // Whoever has closed its output is ending.
                let status = if closed { process.0.wait().ok() } else { None };
                let log = std::fs::read_to_string(&log).unwrap_or_default();
                Err(Ended {
                    status,
                    said: format!("{what} was not ready: {error}: {line:?}, {status:?}\n{log}"),
                })
            }
        }
    }
    /// The process.
    pub fn id(&self) -> u32 {
        self.process.0.id()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // Fails if it has ended already.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Silence of a server after which a test fails instead of waiting for ever.
pub const LONGEST_SILENCE: Duration = Duration::from_secs(60);

/// What a web server answers to a GET: head and body.
pub fn get(url: &str) -> (String, String) {
    let rest = url.strip_prefix("http://").expect("an http URL");
    let (host, path) = rest.split_once('/').unwrap_or((rest, ""));
    let mut stream = TcpStream::connect(host).expect("connected");
    stream.set_read_timeout(Some(LONGEST_SILENCE)).expect("a time limit");
    write!(stream, "GET /{path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n").expect("written");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("read");
    let (head, body) = answer.split_once("\r\n\r\n").expect("a head and a body");
    (head.to_owned(), body.to_owned())
}
