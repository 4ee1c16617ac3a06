//! Reading from the store, where blocking is allowed. The threads for that are also those of consensus, sync and
//! admission: so many readers of the RPC are there at once and no more, and the others wait before they take one. Programs
//! on this machine have readers of their own: whoever runs the node is answered however many strangers wait. What is
//! submitted does not wait for what is read.

use super::{Failure, Reader};
use sealpost_api::{ApiError, Category};
use std::sync::Arc;
use std::thread::available_parallelism;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Readers at once, for each core.
const READERS: usize = 4;

/// Whom is read for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Rank {
    /// A program on this machine.
    Here,
    /// Anybody else.
    Stranger,
}

tokio::task_local! {
    static RANK: Rank;
}

/// Answers a call for somebody: what is read in the course of it is read for them.
pub(super) async fn reading_for<T>(rank: Rank, answer: impl Future<Output = T>) -> T {
    RANK.scope(rank, answer).await
}

/// Reads for everybody, in turn. Cloning it copies references.
#[derive(Clone)]
pub(super) struct Reading {
    pub(super) reader: Reader,
    readers: Turns,
    submitters: Turns,
    replays: Arc<Semaphore>,
}

/// So many at once of each rank.
#[derive(Clone)]
struct Turns {
    here: Arc<Semaphore>,
    strangers: Arc<Semaphore>,
}

impl Turns {
    fn new(count: usize) -> Self {
        let [here, strangers] = [count; 2].map(|count| Arc::new(Semaphore::new(count)));
        Self { here, strangers }
    }
    /// Those of whoever is answered. Subscriptions, which are tasks of their own, have no rank.
    fn now(&self) -> &Arc<Semaphore> {
        match RANK.try_with(|rank| *rank) {
            Ok(Rank::Here) => &self.here,
            Ok(Rank::Stranger) | Err(_) => &self.strangers,
        }
    }
}

/// Held by a subscription while it reads an old block.
#[derive(Debug)]
pub(super) struct Turn(#[allow(dead_code, reason = "it is dropped, and that is all")] OwnedSemaphorePermit);

impl Reading {
    /// With so many subscriptions that read old blocks at once.
    pub(super) fn new(reader: Reader, replays: usize) -> Self {
        let readers = READERS.saturating_mul(available_parallelism().map_or(1, usize::from));
        Self::with_readers(reader, readers, replays)
    }
    fn with_readers(reader: Reader, readers: usize, replays: usize) -> Self {
        let replays = replays.clamp(1, Semaphore::MAX_PERMITS);
        let (submitters, replays) = (Turns::new(readers), Arc::new(Semaphore::new(replays)));
        Self { reader, readers: Turns::new(readers), submitters, replays }
    }
    /// Reads when its turn has come.
    pub(super) async fn read<T: Send + 'static>(
        &self,
        read: impl FnOnce(&Reader) -> Result<T, Failure> + Send + 'static,
    ) -> Result<T, ApiError> {
        self.read_in(&self.readers, read).await
    }
    /// Looks up what is submitted: that does not wait for those who only read.
    pub(super) async fn look_up<T: Send + 'static>(
        &self,
        read: impl FnOnce(&Reader) -> Result<T, Failure> + Send + 'static,
    ) -> Result<T, ApiError> {
        self.read_in(&self.submitters, read).await
    }
    async fn read_in<T: Send + 'static>(
        &self,
        turns: &Turns,
        read: impl FnOnce(&Reader) -> Result<T, Failure> + Send + 'static,
    ) -> Result<T, ApiError> {
        let reader = self.reader.clone();
        // Never closed.
        let permit = turns.now().clone().acquire_owned().await.map_err(|error| internal(&error))?;
        let answer = tokio::task::spawn_blocking(move || {
            let answer = read(&reader);
            // Here and not outside: whoever asked may have gone, and the thread is still taken.
            drop(permit);
            answer
        });
        answer.await.map_err(|error| internal(&error))?.map_err(ApiError::from)
    }
    /// The turn of a subscription that is behind. Whoever has waited longest is next, so that all of them get on.
    pub(super) async fn turn(&self) -> Option<Turn> {
        self.replays.clone().acquire_owned().await.ok().map(Turn)
    }
}

fn internal(error: &dyn std::fmt::Display) -> ApiError {
    tracing::error!(%error, "a task of the RPC failed");
    ApiError::new(Category::Internal, "internal.node", "this node failed to answer")
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::consensus::testing::{genesis, key};
    use crate::store::{Store, StoreOptions};
    use futures::future::join_all;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::sync::mpsc;
    use std::time::Duration;

    fn reading(dir: &tempfile::TempDir, readers: usize, replays: usize) -> Reading {
        let genesis = Arc::new(genesis(&[key(1)]));
        let (store, _) = Store::open(dir.path(), genesis.clone(), StoreOptions::default()).unwrap();
        Reading::with_readers(Reader { store, genesis }, readers, replays)
    }

    /// There are three threads that may block, and two readers. Whoever else needs a thread has the third.
    #[test]
    fn readers_leave_threads_to_others() {
        let runtime =
            tokio::runtime::Builder::new_current_thread().max_blocking_threads(3).enable_all().build();
        let dir = tempfile::tempdir().unwrap();
        runtime.unwrap().block_on(async {
            let reading = reading(&dir, 2, 1);
            let (under_way, most) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
            let (release, held) = mpsc::channel::<()>();
            let held = Arc::new(std::sync::Mutex::new(held));
            let reads = (0..20).map(|_| {
                let (reading, under_way, most) = (reading.clone(), under_way.clone(), most.clone());
                let held = held.clone();
                tokio::spawn(async move {
                    let read = move |_: &Reader| {
                        most.fetch_max(under_way.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
                        // Until the end of the sender.
                        let _ = held.lock().unwrap().recv();
                        under_way.fetch_sub(1, Ordering::SeqCst);
                        Ok(())
                    };
                    reading.read(read).await.unwrap();
                })
            });
            let reads: Vec<_> = reads.collect();
            // They have all begun, as far as they may.
            while under_way.load(Ordering::SeqCst) < 2 {
                tokio::task::yield_now().await;
            }
            let other =
                tokio::time::timeout(Duration::from_secs(60), tokio::task::spawn_blocking(|| 7)).await;
            // Before anything is held against it: the threads wait for this.
            drop(release);
            assert_eq!(other.unwrap().unwrap(), 7);
            join_all(reads).await;
            assert_eq!(most.load(Ordering::SeqCst), 2);
        });
    }

    #[tokio::test]
    async fn this_machine_does_not_wait_behind_strangers() {
        let dir = tempfile::tempdir().unwrap();
        let reading = reading(&dir, 1, 1);
        let _taken = reading.readers.strangers.clone().acquire_owned().await.unwrap();
        let mut stranger = std::pin::pin!(reading_for(Rank::Stranger, reading.read(|_| Ok(7))));
        assert!(futures::poll!(stranger.as_mut()).is_pending());
        assert_eq!(reading_for(Rank::Here, reading.read(|_| Ok(7))).await.unwrap(), 7);
    }

    #[tokio::test]
    async fn what_is_submitted_does_not_wait_behind_readers_or_strangers() {
        let dir = tempfile::tempdir().unwrap();
        let reading = reading(&dir, 1, 1);
        let _reads = reading.readers.strangers.clone().acquire_owned().await.unwrap();
        assert_eq!(reading_for(Rank::Stranger, reading.look_up(|_| Ok(7))).await.unwrap(), 7);
        let _submits = reading.submitters.strangers.clone().acquire_owned().await.unwrap();
        let mut stranger = std::pin::pin!(reading_for(Rank::Stranger, reading.look_up(|_| Ok(7))));
        assert!(futures::poll!(stranger.as_mut()).is_pending());
        let _own_reads = reading.readers.here.clone().acquire_owned().await.unwrap();
        assert_eq!(reading_for(Rank::Here, reading.look_up(|_| Ok(7))).await.unwrap(), 7);
    }

    #[tokio::test]
    async fn subscriptions_that_are_behind_take_turns() {
        let dir = tempfile::tempdir().unwrap();
        let reading = reading(&dir, 8, 2);
        let turns = [reading.turn().await.unwrap(), reading.turn().await.unwrap()];
        let mut third = std::pin::pin!(reading.turn());
        assert!(futures::poll!(third.as_mut()).is_pending());
        drop(turns);
        assert!(third.await.is_some());
    }
}
