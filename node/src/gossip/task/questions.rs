//! Questions to single nodes, and theirs to this one.

use super::{Done, Purpose, Task};
use crate::gossip::exchange::Question;
use crate::gossip::serve::{self, Given, MAX_BEING_SERVED, MAX_PER_PEER};
use crate::wire::{
    Ask, Fault, MAX_IDS, MAX_PEER_ADDRESSES, MAX_PEERS, MAX_TOLD, News, Peer, PoolWish, Request, Response,
};
use libp2p::PeerId;
use libp2p::request_response::{self, InboundFailure, InboundRequestId, OutboundFailure, ResponseChannel};
use std::io::ErrorKind;
use std::time::{Duration, Instant};
use tokio::sync::oneshot;

/// An answer that is prepared or written.
pub(super) struct Serving {
    peer: PeerId,
    /// When it was ready.
    pub(super) given: Option<Instant>,
}

impl Serving {
    /// Whether the asker had half of the patience at least to take the answer: preparing it has its part of that time.
    fn was_given_time(&self, patience: Duration, now: Instant) -> bool {
        self.given.is_some_and(|given| now.saturating_duration_since(given) >= patience / 2)
    }
}

impl Task {
    pub(super) fn ask(&mut self, ask: Ask) {
        match ask.peer.as_str().parse() {
            Ok(peer) if self.connected.contains_key(&peer) => {
                self.question(peer, ask.request, Purpose::Asked(ask.answer));
            }
            // Nobody waits any more if that fails.
            _ => drop(ask.answer.send(None)),
        }
    }
    pub(super) fn question(&mut self, peer: PeerId, request: Request, purpose: Purpose) {
        let id = self.swarm.behaviour_mut().exchange.send_request(&peer, Some(request));
        self.questions.insert(id, purpose);
    }
    pub(super) fn on_exchange(&mut self, event: request_response::Event<Question, Response>) {
        match event {
            request_response::Event::Message { peer, message, .. } => match message {
                request_response::Message::Request { request_id, request, channel } => {
                    self.on_question(peer, request_id, request, channel);
                }
                request_response::Message::Response { request_id, response } => {
                    if let Some(purpose) = self.questions.remove(&request_id) {
                        self.on_answer(peer, purpose, response);
                    }
                }
            },
            request_response::Event::OutboundFailure { peer, request_id, error, .. } => {
                tracing::debug!(%peer, %error, "a question stays without answer");
                if let Some(Purpose::Asked(answer)) = self.questions.remove(&request_id) {
                    drop(answer.send(None));
                }
                match error {
                    OutboundFailure::Timeout => self.blame(peer, Fault::NoAnswer),
                    OutboundFailure::Io(error) if error.kind() == ErrorKind::InvalidData => {
                        self.blame(peer, Fault::Malformed);
                    }
                    _ => {}
                }
            }
            request_response::Event::InboundFailure { peer, request_id, error, .. } => {
                let (patience, now) = (self.config.limits.answer_patience, Instant::now());
                // What was answered at once is not among them.
                let was_late = self
                    .serving
                    .remove(&request_id)
                    .is_some_and(|serving| !serving.was_given_time(patience, now));
                tracing::debug!(%peer, %error, was_late, "an answer was not taken");
                // It asked, and does not read the answer.
                if matches!(error, InboundFailure::Timeout) && !was_late {
                    self.blame(peer, Fault::NoAnswer);
                }
            }
            request_response::Event::ResponseSent { request_id, .. } => {
                self.serving.remove(&request_id);
            }
        }
    }
    fn on_question(
        &mut self,
        peer: PeerId,
        id: InboundRequestId,
        question: Question,
        channel: ResponseChannel<Response>,
    ) {
        // Without an answer the stream ends.
        let Some(request) = question else {
            tracing::debug!(%peer, "a question can't be read");
            return self.blame(peer, Fault::Malformed);
        };
        let given = self.asking.take(peer, 1.0, Instant::now());
        if given == Given::Flood {
            self.blame(peer, Fault::Flood);
        }
        let of_peer = self.serving.values().filter(|other| other.peer == peer).count();
        let is_busy = self.serving.len() >= MAX_BEING_SERVED || of_peer >= MAX_PER_PEER;
        let answer = match request {
            _ if given != Given::All || is_busy => Response::Busy,
            Request::Peers => Response::Peers(self.acquaintances(peer)),
            request => {
                self.serving.insert(id, Serving { peer, given: None });
                let answer = serve::answer(request, self.store.clone(), self.wiring.pool.clone());
                self.work
                    .push(Box::pin(async move { Done::Answered { id, channel, response: answer.await } }));
                return;
            }
        };
        // Fails if it has left.
        let _ = self.swarm.behaviour_mut().exchange.send_response(channel, answer);
    }
    fn on_answer(&mut self, peer: PeerId, purpose: Purpose, response: Response) {
        if !keeps_bounds(&purpose, &response) {
            return self.blame(peer, Fault::Malformed);
        }
        match (purpose, response) {
            // Nobody waits any more if that fails.
            (Purpose::Asked(answer), response) => drop(answer.send(Some(response))),
            (Purpose::Status, Response::Status { height, oldest }) => {
                if let Some(connected) = self.connected.get_mut(&peer) {
                    connected.height = Some(height.get());
                }
                self.news(News::Status { peer: Peer::new(peer), height, oldest });
            }
            (Purpose::Waiting, Response::Waiting(ids)) => {
                self.behind |= ids.len() == MAX_IDS;
                let pool = self.wiring.pool.clone();
                self.work.push(Box::pin(async move {
                    let (reply, missing) = oneshot::channel();
                    let ids = serve::wish(&pool, PoolWish::Missing(ids, reply), missing).await;
                    Done::Missing { peer, ids: ids.unwrap_or_default() }
                }));
            }
            (Purpose::Missed(_), Response::Transactions(transactions)) => {
                let mut rest = transactions.into_iter();
                loop {
                    let part: Vec<_> = rest.by_ref().take(MAX_TOLD).collect();
                    if part.is_empty() {
                        return;
                    }
                    self.weigh(peer, None, part);
                }
            }
            (Purpose::Peers, Response::Peers(peers)) => self.hear_of(peer, peers),
            (_, Response::Busy) => {}
            _ => self.blame(peer, Fault::Malformed),
        }
    }
}

/// Whether an answer is no longer than the question allows: no honest node gives more, and what one peer says shall
/// not fill this node's memory. What somebody else in this node asked for is looked at there.
fn keeps_bounds(purpose: &Purpose, response: &Response) -> bool {
    match (purpose, response) {
        (Purpose::Waiting, Response::Waiting(ids)) => ids.len() <= MAX_IDS,
        (Purpose::Missed(asked), Response::Transactions(transactions)) => transactions.len() <= *asked,
        (Purpose::Peers, Response::Peers(peers)) => {
            peers.len() <= MAX_PEERS && peers.iter().all(|peer| peer.addresses.len() <= MAX_PEER_ADDRESSES)
        }
        _ => true,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::PeerAddresses;
    use sealpost_ledger::hash::TransactionId;

    #[test]
    fn an_answer_is_no_longer_than_the_question_allows() {
        let peers = |count: usize, addresses: usize| {
            let addresses = vec!["/ip4/198.51.100.1/tcp/7".to_owned(); addresses];
            Response::Peers(vec![PeerAddresses { peer: "12D3".into(), addresses }; count])
        };
        assert!(keeps_bounds(&Purpose::Peers, &peers(MAX_PEERS, MAX_PEER_ADDRESSES)));
        assert!(!keeps_bounds(&Purpose::Peers, &peers(1, MAX_PEER_ADDRESSES + 1)));
        assert!(!keeps_bounds(&Purpose::Peers, &peers(MAX_PEERS + 1, 1)));
        let waiting = |count| Response::Waiting(vec![TransactionId::from_bytes([1; 32]); count]);
        assert!(keeps_bounds(&Purpose::Waiting, &waiting(MAX_IDS)));
        assert!(!keeps_bounds(&Purpose::Waiting, &waiting(MAX_IDS + 1)));
        let transactions = |count| Response::Transactions(vec![crate::gossip::tests::message(1); count]);
        assert!(keeps_bounds(&Purpose::Missed(2), &transactions(2)));
        assert!(!keeps_bounds(&Purpose::Missed(2), &transactions(3)));
    }
}
