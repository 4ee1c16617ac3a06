//! Admission: verifies what clients submit and what peers tell, many at a time, where blocking is allowed.
//! What holds goes to the pool, the rest is answered here.

use crate::mempool::StrangersPart;
use crate::rpc::{self, Submission, SubmissionRefusal, Taken};
use crate::store::Store;
use crate::waiting::Waiting;
use crate::wire::{Judgement, ToldTransactions, TransactionMessage, Way};
use rayon::prelude::*;
use sealpost_api::WaitFor;
use sealpost_ledger::chain::Tip;
use sealpost_ledger::execution::Rejection;
use sealpost_ledger::hash::TransactionId;
use sealpost_ledger::height::BlockHeight;
use sealpost_ledger::message::{Body, Message};
use sealpost_ledger::state::{LedgerView, NodeSource, StateKey, StateRecord, ViewError};
use sealpost_ledger::transaction::{Known, SignedTransaction, VerifiedTransaction, verify_each};
use std::time::Instant;
use tokio::sync::{mpsc, oneshot, watch};
use tokio_util::sync::CancellationToken;

/// Transactions verified together: enough for each core to have a batch in which a signature costs little.
const BATCH: usize = 1_024;

/// Transactions whose look-ups are worth another core: fewer are done in less time than that needs to wake up. In a
/// network of four nodes on two cores waking them was 4 % of the work at 4,000 messages a second
/// (`perf record -g` beside `sealpost-bench ingest --validators 4 --per-second 4000 --per-call 20`).
const SMALLEST_SHARE: usize = 32;

/// What was verified together, on its way to the pool.
#[derive(Debug)]
pub(super) struct Admitted {
    pub(super) submitted: Vec<Submitted>,
    pub(super) told: Vec<Told>,
    pub(super) first_seen_ms: u64,
    /// None of them was final in the blocks up to here.
    pub(super) checked_at: BlockHeight,
}

/// A verified transaction of a client.
#[derive(Debug)]
pub(super) struct Submitted {
    pub(super) transaction: VerifiedTransaction,
    pub(super) client: Client,
}

/// Who waits for what becomes of a submitted transaction.
#[derive(Debug)]
pub(super) struct Client {
    pub(super) wait: WaitFor,
    answer: oneshot::Sender<Result<Taken, SubmissionRefusal>>,
}

impl Client {
    /// Answers; whoever has left needs no answer.
    pub(super) fn answer(self, result: Result<Taken, SubmissionRefusal>) {
        drop(self.answer.send(result));
    }
    /// Whether it has left.
    pub(super) fn has_left(&self) -> bool {
        self.answer.is_closed()
    }
    #[cfg(test)]
    pub(super) fn new(wait: WaitFor, answer: oneshot::Sender<Result<Taken, SubmissionRefusal>>) -> Self {
        Self { wait, answer }
    }
}

/// Those of a peer's transactions that hold, and what became of the others.
#[derive(Debug)]
pub(super) struct Told {
    pub(super) transactions: Vec<VerifiedTransaction>,
    pub(super) way: Way,
    pub(super) judgement: Judgement,
    judged: oneshot::Sender<Judgement>,
}

impl Told {
    #[cfg(test)]
    pub(super) fn new(
        transactions: Vec<VerifiedTransaction>,
        way: Way,
    ) -> (Self, oneshot::Receiver<Judgement>) {
        let (judged, judgement) = oneshot::channel();
        (Self { transactions, way, judgement: Judgement::default(), judged }, judgement)
    }
    /// Says what became of all of them; whoever has stopped needs no answer.
    pub(super) fn answer(self) {
        let _ = self.judged.send(self.judgement);
    }
    /// Notes what became of one that does not reach the pool.
    fn note(&mut self, checked: Checked, bytes: usize) {
        let judgement = &mut self.judgement;
        let count = match checked {
            Checked::Holds(transaction) => return self.transactions.push(transaction),
            Checked::Final => {
                judgement.known_bytes = judgement.known_bytes.saturating_add(bytes);
                &mut judgement.known
            }
            Checked::Refused(SubmissionRefusal::Transaction(_)) => &mut judgement.faulty,
            // What depends on the chain's state, or on this node, is no fault: states differ for a moment.
            Checked::Refused(_) => &mut judgement.untaken,
        };
        *count = count.saturating_add(1);
    }
}

/// What checking a transaction has shown.
enum Checked {
    /// It may stand in the next block.
    Holds(VerifiedTransaction),
    /// It is on the ledger already: what the submitter wants is done.
    Final,
    /// It may not.
    Refused(SubmissionRefusal),
}

/// Transactions to be verified together, and who brought them.
#[derive(Default)]
struct Work {
    transactions: Vec<(SignedTransaction, Option<Body>)>,
    /// In the order of their transactions.
    origins: Vec<Origin>,
}

enum Origin {
    /// Brought one.
    Client(Client),
    /// Told so many.
    Peer(usize, Told),
}

impl Work {
    fn len(&self) -> usize {
        self.transactions.len()
    }
    fn submit(&mut self, submission: Submission) {
        let Submission { transaction, body, wait, reply: answer } = submission;
        self.transactions.push((transaction, body));
        self.origins.push(Origin::Client(Client { wait, answer }));
    }
    fn tell(&mut self, told: ToldTransactions) {
        let ToldTransactions { transactions, way, judged } = told;
        let empty = Told { transactions: Vec::new(), way, judgement: Judgement::default(), judged };
        self.origins.push(Origin::Peer(transactions.len(), empty));
        let pairs =
            transactions.into_iter().map(|TransactionMessage { transaction, body }| (transaction, body));
        self.transactions.extend(pairs);
    }
}

/// What transactions are held against.
#[derive(Clone)]
pub(super) struct Against {
    pub(super) store: Store,
    /// What was verified before and waits.
    pub(super) waiting: Waiting,
    /// What room the mempool has for strangers.
    pub(super) room: watch::Receiver<StrangersPart>,
}

impl Against {
    /// Why a stranger's transaction of so many bytes, body included, would be refused, if there is no room for it: so it
    /// need not be read. One that waits already takes no room.
    pub(super) fn refuses_stranger(&self, id: &TransactionId, bytes: usize) -> Option<SubmissionRefusal> {
        let full = self.room.borrow().with(bytes).err()?;
        if self.waiting.contains(id) {
            return None;
        }
        Some(full.into())
    }
}

/// Verifies what comes until the node stops.
pub(super) async fn run(
    mut submitted: rpc::SubmissionQueue,
    mut told: mpsc::Receiver<ToldTransactions>,
    verified: mpsc::Sender<Admitted>,
    against: Against,
    stop: CancellationToken,
) {
    loop {
        let mut work = Work::default();
        tokio::select! {
            () = stop.cancelled() => return,
            Some(submission) = submitted.recv() => work.submit(submission),
            Some(told) = told.recv() => work.tell(told),
            else => return,
        }
        fill(&mut work, &mut submitted, &mut told);
        let against = against.clone();
        match tokio::task::spawn_blocking(move || admit(work, &against)).await {
            Ok(admitted) if admitted.submitted.is_empty() && admitted.told.is_empty() => {}
            Ok(admitted) => {
                if verified.send(admitted).await.is_err() {
                    return;
                }
            }
            // The submitters hear that their answer will not come.
            Err(error) => tracing::error!(%error, "verifying submissions failed"),
        }
    }
}

/// Takes what waits, from both in turn: neither clients nor peers can crowd the others out. What a peer told
/// together stays together, and may make it a little more than a batch.
fn fill(work: &mut Work, submitted: &mut rpc::SubmissionQueue, told: &mut mpsc::Receiver<ToldTransactions>) {
    let mut of_clients: usize = 0;
    loop {
        let mut more = false;
        // As many of clients as of peers, who tell of several at once.
        while work.len() < BATCH && of_clients.saturating_mul(2) <= work.len() {
            let Some(submission) = submitted.try_recv() else { break };
            work.submit(submission);
            of_clients = of_clients.saturating_add(1);
            more = true;
        }
        if work.len() < BATCH
            && let Ok(told) = told.try_recv()
        {
            work.tell(told);
            more = true;
        }
        if !more {
            // Peers have nothing more: the rest is for clients.
            while work.len() < BATCH
                && let Some(submission) = submitted.try_recv()
            {
                work.submit(submission);
            }
            return;
        }
    }
}

/// Answers those that don't hold, unless they came with others that do, and returns the rest.
fn admit(work: Work, against: &Against) -> Admitted {
    let first_seen_ms = super::pool::now_ms();
    let Work { transactions, origins } = work;
    let started = Instant::now();
    // Blocks that come from here on are the pool's to look at.
    let tip = against.store.tip();
    let checked = check(transactions, against, &tip);
    metrics::histogram!("sealpost_verify_batch_seconds").record(started.elapsed());
    let (mut submitted, mut told) = (Vec::new(), Vec::new());
    let mut checked = checked.into_iter();
    for origin in origins {
        match origin {
            Origin::Client(client) => match checked.next() {
                Some((Checked::Holds(transaction), _)) => submitted.push(Submitted { transaction, client }),
                Some((Checked::Final, _)) => client.answer(Ok(Taken::Before)),
                Some((Checked::Refused(refusal), _)) => client.answer(Err(refusal)),
                // There is one for each.
                None => {}
            },
            Origin::Peer(count, mut of_peer) => {
                for (checked, bytes) in checked.by_ref().take(count) {
                    of_peer.note(checked, bytes);
                }
                if of_peer.transactions.is_empty() {
                    of_peer.answer();
                } else {
                    told.push(of_peer);
                }
            }
        }
    }
    Admitted { submitted, told, first_seen_ms, checked_at: tip.height() }
}

/// Checks each, and says how many bytes it has.
fn check(
    transactions: Vec<(SignedTransaction, Option<Body>)>,
    against: &Against,
    tip: &Tip,
) -> Vec<(Checked, usize)> {
    let Against { store, waiting, room } = against;
    // What is final already needs no signature checked: of a flood that is most.
    let mut seen: Vec<_> = transactions
        .par_iter()
        .with_min_len(SMALLEST_SHARE)
        .map(|(transaction, body)| match store.is_final(&transaction.id()) {
            Ok(true) => Some((Checked::Final, bytes_of(transaction, body.as_ref()))),
            Ok(false) => None,
            Err(error) => Some((internal(&error), 0)),
        })
        .collect();
    let news = transactions.iter().zip(&seen).filter(|(_, seen)| seen.is_none());
    let known = waiting.find(news.map(|((transaction, _), _)| transaction.id()));
    keep_out(&transactions, &mut seen, &known, store, *room.borrow());
    let new = transactions.into_iter().zip(&seen).filter(|(_, seen)| seen.is_none()).map(|(new, _)| new);
    let new: Vec<_> = new.collect();
    let verified = verify_each(new, tip.genesis_file(), &known);
    let new: Vec<_> = verified
        .into_par_iter()
        .with_min_len(SMALLEST_SHARE)
        .map(|verified| match verified {
            Ok(transaction) => follow(transaction, tip, store),
            Err(error) => (Checked::Refused(error.into()), 0),
        })
        .collect();
    let mut new = new.into_iter();
    // There is one for each that was not seen.
    let checked: Vec<_> = seen.into_iter().filter_map(|seen| seen.or_else(|| new.next())).collect();
    for (checked, _) in &checked {
        if let Checked::Refused(refusal) = checked {
            super::measuring::count_refusal(refusal);
        }
    }
    checked
}

/// Refuses the strangers' transactions for which the mempool has no room, before their signatures are checked: a flood
/// of what can't be taken is not to cost what is taken its turn.
fn keep_out(
    transactions: &[(SignedTransaction, Option<Body>)],
    seen: &mut [Option<(Checked, usize)>],
    known: &Known,
    store: &Store,
    mut room: StrangersPart,
) {
    // As if all were strangers': whose they are has to be looked up.
    let taking = transactions.iter().zip(seen.iter()).filter(|(_, seen)| seen.is_none());
    let mut sizes = taking.map(|((transaction, body), _)| bytes_of(transaction, body.as_ref()));
    if sizes.try_fold(room, StrangersPart::with).is_ok() {
        return;
    }
    for ((transaction, body), seen) in transactions.iter().zip(seen) {
        if seen.is_some() || known.contains_key(&transaction.id()) {
            continue;
        }
        let bytes = bytes_of(transaction, body.as_ref());
        match store.is_member(&transaction.sender()) {
            Ok(true) => {}
            Ok(false) => match room.with(bytes) {
                Ok(rest) => room = rest,
                Err(full) => *seen = Some((Checked::Refused(full.into()), bytes)),
            },
            // Nobody is kept out for want of an answer.
            Err(error) => tracing::error!(%error, "the store does not say who is a member"),
        }
    }
}

/// Looks whether a transaction may stand in the next block.
fn follow(transaction: VerifiedTransaction, tip: &Tip, store: &Store) -> (Checked, usize) {
    let bytes = transaction.bytes();
    let checked = match tip.check(&NotFinal(store), &transaction) {
        Ok(()) => Checked::Holds(transaction),
        Err(Rejection::Refused(refusal)) => Checked::Refused(SubmissionRefusal::Refused(refusal)),
        Err(Rejection::View(error)) => internal(&error),
    };
    (checked, bytes)
}

fn internal(error: &ViewError) -> Checked {
    Checked::Refused(SubmissionRefusal::Internal(error.to_string()))
}

fn bytes_of(transaction: &SignedTransaction, body: Option<&Body>) -> usize {
    transaction.as_bytes().len().saturating_add(body.map_or(0, |body| body.as_bytes().len()))
}

/// The ledger for a transaction that was looked up in it a moment ago, and is not looked up again: if a block has brought
/// it meanwhile, the pool knows.
struct NotFinal<'a>(&'a Store);

impl NodeSource for NotFinal<'_> {
    fn node(&self, key: &[u8]) -> Result<Option<Vec<u8>>, ViewError> {
        self.0.node(key)
    }
    fn value(&self, version: u64, key_hash: &[u8; 32]) -> Result<Option<Vec<u8>>, ViewError> {
        self.0.value(version, key_hash)
    }
}

impl LedgerView for NotFinal<'_> {
    fn record(&self, key: &StateKey) -> Result<Option<StateRecord>, ViewError> {
        self.0.record(key)
    }
    fn message(&self, id: &TransactionId) -> Result<Option<Message>, ViewError> {
        self.0.message(id)
    }
    fn is_final(&self, _: &TransactionId) -> Result<bool, ViewError> {
        Ok(false)
    }
}
