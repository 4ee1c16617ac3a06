//! Equivocation: a validator that signed two different things where the rules allow one. Both statements
//! with their signatures are the proof; whoever knows the validators in office can check it, and nobody can
//! make it up.

use crate::certificate::{VoteKind, proposal_digest, vote_digest};
use crate::codec::{Decode, DecodeError, Encode, decode, encode};
use crate::hash::{BlockHash, ChainId};
use crate::height::BlockHeight;
use crate::signature::{PublicKey, Signature};
use crate::validator::ValidatorSet;
use std::fmt;
use thiserror::Error;

/// Upper bound of an encoded equivocation, in bytes.
pub const MAX_EQUIVOCATION_BYTES: usize = 512;

/// A vote as it was signed; `block` is absent in a vote for nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Encode, Decode)]
pub struct SignedVote {
    /// What it is for.
    pub block: Option<BlockHash>,
    /// Signature over [`vote_digest`].
    pub signature: Signature,
}

/// A proposal as it was signed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Encode, Decode)]
pub struct SignedProposal {
    /// The block proposed.
    pub block: BlockHash,
    /// The round in which two thirds prevoted it before, if any.
    pub valid_round: Option<u32>,
    /// Signature over [`proposal_digest`].
    pub signature: Signature,
}

/// The two statements, the one with the smaller block first: one pair has one encoding.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Encode, Decode)]
enum Statements {
    Votes { kind: VoteKind, first: SignedVote, second: SignedVote },
    Proposals { first: SignedProposal, second: SignedProposal },
}

/// What a validator may say once in a round.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum StatementKind {
    /// A proposal.
    Proposal,
    /// A vote of the first kind.
    Prevote,
    /// A vote of the second kind.
    Precommit,
}

impl StatementKind {
    /// The stable name.
    pub const fn name(self) -> &'static str {
        match self {
            StatementKind::Proposal => "proposal",
            StatementKind::Prevote => "prevote",
            StatementKind::Precommit => "precommit",
        }
    }
}

impl fmt::Display for StatementKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Where one statement is allowed: two equivocations of one place say the same about their validator.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct StatementPlace {
    /// Who speaks.
    pub validator: PublicKey,
    /// About which height.
    pub height: BlockHeight,
    /// In which round.
    pub round: u32,
    /// What kind of statement.
    pub kind: StatementKind,
}

/// Two conflicting statements of one validator, a claim until [`verify`](Self::verify) holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Encode, Decode)]
pub struct Equivocation {
    validator: PublicKey,
    height: BlockHeight,
    round: u32,
    statements: Statements,
}

/// Why two statements show no equivocation.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum EquivocationError {
    /// The same thing said twice is no conflict.
    #[error("both statements name the same block")]
    SameBlock,
    /// The pair has another encoding, which is the one that counts.
    #[error("the statements stand in the wrong order: the smaller block comes first")]
    Order,
    /// Not a validator.
    #[error("{validator} is not a validator in office")]
    Foreign {
        /// Who is said to have signed.
        validator: PublicKey,
    },
    /// A signature does not hold.
    #[error("the signature under the {statement} statement does not hold")]
    Signature {
        /// `first` or `second`.
        statement: &'static str,
    },
}

impl Equivocation {
    /// Joins two votes of one kind, in either order.
    pub fn votes(
        validator: PublicKey,
        height: BlockHeight,
        round: u32,
        kind: VoteKind,
        votes: [SignedVote; 2],
    ) -> Self {
        let [a, b] = votes;
        let (first, second) = if a.block <= b.block { (a, b) } else { (b, a) };
        Self { validator, height, round, statements: Statements::Votes { kind, first, second } }
    }
    /// Joins two proposals, in either order.
    pub fn proposals(
        validator: PublicKey,
        height: BlockHeight,
        round: u32,
        proposals: [SignedProposal; 2],
    ) -> Self {
        let [a, b] = proposals;
        let (first, second) = if a.block <= b.block { (a, b) } else { (b, a) };
        Self { validator, height, round, statements: Statements::Proposals { first, second } }
    }
    /// Reads an equivocation from its canonical bytes.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, DecodeError> {
        decode("equivocation", bytes, MAX_EQUIVOCATION_BYTES)
    }
    /// Its canonical bytes.
    pub fn to_bytes(&self) -> Vec<u8> {
        encode(self)
    }
    /// Who said what twice.
    pub const fn place(&self) -> StatementPlace {
        let kind = match self.statements {
            Statements::Votes { kind: VoteKind::Prevote, .. } => StatementKind::Prevote,
            Statements::Votes { kind: VoteKind::Precommit, .. } => StatementKind::Precommit,
            Statements::Proposals { .. } => StatementKind::Proposal,
        };
        StatementPlace { validator: self.validator, height: self.height, round: self.round, kind }
    }
    /// The two blocks named; nothing for a vote for nothing.
    pub const fn blocks(&self) -> [Option<BlockHash>; 2] {
        match self.statements {
            Statements::Votes { first, second, .. } => [first.block, second.block],
            Statements::Proposals { first, second } => [Some(first.block), Some(second.block)],
        }
    }
    /// Checks that a validator of that set, the one in office at that height, signed both statements on
    /// that chain, and that they conflict.
    pub fn verify(&self, chain: &ChainId, set: &ValidatorSet) -> Result<(), EquivocationError> {
        let [first, second] = self.blocks();
        if first == second {
            return Err(EquivocationError::SameBlock);
        }
        if first > second {
            return Err(EquivocationError::Order);
        }
        if set.find(&self.validator).is_none() {
            return Err(EquivocationError::Foreign { validator: self.validator });
        }
        for ((digest, signature), statement) in self.signed(chain).iter().zip(["first", "second"]) {
            let held = self.validator.verify(digest, signature);
            held.map_err(|_| EquivocationError::Signature { statement })?;
        }
        Ok(())
    }
    fn signed(&self, chain: &ChainId) -> [([u8; 32], Signature); 2] {
        let (height, round) = (self.height, self.round);
        match self.statements {
            Statements::Votes { kind, first, second } => [first, second]
                .map(|vote| (vote_digest(chain, kind, height, round, vote.block.as_ref()), vote.signature)),
            Statements::Proposals { first, second } => [first, second].map(|said| {
                (proposal_digest(chain, height, round, &said.block, said.valid_round), said.signature)
            }),
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::signature::SigningKey;
    use crate::testing::{ALICE, VALIDATORS, key, validators};

    const CHAIN: ChainId = ChainId::from_bytes([9; 32]);
    const HEIGHT: BlockHeight = BlockHeight::new(3);
    const A: BlockHash = BlockHash::from_bytes([1; 32]);
    const B: BlockHash = BlockHash::from_bytes([2; 32]);

    fn vote(signer: &SigningKey, kind: VoteKind, round: u32, block: Option<BlockHash>) -> SignedVote {
        let digest = vote_digest(&CHAIN, kind, HEIGHT, round, block.as_ref());
        SignedVote { block, signature: signer.sign(&digest, &[0; 32]).unwrap() }
    }
    fn proposal(signer: &SigningKey, block: BlockHash, valid_round: Option<u32>) -> SignedProposal {
        let digest = proposal_digest(&CHAIN, HEIGHT, 0, &block, valid_round);
        SignedProposal { block, valid_round, signature: signer.sign(&digest, &[0; 32]).unwrap() }
    }
    fn votes(signer: &SigningKey, kind: VoteKind, blocks: [Option<BlockHash>; 2]) -> Equivocation {
        let votes = blocks.map(|block| vote(signer, kind, 0, block));
        Equivocation::votes(signer.public_key(), HEIGHT, 0, kind, votes)
    }

    #[test]
    fn a_statement_is_named_as_what_it_was() {
        let signer = key(VALIDATORS[1]);
        let proposals = [A, B].map(|block| proposal(&signer, block, None));
        let proposed = Equivocation::proposals(signer.public_key(), HEIGHT, 0, proposals);
        assert_eq!(proposed.place().kind.name(), "proposal");
        for (kind, name) in [(VoteKind::Prevote, "prevote"), (VoteKind::Precommit, "precommit")] {
            assert_eq!(votes(&signer, kind, [Some(A), Some(B)]).place().kind.name(), name);
        }
    }

    #[test]
    fn two_votes_of_one_round_show_an_equivocation_in_either_order() {
        let (signer, set) = (key(VALIDATORS[1]), validators(&VALIDATORS));
        for kind in [VoteKind::Prevote, VoteKind::Precommit] {
            for blocks in [[Some(A), Some(B)], [None, Some(A)]] {
                let found = votes(&signer, kind, blocks);
                assert_eq!(found.verify(&CHAIN, &set), Ok(()));
                let [a, b] = blocks;
                assert_eq!(votes(&signer, kind, [b, a]), found);
                assert_eq!(Equivocation::from_bytes(&found.to_bytes()), Ok(found));
                assert_eq!(found.blocks(), blocks);
            }
        }
    }

    #[test]
    fn two_proposals_of_one_round_show_an_equivocation() {
        let (signer, set) = (key(VALIDATORS[0]), validators(&VALIDATORS));
        let both = [proposal(&signer, B, Some(0)), proposal(&signer, A, None)];
        let found = Equivocation::proposals(signer.public_key(), HEIGHT, 0, both);
        assert_eq!(found.verify(&CHAIN, &set), Ok(()));
        assert_eq!(found.place().kind, StatementKind::Proposal);
        assert_eq!(Equivocation::from_bytes(&found.to_bytes()), Ok(found));
        // The same block proposed again with another valid round is no second block.
        let both = [proposal(&signer, A, Some(0)), proposal(&signer, A, None)];
        let again = Equivocation::proposals(signer.public_key(), HEIGHT, 0, both);
        assert_eq!(again.verify(&CHAIN, &set), Err(EquivocationError::SameBlock));
    }

    #[test]
    fn statements_that_do_not_conflict_accuse_nobody() {
        let (signer, set) = (key(VALIDATORS[1]), validators(&VALIDATORS));
        let (kind, public) = (VoteKind::Precommit, signer.public_key());
        let same = votes(&signer, kind, [Some(A), Some(A)]);
        assert_eq!(same.verify(&CHAIN, &set), Err(EquivocationError::SameBlock));
        // Votes of different rounds or kinds are allowed: joined, their signatures do not hold.
        let other_round = [vote(&signer, kind, 0, Some(A)), vote(&signer, kind, 1, Some(B))];
        let other_kind = [vote(&signer, kind, 0, Some(A)), vote(&signer, VoteKind::Prevote, 0, Some(B))];
        for pair in [other_round, other_kind] {
            let joined = Equivocation::votes(public, HEIGHT, 0, kind, pair);
            assert_eq!(
                joined.verify(&CHAIN, &set),
                Err(EquivocationError::Signature { statement: "second" })
            );
        }
        let elsewhere = ChainId::from_bytes([8; 32]);
        let found = votes(&signer, kind, [Some(A), Some(B)]);
        assert_eq!(found.verify(&elsewhere, &set), Err(EquivocationError::Signature { statement: "first" }));
    }

    #[test]
    fn nobody_is_accused_with_the_signatures_of_others() {
        let set = validators(&VALIDATORS);
        let (one, other, stranger) = (key(VALIDATORS[0]), key(VALIDATORS[1]), key(ALICE));
        let kind = VoteKind::Prevote;
        let pair = [vote(&one, kind, 0, Some(A)), vote(&other, kind, 0, Some(B))];
        let framed = Equivocation::votes(one.public_key(), HEIGHT, 0, kind, pair);
        assert_eq!(framed.verify(&CHAIN, &set), Err(EquivocationError::Signature { statement: "second" }));
        let outside = votes(&stranger, kind, [Some(A), Some(B)]);
        let validator = stranger.public_key();
        assert_eq!(outside.verify(&CHAIN, &set), Err(EquivocationError::Foreign { validator }));
    }

    #[test]
    fn a_pair_in_the_wrong_order_is_refused() {
        let (signer, set) = (key(VALIDATORS[1]), validators(&VALIDATORS));
        let mut found = votes(&signer, VoteKind::Prevote, [Some(A), Some(B)]);
        if let Statements::Votes { first, second, .. } = &mut found.statements {
            std::mem::swap(first, second);
        }
        assert_eq!(found.verify(&CHAIN, &set), Err(EquivocationError::Order));
    }
}
