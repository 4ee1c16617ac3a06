//! Commit certificates: the signatures by which validators made a block final. A certificate stands
//! beside its block, never inside what the block's hash covers; two nodes may hold different valid ones.
//!
//! This file knows no consensus engine: it fixes the bytes that votes sign, and whoever drives consensus
//! has to sign exactly these.

use crate::codec::{Decode, DecodeError, Encode, decode, encode};
use crate::hash::{BlockHash, ChainId, Tag, ValidatorsHash, tagged};
use crate::height::BlockHeight;
use crate::signature::{Signature, Signed, verify_batch};
use crate::validator::{QuorumError, ValidatorSet};
use thiserror::Error;

/// The two rounds of voting (Tendermint, arXiv:1807.04938).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Encode, Decode)]
pub enum VoteKind {
    /// "I have seen a valid proposal."
    Prevote,
    /// "I have seen two thirds prevote it." These make a certificate.
    Precommit,
}

/// What a validator signs to vote. `block` is absent in a vote for nothing.
pub fn vote_digest(
    chain: &ChainId,
    kind: VoteKind,
    height: BlockHeight,
    round: u32,
    block: Option<&BlockHash>,
) -> [u8; 32] {
    let kind = match kind {
        VoteKind::Prevote => [1_u8],
        VoteKind::Precommit => [2],
    };
    let present = [u8::from(block.is_some())];
    let block = block.map_or([0; 32], |hash| hash.to_bytes());
    let (height, round) = (height.get().to_le_bytes(), round.to_le_bytes());
    tagged(Tag::Vote, &[chain.as_bytes(), &kind, &height, &round, &present, &block])
}

/// What a proposer signs. `valid_round` is the round in which two thirds prevoted the block before, if any.
pub fn proposal_digest(
    chain: &ChainId,
    height: BlockHeight,
    round: u32,
    block: &BlockHash,
    valid_round: Option<u32>,
) -> [u8; 32] {
    let (height, round) = (height.get().to_le_bytes(), round.to_le_bytes());
    let present = [u8::from(valid_round.is_some())];
    let valid_round = valid_round.unwrap_or(0).to_le_bytes();
    tagged(Tag::Proposal, &[chain.as_bytes(), &height, &round, block.as_bytes(), &present, &valid_round])
}

/// One validator's precommit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Encode, Decode)]
pub struct CommitSignature {
    /// Position in the validator set of that height.
    pub validator: u16,
    /// Signature over [`vote_digest`] of the precommit.
    pub signature: Signature,
}

/// Precommits of more than two thirds of the power for one block.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct CommitCertificate {
    /// The block's height.
    pub height: BlockHeight,
    /// The round that decided.
    pub round: u32,
    /// The block.
    pub block: BlockHash,
    /// By position, strictly ascending: nobody counts twice.
    pub signatures: Vec<CommitSignature>,
}

/// Why a certificate does not make its block final.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum CertificateError {
    /// For another block or height.
    #[error(
        "the certificate is for block {found} at height {found_height}, not for {expected} at {expected_height}"
    )]
    OtherBlock {
        /// Block it names.
        found: BlockHash,
        /// Height it names.
        found_height: BlockHeight,
        /// Block wanted.
        expected: BlockHash,
        /// Height wanted.
        expected_height: BlockHeight,
    },
    /// A signer that is not in the set.
    #[error("the certificate is signed by validator {position}, but the set has {count}")]
    Foreign {
        /// Its position.
        position: u16,
        /// Validators in the set.
        count: usize,
    },
    /// Signers repeated or out of order.
    #[error("the certificate names validator {position} twice or out of order")]
    Repeated {
        /// Its position.
        position: u16,
    },
    /// Not enough power.
    #[error("validators with power {signed} of {total} signed, more than two thirds are needed")]
    TooFew {
        /// Power that signed.
        signed: u64,
        /// All power.
        total: u64,
    },
    /// A signature is wrong.
    #[error("the signature of validator {position} does not match the block")]
    Signature {
        /// Its position.
        position: u16,
    },
    /// It was verified, but for another network or under other validators.
    #[error("the certificate was verified for another network, or under validators {found}, not {expected}")]
    Elsewhere {
        /// The validators it was verified under.
        found: ValidatorsHash,
        /// Those that decide the block.
        expected: ValidatorsHash,
    },
}

impl From<QuorumError> for CertificateError {
    fn from(error: QuorumError) -> Self {
        match error {
            QuorumError::Foreign { position, count } => CertificateError::Foreign { position, count },
            QuorumError::Repeated { position } => CertificateError::Repeated { position },
            QuorumError::TooFew { signed, total } => CertificateError::TooFew { signed, total },
            QuorumError::Signature { position } => CertificateError::Signature { position },
        }
    }
}

/// No certificate is longer than this, in bytes: room for a signature of every validator there can be.
pub const MAX_CERTIFICATE_BYTES: usize = 128 * 1024;

impl CommitCertificate {
    /// Reads a certificate from its canonical bytes.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, DecodeError> {
        decode("commit certificate", bytes, MAX_CERTIFICATE_BYTES)
    }
    /// Its canonical bytes.
    pub fn to_bytes(&self) -> Vec<u8> {
        encode(self)
    }
    /// Checks that the certificate makes that block final under that set. Every signature in it must
    /// hold: a certificate with one bad signature is refused even if the rest would do.
    pub fn verify(
        &self,
        chain: &ChainId,
        height: BlockHeight,
        block: &BlockHash,
        set: &ValidatorSet,
    ) -> Result<(), CertificateError> {
        self.check_block(height, block)?;
        Ok(set.verify_quorum(self.digest(chain), self.by_position())?)
    }
    /// Checks the signatures, for the block that the certificate names itself.
    pub fn verify_for(
        self,
        chain: &ChainId,
        set: &ValidatorSet,
    ) -> Result<VerifiedCertificate, CertificateError> {
        self.verify(chain, self.height, &self.block, set)?;
        Ok(VerifiedCertificate { certificate: self, chain: *chain, set: set.hash() })
    }
    /// As [`verify_for`](Self::verify_for) for each, with one check for all signatures together.
    pub fn verify_many_for(
        certificates: Vec<Self>,
        chain: &ChainId,
        set: &ValidatorSet,
    ) -> Vec<Result<VerifiedCertificate, CertificateError>> {
        let claims: Result<Vec<_>, _> = certificates.iter().map(|c| c.claims(chain, set)).collect();
        if claims.is_ok_and(|claims| verify_batch(&claims.concat()).is_ok()) {
            let (chain, set) = (*chain, set.hash());
            let verified = |certificate| Ok(VerifiedCertificate { certificate, chain, set });
            return certificates.into_iter().map(verified).collect();
        }
        // Something is wrong with one of them: each by itself shows which.
        certificates.into_iter().map(|certificate| certificate.verify_for(chain, set)).collect()
    }
    /// Its signatures, if they are a quorum's.
    fn claims(&self, chain: &ChainId, set: &ValidatorSet) -> Result<Vec<Signed>, QuorumError> {
        let claims = set.quorum_claims(self.digest(chain), self.by_position())?;
        Ok(claims.into_iter().map(|(_, signed)| signed).collect())
    }
    /// What its validators signed.
    fn digest(&self, chain: &ChainId) -> [u8; 32] {
        vote_digest(chain, VoteKind::Precommit, self.height, self.round, Some(&self.block))
    }
    fn by_position(&self) -> impl ExactSizeIterator<Item = (u16, Signature)> {
        self.signatures.iter().map(|commit| (commit.validator, commit.signature))
    }
    /// Whether it is about that block.
    fn check_block(&self, height: BlockHeight, block: &BlockHash) -> Result<(), CertificateError> {
        if self.block == *block && self.height == height {
            return Ok(());
        }
        Err(CertificateError::OtherBlock {
            found: self.block,
            found_height: self.height,
            expected: *block,
            expected_height: height,
        })
    }
}

/// A certificate whose signatures hold under a set of validators. Whether that set decides the block it names
/// is compared when it makes the block final: so signatures can be checked before anything else is known.
/// Only [`CommitCertificate::verify_for`] and [`CommitCertificate::verify_many_for`] make one.
#[derive(Debug, Clone)]
pub struct VerifiedCertificate {
    certificate: CommitCertificate,
    chain: ChainId,
    set: ValidatorsHash,
}

impl VerifiedCertificate {
    /// The certificate, if it makes that block final under that set.
    pub fn check(
        self,
        chain: &ChainId,
        height: BlockHeight,
        block: &BlockHash,
        set: &ValidatorSet,
    ) -> Result<CommitCertificate, CertificateError> {
        let Self { certificate, chain: verified_on, set: found } = self;
        certificate.check_block(height, block)?;
        let expected = set.hash();
        if verified_on != *chain || found != expected {
            return Err(CertificateError::Elsewhere { found, expected });
        }
        Ok(certificate)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::indexing_slicing)]
mod tests {
    use super::*;
    use crate::signature::SigningKey;
    use crate::validator::Validator;

    const CHAIN: ChainId = ChainId::from_bytes([9; 32]);
    const BLOCK: BlockHash = BlockHash::from_bytes([5; 32]);
    const HEIGHT: BlockHeight = BlockHeight::new(3);

    fn certificate(signers: &[u16]) -> (ValidatorSet, CommitCertificate) {
        let keys: Vec<_> = (1..=4).map(|n| SigningKey::from_bytes(&[n; 32]).unwrap()).collect();
        let validators = keys.iter().map(|k| Validator { key: k.public_key(), power: 1 }).collect();
        let set = ValidatorSet::new(validators).unwrap();
        let digest = vote_digest(&CHAIN, VoteKind::Precommit, HEIGHT, 0, Some(&BLOCK));
        let key_of = |v: u16| keys.iter().find(|k| k.public_key() == set.get(v).unwrap().key).unwrap();
        let sign =
            |v: u16| CommitSignature { validator: v, signature: key_of(v).sign(&digest, &[0; 32]).unwrap() };
        let signatures = signers.iter().map(|v| sign(*v)).collect();
        (set.clone(), CommitCertificate { height: HEIGHT, round: 0, block: BLOCK, signatures })
    }

    #[test]
    fn three_of_four_decide_and_two_do_not() {
        let (set, good) = certificate(&[0, 2, 3]);
        assert_eq!(good.verify(&CHAIN, HEIGHT, &BLOCK, &set), Ok(()));
        let (set, few) = certificate(&[0, 2]);
        assert_eq!(
            few.verify(&CHAIN, HEIGHT, &BLOCK, &set),
            Err(CertificateError::TooFew { signed: 2, total: 4 })
        );
    }

    #[test]
    fn one_wrong_signature_is_enough_to_refuse() {
        let (set, mut cert) = certificate(&[0, 1, 2, 3]);
        cert.signatures[3].signature = cert.signatures[2].signature;
        assert_eq!(
            cert.verify(&CHAIN, HEIGHT, &BLOCK, &set),
            Err(CertificateError::Signature { position: 3 })
        );
    }

    #[test]
    fn a_repeated_signer_does_not_count_twice() {
        let (set, mut cert) = certificate(&[0, 1]);
        cert.signatures.push(cert.signatures[1]);
        assert_eq!(
            cert.verify(&CHAIN, HEIGHT, &BLOCK, &set),
            Err(CertificateError::Repeated { position: 1 })
        );
    }

    #[test]
    fn another_chain_or_round_does_not_verify() {
        let (set, mut cert) = certificate(&[0, 1, 2]);
        assert!(cert.verify(&ChainId::from_bytes([8; 32]), HEIGHT, &BLOCK, &set).is_err());
        cert.round = 1;
        assert!(cert.verify(&CHAIN, HEIGHT, &BLOCK, &set).is_err());
    }
}
