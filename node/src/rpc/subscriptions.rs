//! Subscriptions. Each reads final blocks from the store, one after another, and waits at the head: what is
//! replayed and what is live come from the same place, so nothing is missed or told twice. A slow reader
//! holds up nobody but itself. Those that are behind take turns, block by block, and none holds more of a block than
//! a few items, which take up room of its client until that has taken them.

use super::limits::Caller;
use super::reading::Reading;
use super::{Failure, Reader};
use jsonrpsee::core::SubscriptionResult;
use jsonrpsee::server::SubscriptionSink;
use sealpost_api::{ApiError, BlockId, Category, FinalTransaction, SealedHeader, TransactionStatus};
use sealpost_http::Full;
use sealpost_ledger::address::Address;
use sealpost_ledger::hash::TransactionId;
use sealpost_ledger::height::BlockHeight;
use sealpost_ledger::transaction::{Payload, SignedTransaction};
use serde::Serialize;
use serde_json::value::RawValue;
use std::future::Future;
use std::time::Duration;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

/// Items that are read together,
const TOGETHER: usize = 16;
/// and their bytes, after which no more are: they are held until the client has taken them.
const BYTES_TOGETHER: usize = 64 << 10;
/// How soon it is looked again whether there is room for an item.
const PAUSE: Duration = Duration::from_millis(100);

/// Where a subscription's items go.
pub(super) struct Outlet {
    sink: SubscriptionSink,
    /// Who has subscribed. Every request has a caller: the front has seen to it.
    caller: Option<Caller>,
    stop: CancellationToken,
}

/// Nobody listens any more.
struct Gone;

impl Outlet {
    pub(super) fn new(sink: SubscriptionSink, caller: Option<Caller>, stop: CancellationToken) -> Self {
        Self { sink, caller, stop }
    }
    /// Waits until the head has reached a height.
    async fn reached(
        &self,
        head: &mut watch::Receiver<BlockHeight>,
        height: BlockHeight,
    ) -> Result<(), Gone> {
        tokio::select! {
            found = head.wait_for(|head| *head >= height) => found.map(drop).map_err(|_| Gone),
            () = self.sink.closed() => Err(Gone),
            () = self.stop.cancelled() => Err(Gone),
        }
    }
    /// Keeps room for an item of so many bytes until the client has taken it. An error is that there is none.
    fn keep_room(&self, bytes: usize) -> Result<(), Full> {
        let Some(caller) = &self.caller else { return Ok(()) };
        caller.flow.owe(caller.answers.take(caller.client, bytes)?);
        Ok(())
    }
    /// Waits until there is room for so many bytes. It may be somebody else's again before it is taken.
    async fn wait_for_room(&self, bytes: usize) -> Result<(), Gone> {
        let Some(caller) = &self.caller else { return Ok(()) };
        while caller.answers.take(caller.client, bytes).is_err() {
            tokio::select! {
                () = tokio::time::sleep(PAUSE) => {}
                () = self.sink.closed() => return Err(Gone),
                () = self.stop.cancelled() => return Err(Gone),
            }
        }
        Ok(())
    }
    async fn send(&self, item: Box<RawValue>) -> Result<(), Gone> {
        let flow = self.caller.as_ref().map(|caller| &caller.flow);
        if let Some(flow) = flow {
            flow.will_tell();
        }
        let sent = self.sink.send(item).await;
        if let (Err(_), Some(flow)) = (&sent, flow) {
            flow.needs_no_answer();
        }
        sent.map_err(|_| Gone)
    }
}

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
struct Part<K> {
    items: Vec<(K, Box<RawValue>)>,
    rest: Vec<K>,
}

fn part<T: Told>(told: &T, reader: &Reader, keys: Vec<T::Key>) -> Result<Part<T::Key>, Failure> {
    let (mut items, mut bytes, mut keys) = (Vec::new(), 0_usize, keys.into_iter());
    while items.len() < TOGETHER
        && bytes < BYTES_TOGETHER
        && let Some(key) = keys.next()
    {
        let item = told.item(reader, &key)?;
        let item = serde_json::value::to_raw_value(&item).map_err(|error| unwritten(&error))?;
        bytes = bytes.saturating_add(item.get().len());
        items.push((key, item));
    }
    Ok(Part { items, rest: keys.collect() })
}

fn unwritten(error: &serde_json::Error) -> ApiError {
    tracing::error!(%error, "an item of a subscription can't be written as JSON");
    ApiError::new(Category::Internal, "internal.node", "this node failed to answer")
}

/// The items of one block after another, from a height on (the next block's, if none is given).
async fn follow<T: Told>(
    outlet: Outlet,
    reading: Reading,
    mut head: watch::Receiver<BlockHeight>,
    from: Option<BlockHeight>,
    told: T,
) -> SubscriptionResult {
    let mut height = from.unwrap_or_else(|| head.borrow().saturating_add(1)).max(BlockHeight::FIRST);
    while outlet.reached(&mut head, height).await.is_ok() {
        let mut next = None;
        loop {
            // For the reading alone: whoever takes nothing waits with what it has, and not in others' way.
            let is_old = height < *head.borrow();
            let turn = match is_old {
                true => tokio::select! {
                    turn = reading.turn() => turn,
                    () = outlet.sink.closed() => return Ok(()),
                    () = outlet.stop.cancelled() => return Ok(()),
                },
                false => None,
            };
            let told = told.clone();
            let Part { items, mut rest } = reading
                .read(move |reader| {
                    let keys = match next {
                        Some(keys) => keys,
                        None => told.keys(reader, height)?,
                    };
                    part(&told, reader, keys)
                })
                .await?;
            drop(turn);
            let mut items = items.into_iter();
            while let Some((key, item)) = items.next() {
                let bytes = item.get().len();
                if outlet.keep_room(bytes).is_err() {
                    // It is read again when there is room: until then it takes up none.
                    drop(item);
                    let unsent = std::iter::once(key).chain(items.by_ref().map(|(key, _)| key));
                    rest = unsent.chain(std::mem::take(&mut rest)).collect();
                    if outlet.wait_for_room(bytes).await.is_err() {
                        return Ok(());
                    }
                } else if outlet.send(item).await.is_err() {
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
    outlet: Outlet,
    reading: Reading,
    head: watch::Receiver<BlockHeight>,
    from: Option<BlockHeight>,
) -> SubscriptionResult {
    follow(outlet, reading, head, from, Headers).await
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
    outlet: Outlet,
    reading: Reading,
    head: watch::Receiver<BlockHeight>,
    address: Address,
    from: Option<BlockHeight>,
) -> SubscriptionResult {
    follow(outlet, reading, head, from, Mailbox(address)).await
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
    outlet: Outlet,
    mut head: watch::Receiver<BlockHeight>,
    status: impl Fn() -> F,
) -> SubscriptionResult {
    let mut told = None;
    loop {
        // Looked at before asking: a block that comes meanwhile is not slept through.
        let height = *head.borrow_and_update();
        let now = status().await?;
        if told.as_ref() != Some(&now) {
            let item = serde_json::value::to_raw_value(&now)?;
            while outlet.keep_room(item.get().len()).is_err() {
                if outlet.wait_for_room(item.get().len()).await.is_err() {
                    return Ok(());
                }
            }
            if outlet.send(item).await.is_err() {
                return Ok(());
            }
            if matches!(now, TransactionStatus::Final(_)) {
                return Ok(());
            }
            told = Some(now);
        }
        if outlet.reached(&mut head, height.saturating_add(1)).await.is_err() {
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

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::rpc::limits::Way;
    use crate::rpc::methods::Methods;
    use crate::rpc::testing::wiring;
    use crate::store::testing::{Chain, RECIPIENT, address};
    use crate::store::{Store, StoreOptions};
    use sealpost_api::SealpostRpcServer;
    use sealpost_http::{Client, Flow, Places};
    use serde_json::{Value, json};
    use std::time::Instant;

    /// Of one who takes nothing of it. Another, who has room enough, tells when that one would have had all.
    #[tokio::test]
    async fn a_subscription_holds_no_more_than_there_is_room_for() {
        const BLOCKS: u64 = 8;
        let (dir, chain) = (tempfile::tempdir().unwrap(), Chain::wide("subscriptions"));
        let (store, _) = Store::open(dir.path(), chain.genesis.clone(), StoreOptions::default()).unwrap();
        for block in 1..=BLOCKS {
            let messages = (0..2).map(|number| chain.circular(&format!("{block} {number}")));
            store.append(&chain.next(&store, messages.collect())).unwrap();
        }
        let reader = Reader { store, genesis: chain.genesis.clone() };
        let recipient = reader.text(&address(RECIPIENT));
        let subscribe = json!({
            "jsonrpc": "2.0", "id": 1, "method": "mailbox_subscribe", "params": { "address": recipient, "from": 1 }
        })
        .to_string();
        let (reading, wiring) = (Reading::new(reader, 4), wiring(BlockHeight::new(BLOCKS)));
        let [one, other] = ["192.0.2.1", "192.0.2.2"].map(|text| Client::new(text.parse().unwrap()));
        let methods = |client, answers: &Places| {
            let (reading, wiring) = (reading.clone(), wiring.clone());
            let mut methods = Methods { reading, wiring, started: Instant::now() }.into_rpc();
            let (flow, answers) = (Flow::new(32), answers.clone());
            methods.extensions_mut().insert(Caller { client, flow, way: Way::Socket, answers });
            methods
        };
        let wide = methods(other, &Places::new(usize::MAX, usize::MAX));
        let all = async || {
            let (_, mut items) = wide.raw_json_request(&subscribe, 100).await.unwrap();
            let mut heights = Vec::new();
            while heights.len() < 2 * 8 {
                heights.push(height(&items.recv().await.unwrap()));
            }
            heights
        };
        // Somebody else has all there is.
        let places = Places::new(3_000_000, 3_000_000);
        let taken = places.take(other, 3_000_000).unwrap();
        let narrow = methods(one, &places);
        let (_, mut items) = narrow.raw_json_request(&subscribe, 100).await.unwrap();
        let heights = all().await;
        assert_eq!(heights, [1, 1, 2, 2, 3, 3, 4, 4, 5, 5, 6, 6, 7, 7, 8, 8]);
        assert!(items.try_recv().is_err());
        drop(taken);
        let first = items.recv().await.unwrap();
        let fit = 3_000_000 / result(&first).to_string().len();
        let mut told = vec![height(&first)];
        while told.len() < fit {
            told.push(height(&items.recv().await.unwrap()));
        }
        // None was left out and none told twice.
        assert_eq!(Some(told.as_slice()), heights.get(..fit));
        all().await;
        assert!(items.try_recv().is_err());
    }

    fn result(item: &RawValue) -> Value {
        let item: Value = serde_json::from_str(item.get()).unwrap();
        item.pointer("/params/result").unwrap().clone()
    }

    fn height(item: &RawValue) -> u64 {
        result(item).pointer("/place/height").and_then(Value::as_u64).unwrap()
    }
}
