//! What others say, and what is made of it: rubbish under their openings, things of old said again, and false history
//! for whoever asks.

use super::super::super::context::{Address, Height, Part, PartsInit, Sealpost, Vote};
use super::super::super::engine::{
    ExtendedCommitCertificate, ExtendedCommitSignature, NetworkActorMsg, NilOrVal, RawDecidedValue, Round,
    SignedConsensusMsg, Signer as _, StreamContent, SyncResponse, ValueResponse, VoteType,
};
use super::super::super::proposals::parts;
use super::super::{KEPT, Misdeed};
use super::{FAR, Liar, Repeatable, misbehaved};
use arc_malachitebft_app_channel::app::engine::network::{NetworkEvent, Status};
use arc_malachitebft_sync::InboundRequestId;
use bytes::Bytes;

/// How many things of old are said again at each vote.
const AGAIN: usize = 6;
/// Times that rubbish is sent for each opening that is overheard: more than the blocks that others verify of one proposer.
const POISONED: u8 = 6;

impl Liar {
    pub(super) fn overhear(&mut self, event: NetworkEvent<Sealpost>) {
        match event {
            NetworkEvent::Vote(_, vote) => self.keep(Repeatable::Consensus(SignedConsensusMsg::Vote(vote))),
            NetworkEvent::Proposal(_, proposal) => {
                self.memory.overheard(&proposal.message);
                self.keep(Repeatable::Consensus(SignedConsensusMsg::Proposal(proposal)));
            }
            NetworkEvent::ProposalPart(_, _, part) => {
                if let StreamContent::Data(Part::Init(init)) = &part.content {
                    self.poison(&init.clone());
                }
                self.keep(Repeatable::Part(part));
            }
            _ => {}
        }
    }

    /// Rubbish under another proposer's opening, each time another.
    fn poison(&mut self, init: &PartsInit) {
        if !self.does(Misdeed::PoisonedStreams) || init.proposer.0 == self.signer.public_key() {
            return;
        }
        misbehaved(Misdeed::PoisonedStreams, init.height, Round::new(init.round), &init.block);
        let length = usize::try_from(init.contents.length).unwrap_or(0);
        for rubbish in 0..POISONED {
            for message in parts(init.clone(), &Bytes::from(vec![rubbish; length])) {
                self.publish(NetworkActorMsg::PublishProposalPart(message));
            }
        }
    }

    pub(super) fn keep(&mut self, message: Repeatable) {
        if !self.does(Misdeed::Replay) {
            return;
        }
        let height = match &message {
            Repeatable::Consensus(SignedConsensusMsg::Vote(vote)) => vote.message.height,
            Repeatable::Consensus(SignedConsensusMsg::Proposal(proposal)) => proposal.message.height,
            Repeatable::Part(part) => match &part.content {
                StreamContent::Data(Part::Init(init)) => init.height,
                _ => Height(self.store.tip().next_height()),
            },
        };
        self.kept.push_back((height, message));
        if self.kept.len() > KEPT {
            self.kept.pop_front();
        }
    }

    /// Says things of earlier heights again, each time others.
    pub(super) fn repeat(&mut self, height: Height, round: Round) {
        if !self.does(Misdeed::Replay) {
            return;
        }
        let old = self.kept.iter().filter(|(of, _)| of.0 < height.0).map(|(_, message)| message.clone());
        let old: Vec<_> = old.collect();
        self.repeats = self.repeats.wrapping_add(1);
        let start = usize::try_from(self.repeats).unwrap_or(0).wrapping_mul(AGAIN);
        for message in old.iter().cycle().skip(start.checked_rem(old.len()).unwrap_or(0)).take(AGAIN) {
            misbehaved(Misdeed::Replay, height, round, &"once more");
            self.publish(match message.clone() {
                Repeatable::Consensus(message) => NetworkActorMsg::PublishConsensusMsg(message),
                Repeatable::Part(part) => NetworkActorMsg::PublishProposalPart(part),
            });
        }
    }

    pub(super) fn tell_status(&self, mut status: Status<Sealpost>) {
        if self.does(Misdeed::FalseHistory) {
            misbehaved(Misdeed::FalseHistory, status.tip_height, Round::Nil, &"status");
            status.tip_height = Height(status.tip_height.0.saturating_add(FAR.into()));
        }
        self.publish(NetworkActorMsg::BroadcastStatus(status));
    }

    /// The newest block once more for every height that is asked for, under a certificate that this validator alone
    /// has signed.
    pub(super) async fn answer(&self, to: InboundRequestId, honest: SyncResponse<Sealpost>) {
        let SyncResponse::ValueResponse(response) = &honest;
        let tip = self.store.tip();
        let newest = self.store.block(tip.height()).ok().flatten();
        let (true, Some(newest)) = (self.does(Misdeed::FalseHistory), newest) else {
            return self.publish(NetworkActorMsg::OutgoingResponse(to, honest));
        };
        let (height, round, voter) = (response.start_height, Round::ZERO, Address(self.signer.public_key()));
        misbehaved(Misdeed::FalseHistory, height, round, &"block");
        let block = NilOrVal::Val(newest.hash());
        let vote = Vote { kind: VoteType::Precommit, height, round, block, voter };
        let Ok(vote) = self.signer.sign_vote(vote).await else { return };
        let commit_signatures = vec![ExtendedCommitSignature::new(voter, vote.signature, None)];
        let certificate =
            ExtendedCommitCertificate { height, round, value_id: newest.hash(), commit_signatures };
        let value = RawDecidedValue::new(newest.to_bytes().into(), certificate);
        let response = SyncResponse::ValueResponse(ValueResponse::new(height, vec![value]));
        self.publish(NetworkActorMsg::OutgoingResponse(to, response));
    }
}
