//! The hidden slots of sealed messages, as a node lists them. That a list is complete can't be proven; that
//! it is in order, in range and makes headway is checked, and what is found in it is proven afterwards.

use super::{Light, LightError};
use crate::envelope::HiddenSlot;
use sealpost_api::{MAX_TAGS, SealpostRpcClient, SlotTag, TagQuery};
use sealpost_ledger::codec::{Decode, Encode};
use sealpost_ledger::hash::TransactionId;
use sealpost_ledger::height::BlockHeight;

/// A place on the ledger.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default, Encode, Decode)]
#[bincode(crate = "sealpost_ledger::codec")]
pub struct Position {
    /// Height of the block.
    pub height: BlockHeight,
    /// Position in it.
    pub index: u32,
}

impl Position {
    /// Behind everything in a block.
    pub const fn end_of(height: BlockHeight) -> Self {
        Self { height, index: u32::MAX }
    }
}

/// A hidden slot and where it stands.
#[derive(Debug, Clone, Copy)]
pub struct ListedSlot {
    /// Where its message stands.
    pub at: Position,
    /// The message.
    pub id: TransactionId,
    /// The slot's number.
    pub number: u16,
    /// The slot.
    pub slot: HiddenSlot,
}

/// A page of hidden slots.
#[derive(Debug)]
pub struct SlotPage {
    /// The slots, in the order of the ledger.
    pub slots: Vec<ListedSlot>,
    /// Where to go on; nothing if the range is through.
    pub next: Option<String>,
}

impl Light {
    /// Hidden slots beyond a place up to a height. `cursor` is the page before's.
    pub async fn hidden_slots(
        &self,
        beyond: Position,
        to: BlockHeight,
        cursor: Option<String>,
    ) -> Result<SlotPage, LightError> {
        let from = if beyond.index == u32::MAX { beyond.height.saturating_add(1) } else { beyond.height };
        if from > to {
            return Ok(SlotPage { slots: Vec::new(), next: None });
        }
        let query = TagQuery { from, to: Some(to), after: cursor, limit: Some(MAX_TAGS) };
        let page = self.ask(self.client.mailbox_tags(query)).await?;
        let wrong = |reason: String| self.untrusted("the hidden slots of sealed messages", reason);
        if page.next.is_some() && page.tags.is_empty() {
            return Err(wrong("a page without any says that more follow".into()));
        }
        let mut slots = Vec::with_capacity(page.tags.len());
        let mut last = None;
        for tag in page.tags {
            let listed = listed(&tag).ok_or_else(|| {
                wrong(format!("an ephemeral key of {} bytes, 33 is the length", tag.ephemeral.0.len()))
            })?;
            let here = (listed.at, listed.number);
            if last.is_some_and(|last| last >= here) || listed.at.height > to {
                return Err(wrong(format!("slot {} of {} is out of order", tag.slot, tag.id)));
            }
            last = Some(here);
            // A scan that goes on begins in the middle of a block.
            if listed.at > beyond {
                slots.push(listed);
            }
        }
        Ok(SlotPage { slots, next: page.next })
    }
    /// What a node said of a slot is not so.
    pub(crate) fn wrong_slot(&self, listed: &ListedSlot, reason: &str) -> LightError {
        self.untrusted(format!("slot {} of {}", listed.number, listed.id), reason)
    }
}

fn listed(tag: &SlotTag) -> Option<ListedSlot> {
    let ephemeral = tag.ephemeral.0.as_slice().try_into().ok()?;
    let slot = HiddenSlot { ephemeral, view_tag: tag.view_tag };
    let at = Position { height: tag.height, index: tag.index };
    Some(ListedSlot { at, id: tag.id, number: tag.slot, slot })
}
