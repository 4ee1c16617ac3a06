//! Our Merkle trees against `ct-merkle`, an independent implementation of RFC 6962: every tree of up to 300
//! leaves, every index, every earlier size; and every kind of wrong proof that has been published.

use ct_merkle::mem_backed_tree::MemoryBackedTree;
use ct_merkle::{ConsistencyProof, InclusionProof, RootHash};
use sealpost_ledger::merkle::{
    HistoryFrontier, Node, SUBTREE_LEAVES, history_consistency, history_path, history_root, leaf_hash,
    node_hash, path, path_by_subtrees, root, subtree_roots, verify_consistency, verify_inclusion,
};
use sha2::Sha256;
use std::collections::HashMap;

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

/// The leaf that `ct-merkle` would take: hashed by it, not by us.
fn theirs_accept(root: &Node, size: u64, index: u64, item: &[u8], proof: &[Node]) -> bool {
    let root = RootHash::<Sha256>::new((*root).into(), size);
    InclusionProof::<Sha256>::try_from_bytes(proof.concat())
        .is_ok_and(|proof| root.verify_inclusion(&item, index, &proof).is_ok())
}

/// The probes of the test data of transparency-dev/merkle (`testdata/inclusion`): each size and index of its own, and
/// around each the same mistakes. rs_merkle's own check accepts some of these.
#[test]
fn ct_merkle_refuses_every_published_kind_of_wrong_inclusion_proof_and_so_do_we() {
    let (mut accepted, mut refused) = (0, 0);
    for size in (1..=40).chain([63, 64, 65, 100, 127, 128, 129, 255, 256, 257, 300]) {
        let items: Vec<_> = (0..size).map(data).collect();
        let leaves: Vec<Node> = items.iter().map(|item| leaf_hash(item)).collect();
        let (root, count) = (root(&leaves), size as u64);
        for index in (0..size).step_by(if size > 40 { 7 } else { 1 }) {
            let (proof, item, at) = (path(&leaves, index).unwrap(), items[index].as_slice(), index as u64);
            let mut compare = |what: &str, root: &Node, count: u64, at: u64, item: &[u8], proof: &[Node]| {
                let ours = verify_inclusion(root, count, at, &leaf_hash(item), proof).is_ok();
                assert_eq!(ours, theirs_accept(root, count, at, item, proof), "{what}: {index} of {size}");
                *(if ours { &mut accepted } else { &mut refused }) += 1;
                ours
            };
            assert!(compare("the proof", &root, count, at, item, &proof));
            let other = leaf_hash(b"a node of nowhere");
            for (what, wrong) in [
                ("empty", vec![]),
                ("preceding root", [&[root], &proof[..]].concat()),
                ("trailing root", [&proof[..], &[root]].concat()),
                ("preceding garbage", [&[other], &proof[..]].concat()),
                ("trailing garbage", [&proof[..], &[other]].concat()),
                ("turned round", proof.iter().rev().copied().collect()),
                ("twice", [&proof[..], &proof[..]].concat()),
                ("truncated", proof[..proof.len().saturating_sub(1)].to_vec()),
                ("beheaded", proof.get(1..).unwrap_or_default().to_vec()),
            ] {
                assert!(!compare(what, &root, count, at, item, &wrong) || wrong == proof, "{what}");
            }
            for swapped in 1..proof.len() {
                let mut wrong = proof.clone();
                wrong.swap(swapped - 1, swapped);
                assert!(!compare("swapped", &root, count, at, item, &wrong));
            }
            for wrong in [at.wrapping_sub(1), at + 1, at ^ 2, at + count, at * 2, u64::from(u32::MAX), count]
            {
                assert!(wrong == at || !compare("another index", &root, count, wrong, item, &proof));
            }
            // Another size may hold for the same path: the size is the header's, and signed. But both say the same.
            for wrong in [0, 1, count / 2, count - 1, count + 1, count * 2, u64::from(u32::MAX)] {
                compare("another size", &root, wrong, at, item, &proof);
            }
            assert!(!compare("another root", &leaf_hash(&root), count, at, item, &proof));
            assert!(!compare("another item", &root, count, at, b"other", &proof));
            // The root itself as an item, a leaf's hash as one, and nothing.
            for wrong in [&root[..], &leaf_hash(item), b""] {
                assert!(!compare("a hash as an item", &root, count, at, wrong, &proof));
            }
        }
    }
    println!("{accepted} proofs accepted and {refused} refused by both");
    assert!(accepted > 900 && refused > 20_000, "{accepted} {refused}");
}

#[test]
fn ct_merkle_and_we_agree_on_every_wrong_consistency_proof() {
    let mut theirs = MemoryBackedTree::<Sha256, Vec<u8>>::new();
    let (mut leaves, mut roots, mut counts) = (Vec::new(), vec![root(&[])], [0; 2]);
    for size in 1..=48_usize {
        theirs.push(data(size - 1));
        leaves.push(leaf_hash(&data(size - 1)));
        let new = root(&leaves);
        for (earlier, old) in roots.iter().enumerate().skip(1) {
            let proof = nodes(theirs.prove_consistency(size - earlier).as_bytes());
            let mut compare = |first: usize, old: &Node, second: usize, new: &Node, proof: &[Node]| {
                let ours = verify_consistency(old, first as u64, new, second as u64, proof).is_ok();
                // Sizes that are equal or zero are no question for ct-merkle.
                if 0 < first && first < second {
                    let [old, new] = [(old, first), (new, second)]
                        .map(|(root, size)| RootHash::<Sha256>::new((*root).into(), size as u64));
                    let theirs = ConsistencyProof::<Sha256>::try_from_bytes(proof.concat())
                        .is_ok_and(|proof| new.verify_consistency(&old, &proof).is_ok());
                    assert_eq!(ours, theirs, "{first} to {second}, by the proof for {earlier} to {size}");
                }
                counts[usize::from(ours)] += 1;
                ours
            };
            assert!(compare(earlier, old, size, &new, &proof));
            for (first, second) in
                [(earlier - 1, size), (earlier + 1, size), (earlier, size + 1), (earlier, size - 1)]
            {
                compare(first, old, second, &new, &proof);
            }
            for wrong in [
                [&[*old], &proof[..]].concat(),
                [&proof[..], &[new]].concat(),
                proof.iter().rev().copied().collect(),
                proof[1..].to_vec(),
                proof[..proof.len() - 1].to_vec(),
                vec![],
            ] {
                assert!(!compare(earlier, old, size, &new, &wrong) || wrong == proof);
            }
            for at in 1..proof.len() {
                let mut wrong = proof.clone();
                wrong.swap(at - 1, at);
                assert!(!compare(earlier, old, size, &new, &wrong));
            }
        }
        roots.push(new);
    }
    println!("{} proofs accepted, {} refused", counts[1], counts[0]);
    assert!(counts[1] > 1_000 && counts[0] > 10_000, "{counts:?}");
}

/// What a node keeps of the history gives the same paths and proofs as the tree of all leaves, and its roots.
#[test]
fn paths_and_proofs_from_kept_subtrees_are_those_of_the_whole_tree() {
    let (mut frontier, mut kept, mut leaves) = (HistoryFrontier::default(), HashMap::new(), Vec::new());
    let mut theirs = MemoryBackedTree::<Sha256, Vec<u8>>::new();
    let mut count = 0;
    for size in 1..=130_u64 {
        let item = data(size as usize - 1);
        leaves.push(leaf_hash(&item));
        theirs.push(item);
        for subtree in frontier.append(leaf_hash(&data(size as usize - 1))) {
            kept.insert((subtree.level, subtree.index), subtree.hash);
        }
        let subtree = |level: u8, index: u64| kept.get(&(level, index)).copied().ok_or((level, index));
        assert_eq!(history_root(size, &subtree), Ok(frontier.root()));
        for index in 0..size {
            let expected = nodes(theirs.prove_inclusion(index as usize).as_bytes());
            assert_eq!(history_path(size, index, &subtree), Ok(expected.clone()));
            let near = index as usize / SUBTREE_LEAVES * SUBTREE_LEAVES;
            let near = &leaves[near..leaves.len().min(near + SUBTREE_LEAVES)];
            assert_eq!(path_by_subtrees(near, &subtree_roots(&leaves), index as usize), Some(expected));
            count += 2;
        }
        for earlier in 1..size {
            let expected = nodes(theirs.prove_consistency((size - earlier) as usize).as_bytes());
            assert_eq!(history_consistency(earlier, size, &subtree), Ok(expected));
            count += 1;
        }
    }
    println!("{count} paths and proofs compared");
    assert!(count > 20_000, "{count}");
}

/// An inner node is no leaf: its two sides, given as an item, hash to something else (RFC 6962, section 2.1).
#[test]
fn an_inner_node_is_never_taken_for_a_leaf() {
    let leaves: Vec<Node> = (0..8).map(|index| leaf_hash(&data(index))).collect();
    let top = root(&leaves);
    for pair in 0..4 {
        let sides = [leaves[2 * pair], leaves[2 * pair + 1]].concat();
        let inner = node_hash(&leaves[2 * pair], &leaves[2 * pair + 1]);
        assert_ne!(leaf_hash(&sides), inner);
        // A tree of four would have these as its leaves, and the same root, if the two were not told apart.
        let upper = path(&leaves, 2 * pair).unwrap()[1..].to_vec();
        assert!(verify_inclusion(&top, 8, pair as u64, &inner, &upper).is_err());
        assert!(verify_inclusion(&top, 4, pair as u64, &leaf_hash(&sides), &upper).is_err());
        assert!(!theirs_accept(&top, 4, pair as u64, &sides, &upper));
    }
}

/// Bitcoin's trees doubled the last leaf, so that two lists of transactions had one root (CVE-2012-2459).
#[test]
fn a_last_leaf_twice_is_another_tree() {
    for size in 1..=64_usize {
        let leaves: Vec<Node> = (0..size).map(|index| leaf_hash(&data(index))).collect();
        for repeated in 1..=size {
            let doubled = [&leaves[..], &leaves[size - repeated..]].concat();
            assert_ne!(root(&doubled), root(&leaves), "the last {repeated} of {size} twice");
        }
        let doubled = [&leaves[..], &leaves[size - 1..]].concat();
        let proof = path(&doubled, size).unwrap();
        assert!(
            verify_inclusion(&root(&leaves), size as u64 + 1, size as u64, &leaves[size - 1], &proof)
                .is_err()
        );
    }
}

/// The negative control: checks with the mistakes that such code has had accept something that `ct-merkle` refuses.
#[test]
fn a_check_with_a_mistake_would_be_found_out() {
    // Folds what there is, however long it is, and looks at the root alone.
    let careless = |root: &Node, _: u64, index: u64, leaf: &Node, proof: &[Node]| {
        let (mut hash, mut at) = (*leaf, index);
        for sibling in proof {
            hash = if at & 1 == 1 { node_hash(sibling, &hash) } else { node_hash(&hash, sibling) };
            at >>= 1;
        }
        hash == *root
    };
    let leaves: Vec<Node> = (0..8).map(|index| leaf_hash(&data(index))).collect();
    let top = root(&leaves);
    let proof = path(&leaves, 2).unwrap();
    assert!(careless(&top, 8, 2, &leaves[2], &proof), "it accepts what is right");
    // The same leaf at a place that there is not.
    assert!(careless(&top, 8, 2 + 8, &leaves[2], &proof) && !theirs_accept(&top, 8, 2 + 8, &data(2), &proof));
    // An inner node at the place of a leaf.
    assert!(careless(&top, 8, 1, &node_hash(&leaves[2], &leaves[3]), &proof[1..]));
    // The library that the trees are built with.
    let longer = [path(&leaves, 0).unwrap(), vec![top]].concat();
    assert!(
        rs_merkle_accepts(&top, 0, &leaves[0], 8, &longer),
        "rs_merkle takes a root behind the proof: if it no longer does, its check may be looked at again"
    );
}

#[derive(Clone)]
struct Rfc6962;

impl rs_merkle::Hasher for Rfc6962 {
    type Hash = Node;
    fn hash(data: &[u8]) -> Node {
        leaf_hash(data)
    }
    fn concat_and_hash(left: &Node, right: Option<&Node>) -> Node {
        right.map_or(*left, |right| node_hash(left, right))
    }
}

fn rs_merkle_accepts(root: &Node, index: usize, leaf: &Node, size: usize, proof: &[Node]) -> bool {
    rs_merkle::MerkleProof::<Rfc6962>::new(proof.to_vec()).verify(*root, &[index], &[*leaf], size)
}
