//! Transactions that clients bring. What is on the ledger already is found before anything else is done with it: of a
//! flood that is sent over and over it is most. The rest is handed in, all of a call together.

use super::methods::{Methods, stopping};
use super::submissions::Submissions;
use super::transaction::Spot;
use super::{Failure, Reader, Submission, SubmissionRefusal, Taken};
use sealpost_api::{ApiError, Category, Hex, NewTransaction, Place, Submitted, TransactionStatus, WaitFor};
use sealpost_ledger::address::Address;
use sealpost_ledger::hash::TransactionId;
use sealpost_ledger::message::Body;
use sealpost_ledger::transaction::SignedTransaction;
use std::time::Duration;
use tokio::sync::oneshot;
use tokio::time::Instant;

/// How long a submission is waited for. Then the answer is what is known of it.
const PATIENCE: Duration = Duration::from_secs(30);

/// What a client has brought.
enum Brought {
    /// It is on the ledger.
    Final(TransactionId, Spot),
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
    Before(Option<Spot>),
    /// Nothing was heard of it in time.
    Unheard,
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
            // It may wait for its block, or for those who check it.
            Err(_) => Ok(Outcome::Unheard),
        }
    }
}

impl Reader {
    /// Tells what is on the ledger from what is not; only the latter is read, as far as there is room for it. The index
    /// alone is asked: the journal is closed to readers while a block is written.
    fn sort_out(&self, new: NewTransaction, submissions: &Submissions) -> Result<Brought, ApiError> {
        let Some(id) = SignedTransaction::id_in(new.transaction.as_bytes()) else { return read(new) };
        let bytes = new.transaction.as_bytes().len();
        let bytes = bytes.saturating_add(new.body.as_ref().map_or(0, |body| body.as_bytes().len()));
        // Asked first: what leaves the mempool for a block is on the ledger already.
        let refusal = submissions.refuses_stranger(&id, bytes);
        if let Some(spot) = self.store.place(&id).map_err(Failure::from)? {
            return Ok(Brought::Final(id, spot));
        }
        match refusal {
            Some(refusal) if !self.is_members(&new) => Err(refusal.counted()),
            _ => read(new),
        }
    }
    /// Whether a member is said to have signed it.
    fn is_members(&self, new: &NewTransaction) -> bool {
        SignedTransaction::sender_in(new.transaction.as_bytes()).is_some_and(|sender| self.is_member(&sender))
    }
    /// Nobody is kept out for want of an answer.
    fn is_member(&self, sender: &Address) -> bool {
        self.store.is_member(sender).unwrap_or_else(|error| {
            tracing::error!(%error, "the store does not say who is a member");
            true
        })
    }
}

fn read(new: NewTransaction) -> Result<Brought, ApiError> {
    let NewTransaction { transaction, body } = new;
    let transaction = SignedTransaction::from_bytes(transaction.as_bytes()).map_err(|error| {
        ApiError::new(Category::Input, "input.malformed", format_args!("transaction: {error}"))
    })?;
    Ok(Brought::New(transaction, body.map(|Hex(bytes)| Body::new(bytes))))
}

/// Of what waited for those who check it until its client's patience was over.
fn unchecked() -> SubmissionRefusal {
    let seconds = PATIENCE.as_secs();
    let message = format!("this node did not come to check the transaction within {seconds} s");
    SubmissionRefusal::Busy { code: "node.busy", message }
}

impl Methods {
    /// Takes transactions in, all of a call together: what is checked together is also told to other nodes together.
    /// Then waits as long as it is to be waited for. There is an answer for each, in their order.
    pub(super) async fn take_in(
        &self,
        transactions: Vec<NewTransaction>,
        wait: WaitFor,
    ) -> Vec<Result<Submitted, ApiError>> {
        self.take_in_within(transactions, wait, PATIENCE).await
    }
    async fn take_in_within(
        &self,
        transactions: Vec<NewTransaction>,
        wait: WaitFor,
        patience: Duration,
    ) -> Vec<Result<Submitted, ApiError>> {
        let count = transactions.len();
        let submissions = self.wiring.submissions.clone();
        let sort_out = move |reader: &Reader| {
            let each = transactions.into_iter().map(|new| reader.sort_out(new, &submissions));
            Ok(each.collect::<Vec<_>>())
        };
        let brought = match self.reading.look_up(sort_out).await {
            Ok(brought) => brought,
            Err(error) => return vec![Err(error); count],
        };
        // All are handed in before the first answer is awaited: that wakes those who check what there is.
        let outlooks: Vec<_> = brought.into_iter().map(|brought| self.begin(brought?, wait)).collect();
        let until = Instant::now() + patience;
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
            Brought::Final(id, spot) => return Ok((id, Outlook::Known(Outcome::Before(Some(spot))))),
            Brought::New(transaction, body) => (transaction, body),
        };
        let (reply, answer) = oneshot::channel();
        let id = transaction.id();
        let submission = Submission { transaction, body, wait, reply };
        let is_member =
            |submission: &Submission| self.reading.reader.is_member(&submission.transaction.sender());
        let handed_in = self.wiring.submissions.hand_in(submission, is_member);
        handed_in.map_err(|full| SubmissionRefusal::from(full).counted())?;
        Ok((id, Outlook::Awaited(answer)))
    }
    /// Puts what has become of them into words.
    async fn tell(
        &self,
        outcomes: Vec<Result<(TransactionId, Outcome), ApiError>>,
    ) -> Vec<Result<Submitted, ApiError>> {
        let asked = outcomes.iter().filter_map(|outcome| match outcome {
            Ok((id, Outcome::Before(spot))) => Some((*id, *spot)),
            Ok((id, Outcome::Unheard)) => Some((*id, None)),
            _ => None,
        });
        let asked: Vec<_> = asked.collect();
        let found = match asked.is_empty() {
            true => Ok(Vec::new()),
            false => self.statuses(asked).await,
        };
        let mut found = found.map(Vec::into_iter);
        // There is one for each that was asked for.
        let mut next = || found.as_mut().map_err(|error| error.clone())?.next().ok_or_else(stopping);
        let tell = |outcome| {
            let (id, outcome) = outcome?;
            let status = match outcome {
                Outcome::Accepted => TransactionStatus::Accepted,
                Outcome::Final(place) => TransactionStatus::Final(place),
                Outcome::Before(_) => next()?,
                Outcome::Unheard => match next()? {
                    TransactionStatus::Unknown => return Err(unchecked().counted()),
                    known => known,
                },
            };
            Ok(Submitted { id, status })
        };
        outcomes.into_iter().map(tell).collect()
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::panic)]
mod tests {
    use super::super::reading::Reading;
    use super::super::submissions::submissions;
    use super::super::testing::wiring_with;
    use super::*;
    use crate::consensus::testing::{key, key_bundle};
    use crate::store::testing::Chain;
    use crate::store::{Store, StoreOptions};
    use sealpost_ledger::height::BlockHeight;

    /// Whether there is room or not, and before anybody asks who signed it.
    #[test]
    fn what_is_final_is_told_and_what_is_not_is_read_if_there_is_room() {
        let (dir, chain) = (tempfile::tempdir().unwrap(), Chain::new("taking-in"));
        let (store, _) = Store::open(dir.path(), chain.genesis.clone(), StoreOptions::default()).unwrap();
        chain.grow(&store, 2);
        let block = store.block(BlockHeight::new(2)).unwrap().unwrap();
        let known = block.transactions().first().unwrap();
        let reader = Reader { store, genesis: chain.genesis.clone() };
        let new = key_bundle(&chain.genesis, &key(77), 1, BlockHeight::new(100)).signed().clone();
        let (open, _open) = submissions(1, 1);
        let (full, _full) = submissions(1, 1);
        let full = full.knowing_room(|_, _| Some(SubmissionRefusal::TimedOut));
        for (submissions, room) in [(open, true), (full, false)] {
            let sort_out =
                |transaction| reader.sort_out(NewTransaction::new(transaction, None), &submissions);
            match sort_out(known) {
                Ok(Brought::Final(id, spot)) => {
                    assert_eq!((id, spot), (known.id(), (BlockHeight::new(2), 0)));
                }
                _ => panic!("it is final"),
            }
            match sort_out(&new) {
                Ok(Brought::New(read, None)) => assert!(room && read == new),
                Err(refused) => assert!(!room && refused.code == "tx.expired"),
                _ => panic!("it is not final"),
            }
        }
    }

    /// In a node that does not come to check them: one waited before, one not, and one has become final meanwhile.
    #[tokio::test]
    async fn what_nobody_has_checked_is_not_called_accepted() {
        let (dir, chain) = (tempfile::tempdir().unwrap(), Chain::new("unheard"));
        let (store, _) = Store::open(dir.path(), chain.genesis.clone(), StoreOptions::default()).unwrap();
        let new = |seed| key_bundle(&chain.genesis, &key(seed), 1, BlockHeight::new(100)).signed().clone();
        let [waits, unheard] = [77, 78].map(new);
        let (wiring, mut queue) = wiring_with(BlockHeight::GENESIS, &[waits.id()]);
        let reader = Reader { store: store.clone(), genesis: chain.genesis.clone() };
        let methods =
            Methods { reading: Reading::new(reader, 1), wiring, started: std::time::Instant::now() };
        let brought = [&waits, &unheard].map(|one| NewTransaction::new(one, None));
        let answers = methods.take_in_within(brought.to_vec(), WaitFor::Accepted, Duration::ZERO).await;
        let [Ok(waits), Err(unheard)] = answers.as_slice() else { panic!("{answers:?}") };
        assert_eq!(waits.status, TransactionStatus::Accepted);
        assert_eq!((unheard.code.as_str(), unheard.category), ("node.busy", Category::Busy));
        // Nobody has looked at them.
        assert!(queue.try_recv().is_some() && queue.try_recv().is_some());

        chain.grow(&store, 1);
        let block = store.block(BlockHeight::new(1)).unwrap().unwrap();
        let is_final = block.transactions().first().unwrap().id();
        let answers = methods.tell(vec![Ok((is_final, Outcome::Unheard))]).await;
        let [Ok(submitted)] = answers.as_slice() else { panic!("{answers:?}") };
        assert!(matches!(submitted.status, TransactionStatus::Final(_)), "{:?}", submitted.status);
    }
}
