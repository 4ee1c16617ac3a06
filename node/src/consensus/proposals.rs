//! Takes proposed blocks apart for the wire and puts them together again. Parts come from the network in any order and
//! from anyone, under names that anybody can make up. So who sends a part says nothing: the opening of a block, signed by
//! the proposer of its round, names the hash of each piece, and a piece is right or refused at once, whoever sends it.
//!
//! Everything kept is bounded. A proposer has few blocks in a round, and few that are not complete; nobody can take the
//! places of another. Pieces whose opening has not come yet have places of their own ([`early`]).
//!
//! On the wire a part is a message of the engine: the name of its stream, its number in it, and itself, in the ledger's
//! encoding. The name is the block's place: height (8 bytes, big-endian), round (4), block hash (32). Number 0 is the
//! opening ([`PartsInit`]), and the pieces follow from 1 on, each of [`PIECE_BYTES`] but the last.

mod early;
#[cfg(test)]
mod tests;

use super::context::{Address, Contents, Height, Part, PartsInit, PieceHash, Validators};
use super::engine::{Round, StreamContent, StreamId, StreamMessage};
use super::signer::VoteVerifier;
use bytes::Bytes;
use early::Early;
use sealpost_ledger::block::Block;
use sealpost_ledger::hash::{BlockHash, sha256};
use sealpost_ledger::height::BlockHeight;
use sealpost_ledger::signature::PublicKey;
use std::collections::BTreeMap;
use thiserror::Error;

/// Pieces are no longer than this, in bytes.
pub(super) const PIECE_BYTES: usize = 64 * 1024;
/// Rounds beyond the present one whose blocks are let in: as far as the engine takes their proposals
/// (arc-malachitebft-core-consensus 0.8, `params.rs`).
const MAX_ROUNDS_AHEAD: u32 = 10;
/// Blocks that one proposer may open in one round: two, so that it can be seen to say two things.
const MAX_PER_ROUND: usize = 2;
/// Blocks of one proposer that are opened and not complete. Those of an honest one are, but for what was lost on the way.
const MAX_UNFINISHED: usize = 4;
/// Blocks of one proposer that are verified for one height.
const MAX_PER_PROPOSER: usize = 3;
/// Blocks kept of a height that has not begun.
const MAX_AHEAD: usize = 4;

/// A block on its way to the other validators: the parts of a stream, in order.
pub(super) type Parts = Vec<StreamMessage<Part>>;

/// Why a part was dropped.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub(super) enum PartError {
    #[error("the stream is not named after the block that its part belongs to")]
    Name,
    #[error("the stream is for height {found}, here {expected} is being decided")]
    Height { found: BlockHeight, expected: BlockHeight },
    #[error("the stream's opening does not come from the proposer of its round")]
    Proposer,
    #[error("the stream is for round {found}, here it is round {present}")]
    Round { found: u32, present: u32 },
    #[error("the stream is for round {round} and names {valid_round} as an earlier one")]
    ValidRound { round: u32, valid_round: u32 },
    #[error("the proposer of round {round} has proposed {MAX_PER_ROUND} blocks already")]
    TooMany { round: u32 },
    #[error("the proposer of round {round} has opened the same block in another way before")]
    Otherwise { round: u32 },
    #[error("{MAX_UNFINISHED} blocks of proposer {proposer} for later rounds are not complete")]
    Unfinished { proposer: Address },
    #[error("the block has {length} bytes, the limit is {limit}")]
    TooLong { length: u32, limit: u32 },
    #[error("the opening names {found} pieces, a block of its length has {expected}")]
    Pieces { found: usize, expected: usize },
    #[error("part {sequence} is none of the pieces that its block's opening names")]
    Piece { sequence: u64 },
    #[error("the parts do not make block {block}, which their opening by {proposer} names")]
    Content { block: BlockHash, proposer: Address },
    #[error("{proposer} proposes block {block}, and its header names {named}, who can't have made it")]
    AnothersName { block: BlockHash, proposer: Address, named: PublicKey },
}

/// Which block a part belongs to, and in which round that is proposed: the name of a stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct StreamKey {
    pub(super) height: BlockHeight,
    pub(super) round: u32,
    pub(super) block: BlockHash,
}

/// A block whose parts are all there. It is the one that its opening names; nothing else is known of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Assembled {
    pub(super) init: PartsInit,
    pub(super) block: Block,
}

/// A block whose opening has come.
#[derive(Debug)]
struct Opened {
    init: PartsInit,
    progress: Progress,
}

#[derive(Debug)]
enum Progress {
    /// These pieces are there; each is the one that the opening names.
    Coming(BTreeMap<u64, Bytes>),
    /// All were there, and were handed on.
    Done,
}

/// The blocks on their way.
#[derive(Debug)]
pub(super) struct Assembly {
    verifier: VoteVerifier,
    max_bytes: u32,
    opened: BTreeMap<StreamKey, Opened>,
    early: Early,
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

/// All that is sent for an encoded block: its opening, then the pieces.
pub(super) fn parts(init: PartsInit, bytes: &Bytes) -> Parts {
    let id = StreamKey::of(&init).to_id();
    let parts = std::iter::once(Part::Init(init)).chain(pieces(bytes));
    (0_u64..)
        .zip(parts)
        .map(|(sequence, part)| StreamMessage::new(id.clone(), sequence, StreamContent::Data(part)))
        .collect()
}

impl Assembly {
    pub(super) fn new(verifier: VoteVerifier, max_bytes: u32) -> Self {
        Self { verifier, max_bytes, opened: BTreeMap::new(), early: Early::default() }
    }
    /// Takes in a part. The height after the one being decided is let in too, since others may be a block
    /// ahead. Returns the block when its last part is there, and only once.
    pub(super) fn insert(
        &mut self,
        key: StreamKey,
        sequence: u64,
        part: Part,
        deciding: Deciding,
        validators: &Validators,
    ) -> Result<Option<Assembled>, PartError> {
        match part {
            Part::Init(init) => {
                if sequence != 0 || key != StreamKey::of(&init) {
                    return Err(PartError::Name);
                }
                self.open(key, init, deciding, validators)?;
            }
            Part::Piece { bytes, last } => self.take(key, sequence, bytes, last, deciding)?,
        }
        self.finish(&key, validators)
    }
    /// The opening of a block, if it has come: whoever has the block can send both again.
    pub(super) fn opening(&self, key: &StreamKey) -> Option<&PartsInit> {
        self.opened.get(key).map(|opened| &opened.init)
    }
    /// Lets a block come again that was not kept.
    pub(super) fn forget(&mut self, key: &StreamKey) {
        self.opened.remove(key);
    }
    /// Drops what is for heights before `deciding`, and what is not from the proposers that its validators are: for that
    /// height it may have been let in when there were others.
    pub(super) fn forget_before(&mut self, deciding: BlockHeight, validators: &Validators) {
        self.opened.retain(|key, opened| key.height >= deciding && opened.init.is_in_turn(validators));
        self.early.forget_before(deciding);
    }
    /// Whether a block of that height has been opened.
    pub(super) fn has_opened(&self, height: BlockHeight) -> bool {
        self.opened.keys().any(|key| key.height == height)
    }

    fn open(
        &mut self,
        key: StreamKey,
        init: PartsInit,
        deciding: Deciding,
        validators: &Validators,
    ) -> Result<(), PartError> {
        let known = self.opened.get(&key);
        // Nothing is taken from an opening that comes again, so it needs no check.
        if known.is_some_and(|known| known.init.says_the_same_as(&init)) {
            return Ok(());
        }
        self.check_init(&init, deciding, validators)?;
        if self.opened.contains_key(&key) {
            return Err(PartError::Otherwise { round: init.round });
        }
        let of_round = self.opened.values().filter(|other| {
            let place = |init: &PartsInit| (init.height, init.round, init.proposer);
            place(&other.init) == place(&init)
        });
        if of_round.count() >= MAX_PER_ROUND {
            return Err(PartError::TooMany { round: init.round });
        }
        self.make_room(&key, init.proposer)?;
        let early = self.early.take(&key).into_iter();
        let right = early.filter(|piece| init.contents.has(piece.sequence, &piece.bytes, piece.last));
        let pieces = right.map(|piece| (piece.sequence, piece.bytes)).collect();
        self.opened.insert(key, Opened { init, progress: Progress::Coming(pieces) });
        Ok(())
    }
    /// A proposer who leaves blocks incomplete loses that of the lowest round: nobody else loses any.
    fn make_room(&mut self, key: &StreamKey, proposer: Address) -> Result<(), PartError> {
        let unfinished = self.opened.iter().filter(|(_, other)| {
            other.init.proposer == proposer && matches!(other.progress, Progress::Coming(_))
        });
        let unfinished: Vec<StreamKey> = unfinished.map(|(key, _)| *key).collect();
        match unfinished.first() {
            Some(lowest) if unfinished.len() >= MAX_UNFINISHED => {
                if lowest > key {
                    return Err(PartError::Unfinished { proposer });
                }
                self.opened.remove(lowest);
                Ok(())
            }
            _ => Ok(()),
        }
    }
    fn take(
        &mut self,
        key: StreamKey,
        sequence: u64,
        bytes: Bytes,
        last: bool,
        deciding: Deciding,
    ) -> Result<(), PartError> {
        let is_long_enough = if last { !bytes.is_empty() } else { bytes.len() == PIECE_BYTES };
        if sequence == 0 || !is_long_enough || bytes.len() > PIECE_BYTES {
            return Err(PartError::Piece { sequence });
        }
        match self.opened.get_mut(&key) {
            Some(Opened { progress: Progress::Done, .. }) => Ok(()),
            Some(Opened { init, progress: Progress::Coming(pieces) }) => {
                if pieces.contains_key(&sequence) {
                    return Ok(());
                }
                if !init.contents.has(sequence, &bytes, last) {
                    return Err(PartError::Piece { sequence });
                }
                pieces.insert(sequence, bytes);
                Ok(())
            }
            None => {
                check_near(key.height, key.round, deciding)?;
                self.early.put(key, early::Piece { sequence, bytes, last });
                Ok(())
            }
        }
    }
    fn finish(&mut self, key: &StreamKey, validators: &Validators) -> Result<Option<Assembled>, PartError> {
        let Some(Opened { init, progress }) = self.opened.get_mut(key) else { return Ok(None) };
        let Progress::Coming(pieces) = progress else { return Ok(None) };
        if pieces.len() < init.contents.pieces.len() {
            return Ok(None);
        }
        let pieces: Vec<Bytes> = std::mem::take(pieces).into_values().collect();
        *progress = Progress::Done;
        match Block::from_bytes(&pieces.concat()) {
            Ok(block) if block.hash() == init.block => {
                Assembled::checked(init.clone(), block, validators).map(Some)
            }
            _ => Err(PartError::Content { block: init.block, proposer: init.proposer }),
        }
    }

    fn check_init(
        &self,
        init: &PartsInit,
        deciding: Deciding,
        validators: &Validators,
    ) -> Result<(), PartError> {
        if !init.is_in_turn(validators) || !self.verifier.is_signed(init) {
            return Err(PartError::Proposer);
        }
        check_near(init.height.0, init.round, deciding)?;
        if let Some(valid_round) = init.valid_round
            && valid_round >= init.round
        {
            return Err(PartError::ValidRound { round: init.round, valid_round });
        }
        let Contents { length, pieces } = &init.contents;
        if *length == 0 || *length > self.max_bytes {
            return Err(PartError::TooLong { length: *length, limit: self.max_bytes });
        }
        let (found, expected) = (pieces.len(), piece_count(*length));
        if found != expected {
            return Err(PartError::Pieces { found, expected });
        }
        Ok(())
    }
}

/// Only the height being decided and the next one, and rounds not far beyond the present one.
fn check_near(height: BlockHeight, round: u32, deciding: Deciding) -> Result<(), PartError> {
    if height != deciding.height && Some(height) != deciding.height.next() {
        return Err(PartError::Height { found: height, expected: deciding.height });
    }
    let present = if height == deciding.height { deciding.round } else { 0 };
    if round > present.saturating_add(MAX_ROUNDS_AHEAD) {
        return Err(PartError::Round { found: round, present });
    }
    Ok(())
}

/// How many pieces so many bytes make.
fn piece_count(length: u32) -> usize {
    usize::try_from(length).unwrap_or(usize::MAX).div_ceil(PIECE_BYTES)
}

impl StreamKey {
    /// The place that an opening names.
    pub(super) const fn of(init: &PartsInit) -> Self {
        Self { height: init.height.0, round: init.round, block: init.block }
    }
    /// As it stands on the wire.
    pub(super) fn to_id(self) -> StreamId {
        let mut id = self.height.get().to_be_bytes().to_vec();
        id.extend(self.round.to_be_bytes());
        id.extend(self.block.as_bytes());
        StreamId::new(id.into())
    }
    /// Reads what stands on the wire.
    pub(super) fn from_id(id: &StreamId) -> Result<Self, PartError> {
        let bytes = id.to_bytes();
        let read = || {
            let (height, rest) = bytes.split_first_chunk()?;
            let (round, block) = rest.split_first_chunk()?;
            let height = BlockHeight::new(u64::from_be_bytes(*height));
            let block = BlockHash::from_bytes(block.try_into().ok()?);
            Some(Self { height, round: u32::from_be_bytes(*round), block })
        };
        read().ok_or(PartError::Name)
    }
}

impl Assembled {
    /// A new block bears the name of whoever proposes it. Else one validator could send blocks in the names of others before
    /// their turns, and they would have the blame for what is left out of them. Of the block itself that says nothing:
    /// an honest proposer's block, too, can be put behind an opening of somebody else's. One that is proposed again was new
    /// in a round before, the turn of whom it names.
    fn checked(init: PartsInit, block: Block, validators: &Validators) -> Result<Self, PartError> {
        let named = block.header().proposer;
        let is_of_turn = |round| {
            let proposer = validators.proposer(init.height, Round::new(round));
            proposer.is_some_and(|proposer| proposer.address().0 == named)
        };
        let is_true = match init.valid_round {
            None => named == init.proposer.0,
            // After so many rounds the turns begin anew.
            Some(valid_round) => (0..=valid_round).take(validators.len()).any(is_of_turn),
        };
        if !is_true {
            return Err(PartError::AnothersName { block: init.block, proposer: init.proposer, named });
        }
        Ok(Self { init, block })
    }
}

impl PartsInit {
    /// Whether its round is the turn of who has signed it.
    pub(super) fn is_in_turn(&self, validators: &Validators) -> bool {
        let proposer = validators.proposer(self.height, Round::new(self.round));
        proposer.is_some_and(|proposer| proposer.address() == self.proposer)
    }
    /// Whether another one is the same but for the signature, of which a key makes many.
    fn says_the_same_as(&self, other: &Self) -> bool {
        let Self { height, round, valid_round, proposer, block, contents, signature: _ } = self;
        let same_place = (*height, *round, *block) == (other.height, other.round, other.block);
        same_place
            && (*valid_round, *proposer) == (other.valid_round, other.proposer)
            && *contents == other.contents
    }
}

impl Contents {
    /// What there is to say of an encoded block.
    pub(super) fn of(bytes: &Bytes) -> Self {
        let pieces: Vec<PieceHash> = bytes.chunks(PIECE_BYTES).map(|piece| sha256(&[piece])).collect();
        Self { length: u32::try_from(bytes.len()).unwrap_or(u32::MAX), pieces }
    }
    /// Whether this is the piece of that number, of which the first is 1.
    fn has(&self, sequence: u64, bytes: &[u8], last: bool) -> bool {
        let number = usize::try_from(sequence).unwrap_or(usize::MAX);
        let expected = number.checked_sub(1).and_then(|before| self.pieces.get(before));
        let is_last = number == self.pieces.len();
        let length = usize::try_from(self.length).unwrap_or(usize::MAX);
        let rest = length.saturating_sub(number.saturating_sub(1).saturating_mul(PIECE_BYTES));
        is_last == last && bytes.len() == rest.min(PIECE_BYTES) && expected == Some(&sha256(&[bytes]))
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

/// Blocks of heights that have not begun here: of the one that comes next, and, if that is decided before it begins, of the
/// one after it. Those of the first rounds stay: that is where a height begins, and later rounds are there for whoever
/// wants to take the place.
#[derive(Debug, Default)]
pub(super) struct Ahead(Vec<Assembled>);

impl Ahead {
    /// Keeps a block, if it is among the first of its height. Returns which were dropped.
    pub(super) fn put(&mut self, assembled: Assembled) -> Vec<StreamKey> {
        let init = &assembled.init;
        let height = init.height;
        self.0.retain(|Assembled { init: other, .. }| other.block != init.block || other.round < init.round);
        if self.0.iter().any(|other| other.init.block == init.block) {
            return Vec::new();
        }
        self.0.push(assembled);
        self.0.sort_by_key(|Assembled { init, .. }| (init.height, init.round));
        let mut of_height = 0;
        let too_many = self.0.extract_if(.., |other| {
            of_height += usize::from(other.init.height == height);
            other.init.height == height && of_height > MAX_AHEAD
        });
        too_many.map(|assembled| StreamKey::of(&assembled.init)).collect()
    }
    /// How many there are.
    #[cfg(test)]
    pub(super) const fn len(&self) -> usize {
        self.0.len()
    }
    /// Takes out those of a height whose proposers have their turn by its validators, with how they came. Those of earlier
    /// heights go, too.
    pub(super) fn take(&mut self, height: Height, validators: &Validators) -> Vec<Assembled> {
        let due = self.0.extract_if(.., |assembled| assembled.init.height <= height);
        due.filter(|Assembled { init, .. }| init.height == height && init.is_in_turn(validators)).collect()
    }
}
