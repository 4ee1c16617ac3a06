//! The ledger's rules against a slow model that is plain to read: maps, and one rule after another, as
//! `docs/protocol.md` words them. Random transactions, most of them nearly right, in random blocks: the same verdict on
//! each, with the same code, and the same state, price and validators after each block.

mod model;
mod people;

use ct_merkle::mem_backed_tree::MemoryBackedTree;
use model::Model;
use people::People;
use sealpost_ledger::block::{BLOCK_VERSION, Block, Header, history_leaf};
use sealpost_ledger::certificate::{CommitCertificate, CommitSignature, VoteKind, vote_digest};
use sealpost_ledger::chain::{BlockError, Tip, VerifiedBlock, VerifyError, propose, verify_block};
use sealpost_ledger::execution::Refusal;
use sealpost_ledger::hash::{HistoryRoot, StateRoot, TransactionRoot, ValidatorsHash};
use sealpost_ledger::membership::MemberStatus;
use sealpost_ledger::postage::next_price;
use sealpost_ledger::state::MemoryState;
use sealpost_ledger::transaction::VerifiedTransaction;
use sealpost_tests::harness::random::Random;
use sha2::Sha256;
use std::collections::BTreeMap;

const CHAINS: u64 = 6;
const BLOCKS: u64 = 60;

/// The ledger and the model side by side.
struct Both {
    tip: Tip,
    state: MemoryState,
    model: Model,
    people: People,
    /// Hashes of all blocks, in a tree of another's making.
    history: MemoryBackedTree<Sha256, Vec<u8>>,
}

/// How often each verdict was reached.
type Verdicts = BTreeMap<&'static str, u64>;

impl Both {
    fn begin(random: &mut Random) -> Self {
        let people = People::found(random);
        let (tip, first) = Tip::genesis(people.genesis.clone()).unwrap();
        let mut state = MemoryState::default();
        state.apply(&first.update, &first.changes);
        let model = Model::begin(&people.genesis);
        let both = Self { tip, state, model, people, history: MemoryBackedTree::new() };
        both.compare();
        both
    }
    /// State, price and validators are the same.
    fn compare(&self) {
        assert_eq!(self.tip.state_root().to_bytes(), self.model.state_root(), "height {}", self.tip.height());
        assert_eq!(self.tip.price(), self.model.price);
        assert_eq!(self.tip.validators().validators(), self.model.validators);
        let pending = self.tip.scheduled().map(|s| (s.validators.validators().to_vec(), s.effective.get()));
        assert_eq!(pending, self.model.pending);
        assert_eq!(self.tip.height().get(), self.model.height);
    }
    /// The header of a block of these, as the model has it. What is refused leaves nothing behind.
    fn header(&self, transactions: &[VerifiedTransaction]) -> (Header, Model, Vec<Result<(), &'static str>>) {
        let mut after = self.model.clone();
        let verdicts: Vec<_> = transactions.iter().map(|transaction| after.add(transaction)).collect();
        let mut leaves = MemoryBackedTree::<Sha256, Vec<u8>>::new();
        for (transaction, _) in transactions.iter().zip(&verdicts).filter(|(_, verdict)| verdict.is_ok()) {
            leaves.push(transaction.signed().to_bytes());
        }
        after.end_block();
        let root = |root: &[u8]| <[u8; 32]>::try_from(root).unwrap();
        let header = Header {
            version: BLOCK_VERSION,
            chain: self.people.genesis.chain_id(),
            height: self.tip.next_height(),
            time_ms: self.tip.time_ms() + 10,
            parent: self.tip.block(),
            transaction_count: leaves.len() as u32,
            tx_root: TransactionRoot::from_bytes(root(leaves.root().as_bytes())),
            history_root: HistoryRoot::from_bytes(root(self.history.root().as_bytes())),
            state_root: StateRoot::from_bytes(after.state_root()),
            validators_hash: ValidatorsHash::from_bytes(self.model.validators_hash()),
            next_validators_hash: ValidatorsHash::from_bytes(after.validators_hash()),
            postage_price: self.model.price,
            proposer: self.model.validators[0].key,
        };
        (header, after, verdicts)
    }
    /// Makes a block of some of these, and makes it final.
    fn block(&mut self, candidates: &[VerifiedTransaction], random: &mut Random, verdicts: &mut Verdicts) {
        let (header, after, expected) = self.header(candidates);
        let proposer = header.proposer;
        let made = propose(&self.tip, &self.state, candidates.to_vec(), header.time_ms, proposer).unwrap();
        // One by one: the same are taken, and refused is what has no place even alone.
        let mut refused = made.refused.iter();
        let mut taken = made.block.block().transactions().iter();
        for (candidate, verdict) in candidates.iter().zip(&expected) {
            match verdict {
                Ok(()) => assert_eq!(taken.next().map(|one| one.id()), Some(candidate.id()), "taken"),
                // Waits for another block, and nobody is told.
                Err("tx.block_full") => {}
                Err(_) => {
                    let (_, _, alone) = self.header(std::slice::from_ref(candidate));
                    if let Err(code) = alone[0] {
                        let (id, refusal) = refused.next().expect("a refusal");
                        assert_eq!((*id, refusal.code()), (candidate.id(), code), "{candidate:?}");
                    }
                }
            }
            *verdicts.entry(verdict.err().unwrap_or("taken")).or_default() += 1;
        }
        assert!(refused.next().is_none() && taken.next().is_none());
        assert_eq!(made.block.block().header(), &header, "the header");
        self.wrong_blocks(&header, candidates, &expected, random, verdicts);
        let block = made.block.block().as_ref().clone();
        let verified = verify_block(&self.tip, &self.state, block, Some(header.time_ms)).unwrap();
        self.go_on(verified, after);
    }
    /// Blocks that somebody else might have made: of all candidates, good and bad, or with one field changed.
    fn wrong_blocks(
        &self,
        header: &Header,
        candidates: &[VerifiedTransaction],
        expected: &[Result<(), &'static str>],
        random: &mut Random,
        verdicts: &mut Verdicts,
    ) {
        let block = |header: Header, transactions: &[&VerifiedTransaction]| {
            let bodies = transactions.iter().filter_map(|one| one.body().cloned()).collect();
            Block::new(header, transactions.iter().map(|one| one.signed().clone()).collect(), bodies)
        };
        let verdict = |block: Block| verify_block(&self.tip, &self.state, block, Some(header.time_ms));
        // All of them, with a root for as many: refused at the first that the model refuses.
        let all: Vec<_> = candidates.iter().collect();
        let mut leaves = MemoryBackedTree::<Sha256, Vec<u8>>::new();
        all.iter().for_each(|one| leaves.push(one.signed().to_bytes()));
        let tx_root = TransactionRoot::from_bytes(leaves.root().as_bytes().as_slice().try_into().unwrap());
        let whole = Header { transaction_count: all.len() as u32, tx_root, ..header.clone() };
        let found = verdict(block(whole, &all));
        match expected.iter().enumerate().find_map(|(index, verdict)| Some((index, verdict.err()?))) {
            None => drop(found.unwrap()),
            Some((index, code)) => match found.map(|block| block.block().hash()) {
                Err(VerifyError::Invalid(BlockError::Refused { index: at, source })) => {
                    assert_eq!((at, Refusal::code(&source)), (index, code));
                    *verdicts.entry("block refused for a transaction").or_default() += 1;
                }
                other => panic!("transaction {index}, {code}: {other:?}"),
            },
        }
        // The good ones, under a header with one field that the chain does not have.
        let good = candidates.iter().zip(expected).filter(|(_, verdict)| verdict.is_ok());
        let good: Vec<_> = good.map(|(one, _)| one).collect();
        for field in 0..13 {
            let mut wrong = header.clone();
            let byte = |bytes: [u8; 32], random: &mut Random| {
                let mut bytes = bytes;
                bytes[random.below(32)] ^= 1 << random.below(8);
                bytes
            };
            match field {
                0 => wrong.version += 1,
                1 => wrong.chain = sealpost_ledger::hash::ChainId::from_bytes([9; 32]),
                2 => wrong.height = wrong.height.saturating_add(1),
                3 => wrong.time_ms = self.tip.time_ms().wrapping_sub(1),
                4 => wrong.parent = sealpost_ledger::hash::BlockHash::from_bytes([9; 32]),
                5 => wrong.transaction_count += 1,
                6 => wrong.tx_root = TransactionRoot::from_bytes(byte(wrong.tx_root.to_bytes(), random)),
                7 => {
                    wrong.history_root = HistoryRoot::from_bytes(byte(wrong.history_root.to_bytes(), random))
                }
                8 => wrong.state_root = StateRoot::from_bytes(byte(wrong.state_root.to_bytes(), random)),
                9 => wrong.validators_hash = ValidatorsHash::from_bytes([9; 32]),
                10 => wrong.next_validators_hash = ValidatorsHash::from_bytes([9; 32]),
                11 => wrong.postage_price += 1,
                _ => wrong.proposer = self.people.nobody(),
            }
            assert!(verdict(block(wrong, &good)).is_err(), "field {field} of the header is wrong");
            *verdicts.entry("block refused for its header").or_default() += 1;
        }
        if !good.is_empty() {
            let mut fewer = good.clone();
            fewer.remove(random.below(good.len()));
            assert!(verdict(block(header.clone(), &fewer)).is_err(), "a transaction less");
            *verdicts.entry("block refused for what it holds").or_default() += 1;
        }
        if good.len() > 1 {
            let mut turned = good.clone();
            turned.rotate_left(1);
            assert!(verdict(block(header.clone(), &turned)).is_err(), "another order");
            *verdicts.entry("block refused for what it holds").or_default() += 1;
        }
    }
    fn go_on(&mut self, verified: VerifiedBlock, after: Model) {
        let (height, hash) = (verified.block().height(), verified.block().hash());
        let chain = self.people.genesis.chain_id();
        let digest = vote_digest(&chain, VoteKind::Precommit, height, 0, Some(&hash));
        let sign = |(position, validator): (usize, &sealpost_ledger::validator::Validator)| CommitSignature {
            validator: position as u16,
            signature: self.people.key_of(&validator.key).sign(&digest, &[0; 32]).unwrap(),
        };
        let signatures = self.model.validators.iter().enumerate().map(sign).collect();
        let certificate = CommitCertificate { height, round: 0, block: hash, signatures };
        let committed = verified.commit(certificate).unwrap();
        if let Some(update) = committed.verified().update() {
            self.state.apply(update, committed.verified().changes());
        }
        self.state.add_transactions(committed.block());
        self.tip = committed.tip().clone();
        self.history.push(hash.as_bytes().to_vec());
        assert_eq!(
            self.tip.history().root().as_slice(),
            self.history.root().as_bytes().as_slice(),
            "the leaf of a block is {:?}",
            history_leaf(&hash)
        );
        self.model = after;
        self.compare();
    }
}

#[test]
fn the_ledger_does_what_the_model_does() {
    let mut verdicts = Verdicts::new();
    for chain in 0..CHAINS {
        let mut random = Random::new(340 + chain);
        let mut both = Both::begin(&mut random);
        for _ in 0..BLOCKS {
            let count = random.below(24);
            let candidates = both.people.make(&both.model, count, &mut random);
            both.block(&candidates, &mut random, &mut verdicts);
        }
    }
    for (verdict, count) in &verdicts {
        println!("{count:>6} {verdict}");
    }
    let count = |verdict: &str| verdicts.get(verdict).copied().unwrap_or(0);
    assert!(count("taken") > 500, "{verdicts:?}");
    // Every rule that a transaction can break was broken.
    for code in [
        "approval.signature",
        "approval.too_few",
        "bundle.already_revoked",
        "bundle.expired",
        "bundle.revoked_in_the_past",
        "bundle.sequence",
        "bundle.unknown",
        "member.superseded",
        "member.unchanged",
        "receipt.already_answered",
        "receipt.not_recipient",
        "receipt.sealed_slot",
        "receipt.unknown_message",
        "receipt.unknown_slot",
        "receipt.wrong_secret",
        "tx.block_full",
        "tx.expired",
        "tx.expiry_too_far",
        "tx.postage_too_low",
        "tx.repeated",
        "tx.too_long",
        "validator.change_pending",
        "validator.effective",
        "validator.no_set",
        "validator.unchanged",
    ] {
        assert!(count(code) > 0, "nothing was refused for {code}: {verdicts:?}");
    }
    assert!(count("block refused for its header") == CHAINS * BLOCKS * 13);
}

/// The negative control: models that forget one rule each. Each has to disagree with the ledger before long.
#[test]
fn a_model_that_forgets_a_rule_is_found_out() {
    for forgotten in model::RULES {
        let noticed = (0..30).any(|seed| {
            let mut random = Random::new(seed);
            let mut both = Both::begin(&mut random);
            both.model.forgotten = Some(forgotten);
            for _ in 0..20 {
                let candidates = both.people.make(&both.model, 40, &mut random);
                let (header, after, _) = both.header(&candidates);
                let made =
                    propose(&both.tip, &both.state, candidates, header.time_ms, header.proposer).unwrap();
                if *made.block.block().header() != header || made.block.tip().price() != after.price {
                    return true;
                }
                both.go_on(made.block, after);
            }
            false
        });
        assert!(noticed, "nobody notices a model without the rule of {forgotten}");
    }
}

/// What the protocol page says in a sentence each, and chance meets too rarely.
#[test]
fn a_change_that_is_announced_and_a_member_of_the_same_block_are_as_the_model_has_them() {
    let (mut random, mut verdicts) = (Random::new(1), Verdicts::new());
    // Where something has to be paid.
    let mut both =
        std::iter::repeat_with(|| Both::begin(&mut random)).find(|both| both.model.price > 1).unwrap();
    // Announced by block 2, which takes no other one; block 3 does.
    let sets = [&[0, 1, 2, 4][..], &[0, 1, 2, 5], &[0, 1, 2, 3]];
    for (set, expected) in sets.into_iter().zip([Ok(()), Err("validator.change_pending"), Ok(())]) {
        let height = both.model.height + 1;
        let change = both.people.change_to(&both.model, set, if height == 1 { 3 } else { height + 1 });
        assert_eq!(both.header(std::slice::from_ref(&change)).2, [expected], "block {height}");
        both.block(&[change], &mut random, &mut verdicts);
    }
    // A stranger has no quota, and has one behind the change that makes a member of them; then no more.
    let stranger = 3;
    let (admitted, ended) = (MemberStatus::Admitted, MemberStatus::Ended);
    let free = |both: &Both, number| both.people.unpaid(&both.model, stranger, number);
    let becomes = |both: &Both, status, later| both.people.status_of(&both.model, stranger, status, later);
    let refused = Err("tx.postage_too_low");
    let story = [
        free(&both, 1),
        becomes(&both, admitted, 4),
        free(&both, 2),
        becomes(&both, ended, 5),
        free(&both, 3),
    ];
    assert_eq!(both.header(&story).2, [refused, Ok(()), Ok(()), Ok(()), refused]);
    both.block(&story, &mut random, &mut verdicts);
}

/// The highest price there is stays the highest.
#[test]
fn a_price_goes_as_high_as_its_number_and_no_higher() {
    let people = People::found(&mut Random::new(1));
    let mut model = Model::begin(&people.genesis);
    let floor = people.genesis.postage().floor;
    for price in [0, 1, u64::MAX / 2, u64::MAX / 9 * 8, u64::MAX - 1, u64::MAX] {
        for (used, room) in
            [(0, 65_536), (32_768, 65_536), (32_769, 65_536), (65_536, 65_536), (5, 5), (3, 5), (0, 0)]
        {
            model.price = price;
            assert_eq!(
                next_price(price, used, room, floor),
                model.moved(used, room),
                "{price} {used} {room}"
            );
        }
    }
    model.price = u64::MAX;
    assert_eq!(model.moved(65_536, 65_536), u64::MAX);
}
