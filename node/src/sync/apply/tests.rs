//! Which blocks may come without their bodies, and which not.

#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

use super::*;
use crate::store::testing::Chain;
use crate::store::{StoreOptions, check};
use proptest::prelude::*;
use std::sync::LazyLock;
use tempfile::TempDir;

const RETENTION: u64 = 5;
const BLOCKS: u64 = 20;

fn open(chain: &Chain, archive: bool) -> (TempDir, Store) {
    let dir = TempDir::new().unwrap();
    let options = StoreOptions { archive, segment_bytes: 1, ..StoreOptions::default() };
    let store = Store::open(dir.path(), chain.genesis.clone(), options).unwrap().0;
    (dir, store)
}

fn encoded(store: &Store) -> Vec<EncodedBlock> {
    let blocks = store.blocks(BlockHeight::FIRST, 1000, usize::MAX).unwrap();
    blocks.into_iter().map(EncodedBlock::from).collect()
}

/// What a node that has dropped old bodies gives to a peer.
static PRUNED: LazyLock<(TempDir, Store, Chain)> = LazyLock::new(|| {
    let chain = Chain::keeping("one", RETENTION);
    let (dir, store) = open(&chain, false);
    chain.grow(&store, BLOCKS);
    assert!(store.oldest_body_height() > BlockHeight::new(10));
    (dir, store, chain)
});

#[test]
fn old_blocks_are_taken_without_bodies_and_the_store_is_whole() {
    let (_, source, chain) = &*PRUNED;
    let (dir, store) = open(chain, false);
    let applied = apply(&store, &encoded(source), source.tip().height()).unwrap();
    assert!(applied.refused.is_none(), "{:?}", applied.refused);
    assert_eq!(store.tip().to_record(), source.tip().to_record());
    let (kept, there) = (store.oldest_body_height(), source.oldest_body_height());
    assert!(kept >= there.previous().unwrap() && kept.get() <= BLOCKS - RETENTION + 1, "{kept} {there}");
    assert!(store.block(BlockHeight::new(BLOCKS)).unwrap().is_some());
    drop(store);
    check(dir.path(), &chain.genesis, |_, _| {}).unwrap();
}

#[test]
fn a_block_without_bodies_is_not_taken_by_an_archive_or_a_network_that_keeps_all_or_unproven() {
    let (_, source, chain) = &*PRUNED;
    let (blocks, head) = (encoded(source), source.tip().height());
    for (archive, proven) in
        [(true, head), (false, BlockHeight::GENESIS), (false, BlockHeight::new(RETENTION))]
    {
        let (_dir, store) = open(chain, archive);
        let applied = apply(&store, &blocks, proven).unwrap();
        assert_eq!(applied.refused.unwrap().fault, Fault::NoAnswer);
        assert_eq!((applied.committed.len(), store.tip().height()), (0, BlockHeight::GENESIS));
    }
    let forever = Chain::new("forever");
    let ((_dir, whole), (_dir2, store)) = (open(&forever, false), open(&forever, false));
    forever.grow(&whole, 12);
    let mut blocks = encoded(&whole);
    let block = blocks[0].read().unwrap();
    blocks[0].block = Block::new(block.header().clone(), block.transactions().to_vec(), vec![]).to_bytes();
    let applied = apply(&store, &blocks, whole.tip().height()).unwrap();
    assert_eq!((applied.committed.len(), applied.refused.unwrap().fault), (0, Fault::NoAnswer));
}

#[test]
fn a_block_without_bodies_needs_its_certificate_before_anything_is_stored() {
    let (_, source, chain) = &*PRUNED;
    let mut blocks = encoded(source);
    blocks[0].certificate.signatures[0].signature = blocks[1].certificate.signatures[0].signature;
    let (_dir, store) = open(chain, false);
    let applied = apply(&store, &blocks, source.tip().height()).unwrap();
    assert_eq!((applied.committed.len(), applied.refused.unwrap().fault), (0, Fault::FalseBlock));
    assert_eq!(store.oldest_body_height(), BlockHeight::FIRST, "nothing was noted as dropped");
}

#[test]
fn a_block_that_leaves_out_some_of_its_bodies_is_false_however_old() {
    let (_, source, chain) = &*PRUNED;
    let (_dir, archive) = open(chain, true);
    let two = vec![chain.message("one"), chain.message("two")];
    archive.append(&chain.next(&archive, two)).unwrap();
    let block = archive.block(BlockHeight::FIRST).unwrap().unwrap();
    let certificate = archive.header(BlockHeight::FIRST).unwrap().unwrap().1;
    let bodies = vec![block.bodies()[0].clone()];
    let half = Block::new(block.header().clone(), block.transactions().to_vec(), bodies).to_bytes();
    let (_dir2, store) = open(chain, false);
    let run = [EncodedBlock { block: half, certificate }];
    let applied = apply(&store, &run, source.tip().height()).unwrap();
    assert_eq!(applied.refused.unwrap().fault, Fault::FalseBlock);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    /// Whatever is proven, and however the run is cut into pieces: what is stored without its bodies is old.
    #[test]
    fn nothing_within_retention_is_ever_stored_without_its_bodies(proven in 0..=BLOCKS, cut in 1..BLOCKS) {
        let (_, source, chain) = &*PRUNED;
        let (_dir, store) = open(chain, false);
        let blocks = encoded(source);
        let (first, rest) = blocks.split_at(usize::try_from(cut).unwrap());
        for run in [first, rest] {
            if apply(&store, run, BlockHeight::new(proven)).unwrap().refused.is_some() {
                break;
            }
        }
        let tip = store.tip().height().get();
        for height in (1..=tip).filter(|height| *height + RETENTION > tip.max(proven)) {
            prop_assert!(store.block(BlockHeight::new(height)).unwrap().is_some(), "height {}", height);
        }
        let first_whole = source.oldest_body_height().get();
        let expected = if proven >= BLOCKS - 1 { BLOCKS } else { tip };
        prop_assert_eq!(tip, expected);
        prop_assert!(tip < first_whole || tip == BLOCKS);
    }
}
