//! What happens to machines and lines: they start, die, stand still, are parted, and are well again in the end.

use crate::counts::Kind;
use crate::disk::Dies;
use crate::judge::Broken as NotHeld;
use crate::machine::Waiting;
use crate::schedule::{Broken, Conduct, Lines};
use crate::world::{Event, WELL_BLOCKS, World};
use sealpost_ledger::height::BlockHeight;
use sealpost_node::consensus::simulation::{Moment, Replica, VoteLog};
use sealpost_node::consensus::{ConsensusError, Disk as _};
use sealpost_node::mempool::Mempool;

impl World {
    pub(crate) fn start(&mut self, which: usize) -> Result<(), NotHeld> {
        let (now, clock_ms) = (self.now, self.clock_ms(which));
        if self.machines[which].replica.is_some() {
            return Ok(());
        }
        let machine = &mut self.machines[which];
        machine.disk.open().map_err(|why| format!("node {which} can't read its disk: {why}"))?;
        let tip = machine.disk.tip();
        if machine.honest && tip.height() < machine.reported {
            let (height, reported) = (tip.height(), machine.reported);
            return Err(format!("LOST: node {which} starts at height {height} and had reported {reported}"));
        }
        // What was synced when the process died, and nobody was told.
        let untold = if machine.honest { machine.disk.committed_after(machine.reported) } else { Vec::new() };
        for block in untold {
            self.counts.one(Kind::Fault, "final blocks found on the disk that nobody was told of");
            self.judge_final(which, &block)?;
        }
        let machine = &mut self.machines[which];
        let mut log = std::mem::take(&mut machine.log);
        if self.schedule.broken == Some(Broken::Wal) {
            log = VoteLog::default();
        }
        if log.height() > tip.next_height() {
            return Err(format!(
                "node {which} has voted at {}, and starts at {}",
                log.height(),
                tip.height()
            ));
        }
        machine.accusations = 0;
        self.note(&[5, which as u64, tip.height().get()], || {
            format!("{which} starts at height {}", tip.height())
        });
        let machine = &mut self.machines[which];
        let at = Moment { now, clock_ms, pool: &Waiting(&machine.pool) };
        match Replica::start(&machine.seat, machine.disk.clone(), log.clone(), at) {
            Ok(mut replica) => {
                let output = replica.output();
                machine.replica = Some(replica);
                self.see_to(which, output)
            }
            Err(error) => {
                // It died while it started: its log is as it was.
                machine.log = log;
                self.failed(which, &error)
            }
        }
    }
    pub(crate) fn failed(&mut self, which: usize, error: &ConsensusError) -> Result<(), NotHeld> {
        let machine = &self.machines[which];
        if machine.disk.is_dead() {
            self.counts.one(Kind::Fault, "processes that died in a write");
        } else if machine.honest {
            return Err(format!("node {which} stopped: {error}"));
        }
        self.crash(which);
        Ok(())
    }
    /// The process ends at once, and starts again later.
    fn crash(&mut self, which: usize) {
        let machine = &mut self.machines[which];
        if let Some(replica) = machine.replica.take() {
            machine.log = replica.end();
        }
        let written = machine.log.unsynced();
        let survivors = self.random.below(written + 1);
        machine.log.crash(survivors);
        let unsynced = machine.disk.unsynced();
        let kept = self.random.below(unsynced + 1);
        machine.disk.crash(kept);
        machine.pool = Mempool::new(self.schedule.mempools(), self.genesis.postage().strangers_percent);
        (machine.alarm, machine.stepping, machine.asking_until) = (None, false, 0);
        self.counts.one(Kind::Fault, "crashes");
        self.counts.add(
            Kind::Fault,
            "written votes and blocks lost",
            (written - survivors + unsynced - kept) as u64,
        );
        self.note(&[6, which as u64], || format!("{which} crashes"));
        let longest = [500, 5_000, 20_000][self.random.below(3)];
        let down = 20 + self.random.below(longest) as u64;
        self.after(down, Event::Start(which));
    }

    pub(crate) fn trouble(&mut self) -> Result<(), NotHeld> {
        if self.now >= self.schedule.trouble_ms {
            return Ok(());
        }
        let after = 100 + self.random.below(2 * self.schedule.fault_every_ms) as u64;
        self.after(after, Event::Trouble);
        let all: Vec<usize> = (0..self.machines.len()).collect();
        let which = self.random.below(all.len());
        // Twins do the most harm while they are apart.
        let parted = self.schedule.broken == Some(Broken::Third);
        match if parted { 6 } else { self.random.below(12) } {
            0..3 => {
                let dies = [Dies::Before, Dies::Written, Dies::Synced][self.random.below(3)];
                let writes = self.random.below(6) as u32;
                self.machines[which].disk.doom(writes, dies);
            }
            3..5 if self.machines[which].replica.is_some() => self.crash(which),
            5 => {
                self.counts.one(Kind::Fault, "crashes of all at once");
                for which in all {
                    if self.machines[which].replica.is_some() {
                        self.crash(which);
                    }
                }
            }
            6..8 => {
                self.counts.one(Kind::Fault, "partitions");
                let some = self.part_of(&all);
                self.network.part(&some, all.len());
                self.note(&[7], || format!("{some:?} are parted from the rest"));
                let after = 500 + self.random.below(30_000) as u64;
                self.after(after, Event::Join);
            }
            8 => {
                self.counts.one(Kind::Fault, "lines cut one way");
                for _ in 0..1 + self.random.below(all.len()) {
                    let (from, to) = (self.random.below(all.len()), self.random.below(all.len()));
                    self.network.cut(from, to);
                }
                let after = 500 + self.random.below(30_000) as u64;
                self.after(after, Event::Join);
            }
            9 => {
                self.counts.one(Kind::Fault, "changes of the lines");
                self.network.lines =
                    if self.random.below(3) == 0 { Lines::GOOD } else { Lines::bad(&mut self.random) };
            }
            10 => {
                self.counts.one(Kind::Fault, "pauses");
                let pause = 200 + self.random.below(15_000) as u64;
                self.machines[which].paused_until = self.now + pause;
            }
            11 => {
                self.counts.one(Kind::Fault, "jumps of a clock");
                self.machines[which].skew = self.skew();
            }
            _ => {}
        }
        Ok(())
    }
    /// Some machines, and not all. Twins are best parted: then each half hears of another vote of theirs.
    fn part_of(&mut self, all: &[usize]) -> Vec<usize> {
        let some = self.random.some_of(all);
        let seats = self.schedule.powers.len();
        let parted = self.schedule.broken == Some(Broken::Third);
        if all.len() == seats || (!parted && self.random.below(4) == 0) {
            return some;
        }
        let is_twin = |which: &usize| *which >= seats || self.schedule.conduct[*which] == Conduct::Twin;
        let (second, honest) = (seats..all.len(), all.iter().filter(|which| !is_twin(which)));
        let halves: Vec<usize> =
            honest.copied().enumerate().filter(|(n, _)| n % 2 == 0).map(|(_, w)| w).collect();
        let some = if parted || self.random.below(2) == 0 {
            halves
        } else {
            some.into_iter().filter(|w| !is_twin(w)).collect()
        };
        some.into_iter().chain(second).collect()
    }
    pub(crate) fn mend(&mut self) -> Result<(), NotHeld> {
        if self.schedule.broken == Some(Broken::Heal) {
            let all = self.machines.len();
            self.network.part(&(0..all / 2).collect::<Vec<_>>(), all);
        } else {
            self.network.join();
        }
        self.network.lines = Lines::GOOD;
        for machine in &mut self.machines {
            machine.paused_until = 0;
            machine.disk.spare();
            if !self.schedule.unrepentant {
                machine.zeal = 0;
            }
        }
        let heights = self.honest().map(|machine| machine.disk.tip().height());
        let highest = heights.max().unwrap_or(BlockHeight::GENESIS);
        self.goal = Some(highest.saturating_add(WELL_BLOCKS));
        self.note(&[8], || "all faults are over".into());
        Ok(())
    }
}
