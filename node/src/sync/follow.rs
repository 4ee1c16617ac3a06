//! The task that follows: it hears news, asks what the planner says, has runs verified where blocking is
//! allowed, and tells the rest of the node of each block.

use super::apply::{Applied, apply};
use super::planner::{Planner, Question, Run};
use super::{Mode, Progress, SyncError, Wiring};
use crate::store::{Store, StoreError};
use crate::wire::{Announcement, Ask, Fault, News, Peer, Request, Response, Verdict};
use futures::StreamExt;
use futures::future::BoxFuture;
use futures::stream::FuturesUnordered;
use sealpost_ledger::chain::Tip;
use sealpost_ledger::height::BlockHeight;
use std::time::{Duration, Instant};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

/// Pause between two rounds of asking peers how far they are.
const POLL: Duration = Duration::from_secs(5);
/// Peers asked in such a round.
const POLLED: usize = 4;
/// Pause between two lines in the log while catching up.
const REPORT: Duration = Duration::from_secs(5);
/// Fewer blocks than these are not worth a line.
const WORTH_A_LINE: u64 = 100;

type Answer = (Question, Option<Response>);
type Status = (Peer, Option<Response>);

pub(super) struct Follower {
    store: Store,
    tip: Tip,
    wiring: Wiring,
    planner: Planner,
    mode: Mode,
    answers: FuturesUnordered<BoxFuture<'static, Answer>>,
    statuses: FuturesUnordered<BoxFuture<'static, Status>>,
    applying: Option<(Peer, JoinHandle<Result<Applied, StoreError>>)>,
    /// The highest block that was announced and seen to be final.
    announced: BlockHeight,
    report: Report,
}

/// What was said last of how it goes.
struct Report {
    at: Instant,
    height: BlockHeight,
}

impl Follower {
    pub(super) fn new(store: Store, wiring: Wiring) -> Self {
        let tip = store.tip();
        let height = tip.height();
        Self {
            planner: Planner::new(height),
            tip,
            store,
            wiring,
            mode: Mode::Watch,
            answers: FuturesUnordered::new(),
            statuses: FuturesUnordered::new(),
            applying: None,
            announced: height,
            report: Report { at: Instant::now(), height },
        }
    }

    /// Works until the node stops.
    pub(super) async fn run(mut self) -> Result<(), SyncError> {
        let stop = self.wiring.stop.clone();
        let mut poll = tokio::time::interval(POLL);
        poll.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        self.mode = *self.wiring.mode.borrow_and_update();
        loop {
            self.go_on();
            let wakes = self.planner.wakes_at().filter(|_| self.mode == Mode::Follow);
            tokio::select! {
                () = stop.cancelled() => return self.finish().await,
                Some(news) = self.wiring.news.recv() => self.hear(news),
                Some((question, response)) = self.answers.next() => self.on_answer(&question, response),
                Some((peer, response)) = self.statuses.next() => self.on_status(peer, response),
                applied = applied(&mut self.applying) => self.on_applied(applied?).await?,
                Ok(()) = self.wiring.mode.changed() => self.mode = *self.wiring.mode.borrow_and_update(),
                Ok(()) = self.wiring.head.changed() => self.on_moved(),
                _ = poll.tick() => self.poll(),
                () = wake(wakes) => {}
            }
        }
    }
    /// An append under way is waited for: the store is closed after this.
    async fn finish(mut self) -> Result<(), SyncError> {
        if self.applying.is_some() {
            let (_, applied) = applied(&mut self.applying).await?;
            applied?;
        }
        Ok(())
    }

    /// Asks and applies what can be asked and applied now, and tells how it goes.
    fn go_on(&mut self) {
        match self.mode {
            Mode::Watch => self.planner.stop(),
            Mode::Follow => {
                if self.applying.is_none()
                    && let Some(Run { peer, blocks }) = self.planner.next_run()
                {
                    let store = self.store.clone();
                    let work = tokio::task::spawn_blocking(move || apply(&store, &blocks));
                    self.applying = Some((peer, work));
                }
                for question in self.planner.questions(Instant::now()) {
                    self.ask(question);
                }
            }
        }
        self.tell_progress();
    }
    fn tell_progress(&mut self) {
        // A wish to watch is fulfilled only when nothing is appended any more.
        let mode = if self.applying.is_some() { Mode::Follow } else { self.mode };
        let (height, target) = (self.tip.height(), self.planner.target());
        let proven = self.announced.max(height);
        let progress = Progress { mode, height, target, proven, heard: self.planner.has_peers() };
        self.wiring.progress.send_if_modified(|known| std::mem::replace(known, progress) != progress);
        metrics::gauge!("sealpost_sync_target_height").set(target.get() as f64);
        self.report(progress);
    }
    fn report(&mut self, progress: Progress) {
        let passed = self.report.at.elapsed();
        if passed < REPORT {
            return;
        }
        let blocks = progress.height.blocks_since(self.report.height);
        self.report = Report { at: Instant::now(), height: progress.height };
        let behind = progress.behind();
        if self.mode == Mode::Follow && behind >= WORTH_A_LINE {
            let per_second = blocks as f64 / passed.as_secs_f64();
            let left = if per_second > 0.0 { behind as f64 / per_second } else { f64::INFINITY };
            tracing::info!(
                height = progress.height.get(),
                target = progress.target.get(),
                blocks_per_second = per_second.round(),
                seconds_left = left.round(),
                "catching up"
            );
        }
    }

    fn hear(&mut self, news: News) {
        match news {
            News::Status { peer, height, oldest } => self.planner.claim(peer, height, oldest),
            News::Gone { peer } => self.planner.gone(&peer),
            News::Announced { peer, announcement, verdict } => {
                let said = self.judge(&announcement);
                let height = announcement.header.height;
                if said == Verdict::Forward || (said == Verdict::Drop && height <= self.announced) {
                    self.planner.tell(peer, height);
                }
                // Fails if gossip has stopped.
                let _ = verdict.send(said);
            }
        }
    }
    /// Whether an announced block is final, as far as it can be known here.
    fn judge(&mut self, announcement: &Announcement) -> Verdict {
        let Announcement { header, certificate } = announcement;
        let height = header.height;
        if header.chain != self.tip.genesis_file().chain_id() {
            return Verdict::Refuse;
        }
        // News of a block is forwarded once, whatever validators signed the certificate that came first.
        if height <= self.tip.height() || height <= self.announced {
            return Verdict::Drop;
        }
        // A later set of validators is not known before its block is here.
        let set = self.tip.validators();
        if header.validators_hash != set.hash() {
            return Verdict::Drop;
        }
        match certificate.verify(&header.chain, height, &header.hash(), set) {
            Ok(()) => {
                self.announced = height;
                Verdict::Forward
            }
            Err(error) => {
                tracing::debug!(%height, %error, "a false announcement");
                Verdict::Refuse
            }
        }
    }
    fn on_moved(&mut self) {
        let height = *self.wiring.head.borrow_and_update();
        if height > self.tip.height() {
            self.tip = self.store.tip();
            self.planner.moved(self.tip.height());
        }
    }

    fn ask(&mut self, question: Question) {
        let Question { peer, from, count } = question.clone();
        let (answer, answered) = oneshot::channel();
        let ask = Ask { peer, request: Request::Blocks { from, count }, answer };
        // A full queue is answered like a peer that has nothing: it is asked again after a pause.
        let sent = self.wiring.ask.try_send(ask).is_ok();
        self.answers.push(Box::pin(async move {
            let response = if sent { answered.await.ok().flatten() } else { None };
            (question, response)
        }));
    }
    fn on_answer(&mut self, question: &Question, response: Option<Response>) {
        let blocks = match response {
            Some(Response::Blocks(blocks)) => Some(blocks),
            Some(Response::Busy) | None => None,
            Some(_) => return self.blame(&question.peer, Fault::Malformed),
        };
        if let Some(fault) = self.planner.answered(question, blocks, Instant::now()) {
            self.blame(&question.peer, fault);
        }
    }
    async fn on_applied(
        &mut self,
        (peer, applied): (Peer, Result<Applied, StoreError>),
    ) -> Result<(), SyncError> {
        let Applied { committed, refused } = applied?;
        if let Some(reason) = &refused {
            tracing::warn!(%peer, %reason, "a peer brought a block that does not hold");
            self.blame(&peer, Fault::FalseBlock);
        }
        if let Some(last) = committed.last() {
            self.tip = last.tip().clone();
        }
        self.planner.verified(self.tip.height(), refused.is_some().then_some(&peer));
        for block in committed {
            if self.wiring.committed.send(block).await.is_err() {
                tracing::debug!("nobody listens for final blocks");
            }
        }
        Ok(())
    }

    fn poll(&mut self) {
        if self.statuses.len() >= POLLED {
            return;
        }
        let peers: Vec<Peer> = self.planner.peers().take(POLLED).cloned().collect();
        for peer in peers {
            let (answer, answered) = oneshot::channel();
            let ask = Ask { peer: peer.clone(), request: Request::Status, answer };
            if self.wiring.ask.try_send(ask).is_ok() {
                self.statuses.push(Box::pin(async move { (peer, answered.await.ok().flatten()) }));
            }
        }
    }
    fn on_status(&mut self, peer: Peer, response: Option<Response>) {
        match response {
            Some(Response::Status { height, oldest }) => self.planner.claim(peer, height, oldest),
            Some(Response::Busy) | None => {}
            Some(_) => self.blame(&peer, Fault::Malformed),
        }
    }
    fn blame(&self, peer: &Peer, fault: Fault) {
        if self.wiring.faults.try_send((peer.clone(), fault)).is_err() {
            tracing::debug!(%peer, ?fault, "a fault could not be noted");
        }
    }
}

/// Waits for the run that is being applied; for ever if there is none.
async fn applied(
    applying: &mut Option<(Peer, JoinHandle<Result<Applied, StoreError>>)>,
) -> Result<(Peer, Result<Applied, StoreError>), SyncError> {
    let Some((_, work)) = applying.as_mut() else { return std::future::pending().await };
    let result = work.await.map_err(|error| SyncError::Task(error.to_string()));
    let Some((peer, _)) = applying.take() else { return std::future::pending().await };
    Ok((peer, result?))
}

async fn wake(at: Option<Instant>) {
    match at {
        Some(at) => tokio::time::sleep_until(at.into()).await,
        None => std::future::pending().await,
    }
}
