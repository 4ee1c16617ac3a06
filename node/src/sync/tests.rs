//! Sync with a real store, while the test plays the peers: honest ones, lying ones, absent ones.
#![allow(clippy::expect_used, clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

use super::*;
use crate::store::testing::Chain;
use crate::store::{FoundBody, StoreOptions};
use crate::wire::{Announcement, EncodedBlock, Proof, Request, Response, Verdict};
use sealpost_ledger::block::Block;
use std::time::Duration;
use tempfile::TempDir;
use tokio::sync::oneshot;
use tokio::time::timeout;

const PATIENCE: Duration = Duration::from_secs(30);

/// A follower with an empty store, and the ends of its channels.
struct World {
    chain: Chain,
    source: Store,
    store: Store,
    news: mpsc::Sender<News>,
    asked: mpsc::Receiver<Ask>,
    faults: mpsc::Receiver<(Peer, Fault)>,
    committed: mpsc::Receiver<Arc<CommittedBlock>>,
    wish: watch::Sender<Wish>,
    progress: watch::Receiver<Progress>,
    head: watch::Sender<BlockHeight>,
    stop: CancellationToken,
    task: JoinHandle<Result<(), SyncError>>,
    dirs: [TempDir; 2],
}

impl World {
    /// The source has that many blocks.
    fn new(blocks: u64) -> Self {
        Self::of(Chain::new("sync"), blocks)
    }
    /// A source with that many blocks of this chain.
    fn of(chain: Chain, blocks: u64) -> Self {
        let dirs = [TempDir::new().unwrap(), TempDir::new().unwrap()];
        let open = |dir: &TempDir| {
            Store::open(dir.path(), chain.genesis.clone(), StoreOptions::default()).unwrap().0
        };
        let (source, store) = (open(&dirs[0]), open(&dirs[1]));
        chain.grow(&source, blocks);
        Self::over(chain, source, store, dirs)
    }
    /// A new task over these stores.
    fn over(chain: Chain, source: Store, store: Store, dirs: [TempDir; 2]) -> Self {
        let (news, news_of) = mpsc::channel(64);
        let (ask, asked) = mpsc::channel(64);
        let (fault, faults) = mpsc::channel(64);
        let (commit, committed) = mpsc::channel(4096);
        let (wish, wish_of) = watch::channel(Wish { mode: Mode::Follow, number: 1 });
        let (progress_of, progress) = watch::channel(begin(&store));
        let (head, head_of) = watch::channel(store.tip().height());
        let stop = CancellationToken::new();
        let wiring = Wiring {
            news: news_of,
            ask,
            waiting: Waiting::default(),
            faults: fault,
            committed: commit,
            wish: wish_of,
            progress: progress_of,
            head: head_of,
            stop: stop.clone(),
        };
        let task = start(store.clone(), wiring);
        World { chain, source, store, news, asked, faults, committed, wish, progress, head, stop, task, dirs }
    }
    async fn claims(&self, peer: &Peer, height: u64) {
        self.claims_from(peer, height, 1).await;
    }
    /// A peer says how far it is, and from where on it has whole blocks.
    async fn claims_from(&self, peer: &Peer, height: u64, oldest: u64) {
        let (height, oldest) = (BlockHeight::new(height), BlockHeight::new(oldest));
        self.news.send(News::Status { peer: peer.clone(), height, oldest }).await.unwrap();
    }
    /// A block of the source, as a peer tells of it.
    fn announcement(&self, height: u64) -> Announcement {
        let (header, certificate) = self.source.header(BlockHeight::new(height)).unwrap().unwrap();
        Announcement { header, certificate }
    }
    async fn announces(&self, peer: &Peer, height: u64) -> oneshot::Receiver<Verdict> {
        self.announces_this(peer, self.announcement(height)).await
    }
    async fn announces_this(&self, peer: &Peer, announcement: Announcement) -> oneshot::Receiver<Verdict> {
        let (verdict, judged) = oneshot::channel();
        let announcement = Box::new(announcement);
        self.news.send(News::Announced { peer: peer.clone(), announcement, verdict }).await.unwrap();
        judged
    }
    /// Serves honestly until a height is reached; the first block that was fetched.
    async fn first_fetched_until(&mut self, height: u64) -> Option<u64> {
        let mut first = None;
        let note = |_: &Peer, honest| {
            if let Response::Blocks(blocks) = &honest {
                first = first.or(blocks.first().map(|block| block.certificate.height.get()));
            }
            Some(honest)
        };
        self.serve_until(height, note).await;
        first
    }
    /// Answers questions with what `answer` makes of the honest answer, until the follower has come so far.
    async fn serve_until(&mut self, height: u64, answer: impl FnMut(&Peer, Response) -> Option<Response>) {
        // Peers are asked how far they are as long as it runs: one question without an answer bounds nothing.
        timeout(4 * PATIENCE, self.serve(height, answer)).await.expect("it comes so far");
    }
    async fn serve(&mut self, height: u64, mut answer: impl FnMut(&Peer, Response) -> Option<Response>) {
        let mut progress = self.progress.clone();
        let reached = progress.wait_for(|progress| progress.height.get() >= height);
        tokio::pin!(reached);
        loop {
            tokio::select! {
                done = &mut reached => {
                    done.unwrap();
                    return;
                }
                ask = self.asked.recv() => {
                    let Ask { peer, request, answer: reply } = ask.unwrap();
                    let honest = match request {
                        Request::Blocks { from, count } => {
                            let blocks = self.source.blocks(from, count as usize, 1 << 20).unwrap();
                            Response::Blocks(blocks.into_iter().map(EncodedBlock::from).collect())
                        }
                        Request::Status => Response::Status {
                            height: self.source.tip().height(),
                            oldest: BlockHeight::FIRST,
                        },
                        // No block of the source changes the validators.
                        Request::Proof { .. } => {
                            let head = self.announcement(self.source.tip().height().get());
                            Response::Proof(Box::new(Proof { changes: Vec::new(), head }))
                        }
                        other => panic!("{other:?} is nothing for sync"),
                    };
                    // It may have been banned, and its answer not be waited for.
                    let _ = reply.send(answer(&peer, honest));
                }
            }
        }
    }
    fn agrees_up_to(&self, height: u64) {
        let at = |store: &Store| store.header(BlockHeight::new(height)).unwrap().unwrap().0.hash();
        assert_eq!(at(&self.store), at(&self.source));
    }
    async fn stop(self) -> (Chain, Store, Store, [TempDir; 2]) {
        self.stop.cancel();
        timeout(PATIENCE, self.task).await.unwrap().unwrap().unwrap();
        (self.chain, self.source, self.store, self.dirs)
    }
}

fn peer(name: &str) -> Peer {
    Peer::new(name)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_follower_catches_up_and_tells_of_every_block_in_order() {
    let mut world = World::new(300);
    world.claims(&peer("a"), 300).await;
    world.claims(&peer("b"), 300).await;
    world.serve_until(300, |_, honest| Some(honest)).await;
    world.agrees_up_to(300);
    for height in 1..=300 {
        assert_eq!(world.committed.recv().await.unwrap().block().height().get(), height);
    }
    assert!(world.faults.try_recv().is_err());
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn false_blocks_are_not_stored_and_cost_whoever_brought_them() {
    let mut world = World::new(100);
    world.claims(&peer("liar"), 100).await;
    world.claims(&peer("honest"), 100).await;
    world
        .serve_until(100, |peer, honest| match honest {
            Response::Blocks(mut blocks) if peer.as_str() == "liar" => {
                // The signature of another block: the certificate does not hold.
                if let [first, .., last] = blocks.as_mut_slice() {
                    last.certificate.signatures.clone_from(&first.certificate.signatures);
                }
                Some(Response::Blocks(blocks))
            }
            honest => Some(honest),
        })
        .await;
    world.agrees_up_to(100);
    let (blamed, fault) = world.faults.recv().await.unwrap();
    assert_eq!((blamed.as_str(), fault), ("liar", Fault::FalseBlock));
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_claims_a_height_that_is_not_there_or_never_answers_holds_up_nobody() {
    let mut world = World::new(70);
    world.claims(&peer("boaster"), u64::MAX).await;
    world.claims(&peer("mute"), 70).await;
    world.claims(&peer("honest"), 70).await;
    world
        .serve_until(70, |peer, honest| match peer.as_str() {
            "boaster" => Some(Response::Blocks(Vec::new())),
            "mute" => None,
            _ => Some(honest),
        })
        .await;
    world.agrees_up_to(70);
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_announced_block_is_forwarded_once_and_fetched() {
    let mut world = World::new(1);
    assert_eq!(world.announces(&peer("a"), 1).await.await.unwrap(), Verdict::Forward);
    assert_eq!(world.announces(&peer("b"), 1).await.await.unwrap(), Verdict::Drop);
    // The first to tell passed it on before it had the block itself.
    let mut early = true;
    world
        .serve_until(1, |peer, honest| match (peer.as_str(), honest) {
            ("a", Response::Blocks(_)) if std::mem::take(&mut early) => Some(Response::Blocks(Vec::new())),
            // Nobody claims anything: they have only told.
            (_, Response::Status { oldest, .. }) => {
                Some(Response::Status { height: BlockHeight::GENESIS, oldest })
            }
            (_, honest) => Some(honest),
        })
        .await;
    world.agrees_up_to(1);
    assert!(world.faults.try_recv().is_err());
    assert_eq!(world.announces(&peer("c"), 1).await.await.unwrap(), Verdict::Drop);
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_false_announcement_is_refused() {
    let world = World::new(2);
    let (header, _) = world.source.header(BlockHeight::FIRST).unwrap().unwrap();
    let (_, other) = world.source.header(BlockHeight::new(2)).unwrap().unwrap();
    let forged = Announcement { header, certificate: other };
    assert_eq!(world.announces_this(&peer("a"), forged).await.await.unwrap(), Verdict::Refuse);
    assert_eq!(world.progress.borrow().proven, BlockHeight::GENESIS);
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn while_it_only_watches_nothing_is_fetched_and_nothing_appended() {
    let mut world = World::new(20);
    world.wish.send_replace(Wish { mode: Mode::Watch, number: 2 });
    world.progress.wait_for(|progress| progress.fulfilled == 2).await.unwrap();
    world.claims(&peer("a"), 20).await;
    assert_eq!(world.announces(&peer("a"), 20).await.await.unwrap(), Verdict::Forward);
    world.progress.wait_for(|progress| progress.proven.get() == 20).await.unwrap();
    while let Ok(Ask { request, .. }) = world.asked.try_recv() {
        assert_eq!(request, Request::Status);
    }
    assert_eq!(world.store.tip().height(), BlockHeight::GENESIS);
    world.wish.send_replace(Wish { mode: Mode::Follow, number: 3 });
    world.serve_until(20, |_, honest| Some(honest)).await;
    world.agrees_up_to(20);
    world.stop().await;
}

/// Consensus may have appended a block just before this node begins to follow.
#[tokio::test(flavor = "multi_thread")]
async fn blocks_that_others_appended_meanwhile_are_no_peers_fault() {
    let mut world = World::new(40);
    world.wish.send_replace(Wish { mode: Mode::Watch, number: 2 });
    world.progress.wait_for(|progress| progress.fulfilled == 2).await.unwrap();
    for height in 1..=30 {
        let (block, certificate) = world.source.certified_block(BlockHeight::new(height)).unwrap().unwrap();
        let tip = world.store.tip();
        let block = sealpost_ledger::chain::verify_block(&tip, &world.store, block, None).unwrap();
        world.store.append(&block.commit(certificate).unwrap()).unwrap();
    }
    world.claims(&peer("a"), 40).await;
    world.wish.send_replace(Wish { mode: Mode::Follow, number: 3 });
    assert_eq!(world.first_fetched_until(40).await, Some(31));
    assert!(world.faults.try_recv().is_err());
    world.agrees_up_to(40);
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn blocks_that_others_append_while_it_follows_are_not_asked_for() {
    let mut world = World::new(40);
    world.chain.grow(&world.store, 30);
    world.head.send_replace(BlockHeight::new(30));
    let moved = world.progress.wait_for(|progress| progress.height.get() == 30);
    timeout(PATIENCE, moved).await.unwrap().unwrap();
    world.claims(&peer("a"), 40).await;
    assert_eq!(world.first_fetched_until(40).await, Some(31));
    world.agrees_up_to(40);
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_is_heard_before_a_peer_has_said_something() {
    let mut world = World::new(1);
    world.wish.send_replace(Wish { mode: Mode::Watch, number: 2 });
    world.progress.wait_for(|progress| progress.fulfilled == 2).await.unwrap();
    assert!(!world.progress.borrow().heard);
    world.claims(&peer("a"), 0).await;
    timeout(PATIENCE, world.progress.wait_for(|progress| progress.heard)).await.unwrap().unwrap();
    world.stop().await;
}

/// Nobody has the bodies of old blocks any more, and somebody has to show first that they are out of retention.
#[tokio::test(flavor = "multi_thread")]
async fn where_all_have_dropped_bodies_blocks_are_taken_without_once_their_age_is_proven() {
    let oldest = BlockHeight::new(80);
    let mut world = World::of(Chain::keeping("sync", 10), 100);
    world.claims_from(&peer("a"), 100, oldest.get()).await;
    let mut proofs = 0;
    let without_bodies = |mut encoded: EncodedBlock| {
        if encoded.certificate.height < oldest {
            let block = encoded.read().unwrap();
            encoded.block =
                Block::new(block.header().clone(), block.transactions().to_vec(), Vec::new()).to_bytes();
        }
        encoded
    };
    world
        .serve_until(100, |_, honest| match honest {
            Response::Status { height, .. } => Some(Response::Status { height, oldest }),
            Response::Blocks(blocks) => {
                assert_eq!(proofs, 1, "blocks are asked for before their age is proven");
                Some(Response::Blocks(blocks.into_iter().map(without_bodies).collect()))
            }
            Response::Proof(proof) => {
                proofs += 1;
                assert_eq!(proofs, 1, "it is asked for again, though it was given");
                Some(Response::Proof(proof))
            }
            honest => Some(honest),
        })
        .await;
    assert_eq!(proofs, 1);
    world.agrees_up_to(100);
    let id = world.source.transaction_ids(BlockHeight::FIRST).unwrap().unwrap()[0];
    assert!(matches!(world.store.body(&id), Ok(FoundBody::Pruned)), "it came without");
    assert!(world.faults.try_recv().is_err());
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_claimed_little_is_asked_again_how_far_it_is_and_nonsense_is_noted() {
    let mut world = World::new(30);
    // The babbler first: it is asked no later than the other, who ends the test.
    world.claims(&peer("babbler"), 0).await;
    world.claims(&peer("a"), 0).await;
    world
        .serve_until(30, |peer, honest| match (peer.as_str(), honest) {
            ("babbler", Response::Status { .. }) => Some(Response::Blocks(Vec::new())),
            (_, honest) => Some(honest),
        })
        .await;
    world.agrees_up_to(30);
    let (blamed, fault) = timeout(PATIENCE, world.faults.recv()).await.unwrap().unwrap();
    assert_eq!((blamed.as_str(), fault), ("babbler", Fault::Malformed));
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_keeps_all_bodies_asks_nobody_how_old_blocks_are() {
    let mut world = World::new(30);
    world.claims_from(&peer("a"), 30, 20).await;
    world.progress.wait_for(|progress| progress.target.get() == 30).await.unwrap();
    world.claims(&peer("b"), 30).await;
    world
        .serve_until(30, |peer, honest| match (peer.as_str(), honest) {
            (_, Response::Proof(proof)) => panic!("{proof:?} is of no use"),
            ("a", Response::Status { height, .. }) => {
                Some(Response::Status { height, oldest: BlockHeight::new(20) })
            }
            (_, honest) => Some(honest),
        })
        .await;
    world.agrees_up_to(30);
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_lies_about_the_age_of_blocks_is_noted() {
    let mut world = World::of(Chain::keeping("sync", 10), 100);
    let oldest = BlockHeight::new(80);
    world.claims_from(&peer("liar"), 100, oldest.get()).await;
    let other = world.announcement(1).certificate;
    let mut faults = std::mem::replace(&mut world.faults, mpsc::channel(1).1);
    let noted = {
        let lied = world.serve(100, |_, honest| match honest {
            Response::Proof(mut proof) => {
                proof.head.certificate.signatures.clone_from(&other.signatures);
                Some(Response::Proof(proof))
            }
            Response::Status { height, .. } => Some(Response::Status { height, oldest }),
            honest => Some(honest),
        });
        tokio::select! {
            () = lied => None,
            noted = timeout(PATIENCE, faults.recv()) => noted.unwrap(),
        }
    };
    assert_eq!(
        noted.map(|(peer, fault)| (peer.as_str().to_owned(), fault)),
        Some(("liar".into(), Fault::FalseBlock))
    );
    assert_eq!(world.store.tip().height(), BlockHeight::GENESIS);
    world.stop().await;
}

#[test]
fn one_is_behind_what_two_claim_and_certainly_what_is_proven() {
    let [height, target, agreed, proven] = [3, 20, 10, 7].map(BlockHeight::new);
    let behind = Progress { fulfilled: 0, height, target, agreed, proven, heard: true };
    assert_eq!((behind.behind(), behind.certainly_behind()), (7, 4));
    let ahead = Progress { height: target, ..behind };
    assert_eq!((ahead.behind(), ahead.certainly_behind()), (0, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stopped_follower_goes_on_where_it_was() {
    let mut world = World::new(200);
    world.claims(&peer("a"), 100).await;
    world
        .serve_until(100, |_, honest| match honest {
            Response::Status { oldest, .. } => {
                Some(Response::Status { height: BlockHeight::new(100), oldest })
            }
            honest => Some(honest),
        })
        .await;
    let (chain, source, store, dirs) = world.stop().await;
    let reached = store.tip().height().get();
    assert_eq!(reached, 100);
    let mut world = World::over(chain, source, store, dirs);
    world.claims(&peer("a"), 200).await;
    assert_eq!(world.first_fetched_until(200).await, Some(reached + 1));
    world.agrees_up_to(200);
    world.stop().await;
}
