//! Proofs that an entry has a value, or that there is no such entry, under a state root. They are checked
//! here by thirty lines that need no tree, so that evidence can be checked by any program.
//!
//! The tree (Jellyfish Merkle tree): a leaf is `SHA256("JMT::LeafNode" ‖ key hash ‖ value hash)`, an inner
//! node `SHA256("JMT::IntrnalNode" ‖ left ‖ right)`, an empty place the 32 characters
//! `SPARSE_MERKLE_PLACEHOLDER_HASH__`. The bits of the key hash, highest first, lead from the root down.

use super::tree::Hasher;
use super::{StateKey, StateRecord, ViewError};
use crate::codec::{Decode, DecodeError, Encode, decode, encode};
use crate::hash::{StateRoot, sha256};
use borsh::BorshDeserialize;
use thiserror::Error;

const EMPTY: [u8; 32] = *b"SPARSE_MERKLE_PLACEHOLDER_HASH__";
const LEAF: &[u8] = b"JMT::LeafNode";
const INNER: &[u8] = b"JMT::IntrnalNode";

/// The way from an entry's place up to the root.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct StateProof {
    /// The leaf at the end of the key's path: hash of its key, hash of its value. Absent if the place is empty.
    leaf: Option<([u8; 32], [u8; 32])>,
    /// The other sides, from the leaf upwards.
    siblings: Vec<[u8; 32]>,
}

/// Why a proof does not show what it is said to show.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum StateProofError {
    /// Longer than a key has bits.
    #[error("the state proof has {length} steps, at most 256 are possible")]
    TooLong {
        /// Steps given.
        length: usize,
    },
    /// It ends at another entry, so it does not show a value of this one.
    #[error("the state proof shows no value for this entry")]
    OtherEntry,
    /// It shows another value.
    #[error("the state proof shows another value")]
    OtherValue,
    /// The entry is there, so its absence can't be shown.
    #[error("the state proof shows that the entry is there")]
    Present,
    /// It ends at an entry that says nothing about this one.
    #[error("the state proof is for another part of the tree")]
    OtherPart,
    /// It leads to another root.
    #[error("the state proof leads to another state root")]
    Root,
}

impl StateProof {
    /// Canonical bytes.
    pub fn to_bytes(&self) -> Vec<u8> {
        encode(self)
    }
    /// Reads a proof.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, DecodeError> {
        decode("state proof", bytes, 10 * 1024)
    }
    /// Checks that the entry has this value.
    pub fn verify_present(
        &self,
        root: &StateRoot,
        key: &StateKey,
        record: &StateRecord,
    ) -> Result<(), StateProofError> {
        let key = key.hash();
        let (leaf_key, leaf_value) = self.leaf.ok_or(StateProofError::OtherEntry)?;
        if leaf_key != key {
            return Err(StateProofError::OtherEntry);
        }
        if leaf_value != sha256(&[&record.to_bytes()]) {
            return Err(StateProofError::OtherValue);
        }
        self.verify_path(root, &key)
    }
    /// Checks that there is no such entry.
    pub fn verify_absent(&self, root: &StateRoot, key: &StateKey) -> Result<(), StateProofError> {
        let key = key.hash();
        if let Some((leaf_key, _)) = self.leaf {
            if leaf_key == key {
                return Err(StateProofError::Present);
            }
            // A lone leaf stands as high as it can: it rules this key out only if both share the way down.
            if common_bits(&leaf_key, &key) < self.siblings.len() {
                return Err(StateProofError::OtherPart);
            }
        }
        self.verify_path(root, &key)
    }
    fn verify_path(&self, root: &StateRoot, key: &[u8; 32]) -> Result<(), StateProofError> {
        let length = self.siblings.len();
        if length > 256 {
            return Err(StateProofError::TooLong { length });
        }
        let start = self.leaf.map_or(EMPTY, |(key, value)| sha256(&[LEAF, &key, &value]));
        let depths = (0..length).rev();
        let top = self.siblings.iter().zip(depths).fold(start, |hash, (sibling, depth)| {
            if bit(key, depth) { sha256(&[INNER, sibling, &hash]) } else { sha256(&[INNER, &hash, sibling]) }
        });
        if top == *root.as_bytes() { Ok(()) } else { Err(StateProofError::Root) }
    }
}

/// Bit `depth` of a key, counted from the highest.
fn bit(key: &[u8; 32], depth: usize) -> bool {
    key.get(depth / 8).is_some_and(|byte| (byte >> (7 - depth % 8)) & 1 == 1)
}

fn common_bits(a: &[u8; 32], b: &[u8; 32]) -> usize {
    (0..256).take_while(|depth| bit(a, *depth) == bit(b, *depth)).count()
}

/// jmt's proof in its own encoding: its fields are private, its borsh form is documented.
#[derive(BorshDeserialize)]
struct JmtProof {
    leaf: Option<([u8; 32], [u8; 32])>,
    siblings: Vec<JmtNode>,
}

#[derive(BorshDeserialize)]
enum JmtNode {
    Null,
    Internal([u8; 32], [u8; 32]),
    Leaf([u8; 32], [u8; 32]),
}

pub(super) fn proof_from_jmt(proof: &jmt::proof::SparseMerkleProof<Hasher>) -> Result<StateProof, ViewError> {
    let bytes = borsh::to_vec(proof).map_err(ViewError::new)?;
    let JmtProof { leaf, siblings } = borsh::from_slice(&bytes).map_err(ViewError::new)?;
    let siblings = siblings.into_iter().map(|node| match node {
        JmtNode::Null => EMPTY,
        JmtNode::Internal(left, right) => sha256(&[INNER, &left, &right]),
        JmtNode::Leaf(key, value) => sha256(&[LEAF, &key, &value]),
    });
    Ok(StateProof { leaf, siblings: siblings.collect() })
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::indexing_slicing)]
mod tests {
    use super::super::tree::{jmt_accepts, prove, update};
    use super::super::{AnswerKind, MemoryState, ReceiptRecord};
    use super::*;
    use crate::hash::{ChainId, TransactionId};
    use crate::height::BlockHeight;
    use proptest::prelude::*;
    use std::collections::BTreeMap;

    fn key(n: u16) -> StateKey {
        StateKey::Receipt(TransactionId::from_bytes([7; 32]), n)
    }

    fn record(n: u16) -> StateRecord {
        let receipt = TransactionId::from_bytes([n as u8; 32]);
        StateRecord::Receipt(ReceiptRecord {
            receipt,
            answer: AnswerKind::Opened,
            height: BlockHeight::new(n.into()),
        })
    }

    fn state(entries: u16) -> (MemoryState, StateRoot, u64) {
        let mut state = MemoryState::default();
        let first = BTreeMap::from([(StateKey::Chain, StateRecord::Chain(ChainId::from_bytes([1; 32])))]);
        let done = update(&state, 0, &first).unwrap();
        let mut root = done.root;
        state.apply(&done, &first);
        let mut version = 0;
        for n in 0..entries {
            version += 1;
            let changes = BTreeMap::from([(key(n), record(n))]);
            let done = update(&state, version, &changes).unwrap();
            root = done.root;
            state.apply(&done, &changes);
        }
        (state, root, version)
    }

    #[test]
    fn presence_and_absence_agree_with_jmt() {
        let (state, root, version) = state(60);
        for n in 0..120 {
            let (found, proof) = prove(&state, version, &key(n)).unwrap();
            assert_eq!(found, (n < 60).then(|| record(n)));
            let present = proof.verify_present(&root, &key(n), &record(n)).is_ok();
            assert_eq!(present, jmt_accepts(&state, version, &root, &key(n), Some(&record(n))));
            assert_eq!(present, n < 60);
            let absent = proof.verify_absent(&root, &key(n)).is_ok();
            assert_eq!(absent, jmt_accepts(&state, version, &root, &key(n), None));
            assert_eq!(absent, n >= 60);
        }
    }

    /// The root as `docs/protocol.md` defines it, over places and value hashes.
    fn root_by_definition(entries: &[([u8; 32], [u8; 32])], depth: usize) -> [u8; 32] {
        match entries {
            [] => EMPTY,
            [(key, value)] => sha256(&[LEAF, key, value]),
            _ => {
                let (right, left): (Vec<_>, Vec<_>) =
                    entries.iter().copied().partition(|(key, _)| bit(key, depth));
                let below = |half: &[_]| root_by_definition(half, depth + 1);
                sha256(&[INNER, &below(&left), &below(&right)])
            }
        }
    }

    #[test]
    fn the_root_is_what_its_definition_says() {
        let entry = |key: StateKey, record: StateRecord| (key.hash(), sha256(&[&record.to_bytes()]));
        let mut entries = vec![entry(StateKey::Chain, StateRecord::Chain(ChainId::from_bytes([1; 32])))];
        for n in 0..40 {
            assert_eq!(state(n).1.to_bytes(), root_by_definition(&entries, 0));
            entries.push(entry(key(n), record(n)));
        }
    }

    #[test]
    fn an_absence_says_nothing_about_other_parts_of_the_tree() {
        let (state, root, version) = state(60);
        for n in 60..120 {
            let (_, proof) = prove(&state, version, &key(n)).unwrap();
            for other in 60..120 {
                let elsewhere = proof
                    .leaf
                    .is_some_and(|(leaf, _)| common_bits(&leaf, &key(other).hash()) < proof.siblings.len());
                if elsewhere {
                    let verdict = proof.verify_absent(&root, &key(other));
                    assert_eq!(verdict, Err(StateProofError::OtherPart), "{n} {other}");
                }
            }
        }
    }

    #[test]
    fn an_old_version_still_proves_absence() {
        let (state, _, version) = state(10);
        let (found, _) = prove(&state, version - 3, &key(9)).unwrap();
        assert_eq!(found, None);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn a_changed_proof_proves_nothing(n in 0_u16..40, at in any::<prop::sample::Index>(), mask in 1_u8..) {
            let (state, root, version) = state(20);
            let (_, proof) = prove(&state, version, &key(n)).unwrap();
            let mut bytes = proof.to_bytes();
            let at = at.index(bytes.len());
            bytes[at] ^= mask;
            if let Ok(changed) = StateProof::from_bytes(&bytes) {
                prop_assert!(changed.verify_present(&root, &key(n), &record(n)).is_err());
                prop_assert!(changed.verify_absent(&root, &key(n)).is_err());
            }
        }
    }
}
