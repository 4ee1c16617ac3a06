//! A ledger state in memory: for building a genesis root, for checking a chain without a store, and as
//! the plain model the store is compared with.

use super::tree::{NodeSource, StateUpdate};
use super::{LedgerView, StateKey, StateRecord, ViewError};
use crate::block::Block;
use crate::hash::TransactionId;
use crate::message::Message;
use crate::transaction::SignedTransaction;
use std::collections::{BTreeMap, HashMap};

/// State, tree and final transactions, all in memory.
#[derive(Debug, Clone, Default)]
pub struct MemoryState {
    nodes: HashMap<Vec<u8>, Vec<u8>>,
    values: BTreeMap<([u8; 32], u64), Vec<u8>>,
    records: BTreeMap<StateKey, StateRecord>,
    transactions: HashMap<TransactionId, SignedTransaction>,
}

impl MemoryState {
    /// Takes in a state update and the changes it was made from.
    pub fn apply(&mut self, update: &StateUpdate, changes: &BTreeMap<StateKey, StateRecord>) {
        self.nodes.extend(update.nodes.iter().cloned());
        for (key, value) in &update.values {
            self.values.insert((*key, update.version), value.clone());
        }
        self.records.extend(changes.iter().map(|(key, record)| (key.clone(), record.clone())));
    }
    /// Takes in a block's transactions as final.
    pub fn add_transactions(&mut self, block: &Block) {
        self.transactions.extend(block.transactions().iter().map(|t| (t.id(), t.clone())));
    }
}

impl NodeSource for MemoryState {
    fn node(&self, key: &[u8]) -> Result<Option<Vec<u8>>, ViewError> {
        Ok(self.nodes.get(key).cloned())
    }
    fn value(&self, version: u64, key_hash: &[u8; 32]) -> Result<Option<Vec<u8>>, ViewError> {
        let mut until = self.values.range((*key_hash, 0)..=(*key_hash, version));
        Ok(until.next_back().map(|(_, value)| value.clone()))
    }
}

impl LedgerView for MemoryState {
    fn record(&self, key: &StateKey) -> Result<Option<StateRecord>, ViewError> {
        Ok(self.records.get(key).cloned())
    }
    fn message(&self, id: &TransactionId) -> Result<Option<Message>, ViewError> {
        Ok(self.transactions.get(id).and_then(|transaction| transaction.message().cloned()))
    }
    fn is_final(&self, id: &TransactionId) -> Result<bool, ViewError> {
        Ok(self.transactions.contains_key(id))
    }
}
