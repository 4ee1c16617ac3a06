//! What this node has verified and what waits for a block: so that nothing is verified twice. The pool writes it;
//! whoever verifies reads it, and whoever looks whether there is room.

use sealpost_ledger::hash::TransactionId;
use sealpost_ledger::transaction::{Known, VerifiedTransaction};
use std::sync::{Arc, PoisonError, RwLock};

/// The transactions that wait. Cloning it copies a reference.
#[derive(Debug, Clone, Default)]
pub struct Waiting(Arc<RwLock<Known>>);

impl Waiting {
    /// One waits from now on.
    pub(crate) fn add(&self, transaction: VerifiedTransaction) {
        self.0.write().unwrap_or_else(PoisonError::into_inner).insert(transaction.id(), transaction);
    }
    /// These wait no longer.
    pub(crate) fn remove(&self, ids: impl IntoIterator<Item = TransactionId>) {
        let mut waiting = self.0.write().unwrap_or_else(PoisonError::into_inner);
        for id in ids {
            waiting.remove(&id);
        }
    }
    /// Whether it waits.
    pub(crate) fn contains(&self, id: &TransactionId) -> bool {
        self.0.read().unwrap_or_else(PoisonError::into_inner).contains_key(id)
    }
    /// Those of these that wait.
    pub(crate) fn find(&self, ids: impl IntoIterator<Item = TransactionId>) -> Known {
        let waiting = self.0.read().unwrap_or_else(PoisonError::into_inner);
        ids.into_iter().filter_map(|id| Some((id, waiting.get(&id)?.clone()))).collect()
    }
}
