//! What the swarm is made of, and every bound of it in one place.

use super::closing::Closing;
use super::control::Budgets;
use super::exchange::Codec;
use super::ip_limits::IpLimits;
use super::{Config, GossipError};
use crate::wire::{Announcement, TransactionBatch};
use libp2p::core::muxing::StreamMuxerBox;
use libp2p::core::transport::Boxed;
use libp2p::core::upgrade::Version;
use libp2p::gossipsub::{
    self, IdentTopic, IdentityTransform, MessageAuthenticity, MessageId, PeerScoreParams,
    PeerScoreThresholds, TopicHash, TopicScoreParams, ValidationMode, WhitelistSubscriptionFilter,
};
use libp2p::identity::Keypair;
use libp2p::request_response::{self, ProtocolSupport};
use libp2p::swarm::NetworkBehaviour;
use libp2p::swarm::behaviour::toggle::Toggle;
use libp2p::{
    PeerId, StreamProtocol, Swarm, SwarmBuilder, Transport as _, autonat, connection_limits, dcutr, identify,
    memory_connection_limits, noise, ping, quic, relay, tcp, yamux,
};
use sealpost_ledger::hash::{ChainId, sha256};
use std::collections::{HashMap, HashSet};
use std::time::Duration;

/// The program and its version, as peers see it.
const AGENT: &str = concat!("sealpost/", env!("CARGO_PKG_VERSION"));
/// Questions that one connection may have open at once, in each direction.
const MAX_OPEN_QUESTIONS: usize = 16;
/// A peer below this score is not listened to at all. Three invalid messages are enough, and nothing else leads there.
pub(super) const GRAYLIST: f64 = -80.0;
/// Messages that a peer says it has and that it is asked for, in each second.
const MAX_ASKED: usize = 64;

/// Names of protocols and topics. They carry the chain id, so that nodes of different networks have nothing
/// to say to each other.
#[derive(Debug, Clone)]
pub(super) struct Names {
    pub(super) protocol: String,
    pub(super) sync: StreamProtocol,
    pub(super) transactions: IdentTopic,
    pub(super) blocks: IdentTopic,
}

impl Names {
    pub(super) fn new(chain: &ChainId) -> Self {
        let name = |part: &str, version: u8| format!("/sealpost/{chain}/{part}/{version}");
        // The names begin with a slash, the one thing that is asked of them.
        let stream = |part: &str| {
            StreamProtocol::try_from_owned(name(part, 1)).unwrap_or(StreamProtocol::new("/sealpost/none/1"))
        };
        Self {
            protocol: format!("/sealpost/{chain}/1"),
            sync: stream("sync"),
            transactions: IdentTopic::new(name("transactions", 2)),
            blocks: IdentTopic::new(name("blocks", 1)),
        }
    }
    fn topics(&self) -> HashSet<TopicHash> {
        HashSet::from([self.transactions.hash(), self.blocks.hash()])
    }
}

/// The same words are the same message, whoever says them.
pub(super) fn message_id(topic: &TopicHash, data: &[u8]) -> MessageId {
    MessageId::from(sha256(&[topic.as_str().as_bytes(), data]).to_vec())
}

pub(super) type Gossipsub = gossipsub::Behaviour<IdentityTransform, WhitelistSubscriptionFilter>;
pub(super) type Exchange = request_response::Behaviour<Codec>;

/// The parts of the swarm. Limits come first: what they refuse the others never see.
#[derive(NetworkBehaviour)]
pub(super) struct Behaviour {
    pub(super) allowed: Toggle<libp2p::allow_block_list::Behaviour<libp2p::allow_block_list::AllowedPeers>>,
    pub(super) blocked: libp2p::allow_block_list::Behaviour<libp2p::allow_block_list::BlockedPeers>,
    pub(super) ip_limits: IpLimits,
    limits: connection_limits::Behaviour,
    memory: memory_connection_limits::Behaviour,
    ping: ping::Behaviour,
    pub(super) identify: identify::Behaviour,
    pub(super) gossipsub: Gossipsub,
    pub(super) exchange: Exchange,
    relay_client: Toggle<relay::client::Behaviour>,
    relay_server: Toggle<relay::Behaviour>,
    autonat: Toggle<autonat::Behaviour>,
    dcutr: Toggle<dcutr::Behaviour>,
}

/// Puts the swarm together.
pub(super) fn swarm(
    config: &Config,
    names: &Names,
    body_limit: u32,
) -> Result<Swarm<Behaviour>, GossipError> {
    let failed = |error: &dyn std::fmt::Display| GossipError::Start(error.to_string());
    let (relayed, relay) = relay::client::new(config.identity.public().to_peer_id());
    let built = SwarmBuilder::with_existing_identity(config.identity.clone())
        .with_tokio()
        .with_other_transport(|key| transport(key, relayed))
        .map_err(|error| failed(&error))?
        .with_behaviour(|key| {
            behaviour(key, relay, config, names, body_limit).map_err(std::convert::Into::into)
        });
    let swarm = built.map_err(|error| failed(&error))?;
    Ok(swarm
        .with_swarm_config(|swarm| {
            swarm
                .with_idle_connection_timeout(Duration::from_secs(600))
                .with_max_negotiating_inbound_streams(32)
        })
        .build())
}

/// All ways to other nodes. None leads past [`Closing`].
fn transport(
    key: &Keypair,
    relayed: relay::client::Transport,
) -> Result<Boxed<(PeerId, Closing)>, Box<dyn std::error::Error + Send + Sync>> {
    let relayed = relayed
        .upgrade(Version::V1Lazy)
        .authenticate(noise::Config::new(key)?)
        .multiplex(yamux::Config::default())
        .map(|(peer, connection), _| (peer, StreamMuxerBox::new(connection)));
    let quic = quic::tokio::Transport::new(quic::Config::new(key))
        .map(|(peer, connection), _| (peer, StreamMuxerBox::new(connection)));
    let tcp = tcp::tokio::Transport::new(tcp::Config::default().nodelay(true))
        .upgrade(Version::V1Lazy)
        .authenticate(noise::Config::new(key)?)
        .multiplex(yamux::Config::default())
        .map(|(peer, connection), _| (peer, StreamMuxerBox::new(connection)));
    // Relayed addresses first: they begin as those of the relay do.
    let direct = quic.or_transport(tcp).map(|either, _| either.into_inner());
    let budgets = Budgets::default();
    let all = relayed.or_transport(direct).map(move |either, endpoint| {
        let (peer, connection) = either.into_inner();
        (peer, Closing::new(connection, budgets.of(endpoint.get_remote_address())))
    });
    Ok(all.boxed())
}

fn behaviour(
    key: &Keypair,
    relay: relay::client::Behaviour,
    config: &Config,
    names: &Names,
    body_limit: u32,
) -> Result<Behaviour, String> {
    let peer = key.public().to_peer_id();
    let limits = connection_limits::ConnectionLimits::default()
        .with_max_pending_incoming(Some(64))
        .with_max_pending_outgoing(Some(16))
        .with_max_established_incoming(Some(config.limits.incoming))
        .with_max_established_outgoing(Some(config.limits.outgoing.saturating_add(16)))
        // Two, so that a peer that dials while it is being dialled is not turned away by both.
        .with_max_established_per_peer(Some(2));
    let mut allowed = (!config.allow.is_empty()).then(libp2p::allow_block_list::Behaviour::default);
    if let Some(allowed) = &mut allowed {
        for peer in &config.allow {
            libp2p::allow_block_list::Behaviour::allow_peer(allowed, *peer);
        }
    }
    let mut blocked: libp2p::allow_block_list::Behaviour<libp2p::allow_block_list::BlockedPeers> =
        libp2p::allow_block_list::Behaviour::default();
    for peer in &config.block {
        blocked.block_peer(*peer);
    }
    let identify = identify::Config::new(names.protocol.clone(), key.public())
        .with_agent_version(AGENT.into())
        .with_push_listen_addr_updates(true)
        .with_cache_size(0);
    let ping =
        ping::Config::new().with_interval(Duration::from_secs(10)).with_timeout(Duration::from_secs(10));
    Ok(Behaviour {
        allowed: allowed.into(),
        blocked,
        ip_limits: IpLimits::new(config.limits.per_ip),
        limits: connection_limits::Behaviour::new(limits),
        memory: memory_connection_limits::Behaviour::with_max_bytes(config.limits.memory_bytes),
        ping: ping::Behaviour::new(ping),
        identify: identify::Behaviour::new(identify),
        gossipsub: gossipsub_behaviour(names, body_limit)?,
        exchange: exchange(names, config.limits.answer_patience),
        relay_client: config.nat.then_some(relay).into(),
        relay_server: config.relay.then(|| relay::Behaviour::new(peer, relay::Config::default())).into(),
        autonat: config.nat.then(|| autonat::Behaviour::new(peer, autonat::Config::default())).into(),
        dcutr: config.nat.then(|| dcutr::Behaviour::new(peer)).into(),
    })
}

fn exchange(names: &Names, patience: Duration) -> Exchange {
    let config = request_response::Config::default()
        .with_request_timeout(patience)
        .with_max_concurrent_streams(MAX_OPEN_QUESTIONS);
    request_response::Behaviour::with_codec(Codec, [(names.sync.clone(), ProtocolSupport::Full)], config)
}

fn gossipsub_config(names: &Names, body_limit: u32) -> Result<gossipsub::Config, String> {
    let batch_bytes = TransactionBatch::max_bytes(body_limit);
    gossipsub::ConfigBuilder::default()
        // No author, no sequence number, no signature of the network identity: a transaction is signed by its
        // sender, and which node brought it is nobody's business.
        .validation_mode(ValidationMode::Anonymous)
        .validate_messages()
        // Messages without author that a node has told itself and hears from another would count as forged.
        // But validators tell of the same block in the same words: hearing one's own is a repetition.
        .allow_self_origin(true)
        .message_id_fn(|message| message_id(&message.topic, &message.data))
        .max_transmit_size(batch_bytes.saturating_add(1024))
        .max_transmit_size_for_topic(batch_bytes, names.transactions.hash())
        .max_transmit_size_for_topic(Announcement::MAX_BYTES, names.blocks.hash())
        .heartbeat_interval(Duration::from_secs(1))
        .heartbeat_initial_delay(Duration::from_millis(100))
        .duplicate_cache_time(Duration::from_secs(120))
        .max_messages_per_rpc(Some(256))
        .max_ihave_messages(32)
        .max_ihave_length(MAX_ASKED)
        // Half of it for this node's own words, half for those of others; each may be a batch of transactions.
        .connection_handler_queue_len(512)
        .build()
        .map_err(|error| error.to_string())
}

fn gossipsub_behaviour(names: &Names, body_limit: u32) -> Result<Gossipsub, String> {
    let config = gossipsub_config(names, body_limit)?;
    let filter = WhitelistSubscriptionFilter(names.topics());
    let mut gossipsub =
        Gossipsub::new_with_subscription_filter(MessageAuthenticity::Anonymous, config, filter)?;
    let (scores, thresholds) = scores(names);
    gossipsub.with_peer_score(scores, thresholds)?;
    for topic in [&names.transactions, &names.blocks] {
        gossipsub.subscribe(topic).map_err(|error| error.to_string())?;
    }
    Ok(gossipsub)
}

/// A peer gains a little by bringing news first and loses much by bringing what does not hold. How much a
/// mesh member delivers is not scored: an idle network delivers nothing, and nobody is to blame.
///
/// A peer may have news and not deliver them in time, or not take ours: its line is slow, or busy. Each of the former that
/// it was asked for counts when three seconds are over. Few in a second are forgiven; with more it loses its place in the
/// mesh, and is asked for nothing until it has caught up. However many they are, it is listened to.
fn scores(names: &Names) -> (PeerScoreParams, PeerScoreThresholds) {
    let topic = TopicScoreParams {
        topic_weight: 1.0,
        time_in_mesh_weight: 0.0,
        first_message_deliveries_weight: 0.1,
        first_message_deliveries_decay: 0.9,
        first_message_deliveries_cap: 100.0,
        mesh_message_deliveries_weight: 0.0,
        mesh_failure_penalty_weight: 0.0,
        invalid_message_deliveries_weight: -10.0,
        invalid_message_deliveries_decay: 0.97,
        ..TopicScoreParams::default()
    };
    let topics = [&names.transactions, &names.blocks].map(|name| (name.hash(), topic.clone()));
    let scores = PeerScoreParams {
        topics: HashMap::from(topics),
        // Our own bound by address does that, with a ban instead of a score.
        ip_colocation_factor_weight: 0.0,
        behaviour_penalty_weight: -0.000_1,
        behaviour_penalty_threshold: MAX_ASKED as f64,
        behaviour_penalty_decay: 0.9,
        // Whoever takes little of what it is told may say all the same what is true.
        slow_peer_weight: 0.0,
        retain_score: Duration::from_secs(600),
        ..PeerScoreParams::default()
    };
    let thresholds = PeerScoreThresholds {
        gossip_threshold: -10.0,
        publish_threshold: -40.0,
        graylist_threshold: GRAYLIST,
        ..PeerScoreThresholds::default()
    };
    (scores, thresholds)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::panic)]
mod tests {
    use super::super::control::Excess;
    use super::*;
    use futures::{AsyncReadExt, AsyncWriteExt, StreamExt, future};
    use libp2p::Multiaddr;
    use libp2p::core::muxing::StreamMuxerExt;
    use libp2p::core::transport::{DialOpts, ListenerId, PortUse, TransportEvent};
    use libp2p::core::{Endpoint, muxing::SubstreamBox};
    use std::task::Poll;

    #[test]
    fn a_peer_that_delivers_nothing_of_what_it_has_is_asked_no_more_and_listened_to_all_the_same() {
        let names = Names::new(&ChainId::from_bytes([1; 32]));
        let (params, thresholds) = scores(&names);
        let asked = gossipsub_config(&names, 65_536).unwrap().max_ihave_length() as f64;
        let penalty = |broken: f64| {
            let excess = (broken - params.behaviour_penalty_threshold).max(0.0);
            excess * excess * params.behaviour_penalty_weight
        };
        // An hour in which all that it is asked for stays away, in each second.
        let broken = (0..3_600).fold(0.0, |broken, _| broken * params.behaviour_penalty_decay + asked);
        assert!(penalty(broken) < thresholds.gossip_threshold, "it is asked for ever");
        assert!(penalty(asked) >= 0.0, "a bad second is not forgiven");
        // Not even together with one invalid message less than it takes by itself.
        let topic = params.topics.get(&names.transactions.hash()).unwrap();
        let invalid = |count: f64| count * count * topic.invalid_message_deliveries_weight;
        assert!(invalid(2.0) + penalty(broken) > thresholds.graylist_threshold);
        assert!(invalid(3.0) < thresholds.graylist_threshold);
        assert_eq!(params.slow_peer_weight, 0.0);
    }

    fn new_transport() -> Boxed<(PeerId, Closing)> {
        let key = Keypair::generate_ed25519();
        transport(&key, relay::client::new(key.public().to_peer_id()).0).unwrap()
    }
    /// A connection, as who listens has it, from somebody who floods it.
    async fn flooded(address: &str) -> Closing {
        let (mut ours, mut theirs) = (new_transport(), new_transport());
        ours.listen_on(ListenerId::next(), address.parse().unwrap()).unwrap();
        let address: Multiaddr = match ours.next().await {
            Some(TransportEvent::NewAddress { listen_addr, .. }) => listen_addr,
            other => panic!("{other:?}"),
        };
        let options = DialOpts { role: Endpoint::Dialer, port_use: PortUse::New };
        let call = theirs.dial(address, options).unwrap();
        // The caller's last words of setting up go out with the first use of the connection.
        tokio::spawn(async move { flood(call.await.unwrap().1).await });
        tokio::spawn(async move { while theirs.next().await.is_some() {} });
        loop {
            if let Some(TransportEvent::Incoming { upgrade, .. }) = ours.next().await {
                // The listener must go on while the connection is set up.
                tokio::spawn(async move { while ours.next().await.is_some() {} });
                return upgrade.await.unwrap().1;
            }
        }
    }
    async fn flood(mut connection: Closing) {
        let opened = future::poll_fn(|context| {
            let _ = connection.poll_unpin(context);
            connection.poll_outbound_unpin(context)
        });
        let mut stream: SubstreamBox = opened.await.unwrap();
        let written = async {
            // A PRUNE of three bytes, 200 of them in a message.
            let prunes = [0x22, 3, 0x0a, 1, b'x'].repeat(200);
            let message = [&[0xeb, 0x07, 0x1a, 0xe8, 0x07], prunes.as_slice()].concat();
            stream.write_all(b"\x13/multistream/1.0.0\n\x0f/meshsub/1.1.0\n").await?;
            stream.write_all(&message).await?;
            stream.flush().await?;
            future::pending::<std::io::Result<()>>().await
        };
        let driven = future::poll_fn(|context| match connection.poll_unpin(context) {
            Poll::Ready(Ok(_)) | Poll::Pending => Poll::<()>::Pending,
            Poll::Ready(Err(_)) => Poll::Ready(()),
        });
        future::select(std::pin::pin!(written), std::pin::pin!(driven)).await;
    }

    #[tokio::test]
    async fn no_transport_leads_past_the_watch() {
        for address in ["/ip4/127.0.0.1/tcp/0", "/ip4/127.0.0.1/udp/0/quic-v1"] {
            let read = async {
                let mut ours = flooded(address).await;
                let inbound = future::poll_fn(|context| {
                    let _ = ours.poll_unpin(context);
                    ours.poll_inbound_unpin(context)
                });
                let mut stream = inbound.await.unwrap();
                let reads = tokio::spawn(async move {
                    let mut bytes = Vec::new();
                    stream.read_to_end(&mut bytes).await.unwrap_err()
                });
                let ended = future::poll_fn(|context| match ours.poll_unpin(context) {
                    Poll::Ready(Err(error)) => Poll::Ready(error),
                    _ => Poll::Pending,
                });
                (ended.await, reads.await.unwrap())
            };
            let (ended, failed) = tokio::time::timeout(Duration::from_secs(20), read).await.unwrap();
            assert_eq!(Excess::in_error(&ended), Some(Excess::Peer), "{address}");
            assert_eq!(failed.kind(), std::io::ErrorKind::InvalidData, "{address}");
        }
    }
}
