//! What the RPC's own tests connect it with.

use super::{PoolAnswer, PoolQuery, PoolSizes, SubmissionQueue, Wiring};
use crate::health::{Health, HealthSource};
use sealpost_ledger::hash::TransactionId;
use sealpost_ledger::height::BlockHeight;
use tokio::sync::{mpsc, watch};
use tokio_util::sync::CancellationToken;

/// A node at a height in whose mempool nothing waits.
pub(super) fn wiring(height: BlockHeight) -> Wiring {
    wiring_with(height, &[]).0
}

/// A node at a height in whose mempool these wait; and its queue, which nobody reads.
pub(super) fn wiring_with(height: BlockHeight, waiting: &[TransactionId]) -> (Wiring, SubmissionQueue) {
    let (submissions, submitted) = super::submissions(100, 10);
    let (queries, mut asked) = mpsc::channel(100);
    let waiting = waiting.to_vec();
    tokio::spawn(async move {
        while let Some(PoolQuery { ids, reply }) = asked.recv().await {
            let answer = |id| PoolAnswer { waiting: waiting.contains(id), first_seen_ms: None };
            let _ = reply.send(ids.iter().map(answer).collect());
        }
    });
    let health = Health { deciding: true, syncing: false, target: 0, peers: 0, needs_peers: false };
    let wiring = Wiring {
        submissions,
        queries,
        pool: watch::channel(PoolSizes::default()).1,
        // Its sender is gone, and it stays as it is.
        head: watch::channel(height).1,
        health: HealthSource::new(move || health),
        roster: None,
        stop: CancellationToken::new(),
    };
    (wiring, submitted)
}
