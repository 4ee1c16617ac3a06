//! The file of what scans have found. Receipts of sealed messages stand nowhere else once the keys of their letters are
//! destroyed, so it is no cache: nobody overwrites what another program has found meanwhile, and what can't be read is
//! kept aside, never taken for nothing.

use super::state::{Found, FoundKind, HeldAnswer, ScanState};
use crate::archive::{Record, Way};
use crate::envelope::slot_for;
use crate::light::Position;
use crate::wallet::{Wallet, WalletError, skipped};
use sealpost_ledger::message::Mode;
use sealpost_terminal::{lock_file, read_secret_file, write_new_secret_file, write_secret_file};
use std::fs::File;
use std::path::PathBuf;
use std::sync::PoisonError;

/// What the file is bound to.
const ABOUT: &[u8] = b"scan";
/// The bundle of a letter whose key is gone and of which only the archive tells: bundles are counted from 1.
const UNKNOWN_BUNDLE: u64 = 0;

/// What a scan knows of the file.
#[derive(Debug, Default)]
pub(super) struct ScanFile {
    /// The beginning of what it read or wrote last, which is random, unless that says more than this scan has looked at.
    seen: Option<[u8; 24]>,
}

impl ScanFile {
    fn has_seen(&self, file: &[u8]) -> bool {
        self.seen.is_some() && self.seen.as_ref() == file.first_chunk()
    }
}

impl Wallet {
    /// Where a scan of this process has put the file of what was found before, if that could not be read; told once.
    pub fn scan_set_aside(&self) -> Option<PathBuf> {
        self.scan_set_aside.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
    /// What scans have found so far.
    ///
    /// # Errors
    /// If the file can't be read or was altered. The next scan keeps it aside and finds again what it can.
    pub fn scan_state(&self) -> Result<ScanState, WalletError> {
        let Some(file) = self.scan_file()? else { return Ok(ScanState::default()) };
        let path = self.scan_path()?;
        self.understood(&file).ok_or(WalletError::ScanDamaged { path })
    }
    /// The same for a scan that goes on with it. Without a file that can be read, it begins with what the archive has.
    pub(super) fn take_up_scan(&self) -> Result<(ScanState, ScanFile), WalletError> {
        let _lock = self.lock_scan()?;
        self.take_up()
    }
    /// The same for a scan that begins at the first block. No scan that was begun before counts for it.
    pub(super) fn begin_anew(&self) -> Result<(ScanState, ScanFile), WalletError> {
        let _lock = self.lock_scan()?;
        let (mut state, mut file) = self.take_up()?;
        self.recover(&mut state)?;
        state.looked.rescans = state.looked.rescans.saturating_add(1);
        state.looked.position = Position::default();
        file.seen = Some(self.write_scan(&state)?);
        Ok((state, file))
    }
    /// Keeps what a scan has found and how far it is, beside what other programs have written since it looked last.
    pub(super) fn keep_scan(&self, state: &mut ScanState, file: &mut ScanFile) -> Result<(), WalletError> {
        let _lock = self.lock_scan()?;
        let own = state.looked.clone();
        if let Some(bytes) = self.scan_file()?.filter(|bytes| !file.has_seen(bytes)) {
            match self.understood(&bytes) {
                Some(kept) => state.looked = state.unite(kept),
                None => self.put_aside(&bytes)?,
            }
        }
        let written = self.write_scan(state);
        let both = std::mem::replace(&mut state.looked, own);
        file.seen = Some(written?).filter(|_| both == state.looked);
        Ok(())
    }

    fn take_up(&self) -> Result<(ScanState, ScanFile), WalletError> {
        let mut file = ScanFile::default();
        let kept = self.scan_file()?;
        if let Some(bytes) = &kept {
            if let Some(state) = self.understood(bytes) {
                file.seen = bytes.first_chunk().copied();
                return Ok((state, file));
            }
            self.put_aside(bytes)?;
        }
        let mut state = ScanState::default();
        self.recover(&mut state)?;
        // Written at once: the letters in the archive are read for it but once.
        if kept.is_some() || state != ScanState::default() {
            file.seen = Some(self.write_scan(&state)?);
        }
        Ok((state, file))
    }
    /// Takes from the archive what scans had found: sealed letters, be their keys destroyed since, and the answers in
    /// them.
    fn recover(&self, state: &mut ScanState) -> Result<(), WalletError> {
        let mut recovered = ScanState::default();
        for record in self.archive().records()? {
            match record {
                Ok(record) => self.recover_letter(&record, &mut recovered)?,
                // One that is damaged hides none of the others.
                Err(error) => {
                    let _skipped = skipped(0, error.into())?;
                }
            }
        }
        recovered.found.sort_by_key(|found| found.at);
        // What is known already is in its place.
        let known = std::mem::replace(state, recovered);
        let looked = known.looked.clone();
        state.unite(known);
        state.looked = looked;
        Ok(())
    }
    fn recover_letter(&self, record: &Record, recovered: &mut ScanState) -> Result<(), WalletError> {
        let Record { transaction, letter, facts } = record;
        let is_sealed = transaction.message().is_some_and(|message| message.mode == Mode::Sealed);
        if facts.way != Way::Came || !is_sealed {
            return Ok(());
        }
        let (id, author) = (record.id(), Some(facts.author));
        let at = Position { height: facts.header.height, index: facts.index };
        let mut holds = false;
        for receipt in &letter.answers {
            if self.answer_holds(receipt, &facts.author)? {
                recovered.answered(HeldAnswer { reply: id, at, receipt: *receipt });
                holds = true;
            }
        }
        let kind = if holds && letter.is_only_receipts() { FoundKind::Receipts } else { FoundKind::Letter };
        let bundle = slot_for(transaction.transaction(), self.bundles()).ok().flatten();
        let bundle = bundle.map_or(UNKNOWN_BUNDLE, |(_, bundle)| bundle);
        recovered.found.push(Found { id, at, slot: facts.slot, bundle, author, kind });
        Ok(())
    }
    fn scan_path(&self) -> Result<PathBuf, WalletError> {
        Ok(self.folder()?.join("scan"))
    }
    /// Held while the file is read and written, and no longer: other programs scan as well.
    fn lock_scan(&self) -> Result<File, WalletError> {
        lock_file(&self.folder()?.join("scan.lock")).map_err(WalletError::File)
    }
    fn scan_file(&self) -> Result<Option<Vec<u8>>, WalletError> {
        let path = self.scan_path()?;
        if let Ok(false) = path.try_exists() {
            return Ok(None);
        }
        let bytes = read_secret_file(&path).map_err(WalletError::File)?;
        Ok(Some(bytes.to_vec()))
    }
    fn understood(&self, file: &[u8]) -> Option<ScanState> {
        let note = self.keystore().open_note(ABOUT, file).ok()?;
        ScanState::from_bytes(&note)
    }
    /// Writes the file, and returns how it begins.
    fn write_scan(&self, state: &ScanState) -> Result<[u8; 24], WalletError> {
        let note = self.keystore().seal_note(ABOUT, &state.to_bytes())?;
        write_secret_file(&self.scan_path()?, &note).map_err(WalletError::File)?;
        Ok(note.first_chunk().copied().unwrap_or_default())
    }
    /// Keeps a file that can't be read under a name that no other has.
    fn put_aside(&self, bytes: &[u8]) -> Result<(), WalletError> {
        let folder = self.folder()?;
        for number in 1_u32.. {
            let name = if number == 1 { "scan.damaged".into() } else { format!("scan.damaged-{number}") };
            let path = folder.join(name);
            match write_new_secret_file(&path, bytes) {
                Ok(()) => {
                    *self.scan_set_aside.lock().unwrap_or_else(PoisonError::into_inner) = Some(path);
                    return Ok(());
                }
                Err(failure) if failure.code == "file.exists" => {}
                Err(failure) => return Err(WalletError::File(failure)),
            }
        }
        Err(WalletError::ScanDamaged { path: self.scan_path()? })
    }
}
