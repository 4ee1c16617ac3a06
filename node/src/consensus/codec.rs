//! How the engine's messages look on the wire and in its write-ahead log. The engine's types know no
//! encoding, so each has a mirror here that goes through the ledger's canonical, bounded one.

use super::context::{
    Address, BlockValue, Contents, Height, Part, PartsInit, PieceHash, Proposal, Sealpost, Vote,
    VoteSignature,
};
use super::engine::{
    self, CommitCertificate as EngineCertificate, ExtendedCommitCertificate, ExtendedCommitSignature,
    LivenessMsg, NilOrVal, PolkaCertificate, PolkaSignature, ProposedValue, RawDecidedValue, Round,
    RoundCertificate, RoundCertificateType, RoundSignature, SignedConsensusMsg, SignedMessage, StreamContent,
    StreamId, StreamMessage, SyncRequest, SyncResponse, SyncStatus, ValidatorProof, Validity, VoteType,
};
use bytes::Bytes;
use sealpost_ledger::certificate::{CommitCertificate, CommitSignature};
use sealpost_ledger::codec::{Decode, DecodeError, Encode, MAX_BYTES, decode, encode};
use sealpost_ledger::hash::BlockHash;
use sealpost_ledger::height::BlockHeight;
use sealpost_ledger::signature::{PublicKey, Signature};
use sealpost_ledger::validator::ValidatorSet;
use thiserror::Error;

/// Votes, proposals and certificates are no longer than this, in bytes.
const MAX_MESSAGE_BYTES: usize = 256 * 1024;
/// Parts are no longer than this: a piece and its frame.
const MAX_PART_BYTES: usize = 128 * 1024;

/// The codec the engine is given, for the wire, for its log and for catching up.
#[derive(Debug, Clone, Copy)]
pub(super) struct WireCodec;

/// Bytes from a peer, or from the log, are not a message.
#[derive(Debug, Error)]
pub(super) enum WireError {
    /// Not in the format.
    #[error(transparent)]
    Format(#[from] DecodeError),
    /// A peer's name that is none.
    #[error("peer id: {0}")]
    Peer(String),
    /// A kind of vote or certificate that there is not. Taken for one of those that there are, a vote would have
    /// many spellings, each of which is a message of its own to the network.
    #[error("kind {0} is unknown")]
    Kind(u8),
    /// A vote, a proposal or a certificate of no round. Its signature is the same as that of round 0: taken for one, it
    /// would be a second spelling, and the engine would not see that it contradicts the first.
    #[error("a {0} names no round")]
    NoRound(&'static str),
}

type WireVote = (u8, BlockHeight, Option<u32>, Option<BlockHash>, PublicKey, Signature);
type WireProposal = (BlockHeight, Option<u32>, BlockHash, Option<u32>, PublicKey, Signature);
type WirePolka = (BlockHeight, Option<u32>, BlockHash, Vec<(PublicKey, Signature)>);
type WireRoundSignature = (u8, Option<BlockHash>, PublicKey, Signature);
type WireRoundCertificate = (BlockHeight, Option<u32>, u8, Vec<WireRoundSignature>);
type WireInit = (BlockHeight, u32, Option<u32>, PublicKey, BlockHash, u32, Vec<PieceHash>, Signature);
type WireValue = (BlockHeight, Option<u32>, Option<u32>, PublicKey, BlockHash, bool);
type WireDecided = (Vec<u8>, BlockHeight, Option<u32>, BlockHash, Vec<(PublicKey, Signature)>);

#[derive(Encode, Decode)]
#[bincode(crate = "sealpost_ledger::codec")]
enum WireMessage {
    Vote(WireVote),
    Proposal(WireProposal),
}

#[derive(Encode, Decode)]
#[bincode(crate = "sealpost_ledger::codec")]
enum WireLiveness {
    Vote(WireVote),
    Polka(WirePolka),
    Skip(WireRoundCertificate),
}

#[derive(Encode, Decode)]
#[bincode(crate = "sealpost_ledger::codec")]
enum WirePart {
    Init(WireInit),
    Piece(Vec<u8>, bool),
}

/// A stream's id, the part's place in it, and the part; none at the end.
type WireStream = (Vec<u8>, u64, Option<WirePart>);

const fn round_of(round: Option<u32>) -> Round {
    match round {
        Some(round) => Round::new(round),
        None => Round::Nil,
    }
}

/// The round of something that always has one.
fn round_in(what: &'static str, round: Option<u32>) -> Result<Round, WireError> {
    round.map(Round::new).ok_or(WireError::NoRound(what))
}

const fn kind_of(kind: u8) -> Result<VoteType, WireError> {
    match kind {
        1 => Ok(VoteType::Prevote),
        2 => Ok(VoteType::Precommit),
        other => Err(WireError::Kind(other)),
    }
}

const fn kind_number(kind: VoteType) -> u8 {
    match kind {
        VoteType::Prevote => 1,
        VoteType::Precommit => 2,
    }
}

fn block_of(value: &NilOrVal<BlockHash>) -> Option<BlockHash> {
    match value {
        NilOrVal::Nil => None,
        NilOrVal::Val(hash) => Some(*hash),
    }
}

fn value_of(block: Option<BlockHash>) -> NilOrVal<BlockHash> {
    block.map_or(NilOrVal::Nil, NilOrVal::Val)
}

fn wire_vote(vote: &SignedMessage<Sealpost, Vote>) -> WireVote {
    let Vote { kind, height, round, block, voter } = &vote.message;
    (kind_number(*kind), height.0, round.as_u32(), block_of(block), voter.0, vote.signature.0)
}

fn vote_of(wire: WireVote) -> Result<SignedMessage<Sealpost, Vote>, WireError> {
    let (kind, height, round, block, voter, signature) = wire;
    let (height, round, voter) = (Height(height), round_in("vote", round)?, Address(voter));
    let vote = Vote { kind: kind_of(kind)?, height, round, block: value_of(block), voter };
    Ok(SignedMessage::new(vote, VoteSignature(signature)))
}

fn wire_proposal(proposal: &SignedMessage<Sealpost, Proposal>) -> WireProposal {
    let Proposal { height, round, value, valid_round, proposer } = &proposal.message;
    (height.0, round.as_u32(), value.0, valid_round.as_u32(), proposer.0, proposal.signature.0)
}

fn proposal_of(wire: WireProposal) -> Result<SignedMessage<Sealpost, Proposal>, WireError> {
    let (height, round, value, valid_round, proposer, signature) = wire;
    let (round, valid_round) = (round_in("proposal", round)?, round_of(valid_round));
    let (height, value, proposer) = (Height(height), BlockValue(value), Address(proposer));
    let proposal = Proposal { height, round, value, valid_round, proposer };
    Ok(SignedMessage::new(proposal, VoteSignature(signature)))
}

fn wire_polka(polka: &PolkaCertificate<Sealpost>) -> WirePolka {
    let signatures = polka.polka_signatures.iter().map(|s| (s.address.0, s.signature.0)).collect();
    (polka.height.0, polka.round.as_u32(), polka.value_id, signatures)
}

fn polka_of(
    (height, round, value_id, signatures): WirePolka,
) -> Result<PolkaCertificate<Sealpost>, WireError> {
    let (round, signatures) = (round_in("polka certificate", round)?, signatures.into_iter());
    let polka_signatures = signatures
        .map(|(key, signature)| PolkaSignature::new(Address(key), VoteSignature(signature)))
        .collect();
    Ok(PolkaCertificate { height: Height(height), round, value_id, polka_signatures })
}

fn wire_round_certificate(certificate: &RoundCertificate<Sealpost>) -> WireRoundCertificate {
    let kind = match certificate.cert_type {
        RoundCertificateType::Skip => 1,
        RoundCertificateType::Precommit => 2,
    };
    let signatures = certificate.round_signatures.iter();
    let signatures = signatures
        .map(|s| (kind_number(s.vote_type), block_of(&s.value_id), s.address.0, s.signature.0))
        .collect();
    (certificate.height.0, certificate.round.as_u32(), kind, signatures)
}

fn round_certificate_of(
    (height, round, kind, signatures): WireRoundCertificate,
) -> Result<RoundCertificate<Sealpost>, WireError> {
    let cert_type = match kind {
        1 => RoundCertificateType::Skip,
        2 => RoundCertificateType::Precommit,
        other => return Err(WireError::Kind(other)),
    };
    let round_signatures = signatures
        .into_iter()
        .map(|(kind, block, key, signature)| {
            let (value, address, signature) = (value_of(block), Address(key), VoteSignature(signature));
            Ok(RoundSignature::new(kind_of(kind)?, value, address, signature))
        })
        .collect::<Result<_, WireError>>()?;
    let (height, round) = (Height(height), round_in("round certificate", round)?);
    Ok(RoundCertificate { height, round, cert_type, round_signatures })
}

fn wire_part(part: &Part) -> WirePart {
    match part {
        Part::Init(init) => {
            let PartsInit { height, round, valid_round, proposer, block, contents, signature } = init;
            let Contents { length, pieces } = contents;
            let (height, proposer, pieces) = (height.0, proposer.0, pieces.clone());
            WirePart::Init((height, *round, *valid_round, proposer, *block, *length, pieces, *signature))
        }
        Part::Piece { bytes, last } => WirePart::Piece(bytes.to_vec(), *last),
    }
}

fn part_of(wire: WirePart) -> Part {
    match wire {
        WirePart::Init((height, round, valid_round, proposer, block, length, pieces, signature)) => {
            let (height, proposer) = (Height(height), Address(proposer));
            let contents = Contents { length, pieces };
            Part::Init(PartsInit { height, round, valid_round, proposer, block, contents, signature })
        }
        WirePart::Piece(bytes, last) => Part::Piece { bytes: bytes.into(), last },
    }
}

/// A ledger certificate, as the engine wants to see it when it helps another node to catch up.
pub(super) fn engine_certificate(
    certificate: &CommitCertificate,
    set: &ValidatorSet,
) -> ExtendedCommitCertificate<Sealpost> {
    let signatures = certificate.signatures.iter().filter_map(|commit| {
        let key = set.get(commit.validator)?.key;
        Some(ExtendedCommitSignature::new(Address(key), VoteSignature(commit.signature), None))
    });
    ExtendedCommitCertificate {
        height: Height(certificate.height),
        round: Round::new(certificate.round),
        value_id: certificate.block,
        commit_signatures: signatures.collect(),
    }
}

/// An engine's certificate in the ledger's words. Signers that the set does not know are left out; the
/// ledger's own check then counts what remains.
pub(super) fn ledger_certificate(
    certificate: &EngineCertificate<Sealpost>,
    set: &ValidatorSet,
) -> CommitCertificate {
    let signatures = certificate.commit_signatures.iter().filter_map(|commit| {
        let (validator, _) = set.find(&commit.address.0)?;
        Some(CommitSignature { validator, signature: commit.signature.0 })
    });
    let mut signatures: Vec<CommitSignature> = signatures.collect();
    signatures.sort_by_key(|commit| commit.validator);
    signatures.dedup_by_key(|commit| commit.validator);
    CommitCertificate {
        height: certificate.height.0,
        round: certificate.round.as_u32().unwrap_or(0),
        block: certificate.value_id,
        signatures,
    }
}

macro_rules! wire {
    ($($type:ty, $what:literal, $limit:expr, |$value:ident| $to:expr, $wire:ty, |$back:ident| $from:expr;)*) => {$(
        impl engine::Codec<$type> for WireCodec {
            type Error = WireError;
            fn encode(&self, $value: &$type) -> Result<Bytes, WireError> {
                let wire: $wire = $to;
                Ok(encode(&wire).into())
            }
            fn decode(&self, bytes: Bytes) -> Result<$type, WireError> {
                let $back: $wire = decode($what, &bytes, $limit)?;
                Ok($from)
            }
        }
    )*};
}

wire! {
    Part, "proposal part", MAX_PART_BYTES, |part| wire_part(part), WirePart, |wire| part_of(wire);

    SignedConsensusMsg<Sealpost>, "consensus message", MAX_MESSAGE_BYTES, |message| match message {
        SignedConsensusMsg::Vote(vote) => WireMessage::Vote(wire_vote(vote)),
        SignedConsensusMsg::Proposal(proposal) => WireMessage::Proposal(wire_proposal(proposal)),
    }, WireMessage, |wire| match wire {
        WireMessage::Vote(vote) => SignedConsensusMsg::Vote(vote_of(vote)?),
        WireMessage::Proposal(proposal) => SignedConsensusMsg::Proposal(proposal_of(proposal)?),
    };

    LivenessMsg<Sealpost>, "liveness message", MAX_MESSAGE_BYTES, |message| match message {
        LivenessMsg::Vote(vote) => WireLiveness::Vote(wire_vote(vote)),
        LivenessMsg::PolkaCertificate(polka) => WireLiveness::Polka(wire_polka(polka)),
        LivenessMsg::SkipRoundCertificate(skip) => WireLiveness::Skip(wire_round_certificate(skip)),
    }, WireLiveness, |wire| match wire {
        WireLiveness::Vote(vote) => LivenessMsg::Vote(vote_of(vote)?),
        WireLiveness::Polka(polka) => LivenessMsg::PolkaCertificate(polka_of(polka)?),
        WireLiveness::Skip(skip) => LivenessMsg::SkipRoundCertificate(round_certificate_of(skip)?),
    };

    StreamMessage<Part>, "proposal stream", MAX_PART_BYTES, |message| (
        message.stream_id.to_bytes().to_vec(),
        message.sequence,
        message.content.as_data().map(wire_part),
    ), WireStream, |wire| {
        let (id, sequence, part) = wire;
        let content = part.map_or(StreamContent::Fin, |part| StreamContent::Data(part_of(part)));
        StreamMessage::new(StreamId::new(id.into()), sequence, content)
    };

    ValidatorProof<Sealpost>, "validator proof", 1024, |proof| (
        proof.public_key.clone(),
        proof.peer_id.clone(),
        proof.signature.0,
    ), (Vec<u8>, Vec<u8>, Signature), |wire| ValidatorProof::new(wire.0, wire.1, VoteSignature(wire.2));

    PolkaCertificate<Sealpost>, "polka certificate", MAX_MESSAGE_BYTES, |polka| wire_polka(polka), WirePolka,
        |wire| polka_of(wire)?;

    ProposedValue<Sealpost>, "proposed value", MAX_MESSAGE_BYTES, |value| (
        value.height.0,
        value.round.as_u32(),
        value.valid_round.as_u32(),
        value.proposer.0,
        value.value.0,
        value.validity.is_valid(),
    ), WireValue, |wire| {
        let (height, round, valid_round, proposer, value, is_valid) = wire;
        ProposedValue {
            height: Height(height),
            round: round_of(round),
            valid_round: round_of(valid_round),
            proposer: Address(proposer),
            value: BlockValue(value),
            validity: Validity::from_bool(is_valid),
        }
    };

    SyncStatus<Sealpost>, "sync status", 1024, |status| (
        status.peer_id.to_bytes(),
        status.tip_height.0,
        status.history_min_height.0,
    ), (Vec<u8>, BlockHeight, BlockHeight), |wire| {
        let peer_id = engine::PeerId::from_bytes(&wire.0).map_err(|e| WireError::Peer(e.to_string()))?;
        SyncStatus { peer_id, tip_height: Height(wire.1), history_min_height: Height(wire.2) }
    };

    SyncRequest<Sealpost>, "sync request", 64, |request| {
        let SyncRequest::ValueRequest(request) = request;
        (request.range.start().0, request.range.end().0)
    }, (BlockHeight, BlockHeight), |wire| {
        SyncRequest::ValueRequest(engine::ValueRequest::new(Height(wire.0)..=Height(wire.1)))
    };

    SyncResponse<Sealpost>, "sync response", MAX_BYTES, |response| {
        let SyncResponse::ValueResponse(response) = response;
        (response.start_height.0, response.values.iter().map(wire_decided).collect())
    }, (BlockHeight, Vec<WireDecided>), |wire| {
        let values = wire.1.into_iter().map(decided_of).collect::<Result<_, _>>()?;
        SyncResponse::ValueResponse(engine::ValueResponse::new(Height(wire.0), values))
    };
}

fn wire_decided(value: &RawDecidedValue<Sealpost>) -> WireDecided {
    let certificate = &value.certificate;
    let signatures = certificate.commit_signatures.iter().map(|s| (s.address.0, s.signature.0)).collect();
    let (height, round) = (certificate.height.0, certificate.round.as_u32());
    (value.value_bytes.to_vec(), height, round, certificate.value_id, signatures)
}

fn decided_of(
    (bytes, height, round, value_id, signatures): WireDecided,
) -> Result<RawDecidedValue<Sealpost>, WireError> {
    let signatures = signatures.into_iter();
    let commit_signatures = signatures
        .map(|(key, signature)| ExtendedCommitSignature::new(Address(key), VoteSignature(signature), None))
        .collect();
    let (height, round) = (Height(height), round_in("commit certificate", round)?);
    let certificate = ExtendedCommitCertificate { height, round, value_id, commit_signatures };
    Ok(RawDecidedValue::new(bytes.into(), certificate))
}

impl engine::HasEncodedLen<SyncResponse<Sealpost>> for WireCodec {
    fn encoded_len(&self, response: &SyncResponse<Sealpost>) -> Result<usize, WireError> {
        engine::Codec::encode(self, response).map(|bytes| bytes.len())
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use engine::Codec;

    #[test]
    fn a_vote_reads_back_and_a_longer_one_is_refused() {
        let vote = Vote {
            kind: VoteType::Precommit,
            height: Height(BlockHeight::new(7)),
            round: Round::new(2),
            block: NilOrVal::Val(BlockHash::from_bytes([3; 32])),
            voter: Address(PublicKey::from_bytes([4; 32])),
        };
        let message =
            SignedConsensusMsg::Vote(SignedMessage::new(vote, VoteSignature(Signature::from_bytes([5; 64]))));
        let bytes = WireCodec.encode(&message).unwrap();
        let back: SignedConsensusMsg<Sealpost> = WireCodec.decode(bytes.clone()).unwrap();
        assert_eq!(back, message);
        let mut longer = bytes.to_vec();
        longer.push(0);
        let longer: Result<SignedConsensusMsg<Sealpost>, _> = WireCodec.decode(longer.into());
        assert!(longer.is_err());
    }

    /// One vote, one spelling: else whoever passes votes on could make 253 messages of each.
    #[test]
    fn kinds_that_there_are_not_are_refused() {
        for kind in 0..=u8::MAX {
            let block = Some(BlockHash::from_bytes([3; 32]));
            let (key, signature) = (PublicKey::from_bytes([4; 32]), Signature::from_bytes([5; 64]));
            let vote: WireVote = (kind, BlockHeight::FIRST, Some(1), block, key, signature);
            let skip: WireRoundCertificate =
                (BlockHeight::FIRST, Some(1), kind, vec![(kind, block, key, signature)]);
            let known = kind == 1 || kind == 2;
            let bytes = encode(&WireMessage::Vote(vote));
            let read: Result<SignedConsensusMsg<Sealpost>, _> = WireCodec.decode(bytes.into());
            assert_eq!(read.is_ok(), known, "kind {kind}");
            for message in [WireLiveness::Vote(vote), WireLiveness::Skip(skip)] {
                let read: Result<LivenessMsg<Sealpost>, _> = WireCodec.decode(encode(&message).into());
                assert_eq!(read.is_ok(), known, "kind {kind}");
            }
        }
    }

    /// One vote, one round: a vote of no round would have the signature of one of round 0, and be compared with none.
    #[test]
    fn what_names_no_round_is_refused_where_one_belongs() {
        fn reads<T>(message: &impl Encode) -> bool
        where
            WireCodec: Codec<T, Error = WireError>,
        {
            WireCodec.decode(encode(message).into()).is_ok()
        }
        let (block, height) = (BlockHash::from_bytes([3; 32]), BlockHeight::FIRST);
        let (key, signature) = (PublicKey::from_bytes([4; 32]), Signature::from_bytes([5; 64]));
        for round in [None, Some(0), Some(1)] {
            let there = round.is_some();
            let vote: WireVote = (1, height, round, Some(block), key, signature);
            assert_eq!(reads::<SignedConsensusMsg<Sealpost>>(&WireMessage::Vote(vote)), there);
            assert_eq!(reads::<LivenessMsg<Sealpost>>(&WireLiveness::Vote(vote)), there);
            // Most proposals name no valid round.
            for valid_round in [None, Some(0)] {
                let proposal: WireProposal = (height, round, block, valid_round, key, signature);
                assert_eq!(reads::<SignedConsensusMsg<Sealpost>>(&WireMessage::Proposal(proposal)), there);
            }
            let polka: WirePolka = (height, round, block, vec![(key, signature)]);
            assert_eq!(reads::<PolkaCertificate<Sealpost>>(&polka), there);
            assert_eq!(reads::<LivenessMsg<Sealpost>>(&WireLiveness::Polka(polka)), there);
            let skip: WireRoundCertificate = (height, round, 1, vec![(1, None, key, signature)]);
            assert_eq!(reads::<LivenessMsg<Sealpost>>(&WireLiveness::Skip(skip)), there);
            let decided: WireDecided = (vec![1], height, round, block, vec![(key, signature)]);
            assert_eq!(reads::<SyncResponse<Sealpost>>(&(height, vec![decided])), there);
        }
    }
}
