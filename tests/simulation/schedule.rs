//! What a seed stands for: how large the network is, what its lines are like, who breaks the rules and how, and for
//! how long things go wrong.

use crate::people::People;
use sealpost_ledger::address::{Address, AddressPrefix};
use sealpost_ledger::genesis::{
    GENESIS_FORMAT, Genesis, GenesisFile, GenesisValidator, Limits, PostageRules, Timing,
};
use sealpost_ledger::signature::SigningKey;
use sealpost_node::consensus::simulation::Rules;
use sealpost_node::mempool::MempoolLimits;
use sealpost_tests::harness::random::Random;
use std::ops::RangeInclusive;
use std::sync::Arc;

/// When all begins, in milliseconds since 1970.
pub const EPOCH_MS: u64 = 1_700_000_000_000;

/// A rule that is switched off on purpose: the simulation has to notice.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Broken {
    /// A validator that starts again has forgotten its votes
    Wal,
    /// Writes are not synced
    Fsync,
    /// Blocks of the far future are taken
    Clock,
    /// So many run on two machines each that each half of the others can decide with them
    Third,
    /// Mempools are larger than they may be
    Mempool,
    /// The last partition never ends
    Heal,
}

/// Lines between nodes. Of 1,000 messages so many suffer each.
#[derive(Debug, Clone, Copy)]
pub struct Lines {
    /// Lost.
    pub lost: u64,
    /// Delivered twice.
    pub doubled: u64,
    /// Late by seconds.
    pub late: u64,
    /// All others take up to so many milliseconds.
    pub delay: u64,
}

impl Lines {
    /// Lines with nothing wrong.
    pub const GOOD: Self = Self { lost: 0, doubled: 0, late: 0, delay: 40 };

    /// Some lines with something wrong.
    pub fn bad(random: &mut Random) -> Self {
        let up_to = |random: &mut Random, most: usize| random.below(most + 1) as u64;
        let lost = [0, 20, 100, 300][random.below(4)];
        let delay = [50, 300, 1_500][random.below(3)];
        Self {
            lost: up_to(random, lost),
            doubled: up_to(random, 150),
            late: up_to(random, 60),
            delay: 5 + up_to(random, delay),
        }
    }
}

/// How a validator behaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Conduct {
    /// As it should.
    Honest,
    /// It does, of so many of a hundred occasions, what it should not.
    Byzantine {
        /// Of a hundred.
        zeal: usize,
    },
    /// Its key runs on another machine, too: this one or that.
    Twin,
}

/// What seeds are to stand for.
#[derive(Debug, Clone)]
pub struct Range {
    /// Validators, at least and at most.
    pub nodes: RangeInclusive<usize>,
    /// Seconds for which things go wrong, at least and at most.
    pub seconds: RangeInclusive<usize>,
    /// What is switched off.
    pub broken: Option<Broken>,
}

/// The schedule of a seed.
#[derive(Debug, Clone)]
pub struct Schedule {
    /// Power of each validator.
    pub powers: Vec<u64>,
    /// How each behaves.
    pub conduct: Vec<Conduct>,
    /// Milliseconds for which things go wrong.
    pub trouble_ms: u64,
    /// Mean milliseconds between two faults.
    pub fault_every_ms: usize,
    /// The lines at first.
    pub lines: Lines,
    /// Bodies of messages have so many bytes at most. Blocks with large ones travel in several parts.
    pub body_bytes: usize,
    /// Milliseconds between two transactions, roughly.
    pub transaction_every_ms: usize,
    /// Milliseconds between blocks at least, and at most.
    pub interval_ms: u32,
    /// As above.
    pub heartbeat_ms: u32,
    /// Whether validators come and go.
    pub changes: bool,
    /// Whether those who break the rules go on when all else is well again.
    pub unrepentant: bool,
    /// What is switched off.
    pub broken: Option<Broken>,
}

impl Schedule {
    /// What a seed stands for.
    pub fn of(random: &mut Random, range: &Range) -> Self {
        let broken = range.broken;
        let within = |random: &mut Random, range: &RangeInclusive<usize>| {
            range.start() + random.below(range.end() - range.start() + 1)
        };
        let count = within(random, &range.nodes);
        let mut powers = vec![1; count];
        let uneven = random.below(4) == 0 && broken != Some(Broken::Third);
        let mut conduct = vec![Conduct::Honest; count];
        let faulty = match broken {
            Some(Broken::Third) => too_many(count),
            Some(Broken::Clock) => 1,
            _ if random.below(3) == 0 => 0,
            _ => 1 + random.below((count - 1) / 3),
        };
        let mut others: Vec<usize> = (0..count).collect();
        for _ in 0..faulty {
            let which = others.swap_remove(random.below(others.len()));
            let twin = broken == Some(Broken::Third) || (broken.is_none() && random.below(3) == 0);
            let zeal = if broken == Some(Broken::Clock) { 90 } else { [10, 40, 90][random.below(3)] };
            conduct[which] = if twin { Conduct::Twin } else { Conduct::Byzantine { zeal } };
        }
        if uneven {
            // Those who keep the rules have more of it: the faulty stay below a third.
            for which in others {
                powers[which] += random.below(3) as u64;
            }
        }
        Self {
            powers,
            conduct,
            trouble_ms: 1_000 * within(random, &range.seconds) as u64,
            fault_every_ms: 1_000 + random.below(15_000),
            lines: if random.below(4) == 0 { Lines::GOOD } else { Lines::bad(random) },
            body_bytes: if random.below(5) == 0 { 60_000 } else { 300 },
            transaction_every_ms: match broken {
                Some(Broken::Mempool) => 50,
                _ => 300 + random.below(6_000),
            },
            interval_ms: [0, 500, 2_000][random.below(3)],
            heartbeat_ms: 4_000 + random.below(12_000) as u32,
            changes: broken != Some(Broken::Third) && random.below(3) == 0,
            unrepentant: random.below(2) == 0,
            broken,
        }
    }
    /// The rules that validators keep who keep them.
    pub fn rules(&self) -> Rules {
        if self.broken == Some(Broken::Clock) { Rules::NoClock } else { Rules::Kept }
    }
    /// The bounds that mempools have to keep.
    pub const fn limits(&self) -> MempoolLimits {
        MempoolLimits { bytes: 4_000 + 5 * self.body_bytes, count: 14, per_sender: 5, max_age: 30 }
    }
    /// The bounds of the mempools: wider ones for the control that they are looked at.
    pub fn mempools(&self) -> MempoolLimits {
        let limits = self.limits();
        let times = if self.broken == Some(Broken::Mempool) { 10 } else { 1 };
        MempoolLimits { count: times * limits.count, bytes: times * limits.bytes, ..limits }
    }
    /// The network's genesis.
    pub fn genesis(&self, keys: &[Arc<SigningKey>]) -> Genesis {
        let validators = keys.iter().zip(&self.powers).enumerate().map(|(n, (key, power))| {
            GenesisValidator { name: format!("validator-{n}"), public_key: key.public_key(), power: *power }
        });
        let prefix = AddressPrefix::new("sim").expect("a prefix");
        let members =
            People::keys().into_iter().take(2).map(|key| Address::new(key.public_key()).to_text(&prefix));
        Genesis::new(GenesisFile {
            format: GENESIS_FORMAT.into(),
            chain_name: "simulation".into(),
            address_prefix: "sim".into(),
            time_ms: EPOCH_MS,
            validators: validators.collect(),
            limits: Limits { block_bytes: 256 << 10, body_bytes: 64 << 10, slots: 4, expiry_window: 100 },
            postage: PostageRules { floor: 0, strangers_percent: 60, member_quota_bytes: 4 << 10 },
            timing: Timing {
                block_interval_ms: self.interval_ms,
                heartbeat_ms: self.heartbeat_ms,
                clock_drift_ms: 10_000,
            },
            members: members.collect(),
            retention_blocks: 0,
        })
        .expect("a genesis that holds")
    }
}

/// So many twins that each half of the others, together with them, decides without the other half.
fn too_many(count: usize) -> usize {
    (1..count).find(|twins| ((count - twins) / 2 + twins) * 3 > 2 * count).unwrap_or(count - 1)
}
