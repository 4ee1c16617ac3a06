//! A machine of the network: a validator, its disk, its mempool and its clock.

use crate::disk::Disk;
use sealpost_ledger::address::Address;
use sealpost_ledger::genesis::Genesis;
use sealpost_ledger::hash::TransactionId;
use sealpost_ledger::height::BlockHeight;
use sealpost_ledger::state::{LedgerView, StateKey, StateRecord};
use sealpost_ledger::transaction::VerifiedTransaction;
use sealpost_node::consensus::Disk as _;
use sealpost_node::consensus::Pool;
use sealpost_node::consensus::simulation::{Replica, Seat, VoteLog};
use sealpost_node::mempool::{Inserted, Mempool, MempoolLimits, Standing};
use std::sync::Arc;

/// A machine.
pub struct Machine {
    /// Whose key it votes with.
    pub seat: Seat,
    /// Whether it keeps the rules.
    pub honest: bool,
    /// Of a hundred occasions to break them it takes so many.
    pub zeal: usize,
    /// What outlives a crash, besides its log of votes.
    pub disk: Disk,
    /// Its log of votes while it is down.
    pub log: VoteLog,
    /// The validator, while it runs.
    pub replica: Option<Replica<Disk>>,
    /// Its mempool.
    pub pool: Mempool,
    /// Milliseconds that its clock is ahead of the true time.
    pub skew: i64,
    /// The highest block that it has reported final.
    pub reported: BlockHeight,
    /// When it is woken next.
    pub alarm: Option<u64>,
    /// Whether an answer of its application is on its way.
    pub stepping: bool,
    /// Until then it waits for an answer of a peer.
    pub asking_until: u64,
    /// Until then it does nothing.
    pub paused_until: u64,
    /// Accusations on its disk that were looked at.
    pub accusations: usize,
}

impl Machine {
    /// A new one that is not started yet.
    pub fn new(seat: Seat, genesis: &Arc<Genesis>, syncs: bool, limits: MempoolLimits) -> Self {
        Self {
            seat,
            honest: true,
            zeal: 0,
            disk: Disk::new(genesis, syncs),
            log: VoteLog::default(),
            replica: None,
            pool: Mempool::new(limits, genesis.postage().strangers_percent),
            skew: 0,
            reported: BlockHeight::GENESIS,
            alarm: None,
            stepping: false,
            asking_until: 0,
            paused_until: 0,
            accusations: 0,
        }
    }
    /// The height of its last block, while it runs.
    pub fn height(&self) -> Option<BlockHeight> {
        self.replica.as_ref().map(Replica::height)
    }
    /// Takes a transaction into the mempool, if it may stand in the next block. Says whether it is new here.
    pub fn admit(&mut self, transaction: VerifiedTransaction) -> bool {
        let tip = self.disk.tip();
        if tip.check(&self.disk, &transaction).is_err() {
            return false;
        }
        let standing = self.standing(&transaction.signed().sender());
        let inserted = self.pool.insert(transaction, standing, tip.height());
        if inserted == Ok(Inserted::New)
            && let Some(replica) = &mut self.replica
        {
            replica.want();
        }
        inserted == Ok(Inserted::New)
    }
    fn standing(&self, sender: &Address) -> Standing {
        match self.disk.record(&StateKey::Member(*sender)) {
            Ok(Some(StateRecord::Member(record))) if record.is_member() => Standing::Member,
            _ => Standing::Stranger,
        }
    }
}

/// The mempool as consensus sees it.
pub struct Waiting<'a>(pub &'a Mempool);

impl Pool for Waiting<'_> {
    fn candidates(&self, max_bytes: usize, max_strangers_bytes: usize) -> Vec<VerifiedTransaction> {
        self.0.take(max_bytes, max_strangers_bytes)
    }
    fn waiting(&self, ids: Vec<TransactionId>) -> Vec<VerifiedTransaction> {
        ids.iter().filter_map(|id| self.0.get(id)).cloned().collect()
    }
}
