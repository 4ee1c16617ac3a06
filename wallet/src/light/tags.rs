//! The hidden slots of sealed messages, as a node lists them. That a list is complete can't be proven; that
//! it is in order, in range and makes headway is checked, and what is found in it is proven afterwards.

use super::node::Node;
use super::{Light, LightError};
use crate::envelope::HiddenSlot;
use sealpost_api::{MAX_TAGS, SealpostRpcClient, SlotTag, TagPage, TagQuery};
use sealpost_ledger::codec::{Decode, Encode};
use sealpost_ledger::hash::TransactionId;
use sealpost_ledger::height::BlockHeight;
use serde::{Deserialize, Serialize};

/// A place on the ledger.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default, Encode, Decode, Serialize, Deserialize,
)]
#[bincode(crate = "sealpost_ledger::codec")]
#[serde(deny_unknown_fields)]
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
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
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
#[derive(Debug, PartialEq, Eq)]
pub struct SlotPage {
    /// The slots, in the order of the ledger.
    pub slots: Vec<ListedSlot>,
    /// Whether more follow behind the last of them.
    pub more: bool,
}

impl Light {
    /// Hidden slots beyond a place up to a height.
    pub async fn hidden_slots(&self, beyond: Position, to: BlockHeight) -> Result<SlotPage, LightError> {
        let from = if beyond.index == u32::MAX { beyond.height.saturating_add(1) } else { beyond.height };
        if from > to {
            return Ok(SlotPage { slots: Vec::new(), more: false });
        }
        let after = Some(format!("{}-{}", beyond.height, beyond.index));
        let query = TagQuery { from, to: Some(to), after, limit: Some(MAX_TAGS) };
        self.through(|node| node.hidden_slots(query.clone(), beyond, to)).await
    }
    /// What a node said of a slot is not so.
    pub(crate) fn wrong_slot(&self, listed: &ListedSlot, reason: &str) -> LightError {
        self.untrusted(format!("slot {} of {}", listed.number, listed.id), reason)
    }
}

impl Node {
    async fn hidden_slots(
        &self,
        query: TagQuery,
        beyond: Position,
        to: BlockHeight,
    ) -> Result<SlotPage, LightError> {
        let page = self.ask(self.client.mailbox_tags(query)).await?;
        let slots = check_page(&page, beyond, to)
            .map_err(|reason| self.untrusted("the hidden slots of sealed messages", reason))?;
        // Another node may have shown the head. What this one does not have yet would be passed over for good.
        if !slots.more && page.to < to {
            return Err(self.behind(page.to, to));
        }
        Ok(slots)
    }
}

/// The slots of a page: beyond that place, up to that height, in order. So a scan makes headway with each page, or
/// is at its end, whatever a node answers.
fn check_page(page: &TagPage, beyond: Position, to: BlockHeight) -> Result<SlotPage, String> {
    let more = page.next.is_some();
    if more && page.tags.is_empty() {
        return Err("a page without any says that more follow".into());
    }
    let mut slots: Vec<ListedSlot> = Vec::with_capacity(page.tags.len());
    for tag in &page.tags {
        let listed = listed(tag).ok_or_else(|| {
            format!("an ephemeral key of {} bytes, 33 is the length", tag.ephemeral.as_bytes().len())
        })?;
        let before = slots.last().map(|last| (last.at, last.number));
        let in_order = before.is_none_or(|before| before < (listed.at, listed.number));
        if !in_order || listed.at <= beyond || listed.at.height > to {
            return Err(format!("slot {} of {} is out of order or out of range", tag.slot, tag.id));
        }
        slots.push(listed);
    }
    Ok(SlotPage { slots, more })
}

fn listed(tag: &SlotTag) -> Option<ListedSlot> {
    let ephemeral = tag.ephemeral.as_bytes().try_into().ok()?;
    let slot = HiddenSlot { ephemeral, view_tag: tag.view_tag };
    let at = Position { height: tag.height, index: tag.index };
    Some(ListedSlot { at, id: tag.id, number: tag.slot, slot })
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn tag(height: u64, index: u32, slot: u16) -> SlotTag {
        let id = TransactionId::from_bytes([7; 32]);
        let ephemeral = vec![2; 33].into();
        SlotTag { height: BlockHeight::new(height), index, id, slot, ephemeral, view_tag: 1 }
    }

    fn judge(tags: Vec<SlotTag>, next: Option<&str>) -> Result<SlotPage, String> {
        let (beyond, to) = (Position { height: BlockHeight::new(5), index: 2 }, BlockHeight::new(9));
        check_page(&TagPage { tags, to, next: next.map(Into::into) }, beyond, to)
    }

    #[test]
    fn a_page_in_order_is_taken() {
        let page = judge(vec![tag(5, 3, 0), tag(5, 3, 1), tag(6, 0, 0), tag(9, 0, 0)], Some("9-0")).unwrap();
        assert_eq!((page.slots.len(), page.more), (4, true));
        assert_eq!(judge(Vec::new(), None), Ok(SlotPage { slots: Vec::new(), more: false }));
    }

    #[test]
    fn a_node_that_repeats_mixes_or_never_ends_is_not_followed() {
        for tags in [
            vec![tag(5, 2, 0)],
            vec![tag(4, 9, 0)],
            vec![tag(10, 0, 0)],
            vec![tag(6, 0, 0), tag(6, 0, 0)],
            vec![tag(6, 1, 0), tag(6, 0, 0)],
            vec![tag(7, 0, 0), tag(6, 0, 0)],
        ] {
            assert!(judge(tags.clone(), None).unwrap_err().contains("out of"), "{tags:?}");
        }
        assert!(judge(Vec::new(), Some("9-0")).unwrap_err().contains("more follow"));
        let short = SlotTag { ephemeral: vec![2; 32].into(), ..tag(6, 0, 0) };
        assert!(judge(vec![short], None).unwrap_err().contains("32 bytes"));
    }
}
