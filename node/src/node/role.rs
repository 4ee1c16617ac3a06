//! The role: whether this node decides blocks or follows those who do. A node with a validator's key takes
//! part in consensus while its key is in office and it is not far behind; at all other times, and without a
//! key always, it follows. Only one of the two appends blocks at a time.
//!
//! ```text
//!              in office, near the head, and no vote of old can matter
//!   follow ───────────────────────────────────────────────────────────────► consensus
//!     ▲                                                                         │
//!     └──────────────── out of office, or far behind the others ◄───────────────┘
//! ```

use crate::consensus::{self, ConsensusError};
use crate::store::Store;
use crate::sync::{Mode, Progress, Wish};
use sealpost_ledger::chain::{CommittedBlock, Tip};
use sealpost_ledger::execution::Refusal;
use sealpost_ledger::hash::TransactionId;
use sealpost_ledger::height::BlockHeight;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;

/// A validator that is this many blocks behind catches up faster by following than within consensus.
const FAR_BEHIND: u64 = 64;
/// A follower is near enough to take part when it is behind by no more than this.
const NEAR: u64 = 1;
/// A validator that gets no block for so many heartbeats, while others claim to have more, tries to follow: the
/// others may have changed the set, and not let it in any more.
const SILENT_HEARTBEATS: u32 = 3;
/// How long it tries. Others may only claim to have more, so it tries less often each time.
const TRIAL: Duration = Duration::from_secs(10);
/// Trials become rarer up to this many doublings.
const MOST_DOUBLINGS: u32 = 6;

/// What the role is decided and played with.
pub(super) struct Role {
    pub(super) store: Store,
    /// How to take part in consensus; nothing without a validator's key.
    pub(super) consensus: Option<consensus::Config>,
    /// Whether the log of votes is gone, so that a new one may begin only when no old vote can matter.
    pub(super) rejoin: bool,
    pub(super) wish: watch::Sender<Wish>,
    pub(super) progress: watch::Receiver<Progress>,
    pub(super) head: watch::Receiver<BlockHeight>,
    /// Tells whether this node decides.
    pub(super) deciding: watch::Sender<bool>,
    pub(super) mempool: mpsc::Sender<consensus::MempoolRequest>,
    pub(super) refused: mpsc::Sender<Vec<(TransactionId, Refusal)>>,
    pub(super) decided: mpsc::Sender<Arc<CommittedBlock>>,
    pub(super) pending: watch::Receiver<usize>,
    pub(super) stop: CancellationToken,
}

impl Role {
    /// Plays the roles in turn until the node stops, or one fails.
    pub(super) async fn run(mut self) -> Result<(), ConsensusError> {
        let Some(config) = self.consensus.take() else {
            self.wish(Mode::Follow);
            self.stop.cancelled().await;
            return Ok(());
        };
        let stop = self.stop.clone();
        if self.rejoin {
            match stop.run_until_cancelled(self.wait_until_votes_are_past(Now::since(Instant::now()))).await {
                Some(()) => consensus::begin_wal(&config.wal)?,
                None => return Ok(()),
            }
        }
        let mut trials = Trials::default();
        loop {
            let voted = consensus::voted_height(&config.wal)?;
            let following = self.follow_until_needed(&config, voted, &mut trials);
            if stop.run_until_cancelled(following).await.is_none() {
                return Ok(());
            }
            self.decide(config.clone(), &mut trials).await?;
            if stop.is_cancelled() {
                return Ok(());
            }
        }
    }

    /// Tells sync what to do; returns the wish's number.
    fn wish(&self, mode: Mode) -> u64 {
        let mut number = 0;
        self.wish.send_modify(|wish| {
            number = wish.number.saturating_add(u64::from(wish.mode != mode || wish.number == 0));
            *wish = Wish { mode, number };
        });
        number
    }

    fn in_office(&self, config: &consensus::Config) -> bool {
        self.store.tip().validators().find(&config.validator.public_key()).is_some()
    }

    /// What this key has voted for before its log was lost lies at most one block above the head that the
    /// network had then. A block that was decided after this start, without this validator, is that one or a later
    /// one: from the next height on its old votes bind nothing. Nothing that a peer could feign decides this: the
    /// block is verified, and its time was agreed by two thirds. See [`Restart`] for what tells that it is such a block.
    async fn wait_until_votes_are_past(&mut self, now: impl Fn() -> Now) {
        self.wish(Mode::Follow);
        let restart = Restart::at(&self.store.tip());
        tracing::warn!(
            "the log of votes is gone: this validator follows until the network has made a block without it, \
             {} s from now or later, and only then votes again",
            restart.margin_ms / 1000
        );
        let mut told = false;
        loop {
            let _ = self.head.borrow_and_update();
            let behind = self.progress.borrow_and_update().certainly_behind();
            let tip = self.store.tip();
            match restart.compare(&tip, now()) {
                Made::Since if behind <= NEAR => break,
                Made::AheadOfTheClock if !std::mem::replace(&mut told, true) => tracing::warn!(
                    height = tip.height().get(),
                    "this machine's clock is behind the time of a final block; until it is right, this validator can't \
                     tell whether a block is new, and does not vote"
                ),
                _ => {}
            }
            tokio::select! {
                Ok(()) = self.progress.changed() => {}
                Ok(()) = self.head.changed() => {}
                else => return std::future::pending().await,
            }
        }
        tracing::info!("the network has gone on: this validator votes again");
    }

    /// Follows, if there is anything to follow; returns when this node is to decide, and nothing is being
    /// appended any more. `voted` is the height that its log of votes is about.
    async fn follow_until_needed(
        &mut self,
        config: &consensus::Config,
        voted: Option<BlockHeight>,
        trials: &mut Trials,
    ) {
        let mut following = false;
        let tries_until = trials.begun.take().map(|begun| begun.checked_add(TRIAL).unwrap_or(begun));
        loop {
            let progress = *self.progress.borrow_and_update();
            let _ = self.head.borrow_and_update();
            // Far behind when this node decided, near when it follows: so that it does not go to and fro.
            let behind = if following { NEAR } else { FAR_BEHIND };
            let next = self.store.tip().next_height();
            let lost = voted.filter(|voted| *voted > next);
            let tries = tries_until.filter(|until| *until > Instant::now() && progress.behind() > 0);
            let near = progress.certainly_behind() <= behind && lost.is_none() && tries.is_none();
            if near && self.in_office(config) {
                break;
            }
            if !std::mem::replace(&mut following, true) {
                if let Some(voted) = lost {
                    tracing::warn!(%voted, %next, "blocks are missing here that this validator has voted on; \
                        it follows until it has them again");
                }
                self.wish(Mode::Follow);
            }
            tokio::select! {
                Ok(()) = self.progress.changed() => {}
                Ok(()) = self.head.changed() => {}
                () = sleep_until(tries.unwrap_or_else(Instant::now)), if tries.is_some() => {}
                else => return std::future::pending().await,
            }
        }
        let wish = self.wish(Mode::Watch);
        if self.progress.wait_for(|progress| progress.fulfilled >= wish).await.is_err() {
            std::future::pending().await
        }
    }

    /// Takes part in consensus until the node stops, the key leaves office or the others are far ahead.
    async fn decide(&mut self, config: consensus::Config, trials: &mut Trials) -> Result<(), ConsensusError> {
        let stop = self.stop.child_token();
        let wiring = consensus::Wiring {
            mempool: self.mempool.clone(),
            refused: self.refused.clone(),
            committed: self.decided.clone(),
            pending: self.pending.clone(),
            stop: stop.clone(),
        };
        let mut handle = consensus::start(config.clone(), self.store.clone(), wiring).await?;
        self.deciding.send_replace(true);
        tracing::info!(height = self.store.tip().next_height().get(), "this node takes part in consensus");
        let ended = tokio::select! {
            ended = handle.stopped() => Some(ended),
            () = self.no_longer_needed(&config, trials) => None,
        };
        self.deciding.send_replace(false);
        match ended {
            Some(ended) => ended,
            None => {
                stop.cancel();
                handle.stopped().await
            }
        }
    }
    async fn no_longer_needed(&mut self, config: &consensus::Config, trials: &mut Trials) {
        let heartbeat = Duration::from_millis(self.store.tip().genesis_file().timing().heartbeat_ms.into());
        let begun_at = *self.head.borrow();
        let mut last = (begun_at, Instant::now());
        loop {
            let progress = *self.progress.borrow_and_update();
            let height = *self.head.borrow_and_update();
            if height != last.0 {
                last = (height, Instant::now());
                trials.made = 0;
            }
            if !self.in_office(config) {
                tracing::info!(%height, "this node's key is not in office any more; it follows");
                return;
            }
            if progress.certainly_behind() > FAR_BEHIND {
                tracing::info!(%height, target = %progress.proven, "far behind; it follows to catch up");
                return;
            }
            let patience = heartbeat.saturating_mul(SILENT_HEARTBEATS << trials.made.min(MOST_DOUBLINGS));
            let silent_at = last.1.checked_add(patience).filter(|_| progress.behind() > 0);
            tokio::select! {
                Ok(()) = self.progress.changed() => {}
                Ok(()) = self.head.changed() => {}
                () = sleep_until(silent_at.unwrap_or_else(Instant::now)), if silent_at.is_some() => {
                    tracing::info!(%height, "no block for long, and others claim to have more; it tries to follow");
                    trials.begun = Some(Instant::now());
                    trials.made = trials.made.saturating_add(1);
                    return;
                }
                else => return std::future::pending().await,
            }
        }
    }
}

/// What time it is.
#[derive(Debug, Clone, Copy)]
struct Now {
    /// Since 1970, by this machine's clock.
    clock_ms: u64,
    /// Since the start, whatever the clock says.
    running_ms: u64,
}

impl Now {
    fn since(start: Instant) -> impl Fn() -> Self {
        move || Self {
            clock_ms: super::pool::now_ms(),
            running_ms: u64::try_from(start.elapsed().as_millis()).unwrap_or(u64::MAX),
        }
    }
}

/// The start of a validator without its log of votes, against which the times of blocks are compared.
#[derive(Debug)]
struct Restart {
    /// The last block that was here, and its time.
    height: BlockHeight,
    time_ms: u64,
    /// A block may be ahead of this clock by so much: by one drift of its proposer's clock, which may itself be ahead of
    /// this one by another.
    margin_ms: u64,
}

/// When a block was made, as far as can be told.
#[derive(Debug, PartialEq, Eq)]
enum Made {
    /// Before the start, or maybe before it.
    Before,
    /// Certainly after the start, if the clock is right.
    Since,
    /// At a time that a right clock would have come to.
    AheadOfTheClock,
}

impl Restart {
    fn at(tip: &Tip) -> Self {
        let drift = u64::from(tip.genesis_file().timing().clock_drift_ms);
        Self { height: tip.height(), time_ms: tip.time_ms(), margin_ms: drift.saturating_mul(2) }
    }
    fn compare(&self, tip: &Tip, now: Now) -> Made {
        if tip.time_ms() > now.clock_ms.saturating_add(self.margin_ms) {
            return Made::AheadOfTheClock;
        }
        // By the clock of now, not by that of then: it may have been set since.
        let started = now.clock_ms.saturating_sub(now.running_ms).max(self.time_ms);
        match tip.height() > self.height && tip.time_ms() > started.saturating_add(self.margin_ms) {
            true => Made::Since,
            false => Made::Before,
        }
    }
}

/// Attempts to follow others that only claim to have more.
#[derive(Debug, Default)]
struct Trials {
    made: u32,
    begun: Option<Instant>,
}

#[cfg(test)]
mod tests;
