//! The lines between nodes: what is sent arrives late, twice, in another order or not at all.

use crate::counts::{Counts, Kind};
use crate::schedule::Lines;
use sealpost_tests::harness::random::Random;
use std::collections::BTreeSet;

/// The lines.
pub struct Network {
    /// What they are like.
    pub lines: Lines,
    /// Which are cut, from whom to whom.
    cut: BTreeSet<(usize, usize)>,
}

impl Network {
    /// Whole lines.
    pub fn new(lines: Lines) -> Self {
        Self { lines, cut: BTreeSet::new() }
    }
    /// Cuts a line in one direction.
    pub fn cut(&mut self, from: usize, to: usize) {
        self.cut.insert((from, to));
    }
    /// Cuts all lines between two groups.
    pub fn part(&mut self, some: &[usize], nodes: usize) {
        for one in some {
            for other in (0..nodes).filter(|other| !some.contains(other)) {
                self.cut(*one, other);
                self.cut(other, *one);
            }
        }
    }
    /// Joins what was cut.
    pub fn join(&mut self) {
        self.cut.clear();
    }
    /// After how many milliseconds each copy of a message arrives.
    pub fn carry(
        &self,
        from: usize,
        to: usize,
        random: &mut Random,
        counts: &mut Counts,
    ) -> impl Iterator<Item = u64> + use<> {
        let Lines { lost, doubled, late, delay } = self.lines;
        let mut copies = [None, None];
        if self.cut.contains(&(from, to)) {
            counts.one(Kind::Fault, "messages into a cut line");
        } else if random.next() % 1_000 < lost {
            counts.one(Kind::Fault, "messages lost");
        } else {
            let mut one = |random: &mut Random| {
                let mut after = 1 + random.next() % delay;
                if random.next() % 1_000 < late {
                    counts.one(Kind::Fault, "messages late by seconds");
                    after += 1_000 + random.next() % 8_000;
                }
                after
            };
            copies[0] = Some(one(random));
            if random.next() % 1_000 < doubled {
                copies[1] = Some(one(random));
            }
            if copies[1].is_some() {
                counts.one(Kind::Fault, "messages doubled");
            }
        }
        copies.into_iter().flatten()
    }
}
