//! A whole node in one process, asked through its RPC.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

mod besieged;
mod joining;
mod measured;
mod packed;
mod submitting;
mod tags;
mod told;
mod validators;

use super::{Config, Node};
use crate::consensus;
use crate::consensus::testing::{genesis, key, key_bundle};
use crate::mempool::MempoolLimits;
use crate::rpc::Limits;
use crate::store::{Store, StoreOptions};
use jsonrpsee::ws_client::{WsClient, WsClientBuilder};
use sealpost_api::verify::verify_equivocation;
use sealpost_api::{
    ApiError, BlockId, EquivocationView, Hex, MailboxQuery, MailboxSide, Order, PayloadView,
    SealpostRpcClient, Submitted, TransactionStatus, WaitFor,
};
use sealpost_ledger::address::Address;
use sealpost_ledger::block::Header;
use sealpost_ledger::certificate::{CommitCertificate, VoteKind, vote_digest};
use sealpost_ledger::codec::decode;
use sealpost_ledger::equivocation::{Equivocation, SignedVote};
use sealpost_ledger::genesis::{Genesis, GenesisFile};
use sealpost_ledger::hash::{BlockHash, StateRoot};
use sealpost_ledger::height::BlockHeight;
use sealpost_ledger::merkle::verify_inclusion;
use sealpost_ledger::state::{StateKey, StateProof, StateRecord};
use sealpost_ledger::transaction::VerifiedTransaction;
use std::path::Path;
use std::sync::Arc;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

struct Running {
    client: WsClient,
    url: String,
    metrics: std::net::SocketAddr,
    stop: oneshot::Sender<()>,
    task: JoinHandle<Result<(), super::NodeError>>,
}

impl Running {
    async fn start(dir: &Path, genesis: &Arc<Genesis>) -> Self {
        Self::with_limits(dir, genesis, Limits::default()).await
    }
    async fn with_limits(dir: &Path, genesis: &Arc<Genesis>, rpc_limits: Limits) -> Self {
        Self::run(Config { rpc_limits, ..config(dir, genesis) }).await
    }
    async fn run(config: Config) -> Self {
        let node = Node::start(config).await.unwrap();
        let client = WsClientBuilder::default().build(format!("ws://{}", node.rpc)).await.unwrap();
        let url = format!("http://{}", node.rpc);
        let (stop, stopped) = oneshot::channel();
        let metrics = node.metrics.unwrap();
        let task = tokio::spawn(node.run_until(async {
            let _ = stopped.await;
        }));
        Self { client, url, metrics, stop, task }
    }
    async fn submit(&self, transaction: &VerifiedTransaction, wait: WaitFor) -> Result<Submitted, ApiError> {
        let bytes = Hex(transaction.signed().to_bytes());
        let answer = self.client.tx_submit(bytes, None, Some(wait)).await;
        answer.map_err(|error| ApiError::from_client(&error).unwrap())
    }
    async fn stop(self) {
        self.stop.send(()).unwrap();
        self.task.await.unwrap().unwrap();
    }
}

/// What the network's only validator is started with.
fn config(dir: &Path, genesis: &Arc<Genesis>) -> Config {
    let any = "127.0.0.1:0".parse().unwrap();
    let wal = dir.join("consensus.wal");
    if !wal.exists() {
        consensus::begin_wal(&wal).unwrap();
    }
    Config {
        genesis: genesis.clone(),
        data: dir.join("data"),
        archive: false,
        consensus: Some(consensus::Config {
            moniker: "test".into(),
            identity: libp2p::identity::Keypair::generate_ed25519(),
            validator: Arc::new(key(1)),
            listen: "/ip4/127.0.0.1/tcp/0".parse().unwrap(),
            peers: Vec::new(),
            wal,
        }),
        rejoin: false,
        gossip: None,
        rpc: any,
        rpc_limits: Limits::default(),
        metrics: Some(any),
        disk_floor_bytes: 0,
        mempool: MempoolLimits::default(),
    }
}

/// The network with these members, who have a quarter of everything for themselves.
fn with_members(genesis: &Genesis, members: &[u8]) -> Arc<Genesis> {
    let text = |seed: &u8| Address::new(key(*seed).public_key()).to_text(genesis.prefix());
    let mut file = GenesisFile { members: members.iter().map(text).collect(), ..genesis.file().clone() };
    file.postage.strangers_percent = 75;
    Arc::new(Genesis::new(file).unwrap())
}

fn network() -> (tempfile::TempDir, Arc<Genesis>) {
    (tempfile::tempdir().unwrap(), Arc::new(genesis(&[key(1)])))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_final_transaction_is_proven_and_outlives_a_restart() {
    let (dir, genesis) = network();
    let node = Running::start(dir.path(), &genesis).await;
    let bundle = key_bundle(&genesis, &key(9), 1, BlockHeight::new(100));
    let submitted = node.submit(&bundle, WaitFor::Final).await.unwrap();
    let TransactionStatus::Final(place) = submitted.status else { panic!("{:?}", submitted.status) };
    node.stop().await;

    let node = Running::start(dir.path(), &genesis).await;
    let found = node.client.tx_get(bundle.id()).await.unwrap();
    assert_eq!((found.place.height, found.place.block), (place.height, place.block));
    let sealed = node.client.chain_header(BlockId::Hash(place.block)).await.unwrap();
    let header = Header::from_bytes(sealed.header.as_bytes()).unwrap();
    let certificate: CommitCertificate =
        decode("certificate", sealed.certificate.as_bytes(), 10_000).unwrap();
    certificate.verify(&genesis.chain_id(), header.height, &header.hash(), genesis.validators()).unwrap();
    let path: Vec<[u8; 32]> = found.path.iter().map(|node| node.0.clone().try_into().unwrap()).collect();
    verify_inclusion(
        header.tx_root.as_bytes(),
        header.transaction_count.into(),
        place.index.into(),
        &bundle.signed().leaf(),
        &path,
    )
    .unwrap();
    assert!(matches!(found.view.payload, PayloadView::KeyBundle(view) if view.sequence == 1));
    node.stop().await;
}

/// Clients keep reading, in several connections and a subscription each, while the node stops.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_node_that_has_stopped_holds_its_store_no_longer_however_busy_it_was() {
    let (dir, genesis) = network();
    for _ in 0..50 {
        let node = Running::start(dir.path(), &genesis).await;
        let url = node.url.replace("http", "ws");
        let mut readers = Vec::new();
        for _ in 0..4 {
            let client = WsClientBuilder::default().build(&url).await.unwrap();
            let mut heard = client.chain_subscribe_blocks(Some(BlockHeight::FIRST)).await.unwrap();
            let (reading, started) = oneshot::channel();
            readers.push(tokio::spawn(async move {
                client.chain_head().await.unwrap();
                reading.send(()).unwrap();
                while client.chain_head().await.is_ok() {}
                while heard.next().await.is_some() {}
            }));
            started.await.unwrap();
        }
        node.stop().await;
        // Nobody waits here: the store must be free now.
        let options = StoreOptions::default();
        Store::open(&dir.path().join("data"), genesis.clone(), options).unwrap();
        for reader in readers {
            reader.await.unwrap();
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_directory_answers_with_proofs_of_presence_and_absence() {
    let (dir, genesis) = network();
    let node = Running::start(dir.path(), &genesis).await;
    node.submit(&key_bundle(&genesis, &key(9), 1, BlockHeight::new(100)), WaitFor::Final).await.unwrap();
    for (seed, present) in [(9, true), (8, false)] {
        let address = Address::new(key(seed).public_key());
        let answer = node.client.directory_bundle(address.to_text(genesis.prefix()), None).await.unwrap();
        let header = Header::from_bytes(answer.at.header.as_bytes()).unwrap();
        let proof = StateProof::from_bytes(answer.proof.as_bytes()).unwrap();
        let (root, key): (&StateRoot, _) = (&header.state_root, StateKey::Directory(address));
        assert_eq!(answer.record.is_some(), present);
        match answer.record {
            Some(record) => {
                let record = StateRecord::from_bytes(record.as_bytes()).unwrap();
                proof.verify_present(root, &key, &record).unwrap();
            }
            None => proof.verify_absent(root, &key).unwrap(),
        }
    }
    node.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn refusals_carry_their_stable_codes() {
    let (dir, genesis) = network();
    let node = Running::start(dir.path(), &genesis).await;
    let skipping = key_bundle(&genesis, &key(9), 2, BlockHeight::new(100));
    assert_eq!(node.submit(&skipping, WaitFor::Final).await.unwrap_err().code, "bundle.sequence");
    let late = key_bundle(&genesis, &key(9), 1, BlockHeight::new(100_000));
    assert_eq!(node.submit(&late, WaitFor::Final).await.unwrap_err().code, "tx.expiry_too_far");
    let other = genesis_of_another_network();
    let foreign = key_bundle(&other, &key(9), 1, BlockHeight::new(100));
    assert_eq!(node.submit(&foreign, WaitFor::Final).await.unwrap_err().code, "tx.other_chain");
    let code = |error| ApiError::from_client(&error).unwrap().code;
    let malformed = node.client.tx_submit(Hex(vec![1, 2, 3]), None, None).await.unwrap_err();
    assert_eq!(code(malformed), "input.malformed");
    assert_eq!(code(node.client.tx_get(late.id()).await.unwrap_err()), "tx.unknown");
    let far = node.client.chain_header(BlockId::Height(BlockHeight::new(1 << 40))).await.unwrap_err();
    assert_eq!(code(far), "block.unknown");
    assert_eq!(
        code(node.client.directory_bundle("nonsense".into(), None).await.unwrap_err()),
        "input.address"
    );
    node.stop().await;
}

fn genesis_of_another_network() -> Genesis {
    genesis(&[key(2)])
}

#[tokio::test(flavor = "multi_thread")]
async fn submitting_again_does_no_harm() {
    let (dir, genesis) = network();
    let node = Running::start(dir.path(), &genesis).await;
    let bundle = key_bundle(&genesis, &key(9), 1, BlockHeight::new(100));
    let first = node.submit(&bundle, WaitFor::Final).await.unwrap();
    let again = node.submit(&bundle, WaitFor::Final).await.unwrap();
    assert_eq!(first, again);
    node.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn blocks_are_told_without_a_gap_from_the_first_on() {
    let (dir, genesis) = network();
    let node = Running::start(dir.path(), &genesis).await;
    for seed in 10..13 {
        node.submit(&key_bundle(&genesis, &key(seed), 1, BlockHeight::new(100)), WaitFor::Final)
            .await
            .unwrap();
    }
    let mut blocks = node.client.chain_subscribe_blocks(Some(BlockHeight::FIRST)).await.unwrap();
    let live = key_bundle(&genesis, &key(20), 1, BlockHeight::new(100));
    let Submitted { status: TransactionStatus::Final(last), .. } =
        node.submit(&live, WaitFor::Final).await.unwrap()
    else {
        panic!("not final")
    };
    let mut height = 0;
    while height < last.height.get() {
        let block = blocks.next().await.unwrap().unwrap();
        assert_eq!(block.view.height.get(), height + 1);
        height += 1;
    }
    node.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_an_address_sent_is_listed_in_pages() {
    let (dir, genesis) = network();
    let node = Running::start(dir.path(), &genesis).await;
    for sequence in 1..=3 {
        let bundle = key_bundle(&genesis, &key(9), sequence, BlockHeight::new(100));
        node.submit(&bundle, WaitFor::Final).await.unwrap();
    }
    let address = Address::new(key(9).public_key()).to_text(genesis.prefix());
    let (mut after, mut sequences) = (None, Vec::new());
    loop {
        let query = MailboxQuery {
            address: address.clone(),
            side: MailboxSide::Sent,
            after: after.clone(),
            limit: Some(2),
            order: Order::NewestFirst,
        };
        let page = node.client.mailbox_list(query).await.unwrap();
        for entry in page.entries {
            let PayloadView::KeyBundle(view) = entry.view.payload else { panic!("not a bundle") };
            sequences.push(view.sequence);
        }
        after = page.next;
        if !page.more {
            break;
        }
    }
    assert_eq!(sequences, [3, 2, 1]);
    node.stop().await;
}

/// A validator's two prevotes in a round: for nothing, and for a block.
fn equivocation(genesis: &Genesis, round: u32) -> Equivocation {
    let (chain, height, kind) = (genesis.chain_id(), BlockHeight::FIRST, VoteKind::Prevote);
    let votes = [None, Some(BlockHash::from_bytes([7; 32]))].map(|block| {
        let digest = vote_digest(&chain, kind, height, round, block.as_ref());
        SignedVote { block, signature: key(1).sign(&digest, &[0; 32]).unwrap() }
    });
    Equivocation::votes(key(1).public_key(), height, round, kind, votes)
}

#[tokio::test(flavor = "multi_thread")]
async fn recorded_equivocations_are_told_in_pages_and_shown_as_proven() {
    let (dir, genesis) = network();
    let (store, _) = Store::open(&dir.path().join("data"), genesis.clone(), StoreOptions::default()).unwrap();
    for round in 0..3 {
        store.put_equivocation(&equivocation(&genesis, round)).unwrap();
    }
    drop(store);
    let node = Running::start(dir.path(), &genesis).await;
    let first = node.client.chain_equivocations(None, Some(2)).await.unwrap();
    let rest = node.client.chain_equivocations(first.next, Some(2)).await.unwrap();
    let none = node.client.chain_equivocations(rest.next, None).await.unwrap();
    assert_eq!((first.more, rest.more, none.more), (true, false, false));
    assert_eq!(none.entries, []);
    let all: Vec<_> = first.entries.into_iter().chain(rest.entries).collect();
    assert_eq!(
        all.iter().map(|view| (view.number, view.round)).collect::<Vec<_>>(),
        [(1, 0), (2, 1), (3, 2)]
    );
    for view in &all {
        verify_equivocation(view, &genesis, genesis.validators()).unwrap();
    }
    // Decoded fields that are not those of the signed bytes are not believed.
    let told = EquivocationView { round: 9, ..all[0].clone() };
    verify_equivocation(&told, &genesis, genesis.validators()).unwrap_err();
    let page = explored(&node, "/validators").await;
    assert!(page.contains("validator-0") && page.contains("with power 1 together"), "{page}");
    assert_eq!(page.matches("both signatures hold").count(), 3, "{page}");
    node.stop().await;
}

/// A page of an explorer of that node.
async fn explored(node: &Running, path: &str) -> String {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let (listen, node, genesis) = ("127.0.0.1:0".parse().unwrap(), node.url.clone(), None);
    let limits = sealpost_explorer::Limits::default();
    let settings = sealpost_explorer::Settings { listen, node, genesis, limits };
    let explorer = sealpost_explorer::start(settings).await.unwrap();
    let mut stream = tokio::net::TcpStream::connect(explorer.address).await.unwrap();
    let request = format!("GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    explorer.stop().await;
    answer
}

#[tokio::test(flavor = "multi_thread")]
async fn metrics_and_health_are_served() {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let (dir, genesis) = network();
    let node = Running::start(dir.path(), &genesis).await;
    node.submit(&key_bundle(&genesis, &key(9), 1, BlockHeight::new(100)), WaitFor::Final).await.unwrap();
    for (path, expected) in
        [("/metrics", "sealpost_consensus_height"), ("/livez", "alive"), ("/readyz", "\"ready\":true")]
    {
        let mut stream = tokio::net::TcpStream::connect(node.metrics).await.unwrap();
        let request = format!("GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        assert!(answer.starts_with("HTTP/1.1 200"), "{path}: {answer}");
        assert!(answer.contains(expected), "{path}: {answer}");
    }
    node.stop().await;
}
