//! What the three binaries share: flags, output, exit codes, logging, configuration, passphrases, shell
//! completions and man pages. A binary's `main` is a call of [`run`]:
//!
//! ```
//! use clap::{CommandFactory, Parser, Subcommand};
//! use sealpost_terminal::{
//!     Confirm, Failure, GlobalArgs, HasGlobals, PagesCommand, PassphraseArgs, Terminal, bytes, long_version, run,
//! };
//!
//! /// Sealed messages on an append-only ledger
//! #[derive(Parser)]
//! #[command(name = "sealpost", version, long_version = long_version())]
//! struct Cli {
//!     #[command(flatten)]
//!     global: GlobalArgs,
//!     #[command(flatten)]
//!     passphrase: PassphraseArgs,
//!     #[command(subcommand)]
//!     command: Command,
//! }
//!
//! #[derive(Subcommand)]
//! enum Command {
//!     /// Print how large a message becomes
//!     Size { length: u64 },
//!     #[command(flatten)]
//!     Pages(PagesCommand),
//! }
//!
//! impl HasGlobals for Cli {
//!     fn globals(&self) -> &GlobalArgs {
//!         &self.global
//!     }
//! }
//!
//! #[derive(serde::Serialize)]
//! struct Size {
//!     bytes: u64,
//! }
//!
//! fn obey(cli: Cli, terminal: &Terminal) -> Result<(), Failure> {
//!     match cli.command {
//!         Command::Pages(pages) => pages.run(Cli::command(), terminal)?,
//!         Command::Size { length: 0 } => {
//!             return Err(Failure::no("message.empty", "a message of 0 bytes is none").help("write something"));
//!         }
//!         Command::Size { length } => {
//!             let _passphrase = cli.passphrase.read(terminal, "wallet alice", Confirm::Once)?;
//!             let size = Size { bytes: length.next_power_of_two() };
//!             terminal.note("padding…"); // for people, on standard error
//!             terminal.say(bytes(size.bytes)); // the answer for people,
//!             terminal.emit("sealpost/size/1", &size); // and the same for programs, with --json
//!         }
//!     }
//!     Ok(())
//! }
//!
//! # fn never() -> std::process::ExitCode {
//! // fn main() -> std::process::ExitCode {
//! run("warn", obey)
//! # }
//! ```
//!
//! | subject | what there is |
//! |---|---|
//! | how a command ends | [`Failure`] (exit, stable code, message, help, facts) with [`Exit`]; `Ok(())` is 0 |
//! | printing | [`Terminal`]: `say`, `emit`, `write` to standard output; `note`, `warn` to standard error; `ask`, `confirm` |
//! | wording | [`short`], [`short_address`], [`bytes`], [`seconds`], [`clock`], [`grouped`], [`mod@style`]; [`printable`] for foreign text |
//! | settings | [`load_config`] (flag > environment > file > default), [`ConfigArgs`] |
//! | files | [`Folders`], [`write_atomically`], [`write_secret_file`], [`write_new_file`], [`read_secret_file`] |
//! | secrets | [`PassphraseArgs`] |
//! | log | `--log`, `RUST_LOG`, `-v`; [`Terminal::logging`] to [mute](Logging::mute) a target or change the filter |
//! | stopping | [`StopRequests`] for the second Ctrl-C |
//!
//! Data goes to standard output, talk to standard error. Nothing else in the project prints.

mod command_pages;
mod configuration;
mod exit;
mod files;
mod flags;
mod folders;
mod logging;
mod new_file;
mod output;
mod passphrase;
mod prompt;
mod runner;
pub mod style;
mod url;
mod width;
mod wording;

pub use command_pages::{PagesCommand, Shell};
pub use configuration::{ConfigArgs, load_config, load_network_config, write_template};
pub use exit::{Exit, Failure, with_exit_codes};
pub use files::{
    file_exists, file_failure, lock_file, not_new, read_secret_file, write_atomically, write_new_file,
    write_new_secret_file, write_secret_file,
};
pub use flags::{ColorWhen, GlobalArgs, HasGlobals, LogFormat, long_version};
pub use folders::{Folder, Folders, create_private_folder, folder_of, sync_folder};
pub use logging::Logging;
pub use new_file::NewFile;
pub use output::Terminal;
pub use passphrase::{Confirm, PassphraseArgs, new_passphrase};
pub use runner::{StopRequests, run};
pub use url::{check_url, first_url};
pub use width::fenced;
pub use wording::{
    bytes, clock, counted, grouped, printable, printable_lines, rfc3339, seconds, short, short_address,
};
