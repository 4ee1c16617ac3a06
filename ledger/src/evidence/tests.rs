//! Claims about evidence, on a real little chain.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic)]

mod sealed;
mod second_opinion;
mod select;

use super::*;
use crate::certificate::CertificateError;
use crate::genesis::Genesis;
use crate::hash::TransactionId;
use crate::key_bundle::Revoke;
use crate::receipt::{Answer, Receipt, RefusalReason};
use crate::state::{StateKey, StateRecord};
use crate::testing::{
    ALICE, BOB, CAROL, Chain, VALIDATORS, address, certify, genesis_file, key, noise, story, validators,
};
use crate::transaction::Payload;
use proptest::prelude::*;
use rayon::prelude::*;
use std::sync::LazyLock;

static STORY: LazyLock<(Chain, Evidence)> = LazyLock::new(story);

fn evidence() -> Evidence {
    STORY.1.clone()
}

fn genesis() -> &'static Genesis {
    &STORY.0.genesis
}

/// What a reader of the file is told.
fn judge(json: &[u8]) -> Result<Findings, EvidenceError> {
    Evidence::from_json(json)?.check(genesis())
}

#[track_caller]
fn refused(evidence: &Evidence) -> EvidenceRefusal {
    match judge(evidence.to_json().as_bytes()) {
        Err(EvidenceError::Refused(refusal)) => *refusal,
        other => panic!("expected a refusal, got {other:?}"),
    }
}

#[track_caller]
fn not_evidence(json: &str) -> NotEvidence {
    match judge(json.as_bytes()) {
        Err(EvidenceError::NotEvidence(cause)) => cause,
        other => panic!("expected to be told that this is no evidence, got {other:?}"),
    }
}

#[test]
fn a_true_story_holds_and_each_fact_says_what_it_does_not_show() {
    let findings = judge(evidence().to_json().as_bytes()).unwrap();
    let codes: Vec<_> = findings.list().iter().map(Finding::code).collect();
    let expected = [
        "signed",
        "in_block",
        "committed",
        "same_for_all",
        "key_used",
        "key_used",
        "opened",
        "unanswered",
        "body_attached",
        "content_disclosed",
    ];
    assert_eq!(codes, expected);
    assert_eq!(findings.message(), evidence().message.transaction.id());
    for line in findings.lines() {
        assert!(!line.fact.is_empty() && !line.shows.is_empty() && !line.does_not_show.is_empty());
    }
    let committed = &findings.lines()[2].fact;
    assert_eq!(committed, "3 of 4 validators, power 3 of 4 (3 needed)");
}

#[test]
fn the_parts_alone_hold_too() {
    let mut evidence = evidence();
    evidence.blocks.truncate(1);
    evidence.receipts.clear();
    evidence.keys.clear();
    evidence.absences.clear();
    evidence.body = None;
    evidence.disclosure = None;
    assert_eq!(judge(evidence.to_json().as_bytes()).unwrap().list().len(), 4);
}

#[test]
fn every_changed_byte_is_found() {
    let file = evidence().to_json().into_bytes();
    let replacements: Vec<u8> = noise(1).take(file.len()).map(|byte| byte.max(1)).collect();
    (0..file.len()).into_par_iter().for_each(|at| {
        // One arbitrary byte, and one of the same kind, which passes the parser more often.
        let digit = if file[at] == b'1' { b'2' } else { b'1' };
        let letter = if file[at] == b'b' { b'c' } else { b'b' };
        for replacement in [file[at] ^ replacements[at], digit, letter] {
            let mut changed = file.clone();
            changed[at] = replacement;
            assert!(judge(&changed).is_err(), "byte {at} changed to {replacement:?}");
        }
    });
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn a_changed_inserted_or_lost_byte_is_found(at in any::<prop::sample::Index>(), byte: u8, how in 0..3) {
        let mut file = evidence().to_json().into_bytes();
        let at = at.index(file.len());
        match how {
            0 if file[at] != byte => file[at] = byte,
            1 => file.insert(at, byte),
            _ => drop(file.remove(at)),
        }
        prop_assert!(judge(&file).is_err());
    }

    #[test]
    fn arbitrary_bytes_are_no_evidence(bytes: Vec<u8>) {
        prop_assert!(Evidence::from_json(&bytes).is_err());
    }
}

#[test]
fn a_truncated_file_is_no_evidence() {
    let file = evidence().to_json().into_bytes();
    (0..file.len()).into_par_iter().for_each(|length| {
        assert!(Evidence::from_json(&file[..length]).is_err(), "{length} bytes");
    });
}

#[test]
fn an_oversized_file_is_refused_unread() {
    // The protocol says 32 MiB: that much is read, whatever comes of it, and a byte more is not.
    const LIMIT: usize = 32 << 20;
    let mut file = evidence().to_json();
    file.extend(std::iter::repeat_n(' ', LIMIT - file.len()));
    assert!(matches!(not_evidence(&file), NotEvidence::Spelling { .. }));
    file.push(' ');
    assert_eq!(not_evidence(&file), NotEvidence::TooLong { length: LIMIT + 1 });
}

#[test]
fn other_spellings_are_refused() {
    let file = evidence().to_json();
    let spelling = |text: String| assert!(matches!(not_evidence(&text), NotEvidence::Spelling { .. }));
    spelling(file.trim_end().to_owned());
    spelling(format!("{file}\n"));
    spelling(format!(" {file}"));
    spelling(file.replace(": ", ":"));
    spelling(file.replacen("\"format\"", "\"form\\u0061t\"", 1));
    spelling(
        file.replacen("  \"receipts\"", "  \"body\": null,\n  \"receipts\"", 1)
            .replace(&format!(",\n  \"body\": \"{}\"", base64_of(evidence().body.unwrap().as_bytes())), ""),
    );
    assert!(matches!(not_evidence(&format!("{file}{{}}")), NotEvidence::Json { .. }));
}

fn base64_of(bytes: &[u8]) -> String {
    use base64::Engine as _;
    base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(bytes)
}

#[test]
fn unknown_repeated_and_missing_fields_are_refused() {
    let file = evidence().to_json();
    for field in ["format", "chain", "message", "index", "header", "slot", "salt"] {
        let mark = format!("\"{field}\":");
        assert!(file.contains(&mark));
        let unknown = not_evidence(&file.replacen(&mark, &format!("\"extra\": 1, {mark}"), 1));
        assert!(unknown.to_string().contains("unknown field `extra`"), "{unknown}");
        let line = file.lines().find(|line| line.contains(&mark)).unwrap();
        if line.trim_end().ends_with(',') {
            let repeated = not_evidence(&file.replacen(line, &format!("{line}\n{line}"), 1));
            assert!(repeated.to_string().contains("duplicate field"), "{repeated}");
            let missing = not_evidence(&file.replacen(line, "", 1));
            assert!(missing.to_string().contains("missing field"), "{missing}");
        }
    }
}

/// serde takes fields without names for an object too. That is told as what it is, before what is in them.
#[test]
fn a_list_where_an_object_should_be_is_no_evidence() {
    for (name, file) in nameless() {
        let cause = not_evidence(&file);
        assert_eq!(cause.code(), "evidence.json", "{name}: {cause}");
        assert!(cause.to_string().contains("expected an object"), "{name}: {cause}");
    }
}

/// Files with everything in them, each time with a list in the place of one of the objects.
pub(super) fn nameless() -> Vec<(String, String)> {
    let read =
        |evidence: Evidence| -> serde_json::Value { serde_json::from_str(&evidence.to_json()).unwrap() };
    let mut whole = read(evidence());
    whole["keys"] = read(superseded())["keys"].take();
    whole["validator_changes"] = read(with_change())["validator_changes"].take();
    let proven = "block index path transaction";
    let places = [
        ("", "format chain blocks validator_changes message receipts keys absences body disclosure"),
        ("/blocks/0", "header certificate"),
        ("/validator_changes/0", "block validators"),
        ("/validator_changes/0/validators/0", "public_key power"),
        ("/message", proven),
        ("/receipts/0", proven),
        ("/keys/0", "slot block record proof newest"),
        ("/keys/0/newest", "record proof"),
        ("/absences/0", "slot block proof"),
        ("/disclosure", "salt content"),
    ];
    let changed = places.map(|(place, names)| {
        let mut changed = whole.clone();
        let object = changed.pointer_mut(place).unwrap();
        *object = names.split(' ').map(|name| object[name].take()).collect();
        (format!("a list for {place:?}"), format!("{}\n", serde_json::to_string_pretty(&changed).unwrap()))
    });
    changed.into()
}

#[test]
fn another_format_is_named() {
    let other = evidence().to_json().replacen("evidence/1", "evidence/2", 1);
    assert!(matches!(not_evidence(&other), NotEvidence::Format { .. }));
}

#[test]
fn another_genesis_is_refused() {
    let mut file = genesis_file();
    file.time_ms += 1;
    let other = Genesis::new(file).unwrap();
    let error = evidence().check(&other).unwrap_err();
    assert_eq!(error.code(), "evidence.other_chain");
}

/// Gives block `index` another certificate by the validators with these seeds.
fn recertify(evidence: &mut Evidence, index: usize, seeds: &[u8], set: &ValidatorSet) {
    let block = &mut evidence.blocks[index];
    block.certificate = certify(&block.header, seeds, set);
}

#[test]
fn too_few_repeated_and_foreign_signatures_are_refused() {
    let set = genesis().validators();
    for index in 0..3 {
        let certificate = |refusal| match refusal {
            EvidenceRefusal::Certificate { source, .. } => source,
            other => panic!("{other}"),
        };
        let mut few = evidence();
        recertify(&mut few, index, &VALIDATORS[..2], set);
        assert!(matches!(certificate(refused(&few)), CertificateError::TooFew { signed: 2, total: 4 }));

        let mut repeated = evidence();
        let signatures = &mut repeated.blocks[index].certificate.signatures;
        signatures[1] = signatures[0];
        assert!(matches!(certificate(refused(&repeated)), CertificateError::Repeated { .. }));

        // Beyond the set by position, and inside it by position but with another key.
        let mut foreign = evidence();
        foreign.blocks[index].certificate.signatures[2].validator = 4;
        assert!(matches!(certificate(refused(&foreign)), CertificateError::Foreign { position: 4, .. }));
        let mut foreign = evidence();
        recertify(&mut foreign, index, &[1, 2, 3], &validators(&[1, 2, 3]));
        assert!(matches!(certificate(refused(&foreign)), CertificateError::Signature { position: 0 }));
    }
}

#[test]
fn one_wrong_signature_among_enough_right_ones_is_refused() {
    let mut evidence = evidence();
    recertify(&mut evidence, 0, &VALIDATORS, genesis().validators());
    assert!(judge(evidence.to_json().as_bytes()).is_ok());
    let signatures = &mut evidence.blocks[0].certificate.signatures;
    signatures[3].signature = signatures[2].signature;
    assert_eq!(refused(&evidence).code(), "evidence.certificate_signature");
}

#[test]
fn a_certificate_of_another_block_is_refused() {
    let mut evidence = evidence();
    evidence.blocks[0].certificate = evidence.blocks[1].certificate.clone();
    assert_eq!(refused(&evidence).code(), "evidence.certificate_block");
}

#[test]
fn another_blocks_path_is_refused() {
    let mut moved = evidence();
    moved.message.block = moved.blocks[1].header.height;
    assert_eq!(refused(&moved).code(), "evidence.inclusion");
    let mut other_path = evidence();
    other_path.receipts[0].path = other_path.message.path.clone();
    assert_eq!(refused(&other_path).code(), "evidence.inclusion");
    let mut other_index = evidence();
    other_index.message.index = 0;
    assert_eq!(refused(&other_index).code(), "evidence.inclusion");
}

#[test]
fn a_block_that_nothing_names_is_refused() {
    let mut extra = evidence();
    extra.blocks.insert(0, STORY.0.certified(BlockHeight::FIRST));
    assert_eq!(refused(&extra), EvidenceRefusal::UnusedBlock { height: BlockHeight::FIRST });
}

#[test]
fn a_missing_repeated_or_misplaced_block_is_refused() {
    let mut missing = evidence();
    missing.blocks.remove(1);
    assert_eq!(refused(&missing).code(), "evidence.missing_block");
    let mut repeated = evidence();
    repeated.blocks.insert(1, repeated.blocks[0].clone());
    assert_eq!(refused(&repeated).code(), "evidence.block_order");
    let mut misplaced = evidence();
    misplaced.blocks.swap(0, 1);
    assert_eq!(refused(&misplaced).code(), "evidence.block_order");
}

/// The evidence with its receipt's block replaced by one, truly certified, that holds this receipt alone.
/// The ledger would never make such a block; evidence does not rely on that.
fn with_receipt(by: u8, receipt: Receipt) -> Evidence {
    let transaction = STORY.0.sign(by, Payload::Receipt(receipt));
    with_answer(transaction)
}

fn with_answer(transaction: SignedTransaction) -> Evidence {
    let mut evidence = evidence();
    let header = &mut evidence.blocks[1].header;
    header.transaction_count = 1;
    header.tx_root = crate::block::transaction_root(&[transaction.leaf()]);
    recertify(&mut evidence, 1, &VALIDATORS, genesis().validators());
    let block = evidence.blocks[1].header.height;
    evidence.receipts = vec![ProvenTransaction { block, index: 0, path: Vec::new(), transaction }];
    evidence
}

fn opened(slot: u16) -> Receipt {
    let secret = crate::testing::SECRETS[0];
    Receipt { message: STORY.1.message.transaction.id(), slot, answer: Answer::Opened { secret } }
}

#[test]
fn another_version_or_chain_is_refused_even_if_validators_signed_it() {
    for index in 0..3 {
        let header = |change: fn(&mut Header)| {
            let mut evidence = evidence();
            change(&mut evidence.blocks[index].header);
            evidence.blocks[index].certificate =
                certify(&evidence.blocks[index].header, &VALIDATORS, genesis().validators());
            refused(&evidence).code()
        };
        assert_eq!(header(|header| header.version = 2), "evidence.block_version");
        let other = |header: &mut Header| header.chain = ChainId::from_bytes([1; 32]);
        assert_eq!(header(other), "evidence.block_chain");
    }
    let resigned = |change: fn(&mut crate::transaction::Transaction)| {
        let mut transaction = STORY.0.sign(BOB, Payload::Receipt(opened(0))).transaction().clone();
        change(&mut transaction);
        let transaction = transaction.sign(&crate::testing::key(BOB), &[0; 32]).unwrap();
        refused(&with_answer(transaction)).code()
    };
    assert_eq!(resigned(|t| t.version = 2), "evidence.transaction_version");
    assert_eq!(resigned(|t| t.chain = ChainId::from_bytes([1; 32])), "evidence.transaction_chain");
}

#[test]
fn receipts_are_held_to_the_ledgers_rules() {
    assert!(judge(with_receipt(BOB, opened(0)).to_json().as_bytes()).is_ok());
    let refusal = Answer::Refused { reason: RefusalReason::Unreadable };
    let refuses = with_receipt(BOB, Receipt { answer: refusal, ..opened(0) });
    let findings = judge(refuses.to_json().as_bytes()).unwrap();
    assert!(findings.list().iter().any(|finding| finding.code() == "refused"));

    let other = Receipt { message: TransactionId::from_bytes([7; 32]), ..opened(0) };
    assert_eq!(refused(&with_receipt(BOB, other)).code(), "evidence.other_message");
    assert_eq!(refused(&with_receipt(CAROL, opened(0))).code(), "evidence.not_recipient");
    assert_eq!(refused(&with_receipt(BOB, opened(2))).code(), "evidence.unknown_slot");
    let wrong = Receipt { answer: Answer::Opened { secret: [1; 32] }, ..opened(0) };
    assert_eq!(refused(&with_receipt(BOB, wrong)).code(), "evidence.wrong_secret");
    let bundle = STORY.0.bundle(BOB);
    assert_eq!(refused(&with_answer(bundle)).code(), "evidence.not_a_receipt");
    let signed = STORY.0.sign(BOB, Payload::Receipt(opened(0)));
    let other_signature = *STORY.0.sign(BOB, Payload::Receipt(opened(1))).signature();
    let unsigned = SignedTransaction::new(signed.transaction().clone(), other_signature);
    assert_eq!(refused(&with_answer(unsigned)).code(), "evidence.signature");
}

#[test]
fn a_receipt_of_another_message_of_the_same_chain_is_refused() {
    // Carol's answer to the other message stands in the same block, truly included.
    let block = STORY.0.block(STORY.1.receipts[0].block).block();
    let mut evidence = evidence();
    evidence.receipts = vec![STORY.0.proven(block.transactions()[1].id())];
    assert_eq!(refused(&evidence).code(), "evidence.other_message");
}

#[test]
fn a_slot_is_answered_once() {
    let mut twice = evidence();
    twice.receipts.push(twice.receipts[0].clone());
    assert_eq!(refused(&twice).code(), "evidence.slot_order");
}

#[test]
fn a_receipt_in_the_messages_own_block_is_refused() {
    let mut early = with_receipt(BOB, opened(0));
    let receipt = early.receipts.remove(0).transaction;
    let message = early.message.transaction.clone();
    let leaves = [message.leaf(), receipt.leaf()];
    let header = &mut early.blocks[0].header;
    header.transaction_count = 2;
    header.tx_root = crate::block::transaction_root(&leaves);
    let block = header.height;
    recertify(&mut early, 0, &VALIDATORS, genesis().validators());
    let path = |index| crate::merkle::path(&leaves, index).unwrap();
    early.message = ProvenTransaction { block, index: 0, path: path(0), transaction: message };
    early.receipts = vec![ProvenTransaction { block, index: 1, path: path(1), transaction: receipt }];
    assert_eq!(refused(&early).code(), "evidence.answer_too_early");
}

#[test]
fn what_is_no_message_is_refused() {
    let mut evidence = evidence();
    evidence.message = evidence.receipts[0].clone();
    assert_eq!(refused(&evidence).code(), "evidence.not_a_message");
}

#[test]
fn an_absence_is_claimed_only_where_it_means_something() {
    let (chain, story) = &*STORY;
    let id = story.message.transaction.id();
    let (sent, answered) = (story.blocks[0].header.height, story.blocks[1].header.height);

    // Bob had not answered when the message became final, and says so later: both may stand there.
    let mut before = evidence();
    before.absences.insert(0, chain.absence(id, 0, sent));
    assert!(judge(before.to_json().as_bytes()).is_ok());

    let mut answered_by_then = evidence();
    answered_by_then.absences[0].slot = 0;
    assert_eq!(refused(&answered_by_then).code(), "evidence.absence_answered");
    let mut hidden_answer = answered_by_then.clone();
    hidden_answer.receipts.clear();
    assert_eq!(refused(&hidden_answer).code(), "evidence.state");
    let mut not_newest = evidence();
    not_newest.absences = vec![chain.absence(id, 1, answered)];
    assert_eq!(refused(&not_newest).code(), "evidence.absence_not_newest");
    let mut too_early = evidence();
    too_early.blocks.insert(0, chain.certified(BlockHeight::FIRST));
    too_early.absences[0].block = BlockHeight::FIRST;
    assert_eq!(refused(&too_early).code(), "evidence.absence_too_early");
    let mut unknown = evidence();
    unknown.absences[0].slot = 2;
    assert_eq!(refused(&unknown).code(), "evidence.unknown_slot");
}

#[test]
fn keys_are_proved_in_the_messages_block_and_for_their_own_slot() {
    let mut swapped = evidence();
    let (record, proof) = (swapped.keys[1].record.clone(), swapped.keys[1].proof.clone());
    swapped.keys[0].record = record;
    swapped.keys[0].proof = proof;
    assert_eq!(refused(&swapped).code(), "evidence.state");
    let mut changed = evidence();
    changed.keys[0].record.bundle.valid_until = BlockHeight::new(9);
    assert_eq!(refused(&changed).code(), "evidence.state");
    let mut later = evidence();
    later.keys[0].block = later.blocks[1].header.height;
    assert_eq!(refused(&later).code(), "evidence.key_block");
}

/// The evidence of a message to Bob's first bundle: in the state of its block he has as many.
fn with_bundles(count: u64) -> (Chain, Evidence) {
    let mut chain = Chain::new();
    for number in 1..=count {
        chain.add(vec![(chain.numbered_bundle(BOB, number), None)]);
    }
    to_bobs_first_key(chain)
}

/// The evidence of a message to Bob's first bundle, in the next block.
fn to_bobs_first_key(mut chain: Chain) -> (Chain, Evidence) {
    let (message, body) = chain.message(&[BOB]);
    let id = message.id();
    let sent = chain.add(vec![(message, Some(body))]);
    let evidence = Evidence {
        blocks: vec![chain.certified(sent)],
        message: chain.proven(id),
        receipts: Vec::new(),
        keys: vec![chain.key_proof(0, BOB, sent)],
        absences: Vec::new(),
        body: None,
        disclosure: None,
        ..evidence()
    };
    (chain, evidence)
}

/// Evidence that is not true about a key that had a newer one, and why it is refused.
pub(super) fn false_newest() -> Vec<(&'static str, Evidence, &'static str)> {
    let (_, good) = with_bundles(2);
    let with = |change: fn(&mut ProvenBundle)| {
        let mut changed = good.clone();
        change(&mut changed.keys[0]);
        changed
    };
    let older = |key: &mut ProvenBundle| {
        let (record, proof) = (key.record.clone(), key.proof.clone());
        *key.newest.as_mut().unwrap() = NewestBundle { record, proof };
    };
    let newest_alone = |key: &mut ProvenBundle| {
        let newest = key.newest.take().unwrap();
        (key.record, key.proof) = (newest.record, newest.proof);
    };
    let (chain, mut itself) = with_bundles(1);
    let key = &mut itself.keys[0];
    let (record, proof) = chain.state_proof(key.block, &StateKey::Bundle(address(BOB), 1));
    assert_eq!(record, Some(StateRecord::Bundle(key.record.clone())));
    let directory = std::mem::replace(&mut key.proof, proof);
    key.newest = Some(NewestBundle { record: key.record.clone(), proof: directory });
    vec![
        ("newest left out", with(|key| key.newest = None), "evidence.state"),
        ("newest in place of the older", with(newest_alone), "evidence.other_bundle"),
        (
            "newest changed",
            with(|key| key.newest.as_mut().unwrap().record.height = BlockHeight::FIRST),
            "evidence.state",
        ),
        ("older as the newest", with(older), "evidence.state"),
        ("newest newer than itself", itself, "evidence.not_newer"),
    ]
}

pub(super) fn superseded() -> Evidence {
    with_bundles(2).1
}

/// Evidence of keys of every standing, and what of it counts where several would: withdrawn, then past its last height,
/// then superseded.
pub(super) fn standings() -> Vec<(&'static str, Evidence)> {
    let with = |until: u64, withdrawn: Option<u64>, newer: bool| {
        let mut chain = Chain::new();
        chain.add(vec![(chain.bundle_until(BOB, 1, BlockHeight::new(until)), None)]);
        if let Some(from) = withdrawn {
            let from = BlockHeight::new(from);
            chain.add(vec![(chain.sign(BOB, Payload::Revoke(Revoke { sequence: 1, from })), None)]);
        }
        if newer {
            chain.add(vec![(chain.numbered_bundle(BOB, 2), None)]);
        }
        // So that the message stands in block 6.
        while chain.block_count() < 5 {
            chain.add(vec![(chain.bundle(CAROL + u8::try_from(chain.block_count()).unwrap()), None)]);
        }
        to_bobs_first_key(chain).1
    };
    vec![
        ("valid", with(6, None, false)),
        ("withdrawn later", with(1000, Some(7), false)),
        ("withdrawn", with(1000, Some(6), false)),
        ("expired", with(5, None, false)),
        ("superseded", with(1000, Some(7), true)),
        ("expired and superseded", with(5, Some(7), true)),
        ("withdrawn, expired and superseded", with(5, Some(6), true)),
    ]
}

/// The secret of the first may be destroyed by then.
#[test]
fn a_key_that_had_a_newer_one_is_said_to_be_superseded() {
    let standing = |evidence: Evidence| {
        let findings = judge(evidence.to_json().as_bytes()).unwrap();
        findings.list().iter().find_map(|finding| match finding {
            Finding::KeyUsed { standing, .. } => Some(*standing),
            _ => None,
        })
    };
    let until = BlockHeight::new(1000);
    assert_eq!(standing(with_bundles(1).1), Some(KeyStanding::Valid { until }));
    assert_eq!(standing(superseded()), Some(KeyStanding::Superseded { by: 2, since: BlockHeight::new(2) }));
    for (name, evidence, code) in false_newest() {
        assert_eq!(refused(&evidence).code(), code, "{name}");
    }
}

#[test]
fn another_body_or_content_is_refused() {
    let mut body = evidence();
    body.body = Some(Body::new(vec![1; 48]));
    assert_eq!(refused(&body).code(), "evidence.other_body");
    let mut content = evidence();
    content.disclosure.as_mut().unwrap().content.push(0);
    assert_eq!(refused(&content).code(), "evidence.other_content");
    let mut salt = evidence();
    salt.disclosure.as_mut().unwrap().salt[0] ^= 1;
    assert_eq!(refused(&salt).code(), "evidence.other_content");
}

/// The story with validators 1, 2 and 3 in office after the message's block.
fn with_change() -> Evidence {
    let (mut evidence, new) = (ignored_change(), validators(&[1, 2, 3]));
    for index in [1, 2] {
        let header = &mut evidence.blocks[index].header;
        (header.validators_hash, header.next_validators_hash) = (new.hash(), new.hash());
        recertify(&mut evidence, index, &[1, 2, 3], &new);
    }
    let block = evidence.blocks[0].header.height;
    evidence.validator_changes = vec![ProvenValidators { block, validators: new }];
    evidence
}

/// The story in which the message's block announces others, and those who left office sign what comes after.
pub(super) fn ignored_change() -> Evidence {
    let mut evidence = evidence();
    evidence.blocks[0].header.next_validators_hash = validators(&[1, 2, 3]).hash();
    recertify(&mut evidence, 0, &VALIDATORS, genesis().validators());
    evidence
}

#[test]
fn a_proven_change_of_validators_is_followed() {
    let findings = judge(with_change().to_json().as_bytes()).unwrap();
    let opened = findings.list().iter().find_map(|finding| match finding {
        Finding::Opened { place, .. } => Some(place.commit.validators),
        _ => None,
    });
    assert_eq!(opened, Some(3));
}

/// A chain whose validators change twice, and the evidence of a message sent after that.
pub(super) fn twice_changed() -> Evidence {
    let mut chain = Chain::new();
    chain.signers.extend([105, 106].map(key));
    for (to, by) in [(&[102, 103, 105][..], &[101, 102, 103][..]), (&[103, 105, 106], &[102, 103, 105])] {
        let effective = chain.tip.next_height().get() + 2;
        let change = chain.validators_change(to, effective, by);
        chain.add(vec![(change, None)]);
        chain.add(Vec::new());
        chain.add(Vec::new());
    }
    let (message, body) = chain.message(&[BOB]);
    let id = message.id();
    let sent = chain.add(vec![(message, Some(body))]);
    let changes: Vec<_> = chain
        .blocks
        .iter()
        .filter_map(|block| Some((block.block().height(), block.verified().new_validators()?)))
        .map(|(block, set)| ProvenValidators { block, validators: set.as_ref().clone() })
        .collect();
    assert_eq!(changes.len(), 2);
    let heights = changes.iter().map(|change| change.block).chain([sent]);
    Evidence {
        chain: chain.genesis.chain_id(),
        blocks: heights.map(|height| chain.certified(height)).collect(),
        validator_changes: changes,
        message: chain.proven(id),
        receipts: Vec::new(),
        keys: Vec::new(),
        absences: vec![chain.absence(id, 0, sent)],
        body: None,
        disclosure: None,
    }
}

#[test]
fn changes_that_really_happened_are_followed_and_none_can_be_left_out() {
    let evidence = twice_changed();
    judge(evidence.to_json().as_bytes()).unwrap();
    for change in 0..2 {
        let mut untold = evidence.clone();
        let block = untold.validator_changes.remove(change).block;
        assert_eq!(refused(&untold).code(), "evidence.other_validators");
        untold.blocks.retain(|other| other.header.height != block);
        assert_eq!(refused(&untold).code(), "evidence.other_validators");
    }
}

#[test]
fn an_unproven_change_of_validators_is_refused() {
    let mut untold = with_change();
    untold.validator_changes.clear();
    assert_eq!(refused(&untold).code(), "evidence.other_validators");
    let mut other = with_change();
    other.validator_changes[0].validators = validators(&[1, 2, 4]);
    assert_eq!(refused(&other).code(), "evidence.other_change");
    let mut late = with_change();
    late.validator_changes[0].block = late.blocks[1].header.height;
    assert_eq!(refused(&late).code(), "evidence.other_validators");
    assert_eq!(refused(&ignored_change()).code(), "evidence.unlisted_change");
    let mut nothing = evidence();
    let (block, validators) = (nothing.blocks[0].header.height, genesis().validators().clone());
    nothing.validator_changes = vec![ProvenValidators { block, validators }];
    assert_eq!(refused(&nothing).code(), "evidence.empty_change");
    let mut twice = with_change();
    twice.validator_changes.push(twice.validator_changes[0].clone());
    assert_eq!(refused(&twice).code(), "evidence.change_order");
    let mut missing = with_change();
    missing.validator_changes[0].block = BlockHeight::new(77);
    assert_eq!(refused(&missing).code(), "evidence.other_validators");
}

#[test]
fn the_old_validators_decide_nothing_after_a_change() {
    let mut stale = with_change();
    let index = 2;
    let header = &mut stale.blocks[index].header;
    header.validators_hash = genesis().validators().hash();
    recertify(&mut stale, index, &VALIDATORS, genesis().validators());
    assert_eq!(refused(&stale).code(), "evidence.other_validators");
}

#[test]
fn a_message_signed_by_nobody_is_refused() {
    let mut evidence = evidence();
    let (transaction, signature) = {
        let message = &evidence.message.transaction;
        (message.transaction().clone(), *STORY.0.sign(ALICE, Payload::Receipt(opened(0))).signature())
    };
    let forged = SignedTransaction::new(transaction, signature);
    let header = &mut evidence.blocks[0].header;
    header.transaction_count = 1;
    header.tx_root = crate::block::transaction_root(&[forged.leaf()]);
    recertify(&mut evidence, 0, &VALIDATORS, genesis().validators());
    evidence.message =
        ProvenTransaction { index: 0, path: Vec::new(), transaction: forged, ..evidence.message.clone() };
    assert_eq!(refused(&evidence).code(), "evidence.signature");
}
