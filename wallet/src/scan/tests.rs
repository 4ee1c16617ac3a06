//! What the file of scans promises: nothing that was found is lost, whoever else writes and whatever becomes of it.
#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

use super::*;
use crate::envelope::Letter;
use crate::testing::Home;
use sealpost_ledger::message::Mode;
use std::fs;

fn at(height: u64) -> Position {
    Position { height: BlockHeight::new(height), index: 0 }
}

pub(super) fn found(number: u8) -> Found {
    let (id, author) = (TransactionId::from_bytes([number; 32]), None);
    Found { id, at: at(number.into()), slot: 0, bundle: 1, author, kind: FoundKind::Letter }
}

fn ids(wallet: &Wallet) -> Vec<TransactionId> {
    wallet.scan_state().unwrap().found().iter().map(|found| found.id).collect()
}

fn damage(path: &std::path::Path) -> Vec<u8> {
    let mut bytes = fs::read(path).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    fs::write(path, &bytes).unwrap();
    bytes
}

/// The reply's key may be destroyed: then the archive alone has it.
#[test]
fn a_damaged_file_is_kept_aside_and_answers_come_back_from_the_archive() {
    let home = Home::new();
    let (alice, bob) = (home.wallet("alice"), home.wallet("bob"));
    let letter = Letter { text: "Meet me at noon".into(), ..Letter::default() };
    let sent = alice.put_letter(&bob, Mode::Sealed, letter);
    let (_, opened) = bob.open_put(&sent);
    let message = sent.transaction.id();
    let receipt = Receipt { message, slot: opened.slot, answer: opened.answer() };
    let answers = vec![receipt, Receipt { slot: 3, ..receipt }];
    let letter = Letter { reply_to: Some(message), answers, ..Letter::default() };
    let reply = bob.put_letter(&alice, Mode::Sealed, letter);
    alice.keep_put(&reply, 7);

    let path = home.path("alice", "scan");
    assert_eq!(alice.scan_state().unwrap(), ScanState::default());
    let (mut state, mut file) = alice.take_up_scan().unwrap();
    state.found.push(found(9));
    alice.keep_scan(&mut state, &mut file).unwrap();
    let held = alice.scan_state().unwrap().answer(&message, 0).unwrap();
    assert_eq!((held.receipt, held.reply, held.at), (receipt, reply.transaction.id(), at(7)));

    for (time, name) in ["scan.damaged", "scan.damaged-2"].into_iter().enumerate() {
        let damaged = damage(&path);
        let told = crate::failure(alice.scan_state().unwrap_err());
        assert_eq!(told.code, "scan.damaged");
        assert_eq!(fs::read(&path).unwrap(), damaged, "to look at it changes nothing");
        let (state, _) = alice.take_up_scan().unwrap();
        assert_eq!(state.looked.position, Position::default(), "{time}");
        assert_eq!(alice.scan_set_aside(), Some(home.path("alice", name)));
        assert_eq!(alice.scan_set_aside(), None, "told once");
        assert_eq!(fs::read(home.path("alice", name)).unwrap(), damaged);
        let again = alice.scan_state().unwrap();
        assert_eq!(again.answers(), [held], "one that does not hold is none");
        let [reply] = again.found() else { unreachable!() };
        assert_eq!((reply.id, reply.bundle, reply.kind), (held.reply, 1, FoundKind::Receipts));
    }
    // While a scan is at work, too: what it knows itself stays, and what another has written in between is kept aside.
    let (mut state, mut file) = alice.take_up_scan().unwrap();
    state.found.push(found(9));
    alice.begin_anew().unwrap();
    damage(&path);
    alice.keep_scan(&mut state, &mut file).unwrap();
    assert_eq!(ids(&alice), [held.reply, found(9).id]);
    assert_eq!(alice.scan_set_aside(), Some(home.path("alice", "scan.damaged-3")));
    // Gone altogether it is no different.
    fs::remove_file(&path).unwrap();
    alice.take_up_scan().unwrap();
    assert_eq!(alice.scan_state().unwrap().answers(), [held]);
}

#[test]
fn what_two_scans_of_one_wallet_find_at_a_time_stays() {
    let home = Home::new();
    let one = home.wallet("alice");
    let other = home.open("alice");
    let (mut mine, mut file) = one.take_up_scan().unwrap();
    let (mut theirs, mut their_file) = other.take_up_scan().unwrap();
    (theirs.looked.position, theirs.looked.secrets) = (at(20), vec![1]);
    theirs.found.push(found(9));
    other.keep_scan(&mut theirs, &mut their_file).unwrap();
    (mine.looked.position, mine.looked.secrets) = (at(10), vec![1]);
    mine.found.push(found(5));
    one.keep_scan(&mut mine, &mut file).unwrap();
    assert_eq!(ids(&one), [found(9).id, found(5).id]);
    assert_eq!(one.scan_state().unwrap().position(), at(20));
    assert_eq!(mine.looked.position, at(10), "it goes on where it is");
    // Alone again, each goes on from what both know.
    mine.looked.position = at(15);
    mine.found.push(found(12));
    one.keep_scan(&mut mine, &mut file).unwrap();
    other.keep_scan(&mut theirs, &mut their_file).unwrap();
    assert_eq!(ids(&one), [found(9).id, found(5).id, found(12).id]);
    assert_eq!(one.scan_state().unwrap().position(), at(20));
}

#[test]
fn a_scan_that_was_begun_before_a_rescan_does_not_end_it() {
    let home = Home::new();
    let one = home.wallet("alice");
    let other = home.open("alice");
    let (mut before, mut file) = one.take_up_scan().unwrap();
    (before.looked.position, before.looked.secrets) = (at(20), vec![1]);
    before.found.push(found(9));
    one.keep_scan(&mut before, &mut file).unwrap();
    let (mut anew, mut new_file) = other.begin_anew().unwrap();
    assert_eq!(anew.looked.position, Position::default());
    for height in [25, 26] {
        before.looked.position = at(height);
        one.keep_scan(&mut before, &mut file).unwrap();
        assert_eq!(one.scan_state().unwrap().position(), Position::default(), "{height}");
    }
    anew.looked.position = at(3);
    anew.found.push(found(2));
    other.keep_scan(&mut anew, &mut new_file).unwrap();
    assert_eq!(one.scan_state().unwrap().position(), at(3));
    assert_eq!(ids(&one), [found(9).id, found(2).id]);
}
