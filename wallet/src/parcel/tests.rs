//! What parcels promise: what is cut is put together again, and every lie of a sender has a name.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic)]

use super::*;
use crate::envelope::{
    Attachment, BundleSecret, Content, Data, Letter, Part, Parts, Recipient, SealRequest, padded_length, seal,
};
use crate::testing::genesis;
use proptest::prelude::*;
use sealpost_ledger::address::Address;
use sealpost_ledger::hash::TransactionId;
use sealpost_ledger::height::BlockHeight;
use sealpost_ledger::signature::SigningKey;
use sha2::{Digest, Sha256};

const PARCEL: [u8; 16] = [9; 16];

fn id(number: u64) -> TransactionId {
    let mut bytes = [0; 32];
    bytes[..8].copy_from_slice(&number.to_le_bytes());
    TransactionId::from_bytes(bytes)
}

fn named(length: u64, chunk: usize) -> Parts {
    Parts { length, sha256: [0; 32], messages: (0..parts_of(length, chunk)).map(id).collect() }
}

/// Some bytes, cut, and what a letter says of them. They are numbered from `first`.
fn cut(bytes: &[u8], chunk: usize, first: u32) -> (Parts, Vec<Content>) {
    let sha256 = Sha256::digest(bytes).into();
    let parts = (first..)
        .zip(bytes.chunks(chunk))
        .map(|(number, bytes)| Content::Part(Part { parcel: PARCEL, number, bytes: bytes.to_vec() }));
    let parts: Vec<_> = parts.collect();
    let messages = (0..parts.len() as u64).map(id).collect();
    (Parts { length: bytes.len() as u64, sha256, messages }, parts)
}

fn piece(parts: &Parts, first: u32) -> Piece<'_> {
    Piece { what: "plan.pdf".into(), attachment: Some(0), first, parts }
}

fn assemble(announced: &Parts, parts: Vec<Content>, first: u32) -> Result<Vec<u8>, ParcelError> {
    let piece = piece(announced, first);
    let mut assembly = Assembly::begin(&piece, 1 << 20, 1000, None, Vec::new())?;
    for part in parts {
        assembly.add(part)?;
    }
    Ok(assembly.finish()?.0)
}

fn fault(result: Result<Vec<u8>, ParcelError>) -> (usize, String) {
    match result.unwrap_err() {
        ParcelError::Foreign { number, fault, .. } => (number, fault),
        other => panic!("{other}"),
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn what_is_cut_is_put_together_again(
        bytes in proptest::collection::vec(any::<u8>(), 1..4000), chunk in 1_usize..1000, first in 0_u32..9
    ) {
        let (announced, parts) = cut(&bytes, chunk, first);
        prop_assert_eq!(assemble(&announced, parts, first).unwrap(), bytes);
    }

    #[test]
    fn a_changed_byte_of_any_part_is_found(
        bytes in proptest::collection::vec(any::<u8>(), 1..2000), chunk in 1_usize..500,
        at in any::<prop::sample::Index>(), mask in 1_u8..
    ) {
        let (announced, _) = cut(&bytes, chunk, 0);
        let mut changed = bytes;
        let at = at.index(changed.len());
        changed[at] ^= mask;
        let (_, parts) = cut(&changed, chunk, 0);
        let is_found = matches!(assemble(&announced, parts, 0), Err(ParcelError::Hash { .. }));
        prop_assert!(is_found);
    }

    #[test]
    fn the_largest_content_just_fits(limit in 200_usize..300_000) {
        let largest = largest_content(limit);
        let body = |content: usize| padded_length(content + 36) + 40;
        prop_assert!(body(largest) <= limit);
        prop_assert!(body(largest + 1) > limit);
    }

    #[test]
    fn a_planned_letter_fits_and_its_length_is_foreseen(
        text in "[a-zä]{0,9000}", files in proptest::collection::vec((0_usize..40, 0_u64..9000), 0..6),
        subject in 0_usize..40, room in 5_500_usize..20_000
    ) {
        let sizes = Sizes { subject, text: &text, files };
        let plan = plan(&sizes, room).unwrap();
        let rest = text.len() - plan.head;
        let attachments = sizes.files.iter().zip(&plan.ahead).map(|((name, length), ahead)| Attachment {
            name: "n".repeat(*name),
            data: match ahead {
                true => Data::Parts(named(*length, plan.chunk)),
                false => Data::Whole(vec![0; usize::try_from(*length).unwrap()]),
            },
        });
        let letter = Letter {
            subject: "s".repeat(subject),
            text: text[..plan.head].to_owned(),
            continued: (rest > 0).then(|| named(rest as u64, plan.chunk)),
            reply_to: Some(id(1)),
            attachments: attachments.collect(),
            ..Letter::default()
        };
        let encoded = Content::Letter(letter).to_bytes().len();
        prop_assert!(encoded <= room);
        prop_assert_eq!(encoded as u64, length(&sizes, &plan));
        let part = Content::Part(Part { parcel: PARCEL, number: 0, bytes: vec![0; plan.chunk] });
        prop_assert!(part.to_bytes().len() <= room);
    }
}

#[test]
fn what_fits_stays_whole_and_what_is_longest_goes_first() {
    let text = "x".repeat(5000);
    let fits = Sizes { subject: 4, text: &text, files: vec![(8, 2000)] };
    let whole = plan(&fits, 10_000).unwrap();
    assert_eq!((whole.head, whole.ahead), (5000, vec![false]));
    let sizes = Sizes { subject: 4, text: &text, files: vec![(8, 2000), (8, 9000)] };
    let file = plan(&sizes, 10_000).unwrap();
    assert_eq!((file.head, file.ahead), (5000, vec![false, true]));
    let text = "x".repeat(20_000);
    let sizes = Sizes { subject: 4, text: &text, files: vec![(8, 2000)] };
    let cut = plan(&sizes, 10_000).unwrap();
    assert_eq!((cut.head, cut.ahead), (TEXT_HEAD_BYTES, vec![false]));
}

#[test]
fn too_many_files_for_one_letter_are_refused_with_the_limit() {
    let sizes = Sizes { subject: 0, text: "", files: vec![(10, 60); 200] };
    assert!(matches!(plan(&sizes, 5000), Err(SealError::TooLong { limit: 5000, .. })));
    // Though there is room for them.
    let sizes = Sizes { subject: 0, text: "", files: vec![(1, 0); 10_001] };
    let refused = plan(&sizes, 4 << 20).unwrap_err();
    assert_eq!(refused, SealError::TooMany { what: "attachments", count: 10_001 });
    assert!(refused.to_string().contains("the limit is 10000"), "{refused}");
}

#[test]
fn the_room_obeys_body_limit_and_the_strangers_part_of_a_block() {
    let genesis = crate::testing::genesis();
    let content = room(&genesis, 1, Mode::Open);
    assert_eq!(padded_length(content + 36) + 40, 63_488 + 40);
    let mut file = genesis.file().clone();
    file.postage.strangers_percent = 3;
    let narrow = Genesis::new(file).unwrap();
    let (narrow_room, block) =
        (room(&narrow, 1, Mode::Open), usize::try_from(genesis.limits().block_bytes).unwrap());
    assert!(narrow_room > 10_000 && padded_length(narrow_room + 36) + 40 + beside(1) <= block / 100 * 3);
}

#[test]
fn every_lie_about_parts_has_a_name() {
    let bytes = vec![7; 2500];
    let (announced, parts) = cut(&bytes, 1000, 0);
    let swapped = vec![parts[1].clone(), parts[0].clone(), parts[2].clone()];
    assert_eq!(fault(assemble(&announced, swapped, 0)), (1, "has number 1 where 0 is due".into()));
    let repeated = vec![parts[0].clone(), parts[0].clone()];
    assert_eq!(fault(assemble(&announced, repeated, 0)), (2, "has number 0 where 1 is due".into()));
    let letter = vec![parts[0].clone(), Letter::default().into()];
    assert_eq!(fault(assemble(&announced, letter, 0)), (2, "is a letter".into()));
    let mut other = parts.clone();
    other[2] = Content::Part(Part { parcel: [8; 16], number: 2, bytes: vec![7; 500] });
    assert_eq!(fault(assemble(&announced, other, 0)), (3, "belongs to another letter".into()));
    let mut empty = parts.clone();
    empty[1] = Content::Part(Part { parcel: PARCEL, number: 1, bytes: Vec::new() });
    assert_eq!(fault(assemble(&announced, empty, 0)), (2, "is empty".into()));
    let mut long = parts.clone();
    long[2] = Content::Part(Part { parcel: PARCEL, number: 2, bytes: vec![7; 600] });
    assert_eq!(fault(assemble(&announced, long, 0)).1, "makes 2600 bytes, and 2500 were announced");
    let short = parts[..2].to_vec();
    assert!(matches!(assemble(&announced, short, 0), Err(ParcelError::Length { found: 2000, .. })));
    let other_hash = Parts { sha256: [1; 32], ..announced.clone() };
    assert!(matches!(assemble(&other_hash, parts.clone(), 0), Err(ParcelError::Hash { .. })));
    assert_eq!(assemble(&announced, parts, 0).unwrap(), bytes);
}

#[test]
fn an_announced_length_that_cannot_be_is_refused_before_anything_is_fetched() {
    let begin = |length: u64, count: u64, limit: u64| {
        let parts = Parts { length, sha256: [0; 32], messages: (0..count).map(id).collect() };
        Assembly::begin(&piece(&parts, 0), limit, 1000, None, Vec::new()).map(|_| ()).unwrap_err()
    };
    assert!(matches!(begin(u64::MAX, 3, 5000), ParcelError::TooLong { limit: 5000, .. }));
    for (length, count) in [(u64::MAX, 3), (3001, 3), (2, 3), (0, 0), (0, 1), (500, 0)] {
        assert!(matches!(begin(length, count, u64::MAX), ParcelError::Impossible { .. }), "{length} {count}");
    }
}

#[test]
fn parts_are_numbered_through_the_letter_text_first() {
    let file = |name: &str, data| Attachment { name: name.into(), data };
    let letter = Letter {
        continued: Some(named(2500, 1000)),
        attachments: vec![
            file("a", Data::Parts(named(1500, 1000))),
            file("b", Data::Whole(vec![1])),
            file("c", Data::Parts(named(10, 1000))),
        ],
        ..Letter::default()
    };
    let found: Vec<_> = pieces(&letter).iter().map(|piece| (piece.attachment, piece.first)).collect();
    assert_eq!(found, [(None, 0), (Some(0), 3), (Some(2), 5)]);
}

#[test]
fn the_fullest_part_can_be_sealed_and_a_byte_more_can_not() {
    let genesis = genesis();
    let key = SigningKey::from_bytes(&[1; 32]).unwrap();
    let sender = Address::new(key.public_key());
    for (mode, count) in [(Mode::Open, 1), (Mode::Open, 9), (Mode::Sealed, 1), (Mode::Sealed, 9)] {
        let recipients: Vec<Recipient> = (1..=count)
            .map(|number| {
                let key = SigningKey::from_bytes(&[number; 32]).unwrap();
                let bundle = BundleSecret::generate(1).unwrap().bundle(BlockHeight::new(50));
                Recipient { address: Address::new(key.public_key()), bundle }
            })
            .collect();
        let fits = |bytes: usize| {
            let content = Content::Part(Part { parcel: PARCEL, number: 1, bytes: vec![7; bytes] });
            let request = SealRequest {
                chain: genesis.chain_id(),
                sender,
                author: (mode == Mode::Sealed).then_some(&key),
                expiry: BlockHeight::new(50),
                recipients: &recipients,
                content: &content,
                body_limit: genesis.limits().body_bytes,
            };
            seal(&request).is_ok()
        };
        let fullest = room(&genesis, recipients.len(), mode) - PART_BYTES;
        assert!(fits(fullest), "{mode:?} to {count}");
        assert!(!fits(fullest + 1), "{mode:?} to {count}");
    }
}
