//! Ends connections whose peer does not read. A connection is closed by saying so to the peer, and that waits for
//! room on the way to it: a peer that lets its window fill and reads no more could not be thrown out, neither
//! for its silence nor by a ban, and would keep its place for as long as its kernel answers ours. And it is where
//! a connection ends whose peer has said too much in gossipsub's own words.

use super::control::{Budget, Watched};
use libp2p::core::muxing::{StreamMuxer, StreamMuxerBox, StreamMuxerEvent, SubstreamBox};
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::time::Sleep;

/// How long a farewell may take; then the connection is dropped without.
const FAREWELL: Duration = Duration::from_secs(5);

/// A connection that is closed in a bounded time, and whose streams are watched.
pub(super) struct Closing {
    connection: StreamMuxerBox,
    budget: Budget,
    /// Since closing has begun.
    patience: Option<Pin<Box<Sleep>>>,
}

impl Closing {
    pub(super) const fn new(connection: StreamMuxerBox, budget: Budget) -> Self {
        Self { connection, budget, patience: None }
    }
}

impl StreamMuxer for Closing {
    type Substream = <StreamMuxerBox as StreamMuxer>::Substream;
    type Error = io::Error;

    fn poll_inbound(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<io::Result<Self::Substream>> {
        let inbound = Pin::new(&mut self.connection).poll_inbound(context);
        inbound.map_ok(|stream| SubstreamBox::new(Watched::new(stream, self.budget.clone())))
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
        if let Some(excess) = self.budget.excess(context) {
            return Poll::Ready(Err(io::Error::other(excess)));
        }
        Pin::new(&mut self.connection).poll(context)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::gossip::control::Budgets;
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
        let budget = Budgets::default().of(&"/ip4/192.0.2.1/tcp/1".parse().unwrap());
        let stuck = Closing::new(StreamMuxerBox::new(Stuck), budget);
        let closed = tokio::time::timeout(2 * FAREWELL, stuck.close()).await;
        assert_eq!(closed.unwrap().unwrap_err().kind(), io::ErrorKind::TimedOut);
    }
}
