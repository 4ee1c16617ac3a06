//! For the fuzzer: whether settings can be started with.

use super::run::{gossip, rpc};
use crate::config::NodeSettings;
use libp2p::identity::Keypair;

pub(crate) fn is_usable(settings: &NodeSettings) -> bool {
    let identity = Keypair::ed25519_from_bytes([1; 32]);
    rpc(&settings.rpc).is_ok() && identity.is_ok_and(|identity| gossip(&settings.p2p, identity).is_ok())
}
