//! What the ledger's rules ask while a run of blocks is verified that the store does not hold yet: the
//! store's answers, with those blocks on top. Bounded by the run, which the caller bounds.

use super::Store;
use sealpost_ledger::chain::VerifiedBlock;
use sealpost_ledger::hash::TransactionId;
use sealpost_ledger::message::Message;
use sealpost_ledger::state::{LedgerView, MemoryState, NodeSource, StateKey, StateRecord, ViewError};

/// A store's view with verified blocks on top of the tip that it had. They may be appended meanwhile.
#[derive(Clone)]
pub struct Ahead {
    store: Store,
    above: MemoryState,
}

impl Ahead {
    /// The store's own view.
    pub fn new(store: Store) -> Self {
        Self { store, above: MemoryState::default() }
    }
    /// Puts a block on top. It follows the one before, or the store's tip.
    pub fn add(&mut self, block: &VerifiedBlock) {
        if let Some(update) = block.update() {
            self.above.apply(update, block.changes());
        }
        self.above.add_transactions(block.block());
    }
}

impl NodeSource for Ahead {
    fn node(&self, key: &[u8]) -> Result<Option<Vec<u8>>, ViewError> {
        match self.above.node(key)? {
            Some(node) => Ok(Some(node)),
            None => self.store.node(key),
        }
    }
    fn value(&self, version: u64, key_hash: &[u8; 32]) -> Result<Option<Vec<u8>>, ViewError> {
        // Versions only grow: a value above is newer than any in the store.
        match self.above.value(version, key_hash)? {
            Some(value) => Ok(Some(value)),
            None => self.store.value(version, key_hash),
        }
    }
}

impl LedgerView for Ahead {
    fn record(&self, key: &StateKey) -> Result<Option<StateRecord>, ViewError> {
        match self.above.record(key)? {
            Some(record) => Ok(Some(record)),
            None => self.store.record(key),
        }
    }
    fn message(&self, id: &TransactionId) -> Result<Option<Message>, ViewError> {
        match self.above.message(id)? {
            Some(message) => Ok(Some(message)),
            None => self.store.message(id),
        }
    }
    fn is_final(&self, id: &TransactionId) -> Result<bool, ViewError> {
        Ok(self.above.is_final(id)? || self.store.is_final(id)?)
    }
}
