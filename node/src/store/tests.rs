//! What the store promises, tried on real directories.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic)]

use super::testing::{Chain, RECIPIENT, SENDER, address, proven};
use super::*;
use sealpost_ledger::chain::verify_block;
use std::fs;
use std::path::PathBuf;
use tempfile::TempDir;

pub(super) fn open(dir: &Path, chain: &Chain) -> (Store, Recovery) {
    Store::open(dir, chain.genesis.clone(), StoreOptions::default()).unwrap()
}

pub(super) fn grown(blocks: u64) -> (TempDir, Chain) {
    let (dir, chain) = (TempDir::new().unwrap(), Chain::new("one"));
    let (store, _) = open(dir.path(), &chain);
    chain.grow(&store, blocks);
    drop(store);
    (dir, chain)
}

fn copy(from: &Path) -> TempDir {
    fn walk(from: &Path, to: &Path) {
        fs::create_dir_all(to).unwrap();
        for entry in fs::read_dir(from).unwrap() {
            let entry = entry.unwrap();
            let to = to.join(entry.file_name());
            if entry.path().is_dir() {
                walk(&entry.path(), &to);
            } else {
                fs::copy(entry.path(), to).unwrap();
            }
        }
    }
    let to = TempDir::new().unwrap();
    walk(from, to.path());
    to
}

/// Everything a reader can ask, as text.
pub(super) fn answers(store: &Store) -> String {
    let mut text = format!("{:?}\n", store.tip().to_record());
    for height in (1..=store.tip().height().get()).map(BlockHeight::new) {
        let block = store.block(height).unwrap().unwrap();
        assert_eq!(store.height_of(&block.hash()).unwrap(), Some(height));
        for (index, (transaction, body)) in block.with_bodies().enumerate() {
            let located = store.transaction(&transaction.id()).unwrap().unwrap();
            assert_eq!((located.height, located.index as usize), (height, index));
            assert_eq!(located.transaction, *transaction);
            assert_eq!(store.body(&transaction.id()).unwrap().kept().as_ref(), body);
        }
        let key = StateKey::Directory(address(SENDER));
        let (record, proof) = proven(store.prove(&key, height).unwrap());
        proof.verify_present(&block.header().state_root, &key, &record.clone().unwrap()).unwrap();
        let leaf = store.subtree(0, height.get() - 1).unwrap();
        text += &format!("{block:?} {:?} {record:?} {leaf:?}\n", store.header(height).unwrap());
    }
    let page = |order| store.received(&address(RECIPIENT), None, 100, order).unwrap();
    text + &format!("{:?} {:?}", page(Order::OldestFirst), page(Order::NewestFirst))
}

pub(super) fn journal_file(dir: &Path, name: &str) -> PathBuf {
    dir.join("journal").join(format!("{name}-000001.log"))
}

#[test]
fn a_reopened_store_gives_the_same_answers() {
    let (dir, chain) = (TempDir::new().unwrap(), Chain::new("one"));
    let (store, recovery) = open(dir.path(), &chain);
    assert_eq!(recovery, Recovery::default());
    chain.grow(&store, 7);
    let before = answers(&store);
    drop(store);
    let (store, recovery) = open(dir.path(), &chain);
    assert_eq!(recovery, Recovery::default());
    assert_eq!(answers(&store), before);
}

#[test]
fn an_append_out_of_order_is_refused_and_does_no_harm() {
    let (dir, chain) = (TempDir::new().unwrap(), Chain::new("one"));
    let (store, _) = open(dir.path(), &chain);
    let block = chain.next(&store, vec![chain.bundle(1)]);
    store.append(&block).unwrap();
    assert!(matches!(store.append(&block), Err(StoreError::NotNext { .. })));
    store.append(&chain.next(&store, vec![])).unwrap();
}

#[test]
fn a_torn_end_is_cut_off_wherever_it_was_torn() {
    let (dir, chain) = grown(4);
    let path = journal_file(dir.path(), "headers");
    let whole = fs::read(&path).unwrap();
    let (store, _) = open(dir.path(), &chain);
    store.append(&chain.next(&store, vec![])).unwrap();
    drop(store);
    let longer = fs::read(&path).unwrap();
    for length in whole.len()..longer.len() {
        fs::write(&path, &longer[..length]).unwrap();
        let journal =
            Journal::open(&dir.path().join("journal"), SEGMENT_BYTES, stream::TornEnd::Cut).unwrap();
        assert_eq!(journal.height().get(), 4, "cut at {length}");
        assert_eq!(fs::read(&path).unwrap(), whole);
    }
    fs::remove_dir_all(dir.path().join("index")).unwrap();
    let (store, _) = open(dir.path(), &chain);
    assert_eq!(store.tip().height().get(), 4);
    chain.grow(&store, 2);
}

/// After a power cut a file can have its new length and not its new bytes: the head of the last record stands there, and
/// not what it was written for. Both go; a head left behind would be taken for that of the next record.
#[test]
fn a_last_record_whose_bytes_never_came_is_cut_off_with_its_head() {
    let (dir, chain) = grown(4);
    let path = journal_file(dir.path(), "headers");
    let whole = fs::read(&path).unwrap();
    let (store, _) = open(dir.path(), &chain);
    store.append(&chain.next(&store, vec![])).unwrap();
    drop(store);
    let longer = fs::read(&path).unwrap();
    for came in [whole.len() + frame::HEAD_BYTES, longer.len() - 8] {
        let mut torn = longer.clone();
        torn[came..].fill(0);
        for way in [stream::TornEnd::Cut, stream::TornEnd::Later] {
            fs::write(&path, &torn).unwrap();
            let mut journal = Journal::open(&dir.path().join("journal"), SEGMENT_BYTES, way).unwrap();
            journal.cut_unfinished().unwrap();
            assert_eq!(
                (journal.height().get(), journal.blocks_end(journal.height()).1),
                (4, whole.len() as u64)
            );
            assert_eq!(fs::read(&path).unwrap(), whole, "bytes from {came} on are missing");
        }
    }
    // As if the process had ended before the block was safe.
    fs::remove_dir_all(dir.path().join("index")).unwrap();
    let (store, _) = open(dir.path(), &chain);
    chain.grow(&store, 2);
    drop(store);
    assert_eq!(open(dir.path(), &chain).0.tip().height().get(), 6);
}

/// What is cut off in the middle of a record looks unfinished. If the index knows the block, it was finished once.
#[test]
fn a_journal_that_lost_a_final_block_at_its_end_is_damaged_and_nothing_is_cut_off() {
    let (dir, chain) = grown(5);
    let path = journal_file(dir.path(), "headers");
    let whole = fs::read(&path).unwrap();
    for length in [0, whole.len() / 2, whole.len() - 1] {
        fs::write(&path, &whole[..length]).unwrap();
        let error = Store::open(dir.path(), chain.genesis.clone(), StoreOptions::default()).err().unwrap();
        assert!(matches!(&error, StoreError::Damaged { segment, .. } if *segment == path), "{error}");
        assert!(error.to_string().contains("block 5 was on disk once"), "{error}");
        assert_eq!(fs::read(&path).unwrap().len(), length);
        let checked = checked(dir.path(), &chain);
        assert!(matches!(&checked, Err(CheckError::Store(found)) if found.to_string() == error.to_string()));
    }
    fs::write(&path, whole).unwrap();
    assert_eq!(open(dir.path(), &chain).0.tip().height().get(), 5);
}

#[test]
fn bodies_without_their_block_are_cut_off() {
    let (dir, chain) = grown(3);
    let headers = fs::read(journal_file(dir.path(), "headers")).unwrap();
    let bodies = fs::read(journal_file(dir.path(), "bodies")).unwrap();
    let (store, _) = open(dir.path(), &chain);
    chain.grow(&store, 1);
    drop(store);
    fs::write(journal_file(dir.path(), "headers"), headers).unwrap();
    // As if the process had ended before the block was safe.
    fs::remove_dir_all(dir.path().join("index")).unwrap();
    let (store, _) = open(dir.path(), &chain);
    assert_eq!(fs::read(journal_file(dir.path(), "bodies")).unwrap(), bodies);
    chain.grow(&store, 3);
    answers(&store);
}

#[test]
fn bodies_that_a_block_needs_are_never_cut_off() {
    let (dir, chain) = grown(4);
    let path = journal_file(dir.path(), "bodies");
    let whole = fs::read(&path).unwrap();
    let torn = &whole[..whole.len() - 1];
    fs::write(&path, torn).unwrap();
    let error = Store::open(dir.path(), chain.genesis.clone(), StoreOptions::default()).err().unwrap();
    assert!(matches!(error, StoreError::Damaged { height: Some(4), .. }), "{error}");
    assert_eq!(fs::read(&path).unwrap(), torn);
}

#[test]
fn a_flipped_byte_before_the_last_record_is_damage_and_drops_nothing() {
    for name in ["headers", "bodies"] {
        let (dir, _chain) = grown(5);
        let path = journal_file(dir.path(), name);
        let whole = fs::read(&path).unwrap();
        let head = frame::Head::parse(&whole).unwrap();
        let first = frame::HEAD_BYTES + usize::try_from(head.length).unwrap();
        for at in 0..first {
            let mut changed = whole.clone();
            changed[at] ^= 0x10;
            fs::write(&path, &changed).unwrap();
            let error =
                Journal::open(&dir.path().join("journal"), SEGMENT_BYTES, stream::TornEnd::Cut).unwrap_err();
            assert!(matches!(error, StoreError::Damaged { .. }), "{name} byte {at}: {error}");
            assert_eq!(fs::read(&path).unwrap(), changed, "nothing may be cut off");
        }
    }
}

/// Otherwise whoever sends a message could make an end that a power cut tore look like damage, and keep a node from
/// starting.
#[test]
fn a_message_that_looks_like_records_of_a_journal_is_none() {
    let layout = stream::Layout::new(SEGMENT_BYTES);
    let open = |dir: &Path| {
        stream::Stream::open(&dir.join("journal"), "bodies", layout, stream::TornEnd::Cut, |_, _| Ok(()))
    };
    let torn = |mark: Option<frame::Mark>| {
        let dir = TempDir::new().unwrap();
        let path = journal_file(dir.path(), "bodies");
        fs::create_dir(dir.path().join("journal")).unwrap();
        open(dir.path()).unwrap().append(frame::Kind::Bodies, 1, b"the first").unwrap();
        let first = fs::read(&path).unwrap();
        let mark = mark.unwrap_or_else(|| frame::Head::parse(&first).unwrap().mark);
        let imitated = frame::Head::of(mark, frame::Kind::Bodies, false, 3, b"").unwrap().to_bytes();
        open(dir.path()).unwrap().append(frame::Kind::Bodies, 2, &imitated.repeat(4)).unwrap();
        let whole = fs::read(&path).unwrap();
        (dir, path, first, whole)
    };
    let (dir, path, first, whole) = torn(Some(frame::SNAPSHOT_MARK));
    for kept in [first.len() + 1, first.len() + 3 * frame::HEAD_BYTES, whole.len() - 1] {
        // Cut there, or all of it but the head on the disk.
        let mut headless = whole.clone();
        headless[first.len()..kept].fill(0);
        for end in [&whole[..kept], &headless] {
            fs::write(&path, end).unwrap();
            open(dir.path()).unwrap();
            assert_eq!(fs::read(&path).unwrap(), first, "{kept}");
        }
    }
    // Whoever knew the mark could: it is drawn for each file.
    let (dir, path, first, mut whole) = torn(None);
    whole[first.len()] ^= 1;
    fs::write(&path, &whole).unwrap();
    assert!(matches!(open(dir.path()), Err(StoreError::Damaged { .. })));
    let marks: std::collections::BTreeSet<_> = (0..8).map(|_| torn(None).2[..4].to_vec()).collect();
    assert!(marks.len() > 1);
}

#[test]
fn a_journal_of_an_earlier_version_is_read_and_continued() {
    let (dir, chain) = grown(3);
    let path = journal_file(dir.path(), "headers");
    let (mut old, mut rest) = (Vec::new(), &fs::read(&path).unwrap()[..]);
    while let Some(mut head) = frame::Head::parse(rest) {
        let (frame, after) = rest.split_at(frame::HEAD_BYTES + usize::try_from(head.length).unwrap());
        head.mark = frame::SNAPSHOT_MARK;
        old.extend(head.to_bytes());
        old.extend_from_slice(&frame[frame::HEAD_BYTES..]);
        rest = after;
    }
    fs::write(&path, &old).unwrap();
    let (store, _) = open(dir.path(), &chain);
    chain.grow(&store, 2);
    drop(store);
    assert_eq!(open(dir.path(), &chain).0.tip().height().get(), 5);
    let new = fs::read(&path).unwrap();
    assert_eq!(new[old.len()..][..4], frame::SNAPSHOT_MARK, "a file has one mark");
    // A record of another file is none of this one.
    let mut foreign = new.clone();
    let mut other = frame::Head::parse(&new[old.len()..]).unwrap();
    other.mark = *b"none";
    foreign[old.len()..][..frame::HEAD_BYTES].copy_from_slice(&other.to_bytes());
    fs::write(&path, &foreign).unwrap();
    let journal = Journal::open(&dir.path().join("journal"), SEGMENT_BYTES, stream::TornEnd::Keep);
    assert!(matches!(journal, Err(StoreError::Damaged { .. })));
}

#[test]
fn a_deleted_index_is_made_anew() {
    let (dir, chain) = grown(6);
    let (store, _) = open(dir.path(), &chain);
    let before = answers(&store);
    drop(store);
    fs::remove_dir_all(dir.path().join("index")).unwrap();
    let (store, recovery) = open(dir.path(), &chain);
    assert_eq!((recovery.rebuilt, recovery.replayed_blocks), (Some(RebuildReason::Missing), 6));
    assert_eq!(answers(&store), before);
}

#[test]
fn an_older_index_is_rolled_forward() {
    let (dir, chain) = grown(3);
    let older = copy(&dir.path().join("index"));
    let (store, _) = open(dir.path(), &chain);
    chain.grow(&store, 4);
    let before = answers(&store);
    drop(store);
    fs::remove_dir_all(dir.path().join("index")).unwrap();
    fs::rename(older.path(), dir.path().join("index")).unwrap();
    let (store, recovery) = open(dir.path(), &chain);
    assert_eq!((recovery.rebuilt, recovery.replayed_blocks), (None, 4));
    assert_eq!(answers(&store), before);
}

#[test]
fn an_index_of_garbage_is_made_anew() {
    let (dir, chain) = grown(3);
    fs::write(dir.path().join("index").join("metadata"), b"nonsense").unwrap();
    let (store, recovery) = open(dir.path(), &chain);
    assert_eq!(recovery.rebuilt, Some(RebuildReason::Unreadable));
    answers(&store);
}

/// Nothing is damaged after an upgrade.
#[test]
fn an_index_of_another_layout_is_none_and_made_anew() {
    let (dir, chain) = grown(3);
    let index = dir.path().join("index");
    fs::remove_dir_all(&index).unwrap();
    let plain = parity_db::Options::with_columns(&index, 7);
    drop(parity_db::Db::open_or_create(&plain).unwrap());
    assert_eq!(checked(dir.path(), &chain).unwrap().indexed, None);
    let (store, recovery) = open(dir.path(), &chain);
    assert_eq!((recovery.rebuilt, recovery.replayed_blocks), (Some(RebuildReason::Layout), 3));
    answers(&store);
}

/// As a kill in the middle of deleting it leaves it.
#[test]
fn what_is_left_of_an_index_that_was_being_deleted_is_not_taken_for_one() {
    let (dir, chain) = grown(6);
    let (store, _) = open(dir.path(), &chain);
    let before = answers(&store);
    drop(store);
    let (index, gone) = (dir.path().join("index"), dir.path().join("index.gone"));
    fs::rename(&index, &gone).unwrap();
    for entry in fs::read_dir(&gone).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap();
        if name.starts_with("index_01_") || name.starts_with("table_01_") {
            fs::remove_file(path).unwrap();
        }
    }
    assert_eq!(checked(dir.path(), &chain).unwrap().indexed, None);
    let (store, recovery) = open(dir.path(), &chain);
    assert_eq!((recovery.rebuilt, recovery.replayed_blocks), (Some(RebuildReason::Missing), 6));
    assert_eq!(answers(&store), before);
    assert!(!gone.exists());
}

/// Where a folder was when it was deleted, seen by somebody who has held it open from before.
#[cfg(target_os = "linux")]
pub(super) fn last_name(held: &fs::File) -> String {
    use std::os::fd::AsRawFd;
    let link = fs::read_link(format!("/proc/self/fd/{}", held.as_raw_fd())).unwrap();
    link.file_name().unwrap().to_str().unwrap().to_owned()
}

#[cfg(target_os = "linux")]
#[test]
fn an_index_is_deleted_under_another_name() {
    let (dir, chain) = grown(3);
    let index = dir.path().join("index");
    let held = fs::File::open(&index).unwrap();
    fs::write(index.join("metadata"), b"nonsense").unwrap();
    let (_, recovery) = open(dir.path(), &chain);
    assert_eq!(recovery.rebuilt, Some(RebuildReason::Unreadable));
    assert_eq!(last_name(&held), "index.gone (deleted)");
}

#[test]
fn an_index_whose_every_file_is_garbage_is_made_anew() {
    let (dir, chain) = grown(4);
    let (store, _) = open(dir.path(), &chain);
    let before = answers(&store);
    drop(store);
    for entry in fs::read_dir(dir.path().join("index")).unwrap() {
        let path = entry.unwrap().path();
        let length = usize::try_from(fs::metadata(&path).unwrap().len()).unwrap();
        if path.file_name().is_some_and(|name| name != "metadata" && name != "lock") {
            fs::write(path, vec![0xa5; length.min(1 << 20)]).unwrap();
        }
    }
    let (store, recovery) = open(dir.path(), &chain);
    assert!(recovery.rebuilt.is_some());
    assert_eq!(answers(&store), before);
}

/// The negative control of the crash tests: a build that acknowledges too early is seen to do so.
#[test]
fn what_is_acknowledged_has_reached_the_system_unless_the_build_says_otherwise() {
    let (dir, chain) = (TempDir::new().unwrap(), Chain::new("one"));
    let (store, _) = open(dir.path(), &chain);
    chain.grow(&store, 3);
    let on_disk = Journal::open(&dir.path().join("journal"), SEGMENT_BYTES, stream::TornEnd::Keep)
        .unwrap()
        .height()
        .get();
    assert_eq!(on_disk, if cfg!(feature = "test-no-fsync") { 0 } else { 3 });
    assert_eq!(store.tip().height().get(), 3);
}

#[test]
fn a_held_directory_is_refused_and_the_holder_named() {
    let (dir, chain) = (TempDir::new().unwrap(), Chain::new("one"));
    let (_store, _) = open(dir.path(), &chain);
    let error = Store::open(dir.path(), chain.genesis.clone(), StoreOptions::default()).err().unwrap();
    let StoreError::Locked { pid, .. } = error else { panic!("{error}") };
    assert_eq!(pid, std::process::id().to_string());
}

#[test]
fn the_data_of_another_network_is_refused() {
    let (dir, _) = grown(1);
    let error = Store::open(dir.path(), Chain::new("two").genesis, StoreOptions::default()).err().unwrap();
    assert!(matches!(error, StoreError::OtherChain { .. }), "{error}");
}

#[test]
fn a_proposal_outlives_a_restart_until_its_height_is_decided() {
    let (dir, chain) = grown(2);
    let (store, _) = open(dir.path(), &chain);
    let block = chain.next(&store, vec![]);
    store.put_proposal(block.block(), 2, Maker::Other).unwrap();
    drop(store);
    let (store, _) = open(dir.path(), &chain);
    assert_eq!(store.proposal(&block.block().hash()).as_ref(), Some(block.block().as_ref()));
    let kept = ProposedBlock { block: block.block().as_ref().clone(), round: 2, maker: Maker::Other };
    assert_eq!(store.proposals_at(BlockHeight::new(3)), [kept]);
    store.append(&block).unwrap();
    assert_eq!(store.proposal(&block.block().hash()), None);
    // What is decided takes no room any more.
    assert_eq!(fs::metadata(journal_file(dir.path(), "proposals")).unwrap().len(), 0);
    drop(store);
    let (store, _) = open(dir.path(), &chain);
    assert_eq!(store.proposal(&block.block().hash()), None);
}

/// Somebody may have sent the very block that this node then makes.
#[test]
fn what_this_node_has_made_stays_marked_as_its_own() {
    let (dir, chain) = grown(2);
    let (store, _) = open(dir.path(), &chain);
    let block = chain.next(&store, vec![]);
    for (round, maker) in [(3, Maker::Other), (4, Maker::Own), (5, Maker::Other)] {
        store.put_proposal(block.block(), round, maker).unwrap();
    }
    let kept = ProposedBlock { block: block.block().as_ref().clone(), round: 3, maker: Maker::Own };
    assert_eq!(store.proposals_at(BlockHeight::new(3)), std::slice::from_ref(&kept));
    drop(store);
    let (store, _) = open(dir.path(), &chain);
    assert_eq!(store.proposals_at(BlockHeight::new(3)), [kept]);
}

#[test]
fn pages_join_without_gap_or_repetition() {
    let (dir, chain) = grown(9);
    let (store, _) = open(dir.path(), &chain);
    for order in [Order::OldestFirst, Order::NewestFirst] {
        let all = store.sent(&address(SENDER), None, 100, order).unwrap();
        assert_eq!(all.len(), 12);
        assert!(all.is_sorted_by_key(|e| match order {
            Order::OldestFirst => (i128::from(e.height.get()), i128::from(e.index)),
            Order::NewestFirst => (-i128::from(e.height.get()), -i128::from(e.index)),
        }));
        let (mut joined, mut after) = (Vec::new(), None);
        loop {
            let page = store.sent(&address(SENDER), after, 5, order).unwrap();
            let Some(last) = page.last() else { break };
            after = Some(Cursor { height: last.height, index: last.index });
            joined.extend(page);
        }
        assert_eq!(joined, all);
    }
    assert!(store.sent(&address(9), None, 5, Order::NewestFirst).unwrap().is_empty());
}

fn checked(dir: &Path, chain: &Chain) -> Result<CheckReport, CheckError> {
    check(dir, &chain.genesis, |_, _| {})
}

#[test]
fn a_sound_directory_checks_with_and_without_its_index() {
    let (dir, chain) = grown(7);
    let report = checked(dir.path(), &chain).unwrap();
    assert_eq!((report.blocks, report.transactions, report.bodies, report.torn_bytes), (7, 10, 5, 0));
    assert_eq!(report.indexed, Some(BlockHeight::new(7)));
    fs::remove_dir_all(dir.path().join("index")).unwrap();
    let report = checked(dir.path(), &chain).unwrap();
    assert_eq!((report.blocks, report.indexed), (7, None));
    assert!(!dir.path().join("index").exists(), "a check makes nothing");
}

#[test]
fn a_check_names_the_first_damaged_record() {
    let (dir, chain) = grown(5);
    let path = journal_file(dir.path(), "headers");
    let mut bytes = fs::read(&path).unwrap();
    let first = usize::try_from(frame::Head::parse(&bytes).unwrap().length).unwrap() + frame::HEAD_BYTES;
    for record in [first, 0] {
        bytes[record + frame::HEAD_BYTES + 40] ^= 1;
        fs::write(&path, &bytes).unwrap();
        let error = checked(dir.path(), &chain).unwrap_err();
        let CheckError::Store(StoreError::Damaged { offset, segment, .. }) = error else { panic!("{error}") };
        assert_eq!((offset, &segment), (record as u64, &path));
    }
}

#[test]
fn a_check_finds_a_block_whose_frame_is_sound_and_whose_content_is_not() {
    let (dir, chain) = grown(2);
    let journal = dir.path().join("journal");
    let (block, mut certificate) = {
        let journal = Journal::open(&journal, SEGMENT_BYTES, stream::TornEnd::Keep).unwrap();
        journal.block(BlockHeight::new(2)).unwrap().unwrap()
    };
    certificate.round = 7;
    let (payload, _) = record::encode_block(&block, &certificate);
    let layout = stream::Layout::new(SEGMENT_BYTES);
    let mut headers =
        stream::Stream::open(&journal, "headers", layout, stream::TornEnd::Cut, |_, _| Ok(())).unwrap();
    let second = Journal::open(&journal, SEGMENT_BYTES, stream::TornEnd::Keep)
        .unwrap()
        .place(BlockHeight::new(2))
        .unwrap();
    headers.cut(second.block).unwrap();
    headers.append(frame::Kind::Block, 2, &payload).unwrap();
    drop(headers);
    let error = checked(dir.path(), &chain).unwrap_err();
    let CheckError::Store(StoreError::Damaged { height, .. }) = error else { panic!("{error}") };
    assert_eq!(height, Some(2));
}

#[test]
fn a_record_that_does_not_belong_is_damage() {
    use frame::Kind::{Block, Bodies};
    // Another kind of record; bodies of a block whose bodies are there already; a block again, and one too far.
    let misplaced = [
        ("bodies", Block, 6),
        ("bodies", Bodies, 5),
        ("headers", Bodies, 6),
        ("headers", Block, 5),
        ("headers", Block, 7),
    ];
    for (name, kind, height) in misplaced {
        let (dir, _) = grown(5);
        let journal = dir.path().join("journal");
        let layout = stream::Layout::new(SEGMENT_BYTES);
        let mut records =
            stream::Stream::open(&journal, name, layout, stream::TornEnd::Cut, |_, _| Ok(())).unwrap();
        records.append(kind, height, b"anything").unwrap();
        drop(records);
        let before = fs::read(journal_file(dir.path(), name)).unwrap();
        let error = Journal::open(&journal, SEGMENT_BYTES, stream::TornEnd::Cut).unwrap_err();
        assert!(matches!(error, StoreError::Damaged { .. }), "{error}");
        assert_eq!(fs::read(journal_file(dir.path(), name)).unwrap(), before, "nothing may be cut off");
    }
}

#[test]
fn a_check_finds_an_index_ahead_of_the_journal() {
    let (dir, chain) = grown(3);
    let headers = fs::read(journal_file(dir.path(), "headers")).unwrap();
    let (store, _) = open(dir.path(), &chain);
    chain.grow(&store, 1);
    drop(store);
    fs::write(journal_file(dir.path(), "headers"), headers).unwrap();
    assert!(matches!(checked(dir.path(), &chain), Err(CheckError::Store(StoreError::Damaged { .. }))));
}

#[test]
fn a_check_finds_a_transaction_that_the_index_has_lost() {
    let (dir, chain) = grown(4);
    let (store, _) = open(dir.path(), &chain);
    let id = store.transaction_ids(BlockHeight::new(2)).unwrap().unwrap()[1];
    store.forget_transaction(&id);
    drop(store);
    let error = checked(dir.path(), &chain).unwrap_err();
    assert!(error.to_string().contains(&format!("the place of transaction {id} at height 2")), "{error}");
}

#[test]
fn a_check_finds_a_list_that_the_index_has_lost() {
    let (dir, chain) = grown(4);
    let (store, _) = open(dir.path(), &chain);
    let id = store.transaction_ids(BlockHeight::FIRST).unwrap().unwrap()[0];
    let list = (Mailbox::Received.kind(), address(RECIPIENT).as_bytes().to_vec(), None);
    store.index().put(vec![list]).unwrap();
    drop(store);
    let error = checked(dir.path(), &chain).unwrap_err();
    assert!(
        error.to_string().contains(&format!("the lists do not name transaction {id} at height 1")),
        "{error}"
    );
}

#[test]
fn a_directory_is_counted_without_its_index_too() {
    let (dir, chain) = grown(4);
    let counted = stats(dir.path(), &chain.genesis).unwrap();
    assert_eq!((counted.height.get(), counted.running, counted.torn_bytes), (4, false, 0));
    assert_eq!(counted.headers_bytes, fs::metadata(journal_file(dir.path(), "headers")).unwrap().len());
    assert_eq!(counted.bodies_bytes, fs::metadata(journal_file(dir.path(), "bodies")).unwrap().len());
    assert!(counted.index_bytes > 0);
    fs::remove_dir_all(dir.path().join("index")).unwrap();
    assert_eq!(stats(dir.path(), &chain.genesis).unwrap(), StoreStats { index_bytes: 0, ..counted });
}

#[test]
fn a_check_of_an_empty_folder_makes_no_data_directory() {
    let (dir, chain) = (TempDir::new().unwrap(), Chain::new("one"));
    assert!(matches!(checked(dir.path(), &chain), Err(CheckError::NoData { .. })));
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0);
}

#[test]
fn states_are_proven_as_far_back_as_they_are_kept_and_an_archive_keeps_all() {
    let chain = Chain::new("one");
    let (dir, archive_dir) = (TempDir::new().unwrap(), TempDir::new().unwrap());
    let options = StoreOptions { state_versions: 3, ..StoreOptions::default() };
    let (store, _) = Store::open(dir.path(), chain.genesis.clone(), options).unwrap();
    let options = StoreOptions { archive: true, ..options };
    let (archive, _) = Store::open(archive_dir.path(), chain.genesis.clone(), options).unwrap();
    chain.grow(&store, 12);
    for height in (1..=12).map(BlockHeight::new) {
        let (block, certificate) = store.certified_block(height).unwrap().unwrap();
        let verified = verify_block(&archive.tip(), &archive, block, None).unwrap();
        archive.append(&verified.commit(certificate).unwrap()).unwrap();
    }
    let key = StateKey::Directory(address(SENDER));
    let (oldest, newest) = (store.oldest_state_height().unwrap(), store.tip().height());
    let version = |height| store.state_version(height).unwrap().unwrap();
    assert_eq!(version(oldest) + 3, version(newest));
    assert!(oldest > BlockHeight::FIRST && version(oldest.previous().unwrap()) < version(oldest));
    assert_eq!(archive.oldest_state_height().unwrap(), BlockHeight::GENESIS);
    for height in (1..=12).map(BlockHeight::new) {
        let expected = archive.prove(&key, height).unwrap();
        let (record, proof) = proven(expected.clone());
        let root = store.header(height).unwrap().unwrap().0.state_root;
        proof.verify_present(&root, &key, &record.unwrap()).unwrap();
        let found = store.prove(&key, height).unwrap();
        assert_eq!(found, if height < oldest { FoundState::Dropped } else { expected });
    }
    assert_eq!(store.prove(&key, BlockHeight::new(13)).unwrap(), FoundState::Unknown);
    drop(store);
    let report = check(dir.path(), &chain.genesis, |_, _| ()).unwrap();
    assert_eq!(report.indexed, Some(BlockHeight::new(12)));
}

#[test]
fn a_missing_node_of_a_state_that_is_kept_is_noticed() {
    let chain = Chain::new("one");
    let update = {
        let dir = TempDir::new().unwrap();
        let (store, _) = open(dir.path(), &chain);
        chain.grow(&store, 3);
        chain.run(&store, 1)[0].verified().update().unwrap().clone()
    };
    assert!(update.nodes.len() > 1 && !update.stale.is_empty());
    for (later, noticed) in [(0, true), (2, true), (5, false)] {
        for (node, _) in &update.nodes {
            let dir = TempDir::new().unwrap();
            let options = StoreOptions { state_versions: 2, ..StoreOptions::default() };
            let (store, _) = Store::open(dir.path(), chain.genesis.clone(), options).unwrap();
            // From then on the version of block 4 is `later` versions old.
            chain.grow(&store, 4);
            let version = store.state_version(store.tip().height()).unwrap().unwrap();
            while store.state_version(store.tip().height()).unwrap().unwrap() < version + later {
                chain.grow(&store, 1);
            }
            let live = store.index().node(node).unwrap().is_some();
            assert!(live || later > 2);
            store.index().forget_node(node).unwrap();
            drop(store);
            let found = check(dir.path(), &chain.genesis, |_, _| ());
            assert_eq!(matches!(found, Err(CheckError::Index { .. })), noticed || live, "{found:?}");
        }
    }
}

/// Anybody can name such a recipient, as often as they like; who looks for sealed messages must not have to read them.
#[test]
fn an_open_message_to_nobody_is_no_sealed_one() {
    let (dir, chain) = (TempDir::new().unwrap(), Chain::new("one"));
    let (store, _) = open(dir.path(), &chain);
    let message = chain.message_to(index::NOBODY, b"to nobody");
    let id = message.id();
    store.append(&chain.next(&store, vec![message])).unwrap();
    assert_eq!(store.sealed(None, 10).unwrap(), Vec::new());
    assert_eq!(store.sent(&address(SENDER), None, 10, Order::OldestFirst).unwrap()[0].transaction.id(), id);
    store.check_block(BlockHeight::FIRST).unwrap().unwrap();
    drop(store);
    checked(dir.path(), &chain).unwrap();
}

/// What a message says may look like a record, and of whichever mark: that of the file is not known yet.
#[test]
fn proposals_whose_first_record_a_power_cut_tore_are_none_whatever_was_in_them() {
    let (dir, chain) = (TempDir::new().unwrap(), Chain::new("one"));
    let (store, _) = open(dir.path(), &chain);
    let imitated = frame::Head::of(*b"mine", frame::Kind::ProposalOfRound, false, 1, b"").unwrap().to_bytes();
    let mut body = "x".repeat(2_500).into_bytes();
    body.extend(imitated);
    let block = chain.next(&store, vec![chain.message_to(address(RECIPIENT), &body)]);
    store.put_proposal(block.block(), 0, Maker::Other).unwrap();
    drop(store);
    let path = journal_file(dir.path(), "proposals");
    let mut bytes = fs::read(&path).unwrap();
    // The file has its length, and the first page of it was not written.
    let page = bytes.len().min(2_900);
    assert!(bytes.len() > page + frame::HEAD_BYTES);
    bytes[..page].fill(0);
    fs::write(&path, &bytes).unwrap();
    let (store, _) = open(dir.path(), &chain);
    assert_eq!(store.proposals_at(BlockHeight::FIRST).len(), 0);
    assert_eq!(fs::read(&path).unwrap().len(), 0);
}
