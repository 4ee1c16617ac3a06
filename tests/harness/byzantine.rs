//! One validator of four that breaks the rules, as a process of its own (`misbehaving_node`): it does so in one way
//! after another, messages flow to the honest ones all the while, and after each way everything must hold for these.
//!
//! A misdeed counts only if it was done: the liar logs each, with the block it was about. What the honest ones have to
//! say of it is asked too: proof of what was signed twice, and the reason of each refusal.

use super::invariants::{Bounds, Invariants, Verdict, equivocations};
use super::load::{Load, LoadOptions};
use super::network::{Network, NetworkOptions};
use super::random::Random;
use sealpost_ledger::hash::BlockHash;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::time::{Duration, Instant};

/// Messages that must become final while somebody misbehaves, and the longest wait for them. A liar's turn as proposer
/// may cost a round of three seconds; an honest validator's absence as well.
const MEANWHILE: usize = 10;
const FLOWING: Duration = Duration::from_secs(60);
/// The longest wait until a misdeed was done as often as it is asked for.
const DONE_WITHIN: Duration = Duration::from_secs(60);
/// The longest wait until the honest ones have told of it.
const TOLD_WITHIN: Duration = Duration::from_secs(30);
/// How often it is looked.
const LOOK: Duration = Duration::from_millis(100);

/// What a liar may do, and how one can tell what the others made of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Misdeed {
    /// Its name, which `SEALPOST_TEST_MISDEEDS` takes.
    pub name: &'static str,
    /// The kinds of double statements that it leaves signed.
    pub proof: &'static [&'static str],
    /// Words of an honest validator's log, one of which tells of the refusal; none where nothing is refused but only
    /// not listened to, or nothing is sent.
    pub refused: &'static [&'static str],
    /// Whether its block must never be final.
    pub forges: bool,
    /// Whether it needs an honest validator that is away, so that there is more than one round.
    pub needs_rounds: bool,
}

const fn misdeed(name: &'static str, refused: &'static [&'static str]) -> Misdeed {
    Misdeed { name, proof: &[], refused, forges: false, needs_rounds: false }
}

/// All of them.
pub const MISDEEDS: &[Misdeed] = &[
    Misdeed { proof: &["proposal"], ..misdeed("two-blocks", &["said two different things"]) },
    Misdeed { proof: &["prevote", "precommit"], ..misdeed("two-votes", &["said two different things"]) },
    misdeed("wrong-signature", &["does not come from the proposer", "invalid signature"]),
    misdeed("forged-votes", &["invalid signature", "Invalid vote"]),
    misdeed("far-votes", &[]),
    Misdeed { forges: true, ..misdeed("wrong-parent", &["block parent is"]) },
    Misdeed { forges: true, ..misdeed("wrong-state", &["block state_root is"]) },
    Misdeed { forges: true, ..misdeed("wrong-time", &["block time "]) },
    Misdeed { forges: true, ..misdeed("repeated-transaction", &["is already on the ledger"]) },
    Misdeed { forges: true, ..misdeed("forged-transaction", &["does not match the sender"]) },
    Misdeed { forges: true, ..misdeed("oversized", &["bytes, the limit is"]) },
    misdeed("withheld-parts", &[]),
    misdeed("conflicting-parts", &["is none of the pieces"]),
    misdeed("poisoned-streams", &["is none of the pieces that its block's opening names"]),
    misdeed("replay", &[]),
    misdeed("false-history", &["Invalid certificate"]),
    Misdeed { needs_rounds: true, ..misdeed("amnesia", &[]) },
    misdeed("silent", &[]),
];

/// The misdeed of that name.
fn by_name(name: &str) -> Misdeed {
    let found = MISDEEDS.iter().find(|misdeed| misdeed.name == name);
    *found.unwrap_or_else(|| panic!("no misdeed {name:?}"))
}

/// What the honest validators are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Honest {
    /// The program for use.
    AsBuilt,
    /// Of the misbehaving build, and they believe every proposed block: the control, which has to break.
    Credulous,
}

/// What a liar is to do, and what is in the way of the others besides.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ordeal {
    /// What it does.
    pub misdeeds: Vec<Misdeed>,
    /// How often at least, each of them.
    pub times: u64,
    /// For so long an honest validator is paused.
    pub away: Duration,
    /// So many of a hundred packets are lost between all.
    pub loss: u8,
}

impl Ordeal {
    /// The misdeeds of these names, each so often, on a network that is well.
    pub fn of(names: &str, times: u64) -> Self {
        let misdeeds = names.split_whitespace().map(by_name).collect();
        Self { misdeeds, times, away: Duration::ZERO, loss: 0 }
    }
    /// One by chance.
    pub fn choose(random: &mut Random) -> Self {
        let misdeeds = some_of(random);
        let away = if random.below(3) == 0 { 1 + random.below(8) as u64 } else { 0 };
        let loss = if random.below(3) == 0 { 1 + random.below(10) as u8 } else { 0 };
        Self { misdeeds, times: 1 + random.below(3) as u64, away: Duration::from_secs(away), loss }
    }
}

impl fmt::Display for Ordeal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<&str> = self.misdeeds.iter().map(|misdeed| misdeed.name).collect();
        write!(f, "{}", names.join(" and "))?;
        if !self.away.is_zero() {
            write!(f, ", one away for {} s", self.away.as_secs())?;
        }
        if self.loss > 0 {
            write!(f, ", {} % lost", self.loss)?;
        }
        Ok(())
    }
}

/// A network with one liar, with traffic, and what was seen of it.
pub struct Trial {
    /// The network.
    pub network: Network,
    /// Traffic to the honest members.
    pub load: Load,
    /// What was seen.
    pub seen: Invariants,
    liar: usize,
    done: BTreeMap<&'static str, u64>,
    proven: Proofs,
    forged: BTreeSet<BlockHash>,
}

/// What a trial has shown; its text is one line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outcome {
    /// How often each misdeed was done.
    pub done: BTreeMap<&'static str, u64>,
    /// Double statements of which some honest node keeps proof.
    pub proofs: usize,
    /// The rest.
    pub verdict: Verdict,
}

impl Outcome {
    /// Both together.
    pub fn and(mut self, other: Self) -> Self {
        for (name, times) in other.done {
            *self.done.entry(name).or_default() += times;
        }
        self.proofs += other.proofs;
        let (all, more) = (&mut self.verdict, other.verdict);
        all.height += more.height;
        all.messages += more.messages;
        all.checks += more.checks;
        all.slowest_recovery = all.slowest_recovery.max(more.slowest_recovery);
        all.peak_kib.extend(more.peak_kib);
        self
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Verdict { height, messages, checks, slowest_recovery, peak_kib } = &self.verdict;
        let all: u64 = self.done.values().sum();
        write!(f, "{all} misdeeds of {} kinds (", self.done.len())?;
        for (number, (name, times)) in self.done.iter().enumerate() {
            write!(f, "{}{name} {times}", if number == 0 { "" } else { ", " })?;
        }
        write!(f, "), {} double statements proven, {checks} checks, {height} blocks, ", self.proofs)?;
        write!(f, "{messages} messages final, lost 0, forks 0, ")?;
        write!(f, "slowest recovery {:.1} s, most memory", slowest_recovery.as_secs_f64())?;
        let most = peak_kib.iter().map(|(_, kib)| kib / 1024).max().unwrap_or(0);
        write!(f, " {most} MiB")
    }
}

impl Trial {
    /// Starts a network whose validator of that number will lie.
    pub async fn start(
        options: &NetworkOptions,
        liar: usize,
        honest: Honest,
        load: LoadOptions,
        bounds: Bounds,
    ) -> Result<Self, String> {
        let mut network = Network::create(options);
        if honest == Honest::Credulous {
            for member in network.validators() {
                network.corrupt(member, &["credulous"]);
            }
        }
        network.corrupt(liar, &[]);
        let all: Vec<usize> = network.all().collect();
        network.start_members(&all);
        let others: Vec<usize> = network.all().filter(|member| *member != liar).collect();
        let load = Load::start_at(&network, &others, load);
        let mut seen = Invariants::new(&network, bounds);
        // Before there is a misdeed, it is as honest as the others.
        seen.check(&mut network, &load.acknowledged()).await?;
        seen.distrust(&network, liar);
        Ok(Self {
            network,
            load,
            seen,
            liar,
            done: BTreeMap::new(),
            proven: BTreeSet::new(),
            forged: BTreeSet::new(),
        })
    }

    /// Lets the liar do what it does; everything must hold for the others, during it and after.
    pub async fn endure(&mut self, ordeal: &Ordeal) -> Result<(), String> {
        let names: Vec<&str> = ordeal.misdeeds.iter().map(|misdeed| misdeed.name).collect();
        // Its log of votes would keep it from going on: it is none of a validator that keeps the rules.
        self.network.kill_member(self.liar);
        self.network.forget_votes(self.liar);
        self.network.corrupt(self.liar, &names);
        let (liar_before, honest_before) = (self.network.log(self.liar).len(), self.honest_logs());
        let proofs_before = self.proofs().await?;
        self.network.start_member(self.liar);
        self.go_through(ordeal, liar_before).await.map_err(|why| format!("{ordeal}: {why}"))?;
        let acknowledged = self.load.acknowledged();
        let held = self.seen.check(&mut self.network, &acknowledged).await;
        held.map_err(|broken| format!("after {ordeal}: {broken}"))?;
        let log = self.network.log(self.liar);
        let since = log.get(liar_before..).unwrap_or_default();
        for misdeed in &ordeal.misdeeds {
            *self.done.entry(misdeed.name).or_default() += count(since, misdeed);
            if misdeed.forges {
                let before = self.forged.len();
                self.forged.extend(
                    lines(since, misdeed).filter_map(|line| field(line, "what")?.parse::<BlockHash>().ok()),
                );
                if self.forged.len() == before {
                    return Err(format!("I9: {}: no forged block is named", misdeed.name));
                }
            }
        }
        none_final(&self.forged, &self.seen)?;
        // The liar goes on meanwhile: what came too late for one height to be seen is done again at another.
        let since = Instant::now();
        loop {
            let missing = self.untold(ordeal, &honest_before, &proofs_before).await?;
            match missing {
                None => return Ok(()),
                Some(why) if since.elapsed() > TOLD_WITHIN => return Err(why),
                Some(_) => tokio::time::sleep(LOOK).await,
            }
        }
    }

    /// The misdeeds are done, with whatever else is in the way, and messages become final all the same.
    async fn go_through(&mut self, ordeal: &Ordeal, from: usize) -> Result<(), String> {
        if ordeal.loss > 0 {
            let all: Vec<usize> = self.network.all().collect();
            self.network.faults().lose(&all, ordeal.loss);
        }
        let bystander = self.bystander();
        let needs_rounds = ordeal.misdeeds.iter().any(|misdeed| misdeed.needs_rounds);
        let mut done = Ok(());
        if needs_rounds || !ordeal.away.is_zero() {
            self.network.pause_member(bystander);
            // Nobody decides anything without the liar then, so that it comes to a second round.
            if needs_rounds {
                done = self.until_done(ordeal, from).await;
            } else {
                tokio::time::sleep(ordeal.away).await;
            }
            self.network.resume_member(bystander);
        }
        done?;
        self.until_done(ordeal, from).await?;
        if ordeal.loss > 0 && self.network.faults().heal().iter().any(|fired| fired.hits == 0) {
            return Err("I9: no packet was lost".to_owned());
        }
        self.flows().await
    }

    /// The end: all of it once more, and the disks of the honest.
    pub async fn end(self) -> Result<Outcome, String> {
        let Self { mut network, load, mut seen, done, proven, forged, .. } = self;
        let report = load.stop().await;
        // Once more before the nodes stop: all blocks that are final by then.
        seen.check(&mut network, &report.acknowledged).await?;
        none_final(&forged, &seen)?;
        let verdict = seen.finish(&mut network, &report.acknowledged).await?;
        if verdict.messages < MEANWHILE || done.values().any(|times| *times == 0) {
            return Err(format!("I9: {} messages, misdeeds {done:?}", verdict.messages));
        }
        Ok(Outcome { done, proofs: proven.len(), verdict })
    }

    /// The last lines of every log.
    pub fn log_tails(&self) -> String {
        self.network.log_tails()
    }

    /// An honest validator whose absence leaves a quorum only together with the liar.
    fn bystander(&self) -> usize {
        let validators = self.network.validators().into_iter();
        validators.rev().find(|member| *member != self.liar).unwrap_or(0)
    }
    fn honest(&self) -> impl Iterator<Item = usize> {
        self.network.all().filter(|member| *member != self.liar)
    }
    fn honest_logs(&self) -> BTreeMap<usize, usize> {
        self.honest().map(|member| (member, self.network.log(member).len())).collect()
    }

    /// Waits until each misdeed was done as often as it is asked for.
    async fn until_done(&mut self, ordeal: &Ordeal, from: usize) -> Result<(), String> {
        let since = Instant::now();
        loop {
            let log = self.network.log(self.liar);
            let log = log.get(from..).unwrap_or_default();
            let missing = ordeal.misdeeds.iter().filter(|misdeed| count(log, misdeed) < ordeal.times);
            let missing: Vec<&str> = missing.map(|misdeed| misdeed.name).collect();
            if missing.is_empty() {
                return Ok(());
            }
            self.all_live()?;
            if since.elapsed() > DONE_WITHIN {
                let times = ordeal.times;
                return Err(format!("I9: not done {times} times within {DONE_WITHIN:?}: {missing:?}"));
            }
            tokio::time::sleep(LOOK).await;
        }
    }

    /// Messages become final.
    async fn flows(&mut self) -> Result<(), String> {
        let (since, target) = (Instant::now(), self.load.count() + MEANWHILE);
        while self.load.count() < target {
            self.all_live()?;
            if since.elapsed() > FLOWING {
                return Err(format!("I5: no {MEANWHILE} messages became final within {FLOWING:?}"));
            }
            tokio::time::sleep(LOOK).await;
        }
        Ok(())
    }

    fn all_live(&mut self) -> Result<(), String> {
        let ended = self.network.ended();
        match ended.iter().find(|(member, _)| *member != self.liar) {
            Some((_, ended)) => Err(format!("I6: {ended}")),
            None => Ok(()),
        }
    }

    /// What the honest ones have not told of yet: an honest validator says what it refused, and some honest node keeps
    /// the proof of what was signed twice.
    async fn untold(
        &mut self,
        ordeal: &Ordeal,
        logs: &BTreeMap<usize, usize>,
        before: &Proofs,
    ) -> Result<Option<String>, String> {
        for Misdeed { name, refused, .. } in
            ordeal.misdeeds.iter().filter(|misdeed| !misdeed.refused.is_empty())
        {
            let told = logs.iter().any(|(member, from)| {
                let log = self.network.log(*member);
                let log = log.get(*from..).unwrap_or_default();
                refused.iter().any(|words| log.contains(words))
            });
            if !told {
                return Ok(Some(format!("nobody tells of {name}: no log says any of {refused:?}")));
            }
        }
        let found = self.proofs().await?;
        let fresh: BTreeSet<&str> = found.difference(before).map(|(_, kind)| kind.as_str()).collect();
        let wanted = ordeal.misdeeds.iter().flat_map(|misdeed| misdeed.proof);
        let missing: Vec<&&str> = wanted.filter(|kind| !fresh.contains(*kind)).collect();
        if !missing.is_empty() {
            return Ok(Some(format!(
                "I8: no honest node has proof of a double {missing:?}, but of {fresh:?}"
            )));
        }
        self.proven.extend(found);
        Ok(None)
    }

    /// Every double statement that an honest node has proof of: its place and kind.
    async fn proofs(&self) -> Result<Proofs, String> {
        let mut all = BTreeSet::new();
        for member in self.honest().filter(|member| self.network.running().contains(member)) {
            let seen = equivocations(&self.network, member).await?;
            all.extend(seen.into_iter().map(|seen| (format!("{} {}", seen.height, seen.round), seen.kind)));
        }
        Ok(all)
    }
}

/// No block that a liar forged is final anywhere.
fn none_final(forged: &BTreeSet<BlockHash>, seen: &Invariants) -> Result<(), String> {
    match forged.iter().find(|block| seen.has(block)) {
        Some(block) => Err(format!("I3: the forged block {block} is final")),
        None => Ok(()),
    }
}

/// Place and kind of double statements.
type Proofs = BTreeSet<(String, String)>;

fn lines<'a>(log: &'a str, misdeed: &Misdeed) -> impl Iterator<Item = &'a str> {
    let name = misdeed.name;
    log.lines().filter(move |line| line.contains("misbehaved") && field(line, "misdeed") == Some(name))
}

fn count(log: &str, misdeed: &Misdeed) -> u64 {
    lines(log, misdeed).count() as u64
}

/// The value of a field in a line of a log.
fn field<'a>(line: &'a str, name: &str) -> Option<&'a str> {
    let (_, rest) = line.split_once(&format!(" {name}="))?;
    let rest = rest.trim_start_matches('"');
    rest.split([' ', '"']).next()
}

/// Misdeeds that may be done together at random: one that changes what the others send would hide them.
fn some_of(random: &mut Random) -> Vec<Misdeed> {
    let alone = ["silent", "wrong-signature", "amnesia"];
    let first = MISDEEDS[random.below(MISDEEDS.len())];
    if alone.contains(&first.name) {
        return vec![first];
    }
    let mut chosen = vec![first];
    for _ in 0..random.below(4) {
        let next = MISDEEDS[random.below(MISDEEDS.len())];
        if !alone.contains(&next.name) && !chosen.contains(&next) {
            chosen.push(next);
        }
    }
    chosen
}
