//! `network`: the networks known here.

use super::contradictions::{ContradictionsArgs, contradictions};
use super::nodes::NodeList;
use super::{Session, read_genesis, runtime};
use crate::failure;
use crate::light::{HeadFile, Light, LightError, MAX_NODES};
use crate::profile::Profile;
use clap::Subcommand;
use sealpost_ledger::genesis::Genesis;
use sealpost_terminal::{Failure, check_url, short};
use std::sync::Arc;

#[derive(Debug, Clone, Subcommand)]
pub(super) enum NetworkCommand {
    /// Make the network of `--genesis` known, and the nodes of `--node` those to ask
    #[command(after_help = "Example:
  sealpost network add --genesis genesis.json --node http://127.0.0.1:17325 --node https://node.example")]
    Add,
    /// List the networks
    List,
    /// Show a network
    Show,
    /// List the proofs that a network contradicted itself, or check one
    Contradictions(ContradictionsArgs),
}

#[derive(serde::Serialize)]
struct Entry {
    network: String,
    chain: String,
    node: Option<String>,
    nodes: Vec<String>,
    prefix: String,
    validators: usize,
}

#[derive(serde::Serialize)]
struct Listed {
    networks: Vec<Entry>,
}

fn entry(profile: &Profile) -> Entry {
    let (genesis, nodes) = (profile.genesis(), profile.nodes());
    Entry {
        network: genesis.chain_name().into(),
        chain: genesis.chain_id().to_string(),
        node: nodes.first().cloned(),
        nodes,
        prefix: genesis.prefix().as_str().into(),
        validators: genesis.validators().count(),
    }
}

fn print(session: &Session<'_>, entry: &Entry) {
    let node = if entry.nodes.is_empty() { "no node saved".into() } else { entry.nodes.join(", ") };
    session.terminal.say(format_args!("{:<16} chain {}  {node}", entry.network, short(&entry.chain)));
}

/// A node of another network is not saved for this one. One that does not answer now may do so later.
fn check_node(session: &Session<'_>, node: &str, genesis: &Arc<Genesis>) -> Result<(), Failure> {
    check_url("node", node)?;
    let asked = runtime()?.block_on(Light::connect(node, genesis.clone(), HeadFile::in_memory()));
    match asked {
        Ok(_) => Ok(()),
        Err(error @ (LightError::OtherChain { .. } | LightError::Untrusted { .. })) => Err(failure(error)),
        Err(error) => {
            session.terminal.warn(format_args!("not checked whether that node is of this network: {error}"));
            Ok(())
        }
    }
}

pub(super) fn network(command: &NetworkCommand, session: &Session<'_>) -> Result<(), Failure> {
    let terminal = session.terminal;
    match command {
        NetworkCommand::Add => {
            let Some(path) = &session.genesis else {
                return Err(Failure::usage("network add: --genesis FILE is missing")
                    .help("get genesis.json from somebody you trust: everything is checked against it"));
            };
            let genesis = read_genesis(path)?;
            let nodes = session.settings.node.as_ref().map_or(&[][..], NodeList::urls);
            if nodes.len() > MAX_NODES {
                return Err(failure(LightError::TooManyNodes { given: nodes.len() }));
            }
            for node in nodes {
                check_node(session, node, &genesis)?;
            }
            let profile = Profile::create(&session.home()?, genesis).map_err(failure)?;
            if !nodes.is_empty() {
                let before = profile.nodes();
                profile.set_nodes(nodes).map_err(failure)?;
                if !before.is_empty() && before != nodes {
                    let (before, now) = (before.join(", "), nodes.join(", "));
                    terminal.note(format_args!("its node was {before}; from now on it is {now}"));
                }
            }
            let entry = entry(&profile);
            print(session, &entry);
            terminal.emit("sealpost/network-add/1", &entry);
        }
        NetworkCommand::List => {
            let home = session.home()?;
            let mut networks = Vec::new();
            for name in Profile::list(&home).map_err(failure)? {
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
        NetworkCommand::Contradictions(args) => contradictions(args, session)?,
    }
    Ok(())
}
