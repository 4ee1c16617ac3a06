//! What a follower makes of what it hears: whom to ask for what, what an answer is worth, who lied. Pure: it is told
//! what happens and when, and says what to do. [`follow`](super::follow) does it.

use super::apply::Applied;
use super::finality::Finality;
use super::planner::{Answer, Planner, Question, Run};
use crate::wire::{Announcement, Fault, MAX_CHANGES, Peer, Proof, Response, Verdict};
use sealpost_ledger::chain::Tip;
use sealpost_ledger::height::BlockHeight;
use std::time::{Duration, Instant};

/// Peers asked how far they are in one round.
const POLLED: usize = 4;
/// Pause between two rounds of asking for proofs.
const PROVE: Duration = Duration::from_secs(5);

/// The pursuit of the chain's end.
#[derive(Debug)]
pub struct Pursuit {
    tip: Tip,
    planner: Planner,
    /// What is certainly final.
    finality: Finality,
    /// When proofs may be asked for again; at once if there is no time.
    prove_at: Option<Instant>,
    /// Whose turn it is to be asked how far it is, and for a proof.
    turn: usize,
    turn_to_prove: usize,
}

impl Pursuit {
    /// Begins at the end of the chain here.
    pub fn new(tip: Tip) -> Self {
        let finality = Finality::new(&tip);
        Self { planner: Planner::new(tip.height()), finality, tip, prove_at: None, turn: 0, turn_to_prove: 0 }
    }
    /// The last block here.
    pub fn height(&self) -> BlockHeight {
        self.tip.height()
    }
    /// As [`Progress::target`](super::Progress::target).
    pub fn target(&self) -> BlockHeight {
        self.planner.target()
    }
    /// As [`Progress::agreed`](super::Progress::agreed).
    pub fn agreed(&self) -> BlockHeight {
        self.planner.agreed()
    }
    /// As [`Progress::proven`](super::Progress::proven).
    pub const fn proven(&self) -> BlockHeight {
        self.finality.proven()
    }
    /// Whether any peer has said how far it is.
    pub fn has_heard(&self) -> bool {
        self.planner.has_peers()
    }
    /// The last change of validators that is known here: proofs begin after it.
    pub fn last_change(&self) -> BlockHeight {
        self.finality.last_change()
    }

    /// Somebody appended blocks; this is the chain's end here now.
    pub fn moved(&mut self, tip: Tip) {
        self.tip = tip;
        self.finality.moved(&self.tip);
        self.planner.moved(self.tip.height());
    }
    /// Nothing is to be fetched any more.
    pub fn stop(&mut self) {
        self.planner.stop();
    }
    /// Up to this height blocks may come without their bodies.
    pub fn allow_bodiless(&mut self, height: BlockHeight) {
        self.planner.allow_bodiless(height);
    }
    /// A peer says how far it is, and from where on it has whole blocks.
    pub fn claimed(&mut self, peer: Peer, height: BlockHeight, oldest: BlockHeight) {
        self.planner.claim(peer, height, oldest);
    }
    /// A peer has left.
    pub fn gone(&mut self, peer: &Peer) {
        self.planner.gone(peer);
    }
    /// A peer tells of a final block. Says what is to become of the news.
    pub fn announced(&mut self, peer: Peer, announcement: &Announcement) -> Verdict {
        let said = self.finality.judge(announcement);
        let height = announcement.header.height;
        if said == Verdict::Forward || (said == Verdict::Drop && height <= self.finality.proven()) {
            self.planner.tell(peer, height);
        }
        said
    }

    /// What to ask for now. Each is answered by [`answered`](Self::answered), whatever becomes of it.
    pub fn questions(&mut self, now: Instant) -> Vec<Question> {
        self.planner.questions(now)
    }
    /// The next blocks to verify, if they are here. [`applied`](Self::applied) says how it went.
    pub fn next_runs(&mut self) -> Vec<Run> {
        self.planner.next_runs()
    }
    /// When [`questions`](Self::questions) may say something new although nothing has happened.
    pub fn wakes_at(&self, now: Instant) -> Option<Instant> {
        self.planner.wakes_at(now)
    }
    /// A peer has answered a question, or not. Says what it did wrong, if anything.
    pub fn answered(
        &mut self,
        question: &Question,
        response: Option<Response>,
        now: Instant,
    ) -> Option<Fault> {
        let (answer, fault) = match response {
            Some(Response::Blocks(blocks)) => (Answer::Blocks(blocks), None),
            Some(Response::Busy) | None => (Answer::NotNow, None),
            Some(_) => (Answer::NotNow, Some(Fault::Malformed)),
        };
        self.planner.answered(question, answer, now).or(fault)
    }
    /// Blocks were verified and appended as far as they held. `peers` brought them: each, and the number of the blocks
    /// up to its last one. Returns who is to blame if one did not hold.
    pub fn applied(&mut self, peers: &[(usize, Peer)], applied: &Applied) -> Option<Peer> {
        let bad = applied.refused.as_ref().and_then(|refused| {
            let brought = peers.iter().find(|(end, _)| refused.position < *end);
            brought.map(|(_, peer)| peer.clone())
        });
        if let Some(last) = applied.committed.last() {
            self.tip = last.tip().clone();
            self.finality.moved(&self.tip);
        }
        self.planner.verified(self.tip.height(), bad.as_ref());
        bad
    }

    /// Whom to ask how far they are: all peers in turn, since a claim that is never asked for again grows stale.
    pub fn to_poll(&mut self) -> Vec<Peer> {
        some(self.planner.peers().cloned().collect(), &mut self.turn)
    }
    /// A peer has said how far it is, or something else. Says what it did wrong, if anything.
    pub fn polled(&mut self, peer: &Peer, response: Option<Response>) -> Option<Fault> {
        match response {
            // It may have left before its answer was heard.
            Some(Response::Status { height, oldest }) => self.planner.claim_if_known(peer, height, oldest),
            Some(Response::Busy) | None => {}
            Some(_) => return Some(Fault::Malformed),
        }
        None
    }
    /// Whom to ask how far the chain is certainly final: somebody only if old blocks are to be had only without their
    /// bodies.
    pub fn to_prove(&mut self, now: Instant) -> Vec<Peer> {
        if self.prove_at.is_some_and(|at| now < at) || !self.planner.lacks_bodies() {
            return Vec::new();
        }
        self.prove_at = now.checked_add(PROVE);
        let claiming = self.planner.claiming_above(self.finality.proven()).cloned().collect();
        some(claiming, &mut self.turn_to_prove)
    }
    /// A peer has answered that. Says what it did wrong, if anything.
    pub fn proved(&mut self, response: Option<Response>) -> Option<Fault> {
        let Proof { changes, head } = match response {
            Some(Response::Proof(proof)) if proof.changes.len() <= MAX_CHANGES => *proof,
            Some(Response::Busy) | None => return None,
            Some(_) => return Some(Fault::Malformed),
        };
        let (many, before) = (changes.len() == MAX_CHANGES, self.finality.last_change());
        let hold = changes.into_iter().all(|change| self.finality.extend(change));
        // With that many changes there may be more: they are asked for at once, if these were any news.
        if many && self.finality.last_change() > before {
            self.prove_at = None;
        }
        (!hold || self.finality.judge(&head) == Verdict::Refuse).then_some(Fault::FalseBlock)
    }
}

/// A few of all, those whose turn it is.
fn some(all: Vec<Peer>, turn: &mut usize) -> Vec<Peer> {
    let few = all.iter().cycle().skip(*turn).take(POLLED.min(all.len())).cloned().collect();
    *turn = turn.saturating_add(POLLED).checked_rem(all.len()).unwrap_or(0);
    few
}

#[cfg(test)]
mod tests;
