//! Sync: a node that doesn't decide blocks follows those who do. It hears how far others are, fetches final
//! blocks in ranges from several of them, verifies everything and appends them in order.
//!
//! ```text
//!  news of peers ──► pursuit: whom to ask for which range ──► peers
//!                       ▲                                       │ blocks, in any order
//!                       └── tip ◄── apply: verify, append ◄─────┘
//! ```
//!
//! The pursuit, with its plan of ranges, is pure and bounded. Nothing a peer says is believed: a claimed height only says whom to ask.
//! While consensus runs on this node, sync only watches, because one writer appends at a time.

mod apply;
mod finality;
mod follow;
mod pace;
mod planner;
mod pursuit;
#[cfg(test)]
mod tests;

pub use apply::{Applied, Refused, apply};
pub use planner::{Question, Run};
pub use pursuit::Pursuit;

use crate::store::{Store, StoreError};
use crate::waiting::Waiting;
use crate::wire::{Ask, Fault, News, Peer};
use sealpost_ledger::chain::CommittedBlock;
use sealpost_ledger::height::BlockHeight;
use std::sync::Arc;
use thiserror::Error;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

/// What sync does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Mode {
    /// Listens to how far others are, and appends nothing.
    #[default]
    Watch,
    /// Fetches and appends blocks.
    Follow,
}

/// What sync is to do. Wishes are numbered, so that whoever changes its mind twice does not take the fulfilment
/// of the first wish for that of the second.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Wish {
    /// What.
    pub mode: Mode,
    /// One more than that of the wish before.
    pub number: u64,
}

/// How far this node is, and how far others are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Progress {
    /// The number of the wish that is fulfilled: if it was to watch, nothing is appended any more.
    pub fulfilled: u64,
    /// The last final block here.
    pub height: BlockHeight,
    /// The highest block that a peer in good standing claims to have. Only says whom to ask.
    pub target: BlockHeight,
    /// The highest block that two peers claim to have, or the only one.
    pub agreed: BlockHeight,
    /// The highest block that was seen to be final, here or by its certificate.
    pub proven: BlockHeight,
    /// Whether any peer has said how far it is.
    pub heard: bool,
}

impl Progress {
    /// How many blocks others claim to have that this node has not; what one of several claims alone does
    /// not count.
    pub fn behind(&self) -> u64 {
        self.agreed.get().saturating_sub(self.height.get())
    }
    /// How many blocks are certainly final that this node has not. What depends on this no peer can feign.
    pub fn certainly_behind(&self) -> u64 {
        self.proven.get().saturating_sub(self.height.get())
    }
}

/// What connects sync with the rest of the node.
#[derive(Debug)]
pub struct Wiring {
    /// News of other nodes' chains.
    pub news: mpsc::Receiver<News>,
    /// Asks peers.
    pub ask: mpsc::Sender<Ask>,
    /// What is verified already.
    pub waiting: Waiting,
    /// Tells what peers did wrong.
    pub faults: mpsc::Sender<(Peer, Fault)>,
    /// Tells of each block, once it is on disk.
    pub committed: mpsc::Sender<Arc<CommittedBlock>>,
    /// What is to be done.
    pub wish: watch::Receiver<Wish>,
    /// Tells how it goes.
    pub progress: watch::Sender<Progress>,
    /// Height of the last final block, whoever appended it.
    pub head: watch::Receiver<BlockHeight>,
    /// Cancelled to stop.
    pub stop: CancellationToken,
}

/// Why sync stopped by itself: this node's own fault.
#[derive(Debug, Error)]
#[allow(missing_docs)]
pub enum SyncError {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error("sync: a task of its own failed: {0}")]
    Task(String),
}

/// Starts to watch.
pub fn start(store: Store, wiring: Wiring) -> JoinHandle<Result<(), SyncError>> {
    tokio::spawn(follow::Follower::new(store, wiring).run())
}

/// What progress is told before anything is heard.
pub fn begin(store: &Store) -> Progress {
    let height = store.tip().height();
    Progress { fulfilled: 0, height, target: height, agreed: height, proven: height, heard: false }
}
