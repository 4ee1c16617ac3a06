//! The outbox: what was signed, written down before it is submitted, so that neither a crash nor a node
//! that is away loses what was typed. Submitting again what is written here does no harm.

use crate::drafts::DraftId;
use sealpost_ledger::hash::TransactionId;
use sealpost_ledger::height::BlockHeight;
use sealpost_ledger::message::Body;
use sealpost_ledger::transaction::SignedTransaction;
use sealpost_terminal::{Failure, create_private_folder, write_secret_file};
use serde::{Deserialize, Serialize};
use std::fs;
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
    #[error("another process is sending a list of messages from this wallet")]
    Busy,
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
    fn path(&self, id: &TransactionId) -> PathBuf {
        self.folder.join(format!("{id}.json"))
    }
    /// Whether there is an entry of that id.
    pub fn has(&self, id: &TransactionId) -> bool {
        self.path(id).exists()
    }
    /// An entry.
    pub fn get(&self, id: &TransactionId) -> Result<Option<OutboxEntry>, OutboxError> {
        let path = self.path(id);
        if path.exists() { read(&path).map(Some) } else { Ok(None) }
    }
    /// The ids of all entries, in no order. Reads none of them.
    pub fn ids(&self) -> impl Iterator<Item = TransactionId> + use<> {
        let entries = fs::read_dir(&self.folder).into_iter().flatten().flatten().map(|entry| entry.path());
        entries.filter_map(|path| path.file_stem()?.to_str()?.parse().ok())
    }
    /// All entries, the oldest first.
    pub fn list(&self) -> Result<Vec<OutboxEntry>, OutboxError> {
        let entries = fs::read_dir(&self.folder).into_iter().flatten().flatten().map(|entry| entry.path());
        let files = entries.filter(|path| {
            path.file_stem().and_then(|stem| stem.to_str()).is_some_and(|stem| stem.len() == 64)
        });
        let mut found = files.map(|path| read(&path)).collect::<Result<Vec<_>, _>>()?;
        found.sort_by_key(|entry| (entry.signed_ms, entry.id));
        Ok(found)
    }
}

fn read(path: &Path) -> Result<OutboxEntry, OutboxError> {
    let malformed = |reason: String| OutboxError::Malformed { path: path.into(), reason };
    let bytes = fs::read(path).map_err(|error| malformed(error.to_string()))?;
    serde_json::from_slice(&bytes).map_err(|error| malformed(error.to_string()))
}
