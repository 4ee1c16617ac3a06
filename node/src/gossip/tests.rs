//! Swarms that really run, on loopback, each with a store of its own.
#![allow(clippy::expect_used, clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

use super::*;
use crate::consensus::testing::{genesis, key, key_bundle};
use crate::store::StoreOptions;
use crate::wire::{Judgement, MAX_IDS, Packer, Request, Response, TransactionBatch, TransactionMessage, Way};
use sealpost_ledger::height::BlockHeight;
use sealpost_ledger::message::Body;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::timeout;

const PATIENCE: Duration = Duration::from_secs(30);

/// A swarm, and the ends of its channels.
struct Swarm {
    listen: Multiaddr,
    told: mpsc::Receiver<ToldTransactions>,
    news: mpsc::Receiver<News>,
    pool: mpsc::Receiver<PoolWish>,
    tell: mpsc::Sender<Tell>,
    ask: mpsc::Sender<Ask>,
    roster: mpsc::Sender<oneshot::Sender<Vec<PeerInfo>>>,
    peers: watch::Receiver<usize>,
    task: tokio::task::JoinHandle<()>,
    stop: CancellationToken,
    _dir: tempfile::TempDir,
}

fn identity(seed: u8) -> Keypair {
    Keypair::ed25519_from_bytes([seed; 32]).unwrap()
}

impl Swarm {
    async fn start(seed: u8, listen: &str, bootstrap: &[&Multiaddr]) -> Self {
        Self::start_with(seed, listen, bootstrap, |_| {}).await
    }
    async fn start_with(
        seed: u8,
        listen: &str,
        bootstrap: &[&Multiaddr],
        change: impl FnOnce(&mut Config),
    ) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let genesis = Arc::new(genesis(&[key(1)]));
        let (store, _) = Store::open(dir.path(), genesis, StoreOptions::default()).unwrap();
        let (told_to, told) = mpsc::channel(64);
        let (news_to, news) = mpsc::channel(64);
        let (pool_of, pool) = mpsc::channel(64);
        let (tell, tell_of) = mpsc::channel(64);
        let (ask, ask_of) = mpsc::channel(64);
        let (_, faults) = mpsc::channel(64);
        let (roster, roster_of) = mpsc::channel(64);
        let stop = CancellationToken::new();
        let mut config = Config {
            identity: identity(seed),
            listen: vec![listen.parse().unwrap()],
            external: Vec::new(),
            bootstrap: bootstrap.iter().copied().cloned().collect(),
            quic: false,
            nat: false,
            relay: false,
            limits: Limits::default(),
            allow: HashSet::new(),
            block: HashSet::new(),
        };
        change(&mut config);
        let wiring = Wiring {
            told: told_to,
            news: news_to,
            pool: pool_of,
            tell: tell_of,
            ask: ask_of,
            faults,
            roster: roster_of,
            stop: stop.clone(),
        };
        let GossipHandle { listen, peers, task } = start(config, store, wiring).await.unwrap();
        let listen = listen[0].clone();
        Self { listen, told, news, pool, tell, ask, roster, peers, task, stop, _dir: dir }
    }
    async fn until_peers(&mut self, count: usize) {
        within(self.peers.wait_for(|peers| *peers == count)).await.unwrap();
    }
    /// Waits until a peer has said how far it is: from then on both know each other's subscriptions.
    async fn until_status(&mut self) -> Peer {
        loop {
            if let News::Status { peer, .. } = within(self.news.recv()).await.unwrap() {
                return peer;
            }
        }
    }
    async fn roster(&self) -> Vec<PeerInfo> {
        let (reply, peers) = oneshot::channel();
        self.roster.send(reply).await.unwrap();
        within(peers).await.unwrap()
    }
    async fn tell(&self, sequence: u64) -> TransactionMessage {
        let message = message(sequence);
        self.tell.send(Tell::Transactions(TransactionBatch::of_one(message.clone()))).await.unwrap();
        message
    }
    /// In a message of its own, whatever else there is to tell.
    async fn rescue(&self, sequence: u64) -> TransactionMessage {
        let message = message(sequence);
        self.tell.send(Tell::Rescued(TransactionBatch::of_one(message.clone()))).await.unwrap();
        message
    }
    async fn hears(&mut self) -> ToldTransactions {
        within(self.told.recv()).await.unwrap()
    }
    async fn stop(self) {
        self.stop.cancel();
        within(self.task).await.unwrap();
    }
}

async fn within<T>(what: impl Future<Output = T>) -> T {
    timeout(PATIENCE, what).await.expect("it does not happen")
}

pub(super) fn message(sequence: u64) -> TransactionMessage {
    let genesis = genesis(&[key(1)]);
    let transaction = key_bundle(&genesis, &key(9), sequence, BlockHeight::new(500)).signed().clone();
    TransactionMessage { transaction, body: None }
}

/// What becomes of a message whose transactions are all new.
const NEW: Judgement = Judgement { new: 1, new_bytes: 1, known: 0, known_bytes: 0, untaken: 0, faulty: 0 };
const KNOWN: Judgement = Judgement { new: 0, new_bytes: 0, known: 1, known_bytes: 1, ..NEW };
const FAULTY: Judgement = Judgement { new: 0, new_bytes: 0, faulty: 1, ..NEW };

impl ToldTransactions {
    /// The only one.
    fn message(&self) -> &TransactionMessage {
        let [one] = &self.transactions[..] else { panic!("{} were told", self.transactions.len()) };
        one
    }
}

const ANY: &str = "/ip4/127.0.0.1/tcp/0";

/// A line of three: the ends know only the middle one, and never find each other.
async fn line() -> (Swarm, Swarm, Swarm) {
    let only = |seed: u8| HashSet::from([identity(seed).public().to_peer_id()]);
    let mut middle = Swarm::start(2, ANY, &[]).await;
    let mut left = Swarm::start_with(1, ANY, &[&middle.listen], |c| c.allow = only(2)).await;
    let mut right = Swarm::start_with(3, ANY, &[&middle.listen], |c| c.allow = only(2)).await;
    middle.until_peers(2).await;
    left.until_status().await;
    right.until_status().await;
    middle.until_status().await;
    middle.until_status().await;
    (left, middle, right)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_transaction_goes_on_only_after_it_was_verified() {
    let (left, mut middle, mut right) = line().await;
    let sent = left.tell(1).await;
    let held = middle.hears().await;
    assert_eq!(*held.message(), sent);
    // Not judged yet, so not forwarded; the next one, judged first, comes through first.
    let second = left.tell(2).await;
    let next = middle.hears().await;
    next.judged.send(NEW).unwrap();
    assert_eq!(*right.hears().await.message(), second);
    held.judged.send(NEW).unwrap();
    assert_eq!(*right.hears().await.message(), sent);
    for swarm in [left, middle, right] {
        swarm.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_refused_goes_nowhere_and_its_sender_is_banned_if_it_insists() {
    let (mut left, mut middle, mut right) = line().await;
    for sequence in 1..=3 {
        left.tell(sequence).await;
        middle.hears().await.judged.send(FAULTY).unwrap();
    }
    left.until_peers(0).await;
    middle.until_peers(1).await;
    // The other neighbour is served as before, and heard nothing of it.
    let sent = middle.tell(9).await;
    assert_eq!(*right.hears().await.message(), sent);
    for swarm in [left, middle, right] {
        swarm.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_missed_while_away_is_asked_for_on_connecting() {
    let mut holder = Swarm::start(1, ANY, &[]).await;
    let mut late = Swarm::start(2, ANY, &[&holder.listen]).await;
    let missed = message(5);
    let id = missed.transaction.id();
    let PoolWish::Ids(reply) = within(holder.pool.recv()).await.unwrap() else {
        panic!("ids are wanted first")
    };
    reply.send(vec![id]).unwrap();
    loop {
        match within(late.pool.recv()).await.unwrap() {
            PoolWish::Missing(ids, reply) => {
                assert_eq!(ids, [id]);
                reply.send(ids).unwrap();
                break;
            }
            PoolWish::Ids(reply) => reply.send(Vec::new()).unwrap(),
            PoolWish::Get(..) => panic!("nothing was offered"),
        }
    }
    loop {
        match within(holder.pool.recv()).await.unwrap() {
            PoolWish::Get(ids, _, reply) => {
                assert_eq!(ids, [id]);
                reply.send(vec![missed.clone()]).unwrap();
                break;
            }
            PoolWish::Missing(ids, reply) => reply.send(ids).unwrap(),
            PoolWish::Ids(reply) => reply.send(Vec::new()).unwrap(),
        }
    }
    let fetched = late.hears().await;
    assert_eq!((fetched.message(), fetched.way), (&missed, Way::Fetched));
    holder.stop().await;
    late.stop().await;
}

/// An answer that names as much as it may does not name everything.
#[tokio::test(flavor = "multi_thread")]
async fn what_waits_behind_a_full_answer_is_asked_for_at_once() {
    /// In each one thing is new. If each were asked for in its turn alone, they would take longer than anybody waits.
    const ANSWERS: u64 = 6;
    let mut holder = Swarm::start(1, ANY, &[]).await;
    let mut late = Swarm::start(2, ANY, &[&holder.listen]).await;
    let all = async {
        let mut fetched = 0;
        while fetched < ANSWERS {
            let next = message(1 + fetched);
            tokio::select! {
                Some(wish) = holder.pool.recv() => match wish {
                    PoolWish::Ids(reply) => reply.send(vec![next.transaction.id(); MAX_IDS]).unwrap(),
                    PoolWish::Get(_, _, reply) => reply.send(vec![next]).unwrap(),
                    PoolWish::Missing(_, reply) => reply.send(Vec::new()).unwrap(),
                },
                Some(wish) = late.pool.recv() => match wish {
                    PoolWish::Missing(ids, reply) => {
                        let new = ids.first().filter(|id| **id == next.transaction.id());
                        reply.send(new.into_iter().copied().collect()).unwrap();
                    }
                    PoolWish::Ids(reply) => reply.send(Vec::new()).unwrap(),
                    PoolWish::Get(..) => panic!("nothing was offered"),
                },
                Some(told) = late.told.recv() => {
                    assert_eq!((told.message(), told.way), (&next, Way::Fetched));
                    fetched += 1;
                    told.judged.send(NEW).unwrap();
                }
            }
        }
    };
    within(all).await;
    holder.stop().await;
    late.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_asked_for_has_room_though_more_is_told_than_there_is_room_for() {
    let mut busy = Swarm::start(1, ANY, &[]).await;
    let mut tells = Swarm::start(2, ANY, &[&busy.listen]).await;
    tells.until_status().await;
    busy.until_status().await;
    // Ten messages of a hundred wait for their verdict, and the eleventh is not taken.
    let mut held = Vec::new();
    for number in 0..11 {
        let mut packer = Packer::default();
        for sequence in 0..100 {
            assert_eq!(packer.add(message(1 + number * 100 + sequence)), None);
        }
        tells.tell.send(Tell::Rescued(packer.finish().unwrap())).await.unwrap();
        if number < 10 {
            held.push(busy.hears().await);
        }
    }
    let missed = message(1_001);
    let id = missed.transaction.id();
    loop {
        tokio::select! {
            Some(wish) = tells.pool.recv() => match wish {
                PoolWish::Ids(reply) => reply.send(vec![id]).unwrap(),
                PoolWish::Get(_, _, reply) => reply.send(vec![missed.clone()]).unwrap(),
                PoolWish::Missing(ids, reply) => reply.send(ids).unwrap(),
            },
            Some(wish) = busy.pool.recv() => match wish {
                PoolWish::Missing(ids, reply) => reply.send(ids).unwrap(),
                PoolWish::Ids(reply) => reply.send(Vec::new()).unwrap(),
                PoolWish::Get(..) => panic!("nothing was offered"),
            },
            Some(fetched) = busy.told.recv() => {
                assert_eq!((fetched.message(), fetched.way), (&missed, Way::Fetched));
                break;
            }
            () = tokio::time::sleep(PATIENCE) => panic!("what was asked for does not come"),
        }
    }
    drop(held);
    tells.stop().await;
    busy.stop().await;
}

/// Bodies that no honest node would tell: judging is left to the tests.
fn long(sequence: u64) -> TransactionMessage {
    TransactionMessage { body: Some(Body::new(vec![7; 30_000])), ..message(sequence) }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_told_at_once_arrives_together_and_in_its_order() {
    let (left, mut middle, mut right) = line().await;
    let [many, large] = [(1..=40).map(message).collect::<Vec<_>>(), (50..=56).map(long).collect()];
    for transactions in [many, large] {
        let mut packer = Packer::default();
        let full = transactions.iter().filter_map(|told| packer.add(told.clone())).collect::<Vec<_>>();
        let batches: Vec<_> = full.into_iter().chain(packer.finish()).collect();
        let wanted = batches.len();
        for batch in batches {
            left.tell.send(Tell::Transactions(batch)).await.unwrap();
        }
        let (mut told, mut passed_on) = (Vec::new(), Vec::new());
        for _ in 0..wanted {
            let batch = middle.hears().await;
            assert_eq!(batch.way, Way::Told);
            told.extend(batch.transactions);
            batch.judged.send(NEW).unwrap();
            passed_on.extend(right.hears().await.transactions);
        }
        assert!(told == transactions && passed_on == transactions);
    }
    for swarm in [left, middle, right] {
        swarm.stop().await;
    }
}

/// All of this was told before the swarm could hand any of it over.
#[tokio::test(flavor = "current_thread")]
async fn what_comes_while_gossip_is_busy_is_packed_and_what_was_rescued_goes_alone() {
    let (left, mut middle, right) = line().await;
    // Nothing else runs here until this task waits.
    for sequence in 1..=5 {
        left.tell.try_send(Tell::Transactions(TransactionBatch::of_one(message(sequence)))).unwrap();
    }
    left.tell.try_send(Tell::Rescued(TransactionBatch::of_one(message(6)))).unwrap();
    left.tell.try_send(Tell::Transactions(TransactionBatch::of_one(message(7)))).unwrap();
    let mut heard = [middle.hears().await.transactions, middle.hears().await.transactions];
    heard.sort_by_key(Vec::len);
    assert_eq!(heard[0], [message(6)]);
    assert_eq!(heard[1], [1, 2, 3, 4, 5, 7].map(message));
    for swarm in [left, middle, right] {
        swarm.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn repetitions_in_other_words_end_at_the_first_that_knows_all_of_it() {
    let (left, mut middle, mut right) = line().await;
    left.tell(1).await;
    middle.hears().await.judged.send(KNOWN).unwrap();
    left.tell(2).await;
    middle.hears().await.judged.send(Judgement { untaken: 1, ..NEW }).unwrap();
    let last = left.tell(3).await;
    middle.hears().await.judged.send(NEW).unwrap();
    assert_eq!(*right.hears().await.message(), last);
    assert!(middle.roster().await.iter().all(|peer| peer.faults == 0));
    for swarm in [left, middle, right] {
        swarm.stop().await;
    }
}

/// A client gave it to two nodes, or both rescued it from the same message.
#[tokio::test(flavor = "multi_thread")]
async fn what_a_node_wanted_to_say_itself_goes_on_though_it_knows_all_of_it() {
    let (left, mut middle, mut right) = line().await;
    let sent = left.tell(1).await;
    let heard = middle.hears().await;
    middle.tell(1).await;
    heard.judged.send(KNOWN).unwrap();
    assert_eq!(*right.hears().await.message(), sent);
    for swarm in [left, middle, right] {
        swarm.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_flood_of_transactions_in_few_messages_is_a_flood() {
    // Twenty at once are looked at, two hundred are forgiven.
    let mut guarded = Swarm::start_with(1, ANY, &[], |c| c.limits.told_per_second = 10).await;
    let mut floods = Swarm::start(2, ANY, &[&guarded.listen]).await;
    floods.until_status().await;
    guarded.until_status().await;
    let tell = |first: u64, count: u64| {
        let mut packer = Packer::default();
        for sequence in first..first + count {
            assert_eq!(packer.add(message(sequence)), None);
        }
        floods.tell.try_send(Tell::Rescued(packer.finish().unwrap())).unwrap();
    };
    tell(1, 20);
    assert_eq!(guarded.hears().await.transactions.len(), 20);
    // One message of a hundred is dropped; more of them than are forgiven even over some seconds are a flood.
    for message in 1..=20 {
        tell(message * 100 + 1, 100);
    }
    floods.until_peers(0).await;
    guarded.until_peers(0).await;
    assert!(guarded.told.try_recv().is_err(), "more than is given was taken");
    for swarm in [guarded, floods] {
        swarm.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_of_many_counts_as_many() {
    let (mut left, mut middle, right) = line().await;
    let many = |from: u64| {
        let mut packer = Packer::default();
        for sequence in from..from + 100 {
            assert_eq!(packer.add(message(sequence)), None);
        }
        packer.finish().unwrap()
    };
    // Ten messages of a hundred wait for their verdict, and the eleventh is not taken; one more transaction is.
    for number in 0..=10 {
        left.tell.send(Tell::Rescued(many(1 + number * 100))).await.unwrap();
    }
    let last = left.tell(2_000).await;
    let mut held = Vec::new();
    for _ in 0..10 {
        held.push(middle.hears().await);
    }
    assert_eq!(*middle.hears().await.message(), last);
    // One message with as many false ones as it takes is enough.
    let worst = held.pop().unwrap();
    drop(held);
    worst.judged.send(Judgement { faulty: 4, ..FAULTY }).unwrap();
    left.until_peers(0).await;
    middle.until_peers(1).await;
    for swarm in [left, middle, right] {
        swarm.stop().await;
    }
}

/// As validators do with each block.
#[tokio::test(flavor = "multi_thread")]
async fn the_same_words_from_several_at_once_are_nobodys_fault() {
    let (left, mut middle, mut right) = line().await;
    for sequence in 1..=20 {
        let sent = left.rescue(sequence).await;
        assert_eq!(middle.rescue(sequence).await, sent);
        assert_eq!(right.rescue(sequence).await, sent);
    }
    // What is told last is heard last: everything before it was judged.
    let last = left.rescue(100).await;
    loop {
        let told = middle.hears().await;
        let is_last = *told.message() == last;
        told.judged.send(NEW).unwrap();
        if is_last {
            break;
        }
    }
    while *right.hears().await.message() != last {}
    for swarm in [&left, &middle, &right] {
        assert!(swarm.roster().await.iter().all(|peer| peer.faults == 0), "{:?}", swarm.roster().await);
    }
    for swarm in [left, middle, right] {
        swarm.stop().await;
    }
}

/// Subscriptions are told once on a peer's first connection: a restarted node whose old connection seems to
/// live at its peer would be mute.
#[tokio::test(flavor = "multi_thread")]
async fn a_restarted_node_with_the_same_identity_is_heard_at_once() {
    let mut stays = Swarm::start(1, ANY, &[]).await;
    for life in 1..=3 {
        let mut restarted = Swarm::start(2, ANY, &[&stays.listen]).await;
        restarted.until_status().await;
        stays.until_status().await;
        let sent = restarted.tell(life).await;
        assert_eq!(*stays.hears().await.message(), sent);
        let sent = stays.tell(100 + life).await;
        assert_eq!(*restarted.hears().await.message(), sent);
        // As a kill does it: nobody is told.
        restarted.task.abort();
        stays.until_peers(0).await;
    }
    stays.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn peers_find_one_another_through_one_address() {
    let first = Swarm::start(1, ANY, &[]).await;
    let mut others = Vec::new();
    for seed in 2..=5 {
        others.push(Swarm::start(seed, ANY, &[&first.listen]).await);
    }
    for swarm in &mut others {
        swarm.until_peers(4).await;
    }
    for swarm in others.into_iter().chain([first]) {
        swarm.stop().await;
    }
}

/// On one thread, which has a recorder of its own.
#[tokio::test]
async fn a_node_that_has_never_had_a_peer_says_that_it_has_none() {
    let recorder = metrics_exporter_prometheus::PrometheusBuilder::new().build_recorder();
    let metrics = recorder.handle();
    let _recorder = metrics::set_default_local_recorder(&recorder);
    let alone = Swarm::start(1, ANY, &[]).await;
    assert!(alone.roster().await.is_empty());
    for direction in ["incoming", "outgoing"] {
        let none = format!("sealpost_peers{{direction=\"{direction}\"}} 0");
        assert!(metrics.render().contains(&none), "{}", metrics.render());
    }
    alone.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bootstrap_address_may_name_a_host_and_no_peer() {
    let first = Swarm::start(1, ANY, &[]).await;
    // Of all that the name stands for, the peer listens at one.
    let port = first.listen.iter().skip(1).take(1);
    let named: Multiaddr = port.fold("/dns/localhost".parse().unwrap(), Multiaddr::with);
    let mut second = Swarm::start(2, ANY, &[&named]).await;
    second.until_peers(1).await;
    second.stop().await;
    first.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn questions_are_answered_and_too_many_of_them_cost_the_asker() {
    // Few enough for a machine that is busy with other things.
    let mut answers = Swarm::start_with(1, ANY, &[], |c| c.limits.asked_per_second = 8).await;
    let mut asks = Swarm::start(2, ANY, &[&answers.listen]).await;
    let peer = asks.until_status().await;
    let question = |request| {
        let (answer, answered) = oneshot::channel();
        (Ask { peer: peer.clone(), request, answer }, answered)
    };
    let (ask, answered) = question(Request::Blocks { from: BlockHeight::FIRST, count: 9 });
    asks.ask.send(ask).await.unwrap();
    assert_eq!(within(answered).await.unwrap(), Some(Response::Blocks(Vec::new())));
    // One after the other, each answered at once: only their number is too much.
    let mut busy = 0;
    for _ in 0..5_000 {
        let (ask, answered) = question(Request::Status);
        asks.ask.send(ask).await.unwrap();
        match within(answered).await.unwrap() {
            Some(Response::Busy) => busy += 1,
            Some(_) => {}
            None => break,
        }
    }
    assert!(busy > 0, "nobody was told to slow down");
    asks.until_peers(0).await;
    answers.until_peers(0).await;
    answers.stop().await;
    asks.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_that_comes_too_late_is_not_the_askers_fault() {
    let slow = Swarm::start_with(1, ANY, &[], |c| c.limits.answer_patience = Duration::from_secs(3)).await;
    let mut asks = Swarm::start(2, ANY, &[&slow.listen]).await;
    // What the slow one asks is answered at once: nothing can be said of what waits here.
    asks.pool.close();
    let peer = asks.until_status().await;
    let question = |request| {
        let (answer, answered) = oneshot::channel();
        (Ask { peer: peer.clone(), request, answer }, answered)
    };
    // Nobody looks into the slow one's pool.
    let (ask, answered) = question(Request::Waiting);
    asks.ask.send(ask).await.unwrap();
    assert_eq!(within(answered).await.unwrap(), None);
    // What is answered on the same connection comes after what was known of the first question there.
    let (ask, answered) = question(Request::Status);
    asks.ask.send(ask).await.unwrap();
    assert!(matches!(within(answered).await.unwrap(), Some(Response::Status { .. })));
    let faults: Vec<_> = slow.roster().await.iter().map(|asker| asker.faults).collect();
    assert_eq!(faults, [0]);
    assert!(!slow.pool.is_empty(), "the question came");
    slow.stop().await;
    asks.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn one_address_gets_no_more_places_than_its_share() {
    let mut guarded = Swarm::start_with(1, ANY, &[], |c| c.limits.per_ip = 3).await;
    let mut crowd = Vec::new();
    for seed in 2..=9 {
        crowd.push(Swarm::start_with(seed, ANY, &[&guarded.listen], |c| c.limits.outgoing = 0).await);
    }
    guarded.until_peers(3).await;
    // Those inside stay, and are the three that it names.
    assert_eq!(guarded.roster().await.len(), 3);
    assert!(guarded.roster().await.iter().all(|peer| peer.incoming));
    for swarm in crowd.into_iter().chain([guarded]) {
        swarm.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn quic_is_spoken_when_it_is_switched_on() {
    let listen = "/ip4/127.0.0.1/udp/0/quic-v1";
    let mut one = Swarm::start_with(1, listen, &[], |c| c.quic = true).await;
    let mut other = Swarm::start_with(2, ANY, &[&one.listen], |c| c.quic = true).await;
    other.until_status().await;
    one.until_status().await;
    let sent = other.tell(1).await;
    assert_eq!(*one.hears().await.message(), sent);
    one.stop().await;
    other.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn two_nodes_behind_routers_talk_through_one_that_relays() {
    let mut relay = Swarm::start_with(1, ANY, &[], |c| {
        c.relay = true;
        c.external = vec!["/ip4/127.0.0.1/tcp/1".parse().unwrap()];
    })
    .await;
    let hidden = Swarm::start_with(2, ANY, &[&relay.listen], |c| c.nat = true).await;
    relay.until_peers(1).await;
    let through: Multiaddr = relay
        .listen
        .clone()
        .with(Protocol::P2pCircuit)
        .with(Protocol::P2p(identity(2).public().to_peer_id()));
    let mut caller = Swarm::start_with(3, ANY, &[&through], |c| {
        c.nat = true;
        c.limits.outgoing = 0;
    })
    .await;
    let peer = loop {
        let peer = caller.until_status().await;
        if peer.as_str() == identity(2).public().to_peer_id().to_string() {
            break peer;
        }
    };
    assert!(caller.roster().await.iter().any(|known| known.peer == peer));
    for swarm in [caller, hidden, relay] {
        swarm.stop().await;
    }
}

#[test]
fn an_address_that_nobody_can_listen_on_is_refused_with_its_form() {
    for address in ["/ip4/127.0.0.1", "/dns4/example.org/tcp/1", "/ip4/127.0.0.1/udp/0/quic-v1"] {
        let refused = check_listen(&address.parse().unwrap(), false).unwrap_err();
        assert!(matches!(refused, GossipError::Address { .. }), "{refused}");
    }
    let used = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("/ip4/127.0.0.1/tcp/{}", used.local_addr().unwrap().port());
    let refused = check_listen(&address.parse().unwrap(), false).unwrap_err();
    assert!(matches!(refused, GossipError::Listen { .. }), "{refused}");
}
