//! Subscriptions. Each reads final blocks from the store, one after another, and waits at the head: what is
//! replayed and what is live come from the same place, so nothing is missed or told twice. A slow reader
//! holds up nobody but itself. Those that are behind take turns, block by block, and none holds more of a block than
//! a few items.

use super::reading::Reading;
use super::{Failure, Reader, Wiring};
use jsonrpsee::core::SubscriptionResult;
use jsonrpsee::server::SubscriptionSink;
use sealpost_api::{ApiError, BlockId, FinalTransaction, SealedHeader, TransactionStatus};
use sealpost_ledger::address::Address;
use sealpost_ledger::hash::TransactionId;
use sealpost_ledger::height::BlockHeight;
use sealpost_ledger::transaction::{Payload, SignedTransaction};
use serde::Serialize;
use std::future::Future;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

/// Waits until the head has reached a height. `false` at the end of the subscription or the node.
async fn reached(
    sink: &SubscriptionSink,
    head: &mut watch::Receiver<BlockHeight>,
    stop: &CancellationToken,
    height: BlockHeight,
) -> bool {
    tokio::select! {
        found = head.wait_for(|head| *head >= height) => found.is_ok(),
        () = sink.closed() => false,
        () = stop.cancelled() => false,
    }
}

/// Sends an item; `false` if nobody listens any more.
async fn send(sink: &SubscriptionSink, item: &impl Serialize) -> Result<bool, serde_json::Error> {
    let item = serde_json::value::to_raw_value(item)?;
    Ok(sink.send(item).await.is_ok())
}

/// Items that are read together, and held until the client has taken them.
const TOGETHER: usize = 16;

/// What is told of a block, one by one.
trait Told: Clone + Send + 'static {
    /// What names an item.
    type Key: Send + 'static;
    /// An item.
    type Item: Serialize + Send + 'static;
    /// What there is to tell of a block.
    fn keys(&self, reader: &Reader, height: BlockHeight) -> Result<Vec<Self::Key>, Failure>;
    /// One of it.
    fn item(&self, reader: &Reader, key: &Self::Key) -> Result<Self::Item, Failure>;
}

/// Some of what is to be told of a block, and the keys of the rest.
struct Part<T: Told> {
    items: Vec<T::Item>,
    rest: Vec<T::Key>,
}

fn part<T: Told>(told: &T, reader: &Reader, mut keys: Vec<T::Key>) -> Result<Part<T>, Failure> {
    let rest = keys.split_off(keys.len().min(TOGETHER));
    let items = keys.iter().map(|key| told.item(reader, key)).collect::<Result<_, _>>()?;
    Ok(Part { items, rest })
}

/// The items of one block after another, from a height on (the next block's, if none is given).
async fn follow<T: Told>(
    sink: SubscriptionSink,
    reading: Reading,
    wiring: Wiring,
    from: Option<BlockHeight>,
    told: T,
) -> SubscriptionResult {
    let Wiring { mut head, stop, .. } = wiring;
    let mut height = from.unwrap_or_else(|| head.borrow().saturating_add(1)).max(BlockHeight::FIRST);
    while reached(&sink, &mut head, &stop, height).await {
        let mut next = None;
        loop {
            // For the reading alone: whoever takes nothing waits with what it has, and not in others' way.
            let is_old = height < *head.borrow();
            let turn = match is_old {
                true => tokio::select! {
                    turn = reading.turn() => turn,
                    () = sink.closed() => return Ok(()),
                    () = stop.cancelled() => return Ok(()),
                },
                false => None,
            };
            let told = told.clone();
            let Part { items, rest } = reading
                .read(move |reader| {
                    let keys = match next {
                        Some(keys) => keys,
                        None => told.keys(reader, height)?,
                    };
                    part(&told, reader, keys)
                })
                .await?;
            drop(turn);
            for item in items {
                if !send(&sink, &item).await? {
                    return Ok(());
                }
            }
            if rest.is_empty() {
                break;
            }
            next = Some(rest);
        }
        height = height.saturating_add(1);
    }
    Ok(())
}

pub(super) async fn follow_blocks(
    sink: SubscriptionSink,
    reading: Reading,
    wiring: Wiring,
    from: Option<BlockHeight>,
) -> SubscriptionResult {
    follow(sink, reading, wiring, from, Headers).await
}

/// Every block's header.
#[derive(Debug, Clone, Copy)]
struct Headers;

impl Told for Headers {
    type Key = BlockHeight;
    type Item = SealedHeader;
    fn keys(&self, _: &Reader, height: BlockHeight) -> Result<Vec<BlockHeight>, Failure> {
        Ok(vec![height])
    }
    fn item(&self, reader: &Reader, height: &BlockHeight) -> Result<SealedHeader, Failure> {
        reader.header(BlockId::Height(*height))
    }
}

pub(super) async fn follow_mailbox(
    sink: SubscriptionSink,
    reading: Reading,
    wiring: Wiring,
    address: Address,
    from: Option<BlockHeight>,
) -> SubscriptionResult {
    follow(sink, reading, wiring, from, Mailbox(address)).await
}

/// The transactions that concern an address.
#[derive(Debug, Clone, Copy)]
struct Mailbox(Address);

impl Told for Mailbox {
    type Key = TransactionId;
    type Item = FinalTransaction;
    fn keys(&self, reader: &Reader, height: BlockHeight) -> Result<Vec<TransactionId>, Failure> {
        reader.concerning(&self.0, height)
    }
    fn item(&self, reader: &Reader, id: &TransactionId) -> Result<FinalTransaction, Failure> {
        reader.transaction(id)
    }
}

pub(super) async fn follow_status<F: Future<Output = Result<TransactionStatus, ApiError>>>(
    sink: SubscriptionSink,
    head: &mut watch::Receiver<BlockHeight>,
    stop: CancellationToken,
    status: impl Fn() -> F,
) -> SubscriptionResult {
    let mut told = None;
    loop {
        // Looked at before asking: a block that comes meanwhile is not slept through.
        let height = *head.borrow_and_update();
        let now = status().await?;
        if told.as_ref() != Some(&now) {
            if !send(&sink, &now).await? {
                return Ok(());
            }
            if matches!(now, TransactionStatus::Final(_)) {
                return Ok(());
            }
            told = Some(now);
        }
        if !reached(&sink, head, &stop, height.saturating_add(1)).await {
            return Ok(());
        }
    }
}

impl Reader {
    /// The transactions of a block that concern an address: open messages to it, and answers to messages it
    /// sent.
    fn concerning(&self, address: &Address, height: BlockHeight) -> Result<Vec<TransactionId>, Failure> {
        let transactions = self.store.transactions(height)?.unwrap_or_default();
        let mut found = Vec::new();
        for transaction in &transactions {
            if self.concerns(transaction, address)? {
                found.push(transaction.id());
            }
        }
        Ok(found)
    }
    fn concerns(&self, transaction: &SignedTransaction, address: &Address) -> Result<bool, Failure> {
        match transaction.payload() {
            Payload::Message(message) => Ok(message.slot_of(address).is_some()),
            Payload::Receipt(receipt) => {
                let message = self.store.transaction(&receipt.message)?;
                Ok(message.is_some_and(|located| located.transaction.sender() == *address))
            }
            _ => Ok(false),
        }
    }
}
