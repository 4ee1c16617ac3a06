//! The command line of `sealpost-explorer`.

mod check;
mod offline;
mod settings;

use crate::{ExplorerError, Settings, start};
use clap::{CommandFactory, Parser, Subcommand};
use confique::{Config, Layer};
use sealpost_ledger::genesis::Genesis;
use sealpost_terminal::{
    ConfigArgs, Exit, Failure, GlobalArgs, HasGlobals, PagesCommand, Terminal, check_url, first_url,
    load_config, long_version, with_exit_codes,
};
use settings::{ExplorerSettings, LimitArgs};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// The Sealpost explorer: audit delivery by looking
#[derive(Debug, Parser)]
#[command(name = "sealpost-explorer", version, long_version = long_version())]
#[command(after_help = EXAMPLES, after_long_help = with_exit_codes(EXAMPLES))]
pub struct Cli {
    #[command(flatten)]
    global: GlobalArgs,
    #[command(subcommand)]
    command: Command,
}

const EXAMPLES: &str = "Examples:
  sealpost-explorer serve
  sealpost-explorer serve --genesis genesis.json
  sealpost-explorer serve --node http://10.0.0.5:17325 --listen 127.0.0.1:8080
  sealpost-explorer serve --rate 50/s --trusted-proxy 10.0.0.0/8
  sealpost-explorer check --genesis genesis.json
  sealpost-explorer openapi > openapi.json
  sealpost-explorer offline -o verify.html
  sealpost-explorer offline -o notice.html --evidence notice.json --genesis genesis.json";

#[derive(Debug, Subcommand)]
enum Command {
    /// Serve the pages and the API
    Serve {
        /// The node to ask
        #[arg(long, value_name = "URL")]
        node: Option<String>,
        /// Where to listen; port 0 takes a free one
        #[arg(long, value_name = "ADDRESS")]
        listen: Option<String>,
        /// Genesis of the network: everything is checked against it. Without it, against the one that the node
        /// gives first
        #[arg(long, value_name = "FILE")]
        genesis: Option<PathBuf>,
        #[command(flatten)]
        limits: LimitArgs,
    },
    /// Ask the node whether the explorer could answer: exit 0 if so, 3 if not, 6 if what the node said does not hold
    Check {
        /// The node to ask
        #[arg(long, value_name = "URL")]
        node: Option<String>,
        /// Genesis of the network, to check the node's head against
        #[arg(long, value_name = "FILE")]
        genesis: Option<PathBuf>,
    },
    /// Print the OpenAPI document of the API
    Openapi,
    /// Write the checker of evidence as one HTML file that opens from disk
    Offline(offline::OfflineArgs),
    /// Settings: every option with its comment and default; in force, checked, or where they are
    Config(ConfigArgs),
    #[command(flatten)]
    Pages(PagesCommand),
}

impl HasGlobals for Cli {
    fn globals(&self) -> &GlobalArgs {
        &self.global
    }
}

/// Told on standard output in JSON mode as soon as pages are served.
#[derive(serde::Serialize)]
struct Ready {
    explorer: String,
}

/// Does what the command line says.
pub fn execute(cli: Cli, terminal: &Terminal) -> Result<(), Failure> {
    match cli.command {
        Command::Serve { node, listen, genesis, limits } => {
            let mut flags = <ExplorerSettings as Config>::Layer::empty();
            (flags.node, flags.listen, flags.genesis) = (node, listen, genesis);
            limits.enter(&mut flags);
            serve(&load_config("explorer", terminal.globals(), flags)?, terminal)
        }
        Command::Check { node, genesis } => {
            let mut flags = <ExplorerSettings as Config>::Layer::empty();
            (flags.node, flags.genesis) = (node, genesis);
            let settings: ExplorerSettings = load_config("explorer", terminal.globals(), flags)?;
            let node = first_url(&settings.node);
            check_url("node", node)?;
            let genesis = settings.genesis.as_deref().map(read_genesis).transpose()?;
            runtime()?.block_on(check::check(node, genesis, terminal))
        }
        Command::Openapi => {
            terminal.write(crate::api::document().as_bytes());
            Ok(())
        }
        Command::Offline(args) => offline::offline(&args, terminal),
        Command::Config(command) => command.run::<ExplorerSettings>("explorer", terminal),
        Command::Pages(pages) => pages.run(Cli::command(), terminal),
    }
}

fn read_genesis(path: &Path) -> Result<Arc<Genesis>, Failure> {
    let wrong =
        |error: &dyn std::fmt::Display| Failure::usage(format_args!("genesis: {}: {error}", path.display()));
    let bytes = std::fs::read(path).map_err(|error| wrong(&error))?;
    Genesis::parse(&bytes).map(Arc::new).map_err(|error| wrong(&error))
}

fn serve(settings: &ExplorerSettings, terminal: &Terminal) -> Result<(), Failure> {
    let listen = settings.listen.parse().map_err(|error| {
        Failure::usage(format_args!("listen: {:?}: {error}", settings.listen))
            .help("an address and a port, such as 127.0.0.1:17329")
    })?;
    let node = first_url(&settings.node);
    check_url("node", node)?;
    let limits = settings.limits()?;
    let genesis = settings.genesis.as_deref().map(read_genesis).transpose()?;
    if genesis.is_none() {
        terminal.warn(
            "without a genesis of your own (--genesis FILE, or the setting `genesis`) everything is checked against the \
             one that the node gives first: then \"proven\" is worth no more than that node's word, and the pages say so",
        );
    }
    runtime()?.block_on(async {
        let explorer = start(Settings { listen, node: node.to_owned(), genesis, limits }).await?;
        let url = format!("http://{}", explorer.address);
        terminal.say(format_args!("explorer  {url}  (asks {node})"));
        terminal.emit("sealpost/explorer-ready/1", &Ready { explorer: url });
        wait_for_signal().await;
        explorer.stop().await;
        Ok(())
    })
}

fn runtime() -> Result<tokio::runtime::Runtime, Failure> {
    tokio::runtime::Runtime::new().map_err(|error| {
        Failure::unavailable("system.runtime", format_args!("no runtime could be started: {error}"))
    })
}

#[cfg(unix)]
async fn wait_for_signal() {
    use tokio::signal::unix::{SignalKind, signal};
    match signal(SignalKind::terminate()) {
        Ok(mut terminate) => tokio::select! {
            _ = tokio::signal::ctrl_c() => {}
            _ = terminate.recv() => {}
        },
        Err(_) => drop(tokio::signal::ctrl_c().await),
    }
}

#[cfg(not(unix))]
async fn wait_for_signal() {
    drop(tokio::signal::ctrl_c().await);
}

impl From<ExplorerError> for Failure {
    fn from(error: ExplorerError) -> Self {
        match error {
            ExplorerError::Listen { .. } => Failure::new(Exit::Unavailable, "explorer.listen", error),
            ExplorerError::Node { .. } => Failure::usage(error),
            ExplorerError::Metrics(_) => Failure::bug(error),
        }
    }
}
