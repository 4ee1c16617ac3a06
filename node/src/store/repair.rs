//! Cutting a damaged journal at its first damage, so that the node can fetch the rest from its peers again.
//! What is cut is kept in a folder beside it. The index is deleted: the next start makes it anew.

use super::check::CheckError;
use super::directory::Directory;
use super::durable::{discard, sync_folder};
use super::journal::Journal;
use super::recovery::run_again;
use super::stream::TornEnd;
use super::{SEGMENT_BYTES, StoreError};
use sealpost_ledger::chain::Tip;
use sealpost_ledger::genesis::Genesis;
use sealpost_ledger::height::BlockHeight;
use sealpost_ledger::state::MemoryState;
use std::fs::{self, File, OpenOptions};
use std::io::{Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// What a repair cuts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RepairPlan {
    /// The last block that stays; all up to it hold.
    pub keep: BlockHeight,
    /// The files that are cut, and where. Later bytes of them go.
    pub cuts: Vec<FileCut>,
}

/// The end of a file that a repair cuts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileCut {
    /// The file.
    pub path: PathBuf,
    /// Bytes that stay.
    pub from: u64,
    /// Bytes that go.
    pub bytes: u64,
}

impl RepairPlan {
    /// Bytes that go, of all files together.
    pub fn bytes(&self) -> u64 {
        self.cuts.iter().fold(0, |sum, cut| sum.saturating_add(cut.bytes))
    }
}

/// A repair that is planned and not carried out. Nobody else can open the data as long as it is there.
#[derive(Debug)]
pub struct Repair {
    /// What would be cut; nothing if nothing is damaged.
    pub plan: RepairPlan,
    directory: Directory,
}

/// Finds what would be cut, and changes nothing. Every block is run again on the way, so it takes a while.
pub fn plan_repair(dir: &Path, genesis: &Arc<Genesis>) -> Result<Repair, CheckError> {
    let directory = Directory::open_existing(dir, genesis.chain_id())?;
    Ok(Repair { plan: plan(&directory.journal(), genesis)?, directory })
}

impl Repair {
    /// Cuts the journal at its first damage, and deletes the index: it is a function of the journal, and after a cut
    /// one of another journal. Returns what was cut and the folder with a copy of it.
    pub fn carry_out(self) -> Result<(RepairPlan, PathBuf), StoreError> {
        let Self { plan, directory } = self;
        let dir = directory.path();
        let copies = free_folder(dir, plan.keep)?;
        let index = directory.index();
        if plan.cuts.is_empty() {
            discard(&index).map_err(|e| StoreError::io("remove", &index, e))?;
            return Ok((plan, copies));
        }
        fs::create_dir(&copies).map_err(|e| StoreError::io("create", &copies, e))?;
        for cut in &plan.cuts {
            copy_end(cut, &copies)?;
        }
        sync(&copies)?;
        sync(dir)?;
        // From the back, blocks before bodies: after a crash in between, what is left is a shorter journal with
        // bodies that no block needs.
        for cut in plan.cuts.iter().rev() {
            shorten(cut)?;
        }
        sync(&directory.journal())?;
        // Last: as long as it is there, it knows that blocks are missing.
        discard(&index).map_err(|e| StoreError::io("remove", &index, e))?;
        Ok((plan, copies))
    }
}

fn plan(journal_dir: &Path, genesis: &Arc<Genesis>) -> Result<RepairPlan, CheckError> {
    let journal = Journal::open(journal_dir, SEGMENT_BYTES, TornEnd::Salvage)?;
    let (mut tip, founding) = Tip::genesis(genesis.clone())?;
    let mut state = MemoryState::default();
    state.apply(&founding.update, &founding.changes);
    while tip.height() < journal.height() {
        let committed = match run_again(&journal, &tip, &state) {
            Ok(committed) => committed,
            Err(StoreError::Damaged { .. }) => break,
            Err(error) => return Err(error.into()),
        };
        if let Some(update) = committed.verified().update() {
            state.apply(update, committed.verified().changes());
        }
        state.add_transactions(committed.block());
        tip = committed.tip().clone();
    }
    let keep = tip.height();
    let mut cuts = Vec::new();
    let [blocks, bodies] = journal.files()?;
    for (files, (segment, from)) in [(bodies, journal.bodies_end(keep)), (blocks, journal.blocks_end(keep))] {
        for (number, path) in files {
            let from = if number == segment { from } else { 0 };
            let length = fs::metadata(&path).map_err(|e| StoreError::io("read", &path, e))?.len();
            if number >= segment && length > from {
                cuts.push(FileCut { path, from, bytes: length.saturating_sub(from) });
            }
        }
    }
    Ok(RepairPlan { keep, cuts })
}

/// A name that no earlier repair has taken.
fn free_folder(dir: &Path, keep: BlockHeight) -> Result<PathBuf, StoreError> {
    let names = (1_u32..).map(|number| dir.join(format!("cut-after-{keep}-{number}")));
    let free = names.take(10_000).find(|path| !path.exists());
    free.ok_or_else(|| StoreError::fatal(format_args!("{}: too many repairs", dir.display())))
}

fn copy_end(cut: &FileCut, folder: &Path) -> Result<(), StoreError> {
    let name = cut.path.file_name().unwrap_or_default().to_string_lossy();
    let copy = folder.join(format!("{name}.from-{}", cut.from));
    let io = |e| StoreError::io("copy", &cut.path, e);
    let mut source = File::open(&cut.path).map_err(io)?;
    source.seek(SeekFrom::Start(cut.from)).map_err(io)?;
    let mut target = OpenOptions::new().write(true).create_new(true).open(&copy).map_err(io)?;
    std::io::copy(&mut source, &mut target).map_err(io)?;
    target.sync_all().map_err(io)
}

fn shorten(cut: &FileCut) -> Result<(), StoreError> {
    let io = |e| StoreError::io("cut", &cut.path, e);
    if cut.from == 0 {
        return fs::remove_file(&cut.path).map_err(io);
    }
    let file = OpenOptions::new().write(true).open(&cut.path).map_err(io)?;
    file.set_len(cut.from).and_then(|()| file.sync_all()).map_err(io)
}

fn sync(folder: &Path) -> Result<(), StoreError> {
    sync_folder(folder).map_err(|e| StoreError::io("sync", folder, e))
}

#[cfg(test)]
mod tests;
