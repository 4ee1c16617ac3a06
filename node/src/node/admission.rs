//! Admission: verifies submissions, many at a time, where blocking is allowed. What holds goes to the pool,
//! the rest is answered here.

use crate::rpc::{Submission, SubmissionRefusal, Taken};
use crate::store::Store;
use rayon::prelude::*;
use sealpost_api::WaitFor;
use sealpost_ledger::execution::{Refusal, Rejection};
use sealpost_ledger::transaction::{VerifiedTransaction, verify_all};
use tokio::sync::{mpsc, oneshot};
use tokio_util::sync::CancellationToken;

/// Submissions verified together: enough for all cores to have a batch of signatures.
const BATCH: usize = 256;

/// A verified submission on its way to the pool.
#[derive(Debug)]
pub(super) struct Admitted {
    pub(super) transaction: VerifiedTransaction,
    pub(super) wait: WaitFor,
    pub(super) reply: Reply,
    pub(super) first_seen_ms: u64,
}

pub(super) type Reply = oneshot::Sender<Result<Taken, SubmissionRefusal>>;

/// Verifies what comes until the node stops.
pub(super) async fn run(
    mut submitted: mpsc::Receiver<Submission>,
    verified: mpsc::Sender<Vec<Admitted>>,
    store: Store,
    stop: CancellationToken,
) {
    let mut batch = Vec::with_capacity(BATCH);
    loop {
        tokio::select! {
            count = submitted.recv_many(&mut batch, BATCH) => if count == 0 { return },
            () = stop.cancelled() => return,
        }
        let (store, work) = (store.clone(), std::mem::take(&mut batch));
        match tokio::task::spawn_blocking(move || admit(work, &store)).await {
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

/// Answers those that don't hold and returns those that do.
fn admit(work: Vec<Submission>, store: &Store) -> Vec<Admitted> {
    let first_seen_ms = super::pool::now_ms();
    let tip = store.tip();
    let mut admitted = Vec::with_capacity(work.len());
    for (verified, wait, reply) in verify(work, store) {
        let checked = verified.and_then(|transaction| match tip.check(store, &transaction) {
            Ok(()) => Ok(Some(transaction)),
            // On the ledger already: what the submitter wants is done.
            Err(Rejection::Refused(Refusal::Repeated { .. })) => Ok(None),
            Err(Rejection::Refused(refusal)) => Err(SubmissionRefusal::Refused(refusal)),
            Err(Rejection::View(error)) => Err(SubmissionRefusal::Internal(error.to_string())),
        });
        match checked {
            Ok(Some(transaction)) => admitted.push(Admitted { transaction, wait, reply, first_seen_ms }),
            Ok(None) => answer(reply, Ok(Taken::Final)),
            Err(refusal) => {
                super::pool::count_refusal(&refusal);
                answer(reply, Err(refusal));
            }
        }
    }
    admitted
}

type Verified = (Result<VerifiedTransaction, SubmissionRefusal>, WaitFor, Reply);

/// Signatures in one batch; each by itself only if one of them is bad.
fn verify(work: Vec<Submission>, store: &Store) -> Vec<Verified> {
    let tip = store.tip();
    let genesis = tip.genesis_file();
    let copies = work.iter().map(|s| (s.transaction.clone(), s.body.clone())).collect();
    if let Ok(all) = verify_all(copies, genesis) {
        let answers = work.into_iter().map(|s| (s.wait, s.reply));
        return all.into_iter().zip(answers).map(|(t, (wait, reply))| (Ok(t), wait, reply)).collect();
    }
    let each = work.into_par_iter().map(|submission| {
        let Submission { transaction, body, wait, reply } = submission;
        (transaction.verify(body, genesis).map_err(SubmissionRefusal::from), wait, reply)
    });
    each.collect()
}

/// Answers; a submitter who has left needs none.
pub(super) fn answer(reply: Reply, result: Result<Taken, SubmissionRefusal>) {
    let _ = reply.send(result);
}
