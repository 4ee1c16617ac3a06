//! Who is in office, followed from the genesis through a snapshot's blocks: each change stands in a
//! transaction that the set before approved. A header is never believed to name a set by itself.

use crate::store::record::BlockRecord;
use sealpost_ledger::execution::schedule;
use sealpost_ledger::genesis::Genesis;
use sealpost_ledger::transaction::Payload;
use sealpost_ledger::validator::{ScheduledValidators, ValidatorSet};
use std::sync::Arc;

/// The set that decides the next block, and the one that waits for its height.
pub(super) struct InOffice<'a> {
    genesis: &'a Genesis,
    present: Arc<ValidatorSet>,
    scheduled: Option<ScheduledValidators>,
}

impl<'a> InOffice<'a> {
    pub(super) fn new(genesis: &'a Genesis) -> Self {
        Self { genesis, present: Arc::new(genesis.validators().clone()), scheduled: None }
    }
    /// The set that decides the next block.
    pub(super) fn present(&self) -> &ValidatorSet {
        &self.present
    }
    /// Takes in the changes of a block whose certificate and transactions root hold, and checks the set that
    /// its header announces. The error says what is wrong.
    pub(super) fn follow(&mut self, record: &BlockRecord) -> Result<(), String> {
        let height = record.header.height;
        for transaction in &record.transactions {
            if let Payload::Validators(change) = transaction.payload() {
                let (present, pending) = (&self.present, self.scheduled.as_ref());
                let scheduled = schedule(change, height, present, pending, self.genesis);
                self.scheduled =
                    Some(scheduled.map_err(|e| format!("the block's change of validators: {e}"))?);
            }
        }
        let next = height.saturating_add(1);
        if let Some(due) = self.scheduled.take_if(|scheduled| scheduled.effective <= next) {
            self.present = due.validators;
        }
        if record.header.next_validators_hash != self.present.hash() {
            return Err("the block announces validators that no transaction has set".into());
        }
        Ok(())
    }
}
