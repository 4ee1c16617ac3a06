//! Proofs against trees that are known whole: whatever is accepted has to be true of the tree.

use sealpost_ledger::address::Address;
use sealpost_ledger::fuzzing::{Script, Target};
use sealpost_ledger::hash::{StateRoot, TransactionId};
use sealpost_ledger::height::BlockHeight;
use sealpost_ledger::merkle::{
    HistoryFrontier, Node, history_consistency, leaf_hash, node_hash, path, root, verify_consistency,
    verify_inclusion,
};
use sealpost_ledger::signature::SigningKey;
use sealpost_ledger::state::{
    DesignationRecord, MemoryState, StateKey, StateProof, StateRecord, prove, update,
};
use std::collections::BTreeMap;
use std::convert::Infallible;

/// Leaves of the largest tree.
const LEAVES: usize = 40;
/// Entries that there may be in the state; every second is.
const ENTRIES: u8 = 60;

pub(crate) fn targets() -> [Target; 3] {
    let (tree, history, state) = (Tree::grow(), Tree::grow(), State::make());
    [
        Target::new("inclusion", inclusions, move |input| tree.inclusion(&mut Script::new(input))),
        Target::new("consistency", consistencies, move |input| history.consistency(&mut Script::new(input))),
        Target::new("state_proof_check", state_proofs, move |input| state.check(&mut Script::new(input))),
    ]
}

struct Tree {
    leaves: Vec<Node>,
    /// Of the first so many leaves.
    roots: Vec<Node>,
    /// Everything that stands anywhere in the tree, leaves and inner nodes.
    nodes: Vec<Node>,
}

impl Tree {
    fn grow() -> Self {
        let leaves: Vec<_> = (0..LEAVES as u64).map(|number| leaf_hash(&number.to_le_bytes())).collect();
        let mut history = HistoryFrontier::default();
        let mut roots = vec![history.root()];
        let mut nodes = Vec::new();
        for leaf in &leaves {
            nodes.extend(history.append(*leaf).iter().map(|subtree| subtree.hash));
            roots.push(history.root());
        }
        assert_eq!(roots.last(), Some(&root(&leaves)));
        nodes.extend(&roots);
        nodes.push(node_hash(&leaves[0], &leaves[0]));
        Self { leaves, roots, nodes }
    }
    fn edit(&self, script: &mut Script<'_>, proof: &mut Vec<Node>) {
        while !script.is_over() && proof.len() < 80 {
            let (at, node) = (script.choice(proof.len() + 1), self.nodes[script.choice(self.nodes.len())]);
            match script.byte() % 6 {
                0 => proof.truncate(at),
                1 => proof.insert(at, node),
                2 if at < proof.len() => drop(proof.remove(at)),
                3 if at < proof.len() => proof[at] = node,
                4 if at < proof.len() => proof.swap(0, at),
                _ => proof.reverse(),
            }
        }
    }
    fn inclusion(&self, script: &mut Script<'_>) -> bool {
        let size = script.choice(LEAVES) + 1;
        let from = script.choice(size);
        let mut proof = path(&self.leaves[..size], from).expect("a leaf of the tree");
        let index = match script.byte() {
            0 => from as u64,
            1 => u64::MAX - u64::from(script.short()),
            _ => script.choice(2 * LEAVES) as u64,
        };
        let leaf = match script.byte() {
            0 => self.leaves[from],
            _ => self.nodes[script.choice(self.nodes.len())],
        };
        self.edit(script, &mut proof);
        let accepted = verify_inclusion(&self.roots[size], size as u64, index, &leaf, &proof).is_ok();
        // The size is the block's own; all else may be a lie.
        let index = usize::try_from(index).unwrap_or(usize::MAX);
        let true_path = path(&self.leaves[..size], index.min(size));
        let holds = self.leaves[..size].get(index) == Some(&leaf) && true_path.as_deref() == Some(&*proof);
        assert_eq!(accepted, holds, "leaf {index} of {size}");
        // Under another size, a great one too, nothing is claimed but that it ends.
        let _ = verify_inclusion(&self.roots[size], u64::MAX, index as u64, &leaf, &proof);
        accepted
    }
    fn consistency(&self, script: &mut Script<'_>) -> bool {
        let second = script.choice(LEAVES + 1);
        let from = script.choice(second + 1);
        let mut proof = self.consistency_proof(from, second);
        let first = match script.byte() {
            0 => from as u64,
            1 => u64::MAX - u64::from(script.short()),
            _ => script.choice(LEAVES + 1) as u64,
        };
        let first_root = match script.byte() {
            0 => self.roots[from],
            _ => self.nodes[script.choice(self.nodes.len())],
        };
        self.edit(script, &mut proof);
        let accepted =
            verify_consistency(&first_root, first, &self.roots[second], second as u64, &proof).is_ok();
        // The second head is trusted: what is accepted as an earlier one has to be one, by the one proof of it.
        let earlier = usize::try_from(first).ok().filter(|first| *first <= second);
        let holds = earlier.is_some_and(|first| {
            self.roots[first] == first_root && proof == self.consistency_proof(first, second)
        });
        assert_eq!(accepted, holds, "{first} in {second}");
        let _ = verify_consistency(&first_root, first, &self.roots[second], u64::MAX, &proof);
        accepted
    }
    fn consistency_proof(&self, first: usize, second: usize) -> Vec<Node> {
        let subtree = |level: u8, index: u64| -> Result<Node, Infallible> {
            let start = usize::try_from(index).expect("a small tree") << level;
            Ok(root(&self.leaves[start..start + (1 << level)]))
        };
        let Ok(proof) = history_consistency(first as u64, second as u64, &subtree);
        proof
    }
}

fn inclusions() -> Vec<Vec<u8>> {
    let right = |size: u8, index: u8| vec![size, 0, index, 0, 0, 0];
    vec![right(0, 0), right(7, 3), right(39, 39), right(24, 17), [right(12, 5), vec![2, 0, 9, 0, 3]].concat()]
}

fn consistencies() -> Vec<Vec<u8>> {
    let right = |second: u8, first: u8| vec![second, 0, first, 0, 0, 0];
    vec![right(0, 0), right(8, 8), right(8, 4), right(39, 17), [right(21, 7), vec![1, 0, 9, 0, 1]].concat()]
}

/// A state of which it is known what stands there.
struct State {
    root: StateRoot,
    keys: Vec<StateKey>,
    records: Vec<StateRecord>,
    /// The proof for each key, and the bytes of it.
    proofs: Vec<Vec<u8>>,
}

impl State {
    fn make() -> Self {
        let who = Address::new(SigningKey::from_bytes(&[1; 32]).expect("a key").public_key());
        let keys: Vec<_> = (0..ENTRIES).map(|n| StateKey::Designation(who, format!("class-{n}"))).collect();
        let record = |n| {
            let (transaction, height) = (TransactionId::from_bytes([n; 32]), BlockHeight::new(n.into()));
            StateRecord::Designation(DesignationRecord { to: who, transaction, height })
        };
        let records: Vec<_> = (0..ENTRIES).map(record).collect();
        let mut state = MemoryState::default();
        let there = keys.iter().cloned().zip(records.iter().cloned()).step_by(2);
        let changes: BTreeMap<_, _> = there.collect();
        let done = update(&state, 0, &changes).expect("a tree in memory");
        state.apply(&done, &changes);
        let proof = |key| prove(&state, 0, key).expect("a tree in memory").1.to_bytes();
        let proofs = keys.iter().map(proof).collect();
        Self { root: done.root, keys, records, proofs }
    }
    fn check(&self, script: &mut Script<'_>) -> bool {
        let mut bytes = self.proofs[script.choice(self.proofs.len())].clone();
        let (entry, record) = (script.choice(self.keys.len()), script.choice(self.records.len()));
        while !script.is_over() && bytes.len() < 20_000 {
            script.edit(&mut bytes);
        }
        let Ok(proof) = StateProof::from_bytes(&bytes) else { return false };
        assert_eq!(proof.to_bytes(), bytes);
        let (key, record_is_its) = (&self.keys[entry], entry == record);
        let present = proof.verify_present(&self.root, key, &self.records[record]).is_ok();
        let absent = proof.verify_absent(&self.root, key).is_ok();
        let is_there = entry % 2 == 0;
        assert!(!present || is_there && record_is_its, "entry {entry} has record {record}");
        assert!(!absent || !is_there, "entry {entry} is absent");
        // The proof that the tree itself gives holds.
        let its = bytes == self.proofs[entry];
        assert!(!its || if is_there { present == record_is_its } else { absent });
        present || absent
    }
}

fn state_proofs() -> Vec<Vec<u8>> {
    let of = |proof: u8, key: u8| vec![proof, 0, key, 0, key, 0];
    vec![of(0, 0), of(7, 7), of(31, 31), of(3, 5), [of(4, 4), vec![30, 0, 4, 3, 1, 2, 3]].concat()]
}
