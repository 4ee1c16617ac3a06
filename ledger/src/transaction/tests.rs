//! Claims about what makes a transaction well-formed, whatever the state of the chain.
#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

use super::*;
use crate::message::Slot;
use crate::receipt::Answer;
use crate::testing::{ALICE, BOB, CAROL, Chain, address, genesis_file, key, validators};
use crate::validator::Validator;
use std::sync::LazyLock;

static CHAIN: LazyLock<Chain> = LazyLock::new(Chain::new);

/// Alice's message to Bob and Carol after a change, signed again, and its body.
fn message(change: impl FnOnce(&mut Transaction, &mut Message)) -> (SignedTransaction, Body) {
    let (signed, body) = CHAIN.message(&[BOB, CAROL]);
    let mut transaction = signed.transaction().clone();
    let mut message = signed.message().unwrap().clone();
    change(&mut transaction, &mut message);
    transaction.payload = Payload::Message(message);
    (transaction.sign(&key(ALICE), &[0; 32]).unwrap(), body)
}

/// Why the changed message is refused, alone and in a batch of others.
#[track_caller]
fn refused(change: impl FnOnce(&mut Transaction, &mut Message)) -> TransactionError {
    let (changed, body) = message(change);
    let alone = changed.clone().verify(Some(body.clone()), &CHAIN.genesis).unwrap_err();
    let good = message(|_, _| {});
    let batch = vec![(good.0.clone(), Some(good.1.clone())), (changed, Some(body))];
    let (index, together) = verify_all(batch, &CHAIN.genesis).unwrap_err();
    assert_eq!((index, &together), (1, &alone));
    alone
}

fn hide(slot: &mut Slot, view_tag: u8) {
    slot.recipient = SlotRecipient::Hidden { ephemeral: [2; 33], view_tag };
}

#[test]
fn a_good_message_is_verified_and_counted_whole() {
    let (signed, body) = message(|_, _| {});
    let bytes = signed.to_bytes().len() + body.as_bytes().len();
    assert_eq!(signed.transaction().charged_bytes(body.as_bytes().len()), bytes);
    assert_eq!(signed.verify(Some(body), &CHAIN.genesis).unwrap().bytes(), bytes);
}

#[test]
fn another_version_or_chain_is_refused() {
    assert_eq!(refused(|t, _| t.version = 2), TransactionError::Version { version: 2 });
    let other = refused(|t, _| t.chain = ChainId::from_bytes([0; 32]));
    assert!(matches!(other, TransactionError::OtherChain { .. }));
}

#[test]
fn a_message_has_slots_within_the_limit() {
    assert!(matches!(refused(|_, m| m.slots.clear()), TransactionError::Slots { slots: 0, limit: 16 }));
    let many = refused(|_, m| m.slots = vec![m.slots[0].clone(); 17]);
    assert!(matches!(many, TransactionError::Slots { slots: 17, limit: 16 }));
}

#[test]
fn slots_fit_the_suite() {
    let missing = refused(|_, m| m.suite = Suite::EciesMlKem768);
    assert_eq!(missing, TransactionError::SlotSuite { slot: 0, suite: 2 });
    let extra = refused(|_, m| m.slots[1].ml_kem_share = Some(vec![0; 1088]));
    assert_eq!(extra, TransactionError::SlotSuite { slot: 1, suite: 1 });
    let short = refused(|_, m| {
        m.suite = Suite::EciesMlKem768;
        m.slots.iter_mut().for_each(|slot| slot.ml_kem_share = Some(vec![0; 1087]));
    });
    assert_eq!(short, TransactionError::SlotSuite { slot: 0, suite: 2 });
}

#[test]
fn open_messages_name_recipients_and_sealed_ones_hide_them() {
    assert_eq!(refused(|_, m| hide(&mut m.slots[1], 0)), TransactionError::SlotMode { slot: 1 });
    assert_eq!(refused(|_, m| m.mode = Mode::Sealed), TransactionError::SlotMode { slot: 0 });
    let (sealed, body) = message(|_, m| {
        m.mode = Mode::Sealed;
        m.slots.iter_mut().zip(0..).for_each(|(slot, tag)| hide(slot, tag));
    });
    assert!(sealed.verify(Some(body), &CHAIN.genesis).is_ok());
}

#[test]
fn a_recipient_has_one_slot() {
    let same = refused(|_, m| m.slots[1] = m.slots[0].clone());
    assert_eq!(same, TransactionError::RepeatedRecipient { slot: 1 });
    let other_bundle = refused(|_, m| {
        let SlotRecipient::Named { address, .. } = m.slots[0].recipient else { return };
        m.slots[1].recipient = SlotRecipient::Named { address, bundle: 9 };
    });
    assert_eq!(other_bundle, TransactionError::RepeatedRecipient { slot: 1 });
    let hidden = refused(|_, m| {
        m.mode = Mode::Sealed;
        m.slots.iter_mut().for_each(|slot| hide(slot, 5));
    });
    assert_eq!(hidden, TransactionError::RepeatedRecipient { slot: 1 });
}

#[test]
fn a_message_comes_with_its_own_body_within_the_limit() {
    assert_eq!(refused(|_, m| m.body_length += 1), TransactionError::OtherBody);
    assert_eq!(refused(|_, m| m.body_hash = Body::new(vec![1]).hash()), TransactionError::OtherBody);
    let (signed, _) = message(|_, _| {});
    let missing = signed.verify(None, &CHAIN.genesis).unwrap_err();
    assert_eq!(missing, TransactionError::BodyMissing);

    let limit = genesis_file().limits.body_bytes;
    let judge = |length: u32| {
        let body = Body::new(vec![0; length as usize]);
        let (hash, given) = (body.hash(), body.clone());
        let (signed, _) = message(|_, m| (m.body_hash, m.body_length) = (hash, length));
        signed.verify(Some(given), &CHAIN.genesis).map(|_| ())
    };
    assert_eq!(judge(limit), Ok(()));
    assert_eq!(judge(limit + 1), Err(TransactionError::BodyTooLong { length: limit as usize + 1, limit }));
}

#[test]
fn only_messages_have_bodies() {
    let receipt = CHAIN.opened(BOB, message(|_, _| {}).0.id(), 0);
    let refused = receipt.verify(Some(Body::new(vec![1])), &CHAIN.genesis).unwrap_err();
    assert_eq!(refused, TransactionError::UnexpectedBody { kind: "receipt" });
}

#[test]
fn key_bundles_hold_keys_of_their_kind() {
    let judge = |change: fn(&mut KeyBundle)| {
        let signed = CHAIN.bundle(BOB);
        let Payload::KeyBundle(mut bundle) = signed.payload().clone() else { unreachable!() };
        change(&mut bundle);
        CHAIN.sign(BOB, Payload::KeyBundle(bundle)).verify(None, &CHAIN.genesis).map(|_| ())
    };
    let wrong = |key| Err(TransactionError::BundleKey { key });
    assert_eq!(judge(|_| {}), Ok(()));
    assert_eq!(judge(|b| b.ecies[0] = 3), Ok(()));
    assert_eq!(judge(|b| b.ecies[0] = 4), wrong("ecies"));
    assert_eq!(judge(|b| b.ecies[1..].fill(0xff)), wrong("ecies"));
    assert_eq!(judge(|b| b.ml_kem = Some(vec![0; ML_KEM_KEY_BYTES])), Ok(()));
    assert_eq!(judge(|b| b.ml_kem = Some(vec![0; ML_KEM_KEY_BYTES - 1])), wrong("ml_kem"));
}

#[test]
fn a_class_of_notices_is_a_short_plain_word() {
    let judge = |class: &str| {
        let designate = Designate { class: class.to_owned(), to: address(CAROL) };
        CHAIN.sign(BOB, Payload::Designate(designate)).verify(None, &CHAIN.genesis).map(|_| ())
    };
    assert_eq!(judge("tax-2026.first-notice"), Ok(()));
    assert_eq!(judge(&"a".repeat(MAX_CLASS_BYTES)), Ok(()));
    for wrong in ["", "Tax", "tax notice", "tax_notice", "steuer/ä", &"a".repeat(MAX_CLASS_BYTES + 1)] {
        let refused = judge(wrong).unwrap_err();
        assert_eq!(refused.code(), "tx.class", "{wrong}");
    }
}

#[test]
fn a_validators_change_names_a_set_in_its_one_order() {
    let judge = |change: fn(&mut Vec<Validator>)| {
        let mut set = validators(&[1, 2, 3]).validators().to_vec();
        change(&mut set);
        let effective = BlockHeight::new(9);
        let change = ValidatorsChange { validators: set, effective, approvals: Vec::new() };
        CHAIN.sign(BOB, Payload::Validators(change)).verify(None, &CHAIN.genesis).map(|_| ())
    };
    assert_eq!(judge(|_| {}), Ok(()));
    assert_eq!(judge(|set| set.reverse()), Err(TransactionError::ValidatorsOrder));
    assert!(matches!(judge(Vec::clear), Err(TransactionError::Validators(ValidatorSetError::Empty))));
    let repeated = judge(|set| set[1] = set[0]);
    assert!(matches!(repeated, Err(TransactionError::Validators(ValidatorSetError::Repeated { .. }))));
    let powerless = judge(|set| set[0].power = 0);
    assert!(matches!(powerless, Err(TransactionError::Validators(ValidatorSetError::Powerless { .. }))));
    let too_powerful = judge(|set| set[0].power = i64::MAX as u64);
    assert!(matches!(too_powerful, Err(TransactionError::Validators(ValidatorSetError::TooPowerful))));
    // Whether the keys are points costs a square root each; it is asked once the change is approved.
    let off_curve = judge(|set| {
        set[0].key = PublicKey::from_bytes([0; 32]);
    });
    assert_eq!(off_curve, Ok(()));
}

#[test]
fn only_the_sender_signs() {
    let (signed, body) = message(|_, _| {});
    assert!(signed.transaction().clone().sign(&key(BOB), &[0; 32]).is_err());
    let by_bob = key(BOB).sign(signed.id().as_bytes(), &[0; 32]).unwrap();
    let forged = SignedTransaction::new(signed.transaction().clone(), by_bob);
    let refused = forged.verify(Some(body), &CHAIN.genesis).unwrap_err();
    assert_eq!(refused, TransactionError::Signature);
}

#[test]
fn the_id_covers_everything_but_the_signature_and_the_work_everything_but_the_nonce() {
    let (signed, _) = message(|_, _| {});
    let (other_nonce, _) = message(|t, _| t.nonce = 9);
    let (other_expiry, _) = message(|t, _| t.expiry = BlockHeight::new(7));
    assert_ne!(signed.id(), other_nonce.id());
    assert_eq!(signed.transaction().postage_hash(), other_nonce.transaction().postage_hash());
    assert_ne!(signed.transaction().postage_hash(), other_expiry.transaction().postage_hash());
    let again = signed.transaction().clone().sign(&key(ALICE), &[7; 32]).unwrap();
    assert_ne!(again.signature(), signed.signature());
    assert_eq!(again.id(), signed.id());
}

#[test]
fn bytes_tell_id_and_sender_without_being_read() {
    let (signed, _) = message(|_, _| {});
    let bytes = signed.to_bytes();
    assert_eq!(SignedTransaction::id_in(&bytes), Some(signed.id()));
    // Whatever the signature is, and with nothing before or behind.
    let other = SignedTransaction::new(signed.transaction().clone(), Signature::from_bytes([9; 64]));
    assert_eq!(SignedTransaction::id_in(other.as_bytes()), Some(signed.id()));
    for changed in [&bytes[1..], &bytes[..bytes.len() - 1], &[&bytes[..], &[0]].concat()] {
        assert_ne!(SignedTransaction::id_in(changed), Some(signed.id()));
    }
    assert_eq!(SignedTransaction::id_in(&[0; 63]), None);
    assert_eq!(SignedTransaction::id_in(&vec![0; MAX_TRANSACTION_BYTES + 1]), None);
    assert!(SignedTransaction::id_in(&vec![0; MAX_TRANSACTION_BYTES]).is_some());
    assert_eq!(SignedTransaction::sender_in(&bytes), Some(signed.sender()));
    assert_eq!(SignedTransaction::sender_in(&bytes[..65]), None);
}

#[test]
fn the_first_bad_signature_of_many_is_named() {
    /// More than one core checks at once.
    const MANY: usize = 5 * SMALLEST_BATCH;
    let (signed, body) = message(|_, _| {});
    let mut many = vec![(signed.clone(), Some(body)); MANY];
    let receipt = Receipt { message: signed.id(), slot: 0, answer: Answer::Opened { secret: [0; 32] } };
    let wrong = CHAIN.sign(BOB, Payload::Receipt(receipt));
    let forged = SignedTransaction::new(wrong.transaction().clone(), *signed.signature());
    let first = MANY / 6;
    for at in [first, MANY / 2, MANY - 1] {
        many[at] = (forged.clone(), None);
    }
    for _ in 0..20 {
        let named = verify_all(many.clone(), &CHAIN.genesis).unwrap_err();
        assert_eq!(named, (first, TransactionError::Signature));
    }
    // A fault of structure is named before any signature is looked at.
    many[MANY - 2].1 = None;
    many[MANY - 3].1 = None;
    for _ in 0..20 {
        let named = verify_all(many.clone(), &CHAIN.genesis).unwrap_err();
        assert_eq!(named, (MANY - 3, TransactionError::BodyMissing));
    }
}

#[test]
fn of_many_each_is_judged_as_if_it_came_alone() {
    const MANY: usize = 3 * SMALLEST_BATCH;
    let (signed, body) = message(|_, _| {});
    let receipt = Receipt { message: signed.id(), slot: 0, answer: Answer::Opened { secret: [0; 32] } };
    let wrong = CHAIN.sign(BOB, Payload::Receipt(receipt));
    let forged = SignedTransaction::new(wrong.transaction().clone(), *signed.signature());
    // Few bad ones, many of them, and nothing else; next to one another, first and last.
    for bad in [vec![], vec![70], vec![0, 1, 2, MANY - 1], (10..90).collect(), (0..MANY).collect()] {
        let mut many = vec![(signed.clone(), Some(body.clone())); MANY];
        for at in bad {
            many[at] = (forged.clone(), None);
        }
        many[64].1 = None;
        let alone = |(transaction, body): (SignedTransaction, Option<Body>)| {
            transaction.verify(body, &CHAIN.genesis).map(|verified| verified.id())
        };
        let expected: Vec<_> = many.iter().cloned().map(alone).collect();
        let found = verify_each(many, &CHAIN.genesis, &Known::new()).into_iter();
        assert_eq!(found.map(|each| each.map(|verified| verified.id())).collect::<Vec<_>>(), expected);
    }
}

#[test]
fn what_was_verified_before_is_taken_only_if_it_is_the_same_to_the_last_byte() {
    let (signed, body) = message(|_, _| {});
    let genesis = &CHAIN.genesis;
    let verified = signed.clone().verify(Some(body.clone()), genesis).unwrap();
    let known = Known::from([(signed.id(), verified.clone())]);
    let again = |transaction: &SignedTransaction, body: Option<Body>| {
        verify_all_knowing(vec![(transaction.clone(), body)], genesis, &known)
    };
    assert_eq!(again(&signed, Some(body.clone())).unwrap()[0].signed(), &signed);
    // The id does not name the signature: the same words under another one are another transaction.
    let mut bytes = *signed.signature().as_bytes();
    bytes[63] ^= 1;
    let forged = SignedTransaction::new(signed.transaction().clone(), Signature::from_bytes(bytes));
    assert_eq!(forged.id(), signed.id());
    assert_eq!(again(&forged, Some(body.clone())).unwrap_err(), (0, TransactionError::Signature));
    let mut other = body.as_bytes().to_vec();
    other[0] ^= 1;
    assert_eq!(again(&signed, Some(Body::new(other))).unwrap_err(), (0, TransactionError::OtherBody));
    assert_eq!(again(&signed, None).unwrap_err(), (0, TransactionError::BodyMissing));
    // Among others, the others are verified, and the bad one is named by its own number.
    let mixed =
        vec![(signed.clone(), Some(body.clone())), (forged, Some(body.clone())), (signed, Some(body))];
    assert_eq!(verify_all_knowing(mixed, genesis, &known).unwrap_err(), (1, TransactionError::Signature));
    // Is it taken at all? A known one that lies about its size is taken as it is.
    let lie = VerifiedTransaction { transaction: verified.transaction.clone(), body: None, bytes: 0 };
    let lying = Known::from([(lie.id(), lie)]);
    assert_eq!(
        verify_all_knowing(vec![(verified.transaction, None)], genesis, &lying).unwrap()[0].bytes(),
        0
    );
}

#[test]
fn a_transaction_is_as_its_bytes_say() {
    let (signed, _) = message(|_, _| {});
    let read = SignedTransaction::from_bytes(signed.as_bytes()).unwrap();
    assert_eq!(read, signed);
    assert_eq!(encode(&read), signed.to_bytes());
    let (words, signature) = signed.as_bytes().split_at(signed.as_bytes().len() - 64);
    assert_eq!(
        (words, signature),
        (encode(signed.transaction()).as_slice(), &signed.signature().as_bytes()[..])
    );
}
