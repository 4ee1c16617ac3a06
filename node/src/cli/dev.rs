//! `dev`: a network of one validator at once, with ready accounts.

use super::local::{LocalNetwork, Place, Ports, call};
use super::made::Made;
use super::run::stopping;
use super::{run_to_end, signals};
use crate::home::Home;
use crate::store::lock_directory;
use clap::Args;
use sealpost_terminal::{Failure, Terminal, short, write_secret_file};
use sealpost_wallet::Wallet;
use sealpost_wallet::mnemonic::{Phrase, Words};
use std::path::{Path, PathBuf};

/// The network's name, which is that of its folder of wallets too.
const NETWORK: &str = "dev";
/// What it makes, and deletes with --reset.
const MADE: Made = Made {
    by: NETWORK,
    flag: "state",
    note: "`sealpost-node dev` made node/ and networks/dev/ in this folder, and with --reset deletes them.\n",
};
/// The accounts' names, in order.
const NAMES: [&str; 10] =
    ["alice", "bob", "carol", "dave", "erin", "frank", "grace", "heidi", "ivan", "judy"];
/// The accounts' passphrase. They are for playing.
const PASSPHRASE: &str = "dev";

#[derive(Debug, Args)]
pub(super) struct DevArgs {
    /// Accounts to make, 0 to 10
    #[arg(long, value_name = "N", default_value_t = 3, value_parser = clap::value_parser!(u8).range(0..=10))]
    accounts: u8,
    /// Folder that keeps everything; without it all is gone at the end
    #[arg(long, value_name = "DIR")]
    state: Option<PathBuf>,
    /// Begin anew: delete what an earlier `dev` has put into that folder
    #[arg(long, requires = "state")]
    reset: bool,
    /// Port of the RPC; metrics and explorer take +3 and +4; 0 takes free ones
    #[arg(long, value_name = "PORT", default_value_t = sealpost_api::DEFAULT_PORT)]
    port: u16,
    /// No explorer
    #[arg(long)]
    no_explorer: bool,
    /// Write the accounts as JSON to a file, for scripts
    #[arg(long, value_name = "FILE")]
    config_out: Option<PathBuf>,
}

#[derive(serde::Serialize)]
struct Account {
    name: String,
    address: String,
    mnemonic: String,
}

#[derive(serde::Serialize)]
struct Started {
    network: String,
    chain: String,
    rpc: String,
    metrics: Option<String>,
    explorer: Option<String>,
    home: String,
    passphrase_file: String,
    accounts: Vec<Account>,
}

pub(super) fn dev(args: &DevArgs, terminal: &Terminal) -> Result<(), Failure> {
    let place = match &args.state {
        // Absolute, because the lines that are printed are used from other folders.
        Some(path) => Place::Kept(std::path::absolute(path).unwrap_or_else(|_| path.clone())),
        None => Place::temporary()?,
    };
    if args.reset {
        reset(place.path(), terminal)?;
    }
    MADE.mark(place.path())?;
    run_to_end(async {
        let stop = signals::listen(terminal);
        let network =
            LocalNetwork::start(place.path(), NETWORK, ports(args), terminal).await.map_err(port_taken)?;
        let accounts = accounts(&network, place.path(), args.accounts).await?;
        let passphrase_file = place.path().join("passphrase");
        write_secret_file(&passphrase_file, format!("{PASSPHRASE}\n").as_bytes())?;
        let started = Started {
            network: network.genesis.chain_name().into(),
            chain: network.genesis.chain_id().to_string(),
            rpc: network.rpc(),
            metrics: network.node.metrics.map(|address| format!("http://{address}/metrics")),
            explorer: network.explorer_url(),
            home: place.path().display().to_string(),
            passphrase_file: passphrase_file.display().to_string(),
            accounts,
        };
        if let Some(path) = &args.config_out {
            let json = serde_json::to_vec_pretty(&started).map_err(Failure::bug)?;
            write_secret_file(path, &json)?;
        }
        print(terminal, &started, matches!(place, Place::Kept(_)));
        network.run_until(stopping(&stop, terminal)).await
    })
}

/// `dev` has one flag for all its addresses.
fn port_taken(failure: Failure) -> Failure {
    match failure.code.ends_with(".listen") {
        true => failure.help("--port takes another one, and those beside it; --port 0 takes free ones"),
        false => failure,
    }
}

fn ports(args: &DevArgs) -> Ports {
    let at = |offset: u16| {
        let port = if args.port == 0 { 0 } else { args.port.saturating_add(offset) };
        ([127, 0, 0, 1], port).into()
    };
    Ports { rpc: at(0), metrics: Some(at(3)), explorer: (!args.no_explorer).then(|| at(4)) }
}

/// Only what an earlier `dev` has put there.
fn reset(folder: &Path, terminal: &Terminal) -> Result<(), Failure> {
    let parts = MADE.parts(folder);
    let data = Home::new(folder.join("node")).data();
    if parts.iter().all(|part| !part.exists()) {
        return Ok(());
    }
    MADE.check(folder)?;
    // Said before the question: there is nothing to decide as long as the network runs.
    drop(lock_directory(&data)?);
    if !terminal.confirm(&format!("Delete the network and the wallets in {}?", folder.display()))? {
        return Err(Failure::locked("confirm.no", "nothing was deleted").help("--yes answers without asking"));
    }
    // A running network holds this lock. It is kept until everything is gone.
    let _lock = lock_directory(&data)?;
    for part in parts.iter().filter(|part| part.exists()) {
        std::fs::remove_dir_all(part)
            .map_err(|error| Failure::unavailable("file.io", format_args!("{}: {error}", part.display())))?;
    }
    Ok(())
}

/// Makes the accounts that are missing, each a contact of all, with published keys.
async fn accounts(network: &LocalNetwork, home: &Path, count: u8) -> Result<Vec<Account>, Failure> {
    use sealpost_wallet::failure;
    let (profile, light) = (network.profile(home)?, network.light().await?);
    let mut accounts = Vec::new();
    let known = profile.wallets().map_err(failure)?;
    for name in NAMES.iter().take(count.into()) {
        let opened = if known.iter().any(|known| known == name) {
            Wallet::open(profile.clone(), name, PASSPHRASE)
        } else {
            let phrase = Phrase::generate(Words::Twelve).map_err(failure)?;
            Wallet::create(profile.clone(), name, &phrase, PASSPHRASE, false)
        };
        let mut wallet = opened.map_err(failure)?;
        if wallet.bundles().is_empty() {
            wallet.publish_keys(&light, &|_, _| true).await.map_err(failure)?;
        }
        let mut contacts = profile.contacts().map_err(failure)?;
        if contacts.name_of(&wallet.address()).is_none() {
            contacts.add(name, wallet.address()).map_err(failure)?;
        }
        let mnemonic = wallet.mnemonic().to_string();
        accounts.push(Account { name: (*name).into(), address: wallet.address_text(), mnemonic });
    }
    Ok(accounts)
}

fn print(terminal: &Terminal, started: &Started, kept: bool) {
    let keeping = if kept { "kept in its folder" } else { "gone at the end; --state DIR keeps it" };
    terminal.say(format_args!(
        "Sealpost {}  network \"{}\"  chain {}  ({keeping})\n",
        env!("CARGO_PKG_VERSION"),
        started.network,
        short(&started.chain)
    ));
    for account in &started.accounts {
        terminal.say(format_args!("  {:<9} {}", account.name, account.address));
        terminal.say(format_args!("            {}", account.mnemonic));
    }
    terminal.say("            NOT SECRET: for playing only\n");
    terminal.say(format_args!("  rpc       {}", started.rpc));
    if let Some(explorer) = &started.explorer {
        terminal.say(format_args!("  explorer  {explorer}"));
    }
    if let Some(metrics) = &started.metrics {
        terminal.say(format_args!("  metrics   {metrics}"));
    }
    terminal.say(format_args!("\n  export SEALPOST_HOME={}", started.home));
    terminal.say(format_args!("  export SEALPOST_PASSPHRASE_FILE={}", started.passphrase_file));
    if started.accounts.len() > 1 {
        let sealpost = call("sealpost");
        terminal.say(format_args!("  {sealpost} -w alice send bob -m \"hello\""));
        terminal.say(format_args!("  {sealpost} -w bob inbox\n"));
    }
    terminal.emit("sealpost/dev/1", started);
}
