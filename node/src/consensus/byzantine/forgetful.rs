//! Amnesia: a validator that votes against what it is locked on. Its engine locks itself as it must and asks for its
//! votes to be signed; what is signed here is another vote, and the engine counts that one as its own. At the seam it
//! would be too late: the engine would have its vote already, and decide with it.

use super::super::context::{Proposal, Sealpost, Vote};
use super::super::engine::{
    NilOrVal, SignedExtension, SignedMessage, Signer, SigningError, ValidatorProof, VoteExtensionScope,
    VoteType,
};
use super::super::signer::VoteSigner;
use super::liar::misbehaved;
use super::{KEPT, Misdeed};
use async_trait::async_trait;
use sealpost_ledger::hash::BlockHash;
use sealpost_ledger::height::BlockHeight;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

/// What was locked on, and what others have proposed since. Two see it: who signs, and who speaks.
#[derive(Debug, Clone, Default)]
pub(super) struct Memory(Arc<Mutex<Remembered>>);

#[derive(Debug, Default)]
struct Remembered {
    lock: Option<(BlockHeight, u32, BlockHash)>,
    /// Block by height and round.
    proposed: BTreeMap<(BlockHeight, u32), BlockHash>,
}

impl Memory {
    /// Somebody has proposed a block.
    pub(super) fn overheard(&self, proposal: &Proposal) {
        let mut remembered = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let round = proposal.round.as_u32().unwrap_or(0);
        remembered.proposed.insert((proposal.height.0, round), proposal.value.0);
        while remembered.proposed.len() > KEPT {
            remembered.proposed.pop_first();
        }
    }
    /// The block that the engine locked itself to in an earlier round of this height.
    pub(super) fn locked(&self, height: BlockHeight, round: u32) -> Option<BlockHash> {
        let remembered = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let lock = remembered.lock.filter(|(locked, at, _)| *locked == height && *at < round);
        lock.map(|(_, _, block)| block)
    }
    fn lock(&self, height: BlockHeight, round: u32, block: BlockHash) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).lock = Some((height, round, block));
    }
    fn other(&self, height: BlockHeight, round: u32, than: BlockHash) -> NilOrVal<BlockHash> {
        let remembered = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let other = remembered.proposed.get(&(height, round)).filter(|block| **block != than);
        other.map_or(NilOrVal::Nil, |block| NilOrVal::Val(*block))
    }
}

/// Signs, and forgets.
#[derive(Debug, Clone)]
pub(super) struct Forgetful {
    pub(super) signer: VoteSigner,
    pub(super) memory: Memory,
}

impl Forgetful {
    /// What is voted for in place of what the engine wants. In every second height not even the first lock is told of,
    /// so that there is a further round in which it can be forgotten.
    fn instead(&self, vote: &Vote) -> NilOrVal<BlockHash> {
        let (height, round) = (vote.height.0, vote.round.as_u32().unwrap_or(0));
        let Some(on) = self.memory.locked(height, round) else {
            if let (VoteType::Precommit, NilOrVal::Val(block)) = (vote.kind, vote.block) {
                self.memory.lock(height, round, block);
                if height.get().is_multiple_of(2) {
                    return NilOrVal::Nil;
                }
            }
            return vote.block;
        };
        let against = match vote.block {
            NilOrVal::Val(block) if block != on => NilOrVal::Val(block),
            NilOrVal::Val(_) => NilOrVal::Nil,
            NilOrVal::Nil => self.memory.other(height, round, on),
        };
        misbehaved(Misdeed::Amnesia, vote.height, vote.round, &on);
        against
    }
}

#[async_trait]
impl Signer<Sealpost> for Forgetful {
    async fn sign_vote(&self, vote: Vote) -> Result<SignedMessage<Sealpost, Vote>, SigningError> {
        let block = self.instead(&vote);
        self.signer.sign_vote(Vote { block, ..vote }).await
    }
    async fn sign_proposal(
        &self,
        proposal: Proposal,
    ) -> Result<SignedMessage<Sealpost, Proposal>, SigningError> {
        self.signer.sign_proposal(proposal).await
    }
    async fn sign_vote_extension(
        &self,
        scope: VoteExtensionScope<Sealpost>,
        (): (),
    ) -> Result<SignedExtension<Sealpost>, SigningError> {
        self.signer.sign_vote_extension(scope, ()).await
    }
    async fn sign_validator_proof(
        &self,
        public_key: Vec<u8>,
        peer_id: Vec<u8>,
    ) -> Result<ValidatorProof<Sealpost>, SigningError> {
        self.signer.sign_validator_proof(public_key, peer_id).await
    }
}
