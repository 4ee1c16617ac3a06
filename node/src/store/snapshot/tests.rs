//! Snapshots made, checked, damaged and restored.

#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

use super::super::testing::Chain;
use super::super::{Store, StoreOptions, check};
use super::*;
use proptest::prelude::*;
use sealpost_ledger::state::NodeSource;
use std::fs;
use std::sync::LazyLock;
use tempfile::TempDir;

/// Of a node that is no archive.
const OPTIONS: StoreOptions = StoreOptions { archive: false, segment_bytes: 100, state_versions: 3 };

fn open(dir: &Path, chain: &Chain) -> Store {
    Store::open(dir, chain.genesis.clone(), OPTIONS).unwrap().0
}

/// A node's data of 14 blocks with the bodies of some of them, and a snapshot of it.
fn snapshot() -> (TempDir, TempDir, Chain) {
    let (data, out, chain) = (TempDir::new().unwrap(), TempDir::new().unwrap(), Chain::keeping("one", 5));
    chain.grow(&open(data.path(), &chain), 14);
    create(data.path(), &chain.genesis, out.path(), |_, _| {}).unwrap();
    (data, out, chain)
}

pub(super) fn checked(
    dir: &Path,
    chain: &Chain,
    checkpoint: Option<Checkpoint>,
) -> Result<SnapshotReport, SnapshotError> {
    verify(dir, &chain.genesis, checkpoint, |_, _| {})
}

pub(super) fn restored(
    dir: &Path,
    data: &Path,
    chain: &Chain,
    checkpoint: Option<Checkpoint>,
) -> Result<SnapshotReport, SnapshotError> {
    restore(dir, data, &chain.genesis, checkpoint, OPTIONS, |_, _| {})?.put_in_place()
}

/// Everything a peer or a reader can be given, as text.
fn answers(store: &Store) -> String {
    let heights = (1..=store.tip().height().get()).map(BlockHeight::new);
    let blocks = heights.map(|height| {
        let (header, bodies) = (store.header(height).unwrap(), store.block(height).unwrap());
        format!("{header:?} {:?} {bodies:?}\n", store.transactions(height).unwrap())
    });
    let blocks: String = blocks.collect();
    format!("{blocks}{:?} {}", store.tip().to_record(), store.oldest_body_height())
}

#[test]
fn a_restored_node_gives_the_answers_of_the_one_it_was_made_of() {
    let (data, out, chain) = snapshot();
    let report = checked(out.path(), &chain, None).unwrap();
    assert_eq!((report.manifest.height.get(), report.transactions), (14, 20));
    assert!(report.manifest.oldest_body_height > BlockHeight::FIRST && report.bodies > 0);
    let home = TempDir::new().unwrap();
    let there = home.path().join("data");
    assert_eq!(restored(out.path(), &there, &chain, None).unwrap(), report);
    assert_eq!(fs::read_dir(home.path()).unwrap().count(), 1, "nothing else is left");
    check(&there, &chain.genesis, |_, _| {}).unwrap();
    let (store, original) = (open(&there, &chain), open(data.path(), &chain));
    assert_eq!(answers(&store), answers(&original));
    chain.grow(&store, 8);
    chain.grow(&original, 8);
    assert_eq!(store.tip().to_record(), original.tip().to_record());
    // And a snapshot of the restored one is a snapshot again.
    drop(store);
    let again = TempDir::new().unwrap();
    create(&there, &chain.genesis, again.path(), |_, _| {}).unwrap();
    checked(again.path(), &chain, None).unwrap();
}

#[test]
fn a_restored_snapshot_holds_its_place_until_it_is_put_there_and_leaves_nothing_otherwise() {
    let (_data, out, chain) = snapshot();
    let home = TempDir::new().unwrap();
    let there = home.path().join("data");
    let begun = || restore(out.path(), &there, &chain.genesis, None, OPTIONS, |_, _| {});
    let restoration = begun().unwrap();
    // Neither a node nor another restoring begins there meanwhile.
    let node = Store::open(&there, chain.genesis.clone(), StoreOptions::default());
    assert!(matches!(node, Err(StoreError::Locked { .. })));
    assert!(matches!(begun(), Err(SnapshotError::Store(StoreError::Locked { .. }))));
    drop(restoration);
    assert_eq!(fs::read_dir(home.path()).unwrap().count(), 0, "nothing is left");
    // What a killed attempt leaves does not stand in the way.
    fs::create_dir(&there).unwrap();
    fs::write(there.join("LOCK"), "1\n").unwrap();
    fs::create_dir(home.path().join("data.restoring")).unwrap();
    begun().unwrap().put_in_place().unwrap();
    check(&there, &chain.genesis, |_, _| {}).unwrap();
    assert!(matches!(begun(), Err(SnapshotError::Taken { .. })));
    let running = open(&there, &chain);
    assert!(matches!(begun(), Err(SnapshotError::Store(StoreError::Locked { .. }))));
    drop(running);
    assert_eq!(fs::read_dir(home.path()).unwrap().count(), 1);
}

/// Seen on a real network: the block that announces a set is not the one whose transaction scheduled it.
#[test]
#[cfg_attr(feature = "test-no-fsync", ignore = "a running node of that build has nothing on disk")]
fn a_snapshot_follows_changes_of_the_validators() {
    let (data, out, chain) = (TempDir::new().unwrap(), TempDir::new().unwrap(), Chain::new("changing"));
    let store = open(data.path(), &chain);
    for height in 1..=12 {
        let change = match height {
            // Announced by the same block, by the next one, and much later.
            2 => Some((5, 3)),
            4 => Some((6, 6)),
            7 => Some((7, 11)),
            _ => None,
        };
        let change = change.map(|(power, at)| chain.power(&store, power, BlockHeight::new(at)));
        store.append(&chain.next(&store, change.into_iter().collect())).unwrap();
    }
    create(data.path(), &chain.genesis, out.path(), |_, _| {}).unwrap();
    let report = checked(out.path(), &chain, None).unwrap();
    let home = TempDir::new().unwrap();
    let there = home.path().join("data");
    assert_eq!(restored(out.path(), &there, &chain, None).unwrap(), report);
    let restored = open(&there, &chain);
    assert_eq!(restored.tip().validators().total_power(), 7);
    assert_eq!(answers(&restored), answers(&store));
}

#[test]
#[cfg_attr(feature = "test-no-fsync", ignore = "a running node of that build has nothing on disk")]
fn a_running_node_s_data_makes_a_snapshot_too() {
    let (data, out, chain) = (TempDir::new().unwrap(), TempDir::new().unwrap(), Chain::keeping("one", 0));
    let store = open(data.path(), &chain);
    let copy = out.path().join("snapshot");
    std::thread::scope(|threads| {
        let writer = threads.spawn(|| chain.grow(&store, 60));
        // Once there is something on disk; how much of it a snapshot catches is left to chance.
        while store.tip().height() < BlockHeight::new(3) {
            std::thread::yield_now();
        }
        let manifest = create(data.path(), &chain.genesis, &copy, |_, _| {}).unwrap();
        assert!(manifest.height >= BlockHeight::new(3));
        writer.join().unwrap();
    });
    let report = checked(&copy, &chain, None).unwrap();
    let there = out.path().join("data");
    restored(&copy, &there, &chain, None).unwrap();
    let height = report.manifest.height;
    assert_eq!(open(&there, &chain).header(height).unwrap(), store.header(height).unwrap());
}

/// Else each change of the state would leave what it replaced for ever.
#[test]
fn a_restored_node_drops_old_states_as_one_that_followed_does() {
    let (data, out, chain) = (TempDir::new().unwrap(), TempDir::new().unwrap(), Chain::keeping("one", 5));
    let followed = open(data.path(), &chain);
    // Every node of the tree that there ever was.
    let mut nodes = Vec::new();
    let mut grow = |stores: &[&Store], blocks| {
        let run = chain.run(stores[0], blocks);
        let updates = run.iter().filter_map(|block| block.verified().update());
        nodes.extend(updates.flat_map(|update| update.nodes.iter().map(|(key, _)| key.clone())));
        stores.iter().for_each(|store| store.append_many(&run).unwrap());
    };
    grow(&[&followed], 14);
    drop(followed);
    create(data.path(), &chain.genesis, out.path(), |_, _| {}).unwrap();
    let home = TempDir::new().unwrap();
    let there = home.path().join("data");
    restored(out.path(), &there, &chain, None).unwrap();
    let (restored, followed) = (open(&there, &chain), open(data.path(), &chain));
    grow(&[&followed, &restored], 6);
    assert_eq!(restored.oldest_state_height().unwrap(), followed.oldest_state_height().unwrap());
    let kept = |store: &Store| nodes.iter().filter(|key| store.node(key).unwrap().is_some()).count();
    assert!(kept(&followed) < nodes.len());
    assert_eq!(kept(&restored), kept(&followed));
}

/// A check of the sums when it is made, and nothing of it left when it can't be.
#[test]
fn a_snapshot_of_damaged_data_leaves_nothing_behind() {
    let (data, chain) = (TempDir::new().unwrap(), Chain::new("one"));
    chain.grow(&open(data.path(), &chain), 14);
    let path = data.path().join("journal").join("headers-000002.log");
    let mut bytes = fs::read(&path).unwrap();
    bytes[60] ^= 1;
    fs::write(&path, bytes).unwrap();
    let out = TempDir::new().unwrap();
    let made = out.path().join("snapshot");
    for (folder, left) in [(out.path().to_owned(), true), (made, false)] {
        let error = create(data.path(), &chain.genesis, &folder, |_, _| {}).unwrap_err();
        assert!(matches!(error, SnapshotError::Store(StoreError::Damaged { .. })), "{error}");
        assert_eq!(folder.exists(), left);
        assert_eq!(fs::read_dir(out.path()).unwrap().count(), 0);
    }
    // Its numbers can be had all the same: they are no reason to read a whole ledger.
    let stats = super::super::stats(data.path(), &chain.genesis).unwrap();
    assert_eq!(stats.height.get(), 14);
}

#[test]
fn nothing_is_overwritten() {
    let (data, out, chain) = snapshot();
    let again = create(data.path(), &chain.genesis, out.path(), |_, _| {});
    assert!(matches!(again, Err(SnapshotError::Taken { .. })));
    let over = restored(out.path(), data.path(), &chain, None);
    assert!(matches!(over, Err(SnapshotError::Taken { .. })));
    checked(out.path(), &chain, None).unwrap();
    assert_eq!(open(data.path(), &chain).tip().height().get(), 14);
}

#[test]
fn a_checkpoint_pins_its_block() {
    let (data, out, chain) = snapshot();
    let (header, _) = open(data.path(), &chain).header(BlockHeight::new(9)).unwrap().unwrap();
    let point = |height, block| Some(Checkpoint { height: BlockHeight::new(height), block });
    checked(out.path(), &chain, point(9, header.hash())).unwrap();
    for wrong in [point(8, header.hash()), point(15, header.hash())] {
        let error = checked(out.path(), &chain, wrong).unwrap_err();
        assert!(matches!(error, SnapshotError::Checkpoint { .. }), "{error}");
        let home = TempDir::new().unwrap();
        restored(out.path(), &home.path().join("data"), &chain, wrong).unwrap_err();
        assert_eq!(fs::read_dir(home.path()).unwrap().count(), 0);
    }
    let text = format!("9:{}", header.hash());
    assert_eq!(text.parse::<Checkpoint>().ok(), point(9, header.hash()));
    for text in ["9", "0:aa", ":", "x:00", "9:zz"] {
        assert_eq!(text.parse::<Checkpoint>(), Err(ParseCheckpointError));
    }
}

#[test]
fn the_snapshot_of_another_network_is_refused() {
    let (_, out, _) = snapshot();
    let error = checked(out.path(), &Chain::new("two"), None).unwrap_err();
    assert!(matches!(error, SnapshotError::OtherChain { .. }), "{error}");
}

/// A snapshot whose file was changed, and whose manifest agrees with the change.
pub(super) fn forged(out: &Path, name: &str, change: impl FnOnce(&mut Vec<u8>)) -> TempDir {
    let dir = copy(out);
    let path = dir.path().join(name);
    let mut bytes = fs::read(&path).unwrap();
    change(&mut bytes);
    fs::write(&path, &bytes).unwrap();
    let mut manifest: Manifest =
        serde_json::from_slice(&fs::read(dir.path().join(MANIFEST)).unwrap()).unwrap();
    let entry = manifest.files.iter_mut().find(|file| file.name == name).unwrap();
    entry.bytes = bytes.len() as u64;
    entry.sha256 = const_hex::encode(<sha2::Sha256 as sha2::Digest>::digest(&bytes));
    fs::write(dir.path().join(MANIFEST), serde_json::to_vec(&manifest).unwrap()).unwrap();
    dir
}

fn copy(from: &Path) -> TempDir {
    let to = TempDir::new().unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        fs::copy(entry.path(), to.path().join(entry.file_name())).unwrap();
    }
    to
}

/// Frames of a file, as (head and payload).
pub(super) fn frames(bytes: &[u8]) -> Vec<Vec<u8>> {
    use super::super::frame::{HEAD_BYTES, Head};
    let (mut frames, mut rest) = (Vec::new(), bytes);
    while let Some(head) = Head::parse(rest) {
        let (frame, after) = rest.split_at(HEAD_BYTES + head.length as usize);
        frames.push(frame.to_vec());
        rest = after;
    }
    frames
}

#[test]
fn a_forger_who_rewrites_the_manifest_is_still_found_out() {
    let (_, out, chain) = snapshot();
    let refused = |name: &str, what: &str, change: fn(&mut Vec<Vec<u8>>)| {
        let dir = forged(out.path(), name, |bytes| {
            let mut all = frames(bytes);
            change(&mut all);
            *bytes = all.concat();
        });
        let error = checked(dir.path(), &chain, None).unwrap_err();
        let SnapshotError::Damaged { file, what: found, .. } = &error else { unreachable!("{error}") };
        assert!(file.ends_with(name) && found.contains(what), "{error}");
    };
    refused(HEADERS, "height", |all| drop(all.remove(3)));
    refused(HEADERS, "too early", |all| drop(all.pop()));
    refused(HEADERS, "belongs to no block", |all| all.push(all[0].clone()));
    refused(BODIES, "missing", |all| drop(all.remove(0)));
    refused(BODIES, "belongs to no block", |all| all.push(all[0].clone()));
    refused(STATE, "make root", |all| drop(all.pop()));
    refused(STATE, "out of order", |all| all.swap(0, 1));
}

/// A snapshot whose manifest claims another oldest height with bodies, and holds none.
fn without_bodies(out: &Path, oldest: u64) -> TempDir {
    let dir = forged(out, BODIES, Vec::clear);
    let path = dir.path().join(MANIFEST);
    let mut manifest: Manifest = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
    manifest.oldest_body_height = BlockHeight::new(oldest);
    fs::write(path, serde_json::to_vec(&manifest).unwrap()).unwrap();
    dir
}

/// The maker has the say on what is there, and none on what the node keeps from then on.
#[test]
fn a_snapshot_without_bodies_does_not_stop_a_node_from_keeping_later_ones() {
    let (_, out, chain) = snapshot();
    assert_eq!(checked(out.path(), &chain, None).unwrap().absent_bodies, 0);
    for oldest in [u64::MAX, 15, 16] {
        let dir = without_bodies(out.path(), oldest);
        // Of the last five blocks, 10, 11, 13 and 14 have messages.
        assert_eq!(checked(dir.path(), &chain, None).unwrap().absent_bodies, 4);
        for archive in [false, true] {
            let home = TempDir::new().unwrap();
            let there = home.path().join("data");
            restored(dir.path(), &there, &chain, None).unwrap();
            let options = StoreOptions { archive, ..StoreOptions::default() };
            let (store, _) = Store::open(&there, chain.genesis.clone(), options).unwrap();
            assert_eq!(store.oldest_body_height(), BlockHeight::new(15));
            chain.grow(&store, 2);
            let block = store.block(BlockHeight::new(16)).unwrap().unwrap();
            assert_eq!(block.bodies().len(), 1);
        }
    }
}

#[test]
fn a_snapshot_of_a_network_that_keeps_all_bodies_is_refused_without_them() {
    let (data, out, chain) = (TempDir::new().unwrap(), TempDir::new().unwrap(), Chain::new("one"));
    chain.grow(&open(data.path(), &chain), 4);
    create(data.path(), &chain.genesis, out.path(), |_, _| {}).unwrap();
    let dir = without_bodies(out.path(), 5);
    let error = checked(dir.path(), &chain, None).unwrap_err();
    assert!(matches!(error, SnapshotError::Damaged { height: Some(1), .. }), "{error}");
    let home = TempDir::new().unwrap();
    restored(dir.path(), &home.path().join("data"), &chain, None).unwrap_err();
}

/// One snapshot for the damage below: making it takes longer than looking at it.
static MADE: LazyLock<(TempDir, TempDir, Chain)> = LazyLock::new(snapshot);

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn any_changed_byte_and_any_shortened_file_is_refused(
        which in 0_usize..4, at in any::<prop::sample::Index>(), flip in 1_u8.., cut: bool,
    ) {
        let (_, out, chain) = &*MADE;
        let dir = copy(out.path());
        let path = dir.path().join([HEADERS, BODIES, STATE, MANIFEST][which]);
        let mut bytes = fs::read(&path).unwrap();
        let at = at.index(bytes.len());
        let spacing = bytes[at].is_ascii_whitespace();
        if cut { bytes.truncate(at) } else { bytes[at] ^= flip }
        // Spaces and the line feed at the end of the manifest say nothing.
        prop_assume!(which < 3 || !(spacing || cut && at + 1 >= bytes.len()));
        fs::write(&path, &bytes).unwrap();
        prop_assert!(checked(dir.path(), chain, None).is_err());
        let home = TempDir::new().unwrap();
        let data = home.path().join("data");
        prop_assert!(restored(dir.path(), &data, chain, None).is_err());
        prop_assert_eq!(fs::read_dir(home.path()).unwrap().count(), 0, "nothing of it is left");
    }
}

#[test]
fn a_missing_file_is_named() {
    let (_, out, chain) = snapshot();
    for name in [HEADERS, BODIES, STATE] {
        let dir = copy(out.path());
        fs::remove_file(dir.path().join(name)).unwrap();
        let error = checked(dir.path(), &chain, None).unwrap_err().to_string();
        assert!(error.contains(name) && error.contains("missing"), "{error}");
    }
    let dir = copy(out.path());
    fs::remove_file(dir.path().join(MANIFEST)).unwrap();
    assert!(matches!(checked(dir.path(), &chain, None), Err(SnapshotError::NoSnapshot { .. })));
}
