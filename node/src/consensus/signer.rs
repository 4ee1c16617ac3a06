//! Signs and checks what validators say, in the bytes that the ledger fixes: votes and proposals carry the
//! chain id, so that nothing said on one network means anything on another.

use super::context::{Address, Contents, Height, PartsInit, Proposal, Sealpost, Vote, VoteSignature};
use super::engine::{
    NilOrVal, SignedMessage, Signer, SigningError, ValidatorProof, VerificationResult, Verifier,
    VoteExtensionScope, VoteType,
};
use super::names::Names;
use async_trait::async_trait;
use sealpost_ledger::certificate::{VoteKind, proposal_digest, vote_digest};
use sealpost_ledger::hash::{BlockHash, ChainId, sha256};
use sealpost_ledger::signature::{PublicKey, Signature, SigningKey};
use std::sync::Arc;

/// Checks signatures for one network, and that nobody proposes another's block as a new one.
#[derive(Debug, Clone)]
pub(super) struct VoteVerifier {
    chain: ChainId,
    names: Names,
}

/// A validator's key, bound to its network.
#[derive(Debug, Clone)]
pub(super) struct VoteSigner {
    chain: ChainId,
    key: Arc<SigningKey>,
}

impl VoteVerifier {
    pub(super) fn new(chain: ChainId) -> Self {
        Self { chain, names: Names::default() }
    }
    /// Whose names the blocks of this height bear, and who has proposed them as new.
    pub(super) const fn names(&self) -> &Names {
        &self.names
    }
    /// Whether the proposer it names really opened this stream of parts.
    pub(super) fn is_signed(&self, init: &PartsInit) -> bool {
        init.proposer.0.verify(&parts_digest(&self.chain, init), &init.signature).is_ok()
    }
    /// Whether a key has signed a proposal.
    pub(super) fn is_signed_proposal(
        &self,
        proposal: &Proposal,
        signature: &VoteSignature,
        key: &PublicKey,
    ) -> bool {
        key.verify(&digest_of_proposal(&self.chain, proposal), &signature.0).is_ok()
    }
}

impl VoteSigner {
    pub(super) const fn new(chain: ChainId, key: Arc<SigningKey>) -> Self {
        Self { chain, key }
    }
    pub(super) fn public_key(&self) -> PublicKey {
        self.key.public_key()
    }
    /// Opens a stream of parts for a block.
    pub(super) fn sign_parts(
        &self,
        height: Height,
        round: u32,
        valid_round: Option<u32>,
        block: BlockHash,
        contents: Contents,
    ) -> Result<PartsInit, SigningError> {
        let (proposer, signature) = (Address(self.public_key()), Signature::from_bytes([0; 64]));
        let init = PartsInit { height, round, valid_round, proposer, block, contents, signature };
        let signature = self.sign(&parts_digest(&self.chain, &init))?;
        Ok(PartsInit { signature, ..init })
    }
    fn sign(&self, digest: &[u8; 32]) -> Result<Signature, SigningError> {
        let mut aux_rand = [0_u8; 32];
        getrandom::fill(&mut aux_rand).map_err(|e| SigningError::from_source(e.to_string()))?;
        self.key.sign(digest, &aux_rand).map_err(|e| SigningError::from_source(e.to_string()))
    }
}

fn digest_of_vote(chain: &ChainId, vote: &Vote) -> [u8; 32] {
    let kind = match vote.kind {
        VoteType::Prevote => VoteKind::Prevote,
        VoteType::Precommit => VoteKind::Precommit,
    };
    let block = match &vote.block {
        NilOrVal::Nil => None,
        NilOrVal::Val(block) => Some(block),
    };
    vote_digest(chain, kind, vote.height.0, vote.round.as_u32().unwrap_or(0), block)
}

fn digest_of_proposal(chain: &ChainId, proposal: &Proposal) -> [u8; 32] {
    let Proposal { height, round, value, valid_round, .. } = proposal;
    proposal_digest(chain, height.0, round.as_u32().unwrap_or(0), &value.0, valid_round.as_u32())
}

/// Every field of the opening but its signature; the hashes of the pieces come last, for only their number varies. It
/// begins unlike a tagged hash, so it can be no vote.
fn parts_digest(chain: &ChainId, init: &PartsInit) -> [u8; 32] {
    let present = [u8::from(init.valid_round.is_some())];
    sha256(&[
        b"sealpost/v1/proposal-parts",
        chain.as_bytes(),
        &init.height.0.get().to_le_bytes(),
        &init.round.to_le_bytes(),
        &present,
        &init.valid_round.unwrap_or(0).to_le_bytes(),
        init.proposer.0.as_bytes(),
        init.block.as_bytes(),
        &init.contents.length.to_le_bytes(),
        init.contents.pieces.as_flattened(),
    ])
}

/// That a validator speaks through a certain peer.
fn proof_digest(chain: &ChainId, public_key: &[u8], peer_id: &[u8]) -> [u8; 32] {
    let preimage = ValidatorProof::<Sealpost>::signing_bytes(public_key, peer_id);
    sha256(&[b"sealpost/v1/validator-proof", chain.as_bytes(), &preimage])
}

fn result(is_valid: bool) -> Result<VerificationResult, SigningError> {
    Ok(VerificationResult::from_bool(is_valid))
}

#[async_trait]
impl Verifier<Sealpost> for VoteVerifier {
    async fn verify_signed_vote(
        &self,
        vote: &Vote,
        signature: &VoteSignature,
        key: &PublicKey,
    ) -> Result<VerificationResult, SigningError> {
        result(key.verify(&digest_of_vote(&self.chain, vote), &signature.0).is_ok())
    }
    async fn verify_signed_proposal(
        &self,
        proposal: &Proposal,
        signature: &VoteSignature,
        key: &PublicKey,
    ) -> Result<VerificationResult, SigningError> {
        let is_signed = self.is_signed_proposal(proposal, signature, key);
        result(is_signed && self.names.admits_proposal(proposal))
    }
    async fn verify_signed_vote_extension(
        &self,
        _: &VoteExtensionScope<Sealpost>,
        (): &(),
        _: &VoteSignature,
        _: &PublicKey,
    ) -> Result<VerificationResult, SigningError> {
        // Votes carry no extensions on this chain; one that arrives is not ours.
        result(false)
    }
    async fn verify_validator_proof(
        &self,
        proof: &ValidatorProof<Sealpost>,
    ) -> Result<VerificationResult, SigningError> {
        let Ok(key) = proof.decoded_public_key() else { return result(false) };
        let digest = proof_digest(&self.chain, &proof.public_key, &proof.peer_id);
        result(key.verify(&digest, &proof.signature.0).is_ok())
    }
}

#[async_trait]
impl Signer<Sealpost> for VoteSigner {
    async fn sign_vote(&self, vote: Vote) -> Result<SignedMessage<Sealpost, Vote>, SigningError> {
        let signature = self.sign(&digest_of_vote(&self.chain, &vote))?;
        Ok(SignedMessage::new(vote, VoteSignature(signature)))
    }
    async fn sign_proposal(
        &self,
        proposal: Proposal,
    ) -> Result<SignedMessage<Sealpost, Proposal>, SigningError> {
        let signature = self.sign(&digest_of_proposal(&self.chain, &proposal))?;
        Ok(SignedMessage::new(proposal, VoteSignature(signature)))
    }
    async fn sign_vote_extension(
        &self,
        _: VoteExtensionScope<Sealpost>,
        (): (),
    ) -> Result<SignedMessage<Sealpost, ()>, SigningError> {
        Err(SigningError::from_source("votes carry no extensions on this chain"))
    }
    async fn sign_validator_proof(
        &self,
        public_key: Vec<u8>,
        peer_id: Vec<u8>,
    ) -> Result<ValidatorProof<Sealpost>, SigningError> {
        let signature = self.sign(&proof_digest(&self.chain, &public_key, &peer_id))?;
        Ok(ValidatorProof::new(public_key, peer_id, VoteSignature(signature)))
    }
}
