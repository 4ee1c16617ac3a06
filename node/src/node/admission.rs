//! Admission: verifies what clients submit and what peers tell, many at a time, where blocking is allowed.
//! What holds goes to the pool, the rest is answered here.

use crate::rpc::{Submission, SubmissionRefusal, Taken};
use crate::store::Store;
use crate::wire::{Judgement, ToldTransactions, TransactionMessage, Way};
use rayon::prelude::*;
use sealpost_api::WaitFor;
use sealpost_ledger::execution::{Refusal, Rejection};
use sealpost_ledger::message::Body;
use sealpost_ledger::transaction::{SignedTransaction, VerifiedTransaction, verify_all};
use std::time::Instant;
use tokio::sync::{mpsc, oneshot};
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

/// Verifies what comes until the node stops.
pub(super) async fn run(
    mut submitted: mpsc::Receiver<Submission>,
    mut told: mpsc::Receiver<ToldTransactions>,
    verified: mpsc::Sender<Admitted>,
    store: Store,
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
        let store = store.clone();
        match tokio::task::spawn_blocking(move || admit(work, &store)).await {
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
fn fill(
    work: &mut Work,
    submitted: &mut mpsc::Receiver<Submission>,
    told: &mut mpsc::Receiver<ToldTransactions>,
) {
    let mut of_clients: usize = 0;
    loop {
        let mut more = false;
        // As many of clients as of peers, who tell of several at once.
        while work.len() < BATCH && of_clients.saturating_mul(2) <= work.len() {
            let Ok(submission) = submitted.try_recv() else { break };
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
                && let Ok(submission) = submitted.try_recv()
            {
                work.submit(submission);
            }
            return;
        }
    }
}

/// Answers those that don't hold, unless they came with others that do, and returns the rest.
fn admit(work: Work, store: &Store) -> Admitted {
    let first_seen_ms = super::pool::now_ms();
    let Work { transactions, origins } = work;
    let started = Instant::now();
    let checked = check(transactions, store);
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
    Admitted { submitted, told, first_seen_ms }
}

/// Checks each, and says how many bytes it has.
fn check(transactions: Vec<(SignedTransaction, Option<Body>)>, store: &Store) -> Vec<(Checked, usize)> {
    let tip = store.tip();
    let state = |transaction: VerifiedTransaction| {
        let bytes = transaction.bytes();
        let checked = match tip.check(store, &transaction) {
            Ok(()) => Checked::Holds(transaction),
            Err(Rejection::Refused(Refusal::Repeated { .. })) => Checked::Final,
            Err(Rejection::Refused(refusal)) => Checked::Refused(SubmissionRefusal::Refused(refusal)),
            Err(Rejection::View(error)) => Checked::Refused(SubmissionRefusal::Internal(error.to_string())),
        };
        (checked, bytes)
    };
    let genesis = tip.genesis_file();
    // Signatures in one batch; each by itself only if one of them is bad.
    let checked: Vec<(Checked, usize)> = match verify_all(transactions.clone(), genesis) {
        Ok(all) => all.into_par_iter().with_min_len(SMALLEST_SHARE).map(state).collect(),
        Err(_) => transactions
            .into_par_iter()
            .map(|(transaction, body)| match transaction.verify(body, genesis) {
                Ok(verified) => state(verified),
                Err(error) => (Checked::Refused(error.into()), 0),
            })
            .collect(),
    };
    for (checked, _) in &checked {
        if let Checked::Refused(refusal) = checked {
            super::measuring::count_refusal(refusal);
        }
    }
    checked
}
