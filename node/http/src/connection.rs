//! A client's connection, and what is told of it to whoever answers. The bounds lie in the connection itself: it keeps
//! its places until it ends, also when HTTP hands it on to a WebSocket, and no protocol above it reads on while the
//! client takes nothing.

use crate::{Client, Place, Places};
use futures::task::AtomicWaker;
use std::collections::VecDeque;
use std::fmt;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::runtime::Handle;
use tokio::time::Sleep;
use tokio_io_timeout::TimeoutStream;

/// Tasks of this process beyond which WebSockets are not read. All calls and subscriptions that all connections may have
/// are fewer.
const MOST_TASKS: usize = 32_768;
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
    /// Room for what has come over a WebSocket since the last call began, and when it began to come.
    coming: Option<Place>,
    since: Option<Instant>,
    /// The client has not taken what is being written.
    is_blocked: bool,
    /// It has not taken it for too long.
    is_broken: bool,
    written: u64,
    /// Answers on their way, each up to which byte written: until then it takes up the memory that its places stand for.
    owed: VecDeque<(u64, Place)>,
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
}

/// Held as long as a call is under way, with the room of its message.
#[derive(Debug)]
pub struct Call {
    flow: Arc<Flow>,
    _room: Option<Place>,
}

impl Flow {
    /// Of a new connection, which reads no more while so many calls are under way.
    pub(crate) fn new(most_calls: usize) -> Arc<Self> {
        let (socket, state) = (OnceLock::new(), Mutex::default());
        Arc::new(Self { most_calls, socket, state, reader: AtomicWaker::new() })
    }
    /// Takes down that the connection becomes a WebSocket. What comes takes up room, until the call that begins next has
    /// ended; without any it is not read on, nor while this process has more tasks than it should ever have: a protocol that makes one
    /// of each message, whether it is a call or not, has no other bound.
    pub fn become_socket(&self, room: Room) {
        // One connection becomes one only once.
        let _ = self.socket.set(room);
    }
    /// Counts a call that begins.
    pub fn begin(self: &Arc<Self>) -> Call {
        let mut state = self.state();
        state.calls = state.calls.saturating_add(1);
        state.since = None;
        Call { flow: self.clone(), _room: state.coming.take() }
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
    /// Whether there is room for so much more that has come.
    fn settle(&self, room: &Room, bytes: usize) -> bool {
        if bytes == 0 {
            return true;
        }
        let mut state = self.state();
        state.since.get_or_insert_with(Instant::now);
        match &mut state.coming {
            Some(coming) => coming.grow(bytes).is_ok(),
            None => {
                state.coming = room.places.take(room.client, bytes).ok();
                state.coming.is_some()
            }
        }
    }
    /// Whether something long has been on its way for too long.
    fn is_overdue(&self, time: Duration) -> bool {
        let state = self.state();
        let is_long = state.coming.as_ref().is_some_and(|coming| coming.count() > SMALL);
        is_long && state.since.is_some_and(|since| since.elapsed() > time)
    }
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
    /// Whether more may be read now; whoever may not is woken when that changes.
    fn poll_more(&self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        // Before looking: what changes after that is not slept through.
        self.reader.register(context.waker());
        let state = self.state();
        match (state.is_broken, state.is_blocked || state.calls >= self.most_calls) {
            (true, _) => Poll::Ready(Err(io::ErrorKind::TimedOut.into())),
            (false, true) => Poll::Pending,
            (false, false) => Poll::Ready(Ok(())),
        }
    }
    /// Takes down what came of writing.
    fn wrote(&self, outcome: &Poll<io::Result<usize>>) {
        let mut state = self.state();
        let was_blocked = state.is_blocked;
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
        let is_free = was_blocked && !state.is_blocked;
        drop(state);
        if is_free || matches!(outcome, Poll::Ready(Err(_))) {
            self.reader.wake();
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
    /// Bytes of a WebSocket that are here and have no room yet.
    owing: usize,
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
            owing: 0,
            _held: held,
        }
    }
    /// Waits, on a WebSocket, while there is no room for what comes.
    fn poll_room(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let Some(room) = self.flow.socket.get() else { return Poll::Ready(Ok(())) };
        loop {
            if let Some(pause) = &mut self.pause {
                std::task::ready!(pause.as_mut().poll(context));
                self.pause = None;
            }
            if self.flow.is_overdue(room.time) {
                return Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
            }
            if self.flow.settle(room, self.owing) {
                self.owing = 0;
                if Handle::current().metrics().num_alive_tasks() < MOST_TASKS {
                    return Poll::Ready(Ok(()));
                }
            }
            self.pause = Some(Box::pin(tokio::time::sleep(PAUSE)));
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
        std::task::ready!(this.flow.poll_more(context))?;
        std::task::ready!(this.poll_room(context))?;
        let before = buffer.filled().len();
        let read = this.stream.as_mut().poll_read(context, buffer);
        if this.flow.socket.get().is_some() {
            this.owing = this.owing.saturating_add(buffer.filled().len().saturating_sub(before));
        }
        if let Some(silence) = &mut this.silence {
            if read.is_ready() {
                this.silence = None;
            } else if silence.as_mut().poll(context).is_ready() {
                return Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
            }
        }
        read
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
        self.flow.wrote(&outcome);
        outcome
    }
    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.check()?;
        let outcome = self.stream.as_mut().poll_write_vectored(context, bytes);
        self.flow.wrote(&outcome);
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
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

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
        let wrote = |bytes| flow.wrote(&Poll::Ready(Ok(bytes)));
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
        flow.wrote(&Poll::Ready(Err(io::ErrorKind::TimedOut.into())));
        flow.owe(places.take(client, 30).unwrap());
        assert_eq!(places.count(), 0);
    }
}
