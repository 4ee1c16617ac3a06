//! The hostile peer: what it does arrives at a libp2p node that has no defence of its own, and it notices when it
//! is thrown out. What a Sealpost node makes of it is shown in `siege.rs`.

use async_trait::async_trait;
use futures::prelude::*;
use libp2p::gossipsub::{self, IdentTopic, MessageAuthenticity, ValidationMode};
use libp2p::request_response::{self, ProtocolSupport};
use libp2p::swarm::{NetworkBehaviour, SwarmEvent};
use libp2p::{Multiaddr, PeerId, StreamProtocol, Swarm, SwarmBuilder, identify, noise, tcp, yamux};
use sealpost_ledger::hash::ChainId;
use sealpost_tests::harness::hostile::{
    Misuse, Peer, Stream, Topic, crowd, garbage, length_prefix, mute_connections,
};
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

const SOON: Duration = Duration::from_secs(20);

fn chain() -> ChainId {
    ChainId::from_bytes([7; 32])
}

#[derive(NetworkBehaviour)]
struct Behaviour {
    gossip: gossipsub::Behaviour,
    identify: identify::Behaviour,
    sync: request_response::Behaviour<Reader>,
}

/// What the node saw.
#[derive(Default)]
struct Seen {
    messages: AtomicU64,
    connections: AtomicU64,
    streams: AtomicU64,
    bytes: AtomicU64,
}

/// A node that bears with everything, or throws a peer out after so many messages.
struct Node {
    address: Multiaddr,
    seen: Arc<Seen>,
}

impl Node {
    async fn start(patience: Option<u64>) -> Self {
        let seen = Arc::new(Seen::default());
        let mut swarm = swarm(seen.clone());
        swarm.listen_on("/ip4/127.0.0.1/tcp/0".parse().unwrap()).unwrap();
        let address = loop {
            if let SwarmEvent::NewListenAddr { address, .. } = swarm.select_next_some().await {
                break address.with_p2p(*swarm.local_peer_id()).unwrap();
            }
        };
        tokio::spawn(serve(swarm, seen.clone(), patience));
        Self { address, seen }
    }
}

async fn serve(mut swarm: Swarm<Behaviour>, seen: Arc<Seen>, patience: Option<u64>) {
    loop {
        match swarm.select_next_some().await {
            SwarmEvent::Behaviour(BehaviourEvent::Gossip(gossipsub::Event::Message {
                propagation_source,
                ..
            })) => {
                let messages = seen.messages.fetch_add(1, Relaxed) + 1;
                if patience.is_some_and(|patience| messages > patience) {
                    let peer: PeerId = propagation_source;
                    let _ = swarm.disconnect_peer_id(peer);
                }
            }
            SwarmEvent::ConnectionEstablished { .. } => {
                seen.connections.fetch_add(1, Relaxed);
            }
            _ => {}
        }
    }
}

fn swarm(seen: Arc<Seen>) -> Swarm<Behaviour> {
    let tcp = SwarmBuilder::with_new_identity()
        .with_tokio()
        .with_tcp(tcp::Config::default(), noise::Config::new, yamux::Config::default)
        .unwrap();
    let made = tcp.with_behaviour(|key| {
        let config = gossipsub::ConfigBuilder::default()
            .validation_mode(ValidationMode::Anonymous)
            .max_transmit_size(1 << 20)
            // Without author and number all messages would be one.
            .message_id_fn(|message| message.data.clone().into())
            .build()
            .unwrap();
        let mut gossip: gossipsub::Behaviour =
            gossipsub::Behaviour::new(MessageAuthenticity::Anonymous, config).unwrap();
        for topic in [Topic::Transactions, Topic::Blocks] {
            gossip.subscribe(&IdentTopic::new(topic.name(chain()))).unwrap();
        }
        let protocol = StreamProtocol::try_from_owned(format!("/sealpost/{}/sync/1", chain())).unwrap();
        Behaviour {
            gossip,
            identify: identify::Behaviour::new(identify::Config::new("/test/1".into(), key.public())),
            sync: request_response::Behaviour::with_codec(
                Reader(seen),
                [(protocol, ProtocolSupport::Inbound)],
                request_response::Config::default().with_max_concurrent_streams(1000),
            ),
        }
    });
    made.unwrap().with_swarm_config(|config| config.with_idle_connection_timeout(SOON)).build()
}

/// Counts streams and their bytes.
#[derive(Clone)]
struct Reader(Arc<Seen>);

#[async_trait]
impl request_response::Codec for Reader {
    type Protocol = StreamProtocol;
    type Request = ();
    type Response = ();

    async fn read_request<T: AsyncRead + Unpin + Send>(
        &mut self,
        _: &StreamProtocol,
        stream: &mut T,
    ) -> io::Result<()> {
        self.0.streams.fetch_add(1, Relaxed);
        let mut buffer = [0; 4096];
        loop {
            match stream.read(&mut buffer).await? {
                0 => return Ok(()),
                length => self.0.bytes.fetch_add(length as u64, Relaxed),
            };
        }
    }
    async fn read_response<T: AsyncRead + Unpin + Send>(
        &mut self,
        _: &StreamProtocol,
        _: &mut T,
    ) -> io::Result<()> {
        Ok(())
    }
    async fn write_request<T: AsyncWrite + Unpin + Send>(
        &mut self,
        _: &StreamProtocol,
        _: &mut T,
        (): (),
    ) -> io::Result<()> {
        Ok(())
    }
    async fn write_response<T: AsyncWrite + Unpin + Send>(
        &mut self,
        _: &StreamProtocol,
        _: &mut T,
        (): (),
    ) -> io::Result<()> {
        Ok(())
    }
}

/// Lets the peer go on until the node has seen what it should.
#[tokio::test(flavor = "multi_thread")]
async fn garbage_duplicates_and_streams_arrive_at_a_node_without_defence() {
    let node = Node::start(None).await;
    let mut peer = Peer::connect(&node.address, chain(), SOON).await.unwrap();
    let flood = peer.flood(Topic::Transactions, (0..500).map(|_| garbage(300))).await;
    assert_eq!((flood.sent, flood.thrown_out), (500, None), "{flood:?}");
    peer.remain_until("the flood", SOON, || node.seen.messages.load(Relaxed) > 400).await;

    // The node's own message ids hold back what repeats itself; it was sent all the same.
    let before = node.seen.messages.load(Relaxed);
    let same = garbage(300);
    let flood = peer.flood(Topic::Blocks, (0..200).map(|_| same.clone())).await;
    assert_eq!(flood.sent, 200);

    for _ in 0..50 {
        peer.open(Stream::Sync, Misuse::SendAndStall(vec![1, 2, 3]));
    }
    peer.open(Stream::Sync, Misuse::Endless);
    peer.open(Stream::Sync, Misuse::Trickle(Duration::from_millis(10)));
    peer.remain_until("the streams", SOON, || node.seen.streams.load(Relaxed) >= 52).await;
    peer.remain_until("the endless stream", SOON, || node.seen.bytes.load(Relaxed) > 1_000_000).await;
    assert!(node.seen.messages.load(Relaxed) >= before);
    assert!(peer.is_connected());
}

#[tokio::test(flavor = "multi_thread")]
async fn it_comes_in_crowds_and_by_many_connections() {
    let node = Node::start(None).await;
    let mut peers = crowd(&node.address, chain(), 30, SOON).await;
    assert_eq!(peers.len(), 30);
    let connections = peers[0].multiply(20, Duration::from_secs(1)).await;
    assert!(connections > 10, "{connections} connections");
    let host = node.address.to_string();
    let port = host.split('/').nth(4).unwrap();
    assert_eq!(mute_connections(&format!("127.0.0.1:{port}"), 50).await.len(), 50);
    assert!(node.seen.connections.load(Relaxed) >= 40);
}

#[tokio::test(flavor = "multi_thread")]
async fn it_notices_that_it_is_thrown_out() {
    let node = Node::start(Some(100)).await;
    let mut peer = Peer::connect(&node.address, chain(), SOON).await.unwrap();
    let mut thrown_out = peer.flood(Topic::Transactions, (0..2000).map(|_| garbage(300))).await.thrown_out;
    if thrown_out.is_none() {
        thrown_out = peer.remain(SOON).await;
    }
    assert!(thrown_out.is_some() && !peer.is_connected());
    // A frame that claims 64 MiB: gossipsub ends the stream by itself, whatever the node's own patience.
    let node = Node::start(None).await;
    let mut peer = Peer::connect(&node.address, chain(), SOON).await.unwrap();
    peer.open(Stream::Mesh, Misuse::SendAndStall(length_prefix(64 << 20)));
    peer.remain(Duration::from_millis(200)).await;
    assert_eq!(peer.answers(), 0);
}
