//! The harness: the project's real programs as processes, on free ports of this machine.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Output, Stdio};
use std::sync::OnceLock;

/// A program of this project, built from the sources at hand in the profile of the running test.
/// `SEALPOST_NODE_BIN` names another node to be tested in its place.
pub fn program(name: &str) -> PathBuf {
    static FOLDER: OnceLock<PathBuf> = OnceLock::new();
    if let (Some(other), "sealpost-node") = (std::env::var_os("SEALPOST_NODE_BIN"), name) {
        return other.into();
    }
    let folder = FOLDER.get_or_init(|| {
        let test = std::env::current_exe().expect("a running test has a path");
        let folder = test.ancestors().nth(2).expect("target/<profile>/deps/<test>").to_path_buf();
        let mut build = Command::new("cargo");
        // Nothing of what cargo tells this test about itself: build scripts that look at it would run again,
        // and everything that rests on them.
        build.env_clear();
        for name in ["PATH", "HOME", "CARGO_HOME", "RUSTUP_HOME", "CARGO_INCREMENTAL", "RUSTFLAGS", "TMPDIR"]
        {
            build.envs(std::env::var_os(name).map(|value| (name, value)));
        }
        // The whole workspace, so that dependencies have the features they have in the tests.
        build.args(["build", "--quiet", "--workspace", "--bins", "--target-dir"]);
        build.arg(folder.parent().expect("a profile's parent"));
        if folder.ends_with("release") {
            build.arg("--release");
        }
        let built = build.current_dir(env!("CARGO_MANIFEST_DIR")).status().expect("cargo runs");
        assert!(built.success(), "the programs do not build");
        folder
    });
    folder.join(name)
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

fn command(name: &str, home: &Path) -> Command {
    let mut command = Command::new(program(name));
    command.env("SEALPOST_HOME", home).env_remove("SEALPOST_NODE").env_remove("RUST_LOG");
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

/// A server process that says on its standard output when it is ready. It is killed when it is dropped.
pub struct Server {
    child: Child,
    _out: BufReader<ChildStdout>,
    /// What it said when it was ready.
    pub ready: serde_json::Value,
}

impl Server {
    /// Starts a program and waits until it is ready. Its log goes to `log`.
    pub fn start(name: &str, home: &Path, args: &[&str], log: &Path) -> Self {
        let log_file = std::fs::OpenOptions::new().create(true).append(true).open(log).expect("a log file");
        let mut child = command(name, home)
            .args(args)
            .arg("--json")
            .stderr(log_file)
            .spawn()
            .expect("the program starts");
        let mut out = BufReader::new(child.stdout.take().expect("piped"));
        let mut line = String::new();
        out.read_line(&mut line).expect("standard output");
        let ready = serde_json::from_str(&line).unwrap_or_else(|error| {
            let said = std::fs::read_to_string(log).unwrap_or_default();
            panic!("{name} {args:?} was not ready: {error}: {line:?}\n{said}")
        });
        Self { child, _out: out, ready }
    }
    /// Starts the node of a home, on free ports.
    pub fn node(home: &Path) -> Self {
        let mesh = "/ip4/127.0.0.1/tcp/0";
        let args = ["run", "--rpc", "127.0.0.1:0", "--metrics", "off", "--p2p", "off", "--consensus", mesh];
        Self::start("sealpost-node", home, &args, &home.join("node.log"))
    }
    /// A field of what it said.
    pub fn said(&self, field: &str) -> String {
        self.ready[field].as_str().expect("a text").to_owned()
    }
    /// kill -9: nothing of the program runs any more when this returns.
    pub fn kill(mut self) {
        self.child.kill().expect("killed");
        self.child.wait().expect("waited for");
    }
    /// SIGTERM, and waits for the end.
    pub fn stop(mut self) -> std::process::ExitStatus {
        let id = self.child.id().to_string();
        assert!(Command::new("kill").args(["-TERM", &id]).status().expect("kill runs").success());
        self.child.wait().expect("waited for")
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // Fails if it has ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// What a web server answers to a GET: head and body.
pub fn get(url: &str) -> (String, String) {
    let rest = url.strip_prefix("http://").expect("an http URL");
    let (host, path) = rest.split_once('/').unwrap_or((rest, ""));
    let mut stream = TcpStream::connect(host).expect("connected");
    write!(stream, "GET /{path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n").expect("written");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("read");
    let (head, body) = answer.split_once("\r\n\r\n").expect("a head and a body");
    (head.to_owned(), body.to_owned())
}
