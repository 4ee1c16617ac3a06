//! The way of submitted transactions to whoever checks them: one queue for everybody, and a small one for members when
//! that is full, so that a flood of strangers does not shut them out. Nothing is checked yet: who only claims to be a
//! member takes a place from members, and none of the ledger's.

use super::Submission;
use tokio::sync::mpsc;

/// Hands transactions in.
#[derive(Debug, Clone)]
pub struct Submissions {
    everybody: mpsc::Sender<Submission>,
    members: mpsc::Sender<Submission>,
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
    (Submissions { everybody, members }, SubmissionQueue { everybody: of_everybody, members: of_members })
}

/// There is no room.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Full;

impl Submissions {
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
    use sealpost_api::WaitFor;
    use sealpost_ledger::hash::TransactionId;
    use sealpost_ledger::height::BlockHeight;
    use tokio::sync::oneshot;

    fn submission(seed: u8) -> Submission {
        let bundle = key_bundle(&genesis(&[key(1)]), &key(seed), 1, BlockHeight::new(9));
        let (transaction, wait) = (bundle.signed().clone(), WaitFor::Accepted);
        Submission { transaction, body: None, wait, reply: oneshot::channel().0 }
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
        hand_in(15, false).unwrap();
        assert_eq!(submitted.recv().await.unwrap().transaction.id(), id(15));
        drop(submissions);
        assert!(submitted.recv().await.is_none());
    }
}
