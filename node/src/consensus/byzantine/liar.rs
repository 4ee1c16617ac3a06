//! What a misbehaving validator says in place of what its honest engine says.
//!
//! The engine believes that it has proposed a block and votes for it. The liar shows the others another one, or two, or
//! one that never comes whole, and lets the engine's votes speak for what was shown. A vote is signed anew for
//! everything it is changed to: the key is the right one.

mod blocks;
mod others;

use super::super::context::{
    Address, BlockValue, Height, Part, PartsInit, Proposal, Sealpost, Vote, VoteSignature,
};
use super::super::engine::{
    LivenessMsg, NetworkActorMsg, NilOrVal, Round, SignedConsensusMsg, SignedMessage, Signer as _,
    StreamMessage,
};
use super::super::signer::VoteSigner;
use super::forgery;
use super::forgetful::Memory;
use super::seam::Passing;
use super::{Means, Misdeed};
use crate::store::Store;
use arc_malachitebft_app_channel::app::engine::network::NetworkRef;
use sealpost_ledger::hash::BlockHash;
use sealpost_ledger::signature::Signature;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use tokio::sync::mpsc;

/// What waits for a block's parts; beyond it is said as it is.
const WAITING: usize = 64;
/// How far away votes for far heights and rounds are.
const FAR: u32 = 5_000;

/// Stands between an engine and its network.
pub(super) struct Liar {
    misdeeds: BTreeSet<Misdeed>,
    store: Store,
    signer: VoteSigner,
    max_block_bytes: u32,
    network: NetworkRef<Sealpost>,
    repeats: u32,
    /// Own blocks so far.
    turns: usize,
    /// The engine's block on its way, as far as it has come.
    coming: Option<(PartsInit, Vec<u8>)>,
    /// What the engine said before its block had come.
    waiting: VecDeque<Said>,
    /// What the others were shown of the engine's own blocks.
    shown: BTreeMap<BlockHash, Shown>,
    /// What was overheard or said, oldest first.
    kept: VecDeque<(Height, Repeatable)>,
    memory: Memory,
}

/// Something to be said again: messages of the network have no copy.
#[derive(Clone)]
enum Repeatable {
    Consensus(SignedConsensusMsg<Sealpost>),
    Part(StreamMessage<Part>),
}

/// What the engine says, of the two ways it has.
enum Said {
    Consensus(SignedConsensusMsg<Sealpost>),
    Liveness(LivenessMsg<Sealpost>),
}

/// What stands for one of the engine's blocks.
#[derive(Debug, Clone)]
struct Shown {
    /// Proposed in its place, in this order.
    blocks: Vec<BlockHash>,
    /// Proposed as if it were new, whatever was locked before.
    forgetful: bool,
}

/// Logs a misdeed that was done; tests count these lines.
pub(super) fn misbehaved(misdeed: Misdeed, height: Height, round: Round, what: &dyn std::fmt::Display) {
    tracing::warn!(misdeed = misdeed.name(), %height, round = round.as_i64(), %what, "misbehaved");
}

impl Liar {
    pub(super) fn new(
        means: Means,
        misdeeds: BTreeSet<Misdeed>,
        memory: Memory,
        network: NetworkRef<Sealpost>,
    ) -> Self {
        let Means { store, signer, max_block_bytes } = means;
        Self {
            misdeeds,
            store,
            signer,
            max_block_bytes,
            network,
            repeats: 0,
            turns: 0,
            coming: None,
            waiting: VecDeque::new(),
            shown: BTreeMap::new(),
            kept: VecDeque::new(),
            memory,
        }
    }

    /// Lies until the engine ends.
    pub(super) async fn run(mut self, mut passing: mpsc::UnboundedReceiver<Passing>) {
        while let Some(passed) = passing.recv().await {
            match passed {
                Passing::Part(part) => self.take_part(part).await,
                Passing::Consensus(message) => self.hear_own(Said::Consensus(message)).await,
                Passing::Liveness(message) => self.hear_own(Said::Liveness(message)).await,
                Passing::Status(status) => self.tell_status(status),
                Passing::Answer(to, answer) => self.answer(to, answer).await,
                Passing::Heard(event) => self.overhear(*event),
            }
        }
    }

    fn does(&self, misdeed: Misdeed) -> bool {
        self.misdeeds.contains(&misdeed)
    }

    /// The engine says something; it waits if it is about a block that has not come yet.
    async fn hear_own(&mut self, said: Said) {
        let proposes_unseen = matches!(&said, Said::Consensus(SignedConsensusMsg::Proposal(proposal))
            if !self.shown.contains_key(&proposal.message.value.0));
        if (proposes_unseen || !self.waiting.is_empty()) && self.waiting.len() < WAITING {
            self.waiting.push_back(said);
        } else {
            self.say(said).await;
        }
    }

    async fn say(&mut self, said: Said) {
        match said {
            Said::Consensus(SignedConsensusMsg::Proposal(proposal)) => self.propose(&proposal.message).await,
            Said::Consensus(SignedConsensusMsg::Vote(vote)) => {
                for vote in self.votes(&vote.message).await {
                    let message = SignedConsensusMsg::Vote(vote);
                    self.keep(Repeatable::Consensus(message.clone()));
                    self.publish(NetworkActorMsg::PublishConsensusMsg(message));
                }
                self.repeat(vote.message.height, vote.message.round);
            }
            Said::Liveness(LivenessMsg::Vote(vote)) => {
                for vote in self.votes(&vote.message).await {
                    self.publish(NetworkActorMsg::PublishLivenessMsg(LivenessMsg::Vote(vote)));
                }
            }
            Said::Liveness(certificate) => {
                if !self.does(Misdeed::Silent) {
                    self.publish(NetworkActorMsg::PublishLivenessMsg(certificate));
                }
            }
        }
    }

    async fn propose(&mut self, honest: &Proposal) {
        if self.does(Misdeed::Silent) {
            return misbehaved(Misdeed::Silent, honest.height, honest.round, &"proposal");
        }
        let shown = self.shown.get(&honest.value.0).cloned();
        let shown = shown.unwrap_or(Shown { blocks: vec![honest.value.0], forgetful: false });
        for block in shown.blocks {
            let valid_round = if shown.forgetful { Round::Nil } else { honest.valid_round };
            let proposal = Proposal { value: BlockValue(block), valid_round, ..honest.clone() };
            let Ok(mut signed) = self.signer.sign_proposal(proposal).await else { return };
            if self.does(Misdeed::WrongSignature) {
                signed.signature = VoteSignature(broken(signed.signature.0));
                misbehaved(Misdeed::WrongSignature, honest.height, honest.round, &"proposal");
            }
            let message = SignedConsensusMsg::Proposal(signed);
            self.keep(Repeatable::Consensus(message.clone()));
            self.publish(NetworkActorMsg::PublishConsensusMsg(message));
        }
    }

    /// What is said in place of a vote.
    async fn votes(&mut self, honest: &Vote) -> Vec<SignedMessage<Sealpost, Vote>> {
        let (height, round) = (honest.height, honest.round);
        if self.does(Misdeed::Silent) {
            misbehaved(Misdeed::Silent, height, round, &"vote");
            return Vec::new();
        }
        let mut vote = honest.clone();
        if let NilOrVal::Val(block) = vote.block {
            let shown = self.shown.get(&block).and_then(|shown| shown.blocks.first());
            vote.block = NilOrVal::Val(shown.copied().unwrap_or(block));
        }
        let mut all = vec![vote.clone()];
        if self.does(Misdeed::TwoVotes) {
            let other = self.other(&vote);
            misbehaved(Misdeed::TwoVotes, height, round, &"vote");
            all.push(Vote { block: NilOrVal::Val(other), ..vote.clone() });
            if !height.0.get().is_multiple_of(2) {
                all.reverse();
            }
        }
        if self.does(Misdeed::FarVotes) {
            misbehaved(Misdeed::FarVotes, height, round, &"votes");
            let far_round = Round::new(round.as_u32().unwrap_or(0).saturating_add(FAR));
            let far_height = Height(height.0.saturating_add(FAR.into()));
            all.push(Vote { round: far_round, ..vote.clone() });
            all.push(Vote { height: far_height, ..vote.clone() });
            all.push(Vote { height: far_height, round: far_round, ..vote.clone() });
        }
        let mut signed = Vec::new();
        for vote in all {
            let Ok(mut vote) = self.signer.sign_vote(vote).await else { continue };
            if self.does(Misdeed::WrongSignature) {
                vote.signature = VoteSignature(broken(vote.signature.0));
                misbehaved(Misdeed::WrongSignature, height, round, &"vote");
            }
            signed.push(vote);
        }
        if self.does(Misdeed::ForgedVotes) {
            misbehaved(Misdeed::ForgedVotes, height, round, &"votes");
            let own = self.signer.public_key();
            let tip = self.store.tip();
            let others = tip.validators().validators().iter().filter(|validator| validator.key != own);
            let signature = VoteSignature(Signature::from_bytes([7; 64]));
            signed.extend(others.map(|other| {
                let vote = Vote {
                    block: NilOrVal::Val(self.other(&vote)),
                    voter: Address(other.key),
                    ..vote.clone()
                };
                SignedMessage::new(vote, signature)
            }));
        }
        signed
    }

    /// Another block to vote for: one that was shown, or one that there is not.
    fn other(&self, vote: &Vote) -> BlockHash {
        let NilOrVal::Val(block) = vote.block else { return forgery::no_block(&self.store.tip().block()) };
        let shown =
            self.shown.values().flat_map(|shown| shown.blocks.windows(2)).find_map(|pair| match pair {
                [one, other] if *one == block => Some(*other),
                [other, one] if *one == block => Some(*other),
                _ => None,
            });
        shown.unwrap_or_else(|| forgery::no_block(&block))
    }

    fn publish(&self, message: NetworkActorMsg<Sealpost>) {
        // At shutdown there is nobody to hear it.
        drop(self.network.cast(message));
    }
}

/// A signature that holds no more.
fn broken(signature: Signature) -> Signature {
    let mut bytes = *signature.as_bytes();
    bytes[63] ^= 1;
    Signature::from_bytes(bytes)
}
