//! The command line of `sealpost-node`.

mod asking;
mod check;
mod db;
mod demo;
mod dev;
#[cfg(feature = "fuzzing")]
pub(crate) mod fuzzing;
mod init;
mod local;
mod made;
mod member;
mod peers;
mod proposal;
mod run;
mod settings;
mod signals;
mod snapshot;
mod status;
mod testnet;
mod validator;

use crate::config::NodeSettings;
use crate::consensus::ConsensusError;
use crate::home::{Home, HomeError};
use crate::identity::IdentityError;
use crate::node::NodeError;
use crate::store::{CheckError, StoreError};
use crate::sync::SyncError;
use clap::{CommandFactory, Parser, Subcommand};
use confique::{Config, Layer};
use sealpost_ledger::genesis::Genesis;
use sealpost_terminal::{
    ConfigArgs, Exit, Failure, Folder, Folders, GlobalArgs, HasGlobals, PagesCommand, Terminal, load_config,
    long_version, with_exit_codes,
};
use std::path::Path;
use std::time::Duration;

/// The Sealpost node: keeps the ledger, decides blocks, answers wallets and explorers
#[derive(Debug, Parser)]
#[command(name = "sealpost-node", version, long_version = long_version())]
#[command(after_help = EXAMPLES, after_long_help = with_exit_codes(EXAMPLES))]
pub struct Cli {
    #[command(flatten)]
    global: GlobalArgs,
    #[command(subcommand)]
    command: Command,
}

const EXAMPLES: &str = "Examples:
  sealpost-node demo                 see the whole way of one message, then look around
  sealpost-node dev                  a network of your own at once, with accounts to play with
  sealpost-node init && sealpost-node run
  sealpost-node status --wait synced";

#[derive(Debug, Subcommand)]
enum Command {
    /// Show the whole way of a message in one process: sealed, final, opened, answered, proven
    Demo(demo::DemoArgs),
    /// Start a network of one validator at once, with ready accounts and an explorer
    Dev(dev::DevArgs),
    /// Run the node that lives in the home folder
    Run(run::RunArgs),
    /// Make a home folder for a node
    Init(init::InitArgs),
    /// Make the homes of a network of several nodes, and a script that starts them
    Testnet(testnet::TestnetArgs),
    /// Who a node is connected to, and by what name others know it
    #[command(subcommand)]
    Peers(peers::PeersCommand),
    /// Ask a running node how it is
    Status(status::StatusArgs),
    /// The validators: who they are, and changes of the set
    #[command(subcommand)]
    Validator(validator::ValidatorCommand),
    /// Members: who comes and who goes
    #[command(subcommand)]
    Member(member::MemberCommand),
    /// Walk through the data of a stopped node and name the first damage
    Check(check::CheckArgs),
    /// Make, check and restore snapshots of the ledger
    #[command(subcommand)]
    Snapshot(snapshot::SnapshotCommand),
    /// What lies on disk
    #[command(subcommand)]
    Db(db::DbCommand),
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

/// Does what the command line says.
pub fn execute(cli: Cli, terminal: &Terminal) -> Result<(), Failure> {
    crate::node::raise_open_files();
    match cli.command {
        Command::Demo(args) => demo::demo(&args, terminal),
        Command::Dev(args) => dev::dev(&args, terminal),
        Command::Run(args) => run::run(&args, terminal),
        Command::Init(args) => init::init(&args, terminal),
        Command::Peers(command) => peers::peers(&command, terminal),
        Command::Testnet(args) => testnet::testnet(&args, terminal),
        Command::Status(args) => status::status(&args, terminal),
        Command::Validator(command) => validator::validator(&command, terminal),
        Command::Member(command) => member::member(&command, terminal),
        Command::Check(args) => check::check(&args, terminal),
        Command::Snapshot(command) => snapshot::snapshot(&command, terminal),
        Command::Db(command) => db::db(&command, terminal),
        Command::Config(command) => {
            if command.is_check() {
                let none = <NodeSettings as Config>::Layer::empty();
                settings::check(&load_config("node", terminal.globals(), none)?)?;
            }
            command.run::<NodeSettings>("node", terminal)
        }
        Command::Pages(pages) => pages.run(Cli::command(), terminal),
    }
}

/// The home folder that the flags name.
fn home(terminal: &Terminal) -> Result<Home, Failure> {
    let data = Folders::new(terminal.globals()).path(Folder::Data)?;
    Ok(Home::new(data.join("node")))
}

fn read_genesis(path: &Path) -> Result<Genesis, Failure> {
    let bytes = std::fs::read(path)
        .map_err(|error| Failure::usage(format_args!("genesis: {}: {error}", path.display())))?;
    Genesis::parse(&bytes).map_err(Failure::usage)
}

/// How long what has no end of its own may go on after a command's end: a question to a name server that is away.
const LEFTOVERS: Duration = Duration::from_secs(2);

/// Runs a command to its end, on a runtime of its own, and waits for little else.
fn run_to_end<T>(command: impl Future<Output = Result<T, Failure>>) -> Result<T, Failure> {
    let runtime = runtime()?;
    let ended = runtime.block_on(command);
    runtime.shutdown_timeout(LEFTOVERS);
    ended
}

fn runtime() -> Result<tokio::runtime::Runtime, Failure> {
    tokio::runtime::Runtime::new().map_err(|error| {
        Failure::unavailable("system.runtime", format_args!("no runtime could be started: {error}"))
    })
}

impl From<HomeError> for Failure {
    fn from(error: HomeError) -> Self {
        match error {
            HomeError::File(failure) | HomeError::Identity(IdentityError::Secret(failure)) => failure,
            HomeError::Empty { .. } => Failure::usage(&error)
                .help("`sealpost-node init` makes a node here; --home names another folder"),
            HomeError::Taken { .. } => Failure::usage(&error)
                .help("run it with `sealpost-node run`, or name another folder with --home"),
            HomeError::KeyThere { .. } => Failure::new(Exit::Usage, "validator.key_there", &error).help(
                "`sealpost-node init --genesis FILE --validator` makes a home of this key; for another one name another \
                 folder with --home, or move the key and its consensus.wal away together",
            ),
            error => Failure::usage(error),
        }
    }
}

impl From<NodeError> for Failure {
    fn from(error: NodeError) -> Self {
        let code = match &error {
            NodeError::Store(error) => store_code(error),
            NodeError::Consensus(ConsensusError::WalMissing { .. }) => "consensus.wal_missing",
            NodeError::Consensus(ConsensusError::WalDamaged { .. }) => "consensus.wal_damaged",
            NodeError::Consensus(ConsensusError::WalHeld { .. }) => "consensus.wal_held",
            NodeError::Consensus(ConsensusError::Listen { .. }) => "consensus.listen",
            NodeError::Consensus(_) => "consensus.failed",
            NodeError::Rpc(_) => "rpc.listen",
            NodeError::Metrics(_) => "metrics.listen",
            NodeError::Gossip(_) => "p2p.listen",
            NodeError::Sync(SyncError::Store(error)) => store_code(error),
            NodeError::Sync(SyncError::Task(_)) => "node.task",
            NodeError::OpenFiles(_) => "system.open_files",
            NodeError::Task(_) => "node.task",
        };
        let failure = Failure::unavailable(code, error);
        match code {
            "rpc.listen" => failure.help("--rpc names another address"),
            "metrics.listen" => failure.help("--metrics names another address, or `off`"),
            "consensus.listen" => failure.help("--consensus names another address"),
            "system.open_files" => failure.help(
                "allow more, with `ulimit -n` in a shell, LimitNOFILE= in a unit or `nofile` for a container; or let fewer \
                 connections in: rpc.connections, p2p.incoming",
            ),
            "p2p.listen" => failure.help("--p2p names another address, or `off`"),
            _ => failure,
        }
    }
}

const fn store_code(error: &StoreError) -> &'static str {
    match error {
        StoreError::Io { .. } => "store.io",
        StoreError::Locked { .. } => "store.locked",
        StoreError::Format { .. } => "store.format",
        StoreError::OtherChain { .. } => "store.other_chain",
        StoreError::Archive { .. } => "store.archive",
        StoreError::Damaged { .. } | StoreError::Index { .. } => "store.damaged",
        _ => "store.failed",
    }
}

impl From<StoreError> for Failure {
    fn from(error: StoreError) -> Self {
        match &error {
            StoreError::Damaged { .. } | StoreError::Index { .. } => Failure::no("store.damaged", error),
            _ => Failure::unavailable(store_code(&error), error),
        }
    }
}

impl From<CheckError> for Failure {
    fn from(error: CheckError) -> Self {
        match &error {
            CheckError::NoData { .. } => Failure::usage(error),
            CheckError::Store(StoreError::Damaged { .. })
            | CheckError::Beside(_)
            | CheckError::Index { .. } => Failure::no("store.damaged", error),
            CheckError::Store(store) => Failure::unavailable(store_code(store), error),
            CheckError::View(_) => Failure::unavailable("store.failed", error),
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_command_ends_though_a_question_has_no_answer() {
        let (_asking, answer) = std::sync::mpsc::channel::<()>();
        let ended = run_to_end(async {
            tokio::task::spawn_blocking(move || answer.recv());
            Ok(7)
        });
        assert_eq!(ended.unwrap(), 7);
    }
}
