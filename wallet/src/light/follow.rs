//! Following a mailbox: what concerns an address, as it becomes final, each entry verified.

use super::node::Node;
use super::{Light, LightError, Proven};
use jsonrpsee::core::client::Subscription;
use jsonrpsee::ws_client::{PingConfig, WsClient, WsClientBuilder};
use sealpost_api::{FinalTransaction, SealpostRpcClient};
use sealpost_ledger::address::Address;
use sealpost_ledger::height::BlockHeight;

/// A running subscription.
#[derive(Debug)]
pub struct Following {
    entries: Subscription<FinalTransaction>,
    /// The node that tells them.
    url: String,
    // The subscription lives as long as its connection.
    _client: WsClient,
}

impl Light {
    /// Follows what concerns an address, from a height on, at the first node that lets it.
    pub async fn follow(&self, address: &Address, from: BlockHeight) -> Result<Following, LightError> {
        self.through(|node| node.follow(address, from)).await
    }
}

impl Node {
    async fn follow(&self, address: &Address, from: BlockHeight) -> Result<Following, LightError> {
        let url = self.url().replacen("http", "ws", 1);
        let unreachable = |error: jsonrpsee::core::ClientError| LightError::Unreachable {
            url: url.clone(),
            reason: error.to_string(),
        };
        // Pings, so that a node that vanished without a word is missed.
        let builder = WsClientBuilder::default().enable_ws_ping(PingConfig::new());
        let client = builder.build(&url).await.map_err(unreachable)?;
        let address = address.to_text(self.genesis().prefix());
        let entries = client.mailbox_subscribe(address, Some(from)).await.map_err(unreachable)?;
        Ok(Following { entries, url: self.url().into(), _client: client })
    }
}

impl Following {
    /// The next entry; nothing when the node ends the subscription.
    pub async fn next(&mut self, light: &Light) -> Result<Option<Proven>, LightError> {
        let told_by = |node: &&Node| node.url() == self.url;
        let Some(node) = light.in_order().into_iter().find(told_by) else { return Ok(None) };
        match self.entries.next().await {
            None => Ok(None),
            Some(Ok(found)) => match node.verify_final(&found).await {
                Err(error) if error.is_contradiction() => Err(light.keep(error).await),
                verified => verified.map(Some),
            },
            Some(Err(error)) => Err(node.untrusted("a new entry", error)),
        }
    }
}
