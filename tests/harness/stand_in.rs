//! A small program to try a lab with, before there are nodes in it: the running test or example started
//! again in a namespace, told by its environment what to do. It answers UDP packets, asks for answers, takes
//! bytes in over TCP, or pours them out.

use super::namespace::Lab;
use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddrV4, TcpListener, TcpStream, UdpSocket};
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use crate::{Server, Starting};

const ROLE: &str = "SEALPOST_STAND_IN";
const PORT: u16 = 7777;

/// What came back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answers {
    /// Questions answered in time.
    pub count: usize,
    /// From question to answer, sorted.
    pub took: Vec<Duration>,
}

impl Answers {
    /// The time that so many of a hundred answers took at most.
    pub fn percentile(&self, percent: usize) -> Duration {
        let last = self.took.len().saturating_sub(1);
        self.took.get(last * percent / 100).copied().unwrap_or_default()
    }
}

/// Plays the role that the environment names, if it names one, and then ends the process. An example calls
/// this first; a test binary in a test of its own that is ignored, named `stand_in`.
pub fn play() {
    let Ok(role) = std::env::var(ROLE) else { return };
    let words: Vec<&str> = role.split(' ').collect();
    match words.as_slice() {
        ["answer"] => answer(),
        ["ask", target, count, within] => {
            let within = Duration::from_millis(within.parse().expect("milliseconds"));
            let answers =
                ask_here(target.parse().expect("an address"), count.parse().expect("a number"), within);
            let micros: Vec<u128> = answers.took.iter().map(Duration::as_micros).collect();
            say(&serde_json::json!({ "took": micros }));
        }
        ["pour", target, bytes] => {
            let took = pour_here(target.parse().expect("an address"), bytes.parse().expect("a number"));
            say(&serde_json::json!({ "took": took.as_micros() }));
        }
        other => panic!("no such role: {other:?}"),
    }
    std::process::exit(0);
}

// Past the test runner, which prints lines of its own around it.
fn say(value: &serde_json::Value) {
    let mut out = std::io::stdout().lock();
    writeln!(out, "{value}").and_then(|()| out.flush()).expect("somebody reads");
}

/// Starts to answer as a member of a lab: UDP packets with themselves, TCP with the end.
pub fn answer_at(lab: &Lab, member: usize, log: &Path) -> Starting {
    Server::launch(command(lab, Some(member), "answer"), log)
}

/// Asks a member, as another or as the test: small UDP packets one after another.
pub fn ask(lab: &Lab, from: Option<usize>, to: usize, count: usize, within: Duration) -> Answers {
    let told = told(command(lab, from, &format!("ask {} {count} {}", lab.address(to), within.as_millis())));
    let took: Vec<Duration> = told.as_array().expect("times").iter().map(micros).collect();
    Answers { count: took.len(), took }
}

/// Pours bytes over TCP from a member to another; how long until the other had all of them.
pub fn pour(lab: &Lab, from: usize, to: usize, bytes: usize) -> Duration {
    micros(&told(command(lab, Some(from), &format!("pour {} {bytes}", lab.address(to)))))
}

fn micros(value: &serde_json::Value) -> Duration {
    Duration::from_micros(value.as_u64().expect("microseconds"))
}

fn command(lab: &Lab, member: Option<usize>, role: &str) -> Command {
    let this = std::env::current_exe().expect("a running program has a path");
    let mut command = member.map_or_else(|| Command::new(&this), |member| lab.command(member, &this));
    command.args(["stand_in", "--ignored", "--nocapture", "--quiet"]).env(ROLE, role);
    command
}

fn told(mut command: Command) -> serde_json::Value {
    let output = command.output().expect("it starts");
    let said = String::from_utf8_lossy(&output.stdout);
    let line = said.lines().find(|line| line.starts_with('{'));
    let line = line.unwrap_or_else(|| panic!("{said}\n{}", String::from_utf8_lossy(&output.stderr)));
    serde_json::from_str::<serde_json::Value>(line).expect("JSON")["took"].clone()
}

fn answer() {
    let everywhere = SocketAddrV4::new(Ipv4Addr::UNSPECIFIED, PORT);
    let (socket, listener) = (UdpSocket::bind(everywhere).expect("bound"), TcpListener::bind(everywhere));
    let listener = listener.expect("bound");
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.expect("a connection");
            std::io::copy(&mut stream, &mut std::io::sink()).expect("read to the end");
        }
    });
    say(&serde_json::json!({ "ready": true }));
    let mut buffer = [0; 2048];
    loop {
        let (length, from) = socket.recv_from(&mut buffer).expect("a packet");
        // Fails when the network is cut off; that is what it is there for.
        let _ = socket.send_to(&buffer[..length], from);
    }
}

fn ask_here(target: Ipv4Addr, count: usize, within: Duration) -> Answers {
    let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0)).expect("bound");
    socket.connect((target, PORT)).expect("connected");
    let mut took = Vec::new();
    for number in 0..count {
        let since = Instant::now();
        let question = (number as u64).to_be_bytes();
        let _ = socket.send(&question);
        let mut buffer = [0; 64];
        // An answer to an earlier question came too late.
        while let Some(left) = within.checked_sub(since.elapsed()).filter(|left| !left.is_zero()) {
            socket.set_read_timeout(Some(left)).expect("a time that is not zero");
            if socket.recv(&mut buffer).is_ok_and(|length| buffer[..length] == question) {
                took.push(since.elapsed());
                break;
            }
        }
    }
    took.sort();
    Answers { count: took.len(), took }
}

fn pour_here(target: Ipv4Addr, bytes: usize) -> Duration {
    let mut stream = TcpStream::connect((target, PORT)).expect("connected");
    let since = Instant::now();
    let block = [0; 65_536];
    let mut left = bytes;
    while left > 0 {
        left -= stream.write(&block[..left.min(block.len())]).expect("written");
    }
    stream.shutdown(std::net::Shutdown::Write).expect("our half ends");
    // The other ends its half when it has read all of ours.
    let _ = stream.read(&mut [0]);
    since.elapsed()
}
