//! The state tree: a Jellyfish Merkle tree (`jmt`) over SHA-256. jmt and its encodings are named here
//! only; storage sees opaque node keys, node bytes and values.
//!
//! A version is one state-changing block: versions count up by one, blocks that change nothing keep the
//! version before them.

use super::proof::{StateProof, proof_from_jmt};
use super::{StateKey, StateRecord, ViewError};
use crate::hash::StateRoot;
use jmt::storage::{LeafNode, Node, NodeKey, TreeReader};
use jmt::{JellyfishMerkleIterator, JellyfishMerkleTree, KeyHash, OwnedValue, SimpleHasher};
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use std::sync::Arc;

/// Where the tree's nodes and values are kept.
pub trait NodeSource {
    /// The node stored under that key.
    fn node(&self, key: &[u8]) -> Result<Option<Vec<u8>>, ViewError>;
    /// The newest value of an entry whose version is at most `version`.
    fn value(&self, version: u64, key_hash: &[u8; 32]) -> Result<Option<Vec<u8>>, ViewError>;
}

/// What a block adds to the tree's storage. Applied atomically, or not at all.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StateUpdate {
    /// The tree's version after the update.
    pub version: u64,
    /// The root after the update.
    pub root: StateRoot,
    /// New nodes: key and bytes.
    pub nodes: Vec<(Vec<u8>, Vec<u8>)>,
    /// New values: hash of the entry's key, and bytes. They hold from `version` on.
    pub values: Vec<([u8; 32], Vec<u8>)>,
    /// Keys of the nodes that the tree has no more from `version` on: only earlier versions need them.
    pub stale: Vec<Vec<u8>>,
}

/// SHA-256 for jmt, on the one sha2 version that we call.
pub(super) struct Hasher(Sha256);

impl SimpleHasher for Hasher {
    fn new() -> Self {
        Self(Sha256::new())
    }
    fn update(&mut self, data: &[u8]) {
        self.0.update(data);
    }
    fn finalize(self) -> [u8; 32] {
        self.0.finalize().into()
    }
}

struct Reader<'a, S: NodeSource + ?Sized>(&'a S);

impl<S: NodeSource + ?Sized> TreeReader for Reader<'_, S> {
    fn get_node_option(&self, key: &NodeKey) -> anyhow::Result<Option<Node>> {
        let Some(bytes) = self.0.node(&borsh::to_vec(key)?)? else { return Ok(None) };
        Ok(Some(borsh::from_slice(&bytes)?))
    }
    fn get_value_option(&self, version: u64, key: KeyHash) -> anyhow::Result<Option<OwnedValue>> {
        Ok(self.0.value(version, &key.0)?)
    }
    fn get_rightmost_leaf(&self) -> anyhow::Result<Option<(NodeKey, LeafNode)>> {
        anyhow::bail!("the tree is never restored leaf by leaf")
    }
}

/// Puts changes into the tree as `version` (the version before is `version - 1`, unless it is 0).
pub fn update<S: NodeSource + ?Sized>(
    source: &S,
    version: u64,
    changes: &BTreeMap<StateKey, StateRecord>,
) -> Result<StateUpdate, ViewError> {
    let reader = Reader(source);
    let tree = JellyfishMerkleTree::<_, Hasher>::new(&reader);
    let values: Vec<_> = changes.iter().map(|(key, record)| (key.hash(), record.to_bytes())).collect();
    let set = values.iter().map(|(key, bytes)| (KeyHash(*key), Some(bytes.clone())));
    let (root, batch) = tree.put_value_set(set, version).map_err(ViewError::new)?;
    let nodes = batch.node_batch.nodes().iter().map(|(key, node)| {
        let key = borsh::to_vec(key).map_err(ViewError::new)?;
        Ok((key, borsh::to_vec(node).map_err(ViewError::new)?))
    });
    let nodes = nodes.collect::<Result<_, ViewError>>()?;
    let stale = batch.stale_node_index_batch.iter().map(|stale| borsh::to_vec(&stale.node_key));
    let stale = stale.collect::<Result<_, _>>().map_err(ViewError::new)?;
    Ok(StateUpdate { version, root: StateRoot::from_bytes(root.0), nodes, values, stale })
}

/// The root of a tree that holds exactly these entries: hash of the key and bytes of the value, ascending
/// by hash. The root says nothing of the order in which they came to be.
pub fn root_of(entries: Vec<([u8; 32], Vec<u8>)>) -> Result<StateRoot, ViewError> {
    if !entries.is_sorted_by(|(a, _), (b, _)| a < b) {
        return Err(ViewError::new("the entries are out of order"));
    }
    let empty = super::MemoryState::default();
    let reader = Reader(&empty);
    let tree = JellyfishMerkleTree::<_, Hasher>::new(&reader);
    let set = entries.into_iter().map(|(key, value)| (KeyHash(key), Some(value)));
    let (root, _) = tree.put_value_set(set, 0).map_err(ViewError::new)?;
    Ok(StateRoot::from_bytes(root.0))
}

/// The value of an entry at a version, with the proof of its presence or absence under that version's root.
pub fn prove<S: NodeSource + ?Sized>(
    source: &S,
    version: u64,
    key: &StateKey,
) -> Result<(Option<StateRecord>, StateProof), ViewError> {
    let reader = Reader(source);
    let tree = JellyfishMerkleTree::<_, Hasher>::new(&reader);
    let (value, proof) = tree.get_with_proof(KeyHash(key.hash()), version).map_err(ViewError::new)?;
    let record = value.map(|bytes| StateRecord::from_bytes(&bytes)).transpose().map_err(ViewError::new)?;
    Ok((record, proof_from_jmt(&proof)?))
}

/// Shows every entry of the tree at a version, ascending: the hash of its key, and its value.
pub fn for_each_entry<S: NodeSource + ?Sized, E: From<ViewError>>(
    source: &S,
    version: u64,
    mut visit: impl FnMut(&[u8; 32], &[u8]) -> Result<(), E>,
) -> Result<(), E> {
    let first = KeyHash([0; 32]);
    let entries = JellyfishMerkleIterator::new(Arc::new(Reader(source)), version, first);
    for entry in entries.map_err(ViewError::new)? {
        let (key, value) = entry.map_err(ViewError::new)?;
        visit(&key.0, &value)?;
    }
    Ok(())
}

/// Checks with jmt's own verifier; the tests compare ours with it.
#[cfg(test)]
pub(super) fn jmt_accepts<S: NodeSource>(
    source: &S,
    version: u64,
    root: &StateRoot,
    key: &StateKey,
    record: Option<&StateRecord>,
) -> bool {
    let reader = Reader(source);
    let tree = JellyfishMerkleTree::<_, Hasher>::new(&reader);
    let Ok((_, proof)) = tree.get_with_proof(KeyHash(key.hash()), version) else { return false };
    proof
        .verify(jmt::RootHash(root.to_bytes()), KeyHash(key.hash()), record.map(StateRecord::to_bytes))
        .is_ok()
}
