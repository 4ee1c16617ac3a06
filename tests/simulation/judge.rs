//! What must hold, whatever happens. The judge keeps a chain of its own and checks each block by itself.

use sealpost_ledger::block::Block;
use sealpost_ledger::chain::{CommittedBlock, Tip, verify_block};
use sealpost_ledger::genesis::Genesis;
use sealpost_ledger::hash::{BlockHash, TransactionId};
use sealpost_ledger::height::BlockHeight;
use sealpost_ledger::signature::PublicKey;
use sealpost_ledger::state::MemoryState;
use sealpost_node::consensus::simulation::Said;
use sealpost_node::mempool::{Mempool, MempoolLimits};
use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::sync::Arc;

/// What did not hold.
pub type Broken = String;

/// The judge.
pub struct Judge {
    genesis: Arc<Genesis>,
    tips: Vec<Tip>,
    state: MemoryState,
    transactions: HashSet<TransactionId>,
    said: BTreeMap<(PublicKey, BlockHeight, u32, &'static str), Said>,
    honest: BTreeSet<PublicKey>,
    /// Blocks whose headers name another than who made them.
    foisted: BTreeSet<BlockHash>,
    limits: MempoolLimits,
}

impl Judge {
    /// Those with these keys keep the rules, and mempools these bounds.
    pub fn new(genesis: &Arc<Genesis>, honest: BTreeSet<PublicKey>, limits: MempoolLimits) -> Self {
        let (tip, first) = Tip::genesis(genesis.clone()).expect("a state in memory answers");
        let mut state = MemoryState::default();
        state.apply(&first.update, &first.changes);
        let (transactions, said, foisted) = Default::default();
        Self { genesis: genesis.clone(), tips: vec![tip], state, transactions, said, honest, foisted, limits }
    }
    /// The end of the chain, as far as anybody has it.
    pub fn tip(&self) -> &Tip {
        self.tips.last().expect("at least the genesis")
    }
    /// The chain's end when it had that height.
    pub fn tip_at(&self, height: BlockHeight) -> Option<&Tip> {
        self.tips.get(usize::try_from(height.get()).ok()?)
    }
    /// A node that keeps the rules holds a block for final. `latest_ms` is what the fastest of their clocks shows.
    pub fn check_final(
        &mut self,
        node: usize,
        block: &CommittedBlock,
        latest_ms: u64,
    ) -> Result<bool, Broken> {
        let header = block.block().header();
        let (height, hash) = (header.height, block.block().hash());
        let parent = height.previous().and_then(|parent| self.tip_at(parent)).cloned();
        let Some(parent) = parent else {
            return Err(format!("node {node} decided block {height}, and nobody has the one before"));
        };
        if let Some(known) = self.tip_at(height) {
            if known.block() != hash {
                let known = known.block();
                return Err(format!("FORK: node {node} decided {hash} at height {height}, others {known}"));
            }
            // Its certificate was checked there, and is checked once more by whoever joins.
            return Ok(false);
        }
        let certificate = block.certificate();
        if let Err(error) = certificate.verify(&self.genesis.chain_id(), height, &hash, parent.validators()) {
            return Err(format!("node {node} decided block {height} with a false certificate: {error}"));
        }
        let drift_ms = u64::from(self.genesis.timing().clock_drift_ms);
        if header.time_ms > latest_ms + drift_ms {
            let ahead = header.time_ms - latest_ms;
            return Err(format!("block {height} is of a time {ahead} ms ahead of every clock"));
        }
        let read = Block::from_bytes(&block.block().to_bytes())
            .map_err(|error| format!("block {height} does not read back: {error}"))?;
        let verified = verify_block(&parent, &self.state, read, None)
            .map_err(|error| format!("block {height} breaks the ledger's rules: {error}"))?;
        let committed = verified.commit(certificate.clone()).map_err(|error| error.to_string())?;
        for transaction in committed.block().transactions() {
            if !self.transactions.insert(transaction.id()) {
                return Err(format!("transaction {} stands in block {height} and before", transaction.id()));
            }
        }
        if let Some(update) = committed.verified().update() {
            self.state.apply(update, committed.verified().changes());
        }
        self.state.add_transactions(committed.block());
        self.tips.push(committed.tip().clone());
        Ok(true)
    }
    /// A validator that keeps the rules has said something. It may say it again, and nothing else.
    pub fn check_said(&mut self, said: Said) -> Result<(), Broken> {
        let place = (said.validator, said.height, said.round, said.kind);
        match self.said.insert(place, said) {
            Some(before) if before != said => {
                let Said { kind, height, round, .. } = said;
                let block = |said: Said| said.block.map_or("none".to_owned(), |hash| hash.to_string());
                Err(format!(
                    "two {kind}s of {} at height {height}, round {round}: {}, then {}",
                    said.validator,
                    block(before),
                    block(said)
                ))
            }
            _ => Ok(()),
        }
    }
    /// A block was made in another's name.
    pub fn foist(&mut self, block: Option<BlockHash>) {
        self.foisted.extend(block);
    }
    /// Whether it was.
    pub fn is_foisted(&self, block: &BlockHash) -> bool {
        self.foisted.contains(block)
    }
    /// The one it names has made the same.
    pub fn clear(&mut self, block: &BlockHash) {
        self.foisted.remove(block);
    }
    /// Somebody is recorded to have said two things.
    pub fn check_accused(&self, validator: &PublicKey) -> Result<(), Broken> {
        if self.honest.contains(validator) {
            return Err(format!("{validator} keeps the rules, and is recorded to have said two things"));
        }
        Ok(())
    }
    /// A mempool is within its bounds, and holds nothing that is final.
    pub fn check_mempool(&self, node: usize, pool: &Mempool) -> Result<(), Broken> {
        let (count, bytes) = (pool.len(), pool.bytes());
        if count > self.limits.count || bytes > self.limits.bytes {
            return Err(format!("the mempool of node {node} holds {count} transactions of {bytes} bytes"));
        }
        let waiting: Vec<_> = pool.ids().filter_map(|id| pool.get(&id)).collect();
        let sum: usize = waiting.iter().map(|transaction| transaction.bytes()).sum();
        if waiting.len() != count || sum != bytes {
            return Err(format!(
                "the mempool of node {node} counts {count} of {bytes} bytes, there are {sum}"
            ));
        }
        let mut senders = BTreeMap::<_, usize>::new();
        for transaction in &waiting {
            *senders.entry(transaction.signed().sender()).or_default() += 1;
        }
        if senders.values().any(|count| *count > self.limits.per_sender) {
            return Err(format!("the mempool of node {node} holds more of one sender than it may"));
        }
        Ok(())
    }
}
