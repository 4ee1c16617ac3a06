//! The loop that drives the swarm. It owns all of gossip's state and decides nothing about transactions or
//! blocks: those go to the rest of the node, and their verdicts come back. Its three subjects have files of
//! their own: peers that come and go, what is told to everybody, and questions to single nodes.

mod peers;
mod questions;
mod telling;

use super::addresses::{Addresses, Call};
use super::behaviour::{Behaviour, BehaviourEvent, Names};
use super::control::Excess;
use super::names::unresolved;
use super::serve::{Allowance, Buckets};
use super::standing::{BAN_AT, Consequence, Hearing, Standing};
use super::{Config, GossipError, PeerInfo, Wiring};
use crate::store::Store;
use crate::wire::{Fault, Judgement, News, Peer, Request, Response, Verdict, Way};
use futures::StreamExt;
use futures::future::BoxFuture;
use futures::stream::FuturesUnordered;
use libp2p::core::transport::ListenerId;
use libp2p::gossipsub::{self, MessageId};
use libp2p::multiaddr::Protocol;
use libp2p::request_response::{InboundRequestId, OutboundRequestId, ResponseChannel};
use libp2p::swarm::dial_opts::{DialOpts, PeerCondition};
use libp2p::swarm::{ConnectionError, ConnectionId, DialError, SwarmEvent};
use libp2p::{Multiaddr, PeerId, Swarm, autonat, identify, ping};
use questions::Serving;
use sealpost_ledger::hash::TransactionId;
use std::collections::HashMap;
use std::time::{Duration, Instant};
use telling::{Burden, Wanted};
use tokio::sync::{oneshot, watch};

/// Pause between two looks at addresses, bans and scores.
const TICK: Duration = Duration::from_secs(1);
/// Pause between two questions to a peer what waits for a block there: so that a transaction whose telling
/// was lost on a full queue or a broken connection still gets everywhere.
const PULL: Duration = Duration::from_secs(10);
/// How soon if this node had no room for what a peer told, among which a member's transaction may be, or if more waits there
/// than an answer names.
const PULL_WHEN_BEHIND: Duration = Duration::from_secs(1);
/// Names of the topics in metrics.
const TRANSACTIONS: &str = "transactions";
const BLOCKS: &str = "blocks";
/// A second connection from a peer that is connected for longer than this means that it has restarted.
const SIMULTANEOUS: Duration = Duration::from_secs(5);

pub(super) struct Task {
    swarm: Swarm<Behaviour>,
    names: Names,
    config: Config,
    store: Store,
    wiring: Wiring,
    count: watch::Sender<usize>,
    addresses: Addresses,
    standing: Standing,
    /// Questions, things told, and their bytes.
    asking: Buckets<PeerId>,
    telling: Allowance<PeerId>,
    telling_bytes: Allowance<PeerId>,
    connected: HashMap<PeerId, Connected>,
    questions: HashMap<OutboundRequestId, Purpose>,
    serving: HashMap<InboundRequestId, Serving>,
    /// Messages of transactions that wait for their verdict, and whether this node wanted to say the same.
    weighing: HashMap<MessageId, Wanted>,
    /// Calls that are being made, and what else is to be tried if they fail.
    calls: HashMap<ConnectionId, Call>,
    /// Relays that are asked, or by which this node is reached.
    relays: HashMap<ListenerId, PeerId>,
    pulled: Instant,
    /// Whether there was no room for something since, or more waits at a peer than it could name.
    behind: bool,
    work: FuturesUnordered<BoxFuture<'static, Done>>,
}

/// A connected peer.
struct Connected {
    since: Instant,
    address: Multiaddr,
    incoming: bool,
    agent: Option<String>,
    height: Option<u64>,
    /// Transactions that it told and that wait for their verdict.
    unjudged: Burden,
    /// The same of those that it was asked for.
    fetched: Burden,
    /// The same of blocks.
    unjudged_blocks: u32,
    /// At the last look.
    hearing: Hearing,
    /// If it relays: from when on it may be asked for that.
    relay_from: Option<Instant>,
    /// Until when a second connection may be its answer to the question by which address this node is reached.
    calls_back_until: Option<Instant>,
}

/// Why a question was asked.
enum Purpose {
    /// Somebody in this node wants the answer.
    Asked(oneshot::Sender<Option<Response>>),
    /// How far the peer is.
    Status,
    /// What waits at the peer's, after connecting.
    Waiting,
    /// What was missed of that: so many transactions at most.
    Missed(usize),
    /// Whom the peer knows.
    Peers,
}

/// Something that was waited for.
enum Done {
    /// A block.
    Judged {
        message: MessageId,
        peer: PeerId,
        verdict: Verdict,
    },
    /// Transactions; without a message if they were asked for.
    Weighed {
        message: Option<MessageId>,
        peer: PeerId,
        burden: Burden,
        judgement: Judgement,
    },
    Answered {
        id: InboundRequestId,
        channel: ResponseChannel<Response>,
        response: Response,
    },
    Missing {
        peer: PeerId,
        ids: Vec<TransactionId>,
    },
    Resolved {
        call: Call,
    },
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
        let told_per_second = f64::from(config.limits.told_per_second);
        let asked_per_second = f64::from(config.limits.asked_per_second);
        Self {
            swarm,
            names,
            config,
            store,
            wiring,
            count,
            addresses,
            standing: Standing::default(),
            asking: Buckets::new(2.0 * asked_per_second, asked_per_second),
            telling: Allowance::new(2.0 * told_per_second, told_per_second),
            telling_bytes: Allowance::new(f64::from(64_u32 << 20), f64::from(16_u32 << 20)),
            connected: HashMap::new(),
            questions: HashMap::new(),
            serving: HashMap::new(),
            weighing: HashMap::new(),
            calls: HashMap::new(),
            relays: HashMap::new(),
            pulled: Instant::now(),
            behind: false,
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
        // A node that never finds a peer has none, which is not the same as to say nothing of it.
        self.counted();
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
            SwarmEvent::ConnectionEstablished { peer_id, connection_id, endpoint, .. } => {
                let bootstrap = self.calls.remove(&connection_id).and_then(|call| call.bootstrap);
                self.on_connected(peer_id, &endpoint, bootstrap);
            }
            SwarmEvent::ConnectionClosed { peer_id, num_established, cause, .. } => {
                let excess = cause.as_ref().and_then(|cause| match cause {
                    ConnectionError::IO(error) => Excess::in_error(error),
                    ConnectionError::KeepAliveTimeout => None,
                });
                match excess {
                    Some(Excess::Peer) => self.blame(peer_id, Fault::Malformed),
                    // Perhaps it was another one of that address.
                    Some(Excess::Address) => {
                        metrics::counter!("sealpost_peer_refusals_total").increment(1);
                    }
                    None => {}
                }
                if num_established == 0 {
                    tracing::debug!(peer = %peer_id, cause = ?cause.map(|c| c.to_string()), "peer has left");
                    self.on_gone(peer_id);
                }
            }
            SwarmEvent::OutgoingConnectionError { peer_id, connection_id, error } => {
                tracing::debug!(peer = ?peer_id, %error, "a call failed");
                // Whoever is known by its identity was called at all its addresses.
                if let Some(rest) = self.calls.remove(&connection_id).filter(|call| call.peer.is_none()) {
                    self.dial(rest);
                }
                match (peer_id, &error) {
                    (Some(peer), DialError::WrongPeerId { address, .. }) => {
                        self.addresses.wrong(&peer, address)
                    }
                    (Some(peer), _) => self.addresses.failed(&peer),
                    (None, _) => {}
                }
            }
            SwarmEvent::IncomingConnectionError { error, send_back_addr, .. } => {
                tracing::debug!(from = %send_back_addr, %error, "an incoming connection was refused");
                metrics::counter!("sealpost_peer_refusals_total").increment(1);
            }
            SwarmEvent::NewListenAddr { address, .. } => tracing::debug!(%address, "listening"),
            SwarmEvent::ListenerClosed { listener_id, .. } if self.relays.contains_key(&listener_id) => {
                self.relays.remove(&listener_id);
                tracing::info!("a relay is lost; another one is looked for");
            }
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
            BehaviourEvent::Autonat(autonat::Event::OutboundProbe(event)) => self.on_probe(event),
            // A peer that does not answer keeps a place that another could have.
            BehaviourEvent::Ping(ping::Event { peer, connection, result: Err(error) })
                if !matches!(error, ping::Failure::Unsupported) =>
            {
                tracing::debug!(%peer, %error, "peer does not answer pings");
                self.swarm.close_connection(connection);
            }
            _ => {}
        }
    }

    fn on_done(&mut self, done: Done) {
        match done {
            Done::Judged { message, peer, verdict } => {
                if let Some(connected) = self.connected.get_mut(&peer) {
                    connected.unjudged_blocks = connected.unjudged_blocks.saturating_sub(1);
                }
                self.judged(BLOCKS, Some(message), peer, verdict, u32::from(verdict == Verdict::Refuse));
            }
            Done::Weighed { message, peer, burden, judgement } => {
                let way = if message.is_some() { Way::Told } else { Way::Fetched };
                let mut all_judged = false;
                if let Some(connected) = self.connected.get_mut(&peer) {
                    connected.burden(way).lift(burden);
                    all_judged = *connected.burden(way) == Burden::default();
                }
                // What was asked for was new: there may be more of it.
                if way == Way::Fetched && all_judged && judgement.new > 0 && self.behind {
                    self.pull(peer);
                }
                self.weighed(message, peer, judgement);
            }
            Done::Answered { id, channel, response } => {
                // It counts until it is written. Fails if the peer has left.
                if let Some(serving) = self.serving.get_mut(&id) {
                    serving.given = Some(Instant::now());
                }
                if self.swarm.behaviour_mut().exchange.send_response(channel, response).is_err() {
                    self.serving.remove(&id);
                }
            }
            Done::Missing { peer, ids } => {
                if !ids.is_empty() && self.connected.contains_key(&peer) {
                    let purpose = Purpose::Missed(ids.len());
                    self.question(peer, Request::Transactions(ids), purpose);
                }
            }
            Done::Resolved { call } => self.dial(call),
        }
    }
    /// Passes news on; `false` if the rest of the node is too busy for them.
    fn news(&self, news: News) -> bool {
        self.wiring.news.try_send(news).is_ok()
    }

    /// As many faults as there are, or as it takes for a ban.
    fn blame_for_each(&mut self, peer: PeerId, fault: Fault, count: u32) {
        for _ in 0..count {
            if self.standing.is_banned(&peer, Instant::now()) {
                return;
            }
            self.blame(peer, fault);
        }
    }
    fn blame(&mut self, peer: PeerId, fault: Fault) {
        metrics::counter!("sealpost_peer_faults_total", "fault" => fault_name(fault)).increment(1);
        let Consequence::Ban { until } = self.standing.note(peer, fault, Instant::now()) else { return };
        tracing::info!(%peer, ?fault, "peer is banned for a while");
        metrics::counter!("sealpost_peer_bans_total").increment(1);
        if let Some(connected) = self.connected.get(&peer) {
            self.swarm.behaviour_mut().ip_limits.note_ban(peer, &connected.address, until);
        }
        self.swarm.behaviour_mut().blocked.block_peer(peer);
        // Bootstrap peers are called again when the ban is over.
        self.addresses.forget(&peer);
    }
    /// Bans a peer to which gossipsub has stopped to listen: nothing good comes of its place any more.
    fn hear_out(&mut self, peer: PeerId) {
        let score = self.swarm.behaviour().gossipsub.peer_score(&peer);
        if self.connected.get_mut(&peer).is_some_and(|connected| connected.hearing.ends(score)) {
            // As many faults as it takes.
            self.blame_for_each(peer, Fault::Malformed, BAN_AT);
        }
    }
    fn on_tick(&mut self, now: Instant) {
        for peer in self.standing.released(now) {
            if !self.config.block.contains(&peer) {
                self.swarm.behaviour_mut().blocked.unblock_peer(peer);
            }
        }
        self.asking.tidy(now);
        self.telling.tidy(now);
        self.telling_bytes.tidy(now);
        let pause = if self.behind { PULL_WHEN_BEHIND } else { PULL };
        if now.saturating_duration_since(self.pulled) >= pause {
            self.pulled = now;
            let turn = usize::try_from(getrandom::u32().unwrap_or(0)).unwrap_or(0);
            let peer = turn.checked_rem(self.connected.len()).and_then(|n| self.connected.keys().nth(n));
            if let Some(peer) = peer.copied() {
                self.pull(peer);
                if self.wanted() > 0 {
                    self.question(peer, Request::Peers, Purpose::Peers);
                }
            }
        }
        let peers: Vec<_> = self.connected.keys().copied().collect();
        for peer in peers {
            self.hear_out(peer);
        }
        self.look_for_relays(now);
        let me = *self.swarm.local_peer_id();
        // A few at a time: most calls fail on a network that changes.
        let wanted = self.wanted().min(4);
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
                Some(name) => {
                    self.work.push(Box::pin(async move { Done::Resolved { call: name.resolve(call).await } }))
                }
            }
        }
    }
    /// Asks a peer what waits there.
    fn pull(&mut self, peer: PeerId) {
        self.behind = false;
        self.question(peer, Request::Waiting, Purpose::Waiting);
    }
    /// How many more peers this node looks for.
    fn wanted(&self) -> usize {
        let outgoing = self.connected.values().filter(|peer| !peer.incoming).count();
        usize::try_from(self.config.limits.outgoing).unwrap_or(usize::MAX).saturating_sub(outgoing)
    }
    fn dial(&mut self, call: Call) {
        let Call { bootstrap, peer, addresses } = call;
        let mut addresses = addresses.into_iter();
        // A name that stands for no address now.
        let Some(first) = addresses.next() else { return };
        // Two nodes that call each other at the same moment from the ports that they listen on meet in one TCP
        // connection in which both believe to be the caller, and do so again at each try. Only a way through a
        // router needs that port.
        let allocates_port = !self.config.nat;
        let options = match peer {
            Some(peer) => {
                let options = DialOpts::peer_id(peer)
                    .addresses(std::iter::once(first).chain(addresses.by_ref()).collect())
                    .condition(PeerCondition::DisconnectedAndNotDialing);
                if allocates_port { options.allocate_new_port().build() } else { options.build() }
            }
            // One after the other: the same peer may be at all of them.
            None => {
                let options = DialOpts::unknown_peer_id().address(first);
                if allocates_port { options.allocate_new_port().build() } else { options.build() }
            }
        };
        let connection = options.connection_id();
        match self.swarm.dial(options) {
            Ok(()) => {
                let rest = Call { bootstrap, peer, addresses: addresses.collect() };
                self.calls.insert(connection, rest);
            }
            Err(error) => {
                tracing::debug!(peer = ?peer, %error, "no call is made");
                // It is being called already, or is connected since.
                let is_called = matches!(error, DialError::DialPeerConditionFalse(_));
                if let Some(peer) = peer.filter(|_| !is_called) {
                    self.addresses.failed(&peer);
                }
            }
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
