//! The files of a snapshot: frames as in the journal, one after another, hashed while they are written and
//! while they are read.

use super::{FileEntry, SnapshotError};
use crate::store::StoreError;
use crate::store::frame::{HEAD_BYTES, Head, Kind, MAX_PAYLOAD_BYTES, SNAPSHOT_MARK};
use sha2::{Digest, Sha256};
use std::fs::{File, OpenOptions};
use std::io::{BufReader, BufWriter, Read, Write};
use std::path::{Path, PathBuf};

const BUFFER_BYTES: usize = 1 << 20;

/// Writes a new file.
pub(super) struct Writer {
    path: PathBuf,
    name: &'static str,
    out: BufWriter<File>,
    hash: Sha256,
    bytes: u64,
}

impl Writer {
    pub(super) fn create(dir: &Path, name: &'static str) -> Result<Self, SnapshotError> {
        let path = dir.join(name);
        let file = OpenOptions::new().write(true).create_new(true).open(&path);
        let file = file.map_err(|e| SnapshotError::io("create", &path, e))?;
        let out = BufWriter::with_capacity(BUFFER_BYTES, file);
        Ok(Self { path, name, out, hash: Sha256::new(), bytes: 0 })
    }
    pub(super) fn append(&mut self, kind: Kind, height: u64, payload: &[u8]) -> Result<(), SnapshotError> {
        let too_long = StoreError::TooLong { length: payload.len(), limit: MAX_PAYLOAD_BYTES };
        let head = Head::of(SNAPSHOT_MARK, kind, false, height, payload).ok_or(too_long)?;
        for part in [&head.to_bytes()[..], payload] {
            self.out.write_all(part).map_err(|e| SnapshotError::io("write", &self.path, e))?;
            self.hash.update(part);
            self.bytes = self.bytes.saturating_add(part.len() as u64);
        }
        Ok(())
    }
    /// Makes the file durable and says what the manifest has to.
    pub(super) fn finish(self) -> Result<FileEntry, SnapshotError> {
        let io = |e| SnapshotError::io("write", &self.path, e);
        let file = self.out.into_inner().map_err(|e| io(e.into_error()))?;
        file.sync_all().map_err(io)?;
        let sha256 = const_hex::encode(self.hash.finalize());
        Ok(FileEntry { name: self.name.into(), bytes: self.bytes, sha256 })
    }
}

/// A frame that was read.
pub(super) struct Record {
    pub(super) offset: u64,
    pub(super) height: u64,
    pub(super) payload: Vec<u8>,
}

/// Reads a file frame by frame.
pub(super) struct Reader {
    path: PathBuf,
    entry: FileEntry,
    input: BufReader<File>,
    hash: Sha256,
    offset: u64,
}

impl Reader {
    /// Opens a file of the manifest. One of another length is refused unread.
    pub(super) fn open(dir: &Path, entry: &FileEntry) -> Result<Self, SnapshotError> {
        let path = dir.join(&entry.name);
        let io = |e| SnapshotError::io("open", &path, e);
        let damaged =
            |offset, what| SnapshotError::Damaged { file: path.clone(), offset, height: None, what };
        let file = match File::open(&path) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                return Err(damaged(0, "the file is missing".into()));
            }
            opened => opened.map_err(io)?,
        };
        let found = file.metadata().map_err(io)?.len();
        if found != entry.bytes {
            let what = format!("the file has {found} bytes, the manifest says {}", entry.bytes);
            return Err(damaged(found.min(entry.bytes), what));
        }
        let input = BufReader::with_capacity(BUFFER_BYTES, file);
        Ok(Self { path, entry: entry.clone(), input, hash: Sha256::new(), offset: 0 })
    }
    /// The next frame, which must be of that kind; nothing at the end.
    pub(super) fn next(&mut self, kind: Kind) -> Result<Option<Record>, SnapshotError> {
        let left = self.entry.bytes.saturating_sub(self.offset);
        if left == 0 {
            return Ok(None);
        }
        let begin = self.offset;
        let head = self.read(HEAD_BYTES.min(usize::try_from(left).unwrap_or(usize::MAX)))?;
        let head = Head::parse(&head).filter(|head| head.mark == SNAPSHOT_MARK);
        let head = head.ok_or_else(|| self.damaged(begin, None, "a frame's head".into()))?;
        let left = left.saturating_sub(HEAD_BYTES as u64);
        if u64::from(head.length) > left {
            return Err(self.damaged(begin, Some(head.height), "an incomplete record".into()));
        }
        let payload = self.read(usize::try_from(head.length).unwrap_or(usize::MAX))?;
        if !head.matches(&payload) {
            return Err(self.damaged(begin, Some(head.height), "a record's checksum".into()));
        }
        if head.kind != kind {
            return Err(self.damaged(begin, Some(head.height), format!("a record of kind {:?}", head.kind)));
        }
        Ok(Some(Record { offset: begin, height: head.height, payload }))
    }
    /// Checks that nothing follows, and the hash of all that was read.
    pub(super) fn finish(mut self, kind: Kind) -> Result<(), SnapshotError> {
        if let Some(found) = self.next(kind)? {
            let what = "a record that belongs to no block".into();
            return Err(self.damaged(found.offset, Some(found.height), what));
        }
        let found = const_hex::encode(self.hash.clone().finalize());
        if found != self.entry.sha256 {
            let what = format!("its SHA-256 is {found}, the manifest says {}", self.entry.sha256);
            return Err(self.damaged(0, None, what));
        }
        Ok(())
    }
    /// The error for a place in this file.
    pub(super) fn damaged(&self, offset: u64, height: Option<u64>, what: String) -> SnapshotError {
        SnapshotError::Damaged { file: self.path.clone(), offset, height, what }
    }
    /// Where the next frame begins.
    pub(super) const fn offset(&self) -> u64 {
        self.offset
    }

    fn read(&mut self, length: usize) -> Result<Vec<u8>, SnapshotError> {
        let mut bytes = vec![0; length];
        self.input.read_exact(&mut bytes).map_err(|e| SnapshotError::io("read", &self.path, e))?;
        self.hash.update(&bytes);
        self.offset = self.offset.saturating_add(length as u64);
        Ok(bytes)
    }
}
