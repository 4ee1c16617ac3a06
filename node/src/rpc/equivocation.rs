//! The equivocations that this node has recorded.

use super::chain::page_size;
use super::{Failure, Reader};
use sealpost_api::{EquivocationPage, EquivocationView, MAX_PAGE};
use sealpost_ledger::equivocation::Equivocation;

impl Reader {
    pub(super) fn equivocations(
        &self,
        after: Option<u64>,
        limit: Option<u32>,
    ) -> Result<EquivocationPage, Failure> {
        let limit = page_size(limit, MAX_PAGE)? as usize;
        // One more than asked for tells whether there is more.
        let mut found = self.store.equivocations(after.unwrap_or(0), limit.saturating_add(1));
        let more = found.len() > limit;
        found.truncate(limit);
        let next = found.last().map(|(number, _)| *number).or(after);
        let entries = found.iter().map(|(number, found)| self.equivocation_view(*number, found));
        Ok(EquivocationPage { entries: entries.collect(), next, more })
    }
    fn equivocation_view(&self, number: u64, found: &Equivocation) -> EquivocationView {
        let (place, [first, second]) = (found.place(), found.blocks());
        EquivocationView {
            number,
            equivocation: found.to_bytes().into(),
            validator: place.validator,
            name: self.genesis.validator_name(&place.validator).map(Into::into),
            height: place.height,
            round: place.round,
            kind: place.kind.name().into(),
            first,
            second,
        }
    }
}
