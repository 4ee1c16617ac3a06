//! What the ledger's rules ask, answered from index and journal.

use super::Store;
use super::index::Index;
use super::journal::Journal;
use sealpost_ledger::hash::TransactionId;
use sealpost_ledger::message::Message;
use sealpost_ledger::state::{LedgerView, NodeSource, StateKey, StateRecord, ViewError};
use sealpost_ledger::transaction::SignedTransaction;

/// Index and journal, while the store is being opened.
pub(super) struct View<'a> {
    pub(super) index: &'a Index,
    pub(super) journal: &'a Journal,
}

impl NodeSource for View<'_> {
    fn node(&self, key: &[u8]) -> Result<Option<Vec<u8>>, ViewError> {
        self.index.node(key)
    }
    fn value(&self, version: u64, key_hash: &[u8; 32]) -> Result<Option<Vec<u8>>, ViewError> {
        self.index.value(version, key_hash)
    }
}

impl LedgerView for View<'_> {
    fn record(&self, key: &StateKey) -> Result<Option<StateRecord>, ViewError> {
        self.index.record(key)
    }
    fn message(&self, id: &TransactionId) -> Result<Option<Message>, ViewError> {
        let Some(place) = self.index.transaction(id)? else { return Ok(None) };
        let bytes = self.journal.transaction(place.height, place.transaction).map_err(ViewError::new)?;
        let Some(bytes) = bytes else { return Ok(None) };
        let transaction = SignedTransaction::from_bytes(&bytes).map_err(ViewError::new)?;
        if transaction.id() != *id {
            return Err(ViewError::new(format_args!(
                "the journal holds another transaction in place of {id}"
            )));
        }
        Ok(transaction.message().cloned())
    }
    fn is_final(&self, id: &TransactionId) -> Result<bool, ViewError> {
        Ok(self.index.transaction(id)?.is_some())
    }
}

impl NodeSource for Store {
    fn node(&self, key: &[u8]) -> Result<Option<Vec<u8>>, ViewError> {
        self.index().node(key)
    }
    fn value(&self, version: u64, key_hash: &[u8; 32]) -> Result<Option<Vec<u8>>, ViewError> {
        self.index().value(version, key_hash)
    }
}

impl LedgerView for Store {
    fn record(&self, key: &StateKey) -> Result<Option<StateRecord>, ViewError> {
        self.index().record(key)
    }
    fn message(&self, id: &TransactionId) -> Result<Option<Message>, ViewError> {
        View { index: self.index(), journal: &self.journal() }.message(id)
    }
    fn is_final(&self, id: &TransactionId) -> Result<bool, ViewError> {
        Ok(self.index().transaction(id)?.is_some())
    }
}
