//! `init`: makes a home for a node.

use super::local::make_network;
use super::{home, read_genesis};
use crate::config::NodeSettings;
use crate::home::Home;
use clap::Args;
use sealpost_ledger::genesis::{DEVELOPMENT_VALIDATOR, Genesis};
use sealpost_ledger::hash::{Tag, tagged};
use sealpost_ledger::signature::SigningKey;
use sealpost_terminal::{Failure, Terminal, short, write_template};
use std::path::PathBuf;
use zeroize::Zeroizing;

/// The network of a plain start; its validator's key is public.
const DEVELOPMENT: &[u8] = include_bytes!("../../../genesis.json");

#[derive(Debug, Args)]
pub(super) struct InitArgs {
    /// Genesis of the network to join; without it, the development network whose validator key is public
    #[arg(long, value_name = "FILE", conflicts_with = "new_network")]
    genesis: Option<PathBuf>,
    /// Make a network of your own with this name, and this node its one validator
    #[arg(long, value_name = "NAME")]
    new_network: Option<String>,
    /// Prefix of that network's addresses: 1 to 16 lower-case letters or digits; without it, one made from
    /// the name. An address of one prefix is none on a network of another
    #[arg(long, value_name = "PREFIX", requires = "new_network")]
    address_prefix: Option<String>,
    /// Make a validator key, or take the one that is in the home, and print its public half, for a genesis to name
    #[arg(long, conflicts_with = "new_network")]
    validator: bool,
}

#[derive(serde::Serialize)]
struct Made {
    home: String,
    network: String,
    chain: String,
    validator: Option<String>,
    config: String,
}

pub(super) fn init(args: &InitArgs, terminal: &Terminal) -> Result<(), Failure> {
    let home = home(terminal)?;
    home.check_free()?;
    let genesis = match (&args.genesis, &args.new_network) {
        (Some(path), _) => {
            let genesis = read_genesis(path)?;
            let secret = if args.validator { secret_unless_there(&home)? } else { None };
            home.create(&genesis, secret.as_deref())?;
            genesis
        }
        (None, Some(name)) => {
            let prefix = args.address_prefix.clone().unwrap_or_else(|| prefix_of(name));
            make_network(&home, name, &prefix)?
        }
        (None, None) => {
            let genesis = Genesis::parse(DEVELOPMENT).map_err(Failure::bug)?;
            let secret = match args.validator {
                true => secret_unless_there(&home)?,
                false => Some(Zeroizing::new(development_secret())),
            };
            home.create(&genesis, secret.as_deref())?;
            genesis
        }
    };
    // One that was there before votes, too.
    let public = home.own_key()?.map(|key| key.public_key());
    let (config, _) = write_template::<NodeSettings>("node", terminal.globals())?;
    let made = Made {
        home: home.root().display().to_string(),
        network: genesis.chain_name().into(),
        chain: genesis.chain_id().to_string(),
        validator: public.map(|key| key.to_string()),
        config: config.display().to_string(),
    };
    terminal.say(format_args!("home       {}", made.home));
    terminal.say(format_args!("network    {}  chain {}", made.network, short(&made.chain)));
    terminal.say(format_args!("settings   {}", made.config));
    if let Some(key) = &made.validator {
        terminal.say(format_args!("validator  {key}"));
    }
    if args.genesis.is_none() && args.new_network.is_none() {
        terminal
            .warn("the key of this network's validator is public: for trying things out, and nothing else");
    }
    if let Some(key) = public
        && genesis.validators().find(&key).is_none()
    {
        terminal.warn("the genesis does not name this validator key; the node follows the chain until a change of validators does");
    }
    if home.lacks_votes() {
        terminal.warn(
            "this validator key was here before and stays; its log of votes is not here, and nobody can know what it \
             has signed. If it is in use on another machine, don't start it here",
        );
        terminal.say("next       sealpost-node run --rejoin");
    } else {
        terminal.say("next       sealpost-node run");
    }
    terminal.emit("sealpost/init/1", &made);
    Ok(())
}

/// A new secret for a validator, unless this home has one.
fn secret_unless_there(home: &Home) -> Result<Option<Zeroizing<[u8; 32]>>, Failure> {
    match home.own_key()? {
        Some(_) => Ok(None),
        None => new_secret().map(Some),
    }
}

/// A prefix of a network's own: "seal" and the name, or its beginning and four digits of its hash if it is
/// longer than a prefix may be.
fn prefix_of(name: &str) -> String {
    let plain: String = name.to_lowercase().chars().filter(char::is_ascii_alphanumeric).collect();
    let hash = tagged(Tag::Development, &[name.as_bytes()]);
    let mark: String = hash.iter().take(2).map(|byte| format!("{byte:02x}")).collect();
    match plain.len() {
        1..=12 => format!("seal{plain}"),
        _ => format!("seal{}{mark}", plain.chars().take(8).collect::<String>()),
    }
}

/// Bytes that nobody can foresee.
pub(super) fn random() -> Result<Zeroizing<[u8; 32]>, Failure> {
    let mut bytes = Zeroizing::new([0_u8; 32]);
    getrandom::fill(bytes.as_mut())
        .map_err(|error| Failure::unavailable("system.randomness", format_args!("no randomness: {error}")))?;
    Ok(bytes)
}

/// A new random validator secret.
pub(super) fn new_secret() -> Result<Zeroizing<[u8; 32]>, Failure> {
    loop {
        let secret = random()?;
        // All but one in 2^128 numbers are keys.
        if SigningKey::from_bytes(&secret).is_ok() {
            return Ok(secret);
        }
    }
}

/// The secret behind [`SigningKey::development`], which keeps it to itself.
fn development_secret() -> [u8; 32] {
    tagged(Tag::Development, &[DEVELOPMENT_VALIDATOR.as_bytes()])
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use sealpost_ledger::address::AddressPrefix;

    #[test]
    fn networks_of_different_names_have_different_prefixes() {
        let names = ["world", "other", "housing-north-1", "housing-north-2", "-", "w"];
        let prefixes: std::collections::BTreeSet<_> = names.map(prefix_of).into_iter().collect();
        assert_eq!(prefixes.len(), names.len(), "{prefixes:?}");
        for prefix in &prefixes {
            assert!(AddressPrefix::new(prefix).is_ok() && prefix != "seal", "{prefix}");
        }
    }
}
