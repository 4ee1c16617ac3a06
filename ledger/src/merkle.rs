//! Merkle trees as in RFC 6962 and RFC 9162: leaf `SHA256(0x00 ‖ data)`, node `SHA256(0x01 ‖ l ‖ r)`.
//!
//! Roots and paths of a block's transactions are built with `rs_merkle` and a hasher of that shape. Its
//! `verify` accepts some proofs that must be refused, so proofs are checked by the strict verifier here:
//! exact length, index below size, size from the signed header, one leaf. The history tree over all block
//! hashes grows by one leaf a block; [`HistoryFrontier`] keeps its right edge, and proofs are made from
//! stored subtree hashes with [`history_path`] and [`history_consistency`].

use crate::codec::{Decode, Encode, de, error, impl_borrow_decode};
use crate::hash::sha256;
use rs_merkle::MerkleTree;
use thiserror::Error;

/// A node of a tree: 32 bytes.
pub type Node = [u8; 32];

/// Root of the empty tree: SHA-256 of nothing (RFC 6962, 2.1).
pub fn empty_root() -> Node {
    sha256(&[])
}

/// Hash of a leaf's data.
pub fn leaf_hash(data: &[u8]) -> Node {
    sha256(&[&[0], data])
}

/// Hash of an inner node.
pub fn node_hash(left: &Node, right: &Node) -> Node {
    sha256(&[&[1], left, right])
}

/// RFC 6962's shape for `rs_merkle`, which promotes a lone right node unchanged when `right` is `None`.
#[derive(Clone)]
struct Rfc6962;

impl rs_merkle::Hasher for Rfc6962 {
    type Hash = Node;
    fn hash(data: &[u8]) -> Node {
        leaf_hash(data)
    }
    fn concat_and_hash(left: &Node, right: Option<&Node>) -> Node {
        match right {
            Some(right) => node_hash(left, right),
            None => *left,
        }
    }
}

/// Root over the leaves, given their hashes.
pub fn root(leaves: &[Node]) -> Node {
    MerkleTree::<Rfc6962>::from_leaves(leaves).root().unwrap_or_else(empty_root)
}

/// The inclusion path of the leaf at `index`, from the leaf upwards; `None` if there is no such leaf.
pub fn path(leaves: &[Node], index: usize) -> Option<Vec<Node>> {
    if index >= leaves.len() {
        return None;
    }
    Some(MerkleTree::<Rfc6962>::from_leaves(leaves).proof(&[index]).proof_hashes().to_vec())
}

/// Leaves under one of the [`subtree_roots`].
pub const SUBTREE_LEAVES: usize = 16;

/// The roots over each [`SUBTREE_LEAVES`] leaves in turn, the last over what is left. They are nodes of the tree over
/// all leaves, because RFC 6962 splits a tree at powers of two: with them a path needs the leaves of one subtree only.
pub fn subtree_roots(leaves: &[Node]) -> Vec<Node> {
    leaves.chunks(SUBTREE_LEAVES).map(root).collect()
}

/// As [`path`], from the leaves of the subtree that `index` lies in and the roots of all.
pub fn path_by_subtrees(near: &[Node], roots: &[Node], index: usize) -> Option<Vec<Node>> {
    let mut nodes = path(near, index % SUBTREE_LEAVES)?;
    nodes.extend(path(roots, index / SUBTREE_LEAVES)?);
    Some(nodes)
}

/// Why a proof does not show what it is said to show.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum ProofError {
    /// The leaf can't be in a tree of that size.
    #[error("leaf {index} is not in a tree of {size} leaves")]
    OutOfRange {
        /// Claimed position.
        index: u64,
        /// Leaves in the tree.
        size: u64,
    },
    /// The sizes can't belong together.
    #[error("a tree of {second} leaves can't extend one of {first}")]
    Sizes {
        /// Leaves of the earlier tree.
        first: u64,
        /// Leaves of the later tree.
        second: u64,
    },
    /// Too many or too few nodes.
    #[error("the proof has {got} nodes, a tree of this size needs exactly {expected}")]
    Length {
        /// Nodes given.
        got: usize,
        /// Nodes needed.
        expected: usize,
    },
    /// The nodes lead to another root.
    #[error("the proof leads to another root")]
    Root,
}

/// Checks that `leaf` stands at `index` in the tree of `size` leaves with that root (RFC 9162, 2.1.3.2).
pub fn verify_inclusion(
    root: &Node,
    size: u64,
    index: u64,
    leaf: &Node,
    path: &[Node],
) -> Result<(), ProofError> {
    if index >= size {
        return Err(ProofError::OutOfRange { index, size });
    }
    let expected = path_length(index, size);
    if path.len() != expected {
        return Err(ProofError::Length { got: path.len(), expected });
    }
    let (mut at, mut last) = (index, size.saturating_sub(1));
    let mut hash = *leaf;
    for sibling in path {
        if at & 1 == 1 || at == last {
            hash = node_hash(sibling, &hash);
            while at & 1 == 0 && at != 0 {
                at >>= 1;
                last >>= 1;
            }
        } else {
            hash = node_hash(&hash, sibling);
        }
        at >>= 1;
        last >>= 1;
    }
    if last == 0 && hash == *root { Ok(()) } else { Err(ProofError::Root) }
}

/// How many nodes an inclusion path has.
fn path_length(index: u64, size: u64) -> usize {
    let (mut at, mut last) = (index, size.saturating_sub(1));
    let mut length = 0_usize;
    while last > 0 {
        if at & 1 == 1 || at < last {
            length = length.saturating_add(1);
        }
        at >>= 1;
        last >>= 1;
    }
    length
}

/// Checks that the tree of `second` leaves begins with the tree of `first` leaves (RFC 9162, 2.1.4.2).
pub fn verify_consistency(
    first_root: &Node,
    first: u64,
    second_root: &Node,
    second: u64,
    proof: &[Node],
) -> Result<(), ProofError> {
    if first > second {
        return Err(ProofError::Sizes { first, second });
    }
    if first == second || first == 0 {
        if !proof.is_empty() {
            return Err(ProofError::Length { got: proof.len(), expected: 0 });
        }
        let holds = if first == 0 { *first_root == empty_root() } else { first_root == second_root };
        return if holds { Ok(()) } else { Err(ProofError::Root) };
    }
    let too_short = |expected| ProofError::Length { got: proof.len(), expected };
    let mut nodes = proof.iter();
    let (mut at, mut last) = (first.saturating_sub(1), second.saturating_sub(1));
    while at & 1 == 1 {
        at >>= 1;
        last >>= 1;
    }
    // A first tree that is a full subtree of the second is not repeated in the proof.
    let start = if first.is_power_of_two() { first_root } else { nodes.next().ok_or(too_short(1))? };
    let (mut first_hash, mut second_hash) = (*start, *start);
    for node in nodes {
        if last == 0 {
            return Err(too_short(proof.len().saturating_sub(1)));
        }
        if at & 1 == 1 || at == last {
            first_hash = node_hash(node, &first_hash);
            second_hash = node_hash(node, &second_hash);
            while at & 1 == 0 && at != 0 {
                at >>= 1;
                last >>= 1;
            }
        } else {
            second_hash = node_hash(&second_hash, node);
        }
        at >>= 1;
        last >>= 1;
    }
    if last != 0 {
        return Err(too_short(proof.len().saturating_add(1)));
    }
    if first_hash == *first_root && second_hash == *second_root { Ok(()) } else { Err(ProofError::Root) }
}

/// The right edge of a growing tree: the roots of its full subtrees, largest first. Enough to append
/// leaves and to give the root, in space that grows with the logarithm of the size.
#[derive(Debug, Clone, PartialEq, Eq, Default, Encode)]
pub struct HistoryFrontier {
    size: u64,
    peaks: Vec<Node>,
}

impl<C> Decode<C> for HistoryFrontier {
    fn decode<D: de::Decoder<Context = C>>(decoder: &mut D) -> Result<Self, error::DecodeError> {
        let (size, peaks) = (u64::decode(decoder)?, Vec::<Node>::decode(decoder)?);
        // A full subtree for each 1 in the size. With more or fewer, every later root would be wrong, and
        // a damaged record would show only when the node disagrees with all others.
        if u32::try_from(peaks.len()) != Ok(size.count_ones()) {
            return Err(error::DecodeError::Other("the history's subtrees do not fit its size"));
        }
        Ok(Self { size, peaks })
    }
}

impl_borrow_decode!(HistoryFrontier);

/// A full subtree that an append completed: its height above the leaves, its number from the left, its root.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Subtree {
    /// Height above the leaves: it covers `2^level` of them.
    pub level: u8,
    /// Its number among the subtrees of its level, from the left.
    pub index: u64,
    /// Its root.
    pub hash: Node,
}

impl HistoryFrontier {
    /// Number of leaves.
    pub const fn size(&self) -> u64 {
        self.size
    }
    /// Adds a leaf by its hash. Returns the full subtrees this completed, the leaf itself first; whoever
    /// makes proofs later keeps them.
    pub fn append(&mut self, leaf: Node) -> Vec<Subtree> {
        let mut hash = leaf;
        let mut completed = vec![Subtree { level: 0, index: self.size, hash }];
        let mut index = self.size;
        let mut level = 0_u8;
        while index & 1 == 1 {
            let Some(left) = self.peaks.pop() else { break };
            hash = node_hash(&left, &hash);
            index >>= 1;
            level = level.saturating_add(1);
            completed.push(Subtree { level, index, hash });
        }
        self.peaks.push(hash);
        self.size = self.size.saturating_add(1);
        completed
    }
    /// Root over all leaves so far.
    pub fn root(&self) -> Node {
        let mut peaks = self.peaks.iter().rev();
        match peaks.next() {
            None => empty_root(),
            Some(last) => peaks.fold(*last, |right, left| node_hash(left, &right)),
        }
    }
}

/// Root of the tree over the first `size` leaves, from stored full subtrees.
///
/// `subtree(level, index)` gives the root of the full subtree that [`HistoryFrontier::append`] reported.
pub fn history_root<E>(size: u64, subtree: &impl Fn(u8, u64) -> Result<Node, E>) -> Result<Node, E> {
    if size == 0 { Ok(empty_root()) } else { range_root(0, size, subtree) }
}

/// Inclusion path of leaf `index` in the tree over the first `size` leaves (RFC 6962, 2.1.1), made with a
/// number of look-ups that grows with the square of the size's logarithm at most. Empty if out of range.
pub fn history_path<E>(
    size: u64,
    index: u64,
    subtree: &impl Fn(u8, u64) -> Result<Node, E>,
) -> Result<Vec<Node>, E> {
    let mut nodes = Vec::new();
    let (mut start, mut length) = (0_u64, size);
    while length > 1 && index < size {
        let left = largest_power_below(length);
        if index < start.saturating_add(left) {
            nodes.push(range_root(start.saturating_add(left), length.saturating_sub(left), subtree)?);
            length = left;
        } else {
            nodes.push(range_root(start, left, subtree)?);
            start = start.saturating_add(left);
            length = length.saturating_sub(left);
        }
    }
    nodes.reverse();
    Ok(nodes)
}

/// Consistency proof between the trees over the first `first` and the first `second` leaves (RFC 6962,
/// 2.1.2). Empty if there is nothing to prove or `first > second`.
pub fn history_consistency<E>(
    first: u64,
    second: u64,
    subtree: &impl Fn(u8, u64) -> Result<Node, E>,
) -> Result<Vec<Node>, E> {
    let mut nodes = Vec::new();
    if first == 0 || first >= second {
        return Ok(nodes);
    }
    let (mut start, mut length, mut rest) = (0_u64, second, first);
    // `whole`: the part under consideration is the whole first tree, whose root the verifier has.
    let mut whole = true;
    while rest != length {
        let left = largest_power_below(length);
        if rest <= left {
            nodes.push(range_root(start.saturating_add(left), length.saturating_sub(left), subtree)?);
            length = left;
        } else {
            nodes.push(range_root(start, left, subtree)?);
            start = start.saturating_add(left);
            length = length.saturating_sub(left);
            rest = rest.saturating_sub(left);
            whole = false;
        }
    }
    if !whole {
        nodes.push(range_root(start, length, subtree)?);
    }
    nodes.reverse();
    Ok(nodes)
}

/// Root over `length ≥ 1` leaves from `start`, which is a multiple of the largest power of two in `length`.
fn range_root<E>(start: u64, length: u64, subtree: &impl Fn(u8, u64) -> Result<Node, E>) -> Result<Node, E> {
    if length.is_power_of_two() {
        let level = length.trailing_zeros();
        return subtree(level as u8, start >> level);
    }
    let left = largest_power_below(length);
    let right = range_root(start.saturating_add(left), length.saturating_sub(left), subtree)?;
    Ok(node_hash(&range_root(start, left, subtree)?, &right))
}

/// The largest power of two smaller than `n`, for `n ≥ 2`.
fn largest_power_below(n: u64) -> u64 {
    let highest = 1_u64 << (63_u32.saturating_sub(n.max(2).leading_zeros()));
    if highest == n { highest >> 1 } else { highest }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::indexing_slicing)]
mod tests {
    use super::*;
    use std::collections::HashMap;

    fn leaves(n: u64) -> Vec<Node> {
        (0..n).map(|i| leaf_hash(&i.to_le_bytes())).collect()
    }

    #[test]
    fn frontier_and_tree_agree_and_their_proofs_hold() {
        let mut frontier = HistoryFrontier::default();
        let mut stored = HashMap::new();
        let all = leaves(70);
        let mut roots = vec![frontier.root()];
        for leaf in &all {
            for s in frontier.append(*leaf) {
                stored.insert((s.level, s.index), s.hash);
            }
            roots.push(frontier.root());
        }
        let subtree = |level: u8, index: u64| stored.get(&(level, index)).copied().ok_or(());
        for n in 0..=70_usize {
            assert_eq!(root(&all[..n]), roots[n]);
            assert_eq!(history_root(n as u64, &subtree), Ok(roots[n]));
            for i in 0..n {
                let path = history_path(n as u64, i as u64, &subtree).unwrap();
                assert_eq!(super::path(&all[..n], i).unwrap(), path);
                verify_inclusion(&roots[n], n as u64, i as u64, &all[i], &path).unwrap();
            }
            for m in 0..=n {
                let proof = history_consistency(m as u64, n as u64, &subtree).unwrap();
                verify_consistency(&roots[m], m as u64, &roots[n], n as u64, &proof).unwrap();
            }
        }
    }

    #[test]
    fn a_path_from_one_subtree_and_the_roots_of_all_is_the_path_from_all_leaves() {
        let all = leaves(150);
        for n in 1..=150 {
            let roots = subtree_roots(&all[..n]);
            assert_eq!(roots.len(), n.div_ceil(SUBTREE_LEAVES));
            for (index, leaf) in all[..n].iter().enumerate() {
                let near = all[..n].chunks(SUBTREE_LEAVES).nth(index / SUBTREE_LEAVES).unwrap();
                let path = path_by_subtrees(near, &roots, index).unwrap();
                assert_eq!(Some(&path), super::path(&all[..n], index).as_ref());
                verify_inclusion(&root(&all[..n]), n as u64, index as u64, leaf, &path).unwrap();
            }
            assert_eq!(path_by_subtrees(&all[n..n], &roots, n), None);
            assert_eq!(path_by_subtrees(&all[..1], &roots, n + SUBTREE_LEAVES), None);
        }
    }

    #[test]
    fn a_frontier_whose_subtrees_do_not_fit_its_size_is_not_read() {
        use crate::codec::{decode, encode};
        for size in 0..20_u64 {
            for peaks in 0..6_u32 {
                let bytes = encode(&(size, vec![[7_u8; 32]; peaks as usize]));
                let read = decode::<HistoryFrontier>("frontier", &bytes, 1024);
                assert_eq!(read.is_ok(), peaks == size.count_ones(), "{peaks} for {size}");
            }
        }
    }

    #[test]
    fn a_second_root_above_the_first_does_not_prove_the_leaf() {
        let all = leaves(5);
        let (root, mut path) = (root(&all), path(&all, 0).unwrap());
        path.push(root);
        assert!(matches!(
            verify_inclusion(&root, 5, 0, &all[0], &path),
            Err(ProofError::Length { got: 4, expected: 3 })
        ));
    }
}
