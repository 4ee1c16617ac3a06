//! Configuration files: flag > environment > file > default. An unknown key is an error that names it.

use crate::{Failure, Folder, Folders, GlobalArgs, Terminal};
use clap::Subcommand;
use confique::toml::FormatOptions;
use confique::{Config, Layer};
use std::path::PathBuf;

/// Commands about the configuration.
#[derive(Debug, Clone, Subcommand)]
pub enum ConfigCommand {
    /// Print a commented file with every option and its default
    Template,
    /// Read the file and say whether it is right
    Check,
    /// Print where the file is looked for
    Path,
}

impl ConfigCommand {
    /// Does what is asked for, for the program `name` (`node`, `wallet`, `explorer`).
    pub fn run<C: Config>(&self, name: &str, terminal: &Terminal) -> Result<(), Failure> {
        match self {
            ConfigCommand::Template => {
                terminal.write(confique::toml::template::<C>(FormatOptions::default()).as_bytes());
            }
            ConfigCommand::Check => {
                load_config::<C>(name, terminal.globals(), C::Layer::empty())?;
                terminal.say("the configuration is right");
            }
            ConfigCommand::Path => terminal.say(config_path(name, terminal.globals())?.display()),
        }
        Ok(())
    }
}

fn config_path(name: &str, globals: &GlobalArgs) -> Result<PathBuf, Failure> {
    match &globals.config {
        Some(path) => Ok(path.clone()),
        None => Ok(Folders::new(globals).path(Folder::Config)?.join(format!("{name}.toml"))),
    }
}

/// Reads the configuration of the program `name`; `flags` go before everything else.
pub fn load_config<C: Config>(name: &str, globals: &GlobalArgs, flags: C::Layer) -> Result<C, Failure> {
    let path = config_path(name, globals)?;
    // The usual file may be absent; one that was named may not.
    if globals.config.is_some() && !path.exists() {
        return Err(Failure::usage(format_args!("config: {} does not exist", path.display())));
    }
    C::builder().preloaded(flags).env().file(path).load().map_err(|error| {
        Failure::usage(format_args!("config: {error:#}")).help("`config template` prints every option")
    })
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use clap::Parser;

    #[derive(Debug, Config)]
    #[config(layer_attr(serde(deny_unknown_fields)))]
    struct Sample {
        /// A number.
        #[config(default = 7)]
        number: u16,
    }

    #[derive(Parser)]
    struct Cli {
        #[command(flatten)]
        globals: GlobalArgs,
    }

    fn load(text: &str) -> Result<Sample, Failure> {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("sample.toml");
        std::fs::write(&path, text).unwrap();
        let cli = Cli::parse_from(["x", "--config", path.to_str().unwrap()]);
        load_config("sample", &cli.globals, <Sample as Config>::Layer::empty())
    }

    #[test]
    fn the_file_goes_before_the_default() {
        assert_eq!(load("").unwrap().number, 7);
        assert_eq!(load("number = 8").unwrap().number, 8);
    }

    #[test]
    fn an_unknown_key_is_named() {
        let failure = load("numbr = 8").unwrap_err();
        assert!(
            failure.message.contains("numbr") && failure.message.contains("number"),
            "{}",
            failure.message
        );
    }
}
