//! Snapshots: a ledger as a directory that another machine can start from. It holds every block record
//! (header, certificate, transactions), the bodies that are kept and the entries of the state; never a key,
//! and never a validator's log of votes.
//!
//! Nobody has to trust whoever made it: [`verify`] checks it against the genesis alone, and [`restore`]
//! runs every block again before anything of it counts.

mod create;
mod file;
mod in_office;
mod restore;
#[cfg(test)]
mod tests;
#[cfg(test)]
mod validator_tests;
mod verify;

pub use create::create;
pub use restore::{Restoration, restore};
pub use verify::verify;

use super::{CheckError, StoreError};
use sealpost_ledger::genesis::Genesis;
use sealpost_ledger::hash::{BlockHash, ChainId};
use sealpost_ledger::height::BlockHeight;
use sealpost_ledger::state::ViewError;
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};
use std::str::FromStr;
use thiserror::Error;

/// What the manifest calls its format.
pub const SNAPSHOT_FORMAT: &str = "sealpost-snapshot/1";
/// The manifest's name. It is written last: without it a directory is no snapshot.
pub const MANIFEST: &str = "manifest.json";
/// No manifest is longer, in bytes.
const MAX_MANIFEST_BYTES: u64 = 64 * 1024;

/// Every block record, from the first on.
const HEADERS: &str = "headers.log";
/// The bodies that are kept.
const BODIES: &str = "bodies.log";
/// The entries of the state after the last block.
const STATE: &str = "state.log";

/// What a snapshot says of itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    /// [`SNAPSHOT_FORMAT`].
    pub format: String,
    /// The network.
    pub chain: ChainId,
    /// Height of the last block.
    pub height: BlockHeight,
    /// Its hash.
    pub block: BlockHash,
    /// Height from which on bodies are there.
    pub oldest_body_height: BlockHeight,
    /// The files: headers, bodies, state.
    pub files: Vec<FileEntry>,
}

impl Manifest {
    /// Up to this height bodies are not there. A maker that was still catching up may honestly name more than its
    /// last block; nobody decides what is kept of blocks to come. A network without retention keeps all bodies.
    fn bodiless_up_to(&self, genesis: &Genesis) -> BlockHeight {
        match genesis.retention_blocks() {
            0 => BlockHeight::GENESIS,
            _ => self.oldest_body_height.saturating_sub(1).min(self.height),
        }
    }
}

/// A file of a snapshot.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FileEntry {
    /// Its name.
    pub name: String,
    /// Its length.
    pub bytes: u64,
    /// SHA-256 of its content, in hexadecimal.
    pub sha256: String,
}

/// What a snapshot that holds contains.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SnapshotReport {
    /// What it says of itself, all of it checked.
    pub manifest: Manifest,
    /// Transactions in its blocks.
    pub transactions: u64,
    /// Bodies.
    pub bodies: u64,
    /// Bodies that are not there though the network still keeps them, counted from the snapshot's last block.
    pub absent_bodies: u64,
    /// Entries of the state.
    pub state_entries: u64,
    /// Bytes of all files.
    pub bytes: u64,
}

/// A block that a reader knows from elsewhere: a snapshot that has another one there is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Checkpoint {
    /// Its height.
    pub height: BlockHeight,
    /// Its hash.
    pub block: BlockHash,
}

/// A text is no checkpoint.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("expected HEIGHT:HASH, a height from 1 on and 64 hexadecimal digits")]
pub struct ParseCheckpointError;

impl FromStr for Checkpoint {
    type Err = ParseCheckpointError;
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (height, block) = text.split_once(':').ok_or(ParseCheckpointError)?;
        let height = height.parse().ok().filter(|height| *height > 0).ok_or(ParseCheckpointError)?;
        let block = block.parse().map_err(|_| ParseCheckpointError)?;
        Ok(Self { height: BlockHeight::new(height), block })
    }
}

/// Why a snapshot is not made, not believed or not restored.
#[derive(Debug, Error)]
pub enum SnapshotError {
    /// The disk refused.
    #[error("{action} {path}: {source}", path = .path.display())]
    Io {
        /// What was tried.
        action: &'static str,
        /// With which file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// Not a snapshot.
    #[error("{path} is no snapshot: {what}", path = .path.display())]
    NoSnapshot {
        /// The folder.
        path: PathBuf,
        /// What is missing.
        what: String,
    },
    /// Of another network.
    #[error("the snapshot is of chain {found}, the genesis is of chain {expected}")]
    OtherChain {
        /// The snapshot's chain.
        found: ChainId,
        /// The genesis' chain.
        expected: ChainId,
    },
    /// It is not as it was made, or does not hold.
    #[error(
        "the snapshot does not hold: {file} at byte {offset}{at}: {what}",
        file = file.display(),
        at = height.map_or(String::new(), |h| format!(", height {h}")),
    )]
    Damaged {
        /// The file.
        file: PathBuf,
        /// The place in it.
        offset: u64,
        /// The block there, if it is known.
        height: Option<u64>,
        /// What is wrong.
        what: String,
    },
    /// It has another block than the checkpoint names, or none.
    #[error("the checkpoint names block {expected} at height {height}, the snapshot has {found}")]
    Checkpoint {
        /// The height.
        height: BlockHeight,
        /// The block of the checkpoint.
        expected: BlockHash,
        /// The snapshot's.
        found: String,
    },
    /// There is no block yet.
    #[error("there is no final block yet: nothing to make a snapshot of")]
    Empty,
    /// There is something already.
    #[error("{path}: there is something already, and it is not overwritten", path = .path.display())]
    Taken {
        /// The folder.
        path: PathBuf,
    },
    /// The node's own data.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The node's own data can't be looked at.
    #[error(transparent)]
    Check(#[from] CheckError),
}

impl From<ViewError> for SnapshotError {
    fn from(error: ViewError) -> Self {
        SnapshotError::Store(error.into())
    }
}

impl SnapshotError {
    fn io(action: &'static str, path: &Path, source: std::io::Error) -> Self {
        SnapshotError::Io { action, path: path.into(), source }
    }
}
