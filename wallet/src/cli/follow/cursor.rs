//! How far a follower has come: the block it is in, and what of that block it has passed. Kept on disk for a
//! hook, so that it hears of messages that came while nobody followed. A message is noted as under way before the hook is
//! told of it, and until that has ended well: after a crash the hook may hear of one twice, and never of none.

use crate::failure;
use crate::scan::Heard;
use crate::wallet::Wallet;
use sealpost_api::Hex;
use sealpost_ledger::hash::TransactionId;
use sealpost_ledger::height::BlockHeight;
use sealpost_terminal::{Failure, write_secret_file};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::io::ErrorKind;
use std::path::PathBuf;

/// What the ids of messages under way are encrypted for.
const ABOUT: &[u8] = b"follow";

/// How far a follower has come.
#[derive(Debug)]
pub(super) struct Cursor {
    passed: Passed,
    path: Option<PathBuf>,
    /// Messages that an earlier run told the hook of without hearing that it ended well; the last is the next.
    left: Vec<TransactionId>,
}

/// Messages by their names in the archive: the file is not encrypted, and ids would tell whose they are.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Passed {
    height: BlockHeight,
    messages: BTreeSet<String>,
    /// How far it is in the sealed messages that scans have found.
    #[serde(default)]
    sealed: Heard,
    /// Messages that the hook is being told of: their ids, encrypted as the wallet's notes are.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    under_way: BTreeMap<String, Hex>,
}

impl Cursor {
    /// At the beginning of a block, and behind these sealed messages.
    pub(super) fn new(height: BlockHeight, sealed: Heard) -> Self {
        let (messages, under_way) = (BTreeSet::new(), BTreeMap::new());
        Self { passed: Passed { height, messages, sealed, under_way }, path: None, left: Vec::new() }
    }
    /// Where this wallet's hook stopped; at the beginning of a block the first time.
    pub(super) fn kept(wallet: &Wallet, height: BlockHeight, sealed: Heard) -> Result<Self, Failure> {
        let path = wallet.follow_path().map_err(failure)?;
        let failed = |reason: String| {
            Failure::unavailable("file.io", format_args!("cannot read {}: {reason}", path.display()))
                .help("delete it to be told of new messages only")
        };
        let passed: Passed = match std::fs::read(&path) {
            Ok(bytes) => serde_json::from_slice(&bytes).map_err(|error| failed(error.to_string()))?,
            Err(error) if error.kind() == ErrorKind::NotFound => Self::new(height, sealed).passed,
            Err(error) => return Err(failed(error.to_string())),
        };
        let id = |note: &Hex| {
            let id = wallet.keystore().open_note(ABOUT, &note.0).ok()?;
            Some(TransactionId::from_bytes(id.as_slice().try_into().ok()?))
        };
        let left = passed.under_way.values().filter_map(id).collect();
        let cursor = Self { passed, path: Some(path), left };
        cursor.save()?;
        Ok(cursor)
    }
    /// The next message that the hook is to be told of again.
    pub(super) fn next_left(&self) -> Option<TransactionId> {
        self.left.last().copied()
    }
    /// Goes on to the one after it. It stays under way until the hook has ended well.
    pub(super) fn went_on(&mut self) {
        self.left.pop();
    }
    /// Whether the hook is being told of a message, or is to be told of it again.
    pub(super) fn is_under_way(&self, wallet: &Wallet, id: &TransactionId) -> bool {
        self.passed.under_way.contains_key(&wallet.archive().name(id))
    }
    /// Notes that the hook is about to be told of a message.
    pub(super) fn begin(&mut self, wallet: &Wallet, id: &TransactionId) -> Result<(), Failure> {
        let note = wallet.keystore().seal_note(ABOUT, id.as_bytes());
        let note = note.map_err(failure)?;
        self.passed.under_way.insert(wallet.archive().name(id), note.into());
        self.save()
    }
    /// Notes that the hook was told of a message, and ended.
    pub(super) fn done(&mut self, wallet: &Wallet, id: &TransactionId) -> Result<(), Failure> {
        self.passed.under_way.remove(&wallet.archive().name(id));
        self.save()
    }
    /// The block it is in.
    pub(super) fn height(&self) -> BlockHeight {
        self.passed.height
    }
    /// Whether a message is behind it.
    pub(super) fn knows(&self, wallet: &Wallet, height: BlockHeight, id: &TransactionId) -> bool {
        height < self.passed.height
            || (height == self.passed.height && self.passed.messages.contains(&wallet.archive().name(id)))
    }
    /// Goes past a message. They come in the order of their blocks.
    pub(super) fn pass(
        &mut self,
        wallet: &Wallet,
        height: BlockHeight,
        id: &TransactionId,
    ) -> Result<(), Failure> {
        if height > self.passed.height {
            (self.passed.height, self.passed.messages) = (height, BTreeSet::new());
        }
        self.passed.messages.insert(wallet.archive().name(id));
        self.save()
    }
    /// How far it is in the sealed messages that scans have found.
    pub(super) fn sealed(&self) -> &Heard {
        &self.passed.sealed
    }
    /// Goes past the sealed messages that were found so far.
    pub(super) fn pass_sealed(&mut self, found: Heard) -> Result<(), Failure> {
        let before = std::mem::replace(&mut self.passed.sealed, found);
        // That scans have looked further is not written each time: it says nothing of what was told.
        if before.is_at(&self.passed.sealed) { Ok(()) } else { self.save() }
    }
    fn save(&self) -> Result<(), Failure> {
        let Some(path) = &self.path else { return Ok(()) };
        let json = serde_json::to_vec(&self.passed).map_err(Failure::bug)?;
        write_secret_file(path, &json)
    }
}
