//! `testnet`: homes for a network of several nodes, with one genesis and a script that starts them.

use super::init::new_secret;
use super::local::now_ms;
use crate::home::Home;
use clap::Args;
use libp2p::multiaddr::Protocol;
use libp2p::{Multiaddr, PeerId};
use sealpost_ledger::genesis::{
    GENESIS_FORMAT, Genesis, GenesisFile, GenesisValidator, Limits, PostageRules, Timing,
};
use sealpost_ledger::signature::SigningKey;
use sealpost_terminal::{Failure, Terminal, create_private_folder, write_atomically};
use std::fmt::Write as _;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use zeroize::Zeroizing;

/// Ports of a node that has an address of its own: those of a plain start.
const OWN_PORTS: u16 = sealpost_api::DEFAULT_PORT;
/// Ports that a node takes when several share an address.
const PORTS_PER_NODE: u16 = 10;

#[derive(Debug, Args)]
pub(super) struct TestnetArgs {
    /// Nodes that decide blocks
    #[arg(long, value_name = "N", default_value_t = 4, value_parser = clap::value_parser!(u16).range(1..=256))]
    validators: u16,
    /// Nodes that follow
    #[arg(long, value_name = "N", default_value_t = 0, value_parser = clap::value_parser!(u16).range(0..=256))]
    full_nodes: u16,
    /// Folder for the homes; it must not exist, or be empty
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
    /// All nodes share this machine, ten ports each from this one on
    #[arg(long, value_name = "PORT", default_value_t = 27000)]
    base_port: u16,
    /// Each node has an IP address of its own, and the usual ports; validators first
    #[arg(long, value_name = "IP,IP,…", value_delimiter = ',', conflicts_with = "base_port")]
    hosts: Vec<IpAddr>,
    /// Each node has a machine of its own that is reached by the node's name, such as validator-1, and the usual
    /// ports: the services of ops/compose.yaml
    #[arg(long, conflicts_with_all = ["base_port", "hosts"])]
    compose: bool,
    /// Name of the network
    #[arg(long, value_name = "NAME", default_value = "testnet")]
    chain_name: String,
    /// Pause between two blocks of an idle network, in milliseconds
    #[arg(long, value_name = "MS", default_value_t = 30_000)]
    heartbeat_ms: u32,
    /// Shortest pause between two blocks, in milliseconds
    #[arg(long, value_name = "MS", default_value_t = 0)]
    block_interval_ms: u32,
    /// How far ahead of a validator's clock a block's time may be, in milliseconds
    #[arg(long, value_name = "MS", default_value_t = 5_000)]
    clock_drift_ms: u32,
    /// Blocks whose bodies ordinary nodes keep; 0 for ever
    #[arg(long, value_name = "BLOCKS", default_value_t = 0)]
    retention_blocks: u64,
}

/// Where a node is.
#[derive(Clone, Copy)]
enum Place {
    /// At an address.
    Ip(IpAddr),
    /// At its own name; it listens everywhere there.
    Name,
}

/// A node to be made.
struct Plan {
    name: String,
    home: PathBuf,
    place: Place,
    port: u16,
    secret: Option<Zeroizing<[u8; 32]>>,
}

/// A node that was made.
#[derive(serde::Serialize)]
struct Made {
    name: String,
    home: String,
    rpc: String,
    metrics: String,
    p2p: String,
    consensus: Option<String>,
    validator: bool,
}

#[derive(serde::Serialize)]
struct Report {
    genesis: String,
    chain: String,
    nodes: Vec<Made>,
}

impl Plan {
    /// The port for a purpose: RPC, consensus, p2p and metrics follow one another.
    const fn port(&self, offset: u16) -> u16 {
        self.port.saturating_add(offset)
    }
    /// Where the node listens.
    fn listens(&self, offset: u16) -> SocketAddr {
        let ip = match self.place {
            Place::Ip(ip) => ip,
            Place::Name => Ipv4Addr::UNSPECIFIED.into(),
        };
        SocketAddr::new(ip, self.port(offset))
    }
    /// Where others reach it.
    fn reached(&self, offset: u16) -> String {
        match self.place {
            Place::Ip(ip) => SocketAddr::new(ip, self.port(offset)).to_string(),
            Place::Name => format!("{}:{}", self.name, self.port(offset)),
        }
    }
    /// The same as a multiaddress.
    fn multiaddr(&self, offset: u16) -> Multiaddr {
        let host = match self.place {
            Place::Ip(ip) => Multiaddr::from(ip),
            Place::Name => Multiaddr::from(Protocol::Dns4(self.name.as_str().into())),
        };
        host.with(Protocol::Tcp(self.port(offset)))
    }
    /// Where it listens, as a multiaddress.
    fn listens_multiaddr(&self, offset: u16) -> Multiaddr {
        let listens = self.listens(offset);
        Multiaddr::from(listens.ip()).with(Protocol::Tcp(listens.port()))
    }
    fn node_home(&self) -> Home {
        Home::new(self.home.join("node"))
    }
}

pub(super) fn testnet(args: &TestnetArgs, terminal: &Terminal) -> Result<(), Failure> {
    let out = std::path::absolute(&args.out)
        .map_err(|error| Failure::usage(format_args!("out: {}: {error}", args.out.display())))?;
    if out.read_dir().is_ok_and(|mut entries| entries.next().is_some()) {
        return Err(Failure::usage(format_args!("out: {} is not empty; name another folder", out.display())));
    }
    let plans = plans(args, &out)?;
    let genesis = genesis(args, &plans)?;
    create_private_folder(&out)?;
    let mut peers = Vec::new();
    for plan in &plans {
        let home = plan.node_home();
        home.create(&genesis, plan.secret.as_deref())?;
        peers.push(home.identity()?.public().to_peer_id());
    }
    let mut nodes = Vec::new();
    for (position, plan) in plans.iter().enumerate() {
        write_atomically(&plan.home.join("node.toml"), settings(position, &plans, &peers).as_bytes())?;
        nodes.push(made(plan, peers.get(position)));
    }
    // Containers are started by what made them.
    let here = !args.compose;
    if here {
        write_atomically(&out.join("start.sh"), script(&plans).as_bytes())?;
    }
    // Last: where it is, all of the network is.
    let path = out.join("genesis.json");
    write_atomically(&path, genesis.to_json().as_bytes())?;
    terminal.say(format_args!("genesis  {}", path.display()));
    for node in &nodes {
        terminal.say(format_args!("{:<12} rpc {}  p2p {}", node.name, node.rpc, node.p2p));
    }
    if here {
        terminal.say(format_args!("\nStart them all: sh {}", out.join("start.sh").display()));
    }
    if let Some(first) = nodes.first() {
        terminal.say("Join from elsewhere, with a copy of the genesis:");
        terminal.say(format_args!("  sealpost-node run --genesis genesis.json --bootstrap {}", first.p2p));
    }
    let chain = genesis.chain_id().to_string();
    terminal.emit("sealpost/testnet/1", &Report { genesis: path.display().to_string(), chain, nodes });
    Ok(())
}

fn plans(args: &TestnetArgs, out: &Path) -> Result<Vec<Plan>, Failure> {
    let count = usize::from(args.validators).saturating_add(args.full_nodes.into());
    if !args.hosts.is_empty() && args.hosts.len() != count {
        let hosts = args.hosts.len();
        return Err(Failure::usage(format_args!("hosts: {hosts} addresses are given for {count} nodes")));
    }
    let last = u16::try_from(count).ok().and_then(|count| count.checked_mul(PORTS_PER_NODE));
    if args.hosts.is_empty()
        && !args.compose
        && last.and_then(|ports| args.base_port.checked_add(ports)).is_none()
    {
        return Err(Failure::usage(format_args!(
            "base-port: {count} nodes take {PORTS_PER_NODE} ports each from {} on, and there are 65535",
            args.base_port
        )));
    }
    let plan = |position: u16| {
        let is_validator = position < args.validators;
        let name = match is_validator {
            true => format!("validator-{}", position.saturating_add(1)),
            false => format!("full-{}", position.saturating_sub(args.validators).saturating_add(1)),
        };
        let shared = args.base_port.saturating_add(position.saturating_mul(PORTS_PER_NODE));
        let (place, port) = match args.hosts.get(usize::from(position)) {
            _ if args.compose => (Place::Name, OWN_PORTS),
            Some(own) => (Place::Ip(*own), OWN_PORTS),
            None => (Place::Ip(Ipv4Addr::LOCALHOST.into()), shared),
        };
        Ok(Plan {
            home: out.join(&name),
            name,
            place,
            port,
            secret: if is_validator { Some(new_secret()?) } else { None },
        })
    };
    (0..args.validators.saturating_add(args.full_nodes)).map(plan).collect()
}

fn genesis(args: &TestnetArgs, plans: &[Plan]) -> Result<Genesis, Failure> {
    let mut validators = Vec::new();
    for plan in plans {
        if let Some(secret) = &plan.secret {
            let public_key = SigningKey::from_bytes(secret).map_err(Failure::bug)?.public_key();
            validators.push(GenesisValidator { name: plan.name.clone(), public_key, power: 1 });
        }
    }
    let file = GenesisFile {
        format: GENESIS_FORMAT.into(),
        chain_name: args.chain_name.clone(),
        address_prefix: "sealdev".into(),
        time_ms: now_ms(),
        validators,
        limits: Limits { block_bytes: 1 << 20, body_bytes: 64 << 10, slots: 256, expiry_window: 100_000 },
        postage: PostageRules { floor: 0, strangers_percent: 100, member_quota_bytes: 0 },
        timing: Timing {
            block_interval_ms: args.block_interval_ms,
            heartbeat_ms: args.heartbeat_ms,
            clock_drift_ms: args.clock_drift_ms,
        },
        members: Vec::new(),
        retention_blocks: args.retention_blocks,
    };
    Genesis::new(file).map_err(Failure::usage)
}

fn made(plan: &Plan, peer: Option<&PeerId>) -> Made {
    let (p2p, validator) = (plan.multiaddr(2), plan.secret.is_some());
    Made {
        name: plan.name.clone(),
        home: plan.home.display().to_string(),
        rpc: format!("http://{}", plan.reached(0)),
        metrics: format!("http://{}/metrics", plan.reached(3)),
        p2p: peer.map_or(p2p.clone(), |peer| p2p.with(Protocol::P2p(*peer))).to_string(),
        consensus: validator.then(|| plan.multiaddr(1).to_string()),
        validator,
    }
}

/// The settings of a node: its addresses, the other validators if it is one, and two nodes to begin with.
fn settings(position: usize, plans: &[Plan], peers: &[PeerId]) -> String {
    let Some(plan) = plans.get(position) else { return String::new() };
    let quoted = |address: Multiaddr| format!("\"{address}\"");
    let mut text = String::new();
    // Writing to a String does not fail.
    let _ = writeln!(text, "name = \"{}\"", plan.name);
    let _ = writeln!(text, "metrics = \"{}\"\n", plan.listens(3));
    let _ = writeln!(text, "[rpc]\nlisten = \"{}\"", plan.listens(0));
    if let Place::Name = plan.place {
        let _ = writeln!(text, "hosts = [\"{}\"]", plan.name);
    }
    text.push('\n');
    if plan.secret.is_some() {
        let others = plans.iter().zip(peers).filter(|(other, _)| other.name != plan.name);
        let validators = others.filter(|(other, _)| other.secret.is_some());
        let mesh: Vec<_> =
            validators.map(|(other, peer)| quoted(other.multiaddr(1).with(Protocol::P2p(*peer)))).collect();
        let _ = writeln!(text, "[consensus]\nlisten = \"{}\"", plan.listens_multiaddr(1));
        let _ = writeln!(text, "peers = [{}]\n", mesh.join(", "));
    }
    let begin = plans.iter().zip(peers).filter(|(other, _)| other.name != plan.name).take(2);
    let begin: Vec<_> =
        begin.map(|(other, peer)| quoted(other.multiaddr(2).with(Protocol::P2p(*peer)))).collect();
    let _ = writeln!(text, "[p2p]\nlisten = [\"{}\"]", plan.listens_multiaddr(2));
    let _ = writeln!(text, "bootstrap = [{}]", begin.join(", "));
    text
}

/// Starts every node and stops them all together.
fn script(plans: &[Plan]) -> String {
    let mut text = String::from(
        "#!/bin/sh\n# Starts every node of this network on this machine; Ctrl-C stops them all.\n\
         here=$(cd \"$(dirname \"$0\")\" && pwd)\nnode=${SEALPOST_NODE_PROGRAM:-sealpost-node}\n\
         # Ctrl-C reaches the nodes by itself; whoever stops only this script means them all.\n\
         trap 'trap \"\" TERM; kill -TERM 0' TERM\ntrap : INT\n",
    );
    for plan in plans {
        let name = &plan.name;
        let _ = writeln!(text, "\"$node\" --home \"$here/{name}\" run >>\"$here/{name}/node.log\" 2>&1 &");
    }
    // Once more, because a signal ends the first wait.
    text.push_str("wait\nwait\n");
    text
}
