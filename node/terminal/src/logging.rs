//! The log: structured events on standard error, as text for people and as JSON on request.
//!
//! What is written is decided by `--log` (or `SEALPOST_LOG`), else `RUST_LOG`, else the binary's own
//! default as raised by `-v` and lowered by `-q`. The filter can change while the program runs.

use crate::{ColorWhen, Failure, GlobalArgs, LogFormat};
use std::sync::{Arc, Mutex, PoisonError};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{EnvFilter, Layer, Registry, reload};

/// The running log, for changing what it writes. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Logging {
    handle: reload::Handle<EnvFilter, Registry>,
    filter: Arc<Mutex<Filter>>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Filter {
    directives: String,
    muted: Vec<String>,
}

impl Filter {
    fn choose(globals: &GlobalArgs, default: &str, rust_log: Option<String>) -> Self {
        let stated = globals.log.clone().or(rust_log).filter(|directives| !directives.trim().is_empty());
        let directives = stated.unwrap_or_else(|| match globals.verbose {
            0 if globals.quiet => "error".to_owned(),
            0 => default.to_owned(),
            // A target is matched by its beginning: this is every crate of ours.
            1 => format!("{default},sealpost=debug"),
            _ => format!("{default},debug,sealpost=trace"),
        });
        Self { directives, muted: Vec::new() }
    }

    fn build(&self) -> Result<EnvFilter, Failure> {
        let muted: String = self.muted.iter().map(|target| format!(",{target}=off")).collect();
        EnvFilter::builder().parse(format!("{}{muted}", self.directives)).map_err(|error| {
            Failure::usage(format_args!("\"{}\" is not a log filter", self.directives))
                .because(&error)
                .help("write level or target=level, apart by commas: info,sealpost_node=debug")
        })
    }
}

impl Logging {
    /// Begins to log. Only the first call in a process has an effect on what is written.
    pub(crate) fn start(globals: &GlobalArgs, default: &str) -> Result<Self, Failure> {
        let filter = Filter::choose(globals, default, std::env::var("RUST_LOG").ok());
        let (layer, handle) = reload::Layer::new(filter.build()?);
        let colored = match globals.color {
            ColorWhen::Always => true,
            ColorWhen::Never => false,
            ColorWhen::Auto => {
                anstream::AutoStream::choice(&std::io::stderr()) != anstream::ColorChoice::Never
            }
        };
        let lines = tracing_subscriber::fmt::layer().with_writer(std::io::stderr);
        let lines = match globals.log_format {
            Some(LogFormat::Json) => lines.json().flatten_event(true).with_ansi(false).boxed(),
            Some(LogFormat::Text) | None => lines.with_ansi(colored).with_target(globals.verbose > 0).boxed(),
        };
        // Fails only if a log was begun before, as in tests.
        let _begun_before = tracing_subscriber::registry().with(layer).with(lines).try_init();
        Ok(Self { handle, filter: Arc::new(Mutex::new(filter)) })
    }

    /// Silences a target for good, whatever the filter says: for foreign code whose complaints mean
    /// nothing in our use, such as a network that finds no peers when there is one validator.
    pub fn mute(&self, target: &str) -> Result<(), Failure> {
        self.change(|filter| filter.muted.push(target.to_owned()))
    }

    /// Replaces the filter (`info,sealpost_node=debug`); a wrong one changes nothing.
    pub fn set_filter(&self, directives: &str) -> Result<(), Failure> {
        self.change(|filter| directives.clone_into(&mut filter.directives))
    }

    fn change(&self, edit: impl FnOnce(&mut Filter)) -> Result<(), Failure> {
        let mut filter = self.filter.lock().unwrap_or_else(PoisonError::into_inner);
        let mut changed = filter.clone();
        edit(&mut changed);
        let built = changed.build()?;
        *filter = changed;
        // The subscriber is gone only if another log was begun first, as in tests.
        let _gone = self.handle.reload(built);
        Ok(())
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn chosen(globals: &GlobalArgs, rust_log: Option<&str>) -> String {
        Filter::choose(globals, "warn", rust_log.map(str::to_owned)).directives
    }

    #[test]
    fn a_stated_filter_goes_before_verbosity() {
        let globals = GlobalArgs { verbose: 1, ..GlobalArgs::default() };
        assert_eq!(chosen(&globals, None), "warn,sealpost=debug");
        assert_eq!(chosen(&globals, Some("info")), "info");
        assert_eq!(chosen(&GlobalArgs { log: Some("debug".into()), ..globals }, Some("info")), "debug");
        assert_eq!(chosen(&GlobalArgs { quiet: true, ..GlobalArgs::default() }, None), "error");
        assert_eq!(chosen(&GlobalArgs::default(), Some("")), "warn");
    }

    #[test]
    fn a_wrong_filter_is_refused_with_an_example() {
        let filter = Filter { directives: "sealpost=loud".into(), muted: vec![] };
        let failure = filter.build().unwrap_err();
        assert!(failure.message.contains("sealpost=loud"));
        assert!(failure.help.unwrap().contains("sealpost_node=debug"));
    }

    #[test]
    fn a_muted_target_stays_muted() {
        let filter = Filter { directives: "trace".into(), muted: vec!["arc_malachitebft_network".into()] };
        assert!(filter.build().unwrap().to_string().contains("arc_malachitebft_network=off"));
    }
}
