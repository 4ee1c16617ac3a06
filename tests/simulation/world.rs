//! The world of a seed: machines, lines, people, and a clock that jumps from event to event. What happens depends on
//! the seed alone.

use crate::counts::{Counts, Kind};
use crate::disk::Disk;
use crate::judge::{Broken as NotHeld, Judge};
use crate::machine::{Machine, Waiting};
use crate::misdeeds::Recorded;
use crate::network::Network;
use crate::newcomer;
use crate::people::People;
use crate::schedule::{Broken, Conduct, EPOCH_MS, Schedule};
use crate::trace::{Trace, fact};
use bytes::Bytes;
use sealpost_ledger::chain::CommittedBlock;
use sealpost_ledger::genesis::Genesis;
use sealpost_ledger::hash::TransactionId;
use sealpost_ledger::height::BlockHeight;
use sealpost_ledger::signature::SigningKey;
use sealpost_ledger::transaction::VerifiedTransaction;
use sealpost_node::consensus::simulation::{Message, Moment, Output, Replica, Seat, said};
use sealpost_node::consensus::{ConsensusError, Disk as _};
use sealpost_node::wire::TransactionMessage;
use sealpost_tests::harness::random::Random;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

/// Clocks are never further apart from the true time than this.
const MAX_SKEW_MS: u64 = 4_000;
/// Milliseconds between two reports of how far a machine is.
const REPORT_MS: u64 = 2_000;
/// How long an answer is awaited.
const PATIENCE_MS: u64 = 3_000;
/// Blocks asked for at once.
pub(crate) const ASKED: u64 = 8;
/// All must be well again so many milliseconds after the last fault.
const WELL_WITHIN_MS: u64 = 600_000;
/// That is: so many blocks beyond the highest there was.
pub(crate) const WELL_BLOCKS: u64 = 3;

/// What came of a seed.
pub struct Outcome {
    /// What happened.
    pub counts: Counts,
    /// The number that two runs agree in.
    pub hash: u64,
    /// Whether everything held.
    pub held: Result<(), NotHeld>,
    /// The last lines of the trace, if they are wanted.
    pub lines: Vec<String>,
}

/// Something that is going to happen.
pub(crate) enum Event {
    Start(usize),
    Wake(usize),
    Step(usize),
    Message { from: usize, to: usize, message: Message },
    Transaction { to: usize, told: Arc<TransactionMessage> },
    Report(usize),
    Claim { from: usize, to: usize, height: BlockHeight },
    Question { from: usize, to: usize, question: Bytes },
    Answer { from: usize, to: usize, answer: Bytes },
    Send,
    Trouble,
    Join,
    Mend,
}

/// The world.
pub struct World {
    pub(crate) schedule: Schedule,
    pub(crate) genesis: Arc<Genesis>,
    pub(crate) now: u64,
    pub(crate) random: Random,
    events: BTreeMap<(u64, u64), Event>,
    number: u64,
    pub(crate) machines: Vec<Machine>,
    pub(crate) network: Network,
    pub(crate) people: People,
    pub(crate) verified: HashMap<TransactionId, Option<VerifiedTransaction>>,
    pub(crate) judge: Judge,
    pub(crate) counts: Counts,
    trace: Trace,
    pub(crate) recorded: Recorded,
    /// The height that all have to come to, once the faults are over.
    pub(crate) goal: Option<BlockHeight>,
}

/// Runs a seed.
pub fn run(seed: u64, schedule: impl FnOnce(&mut Random) -> Schedule, lines: bool) -> Outcome {
    let mut random = Random::new(seed);
    let schedule = schedule(&mut random);
    let mut world = World::new(schedule, random, lines);
    let held = world.live();
    let simulated = world.now / 1_000;
    world.counts.add(Kind::Work, "simulated seconds", simulated);
    world.counts.one(Kind::Work, "schedules");
    let World { counts, trace, .. } = world;
    Outcome { hash: trace.hash(), lines: trace.lines(), counts, held }
}

impl World {
    fn new(schedule: Schedule, random: Random, lines: bool) -> Self {
        let keys: Vec<_> = (1..=schedule.powers.len())
            .map(|n| Arc::new(SigningKey::from_bytes(&[n as u8; 32]).expect("a key")))
            .collect();
        let genesis = Arc::new(schedule.genesis(&keys));
        let syncs = schedule.broken != Some(Broken::Fsync);
        let machine = |which: usize, honest: bool, zeal: usize| {
            let seat = Seat { key: keys[which].clone(), rules: schedule.rules() };
            let new = Machine::new(seat, &genesis, syncs, schedule.mempools());
            Machine { honest, zeal, ..new }
        };
        let mut machines: Vec<_> = schedule
            .conduct
            .iter()
            .enumerate()
            .map(|(which, conduct)| match conduct {
                Conduct::Honest => machine(which, true, 0),
                Conduct::Byzantine { zeal } => machine(which, false, *zeal),
                Conduct::Twin => machine(which, false, 0),
            })
            .collect();
        let twins = schedule.conduct.iter().enumerate().filter(|(_, conduct)| **conduct == Conduct::Twin);
        machines.extend(twins.map(|(which, _)| machine(which, false, 0)));
        let honest: BTreeSet<_> =
            machines.iter().filter(|machine| machine.honest).map(|m| m.seat.key.public_key()).collect();
        Self {
            judge: Judge::new(&genesis, honest, schedule.limits()),
            people: People::new(&genesis, schedule.body_bytes),
            network: Network::new(schedule.lines),
            schedule,
            genesis,
            now: 0,
            random,
            events: BTreeMap::new(),
            number: 0,
            machines,
            verified: HashMap::new(),
            counts: Counts::default(),
            trace: Trace::new(lines),
            recorded: Recorded::default(),
            goal: None,
        }
    }

    /// Everything that happens.
    fn live(&mut self) -> Result<(), NotHeld> {
        for which in 0..self.machines.len() {
            self.machines[which].skew = self.skew();
            let after = self.random.below(2_000) as u64;
            self.after(after, Event::Start(which));
            self.after(REPORT_MS + after, Event::Report(which));
        }
        self.after(500, Event::Send);
        self.after(1_000, Event::Trouble);
        let trouble_ms = self.schedule.trouble_ms;
        self.after(trouble_ms, Event::Mend);
        while let Some(((at, _), event)) = self.events.pop_first() {
            self.now = at;
            self.happen(event)?;
            if self.is_well() {
                return self.end();
            }
            if self.now > trouble_ms + WELL_WITHIN_MS {
                let heights: Vec<_> = self.machines.iter().map(|m| m.height().map(|h| h.get())).collect();
                return Err(format!(
                    "not well {WELL_WITHIN_MS} ms after the last fault: heights {heights:?}"
                ));
            }
        }
        Err("nothing happens any more".into())
    }
    fn is_well(&self) -> bool {
        let Some(goal) = self.goal else { return false };
        self.honest().all(|machine| machine.height().is_some_and(|height| height >= goal))
    }
    pub(crate) fn honest(&self) -> impl Iterator<Item = &Machine> {
        self.machines.iter().filter(|machine| machine.honest)
    }
    /// All are stopped and opened once more; then somebody joins.
    fn end(&mut self) -> Result<(), NotHeld> {
        let well_after = self.now - self.schedule.trouble_ms;
        self.counts.add(Kind::Work, "milliseconds until all was well", well_after);
        for (which, machine) in self.machines.iter_mut().enumerate().filter(|(_, machine)| machine.honest) {
            machine.replica = None;
            let before = machine.disk.tip();
            machine.disk.crash(0);
            let tip =
                machine.disk.check().map_err(|why| format!("node {which} can't read its disk: {why}"))?;
            let known = self.judge.tip_at(tip.height());
            let same = known
                .is_some_and(|known| (known.block(), known.state_root()) == (tip.block(), tip.state_root()));
            if !same || tip.height() != before.height() {
                return Err(format!("LOST: node {which} ends at height {} with another chain", tip.height()));
            }
        }
        let sources: Vec<_> = self.honest().map(|machine| machine.disk.clone()).collect();
        let facts = newcomer::join(&self.genesis, &sources, &self.judge, &mut self.random, &mut self.counts)?;
        self.trace.note(self.now, &facts, format_args!("a newcomer joins"));
        Ok(())
    }

    pub(crate) fn after(&mut self, milliseconds: u64, event: Event) {
        self.number += 1;
        self.events.insert((self.now + milliseconds, self.number), event);
    }
    pub(crate) fn clock_ms(&self, which: usize) -> u64 {
        (EPOCH_MS + 10_000 + self.now).saturating_add_signed(self.machines[which].skew)
    }
    pub(crate) fn skew(&mut self) -> i64 {
        let of = MAX_SKEW_MS as usize;
        self.random.below(2 * of + 1) as i64 - of as i64
    }

    fn happen(&mut self, event: Event) -> Result<(), NotHeld> {
        // A machine that is stopped keeps what comes until it goes on.
        if let Some(which) = event.whose()
            && self.machines[which].paused_until > self.now
        {
            let left = self.machines[which].paused_until - self.now;
            self.after(left, event);
            return Ok(());
        }
        match event {
            Event::Start(which) => self.start(which),
            Event::Wake(which) => {
                self.machines[which].alarm = None;
                self.act(which, |replica, at| replica.wake(at))
            }
            Event::Step(which) => {
                self.machines[which].stepping = false;
                self.act(which, |replica, at| replica.step(at))
            }
            Event::Message { from, to, message } => {
                self.note(&[1, from as u64, to as u64, message.bytes().len() as u64], || {
                    match said(&message) {
                        Some(said) => {
                            let block = said.block.map_or("none".to_owned(), |block| block.to_string());
                            format!(
                                "{from} -> {to}: {} {}/{} {block:.10}",
                                said.kind, said.height, said.round
                            )
                        }
                        None => format!("{from} -> {to}: {}", kind_of(&message)),
                    }
                });
                self.act(to, |replica, at| replica.receive(from as u8, &message, at))
            }
            Event::Transaction { to, told } => self.tell(to, &told),
            Event::Report(which) => {
                self.after(REPORT_MS, Event::Report(which));
                if let Some(mut height) = self.machines[which].height() {
                    if self.is_tempted(which) {
                        self.counts.one(Kind::Misdeed, "heights that are not there claimed");
                        height = height.saturating_add(1_000);
                    }
                    self.tell_others(which, |from, to| Event::Claim { from, to, height });
                }
                Ok(())
            }
            Event::Claim { from, to, height } => {
                let machine = &mut self.machines[to];
                if let Some(own) = machine.height()
                    && height > own
                    && machine.asking_until <= self.now
                {
                    machine.asking_until = self.now + PATIENCE_MS;
                    let next = own.saturating_add(1);
                    if let Some(question) = Replica::<Disk>::question(next, ASKED) {
                        self.carry(to, from, |from, to| Event::Question {
                            from,
                            to,
                            question: question.clone(),
                        });
                    }
                }
                Ok(())
            }
            Event::Question { from, to, question } => self.answer(to, from, &question),
            Event::Answer { from, to, answer } => {
                self.machines[to].asking_until = 0;
                self.note(&[2, from as u64, to as u64], || format!("{to} hears of {from}'s past"));
                self.act(to, |replica, at| replica.catch_up(from as u8, &answer, at))
            }
            Event::Send => {
                let every = self.schedule.transaction_every_ms;
                let after = 1 + self.random.below(2 * every) as u64;
                self.after(after, Event::Send);
                let height = self.judge.tip().height();
                let change = if self.schedule.changes && self.random.below(8) == 0 {
                    self.change_of_office()
                } else {
                    None
                };
                let told = change.unwrap_or_else(|| self.people.send(height, &mut self.random));
                let told = Arc::new(told);
                let to = self.random.below(self.machines.len());
                self.counts.one(Kind::Work, "transactions sent");
                self.tell(to, &told)
            }
            Event::Trouble => self.trouble(),
            Event::Join => {
                // What is cut when the faults are over stays so only on purpose.
                if self.goal.is_none() {
                    self.network.join();
                }
                Ok(())
            }
            Event::Mend => self.mend(),
        }
    }
    pub(crate) fn note(&mut self, facts: &[u64], what: impl FnOnce() -> String) {
        struct Lazy<F>(std::cell::Cell<Option<F>>);
        impl<F: FnOnce() -> String> std::fmt::Display for Lazy<F> {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(&self.0.take().map(|what| what()).unwrap_or_default())
            }
        }
        self.trace.note(self.now, facts, format_args!("{}", Lazy(std::cell::Cell::new(Some(what)))));
    }

    /// Lets a validator do something, and sees to what comes of it.
    pub(crate) fn act(
        &mut self,
        which: usize,
        what: impl FnOnce(&mut Replica<Disk>, Moment<'_>) -> Result<(), ConsensusError>,
    ) -> Result<(), NotHeld> {
        let (now, clock_ms) = (self.now, self.clock_ms(which));
        let machine = &mut self.machines[which];
        let Some(replica) = machine.replica.as_mut() else { return Ok(()) };
        let done = what(replica, Moment { now, clock_ms, pool: &Waiting(&machine.pool) });
        let output = replica.output();
        if let Err(error) = done {
            return self.failed(which, &error);
        }
        self.see_to(which, output)
    }
    pub(crate) fn see_to(&mut self, which: usize, output: Vec<Output>) -> Result<(), NotHeld> {
        for output in output {
            match output {
                Output::Publish(message) => self.publish(which, message)?,
                Output::Final(block) => self.finalised(which, &block)?,
                Output::Refused(refused) => {
                    self.machines[which].pool.remove_refused(refused.iter().map(|(id, _)| id));
                }
                Output::FalseHistory(from) => {
                    self.counts.one(Kind::Work, "false answers refused by validators");
                    if self.machines[usize::from(from)].honest && self.machines[which].honest {
                        return Err(format!("node {which} blames node {from}, which keeps the rules"));
                    }
                }
            }
        }
        self.accuse(which)?;
        self.arm(which);
        Ok(())
    }
    fn finalised(&mut self, which: usize, block: &Arc<CommittedBlock>) -> Result<(), NotHeld> {
        let (height, hash) = (block.block().height(), block.block().hash());
        self.note(&[4, which as u64, height.get(), fact(hash.as_bytes())], || {
            let round = block.certificate().round;
            format!("{which} has block {height} ({hash:.10}) of round {round}")
        });
        let machine = &mut self.machines[which];
        machine.pool.remove_committed(block.block());
        machine.pool.expire(height.saturating_add(1));
        if !machine.pool.is_empty()
            && let Some(replica) = &mut machine.replica
        {
            replica.want();
        }
        if !machine.honest {
            self.foist(which);
            return Ok(());
        }
        self.judge_final(which, block)?;
        self.judge.check_mempool(which, &self.machines[which].pool)
    }
    /// A node that keeps the rules has a final block on its disk.
    pub(crate) fn judge_final(&mut self, which: usize, block: &CommittedBlock) -> Result<(), NotHeld> {
        let latest_ms = EPOCH_MS + 10_000 + self.now + MAX_SKEW_MS;
        self.machines[which].reported = block.block().height();
        let first = self.judge.check_final(which, block, latest_ms)?;
        if first {
            self.counts.one(Kind::Work, "blocks decided");
            self.counts.add(Kind::Work, "transactions final", block.block().transactions().len() as u64);
            if block.certificate().round > 0 {
                self.counts.one(Kind::Work, "blocks decided in a later round");
            }
            let header = block.block().header();
            if header.next_validators_hash != header.validators_hash {
                self.counts.one(Kind::Work, "changes of the validators in effect");
            }
            self.recorded.keep_block(block.block());
        }
        Ok(())
    }
    /// Nobody who keeps the rules may ever be accused.
    fn accuse(&mut self, which: usize) -> Result<(), NotHeld> {
        let machine = &mut self.machines[which];
        if !machine.honest {
            return Ok(());
        }
        let accusations = machine.disk.equivocations();
        for accusation in accusations.iter().skip(machine.accusations) {
            self.counts.one(Kind::Work, "double statements recorded");
            self.judge.check_accused(&accusation.place().validator)?;
        }
        machine.accusations = accusations.len();
        Ok(())
    }
    /// Sees to it that a machine is woken, and takes in answers.
    pub(crate) fn arm(&mut self, which: usize) {
        let now = self.now;
        let machine = &mut self.machines[which];
        let Some(replica) = &machine.replica else { return };
        let (wakes, answers) = (replica.wakes_at(), replica.has_answers() && !machine.stepping);
        if let Some(at) = wakes
            && machine.alarm.is_none_or(|alarm| at < alarm)
        {
            machine.alarm = Some(at);
            self.after(at.saturating_sub(now), Event::Wake(which));
        }
        if answers {
            self.machines[which].stepping = true;
            let after = self.random.below(25) as u64;
            self.after(after, Event::Step(which));
        }
    }
}

impl Event {
    /// The machine that it happens to.
    const fn whose(&self) -> Option<usize> {
        match self {
            Event::Start(which) | Event::Wake(which) | Event::Step(which) | Event::Report(which) => {
                Some(*which)
            }
            Event::Message { to, .. }
            | Event::Transaction { to, .. }
            | Event::Claim { to, .. }
            | Event::Question { to, .. }
            | Event::Answer { to, .. } => Some(*to),
            Event::Send | Event::Trouble | Event::Join | Event::Mend => None,
        }
    }
}

const fn kind_of(message: &Message) -> &'static str {
    match message {
        Message::Consensus(_) => "something that is no vote",
        Message::Liveness(_) => "a vote said again, or a certificate",
        Message::Part(_) => "a part",
    }
}
