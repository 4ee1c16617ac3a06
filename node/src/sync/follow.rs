//! The task that follows: it hears news, asks what the pursuit says, has runs verified where blocking is
//! allowed, and tells the rest of the node of each block.

use super::apply::{Applied, apply_knowing};
use super::pace::{Line, Pace};
use super::planner::{Question, Run};
use super::pursuit::Pursuit;
use super::{Mode, Progress, SyncError, Wiring, Wish};
use crate::store::{Store, StoreError};
use crate::wire::{Ask, Fault, News, Peer, Request, Response};
use futures::StreamExt;
use futures::future::BoxFuture;
use futures::stream::FuturesUnordered;
use sealpost_ledger::height::BlockHeight;
use std::future::Future;
use std::time::{Duration, Instant};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

/// Pause between two rounds of asking peers how far they are.
const POLL: Duration = Duration::from_secs(5);
/// Answers to that which are awaited at once.
const MAX_POLLED: usize = 4;

type Answered = (Question, Option<Response>);
type Status = (Peer, Option<Response>);

pub(super) struct Follower {
    store: Store,
    wiring: Wiring,
    pursuit: Pursuit,
    wish: Wish,
    fulfilled: u64,
    answers: FuturesUnordered<BoxFuture<'static, Answered>>,
    statuses: FuturesUnordered<BoxFuture<'static, Status>>,
    applying: Option<Applying>,
    /// Questions for proofs that are open.
    proofs: FuturesUnordered<BoxFuture<'static, Status>>,
    pace: Pace,
}

/// Blocks that are being verified and appended.
struct Applying {
    /// Who brought them: each peer, and the number of the blocks up to its last one.
    peers: Vec<(usize, Peer)>,
    work: JoinHandle<Result<Applied, StoreError>>,
}

impl Follower {
    pub(super) fn new(store: Store, wiring: Wiring) -> Self {
        let tip = store.tip();
        let height = tip.height();
        Self {
            pursuit: Pursuit::new(tip),
            store,
            wiring,
            wish: Wish::default(),
            fulfilled: 0,
            answers: FuturesUnordered::new(),
            statuses: FuturesUnordered::new(),
            applying: None,
            proofs: FuturesUnordered::new(),
            pace: Pace::new(Instant::now(), height),
        }
    }

    /// Works until the node stops.
    pub(super) async fn run(mut self) -> Result<(), SyncError> {
        let stop = self.wiring.stop.clone();
        let mut poll = tokio::time::interval(POLL);
        poll.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        self.take_wish();
        loop {
            self.go_on();
            let wakes = self.pursuit.wakes_at(Instant::now()).filter(|_| self.wish.mode == Mode::Follow);
            tokio::select! {
                () = stop.cancelled() => return self.finish().await,
                Some(news) = self.wiring.news.recv() => self.hear(news),
                Some((question, response)) = self.answers.next() => self.on_answer(&question, response),
                Some((peer, response)) = self.statuses.next() => self.on_status(peer, response),
                Some((peer, response)) = self.proofs.next() => self.on_proof(&peer, response),
                applied = applied(&mut self.applying) => self.on_applied(applied?).await?,
                Ok(()) = self.wiring.wish.changed() => self.take_wish(),
                Ok(()) = self.wiring.head.changed() => self.on_moved(),
                _ = poll.tick() => self.poll(),
                () = wake(wakes) => {}
            }
        }
    }
    /// An append under way is waited for: the store is closed after this.
    async fn finish(mut self) -> Result<(), SyncError> {
        if self.applying.is_some() {
            applied(&mut self.applying).await?.1?;
        }
        Ok(())
    }

    /// Consensus may have appended blocks that nobody was told of yet: what follows begins at the store's end.
    fn take_wish(&mut self) {
        self.wish = *self.wiring.wish.borrow_and_update();
        if self.wish.mode == Mode::Follow && self.applying.is_none() {
            self.move_to_end();
        }
    }
    /// Somebody else may have appended blocks: goes on from the store's end.
    fn move_to_end(&mut self) {
        self.pursuit.moved(self.store.tip());
    }
    /// Asks and applies what can be asked and applied now, and tells how it goes.
    fn go_on(&mut self) {
        match self.wish.mode {
            Mode::Watch => self.pursuit.stop(),
            Mode::Follow => {
                self.pursuit.allow_bodiless(self.store.bodiless_up_to(self.pursuit.proven()));
                if self.applying.is_none() {
                    self.apply_next();
                }
                for question in self.pursuit.questions(Instant::now()) {
                    self.ask(question);
                }
                self.ask_for_proofs();
            }
        }
        self.tell_progress();
    }
    fn apply_next(&mut self) {
        let (mut peers, mut all) = (Vec::new(), Vec::new());
        for Run { peer, blocks } in self.pursuit.next_runs() {
            all.extend(blocks);
            peers.push((all.len(), peer));
        }
        if !all.is_empty() {
            let (store, proven) = (self.store.clone(), self.pursuit.proven());
            let waiting = self.wiring.waiting.clone();
            let work = tokio::task::spawn_blocking(move || apply_knowing(&store, &all, proven, &waiting));
            self.applying = Some(Applying { peers, work });
        }
    }
    fn tell_progress(&mut self) {
        // A wish to watch is fulfilled only when nothing is appended any more.
        if self.wish.mode == Mode::Follow || self.applying.is_none() {
            self.fulfilled = self.wish.number;
        }
        let (height, target) = (self.pursuit.height(), self.pursuit.target());
        let progress = Progress {
            fulfilled: self.fulfilled,
            height,
            target,
            agreed: self.pursuit.agreed(),
            proven: self.pursuit.proven(),
            heard: self.pursuit.has_heard(),
        };
        self.wiring.progress.send_if_modified(|known| std::mem::replace(known, progress) != progress);
        metrics::gauge!("sealpost_sync_target_height").set(target.get() as f64);
        self.report(progress);
    }
    fn report(&mut self, progress: Progress) {
        let Some(Line { blocks_per_second, seconds_left }) = self.pace.line(&progress, Instant::now()) else {
            return;
        };
        if self.wish.mode == Mode::Follow {
            tracing::info!(
                height = progress.height.get(),
                target = progress.target.get(),
                blocks_per_second = blocks_per_second.round(),
                seconds_left = seconds_left.round(),
                "catching up"
            );
        }
    }

    fn hear(&mut self, news: News) {
        match news {
            News::Status { peer, height, oldest } => self.pursuit.claimed(peer, height, oldest),
            News::Gone { peer } => self.pursuit.gone(&peer),
            News::Announced { peer, announcement, verdict } => {
                // Fails if gossip has stopped.
                let _ = verdict.send(self.pursuit.announced(peer, &announcement));
            }
        }
    }
    fn on_moved(&mut self) {
        let height = *self.wiring.head.borrow_and_update();
        if height > self.pursuit.height() {
            self.move_to_end();
        }
    }

    fn ask(&mut self, question: Question) {
        let Question { peer, from, count } = question.clone();
        let answered = self.send(&peer, Request::Blocks { from, count });
        self.answers.push(Box::pin(async move {
            // A full queue is no peer's fault: the same is asked again after a pause.
            let response = match answered {
                Some(answered) => answered.await,
                None => None,
            };
            (question, response)
        }));
    }
    /// Sends a question on its way; nothing if the queue is full. The answer is nothing if none comes in time.
    fn send(&self, peer: &Peer, request: Request) -> Option<impl Future<Output = Option<Response>> + use<>> {
        let (answer, answered) = oneshot::channel();
        self.wiring.ask.try_send(Ask { peer: peer.clone(), request, answer }).ok()?;
        Some(async { answered.await.ok().flatten() })
    }
    fn on_answer(&mut self, question: &Question, response: Option<Response>) {
        if let Some(fault) = self.pursuit.answered(question, response, Instant::now()) {
            self.blame(&question.peer, fault);
        }
    }
    async fn on_applied(
        &mut self,
        (peers, applied): (Vec<(usize, Peer)>, Result<Applied, StoreError>),
    ) -> Result<(), SyncError> {
        let applied = applied?;
        let bad = self.pursuit.applied(&peers, &applied);
        let Applied { committed, refused } = applied;
        if let (Some(peer), Some(refused)) = (bad, refused) {
            tracing::warn!(%peer, reason = %refused.reason, "a peer brought a block that is not taken");
            self.blame(&peer, refused.fault);
        }
        for block in committed {
            if self.wiring.committed.send(block).await.is_err() {
                tracing::debug!("nobody listens for final blocks");
            }
        }
        Ok(())
    }

    fn poll(&mut self) {
        if self.statuses.len() >= MAX_POLLED {
            return;
        }
        for peer in self.pursuit.to_poll() {
            if let Some(answered) = self.send(&peer, Request::Status) {
                self.statuses.push(Box::pin(async move { (peer, answered.await) }));
            }
        }
    }
    /// Asks how far the chain is certainly final, if this node may do without old bodies and nobody is asked yet.
    fn ask_for_proofs(&mut self) {
        let keeps_all = self.store.bodiless_up_to(BlockHeight::new(u64::MAX)) == BlockHeight::GENESIS;
        if keeps_all || !self.proofs.is_empty() {
            return;
        }
        for peer in self.pursuit.to_prove(Instant::now()) {
            if let Some(answered) = self.send(&peer, Request::Proof { after: self.pursuit.last_change() }) {
                self.proofs.push(Box::pin(async move { (peer, answered.await) }));
            }
        }
    }
    fn on_proof(&mut self, peer: &Peer, response: Option<Response>) {
        if let Some(fault) = self.pursuit.proved(response) {
            self.blame(peer, fault);
        }
    }
    fn on_status(&mut self, peer: Peer, response: Option<Response>) {
        if let Some(fault) = self.pursuit.polled(&peer, response) {
            self.blame(&peer, fault);
        }
    }
    fn blame(&self, peer: &Peer, fault: Fault) {
        if self.wiring.faults.try_send((peer.clone(), fault)).is_err() {
            tracing::debug!(%peer, ?fault, "a fault could not be noted");
        }
    }
}

/// Waits for what is being applied; for ever if there is nothing.
async fn applied(
    applying: &mut Option<Applying>,
) -> Result<(Vec<(usize, Peer)>, Result<Applied, StoreError>), SyncError> {
    let Some(Applying { work, .. }) = applying.as_mut() else { return std::future::pending().await };
    let result = work.await.map_err(|error| SyncError::Task(error.to_string()));
    let peers = applying.take().map(|applying| applying.peers).unwrap_or_default();
    Ok((peers, result?))
}

async fn wake(at: Option<Instant>) {
    match at {
        Some(at) => tokio::time::sleep_until(at.into()).await,
        None => std::future::pending().await,
    }
}
