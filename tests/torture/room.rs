//! The commands of the wallet on a disk that is full: a small file system in memory on which a few pages are left, none
//! at first and then more, until the command has room enough. From the first write that fails on there is none for any,
//! as strace can't make it: that counts whatever a program writes, also its last words, and what wakes its threads.

use crate::cases::Case;
use crate::jobs::{Done, said};
use crate::mounted::Mounted;
use crate::syncs::names_the_file;
use crate::traced;
use crate::wallet::World;
use sealpost_tests::harness::random::Random;
use std::fs::{self, OpenOptions};
use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};

/// Size of the file system.
const MIB: u64 = 8;
/// What a file of one byte takes of it.
const PAGE: u64 = 4096;
/// A few faults of a case come with less than so many pages left.
const FEW: usize = 6;
/// With that much left no command of the wallet may fail.
const ENOUGH: u64 = 1_000;

/// A disk that can be filled.
pub(crate) struct Small(Mounted);

impl Small {
    pub(crate) fn below(folder: &Path) -> Result<Self, String> {
        Mounted::memory(MIB, &folder.join("small")).map(Self)
    }
    fn filler(&self) -> PathBuf {
        self.0.folder.join("filler")
    }
    /// Leaves room for so many pages.
    fn fill(&self, pages: u64) -> Result<(), String> {
        let failed = |error: std::io::Error| error.to_string();
        let mut filler = OpenOptions::new().create(true).append(true).open(self.filler()).map_err(failed)?;
        let page = vec![0_u8; usize::try_from(PAGE).expect("a small number")];
        loop {
            match filler.write(&page) {
                Ok(_) => {}
                Err(error) if error.kind() == ErrorKind::StorageFull => break,
                Err(error) => return Err(failed(error)),
            }
        }
        let length = filler.metadata().map_err(failed)?.len();
        filler.set_len((length / PAGE).saturating_sub(pages) * PAGE).map_err(failed)
    }
    /// Runs a case with that much room. Whether the disk was full for it.
    fn once(&self, world: &World, case: &Case, pages: u64, done: &mut Done) -> Result<bool, String> {
        let (place, written) = (self.0.folder.join("place"), world.folder().join("room"));
        // There may be none.
        let _none = fs::remove_file(self.filler());
        let _none = fs::remove_dir_all(&place);
        let _none = fs::remove_file(&written);
        let (command, args) = world.begin(case, &place)?;
        self.fill(pages)?;
        let ran = traced::run(&command, None, &written);
        fs::remove_file(self.filler()).map_err(|error| error.to_string())?;
        let (output, trace) = ran?;
        let named = |why: String| {
            format!("{}: room for {pages} pages: {why}\nit had said: {}", case.name, said(&output))
        };
        match trace.calls.iter().find(|call| call.no_room) {
            None if output.status.success() => Ok(false),
            None => Err(named("it failed, and not for want of room".into())),
            Some(call) => {
                names_the_file(&output, call).map_err(named)?;
                world.holds(case, &place, &args).map_err(named)?;
                done.count_one(case.name, &place, call);
                Ok(true)
            }
        }
    }
    /// Runs a case with no room, and with more each time until it is enough; or so often, with little.
    pub(crate) fn put(
        &self,
        world: &World,
        case: &Case,
        done: &mut Done,
        (most, random): (Option<u64>, &mut Random),
    ) -> Result<(), String> {
        let Some(most) = most else {
            let mut pages = 0;
            while self.once(world, case, pages, done)? {
                pages += 1 + pages / 8;
                if pages > ENOUGH {
                    return Err(format!("{}: {pages} pages are too little room", case.name));
                }
            }
            return Ok(());
        };
        let (mut came, mut below) = (0, FEW);
        while came < most && below > 0 {
            let pages = random.below(below);
            match self.once(world, case, pages as u64, done)? {
                true => came += 1,
                false => below = pages,
            }
        }
        Ok(())
    }
}
