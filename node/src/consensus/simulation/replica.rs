//! The validator itself.

use super::log::VoteLog;
use super::remembering::Remembering;
use crate::consensus::application::{Application, Proposed};
use crate::consensus::codec::WireCodec;
use crate::consensus::context::{Address, BlockValue, Height, Part, Proposal, Sealpost, Vote};
use crate::consensus::engine::{
    self, Codec, ConsensusMsg, Effect, Input, LivenessMsg, LocallyProposedValue, NilOrVal, Resumable, Resume,
    Round, SignedConsensusMsg, Signer, StreamMessage, SyncRequest, SyncResponse, SyncedValueOutcome,
    ThresholdParams, Timeout, TimeoutKind, Timeouts, ValueOrigin, Verifier, VerifierExt, VoteExtensionError,
    VoteType,
};
use crate::consensus::proposals::Parts;
use crate::consensus::signer::{VoteSigner, VoteVerifier};
use crate::consensus::{ConsensusError, Disk, Pool, max_block_bytes};
use bytes::Bytes;
use futures::FutureExt;
use sealpost_ledger::chain::CommittedBlock;
use sealpost_ledger::execution::Refusal;
use sealpost_ledger::hash::{BlockHash, TransactionId};
use sealpost_ledger::height::BlockHeight;
use sealpost_ledger::signature::{PublicKey, SigningKey};
use std::collections::VecDeque;
use std::fmt;
use std::sync::Arc;

/// What validators tell one another, as bytes on the wire.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Message {
    /// A vote or a proposal.
    Consensus(Bytes),
    /// A vote said again, or a certificate of votes.
    Liveness(Bytes),
    /// A part of a proposed block.
    Part(Bytes),
}

impl Message {
    /// The bytes.
    pub const fn bytes(&self) -> &Bytes {
        match self {
            Message::Consensus(bytes) | Message::Liveness(bytes) | Message::Part(bytes) => bytes,
        }
    }
    /// The same kind of message with other bytes.
    pub fn with(&self, bytes: Vec<u8>) -> Self {
        match self {
            Message::Consensus(_) => Message::Consensus(bytes.into()),
            Message::Liveness(_) => Message::Liveness(bytes.into()),
            Message::Part(_) => Message::Part(bytes.into()),
        }
    }
}

/// A statement that binds whoever signed it: a second one at the same place must say the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Said {
    /// Who.
    pub validator: PublicKey,
    /// At which height.
    pub height: BlockHeight,
    /// In which round.
    pub round: u32,
    /// Which kind of statement.
    pub kind: &'static str,
    /// Which block; none for a vote against all.
    pub block: Option<BlockHash>,
}

/// What a vote or a proposal says; nothing for other messages and for garbage.
pub fn said(message: &Message) -> Option<Said> {
    let Message::Consensus(bytes) = message else { return None };
    let message: SignedConsensusMsg<Sealpost> = WireCodec.decode(bytes.clone()).ok()?;
    let number = |round: Round| round.as_u32().unwrap_or(0);
    Some(match message {
        SignedConsensusMsg::Vote(vote) => {
            let Vote { kind, height, round, block, voter } = vote.message;
            let kind = match kind {
                VoteType::Prevote => "prevote",
                VoteType::Precommit => "precommit",
            };
            let block = match block {
                NilOrVal::Nil => None,
                NilOrVal::Val(block) => Some(block),
            };
            Said { validator: voter.0, height: height.0, round: number(round), kind, block }
        }
        SignedConsensusMsg::Proposal(proposal) => {
            let Proposal { height, round, value, proposer, .. } = proposal.message;
            let (height, round) = (height.0, number(round));
            Said { validator: proposer.0, height, round, kind: "proposal", block: Some(value.0) }
        }
    })
}

/// What a validator did.
#[derive(Debug)]
pub enum Output {
    /// It tells all others.
    Publish(Message),
    /// It has a final block on its disk.
    Final(Arc<CommittedBlock>),
    /// The rules refuse transactions that wait in its mempool.
    Refused(Vec<(TransactionId, Refusal)>),
    /// A peer, by its number, brought a false block as final.
    FalseHistory(u8),
}

/// When something happens, and the mempool at that time.
#[derive(Clone, Copy)]
pub struct Moment<'a> {
    /// Milliseconds since the simulation began: what timers go by.
    pub now: u64,
    /// What this node's clock shows, in milliseconds since 1970.
    pub clock_ms: u64,
    /// Its mempool.
    pub pool: &'a dyn Pool,
}

impl fmt::Debug for Moment<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ms", self.now)
    }
}

/// Which rules it keeps. All of them; a negative control breaks one, and must be noticed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Rules {
    /// All.
    #[default]
    Kept,
    /// Blocks from the far future are as good as others.
    NoClock,
}

/// Who a validator is.
#[derive(Debug, Clone)]
pub struct Seat {
    /// Its key.
    pub key: Arc<SigningKey>,
    /// The rules it keeps.
    pub rules: Rules,
}

/// A validator.
pub struct Replica<D> {
    state: engine::State<Sealpost>,
    pub(super) host: Host<D>,
}

/// What the state machine is served by.
pub(super) struct Host<D> {
    pub(super) application: Application<D>,
    pub(super) signer: VoteSigner,
    verifier: Remembering,
    rules: Rules,
    metrics: engine::Metrics,
    log: VoteLog,
    replaying: bool,
    /// Whether it votes at this height; others write no log.
    votes: bool,
    timers: Vec<(u64, Timeout)>,
    /// What it has still to take in: answers of the application come after the question.
    inbox: VecDeque<Input<Sealpost>>,
    /// Blocks of a peer's history, in order.
    history: VecDeque<(u8, engine::CoreValueResponse<Sealpost>)>,
    output: Vec<Output>,
    /// Between two heights: when the next begins at the earliest, and at the latest.
    held: Option<(u64, u64)>,
    /// Transactions have come since the last block.
    wanted: bool,
    decided_at: u64,
    /// Who brought the block of the past that is looked at.
    asked: u8,
    failed: Option<ConsensusError>,
}

impl<D: Disk> Replica<D> {
    /// Starts at the end of the chain on its disk, with the votes that it remembers.
    pub fn start(seat: &Seat, disk: D, log: VoteLog, at: Moment<'_>) -> Result<Self, ConsensusError> {
        let genesis = disk.tip().genesis_file().clone();
        let (signer, verifier) =
            (VoteSigner::new(genesis.chain_id(), seat.key.clone()), VoteVerifier::new(genesis.chain_id()));
        let limit = max_block_bytes(genesis.limits().block_bytes);
        let application = Application::new(disk, signer.clone(), verifier.clone(), limit);
        let config = engine::ConsensusConfig::default();
        let params = engine::Params {
            address: Address(signer.public_key()),
            threshold_params: ThresholdParams::default(),
            value_payload: engine::CoreValuePayload::ProposalAndParts,
            enabled: true,
        };
        let state = engine::State::new(
            Sealpost,
            application.next_height(),
            application.params().validator_set,
            params,
            config.queue_capacity,
            config.queue_per_height_capacity,
        );
        let host = Host {
            application,
            signer,
            verifier: Remembering::new(genesis.chain_id(), verifier),
            rules: seat.rules,
            metrics: engine::Metrics::new(),
            log,
            replaying: false,
            votes: false,
            timers: Vec::new(),
            inbox: VecDeque::new(),
            history: VecDeque::new(),
            output: Vec::new(),
            held: None,
            wanted: false,
            decided_at: at.now,
            asked: 0,
            failed: None,
        };
        let mut replica = Self { state, host };
        replica.start_height(at)?;
        Ok(replica)
    }
    /// The process ends: what remains of it.
    pub fn end(self) -> VoteLog {
        self.host.log
    }
    /// Its disk.
    pub const fn disk(&self) -> &D {
        self.host.application.disk()
    }
    /// The height of its last final block.
    pub fn height(&self) -> BlockHeight {
        self.host.application.tip().height()
    }
    /// The round it is in.
    pub fn round(&self) -> u32 {
        self.state.round().as_u32().unwrap_or(0)
    }
    /// What it has done since it was last asked, in order.
    pub fn output(&mut self) -> Vec<Output> {
        std::mem::take(&mut self.host.output)
    }
    /// When it has to be woken; nothing if it only waits for others.
    pub fn wakes_at(&self) -> Option<u64> {
        let timers = self.host.timers.iter().map(|(due, _)| *due);
        let held = self.host.held.map(|(earliest, latest)| if self.host.wanted { earliest } else { latest });
        timers.chain(held).min()
    }
    /// Whether answers of the application wait to be taken in.
    pub fn has_answers(&self) -> bool {
        !self.host.inbox.is_empty()
    }

    /// Takes in one answer of the application.
    pub fn step(&mut self, at: Moment<'_>) -> Result<(), ConsensusError> {
        match self.host.inbox.pop_front() {
            Some(input) => self.process(input, at),
            None => Ok(()),
        }
    }
    /// Time has passed: everything that is due happens.
    pub fn wake(&mut self, at: Moment<'_>) -> Result<(), ConsensusError> {
        if let Some((earliest, latest)) = self.host.held
            && (at.now >= latest || (at.now >= earliest && self.host.wanted))
        {
            self.begin_next(at)?;
        }
        loop {
            let due = self.host.timers.iter().enumerate().filter(|(_, (due, _))| *due <= at.now);
            let Some(first) = due.min_by_key(|(place, (due, _))| (*due, *place)).map(|(place, _)| place)
            else {
                return Ok(());
            };
            let (_, timeout) = self.host.timers.remove(first);
            self.process(Input::TimeoutElapsed(timeout), at)?;
        }
    }
    /// Transactions wait in the mempool that may stand in the next block.
    pub const fn want(&mut self) {
        self.host.wanted = true;
    }
    /// A message has come from a peer.
    pub fn receive(&mut self, from: u8, message: &Message, at: Moment<'_>) -> Result<(), ConsensusError> {
        let input = match message {
            Message::Consensus(bytes) => match WireCodec.decode(bytes.clone()) {
                Ok(SignedConsensusMsg::Vote(vote)) => Input::Vote(vote),
                Ok(SignedConsensusMsg::Proposal(proposal)) => Input::Proposal(proposal),
                Err(_) => return Ok(()),
            },
            Message::Liveness(bytes) => match WireCodec.decode(bytes.clone()) {
                Ok(LivenessMsg::Vote(vote)) => Input::Vote(vote),
                Ok(LivenessMsg::PolkaCertificate(certificate)) => Input::PolkaCertificate(certificate),
                Ok(LivenessMsg::SkipRoundCertificate(certificate)) => Input::RoundCertificate(certificate),
                Err(_) => return Ok(()),
            },
            Message::Part(bytes) => {
                let part: Result<StreamMessage<Part>, _> = WireCodec.decode(bytes.clone());
                return part.map_or(Ok(()), |part| self.receive_part(from, part, at));
            }
        };
        self.process(input, at)
    }
    fn receive_part(
        &mut self,
        from: u8,
        part: StreamMessage<Part>,
        at: Moment<'_>,
    ) -> Result<(), ConsensusError> {
        let received = self.host.application.receive(&[from], part);
        if received.opens && self.host.held.is_some() {
            self.begin_next(at)?;
        }
        if let Some(assembled) = received.assembled {
            let value = self.host.application.judge(assembled, at.pool, self.host.clock_ms(at))?;
            self.host.inbox.extend(value.map(|value| Input::ProposedValue(value, ValueOrigin::Consensus)));
        }
        Ok(())
    }

    /// Encoded answer to a peer that asks for blocks from a height on.
    pub fn history(&self, from: BlockHeight, count: u64) -> Result<Bytes, ConsensusError> {
        let last = from.saturating_add(count.saturating_sub(1));
        let values = self.host.application.decided_values(&(Height(from)..=Height(last)));
        let response = engine::ValueResponse::new(Height(from), values);
        WireCodec
            .encode(&SyncResponse::ValueResponse(response))
            .map_err(|error| ConsensusError::Task(error.to_string()))
    }
    /// Encoded question for such blocks.
    pub fn question(from: BlockHeight, count: u64) -> Option<Bytes> {
        let last = from.saturating_add(count.saturating_sub(1));
        let request = engine::ValueRequest::new(Height(from)..=Height(last));
        WireCodec.encode(&SyncRequest::ValueRequest(request)).ok()
    }
    /// What such a question asks for; nothing if it is none.
    pub fn asked(question: &Bytes) -> Option<(BlockHeight, u64)> {
        let request: SyncRequest<Sealpost> = WireCodec.decode(question.clone()).ok()?;
        let SyncRequest::ValueRequest(request) = request;
        let (first, last) = (request.range.start().0, request.range.end().0);
        Some((first, last.get().saturating_sub(first.get()).saturating_add(1)))
    }
    /// A peer's answer has come. Garbage is the peer's fault.
    pub fn catch_up(&mut self, from: u8, answer: &Bytes, at: Moment<'_>) -> Result<(), ConsensusError> {
        let response: SyncResponse<Sealpost> = match WireCodec.decode(answer.clone()) {
            Ok(response) => response,
            Err(_) => {
                self.host.output.push(Output::FalseHistory(from));
                return Ok(());
            }
        };
        let SyncResponse::ValueResponse(response) = response;
        let Some(peer) = peer_id(from) else { return Ok(()) };
        self.host.history = response
            .values
            .into_iter()
            .map(|value| {
                let value = engine::CoreValueResponse {
                    peer,
                    value_bytes: value.value_bytes,
                    certificate: value.certificate,
                };
                (from, value)
            })
            .collect();
        // Whoever waits for the next height is behind, and has no reason to wait.
        if self.host.held.is_some() && !self.host.history.is_empty() {
            return self.begin_next(at);
        }
        self.take_history(at)
    }
    /// Hands over the block of a peer's history that belongs to the height being decided.
    fn take_history(&mut self, at: Moment<'_>) -> Result<(), ConsensusError> {
        let height = self.host.application.next_height();
        while let Some((_, value)) = self.host.history.front() {
            if value.certificate.height > height {
                break;
            }
            let Some((from, value)) = self.host.history.pop_front() else { break };
            if value.certificate.height == height {
                self.host.asked = from;
                return self.process(Input::SyncValueResponse(value), at);
            }
        }
        Ok(())
    }

    fn begin_next(&mut self, at: Moment<'_>) -> Result<(), ConsensusError> {
        self.host.held = None;
        self.start_height(at)
    }
    fn start_height(&mut self, at: Moment<'_>) -> Result<(), ConsensusError> {
        let (height, params) = (self.host.application.next_height(), self.host.application.params());
        self.host.votes = self.host.application.decides();
        let logged = if self.host.votes {
            self.host.log.start(height)?
        } else {
            self.host.log.reset(height);
            Vec::new()
        };
        let set = params.validator_set;
        let start = Input::StartHeight(height, set, false, params.target_time, params.vote_extension_policy);
        self.process(start, at)?;
        if !logged.is_empty() {
            self.host.replaying = true;
            self.state.record_recovered_own_precommit_extensions(logged.iter());
            self.state.index_wal_entries(logged.iter());
            for entry in logged {
                self.process(entry, at)?;
            }
            self.state.reset_entries_index();
            self.host.replaying = false;
        }
        self.take_history(at)
    }
    fn process(&mut self, input: Input<Sealpost>, at: Moment<'_>) -> Result<(), ConsensusError> {
        let Self { state, host } = self;
        let metrics = host.metrics.clone();
        let processed: Result<(), engine::CoreError<Sealpost>> = engine::process!(
            input: input,
            state: state,
            metrics: &metrics,
            with: effect => Ok::<_, ConsensusError>(host.handle(effect, at))
        );
        match host.failed.take() {
            Some(error) => {
                host.output.clear();
                Err(error)
            }
            None => processed.map_err(|error| ConsensusError::Task(format!("the engine: {error}"))),
        }
    }
}

impl<D: Disk> Host<D> {
    /// What this node's clock shows to its rules.
    pub(super) const fn clock_ms(&self, at: Moment<'_>) -> u64 {
        match self.rules {
            Rules::Kept => at.clock_ms,
            Rules::NoClock => u64::MAX,
        }
    }
    /// Does what the state machine asks for. After a failure nothing leaves this node any more.
    fn handle(&mut self, effect: Effect<Sealpost>, at: Moment<'_>) -> Resume<Sealpost> {
        match self.perform(effect, at) {
            Ok(resume) => resume,
            Err(error) => {
                self.failed.get_or_insert(error);
                Resume::Continue
            }
        }
    }
    fn perform(
        &mut self,
        effect: Effect<Sealpost>,
        at: Moment<'_>,
    ) -> Result<Resume<Sealpost>, ConsensusError> {
        if self.failed.is_some() {
            return Ok(Resume::Continue);
        }
        Ok(match effect {
            Effect::CancelAllTimeouts(r) => {
                self.timers.clear();
                r.resume_with(())
            }
            Effect::CancelTimeout(timeout, r) => {
                self.timers.retain(|(_, other)| *other != timeout);
                r.resume_with(())
            }
            Effect::ScheduleTimeout(timeout, r) => {
                let after = match timeout.kind {
                    TimeoutKind::FinalizeHeight(after) => after,
                    _ => Timeouts::<Sealpost>::duration_for(&self.application.params().timeouts, timeout),
                };
                let after = u64::try_from(after.as_millis()).unwrap_or(u64::MAX);
                self.timers.retain(|(_, other)| *other != timeout);
                self.timers.push((at.now.saturating_add(after), timeout));
                r.resume_with(())
            }
            Effect::StartRound(height, round, _, _, r) => {
                self.sync_log();
                let clock_ms = self.clock_ms(at);
                let kept = self.application.start_round(height, round, at.pool, clock_ms)?;
                self.inbox.extend(
                    kept.into_iter().map(|value| Input::ProposedValue(value, ValueOrigin::Consensus)),
                );
                r.resume_with(())
            }
            Effect::PublishConsensusMsg(message, r) => {
                self.sync_log();
                self.publish(Message::Consensus(encoded(&message)?));
                r.resume_with(())
            }
            Effect::PublishLivenessMsg(message, r) => {
                self.publish(Message::Liveness(encoded(&message)?));
                r.resume_with(())
            }
            Effect::RepublishVote(vote, r) => {
                self.publish(Message::Liveness(encoded(&LivenessMsg::<Sealpost>::Vote(vote))?));
                r.resume_with(())
            }
            Effect::RepublishRoundCertificate(certificate, r) => {
                let message = LivenessMsg::<Sealpost>::SkipRoundCertificate(certificate);
                self.publish(Message::Liveness(encoded(&message)?));
                r.resume_with(())
            }
            Effect::GetValue(height, round, _, r) => {
                if let Some(Proposed { block, refused }) =
                    self.application.block_to_propose(height, at.pool, at.clock_ms)?
                {
                    if !refused.is_empty() {
                        self.output.push(Output::Refused(refused));
                    }
                    let value = LocallyProposedValue::new(height, round, BlockValue(block.hash()));
                    self.inbox.push_back(Input::Propose(value));
                    let parts = self.application.stream(height, round, Round::Nil, &block);
                    self.publish_parts(parts)?;
                }
                r.resume_with(())
            }
            Effect::RestreamProposal(height, round, valid_round, proposer, block, r) => {
                let parts = self.application.restream(height, round, valid_round, proposer, block);
                self.publish_parts(parts)?;
                r.resume_with(())
            }
            Effect::CertVerifiedSyncValue(value, proposer, r) => {
                let (height, round) = (value.certificate.height, value.certificate.round);
                let outcome =
                    self.application.check_synced(height, round, proposer, &value.value_bytes, at.pool)?;
                match outcome {
                    SyncedValueOutcome::Verdict(proposed)
                        if proposed.value.0 == value.certificate.value_id =>
                    {
                        self.inbox.push_back(Input::ProposedValue(proposed, ValueOrigin::Sync));
                    }
                    SyncedValueOutcome::Verdict(_) | SyncedValueOutcome::PeerFault => self.blame(),
                    SyncedValueOutcome::LocalTransientError => {}
                }
                r.resume_with(())
            }
            Effect::CertRejectedSyncValue(_, _, _, r) => {
                self.blame();
                r.resume_with(())
            }
            Effect::Decide(certificate, _, r) => {
                self.sync_log();
                if let Some(committed) = self.application.commit(&certificate, at.pool)? {
                    self.wanted = false;
                    self.decided_at = at.now;
                    self.output.push(Output::Final(committed));
                }
                r.resume_with(())
            }
            Effect::Finalize(_, _, evidence, r) => {
                self.application.record(&evidence)?;
                self.hold(at);
                r.resume_with(())
            }
            Effect::SignVote(vote, r) => {
                let signed = self.signer.sign_vote(vote).now_or_never();
                r.resume_with(signed.ok_or_else(pending)?.map_err(unsigned)?)
            }
            Effect::SignProposal(proposal, r) => {
                let signed = self.signer.sign_proposal(proposal).now_or_never();
                r.resume_with(signed.ok_or_else(pending)?.map_err(unsigned)?)
            }
            Effect::VerifySignature(message, key, r) => {
                let signature = message.signature;
                let verified = match message.message {
                    ConsensusMsg::Vote(vote) => {
                        self.verifier.verify_signed_vote(&vote, &signature, &key).now_or_never()
                    }
                    ConsensusMsg::Proposal(proposal) => {
                        self.verifier.verify_signed_proposal(&proposal, &signature, &key).now_or_never()
                    }
                };
                r.resume_with(verified.ok_or_else(pending)?.is_ok_and(|result| result.is_valid()))
            }
            Effect::VerifyCommitCertificate(certificate, set, thresholds, r) => {
                let verified =
                    self.verifier.verify_commit_certificate(&Sealpost, &certificate, &set, thresholds);
                r.resume_with(verified.now_or_never().ok_or_else(pending)?)
            }
            Effect::VerifyExtendedCommitCertificate(certificate, set, thresholds, policy, r) => {
                let verified = self.verifier.verify_extended_commit_certificate(
                    &Sealpost,
                    &certificate,
                    &set,
                    thresholds,
                    policy,
                );
                r.resume_with(verified.now_or_never().ok_or_else(pending)?)
            }
            Effect::VerifyPolkaCertificate(certificate, set, thresholds, r) => {
                let verified =
                    self.verifier.verify_polka_certificate(&Sealpost, &certificate, &set, thresholds);
                r.resume_with(verified.now_or_never().ok_or_else(pending)?)
            }
            Effect::VerifyRoundCertificate(certificate, set, thresholds, r) => {
                let verified =
                    self.verifier.verify_round_certificate(&Sealpost, &certificate, &set, thresholds);
                r.resume_with(verified.now_or_never().ok_or_else(pending)?)
            }
            Effect::WalAppend(height, entry, r) => {
                if !self.replaying && self.votes {
                    self.log.append(height, entry)?;
                }
                r.resume_with(())
            }
            Effect::ExtendVote(.., r) => r.resume_with(None),
            Effect::VerifyVoteExtension(.., r) => {
                r.resume_with(Err(VoteExtensionError::InvalidVoteExtension))
            }
        })
    }
    fn sync_log(&mut self) {
        if !self.replaying && self.votes {
            self.log.sync();
        }
    }
    fn publish(&mut self, message: Message) {
        self.output.push(Output::Publish(message));
    }
    fn publish_parts(&mut self, parts: Parts) -> Result<(), ConsensusError> {
        for part in parts {
            self.publish(Message::Part(encoded(&part)?));
        }
        Ok(())
    }
    fn blame(&mut self) {
        self.output.push(Output::FalseHistory(self.asked));
    }
    /// An idle network makes no blocks.
    fn hold(&mut self, at: Moment<'_>) {
        let timing = self.application.tip().genesis_file().timing();
        let after = |ms: u32| self.decided_at.saturating_add(ms.into());
        let (earliest, latest) = (after(timing.block_interval_ms), after(timing.heartbeat_ms));
        let at_once = self.application.was_catching_up()
            || !self.application.decides()
            || self.application.has_begun_elsewhere();
        self.held = Some(if at_once { (at.now, at.now) } else { (earliest, latest) });
    }
}

/// How a message looks on the wire.
pub(super) fn encoded<T>(message: &T) -> Result<Bytes, ConsensusError>
where
    WireCodec: Codec<T>,
{
    WireCodec.encode(message).map_err(|error| ConsensusError::Task(error.to_string()))
}

fn peer_id(number: u8) -> Option<engine::PeerId> {
    let key = libp2p::identity::Keypair::ed25519_from_bytes([number; 32]).ok()?;
    engine::PeerId::from_bytes(&key.public().to_peer_id().to_bytes()).ok()
}

/// Nothing here waits for anything.
fn pending() -> ConsensusError {
    ConsensusError::Task("a signature that has to be waited for".into())
}

fn unsigned(error: engine::SigningError) -> ConsensusError {
    ConsensusError::Task(error.to_string())
}
