//! What becomes of a wallet of which one file was altered, or of which the disk does not show something: the rest goes
//! on, and nothing is signed or sent twice.
#![allow(clippy::unwrap_used)]

use super::*;
use crate::drafts::Typed;
use crate::envelope::Letter;
use crate::outbox::{Listing, OutboxError};
use crate::search::Query;
use crate::testing::Home;
use crate::wallet::{BulkList, Draft, Repeat};
use sealpost_ledger::message::Mode;
use std::fs;

fn letter(text: &str) -> Letter {
    Letter { text: text.into(), ..Letter::default() }
}

/// Changes the last hexadecimal digit of a field in an entry of the outbox.
fn alter(home: &Home, id: &TransactionId, field: &str, to: Option<char>) {
    let path = home.path("alice", "outbox").join(format!("{id}.json"));
    let text = fs::read_to_string(&path).unwrap();
    let begins = text.find(&format!("\"{field}\": \"")).unwrap();
    let last = begins + field.len() + 4 + text.get(begins + field.len() + 5..).unwrap().find('"').unwrap();
    let digit = text.get(last..=last).unwrap();
    let digit = to.unwrap_or(if digit == "0" { '1' } else { '0' });
    fs::write(&path, format!("{}{digit}{}", text.get(..last).unwrap(), text.get(last + 1..).unwrap()))
        .unwrap();
}

#[test]
fn an_altered_note_hides_its_own_letter_alone_and_nobody_is_sent_to_the_words() {
    let home = Home::new();
    let (alice, bob) = (home.wallet("alice"), home.wallet("bob"));
    let [lift, stairs] =
        ["the lift", "the stairs"].map(|text| alice.put_letter(&bob, Mode::Open, letter(text)));
    let lift = lift.transaction.id();
    alter(&home, &lift, "note", None);
    let found = alice.search(&Query::new(["the"]).unwrap(), 10).unwrap();
    assert_eq!((found.unreadable, found.hits().count()), (1, 1));
    assert_eq!(alice.links().unwrap().1, 1);
    assert!(alice.letter(&stairs.transaction.id()).unwrap().is_some());
    let told = crate::failure(alice.letter(&lift).unwrap_err());
    assert_eq!((told.code.as_ref(), told.exit), ("outbox.altered", sealpost_terminal::Exit::Unavailable));
    assert!(told.message.contains(&lift.to_string()) && told.message.contains("note"), "{told}");
    assert!(!told.help.unwrap().contains("mnemonic"));
}

#[test]
fn an_altered_author_block_hides_whom_one_message_is_to_and_stops_no_answer() {
    let home = Home::new();
    let (alice, bob) = (home.wallet("alice"), home.wallet("bob"));
    let [one, other] = ["one", "other"].map(|text| alice.put_letter(&bob, Mode::Sealed, letter(text)));
    let answers = [&one, &other].map(|put| {
        let (_, opened) = bob.open_put(put);
        let (message, slot, answer) = (put.transaction.id(), opened.slot, opened.answer());
        sealpost_ledger::receipt::Receipt { message, slot, answer }
    });
    let hold = || answers.map(|receipt| alice.answer_holds(&receipt, &bob.address()).unwrap());
    assert_eq!(hold(), [true, true]);
    alter(&home, &one.transaction.id(), "author", None);
    assert_eq!(hold(), [false, true]);
    let entries = alice.outbox().list().unwrap();
    let hidden = entries.iter().filter(|entry| alice.sent_to(entry).is_err()).count();
    assert_eq!((entries.len(), hidden), (2, 1));
    alter(&home, &one.transaction.id(), "author", Some('x'));
    assert_eq!(hold(), [false, true]);
    assert!(alice.sealed_receipts_given().unwrap().is_empty());
}

#[test]
fn an_entry_that_is_no_json_keeps_neither_the_others_nor_the_drafts_back() {
    let home = Home::new();
    let (alice, bob) = (home.wallet("alice"), home.wallet("bob"));
    let [one, other] = ["one", "other"].map(|text| alice.put_letter(&bob, Mode::Open, letter(text)));
    let draft = alice.keep_draft(Typed::new(vec![bob.address()], "Lift".into(), "x".into())).unwrap().id;
    alter(&home, &one.transaction.id(), "note", Some('x'));
    let Listing { entries, damaged } = alice.outbox().read_all().unwrap();
    assert_eq!(entries.iter().map(|entry| entry.id).collect::<Vec<_>>(), [other.transaction.id()]);
    assert!(matches!(damaged.as_slice(), [OutboxError::Malformed { .. }]), "{damaged:?}");
    assert_eq!(alice.links().unwrap().1, 1);
    assert_eq!(alice.drafts().unwrap().drafts.len(), 1);
    // It may be what this draft has become: to send it might be to send it twice.
    let refused = alice.take_draft(&draft.to_string()).unwrap_err();
    assert_eq!(crate::failure(refused).code, "outbox.malformed");
    let list =
        BulkList::new(vec![Draft { to: vec![bob.address()], content: letter("x").into(), mode: Mode::Open }]);
    assert_eq!(crate::failure(alice.take_list(&list, Repeat::Never).unwrap_err()).code, "outbox.malformed");
}

#[test]
fn an_entry_in_the_place_of_another_is_no_entry() {
    let home = Home::new();
    let (alice, bob) = (home.wallet("alice"), home.wallet("bob"));
    let id = alice.put_letter(&bob, Mode::Open, letter("one")).transaction.id();
    let folder = home.path("alice", "outbox");
    fs::copy(folder.join(format!("{id}.json")), folder.join(format!("{:064}.json", 7))).unwrap();
    let Listing { entries, damaged } = alice.outbox().read_all().unwrap();
    assert_eq!((entries.len(), damaged.len()), (1, 1));
    // Put aside under another name it is none.
    fs::rename(folder.join(format!("{:064}.json", 7)), folder.join(format!("{:064}.damaged", 7))).unwrap();
    assert_eq!(alice.outbox().list().unwrap().len(), 1);
}

#[test]
fn an_outbox_that_can_not_be_read_is_not_an_empty_one() {
    let home = Home::new();
    let (alice, bob) = (home.wallet("alice"), home.wallet("bob"));
    let list =
        BulkList::new(vec![Draft { to: vec![bob.address()], content: letter("x").into(), mode: Mode::Open }]);
    let id = alice.put_letter(&bob, Mode::Open, letter("one")).transaction.id();
    let draft = alice.keep_draft(Typed::new(vec![bob.address()], "Lift".into(), "x".into())).unwrap().id;
    // A file where the folder was: it can be read by nobody, by root neither.
    for folder in ["outbox", "drafts"] {
        let path = home.path("alice", folder);
        fs::rename(&path, path.with_extension("away")).unwrap();
        fs::write(&path, "").unwrap();
    }
    let code = |error| crate::failure(error).code;
    assert_eq!(code(alice.take_list(&list, Repeat::Never).unwrap_err()), "file.io");
    assert_eq!(code(alice.outbox().ids().unwrap_err().into()), "file.io");
    assert_eq!(code(alice.outbox().get(&id).unwrap_err().into()), "file.io");
    assert!(alice.outbox().has(&id));
    assert_eq!(code(alice.drafts().unwrap_err()), "file.io");
    assert_eq!(code(alice.take_draft(&draft.to_string()).unwrap_err()), "file.io");
    assert_eq!(code(alice.has_begun(draft).unwrap_err()), "file.io");
}
