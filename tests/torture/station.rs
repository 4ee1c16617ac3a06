//! A network of one validator, whose node is started, killed and asked, and the messages that it has reported final.

use jsonrpsee::http_client::{HttpClient, HttpClientBuilder};
use sealpost_api::{SealpostRpcClient, TransactionStatus, WaitFor};
use sealpost_ledger::genesis::Genesis;
use sealpost_ledger::hash::TransactionId;
use sealpost_ledger::height::BlockHeight;
use sealpost_tests::harness::load::Messages;
use sealpost_tests::{Server, Starting, json, last_lines, node_command, run};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::Notify;
use tokio::task::JoinSet;
use tokio::time::MissedTickBehavior;

/// Messages under way at once.
const AT_ONCE: usize = 8;
/// Far enough ahead for any of these networks.
const EXPIRY: BlockHeight = BlockHeight::new(50_000);
/// A node that lives answers in that time, and has some messages final; on a busy machine, and under strace.
const ANSWER_WITHIN: Duration = Duration::from_secs(240);
/// A request that a dead node has is broken off at once; one to a node that stands still waits for it.
const REQUEST_WITHIN: Duration = Duration::from_secs(1_200);
/// Patience is counted in steps of that length.
const STEP: Duration = Duration::from_millis(100);
/// The last answers that are asked for again after each blow; all of them are at the end.
const AGAIN: usize = 200;
/// Lines of a log that are shown.
const LAST_LINES: usize = 12;

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
        Self::with_rules(home, |_| {})
    }
    /// The same, with other rules.
    pub(crate) fn with_rules(home: &Path, change: impl FnOnce(&mut serde_json::Value)) -> Self {
        json("sealpost-node", home, &["init", "--new-network", "tortured"]);
        let path = home.join("node/genesis.json");
        let text = std::fs::read_to_string(&path).expect("a genesis");
        let mut rules: serde_json::Value = serde_json::from_str(&text).expect("JSON");
        // Messages cost nothing: it is not the price that is tested.
        rules["postage"]["floor"] = 0.into();
        rules["postage"]["strangers_percent"] = 100.into();
        rules["timing"]["block_interval_ms"] = 0.into();
        change(&mut rules);
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
        Server::launch(self.command(args), &self.log())
    }
    /// The node with these arguments, as a command.
    pub(crate) fn command(&self, args: &[&str]) -> Command {
        node_command(&self.home, "/ip4/127.0.0.1/tcp/0", args)
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
        let waited = within(ANSWER_WITHIN, wait).await;
        waited.ok_or_else(|| format!("no {more} messages became final within {ANSWER_WITHIN:?}"))
    }
    /// Whether the node still has the newest of what was promised.
    pub(crate) async fn keeps_newest(&self, node: &Server) -> Result<(), String> {
        let promised = self.promised();
        self.keeps(node, promised.get(promised.len().saturating_sub(AGAIN)..).unwrap_or_default()).await
    }
    /// Whether it has all of it.
    pub(crate) async fn keeps_all(&self, node: &Server) -> Result<(), String> {
        self.keeps(node, &self.promised()).await
    }
    async fn keeps(&self, node: &Server, ids: &[TransactionId]) -> Result<(), String> {
        let client = client(node);
        for id in ids {
            match client.tx_status(*id).await {
                Ok(TransactionStatus::Final(_)) => {}
                Ok(other) => return Err(format!("{id} was reported final and is lost: {other:?}")),
                Err(error) => {
                    return Err(format!("whether {id} is there is not told: {error}\n{}", self.last_said()));
                }
            }
        }
        Ok(())
    }
    /// The last lines of the node's log.
    pub(crate) fn last_said(&self) -> String {
        last_lines(&std::fs::read_to_string(self.log()).unwrap_or_default(), LAST_LINES)
    }
    /// Whether all of it is there, and `check` finds the ledger sound.
    pub(crate) async fn keeps_all_and_is_sound(&self) -> Result<(), String> {
        let node = self.start()?;
        self.keeps_all(&node).await?;
        node.stop();
        self.check()
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

/// Waits until a node ends by itself, for a bounded time.
pub(crate) async fn end_of(node: &mut Server, patience: Duration) -> Option<ExitStatus> {
    let ended = async {
        loop {
            if let Some(status) = node.ended() {
                return status;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    within(patience, ended).await
}

/// Waits for something for a bounded time, in which this process ran: if all of it stood still meanwhile, nothing is late.
async fn within<T>(patience: Duration, something: impl Future<Output = T>) -> Option<T> {
    let mut steps = tokio::time::interval(STEP);
    steps.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut left = patience.as_millis() / STEP.as_millis();
    let mut something = std::pin::pin!(something);
    loop {
        tokio::select! {
            found = &mut something => return Some(found),
            _ = steps.tick() => left = left.checked_sub(1)?,
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
    let client = HttpClientBuilder::default().request_timeout(REQUEST_WITHIN).build(node.said("rpc"));
    client.expect("a URL")
}
