//! Somebody joins when all is over: the real pursuit of the chain's end, the real checking of blocks, the real store,
//! and peers of which some lie. It must end with the chain that all the others have.

use crate::counts::{Counts, Kind};
use crate::disk::Disk;
use crate::judge::{Broken as NotHeld, Judge};
use crate::trace::fact;
use sealpost_ledger::genesis::Genesis;
use sealpost_ledger::height::BlockHeight;
use sealpost_node::consensus::Disk as _;
use sealpost_node::store::{Store, StoreOptions};
use sealpost_node::sync::{Applied, Pursuit, Question, Run, apply};
use sealpost_node::wire::{Announcement, EncodedBlock, Peer, Response, Verdict};
use sealpost_tests::harness::random::Random;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Liars among its peers.
const LIARS: usize = 2;
/// After so many faults a peer is sent away.
const PATIENCE: u32 = 4;
/// It is level within so many answers, or something is wrong.
const ANSWERS: usize = 5_000;

struct Newcomer<'a> {
    sources: &'a [Disk],
    /// By what number the first of its peers is known: who has which decides who is asked first.
    first: usize,
    store: Store,
    pursuit: Pursuit,
    now: Instant,
    open: BTreeMap<(Instant, u64), (Question, Option<Response>)>,
    number: u64,
    faults: BTreeMap<Peer, u32>,
    banned: BTreeSet<Peer>,
}

/// Lets somebody join. Returns facts for the trace.
pub fn join(
    genesis: &Arc<Genesis>,
    sources: &[Disk],
    judge: &Judge,
    random: &mut Random,
    counts: &mut Counts,
) -> Result<Vec<u64>, NotHeld> {
    // In memory if there is such a place: a file system on a disk would take most of the time.
    let home = tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir());
    let home = home.map_err(|error| error.to_string())?;
    let open = || {
        let opened = Store::open(home.path(), genesis.clone(), StoreOptions::default());
        opened.map(|(store, _)| store).map_err(|error| format!("a newcomer's store: {error}"))
    };
    let store = open()?;
    let goal = sources.iter().map(|source| source.tip().height()).max().unwrap_or(BlockHeight::GENESIS);
    let pursuit = Pursuit::new(store.tip());
    let (open_questions, faults, banned) = Default::default();
    let now = Instant::now();
    let first = random.below(sources.len() + LIARS);
    let mut newcomer =
        Newcomer { sources, first, store, pursuit, now, open: open_questions, number: 0, faults, banned };
    // Once in a while it is stopped in the middle, and goes on from what its disk holds.
    let mut stops_at = (random.below(3) == 0).then(|| BlockHeight::new(1 + random.below(10) as u64));
    newcomer.hear_claims(random);
    for _ in 0..ANSWERS {
        newcomer.apply(counts)?;
        let height = newcomer.pursuit.height();
        if height >= goal {
            break;
        }
        if stops_at.is_some_and(|at| height >= at) {
            stops_at = None;
            counts.one(Kind::Lie, "(newcomers stopped and started in the middle)");
            let Newcomer { store, .. } = newcomer;
            drop(store);
            let store = open()?;
            let pursuit = Pursuit::new(store.tip());
            newcomer = Newcomer {
                sources,
                first,
                store,
                pursuit,
                now,
                open: BTreeMap::new(),
                number: 0,
                faults: BTreeMap::new(),
                banned: BTreeSet::new(),
            };
            newcomer.hear_claims(random);
            continue;
        }
        newcomer.ask(random, counts);
        newcomer.hear_announcement(random, counts)?;
        newcomer.take_answer(random)?;
    }
    let tip = newcomer.store.tip();
    let known = judge.tip_at(tip.height());
    if tip.height() < goal {
        return Err(format!("a newcomer came to height {}, the others are at {goal}", tip.height()));
    }
    if known.is_none_or(|known| (known.block(), known.state_root()) != (tip.block(), tip.state_root())) {
        return Err(format!("a newcomer has another chain at height {}", tip.height()));
    }
    counts.one(Kind::Work, "newcomers level with the others");
    Ok(vec![tip.height().get(), fact(tip.state_root().as_bytes())])
}

impl Newcomer<'_> {
    fn peers(&self) -> usize {
        self.sources.len() + LIARS
    }
    fn peer(&self, which: usize) -> Peer {
        Peer::new((which + self.first) % self.peers())
    }
    fn which(&self, peer: &Peer) -> usize {
        let number: usize = peer.as_str().parse().unwrap_or_default();
        (number + self.peers() - self.first) % self.peers()
    }
    fn is_liar(&self, which: usize) -> bool {
        which >= self.sources.len()
    }
    fn hear_claims(&mut self, random: &mut Random) {
        for which in 0..self.peers() {
            let height = match self.sources.get(which) {
                Some(source) => source.tip().height(),
                None if random.below(4) == 0 => BlockHeight::new(1 + random.next() % 200),
                None => self.sources[0].tip().height(),
            };
            let peer = self.peer(which);
            if !self.banned.contains(&peer) {
                self.pursuit.claimed(peer, height, BlockHeight::FIRST);
            }
        }
    }
    fn ask(&mut self, random: &mut Random, counts: &mut Counts) {
        for question in self.pursuit.questions(self.now) {
            let which = self.which(&question.peer);
            let honest = self.sources.get(which).unwrap_or(&self.sources[0]);
            // No peer gives more than a few at once: the plan has to come back for the rest.
            let most = u64::from(question.count).min(1 + random.next() % 5);
            let blocks: Vec<_> = honest
                .blocks(question.from, most)
                .into_iter()
                .map(|(block, certificate)| EncodedBlock { block: block.to_bytes(), certificate })
                .collect();
            let answer = if self.is_liar(which) {
                lie(blocks, random, counts)
            } else if random.below(10) == 0 {
                Some(Response::Busy)
            } else {
                Some(Response::Blocks(blocks))
            };
            let after = Duration::from_millis(1 + random.next() % 500);
            self.number += 1;
            self.open.insert((self.now + after, self.number), (question, answer));
        }
    }
    fn take_answer(&mut self, random: &mut Random) -> Result<(), NotHeld> {
        let Some(((at, _), (question, answer))) = self.open.pop_first() else {
            // Nobody is asked: time passes until somebody may be, or tells anew how far it is.
            self.now = self.pursuit.wakes_at(self.now).unwrap_or(self.now + Duration::from_secs(5));
            self.hear_claims(random);
            return Ok(());
        };
        self.now = self.now.max(at);
        match self.pursuit.answered(&question, answer, self.now) {
            Some(_) => self.blame(&question.peer),
            None => Ok(()),
        }
    }
    /// News of blocks: true ones, and some that nobody has made final.
    fn hear_announcement(&mut self, random: &mut Random, counts: &mut Counts) -> Result<(), NotHeld> {
        if random.below(4) != 0 {
            return Ok(());
        }
        let (from, other) = (random.below(self.peers()), &self.sources[0]);
        let height = BlockHeight::new(1 + random.next() % other.tip().height().get().max(1));
        let Some((block, mut certificate)) = other.blocks(height, 1).pop() else { return Ok(()) };
        let mut header = block.header().clone();
        let false_news = self.is_liar(from);
        if false_news {
            counts.one(Kind::Lie, "false announcements");
            if random.below(2) == 0 {
                header.time_ms += 1;
            } else {
                certificate.signatures.clear();
            }
        }
        let news = Announcement { header, certificate };
        let verdict = self.pursuit.announced(self.peer(from), &news);
        if false_news && verdict == Verdict::Forward {
            return Err(format!("false news of block {height} are passed on"));
        }
        if !false_news && verdict == Verdict::Refuse {
            return Err(format!("true news of block {height} are refused"));
        }
        Ok(())
    }
    fn apply(&mut self, counts: &mut Counts) -> Result<(), NotHeld> {
        let (mut peers, mut all) = (Vec::new(), Vec::new());
        for Run { peer, blocks } in self.pursuit.next_runs() {
            all.extend(blocks);
            peers.push((all.len(), peer));
        }
        if all.is_empty() {
            return Ok(());
        }
        let applied: Applied =
            apply(&self.store, &all, self.pursuit.proven()).map_err(|error| error.to_string())?;
        counts.add(Kind::Work, "blocks taken by newcomers", applied.committed.len() as u64);
        match self.pursuit.applied(&peers, &applied) {
            Some(peer) => {
                counts.one(Kind::Work, "false runs refused by newcomers");
                self.blame(&peer)
            }
            None => Ok(()),
        }
    }
    fn blame(&mut self, peer: &Peer) -> Result<(), NotHeld> {
        let which = self.which(peer);
        if !self.is_liar(which) {
            return Err(format!("a newcomer blames peer {which}, which told the truth"));
        }
        let faults = self.faults.entry(peer.clone()).or_default();
        *faults += 1;
        if *faults >= PATIENCE {
            self.pursuit.gone(peer);
            self.banned.insert(peer.clone());
        }
        Ok(())
    }
}

/// What a liar makes of an honest answer.
fn lie(mut blocks: Vec<EncodedBlock>, random: &mut Random, counts: &mut Counts) -> Option<Response> {
    let mut told = |name| counts.one(Kind::Lie, name);
    let some = random.below(blocks.len().max(1));
    match random.below(9) {
        0 => {
            told("questions left unanswered");
            return None;
        }
        1 => {
            told("answers to another question");
            return Some(Response::Status { height: BlockHeight::new(5), oldest: BlockHeight::FIRST });
        }
        2 => {
            told("empty answers");
            blocks.clear();
        }
        3 => {
            told("blocks in another order");
            blocks.reverse();
        }
        4 => {
            told("the same block again and again");
            if let Some(first) = blocks.first().cloned() {
                blocks = vec![first; 100];
            }
        }
        5 => {
            told("blocks with a changed bit");
            if let Some(block) = blocks.get_mut(some) {
                let at = random.below(block.block.len().max(1));
                if let Some(byte) = block.block.get_mut(at) {
                    *byte ^= 1 << random.below(8);
                }
            }
        }
        6 => {
            told("certificates without signatures");
            if let Some(block) = blocks.get_mut(some) {
                block.certificate.signatures.clear();
            }
        }
        7 => {
            told("certificates of another block");
            if let [first, .., last] = blocks.as_mut_slice() {
                last.certificate.signatures.clone_from(&first.certificate.signatures);
            }
        }
        _ => {
            told("blocks that lack one in the middle");
            if blocks.len() > 2 {
                blocks.remove(1);
            }
        }
    }
    Some(Response::Blocks(blocks))
}
