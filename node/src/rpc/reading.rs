//! Reading from the store, where blocking is allowed. The threads for that are also those of consensus, sync and
//! admission: so many readers of the RPC are there at once and no more, and the others wait before they take one. Programs
//! on this machine have readers of their own: whoever runs the node is answered however many strangers wait. A stranger has
//! some of those that all strangers have, so that one of them does not make the others wait. What is submitted does not wait
//! for what is read.

use super::{Failure, Reader};
use sealpost_api::{ApiError, Category};
use sealpost_http::Client;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::available_parallelism;
use tokio::sync::{AcquireError, OwnedSemaphorePermit, Semaphore};

/// Readers at once, for each core.
const READERS: usize = 4;

/// A stranger may have one of so many parts of the readers that strangers have.
const PARTS: usize = 4;
/// Strangers that are remembered without need, before those are forgotten who wait for nothing.
const FORGET_BEYOND: usize = 256;

tokio::task_local! {
    static ASKER: Client;
}

/// Answers a call for somebody: what is read in the course of it is read for them.
pub(super) async fn reading_for<T>(asker: Client, answer: impl Future<Output = T>) -> T {
    ASKER.scope(asker, answer).await
}

/// Reads for everybody, in turn. Cloning it copies references.
#[derive(Clone)]
pub(super) struct Reading {
    pub(super) reader: Reader,
    readers: Turns,
    submitters: Turns,
    replays: Turns,
}

/// So many at once for this machine, and for strangers together.
#[derive(Clone)]
struct Turns {
    here: Arc<Semaphore>,
    strangers: Arc<Semaphore>,
    /// So many of these for each stranger. Who waits for his own stands in nobody's way.
    each: usize,
    by_client: Arc<Mutex<HashMap<Client, Arc<Semaphore>>>>,
}

/// Held as long as something is read.
pub(super) struct Reads {
    _of_all: OwnedSemaphorePermit,
    _own: Option<OwnedSemaphorePermit>,
}

impl Turns {
    fn new(count: usize) -> Self {
        let [here, strangers] = [count; 2].map(|count| Arc::new(Semaphore::new(count)));
        Self { here, strangers, each: (count / PARTS).max(1), by_client: Arc::default() }
    }
    /// Waits for the turn of whoever is answered.
    async fn take(&self) -> Result<Reads, AcquireError> {
        let asker = ASKER.try_with(|asker| *asker).ok();
        if asker.is_some_and(|asker| asker.is_here()) {
            return Ok(Reads { _of_all: self.here.clone().acquire_owned().await?, _own: None });
        }
        let own = match asker {
            Some(asker) => Some(self.own(asker).acquire_owned().await?),
            None => None,
        };
        Ok(Reads { _of_all: self.strangers.clone().acquire_owned().await?, _own: own })
    }
    fn own(&self, asker: Client) -> Arc<Semaphore> {
        let mut by_client = self.by_client.lock().unwrap_or_else(PoisonError::into_inner);
        if by_client.len() > FORGET_BEYOND {
            by_client.retain(|_, own| Arc::strong_count(own) > 1);
        }
        by_client.entry(asker).or_insert_with(|| Arc::new(Semaphore::new(self.each))).clone()
    }
}

impl Reading {
    /// With so many subscriptions that read old blocks at once, of strangers and of this machine each.
    pub(super) fn new(reader: Reader, replays: usize) -> Self {
        let readers = READERS.saturating_mul(available_parallelism().map_or(1, usize::from));
        Self::with_readers(reader, readers, replays)
    }
    fn with_readers(reader: Reader, readers: usize, replays: usize) -> Self {
        let replays = replays.clamp(1, Semaphore::MAX_PERMITS);
        let (submitters, replays) = (Turns::new(readers), Turns::new(replays));
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
        let reads = turns.take().await.map_err(|error| internal(&error))?;
        let answer = tokio::task::spawn_blocking(move || {
            let answer = read(&reader);
            // Here and not outside: whoever asked may have gone, and the thread is still taken.
            drop(reads);
            answer
        });
        answer.await.map_err(|error| internal(&error))?.map_err(ApiError::from)
    }
    /// The turn of a subscription that is behind. Whoever has waited longest is next, so that all of them get on; a
    /// stranger with many has some of the turns, as of the readers that they wait for then.
    pub(super) async fn turn(&self) -> Option<Reads> {
        self.replays.take().await.ok()
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

    fn client(text: &str) -> Client {
        Client::new(text.parse().unwrap())
    }

    fn here() -> Client {
        client("127.0.0.1")
    }

    fn stranger() -> Client {
        client("192.0.2.1")
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
        let mut stranger = std::pin::pin!(reading_for(stranger(), reading.read(|_| Ok(7))));
        assert!(futures::poll!(stranger.as_mut()).is_pending());
        assert_eq!(reading_for(here(), reading.read(|_| Ok(7))).await.unwrap(), 7);
    }

    #[tokio::test]
    async fn a_stranger_does_not_wait_behind_all_that_another_reads() {
        let dir = tempfile::tempdir().unwrap();
        let reading = reading(&dir, 8, 1);
        let (release, held) = mpsc::channel::<()>();
        let held = Arc::new(std::sync::Mutex::new(held));
        // More than there are readers.
        let mut slow: Vec<_> = (0..20)
            .map(|_| {
                let (reading, held) = (reading.clone(), held.clone());
                let read = move |_: &Reader| {
                    let _ = held.lock().unwrap().recv();
                    Ok(())
                };
                Box::pin(reading_for(stranger(), async move { reading.read(read).await }))
            })
            .collect();
        for slow in &mut slow {
            assert!(futures::poll!(slow).is_pending());
        }
        assert_eq!(reading.readers.strangers.available_permits(), 6);
        let other = reading_for(client("192.0.2.2"), reading.read(|_| Ok(7)));
        let other = tokio::time::timeout(Duration::from_secs(60), other).await;
        // Before anything is held against it: the threads wait for this.
        drop(release);
        assert_eq!(other.unwrap().unwrap(), 7);
        join_all(slow).await.into_iter().collect::<Result<Vec<()>, _>>().unwrap();
    }

    #[tokio::test]
    async fn strangers_who_read_nothing_are_forgotten() {
        let dir = tempfile::tempdir().unwrap();
        let reading = reading(&dir, 8, 1);
        for number in 0..1000_u32 {
            let client = Client::new(std::net::Ipv4Addr::from(number).into());
            reading_for(client, reading.read(|_| Ok(()))).await.unwrap();
        }
        assert!(reading.readers.by_client.lock().unwrap().len() <= FORGET_BEYOND + 1);
    }

    #[tokio::test]
    async fn what_is_submitted_does_not_wait_behind_readers_or_strangers() {
        let dir = tempfile::tempdir().unwrap();
        let reading = reading(&dir, 1, 1);
        let _reads = reading.readers.strangers.clone().acquire_owned().await.unwrap();
        assert_eq!(reading_for(stranger(), reading.look_up(|_| Ok(7))).await.unwrap(), 7);
        let _submits = reading.submitters.strangers.clone().acquire_owned().await.unwrap();
        let mut stranger = std::pin::pin!(reading_for(stranger(), reading.look_up(|_| Ok(7))));
        assert!(futures::poll!(stranger.as_mut()).is_pending());
        let _own_reads = reading.readers.here.clone().acquire_owned().await.unwrap();
        assert_eq!(reading_for(here(), reading.look_up(|_| Ok(7))).await.unwrap(), 7);
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

    /// Each waits, with its turn, for its client's readers.
    #[tokio::test]
    async fn one_with_many_subscriptions_leaves_turns_to_others() {
        let dir = tempfile::tempdir().unwrap();
        let reading = reading(&dir, 8, 4);
        let _turn = reading_for(stranger(), reading.turn()).await.unwrap();
        let mut second = std::pin::pin!(reading_for(stranger(), reading.turn()));
        assert!(futures::poll!(second.as_mut()).is_pending());
        for other in [client("192.0.2.2"), here()] {
            let mut turn = std::pin::pin!(reading_for(other, reading.turn()));
            assert!(futures::poll!(turn.as_mut()).is_ready());
        }
    }
}
