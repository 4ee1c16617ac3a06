//! The outbox: what was signed, written down before it is submitted, so that neither a crash nor a node
//! that is away loses what was typed. Submitting again what is written here does no harm.

use crate::drafts::DraftId;
use sealpost_ledger::hash::TransactionId;
use sealpost_ledger::height::BlockHeight;
use sealpost_ledger::message::Body;
use sealpost_ledger::transaction::SignedTransaction;
use sealpost_terminal::{Failure, create_private_folder, file_failure, lock_file, write_secret_file};
use serde::{Deserialize, Serialize};
use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use thiserror::Error;

/// A wallet's outbox.
#[derive(Debug, Clone)]
pub struct Outbox {
    folder: PathBuf,
}

/// Something that was signed here.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OutboxEntry {
    /// Its id.
    pub id: TransactionId,
    /// What it does: `message`, `receipt`, `key_bundle`.
    pub kind: String,
    /// Addresses it is for. Empty for a sealed message: see [`Wallet::sent_to`](crate::Wallet::sent_to).
    pub to: Vec<String>,
    /// When it was signed, milliseconds since 1970 UTC.
    pub signed_ms: u64,
    /// Height of its block, once it is final and verified.
    pub height: Option<BlockHeight>,
    /// Canonical bytes.
    #[serde(with = "const_hex::serde")]
    transaction: Vec<u8>,
    /// The encrypted body.
    body: Option<sealpost_api::Hex>,
    /// Salt and content, encrypted for this wallet alone: what disclosure needs.
    pub(crate) note: Option<sealpost_api::Hex>,
    /// The draft that it was, and what went ahead of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parcel: Option<Parcel>,
    /// The text of a letter that went ahead in parts, encrypted for this wallet alone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) text: Option<sealpost_api::Hex>,
    /// The author block of a sealed message, encrypted for this wallet alone: whom it is to stands nowhere else.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) author: Option<sealpost_api::Hex>,
    /// What a sealed reply answers, encrypted for this wallet alone, once the rest of it was forgotten: who does not know
    /// that he has answered answers again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) answers: Option<sealpost_api::Hex>,
    /// Its place in a list of messages that were sent together, encrypted for this wallet alone: it would tell which
    /// sealed messages belong together, and whether somebody has guessed what is in the list.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) bulk: Option<sealpost_api::Hex>,
}

/// The draft that a letter was.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Parcel {
    /// Its id, which its parts carry. A draft that is named here has been signed.
    pub draft: DraftId,
    /// Number of parts that went ahead; all of them were final before the letter was signed.
    pub parts: u32,
}

/// Why the outbox can't be used.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[allow(missing_docs)]
pub enum OutboxError {
    #[error("{0}")]
    File(Failure),
    #[error("outbox {}: {reason}", path.display())]
    Malformed { path: PathBuf, reason: String },
    /// What is encrypted in it does not open, though the wallet is open.
    #[error("outbox entry {id}: its {field} was altered, or is of another wallet")]
    Altered { id: TransactionId, field: &'static str },
    #[error("another process is sending a list of messages from this wallet")]
    Busy,
}

impl OutboxError {
    /// Whether it is of one entry alone: the others are as good as before.
    pub const fn is_of_one_entry(&self) -> bool {
        matches!(self, Self::Malformed { .. } | Self::Altered { .. })
    }
}

/// All that can be read in an outbox, and what can't.
#[derive(Debug, Default)]
pub struct Listing {
    /// The entries, the oldest first.
    pub entries: Vec<OutboxEntry>,
    /// Why each of the others can't be read.
    pub damaged: Vec<OutboxError>,
}

impl OutboxEntry {
    /// A new entry, not final yet.
    pub fn new(
        transaction: &SignedTransaction,
        body: Option<&Body>,
        to: Vec<String>,
        signed_ms: u64,
        note: Option<Vec<u8>>,
    ) -> Self {
        Self {
            id: transaction.id(),
            kind: transaction.payload().kind().into(),
            to,
            signed_ms,
            height: None,
            transaction: transaction.to_bytes(),
            body: body.map(|body| body.as_bytes().to_vec().into()),
            note: note.map(Into::into),
            parcel: None,
            text: None,
            author: None,
            answers: None,
            bulk: None,
        }
    }
    /// The transaction.
    pub fn transaction(&self) -> Option<SignedTransaction> {
        SignedTransaction::from_bytes(&self.transaction).ok()
    }
    /// The last height whose block may contain it.
    pub fn expiry(&self) -> Option<BlockHeight> {
        self.transaction().map(|transaction| transaction.transaction().expiry)
    }
    /// Bytes of the transaction and its body.
    pub(crate) fn bytes(&self) -> usize {
        self.transaction.len().saturating_add(self.body.as_ref().map_or(0, |body| body.0.len()))
    }
    /// Its body.
    pub fn body(&self) -> Option<Body> {
        self.body.as_ref().map(|body| Body::new(body.0.clone()))
    }
}

impl Outbox {
    /// The outbox in a folder, made if need be.
    pub fn open(folder: &Path) -> Result<Self, OutboxError> {
        create_private_folder(folder).map_err(OutboxError::File)?;
        Ok(Self { folder: folder.into() })
    }
    /// Writes an entry, or writes it anew.
    pub fn put(&self, entry: &OutboxEntry) -> Result<(), OutboxError> {
        let path = self.path(&entry.id);
        let json = serde_json::to_vec_pretty(entry)
            .map_err(|error| OutboxError::Malformed { path: path.clone(), reason: error.to_string() })?;
        write_secret_file(&path, &json).map_err(OutboxError::File)
    }
    /// Changes an entry as it is on the disk now: what somebody else has changed since it was read stays changed. `change`
    /// says whether it changed something, and so does this; of an entry that is not there any more nothing is written.
    pub(crate) fn change(
        &self,
        id: &TransactionId,
        change: impl FnOnce(&mut OutboxEntry) -> bool,
    ) -> Result<bool, OutboxError> {
        let _alone = lock_file(&self.folder.with_extension("lock")).map_err(OutboxError::File)?;
        let Some(mut entry) = self.get(id)? else { return Ok(false) };
        let changed = change(&mut entry);
        if changed {
            self.put(&entry)?;
        }
        Ok(changed)
    }
    /// Says what is wrong with an entry.
    pub(crate) fn malformed(&self, id: &TransactionId, reason: &str) -> OutboxError {
        OutboxError::Malformed { path: self.path(id), reason: reason.into() }
    }
    fn path(&self, id: &TransactionId) -> PathBuf {
        self.folder.join(format!("{id}.json"))
    }
    /// Whether there is an entry of that id. One of which the disk does not say so may be there: whoever takes it for
    /// none signs anew what was signed.
    pub fn has(&self, id: &TransactionId) -> bool {
        !matches!(self.path(id).try_exists(), Ok(false))
    }
    /// An entry.
    pub fn get(&self, id: &TransactionId) -> Result<Option<OutboxEntry>, OutboxError> {
        read(&self.path(id))
    }
    /// The ids of all entries, in no order. Reads none of them.
    ///
    /// # Errors
    /// If the folder can't be read to its end: an outbox that is taken for an empty one sends everything twice.
    pub fn ids(&self) -> Result<Vec<TransactionId>, OutboxError> {
        let unread = |error| OutboxError::File(file_failure("read", &self.folder, &error));
        let mut ids = Vec::new();
        for entry in fs::read_dir(&self.folder).map_err(unread)? {
            let path = entry.map_err(unread)?.path();
            let stem = path.file_stem().filter(|_| path.extension().is_some_and(|ending| ending == "json"));
            ids.extend(stem.and_then(|stem| stem.to_str()?.parse::<TransactionId>().ok()));
        }
        Ok(ids)
    }
    /// All entries that can be read, the oldest first, and what is wrong with the others.
    ///
    /// # Errors
    /// If the folder or a file in it can't be read.
    pub fn read_all(&self) -> Result<Listing, OutboxError> {
        let mut listing = Listing::default();
        for id in self.ids()? {
            match self.get(&id) {
                Ok(entry) => listing.entries.extend(entry),
                Err(error) if error.is_of_one_entry() => listing.damaged.push(error),
                Err(error) => return Err(error),
            }
        }
        listing.entries.sort_by_key(|entry| (entry.signed_ms, entry.id));
        Ok(listing)
    }
    /// All entries, the oldest first: for whoever must not miss one, since what is missed is signed or sent again.
    ///
    /// # Errors
    /// If one of them can't be read.
    pub fn list(&self) -> Result<Vec<OutboxEntry>, OutboxError> {
        let Listing { entries, damaged } = self.read_all()?;
        damaged.into_iter().next().map_or(Ok(entries), Err)
    }
}

/// What a file says; nothing if it is not there.
fn read(path: &Path) -> Result<Option<OutboxEntry>, OutboxError> {
    let bytes = match fs::read(path) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(OutboxError::File(file_failure("read", path, &error))),
    };
    let malformed = |reason: String| OutboxError::Malformed { path: path.into(), reason };
    let entry: OutboxEntry = serde_json::from_slice(&bytes).map_err(|error| malformed(error.to_string()))?;
    // Nobody can rename one entry into another's place, or have two of one id.
    match path.file_stem().and_then(|stem| stem.to_str()) == Some(entry.id.to_string().as_str()) {
        true => Ok(Some(entry)),
        false => Err(malformed(format!("it is the entry of {}", entry.id))),
    }
}
