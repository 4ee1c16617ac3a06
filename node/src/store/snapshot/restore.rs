//! Restoring a snapshot: checked and written beside the data's place, run again block by block, and only
//! then moved there. Whatever goes wrong before, nothing has changed.

use super::verify::walk;
use super::{Checkpoint, SnapshotError, SnapshotReport};
use crate::store::frame::Kind;
use crate::store::pruning::{Dropped, Note};
use crate::store::stream::{Layout, Stream, TornEnd};
use crate::store::{Store, StoreError, StoreOptions};
use sealpost_ledger::genesis::Genesis;
use sealpost_ledger::height::BlockHeight;
use sealpost_terminal::sync_folder;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Makes a data directory of a snapshot. There must be none yet, or an empty folder. `progress` is told
/// each height that holds, and the last.
pub fn restore(
    dir: &Path,
    data: &Path,
    genesis: &Arc<Genesis>,
    checkpoint: Option<Checkpoint>,
    segment_bytes: u64,
    progress: impl FnMut(BlockHeight, BlockHeight),
) -> Result<SnapshotReport, SnapshotError> {
    match fs::read_dir(data).map(|mut entries| entries.next().is_some()) {
        Ok(true) => return Err(SnapshotError::Taken { path: data.into() }),
        Ok(false) => {}
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
        Err(error) => return Err(SnapshotError::io("read", data, error)),
    }
    let staging = staging(data);
    remove(&staging)?;
    let restored = fill(dir, &staging, genesis, checkpoint, segment_bytes, progress);
    let moved = restored.and_then(|report| {
        // Renaming puts it in the place of an empty folder too, and of nothing else.
        fs::rename(&staging, data).map_err(|e| SnapshotError::io("move", &staging, e))?;
        let folder = data.parent().unwrap_or(Path::new("."));
        sync_folder(folder).map_err(|e| SnapshotError::io("sync", folder, e))?;
        Ok(report)
    });
    if moved.is_err() {
        remove(&staging)?;
    }
    moved
}

/// Where the data is put together.
fn staging(data: &Path) -> PathBuf {
    let mut name = data.file_name().unwrap_or_default().to_owned();
    name.push(".restoring");
    data.with_file_name(name)
}

fn remove(staging: &Path) -> Result<(), SnapshotError> {
    match fs::remove_dir_all(staging) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(SnapshotError::io("remove", staging, error))
        }
        _ => Ok(()),
    }
}

fn fill(
    dir: &Path,
    staging: &Path,
    genesis: &Arc<Genesis>,
    checkpoint: Option<Checkpoint>,
    segment_bytes: u64,
    progress: impl FnMut(BlockHeight, BlockHeight),
) -> Result<SnapshotReport, SnapshotError> {
    let journal = staging.join("journal");
    fs::create_dir_all(&journal).map_err(|e| SnapshotError::io("create", &journal, e))?;
    let layout = Layout { segment_bytes, first: 0 };
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
    let (store, _) = Store::open(
        staging,
        genesis.clone(),
        StoreOptions { archive: true, segment_bytes, ..StoreOptions::default() },
    )?;
    let tip = store.tip();
    match (tip.height(), tip.block()) == (report.manifest.height, report.manifest.block) {
        true => Ok(report),
        false => Err(StoreError::fatal(format_args!("the restored chain ends at {}", tip.height())).into()),
    }
}
