//! What a misbehaving validator says in place of what its honest engine says.
//!
//! The engine believes that it has proposed a block and votes for it. The liar shows the others another one, or two, or
//! one that never comes whole, and lets the engine's votes speak for what was shown. A vote is signed anew for
//! everything it is changed to: the key is the right one.

use super::super::context::VoteSignature;
use super::super::context::{Address, BlockValue, Height, Part, PartsInit, Proposal, Sealpost, Vote};
use super::super::engine::{
    ExtendedCommitCertificate, ExtendedCommitSignature, LivenessMsg, NetworkActorMsg, NilOrVal,
    RawDecidedValue, Round, SignedConsensusMsg, SignedMessage, Signer as _, StreamContent, StreamId,
    StreamMessage, SyncResponse, ValueResponse, VoteType,
};
use super::super::proposals::pieces;
use super::super::signer::VoteSigner;
use super::forgery::{self, Whole};
use super::forgetful::Memory;
use super::seam::Passing;
use super::{KEPT, Means, Misdeed};
use crate::store::Store;
use arc_malachitebft_app_channel::app::engine::network::{NetworkEvent, NetworkRef, Status};
use arc_malachitebft_sync::InboundRequestId;
use bytes::Bytes;
use sealpost_ledger::block::Block;
use sealpost_ledger::hash::BlockHash;
use sealpost_ledger::height::BlockHeight;
use sealpost_ledger::signature::Signature;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use tokio::sync::mpsc;

/// How many of them are said again at each vote.
const AGAIN: usize = 6;
/// Streams of rubbish for each opening that is overheard: more than the blocks that others take in for one height.
const POISONED: u32 = 16;
/// What may be done to the block that is proposed: one of them at a time.
const OF_BLOCKS: [Misdeed; 9] = [
    Misdeed::TwoBlocks,
    Misdeed::WrongParent,
    Misdeed::WrongState,
    Misdeed::WrongTime,
    Misdeed::RepeatedTransaction,
    Misdeed::ForgedTransaction,
    Misdeed::Oversized,
    Misdeed::WithheldParts,
    Misdeed::ConflictingParts,
];
/// Earlier blocks that are searched for a transaction to repeat.
const SEARCHED: u64 = 50;
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
    streams: u32,
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

/// How a block is sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Delivery {
    Whole,
    WithoutEnd,
    Contradicting,
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
            streams: 0,
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

    // -- Blocks ------------------------------------------------------------------------------------------

    /// Collects the parts of the engine's block; when all are there, others are shown what they are to see.
    async fn take_part(&mut self, message: StreamMessage<Part>) {
        let StreamContent::Data(part) = message.content else { return };
        match part {
            Part::Init(init) => self.coming = Some((init, Vec::new())),
            Part::Piece { bytes, last } => {
                let Some((_, collected)) = &mut self.coming else { return };
                collected.extend_from_slice(&bytes);
                if last && let Some((init, bytes)) = self.coming.take() {
                    self.show(&init, &bytes);
                    while let Some(said) = self.waiting.pop_front() {
                        self.say(said).await;
                    }
                }
            }
        }
    }

    /// Sends the parts of whatever stands for the engine's block.
    fn show(&mut self, init: &PartsInit, bytes: &[u8]) {
        let Ok(block) = Block::from_bytes(bytes) else { return };
        let honest = block.hash();
        let mut shown = Shown { blocks: vec![honest], forgetful: false };
        if !self.does(Misdeed::Silent) {
            let forgets = self.memory.locked(init.height.0, init.round).is_some();
            if self.does(Misdeed::Amnesia) && forgets {
                shown = self.forget(init, &block);
            } else if let Some(misdeed) = self.next_of_block() {
                shown.blocks = self.misshow(misdeed, init, &block, bytes);
            } else {
                self.send_block(init, honest, bytes, init.valid_round, Delivery::Whole);
            }
        }
        if self.shown.len() > KEPT {
            self.shown.clear();
        }
        self.shown.insert(honest, shown);
    }

    /// The next of those misdeeds that are done to the own block; they take turns.
    fn next_of_block(&mut self) -> Option<Misdeed> {
        let chosen: Vec<Misdeed> = OF_BLOCKS.into_iter().filter(|kind| self.does(*kind)).collect();
        let next = chosen.get(self.turns.checked_rem(chosen.len())?).copied();
        self.turns = self.turns.wrapping_add(1);
        next
    }

    /// Another block than the one that this validator is locked on, as if it were not.
    fn forget(&mut self, init: &PartsInit, block: &Block) -> Shown {
        let fresh = forgery::sibling(block);
        misbehaved(Misdeed::Amnesia, init.height, Round::new(init.round), &fresh.hash());
        self.send_block(init, fresh.hash(), &fresh.to_bytes(), None, Delivery::Whole);
        Shown { blocks: vec![fresh.hash()], forgetful: true }
    }

    /// Does a misdeed with the own block, or sends it honestly where that can't be done. Returns what is proposed.
    fn misshow(&mut self, misdeed: Misdeed, init: &PartsInit, block: &Block, bytes: &[u8]) -> Vec<BlockHash> {
        let (height, honest) = (init.height.0, block.hash());
        let forged = match misdeed {
            Misdeed::WrongParent => Some(forgery::wrong_parent(block)),
            Misdeed::WrongState => Some(forgery::wrong_state(block)),
            Misdeed::WrongTime => Some(forgery::wrong_time(block)),
            Misdeed::RepeatedTransaction => forgery::repeated_transaction(block, self.earlier()),
            Misdeed::ForgedTransaction => forgery::forged_transaction(block),
            _ => None,
        };
        let (blocks, delivery): (Vec<(BlockHash, Vec<u8>)>, _) = match misdeed {
            Misdeed::TwoBlocks => {
                let both = [block.clone(), forgery::sibling(block)];
                let mut both: Vec<_> = both.iter().map(|block| (block.hash(), block.to_bytes())).collect();
                // Who comes first is another each time.
                if !height.get().is_multiple_of(2) {
                    both.reverse();
                }
                (both, Delivery::Whole)
            }
            Misdeed::Oversized => {
                let mut long = bytes.to_vec();
                let limit = usize::try_from(self.max_block_bytes).unwrap_or(usize::MAX);
                long.resize(limit.saturating_add(1), 0);
                (vec![(forgery::no_block(&honest), long)], Delivery::Whole)
            }
            Misdeed::WithheldParts => (vec![(honest, bytes.to_vec())], Delivery::WithoutEnd),
            Misdeed::ConflictingParts => (vec![(honest, bytes.to_vec())], Delivery::Contradicting),
            _ => {
                let forged = forged.iter().map(|block| (block.hash(), block.to_bytes()));
                (forged.collect(), Delivery::Whole)
            }
        };
        if blocks.is_empty() {
            self.send_block(init, honest, bytes, init.valid_round, Delivery::Whole);
            return vec![honest];
        }
        let (round, last) = (Round::new(init.round), blocks.last().map_or(honest, |(hash, _)| *hash));
        misbehaved(misdeed, init.height, round, &last);
        for (hash, bytes) in &blocks {
            self.send_block(init, *hash, bytes, init.valid_round, delivery);
        }
        blocks.into_iter().map(|(hash, _)| hash).collect()
    }

    /// The first transaction of the newest block that has one.
    fn earlier(&self) -> Option<Whole> {
        let tip = self.store.tip().height().get();
        let heights = (tip.saturating_sub(SEARCHED).max(1)..=tip).rev().map(BlockHeight::new);
        heights.filter_map(|height| self.store.block(height).ok().flatten()).find_map(|block| {
            let (transaction, body) = block.with_bodies().next()?;
            Some((transaction.clone(), body.cloned()))
        })
    }

    fn send_block(
        &mut self,
        init: &PartsInit,
        block: BlockHash,
        bytes: &[u8],
        valid_round: Option<u32>,
        delivery: Delivery,
    ) {
        let length = u32::try_from(bytes.len()).unwrap_or(u32::MAX);
        let opened = self.signer.sign_parts(init.height, init.round, valid_round, block, length);
        let Ok(mut opening) = opened else { return };
        if self.does(Misdeed::WrongSignature) {
            opening.signature = broken(opening.signature);
            misbehaved(Misdeed::WrongSignature, init.height, Round::new(init.round), &block);
        }
        let stream = self.new_stream(init.height);
        self.send_part(&stream, 0, Part::Init(opening));
        let pieces = pieces(&Bytes::copy_from_slice(bytes));
        let count = pieces.len();
        for (number, piece) in pieces.into_iter().enumerate() {
            let sequence = u64::try_from(number).unwrap_or(u64::MAX).saturating_add(1);
            if delivery == Delivery::WithoutEnd && number.saturating_add(1) == count {
                return;
            }
            if delivery == Delivery::Contradicting {
                self.send_part(&stream, sequence, rubbish(&piece));
            }
            self.send_part(&stream, sequence, piece);
        }
    }

    fn new_stream(&mut self, height: Height) -> StreamId {
        self.streams = self.streams.wrapping_add(1);
        let mut id = b"liar".to_vec();
        id.extend(height.0.get().to_be_bytes());
        id.extend(self.streams.to_be_bytes());
        StreamId::new(id.into())
    }

    fn send_part(&self, stream: &StreamId, sequence: u64, part: Part) {
        let message = StreamMessage::new(stream.clone(), sequence, StreamContent::Data(part));
        self.publish(NetworkActorMsg::PublishProposalPart(message));
    }

    // -- Proposals and votes -----------------------------------------------------------------------------

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

    // -- History -----------------------------------------------------------------------------------------

    fn tell_status(&self, mut status: Status<Sealpost>) {
        if self.does(Misdeed::FalseHistory) {
            misbehaved(Misdeed::FalseHistory, status.tip_height, Round::Nil, &"status");
            status.tip_height = Height(status.tip_height.0.saturating_add(FAR.into()));
        }
        self.publish(NetworkActorMsg::BroadcastStatus(status));
    }

    /// The newest block once more for every height that is asked for, under a certificate that this validator alone
    /// has signed.
    async fn answer(&self, to: InboundRequestId, honest: SyncResponse<Sealpost>) {
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

    // -- What others say ---------------------------------------------------------------------------------

    fn overhear(&mut self, event: NetworkEvent<Sealpost>) {
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

    /// Rubbish under another proposer's opening, in streams of one's own.
    fn poison(&mut self, init: &PartsInit) {
        if !self.does(Misdeed::PoisonedStreams) || init.proposer.0 == self.signer.public_key() {
            return;
        }
        misbehaved(Misdeed::PoisonedStreams, init.height, Round::new(init.round), &init.block);
        let bytes = Bytes::from(vec![0; usize::try_from(init.length).unwrap_or(0)]);
        for _ in 0..POISONED {
            let stream = self.new_stream(init.height);
            let parts = std::iter::once(Part::Init(init.clone())).chain(pieces(&bytes));
            for (sequence, part) in (0..).zip(parts) {
                self.send_part(&stream, sequence, part);
            }
        }
    }

    fn keep(&mut self, message: Repeatable) {
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
    fn repeat(&mut self, height: Height, round: Round) {
        if !self.does(Misdeed::Replay) {
            return;
        }
        let old = self.kept.iter().filter(|(of, _)| of.0 < height.0).map(|(_, message)| message.clone());
        let old: Vec<_> = old.collect();
        self.streams = self.streams.wrapping_add(1);
        let start = usize::try_from(self.streams).unwrap_or(0).wrapping_mul(AGAIN);
        for message in old.iter().cycle().skip(start.checked_rem(old.len()).unwrap_or(0)).take(AGAIN) {
            misbehaved(Misdeed::Replay, height, round, &"once more");
            self.publish(match message.clone() {
                Repeatable::Consensus(message) => NetworkActorMsg::PublishConsensusMsg(message),
                Repeatable::Part(part) => NetworkActorMsg::PublishProposalPart(part),
            });
        }
    }

    fn publish(&self, message: NetworkActorMsg<Sealpost>) {
        // At shutdown there is nobody to hear it.
        drop(self.network.cast(message));
    }
}

/// As long, and nothing of what it was.
fn rubbish(piece: &Part) -> Part {
    match piece {
        Part::Piece { bytes, last } => Part::Piece { bytes: vec![0; bytes.len()].into(), last: *last },
        Part::Init(init) => Part::Init(init.clone()),
    }
}

/// A signature that holds no more.
fn broken(signature: Signature) -> Signature {
    let mut bytes = *signature.as_bytes();
    bytes[63] ^= 1;
    Signature::from_bytes(bytes)
}
