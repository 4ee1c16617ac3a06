//! The log of votes as a file: a validator's memory of what it has signed at the height that is being decided.
//! The engine writes it; here it is begun, put away, and asked how far it reaches, so that no validator votes
//! without it or against it.

use super::ConsensusError;
use sealpost_ledger::height::BlockHeight;
use std::fs;
use std::io::{self, ErrorKind, Read};
use std::path::{Path, PathBuf};

/// Where the log's height stands, behind its version (arc-malachitebft-wal 0.8, `log.rs`): big-endian.
const HEIGHT_AT: usize = 4;

/// Begins the log of votes of a key that has never voted. Fails if there is a log already: its votes bind.
pub fn begin_wal(wal: &Path) -> Result<(), ConsensusError> {
    let failed = |source| ConsensusError::Wal { wal: wal.to_owned(), source };
    let file = fs::File::create_new(wal).map_err(failed)?;
    file.sync_all().map_err(failed)
}

/// Puts the log of votes away, whole, when the chain on disk is about to lose blocks: a log binds the votes of
/// the last height only, and at the heights decided before a validator that found them open would vote anew.
/// Without a log it doesn't vote at all until it may ([`ConsensusError::WalMissing`]). Returns where the log
/// is now; nothing if there is none, or if it is empty, for then this key has never voted.
pub fn set_wal_aside(wal: &Path) -> Result<Option<PathBuf>, ConsensusError> {
    let failed = |source| ConsensusError::Wal { wal: wal.to_owned(), source };
    match fs::metadata(wal) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        found => {
            if found.map_err(failed)?.len() == 0 {
                return Ok(None);
            }
        }
    }
    let name = |number: u32| {
        let mut name = wal.as_os_str().to_owned();
        name.push(format!(".aside-{number}"));
        PathBuf::from(name)
    };
    let taken = || io::Error::from(ErrorKind::AlreadyExists);
    let aside = (1..10_000).map(name).find(|path| !path.exists()).ok_or_else(taken).map_err(failed)?;
    fs::rename(wal, &aside).map_err(failed)?;
    let folder = wal.parent().unwrap_or(Path::new("."));
    fs::File::open(folder).and_then(|folder| folder.sync_all()).map_err(failed)?;
    Ok(Some(aside))
}

/// Puts back what [`set_wal_aside`] put away, when no block was lost after all.
pub fn put_wal_back(wal: &Path, aside: &Path) -> Result<(), ConsensusError> {
    fs::rename(aside, wal).map_err(|source| ConsensusError::Wal { wal: wal.to_owned(), source })
}

/// Refuses to vote when votes may have been cast and forgotten. The log is begun together with the key, so
/// that its absence always means that something is lost, at whatever height the chain here is.
pub(super) fn check_wal(wal: &Path) -> Result<(), ConsensusError> {
    match wal.try_exists() {
        Ok(true) => Ok(()),
        Ok(false) => Err(ConsensusError::WalMissing { wal: wal.to_owned() }),
        Err(source) => Err(ConsensusError::Wal { wal: wal.to_owned(), source }),
    }
}

/// Whether an engine still has the log open: it locks it (arc-malachitebft-wal 0.8, `file.rs`).
pub(super) fn is_held(wal: &Path) -> bool {
    let tried = fs::File::open(wal).map(|file| file.try_lock());
    matches!(tried, Ok(Err(fs::TryLockError::WouldBlock)))
}

/// The height whose votes the log holds; nothing if the key has never voted. A chain here that has not come so
/// far has lost blocks: votes cast now, at heights decided before, could contradict those that were cast then,
/// and the engine would begin the log anew and forget the newer ones.
pub fn voted_height(wal: &Path) -> Result<Option<BlockHeight>, ConsensusError> {
    let failed = |source| ConsensusError::Wal { wal: wal.to_owned(), source };
    let mut file = fs::File::open(wal).map_err(failed)?;
    if file.metadata().map_err(failed)?.len() == 0 {
        return Ok(None);
    }
    let mut header = [0_u8; HEIGHT_AT + 8];
    file.read_exact(&mut header).map_err(failed)?;
    let height = header.last_chunk().map(|bytes| u64::from_be_bytes(*bytes));
    Ok(height.map(BlockHeight::new))
}
