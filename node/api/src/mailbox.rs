//! Lists of an address's transactions.

use crate::{FinalTransaction, Hex};
use sealpost_ledger::hash::TransactionId;
use sealpost_ledger::height::BlockHeight;
use serde::{Deserialize, Serialize};

/// Which list of an address.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MailboxSide {
    /// Open messages to it.
    Received,
    /// Everything it signed.
    Sent,
}

/// Which way a list is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Order {
    /// The oldest first.
    #[default]
    OldestFirst,
    /// The newest first.
    NewestFirst,
}

/// What is asked of `mailbox_list`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MailboxQuery {
    /// Whose.
    pub address: String,
    /// Which list.
    pub side: MailboxSide,
    /// Cursor of the page before, its `next`.
    #[serde(default)]
    pub after: Option<String>,
    /// Entries, [`MAX_PAGE`](crate::MAX_PAGE) at most. Of long ones a page may have fewer.
    #[serde(default)]
    pub limit: Option<u32>,
    /// Which way.
    #[serde(default)]
    pub order: Order,
}

/// A page of a list.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MailboxPage {
    /// The entries.
    pub entries: Vec<MailboxEntry>,
    /// Cursor for what follows. Given even when nothing follows yet, so that new entries can be asked for.
    pub next: Option<String>,
    /// Whether there is more beyond `next` now.
    pub more: bool,
}

/// An entry: the transaction with place and path. Headers are asked for separately, once per block.
pub type MailboxEntry = FinalTransaction;

/// What is asked of `mailbox_tags`. It names nobody: whoever looks for sealed messages asks for all of them, and
/// finds out alone which are for them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TagQuery {
    /// First height.
    pub from: BlockHeight,
    /// Last height; the newest, if none is given.
    #[serde(default)]
    pub to: Option<BlockHeight>,
    /// Only what stands behind this place, `HEIGHT-INDEX`: the `next` of the page before, or where the last
    /// message looked at stands.
    #[serde(default)]
    pub after: Option<String>,
    /// Slots after which a page ends with the message that has them, [`MAX_TAGS`](crate::MAX_TAGS) at most.
    #[serde(default)]
    pub limit: Option<u32>,
}

/// A page of hidden slots, in the order of the ledger.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TagPage {
    /// The slots; all of a message, or none.
    pub tags: Vec<SlotTag>,
    /// The height up to which this page goes, if nothing follows.
    pub to: BlockHeight,
    /// Cursor for what follows, if something does.
    pub next: Option<String>,
}

/// A hidden slot: what its recipient needs to see that it may be theirs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SlotTag {
    /// Height of the block.
    pub height: BlockHeight,
    /// Position of the message in it.
    pub index: u32,
    /// The message.
    pub id: TransactionId,
    /// The slot.
    pub slot: u16,
    /// Its ephemeral key, SEC1 compressed.
    pub ephemeral: Hex,
    /// Its view tag.
    pub view_tag: u8,
}
