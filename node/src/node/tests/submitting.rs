//! Many transactions in one call, over HTTP and over a WebSocket with several calls under way.

use super::*;
use futures::future::join_all;
use jsonrpsee::http_client::HttpClientBuilder;
use sealpost_api::{MAX_SUBMISSIONS, NewTransaction, SubmissionAnswer};
use sealpost_ledger::hash::TransactionId;

/// The first key bundle of an identity, as it is submitted.
fn bundle(genesis: &Genesis, seed: u8) -> (NewTransaction, TransactionId) {
    let bundle = key_bundle(genesis, &key(seed), 1, BlockHeight::new(100));
    (NewTransaction::new(bundle.signed(), None), bundle.id())
}

/// The id and status of what was taken, or the code of what was not.
fn outcome(answer: &SubmissionAnswer) -> Result<(TransactionId, &TransactionStatus), &str> {
    match answer {
        SubmissionAnswer::Taken(taken) => Ok((taken.id, &taken.status)),
        SubmissionAnswer::Refused { error } => Err(&error.code),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn each_of_many_is_answered_by_itself_in_its_order() {
    let (dir, genesis) = network();
    let node = Running::start(dir.path(), &genesis).await;
    let (mut many, mut ids): (Vec<_>, Vec<_>) = (10..30).map(|seed| bundle(&genesis, seed)).unzip();
    let skipping = key_bundle(&genesis, &key(40), 2, BlockHeight::new(100));
    let foreign = key_bundle(&genesis_of_another_network(), &key(41), 1, BlockHeight::new(100));
    let refused = [
        (3, Hex(vec![1, 2, 3]), "input.malformed"),
        (9, Hex(skipping.signed().to_bytes()), "bundle.sequence"),
        (15, Hex(foreign.signed().to_bytes()), "tx.other_chain"),
    ];
    for (place, transaction, _) in &refused {
        many.insert(*place, NewTransaction { transaction: transaction.clone(), body: None });
        // Nobody's: it stands for an answer that names none.
        ids.insert(*place, TransactionId::from_bytes([0; 32]));
    }
    let answers = node.client.tx_submit_many(many, Some(WaitFor::Final)).await.unwrap();
    assert_eq!(answers.len(), ids.len());
    for (place, answer) in answers.iter().enumerate() {
        match (outcome(answer), refused.iter().find(|(at, ..)| *at == place)) {
            (Err(code), Some((.., expected))) => assert_eq!(code, *expected),
            (Ok((id, TransactionStatus::Final(_))), None) => assert_eq!(id, ids[place]),
            (other, _) => panic!("{place}: {other:?}"),
        }
    }
    node.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_submitted_again_or_twice_is_final_in_one_place() {
    let (dir, genesis) = network();
    let node = Running::start(dir.path(), &genesis).await;
    let (new, id) = bundle(&genesis, 10);
    let twice = vec![new.clone(), new.clone()];
    let mut places = Vec::new();
    for _ in 0..2 {
        let answers = node.client.tx_submit_many(twice.clone(), Some(WaitFor::Final)).await.unwrap();
        for answer in &answers {
            let Ok((found, TransactionStatus::Final(place))) = outcome(answer) else { panic!("{answer:?}") };
            assert_eq!(found, id);
            places.push((place.height, place.index));
        }
    }
    assert_eq!(places, vec![places[0]; 4]);
    // Who does not wait hears of what is final all the same.
    let answers = node.client.tx_submit_many(vec![new], None).await.unwrap();
    assert!(matches!(outcome(&answers[0]), Ok((_, TransactionStatus::Final(_)))), "{answers:?}");
    node.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_waits_for_acceptance_only_finds_all_of_it_final_later() {
    let (dir, genesis) = network();
    let node = Running::start(dir.path(), &genesis).await;
    let (many, ids): (Vec<_>, Vec<_>) = (10..60).map(|seed| bundle(&genesis, seed)).unzip();
    let answers = node.client.tx_submit_many(many, Some(WaitFor::Accepted)).await.unwrap();
    let taken: Vec<_> = answers.iter().map(|answer| outcome(answer).unwrap().0).collect();
    assert_eq!(taken, ids);
    for id in ids {
        let mut steps = node.client.tx_subscribe_status(id).await.unwrap();
        while !matches!(steps.next().await.unwrap().unwrap(), TransactionStatus::Final(_)) {}
    }
    node.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn more_than_a_call_may_hold_are_refused_and_none_of_them_is_taken() {
    let (dir, genesis) = network();
    let node = Running::start(dir.path(), &genesis).await;
    let (new, id) = bundle(&genesis, 10);
    let most = MAX_SUBMISSIONS as usize;
    let refused = node.client.tx_submit_many(vec![new.clone(); most + 1], None).await.unwrap_err();
    assert_eq!(ApiError::from_client(&refused).unwrap().code, "input.limit");
    assert_eq!(node.client.tx_status(id).await.unwrap(), TransactionStatus::Unknown);
    assert_eq!(node.client.tx_submit_many(vec![new; most], None).await.unwrap().len(), most);
    assert_eq!(node.client.tx_submit_many(Vec::new(), None).await.unwrap(), []);
    node.stop().await;
}

/// One connection, and several calls on it before the first is answered.
#[tokio::test(flavor = "multi_thread")]
async fn several_calls_under_way_get_each_its_own_answers() {
    let (dir, genesis) = network();
    let node = Running::start(dir.path(), &genesis).await;
    let http = HttpClientBuilder::default().build(&node.url).unwrap();
    let calls = |seeds: std::ops::Range<u8>| -> Vec<(Vec<_>, Vec<_>)> {
        let seeds: Vec<u8> = seeds.collect();
        let call = |seeds: &[u8]| seeds.iter().map(|seed| bundle(&genesis, *seed)).unzip();
        seeds.chunks(20).map(call).collect()
    };
    let check = |answers: Vec<SubmissionAnswer>, ids: Vec<TransactionId>| {
        let taken: Vec<_> = answers.iter().map(|answer| outcome(answer).unwrap().0).collect();
        assert_eq!(taken, ids);
        assert!(answers.iter().all(|a| matches!(outcome(a), Ok((_, TransactionStatus::Final(_))))));
    };
    let over_socket = join_all(calls(10..110).into_iter().map(async |(many, ids)| {
        check(node.client.tx_submit_many(many, Some(WaitFor::Final)).await.unwrap(), ids);
    }));
    let over_http = join_all(calls(110..190).into_iter().map(async |(many, ids)| {
        check(http.tx_submit_many(many, Some(WaitFor::Final)).await.unwrap(), ids);
    }));
    futures::join!(over_socket, over_http);
    node.stop().await;
}

/// Nobody decides blocks here: what is taken in stays in the mempool.
#[tokio::test(flavor = "multi_thread")]
async fn what_there_is_no_room_for_is_refused_unread_unless_a_member_says_to_have_signed_it() {
    let (dir, genesis) = network();
    let (member, genesis) = (20, with_members(&genesis, &[20]));
    let mempool = MempoolLimits { count: 4, ..MempoolLimits::default() };
    let node = Running::run(Config { consensus: None, mempool, ..config(dir.path(), &genesis) }).await;
    let submit = async |new: NewTransaction| {
        let answers = node.client.tx_submit_many(vec![new], None).await.unwrap();
        outcome(&answers[0]).map(|(id, status)| (id, status.clone())).map_err(str::to_owned)
    };
    // Who has signed it can be told, and nothing else.
    let unreadable = |seed| {
        let (mut new, _) = bundle(&genesis, seed);
        new.transaction.0.truncate(80);
        new
    };
    for seed in 10..13 {
        assert_eq!(submit(unreadable(seed)).await.unwrap_err(), "input.malformed");
        let (new, id) = bundle(&genesis, seed);
        assert_eq!(submit(new).await, Ok((id, TransactionStatus::Accepted)));
    }
    assert_eq!(submit(unreadable(13)).await.unwrap_err(), "mempool.full");
    assert_eq!(submit(unreadable(member)).await.unwrap_err(), "input.malformed");
    for seed in [10, member] {
        let (new, id) = bundle(&genesis, seed);
        assert_eq!(submit(new).await, Ok((id, TransactionStatus::Accepted)));
    }
    node.stop().await;
}
