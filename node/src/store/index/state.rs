//! The state in the index: its entries and the nodes of its tree.
//!
//! Each block that changes the state makes a new version of the tree and leaves the nodes that it replaced to the
//! versions before. What only versions before the last few need is deleted, unless the node keeps all: it would be two
//! thirds of what the index holds, and an entry says itself at which height it came to be.

use super::{Change, Index, Kind, META, guarded, wrong_length};
use sealpost_ledger::codec::{Decode, Encode, MAX_BYTES, decode, encode};
use sealpost_ledger::state::{StateKey, StateRecord, StateUpdate, ViewError};

const NODES: Kind = Kind::alone(2);
/// The newest value of each entry, by the hash of its key: the version that brought it, and its bytes.
const ENTRIES: Kind = Kind::alone(3);
/// Values that a newer one has replaced, ordered by key and version.
const EARLIER: Kind = Kind::alone(5);
/// What no version from the one under which it stands on needs.
const STALE: Kind = Kind::sharing(0, b's');
/// Columns whose keys are hashes.
pub(super) const UNIFORM: Kind = ENTRIES;
/// Columns that are ordered.
pub(super) const ORDERED: Kind = EARLIER;

const OLDEST: &[u8] = b"oldest state";

/// What a version of the state has replaced: keys in the index.
#[derive(Debug, Default, Encode, Decode)]
#[bincode(crate = "sealpost_ledger::codec")]
struct Stale {
    nodes: Vec<Vec<u8>>,
    values: Vec<Vec<u8>>,
}

impl Index {
    /// What a new version of the state changes in the index.
    pub(super) fn put_state(&self, update: &StateUpdate) -> Result<Vec<Change>, ViewError> {
        let nodes = update.nodes.iter().map(|(key, node)| (NODES, key.clone(), Some(node.clone())));
        let mut changes: Vec<Change> = nodes.collect();
        let mut stale = Stale { nodes: update.stale.clone(), values: Vec::new() };
        for (key, value) in &update.values {
            if let Some((version, earlier)) = self.entry(key)? {
                let replaced = value_key(key, version);
                changes.push((EARLIER, replaced.clone(), Some(earlier)));
                stale.values.push(replaced);
            }
            let entry = [update.version.to_be_bytes().as_slice(), value].concat();
            changes.push((ENTRIES, key.to_vec(), Some(entry)));
        }
        if let Some(versions) = self.versions {
            changes.push((STALE, update.version.to_be_bytes().to_vec(), Some(encode(&stale))));
            if let Some(oldest) = update.version.checked_sub(versions) {
                changes.extend(self.drop_before(oldest)?);
            }
        }
        Ok(changes)
    }
    /// What dropping all versions before one changes. They go one by one, each when it is this old.
    fn drop_before(&self, oldest: u64) -> Result<Vec<Change>, ViewError> {
        let key = oldest.to_be_bytes();
        // A node that has just ceased to keep all has nothing there.
        let Some(bytes) = self.get(STALE, &key)? else { return Ok(Vec::new()) };
        let stale: Stale = decode("stale state", &bytes, MAX_BYTES).map_err(ViewError::new)?;
        let nodes = stale.nodes.into_iter().map(|key| (NODES, key, None));
        let values = stale.values.into_iter().map(|key| (EARLIER, key, None));
        let notes = [(STALE, key.to_vec(), None), (META, OLDEST.to_vec(), Some(key.to_vec()))];
        Ok(nodes.chain(values).chain(notes).collect())
    }
    /// The oldest version of the state that is whole.
    pub(in crate::store) fn oldest_version(&self) -> Result<u64, ViewError> {
        Ok(self.number(META, OLDEST)?.unwrap_or(0))
    }
    pub(in crate::store) fn node(&self, key: &[u8]) -> Result<Option<Vec<u8>>, ViewError> {
        self.get(NODES, key)
    }
    /// The newest value of an entry whose version is at most `version`.
    pub(in crate::store) fn value(&self, version: u64, key: &[u8; 32]) -> Result<Option<Vec<u8>>, ViewError> {
        match self.entry(key)? {
            Some((newest, value)) if newest <= version => Ok(Some(value)),
            Some(_) => {
                let next = guarded(|| {
                    let mut iterator = self.db.iter(EARLIER.column)?;
                    iterator.seek(&value_key(key, version))?;
                    iterator.next()
                });
                Ok(next?.and_then(|(found, value)| found.starts_with(key).then_some(value)))
            }
            None => Ok(None),
        }
    }
    /// The newest value of an entry.
    pub(in crate::store) fn record(&self, key: &StateKey) -> Result<Option<StateRecord>, ViewError> {
        let entry = self.entry(&key.hash())?;
        entry.map(|(_, bytes)| StateRecord::from_bytes(&bytes).map_err(ViewError::new)).transpose()
    }
    /// Damages the index, for a test of those who must notice.
    #[cfg(test)]
    pub(in crate::store) fn forget_node(&self, key: &[u8]) -> Result<(), ViewError> {
        self.put(vec![(NODES, key.to_vec(), None)])
    }
    fn entry(&self, key: &[u8; 32]) -> Result<Option<(u64, Vec<u8>)>, ViewError> {
        let Some(mut bytes) = self.get(ENTRIES, key)? else { return Ok(None) };
        let version = *bytes.first_chunk().ok_or_else(|| wrong_length("entry of the state"))?;
        bytes.drain(..version.len());
        Ok(Some((u64::from_be_bytes(version), bytes)))
    }
}

/// Newer versions sort first, so that seeking forward meets the newest one that is not too new.
fn value_key(key: &[u8; 32], version: u64) -> Vec<u8> {
    [key.as_slice(), &(!version).to_be_bytes()].concat()
}
