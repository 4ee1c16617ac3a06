//! A node that joins a network whose nodes have dropped old bodies: sync, a peer's answers and two stores,
//! without a network in between.

use crate::gossip::serve;
use crate::store::testing::Chain;
use crate::store::{Store, StoreOptions, check};
use crate::sync::{self, Mode, Wish};
use crate::wire::{Ask, Fault, News, Peer, Request, Response};
use sealpost_ledger::height::BlockHeight;
use std::time::Duration;
use tempfile::TempDir;
use tokio::sync::{mpsc, watch};
use tokio_util::sync::CancellationToken;

const RETENTION: u64 = 10;

/// A store of a network whose nodes keep ten blocks' bodies, and whose validators change twice.
fn source(blocks: u64, archive: bool) -> (TempDir, Store, Chain) {
    let (dir, chain) = (TempDir::new().unwrap(), Chain::keeping("joined", RETENTION));
    let store = open(&dir, &chain, archive);
    for height in 1..=blocks {
        let change = match height {
            30 => Some((5, 32)),
            60 => Some((7, 61)),
            _ => None,
        };
        let change = change.map(|(power, at)| chain.power(&store, power, BlockHeight::new(at)));
        let message = chain.message(&format!("message {height}"));
        store.append(&chain.next(&store, [message].into_iter().chain(change).collect())).unwrap();
    }
    (dir, store, chain)
}

fn open(dir: &TempDir, chain: &Chain, archive: bool) -> Store {
    let options = StoreOptions { archive, segment_bytes: 1, ..StoreOptions::default() };
    Store::open(dir.path(), chain.genesis.clone(), options).unwrap().0
}

/// Follows peers, each with its answers, until `height` is reached. Returns what they were blamed for.
async fn follow(
    store: &Store,
    peers: Vec<(Peer, Store)>,
    mut said: impl FnMut(&Peer, &Request, Response) -> Response,
    until: impl Fn(&sync::Progress, usize) -> bool,
) -> Vec<(Peer, Fault)> {
    let (news, heard) = mpsc::channel(16);
    let (ask, mut asked) = mpsc::channel::<Ask>(64);
    let (fault, mut faults) = mpsc::channel(64);
    let (committed, mut blocks) = mpsc::channel(1000);
    let (_wish, wish) = watch::channel(Wish { mode: Mode::Follow, number: 1 });
    let (progress_of, mut progress) = watch::channel(sync::begin(store));
    let (_head, head) = watch::channel(store.tip().height());
    let (pool, _pool) = mpsc::channel(1);
    let stop = CancellationToken::new();
    let wiring = sync::Wiring {
        news: heard,
        ask,
        waiting: crate::waiting::Waiting::default(),
        faults: fault,
        committed,
        wish,
        progress: progress_of,
        head,
        stop: stop.clone(),
    };
    let task = sync::start(store.clone(), wiring);
    for (peer, at) in &peers {
        let (height, oldest) = (at.tip().height(), at.oldest_body_height());
        news.send(News::Status { peer: peer.clone(), height, oldest }).await.unwrap();
    }
    let mut blamed = Vec::new();
    let work = async {
        loop {
            if until(&progress.borrow_and_update(), blamed.len()) {
                return;
            }
            tokio::select! {
                Some(Ask { peer, request, answer }) = asked.recv() => {
                    let at = peers.iter().find(|(name, _)| *name == peer).unwrap().1.clone();
                    let response = serve::answer(request.clone(), at, pool.clone()).await;
                    let _ = answer.send(Some(said(&peer, &request, response)));
                }
                Some(fault) = faults.recv() => blamed.push(fault),
                Some(_) = blocks.recv() => {}
                changed = progress.changed() => changed.unwrap(),
            }
        }
    };
    tokio::time::timeout(Duration::from_secs(60), work).await.unwrap();
    stop.cancel();
    task.await.unwrap().unwrap();
    blamed
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_joins_though_its_peers_have_dropped_old_bodies_and_validators_have_changed() {
    let (_dir, source, chain) = source(90, false);
    assert!(source.oldest_body_height() > BlockHeight::new(70));
    let dir = TempDir::new().unwrap();
    let store = open(&dir, &chain, false);
    let peers = vec![(Peer::new("one"), source.clone()), (Peer::new("two"), source.clone())];
    let reached = |progress: &sync::Progress, _| progress.height == BlockHeight::new(90);
    let blamed = follow(&store, peers, |_, _, response| response, reached).await;
    assert_eq!(blamed, []);
    assert_eq!(store.tip().to_record(), source.tip().to_record());
    assert!(store.oldest_body_height().get() <= 90 - RETENTION + 1);
    drop(store);
    check(dir.path(), &chain.genesis, |_, _| {}).unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn an_archive_takes_everything_from_those_who_keep_everything() {
    let (_dir, whole, chain) = source(90, true);
    let (pruned_dir, dir) = (TempDir::new().unwrap(), TempDir::new().unwrap());
    let (pruned, store) = (open(&pruned_dir, &chain, false), open(&dir, &chain, true));
    for height in (1..=90).map(BlockHeight::new) {
        let block = whole.block(height).unwrap().unwrap();
        let certificate = whole.header(height).unwrap().unwrap().1;
        let verified = sealpost_ledger::chain::verify_block(&pruned.tip(), &pruned, block, None).unwrap();
        pruned.append(&verified.commit(certificate).unwrap()).unwrap();
    }
    let peers = vec![(Peer::new("pruned"), pruned), (Peer::new("whole"), whole)];
    let reached = |progress: &sync::Progress, _| progress.height == BlockHeight::new(90);
    assert_eq!(follow(&store, peers, |_, _, response| response, reached).await, []);
    assert_eq!(store.oldest_body_height(), BlockHeight::FIRST);
    assert!((1..=90).all(|height| store.block(BlockHeight::new(height)).unwrap().is_some()));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_forged_proof_is_blamed_and_nothing_is_taken_without_bodies() {
    let (_dir, source, chain) = source(90, false);
    let dir = TempDir::new().unwrap();
    let store = open(&dir, &chain, false);
    let forge = |_: &Peer, _: &Request, response| match response {
        Response::Proof(mut proof) => {
            // The forger hands over its own set under the signatures of another one.
            for validator in proof.changes.iter_mut().flat_map(|change| &mut change.validators) {
                validator.power = 1_000;
            }
            Response::Proof(proof)
        }
        response => response,
    };
    let blamed = follow(&store, vec![(Peer::new("liar"), source)], forge, |_, faults| faults > 0).await;
    assert_eq!(blamed, [(Peer::new("liar"), Fault::FalseBlock)]);
    assert_eq!(
        (store.tip().height(), store.oldest_body_height()),
        (BlockHeight::GENESIS, BlockHeight::FIRST)
    );
}
