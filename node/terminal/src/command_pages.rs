//! Shell completions and man pages, made from the command line's own description.

use crate::{Failure, Terminal};
use clap::{Command, Subcommand};
use std::path::PathBuf;

pub use clap_complete::Shell;

/// Commands that describe the program.
#[derive(Debug, Clone, Subcommand)]
pub enum PagesCommand {
    /// Print the completions for a shell
    Completions {
        /// Which shell
        shell: Shell,
    },
    /// Print the man page, or write one per command into a folder
    Man {
        /// Folder to write to
        #[arg(long, value_name = "DIR")]
        dir: Option<PathBuf>,
    },
}

impl PagesCommand {
    /// Prints or writes what is asked for.
    pub fn run(&self, mut command: Command, terminal: &Terminal) -> Result<(), Failure> {
        let failed =
            |error: std::io::Error| Failure::unavailable("file.io", format_args!("the man page: {error}"));
        let mut page = Vec::new();
        match self {
            PagesCommand::Completions { shell } => {
                let name = command.get_name().to_owned();
                clap_complete::generate(*shell, &mut command, name, &mut page);
            }
            PagesCommand::Man { dir: None } => {
                clap_mangen::Man::new(command).render(&mut page).map_err(failed)?
            }
            PagesCommand::Man { dir: Some(dir) } => {
                std::fs::create_dir_all(dir).map_err(failed)?;
                return clap_mangen::generate_to(command, dir).map_err(failed);
            }
        }
        terminal.write(&page);
        Ok(())
    }
}
