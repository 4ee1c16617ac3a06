//! A libp2p peer that sends what it should not: garbage and duplicates at full speed, frames beyond every
//! limit, streams that are opened and never read or never finished, connections by the hundred. It speaks the
//! node's own protocols up to the point where it misbehaves, and says what it could send and when it was
//! thrown out. Whether the node stays well is for the test to ask the node.

use super::random::Random;
use async_trait::async_trait;
use futures::prelude::*;
use libp2p::gossipsub::{self, IdentTopic, MessageAuthenticity, PublishError, ValidationMode};
use libp2p::multiaddr::Protocol;
use libp2p::request_response::{self, ProtocolSupport};
use libp2p::swarm::dial_opts::{DialOpts, PeerCondition};
use libp2p::swarm::{NetworkBehaviour, SwarmEvent};
use libp2p::{Multiaddr, PeerId, StreamProtocol, Swarm, SwarmBuilder, identify, identity, noise, tcp, yamux};
use sealpost_ledger::hash::ChainId;
use std::io;
use std::net::Ipv4Addr;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};
use tokio::net::{TcpListener, TcpSocket, TcpStream};

/// What we would let through: more than any honest limit.
const OUR_LIMIT: usize = 256 << 20;
/// How long a stream of ours stays open if nobody closes it.
const HELD: Duration = Duration::from_secs(3600);
/// The gossip protocol under which raw frames are sent.
const MESH: StreamProtocol = StreamProtocol::new("/meshsub/1.1.0");

/// What is gossiped about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Topic {
    /// Transactions that wait for a block.
    Transactions,
    /// Final blocks.
    Blocks,
}

impl Topic {
    /// Its name on the wire.
    pub fn name(self, chain: ChainId) -> String {
        let what = match self {
            Self::Transactions => "transactions/2",
            Self::Blocks => "blocks/1",
        };
        format!("/sealpost/{chain}/{what}")
    }
}

/// Which protocol a raw stream claims to speak.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stream {
    /// The node's own, for catching up.
    Sync,
    /// Gossipsub's.
    Mesh,
}

/// What happens on a raw stream.
#[derive(Debug, Clone)]
pub enum Misuse {
    /// Sends these bytes and ends its half, as an honest peer would.
    Send(Vec<u8>),
    /// Sends these bytes and then keeps silent: never ends its half, never reads.
    SendAndStall(Vec<u8>),
    /// Sends a byte each time, for ever: a slow loris.
    Trickle(Duration),
    /// Sends zeros for ever, as fast as they are taken.
    Endless,
}

/// What became of a flood.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Flood {
    /// Messages handed to the node's connection.
    pub sent: u64,
    /// When the node closed the last connection, since the flood began.
    pub thrown_out: Option<Duration>,
    /// Why it ended early, if it did.
    pub ended: Option<String>,
}

#[derive(NetworkBehaviour)]
struct Behaviour {
    gossip: gossipsub::Behaviour,
    identify: identify::Behaviour,
    sync: request_response::Behaviour<Raw>,
    mesh: request_response::Behaviour<Raw>,
}

/// Why a peer did not get in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NotLetIn {
    /// The node has closed the connection.
    TurnedAway(String),
    /// The node has said nothing for so long: nothing is known.
    Silence(Duration),
    /// It could not even be tried.
    Untried(String),
}

/// A hostile peer, connected to one node.
pub struct Peer {
    swarm: Swarm<Behaviour>,
    node: PeerId,
    address: Multiaddr,
    chain: ChainId,
    answers: u64,
}

impl Peer {
    /// Connects under a fresh identity, and waits until the node has subscribed to its topics.
    pub async fn connect(node: &Multiaddr, chain: ChainId, within: Duration) -> Result<Self, NotLetIn> {
        Self::connect_as(identity::Keypair::generate_ed25519(), node, chain, within).await
    }
    /// Connects under a chosen identity: to see whether a ban holds.
    pub async fn connect_as(
        key: identity::Keypair,
        node: &Multiaddr,
        chain: ChainId,
        within: Duration,
    ) -> Result<Self, NotLetIn> {
        Self::connect_for(&[Topic::Transactions, Topic::Blocks], key, node, chain, within).await
    }
    /// Connects and joins no topic, so that gossipsub says nothing by itself. A node reads the stream of a peer that began
    /// last: what is said there would end a raw one that has not been read to its end.
    pub async fn connect_mute(node: &Multiaddr, chain: ChainId, within: Duration) -> Result<Self, NotLetIn> {
        Self::connect_for(&[], identity::Keypair::generate_ed25519(), node, chain, within).await
    }
    async fn connect_for(
        topics: &[Topic],
        key: identity::Keypair,
        node: &Multiaddr,
        chain: ChainId,
        within: Duration,
    ) -> Result<Self, NotLetIn> {
        let last = node.iter().last();
        let Some(Protocol::P2p(id)) = last else {
            return Err(NotLetIn::Untried(format!("{node} does not end in /p2p/<id>")));
        };
        let mut peer = Self {
            swarm: swarm(key, chain).map_err(NotLetIn::Untried)?,
            node: id,
            address: node.clone(),
            chain,
            answers: 0,
        };
        for topic in topics {
            let topic = IdentTopic::new(topic.name(chain));
            peer.swarm.behaviour_mut().gossip.subscribe(&topic).map_err(untried)?;
        }
        peer.swarm.dial(node.clone()).map_err(untried)?;
        let subscribed = async {
            // Each topic in a message of its own.
            let mut missing = 2;
            while missing > 0 {
                match peer.swarm.select_next_some().await {
                    SwarmEvent::Behaviour(BehaviourEvent::Gossip(gossipsub::Event::Subscribed {
                        ..
                    })) => {
                        missing -= 1;
                    }
                    SwarmEvent::OutgoingConnectionError { error, .. } => {
                        let error = error.to_string();
                        // The patience of our own transport.
                        return Err(match error.contains("Timeout") {
                            true => NotLetIn::Silence(within),
                            false => NotLetIn::TurnedAway(error),
                        });
                    }
                    SwarmEvent::ConnectionClosed { num_established: 0, cause, .. } => {
                        return Err(NotLetIn::TurnedAway(format!("closed at once: {cause:?}")));
                    }
                    _ => {}
                }
            }
            Ok(())
        };
        let outcome = tokio::time::timeout(within, subscribed).await;
        outcome.unwrap_or(Err(NotLetIn::Silence(within)))?;
        Ok(peer)
    }
    /// Whether the node still bears with us.
    pub fn is_connected(&self) -> bool {
        self.swarm.is_connected(&self.node)
    }
    /// Answers that came on raw streams.
    pub fn answers(&self) -> u64 {
        self.answers
    }
    /// Publishes all of it as fast as the connection takes it, the same bytes as often as they come.
    pub async fn flood(&mut self, topic: Topic, payloads: impl IntoIterator<Item = Vec<u8>>) -> Flood {
        let (since, topic) = (Instant::now(), IdentTopic::new(topic.name(self.chain)));
        let (mut sent, mut ended) = (0, None);
        'all: for payload in payloads {
            while self.is_connected() {
                match self.swarm.behaviour_mut().gossip.publish(topic.clone(), payload.clone()) {
                    Ok(_) => {
                        sent += 1;
                        break;
                    }
                    // The connection takes no more at the moment. That it does again is no event of the swarm's.
                    Err(PublishError::AllQueuesFull(_)) => {
                        self.remain(Duration::from_millis(5)).await;
                    }
                    Err(error) => {
                        ended = Some(error.to_string());
                        break 'all;
                    }
                }
            }
            while let Some(event) = self.swarm.next().now_or_never().flatten() {
                self.note(&event);
            }
        }
        let thrown_out = (!self.is_connected()).then(|| since.elapsed());
        Flood { sent, thrown_out, ended }
    }
    /// Opens a raw stream. What happens on it happens while [`remain`](Self::remain) or a flood runs.
    pub fn open(&mut self, stream: Stream, misuse: Misuse) {
        let (node, behaviour) = (self.node, self.swarm.behaviour_mut());
        match stream {
            Stream::Sync => behaviour.sync.send_request(&node, misuse),
            Stream::Mesh => behaviour.mesh.send_request(&node, misuse),
        };
    }
    /// Stays for a while, doing what was begun; says when it was thrown out, if it was.
    pub async fn remain(&mut self, duration: Duration) -> Option<Duration> {
        let since = Instant::now();
        let until = tokio::time::Instant::now() + duration;
        while self.is_connected() {
            tokio::select! {
                event = self.swarm.select_next_some() => self.note(&event),
                () = tokio::time::sleep_until(until) => return None,
            }
        }
        Some(since.elapsed())
    }
    /// Listens until something is gossiped about a topic. What names its author is refused when it is read, and never
    /// comes (gossipsub's policy `StrictNoSign`).
    pub async fn hears(&mut self, topic: Topic, within: Duration) -> Option<gossipsub::Message> {
        let topic = IdentTopic::new(topic.name(self.chain)).hash();
        let heard = async {
            loop {
                let event = self.swarm.select_next_some().await;
                if let SwarmEvent::Behaviour(BehaviourEvent::Gossip(gossipsub::Event::Message {
                    message,
                    ..
                })) = event
                    && message.topic == topic
                {
                    return message;
                }
            }
        };
        tokio::time::timeout(within, heard).await.ok()
    }
    /// Stays until something is seen; fails if it is not in time.
    pub async fn remain_until(&mut self, what: &str, within: Duration, seen: impl Fn() -> bool) {
        let since = Instant::now();
        while !seen() {
            assert!(since.elapsed() < within, "the node has not seen {what}");
            self.remain(Duration::from_millis(20)).await;
        }
    }
    /// Dials the same node again and again under the same identity; says how many connections it has at the
    /// end.
    pub async fn multiply(&mut self, connections: usize, within: Duration) -> usize {
        for _ in 0..connections {
            let again = DialOpts::peer_id(self.node).addresses(vec![self.address.clone()]);
            // Fails only when our own swarm has too many dials under way.
            let _ = self.swarm.dial(again.condition(PeerCondition::Always).build());
        }
        self.remain(within).await;
        let counters = self.swarm.network_info().connection_counters().num_established();
        usize::try_from(counters).unwrap_or(usize::MAX)
    }

    fn note(&mut self, event: &SwarmEvent<BehaviourEvent>) {
        let answered = |event: &request_response::Event<Misuse, Vec<u8>>| {
            matches!(
                event,
                request_response::Event::Message { message: request_response::Message::Response { .. }, .. }
            )
        };
        match event {
            SwarmEvent::Behaviour(BehaviourEvent::Sync(event) | BehaviourEvent::Mesh(event))
                if answered(event) =>
            {
                self.answers += 1;
            }
            _ => {}
        }
    }
}

fn untried(error: impl std::fmt::Display) -> NotLetIn {
    NotLetIn::Untried(error.to_string())
}

/// A way to a node on which whoever calls comes from another address of this machine; where to call instead of the node.
///
/// # Panics
/// If the node has no address of TCP over IPv4, or this machine not that address.
pub async fn detour(node: &Multiaddr, from: Ipv4Addr) -> Multiaddr {
    let parts: Vec<Protocol<'_>> = node.iter().collect();
    let [Protocol::Ip4(ip), Protocol::Tcp(port), id @ Protocol::P2p(_)] = &parts[..] else {
        panic!("{node} is no /ip4/…/tcp/…/p2p/…");
    };
    let (ip, port) = (*ip, *port);
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.expect("a port");
    let here = listener.local_addr().expect("an address").port();
    tokio::spawn(async move {
        while let Ok((mut caller, _)) = listener.accept().await {
            let socket = TcpSocket::new_v4().expect("a socket");
            socket.bind((from, 0).into()).expect("an address of this machine");
            tokio::spawn(async move {
                if let Ok(mut node) = socket.connect((ip, port).into()).await {
                    // It ends when either side does.
                    let _ = tokio::io::copy_bidirectional(&mut caller, &mut node).await;
                }
            });
        }
    });
    Multiaddr::from(Ipv4Addr::LOCALHOST).with(Protocol::Tcp(here)).with(id.clone())
}

/// As many peers as wanted, each under an identity of its own; those that the node let in.
pub async fn crowd(node: &Multiaddr, chain: ChainId, count: usize, within: Duration) -> Vec<Peer> {
    let joining = (0..count).map(|_| Peer::connect(node, chain, within));
    let joined = stream::iter(joining).buffer_unordered(64).collect::<Vec<_>>().await;
    joined.into_iter().filter_map(Result::ok).collect()
}

/// TCP connections that say nothing; those that were accepted.
pub async fn mute_connections(address: &str, count: usize) -> Vec<TcpStream> {
    let opened = stream::iter((0..count).map(|_| TcpStream::connect(address)));
    let opened = opened.buffer_unordered(64).collect::<Vec<_>>().await;
    opened.into_iter().filter_map(Result::ok).collect()
}

/// Bytes of no meaning, different each time.
pub fn garbage(length: usize) -> Vec<u8> {
    static SEED: AtomicU64 = AtomicU64::new(1);
    let mut random = Random::new(SEED.fetch_add(1, Relaxed));
    let mut bytes: Vec<u8> = (0..length.div_ceil(8)).flat_map(|_| random.next().to_le_bytes()).collect();
    bytes.truncate(length);
    bytes
}

/// The length prefix that libp2p's framing uses, for a frame that need not follow.
pub fn length_prefix(mut length: u64) -> Vec<u8> {
    let mut bytes = Vec::new();
    loop {
        let low = length.to_le_bytes()[0] & 0x7f;
        length >>= 7;
        if length == 0 {
            bytes.push(low);
            return bytes;
        }
        bytes.push(low | 0x80);
    }
}

/// A word of gossipsub's that names something: as it stands in the `rpc.proto` of its specification, of which only the
/// numbers are needed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Word {
    /// Subscribes to topics that nobody has joined.
    Subscribe,
    /// Has messages of our topic of transactions, which there are not.
    IHave,
    /// Wants messages that there are not.
    IWant,
    /// Does not want such messages.
    IDontWant,
    /// Grafts our topic of transactions, over and over.
    Graft,
    /// Prunes topics that nobody has joined, for an hour each.
    Prune,
}

/// Bytes of a field of protobuf.
fn field(number: u8, bytes: &[u8]) -> Vec<u8> {
    [&[number << 3 | 2], length_prefix(bytes.len() as u64).as_slice(), bytes].concat()
}

fn framed(bytes: &[u8]) -> Vec<u8> {
    [&length_prefix(bytes.len() as u64), bytes].concat()
}

/// Messages of gossipsub's that say a word so many times, of a topic or message that is named once if it is none of ours.
/// They are shorter than what would be refused for its length alone.
pub fn words(word: Word, chain: ChainId, count: u32) -> Vec<u8> {
    const CONTROL: u8 = 3;
    let name = |number: u32| format!("{number:0>300}");
    let id =
        |number: u32| field(if word == Word::IHave { 2 } else { 1 }, format!("{number:0>32}").as_bytes());
    let ids = |numbers: &[u32]| numbers.iter().flat_map(|number| id(*number)).collect::<Vec<_>>();
    let ours = field(1, Topic::Transactions.name(chain).as_bytes());
    let all: Vec<u32> = (0..count).collect();
    let said = |some: &[u32]| match word {
        Word::Subscribe => {
            let subscribe = |number: &u32| {
                field(1, &[&[1 << 3, 1], field(2, name(*number).as_bytes()).as_slice()].concat())
            };
            some.iter().flat_map(subscribe).collect()
        }
        Word::IHave => field(CONTROL, &field(1, &[ours.clone(), ids(some)].concat())),
        Word::IWant => field(CONTROL, &field(2, &ids(some))),
        Word::IDontWant => field(CONTROL, &field(5, &ids(some))),
        Word::Graft => field(CONTROL, &field(3, &ours).repeat(some.len())),
        Word::Prune => {
            let hour = length_prefix(3_600);
            let prune = |number: &u32| {
                field(4, &[&field(1, name(*number).as_bytes())[..], &[3 << 3], &hour].concat())
            };
            field(CONTROL, &some.iter().flat_map(prune).collect::<Vec<_>>())
        }
    };
    all.chunks(200).flat_map(|some| framed(&said(some))).collect()
}

/// A message of gossipsub's that publishes something about transactions.
pub fn published(chain: ChainId, data: &[u8]) -> Vec<u8> {
    let topic = field(4, Topic::Transactions.name(chain).as_bytes());
    framed(&field(2, &[field(2, data), topic].concat()))
}

fn swarm(key: identity::Keypair, chain: ChainId) -> Result<Swarm<Behaviour>, String> {
    let with_tcp = SwarmBuilder::with_existing_identity(key).with_tokio().with_tcp(
        tcp::Config::default().nodelay(true),
        noise::Config::new,
        yamux::Config::default,
    );
    let swarm = with_tcp.map_err(|error| error.to_string())?.with_behaviour(|key| behaviour(key, chain));
    let swarm = swarm.map_err(|error| error.to_string())?;
    Ok(swarm.with_swarm_config(|config| config.with_idle_connection_timeout(HELD)).build())
}

fn behaviour(
    key: &identity::Keypair,
    chain: ChainId,
) -> Result<Behaviour, Box<dyn std::error::Error + Send + Sync>> {
    // Every message is a new one to us, so that we may repeat ourselves.
    static NUMBER: AtomicU64 = AtomicU64::new(0);
    let config = gossipsub::ConfigBuilder::default()
        .validation_mode(ValidationMode::Anonymous)
        .max_transmit_size(OUR_LIMIT)
        .flood_publish(true)
        .message_id_fn(|_| NUMBER.fetch_add(1, Relaxed).to_be_bytes().to_vec().into())
        .build()?;
    let gossip = gossipsub::Behaviour::new(MessageAuthenticity::Anonymous, config)?;
    // As a node of this network says it: others are sent away before they do any harm.
    let identify =
        identify::Behaviour::new(identify::Config::new(format!("/sealpost/{chain}/1"), key.public()));
    let raw = |protocol| {
        let config = request_response::Config::default()
            .with_request_timeout(HELD)
            .with_max_concurrent_streams(100_000);
        request_response::Behaviour::with_codec(Raw, [(protocol, ProtocolSupport::Outbound)], config)
    };
    let sync = StreamProtocol::try_from_owned(format!("/sealpost/{chain}/sync/1"))?;
    Ok(Behaviour { gossip, identify, sync: raw(sync), mesh: raw(MESH) })
}

/// Writes what a [`Misuse`] says, whatever the protocol would want.
#[derive(Debug, Clone)]
struct Raw;

#[async_trait]
impl request_response::Codec for Raw {
    type Protocol = StreamProtocol;
    type Request = Misuse;
    type Response = Vec<u8>;

    async fn read_request<T>(&mut self, _: &StreamProtocol, _: &mut T) -> io::Result<Misuse>
    where
        T: AsyncRead + Unpin + Send,
    {
        Err(io::ErrorKind::Unsupported.into())
    }
    async fn read_response<T>(&mut self, _: &StreamProtocol, stream: &mut T) -> io::Result<Vec<u8>>
    where
        T: AsyncRead + Unpin + Send,
    {
        let mut answer = Vec::new();
        stream.take(OUR_LIMIT as u64).read_to_end(&mut answer).await?;
        Ok(answer)
    }
    async fn write_request<T>(&mut self, _: &StreamProtocol, stream: &mut T, misuse: Misuse) -> io::Result<()>
    where
        T: AsyncWrite + Unpin + Send,
    {
        match misuse {
            // The caller ends our half.
            Misuse::Send(bytes) => stream.write_all(&bytes).await,
            Misuse::SendAndStall(bytes) => {
                stream.write_all(&bytes).await?;
                stream.flush().await?;
                future::pending().await
            }
            Misuse::Trickle(pause) => loop {
                stream.write_all(&[0]).await?;
                stream.flush().await?;
                tokio::time::sleep(pause).await;
            },
            Misuse::Endless => loop {
                stream.write_all(&[0; 65_536]).await?;
            },
        }
    }
    async fn write_response<T>(&mut self, _: &StreamProtocol, _: &mut T, _: Vec<u8>) -> io::Result<()>
    where
        T: AsyncWrite + Unpin + Send,
    {
        Err(io::ErrorKind::Unsupported.into())
    }
}
