//! The head that was verified last, kept on disk together with the changes of the validators up to it. A node that later shows a history without it is lying,
//! or was, and the two signed headers prove it.

use super::{Light, LightError};
use sealpost_api::verify::{self, KnownSet};
use sealpost_api::{BlockId, SealpostRpcClient};
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

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Head {
    height: BlockHeight,
    block: BlockHash,
}

/// The file: the head, and who decided which height up to it.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Kept {
    height: BlockHeight,
    block: BlockHash,
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
        let known = kept.as_ref().map(|Kept { height, block, .. }| Head { height: *height, block: *block });
        let sets = kept.map(|kept| kept.validators).unwrap_or_default();
        Ok(Self { path: Some(path), known: Mutex::new(known), sets })
    }
    /// Remembers only as long as the program runs.
    pub fn in_memory() -> Self {
        Self::default()
    }
    pub(super) fn known_sets(&self) -> &[KnownSet] {
        &self.sets
    }
    pub(super) fn height(&self) -> BlockHeight {
        self.get().map_or(BlockHeight::GENESIS, |head| head.height)
    }
    fn get(&self) -> Option<Head> {
        *self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
    fn set(&self, head: Head, validators: Vec<KnownSet>) -> Result<(), LightError> {
        if let Some(path) = &self.path {
            let kept = Kept { height: head.height, block: head.block, validators };
            let json = serde_json::to_vec(&kept).map_err(|error| LightError::Head(error.to_string()))?;
            write_atomically(path, &json).map_err(|error| LightError::Head(error.message))?;
        }
        *self.known.lock().unwrap_or_else(PoisonError::into_inner) = Some(head);
        Ok(())
    }
}

impl Light {
    /// Verifies the node's head, and that its history contains the head known before.
    pub async fn sync_head(&self) -> Result<Option<Header>, LightError> {
        let Some(header) = self.head().await? else {
            return match self.head.get() {
                None => Ok(None),
                Some(known) => Err(self.behind(known)),
            };
        };
        let head = Head { height: header.height, block: header.hash() };
        match self.head.get() {
            Some(known) if known == head => {}
            Some(known) if known.height == head.height => {
                let reason = format!("{} was final at this height before", known.block);
                return Err(self.untrusted(format!("block {}", head.height), reason));
            }
            Some(known) if known.height > head.height => return Err(self.behind(known)),
            earlier => {
                if let Some(known) = earlier {
                    self.check_history(&known, &header).await?;
                }
                self.head.set(head, self.validators().known())?;
            }
        }
        Ok(Some(header))
    }
    /// A node that is behind is no liar, but its answers are old.
    fn behind(&self, known: Head) -> LightError {
        let reason = format!("it has not reached block {}, which was final before", known.height);
        LightError::Unreachable { url: self.url.clone(), reason }
    }
    async fn check_history(&self, known: &Head, head: &Header) -> Result<(), LightError> {
        let what = format!("the history of block {}", head.height);
        let call = self.client.proof_history(BlockId::Height(known.height), Some(head.height));
        let proof = self.ask(call).await?;
        verify::verify_history(&proof, &known.block, known.height, head)
            .map_err(|error| self.untrusted(what, format!("block {} is not in it: {error}", known.block)))
    }
}
