//! `use`, `remove`, `passphrase`, `mnemonic show`: what is done with a wallet's secrets on this machine.

use super::Session;
use super::new::{guard_screen, show_words};
use crate::failure;
use crate::wallet::WalletError;
use clap::{Args, Subcommand};
use sealpost_terminal::{Failure, new_passphrase, style};
use std::path::PathBuf;

#[derive(Debug, Args)]
pub(super) struct UseArgs {
    /// The wallet
    name: String,
}

#[derive(Debug, Args)]
pub(super) struct RemoveArgs {
    /// The wallet
    name: String,
}

#[derive(Debug, Args)]
pub(super) struct PassphraseChangeArgs {
    /// Read the new passphrase from the first line of a file that only you can read
    #[arg(long, value_name = "PATH")]
    new_passphrase_file: Option<PathBuf>,
}

#[derive(Debug, Clone, Subcommand)]
pub(super) enum MnemonicCommand {
    /// Show the words on a screen that is forgotten afterwards
    Show,
}

#[derive(serde::Serialize)]
struct Named<'a> {
    wallet: &'a str,
    network: &'a str,
}

pub(super) fn use_wallet(args: &UseArgs, session: &Session<'_>) -> Result<(), Failure> {
    let profile = session.profile()?;
    let network = profile.genesis().chain_name();
    if !profile.wallet_folder(&args.name).map_err(failure)?.join("keystore.json").exists() {
        return Err(failure(WalletError::Missing { name: args.name.clone(), network: network.into() }));
    }
    profile.choose_wallet(&args.name).map_err(failure)?;
    session.terminal.say(style::held(format_args!("{} is used on network {network} from now on", args.name)));
    session.terminal.emit("sealpost/use/1", &Named { wallet: &args.name, network });
    Ok(())
}

pub(super) fn remove(args: &RemoveArgs, session: &Session<'_>) -> Result<(), Failure> {
    let (profile, terminal) = (session.profile()?, session.terminal);
    let network = profile.genesis().chain_name();
    let is_there = profile.wallet_folder(&args.name).map_err(failure)?.join("keystore.json").exists();
    let question = format!(
        "Remove wallet {} from this machine? Its words bring back the identity and no message; a backup brings back \
         all of it. Without either it is lost.",
        args.name
    );
    if is_there && !terminal.confirm(&question)? {
        return Err(Failure::locked("confirm.no", "nothing was removed"));
    }
    // Also if there is none any more: an interrupted removal is finished.
    if !profile.remove_wallet(&args.name).map_err(failure)? {
        return Err(failure(WalletError::Missing { name: args.name.clone(), network: network.into() }));
    }
    terminal.say(style::held(format_args!("{} is removed", args.name)));
    terminal.note(
        "Backups and snapshots of the disk may still have it, under its passphrase; so may the disk itself until \
         those blocks are written anew.",
    );
    terminal.emit("sealpost/remove/1", &Named { wallet: &args.name, network });
    Ok(())
}

pub(super) fn passphrase(args: &PassphraseChangeArgs, session: &Session<'_>) -> Result<(), Failure> {
    let mut wallet = session.wallet()?;
    let (terminal, what) = (session.terminal, format!("wallet {}", wallet.name()));
    let new = new_passphrase(args.new_passphrase_file.as_deref(), "--new-passphrase-file", terminal, &what)?;
    wallet.change_passphrase(&new).map_err(failure)?;
    terminal.say(style::held(format_args!(
        "{what} has its new passphrase, under a new salt; the old file is gone"
    )));
    terminal.note(
        "Older copies (backups, snapshots of the disk) still open with the old one. If somebody may know it: delete \
         them, and `sealpost keys rotate`.",
    );
    let network = wallet.genesis().chain_name();
    terminal.emit("sealpost/passphrase/1", &Named { wallet: wallet.name(), network });
    Ok(())
}

pub(super) fn mnemonic(command: &MnemonicCommand, session: &Session<'_>) -> Result<(), Failure> {
    let MnemonicCommand::Show = command;
    let terminal = session.terminal;
    if !terminal.can_ask() || terminal.is_json() {
        return Err(Failure::locked("input.nobody_to_ask", "words are shown to somebody at a terminal only")
            .help("run it on a terminal, without --json and --no-input"));
    }
    let wallet = session.wallet()?;
    let question =
        "Show the words? Whoever sees them can act as you, for ever; make sure that you are alone.";
    if !terminal.confirm(question)? {
        return Err(Failure::locked("confirm.no", "nothing was shown"));
    }
    let text = wallet.mnemonic();
    let words: Vec<&str> = text.split(' ').collect();
    let heading = format!("The words of wallet {}, in their order.", wallet.name());
    let _guard = guard_screen(session)?;
    show_words(session, &heading, &words)
}
