//! What comes of parts, whoever sends them and in whatever order.
#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

use super::early::MAX_EARLY_BYTES;
use super::*;
use crate::consensus::signer::VoteSigner;
use crate::consensus::testing::{genesis, key, validator_set};
use sealpost_ledger::block::{BLOCK_VERSION, Header};
use sealpost_ledger::hash::{HistoryRoot, StateRoot, TransactionRoot};
use sealpost_ledger::message::Body;
use std::sync::Arc;

const HEIGHT: BlockHeight = BlockHeight::FIRST;
const NOW: Deciding = Deciding { height: HEIGHT, round: 0 };

struct Net {
    assembly: Assembly,
    validators: Validators,
    right: VoteSigner,
    wrong: VoteSigner,
}

impl Net {
    /// A part comes, under the name that it says.
    fn insert(&mut self, key: StreamKey, sequence: u64, part: &Part) -> Result<Option<Assembled>, PartError> {
        self.assembly.insert(key, sequence, part.clone(), NOW, &self.validators)
    }
    /// All parts of a block come, from a number on.
    fn insert_from(&mut self, first: usize, key: StreamKey, parts: &[Part]) -> Option<Assembled> {
        let parts = (0_u64..).zip(parts).skip(first);
        parts.filter_map(|(sequence, part)| self.insert(key, sequence, part).unwrap()).last()
    }
    fn unfinished(&self) -> usize {
        let opened = self.assembly.opened.values();
        opened.filter(|opened| matches!(opened.progress, Progress::Coming(_))).count()
    }
}

/// Two validators, who propose in turn; `right` has the even rounds of the first height.
fn net() -> Net {
    let genesis = genesis(&[key(1), key(2)]);
    let chain = genesis.chain_id();
    let validators = Validators::new(genesis.validators());
    let proposer = validators.proposer(Height(HEIGHT), Round::ZERO).unwrap().address();
    let signer = |n| VoteSigner::new(chain, Arc::new(key(n)));
    let (a, b) = (signer(1), signer(2));
    let (right, wrong) = if a.public_key() == proposer.0 { (a, b) } else { (b, a) };
    Net { assembly: Assembly::new(VoteVerifier::new(chain), 200_000), validators, right, wrong }
}

/// Of no bytes in particular, but as many as it says.
fn contents(length: u32) -> Contents {
    Contents { length, pieces: vec![[0; 32]; piece_count(length)] }
}

/// The opening of a block that has no bytes yet.
fn init(signer: &VoteSigner, height: BlockHeight, round: u32, block: u8, length: u32) -> (StreamKey, Part) {
    let block = BlockHash::from_bytes([block; 32]);
    let init = signer.sign_parts(Height(height), round, None, block, contents(length)).unwrap();
    (StreamKey::of(&init), Part::Init(init))
}

/// A block of this proposer that takes several pieces. Nobody here looks at what else it says.
fn block(proposer: &VoteSigner) -> Block {
    let genesis = genesis(&[key(1), key(2)]);
    let header = Header {
        version: BLOCK_VERSION,
        chain: genesis.chain_id(),
        height: HEIGHT,
        time_ms: 1,
        parent: BlockHash::from_bytes([1; 32]),
        transaction_count: 0,
        tx_root: TransactionRoot::from_bytes([2; 32]),
        history_root: HistoryRoot::from_bytes([3; 32]),
        state_root: StateRoot::from_bytes([4; 32]),
        validators_hash: genesis.validators().hash(),
        next_validators_hash: genesis.validators().hash(),
        postage_price: 0,
        proposer: proposer.public_key(),
    };
    let body: Vec<u8> = (0..150_000_u32).map(|n| (n / 250) as u8).collect();
    Block::new(header, Vec::new(), vec![Body::new(body)])
}

/// All that is sent for a block in a round, and under which name.
fn sent(signer: &VoteSigner, round: u32, valid_round: Option<u32>, block: &Block) -> (StreamKey, Vec<Part>) {
    let bytes = Bytes::from(block.to_bytes());
    let opened = signer.sign_parts(Height(HEIGHT), round, valid_round, block.hash(), Contents::of(&bytes));
    let init = opened.unwrap();
    let key = StreamKey::of(&init);
    let parts = parts(init, &bytes).into_iter().map(|message| {
        assert_eq!(StreamKey::from_id(&message.stream_id), Ok(key));
        message.content.as_data().unwrap().clone()
    });
    (key, parts.collect())
}

/// As long as a piece, and not what it was.
fn rubbish(part: &Part, with: u8) -> Part {
    match part {
        Part::Piece { bytes, last } => Part::Piece { bytes: vec![with; bytes.len()].into(), last: *last },
        opening => opening.clone(),
    }
}

#[test]
fn parts_in_any_order_make_the_block() {
    let mut net = net();
    let (key, parts) = sent(&net.right, 0, None, &block(&net.right));
    assert_eq!(parts.len(), 4);
    let mut done = None;
    for (sequence, part) in parts.iter().enumerate().rev() {
        assert_eq!(done, None);
        done = net.insert(key, sequence as u64, part).unwrap();
    }
    assert_eq!(done.unwrap().block, block(&net.right));
    assert_eq!(net.insert_from(0, key, &parts), None, "a block comes once");
    assert_eq!((net.unfinished(), net.assembly.early.bytes()), (0, 0));
}

/// Anybody who has heard an opening can send it again. What he puts behind it is no word of the proposer's, and
/// says nothing about the block.
#[test]
fn rubbish_behind_anothers_opening_is_refused_and_the_block_comes_all_the_same() {
    let mut net = net();
    let (key, parts) = sent(&net.right, 0, None, &block(&net.right));
    net.insert(key, 0, &parts[0]).unwrap();
    for (sequence, part) in (0..).zip(&parts).skip(1) {
        let refused = net.insert(key, sequence, &rubbish(part, 0));
        assert_eq!(refused, Err(PartError::Piece { sequence }));
        // Right ones under other numbers are no better, nor with another end.
        for wrong in [1, 2, 3, 4, 0].into_iter().filter(|wrong| *wrong != sequence) {
            assert_eq!(net.insert(key, wrong, part), Err(PartError::Piece { sequence: wrong }));
        }
        let Part::Piece { bytes, last } = part else { unreachable!() };
        let part = Part::Piece { bytes: bytes.clone(), last: !last };
        assert_eq!(net.insert(key, sequence, &part), Err(PartError::Piece { sequence }));
    }
    assert_eq!(net.insert_from(1, key, &parts).unwrap().block, block(&net.right));
}

/// Publishers can be made up without end, and what they send under the name of a block as well.
#[test]
fn a_flood_of_pieces_before_and_after_the_opening_costs_no_piece_of_the_block() {
    let mut net = net();
    let (key, parts) = sent(&net.right, 0, None, &block(&net.right));
    let tiny = Part::Piece { bytes: Bytes::from_static(b"x"), last: true };
    let flood = |net: &mut Net| {
        for n in 0..100_u8 {
            for (sequence, part) in (0..).zip(&parts).skip(1) {
                let _ = net.insert(key, sequence, &rubbish(part, n));
            }
            // Of blocks that there are not, in every round that is near.
            let key = StreamKey { round: u32::from(n) % 8, block: BlockHash::from_bytes([n; 32]), ..key };
            for sequence in 1..40 {
                net.insert(key, sequence, &tiny).unwrap();
            }
        }
    };
    for (sequence, part) in [(3, &parts[3]), (0, &parts[0])] {
        net.insert(key, sequence, part).unwrap();
        flood(&mut net);
    }
    assert_eq!(net.insert(key, 1, &parts[1]), Ok(None));
    flood(&mut net);
    assert_eq!(net.insert(key, 2, &parts[2]).unwrap().unwrap().block, block(&net.right));
    assert!(net.assembly.early.bytes() <= MAX_EARLY_BYTES);
}

#[test]
fn whoever_replays_an_opening_takes_no_place_of_others() {
    let mut net = net();
    let (key, parts) = sent(&net.right, 0, None, &block(&net.right));
    for sequence in 0..100 {
        net.insert(key, 0, &parts[0]).unwrap();
        let other = StreamKey { round: sequence, ..key };
        assert_eq!(net.insert(other, 0, &parts[0]).err(), (sequence != 0).then_some(PartError::Name));
    }
    assert_eq!(net.unfinished(), 1);
    assert_eq!(net.insert_from(1, key, &parts).unwrap().block, block(&net.right));
}

/// Else a proposer could have the same block cost the others twice, or never be complete at half of them.
#[test]
fn a_block_is_opened_in_one_way_in_a_round() {
    let mut net = net();
    let (key, parts) = sent(&net.right, 2, None, &block(&net.right));
    let (same, again) = sent(&net.right, 2, Some(1), &block(&net.right));
    assert_eq!(key, same);
    net.insert(key, 0, &parts[0]).unwrap();
    assert_eq!(net.insert(key, 0, &again[0]), Err(PartError::Otherwise { round: 2 }));
    // Another signature under the same words is nothing new.
    let (_, parts) = sent(&net.right, 2, None, &block(&net.right));
    assert_eq!(net.insert(key, 0, &parts[0]), Ok(None));
}

#[test]
fn an_opening_that_lies_about_its_block_gives_none() {
    let mut net = net();
    let bytes = Bytes::from(block(&net.right).to_bytes());
    let named = BlockHash::from_bytes([1; 32]);
    let opened = net.right.sign_parts(Height(HEIGHT), 0, None, named, Contents::of(&bytes)).unwrap();
    let (key, proposer) = (StreamKey::of(&opened), opened.proposer);
    let mut last = Ok(None);
    for message in parts(opened, &bytes) {
        last = net.insert(key, message.sequence, message.content.as_data().unwrap());
    }
    assert_eq!(last, Err(PartError::Content { block: named, proposer }));
    // Too few, and too many.
    for count in [0, 2, 4] {
        let contents = Contents { pieces: vec![[0; 32]; count], ..Contents::of(&bytes) };
        let opened = net.right.sign_parts(Height(HEIGHT), 0, None, named, contents).unwrap();
        let refused = net.insert(key, 0, &Part::Init(opened));
        assert_eq!(refused, Err(PartError::Pieces { found: count, expected: 3 }));
    }
}

/// Nobody makes a block in another's name. Two thirds may want one again that another has made.
#[test]
fn a_new_block_names_its_proposer_and_one_that_comes_again_anybody() {
    let mut net = net();
    let (key, parts) = sent(&net.right, 2, None, &block(&net.wrong));
    let mut last = Ok(None);
    for (sequence, part) in (0..).zip(&parts) {
        last = net.insert(key, sequence, part);
    }
    let (proposer, named) = (Address(net.right.public_key()), net.wrong.public_key());
    assert_eq!(last, Err(PartError::AnothersName { block: key.block, proposer, named }));
    let (key, parts) = sent(&net.right, 4, Some(1), &block(&net.wrong));
    assert_eq!(net.insert_from(0, key, &parts).unwrap().block, block(&net.wrong));
    // Whoever it names must have had a turn before.
    let (key, parts) = sent(&net.right, 6, Some(0), &block(&net.wrong));
    let last = (0..).zip(&parts).map(|(sequence, part)| net.insert(key, sequence, part)).last();
    assert_eq!(last, Some(Err(PartError::AnothersName { block: key.block, proposer, named })));
    // It has to have been wanted before.
    let (key, parts) = sent(&net.right, 8, Some(8), &block(&net.wrong));
    assert_eq!(net.insert(key, 0, &parts[0]), Err(PartError::ValidRound { round: 8, valid_round: 8 }));
}

#[test]
fn a_proposer_who_proposes_much_uses_up_nobody_elses_turns() {
    let (one, other) = (Address(key(1).public_key()), Address(key(2).public_key()));
    let mut budget = Budget::default();
    let admitted = (0..100).filter(|_| budget.admits(one)).count();
    assert_eq!(admitted, MAX_PER_PROPOSER);
    assert!(budget.admits(other));
}

#[test]
fn blocks_for_later_rounds_do_not_take_the_place_of_the_first() {
    let Net { right, validators, .. } = net();
    // The height after the next one is the same proposer's turn again.
    let later = Height(BlockHeight::new(3));
    let mut ahead = Ahead::default();
    let mut put = |round: u32| {
        let named = BlockHash::from_bytes([round as u8; 32]);
        let init = right.sign_parts(later, round, None, named, contents(10)).unwrap();
        let dropped = ahead.put(Assembled { init, block: block(&right) });
        dropped.iter().map(|key| key.round).collect::<Vec<_>>()
    };
    let dropped: Vec<_> = (1..=8).flat_map(&mut put).collect();
    assert_eq!(dropped, [5, 6, 7, 8]);
    assert_eq!(put(0), [4]);
    let rounds: Vec<u32> = ahead.0.iter().map(|assembled| assembled.init.round).collect();
    assert_eq!(rounds, [0, 1, 2, 3]);
    // Every second round is another's turn.
    let of_turn = ahead.take(later, &validators).into_iter().map(|assembled| assembled.init.round);
    assert_eq!(of_turn.collect::<Vec<_>>(), [0, 2]);
    assert_eq!(ahead.len(), 0);
}

#[test]
fn a_stream_not_opened_by_the_proposer_is_dropped() {
    let mut net = net();
    let (key, opening) = init(&net.wrong, HEIGHT, 0, 1, 10);
    assert_eq!(net.insert(key, 0, &opening), Err(PartError::Proposer));
    let (key, mut opening) = init(&net.right, HEIGHT, 0, 1, 10);
    if let Part::Init(init) = &mut opening {
        init.contents.pieces[0] = [7; 32];
    }
    assert_eq!(net.insert(key, 0, &opening), Err(PartError::Proposer), "each piece is signed");
    assert!(net.assembly.opened.is_empty());
}

#[test]
fn heights_and_lengths_out_of_bounds_are_dropped() {
    let mut net = net();
    let (key, opening) = init(&net.right, BlockHeight::new(3), 0, 1, 10);
    assert!(matches!(net.insert(key, 0, &opening), Err(PartError::Height { .. })));
    let (key, opening) = init(&net.right, HEIGHT, 0, 1, 200_001);
    assert!(matches!(net.insert(key, 0, &opening), Err(PartError::TooLong { .. })));
    // Pieces say where they belong before anything is known of them.
    let piece = Part::Piece { bytes: Bytes::from_static(b"x"), last: true };
    for (height, round) in [(0, 0), (3, 0), (1, MAX_ROUNDS_AHEAD + 1), (2, MAX_ROUNDS_AHEAD + 1)] {
        let key = StreamKey { height: BlockHeight::new(height), round, ..key };
        let refused = net.insert(key, 1, &piece);
        assert!(matches!(refused, Err(PartError::Height { .. } | PartError::Round { .. })), "{refused:?}");
    }
    for id in [vec![], vec![1; 43], vec![1; 45]] {
        assert_eq!(StreamKey::from_id(&StreamId::new(id.into())), Err(PartError::Name));
    }
}

#[test]
fn a_proposer_is_heard_for_few_blocks_and_near_rounds() {
    let mut net = net();
    for block in 1..=2 {
        let (key, opening) = init(&net.right, HEIGHT, 0, block, 10);
        net.insert(key, 0, &opening).unwrap();
    }
    let (key, opening) = init(&net.right, HEIGHT, 0, 3, 10);
    assert_eq!(net.insert(key, 0, &opening), Err(PartError::TooMany { round: 0 }));
    // Two validators take turns: this one proposes in even rounds.
    let (key, opening) = init(&net.right, HEIGHT, 100, 1, 10);
    assert_eq!(net.insert(key, 0, &opening), Err(PartError::Round { found: 100, present: 0 }));
    let later = Deciding { height: HEIGHT, round: 90 };
    net.assembly.insert(key, 0, opening, later, &net.validators).unwrap();
}

/// What a proposer leaves incomplete costs blocks of its own alone, and those of the lowest rounds first.
#[test]
fn a_proposer_who_completes_nothing_takes_only_places_of_its_own() {
    let mut net = net();
    let (honest, parts) = sent(&net.wrong, 1, None, &block(&net.wrong));
    net.insert(honest, 0, &parts[0]).unwrap();
    let open = |net: &mut Net, round, block| {
        let (key, opening) = init(&net.right, HEIGHT, round, block, 200_000);
        net.insert(key, 0, &opening)
    };
    for round in [0, 2, 4, 6, 8] {
        for block in [1, 2] {
            open(&mut net, round, block).unwrap();
        }
    }
    assert_eq!(net.unfinished(), MAX_UNFINISHED + 1);
    assert!(matches!(open(&mut net, 0, 1), Err(PartError::Unfinished { .. })));
    assert_eq!(net.insert_from(1, honest, &parts).unwrap().block, block(&net.wrong));
}

/// Signing costs a proposer nothing, and a height may be open for long.
#[test]
fn openings_that_are_refused_leave_nothing_behind() {
    let mut net = net();
    let next = HEIGHT.next().unwrap();
    let open = |net: &mut Net, height, round, number: u32| {
        let mut named = [0; 32];
        named[..4].copy_from_slice(&number.to_be_bytes());
        let named = BlockHash::from_bytes(named);
        let opened = net.right.sign_parts(Height(height), round, Some(0), named, contents(10)).unwrap();
        net.insert(StreamKey::of(&opened), 0, &Part::Init(opened))
    };
    for (round, number) in [(1, 1), (1, 2), (3, 3), (3, 4)] {
        open(&mut net, next, round, number).unwrap();
    }
    for number in 0..1_000 {
        assert!(matches!(open(&mut net, HEIGHT, 2, number), Err(PartError::Unfinished { .. })));
    }
    assert_eq!((net.assembly.opened.len(), net.assembly.verifier.names().len()), (MAX_UNFINISHED, 0));
    // Nor do those that make way for later ones.
    net.assembly.opened.clear();
    for (round, number) in [(4, 1), (4, 2), (6, 3)] {
        open(&mut net, HEIGHT, round, number).unwrap();
    }
    for number in 0..1_000 {
        open(&mut net, HEIGHT, 2, number).unwrap();
    }
    assert_eq!((net.assembly.opened.len(), net.assembly.verifier.names().len()), (MAX_UNFINISHED, 0));
}

/// Openings for the next height are checked against the validators of this one, which may not be those of the next.
#[test]
fn what_was_opened_out_of_turn_makes_way_when_the_validators_change() {
    let mut net = net();
    let next = HEIGHT.next().unwrap();
    for block in [1, 2] {
        let (key, opening) = init(&net.wrong, next, 0, block, 10);
        net.insert(key, 0, &opening).unwrap();
    }
    // Now only the other one decides.
    let seed = if net.right.public_key() == key(1).public_key() { 1 } else { 2 };
    net.validators = Validators::new(&validator_set(&[(seed, 1)]));
    net.assembly.forget_before(next, &net.validators);
    assert_eq!(net.unfinished(), 0);
    let now = Deciding { height: next, round: 0 };
    for block in [1, 2] {
        let (key, opening) = init(&net.right, next, 0, block, 10);
        assert_eq!(net.assembly.insert(key, 0, opening, now, &net.validators), Ok(None));
    }
}

#[test]
fn streams_that_never_open_stay_few() {
    let mut net = net();
    let piece = |n: u32| {
        let bytes = n.to_le_bytes().repeat(PIECE_BYTES / 4);
        Part::Piece { bytes: bytes.into(), last: false }
    };
    for n in 0..1_000_u32 {
        let block = BlockHash::from_bytes([n as u8; 32]);
        let height = if n % 2 == 0 { HEIGHT } else { HEIGHT.next().unwrap() };
        let key = StreamKey { height, round: n % 8, block };
        // What comes again takes no place.
        for _ in 0..2 {
            net.insert(key, u64::from(n) + 1, &piece(n)).unwrap();
        }
        assert!(net.assembly.early.bytes() <= MAX_EARLY_BYTES);
    }
    assert!(net.assembly.early.bytes() > MAX_EARLY_BYTES - 2 * PIECE_BYTES);
    net.assembly.forget_before(HEIGHT.next().unwrap(), &net.validators);
    assert!(net.assembly.early.bytes() < MAX_EARLY_BYTES * 2 / 3);
    net.assembly.forget_before(BlockHeight::new(3), &net.validators);
    assert_eq!(net.assembly.early.bytes(), 0);
}
