//! Good evidence of many kinds, and evidence that is wrong in one way that only whoever holds the validators'
//! keys could make: so that every rule of the check is met, and not only the first.

use super::chain::{
    ALICE, BOB, CAROL, Chain, DAVE, Kind, SALT, author_block, bare, certify, genesis_of, key, salt_of,
    secret, set_of,
};
use sealpost_ledger::block::{Header, transaction_root};
use sealpost_ledger::codec::encode;
use sealpost_ledger::evidence::{
    Disclosure, Evidence, NewestBundle, ProvenBundle, ProvenTransaction, ProvenValidators,
};
use sealpost_ledger::genesis::{DEVELOPMENT_VALIDATOR, Genesis};
use sealpost_ledger::hash::{ChainId, TransactionId};
use sealpost_ledger::height::BlockHeight;
use sealpost_ledger::key_bundle::Revoke;
use sealpost_ledger::merkle;
use sealpost_ledger::message::{Body, Mode, Suite};
use sealpost_ledger::receipt::{Answer, Receipt, RefusalReason};
use sealpost_ledger::state::StateKey;
use sealpost_ledger::transaction::{Payload, SignedTransaction};
use std::sync::Arc;

/// Evidence, and the genesis it is checked against.
pub(super) struct Story {
    pub(super) name: String,
    pub(super) genesis: Arc<Genesis>,
    pub(super) evidence: Evidence,
}

/// Four validators of unequal power; any three with the second among them decide.
const FOUR: [(u8, u64); 4] = [(101, 3), (102, 4), (103, 3), (104, 2)];
const FOUR_SEEDS: [u8; 4] = [101, 102, 103, 104];
const CONTENT: &[u8] = b"The lift is out of service";

fn opened(slot: usize) -> Answer {
    Answer::Opened { secret: secret(slot) }
}

/// Many recipients, who answer in every way: the richest evidence of an open message.
struct Town {
    chain: Chain,
    evidence: Evidence,
    /// Another message, and its receipt, which stands in the same block as the first's.
    other: TransactionId,
    other_receipt: TransactionId,
}

fn town(suite: Suite) -> Town {
    let mut chain = Chain::new(genesis_of(&FOUR), &FOUR_SEEDS[..3]);
    let bundles = [(BOB, 1000), (CAROL, 2), (DAVE, 1000)];
    chain.add(bundles.map(|(owner, until)| (chain.bundle(owner, until, suite), None)).into());
    let revoke = chain.sign(DAVE, Payload::Revoke(Revoke { sequence: 1, from: BlockHeight::new(3) }));
    chain.add(vec![(revoke, None)]);
    let kind = Kind { suite, ..Kind::open(CONTENT) };
    let to = [BOB, CAROL, DAVE];
    let (message, body) = chain.message(&to, &kind);
    let (other, other_body) = chain.message(&[CAROL], &kind);
    let (third, third_body) = chain.message(&[BOB], &kind);
    let (id, other) = (message.id(), (other.id(), other));
    let all = vec![(other.1, Some(other_body)), (message, Some(body.clone())), (third, Some(third_body))];
    let sent = chain.add(all);
    let before = chain.add(Vec::new());
    let receipt = chain.answer(BOB, id, 0, opened(0));
    let elsewhere = chain.answer(CAROL, other.0, 0, opened(0));
    let receipts = [receipt.id(), elsewhere.id()];
    let answered = chain.add(vec![(receipt, None), (elsewhere, None)]);
    let refusal = chain.answer(DAVE, id, 2, Answer::Refused { reason: RefusalReason::NotResponsible });
    let refused = refusal.id();
    let last_answer = chain.add(vec![(refusal, None)]);
    let until = chain.add(Vec::new());
    let mut evidence = bare(&chain, id);
    evidence.blocks =
        [sent, before, answered, last_answer, until].map(|height| chain.certified(height)).into();
    evidence.receipts = vec![chain.proven(receipts[0]), chain.proven(refused)];
    evidence.keys = (0..).zip(to).map(|(slot, owner)| chain.key_proof(slot, owner, sent)).collect();
    // Bob had not answered before he did; Carol never did.
    evidence.absences = vec![chain.absence(id, 0, before), chain.absence(id, 1, until)];
    evidence.body = Some(body);
    evidence.disclosure = Some(Disclosure { salt: SALT, content: CONTENT.to_vec(), author: None });
    Town { chain, evidence, other: other.0, other_receipt: receipts[1] }
}

/// One validator, as in `genesis.json`.
fn village() -> (Chain, Evidence) {
    let mut file = genesis_of(&[(77, 1)]);
    file.members.clear();
    let mut chain = Chain::new(file, &[77]);
    chain.add(vec![(chain.bundle(BOB, 1000, Suite::Ecies), None)]);
    chain.add(vec![(chain.numbered_bundle(BOB, 2, 1000, Suite::Ecies), None)]);
    let (message, body) = chain.message(&[BOB], &Kind::open(b""));
    let id = message.id();
    let sent = chain.add(vec![(message, Some(body))]);
    let mut evidence = bare(&chain, id);
    evidence.keys = vec![chain.key_proof(0, BOB, sent)];
    evidence.absences = vec![chain.absence(id, 0, sent)];
    evidence.disclosure = Some(Disclosure { salt: SALT, content: Vec::new(), author: None });
    (chain, evidence)
}

/// A message after two changes of the validators.
fn changed() -> (Chain, Evidence) {
    let mut chain = Chain::new(genesis_of(&FOUR), &[101, 102, 103, 105, 106]);
    for to in [&[(102, 4), (103, 3), (105, 9)][..], &[(103, 1), (105, 1), (106, 1)]] {
        let change = chain.change(to, chain.next_height() + 2);
        chain.add(vec![(change, None)]);
        chain.add(Vec::new());
        chain.add(Vec::new());
    }
    let (message, body) = chain.message(&[BOB, CAROL], &Kind::open(CONTENT));
    let id = message.id();
    let sent = chain.add(vec![(message, Some(body))]);
    let receipt = chain.answer(CAROL, id, 1, opened(1));
    let receipt_id = receipt.id();
    let answered = chain.add(vec![(receipt, None)]);
    let mut evidence = bare(&chain, id);
    let changes = chain.changes();
    assert_eq!(changes.len(), 2);
    let heights = changes.iter().map(|(block, _)| *block).chain([sent, answered]);
    evidence.blocks = heights.map(|height| chain.certified(height)).collect();
    evidence.validator_changes =
        changes.into_iter().map(|(block, validators)| ProvenValidators { block, validators }).collect();
    evidence.receipts = vec![chain.proven(receipt_id)];
    evidence.absences = vec![chain.absence(id, 0, answered)];
    (chain, evidence)
}

/// A letter with everything in it, as a wallet encodes it.
fn letter() -> Vec<u8> {
    let answered = TransactionId::from_bytes([0xab; 32]);
    let refused = Answer::Refused { reason: RefusalReason::OtherChannel };
    let answers = vec![
        Receipt { message: answered, slot: 0, answer: opened(1) },
        Receipt { message: answered, slot: 65535, answer: refused },
    ];
    let parts = (70_000_u64, [9_u8; 32], vec![answered]);
    let whole = (String::from("plan.txt"), (0_u32, b"upstairs".to_vec()));
    let head = (
        String::from("Re: </script>"),
        String::from("\u{202e}odd\r\n𝕊"),
        Some(parts.clone()),
        Some(answered),
    );
    // Attachments are told apart by a choice, so that each is encoded by itself.
    let attachments =
        [2_u64.to_le_bytes().to_vec(), encode(&whole), encode(&(String::from("b"), (1_u32, parts)))];
    [encode(&(0_u32, head, answers)), attachments.concat()].concat()
}

fn sealed(signer: u8, to: &[u8], content: &[u8]) -> (Chain, Evidence) {
    let mut chain = Chain::new(genesis_of(&FOUR), &FOUR_SEEDS);
    let salt = salt_of(signer, to);
    let kind = Kind { suite: Suite::EciesMlKem768, mode: Mode::Sealed, content, salt };
    let (message, body) = chain.message(&[BOB, CAROL], &kind);
    let author = author_block(signer, &message, to);
    let id = message.id();
    chain.add(vec![(message, Some(body))]);
    let mut evidence = bare(&chain, id);
    evidence.disclosure = Some(Disclosure { salt, content: content.to_vec(), author: Some(author) });
    (chain, evidence)
}

/// The example beside the protocol page, of the network in `genesis.json`.
fn example() -> Story {
    let genesis = Arc::new(Genesis::parse(include_bytes!("../../genesis.json")).unwrap());
    assert!(genesis.validators().count() == 1 && !DEVELOPMENT_VALIDATOR.is_empty());
    let evidence = Evidence::from_json(include_bytes!("../../docs/example.evidence.json")).unwrap();
    Story { name: "the example".into(), genesis, evidence }
}

/// Good evidence of each kind: the seeds of all mutations.
pub(super) fn good() -> Vec<Story> {
    let story = |name: &str, chain: &Chain, evidence: Evidence| Story {
        name: name.into(),
        genesis: chain.genesis.clone(),
        evidence,
    };
    let town1 = town(Suite::Ecies);
    let town2 = town(Suite::EciesMlKem768);
    let (village_chain, village) = village();
    let (changed_chain, changed) = changed();
    let (sealed_chain, answers) = sealed(ALICE, &[BOB, CAROL], &letter());
    let mut undisclosed = answers.clone();
    undisclosed.disclosure = None;
    let mut nameless = answers.clone();
    nameless.disclosure.as_mut().unwrap().author = None;
    let part = encode(&(1_u32, [4_u8; 16], 3_u32, vec![1_u8, 2, 3]));
    let (part_chain, part) = sealed(CAROL, &[CAROL, BOB], &part);
    let (noise_chain, noise) = sealed(BOB, &[CAROL, DAVE], b"no letter");
    let bobs = town2.evidence.clone().keeping(|_, slot| slot == 0);
    let silence = town1
        .evidence
        .clone()
        .keeping(|part, slot| slot == 1 && part != sealpost_ledger::evidence::SlotPart::Receipt);
    let plain = bare(&town1.chain, town1.evidence.message.transaction.id());
    vec![
        story("town, suite 1", &town1.chain, town1.evidence.clone()),
        story("town, suite 2", &town2.chain, town2.evidence.clone()),
        story("bob's part", &town2.chain, bobs),
        story("carol's silence", &town1.chain, silence),
        story("bare", &town1.chain, plain),
        story("one validator", &village_chain, village),
        story("validators changed", &changed_chain, changed),
        story("sealed, with answers", &sealed_chain, answers),
        story("sealed, not disclosed", &sealed_chain, undisclosed),
        story("sealed, author kept back", &sealed_chain, nameless),
        story("sealed, a part", &part_chain, part),
        story("sealed, no letter", &noise_chain, noise),
        example(),
    ]
}

/// Letters with as much as a letter may have, and with more: answers are found in the first of each alone.
pub(super) fn letters() -> Vec<Story> {
    let sizes = [
        (10_000, 1, 0),
        (10_001, 1, 0),
        (190_660, 1, 0),
        (0, 10_000, 0),
        (0, 10_001, 0),
        (10_000, 1, (8 << 20) - 10_000 * 20 - 108),
        (10_000, 1, (8 << 20) - 10_000 * 20 - 107),
    ];
    let letter = |(attachments, answers, text): (usize, usize, usize)| {
        let answer = Receipt { message: TransactionId::from_bytes([0xab; 32]), slot: 0, answer: opened(1) };
        let head = (String::new(), "x".repeat(text), None::<u8>, None::<u8>);
        let files = vec![(String::new(), (0_u32, Vec::<u8>::new())); attachments];
        let content = encode(&(0_u32, head, vec![answer; answers], files));
        let name = format!("{attachments} attachments, {answers} answers, {} bytes", content.len());
        let (chain, evidence) = sealed(ALICE, &[BOB, CAROL], &content);
        Story { name, genesis: chain.genesis, evidence }
    };
    sizes.map(letter).into()
}

/// Signs a block of evidence anew.
fn recertify(evidence: &mut Evidence, index: usize, seeds: &[u8], set: &[(u8, u64)]) {
    let block = &mut evidence.blocks[index];
    block.certificate = certify(&block.header, seeds, &set_of(set));
}

/// The town's evidence with one block replaced by one that was truly signed and holds these transactions
/// alone.
fn with_block(
    town: &Town,
    index: usize,
    transactions: &[&SignedTransaction],
) -> (Evidence, Vec<ProvenTransaction>) {
    let mut evidence = town.evidence.clone();
    let leaves: Vec<_> = transactions.iter().map(|t| t.leaf()).collect();
    let header = &mut evidence.blocks[index].header;
    header.transaction_count = leaves.len() as u32;
    header.tx_root = transaction_root(&leaves);
    let block = header.height;
    recertify(&mut evidence, index, &FOUR_SEEDS, &FOUR);
    let proven = transactions.iter().enumerate().map(|(index, transaction)| ProvenTransaction {
        block,
        index: index as u32,
        path: merkle::path(&leaves, index).unwrap(),
        transaction: (*transaction).clone(),
    });
    let proven = proven.collect();
    (evidence, proven)
}

/// Evidence that breaks one rule each, signed by validators who would never have signed it.
pub(super) fn forged() -> Vec<Story> {
    let town = town(Suite::Ecies);
    let (chain, message) = (&town.chain, town.evidence.message.transaction.id());
    let mut stories = Vec::new();
    let mut add = |name: &str, genesis: &Arc<Genesis>, evidence: Evidence| {
        stories.push(Story { name: name.into(), genesis: genesis.clone(), evidence });
    };
    let mut changed_town = |name: &str, change: &dyn Fn(&mut Evidence)| {
        let mut evidence = town.evidence.clone();
        change(&mut evidence);
        add(name, &chain.genesis, evidence);
    };

    // Blocks and certificates.
    for index in 0..town.evidence.blocks.len() {
        let header = |change: fn(&mut Header)| {
            move |evidence: &mut Evidence| {
                change(&mut evidence.blocks[index].header);
                recertify(evidence, index, &FOUR_SEEDS, &FOUR);
            }
        };
        changed_town("block version", &header(|header| header.version = 2));
        changed_town("block chain", &header(|header| header.chain = ChainId::from_bytes([1; 32])));
        changed_town(
            "block state",
            &header(|header| header.state_root = sealpost_ledger::hash::StateRoot::from_bytes([1; 32])),
        );
        changed_town(
            "unknown next validators",
            &header(|header| {
                header.next_validators_hash = sealpost_ledger::hash::ValidatorsHash::from_bytes([1; 32])
            }),
        );
        changed_town(
            "foreign validators",
            &header(|header| {
                header.validators_hash = sealpost_ledger::hash::ValidatorsHash::from_bytes([1; 32])
            }),
        );
        changed_town("other count", &header(|header| header.transaction_count += 1));
        changed_town("no transactions", &header(|header| header.transaction_count = 0));
        changed_town("all signed", &|evidence| recertify(evidence, index, &FOUR_SEEDS, &FOUR));
        // 3 + 4 of 12 is 7, 4 + 3 + 2 is 9: only more than 8 decide.
        changed_town("too few", &|evidence| recertify(evidence, index, &[101, 102], &FOUR));
        changed_town("exactly two thirds", &|evidence| recertify(evidence, index, &[101, 103, 104], &FOUR));
        changed_town("just enough", &|evidence| recertify(evidence, index, &[102, 103, 104], &FOUR));
        changed_town("nobody signed", &|evidence| recertify(evidence, index, &[], &FOUR));
        changed_town("a signer twice", &|evidence| {
            let signatures = &mut evidence.blocks[index].certificate.signatures;
            signatures.push(signatures[signatures.len() - 1]);
        });
        changed_town("signers out of order", &|evidence| {
            evidence.blocks[index].certificate.signatures.swap(0, 1);
        });
        changed_town("a foreign signer", &|evidence| {
            evidence.blocks[index].certificate.signatures[2].validator = 4;
        });
        changed_town("another's signature", &|evidence| {
            let signatures = &mut evidence.blocks[index].certificate.signatures;
            signatures[2].signature = signatures[1].signature;
        });
        changed_town("another round", &|evidence| evidence.blocks[index].certificate.round = 1);
        changed_town("another height certified", &|evidence| {
            evidence.blocks[index].certificate.height = BlockHeight::new(99);
        });
        changed_town("another block's certificate", &|evidence| {
            let other = (index + 1) % evidence.blocks.len();
            evidence.blocks[index].certificate = evidence.blocks[other].certificate.clone();
        });
        changed_town("block missing", &|evidence| drop(evidence.blocks.remove(index)));
        changed_town("block twice", &|evidence| {
            evidence.blocks.insert(index, evidence.blocks[index].clone());
        });
        changed_town("blocks out of order", &|evidence| {
            let other = (index + 1) % evidence.blocks.len();
            evidence.blocks.swap(index, other);
        });
    }
    for height in [1, 2, 4] {
        changed_town("idle block", &|evidence| {
            evidence.blocks.push(chain.certified(BlockHeight::new(height)));
            evidence.blocks.sort_by_key(|block| block.header.height);
        });
    }

    // The message, moved or exchanged.
    for (name, change) in [
        ("other place", (|e: &mut Evidence| e.message.index = 0) as fn(&mut Evidence)),
        ("place beyond the end", |e| e.message.index = 3),
        ("largest place", |e| e.message.index = u32::MAX),
        ("other block", |e| e.message.block = e.blocks[2].header.height),
        ("no such block", |e| e.message.block = BlockHeight::new(u64::MAX)),
        ("path too short", |e| e.message.path.truncate(1)),
        ("path too long", |e| e.message.path.push([0; 32])),
        ("path turned", |e| e.message.path.reverse()),
        ("a receipt in place of the message", |e| e.message = e.receipts[0].clone()),
        ("receipts out of order", |e| e.receipts.reverse()),
        ("receipt twice", |e| e.receipts.push(e.receipts[1].clone())),
        ("receipt's block", |e| e.receipts[0].block = e.blocks[4].header.height),
        ("message as a receipt", |e| e.receipts[0] = e.message.clone()),
        ("keys out of order", |e| e.keys.reverse()),
        ("key twice", |e| e.keys.push(e.keys[2].clone())),
        ("key in another block", |e| e.keys[0].block = e.blocks[1].header.height),
        ("key in no block", |e| e.keys[0].block = BlockHeight::new(77)),
        ("key of no slot", |e| e.keys[2].slot = 3),
        ("another's key", |e| {
            let (record, proof) = (e.keys[1].record.clone(), e.keys[1].proof.clone());
            (e.keys[0].record, e.keys[0].proof) = (record, proof);
        }),
        ("another's proof", |e| e.keys[0].proof = e.keys[1].proof.clone()),
        ("a key with another end", |e| e.keys[0].record.bundle.valid_until = BlockHeight::new(9)),
        ("an absence's proof for a key", |e| e.keys[0].proof = e.absences[0].proof.clone()),
        ("absences out of order", |e| e.absences.reverse()),
        ("absence twice", |e| e.absences.push(e.absences[1].clone())),
        ("absence of no slot", |e| e.absences[1].slot = 3),
        ("absence in no block", |e| e.absences[1].block = BlockHeight::new(77)),
        ("absence before the message", |e| e.absences[0].block = BlockHeight::new(2)),
        ("absence of an answer", |e| e.absences[0].block = e.blocks[2].header.height),
        ("absence in an old block", |e| e.absences[1].block = e.blocks[3].header.height),
        ("absence in the message's block", |e| e.absences[0].block = e.blocks[0].header.height),
        ("another's absence", |e| e.absences[1].proof = e.absences[0].proof.clone()),
        ("a key's proof for an absence", |e| e.absences[0].proof = e.keys[0].proof.clone()),
        ("absence of a receipt that is left out", |e| {
            e.receipts.clear();
            e.absences[0].block = e.blocks[2].header.height;
        }),
        ("another body", |e| e.body = Some(Body::new(vec![1; 48]))),
        ("a longer body", |e| e.body = Some(Body::new(vec![0xe7; 49]))),
        ("no body's bytes", |e| e.body = Some(Body::new(Vec::new()))),
        ("another content", |e| e.disclosure.as_mut().unwrap().content.push(0)),
        ("another salt", |e| e.disclosure.as_mut().unwrap().salt[0] ^= 1),
        ("another chain", |e| e.chain = ChainId::from_bytes([1; 32])),
    ] {
        changed_town(name, &change);
    }

    // Receipts in a block that the validators truly signed.
    let receipt = |by: u8, slot: u16, answer: Answer| chain.answer(by, message, slot, answer);
    let refusal = |reason| Answer::Refused { reason };
    let signed = receipt(BOB, 0, opened(0));
    let unsigned =
        SignedTransaction::new(signed.transaction().clone(), *receipt(BOB, 1, opened(0)).signature());
    let resigned = |change: fn(&mut sealpost_ledger::transaction::Transaction)| {
        let mut transaction = signed.transaction().clone();
        change(&mut transaction);
        transaction.sign(&key(BOB), &[0; 32]).unwrap()
    };
    let mut answers = vec![
        ("opened", receipt(BOB, 0, opened(0))),
        ("opened by another", receipt(CAROL, 0, opened(0))),
        ("another's slot", receipt(BOB, 1, opened(1))),
        ("no such slot", receipt(BOB, 3, opened(0))),
        ("wrong secret", receipt(BOB, 0, opened(1))),
        ("to another message", chain.answer(BOB, town.other, 0, opened(0))),
        ("not signed", unsigned),
        ("transaction version", resigned(|t| t.version = 2)),
        ("transaction chain", resigned(|t| t.chain = ChainId::from_bytes([1; 32]))),
        ("a bundle", chain.bundle(BOB, 5, Suite::EciesMlKem768)),
        ("a withdrawal", chain.sign(BOB, Payload::Revoke(Revoke { sequence: 1, from: BlockHeight::new(9) }))),
        ("a change of validators", chain.change(&[(101, 1)], 99)),
    ];
    answers.extend(RefusalReason::ALL.map(|reason| ("refused", receipt(BOB, 0, refusal(reason)))));
    for (name, transaction) in answers {
        let (mut evidence, proven) = with_block(&town, 2, &[&transaction]);
        evidence.receipts = proven;
        add(&format!("receipt: {name}"), &chain.genesis, evidence);
    }
    let (mut elsewhere, proven) = (town.evidence.clone(), chain.proven(town.other_receipt));
    elsewhere.receipts = vec![proven];
    add("receipt of another message", &chain.genesis, elsewhere);
    let early = receipt(BOB, 0, opened(0));
    let (mut evidence, mut proven) = with_block(&town, 0, &[&town.evidence.message.transaction, &early]);
    evidence.receipts = vec![proven.remove(1)];
    evidence.message = proven.remove(0);
    add("receipt in the message's block", &chain.genesis, evidence);
    for (name, transaction) in [
        (
            "message not signed",
            SignedTransaction::new(
                town.evidence.message.transaction.transaction().clone(),
                *signed.signature(),
            ),
        ),
        ("message of another kind", chain.bundle(BOB, 5, Suite::Ecies)),
    ] {
        let (mut evidence, mut proven) = with_block(&town, 0, &[&transaction]);
        evidence.message = proven.remove(0);
        add(name, &chain.genesis, evidence);
    }

    // Changes of the validators.
    let (changed_chain, whole) = changed();
    let mut change = |name: &str, change: &dyn Fn(&mut Evidence)| {
        let mut evidence = whole.clone();
        change(&mut evidence);
        add(&format!("change: {name}"), &changed_chain.genesis, evidence);
    };
    for index in 0..2 {
        change("untold", &|e| drop(e.validator_changes.remove(index)));
        change("untold, block left out", &|e| {
            let block = e.validator_changes.remove(index).block;
            e.blocks.retain(|other| other.header.height != block);
        });
        change("block left out", &|e| {
            let block = e.validator_changes[index].block;
            e.blocks.retain(|other| other.header.height != block);
        });
        change("other set", &|e| e.validator_changes[index].validators = set_of(&[(101, 1)]));
        change("other power", &|e| {
            e.validator_changes[index].validators = set_of(&[(103, 1), (105, 1), (106, 2)]);
        });
        change("late", &|e| e.validator_changes[index].block = e.blocks[index + 1].header.height);
        change("twice", &|e| e.validator_changes.insert(index, e.validator_changes[index].clone()));
        change("in no block", &|e| e.validator_changes[index].block = BlockHeight::new(99));
    }
    change("turned", &|e| e.validator_changes.reverse());
    change("after all blocks", &|e| {
        let last = ProvenValidators { block: BlockHeight::new(99), validators: set_of(&[(101, 1)]) };
        e.validator_changes.push(last);
    });
    change("the same again", &|e| {
        let (block, last) = (e.blocks[3].header.height, e.validator_changes[1].validators.clone());
        e.validator_changes.push(ProvenValidators { block, validators: last });
    });
    change("at the first block again", &|e| {
        e.validator_changes.push(e.validator_changes[0].clone());
    });

    // A key that had a newer one, and one that had not.
    let (village_chain, whole) = village();
    for (name, change) in [
        ("newest left out", (|key| key.newest = None) as fn(&mut ProvenBundle)),
        ("newest in place of the older", |key| {
            let NewestBundle { record, proof } = key.newest.take().unwrap();
            (key.record, key.proof) = (record, proof);
        }),
        ("older as the newest", |key| {
            let (record, proof) = (key.record.clone(), key.proof.clone());
            key.newest = Some(NewestBundle { record, proof });
        }),
        ("newest changed", |key| key.newest.as_mut().unwrap().record.height = BlockHeight::new(9)),
    ] {
        let mut evidence = whole.clone();
        change(&mut evidence.keys[0]);
        add(name, &village_chain.genesis, evidence);
    }
    let mut itself = town.evidence.clone();
    let key = &mut itself.keys[0];
    let (record, proof) = chain.bundle_proof(&StateKey::Bundle(super::chain::address(BOB), 1), key.block);
    let directory = std::mem::replace(&mut key.proof, proof);
    key.newest = Some(NewestBundle { record, proof: directory });
    add("newest newer than itself", &chain.genesis, itself);

    // Sealed messages.
    for (name, signer, to, by) in [
        ("another's name", ALICE, vec![BOB, CAROL], BOB),
        ("too few", ALICE, vec![BOB], ALICE),
        ("too many", ALICE, vec![BOB, CAROL, DAVE], ALICE),
        ("nobody", ALICE, vec![], ALICE),
        ("twice", ALICE, vec![BOB, BOB], ALICE),
    ] {
        let (sealed_chain, mut evidence) = sealed(signer, &to, &letter());
        evidence.disclosure.as_mut().unwrap().author.as_mut().unwrap().author = super::chain::address(by);
        add(&format!("sealed: {name}"), &sealed_chain.genesis, evidence);
    }
    let (sealed_chain, whole) = sealed(ALICE, &[BOB, CAROL], &letter());
    let mut turned = whole.clone();
    turned.disclosure.as_mut().unwrap().author.as_mut().unwrap().recipients.reverse();
    add("sealed: other order", &sealed_chain.genesis, turned);
    let mut another = whole.clone();
    another.disclosure.as_mut().unwrap().author.as_mut().unwrap().signature = *signed.signature();
    add("sealed: another signature", &sealed_chain.genesis, another);
    let mut later = whole.clone();
    later.disclosure.as_mut().unwrap().author =
        Some(author_block(BOB, &whole.message.transaction, &[ALICE, CAROL]));
    add("sealed: signed by another later", &sealed_chain.genesis, later);
    let (id, at) = (whole.message.transaction.id(), whole.message.block);
    let mut silent = whole.clone();
    silent.absences = vec![sealed_chain.absence(id, 0, at)];
    add("sealed: silence", &sealed_chain.genesis, silent);
    let mut open = town.evidence.clone();
    open.disclosure.as_mut().unwrap().author = whole.disclosure.unwrap().author;
    add("author of an open message", &chain.genesis, open);
    stories
}
