//! Runs a binary: parses, begins the log, maps how the command ended to output and exit code.

use crate::{ColorWhen, Exit, Failure, HasGlobals, Terminal, logging};
use clap::Parser;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::ExitCode;

/// Parses the command line and runs a command. `log` is what is logged unless something else is asked for.
pub fn run<C: Parser + HasGlobals>(
    log: &str,
    command: impl FnOnce(C, &Terminal) -> Result<(), Failure>,
) -> ExitCode {
    let cli = match C::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            // Help and version go to standard output, errors to standard error; a closed pipe is fine.
            let _ = error.print();
            return ExitCode::from(u8::try_from(error.exit_code()).unwrap_or(Exit::Usage.code()));
        }
    };
    let globals = cli.globals().clone();
    match globals.color {
        ColorWhen::Auto => {}
        ColorWhen::Always => anstream::ColorChoice::Always.write_global(),
        ColorWhen::Never => anstream::ColorChoice::Never.write_global(),
    }
    logging::start(&globals, log);
    let terminal = Terminal::new(globals);
    match catch_unwind(AssertUnwindSafe(|| command(cli, &terminal))) {
        Ok(Ok(())) => ExitCode::SUCCESS,
        Ok(Err(failure)) => {
            terminal.fail(&failure);
            ExitCode::from(failure.exit.code())
        }
        Err(_) => {
            let failure =
                Failure::new(Exit::Bug, "bug", "this is a bug in Sealpost; nothing you did is wrong")
                    .help("please report it, with the lines above and the command you ran");
            terminal.fail(&failure);
            ExitCode::from(Exit::Bug.code())
        }
    }
}
