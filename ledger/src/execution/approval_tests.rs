//! Claims about what needs approval: validators and members; and about designations and withdrawn keys.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic)]

use super::*;
use crate::chain::Tip;
use crate::genesis::Genesis;
use crate::key_bundle::{KeyBundle, Revoke};
use crate::membership::{Designate, MemberStatus, ValidatorsChange, validators_approval};
use crate::signature::PublicKey;
use crate::testing::{ALICE, BOB, CAROL, Chain, VALIDATORS, address, approve, genesis_file, key, validators};
use crate::transaction::{SignedTransaction, Transaction};
use proptest::prelude::*;

fn judge(chain: &Chain, transaction: SignedTransaction) -> Result<(), Refusal> {
    let verified = transaction.verify(None, &chain.genesis).unwrap();
    match chain.tip.check(&chain.state, &verified) {
        Ok(()) => Ok(()),
        Err(Rejection::Refused(refusal)) => Err(refusal),
        Err(Rejection::View(error)) => panic!("{error}"),
    }
}

/// The same transaction with another payload, signed again.
fn with(chain: &Chain, signed: &SignedTransaction, change: impl FnOnce(&mut Payload)) -> SignedTransaction {
    let mut transaction: Transaction = signed.transaction().clone();
    change(&mut transaction.payload);
    assert_eq!(transaction.chain, chain.genesis.chain_id());
    transaction.sign(&key(ALICE), &[0; 32]).unwrap()
}

const THREE: &[u8] = &[101, 102, 103];
const OTHERS: &[u8] = &[101, 105, 106, 107];

#[test]
fn a_change_is_announced_by_the_block_before_it_and_decides_from_its_height_on() {
    let mut chain = Chain::new();
    chain.signers.extend([105, 106, 107].map(key));
    let (before, after) = (validators(&VALIDATORS).hash(), validators(OTHERS).hash());
    let change = chain.validators_change(OTHERS, 4, THREE);
    let id = change.id();
    chain.add(vec![(change, None)]);
    assert_eq!(chain.tip.scheduled().unwrap().effective, BlockHeight::new(4));
    for _ in 2..=5 {
        chain.add(Vec::new());
    }
    let hashes: Vec<_> = chain
        .blocks
        .iter()
        .map(|b| (b.block().header().validators_hash, b.block().header().next_validators_hash))
        .collect();
    assert_eq!(hashes, [(before, before), (before, before), (before, after), (after, after), (after, after)]);
    let announced: Vec<_> = chain.blocks.iter().map(|b| b.verified().new_validators().is_some()).collect();
    assert_eq!(announced, [false, false, true, false, false]);
    assert_eq!(chain.tip.scheduled(), None);
    let (record, proof) = chain.state_proof(chain.tip.height(), &StateKey::Validators);
    let Some(StateRecord::Validators(record)) = record else { panic!("no record") };
    assert_eq!((record.effective, record.transaction), (BlockHeight::new(4), id));
    let record = StateRecord::Validators(record);
    proof.verify_present(&chain.tip.state_root(), &StateKey::Validators, &record).unwrap();
}

#[test]
fn a_change_can_be_announced_by_its_own_block() {
    let mut chain = Chain::new();
    chain.signers.extend([105, 106, 107].map(key));
    let change = chain.validators_change(OTHERS, 2, THREE);
    chain.add(vec![(change, None)]);
    assert_eq!(**chain.tip.validators(), validators(OTHERS));
    assert_eq!(chain.tip.scheduled(), None);
    // The new set is in office: it approves the next change, the old one does not.
    assert_eq!(judge(&chain, chain.validators_change(&VALIDATORS, 4, &[101, 105, 106])), Ok(()));
    let old = chain.validators_change(&VALIDATORS, 4, &[101]);
    assert_eq!(judge(&chain, old), Err(Refusal::Approvals(QuorumError::TooFew { signed: 1, total: 4 })));
}

#[test]
fn an_effective_height_lies_after_the_block_and_within_the_window() {
    let chain = Chain::new();
    let judge_at = |effective| judge(&chain, chain.validators_change(OTHERS, effective, THREE));
    assert!(matches!(judge_at(0), Err(Refusal::Effective { .. })));
    assert!(matches!(judge_at(1), Err(Refusal::Effective { .. })));
    assert_eq!(judge_at(2), Ok(()));
    assert_eq!(judge_at(1001), Ok(()));
    assert!(matches!(judge_at(1002), Err(Refusal::Effective { .. })));
    assert!(matches!(judge_at(u64::MAX), Err(Refusal::Effective { .. })));
}

#[test]
fn only_one_change_is_scheduled_at_a_time_even_within_a_block() {
    let mut chain = Chain::new();
    let first = chain.validators_change(OTHERS, 3, THREE);
    let second = chain.validators_change(&[101, 102, 103], 4, THREE);
    let pending = Refusal::ChangePending { effective: BlockHeight::new(3) };
    let mut execution = Execution::new(&chain.tip, &chain.state);
    execution.add(&first.clone().verify(None, &chain.genesis).unwrap()).unwrap();
    let refused = execution.add(&second.clone().verify(None, &chain.genesis).unwrap());
    assert_eq!(refused, Err(pending.clone().into()));
    chain.add(vec![(first, None)]);
    assert_eq!(judge(&chain, second), Err(pending));
}

#[test]
fn forged_missing_and_repeated_approvals_are_refused() {
    let chain = Chain::new();
    let good = chain.validators_change(OTHERS, 5, THREE);
    assert_eq!(judge(&chain, good.clone()), Ok(()));
    let few = chain.validators_change(OTHERS, 5, &[101, 102]);
    assert_eq!(judge(&chain, few), Err(Refusal::Approvals(QuorumError::TooFew { signed: 2, total: 4 })));
    let judge_with = |change: fn(&mut ValidatorsChange)| {
        judge(
            &chain,
            with(&chain, &good, |payload| {
                let Payload::Validators(content) = payload else { return };
                change(content);
            }),
        )
        .unwrap_err()
        .code()
    };
    // Approvals of one change say nothing about another.
    assert_eq!(judge_with(|c| c.effective = BlockHeight::new(6)), "approval.signature");
    assert_eq!(judge_with(|c| c.validators[0].power = 9), "approval.signature");
    assert_eq!(judge_with(|c| c.approvals[1] = (c.approvals[1].0, c.approvals[0].1)), "approval.signature");
    assert_eq!(judge_with(|c| c.approvals.push(c.approvals[2])), "approval.repeated");
    assert_eq!(judge_with(|c| c.approvals.reverse()), "approval.repeated");
    assert_eq!(judge_with(|c| c.approvals[2].0 = 4), "approval.foreign");
    let outsiders = chain.validators_change(OTHERS, 5, &[1, 2, 3]);
    assert_eq!(judge(&chain, outsiders).unwrap_err().code(), "approval.foreign");
    let same = chain.validators_change(&VALIDATORS, 5, THREE);
    assert_eq!(judge(&chain, same), Err(Refusal::SameValidators));
}

#[test]
fn approvals_end_with_the_set_that_gave_them_and_with_their_chain() {
    let mut chain = Chain::new();
    chain.signers.push(key(105));
    // The same three approve under both sets; what they approved under the first is void under the second.
    let early = chain.validators_change(&[101, 102, 103, 106], 5, THREE);
    let first = chain.validators_change(&[101, 102, 103, 105], 2, THREE);
    let member = chain.member_change(CAROL, MemberStatus::Admitted, 40, THREE);
    chain.add(vec![(first, None)]);
    assert_eq!(judge(&chain, early).unwrap_err().code(), "approval.signature");
    assert_eq!(judge(&chain, member).unwrap_err().code(), "approval.signature");
    let mut file = genesis_file();
    file.chain_name = "other".into();
    let other = Chain::with(file);
    let here = Chain::new();
    let copied = other.validators_change(OTHERS, 5, THREE);
    let copied = with(&here, &here.validators_change(OTHERS, 5, THREE), |p| *p = copied.payload().clone());
    assert_eq!(judge(&here, copied).unwrap_err().code(), "approval.signature");
}

#[test]
fn a_tip_with_a_scheduled_change_survives_being_stored() {
    let mut chain = Chain::new();
    chain.signers.extend([105, 106, 107].map(key));
    let change = chain.validators_change(OTHERS, 4, THREE);
    chain.add(vec![(change, None)]);
    chain.tip = Tip::restore(chain.genesis.clone(), chain.tip.to_record()).unwrap();
    for _ in 2..=4 {
        chain.add(Vec::new());
    }
    assert_eq!(**chain.tip.validators(), validators(OTHERS));
}

#[test]
fn a_member_comes_and_goes_and_no_approval_works_twice() {
    let mut chain = Chain::new();
    let admit = |chain: &Chain, expiry| chain.member_change(CAROL, MemberStatus::Admitted, expiry, THREE);
    let end = |chain: &Chain, expiry| chain.member_change(CAROL, MemberStatus::Ended, expiry, THREE);
    assert_eq!(judge(&chain, end(&chain, 40)), Err(Refusal::SameStatus { status: "ended" }));
    let few = chain.member_change(CAROL, MemberStatus::Admitted, 40, &[101, 102]);
    assert_eq!(judge(&chain, few).unwrap_err().code(), "approval.too_few");
    let forged = with(&chain, &admit(&chain, 40), |payload| {
        let Payload::Member(content) = payload else { return };
        content.address = address(BOB);
    });
    assert_eq!(judge(&chain, forged).unwrap_err().code(), "approval.signature");
    let admitted = admit(&chain, 40);
    chain.add(vec![(admitted.clone(), None)]);
    assert_eq!(judge(&chain, admit(&chain, 41)), Err(Refusal::SameStatus { status: "admitted" }));
    let superseded = Refusal::Superseded { expiry: BlockHeight::new(40), last: BlockHeight::new(40) };
    assert_eq!(judge(&chain, end(&chain, 40)), Err(superseded));
    let ended = end(&chain, 41);
    chain.add(vec![(ended, None)]);
    // The old approvals under another sender and nonce: a new transaction, and yet refused.
    let transaction = Transaction { sender: address(BOB), ..admitted.transaction().clone() };
    let replayed = transaction.sign(&key(BOB), &[0; 32]).unwrap();
    let superseded = Refusal::Superseded { expiry: BlockHeight::new(40), last: BlockHeight::new(41) };
    assert_eq!(judge(&chain, replayed), Err(superseded));
    assert_eq!(judge(&chain, admit(&chain, 42)), Ok(()));
}

#[test]
fn a_member_whose_membership_ended_pays_like_everybody() {
    let mut file = genesis_file();
    file.postage.floor = 1 << 40;
    file.postage.member_quota_bytes = 4096;
    let prefix = crate::address::AddressPrefix::new(&file.address_prefix).unwrap();
    file.members = [ALICE, BOB].map(|seed| address(seed).to_text(&prefix)).to_vec();
    let mut chain = Chain::with(file);
    assert_eq!(judge(&chain, chain.bundle(BOB)), Ok(()));
    let ended = chain.member_change(BOB, MemberStatus::Ended, 30, THREE);
    chain.add(vec![(ended, None)]);
    assert!(matches!(judge(&chain, chain.bundle(BOB)), Err(Refusal::Postage { .. })));
    assert_eq!(judge(&chain, chain.bundle(ALICE)), Ok(()));
    let again = chain.member_change(BOB, MemberStatus::Admitted, 31, THREE);
    chain.add(vec![(again, None)]);
    assert_eq!(judge(&chain, chain.bundle(BOB)), Ok(()));
}

#[test]
fn a_later_designation_of_a_class_replaces_the_one_before() {
    let mut chain = Chain::new();
    let designate = |chain: &Chain, to| {
        let content = Designate { class: "tax".to_owned(), to: address(to) };
        chain.sign(BOB, Payload::Designate(content))
    };
    let key = StateKey::Designation(address(BOB), "tax".to_owned());
    for to in [CAROL, ALICE, BOB] {
        let transaction = designate(&chain, to);
        let id = transaction.id();
        let height = chain.add(vec![(transaction, None)]);
        let (record, proof) = chain.state_proof(height, &key);
        let expected = DesignationRecord { to: address(to), transaction: id, height };
        assert_eq!(record, Some(StateRecord::Designation(expected)));
        proof.verify_present(&chain.tip.state_root(), &key, &record.unwrap()).unwrap();
    }
    let other = StateKey::Designation(address(BOB), "health".to_owned());
    let (none, proof) = chain.state_proof(chain.tip.height(), &other);
    assert_eq!(none, None);
    proof.verify_absent(&chain.tip.state_root(), &other).unwrap();
}

fn revoke(chain: &Chain, owner: u8, sequence: u64, from: u64) -> SignedTransaction {
    chain.sign(owner, Payload::Revoke(Revoke { sequence, from: BlockHeight::new(from) }))
}

fn revoked(chain: &Chain, key: &StateKey) -> Option<u64> {
    let (record, _) = chain.state_proof(chain.tip.height(), key);
    let Some(StateRecord::Bundle(record)) = record else { panic!("no bundle") };
    record.revoked_from.map(BlockHeight::get)
}

#[test]
fn a_bundle_is_withdrawn_by_its_owner_from_a_later_block_on_and_only_ever_earlier() {
    let mut chain = Chain::new();
    chain.add(vec![(chain.bundle(BOB), None)]);
    assert_eq!(judge(&chain, revoke(&chain, CAROL, 1, 9)), Err(Refusal::UnknownBundle { sequence: 1 }));
    assert_eq!(judge(&chain, revoke(&chain, BOB, 2, 9)), Err(Refusal::UnknownBundle { sequence: 2 }));
    // In its own block, too, there may be messages whose senders could not know.
    for from in [1, 2] {
        let past = Refusal::RevokedInThePast { from: BlockHeight::new(from), next: BlockHeight::new(2) };
        assert_eq!(judge(&chain, revoke(&chain, BOB, 1, from)), Err(past));
    }
    assert_eq!(judge(&chain, revoke(&chain, BOB, 1, 3)), Ok(()));
    chain.add(vec![(revoke(&chain, BOB, 1, 9), None)]);
    let newest = StateKey::Directory(address(BOB));
    assert_eq!(revoked(&chain, &newest), Some(9));
    for from in [9, 10] {
        let already = Refusal::AlreadyRevoked { sequence: 1, from: BlockHeight::new(9) };
        assert_eq!(judge(&chain, revoke(&chain, BOB, 1, from)), Err(already));
    }
    chain.add(vec![(revoke(&chain, BOB, 1, 5), None)]);
    assert_eq!(revoked(&chain, &newest), Some(5));
    assert_eq!(revoked(&chain, &StateKey::Bundle(address(BOB), 1)), Some(5));
}

#[test]
fn withdrawing_an_older_bundle_leaves_the_newest_alone() {
    let mut chain = Chain::new();
    chain.add(vec![(chain.bundle(BOB), None)]);
    let Payload::KeyBundle(first) = chain.bundle(BOB).payload().clone() else { panic!("no bundle") };
    let second = chain.sign(BOB, Payload::KeyBundle(KeyBundle { sequence: 2, ..first }));
    let withdrawn = revoke(&chain, BOB, 1, 3);
    chain.add(vec![(second, None), (withdrawn, None)]);
    assert_eq!(revoked(&chain, &StateKey::Bundle(address(BOB), 1)), Some(3));
    assert_eq!(revoked(&chain, &StateKey::Bundle(address(BOB), 2)), None);
    assert_eq!(revoked(&chain, &StateKey::Directory(address(BOB))), None);
}

/// What a careful reader of the rules keeps on paper: who is in office, and who comes when.
struct Paper {
    present: Vec<u8>,
    scheduled: Option<(Vec<u8>, u64)>,
}

impl Paper {
    fn accepts(&self, next: u64, to: &[u8], effective: u64, by: &[u8]) -> bool {
        let signed = by.iter().filter(|seed| self.present.contains(seed)).count();
        self.scheduled.is_none()
            && effective > next
            && to != self.present
            && signed == by.len()
            && 3 * signed > 2 * self.present.len()
    }
    fn end_of_block(&mut self, height: u64) {
        if let Some((set, _)) = self.scheduled.take_if(|(_, effective)| *effective == height + 1) {
            self.present = set;
        }
    }
}

/// Some of the validators there could be, ascending.
fn some() -> impl Strategy<Value = Vec<u8>> {
    prop::sample::subsequence((101..=106).collect::<Vec<u8>>(), 1..=5)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    #[test]
    fn the_set_in_office_is_the_one_on_paper(
        wishes in prop::collection::vec((some(), 0_u64..4, some()), 1..12),
    ) {
        let mut chain = Chain::new();
        chain.signers.extend([104, 105, 106].map(key));
        let mut paper = Paper { present: VALIDATORS.to_vec(), scheduled: None };
        for (to, delay, by) in wishes {
            let next = chain.tip.next_height().get();
            let effective = next + delay;
            let change = chain.validators_change(&to, effective, &by);
            let accepted = judge(&chain, change.clone()).is_ok();
            prop_assert_eq!(accepted, paper.accepts(next, &to, effective, &by));
            let mut transactions = Vec::new();
            if accepted {
                transactions.push((change, None));
                paper.scheduled = Some((to, effective));
            }
            let present = validators(&paper.present).hash();
            chain.add(transactions);
            paper.end_of_block(next);
            let header = chain.block(BlockHeight::new(next)).block().header().clone();
            prop_assert_eq!(header.validators_hash, present);
            prop_assert_eq!(header.next_validators_hash, validators(&paper.present).hash());
        }
    }
}

#[test]
fn the_genesis_alone_names_the_first_validators() {
    let (tip, _) = Tip::genesis(std::sync::Arc::new(Genesis::new(genesis_file()).unwrap())).unwrap();
    assert_eq!(**tip.validators(), validators(&VALIDATORS));
    assert_eq!(tip.scheduled(), None);
}

/// A change to a set in which one key is no point on the curve.
fn with_no_key(chain: &Chain, by: &[u8]) -> SignedTransaction {
    let mut set = validators(OTHERS).validators().to_vec();
    // No point has this x-coordinate.
    set[0].key = PublicKey::from_bytes([0; 32]);
    set.sort_by_key(|validator| validator.key);
    let (present, effective) = (chain.tip.validators(), BlockHeight::new(5));
    let digest = validators_approval(&chain.genesis.chain_id(), &present.hash(), effective, &set);
    let approvals = approve(&digest, by, present);
    chain.sign(ALICE, Payload::Validators(ValidatorsChange { validators: set, effective, approvals }))
}

#[test]
fn whether_keys_are_on_the_curve_is_asked_of_a_change_that_is_approved() {
    let chain = Chain::new();
    // Well-formed, and refused for what it costs nothing to see.
    assert_eq!(judge(&chain, with_no_key(&chain, &[])).unwrap_err().code(), "approval.too_few");
    let refused = judge(&chain, with_no_key(&chain, THREE)).unwrap_err();
    assert!(matches!(refused, Refusal::NoSet(ValidatorSetError::NotAKey { .. })), "{refused}");
    assert_eq!(refused.code(), "validator.no_set");
}

#[test]
fn the_block_before_a_change_decides_takes_no_other_one_and_the_next_does() {
    let mut chain = Chain::new();
    chain.signers.extend([105, 106, 107].map(key));
    chain.add(vec![(chain.validators_change(OTHERS, 3, THREE), None)]);
    // Block 2 announces it.
    let pending = Refusal::ChangePending { effective: BlockHeight::new(3) };
    assert_eq!(judge(&chain, chain.validators_change(&VALIDATORS, 5, THREE)), Err(pending));
    chain.add(Vec::new());
    assert_eq!(judge(&chain, chain.validators_change(&VALIDATORS, 5, &[101, 105, 106])), Ok(()));
}
