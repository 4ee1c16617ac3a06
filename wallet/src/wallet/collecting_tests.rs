//! What is kept of files for letters whose secret is about to go: a sender who lies neither fills the disk nor keeps honest
//! files out. The parts wait in the wallet's folder, as if a node had been asked for them.
#![allow(clippy::unwrap_used)]

use super::Reading;
use crate::envelope::{Attachment, Content, Data, Letter, Part, Parts};
use crate::light::{Light, Proven};
use crate::testing::{Home, genesis, header};
use crate::wallet::Wallet;
use sealpost_ledger::hash::TransactionId;
use sealpost_ledger::message::Mode;
use sha2::{Digest, Sha256};
use std::fs;

const IDS: [TransactionId; 2] = [TransactionId::from_bytes([1; 32]), TransactionId::from_bytes([2; 32])];

/// A file of six bytes in two parts, of which the letter says that they are these.
fn file(said: &[u8]) -> Attachment {
    let parts = Parts { length: 6, sha256: Sha256::digest(said).into(), messages: IDS.to_vec() };
    Attachment { name: "plan.pdf".into(), data: Data::Parts(parts) }
}

/// A letter to bob with such files, whose parts are here: `onetwo` each.
fn came(alice: &Wallet, bob: &Wallet, home: &Home, attachments: Vec<Attachment>) -> Reading {
    let files = attachments.len();
    let put = alice.put_letter(bob, Mode::Sealed, Letter { attachments, ..Letter::default() });
    let (letter, opened) = bob.open_put(&put);
    let message =
        Proven { transaction: put.transaction.clone(), header: header(7), index: 0, first_seen_ms: None };
    let folder = home.path("bob", "fetched").join(bob.archive().name(&message.id()));
    fs::create_dir_all(&folder).unwrap();
    let parts = [b"one", b"two"].into_iter().zip(IDS).cycle().take(2 * files);
    for (number, (bytes, id)) in (0_u32..).zip(parts) {
        let part = Content::Part(Part { parcel: [1; 16], number, bytes: bytes.to_vec() });
        let about = [b"fetched".as_slice(), id.as_bytes()].concat();
        let sealed = bob.keystore().seal_note(&about, &part.to_bytes()).unwrap();
        fs::write(folder.join(number.to_string()), sealed).unwrap();
    }
    Reading { message, letter, opened }
}

#[tokio::test]
async fn letters_that_lie_of_the_same_parts_take_room_each_and_nothing_of_them_stays() {
    let home = Home::new();
    let (alice, bob) = (home.wallet("alice"), home.wallet("bob"));
    let light = Light::without_node(genesis()).unwrap();
    let mut room = 100;
    for left in [94, 88] {
        let reading = came(&alice, &bob, &home, vec![file(b"onetwi")]);
        bob.collector(&light, &reading, &|_, _, _| {}).keep(&mut room).await.unwrap();
        assert_eq!(room, left);
        assert_eq!(fs::read_dir(home.path("bob", "fetched")).unwrap().count(), 0);
    }
    // What is true of the same letter stays.
    let reading = came(&alice, &bob, &home, vec![file(b"onetwi"), file(b"onetwo")]);
    bob.collector(&light, &reading, &|_, _, _| {}).keep(&mut room).await.unwrap();
    assert_eq!(room, 76);
    let folder = home.path("bob", "fetched").join(bob.archive().name(&reading.message.id()));
    let mut names: Vec<_> =
        fs::read_dir(&folder).unwrap().map(|file| file.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    assert_eq!(names, ["2", "3"]);
    // Without room nothing is fetched.
    room = 5;
    let reading = came(&alice, &bob, &home, vec![file(b"onetwo")]);
    bob.collector(&light, &reading, &|_, _, _| {}).keep(&mut room).await.unwrap_err();
    assert_eq!(room, 5);
}

#[tokio::test]
async fn what_was_fetched_to_be_verified_alone_does_not_stay_after_a_lie() {
    let home = Home::new();
    let (alice, bob) = (home.wallet("alice"), home.wallet("bob"));
    let light = Light::without_node(genesis()).unwrap();
    let reading = came(&alice, &bob, &home, vec![file(b"onetwi")]);
    bob.collector(&light, &reading, &|_, _, _| {}).verify(100).await.unwrap_err();
    assert_eq!(fs::read_dir(home.path("bob", "fetched")).unwrap().count(), 0);
}
