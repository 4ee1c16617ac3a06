//! Lists of an address's transactions.

use crate::FinalTransaction;
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
    /// Entries, [`MAX_PAGE`](crate::MAX_PAGE) at most.
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
