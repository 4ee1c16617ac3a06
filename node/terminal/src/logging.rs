//! The log: structured events on standard error, as text on a terminal and as JSON on request.

use crate::{GlobalArgs, LogFormat};
use std::io::{self, IsTerminal};
use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::format::FmtSpan;

/// Begins to log. `RUST_LOG` decides what, else `default` with `-v` and `-vv` on top.
pub(crate) fn start(globals: &GlobalArgs, default: &str) {
    let directives = match globals.verbose {
        0 if globals.quiet => "error".to_owned(),
        0 => default.to_owned(),
        1 => format!(
            "{default},sealpost=debug,sealpost_node=debug,sealpost_wallet=debug,sealpost_explorer=debug"
        ),
        _ => "debug".to_owned(),
    };
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new(directives));
    let builder = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(io::stderr)
        .with_span_events(FmtSpan::NONE)
        .with_ansi(io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none());
    // Fails only if a log was begun before, as in tests.
    let _ = match globals.log_format {
        Some(LogFormat::Json) => builder.json().try_init(),
        Some(LogFormat::Text) | None => builder.with_target(globals.verbose > 0).try_init(),
    };
}
