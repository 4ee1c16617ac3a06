//! What is new, as it happens: each final block that the follower hears of is written as the rows that the pages
//! themselves show, once for all browsers, and handed to everybody who listens.

use crate::page::PageError;
use crate::reader::{ReadError, Reader, Summary};
use crate::routes::rows::{BlockRow, EntryRow, Head};
use askama::Template;
use axum::response::sse::Event;
use futures::Stream;
use sealpost_api::NodeStatus;
use sealpost_http::Place;
use sealpost_ledger::height::BlockHeight;
use serde::Serialize;
use std::collections::VecDeque;
use std::convert::Infallible;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::{broadcast, watch};
use tokio_util::sync::CancellationToken;

/// Blocks that a slow browser may be behind before its connection ends; it comes back and says where it was.
const BEHIND: usize = 64;
/// Blocks that are told again to a browser that comes back.
pub(crate) const MAX_REPLAY: u32 = 50;
/// Blocks that are counted at once when several came; few enough that all of them are, however large they are.
const STEP: u64 = 10;
/// Time before the node is asked again after it could not be reached.
const PAUSE: Duration = Duration::from_secs(2);
/// Entries of one block that are told; the rest is on the block's page.
const MAX_ENTRIES: usize = 25;

/// A final block, as browsers are told of it.
#[derive(Debug)]
pub(crate) struct News {
    height: BlockHeight,
    head: String,
    entries: String,
    block: String,
}

/// What a browser is told of a block: markup for the parts of a page.
#[derive(Serialize)]
struct Rows<'a> {
    head: &'a str,
    entries: &'a str,
    block: &'a str,
}

/// Where the news go.
#[derive(Debug, Clone)]
pub(crate) struct Hub {
    news: broadcast::Sender<Arc<News>>,
    /// Up to here everybody who listens has been told, or reads for themselves when they come.
    told: Arc<Mutex<Option<BlockHeight>>>,
    stop: CancellationToken,
}

impl Hub {
    pub(crate) fn new(stop: CancellationToken) -> Self {
        let (news, _) = broadcast::channel(BEHIND);
        Self { news, told: Arc::default(), stop }
    }
    /// The news after a height (from now on, if none is given), as long as the explorer runs. The permit is held as long
    /// as somebody listens.
    pub(crate) async fn listen(
        &self,
        reader: &Reader,
        after: Option<BlockHeight>,
        permit: Place,
    ) -> Result<impl Stream<Item = Result<Event, Infallible>> + use<>, PageError> {
        // Listens before it looks back, so that nothing falls between.
        let news = self.news.subscribe();
        let head = last_height(reader).await?;
        self.told_or(head);
        let missed = match after {
            Some(after) => missed(reader, after, head).await?,
            None => Vec::new(),
        };
        let told = missed.last().map(|news| news.height).or(after).unwrap_or(head);
        let ready = missed.iter().map(|news| news.event()).collect();
        let listener = Listener { news, ready, told, stop: self.stop.clone(), _permit: permit };
        Ok(futures::stream::unfold(listener, |mut listener| async move {
            let event = listener.next().await?;
            Some((Ok(event), listener))
        }))
    }
    /// Up to where was told; up to a given height, if nothing was told yet.
    fn told_or(&self, height: BlockHeight) -> BlockHeight {
        *self.told.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(height)
    }
    fn set_told(&self, height: BlockHeight) {
        *self.told.lock().unwrap_or_else(PoisonError::into_inner) = Some(height);
    }
}

/// The height of the last final block, which is verified.
async fn last_height(reader: &Reader) -> Result<BlockHeight, ReadError> {
    Ok(reader.last_block().await?.map_or(BlockHeight::GENESIS, |last| last.header.height))
}

/// The blocks after a height, the oldest first: the newest [`MAX_REPLAY`] of them.
async fn missed(reader: &Reader, after: BlockHeight, head: BlockHeight) -> Result<Vec<Arc<News>>, ReadError> {
    let count = u32::try_from(head.blocks_since(after)).unwrap_or(u32::MAX).min(MAX_REPLAY);
    if count == 0 {
        return Ok(Vec::new());
    }
    let status = reader.status().await?;
    let mut news = Vec::new();
    for summary in reader.recent(head, count).await?.iter().rev() {
        news.push(Arc::new(News::new(reader, &status, summary).await?));
    }
    Ok(news)
}

/// A browser that listens.
struct Listener {
    news: broadcast::Receiver<Arc<News>>,
    ready: VecDeque<Event>,
    told: BlockHeight,
    stop: CancellationToken,
    _permit: Place,
}

impl Listener {
    /// The next event; nothing at the end of the explorer, or if this listener is too far behind.
    async fn next(&mut self) -> Option<Event> {
        loop {
            if let Some(event) = self.ready.pop_front() {
                return Some(event);
            }
            let news = tokio::select! {
                news = self.news.recv() => news.ok()?,
                () = self.stop.cancelled() => return None,
            };
            if news.height > self.told {
                self.told = news.height;
                return Some(news.event());
            }
        }
    }
}

impl News {
    async fn new(reader: &Reader, status: &NodeStatus, summary: &Summary) -> Result<Self, ReadError> {
        let genesis = reader.genesis().await?;
        let rows = summary.entries.iter().take(MAX_ENTRIES);
        let rows = rows.rev().map(|entry| EntryRow::new(summary, entry, genesis.prefix()).to_string());
        Ok(Self {
            height: summary.header.height,
            head: written(&Head::new(reader, status, summary.header.height).await?),
            entries: rows.collect(),
            block: written(&BlockRow::new(summary)),
        })
    }
    /// All of a block in one event, which carries its height: a browser that loses its connection has shown all of a block
    /// and goes on behind it, or nothing of it and is told of it again. None of it is shown twice.
    fn event(&self) -> Event {
        let rows = Rows { head: &self.head, entries: &self.entries, block: &self.block };
        let event = Event::default().event("block").id(self.height.to_string());
        // Plain strings: writing them can't fail.
        event.json_data(rows).unwrap_or_default()
    }
}

fn written(row: &impl Template) -> String {
    row.render().unwrap_or_default()
}

/// Tells of each final block that the follower hears of, until the explorer stops.
pub(crate) async fn follow(reader: Reader, hub: Hub, mut heads: watch::Receiver<BlockHeight>) {
    let stop = hub.stop.clone();
    let telling = async {
        loop {
            let height = *heads.borrow_and_update();
            // The genesis stands for no block yet.
            if height > BlockHeight::GENESIS
                && let Err(error) = tell(&reader, &hub, height).await
            {
                tracing::debug!(%error, "no news from the node for now");
                tokio::time::sleep(PAUSE).await;
                continue;
            }
            if heads.changed().await.is_err() {
                return;
            }
        }
    };
    tokio::select! {
        () = telling => {}
        () = stop.cancelled() => {}
    }
}

/// Tells what came after the last block that was told, up to a height: the newest [`MAX_REPLAY`] of it. After an error
/// the same blocks are told the next time.
async fn tell(reader: &Reader, hub: &Hub, height: BlockHeight) -> Result<(), ReadError> {
    let mut told = hub.told_or(height).max(height.saturating_sub(u64::from(MAX_REPLAY)));
    while told < height {
        // Without listeners nothing is counted or written; whoever comes is told what they missed.
        if hub.news.receiver_count() == 0 {
            hub.set_told(height);
            break;
        }
        let end = told.saturating_add(STEP).min(height);
        let count = u32::try_from(end.blocks_since(told)).unwrap_or(u32::MAX);
        let status = reader.status().await?;
        for summary in reader.recent(end, count).await?.iter().rev() {
            // Nobody listens any more: that is no fault.
            let _ = hub.news.send(Arc::new(News::new(reader, &status, summary).await?));
            hub.set_told(summary.header.height);
        }
        told = end;
    }
    Ok(())
}
