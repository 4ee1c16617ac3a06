//! Whose turn it is with the wallet: many read it at a time, one changes it. A lock that is waited for lets no further
//! reader in, and something long may be at work, such as a letter in parts; so whoever changes the wallet waits in line
//! for a while only, then lets others go first, and waits longer the next time. Otherwise it would come to nothing
//! beside readers who overlap.

use std::time::Duration;
use tokio::sync::{RwLock, RwLockWriteGuard};
use tokio::time::{Instant, sleep, timeout};

/// How long others are kept waiting at first, and how often it is looked whether nobody reads.
pub(super) const MOMENT: Duration = Duration::from_millis(200);
/// How long they are kept waiting at most: about as long as a message takes to become final.
const LONGEST: Duration = Duration::from_secs(5);
/// The pause after it, in which everybody goes first: so many times as long.
const PAUSE: u32 = 8;
/// After so long it is said that there was no turn.
const LATE: Duration = Duration::from_secs(3600);

/// Something alone. `late` is told once when that takes very long.
pub(super) async fn alone<'a, T>(shared: &'a RwLock<T>, late: &dyn Fn()) -> RwLockWriteGuard<'a, T> {
    let (begun, mut in_line, mut told) = (Instant::now(), MOMENT, false);
    loop {
        if let Ok(alone) = timeout(in_line, shared.write()).await {
            return alone;
        }
        let until = Instant::now() + in_line.saturating_mul(PAUSE);
        while Instant::now() < until {
            sleep(MOMENT).await;
            if let Ok(alone) = shared.try_write() {
                return alone;
            }
        }
        in_line = in_line.saturating_mul(2).min(LONGEST);
        if !told && begun.elapsed() > LATE {
            told = true;
            late();
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use std::sync::Arc;

    /// Reads for ever, a while each time.
    async fn read_again_and_again(shared: Arc<RwLock<()>>, first: Duration, each: Duration) {
        sleep(first).await;
        loop {
            let reading = shared.read().await;
            sleep(each).await;
            drop(reading);
        }
    }

    #[tokio::test]
    async fn who_changes_the_wallet_has_a_turn_beside_readers_that_overlap_for_ever() {
        let shared = Arc::new(RwLock::new(()));
        // Two that read for longer than the first time in line, half of it apart: somebody always reads.
        let each = MOMENT.saturating_mul(2);
        let readers = [Duration::ZERO, MOMENT]
            .map(|first| tokio::spawn(read_again_and_again(shared.clone(), first, each)));
        sleep(MOMENT.saturating_mul(2)).await;
        let turn = timeout(Duration::from_secs(60), alone(&shared, &|| {})).await;
        drop(turn.unwrap());
        readers.iter().for_each(|reader| reader.abort());
    }
}
