//! Flags that every command of every binary takes.

use clap::{ArgAction, Args, ValueEnum};
use std::path::PathBuf;

/// Flags that every command takes.
#[derive(Debug, Clone, Default, Args)]
pub struct GlobalArgs {
    /// Write machine-readable JSON to standard output, and errors as JSON to standard error
    #[arg(short, long, global = true, help_heading = "Global options")]
    pub json: bool,
    /// Say less
    #[arg(short, long, conflicts_with = "verbose", global = true, help_heading = "Global options")]
    pub quiet: bool,
    /// Log more; twice for everything
    #[arg(short, long, action = ArgAction::Count, global = true, help_heading = "Global options")]
    pub verbose: u8,
    /// When to use colours; NO_COLOR and CLICOLOR_FORCE are obeyed
    #[arg(
        long,
        value_enum,
        default_value_t,
        value_name = "WHEN",
        global = true,
        help_heading = "Global options"
    )]
    pub color: ColorWhen,
    /// Configuration file to read instead of the usual one
    #[arg(
        long,
        value_name = "PATH",
        env = "SEALPOST_CONFIG",
        hide_env_values = true,
        global = true,
        help_heading = "Global options"
    )]
    pub config: Option<PathBuf>,
    /// Folder that holds everything of this program
    #[arg(
        long,
        value_name = "DIR",
        env = "SEALPOST_HOME",
        hide_env_values = true,
        global = true,
        help_heading = "Global options"
    )]
    pub home: Option<PathBuf>,
    /// What to log, such as `info,sealpost_node=debug`; without it RUST_LOG decides
    #[arg(
        long,
        value_name = "FILTER",
        env = "SEALPOST_LOG",
        hide_env_values = true,
        global = true,
        help_heading = "Global options"
    )]
    pub log: Option<String>,
    /// Form of the log on standard error
    #[arg(
        long,
        value_enum,
        value_name = "FORMAT",
        env = "SEALPOST_LOG_FORMAT",
        hide_env_values = true,
        global = true,
        help_heading = "Global options"
    )]
    pub log_format: Option<LogFormat>,
    /// Never ask anything
    #[arg(long, global = true, help_heading = "Global options")]
    pub no_input: bool,
    /// Answer every confirmation with yes
    #[arg(short, long, global = true, help_heading = "Global options")]
    pub yes: bool,
}

/// When to use colours.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub enum ColorWhen {
    /// On a terminal.
    #[default]
    Auto,
    /// Even into a file.
    Always,
    /// Not even on a terminal.
    Never,
}

/// Form of the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    /// For people.
    Text,
    /// For machines: one object per line.
    Json,
}

/// A parsed command line that contains the flags of every command.
pub trait HasGlobals {
    /// Those flags.
    fn globals(&self) -> &GlobalArgs;
}

/// What `--version` says: version, source, protocol, target.
pub fn long_version() -> &'static str {
    static TEXT: std::sync::LazyLock<String> = std::sync::LazyLock::new(|| {
        format!(
            "{} ({})\nprotocol 1, {}-{}",
            env!("CARGO_PKG_VERSION"),
            option_env!("SEALPOST_COMMIT").unwrap_or("built without a commit id"),
            std::env::consts::ARCH,
            std::env::consts::OS,
        )
    });
    &TEXT
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use clap::Parser;

    #[derive(Parser)]
    struct Cli {
        #[command(flatten)]
        global: GlobalArgs,
        #[command(subcommand)]
        command: Command,
    }

    #[derive(clap::Subcommand)]
    enum Command {
        Inbox,
    }

    #[test]
    fn flags_may_stand_before_and_after_the_command() {
        let cli = Cli::try_parse_from(["sealpost", "--json", "inbox", "-vv", "--color", "never", "-y"]);
        let Cli { global, command: Command::Inbox } = cli.unwrap();
        assert!(global.json && global.yes && !global.no_input);
        assert_eq!((global.verbose, global.color), (2, ColorWhen::Never));
    }

    #[test]
    fn quiet_and_verbose_exclude_each_other() {
        assert!(Cli::try_parse_from(["sealpost", "inbox", "-q", "-v"]).is_err());
    }
}
