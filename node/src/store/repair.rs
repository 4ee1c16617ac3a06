//! Cutting a damaged journal at its first damage, so that the node can fetch the rest from its peers again. What the note
//! of dropped bodies has to say the bodies themselves tell: it is written anew, and nothing is cut for it.
//! What is cut is kept in a folder beside it. The index is deleted: the next start makes it anew.

use super::check::{self, CheckError};
use super::directory::Directory;
use super::durable::discard;
use super::equivocations::Equivocations;
use super::journal::Journal;
use super::proposals::Proposals;
use super::pruning::{Dropped, Note};
use super::recovery::run_again;
use super::stream::TornEnd;
use super::{SEGMENT_BYTES, StoreError};
use sealpost_ledger::chain::Tip;
use sealpost_ledger::genesis::Genesis;
use sealpost_ledger::height::BlockHeight;
use sealpost_ledger::state::MemoryState;
use sealpost_terminal::sync_folder;
use std::fs::{self, File, OpenOptions};
use std::io::{Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// What a repair cuts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RepairPlan {
    /// The last block that stays; all up to it hold.
    pub keep: BlockHeight,
    /// The files of blocks and bodies that are cut, and where. Later bytes of them go.
    pub cuts: Vec<FileCut>,
    /// Whether blocks go that were final here, or are gone already: the index knows later ones than those that stay. A
    /// validator may have voted on later ones. An end that was never finished is no such loss.
    pub loses_blocks: bool,
    /// The files beside the blocks that are cut: proposals, and recorded equivocations.
    pub beside: Vec<FileCut>,
    /// The note of what retention has dropped, if it is damaged or missing: it is written anew. No block goes by that.
    pub note: Option<NewNote>,
}

/// A note of what retention has dropped, to be written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewNote {
    /// The file.
    pub path: PathBuf,
    /// The height from which on it says that bodies are kept: that of the first one there.
    pub oldest_body_height: BlockHeight,
    dropped: Dropped,
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

impl FileCut {
    fn new(path: PathBuf, from: u64) -> Result<Self, StoreError> {
        let length = fs::metadata(&path).map_err(|e| StoreError::io("read", &path, e))?.len();
        Ok(Self { path, from, bytes: length.saturating_sub(from) })
    }
}

impl RepairPlan {
    /// Every file that is cut.
    pub fn all_cuts(&self) -> impl DoubleEndedIterator<Item = &FileCut> {
        self.beside.iter().chain(&self.cuts)
    }
    /// Bytes that go, of all files together.
    pub fn bytes(&self) -> u64 {
        self.all_cuts().fold(0, |sum, cut| sum.saturating_add(cut.bytes))
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
    let mut plan = plan(&directory, genesis)?;
    let indexed = check::indexed_height(&directory.index(), genesis)?;
    plan.loses_blocks |= indexed.is_some_and(|indexed| indexed > plan.keep);
    Ok(Repair { plan, directory })
}

impl Repair {
    /// Cuts the journal at its first damage, and deletes the index: it is a function of the journal, and after a cut
    /// one of another journal. Returns what was cut and the folder with a copy of it.
    pub fn carry_out(self) -> Result<(RepairPlan, PathBuf), StoreError> {
        let copies = self.cut()?;
        // Last: as long as it is there, it knows that blocks are missing.
        let index = self.directory.index();
        discard(&index).map_err(|e| StoreError::io("remove", &index, e))?;
        Ok((self.plan, copies))
    }
    /// As [`carry_out`](Self::carry_out) for [`CheckError::Beside`]: the index holds, and stays.
    pub fn carry_out_beside(mut self) -> Result<(RepairPlan, PathBuf), StoreError> {
        self.plan.cuts.clear();
        let copies = self.cut()?;
        Ok((self.plan, copies))
    }
    /// Cuts what is planned. Returns the folder with a copy of it.
    fn cut(&self) -> Result<PathBuf, StoreError> {
        let (plan, dir) = (&self.plan, self.directory.path());
        let copies = free_folder(dir, plan.keep)?;
        if let Some(NewNote { dropped, .. }) = &plan.note {
            Note::new(&self.directory.journal()).write(*dropped)?;
        }
        if plan.all_cuts().next().is_none() {
            return Ok(copies);
        }
        fs::create_dir(&copies).map_err(|e| StoreError::io("create", &copies, e))?;
        for cut in plan.all_cuts() {
            copy_end(cut, &copies)?;
        }
        sync(&copies)?;
        sync(dir)?;
        // From the back, blocks before bodies: after a crash in between, what is left is a shorter journal with
        // bodies that no block needs.
        for cut in plan.all_cuts().rev() {
            shorten(cut)?;
        }
        sync(&self.directory.journal())?;
        Ok(copies)
    }
}

fn plan(directory: &Directory, genesis: &Arc<Genesis>) -> Result<RepairPlan, CheckError> {
    let journal_dir = directory.journal();
    let note = note_anew(directory, genesis)?;
    let open = |torn| match &note {
        Some(note) => Journal::open_noted(&journal_dir, SEGMENT_BYTES, torn, note.dropped),
        None => Journal::open(&journal_dir, SEGMENT_BYTES, torn),
    };
    let journal = open(TornEnd::Salvage)?;
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
            let cut = FileCut::new(path, from)?;
            if number >= segment && cut.bytes > 0 {
                cuts.push(cut);
            }
        }
    }
    let loses_blocks = match open(TornEnd::Keep) {
        Ok(whole) => keep < whole.height(),
        Err(StoreError::Damaged { .. }) => true,
        Err(error) => return Err(error.into()),
    };
    Ok(RepairPlan { keep, cuts, loses_blocks, beside: beside(&journal_dir)?, note })
}

/// What the note of dropped bodies has to say, if it can't be read or is missing. Without retention there is none.
fn note_anew(directory: &Directory, genesis: &Genesis) -> Result<Option<NewNote>, StoreError> {
    if genesis.retention_blocks() == 0 {
        return Ok(None);
    }
    let journal = directory.journal();
    let retention = (!directory.is_archive()).then_some(genesis.retention_blocks());
    let dropped = Journal::note_anew(&journal, retention)?;
    Ok(dropped.map(|dropped| NewNote {
        path: Note::new(&journal).path().into(),
        oldest_body_height: dropped.height.saturating_add(1),
        dropped,
    }))
}

/// Where the files beside the blocks are damaged. What stands before it stays.
fn beside(journal: &Path) -> Result<Vec<FileCut>, StoreError> {
    let mut cuts = Vec::new();
    for checked in [Proposals::check(journal), Equivocations::check(journal)] {
        match checked {
            Err(StoreError::Damaged { segment, offset, .. }) => cuts.push(FileCut::new(segment, offset)?),
            checked => checked?,
        }
    }
    Ok(cuts)
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
