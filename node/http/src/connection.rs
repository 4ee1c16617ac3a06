//! A client's connection, and what is told of it to whoever answers. The bounds lie in the connection itself: it keeps
//! its places until it ends, also when HTTP hands it on to a WebSocket, and no protocol above it reads on while the
//! client takes nothing.

use crate::frames::{Asked, EmptyLine, Frames};
use crate::{Client, Place, Places};
use futures::task::AtomicWaker;
use std::collections::VecDeque;
use std::fmt;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};
use thiserror::Error;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::Sleep;
use tokio_io_timeout::TimeoutStream;

/// Messages of a WebSocket that have come and of which the answer is not written, beyond which it is not read. Whoever
/// answers makes a task of each, whether it is a call or not, and the task lasts until its answer is on its way.
const MOST_UNANSWERED: usize = 64;
/// Messages so small, and whatever else a WebSocket's client says now and then, have no time.
const SMALL: usize = 64 << 10;
/// How soon it is looked again whether there is room.
const PAUSE: Duration = Duration::from_millis(20);

/// What is under way on a connection, shared between it and whoever answers: while too much is, nothing more is read.
#[derive(Debug)]
pub struct Flow {
    most_calls: usize,
    socket: OnceLock<Room>,
    state: Mutex<State>,
    reader: AtomicWaker,
}

#[derive(Debug, Default)]
struct State {
    calls: usize,
    /// Room for what comes over a WebSocket: for the messages that have come since the last call began, and for all of the
    /// present one, as soon as it says how long it is. And when the room was needed first.
    coming: Option<Place>,
    since: Option<Instant>,
    /// Bytes of those messages.
    whole: usize,
    /// The client has not taken what is being written.
    is_blocked: bool,
    /// It has not taken it for too long.
    is_broken: bool,
    written: u64,
    /// What the client has said before it had an answer, as long as the connection is no WebSocket.
    asked: Asked,
    /// Where the messages stand that come over a WebSocket, and those that go.
    coming_frames: Frames,
    going: Going,
    /// Messages that have come and that no written one has answered yet, and messages on their way that answer none.
    unanswered: usize,
    /// Answers on their way, each up to which byte written: until then it takes up the memory that its places stand for.
    owed: VecDeque<(u64, Place)>,
}

/// What is written.
#[derive(Debug, Default)]
enum Going {
    /// Answers of HTTP.
    #[default]
    Http,
    /// The last one of them.
    Welcome(EmptyLine),
    /// Messages of a WebSocket.
    Messages(Frames),
}

/// Room for messages that come over a WebSocket.
#[derive(Debug, Clone)]
pub struct Room {
    /// Where their bytes are counted.
    pub places: Places,
    /// Whose they are.
    pub client: Client,
    /// How long a message may be on its way.
    pub time: Duration,
    /// How long a message may be, in bytes. Who sends a longer one is not read on: what follows it can't be told from it
    /// with certainty.
    pub longest: usize,
}

/// A client said more than it was asked for before it knew whether it may.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("something follows the request to become a WebSocket before it was answered")]
pub struct TooEarly;

/// Held as long as a call is under way, with the room of its message.
#[derive(Debug)]
pub struct Call {
    flow: Arc<Flow>,
    _room: Option<Place>,
}

impl Flow {
    /// Of a new connection, which reads no more while so many calls are under way.
    pub fn new(most_calls: usize) -> Arc<Self> {
        let (socket, state) = (OnceLock::new(), Mutex::default());
        Arc::new(Self { most_calls, socket, state, reader: AtomicWaker::new() })
    }
    /// Takes down that the connection becomes a WebSocket with the answer that is written next. What comes takes up room,
    /// until the call that begins next has ended; without any it is not handed on, nor while too many of its messages wait
    /// for their answers. Nothing may have come behind the request: where messages end is known from their beginning only.
    pub fn become_socket(&self, room: Room) -> Result<(), TooEarly> {
        let mut state = self.state();
        if !matches!(state.asked, Asked::Once) {
            return Err(TooEarly);
        }
        state.going = Going::Welcome(EmptyLine::default());
        // One connection becomes one only once.
        let _ = self.socket.set(room);
        Ok(())
    }
    /// Whether it is a WebSocket.
    pub fn is_socket(&self) -> bool {
        self.socket.get().is_some()
    }
    /// Counts a call that begins.
    pub fn begin(self: &Arc<Self>) -> Call {
        let mut state = self.state();
        state.calls = state.calls.saturating_add(1);
        if state.coming_frames.length() == 0 {
            state.since = None;
        }
        let whole = std::mem::take(&mut state.whole);
        let room = state.coming.as_mut().map(|coming| coming.split(whole));
        drop(state);
        Call { flow: self.clone(), _room: room }
    }
    /// A message that has come gets no answer.
    pub fn needs_no_answer(&self) {
        let mut state = self.state();
        state.unanswered = state.unanswered.saturating_sub(1);
        drop(state);
        self.reader.wake();
    }
    /// A message will be written that answers none.
    pub fn will_tell(&self) {
        let mut state = self.state();
        state.unanswered = state.unanswered.saturating_add(1);
    }
    /// Keeps places, one for each byte of an answer, until so much more than now has been written. What else is written
    /// meanwhile counts too: the last of an answer's bytes may be on their way a moment longer than its places are held.
    pub fn owe(&self, answer: Place) {
        let mut state = self.state();
        if state.is_broken {
            return;
        }
        let before = state.owed.back().map_or(state.written, |(until, _)| *until);
        let bytes = u64::try_from(answer.count()).unwrap_or(u64::MAX);
        state.owed.push_back((before.saturating_add(bytes), answer));
    }
    /// Whether there is room for what has come and for what comes with it.
    fn settle(&self, room: &Room) -> bool {
        let mut state = self.state();
        if state.unanswered == 0 {
            state.whole = 0;
        }
        let present = usize::try_from(state.coming_frames.length()).unwrap_or(usize::MAX);
        let needed = state.whole.saturating_add(present);
        if needed == 0 {
            (state.coming, state.since) = (None, None);
            return true;
        }
        state.since.get_or_insert_with(Instant::now);
        match &mut state.coming {
            Some(coming) => {
                let count = coming.count();
                drop(coming.split(count.saturating_sub(needed)));
                coming.grow(needed.saturating_sub(count)).is_ok()
            }
            None => {
                state.coming = room.places.take(room.client, needed).ok();
                state.coming.is_some()
            }
        }
    }
    /// Until when something long may be on its way.
    fn due(&self, time: Duration) -> Option<Instant> {
        let state = self.state();
        let is_long = state.coming.as_ref().is_some_and(|coming| coming.count() > SMALL);
        state.since.filter(|_| is_long)?.checked_add(time)
    }
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
    /// Whether more may be read now; whoever may not is woken when that changes.
    fn poll_more(&self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        // Before looking: what changes after that is not slept through.
        self.reader.register(context.waker());
        let state = self.state();
        let is_busy = state.is_blocked || state.is_full() || state.calls >= self.most_calls;
        match (state.is_broken, is_busy) {
            (true, _) => Poll::Ready(Err(io::ErrorKind::TimedOut.into())),
            (false, true) => Poll::Pending,
            (false, false) => Poll::Ready(Ok(())),
        }
    }
    /// How many bytes may be read at once, of so many that there is room for.
    fn reach(&self, room: usize) -> usize {
        match self.is_socket() {
            true => {
                let state = self.state();
                state
                    .coming_frames
                    .reach(MOST_UNANSWERED.saturating_sub(state.unanswered))
                    .clamp(1, room.max(1))
            }
            false => room,
        }
    }
    /// Takes down what was read; how much of it, at its end, is of a message that has not come whole.
    fn read(&self, bytes: &[u8]) -> io::Result<usize> {
        let mut state = self.state();
        let Some(room) = self.socket.get() else {
            state.asked.hear(bytes);
            return Ok(0);
        };
        let ended = state.coming_frames.pass(bytes);
        state.unanswered = state.unanswered.saturating_add(ended.messages);
        state.whole = state.whole.saturating_add(usize::try_from(ended.bytes).unwrap_or(usize::MAX));
        match state.coming_frames.hold(room.longest) {
            true => Ok(ended.behind),
            false => Err(io::Error::new(io::ErrorKind::InvalidData, "a message is longer than may come")),
        }
    }
    /// Takes down what came of writing these.
    fn wrote(&self, bytes: &[IoSlice<'_>], outcome: &Poll<io::Result<usize>>) {
        let mut state = self.state();
        let (was_blocked, was_full) = (state.is_blocked, state.is_full());
        if let Poll::Ready(Ok(written)) = outcome {
            state.pass(bytes, *written);
        }
        match outcome {
            Poll::Pending => state.is_blocked = true,
            Poll::Ready(Ok(bytes)) => {
                state.is_blocked = false;
                state.written = state.written.saturating_add(u64::try_from(*bytes).unwrap_or(u64::MAX));
                while state.owed.front().is_some_and(|(until, _)| *until <= state.written) {
                    state.owed.pop_front();
                }
            }
            Poll::Ready(Err(_)) => {
                (state.is_blocked, state.is_broken) = (false, true);
                state.owed.clear();
            }
        }
        let is_free = (was_blocked || was_full) && !state.is_blocked && !state.is_full();
        drop(state);
        if is_free || matches!(outcome, Poll::Ready(Err(_))) {
            self.reader.wake();
        }
    }
}

impl State {
    /// Whether so many messages wait that no more may come.
    fn is_full(&self) -> bool {
        self.unanswered >= MOST_UNANSWERED
    }
    /// Takes down what the client is told. Each message of it answers one, or was counted when it was made.
    fn pass(&mut self, bytes: &[IoSlice<'_>], written: usize) {
        if written > 0 {
            self.asked = Asked::default();
        }
        let mut left = written;
        for bytes in bytes {
            let bytes = bytes.get(..left.min(bytes.len())).unwrap_or_default();
            left = left.saturating_sub(bytes.len());
            let messages = match &mut self.going {
                Going::Http => 0,
                Going::Messages(frames) => frames.pass(bytes).messages,
                Going::Welcome(line) => {
                    let Some(behind) = line.find(bytes) else { continue };
                    let mut frames = Frames::default();
                    let messages = frames.pass(behind).messages;
                    self.going = Going::Messages(frames);
                    messages
                }
            };
            self.unanswered = self.unanswered.saturating_sub(messages);
        }
    }
}

impl Drop for Call {
    fn drop(&mut self) {
        let mut state = self.flow.state();
        state.calls = state.calls.saturating_sub(1);
        drop(state);
        self.flow.reader.wake();
    }
}

/// A client's TCP connection.
pub(crate) struct Connection {
    stream: Pin<Box<TimeoutStream<TcpStream>>>,
    flow: Arc<Flow>,
    /// Until the first byte comes: done when it is not waited for any more.
    silence: Option<Pin<Box<dyn Future<Output = ()> + Send>>>,
    /// While there is no room: when to look again.
    pause: Option<Pin<Box<Sleep>>>,
    /// While something long is on its way: when it has to be there.
    due: Option<Pin<Box<Sleep>>>,
    /// The beginning of a message that there is no room for yet. Whoever reads it sets all of its memory aside at once.
    held: Vec<u8>,
    /// Places and counts, given back with the connection.
    _held: Box<dyn Send>,
}

impl Connection {
    /// Over a stream: the first byte has to come within a time, and what is written has to be taken, bit by bit, within
    /// another. What is given as held is dropped when the connection ends.
    pub(crate) fn new(
        stream: TcpStream,
        flow: Arc<Flow>,
        first: impl Future<Output = ()> + Send + 'static,
        taking: Duration,
        held: Box<dyn Send>,
    ) -> Self {
        let mut stream = TimeoutStream::new(stream);
        stream.set_write_timeout(Some(taking));
        Self {
            stream: Box::pin(stream),
            flow,
            silence: Some(Box::pin(first)),
            pause: None,
            due: None,
            held: Vec::new(),
            _held: held,
        }
    }
    /// Waits, on a WebSocket, while there is no room for what comes.
    fn poll_room(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let Some(room) = self.flow.socket.get() else { return Poll::Ready(Ok(())) };
        loop {
            if let Some(pause) = &mut self.pause
                && pause.as_mut().poll(context).is_ready()
            {
                self.pause = None;
            }
            let has_room = self.pause.is_none() && self.flow.settle(room);
            // After that: what has room may be long, and has to come.
            let due = self.flow.due(room.time).map(tokio::time::Instant::from_std);
            if self.due.as_ref().map(|sleep| sleep.deadline()) != due {
                self.due = due.map(|at| Box::pin(tokio::time::sleep_until(at)));
            }
            if self.due.as_mut().is_some_and(|sleep| sleep.as_mut().poll(context).is_ready()) {
                return Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
            }
            match (has_room, &self.pause) {
                (true, _) => return Poll::Ready(Ok(())),
                (false, Some(_)) => return Poll::Pending,
                (false, None) => self.pause = Some(Box::pin(tokio::time::sleep(PAUSE))),
            }
        }
    }
    /// What is broken stays so: no second time to wait for somebody who takes nothing.
    fn check(&self) -> io::Result<()> {
        match self.flow.state().is_broken {
            true => Err(io::ErrorKind::BrokenPipe.into()),
            false => Ok(()),
        }
    }
}

impl fmt::Debug for Connection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connection").field("flow", &self.flow).finish_non_exhaustive()
    }
}

impl AsyncRead for Connection {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = &mut *self;
        // What is held has been read: before it is there nothing else can be answered.
        if this.held.is_empty() {
            std::task::ready!(this.flow.poll_more(context))?;
        }
        std::task::ready!(this.poll_room(context))?;
        if !this.held.is_empty() {
            let bytes = this.held.len().min(buffer.remaining());
            buffer.put_slice(this.held.drain(..bytes).as_slice());
            return Poll::Ready(Ok(()));
        }
        let reach = this.flow.reach(buffer.remaining()).min(buffer.remaining());
        let mut part = ReadBuf::new(buffer.initialize_unfilled_to(reach));
        let read = this.stream.as_mut().poll_read(context, &mut part);
        let behind = this.flow.read(part.filled())?;
        let mut bytes = part.filled().len();
        if bytes > 0 && this.poll_room(context)?.is_pending() {
            bytes = bytes.saturating_sub(behind);
            this.held = part.filled().get(bytes..).unwrap_or_default().to_vec();
        }
        buffer.advance(bytes);
        if let Some(silence) = &mut this.silence {
            if read.is_ready() {
                this.silence = None;
            } else if silence.as_mut().poll(context).is_ready() {
                return Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
            }
        }
        // Nothing would mean the end.
        if bytes == 0 && !this.held.is_empty() { Poll::Pending } else { read }
    }
}

impl AsyncWrite for Connection {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.check()?;
        let outcome = self.stream.as_mut().poll_write(context, bytes);
        self.flow.wrote(&[IoSlice::new(bytes)], &outcome);
        outcome
    }
    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.check()?;
        let outcome = self.stream.as_mut().poll_write_vectored(context, bytes);
        self.flow.wrote(bytes, &outcome);
        outcome
    }
    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }
    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.stream.as_mut().poll_flush(context)
    }
    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.stream.as_mut().poll_shutdown(context)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::indexing_slicing)]
mod tests {
    use super::*;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    #[tokio::test]
    async fn a_connection_is_read_on_when_calls_have_ended() {
        let flow = Flow::new(1);
        let mut context = Context::from_waker(std::task::Waker::noop());
        assert!(flow.poll_more(&mut context).is_ready());
        let call = flow.begin();
        assert!(flow.poll_more(&mut context).is_pending());
        // Whoever waits for that is woken.
        let waiting = flow.clone();
        let waiting = tokio::spawn(std::future::poll_fn(move |context| waiting.poll_more(context)));
        tokio::task::yield_now().await;
        drop(call);
        waiting.await.unwrap().unwrap();
    }

    #[tokio::test]
    async fn an_answer_holds_its_places_until_it_is_written() {
        let (flow, places) = (Flow::new(1), Places::new(100, 100));
        let client = Client::new("192.0.2.1".parse().unwrap());
        let wrote = |bytes| flow.wrote(&[], &Poll::Ready(Ok(bytes)));
        wrote(7);
        for bytes in [10, 20] {
            flow.owe(places.take(client, bytes).unwrap());
        }
        let counts = [9, 1, 19, 1].map(|bytes| {
            wrote(bytes);
            places.count()
        });
        assert_eq!(counts, [30, 20, 20, 0]);
        // Of who takes nothing, nothing is kept.
        flow.owe(places.take(client, 30).unwrap());
        flow.wrote(&[], &Poll::Ready(Err(io::ErrorKind::TimedOut.into())));
        flow.owe(places.take(client, 30).unwrap());
        assert_eq!(places.count(), 0);
    }

    fn room(places: &Places, time: Duration) -> Room {
        let client = Client::new("192.0.2.1".parse().unwrap());
        Room { places: places.clone(), client, time, longest: 100_000 }
    }

    const REQUEST: &[u8] = b"GET / HTTP/1.1\r\nupgrade: websocket\r\n\r\n";
    const WELCOME: &[u8] = b"HTTP/1.1 101 Switching Protocols\r\n\r\n";
    /// An empty message, and an answer.
    const EMPTY: &[u8] = &[0x81, 0x80, 1, 2, 3, 4];
    const ANSWER: &[u8] = &[0x81, 2, b'{', b'}'];

    /// A connection that has become a WebSocket, and its client.
    async fn socket(places: &Places, time: Duration) -> (Connection, Arc<Flow>, TcpStream) {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let mut client = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        let flow = Flow::new(32);
        let (stream, ever) = (listener.accept().await.unwrap().0, std::future::pending());
        let mut connection =
            Connection::new(stream, flow.clone(), ever, Duration::from_secs(60), Box::new(()));
        client.write_all(REQUEST).await.unwrap();
        connection.read_exact(&mut [0; REQUEST.len()]).await.unwrap();
        flow.become_socket(room(places, time)).unwrap();
        connection.write_all(WELCOME).await.unwrap();
        client.read_exact(&mut [0; WELCOME.len()]).await.unwrap();
        (connection, flow, client)
    }

    /// However short they are and however many could be read at once.
    #[tokio::test]
    async fn a_socket_is_not_read_while_too_many_messages_wait_for_their_answers() {
        let places = Places::new(100_000, 100_000);
        let (mut connection, flow, mut client) = socket(&places, Duration::from_secs(60)).await;
        client.write_all(&EMPTY.repeat(1000)).await.unwrap();
        let (mut buffer, mut read) = (vec![0; 8192], 0);
        let most = MOST_UNANSWERED * EMPTY.len();
        while flow.state().unanswered < MOST_UNANSWERED {
            read += connection.read(&mut buffer).await.unwrap();
        }
        assert_eq!(read, most);
        assert!(futures::poll!(std::pin::pin!(connection.read(&mut buffer))).is_pending());
        // A ping answers nothing, nor does what was told besides, nor that a call has begun and ended: its answer waits.
        connection.write_all(&[0x89, 0]).await.unwrap();
        flow.will_tell();
        connection.write_all(ANSWER).await.unwrap();
        drop(flow.begin());
        assert!(futures::poll!(std::pin::pin!(connection.read(&mut buffer))).is_pending());
        connection.write_all(ANSWER).await.unwrap();
        flow.needs_no_answer();
        while flow.state().unanswered < MOST_UNANSWERED {
            read += connection.read(&mut buffer).await.unwrap();
        }
        assert_eq!(read, most + 2 * EMPTY.len());
    }

    #[tokio::test]
    async fn a_long_message_comes_in_one_piece_though_few_may_come() {
        let places = Places::new(100_000, 100_000);
        let (mut connection, flow, mut client) = socket(&places, Duration::from_secs(60)).await;
        let message = [&[0x82, 126, 3, 232][..], &[7; 1000]].concat();
        client.write_all(&message).await.unwrap();
        client.write_all(&[0x82, 127, 0, 0, 0, 0, 0, 1, 0x86, 0xa1]).await.unwrap();
        let mut heard = vec![0; message.len()];
        connection.read_exact(&mut heard).await.unwrap();
        assert_eq!((heard, flow.state().unanswered), (message, 1));
        // A longer one than may come ends it.
        let mut longer = [0; 10];
        let refused = connection.read_exact(&mut longer).await.unwrap_err();
        assert_eq!(refused.kind(), io::ErrorKind::InvalidData);
    }

    /// Its reader would set aside as much at once.
    #[tokio::test]
    async fn a_message_takes_up_the_room_that_it_announces() {
        let places = Places::new(1500, 1500);
        let (mut connection, flow, mut client) = socket(&places, Duration::from_secs(60)).await;
        let mut buffer = [0; 100];
        client.write_all(&[0x82, 126, 3, 232]).await.unwrap();
        assert_eq!(connection.read(&mut buffer).await.unwrap(), 4);
        assert_eq!(places.count(), 1000);
        // What has come whole before one that there is no room for is handed on, and that one is when there is.
        client.write_all(&[[7; 1000].as_slice(), &[0x82, 126, 3, 232]].concat()).await.unwrap();
        connection.read_exact(&mut [0; 1000]).await.unwrap();
        assert!(futures::poll!(std::pin::pin!(connection.read(&mut buffer))).is_pending());
        let call = flow.begin();
        assert_eq!(places.count(), 1000);
        assert!(futures::poll!(std::pin::pin!(connection.read(&mut buffer))).is_pending());
        drop(call);
        assert_eq!(connection.read(&mut buffer).await.unwrap(), 4);
        assert_eq!(places.count(), 1000);
    }

    #[tokio::test]
    async fn a_long_message_that_does_not_come_ends_its_connection() {
        let places = Places::new(1 << 20, 1 << 20);
        let (mut connection, flow, mut client) = socket(&places, Duration::from_millis(20)).await;
        // Behind a call that begins meanwhile.
        let head = [0x82, 127, 0, 0, 0, 0, 0, 1, 0, 1];
        client.write_all(&[EMPTY, &head].concat()).await.unwrap();
        connection.read_exact(&mut [0; EMPTY.len() + 10]).await.unwrap();
        drop(flow.begin());
        let ended = connection.read_u8().await.unwrap_err();
        assert_eq!(ended.kind(), io::ErrorKind::TimedOut);
    }

    /// For days, in one that only listens.
    #[tokio::test]
    async fn pongs_take_up_no_room_and_no_time() {
        let places = Places::new(100, 100);
        let (mut connection, _, mut client) = socket(&places, Duration::ZERO).await;
        let pong = [0x8a, 0x80, 1, 2, 3, 4];
        for _ in 0..11_000 {
            client.write_all(&pong).await.unwrap();
            connection.read_exact(&mut [0; 6]).await.unwrap();
        }
        assert_eq!(places.count(), 0);
    }

    #[test]
    fn what_follows_a_request_too_early_makes_no_socket() {
        let places = Places::new(100, 100);
        let become_socket = |said: &[&[u8]]| {
            let flow = Flow::new(32);
            for said in said {
                flow.read(said).unwrap();
            }
            flow.become_socket(room(&places, Duration::from_secs(60))).map(|()| flow.is_socket())
        };
        assert_eq!(become_socket(&[REQUEST]), Ok(true));
        assert_eq!(become_socket(&[&REQUEST[..9], &REQUEST[9..]]), Ok(true));
        assert_eq!(become_socket(&[&[REQUEST, EMPTY].concat()]), Err(TooEarly));
        assert_eq!(become_socket(&[REQUEST, EMPTY]), Err(TooEarly));
        assert_eq!(become_socket(&[REQUEST, b"\n\r\n"]), Err(TooEarly));
    }

    #[test]
    fn a_request_after_others_makes_a_socket() {
        let (flow, places) = (Flow::new(32), Places::new(100, 100));
        for _ in 0..3 {
            flow.read(&[b"POST / HTTP/1.1\r\n\r\n".as_slice(), &[b'a'; 100_000]].concat()).unwrap();
            flow.wrote(&[IoSlice::new(b"HTTP/1.1 200 OK\r\n\r\n")], &Poll::Ready(Ok(19)));
        }
        flow.read(REQUEST).unwrap();
        flow.become_socket(room(&places, Duration::from_secs(60))).unwrap();
    }
}
