//! Signatures that were checked before. All validators of a simulation check the same ones, and a check costs more than
//! everything else that a vote does.

use crate::consensus::codec::WireCodec;
use crate::consensus::context::{Proposal, Sealpost, Vote, VoteSignature};
use crate::consensus::engine::{
    Codec, SignedConsensusMsg, SignedMessage, SigningError, ValidatorProof, VerificationResult, Verifier,
    VoteExtensionScope,
};
use crate::consensus::signer::VoteVerifier;
use async_trait::async_trait;
use bytes::Bytes;
use sealpost_ledger::hash::ChainId;
use sealpost_ledger::signature::PublicKey;
use std::cell::RefCell;
use std::collections::HashMap;

/// So many are remembered.
const REMEMBERED: usize = 20_000;

thread_local! {
    static KNOWN: RefCell<HashMap<(ChainId, PublicKey, Bytes), bool>> = RefCell::default();
}

/// A verifier that asks another one what it does not know.
#[derive(Debug)]
pub(super) struct Remembering {
    chain: ChainId,
    verifier: VoteVerifier,
}

impl Remembering {
    pub(super) const fn new(chain: ChainId, verifier: VoteVerifier) -> Self {
        Self { chain, verifier }
    }
    /// What is known of a message under a key, and what it is remembered by.
    fn recall(
        &self,
        message: &SignedConsensusMsg<Sealpost>,
        key: &PublicKey,
    ) -> Option<((ChainId, PublicKey, Bytes), Option<bool>)> {
        let name = (self.chain, *key, WireCodec.encode(message).ok()?);
        let known = KNOWN.with_borrow(|known| known.get(&name).copied());
        Some((name, known))
    }
}

fn remember(name: (ChainId, PublicKey, Bytes), valid: bool) {
    KNOWN.with_borrow_mut(|known| {
        if known.len() >= REMEMBERED {
            known.clear();
        }
        known.insert(name, valid);
    });
}

#[async_trait]
impl Verifier<Sealpost> for Remembering {
    async fn verify_signed_vote(
        &self,
        vote: &Vote,
        signature: &VoteSignature,
        key: &PublicKey,
    ) -> Result<VerificationResult, SigningError> {
        let message = SignedConsensusMsg::Vote(SignedMessage::new(vote.clone(), *signature));
        let recalled = self.recall(&message, key);
        if let Some((_, Some(valid))) = recalled {
            return Ok(VerificationResult::from_bool(valid));
        }
        let result = self.verifier.verify_signed_vote(vote, signature, key).await?;
        if let Some((name, _)) = recalled {
            remember(name, result.is_valid());
        }
        Ok(result)
    }
    async fn verify_signed_proposal(
        &self,
        proposal: &Proposal,
        signature: &VoteSignature,
        key: &PublicKey,
    ) -> Result<VerificationResult, SigningError> {
        let message = SignedConsensusMsg::Proposal(SignedMessage::new(proposal.clone(), *signature));
        let is_signed = match self.recall(&message, key) {
            Some((_, Some(is_signed))) => is_signed,
            recalled => {
                let is_signed = self.verifier.is_signed_proposal(proposal, signature, key);
                if let Some((name, None)) = recalled {
                    remember(name, is_signed);
                }
                is_signed
            }
        };
        // Others may not have its block.
        let is_valid = is_signed && self.verifier.names().admits_proposal(proposal);
        Ok(VerificationResult::from_bool(is_valid))
    }
    async fn verify_signed_vote_extension(
        &self,
        scope: &VoteExtensionScope<Sealpost>,
        extension: &(),
        signature: &VoteSignature,
        key: &PublicKey,
    ) -> Result<VerificationResult, SigningError> {
        self.verifier.verify_signed_vote_extension(scope, extension, signature, key).await
    }
    async fn verify_validator_proof(
        &self,
        proof: &ValidatorProof<Sealpost>,
    ) -> Result<VerificationResult, SigningError> {
        self.verifier.verify_validator_proof(proof).await
    }
}
