//! Evidence, as a file and changed behind its spelling. Nobody here has a key: whatever is accepted may say only what is
//! true of the one story that was signed.

use sealpost_ledger::block::Header;
use sealpost_ledger::certificate::CommitCertificate;
use sealpost_ledger::codec::{Decode, Encode, MAX_BYTES, decode, encode};
use sealpost_ledger::evidence::{Evidence, Finding, ProvenTransaction};
use sealpost_ledger::examples;
use sealpost_ledger::fuzzing::{Script, Target};
use sealpost_ledger::genesis::Genesis;
use sealpost_ledger::height::BlockHeight;
use sealpost_ledger::merkle::Node;
use sealpost_ledger::message::Body;
use sealpost_ledger::state::{BundleRecord, StateProof};
use sealpost_ledger::transaction::SignedTransaction;
use std::sync::Arc;

/// What is true.
struct Story {
    genesis: Arc<Genesis>,
    evidence: Evidence,
    findings: Vec<Finding>,
}

pub(crate) fn targets() -> [Target; 2] {
    [
        Target::new("evidence", files, {
            let story = Story::tell();
            move |bytes| {
                let Ok(evidence) = Evidence::from_json(bytes) else { return false };
                assert_eq!(evidence.to_json().as_bytes(), bytes);
                story.check(&evidence);
                true
            }
        }),
        Target::new("evidence_changed", changes, {
            let story = Story::tell();
            move |input| {
                let (mut evidence, mut script) = (story.evidence.clone(), Script::new(input));
                while !script.is_over() {
                    change(&mut evidence, &mut script);
                }
                let text = evidence.to_json();
                // Some of what can be put together can't be written down: it has no place in the file.
                let read = Evidence::from_json(text.as_bytes());
                assert!(read.is_err() || read.as_ref() == Ok(&evidence));
                read.is_ok() && story.check(&evidence)
            }
        }),
    ]
}

impl Story {
    fn tell() -> Self {
        let (genesis, evidence) = examples::evidence();
        let findings = evidence.check(&genesis).expect("a true story").list().to_vec();
        Self { genesis, evidence, findings }
    }
    /// Whether it is accepted. Then it says nothing else.
    fn check(&self, evidence: &Evidence) -> bool {
        let Ok(findings) = evidence.check(&self.genesis) else { return false };
        assert_eq!(findings.message(), self.evidence.message.transaction.id());
        for finding in findings.list() {
            let known = self.findings.contains(finding) || self.is_earlier_silence(finding);
            assert!(known, "nobody ever signed that: {finding:?}");
        }
        assert_eq!(findings.lines().len(), findings.list().len());
        true
    }
    /// The second recipient never answered: not up to any of the blocks that there are.
    fn is_earlier_silence(&self, finding: &Finding) -> bool {
        let Finding::Unanswered { slot: 1, place, .. } = finding else { return false };
        let headers = self.evidence.blocks.iter().map(|block| &block.header);
        headers.into_iter().any(|header| header.hash() == place.block && header.height == place.height)
    }
}

/// The value that changed bytes stand for, if they do.
fn edited<T: Encode + Decode<()>>(value: &T, script: &mut Script<'_>) -> Option<T> {
    let mut bytes = encode(value);
    script.edit(&mut bytes);
    decode("value", &bytes, MAX_BYTES).ok()
}

fn edit<T: Encode + Decode<()>>(value: &mut T, script: &mut Script<'_>) {
    if let Some(changed) = edited(value, script) {
        *value = changed;
    }
}

/// One of a list, if there is any.
fn one<'a, T>(list: &'a mut [T], script: &mut Script<'_>) -> Option<&'a mut T> {
    let which = script.choice(list.len());
    list.get_mut(which)
}

/// Takes away, repeats or exchanges parts of a list.
fn shuffle<T: Clone>(list: &mut Vec<T>, script: &mut Script<'_>) {
    let (at, other, how) = (script.choice(list.len()), script.choice(list.len()), script.byte());
    match how % 4 {
        _ if list.is_empty() => {}
        0 => drop(list.remove(at)),
        1 if list.len() < 20 => list.insert(other, list[at].clone()),
        2 => list.swap(at, other),
        _ => list.clear(),
    }
}

fn height(script: &mut Script<'_>) -> BlockHeight {
    BlockHeight::new(match script.byte() {
        255 => u64::MAX,
        low => u64::from(low % 8),
    })
}

fn change(evidence: &mut Evidence, script: &mut Script<'_>) {
    match script.byte() % 16 {
        0 => shuffle(&mut evidence.blocks, script),
        1 => shuffle(&mut evidence.receipts, script),
        2 => shuffle(&mut evidence.keys, script),
        3 => shuffle(&mut evidence.absences, script),
        4 => {
            if let Some(block) = one(&mut evidence.blocks, script) {
                edit::<Header>(&mut block.header, script);
            }
        }
        5 => {
            if let Some(block) = one(&mut evidence.blocks, script) {
                edit::<CommitCertificate>(&mut block.certificate, script);
            }
        }
        6 => change_transaction(&mut evidence.message, script),
        7 => {
            if let Some(receipt) = one(&mut evidence.receipts, script) {
                change_transaction(receipt, script);
            }
        }
        8 => {
            if let Some(key) = one(&mut evidence.keys, script) {
                edit::<BundleRecord>(&mut key.record, script);
            }
        }
        9 => {
            if let Some(key) = one(&mut evidence.keys, script) {
                (key.slot, key.block) = (u16::from(script.byte()), height(script));
            }
        }
        10 => {
            if let Some(absence) = one(&mut evidence.absences, script) {
                (absence.slot, absence.block) = (u16::from(script.byte()), height(script));
            }
        }
        11 => {
            // Proofs of one part in another.
            let (from, to) = (script.byte(), script.byte());
            let mut proofs: Vec<&mut StateProof> =
                evidence.keys.iter_mut().map(|key| &mut key.proof).collect();
            proofs.extend(evidence.absences.iter_mut().map(|absence| &mut absence.proof));
            let count = proofs.len().max(1);
            let taken = proofs.get(usize::from(from) % count).map(|proof| StateProof::clone(proof));
            if let (Some(proof), Some(place)) = (taken, proofs.get_mut(usize::from(to) % count)) {
                **place = proof;
                edit::<StateProof>(place, script);
            }
        }
        12 => {
            let body = evidence.body.as_ref().map_or_else(Vec::new, |body| body.as_bytes().to_vec());
            evidence.body = changed(body, script).map(Body::new);
        }
        13 => match &mut evidence.disclosure {
            Some(disclosure) if script.byte() % 2 == 0 => script.edit(&mut disclosure.content),
            Some(disclosure) => disclosure.salt[usize::from(script.byte() % 32)] = script.byte(),
            None => {}
        },
        14 => evidence.disclosure = None,
        _ => {
            // The answer in the message's place, and such.
            let other = evidence.receipts.first().cloned();
            if let Some(other) = other {
                evidence.receipts[0] = std::mem::replace(&mut evidence.message, other);
            }
        }
    }
}

fn changed(mut bytes: Vec<u8>, script: &mut Script<'_>) -> Option<Vec<u8>> {
    if script.byte() % 4 == 0 {
        return None;
    }
    script.edit(&mut bytes);
    Some(bytes)
}

fn change_transaction(proven: &mut ProvenTransaction, script: &mut Script<'_>) {
    match script.byte() % 4 {
        0 => edit::<SignedTransaction>(&mut proven.transaction, script),
        1 => proven.index = u32::from(script.byte()),
        2 => proven.block = height(script),
        _ => {
            let mut path: Vec<u8> = proven.path.concat();
            script.edit(&mut path);
            proven.path = path.as_chunks::<32>().0.iter().map(|node| -> Node { *node }).collect();
        }
    }
}

fn files() -> Vec<Vec<u8>> {
    let (_, evidence) = examples::evidence();
    let mut bare = evidence.clone();
    (bare.keys, bare.absences, bare.body, bare.disclosure) = (Vec::new(), Vec::new(), None, None);
    bare.blocks.pop();
    [evidence, bare].map(|evidence| evidence.to_json().into_bytes()).to_vec()
}

fn changes() -> Vec<Vec<u8>> {
    // Nothing changed; without the plaintext; without the answer; and one change of each kind.
    let mut seeds = vec![vec![], vec![14], vec![12, 0], vec![2, 0, 0, 0, 0, 3]];
    seeds.extend((0..16).map(|kind| vec![kind, 0, 0, 1, 0, 0, 1, 2, 3, 4]));
    seeds
}
