//! What a validator takes for its own, and what becomes of blocks that come early. Everything is signed as it should be.
#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

use super::*;
use crate::consensus::context::{Proposal, Vote};
use crate::consensus::engine::{NilOrVal, Signer, Verifier, VoteType};
use crate::consensus::max_block_bytes;
use crate::consensus::testing::{genesis, key, key_bundle, validator_set, validators_change};
use crate::store::{ProposedBlock, Store, StoreOptions, testing::Chain};
use futures::FutureExt;
use sealpost_ledger::genesis::Genesis;
use sealpost_ledger::transaction::VerifiedTransaction;
use std::path::Path;
use tempfile::TempDir;

const SEEDS: [u8; 4] = [1, 2, 3, 4];
const NOW_MS: u64 = 1_700_000_100_000;
const FIRST: Height = Height(BlockHeight::FIRST);

/// A mempool.
struct Waiting(Vec<VerifiedTransaction>);

impl Pool for Waiting {
    fn candidates(&self, _: usize, _: usize) -> Vec<VerifiedTransaction> {
        self.0.clone()
    }
    fn waiting(&self, _: Vec<TransactionId>) -> Vec<VerifiedTransaction> {
        Vec::new()
    }
}

const EMPTY: Waiting = Waiting(Vec::new());

/// Four validators, each with a disk, and nothing between them but what a test carries.
struct Net {
    genesis: Genesis,
    homes: Vec<TempDir>,
}

impl Net {
    fn new() -> Self {
        let homes = SEEDS.map(|_| tempfile::tempdir().unwrap());
        Self { genesis: genesis(&SEEDS.map(key)), homes: homes.into() }
    }
    fn signer(&self, seed: u8) -> VoteSigner {
        VoteSigner::new(self.genesis.chain_id(), Arc::new(key(seed)))
    }
    fn verifier(&self) -> VoteVerifier {
        VoteVerifier::new(self.genesis.chain_id())
    }
    /// The validator whose turn a round is, by the validators of the genesis.
    fn turn(&self, height: Height, round: u32) -> u8 {
        let validators = Validators::new(self.genesis.validators());
        let proposer = validators.proposer(height, Round::new(round)).unwrap().address();
        SEEDS.into_iter().find(|seed| key(*seed).public_key() == proposer.0).unwrap()
    }
    /// A validator's process starts.
    fn start(&self, seed: u8) -> Application<Store> {
        self.start_with(seed, self.verifier())
    }
    /// The same, with what its engine checks proposals by.
    fn start_with(&self, seed: u8, verifier: VoteVerifier) -> Application<Store> {
        let home = self.homes[usize::from(seed) - 1].path();
        let disk = Store::open(home, Arc::new(self.genesis.clone()), StoreOptions::default()).unwrap().0;
        let limit = max_block_bytes(self.genesis.limits().block_bytes);
        Application::new(disk, self.signer(seed), verifier, limit)
    }
    /// A transaction that may stand in any block here.
    fn candidate(&self) -> VerifiedTransaction {
        key_bundle(&self.genesis, &key(99), 1, BlockHeight::new(500))
    }
    fn certificate(&self, height: Height, block: BlockHash) -> CommitCertificate<Sealpost> {
        let votes = SEEDS.map(|seed| {
            let (kind, round, voter) = (VoteType::Precommit, Round::ZERO, Address(key(seed).public_key()));
            let vote = Vote { kind, height, round, block: NilOrVal::Val(block), voter };
            self.signer(seed).sign_vote(vote).now_or_never().unwrap().unwrap()
        });
        CommitCertificate::new(height, Round::ZERO, block, votes.into())
    }
    /// Makes a block final at these validators, who have only heard that it is.
    fn decide(&self, block: &Block, at: &mut [&mut Application<Store>]) {
        for application in at {
            let height = application.next_height();
            let bytes = block.to_bytes();
            let proposer = Address(block.header().proposer);
            application.check_synced(height, Round::ZERO, proposer, &bytes, &EMPTY).unwrap();
            application.commit(&self.certificate(height, block.hash()), &EMPTY).unwrap().unwrap();
        }
    }
}

/// An empty block on a validator's tip that names somebody as who made it.
fn empty(application: &Application<Store>, named: u8, time_ms: u64) -> Block {
    let proposer = key(named).public_key();
    let proposal = chain::propose(application.tip(), application.disk(), [], time_ms, proposer).unwrap();
    proposal.block.block().as_ref().clone()
}

/// What is sent reaches a validator, in order. What it makes of the block, if that comes whole and for its height.
fn send(parts: Parts, to: &mut Application<Store>) -> Option<ProposedValue<Sealpost>> {
    let received = parts.into_iter().map(|part| to.receive(&[9], part));
    let assembled = received.filter_map(|received| received.assembled).last()?;
    to.judge(assembled, &EMPTY, NOW_MS).unwrap()
}

fn begin(application: &mut Application<Store>) -> Vec<ProposedValue<Sealpost>> {
    let height = application.next_height();
    application.start_round(height, Round::ZERO, &EMPTY, NOW_MS).unwrap()
}

/// What a validator proposes when it is asked, with a transaction in its mempool.
fn proposes(application: &mut Application<Store>, waiting: &VerifiedTransaction) -> Arc<Block> {
    let (height, pool) = (application.next_height(), Waiting(vec![waiting.clone()]));
    application.block_to_propose(height, &pool, NOW_MS).unwrap().unwrap().block
}

fn contains(block: &Block, transaction: &VerifiedTransaction) -> bool {
    block.transactions().iter().any(|found| found.id() == transaction.id())
}

/// Whoever has a later turn could else fill the earlier ones of others with blocks of its own choice.
#[test]
fn a_block_that_another_sends_in_this_nodes_name_is_not_taken_for_its_own() {
    let net = Net::new();
    let (mine, liars) = (net.turn(FIRST, 0), net.turn(FIRST, 1));
    let (mut node, mut liar, waiting) = (net.start(mine), net.start(liars), net.candidate());
    begin(&mut node);
    let forged = empty(&liar, mine, NOW_MS);
    let parts = liar.stream(FIRST, Round::new(1), Round::Nil, &forged);
    assert!(send(parts, &mut node).is_none(), "it says nothing about the block, and gives none");
    // Put forward again, as one that two thirds want, it may be anybody's, and is no more this node's own.
    let again = empty(&liar, mine, NOW_MS + 1);
    let parts = liar.stream(FIRST, Round::new(1), Round::new(0), &again);
    let value = send(parts, &mut node).unwrap();
    assert_eq!((value.validity, value.value.0), (Validity::Valid, again.hash()));
    let own = proposes(&mut node, &waiting);
    assert!(contains(&own, &waiting) && ![forged.hash(), again.hash()].contains(&own.hash()));
    drop(node);
    let mut node = net.start(mine);
    begin(&mut node);
    assert_eq!(proposes(&mut node, &waiting), own, "one block for a height, also after a restart");
}

/// The same, sent before the height has begun.
#[test]
fn a_block_that_comes_early_in_this_nodes_name_is_not_taken_for_its_own() {
    let net = Net::new();
    let second = Height(BlockHeight::new(2));
    let (mine, liars) = (net.turn(second, 0), net.turn(second, 1));
    let (mut node, mut liar, waiting) = (net.start(mine), net.start(liars), net.candidate());
    let first = empty(&liar, liars, NOW_MS);
    net.decide(&first, &mut [&mut liar]);
    let forged = [0, 1].map(|after| empty(&liar, mine, NOW_MS + after));
    for (block, valid_round) in forged.iter().zip([Round::Nil, Round::new(0)]) {
        let parts = liar.stream(second, Round::new(1), valid_round, block);
        assert!(send(parts, &mut node).is_none(), "it is of the next height");
    }
    net.decide(&first, &mut [&mut node]);
    let early: Vec<_> = begin(&mut node).iter().map(|value| value.value.0).collect();
    assert_eq!(early, [forged[1].hash()], "nobody proposes a new block that another has made");
    let kept = node.disk().proposals_at(second.0);
    assert_eq!(kept, [ProposedBlock { block: forged[1].clone(), round: 1, maker: Maker::Other }]);
    drop(node);
    // It is on the disk when the process starts again.
    let mut node = net.start(mine);
    begin(&mut node);
    let own = proposes(&mut node, &waiting);
    assert!(contains(&own, &waiting) && own.hash() != forged[1].hash());
}

/// Whether a validator's engine takes a proposal by somebody whose turn the round is.
fn is_heard(net: &Net, verifier: &VoteVerifier, round: u32, block: &Block, valid_round: Round) -> bool {
    let (seed, value) = (net.turn(FIRST, round), BlockValue(block.hash()));
    let proposer = Address(key(seed).public_key());
    let proposal = Proposal { height: FIRST, round: Round::new(round), value, valid_round, proposer };
    let signed = net.signer(seed).sign_proposal(proposal).now_or_never().unwrap().unwrap();
    let checked = verifier.verify_signed_proposal(&signed.message, &signed.signature, &proposer.0);
    checked.now_or_never().unwrap().unwrap().is_valid()
}

fn start_round(application: &mut Application<Store>, round: u32) -> Vec<BlockHash> {
    let values = application.start_round(FIRST, Round::new(round), &EMPTY, NOW_MS).unwrap();
    values.iter().map(|value| value.value.0).collect()
}

/// A block in another's name, opened as one that is wanted since an earlier round, and signed as a new one: nobody would
/// ask whether two thirds have ever wanted it, and whom it names would have the blame for it. The engine pairs the two
/// whatever their rounds.
#[test]
fn a_block_in_anothers_name_that_is_here_is_new_in_no_round() {
    let net = Net::new();
    for (named, opened, proposed) in [(0, 1, 1), (1, 4, 0), (0, 1, 5), (0, 2, 3)] {
        let (names, opens) = (net.turn(FIRST, named), net.turn(FIRST, opened));
        let third = SEEDS.into_iter().find(|seed| ![names, opens].contains(seed)).unwrap();
        let (mut liar, verifier) = (net.start(opens), net.verifier());
        let block = empty(&liar, names, NOW_MS + u64::from(opened + proposed));
        let parts = liar.stream(FIRST, Round::new(opened), Round::new(opened - 1), &block);
        let mut node = net.start_with(third, verifier.clone());
        begin(&mut node);
        assert!(send(parts, &mut node).is_some());
        assert!(!is_heard(&net, &verifier, proposed, &block, Round::Nil));
        assert!(is_heard(&net, &verifier, named, &block, Round::Nil), "whom it names may have made it");
        // Whether two thirds have wanted it is for the engine to see.
        assert!(is_heard(&net, &verifier, opened, &block, Round::new(opened - 1)));
        drop(node);
        // The block is on the disk when the process starts again.
        let verifier = net.verifier();
        assert!(begin(&mut net.start_with(third, verifier.clone())).len() == 1);
        assert!(!is_heard(&net, &verifier, proposed, &block, Round::Nil));
        std::fs::remove_dir_all(net.homes[usize::from(third) - 1].path()).unwrap();
    }
}

/// The same, in the other order. That the proposal is a lie shows when the block is there; the engine has it by then.
#[test]
fn a_block_that_was_proposed_in_anothers_name_comes_when_no_vote_can_come_of_it() {
    let net = Net::new();
    for (named, opened, proposed) in [(1, 4, 0), (0, 1, 1), (0, 1, 5), (0, 2, 3)] {
        let (names, opens) = (net.turn(FIRST, named), net.turn(FIRST, opened));
        let third = SEEDS.into_iter().find(|seed| ![names, opens].contains(seed)).unwrap();
        let (mut liar, verifier) = (net.start(opens), net.verifier());
        let block = empty(&liar, names, NOW_MS + u64::from(opened + proposed));
        let mut node = net.start_with(third, verifier.clone());
        begin(&mut node);
        assert!(is_heard(&net, &verifier, proposed, &block, Round::Nil));
        // That somebody signs two is seen by the engine, which keeps both as proof.
        assert!(is_heard(&net, &verifier, proposed, &block, Round::ZERO));
        let parts = liar.stream(FIRST, Round::new(opened), Round::new(opened - 1), &block);
        assert!(send(parts, &mut node).is_none());
        // Opened by another it waits as well: that one may lie for him.
        let again = (4..8).find(|round| ![names, opens, third].contains(&net.turn(FIRST, *round))).unwrap();
        let mut helper = net.start(net.turn(FIRST, again));
        let parts = helper.stream(FIRST, Round::new(again), Round::new(again - 1), &block);
        assert!(send(parts, &mut node).is_none());
        // Nor does he have it wait for longer now.
        let later = proposed + 4;
        assert_eq!(net.turn(FIRST, later), net.turn(FIRST, proposed));
        assert!(!is_heard(&net, &verifier, later, &block, Round::Nil));
        for round in 1..=proposed {
            assert!(start_round(&mut node, round).is_empty(), "round {round}");
        }
        assert!(node.disk().proposals_at(FIRST.0).is_empty());
        assert_eq!(start_round(&mut node, proposed + 1), [block.hash()]);
        assert!(start_round(&mut node, proposed + 2).is_empty());
        drop(node);
        std::fs::remove_dir_all(net.homes[usize::from(third) - 1].path()).unwrap();
    }
}

/// Else whoever hears of a block early could have all others do without it.
#[test]
fn a_lie_about_a_block_keeps_nobody_from_having_it_from_its_maker() {
    let net = Net::new();
    let (first, second, opens) = (net.turn(FIRST, 0), net.turn(FIRST, 1), net.turn(FIRST, 2));
    let third = net.turn(FIRST, 3);
    let (mut maker, mut other, verifier) = (net.start(first), net.start(opens), net.verifier());
    let mut node = net.start_with(third, verifier.clone());
    begin(&mut node);
    let block = empty(&maker, first, NOW_MS);
    assert!(is_heard(&net, &verifier, 1, &block, Round::Nil));
    assert_ne!(second, opens);
    assert!(send(other.stream(FIRST, Round::new(2), Round::ZERO, &block), &mut node).is_none());
    let value = send(maker.stream(FIRST, Round::ZERO, Round::Nil, &block), &mut node).unwrap();
    assert_eq!((value.validity, value.value.0), (Validity::Valid, block.hash()));
    drop(node);
    // A vote may have come of the lie, and the engine must come to it again when it goes through its log.
    let verifier = net.verifier();
    let mut node = net.start_with(third, verifier.clone());
    assert_eq!(begin(&mut node).len(), 1);
    assert!(is_heard(&net, &verifier, 1, &block, Round::Nil));
}

/// An opening of one's own can be put before a block of somebody else's: that must not count against the block.
#[test]
fn a_block_behind_anothers_opening_is_as_good_as_before_behind_its_makers() {
    let net = Net::new();
    let (first, second) = (net.turn(FIRST, 0), net.turn(FIRST, 1));
    let third = SEEDS.into_iter().find(|seed| ![first, second].contains(seed)).unwrap();
    let (mut maker, mut liar, mut node) = (net.start(first), net.start(second), net.start(third));
    let block = empty(&maker, first, NOW_MS);
    assert!(send(liar.stream(FIRST, Round::new(1), Round::Nil, &block), &mut node).is_none());
    let value = send(maker.stream(FIRST, Round::ZERO, Round::Nil, &block), &mut node).unwrap();
    assert_eq!((value.validity, value.value.0), (Validity::Valid, block.hash()));
}

/// The engine has two places in each round. Blocks for later rounds must not take those of the first one's proposer.
#[test]
fn early_blocks_are_handed_over_in_the_rounds_they_came_in() {
    let net = Net::new();
    let second = Height(BlockHeight::new(2));
    let (early, mine) = (net.turn(second, 1), net.turn(second, 2));
    let (mut ahead, mut node) = (net.start(early), net.start(mine));
    let first = empty(&ahead, early, NOW_MS);
    net.decide(&first, &mut [&mut ahead]);
    for after in [0, 1] {
        let block = empty(&ahead, early, NOW_MS + after);
        assert!(send(ahead.stream(second, Round::new(1), Round::Nil, &block), &mut node).is_none());
    }
    net.decide(&first, &mut [&mut node]);
    let rounds = |values: Vec<ProposedValue<Sealpost>>| -> Vec<_> {
        values.iter().map(|value| (value.round, value.proposer.0)).collect()
    };
    let expected = [(Round::new(1), key(early).public_key()); 2];
    assert_eq!(rounds(begin(&mut node)), expected);
    drop(node);
    // As they are after a restart, when they come from the disk.
    let mut node = net.start(mine);
    assert_eq!(rounds(begin(&mut node)), expected);
}

/// Others may be two heights ahead while a node waits between two: what it is told then is not told again.
#[test]
fn early_blocks_are_there_when_their_height_begins() {
    let net = Net::new();
    let heights = [1, 2, 3].map(|height| Height(BlockHeight::new(height)));
    let makers = heights.map(|height| net.turn(height, 0));
    let mine = SEEDS.into_iter().find(|seed| !makers.contains(seed)).unwrap();
    let mut maker = net.start(makers[0]);
    let blocks = makers.map(|named| {
        let block = empty(&maker, named, NOW_MS);
        net.decide(&block, &mut [&mut maker]);
        block
    });
    drop(maker);
    let sent = |place: usize| {
        net.start(makers[place]).stream(heights[place], Round::ZERO, Round::Nil, &blocks[place])
    };
    let (second, third) = (sent(1), sent(2));
    let mut node = net.start(mine);
    begin(&mut node);
    assert!(send(second, &mut node).is_none() && !node.has_begun_elsewhere());
    net.decide(&blocks[0], &mut [&mut node]);
    assert!(node.has_begun_elsewhere(), "there is nothing to wait for");
    // The next height has not begun here, and those after it have come.
    assert!(send(third, &mut node).is_none());
    let hashes = |values: Vec<ProposedValue<Sealpost>>| -> Vec<_> {
        values.iter().map(|value| value.value.0).collect()
    };
    assert_eq!(hashes(begin(&mut node)), [blocks[1].hash()]);
    net.decide(&blocks[1], &mut [&mut node]);
    assert_eq!(hashes(begin(&mut node)), [blocks[2].hash()]);
}

/// The engine has others send again what they are locked on. Only its proposer can open it.
#[test]
fn a_block_that_another_sends_again_comes_behind_its_proposers_opening() {
    let net = Net::new();
    let (first, second) = (net.turn(FIRST, 0), net.turn(FIRST, 1));
    let third = SEEDS.into_iter().find(|seed| ![first, second].contains(seed)).unwrap();
    let (mut maker, mut other, mut late) = (net.start(first), net.start(second), net.start(third));
    let block = proposes(&mut maker, &net.candidate());
    let parts = maker.stream(FIRST, Round::ZERO, Round::Nil, &block);
    assert!(send(parts, &mut other).is_some());
    let proposer = Address(key(first).public_key());
    let again = other.restream(FIRST, Round::ZERO, Round::Nil, proposer, block.hash());
    let value = send(again, &mut late).unwrap();
    assert_eq!((value.value.0, value.proposer, value.round), (block.hash(), proposer, Round::ZERO));
    // Its own it opens itself, also in a later round.
    let again = maker.restream(FIRST, Round::new(4), Round::ZERO, proposer, block.hash());
    assert_eq!(send(again, &mut late).unwrap().valid_round, Round::ZERO);
    // What it has not heard of it can't send.
    let unheard = other.restream(FIRST, Round::new(4), Round::ZERO, proposer, block.hash());
    assert!(unheard.is_empty());
}

/// Blocks for the first round of the next height, from whoever has that turn only as long as the validators stay.
#[test]
fn early_blocks_of_a_proposer_who_loses_the_turn_are_dropped() {
    let net = Net::new();
    let second = Height(BlockHeight::new(2));
    // Without the first of them the turns of the others are different ones.
    let (early, leaves) = (net.turn(second, 0), net.turn(Height(BlockHeight::new(4)), 0));
    let remaining: Vec<u8> = SEEDS.into_iter().filter(|seed| *seed != leaves).collect();
    let to = validator_set(&remaining.iter().map(|seed| (*seed, 1)).collect::<Vec<_>>());
    let proposer = key(early).public_key();
    assert_ne!(Validators::new(&to).proposer(second, Round::ZERO).unwrap().address().0, proposer);
    let mine = remaining.into_iter().find(|seed| *seed != early).unwrap();
    let (mut ahead, mut node) = (net.start(early), net.start(mine));
    let change = validators_change(&net.genesis, net.genesis.validators(), &to, 2, &SEEDS);
    let made = chain::propose(ahead.tip(), ahead.disk(), [change], NOW_MS, proposer).unwrap();
    let first = made.block.block().as_ref().clone();
    assert_eq!(first.transactions().len(), 1);
    net.decide(&first, &mut [&mut ahead]);
    for after in [0, 1] {
        let block = empty(&ahead, early, NOW_MS + after);
        assert!(send(ahead.stream(second, Round::ZERO, Round::Nil, &block), &mut node).is_none());
    }
    assert_eq!(node.ahead.len(), 2, "the node does not know better yet");
    net.decide(&first, &mut [&mut node]);
    assert_eq!(begin(&mut node).len(), 0);
}

/// Whoever asks for old blocks must not be able to stop a validator whose disk has a bad place.
#[test]
fn a_final_block_that_cannot_be_read_ends_an_answer_and_nothing_else() {
    let (home, chain) = (tempfile::tempdir().unwrap(), Chain::new("worn"));
    let (store, _) = Store::open(home.path(), chain.genesis.clone(), StoreOptions::default()).unwrap();
    chain.grow(&store, 5);
    let damaged = BlockHeight::new(4);
    let body = store.block(damaged).unwrap().unwrap().bodies()[0].as_bytes().to_vec();
    flip(&home.path().join("journal").join("bodies-000001.log"), &body);
    let id = chain.genesis.chain_id();
    let (signer, verifier) = (VoteSigner::new(id, Arc::new(key(1))), VoteVerifier::new(id));
    let application = Application::new(store, signer, verifier, 1 << 20);
    let values = application.decided_values(&(FIRST..=Height(BlockHeight::new(5))));
    let heights: Vec<_> = values.iter().map(|value| value.certificate.height.0.get()).collect();
    assert_eq!(heights, [1, 2, 3]);
}

/// Changes the last byte of the last place where these bytes stand in a file.
fn flip(path: &Path, bytes: &[u8]) {
    let mut file = std::fs::read(path).unwrap();
    let start = file.windows(bytes.len()).rposition(|window| window == bytes).unwrap();
    file[start + bytes.len() - 1] ^= 1;
    std::fs::write(path, file).unwrap();
}
