//! The pool task: owns the mempool and everybody who waits for a transaction to become final.

use super::admission::{Admitted, Reply};
use super::measuring::{Measuring, count_receipt, count_refusal};
use crate::consensus::MempoolRequest;
use crate::mempool::{Inserted, Mempool, Standing};
use crate::rpc::{PoolAnswer, PoolQuery, PoolSizes, SubmissionRefusal, Taken};
use crate::store::Store;
use crate::wire::{Announcement, MAX_IDS, PoolWish, Tell, TransactionMessage};
use sealpost_api::{Place, WaitFor};
use sealpost_ledger::chain::CommittedBlock;
use sealpost_ledger::execution::Refusal;
use sealpost_ledger::hash::TransactionId;
use sealpost_ledger::height::BlockHeight;
use sealpost_ledger::transaction::VerifiedTransaction;
use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};
use tokio::sync::{mpsc, watch};
use tokio_util::sync::CancellationToken;

/// A block from others that is older is one that this node only catches up with.
const LONG_AGO_MS: u64 = 10_000;
/// Transactions whose first sight is remembered.
const REMEMBERED: usize = 65_536;

/// The mempool, and its connections to the rest of the node.
pub(super) struct Pool {
    pub(super) mempool: Mempool,
    pub(super) admitted: mpsc::Receiver<Vec<Admitted>>,
    pub(super) queried: mpsc::Receiver<PoolQuery>,
    pub(super) wanted: mpsc::Receiver<MempoolRequest>,
    pub(super) refusals: mpsc::Receiver<Vec<(TransactionId, Refusal)>>,
    /// Blocks that consensus decided here: they are told to everybody.
    pub(super) decided: mpsc::Receiver<Arc<CommittedBlock>>,
    /// Blocks that came from others.
    pub(super) synced: mpsc::Receiver<Arc<CommittedBlock>>,
    /// What other nodes want to know or have.
    pub(super) wishes: mpsc::Receiver<PoolWish>,
    /// What is told to everybody; nothing if this node talks to nobody.
    pub(super) tell: Option<mpsc::Sender<Tell>>,
    pub(super) waiting: watch::Sender<usize>,
    pub(super) sizes: watch::Sender<PoolSizes>,
    pub(super) height: watch::Sender<BlockHeight>,
    pub(super) measuring: Measuring,
    pub(super) store: Store,
}

/// What the task remembers besides the mempool.
#[derive(Default)]
struct Memory {
    waiters: HashMap<TransactionId, Vec<Reply>>,
    seen: HashMap<TransactionId, u64>,
    seen_order: VecDeque<TransactionId>,
}

impl Memory {
    fn saw(&mut self, id: TransactionId, now_ms: u64) {
        if self.seen.contains_key(&id) {
            return;
        }
        self.seen.insert(id, now_ms);
        self.seen_order.push_back(id);
        if self.seen_order.len() > REMEMBERED
            && let Some(oldest) = self.seen_order.pop_front()
        {
            self.seen.remove(&oldest);
        }
    }
    fn finish(&mut self, id: &TransactionId, result: &Result<Taken, SubmissionRefusal>) {
        for reply in self.waiters.remove(id).unwrap_or_default() {
            reply.answer(result.clone());
        }
    }
}

impl Pool {
    /// Works until the node stops.
    pub(super) async fn run(mut self, stop: CancellationToken) {
        let mut memory = Memory::default();
        loop {
            tokio::select! {
                biased;
                () = stop.cancelled() => return,
                Some(block) = self.decided.recv() => {
                    self.take_out(&block, &mut memory);
                    self.announce(&block);
                }
                Some(block) = self.synced.recv() => {
                    if now_ms().saturating_sub(block.block().header().time_ms) > LONG_AGO_MS {
                        self.mempool.pass_over();
                    }
                    self.take_out(&block, &mut memory);
                }
                Some(refusals) = self.refusals.recv() => self.let_go(refusals, &mut memory),
                // An engine that has gone on does not wait for the answer any more.
                Some(request) = self.wanted.recv() => drop(match request {
                    MempoolRequest::Candidates { room, reply } => reply.send(self.mempool.take(room)),
                    MempoolRequest::Waiting { ids, reply } => reply.send(self.waiting(&ids)),
                }),
                Some(query) = self.queried.recv() => {
                    let waiting = self.mempool.contains(&query.id);
                    let first_seen_ms = memory.seen.get(&query.id).copied();
                    let _ = query.reply.send(PoolAnswer { waiting, first_seen_ms });
                }
                Some(wish) = self.wishes.recv() => self.fulfil(wish),
                Some(admitted) = self.admitted.recv() => self.put_in(admitted, &mut memory),
                else => return,
            }
        }
    }

    /// What the sender of a transaction is after the last block. Nobody is kept out for want of an answer.
    fn standing(&self, transaction: &VerifiedTransaction) -> Standing {
        match self.store.is_member(&transaction.signed().sender()) {
            Ok(true) => Standing::Member,
            Ok(false) => Standing::Stranger,
            Err(error) => {
                tracing::error!(%error, "the store does not say who is a member");
                Standing::Stranger
            }
        }
    }
    fn waiting(&self, ids: &[TransactionId]) -> Vec<VerifiedTransaction> {
        ids.iter().filter_map(|id| self.mempool.get(id)).cloned().collect()
    }
    fn put_in(&mut self, admitted: Vec<Admitted>, memory: &mut Memory) {
        let now = *self.height.borrow();
        for Admitted { transaction, reply, first_seen_ms } in admitted {
            let (id, standing) = (transaction.id(), self.standing(&transaction));
            match self.mempool.insert(transaction, standing, now) {
                Ok(inserted) => {
                    if inserted == Inserted::New {
                        memory.saw(id, first_seen_ms);
                        // What a peer told goes on through gossip's own verdict.
                        if matches!(reply, Reply::Client { .. }) {
                            self.pass_on(&id);
                        }
                    }
                    match reply {
                        Reply::Client { wait: WaitFor::Final, .. } => {
                            memory.waiters.entry(id).or_default().push(reply);
                        }
                        reply => reply.answer(Ok(Taken::Accepted)),
                    }
                }
                Err(full) => {
                    let refusal = SubmissionRefusal::Busy { code: full.code(), message: full.to_string() };
                    count_refusal(&refusal);
                    reply.answer(Err(refusal));
                }
            }
        }
        self.tell_sizes();
    }
    /// Tells everybody of a transaction that waits here. If gossip is too busy, peers that connect later ask
    /// for it.
    fn pass_on(&self, id: &TransactionId) {
        let (Some(transaction), Some(tell)) = (self.mempool.get(id), &self.tell) else { return };
        let bytes = told(transaction).to_bytes().into();
        if tell.try_send(Tell::Transaction(bytes)).is_err() {
            tracing::debug!(tx = %id, "gossip is too busy to tell of a transaction");
        }
    }
    fn announce(&self, block: &CommittedBlock) {
        let Some(tell) = &self.tell else { return };
        let (header, certificate) = (block.block().header().clone(), block.certificate().clone());
        let bytes = Announcement { header, certificate }.to_bytes().into();
        if tell.try_send(Tell::Block(bytes)).is_err() {
            tracing::debug!(height = %block.block().height(), "gossip is too busy to tell of a block");
        }
    }
    /// Answers what other nodes ask of the mempool. Whoever asked may have left.
    fn fulfil(&self, wish: PoolWish) {
        match wish {
            PoolWish::Ids(reply) => drop(reply.send(self.mempool.ids().take(MAX_IDS).collect())),
            PoolWish::Missing(mut ids, reply) => {
                ids.retain(|id| !self.mempool.contains(id));
                drop(reply.send(ids));
            }
            PoolWish::Get(ids, max_bytes, reply) => {
                let mut left = max_bytes;
                let found = ids.iter().filter_map(|id| self.mempool.get(id)).map_while(|transaction| {
                    left = left.checked_sub(transaction.bytes())?;
                    Some(told(transaction))
                });
                drop(reply.send(found.collect()));
            }
        }
    }
    /// A block is final and on disk.
    fn take_out(&mut self, committed: &CommittedBlock, memory: &mut Memory) {
        let (block, now) = (committed.block(), now_ms());
        let height = block.height();
        self.mempool.remove_committed(block);
        // Before anybody hears of it, so that whoever hears can read it.
        self.height.send_replace(height);
        for (index, transaction) in (0_u32..).zip(block.transactions()) {
            let (id, kind) = (transaction.id(), transaction.payload().kind());
            metrics::counter!("sealpost_transactions_total", "kind" => kind).increment(1);
            count_receipt(transaction);
            let first_seen_ms = memory.seen.get(&id).copied();
            if let Some(seen) = first_seen_ms {
                let seconds = now.saturating_sub(seen) as f64 / 1000.0;
                metrics::histogram!("sealpost_consensus_finality_seconds").record(seconds);
            }
            let time_ms = block.header().time_ms;
            let place = Place { height, index, block: block.hash(), time_ms, first_seen_ms };
            memory.finish(&id, &Ok(Taken::Final(place)));
        }
        for id in self.mempool.expire(height.saturating_add(1)) {
            memory.finish(&id, &Err(SubmissionRefusal::TimedOut));
        }
        self.tell_sizes();
        self.measuring.note(committed, &self.store);
    }
    fn let_go(&mut self, refusals: Vec<(TransactionId, Refusal)>, memory: &mut Memory) {
        self.mempool.remove_refused(refusals.iter().map(|(id, _)| id));
        for (id, refusal) in refusals {
            tracing::debug!(tx = %id, reason = %refusal, "a waiting transaction is refused");
            let result = match refusal {
                Refusal::Repeated { .. } => Ok(Taken::Before),
                refusal => Err(SubmissionRefusal::Refused(refusal)),
            };
            if let Err(refusal) = &result {
                count_refusal(refusal);
            }
            memory.finish(&id, &result);
        }
        self.tell_sizes();
    }
    /// Tells consensus and readers how much waits.
    fn tell_sizes(&self) {
        let sizes = PoolSizes { transactions: self.mempool.len(), bytes: self.mempool.bytes() };
        metrics::gauge!("sealpost_mempool_transactions").set(sizes.transactions as f64);
        metrics::gauge!("sealpost_mempool_bytes").set(sizes.bytes as f64);
        self.sizes.send_replace(sizes);
        self.waiting.send_replace(sizes.transactions);
    }
}

/// A waiting transaction as it is told to others.
fn told(transaction: &VerifiedTransaction) -> TransactionMessage {
    TransactionMessage { transaction: transaction.signed().clone(), body: transaction.body().cloned() }
}

/// Milliseconds since 1970 by this machine's clock. Shown to people; decides nothing.
pub(super) fn now_ms() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}
