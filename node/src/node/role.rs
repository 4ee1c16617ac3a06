//! The role: whether this node decides blocks or follows those who do. A node with a validator's key takes
//! part in consensus while its key is in office and it is not far behind; at all other times, and without a
//! key always, it follows. Only one of the two appends blocks at a time.
//!
//! ```text
//!              in office, near the head (after --rejoin: once the network has gone on without it)
//!   follow ───────────────────────────────────────────────────────────────► consensus
//!     ▲                                                                         │
//!     └──────────────── out of office, or far behind the others ◄───────────────┘
//! ```

use crate::consensus::{self, ConsensusError};
use crate::store::Store;
use crate::sync::{Mode, Progress};
use sealpost_ledger::chain::CommittedBlock;
use sealpost_ledger::execution::Refusal;
use sealpost_ledger::hash::TransactionId;
use sealpost_ledger::height::BlockHeight;
use std::sync::Arc;
use tokio::sync::{mpsc, watch};
use tokio_util::sync::CancellationToken;

/// A validator that is this many blocks behind catches up faster by following than within consensus.
const FAR_BEHIND: u64 = 64;
/// A follower is near enough to take part when it is behind by no more than this.
const NEAR: u64 = 1;

/// What the role is decided and played with.
pub(super) struct Role {
    pub(super) store: Store,
    /// How to take part in consensus; nothing without a validator's key.
    pub(super) consensus: Option<consensus::Config>,
    /// Whether the log of votes is gone, so that a new one may begin only when no old vote can matter.
    pub(super) rejoin: bool,
    pub(super) mode: watch::Sender<Mode>,
    pub(super) progress: watch::Receiver<Progress>,
    pub(super) head: watch::Receiver<BlockHeight>,
    /// Tells whether this node decides.
    pub(super) deciding: watch::Sender<bool>,
    pub(super) candidates: mpsc::Sender<consensus::CandidatesRequest>,
    pub(super) refused: mpsc::Sender<Vec<(TransactionId, Refusal)>>,
    pub(super) decided: mpsc::Sender<Arc<CommittedBlock>>,
    pub(super) pending: watch::Receiver<usize>,
    pub(super) stop: CancellationToken,
}

impl Role {
    /// Plays the roles in turn until the node stops, or one fails.
    pub(super) async fn run(mut self) -> Result<(), ConsensusError> {
        let Some(config) = self.consensus.take() else {
            self.mode.send_replace(Mode::Follow);
            self.stop.cancelled().await;
            return Ok(());
        };
        if self.rejoin {
            let stop = self.stop.clone();
            match stop.run_until_cancelled(self.wait_until_votes_are_past()).await {
                Some(()) => consensus::begin_wal(&config.wal)?,
                None => return Ok(()),
            }
        }
        let stop = self.stop.clone();
        loop {
            if stop.run_until_cancelled(self.follow_until_needed(&config)).await.is_none() {
                return Ok(());
            }
            self.decide(config.clone()).await?;
            if stop.is_cancelled() {
                return Ok(());
            }
        }
    }

    fn in_office(&self, config: &consensus::Config) -> bool {
        self.store.tip().validators().find(&config.validator.public_key()).is_some()
    }

    /// What this key has voted for before its log was lost lies at most one block above the head that the
    /// network had then. Once a block beyond that is final, without this node, its old votes bind nothing.
    async fn wait_until_votes_are_past(&mut self) {
        self.mode.send_replace(Mode::Follow);
        tracing::warn!(
            "the log of votes is gone: this validator follows until the network has made another block \
             without it, and only then votes again"
        );
        let caught_up = |progress: &Progress| progress.heard && progress.behind() == 0;
        let Ok(reached) = self.progress.wait_for(caught_up).await.map(|progress| progress.height) else {
            return std::future::pending().await;
        };
        tracing::info!(height = reached.get(), "caught up; waiting for one more block");
        if self.progress.wait_for(|p| p.height > reached && p.behind() <= NEAR).await.is_err() {
            return std::future::pending().await;
        }
        tracing::info!("the network has gone on: this validator votes again");
    }

    /// Follows, if there is anything to follow; returns when this node is to decide, and nothing is being
    /// appended any more.
    async fn follow_until_needed(&mut self, config: &consensus::Config) {
        loop {
            let progress = *self.progress.borrow_and_update();
            let _ = self.head.borrow_and_update();
            // Far behind when this node decided, near when it follows: so that it does not go to and fro.
            let following = progress.mode == Mode::Follow;
            let behind = if following { NEAR } else { FAR_BEHIND };
            if self.in_office(config) && progress.certainly_behind() <= behind {
                break;
            }
            self.mode.send_replace(Mode::Follow);
            tokio::select! {
                Ok(()) = self.progress.changed() => {}
                Ok(()) = self.head.changed() => {}
                else => return std::future::pending().await,
            }
        }
        self.mode.send_replace(Mode::Watch);
        if self.progress.wait_for(|progress| progress.mode == Mode::Watch).await.is_err() {
            std::future::pending().await
        }
    }

    /// Takes part in consensus until the node stops, the key leaves office or the others are far ahead.
    async fn decide(&mut self, config: consensus::Config) -> Result<(), ConsensusError> {
        let stop = self.stop.child_token();
        let wiring = consensus::Wiring {
            candidates: self.candidates.clone(),
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
            () = self.no_longer_needed(&config) => None,
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
    async fn no_longer_needed(&mut self, config: &consensus::Config) {
        loop {
            let progress = *self.progress.borrow_and_update();
            let height = *self.head.borrow_and_update();
            if !self.in_office(config) {
                tracing::info!(%height, "this node's key is not in office any more; it follows");
                return;
            }
            if progress.certainly_behind() > FAR_BEHIND {
                tracing::info!(%height, target = %progress.proven, "far behind; it follows to catch up");
                return;
            }
            tokio::select! {
                Ok(()) = self.progress.changed() => {}
                Ok(()) = self.head.changed() => {}
                else => return std::future::pending().await,
            }
        }
    }
}
