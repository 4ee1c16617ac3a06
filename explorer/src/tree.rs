//! The Merkle tree over a block's transactions as a picture: the way of one leaf to the root, and beside it,
//! folded into one node each, the subtrees that the way passes. The shape is RFC 6962's: the left part of a
//! tree of n leaves has the largest power of two below n.

use sealpost_ledger::merkle::{Node, node_hash};

/// A level of the picture, from the root downwards: where the way goes through, and what it passes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Level {
    /// The node on the way.
    pub(crate) on_path: Node,
    /// The leaves below it: the first, and how many.
    pub(crate) leaves: (u64, u64),
    /// Which side of its parent it stands on; nothing for the root.
    pub(crate) side: Option<Side>,
    /// The folded subtree beside it, with its leaves.
    pub(crate) beside: Option<(Node, (u64, u64))>,
}

/// A side of a parent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Side {
    Left,
    Right,
}

/// The levels of the way from the root to the leaf at `index` of `size`, whose path is given from the leaf
/// upwards. `None` if there is no such leaf, or the path has another length.
pub(crate) fn levels(size: u64, index: u64, leaf: Node, path: &[Node]) -> Option<Vec<Level>> {
    if index >= size {
        return None;
    }
    // Downwards: which part the way takes at each parting, and the leaves of both.
    let (mut first, mut count, mut partings) = (0, size, Vec::new());
    while count > 1 {
        let left = split(count);
        let (side, beside) = if index < first + left {
            (Side::Left, (first + left, count - left))
        } else {
            (Side::Right, (first, left))
        };
        (first, count) = if side == Side::Left { (first, left) } else { (first + left, count - left) };
        partings.push((side, (first, count), beside));
    }
    if partings.len() != path.len() {
        return None;
    }
    // Upwards: what each node hashes to.
    let (mut hash, mut levels) = (leaf, Vec::new());
    for ((side, leaves, folded), sibling) in partings.into_iter().rev().zip(path) {
        levels.push(Level { on_path: hash, leaves, side: Some(side), beside: Some((*sibling, folded)) });
        hash = match side {
            Side::Left => node_hash(&hash, sibling),
            Side::Right => node_hash(sibling, &hash),
        };
    }
    levels.push(Level { on_path: hash, leaves: (0, size), side: None, beside: None });
    levels.reverse();
    Some(levels)
}

/// Leaves of the left part: the largest power of two below a count that is greater than one.
const fn split(count: u64) -> u64 {
    1 << (u64::BITS - 1 - (count - 1).leading_zeros())
}

/// Width of the picture, and how far apart its levels are, in its own units.
pub(crate) const WIDTH: f64 = 640.0;
const LEVEL: f64 = 74.0;
const NARROWEST: f64 = 76.0;

/// Where the nodes of each level stand: `(x on the way, x of the folded subtree, y)`.
pub(crate) fn places(levels: &[Level]) -> Vec<(f64, f64, f64)> {
    let (mut centre, mut reach) = (WIDTH / 2.0, WIDTH / 4.0);
    let mut places = Vec::with_capacity(levels.len());
    for (level, y) in levels.iter().zip((0..).map(|depth| 34.0 + LEVEL * f64::from(depth))) {
        let (on_path, beside) = match level.side {
            None => (centre, centre),
            Some(side) => {
                // Both children stay on the canvas, whatever way was taken before.
                centre = centre.clamp(reach + NARROWEST, WIDTH - reach - NARROWEST);
                match side {
                    Side::Left => (centre - reach, centre + reach),
                    Side::Right => (centre + reach, centre - reach),
                }
            }
        };
        places.push((on_path, beside, y));
        if level.side.is_some() {
            centre = on_path;
            reach = (reach * 0.8).max(NARROWEST);
        }
    }
    places
}

/// Height of a picture of so many levels.
pub(crate) fn height(levels: usize) -> f64 {
    34.0 + LEVEL * levels.saturating_sub(1) as f64 + 44.0
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use sealpost_ledger::merkle::{leaf_hash, path, root};

    #[test]
    fn every_way_of_every_small_tree_leads_to_its_root() {
        for size in 1_u64..40 {
            let leaves: Vec<Node> = (0..size).map(|n| leaf_hash(&n.to_le_bytes())).collect();
            for index in 0..size {
                let at = usize::try_from(index).unwrap();
                let way = path(&leaves, at).unwrap();
                let levels = levels(size, index, *leaves.get(at).unwrap(), &way).unwrap();
                assert_eq!(levels.first().unwrap().on_path, root(&leaves), "{index} of {size}");
                let lowest = levels.last().unwrap();
                assert_eq!((lowest.on_path, lowest.leaves), (*leaves.get(at).unwrap(), (index, 1)));
                for level in &levels {
                    // A folded subtree hashes to what stands there.
                    if let Some((hash, (first, count))) = level.beside {
                        let range = usize::try_from(first).unwrap()..usize::try_from(first + count).unwrap();
                        assert_eq!(hash, root(leaves.get(range).unwrap()));
                    }
                }
            }
        }
    }

    #[test]
    fn leaves_that_are_not_there_and_paths_of_other_trees_have_no_picture() {
        let leaf = leaf_hash(b"x");
        assert_eq!(levels(0, 0, leaf, &[]), None);
        assert_eq!(levels(4, 4, leaf, &[leaf, leaf]), None);
        assert_eq!(levels(4, 1, leaf, &[leaf]), None);
        assert_eq!(levels(1, 0, leaf, &[]).unwrap().len(), 1);
    }

    #[test]
    fn all_nodes_stay_on_the_canvas_and_never_on_one_another() {
        for index in [0, 1, 5000, 9998, 9999] {
            let depth = {
                let (mut size, mut depth) = (10_000_u64, 0);
                let mut at = index;
                while size > 1 {
                    let left = split(size);
                    (at, size) = if at < left { (at, left) } else { (at - left, size - left) };
                    depth += 1;
                }
                depth
            };
            let levels = levels(10_000, index, [0; 32], &vec![[1; 32]; depth]).unwrap();
            for (on_path, beside, y) in places(&levels).into_iter().skip(1) {
                assert!((60.0..=WIDTH - 60.0).contains(&on_path) && (60.0..=WIDTH - 60.0).contains(&beside));
                assert!((on_path - beside).abs() >= 2.0 * NARROWEST && y < height(levels.len()));
            }
        }
    }
}
