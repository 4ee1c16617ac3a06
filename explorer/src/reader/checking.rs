//! Where checks are made that keep a processor busy: certificates of many validators, whole blocks, evidence. They run
//! beside the tasks that answer requests, so that nobody waits behind one who does not ask for it; and so many wait at
//! most that each still has its turn in time. Whoever comes then is told to come again.

use super::{ReadError, Reader};
use sealpost_api::verify::{ValidatorHistory, VerifyError};
use std::num::NonZeroUsize;
use std::panic::resume_unwind;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use tokio::sync::Semaphore;

/// Checks that are under way or wait their turn, at most. Most take less than a millisecond; the longest, of evidence
/// with hundreds of answers, some tens.
const MOST: usize = 256;

/// The place for checks. Cloning it copies a reference.
#[derive(Debug, Clone)]
pub(super) struct Checks(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    /// Those that wait count, too.
    admitted: Arc<Semaphore>,
    at_work: Arc<Semaphore>,
    refused: AtomicU64,
}

impl Default for Checks {
    /// As many at once as there are processors.
    fn default() -> Self {
        Self::new(std::thread::available_parallelism().map_or(1, NonZeroUsize::get), MOST)
    }
}

impl Checks {
    fn new(at_once: usize, most: usize) -> Self {
        let (admitted, at_work) = (Arc::new(Semaphore::new(most)), Arc::new(Semaphore::new(at_once)));
        Self(Arc::new(Inner { admitted, at_work, refused: AtomicU64::new(0) }))
    }
    /// How many were refused since the start.
    pub(super) fn refused(&self) -> u64 {
        self.0.refused.load(Ordering::Relaxed)
    }
    /// Makes a check.
    ///
    /// # Errors
    /// [`ReadError::Busy`] if too many wait.
    async fn run<T: Send + 'static>(
        &self,
        check: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, ReadError> {
        let Ok(admitted) = self.0.admitted.clone().try_acquire_owned() else {
            self.0.refused.fetch_add(1, Ordering::Relaxed);
            return Err(ReadError::Busy);
        };
        // Nobody closes it.
        let at_work = self.0.at_work.clone().acquire_owned().await.map_err(|_| ReadError::Busy)?;
        let done = tokio::task::spawn_blocking(move || {
            // Held until the check ends, even if nobody waits for it any more.
            let _held = (admitted, at_work);
            check()
        });
        done.await.map_err(|error| match error.try_into_panic() {
            Ok(panic) => resume_unwind(panic),
            // This program ends.
            Err(_) => ReadError::Busy,
        })
    }
}

impl Reader {
    /// Makes a check that keeps a processor busy.
    pub(crate) async fn check<T: Send + 'static>(
        &self,
        check: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, ReadError> {
        self.checks.run(check).await
    }
    /// Checks `what` under the validators of its height; if it names a set that is not known, once more when the newest
    /// changes of the validators were taken in.
    pub(super) async fn check_signed<T: Send + 'static>(
        &self,
        what: String,
        check: impl Fn(&ValidatorHistory) -> Result<T, VerifyError> + Send + Sync + 'static,
    ) -> Result<T, ReadError> {
        let (genesis, check) = (self.genesis().await?, Arc::new(check));
        let attempt = || {
            let (history, check) = (self.history(&genesis), check.clone());
            self.check(move || check(&history))
        };
        let mut checked = attempt().await?;
        if let Err(VerifyError::UnknownValidators { .. }) = checked {
            self.follow_validators(&genesis).await?;
            checked = attempt().await?;
        }
        checked.map_err(ReadError::untrusted(what))
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::api::problem::Problem;
    use crate::page::PageError;
    use axum::http::StatusCode;
    use axum::http::header::RETRY_AFTER;
    use axum::response::IntoResponse;
    use std::sync::mpsc;

    #[test]
    fn who_is_refused_is_told_to_come_again() {
        let answers = [
            Problem::from(ReadError::Busy).into_response(),
            PageError::from(ReadError::Busy).into_response(),
        ];
        for answer in answers {
            assert_eq!(answer.status(), StatusCode::SERVICE_UNAVAILABLE);
            let after = answer.headers().get(RETRY_AFTER).unwrap().to_str().unwrap();
            assert!(after.parse::<u64>().unwrap() > 0);
        }
    }

    /// One works, one waits, the next is refused; whoever gives up while the check runs keeps its place taken.
    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn so_many_wait_and_the_next_is_refused() {
        let checks = Checks::new(1, 2);
        let (go_on, wait) = mpsc::channel::<()>();
        let (began, begun) = tokio::sync::oneshot::channel();
        let first = tokio::spawn({
            let checks = checks.clone();
            async move {
                checks
                    .run(move || {
                        began.send(()).unwrap();
                        wait.recv().unwrap();
                    })
                    .await
            }
        });
        begun.await.unwrap();
        first.abort();
        assert!(first.await.unwrap_err().is_cancelled());
        let mut second = Box::pin(checks.run(|| 2));
        assert!(futures::poll!(second.as_mut()).is_pending());
        assert!(matches!(checks.run(|| 3).await, Err(ReadError::Busy)));
        assert_eq!(checks.refused(), 1);
        go_on.send(()).unwrap();
        assert_eq!(second.await.unwrap(), 2);
        // The permits come back a moment after the result of the check before.
        let all = checks.0.admitted.acquire_many(2).await.unwrap();
        drop(all);
        assert_eq!(checks.run(|| 4).await.unwrap(), 4);
    }
}
