//! Configuration with its origin: for every value it is known whether a flag, the environment, the file,
//! the network or the program itself gave it (in this order of strength).
//!
//! Each binary describes its settings once, as a `confique` struct; from it come the loading, the
//! commented template and `config show --origin`. A struct carries these two attributes, nested ones too:
//!
//! ```
//! # use confique::Config;
//! /// Settings of the wallet.
//! #[derive(Config)]
//! #[config(layer_attr(derive(serde::Serialize)))]
//! #[config(layer_attr(serde(deny_unknown_fields)))]
//! struct WalletConfig {
//!     /// The node to ask.
//!     #[config(env = "SEALPOST_NODE", default = "http://127.0.0.1:17325")]
//!     node: String,
//! }
//! ```
//!
//! With the second one an unknown key is an error that names the line and the keys there are: a misspelt
//! setting must not become a silent default.

use crate::{Failure, Folder, Folders, GlobalArgs, Terminal, create_private_folder, style, write_new_file};
use clap::{Args, Subcommand};
use confique::meta::{FieldKind, Meta};
use confique::toml::FormatOptions;
use confique::{Config, File, FileFormat, Layer};
use serde::Serialize;
use serde_json::Value;
use std::fmt;
use std::io::{ErrorKind, Read};
use std::path::{Path, PathBuf};

/// `config`, and what it is to do; without a word it prints the template.
#[derive(Debug, Clone, Args)]
pub struct ConfigArgs {
    #[command(subcommand)]
    command: Option<ConfigCommand>,
}

impl ConfigArgs {
    /// Does what is asked for, for the program `name` (`node`, `wallet`, `explorer`).
    pub fn run<C: Config>(&self, name: &str, terminal: &Terminal) -> Result<(), Failure>
    where
        C::Layer: Serialize,
    {
        self.run_with::<C>(name, terminal, C::Layer::empty())
    }

    /// Whether the file is to be checked.
    pub const fn is_check(&self) -> bool {
        matches!(self.command, Some(ConfigCommand::Check))
    }

    /// The same, with what the command line says of the settings.
    pub fn run_with<C: Config>(&self, name: &str, terminal: &Terminal, flags: C::Layer) -> Result<(), Failure>
    where
        C::Layer: Serialize,
    {
        self.command.as_ref().unwrap_or(&ConfigCommand::Template).run_with::<C>(name, terminal, flags)
    }
}

/// The usual configuration file of the program `name`, if there is none yet: every option commented, with its
/// default. Returns where it is, and whether it was written.
pub fn write_template<C: Config>(name: &str, globals: &GlobalArgs) -> Result<(PathBuf, bool), Failure> {
    let path = config_path(name, globals)?;
    if path.exists() {
        return Ok((path, false));
    }
    if let Some(folder) = path.parent().filter(|folder| !folder.as_os_str().is_empty()) {
        create_private_folder(folder)?;
    }
    write_new_file(&path, confique::toml::template::<C>(FormatOptions::default()).as_bytes())?;
    Ok((path, true))
}

/// Commands about the configuration.
#[derive(Debug, Clone, Subcommand)]
enum ConfigCommand {
    /// Print the values in force
    Show {
        /// Say where each value comes from
        #[arg(long)]
        origin: bool,
    },
    /// Read the file and say whether it is right
    Check,
    /// Print a commented file with every option and its default
    Template,
    /// Print where the file is looked for
    Path,
}

impl ConfigCommand {
    /// Does what is asked for, for the program `name`, with what the command line says of the settings.
    fn run_with<C: Config>(&self, name: &str, terminal: &Terminal, flags: C::Layer) -> Result<(), Failure>
    where
        C::Layer: Serialize,
    {
        #[derive(Serialize)]
        struct Report {
            file: PathBuf,
            exists: bool,
            #[serde(skip_serializing_if = "Option::is_none")]
            settings: Option<Vec<Setting>>,
        }
        let file = config_path(name, terminal.globals())?;
        let mut report = Report { exists: file.exists(), file, settings: None };
        match self {
            ConfigCommand::Template => {
                terminal.write(confique::toml::template::<C>(FormatOptions::default()).as_bytes());
            }
            ConfigCommand::Path => {
                terminal.say(report.file.display());
                terminal.emit("sealpost/config-path/1", &report);
            }
            ConfigCommand::Check => {
                load_config::<C>(name, terminal.globals(), flags)?;
                let absent = if report.exists { "" } else { " (absent: the defaults hold)" };
                terminal.say(style::held(format_args!("{}{absent}", report.file.display())));
                terminal.emit("sealpost/config-check/1", &report);
            }
            ConfigCommand::Show { origin } => {
                let settings = Layers::<C>::gather(name, terminal.globals(), flags)?.settings()?;
                for setting in &settings {
                    terminal.say(setting.line(*origin));
                }
                report.settings = Some(settings);
                terminal.emit("sealpost/config-show/1", &report);
            }
        }
        Ok(())
    }
}

/// Reads the configuration of the program `name`; `flags` go before everything else.
pub fn load_config<C: Config>(name: &str, globals: &GlobalArgs, flags: C::Layer) -> Result<C, Failure> {
    Layers::<C>::gather(name, globals, flags)?.merge()
}

/// As [`load_config`], with what the network's own description says: stronger only than the defaults.
pub fn load_network_config<C: Config>(
    name: &str,
    globals: &GlobalArgs,
    flags: C::Layer,
    network: C::Layer,
) -> Result<C, Failure> {
    Layers::<C> { network, ..Layers::gather(name, globals, flags)? }.merge()
}

fn config_path(name: &str, globals: &GlobalArgs) -> Result<PathBuf, Failure> {
    match &globals.config {
        Some(path) => Ok(path.clone()),
        None => Ok(Folders::new(globals).path(Folder::Config)?.join(format!("{name}.toml"))),
    }
}

/// Where a value came from, the strongest first.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "from", content = "name", rename_all = "lowercase")]
enum Origin {
    Flag,
    Environment(&'static str),
    File(PathBuf),
    Network,
    Default,
    Unset,
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Origin::Flag => f.write_str("flag"),
            Origin::Environment(name) => write!(f, "environment {name}"),
            Origin::File(path) => write!(f, "{}", path.display()),
            Origin::Network => f.write_str("network"),
            Origin::Default => f.write_str("default"),
            Origin::Unset => f.write_str("not set"),
        }
    }
}

/// One setting as it holds now; the key is dotted, as in `rpc.listen`.
#[derive(Debug, Clone, Serialize)]
struct Setting {
    key: String,
    value: Value,
    origin: Origin,
}

impl Setting {
    fn line(&self, origin: bool) -> String {
        let text = match &self.value {
            Value::Null => format!("# {} = ", self.key),
            value => format!("{} = {value}", self.key),
        };
        if origin { format!("{text}  {}", style::faint(format_args!("# {}", self.origin))) } else { text }
    }
}

/// What each source says.
struct Layers<C: Config> {
    path: PathBuf,
    flags: C::Layer,
    environment: C::Layer,
    file: C::Layer,
    network: C::Layer,
}

impl<C: Config> Layers<C> {
    fn gather(name: &str, globals: &GlobalArgs, flags: C::Layer) -> Result<Self, Failure> {
        let path = config_path(name, globals)?;
        // The usual file may be absent; one that was named may not.
        match std::fs::File::open(&path).and_then(|mut file| file.read(&mut [0])) {
            Ok(_) => {}
            Err(error) if error.kind() == ErrorKind::NotFound && globals.config.is_some() => {
                return Err(Failure::usage(format_args!("config: {} does not exist", path.display())));
            }
            Err(error) if error.kind() == ErrorKind::NotFound => {}
            Err(error) => {
                let message = format!("config: cannot read {}: {error}", path.display());
                return Err(Failure::unavailable("file.io", message));
            }
        }
        let file = File::with_format(&path, FileFormat::Toml).load().map_err(wrong)?;
        let environment = C::Layer::from_env().map_err(wrong)?;
        Ok(Self { path, flags, environment, file, network: C::Layer::empty() })
    }

    fn merge(self) -> Result<C, Failure> {
        let merged = self
            .flags
            .with_fallback(self.environment)
            .with_fallback(self.file)
            .with_fallback(self.network)
            .with_fallback(C::Layer::default_values());
        C::from_layer(merged).map_err(wrong)
    }

    fn settings(&self) -> Result<Vec<Setting>, Failure>
    where
        C::Layer: Serialize,
    {
        let default = C::Layer::default_values();
        let mut layers = Vec::new();
        for layer in [&self.flags, &self.environment, &self.file, &self.network, &default] {
            let value = serde_json::to_value(layer)
                .map_err(|error| Failure::bug("the configuration can't be shown").because(&error))?;
            layers.push(value);
        }
        let mut settings = Vec::new();
        trace(&C::META, "", &layers, &self.path, &mut settings);
        Ok(settings)
    }
}

fn wrong(error: confique::Error) -> Failure {
    let text = format!("config: {error:#}");
    let help = match nearest(&text) {
        Some(key) => format!("did you mean `{key}`? `config template` prints every option"),
        None => "`config template` prints every option".to_owned(),
    };
    Failure::usage(text.trim_end()).help(help)
}

/// The known key that is most like the unknown one of serde's text: "unknown field `x`, expected one of `a`,
/// `b`". Nothing if none is alike.
fn nearest(text: &str) -> Option<&str> {
    let (_, rest) = text.split_once("unknown field `")?;
    let mut quoted = rest.split('`');
    let unknown = quoted.next()?;
    let known = quoted.skip(1).step_by(2).filter(|word| !word.contains(char::is_whitespace));
    let (away, key) = known.map(|key| (strsim::levenshtein(unknown, key), key)).min()?;
    (away <= unknown.len().div_ceil(3)).then_some(key)
}

/// Walks the settings and finds for each the first layer that names it.
fn trace(meta: &'static Meta, prefix: &str, layers: &[Value], file: &Path, settings: &mut Vec<Setting>) {
    for field in meta.fields {
        let key = format!("{prefix}{}", field.name);
        let variable = match field.kind {
            FieldKind::Nested { meta } => {
                trace(meta, &format!("{key}."), layers, file, settings);
                continue;
            }
            FieldKind::Leaf { env, .. } => env,
        };
        let pointer = format!("/{}", key.replace('.', "/"));
        let named = |layer: &Value| layer.pointer(&pointer).filter(|value| !value.is_null()).cloned();
        let found = layers.iter().enumerate().find_map(|(at, layer)| named(layer).map(|value| (at, value)));
        let (at, value) = found.unwrap_or((usize::MAX, Value::Null));
        let origin = match at {
            0 => Origin::Flag,
            1 => Origin::Environment(variable.unwrap_or_default()),
            2 => Origin::File(file.to_owned()),
            3 => Origin::Network,
            4 => Origin::Default,
            _ => Origin::Unset,
        };
        settings.push(Setting { key, value, origin });
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::indexing_slicing)]
mod tests {
    use super::*;

    /// Settings of a test.
    #[derive(Debug, Config)]
    #[config(layer_attr(derive(serde::Serialize)))]
    #[config(layer_attr(serde(deny_unknown_fields)))]
    struct Sample {
        /// The node to ask.
        #[config(env = "SEALPOST_TEST_NODE", default = "http://127.0.0.1:17325")]
        node: String,
        /// A file that may be absent.
        extra: Option<PathBuf>,
        #[config(nested)]
        rpc: Rpc,
    }

    /// Settings of the RPC.
    #[derive(Debug, Config)]
    #[config(layer_attr(derive(serde::Serialize)))]
    #[config(layer_attr(serde(deny_unknown_fields)))]
    struct Rpc {
        /// How many connections at once.
        #[config(default = 100)]
        connections: u32,
        /// How many subscriptions each.
        #[config(default = 20)]
        subscriptions: u32,
    }

    type SampleLayer = <Sample as Config>::Layer;

    fn globals(text: &str) -> (tempfile::TempDir, GlobalArgs) {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("sample.toml");
        std::fs::write(&path, text).unwrap();
        (dir, GlobalArgs { config: Some(path), ..GlobalArgs::default() })
    }

    fn load(text: &str) -> Result<Sample, Failure> {
        let (_dir, globals) = globals(text);
        load_config("sample", &globals, SampleLayer::empty())
    }

    #[test]
    fn the_file_goes_before_the_default() {
        assert_eq!(load("").unwrap().rpc.connections, 100);
        assert_eq!(load("[rpc]\nconnections = 7").unwrap().rpc.connections, 7);
    }

    #[test]
    fn a_file_that_was_named_must_be_there() {
        let globals = GlobalArgs { config: Some("/nowhere/sample.toml".into()), ..GlobalArgs::default() };
        let failure = load_config::<Sample>("sample", &globals, SampleLayer::empty()).unwrap_err();
        assert!(failure.message.contains("/nowhere/sample.toml"));
    }

    #[test]
    fn a_file_that_cannot_be_read_is_named_with_the_cause() {
        // A folder can be opened, and not be read.
        let dir = tempfile::tempdir().unwrap();
        let globals = GlobalArgs { config: Some(dir.path().into()), ..GlobalArgs::default() };
        let failure = load_config::<Sample>("sample", &globals, SampleLayer::empty()).unwrap_err();
        assert_eq!((failure.exit, failure.code.as_ref()), (crate::Exit::Unavailable, "file.io"));
        assert!(failure.message.contains(&dir.path().display().to_string()), "{failure}");
    }

    #[test]
    fn an_unknown_key_is_refused_with_its_line_and_the_known_keys() {
        let failure = load("[rpc]\nconections = 7\n").unwrap_err();
        assert!(failure.help.unwrap().contains("did you mean `connections`?"));
        assert!(!load("[rpc]\nzzzzzz = 7\n").unwrap_err().help.unwrap().contains("did you mean"));
        let message = failure.message;
        for part in ["line 2", "conections", "connections", "subscriptions"] {
            assert!(message.contains(part), "{part} in {message}");
        }
    }

    #[test]
    fn each_value_knows_who_gave_it() {
        let (_dir, globals) = globals("node = \"http://file:1\"\n[rpc]\nconnections = 7\n");
        let path = globals.config.clone().unwrap();
        let flags = SampleLayer { extra: Some("x".into()), ..SampleLayer::empty() };
        let mut layers = Layers::<Sample>::gather("sample", &globals, flags).unwrap();
        layers.network.rpc.connections = Some(8);
        layers.network.rpc.subscriptions = Some(9);
        let settings = layers.settings().unwrap();
        let origins: Vec<_> = settings.iter().map(|s| (s.key.as_str(), s.origin.clone())).collect();
        assert_eq!(
            origins,
            [
                ("node", Origin::File(path.clone())),
                ("extra", Origin::Flag),
                ("rpc.connections", Origin::File(path)),
                ("rpc.subscriptions", Origin::Network),
            ]
        );
        assert_eq!(settings[3].line(false), "rpc.subscriptions = 9");
        let values = layers.merge().unwrap();
        assert_eq!((values.node.as_str(), values.extra), ("http://file:1", Some("x".into())));
        assert_eq!((values.rpc.connections, values.rpc.subscriptions), (7, 9));
    }

    #[test]
    fn the_template_is_itself_a_valid_file() {
        let template = confique::toml::template::<Sample>(FormatOptions::default());
        assert!(template.contains("The node to ask."));
        load(&template).unwrap();
    }
}
