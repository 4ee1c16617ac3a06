//! Runs of blocks that are written with one sync: the same answers as one by one, and a beginning of the run
//! after a crash in the middle of it, whatever part of it the disk took.

#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

use super::testing::Chain;
use super::tests::{answers, grown, journal_file, open};
use super::*;
use proptest::prelude::*;
use std::fs;
use std::path::PathBuf;
use tempfile::TempDir;

/// A file, its length before the run, and its content after it.
type JournalFile = (PathBuf, usize, Vec<u8>);

/// A store of three blocks, and the journal's files after a run of five more.
fn with_run() -> (TempDir, Chain, [JournalFile; 2]) {
    let (dir, chain) = grown(3);
    let names = ["headers", "bodies"].map(|name| journal_file(dir.path(), name));
    let before = names.each_ref().map(|path| fs::read(path).unwrap().len());
    let (store, _) = open(dir.path(), &chain);
    store.append_many(&chain.run(&store, 5)).unwrap();
    drop(store);
    // As when the process ended while it wrote the run: the index, which comes after it, knows nothing of it.
    fs::remove_dir_all(dir.path().join("index")).unwrap();
    let [headers, bodies] = names;
    let files = [(headers, before[0]), (bodies, before[1])];
    let files = files.map(|(path, before)| (path.clone(), before, fs::read(path).unwrap()));
    (dir, chain, files)
}

#[test]
fn a_run_gives_the_same_answers_as_its_blocks_one_by_one() {
    let chain = Chain::new("one");
    let (one, many) = (TempDir::new().unwrap(), TempDir::new().unwrap());
    let ((one, _), (many_store, _)) = (open(one.path(), &chain), open(many.path(), &chain));
    chain.grow(&one, 9);
    many_store.append_many(&chain.run(&many_store, 4)).unwrap();
    many_store.append_many(&[]).unwrap();
    many_store.append_many(&chain.run(&many_store, 5)).unwrap();
    assert_eq!(answers(&many_store), answers(&one));
    drop(many_store);
    let (many_store, recovery) = open(many.path(), &chain);
    assert_eq!(recovery, Recovery::default());
    assert_eq!(answers(&many_store), answers(&one));
}

#[test]
fn a_run_answers_messages_of_the_store_and_of_its_own_blocks() {
    let (dir, chain) = grown(3);
    let (store, _) = open(dir.path(), &chain);
    let [kept, new] = ["kept", "new"].map(|text| chain.message(text));
    store.append(&chain.next(&store, vec![kept.clone()])).unwrap();
    let blocks = [vec![chain.receipt(&kept), new.clone()], vec![chain.receipt(&new)]];
    store.append_many(&chain.run_of(&store, blocks)).unwrap();
    answers(&store);
}

#[test]
fn a_run_with_a_gap_is_refused_as_a_whole() {
    let (dir, chain) = grown(3);
    let (store, _) = open(dir.path(), &chain);
    let mut run = chain.run(&store, 4);
    run.remove(2);
    assert!(matches!(store.append_many(&run), Err(StoreError::NotNext { .. })));
    assert_eq!(store.tip().height().get(), 3);
    chain.grow(&store, 1);
}

#[test]
fn a_run_torn_anywhere_leaves_a_beginning_of_itself() {
    let (dir, chain, [(headers, before, whole), (bodies, _, all_bodies)]) = with_run();
    let mut heights = Vec::new();
    for length in (before..whole.len()).step_by(7) {
        fs::write(&headers, &whole[..length]).unwrap();
        fs::write(&bodies, &all_bodies).unwrap();
        let journal =
            Journal::open(&dir.path().join("journal"), SEGMENT_BYTES, stream::TornEnd::Cut).unwrap();
        heights.push(journal.height().get());
    }
    assert!(heights.is_sorted());
    heights.dedup();
    assert_eq!(heights, [3, 4, 5, 6, 7]);
    let (store, _) = open(dir.path(), &chain);
    chain.grow(&store, 2);
    answers(&store);
}

#[test]
fn a_run_whose_bodies_alone_were_written_leaves_nothing() {
    let (dir, chain, [(headers, before, whole), (bodies, bodies_before, all_bodies)]) = with_run();
    fs::write(&headers, &whole[..before]).unwrap();
    let (store, _) = open(dir.path(), &chain);
    assert_eq!(store.tip().height().get(), 3);
    assert_eq!(fs::read(&bodies).unwrap(), all_bodies[..bodies_before]);
    chain.grow(&store, 6);
    answers(&store);
}

#[test]
fn a_flipped_byte_before_a_run_is_still_damage() {
    let (dir, _, [(headers, before, whole), _]) = with_run();
    let first = frame::HEAD_BYTES + usize::try_from(frame::Head::parse(&whole).unwrap().length).unwrap();
    for at in [0, 30, first + 3, before - 1] {
        let mut changed = whole.clone();
        changed[at] ^= 1;
        fs::write(&headers, &changed).unwrap();
        let error =
            Journal::open(&dir.path().join("journal"), SEGMENT_BYTES, stream::TornEnd::Cut).unwrap_err();
        assert!(matches!(error, StoreError::Damaged { .. }), "byte {at}: {error}");
        assert_eq!(fs::read(&headers).unwrap(), changed);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    /// The disk writes a run's pages in any order: a hole may stand before whole records.
    #[test]
    fn a_hole_in_an_unfinished_run_is_a_torn_end(
        at in any::<prop::sample::Index>(), length in 1_usize..2_000, end in any::<prop::sample::Index>(),
    ) {
        let (dir, chain, [(headers, before, mut whole), _]) = with_run();
        let at = before + at.index(whole.len() - before);
        let stop = whole.len().min(at + length);
        whole[at..stop].fill(0);
        whole.truncate(stop + end.index(whole.len() - stop + 1));
        fs::write(&headers, &whole).unwrap();
        let (store, _) = open(dir.path(), &chain);
        prop_assert!((3..=8).contains(&store.tip().height().get()));
        chain.grow(&store, 1);
        answers(&store);
    }
}

#[test]
fn ranges_for_peers_are_bounded_and_join() {
    let (dir, chain) = grown(7);
    let (store, _) = open(dir.path(), &chain);
    let all = store.blocks(BlockHeight::FIRST, 100, usize::MAX).unwrap();
    assert_eq!(all.len(), 7);
    let mut joined = Vec::new();
    while joined.len() < 7 {
        let from = BlockHeight::new(joined.len() as u64 + 1);
        let part = store.blocks(from, 3, all[0].0.len() + all[1].0.len()).unwrap();
        assert!((1..=3).contains(&part.len()));
        joined.extend(part);
    }
    assert_eq!(joined, all);
    assert_eq!(store.blocks(BlockHeight::FIRST, 100, 1).unwrap().len(), 1, "one always, or nobody gets on");
    assert!(store.blocks(BlockHeight::new(8), 100, usize::MAX).unwrap().is_empty());
    for (height, (bytes, certificate)) in (1..).map(BlockHeight::new).zip(&all) {
        let expected = store.certified_block(height).unwrap().unwrap();
        assert_eq!((Block::from_bytes(bytes).unwrap(), certificate.clone()), expected);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    /// A run over several files: the crash comes in any of them, after the bodies and before the blocks.
    #[test]
    #[cfg_attr(feature = "test-no-fsync", ignore = "that build has less on disk than a run leaves")]
    fn a_run_over_several_files_torn_in_any_of_them_leaves_a_beginning_of_itself(
        segment_bytes in 1_u64..1500, lost in 0_usize..9, at in any::<prop::sample::Index>(),
    ) {
        let (dir, chain) = (TempDir::new().unwrap(), Chain::new("one"));
        let options = StoreOptions { archive: false, segment_bytes, ..StoreOptions::default() };
        let open = || Store::open(dir.path(), chain.genesis.clone(), options).unwrap().0;
        let headers = || {
            let paths = (1..).map(|n| dir.path().join("journal").join(format!("headers-{n:06}.log")));
            paths.take_while(|path| path.exists()).collect::<Vec<_>>()
        };
        let store = open();
        chain.grow(&store, 3);
        let (files, length) = (headers().len(), fs::metadata(headers().last().unwrap()).unwrap().len());
        store.append_many(&chain.run(&store, 7)).unwrap();
        drop(store);
        fs::remove_dir_all(dir.path().join("index")).unwrap();
        // Files are made one after another: the last ones were not there yet, and one was being written.
        let all = headers();
        let last = all.len().saturating_sub(lost).max(files);
        all[last..].iter().for_each(|path| fs::remove_file(path).unwrap());
        let bytes = fs::read(&all[last - 1]).unwrap();
        let least = if last == files { usize::try_from(length).unwrap() } else { 0 };
        fs::write(&all[last - 1], &bytes[..least + at.index(bytes.len() - least + 1)]).unwrap();
        let store = open();
        let kept = store.tip().height().get();
        prop_assert!((3..=10).contains(&kept));
        prop_assert!(last == all.len() || kept < 10);
        chain.grow(&store, 4);
        answers(&store);
        drop(store);
        prop_assert_eq!(check(dir.path(), &chain.genesis, |_, _| {}).unwrap().blocks, kept + 4);
    }
}
