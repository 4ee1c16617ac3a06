//! Final transactions, their bodies, receipts and lists.

use super::chain::page_size;
use super::page::Page;
use super::{Failure, Reader};
use crate::store::{Cursor, FoundBody, Located, Order};
use sealpost_api::{
    ApiError, BundleView, Category, FinalTransaction, Hex, MAX_PAGE, MailboxPage, MailboxQuery, MailboxSide,
    MessageView, PayloadView, Place, PostageQuote, ReceiptView, SlotView, TransactionView,
};
use sealpost_ledger::block::Header;
use sealpost_ledger::hash::{BlockHash, TransactionId};
use sealpost_ledger::height::BlockHeight;
use sealpost_ledger::key_bundle::KeyBundle;
use sealpost_ledger::merkle::Node;
use sealpost_ledger::message::{Message, Mode, SlotRecipient};
use sealpost_ledger::postage;
use sealpost_ledger::receipt::{Answer, Receipt};
use sealpost_ledger::transaction::{Payload, SignedTransaction};
use std::collections::HashMap;
use std::collections::hash_map::Entry;

/// Transactions of a list that are read together: a page of long ones ends soon, and what follows is not read for nothing.
const TOGETHER: usize = 16;

/// Height of a final transaction's block, and its position there.
pub(super) type Spot = (BlockHeight, u32);

pub(super) fn hex_path(path: Vec<Node>) -> Vec<Hex> {
    path.into_iter().map(Hex::from).collect()
}

pub(super) fn unknown_transaction(id: &TransactionId) -> ApiError {
    let message = format!("transaction {id} is not final on this node");
    ApiError::new(Category::NotFound, "tx.unknown", message)
        .help("tx_status tells whether it waits for a block; another node may know more")
}

pub(super) fn body_pruned(id: &TransactionId) -> ApiError {
    let message = format!("the body of message {id} is not kept any more by this node");
    ApiError::new(Category::NotFound, "tx.body_pruned", message).help("ask a node that keeps all bodies")
}

impl Reader {
    pub(super) fn located(&self, id: &TransactionId) -> Result<Located, Failure> {
        Ok(self.store.transaction(id)?.ok_or_else(|| unknown_transaction(id))?)
    }
    /// A message and its place.
    pub(super) fn located_message(&self, id: &TransactionId) -> Result<(Located, Message), Failure> {
        let located = self.located(id)?;
        let kind = located.transaction.payload().kind();
        match located.transaction.message().cloned() {
            Some(message) => Ok((located, message)),
            None => {
                let message = format!("transaction {id} is a {kind}, not a message");
                Err(ApiError::new(Category::Input, "tx.not_a_message", message).into())
            }
        }
    }
    pub(super) fn place(&self, located: &Located) -> Result<Place, Failure> {
        let (header, _) = self.raw_header(located.height)?;
        Ok(place(located, &header))
    }
    /// Where each of these stands, if it is final; of some that is known already, but for what the block's header says. That
    /// is read once for all that stand in a block.
    pub(super) fn places(
        &self,
        ids: Vec<(TransactionId, Option<Spot>)>,
    ) -> Result<Vec<Option<Place>>, Failure> {
        let mut headers: HashMap<BlockHeight, (BlockHash, u64)> = HashMap::new();
        let place = |(id, known): (_, Option<Spot>)| {
            let spot = known.map_or_else(|| self.store.place(&id), |spot| Ok(Some(spot)))?;
            let Some((height, index)) = spot else { return Ok(None) };
            let (block, time_ms) = match headers.entry(height) {
                Entry::Occupied(known) => *known.get(),
                Entry::Vacant(unknown) => {
                    let (header, _) = self.raw_header(height)?;
                    *unknown.insert((header.hash(), header.time_ms))
                }
            };
            Ok(Some(Place { height, index, block, time_ms, first_seen_ms: None }))
        };
        ids.into_iter().map(place).collect()
    }
    /// The inclusion path of a transaction in the block of that header.
    pub(super) fn path(&self, located: &Located, header: &Header) -> Result<Vec<Node>, Failure> {
        let missing =
            || ApiError::new(Category::Internal, "internal.store", "the transaction is missing in its block");
        Ok(self.store.path(header, located.index)?.ok_or_else(missing)?)
    }
    pub(super) fn transaction(&self, id: &TransactionId) -> Result<FinalTransaction, Failure> {
        let located = self.located(id)?;
        self.describe(&located)
    }
    pub(super) fn describe(&self, located: &Located) -> Result<FinalTransaction, Failure> {
        let (header, _) = self.raw_header(located.height)?;
        Ok(FinalTransaction {
            transaction: located.transaction.to_bytes().into(),
            place: place(located, &header),
            path: hex_path(self.path(located, &header)?),
            tree_size: header.transaction_count,
            view: self.view(&located.transaction)?,
        })
    }
    fn view(&self, transaction: &SignedTransaction) -> Result<TransactionView, Failure> {
        let payload = match transaction.payload() {
            Payload::Message(message) => PayloadView::Message(self.message_view(&transaction.id(), message)?),
            Payload::Receipt(receipt) => PayloadView::Receipt(receipt_view(transaction.id(), receipt, None)),
            Payload::KeyBundle(bundle) => PayloadView::KeyBundle(bundle_view(bundle)),
            Payload::Revoke(revoke) => PayloadView::Revoke { sequence: revoke.sequence, from: revoke.from },
            Payload::Designate(designate) => {
                PayloadView::Designate { class: designate.class.clone(), to: self.text(&designate.to) }
            }
            Payload::Validators(change) => PayloadView::Validators {
                validators: self.named(&change.validators),
                effective: change.effective,
                approvals: count(change.approvals.len()),
            },
            Payload::Member(change) => PayloadView::Member {
                address: self.text(&change.address),
                status: change.status.name().into(),
                approvals: count(change.approvals.len()),
            },
        };
        Ok(TransactionView {
            id: transaction.id(),
            sender: self.text(&transaction.sender()),
            expiry: transaction.transaction().expiry,
            nonce: transaction.transaction().nonce,
            bytes: transaction.as_bytes().len() as u64,
            payload,
        })
    }
    fn message_view(&self, id: &TransactionId, message: &Message) -> Result<MessageView, Failure> {
        let receipts = self.receipts_of(id, message)?;
        let slots = (0_u16..).zip(&message.slots).map(|(number, slot)| {
            let (recipient, bundle) = match slot.recipient {
                SlotRecipient::Named { address, bundle } => (Some(self.text(&address)), Some(bundle)),
                SlotRecipient::Hidden { .. } => (None, None),
            };
            let receipt = receipts.iter().find(|receipt| receipt.slot == number).cloned();
            SlotView { recipient, bundle, receipt }
        });
        Ok(MessageView {
            suite: message.suite.number(),
            sealed: message.mode == Mode::Sealed,
            slots: slots.collect(),
            key_commit: message.key_commit,
            content_commit: message.content_commit,
            body_hash: message.body_hash,
            body_length: message.body_length,
            body_kept: matches!(self.store.body(id)?, FoundBody::Kept(_)),
        })
    }
    fn receipts_of(&self, id: &TransactionId, message: &Message) -> Result<Vec<ReceiptView>, Failure> {
        let mut receipts = Vec::new();
        for (slot, _) in (0_u16..).zip(&message.slots) {
            let Some(record) = self.store.receipt(id, slot)? else { continue };
            let located = self.located(&record.receipt)?;
            let Payload::Receipt(receipt) = located.transaction.payload() else { continue };
            receipts.push(receipt_view(record.receipt, receipt, Some(self.place(&located)?)));
        }
        Ok(receipts)
    }
    pub(super) fn receipts(&self, id: &TransactionId) -> Result<Vec<ReceiptView>, Failure> {
        let (_, message) = self.located_message(id)?;
        self.receipts_of(id, &message)
    }
    pub(super) fn body(&self, id: &TransactionId) -> Result<Hex, Failure> {
        self.located_message(id)?;
        let body = self.store.body(id)?.kept().ok_or_else(|| body_pruned(id))?;
        Ok(body.as_bytes().to_vec().into())
    }
    pub(super) fn mailbox(&self, query: &MailboxQuery) -> Result<MailboxPage, Failure> {
        let address = self.address(&query.address)?;
        let limit = page_size(query.limit, MAX_PAGE)? as usize;
        let after = query.after.as_deref().map(parse_cursor).transpose()?;
        let order = match query.order {
            sealpost_api::Order::OldestFirst => Order::OldestFirst,
            sealpost_api::Order::NewestFirst => Order::NewestFirst,
        };
        let list = |after, limit| match query.side {
            MailboxSide::Received => self.store.received(&address, after, limit, order),
            MailboxSide::Sent => self.store.sent(&address, after, limit, order),
        };
        let (mut page, mut next, mut more) = (Page::new(limit), after, true);
        while more && !page.is_full() {
            let wanted = limit.saturating_sub(page.entries.len()).min(TOGETHER);
            // One more than asked for tells whether there is more.
            let found = list(next, wanted.saturating_add(1))?;
            more = found.len() > wanted;
            for located in found.iter().take(wanted) {
                if page.is_full() {
                    more = true;
                    break;
                }
                page.push(self.describe(located)?);
                next = Some(Cursor { height: located.height, index: located.index });
            }
        }
        Ok(MailboxPage { entries: page.entries, next: next.map(cursor_text), more })
    }
    pub(super) fn postage(&self, bytes: u64) -> PostageQuote {
        let tip = self.store.tip();
        let price = tip.price();
        let size = usize::try_from(bytes).unwrap_or(usize::MAX);
        let block = u64::from(self.genesis.limits().block_bytes);
        PostageQuote {
            bytes,
            price,
            work: postage::work(price, size),
            price_after: postage::next_price(price, block, block, self.genesis.postage().floor),
            height: tip.next_height(),
        }
    }
}

fn place(located: &Located, header: &Header) -> Place {
    Place {
        height: located.height,
        index: located.index,
        block: header.hash(),
        time_ms: header.time_ms,
        first_seen_ms: None,
    }
}

fn count(length: usize) -> u32 {
    u32::try_from(length).unwrap_or(u32::MAX)
}

fn receipt_view(id: TransactionId, receipt: &Receipt, place: Option<Place>) -> ReceiptView {
    let (answer, reason) = match receipt.answer {
        Answer::Opened { .. } => ("opened", None),
        Answer::Refused { reason } => ("refused", Some(reason.code().to_owned())),
    };
    ReceiptView { id, message: receipt.message, slot: receipt.slot, answer: answer.into(), reason, place }
}

fn bundle_view(bundle: &KeyBundle) -> BundleView {
    BundleView {
        sequence: bundle.sequence,
        ecies: bundle.ecies.to_vec().into(),
        ml_kem: bundle.ml_kem.clone().map(Hex::from),
        valid_until: bundle.valid_until,
        transaction: None,
        height: None,
        revoked_from: None,
    }
}

/// A bundle of the directory.
pub(super) fn bundle_record_view(record: &sealpost_ledger::state::BundleRecord) -> BundleView {
    BundleView {
        transaction: Some(record.transaction),
        height: Some(record.height),
        revoked_from: record.revoked_from,
        ..bundle_view(&record.bundle)
    }
}

pub(super) fn cursor_text(cursor: Cursor) -> String {
    format!("{}-{}", cursor.height, cursor.index)
}

pub(super) fn parse_cursor(text: &str) -> Result<Cursor, ApiError> {
    let parsed = text.split_once('-').and_then(|(height, index)| {
        Some(Cursor { height: BlockHeight::new(height.parse().ok()?), index: index.parse().ok()? })
    });
    parsed.ok_or_else(|| {
        let shown: String = text.chars().take(40).collect();
        let message = format!("after: {shown:?} is not a cursor; give the `next` of the page before");
        ApiError::new(Category::Input, "input.cursor", message)
    })
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::rpc::PAGE_BYTES;
    use crate::store::testing::{Chain, RECIPIENT, address};
    use crate::store::{Store, StoreOptions};

    /// Messages to as many as may be.
    #[test]
    fn a_page_of_long_messages_ends_before_the_answer_is_too_long() {
        const MESSAGES: usize = 30;
        let (dir, chain) = (tempfile::tempdir().unwrap(), Chain::wide("pages"));
        let (store, _) = Store::open(dir.path(), chain.genesis.clone(), StoreOptions::default()).unwrap();
        for block in 0..MESSAGES / 10 {
            let messages = (0..10).map(|number| chain.circular(&format!("{block} {number}")));
            store.append(&chain.next(&store, messages.collect())).unwrap();
        }
        let reader = Reader { store, genesis: chain.genesis.clone() };
        let recipient = reader.text(&address(RECIPIENT));
        let lists = [
            (sealpost_api::Order::NewestFirst, MailboxSide::Received),
            (sealpost_api::Order::OldestFirst, MailboxSide::Sent),
        ];
        for (order, side) in lists {
            let address = match side {
                MailboxSide::Received => recipient.clone(),
                MailboxSide::Sent => reader.text(&address(crate::store::testing::SENDER)),
            };
            let (mut query, mut read, mut all) =
                (MailboxQuery { address, side, after: None, limit: Some(100), order }, Vec::new(), 0);
            loop {
                let page = reader.mailbox(&query).unwrap();
                let bytes = serde_json::to_vec(&page).unwrap().len();
                let longest = page.entries.iter().map(|entry| serde_json::to_vec(entry).unwrap().len()).max();
                assert!(bytes < PAGE_BYTES + longest.unwrap() + 1000, "{bytes}");
                all += bytes;
                read.extend(page.entries.into_iter().map(|entry| (entry.place.height, entry.place.index)));
                if !page.more {
                    break;
                }
                query.after = page.next;
            }
            assert!(all > 2 * PAGE_BYTES, "{all} bytes are too few for the test");
            let mut expected: Vec<_> = (1..)
                .map(BlockHeight::new)
                .flat_map(|h| (0..10).map(move |i| (h, i)))
                .take(MESSAGES)
                .collect();
            if order == sealpost_api::Order::NewestFirst {
                expected.reverse();
            }
            assert_eq!(read, expected);
        }
    }

    /// Also where pages end by their entries, just at the last one.
    #[test]
    fn pages_tell_whether_more_follows() {
        let (dir, chain) = (tempfile::tempdir().unwrap(), Chain::new("pages"));
        let (store, _) = Store::open(dir.path(), chain.genesis.clone(), StoreOptions::default()).unwrap();
        for number in 0..40 {
            let message = chain.message(&format!("message {number}"));
            store.append(&chain.next(&store, vec![message])).unwrap();
        }
        let reader = Reader { store, genesis: chain.genesis.clone() };
        let page = |limit, after: Option<&str>| {
            let query = MailboxQuery {
                address: reader.text(&address(RECIPIENT)),
                side: MailboxSide::Received,
                after: after.map(Into::into),
                limit: Some(limit),
                order: sealpost_api::Order::OldestFirst,
            };
            let page = reader.mailbox(&query).unwrap();
            (page.entries.len(), page.next, page.more)
        };
        assert_eq!(page(15, None), (15, Some("15-0".into()), true));
        assert_eq!(page(16, None), (16, Some("16-0".into()), true));
        assert_eq!(page(17, None), (17, Some("17-0".into()), true));
        assert_eq!(page(24, Some("16-0")), (24, Some("40-0".into()), false));
        assert_eq!(page(40, None), (40, Some("40-0".into()), false));
        assert_eq!(page(100, Some("40-0")), (0, Some("40-0".into()), false));
    }
}
