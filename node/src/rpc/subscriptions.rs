//! Subscriptions. Each reads final blocks from the store, one after another, and waits at the head: what is
//! replayed and what is live come from the same place, so nothing is missed or told twice. A slow reader
//! holds up nobody but itself.

use super::{Failure, Reader, Wiring};
use jsonrpsee::core::SubscriptionResult;
use jsonrpsee::server::SubscriptionSink;
use sealpost_api::{ApiError, BlockId, FinalTransaction, TransactionStatus};
use sealpost_ledger::address::Address;
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

/// The items of one block after another, from a height on (the next block's, if none is given).
async fn follow<T: Serialize + Send + 'static>(
    sink: SubscriptionSink,
    reader: Reader,
    wiring: Wiring,
    from: Option<BlockHeight>,
    items: impl Fn(&Reader, BlockHeight) -> Result<Vec<T>, Failure> + Clone + Send + 'static,
) -> SubscriptionResult {
    let Wiring { mut head, stop, .. } = wiring;
    let mut height = from.unwrap_or_else(|| head.borrow().saturating_add(1)).max(BlockHeight::FIRST);
    while reached(&sink, &mut head, &stop, height).await {
        let (reader, items) = (reader.clone(), items.clone());
        let found = tokio::task::spawn_blocking(move || items(&reader, height)).await?;
        for item in found.map_err(ApiError::from)? {
            if !send(&sink, &item).await? {
                return Ok(());
            }
        }
        height = height.saturating_add(1);
    }
    Ok(())
}

pub(super) async fn follow_blocks(
    sink: SubscriptionSink,
    reader: Reader,
    wiring: Wiring,
    from: Option<BlockHeight>,
) -> SubscriptionResult {
    let block = |reader: &Reader, height| Ok(vec![reader.header(BlockId::Height(height))?]);
    follow(sink, reader, wiring, from, block).await
}

pub(super) async fn follow_mailbox(
    sink: SubscriptionSink,
    reader: Reader,
    wiring: Wiring,
    address: Address,
    from: Option<BlockHeight>,
) -> SubscriptionResult {
    follow(sink, reader, wiring, from, move |reader, height| reader.concerning(&address, height)).await
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
    fn concerning(&self, address: &Address, height: BlockHeight) -> Result<Vec<FinalTransaction>, Failure> {
        let transactions = self.store.transactions(height)?.unwrap_or_default();
        let mut found = Vec::new();
        for transaction in &transactions {
            if self.concerns(transaction, address)? {
                found.push(self.transaction(&transaction.id())?);
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
