//! Claims about every decoder of the ledger: whatever bytes come in, nothing panics, and what decodes
//! encodes back to the same bytes. Each is fed with noise and with real values that were damaged, since
//! noise alone rarely gets past the first field.
#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

use crate::address::Address;
use crate::block::{Block, Header};
use crate::certificate::{CommitCertificate, VoteKind};
use crate::chain::TipRecord;
use crate::codec::{Decode, Encode, MAX_BYTES, decode, encode};
use crate::equivocation::{Equivocation, SignedProposal, SignedVote};
use crate::hash::BlockHash;
use crate::height::BlockHeight;
use crate::key_bundle::{KeyBundle, Revoke};
use crate::membership::{Designate, MemberChange, MemberStatus, ValidatorsChange};
use crate::merkle::HistoryFrontier;
use crate::message::{Mode, SlotRecipient, Suite};
use crate::receipt::{Answer, Receipt, RefusalReason};
use crate::signature::{PublicKey, Signature};
use crate::state::{
    BundleRecord, DesignationRecord, MemberRecord, StateKey, StateProof, StateRecord, ValidatorsRecord,
};
use crate::testing::{ALICE, BOB, CAROL, Chain, address, noise, story, validators};
use crate::transaction::{Payload, SignedTransaction};
use proptest::prelude::*;
use std::fmt::Debug;
use std::sync::LazyLock;

/// A kind of value: its name, real examples in canonical bytes, and how it is read and written again.
struct Kind {
    name: &'static str,
    examples: Vec<Vec<u8>>,
    again: fn(&[u8]) -> Option<Vec<u8>>,
}

fn kind<T: Encode + Decode<()> + PartialEq + Debug>(name: &'static str, examples: &[T]) -> Kind {
    let again = |bytes: &[u8]| decode::<T>("value", bytes, MAX_BYTES).ok().map(|value| encode(&value));
    let bytes: Vec<_> = examples.iter().map(encode).collect();
    for (bytes, value) in bytes.iter().zip(examples) {
        assert_eq!(decode::<T>(name, bytes, MAX_BYTES).as_ref(), Ok(value));
    }
    Kind { name, examples: bytes, again }
}

/// A transaction of each payload, and messages of each shape.
fn transactions() -> Vec<SignedTransaction> {
    let (chain, evidence) = story();
    let message = evidence.message.transaction.message().unwrap().clone();
    let id = evidence.message.transaction.id();
    let mut sealed = message.clone();
    (sealed.suite, sealed.mode) = (Suite::EciesMlKem768, Mode::Sealed);
    for slot in &mut sealed.slots {
        slot.recipient = SlotRecipient::Hidden { ephemeral: [2; 33], view_tag: 7 };
        slot.ml_kem_share = Some(noise(2).take(1088).collect());
    }
    let mut payloads = vec![
        Payload::Message(message),
        Payload::Message(sealed),
        Payload::Receipt(Receipt { message: id, slot: 0, answer: Answer::Opened { secret: [3; 32] } }),
        Payload::Revoke(Revoke { sequence: 1, from: BlockHeight::new(9) }),
        Payload::Designate(Designate { class: "écheance ☃".to_owned(), to: address(CAROL) }),
        Payload::Validators(ValidatorsChange {
            validators: validators(&[1, 2, 3]).validators().to_vec(),
            effective: BlockHeight::new(20),
            approvals: vec![(0, Signature::from_bytes([1; 64])), (3, Signature::from_bytes([2; 64]))],
        }),
    ];
    for status in [MemberStatus::Admitted, MemberStatus::Ended] {
        payloads.push(Payload::Member(MemberChange { address: address(BOB), status, approvals: Vec::new() }));
    }
    for reason in RefusalReason::ALL {
        let answer = Answer::Refused { reason };
        payloads.push(Payload::Receipt(Receipt { message: id, slot: 1, answer }));
    }
    for ml_kem in [None, Some(noise(3).take(1184).collect())] {
        let bundle = KeyBundle { sequence: 1, ecies: [2; 33], ml_kem, valid_until: BlockHeight::new(9) };
        payloads.push(Payload::KeyBundle(bundle));
    }
    payloads.into_iter().map(|payload| chain.sign(ALICE, payload)).collect()
}

fn equivocations() -> [Equivocation; 2] {
    let (validator, signature) = (*address(ALICE).key(), Signature::from_bytes([3; 64]));
    let [one, two] = [1, 2].map(|n| BlockHash::from_bytes([n; 32]));
    let votes = [None, Some(one)].map(|block| SignedVote { block, signature });
    let proposal = |block, valid_round| SignedProposal { block, valid_round, signature };
    let proposals = [proposal(one, None), proposal(two, Some(0))];
    [
        Equivocation::votes(validator, BlockHeight::FIRST, 1, VoteKind::Precommit, votes),
        Equivocation::proposals(validator, BlockHeight::FIRST, 0, proposals),
    ]
}

static KINDS: LazyLock<Vec<Kind>> = LazyLock::new(|| {
    let (chain, evidence) = story();
    let blocks: Vec<_> = chain.blocks.iter().map(|block| block.block().as_ref().clone()).collect();
    let headers: Vec<_> = blocks.iter().map(|block| block.header().clone()).collect();
    let certificates: Vec<_> = chain.blocks.iter().map(|block| block.certificate().clone()).collect();
    let changes: Vec<_> = chain.blocks.iter().flat_map(|block| block.verified().changes()).collect();
    let mut records: Vec<_> = changes.iter().map(|(_, record)| (*record).clone()).collect();
    records.push(StateRecord::Chain(evidence.chain));
    let (height, transaction) = (BlockHeight::FIRST, evidence.message.transaction.id());
    for status in [MemberStatus::Admitted, MemberStatus::Ended] {
        let record = MemberRecord { status, since: height, last_expiry: BlockHeight::new(9) };
        records.push(StateRecord::Member(record));
    }
    let set = validators(&[1, 2, 3]).validators().to_vec();
    let effective = BlockHeight::new(20);
    records.push(StateRecord::Validators(ValidatorsRecord {
        validators: set,
        effective,
        transaction,
        height,
    }));
    records.push(StateRecord::Designation(DesignationRecord { to: address(BOB), transaction, height }));
    let mut changing = Chain::new();
    let change = changing.validators_change(&[101, 102, 103, 105], 3, &[101, 102, 103]);
    changing.add(vec![(change, None)]);
    assert!(changing.tip.scheduled().is_some());
    let mut keys: Vec<_> = changes.iter().map(|(key, _)| (*key).clone()).collect();
    keys.extend([StateKey::Chain, StateKey::Member(address(ALICE)), StateKey::Validators]);
    keys.push(StateKey::Designation(address(ALICE), "notices.tax".to_owned()));
    let proofs = keys.iter().map(|key| chain.state_proof(chain.tip.height(), key).1);
    let proofs: Vec<_> =
        proofs.chain(evidence.absences.iter().map(|absence| absence.proof.clone())).collect();
    let bundles: Vec<_> = evidence.keys.iter().map(|key| key.record.clone()).collect();
    vec![
        kind::<SignedTransaction>("transaction", &transactions()),
        kind::<Header>("header", &headers),
        kind::<Block>("block", &blocks),
        kind::<CommitCertificate>("certificate", &certificates),
        kind::<Equivocation>("equivocation", &equivocations()),
        kind::<StateKey>("state key", &keys),
        kind::<StateRecord>("state record", &records),
        kind::<BundleRecord>("bundle record", &bundles),
        kind::<StateProof>("state proof", &proofs),
        kind::<TipRecord>("tip record", &[chain.tip.to_record(), changing.tip.to_record()]),
        kind::<HistoryFrontier>("history frontier", &[chain.tip.history().clone()]),
        kind::<Address>("address", &[address(ALICE)]),
        kind::<PublicKey>("public key", &[*address(ALICE).key()]),
    ]
});

#[test]
fn a_real_value_reads_back_and_no_shorter_or_longer_input_does() {
    for Kind { name, examples, again } in KINDS.iter() {
        for bytes in examples {
            assert_eq!(again(bytes).as_ref(), Some(bytes), "{name}");
            let longer = [bytes.as_slice(), &[0]].concat();
            assert_eq!(again(&longer), None, "{name}");
            for length in 0..bytes.len() {
                assert_eq!(again(&bytes[..length]), None, "{name} cut to {length}");
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn arbitrary_bytes_never_panic_and_have_one_reading(bytes in prop::collection::vec(any::<u8>(), 0..600)) {
        for Kind { name, again, .. } in KINDS.iter() {
            if let Some(written) = again(&bytes) {
                prop_assert_eq!(&written, &bytes, "{}", name);
            }
        }
    }

    #[test]
    fn damaged_values_never_panic_and_have_one_reading(
        which in any::<prop::sample::Index>(),
        example in any::<prop::sample::Index>(),
        damage in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>(), 0..4_u8), 1..4),
    ) {
        let Kind { name, examples, again } = which.get(&KINDS);
        let mut bytes = example.get(examples).clone();
        for (at, byte, how) in damage {
            let at = at.index(bytes.len().max(1));
            match how {
                0 => bytes.insert(at, byte),
                1 if !bytes.is_empty() => drop(bytes.remove(at)),
                // Small numbers are what tags and lengths are made of.
                2 => if let Some(place) = bytes.get_mut(at) { *place = byte % 8 },
                _ => if let Some(place) = bytes.get_mut(at) { *place = byte },
            }
        }
        if let Some(written) = again(&bytes) {
            prop_assert_eq!(&written, &bytes, "{}", name);
        }
    }
}

#[test]
fn hostile_lengths_and_tags_never_panic() {
    // Eight bytes of every value at every place: where a length or a tag stands, it becomes absurd.
    for Kind { name, examples, again } in KINDS.iter() {
        for bytes in examples {
            for at in 0..bytes.len().saturating_sub(7).min(700) {
                for word in [u64::MAX, 1 << 63, 1 << 32, MAX_BYTES as u64, 0] {
                    let mut hostile = bytes.clone();
                    hostile[at..at + 8].copy_from_slice(&word.to_le_bytes());
                    if let Some(written) = again(&hostile) {
                        assert_eq!(written, hostile, "{name} at {at}");
                    }
                }
            }
        }
    }
}

/// The decoder's bound counts values as large as they are in memory. If the largest block of the smallest
/// transactions went beyond it, two builds could disagree about a block.
#[test]
fn the_bound_of_the_decoder_is_beyond_every_block_that_the_rules_allow() {
    let smallest = transactions().iter().map(|t| t.to_bytes().len()).min().unwrap();
    let largest_block = 8 << 20;
    assert!(largest_block / smallest * size_of::<SignedTransaction>() < MAX_BYTES);
}
