//! `config check`: what `run` would say of the settings, without a home and without starting anything.

use super::run::{RPC_LISTEN, gossip, parse, rpc, validator_peers};
use crate::config::NodeSettings;
use libp2p::Multiaddr;
use libp2p::identity::Keypair;
use sealpost_terminal::Failure;
use std::net::SocketAddr;

/// Parses every setting as `run` does.
pub(super) fn check(settings: &NodeSettings) -> Result<(), Failure> {
    parse::<SocketAddr>(RPC_LISTEN, &settings.rpc.listen)?;
    rpc(&settings.rpc)?;
    if settings.metrics != "off" {
        parse::<SocketAddr>("metrics", &settings.metrics)?;
    }
    parse::<Multiaddr>("consensus.listen", &settings.consensus.listen)?;
    validator_peers(settings)?;
    // Any identity will do: the addresses are what is looked at.
    gossip(&settings.p2p, Keypair::generate_ed25519()).map(drop)
}
