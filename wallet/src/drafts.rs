//! Drafts: what was typed, kept encrypted from before any node is asked until the signed message is in the
//! outbox. The files that go with it are copied in, so that nothing has to be found again after a crash.
//!
//! ```text
//!  drafts/<id>/letter   who, what, which files          (encrypted, replaced in one step)
//!              bytes    what goes ahead in parts        (encrypted, one frame per part)
//!              <n>.part a part, signed                  (as it goes to the node)
//!              restored it came with a backup, and has not been taken up since
//!  drafts/<id>.lock     held by the process that works on it
//! ```

mod packing;
#[cfg(test)]
mod tests;

pub use packing::{PackError, measure};

use crate::keystore::{Keystore, KeystoreError};
use crate::random::{NoRandomness, random};
use same_file::Handle;
use sealpost_ledger::address::Address;
use sealpost_ledger::codec::{Decode, Encode, MAX_BYTES, decode, encode};
use sealpost_ledger::message::Mode;
use sealpost_terminal::{Failure, create_private_folder, file_failure, sync_folder, write_secret_file};
use std::collections::BTreeSet;
use std::fmt;
use std::fs::{self, File, TryLockError};
use std::path::{Path, PathBuf};
use thiserror::Error;

/// Marks a draft that came with a backup.
const RESTORED: &str = "restored";

/// Names a draft, and the parts of the letter that it becomes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DraftId([u8; 16]);

/// Drafts of a wallet.
#[derive(Debug, Clone)]
pub struct Drafts {
    folder: PathBuf,
}

/// A draft that this process alone works on.
#[derive(Debug)]
pub struct Kept {
    /// Its id.
    pub id: DraftId,
    /// What was typed.
    pub letter: Typed,
    folder: PathBuf,
    // Let go when this is dropped, or when the process dies.
    _lock: File,
}

/// What was typed.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
#[bincode(crate = "sealpost_ledger::codec")]
pub struct Typed {
    /// When, milliseconds since 1970 UTC.
    pub written_ms: u64,
    /// Whom to.
    pub to: Vec<Address>,
    /// Whether everybody sees who writes to whom; the same for all parts.
    pub mode: Mode,
    /// The subject.
    pub subject: String,
    /// The text, whole.
    pub text: String,
    /// The message it answers, as it was typed.
    pub reply_to: Option<String>,
    /// The files.
    pub files: Vec<Attached>,
    packed: Option<Packed>,
}

/// A file that goes with a letter.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
#[bincode(crate = "sealpost_ledger::codec")]
pub struct Attached {
    /// Its name.
    pub name: String,
    /// Where it was when the letter was typed.
    pub path: String,
    /// Its length then.
    pub length: u64,
}

/// That the files are in here, and how.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
#[bincode(crate = "sealpost_ledger::codec")]
struct Packed {
    chunk: u64,
    head: u64,
    text: Option<Ahead>,
    files: Vec<Held>,
}

#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
#[bincode(crate = "sealpost_ledger::codec")]
enum Held {
    Whole(Vec<u8>),
    Ahead(Ahead),
}

#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
#[bincode(crate = "sealpost_ledger::codec")]
struct Ahead {
    length: u64,
    sha256: [u8; 32],
}

/// A draft as it is listed.
#[derive(Debug)]
pub struct Listed {
    /// Its id.
    pub id: DraftId,
    /// What was typed.
    pub letter: Typed,
    /// Parts that are signed: its sending has begun.
    pub signed: u32,
    /// Parts that go ahead, as far as that is known.
    pub parts: u32,
    /// Whether it came with a backup and has not been taken up since: the wallet that the backup was made of may
    /// have sent it.
    pub restored: bool,
}

impl Listed {
    /// Whether it goes on by itself: some of it has left from here.
    pub fn goes_on(&self) -> bool {
        self.signed > 0 && !self.restored
    }
}

/// All drafts that can be read, and what is wrong with the others.
#[derive(Debug, Default)]
pub struct Listing {
    /// The drafts, the oldest first.
    pub drafts: Vec<Listed>,
    /// Why each of the others can't be read.
    pub damaged: Vec<DraftError>,
}

/// A draft that this process alone holds, without having read it.
#[derive(Debug)]
pub struct Hold {
    /// Its id.
    pub id: DraftId,
    lock: File,
}

/// Why drafts can't be used.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[allow(missing_docs)]
pub enum DraftError {
    #[error("{0}")]
    File(Failure),
    #[error("no draft begins with {text}")]
    Unknown { text: String },
    #[error("draft {text}: {reason}")]
    Id { text: String, reason: String },
    #[error("another process is sending draft {id}")]
    Busy { id: DraftId },
    #[error("draft {id} was written for an open message, and {reason}")]
    Open { id: DraftId, reason: &'static str },
    #[error("draft {}: {reason}", path.display())]
    Malformed { path: PathBuf, reason: String },
    #[error(transparent)]
    Keystore(#[from] KeystoreError),
    #[error(transparent)]
    Randomness(#[from] NoRandomness),
}

impl DraftId {
    /// A new one.
    pub(crate) fn new() -> Result<Self, NoRandomness> {
        Ok(Self(*random::<16>()?))
    }
    /// Its bytes, which all parts of the letter carry.
    pub const fn to_bytes(self) -> [u8; 16] {
        self.0
    }
    fn parse(text: &str) -> Option<Self> {
        const_hex::decode_to_array(text).ok().filter(|_| text.len() == 32).map(Self)
    }
}

impl fmt::Display for DraftId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&const_hex::encode(self.0))
    }
}

impl serde::Serialize for DraftId {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> serde::Deserialize<'de> for DraftId {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = <std::borrow::Cow<'de, str>>::deserialize(deserializer)?;
        Self::parse(&text).ok_or_else(|| serde::de::Error::custom("a draft's id has 32 hexadecimal digits"))
    }
}

impl Drafts {
    /// The drafts in a folder, made if need be.
    pub fn open(folder: &Path) -> Result<Self, DraftError> {
        create_private_folder(folder).map_err(DraftError::File)?;
        Ok(Self { folder: folder.into() })
    }
    /// Keeps what was typed, before anything else is done with it.
    pub fn keep(&self, keystore: &Keystore, letter: Typed) -> Result<Kept, DraftError> {
        let (id, lock) = loop {
            let id = DraftId::new()?;
            match self.lock(id) {
                // Another process took the new lock for what a crash left, and is clearing it away.
                Err(DraftError::Busy { .. }) => {}
                locked => break (id, locked?),
            }
        };
        let folder = self.folder.join(id.to_string());
        create_private_folder(&folder).map_err(DraftError::File)?;
        let draft = Kept { id, letter, folder, _lock: lock };
        draft.save(keystore)?;
        Ok(draft)
    }
    /// Takes up a draft to work on it.
    pub fn take(&self, keystore: &Keystore, id: DraftId) -> Result<Kept, DraftError> {
        self.read(keystore, self.hold(id)?)
    }
    /// Keeps everybody else from a draft, whether it can be read or not.
    pub fn hold(&self, id: DraftId) -> Result<Hold, DraftError> {
        let lock = self.lock(id)?;
        // Looked at under the lock: whoever had it before may have sent it.
        match may_exist(&self.letter_path(id)) {
            true => Ok(Hold { id, lock }),
            false => Err(DraftError::Unknown { text: id.to_string() }),
        }
    }
    /// Reads a draft that is held.
    pub fn read(&self, keystore: &Keystore, Hold { id, lock }: Hold) -> Result<Kept, DraftError> {
        let folder = self.folder.join(id.to_string());
        let letter = read(keystore, id, &folder)?;
        let letter = letter.ok_or_else(|| DraftError::Unknown { text: id.to_string() })?;
        Ok(Kept { id, letter, folder, _lock: lock })
    }
    /// All drafts that can be read, the oldest first, and what is wrong with the others. What a crash left of those that are
    /// gone is cleared away.
    ///
    /// # Errors
    /// If the folder can't be read.
    pub fn list(&self, keystore: &Keystore) -> Result<Listing, DraftError> {
        let mut listing = Listing::default();
        for id in self.ids()? {
            match self.listed(keystore, id) {
                Ok(Some(draft)) => listing.drafts.push(draft),
                Ok(None) => self.clear(id),
                Err(error) => listing.damaged.push(error),
            }
        }
        listing.drafts.sort_by_key(|draft| (draft.letter.written_ms, draft.id));
        Ok(listing)
    }
    fn listed(&self, keystore: &Keystore, id: DraftId) -> Result<Option<Listed>, DraftError> {
        let folder = self.folder.join(id.to_string());
        let Some(letter) = read(keystore, id, &folder)? else { return Ok(None) };
        let (signed, parts) = (packing::signed(&folder)?, letter.parts());
        let restored = folder.join(RESTORED).exists();
        Ok(Some(Listed { id, letter, signed, parts, restored }))
    }
    /// The draft that a text means: its id, or how it begins.
    pub fn find(&self, text: &str) -> Result<DraftId, DraftError> {
        let shown: String = text.chars().take(40).collect();
        let plain = text.chars().all(|c| c.is_ascii_digit() || ('a'..='f').contains(&c));
        if !plain || !(4..=32).contains(&text.len()) {
            let reason = "4 to 32 lower-case hexadecimal digits are expected".into();
            return Err(DraftError::Id { text: shown, reason });
        }
        let mut known = self.ids()?;
        known.retain(|id| id.to_string().starts_with(text) && may_exist(&self.letter_path(*id)));
        let known: Vec<_> = known.into_iter().collect();
        match known.as_slice() {
            [id] => Ok(*id),
            [] => Err(DraftError::Unknown { text: shown }),
            _ => Err(DraftError::Id { text: shown, reason: "it begins several ids".into() }),
        }
    }
    /// Number of parts of a draft that are signed; nothing if there is no such draft. Reads none of them, and no other
    /// draft.
    pub(crate) fn signed(&self, id: DraftId) -> Result<Option<u32>, DraftError> {
        let letter = self.letter_path(id);
        match letter.try_exists() {
            Ok(true) => packing::signed(&self.folder.join(id.to_string())).map(Some),
            Ok(false) => Ok(None),
            Err(error) => Err(DraftError::File(file_failure("read", &letter, &error))),
        }
    }
    /// Removes a draft and all that belongs to it. No power cut brings it back.
    pub fn remove(&self, draft: Kept) -> Result<(), DraftError> {
        self.discard(Hold { id: draft.id, lock: draft._lock })
    }
    /// The same of one that is held and need not be readable.
    pub fn discard(&self, draft: Hold) -> Result<(), DraftError> {
        self.forget(draft.id)?;
        sync_folder(&self.folder)
            .map_err(|error| DraftError::File(file_failure("write", &self.folder, &error)))
    }
    /// The same, for who holds its lock, and minds no draft that comes back: it was sent, and is not sent again.
    pub(crate) fn forget(&self, id: DraftId) -> Result<(), DraftError> {
        let (folder, letter) = (self.folder.join(id.to_string()), self.letter_path(id));
        // From this step on it is no draft any more, whatever else is left of it.
        match fs::remove_file(&letter) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                return Err(malformed(&letter, &error));
            }
            _ => {}
        }
        remove_all(&folder, &self.lock_path(id));
        Ok(())
    }

    /// Of all drafts, and of those of which a crash left only the folder or only the lock.
    fn ids(&self) -> Result<BTreeSet<DraftId>, DraftError> {
        let unread = |error| DraftError::File(file_failure("read", &self.folder, &error));
        let mut ids = BTreeSet::new();
        for entry in fs::read_dir(&self.folder).map_err(unread)? {
            let name = entry.map_err(unread)?.file_name();
            ids.extend(
                name.to_str().and_then(|name| DraftId::parse(name.strip_suffix(".lock").unwrap_or(name))),
            );
        }
        Ok(ids)
    }
    fn letter_path(&self, id: DraftId) -> PathBuf {
        self.folder.join(id.to_string()).join("letter")
    }
    fn lock_path(&self, id: DraftId) -> PathBuf {
        self.folder.join(format!("{id}.lock"))
    }
    fn lock(&self, id: DraftId) -> Result<File, DraftError> {
        let path = self.lock_path(id);
        loop {
            let file = File::options().create(true).truncate(false).write(true).open(&path);
            let file = file.map_err(|error| malformed(&path, &error))?;
            match file.try_lock() {
                // Whoever had it may have removed it in between: then it keeps nobody out any more.
                Ok(()) if is_at(&file, &path).map_err(|error| malformed(&path, &error))? => return Ok(file),
                Ok(()) => {}
                Err(TryLockError::WouldBlock) => return Err(DraftError::Busy { id }),
                Err(TryLockError::Error(error)) => return Err(malformed(&path, &error)),
            }
        }
    }
    /// Clears a folder or a lock without a letter, unless somebody is just making one.
    fn clear(&self, id: DraftId) {
        let folder = self.folder.join(id.to_string());
        if let Ok(_lock) = self.lock(id)
            && !may_exist(&folder.join("letter"))
        {
            remove_all(&folder, &self.lock_path(id));
        }
    }
}

/// Marks all drafts in the folder of a wallet that is being restored: none of them goes on by itself.
pub(crate) fn mark_restored(wallet: &Path) -> Result<(), DraftError> {
    let drafts = Drafts { folder: wallet.join("drafts") };
    // A backup of a wallet without drafts has no folder for them.
    if !drafts.folder.exists() {
        return Ok(());
    }
    for id in drafts.ids()? {
        let folder = drafts.folder.join(id.to_string());
        if folder.is_dir() {
            write_secret_file(&folder.join(RESTORED), b"").map_err(DraftError::File)?;
        }
    }
    Ok(())
}

impl Kept {
    /// Takes it up on purpose: from now on it goes on by itself once some of it has left.
    pub fn resume(&self) -> Result<(), DraftError> {
        let path = self.folder.join(RESTORED);
        match fs::remove_file(&path) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(malformed(&path, &error)),
            _ => Ok(()),
        }
    }
    /// Makes it a sealed message's draft, whatever it was kept as. What was cut for open messages is cut anew.
    pub fn seal(&mut self, keystore: &Keystore) -> Result<(), DraftError> {
        if self.letter.mode == Mode::Sealed {
            return Ok(());
        }
        let refused = |reason| DraftError::Open { id: self.id, reason };
        if packing::signed(&self.folder)? > 0 {
            return Err(refused("parts of it are signed: everybody may see whom they are to"));
        }
        if self.is_packed() && !self.letter.files.is_empty() {
            return Err(refused("its files are cut for one: they can't be cut anew without the files"));
        }
        (self.letter.mode, self.letter.packed) = (Mode::Sealed, None);
        self.save(keystore)
    }
    fn save(&self, keystore: &Keystore) -> Result<(), DraftError> {
        let note = zeroize::Zeroizing::new(encode(&self.letter));
        let sealed = keystore.seal_note(&about(self.id), &note)?;
        write_secret_file(&self.folder.join("letter"), &sealed).map_err(DraftError::File)
    }
}

fn read(keystore: &Keystore, id: DraftId, folder: &Path) -> Result<Option<Typed>, DraftError> {
    let path = folder.join("letter");
    let sealed = match fs::read(&path) {
        Ok(sealed) => sealed,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(malformed(&path, &error)),
    };
    let note = keystore.open_note(&about(id), &sealed).map_err(|error| malformed(&path, &error))?;
    decode("draft", &note, MAX_BYTES).map(Some).map_err(|error| malformed(&path, &error))
}

/// Binds what is encrypted to its place.
fn about(id: DraftId) -> Vec<u8> {
    [b"draft".as_slice(), &id.0].concat()
}

/// Whether a path still names an open file.
fn is_at(file: &File, path: &Path) -> std::io::Result<bool> {
    let open = Handle::from_file(file.try_clone()?)?;
    match Handle::from_path(path) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(false),
        named => Ok(named? == open),
    }
}

/// Whether something is there, or may be: whoever reads it hears what is wrong with the disk.
fn may_exist(path: &Path) -> bool {
    !matches!(path.try_exists(), Ok(false))
}

/// What is left behind here does no harm: it is looked for again whenever drafts are listed.
fn remove_all(folder: &Path, lock: &Path) {
    let _later = fs::remove_dir_all(folder);
    let _later = fs::remove_file(lock);
}

fn malformed(path: &Path, reason: &dyn fmt::Display) -> DraftError {
    DraftError::Malformed { path: path.into(), reason: reason.to_string() }
}
