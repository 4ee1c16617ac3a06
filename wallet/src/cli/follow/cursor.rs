//! How far a follower has come: the block it is in, and what of that block it has passed. Kept on disk for a
//! hook, so that it hears of messages that came while nobody followed; after a crash it may hear of one twice.

use crate::wallet::Wallet;
use sealpost_ledger::hash::TransactionId;
use sealpost_ledger::height::BlockHeight;
use sealpost_terminal::{Failure, write_secret_file};
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;
use std::io::ErrorKind;
use std::path::PathBuf;

/// How far a follower has come.
#[derive(Debug)]
pub(super) struct Cursor {
    passed: Passed,
    path: Option<PathBuf>,
}

/// Messages by their names in the archive: the file is not encrypted, and ids would tell whose they are.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Passed {
    height: BlockHeight,
    messages: BTreeSet<String>,
    /// How many of the sealed messages that scans have found are behind it.
    #[serde(default)]
    sealed: usize,
}

impl Cursor {
    /// At the beginning of a block, behind so many sealed messages.
    pub(super) fn new(height: BlockHeight, sealed: usize) -> Self {
        Self { passed: Passed { height, messages: BTreeSet::new(), sealed }, path: None }
    }
    /// Where this wallet's hook stopped; at the beginning of a block the first time.
    pub(super) fn kept(path: PathBuf, height: BlockHeight, sealed: usize) -> Result<Self, Failure> {
        let failed = |reason: String| {
            Failure::unavailable("file.io", format_args!("cannot read {}: {reason}", path.display()))
                .help("delete it to be told of new messages only")
        };
        let passed = match std::fs::read(&path) {
            Ok(bytes) => serde_json::from_slice(&bytes).map_err(|error| failed(error.to_string()))?,
            Err(error) if error.kind() == ErrorKind::NotFound => Self::new(height, sealed).passed,
            Err(error) => return Err(failed(error.to_string())),
        };
        let cursor = Self { passed, path: Some(path) };
        cursor.save()?;
        Ok(cursor)
    }
    /// The block it is in.
    pub(super) fn height(&self) -> BlockHeight {
        self.passed.height
    }
    /// Whether a message is behind it.
    pub(super) fn knows(&self, wallet: &Wallet, height: BlockHeight, id: &TransactionId) -> bool {
        height < self.passed.height
            || (height == self.passed.height && self.passed.messages.contains(&wallet.archive().name(id)))
    }
    /// Goes past a message. They come in the order of their blocks.
    pub(super) fn pass(
        &mut self,
        wallet: &Wallet,
        height: BlockHeight,
        id: &TransactionId,
    ) -> Result<(), Failure> {
        if height > self.passed.height {
            self.passed = Self::new(height, self.passed.sealed).passed;
        }
        self.passed.messages.insert(wallet.archive().name(id));
        self.save()
    }
    /// How many of the sealed messages that scans have found are behind it.
    pub(super) fn sealed(&self) -> usize {
        self.passed.sealed
    }
    /// Goes past the sealed messages that were found so far.
    pub(super) fn pass_sealed(&mut self, found: usize) -> Result<(), Failure> {
        if self.passed.sealed == found {
            return Ok(());
        }
        self.passed.sealed = found;
        self.save()
    }
    fn save(&self) -> Result<(), Failure> {
        let Some(path) = &self.path else { return Ok(()) };
        let json = serde_json::to_vec(&self.passed).map_err(Failure::bug)?;
        write_secret_file(path, &json)
    }
}
