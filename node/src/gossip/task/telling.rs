//! What is told to everybody: by this node, and by others, whose words wait for the node's verdict.

use super::{BLOCKS, Done, TRANSACTIONS, Task};
use crate::gossip::serve::Given;
use crate::wire::{Announcement, Fault, News, Peer, Tell, ToldTransaction, TransactionMessage, Verdict};
use libp2p::PeerId;
use libp2p::gossipsub::{self, MessageAcceptance, MessageId, PublishError};
use std::time::Instant;
use tokio::sync::oneshot;

/// Transactions a peer told that wait for their verdict; what it tells beyond is dropped.
const MAX_UNJUDGED: u32 = 512;
/// The same of blocks, whose certificates cost more and come more seldom.
const MAX_UNJUDGED_BLOCKS: u32 = 16;

impl Task {
    pub(super) fn tell(&mut self, tell: Tell) {
        let (name, topic, bytes) = match tell {
            Tell::Transaction(bytes) => (TRANSACTIONS, &self.names.transactions, bytes),
            Tell::Block(bytes) => (BLOCKS, &self.names.blocks, bytes),
        };
        let told = self.swarm.behaviour_mut().gossipsub.publish(topic.clone(), bytes);
        let result = match told {
            Ok(_) => "told",
            // It came from others meanwhile; or nobody is there, and those who come will ask for it.
            Err(PublishError::Duplicate | PublishError::NoPeersSubscribedToTopic) => "not_needed",
            Err(error) => {
                tracing::warn!(topic = name, %error, "could not be told to others");
                "failed"
            }
        };
        metrics::counter!("sealpost_gossip_messages_total", "topic" => name, "result" => result).increment(1);
    }

    pub(super) fn on_told(&mut self, peer: PeerId, id: MessageId, message: gossipsub::Message) {
        let bytes = message.data.len() as f64;
        let now = Instant::now();
        let given = [self.telling.take(peer, 1.0, now), self.telling_bytes.take(peer, bytes, now)];
        let is_transaction = message.topic == self.names.transactions.hash();
        if given != [Given::All; 2] {
            if given.contains(&Given::Flood) {
                self.blame(peer, Fault::Flood);
            }
            let topic = if is_transaction { TRANSACTIONS } else { BLOCKS };
            return self.judged(topic, Some(id), peer, Verdict::Drop);
        }
        if is_transaction {
            let limit = TransactionMessage::max_bytes(self.store.tip().genesis_file().limits().body_bytes);
            match TransactionMessage::from_bytes(&message.data, limit) {
                Ok(told) => self.judge_transaction(peer, Some(id), told),
                Err(error) => {
                    tracing::debug!(%peer, %error, "a told transaction can't be read");
                    self.judged(TRANSACTIONS, Some(id), peer, Verdict::Refuse);
                }
            }
            return;
        }
        let announcement = match Announcement::from_bytes(&message.data) {
            Ok(announcement) => Box::new(announcement),
            Err(error) => {
                tracing::debug!(%peer, %error, "an announcement can't be read");
                return self.judged(BLOCKS, Some(id), peer, Verdict::Refuse);
            }
        };
        let height = announcement.header.height.get();
        let (verdict, judged) = oneshot::channel();
        if self.has_room(peer, BLOCKS, MAX_UNJUDGED_BLOCKS)
            && self.news(News::Announced { peer: Peer::new(peer), announcement, verdict })
        {
            if let Some(connected) = self.connected.get_mut(&peer) {
                connected.height = connected.height.max(Some(height));
            }
            self.await_verdict(BLOCKS, Some(id), peer, judged);
        } else {
            self.judged(BLOCKS, Some(id), peer, Verdict::Drop);
        }
    }
    pub(super) fn judge_transaction(
        &mut self,
        peer: PeerId,
        id: Option<MessageId>,
        message: TransactionMessage,
    ) {
        let (verdict, judged) = oneshot::channel();
        if self.has_room(peer, TRANSACTIONS, MAX_UNJUDGED)
            && self.wiring.told.try_send(ToldTransaction { message, verdict }).is_ok()
        {
            self.await_verdict(TRANSACTIONS, id, peer, judged);
        } else {
            self.judged(TRANSACTIONS, id, peer, Verdict::Drop);
        }
    }
    /// Whether a peer may tell one more thing before the earlier ones are judged.
    fn has_room(&mut self, peer: PeerId, topic: &str, limit: u32) -> bool {
        self.connected.get_mut(&peer).is_some_and(|connected| *connected.unjudged_of(topic) < limit)
    }
    fn await_verdict(
        &mut self,
        topic: &'static str,
        message: Option<MessageId>,
        peer: PeerId,
        judged: oneshot::Receiver<Verdict>,
    ) {
        if let Some(connected) = self.connected.get_mut(&peer) {
            let count = connected.unjudged_of(topic);
            *count = count.saturating_add(1);
        }
        self.work.push(Box::pin(async move {
            let verdict = judged.await.unwrap_or(Verdict::Drop);
            Done::Judged { topic, message, peer, verdict }
        }));
    }
    /// Tells gossipsub what became of a message; only now it may go on to others.
    pub(super) fn judged(
        &mut self,
        topic: &'static str,
        message: Option<MessageId>,
        peer: PeerId,
        verdict: Verdict,
    ) {
        let (acceptance, result) = match verdict {
            Verdict::Forward => (MessageAcceptance::Accept, "forwarded"),
            Verdict::Drop => (MessageAcceptance::Ignore, "dropped"),
            Verdict::Refuse => (MessageAcceptance::Reject, "refused"),
        };
        metrics::counter!("sealpost_gossip_messages_total", "topic" => topic, "result" => result)
            .increment(1);
        if let Some(id) = message {
            self.swarm.behaviour_mut().gossipsub.report_message_validation_result(&id, &peer, acceptance);
        }
        if verdict == Verdict::Refuse {
            self.blame(peer, Fault::Malformed);
        }
    }
}
