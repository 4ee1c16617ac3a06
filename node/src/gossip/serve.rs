//! Answers what other nodes ask, from the store and from the mempool, within bounds.

use crate::store::Store;
use crate::wire::{EncodedBlock, MAX_BLOCKS, MAX_BLOCKS_BYTES, MAX_IDS, PoolWish, Request, Response};
use std::collections::HashMap;
use std::hash::Hash;
use std::time::{Duration, Instant};
use tokio::sync::{mpsc, oneshot};

/// Answers being prepared at once, for all peers together.
pub(super) const MAX_BEING_SERVED: usize = 32;
/// Bytes of transactions in one answer.
const MAX_TRANSACTIONS_BYTES: usize = 2 << 20;
/// Questions a peer may ask at once, and how many it regains in a second.
const BUCKET: f64 = 64.0;
const REFILL_PER_SECOND: f64 = 32.0;

/// Prepares an answer.
pub(super) async fn answer(request: Request, store: Store, pool: mpsc::Sender<PoolWish>) -> Response {
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
                Ok(Ok(blocks)) => {
                    let blocks = blocks.into_iter();
                    let encode = |(block, certificate): (bytes::Bytes, _)| EncodedBlock {
                        block: block.into(),
                        certificate,
                    };
                    Response::Blocks(blocks.map(encode).collect())
                }
                Ok(Err(error)) => {
                    tracing::error!(%error, from = from.get(), "blocks for a peer can't be read");
                    Response::Busy
                }
                Err(_) => Response::Busy,
            }
        }
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

/// Asks the mempool; nothing if it is too busy.
pub(super) async fn wish<T>(
    pool: &mpsc::Sender<PoolWish>,
    wish: PoolWish,
    answer: oneshot::Receiver<T>,
) -> Option<T> {
    pool.try_send(wish).ok()?;
    answer.await.ok()
}

/// A bucket of questions for each peer: whoever asks too much waits.
#[derive(Debug)]
pub(super) struct Buckets<K> {
    left: HashMap<K, (f64, Instant)>,
}

impl<K: Eq + Hash> Buckets<K> {
    pub(super) fn new() -> Self {
        Self { left: HashMap::new() }
    }
    /// Takes a question out of a peer's bucket; `false` if it is empty.
    pub(super) fn take(&mut self, peer: K, now: Instant) -> bool {
        let (left, since) = self.left.entry(peer).or_insert((BUCKET, now));
        let passed = now.saturating_duration_since(*since);
        *left = (*left + passed.as_secs_f64() * REFILL_PER_SECOND).min(BUCKET);
        *since = now;
        if *left < 1.0 {
            return false;
        }
        *left -= 1.0;
        true
    }
    /// Forgets those who have not asked for a minute.
    pub(super) fn tidy(&mut self, now: Instant) {
        self.left.retain(|_, (_, since)| now.saturating_duration_since(*since) < Duration::from_secs(60));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_peer_that_asks_too_much_waits_and_others_do_not() {
        let (mut buckets, now) = (Buckets::new(), Instant::now());
        let asked = (0..200).filter(|_| buckets.take(1, now)).count();
        assert_eq!(asked, 64);
        assert!(buckets.take(2, now));
        let later = now + Duration::from_secs(1);
        assert_eq!((0..200).filter(|_| buckets.take(1, later)).count(), 32);
    }
}
