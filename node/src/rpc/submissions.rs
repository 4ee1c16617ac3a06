//! The way of submitted transactions to whoever checks them: one queue for everybody, and a small one for members when
//! that is full, so that a flood of strangers does not shut them out. Nothing is checked yet: who only claims to be a
//! member takes a place from members, and none of the ledger's. Before anything is read it can be asked whether there is
//! room for a stranger's.

use super::{Submission, SubmissionRefusal};
use sealpost_ledger::hash::TransactionId;
use std::fmt;
use std::sync::Arc;
use tokio::sync::mpsc;

/// Hands transactions in.
#[derive(Debug, Clone)]
pub struct Submissions {
    everybody: mpsc::Sender<Submission>,
    members: mpsc::Sender<Submission>,
    beyond: Beyond,
}

/// Tells what becomes of strangers' transactions behind the queue, by their names and bytes.
#[derive(Clone)]
struct Beyond(Arc<Refuses>);

type Refuses = dyn Fn(&TransactionId, usize) -> Option<SubmissionRefusal> + Send + Sync;

impl fmt::Debug for Beyond {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Beyond")
    }
}

/// Takes what was handed in, the members' first.
#[derive(Debug)]
pub struct SubmissionQueue {
    everybody: mpsc::Receiver<Submission>,
    members: mpsc::Receiver<Submission>,
}

/// Queues with room for so many of everybody, and so many more of members.
pub fn submissions(everybody: usize, members: usize) -> (Submissions, SubmissionQueue) {
    let (everybody, of_everybody) = mpsc::channel(everybody);
    let (members, of_members) = mpsc::channel(members);
    let beyond = Beyond(Arc::new(|_, _| None));
    (
        Submissions { everybody, members, beyond },
        SubmissionQueue { everybody: of_everybody, members: of_members },
    )
}

/// There is no room.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Full;

impl From<Full> for SubmissionRefusal {
    fn from(Full: Full) -> Self {
        let message = "more transactions are being submitted than this node can check".to_owned();
        Self::Busy { code: "node.busy", message }
    }
}

impl Submissions {
    /// With somebody who knows why a stranger's transaction of so many bytes, body included, would be refused when its
    /// turn came.
    pub fn knowing_room(
        self,
        refuses: impl Fn(&TransactionId, usize) -> Option<SubmissionRefusal> + Send + Sync + 'static,
    ) -> Self {
        Self { beyond: Beyond(Arc::new(refuses)), ..self }
    }
    /// Why it is not worth reading a stranger's transaction of so many bytes, body included, if there is no room for it.
    pub fn refuses_stranger(&self, id: &TransactionId, bytes: usize) -> Option<SubmissionRefusal> {
        match self.everybody.capacity() {
            0 => Some(Full.into()),
            _ => (self.beyond.0)(id, bytes),
        }
    }
    /// Hands one in. Whether its sender says to be a member is asked only if there is no room for everybody.
    pub fn hand_in(
        &self,
        submission: Submission,
        is_member: impl FnOnce(&Submission) -> bool,
    ) -> Result<(), Full> {
        let Err(refused) = self.everybody.try_send(submission) else { return Ok(()) };
        let submission = refused.into_inner();
        if !is_member(&submission) {
            return Err(Full);
        }
        self.members.try_send(submission).map_err(|_| Full)
    }
}

impl SubmissionQueue {
    /// The next one; nothing when nobody can hand in any more.
    pub async fn recv(&mut self) -> Option<Submission> {
        tokio::select! {
            biased;
            Some(submission) = self.members.recv() => Some(submission),
            Some(submission) = self.everybody.recv() => Some(submission),
            else => None,
        }
    }
    /// The next one that is there.
    pub fn try_recv(&mut self) -> Option<Submission> {
        self.members.try_recv().or_else(|_| self.everybody.try_recv()).ok()
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::consensus::testing::{genesis, key, key_bundle};
    use sealpost_api::{ApiError, WaitFor};
    use sealpost_ledger::height::BlockHeight;
    use tokio::sync::oneshot;

    fn submission(seed: u8) -> Submission {
        let bundle = key_bundle(&genesis(&[key(1)]), &key(seed), 1, BlockHeight::new(9));
        let (transaction, wait) = (bundle.signed().clone(), WaitFor::Accepted);
        Submission { transaction, body: None, wait, reply: oneshot::channel().0 }
    }

    #[test]
    fn who_asks_hears_of_the_queue_first_and_then_of_what_is_behind_it() {
        let (id, refused) = (submission(10).transaction.id(), SubmissionRefusal::TimedOut);
        let (submissions, mut submitted) = submissions(1, 1);
        let submissions = submissions.knowing_room(move |_, bytes| (bytes > 9).then(|| refused.clone()));
        let code =
            |bytes| submissions.refuses_stranger(&id, bytes).map(|refusal| ApiError::from(refusal).code);
        assert_eq!(code(9), None);
        assert_eq!(code(10).as_deref(), Some("tx.expired"));
        submissions.hand_in(submission(10), |_| false).unwrap();
        assert_eq!(code(9).as_deref(), Some("node.busy"));
        submitted.try_recv().unwrap();
        assert_eq!(code(9), None);
    }

    #[tokio::test]
    async fn members_have_room_and_their_turn_when_strangers_have_none() {
        let (submissions, mut submitted) = submissions(2, 1);
        let hand_in = |seed, is_member| submissions.hand_in(submission(seed), |_| is_member);
        // Nobody is asked while there is room.
        for seed in [10, 11] {
            submissions.hand_in(submission(seed), |_| unreachable!()).unwrap();
        }
        assert_eq!(
            [(12, false), (13, true), (14, true)].map(|(s, m)| hand_in(s, m)),
            [Err(Full), Ok(()), Err(Full)]
        );
        let id = |seed| submission(seed).transaction.id();
        let next: Vec<TransactionId> =
            std::iter::from_fn(|| submitted.try_recv()).map(|s| s.transaction.id()).collect();
        assert_eq!(next, [13, 10, 11].map(id));
        assert!(submissions.refuses_stranger(&id(15), 9).is_none());
        hand_in(15, false).unwrap();
        assert_eq!(submitted.recv().await.unwrap().transaction.id(), id(15));
        drop(submissions);
        assert!(submitted.recv().await.is_none());
    }
}
