//! Bounds what peers say in gossipsub's own words. gossipsub 0.49 remembers every topic that a peer names in a
//! PRUNE, joined or not, for as long as the peer wishes, up to an hour (GHSA-vrx6-jcp8-vm7m): anybody could fill a
//! node's memory. So the bytes of each stream that a peer opens are followed while they pass: they are neither kept
//! nor changed, but GRAFT and PRUNE are counted, and beyond a budget the read fails and the connection ends.
//!
//! Followed is what gossipsub would read, and nothing that it would refuse has to be understood: where the two
//! could differ, gossipsub ends the stream by itself. The encoding is read as `quick-protobuf` reads it.

use super::ip_limits::ip_of;
use futures::{AsyncRead, AsyncWrite};
use libp2p::Multiaddr;
use libp2p::core::muxing::SubstreamBox;
use std::collections::HashMap;
use std::io;
use std::net::IpAddr;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker, ready};
use std::time::Instant;
use thiserror::Error;

/// How protocols begin that carry gossipsub's words.
const SPOKEN: [&[u8]; 2] = [b"/meshsub/", b"/floodsub/"];
/// As many bytes as the longest of them has.
const BEGINNING: usize = 10;
/// The header of a line in the negotiation has no more bytes than this.
const LINE_LENGTH_BYTES: u32 = 2;
/// A number in protobuf has no more bytes than this.
const VARINT_BYTES: u32 = 10;

/// `control` of an RPC, and `graft` and `prune` of that: number and wire type, as in gossipsub's `rpc.proto`.
const CONTROL: u32 = 3 << 3 | 2;
const GRAFT: u32 = 3 << 3 | 2;
const PRUNE: u32 = 4 << 3 | 2;

/// The longest GRAFT or PRUNE. A node of ours needs 120 bytes; the rest is for others' peer exchange.
const LONGEST: u32 = 4 * 1024;
/// What one connection may say: honest peers say a handful in a minute, of two topics.
const OF_CONNECTION: Measure =
    Measure { entries: 64.0, bytes: 16_384.0, entries_per_second: 0.25, bytes_per_second: 64.0 };
/// What all connections of an address may say: without it a new connection would bring a new budget.
const OF_ADDRESS: Measure =
    Measure { entries: 512.0, bytes: 65_536.0, entries_per_second: 1.0, bytes_per_second: 256.0 };
/// Addresses that have a budget of their own; all others share one.
const MAX_ADDRESSES: usize = 1_024;

/// Why a connection ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub(super) enum Excess {
    #[error("the peer says more GRAFT and PRUNE than anybody needs")]
    Peer,
    #[error("more GRAFT and PRUNE come from the peer's address than anybody needs")]
    Address,
}

impl Excess {
    /// Finds it in the error by which a connection has ended.
    pub(super) fn in_error(mut error: &io::Error) -> Option<Self> {
        // Each box around a connection wraps the error once.
        loop {
            let inner = error.get_ref()?;
            if let Some(excess) = inner.downcast_ref::<Self>() {
                return Some(*excess);
            }
            error = inner.downcast_ref::<io::Error>()?;
        }
    }
}

/// How much may be said at once, and how fast that is regained.
#[derive(Debug, Clone, Copy)]
struct Measure {
    entries: f64,
    bytes: f64,
    entries_per_second: f64,
    bytes_per_second: f64,
}

/// What is left of a measure.
#[derive(Debug, Clone, Copy)]
struct Left {
    entries: f64,
    bytes: f64,
    since: Instant,
}

impl Left {
    const fn all(measure: &Measure, now: Instant) -> Self {
        Self { entries: measure.entries, bytes: measure.bytes, since: now }
    }
    fn regain(&mut self, measure: &Measure, now: Instant) {
        let passed = now.saturating_duration_since(self.since).as_secs_f64();
        self.entries = (self.entries + passed * measure.entries_per_second).min(measure.entries);
        self.bytes = (self.bytes + passed * measure.bytes_per_second).min(measure.bytes);
        self.since = now;
    }
    fn is_all(&self, measure: &Measure) -> bool {
        self.entries >= measure.entries && self.bytes >= measure.bytes
    }
    /// Takes one entry of that length; `false` if it is too much.
    fn take(&mut self, measure: &Measure, length: u32, now: Instant) -> bool {
        self.regain(measure, now);
        let length = f64::from(length);
        if self.entries < 1.0 || self.bytes < length {
            return false;
        }
        self.entries -= 1.0;
        self.bytes -= length;
        true
    }
}

/// The budgets of a node: one for each address, and one for each of its connections.
#[derive(Debug, Clone, Default)]
pub(super) struct Budgets {
    /// `None`: relayed connections, whose address nobody knows, and addresses beyond the most.
    addresses: Arc<Mutex<HashMap<Option<IpAddr>, Left>>>,
}

impl Budgets {
    /// The budget of a new connection with that address.
    pub(super) fn of(&self, address: &Multiaddr) -> Budget {
        let connection =
            Connection { left: Left::all(&OF_CONNECTION, Instant::now()), excess: None, waker: None };
        let address = ip_of(address);
        Budget { connection: Arc::new(Mutex::new(connection)), address, addresses: self.clone() }
    }
    fn take(&self, address: Option<IpAddr>, length: u32, now: Instant) -> bool {
        // Several nodes of one machine have one address, and nobody attacks from there.
        if address.is_some_and(|ip| ip.is_loopback()) {
            return true;
        }
        let mut addresses = lock(&self.addresses);
        if addresses.len() >= MAX_ADDRESSES && !addresses.contains_key(&address) {
            addresses.retain(|_, left| {
                left.regain(&OF_ADDRESS, now);
                !left.is_all(&OF_ADDRESS)
            });
        }
        let has_own = addresses.len() < MAX_ADDRESSES || addresses.contains_key(&address);
        let key = if has_own { address } else { None };
        let left = addresses.entry(key).or_insert_with(|| Left::all(&OF_ADDRESS, now));
        left.take(&OF_ADDRESS, length, now)
    }
}

/// The budget of a connection. All its streams share it.
#[derive(Debug, Clone)]
pub(super) struct Budget {
    connection: Arc<Mutex<Connection>>,
    address: Option<IpAddr>,
    addresses: Budgets,
}

#[derive(Debug)]
struct Connection {
    left: Left,
    excess: Option<Excess>,
    /// Of whoever drives the connection.
    waker: Option<Waker>,
}

impl Budget {
    /// Pays for one GRAFT or PRUNE.
    fn pay(&self, length: u32, now: Instant) -> Result<(), Excess> {
        let mut connection = lock(&self.connection);
        let paid = if length > LONGEST || !connection.left.take(&OF_CONNECTION, length, now) {
            Err(Excess::Peer)
        } else if !self.addresses.take(self.address, length, now) {
            Err(Excess::Address)
        } else {
            return Ok(());
        };
        connection.excess = connection.excess.or(paid.err());
        if let Some(waker) = connection.waker.take() {
            waker.wake();
        }
        paid
    }
    /// Whether the connection is to end; wakes whoever asks when it is.
    pub(super) fn excess(&self, context: &Context<'_>) -> Option<Excess> {
        let mut connection = lock(&self.connection);
        if connection.excess.is_none()
            && connection.waker.as_ref().is_none_or(|w| !w.will_wake(context.waker()))
        {
            connection.waker = Some(context.waker().clone());
        }
        connection.excess
    }
}

/// Nothing that is done under these locks can be left half done.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Why a stream ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
enum Stop {
    #[error("what comes is no message of gossipsub")]
    Malformed,
    #[error(transparent)]
    Excess(#[from] Excess),
}

/// Whether to go on following.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Course {
    On,
    /// Another protocol is agreed on, or none can be any more.
    Aside,
}

/// Where in its bytes a stream is. Both the lines of the negotiation (multistream-select) and the messages after it
/// are chunks with their length before them. We do not see our own answers, and so not whether a proposed protocol
/// was taken; but a chunk that begins as a line does is no message, because no field begins with that byte.
#[derive(Debug)]
struct Follower {
    at: At,
    /// Whether the last protocol that was proposed is gossipsub's.
    spoken: bool,
    /// What is left of the chunk, and of the `control` in it.
    chunk: u64,
    control: Option<u64>,
}

#[derive(Debug, Clone, Copy)]
enum At {
    Length(Varint),
    /// The first byte of a chunk.
    Beginning,
    Line {
        beginning: [u8; BEGINNING],
        seen: usize,
    },
    Tag(Varint),
    /// A number that means nothing to us.
    Number(Varint),
    /// The length of a field's bytes.
    Size {
        tag: u32,
        length: Varint,
    },
    Skipping(u64),
}

/// A number on its way.
#[derive(Debug, Clone, Copy, Default)]
struct Varint {
    value: u64,
    bytes: u32,
}

impl Varint {
    /// Adds a byte; the number if that was its last.
    fn add(&mut self, byte: u8) -> Option<u64> {
        let low = u64::from(byte & 0x7f);
        self.value |= low.checked_shl(self.bytes.saturating_mul(7)).unwrap_or(0);
        self.bytes = self.bytes.saturating_add(1);
        (byte & 0x80 == 0).then_some(self.value)
    }
    const fn is_longer_than(&self, bytes: u32) -> bool {
        self.bytes >= bytes
    }
    /// As a tag or length is read by gossipsub: what does not fit into 32 bits is dropped.
    fn add_32(&mut self, byte: u8) -> Result<Option<u32>, Stop> {
        match self.add(byte) {
            Some(value) => Ok(u32::try_from(value & u64::from(u32::MAX)).ok()),
            None if self.is_longer_than(VARINT_BYTES) => Err(Stop::Malformed),
            None => Ok(None),
        }
    }
}

impl Follower {
    fn new() -> Self {
        Self { at: At::Length(Varint::default()), spoken: false, chunk: 0, control: None }
    }
    /// Follows what has come, in whatever pieces it comes.
    fn follow(
        &mut self,
        mut bytes: &[u8],
        pay: &mut impl FnMut(u32) -> Result<(), Excess>,
    ) -> Result<Course, Stop> {
        loop {
            // At once: messages are long, and nothing in them concerns us.
            if let At::Skipping(left) = self.at {
                let here = usize::try_from(left).unwrap_or(usize::MAX).min(bytes.len());
                bytes = bytes.get(here..).unwrap_or_default();
                self.at = At::Skipping(left.saturating_sub(u64::try_from(here).unwrap_or(left)));
                if matches!(self.at, At::Skipping(0)) {
                    self.field_ends();
                }
            }
            let Some((byte, rest)) = bytes.split_first() else { return Ok(Course::On) };
            bytes = rest;
            if self.step(*byte, pay)? == Course::Aside {
                return Ok(Course::Aside);
            }
        }
    }
    fn step(&mut self, byte: u8, pay: &mut impl FnMut(u32) -> Result<(), Excess>) -> Result<Course, Stop> {
        match self.at {
            At::Length(mut length) => {
                let longest = if self.spoken { VARINT_BYTES } else { LINE_LENGTH_BYTES };
                self.at = match length.add(byte) {
                    None if !length.is_longer_than(longest) => At::Length(length),
                    None if self.spoken => return Err(Stop::Malformed),
                    // No line is that long or empty: if one is expected, the negotiation ends here.
                    None => return Ok(Course::Aside),
                    Some(0) if !self.spoken => return Ok(Course::Aside),
                    Some(0) => At::Length(Varint::default()),
                    Some(length) => {
                        self.chunk = length;
                        At::Beginning
                    }
                };
            }
            At::Beginning => {
                // A protocol's name, or `ls`; as tags both are of a kind that gossipsub refuses.
                if matches!(byte, b'/' | b'l') {
                    self.line(byte, [0; BEGINNING], 0)?;
                } else if self.spoken {
                    self.at = At::Tag(Varint::default());
                    return self.step(byte, pay);
                } else {
                    return Ok(Course::Aside);
                }
            }
            At::Line { beginning, seen } => self.line(byte, beginning, seen)?,
            At::Tag(mut tag) => {
                self.spend(1)?;
                match tag.add_32(byte)? {
                    None => self.at = At::Tag(tag),
                    Some(tag) => self.field(tag)?,
                }
            }
            At::Number(mut number) => {
                self.spend(1)?;
                match number.add_32(byte)? {
                    None => self.at = At::Number(number),
                    Some(_) => self.field_ends(),
                }
            }
            At::Size { tag, mut length } => {
                self.spend(1)?;
                match length.add_32(byte)? {
                    None => self.at = At::Size { tag, length },
                    Some(length) => self.bytes_of(tag, length, pay)?,
                }
            }
            // Done by the caller, as long as there are bytes.
            At::Skipping(_) => {}
        }
        Ok(Course::On)
    }
    /// A byte of a line, which ends with its chunk.
    fn line(&mut self, byte: u8, mut beginning: [u8; BEGINNING], seen: usize) -> Result<(), Stop> {
        self.spend(1)?;
        if let Some(place) = beginning.get_mut(seen) {
            *place = byte;
        }
        self.at = if self.chunk == 0 {
            self.spoken = SPOKEN.iter().any(|name| beginning.starts_with(name));
            At::Length(Varint::default())
        } else {
            At::Line { beginning, seen: seen.saturating_add(1) }
        };
        Ok(())
    }
    /// A field begins.
    fn field(&mut self, tag: u32) -> Result<(), Stop> {
        match tag & 7 {
            0 => self.at = At::Number(Varint::default()),
            1 => self.skip(8)?,
            2 => self.at = At::Size { tag, length: Varint::default() },
            5 => self.skip(4)?,
            _ => return Err(Stop::Malformed),
        }
        Ok(())
    }
    /// A field with so many bytes begins.
    fn bytes_of(
        &mut self,
        tag: u32,
        length: u32,
        pay: &mut impl FnMut(u32) -> Result<(), Excess>,
    ) -> Result<(), Stop> {
        match (self.control, tag) {
            (None, CONTROL) if u64::from(length) > self.chunk => return Err(Stop::Malformed),
            (None, CONTROL) => {
                self.control = Some(length.into());
                self.field_ends();
            }
            (Some(_), GRAFT | PRUNE) => {
                pay(length)?;
                self.skip(length)?;
            }
            _ => self.skip(length)?,
        }
        Ok(())
    }
    fn skip(&mut self, length: u32) -> Result<(), Stop> {
        self.spend(length.into())?;
        self.at = At::Skipping(length.into());
        if length == 0 {
            self.field_ends();
        }
        Ok(())
    }
    /// Takes that many bytes of the chunk and of the `control` in it.
    fn spend(&mut self, bytes: u64) -> Result<(), Stop> {
        if let Some(control) = &mut self.control {
            *control = control.checked_sub(bytes).ok_or(Stop::Malformed)?;
        }
        self.chunk = self.chunk.checked_sub(bytes).ok_or(Stop::Malformed)?;
        Ok(())
    }
    fn field_ends(&mut self) {
        self.control = self.control.filter(|left| *left > 0);
        self.at = if self.chunk == 0 { At::Length(Varint::default()) } else { At::Tag(Varint::default()) };
    }
}

/// A stream that the peer has opened.
#[derive(Debug)]
pub(super) struct Watched {
    stream: SubstreamBox,
    budget: Budget,
    watch: Watch,
}

#[derive(Debug)]
enum Watch {
    Follows(Follower),
    Aside,
    Ended(Stop),
}

impl Watched {
    pub(super) fn new(stream: SubstreamBox, budget: Budget) -> Self {
        Self { stream, budget, watch: Watch::Follows(Follower::new()) }
    }
}

impl AsyncRead for Watched {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        let Self { stream, budget, watch } = &mut *self;
        if let Watch::Ended(stop) = watch {
            return Poll::Ready(Err(io::Error::new(io::ErrorKind::InvalidData, *stop)));
        }
        let count = ready!(Pin::new(stream).poll_read(context, buffer))?;
        if let Watch::Follows(follower) = watch {
            let mut pay = |length| budget.pay(length, Instant::now());
            match follower.follow(buffer.get(..count).unwrap_or_default(), &mut pay) {
                Ok(Course::On) => {}
                Ok(Course::Aside) => *watch = Watch::Aside,
                Err(stop) => {
                    *watch = Watch::Ended(stop);
                    // What this read has brought is not handed on.
                    return Poll::Ready(Err(io::Error::new(io::ErrorKind::InvalidData, stop)));
                }
            }
        }
        Poll::Ready(Ok(count))
    }
}

impl AsyncWrite for Watched {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(context, buffer)
    }
    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffers: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(context, buffers)
    }
    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }
    fn poll_close(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_close(context)
    }
}

#[cfg(feature = "fuzzing")]
pub(super) mod fuzzing;
#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests;
