//! What the store remembers of who decided which height.

#![allow(clippy::unwrap_used)]

use super::testing::Chain;
use super::*;
use std::fs;
use tempfile::TempDir;

/// Height by height the power of the one validator: it changes with blocks 3, 4 and 9.
const POWERS: [u64; 11] = [1, 1, 5, 6, 6, 6, 6, 6, 7, 7, 7];

fn grown() -> (TempDir, Chain) {
    let (dir, chain) = (TempDir::new().unwrap(), Chain::new("changing"));
    let (store, _) = Store::open(dir.path(), chain.genesis.clone(), StoreOptions::default()).unwrap();
    for height in 1..=10 {
        let change = match height {
            1 => Some((5, 3)),
            3 => Some((6, 4)),
            5 => Some((7, 9)),
            _ => None,
        };
        let change = change.map(|(power, at)| chain.power(&store, power, BlockHeight::new(at)));
        store.append(&chain.next(&store, change.into_iter().collect())).unwrap();
    }
    drop(store);
    (dir, chain)
}

fn assert_remembers(store: &Store) {
    for (height, power) in (1..).zip(POWERS) {
        let height = BlockHeight::new(height);
        assert_eq!(store.validators(height).unwrap().total_power(), power, "at height {height}");
        if let Some((header, _)) = store.header(height).unwrap() {
            assert_eq!(store.validators(height).unwrap().hash(), header.validators_hash);
        }
    }
    let changes = |after, limit| {
        let changes = store.validator_changes(BlockHeight::new(after), limit).unwrap();
        changes.iter().map(|(block, set)| (block.get(), set.total_power())).collect::<Vec<_>>()
    };
    assert_eq!(changes(0, 100), [(2, 5), (3, 6), (8, 7)]);
    assert_eq!(changes(0, 2), [(2, 5), (3, 6)]);
    assert_eq!(changes(2, 100), [(3, 6), (8, 7)]);
    assert_eq!(changes(7, 100), [(8, 7)]);
    assert_eq!(changes(8, 100), []);
    assert_eq!(changes(u64::MAX, 100), []);
}

#[test]
fn the_validators_of_each_height_outlive_a_restart_and_the_loss_of_the_index() {
    let (dir, chain) = grown();
    let open = || Store::open(dir.path(), chain.genesis.clone(), StoreOptions::default()).unwrap();
    let (store, recovery) = open();
    assert_eq!(recovery.rebuilt, None);
    assert_remembers(&store);
    drop(store);
    check(dir.path(), &chain.genesis, |_, _| {}).unwrap();
    fs::remove_dir_all(dir.path().join("index")).unwrap();
    let (store, recovery) = open();
    assert!(recovery.rebuilt.is_some());
    assert_remembers(&store);
}

#[test]
fn a_scheduled_change_outlives_a_restart() {
    let (dir, chain) = (TempDir::new().unwrap(), Chain::new("scheduled"));
    let (store, _) = Store::open(dir.path(), chain.genesis.clone(), StoreOptions::default()).unwrap();
    let change = chain.power(&store, 5, BlockHeight::new(3));
    store.append(&chain.next(&store, vec![change])).unwrap();
    drop(store);
    let (store, _) = Store::open(dir.path(), chain.genesis.clone(), StoreOptions::default()).unwrap();
    assert_eq!(store.tip().scheduled().unwrap().effective, BlockHeight::new(3));
    store.append(&chain.next(&store, Vec::new())).unwrap();
    assert_eq!(store.tip().validators().total_power(), 5);
}

#[test]
fn a_check_notices_an_index_that_lost_a_change_of_validators() {
    let (dir, chain) = grown();
    let index = Index::open(&dir.path().join("index"), None).unwrap();
    index.forget_validators(BlockHeight::new(4)).unwrap();
    drop(index);
    let refused = check(dir.path(), &chain.genesis, |_, _| {}).unwrap_err();
    assert!(refused.to_string().contains("the validators after height 3"), "{refused}");
}
