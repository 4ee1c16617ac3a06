//! Reads the whole ledger once after each start, slowly, and checks it against its checksums, and whether the index finds
//! what is in it: what a disk has spoiled is found while others still have it, and not years later when somebody needs
//! a proof.

use crate::store::{Store, StoreError};
use sealpost_ledger::height::BlockHeight;
use std::time::Duration;
use tokio_util::sync::CancellationToken;

/// Read in one go, before others get their turn at the disk.
const PORTION_BYTES: u64 = 4 << 20;
/// Between two portions: at most 16 MiB a second, and some ten minutes for ten million messages. Faster, it was felt by
/// those who asked at the same time.
const PAUSE: Duration = Duration::from_millis(250);
/// Before the first: a node that starts has other things to do.
const AFTER_START: Duration = Duration::from_secs(60);
/// Damaged records that are named one by one; more are only counted.
const MOST_NAMED: u64 = 20;

/// Reads every block that was there at the start, then waits for the node to stop.
pub(super) async fn run(store: Store, stop: CancellationToken) {
    let _ = stop.run_until_cancelled(read_all(store)).await;
    stop.cancelled().await;
}

async fn read_all(store: Store) {
    let end = store.tip().height();
    let (mut next, mut damaged) = (BlockHeight::FIRST, 0_u64);
    metrics::gauge!("sealpost_journal_damaged_records").set(0.0);
    tokio::time::sleep(AFTER_START).await;
    while next <= end {
        let (portion, from) = (store.clone(), next);
        let looking = tokio::task::spawn_blocking(move || look(&portion, from, end));
        let Ok(looked) = looking.await else { return };
        next = looked.next;
        for error in looked.damage {
            damaged = damaged.saturating_add(1);
            if damaged <= MOST_NAMED {
                tracing::error!(%error, "the ledger on this disk is damaged; `sealpost-node check` tells more, and \
                    `check --repair` puts it in order with what other nodes have");
            }
        }
        metrics::gauge!("sealpost_journal_damaged_records").set(damaged as f64);
        tokio::time::sleep(PAUSE).await;
    }
    tracing::debug!(%end, damaged, "the ledger on this disk was read");
}

/// What a portion has shown.
struct Looked {
    /// The first height after it.
    next: BlockHeight,
    damage: Vec<StoreError>,
}

fn look(store: &Store, from: BlockHeight, end: BlockHeight) -> Looked {
    let (mut height, mut bytes, mut damage) = (from, 0_u64, Vec::new());
    while height <= end && bytes < PORTION_BYTES {
        match store.check_block(height) {
            Ok(read) => bytes = bytes.saturating_add(read.unwrap_or(0)),
            Err(error) => damage.push(error),
        }
        height = height.saturating_add(1);
    }
    Looked { next: height, damage }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]
mod tests {
    use super::*;
    use crate::store::StoreOptions;
    use crate::store::testing::Chain;
    use std::fs;

    #[test]
    fn a_record_that_was_spoiled_long_ago_stops_no_start_and_is_found() {
        let (dir, chain) = (tempfile::tempdir().unwrap(), Chain::new("scrubbed"));
        let options = StoreOptions { segment_bytes: 1, ..StoreOptions::default() };
        let open = || Store::open(dir.path(), chain.genesis.clone(), options).unwrap().0;
        let store = open();
        chain.grow(&store, 6);
        let end = store.tip().height();
        assert!(look(&store, BlockHeight::FIRST, end).damage.is_empty());
        drop(store);
        // One segment for each block, the third one's body.
        let path = dir.path().join("journal/bodies-000003.log");
        let mut bytes = fs::read(&path).unwrap();
        *bytes.last_mut().unwrap() ^= 1;
        fs::write(&path, bytes).unwrap();
        let store = open();
        let looked = look(&store, BlockHeight::FIRST, end);
        assert_eq!(looked.next, end.saturating_add(1));
        let [StoreError::Damaged { segment, .. }] = &looked.damage[..] else { panic!("{:?}", looked.damage) };
        assert_eq!(*segment, path);
        // What the index does not find any more, too.
        let id = store.transactions(BlockHeight::new(5)).unwrap().unwrap()[0].id();
        store.forget_transaction(&id);
        let looked = look(&store, BlockHeight::new(5), end);
        let [error] = &looked.damage[..] else { panic!("{:?}", looked.damage) };
        assert!(error.to_string().contains(&id.to_string()), "{error}");
    }
}
