//! The words of gossipsub itself: floods of them, and what a node tells by them of who is behind it.

use super::{FAULTS, FULL_NODE, MALFORMED, SOON, Siege, VALIDATOR};
use sealpost_api::SealpostRpcClient;
use sealpost_ledger::height::BlockHeight;
use sealpost_tests::harness::hostile::{Misuse, Peer, Stream, Topic, Word, published, words};
use sealpost_tests::harness::network::Place;
use std::time::Duration;

/// What gossipsub itself would remember for an hour, without bound (GHSA-vrx6-jcp8-vm7m).
#[tokio::test(flavor = "multi_thread")]
async fn a_flood_of_prune_costs_its_sender_the_place_and_the_node_no_memory() {
    costs_the_place(Word::Prune, "prunes").await;
}

/// What it would work through as long as it comes.
#[tokio::test(flavor = "multi_thread")]
async fn a_flood_of_graft_costs_its_sender_the_place_and_the_node_no_memory() {
    costs_the_place(Word::Graft, "grafts").await;
}

/// In a network of its own: its faults are counted.
async fn costs_the_place(word: Word, name: &str) {
    let mut siege = Siege::start(name, Place::Loopback);
    siege.network.start_member(FULL_NODE);
    let what = format!("100,000 times {word:?}");
    let (flood, before) = (words(word, siege.chain, 100_000), siege.network.peak_memory_kib(VALIDATOR));
    assert_eq!(siege.metric(VALIDATOR, FAULTS), 0.0);
    let attack = siege.until_refused(&what, async |peer| {
        peer.open(Stream::Mesh, Misuse::SendAndStall(flood.clone()));
        assert!(peer.remain(SOON).await.is_some(), "the node bears with {what}");
    });
    siege.during(VALIDATOR, &what, attack).await;
    // It pays as for other things that no honest peer sends: banned after the fourth.
    assert_eq!(siege.metric(VALIDATOR, MALFORMED), 4.0);
    let grown = siege.network.peak_memory_kib(VALIDATOR).saturating_sub(before);
    assert!(grown < 32 * 1024, "the node has grown by {grown} KiB");

    // The neighbour was heard all the time; and a stranger of the same address still is.
    let told = siege.messages.make(BlockHeight::new(1000)).gossiped();
    let mut honest = siege.joins(VALIDATOR).await;
    let flood = honest.flood(Topic::Transactions, [told]).await;
    assert_eq!((flood.sent, flood.thrown_out), (1, None));
    siege.during(VALIDATOR, "an honest peer afterwards", honest.remain(Duration::from_secs(1))).await;
    assert_eq!(siege.metric(VALIDATOR, FAULTS), 4.0);
}

/// What gossipsub bounds by itself. All of each flood was read: what comes behind it on the same stream was.
#[tokio::test(flavor = "multi_thread")]
async fn floods_of_other_words_cost_the_node_no_memory_and_nobody_his_turn() {
    let siege = Siege::start("words", Place::Loopback);
    // What a node needs for its first message and its first peer is none of the floods'.
    let first = siege.joins(VALIDATOR).await;
    siege.during(VALIDATOR, "a peer that says nothing", tokio::time::sleep(Duration::from_secs(1))).await;
    drop(first);
    let before = siege.network.peak_memory_kib(VALIDATOR);
    for word in [Word::Subscribe, Word::IHave, Word::IWant, Word::IDontWant] {
        let last = siege.messages.make(BlockHeight::new(1000));
        let flood = [words(word, siege.chain, 100_000), published(siege.chain, &last.gossiped())].concat();
        let mut peer = Peer::connect_mute(&siege.address(VALIDATOR), siege.chain, SOON).await.unwrap();
        let attack = async {
            peer.open(Stream::Mesh, Misuse::SendAndStall(flood));
            tokio::select! {
                () = siege.is_final(VALIDATOR, &last) => {}
                Some(after) = peer.remain(SOON) => panic!("{word:?}: thrown out after {after:?}"),
            }
        };
        siege.during(VALIDATOR, &format!("100,000 times {word:?}"), attack).await;
    }
    let grown = siege.network.peak_memory_kib(VALIDATOR).saturating_sub(before);
    assert!(grown < 32 * 1024, "the node has grown by {grown} KiB");
}

/// A slow line is nobody's fault: what it could not bring in time others bring.
#[tokio::test(flavor = "multi_thread")]
async fn whoever_does_not_deliver_in_time_what_it_has_is_not_banned_for_it() {
    let siege = Siege::start("undelivered", Place::Loopback);
    let mut peer = Peer::connect_mute(&siege.address(VALIDATOR), siege.chain, SOON).await.unwrap();
    peer.open(Stream::Mesh, Misuse::SendAndStall(words(Word::IHave, siege.chain, 20)));
    // The node waits for three seconds; then it looks ten times at whom it listens to.
    assert_eq!(peer.remain(Duration::from_secs(14)).await, None);
    assert_eq!(siege.metric(VALIDATOR, FAULTS), 0.0);
    let last = siege.messages.make(BlockHeight::new(1000));
    let told = published(siege.chain, &last.gossiped());
    peer.open(Stream::Mesh, Misuse::SendAndStall(told));
    tokio::select! {
        () = siege.is_final(VALIDATOR, &last) => {}
        Some(after) = peer.remain(SOON) => panic!("thrown out after {after:?}"),
    }
}

/// Who listens in hears what is sent and what is final, and not who sent it: not even the node that it was given to.
#[tokio::test(flavor = "multi_thread")]
async fn what_is_gossiped_names_nobody() {
    let siege = Siege::start("listeners", Place::Loopback);
    let mut peer = siege.joins(VALIDATOR).await;
    // What the node is given before it has heard of our wish to listen, it tells others alone.
    let (mut given, mut heard) = (Vec::new(), None);
    while heard.is_none() {
        assert!(given.len() < 12, "nothing of the transactions");
        let message = siege.messages.make(BlockHeight::new(1000));
        let (transaction, body) = (message.transaction.clone(), message.body.clone());
        siege.network.client(VALIDATOR).tx_submit(transaction, Some(body), None).await.unwrap();
        given.push(message.gossiped());
        heard = peer.hears(Topic::Transactions, SOON / 12).await;
    }
    let heard = heard.expect("it was heard");
    assert_eq!((heard.source, heard.sequence_number), (None, None));
    // To the last byte what its author signed.
    assert!(given.contains(&heard.data));
    let block = peer.hears(Topic::Blocks, SOON).await.expect("nothing of the block");
    assert_eq!((block.source, block.sequence_number), (None, None));
}
