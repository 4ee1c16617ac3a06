//! Leaving parts out of evidence: what is not to be handed over, and then the blocks that prove nothing any
//! more. What is left holds if the whole did, since no part rests on another one's being there.

use super::Evidence;
use crate::transaction::Payload;
use std::collections::BTreeSet;

/// A part of evidence that concerns one recipient.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SlotPart {
    /// The answer.
    Receipt,
    /// The key bundle that was used.
    Key,
    /// The proof that there was no answer.
    Absence,
}

impl Evidence {
    /// The same evidence with those parts only, of those slots, that are wanted.
    #[must_use]
    pub fn keeping(mut self, wanted: impl Fn(SlotPart, u16) -> bool) -> Self {
        self.receipts.retain(|proven| match proven.transaction.payload() {
            Payload::Receipt(receipt) => wanted(SlotPart::Receipt, receipt.slot),
            // No receipt, and so not of any slot: it stays, to be refused.
            _ => true,
        });
        self.keys.retain(|key| wanted(SlotPart::Key, key.slot));
        self.absences.retain(|absence| wanted(SlotPart::Absence, absence.slot));
        let mut used = BTreeSet::from([self.message.block]);
        used.extend(self.receipts.iter().map(|receipt| receipt.block));
        used.extend(self.keys.iter().map(|key| key.block));
        used.extend(self.absences.iter().map(|absence| absence.block));
        // A change decides the blocks after its own.
        if let Some(last) = used.last().copied() {
            self.validator_changes.retain(|change| change.block < last);
        }
        used.extend(self.validator_changes.iter().map(|change| change.block));
        self.blocks.retain(|block| used.contains(&block.header.height));
        self
    }
}
