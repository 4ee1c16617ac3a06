//! What this node makes of what the engine asks: what to propose, what a proposal is worth, what was decided. It owns
//! the tip and the blocks verified on top of it. No task, clock or network: time is an argument, the mempool and the
//! disk are behind traits, and what is to be sent is returned. [`task`](super::task) connects it with the engine.

use super::codec::{engine_certificate, ledger_certificate};
use super::context::{Address, BlockValue, Contents, Height, Part, PartsInit, Sealpost, Validators};
use super::disk::Disk;
use super::engine::{
    self, CommitCertificate, HeightParams, MisbehaviorEvidence, PeerId, ProposedValue, RawDecidedValue,
    Round, StreamContent, StreamMessage, SyncedValueOutcome, Validity,
};
use super::misbehavior::equivocations;
use super::names::Names;
use super::proposals::{Ahead, Assembled, Assembly, Budget, Deciding, PartError, Parts, StreamKey, parts};
use super::signer::{VoteSigner, VoteVerifier};
use super::{ConsensusError, Pool};
use crate::store::{Maker, ProposedBlock, StoreError};
use bytes::Bytes;
use sealpost_ledger::block::Block;
use sealpost_ledger::chain::{self, BlockError, CommittedBlock, Tip, VerifiedBlock, VerifyError};
use sealpost_ledger::execution::Refusal;
use sealpost_ledger::hash::{BlockHash, TransactionId};
use sealpost_ledger::height::BlockHeight;
use sealpost_ledger::transaction::{Known, SignedTransaction};
use sealpost_ledger::validator::ValidatorSet;
use std::collections::{BTreeMap, HashSet};
use std::mem::{Discriminant, discriminant};
use std::ops::RangeInclusive;
use std::sync::Arc;
use tracing::{debug, warn};

/// Blocks verified and kept in memory for one height; others are on disk only.
const MAX_VERIFIED: usize = 8;

pub(super) struct Application<D> {
    disk: D,
    tip: Tip,
    validators: Validators,
    signer: VoteSigner,
    assembly: Assembly,
    /// Whom the blocks name that are here. The engine's verifier asks the same.
    names: Names,
    /// Blocks that the engine must not have yet.
    held: Vec<Assembled>,
    /// Blocks verified on top of `tip`, so that deciding doesn't execute them again.
    verified: BTreeMap<BlockHash, VerifiedBlock>,
    /// The block this node has made on top of `tip` and proposes, whatever the round.
    own: Option<BlockHash>,
    ahead: Ahead,
    /// The height whose kept proposals the engine has been given.
    handed_over: BlockHeight,
    /// Whether the last block came from a peer's history: then there may be more, so nothing waits.
    catching_up: bool,
    /// The validators that decided the last height.
    decided_by: Arc<ValidatorSet>,
    /// The round of the height being decided.
    round: u32,
    /// Blocks of others that were verified for that height.
    taken: Budget,
    /// Kinds of parts that were refused at that height, and told of.
    told: HashSet<Discriminant<PartError>>,
}

/// A block to propose.
pub(super) struct Proposed {
    pub(super) block: Arc<Block>,
    /// Waiting transactions that the rules refuse, found while the block was made.
    pub(super) refused: Vec<(TransactionId, Refusal)>,
}

/// What came of a part.
#[derive(Debug, Default)]
pub(super) struct Received {
    /// Whether a proposer has begun the height being decided, or a later one: no reason to wait any longer.
    pub(super) opens: bool,
    /// A block for the height being decided whose last part this was.
    pub(super) assembled: Option<Assembled>,
}

impl<D: Disk> Application<D> {
    pub(super) fn new(disk: D, signer: VoteSigner, verifier: VoteVerifier, max_block_bytes: u32) -> Self {
        let tip = disk.tip();
        Self {
            validators: Validators::new(tip.validators()),
            decided_by: tip.validators().clone(),
            tip,
            disk,
            signer,
            names: verifier.names().clone(),
            held: Vec::new(),
            assembly: Assembly::new(verifier, max_block_bytes),
            verified: BTreeMap::new(),
            own: None,
            ahead: Ahead::default(),
            handed_over: BlockHeight::GENESIS,
            catching_up: false,
            round: 0,
            taken: Budget::default(),
            told: HashSet::new(),
        }
    }
    pub(super) const fn tip(&self) -> &Tip {
        &self.tip
    }
    #[cfg(any(test, feature = "simulation"))]
    pub(super) const fn disk(&self) -> &D {
        &self.disk
    }
    /// The height to decide next.
    pub(super) fn next_height(&self) -> Height {
        Height(self.tip.next_height())
    }
    /// What the engine needs to know of that height.
    pub(super) fn params(&self) -> HeightParams<Sealpost> {
        HeightParams::new(self.validators.clone(), engine::LinearTimeouts::default(), None)
    }
    /// Whether this node's key is among those that decide the next height.
    pub(super) fn decides(&self) -> bool {
        self.tip.validators().find(&self.signer.public_key()).is_some()
    }
    /// Whether the last block came from a peer's history, so that the next one may be there already. Asked once for
    /// each block.
    pub(super) const fn was_catching_up(&mut self) -> bool {
        std::mem::replace(&mut self.catching_up, false)
    }
    /// Whether somebody has opened a block of the height that comes next, so that it has begun elsewhere.
    pub(super) fn has_begun_elsewhere(&self) -> bool {
        self.assembly.has_opened(self.tip.next_height())
    }
    /// The lowest height whose block this node can give to others.
    pub(super) fn oldest_height(&self) -> Height {
        Height(self.disk.oldest_body_height())
    }

    /// The engine begins a round. Returns proposals that are here already when a height starts, after a restart, or
    /// when others were ahead; and those that it could not have before this round.
    pub(super) fn start_round(
        &mut self,
        height: Height,
        round: Round,
        pool: &dyn Pool,
        now_ms: u64,
    ) -> Result<Vec<ProposedValue<Sealpost>>, ConsensusError> {
        self.round = round.as_u32().unwrap_or(0);
        if height.0 != self.tip.next_height() {
            return Ok(Vec::new());
        }
        if self.handed_over == height.0 {
            return self.release(pool, now_ms);
        }
        self.handed_over = height.0;
        let kept = self.disk.proposals_at(height.0);
        kept.iter().for_each(|kept| self.hand_over_again(height, kept));
        let kept = kept.into_iter().map(|kept| {
            let proposer = Address(kept.block.header().proposer);
            (kept.round, None, proposer, kept.block)
        });
        // A block for the first round of a height may have been let in when that was the turn of another.
        let mut early = self.ahead.take(height, &self.validators);
        self.held.extend(
            early.extract_if(.., |early| !self.names.admits_block(&early.init, &early.block, self.round)),
        );
        let early = early.into_iter().map(|Assembled { init, block }| {
            let PartsInit { round, valid_round, proposer, .. } = init;
            (round, valid_round, proposer, block)
        });
        let blocks: Vec<_> = kept.chain(early).collect();
        let mut values = Vec::new();
        // Each in the round it came in. The engine has few places in a round: in the present one, early blocks would take
        // those of its proposer.
        for (round, valid_round, proposer, block) in blocks {
            let hash = block.hash();
            match self.verify(block, round, pool, Some(now_ms))? {
                Ok(()) => {
                    let (round, valid_round) =
                        (Round::new(round), valid_round.map_or(Round::Nil, Round::new));
                    values.push(proposed(height, round, valid_round, proposer, hash, Validity::Valid));
                }
                Err(error) => warn!(%hash, %error, "a kept proposal does not fit the chain"),
            }
        }
        Ok(values)
    }

    /// This node's block for the height: one per height, so that it never proposes two.
    pub(super) fn block_to_propose(
        &mut self,
        height: Height,
        pool: &dyn Pool,
        now_ms: u64,
    ) -> Result<Option<Proposed>, ConsensusError> {
        let key = self.signer.public_key();
        if height.0 != self.tip.next_height() {
            return Ok(None);
        }
        if let Some(block) = self.own_block(height, pool)? {
            return Ok(Some(Proposed { block, refused: Vec::new() }));
        }
        let genesis = self.tip.genesis_file();
        let bytes = |count: u64| usize::try_from(count).unwrap_or(usize::MAX);
        let candidates =
            pool.candidates(bytes(genesis.limits().block_bytes.into()), bytes(genesis.strangers_bytes()));
        let proposal = chain::propose(&self.tip, &self.disk, candidates, now_ms, key).map_err(store_error)?;
        self.disk.put_proposal(proposal.block.block(), self.round, Maker::Own).map_err(store_error)?;
        let block = proposal.block.block().clone();
        self.own = Some(block.hash());
        self.verified.insert(block.hash(), proposal.block);
        Ok(Some(Proposed { block, refused: proposal.refused }))
    }

    /// The block that this node has made for the height, if it has: in this process, or in one before. Only what it was
    /// marked with on disk tells that; anybody can write this node's name into a header.
    fn own_block(&mut self, height: Height, pool: &dyn Pool) -> Result<Option<Arc<Block>>, ConsensusError> {
        if self.own.is_none() {
            let mut kept = self.disk.proposals_at(height.0).into_iter();
            self.own = kept.find(|kept| kept.maker == Maker::Own).map(|kept| kept.block.hash());
        }
        let Some(hash) = self.own else { return Ok(None) };
        if !self.verified.contains_key(&hash)
            && let Some(block) = self.known_block(height, hash)
            // Its time was right when it was made.
            && let Err(error) = self.verify(Arc::unwrap_or_clone(block), self.round, pool, None)?
        {
            warn!(block = %hash, %error, "this node's own block does not fit the chain");
        }
        Ok(self.verified.get(&hash).map(|verified| verified.block().clone()))
    }

    /// A block that was proposed for the height being decided.
    pub(super) fn known_block(&self, height: Height, hash: BlockHash) -> Option<Arc<Block>> {
        if let Some(verified) = self.verified.get(&hash) {
            return Some(verified.block().clone());
        }
        let mut kept = self.disk.proposals_at(height.0).into_iter().map(|kept| kept.block);
        kept.find(|block| block.hash() == hash).map(Arc::new)
    }

    /// Takes a block apart for the other validators.
    pub(super) fn stream(
        &mut self,
        height: Height,
        round: Round,
        valid_round: Round,
        block: &Block,
    ) -> Parts {
        let Some(number) = round.as_u32() else { return Vec::new() };
        // Whoever decides alone has nobody to send it to.
        if self.validators.len() == 1 && self.decides() {
            return Vec::new();
        }
        let (bytes, valid_round) = (Bytes::from(block.to_bytes()), valid_round.as_u32());
        let contents = Contents::of(&bytes);
        let init = match self.signer.sign_parts(height, number, valid_round, block.hash(), contents) {
            Ok(init) => init,
            Err(error) => {
                warn!(%error, "the proposal could not be signed");
                return Vec::new();
            }
        };
        parts(init, &bytes)
    }

    /// Takes a block apart once more for those who have missed it. Nobody but its proposer can open it: what others have
    /// proposed goes out behind their own openings, as they came.
    pub(super) fn restream(
        &mut self,
        height: Height,
        round: Round,
        valid_round: Round,
        proposer: Address,
        block: BlockHash,
    ) -> Parts {
        let Some(known) = self.known_block(height, block) else { return Parts::new() };
        if proposer.0 == self.signer.public_key() {
            return self.stream(height, round, valid_round, &known);
        }
        let key = round.as_u32().map(|round| StreamKey { height: height.0, round, block });
        let opening = key.and_then(|key| self.assembly.opening(&key));
        let Some(init) = opening.filter(|init| init.proposer == proposer) else {
            debug!(%height, %round, %block, "no opening is known to send the block behind");
            return Parts::new();
        };
        parts(init.clone(), &known.to_bytes().into())
    }

    /// Takes in a part of somebody's proposal. Who publishes it is only told: that can be made up.
    pub(super) fn receive(&mut self, publisher: &[u8], message: StreamMessage<Part>) -> Received {
        let StreamContent::Data(part) = message.content else { return Received::default() };
        let deciding = self.tip.next_height();
        let opens = matches!(&part, Part::Init(init) if init.height.0 >= deciding);
        let now = Deciding { height: deciding, round: self.round };
        let inserted = StreamKey::from_id(&message.stream_id)
            .and_then(|key| self.assembly.insert(key, message.sequence, part, now, &self.validators));
        let opens = opens && matches!(inserted, Ok(_) | Err(PartError::Height { .. }));
        let assembled = match inserted {
            Ok(assembled) => assembled,
            Err(error) => {
                self.tell_refused(publisher, &error);
                None
            }
        };
        let Some(Assembled { init, block }) = assembled else { return Received { opens, assembled: None } };
        if init.height.0 == deciding {
            return Received { opens, assembled: Some(Assembled { init, block }) };
        }
        for dropped in self.ahead.put(Assembled { init, block }) {
            self.assembly.forget(&dropped);
        }
        Received { opens, assembled: None }
    }

    /// A block from the disk counts as handed over, unless it is certain that whom it names has opened it. Then proposals
    /// of it as new may have been voted by, and the engine, which goes through its log after this, must come to
    /// the same votes.
    fn hand_over_again(&self, height: Height, kept: &ProposedBlock) {
        let turn = self.validators.proposer(height, Round::new(kept.round));
        let is_its_turn = turn.is_some_and(|turn| turn.address().0 == kept.block.header().proposer);
        if kept.maker != Maker::Own && !is_its_turn {
            self.names.hand_over_again(height, &kept.block);
        }
    }

    /// What those blocks are worth that were held for rounds which are over.
    fn release(
        &mut self,
        pool: &dyn Pool,
        now_ms: u64,
    ) -> Result<Vec<ProposedValue<Sealpost>>, ConsensusError> {
        let is_due = |held: &mut Assembled| self.names.admits_block(&held.init, &held.block, self.round);
        let due: Vec<_> = self.held.extract_if(.., is_due).collect();
        due.into_iter().map(|assembled| self.value(assembled, pool, now_ms)).collect()
    }

    /// What a proposed block is worth; nothing if there were too many, or if the engine may have it only later. On the disk
    /// stands the opening by which it is handed over, so it is not kept there before.
    pub(super) fn judge(
        &mut self,
        assembled: Assembled,
        pool: &dyn Pool,
        now_ms: u64,
    ) -> Result<Option<ProposedValue<Sealpost>>, ConsensusError> {
        let init = &assembled.init;
        // Each block that holds is run and kept on disk. An honest proposer makes one for a height.
        let is_held = self.held.iter().any(|held| held.init.block == init.block);
        let is_known = is_held || self.verified.contains_key(&init.block);
        if !is_known && !self.taken.admits(init.proposer) {
            warn!(block = %init.block, proposer = %init.proposer, "too many blocks for one height");
            return Ok(None);
        }
        if self.names.admits_block(init, &assembled.block, self.round) {
            return self.value(assembled, pool, now_ms).map(Some);
        }
        warn!(block = %init.block, proposer = %init.proposer,
            "somebody proposes a block as new that another is said to have made; it has to wait");
        if !is_held {
            self.held.push(assembled);
        }
        Ok(None)
    }

    /// What a block is worth that the engine may have.
    fn value(
        &mut self,
        assembled: Assembled,
        pool: &dyn Pool,
        now_ms: u64,
    ) -> Result<ProposedValue<Sealpost>, ConsensusError> {
        let Assembled { init, block } = assembled;
        let validity = match self.verify(block, init.round, pool, Some(now_ms))? {
            Ok(()) => Validity::Valid,
            Err(error) => {
                warn!(block = %init.block, proposer = %init.proposer, %error, "refused a proposed block");
                Validity::Invalid
            }
        };
        let valid_round = init.valid_round.map_or(Round::Nil, Round::new);
        let round = Round::new(init.round);
        Ok(proposed(init.height, round, valid_round, init.proposer, init.block, validity))
    }

    /// Says what was refused, once for each kind and height: who floods with parts is not to flood the log.
    fn tell_refused(&mut self, publisher: &[u8], error: &PartError) {
        let publisher = PeerId::from_bytes(publisher)
            .map_or_else(|_| const_hex::encode(publisher), |publisher| publisher.to_string());
        // Whoever is late, or ahead, does nothing wrong.
        let is_news = !matches!(error, PartError::Height { .. }) && self.told.insert(discriminant(error));
        if is_news {
            warn!(%publisher, %error, "refused a part of a proposal");
        } else {
            debug!(%publisher, %error, "refused a part of a proposal");
        }
    }

    /// Checks a block on top of the tip and keeps it, on disk and in memory, as one of a round.
    fn verify(
        &mut self,
        block: Block,
        round: u32,
        pool: &dyn Pool,
        now_ms: Option<u64>,
    ) -> Result<Result<(), BlockError>, ConsensusError> {
        if self.verified.contains_key(&block.hash()) {
            return Ok(Ok(()));
        }
        let ids = block.transactions().iter().map(SignedTransaction::id).collect();
        // A mempool that does not answer costs nothing but time.
        let known: Known = pool.waiting(ids).into_iter().map(|t| (t.id(), t)).collect();
        let verified = match chain::verify_block_knowing(&self.tip, &self.disk, block, now_ms, &known) {
            Ok(verified) => verified,
            Err(VerifyError::Invalid(error)) => return Ok(Err(error)),
            Err(VerifyError::View(error)) => return Err(store_error(error)),
        };
        self.disk.put_proposal(verified.block(), round, Maker::Other).map_err(store_error)?;
        if self.verified.len() >= MAX_VERIFIED {
            self.verified.clear();
        }
        self.verified.insert(verified.block().hash(), verified);
        Ok(Ok(()))
    }

    /// Makes the decided block final: certificate checked, block on disk. Nothing if it was decided before.
    pub(super) fn commit(
        &mut self,
        certificate: &CommitCertificate<Sealpost>,
        pool: &dyn Pool,
    ) -> Result<Option<Arc<CommittedBlock>>, ConsensusError> {
        let (height, hash) = (certificate.height, certificate.value_id);
        if height.0 != self.tip.next_height() {
            debug!(%height, "decided again");
            return Ok(None);
        }
        if !self.verified.contains_key(&hash)
            && let Some(block) = self.known_block(height, hash)
        {
            // Decided blocks are not measured against this node's clock.
            let round = certificate.round.as_u32().unwrap_or(0);
            if let Err(error) = self.verify(Arc::unwrap_or_clone(block), round, pool, None)? {
                warn!(block = %hash, %error, "the decided block does not fit the chain here");
            }
        }
        let unknown = ConsensusError::UnknownBlock { block: hash, height: height.0 };
        let verified = self.verified.remove(&hash).ok_or(unknown)?;
        let certificate = ledger_certificate(certificate, self.tip.validators());
        let committed = Arc::new(verified.commit(certificate)?);
        self.disk.append(&committed).map_err(store_error)?;
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
        self.held.clear();
        self.names.forget_before(self.tip.next_height());
        self.assembly.forget_before(self.tip.next_height(), &self.validators);
        Ok(Some(committed))
    }

    /// Keeps what validators said twice; whoever reads it later can check it.
    pub(super) fn record(&self, evidence: &MisbehaviorEvidence<Sealpost>) -> Result<(), ConsensusError> {
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
            self.disk.put_equivocation(&equivocation).map_err(store_error)?;
        }
        Ok(())
    }

    /// Final blocks for a node that catches up, as far as they are kept and can be read. One that can't be read is this
    /// node's trouble, and no reason to vote no more: whoever asks has other nodes to ask.
    pub(super) fn decided_values(&self, range: &RangeInclusive<Height>) -> Vec<RawDecidedValue<Sealpost>> {
        let (first, last) = (range.start().0.get(), range.end().0.get().min(self.tip.height().get()));
        let mut values = Vec::new();
        for height in (first..=last).map(BlockHeight::new) {
            match self.decided_value(height) {
                Ok(Some(value)) => values.push(value),
                Ok(None) => break,
                Err(error) => {
                    warn!(%height, %error, "a final block that a peer asks for can't be read");
                    break;
                }
            }
        }
        values
    }
    fn decided_value(&self, height: BlockHeight) -> Result<Option<RawDecidedValue<Sealpost>>, StoreError> {
        let Some((block, certificate)) = self.disk.certified_block(height)? else { return Ok(None) };
        // Positions in a certificate are those of the set that decided its height.
        let certificate = engine_certificate(&certificate, &self.disk.validators(height)?);
        Ok(Some(RawDecidedValue::new(block.to_bytes().into(), certificate)))
    }

    /// Checks a block that another node says is final. The engine checks its certificate.
    pub(super) fn check_synced(
        &mut self,
        height: Height,
        round: Round,
        proposer: Address,
        bytes: &[u8],
        pool: &dyn Pool,
    ) -> Result<SyncedValueOutcome<Sealpost>, ConsensusError> {
        if height.0 != self.tip.next_height() {
            return Ok(SyncedValueOutcome::LocalTransientError);
        }
        let Ok(block) = Block::from_bytes(bytes) else { return Ok(SyncedValueOutcome::PeerFault) };
        let hash = block.hash();
        Ok(match self.verify(block, round.as_u32().unwrap_or(0), pool, None)? {
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

fn store_error(error: impl std::fmt::Display) -> ConsensusError {
    ConsensusError::Store(error.to_string())
}

#[cfg(test)]
mod tests;
