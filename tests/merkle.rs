//! Our Merkle trees against `ct-merkle`, an independent implementation of RFC 6962: every tree of up to 300
//! leaves, every index, every earlier size; and every kind of wrong proof.

use ct_merkle::mem_backed_tree::MemoryBackedTree;
use sealpost_ledger::merkle::{
    HistoryFrontier, Node, leaf_hash, path, root, verify_consistency, verify_inclusion,
};
use sha2::Sha256;

const LARGEST: usize = 300;

fn data(index: usize) -> Vec<u8> {
    format!("leaf {index}").into_bytes()
}

fn nodes(bytes: &[u8]) -> Vec<Node> {
    bytes.chunks(32).map(|chunk| chunk.try_into().unwrap()).collect()
}

#[test]
fn roots_and_proofs_agree_for_every_tree_up_to_300() {
    let mut theirs = MemoryBackedTree::<Sha256, Vec<u8>>::new();
    let (mut leaves, mut roots) = (Vec::new(), vec![root(&[])]);
    let mut frontier = HistoryFrontier::default();
    for size in 1..=LARGEST {
        theirs.push(data(size - 1));
        leaves.push(leaf_hash(&data(size - 1)));
        frontier.append(leaf_hash(&data(size - 1)));
        let ours = root(&leaves);
        assert_eq!(ours.as_slice(), theirs.root().as_bytes().as_slice(), "size {size}");
        assert_eq!(frontier.root(), ours, "size {size}");
        for index in 0..size {
            let proof = path(&leaves, index).unwrap();
            assert_eq!(proof, nodes(theirs.prove_inclusion(index).as_bytes()), "{index} of {size}");
            verify_inclusion(&ours, size as u64, index as u64, &leaves[index], &proof).unwrap();
        }
        for (earlier, old) in roots.iter().enumerate().skip(1) {
            let proof = nodes(theirs.prove_consistency(size - earlier).as_bytes());
            verify_consistency(old, earlier as u64, &ours, size as u64, &proof).unwrap();
        }
        roots.push(ours);
    }
}

#[test]
fn every_kind_of_wrong_inclusion_proof_is_refused() {
    let sizes = [1, 2, 3, 4, 5, 7, 8, 11, 16, 33, 100, 300];
    for size in sizes {
        let leaves: Vec<Node> = (0..size).map(|index| leaf_hash(&data(index))).collect();
        let (root, count) = (root(&leaves), size as u64);
        for index in 0..size {
            let (proof, leaf, at) = (path(&leaves, index).unwrap(), leaves[index], index as u64);
            let refused = |root: &Node, count, at, leaf: &Node, proof: &[Node], what: &str| {
                let verdict = verify_inclusion(root, count, at, leaf, proof);
                assert!(verdict.is_err(), "{what} was accepted: {index} of {size}");
            };
            for other in (0..size + 2).filter(|other| *other != index) {
                refused(&root, count, other as u64, &leaf, &proof, "another index");
            }
            refused(&root, 0, at, &leaf, &proof, "an empty tree");
            refused(&root, at, at, &leaf, &proof, "a tree too small");
            refused(&[9; 32], count, at, &leaf, &proof, "another root");
            refused(&root, count, at, &leaf_hash(b"other"), &proof, "another leaf");
            refused(&root, count, at, &leaf, &[&proof[..], &[root]].concat(), "a path too long");
            refused(&root, count, at, &leaf, &[&[leaf], &proof[..]].concat(), "a path with a step before");
            for step in 0..proof.len() {
                let mut wrong = proof.clone();
                wrong[step][5] ^= 1;
                refused(&root, count, at, &leaf, &wrong, "a changed step");
                wrong = proof.clone();
                wrong.remove(step);
                refused(&root, count, at, &leaf, &wrong, "a missing step");
                wrong = proof.clone();
                wrong.insert(step, proof[step]);
                refused(&root, count, at, &leaf, &wrong, "a repeated step");
                if step > 0 {
                    wrong = proof.clone();
                    wrong.swap(step - 1, step);
                    refused(&root, count, at, &leaf, &wrong, "two steps exchanged");
                }
            }
        }
    }
}

#[test]
fn every_kind_of_wrong_consistency_proof_is_refused() {
    let mut theirs = MemoryBackedTree::<Sha256, Vec<u8>>::new();
    let (mut leaves, mut roots) = (Vec::new(), vec![root(&[])]);
    for size in 1..=40_usize {
        theirs.push(data(size - 1));
        leaves.push(leaf_hash(&data(size - 1)));
        let new = root(&leaves);
        for (earlier, old) in roots.iter().enumerate().skip(1) {
            let proof = nodes(theirs.prove_consistency(size - earlier).as_bytes());
            let (first, second) = (earlier as u64, size as u64);
            let refused = |first: u64, old: &Node, second: u64, new: &Node, proof: &[Node], what: &str| {
                let verdict = verify_consistency(old, first, new, second, proof);
                assert!(verdict.is_err(), "{what} was accepted: {earlier} to {size}");
            };
            refused(first, &[9; 32], second, &new, &proof, "another old root");
            refused(first, old, second, &[9; 32], &proof, "another new root");
            refused(second, &new, first, old, &proof, "a tree that shrinks");
            refused(first, old, second, &new, &[&proof[..], &[new]].concat(), "a proof too long");
            refused(first, old, second, &new, &[], "an empty proof");
            for step in 0..proof.len() {
                let mut wrong = proof.clone();
                wrong[step][0] ^= 128;
                refused(first, old, second, &new, &wrong, "a changed step");
                wrong = proof.clone();
                wrong.remove(step);
                refused(first, old, second, &new, &wrong, "a missing step");
            }
        }
        roots.push(new);
    }
}
