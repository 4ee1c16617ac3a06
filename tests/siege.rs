//! A real node under everything that the hostile peer can do: it answers the whole time, its memory stays
//! bounded, messages become final at it and at its neighbour, and whoever does what no honest peer does is
//! thrown out and, if he insists, not let in again. Each attack shows by the node's own metrics that it hit.

mod answers;
mod places;
mod words;

use libp2p::{Multiaddr, identity};
use sealpost_api::{SealpostRpcClient, TransactionStatus, WaitFor};
use sealpost_ledger::hash::ChainId;
use sealpost_ledger::height::BlockHeight;
use sealpost_node::wire::{MAX_TOLD, Request, TransactionBatch};
use sealpost_tests::harness::hostile::{Misuse, NotLetIn, Peer, Stream, Topic, garbage, length_prefix};
use sealpost_tests::harness::load::{Message, Messages, probe};
use sealpost_tests::harness::network::{Network, NetworkOptions, Place};
use sealpost_tests::harness::pulse::{OFTEN, Pulse};
use std::future::Future;
use std::io::Write as _;
use std::time::{Duration, Instant};

const SOON: Duration = Duration::from_secs(60);
/// A node that takes longer to answer is not well: many times what it takes on two busy cores.
const ANSWERED_WITHIN: Duration = Duration::from_secs(20);
/// How long a banned peer goes on knocking.
const INSISTS: Duration = Duration::from_secs(1);
/// The most memory of a node.
const MEMORY_KIB: u64 = 256 * 1024;
/// Addresses of this machine that are nobody's: strangers to the node.
const STRANGERS: [&str; 4] = ["127.0.0.2", "127.0.0.3", "127.0.0.4", "127.0.0.5"];
const VALIDATOR: usize = 0;
const FULL_NODE: usize = 1;

const MALFORMED: &str = "sealpost_peer_faults_total{fault=\"malformed\"}";
const NO_ANSWER: &str = "sealpost_peer_faults_total{fault=\"no_answer\"}";
const FAULTS: &str = "sealpost_peer_faults_total";
const BANS: &str = "sealpost_peer_bans_total";
const REFUSALS: &str = "sealpost_peer_refusals_total";
const DROPPED_TRANSACTIONS: &str =
    "sealpost_gossip_messages_total{topic=\"transactions\",result=\"dropped\"}";
const FORWARDED_TRANSACTIONS: &str =
    "sealpost_gossip_messages_total{topic=\"transactions\",result=\"forwarded\"}";
const KNOWN: &str = "sealpost_gossip_transactions_total{result=\"known\"}";
const DROPPED_BLOCKS: &str = "sealpost_gossip_messages_total{topic=\"blocks\",result=\"dropped\"}";

/// A validator and a full node, and who attacks one of them.
struct Siege {
    network: Network,
    messages: Messages,
    chain: ChainId,
}

impl Siege {
    fn start(name: &str, place: Place) -> Self {
        let name = name.to_owned();
        let options = NetworkOptions { name, validators: 1, full_nodes: 1, place, heartbeat_ms: Some(1000) };
        let mut network = Network::create(&options);
        network.start_member(VALIDATOR);
        let (chain, messages) = (network.genesis().chain_id(), Messages::new(network.genesis().clone()));
        Self { network, messages, chain }
    }
    fn address(&self, member: usize) -> Multiaddr {
        self.network.said(member, "p2p").parse().unwrap()
    }
    fn metric(&self, member: usize, name: &str) -> f64 {
        self.network.metric(member, name)
    }
    async fn joins(&self, member: usize) -> Peer {
        Peer::connect(&self.address(member), self.chain, SOON).await.unwrap()
    }
    /// Makes a message final at the validator, and gives what is gossiped of it.
    async fn final_message(&self, bytes: usize) -> Vec<u8> {
        let message = self.messages.make_long(BlockHeight::new(1000), bytes);
        let (transaction, body) = (message.transaction.clone(), message.body.clone());
        let client = self.network.client(VALIDATOR);
        client.tx_submit(transaction, Some(body), Some(WaitFor::Final)).await.unwrap();
        message.gossiped()
    }
    /// Waits until a message is final at a member.
    async fn is_final(&self, member: usize, message: &Message) {
        let (since, client) = (Instant::now(), self.network.client(member));
        while !matches!(client.tx_status(message.id).await.unwrap(), TransactionStatus::Final(_)) {
            assert!(since.elapsed() < SOON, "{} is not final at {}", message.id, self.network.name(member));
            tokio::task::yield_now().await;
        }
    }
    /// Does something to a member, and sees whether it stays well meanwhile and afterwards.
    async fn during<T>(&self, member: usize, what: &str, attack: impl Future<Output = T>) -> T {
        let (since, pulse) =
            (Instant::now(), Pulse::start(&self.network.said(member, "rpc"), ANSWERED_WITHIN, OFTEN));
        let outcome = attack.await;
        let took = since.elapsed();
        let answers = pulse.stop().await.unwrap_or_else(|error| panic!("no answer during {what}: {error}"));
        for member in self.network.running() {
            let probe = probe(self.network.client(member), &self.messages, SOON).await;
            probe.unwrap_or_else(|error| panic!("{} after {what}: {error}", self.network.name(member)));
            let peak = self.network.peak_memory_kib(member);
            assert!(peak < MEMORY_KIB, "{} had {peak} KiB during {what}", self.network.name(member));
        }
        // Past the test runner, which keeps what tests print.
        let _ = writeln!(
            std::io::stderr(),
            "{what}: {took:.1?}, {} answers, p50 {:.1?}, p99 {:.1?}, the slowest {:.1?}, {} MiB",
            answers.count,
            answers.percentile(50),
            answers.percentile(99),
            answers.percentile(100),
            self.network.peak_memory_kib(member) / 1024,
        );
        outcome
    }
    /// Comes under one identity, attacks, and comes back until it is not let in any more.
    async fn until_refused(&self, what: &str, attack: impl AsyncFn(&mut Peer)) {
        let (key, address) = (identity::Keypair::generate_ed25519(), self.address(VALIDATOR));
        let (bans, mut visits) = (self.metric(VALIDATOR, BANS), 0);
        let visit = async || match Peer::connect_as(key.clone(), &address, self.chain, SOON).await {
            Ok(peer) => Some(peer),
            Err(NotLetIn::TurnedAway(_)) => None,
            Err(error) => panic!("{what}: {error:?}"),
        };
        while let Some(mut peer) = visit().await {
            visits += 1;
            assert!(visits <= 10, "the node bears with {what}");
            attack(&mut peer).await;
            peer.remain(Duration::from_secs(6)).await;
        }
        assert!(visits > 0, "it never got in for {what}");
        let since = Instant::now();
        while since.elapsed() < INSISTS {
            assert!(visit().await.is_none(), "let in again after {what}");
        }
        assert_eq!(self.metric(VALIDATOR, BANS), bans + 1.0, "bans after {what}");
    }
}

/// A question as it travels.
fn framed(bytes: &[u8]) -> Vec<u8> {
    [&u32::try_from(bytes.len()).unwrap().to_le_bytes(), bytes].concat()
}

/// Asks for megabytes and reads none of them, until it is thrown out; how long the node bore with that.
async fn never_reads(mut peer: Peer) -> Duration {
    let (since, wish) = (Instant::now(), Request::Blocks { from: BlockHeight::new(1), count: 256 });
    let wish = framed(&wish.to_bytes());
    while peer.is_connected() {
        assert!(since.elapsed() < 2 * SOON, "the node bears with a peer that never reads");
        peer.open(Stream::Sync, Misuse::SendAndStall(wish.clone()));
        peer.remain(Duration::from_millis(200)).await;
    }
    since.elapsed()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_no_honest_peer_sends_costs_its_sender_the_place_and_the_node_nothing() {
    let mut siege = Siege::start("siege", Place::Loopback);
    let mut told = Vec::new();
    // Enough for an answer that does not fit into what a connection keeps unread.
    for _ in 0..16 {
        told = siege.final_message(40_000).await;
    }
    assert!(told.len() > 40_000, "the blocks are too small for the test");
    // It has heard nothing of those blocks by gossip.
    siege.network.start_member(FULL_NODE);
    assert_eq!((siege.metric(VALIDATOR, FAULTS), siege.metric(FULL_NODE, FAULTS)), (0.0, 0.0));

    // Takes as long as the node's patience, several times: the rest happens meanwhile.
    let unread = tokio::spawn(never_reads(siege.joins(VALIDATOR).await));

    let malformed = siege.metric(VALIDATOR, MALFORMED);
    let attack = siege.until_refused("questions that can't be read", async |peer| {
        for _ in 0..6 {
            peer.open(Stream::Sync, Misuse::Send(framed(&[0xff; 300])));
        }
    });
    siege.during(VALIDATOR, "questions that can't be read", attack).await;
    let attack = siege.until_refused("length prefixes of gigabytes", async |peer| {
        for _ in 0..6 {
            peer.open(Stream::Sync, Misuse::SendAndStall(u32::MAX.to_le_bytes().to_vec()));
        }
    });
    siege.during(VALIDATOR, "length prefixes of gigabytes", attack).await;
    let attack = siege.until_refused("streams that never end", async |peer| {
        for _ in 0..4 {
            peer.open(Stream::Sync, Misuse::Endless);
            peer.open(Stream::Sync, Misuse::Trickle(Duration::from_millis(10)));
        }
    });
    siege.during(VALIDATOR, "streams that never end", attack).await;
    assert!(siege.metric(VALIDATOR, MALFORMED) >= malformed + 12.0);

    let too_long = TransactionBatch::max_bytes(siege.network.genesis().limits().body_bytes) + 500;
    let attack = siege.until_refused("messages beyond the topic's limit", async |peer| {
        peer.flood(Topic::Transactions, (0..10).map(|_| garbage(too_long))).await;
    });
    siege.during(VALIDATOR, "messages beyond the topic's limit", attack).await;
    let attack = siege.until_refused("forged messages and garbage", async |peer| {
        let forged = || siege.messages.make(BlockHeight::new(1000)).forged().gossiped();
        let flood = (0..300).map(|number| if number % 2 == 0 { forged() } else { garbage(300) });
        peer.flood(Topic::Transactions, flood).await;
    });
    siege.during(VALIDATOR, "forged messages and garbage", attack).await;

    let attack = siege.until_refused("messages that promise too many", async |peer| {
        let promises = |count: usize| [&(count as u64).to_le_bytes()[..], &garbage(300)].concat();
        let flood = (0..50).map(|number| promises(if number % 2 == 0 { MAX_TOLD + 1 } else { MAX_TOLD }));
        peer.flood(Topic::Transactions, flood).await;
    });
    siege.during(VALIDATOR, "messages that promise too many", attack).await;
    let good: Vec<Message> = (0..40).map(|_| siege.messages.make(BlockHeight::new(1000))).collect();
    let attack = siege.until_refused("forged messages among good ones", async |peer| {
        // Each is told once, together with one that costs the peer something.
        let mixed = good.chunks(8).flat_map(|good| {
            let forged = siege.messages.make(BlockHeight::new(1000)).forged();
            Message::gossiped_together(&[good, &[forged]].concat())
        });
        peer.flood(Topic::Transactions, mixed).await;
    });
    siege.during(VALIDATOR, "forged messages among good ones", attack).await;
    // What came before the ban.
    for message in &good[..8] {
        siege.is_final(FULL_NODE, message).await;
    }

    // Frames beyond every limit end their stream before anything is blamed on anybody; and nothing comes of it.
    let mut peer = siege.joins(VALIDATOR).await;
    let attack = async {
        for _ in 0..20 {
            peer.open(Stream::Mesh, Misuse::SendAndStall(length_prefix(64 << 20)));
            peer.open(Stream::Sync, Misuse::SendAndStall(vec![1, 2]));
        }
        peer.flood(Topic::Transactions, (0..20).map(|_| garbage(1 << 20))).await;
        peer.remain(Duration::from_secs(1)).await;
    };
    siege.during(VALIDATOR, "frames of megabytes, streams that stall", attack).await;

    // Two connections at once are honest: both sides may dial.
    let refused = siege.metric(VALIDATOR, REFUSALS);
    let mut peer = siege.joins(VALIDATOR).await;
    let attack = peer.multiply(200, Duration::from_secs(1));
    let held = siege.during(VALIDATOR, "200 connections of one identity", attack).await;
    assert!(held <= 2, "the node holds {held} connections of one identity");
    assert!(siege.metric(VALIDATOR, REFUSALS) > refused);
    drop(peer);

    siege.during(VALIDATOR, "what is not a fault", harmless(&siege, &told)).await;

    let bore = siege.during(VALIDATOR, "answers that nobody reads", unread).await.unwrap();
    let _ = writeln!(std::io::stderr(), "a peer that never reads was borne with for {bore:.1?}");
    assert!(siege.metric(VALIDATOR, NO_ANSWER) >= 10.0);
    assert_eq!(siege.metric(VALIDATOR, BANS), 8.0);
}

/// What honest peers may send too, though not so much of it: the node drops it and blames nobody.
async fn harmless(siege: &Siege, told: &[u8]) {
    let (faults, dropped) =
        (siege.metric(VALIDATOR, MALFORMED), siege.metric(VALIDATOR, DROPPED_TRANSACTIONS));
    let mut peer = siege.joins(VALIDATOR).await;
    let repeated = peer.flood(Topic::Transactions, (0..500).map(|_| told.to_vec())).await;
    assert_eq!((repeated.sent, repeated.thrown_out), (500, None));
    let expired = (0..100).map(|_| siege.messages.make(BlockHeight::new(1)).gossiped());
    let expired = peer.flood(Topic::Transactions, expired).await;
    assert_eq!((expired.sent, expired.thrown_out), (100, None));
    peer.remain_until("the expired ones", SOON, || {
        siege.metric(VALIDATOR, DROPPED_TRANSACTIONS) >= dropped + 100.0
    })
    .await;
    assert_eq!(siege.metric(VALIDATOR, MALFORMED), faults);

    // The same few, packed ever anew: a message of its own each time, with nothing new in it. It ends here.
    let known: Vec<Message> = (0..20).map(|_| siege.messages.make(BlockHeight::new(1000))).collect();
    peer.flood(Topic::Transactions, Message::gossiped_together(&known)).await;
    for message in &known {
        siege.is_final(VALIDATOR, message).await;
    }
    let [passed_on, repeated] = [FORWARDED_TRANSACTIONS, KNOWN].map(|name| siege.metric(VALIDATOR, name));
    let pairs = (0..10).flat_map(|one| (10..20).map(move |other| (one, other)));
    let pairs = pairs
        .flat_map(|(one, other)| Message::gossiped_together(&[known[one].clone(), known[other].clone()]));
    let packed = peer.flood(Topic::Transactions, pairs).await;
    assert_eq!((packed.sent, packed.thrown_out), (100, None));
    peer.remain_until("the repetitions", SOON, || siege.metric(VALIDATOR, KNOWN) >= repeated + 200.0).await;
    assert_eq!(siege.metric(VALIDATOR, FORWARDED_TRANSACTIONS), passed_on);
    assert_eq!(siege.metric(VALIDATOR, MALFORMED), faults);

    let headers = siege.network.client(VALIDATOR).chain_headers(BlockHeight::new(1), 16).await.unwrap();
    let mut peer = siege.joins(FULL_NODE).await;
    let dropped = siege.metric(FULL_NODE, DROPPED_BLOCKS);
    // An announcement is its header and its certificate, one after the other.
    let old = |sealed: &sealpost_api::SealedHeader| {
        [sealed.header.as_bytes(), sealed.certificate.as_bytes()].concat()
    };
    let count = headers.len();
    assert!(count >= 10);
    peer.flood(Topic::Blocks, headers.iter().map(old)).await;
    peer.remain_until("old announcements", SOON, || {
        siege.metric(FULL_NODE, DROPPED_BLOCKS) >= dropped + count as f64
    })
    .await;
    assert_eq!(siege.metric(FULL_NODE, FAULTS), 0.0);
}
