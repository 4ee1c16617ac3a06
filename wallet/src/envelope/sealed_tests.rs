//! What a sealed message promises.
#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

use super::keys::BundleSecret;
use super::seal::seal_with;
use super::*;
use proptest::prelude::*;
use sealpost_ledger::address::Address;
use sealpost_ledger::author::{AuthorBlock, AuthorError, author_salt, message_context};
use sealpost_ledger::codec::encode;
use sealpost_ledger::hash::ChainId;
use sealpost_ledger::height::BlockHeight;
use sealpost_ledger::message::{Body, Mode, SlotRecipient};
use sealpost_ledger::signature::SigningKey;
use sealpost_ledger::transaction::{Payload, SignedTransaction, TRANSACTION_VERSION, Transaction};

struct Person {
    key: SigningKey,
    address: Address,
    secret: BundleSecret,
}

fn person(seed: u8) -> Person {
    let key = SigningKey::from_bytes(&[seed; 32]).unwrap();
    let address = Address::new(key.public_key());
    Person { key, address, secret: BundleSecret::generate(3).unwrap() }
}

fn recipient(person: &Person) -> Recipient {
    Recipient { address: person.address, bundle: person.secret.bundle(BlockHeight::new(100)) }
}

fn content() -> Content {
    Letter { text: "Meet me at noon".into(), ..Letter::default() }.into()
}

/// A sealed message under the one-time key of that seed.
fn sealed(author: &Person, one_time: u8, to: &[Recipient], content: &Content) -> (Transaction, Body) {
    let sender = Address::new(SigningKey::from_bytes(&[one_time; 32]).unwrap().public_key());
    let (chain, expiry) = (ChainId::from_bytes([4; 32]), BlockHeight::new(50));
    let author = Some(&author.key);
    let request = SealRequest { chain, sender, author, expiry, recipients: to, content, body_limit: 65_536 };
    let sealed = seal(&request).unwrap();
    let payload = Payload::Message(sealed.message);
    (Transaction { version: TRANSACTION_VERSION, chain, sender, expiry, payload, nonce: 0 }, sealed.body)
}

fn read(transaction: &Transaction, body: &Body, by: &Person) -> Result<(Content, Opened), OpenError> {
    open_sealed(transaction, body, &by.address, std::slice::from_ref(&by.secret))
}

#[test]
fn each_recipient_finds_the_slot_and_learns_who_wrote_to_whom() {
    let (alice, bob, carol, eve) = (person(1), person(2), person(3), person(4));
    let (transaction, body) = sealed(&alice, 90, &[recipient(&bob), recipient(&carol)], &content());
    for (slot, reader) in [(0, &bob), (1, &carol)] {
        assert_eq!(slot_for(&transaction, std::slice::from_ref(&reader.secret)), Ok(Some((slot, 3))));
        let (said, opened) = read(&transaction, &body, reader).unwrap();
        let author = opened.author.unwrap();
        assert_eq!((said, opened.slot, author.author), (content(), slot, alice.address));
        assert_eq!(author.recipients, [bob.address, carol.address]);
    }
    assert_eq!(slot_for(&transaction, std::slice::from_ref(&eve.secret)), Ok(None));
    assert_eq!(read(&transaction, &body, &eve).unwrap_err(), OpenError::NotForUs);
}

#[test]
fn nobody_who_takes_part_stands_in_the_transaction() {
    let (alice, bob) = (person(1), person(2));
    let (transaction, body) = sealed(&alice, 90, &[recipient(&bob)], &content());
    let seen = [encode(&transaction), body.as_bytes().to_vec()].concat();
    let key = bob.secret.bundle(BlockHeight::FIRST).ecies;
    for name in [alice.address.as_bytes().as_slice(), bob.address.as_bytes(), &key[1..]] {
        assert!(!seen.windows(name.len()).any(|window| window == name));
    }
    let Payload::Message(message) = &transaction.payload else { unreachable!() };
    assert_eq!(message.mode, Mode::Sealed);
    assert!(matches!(message.slots[0].recipient, SlotRecipient::Hidden { .. }));
}

/// Bob opened a letter of alice's and wants carol to believe that alice wrote it to her: he seals the content
/// again, and puts alice's author block in.
#[test]
fn a_letter_passed_on_to_a_third_person_is_refused() {
    let (alice, bob, carol) = (person(1), person(2), person(3));
    let (transaction, body) = sealed(&alice, 90, &[recipient(&bob)], &content());
    let stolen = read(&transaction, &body, &bob).unwrap().1.author.unwrap();
    let refusal = reseal(&bob, &carol, &stolen, 91).unwrap_err();
    assert_eq!(refusal, OpenError::Author(AuthorError::Signature));
    // Nor with carol written into the list that alice signed.
    let mut changed = stolen;
    changed.recipients = vec![carol.address];
    let refusal = reseal(&bob, &carol, &changed, 91).unwrap_err();
    assert_eq!(refusal, OpenError::Author(AuthorError::Signature));
}

/// What the reader reads of a message whose sender put that author block in.
fn reseal(
    forger: &Person,
    reader: &Person,
    block: &AuthorBlock,
    one_time: u8,
) -> Result<(Content, Opened), OpenError> {
    let (chain, expiry) = (ChainId::from_bytes([4; 32]), BlockHeight::new(50));
    let sender = Address::new(SigningKey::from_bytes(&[one_time; 32]).unwrap().public_key());
    let (recipients, content) = (&[recipient(reader)], &content());
    let author = Some(&forger.key);
    let request = SealRequest { chain, sender, author, expiry, recipients, content, body_limit: 65_536 };
    let salt = author_salt(&block.blinding, &block.author, &block.recipients);
    let sealed = seal_with(&request, Mode::Sealed, salt, |_| Ok(Some(block.clone()))).unwrap();
    let payload = Payload::Message(sealed.message);
    let transaction = Transaction { version: TRANSACTION_VERSION, chain, sender, expiry, payload, nonce: 0 };
    read(&transaction, &sealed.body, reader)
}

/// The author signs that the slot is bob's, and makes it for carol.
#[test]
fn a_slot_that_its_author_calls_somebody_elses_is_refused() {
    let (alice, bob, carol) = (person(1), person(2), person(3));
    let disguised = Recipient { address: bob.address, bundle: carol.secret.bundle(BlockHeight::new(9)) };
    let (transaction, body) = sealed(&alice, 90, &[disguised], &content());
    let refusal = read(&transaction, &body, &carol).unwrap_err();
    assert_eq!(refusal, OpenError::ForSomebodyElse { slot: 0 });
    let disguised = Recipient { address: bob.address, bundle: carol.secret.bundle(BlockHeight::new(9)) };
    let (transaction, body) = sealed(&alice, 90, &[disguised, recipient(&carol)], &content());
    assert_eq!(read(&transaction, &body, &carol).unwrap_err(), OpenError::ForSomebodyElse { slot: 0 });
}

#[test]
fn as_many_recipients_as_slots_and_none_twice() {
    let (alice, bob) = (person(1), person(2));
    let (transaction, body) = sealed(&alice, 90, &[recipient(&bob), recipient(&bob)], &content());
    assert_eq!(read(&transaction, &body, &bob).unwrap_err(), OpenError::Author(AuthorError::Repeated));
    let (transaction, body) = sealed(&alice, 90, &[recipient(&bob)], &content());
    let mut block = read(&transaction, &body, &bob).unwrap().1.author.unwrap();
    block.recipients.push(alice.address);
    assert!(matches!(reseal(&alice, &bob, &block, 90), Err(OpenError::Content(_))));
}

#[test]
fn the_author_can_not_be_exchanged() {
    let (alice, bob, eve) = (person(1), person(2), person(4));
    let (transaction, body) = sealed(&alice, 90, &[recipient(&bob)], &content());
    let Opened { author, salt, .. } = read(&transaction, &body, &bob).unwrap().1;
    let mut block = author.unwrap();
    assert_eq!(block.verify(&transaction, &salt), Ok(()));
    // Nor does a block hold under another context, whoever sends it.
    let (other, _) = sealed(&alice, 91, &[recipient(&bob)], &content());
    assert_eq!(block.verify(&other, &salt), Err(AuthorError::Signature));
    block.author = eve.address;
    assert_eq!(block.verify(&transaction, &salt), Err(AuthorError::Salt));
    // And if eve signs for herself what bob has read?
    let Payload::Message(message) = &transaction.payload else { unreachable!() };
    let context = message_context(&transaction, message).hash();
    let own = AuthorBlock::sign(&eve.key, &context, vec![bob.address], block.blinding, &[0; 32]).unwrap();
    assert_eq!(own.verify(&transaction, &salt), Err(AuthorError::Salt));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn a_changed_byte_anywhere_opens_nothing(at in any::<prop::sample::Index>(), mask in 1_u8.., in_body: bool) {
        let (alice, bob) = (person(1), person(2));
        let (mut transaction, mut body) = sealed(&alice, 90, &[recipient(&bob)], &content());
        if in_body {
            let mut bytes = body.as_bytes().to_vec();
            let at = at.index(bytes.len());
            bytes[at] ^= mask;
            body = Body::new(bytes);
        } else {
            let signature = alice.key.sign(&[0; 32], &[0; 32]).unwrap();
            let mut bytes = encode(&transaction);
            // The nonce is bound by the transaction's id, not by the envelope.
            let at = at.index(bytes.len() - 8);
            bytes[at] ^= mask;
            bytes.extend_from_slice(&encode(&signature));
            let Ok(changed) = SignedTransaction::from_bytes(&bytes) else { return Ok(()) };
            transaction = changed.transaction().clone();
        }
        let Payload::Message(message) = &transaction.payload else { return Ok(()) };
        // Its length is checked by the ledger together with its hash.
        prop_assume!(message.body_length as usize == body.as_bytes().len());
        prop_assert!(read(&transaction, &body, &bob).is_err());
    }

    #[test]
    fn a_changed_byte_of_the_author_block_is_found(at in any::<prop::sample::Index>(), mask in 1_u8..) {
        let (alice, bob, carol) = (person(1), person(2), person(3));
        let (transaction, body) = sealed(&alice, 90, &[recipient(&bob), recipient(&carol)], &content());
        let Opened { author, salt, .. } = read(&transaction, &body, &bob).unwrap().1;
        let mut bytes = author.unwrap().to_bytes();
        prop_assert_eq!(bytes.len(), AuthorBlock::length(2));
        let at = at.index(bytes.len());
        bytes[at] ^= mask;
        let changed = AuthorBlock::from_bytes(&bytes);
        prop_assert!(changed.map_or(true, |changed| changed.verify(&transaction, &salt).is_err()));
    }
}
