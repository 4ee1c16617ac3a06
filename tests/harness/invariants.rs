//! What must hold whatever happened. The numbers are those of `docs/testing.md`:
//!
//! I1 no two nodes differ at any height · I2 what was reported final is on every node · I3 the data of every
//! stopped node is sound · I4 no transaction stands twice · I5 a message becomes final soon after faults end ·
//! I6 nobody panics or ends of himself · I7 memory stays bounded · I8 nobody signed twice · I9 the test was
//! one: faults fired, heights moved, messages flowed.
//!
//! I1, I2 and I5 to I8 are asked of running nodes, I3 and I4 at the end.

use super::load::{Messages, probe};
use super::network::Network;
use futures::StreamExt as _;
use futures::stream;
use sealpost_api::{BlockId, EquivocationView, MAX_HEADERS, MAX_PAGE, SealpostRpcClient, TransactionStatus};
use sealpost_ledger::hash::{BlockHash, TransactionId};
use sealpost_ledger::height::BlockHeight;
use sealpost_ledger::signature::PublicKey;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::time::{Duration, Instant};

/// Questions to one node at once.
const AT_ONCE: usize = 16;
/// Blocks read again at each check: a fork would be found even if it was noticed late.
const AGAIN: u64 = 100;

/// How long recovery may take, and how much memory a node may have.
#[derive(Debug, Clone, Copy)]
pub struct Bounds {
    /// From the end of all faults until a message to any node is final there, and until all are level.
    pub recovery: Duration,
    /// A process's most memory.
    pub memory_kib: u64,
}

/// What was seen over the whole run.
#[derive(Debug)]
pub struct Invariants {
    bounds: Bounds,
    messages: Messages,
    chain: BTreeMap<BlockHeight, BlockHash>,
    places: HashMap<TransactionId, BlockHash>,
    /// Height that every member was seen to have reached; single ones may be ahead.
    level: u64,
    checks: u32,
    slowest_recovery: Duration,
    /// Members that break the rules on purpose: of them nothing is expected.
    liars: BTreeSet<usize>,
    /// Validators of whom double statements may be seen.
    suspects: BTreeSet<PublicKey>,
}

/// What a whole run has shown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verdict {
    /// Height that all nodes had at the end.
    pub height: u64,
    /// Messages that were reported final and are on every node.
    pub messages: usize,
    /// Checks after faults, all passed.
    pub checks: u32,
    /// The longest that a network took to be well again.
    pub slowest_recovery: Duration,
    /// The most memory of each member that keeps the rules, in KiB.
    pub peak_kib: Vec<(String, u64)>,
}

impl Invariants {
    /// Nothing seen yet.
    pub fn new(network: &Network, bounds: Bounds) -> Self {
        Self {
            bounds,
            messages: Messages::new(network.genesis().clone()),
            chain: BTreeMap::new(),
            places: HashMap::new(),
            level: 0,
            checks: 0,
            slowest_recovery: Duration::ZERO,
            liars: BTreeSet::new(),
            suspects: BTreeSet::new(),
        }
    }
    /// From now on this member is not among those for whom everything must hold, and it may be seen to sign twice.
    pub fn distrust(&mut self, network: &Network, member: usize) {
        self.liars.insert(member);
        self.suspects.insert(network.validator_key(member));
    }
    /// The running members that keep the rules.
    fn honest(&self, network: &Network) -> Vec<usize> {
        network.running().into_iter().filter(|member| !self.liars.contains(member)).collect()
    }
    /// Whether a block is among those that were seen to be final.
    pub fn has(&self, block: &BlockHash) -> bool {
        self.chain.values().any(|known| known == block)
    }
    /// The height up to which all nodes were seen to agree.
    pub fn height(&self) -> u64 {
        self.chain.keys().next_back().map_or(0, |height| height.get())
    }

    /// Checks a network whose faults are over and whose members all run. Says how long recovery took, or what
    /// does not hold.
    pub async fn check(
        &mut self,
        network: &mut Network,
        acknowledged: &[TransactionId],
    ) -> Result<Duration, String> {
        self.check_processes(network)?;
        let before = self.height();
        let recovery = self.check_recovery(network).await?;
        let from = before.saturating_sub(AGAIN) + 1;
        for member in self.honest(network) {
            self.check_agreement(network, member, from).await?;
        }
        let unseen: Vec<TransactionId> =
            acknowledged.iter().filter(|id| !self.places.contains_key(id)).copied().collect();
        self.check_kept(network, &unseen).await?;
        self.check_equivocations(network).await?;
        self.check_processes(network)?;
        if self.height() <= before {
            return Err(format!("I9: no block since the last check, at height {before}"));
        }
        self.checks += 1;
        Ok(recovery)
    }

    /// Checks everything, stops the network, and checks what lies on its disks.
    pub async fn finish(
        mut self,
        network: &mut Network,
        acknowledged: &[TransactionId],
    ) -> Result<Verdict, String> {
        self.check(network, acknowledged).await?;
        for member in self.honest(network) {
            self.check_agreement(network, member, 1).await?;
            self.check_no_duplicates(network, member, acknowledged).await?;
        }
        let honest = self.honest(network);
        for member in &honest {
            network.stop_member(*member);
        }
        for member in honest {
            let output = network.check_member(member);
            let (said, wrong) =
                (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
            let name = network.name(member);
            if !output.status.success() {
                return Err(format!("I3: {name}: check: {}\n{said}\n{wrong}", output.status));
            }
            let report: serde_json::Value =
                serde_json::from_str(&said).map_err(|error| format!("I3: {name}: {error}: {said}"))?;
            let blocks = report["blocks"].as_u64().unwrap_or(0);
            if blocks < self.level {
                return Err(format!("I3: {name} has {blocks} blocks on disk of {}", self.level));
            }
        }
        self.check_logs(network)?;
        let peak = |member| (network.name(member).to_owned(), network.peak_memory_kib(member));
        Ok(Verdict {
            height: self.height(),
            messages: acknowledged.len(),
            checks: self.checks,
            slowest_recovery: self.slowest_recovery,
            peak_kib: network.all().filter(|member| !self.liars.contains(member)).map(peak).collect(),
        })
    }

    /// I5: a message to any member is final there in time, and then all are level.
    async fn check_recovery(&mut self, network: &Network) -> Result<Duration, String> {
        let (since, within) = (Instant::now(), self.bounds.recovery);
        let left = || within.saturating_sub(since.elapsed());
        for member in self.honest(network) {
            let probed = probe(network.client(member), &self.messages, left()).await;
            probed.map_err(|error| {
                format!(
                    "I5: a message to {} after the faults: {error} (within {within:?})",
                    network.name(member)
                )
            })?;
        }
        let mut top = BlockHeight::GENESIS;
        for member in self.honest(network) {
            top = top.max(height(network, member).await?);
        }
        for member in self.honest(network) {
            if !network.reaches(member, top, left()).await {
                let at = height(network, member).await;
                let name = network.name(member);
                return Err(format!("I5: {name} is at {at:?} and not at {top} {within:?} after the faults"));
            }
        }
        self.level = self.level.max(top.get());
        let recovery = since.elapsed();
        self.slowest_recovery = self.slowest_recovery.max(recovery);
        Ok(recovery)
    }

    /// I1: a member's blocks are the ones seen on the others.
    async fn check_agreement(&mut self, network: &Network, member: usize, from: u64) -> Result<(), String> {
        let (client, name) = (network.client(member), network.name(member));
        let (mut from, expected) = (from, self.level);
        loop {
            let headers = client.chain_headers(BlockHeight::new(from), MAX_HEADERS).await;
            let headers = headers.map_err(|error| format!("I1: {name}: headers from {from}: {error}"))?;
            let Some(last) = headers.last() else { break };
            let next = last.view.height.get() + 1;
            for (offset, header) in (from..).zip(&headers) {
                let (height, hash) = (header.view.height, header.view.hash);
                if height.get() != offset {
                    return Err(format!("I1: {name} gave block {height} in the place of {offset}"));
                }
                let known = self.chain.entry(height).or_insert(hash);
                if *known != hash {
                    return Err(format!("I1: FORK at {height}: {name} has {hash}, others {known}"));
                }
            }
            from = next;
        }
        if from <= expected {
            return Err(format!("I1: {name} ends at {}, others have {expected}", from - 1));
        }
        Ok(())
    }

    /// I2: what was reported final is final on every member, in the same block.
    async fn check_kept(&mut self, network: &Network, ids: &[TransactionId]) -> Result<(), String> {
        for member in self.honest(network) {
            let (client, name) = (network.client(member), network.name(member));
            let mut answers = stream::iter(ids)
                .map(|id| async move { (*id, client.tx_status(*id).await) })
                .buffer_unordered(AT_ONCE);
            while let Some((id, answer)) = answers.next().await {
                match answer {
                    Ok(TransactionStatus::Final(place)) => {
                        let known = self.places.entry(id).or_insert(place.block);
                        if *known != place.block {
                            return Err(format!(
                                "I2: {id} is in {} on {name}, in {known} elsewhere",
                                place.block
                            ));
                        }
                    }
                    other => return Err(format!("I2: LOST {id}, reported final, is {other:?} on {name}")),
                }
            }
        }
        Ok(())
    }

    /// I4, and I2 once more by reading every block: no transaction stands twice, and none is missing.
    async fn check_no_duplicates(
        &self,
        network: &Network,
        member: usize,
        acknowledged: &[TransactionId],
    ) -> Result<(), String> {
        let (client, name) = (network.client(member), network.name(member));
        let mut seen = BTreeSet::new();
        let mut blocks = stream::iter(self.chain.keys())
            .map(|height| async move {
                let (mut ids, mut from) = (Vec::new(), None);
                loop {
                    let page = client.chain_block(BlockId::Height(*height), from, Some(MAX_PAGE)).await?;
                    ids.extend(page.transactions.iter().map(|transaction| transaction.id));
                    from = page.next;
                    if from.is_none() {
                        return Ok::<_, jsonrpsee::core::ClientError>((*height, ids));
                    }
                }
            })
            .buffered(AT_ONCE);
        while let Some(block) = blocks.next().await {
            let (height, ids) = block.map_err(|error| format!("I4: {name}: a block: {error}"))?;
            for id in ids {
                if !seen.insert(id) {
                    return Err(format!("I4: {id} stands twice on {name}, again in block {height}"));
                }
            }
        }
        match acknowledged.iter().find(|id| !seen.contains(id)) {
            Some(id) => Err(format!("I2: LOST {id}, reported final, is in no block of {name}")),
            None => Ok(()),
        }
    }

    /// I6 and I7: everybody lives, within its memory.
    fn check_processes(&self, network: &mut Network) -> Result<(), String> {
        let ended = network.ended();
        if let Some((_, ended)) = ended.iter().find(|(member, _)| !self.liars.contains(member)) {
            return Err(format!("I6: {ended}"));
        }
        for member in network.all().filter(|member| !self.liars.contains(member)) {
            let (peak, bound) = (network.peak_memory_kib(member), self.bounds.memory_kib);
            if peak > bound {
                let name = network.name(member);
                return Err(format!("I7: {name} had {peak} KiB, {bound} are allowed"));
            }
        }
        self.check_logs(network)
    }

    /// I8: no node has seen a validator sign twice that is not among the suspects.
    async fn check_equivocations(&self, network: &Network) -> Result<(), String> {
        for member in self.honest(network) {
            let name = network.name(member);
            let seen = equivocations(network, member).await?;
            if let Some(seen) = seen.iter().find(|seen| !self.suspects.contains(&seen.validator)) {
                return Err(format!("I8: {name} has seen a validator sign twice: {seen:?}"));
            }
        }
        Ok(())
    }

    fn check_logs(&self, network: &Network) -> Result<(), String> {
        for member in network.all() {
            let log = network.log(member);
            if let Some(line) = log.lines().find(|line| line.contains("panicked at")) {
                return Err(format!("I6: {}: {line}", network.name(member)));
            }
        }
        Ok(())
    }
}

/// What a member has seen validators sign twice, all of it.
pub async fn equivocations(network: &Network, member: usize) -> Result<Vec<EquivocationView>, String> {
    let (mut seen, mut after) = (Vec::new(), None);
    loop {
        let page = network.client(member).chain_equivocations(after, None).await;
        let page = page.map_err(|error| format!("I8: {}: {error}", network.name(member)))?;
        seen.extend(page.entries);
        if !page.more {
            return Ok(seen);
        }
        after = page.next;
    }
}

async fn height(network: &Network, member: usize) -> Result<BlockHeight, String> {
    let status = network.client(member).node_status().await;
    status.map(|status| status.height).map_err(|error| format!("I5: {}: {error}", network.name(member)))
}
