//! Restoring a snapshot: checked and written beside the data's place, run again block by block, and only
//! then moved there. Whatever goes wrong before, nothing has changed.

use super::verify::walk;
use super::{Checkpoint, SnapshotError, SnapshotReport};
use crate::store::directory::{DirectoryLock, LOCK, lock_directory};
use crate::store::durable::create_folder;
use crate::store::frame::Kind;
use crate::store::pruning::{Dropped, Note};
use crate::store::stream::{Layout, Stream, TornEnd};
use crate::store::{Store, StoreError, StoreOptions};
use sealpost_ledger::genesis::Genesis;
use sealpost_ledger::height::BlockHeight;
use sealpost_terminal::{folder_of, sync_folder};
use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// A snapshot that holds, written beside the data's place. That place is empty, and locked: no node begins there
/// meanwhile. Unless it is [put in its place](Self::put_in_place), nothing is left of it.
#[derive(Debug)]
pub struct Restoration {
    staging: PathBuf,
    place: Place,
    report: SnapshotReport,
}

/// Makes a data directory of a snapshot, beside its place. There must be none yet, or an empty folder. `progress`
/// is told each height that holds, and the last. The data is made as the node will open it: one that is no archive keeps
/// no more old states than it would have if it had followed the chain.
pub fn restore(
    dir: &Path,
    data: &Path,
    genesis: &Arc<Genesis>,
    checkpoint: Option<Checkpoint>,
    options: StoreOptions,
    progress: impl FnMut(BlockHeight, BlockHeight),
) -> Result<Restoration, SnapshotError> {
    let (place, staging) = (Place::take(data)?, staging(data));
    remove(&staging)?;
    match fill(dir, &staging, genesis, checkpoint, options, progress) {
        Ok(report) => Ok(Restoration { staging, place, report }),
        Err(error) => {
            remove(&staging)?;
            Err(error)
        }
    }
}

impl Restoration {
    /// Moves the data to its place, durably. If that fails, nothing has changed.
    pub fn put_in_place(mut self) -> Result<SnapshotReport, SnapshotError> {
        self.place.vacate()?;
        let (staging, data) = (&self.staging, &self.place.data);
        // Renaming puts it in the place of an empty folder too, and of nothing else.
        fs::rename(staging, data).map_err(|e| SnapshotError::io("move", staging, e))?;
        let folder = folder_of(data);
        if let Err(error) = sync_folder(folder) {
            // If it can't go back either, it stays where it is, and whole.
            let _back = fs::rename(data, staging);
            return Err(SnapshotError::io("sync", folder, error));
        }
        Ok(self.report.clone())
    }
}

impl Drop for Restoration {
    fn drop(&mut self) {
        // What can't be removed is removed by the next attempt.
        let _removed = remove(&self.staging);
    }
}

/// The data's place: a folder with nothing in it but its lock, which is held here.
#[derive(Debug)]
struct Place {
    data: PathBuf,
    /// Whether the folder was made for the lock.
    made: bool,
    lock: Option<DirectoryLock>,
}

impl Place {
    fn take(data: &Path) -> Result<Self, SnapshotError> {
        let taken = || SnapshotError::Taken { path: data.into() };
        let made = !data.exists();
        if !made && !is_empty(data)? {
            // Whoever is at work there is told first; what is no node's gets no lock file either.
            if data.join(LOCK).exists() {
                drop(lock_directory(data)?);
            }
            return Err(taken());
        }
        create_folder(data).map_err(|e| SnapshotError::io("create", data, e))?;
        let place = Self { data: data.into(), made, lock: lock_directory(data)? };
        // A node may have come and gone in between.
        if is_empty(data)? { Ok(place) } else { Err(taken()) }
    }
    /// Leaves an empty folder.
    fn vacate(&mut self) -> Result<(), SnapshotError> {
        let path = self.data.join(LOCK);
        let removed = fs::remove_file(&path).map_err(|e| SnapshotError::io("remove", &path, e));
        self.lock = None;
        removed
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        if self.lock.is_some() && is_empty(&self.data).unwrap_or(false) {
            let _vacated = self.vacate();
        }
        if self.made {
            // Only if nothing is in it.
            let _removed = fs::remove_dir(&self.data);
        }
    }
}

/// Whether nothing but a lock is in a folder: an attempt that was killed leaves its own.
fn is_empty(data: &Path) -> Result<bool, SnapshotError> {
    let failed = |e| SnapshotError::io("read", data, e);
    for entry in fs::read_dir(data).map_err(failed)? {
        if entry.map_err(failed)?.file_name() != LOCK {
            return Ok(false);
        }
    }
    Ok(true)
}

/// Where the data is put together.
fn staging(data: &Path) -> PathBuf {
    let mut name = data.file_name().unwrap_or_default().to_owned();
    name.push(".restoring");
    data.with_file_name(name)
}

fn remove(staging: &Path) -> Result<(), SnapshotError> {
    match fs::remove_dir_all(staging) {
        Err(error) if error.kind() != ErrorKind::NotFound => Err(SnapshotError::io("remove", staging, error)),
        _ => Ok(()),
    }
}

fn fill(
    dir: &Path,
    staging: &Path,
    genesis: &Arc<Genesis>,
    checkpoint: Option<Checkpoint>,
    options: StoreOptions,
    progress: impl FnMut(BlockHeight, BlockHeight),
) -> Result<SnapshotReport, SnapshotError> {
    let journal = staging.join("journal");
    fs::create_dir_all(&journal).map_err(|e| SnapshotError::io("create", &journal, e))?;
    let layout = Layout::new(options.segment_bytes);
    let mut headers = Stream::open(&journal, "headers", layout, TornEnd::Cut, |_, _| Ok(()))?;
    let mut bodies = Stream::open(&journal, "bodies", layout, TornEnd::Cut, |_, _| Ok(()))?;
    let report = walk(dir, genesis, checkpoint, progress, |kind, height, payload| {
        let stream = if kind == Kind::Block { &mut headers } else { &mut bodies };
        stream.append(kind, height.get(), payload)?;
        Ok(())
    })?;
    bodies.sync()?;
    headers.sync()?;
    drop((headers, bodies));
    let dropped = report.manifest.bodiless_up_to(genesis);
    if dropped > BlockHeight::GENESIS {
        Note::new(&journal).write(Dropped { segments: 0, height: dropped })?;
    }
    // Runs every block: what the walk left out, the rules for transactions, is checked here.
    let (store, _) = Store::open(staging, genesis.clone(), options)?;
    let tip = store.tip();
    match (tip.height(), tip.block()) == (report.manifest.height, report.manifest.block) {
        true => Ok(report),
        false => Err(StoreError::fatal(format_args!("the restored chain ends at {}", tip.height())).into()),
    }
}
