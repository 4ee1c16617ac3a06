//! Real values of every kind that the ledger decodes, and how each is read and written again. For the claims about
//! decoders (`decoder_tests`), and for the fuzzer, which begins with them.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::missing_panics_doc)]

use crate::address::Address;
use crate::author::AuthorBlock;
use crate::block::{Block, Header};
use crate::certificate::{CommitCertificate, VoteKind};
use crate::chain::TipRecord;
use crate::codec::{Decode, Encode, MAX_BYTES, decode, encode};
use crate::equivocation::{Equivocation, SignedProposal, SignedVote};
use crate::evidence::Evidence;
use crate::genesis::Genesis;
use crate::hash::{BlockHash, ContextHash};
use crate::height::BlockHeight;
use crate::key_bundle::{KeyBundle, Revoke};
use crate::membership::{Designate, MemberChange, MemberStatus, ValidatorsChange};
use crate::merkle::HistoryFrontier;
use crate::message::{Message, Mode, SlotRecipient, Suite};
use crate::receipt::{Answer, Receipt, RefusalReason};
use crate::signature::{PublicKey, Signature};
use crate::state::{
    BundleRecord, DesignationRecord, MemberRecord, StateKey, StateProof, StateRecord, ValidatorsRecord,
};
use crate::testing::{ALICE, BOB, CAROL, Chain, address, key, noise, story, validators};
use crate::transaction::{Payload, SignedTransaction};
use std::fmt::Debug;
use std::sync::{Arc, LazyLock};

/// A kind of value.
#[derive(Debug)]
pub struct Kind {
    /// What it is called.
    pub name: &'static str,
    /// Real values in canonical bytes.
    pub examples: Vec<Vec<u8>>,
    /// Reads bytes and writes what they mean; nothing if they mean nothing.
    pub again: fn(&[u8]) -> Option<Vec<u8>>,
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
pub fn transactions() -> Vec<SignedTransaction> {
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

/// One of votes and one of proposals; nobody signed them.
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

/// All kinds.
pub static KINDS: LazyLock<Vec<Kind>> = LazyLock::new(|| {
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
    let transactions = transactions();
    let context = ContextHash::from_bytes([6; 32]);
    let authors = [vec![address(BOB)], vec![address(BOB), address(CAROL)]]
        .map(|to| AuthorBlock::sign(&key(ALICE), &context, to, [8; 32], &[0; 32]).unwrap());
    fn of<T>(all: &[SignedTransaction], select: fn(Payload) -> Option<T>) -> Vec<T> {
        all.iter().filter_map(|one| select(one.payload().clone())).collect()
    }
    vec![
        kind::<SignedTransaction>("transaction", &transactions),
        kind::<Message>(
            "message",
            &of(&transactions, |payload| match payload {
                Payload::Message(message) => Some(message),
                _ => None,
            }),
        ),
        kind::<Receipt>(
            "receipt",
            &of(&transactions, |payload| match payload {
                Payload::Receipt(receipt) => Some(receipt),
                _ => None,
            }),
        ),
        kind::<KeyBundle>(
            "key bundle",
            &of(&transactions, |payload| match payload {
                Payload::KeyBundle(bundle) => Some(bundle),
                _ => None,
            }),
        ),
        kind::<Designate>(
            "designation",
            &of(&transactions, |payload| match payload {
                Payload::Designate(designate) => Some(designate),
                _ => None,
            }),
        ),
        kind::<ValidatorsChange>(
            "validators change",
            &of(&transactions, |payload| match payload {
                Payload::Validators(change) => Some(change),
                _ => None,
            }),
        ),
        kind::<MemberChange>(
            "member change",
            &of(&transactions, |payload| match payload {
                Payload::Member(change) => Some(change),
                _ => None,
            }),
        ),
        kind::<AuthorBlock>("author block", &authors),
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

/// Evidence with a receipt, keys, an absence, the body and the plaintext; and the genesis it is checked against.
pub fn evidence() -> (Arc<Genesis>, Evidence) {
    let (chain, evidence) = story();
    (chain.genesis, evidence)
}
