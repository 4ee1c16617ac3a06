//! Dropped bodies, tried on real directories: what is within retention stays, all else answers as before,
//! and neither a restart nor a lost index nor a crash in the middle changes that.

#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

use super::testing::{Chain, SENDER, address, proven};
use super::tests::journal_file;
use super::*;
use proptest::prelude::*;
use std::collections::BTreeMap;
use std::fs;
use tempfile::TempDir;

fn open(dir: &Path, chain: &Chain, segment_bytes: u64) -> Store {
    Store::open(
        dir,
        chain.genesis.clone(),
        StoreOptions { archive: false, segment_bytes, ..StoreOptions::default() },
    )
    .unwrap()
    .0
}

/// Everything but bodies that a reader can ask, as text; and of each message whether its body is kept.
fn answers(store: &Store) -> (String, BTreeMap<u64, bool>) {
    let mut text = format!("{:?}\n", store.tip().to_record());
    let mut kept = BTreeMap::new();
    for height in (1..=store.tip().height().get()).map(BlockHeight::new) {
        text += &format!("{:?} {:?}\n", store.header(height).unwrap(), store.transactions(height).unwrap());
        for id in store.transaction_ids(height).unwrap().unwrap() {
            let located = store.transaction(&id).unwrap().unwrap();
            let Some(message) = located.transaction.message().cloned() else { continue };
            let body = store.body(&id).unwrap();
            assert_ne!(body, FoundBody::Unknown);
            let body = body.kept();
            assert!(body.as_ref().is_none_or(|body| body.hash() == message.body_hash));
            assert_eq!(store.block(height).unwrap().is_some(), body.is_some());
            kept.insert(height.get(), body.is_some());
        }
        let key = StateKey::Directory(address(SENDER));
        let (record, proof) = proven(store.prove(&key, height).unwrap());
        let root = store.header(height).unwrap().unwrap().0.state_root;
        proof.verify_present(&root, &key, &record.unwrap()).unwrap();
    }
    (text + &format!("{:?}", store.sent(&address(SENDER), None, 100, Order::OldestFirst).unwrap()), kept)
}

fn body_files(dir: &Path) -> Vec<String> {
    let entries = fs::read_dir(dir.join("journal")).unwrap();
    let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let mut names: Vec<_> = names.filter(|name| name.starts_with("bodies-0")).collect();
    names.sort();
    names
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(16))]

    #[test]
    fn what_is_within_retention_stays_and_all_else_answers_as_before(
        segment_bytes in 1_u64..300, retention in 1_u64..12,
        steps in prop::collection::vec((1_u64..5, 0_u8..4), 2..7),
    ) {
        let chain = Chain::keeping("one", retention);
        let (dir, model_dir) = (TempDir::new().unwrap(), TempDir::new().unwrap());
        let archive = StoreOptions { archive: true, segment_bytes: 100, ..StoreOptions::default() };
        let (model, _) = Store::open(model_dir.path(), chain.genesis.clone(), archive).unwrap();
        let mut store = open(dir.path(), &chain, segment_bytes);
        for (blocks, then) in steps {
            let run = chain.run(&model, blocks);
            model.append_many(&run).unwrap();
            match then {
                0 => run.iter().for_each(|block| store.append(block).unwrap()),
                _ => store.append_many(&run).unwrap(),
            }
            if then >= 2 {
                drop(store);
                if then == 3 {
                    fs::remove_dir_all(dir.path().join("index")).unwrap();
                }
                check(dir.path(), &chain.genesis, |_, _| {}).unwrap();
                store = open(dir.path(), &chain, segment_bytes);
            }
            let ((expected, all), (found, kept)) = (answers(&model), answers(&store));
            prop_assert_eq!(found, expected);
            prop_assert!(all.values().all(|kept| *kept));
            let (tip, oldest) = (store.tip().height().get(), store.oldest_body_height().get());
            for (height, kept) in kept {
                prop_assert_eq!(kept, height >= oldest, "height {}", height);
                prop_assert!(kept || height + retention <= tip, "height {} of {}", height, tip);
            }
            let first = store.blocks(BlockHeight::new(oldest), 1, usize::MAX).unwrap();
            prop_assert_eq!(first.is_empty(), oldest > tip);
        }
    }
}

/// Fourteen blocks, each body in a file of its own, the last five blocks' bodies kept.
fn pruned() -> (TempDir, Chain) {
    let (dir, chain) = (TempDir::new().unwrap(), Chain::keeping("one", 5));
    chain.grow(&open(dir.path(), &chain, 1), 14);
    (dir, chain)
}

#[test]
fn bodies_that_were_dropped_just_now_are_no_damage() {
    let (dir, chain) = (TempDir::new().unwrap(), Chain::keeping("one", 5));
    let store = open(dir.path(), &chain, 1);
    chain.grow(&store, 14);
    // The last block without its body has a message.
    assert_eq!(store.oldest_body_height().get(), 9);
    assert_eq!(store.transactions(BlockHeight::new(8)).unwrap().unwrap().len(), 2);
    for height in (1..=14).map(BlockHeight::new) {
        assert!(store.check_block(height).unwrap().is_some());
    }
}

#[test]
fn old_bodies_go_file_by_file_and_are_told_from_unknown_ones() {
    let (dir, chain) = pruned();
    let store = open(dir.path(), &chain, 1);
    // Blocks 10, 11, 13 and 14 have messages.
    assert_eq!(store.oldest_body_height().get(), 9);
    assert_eq!(body_files(dir.path()).len(), 4);
    let first = store.transaction_ids(BlockHeight::FIRST).unwrap().unwrap();
    assert_eq!(store.body(&first[0]).unwrap(), FoundBody::Pruned);
    assert_eq!(store.body(&first[1]).unwrap(), FoundBody::Unknown, "a key bundle has none");
    let nobody = TransactionId::from_bytes([7; 32]);
    assert_eq!(store.body(&nobody).unwrap(), FoundBody::Unknown);
    assert!(!store.prune().unwrap());
}

#[test]
fn an_archive_drops_nothing_until_it_is_one_no_more() {
    let (dir, chain) = (TempDir::new().unwrap(), Chain::keeping("one", 5));
    let archive = StoreOptions { archive: true, segment_bytes: 1, ..StoreOptions::default() };
    let (store, _) = Store::open(dir.path(), chain.genesis.clone(), archive).unwrap();
    chain.grow(&store, 14);
    assert!(!store.prune().unwrap());
    assert_eq!((store.oldest_body_height(), body_files(dir.path()).len()), (BlockHeight::FIRST, 10));
    drop(store);
    // Whoever starts it without saying so loses nothing.
    let ordinary =
        || Store::open(dir.path(), chain.genesis.clone(), StoreOptions { archive: false, ..archive });
    let refused = ordinary().map(drop).unwrap_err();
    assert!(matches!(refused, StoreError::Archive { .. }), "{refused}");
    assert_eq!(body_files(dir.path()).len(), 10);
    Store::open(dir.path(), chain.genesis.clone(), archive).unwrap();
    assert!(give_up_archive(dir.path(), &chain.genesis).unwrap());
    assert!(!give_up_archive(dir.path(), &chain.genesis).unwrap());
    let (store, _) = ordinary().unwrap();
    assert!(store.prune().unwrap());
    assert_eq!((store.oldest_body_height().get(), body_files(dir.path()).len()), (9, 4));
}

/// Nobody drops bodies there, so an archive is a matter of states alone.
#[test]
fn without_retention_a_node_is_an_archive_as_it_likes() {
    let (dir, chain) = (TempDir::new().unwrap(), Chain::new("one"));
    for archive in [true, false, true] {
        let options = StoreOptions { archive, ..StoreOptions::default() };
        Store::open(dir.path(), chain.genesis.clone(), options).unwrap();
    }
}

#[test]
fn a_dropping_that_was_interrupted_is_finished_on_opening() {
    let (dir, chain) = (TempDir::new().unwrap(), Chain::keeping("one", 5));
    let archive = StoreOptions { archive: true, segment_bytes: 1, ..StoreOptions::default() };
    chain.grow(&Store::open(dir.path(), chain.genesis.clone(), archive).unwrap().0, 14);
    let names = body_files(dir.path());
    let files: Vec<_> =
        names.iter().map(|name| fs::read(dir.path().join("journal").join(name)).unwrap()).collect();
    give_up_archive(dir.path(), &chain.genesis).unwrap();
    let store = open(dir.path(), &chain, 1);
    store.prune().unwrap();
    let before = answers(&store);
    drop(store);
    // The note is there, some of the files are too: any of them, whatever order the disk kept them in.
    for leftovers in [&[0, 1, 2, 3, 4, 5][..], &[3, 4], &[0, 5]] {
        for at in leftovers {
            fs::write(dir.path().join("journal").join(&names[*at]), &files[*at]).unwrap();
        }
        check(dir.path(), &chain.genesis, |_, _| {}).unwrap();
        let store = open(dir.path(), &chain, 1);
        assert_eq!(answers(&store), before);
        assert_eq!(body_files(dir.path()), names[6..]);
    }
}

#[test]
fn bodies_that_are_missing_though_nothing_dropped_them_are_damage() {
    let (dir, chain) = pruned();
    let names = body_files(dir.path());
    let damaged = |what: &str| {
        let options = StoreOptions { archive: false, segment_bytes: 1, ..StoreOptions::default() };
        let opened = Store::open(dir.path(), chain.genesis.clone(), options);
        let error = opened.and_then(|(store, _)| store.block(BlockHeight::new(10))).err().unwrap();
        assert!(matches!(error, StoreError::Damaged { .. }), "{what}: {error}");
        check(dir.path(), &chain.genesis, |_, _| {}).unwrap_err();
    };
    for name in &names[..3] {
        let path = dir.path().join("journal").join(name);
        let content = fs::read(&path).unwrap();
        fs::remove_file(&path).unwrap();
        damaged(name);
        fs::write(&path, content).unwrap();
    }
    let note = dir.path().join("journal").join("bodies-dropped");
    fs::remove_file(note).unwrap();
    damaged("no note");
}

#[test]
fn a_missing_file_of_headers_is_damage() {
    let (dir, chain) = pruned();
    fs::remove_file(journal_file(dir.path(), "headers")).unwrap();
    let error = Store::open(dir.path(), chain.genesis.clone(), StoreOptions::default()).err().unwrap();
    assert!(matches!(error, StoreError::Damaged { offset: 0, .. }), "{error}");
}

#[test]
fn a_directory_of_an_older_format_is_read_and_becomes_one_of_the_newest() {
    let (dir, chain) = (TempDir::new().unwrap(), Chain::keeping("one", 0));
    chain.grow(&open(dir.path(), &chain, 1 << 20), 4);
    let format = dir.path().join("FORMAT");
    let text = fs::read_to_string(&format).unwrap();
    let of = |number: u32| format!("{number} {}\n", chain.genesis.chain_id());
    for older in [1, 2] {
        fs::write(&format, of(older)).unwrap();
        assert_eq!(open(dir.path(), &chain, 1 << 20).tip().height().get(), 4);
        assert_eq!(fs::read_to_string(&format).unwrap(), text);
    }
    fs::write(&format, of(4)).unwrap();
    let error = Store::open(dir.path(), chain.genesis.clone(), StoreOptions::default()).err().unwrap();
    assert!(matches!(error, StoreError::Format { expected: 3, .. }));
}

/// The blocks of a run as a node gives them that has dropped their bodies.
fn without_bodies(chain: &Chain, run: &[Arc<CommittedBlock>], store: &Store) -> Vec<Arc<CommittedBlock>> {
    let (mut tip, mut view) = (store.tip(), Ahead::new(store.clone()));
    let replay = |committed: &Arc<CommittedBlock>| {
        let block = committed.block();
        let bare = Block::new(block.header().clone(), block.transactions().to_vec(), Vec::new());
        let certificate = committed.certificate().clone();
        let again = sealpost_ledger::chain::replay_block(&tip, &view, bare, certificate).unwrap();
        view.add(again.verified());
        tip = again.tip().clone();
        assert_eq!(tip.genesis_file().chain_id(), chain.genesis.chain_id());
        Arc::new(again)
    };
    run.iter().map(replay).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(16))]

    #[test]
    fn blocks_that_come_without_bodies_answer_as_before_and_outlive_restarts(
        segment_bytes in 1_u64..300, retention in 1_u64..12,
        steps in prop::collection::vec((1_u64..6, any::<bool>(), 0_u8..4), 2..7),
    ) {
        let chain = Chain::keeping("one", retention);
        let (dir, model_dir) = (TempDir::new().unwrap(), TempDir::new().unwrap());
        let archive = StoreOptions { archive: true, segment_bytes: 100, ..StoreOptions::default() };
        let (model, _) = Store::open(model_dir.path(), chain.genesis.clone(), archive).unwrap();
        let mut store = open(dir.path(), &chain, segment_bytes);
        for (blocks, bare, then) in steps {
            let run = chain.run(&model, blocks);
            model.append_many(&run).unwrap();
            let last = model.tip().height();
            if bare {
                let bare = without_bodies(&chain, &run, &store);
                let messages = |block: &Block| block.transactions().iter().any(|t| t.message().is_some());
                if let Some(newest) = run.iter().filter(|b| messages(b.block())).map(|b| b.block().height()).max() {
                    let proven = BlockHeight::new(newest.get() + retention);
                    let early = store.append_many_below(&bare, proven.previous().unwrap());
                    assert!(matches!(early, Err(StoreError::Bodiless { .. })));
                    assert!(matches!(store.append_many(&bare), Err(StoreError::Bodiless { .. })));
                    store.append_many_below(&bare, proven).unwrap();
                } else {
                    store.append_many(&bare).unwrap();
                }
            } else {
                store.append_many(&run).unwrap();
            }
            if then >= 1 {
                drop(store);
                if then == 3 {
                    fs::remove_dir_all(dir.path().join("index")).unwrap();
                }
                check(dir.path(), &chain.genesis, |_, _| {}).unwrap();
                if then == 2 {
                    prop_assert_eq!(plan_repair(dir.path(), &chain.genesis).unwrap().plan.cuts, []);
                }
                store = open(dir.path(), &chain, segment_bytes);
            }
            let ((expected, all), (found, kept)) = (answers(&model), answers(&store));
            prop_assert_eq!(found, expected);
            let oldest = store.oldest_body_height().get();
            prop_assert_eq!(all.len(), kept.len());
            for (height, kept) in kept {
                prop_assert_eq!(kept, height >= oldest, "height {}", height);
            }
            // To a peer they are given as they are kept.
            prop_assert_eq!(store.blocks(BlockHeight::FIRST, 1000, usize::MAX).unwrap().len() as u64, last.get());
        }
    }
}

#[test]
fn a_crash_between_the_note_and_the_blocks_without_bodies_loses_nothing() {
    let (dir, chain) = (TempDir::new().unwrap(), Chain::keeping("one", 5));
    let store = open(dir.path(), &chain, 1);
    chain.grow(&store, 4);
    let (run, height) = (chain.run(&store, 4), store.tip().height());
    drop(store);
    // What the disk holds after the note is written, and none of the blocks.
    let note = pruning::Note::new(&dir.path().join("journal"));
    let last = body_files(dir.path()).len() as u32;
    note.write(pruning::Dropped { segments: last, height: BlockHeight::new(8) }).unwrap();
    check(dir.path(), &chain.genesis, |_, _| {}).unwrap();
    let store = open(dir.path(), &chain, 1);
    assert_eq!((store.tip().height(), store.oldest_body_height().get()), (height, 9));
    // Whole or not, they are taken, and their bodies are out of retention either way.
    store.append_many(&run).unwrap();
    assert!(store.block(BlockHeight::new(8)).unwrap().is_none());
    chain.grow(&store, 3);
    drop(store);
    check(dir.path(), &chain.genesis, |_, _| {}).unwrap();
    assert!(open(dir.path(), &chain, 1).block(BlockHeight::new(10)).unwrap().is_some());
}

/// A crash after the bodies of a run are safe and before its blocks are: they lie in several files, and no block needs
/// them. Cutting them off leaves one file, and that one is being written: it never goes as an old one.
#[test]
fn bodies_after_a_crash_that_left_several_files_of_unneeded_ones_stay_within_retention() {
    let (dir, chain) = pruned();
    let journal = dir.path().join("journal");
    let headers = || {
        let names =
            fs::read_dir(&journal).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
        names.filter(|name| name.starts_with("headers-")).collect::<Vec<_>>()
    };
    let (before, needed) = (headers(), body_files(dir.path()).len());
    let archive = StoreOptions { archive: true, segment_bytes: 1, ..StoreOptions::default() };
    let (store, _) = Store::open(dir.path(), chain.genesis.clone(), archive).unwrap();
    store.append_many(&chain.run(&store, 6)).unwrap();
    drop(store);
    assert!(body_files(dir.path()).len() >= needed + 3);
    for name in headers().iter().filter(|name| !before.contains(name)) {
        fs::remove_file(journal.join(name)).unwrap();
    }
    fs::remove_dir_all(dir.path().join("index")).unwrap();

    give_up_archive(dir.path(), &chain.genesis).unwrap();
    let store = open(dir.path(), &chain, 1);
    assert_eq!(store.tip().height().get(), 14);
    for _ in 0..6 {
        store.append(&chain.next(&store, Vec::new())).unwrap();
    }
    store.append(&chain.next(&store, vec![chain.message("the newest")])).unwrap();
    drop(store);
    let store = open(dir.path(), &chain, 1);
    assert!(store.block(store.tip().height()).unwrap().is_some());
    drop(store);
    check(dir.path(), &chain.genesis, |_, _| {}).unwrap();
}
