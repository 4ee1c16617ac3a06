//! The loop that answers the engine. It gives what is asked to the [`Application`], where blocking is allowed, sends
//! what comes of it, and holds the engine between heights while there is nothing to decide.

use super::application::{Application, Proposed};
use super::context::{BlockValue, Part, Sealpost};
use super::engine::{
    AppMsg, Channels, LocallyProposedValue, NetworkMsg, Next, ProposedValue, Reply, Round, StreamMessage,
    VoteExtensionError,
};
use super::proposals::Parts;
use super::{ConsensusError, MempoolRequest, Pool, Wiring};
use crate::store::Store;
use sealpost_ledger::hash::TransactionId;
use sealpost_ledger::transaction::VerifiedTransaction;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use tokio::runtime::Handle;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep_until, timeout};
use tracing::{debug, warn};

/// A mempool that doesn't answer for so long has nothing to offer.
const MEMPOOL_PATIENCE: Duration = Duration::from_millis(500);

pub(super) struct Task {
    /// One question at a time: nobody ever waits for the lock.
    application: Arc<Mutex<Application<Store>>>,
    channels: Channels<Sealpost>,
    wiring: Wiring,
    waiting: Option<Waiting>,
    decided_at: Instant,
}

/// The engine, held between two heights: an idle network makes no blocks.
struct Waiting {
    reply: Reply<Next<Sealpost>>,
    earliest: Instant,
    latest: Instant,
}

impl Task {
    pub(super) fn new(application: Application<Store>, channels: Channels<Sealpost>, wiring: Wiring) -> Self {
        let application = Arc::new(Mutex::new(application));
        Self { application, channels, wiring, waiting: None, decided_at: Instant::now() }
    }

    /// Answers the engine until told to stop, or until its network has ended.
    pub(super) async fn run(&mut self, network: &mut JoinHandle<()>) -> Result<(), ConsensusError> {
        let stop = self.wiring.stop.clone();
        loop {
            let message = tokio::select! {
                biased;
                () = stop.cancelled() => return Ok(()),
                message = self.channels.consensus.recv() => Some(message),
                ended = &mut *network => {
                    return Err(ended.map_or_else(
                        |error| ConsensusError::Task(error.to_string()),
                        |()| ConsensusError::NetworkEnded,
                    ));
                }
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
            AppMsg::ConsensusReady { reply } => {
                let application = self.application();
                send(reply, (application.next_height(), application.params()));
            }
            AppMsg::StartedRound { height, round, reply_value, .. } => {
                let kept = self.ask(move |app, pool| app.start_round(height, round, pool, now_ms()));
                send(reply_value, kept.await?);
            }
            AppMsg::GetValue { height, round, reply, .. } => {
                let proposed = self.ask(move |app, pool| {
                    let Some(Proposed { block, refused }) = app.block_to_propose(height, pool, now_ms())?
                    else {
                        return Ok(None);
                    };
                    let parts = app.stream(height, round, Round::Nil, &block);
                    Ok(Some((block.hash(), refused, parts)))
                });
                if let Some((block, refused, parts)) = proposed.await? {
                    if !refused.is_empty() && self.wiring.refused.try_send(refused).is_err() {
                        debug!("nobody takes the refused transactions out of the mempool");
                    }
                    send(reply, LocallyProposedValue::new(height, round, BlockValue(block)));
                    self.publish(parts).await;
                }
            }
            AppMsg::ExtendVote { reply, .. } => send(reply, None),
            AppMsg::VerifyVoteExtensions { extensions, reply, .. } => {
                let none = extensions.into_iter();
                send(reply, none.map(|(a, ())| (a, Err(VoteExtensionError::InvalidVoteExtension))).collect());
            }
            AppMsg::RestreamProposal { height, round, valid_round, address, value_id } => {
                let parts = self
                    .ask(move |app, _| Ok(app.restream(height, round, valid_round, address, value_id)))
                    .await?;
                self.publish(parts).await;
            }
            AppMsg::GetHistoryMinHeight { reply } => send(reply, self.application().oldest_height()),
            AppMsg::ReceivedProposalPart { from, published_by, part, reply } => {
                let publisher = published_by.unwrap_or(from).to_bytes();
                send(reply, self.receive(&publisher, part).await?);
            }
            AppMsg::Decided { certificate, reply, .. } => {
                if let Some(committed) = self.ask(move |app, pool| app.commit(&certificate, pool)).await? {
                    self.decided_at = Instant::now();
                    self.wiring.pending.mark_unchanged();
                    if self.wiring.committed.send(committed).await.is_err() {
                        debug!("nobody listens for final blocks");
                    }
                }
                send(reply, ());
            }
            AppMsg::Finalized { evidence, reply, .. } => {
                self.ask(move |app, _| app.record(&evidence)).await?;
                self.hold(reply);
            }
            AppMsg::GetDecidedValues { range, reply } => {
                send(reply, self.ask(move |app, _| Ok(app.decided_values(&range))).await?);
            }
            AppMsg::ProcessSyncedValue { height, round, proposer, value_bytes, reply } => {
                let checked =
                    self.ask(move |app, pool| app.check_synced(height, round, proposer, &value_bytes, pool));
                send(reply, checked.await?);
            }
        }
        Ok(())
    }

    fn application(&self) -> MutexGuard<'_, Application<Store>> {
        self.application.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Asks the application where it may block: it runs blocks and writes to the disk.
    async fn ask<T: Send + 'static>(
        &self,
        question: impl FnOnce(&mut Application<Store>, &dyn Pool) -> Result<T, ConsensusError> + Send + 'static,
    ) -> Result<T, ConsensusError> {
        let application = self.application.clone();
        let pool = AskedPool { requests: self.wiring.mempool.clone(), runtime: Handle::current() };
        let work = move || {
            let mut application = application.lock().unwrap_or_else(PoisonError::into_inner);
            question(&mut application, &pool)
        };
        let answered = tokio::task::spawn_blocking(work).await;
        answered.map_err(|error| ConsensusError::Task(error.to_string()))?
    }

    /// Takes in a part of somebody's proposal; the value when it is complete and checked.
    async fn receive(
        &mut self,
        publisher: &[u8],
        message: StreamMessage<Part>,
    ) -> Result<Option<ProposedValue<Sealpost>>, ConsensusError> {
        let received = self.application().receive(publisher, message);
        if received.opens {
            self.start_next_height();
        }
        match received.assembled {
            Some(assembled) => self.ask(move |app, pool| app.judge(assembled, pool, now_ms())).await,
            None => Ok(None),
        }
    }

    /// Sends a block to the other validators, piece by piece.
    async fn publish(&self, parts: Parts) {
        for part in parts {
            if self.channels.network.send(NetworkMsg::PublishProposalPart(part)).await.is_err() {
                return;
            }
        }
    }

    /// Keeps the engine between heights until there is something to decide.
    fn hold(&mut self, reply: Reply<Next<Sealpost>>) {
        let mut application = self.application();
        let genesis = application.tip().genesis_file().clone();
        let timing = genesis.timing();
        // A key that has just left office decides nothing any more, so nothing is saved by waiting.
        let at_once =
            application.was_catching_up() || !application.decides() || application.has_begun_elsewhere();
        drop(application);
        let after = |ms: u32| {
            let wait = Duration::from_millis(ms.into());
            self.decided_at.checked_add(wait).unwrap_or(self.decided_at)
        };
        let (earliest, latest) = (after(timing.block_interval_ms), after(timing.heartbeat_ms));
        self.waiting = Some(Waiting { reply, earliest, latest });
        if at_once {
            self.start_next_height();
        }
    }

    fn start_next_height(&mut self) {
        if let Some(waiting) = self.waiting.take() {
            let application = self.application();
            send(waiting.reply, Next::Start(application.next_height(), application.params()));
        }
    }
}

/// The mempool's task, asked from where it is allowed to block.
struct AskedPool {
    requests: mpsc::Sender<MempoolRequest>,
    runtime: Handle,
}

impl AskedPool {
    fn ask(
        &self,
        request: impl FnOnce(oneshot::Sender<Vec<VerifiedTransaction>>) -> MempoolRequest,
    ) -> Option<Vec<VerifiedTransaction>> {
        let (reply, found) = oneshot::channel();
        self.requests.try_send(request(reply)).ok()?;
        self.runtime.block_on(async { timeout(MEMPOOL_PATIENCE, found).await }).ok()?.ok()
    }
}

impl Pool for AskedPool {
    fn candidates(&self, max_bytes: usize, max_strangers_bytes: usize) -> Vec<VerifiedTransaction> {
        let found = self.ask(|reply| MempoolRequest::Candidates { max_bytes, max_strangers_bytes, reply });
        found.unwrap_or_else(|| {
            warn!("the mempool did not answer; proposing an empty block");
            Vec::new()
        })
    }
    fn waiting(&self, ids: Vec<TransactionId>) -> Vec<VerifiedTransaction> {
        self.ask(|reply| MempoolRequest::Waiting { ids, reply }).unwrap_or_default()
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

/// The engine may have stopped waiting, at shutdown; then nobody needs the answer.
fn send<T>(reply: Reply<T>, answer: T) {
    drop(reply.send(answer));
}

fn now_ms() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}
