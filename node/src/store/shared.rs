//! Looking at a data directory without being the node that it belongs to: of a stopped node under its lock,
//! of a running one as it is on disk at this moment.

use super::check::CheckError;
use super::directory::Directory;
use super::journal::Journal;
use super::stream::TornEnd;
use super::{SEGMENT_BYTES, StoreError};
use sealpost_ledger::genesis::Genesis;
use std::path::Path;

/// A running node may write or drop a file between two looks: so often it is looked at again.
const ATTEMPTS: usize = 10;

/// The journal of a data directory, read only.
pub(super) struct Shared {
    pub(super) journal: Journal,
    /// Whether a node runs on it.
    pub(super) running: bool,
    _directory: Option<Directory>,
}

impl Shared {
    pub(super) fn open(dir: &Path, genesis: &Genesis) -> Result<Self, CheckError> {
        let directory = match Directory::open_existing(dir, genesis.chain_id()) {
            Ok(directory) => Some(directory),
            Err(CheckError::Store(StoreError::Locked { .. })) => None,
            Err(error) => return Err(error),
        };
        let running = directory.is_none();
        if running {
            Directory::check(dir, genesis.chain_id())?;
        }
        // Who reads a record checks it then.
        let look = || Journal::open(&dir.join("journal"), SEGMENT_BYTES, TornEnd::Look);
        let mut journal = look();
        for _ in 1..ATTEMPTS {
            if !running || journal.is_ok() {
                break;
            }
            journal = look();
        }
        Ok(Self { journal: journal?, running, _directory: directory })
    }
}
