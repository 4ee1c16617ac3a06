//! Ends connections whose peer does not read. A connection is closed by saying so to the peer, and that waits for
//! room on the way to it: a peer that lets its window fill and reads no more could not be thrown out, neither
//! for its silence nor by a ban, and would keep its place for as long as its kernel answers ours.

use futures::{AsyncRead, AsyncWrite};
use libp2p::core::muxing::{StreamMuxer, StreamMuxerBox, StreamMuxerEvent};
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::time::Sleep;

/// How long a farewell may take; then the connection is dropped without.
const FAREWELL: Duration = Duration::from_secs(5);

/// A connection that is closed in a bounded time.
pub(super) struct Closing {
    connection: StreamMuxerBox,
    /// Since closing has begun.
    patience: Option<Pin<Box<Sleep>>>,
}

impl Closing {
    pub(super) fn new<M>(connection: M) -> Self
    where
        M: StreamMuxer + Send + 'static,
        M::Substream: AsyncRead + AsyncWrite + Send + 'static,
        M::Error: Send + Sync + 'static,
    {
        Self { connection: StreamMuxerBox::new(connection), patience: None }
    }
}

impl StreamMuxer for Closing {
    type Substream = <StreamMuxerBox as StreamMuxer>::Substream;
    type Error = io::Error;

    fn poll_inbound(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<io::Result<Self::Substream>> {
        Pin::new(&mut self.connection).poll_inbound(context)
    }
    fn poll_outbound(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<io::Result<Self::Substream>> {
        Pin::new(&mut self.connection).poll_outbound(context)
    }
    fn poll_close(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        if let Poll::Ready(closed) = Pin::new(&mut self.connection).poll_close(context) {
            return Poll::Ready(closed);
        }
        let patience = self.patience.get_or_insert_with(|| Box::pin(tokio::time::sleep(FAREWELL)));
        patience.as_mut().poll(context).map(|()| Err(io::ErrorKind::TimedOut.into()))
    }
    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<StreamMuxerEvent>> {
        Pin::new(&mut self.connection).poll(context)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use libp2p::core::muxing::StreamMuxerExt;

    /// A connection to a peer that takes nothing any more: nothing ever happens on it.
    struct Stuck;

    impl StreamMuxer for Stuck {
        type Substream = futures::io::Cursor<Vec<u8>>;
        type Error = io::Error;

        fn poll_inbound(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<Self::Substream>> {
            Poll::Pending
        }
        fn poll_outbound(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<Self::Substream>> {
            Poll::Pending
        }
        fn poll_close(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Pending
        }
        fn poll(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<StreamMuxerEvent>> {
            Poll::Pending
        }
    }

    #[tokio::test]
    async fn a_peer_that_takes_no_farewell_is_left_without() {
        let closed = tokio::time::timeout(2 * FAREWELL, Closing::new(Stuck).close()).await;
        assert_eq!(closed.unwrap().unwrap_err().kind(), io::ErrorKind::TimedOut);
    }
}
