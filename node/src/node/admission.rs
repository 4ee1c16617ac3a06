//! Admission: verifies what clients submit and what peers tell, many at a time, where blocking is allowed.
//! What holds goes to the pool, the rest is answered here.

use crate::rpc::{Submission, SubmissionRefusal, Taken};
use crate::store::Store;
use crate::wire::{ToldTransaction, Verdict};
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

/// A verified transaction on its way to the pool.
#[derive(Debug)]
pub(super) struct Admitted {
    pub(super) transaction: VerifiedTransaction,
    pub(super) reply: Reply,
    pub(super) first_seen_ms: u64,
}

/// Who waits for what becomes of a transaction.
#[derive(Debug)]
pub(super) enum Reply {
    /// A client of this node.
    Client { wait: WaitFor, answer: oneshot::Sender<Result<Taken, SubmissionRefusal>> },
    /// Gossip, which forwards what holds.
    Peer(oneshot::Sender<Verdict>),
}

impl Reply {
    /// Answers; whoever has left needs no answer.
    pub(super) fn answer(self, result: Result<Taken, SubmissionRefusal>) {
        match self {
            Reply::Client { answer, .. } => drop(answer.send(result)),
            Reply::Peer(verdict) => drop(verdict.send(match result {
                Ok(Taken::Accepted) => Verdict::Forward,
                // What depends on the chain's state, or on this node, is no fault: states differ for a moment.
                Ok(Taken::Final(_) | Taken::Before)
                | Err(SubmissionRefusal::Refused(_) | SubmissionRefusal::Busy { .. }) => Verdict::Drop,
                Err(SubmissionRefusal::TimedOut | SubmissionRefusal::Internal(_)) => Verdict::Drop,
                Err(SubmissionRefusal::Transaction(_)) => Verdict::Refuse,
            })),
        }
    }
}

/// A transaction to be verified.
struct Work {
    transaction: SignedTransaction,
    body: Option<Body>,
    reply: Reply,
}

impl From<Submission> for Work {
    fn from(submission: Submission) -> Self {
        let Submission { transaction, body, wait, reply: answer } = submission;
        Self { transaction, body, reply: Reply::Client { wait, answer } }
    }
}

impl From<ToldTransaction> for Work {
    fn from(told: ToldTransaction) -> Self {
        let (message, verdict) = (told.message, told.verdict);
        Self { transaction: message.transaction, body: message.body, reply: Reply::Peer(verdict) }
    }
}

/// Verifies what comes until the node stops.
pub(super) async fn run(
    mut submitted: mpsc::Receiver<Submission>,
    mut told: mpsc::Receiver<ToldTransaction>,
    verified: mpsc::Sender<Vec<Admitted>>,
    store: Store,
    stop: CancellationToken,
) {
    loop {
        let mut batch: Vec<Work> = Vec::with_capacity(BATCH);
        tokio::select! {
            () = stop.cancelled() => return,
            Some(submission) = submitted.recv() => batch.push(submission.into()),
            Some(told) = told.recv() => batch.push(told.into()),
            else => return,
        }
        fill(&mut batch, &mut submitted, &mut told);
        let store = store.clone();
        match tokio::task::spawn_blocking(move || admit(batch, &store)).await {
            Ok(admitted) if admitted.is_empty() => {}
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

/// Takes what waits, from both in turn: neither clients nor peers can crowd the others out.
fn fill(
    batch: &mut Vec<Work>,
    submitted: &mut mpsc::Receiver<Submission>,
    told: &mut mpsc::Receiver<ToldTransaction>,
) {
    let mut more = true;
    while more && batch.len() < BATCH {
        more = false;
        if let Ok(submission) = submitted.try_recv() {
            batch.push(submission.into());
            more = true;
        }
        if let Ok(told) = told.try_recv() {
            batch.push(told.into());
            more = true;
        }
    }
}

/// Answers those that don't hold and returns those that do.
fn admit(work: Vec<Work>, store: &Store) -> Vec<Admitted> {
    let first_seen_ms = super::pool::now_ms();
    let tip = store.tip();
    let mut admitted = Vec::with_capacity(work.len());
    let started = Instant::now();
    let verified = verify(work, store);
    metrics::histogram!("sealpost_verify_batch_seconds").record(started.elapsed());
    let check = |transaction: VerifiedTransaction| match tip.check(store, &transaction) {
        Ok(()) => Ok(Some(transaction)),
        // On the ledger already: what the submitter wants is done.
        Err(Rejection::Refused(Refusal::Repeated { .. })) => Ok(None),
        Err(Rejection::Refused(refusal)) => Err(SubmissionRefusal::Refused(refusal)),
        Err(Rejection::View(error)) => Err(SubmissionRefusal::Internal(error.to_string())),
    };
    let verified = verified.into_par_iter().map(|(verified, reply)| (verified.and_then(check), reply));
    for (checked, reply) in verified.collect::<Vec<_>>() {
        match checked {
            Ok(Some(transaction)) => admitted.push(Admitted { transaction, reply, first_seen_ms }),
            Ok(None) => reply.answer(Ok(Taken::Before)),
            Err(refusal) => {
                super::measuring::count_refusal(&refusal);
                reply.answer(Err(refusal));
            }
        }
    }
    admitted
}

type Verified = (Result<VerifiedTransaction, SubmissionRefusal>, Reply);

/// Signatures in one batch; each by itself only if one of them is bad.
fn verify(work: Vec<Work>, store: &Store) -> Vec<Verified> {
    let tip = store.tip();
    let genesis = tip.genesis_file();
    let copies = work.iter().map(|s| (s.transaction.clone(), s.body.clone())).collect();
    if let Ok(all) = verify_all(copies, genesis) {
        return all.into_iter().map(Ok).zip(work.into_iter().map(|work| work.reply)).collect();
    }
    let each = work.into_par_iter().map(|Work { transaction, body, reply }| {
        (transaction.verify(body, genesis).map_err(SubmissionRefusal::from), reply)
    });
    each.collect()
}
