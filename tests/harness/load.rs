//! Traffic: messages that are signed and sealed for real, sent to all nodes in turn at a chosen rate, and
//! which of them a node reported final.

use super::network::Network;
use jsonrpsee::http_client::{HttpClient, HttpClientBuilder};
use sealpost_api::{Hex, SealpostRpcClient, TransactionStatus, WaitFor};
use sealpost_ledger::address::Address;
use sealpost_ledger::genesis::Genesis;
use sealpost_ledger::hash::TransactionId;
use sealpost_ledger::height::BlockHeight;
use sealpost_ledger::message::Body;
use sealpost_ledger::signature::SigningKey;
use sealpost_ledger::transaction::{Payload, SignedTransaction, TRANSACTION_VERSION, Transaction};
use sealpost_node::wire::{Packer, TransactionBatch, TransactionMessage};
use sealpost_wallet::envelope::{BundleSecret, Letter, Recipient, SealRequest, seal};
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use tokio::sync::{Notify, Semaphore};
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::MissedTickBehavior;

/// How far ahead a message expires.
const LIFETIME: u64 = 50_000;
/// Longest wait for one message: a network without a quorum keeps it that long.
const GIVE_UP: Duration = Duration::from_secs(120);

/// A message ready to be submitted.
#[derive(Debug, Clone)]
pub struct Message {
    /// Header and signature.
    pub transaction: Hex,
    /// The encrypted body.
    pub body: Hex,
    /// The transaction's id.
    pub id: TransactionId,
}

impl Message {
    /// As nodes tell it to one another by gossip, alone.
    pub fn gossiped(&self) -> Vec<u8> {
        TransactionBatch::of_one(self.told()).to_bytes()
    }
    /// As nodes tell several to one another by gossip, in as few gossip messages as they fit in.
    pub fn gossiped_together(messages: &[Self]) -> Vec<Vec<u8>> {
        let mut packer = Packer::default();
        let mut packed: Vec<_> = messages.iter().filter_map(|message| packer.add(message.told())).collect();
        packed.extend(packer.finish());
        packed.iter().map(TransactionBatch::to_bytes).collect()
    }
    fn told(&self) -> TransactionMessage {
        let transaction = SignedTransaction::from_bytes(self.transaction.as_bytes()).expect("our own");
        TransactionMessage { transaction, body: Some(Body::new(self.body.0.clone())) }
    }
    /// The same message with a signature that does not hold.
    pub fn forged(&self) -> Self {
        let mut forged = self.clone();
        // The signature stands last.
        if let Some(last) = forged.transaction.0.last_mut() {
            *last ^= 1;
        }
        forged
    }
}

/// Makes messages, each signed by a key of its own.
#[derive(Debug)]
pub struct Messages {
    genesis: Genesis,
    recipients: Vec<Recipient>,
}

impl Messages {
    /// For a network.
    pub fn new(genesis: Genesis) -> Self {
        Self::to_many(genesis, 1)
    }
    /// For a network, each message to so many recipients, who never answer.
    pub fn to_many(genesis: Genesis, count: u8) -> Self {
        let secret = BundleSecret::generate(1).expect("randomness");
        let mut bundle = secret.bundle(BlockHeight::new(1_000_000));
        // Suite 1: the traffic's own work is to be small beside the network's.
        bundle.ml_kem = None;
        let recipient = |number| {
            let key = SigningKey::from_bytes(&[number; 32]).expect("a key");
            Recipient { address: Address::new(key.public_key()), bundle: bundle.clone() }
        };
        Self { genesis, recipients: (5..).take(usize::from(count)).map(recipient).collect() }
    }
    /// A message that no other call in this process makes.
    pub fn make(&self, expiry: BlockHeight) -> Message {
        self.make_long(expiry, 0)
    }
    /// Two messages whose ids begin with the same four digits. Nobody can choose an id, so they are looked for.
    pub fn alike(&self, expiry: BlockHeight) -> [Message; 2] {
        let mut made: BTreeMap<String, Message> = BTreeMap::new();
        loop {
            let message = self.make(expiry);
            let begin: String = message.id.to_string().chars().take(4).collect();
            // Without a letter it would be a number: that of a block.
            if begin.parse::<u64>().is_ok() {
                continue;
            }
            if let Some(other) = made.insert(begin, message.clone()) {
                return [other, message];
            }
        }
    }
    /// Such a message, with so many more bytes of text.
    pub fn make_long(&self, expiry: BlockHeight, bytes: usize) -> Message {
        static NUMBER: AtomicU64 = AtomicU64::new(1);
        let number = NUMBER.fetch_add(1, Relaxed);
        let mut secret = [9; 32];
        secret[..8].copy_from_slice(&number.to_le_bytes());
        let key = SigningKey::from_bytes(&secret).expect("a key");
        let (chain, sender) = (self.genesis.chain_id(), Address::new(key.public_key()));
        let text = format!("message {number}{}", ".".repeat(bytes));
        let content = Letter { text, ..Letter::default() }.into();
        let recipients = &self.recipients;
        let body_limit = self.genesis.limits().body_bytes;
        let author = None;
        let request =
            SealRequest { chain, sender, author, expiry, recipients, content: &content, body_limit };
        let sealed = seal(&request).expect("sealed");
        let payload = Payload::Message(sealed.message);
        let transaction =
            Transaction { version: TRANSACTION_VERSION, chain, sender, expiry, payload, nonce: 0 };
        let signed = transaction.sign(&key, &[1; 32]).expect("signed");
        let (body, id) = (Hex(sealed.body.as_bytes().to_vec()), signed.id());
        Message { transaction: Hex(signed.to_bytes()), body, id }
    }
}

/// How much traffic.
#[derive(Debug, Clone, Copy)]
pub struct LoadOptions {
    /// Messages a second, to all nodes together.
    pub per_second: u32,
    /// Messages that wait for finality at once; at that bound sending waits too.
    pub in_flight: usize,
    /// Bytes of text that each message has besides.
    pub bytes: usize,
}

/// Traffic that runs until it is stopped.
#[derive(Debug)]
pub struct Load {
    shared: Arc<Shared>,
    sending: JoinHandle<()>,
}

#[derive(Debug)]
struct Shared {
    messages: Messages,
    bytes: usize,
    head: AtomicU64,
    sent: AtomicU64,
    failed: AtomicU64,
    final_: Mutex<Acknowledged>,
    more: Notify,
    stop: Notify,
}

#[derive(Debug, Default, Clone)]
struct Acknowledged {
    ids: Vec<TransactionId>,
    took: Vec<Duration>,
}

/// What became of the traffic.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LoadReport {
    /// Messages sent.
    pub sent: u64,
    /// Messages whose node gave no good answer: it was down, cut off or stopped meanwhile.
    pub unanswered: u64,
    /// Messages reported final.
    pub acknowledged: Vec<TransactionId>,
    /// From submission to the report, sorted.
    pub took: Vec<Duration>,
}

impl Load {
    /// Sends to every running member in turn. Members that go away and come back are sent to as before.
    pub fn start(network: &Network, options: LoadOptions) -> Self {
        Self::start_at(network, &network.running(), options)
    }
    /// The same to these members alone.
    pub fn start_at(network: &Network, members: &[usize], options: LoadOptions) -> Self {
        let client = |member| {
            let builder = HttpClientBuilder::default().request_timeout(GIVE_UP);
            builder.build(network.said(member, "rpc")).expect("a URL")
        };
        let clients: Vec<HttpClient> = members.iter().copied().map(client).collect();
        let shared = Arc::new(Shared {
            messages: Messages::new(network.genesis().clone()),
            bytes: options.bytes,
            head: AtomicU64::new(0),
            sent: AtomicU64::new(0),
            failed: AtomicU64::new(0),
            final_: Mutex::default(),
            more: Notify::new(),
            stop: Notify::new(),
        });
        let sending = tokio::spawn(send(shared.clone(), clients, options));
        Self { shared, sending }
    }
    /// The messages reported final so far.
    pub fn acknowledged(&self) -> Vec<TransactionId> {
        self.shared.final_.lock().expect("no one panics with it").ids.clone()
    }
    /// How many messages were reported final so far.
    pub fn count(&self) -> usize {
        self.shared.final_.lock().expect("no one panics with it").ids.len()
    }
    /// Waits until so many more messages are reported final; says whether they were in time.
    pub async fn flows(&self, more: usize, within: Duration) -> bool {
        let target = self.count() + more;
        let wait = async {
            while self.count() < target {
                self.shared.more.notified().await;
            }
        };
        tokio::time::timeout(within, wait).await.is_ok()
    }
    /// Sends no more, waits for what is under way, and reports.
    pub async fn stop(self) -> LoadReport {
        self.shared.stop.notify_one();
        self.sending.await.expect("the traffic does not panic");
        let Acknowledged { ids, mut took } =
            self.shared.final_.lock().expect("no one panics with it").clone();
        took.sort();
        let (sent, unanswered) = (self.shared.sent.load(Relaxed), self.shared.failed.load(Relaxed));
        LoadReport { sent, unanswered, acknowledged: ids, took }
    }
}

async fn send(shared: Arc<Shared>, clients: Vec<HttpClient>, options: LoadOptions) {
    let mut clock = tokio::time::interval(Duration::from_secs(1) / options.per_second);
    clock.set_missed_tick_behavior(MissedTickBehavior::Skip);
    let places = Arc::new(Semaphore::new(options.in_flight));
    let mut under_way = JoinSet::new();
    for client in clients.iter().cycle() {
        let next = async {
            clock.tick().await;
            places.clone().acquire_owned().await.expect("nobody closes it")
        };
        let place = tokio::select! {
            place = next => place,
            () = shared.stop.notified() => break,
        };
        while under_way.try_join_next().is_some() {}
        let (shared, client) = (shared.clone(), client.clone());
        under_way.spawn(async move {
            submit(&shared, &client).await;
            drop(place);
        });
    }
    while under_way.join_next().await.is_some() {}
}

async fn submit(shared: &Shared, client: &HttpClient) {
    let expiry = BlockHeight::new(shared.head.load(Relaxed) + LIFETIME);
    let message = shared.messages.make_long(expiry, shared.bytes);
    shared.sent.fetch_add(1, Relaxed);
    let since = Instant::now();
    let answer = client.tx_submit(message.transaction, Some(message.body), Some(WaitFor::Final)).await;
    match answer.map(|submitted| submitted.status) {
        Ok(TransactionStatus::Final(place)) => {
            shared.head.fetch_max(place.height.get(), Relaxed);
            let mut acknowledged = shared.final_.lock().expect("no one panics with it");
            acknowledged.ids.push(message.id);
            acknowledged.took.push(since.elapsed());
            drop(acknowledged);
            shared.more.notify_one();
        }
        _ => {
            shared.failed.fetch_add(1, Relaxed);
        }
    }
}

/// Sends one message to a node and waits until it is final there; how long that took, if it was in time.
pub async fn probe(client: &HttpClient, messages: &Messages, within: Duration) -> Result<Duration, String> {
    let since = Instant::now();
    let submit = async {
        let height = client.node_status().await?.height;
        let message = messages.make(BlockHeight::new(height.get() + LIFETIME));
        client.tx_submit(message.transaction, Some(message.body), Some(WaitFor::Final)).await
    };
    match tokio::time::timeout(within, submit).await {
        Ok(Ok(submitted)) if matches!(submitted.status, TransactionStatus::Final(_)) => Ok(since.elapsed()),
        Ok(other) => Err(format!("{other:?}")),
        Err(_) => Err(format!("not final after {within:?}")),
    }
}
