//! Opening: what the last process left, made whole again. The journal decides; the index is rolled forward
//! from it, or made anew, by running every block through the same checks as when it was new.

use super::StoreError;
use super::durable::{discard, finish_discarding};
use super::index::Index;
use super::journal::Journal;
use super::view::View;
use crate::process::survive;
use sealpost_ledger::block::Block;
use sealpost_ledger::chain::{CommittedBlock, Tip, replay_block, verify_block};
use sealpost_ledger::genesis::Genesis;
use sealpost_ledger::height::BlockHeight;
use sealpost_ledger::state::LedgerView;
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
    /// Another release has made it, and laid it out otherwise.
    Layout,
    /// It could not be opened or read.
    Unreadable,
    /// It knows other blocks than the journal.
    Disagrees,
}

/// Opens the index and brings it to the journal's tip.
pub(super) fn open_index(
    path: &Path,
    versions: Option<u64>,
    journal: &Journal,
    genesis: &Arc<Genesis>,
) -> Result<(Index, Tip, Recovery), StoreError> {
    finish_discarding(path).map_err(|e| StoreError::io("remove", path, e))?;
    let mut recovery = Recovery { cut_bytes: journal.cut_bytes(), ..Recovery::default() };
    let (index, mut tip) = match try_open(path, versions, journal, genesis) {
        Ok(opened) => opened,
        Err(Unusable::Stop(error)) => return Err(error),
        Err(Unusable::MakeAnew(reason)) => {
            if journal.height() > BlockHeight::GENESIS {
                recovery.rebuilt = Some(reason);
                tracing::warn!(
                    ?reason,
                    blocks = journal.height().get(),
                    "making the index anew from the journal"
                );
            }
            create(path, versions, genesis)?
        }
    };
    let end = journal.height();
    while tip.height() < end {
        tip = replay(&index, journal, &tip)?.tip().clone();
        recovery.replayed_blocks = recovery.replayed_blocks.saturating_add(1);
        if recovery.replayed_blocks.is_multiple_of(PROGRESS_BLOCKS) {
            tracing::info!(height = tip.height().get(), of = end.get(), "rolling the index forward");
        }
    }
    Ok((index, tip, recovery))
}

/// Why an index is not used.
enum Unusable {
    /// It is to be made anew.
    MakeAnew(RebuildReason),
    /// The system is at fault, or the journal, and not the index.
    Stop(StoreError),
}

impl From<RebuildReason> for Unusable {
    fn from(reason: RebuildReason) -> Self {
        Unusable::MakeAnew(reason)
    }
}

fn try_open(
    path: &Path,
    versions: Option<u64>,
    journal: &Journal,
    genesis: &Arc<Genesis>,
) -> Result<(Index, Tip), Unusable> {
    if !path.exists() {
        return Err(RebuildReason::Missing.into());
    }
    let unreadable = |error: &dyn std::fmt::Display| {
        tracing::warn!(%error, "the index can't be read");
        RebuildReason::Unreadable
    };
    // parity-db trusts its files: a damaged one can make it panic, which is no reason to stop a node whose
    // journal is whole.
    let opened = survive(|| Index::open(path, versions).map(|index| (index.tip(), index)));
    let (record, index) = match opened {
        Some(Ok(opened)) => opened,
        Some(Err(parity_db::Error::Io(error))) if is_of_the_system(&error) => {
            return Err(Unusable::Stop(StoreError::io("open", path, error)));
        }
        Some(Err(error)) if is_of_another_layout(&error) => return Err(RebuildReason::Layout.into()),
        Some(Err(error)) => return Err(unreadable(&error).into()),
        None => return Err(unreadable(&"parity-db panicked").into()),
    };
    let record = record.map_err(|e| unreadable(&e))?.ok_or(RebuildReason::Missing)?;
    let tip = Tip::restore(genesis.clone(), record).map_err(|e| unreadable(&e))?;
    // A block comes into the index after it is safe in the journal. If the journal has lost it since, that is no end
    // that was never finished, and nobody else may have it: nothing is to be cut before a person has seen it.
    if tip.height() > journal.height() {
        return Err(Unusable::Stop(journal.ends_early(tip.height())));
    }
    let known = match tip.height() {
        BlockHeight::GENESIS => Some(genesis.chain_id().into()),
        height => journal.record(height).ok().flatten().map(|record| record.header.hash()),
    };
    if known == Some(tip.block()) { Ok((index, tip)) } else { Err(RebuildReason::Disagrees.into()) }
}

/// Whether an index is none of this release's: its columns are others.
pub(super) const fn is_of_another_layout(error: &parity_db::Error) -> bool {
    matches!(error, parity_db::Error::IncompatibleColumnConfig { .. })
}

/// Whether an error says nothing about the files: no permission, no space, no more open files.
pub(super) fn is_of_the_system(error: &std::io::Error) -> bool {
    use std::io::ErrorKind::{PermissionDenied, ReadOnlyFilesystem, StorageFull};
    const OPEN_FILES: [i32; 2] = [23, 24];
    matches!(error.kind(), PermissionDenied | ReadOnlyFilesystem | StorageFull)
        || error.raw_os_error().is_some_and(|number| OPEN_FILES.contains(&number))
}

/// An index with the state of the genesis, in place of whatever is there.
pub(super) fn create(
    path: &Path,
    versions: Option<u64>,
    genesis: &Arc<Genesis>,
) -> Result<(Index, Tip), StoreError> {
    discard(path).map_err(|e| StoreError::io("remove", path, e))?;
    let index = Index::open(path, versions).map_err(StoreError::fatal)?;
    let (tip, state) = Tip::genesis(genesis.clone())?;
    index.begin(&tip.to_record(), &state)?;
    Ok((index, tip))
}

/// Takes the journal's next block into the index.
pub(super) fn replay(index: &Index, journal: &Journal, tip: &Tip) -> Result<CommittedBlock, StoreError> {
    let committed = run_again(journal, tip, &View { index, journal })?;
    index.commit(&committed, &Journal::written(committed.block(), committed.certificate()))?;
    Ok(committed)
}

/// Runs the journal's block after a tip through the checks of a new one; without its bodies if they are not
/// kept any more.
pub(super) fn run_again<V: LedgerView>(
    journal: &Journal,
    tip: &Tip,
    view: &V,
) -> Result<CommittedBlock, StoreError> {
    let height = tip.next_height();
    let wrong = |error: &dyn std::fmt::Display| journal.damaged(height, error.to_string());
    let missing = || journal.damaged(height, "the block is missing".into());
    if height <= journal.dropped() {
        let record = journal.record(height)?.ok_or_else(missing)?;
        let block = Block::new(record.header, record.transactions, Vec::new());
        return replay_block(tip, view, block, record.certificate).map_err(|e| wrong(&e));
    }
    let (block, certificate) = journal.block(height)?.ok_or_else(missing)?;
    let verified = verify_block(tip, view, block, None).map_err(|e| wrong(&e))?;
    verified.commit(certificate).map_err(|e| wrong(&e))
}
