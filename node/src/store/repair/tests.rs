//! Damaged journals, repaired: what stays holds, what goes is kept aside, and the node can go on.

#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

use super::super::testing::{Chain, equivocation};
use super::super::{Maker, Store, StoreOptions, check};
use super::*;
use proptest::prelude::*;
use tempfile::TempDir;

fn open(dir: &Path, chain: &Chain) -> Result<Store, StoreError> {
    let options = StoreOptions { archive: false, segment_bytes: 300, ..StoreOptions::default() };
    Store::open(dir, chain.genesis.clone(), options).map(|(store, _)| store)
}

fn repair(dir: &Path, genesis: &Arc<Genesis>) -> Result<(RepairPlan, PathBuf), CheckError> {
    Ok(plan_repair(dir, genesis)?.carry_out()?)
}

fn files(dir: &Path) -> Vec<(PathBuf, Vec<u8>)> {
    let paths = fs::read_dir(dir.join("journal")).unwrap().map(|entry| entry.unwrap().path());
    let mut files: Vec<_> = paths.map(|path| (path.clone(), fs::read(path).unwrap())).collect();
    files.sort();
    files
}

/// A chain in several files of blocks and of bodies, and the same blocks to fetch again.
fn grown(retention: u64) -> (TempDir, TempDir, Chain) {
    let (dir, peer, chain) =
        (TempDir::new().unwrap(), TempDir::new().unwrap(), Chain::keeping("one", retention));
    let store = open(dir.path(), &chain).unwrap();
    chain.grow(&store, 17);
    drop(store);
    chain.grow(&open(peer.path(), &Chain::keeping("one", retention)).unwrap(), 17);
    (dir, peer, chain)
}

#[test]
fn a_sound_journal_has_nothing_to_cut() {
    let (dir, _, chain) = grown(0);
    let before = files(dir.path());
    let (plan, copies) = repair(dir.path(), &chain.genesis).unwrap();
    assert_eq!((plan.keep, plan.cuts.len(), copies.exists()), (BlockHeight::new(17), 0, false));
    assert_eq!(files(dir.path()), before);
    // It has deleted the index, and a second one finds none.
    assert_eq!(repair(dir.path(), &chain.genesis).unwrap().0, plan);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn whatever_byte_is_damaged_the_journal_is_sound_after_a_repair_and_nothing_is_lost(
        which in any::<prop::sample::Index>(), at in any::<prop::sample::Index>(), pruned: bool,
    ) {
        let (dir, peer, chain) = grown(if pruned { 6 } else { 0 });
        let before: Vec<_> = files(dir.path())
            .into_iter()
            .filter(|(path, bytes)| {
                let name = path.file_name().unwrap().to_str().unwrap();
                !bytes.is_empty() && (name.starts_with("headers-") || name.starts_with("bodies-0"))
            })
            .collect();
        let (path, bytes) = which.get(&before);
        let mut changed = bytes.clone();
        changed[at.index(bytes.len())] ^= 4;
        fs::write(path, &changed).unwrap();
        let plan = plan_repair(dir.path(), &chain.genesis).unwrap().plan;
        prop_assert!(!plan.cuts.is_empty());
        prop_assert_eq!(&fs::read(path).unwrap(), &changed, "planning changes nothing");
        let (done, copies) = repair(dir.path(), &chain.genesis).unwrap();
        prop_assert_eq!(&done, &plan);
        prop_assert!(plan.keep.get() < 17);
        // What was cut is kept, byte by byte.
        for cut in &plan.cuts {
            let name = format!("{}.from-{}", cut.path.file_name().unwrap().to_str().unwrap(), cut.from);
            let original = match &cut.path == path {
                true => &changed,
                false => &before.iter().find(|(other, _)| *other == cut.path).unwrap().1,
            };
            let cut_off = &original[usize::try_from(cut.from).unwrap()..];
            prop_assert_eq!(fs::read(copies.join(name)).unwrap(), cut_off);
        }
        prop_assert!(!dir.path().join("index").exists());
        let report = check(dir.path(), &chain.genesis, |_, _| {}).unwrap();
        prop_assert_eq!((report.blocks, report.torn_bytes), (plan.keep.get(), 0));
        // The rest comes from a peer, as far as it has the bodies.
        let store = open(dir.path(), &chain).unwrap();
        let peer = open(peer.path(), &chain).unwrap();
        if peer.oldest_body_height() <= plan.keep.saturating_add(1) {
            let run = chain.run(&store, 17 - plan.keep.get());
            store.append_many(&run).unwrap();
            prop_assert_eq!(store.tip().to_record(), peer.tip().to_record());
        }
    }
}

#[test]
fn a_missing_file_in_the_middle_is_repaired_too() {
    let (dir, _, chain) = grown(0);
    fs::remove_file(dir.path().join("journal").join("headers-000002.log")).unwrap();
    assert!(matches!(open(dir.path(), &chain), Err(StoreError::Damaged { .. })));
    let (plan, copies) = repair(dir.path(), &chain.genesis).unwrap();
    assert!(plan.keep.get() > 0 && plan.bytes() > 0);
    assert!(copies.join("headers-000003.log.from-0").exists());
    let store = open(dir.path(), &chain).unwrap();
    assert_eq!(store.tip().height(), plan.keep);
    chain.grow(&store, 3);
}

/// Damaged in any bit, empty, or gone: each block stays, and each body.
#[test]
fn a_damaged_or_missing_note_of_dropped_bodies_is_written_anew_and_nothing_is_cut() {
    let (dir, _, chain) = grown(6);
    let store = open(dir.path(), &chain).unwrap();
    let (oldest, newest) = (store.oldest_body_height(), store.tip());
    drop(store);
    let note = dir.path().join("journal").join("bodies-dropped");
    let whole = fs::read(&note).unwrap();
    assert!(oldest > BlockHeight::FIRST);
    let changed = (0..whole.len()).map(|at| {
        let mut changed = whole.clone();
        changed[at] ^= 1;
        Some(changed)
    });
    for damaged in changed.chain([Some(Vec::new()), Some(vec![0xff; 15]), None]) {
        match &damaged {
            Some(bytes) => fs::write(&note, bytes).unwrap(),
            None => fs::remove_file(&note).unwrap(),
        }
        let before = files(dir.path());
        assert!(matches!(open(dir.path(), &chain), Err(StoreError::Damaged { .. })), "{damaged:?}");
        check(dir.path(), &chain.genesis, |_, _| {}).unwrap_err();
        let planned = plan_repair(dir.path(), &chain.genesis).unwrap().plan;
        assert_eq!(files(dir.path()), before, "planning changes nothing");
        let (plan, copies) = repair(dir.path(), &chain.genesis).unwrap();
        assert_eq!(plan, planned);
        assert_eq!(
            (plan.keep, plan.cuts.len(), plan.loses_blocks),
            (newest.height(), 0, false),
            "{damaged:?}"
        );
        // Between the last that went and the first that is there nothing has a body.
        assert!(plan.note.unwrap().oldest_body_height >= oldest && !copies.exists());
        let report = check(dir.path(), &chain.genesis, |_, _| {}).unwrap();
        assert_eq!(report.blocks, newest.height().get());
        let store = open(dir.path(), &chain).unwrap();
        assert_eq!(store.tip().to_record(), newest.to_record());
        for height in (1..=17).map(BlockHeight::new).filter(|height| *height >= oldest) {
            let messages =
                store.transactions(height).unwrap().unwrap().iter().filter(|t| t.message().is_some()).count();
            assert_eq!(store.block(height).unwrap().map_or(0, |block| block.bodies().len()), messages);
        }
    }
}

/// As a snapshot's maker leaves it: all bodies are in the first file, and early ones never came.
#[test]
fn a_missing_note_is_written_anew_too_where_early_bodies_never_came() {
    let (dir, chain) = (TempDir::new().unwrap(), Chain::keeping("one", 6));
    let (peer, _, _) = grown(6);
    let out = TempDir::new().unwrap();
    super::super::snapshot::create(peer.path(), &chain.genesis, out.path(), |_, _| {}).unwrap();
    let data = dir.path().join("data");
    let restored = super::super::snapshot::restore(
        out.path(),
        &data,
        &chain.genesis,
        None,
        StoreOptions::default(),
        |_, _| {},
    );
    restored.unwrap().put_in_place().unwrap();
    fs::remove_file(data.join("journal").join("bodies-dropped")).unwrap();
    check(&data, &chain.genesis, |_, _| {}).unwrap_err();
    let (plan, _) = repair(&data, &chain.genesis).unwrap();
    assert_eq!((plan.keep.get(), plan.cuts.len(), plan.note.is_some()), (17, 0, true));
    check(&data, &chain.genesis, |_, _| {}).unwrap();
}

/// A young network has no note, and none is made.
#[test]
fn a_note_that_was_never_needed_is_not_missed() {
    let (dir, chain) = (TempDir::new().unwrap(), Chain::keeping("one", 100));
    let store = open(dir.path(), &chain).unwrap();
    for transactions in [Vec::new(), vec![chain.message("two")], vec![chain.message("three")]] {
        store.append(&chain.next(&store, transactions)).unwrap();
    }
    drop(store);
    assert_eq!(plan_repair(dir.path(), &chain.genesis).unwrap().plan.note, None);
    let bodies = files(dir.path()).into_iter().find(|(path, _)| path.ends_with("bodies-000001.log")).unwrap();
    fs::write(bodies.0, b"").unwrap();
    // Bodies that are gone without a word are damage.
    let plan = plan_repair(dir.path(), &chain.genesis).unwrap().plan;
    assert_eq!((plan.keep.get(), plan.note), (1, None));
}

/// Retention has dropped none of them, so their first file is lost; others have it.
#[test]
fn lost_bodies_that_were_to_be_kept_are_not_taken_for_dropped_ones() {
    for (retention, archive) in [(100, false), (10, false), (1, true)] {
        let (dir, chain) = (TempDir::new().unwrap(), Chain::keeping("one", retention));
        let options = StoreOptions { archive, segment_bytes: 1, ..StoreOptions::default() };
        let (store, _) = Store::open(dir.path(), chain.genesis.clone(), options).unwrap();
        for number in 0..10 {
            store.append(&chain.next(&store, vec![chain.message(&number.to_string())])).unwrap();
        }
        let tip = store.tip();
        drop(store);
        fs::remove_file(dir.path().join("journal").join("bodies-000001.log")).unwrap();
        let (plan, _) = repair(dir.path(), &chain.genesis).unwrap();
        assert_eq!((plan.keep.get(), plan.note, plan.loses_blocks), (0, None, true), "{retention}");
        assert!(!plan.cuts.is_empty());
        // Fetched again, they are all there.
        let (store, _) = Store::open(dir.path(), chain.genesis.clone(), options).unwrap();
        for number in 0..10 {
            store.append(&chain.next(&store, vec![chain.message(&number.to_string())])).unwrap();
        }
        assert_eq!((store.tip().height(), store.oldest_body_height().get()), (tip.height(), 1));
    }
}

#[cfg(target_os = "linux")]
#[test]
fn a_repair_deletes_the_index_under_another_name() {
    let (dir, _, chain) = grown(0);
    let held = File::open(dir.path().join("index")).unwrap();
    repair(dir.path(), &chain.genesis).unwrap();
    assert_eq!(super::super::tests::last_name(&held), "index.gone (deleted)");
}

/// Two proposals and two equivocations beside three blocks, nothing else to mend, and the first record of a file changed.
fn damaged_beside(name: &str) -> (TempDir, Chain, Vec<u8>) {
    let (dir, chain) = (TempDir::new().unwrap(), Chain::new("one"));
    let store = open(dir.path(), &chain).unwrap();
    chain.grow(&store, 3);
    for (round, time_ms) in [(1, 5_000), (2, 6_000)] {
        store.put_proposal(chain.next_at(&store, time_ms).block(), round, Maker::Other).unwrap();
        store.put_equivocation(&equivocation(&chain, round, 1)).unwrap();
    }
    drop(store);
    let path = dir.path().join("journal").join(name);
    let mut bytes = fs::read(&path).unwrap();
    bytes[40] ^= 1;
    fs::write(&path, &bytes).unwrap();
    (dir, chain, bytes)
}

#[test]
fn damage_beside_the_blocks_is_found_and_cut_without_touching_blocks_or_index() {
    for name in ["proposals-000001.log", "equivocations-000001.log"] {
        let (dir, chain, bytes) = damaged_beside(name);
        assert!(matches!(open(dir.path(), &chain), Err(StoreError::Damaged { .. })));
        let error = check(dir.path(), &chain.genesis, |_, _| {}).unwrap_err();
        let CheckError::Beside(StoreError::Damaged { segment, offset: 0, .. }) = &error else {
            unreachable!("{name}: {error}")
        };
        assert!(segment.ends_with(name), "{error}");
        let repair = plan_repair(dir.path(), &chain.genesis).unwrap();
        assert!(!repair.plan.loses_blocks && repair.plan.cuts.is_empty());
        let (plan, copies) = repair.carry_out_beside().unwrap();
        assert_eq!((plan.beside.len(), plan.bytes()), (1, bytes.len() as u64));
        assert_eq!(fs::read(copies.join(format!("{name}.from-0"))).unwrap(), bytes);
        let report = check(dir.path(), &chain.genesis, |_, _| {}).unwrap();
        assert_eq!((report.blocks, report.indexed), (3, Some(BlockHeight::new(3))));
        let store = open(dir.path(), &chain).unwrap();
        let kept = (store.proposals_at(BlockHeight::new(4)).len(), store.equivocation_count());
        assert_eq!(kept, if name.starts_with("proposals") { (0, 2) } else { (2, 0) });
    }
}

/// With the index damaged too, one repair mends both.
#[test]
fn damage_beside_the_blocks_is_mended_together_with_the_index() {
    let (dir, chain, _) = damaged_beside("proposals-000001.log");
    fs::write(dir.path().join("index").join("metadata"), b"nonsense").unwrap();
    assert!(matches!(check(dir.path(), &chain.genesis, |_, _| {}), Err(CheckError::Index { .. })));
    let (plan, _) = repair(dir.path(), &chain.genesis).unwrap();
    assert!(!plan.loses_blocks);
    check(dir.path(), &chain.genesis, |_, _| {}).unwrap();
    open(dir.path(), &chain).unwrap();
}

#[test]
fn blocks_are_lost_by_a_cut_or_before_it_and_not_by_an_end_that_was_never_finished() {
    let (dir, _, chain) = grown(0);
    let loses = || plan_repair(dir.path(), &chain.genesis).unwrap().plan.loses_blocks;
    assert!(!loses());
    let (last, whole) = files(dir.path())
        .into_iter()
        .rfind(|(path, bytes)| {
            !bytes.is_empty() && path.file_name().unwrap().to_str().unwrap().starts_with("headers-")
        })
        .unwrap();
    fs::write(&last, [&whole[..], &whole[..30]].concat()).unwrap();
    assert!(!loses(), "a record that was never finished");
    fs::write(&last, &whole[..whole.len() - 1]).unwrap();
    assert!(loses(), "the index knows the last block");
    fs::write(&last, &whole).unwrap();
    let (first, mut bytes) =
        files(dir.path()).into_iter().find(|(path, _)| path.ends_with("headers-000001.log")).unwrap();
    bytes[60] ^= 1;
    fs::write(first, bytes).unwrap();
    fs::remove_dir_all(dir.path().join("index")).unwrap();
    assert!(loses(), "a damaged block");
}
