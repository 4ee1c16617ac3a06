//! The hidden slots of sealed messages, for whoever looks for their own. Everybody gets the same answer, and a
//! page costs what stands in it, however long the ledger is: sealed messages have a list of their own.

use super::chain::page_size;
use super::transaction::{cursor_text, parse_cursor};
use super::{Failure, Reader};
use crate::store::Cursor;
use sealpost_api::{ApiError, Category, MAX_TAGS, SlotTag, TagPage, TagQuery};
use sealpost_ledger::height::BlockHeight;
use sealpost_ledger::message::SlotRecipient;

/// Messages looked up at once.
const STRIDE: usize = 100;

impl Reader {
    pub(super) fn tags(&self, query: &TagQuery) -> Result<TagPage, Failure> {
        let tip = self.store.tip().height();
        let to = query.to.unwrap_or(tip).min(tip);
        let limit = query.limit.map_or(Ok(MAX_TAGS), |limit| page_size(Some(limit), MAX_TAGS))? as usize;
        let after = query.after.as_deref().map(parse_cursor).transpose()?;
        // The last place before the first height, which is not asked for.
        let before = BlockHeight::new(query.from.get().saturating_sub(1));
        let start = Cursor { height: before, index: u32::MAX };
        let mut at = after.map_or(start, |after| after.max(start));
        if query.to.is_some_and(|to| to < query.from) {
            let text = format!("to: {to} is below from, which is {}", query.from);
            return Err(ApiError::new(Category::Input, "input.range", text).into());
        }
        let mut tags = Vec::new();
        // Each message of that list has a hidden slot at least, so that the limit bounds what is read as well.
        loop {
            let found = self.store.sealed(Some(at), STRIDE)?;
            let last = found.len() < STRIDE;
            for entry in found {
                if entry.height > to {
                    return Ok(TagPage { tags, to, next: None });
                }
                if tags.len() >= limit {
                    return Ok(TagPage { tags, to, next: Some(cursor_text(at)) });
                }
                at = Cursor { height: entry.height, index: entry.index };
                let (height, index, id) = (entry.height, entry.index, entry.transaction.id());
                let slots = entry.transaction.message().map_or(&[][..], |message| &message.slots);
                for (slot, content) in (0_u16..).zip(slots) {
                    if let SlotRecipient::Hidden { ephemeral, view_tag } = content.recipient {
                        let ephemeral = ephemeral.to_vec().into();
                        tags.push(SlotTag { height, index, id, slot, ephemeral, view_tag });
                    }
                }
            }
            if last {
                return Ok(TagPage { tags, to, next: None });
            }
        }
    }
}
