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
            let text = Zeroizing::new(format!("{}\n", *phrase.text()));
            write_new_secret_file(path, text.as_bytes())?;
        }
        None => show(session, &phrase)?,
    }
    let wallet = Wallet::create(profile, &args.name, &phrase, &passphrase, args.archival).map_err(failure)?;
    tell(session, "sealpost/new/1", &wallet);
    Ok(())
}

pub(super) fn restore(args: &RestoreArgs, session: &Session<'_>) -> Result<(), Failure> {
    let profile = session.profile()?;
    Wallet::check_new(&profile, &args.name).map_err(failure)?;
    let text = match &args.mnemonic_file {
        Some(path) => {
            let bytes = read_secret_file(path)?;
            Zeroizing::new(String::from_utf8_lossy(&bytes).into_owned())
        }
        None => {
            let typed = session.terminal.ask("The words, in their order: ").map_err(|failure| {
                failure.help("--mnemonic-file FILE reads them from a file that only you can read")
            })?;
            Zeroizing::new(typed.unwrap_or_default())
        }
    };
    let phrase = Phrase::parse(&text).map_err(failure)?;
    let what = format!("wallet {}", args.name);
    let passphrase = session.passphrase.read(session.terminal, &what, Confirm::Twice)?;
    let wallet = Wallet::create(profile, &args.name, &phrase, &passphrase, args.archival).map_err(failure)?;
    tell(session, "sealpost/restore/1", &wallet);
    session
        .terminal
        .note("The identity is back. Messages from before are not: their keys were never in the words.");
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

fn tell(session: &Session<'_>, schema: &str, wallet: &Wallet) {
    let network = wallet.genesis().chain_name();
    session.terminal.say(format_args!("Wallet   {} on network {network}", wallet.name()));
    session.terminal.say(format_args!("Address  {}", wallet.address_text()));
    session.terminal.note("Next     sealpost keys publish   (before that nobody can write to you)");
    session.terminal.emit(schema, &Made { wallet: wallet.name(), network, address: wallet.address_text() });
}

/// Shows the words where nothing of them stays on the screen, and asks some of them back.
fn show(session: &Session<'_>, phrase: &Phrase) -> Result<(), Failure> {
    let terminal = session.terminal;
    let text = phrase.text();
    let words: Vec<&str> = text.split(' ').collect();
    let lines = (1..).zip(&words).map(|(number, word)| format!("  {number:>2}  {word}\n"));
    let page = Zeroizing::new(format!(
        "Write these words down, in this order. They are shown once, and they alone restore the wallet.\n\n{}\n",
        Zeroizing::new(lines.collect::<String>()).as_str()
    ));
    let runtime = runtime()?;
    let interrupted = terminal.clone();
    runtime.spawn(async move {
        if tokio::signal::ctrl_c().await.is_ok() {
            interrupted.leave_secret(Exit::Interrupted);
        }
    });
    terminal.show_secret(&page, "Press Enter when you have them on paper; then the screen forgets them. ")?;
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
