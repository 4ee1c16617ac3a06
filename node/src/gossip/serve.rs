//! Answers what other nodes ask, from the store and from the mempool, within bounds.

use crate::store::{Store, StoreError};
use crate::wire::{
    AnnouncedSet, Announcement, EncodedBlock, MAX_BLOCKS, MAX_BLOCKS_BYTES, MAX_CHANGES, MAX_IDS, PoolWish,
    Proof, Request, Response,
};
use sealpost_ledger::height::BlockHeight;
use std::collections::HashMap;
use std::hash::Hash;
use std::time::{Duration, Instant};
use tokio::sync::{mpsc, oneshot};

/// Answers being prepared or written at once, for all peers together: one is up to [`MAX_BLOCKS_BYTES`] long.
pub(super) const MAX_BEING_SERVED: usize = 32;
/// Bytes of transactions in one answer.
const MAX_TRANSACTIONS_BYTES: usize = 2 << 20;
/// Answers being prepared or written for one peer.
pub(super) const MAX_PER_PEER: usize = 4;

/// Prepares an answer.
pub(crate) async fn answer(request: Request, store: Store, pool: mpsc::Sender<PoolWish>) -> Response {
    match request {
        Request::Status => {
            let read = move || (store.tip().height(), store.oldest_body_height());
            match tokio::task::spawn_blocking(read).await {
                Ok((height, oldest)) => Response::Status { height, oldest },
                Err(_) => Response::Busy,
            }
        }
        Request::Blocks { from, count } => {
            let count = usize::try_from(count.min(MAX_BLOCKS)).unwrap_or(0);
            let read = move || store.blocks(from, count, MAX_BLOCKS_BYTES);
            match tokio::task::spawn_blocking(read).await {
                Ok(Ok(blocks)) => Response::Blocks(blocks.into_iter().map(EncodedBlock::from).collect()),
                Ok(Err(error)) => {
                    tracing::error!(%error, from = from.get(), "blocks for a peer can't be read");
                    Response::Busy
                }
                Err(_) => Response::Busy,
            }
        }
        Request::Proof { after } => {
            let read = move || proof(&store, after);
            match tokio::task::spawn_blocking(read).await {
                Ok(Ok(Some(proof))) => proof,
                Ok(Ok(None)) | Err(_) => Response::Busy,
                Ok(Err(error)) => {
                    tracing::error!(%error, "a proof for a peer can't be read");
                    Response::Busy
                }
            }
        }
        // Answered where peers are known.
        Request::Peers => Response::Busy,
        Request::Waiting => {
            let (reply, ids) = oneshot::channel();
            wish(&pool, PoolWish::Ids(reply), ids).await.map_or(Response::Busy, Response::Waiting)
        }
        Request::Transactions(ids) if ids.len() > MAX_IDS => Response::Busy,
        Request::Transactions(ids) => {
            let (reply, found) = oneshot::channel();
            let wanted = PoolWish::Get(ids, MAX_TRANSACTIONS_BYTES, reply);
            wish(&pool, wanted, found).await.map_or(Response::Busy, Response::Transactions)
        }
    }
}

/// What shows that the store's last block is final; nothing if there is none yet. Blocks.
fn proof(store: &Store, after: BlockHeight) -> Result<Option<Response>, StoreError> {
    let announcement = |height| {
        let found = store.header(height)?;
        Ok::<_, StoreError>(found.map(|(header, certificate)| Announcement { header, certificate }))
    };
    let head = store.tip().height();
    let mut changes = Vec::new();
    for (height, set) in store.validator_changes(after, MAX_CHANGES)? {
        let Some(at) = announcement(height)? else { break };
        changes.push(AnnouncedSet { at, validators: set.validators().to_vec() });
    }
    Ok(announcement(head)?.map(|head| Response::Proof(Box::new(Proof { changes, head }))))
}

/// Asks the mempool; nothing if it is too busy.
pub(super) async fn wish<T>(
    pool: &mpsc::Sender<PoolWish>,
    wish: PoolWish,
    answer: oneshot::Receiver<T>,
) -> Option<T> {
    pool.try_send(wish).ok()?;
    answer.await.ok()
}

/// A bucket for each peer, which empties with use and fills with time.
#[derive(Debug)]
pub(super) struct Buckets<K> {
    size: f64,
    per_second: f64,
    left: HashMap<K, (f64, Instant)>,
}

/// What a bucket gives.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Given {
    /// What was asked for.
    All,
    /// Nothing now: the bucket is empty.
    Nothing,
    /// Nothing, and whoever asks has been told so for long enough.
    Flood,
}

impl<K: Eq + Hash> Buckets<K> {
    /// Buckets of that size, which regain so much in a second.
    pub(super) fn new(size: f64, per_second: f64) -> Self {
        Self { size, per_second, left: HashMap::new() }
    }
    /// Takes so much out of a peer's bucket. One that is empty goes on down to its size below nothing.
    pub(super) fn take(&mut self, peer: K, amount: f64, now: Instant) -> Given {
        let (left, since) = self.left.entry(peer).or_insert((self.size, now));
        let passed = now.saturating_duration_since(*since);
        *left = (*left + passed.as_secs_f64() * self.per_second).min(self.size);
        *since = now;
        let enough = *left >= amount;
        let given = match enough {
            true => Given::All,
            false if *left > -self.size => Given::Nothing,
            false => Given::Flood,
        };
        *left = (*left - amount).max(-2.0 * self.size);
        given
    }
    /// Forgets those who have not asked for a minute.
    pub(super) fn tidy(&mut self, now: Instant) {
        self.left.retain(|_, (_, since)| now.saturating_duration_since(*since) < Duration::from_secs(60));
    }
}

/// So many times what is looked at a peer may tell, and the rest is dropped without blame: an honest node passes on
/// what others send, and does not choose how much that is. More than that no node can have verified.
const FORGIVEN: f64 = 10.0;

/// What each peer may tell: so much is looked at, more is dropped, far more is a flood.
#[derive(Debug)]
pub(super) struct Allowance<K> {
    looked_at: Buckets<K>,
    forgiven: Buckets<K>,
}

impl<K: Eq + Hash + Copy> Allowance<K> {
    /// So much at once, and so much in each second.
    pub(super) fn new(size: f64, per_second: f64) -> Self {
        let forgiven = Buckets::new(FORGIVEN * size, FORGIVEN * per_second);
        Self { looked_at: Buckets::new(size, per_second), forgiven }
    }
    /// Takes what a peer tells.
    pub(super) fn take(&mut self, peer: K, amount: f64, now: Instant) -> Given {
        let looked_at = self.looked_at.take(peer, amount, now);
        match self.forgiven.take(peer, amount, now) {
            Given::All if looked_at == Given::All => Given::All,
            Given::All => Given::Nothing,
            Given::Nothing | Given::Flood => Given::Flood,
        }
    }
    /// As [`Buckets::tidy`].
    pub(super) fn tidy(&mut self, now: Instant) {
        self.looked_at.tidy(now);
        self.forgiven.tidy(now);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whoever_passes_on_what_others_send_is_not_blamed_for_how_much_it_is() {
        let (mut allowance, start) = (Allowance::new(64.0, 32.0), Instant::now());
        // For a minute three times as much as is looked at.
        let given: Vec<_> = (0_u64..600)
            .map(|tenth| allowance.take(1, 9.6, start + Duration::from_millis(100 * tenth)))
            .collect();
        assert!(!given.contains(&Given::Flood));
        assert!(given.contains(&Given::All) && given.contains(&Given::Nothing));
        // And then all at once.
        let end = start + Duration::from_secs(60);
        let given: Vec<_> = (0..200).map(|_| allowance.take(1, 9.6, end)).collect();
        assert_eq!(given.last(), Some(&Given::Flood));
    }

    #[test]
    fn a_peer_that_asks_too_much_waits_and_others_do_not() {
        let (mut buckets, now) = (Buckets::new(64.0, 32.0), Instant::now());
        let given: Vec<_> = (0..200).map(|_| buckets.take(1, 1.0, now)).collect();
        let count = |what| given.iter().filter(|given| **given == what).count();
        assert_eq!((count(Given::All), count(Given::Nothing)), (64, 64));
        assert_eq!(count(Given::Flood), 72);
        assert_eq!(buckets.take(2, 1.0, now), Given::All);
        // Paid back before anything is given again.
        let later = now + Duration::from_secs(6);
        assert_eq!(buckets.take(1, 1.0, later), Given::All);
        assert_eq!(buckets.take(1, 1000.0, later), Given::Nothing);
    }
}
