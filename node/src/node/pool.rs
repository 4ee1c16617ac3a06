//! The pool task: owns the mempool and everybody who waits for a transaction to become final.

use super::admission::{Admitted, Client, Submitted, Told};
use super::measuring::{Measuring, count_receipt, count_refusal};
use super::passed::Passed;
use crate::consensus::MempoolRequest;
use crate::mempool::{self, Mempool, MempoolRefusal, Standing, StrangersPart};
use crate::rpc::{PoolAnswer, PoolQuery, PoolSizes, SubmissionRefusal, Taken};
use crate::store::Store;
use crate::waiting::Waiting;
use crate::wire::{
    Announcement, MAX_IDS, Packer, PoolWish, Tell, TransactionBatch, TransactionMessage, Verdict, Way,
};
use sealpost_api::{Place, WaitFor};
use sealpost_ledger::chain::CommittedBlock;
use sealpost_ledger::execution::Refusal;
use sealpost_ledger::hash::TransactionId;
use sealpost_ledger::height::BlockHeight;
use sealpost_ledger::postage::work;
use sealpost_ledger::state::LedgerView;
use sealpost_ledger::transaction::{SignedTransaction, VerifiedTransaction};
use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};
use tokio::sync::{mpsc, watch};
use tokio_util::sync::CancellationToken;

/// A block from others that is older is one that this node only catches up with.
const LONG_AGO_MS: u64 = 10_000;
/// Clients that wait for the same transaction to become final. Who comes after them hears that it is accepted.
const WAITERS: usize = 64;
/// Transactions whose first sight is remembered.
const REMEMBERED: usize = 65_536;

/// The mempool, and its connections to the rest of the node.
pub(super) struct Pool {
    pub(super) mempool: Mempool,
    pub(super) admitted: mpsc::Receiver<Admitted>,
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
    /// What room there is for strangers, for those who verify and those who look before.
    pub(super) room: watch::Sender<StrangersPart>,
    pub(super) height: watch::Sender<BlockHeight>,
    pub(super) measuring: Measuring,
    pub(super) store: Store,
    /// What waits, for the same.
    pub(super) verified: Waiting,
}

/// When and at which height something was verified.
#[derive(Debug, Clone, Copy)]
struct Checked {
    first_seen_ms: u64,
    at: BlockHeight,
}

/// What became of a transaction that holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Inserted {
    /// It waits for a block now.
    New,
    /// It waited already.
    Known,
    /// A block has brought it while it was on its way here.
    Final,
}

/// What the task remembers besides the mempool.
#[derive(Default)]
struct Memory {
    waiters: HashMap<TransactionId, Vec<Client>>,
    /// What waits here and was not passed on: it was fetched, or gossip was too busy. Whoever tells of it next
    /// tells something new.
    unspread: HashSet<TransactionId>,
    /// Members' transactions that gossip was too busy to tell of: told with the next ones.
    untold: Vec<TransactionId>,
    passed: Passed,
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
    /// Keeps who waits for a transaction to become final, as long as they do.
    fn wait(&mut self, id: TransactionId, client: Client) {
        let waiters = self.waiters.entry(id).or_default();
        waiters.retain(|waiter| !waiter.has_left());
        match waiters.len() < WAITERS {
            true => waiters.push(client),
            false => client.answer(Ok(Taken::Accepted)),
        }
    }
    fn finish(&mut self, id: &TransactionId, result: &Result<Taken, SubmissionRefusal>) {
        self.unspread.remove(id);
        for client in self.waiters.remove(id).unwrap_or_default() {
            client.answer(result.clone());
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
                    MempoolRequest::Candidates { max_bytes, max_strangers_bytes, reply } => {
                        reply.send(self.mempool.take(max_bytes, max_strangers_bytes))
                    }
                    MempoolRequest::Waiting { ids, reply } => reply.send(self.waiting(&ids)),
                }),
                Some(query) = self.queried.recv() => {
                    let answer = |id| PoolAnswer {
                        waiting: self.mempool.contains(id),
                        first_seen_ms: memory.seen.get(id).copied(),
                    };
                    let _ = query.reply.send(query.ids.iter().map(answer).collect());
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
    /// Takes in what was verified. What is new is told to others at once, all of it together.
    fn put_in(&mut self, admitted: Admitted, memory: &mut Memory) {
        let Admitted { submitted, told, first_seen_ms, checked_at } = admitted;
        let checked = Checked { first_seen_ms, at: checked_at };
        let mut new = std::mem::take(&mut memory.untold);
        new.retain(|id| self.mempool.contains(id));
        for Submitted { transaction, client } in submitted {
            let id = transaction.id();
            match self.insert(transaction, checked, memory) {
                Ok(Inserted::Final) => client.answer(Ok(Taken::Before)),
                Ok(inserted) => {
                    if inserted == Inserted::New {
                        new.push(id);
                    }
                    match client.wait {
                        WaitFor::Final => memory.wait(id, client),
                        WaitFor::Accepted => client.answer(Ok(Taken::Accepted)),
                    }
                }
                Err(refusal) => client.answer(Err(refusal)),
            }
        }
        self.pass_on(&new, Tell::Transactions, memory);
        for told in told {
            self.put_in_told(told, checked, memory);
        }
        self.tell_sizes();
    }
    /// What a peer told goes on as it is, through gossip's own verdict, or what is new in it by this node's own
    /// word: nobody is to keep good transactions from spreading by putting a bad one among them.
    fn put_in_told(&mut self, mut told: Told, checked: Checked, memory: &mut Memory) {
        let mut new = Vec::new();
        for transaction in std::mem::take(&mut told.transactions) {
            let (id, bytes) = (transaction.id(), transaction.bytes());
            let inserted = self.insert(transaction, checked, memory);
            let judgement = &mut told.judgement;
            match inserted {
                Err(_) => judgement.untaken = judgement.untaken.saturating_add(1),
                Ok(Inserted::Known | Inserted::Final) if !memory.unspread.remove(&id) => {
                    judgement.known = judgement.known.saturating_add(1);
                    judgement.known_bytes = judgement.known_bytes.saturating_add(bytes);
                }
                Ok(_) => {
                    judgement.new = judgement.new.saturating_add(1);
                    judgement.new_bytes = judgement.new_bytes.saturating_add(bytes);
                    new.push(id);
                }
            }
        }
        match (told.way, told.judgement.verdict()) {
            (Way::Fetched, _) => memory.unspread.extend(new),
            (Way::Told, Verdict::Forward) => {}
            (Way::Told, Verdict::Drop | Verdict::Refuse) => self.pass_on(&new, Tell::Rescued, memory),
        }
        // After what it has said itself, so that gossip knows its own words when it hears them from others.
        told.answer();
    }
    fn insert(
        &mut self,
        transaction: VerifiedTransaction,
        checked: Checked,
        memory: &mut Memory,
    ) -> Result<Inserted, SubmissionRefusal> {
        let (id, now) = (transaction.id(), *self.height.borrow());
        if self.is_final_since(&id, checked.at, memory)? {
            return Ok(Inserted::Final);
        }
        let standing = self.standing(&transaction);
        match self.mempool.insert(transaction.clone(), standing, now) {
            Ok(mempool::Inserted::New) => {
                // Before anybody hears that it was taken, and of what waits before there is no room for what does not.
                self.verified.add(transaction);
                self.room.send_replace(self.mempool.strangers_part());
                memory.saw(id, checked.first_seen_ms);
                Ok(Inserted::New)
            }
            Ok(mempool::Inserted::Known) => Ok(Inserted::Known),
            Err(full) => {
                let refusal = full.into();
                count_refusal(&refusal);
                Err(refusal)
            }
        }
    }
    /// Whether a block that was taken out of the mempool has brought what was not final at that height.
    fn is_final_since(
        &self,
        id: &TransactionId,
        height: BlockHeight,
        memory: &Memory,
    ) -> Result<bool, SubmissionRefusal> {
        match memory.passed.brought_after(height, id) {
            Some(brought) => Ok(brought),
            None => self.store.is_final(id).map_err(|error| SubmissionRefusal::Internal(error.to_string())),
        }
    }
    /// Tells everybody of transactions that wait here.
    fn pass_on(&self, ids: &[TransactionId], how: fn(TransactionBatch) -> Tell, memory: &mut Memory) {
        let Some(tell) = &self.tell else { return };
        let mut send = |batch: TransactionBatch| {
            if let Err(error) = tell.try_send(how(batch)) {
                let (Tell::Transactions(batch) | Tell::Rescued(batch)) = error.into_inner() else { return };
                // Peers ask for it later, or hear of it from somebody else.
                let ids: Vec<_> =
                    batch.into_transactions().iter().map(|told| told.transaction.id()).collect();
                memory.untold.extend(ids.iter().filter(|id| self.mempool.is_of_member(id)));
                memory.unspread.extend(ids);
                tracing::debug!("gossip is too busy to tell of transactions");
            }
        };
        let mut packer = Packer::default();
        for transaction in ids.iter().filter_map(|id| self.mempool.get(id)) {
            if let Some(full) = packer.add(transaction.into()) {
                send(full);
            }
        }
        if let Some(rest) = packer.finish() {
            send(rest);
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
                    Some(TransactionMessage::from(transaction))
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
        self.verified.remove(block.transactions().iter().map(SignedTransaction::id));
        memory.passed.add(block);
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
        let price = self.store.tip().price();
        let unpaid = self.mempool.price_out(price);
        self.verified.remove(unpaid.iter().map(VerifiedTransaction::id));
        for transaction in unpaid {
            let bytes = transaction.bytes();
            let refusal =
                SubmissionRefusal::Refused(Refusal::Postage { work: work(price, bytes), bytes, price });
            count_refusal(&refusal);
            memory.finish(&transaction.id(), &Err(refusal));
        }
        let expired = self.mempool.expire(height.saturating_add(1));
        self.verified.remove(expired.iter().copied());
        for id in expired {
            memory.finish(&id, &Err(SubmissionRefusal::TimedOut));
        }
        self.tell_sizes();
        self.measuring.note(committed, &self.store);
    }
    fn let_go(&mut self, refusals: Vec<(TransactionId, Refusal)>, memory: &mut Memory) {
        self.mempool.remove_refused(refusals.iter().map(|(id, _)| id));
        self.verified.remove(refusals.iter().map(|(id, _)| *id));
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
        self.room.send_replace(self.mempool.strangers_part());
        self.waiting.send_replace(sizes.transactions);
    }
}

impl From<MempoolRefusal> for SubmissionRefusal {
    fn from(refusal: MempoolRefusal) -> Self {
        Self::Busy { code: refusal.code(), message: refusal.to_string() }
    }
}

/// Milliseconds since 1970 by this machine's clock. Shown to people; decides nothing.
pub(super) fn now_ms() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use tokio::sync::oneshot;

    #[test]
    fn who_has_left_is_not_waited_for() {
        let (mut memory, id) = (Memory::default(), TransactionId::from_bytes([7; 32]));
        for _ in 0..10_000 {
            let (answer, _) = oneshot::channel();
            memory.wait(id, Client::new(WaitFor::Final, answer));
        }
        assert_eq!(memory.waiters.get(&id).unwrap().len(), 1);
    }

    #[test]
    fn so_many_wait_for_a_transaction_and_the_others_hear_that_it_is_accepted() {
        let (mut memory, id) = (Memory::default(), TransactionId::from_bytes([7; 32]));
        let mut answers: Vec<_> = (0..WAITERS + 2)
            .map(|_| {
                let (answer, answered) = oneshot::channel();
                memory.wait(id, Client::new(WaitFor::Final, answer));
                answered
            })
            .collect();
        for mut answered in answers.drain(WAITERS..) {
            assert!(matches!(answered.try_recv(), Ok(Ok(Taken::Accepted))));
        }
        memory.finish(&id, &Ok(Taken::Before));
        assert!(answers.into_iter().all(|mut answered| matches!(answered.try_recv(), Ok(Ok(Taken::Before)))));
    }
}
