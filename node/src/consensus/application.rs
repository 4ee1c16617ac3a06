//! The loop that answers the engine: what to propose, what a proposal is worth, what was decided. It owns
//! the tip and the blocks verified on top of it. Execution and disk work run on the blocking pool.

use super::codec::{engine_certificate, ledger_certificate};
use super::context::{Address, BlockValue, Height, Part, Sealpost, Validators};
use super::engine::{
    self, AppMsg, Channels, CommitCertificate, HeightParams, LocallyProposedValue, MisbehaviorEvidence,
    NetworkMsg, Next, PeerId, ProposedValue, RawDecidedValue, Reply, Round, StreamContent, StreamId,
    StreamMessage, SyncedValueOutcome, Validity, VoteExtensionError,
};
use super::misbehavior::equivocations;
use super::proposals::{Ahead, Assembled, Assembly, Budget, Deciding, PartError, pieces};
use super::signer::{VoteSigner, VoteVerifier};
use super::{ConsensusError, MempoolRequest, Wiring};
use crate::store::Store;
use bytes::Bytes;
use sealpost_ledger::block::Block;
use sealpost_ledger::chain::{self, BlockError, Tip, VerifiedBlock, VerifyError};
use sealpost_ledger::hash::BlockHash;
use sealpost_ledger::height::BlockHeight;
use sealpost_ledger::transaction::{Known, SignedTransaction, VerifiedTransaction};
use sealpost_ledger::validator::ValidatorSet;
use std::collections::{HashMap, HashSet};
use std::future::Future;
use std::mem::{Discriminant, discriminant};
use std::ops::RangeInclusive;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use tokio::sync::{oneshot, watch};
use tokio::time::{Instant, sleep_until, timeout};
use tracing::{debug, warn};

/// Blocks verified and kept in memory for one height; others are on disk only.
const MAX_VERIFIED: usize = 8;
/// A mempool that doesn't answer for so long has nothing to offer.
const MEMPOOL_PATIENCE: Duration = Duration::from_millis(500);

pub(super) struct Application {
    store: Store,
    tip: Tip,
    validators: Validators,
    signer: VoteSigner,
    channels: Channels<Sealpost>,
    wiring: Wiring,
    assembly: Assembly,
    /// Blocks verified on top of `tip`, so that deciding doesn't execute them again.
    verified: HashMap<BlockHash, VerifiedBlock>,
    /// The block this node proposes on top of `tip`, whatever the round.
    own: Option<BlockHash>,
    ahead: Ahead,
    /// The height whose kept proposals the engine has been given.
    handed_over: BlockHeight,
    waiting: Option<Waiting>,
    /// Whether the last block came from a peer's history: then there may be more, so nothing waits.
    catching_up: bool,
    decided_at: Instant,
    /// The validators that decided the last height.
    decided_by: Arc<ValidatorSet>,
    streams: u32,
    /// The round of the height being decided.
    round: u32,
    /// Blocks of others that were verified for that height.
    taken: Budget,
    /// Kinds of parts that were refused at that height, and told of.
    told: HashSet<Discriminant<PartError>>,
}

/// The engine, held between two heights: an idle network makes no blocks.
struct Waiting {
    reply: Reply<Next<Sealpost>>,
    earliest: Instant,
    latest: Instant,
}

impl Application {
    pub(super) fn new(
        store: Store,
        signer: VoteSigner,
        verifier: VoteVerifier,
        max_block_bytes: u32,
        channels: Channels<Sealpost>,
        wiring: Wiring,
    ) -> Self {
        let tip = store.tip();
        Self {
            validators: Validators::new(tip.validators()),
            decided_by: tip.validators().clone(),
            tip,
            store,
            signer,
            channels,
            wiring,
            assembly: Assembly::new(verifier, max_block_bytes),
            verified: HashMap::new(),
            own: None,
            ahead: Ahead::default(),
            handed_over: BlockHeight::GENESIS,
            waiting: None,
            catching_up: false,
            decided_at: Instant::now(),
            streams: 0,
            round: 0,
            taken: Budget::default(),
            told: HashSet::new(),
        }
    }

    /// Answers the engine until told to stop.
    pub(super) async fn run(&mut self) -> Result<(), ConsensusError> {
        let stop = self.wiring.stop.clone();
        loop {
            let message = tokio::select! {
                biased;
                () = stop.cancelled() => return Ok(()),
                message = self.channels.consensus.recv() => Some(message),
                () = due(self.waiting.as_ref(), &mut self.wiring.pending) => None,
            };
            match message {
                // Never broken off: a block that is on its way to disk is told of as well.
                Some(Some(message)) => self.answer(message).await?,
                Some(None) => return Err(ConsensusError::EngineStopped),
                None => self.start_next_height(),
            }
        }
    }

    async fn answer(&mut self, message: AppMsg<Sealpost>) -> Result<(), ConsensusError> {
        match message {
            AppMsg::ConsensusReady { reply } => send(reply, (Height(self.tip.next_height()), self.params())),
            AppMsg::StartedRound { height, round, reply_value, .. } => {
                self.round = round.as_u32().unwrap_or(0);
                send(reply_value, self.kept_proposals(height, round).await?);
            }
            AppMsg::GetValue { height, round, reply, .. } => {
                if let Some(block) = self.block_to_propose(height).await? {
                    send(reply, LocallyProposedValue::new(height, round, BlockValue(block.hash())));
                    self.stream(height, round, Round::Nil, &block).await;
                }
            }
            AppMsg::ExtendVote { reply, .. } => send(reply, None),
            AppMsg::VerifyVoteExtensions { extensions, reply, .. } => {
                let none = extensions.into_iter();
                send(reply, none.map(|(a, ())| (a, Err(VoteExtensionError::InvalidVoteExtension))).collect());
            }
            AppMsg::RestreamProposal { height, round, valid_round, value_id, .. } => {
                if let Some(block) = self.known_block(height, value_id).await? {
                    self.stream(height, round, valid_round, &block).await;
                }
            }
            AppMsg::GetHistoryMinHeight { reply } => send(reply, Height(self.store.oldest_body_height())),
            AppMsg::ReceivedProposalPart { from, published_by, part, reply } => {
                send(reply, self.receive(published_by.unwrap_or(from), part).await?);
            }
            AppMsg::Decided { certificate, reply, .. } => {
                self.commit(&certificate).await?;
                send(reply, ());
            }
            AppMsg::Finalized { evidence, reply, .. } => {
                self.record(&evidence).await?;
                self.hold(reply);
            }
            AppMsg::GetDecidedValues { range, reply } => send(reply, self.decided_values(range).await?),
            AppMsg::ProcessSyncedValue { height, round, proposer, value_bytes, reply } => {
                send(reply, self.check_synced(height, round, proposer, value_bytes).await?);
            }
        }
        Ok(())
    }

    fn params(&self) -> HeightParams<Sealpost> {
        HeightParams::new(self.validators.clone(), engine::LinearTimeouts::default(), None)
    }

    /// Proposals that are here already when a height starts: after a restart, or when others were ahead.
    async fn kept_proposals(
        &mut self,
        height: Height,
        round: Round,
    ) -> Result<Vec<ProposedValue<Sealpost>>, ConsensusError> {
        if height.0 != self.tip.next_height() || self.handed_over == height.0 {
            return Ok(Vec::new());
        }
        self.handed_over = height.0;
        let store = self.store.clone();
        let mut blocks = blocking(move || Ok(store.proposals_at(height.0))).await?;
        blocks.extend(std::mem::take(&mut self.ahead).of(height));
        let mut values = Vec::new();
        for block in blocks {
            let (hash, proposer) = (block.hash(), Address(block.header().proposer));
            match self.verify(block, Some(now_ms())).await? {
                Ok(()) => values.push(proposed(height, round, Round::Nil, proposer, hash, Validity::Valid)),
                Err(error) => warn!(%hash, %error, "a kept proposal does not fit the chain"),
            }
        }
        Ok(values)
    }

    /// This node's block for the height: one per height, so that it never proposes two.
    async fn block_to_propose(&mut self, height: Height) -> Result<Option<Arc<Block>>, ConsensusError> {
        let key = self.signer.public_key();
        if height.0 != self.tip.next_height() {
            return Ok(None);
        }
        let mine = |block: &&VerifiedBlock| block.block().header().proposer == key;
        let own = self.own.and_then(|hash| self.verified.get(&hash)).or(self.verified.values().find(mine));
        if let Some(block) = own {
            return Ok(Some(block.block().clone()));
        }
        let candidates = self.candidates().await;
        let (tip, store) = (self.tip.clone(), self.store.clone());
        let proposal = blocking(move || {
            let proposal = chain::propose(&tip, &store, candidates, now_ms(), key).map_err(store_error)?;
            store.put_proposal(proposal.block.block()).map_err(store_error)?;
            Ok(proposal)
        })
        .await?;
        if !proposal.refused.is_empty() && self.wiring.refused.try_send(proposal.refused).is_err() {
            debug!("nobody takes the refused transactions out of the mempool");
        }
        let block = proposal.block.block().clone();
        self.own = Some(block.hash());
        self.verified.insert(block.hash(), proposal.block);
        Ok(Some(block))
    }

    async fn candidates(&self) -> Vec<VerifiedTransaction> {
        let genesis = self.tip.genesis_file();
        let bytes = |count: u64| usize::try_from(count).unwrap_or(usize::MAX);
        let max_bytes = bytes(genesis.limits().block_bytes.into());
        let max_strangers_bytes = bytes(genesis.strangers_bytes());
        let found =
            self.ask_mempool(|reply| MempoolRequest::Candidates { max_bytes, max_strangers_bytes, reply });
        let found = found.await;
        found.unwrap_or_else(|| {
            warn!("the mempool did not answer; proposing an empty block");
            Vec::new()
        })
    }

    async fn ask_mempool(
        &self,
        request: impl FnOnce(oneshot::Sender<Vec<VerifiedTransaction>>) -> MempoolRequest,
    ) -> Option<Vec<VerifiedTransaction>> {
        let (reply, found) = oneshot::channel();
        self.wiring.mempool.try_send(request(reply)).ok()?;
        timeout(MEMPOOL_PATIENCE, found).await.ok()?.ok()
    }

    async fn known_block(
        &self,
        height: Height,
        hash: BlockHash,
    ) -> Result<Option<Arc<Block>>, ConsensusError> {
        if let Some(verified) = self.verified.get(&hash) {
            return Ok(Some(verified.block().clone()));
        }
        let store = self.store.clone();
        let kept = blocking(move || Ok(store.proposals_at(height.0))).await?;
        Ok(kept.into_iter().find(|block| block.hash() == hash).map(Arc::new))
    }

    /// Sends a block to the other validators, piece by piece.
    async fn stream(&mut self, height: Height, round: Round, valid_round: Round, block: &Block) {
        let Some(number) = round.as_u32() else { return };
        // Whoever decides alone has nobody to send it to.
        if self.validators.len() == 1 && self.decides() {
            return;
        }
        let bytes = Bytes::from(block.to_bytes());
        let length = u32::try_from(bytes.len()).unwrap_or(u32::MAX);
        let init = match self.signer.sign_parts(height, number, valid_round.as_u32(), block.hash(), length) {
            Ok(init) => init,
            Err(error) => return warn!(%error, "the proposal could not be signed"),
        };
        self.streams = self.streams.wrapping_add(1);
        let mut id = height.0.get().to_be_bytes().to_vec();
        id.extend(number.to_be_bytes());
        id.extend(self.streams.to_be_bytes());
        let id = StreamId::new(id.into());
        let parts = std::iter::once(Part::Init(init)).chain(pieces(&bytes));
        for (sequence, part) in (0_u64..).zip(parts) {
            let message = StreamMessage::new(id.clone(), sequence, StreamContent::Data(part));
            if self.channels.network.send(NetworkMsg::PublishProposalPart(message)).await.is_err() {
                return;
            }
        }
    }

    /// Takes in a part of somebody's proposal; the value when it is complete and checked.
    async fn receive(
        &mut self,
        publisher: PeerId,
        message: StreamMessage<Part>,
    ) -> Result<Option<ProposedValue<Sealpost>>, ConsensusError> {
        let StreamContent::Data(part) = message.content else { return Ok(None) };
        let key = (publisher.to_bytes(), message.stream_id.to_bytes().to_vec());
        let deciding = self.tip.next_height();
        let opens = matches!(&part, Part::Init(init) if init.height.0 >= deciding);
        let now = Deciding { height: deciding, round: self.round };
        let inserted = self.assembly.insert(key, message.sequence, part, now, &self.validators);
        if opens && matches!(inserted, Ok(_) | Err(PartError::Height { .. })) {
            // A proposer has begun this height, or a later one: no reason to wait any longer.
            self.start_next_height();
        }
        let Assembled { init, block } = match inserted {
            Ok(Some(assembled)) => assembled,
            Ok(None) => return Ok(None),
            Err(error) => {
                self.tell_refused(&publisher, &error);
                return Ok(None);
            }
        };
        if init.height.0 != deciding {
            self.ahead.put(init, block);
            return Ok(None);
        }
        // Each block that holds is run and kept on disk. An honest proposer makes one for a height.
        if !self.verified.contains_key(&init.block) && !self.taken.admits(init.proposer) {
            warn!(block = %init.block, proposer = %init.proposer, "too many blocks for one height");
            return Ok(None);
        }
        let validity = match self.verify(block, Some(now_ms())).await? {
            Ok(()) => Validity::Valid,
            Err(error) => {
                warn!(block = %init.block, proposer = %init.proposer, %error, "refused a proposed block");
                Validity::Invalid
            }
        };
        let valid_round = init.valid_round.map_or(Round::Nil, Round::new);
        let round = Round::new(init.round);
        Ok(Some(proposed(init.height, round, valid_round, init.proposer, init.block, validity)))
    }

    /// Says what was refused, once for each kind and height: who floods with parts is not to flood the log.
    fn tell_refused(&mut self, publisher: &PeerId, error: &PartError) {
        // Whoever is late, or ahead, does nothing wrong.
        let is_news = !matches!(error, PartError::Height { .. }) && self.told.insert(discriminant(error));
        if is_news {
            warn!(%publisher, %error, "refused a part of a proposal");
        } else {
            debug!(%publisher, %error, "refused a part of a proposal");
        }
    }

    /// Checks a block on top of the tip and keeps it, on disk and in memory.
    async fn verify(
        &mut self,
        block: Block,
        now_ms: Option<u64>,
    ) -> Result<Result<(), BlockError>, ConsensusError> {
        if self.verified.contains_key(&block.hash()) {
            return Ok(Ok(()));
        }
        let ids = block.transactions().iter().map(SignedTransaction::id).collect();
        let waiting = self.ask_mempool(|reply| MempoolRequest::Waiting { ids, reply }).await;
        // A mempool that does not answer costs nothing but time.
        let known: Known = waiting.unwrap_or_default().into_iter().map(|t| (t.id(), t)).collect();
        let (tip, store) = (self.tip.clone(), self.store.clone());
        let verified =
            blocking(move || match chain::verify_block_knowing(&tip, &store, block, now_ms, &known) {
                Ok(verified) => {
                    store.put_proposal(verified.block()).map_err(store_error)?;
                    Ok(Ok(verified))
                }
                Err(VerifyError::Invalid(error)) => Ok(Err(error)),
                Err(VerifyError::View(error)) => Err(store_error(error)),
            })
            .await?;
        Ok(verified.map(|verified| {
            if self.verified.len() >= MAX_VERIFIED {
                self.verified.clear();
            }
            self.verified.insert(verified.block().hash(), verified);
        }))
    }

    /// Makes the decided block final: certificate checked, block on disk, everybody told.
    async fn commit(&mut self, certificate: &CommitCertificate<Sealpost>) -> Result<(), ConsensusError> {
        let (height, hash) = (certificate.height, certificate.value_id);
        if height.0 != self.tip.next_height() {
            debug!(%height, "decided again");
            return Ok(());
        }
        if !self.verified.contains_key(&hash)
            && let Some(block) = self.known_block(height, hash).await?
        {
            // Decided blocks are not measured against this node's clock.
            if let Err(error) = self.verify(Arc::unwrap_or_clone(block), None).await? {
                warn!(block = %hash, %error, "the decided block does not fit the chain here");
            }
        }
        let unknown = ConsensusError::UnknownBlock { block: hash, height: height.0 };
        let verified = self.verified.remove(&hash).ok_or(unknown)?;
        let certificate = ledger_certificate(certificate, self.tip.validators());
        let store = self.store.clone();
        let committed = blocking(move || {
            let committed = Arc::new(verified.commit(certificate)?);
            store.append(&committed).map_err(store_error)?;
            Ok(committed)
        })
        .await?;
        let transactions = committed.block().transactions().len();
        debug!(height = %height, block = %hash, transactions, "block final");
        self.decided_by = self.tip.validators().clone();
        self.tip = committed.tip().clone();
        self.validators = Validators::new(self.tip.validators());
        self.verified.clear();
        self.round = 0;
        self.taken = Budget::default();
        self.told.clear();
        self.own = None;
        self.assembly.forget_before(self.tip.next_height());
        self.decided_at = Instant::now();
        self.wiring.pending.mark_unchanged();
        if self.wiring.committed.send(committed).await.is_err() {
            debug!(height = %height, "nobody listens for final blocks");
        }
        Ok(())
    }

    /// Keeps what validators said twice; whoever reads it later can check it.
    async fn record(&self, evidence: &MisbehaviorEvidence<Sealpost>) -> Result<(), ConsensusError> {
        if evidence.is_empty() {
            return Ok(());
        }
        let chain = self.tip.genesis_file().chain_id();
        for equivocation in equivocations(evidence) {
            let place = equivocation.place();
            if let Err(error) = equivocation.verify(&chain, &self.decided_by) {
                debug!(%error, validator = %place.validator, "an equivocation can't be shown");
                continue;
            }
            warn!(validator = %place.validator, height = %place.height, round = place.round, kind = %place.kind,
                "a validator said two different things");
            let store = self.store.clone();
            blocking(move || store.put_equivocation(&equivocation).map(drop).map_err(store_error)).await?;
        }
        Ok(())
    }

    /// Keeps the engine between heights until there is something to decide.
    fn hold(&mut self, reply: Reply<Next<Sealpost>>) {
        let timing = self.tip.genesis_file().timing();
        let after = |ms: u32| {
            let wait = Duration::from_millis(ms.into());
            self.decided_at.checked_add(wait).unwrap_or(self.decided_at)
        };
        let (earliest, latest) = (after(timing.block_interval_ms), after(timing.heartbeat_ms));
        self.waiting = Some(Waiting { reply, earliest, latest });
        // A key that has just left office decides nothing any more, so nothing is saved by waiting.
        if std::mem::take(&mut self.catching_up) || !self.decides() {
            self.start_next_height();
        }
    }

    /// Whether this node's key is among those that decide the next height.
    fn decides(&self) -> bool {
        self.tip.validators().find(&self.signer.public_key()).is_some()
    }

    fn start_next_height(&mut self) {
        if let Some(waiting) = self.waiting.take() {
            send(waiting.reply, Next::Start(Height(self.tip.next_height()), self.params()));
        }
    }

    /// Final blocks for a node that catches up, as far as they are kept.
    async fn decided_values(
        &self,
        range: RangeInclusive<Height>,
    ) -> Result<Vec<RawDecidedValue<Sealpost>>, ConsensusError> {
        let (first, last) = (range.start().0.get(), range.end().0.get().min(self.tip.height().get()));
        let store = self.store.clone();
        blocking(move || {
            let mut values = Vec::new();
            for height in first..=last {
                let decided = store.certified_block(BlockHeight::new(height)).map_err(store_error)?;
                let Some((block, certificate)) = decided else { break };
                // Positions in a certificate are those of the set that decided its height.
                let validators = store.validators(block.height()).map_err(store_error)?;
                let certificate = engine_certificate(&certificate, &validators);
                values.push(RawDecidedValue::new(block.to_bytes().into(), certificate));
            }
            Ok(values)
        })
        .await
    }

    /// Checks a block that another node says is final. The engine checks its certificate.
    async fn check_synced(
        &mut self,
        height: Height,
        round: Round,
        proposer: Address,
        bytes: Bytes,
    ) -> Result<SyncedValueOutcome<Sealpost>, ConsensusError> {
        if height.0 != self.tip.next_height() {
            return Ok(SyncedValueOutcome::LocalTransientError);
        }
        let Ok(block) = Block::from_bytes(&bytes) else { return Ok(SyncedValueOutcome::PeerFault) };
        let hash = block.hash();
        Ok(match self.verify(block, None).await? {
            Ok(()) => {
                self.catching_up = true;
                let value = proposed(height, round, Round::Nil, proposer, hash, Validity::Valid);
                SyncedValueOutcome::Verdict(value)
            }
            Err(error) => {
                warn!(block = %hash, %error, "refused a block from a peer while catching up");
                SyncedValueOutcome::PeerFault
            }
        })
    }
}

/// Returns when the next height is to start; never, when nothing waits.
async fn due(waiting: Option<&Waiting>, pending: &mut watch::Receiver<usize>) {
    let Some(Waiting { earliest, latest, .. }) = waiting else { return std::future::pending().await };
    sleep_until(*earliest).await;
    tokio::select! {
        () = sleep_until(*latest) => {}
        () = any_pending(pending) => {}
    }
}

/// Returns when a number of waiting transactions above zero has been sent since the last block.
async fn any_pending(pending: &mut watch::Receiver<usize>) {
    while pending.changed().await.is_ok() {
        if *pending.borrow_and_update() > 0 {
            return;
        }
    }
    std::future::pending().await
}

const fn proposed(
    height: Height,
    round: Round,
    valid_round: Round,
    proposer: Address,
    block: BlockHash,
    validity: Validity,
) -> ProposedValue<Sealpost> {
    ProposedValue { height, round, valid_round, proposer, value: BlockValue(block), validity }
}

/// The engine may have stopped waiting, at shutdown; then nobody needs the answer.
fn send<T>(reply: Reply<T>, answer: T) {
    drop(reply.send(answer));
}

fn store_error(error: impl std::fmt::Display) -> ConsensusError {
    ConsensusError::Store(error.to_string())
}

fn now_ms() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, ConsensusError> + Send + 'static,
) -> impl Future<Output = Result<T, ConsensusError>> {
    let task = tokio::task::spawn_blocking(work);
    async move { task.await.map_err(|error| ConsensusError::Task(error.to_string()))? }
}
