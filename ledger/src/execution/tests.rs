//! Claims about what may stand in a block.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic)]

use super::*;
use crate::genesis::GenesisFile;
use crate::key_bundle::KeyBundle;
use crate::message::{Body, Mode, SlotRecipient};
use crate::postage::is_paid;
use crate::receipt::RefusalReason;
use crate::testing::{ALICE, BOB, CAROL, Chain, SECRETS, address, genesis_file, key};
use crate::transaction::{SignedTransaction, Transaction};

/// What the rules say to a transaction on top of the chain.
fn judge(chain: &Chain, transaction: SignedTransaction, body: Option<Body>) -> Result<(), Refusal> {
    let verified = transaction.verify(body, &chain.genesis).unwrap();
    match chain.tip.check(&chain.state, &verified) {
        Ok(()) => Ok(()),
        Err(Rejection::Refused(refusal)) => Err(refusal),
        Err(Rejection::View(error)) => panic!("{error}"),
    }
}

/// Signs a transaction after a change.
fn resign(signed: &SignedTransaction, seed: u8, change: impl FnOnce(&mut Transaction)) -> SignedTransaction {
    let mut transaction = signed.transaction().clone();
    change(&mut transaction);
    transaction.sign(&key(seed), &[0; 32]).unwrap()
}

/// A chain on which Alice's message to Bob and Carol is final.
fn with_message() -> (Chain, TransactionId) {
    let mut chain = Chain::new();
    let (message, body) = chain.message(&[BOB, CAROL]);
    let id = message.id();
    chain.add(vec![(message, Some(body))]);
    (chain, id)
}

fn receipt(chain: &Chain, by: u8, message: TransactionId, slot: u16, answer: Answer) -> SignedTransaction {
    chain.sign(by, Payload::Receipt(Receipt { message, slot, answer }))
}

#[test]
fn an_expiry_lies_between_the_next_block_and_the_window() {
    let mut chain = Chain::new();
    chain.add(Vec::new());
    let (message, body) = chain.message(&[BOB]);
    let judge_expiry = |expiry: u64| {
        let changed = resign(&message, ALICE, |t| t.expiry = BlockHeight::new(expiry));
        judge(&chain, changed, Some(body.clone()))
    };
    assert!(matches!(judge_expiry(1), Err(Refusal::Expired { .. })));
    assert_eq!(judge_expiry(2), Ok(()));
    assert_eq!(judge_expiry(1002), Ok(()));
    assert!(matches!(judge_expiry(1003), Err(Refusal::ExpiryTooFar { .. })));
    assert!(matches!(judge_expiry(u64::MAX), Err(Refusal::ExpiryTooFar { .. })));
}

#[test]
fn a_transaction_stands_on_the_ledger_once() {
    let (chain, id) = with_message();
    let message = chain.proven(id).transaction;
    let body = chain.blocks[0].block().bodies()[0].clone();
    // Another signature does not make it another transaction.
    let other_signature = key(ALICE).sign(id.as_bytes(), &[9; 32]).unwrap();
    let again = SignedTransaction::new(message.transaction().clone(), other_signature);
    assert_eq!(judge(&chain, again.clone(), Some(body.clone())), Err(Refusal::Repeated { id }));

    let chain = Chain::new();
    let verified: Vec<_> =
        [message, again].map(|t| t.verify(Some(body.clone()), &chain.genesis).unwrap()).into();
    let mut execution = Execution::new(&chain.tip, &chain.state);
    execution.add(&verified[0]).unwrap();
    assert_eq!(execution.add(&verified[1]), Err(Refusal::Repeated { id }.into()));
}

#[test]
fn a_receipt_needs_a_final_message_its_slot_its_recipient_and_its_secret() {
    let (chain, id) = with_message();
    let opened = |secret| Answer::Opened { secret };
    let judge_receipt = |by, message, slot, answer| {
        judge(&chain, receipt(&chain, by, message, slot, answer), None).map_err(|refusal| refusal.code())
    };
    assert_eq!(judge_receipt(BOB, id, 0, opened(SECRETS[0])), Ok(()));
    assert_eq!(judge_receipt(CAROL, id, 1, opened(SECRETS[1])), Ok(()));
    assert_eq!(judge_receipt(CAROL, id, 1, Answer::Refused { reason: RefusalReason::Unwanted }), Ok(()));
    let unknown = TransactionId::from_bytes([4; 32]);
    assert_eq!(judge_receipt(BOB, unknown, 0, opened(SECRETS[0])), Err("receipt.unknown_message"));
    assert_eq!(judge_receipt(BOB, id, 2, opened(SECRETS[0])), Err("receipt.unknown_slot"));
    assert_eq!(judge_receipt(CAROL, id, 0, opened(SECRETS[0])), Err("receipt.not_recipient"));
    assert_eq!(judge_receipt(ALICE, id, 0, opened(SECRETS[0])), Err("receipt.not_recipient"));
    assert_eq!(judge_receipt(BOB, id, 0, opened(SECRETS[1])), Err("receipt.wrong_secret"));
}

#[test]
fn a_slot_is_answered_once_in_one_block_and_over_blocks() {
    let (mut chain, id) = with_message();
    let opened = chain.opened(BOB, id, 0);
    let refuses = receipt(&chain, BOB, id, 0, Answer::Refused { reason: RefusalReason::Unwanted });
    let verified = [&opened, &refuses].map(|t| t.clone().verify(None, &chain.genesis).unwrap());
    let mut execution = Execution::new(&chain.tip, &chain.state);
    execution.add(&verified[0]).unwrap();
    let answered = Refusal::AlreadyAnswered { message: id, slot: 0 };
    assert_eq!(execution.add(&verified[1]), Err(answered.clone().into()));
    chain.add(vec![(opened, None)]);
    assert_eq!(judge(&chain, refuses, None), Err(answered));
}

#[test]
fn a_receipt_can_not_stand_in_its_messages_own_block() {
    let chain = Chain::new();
    let (message, body) = chain.message(&[BOB]);
    let answer = chain.opened(BOB, message.id(), 0);
    let mut execution = Execution::new(&chain.tip, &chain.state);
    execution.add(&message.clone().verify(Some(body), &chain.genesis).unwrap()).unwrap();
    let refused = execution.add(&answer.verify(None, &chain.genesis).unwrap());
    assert_eq!(refused, Err(Refusal::UnknownMessage { message: message.id() }.into()));
}

#[test]
fn sealed_slots_are_not_answered_on_the_ledger() {
    let mut chain = Chain::new();
    let (message, body) = chain.message(&[BOB]);
    let sealed = resign(&message, ALICE, |t| {
        let Payload::Message(message) = &mut t.payload else { return };
        message.mode = Mode::Sealed;
        message.slots[0].recipient = SlotRecipient::Hidden { ephemeral: [2; 33], view_tag: 1 };
    });
    let id = sealed.id();
    chain.add(vec![(sealed, Some(body))]);
    assert_eq!(judge(&chain, chain.opened(BOB, id, 0), None), Err(Refusal::SealedSlot { slot: 0 }));
}

#[test]
fn key_bundles_count_up_by_one_and_are_not_past() {
    let mut chain = Chain::new();
    chain.add(vec![(chain.bundle(BOB), None)]);
    let judge_bundle = |sequence: u64, valid_until: u64| {
        let changed = resign(&chain.bundle(BOB), BOB, |t| {
            let Payload::KeyBundle(bundle) = &mut t.payload else { return };
            *bundle = KeyBundle { sequence, valid_until: BlockHeight::new(valid_until), ..bundle.clone() };
        });
        judge(&chain, changed, None)
    };
    assert_eq!(judge_bundle(2, 2), Ok(()));
    assert_eq!(judge_bundle(1, 1000), Err(Refusal::Sequence { found: 1, expected: 2 }));
    assert_eq!(judge_bundle(3, 1000), Err(Refusal::Sequence { found: 3, expected: 2 }));
    assert!(matches!(judge_bundle(2, 1), Err(Refusal::BundleExpired { .. })));
}

/// A genesis with a price, a small block, and Bob as a member.
fn priced(change: impl FnOnce(&mut GenesisFile)) -> Chain {
    let mut file = genesis_file();
    file.limits.block_bytes = 64 << 10;
    file.limits.body_bytes = 32 << 10;
    file.postage.floor = 64;
    let prefix = crate::address::AddressPrefix::new(&file.address_prefix).unwrap();
    file.members = vec![address(BOB).to_text(&prefix)];
    change(&mut file);
    Chain::with(file)
}

/// A message from `seed` with a body of that length, worked for or not.
fn large(chain: &Chain, seed: u8, length: usize, nonce_good: bool) -> (SignedTransaction, Option<Body>) {
    let (message, _) = chain.message(&[CAROL]);
    let body = Body::new(vec![seed; length]);
    let mut transaction = message.transaction().clone();
    transaction.sender = address(seed);
    if let Payload::Message(message) = &mut transaction.payload {
        (message.body_hash, message.body_length) = (body.hash(), length as u32);
    }
    let work = work(chain.tip.price(), transaction.charged_bytes(length));
    let hash = transaction.postage_hash();
    transaction.nonce = (0..).find(|nonce| is_paid(&hash, *nonce, work) == nonce_good).unwrap();
    (transaction.sign(&key(seed), &[0; 32]).unwrap(), Some(body))
}

#[test]
fn strangers_pay_and_members_send_within_their_quota() {
    let chain = priced(|file| file.postage.member_quota_bytes = 4096);
    let judge_large = |seed, length, good| {
        let (transaction, body) = large(&chain, seed, length, good);
        judge(&chain, transaction, body)
    };
    assert!(matches!(judge_large(ALICE, 1000, false), Err(Refusal::Postage { .. })));
    assert_eq!(judge_large(ALICE, 1000, true), Ok(()));
    assert_eq!(judge_large(BOB, 1000, false), Ok(()));
    assert!(matches!(judge_large(BOB, 5000, false), Err(Refusal::Postage { .. })));
    assert_eq!(judge_large(BOB, 5000, true), Ok(()));
}

#[test]
fn strangers_share_a_part_of_the_block_and_leave_the_rest() {
    let chain = priced(|file| file.postage.strangers_percent = 25);
    let add = |execution: &mut Execution<'_, _>, seed, length| {
        let (transaction, body) = large(&chain, seed, length, true);
        execution.add(&transaction.verify(body, &chain.genesis).unwrap())
    };
    let mut execution = Execution::new(&chain.tip, &chain.state);
    add(&mut execution, ALICE, 12_000).unwrap();
    let refused = add(&mut execution, CAROL, 12_000);
    assert!(matches!(refused, Err(Rejection::Refused(Refusal::StrangersFull { .. }))));
    let never = add(&mut execution, CAROL, 20_000);
    assert!(matches!(never, Err(Rejection::Refused(Refusal::NeverFits { .. }))));
    for length in [20_000, 20_001] {
        add(&mut execution, BOB, length).unwrap();
    }
    let refused = add(&mut execution, BOB, 20_002);
    assert!(matches!(refused, Err(Rejection::Refused(Refusal::BlockFull { .. }))));
}

#[test]
fn what_fits_to_the_byte_has_room_and_a_byte_more_has_not() {
    let room = |quota: u32| {
        priced(|file| {
            (file.postage.strangers_percent, file.postage.member_quota_bytes) = (25, quota);
        })
    };
    let chain = room(0);
    // What a message weighs beside its body.
    let (message, body) = large(&chain, ALICE, 1000, true);
    let envelope = message.verify(body, &chain.genesis).unwrap().bytes() - 1000;
    let add = |execution: &mut Execution<'_, _>, chain: &Chain, seed, bytes: usize, paid| {
        let (transaction, body) = large(chain, seed, bytes - envelope, paid);
        match execution.add(&transaction.verify(body, &chain.genesis).unwrap()) {
            Ok(()) => Ok(()),
            Err(Rejection::Refused(refusal)) => Err(refusal.code()),
            Err(Rejection::View(error)) => panic!("{error}"),
        }
    };
    // One after another: each line on a fresh block.
    let judge = |chain: &Chain, transactions: &[(u8, usize, bool)]| {
        let mut execution = Execution::new(&chain.tip, &chain.state);
        let (last, before) = transactions.split_last().unwrap();
        for (seed, bytes, paid) in before {
            assert_eq!(add(&mut execution, chain, *seed, *bytes, *paid), Ok(()));
        }
        add(&mut execution, chain, last.0, last.1, last.2)
    };
    let (block, strangers) = (64 << 10, chain.genesis.strangers_bytes() as usize);
    assert_eq!(judge(&chain, &[(ALICE, strangers, true)]), Ok(()));
    assert_eq!(judge(&chain, &[(ALICE, strangers + 1, true)]), Err("tx.too_long"));
    assert_eq!(judge(&chain, &[(ALICE, 6000, true), (CAROL, strangers - 6000, true)]), Ok(()));
    assert_eq!(judge(&chain, &[(ALICE, 6000, true), (CAROL, strangers - 5999, true)]), Err("tx.block_full"));
    assert_eq!(judge(&chain, &[(BOB, 33_000, true), (BOB, block - 33_000, true)]), Ok(()));
    assert_eq!(judge(&chain, &[(BOB, 33_000, true), (BOB, block - 32_999, true)]), Err("tx.block_full"));
    let chain = room(6000);
    assert_eq!(judge(&chain, &[(BOB, 2999, false), (BOB, 3001, false)]), Ok(()));
    assert_eq!(judge(&chain, &[(BOB, 2999, false), (BOB, 3002, false)]), Err("tx.postage_too_low"));
}

#[test]
fn a_refused_transaction_leaves_no_trace() {
    let (chain, id) = with_message();
    let mut execution = Execution::new(&chain.tip, &chain.state);
    let wrong = receipt(&chain, CAROL, id, 0, Answer::Refused { reason: RefusalReason::Unwanted });
    assert!(execution.add(&wrong.verify(None, &chain.genesis).unwrap()).is_err());
    let executed = execution.finish();
    assert!(executed.changes.is_empty());
    assert_eq!(executed.next_price, chain.tip.price());
}

#[test]
fn strangers_who_fill_their_small_part_raise_the_price() {
    // A quarter of the block is less than half of it: the whole block alone would lower the price.
    let mut chain = priced(|file| file.postage.strangers_percent = 25);
    let before = chain.tip.price();
    let full = large(&chain, ALICE, 15_000, true);
    chain.add(vec![full]);
    assert!(chain.tip.price() > before);
    chain.add(Vec::new());
    assert_eq!(chain.tip.price(), before, "an empty block brings it back to its floor");
}

/// How the price moves from above its floor by a block of a member who fills a quota, and then pays for that part of what
/// is left. The argument of `paid` is half of it.
fn moved(quota: usize, paid: impl Fn(usize) -> usize) -> std::cmp::Ordering {
    let mut chain = priced(|file| file.postage.member_quota_bytes = quota as u32);
    // What a message weighs beside its body.
    let (message, body) = large(&chain, ALICE, 1_000, true);
    let envelope = message.verify(body, &chain.genesis).unwrap().bytes() - 1_000;
    chain.add([32_700, 32_701].map(|bytes| large(&chain, ALICE, bytes - envelope, true)).to_vec());
    let before = chain.tip.price();
    assert!(before > 64);
    let free: Vec<_> =
        (0..3).map(|n| (quota / 3).saturating_sub(n)).filter(|bytes| *bytes > envelope).collect();
    let paid = paid(((64 << 10) - free.iter().sum::<usize>()) / 2);
    let mut transactions: Vec<_> =
        free.into_iter().map(|bytes| large(&chain, BOB, bytes - envelope, false)).collect();
    if paid > 0 {
        transactions.push(large(&chain, BOB, paid - envelope, true));
    }
    chain.add(transactions);
    chain.tip.price().cmp(&before)
}

#[test]
fn what_members_send_within_their_quota_does_not_raise_the_price_for_strangers() {
    use std::cmp::Ordering::{Equal, Greater, Less};
    assert_eq!(moved(57_000, |_| 0), Less, "a block full of quota is no demand");
    // Where nobody has a quota, half of the block decides; else half of what the quota leaves.
    for quota in [0, 48_000] {
        assert_eq!(moved(quota, |half| half / 2), Less, "{quota}");
        assert_eq!(moved(quota, |half| half), Equal, "{quota}");
        assert_eq!(moved(quota, |half| half + 1), Greater, "{quota}");
    }
}
