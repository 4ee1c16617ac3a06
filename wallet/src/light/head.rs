//! The head that was verified last, kept on disk together with the changes of the validators up to it. A node that
//! later shows a history without it is lying, or was; the header is kept as it was shown, so that the two together
//! prove it.

use super::LightError;
use super::known::Statement;
use sealpost_api::verify::KnownSet;
use sealpost_ledger::block::Header;
use sealpost_ledger::hash::BlockHash;
use sealpost_ledger::height::BlockHeight;
use sealpost_terminal::write_atomically;
use serde::{Deserialize, Serialize};
use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};

/// Where the head is kept.
#[derive(Debug, Default)]
pub struct HeadFile {
    path: Option<PathBuf>,
    known: Mutex<Option<Head>>,
    /// The changes of the validators that were in the file.
    sets: Vec<KnownSet>,
}

/// A block that is final, and the header that shows it, unless that is no longer at hand.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Head {
    pub(super) height: BlockHeight,
    pub(super) block: BlockHash,
    pub(super) shown: Option<Statement>,
}

/// The file: the head, and who decided which height up to it.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Kept {
    height: BlockHeight,
    block: BlockHash,
    /// Absent in files from before it was kept.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    shown: Option<Statement>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    validators: Vec<KnownSet>,
}

impl HeadFile {
    /// Reads the head kept in a file; one that does not exist yet knows nothing.
    pub fn load(path: PathBuf) -> Result<Self, LightError> {
        let kept: Option<Kept> = match std::fs::read(&path) {
            Ok(bytes) => Some(serde_json::from_slice(&bytes).map_err(|error| {
                LightError::Head(format!(
                    "{}: {error}; delete it to begin anew from the genesis",
                    path.display()
                ))
            })?),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => None,
            Err(error) => return Err(LightError::Head(format!("{}: {error}", path.display()))),
        };
        let (known, sets) = match kept {
            Some(Kept { height, block, shown, validators }) => {
                (Some(Head { height, block, shown }), validators)
            }
            None => (None, Vec::new()),
        };
        Ok(Self { path: Some(path), known: Mutex::new(known), sets })
    }
    /// Remembers only as long as the program runs.
    pub fn in_memory() -> Self {
        Self::default()
    }
    pub(super) fn known_sets(&self) -> &[KnownSet] {
        &self.sets
    }
    /// Its height; that of the genesis if nothing was verified yet.
    pub fn height(&self) -> BlockHeight {
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        known.as_ref().map_or(BlockHeight::GENESIS, |head| head.height)
    }
    pub(super) fn get(&self) -> Option<Head> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
    /// The header that was shown for the head, if another one of its height is verified now.
    pub(super) fn contradicts(&self, header: &Header) -> Option<Statement> {
        let head = self.get().filter(|head| head.height == header.height && head.block != header.hash())?;
        head.shown
    }
    pub(super) fn set(&self, head: Head, validators: Vec<KnownSet>) -> Result<(), LightError> {
        if let Some(path) = &self.path {
            let kept = Kept { height: head.height, block: head.block, shown: head.shown.clone(), validators };
            let json = serde_json::to_vec(&kept).map_err(|error| LightError::Head(error.to_string()))?;
            write_atomically(path, &json).map_err(|error| LightError::Head(error.message))?;
        }
        *self.known.lock().unwrap_or_else(PoisonError::into_inner) = Some(head);
        Ok(())
    }
}
