//! Making a snapshot: of a stopped node's data, or of a running one's up to the last block that is whole
//! on disk. The data itself is only read.

use super::file::Writer;
use super::{BODIES, HEADERS, MANIFEST, Manifest, SNAPSHOT_FORMAT, STATE, SnapshotError};
use crate::store::durable::{create_folder, replace_file};
use crate::store::frame::Kind;
use crate::store::record::{encode_block, encode_bodies};
use crate::store::recovery::{create as new_index, replay};
use crate::store::shared::Shared;
use crate::store::view::View;
use sealpost_ledger::genesis::Genesis;
use sealpost_ledger::height::BlockHeight;
use sealpost_ledger::state::for_each_entry;
use std::fs;
use std::path::Path;
use std::sync::Arc;

/// Makes a snapshot of a data directory in a new or empty folder. Every block is run again on the way, so
/// that damaged data never becomes a snapshot. `progress` is told each height, and the last.
pub fn create(
    data: &Path,
    genesis: &Arc<Genesis>,
    out: &Path,
    mut progress: impl FnMut(BlockHeight, BlockHeight),
) -> Result<Manifest, SnapshotError> {
    let shared = Shared::open(data, genesis)?;
    let end = shared.journal.height();
    if end == BlockHeight::GENESIS {
        return Err(SnapshotError::Empty);
    }
    let is_new = !out.exists();
    claim(out)?;
    let work = out.join("index.tmp");
    let made = write(&shared, genesis, end, out, &work, &mut progress);
    // Only what was made here, whether it went well or not.
    let cleared = remove(&work);
    let made = made.and_then(|manifest| {
        cleared?;
        write_manifest(out, &manifest)?;
        Ok(manifest)
    });
    if made.is_err() {
        // Half of a snapshot is none, and would stand in the way of the next attempt. What went wrong first is told.
        let _removed = [HEADERS, BODIES, STATE, MANIFEST].map(|name| fs::remove_file(out.join(name)));
        if is_new {
            let _removed = fs::remove_dir(out);
        }
    }
    made
}

fn remove(work: &Path) -> Result<(), SnapshotError> {
    match work.exists() {
        true => fs::remove_dir_all(work).map_err(|e| SnapshotError::io("remove", work, e)),
        false => Ok(()),
    }
}

/// Makes the folder, or takes an empty one.
fn claim(out: &Path) -> Result<(), SnapshotError> {
    create_folder(out).map_err(|e| SnapshotError::io("create", out, e))?;
    let mut entries = fs::read_dir(out).map_err(|e| SnapshotError::io("read", out, e))?;
    match entries.next() {
        None => Ok(()),
        Some(_) => Err(SnapshotError::Taken { path: out.into() }),
    }
}

fn write(
    shared: &Shared,
    genesis: &Arc<Genesis>,
    end: BlockHeight,
    out: &Path,
    work: &Path,
    progress: &mut impl FnMut(BlockHeight, BlockHeight),
) -> Result<Manifest, SnapshotError> {
    let journal = &shared.journal;
    let (mut headers, mut bodies) = (Writer::create(out, HEADERS)?, Writer::create(out, BODIES)?);
    // The node's own index may be in use, and may be of another height: this one is for the state alone.
    let (index, mut tip) = new_index(work, Some(1), genesis)?;
    while tip.height() < end {
        let committed = replay(&index, journal, &tip)?;
        let (block, height) = (committed.block(), committed.block().height());
        if !block.bodies().is_empty() {
            bodies.append(Kind::Bodies, height.get(), &encode_bodies(block.bodies()).0)?;
        }
        headers.append(Kind::Block, height.get(), &encode_block(block, committed.certificate()).0)?;
        tip = committed.tip().clone();
        progress(height, end);
    }
    let mut state = Writer::create(out, STATE)?;
    let view = View { index: &index, journal };
    for_each_entry(&view, tip.state_version(), |key, value| {
        state.append(Kind::Entry, 0, &[key.as_slice(), value].concat())
    })?;
    Ok(Manifest {
        format: SNAPSHOT_FORMAT.into(),
        chain: genesis.chain_id(),
        height: tip.height(),
        block: tip.block(),
        oldest_body_height: journal.dropped().saturating_add(1),
        files: vec![headers.finish()?, bodies.finish()?, state.finish()?],
    })
}

fn write_manifest(out: &Path, manifest: &Manifest) -> Result<(), SnapshotError> {
    let path = out.join(MANIFEST);
    // Plain strings and numbers: writing them cannot fail.
    let mut text = serde_json::to_string_pretty(manifest).unwrap_or_default();
    text.push('\n');
    replace_file(&path, text.as_bytes()).map_err(|e| SnapshotError::io("write", &path, e))
}
