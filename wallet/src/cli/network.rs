//! `network`: the networks known here.

use super::Session;
use crate::failure;
use crate::profile::Profile;
use clap::Subcommand;
use sealpost_terminal::{Failure, short};

#[derive(Debug, Clone, Subcommand)]
pub(super) enum NetworkCommand {
    /// Make the network of `--genesis` known, and the node of `--node` the one to ask
    Add,
    /// List the networks
    List,
    /// Show a network
    Show,
}

#[derive(serde::Serialize)]
struct Entry {
    network: String,
    chain: String,
    node: Option<String>,
    prefix: String,
    validators: usize,
}

#[derive(serde::Serialize)]
struct Listed {
    networks: Vec<Entry>,
}

fn entry(profile: &Profile) -> Entry {
    let genesis = profile.genesis();
    Entry {
        network: genesis.chain_name().into(),
        chain: genesis.chain_id().to_string(),
        node: profile.node(),
        prefix: genesis.prefix().as_str().into(),
        validators: genesis.validators().count(),
    }
}

fn print(session: &Session<'_>, entry: &Entry) {
    let node = entry.node.as_deref().unwrap_or("no node saved");
    session.terminal.say(format_args!("{:<16} chain {}  {node}", entry.network, short(&entry.chain)));
}

pub(super) fn network(command: &NetworkCommand, session: &Session<'_>) -> Result<(), Failure> {
    let terminal = session.terminal;
    match command {
        NetworkCommand::Add => {
            if session.genesis.is_none() {
                return Err(Failure::usage("network add: --genesis FILE is missing")
                    .help("get genesis.json from somebody you trust: everything is checked against it"));
            }
            let profile = session.profile()?;
            if let Some(node) = &session.settings.node {
                profile.set_node(node).map_err(failure)?;
            }
            let entry = entry(&profile);
            print(session, &entry);
            terminal.emit("sealpost/network-add/1", &entry);
        }
        NetworkCommand::List => {
            let home = session.home()?;
            let mut networks = Vec::new();
            for name in Profile::list(&home) {
                networks.push(entry(&Profile::open(&home, &name).map_err(failure)?));
            }
            networks.iter().for_each(|entry| print(session, entry));
            terminal.emit("sealpost/network-list/1", &Listed { networks });
        }
        NetworkCommand::Show => {
            let entry = entry(&session.profile()?);
            print(session, &entry);
            terminal.emit("sealpost/network-show/1", &entry);
        }
    }
    Ok(())
}
