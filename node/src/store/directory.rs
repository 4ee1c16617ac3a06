//! The data directory: held by one process, and marked with its format and its network.

use super::StoreError;
use super::check::CheckError;
use super::durable::{create_folder, discard, replace_file};
use sealpost_ledger::hash::ChainId;
use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{Read, Seek, Write};
use std::path::{Path, PathBuf};

/// The format of the data directory that this program writes. Format 2 knows runs of blocks and dropped
/// bodies, format 3 files with a mark of their own; what an older one holds means the same in a newer one.
pub const FORMAT: u32 = 3;
/// The oldest format that is read. It becomes the newest when the node opens it.
const OLDEST_FORMAT: u32 = 1;
/// The file that marks the data as an archive's. Only a network with retention has ordinary nodes beside archives.
const ARCHIVE: &str = "ARCHIVE";
/// The file whose lock holds a data directory.
pub(super) const LOCK: &str = "LOCK";

/// As whose a data directory is opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Opened {
    /// A node's that keeps all bodies.
    Archive,
    /// A node's that drops old ones.
    Ordinary,
}

/// A locked file. It is let go when this is dropped, not when the last copy of the file is closed: a child process that
/// another thread is just starting has such a copy until it runs its program.
#[derive(Debug)]
struct Lock(File);

impl Drop for Lock {
    fn drop(&mut self) {
        // If it can't be, closing the file lets it go.
        let _closed = self.0.unlock();
    }
}

/// The lock on a data directory. Gone when it is dropped, or when the process ends.
#[derive(Debug)]
pub(super) struct Directory {
    path: PathBuf,
    _lock: Lock,
}

impl Directory {
    /// Locks the directory, making it if need be, and checks that it is of this format and network.
    pub(super) fn open(path: &Path, chain: ChainId) -> Result<Self, StoreError> {
        let create = |folder: &Path| create_folder(folder).map_err(|e| StoreError::io("create", folder, e));
        create(path)?;
        let lock = lock(path)?;
        // Nothing is made where somebody else is at work.
        create(&path.join("journal"))?;
        check_format(path, chain)?;
        Ok(Self { path: path.into(), _lock: lock })
    }
    /// As [`open`](Self::open), for a directory that a node has written: looking must not make a new one.
    pub(super) fn open_existing(path: &Path, chain: ChainId) -> Result<Self, CheckError> {
        match path.join("FORMAT").exists() {
            true => Ok(Self::open(path, chain)?),
            false => Err(CheckError::NoData { path: path.into() }),
        }
    }
    /// Checks that a directory is of this format and network, without its lock.
    pub(super) fn check(path: &Path, chain: ChainId) -> Result<(), StoreError> {
        check_format(path, chain)
    }
    /// Marks the directory as one of this format.
    pub(super) fn upgrade(&self, chain: ChainId) -> Result<(), StoreError> {
        let path = self.path.join("FORMAT");
        let text = fs::read_to_string(&path).map_err(|e| StoreError::io("read", &path, e))?;
        match text.split_whitespace().next() == Some(&FORMAT.to_string()) {
            true => Ok(()),
            false => write_format(&path, chain),
        }
    }
    /// Sees to it that an archive stays one: its data is marked when it is opened as one's, and from then on not opened
    /// otherwise. Whoever forgot to say so would drop, without a word, what nobody else may have.
    pub(super) fn keep_archive(&self, opened: Opened) -> Result<(), StoreError> {
        let mark = self.path.join(ARCHIVE);
        match (opened, mark.exists()) {
            (Opened::Archive, false) => {
                let text =
                    b"This data is an archive's: it keeps all bodies. See `sealpost-node db prune --help`.\n";
                replace_file(&mark, text).map_err(|e| StoreError::io("write", &mark, e))
            }
            (Opened::Ordinary, true) => Err(StoreError::Archive { path: mark }),
            (Opened::Archive, true) | (Opened::Ordinary, false) => Ok(()),
        }
    }
    /// Whether the data is an archive's.
    pub(super) fn is_archive(&self) -> bool {
        self.path.join(ARCHIVE).exists()
    }
    /// Makes an archive's data an ordinary node's. Returns whether it was an archive's.
    pub(super) fn give_up_archive(&self) -> Result<bool, StoreError> {
        let mark = self.path.join(ARCHIVE);
        let there = mark.exists();
        discard(&mark).map_err(|e| StoreError::io("remove", &mark, e))?;
        Ok(there)
    }
    /// Where it is.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }
    /// Where the journal is.
    pub(super) fn journal(&self) -> PathBuf {
        self.path.join("journal")
    }
    /// Where the index is.
    pub(super) fn index(&self) -> PathBuf {
        self.path.join("index")
    }
}

/// The lock on a data directory of any format and network, for whoever is about to delete it. Nobody can
/// open the directory until this is dropped.
#[derive(Debug)]
pub struct DirectoryLock {
    _lock: Lock,
}

/// Takes the lock of a data directory without opening it; nothing if there is no such directory.
pub fn lock_directory(path: &Path) -> Result<Option<DirectoryLock>, StoreError> {
    match path.exists() {
        true => Ok(Some(DirectoryLock { _lock: lock(path)? })),
        false => Ok(None),
    }
}

fn lock(path: &Path) -> Result<Lock, StoreError> {
    let path = path.join(LOCK);
    let io = |e| StoreError::io("lock", &path, e);
    let file = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(&path);
    let mut file = file.map_err(|e| StoreError::io("open", &path, e))?;
    match file.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => {
            let mut pid = String::new();
            // Only for the message: the holder may just be writing it.
            let _ = file.read_to_string(&mut pid);
            return Err(StoreError::Locked { path, pid: pid.trim().to_owned() });
        }
        Err(TryLockError::Error(error)) => return Err(io(error)),
    }
    file.set_len(0).map_err(io)?;
    file.rewind().map_err(io)?;
    writeln!(file, "{}", std::process::id()).map_err(io)?;
    Ok(Lock(file))
}

fn check_format(dir: &Path, chain: ChainId) -> Result<(), StoreError> {
    let path = dir.join("FORMAT");
    let bytes = match fs::read(&path) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return write_format(&path, chain),
        Err(error) => return Err(StoreError::io("read", &path, error)),
    };
    let text = String::from_utf8_lossy(&bytes);
    let mut words = text.split_whitespace();
    let format = words.next().unwrap_or_default();
    let found = words.next().unwrap_or_default();
    // Earlier programs wrote no checksum.
    if words.next().is_none_or(|sum| sum != checksum(format, found)) && text != format!("{format} {found}\n")
        || found.len() != chain.to_string().len()
    {
        let what = "the format and the network of the data and their checksum are expected; delete the file, and the \
                    node writes it anew";
        return Err(StoreError::Damaged { segment: path, offset: 0, height: None, what: what.into() });
    }
    if !format.parse().is_ok_and(|format| (OLDEST_FORMAT..=FORMAT).contains(&format)) {
        return Err(StoreError::Format { path, found: format.into(), expected: FORMAT });
    }
    if found != chain.to_string() {
        return Err(StoreError::OtherChain { path, found: found.into(), expected: chain });
    }
    Ok(())
}

fn checksum(format: &str, chain: &str) -> String {
    format!("{:08x}", crc32c::crc32c(format!("{format} {chain}").as_bytes()))
}

fn write_format(path: &Path, chain: ChainId) -> Result<(), StoreError> {
    let (format, chain) = (FORMAT.to_string(), chain.to_string());
    let sum = checksum(&format, &chain);
    let written = replace_file(path, format!("{format} {chain} {sum}\n").as_bytes());
    written.map_err(|e| StoreError::io("write", path, e))
}

#[cfg(feature = "fuzzing")]
pub(super) mod fuzzing {
    //! For the fuzzer: the file that says format and network.
    use super::{ChainId, Path, check_format, fs};

    /// The file as this program writes it.
    #[allow(clippy::unwrap_used)]
    pub(in crate::store) fn format_of(dir: &Path, chain: ChainId) -> Vec<u8> {
        check_format(dir, chain).unwrap();
        fs::read(dir.join("FORMAT")).unwrap()
    }
    pub(in crate::store) fn is_taken(dir: &Path, chain: ChainId) -> bool {
        check_format(dir, chain).is_ok()
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::indexing_slicing)]
mod tests {
    use super::*;

    #[test]
    fn a_changed_note_of_the_format_is_damage_and_one_without_checksum_is_read() {
        let dir = tempfile::tempdir().unwrap();
        let (path, chain) = (dir.path().join("FORMAT"), ChainId::from_bytes([0xab; 32]));
        write_format(&path, chain).unwrap();
        let whole = fs::read(&path).unwrap();
        check_format(dir.path(), chain).unwrap();
        for at in 0..whole.len() - 1 {
            let mut changed = whole.clone();
            changed[at] ^= 1;
            let mut no_text = whole.clone();
            no_text[at] ^= 0x80;
            for bytes in [&changed[..], &no_text[..], &whole[..at]] {
                fs::write(&path, bytes).unwrap();
                let error = check_format(dir.path(), chain).unwrap_err();
                assert!(matches!(error, StoreError::Damaged { .. }), "byte {at}: {error}");
            }
        }
        let other = ChainId::from_bytes([0xac; 32]);
        fs::write(&path, format!("{FORMAT} {other}\n")).unwrap();
        assert!(matches!(check_format(dir.path(), chain), Err(StoreError::OtherChain { .. })));
        fs::write(&path, format!("{OLDEST_FORMAT} {chain}\n")).unwrap();
        check_format(dir.path(), chain).unwrap();
    }

    /// As a child process has one, from its birth until it runs its program.
    #[test]
    fn a_copy_of_the_locked_file_keeps_nobody_out_once_the_lock_is_let_go() {
        let dir = tempfile::tempdir().unwrap();
        let held = lock(dir.path()).unwrap();
        let copy = held.0.try_clone().unwrap();
        assert!(matches!(lock(dir.path()), Err(StoreError::Locked { .. })));
        drop(held);
        assert!(lock(dir.path()).is_ok());
        drop(copy);
    }
}
