//! Claims about the evidence of sealed messages: a one-time key signs outside, the author inside.

use super::*;
use crate::author::{AuthorBlock, AuthorError, author_salt, message_context};
use crate::codec::encode;
use crate::evidence::SealedAnswer;
use crate::message::{Message, Mode, Slot, SlotRecipient, Suite, content_commit, key_commit};
use crate::receipt::receipt_commit;
use crate::testing::SECRETS;

/// Seed of the one-time key.
const ONE_TIME: u8 = 90;
/// Seed of one who has nothing to do with it.
const DAVE: u8 = 77;
const BLINDING: [u8; 32] = [0xb1; 32];
/// The message that the letter answers.
const ANSWERED: TransactionId = TransactionId::from_bytes([0xab; 32]);

/// A letter that says nothing and answers another message, as the wallet would encode it.
fn letter() -> Vec<u8> {
    let opened = Answer::Opened { secret: SECRETS[1] };
    let refused = Answer::Refused { reason: RefusalReason::Unwanted };
    let answers = vec![
        Receipt { message: ANSWERED, slot: 0, answer: opened },
        Receipt { message: ANSWERED, slot: 1, answer: refused },
    ];
    let nothing = (String::new(), String::new(), None::<u8>, Some(ANSWERED));
    encode(&(0_u32, nothing, answers, Vec::<u8>::new()))
}

/// The disclosed evidence of a sealed message by `signer`, who says it is `author`'s to these people.
fn sealed(signer: u8, author: u8, to: &[u8], content: &[u8]) -> Evidence {
    let mut chain = Chain::new();
    let body = Body::new(vec![0xe7; 48]);
    let slots = (1_u8..).zip(SECRETS).map(|(number, secret)| Slot {
        recipient: SlotRecipient::Hidden { ephemeral: [number; 33], view_tag: 7 },
        ecies_share: [0x11; 129],
        ml_kem_share: None,
        wrapped_key: [0x22; 48],
        receipt_commit: receipt_commit(&secret),
    });
    let recipients: Vec<_> = to.iter().map(|seed| address(*seed)).collect();
    let salt = author_salt(&BLINDING, &address(author), &recipients);
    let mut message = Message {
        suite: Suite::Ecies,
        mode: Mode::Sealed,
        slots: slots.collect(),
        key_commit: key_commit(&crate::hash::ContextHash::from_bytes([1; 32]), &[0x33; 32]),
        content_commit: content_commit(&salt, content),
        body_hash: body.hash(),
        body_length: 48,
    };
    message.slots.truncate(2);
    let transaction = chain.sign(ONE_TIME, Payload::Message(message.clone()));
    let context = message_context(transaction.transaction(), &message).hash();
    let mut block = AuthorBlock::sign(&key(signer), &context, recipients, BLINDING, &[0; 32]).unwrap();
    block.author = address(author);
    let id = transaction.id();
    let sent = chain.add(vec![(transaction, Some(body))]);
    Evidence {
        chain: chain.genesis.chain_id(),
        blocks: vec![chain.certified(sent)],
        validator_changes: Vec::new(),
        message: chain.proven(id),
        receipts: Vec::new(),
        keys: Vec::new(),
        absences: Vec::new(),
        body: None,
        disclosure: Some(Disclosure { salt, content: content.to_vec(), author: Some(block) }),
    }
}

/// A letter with so many empty attachments beside its two answers, and with so many answers more.
fn letter_with(attachments: usize, answers: usize, text: usize) -> Vec<u8> {
    let answer = Receipt { message: ANSWERED, slot: 0, answer: Answer::Opened { secret: SECRETS[1] } };
    let nothing = (String::new(), "x".repeat(text), None::<u8>, None::<u8>);
    encode(&(
        0_u32,
        nothing,
        vec![answer; answers],
        vec![(String::new(), (0_u32, Vec::<u8>::new())); attachments],
    ))
}

/// Letters with as much as a letter may have, and with more, and how many answers are to be found in them.
pub(super) fn letters() -> Vec<(String, Evidence, usize)> {
    let sizes = [
        (10_000, 1, 0, 1),
        (10_001, 1, 0, 0),
        (190_660, 1, 0, 0),
        (0, 10_000, 0, 10_000),
        (0, 10_001, 0, 0),
        // As long as a content may be, with as much in it as may be, and one byte longer.
        (10_000, 1, (8 << 20) - 10_000 * 20 - 108, 1),
        (10_000, 1, (8 << 20) - 10_000 * 20 - 107, 0),
    ];
    let with = |(attachments, answers, text, found)| {
        let content = letter_with(attachments, answers, text);
        let name = format!("{attachments} attachments, {answers} answers, {} bytes", content.len());
        (name, sealed(ALICE, ALICE, &[BOB, CAROL], &content), found)
    };
    sizes.map(with).into()
}

#[test]
fn the_answers_of_a_letter_are_found_up_to_its_limits() {
    for (name, evidence, expected) in letters() {
        let findings = judge(evidence.to_json().as_bytes()).unwrap();
        let found = findings.list().iter().filter(|finding| finding.code() == "sealed_answer").count();
        assert_eq!(found, expected, "{name}");
    }
    let longest = letter_with(10_000, 1, (8 << 20) - 10_000 * 20 - 108);
    assert_eq!(longest.len(), 8 << 20);
}

/// Good and bad evidence of sealed messages, for the second implementation.
pub(super) fn files() -> Vec<(String, Evidence)> {
    let with = |name: &str, change: fn(&mut Evidence)| {
        let mut evidence = sealed(ALICE, ALICE, &[BOB, CAROL], &letter());
        change(&mut evidence);
        (name.to_owned(), evidence)
    };
    vec![
        with("sealed", |_| {}),
        with("sealed, not disclosed", |evidence| evidence.disclosure = None),
        with("sealed, author kept back", |evidence| block_of(evidence, |block| *block = None)),
        ("sealed, no letter".into(), sealed(ALICE, ALICE, &[BOB, CAROL], b"no letter")),
        ("sealed, another's name".into(), sealed(ALICE, BOB, &[BOB, CAROL], &letter())),
        ("sealed, too few".into(), sealed(ALICE, ALICE, &[BOB], &letter())),
        ("sealed, twice".into(), sealed(ALICE, ALICE, &[BOB, BOB], &letter())),
        with("sealed, other order", |evidence| {
            block_of(evidence, |block| block.as_mut().unwrap().recipients.swap(0, 1))
        }),
        ("sealed, signed by another later".into(), signed_by(BOB, &[ALICE, CAROL])),
        ("sealed, for others later".into(), signed_by(ALICE, &[BOB, DAVE])),
        ("author of an open message".into(), open_with_author()),
    ]
}

fn block_of(evidence: &mut Evidence, change: impl FnOnce(&mut Option<AuthorBlock>)) {
    change(&mut evidence.disclosure.as_mut().unwrap().author);
}

/// Alice's letter to Bob and Carol, with an author block that somebody signed who knows what it says.
fn signed_by(author: u8, to: &[u8]) -> Evidence {
    let mut evidence = sealed(ALICE, ALICE, &[BOB, CAROL], &letter());
    let transaction = evidence.message.transaction.transaction();
    let Payload::Message(message) = &transaction.payload else { unreachable!() };
    let context = message_context(transaction, message).hash();
    let recipients = to.iter().map(|seed| address(*seed)).collect();
    let block = AuthorBlock::sign(&key(author), &context, recipients, BLINDING, &[0; 32]).unwrap();
    block_of(&mut evidence, |place| *place = Some(block));
    evidence
}

fn open_with_author() -> Evidence {
    let block = sealed(ALICE, ALICE, &[BOB, CAROL], &letter()).disclosure.unwrap().author;
    let mut open = evidence();
    open.disclosure.as_mut().unwrap().author = block;
    open
}

#[track_caller]
fn author_refused(evidence: &Evidence) -> AuthorError {
    match refused(evidence) {
        EvidenceRefusal::Author { source } => source,
        other => panic!("{other}"),
    }
}

#[test]
fn a_stranger_learns_who_wrote_a_sealed_message_and_whom_it_answers() {
    let evidence = sealed(ALICE, ALICE, &[BOB, CAROL], &letter());
    let findings = judge(evidence.to_json().as_bytes()).unwrap();
    let written = Finding::Authored { by: address(ALICE), to: vec![address(BOB), address(CAROL)] };
    assert!(findings.list().contains(&written));
    let answer = |slot, answer| Finding::SealedAnswer { by: address(ALICE), message: ANSWERED, slot, answer };
    let opened = SealedAnswer::Opened { commit: receipt_commit(&SECRETS[1]) };
    let refused = SealedAnswer::Refused { reason: RefusalReason::Unwanted };
    assert!(findings.list().ends_with(&[answer(0, opened), answer(1, refused)]));
    for line in findings.lines() {
        assert!(!line.fact.is_empty() && !line.shows.is_empty() && !line.does_not_show.is_empty());
    }
}

#[test]
fn without_the_author_block_nothing_is_said_about_the_author() {
    let mut evidence = sealed(ALICE, ALICE, &[BOB, CAROL], &letter());
    block_of(&mut evidence, |block| *block = None);
    let findings = judge(evidence.to_json().as_bytes()).unwrap();
    assert_eq!(findings.list().last().unwrap().code(), "content_disclosed");
    assert!(!evidence.to_json().contains("author"));
}

#[test]
fn an_author_block_that_does_not_hold_is_refused() {
    let to = [BOB, CAROL];
    assert_eq!(author_refused(&sealed(ALICE, BOB, &to, &letter())), AuthorError::Signature);
    assert_eq!(author_refused(&sealed(ALICE, ALICE, &[BOB, BOB], &letter())), AuthorError::Repeated);
    let few = AuthorError::Count { recipients: 1, slots: 2 };
    assert_eq!(author_refused(&sealed(ALICE, ALICE, &[BOB], &letter())), few);
    assert_eq!(author_refused(&open_with_author()), AuthorError::NotSealed);
    let mut other = sealed(ALICE, ALICE, &to, &letter());
    block_of(&mut other, |block| block.as_mut().unwrap().recipients.swap(0, 1));
    assert_eq!(author_refused(&other), AuthorError::Salt);
}

/// A recipient, or whoever was shown a disclosed file, knows content and salt.
#[test]
fn nobody_can_sign_a_sealed_message_as_their_own_later_nor_its_author_for_others() {
    assert_eq!(author_refused(&signed_by(BOB, &[ALICE, CAROL])), AuthorError::Salt);
    assert_eq!(author_refused(&signed_by(BOB, &[BOB, CAROL])), AuthorError::Salt);
    assert_eq!(author_refused(&signed_by(ALICE, &[BOB, DAVE])), AuthorError::Salt);
    let own = signed_by(ALICE, &[BOB, CAROL]);
    judge(own.to_json().as_bytes()).unwrap();
}

#[test]
fn every_changed_byte_of_a_sealed_file_is_found() {
    let file = sealed(ALICE, ALICE, &[BOB, CAROL], &letter()).to_json().into_bytes();
    (0..file.len()).into_par_iter().for_each(|at| {
        let digit = if file[at] == b'1' { b'2' } else { b'1' };
        let letter = if file[at] == b'b' { b'c' } else { b'b' };
        for replacement in [file[at] ^ 1, digit, letter] {
            if replacement == file[at] {
                continue;
            }
            let mut changed = file.clone();
            changed[at] = replacement;
            assert!(judge(&changed).is_err(), "byte {at} changed to {replacement:?}");
        }
    });
}
