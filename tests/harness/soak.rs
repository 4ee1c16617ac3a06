//! Random faults for a while, one after another, repeated by a seed: what happens in which order depends on
//! the seed alone, what is under way at that moment does not. After each fault everything must hold again.

use super::faults::{FaultKind, Tally};
use super::invariants::{Bounds, Invariants, Verdict};
use super::load::{Load, LoadOptions};
use super::namespace::Wire;
use super::network::{Network, NetworkOptions, Place};
use super::random::Random;
use std::fmt;
use std::time::{Duration, Instant};

/// How long a fault lasts.
const SHORTEST: Duration = Duration::from_millis(500);
const LONGEST: Duration = Duration::from_secs(8);
/// Messages that must flow between two faults, and the longest wait for them.
const BETWEEN: usize = 10;
const FLOWING: Duration = Duration::from_secs(60);

/// What kind of soak.
#[derive(Debug, Clone)]
pub struct SoakOptions {
    /// Faults begin for that long; then all is checked once more.
    pub duration: Duration,
    /// And until there were so many, however slow the machine is.
    pub least_faults: u64,
    /// Repeats the choices of a run.
    pub seed: u64,
    /// The network, in a lab.
    pub network: NetworkOptions,
    /// The traffic.
    pub load: LoadOptions,
    /// What must hold after each fault.
    pub bounds: Bounds,
}

/// What a soak has shown; its text is one line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SoakVerdict {
    seed: u64,
    took: Duration,
    tally: Tally,
    sent: u64,
    unanswered: u64,
    verdict: Verdict,
}

impl SoakVerdict {
    /// Faults that fired.
    pub fn faults(&self) -> u64 {
        self.tally.values().map(|(times, _)| times).sum()
    }
}

impl fmt::Display for SoakVerdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Verdict { height, messages, checks, slowest_recovery, peak_kib } = &self.verdict;
        write!(f, "HELD: seed {}, {} s, {} faults fired (", self.seed, self.took.as_secs(), self.faults())?;
        for (number, (kind, (times, hits))) in self.tally.iter().enumerate() {
            write!(f, "{}{kind} {times} hitting {hits}", if number == 0 { "" } else { ", " })?;
        }
        write!(f, "), {checks} checks, height {height}, {} sent, {messages} final, ", self.sent)?;
        write!(f, "{} unanswered, lost 0, forks 0, ", self.unanswered)?;
        write!(f, "slowest recovery {:.1} s, most memory", slowest_recovery.as_secs_f64())?;
        peak_kib.iter().try_for_each(|(name, kib)| write!(f, " {name} {} MiB", kib / 1024))
    }
}

/// Runs a soak; each line of what happens goes to `say`. Says what does not hold, and with which seed.
pub async fn soak(options: &SoakOptions, say: impl Fn(String)) -> Result<SoakVerdict, String> {
    let mut network = Network::start(&options.network);
    let outcome = run(options, &mut network, &say).await;
    outcome.map_err(|broken| {
        let tails = network.log_tails();
        format!("BROKEN: seed {}: {broken}\n{tails}", options.seed)
    })
}

async fn run(
    options: &SoakOptions,
    network: &mut Network,
    say: &impl Fn(String),
) -> Result<SoakVerdict, String> {
    let since = Instant::now();
    let load = Load::start(network, options.load);
    let mut seen = Invariants::new(network, options.bounds);
    let mut random = Random::new(options.seed);
    seen.check(network, &load.acknowledged()).await?;
    let mut faults = 0;
    while since.elapsed() < options.duration || faults < options.least_faults {
        faults += 1;
        if !load.flows(BETWEEN, FLOWING).await {
            return Err(format!("I5: no {BETWEEN} messages became final within {FLOWING:?}"));
        }
        let fault = Fault::choose(&mut random, network, options.network.place);
        say(format!("{:7.1} s  height {:5}  {fault}", since.elapsed().as_secs_f64(), seen.height()));
        fault.inflict(network).await;
        let ended = network.faults().heal();
        let hits: Vec<String> =
            ended.iter().map(|fired| format!("{} hit {}", fired.what, fired.hits)).collect();
        let recovery = seen
            .check(network, &load.acknowledged())
            .await
            .map_err(|broken| format!("after {fault}: {broken}"))?;
        let hits = hits.join(", ");
        say(format!(
            "{:7.1} s  height {:5}  well again after {recovery:.1?}  {hits}",
            since.elapsed().as_secs_f64(),
            seen.height()
        ));
    }
    let report = load.stop().await;
    let verdict = seen.finish(network, &report.acknowledged).await?;
    let (tally, took) = (network.faults().tally(), since.elapsed());
    let (sent, unanswered) = (report.sent, report.unanswered);
    if tally.is_empty() || verdict.messages == 0 {
        return Err("I9: no fault fired, or no message became final: this soak shows nothing".to_owned());
    }
    Ok(SoakVerdict { seed: options.seed, took, tally, sent, unanswered, verdict })
}

/// One fault, chosen.
#[derive(Debug, Clone)]
struct Fault {
    kind: FaultKind,
    /// Whom it is for; with partitions one side of it.
    members: Vec<usize>,
    lasts: Duration,
    /// Per cent, kilobits a second or milliseconds.
    strength: u32,
}

impl Fault {
    fn choose(random: &mut Random, network: &Network, place: Place) -> Self {
        let mut kinds = vec![
            FaultKind::Loss,
            FaultKind::Partition,
            FaultKind::OneWay,
            FaultKind::Slow,
            FaultKind::Pause,
            FaultKind::Kill,
            FaultKind::Restart,
            FaultKind::Wipe,
            FaultKind::KillAll,
        ];
        if matches!(place, Place::Lab(Wire::Delayed(_))) {
            kinds.push(FaultKind::Late);
        }
        let kind = kinds[random.below(kinds.len())];
        let all: Vec<usize> = network.all().collect();
        let (members, strength) = match kind {
            FaultKind::Loss => (random.some_of(&all), 5 + random.below(30)),
            FaultKind::Slow => (random.some_of(&all), 200 + random.below(2000)),
            FaultKind::Late => (all, 5 + random.below(150)),
            FaultKind::Partition => (random.some_of(&all), 0),
            FaultKind::KillAll => (network.validators(), 0),
            _ => (vec![random.below(all.len())], 0),
        };
        let spread = (LONGEST - SHORTEST).as_millis() as usize;
        let lasts = SHORTEST + Duration::from_millis(random.below(spread) as u64);
        Self { kind, members, lasts, strength: u32::try_from(strength).unwrap_or(0) }
    }
    /// Makes it happen, waits as long as it lasts, and undoes what is not undone by healing the network.
    async fn inflict(&self, network: &mut Network) {
        let members = &self.members;
        let others: Vec<usize> = network.all().filter(|member| !members.contains(member)).collect();
        let one = members[0];
        match self.kind {
            FaultKind::Loss => network.faults().lose(members, u8::try_from(self.strength).unwrap_or(100)),
            FaultKind::Partition => network.faults().part(members, &others),
            FaultKind::OneWay => network.faults().deafen(members, &others),
            FaultKind::Slow => network.faults().slow(members, self.strength),
            FaultKind::Late => network.faults().delay(Duration::from_millis(self.strength.into())),
            FaultKind::Pause => network.pause_member(one),
            FaultKind::Kill => network.kill_member(one),
            FaultKind::Restart => network.restart_member(one),
            FaultKind::KillAll => network.kill_members(members),
            FaultKind::Wipe => {
                network.kill_member(one);
                network.wipe_member(one);
            }
        }
        tokio::time::sleep(self.lasts).await;
        match self.kind {
            FaultKind::Pause => network.resume_member(one),
            FaultKind::Kill | FaultKind::KillAll => network.start_members(members),
            FaultKind::Wipe => network.rejoin_member(one),
            _ => {}
        }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { kind, members, lasts, strength } = self;
        write!(f, "{kind} {members:?} for {:.1} s", lasts.as_secs_f64())?;
        match kind {
            FaultKind::Loss => write!(f, ", {strength} %"),
            FaultKind::Slow => write!(f, ", {strength} kbit/s"),
            FaultKind::Late => write!(f, ", {strength} ms"),
            _ => Ok(()),
        }
    }
}
