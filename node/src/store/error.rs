//! What goes wrong in the store: the disk, the directory, the journal.

use sealpost_ledger::hash::ChainId;
use sealpost_ledger::height::BlockHeight;
use sealpost_ledger::state::ViewError;
use std::path::{Path, PathBuf};
use thiserror::Error;

/// Why the store can't do what it was asked.
#[derive(Debug, Error)]
pub enum StoreError {
    /// The disk refused.
    #[error("{action} {path}: {source}")]
    Io {
        /// What was tried.
        action: &'static str,
        /// With which file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// Another process holds the directory.
    #[error("{path} is held by process {pid}; stop that node first, or choose another --home", path = .path.display())]
    Locked {
        /// The lock file.
        path: PathBuf,
        /// The process it names.
        pid: String,
    },
    /// Written by another version of this program.
    #[error("{path}: data format {found:?}, this program reads format {expected}")]
    Format {
        /// The file that says so.
        path: PathBuf,
        /// Its format.
        found: String,
        /// Ours.
        expected: u32,
    },
    /// The data of another network.
    #[error(
        "{path}: the data is of chain {found}, the genesis is of chain {expected}; choose another --home"
    )]
    OtherChain {
        /// The file that says so.
        path: PathBuf,
        /// Its chain.
        found: String,
        /// The genesis' chain.
        expected: ChainId,
    },
    /// An archive's data, opened as an ordinary node's.
    #[error(
        "{path}: this data is an archive's, and a node that is none would drop its old bodies for good; run it with \
         `archive = true` in its settings, or --archive. To give the archive up: `sealpost-node db prune \
         --give-up-archive`",
        path = .path.display()
    )]
    Archive {
        /// The file that says so.
        path: PathBuf,
    },
    /// The journal is not as it was written.
    #[error(
        "the journal is damaged: {segment} at byte {offset}{at}: {what}; `sealpost-node check` says how far it \
         holds and what `check --repair` would cut",
        segment = segment.display(),
        at = height.map_or(String::new(), |h| format!(", height {h}")),
    )]
    Damaged {
        /// The file.
        segment: PathBuf,
        /// The place in it.
        offset: u64,
        /// The block there, if it is known.
        height: Option<u64>,
        /// What is wrong.
        what: String,
    },
    /// The index does not fit the journal, which is whole.
    #[error("the index is damaged: {what}; delete {} and start the node, it makes the index anew", path.display())]
    Index {
        /// The folder of the index.
        path: PathBuf,
        /// What does not fit.
        what: String,
    },
    /// A block that does not follow the tip.
    #[error("block {found} does not follow the tip at height {tip}")]
    NotNext {
        /// Height of the block.
        found: BlockHeight,
        /// Height of the tip.
        tip: BlockHeight,
    },
    /// A block without its bodies, within retention or on a node that keeps them all.
    #[error("block {height} comes without the bodies of its messages")]
    Bodiless {
        /// Height of the block.
        height: BlockHeight,
    },
    /// Too long for a record.
    #[error("a record of {length} bytes, the limit is {limit}")]
    TooLong {
        /// Bytes.
        length: usize,
        /// Bytes allowed.
        limit: u32,
    },
    /// The store has failed and writes nothing any more; the node must stop.
    #[error("the store has failed and needs a restart: {reason}")]
    Fatal {
        /// Why.
        reason: String,
    },
    /// Reading the index failed.
    #[error(transparent)]
    View(#[from] ViewError),
}

impl StoreError {
    pub(super) fn io(action: &'static str, path: &Path, source: std::io::Error) -> Self {
        StoreError::Io { action, path: path.into(), source }
    }
    pub(super) fn fatal(reason: impl std::fmt::Display) -> Self {
        StoreError::Fatal { reason: reason.to_string() }
    }
}
