//! One client: it shows the token, then asks, a line each. Answers come as they are ready, in any order. Everything
//! is bounded: the length of a line, the questions at work, what waits to be taken, and the time to do so.

use super::following::{Subscription, follow};
use super::protocol::{Refusal, Request, no_such_moment, parameters, request, response, tagged};
use super::socket::Token;
use super::{Server, methods};
use crate::cli::signals::{self, Stop};
use crate::wallet::Wallet;
use futures::StreamExt;
use futures::future::LocalBoxFuture;
use futures::stream::FuturesUnordered;
use sealpost_terminal::{Exit, Failure};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::VecDeque;
use std::time::Duration;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader, Take};
use tokio::net::UnixStream;
use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf};
use tokio::time::Instant;

/// Longest line of a client, in bytes: a message with its files in base64.
const MAX_REQUEST_BYTES: u64 = 8 << 20;
/// Longest line before the token was shown.
const MAX_GREETING_BYTES: u64 = 4096;
/// Questions of a client that are at work at a time; more wait in its socket.
const MAX_IN_FLIGHT: usize = 8;
/// Bytes that may wait to be taken before more is asked of the wallet.
const MAX_WAITING_BYTES: usize = 1 << 20;
/// How long the token may take.
const GREETING: Duration = Duration::from_secs(10);
/// How long a client may take nothing of what waits for it.
const TAKING: Duration = Duration::from_secs(30);
/// How long a client may ask nothing.
const IDLE: Duration = Duration::from_secs(600);

pub(super) struct Connection<'a> {
    server: &'a Server<'a>,
    lines: Lines,
    writer: OwnedWriteHalf,
    stop: Stop,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Greeting {
    token: String,
}

/// What a client learns when it has shown the token.
#[derive(Serialize)]
pub(super) struct Welcome {
    wallet: String,
    network: String,
    address: String,
    version: &'static str,
    methods: Vec<&'static str>,
}

impl Welcome {
    pub(super) fn to(wallet: &Wallet) -> Self {
        Self {
            wallet: wallet.name().into(),
            network: wallet.genesis().chain_name().into(),
            address: wallet.address_text(),
            version: env!("CARGO_PKG_VERSION"),
            methods: methods::all(),
        }
    }
}

/// What a piece of work ended with.
pub(super) enum Done {
    /// A line for the client.
    Answer(Vec<u8>),
    /// The same, and entries from now on.
    Follows(Vec<u8>, Vec<Subscription>),
    /// There is nothing to follow, for a reason that the line says.
    NotFollowed(Vec<u8>),
    /// An entry, or nothing if what came was no message to this wallet.
    Entry(Option<Vec<u8>>, Subscription),
    /// The subscription is at its end.
    Ended(Vec<u8>),
    /// What belonged to a subscription that is at its end.
    Over,
}

impl<'a> Connection<'a> {
    pub(super) fn new(server: &'a Server<'a>, stream: UnixStream, stop: Stop) -> Self {
        let (reader, writer) = stream.into_split();
        Self { server, lines: Lines::new(reader), writer, stop }
    }
    /// Says that there are too many.
    pub(super) async fn turn_away(mut self, limit: usize) {
        let message = format!("{limit} clients are connected, which is the limit; close one of them");
        let failure = Failure::unavailable("serve.busy", message);
        self.say(&response(&Value::Null, Err(failure.into()))).await;
    }
    /// Until the client leaves, does nothing any more, or the server is to stop.
    pub(super) async fn serve(mut self, token: &Token) {
        let greeting = tokio::time::timeout(GREETING, self.lines.next(MAX_GREETING_BYTES)).await;
        let Ok(Ok(Some(line))) = greeting else { return };
        match self.greet(&line, token) {
            Ok(welcome) => self.say(&welcome).await,
            Err(refused) => return self.say(&refused).await,
        }
        self.answer_questions().await;
    }
    /// The answer to a client's first line, which must show the token.
    fn greet(&self, line: &[u8], token: &Token) -> Result<Vec<u8>, Vec<u8>> {
        let Request { id, method, params } =
            request(line).map_err(|(id, refusal)| response(&id, Err(refusal)))?;
        let refuse = |refusal| response(&id, Err(refusal));
        let locked = |message| Failure::locked("serve.token", message).into();
        if method != methods::AUTHENTICATE {
            return Err(refuse(locked("the first request must be `authenticate`, with the token")));
        }
        let Greeting { token: shown } = parameters(params).map_err(refuse)?;
        if !token.is(&shown) {
            return Err(refuse(locked(
                "token: it is not the one in the token file, which each start makes anew",
            )));
        }
        Ok(response(&id, tagged("sealpost/serve-welcome/1", &self.server.welcome)))
    }
    async fn say(&mut self, line: &[u8]) {
        // One that takes nothing is left: what follows finds that out, too.
        let _ = tokio::time::timeout(TAKING, self.writer.write_all(line)).await;
    }
    async fn answer_questions(self) {
        let Self { server, mut lines, mut writer, stop } = self;
        let mut work: FuturesUnordered<LocalBoxFuture<'_, Done>> = FuturesUnordered::new();
        let mut waiting = Waiting::default();
        let (mut in_flight, mut follows, mut listening) = (0_usize, false, true);
        // Subscriptions whose next entries nobody waits for yet: the client has much to take.
        let mut resting: Vec<Subscription> = Vec::new();
        let mut last = Instant::now();
        let asked = signals::asked(stop);
        tokio::pin!(asked);
        while listening || in_flight > 0 || !waiting.is_empty() {
            if waiting.bytes < MAX_WAITING_BYTES {
                for subscription in resting.drain(..) {
                    work.push(Box::pin(subscription.next_entry(server)));
                }
            }
            let patience = match (waiting.is_empty(), in_flight > 0 || follows) {
                (false, _) => Some(TAKING),
                (true, false) => Some(IDLE),
                (true, true) => None,
            };
            let has_room = in_flight < MAX_IN_FLIGHT && waiting.bytes < MAX_WAITING_BYTES;
            tokio::select! {
                line = lines.next(MAX_REQUEST_BYTES), if listening && has_room => {
                    last = Instant::now();
                    let question = match line {
                        Ok(Some(line)) => request(&line),
                        Ok(None) => { listening = false; continue }
                        Err(refusal) => { listening = false; Err((Value::Null, refusal)) }
                    };
                    match question {
                        Err((id, refusal)) => waiting.push(response(&id, Err(refusal))),
                        Ok(Request { id, method, .. }) if method == methods::FOLLOW && follows => {
                            waiting.push(response(&id, Err(no_such_moment("this connection follows the inbox already"))));
                        }
                        Ok(question) => {
                            in_flight = in_flight.saturating_add(1);
                            if question.method == methods::FOLLOW {
                                follows = true;
                                work.push(Box::pin(follow(server, question)));
                            } else {
                                work.push(Box::pin(answer(server, question)));
                            }
                        }
                    }
                }
                Some(done) = work.next() => {
                    match done {
                        Done::Answer(line) => {
                            in_flight = in_flight.saturating_sub(1);
                            waiting.push(line);
                        }
                        Done::Follows(line, subscriptions) => {
                            in_flight = in_flight.saturating_sub(1);
                            waiting.push(line);
                            resting.extend(subscriptions);
                        }
                        Done::NotFollowed(line) => {
                            (in_flight, follows) = (in_flight.saturating_sub(1), false);
                            waiting.push(line);
                        }
                        Done::Entry(line, subscription) => {
                            line.into_iter().for_each(|line| waiting.push(line));
                            resting.push(subscription);
                        }
                        Done::Ended(line) => {
                            follows = false;
                            waiting.push(line);
                        }
                        Done::Over => {}
                    }
                    last = Instant::now();
                }
                written = writer.write(waiting.front()), if !waiting.is_empty() => match written {
                    Ok(count) if count > 0 => {
                        waiting.taken(count);
                        last = Instant::now();
                    }
                    _ => return,
                },
                _ = &mut asked, if listening => listening = false,
                () = tokio::time::sleep_until(last + patience.unwrap_or_default()), if patience.is_some() => return,
            }
        }
    }
}

async fn answer(server: &Server<'_>, question: Request) -> Done {
    let Request { id, method, params } = question;
    Done::Answer(response(&id, methods::answer(server, &method, params).await))
}

/// What waits to be taken.
#[derive(Default)]
struct Waiting {
    lines: VecDeque<Vec<u8>>,
    /// How much of the first was taken.
    begun: usize,
    bytes: usize,
}

impl Waiting {
    fn is_empty(&self) -> bool {
        self.lines.is_empty()
    }
    fn push(&mut self, line: Vec<u8>) {
        self.bytes = self.bytes.saturating_add(line.len());
        self.lines.push_back(line);
    }
    fn front(&self) -> &[u8] {
        self.lines.front().and_then(|line| line.get(self.begun..)).unwrap_or_default()
    }
    fn taken(&mut self, count: usize) {
        self.begun = self.begun.saturating_add(count);
        self.bytes = self.bytes.saturating_sub(count);
        if self.lines.front().is_some_and(|line| line.len() <= self.begun) {
            self.lines.pop_front();
            self.begun = 0;
        }
    }
}

/// Lines of bounded length.
pub(super) struct Lines<R = OwnedReadHalf> {
    reader: Take<BufReader<R>>,
    line: Vec<u8>,
}

impl<R: tokio::io::AsyncRead + Unpin> Lines<R> {
    pub(super) fn new(reader: R) -> Self {
        Self { reader: BufReader::new(reader).take(0), line: Vec::new() }
    }
    /// The next line without its end; nothing at the end. Whoever gives up waiting can ask again: nothing that came
    /// is lost.
    pub(super) async fn next(&mut self, limit: u64) -> Result<Option<Vec<u8>>, Refusal> {
        let had = u64::try_from(self.line.len()).unwrap_or(u64::MAX);
        // With the line's end.
        self.reader.set_limit(limit.saturating_add(1).saturating_sub(had));
        if self.reader.read_until(b'\n', &mut self.line).await.is_err() {
            return Ok(None);
        }
        if self.line.last() == Some(&b'\n') {
            self.line.pop();
            return Ok(Some(std::mem::take(&mut self.line)));
        }
        if self.reader.limit() == 0 {
            let message = format!("the request is longer than {limit} bytes, which is the limit");
            return Err(Failure::new(Exit::Usage, "serve.too_long", message).into());
        }
        // What was not ended was not said.
        Ok(None)
    }
}
