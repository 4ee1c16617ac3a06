//! Passphrases: from a file, a file descriptor, systemd's credentials or a prompt. Never from an argument
//! or an environment variable, where other processes could read them.

use crate::{Exit, Failure, Terminal};
use clap::Args;
use std::fs::File;
use std::io::Read;
use std::path::PathBuf;
use zeroize::Zeroizing;

/// No passphrase is longer, in bytes.
const MAX_BYTES: u64 = 4096;

/// Where a passphrase comes from.
#[derive(Debug, Clone, Default, Args)]
pub struct PassphraseArgs {
    /// Read the passphrase from the first line of a file
    #[arg(
        long,
        value_name = "PATH",
        env = "SEALPOST_PASSPHRASE_FILE",
        global = true,
        help_heading = "Global options"
    )]
    pub passphrase_file: Option<PathBuf>,
    /// Read the passphrase from an open file descriptor
    #[arg(
        long,
        value_name = "N",
        conflicts_with = "passphrase_file",
        global = true,
        help_heading = "Global options"
    )]
    pub passphrase_fd: Option<u32>,
}

/// Whether a typed passphrase is asked for twice.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Confirm {
    /// It opens something that exists.
    Once,
    /// It will protect something new.
    Twice,
}

impl PassphraseArgs {
    /// Gets the passphrase. `what` names what it is for, such as `wallet alice`.
    pub fn read(
        &self,
        terminal: &Terminal,
        what: &str,
        confirm: Confirm,
    ) -> Result<Zeroizing<String>, Failure> {
        if let Some(fd) = self.passphrase_fd {
            return read_file(PathBuf::from(format!("/dev/fd/{fd}")));
        }
        if let Some(path) = &self.passphrase_file {
            return read_file(path.clone());
        }
        if let Some(folder) = std::env::var_os("CREDENTIALS_DIRECTORY") {
            let path = PathBuf::from(folder).join("passphrase");
            if path.exists() {
                return read_file(path);
            }
        }
        if !terminal.can_ask() {
            return Err(Failure::new(
                Exit::Locked,
                "passphrase.missing",
                format_args!("{what} needs its passphrase"),
            )
            .help("give it with --passphrase-file PATH or --passphrase-fd N, or run this on a terminal"));
        }
        prompt(what, confirm)
    }
}

fn prompt(what: &str, confirm: Confirm) -> Result<Zeroizing<String>, Failure> {
    let ask = |text: String| {
        let typed = rpassword::prompt_password(text).map(Zeroizing::new);
        typed.map_err(|error| {
            Failure::new(Exit::Locked, "passphrase.missing", format_args!("no passphrase: {error}"))
        })
    };
    match confirm {
        Confirm::Once => ask(format!("Passphrase of {what}: ")),
        Confirm::Twice => {
            let first = ask(format!("New passphrase for {what}: "))?;
            if ask("The same again: ".into())? != first {
                return Err(Failure::new(Exit::Locked, "passphrase.mismatch", "the two passphrases differ"));
            }
            Ok(first)
        }
    }
}

fn read_file(path: PathBuf) -> Result<Zeroizing<String>, Failure> {
    let failed = |error: std::io::Error| {
        Failure::new(
            Exit::Locked,
            "passphrase.file",
            format_args!("the passphrase in {}: {error}", path.display()),
        )
    };
    let mut text = Zeroizing::new(String::new());
    File::open(&path).map_err(failed)?.take(MAX_BYTES).read_to_string(&mut text).map_err(failed)?;
    let line = Zeroizing::new(text.lines().next().unwrap_or_default().to_owned());
    Ok(line)
}
