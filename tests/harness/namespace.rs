//! A lab: one network namespace for each member and one for the bridge between them, joined by veth pairs,
//! with addresses in 10.77.0.0/16, and a leg in the namespace of the test. Members run commands inside.
//!
//! Several labs stand beside one another, each in a slot of its own: the number in its names and addresses,
//! held by a lock on a file. Whoever gets a slot removes what a killed test left there.

use super::delay::Switch;
use super::skip::skip;
use std::fs::File;
use std::net::Ipv4Addr;
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::time::Duration;

/// Slots of one machine: the third byte of the addresses.
const SLOTS: u8 = 250;
/// Members of a lab.
const MAX_MEMBERS: usize = 100;
/// The last byte of the test's own address.
const TEST_HOST: u8 = 254;
/// A member's interface, in its namespace.
pub(super) const INTERFACE: &str = "eth0";

/// What joins the members.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wire {
    /// The kernel's bridge: as fast as it goes.
    Bridge,
    /// A switch of the harness that keeps every frame between members for that long, one way. Frames from
    /// and to the test are not kept.
    Delayed(Duration),
}

/// Namespaces joined to a network. All of it goes when it is dropped.
#[derive(Debug)]
pub struct Lab {
    slot: Slot,
    members: usize,
    switch: Option<Switch>,
}

impl Lab {
    /// Makes a lab. Call [`ready`] first.
    pub fn new(members: usize, wire: Wire) -> Self {
        assert!(members <= MAX_MEMBERS, "a lab has {MAX_MEMBERS} members at most");
        let slot = Slot::take();
        slot.clean();
        let mut lab = Self { slot, members, switch: None };
        let names: Vec<String> = (0..members).map(|member| lab.namespace(member)).collect();
        for name in &names {
            run("ip", &["netns", "add", name]);
        }
        match wire {
            Wire::Bridge => lab.join_by_bridge(&names),
            Wire::Delayed(delay) => lab.join_by_switch(&names, delay),
        }
        for (member, name) in names.iter().enumerate() {
            run("ip", &["-n", name, "link", "set", "lo", "up"]);
            bring_up(Some(name), INTERFACE, lab.address(member));
        }
        bring_up(None, &lab.slot.test_link(), lab.test_address());
        lab
    }

    fn join_by_bridge(&self, names: &[String]) {
        let switch = self.slot.switch_namespace();
        run("ip", &["netns", "add", &switch]);
        run("ip", &["-n", &switch, "link", "add", "br0", "type", "bridge", "stp_state", "0"]);
        run("ip", &["-n", &switch, "link", "set", "br0", "up"]);
        for (member, name) in names.iter().enumerate() {
            let port = format!("p{member}");
            let here = ["-n", switch.as_str(), "link", "add", port.as_str(), "type", "veth", "peer", "name"];
            run("ip", &[&here[..], &[INTERFACE, "netns", name]].concat());
            run("ip", &["-n", &switch, "link", "set", &port, "master", "br0", "up"]);
        }
        let test = self.slot.test_link();
        run(
            "ip",
            &["-n", &switch, "link", "add", "test", "type", "veth", "peer", "name", &test, "netns", "1"],
        );
        run("ip", &["-n", &switch, "link", "set", "test", "master", "br0", "up"]);
    }

    fn join_by_switch(&mut self, names: &[String], delay: Duration) {
        let ports: Vec<String> = (0..names.len()).map(|member| self.slot.port(member)).collect();
        let switch = Switch::start(&self.slot.test_link(), &ports, delay);
        for (port, name) in ports.iter().zip(names) {
            run("ip", &["link", "set", port, "netns", name]);
            run("ip", &["-n", name, "link", "set", port, "name", INTERFACE]);
        }
        self.switch = Some(switch);
    }

    /// How many members there are.
    pub fn members(&self) -> usize {
        self.members
    }
    /// A member's address.
    pub fn address(&self, member: usize) -> Ipv4Addr {
        let host = u8::try_from(member + 1).expect("a member's number is small");
        Ipv4Addr::new(10, 77, self.slot.number, host)
    }
    /// The address under which members see the test.
    pub fn test_address(&self) -> Ipv4Addr {
        Ipv4Addr::new(10, 77, self.slot.number, TEST_HOST)
    }
    /// The name of a member's namespace.
    pub fn namespace(&self, member: usize) -> String {
        self.slot.name(&format!("n{member}"))
    }
    /// The switch, if this is what joins the members.
    pub fn switch(&self) -> Option<&Switch> {
        self.switch.as_ref()
    }
    /// A command to be run as a member. The process has the id of the one that is spawned.
    pub fn command(&self, member: usize, program: impl AsRef<Path>) -> Command {
        let mut command = Command::new("ip");
        command.args(["netns", "exec", &self.namespace(member)]).arg(program.as_ref());
        command
    }
    /// Runs a command as a member to its end, which must be a good one, and gives its standard output.
    pub fn run(&self, member: usize, program: &str, args: &[&str]) -> String {
        run("ip", &[&["netns", "exec", &self.namespace(member), program], args].concat())
    }
}

impl Drop for Lab {
    fn drop(&mut self) {
        // The switch holds its devices open: first, so that they go with their namespaces.
        self.switch = None;
        self.slot.clean();
    }
}

/// A number that no other lab of this machine has while this is held.
#[derive(Debug)]
pub(super) struct Slot {
    pub(super) number: u8,
    _lock: File,
}

impl Slot {
    pub(super) fn take() -> Self {
        for number in 1..=SLOTS {
            let path = std::env::temp_dir().join(format!("sealpost-lab-{number}.lock"));
            let file =
                File::options().create(true).truncate(false).write(true).open(&path).expect("a lock file");
            if file.try_lock().is_ok() {
                return Self { number, _lock: file };
            }
        }
        panic!("all {SLOTS} labs of this machine are taken");
    }
    fn name(&self, part: &str) -> String {
        format!("sealpost{}-{part}", self.number)
    }
    fn switch_namespace(&self) -> String {
        self.name("bridge")
    }
    // Names of interfaces have 15 characters at most.
    fn test_link(&self) -> String {
        format!("seal{}test", self.number)
    }
    fn port(&self, member: usize) -> String {
        format!("seal{}p{member}", self.number)
    }
    /// Removes the slot's namespaces with the processes in them.
    fn clean(&self) {
        let listed = quiet("ip", &["netns", "list"]);
        let (listed, prefix) = (String::from_utf8_lossy(&listed.stdout), self.name(""));
        let names = listed.lines().filter_map(|line| line.split_whitespace().next());
        for name in names.filter(|name| name.starts_with(&prefix)) {
            let inside = quiet("ip", &["netns", "pids", name]);
            for id in String::from_utf8_lossy(&inside.stdout).split_whitespace() {
                quiet("kill", &["-KILL", id]);
            }
            quiet("ip", &["netns", "del", name]);
        }
        // The test's leg goes with its other end, but not before the kernel has time for it.
        quiet("ip", &["link", "del", &self.test_link()]);
    }
}

fn bring_up(namespace: Option<&str>, interface: &str, address: Ipv4Addr) {
    let within: Vec<&str> = namespace.iter().flat_map(|name| ["-n", *name]).collect();
    let address = format!("{address}/24");
    run("ip", &[&within[..], &["addr", "add", &address, "dev", interface]].concat());
    run("ip", &[&within[..], &["link", "set", interface, "up"]].concat());
}

/// Whether this machine can make a lab; why not, if not.
fn probe() -> Result<(), String> {
    let status = std::fs::read_to_string("/proc/self/status").map_err(|error| error.to_string())?;
    let user = status.lines().find_map(|line| line.strip_prefix("Uid:"));
    if user.and_then(|ids| ids.split_whitespace().nth(1)) != Some("0") {
        return Err("network namespaces are made by root alone".to_owned());
    }
    for (program, package) in [("ip", "iproute2"), ("tc", "iproute2"), ("nft", "nftables")] {
        let found = Command::new(program).arg("-V").stdout(Stdio::null()).stderr(Stdio::null()).status();
        found.map_err(|_| format!("{program} is missing: apt-get install {package}"))?;
    }
    let slot = Slot::take();
    slot.clean();
    let name = slot.name("probe");
    let steps: [&[&str]; 5] = [
        &["ip", "netns", "add", &name],
        &["ip", "-n", &name, "link", "add", "br0", "type", "bridge"],
        &["ip", "-n", &name, "link", "add", "left", "type", "veth", "peer", "name", "right"],
        &["ip", "netns", "exec", &name, "nft", "add table inet probe"],
        &[
            "tc", "-n", &name, "qdisc", "add", "dev", "left", "root", "tbf", "rate", "1mbit", "burst",
            "32kbit", "latency", "400ms",
        ],
    ];
    let outcome = steps.iter().try_for_each(|step| {
        let output = quiet(step[0], &step[1..]);
        let said = String::from_utf8_lossy(&output.stderr).trim().to_owned();
        if output.status.success() { Ok(()) } else { Err(format!("`{}`: {said}", step.join(" "))) }
    });
    slot.clean();
    outcome
}

/// Whether a test that needs a lab can be run here. If not it is [skipped](skip()).
pub fn ready(test: &str) -> bool {
    let Err(reason) = probe() else { return true };
    skip(test, &reason);
    false
}

/// Runs a command that must end well, and gives its standard output.
pub(super) fn run(program: &str, args: &[&str]) -> String {
    let output = quiet(program, args);
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{program} {}: {}: {said}", args.join(" "), output.status);
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// Runs a command that may fail.
pub(super) fn quiet(program: &str, args: &[&str]) -> Output {
    let started = Command::new(program).args(args).stdin(Stdio::null()).output();
    started.unwrap_or_else(|error| panic!("{program}: {error}"))
}
