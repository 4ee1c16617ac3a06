//! Networks that really run, with the engine, its log and its network on loopback.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

use super::testing::{genesis, key, key_bundle, validator_set, validators_change};
use super::*;
use crate::mempool::{Mempool, MempoolLimits, Standing};
use crate::store::testing::Chain;
use sealpost_ledger::chain;
use sealpost_ledger::genesis::Genesis;
use std::path::Path;
use std::sync::atomic::{AtomicU16, Ordering};
use std::time::Duration;
use tokio::time::timeout;

const PATIENCE: Duration = Duration::from_secs(60);

/// A node: its consensus, and a task that owns the mempool as the real node does.
struct Node {
    handle: ConsensusHandle,
    submit: mpsc::Sender<VerifiedTransaction>,
    blocks: mpsc::Receiver<Arc<CommittedBlock>>,
    stop: CancellationToken,
}

impl Node {
    async fn start(store: &Store, home: &Path, seed: u8, ports: &[u16]) -> Result<Self, ConsensusError> {
        Self::start_with(store, home, seed, ports, key(seed)).await
    }
    /// Starts with another validator's key.
    async fn start_with(
        store: &Store,
        home: &Path,
        seed: u8,
        ports: &[u16],
        validator: SigningKey,
    ) -> Result<Self, ConsensusError> {
        let (mempool, mut wishes) = mpsc::channel::<MempoolRequest>(1);
        let (refused, mut refusals) = mpsc::channel::<Vec<(TransactionId, Refusal)>>(8);
        let (committed, mut commits) = mpsc::channel::<Arc<CommittedBlock>>(8);
        let (submit, mut submitted) = mpsc::channel::<VerifiedTransaction>(8);
        let (publish, blocks) = mpsc::channel(1_000);
        let (count, pending) = watch::channel(0);
        let stop = CancellationToken::new();
        let address = |seed: usize, port: u16| -> libp2p::Multiaddr {
            let peer = identity(u8::try_from(seed).unwrap()).public().to_peer_id();
            format!("/ip4/127.0.0.1/tcp/{port}/p2p/{peer}").parse().unwrap()
        };
        let own = ports.get(usize::from(seed) - 1).copied().unwrap_or(0);
        let others =
            ports.iter().enumerate().map(|(n, port)| (n + 1, *port)).filter(|(n, _)| *n != usize::from(seed));
        let config = Config {
            moniker: format!("node-{seed}"),
            identity: identity(seed),
            validator: Arc::new(validator),
            listen: format!("/ip4/127.0.0.1/tcp/{own}").parse().unwrap(),
            peers: others.map(|(n, port)| address(n, port)).collect(),
            wal: home.join(format!("votes-{seed}.wal")),
        };
        begin(&config.wal, store);
        let wiring = Wiring { mempool, refused, committed, pending, stop: stop.clone() };
        let mut pool = Mempool::new(MempoolLimits::default(), 100);
        tokio::spawn(async move {
            loop {
                tokio::select! {
                    Some(wish) = wishes.recv() => drop(match wish {
                        MempoolRequest::Candidates { max_bytes, max_strangers_bytes, reply } => {
                            reply.send(pool.take(max_bytes, max_strangers_bytes))
                        }
                        MempoolRequest::Waiting { ids, reply } => {
                            reply.send(ids.iter().filter_map(|id| pool.get(id)).cloned().collect())
                        }
                    }),
                    Some(refused) = refusals.recv() => pool.remove_refused(refused.iter().map(|(id, _)| id)),
                    Some(block) = commits.recv() => {
                        pool.remove_committed(block.block());
                        publish.try_send(block).unwrap();
                    }
                    Some(transaction) = submitted.recv() => {
                        pool.insert(transaction, Standing::Stranger, BlockHeight::GENESIS).unwrap();
                    }
                    else => return,
                }
                count.send_replace(pool.len());
            }
        });
        let handle = start(config, store.clone(), wiring).await?;
        Ok(Self { handle, submit, blocks, stop })
    }

    async fn next_block(&mut self) -> Arc<CommittedBlock> {
        tokio::select! {
            block = timeout(PATIENCE, self.blocks.recv()) => block.unwrap().unwrap(),
            result = self.handle.stopped() => panic!("consensus stopped: {result:?}"),
        }
    }

    /// Waits for the block that contains a transaction.
    async fn block_with(&mut self, transaction: &VerifiedTransaction) -> Arc<CommittedBlock> {
        loop {
            let block = self.next_block().await;
            if block.block().transactions().iter().any(|t| t.id() == transaction.id()) {
                return block;
            }
        }
    }

    async fn stop(mut self) {
        self.stop.cancel();
        timeout(PATIENCE, self.handle.stopped()).await.unwrap().unwrap();
    }
}

/// A node's network identity: validators let in only those that they know by it.
fn identity(seed: u8) -> libp2p::identity::Keypair {
    libp2p::identity::Keypair::ed25519_from_bytes([seed; 32]).unwrap()
}

/// A key that has never voted begins its log.
fn begin(wal: &Path, store: &Store) {
    if store.tip().height() == BlockHeight::GENESIS && !wal.exists() {
        begin_wal(wal).unwrap();
    }
}

/// Free ports, found by binding them and letting go.
fn free_ports(count: usize) -> Vec<u16> {
    // Below the ports that the system gives to whoever asks for any: another test must not be given this one's
    // while its node is stopped.
    static NEXT: AtomicU16 = AtomicU16::new(0);
    let first = 11_000 + u16::try_from(std::process::id() % 4_000).unwrap();
    let next = std::iter::repeat_with(|| first + NEXT.fetch_add(1, Ordering::Relaxed));
    next.filter(|port| std::net::TcpListener::bind(("127.0.0.1", *port)).is_ok()).take(count).collect()
}

fn open(home: &Path, name: &str, genesis: &Genesis) -> Store {
    Store::open(&home.join(name), Arc::new(genesis.clone()), Default::default()).unwrap().0
}

fn bundle(genesis: &Genesis, sequence: u64) -> VerifiedTransaction {
    key_bundle(genesis, &key(99), sequence, BlockHeight::new(500))
}

/// With the least limit that a genesis may have the header weighs most, and with short bodies their lengths do.
#[test]
fn the_fullest_block_can_be_sent() {
    let (dir, chain) = (tempfile::tempdir().unwrap(), Chain::new("full"));
    let store = open(dir.path(), "store", &chain.genesis);
    let waiting: Vec<_> = (0..300).map(|number| chain.message(&number.to_string())).collect();
    let proposal = chain::propose(&store.tip(), &store, waiting, 2_000, key(1).public_key()).unwrap();
    let (block, limit) = (proposal.block.block(), chain.genesis.limits().block_bytes);
    assert!(block.transactions().len() < 300, "it is full");
    let bytes = u32::try_from(block.to_bytes().len()).unwrap();
    assert!(bytes > limit && bytes <= max_block_bytes(limit), "{bytes} bytes");
    // And the largest limit leaves room for a certificate in an answer to whoever catches up.
    assert!(max_block_bytes(8 << 20) <= 10 << 20);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_single_validator_makes_blocks_on_demand_and_goes_on_after_a_restart() {
    let home = tempfile::tempdir().unwrap();
    let genesis = genesis(&[key(1)]);
    let store = open(home.path(), "store", &genesis);
    let mut node = Node::start(&store, home.path(), 1, &[]).await.unwrap();
    for sequence in 1..=3 {
        let transaction = bundle(&genesis, sequence);
        node.submit.send(transaction.clone()).await.unwrap();
        let block = node.block_with(&transaction).await;
        assert_eq!(block.certificate().signatures.len(), 1);
    }
    // That nothing comes can't be awaited; a validator that decides without need makes hundreds in this time.
    let idle = timeout(Duration::from_secs(1), node.next_block()).await;
    assert!(idle.is_err(), "a block that nobody asked for: {idle:?}");
    node.stop().await;

    let height = store.tip().height();
    assert!(height >= BlockHeight::new(3));
    drop(store);
    let store = open(home.path(), "store", &genesis);
    assert_eq!(store.tip().height(), height);
    let mut node = Node::start(&store, home.path(), 1, &[]).await.unwrap();
    let transaction = bundle(&genesis, 4);
    node.submit.send(transaction.clone()).await.unwrap();
    assert!(node.block_with(&transaction).await.block().height() > height);
    node.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_log_says_how_far_votes_reach() {
    let home = tempfile::tempdir().unwrap();
    let genesis = genesis(&[key(1)]);
    let store = open(home.path(), "store", &genesis);
    let mut node = Node::start(&store, home.path(), 1, &[]).await.unwrap();
    let transaction = bundle(&genesis, 1);
    node.submit.send(transaction.clone()).await.unwrap();
    node.block_with(&transaction).await;
    node.stop().await;
    let wal = home.path().join("votes-1.wal");
    let (voted, decided) = (voted_height(&wal).unwrap().unwrap(), store.tip().height());
    assert!(voted == decided || Some(voted) == decided.next(), "voted at {voted}, decided {decided}");
    let fresh = home.path().join("fresh.wal");
    begin_wal(&fresh).unwrap();
    assert_eq!(voted_height(&fresh).unwrap(), None);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_validator_that_lost_its_log_of_votes_does_not_start() {
    let home = tempfile::tempdir().unwrap();
    let store = open(home.path(), "store", &genesis(&[key(1)]));
    let mut node = Node::start(&store, home.path(), 1, &[]).await.unwrap();
    node.next_block().await;
    node.stop().await;
    std::fs::remove_file(home.path().join("votes-1.wal")).unwrap();
    let refused = Node::start(&store, home.path(), 1, &[]).await.err().unwrap();
    assert!(matches!(refused, ConsensusError::WalMissing { .. }), "{refused}");
}

#[tokio::test(flavor = "multi_thread")]
async fn three_of_four_validators_agree_and_the_fourth_catches_up() {
    let home = tempfile::tempdir().unwrap();
    let genesis = genesis(&[key(1), key(2), key(3), key(4)]);
    let ports = free_ports(4);
    let stores: Vec<_> = (1..=4).map(|n| open(home.path(), &format!("store-{n}"), &genesis)).collect();
    let mut nodes = Vec::new();
    for (store, seed) in stores.iter().zip(1..=3) {
        nodes.push(Node::start(store, home.path(), seed, &ports).await.unwrap());
    }
    for sequence in 1..=3 {
        let transaction = bundle(&genesis, sequence);
        for node in &nodes {
            node.submit.send(transaction.clone()).await.unwrap();
        }
        let mut decided = Vec::new();
        for node in &mut nodes {
            decided.push(node.block_with(&transaction).await.block().hash());
        }
        assert!(decided.iter().all(|hash| *hash == decided[0]), "{decided:?}");
    }
    let height = stores[0].tip().height();
    let mut late = Node::start(&stores[3], home.path(), 4, &ports).await.unwrap();
    let caught_up = loop {
        let block = late.next_block().await;
        if block.block().height() == height {
            break block.block().hash();
        }
    };
    assert_eq!(caught_up, stores[0].block(height).unwrap().unwrap().hash());
    for node in nodes.into_iter().chain([late]) {
        node.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn one_validator_becomes_four_and_a_late_node_catches_up_through_the_change() {
    let home = tempfile::tempdir().unwrap();
    let genesis = genesis(&[key(1)]);
    let ports = free_ports(5);
    let stores: Vec<_> = (1..=5).map(|n| open(home.path(), &format!("store-{n}"), &genesis)).collect();
    let mut nodes = Vec::new();
    for (store, seed) in stores.iter().zip(1..=4) {
        nodes.push(Node::start(store, home.path(), seed, &ports).await.unwrap());
    }
    let four = validator_set(&[(1, 1), (2, 1), (3, 1), (4, 1)]);
    let change = validators_change(&genesis, &validator_set(&[(1, 1)]), &four, 4, &[1]);
    nodes[0].submit.send(change.clone()).await.unwrap();
    for node in &mut nodes {
        node.block_with(&change).await;
    }
    // From height 4 on three of four are needed; each of these transactions is known to all of them.
    for sequence in 1..=6 {
        let transaction = bundle(&genesis, sequence);
        for node in &nodes {
            node.submit.send(transaction.clone()).await.unwrap();
        }
        for node in &mut nodes {
            node.block_with(&transaction).await;
        }
    }
    let height = stores[0].tip().height();
    for height in (1..=height.get()).map(BlockHeight::new) {
        let (header, certificate) = stores[0].header(height).unwrap().unwrap();
        let after = height >= BlockHeight::new(4);
        assert_eq!(header.validators_hash == four.hash(), after, "at height {height}");
        assert_eq!(certificate.signatures.len() >= 3, after, "at height {height}");
    }
    // Whoever comes later gets blocks of both sets, each with the certificate of its own.
    let mut late = Node::start(&stores[4], home.path(), 5, &ports).await.unwrap();
    let caught_up = loop {
        let block = late.next_block().await;
        if block.block().height() == height {
            break block.block().hash();
        }
    };
    assert_eq!(caught_up, stores[0].block(height).unwrap().unwrap().hash());
    for node in nodes.into_iter().chain([late]) {
        node.stop().await;
    }
}

/// The same key on two machines, each with a log of votes of its own: what a careless copy of a home makes.
#[tokio::test(flavor = "multi_thread")]
async fn a_key_that_runs_twice_is_found_out_and_harms_nobody() {
    let home = tempfile::tempdir().unwrap();
    let genesis = genesis(&[key(1), key(2), key(3), key(4)]);
    let ports = free_ports(5);
    let stores: Vec<_> = (1..=5).map(|n| open(home.path(), &format!("store-{n}"), &genesis)).collect();
    let mut nodes = Vec::new();
    for (store, seed) in stores.iter().zip(1..=4) {
        nodes.push(Node::start(store, home.path(), seed, &ports).await.unwrap());
    }
    // It hears of other transactions, so that its blocks differ from those of the one with the same key.
    nodes.push(Node::start_with(&stores[4], home.path(), 5, &ports, key(4)).await.unwrap());
    let mut sequence = 0;
    let found = loop {
        sequence += 1;
        let transaction = bundle(&genesis, sequence);
        let other =
            key_bundle(&genesis, &key(u8::try_from(100 + sequence).unwrap()), 1, BlockHeight::new(500));
        nodes[4].submit.send(other).await.unwrap();
        for node in &nodes[..4] {
            node.submit.send(transaction.clone()).await.unwrap();
        }
        // Both copies too: the other three decide without them, and on a busy machine they would do so a hundred times
        // before the copies have found anybody to say anything to.
        for node in &mut nodes {
            node.block_with(&transaction).await;
        }
        if let Some(found) = stores[..3].iter().flat_map(|store| store.equivocations(0, 1)).next() {
            break found.1;
        }
        assert!(sequence < 100, "it was not found out in {sequence} blocks");
    };
    assert_eq!(found.place().validator, key(4).public_key());
    found.verify(&genesis.chain_id(), genesis.validators()).unwrap();
    let height = stores[..3].iter().map(|store| store.tip().height()).min().unwrap();
    let hash = |store: &Store| store.header(height).unwrap().unwrap().0.hash();
    assert!(stores[..3].iter().all(|store| hash(store) == hash(&stores[0])));
    for node in nodes {
        node.stop().await;
    }
}

/// A validator that tries to follow and finds nobody ahead takes part again at once, at the same address; whatever
/// the engine was doing when it was stopped.
#[tokio::test(flavor = "multi_thread")]
async fn consensus_that_has_stopped_can_begin_again_at_once() {
    let home = tempfile::tempdir().unwrap();
    let genesis = genesis(&[key(1)]);
    let ports = free_ports(2);
    let stores: Vec<_> = (1..=2).map(|n| open(home.path(), &format!("store-{n}"), &genesis)).collect();
    let other = Node::start(&stores[1], home.path(), 2, &ports).await.unwrap();
    for round in 0..60 {
        let node = Node::start(&stores[0], home.path(), 1, &ports).await.unwrap();
        node.submit.send(bundle(&genesis, round + 1)).await.unwrap();
        tokio::time::sleep(Duration::from_micros(500 * round)).await;
        node.stop().await;
    }
    other.stop().await;
}

/// What the engine listens with may outlive it, while a peer is called that does not answer.
#[tokio::test]
async fn consensus_has_stopped_when_its_address_is_free() {
    let home = tempfile::tempdir().unwrap();
    let held = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let config = Config {
        moniker: "node".into(),
        identity: identity(1),
        validator: Arc::new(key(1)),
        listen: format!("/ip4/127.0.0.1/tcp/{}", held.local_addr().unwrap().port()).parse().unwrap(),
        peers: Vec::new(),
        wal: home.path().join("votes.wal"),
    };
    let mut released = Box::pin(released(&config));
    assert!(futures::poll!(&mut released).is_pending());
    drop(held);
    timeout(PATIENCE, released).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn an_address_in_use_is_said_at_the_start() {
    let home = tempfile::tempdir().unwrap();
    let store = open(home.path(), "store", &genesis(&[key(1)]));
    let used = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = used.local_addr().unwrap().port();
    let refused = Node::start(&store, home.path(), 1, &[port]).await.err().unwrap();
    assert!(matches!(refused, ConsensusError::Listen { .. }), "{refused}");
}
