//! What the envelope promises.
#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

use super::keys::BundleSecret;
use super::*;
use proptest::prelude::*;
use sealpost_ledger::address::Address;
use sealpost_ledger::codec::encode;
use sealpost_ledger::hash::{ChainId, TransactionId};
use sealpost_ledger::height::BlockHeight;
use sealpost_ledger::message::{Body, Suite};
use sealpost_ledger::receipt::{Answer, Receipt, receipt_commit};
use sealpost_ledger::signature::SigningKey;
use sealpost_ledger::transaction::{Payload, SignedTransaction, TRANSACTION_VERSION, Transaction};

struct Person {
    address: Address,
    secret: BundleSecret,
}

fn person(seed: u8) -> Person {
    let key = SigningKey::from_bytes(&[seed; 32]).unwrap();
    Person { address: Address::new(key.public_key()), secret: BundleSecret::generate(3).unwrap() }
}

fn recipient(person: &Person, suite: Suite) -> Recipient {
    let mut bundle = person.secret.bundle(BlockHeight::new(100));
    if suite == Suite::Ecies {
        bundle.ml_kem = None;
    }
    Recipient { address: person.address, bundle }
}

fn content() -> Content {
    let attachments = vec![Attachment { name: "plan.pdf".into(), data: Data::Whole(vec![7; 3000]) }];
    let (subject, text) = ("Lift".into(), "The lift is out of service".into());
    Letter { subject, text, attachments, ..Letter::default() }.into()
}

fn sealed(recipients: &[Recipient], content: &Content) -> (Transaction, Body, [u8; 32]) {
    let (chain, sender) = (ChainId::from_bytes([4; 32]), person(1).address);
    let expiry = BlockHeight::new(50);
    let (author, body_limit) = (None, 65_536);
    let request = SealRequest { chain, sender, author, expiry, recipients, content, body_limit };
    let sealed = seal(&request).unwrap();
    let payload = Payload::Message(sealed.message);
    (
        Transaction { version: TRANSACTION_VERSION, chain, sender, expiry, payload, nonce: 0 },
        sealed.body,
        sealed.salt,
    )
}

#[test]
fn every_recipient_opens_the_same_content() {
    let people = [person(2), person(3), person(4)];
    for suite in [Suite::Ecies, Suite::EciesMlKem768] {
        let recipients: Vec<_> = people.iter().map(|p| recipient(p, suite)).collect();
        let (transaction, body, salt) = sealed(&recipients, &content());
        for (slot, person) in (0..).zip(&people) {
            let secrets = std::slice::from_ref(&person.secret);
            let (read, opened) = open(&transaction, &body, slot, secrets).unwrap();
            assert_eq!((read, opened.salt), (content(), salt));
            let Payload::Message(message) = &transaction.payload else { unreachable!() };
            assert_eq!(message.suite, suite);
            let Answer::Opened { secret } = opened.answer() else { unreachable!() };
            assert_eq!(receipt_commit(&secret), message.slots[usize::from(slot)].receipt_commit);
        }
    }
}

#[test]
fn an_ml_kem_key_that_is_none_keeps_the_message_from_nobody() {
    let people = [person(2), person(3)];
    let mut recipients = people.each_ref().map(|person| recipient(person, Suite::EciesMlKem768));
    // Of the right length, which is all that the ledger looks at: each coefficient is 4,095, and 3,328 is the highest.
    recipients[1].bundle.ml_kem = Some(vec![0xff; 1184]);
    assert!(has_ml_kem(&recipients[0].bundle) && !has_ml_kem(&recipients[1].bundle));
    let (transaction, body, _) = sealed(&recipients, &content());
    let Payload::Message(message) = &transaction.payload else { unreachable!() };
    assert_eq!(message.suite, Suite::Ecies);
    for (slot, person) in (0..).zip(&people) {
        assert_eq!(
            open(&transaction, &body, slot, std::slice::from_ref(&person.secret)).unwrap().0,
            content()
        );
    }
}

#[test]
fn one_recipient_without_a_post_quantum_key_makes_it_suite_1() {
    let (a, b) = (person(2), person(3));
    let (transaction, _, _) =
        sealed(&[recipient(&a, Suite::EciesMlKem768), recipient(&b, Suite::Ecies)], &content());
    let Payload::Message(message) = &transaction.payload else { unreachable!() };
    assert_eq!(message.suite, Suite::Ecies);
}

#[test]
fn another_ones_secret_does_not_open_a_slot() {
    let (bob, eve) = (person(2), person(3));
    for suite in [Suite::Ecies, Suite::EciesMlKem768] {
        let (transaction, body, _) = sealed(&[recipient(&bob, suite)], &content());
        let result = open(&transaction, &body, 0, std::slice::from_ref(&eve.secret));
        assert_eq!(result.unwrap_err(), OpenError::Slot { slot: 0 });
    }
}

/// A secret with one half right and the other half foreign opens nothing: both are needed.
#[test]
fn either_half_of_suite_2_alone_does_not_open() {
    let (bob, eve) = (person(2), person(3));
    let (transaction, body, _) = sealed(&[recipient(&bob, Suite::EciesMlKem768)], &content());
    let mix = |ecies: &BundleSecret, kem: &BundleSecret| {
        let (ecies, kem) = (serde_json::to_value(ecies).unwrap(), serde_json::to_value(kem).unwrap());
        let mut mixed = ecies;
        mixed["ml_kem_seed"] = kem["ml_kem_seed"].clone();
        serde_json::from_value::<BundleSecret>(mixed).unwrap()
    };
    for secret in [mix(&bob.secret, &eve.secret), mix(&eve.secret, &bob.secret)] {
        assert_eq!(open(&transaction, &body, 0, &[secret]).unwrap_err(), OpenError::Slot { slot: 0 });
    }
    assert!(open(&transaction, &body, 0, &[mix(&bob.secret, &bob.secret)]).is_ok());
}

#[test]
fn a_destroyed_secret_is_named() {
    let bob = person(2);
    let (transaction, body, _) = sealed(&[recipient(&bob, Suite::Ecies)], &content());
    assert_eq!(open(&transaction, &body, 0, &[]).unwrap_err(), OpenError::KeyGone { bundle: 3 });
}

/// What somebody asks to be sealed openly.
fn to_oneself<'a>(
    person: &Person,
    recipients: &'a [Recipient],
    content: &'a Content,
    body_limit: u32,
) -> SealRequest<'a> {
    SealRequest {
        chain: ChainId::from_bytes([4; 32]),
        sender: person.address,
        author: None,
        expiry: BlockHeight::new(50),
        recipients,
        content,
        body_limit,
    }
}

#[test]
fn too_long_a_message_is_refused_with_its_limit() {
    let bob = person(2);
    let long = Content::Part(Part { parcel: [1; 16], number: 0, bytes: vec![0; 70_000] });
    let recipients = [recipient(&bob, Suite::Ecies)];
    let refused = seal(&to_oneself(&bob, &recipients, &long, 65_536)).unwrap_err();
    assert!(matches!(refused, SealError::TooLong { limit: 65_536, .. }));
}

#[test]
fn a_letter_has_so_many_attachments_and_answers_and_not_one_more() {
    let attachment = Attachment { name: String::new(), data: Data::Whole(Vec::new()) };
    let answer = Receipt {
        message: TransactionId::from_bytes([7; 32]),
        slot: 0,
        answer: Answer::Opened { secret: [1; 32] },
    };
    let letter = |attachments: usize, answers: usize| -> Content {
        let attachments = vec![attachment.clone(); attachments];
        Letter { attachments, answers: vec![answer; answers], ..Letter::default() }.into()
    };
    let most = letter(10_000, 10_000);
    assert_eq!(Content::from_bytes(&most.to_bytes()).unwrap(), most);
    let bob = person(2);
    let recipients = [recipient(&bob, Suite::Ecies)];
    for (content, what) in [(letter(10_001, 0), "attachments"), (letter(0, 10_001), "answers")] {
        let refused = Content::from_bytes(&content.to_bytes()).unwrap_err().to_string();
        assert!(refused.contains(&format!("10001 {what}, the limit is 10000")), "{refused}");
        let refused = seal(&to_oneself(&bob, &recipients, &content, 4 << 20)).unwrap_err();
        assert_eq!(refused, SealError::TooMany { what, count: 10_001 });
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn a_changed_byte_anywhere_opens_nothing(at in any::<prop::sample::Index>(), mask in 1_u8.., in_body: bool) {
        let bob = person(2);
        let (transaction, body, _) = sealed(&[recipient(&bob, Suite::EciesMlKem768)], &content());
        let (transaction, body) = if in_body {
            let mut bytes = body.as_bytes().to_vec();
            let at = at.index(bytes.len());
            bytes[at] ^= mask;
            (transaction, Body::new(bytes))
        } else {
            let signature = SigningKey::from_bytes(&[1; 32]).unwrap().sign(&[0; 32], &[0; 32]).unwrap();
            let mut bytes = encode(&transaction);
            // The nonce is bound by the transaction's id, not by the envelope.
            let at = at.index(bytes.len() - 8);
            bytes[at] ^= mask;
            bytes.extend_from_slice(&encode(&signature));
            match SignedTransaction::from_bytes(&bytes) {
                Ok(changed) => (changed.transaction().clone(), body),
                Err(_) => return Ok(()),
            }
        };
        let Payload::Message(message) = &transaction.payload else { return Ok(()) };
        // Its length is checked by the ledger together with its hash.
        prop_assume!(message.body_length as usize == body.as_bytes().len());
        prop_assert!(open(&transaction, &body, 0, std::slice::from_ref(&bob.secret)).is_err());
    }

    #[test]
    fn padding_hides_the_length_and_costs_at_most_an_eighth(length in 0_usize..10_000_000) {
        let padded = padded_length(length);
        prop_assert!(padded >= length);
        prop_assert!(length <= 1024 || padded - length <= length / 8);
        prop_assert_eq!(padded_length(padded), padded);
    }
}
