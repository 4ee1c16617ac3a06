//! The loop that drives the swarm. It owns all of gossip's state and decides nothing about transactions or
//! blocks: those go to the rest of the node, and their verdicts come back.

use super::addresses::{Addresses, Call, is_usable, peer_of};
use super::behaviour::{Behaviour, BehaviourEvent, GRAYLIST, Names};
use super::serve::{self, Buckets, MAX_BEING_SERVED};
use super::standing::{BAN_AT, Consequence, Standing};
use super::{Config, GossipError, Wiring};
use crate::store::Store;
use crate::wire::{
    Announcement, Ask, Fault, MAX_IDS, News, Peer, PeerInfo, PoolWish, Request, Response, Tell,
    ToldTransaction, TransactionMessage, Verdict,
};
use futures::StreamExt;
use futures::future::BoxFuture;
use futures::stream::FuturesUnordered;
use libp2p::core::ConnectedPoint;
use libp2p::gossipsub::{self, MessageAcceptance, MessageId, PublishError};
use libp2p::multiaddr::Protocol;
use libp2p::request_response::{self, OutboundFailure, OutboundRequestId, ResponseChannel};
use libp2p::swarm::dial_opts::{DialOpts, PeerCondition};
use libp2p::swarm::{DialError, SwarmEvent};
use libp2p::{Multiaddr, PeerId, Swarm, identify, kad, ping};
use sealpost_ledger::hash::TransactionId;
use std::collections::HashMap;
use std::time::{Duration, Instant};
use tokio::sync::{oneshot, watch};

/// Pause between two looks at addresses, bans and scores.
const TICK: Duration = Duration::from_secs(1);
/// Pause between two questions to a peer what waits for a block there: so that a transaction whose telling
/// was lost on a full queue or a broken connection still gets everywhere.
const PULL: Duration = Duration::from_secs(10);
/// Things a peer told that wait for their verdict; what it tells beyond is dropped.
const MAX_UNJUDGED: u32 = 512;
/// A second connection from a peer that is connected for longer than this means that it has restarted.
const SIMULTANEOUS: Duration = Duration::from_secs(5);
/// Relays at which a node behind a router asks to be reached.
const MAX_RELAYS: usize = 2;
/// The protocol by which a peer says that it relays.
const RELAYS: &str = "/libp2p/circuit/relay/0.2.0/hop";

pub(super) struct Task {
    swarm: Swarm<Behaviour>,
    names: Names,
    config: Config,
    store: Store,
    wiring: Wiring,
    count: watch::Sender<usize>,
    addresses: Addresses,
    standing: Standing,
    buckets: Buckets<PeerId>,
    connected: HashMap<PeerId, Connected>,
    questions: HashMap<OutboundRequestId, Purpose>,
    serving: usize,
    relays: usize,
    pulled: Instant,
    work: FuturesUnordered<BoxFuture<'static, Done>>,
}

/// A connected peer.
struct Connected {
    since: Instant,
    address: Multiaddr,
    incoming: bool,
    agent: Option<String>,
    height: Option<u64>,
    unjudged: u32,
}

/// Why a question was asked.
enum Purpose {
    /// Somebody in this node wants the answer.
    Asked(oneshot::Sender<Option<Response>>),
    /// How far the peer is.
    Status,
    /// What waits at the peer's, after connecting.
    Waiting,
    /// What was missed of that.
    Missed,
}

/// Something that was waited for.
enum Done {
    Judged { topic: &'static str, message: Option<MessageId>, peer: PeerId, verdict: Verdict },
    Answered { channel: ResponseChannel<Response>, response: Response },
    Missing { peer: PeerId, ids: Vec<TransactionId> },
    Resolved { call: Call },
}

impl Task {
    pub(super) fn new(
        swarm: Swarm<Behaviour>,
        names: Names,
        config: Config,
        store: Store,
        wiring: Wiring,
        count: watch::Sender<usize>,
    ) -> Self {
        let addresses = Addresses::new(&config.bootstrap, Instant::now());
        Self {
            swarm,
            names,
            config,
            store,
            wiring,
            count,
            addresses,
            standing: Standing::default(),
            buckets: Buckets::new(),
            connected: HashMap::new(),
            questions: HashMap::new(),
            serving: 0,
            relays: 0,
            pulled: Instant::now(),
            work: FuturesUnordered::new(),
        }
    }

    /// Listens, and returns the addresses by which others reach this node.
    pub(super) async fn listen(&mut self) -> Result<Vec<Multiaddr>, GossipError> {
        let me = *self.swarm.local_peer_id();
        let mut waiting = HashMap::new();
        for address in self.config.listen.clone() {
            let failed = |reason: &dyn std::fmt::Display| GossipError::Listen {
                listen: address.clone(),
                reason: reason.to_string(),
            };
            let listener = self.swarm.listen_on(address.clone()).map_err(|error| failed(&error))?;
            waiting.insert(listener, address);
        }
        for address in self.config.external.clone() {
            self.swarm.add_external_address(address);
        }
        let mut listening = Vec::new();
        while !waiting.is_empty() {
            match self.swarm.select_next_some().await {
                SwarmEvent::NewListenAddr { listener_id, address } => {
                    waiting.remove(&listener_id);
                    listening.push(address.with(Protocol::P2p(me)));
                }
                SwarmEvent::ListenerError { listener_id, error } => {
                    if let Some(listen) = waiting.remove(&listener_id) {
                        return Err(GossipError::Listen { listen, reason: error.to_string() });
                    }
                }
                event => self.on_event(event),
            }
        }
        Ok(listening)
    }

    /// Works until the node stops.
    pub(super) async fn run(mut self) {
        let mut tick = tokio::time::interval(TICK);
        tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let stop = self.wiring.stop.clone();
        loop {
            tokio::select! {
                () = stop.cancelled() => return,
                event = self.swarm.select_next_some() => self.on_event(event),
                Some(done) = self.work.next() => self.on_done(done),
                Some(tell) = self.wiring.tell.recv() => self.tell(tell),
                Some(ask) = self.wiring.ask.recv() => self.ask(ask),
                Some((peer, fault)) = self.wiring.faults.recv() => {
                    if let Ok(peer) = peer.as_str().parse() {
                        self.blame(peer, fault);
                    }
                }
                Some(reply) = self.wiring.roster.recv() => {
                    // Nobody waits any more if that fails.
                    let _ = reply.send(self.roster());
                }
                _ = tick.tick() => self.on_tick(Instant::now()),
            }
        }
    }

    fn on_event(&mut self, event: SwarmEvent<BehaviourEvent>) {
        match event {
            SwarmEvent::Behaviour(event) => self.on_behaviour(event),
            SwarmEvent::ConnectionEstablished { peer_id, endpoint, .. } => {
                self.on_connected(peer_id, &endpoint)
            }
            SwarmEvent::ConnectionClosed { peer_id, num_established: 0, cause, .. } => {
                tracing::debug!(peer = %peer_id, cause = ?cause.map(|c| c.to_string()), "peer has left");
                self.on_gone(peer_id);
            }
            SwarmEvent::OutgoingConnectionError { peer_id, error, .. } => {
                tracing::debug!(peer = ?peer_id, %error, "a call failed");
                if let (Some(peer), DialError::WrongPeerId { .. }) = (peer_id, &error) {
                    self.addresses.forget(&peer);
                }
            }
            SwarmEvent::IncomingConnectionError { error, send_back_addr, .. } => {
                tracing::debug!(from = %send_back_addr, %error, "an incoming connection was refused");
                metrics::counter!("sealpost_peer_refusals_total").increment(1);
            }
            SwarmEvent::NewListenAddr { address, .. } => tracing::debug!(%address, "listening"),
            SwarmEvent::ListenerClosed { reason: Err(error), .. } => {
                tracing::error!(%error, "an address is not listened on any more");
            }
            _ => {}
        }
    }

    fn on_behaviour(&mut self, event: BehaviourEvent) {
        match event {
            BehaviourEvent::Gossipsub(gossipsub::Event::Message {
                propagation_source,
                message_id,
                message,
            }) => {
                self.on_told(propagation_source, message_id, message);
            }
            BehaviourEvent::Gossipsub(gossipsub::Event::SlowPeer { peer_id, .. }) => {
                tracing::debug!(peer = %peer_id, "peer reads too slowly");
            }
            BehaviourEvent::Exchange(event) => self.on_exchange(event),
            BehaviourEvent::Identify(identify::Event::Received { peer_id, info, .. }) => {
                self.on_identified(peer_id, info);
            }
            BehaviourEvent::Ping(ping::Event { peer, connection, result: Err(error) })
                if !matches!(error, ping::Failure::Unsupported) =>
            {
                // A peer that does not answer keeps a place that another could have.
                tracing::debug!(%peer, %error, "peer does not answer pings");
                self.swarm.close_connection(connection);
            }
            BehaviourEvent::Kad(kad::Event::RoutablePeer { peer, address }) => {
                let Some(remote) = self.connected.values().map(|c| c.address.clone()).next() else { return };
                if is_usable(&address, &remote, self.config.quic) {
                    self.addresses.learn(peer, address, Instant::now());
                }
            }
            BehaviourEvent::Kad(kad::Event::OutboundQueryProgressed {
                result: kad::QueryResult::GetClosestPeers(Ok(found)),
                ..
            }) => self.on_found(found.peers),
            _ => {}
        }
    }

    // -- Peers that come and go ----------------------------------------------------------------------

    fn on_connected(&mut self, peer: PeerId, endpoint: &ConnectedPoint) {
        let now = Instant::now();
        let (address, incoming) = (endpoint.get_remote_address().clone(), endpoint.is_listener());
        if let Some(known) = self.connected.get(&peer) {
            // Subscriptions are told once, on a peer's first connection. One that comes again while its first
            // seems to live has restarted and knows nothing of ours: both begin anew. (A direct connection
            // beside a relayed one is no restart.)
            let relayed = known.address.iter().any(|part| part == Protocol::P2pCircuit);
            if incoming && !relayed && now.saturating_duration_since(known.since) > SIMULTANEOUS {
                tracing::debug!(%peer, "peer has restarted");
                // Fails if it has left by itself.
                let _ = self.swarm.disconnect_peer_id(peer);
            }
            return;
        }
        self.addresses.connected(peer, (!incoming).then_some(&address), now);
        tracing::debug!(%peer, %address, incoming, "peer connected");
        let connected = Connected { since: now, address, incoming, agent: None, height: None, unjudged: 0 };
        self.connected.insert(peer, connected);
        self.counted();
    }
    fn on_gone(&mut self, peer: PeerId) {
        if self.connected.remove(&peer).is_some() {
            self.news(News::Gone { peer: Peer::new(peer) });
            self.counted();
        }
    }
    fn counted(&self) {
        let incoming = self.connected.values().filter(|peer| peer.incoming).count();
        let outgoing = self.connected.len().saturating_sub(incoming);
        metrics::gauge!("sealpost_peers", "direction" => "incoming").set(incoming as f64);
        metrics::gauge!("sealpost_peers", "direction" => "outgoing").set(outgoing as f64);
        self.count.send_replace(self.connected.len());
    }
    fn on_identified(&mut self, peer: PeerId, info: identify::Info) {
        if info.protocol_version != self.names.protocol {
            // Of another network: nothing to say, and no fault.
            tracing::debug!(%peer, protocol = %info.protocol_version, "peer of another network");
            self.addresses.forget(&peer);
            let _ = self.swarm.disconnect_peer_id(peer);
            return;
        }
        let Some(connected) = self.connected.get_mut(&peer) else { return };
        let first = connected.agent.is_none();
        connected.agent = Some(info.agent_version.chars().filter(char::is_ascii_graphic).take(64).collect());
        let (remote, now) = (connected.address.clone(), Instant::now());
        let usable = info.listen_addrs.iter().filter(|a| is_usable(a, &remote, self.config.quic));
        for address in usable.take(8) {
            self.addresses.learn(peer, address.clone(), now);
            self.addresses.connected(peer, Some(address), now);
            self.swarm.behaviour_mut().kad.add_address(&peer, address.clone());
        }
        if !first {
            return;
        }
        self.question(peer, Request::Status, Purpose::Status);
        // What it holds and we missed, because we were away.
        self.question(peer, Request::Waiting, Purpose::Waiting);
        self.swarm.behaviour_mut().kad.get_closest_peers(PeerId::random());
        let relays = info.protocols.iter().any(|protocol| protocol.as_ref() == RELAYS);
        if self.config.nat && relays && self.relays < MAX_RELAYS {
            let through = remote.with_p2p(peer).map(|address| address.with(Protocol::P2pCircuit));
            if let Ok(address) = through
                && self.swarm.listen_on(address).is_ok()
            {
                self.relays = self.relays.saturating_add(1);
            }
        }
    }
    fn on_found(&mut self, peers: Vec<kad::PeerInfo>) {
        let now = Instant::now();
        for found in peers {
            // Heard from others, so as untrusted as what a peer says of itself.
            let Some(remote) = self.connected.values().map(|c| c.address.clone()).next() else { return };
            for address in found.addrs.into_iter().filter(|a| is_usable(a, &remote, self.config.quic)).take(8)
            {
                self.addresses.learn(found.peer_id, address, now);
            }
        }
    }

    // -- What is told to everybody -------------------------------------------------------------------

    fn tell(&mut self, tell: Tell) {
        let (name, topic, bytes) = match tell {
            Tell::Transaction(bytes) => ("transactions", &self.names.transactions, bytes),
            Tell::Block(bytes) => ("blocks", &self.names.blocks, bytes),
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

    fn on_told(&mut self, peer: PeerId, id: MessageId, message: gossipsub::Message) {
        if message.topic == self.names.transactions.hash() {
            let limit = TransactionMessage::max_bytes(self.store.tip().genesis_file().limits().body_bytes);
            match TransactionMessage::from_bytes(&message.data, limit) {
                Ok(told) => self.judge_transaction(peer, Some(id), told),
                Err(error) => {
                    tracing::debug!(%peer, %error, "a told transaction can't be read");
                    self.judged("transactions", Some(id), peer, Verdict::Refuse);
                }
            }
            return;
        }
        let announcement = match Announcement::from_bytes(&message.data) {
            Ok(announcement) => Box::new(announcement),
            Err(error) => {
                tracing::debug!(%peer, %error, "an announcement can't be read");
                return self.judged("blocks", Some(id), peer, Verdict::Refuse);
            }
        };
        let height = announcement.header.height.get();
        let (verdict, judged) = oneshot::channel();
        if self.has_room(peer) && self.news(News::Announced { peer: Peer::new(peer), announcement, verdict })
        {
            if let Some(connected) = self.connected.get_mut(&peer) {
                connected.height = connected.height.max(Some(height));
            }
            self.await_verdict("blocks", Some(id), peer, judged);
        } else {
            self.judged("blocks", Some(id), peer, Verdict::Drop);
        }
    }
    fn judge_transaction(&mut self, peer: PeerId, id: Option<MessageId>, message: TransactionMessage) {
        let (verdict, judged) = oneshot::channel();
        if self.has_room(peer) && self.wiring.told.try_send(ToldTransaction { message, verdict }).is_ok() {
            self.await_verdict("transactions", id, peer, judged);
        } else {
            self.judged("transactions", id, peer, Verdict::Drop);
        }
    }
    /// Whether a peer may tell one more thing before the earlier ones are judged.
    fn has_room(&self, peer: PeerId) -> bool {
        self.connected.get(&peer).is_some_and(|connected| connected.unjudged < MAX_UNJUDGED)
    }
    fn await_verdict(
        &mut self,
        topic: &'static str,
        message: Option<MessageId>,
        peer: PeerId,
        judged: oneshot::Receiver<Verdict>,
    ) {
        if let Some(connected) = self.connected.get_mut(&peer) {
            connected.unjudged = connected.unjudged.saturating_add(1);
        }
        self.work.push(Box::pin(async move {
            let verdict = judged.await.unwrap_or(Verdict::Drop);
            Done::Judged { topic, message, peer, verdict }
        }));
    }
    /// Tells gossipsub what became of a message; only now it may go on to others.
    fn judged(&mut self, topic: &'static str, message: Option<MessageId>, peer: PeerId, verdict: Verdict) {
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

    // -- Questions and answers -----------------------------------------------------------------------

    fn ask(&mut self, ask: Ask) {
        match ask.peer.as_str().parse() {
            Ok(peer) if self.connected.contains_key(&peer) => {
                self.question(peer, ask.request, Purpose::Asked(ask.answer));
            }
            // Nobody waits any more if that fails.
            _ => drop(ask.answer.send(None)),
        }
    }
    fn question(&mut self, peer: PeerId, request: Request, purpose: Purpose) {
        let id = self.swarm.behaviour_mut().exchange.send_request(&peer, request);
        self.questions.insert(id, purpose);
    }
    fn on_exchange(&mut self, event: request_response::Event<Request, Response>) {
        match event {
            request_response::Event::Message { peer, message, .. } => match message {
                request_response::Message::Request { request, channel, .. } => {
                    self.on_question(peer, request, channel);
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
                    OutboundFailure::Io(error) if error.kind() == std::io::ErrorKind::InvalidData => {
                        self.blame(peer, Fault::Malformed);
                    }
                    _ => {}
                }
            }
            request_response::Event::InboundFailure { peer, error, .. } => {
                tracing::debug!(%peer, %error, "an answer was not taken");
                if let request_response::InboundFailure::Io(error) = &error
                    && error.kind() == std::io::ErrorKind::InvalidData
                {
                    self.blame(peer, Fault::Malformed);
                }
            }
            request_response::Event::ResponseSent { .. } => {}
        }
    }
    fn on_question(&mut self, peer: PeerId, request: Request, channel: ResponseChannel<Response>) {
        let asks_too_much = !self.buckets.take(peer, Instant::now());
        if asks_too_much || self.serving >= MAX_BEING_SERVED {
            if asks_too_much {
                self.blame(peer, Fault::Flood);
            }
            // Fails if it has left.
            let _ = self.swarm.behaviour_mut().exchange.send_response(channel, Response::Busy);
            return;
        }
        self.serving = self.serving.saturating_add(1);
        let answer = serve::answer(request, self.store.clone(), self.wiring.pool.clone());
        self.work.push(Box::pin(async move { Done::Answered { channel, response: answer.await } }));
    }
    fn on_answer(&mut self, peer: PeerId, purpose: Purpose, response: Response) {
        match (purpose, response) {
            // Nobody waits any more if that fails.
            (Purpose::Asked(answer), response) => drop(answer.send(Some(response))),
            (Purpose::Status, Response::Status { height, oldest }) => {
                if let Some(connected) = self.connected.get_mut(&peer) {
                    connected.height = Some(height.get());
                }
                self.news(News::Status { peer: Peer::new(peer), height, oldest });
            }
            (Purpose::Waiting, Response::Waiting(ids)) if ids.len() <= MAX_IDS => {
                let pool = self.wiring.pool.clone();
                self.work.push(Box::pin(async move {
                    let (reply, missing) = oneshot::channel();
                    let ids = serve::wish(&pool, PoolWish::Missing(ids, reply), missing).await;
                    Done::Missing { peer, ids: ids.unwrap_or_default() }
                }));
            }
            (Purpose::Missed, Response::Transactions(messages)) => {
                for message in messages {
                    self.judge_transaction(peer, None, message);
                }
            }
            (_, Response::Busy) => {}
            _ => self.blame(peer, Fault::Malformed),
        }
    }
    fn on_done(&mut self, done: Done) {
        match done {
            Done::Judged { topic, message, peer, verdict } => {
                if let Some(connected) = self.connected.get_mut(&peer) {
                    connected.unjudged = connected.unjudged.saturating_sub(1);
                }
                self.judged(topic, message, peer, verdict);
            }
            Done::Answered { channel, response } => {
                self.serving = self.serving.saturating_sub(1);
                // Fails if it has left.
                let _ = self.swarm.behaviour_mut().exchange.send_response(channel, response);
            }
            Done::Missing { peer, ids } => {
                if !ids.is_empty() && self.connected.contains_key(&peer) {
                    self.question(peer, Request::Transactions(ids), Purpose::Missed);
                }
            }
            Done::Resolved { call } => self.dial(call),
        }
    }
    /// Passes news on; `false` if the rest of the node is too busy for them.
    fn news(&self, news: News) -> bool {
        self.wiring.news.try_send(news).is_ok()
    }

    // -- Standing ------------------------------------------------------------------------------------

    fn blame(&mut self, peer: PeerId, fault: Fault) {
        metrics::counter!("sealpost_peer_faults_total", "fault" => fault_name(fault)).increment(1);
        let Consequence::Ban { until } = self.standing.note(peer, fault, Instant::now()) else { return };
        tracing::info!(%peer, ?fault, "peer is banned for a while");
        metrics::counter!("sealpost_peer_bans_total").increment(1);
        if let Some(connected) = self.connected.get(&peer) {
            self.swarm.behaviour_mut().ip_limits.note_ban(&connected.address, until);
        }
        self.swarm.behaviour_mut().blocked.block_peer(peer);
        self.swarm.behaviour_mut().kad.remove_peer(&peer);
        // Bootstrap peers are called again when the ban is over.
        self.addresses.forget(&peer);
    }
    fn on_tick(&mut self, now: Instant) {
        for peer in self.standing.released(now) {
            if !self.config.block.contains(&peer) {
                self.swarm.behaviour_mut().blocked.unblock_peer(peer);
            }
        }
        self.buckets.tidy(now);
        if now.saturating_duration_since(self.pulled) >= PULL {
            self.pulled = now;
            let turn = usize::try_from(getrandom::u32().unwrap_or(0)).unwrap_or(0);
            let peer = turn.checked_rem(self.connected.len()).and_then(|n| self.connected.keys().nth(n));
            if let Some(peer) = peer.copied() {
                self.question(peer, Request::Waiting, Purpose::Waiting);
            }
        }
        let gossipsub = &self.swarm.behaviour().gossipsub;
        let is_unheard = |peer: &PeerId| gossipsub.peer_score(peer).is_some_and(|score| score < GRAYLIST);
        let unheard: Vec<_> = self.connected.keys().copied().filter(is_unheard).collect();
        for peer in unheard {
            self.blame(peer, Fault::Malformed);
        }
        let me = *self.swarm.local_peer_id();
        let outgoing = self.connected.values().filter(|peer| !peer.incoming).count();
        let limit = usize::try_from(self.config.limits.outgoing).unwrap_or(usize::MAX);
        // A few at a time: most calls fail on a network that changes.
        let wanted = limit.saturating_sub(outgoing).min(4);
        let (connected, standing, config) = (&self.connected, &self.standing, &self.config);
        let is_out = |peer: &PeerId| {
            *peer == me
                || connected.contains_key(peer)
                || standing.is_banned(peer, now)
                || config.block.contains(peer)
                || (!config.allow.is_empty() && !config.allow.contains(peer))
        };
        for call in self.addresses.due(now, wanted, is_out) {
            match unresolved(&call) {
                None => self.dial(call),
                Some((host, port)) => self
                    .work
                    .push(Box::pin(async move { Done::Resolved { call: resolve(call, host, port).await } })),
            }
        }
    }
    fn dial(&mut self, call: Call) {
        let Call { peer, addresses } = call;
        let options = match (peer, addresses.first().cloned()) {
            (Some(peer), _) => DialOpts::peer_id(peer)
                .addresses(addresses)
                .condition(PeerCondition::DisconnectedAndNotDialing)
                .build(),
            (None, Some(address)) => DialOpts::unknown_peer_id().address(address).build(),
            (None, None) => return,
        };
        if let Err(error) = self.swarm.dial(options) {
            tracing::debug!(peer = ?peer, %error, "no call is made");
        }
    }
    fn roster(&self) -> Vec<PeerInfo> {
        let now = Instant::now();
        let mut peers: Vec<_> = self
            .connected
            .iter()
            .map(|(peer, connected)| PeerInfo {
                peer: Peer::new(peer),
                address: connected.address.to_string(),
                incoming: connected.incoming,
                agent: connected.agent.clone(),
                height: connected.height,
                faults: self.standing.points(peer, now).min(BAN_AT),
                seconds: now.saturating_duration_since(connected.since).as_secs(),
            })
            .collect();
        peers.sort_by(|a, b| a.peer.cmp(&b.peer));
        peers
    }
}

const fn fault_name(fault: Fault) -> &'static str {
    match fault {
        Fault::Malformed => "malformed",
        Fault::FalseBlock => "false_block",
        Fault::NoAnswer => "no_answer",
        Fault::Flood => "flood",
    }
}

/// Host and port of an address that names a host, which the operating system has to find.
fn unresolved(call: &Call) -> Option<(String, u16)> {
    let mut parts = call.addresses.first()?.iter();
    let host = match parts.next()? {
        Protocol::Dns(host) | Protocol::Dns4(host) | Protocol::Dns6(host) => host.into_owned(),
        _ => return None,
    };
    match parts.next()? {
        Protocol::Tcp(port) | Protocol::Udp(port) => Some((host, port)),
        _ => None,
    }
}

/// Puts the host's first IP address in its place; without one the call can't be made.
async fn resolve(call: Call, host: String, port: u16) -> Call {
    let found = match tokio::net::lookup_host((host.as_str(), port)).await {
        Ok(mut found) => found.next(),
        Err(error) => {
            tracing::debug!(host, %error, "a host is not found");
            None
        }
    };
    let rest = call.addresses.first().map(|address| address.iter().skip(1).collect::<Vec<_>>());
    let (Some(found), Some(rest)) = (found, rest) else { return Call { addresses: Vec::new(), ..call } };
    let address = rest.into_iter().fold(Multiaddr::from(found.ip()), |address, part| address.with(part));
    let peer = call.peer.or_else(|| peer_of(&address));
    Call { peer, addresses: vec![address] }
}
