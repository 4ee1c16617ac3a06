//! A switch of our own that keeps each frame for a while before it passes it on: what netem does, for
//! kernels that lack it. Every port is a TAP device; the member's end is moved into its namespace while this
//! process holds the other. One thread reads and writes all of them.
//!
//! Order is kept between any two members. Frames from and to the first port, the test's own, are not kept:
//! what a test measures is then the network's delay and not its own.
//!
//! Measured with `cargo run -p sealpost-tests --example switch`; numbers in `docs/testing.md`.

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use std::collections::{HashMap, VecDeque};
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};
use tappers::{Interface, Tap};

/// Frames kept at once; more are dropped, as a switch does. At 50 ms and full frames that is 4 Gbit/s.
const KEPT: usize = 16_384;
/// Frames read from one port before the others and what is due have their turn.
const AT_ONCE: usize = 32;
/// The largest frame: no offload on TAP devices, so what the MTU says and the Ethernet header.
const FRAME: usize = 2048;
/// The port that nothing is kept from.
const TEST_PORT: usize = 0;
/// Longest wait for a frame before it is asked whether to stop.
const PAUSE: Duration = Duration::from_millis(20);

type Address = [u8; 6];

/// A running switch; it ends when it is dropped.
#[derive(Debug)]
pub struct Switch {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Debug, Default)]
struct Shared {
    stop: AtomicBool,
    delay_us: AtomicU64,
    kept: AtomicU64,
    passed: AtomicU64,
    dropped: AtomicU64,
}

/// What a switch has done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SwitchCounters {
    /// Frames that were kept for a while.
    pub kept: u64,
    /// Frames that were passed on at once.
    pub passed: u64,
    /// Frames dropped because a queue was full or a member's end was down.
    pub dropped: u64,
}

impl Switch {
    /// Makes the devices and begins to switch. The first is the test's own.
    pub fn start(test: &str, members: &[String], delay: Duration) -> Self {
        let names = std::iter::once(test).chain(members.iter().map(String::as_str));
        let taps: Vec<Tap> = names.map(|name| open(name).unwrap_or_else(|e| panic!("{name}: {e}"))).collect();
        let shared = Arc::new(Shared { delay_us: micros(delay).into(), ..Shared::default() });
        let for_thread = shared.clone();
        let thread = std::thread::Builder::new().name("switch".to_owned());
        let thread = thread.spawn(move || Switching::new(taps, for_thread).run()).expect("a thread");
        Self { shared, thread: Some(thread) }
    }
    /// From now on frames are kept that long.
    pub fn set_delay(&self, delay: Duration) {
        self.shared.delay_us.store(micros(delay), Relaxed);
    }
    /// How long frames are kept.
    pub fn delay(&self) -> Duration {
        Duration::from_micros(self.shared.delay_us.load(Relaxed))
    }
    /// What it has done.
    pub fn counters(&self) -> SwitchCounters {
        SwitchCounters {
            kept: self.shared.kept.load(Relaxed),
            passed: self.shared.passed.load(Relaxed),
            dropped: self.shared.dropped.load(Relaxed),
        }
    }
}

impl Drop for Switch {
    fn drop(&mut self) {
        self.shared.stop.store(true, Relaxed);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn micros(delay: Duration) -> u64 {
    u64::try_from(delay.as_micros()).unwrap_or(u64::MAX)
}

fn open(name: &str) -> io::Result<Tap> {
    let mut tap = Tap::new_named(Interface::new(name)?)?;
    tap.set_nonblocking(true)?;
    Ok(tap)
}

/// A frame on its way.
struct Kept {
    due: Instant,
    port: usize,
    frame: Arc<[u8]>,
}

/// What the thread holds.
struct Switching {
    ports: Vec<Tap>,
    shared: Arc<Shared>,
    /// Behind which port an address was seen.
    learned: HashMap<Address, usize>,
    /// In the order in which they are due.
    kept: VecDeque<Kept>,
    /// Ports whose device has gone with its namespace.
    gone: Vec<bool>,
}

impl Switching {
    fn new(ports: Vec<Tap>, shared: Arc<Shared>) -> Self {
        let gone = vec![false; ports.len()];
        Self { ports, shared, learned: HashMap::new(), kept: VecDeque::new(), gone }
    }
    fn run(mut self) {
        while !self.shared.stop.load(Relaxed) {
            self.write_due();
            for port in self.wait() {
                self.read(port);
            }
        }
    }
    /// Waits for a frame, or until one is due; gives the ports that have something to read.
    fn wait(&self) -> Vec<usize> {
        let next = self.kept.front().map_or(PAUSE, |kept| kept.due.saturating_duration_since(Instant::now()));
        let timeout = Timespec::try_from(next.min(PAUSE)).expect("a short time");
        let there: Vec<usize> = (0..self.ports.len()).filter(|port| !self.gone[*port]).collect();
        let watch = |port: &usize| PollFd::new(&self.ports[*port], PollFlags::IN);
        let mut watched: Vec<PollFd<'_>> = there.iter().map(watch).collect();
        if poll(&mut watched, Some(&timeout)).is_err() {
            return Vec::new();
        }
        let ready = there.iter().zip(&watched).filter(|(_, watched)| !watched.revents().is_empty());
        ready.map(|(port, _)| *port).collect()
    }
    /// Reads some frames of a port and sends each on its way.
    fn read(&mut self, from: usize) {
        let mut buffer = [0; FRAME];
        for _ in 0..AT_ONCE {
            match self.ports[from].recv(&mut buffer) {
                Ok(length) if length >= 14 => self.switch(from, buffer[..length].into()),
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return,
                Err(_) => {
                    self.gone[from] = true;
                    return;
                }
            }
        }
    }
    fn switch(&mut self, from: usize, frame: Arc<[u8]>) {
        let (to, sender) = (address(&frame[..6]), address(&frame[6..12]));
        self.learned.insert(sender, from);
        // A group's address (the lowest bit of the first byte) is for all.
        let known = if to[0] & 1 == 1 { None } else { self.learned.get(&to).copied() };
        let targets = known.map_or(0..self.ports.len(), |port| port..port + 1);
        // Never before what is on its way already, also when the delay has just become less.
        let due = Instant::now() + Duration::from_micros(self.shared.delay_us.load(Relaxed));
        let due = self.kept.back().map_or(due, |last| last.due.max(due));
        for port in targets.filter(|port| *port != from) {
            if from == TEST_PORT || port == TEST_PORT {
                self.shared.passed.fetch_add(1, Relaxed);
                self.write(port, &frame);
            } else if self.kept.len() < KEPT {
                self.shared.kept.fetch_add(1, Relaxed);
                self.kept.push_back(Kept { due, port, frame: frame.clone() });
            } else {
                self.shared.dropped.fetch_add(1, Relaxed);
            }
        }
    }
    fn write_due(&mut self) {
        let now = Instant::now();
        while self.kept.front().is_some_and(|kept| kept.due <= now) {
            let Some(kept) = self.kept.pop_front() else { return };
            self.write(kept.port, &kept.frame);
        }
    }
    fn write(&self, port: usize, frame: &[u8]) {
        // Fails while a member's end is down.
        if self.ports[port].send(frame).is_err() {
            self.shared.dropped.fetch_add(1, Relaxed);
        }
    }
}

fn address(bytes: &[u8]) -> Address {
    bytes.try_into().expect("six bytes")
}
