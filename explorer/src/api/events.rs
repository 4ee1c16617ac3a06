//! What concerns an address, as it becomes final: server-sent events. The id of each event is a place in the ledger;
//! who comes back with the last one goes on right behind it, without a gap. Every block is read whole, and its
//! transactions are compared with what its header commits to, so that nothing is left out either.

use super::Api;
use super::input::{Cursor, Named, Params};
use super::problem::Problem;
use super::view::TransactionView;
use crate::follow::{Concern, Fetched, Follower, Seen, Watching};
use crate::questions::Questions;
use crate::reader::ReadError;
use axum::Extension;
use axum::extract::State;
use axum::http::header::CACHE_CONTROL;
use axum::http::{HeaderMap, HeaderName, StatusCode};
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use sealpost_http::{Client, Place};
use sealpost_ledger::address::Address;
use sealpost_ledger::genesis::Genesis;
use sealpost_ledger::height::BlockHeight;
use serde::{Deserialize, Serialize};
use std::collections::VecDeque;
use std::convert::Infallible;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio_util::sync::CancellationToken;
use utoipa::{IntoParams, ToSchema};

/// Most blocks that are read again for who comes back.
pub(super) const REPLAY_BLOCKS: u64 = 10_000;
/// Questions to the node for what one connection has missed, one page of blocks included, after which the stream ends: the
/// client comes back after a while and goes on behind the last event, by a request that is counted as any other.
const REPLAY_QUESTIONS: usize = 2_000;
/// How far a cursor may lie ahead: another copy of this program may have heard of a block earlier.
const AHEAD_BLOCKS: u64 = 100;
/// A sign of life this often, for proxies that close what is silent.
const SIGN_OF_LIFE: Duration = Duration::from_secs(15);
/// When a client comes back after the stream has ended.
const COME_BACK: Duration = Duration::from_secs(3);
/// Carries the id of the last event that a client has seen.
const LAST_EVENT_ID: HeaderName = HeaderName::from_static("last-event-id");

/// Where the stream begins.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(super) struct Start {
    /// Begin behind this place, as `Last-Event-ID` says it, which is stronger; with the next block, if neither is
    /// given.
    #[param(max_length = 64)]
    after: Option<String>,
}

/// What an event of the name `head` carries.
#[derive(Debug, Serialize, ToSchema)]
#[schema(title = "HeadEvent")]
pub(super) struct HeadEvent {
    /// The network: the hash of the genesis that all events are checked against.
    #[schema(pattern = "^[0-9a-f]{64}$")]
    chain: String,
    /// Up to this height everything was told.
    height: u64,
}

/// What the other events carry.
#[derive(Debug, Serialize, ToSchema)]
#[schema(title = "TransactionEvent")]
pub(super) struct TransactionEvent {
    /// The network.
    #[schema(pattern = "^[0-9a-f]{64}$")]
    chain: String,
    /// The transaction.
    data: TransactionView,
}

/// What concerns an address, as it becomes final.
///
/// Events: `message` (an open message to the address), `receipt` (an answer to a message that it sent), `signed`
/// (anything else it signed), each with a `TransactionEvent`; and `head` with a `HeadEvent` when everything up to a
/// height has been told. A stream may end at any time. Who comes back with `Last-Event-ID` goes on behind that event, without a gap; after more
/// than 10,000 blocks the answer is 410, and the lists are to be read.
#[utoipa::path(
    get, path = "/addresses/{address}/events", tag = "addresses",
    params(
        ("address" = String, Path, description = "The address."),
        Start,
        ("Last-Event-ID" = Option<String>, Header, description = "The id of the last event seen.")
    ),
    responses(
        (status = 200, description = "The stream.", body = String, content_type = "text/event-stream"),
        (
            status = 410, description = "That place lies too far back.",
            body = super::problem::ProblemView<'_>, content_type = "application/problem+json"
        )
    )
)]
pub(super) async fn events(
    State(api): State<Api>,
    Extension(client): Extension<Client>,
    named: Named,
    headers: HeaderMap,
    Params(Start { after }): Params<Start>,
) -> Result<Response, Problem> {
    let address = api.reader.address(&named.0).await?;
    let genesis = api.reader.genesis().await?;
    let last_seen = headers.get(LAST_EVENT_ID).map(|value| value.to_str().unwrap_or("?").to_owned());
    let after = last_seen.filter(|id| !id.is_empty()).or(after);
    let after = after.as_deref().map(Cursor::parse).transpose()?;
    let permit = api.streams.enter(client)?;
    // From here on new blocks are fetched as they come.
    let watching = api.follower.watch();
    let head = match api.follower.height() {
        BlockHeight::GENESIS => {
            let head = api.reader.last_block().await?;
            head.map_or(BlockHeight::GENESIS, |sealed| sealed.header.height)
        }
        height => height,
    };
    let begin = after.unwrap_or(Cursor::end_of(head));
    if head.blocks_since(begin.height) > REPLAY_BLOCKS {
        let detail = format!("more than {REPLAY_BLOCKS} blocks came since {begin}");
        return Err(Problem::new(StatusCode::GONE, "explorer.replay", detail)
            .help("read the address's lists with order=oldest, then subscribe again"));
    }
    if begin.height.blocks_since(head) > AHEAD_BLOCKS {
        return Err(super::input::no_cursor(&begin.to_string()));
    }
    let follower = api.follower.clone();
    let feed = Stream {
        address,
        genesis,
        follower,
        client,
        account: api.questions.clone(),
        watching,
        stop: api.stop.clone(),
        begin,
        next: begin.height,
        queue: VecDeque::new(),
        questions: 0,
        _permit: permit,
    };
    let events = futures::stream::unfold(feed.opened(), Stream::next);
    let sse = Sse::new(events).keep_alive(KeepAlive::new().interval(SIGN_OF_LIFE));
    let unbuffered = (HeaderName::from_static("x-accel-buffering"), "no");
    let headers = [(CACHE_CONTROL, "no-store"), unbuffered];
    Ok((headers, sse.into_response()).into_response())
}

/// A stream to one client.
struct Stream {
    address: Address,
    genesis: Arc<Genesis>,
    follower: Follower,
    /// Who pays for what is asked for this stream alone.
    client: Client,
    account: Questions,
    watching: Watching,
    stop: CancellationToken,
    /// What stands here or before was told already.
    begin: Cursor,
    /// The next block to be read.
    next: BlockHeight,
    queue: VecDeque<Event>,
    /// Questions that the node was asked for this client alone.
    questions: usize,
    _permit: Place,
}

impl Stream {
    /// Begins with an event that carries an id, so that even who sees nothing else can come back.
    fn opened(mut self) -> Self {
        if self.begin.index == u32::MAX {
            self.next = self.begin.height.saturating_add(1);
        }
        self.next = self.next.max(BlockHeight::FIRST);
        let told_up_to = self.next.saturating_sub(1);
        let event = self.head_event(told_up_to).map(|event| event.id(self.begin.to_string()));
        self.queue.extend(event.map(|event| event.retry(COME_BACK)));
        self
    }
    async fn next(mut self) -> Option<(Result<Event, Infallible>, Self)> {
        loop {
            if let Some(event) = self.queue.pop_front() {
                return Some((Ok(event), self));
            }
            let next = self.next;
            tokio::select! {
                reached = self.watching.head.wait_for(|head| *head >= next) => drop(reached.ok()?),
                () = self.stop.cancelled() => return None,
            }
            let read = match self.follower.kept(next) {
                Some(kept) => {
                    // Read for everybody: this client is up with the others.
                    self.questions = 0;
                    self.take_in(kept).await
                }
                // The client comes back and goes on where it was.
                None if !self.may_ask().await || self.questions >= REPLAY_QUESTIONS => return None,
                None => self.catch_up(next).await,
            };
            read.inspect_err(|error| tracing::warn!(%error, "a stream of events ends")).ok()?;
        }
    }
    /// Waits until the client owes nothing for what was asked before; no, if the explorer stops meanwhile. A stream that
    /// ended instead would end for good: browsers do not come back to who answers 429.
    async fn may_ask(&self) -> bool {
        while let Err(seconds) = self.account.admit(self.client, Instant::now()) {
            tokio::select! {
                () = tokio::time::sleep(Duration::from_secs(seconds)) => {}
                () = self.stop.cancelled() => return false,
            }
        }
        true
    }
    /// Reads at the client's cost what it has missed.
    async fn catch_up(&mut self, next: BlockHeight) -> Result<(), ReadError> {
        let lookups = REPLAY_QUESTIONS.saturating_sub(self.questions);
        let fetching = self.follower.fetch(next, lookups);
        let Fetched { seen, questions } = self.account.at_cost_of(self.client, fetching).await?;
        self.questions = self.questions.saturating_add(questions);
        self.take_in(seen).await
    }
    /// Checks what concerns the address, and puts it into the queue.
    async fn take_in(&mut self, seen: Vec<Arc<Seen>>) -> Result<(), ReadError> {
        if seen.is_empty() {
            return Ok(());
        }
        let (address, checked) = (self.address, seen.clone());
        self.follower.reader().check(move || check_signatures(&checked, address)).await??;
        self.tell(&seen);
        Ok(())
    }
    /// Puts what concerns the address into the queue.
    fn tell(&mut self, blocks: &[Arc<Seen>]) {
        let chain = self.genesis.chain_id().to_string();
        for seen in blocks {
            let header = seen.header();
            for (index, transaction, concern) in seen.concerning(self.address) {
                let place = Cursor { height: header.height, index };
                if place <= self.begin {
                    continue;
                }
                let data = TransactionView::new(transaction, header, index, &self.genesis);
                let event = Event::default().id(place.to_string()).event(name(concern));
                let event = event.json_data(TransactionEvent { chain: chain.clone(), data });
                self.queue.extend(event.ok());
            }
            self.next = header.height.saturating_add(1);
        }
        let last = self.next.saturating_sub(1);
        let event = self.head_event(last).map(|event| event.id(Cursor::end_of(last).to_string()));
        self.queue.extend(event);
    }
    fn head_event(&self, height: BlockHeight) -> Option<Event> {
        let head = HeadEvent { chain: self.genesis.chain_id().to_string(), height: height.get() };
        // Plain strings and numbers: writing them can't fail.
        Event::default().event("head").json_data(head).ok()
    }
}

/// That whatever concerns an address was signed by whom it names.
fn check_signatures(blocks: &[Arc<Seen>], address: Address) -> Result<(), ReadError> {
    for (_, transaction, _) in blocks.iter().flat_map(|seen| seen.concerning(address)) {
        let signed = transaction.signed();
        let verified = signed.key.verify(&signed.digest, &signed.signature).map_err(Into::into);
        verified.map_err(ReadError::untrusted(format_args!("transaction {}", transaction.id())))?;
    }
    Ok(())
}

const fn name(concern: Concern) -> &'static str {
    match concern {
        Concern::Message => "message",
        Concern::Receipt => "receipt",
        Concern::Signed => "signed",
    }
}
