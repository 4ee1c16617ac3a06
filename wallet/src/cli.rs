//! The command line of `sealpost`: one file per command; this one parses, dispatches and finds out which
//! network, node and wallet are meant.

mod address;
mod answer;
mod backup;
mod complete;
mod contact;
mod contradictions;
mod designate;
mod doctor;
mod draft;
mod evidence;
mod export;
mod follow;
mod forget;
#[cfg(feature = "fuzzing")]
pub(crate) mod fuzzing;
mod group;
mod inbox;
mod keeping;
mod keys;
mod network;
mod new;
mod nodes;
mod notify;
mod outbox;
mod own_keys;
mod postage;
mod progress;
mod read;
mod receipts;
mod scan;
mod sealed;
mod search;
mod secrets;
mod send;
mod send_many;
#[cfg(unix)]
mod serve;
mod signals;
mod since;
mod status;
mod sync;
mod thread;

use crate::failure;
use crate::profile::Profile;
use crate::wallet::{KeyTerms, LastLetters, Wallet};
use clap::{CommandFactory, Parser, Subcommand};
use confique::{Config, Layer};
use nodes::{NodeList, Period};
use sealpost_ledger::genesis::Genesis;
use sealpost_terminal::{
    ConfigArgs, Confirm, Failure, Folder, Folders, GlobalArgs, HasGlobals, PagesCommand, PassphraseArgs,
    Terminal, load_config, long_version, with_exit_codes,
};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tokio::runtime::Runtime;

/// Sealed messages on an append-only ledger: send, read, answer, prove
#[derive(Debug, Parser)]
#[command(name = "sealpost", version, long_version = long_version())]
#[command(after_help = EXAMPLES, after_long_help = with_exit_codes(EXAMPLES))]
pub struct Cli {
    #[command(flatten)]
    global: GlobalArgs,
    #[command(flatten)]
    place: PlaceArgs,
    #[command(flatten)]
    passphrase: PassphraseArgs,
    #[command(subcommand)]
    command: Command,
}

const EXAMPLES: &str = "Examples:
  sealpost network add --genesis genesis.json --node http://127.0.0.1:17325
  sealpost new alice && sealpost keys publish
  sealpost send bob -m \"The lift is out of service\" --attach plan.pdf
  sealpost inbox
  sealpost evidence create 5d0c -o notice.evidence.json
  sealpost evidence verify notice.evidence.json --genesis genesis.json";

/// Which network, node and wallet are meant.
#[derive(Debug, Clone, clap::Args)]
struct PlaceArgs {
    /// Node to ask; may be repeated: the next one is asked when one fails, and all must agree; without it those saved
    /// with the network [env: SEALPOST_NODE, comma separated]
    #[arg(long, value_name = "URL", global = true)]
    node: Vec<String>,
    /// Network, by the name it is known here; without it the only one there is [env: SEALPOST_NETWORK]
    #[arg(long, value_name = "NAME", global = true)]
    network: Option<String>,
    /// Genesis of the network; makes it known here
    #[arg(long, value_name = "FILE", global = true)]
    genesis: Option<PathBuf>,
    /// Wallet, by its name; without it the only one there is [env: SEALPOST_WALLET]
    #[arg(short, long, value_name = "NAME", global = true)]
    wallet: Option<String>,
    /// Longest wait for a node's answer, such as 30s [env: SEALPOST_TIMEOUT]
    #[arg(long, value_name = "TIME", global = true)]
    timeout: Option<Period>,
    /// Age that the newest block may have before everything that rests on it is warned about, such as 10m
    /// [env: SEALPOST_MAX_AGE]
    #[arg(long, value_name = "TIME", global = true)]
    max_age: Option<Period>,
    /// Expected hashes that are accepted as postage of one message [env: SEALPOST_MAX_POSTAGE]
    #[arg(long, value_name = "HASHES", global = true)]
    max_postage: Option<u64>,
    /// Keep letters that are opened, encrypted, so that they stay readable when their keys are gone; `off`
    /// keeps nothing more: then a destroyed key takes its messages along [default: on] [env: SEALPOST_ARCHIVE]
    #[arg(long, value_name = "on|off", global = true)]
    archive: Option<keeping::Keeping>,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Make a wallet; its words are shown once
    New(new::NewArgs),
    /// Make a wallet from its words
    Restore(new::RestoreArgs),
    /// List the wallets
    List,
    /// Use a wallet when none is named
    Use(secrets::UseArgs),
    /// Remove a wallet from this machine
    Remove(secrets::RemoveArgs),
    /// Change the wallet's passphrase
    Passphrase(secrets::PassphraseChangeArgs),
    /// The words that restore the identity
    #[command(subcommand)]
    Mnemonic(secrets::MnemonicCommand),
    /// Write everything of the wallet to one encrypted file
    Backup(backup::BackupArgs),
    /// Make a wallet again from such a file, or check one
    RestoreBackup(backup::RestoreBackupArgs),
    /// Look for what is wrong: node, clock, files, keys, memory
    Doctor,
    /// Print the wallet's address
    Address(address::AddressArgs),
    /// Encryption keys
    #[command(subcommand)]
    Keys(keys::KeysCommand),
    /// The contact book
    #[command(subcommand)]
    Contact(contact::ContactCommand),
    /// Say on the ledger where notices of a class are received
    Designate(designate::DesignateArgs),
    /// Send a message
    Send(send::SendArgs),
    /// Send a list of messages
    SendMany(send_many::SendManyArgs),
    /// List messages that came
    Inbox(inbox::InboxArgs),
    /// Open a message; nobody is told
    Read(read::ReadArgs),
    /// Answer a message with a message
    Reply(send::reply::ReplyArgs),
    /// Show a whole conversation in order
    Thread(thread::ThreadArgs),
    /// Find letters by words, among those that are kept here
    Search(search::SearchArgs),
    /// Open and keep what came, so that it is found and stays readable; nobody is told
    Sync(sync::SyncArgs),
    /// Count messages as read or unread, on this machine
    #[command(subcommand)]
    Mark(forget::MarkCommand),
    /// Forget letters that are kept here
    Forget(forget::ForgetArgs),
    /// Write letters as e-mail files, for other programs
    #[command(subcommand)]
    Export(export::ExportCommand),
    /// Answer for a message
    #[command(subcommand)]
    Receipt(answer::ReceiptCommand),
    /// Refuse a message
    Refuse(answer::RefuseArgs),
    /// What was written and not sent yet
    #[command(subcommand)]
    Draft(draft::DraftCommand),
    /// List what was sent, send again what no block contains yet, and go on with what was interrupted
    Outbox(outbox::OutboxArgs),
    /// Show the messages sent and how each stands with its recipients
    Sent(status::SentArgs),
    /// Show how a message stands with each recipient
    Status(status::StatusArgs),
    /// Make, check and show evidence
    #[command(subcommand)]
    Evidence(evidence::EvidenceCommand),
    /// Ask what sending costs now
    Postage(postage::PostageArgs),
    /// Offer the wallet to other programs on a socket of this machine, until told to stop
    #[cfg(unix)]
    Serve(serve::ServeArgs),
    /// Networks known here
    #[command(subcommand)]
    Network(network::NetworkCommand),
    /// Settings: every option with its comment and default; in force, checked, or where they are
    Config(ConfigArgs),
    #[command(flatten)]
    Pages(PagesCommand),
}

/// Settings of the wallet.
#[derive(Debug, Clone, Config)]
#[config(layer_attr(derive(Clone, Debug, serde::Serialize)))]
#[config(layer_attr(serde(deny_unknown_fields)))]
struct WalletSettings {
    /// Node to ask, or several: ["http://one:17325", "http://two:17325"]; without it those that were saved with the
    /// network. The environment separates several by commas.
    #[config(env = "SEALPOST_NODE")]
    node: Option<NodeList>,
    /// Network to use when several are known.
    #[config(env = "SEALPOST_NETWORK")]
    network: Option<String>,
    /// Wallet to use when there are several.
    #[config(env = "SEALPOST_WALLET")]
    wallet: Option<String>,
    /// Longest wait for a node's answer, such as "30s", which it is without this.
    #[config(env = "SEALPOST_TIMEOUT")]
    timeout: Option<Period>,
    /// Age that the newest block may have before everything that rests on it is warned about, such as "10m"; without
    /// this three times the network's heartbeat, and ten minutes at least.
    #[config(env = "SEALPOST_MAX_AGE")]
    max_age: Option<Period>,
    /// Expected hashes that are accepted as postage of one message; without this 8589934592, some minutes of work.
    #[config(env = "SEALPOST_MAX_POSTAGE")]
    max_postage: Option<u64>,
    /// Most bytes of a message's text and files together, sent or read.
    #[config(env = "SEALPOST_ATTACHMENT_BYTES", default = 26_214_400)]
    attachment_bytes: u64,
    /// Keep letters that are opened, encrypted, on this machine: "on" or "off". They stay readable when
    /// their keys are destroyed; with "off" a destroyed key takes its messages along.
    #[config(env = "SEALPOST_ARCHIVE", default = "on")]
    archive: keeping::Keeping,
    /// Program that `inbox --follow` runs for each new message, and its arguments; no shell reads them.
    notify: Option<Vec<String>>,
    /// The life of encryption keys.
    #[config(nested)]
    keys: KeySettings,
}

/// The life of encryption keys.
#[derive(Debug, Clone, Config)]
#[config(layer_attr(derive(Clone, Debug, serde::Serialize)))]
#[config(layer_attr(serde(deny_unknown_fields)))]
struct KeySettings {
    /// Days after which new encryption keys supersede the old ones, while the wallet runs (`inbox --follow`)
    /// or by `keys tend`; 0 for never.
    #[config(env = "SEALPOST_KEYS_ROTATE_DAYS", default = 7)]
    rotate_days: u32,
    /// Days for which superseded keys still open what was sent to them; then they are destroyed, unless the
    /// wallet is archival. Never before the last message that was signed for them has expired.
    #[config(env = "SEALPOST_KEYS_GRACE_DAYS", default = 28)]
    grace_days: u32,
}

impl HasGlobals for Cli {
    fn globals(&self) -> &GlobalArgs {
        &self.global
    }
}

/// What a command works with.
struct Session<'a> {
    terminal: &'a Terminal,
    settings: WalletSettings,
    genesis: Option<PathBuf>,
    passphrase: PassphraseArgs,
}

/// Does what the command line says.
pub fn execute(cli: Cli, terminal: &Terminal) -> Result<(), Failure> {
    let mut flags = <WalletSettings as Config>::Layer::empty();
    let given = Some(cli.place.node.clone()).filter(|nodes| !nodes.is_empty());
    (flags.node, flags.network, flags.wallet) =
        (given.map(NodeList::new), cli.place.network.clone(), cli.place.wallet.clone());
    (flags.timeout, flags.max_age, flags.max_postage) =
        (cli.place.timeout, cli.place.max_age, cli.place.max_postage);
    flags.archive = cli.place.archive;
    let command = match cli.command {
        Command::Config(command) => return command.run_with::<WalletSettings>("wallet", terminal, flags),
        Command::Pages(pages) => return pages.run(Cli::command(), terminal),
        command => command,
    };
    let settings = load_config("wallet", terminal.globals(), flags)?;
    doctor::tell_hardening(terminal);
    let session = Session { terminal, settings, genesis: cli.place.genesis, passphrase: cli.passphrase };
    match command {
        Command::New(args) => new::new(&args, &session),
        Command::Restore(args) => new::restore(&args, &session),
        Command::List => new::list(&session),
        Command::Use(args) => secrets::use_wallet(&args, &session),
        Command::Remove(args) => secrets::remove(&args, &session),
        Command::Passphrase(args) => secrets::passphrase(&args, &session),
        Command::Mnemonic(command) => secrets::mnemonic(&command, &session),
        Command::Backup(args) => backup::backup(&args, &session),
        Command::RestoreBackup(args) => backup::restore_backup(&args, &session),
        Command::Doctor => doctor::doctor(&session),
        Command::Address(args) => address::address(&args, &session),
        Command::Keys(command) => keys::keys(&command, &session),
        Command::Contact(command) => contact::contact(&command, &session),
        Command::Designate(args) => designate::designate(&args, &session),
        Command::Send(args) => send::send(&args, &session),
        Command::SendMany(args) => send_many::send_many(&args, &session),
        Command::Inbox(args) => inbox::inbox(&args, &session),
        Command::Read(args) => read::read(&args, &session),
        Command::Reply(args) => send::reply::reply(args, &session),
        Command::Thread(args) => thread::thread(&args, &session),
        Command::Search(args) => search::search(&args, &session),
        Command::Sync(args) => sync::sync(&args, &session),
        Command::Mark(command) => forget::mark(&command, &session),
        Command::Forget(args) => forget::forget(&args, &session),
        Command::Export(command) => export::export(&command, &session),
        Command::Receipt(command) => answer::receipt(&command, &session),
        Command::Refuse(args) => answer::refuse(&args, &session),
        Command::Draft(command) => draft::draft(&command, &session),
        Command::Outbox(args) => outbox::outbox(&args, &session),
        Command::Sent(args) => status::sent(&args, &session),
        Command::Status(args) => status::status(&args, &session),
        Command::Evidence(command) => evidence::evidence(&command, &session),
        Command::Postage(args) => postage::postage(&args, &session),
        #[cfg(unix)]
        Command::Serve(args) => serve::serve(&args, &session),
        Command::Network(command) => network::network(&command, &session),
        Command::Config(_) | Command::Pages(_) => Ok(()),
    }
}

impl Session<'_> {
    fn home(&self) -> Result<PathBuf, Failure> {
        Folders::new(self.terminal.globals()).path(Folder::Data)
    }
    /// The network: of the given genesis, or the named one, or the only one.
    fn profile(&self) -> Result<Profile, Failure> {
        let home = self.home()?;
        if let Some(path) = &self.genesis {
            return Profile::create(&home, read_genesis(path)?).map_err(failure);
        }
        if let Some(name) = &self.settings.network {
            return Profile::open(&home, name).map_err(failure);
        }
        let known = Profile::list(&home).map_err(failure)?;
        let name = the_only("network", "--network", &known)?;
        Profile::open(&home, name).map_err(failure)
    }
    /// The wallet's name: the given one, or the only one.
    fn wallet_name(&self, profile: &Profile) -> Result<String, Failure> {
        match &self.settings.wallet {
            Some(name) => Ok(name.clone()),
            None => {
                if let Some(chosen) = profile.chosen_wallet() {
                    return Ok(chosen);
                }
                let known = profile.wallets().map_err(failure)?;
                the_only("wallet", "--wallet", &known).map(str::to_owned)
            }
        }
    }
    /// When keys are rotated and destroyed.
    fn terms(&self) -> KeyTerms {
        let KeySettings { rotate_days, grace_days } = self.settings.keys;
        let last_letters = if self.keeps() { LastLetters::Keep } else { LastLetters::LetGo };
        KeyTerms::from_days(rotate_days, grace_days).with_last_letters(last_letters)
    }
    /// Opens the wallet.
    fn wallet(&self) -> Result<Wallet, Failure> {
        let profile = self.profile()?;
        let name = self.wallet_name(&profile)?;
        let passphrase = self.passphrase.read(self.terminal, &format!("wallet {name}"), Confirm::Once)?;
        Wallet::open(profile, &name, &passphrase).map_err(failure)
    }
}

/// The only one there is of something.
fn the_only<'a>(what: &str, flag: &str, known: &'a [String]) -> Result<&'a str, Failure> {
    match known {
        [only] => Ok(only),
        [] if what == "network" => Err(Failure::usage("no network is known here")
            .help("`sealpost network add --genesis genesis.json --node URL` makes one known")),
        [] => Err(Failure::usage(format_args!("there is no {what} here")).help("`sealpost new` makes one")),
        many => Err(Failure::usage(format_args!("which {what}? there are {}", many.join(", ")))
            .help(format!("name one with {flag}"))),
    }
}

fn read_genesis(path: &Path) -> Result<Arc<Genesis>, Failure> {
    let bytes = std::fs::read(path)
        .map_err(|error| Failure::usage(format_args!("genesis: {}: {error}", path.display())))?;
    Genesis::parse(&bytes)
        .map(Arc::new)
        .map_err(|error| Failure::usage(format_args!("{}: {error}", path.display())))
}

/// Several threads: the postage search keeps one of them busy.
fn runtime() -> Result<Runtime, Failure> {
    Runtime::new().map_err(|error| {
        Failure::unavailable("system.runtime", format_args!("no runtime could be started: {error}"))
    })
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_well_formed() {
        Cli::command().debug_assert();
    }

    #[test]
    fn one_is_taken_and_several_are_listed() {
        let names = |names: &[&str]| names.iter().map(ToString::to_string).collect::<Vec<_>>();
        assert_eq!(the_only("wallet", "--wallet", &names(&["alice"])).unwrap(), "alice");
        let failure = the_only("wallet", "--wallet", &names(&["alice", "bob"])).unwrap_err();
        assert!(failure.message.contains("alice, bob"), "{failure}");
        assert!(the_only("wallet", "--wallet", &[]).unwrap_err().help.unwrap().contains("sealpost new"));
    }
}
