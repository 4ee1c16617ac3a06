//! Opening: what the last process left, made whole again. The journal decides; the index is rolled forward
//! from it, or made anew, by running every block through the same checks as when it was new.

use super::StoreError;
use super::index::Index;
use super::journal::Journal;
use super::view::View;
use sealpost_ledger::chain::{Tip, verify_block};
use sealpost_ledger::genesis::Genesis;
use sealpost_ledger::height::BlockHeight;
use std::fs;
use std::path::Path;
use std::sync::Arc;

/// Every so many blocks a long recovery says how far it is.
const PROGRESS_BLOCKS: u64 = 1_000;

/// What opening had to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Recovery {
    /// Bytes of a record that was never finished, cut off.
    pub cut_bytes: u64,
    /// Why the index was made anew, if it was.
    pub rebuilt: Option<RebuildReason>,
    /// Blocks that were run again to bring the index up to the journal.
    pub replayed_blocks: u64,
}

/// Why the index was made anew.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RebuildReason {
    /// It was not there, or empty.
    Missing,
    /// It could not be opened or read.
    Unreadable,
    /// It knows blocks that the journal has not, or other ones.
    Disagrees,
}

/// Opens the index and brings it to the journal's tip.
pub(super) fn open_index(
    path: &Path,
    journal: &Journal,
    genesis: &Arc<Genesis>,
) -> Result<(Index, Tip, Recovery), StoreError> {
    let mut recovery = Recovery { cut_bytes: journal.cut_bytes(), ..Recovery::default() };
    let (index, mut tip) = match try_open(path, journal, genesis) {
        Ok(opened) => opened,
        Err(reason) => {
            if journal.height() > BlockHeight::GENESIS {
                recovery.rebuilt = Some(reason);
                tracing::warn!(
                    ?reason,
                    blocks = journal.height().get(),
                    "making the index anew from the journal"
                );
            }
            create(path, genesis)?
        }
    };
    let end = journal.height();
    while tip.height() < end {
        tip = replay(&index, journal, &tip)?;
        recovery.replayed_blocks = recovery.replayed_blocks.saturating_add(1);
        if recovery.replayed_blocks.is_multiple_of(PROGRESS_BLOCKS) {
            tracing::info!(height = tip.height().get(), of = end.get(), "rolling the index forward");
        }
    }
    Ok((index, tip, recovery))
}

fn try_open(path: &Path, journal: &Journal, genesis: &Arc<Genesis>) -> Result<(Index, Tip), RebuildReason> {
    if !path.exists() {
        return Err(RebuildReason::Missing);
    }
    let unreadable = |error: &dyn std::fmt::Display| {
        tracing::warn!(%error, "the index can't be read");
        RebuildReason::Unreadable
    };
    let index = Index::open(path).map_err(|e| unreadable(&e))?;
    let record = index.tip().map_err(|e| unreadable(&e))?.ok_or(RebuildReason::Missing)?;
    let tip = Tip::restore(genesis.clone(), record).map_err(|e| unreadable(&e))?;
    let known = match tip.height() {
        BlockHeight::GENESIS => Some(genesis.chain_id().into()),
        height => journal.record(height).ok().flatten().map(|record| record.header.hash()),
    };
    if known == Some(tip.block()) { Ok((index, tip)) } else { Err(RebuildReason::Disagrees) }
}

fn create(path: &Path, genesis: &Arc<Genesis>) -> Result<(Index, Tip), StoreError> {
    if path.exists() {
        let removed = if path.is_dir() { fs::remove_dir_all(path) } else { fs::remove_file(path) };
        removed.map_err(|e| StoreError::io("remove", path, e))?;
    }
    let index = Index::open(path).map_err(StoreError::fatal)?;
    let (tip, state) = Tip::genesis(genesis.clone())?;
    index.begin(&tip.to_record(), &state)?;
    Ok((index, tip))
}

fn replay(index: &Index, journal: &Journal, tip: &Tip) -> Result<Tip, StoreError> {
    let height = tip.next_height();
    let missing = || journal.damaged(height, "the block is missing".into());
    let (block, certificate) = journal.block(height)?.ok_or_else(missing)?;
    let verified = verify_block(tip, &View { index, journal }, block, None)
        .map_err(|e| journal.damaged(height, e.to_string()))?;
    let written = Journal::written(verified.block(), &certificate);
    let committed = verified.commit(certificate).map_err(|e| journal.damaged(height, e.to_string()))?;
    index.commit(&committed, &written)?;
    Ok(committed.tip().clone())
}
