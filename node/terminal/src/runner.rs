//! Runs a binary: parses, begins the log, maps how the command ended to output and exit code.

use crate::{ColorWhen, Exit, Failure, GlobalArgs, HasGlobals, Logging, Terminal, long_version};
use clap::Parser;
use clap::error::ErrorKind;
use std::cell::RefCell;
use std::ffi::OsString;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::ExitCode;
use std::sync::atomic::{AtomicBool, Ordering};

/// Parses the command line and runs a command. `log` is what is logged unless something else is asked for.
///
/// A panic becomes exit 70 with a text to report.
pub fn run<C: Parser + HasGlobals>(
    log: &str,
    command: impl FnOnce(C, &Terminal) -> Result<(), Failure>,
) -> ExitCode {
    ExitCode::from(run_with(std::env::args_os().collect(), log, command).map_or_else(Exit::code, |()| 0))
}

fn run_with<C: Parser + HasGlobals>(
    arguments: Vec<OsString>,
    log: &str,
    command: impl FnOnce(C, &Terminal) -> Result<(), Failure>,
) -> Result<(), Exit> {
    let cli = match C::try_parse_from(&arguments) {
        Ok(cli) => cli,
        Err(error) => return misread(&error, &arguments),
    };
    let globals = cli.globals().clone();
    match globals.color {
        ColorWhen::Auto => {}
        ColorWhen::Always => anstream::ColorChoice::Always.write_global(),
        ColorWhen::Never => anstream::ColorChoice::Never.write_global(),
    }
    let logging = match Logging::start(&globals, log) {
        Ok(logging) => logging,
        Err(failure) => {
            Terminal::print_failure(&globals, &failure);
            return Err(failure.exit);
        }
    };
    let terminal = Terminal::new(globals, logging);
    remember_panics();
    let ended = catch_unwind(AssertUnwindSafe(|| command(cli, &terminal)));
    let ended = ended.unwrap_or_else(|_| Err(panic_report())).and_then(|()| terminal.conclude());
    ended.map_err(|failure| {
        Terminal::print_failure(terminal.globals(), &failure);
        failure.exit
    })
}

/// A command line that can't be understood, or that asks for help or the version.
fn misread(error: &clap::Error, arguments: &[OsString]) -> Result<(), Exit> {
    let asked = matches!(error.kind(), ErrorKind::DisplayHelp | ErrorKind::DisplayVersion);
    // The flags were not parsed, so that --json has to be looked for by hand.
    if !asked && arguments.iter().any(|argument| argument == "--json" || argument == "-j") {
        let text = error.render().to_string();
        let message = text.strip_prefix("error: ").unwrap_or(&text).trim_end();
        let globals = GlobalArgs { json: true, ..GlobalArgs::default() };
        Terminal::print_failure(&globals, &Failure::usage(message));
    } else {
        // Help and version go to standard output, errors to standard error; a closed pipe is fine.
        let _unread = error.print();
    }
    if asked { Ok(()) } else { Err(Exit::Usage) }
}

thread_local! {
    static LAST_PANIC: RefCell<Option<String>> = const { RefCell::new(None) };
}

/// Keeps what a panic says for the report. A panic of another thread goes to the log: no report of the
/// main thread will carry it.
fn remember_panics() {
    let main_thread = std::thread::current().id();
    std::panic::set_hook(Box::new(move |info| {
        let place = info.location().map_or_else(String::new, |at| format!(" at {at}"));
        let text = format!("{}{place}", info.payload_as_str().unwrap_or("a panic without a text"));
        if std::thread::current().id() != main_thread {
            let thread = std::thread::current().name().unwrap_or("unnamed").to_owned();
            tracing::error!(thread, "bug: {text}");
            return;
        }
        let backtrace = std::backtrace::Backtrace::capture();
        let captured = backtrace.status() == std::backtrace::BacktraceStatus::Captured;
        let text = if captured { format!("{text}\n{backtrace}") } else { text };
        LAST_PANIC.with_borrow_mut(|last| *last = Some(text));
    }));
}

fn panic_report() -> Failure {
    let text = LAST_PANIC.with_borrow_mut(Option::take).unwrap_or_default();
    let version = long_version().replace('\n', ", ");
    let message = format!("this is a bug in Sealpost; nothing you did is wrong: {text} [{version}]");
    Failure::new(Exit::Bug, "internal.bug", message)
        .help("please report it with these lines and the command you ran; RUST_BACKTRACE=1 says more")
}

/// How often somebody asked the program to stop: politely the first time, at once the second.
///
/// It listens to no signal itself: a binary calls [`asked`](Self::asked) from its own handler.
#[derive(Debug, Default)]
pub struct StopRequests(AtomicBool);

impl StopRequests {
    /// Notes a request. After the first it returns, and the caller begins to stop; the second ends the
    /// process with this exit code.
    pub fn asked(&self, terminal: &Terminal, exit: Exit) {
        if self.0.swap(true, Ordering::SeqCst) {
            std::process::exit(exit.code().into());
        }
        terminal.note("stopping; once more to stop at once");
    }
    /// Whether somebody asked.
    pub fn is_stopping(&self) -> bool {
        self.0.load(Ordering::SeqCst)
    }
}

#[cfg(test)]
#[allow(clippy::panic)]
mod tests {
    use super::*;

    #[derive(Parser)]
    #[command(name = "sealpost", version, long_version = long_version())]
    struct Cli {
        #[command(flatten)]
        global: GlobalArgs,
    }

    impl HasGlobals for Cli {
        fn globals(&self) -> &GlobalArgs {
            &self.global
        }
    }

    fn run_in(
        arguments: &[&str],
        command: impl FnOnce(Cli, &Terminal) -> Result<(), Failure>,
    ) -> Result<(), Exit> {
        run_with(arguments.iter().map(OsString::from).collect(), "warn", command)
    }

    #[test]
    fn every_way_to_end_has_its_exit_code() {
        assert_eq!(run_in(&["sealpost", "--nonsense"], |_, _| Ok(())), Err(Exit::Usage));
        assert_eq!(run_in(&["sealpost", "-j", "--nonsense"], |_, _| Ok(())), Err(Exit::Usage));
        assert_eq!(run_in(&["sealpost", "--log", "a=b=c"], |_, _| Ok(())), Err(Exit::Usage));
        assert_eq!(run_in(&["sealpost", "--version"], |_, _| Err(Failure::bug("ran"))), Ok(()));
        assert_eq!(run_in(&["sealpost"], |_, _| Ok(())), Ok(()));
        assert_eq!(run_in(&["sealpost"], |_, _| Err(Failure::silent(Exit::No))), Err(Exit::No));
        assert_eq!(run_in(&["sealpost"], |_, _| panic!("the lift is stuck")), Err(Exit::Bug));
        // The hook is the whole process's; other tests want their own panics printed.
        let _ours = std::panic::take_hook();
    }

    #[test]
    fn the_report_of_a_panic_says_where() {
        remember_panics();
        let caught = catch_unwind(|| panic!("the lift is stuck"));
        let _ours = std::panic::take_hook();
        assert!(caught.is_err());
        let report = panic_report();
        assert!(report.message.contains("the lift is stuck at node/terminal/src/runner.rs"));
    }
}
