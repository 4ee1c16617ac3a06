//! The log of votes as a file: a validator's memory of what it has signed at the height that is being decided.
//! The engine writes it; here it is begun, put away, and asked how far it reaches, so that no validator votes
//! without it or against it.

mod sound;

pub use sound::VotesDamage;

use super::ConsensusError;
use sealpost_ledger::height::BlockHeight;
use sealpost_terminal::{folder_of, sync_folder, write_atomically, write_new_file};
use std::fs;
use std::io::{self, ErrorKind, Read};
use std::path::{Path, PathBuf};

/// A log without votes, as the engine begins it (arc-malachitebft-wal 0.8, `log.rs`): version 1, height 0. The engine would write it in two steps, and could
/// not read again what a crash between them leaves.
const NO_VOTES: [u8; 12] = [0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0];

/// Begins the log of votes of a key that has never voted. Fails if there is a log with votes already: they bind.
pub fn begin_wal(wal: &Path) -> Result<(), ConsensusError> {
    match wal.exists() && voted_height(wal)?.is_none() {
        true => Ok(()),
        false => write_new_file(wal, &NO_VOTES).map_err(ConsensusError::WalUnwritten),
    }
}

/// Puts the log of votes away, whole, when the chain on disk is about to lose blocks: a log binds the votes of
/// the last height only, and at the heights decided before a validator that found them open would vote anew.
/// Without a log it doesn't vote at all until it may ([`ConsensusError::WalMissing`]). Returns where the log
/// is now; nothing if there is none, or if it holds no votes, for then this key has never voted.
pub fn set_wal_aside(wal: &Path) -> Result<Option<PathBuf>, ConsensusError> {
    let failed = |source| ConsensusError::Wal { wal: wal.to_owned(), source };
    if !wal.try_exists().map_err(failed)? || matches!(voted_height(wal), Ok(None)) {
        return Ok(None);
    }
    let name = |number: u32| {
        let mut name = wal.as_os_str().to_owned();
        name.push(format!(".aside-{number}"));
        PathBuf::from(name)
    };
    let taken = || io::Error::from(ErrorKind::AlreadyExists);
    let aside = (1..10_000).map(name).find(|path| !path.exists()).ok_or_else(taken).map_err(failed)?;
    fs::rename(wal, &aside).map_err(failed)?;
    if let Err(source) = sync_folder(folder_of(wal)) {
        put_wal_back(wal, &aside)?;
        return Err(failed(source));
    }
    Ok(Some(aside))
}

/// Puts back what [`set_wal_aside`] put away, when no block was lost after all. Its error names where the log is.
pub fn put_wal_back(wal: &Path, aside: &Path) -> Result<(), ConsensusError> {
    let failed = |source| ConsensusError::Wal { wal: aside.to_owned(), source };
    // A log that was begun meanwhile holds votes of its own.
    if wal.try_exists().map_err(failed)? {
        return Err(failed(ErrorKind::AlreadyExists.into()));
    }
    fs::rename(aside, wal).and_then(|()| sync_folder(folder_of(wal))).map_err(failed)
}

/// Refuses to vote when votes may have been cast and forgotten: without a log, or with one that is not as the engine wrote
/// it. The log is begun together with the key, so that its absence always means that something is lost, at whatever
/// height the chain here is. What a crash has cut short is cut off.
///
/// It holds the engine's own lock meanwhile: what another process is just writing looks cut short, too.
pub(super) fn check_wal(wal: &Path) -> Result<(), ConsensusError> {
    let failed = |source| ConsensusError::Wal { wal: wal.to_owned(), source };
    let mut file = match fs::OpenOptions::new().read(true).write(true).open(wal) {
        Ok(file) => file,
        Err(error) if error.kind() == ErrorKind::NotFound => {
            return Err(ConsensusError::WalMissing { wal: wal.to_owned() });
        }
        Err(error) => return Err(failed(error)),
    };
    match file.try_lock() {
        Ok(()) => {}
        Err(fs::TryLockError::WouldBlock) => return Err(ConsensusError::WalHeld { wal: wal.to_owned() }),
        Err(fs::TryLockError::Error(error)) => return Err(failed(error)),
    }
    let mut bytes = Vec::new();
    file.read_to_end(&mut bytes).map_err(failed)?;
    // Earlier programs began it empty.
    if bytes.is_empty() {
        return write_atomically(wal, &NO_VOTES).map_err(ConsensusError::WalUnwritten);
    }
    let damaged = |damage| ConsensusError::WalDamaged { wal: wal.to_owned(), damage };
    let sound = sound::check(&bytes).map_err(damaged)?;
    if sound < bytes.len() {
        let sound = u64::try_from(sound).unwrap_or(u64::MAX);
        file.set_len(sound).and_then(|()| file.sync_all()).map_err(failed)?;
    }
    Ok(())
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
    let mut header = Vec::with_capacity(NO_VOTES.len());
    let beginning = fs::File::open(wal).map(|file| file.take(NO_VOTES.len() as u64));
    beginning.and_then(|mut beginning| beginning.read_to_end(&mut header)).map_err(failed)?;
    if header.is_empty() || header == NO_VOTES {
        return Ok(None);
    }
    let split = sound::split_header(&header);
    let (_, height, _) =
        split.map_err(|damage| ConsensusError::WalDamaged { wal: wal.to_owned(), damage })?;
    Ok(Some(height))
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::indexing_slicing)]
mod tests {
    use super::*;

    #[test]
    fn a_log_is_begun_whole_and_again_only_as_long_as_it_holds_no_votes() {
        let dir = tempfile::tempdir().unwrap();
        let wal = dir.path().join("consensus.wal");
        begin_wal(&wal).unwrap();
        // The engine finds a log here, and has no beginning to write.
        assert_eq!(fs::read(&wal).unwrap(), NO_VOTES);
        begin_wal(&wal).unwrap();
        assert_eq!(set_wal_aside(&wal).unwrap(), None);
        let mut votes = NO_VOTES;
        votes[votes.len() - 1] = 7;
        fs::write(&wal, votes).unwrap();
        assert_eq!(voted_height(&wal).unwrap(), Some(BlockHeight::new(7)));
        assert!(begin_wal(&wal).is_err());
        assert!(set_wal_aside(&wal).unwrap().is_some());
    }

    #[test]
    fn a_log_that_an_earlier_program_began_empty_gets_its_beginning_and_half_a_one_is_damage() {
        let dir = tempfile::tempdir().unwrap();
        let wal = dir.path().join("consensus.wal");
        fs::write(&wal, []).unwrap();
        assert_eq!(voted_height(&wal).unwrap(), None);
        check_wal(&wal).unwrap();
        assert_eq!(fs::read(&wal).unwrap(), NO_VOTES);
        for length in 1..NO_VOTES.len() {
            fs::write(&wal, &NO_VOTES[..length]).unwrap();
            let refused = voted_height(&wal).unwrap_err();
            assert!(matches!(refused, ConsensusError::WalDamaged { .. }), "{length}: {refused}");
        }
    }

    #[test]
    fn a_log_that_an_engine_writes_is_left_alone() {
        let dir = tempfile::tempdir().unwrap();
        let wal = dir.path().join("consensus.wal");
        // An entry on its way: its mark and its length are there, the rest is not.
        let beginning = [&NO_VOTES[..], &[0, 0, 0, 0, 0, 0, 0, 0, 40]].concat();
        fs::write(&wal, &beginning).unwrap();
        let engine = fs::File::open(&wal).unwrap();
        engine.lock().unwrap();
        assert!(matches!(check_wal(&wal), Err(ConsensusError::WalHeld { .. })));
        assert_eq!(fs::read(&wal).unwrap(), beginning);
        drop(engine);
        check_wal(&wal).unwrap();
        assert_eq!(fs::read(&wal).unwrap(), NO_VOTES);
    }
}
