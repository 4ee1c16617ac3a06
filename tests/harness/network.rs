//! A network of real nodes: each its own process, in its own network namespace or on ports of this machine.
//! Members are named by their number: validators first, then full nodes.

use super::clock::Clock;
use super::faults::{FaultKind, Faults};
use super::namespace::{Lab, Slot, Wire};
use crate::{Server, Starting, get, json, last_lines, misbehaving_node, program, run};
use jsonrpsee::http_client::{HttpClient, HttpClientBuilder};
use jsonrpsee::ws_client::WsClientBuilder;
use sealpost_api::{DEFAULT_PORT, SealpostRpcClient};
use sealpost_ledger::genesis::Genesis;
use sealpost_ledger::height::BlockHeight;
use sealpost_ledger::signature::{PublicKey, SigningKey};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// Longest wait for an answer of a node.
const ANSWER_WITHIN: Duration = Duration::from_secs(60);
/// Ports of one network on this machine, and where the first network has its own.
const PORTS_EACH: u16 = 160;
const FIRST_PORT: u16 = 20_000;
/// What tells a validator of the misbehaving build what to do.
const MISDEEDS: &str = "SEALPOST_TEST_MISDEEDS";
/// Lines of each log that a failed test shows.
const TAIL: usize = 25;

/// What kind of network.
#[derive(Debug, Clone)]
pub struct NetworkOptions {
    /// Its name, in the genesis and in what a failed test says.
    pub name: String,
    /// Nodes that vote.
    pub validators: usize,
    /// Nodes that follow.
    pub full_nodes: usize,
    /// Where they run.
    pub place: Place,
    /// Longest time without a block; the node's own default if none is given.
    pub heartbeat_ms: Option<u64>,
}

/// Where nodes run.
#[derive(Debug, Clone, Copy)]
pub enum Place {
    /// In namespaces of their own, joined by a wire. Needs root; ask `namespace::ready` first.
    Lab(Wire),
    /// On ports of this machine: for measuring, without faults of the network.
    Loopback,
}

/// A running network. All of it ends when it is dropped.
#[derive(Debug)]
pub struct Network {
    // Processes before what they stand on.
    members: Vec<Member>,
    faults: Option<Faults>,
    lab: Option<Arc<Lab>>,
    genesis: Genesis,
    name: String,
    folder: TempDir,
    _slot: Option<Slot>,
}

#[derive(Debug)]
struct Member {
    name: String,
    home: PathBuf,
    validator: bool,
    log: PathBuf,
    /// What it does against the rules, separated by commas, if it is of the misbehaving build.
    misdeeds: Option<String>,
    /// Its clock, if that is not the machine's.
    clock: Option<Clock>,
    server: Option<Server>,
    client: Option<HttpClient>,
    peak_kib: u64,
}

impl Network {
    /// Makes a network and starts all of it.
    pub fn start(options: &NetworkOptions) -> Self {
        let mut network = Self::create(options);
        let all: Vec<usize> = network.all().collect();
        network.start_members(&all);
        network
    }
    /// Gives a network that has not started yet other rules.
    pub fn with_rules(mut self, change: impl FnOnce(&mut serde_json::Value)) -> Self {
        let mut rules = serde_json::from_str(&self.genesis.to_json()).expect("JSON");
        change(&mut rules);
        let rules = rules.to_string();
        self.genesis = Genesis::parse(rules.as_bytes()).expect("a genesis");
        for member in &self.members {
            std::fs::write(member.home.join("node/genesis.json"), &rules).expect("written");
        }
        self
    }
    /// Makes a network, and starts nothing yet.
    pub fn create(options: &NetworkOptions) -> Self {
        let count = options.validators + options.full_nodes;
        let (lab, slot) = match options.place {
            Place::Lab(wire) => (Some(Arc::new(Lab::new(count, wire))), None),
            Place::Loopback => (None, Some(Slot::take())),
        };
        let folder = tempfile::tempdir().expect("a temporary folder");
        let out = folder.path().join("testnet");
        let mut args: Vec<String> = ["testnet", "--chain-name", &options.name].map(str::to_owned).into();
        let mut set = |flag: &str, value: String| args.extend([flag.to_owned(), value]);
        set("--validators", options.validators.to_string());
        set("--full-nodes", options.full_nodes.to_string());
        set("--out", out.display().to_string());
        if let Some(heartbeat) = options.heartbeat_ms {
            set("--heartbeat-ms", heartbeat.to_string());
        }
        match (&lab, &slot) {
            (Some(lab), _) => {
                let hosts: Vec<_> = (0..count).map(|member| lab.address(member).to_string()).collect();
                set("--hosts", hosts.join(","));
            }
            (None, Some(slot)) => {
                set("--base-port", (FIRST_PORT + u16::from(slot.number) * PORTS_EACH).to_string());
            }
            (None, None) => {}
        }
        let args: Vec<&str> = args.iter().map(String::as_str).collect();
        let made = json("sealpost-node", folder.path(), &args);
        let members = made["nodes"].as_array().expect("a list of nodes").iter().map(|node| Member {
            name: node["name"].as_str().expect("a name").to_owned(),
            home: node["home"].as_str().expect("a home").into(),
            validator: node["validator"].as_bool().expect("yes or no"),
            log: folder.path().join(format!("{}.log", node["name"].as_str().expect("a name"))),
            misdeeds: None,
            clock: None,
            server: None,
            client: None,
            peak_kib: 0,
        });
        let members: Vec<Member> = members.collect();
        assert_eq!(members.len(), count, "{made}");
        let genesis = std::fs::read(out.join("genesis.json")).expect("a genesis");
        Self {
            members,
            faults: lab.clone().map(Faults::new),
            lab,
            genesis: Genesis::parse(&genesis).expect("a sound genesis"),
            name: options.name.clone(),
            folder,
            _slot: slot,
        }
    }

    /// Changes the genesis of a network that was only made yet, on all its nodes.
    pub fn change_genesis(&mut self, change: impl FnOnce(&mut serde_json::Value)) {
        assert!(self.running().is_empty(), "the network runs already");
        let mut file = serde_json::to_value(self.genesis.file()).expect("plain texts and numbers");
        change(&mut file);
        let json = file.to_string();
        let homes = self.members.iter().map(|member| member.home.join("node/genesis.json"));
        for path in homes.chain([self.folder.path().join("testnet/genesis.json")]) {
            std::fs::write(path, &json).expect("written");
        }
        self.genesis = Genesis::parse(json.as_bytes()).expect("a sound genesis");
    }
    /// The genesis.
    pub fn genesis(&self) -> &Genesis {
        &self.genesis
    }
    /// The folder of everything: `testnet` made by the command, and the logs.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }
    /// The lab it runs in.
    pub fn lab(&self) -> Option<&Arc<Lab>> {
        self.lab.as_ref()
    }
    /// Faults of its links.
    pub fn faults(&mut self) -> &mut Faults {
        self.faults.as_mut().expect("a network in a lab")
    }
    /// Every member.
    pub fn all(&self) -> impl Iterator<Item = usize> + use<> {
        0..self.members.len()
    }
    /// The members that vote.
    pub fn validators(&self) -> Vec<usize> {
        self.all().filter(|member| self.members[*member].validator).collect()
    }
    /// The members whose process runs, be it paused.
    pub fn running(&self) -> Vec<usize> {
        self.all().filter(|member| self.members[*member].server.is_some()).collect()
    }
    /// A member's name.
    pub fn name(&self, member: usize) -> &str {
        &self.members[member].name
    }
    /// A member's home.
    pub fn home(&self, member: usize) -> &Path {
        &self.members[member].home
    }
    /// What a member's log says.
    pub fn log(&self, member: usize) -> String {
        let bytes = std::fs::read(&self.members[member].log).unwrap_or_default();
        String::from_utf8_lossy(&bytes).into_owned()
    }
    /// What a running member said when it was ready, such as `p2p`.
    pub fn said(&self, member: usize, field: &str) -> String {
        self.server(member).said(field)
    }
    /// A running member's RPC.
    pub fn client(&self, member: usize) -> &HttpClient {
        let member = &self.members[member];
        member.client.as_ref().unwrap_or_else(|| panic!("{} does not run", member.name))
    }

    /// From its next start on, a member breaks the rules in these ways; with none it is an honest one of the
    /// misbehaving build.
    pub fn corrupt(&mut self, member: usize, misdeeds: &[&str]) {
        self.members[member].misdeeds = Some(misdeeds.join(","));
    }
    /// A stopped validator's log of votes is as if it had never voted. For one that breaks the rules anyway.
    pub fn forget_votes(&self, member: usize) {
        assert!(self.members[member].server.is_none(), "{} still runs", self.name(member));
        std::fs::write(self.home(member).join("node/consensus.wal"), "").expect("written");
    }
    /// From its next start on, a member keeps the rules.
    pub fn redeem(&mut self, member: usize) {
        self.members[member].misdeeds = None;
    }
    /// From its next start on, a member sees that clock.
    pub fn give_clock(&mut self, member: usize, clock: Clock) {
        self.members[member].clock = Some(clock);
    }
    /// A validator's public key.
    pub fn validator_key(&self, member: usize) -> PublicKey {
        let text = std::fs::read_to_string(self.home(member).join("node/validator.key")).expect("a key");
        let secret = const_hex::decode_to_array(text.trim()).expect("64 digits");
        SigningKey::from_bytes(&secret).expect("a key").public_key()
    }
    /// Makes a full node that has not run yet a second copy of a validator, as a careless copy of a home would: the
    /// same key, with a log of votes and a network identity of its own. All the others know it as a validator.
    pub fn twin(&mut self, validator: usize, full_node: usize) {
        assert!(self.running().is_empty(), "the network runs already");
        let (from, to) = (self.home(validator).join("node"), self.home(full_node).join("node"));
        std::fs::copy(from.join("validator.key"), to.join("validator.key")).expect("copied");
        std::fs::File::create_new(to.join("consensus.wal")).expect("a log of votes");
        self.members[full_node].validator = true;
        let reached = |network: &Self, member: usize| {
            let lab = network.lab.as_ref().expect("a network in a lab");
            let id = json("sealpost-node", network.home(member), &["peers", "id"]);
            let peer = id["peer"].as_str().expect("an identity").to_owned();
            format!("/ip4/{}/tcp/{}/p2p/{peer}", lab.address(member), DEFAULT_PORT + 1)
        };
        let mesh: Vec<(usize, String)> =
            self.validators().into_iter().map(|member| (member, reached(self, member))).collect();
        for (member, own) in &mesh {
            let path = self.home(*member).join("node.toml");
            let settings = std::fs::read_to_string(&path).expect("settings");
            let mut settings: Vec<&str> = settings
                .lines()
                .filter(|line| !line.starts_with("peers = ") && *line != "[consensus]")
                .collect();
            // The line that says where consensus listens ends in its port, and no other does.
            let port = format!("/tcp/{}\"", DEFAULT_PORT + 1);
            settings.retain(|line| !line.ends_with(&port));
            let listen = own.split_once("/p2p/").map_or(own.as_str(), |(address, _)| address);
            let others = mesh.iter().filter(|(other, _)| other != member);
            let others: Vec<String> = others.map(|(_, address)| format!("\"{address}\"")).collect();
            let consensus =
                format!("\n[consensus]\nlisten = \"{listen}\"\npeers = [{}]\n", others.join(", "));
            std::fs::write(&path, settings.join("\n") + &consensus).expect("written");
        }
    }

    /// Starts a member as it is.
    pub fn start_member(&mut self, member: usize) {
        self.start_members(&[member]);
    }
    /// Starts members at once, and waits until all are ready.
    pub fn start_members(&mut self, members: &[usize]) {
        let starting: Vec<Starting> = members.iter().map(|member| self.launch(*member, &[])).collect();
        for (member, starting) in members.iter().zip(starting) {
            self.take_in(*member, starting.ready());
        }
    }
    /// Starts a member with more arguments than `run`.
    pub fn start_with(&mut self, member: usize, args: &[&str]) {
        let server = self.launch(member, args).ready();
        self.take_in(member, server);
    }
    fn launch(&self, member: usize, args: &[&str]) -> Starting {
        assert!(self.members[member].server.is_none(), "{} runs already", self.members[member].name);
        let misdeeds = &self.members[member].misdeeds;
        let program = misdeeds.as_ref().map_or_else(|| program("sealpost-node"), |_| misbehaving_node());
        let mut command =
            self.lab.as_ref().map_or_else(|| Command::new(&program), |lab| lab.command(member, &program));
        command.envs(misdeeds.as_ref().map(|misdeeds| (MISDEEDS, misdeeds)));
        command.envs(self.members[member].clock.iter().flat_map(Clock::environment));
        let home = &self.members[member].home;
        command.env("SEALPOST_HOME", home).env_remove("SEALPOST_NODE").env_remove("RUST_LOG");
        if self.lab.is_some() {
            // The test is a stranger there, and stands for all its people at once.
            command.envs([("SEALPOST_RPC_RATE", "0"), ("SEALPOST_RPC_CONNECTIONS_PER_CLIENT", "128")]);
        }
        command.arg("--home").arg(home).arg("run").args(args).arg("--json");
        Server::launch(command, &self.members[member].log)
    }
    fn take_in(&mut self, member: usize, server: Server) {
        let client = HttpClientBuilder::default().request_timeout(ANSWER_WITHIN).build(server.said("rpc"));
        self.members[member].client = Some(client.expect("a URL"));
        self.members[member].server = Some(server);
    }

    /// Stops a member in good order: SIGTERM, exit code 0.
    pub fn stop_member(&mut self, member: usize) {
        let status = self.take_out(member).stop();
        assert!(status.success(), "{} did not stop in good order: {status}", self.name(member));
    }
    /// kill -9.
    pub fn kill_member(&mut self, member: usize) {
        self.take_out(member).kill();
        self.note(FaultKind::Kill, member);
    }
    /// kill -9 of several before any of them is waited for.
    pub fn kill_members(&mut self, members: &[usize]) {
        let servers: Vec<Server> = members.iter().map(|member| self.take_out(*member)).collect();
        servers.iter().for_each(|server| server.signal("KILL"));
        servers.into_iter().for_each(Server::kill);
        if let Some(faults) = &mut self.faults {
            faults.record(FaultKind::KillAll, format!("{members:?}"));
        }
    }
    /// SIGTERM and a new start.
    pub fn restart_member(&mut self, member: usize) {
        self.stop_member(member);
        self.start_member(member);
        self.note(FaultKind::Restart, member);
    }
    /// Stops a member's process where it stands; returns when the kernel says so.
    pub fn pause_member(&mut self, member: usize) {
        let server = self.server(member);
        server.signal("STOP");
        let since = Instant::now();
        while !is_stopped(server.id()) {
            assert!(since.elapsed() < Duration::from_secs(5), "{} is not to be stopped", self.name(member));
            std::thread::yield_now();
        }
        self.note(FaultKind::Pause, member);
    }
    /// Lets a paused member go on.
    pub fn resume_member(&self, member: usize) {
        let server = self.server(member);
        assert!(is_stopped(server.id()), "{} was not paused", self.name(member));
        server.signal("CONT");
    }
    /// Deletes a stopped member's data and votes; its keys stay.
    pub fn wipe_member(&mut self, member: usize) {
        assert!(self.members[member].server.is_none(), "{} still runs", self.name(member));
        let node = self.home(member).join("node");
        std::fs::remove_dir_all(node.join("data")).expect("there was data");
        if self.members[member].validator {
            remove(&node.join("consensus.wal"));
        }
        self.note(FaultKind::Wipe, member);
    }
    /// Starts a wiped member again: a validator votes only after it has caught up.
    pub fn rejoin_member(&mut self, member: usize) {
        let args: &[&str] = if self.members[member].validator { &["--rejoin"] } else { &[] };
        self.start_with(member, args);
    }
    /// `sealpost-node check` of a stopped member.
    pub fn check_member(&self, member: usize) -> Output {
        assert!(self.members[member].server.is_none(), "{} still runs", self.name(member));
        run("sealpost-node", self.home(member), &["check", "--json"])
    }
    /// The members that have ended of themselves, and how.
    pub fn ended(&mut self) -> Vec<(usize, String)> {
        let ended = |(number, member): (usize, &mut Member)| {
            let status = member.server.as_mut()?.ended()?;
            Some((number, format!("{} has ended: {status}", member.name)))
        };
        self.members.iter_mut().enumerate().filter_map(ended).collect()
    }
    /// A running node's metric by its name, or by its name and labels; the sum of all that begin so, 0 if there
    /// is none yet.
    pub fn metric(&self, member: usize, name: &str) -> f64 {
        let (_, text) = get(&format!("http://{}/metrics", self.said(member, "metrics")));
        let ours = text.lines().filter_map(|line| line.strip_prefix(name));
        let ours = ours.filter(|rest| rest.starts_with([' ', '{']));
        ours.filter_map(|rest| rest.rsplit_once(' ')?.1.parse::<f64>().ok()).sum()
    }
    /// Processor time that a running node has used so far, in seconds.
    pub fn cpu_seconds(&self, member: usize) -> f64 {
        self.server(member).cpu_seconds()
    }
    /// The most memory that a member has had so far, over all its lives, in KiB.
    pub fn peak_memory_kib(&self, member: usize) -> u64 {
        let member = &self.members[member];
        member.server.as_ref().map_or(0, Server::peak_memory_kib).max(member.peak_kib)
    }
    /// Memory that a running node has of its own now, in KiB, pages of files left out.
    pub fn own_memory_kib(&self, member: usize) -> u64 {
        self.server(member).own_memory_kib()
    }
    /// Waits until a block is final on a member; says whether it came in time.
    pub async fn reaches(&self, member: usize, height: BlockHeight, within: Duration) -> bool {
        let url = self.said(member, "rpc").replacen("http", "ws", 1);
        let wait = async {
            let client = WsClientBuilder::default().build(&url).await.expect("a node that answers");
            let mut blocks = client.chain_subscribe_blocks(Some(height)).await.expect("a subscription");
            blocks.next().await.is_some_and(|block| block.is_ok())
        };
        tokio::time::timeout(within, wait).await.unwrap_or(false)
    }
    /// The last lines of every log.
    pub fn log_tails(&self) -> String {
        let tail = |member: usize| {
            let log = self.log(member);
            let all = log.lines().count();
            format!("--- {} ({all} lines)\n{}\n", self.name(member), last_lines(&log, TAIL))
        };
        self.all().map(tail).collect()
    }

    fn server(&self, member: usize) -> &Server {
        let member = &self.members[member];
        member.server.as_ref().unwrap_or_else(|| panic!("{} does not run", member.name))
    }
    fn take_out(&mut self, member: usize) -> Server {
        let peak_kib = self.peak_memory_kib(member);
        let member = &mut self.members[member];
        member.peak_kib = peak_kib;
        member.client = None;
        member.server.take().unwrap_or_else(|| panic!("{} does not run", member.name))
    }
    fn note(&mut self, kind: FaultKind, member: usize) {
        let name = self.members[member].name.clone();
        if let Some(faults) = &mut self.faults {
            faults.record(kind, name);
        }
    }
}

impl Drop for Network {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("logs of the network {:?}:\n{}", self.name, self.log_tails());
        }
        // All at once: one after another each would see the others go.
        for server in self.members.iter().filter_map(|member| member.server.as_ref()) {
            let _ = Command::new("kill").args(["-KILL", &server.id().to_string()]).status();
        }
    }
}

fn remove(path: &Path) {
    let removed = if path.is_dir() { std::fs::remove_dir_all(path) } else { std::fs::remove_file(path) };
    removed.unwrap_or_else(|error| panic!("{}: {error}", path.display()));
}

/// Whether a process is stopped by a signal.
fn is_stopped(id: u32) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{id}/stat")).unwrap_or_default();
    // The name, in brackets, may hold anything.
    stat.rsplit_once(") ").is_some_and(|(_, rest)| rest.starts_with('T'))
}
