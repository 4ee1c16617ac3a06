//! The engine's evidence against validators, in the ledger's own form, which outlives the engine.

use super::context::{Proposal, Sealpost, Vote, VoteSignature};
use super::engine::{MisbehaviorEvidence, NilOrVal, VoteType};
use sealpost_ledger::certificate::VoteKind;
use sealpost_ledger::equivocation::{Equivocation, SignedProposal, SignedVote};

/// What validators said twice since the last height was decided, as far as the engine saw it.
pub(super) fn equivocations(evidence: &MisbehaviorEvidence<Sealpost>) -> Vec<Equivocation> {
    let votes = evidence.votes.iter().flat_map(|(_, pairs)| pairs);
    let votes = votes.map(|(a, b)| {
        let Vote { kind, height, round, voter, .. } = &a.message;
        let kind = match kind {
            VoteType::Prevote => VoteKind::Prevote,
            VoteType::Precommit => VoteKind::Precommit,
        };
        let pair = [signed_vote(&a.message, a.signature), signed_vote(&b.message, b.signature)];
        Equivocation::votes(voter.0, height.0, round.as_u32().unwrap_or(0), kind, pair)
    });
    let proposals = evidence.proposals.iter().flat_map(|(_, pairs)| pairs);
    let proposals = proposals.map(|(a, b)| {
        let Proposal { height, round, proposer, .. } = &a.message;
        let pair = [signed_proposal(&a.message, a.signature), signed_proposal(&b.message, b.signature)];
        Equivocation::proposals(proposer.0, height.0, round.as_u32().unwrap_or(0), pair)
    });
    votes.chain(proposals).collect()
}

const fn signed_vote(vote: &Vote, signature: VoteSignature) -> SignedVote {
    let block = match vote.block {
        NilOrVal::Nil => None,
        NilOrVal::Val(block) => Some(block),
    };
    SignedVote { block, signature: signature.0 }
}

fn signed_proposal(proposal: &Proposal, signature: VoteSignature) -> SignedProposal {
    let (block, valid_round) = (proposal.value.0, proposal.valid_round.as_u32());
    SignedProposal { block, valid_round, signature: signature.0 }
}
