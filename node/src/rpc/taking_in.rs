//! Transactions that clients bring. What is on the ledger already is found before anything else is done with it: of a
//! flood that is sent over and over it is most. The rest is handed in, all of a call together.

use super::methods::{Methods, stopping};
use super::submissions::Submissions;
use super::transaction::Places;
use super::{Failure, PoolAnswer, Reader, Submission, SubmissionRefusal, Taken};
use sealpost_api::{ApiError, Category, Hex, NewTransaction, Place, Submitted, TransactionStatus, WaitFor};
use sealpost_ledger::address::Address;
use sealpost_ledger::hash::TransactionId;
use sealpost_ledger::message::Body;
use sealpost_ledger::transaction::SignedTransaction;
use std::time::Duration;
use tokio::sync::oneshot;
use tokio::time::Instant;

/// How long a submission that waits for its block is waited for, before the answer is "accepted".
const PATIENCE: Duration = Duration::from_secs(30);

/// What a client has brought.
enum Brought {
    /// It is on the ledger.
    Final(TransactionId, Place),
    /// It is not, as far as the blocks go that there were.
    New(SignedTransaction, Option<Body>),
}

/// What becomes of it.
enum Outlook {
    Known(Outcome),
    Awaited(oneshot::Receiver<Result<Taken, SubmissionRefusal>>),
}

/// What has become of it.
enum Outcome {
    Accepted,
    /// It has become final since it was handed in.
    Final(Place),
    /// It was before that; where, if that was looked up.
    Before(Option<Place>),
}

impl Outlook {
    /// Waits, but only until then.
    async fn come_true(self, until: Instant) -> Result<Outcome, ApiError> {
        let answer = match self {
            Self::Known(outcome) => return Ok(outcome),
            Self::Awaited(answer) => answer,
        };
        match tokio::time::timeout_at(until, answer).await {
            Ok(Ok(taken)) => Ok(match taken? {
                Taken::Accepted => Outcome::Accepted,
                Taken::Final(place) => Outcome::Final(place),
                Taken::Before => Outcome::Before(None),
            }),
            Ok(Err(_)) => Err(stopping()),
            // It was verified long ago: only the block is missing.
            Err(_) => Ok(Outcome::Accepted),
        }
    }
}

impl Reader {
    /// Tells what is on the ledger from what is not; only the latter is read, as far as there is room for it.
    fn sort_out(
        &self,
        transactions: Vec<NewTransaction>,
        submissions: &Submissions,
    ) -> Result<Vec<Result<Brought, ApiError>>, Failure> {
        let mut places = Places::of(self);
        let mut sort_out = |new: NewTransaction| {
            if let Some(id) = SignedTransaction::id_in(new.transaction.as_bytes()) {
                if let Some(place) = places.find(&id)? {
                    return Ok(Ok(Brought::Final(id, place)));
                }
                let bytes = new.transaction.as_bytes().len();
                let bytes = bytes.saturating_add(new.body.as_ref().map_or(0, |body| body.as_bytes().len()));
                if let Some(refusal) = submissions.refuses_stranger(&id, bytes)
                    && !self.is_members(&new)
                {
                    return Ok(Err(refused(refusal)));
                }
            }
            Ok(read(new))
        };
        transactions.into_iter().map(&mut sort_out).collect()
    }
    /// Whether a member is said to have signed it.
    fn is_members(&self, new: &NewTransaction) -> bool {
        SignedTransaction::sender_in(new.transaction.as_bytes()).is_some_and(|sender| self.is_member(&sender))
    }
    fn is_member(&self, sender: &Address) -> bool {
        self.store.is_member(sender).unwrap_or_else(|error| {
            tracing::error!(%error, "the store does not say who is a member");
            false
        })
    }
}

/// What is refused here is counted like what is refused by those who check.
fn refused(refusal: SubmissionRefusal) -> ApiError {
    let error = ApiError::from(refusal);
    metrics::counter!("sealpost_rejected_total", "code" => error.code.clone()).increment(1);
    error
}

fn read(new: NewTransaction) -> Result<Brought, ApiError> {
    let NewTransaction { transaction, body } = new;
    let transaction = SignedTransaction::from_bytes(transaction.as_bytes()).map_err(|error| {
        ApiError::new(Category::Input, "input.malformed", format_args!("transaction: {error}"))
    })?;
    Ok(Brought::New(transaction, body.map(|Hex(bytes)| Body::new(bytes))))
}

impl Methods {
    /// Takes transactions in, all of a call together: what is checked together is also told to other nodes together.
    /// Then waits as long as it is to be waited for. There is an answer for each, in their order.
    pub(super) async fn take_in(
        &self,
        transactions: Vec<NewTransaction>,
        wait: WaitFor,
    ) -> Vec<Result<Submitted, ApiError>> {
        let count = transactions.len();
        let submissions = self.wiring.submissions.clone();
        let sort_out = move |reader: &Reader| reader.sort_out(transactions, &submissions);
        let brought = match self.reading.look_up(sort_out).await {
            Ok(brought) => brought,
            Err(error) => return vec![Err(error); count],
        };
        // All are handed in before the first answer is awaited: that wakes those who check what there is.
        let outlooks: Vec<_> = brought.into_iter().map(|brought| self.begin(brought?, wait)).collect();
        let until = Instant::now() + PATIENCE;
        let mut outcomes = Vec::with_capacity(count);
        for outlook in outlooks {
            outcomes.push(match outlook {
                Ok((id, outlook)) => outlook.come_true(until).await.map(|outcome| (id, outcome)),
                Err(error) => Err(error),
            });
        }
        self.tell(outcomes).await
    }
    fn begin(&self, brought: Brought, wait: WaitFor) -> Result<(TransactionId, Outlook), ApiError> {
        let (transaction, body) = match brought {
            Brought::Final(id, place) => return Ok((id, Outlook::Known(Outcome::Before(Some(place))))),
            Brought::New(transaction, body) => (transaction, body),
        };
        let (reply, answer) = oneshot::channel();
        let id = transaction.id();
        let submission = Submission { transaction, body, wait, reply };
        let is_member =
            |submission: &Submission| self.reading.reader.is_member(&submission.transaction.sender());
        let handed_in = self.wiring.submissions.hand_in(submission, is_member);
        handed_in.map_err(|full| refused(full.into()))?;
        Ok((id, Outlook::Awaited(answer)))
    }
    /// What is said of those that were final before: the pool may know when they came.
    async fn found(
        &self,
        before: Vec<(TransactionId, Option<Place>)>,
    ) -> Result<Vec<TransactionStatus>, ApiError> {
        if before.is_empty() {
            return Ok(Vec::new());
        }
        let (ids, places): (Vec<_>, Vec<_>) = before.into_iter().unzip();
        // One that became final between two looks has not been found yet.
        let Some(places) = places.into_iter().collect::<Option<Vec<_>>>() else {
            return self.statuses(ids).await;
        };
        let pool = self.pool(ids).await?;
        let status = |(place, pool): (Place, PoolAnswer)| {
            TransactionStatus::Final(Place { first_seen_ms: pool.first_seen_ms, ..place })
        };
        Ok(places.into_iter().zip(pool).map(status).collect())
    }
    /// Puts what has become of them into words.
    async fn tell(
        &self,
        outcomes: Vec<Result<(TransactionId, Outcome), ApiError>>,
    ) -> Vec<Result<Submitted, ApiError>> {
        let before = outcomes.iter().filter_map(|outcome| match outcome {
            Ok((id, Outcome::Before(place))) => Some((*id, place.clone())),
            _ => None,
        });
        let mut found = self.found(before.collect()).await.map(Vec::into_iter);
        let tell = |outcome| {
            let (id, outcome) = outcome?;
            let status = match outcome {
                Outcome::Accepted => TransactionStatus::Accepted,
                Outcome::Final(place) => TransactionStatus::Final(place),
                // There is one for each.
                Outcome::Before(_) => {
                    found.as_mut().map_err(|error| error.clone())?.next().ok_or_else(stopping)?
                }
            };
            Ok(Submitted { id, status })
        };
        outcomes.into_iter().map(tell).collect()
    }
}
