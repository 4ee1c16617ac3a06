//! The archive: letters that were opened, kept on this machine when their keys and the nodes' copies are gone.
//! Each is an encrypted file of its own, so that no crash can harm another and one can be forgotten by itself;
//! its name is a keyed hash, so that the folder does not tell which messages of the ledger were read here.

#[cfg(feature = "fuzzing")]
pub(crate) mod fuzzing;
mod key;
mod marks;
mod record;
#[cfg(test)]
mod tests;

pub use key::ArchiveKey;
pub use marks::Mark;
pub use record::{Facts, Record, Way};

use crate::random::NoRandomness;
use sealpost_ledger::codec::DecodeError;
use sealpost_ledger::hash::TransactionId;
use sealpost_terminal::{Failure, create_private_folder, write_secret_file};
use std::fs;
use std::io::{ErrorKind, Read};
use std::path::{Path, PathBuf};
use std::time::Duration;
use thiserror::Error;
use zeroize::Zeroizing;

/// First byte of a file.
const FORMAT: u8 = 1;
/// How the names of letters end.
const ENDING: &str = "letter";
/// No letter takes longer to write.
const LONGEST_WRITE: Duration = Duration::from_secs(3600);
/// No file may be longer: the longest record, padded, with its format, nonce and tag.
const MAX_FILE_BYTES: u64 = 18 << 20;

/// A wallet's archive.
#[derive(Debug, Clone)]
pub struct Archive {
    folder: PathBuf,
    key: ArchiveKey,
}

/// Why the archive can't do what it was asked.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[allow(missing_docs)]
pub enum ArchiveError {
    #[error("{0}")]
    File(Failure),
    #[error("archive {}: it was altered, or belongs to another wallet; delete the file if nothing else has it", path.display())]
    Damaged { path: PathBuf },
    #[error("archive {}: its format is {found}, this program reads {FORMAT}", path.display())]
    Format { path: PathBuf, found: u8 },
    #[error("archive {}: {source}", path.display())]
    Record { path: PathBuf, source: DecodeError },
    #[error("{id} has {length} bytes, the archive keeps letters up to {limit}; save it with `read -o DIR`")]
    TooLong { id: TransactionId, length: usize, limit: usize },
    #[error(transparent)]
    Randomness(#[from] NoRandomness),
}

impl Archive {
    /// The archive in a folder, made if need be.
    pub fn open(folder: &Path, key: ArchiveKey) -> Result<Self, ArchiveError> {
        create_private_folder(&folder.join("marks")).map_err(ArchiveError::File)?;
        Ok(Self { folder: folder.into(), key })
    }
    /// Keeps a letter. Written whole or not at all; keeping it again replaces it.
    pub fn put(&self, record: &Record) -> Result<(), ArchiveError> {
        write_secret_file(&self.path(&record.id()), &self.file(record)?).map_err(ArchiveError::File)
    }
    /// What is in a letter's file.
    fn file(&self, record: &Record) -> Result<Vec<u8>, ArchiveError> {
        let (id, bytes) = (record.id(), Zeroizing::new(record.to_bytes()));
        if bytes.len() > Record::MAX_BYTES {
            return Err(ArchiveError::TooLong { id, length: bytes.len(), limit: Record::MAX_BYTES });
        }
        let sealed = self.key.seal(&id, &bytes)?;
        Ok([&[FORMAT], sealed.as_slice()].concat())
    }
    /// A letter, if it is kept.
    pub fn get(&self, id: &TransactionId) -> Result<Option<Record>, ArchiveError> {
        self.load(&self.path(id))
    }
    /// Whether a letter is kept and can be read: one that is damaged is kept anew while it can be opened.
    pub fn keeps(&self, id: &TransactionId) -> Result<bool, ArchiveError> {
        match self.get(id) {
            Ok(record) => Ok(record.is_some()),
            Err(ArchiveError::Damaged { .. } | ArchiveError::Format { .. } | ArchiveError::Record { .. }) => {
                Ok(false)
            }
            Err(error) => Err(error),
        }
    }
    /// Whether there is a file of a letter, be it damaged.
    pub fn has_file(&self, id: &TransactionId) -> bool {
        self.path(id).exists()
    }
    /// Removes a letter, and makes sure that it is not kept again unasked. Whether there was one.
    pub fn forget(&self, id: &TransactionId) -> Result<bool, ArchiveError> {
        // The mark first: after a crash between the two, the letter is still there to be forgotten.
        self.mark(id, Mark::Forgotten)?;
        self.sweep()?;
        match fs::remove_file(self.path(id)) {
            Ok(()) => self.sync_folder().map(|()| true),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(false),
            Err(error) => Err(failed("remove", &self.path(id), &error)),
        }
    }
    /// Another key for letters; marks stay valid.
    pub(crate) fn renewed_key(&self) -> Result<ArchiveKey, ArchiveError> {
        Ok(self.key.renewed()?)
    }
    /// Removes every letter, and goes on with another key.
    pub(crate) fn empty(&mut self, key: ArchiveKey) -> Result<(), ArchiveError> {
        self.key = key;
        self.sweep()?;
        for path in self.paths()? {
            fs::remove_file(&path).map_err(|error| failed("remove", &path, &error))?;
        }
        self.sync_folder()
    }
    /// What a message's files are called here: nobody without the key can tell which message it is.
    pub fn name(&self, id: &TransactionId) -> String {
        self.key.name(id)
    }
    /// All letters, in no order, one in memory at a time.
    pub fn records(&self) -> Result<impl Iterator<Item = Result<Record, ArchiveError>> + '_, ArchiveError> {
        // One that was forgotten meanwhile is none.
        Ok(self.paths()?.filter_map(|path| self.load(&path).transpose()))
    }

    fn paths(&self) -> Result<impl Iterator<Item = PathBuf> + use<>, ArchiveError> {
        let entries = fs::read_dir(&self.folder).map_err(|error| failed("read", &self.folder, &error))?;
        let paths = entries.flatten().map(|entry| entry.path());
        Ok(paths.filter(|path| path.extension().is_some_and(|ending| ending == ENDING)))
    }
    fn path(&self, id: &TransactionId) -> PathBuf {
        self.folder.join(self.key.name(id)).with_extension(ENDING)
    }
    fn load(&self, path: &Path) -> Result<Option<Record>, ArchiveError> {
        let damaged = || ArchiveError::Damaged { path: path.into() };
        let mut file = Vec::new();
        match fs::File::open(path).and_then(|open| open.take(MAX_FILE_BYTES).read_to_end(&mut file)) {
            Ok(_) => {}
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(failed("read", path, &error)),
        }
        let (format, sealed) = file.split_first().ok_or_else(damaged)?;
        if *format != FORMAT {
            return Err(ArchiveError::Format { path: path.into(), found: *format });
        }
        let (id, bytes) = self.key.open(sealed).ok_or_else(damaged)?;
        // Nobody can rename one letter into another's place.
        if self.path(&id) != path {
            return Err(damaged());
        }
        let record = Record::from_bytes(&bytes)
            .map_err(|source| ArchiveError::Record { path: path.into(), source })?;
        if record.id() == id { Ok(Some(record)) } else { Err(damaged()) }
    }
    /// Removes what writers left that were killed: half a letter is to be forgotten, too. A writer that runs
    /// keeps its file.
    fn sweep(&self) -> Result<(), ArchiveError> {
        let entries = fs::read_dir(&self.folder).map_err(|error| failed("read", &self.folder, &error))?;
        let left =
            entries.flatten().filter(|entry| entry.file_name().to_string_lossy().starts_with(".sealpost-"));
        for path in left.map(|entry| entry.path()) {
            let age =
                fs::metadata(&path).and_then(|meta| meta.modified()).ok().and_then(|at| at.elapsed().ok());
            if age.is_some_and(|age| age > LONGEST_WRITE) {
                // One that another process removes meanwhile is gone as well.
                let _gone = fs::remove_file(&path);
            }
        }
        Ok(())
    }
    fn sync_folder(&self) -> Result<(), ArchiveError> {
        sealpost_terminal::sync_folder(&self.folder).map_err(|error| failed("write", &self.folder, &error))
    }
}

fn failed(action: &str, path: &Path, error: &std::io::Error) -> ArchiveError {
    ArchiveError::File(sealpost_terminal::file_failure(action, path, error))
}
