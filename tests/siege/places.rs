//! The places that a node has for whoever comes: nobody takes more than his share, and who takes them all keeps the node
//! from nobody whom it calls itself.

use super::{BANS, FULL_NODE, REFUSALS, SOON, STRANGERS, Siege, VALIDATOR};
use sealpost_api::SealpostRpcClient;
use sealpost_tests::harness::hostile::{NotLetIn, Peer, Topic, crowd, detour, garbage, mute_connections};
use sealpost_tests::harness::load::probe;
use sealpost_tests::harness::namespace::{Wire, ready};
use sealpost_tests::harness::network::Place;
use std::time::{Duration, Instant};
use tokio::task::JoinSet;

/// Whoever of a crowd gets in is in by then.
const LET_IN_WITHIN: Duration = Duration::from_secs(3);
/// Connections that one address may have, by the node's default.
const PER_IP: usize = 16;
/// Connections that others may open, by the node's default.
const INCOMING: usize = 64;

#[tokio::test(flavor = "multi_thread")]
async fn one_address_takes_no_more_than_its_share_and_keeps_nobody_out() {
    if !ready("one_address_takes_no_more_than_its_share_and_keeps_nobody_out") {
        return;
    }
    let mut siege = Siege::start("crowd", Place::Lab(Wire::Bridge));
    let here = siege.network.lab().unwrap().test_address().to_string();
    let address = siege.address(VALIDATOR);
    let parts: Vec<String> = address.to_string().split('/').map(str::to_owned).collect();
    let tcp = format!("{}:{}", parts[2], parts[4]);
    let refused = siege.metric(VALIDATOR, REFUSALS);

    // Connections that say nothing, held and renewed while the full node comes from another address.
    let mute = tokio::spawn(async move {
        let mut held = Vec::new();
        loop {
            held.extend(mute_connections(&tcp, 20).await);
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    });
    siege.network.start_member(FULL_NODE);
    let attack = tokio::time::sleep(Duration::from_secs(2));
    siege.during(VALIDATOR, "connections that say nothing", attack).await;
    mute.abort();
    assert!(siege.metric(VALIDATOR, REFUSALS) >= refused + 100.0, "they were let in");

    let mut peers = Vec::new();
    let attack = async {
        let since = Instant::now();
        while peers.len() < PER_IP && since.elapsed() < SOON {
            peers.extend(crowd(&address, siege.chain, 100, LET_IN_WITHIN).await);
        }
        // Once more, when all places are taken.
        crowd(&address, siege.chain, 100, LET_IN_WITHIN).await.len()
    };
    let beyond = siege.during(VALIDATOR, "hundreds of connections", attack).await;
    assert_eq!((peers.len(), beyond), (PER_IP, 0));
    assert_eq!(listed(&siege, VALIDATOR, &here).await, PER_IP);

    // Another address still gets in.
    siege.network.stop_member(FULL_NODE);
    siege.network.start_member(FULL_NODE);
    siege.during(VALIDATOR, "a newcomer beside a crowd", tokio::time::sleep(Duration::from_secs(1))).await;
    assert_eq!(listed(&siege, VALIDATOR, &here).await, PER_IP);

    // Three identities of an address are banned, and then the address is.
    let bans = siege.metric(VALIDATOR, BANS);
    let attack = async {
        for peer in peers.iter_mut().take(3) {
            peer.flood(Topic::Transactions, (0..50).map(|_| garbage(300))).await;
            assert!(peer.remain(SOON).await.is_some(), "it is not thrown out");
        }
    };
    siege.during(VALIDATOR, "three of the crowd that send garbage", attack).await;
    assert_eq!(siege.metric(VALIDATOR, BANS), bans + 3.0);
    drop(peers);
    let since = Instant::now();
    while listed(&siege, VALIDATOR, &here).await > 0 {
        assert!(since.elapsed() < SOON, "they do not leave");
        tokio::task::yield_now().await;
    }
    let again = Peer::connect(&address, siege.chain, SOON).await;
    assert!(matches!(again, Err(NotLetIn::TurnedAway(_))), "a banned address gets in under a new name");
    probe(siege.network.client(FULL_NODE), &siege.messages, SOON).await.unwrap();
}

/// All places that a node has for whoever comes are taken by strangers who do nothing wrong, while the only node that it
/// was told of is away. It goes on calling that one, and nobody takes the place which is there for it.
#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_strangers_surround_still_finds_whom_it_was_told_of() {
    let mut siege = Siege::start("surrounded", Place::Loopback);
    siege.network.start_member(FULL_NODE);
    probe(siege.network.client(FULL_NODE), &siege.messages, SOON).await.unwrap();
    siege.network.stop_member(VALIDATOR);
    let (address, mut strangers) = (siege.address(FULL_NODE), JoinSet::new());
    for from in STRANGERS {
        let detour = detour(&address, from.parse().unwrap()).await;
        let (before, since) = (strangers.len(), Instant::now());
        while strangers.len() < before + PER_IP && since.elapsed() < SOON {
            let missing = before + PER_IP - strangers.len();
            for mut stranger in crowd(&detour, siege.chain, missing, LET_IN_WITHIN).await {
                // It answers what it is asked, listens and says nothing.
                strangers.spawn(async move { stranger.remain(10 * SOON).await });
            }
        }
    }
    assert_eq!(strangers.len(), INCOMING);
    let detour = detour(&address, "127.0.0.6".parse().unwrap()).await;
    let beyond = crowd(&detour, siege.chain, 10, LET_IN_WITHIN).await;
    assert_eq!(beyond.len(), 0, "there is room yet");

    siege.network.start_member(VALIDATOR);
    // What is sent through either of them becomes final.
    siege.during(FULL_NODE, "64 strangers around a node", std::future::ready(())).await;
    let mut listening = 0;
    for from in STRANGERS {
        listening += listed(&siege, FULL_NODE, from).await;
    }
    assert_eq!(listening, INCOMING, "strangers who did nothing wrong have lost their places");
}

/// How many peers of a node come from there.
async fn listed(siege: &Siege, member: usize, ip: &str) -> usize {
    let peers = siege.network.client(member).node_peers().await.unwrap();
    peers.iter().filter(|peer| peer.address.split('/').any(|part| part == ip)).count()
}
