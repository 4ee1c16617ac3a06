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

#[test]
fn a_run_may_begin_below_the_tip_and_may_change_its_own_validators() {
    let chain = Chain::new("changing");
    let ((_dir, source), (_dir2, store)) = (open(&chain, false), open(&chain, false));
    chain.grow(&source, 2);
    let change = chain.power(&source, 5, BlockHeight::new(4));
    source.append(&chain.next(&source, vec![change])).unwrap();
    chain.grow(&source, 2 * u64::try_from(TOGETHER).unwrap());
    let blocks = encoded(&source);
    for run in [&blocks[..1], &blocks[..20], &blocks[..]] {
        let before = store.tip().height().get();
        let applied = apply(&store, run, BlockHeight::GENESIS).unwrap();
        assert!(applied.refused.is_none(), "{:?}", applied.refused);
        let heights: Vec<_> = applied.committed.iter().map(|block| block.block().height().get()).collect();
        assert_eq!(heights, (before + 1..=run.len() as u64).collect::<Vec<_>>());
    }
    assert_eq!(store.tip().to_record(), source.tip().to_record());
    let ((_dir, at_once), last) = (open(&chain, false), source.tip().height());
    let applied = apply(&at_once, &blocks, BlockHeight::GENESIS).unwrap();
    assert_eq!(
        (applied.committed.len() as u64, applied.refused.map(|refused| refused.reason)),
        (last.get(), None)
    );
}

#[test]
fn what_does_not_hold_is_named_by_its_position_and_what_precedes_it_is_kept() {
    let chain = Chain::new("one");
    let (_dir, source) = open(&chain, false);
    chain.grow(&source, BLOCKS);
    for bad in [0, 1, 17, 19] {
        let (_dir, store) = open(&chain, false);
        let mut blocks = encoded(&source);
        blocks[bad].certificate.signatures[0].signature =
            blocks[(bad + 1) % 20].certificate.signatures[0].signature;
        let applied = apply(&store, &blocks, BlockHeight::GENESIS).unwrap();
        let refused = applied.refused.unwrap();
        assert_eq!((applied.committed.len(), refused.position, refused.fault), (bad, bad, Fault::FalseBlock));
        assert_eq!(store.tip().height().get(), bad as u64);
        // A block in another's place does not follow.
        let mut blocks = encoded(&source);
        blocks.remove(bad);
        if bad < blocks.len() {
            let (_dir, store) = open(&chain, false);
            let refused = apply(&store, &blocks, BlockHeight::GENESIS).unwrap().refused.unwrap();
            assert_eq!((refused.position, refused.fault), (bad, Fault::FalseBlock));
        }
    }
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
