//! Marks of messages, for this machine only: read, forgotten. A mark is a file of one
//! byte under the letter's keyed name: it tells nobody which message it is about.

use super::{Archive, ArchiveError, failed};
use sealpost_ledger::hash::TransactionId;
use sealpost_ledger::height::BlockHeight;
use sealpost_terminal::write_secret_file;
use std::fs;
use std::io::ErrorKind;
use std::path::PathBuf;

/// File with the height below which all messages were looked at.
const CAUGHT_UP: &str = "caught-up";

/// What is remembered of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mark {
    /// Somebody read it here.
    Read,
    /// It was forgotten on purpose, and is not kept again.
    Forgotten,
}

impl Mark {
    const ALL: [Self; 2] = [Mark::Read, Mark::Forgotten];
    fn byte(self) -> u8 {
        match self {
            Mark::Read => b'r',
            Mark::Forgotten => b'f',
        }
    }
}

impl Archive {
    /// Marks a message. What was forgotten stays so.
    pub fn mark(&self, id: &TransactionId, mark: Mark) -> Result<(), ArchiveError> {
        let known = self.marked(id)?;
        if known == Some(mark) || known == Some(Mark::Forgotten) {
            return Ok(());
        }
        write_secret_file(&self.mark_path(id), &[mark.byte()]).map_err(ArchiveError::File)
    }
    /// The mark of a message.
    pub fn marked(&self, id: &TransactionId) -> Result<Option<Mark>, ArchiveError> {
        let path = self.mark_path(id);
        match fs::read(&path) {
            // A mark that this program does not know says nothing.
            Ok(bytes) => Ok(Mark::ALL.into_iter().find(|mark| bytes == [mark.byte()])),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            Err(error) => Err(failed("read", &path, &error)),
        }
    }
    /// Makes a message unread again. What was forgotten stays so.
    pub fn unmark(&self, id: &TransactionId) -> Result<(), ArchiveError> {
        if self.marked(id)? != Some(Mark::Read) {
            return Ok(());
        }
        let path = self.mark_path(id);
        fs::remove_file(&path).map_err(|error| failed("remove", &path, &error))
    }
    /// Height below which all messages were looked at.
    pub fn caught_up(&self) -> Option<BlockHeight> {
        // One that can't be read costs time: everything is looked at again.
        fs::read_to_string(self.folder.join(CAUGHT_UP)).ok()?.trim().parse().ok().map(BlockHeight::new)
    }
    /// Remembers that all messages below a height were looked at.
    pub(crate) fn set_caught_up(&self, height: BlockHeight) -> Result<(), ArchiveError> {
        let text = format!("{height}\n");
        write_secret_file(&self.folder.join(CAUGHT_UP), text.as_bytes()).map_err(ArchiveError::File)
    }
    fn mark_path(&self, id: &TransactionId) -> PathBuf {
        self.folder.join("marks").join(self.key.name(id))
    }
}
