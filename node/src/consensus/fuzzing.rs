//! What the fuzzer tries of consensus: everything that other validators say, and what the engine's own log holds.
//! What decodes encodes to the same bytes: a vote with a second spelling would be a second message to everybody.
#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

use super::codec::{WireCodec, WireError};
use super::context::{
    Address, BlockValue, Contents, Height, Part, PartsInit, Proposal, Sealpost, Vote, VoteSignature,
};
use super::engine::{
    Codec, ExtendedCommitCertificate, ExtendedCommitSignature, LivenessMsg, NilOrVal, PeerId,
    PolkaCertificate, PolkaSignature, ProposedValue, RawDecidedValue, Round, RoundCertificate,
    RoundCertificateType, RoundSignature, SignedConsensusMsg, SignedMessage, StreamContent, StreamId,
    StreamMessage, SyncRequest, SyncResponse, SyncStatus, ValidatorProof, Validity, ValueRequest,
    ValueResponse, VoteType,
};
use bytes::Bytes;
use sealpost_ledger::fuzzing::Target;
use sealpost_ledger::hash::BlockHash;
use sealpost_ledger::height::BlockHeight;
use sealpost_ledger::signature::{PublicKey, Signature};

/// What is tried.
pub(crate) fn targets() -> Vec<Target> {
    vec![
        target::<SignedConsensusMsg<Sealpost>>("consensus_message", || {
            vec![SignedConsensusMsg::Vote(vote()), SignedConsensusMsg::Proposal(proposal())]
        }),
        target::<LivenessMsg<Sealpost>>("liveness_message", || {
            let certificate = |cert_type| RoundCertificate {
                height: HEIGHT,
                round: Round::new(1),
                cert_type,
                round_signatures: vec![RoundSignature::new(VoteType::Prevote, NilOrVal::Nil, WHO, SIGNATURE)],
            };
            vec![
                LivenessMsg::Vote(vote()),
                LivenessMsg::PolkaCertificate(polka()),
                LivenessMsg::SkipRoundCertificate(certificate(RoundCertificateType::Skip)),
                LivenessMsg::SkipRoundCertificate(certificate(RoundCertificateType::Precommit)),
            ]
        }),
        target::<StreamMessage<Part>>("proposal_stream", || {
            let id = || StreamId::new(vec![1; 12].into());
            let contents = [StreamContent::Data(parts()[0].clone()), StreamContent::Data(parts()[1].clone())];
            let contents = contents.into_iter().chain([StreamContent::Fin]);
            contents.map(|content| StreamMessage::new(id(), 1, content)).collect()
        }),
        target::<Part>("proposal_part", || parts().to_vec()),
        target::<ValidatorProof<Sealpost>>("validator_proof", || {
            vec![ValidatorProof::new(vec![1; 32], vec![2; 38], SIGNATURE)]
        }),
        target::<PolkaCertificate<Sealpost>>("polka_certificate", || vec![polka()]),
        target::<ProposedValue<Sealpost>>("proposed_value", || {
            vec![ProposedValue {
                height: HEIGHT,
                round: Round::new(1),
                valid_round: Round::Nil,
                proposer: WHO,
                value: BlockValue(BLOCK),
                validity: Validity::Valid,
            }]
        }),
        target::<SyncStatus<Sealpost>>("engine_status", || {
            let peer_id = PeerId::from_bytes(&[&[0, 36, 8, 1, 18, 32][..], &[1; 32]].concat()).unwrap();
            vec![SyncStatus { peer_id, tip_height: HEIGHT, history_min_height: HEIGHT }]
        }),
        target::<SyncRequest<Sealpost>>("engine_request", || {
            vec![SyncRequest::ValueRequest(ValueRequest::new(HEIGHT..=HEIGHT))]
        }),
        target::<SyncResponse<Sealpost>>("engine_response", || {
            let commit_signatures = vec![ExtendedCommitSignature::new(WHO, SIGNATURE, None)];
            let (height, round, value_id) = (HEIGHT, Round::new(1), BLOCK);
            let certificate = ExtendedCommitCertificate { height, round, value_id, commit_signatures };
            let value = RawDecidedValue::new(vec![1, 2, 3].into(), certificate);
            vec![SyncResponse::ValueResponse(ValueResponse::new(HEIGHT, vec![value]))]
        }),
    ]
}

const HEIGHT: Height = Height(BlockHeight::FIRST);
const BLOCK: BlockHash = BlockHash::from_bytes([3; 32]);
const WHO: Address = Address(PublicKey::from_bytes([4; 32]));
const SIGNATURE: VoteSignature = VoteSignature(Signature::from_bytes([5; 64]));

fn target<T>(name: &'static str, examples: fn() -> Vec<T>) -> Target
where
    WireCodec: Codec<T, Error = WireError>,
    T: 'static,
{
    let seeds = move || examples().iter().map(|one| WireCodec.encode(one).unwrap().to_vec()).collect();
    Target::decoder(name, seeds, |bytes| {
        let read: T = WireCodec.decode(Bytes::copy_from_slice(bytes)).ok()?;
        Some(WireCodec.encode(&read).unwrap().to_vec())
    })
}

fn vote() -> SignedMessage<Sealpost, Vote> {
    let (kind, block) = (VoteType::Precommit, NilOrVal::Val(BLOCK));
    let vote = Vote { kind, height: HEIGHT, round: Round::new(1), block, voter: WHO };
    SignedMessage::new(vote, SIGNATURE)
}

fn proposal() -> SignedMessage<Sealpost, Proposal> {
    let (round, valid_round, value) = (Round::new(1), Round::Nil, BlockValue(BLOCK));
    SignedMessage::new(Proposal { height: HEIGHT, round, value, valid_round, proposer: WHO }, SIGNATURE)
}

fn polka() -> PolkaCertificate<Sealpost> {
    let polka_signatures = vec![PolkaSignature::new(WHO, SIGNATURE)];
    PolkaCertificate { height: HEIGHT, round: Round::new(1), value_id: BLOCK, polka_signatures }
}

fn parts() -> [Part; 2] {
    let (round, valid_round) = (1, Some(0));
    let contents = Contents { length: 9, pieces: vec![[6; 32], [7; 32]] };
    let (height, proposer, block, signature) = (HEIGHT, WHO, BLOCK, SIGNATURE.0);
    [
        Part::Init(PartsInit { height, round, valid_round, proposer, block, contents, signature }),
        Part::Piece { bytes: vec![1, 2, 3].into(), last: true },
    ]
}
