//! Takes proposed blocks apart for the wire and puts them together again. Parts come from the network in
//! any order and from anyone, so nothing is kept before the signed opening of a stream names the right
//! proposer, and everything kept is bounded: streams, pieces waiting for their opening, bytes, heights.

use super::context::{Address, Height, Part, PartsInit, Validators};
use super::engine::Round;
use super::signer::VoteVerifier;
use bytes::Bytes;
use sealpost_ledger::block::Block;
use sealpost_ledger::hash::BlockHash;
use sealpost_ledger::height::BlockHeight;
use sealpost_ledger::signature::PublicKey;
use std::collections::{BTreeMap, BTreeSet};
use thiserror::Error;

/// Pieces are no longer than this, in bytes.
pub(super) const PIECE_BYTES: usize = 64 * 1024;
/// Streams kept at once; two heights and some rounds are ever needed.
const MAX_STREAMS: usize = 32;
/// Streams kept of one publisher. An opening can be replayed by anybody who has seen it: whoever does so only
/// takes places of its own.
const MAX_PER_PUBLISHER: usize = 4;
/// Rounds beyond the present one whose proposals are let in.
const MAX_ROUNDS_AHEAD: u32 = 8;
/// Blocks that one proposer may open streams for in one round: two, so that it can be seen to say two things.
const MAX_PER_ROUND: usize = 2;
/// Pieces kept of a stream whose opening hasn't come yet.
const MAX_EARLY_PIECES: usize = 32;
/// Blocks of one proposer that are verified for one height.
const MAX_PER_PROPOSER: usize = 3;
/// Blocks kept that belong to the height after the one being decided.
const MAX_AHEAD: usize = 4;

/// A stream: who publishes it, and its number there.
pub(super) type StreamKey = (Vec<u8>, Vec<u8>);

/// Why a part was dropped.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub(super) enum PartError {
    #[error("the stream is for height {found}, here {expected} is being decided")]
    Height { found: BlockHeight, expected: BlockHeight },
    #[error("the stream's opening does not come from the proposer of its round")]
    Proposer,
    #[error("the stream is for round {found}, here it is round {present}")]
    Round { found: u32, present: u32 },
    #[error("the proposer of round {round} has proposed {MAX_PER_ROUND} blocks already")]
    TooMany { round: u32 },
    #[error("the block has {length} bytes, the limit is {limit}")]
    TooLong { length: u32, limit: u32 },
    #[error("part {sequence} does not fit the stream's opening")]
    Piece { sequence: u64 },
    #[error("the parts do not make block {block}, which their opening by {proposer} names")]
    Content { block: BlockHash, proposer: Address },
    #[error("{proposer} proposes block {block} as new, and its header names {named} as who made it")]
    AnothersName { block: BlockHash, proposer: Address, named: PublicKey },
    #[error("the stream is for round {round} and names {valid_round} as an earlier one")]
    ValidRound { round: u32, valid_round: u32 },
}

/// A block whose parts are all there. It is the one that its opening names; nothing else is known of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Assembled {
    pub(super) init: PartsInit,
    pub(super) block: Block,
}

impl Assembled {
    /// A new block bears the name of whoever proposes it. Else one validator could send blocks in the names of others before
    /// their turns, and they would have the blame for what is left out of them. Of the block itself that says nothing:
    /// an honest proposer's block, too, can be put behind an opening of somebody else's.
    fn checked(init: PartsInit, block: Block) -> Result<Self, PartError> {
        let named = block.header().proposer;
        if init.valid_round.is_none() && named != init.proposer.0 {
            return Err(PartError::AnothersName { block: init.block, proposer: init.proposer, named });
        }
        Ok(Self { init, block })
    }
}

#[derive(Debug, Default)]
struct Stream {
    init: Option<PartsInit>,
    pieces: BTreeMap<u64, Bytes>,
    started: u64,
}

/// The streams on their way.
#[derive(Debug)]
pub(super) struct Assembly {
    verifier: VoteVerifier,
    max_bytes: u32,
    streams: BTreeMap<StreamKey, Stream>,
    /// Blocks for which streams were opened, by height and round.
    opened: BTreeMap<(BlockHeight, u32), BTreeSet<BlockHash>>,
    count: u64,
}

/// What is being decided, as far as it matters for proposals.
#[derive(Debug, Clone, Copy)]
pub(super) struct Deciding {
    pub(super) height: BlockHeight,
    pub(super) round: u32,
}

/// The pieces of an encoded block, in order.
pub(super) fn pieces(bytes: &Bytes) -> Vec<Part> {
    let count = bytes.len().div_ceil(PIECE_BYTES);
    let mut rest = bytes.clone();
    let mut parts = Vec::with_capacity(count);
    while !rest.is_empty() {
        let piece = rest.split_to(rest.len().min(PIECE_BYTES));
        parts.push(Part::Piece { bytes: piece, last: rest.is_empty() });
    }
    parts
}

impl Assembly {
    pub(super) const fn new(verifier: VoteVerifier, max_bytes: u32) -> Self {
        Self { verifier, max_bytes, streams: BTreeMap::new(), opened: BTreeMap::new(), count: 0 }
    }
    /// Takes in a part. The height after the one being decided is let in too, since others may be a block
    /// ahead. Returns the block when its last part is there.
    pub(super) fn insert(
        &mut self,
        key: StreamKey,
        sequence: u64,
        part: Part,
        deciding: Deciding,
        validators: &Validators,
    ) -> Result<Option<Assembled>, PartError> {
        match &part {
            Part::Init(init) => self.check_init(sequence, init, deciding, validators)?,
            Part::Piece { bytes, .. } => {
                if sequence == 0 || bytes.is_empty() || bytes.len() > PIECE_BYTES {
                    return Err(PartError::Piece { sequence });
                }
            }
        }
        let stream = self.stream(&key);
        match part {
            Part::Init(init) => stream.init = Some(init),
            Part::Piece { bytes, .. } => {
                let expected = stream.init.as_ref().map_or(MAX_EARLY_PIECES as u64, PartsInit::piece_count);
                if sequence > expected {
                    return Err(PartError::Piece { sequence });
                }
                stream.pieces.insert(sequence, bytes);
            }
        }
        if !stream.is_complete() {
            return Ok(None);
        }
        let Some(Stream { init: Some(init), pieces, .. }) = self.streams.remove(&key) else {
            return Ok(None);
        };
        let bytes: Vec<u8> = pieces.into_values().flatten().collect();
        if u32::try_from(bytes.len()) != Ok(init.length) {
            return Err(PartError::Piece { sequence });
        }
        // Whoever has heard an opening can send it again with other parts. Those say nothing about the block.
        match Block::from_bytes(&bytes) {
            Ok(block) if block.hash() == init.block => Assembled::checked(init, block).map(Some),
            _ => Err(PartError::Content { block: init.block, proposer: init.proposer }),
        }
    }
    /// Drops what is for heights before `deciding`, and streams that never opened.
    pub(super) fn forget_before(&mut self, deciding: BlockHeight) {
        self.streams.retain(|_, stream| stream.init.as_ref().is_some_and(|init| init.height.0 >= deciding));
        self.opened.retain(|(height, _), _| *height >= deciding);
    }

    fn check_init(
        &mut self,
        sequence: u64,
        init: &PartsInit,
        deciding: Deciding,
        validators: &Validators,
    ) -> Result<(), PartError> {
        let proposer = validators.proposer(init.height, Round::new(init.round));
        if proposer.is_none_or(|p| p.address() != init.proposer) || !self.verifier.is_signed(init) {
            return Err(PartError::Proposer);
        }
        let height = init.height.0;
        if height != deciding.height && Some(height) != deciding.height.next() {
            return Err(PartError::Height { found: height, expected: deciding.height });
        }
        let present = if height == deciding.height { deciding.round } else { 0 };
        if init.round > present.saturating_add(MAX_ROUNDS_AHEAD) {
            return Err(PartError::Round { found: init.round, present });
        }
        if let Some(valid_round) = init.valid_round
            && valid_round >= init.round
        {
            return Err(PartError::ValidRound { round: init.round, valid_round });
        }
        if init.length == 0 || init.length > self.max_bytes {
            return Err(PartError::TooLong { length: init.length, limit: self.max_bytes });
        }
        if sequence != 0 {
            return Err(PartError::Piece { sequence });
        }
        let blocks = self.opened.entry((height, init.round)).or_default();
        if !blocks.contains(&init.block) && blocks.len() >= MAX_PER_ROUND {
            return Err(PartError::TooMany { round: init.round });
        }
        blocks.insert(init.block);
        Ok(())
    }
    /// The stream with that name; a new one takes the place of its publisher's oldest when that has too many,
    /// or else of the oldest of whoever has most.
    fn stream(&mut self, key: &StreamKey) -> &mut Stream {
        if !self.streams.contains_key(key) {
            let of = |publisher: &[u8]| self.streams.keys().filter(|(other, _)| other == publisher).count();
            let own = of(&key.0);
            let crowded = if own >= MAX_PER_PUBLISHER {
                Some(key.0.clone())
            } else if self.streams.len() >= MAX_STREAMS {
                self.streams.keys().map(|(publisher, _)| publisher).max_by_key(|p| of(p)).cloned()
            } else {
                None
            };
            // Streams without an opening go first: anybody can start those.
            let streams =
                self.streams.iter().filter(|((publisher, _), _)| Some(publisher) == crowded.as_ref());
            let oldest =
                streams.min_by_key(|(_, s)| (s.init.is_some(), s.started)).map(|(key, _)| key.clone());
            if let Some(oldest) = oldest {
                self.streams.remove(&oldest);
            }
        }
        self.count = self.count.saturating_add(1);
        let started = self.count;
        self.streams.entry(key.clone()).or_insert_with(|| Stream { started, ..Stream::default() })
    }
}

/// Blocks that were verified for a height, for each proposer: nobody uses up what is another's.
#[derive(Debug, Default)]
pub(super) struct Budget(BTreeMap<Address, usize>);

impl Budget {
    /// Whether one more block of this proposer may be verified; it is counted then.
    pub(super) fn admits(&mut self, proposer: Address) -> bool {
        let taken = self.0.entry(proposer).or_default();
        let admits = *taken < MAX_PER_PROPOSER;
        *taken = taken.saturating_add(usize::from(admits));
        admits
    }
}

/// Blocks for the next height, which others have begun already. Those of the first rounds stay: that is where it
/// begins, and later rounds are there for whoever wants to take the place.
#[derive(Debug, Default)]
pub(super) struct Ahead(Vec<Assembled>);

impl Ahead {
    /// Keeps a block, if it is among the first.
    pub(super) fn put(&mut self, assembled: Assembled) {
        let init = &assembled.init;
        self.0
            .retain(|Assembled { init: other, .. }| other.height >= init.height && other.block != init.block);
        self.0.push(assembled);
        self.0.sort_by_key(|assembled| assembled.init.round);
        self.0.truncate(MAX_AHEAD);
    }
    /// Those of a height, with how they came.
    pub(super) fn of(self, height: Height) -> impl Iterator<Item = Assembled> {
        self.0.into_iter().filter(move |assembled| assembled.init.height == height)
    }
}

impl PartsInit {
    /// How many pieces follow the opening.
    fn piece_count(&self) -> u64 {
        u64::from(self.length).div_ceil(PIECE_BYTES as u64)
    }
}

impl Stream {
    fn is_complete(&self) -> bool {
        self.init.as_ref().is_some_and(|init| self.pieces.len() as u64 == init.piece_count())
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::indexing_slicing)]
mod tests {
    use super::*;
    use crate::consensus::signer::VoteSigner;
    use crate::consensus::testing::{genesis, key};
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

    fn init(signer: &VoteSigner, height: BlockHeight, length: u32) -> Part {
        let block = BlockHash::from_bytes([1; 32]);
        Part::Init(signer.sign_parts(Height(height), 0, None, block, length).unwrap())
    }

    /// A block that takes several pieces. Nobody here looks at what it says.
    fn block() -> Block {
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
            proposer: key(1).public_key(),
        };
        Block::new(header, Vec::new(), vec![Body::new(vec![7; 150_000])])
    }

    /// All that is sent for a block.
    fn parts(signer: &VoteSigner, block: &Block) -> Vec<Part> {
        let bytes = Bytes::from(block.to_bytes());
        let length = u32::try_from(bytes.len()).unwrap();
        let opening = signer.sign_parts(Height(HEIGHT), 0, None, block.hash(), length).unwrap();
        std::iter::once(Part::Init(opening)).chain(pieces(&bytes)).collect()
    }

    fn name() -> StreamKey {
        (vec![1], vec![2])
    }

    #[test]
    fn parts_in_any_order_make_the_block() {
        let Net { mut assembly, validators, right, .. } = net();
        let parts = parts(&right, &block());
        assert_eq!(parts.len(), 4);
        let mut done = None;
        for (sequence, part) in parts.into_iter().enumerate().rev() {
            done = assembly.insert(name(), sequence as u64, part, NOW, &validators).unwrap();
        }
        assert_eq!(done.unwrap().block, block());
        assert!(assembly.streams.is_empty());
    }

    /// Anybody who has heard an opening can send it again. What he puts behind it is no word of the proposer's, and
    /// says nothing about the block.
    #[test]
    fn rubbish_behind_anothers_opening_is_refused_and_the_block_comes_all_the_same() {
        let Net { mut assembly, validators, right, .. } = net();
        let parts = parts(&right, &block());
        let mut refused = Ok(None);
        for (sequence, part) in (0..).zip(&parts) {
            let part = match part {
                Part::Piece { bytes, last } => {
                    Part::Piece { bytes: vec![0; bytes.len()].into(), last: *last }
                }
                opening => opening.clone(),
            };
            refused = assembly.insert((vec![66], vec![]), sequence, part, NOW, &validators);
        }
        assert!(matches!(refused, Err(PartError::Content { block: named, .. }) if named == block().hash()));
        let mut done = None;
        for (sequence, part) in (0..).zip(parts) {
            done = assembly.insert(name(), sequence, part, NOW, &validators).unwrap();
        }
        assert_eq!(done.unwrap().block, block());
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
        let Net { right, .. } = net();
        let next = Height(HEIGHT.next().unwrap());
        let mut ahead = Ahead::default();
        let mut put = |round: u32| {
            let named = BlockHash::from_bytes([round as u8; 32]);
            let init = right.sign_parts(next, round, None, named, 10).unwrap();
            ahead.put(Assembled { init, block: block() });
        };
        (1..=8).for_each(&mut put);
        put(0);
        let rounds: Vec<u32> = ahead.0.iter().map(|assembled| assembled.init.round).collect();
        assert_eq!(rounds, [0, 1, 2, 3]);
        assert_eq!(ahead.of(next).count(), MAX_AHEAD);
    }

    #[test]
    fn a_stream_not_opened_by_the_proposer_is_dropped() {
        let Net { mut assembly, validators, wrong, .. } = net();
        let opened = assembly.insert(name(), 0, init(&wrong, HEIGHT, 10), NOW, &validators);
        assert_eq!(opened, Err(PartError::Proposer));
        assert!(assembly.streams.is_empty());
    }

    #[test]
    fn heights_and_lengths_out_of_bounds_are_dropped() {
        let Net { mut assembly, validators, right, .. } = net();
        let far = assembly.insert(name(), 0, init(&right, BlockHeight::new(3), 10), NOW, &validators);
        assert!(matches!(far, Err(PartError::Height { .. })));
        let long = assembly.insert(name(), 0, init(&right, HEIGHT, 200_001), NOW, &validators);
        assert!(matches!(long, Err(PartError::TooLong { .. })));
    }

    #[test]
    fn whoever_replays_an_opening_takes_no_place_of_others() {
        let Net { mut assembly, validators, right, .. } = net();
        let parts = parts(&right, &block());
        let opening = parts[0].clone();
        assembly.insert(name(), 0, opening.clone(), NOW, &validators).unwrap();
        for stream in 0..100_u8 {
            let replayed = (vec![66], vec![stream]);
            assembly.insert(replayed, 0, opening.clone(), NOW, &validators).unwrap();
        }
        assert_eq!(assembly.streams.len(), 1 + MAX_PER_PUBLISHER);
        let mut done = None;
        for (sequence, part) in (1..).zip(parts.into_iter().skip(1)) {
            done = assembly.insert(name(), sequence, part, NOW, &validators).unwrap();
        }
        assert_eq!(done.unwrap().block, block());
    }

    #[test]
    fn a_proposer_is_heard_for_few_blocks_and_near_rounds() {
        let Net { mut assembly, validators, right, .. } = net();
        let opens = |block: u8, round: u32| {
            let block = BlockHash::from_bytes([block; 32]);
            Part::Init(right.sign_parts(Height(HEIGHT), round, None, block, 10).unwrap())
        };
        for block in 1..=2 {
            assembly.insert((vec![block], vec![]), 0, opens(block, 0), NOW, &validators).unwrap();
        }
        let third = assembly.insert(name(), 0, opens(3, 0), NOW, &validators);
        assert_eq!(third, Err(PartError::TooMany { round: 0 }));
        // Two validators take turns: this one proposes in even rounds.
        let far = assembly.insert(name(), 0, opens(1, 100), NOW, &validators);
        assert_eq!(far, Err(PartError::Round { found: 100, present: 0 }));
        let later = Deciding { height: HEIGHT, round: 98 };
        assembly.insert(name(), 0, opens(1, 100), later, &validators).unwrap();
    }

    #[test]
    fn streams_that_never_open_stay_few() {
        let Net { mut assembly, validators, .. } = net();
        for stream in 0..200_u8 {
            for sequence in 1..60 {
                let part = Part::Piece { bytes: Bytes::from_static(b"x"), last: false };
                let _ = assembly.insert((vec![stream], vec![]), sequence, part, NOW, &validators);
            }
        }
        assert!(assembly.streams.len() <= MAX_STREAMS);
        assert!(assembly.streams.values().all(|s| s.pieces.len() <= MAX_EARLY_PIECES));
        assembly.forget_before(HEIGHT);
        assert!(assembly.streams.is_empty());
    }
}
