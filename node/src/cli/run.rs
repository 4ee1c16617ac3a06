//! `run`: the node of a home, until it is told to stop.

use super::{home, read_genesis, run_to_end, signals};
use crate::config::{NodeSettings, P2pSettings, RpcSettings};
use crate::consensus::{self, MUTED_TARGETS};
use crate::gossip;
use crate::home::Home;
use crate::mempool::MempoolLimits;
use crate::node::{Config, Node};
use crate::process;
use crate::rpc::Limits;
use crate::supervision::Supervised;
use clap::Args;
use confique::Layer as _;
use libp2p::Multiaddr;
use libp2p::identity::Keypair;
use libp2p::multiaddr::Protocol;
use sealpost_terminal::{Failure, Terminal, load_config};
use std::net::SocketAddr;
use std::num::NonZeroU32;
use std::path::{Path, PathBuf};
use tokio::sync::Notify;

#[derive(Debug, Args)]
pub(super) struct RunArgs {
    /// Genesis of the network, for the first start in an empty home
    #[arg(long, value_name = "FILE")]
    genesis: Option<PathBuf>,
    /// Multiaddress of a node to begin with; may be repeated
    #[arg(long, value_name = "MULTIADDR")]
    bootstrap: Vec<String>,
    /// Where the RPC listens, such as 127.0.0.1:17325; port 0 takes a free one
    #[arg(long, value_name = "ADDRESS")]
    rpc: Option<String>,
    /// Where metrics and health listen; `off` for nowhere
    #[arg(long, value_name = "ADDRESS")]
    metrics: Option<String>,
    /// Where other nodes reach this one, as a multiaddress; may be repeated; `off` to talk to nobody
    #[arg(long, value_name = "MULTIADDR")]
    p2p: Vec<String>,
    /// Where other validators reach this one, as a multiaddress
    #[arg(long, value_name = "MULTIADDR")]
    consensus: Option<String>,
    /// Multiaddress of another validator; may be repeated
    #[arg(long = "peer", value_name = "MULTIADDR")]
    peers: Vec<String>,
    /// Keep the bodies of all messages, even those beyond the network's retention
    #[arg(long)]
    archive: bool,
    /// For a validator whose log of votes is gone: follow until no vote of old can matter, then vote again
    #[arg(long)]
    rejoin: bool,
}

impl RunArgs {
    fn layer(&self) -> <NodeSettings as confique::Config>::Layer {
        let some = |list: &Vec<String>| Some(list.clone()).filter(|list| !list.is_empty());
        let mut layer = <NodeSettings as confique::Config>::Layer::empty();
        layer.rpc.listen = self.rpc.clone();
        layer.metrics = self.metrics.clone();
        layer.archive = self.archive.then_some(true);
        layer.consensus.listen = self.consensus.clone();
        layer.consensus.peers = some(&self.peers);
        layer.p2p.listen = some(&self.p2p);
        layer.p2p.bootstrap = some(&self.bootstrap);
        layer
    }
}

pub(super) fn run(args: &RunArgs, terminal: &Terminal) -> Result<(), Failure> {
    process::protect();
    let settings: NodeSettings = load_config("node", terminal.globals(), args.layer())?;
    let home = home(terminal)?;
    if let Some(genesis) = &args.genesis {
        join(&home, genesis)?;
    }
    let config = config(&settings, &home, args.rejoin)?;
    if config.genesis.validators().count() == 1 {
        mute(terminal)?;
    }
    // They warn of what is normal here: a block that another validator told first, and nobody known yet.
    for target in ["libp2p_gossipsub::behaviour", "libp2p_kad::behaviour"] {
        terminal.logging().mute(target)?;
    }
    warn_if_open(terminal, config.rpc);
    run_to_end(async {
        let stop = signals::listen(terminal);
        let (network, chain) = (config.genesis.chain_name().to_owned(), config.genesis.chain_id());
        let validator = config.consensus.is_some();
        let node = Node::start(config).await?;
        tracing::info!(
            network,
            %chain,
            validator,
            rpc = %node.rpc,
            metrics = ?node.metrics,
            p2p = ?node.p2p,
            replayed_blocks = node.recovery.replayed_blocks,
            cut_bytes = node.recovery.cut_bytes,
            "started"
        );
        let ready = Ready {
            rpc: format!("http://{}", node.rpc),
            metrics: node.metrics.map(|a| a.to_string()),
            p2p: node.p2p.first().map(ToString::to_string),
        };
        terminal.emit("sealpost/node-ready/1", &ready);
        let _supervised = Supervised::ready();
        node.run_until(stopping(&stop, terminal)).await?;
        tracing::info!("stopped");
        Ok(())
    })
}

/// Done when somebody asks to stop. From then on the engine's complaints that its parts end mean nothing.
pub(super) async fn stopping(stop: &Notify, terminal: &Terminal) {
    stop.notified().await;
    if let Err(failure) = terminal.logging().mute("arc_malachitebft_engine") {
        tracing::debug!(%failure, "the engine's log could not be silenced");
    }
}

/// Told on standard output in JSON mode as soon as the node can be asked.
#[derive(serde::Serialize)]
struct Ready {
    rpc: String,
    metrics: Option<String>,
    p2p: Option<String>,
}

/// Makes an empty home one of that network, and leaves one that is so already as it is.
fn join(home: &Home, path: &Path) -> Result<(), Failure> {
    let genesis = read_genesis(path)?;
    if home.exists() && home.genesis()?.chain_id() == genesis.chain_id() {
        return Ok(());
    }
    Ok(home.create(&genesis, None)?)
}

/// Where the other validators are. Each is believed to be who it is by its identity, so that must be there.
pub(super) fn validator_peers(settings: &NodeSettings) -> Result<Vec<Multiaddr>, Failure> {
    let peers: Vec<Multiaddr> = all("consensus.peers", &settings.consensus.peers)?;
    match peers.iter().find(|peer| !matches!(peer.iter().last(), Some(Protocol::P2p(_)))) {
        None => Ok(peers),
        Some(nameless) => Err(Failure::usage(format_args!(
            "consensus.peers: {nameless} does not end in /p2p/PEER_ID; `sealpost-node peers id` on that machine prints it"
        ))),
    }
}

/// What the node is started with, from settings and home.
fn config(settings: &NodeSettings, home: &Home, rejoin: bool) -> Result<Config, Failure> {
    let (genesis, identity) = (home.genesis()?, home.identity()?);
    let consensus = match home.validator()? {
        None => None,
        Some(validator) => {
            let peers = validator_peers(settings)?;
            Some(consensus::Config {
                moniker: settings.name.clone(),
                identity: identity.clone(),
                validator,
                listen: parse("consensus.listen", &settings.consensus.listen)?,
                peers,
                wal: home.wal(),
            })
        }
    };
    if rejoin && (consensus.is_none() || home.wal().exists()) {
        return Err(Failure::usage(
            "--rejoin is for a validator whose log of votes is gone; this node has it, or no validator key",
        ));
    }
    Ok(Config {
        data: home.data(),
        archive: settings.archive,
        consensus,
        rejoin,
        gossip: gossip(&settings.p2p, identity)?,
        rpc: parse(RPC_LISTEN, &settings.rpc.listen)?,
        rpc_limits: rpc(&settings.rpc)?,
        metrics: match settings.metrics.as_str() {
            "off" => None,
            address => Some(parse("metrics", address)?),
        },
        disk_floor_bytes: settings.disk_floor_mib.saturating_mul(1 << 20),
        mempool: MempoolLimits {
            bytes: settings.mempool.bytes,
            count: settings.mempool.count,
            per_sender: settings.mempool.per_sender,
            max_age: settings.mempool.max_age,
        },
        genesis,
    })
}

/// The setting that says where the RPC listens.
pub(super) const RPC_LISTEN: &str = "rpc.listen";

/// What clients of the RPC may cost.
pub(super) fn rpc(settings: &RpcSettings) -> Result<Limits, Failure> {
    for (name, number) in [
        ("rpc.connections", settings.connections),
        ("rpc.connections_per_client", settings.connections_per_client),
    ] {
        if number == 0 {
            return Err(Failure::usage(format_args!("{name}: 0, at least 1 is needed")));
        }
    }
    let proxy = |text: &String| {
        sealpost_http::network(text).ok_or_else(|| {
            Failure::usage(format_args!("rpc.trusted_proxies: {text:?} is no address and no network"))
                .help("such as 127.0.0.1 or 10.0.0.0/8")
        })
    };
    let is_name = |name: &&String| {
        !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric() || "-._".contains(c))
    };
    if let Some(wrong) = settings.hosts.iter().find(|name| !is_name(name)) {
        return Err(Failure::usage(format_args!("rpc.hosts: {wrong:?} is no name of a host"))
            .help("such as node.example.org, without http:// and without a port"));
    }
    let is_origin = |origin: &&String| {
        let authority = origin.strip_prefix("https://").or_else(|| origin.strip_prefix("http://"));
        authority.is_some_and(|rest| !rest.is_empty() && !rest.contains(['/', ' ', '*']))
    };
    if let Some(wrong) = settings.origins.iter().find(|origin| !is_origin(origin)) {
        return Err(Failure::usage(format_args!("rpc.origins: {wrong:?} is no origin of a page"))
            .help("such as https://ledger.example.org, with no path and no slash at its end"));
    }
    Ok(Limits {
        connections: settings.connections,
        connections_per_client: settings.connections_per_client,
        rate: NonZeroU32::new(settings.rate),
        trusted_proxies: settings.trusted_proxies.iter().map(proxy).collect::<Result<_, _>>()?,
        hosts: settings.hosts.clone(),
        origins: settings.origins.clone(),
        ..Limits::default()
    })
}

pub(super) fn gossip(settings: &P2pSettings, identity: Keypair) -> Result<Option<gossip::Config>, Failure> {
    if settings.listen.iter().any(|address| address == "off") {
        return Ok(None);
    }
    Ok(Some(gossip::Config {
        identity,
        listen: all("p2p.listen", &settings.listen)?,
        external: all("p2p.external", &settings.external)?,
        bootstrap: all("p2p.bootstrap", &settings.bootstrap)?,
        quic: settings.quic,
        nat: settings.nat,
        relay: settings.relay,
        limits: gossip::Limits {
            outgoing: settings.outgoing,
            incoming: settings.incoming,
            per_ip: settings.per_ip,
            memory_bytes: settings.memory_mib.saturating_mul(1 << 20),
            ..gossip::Limits::default()
        },
        allow: all("p2p.allow", &settings.allow)?,
        block: all("p2p.block", &settings.block)?,
    }))
}

pub(super) fn all<T: std::str::FromStr, C: FromIterator<T>>(
    field: &str,
    texts: &[String],
) -> Result<C, Failure>
where
    T::Err: std::fmt::Display,
{
    texts.iter().map(|text| parse(field, text)).collect()
}

pub(super) fn mute(terminal: &Terminal) -> Result<(), Failure> {
    MUTED_TARGETS.iter().try_for_each(|target| terminal.logging().mute(target))
}

pub(super) fn parse<T: std::str::FromStr>(field: &str, text: &str) -> Result<T, Failure>
where
    T::Err: std::fmt::Display,
{
    text.parse().map_err(|error| Failure::usage(format_args!("{field}: {text:?}: {error}")))
}

fn warn_if_open(terminal: &Terminal, rpc: SocketAddr) {
    if !rpc.ip().is_loopback() {
        terminal.warn(format_args!(
            "the RPC listens on {rpc}, where others can reach it; put a proxy with TLS before it"
        ));
    }
}
