//! `run`: the node of a home, until it is told to stop.

use super::{home, runtime, signals};
use crate::config::NodeSettings;
use crate::consensus::MUTED_TARGETS;
use crate::mempool::MempoolLimits;
use crate::node::{Config, Node};
use clap::Args;
use confique::Layer as _;
use sealpost_terminal::{Failure, Terminal, load_config};
use std::net::SocketAddr;
use tokio::sync::Notify;

#[derive(Debug, Args)]
pub(super) struct RunArgs {
    /// Where the RPC listens, such as 127.0.0.1:17325; port 0 takes a free one
    #[arg(long, value_name = "ADDRESS")]
    rpc: Option<String>,
    /// Where metrics and health listen; `off` for nowhere
    #[arg(long, value_name = "ADDRESS")]
    metrics: Option<String>,
    /// Where other validators reach this node, as a multiaddress
    #[arg(long, value_name = "MULTIADDR")]
    consensus: Option<String>,
    /// Multiaddress of another validator; may be repeated
    #[arg(long = "peer", value_name = "MULTIADDR")]
    peers: Vec<String>,
    /// Keep the bodies of all messages, also those older than the network's retention
    #[arg(long)]
    archive: bool,
}

impl RunArgs {
    fn layer(&self) -> <NodeSettings as confique::Config>::Layer {
        let mut layer = <NodeSettings as confique::Config>::Layer::empty();
        layer.rpc = self.rpc.clone();
        layer.metrics = self.metrics.clone();
        layer.consensus = self.consensus.clone();
        layer.peers = Some(self.peers.clone()).filter(|peers| !peers.is_empty());
        layer.archive = self.archive.then_some(true);
        layer
    }
}

pub(super) fn run(args: &RunArgs, terminal: &Terminal) -> Result<(), Failure> {
    let settings: NodeSettings = load_config("node", terminal.globals(), args.layer())?;
    let home = home(terminal)?;
    let genesis = home.genesis()?;
    if genesis.validators().count() == 1 {
        mute(terminal)?;
    }
    let config = Config {
        data: home.data(),
        archive: settings.archive,
        wal: home.wal(),
        moniker: settings.name.clone(),
        identity: home.identity()?,
        validator: home.validator()?,
        listen: parse("consensus", &settings.consensus)?,
        peers: settings.peers.iter().map(|peer| parse("peers", peer)).collect::<Result<_, _>>()?,
        rpc: parse("rpc", &settings.rpc)?,
        metrics: match settings.metrics.as_str() {
            "off" => None,
            address => Some(parse("metrics", address)?),
        },
        mempool: MempoolLimits {
            bytes: settings.mempool.bytes,
            count: settings.mempool.count,
            per_sender: settings.mempool.per_sender,
            max_age: settings.mempool.max_age,
        },
        genesis,
    };
    warn_if_open(terminal, config.rpc);
    runtime()?.block_on(async {
        let stop = signals::listen(terminal);
        let (network, chain) = (config.genesis.chain_name().to_owned(), config.genesis.chain_id());
        let validator = config.validator.is_some();
        let node = Node::start(config).await?;
        tracing::info!(
            network,
            %chain,
            validator,
            rpc = %node.rpc,
            metrics = ?node.metrics,
            replayed_blocks = node.recovery.replayed_blocks,
            cut_bytes = node.recovery.cut_bytes,
            "started"
        );
        let ready =
            Ready { rpc: format!("http://{}", node.rpc), metrics: node.metrics.map(|a| a.to_string()) };
        terminal.emit("sealpost/node-ready/1", &ready);
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
}

pub(super) fn mute(terminal: &Terminal) -> Result<(), Failure> {
    MUTED_TARGETS.iter().try_for_each(|target| terminal.logging().mute(target))
}

fn parse<T: std::str::FromStr>(field: &str, text: &str) -> Result<T, Failure>
where
    T::Err: std::fmt::Display,
{
    text.parse().map_err(|error| Failure::usage(format_args!("{field}: {text:?}: {error}")))
}

fn warn_if_open(terminal: &Terminal, rpc: SocketAddr) {
    if !rpc.ip().is_loopback() {
        terminal.warn(format_args!(
            "the RPC listens on {rpc}, where others can reach it; put a proxy with limits of its own before it"
        ));
    }
}
