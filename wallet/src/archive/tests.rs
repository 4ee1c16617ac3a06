//! What the archive promises.
#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

use super::*;
use crate::envelope::{Attachment, Content, Data, Letter};
use crate::letters::{Kept, Links};
use crate::search::{Found, Query};
use crate::testing::{genesis, header};
use proptest::prelude::*;
use sealpost_ledger::address::Address;
use sealpost_ledger::height::BlockHeight;
use sealpost_ledger::membership::Designate;
use sealpost_ledger::signature::SigningKey;
use sealpost_ledger::transaction::{Payload, SignedTransaction, TRANSACTION_VERSION, Transaction};

const SECRET: &str = "the lift in house seven";

fn key() -> SigningKey {
    SigningKey::from_bytes(&[3; 32]).unwrap()
}

/// Another transaction for each number; what it does is of no account here.
fn transaction(number: u64) -> SignedTransaction {
    let transaction = Transaction {
        version: TRANSACTION_VERSION,
        chain: genesis().chain_id(),
        sender: Address::new(key().public_key()),
        expiry: BlockHeight::new(number),
        payload: Payload::Designate(Designate { class: "x".into(), to: Address::new(key().public_key()) }),
        nonce: 0,
    };
    transaction.sign(&key(), &[0; 32]).unwrap()
}

fn record(number: u64, letter: Letter) -> Record {
    let author = Address::new(key().public_key());
    let facts = Facts {
        way: Way::Came,
        author,
        to: vec![author],
        header: header(number),
        index: 2,
        slot: 1,
        salt: [7; 32],
        content: Content::Letter(letter).to_bytes(),
        author_block: None,
        whole_text: None,
        receipt_secret: Some([9; 32]),
        kept_ms: 5,
    };
    Record::new(transaction(number), facts).unwrap()
}

fn letter(text: &str) -> Letter {
    let attachments = vec![Attachment { name: "plan.pdf".into(), data: Data::Whole(vec![7; 300]) }];
    Letter { subject: "Lift".into(), text: text.into(), attachments, ..Letter::default() }
}

fn archive(dir: &tempfile::TempDir) -> Archive {
    Archive::open(&dir.path().join("archive"), ArchiveKey::generate().unwrap()).unwrap()
}

#[test]
fn a_letter_comes_back_whole_and_no_byte_of_it_is_readable() {
    let dir = tempfile::tempdir().unwrap();
    let archive = archive(&dir);
    let record = record(1, letter(SECRET));
    archive.put(&record).unwrap();
    assert_eq!(archive.get(&record.id()).unwrap(), Some(record.clone()));
    let all: Vec<_> = archive.records().unwrap().map(Result::unwrap).collect();
    assert_eq!(all, std::slice::from_ref(&record));
    let path = archive.path(&record.id());
    let file = fs::read(&path).unwrap();
    for clear in [SECRET.as_bytes(), b"plan.pdf", record.id().as_bytes(), &[7; 32]] {
        assert!(!file.windows(clear.len()).any(|window| window == clear));
    }
    assert!(!path.to_string_lossy().contains(&record.id().to_string()[..16]));
    assert_eq!(archive.get(&transaction(2).id()).unwrap(), None);
}

#[test]
fn a_letter_that_is_damaged_counts_as_not_kept() {
    let dir = tempfile::tempdir().unwrap();
    let archive = archive(&dir);
    let record = record(1, letter(SECRET));
    assert!(!archive.keeps(&record.id()).unwrap());
    archive.put(&record).unwrap();
    assert!(archive.keeps(&record.id()).unwrap());
    let path = archive.path(&record.id());
    let whole = fs::read(&path).unwrap();
    for damaged in [whole[..whole.len() - 1].to_vec(), Vec::new(), vec![0xff; 100]] {
        fs::write(&path, damaged).unwrap();
        assert!(!archive.keeps(&record.id()).unwrap() && archive.has_file(&record.id()));
    }
}

#[test]
fn files_of_letters_of_like_size_have_one_length() {
    let dir = tempfile::tempdir().unwrap();
    let archive = archive(&dir);
    let lengths =
        ["a".repeat(100), "b".repeat(110)].map(|text| archive.file(&record(1, letter(&text))).unwrap().len());
    assert_eq!(lengths[0], lengths[1]);
}

#[test]
fn another_key_an_altered_byte_and_another_place_are_refused() {
    let dir = tempfile::tempdir().unwrap();
    let archive = archive(&dir);
    let record = record(1, letter(SECRET));
    archive.put(&record).unwrap();
    let path = archive.path(&record.id());
    let whole = fs::read(&path).unwrap();
    for at in [1, 24, 25, 60, whole.len() - 1] {
        let mut altered = whole.clone();
        altered[at] ^= 1;
        fs::write(&path, altered).unwrap();
        assert!(matches!(archive.get(&record.id()), Err(ArchiveError::Damaged { .. })), "byte {at}");
    }
    fs::write(&path, [&[9], &whole[1..]].concat()).unwrap();
    assert!(matches!(archive.get(&record.id()), Err(ArchiveError::Format { found: 9, .. })));
    // As another letter's file.
    let other = transaction(2).id();
    fs::write(archive.path(&other), &whole).unwrap();
    assert!(matches!(archive.get(&other), Err(ArchiveError::Damaged { .. })));
    // Under another wallet's key, even if the name were right.
    let stranger = Archive { folder: archive.folder.clone(), key: ArchiveKey::generate().unwrap() };
    fs::write(stranger.path(&record.id()), &whole).unwrap();
    assert!(matches!(stranger.get(&record.id()), Err(ArchiveError::Damaged { .. })));
}

#[test]
fn what_is_forgotten_is_gone_and_stays_marked() {
    let dir = tempfile::tempdir().unwrap();
    let mut archive = archive(&dir);
    let (one, two) = (record(1, letter(SECRET)), record(2, letter("two")));
    archive.put(&one).unwrap();
    archive.put(&two).unwrap();
    assert_eq!(archive.marked(&one.id()).unwrap(), None);
    archive.mark(&one.id(), Mark::Read).unwrap();
    assert_eq!(archive.marked(&one.id()).unwrap(), Some(Mark::Read));
    archive.unmark(&one.id()).unwrap();
    assert_eq!(archive.marked(&one.id()).unwrap(), None);
    assert!(archive.forget(&one.id()).unwrap() && !archive.forget(&one.id()).unwrap());
    archive.mark(&one.id(), Mark::Read).unwrap();
    archive.unmark(&one.id()).unwrap();
    assert_eq!(archive.marked(&one.id()).unwrap(), Some(Mark::Forgotten));
    assert_eq!(archive.get(&one.id()).unwrap(), None);
    // With another key, a copy of an old file is useless, and marks are still found.
    let copy = fs::read(archive.path(&two.id())).unwrap();
    archive.empty(archive.renewed_key().unwrap()).unwrap();
    assert_eq!(archive.records().unwrap().count(), 0);
    fs::write(archive.path(&two.id()), copy).unwrap();
    assert!(matches!(archive.get(&two.id()), Err(ArchiveError::Damaged { .. })));
    assert_eq!(archive.marked(&one.id()).unwrap(), Some(Mark::Forgotten));
}

#[test]
fn what_a_crash_left_half_written_is_no_letter_and_is_swept_away_in_time() {
    let dir = tempfile::tempdir().unwrap();
    let archive = archive(&dir);
    let one = record(1, letter(SECRET));
    archive.put(&one).unwrap();
    let [old, new] = [".sealpost-x1y2z3", ".sealpost-a1b2c3"].map(|name| archive.folder.join(name));
    for path in [&old, &new] {
        fs::write(path, b"half").unwrap();
    }
    let long_ago = std::time::SystemTime::now() - LONGEST_WRITE * 2;
    fs::File::options().write(true).open(&old).unwrap().set_modified(long_ago).unwrap();
    assert_eq!(archive.records().unwrap().count(), 1);
    archive.forget(&one.id()).unwrap();
    assert_eq!((old.exists(), new.exists()), (false, true));
}

/// Ten thousand letters, every hundredth with the word, and one file that is broken.
#[test]
fn a_search_through_ten_thousand_letters_finds_all_and_shows_the_newest() {
    let dir = tempfile::tempdir().unwrap();
    let archive = archive(&dir);
    let filler = "Lorem ipsum dolor sit amet, consetetur sadipscing elitr. ".repeat(20);
    for number in 1..=10_000 {
        let text = if number % 100 == 0 { format!("{filler} Ärger {filler}") } else { filler.clone() };
        let record = record(number, letter(&text));
        // Written without fsync: this is about finding.
        fs::write(archive.path(&record.id()), archive.file(&record).unwrap()).unwrap();
    }
    fs::write(archive.folder.join("00.letter"), b"\x01broken").unwrap();
    let (query, mut found) = (Query::new(["ARGER", "lift"]).unwrap(), Found::new(3));
    let mut links = Links::default();
    for record in archive.records().unwrap() {
        match record {
            Ok(record) => {
                let kept = Kept::from(record);
                links.add(&kept);
                found.look_at(&query, &kept, &|_| String::new());
            }
            Err(ArchiveError::Damaged { .. }) => found.unreadable += 1,
            Err(error) => unreachable!("{error}"),
        }
    }
    assert_eq!((found.letters, found.matching, found.unreadable), (10_000, 100, 1));
    let newest: Vec<_> = found.hits().map(|hit| hit.place.time_ms()).collect();
    assert_eq!(newest, [10_000, 9_900, 9_800]);
    assert!(found.hits().all(|hit| hit.snippet.contains("Ärger")));
    assert_eq!(links.in_order().len(), 10_000);
}

proptest! {
    #[test]
    fn a_record_is_what_it_was(
        number in 1..u64::MAX, subject in any::<String>(), text in any::<String>(), whole in any::<Option<String>>(),
        salt in any::<[u8; 32]>(), secret in any::<Option<[u8; 32]>>(),
    ) {
        let mut facts = record(number, Letter { subject, text, ..Letter::default() }).facts;
        (facts.salt, facts.receipt_secret, facts.whole_text) = (salt, secret, whole);
        let record = Record::new(transaction(number), facts).unwrap();
        prop_assert_eq!(Record::from_bytes(&record.to_bytes()).unwrap(), record);
    }

    #[test]
    fn a_reader_of_records_takes_no_other_bytes(bytes in any::<Vec<u8>>(), at in any::<prop::sample::Index>(), with in 1..=255_u8) {
        prop_assert!(Record::from_bytes(&bytes).is_err());
        let record = record(1, letter(SECRET));
        let mut altered = record.to_bytes();
        let place = at.index(altered.len());
        altered[place] ^= with;
        // Either refused, or another record: never the same one from other bytes.
        if let Ok(other) = Record::from_bytes(&altered) {
            prop_assert_ne!(&other, &record);
            prop_assert_eq!(other.to_bytes(), altered.clone());
        }
        prop_assert!(Record::from_bytes(&altered[..place]).is_err());
    }
}
