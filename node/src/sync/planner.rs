//! Decides which blocks to ask whom for. Pure: it is told what happens and when, and says what to ask.
//!
//! Blocks are fetched in ranges beyond the tip, several at once and from different peers, and given out in
//! order. Everything is bounded: ranges, blocks in a range, questions per peer. A peer that doesn't deliver
//! is asked later, one that lies about its height is not believed again. Peers that have dropped bodies are
//! asked for old blocks too, as far as those may come without.

use crate::pauses::doubled;
use crate::wire::{EncodedBlock, Fault, Peer};
use sealpost_ledger::height::BlockHeight;
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

/// Ranges that are planned at once, and answers that are under way or waiting to be verified.
const MAX_RANGES: usize = 8;
/// Answers that are verified at once.
const MAX_RUNS: usize = 4;
/// Blocks in a range.
const RANGE_BLOCKS: u64 = 64;
/// Questions that one peer has to answer at once.
const MAX_PER_PEER: usize = 2;
/// Peers that are asked for the same at once.
const MAX_ASKED: usize = 2;
/// What all the others wait for is asked of another peer if it has not come after this time.
const HURRY: Duration = Duration::from_secs(3);
/// Pause before a peer that had nothing is asked again; doubles each time.
const FIRST_PAUSE: Duration = Duration::from_millis(20);
/// The longest such pause.
const LONGEST_PAUSE: Duration = Duration::from_secs(2);

/// What is known of a peer.
#[derive(Debug)]
struct Known {
    /// What it claims to have.
    claimed: BlockHeight,
    /// A block that it told of and that was seen to be final. It may not have that block itself yet.
    told: BlockHeight,
    /// From where on it has whole blocks.
    oldest: BlockHeight,
    asked: usize,
    /// The number of the last question that it was asked.
    last: u64,
    misses: u32,
    rest_until: Option<Instant>,
}

impl Known {
    /// The highest block that it has or claims.
    fn height(&self) -> BlockHeight {
        self.claimed.max(self.told)
    }
    /// It is asked after others.
    fn miss(&mut self) {
        self.misses = self.misses.saturating_add(1).min(16);
    }
    /// It had nothing of use: it is asked later.
    fn rest(&mut self, now: Instant) {
        self.miss();
        self.rest_until = now.checked_add(doubled(FIRST_PAUSE, self.misses, LONGEST_PAUSE));
    }
}

#[derive(Debug)]
enum Range {
    Wanted { count: u64 },
    Asked { peers: Vec<Peer>, since: Instant, count: u64 },
    Ready { peer: Peer, blocks: Vec<EncodedBlock> },
}

impl Range {
    /// A peer is not waited for any more.
    fn give_up(&mut self, peer: &Peer) {
        let Range::Asked { peers, count, .. } = self else { return };
        peers.retain(|asked| asked != peer);
        if peers.is_empty() {
            *self = Range::Wanted { count: *count };
        }
    }
    fn count(&self) -> u64 {
        match self {
            Range::Wanted { count } | Range::Asked { count, .. } => *count,
            Range::Ready { blocks, .. } => blocks.len() as u64,
        }
    }
}

/// What became of a question.
#[derive(Debug)]
pub(super) enum Answer {
    /// These blocks; none at all from a peer that has none.
    Blocks(Vec<EncodedBlock>),
    /// Nothing this time: the peer was busy or did not answer, or was never asked. If that is a fault, whoever
    /// carries the questions notes it.
    NotNow,
}

/// A question to ask.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Question {
    /// Whom.
    pub peer: Peer,
    /// For blocks from this height on.
    pub from: BlockHeight,
    /// For so many.
    pub count: u32,
}

/// Blocks that a peer brought, to be verified next.
#[derive(Debug, PartialEq, Eq)]
pub struct Run {
    /// Who.
    pub peer: Peer,
    /// In order.
    pub blocks: Vec<EncodedBlock>,
}

/// The plan.
#[derive(Debug)]
pub(super) struct Planner {
    tip: BlockHeight,
    /// The run being verified ends here.
    verifying: BlockHeight,
    /// Blocks up to here may come without their bodies.
    bodiless: BlockHeight,
    peers: BTreeMap<Peer, Known>,
    /// Questions so far.
    questions: u64,
    /// By first height; without gaps from the first to the last.
    ranges: BTreeMap<BlockHeight, Range>,
}

impl Planner {
    pub(super) fn new(tip: BlockHeight) -> Self {
        let (peers, ranges) = Default::default();
        Self { tip, verifying: tip, bodiless: BlockHeight::GENESIS, peers, questions: 0, ranges }
    }
    /// The highest block that two peers have or claim, or the only one that there is: what one alone says
    /// makes nobody believe that the network is ahead.
    pub(super) fn agreed(&self) -> BlockHeight {
        let mut heights: Vec<_> = self.peers.values().map(Known::height).collect();
        heights.sort_unstable_by(|a, b| b.cmp(a));
        heights.get(1).or(heights.first()).copied().unwrap_or(self.tip).max(self.tip)
    }
    /// The highest block that anybody has or claims.
    pub(super) fn target(&self) -> BlockHeight {
        let heights = self.peers.values().map(Known::height);
        heights.max().unwrap_or(self.tip).max(self.tip)
    }
    /// Peers that may be asked how far they are.
    pub(super) fn peers(&self) -> impl Iterator<Item = &Peer> {
        self.peers.keys()
    }
    /// Whether any peer is known.
    pub(super) fn has_peers(&self) -> bool {
        !self.peers.is_empty()
    }
    /// A peer says how far it is.
    pub(super) fn claim(&mut self, peer: Peer, height: BlockHeight, oldest: BlockHeight) {
        let known = self.known(peer);
        (known.claimed, known.oldest) = (height, oldest);
    }
    /// A peer that may have left meanwhile says how far it is.
    pub(super) fn claim_if_known(&mut self, peer: &Peer, height: BlockHeight, oldest: BlockHeight) {
        if let Some(known) = self.peers.get_mut(peer) {
            (known.claimed, known.oldest) = (height, oldest);
        }
    }
    /// A peer told of a block that is final.
    pub(super) fn tell(&mut self, peer: Peer, height: BlockHeight) {
        let known = self.known(peer);
        known.told = known.told.max(height);
    }
    fn known(&mut self, peer: Peer) -> &mut Known {
        self.peers.entry(peer).or_insert(Known {
            claimed: BlockHeight::GENESIS,
            told: BlockHeight::GENESIS,
            oldest: BlockHeight::GENESIS,
            asked: 0,
            last: 0,
            misses: 0,
            rest_until: None,
        })
    }
    /// A peer has left; what it was asked is wanted again.
    pub(super) fn gone(&mut self, peer: &Peer) {
        self.peers.remove(peer);
        self.ranges.values_mut().for_each(|range| range.give_up(peer));
    }
    /// Somebody appended a block.
    pub(super) fn moved(&mut self, tip: BlockHeight) {
        self.tip = self.tip.max(tip);
        self.verifying = self.verifying.max(self.tip);
        // What begins below is of no use, even if it reaches beyond: the plan is made anew.
        let next = self.verifying.saturating_add(1);
        if self.ranges.first_key_value().is_some_and(|(first, _)| *first < next) {
            self.ranges.clear();
        }
    }
    /// Up to this height blocks may come without their bodies.
    pub(super) fn allow_bodiless(&mut self, height: BlockHeight) {
        self.bodiless = self.bodiless.max(height);
    }
    /// Whether the next block is to be had only without its bodies, and may not come so: it must be shown
    /// first that it is old enough.
    pub(super) fn lacks_bodies(&self) -> bool {
        let Some((from, Range::Wanted { count })) = self.ranges.first_key_value() else { return false };
        let having = || self.peers.values().filter(|known| known.height() >= *from);
        having().next().is_some() && !having().any(|known| self.gives(known, *from, *count))
    }
    /// Peers that claim to have more than up to a height.
    pub(super) fn claiming_above(&self, height: BlockHeight) -> impl Iterator<Item = &Peer> {
        self.peers.iter().filter(move |(_, known)| known.claimed > height).map(|(peer, _)| peer)
    }
    /// Whether a peer has a range whole, or without bodies only as far as that is allowed.
    fn gives(&self, known: &Known, from: BlockHeight, count: u64) -> bool {
        let last = from.saturating_add(count.saturating_sub(1));
        let pruned = known.oldest.saturating_sub(1).min(last);
        pruned < from || pruned <= self.bodiless
    }
    /// Drops the plan: nothing is to be fetched any more.
    pub(super) fn stop(&mut self) {
        self.ranges.clear();
        self.verifying = self.tip;
    }

    /// What to ask now.
    pub(super) fn questions(&mut self, now: Instant) -> Vec<Question> {
        self.extend();
        let wanted = self.ranges.iter().filter_map(|(from, range)| match range {
            Range::Wanted { count } => Some((*from, *count)),
            _ => None,
        });
        let wanted: Vec<_> = wanted.collect();
        let next = self.verifying.saturating_add(1);
        let mut held = self.ranges.len().saturating_sub(wanted.len());
        let mut questions = Vec::new();
        for (from, count) in wanted {
            // Short answers cut ranges up: without this, blocks of all planned heights would be held, and large
            // ones fill the memory. What all the others wait for is asked in any case.
            if held >= MAX_RANGES && from != next {
                break;
            }
            let Some(peer) = self.best(from, count, &[], now) else { continue };
            self.ranges.insert(from, Range::Asked { peers: vec![peer.clone()], since: now, count });
            held = held.saturating_add(1);
            questions.push(self.question(peer, from, count));
        }
        questions.extend(self.hurry(now));
        questions
    }
    /// What all the others wait for is asked of one more peer if it has not come for long: a slow one holds nobody up.
    fn hurry(&mut self, now: Instant) -> Option<Question> {
        let late = self.late_at().is_some_and(|at| at <= now);
        let (from, Range::Asked { peers, count, .. }) = self.ranges.first_key_value().filter(|_| late)?
        else {
            return None;
        };
        let (from, count, mut peers) = (*from, *count, peers.clone());
        let peer = self.best(from, count, &peers, now)?;
        for slow in &peers {
            // Its line may be slow: it is blamed for nothing.
            self.peers.entry(slow.clone()).and_modify(Known::miss);
        }
        peers.push(peer.clone());
        self.ranges.insert(from, Range::Asked { peers, since: now, count });
        Some(self.question(peer, from, count))
    }
    /// When one more peer may be asked for what all the others wait for.
    fn late_at(&self) -> Option<Instant> {
        match self.ranges.first_key_value()?.1 {
            Range::Asked { peers, since, .. } if peers.len() < MAX_ASKED => since.checked_add(HURRY),
            _ => None,
        }
    }
    fn question(&mut self, peer: Peer, from: BlockHeight, count: u64) -> Question {
        self.questions = self.questions.saturating_add(1);
        if let Some(known) = self.peers.get_mut(&peer) {
            (known.asked, known.last) = (known.asked.saturating_add(1), self.questions);
        }
        Question { peer, from, count: u32::try_from(count).unwrap_or(u32::MAX) }
    }
    /// Plans ranges as far as anybody has blocks.
    fn extend(&mut self) {
        let target = self.target();
        while self.ranges.len() < MAX_RANGES {
            let last = self.ranges.last_key_value();
            let next = last
                .map_or(self.verifying.saturating_add(1), |(from, range)| from.saturating_add(range.count()));
            if next > target {
                return;
            }
            let count = target.get().saturating_sub(next.get()).saturating_add(1).min(RANGE_BLOCKS);
            self.ranges.insert(next, Range::Wanted { count });
        }
    }
    /// The peer to ask for a block: one that has it, is not resting, and has the least to answer; of equals the one that
    /// was asked longest ago, so that a slow one does not hold up all others again and again.
    fn best(&self, from: BlockHeight, count: u64, but: &[Peer], now: Instant) -> Option<Peer> {
        let able = self.peers.iter().filter(|(peer, known)| {
            known.height() >= from
                && !but.contains(peer)
                && self.gives(known, from, count)
                && known.asked < MAX_PER_PEER
                && known.rest_until.is_none_or(|until| until <= now)
        });
        able.min_by_key(|(peer, known)| {
            (known.asked, known.misses, known.claimed < from, known.last, (*peer).clone())
        })
        .map(|(peer, _)| peer.clone())
    }
    /// When a peer that rests may be asked again, or one more for what is late, if that is what the plan waits for. A
    /// time that is over is nothing to wait for: such a peer has other questions open, and its answers wake the plan.
    pub(super) fn wakes_at(&self, now: Instant) -> Option<Instant> {
        let late = self.late_at();
        let waits = self.ranges.values().any(|range| matches!(range, Range::Wanted { .. }))
            || late.is_some_and(|at| at <= now);
        let rests = self.peers.values().filter_map(|known| known.rest_until).filter(|_| waits);
        rests.chain(late).filter(|at| *at > now).min()
    }

    /// A peer has answered with blocks, or not at all. Says what it did wrong, if anything.
    pub(super) fn answered(&mut self, question: &Question, answer: Answer, now: Instant) -> Option<Fault> {
        let Question { peer, from, count } = question;
        let known = self.peers.get_mut(peer)?;
        known.asked = known.asked.saturating_sub(1);
        let asked = u64::from(*count);
        // An old question may have begun where another range begins now.
        let is_ours = matches!(self.ranges.get(from),
            Some(Range::Asked { peers, count, .. }) if peers.contains(peer) && *count == asked);
        let (blocks, has_none) = match answer {
            Answer::Blocks(blocks) => (blocks, true),
            Answer::NotNow => (Vec::new(), false),
        };
        if blocks.is_empty() {
            known.rest(now);
            let lied = has_none && known.claimed >= *from;
            if lied {
                known.claimed = from.saturating_sub(1);
            }
            if is_ours {
                self.give_up(*from, peer);
                self.trim();
            }
            // Whoever only passed on that a block is final may not have it yet.
            return lied.then_some(Fault::NoAnswer);
        }
        let got = blocks.len() as u64;
        if got > asked || !follow_one_another(*from, &blocks) {
            known.rest(now);
            if is_ours {
                self.give_up(*from, peer);
            }
            return Some(Fault::Malformed);
        }
        if is_ours {
            (known.misses, known.rest_until) = (0, None);
            self.ranges.insert(*from, Range::Ready { peer: peer.clone(), blocks });
            if got < asked {
                let rest = Range::Wanted { count: asked.saturating_sub(got) };
                self.ranges.insert(from.saturating_add(got), rest);
            }
        }
        None
    }
    fn give_up(&mut self, from: BlockHeight, peer: &Peer) {
        if let Some(range) = self.ranges.get_mut(&from) {
            range.give_up(peer);
        }
    }
    /// Takes away wanted ranges that nobody claims to have any more.
    fn trim(&mut self) {
        let target = self.target();
        while let Some((from, Range::Wanted { .. })) = self.ranges.last_key_value() {
            let from = *from;
            if from <= target {
                return;
            }
            self.ranges.remove(&from);
        }
    }

    /// The next blocks to verify, if they are here: answers that follow one another, a few at once, so that checking
    /// the later ones goes on while the first are written.
    pub(super) fn next_runs(&mut self) -> Vec<Run> {
        let mut runs = Vec::new();
        while runs.len() < MAX_RUNS
            && let Some(next) = self.ranges.first_entry()
            && *next.key() == self.verifying.saturating_add(1)
            && matches!(next.get(), Range::Ready { .. })
            && let Range::Ready { peer, blocks } = next.remove()
        {
            self.verifying = self.verifying.saturating_add(blocks.len() as u64);
            runs.push(Run { peer, blocks });
        }
        runs
    }
    /// Runs were verified as far as `tip`, and appended. If a block did not hold, everything that came
    /// from its peer is fetched anew, from others if there are any.
    pub(super) fn verified(&mut self, tip: BlockHeight, bad: Option<&Peer>) {
        let whole = bad.is_none() && tip >= self.verifying;
        self.tip = self.tip.max(tip);
        self.verifying = self.tip;
        if !whole {
            self.ranges.clear();
        }
        if let Some(peer) = bad {
            // It is not asked again before it claims anew, and by then it may be banned.
            self.peers.remove(peer);
        }
    }
}

/// Whether blocks are, by what their certificates say, those from a height on. Whatever else they are, the plan puts them
/// there.
fn follow_one_another(from: BlockHeight, blocks: &[EncodedBlock]) -> bool {
    let heights = blocks.iter().map(|block| block.certificate.height);
    (0..).zip(heights).all(|(place, height)| height == from.saturating_add(place))
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::indexing_slicing)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use sealpost_ledger::certificate::CommitCertificate;
    use sealpost_ledger::hash::BlockHash;

    fn peer(name: u8) -> Peer {
        Peer::new(name)
    }
    fn height(n: u64) -> BlockHeight {
        BlockHeight::new(n)
    }
    /// Stand-ins that carry their height: the planner never looks inside.
    fn blocks(from: u64, count: u64) -> Vec<EncodedBlock> {
        let block = |n| EncodedBlock {
            block: Vec::new(),
            certificate: CommitCertificate {
                height: height(n),
                round: 0,
                block: BlockHash::from_bytes([0; 32]),
                signatures: Vec::new(),
            },
        };
        (from..from + count).map(block).collect()
    }
    /// All that was asked for comes.
    fn answer_all(planner: &mut Planner, questions: &[Question], now: Instant) {
        for question in questions {
            let answer = blocks(question.from.get(), question.count.into());
            assert_eq!(planner.answered(question, Answer::Blocks(answer), now), None);
        }
    }
    fn planner(peers: &[(u8, u64)]) -> Planner {
        let mut planner = Planner::new(height(0));
        for (name, claimed) in peers {
            planner.claim(peer(*name), height(*claimed), height(1));
        }
        planner
    }

    #[test]
    fn ranges_are_asked_from_several_peers_and_given_out_in_order() {
        let (mut planner, now) = (planner(&[(1, 200), (2, 200)]), Instant::now());
        let questions = planner.questions(now);
        assert_eq!(questions.iter().map(|q| q.from.get()).collect::<Vec<_>>(), [1, 65, 129, 193]);
        assert_eq!(questions.iter().filter(|q| q.peer == peer(1)).count(), 2);
        for question in questions.iter().rev() {
            assert!(planner.next_runs().is_empty());
            let answer = blocks(question.from.get(), question.count.into());
            assert_eq!(planner.answered(question, Answer::Blocks(answer), now), None);
        }
        let mut next = 1;
        for run in planner.next_runs() {
            assert_eq!(run.blocks.first().unwrap().certificate.height.get(), next);
            next += run.blocks.len() as u64;
        }
        assert_eq!(next, 201);
    }

    #[test]
    fn one_peer_is_asked_for_few_ranges_at_once() {
        let (mut planner, now) = (planner(&[(1, 1_000)]), Instant::now());
        assert_eq!(planner.questions(now).len(), MAX_PER_PEER);
        assert!(planner.questions(now).is_empty());
    }

    #[test]
    fn a_short_answer_is_taken_and_the_rest_asked_for_again() {
        let (mut planner, now) = (planner(&[(1, 10)]), Instant::now());
        let question = planner.questions(now).pop().unwrap();
        assert_eq!(planner.answered(&question, Answer::Blocks(blocks(1, 4)), now), None);
        assert_eq!(planner.next_runs()[0].blocks.len(), 4);
        let rest = planner.questions(now).pop().unwrap();
        assert_eq!((rest.from, rest.count), (height(5), 6));
    }

    #[test]
    fn short_answers_pile_up_no_higher_than_long_ones() {
        let peers: Vec<_> = (0..8).map(|name| (name, 1000)).collect();
        let (mut planner, now) = (planner(&peers), Instant::now());
        for question in planner.questions(now) {
            let first = question.from.get();
            assert_eq!(planner.answered(&question, Answer::Blocks(blocks(first, 1)), now), None);
        }
        assert!(planner.questions(now).is_empty(), "eight answers wait already");
        assert_eq!(planner.next_runs()[0].blocks.len(), 1);
        planner.verified(height(1), None);
        assert_eq!(planner.questions(now).iter().map(|q| q.from.get()).collect::<Vec<_>>(), [2]);
    }

    #[test]
    fn what_others_append_is_not_fetched_any_more() {
        let (mut planner, now) = (planner(&[(1, 100)]), Instant::now());
        let before = planner.questions(now);
        planner.moved(height(30));
        answer_all(&mut planner, &before, now);
        let asked = planner.questions(now).iter().map(|q| (q.from.get(), q.count)).collect::<Vec<_>>();
        assert_eq!(asked, [(31, 64), (95, 6)]);
    }

    #[test]
    fn what_was_not_appended_is_fetched_again() {
        let (mut planner, now) = (planner(&[(1, 300), (2, 300)]), Instant::now());
        let questions = planner.questions(now);
        answer_all(&mut planner, &questions, now);
        assert_eq!(planner.next_runs().iter().map(|run| run.blocks.len()).sum::<usize>(), 256);
        // Nobody is to blame, and 257 to 300 are planned already.
        planner.verified(height(70), None);
        let asked = planner.questions(now).iter().map(|q| q.from.get()).collect::<Vec<_>>();
        assert_eq!(asked, [71, 135, 199, 263]);
    }

    #[test]
    fn what_all_others_wait_for_is_asked_whatever_is_held() {
        let peers: Vec<_> = (0..8).map(|name| (name, 1000)).collect();
        let (mut planner, now) = (planner(&peers), Instant::now());
        let questions = planner.questions(now);
        let (first, others) = questions.split_first().unwrap();
        answer_all(&mut planner, others, now);
        planner.answered(first, Answer::Blocks(blocks(1, 1)), now);
        planner.next_runs();
        let rest = planner.questions(now).pop().unwrap();
        planner.gone(&rest.peer);
        assert_eq!(planner.questions(now).first().map(|q| q.from), Some(height(2)));
    }

    #[test]
    fn a_peer_that_claims_what_it_does_not_have_is_not_believed_again() {
        let (mut planner, now) = (planner(&[(1, u64::MAX)]), Instant::now());
        let questions = planner.questions(now);
        let faults: Vec<_> =
            questions.iter().filter_map(|q| planner.answered(q, Answer::Blocks(Vec::new()), now)).collect();
        assert_eq!(faults, [Fault::NoAnswer]);
        assert_eq!(planner.target(), height(0));
        assert_eq!(planner.wakes_at(now), None, "there is nothing to wait for");
        assert!(planner.questions(now + LONGEST_PAUSE).is_empty());
        // And nobody is asked for what only it had claimed.
        planner.claim(peer(2), height(70), height(1));
        let asked = planner.questions(now).iter().map(|q| (q.from.get(), q.count)).collect::<Vec<_>>();
        assert_eq!(asked, [(1, 64), (65, 6)]);
    }

    #[test]
    fn a_busy_peer_is_asked_again_later_and_believed_as_before() {
        let (mut planner, now) = (planner(&[(1, 50)]), Instant::now());
        let question = planner.questions(now).pop().unwrap();
        assert_eq!(planner.answered(&question, Answer::NotNow, now), None);
        assert_eq!(planner.target(), height(50));
        assert!(planner.questions(now).is_empty());
        let wakes = planner.wakes_at(now).unwrap();
        assert_eq!(planner.questions(wakes).len(), 1);
        // Asked again, and still resting by the clock of before: that is nothing to wake up for.
        assert_eq!(planner.wakes_at(wakes), Some(wakes + HURRY));
    }

    #[test]
    fn what_one_of_several_claims_alone_makes_nobody_believe_it() {
        assert_eq!(planner(&[(1, 900), (2, 70), (3, 60)]).agreed(), height(70));
        assert_eq!(planner(&[(1, 900)]).agreed(), height(900));
        assert_eq!(planner(&[]).agreed(), height(0));
    }

    #[test]
    fn who_only_passed_on_an_announcement_is_asked_again_after_a_pause_without_fault() {
        let (mut planner, now) = (Planner::new(height(4)), Instant::now());
        planner.tell(peer(1), height(5));
        let question = planner.questions(now).pop().unwrap();
        assert_eq!(planner.answered(&question, Answer::Blocks(Vec::new()), now), None);
        assert!(planner.questions(now).is_empty());
        let wakes = planner.wakes_at(now).unwrap();
        assert!(wakes > now);
        assert_eq!(planner.questions(wakes).len(), 1);
    }

    #[test]
    fn bad_blocks_are_fetched_anew_from_somebody_else() {
        let (mut planner, now) = (planner(&[(1, 64)]), Instant::now());
        let question = planner.questions(now).pop().unwrap();
        planner.answered(&question, Answer::Blocks(blocks(1, 64)), now);
        planner.claim(peer(2), height(64), height(1));
        let runs = planner.next_runs();
        planner.verified(height(10), Some(&runs[0].peer));
        let again = planner.questions(now).pop().unwrap();
        assert_eq!((again.peer, again.from), (peer(2), height(11)));
    }

    #[test]
    fn who_has_dropped_bodies_is_asked_only_for_what_it_keeps() {
        let (mut planner, now) = (Planner::new(height(0)), Instant::now());
        planner.claim(peer(1), height(100), height(50));
        assert!(planner.questions(now).iter().all(|q| q.from >= height(50)));
        assert!(planner.lacks_bodies());
        planner.claim(peer(2), height(100), height(1));
        assert!(!planner.lacks_bodies());
        assert!(planner.questions(now).iter().any(|q| q.peer == peer(2) && q.from == height(1)));
    }

    #[test]
    fn who_has_dropped_bodies_is_asked_for_what_may_come_without_them() {
        let (mut planner, now) = (Planner::new(height(0)), Instant::now());
        planner.claim(peer(1), height(200), height(150));
        planner.allow_bodiless(height(100));
        // 65 to 128 would reach beyond what may come without; 129 to 192 is not whole either.
        assert_eq!(planner.questions(now).iter().map(|q| q.from.get()).collect::<Vec<_>>(), [1, 193]);
        assert!(!planner.lacks_bodies());
        planner.allow_bodiless(height(149));
        planner.claim(peer(2), height(200), height(150));
        assert_eq!(planner.questions(now).iter().map(|q| q.from.get()).collect::<Vec<_>>(), [65, 129]);
    }

    /// First height of each question.
    fn begins(questions: &[Question]) -> Vec<u64> {
        questions.iter().map(|question| question.from.get()).collect()
    }

    #[test]
    fn what_a_peer_was_asked_that_left_is_asked_of_others_and_nothing_else() {
        let (mut planner, now) = (planner(&[(1, 200), (2, 200)]), Instant::now());
        let (gone, _): (Vec<_>, Vec<_>) = planner.questions(now).into_iter().partition(|q| q.peer == peer(1));
        planner.gone(&peer(1));
        planner.claim(peer(3), height(200), height(1));
        assert_eq!(begins(&planner.questions(now)), begins(&gone));
        // Whoever comes back late with its answer is not waited for any more.
        planner.claim(peer(1), height(200), height(1));
        let late = Answer::Blocks(blocks(gone[0].from.get(), 64));
        assert_eq!(planner.answered(&gone[0], late, now), None);
        assert_eq!(planner.next_runs(), []);
        assert_eq!(planner.answered(&gone[1], Answer::NotNow, now), None);
        assert!(planner.questions(now).is_empty(), "all of it is asked already");
    }

    #[test]
    fn more_blocks_than_were_asked_for_are_malformed_and_the_range_is_asked_again() {
        let (mut planner, now) = (planner(&[(1, 10)]), Instant::now());
        let question = planner.questions(now).pop().unwrap();
        assert_eq!(planner.answered(&question, Answer::Blocks(blocks(1, 11)), now), Some(Fault::Malformed));
        assert_eq!(planner.next_runs(), []);
        assert!(planner.questions(now).is_empty(), "it rests");
        assert_eq!(planner.questions(now + LONGEST_PAUSE), [question]);
    }

    /// They would be passed over when blocks are verified, as others that are here already, and nobody be blamed.
    #[test]
    fn blocks_of_other_heights_than_were_asked_for_are_malformed() {
        for false_ones in [blocks(0, 10), blocks(2, 10), [blocks(1, 9), blocks(9, 1)].concat()] {
            let (mut planner, now) = (planner(&[(1, 10)]), Instant::now());
            let question = planner.questions(now).pop().unwrap();
            let answer = Answer::Blocks(false_ones);
            assert_eq!(planner.answered(&question, answer, now), Some(Fault::Malformed));
            assert_eq!(planner.next_runs(), []);
            planner.claim(peer(2), height(10), height(1));
            assert_eq!(planner.questions(now)[0].peer, peer(2));
        }
    }

    #[test]
    fn an_old_answer_is_not_taken_for_that_to_a_shorter_question() {
        let (mut planner, now) = (planner(&[(1, 128), (2, 128)]), Instant::now());
        let mut questions = planner.questions(now);
        let old = questions.pop().unwrap();
        assert_eq!((old.from, old.count, &old.peer), (height(65), 64, &peer(2)));
        answer_all(&mut planner, &questions, now);
        let runs = planner.next_runs();
        planner.verified(height(0), Some(&runs[0].peer));
        planner.claim(peer(2), height(66), height(1));
        planner.claim(peer(3), height(66), height(1));
        let new = planner.questions(now);
        assert_eq!(new.iter().map(|q| (q.from.get(), q.count)).collect::<Vec<_>>(), [(1, 64), (65, 2)]);
        planner.claim(peer(3), height(200), height(1));
        let more = planner.questions(now);
        assert_eq!(planner.answered(&old, Answer::Blocks(blocks(65, 64)), now), None);
        answer_all(&mut planner, &new, now);
        answer_all(&mut planner, &more, now);
        let mut next = 1;
        for run in planner.next_runs() {
            assert_eq!(run.blocks[0].certificate.height.get(), next);
            next += run.blocks.len() as u64;
        }
        assert!(next > 67, "{next}");
    }

    #[test]
    fn of_those_that_have_the_same_to_do_each_has_its_turn() {
        let (mut planner, now) = (Planner::new(height(0)), Instant::now());
        let mut asked = Vec::new();
        for tip in 1..=6 {
            (1..=3).for_each(|name| planner.claim(peer(name), height(tip), height(1)));
            let questions = planner.questions(now);
            asked.extend(questions.iter().map(|question| question.peer.clone()));
            answer_all(&mut planner, &questions, now);
            assert_eq!(planner.next_runs().len(), 1);
            planner.verified(height(tip), None);
        }
        assert_eq!(asked, [1, 2, 3, 1, 2, 3].map(peer));
    }

    #[test]
    fn a_plan_that_is_still_of_use_is_kept() {
        let (mut planner, now) = (planner(&[(1, 100)]), Instant::now());
        let questions = planner.questions(now);
        planner.moved(height(0));
        answer_all(&mut planner, &questions, now);
        assert_eq!(planner.next_runs().len(), 2);
        // These are being verified; what others append meanwhile changes nothing up to their end.
        planner.moved(height(40));
        planner.claim(peer(1), height(150), height(1));
        assert_eq!(begins(&planner.questions(now)), [101]);
        planner.stop();
        // One question is still open, and two is all that a peer is asked at once.
        assert_eq!(begins(&planner.questions(now)), [41]);
    }

    #[test]
    fn a_few_answers_are_given_out_at_once() {
        let (mut planner, now) = (planner(&[(1, 320), (2, 320), (3, 320)]), Instant::now());
        let questions = planner.questions(now);
        assert_eq!(begins(&questions), [1, 65, 129, 193, 257]);
        answer_all(&mut planner, &questions, now);
        assert_eq!(planner.next_runs().len(), MAX_RUNS);
        assert_eq!(planner.next_runs().len(), 1);
    }

    #[test]
    fn who_has_what_is_asked_for_answers_and_has_little_to_do_is_asked_first() {
        let (now, asked) =
            (Instant::now(), |planner: &mut Planner, now| planner.questions(now).remove(0).peer);
        // It told of a block, and need not have it.
        let mut told = Planner::new(height(0));
        told.tell(peer(1), height(1));
        told.tell(peer(1), height(0));
        assert_eq!(told.target(), height(1), "what was told stays told");
        told.claim(peer(2), height(1), height(1));
        assert_eq!(asked(&mut told, now), peer(2));
        // It did not answer the last time.
        let mut missed = planner(&[(1, 1)]);
        let question = missed.questions(now).remove(0);
        missed.answered(&question, Answer::NotNow, now);
        missed.claim(peer(2), height(1), height(1));
        assert_eq!(asked(&mut missed, now + LONGEST_PAUSE), peer(2));
        // Nor may one be asked that does not have a block, by one block.
        let mut short = planner(&[(1, 64), (2, 65), (3, 0)]);
        let asked =
            short.questions(now).into_iter().map(|q| (q.from.get(), q.count, q.peer)).collect::<Vec<_>>();
        assert_eq!(asked, [(1, 64, peer(1)), (65, 1, peer(2))]);
    }

    #[test]
    fn what_all_others_wait_for_is_asked_of_one_more_when_it_is_late() {
        let (mut planner, now) = (planner(&[(1, 65), (2, 65), (3, 65)]), Instant::now());
        let questions = planner.questions(now);
        let [slow, quick] = &questions[..] else { unreachable!("{questions:?}") };
        // What comes later is not waited for yet, however late it is.
        assert_eq!(planner.wakes_at(now), Some(now + HURRY));
        assert!(planner.questions(now + HURRY - Duration::from_millis(1)).is_empty());
        let again = planner.questions(now + HURRY);
        assert_eq!(again, [Question { peer: peer(3), ..slow.clone() }]);
        assert_eq!(planner.wakes_at(now + HURRY), None);
        assert!(planner.questions(now + 9 * HURRY).is_empty(), "two are enough");
        // The first answer counts, and once; who was late is asked after others.
        answer_all(&mut planner, &again, now + HURRY);
        answer_all(&mut planner, std::slice::from_ref(slow), now + HURRY);
        answer_all(&mut planner, std::slice::from_ref(quick), now + HURRY);
        assert_eq!(planner.next_runs().iter().map(|run| run.blocks.len()).collect::<Vec<_>>(), [64, 1]);
        planner.verified(height(65), None);
        for _ in 0..2 {
            let tip = planner.tip.saturating_add(1);
            (1..=3).for_each(|name| planner.claim(peer(name), tip, height(1)));
            let questions = planner.questions(now + HURRY);
            assert!(questions.iter().all(|question| question.peer != slow.peer));
            answer_all(&mut planner, &questions, now + HURRY);
            planner.next_runs();
            planner.verified(tip, None);
        }
    }

    #[test]
    fn what_is_late_waits_for_whoever_rests() {
        let (mut planner, now) = (planner(&[(1, 10), (2, 10)]), Instant::now());
        let slow = planner.questions(now).remove(0);
        let late = now + HURRY;
        planner.answered(&Question { peer: peer(2), ..slow }, Answer::NotNow, late);
        assert!(planner.questions(late).is_empty());
        let rested = planner.wakes_at(late).unwrap();
        assert!(rested > late);
        assert_eq!(planner.questions(rested).len(), 1);
    }

    #[test]
    fn who_is_late_may_still_answer_while_another_cannot() {
        let (mut planner, now) = (planner(&[(1, 10), (2, 10)]), Instant::now());
        let slow = planner.questions(now).remove(0);
        let again = planner.questions(now + HURRY).remove(0);
        assert_eq!(planner.answered(&again, Answer::NotNow, now + HURRY), None);
        let more = Answer::Blocks(blocks(1, 11));
        assert!(planner.questions(now + HURRY).is_empty(), "the first is still waited for");
        assert_eq!(planner.answered(&slow, more, now + HURRY), Some(Fault::Malformed));
        assert_eq!(planner.questions(now + 2 * HURRY).len(), 1, "nobody is waited for any more");
    }

    #[test]
    fn what_was_dropped_is_told_to_the_block() {
        let (mut planner, now) = (planner(&[(1, 128)]), Instant::now());
        planner.claim(peer(1), height(128), height(65));
        assert!(!planner.lacks_bodies(), "nothing is planned yet");
        planner.allow_bodiless(height(63));
        assert_eq!(begins(&planner.questions(now)), [65]);
        assert!(planner.lacks_bodies());
        assert_eq!(planner.claiming_above(height(127)).count(), 1);
        assert_eq!(planner.claiming_above(height(128)).count(), 0);
        planner.allow_bodiless(height(64));
        planner.allow_bodiless(height(10));
        assert!(!planner.lacks_bodies());
        assert_eq!(begins(&planner.questions(now)), [1]);
        // One that has dropped the bodies of just that block does not give it either.
        let mut last = Planner::new(height(0));
        last.claim(peer(1), height(1), height(2));
        assert!(last.questions(now).is_empty() && last.lacks_bodies());
        // Nobody has it: no proof makes it come.
        let mut nobody = Planner::new(height(0));
        nobody.claim(peer(1), height(100), height(50));
        nobody.questions(now);
        assert!(nobody.lacks_bodies());
        nobody.gone(&peer(1));
        assert!(!nobody.lacks_bodies());
    }

    proptest! {
        /// Whatever peers claim, answer, leave out or take back: every run begins where the last one ended,
        /// and the plan stays bounded.
        #[test]
        fn runs_follow_one_another_whatever_happens(steps in prop::collection::vec((0_u8..8, 0_u8..4, 0_u64..300), 1..200)) {
            let mut planner = Planner::new(height(0));
            let (mut now, mut open, mut tip) = (Instant::now(), Vec::<Question>::new(), 0_u64);
            for (step, name, number) in steps {
                now += Duration::from_millis(700);
                match step {
                    0 => planner.claim(peer(name), height(number), height(number / 3)),
                    1 => planner.tell(peer(name), height(number)),
                    2 => planner.gone(&peer(name)),
                    3 => open.extend(planner.questions(now)),
                    4 | 5 => if let Some(question) = open.pop() {
                        let count = number.min(question.count.into());
                        let answer = Answer::Blocks(blocks(question.from.get(), count));
                        planner.answered(&question, answer, now);
                    },
                    6 => if let Some(question) = open.pop() {
                        planner.answered(&question, Answer::NotNow, now);
                    },
                    _ => {
                        let mut good = number;
                        let mut bad = None;
                        let runs = planner.next_runs();
                        prop_assert!(runs.len() <= MAX_RUNS);
                        let mut next = tip + 1;
                        for run in &runs {
                            prop_assert_eq!(run.blocks.first().unwrap().certificate.height.get(), next);
                            let count = run.blocks.len() as u64;
                            next += count;
                            if bad.is_none() {
                                bad = (good < count).then_some(&run.peer);
                                tip += good.min(count);
                                good -= good.min(count);
                            }
                        }
                        if !runs.is_empty() {
                            planner.verified(height(tip), bad);
                        }
                    },
                }
                for range in planner.ranges.values() {
                    let asked = if let Range::Asked { peers, .. } = range { peers.len() } else { 1 };
                    prop_assert!((1..=MAX_ASKED).contains(&asked));
                }
                let held = planner.ranges.values().filter(|r| !matches!(r, Range::Wanted { .. })).count();
                prop_assert!(held <= MAX_RANGES + 1);
                prop_assert!(planner.ranges.len() <= 2 * MAX_RANGES + 1);
                let mut next = planner.verifying.get() + 1;
                for (from, range) in &planner.ranges {
                    prop_assert_eq!(from.get(), next, "{:?}", &planner.ranges);
                    next += range.count();
                }
                let blocks: u64 = planner.ranges.values().map(Range::count).sum();
                prop_assert!(blocks <= MAX_RANGES as u64 * RANGE_BLOCKS);
            }
        }
    }
}
