//! Checks a whole data directory: every frame, every block from the genesis on with all its signatures,
//! links, roots and certificates, and the index against them. It names the first damage and its place, and
//! changes nothing but what parity-db itself writes on opening.

use super::directory::Directory;
use super::equivocations::Equivocations;
use super::index::{Index, TransactionPlace};
use super::journal::Journal;
use super::lists::Cursor;
use super::proposals::Proposals;
use super::recovery::{is_of_another_layout, is_of_the_system, run_again};
use super::stream::TornEnd;
use super::{SEGMENT_BYTES, StoreError};
use crate::process::survive;
use sealpost_ledger::block::Block;
use sealpost_ledger::chain::{CommittedBlock, Tip, TipRecord};
use sealpost_ledger::genesis::Genesis;
use sealpost_ledger::height::BlockHeight;
use sealpost_ledger::state::{MemoryState, StateUpdate, ViewError};
use serde::Serialize;
use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use thiserror::Error;

/// What a check of a directory without damage found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct CheckReport {
    /// Blocks that hold.
    pub blocks: u64,
    /// Transactions in them.
    pub transactions: u64,
    /// Bodies in them, as far as they are kept.
    pub bodies: u64,
    /// Height from which on bodies are kept.
    pub oldest_body_height: BlockHeight,
    /// Bytes at the end of the journal that were never finished; the next start cuts them off.
    pub torn_bytes: u64,
    /// Height up to which the index agrees; `None` if there is no index of this release, and the next start makes one.
    pub indexed: Option<BlockHeight>,
}

/// The first damage, or why the check could not be made.
#[derive(Debug, Error)]
pub enum CheckError {
    /// No node has written there.
    #[error("{path} holds no data of a node; give the --home that the node runs with", path = .path.display())]
    NoData {
        /// The folder.
        path: PathBuf,
    },
    /// The journal, or the directory itself.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// What stands beside the blocks: proposals, or recorded equivocations. The blocks and the index hold.
    #[error(transparent)]
    Beside(StoreError),
    /// The index. It can be made anew: the journal is whole up to there.
    #[error("the index is damaged: {what}; delete {path} and start the node, it makes the index anew", path = .path.display())]
    Index {
        /// What does not agree.
        what: String,
        /// The folder of the index.
        path: PathBuf,
    },
    /// The state in memory that the check keeps.
    #[error(transparent)]
    View(#[from] ViewError),
}

/// Checks a data directory that no node holds. `progress` is told each height that holds, and the last.
pub fn check(
    dir: &Path,
    genesis: &Arc<Genesis>,
    mut progress: impl FnMut(BlockHeight, BlockHeight),
) -> Result<CheckReport, CheckError> {
    let directory = Directory::open_existing(dir, genesis.chain_id())?;
    let journal = Journal::open(&directory.journal(), SEGMENT_BYTES, TornEnd::Keep)?;
    let mut index = Indexed::open(&directory.index(), genesis)?;
    let end = journal.height();
    let mut report = CheckReport {
        blocks: 0,
        transactions: 0,
        bodies: 0,
        oldest_body_height: journal.dropped().saturating_add(1),
        torn_bytes: journal.cut_bytes(),
        indexed: index.as_ref().map(|index| index.tip.min(end)),
    };
    let (mut tip, founding) = Tip::genesis(genesis.clone())?;
    let mut state = MemoryState::default();
    state.apply(&founding.update, &founding.changes);
    while tip.height() < end {
        let committed = run_again(&journal, &tip, &state)?;
        let block = committed.block();
        report.blocks = report.blocks.saturating_add(1);
        report.transactions = report.transactions.saturating_add(block.transactions().len() as u64);
        report.bodies = report.bodies.saturating_add(block.bodies().len() as u64);
        if let Some(update) = committed.verified().update() {
            state.apply(update, committed.verified().changes());
        }
        state.add_transactions(block);
        if let Some(index) = index.as_mut().filter(|index| index.tip >= block.height()) {
            index.check_block(&committed)?;
        }
        tip = committed.tip().clone();
        progress(tip.height(), end);
    }
    match index {
        Some(index) if index.tip > end => return Err(journal.ends_early(index.tip).into()),
        Some(index) => index.check_missing()?,
        None => {}
    }
    // Last: whoever mends it then knows that nothing else is to be mended.
    let beside = [Proposals::check(&directory.journal()), Equivocations::check(&directory.journal())];
    beside.into_iter().collect::<Result<(), _>>().map_err(|error| match error {
        damage @ StoreError::Damaged { .. } => CheckError::Beside(damage),
        error => error.into(),
    })?;
    Ok(report)
}

/// The height that an index knows; nothing if there is none, or none that can be read.
///
/// # Errors
/// If it is not the index that is at fault.
pub(super) fn indexed_height(path: &Path, genesis: &Arc<Genesis>) -> Result<Option<BlockHeight>, CheckError> {
    match Indexed::open(path, genesis) {
        Ok(index) => Ok(index.map(|index| index.tip)),
        Err(CheckError::Index { .. }) => Ok(None),
        Err(error) => Err(error),
    }
}

/// Why an index can't be opened. A system that lets nobody in, or has no more files to open, says nothing about it.
fn unusable(error: parity_db::Error, path: &Path) -> CheckError {
    match error {
        parity_db::Error::Io(error) if is_of_the_system(&error) => StoreError::io("open", path, error).into(),
        error => CheckError::Index { what: error.to_string(), path: path.into() },
    }
}

/// The index of a directory, and how far it has come.
struct Indexed {
    index: Index,
    tip: BlockHeight,
    record: TipRecord,
    path: PathBuf,
    /// The oldest version of the state that it keeps.
    oldest: u64,
    /// Nodes and entries of earlier versions that it has not, with their heights, until one that it keeps or one before
    /// has replaced them.
    missing: HashMap<Vec<u8>, BlockHeight>,
}

impl Indexed {
    fn open(path: &Path, genesis: &Arc<Genesis>) -> Result<Option<Self>, CheckError> {
        if !path.exists() {
            return Ok(None);
        }
        let damaged = |what: String| CheckError::Index { what, path: path.into() };
        let opened =
            survive(|| Index::open(path, None)).ok_or_else(|| damaged("its library panicked".into()))?;
        let index = match opened {
            Err(error) if is_of_another_layout(&error) => return Ok(None),
            opened => opened.map_err(|error| unusable(error, path))?,
        };
        let Some(record) = index.tip().map_err(|e| damaged(e.to_string()))? else { return Ok(None) };
        let tip = Tip::restore(genesis.clone(), record.clone()).map_err(|e| damaged(e.to_string()))?.height();
        let oldest = index.oldest_version().map_err(|e| damaged(e.to_string()))?;
        Ok(Some(Self { index, tip, record, path: path.into(), oldest, missing: HashMap::new() }))
    }
    fn damaged(&self, what: String) -> CheckError {
        CheckError::Index { what, path: self.path.clone() }
    }
    fn check_block(&mut self, committed: &CommittedBlock) -> Result<(), CheckError> {
        let (block, height) = (committed.block(), committed.block().height());
        let path = self.path.clone();
        let read = |e: ViewError| CheckError::Index { what: e.to_string(), path: path.clone() };
        if self.index.height_of(&block.hash()).map_err(read)? != Some(height) {
            return Err(self.damaged(format!("block {height} is not found by its hash")));
        }
        if self.index.state_version(height).map_err(read)? != Some(committed.tip().state_version()) {
            return Err(self.damaged(format!("the state version at height {height}")));
        }
        let after = height.saturating_add(1);
        let deciding = self.index.validators(after).map_err(read)?;
        let found = deciding.as_ref().map_or(committed.tip().genesis_file().validators(), |(_, set)| set);
        let announced = deciding.as_ref().is_some_and(|(effective, _)| *effective == after);
        if *found != **committed.tip().validators()
            || announced != committed.verified().new_validators().is_some()
        {
            return Err(self.damaged(format!("the validators after height {height}")));
        }
        if height == self.tip && self.record != committed.tip().to_record() {
            return Err(self.damaged(format!("the tip at height {height}")));
        }
        self.check_transactions(block, committed)?;
        for (key, record) in committed.verified().changes() {
            // A later block may have written the entry again; then its own check looks at it.
            if self.index.record(key).map_err(read)?.is_none() {
                return Err(
                    self.damaged(format!("the newest value of {key:?} is missing, record {record:?}"))
                );
            }
        }
        if let Some(update) = committed.verified().update() {
            self.check_state(update, height)?;
        }
        for subtree in committed.verified().subtrees() {
            if self.index.subtree(subtree.level, subtree.index).map_err(read)? != Some(subtree.hash) {
                return Err(self.damaged(format!("the history tree at height {height}")));
            }
        }
        Ok(())
    }
    fn check_state(&mut self, update: &StateUpdate, height: BlockHeight) -> Result<(), CheckError> {
        if update.version <= self.oldest {
            let entries = update.values.iter().map(|(key, _)| key.as_slice());
            for replaced in update.stale.iter().map(Vec::as_slice).chain(entries) {
                self.missing.remove(replaced);
            }
        }
        let (index, version) = (&self.index, update.version);
        let nodes = update.nodes.iter().map(|(key, node)| (key.as_slice(), index.node(key), node));
        let entries = update.values.iter().map(|(key, v)| (key.as_slice(), index.value(version, key), v));
        let (mut missing, mut wrong) = (Vec::new(), None);
        for (key, found, expected) in nodes.chain(entries) {
            match found {
                Ok(Some(found)) if found == *expected => {}
                Ok(None) if version < self.oldest => missing.push((key.to_vec(), height)),
                Ok(_) => wrong = Some(format!("the state of height {height}")),
                Err(error) => wrong = Some(error.to_string()),
            }
        }
        self.missing.extend(missing);
        wrong.map_or(Ok(()), |what| Err(self.damaged(what)))
    }
    /// Whether all is there that belongs to the versions which it keeps.
    fn check_missing(self) -> Result<(), CheckError> {
        match self.missing.values().min() {
            Some(height) => Err(self.damaged(format!("the state of height {height}"))),
            None => Ok(()),
        }
    }
    fn check_transactions(&self, block: &Block, committed: &CommittedBlock) -> Result<(), CheckError> {
        let height = block.height();
        let written = Journal::written(block, committed.certificate());
        let mut bodies = written.bodies.iter().copied();
        for ((index, transaction), part) in (0_u32..).zip(block.transactions()).zip(&written.transactions) {
            let id = transaction.id();
            let body = transaction.message().and_then(|_| bodies.next()).map(|(start, _)| start);
            let expected = TransactionPlace { height, index, transaction: *part, body };
            let found = self.index.transaction(&id).map_err(|e| self.damaged(e.to_string()))?;
            if found != Some(expected) {
                return Err(self.damaged(format!("the place of transaction {id} at height {height}")));
            }
            let listed = self.index.is_listed(transaction, Cursor { height, index });
            if !listed.map_err(|e| self.damaged(e.to_string()))? {
                return Err(
                    self.damaged(format!("the lists do not name transaction {id} at height {height}"))
                );
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Error;

    #[test]
    fn a_system_that_has_no_more_open_files_is_no_damage_of_the_index() {
        let (path, failed) = (Path::new("index"), |number| Error::from_raw_os_error(number));
        // EMFILE, ENFILE, EACCES, ENOSPC.
        for number in [24, 23, 13, 28] {
            let error = unusable(parity_db::Error::Io(failed(number)), path);
            assert!(matches!(error, CheckError::Store(StoreError::Io { .. })), "{error}");
        }
        let damage = unusable(parity_db::Error::Corruption("a page".into()), path);
        assert!(matches!(damage, CheckError::Index { .. }), "{damage}");
    }
}
