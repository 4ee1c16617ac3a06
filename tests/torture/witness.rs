//! A second validator with next to no power: it decides nothing, hears what the first one says, and keeps the proof of
//! whatever that signs twice.

use crate::station::Station;
use jsonrpsee::http_client::HttpClientBuilder;
use sealpost_api::SealpostRpcClient;
use sealpost_tests::{Server, json, node_command};
use std::net::TcpListener;
use std::path::Path;

/// Power of the validator that is tortured; the witness has 1.
const POWER: u64 = 100;

/// A validator that only listens.
pub(crate) struct Witness {
    node: Server,
    /// Where the tortured node finds it.
    address: String,
}

impl Witness {
    /// A new network of a validator and its witness, which runs.
    pub(crate) fn beside(folder: &Path) -> Result<(Station, Self), String> {
        let (home, own) = (folder.join("home"), folder.join("witness"));
        let mut rules = serde_json::Value::Null;
        let station = Station::with_rules(&home, |given| {
            let genesis = folder.join("genesis.json");
            std::fs::write(&genesis, given.to_string()).expect("written");
            let genesis = genesis.display().to_string();
            let made = json("sealpost-node", &own, &["init", "--validator", "--genesis", &genesis]);
            given["validators"][0]["power"] = POWER.into();
            let witness =
                serde_json::json!({ "name": "witness", "public_key": made["validator"], "power": 1 });
            given["validators"].as_array_mut().expect("a list").push(witness);
            rules = given.clone();
        });
        std::fs::write(own.join("node/genesis.json"), rules.to_string()).expect("written");
        let peer = json("sealpost-node", &own, &["peers", "id"]);
        // Free now; if somebody else takes it first, the start says so.
        let port = TcpListener::bind("127.0.0.1:0").and_then(|free| free.local_addr());
        let mesh = format!("/ip4/127.0.0.1/tcp/{}", port.map_err(|error| error.to_string())?.port());
        let command = node_command(&own, &mesh, &["--p2p", "off"]);
        let node = Server::launch(command, &folder.join("witness.log")).ready_or()?;
        let address = format!("{mesh}/p2p/{}", peer["peer"].as_str().unwrap_or_default());
        Ok((station, Self { node, address }))
    }
    /// What the tortured node is started with.
    pub(crate) fn arguments(&self) -> [&str; 4] {
        ["--p2p", "off", "--peer", &self.address]
    }
    /// Whether it has seen nothing signed twice.
    pub(crate) async fn saw_no_double_vote(&self) -> Result<(), String> {
        let client = HttpClientBuilder::default().build(self.node.said("rpc")).map_err(|e| e.to_string())?;
        let page = client.chain_equivocations(None, None).await.map_err(|error| error.to_string())?;
        match page.entries.len() {
            0 => Ok(()),
            proofs => Err(format!("the node signed twice: the witness has {proofs} proofs")),
        }
    }
}
