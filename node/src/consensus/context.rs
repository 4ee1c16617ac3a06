//! The engine's names for our things: thin wrappers that carry ledger types through its traits. What a
//! validator decides on is a block hash; the block itself travels beside it in parts.

use super::engine::{self, NilOrVal, Round, SignedExtension, VoteType};
use bytes::Bytes;
use sealpost_ledger::hash::BlockHash;
use sealpost_ledger::height::BlockHeight;
use sealpost_ledger::signature::{PublicKey, Signature, SigningKey};
use sealpost_ledger::validator::ValidatorSet;
use std::fmt;
use std::sync::Arc;

/// Ties the wrappers together.
#[derive(Debug, Clone, Copy)]
pub(super) struct Sealpost;

/// A block height.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Height(pub BlockHeight);

/// A validator's name, which is its key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Address(pub PublicKey);

/// A validator and its power.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Validator {
    address: Address,
    power: u64,
}

/// The validators of a height, ordered by key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Validators {
    members: Arc<[Validator]>,
    total: u64,
}

/// What consensus decides on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct BlockValue(pub BlockHash);

/// A proposer's claim that a block is good for a round.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Proposal {
    pub(super) height: Height,
    pub(super) round: Round,
    pub(super) value: BlockValue,
    pub(super) valid_round: Round,
    pub(super) proposer: Address,
}

/// A vote.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Vote {
    pub(super) kind: VoteType,
    pub(super) height: Height,
    pub(super) round: Round,
    pub(super) block: NilOrVal<BlockHash>,
    pub(super) voter: Address,
}

/// What opens a stream of parts, signed by the round's proposer: the engine signs no parts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct PartsInit {
    /// The block's height.
    pub height: Height,
    /// The round it is proposed in.
    pub round: u32,
    /// The round in which two thirds prevoted it before, if any.
    pub valid_round: Option<u32>,
    /// The proposer of that round.
    pub proposer: Address,
    /// The block.
    pub block: BlockHash,
    /// Its bytes.
    pub contents: Contents,
    /// Over all of the above.
    pub signature: Signature,
}

/// The SHA-256 of a piece of an encoded block.
pub(super) type PieceHash = [u8; 32];

/// What an opening says of the encoded block. Each piece can be checked by itself when it comes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Contents {
    /// So many bytes.
    pub length: u32,
    /// In these pieces, in order.
    pub pieces: Vec<PieceHash>,
}

/// A piece of a proposed block on its way.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Part {
    /// The first.
    Init(PartsInit),
    /// A piece of the encoded block.
    Piece {
        /// The bytes.
        bytes: Bytes,
        /// Whether it is the last one.
        last: bool,
    },
}

/// BIP-340 as the engine wants it described.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Bip340;

/// A signature with the order that the engine asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct VoteSignature(pub Signature);

impl PartialOrd for VoteSignature {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for VoteSignature {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.0.as_bytes().cmp(other.0.as_bytes())
    }
}

impl Validators {
    /// Wraps a ledger set.
    pub(super) fn new(set: &ValidatorSet) -> Self {
        let members = set.validators().iter();
        let members = members.map(|v| Validator { address: Address(v.key), power: v.power }).collect();
        Self { members, total: set.total_power() }
    }
    /// Who proposes in a round: the validators in turn, whatever their power.
    pub(super) fn proposer(&self, height: Height, round: Round) -> Option<&Validator> {
        let count = u64::try_from(self.members.len()).ok()?;
        let turn = height.0.get().wrapping_add(round.as_u32().unwrap_or(0).into());
        self.members.get(usize::try_from(turn.checked_rem(count)?).ok()?)
    }
    /// How many there are.
    pub(super) fn len(&self) -> usize {
        self.members.len()
    }
}

impl Validator {
    /// Its name.
    pub(super) const fn address(&self) -> Address {
        self.address
    }
}

impl fmt::Display for Height {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl engine::Height for Height {
    const ZERO: Self = Height(BlockHeight::GENESIS);
    const INITIAL: Self = Height(BlockHeight::FIRST);
    fn increment_by(&self, n: u64) -> Self {
        Height(self.0.saturating_add(n))
    }
    fn decrement_by(&self, n: u64) -> Option<Self> {
        self.0.get().checked_sub(n).map(|height| Height(BlockHeight::new(height)))
    }
    fn as_u64(&self) -> u64 {
        self.0.get()
    }
}

impl engine::Address for Address {}

impl engine::Validator<Sealpost> for Validator {
    fn address(&self) -> &Address {
        &self.address
    }
    fn public_key(&self) -> &PublicKey {
        &self.address.0
    }
    fn voting_power(&self) -> u64 {
        self.power
    }
}

impl engine::ValidatorSet<Sealpost> for Validators {
    fn count(&self) -> usize {
        self.members.len()
    }
    fn total_voting_power(&self) -> u64 {
        self.total
    }
    fn get_by_address(&self, address: &Address) -> Option<&Validator> {
        let position = self.members.binary_search_by_key(address, |v| v.address).ok()?;
        self.members.get(position)
    }
    fn get_by_index(&self, index: usize) -> Option<&Validator> {
        self.members.get(index)
    }
}

impl engine::Value for BlockValue {
    type Id = BlockHash;
    fn id(&self) -> BlockHash {
        self.0
    }
}

impl engine::Proposal<Sealpost> for Proposal {
    fn height(&self) -> Height {
        self.height
    }
    fn round(&self) -> Round {
        self.round
    }
    fn value(&self) -> &BlockValue {
        &self.value
    }
    fn take_value(self) -> BlockValue {
        self.value
    }
    fn pol_round(&self) -> Round {
        self.valid_round
    }
    fn validator_address(&self) -> &Address {
        &self.proposer
    }
}

impl engine::ProposalPart<Sealpost> for Part {
    fn is_first(&self) -> bool {
        matches!(self, Part::Init(_))
    }
    fn is_last(&self) -> bool {
        matches!(self, Part::Piece { last: true, .. })
    }
}

impl engine::Vote<Sealpost> for Vote {
    fn height(&self) -> Height {
        self.height
    }
    fn round(&self) -> Round {
        self.round
    }
    fn value(&self) -> &NilOrVal<BlockHash> {
        &self.block
    }
    fn take_value(self) -> NilOrVal<BlockHash> {
        self.block
    }
    fn vote_type(&self) -> VoteType {
        self.kind
    }
    fn validator_address(&self) -> &Address {
        &self.voter
    }
    // Votes carry no extensions on this chain.
    fn extension(&self) -> Option<&SignedExtension<Sealpost>> {
        None
    }
    fn take_extension(&mut self) -> Option<SignedExtension<Sealpost>> {
        None
    }
    fn extend(self, _: SignedExtension<Sealpost>) -> Self {
        self
    }
}

impl engine::SigningScheme for Bip340 {
    type DecodingError = &'static str;
    type Signature = VoteSignature;
    type PublicKey = PublicKey;
    type PrivateKey = Arc<SigningKey>;
    fn decode_signature(bytes: &[u8]) -> Result<VoteSignature, &'static str> {
        let bytes = bytes.try_into().map_err(|_| "a signature has 64 bytes")?;
        Ok(VoteSignature(Signature::from_bytes(bytes)))
    }
    fn encode_signature(signature: &VoteSignature) -> Vec<u8> {
        signature.0.as_bytes().to_vec()
    }
    fn decode_public_key(bytes: &[u8]) -> Result<PublicKey, &'static str> {
        Ok(PublicKey::from_bytes(bytes.try_into().map_err(|_| "a public key has 32 bytes")?))
    }
    fn encode_public_key(key: &PublicKey) -> Vec<u8> {
        key.as_bytes().to_vec()
    }
}

impl engine::Context for Sealpost {
    type Address = Address;
    type Height = Height;
    type ProposalPart = Part;
    type Proposal = Proposal;
    type Validator = Validator;
    type ValidatorSet = Validators;
    type Timeouts = engine::LinearTimeouts;
    type Value = BlockValue;
    type Vote = Vote;
    type Extension = ();
    type SigningScheme = Bip340;

    fn select_proposer<'a>(&self, set: &'a Validators, height: Height, round: Round) -> &'a Validator {
        // A ledger set is never empty, and the engine asks with sets that were made from one.
        #[allow(clippy::expect_used)]
        set.proposer(height, round).expect("a validator set has members")
    }
    fn new_proposal(
        &self,
        height: Height,
        round: Round,
        value: BlockValue,
        valid_round: Round,
        proposer: Address,
    ) -> Proposal {
        Proposal { height, round, value, valid_round, proposer }
    }
    fn new_prevote(&self, height: Height, round: Round, block: NilOrVal<BlockHash>, voter: Address) -> Vote {
        Vote { kind: VoteType::Prevote, height, round, block, voter }
    }
    fn new_precommit(
        &self,
        height: Height,
        round: Round,
        block: NilOrVal<BlockHash>,
        voter: Address,
    ) -> Vote {
        Vote { kind: VoteType::Precommit, height, round, block, voter }
    }
}
