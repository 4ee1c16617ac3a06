//! What the three binaries share: flags, output, exit codes, logging, configuration, passphrases, shell
//! completions and man pages. A binary's `main` is a call of [`run`]:
//!
//! ```no_run
//! use sealpost_terminal::{Failure, GlobalArgs, HasGlobals, Terminal, run};
//!
//! #[derive(clap::Parser)]
//! struct Cli {
//!     #[command(flatten)]
//!     global: GlobalArgs,
//! }
//!
//! impl HasGlobals for Cli {
//!     fn globals(&self) -> &GlobalArgs {
//!         &self.global
//!     }
//! }
//!
//! fn main() -> std::process::ExitCode {
//!     run("warn", |_cli: Cli, terminal: &Terminal| -> Result<(), Failure> {
//!         terminal.say("hello");
//!         Ok(())
//!     })
//! }
//! ```
//!
//! Data goes to standard output, talk to standard error. Nothing else in the project prints.

mod command_pages;
mod configuration;
mod exit;
mod files;
mod flags;
mod folders;
mod logging;
mod output;
mod passphrase;
mod runner;
mod wording;

pub use command_pages::{PagesCommand, Shell};
pub use configuration::{ConfigCommand, load_config};
pub use exit::{Exit, Failure};
pub use files::{read_secret_file, write_atomically, write_secret_file};
pub use flags::{ColorWhen, GlobalArgs, HasGlobals, LogFormat, long_version};
pub use folders::{Folder, Folders, create_private_folder};
pub use output::Terminal;
pub use passphrase::{Confirm, PassphraseArgs};
pub use runner::run;
pub use wording::{bytes, clock, rfc3339, seconds, short};
