//! `peers`: who a running node is connected to, and the identity by which others know this one.

use super::asking::NodeArgs;
use super::{home, runtime};
use clap::Subcommand;
use sealpost_api::{PeerView, SealpostRpcClient};
use sealpost_terminal::{Failure, Terminal, printable};

#[derive(Debug, Subcommand)]
pub(super) enum PeersCommand {
    /// Print who a running node is connected to
    List(NodeArgs),
    /// Print the network identity of the node in the home folder, for others' settings
    Id,
}

#[derive(serde::Serialize)]
struct Listed {
    peers: Vec<PeerView>,
}

#[derive(serde::Serialize)]
struct Identity {
    peer: String,
}

pub(super) fn peers(command: &PeersCommand, terminal: &Terminal) -> Result<(), Failure> {
    match command {
        PeersCommand::List(args) => list(args, terminal),
        PeersCommand::Id => {
            let home = home(terminal)?;
            // Fails if no node lives here; asking must not make an identity.
            home.genesis()?;
            let peer = home.identity()?.public().to_peer_id().to_string();
            terminal.say(&peer);
            terminal.emit("sealpost/peers-id/1", &Identity { peer });
            Ok(())
        }
    }
}

fn list(args: &NodeArgs, terminal: &Terminal) -> Result<(), Failure> {
    let asked = args.connect(terminal)?;
    let peers = runtime()?.block_on(asked.client.node_peers()).map_err(|error| asked.failure(&error))?;
    for peer in &peers {
        let way = if peer.incoming { "in " } else { "out" };
        let height = peer.height.map_or("block ?".to_owned(), |height| format!("block {height}"));
        let agent = printable(peer.agent.as_deref().unwrap_or("?"));
        terminal.say(format_args!(
            "{way}  {}  {}  {height}  {agent}  {} s  faults {}",
            printable(&peer.peer),
            printable(&peer.address),
            peer.seconds,
            peer.faults
        ));
    }
    if peers.is_empty() {
        terminal.say("nobody is connected");
    }
    terminal.emit("sealpost/peers-list/1", &Listed { peers });
    Ok(())
}
