//! The index: parity-db, named in this folder only. It answers where things are, and holds the state tree.
//!
//! parity-db's commit is atomic and ordered but not durable: after a crash the index is some blocks behind
//! the journal, never ahead, and is rolled forward from it. A queued commit is served from memory, so what
//! was committed can be read at once.

mod state;

use super::journal::Written;
use super::lists::{Cursor, List, PLACE};
use crate::process::survive;
use parity_db::{ColumnOptions, Db, Options};
use sealpost_ledger::address::Address;
use sealpost_ledger::block::Block;
use sealpost_ledger::chain::{CommittedBlock, GenesisState, TipRecord};
use sealpost_ledger::codec::{DecodeError, MAX_BYTES, decode, encode};
use sealpost_ledger::hash::{BlockHash, TransactionId, sha256};
use sealpost_ledger::height::BlockHeight;
use sealpost_ledger::merkle::{Node, SUBTREE_LEAVES, subtree_roots};
use sealpost_ledger::message::Mode;
use sealpost_ledger::signature::PublicKey;
use sealpost_ledger::state::ViewError;
use sealpost_ledger::transaction::SignedTransaction;
use sealpost_ledger::validator::{Validator, ValidatorSet};
use std::borrow::Cow;
use std::collections::BTreeMap;
use std::panic::AssertUnwindSafe;
use std::path::Path;

/// A kind of entries: the column that it lies in, and what becomes of its keys there. Kinds of which a block has a few
/// entries at most share a column: a column's table begins with 32 MiB of pages, touched here and there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Kind {
    column: u8,
    keys: Keys,
}

/// What a kind's keys are in its column.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Keys {
    /// As they are.
    Plain,
    /// Behind a byte that tells them from those of other kinds.
    Behind(u8),
    /// The SHA-256 of that: of equal length and spread, so that the library need not hash them, which takes it longer.
    Hashed(u8),
}

impl Kind {
    const fn alone(column: u8) -> Self {
        Self { column, keys: Keys::Plain }
    }
    const fn sharing(column: u8, prefix: u8) -> Self {
        Self { column, keys: Keys::Behind(prefix) }
    }
    const fn hashed(column: u8, prefix: u8) -> Self {
        Self { column, keys: Keys::Hashed(prefix) }
    }
    fn key<'a>(self, key: impl Into<Cow<'a, [u8]>>) -> Cow<'a, [u8]> {
        let key = key.into();
        match self.keys {
            Keys::Plain => key,
            Keys::Behind(prefix) => [&[prefix], key.as_ref()].concat().into(),
            Keys::Hashed(prefix) => sha256(&[&[prefix], &key]).to_vec().into(),
        }
    }
}

const META: Kind = Kind::sharing(0, b'm');
const BLOCKS: Kind = Kind::sharing(0, b'b');
const HISTORY: Kind = Kind::sharing(0, b'h');
const VERSIONS: Kind = Kind::sharing(0, b'v');
/// Of blocks with more transactions than one subtree has: the roots of the subtrees of their transaction tree, one
/// after another.
const TREES: Kind = Kind::sharing(0, b't');
const TRANSACTIONS: Kind = Kind::alone(1);
pub(super) const RECEIVED: Kind = Kind::hashed(4, b'r');
const SENT: Kind = Kind::hashed(4, b's');
/// Sets of validators after the genesis' own, by the first height that each decides.
const VALIDATORS: Kind = Kind::alone(6);
/// Columns that are ordered by their keys.
const ORDERED: [Kind; 2] = [state::ORDERED, VALIDATORS];
/// Columns whose keys are hashes: the library need not hash them once more.
const UNIFORM: [Kind; 3] = [state::UNIFORM, TRANSACTIONS, RECEIVED];
const COLUMNS: u8 = 7;

const TIP: &[u8] = b"tip";

pub(super) type Change = (Kind, Vec<u8>, Option<Vec<u8>>);

/// Where a final transaction is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct TransactionPlace {
    pub(super) height: BlockHeight,
    pub(super) index: u32,
    /// Start and length in the block's record.
    pub(super) transaction: (u32, u32),
    /// Start in the record of the block's bodies, if it is a message.
    pub(super) body: Option<u32>,
}

impl TransactionPlace {
    /// Bytes of a place: one as lists have it, and three numbers.
    const BYTES: usize = PLACE + 12;

    fn to_bytes(self) -> Vec<u8> {
        let at = Cursor { height: self.height, index: self.index };
        // A record begins with the number of its parts, so that no body starts at 0.
        let parts = [self.transaction.0, self.transaction.1, self.body.unwrap_or(0)];
        [at.to_bytes().as_slice(), parts.map(u32::to_be_bytes).as_flattened()].concat()
    }
    fn from_bytes(bytes: &[u8]) -> Result<Self, DecodeError> {
        let malformed = || DecodeError::Malformed {
            what: "transaction place",
            reason: format!("{} bytes, not {}", bytes.len(), Self::BYTES),
        };
        let (at, parts) = bytes.split_first_chunk().ok_or_else(malformed)?;
        let Cursor { height, index } = Cursor::from_bytes(*at);
        let ([start, length, body], []) = parts.as_chunks() else { return Err(malformed()) };
        let [start, length, body] = [start, length, body].map(|part| u32::from_be_bytes(*part));
        Ok(Self { height, index, transaction: (start, length), body: Some(body).filter(|start| *start > 0) })
    }
}

/// A list of an address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Mailbox {
    Received,
    Sent,
}

impl Mailbox {
    pub(super) const fn kind(self) -> Kind {
        match self {
            Mailbox::Received => RECEIVED,
            Mailbox::Sent => SENT,
        }
    }
    /// Whether an address's list is one of those that a transaction stands in.
    pub(super) fn lists(self, transaction: &SignedTransaction, address: &Address) -> bool {
        listings(transaction).any(|list| list == (self.kind(), *address))
    }
}

/// Under this address stand the sealed messages in the lists of what was received: they are to nobody that can
/// be seen. No key has these bytes, so no address has this list.
pub(super) const NOBODY: Address = Address::new(PublicKey::from_bytes([0; 32]));

pub(super) struct Index {
    db: Db,
    /// Versions of the state that are kept before the newest; all if there is no number.
    versions: Option<u64>,
}

impl Index {
    /// Opens the index, or makes an empty one. It keeps so many versions of the state before the newest; all if there
    /// is no number.
    pub(super) fn open(path: &Path, versions: Option<u64>) -> Result<Self, parity_db::Error> {
        let mut options = Options::with_columns(path, COLUMNS);
        options.stats = false;
        for (number, column) in (0..).zip(&mut options.columns) {
            let among = |kinds: &[Kind]| kinds.iter().any(|kind| kind.column == number);
            let (btree_index, uniform) = (among(&ORDERED), among(&UNIFORM));
            *column = ColumnOptions { btree_index, uniform, ..ColumnOptions::default() };
        }
        Db::open_or_create(&options).map(|db| Self { db, versions })
    }
    /// The tip it has reached; `None` if it is empty.
    pub(super) fn tip(&self) -> Result<Option<TipRecord>, ViewError> {
        let bytes = self.get(META, TIP)?;
        bytes.map(|bytes| decode("tip", &bytes, MAX_BYTES).map_err(ViewError::new)).transpose()
    }
    /// Puts the state of the genesis in.
    pub(super) fn begin(&self, tip: &TipRecord, state: &GenesisState) -> Result<(), ViewError> {
        let mut changes = vec![(META, TIP.to_vec(), Some(encode(tip)))];
        changes.push((VERSIONS, 0_u64.to_be_bytes().to_vec(), Some(0_u64.to_be_bytes().to_vec())));
        changes.extend(self.put_state(&state.update)?);
        self.put(changes)
    }
    /// Takes in a block: all of it in one commit.
    pub(super) fn commit(&self, committed: &CommittedBlock, written: &Written) -> Result<(), ViewError> {
        let (block, verified, tip) = (committed.block(), committed.verified(), committed.tip());
        let height = block.height().get().to_be_bytes();
        let mut changes = vec![(META, TIP.to_vec(), Some(encode(&tip.to_record())))];
        changes.push((BLOCKS, block.hash().to_bytes().to_vec(), Some(height.to_vec())));
        changes.push((VERSIONS, height.to_vec(), Some(tip.state_version().to_be_bytes().to_vec())));
        put_transactions(&mut changes, block, written);
        for ((kind, address), places) in listings_of(block) {
            changes.extend(List::open(self, kind, address)?.add(&places));
        }
        if block.transactions().len() > SUBTREE_LEAVES {
            changes.push((TREES, height.to_vec(), Some(subtree_roots(&block.leaves()).concat())));
        }
        if let Some(update) = verified.update() {
            changes.extend(self.put_state(update)?);
        }
        if let Some(set) = verified.new_validators() {
            let effective = block.height().saturating_add(1).get().to_be_bytes();
            changes.push((VALIDATORS, effective.to_vec(), Some(encode(&set.validators()))));
        }
        for subtree in verified.subtrees() {
            changes.push((HISTORY, subtree_key(subtree.level, subtree.index), Some(subtree.hash.to_vec())));
        }
        self.put(changes)
    }
    /// Changes all at once or nothing.
    pub(super) fn put(&self, changes: Vec<Change>) -> Result<(), ViewError> {
        let changes =
            changes.into_iter().map(|(kind, key, value)| (kind.column, kind.key(key).into_owned(), value));
        guarded(|| self.db.commit(changes))
    }
    pub(super) fn height_of(&self, block: &BlockHash) -> Result<Option<BlockHeight>, ViewError> {
        Ok(self.number(BLOCKS, block.as_bytes())?.map(BlockHeight::new))
    }
    pub(super) fn transaction(&self, id: &TransactionId) -> Result<Option<TransactionPlace>, ViewError> {
        let bytes = self.get(TRANSACTIONS, id.as_bytes())?;
        bytes.map(|bytes| TransactionPlace::from_bytes(&bytes).map_err(ViewError::new)).transpose()
    }
    pub(super) fn state_version(&self, height: BlockHeight) -> Result<Option<u64>, ViewError> {
        self.number(VERSIONS, &height.get().to_be_bytes())
    }
    /// The set that decides a height and the first height it does; `None` if that is the genesis' own.
    pub(super) fn validators(
        &self,
        height: BlockHeight,
    ) -> Result<Option<(BlockHeight, ValidatorSet)>, ViewError> {
        let found = guarded(|| {
            let mut iterator = self.db.iter(VALIDATORS.column)?;
            iterator.seek(&height.get().to_be_bytes())?;
            iterator.prev()
        });
        found?.map(read_validators).transpose()
    }
    /// Damages the index, for a test of those who must notice.
    #[cfg(test)]
    pub(super) fn forget_validators(&self, effective: BlockHeight) -> Result<(), ViewError> {
        let key = effective.get().to_be_bytes().to_vec();
        self.put(vec![(VALIDATORS, key, None)])
    }
    /// The same.
    #[cfg(test)]
    pub(super) fn forget_transaction(&self, id: &TransactionId) -> Result<(), ViewError> {
        self.put(vec![(TRANSACTIONS, id.to_bytes().to_vec(), None)])
    }
    /// The sets that decide from a height on or later ones, the earliest first.
    pub(super) fn validators_from(
        &self,
        first: BlockHeight,
        limit: usize,
    ) -> Result<Vec<(BlockHeight, ValidatorSet)>, ViewError> {
        let found = guarded(|| {
            let mut iterator = self.db.iter(VALIDATORS.column)?;
            iterator.seek(&first.get().to_be_bytes())?;
            let mut found = Vec::new();
            while found.len() < limit
                && let Some(entry) = iterator.next()?
            {
                found.push(entry);
            }
            Ok(found)
        });
        found?.into_iter().map(read_validators).collect()
    }
    pub(super) fn subtree(&self, level: u8, index: u64) -> Result<Option<Node>, ViewError> {
        let bytes = self.get(HISTORY, &subtree_key(level, index))?;
        bytes.map(|bytes| Node::try_from(bytes).map_err(|_| wrong_length("subtree"))).transpose()
    }
    /// The roots of the subtrees of a block's transaction tree.
    pub(super) fn subtree_roots(&self, height: BlockHeight) -> Result<Vec<Node>, ViewError> {
        let bytes = self.get(TREES, &height.get().to_be_bytes())?.unwrap_or_default();
        let (roots, rest) = bytes.as_chunks();
        if rest.is_empty() { Ok(roots.to_vec()) } else { Err(wrong_length("transaction tree")) }
    }
    /// Whether the lists of its sender and its recipients name a transaction at its place.
    pub(super) fn is_listed(&self, transaction: &SignedTransaction, at: Cursor) -> Result<bool, ViewError> {
        for (kind, address) in listings(transaction) {
            if !List::open(self, kind, address)?.contains(at)? {
                return Ok(false);
            }
        }
        Ok(true)
    }

    pub(super) fn get(&self, kind: Kind, key: &[u8]) -> Result<Option<Vec<u8>>, ViewError> {
        let key = kind.key(key);
        guarded(|| self.db.get(kind.column, &key))
    }
    fn number(&self, kind: Kind, key: &[u8]) -> Result<Option<u64>, ViewError> {
        let bytes = self.get(kind, key)?;
        let number = |bytes: Vec<u8>| bytes.try_into().map(u64::from_be_bytes);
        bytes.map(|bytes| number(bytes).map_err(|_| wrong_length("number"))).transpose()
    }
}

/// Asks the library. It trusts its files, and a damaged one can make it panic: that is an error like others here.
fn guarded<T>(ask: impl FnOnce() -> parity_db::Result<T>) -> Result<T, ViewError> {
    match survive(AssertUnwindSafe(ask)) {
        Some(answer) => answer.map_err(ViewError::new),
        None => {
            Err(ViewError::new("the index is damaged (its library panicked); delete it and start the node"))
        }
    }
}

fn put_transactions(changes: &mut Vec<Change>, block: &Block, written: &Written) {
    let height = block.height();
    let mut bodies = written.bodies.iter().copied();
    for ((index, transaction), part) in (0_u32..).zip(block.transactions()).zip(&written.transactions) {
        let id = transaction.id();
        let body = transaction.message().and_then(|_| bodies.next()).map(|(start, _)| start);
        let place = TransactionPlace { height, index, transaction: *part, body };
        changes.push((TRANSACTIONS, id.to_bytes().to_vec(), Some(place.to_bytes())));
    }
}

/// The lists that a transaction stands in: kind and address.
fn listings(transaction: &SignedTransaction) -> impl Iterator<Item = (Kind, Address)> {
    let message = transaction.message();
    let recipients = message.into_iter().flat_map(|message| message.recipients());
    // Anybody can name these bytes as a recipient, and would fill the list of sealed messages with what is none.
    let recipients = recipients.filter(|recipient| *recipient != NOBODY);
    let nobody = message.filter(|message| message.mode == Mode::Sealed).map(|_| NOBODY);
    let received = recipients.chain(nobody).map(|address| (RECEIVED, address));
    std::iter::once((SENT, transaction.sender())).chain(received)
}

/// What a block adds to each list.
fn listings_of(block: &Block) -> BTreeMap<(Kind, Address), Vec<Cursor>> {
    let (height, mut lists) = (block.height(), BTreeMap::<_, Vec<_>>::new());
    for (index, transaction) in (0_u32..).zip(block.transactions()) {
        for list in listings(transaction) {
            lists.entry(list).or_default().push(Cursor { height, index });
        }
    }
    lists
}

fn read_validators((key, value): (Vec<u8>, Vec<u8>)) -> Result<(BlockHeight, ValidatorSet), ViewError> {
    let effective = key.try_into().map_err(|_| wrong_length("height of validators"))?;
    let validators: Vec<Validator> = decode("validators", &value, MAX_BYTES).map_err(ViewError::new)?;
    let set = ValidatorSet::new(validators).map_err(ViewError::new)?;
    Ok((BlockHeight::new(u64::from_be_bytes(effective)), set))
}

fn subtree_key(level: u8, index: u64) -> Vec<u8> {
    [[level].as_slice(), &index.to_be_bytes()].concat()
}

pub(super) fn wrong_length(what: &str) -> ViewError {
    ViewError::new(format_args!("the index's {what} has a wrong length"))
}

#[cfg(feature = "fuzzing")]
pub(super) mod fuzzing {
    //! For the fuzzer: values that the index holds. The first byte says of which kind.
    #![allow(clippy::unwrap_used)]

    use super::{MAX_BYTES, TipRecord, TransactionPlace, Validator, decode, encode};
    use sealpost_ledger::examples;

    pub(in crate::store) fn values() -> Vec<Vec<u8>> {
        let (genesis, _) = examples::evidence();
        let tips = examples::KINDS.iter().find(|kind| kind.name == "tip record").unwrap();
        let mut values: Vec<_> = tips.examples.iter().map(|tip| [&[0], tip.as_slice()].concat()).collect();
        values.push([vec![1], vec![7; TransactionPlace::BYTES]].concat());
        values.push([vec![2], encode(&genesis.validators().validators())].concat());
        values
    }
    pub(in crate::store) fn again(value: &[u8]) -> Option<Vec<u8>> {
        let (kind, bytes) = value.split_first()?;
        let again = match kind {
            0 => encode(&decode::<TipRecord>("tip", bytes, MAX_BYTES).ok()?),
            1 => TransactionPlace::from_bytes(bytes).ok()?.to_bytes(),
            _ => encode(&decode::<Vec<Validator>>("validators", bytes, MAX_BYTES).ok()?),
        };
        Some([&[*kind], again.as_slice()].concat())
    }
}
