//! `new`, `restore`, `list`: wallets come to be.

use super::{Session, runtime};
use crate::failure;
use crate::keystore::Keystore;
use crate::mnemonic::{Phrase, Words};
use crate::random::random;
use crate::wallet::Wallet;
use clap::{Args, ValueEnum};
use sealpost_terminal::{Confirm, Exit, Failure, read_secret_file, write_new_secret_file};
use std::path::PathBuf;
use tokio::runtime::Runtime;
use zeroize::Zeroizing;

/// How many words are asked back after they were shown.
const ASKED: usize = 3;

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum WordCount {
    #[value(name = "12")]
    Twelve,
    #[value(name = "24")]
    TwentyFour,
}

#[derive(Debug, Args)]
pub(super) struct NewArgs {
    /// Name of the wallet on this machine
    #[arg(default_value = "main")]
    name: String,
    /// How many words
    #[arg(long, value_enum, default_value = "12")]
    words: WordCount,
    /// Keep encryption keys for ever: old messages stay readable, for you and for whoever gets the wallet
    #[arg(long)]
    archival: bool,
    /// Write the words to a new file that only you can read, instead of showing them
    #[arg(long, value_name = "FILE")]
    mnemonic_out: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub(super) struct RestoreArgs {
    /// Name of the wallet on this machine
    #[arg(default_value = "main")]
    name: String,
    /// Read the words from a file that only you can read
    #[arg(long, value_name = "FILE")]
    mnemonic_file: Option<PathBuf>,
    /// Keep encryption keys for ever
    #[arg(long)]
    archival: bool,
}

#[derive(serde::Serialize)]
struct Made<'a> {
    wallet: &'a str,
    network: &'a str,
    address: String,
}

#[derive(serde::Serialize)]
struct Back<'a> {
    wallet: &'a str,
    network: &'a str,
    address: String,
    published: Option<u64>,
}

#[derive(serde::Serialize)]
struct Listed {
    network: String,
    wallets: Vec<ListedWallet>,
}

#[derive(serde::Serialize)]
struct ListedWallet {
    wallet: String,
    address: String,
}

pub(super) fn new(args: &NewArgs, session: &Session<'_>) -> Result<(), Failure> {
    let profile = session.profile()?;
    Wallet::check_new(&profile, &args.name).map_err(failure)?;
    let terminal = session.terminal;
    if args.mnemonic_out.is_none() && (!terminal.can_ask() || terminal.is_json()) {
        return Err(Failure::locked(
            "input.nobody_to_ask",
            "the words of a new wallet need somebody to read them",
        )
        .help("--mnemonic-out FILE writes them to a file that only you can read"));
    }
    let words = match args.words {
        WordCount::Twelve => Words::Twelve,
        WordCount::TwentyFour => Words::TwentyFour,
    };
    let phrase = Phrase::generate(words).map_err(failure)?;
    let what = format!("wallet {}", args.name);
    let passphrase = session.passphrase.read(terminal, &what, Confirm::Twice)?;
    // The words first: a wallet whose words nobody has would be lost with its file.
    match &args.mnemonic_out {
        Some(path) => {
            let words = phrase.text();
            let mut text = Zeroizing::new(String::with_capacity(words.len().saturating_add(1)));
            text.push_str(&words);
            text.push('\n');
            write_new_secret_file(path, text.as_bytes())?;
        }
        None => show(session, &phrase)?,
    }
    let made = Wallet::create(profile.clone(), &args.name, &phrase, &passphrase, args.archival);
    let made = made.inspect_err(|_| {
        // Words of a wallet that did not come to be: nobody needs them, and the same command is to work later.
        if let (Some(path), Ok(())) = (&args.mnemonic_out, Wallet::check_new(&profile, &args.name)) {
            let _ = std::fs::remove_file(path);
        }
    });
    let wallet = made.map_err(failure)?;
    tell(session, "sealpost/new/1", &wallet);
    Ok(())
}

pub(super) fn restore(args: &RestoreArgs, session: &Session<'_>) -> Result<(), Failure> {
    let profile = session.profile()?;
    Wallet::check_new(&profile, &args.name).map_err(failure)?;
    let _guard = guard_screen(session)?;
    let text = match &args.mnemonic_file {
        Some(path) => {
            let bytes = read_secret_file(path)?;
            Zeroizing::new(String::from_utf8_lossy(&bytes).into_owned())
        }
        None => session.terminal.ask_secret("The words, in their order: ").map_err(|failure| {
            failure.help("--mnemonic-file FILE reads them from a file that only you can read")
        })?,
    };
    let phrase = Phrase::parse(&text).map_err(failure)?;
    let what = format!("wallet {}", args.name);
    let passphrase = session.passphrase.read(session.terminal, &what, Confirm::Twice)?;
    let mut wallet =
        Wallet::create(profile, &args.name, &phrase, &passphrase, args.archival).map_err(failure)?;
    let terminal = session.terminal;
    terminal.note("The identity is back. Messages from before are not: their keys were never in the words.");
    let found = runtime()?.block_on(async {
        let light = session.light(wallet.profile()).await?;
        wallet.acknowledge_keys(&light).await.map_err(failure)
    });
    let published = match found {
        Ok(own) => own.newest.map(|record| record.bundle.sequence),
        // The wallet is there; what the ledger says is asked with the next command.
        Err(failure) => {
            terminal.warn(format_args!("which keys are published was not asked: {failure}"));
            None
        }
    };
    match published {
        Some(sequence) => {
            terminal.note(format_args!(
                "The ledger has key bundle #{sequence} of this identity; its secret is not here. What is sent to \
                 it can't be read with this copy, what was sent before neither."
            ));
            say(session, &wallet, "sealpost keys rotate   (before that nothing new can be read here)");
        }
        None => say(session, &wallet, FIRST_KEYS),
    }
    let (network, address) = (wallet.genesis().chain_name(), wallet.address_text());
    let back = Back { wallet: wallet.name(), network, address, published };
    terminal.emit("sealpost/restore/1", &back);
    Ok(())
}

pub(super) fn list(session: &Session<'_>) -> Result<(), Failure> {
    let profile = session.profile()?;
    let mut wallets = Vec::new();
    for wallet in profile.wallets().map_err(failure)? {
        let path = profile.wallet_folder(&wallet).map_err(failure)?.join("keystore.json");
        let address = Keystore::address_of(&path).map_err(failure)?;
        session.terminal.say(format_args!("{wallet:<16} {address}"));
        wallets.push(ListedWallet { wallet, address });
    }
    if wallets.is_empty() {
        session.terminal.note("none yet; `sealpost new` makes one");
    }
    let network = profile.genesis().chain_name().into();
    session.terminal.emit("sealpost/list/1", &Listed { network, wallets });
    Ok(())
}

const FIRST_KEYS: &str = "sealpost keys publish   (before that nobody can write to you)";

fn tell(session: &Session<'_>, schema: &str, wallet: &Wallet) {
    say(session, wallet, FIRST_KEYS);
    let network = wallet.genesis().chain_name();
    session.terminal.emit(schema, &Made { wallet: wallet.name(), network, address: wallet.address_text() });
}

fn say(session: &Session<'_>, wallet: &Wallet, next: &str) {
    let network = wallet.genesis().chain_name();
    session.terminal.say(format_args!("Wallet   {} on network {network}", wallet.name()));
    session.terminal.say(format_args!("Address  {}", wallet.address_text()));
    session.terminal.note(format_args!("Next     {next}"));
}

/// Shows the words where nothing of them stays on the screen, and asks some of them back.
fn show(session: &Session<'_>, phrase: &Phrase) -> Result<(), Failure> {
    let terminal = session.terminal;
    let text = phrase.text();
    let words: Vec<&str> = text.split(' ').collect();
    let heading =
        "Write these words down, in this order. They are shown once, and they alone restore the wallet.";
    let _guard = guard_screen(session)?;
    show_words(session, heading, &words)?;
    for index in some_of(words.len())? {
        let number = index.saturating_add(1);
        let asked = Zeroizing::new(terminal.ask(&format!("Word {number}: "))?.unwrap_or_default());
        if words.get(index).copied() != Some(asked.trim().to_lowercase().as_str()) {
            return Err(Failure::locked(
                "mnemonic.not_written",
                format_args!("word {number} is another one"),
            )
            .help("no wallet was made; run it again and write the words down"));
        }
    }
    Ok(())
}

/// Shows words on the screen that is forgotten afterwards. To be called under [`guard_screen`].
pub(super) fn show_words(session: &Session<'_>, heading: &str, words: &[&str]) -> Result<(), Failure> {
    // Room for all of it at once: a growing buffer leaves unwiped copies behind.
    let room = words.len().saturating_mul(32).saturating_add(heading.len()).saturating_add(16);
    let mut page = Zeroizing::new(String::with_capacity(room));
    page.push_str(heading);
    page.push_str("\n\n");
    for (number, word) in (1..).zip(words) {
        page.push_str(&format!("  {number:>2}  "));
        page.push_str(word);
        page.push('\n');
    }
    page.push('\n');
    session
        .terminal
        .show_secret(&page, "Press Enter when you have them on paper; then the screen forgets them. ")
}

/// Ends the program if the person interrupts, and takes a secret from the screen before. To be held as long as
/// anybody may interrupt: once it was there, nothing else ends the program so.
pub(super) fn guard_screen(session: &Session<'_>) -> Result<Runtime, Failure> {
    let runtime = runtime()?;
    let interrupted = session.terminal.clone();
    runtime.spawn(async move {
        if tokio::signal::ctrl_c().await.is_ok() {
            interrupted.leave_secret(Exit::Interrupted);
        }
    });
    Ok(runtime)
}

/// Which words are asked back: [`ASKED`] different ones, in their order, foreseen by nobody.
fn some_of(words: usize) -> Result<Vec<usize>, Failure> {
    let mut left: Vec<usize> = (0..words).collect();
    let mut asked = Vec::new();
    for byte in random::<ASKED>().map_err(failure)?.iter() {
        // 256 is no multiple of what is left; for this the difference does not matter.
        if let Some(at) = usize::from(*byte).checked_rem(left.len()) {
            asked.push(left.swap_remove(at));
        }
    }
    asked.sort_unstable();
    Ok(asked)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn three_different_words_are_asked_and_not_always_the_same() {
        let rounds: BTreeSet<Vec<usize>> = (0..64).map(|_| some_of(12).unwrap()).collect();
        assert!(rounds.len() > 1);
        for asked in rounds {
            assert_eq!(asked.iter().collect::<BTreeSet<_>>().len(), ASKED, "{asked:?}");
            assert!(asked.is_sorted() && asked.iter().all(|index| *index < 12), "{asked:?}");
        }
    }
}
