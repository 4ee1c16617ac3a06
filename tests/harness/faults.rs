//! Faults of the network between a lab's members, each with a counter that proves that it fired: a fault
//! that hit nothing counts as none.
//!
//! Packets are dropped where they come in, by nftables in the receiver's namespace; a slow link is `tc tbf`
//! on the sender's interface; a late one is the harness's own switch. Nothing is ever dropped on the way
//! between the test and a member, so that the test sees the members while they don't see one another. (A slow
//! link is slow for the test too.)

use super::namespace::{INTERFACE, Lab, quiet, run};
use std::collections::BTreeMap;
use std::fmt;
use std::io::Write as _;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

/// Our table in each member's namespace.
const TABLE: &str = "inet sealpost";

/// Kinds of faults, of links and of processes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum FaultKind {
    /// Packets lost at random; counts packets.
    Loss,
    /// Two groups that hear nothing of one another; counts packets.
    Partition,
    /// A group that hears nothing of another, which hears it; counts packets.
    OneWay,
    /// Narrow links; counts packets that had to wait or were dropped.
    Slow,
    /// Late links; counts frames kept.
    Late,
    /// A process stopped for a while; counts once.
    Pause,
    /// kill -9; counts once.
    Kill,
    /// SIGTERM and a new start; counts once.
    Restart,
    /// Data and votes deleted, keys kept; counts once.
    Wipe,
    /// All validators killed at once; counts once.
    KillAll,
}

impl fmt::Display for FaultKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Loss => "loss",
            Self::Partition => "partition",
            Self::OneWay => "one-way",
            Self::Slow => "slow",
            Self::Late => "late",
            Self::Pause => "pause",
            Self::Kill => "kill",
            Self::Restart => "restart",
            Self::Wipe => "wipe",
            Self::KillAll => "kill-all",
        })
    }
}

/// What a fault has hit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fired {
    /// Its kind.
    pub kind: FaultKind,
    /// Whom it was meant for.
    pub what: String,
    /// What it hit: packets, or 1 for a process.
    pub hits: u64,
}

/// How often each kind of fault fired, and what it hit.
pub type Tally = BTreeMap<FaultKind, (u64, u64)>;

/// The faults of a lab: those in force, and those that were.
#[derive(Debug)]
pub struct Faults {
    lab: Arc<Lab>,
    active: Vec<Active>,
    next: u32,
    fired: Vec<Fired>,
}

#[derive(Debug)]
struct Active {
    kind: FaultKind,
    what: String,
    members: Vec<usize>,
    counter: String,
    /// What the counter said before.
    before: u64,
}

impl Faults {
    /// No fault yet.
    pub fn new(lab: Arc<Lab>) -> Self {
        Self { lab, active: Vec::new(), next: 0, fired: Vec::new() }
    }
    /// These members lose that many of a hundred packets that reach them.
    pub fn lose(&mut self, members: &[usize], percent: u8) {
        let rule = format!("ip saddr != {} numgen random mod 100 < {percent}", self.lab.test_address());
        self.drop_packets(FaultKind::Loss, format!("{percent} % at {members:?}"), members, |_| rule.clone());
    }
    /// The two groups hear nothing of one another.
    pub fn part(&mut self, one: &[usize], other: &[usize]) {
        let (ones, others) = (self.addresses(one), self.addresses(other));
        let all = [one, other].concat();
        let rule = |member| format!("ip saddr {}", if one.contains(&member) { &others } else { &ones });
        self.drop_packets(FaultKind::Partition, format!("{one:?} from {other:?}"), &all, rule);
    }
    /// The deaf hear nothing of the others, who hear them.
    pub fn deafen(&mut self, deaf: &[usize], others: &[usize]) {
        let rule = format!("ip saddr {}", self.addresses(others));
        let what = format!("{deaf:?} hear nothing of {others:?}");
        self.drop_packets(FaultKind::OneWay, what, deaf, |_| rule.clone());
    }
    /// These members send no more than that many kilobits a second.
    pub fn slow(&mut self, members: &[usize], kilobits: u32) {
        let rate = format!("{kilobits}kbit");
        for member in members {
            let device = ["-n", &self.lab.namespace(*member), "qdisc", "replace", "dev", INTERFACE, "root"];
            // The bucket holds some full frames; what waits longer than latency says is dropped.
            let filter = ["tbf", "rate", &rate, "burst", "8kb", "latency", "400ms"];
            run("tc", &[&device[..], &filter].concat());
        }
        self.begin(FaultKind::Slow, format!("{rate} from {members:?}"), members, 0);
    }
    /// All members hear one another that much later. For a lab whose wire is a switch.
    pub fn delay(&mut self, delay: Duration) {
        let switch = self.lab.switch().expect("a lab with Wire::Delayed");
        switch.set_delay(delay);
        let before = switch.counters().kept;
        self.begin(FaultKind::Late, format!("{delay:?} between all"), &[], before);
    }
    /// Notes a fault of a process that was seen to happen.
    pub fn record(&mut self, kind: FaultKind, what: impl Into<String>) {
        self.fired.push(Fired { kind, what: what.into(), hits: 1 });
    }
    /// Ends all faults of the network, and says what each has hit.
    pub fn heal(&mut self) -> Vec<Fired> {
        let ended: Vec<Fired> = self.hits();
        for active in std::mem::take(&mut self.active) {
            for member in active.members {
                let namespace = self.lab.namespace(member);
                if active.kind == FaultKind::Slow {
                    quiet("tc", &["-n", &namespace, "qdisc", "del", "dev", INTERFACE, "root"]);
                } else {
                    // Fails for the second fault of one member: gone already.
                    quiet("ip", &["netns", "exec", &namespace, "nft", "delete", "table", "inet", "sealpost"]);
                }
            }
            if active.kind == FaultKind::Late
                && let Some(switch) = self.lab.switch()
            {
                switch.set_delay(Duration::ZERO);
            }
        }
        self.fired.extend(ended.iter().cloned());
        ended
    }
    /// What the faults in force have hit so far.
    pub fn hits(&self) -> Vec<Fired> {
        let hit = |active: &Active| Fired {
            kind: active.kind,
            what: active.what.clone(),
            hits: self.count(active).saturating_sub(active.before),
        };
        self.active.iter().map(hit).collect()
    }
    /// All faults that are over, in their order.
    pub fn fired(&self) -> &[Fired] {
        &self.fired
    }
    /// How often each kind fired, and what it hit. Faults that hit nothing are not counted.
    pub fn tally(&self) -> Tally {
        let mut tally = Tally::new();
        for fired in self.fired.iter().filter(|fired| fired.hits > 0) {
            let (times, hits) = tally.entry(fired.kind).or_default();
            (*times, *hits) = (*times + 1, *hits + fired.hits);
        }
        tally
    }

    fn addresses(&self, members: &[usize]) -> String {
        let list: Vec<String> = members.iter().map(|member| self.lab.address(*member).to_string()).collect();
        format!("{{ {} }}", list.join(", "))
    }
    fn begin(&mut self, kind: FaultKind, what: String, members: &[usize], before: u64) -> String {
        self.next += 1;
        let counter = format!("fault{}", self.next);
        self.active.push(Active { kind, what, members: members.to_vec(), counter: counter.clone(), before });
        counter
    }
    fn drop_packets(
        &mut self,
        kind: FaultKind,
        what: String,
        members: &[usize],
        rule: impl Fn(usize) -> String,
    ) {
        let counter = self.begin(kind, what, members, 0);
        for member in members {
            let rule = rule(*member);
            // The chain comes before all others, so that what is dropped is as good as never sent.
            let script = format!(
                "add table {TABLE}\n\
                 add chain {TABLE} incoming {{ type filter hook input priority -300; policy accept; }}\n\
                 add counter {TABLE} {counter}\n\
                 add rule {TABLE} incoming {rule} counter name {counter} drop\n"
            );
            nft(&self.lab.namespace(*member), &script);
        }
    }
    fn count(&self, active: &Active) -> u64 {
        match active.kind {
            FaultKind::Late => self.lab.switch().map_or(0, |switch| switch.counters().kept),
            FaultKind::Slow => active.members.iter().map(|member| self.held_up(*member)).sum(),
            _ => active.members.iter().map(|member| self.dropped(*member, &active.counter)).sum(),
        }
    }
    fn dropped(&self, member: usize, counter: &str) -> u64 {
        let args = ["-j", "list", "counter", "inet", "sealpost", counter];
        let listed: serde_json::Value = parse(&self.lab.run(member, "nft", &args));
        let objects = listed["nftables"].as_array().expect("a list of objects").clone();
        objects.iter().filter_map(|object| object["counter"]["packets"].as_u64()).sum()
    }
    fn held_up(&self, member: usize) -> u64 {
        let namespace = self.lab.namespace(member);
        let shown = run("tc", &["-n", &namespace, "-s", "-j", "qdisc", "show", "dev", INTERFACE]);
        let queues: serde_json::Value = parse(&shown);
        let ours = queues.as_array().and_then(|list| list.iter().find(|queue| queue["kind"] == "tbf"));
        let field = |name: &str| ours.and_then(|queue| queue[name].as_u64()).unwrap_or(0);
        field("overlimits") + field("drops")
    }
}

fn parse(text: &str) -> serde_json::Value {
    serde_json::from_str(text).unwrap_or_else(|error| panic!("{error}: {text}"))
}

fn nft(namespace: &str, script: &str) {
    let mut command = Command::new("ip");
    command.args(["netns", "exec", namespace, "nft", "-f", "-"]).stdin(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().expect("ip is there");
    child.stdin.take().expect("piped").write_all(script.as_bytes()).expect("nft reads");
    let output = child.wait_with_output().expect("nft ends");
    assert!(output.status.success(), "nft: {}\n{script}", String::from_utf8_lossy(&output.stderr));
}
