//! What is told to everybody: by this node, and by others, whose words wait for the node's verdict. Transactions
//! are told many in a message; whatever bounds them counts transactions and bytes, so that a message is no way
//! to bring more of them.

use super::{BLOCKS, Connected, Done, TRANSACTIONS, Task};
use crate::gossip::behaviour::message_id;
use crate::gossip::serve::Given;
use crate::wire::{
    Announcement, Fault, Judgement, News, Packer, Peer, Tell, ToldTransactions, TransactionBatch,
    TransactionMessage, Verdict, Way,
};
use libp2p::PeerId;
use libp2p::gossipsub::{self, MessageAcceptance, MessageId, PublishError};
use std::time::Instant;
use tokio::sync::oneshot;

/// Transactions a peer told that wait for their verdict; what it tells beyond is dropped.
const MAX_UNJUDGED: u32 = 1_024;
/// Bytes of those, unless a single message has more.
const MAX_UNJUDGED_BYTES: usize = 4 << 20;
/// As [`MAX_UNJUDGED`] of blocks, whose certificates cost more and come more seldom.
const MAX_UNJUDGED_BLOCKS: u32 = 16;
/// Messages that are told in one go, before others are heard again.
const IN_ONE_GO: usize = 8;

/// Transactions and their bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Burden {
    count: u32,
    bytes: usize,
}

impl Burden {
    fn of(transactions: &[TransactionMessage]) -> Self {
        let count = u32::try_from(transactions.len()).unwrap_or(u32::MAX);
        Self { count, bytes: transactions.iter().map(TransactionMessage::bytes).sum() }
    }
    /// With more on top, unless that is too much.
    fn with(self, more: Self) -> Option<Self> {
        let count = self.count.saturating_add(more.count);
        let bytes = self.bytes.saturating_add(more.bytes);
        let fits = self == Self::default() || (count <= MAX_UNJUDGED && bytes <= MAX_UNJUDGED_BYTES);
        fits.then_some(Self { count, bytes })
    }
    pub(super) fn lift(&mut self, less: Self) {
        self.count = self.count.saturating_sub(less.count);
        self.bytes = self.bytes.saturating_sub(less.bytes);
    }
}

/// Whether this node wanted to tell what it had just heard in the same words.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Wanted {
    No,
    Yes,
}

impl Connected {
    /// What came in that way and is not judged. What this node asked for, little at a time, has room of its own: among it
    /// is what was dropped when it was told, members' first, and a flood is not to keep that out as well.
    pub(super) const fn burden(&mut self, way: Way) -> &mut Burden {
        match way {
            Way::Told => &mut self.unjudged,
            Way::Fetched => &mut self.fetched,
        }
    }
}

impl Task {
    /// Tells what is to be told, and what waits behind it: transactions that came while others were handed over go
    /// into a message together. One that comes alone goes at once.
    pub(super) fn tell(&mut self, first: Tell) {
        let (mut packer, mut told, mut next) = (Packer::default(), 0_usize, Some(first));
        while let Some(tell) = next {
            match tell {
                Tell::Transactions(batch) => {
                    for transaction in batch.into_transactions() {
                        if let Some(full) = packer.add(transaction) {
                            self.tell_batch(&full);
                            told = told.saturating_add(1);
                        }
                    }
                }
                Tell::Rescued(batch) => {
                    self.tell_batch(&batch);
                    told = told.saturating_add(1);
                }
                // Counted and logged; nobody waits for it.
                Tell::Block(bytes) => drop(self.publish(BLOCKS, bytes.into())),
            }
            next = if told < IN_ONE_GO { self.wiring.tell.try_recv().ok() } else { None };
        }
        if let Some(rest) = packer.finish() {
            self.tell_batch(&rest);
        }
    }
    fn tell_batch(&mut self, batch: &TransactionBatch) {
        let told = self.publish(TRANSACTIONS, batch.to_bytes());
        if matches!(told, Err(PublishError::Duplicate)) {
            // It came from others meanwhile. If it waits for its verdict, all in it will be known; yet nobody has
            // heard it from this node, and so it is to go on.
            let id = message_id(&self.names.transactions.hash(), &batch.to_bytes());
            if let Some(wanted) = self.weighing.get_mut(&id) {
                *wanted = Wanted::Yes;
            }
        }
        count(if told.is_ok() { "told" } else { "untold" }, batch.count());
    }
    fn publish(&mut self, name: &'static str, bytes: Vec<u8>) -> Result<(), PublishError> {
        let topic = if name == BLOCKS { &self.names.blocks } else { &self.names.transactions };
        let told = self.swarm.behaviour_mut().gossipsub.publish(topic.clone(), bytes);
        let result = match &told {
            Ok(_) => "told",
            // It came from others meanwhile; or nobody is there, and those who come will ask for it.
            Err(PublishError::Duplicate | PublishError::NoPeersSubscribedToTopic) => "not_needed",
            Err(error) => {
                tracing::warn!(topic = name, %error, "could not be told to others");
                "failed"
            }
        };
        metrics::counter!("sealpost_gossip_messages_total", "topic" => name, "result" => result).increment(1);
        told.map(drop)
    }

    pub(super) fn on_told(&mut self, peer: PeerId, id: MessageId, message: gossipsub::Message) {
        if message.topic == self.names.transactions.hash() {
            self.on_transactions(peer, id, &message.data);
        } else {
            self.on_block(peer, id, &message.data);
        }
    }
    fn on_transactions(&mut self, peer: PeerId, id: MessageId, data: &[u8]) {
        // What no batch says of itself is no batch, and counts as one.
        let amount = TransactionBatch::announced(data).unwrap_or(1);
        if !self.is_given(peer, amount, data.len()) {
            count("dropped", amount);
            self.behind = true;
            return self.judged(TRANSACTIONS, Some(id), peer, Verdict::Drop, 0);
        }
        let limit = TransactionBatch::max_bytes(self.store.tip().genesis_file().limits().body_bytes);
        match TransactionBatch::from_bytes(data, limit) {
            Ok(batch) => self.weigh(peer, Some(id), batch.into_transactions()),
            Err(error) => {
                tracing::debug!(%peer, %error, "told transactions can't be read");
                self.judged(TRANSACTIONS, Some(id), peer, Verdict::Refuse, 1);
            }
        }
    }
    fn on_block(&mut self, peer: PeerId, id: MessageId, data: &[u8]) {
        if !self.is_given(peer, 1, data.len()) {
            return self.judged(BLOCKS, Some(id), peer, Verdict::Drop, 0);
        }
        let announcement = match Announcement::from_bytes(data) {
            Ok(announcement) => Box::new(announcement),
            Err(error) => {
                tracing::debug!(%peer, %error, "an announcement can't be read");
                return self.judged(BLOCKS, Some(id), peer, Verdict::Refuse, 1);
            }
        };
        let height = announcement.header.height.get();
        let (verdict, judged) = oneshot::channel();
        let has_room =
            self.connected.get(&peer).is_some_and(|peer| peer.unjudged_blocks < MAX_UNJUDGED_BLOCKS);
        if has_room && self.news(News::Announced { peer: Peer::new(peer), announcement, verdict }) {
            if let Some(connected) = self.connected.get_mut(&peer) {
                connected.height = connected.height.max(Some(height));
                connected.unjudged_blocks = connected.unjudged_blocks.saturating_add(1);
            }
            self.work.push(Box::pin(async move {
                let verdict = judged.await.unwrap_or(Verdict::Drop);
                Done::Judged { message: id, peer, verdict }
            }));
        } else {
            self.judged(BLOCKS, Some(id), peer, Verdict::Drop, 0);
        }
    }
    /// Whether a peer may tell so many things of so many bytes now.
    fn is_given(&mut self, peer: PeerId, amount: u32, bytes: usize) -> bool {
        let now = Instant::now();
        let given =
            [self.telling.take(peer, amount.into(), now), self.telling_bytes.take(peer, bytes as f64, now)];
        if given.contains(&Given::Flood) {
            // As if each had come by itself.
            self.blame_for_each(peer, Fault::Flood, amount);
        }
        given == [Given::All; 2]
    }
    /// Has transactions judged, all together. Those that were asked for come without a message.
    pub(super) fn weigh(
        &mut self,
        peer: PeerId,
        message: Option<MessageId>,
        transactions: Vec<TransactionMessage>,
    ) {
        let burden = Burden::of(&transactions);
        let way = if message.is_some() { Way::Told } else { Way::Fetched };
        let (judged, judgement) = oneshot::channel();
        let burdened = self.connected.get(&peer).and_then(|peer| match way {
            Way::Told => peer.unjudged.with(burden),
            Way::Fetched => peer.fetched.with(burden),
        });
        let told = ToldTransactions { transactions, way, judged };
        let burdened = burdened.filter(|_| self.wiring.told.try_send(told).is_ok());
        let Some(burdened) = burdened else {
            count("dropped", burden.count);
            self.behind = true;
            return self.judged(TRANSACTIONS, message, peer, Verdict::Drop, 0);
        };
        if let Some(connected) = self.connected.get_mut(&peer) {
            *connected.burden(way) = burdened;
        }
        if let Some(message) = &message {
            self.weighing.insert(message.clone(), Wanted::No);
        }
        self.work.push(Box::pin(async move {
            let judgement = judgement.await.unwrap_or_default();
            Done::Weighed { message, peer, burden, judgement }
        }));
    }
    /// Transactions were judged.
    pub(super) fn weighed(&mut self, message: Option<MessageId>, peer: PeerId, judgement: Judgement) {
        let Judgement { new, known, untaken, faulty, .. } = judgement;
        for (result, amount) in [("new", new), ("known", known), ("untaken", untaken), ("refused", faulty)] {
            if amount > 0 {
                count(result, amount);
            }
        }
        // There was no room for them perhaps; whoever told them has them still.
        self.behind |= untaken > 0;
        let mut verdict = judgement.verdict();
        if let Some(message) = &message {
            if judgement.is_repetition() {
                // What this node wants to say itself it may be about to say in these words.
                for _ in 0..self.wiring.tell.len() {
                    let Ok(tell) = self.wiring.tell.try_recv() else { break };
                    self.tell(tell);
                }
            }
            if self.weighing.remove(message) == Some(Wanted::Yes) && judgement.is_repetition() {
                verdict = Verdict::Forward;
            }
        }
        self.judged(TRANSACTIONS, message, peer, verdict, faulty);
    }
    /// Tells gossipsub what became of a message; only now it may go on to others.
    pub(super) fn judged(
        &mut self,
        topic: &'static str,
        message: Option<MessageId>,
        peer: PeerId,
        verdict: Verdict,
        faults: u32,
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
        self.blame_for_each(peer, Fault::Malformed, faults);
    }
}

/// Counts transactions that were told or heard.
fn count(result: &'static str, transactions: u32) {
    metrics::counter!("sealpost_gossip_transactions_total", "result" => result)
        .increment(transactions.into());
}
