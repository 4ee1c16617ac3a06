//! A peer that shares no code with ours: js-libp2p with its gossipsub (`tests/interop/libp2p_peer.mjs`). It gets
//! what others get, what it publishes counts as what others publish, and when it sends garbage it is banned as
//! others are. `tests/run` installs it and names it in `SEALPOST_TEST_NODE_MODULES`; where it is absent the test
//! says so, and where `SEALPOST_REQUIRE_INTEROP` or `CI` is set it fails.

use crate::interop::{absent, script};
use jsonrpsee::ws_client::WsClientBuilder;
use sealpost_api::{SealpostRpcClient, TransactionStatus, WaitFor};
use sealpost_ledger::hash::{ChainId, TransactionId};
use sealpost_ledger::height::BlockHeight;
use sealpost_node::wire::{Announcement, TransactionBatch};
use sealpost_tests::harness::hostile::{Topic, garbage};
use sealpost_tests::harness::load::{Message, Messages, probe};
use sealpost_tests::harness::network::{Network, NetworkOptions, Place};
use serde_json::{Value, json};
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc;
use std::time::{Duration, Instant};

const SOON: Duration = Duration::from_secs(20);
const VALIDATOR: usize = 0;
const FULL_NODE: usize = 1;

/// The peer's process. It ends when it is dropped.
struct Foreign {
    process: Child,
    commands: ChildStdin,
    events: mpsc::Receiver<Value>,
    // What was said while something else was waited for.
    earlier: Vec<Value>,
    id: String,
    _folder: tempfile::TempDir,
}

impl Foreign {
    fn start(modules: &Path, node: &str, chain: ChainId) -> Self {
        // Modules are looked for beside the script, whatever the environment says.
        let folder = tempfile::tempdir().unwrap();
        std::os::unix::fs::symlink(modules, folder.path().join("node_modules")).unwrap();
        let script = std::fs::copy(script("libp2p_peer.mjs"), folder.path().join("libp2p_peer.mjs"))
            .map(|_| folder.path().join("libp2p_peer.mjs"));
        let topics = [Topic::Transactions, Topic::Blocks].map(|topic| topic.name(chain));
        let options =
            json!({ "address": node, "protocol": format!("/sealpost/{chain}/1"), "topics": topics });
        let mut command = Command::new("node");
        command.arg(script.unwrap()).arg(options.to_string()).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut process = command.spawn().unwrap();
        let (commands, out) = (process.stdin.take().unwrap(), process.stdout.take().unwrap());
        let (tell, events) = mpsc::channel();
        std::thread::spawn(move || {
            for line in BufReader::new(out).lines().map_while(Result::ok) {
                let event = serde_json::from_str(&line).unwrap_or_else(|_| json!({ "said": line }));
                if tell.send(event).is_err() {
                    return;
                }
            }
        });
        let (earlier, id) = (Vec::new(), String::new());
        let mut peer = Self { process, commands, events, earlier, id, _folder: folder };
        let ready = peer.says("ready", |_| true);
        peer.id = ready["peer"].as_str().unwrap().to_owned();
        peer
    }
    fn tell(&mut self, command: &Value) {
        writeln!(self.commands, "{command}").unwrap();
    }
    /// Waits for an event, or takes it from what was said earlier.
    fn says(&mut self, event: &str, fits: impl Fn(&Value) -> bool) -> Value {
        let said = self.says_within(event, SOON, fits);
        said.unwrap_or_else(|| panic!("the foreign peer has not said {event:?} but {:?}", self.earlier))
    }
    fn says_within(&mut self, event: &str, within: Duration, fits: impl Fn(&Value) -> bool) -> Option<Value> {
        let wanted = |said: &Value| said["event"] == event && fits(said);
        if let Some(at) = self.earlier.iter().position(wanted) {
            return Some(self.earlier.remove(at));
        }
        let until = Instant::now() + within;
        while let Ok(said) = self.events.recv_timeout(until.saturating_duration_since(Instant::now())) {
            if wanted(&said) {
                return Some(said);
            }
            self.earlier.push(said);
        }
        None
    }
    /// Whether it gets in: the node takes its connection and answers its ping.
    fn dial(&mut self) -> Result<(), String> {
        self.tell(&json!({ "do": "dial" }));
        let outcome = self.says("dialled", |_| true);
        if outcome["ok"] == true { Ok(()) } else { Err(outcome["reason"].to_string()) }
    }
    fn publish(&mut self, topic: &str, data: &[u8]) -> Value {
        self.tell(&json!({ "do": "publish", "topic": topic, "data": const_hex::encode(data) }));
        self.says("published", |_| true)
    }
    /// The bytes of the next message of a topic that fit.
    fn hears(&mut self, topic: &str, fits: impl Fn(&[u8]) -> bool) -> Vec<u8> {
        let bytes = |said: &Value| const_hex::decode(said["data"].as_str().unwrap()).unwrap();
        bytes(&self.says("message", |said| said["topic"] == topic && fits(&bytes(said))))
    }
}

impl Drop for Foreign {
    fn drop(&mut self) {
        // Fails if it has ended already.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// Waits until a transaction is final at a node that was not told of it by RPC.
async fn becomes_final(network: &Network, member: usize, id: TransactionId) {
    let url = network.said(member, "rpc").replacen("http", "ws", 1);
    let wait = async {
        let client = WsClientBuilder::default().build(&url).await.unwrap();
        let mut statuses = client.tx_subscribe_status(id).await.unwrap();
        while let Some(status) = statuses.next().await {
            if matches!(status.unwrap(), TransactionStatus::Final(_)) {
                return;
            }
        }
        panic!("{} tells no more of {id}", network.name(member));
    };
    tokio::time::timeout(SOON, wait).await.expect("what the foreign peer published is not final");
}

/// Where js-libp2p is, if it is installed.
fn modules() -> Option<PathBuf> {
    let modules = std::env::var_os("SEALPOST_TEST_NODE_MODULES").map(PathBuf::from);
    modules.filter(|modules| modules.join("@libp2p/gossipsub").exists())
}

fn network(name: &str) -> Network {
    let (name, place) = (name.to_owned(), Place::Loopback);
    Network::start(&NetworkOptions { name, validators: 1, full_nodes: 1, place, heartbeat_ms: Some(1000) })
}

async fn is_listed(network: &Network, member: usize, peer: &str) -> bool {
    network.client(member).node_peers().await.unwrap().iter().any(|view| view.peer == peer)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_peer_made_of_other_peoples_parts_hears_tells_and_is_banned_like_any_other() {
    let Some(modules) = modules() else { return absent("js-libp2p") };
    let network = network("foreign");
    let (chain, messages) = (network.genesis().chain_id(), Messages::new(network.genesis().clone()));
    let [transactions, blocks] = [Topic::Transactions, Topic::Blocks].map(|topic| topic.name(chain));
    let mut peer = Foreign::start(&modules, &network.said(FULL_NODE, "p2p"), chain);

    peer.dial().expect("it gets in");
    for topic in [&transactions, &blocks] {
        peer.says("subscribed", |said| said["topic"] == **topic);
    }
    assert!(is_listed(&network, FULL_NODE, &peer.id).await);

    // A message that is told before the meshes stand goes past a newcomer, who has no way to ask for it: one of
    // the first arrives, and from then on each.
    let mut first = None;
    for _ in 0..10 {
        let message = messages.make(BlockHeight::new(1000));
        let (transaction, body) = (message.transaction.clone(), Some(message.body.clone()));
        network.client(VALIDATOR).tx_submit(transaction, body, Some(WaitFor::Final)).await.unwrap();
        first = peer.says_within("message", Duration::from_secs(3), |said| said["topic"] == *transactions);
        if first.is_some() {
            break;
        }
    }
    assert!(first.is_some(), "none of the first messages has reached it");

    // What is submitted elsewhere reaches it, to the byte, and so does the block.
    let message = messages.make(BlockHeight::new(1000));
    let (transaction, body) = (message.transaction.clone(), message.body.clone());
    let submitted = network.client(VALIDATOR).tx_submit(transaction, Some(body), Some(WaitFor::Final)).await;
    let TransactionStatus::Final(place) = submitted.unwrap().status else { panic!("not final") };
    let limit = TransactionBatch::max_bytes(network.genesis().limits().body_bytes);
    let heard = peer.hears(&transactions, |bytes| bytes == message.gossiped());
    let heard = TransactionBatch::from_bytes(&heard, limit).unwrap().into_transactions();
    assert_eq!(heard.len(), 1);
    assert_eq!(heard[0].transaction.id(), message.id);
    assert_eq!(heard[0].body.as_ref().unwrap().as_bytes(), message.body.as_bytes());
    let at = |bytes: &[u8]| Announcement::from_bytes(bytes).map(|told| told.header.height);
    peer.hears(&blocks, |bytes| at(bytes).unwrap() == place.height);

    // What it tells the full node becomes final at the validator.
    let message = messages.make(BlockHeight::new(1000));
    let published = peer.publish(&transactions, &message.gossiped());
    assert!(published["recipients"].as_u64().is_some_and(|count| count > 0), "{published}");
    becomes_final(&network, VALIDATOR, message.id).await;

    // And so it is with many in a message, one of which has no business there any more.
    let mut many: Vec<Message> = (0..20).map(|_| messages.make(BlockHeight::new(1000))).collect();
    many.insert(7, messages.make(BlockHeight::new(1)));
    for data in Message::gossiped_together(&many) {
        peer.publish(&transactions, &data);
    }
    for message in many.iter().enumerate().filter(|(place, _)| *place != 7).map(|(_, message)| message) {
        becomes_final(&network, VALIDATOR, message.id).await;
    }
    assert_eq!(network.metric(FULL_NODE, "sealpost_peer_faults_total"), 0.0, "it was blamed for nothing");

    // Garbage costs it its place, and the node does not take it back.
    for number in 0..10 {
        peer.publish(if number % 2 == 0 { &transactions } else { &blocks }, &garbage(300));
    }
    peer.says("disconnected", |_| true);
    for _ in 0..3 {
        let refused = peer.dial().expect_err("the node lets it in again");
        assert!(!is_listed(&network, FULL_NODE, &peer.id).await, "listed after {refused}");
    }
    assert_eq!(network.metric(FULL_NODE, "sealpost_peer_bans_total"), 1.0);
    assert!(network.metric(FULL_NODE, "sealpost_peer_faults_total{fault=\"malformed\"}") >= 4.0);
    for member in network.all() {
        probe(network.client(member), &messages, SOON).await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_peer_that_is_stopped_and_reads_nothing_more_loses_its_place_and_costs_nothing() {
    let Some(modules) = modules() else { return absent("js-libp2p") };
    let network = network("stopped");
    let (chain, messages) = (network.genesis().chain_id(), Messages::new(network.genesis().clone()));
    let mut peer = Foreign::start(&modules, &network.said(FULL_NODE, "p2p"), chain);
    peer.dial().expect("it gets in");
    let transactions = Topic::Transactions.name(chain);
    peer.says("subscribed", |said| said["topic"] == *transactions);
    // From now on what it is told stays in the kernel, until that is full.
    let stopped = Command::new("kill").args(["-STOP", &peer.process.id().to_string()]).status();
    assert!(stopped.unwrap().success());
    for _ in 0..100 {
        let message = messages.make_long(BlockHeight::new(1000), 40_000);
        let (transaction, body) = (message.transaction, Some(message.body));
        let client = network.client(FULL_NODE);
        client.tx_submit(transaction, body, Some(WaitFor::Final)).await.unwrap();
    }
    let since = Instant::now();
    // Two pings that stay without answer, one of which the library forgives, and a farewell that is not taken:
    // 45 seconds.
    while is_listed(&network, FULL_NODE, &peer.id).await {
        assert!(since.elapsed() < 3 * SOON, "a peer that reads nothing keeps its place");
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    for member in network.all() {
        probe(network.client(member), &messages, SOON).await.unwrap();
        assert!(network.peak_memory_kib(member) < 256 * 1024);
    }
}
