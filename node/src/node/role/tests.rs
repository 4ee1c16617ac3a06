//! A validator without its log of votes, told of blocks one after another by a clock that is not this machine's.

#![allow(clippy::unwrap_used)]

use super::*;
use crate::store::StoreOptions;
use crate::store::testing::Chain;
use crate::sync;
use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::Poll;
use tempfile::TempDir;

/// The clock drift of the test chain's genesis.
const DRIFT: u64 = 1_000;
const START: u64 = 1_000_000_000;

/// What the validator is told, and the validator's clock.
struct Told {
    _dir: TempDir,
    chain: Chain,
    store: Store,
    head: watch::Sender<BlockHeight>,
    progress: watch::Sender<Progress>,
    clock: Arc<Clock>,
}

#[derive(Default)]
struct Clock {
    clock_ms: AtomicU64,
    running_ms: AtomicU64,
}

impl Told {
    /// A final block of a time, as the network made it.
    fn block(&self, time_ms: u64) {
        self.store.append(&self.chain.next_at(&self.store, time_ms)).unwrap();
        self.head.send_replace(self.store.tip().height());
        self.progress.send_modify(|progress| progress.height = self.store.tip().height());
    }
    fn time_passes(&self, milliseconds: u64) {
        self.clock.clock_ms.fetch_add(milliseconds, Ordering::Relaxed);
        self.clock.running_ms.fetch_add(milliseconds, Ordering::Relaxed);
    }
    /// The clock is set, and no time passes.
    fn set_clock(&self, clock_ms: u64) {
        self.clock.clock_ms.store(clock_ms, Ordering::Relaxed);
    }
}

/// A validator's role over a chain whose last block has that time, and the ends of its channels.
fn role(tip_time_ms: u64) -> (Role, Told) {
    let (dir, chain) = (TempDir::new().unwrap(), Chain::new("rejoining"));
    let (store, _) = Store::open(dir.path(), chain.genesis.clone(), StoreOptions::default()).unwrap();
    store.append(&chain.next_at(&store, tip_time_ms)).unwrap();
    let (head, told_head) = watch::channel(store.tip().height());
    let (progress, told_progress) = watch::channel(sync::begin(&store));
    let role = Role {
        store: store.clone(),
        consensus: None,
        rejoin: true,
        wish: watch::Sender::new(Wish::default()),
        progress: told_progress,
        head: told_head,
        deciding: watch::Sender::new(false),
        mempool: mpsc::channel(1).0,
        refused: mpsc::channel(1).0,
        decided: mpsc::channel(1).0,
        pending: watch::channel(0).1,
        stop: CancellationToken::new(),
    };
    let told = Told { _dir: dir, chain, store, head, progress, clock: Arc::default() };
    told.set_clock(START);
    (role, told)
}

/// Whether the validator would vote now.
async fn votes(waiting: &mut Pin<Box<impl Future<Output = ()>>>) -> bool {
    std::future::poll_fn(|context| Poll::Ready(waiting.as_mut().poll(context).is_ready())).await
}

fn waiting<'a>(role: &'a mut Role, told: &Told) -> Pin<Box<impl Future<Output = ()> + use<'a>>> {
    let clock = told.clock.clone();
    Box::pin(role.wait_until_votes_are_past(move || Now {
        clock_ms: clock.clock_ms.load(Ordering::Relaxed),
        running_ms: clock.running_ms.load(Ordering::Relaxed),
    }))
}

#[tokio::test]
async fn the_block_that_is_there_already_lets_nobody_vote_whatever_its_time() {
    for ahead in [0, DRIFT + 1, 2 * DRIFT + 1, 3_600_000] {
        let (mut role, told) = role(START + ahead);
        let mut waiting = waiting(&mut role, &told);
        assert!(!votes(&mut waiting).await, "a block {ahead} ms ahead");
    }
}

#[tokio::test]
async fn a_validator_votes_once_a_block_is_certainly_new() {
    let (mut role, told) = role(START - 5_000);
    let mut waiting = waiting(&mut role, &told);
    assert!(!votes(&mut waiting).await);
    // Decided before this start, by a proposer whose clock is ahead, and allowed to be ahead of that of others.
    told.block(START + 2 * DRIFT);
    assert!(!votes(&mut waiting).await);
    told.time_passes(4 * DRIFT);
    told.block(START + 60_000);
    assert!(!votes(&mut waiting).await, "no clock has come to this time");
    told.time_passes(60_000);
    // More blocks are known to be final: what is here is not the newest.
    told.progress.send_modify(|progress| progress.proven = BlockHeight::new(9));
    told.block(START + 61_000);
    assert!(!votes(&mut waiting).await);
    told.progress.send_modify(|progress| progress.proven = progress.height);
    assert!(votes(&mut waiting).await);
}

/// The clock is behind by days, as without a battery and before it is set: blocks of days ago are no new ones.
#[tokio::test]
async fn blocks_of_long_ago_are_not_taken_for_new_ones_by_a_clock_that_is_behind() {
    const DAY: u64 = 24 * 3_600_000;
    let (mut role, told) = role(START);
    let mut waiting = waiting(&mut role, &told);
    for hour in 1..=48 {
        told.block(START + hour * 3_600_000);
        assert!(!votes(&mut waiting).await, "hour {hour}");
    }
    told.time_passes(DRIFT);
    told.set_clock(START + 2 * DAY);
    told.block(START + 2 * DAY + DRIFT);
    assert!(!votes(&mut waiting).await, "by the right clock, this validator had not started a day ago");
    told.time_passes(5 * DRIFT);
    told.block(START + 2 * DAY + 5 * DRIFT);
    assert!(votes(&mut waiting).await);
}
