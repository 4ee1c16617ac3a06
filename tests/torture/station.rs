//! A network of one validator, whose node is started, killed and asked, and the messages that it has reported final.

use jsonrpsee::http_client::{HttpClient, HttpClientBuilder};
use sealpost_api::{SealpostRpcClient, TransactionStatus, WaitFor};
use sealpost_ledger::genesis::Genesis;
use sealpost_ledger::hash::TransactionId;
use sealpost_ledger::height::BlockHeight;
use sealpost_tests::harness::load::Messages;
use sealpost_tests::{Server, Starting, json, run};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::Notify;
use tokio::task::JoinSet;

/// Messages under way at once.
const AT_ONCE: usize = 8;
/// Far enough ahead for any of these networks.
const EXPIRY: BlockHeight = BlockHeight::new(50_000);
/// A node that lives answers in that time.
const ANSWER_WITHIN: Duration = Duration::from_secs(30);
/// The last answers that are asked for again after each blow; all of them are at the end.
const AGAIN: usize = 200;

/// The home of a node, and what the node has promised.
pub(crate) struct Station {
    home: PathBuf,
    messages: Arc<Messages>,
    /// Reported final, in that order.
    promised: Arc<Mutex<Vec<TransactionId>>>,
    /// Told of each.
    fresh: Arc<Notify>,
}

/// Messages on their way to a node, until it dies or they are stopped.
pub(crate) struct Traffic(JoinSet<()>);

impl Station {
    /// Makes a network of one validator in a new folder.
    pub(crate) fn new(home: &Path) -> Self {
        json("sealpost-node", home, &["init", "--new-network", "tortured"]);
        let path = home.join("node/genesis.json");
        let text = std::fs::read_to_string(&path).expect("a genesis");
        let mut rules: serde_json::Value = serde_json::from_str(&text).expect("JSON");
        // Messages cost nothing: it is not the price that is tested.
        rules["postage"]["floor"] = 0.into();
        rules["postage"]["strangers_percent"] = 100.into();
        rules["timing"]["block_interval_ms"] = 0.into();
        std::fs::write(&path, rules.to_string()).expect("written");
        Self::of(home)
    }
    /// A home that is there.
    fn of(home: &Path) -> Self {
        let genesis = std::fs::read(home.join("node/genesis.json")).expect("a genesis");
        let genesis = Genesis::parse(&genesis).expect("a sound genesis");
        let messages = Arc::new(Messages::new(genesis));
        Self { home: home.to_owned(), messages, promised: Arc::default(), fresh: Arc::default() }
    }
    pub(crate) fn home(&self) -> &Path {
        &self.home
    }
    /// Where the node's log goes: beside the home, which may lie on a disk without room.
    pub(crate) fn log(&self) -> PathBuf {
        self.home.with_extension("log")
    }
    /// The same promises, to be asked of a copy of the home.
    pub(crate) fn copied_to(&self, home: &Path) -> Self {
        let promised = Arc::new(Mutex::new(self.promised()));
        Self { home: home.to_owned(), messages: self.messages.clone(), promised, fresh: Arc::default() }
    }
    /// What was reported final so far.
    pub(crate) fn promised(&self) -> Vec<TransactionId> {
        self.promised.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
    /// Starts the node, or says why it does not start.
    pub(crate) fn start(&self) -> Result<Server, String> {
        self.launch(&["--p2p", "off"]).ready_or()
    }
    /// Starts the node with these arguments, and does not wait.
    pub(crate) fn launch(&self, args: &[&str]) -> Starting {
        Server::launch_node(&self.home, args, &self.log())
    }
    /// Sends messages one after another, some at once, until the node answers no more.
    pub(crate) fn traffic(&self, node: &Server) -> Traffic {
        self.long_traffic(node, 0)
    }
    /// The same with so many more bytes in each.
    pub(crate) fn long_traffic(&self, node: &Server, bytes: usize) -> Traffic {
        let mut sending = JoinSet::new();
        for _ in 0..AT_ONCE {
            let (client, messages, promised) = (client(node), self.messages.clone(), self.promised.clone());
            let fresh = self.fresh.clone();
            sending.spawn(async move {
                loop {
                    let message = messages.make_long(EXPIRY, bytes);
                    let (transaction, body) = (message.transaction, Some(message.body));
                    match client.tx_submit(transaction, body, Some(WaitFor::Final)).await {
                        Ok(submitted) if matches!(submitted.status, TransactionStatus::Final(_)) => {
                            promised.lock().unwrap_or_else(PoisonError::into_inner).push(message.id);
                            fresh.notify_one();
                        }
                        _ => return,
                    }
                }
            });
        }
        Traffic(sending)
    }
    /// Waits until so many more messages were reported final than there were.
    pub(crate) async fn promises(&self, before: usize, more: usize) -> Result<(), String> {
        let wait = async {
            while self.promised().len() < before + more {
                self.fresh.notified().await;
            }
        };
        let waited = tokio::time::timeout(ANSWER_WITHIN, wait).await;
        waited.map_err(|_| format!("no {more} messages became final within {ANSWER_WITHIN:?}"))
    }
    /// Whether the node still has the newest of what was promised.
    pub(crate) async fn keeps_newest(&self, node: &Server) -> Result<(), String> {
        let promised = self.promised();
        keeps(node, promised.get(promised.len().saturating_sub(AGAIN)..).unwrap_or_default()).await
    }
    /// Whether it has all of it.
    pub(crate) async fn keeps_all(&self, node: &Server) -> Result<(), String> {
        keeps(node, &self.promised()).await
    }
    /// `sealpost-node check` of a home whose node does not run: nothing, or what it says.
    pub(crate) fn check(&self) -> Result<(), String> {
        let output = run("sealpost-node", &self.home, &["check", "--json"]);
        match output.status.success() {
            true => Ok(()),
            false => Err(String::from_utf8_lossy(&output.stderr).into_owned()),
        }
    }
}

impl Traffic {
    /// Waits for the end of all of it: the node has died.
    pub(crate) async fn ended(mut self) {
        while self.0.join_next().await.is_some() {}
    }
    /// Sends no more.
    pub(crate) async fn stop(mut self) {
        self.0.shutdown().await;
    }
}

fn client(node: &Server) -> HttpClient {
    let client = HttpClientBuilder::default().request_timeout(ANSWER_WITHIN).build(node.said("rpc"));
    client.expect("a URL")
}

async fn keeps(node: &Server, ids: &[TransactionId]) -> Result<(), String> {
    let client = client(node);
    for id in ids {
        match client.tx_status(*id).await {
            Ok(TransactionStatus::Final(_)) => {}
            other => return Err(format!("{id} was reported final and is lost: {other:?}")),
        }
    }
    Ok(())
}
