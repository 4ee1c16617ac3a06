//! The state tree against a naive model: the root is computed anew from all entries as the definition says, and so is
//! each proof. Random histories, every version of them, presence and absence; and every kind of wrong proof.

use sealpost_ledger::address::Address;
use sealpost_ledger::codec::encode;
use sealpost_ledger::hash::{ChainId, StateRoot, TransactionId, sha256};
use sealpost_ledger::height::BlockHeight;
use sealpost_ledger::signature::SigningKey;
use sealpost_ledger::state::{
    AnswerKind, DesignationRecord, MemoryState, ReceiptRecord, StateKey, StateProof, StateRecord, prove,
    root_of, update,
};
use sealpost_tests::harness::random::Random;
use std::collections::BTreeMap;

const HISTORIES: u64 = 12;
const VERSIONS: u64 = 40;

/// The definition: a leaf stands as high as it can, an inner node has two sides, an empty side is a fixed word.
pub(crate) mod definition {
    use super::{BTreeMap, sha256};

    pub(crate) type Hash = [u8; 32];
    /// The hash of a key, and that of its value.
    pub(crate) type Entries = BTreeMap<Hash, Hash>;

    const EMPTY: Hash = *b"SPARSE_MERKLE_PLACEHOLDER_HASH__";

    pub(crate) fn leaf(key: &Hash, value: &Hash) -> Hash {
        sha256(&[b"JMT::LeafNode", key, value])
    }

    pub(crate) fn inner(left: &Hash, right: &Hash) -> Hash {
        sha256(&[b"JMT::IntrnalNode", left, right])
    }

    pub(crate) fn bit(key: &Hash, depth: usize) -> bool {
        key[depth / 8] >> (7 - depth % 8) & 1 == 1
    }

    fn side(entries: &Entries, depth: usize, right: bool) -> Entries {
        entries
            .iter()
            .filter(|(key, _)| bit(key, depth) == right)
            .map(|(key, value)| (*key, *value))
            .collect()
    }

    pub(crate) fn root(entries: &Entries) -> Hash {
        below(entries, 0)
    }

    fn below(entries: &Entries, depth: usize) -> Hash {
        let mut all = entries.iter();
        match (all.next(), all.next()) {
            (None, _) => EMPTY,
            (Some((key, value)), None) => leaf(key, value),
            _ => inner(
                &below(&side(entries, depth, false), depth + 1),
                &below(&side(entries, depth, true), depth + 1),
            ),
        }
    }

    /// What stands where the way to a key ends, and the other side at each step, the lowest first.
    pub(crate) fn proof(entries: &Entries, key: &Hash) -> (Option<(Hash, Hash)>, Vec<Hash>) {
        let (mut here, mut siblings) = (entries.clone(), Vec::new());
        while here.len() > 1 {
            let depth = siblings.len();
            let right = bit(key, depth);
            siblings.push(below(&side(&here, depth, !right), depth + 1));
            here = side(&here, depth, right);
        }
        siblings.reverse();
        (here.pop_first(), siblings)
    }
}

use definition::{Entries, Hash};

/// A history of the tree, and beside it all entries at each version.
struct History {
    state: MemoryState,
    roots: Vec<StateRoot>,
    versions: Vec<BTreeMap<StateKey, StateRecord>>,
    keys: Vec<StateKey>,
}

fn address(seed: u8) -> Address {
    Address::new(SigningKey::from_bytes(&[seed; 32]).unwrap().public_key())
}

/// Keys, some of which share a long part of the way down.
fn keys() -> Vec<StateKey> {
    let who = address(1);
    let mut keys: Vec<_> =
        (0..40).map(|n| StateKey::Receipt(TransactionId::from_bytes([n; 32]), n.into())).collect();
    keys.extend((0..40).map(|n| StateKey::Bundle(who, n)));
    let start = |key: &StateKey| u16::from_be_bytes([key.hash()[0], key.hash()[1]]) >> 3;
    let beginning = start(&keys[0]);
    let classes = (0..100_000).map(|n| StateKey::Designation(who, format!("class-{n}")));
    // 13 bits in common.
    keys.extend(classes.filter(|key| start(key) == beginning).take(10));
    keys.extend([StateKey::Chain, StateKey::Validators, StateKey::Member(who), StateKey::Directory(who)]);
    keys
}

fn record(random: &mut Random) -> StateRecord {
    let id = TransactionId::from_bytes([random.next() as u8; 32]);
    let height = BlockHeight::new(random.next());
    match random.below(3) {
        0 => StateRecord::Chain(ChainId::from_bytes([random.next() as u8; 32])),
        1 => StateRecord::Receipt(ReceiptRecord { receipt: id, answer: AnswerKind::Refused, height }),
        _ => StateRecord::Designation(DesignationRecord { to: address(2), transaction: id, height }),
    }
}

fn hashed(entries: &BTreeMap<StateKey, StateRecord>) -> Entries {
    entries.iter().map(|(key, record)| (key.hash(), sha256(&[&record.to_bytes()]))).collect()
}

impl History {
    fn live(random: &mut Random) -> Self {
        let (keys, mut state) = (keys(), MemoryState::default());
        let (mut roots, mut versions, mut now) = (Vec::new(), Vec::new(), BTreeMap::new());
        for version in 0..VERSIONS {
            let count = 1 + random.below(if version == 0 { 8 } else { 5 });
            let changes: BTreeMap<_, _> =
                (0..count).map(|_| (keys[random.below(keys.len())].clone(), record(random))).collect();
            let done = update(&state, version, &changes).unwrap();
            state.apply(&done, &changes);
            now.extend(changes);
            roots.push(done.root);
            versions.push(now.clone());
        }
        Self { state, roots, versions, keys }
    }
}

fn bytes_of(leaf: Option<(Hash, Hash)>, siblings: &[Hash]) -> Vec<u8> {
    encode(&(leaf, siblings.to_vec()))
}

#[test]
fn roots_and_proofs_are_those_of_the_definition_at_every_version() {
    let (mut roots, mut present, mut absent) = (0, 0, 0);
    for seed in 0..HISTORIES {
        let history = History::live(&mut Random::new(seed));
        for (version, entries) in (0_u64..).zip(&history.versions) {
            let (root, hashes) = (history.roots[version as usize], hashed(entries));
            assert_eq!(root.to_bytes(), definition::root(&hashes), "history {seed}, version {version}");
            let all = entries.iter().map(|(key, record)| (key.hash(), record.to_bytes()));
            let mut all: Vec<_> = all.collect();
            all.sort_unstable();
            assert_eq!(root_of(all).unwrap(), root, "made at once");
            roots += 1;
            for key in &history.keys {
                let (record, proof) = prove(&history.state, version, key).unwrap();
                assert_eq!(record.as_ref(), entries.get(key));
                let (leaf, siblings) = definition::proof(&hashes, &key.hash());
                assert_eq!(proof.to_bytes(), bytes_of(leaf, &siblings), "history {seed}, version {version}");
                assert_eq!(proof.verify_absent(&root, key).is_ok(), record.is_none());
                match &record {
                    Some(record) => {
                        proof.verify_present(&root, key, record).unwrap();
                        present += 1;
                    }
                    None => absent += 1,
                }
            }
        }
    }
    println!("{roots} roots, {present} proofs of presence and {absent} of absence compared");
    assert!(
        roots == HISTORIES * VERSIONS && present > 10_000 && absent > 10_000,
        "{roots} {present} {absent}"
    );
}

/// Whether a proof that was tampered with is still accepted: for whatever is not so.
#[test]
fn no_wrong_proof_is_accepted() {
    let mut tried = 0;
    for seed in 0..4 {
        let mut random = Random::new(100 + seed);
        let history = History::live(&mut random);
        let last = history.versions.len() - 1;
        let (root, entries) = (history.roots[last], &history.versions[last]);
        let hashes = hashed(entries);
        for key in &history.keys {
            let is_there = entries.get(key);
            let mut claims_nothing_false = |leaf: Option<(Hash, Hash)>, siblings: &[Hash], what: &str| {
                let proof = StateProof::from_bytes(&bytes_of(leaf, siblings)).unwrap();
                tried += 1;
                let absent = proof.verify_absent(&root, key).is_ok();
                assert!(!absent || is_there.is_none(), "{what}: an entry is there, and absent");
                for record in entries.values() {
                    let present = proof.verify_present(&root, key, record).is_ok();
                    assert!(!present || is_there == Some(record), "{what}: another record");
                }
                absent || is_there.is_some_and(|record| proof.verify_present(&root, key, record).is_ok())
            };
            let (leaf, siblings) = definition::proof(&hashes, &key.hash());
            assert!(claims_nothing_false(leaf, &siblings, "the proof itself"));
            for (other, value) in &hashes {
                let moved = claims_nothing_false(Some((*other, *value)), &siblings, "another leaf");
                assert!(!moved || leaf == Some((*other, *value)));
            }
            assert!(leaf.is_none() || !claims_nothing_false(None, &siblings, "no leaf"));
            // An inner node for a leaf: the way cut short, so that what was below is taken for an entry.
            for cut in 0..siblings.len() {
                assert!(!claims_nothing_false(leaf, &siblings[cut + 1..], "cut off below"));
                assert!(!claims_nothing_false(leaf, &siblings[..cut], "cut off above"));
                let mut without = siblings.clone();
                without.remove(cut);
                assert!(!claims_nothing_false(leaf, &without, "a step left out"));
                let mut changed = siblings.clone();
                changed[cut][random.below(32)] ^= 1 << random.below(8);
                assert!(!claims_nothing_false(leaf, &changed, "a changed step"));
                let mut twice = siblings.clone();
                twice.insert(cut, siblings[cut]);
                assert!(!claims_nothing_false(leaf, &twice, "a step twice"));
                if cut > 0 && siblings[cut] != siblings[cut - 1] {
                    let mut swapped = siblings.clone();
                    swapped.swap(cut, cut - 1);
                    assert!(!claims_nothing_false(leaf, &swapped, "two steps exchanged"));
                }
            }
            let empty = claims_nothing_false(leaf, &[], "no steps");
            assert!(!empty || siblings.is_empty());
            let longer = [siblings.as_slice(), &[root.to_bytes()]].concat();
            assert!(!claims_nothing_false(leaf, &longer, "a step above the root"));
            let deep = vec![[7; 32]; 257];
            assert!(!claims_nothing_false(leaf, &deep, "deeper than a key has bits"));
        }
    }
    println!("{tried} proofs tried");
    assert!(tried > 20_000, "{tried}");
}

/// The negative control: trees that are nearly right have other roots.
#[test]
fn a_tree_that_is_nearly_right_would_be_found_out() {
    let history = History::live(&mut Random::new(1));
    let (root, entries) = (history.roots.last().unwrap(), history.versions.last().unwrap());
    let hashes = hashed(entries);
    let mut changed = hashes.clone();
    *changed.values_mut().next().unwrap() = [0; 32];
    assert_ne!(definition::root(&changed), root.to_bytes(), "another value");
    changed = hashes.clone();
    changed.pop_last();
    assert_ne!(definition::root(&changed), root.to_bytes(), "an entry less");
    // Values that were not hashed, as another reading of the definition has it.
    let plain = entries.iter().map(|(key, record)| {
        let mut value = record.to_bytes();
        value.resize(32, 0);
        (key.hash(), value.try_into().unwrap())
    });
    assert_ne!(definition::root(&plain.collect()), root.to_bytes(), "values as they are");
    let earlier = &history.roots[history.roots.len() - 2];
    let key = history.keys.iter().find(|key| entries.contains_key(key)).unwrap();
    let (record, proof) = prove(&history.state, VERSIONS - 1, key).unwrap();
    assert!(proof.verify_present(earlier, key, &record.unwrap()).is_err(), "the root of an earlier version");
}
