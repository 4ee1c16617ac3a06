//! What this wallet knows of messages that came: which of them are parts of a letter. A message tells that to
//! nobody who can't open it, and opening takes its body from a node: each is opened once, and the answer kept.

use sealpost_ledger::hash::TransactionId;
use sealpost_terminal::{Failure, file_failure};
use std::collections::HashMap;
use std::fs::File;
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, OnceLock, PoisonError};

/// Bytes of an entry: an id, and what the message is.
const ENTRY_BYTES: usize = 33;
/// More than this is not read, in bytes: a million messages.
const MOST_BYTES: u64 = ENTRY_BYTES as u64 * 1_000_000;

/// What a message holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// What a person wrote.
    Letter,
    /// A part of something.
    Part,
}

/// What is known of messages, in a file that grows by an entry for each.
#[derive(Debug)]
pub(crate) struct Known {
    path: PathBuf,
    entries: OnceLock<Mutex<HashMap<TransactionId, Kind>>>,
}

impl Known {
    /// What is known in a wallet's folder. The file is read when it is needed.
    pub(crate) fn open(folder: &Path) -> Self {
        Self { path: folder.join("kinds"), entries: OnceLock::new() }
    }
    /// What a message is, if that is known.
    pub(crate) fn get(&self, id: &TransactionId) -> Option<Kind> {
        self.entries().lock().unwrap_or_else(PoisonError::into_inner).get(id).copied()
    }
    /// Keeps what a message is. What a crash leaves of an entry is found out again.
    pub(crate) fn put(&self, id: TransactionId, kind: Kind) -> Result<(), Failure> {
        let mut entries = self.entries().lock().unwrap_or_else(PoisonError::into_inner);
        if entries.insert(id, kind).is_some() {
            return Ok(());
        }
        let entry = [id.as_bytes().as_slice(), &[u8::from(kind == Kind::Part)]].concat();
        let mut options = File::options();
        options.create(true).append(true);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        let written = options.open(&self.path).and_then(|mut file| {
            // A power cut may have left half an entry.
            let half = file.metadata()?.len() % ENTRY_BYTES as u64;
            if half > 0 {
                file.set_len(file.metadata()?.len().saturating_sub(half))?;
            }
            file.write_all(&entry)
        });
        written.map_err(|error| file_failure("write", &self.path, &error))
    }
    fn entries(&self) -> &Mutex<HashMap<TransactionId, Kind>> {
        self.entries.get_or_init(|| Mutex::new(read(&self.path)))
    }
}

/// All whole entries. A file that can't be read is like none: what it says is found out again.
fn read(path: &Path) -> HashMap<TransactionId, Kind> {
    let mut bytes = Vec::new();
    let _unread = File::open(path).and_then(|file| file.take(MOST_BYTES).read_to_end(&mut bytes));
    let entries = bytes.chunks_exact(ENTRY_BYTES).filter_map(|entry| {
        let (id, kind) = entry.split_first_chunk::<32>()?;
        let kind = if kind == [1] { Kind::Part } else { Kind::Letter };
        Some((TransactionId::from_bytes(*id), kind))
    });
    entries.collect()
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::indexing_slicing)]
mod tests {
    use super::*;

    #[test]
    fn what_a_message_is_is_known_again_and_half_an_entry_is_no_harm() {
        let dir = tempfile::tempdir().unwrap();
        let ids = [1, 2, 3].map(|n| TransactionId::from_bytes([n; 32]));
        let known = Known::open(dir.path());
        known.put(ids[0], Kind::Part).unwrap();
        known.put(ids[1], Kind::Letter).unwrap();
        let mut file = File::options().append(true).open(dir.path().join("kinds")).unwrap();
        file.write_all(&[3; 20]).unwrap();
        let again = Known::open(dir.path());
        assert_eq!(ids.map(|id| again.get(&id)), [Some(Kind::Part), Some(Kind::Letter), None]);
        again.put(ids[2], Kind::Part).unwrap();
        assert_eq!(Known::open(dir.path()).get(&ids[2]), Some(Kind::Part));
    }
}
