//! What is made of what peers say: whom to ask, whom to believe, who lied.
#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

use super::*;
use crate::store::testing::Chain;
use crate::store::{Store, StoreOptions};
use crate::sync::apply::Refused;
use crate::wire::AnnouncedSet;
use tempfile::TempDir;

const GENESIS: BlockHeight = BlockHeight::GENESIS;

fn peer(name: &str) -> Peer {
    Peer::new(name)
}
fn height(number: u64) -> BlockHeight {
    BlockHeight::new(number)
}
/// Any answer but blocks, a status, a proof.
fn anything() -> Option<Response> {
    Some(Response::Blocks(Vec::new()))
}
fn status() -> Option<Response> {
    Some(Response::Status { height: height(1), oldest: height(1) })
}
/// Where a pursuit begins, with peers that claim so much.
fn pursuit(peers: &[(&str, u64)]) -> Pursuit {
    let mut pursuit = Pursuit::new(changed().0);
    for (name, claimed) in peers {
        pursuit.claimed(peer(name), height(*claimed), BlockHeight::FIRST);
    }
    pursuit
}

/// Where a chain begins whose first block changes its validator's power, and whose second one changes nothing. What each
/// announces.
fn changed() -> (Tip, [AnnouncedSet; 2]) {
    let ([genesis, _], announced) = story("changing");
    (genesis, announced)
}

/// The same of a chain with this name, and where it ends, too.
fn story(name: &str) -> ([Tip; 2], [AnnouncedSet; 2]) {
    let (dir, chain) = (TempDir::new().unwrap(), Chain::new(name));
    let genesis = Tip::genesis(chain.genesis.clone()).unwrap().0;
    let store = Store::open(dir.path(), chain.genesis.clone(), StoreOptions::default()).unwrap().0;
    let change = chain.power(&store, 5, BlockHeight::new(2));
    store.append(&chain.next(&store, vec![change])).unwrap();
    store.append(&chain.next(&store, Vec::new())).unwrap();
    let validators = store.tip().validators().validators().to_vec();
    let announced = [1, 2].map(|height| {
        let (header, certificate) = store.header(BlockHeight::new(height)).unwrap().unwrap();
        AnnouncedSet { at: Announcement { header, certificate }, validators: validators.clone() }
    });
    ([genesis, store.tip()], announced)
}

/// No signature covers the set itself, only the header that has its hash.
#[test]
fn validators_are_believed_if_the_header_names_them_and_those_before_them_signed_it() {
    let (genesis, [change, none]) = changed();
    let mut finality = Finality::new(&genesis);
    let mut others = change.clone();
    others.validators[0].power = 6;
    assert!(!finality.extend(others), "another set than the header's");
    let mut unsigned = change.clone();
    unsigned.at.certificate = none.at.certificate.clone();
    assert!(!finality.extend(unsigned), "another block's certificate");
    assert!(!finality.extend(none.clone()), "signed by validators that are not known yet");
    assert_eq!((finality.proven(), finality.last_change()), (BlockHeight::GENESIS, BlockHeight::GENESIS));
    assert!(finality.extend(change.clone()));
    assert_eq!((finality.proven(), finality.last_change()), (BlockHeight::FIRST, BlockHeight::FIRST));
    assert!(finality.extend(change), "it is known already");
    assert!(!finality.extend(none), "it changes nothing");
}

#[test]
fn a_proof_of_more_changes_than_one_may_have_is_malformed() {
    let (genesis, [change, none]) = changed();
    let mut pursuit = Pursuit::new(genesis);
    let mut told = |count| {
        let proof = Proof { changes: vec![change.clone(); count], head: none.at.clone() };
        pursuit.proved(Some(Response::Proof(Box::new(proof))))
    };
    assert_eq!(told(MAX_CHANGES), None);
    assert_eq!(told(MAX_CHANGES + 1), Some(Fault::Malformed));
}

/// What more there may be is asked for at once, and otherwise nothing before the pause is over.
#[test]
fn after_as_many_changes_as_a_proof_may_have_the_next_is_asked_for_if_they_were_news() {
    let (genesis, [change, none]) = changed();
    let now = Instant::now();
    let asked_after = |known: bool, count| {
        let mut pursuit = Pursuit::new(genesis.clone());
        pursuit.claimed(peer("a"), height(100), height(80));
        assert!(pursuit.questions(now).is_empty(), "planned, and nobody gives them whole");
        assert!(!known || pursuit.finality.extend(change.clone()));
        assert_eq!(pursuit.to_prove(now).len(), 1, "for the first time");
        let proof = Proof { changes: vec![change.clone(); count], head: none.at.clone() };
        assert_eq!(pursuit.proved(Some(Response::Proof(Box::new(proof)))), None);
        pursuit.to_prove(now).len()
    };
    assert_eq!(asked_after(false, MAX_CHANGES), 1);
    assert_eq!(asked_after(false, MAX_CHANGES - 1), 0);
    // Whoever says the same again and again is not asked without a pause.
    assert_eq!(asked_after(true, MAX_CHANGES), 0);
}

#[test]
fn who_is_busy_is_asked_again_when_it_has_rested() {
    let (genesis, _) = changed();
    let (mut pursuit, now) = (Pursuit::new(genesis), Instant::now());
    pursuit.claimed(peer("a"), BlockHeight::new(10), BlockHeight::FIRST);
    let question = pursuit.questions(now).pop().unwrap();
    let late = pursuit.wakes_at(now).unwrap();
    assert_eq!(pursuit.answered(&question, Some(Response::Busy), now), None);
    let rested = pursuit.wakes_at(now).unwrap();
    assert!(rested > now && rested < late && pursuit.questions(now).is_empty());
    assert_eq!(pursuit.questions(rested), [question]);
}

#[test]
fn a_proof_whose_head_nobody_signed_is_a_lie() {
    let (genesis, [change, none]) = changed();
    let mut pursuit = Pursuit::new(genesis);
    let mut head = none.at.clone();
    head.certificate.signatures.clone_from(&change.at.certificate.signatures);
    let proof = Proof { changes: vec![change], head };
    assert_eq!(pursuit.proved(Some(Response::Proof(Box::new(proof)))), Some(Fault::FalseBlock));
    assert_eq!(pursuit.proven(), BlockHeight::FIRST, "the change is signed");
}

#[test]
fn a_final_block_is_looked_for_at_all_who_told_of_it() {
    let (genesis, [change, none]) = changed();
    let (mut pursuit, now) = (Pursuit::new(genesis), Instant::now());
    assert_eq!(pursuit.announced(peer("c"), &none.at), Verdict::Drop, "by validators that are not known yet");
    assert_eq!(pursuit.target(), GENESIS);
    assert_eq!(pursuit.announced(peer("a"), &change.at), Verdict::Forward);
    assert_eq!(pursuit.announced(peer("b"), &change.at), Verdict::Drop);
    assert_eq!((pursuit.target(), pursuit.agreed(), pursuit.proven()), (height(1), height(1), height(1)));
    for name in ["a", "b"] {
        let question = pursuit.questions(now).pop().unwrap();
        assert_eq!(question, Question { peer: peer(name), from: height(1), count: 1 });
        assert_eq!(pursuit.answered(&question, Some(Response::Busy), now), None);
    }
    assert!(pursuit.questions(now).is_empty(), "the third told of nothing that is known to be final");
}

#[test]
fn a_false_announcement_is_nothing_to_go_by() {
    let (genesis, [change, none]) = changed();
    let mut pursuit = Pursuit::new(genesis);
    let mut forged = change.at.clone();
    forged.certificate = none.at.certificate;
    assert_eq!(pursuit.announced(peer("a"), &forged), Verdict::Refuse);
    assert_eq!((pursuit.target(), pursuit.proven()), (GENESIS, GENESIS));
    let ([genesis, _], [elsewhere, _]) = story("another");
    assert_eq!(pursuit.announced(peer("a"), &elsewhere.at), Verdict::Refuse, "of another chain");
    assert!(!pursuit.finality.extend(elsewhere));
    assert_eq!((pursuit.target(), pursuit.proven()), (GENESIS, GENESIS));
    // Old news are nobody's fault, whatever they are signed with.
    let mut pursuit = Pursuit::new(genesis);
    let again = story("another").1[0].at.clone();
    assert_eq!(pursuit.announced(peer("a"), &again), Verdict::Forward);
    assert_eq!(
        pursuit.announced(peer("a"), &Announcement { certificate: forged.certificate, ..again }),
        Verdict::Drop
    );
}

#[test]
fn it_goes_on_where_the_chain_here_has_come_to() {
    let ([genesis, end], [change, _]) = story("changing");
    let mut pursuit = Pursuit::new(genesis.clone());
    let seen = |pursuit: &Pursuit| (pursuit.height(), pursuit.proven(), pursuit.last_change());
    assert_eq!(seen(&pursuit), (GENESIS, GENESIS, GENESIS));
    pursuit.moved(end);
    // It need not know which of these blocks changed the validators.
    assert_eq!(seen(&pursuit), (height(2), height(2), height(2)));
    assert_eq!((pursuit.target(), pursuit.agreed()), (height(2), height(2)));
    // What is known of later validators is not forgotten.
    let mut pursuit = Pursuit::new(genesis.clone());
    assert!(pursuit.finality.extend(change));
    pursuit.moved(genesis);
    assert_eq!(seen(&pursuit), (GENESIS, height(1), height(1)));
}

#[test]
fn what_is_no_answer_to_the_question_is_malformed() {
    let (mut pursuit, now) = (pursuit(&[("a", 10)]), Instant::now());
    let question = pursuit.questions(now).pop().unwrap();
    assert_eq!(pursuit.answered(&question, status(), now), Some(Fault::Malformed));
    assert_eq!(pursuit.polled(&peer("a"), anything()), Some(Fault::Malformed));
    assert_eq!(pursuit.proved(status()), Some(Fault::Malformed));
    for nothing in [Some(Response::Busy), None] {
        assert_eq!(pursuit.polled(&peer("a"), nothing.clone()), None);
        assert_eq!(pursuit.proved(nothing), None);
    }
    assert_eq!(pursuit.target(), height(10), "and changes nothing");
    assert_eq!(pursuit.polled(&peer("a"), status()), None);
    assert_eq!(pursuit.target(), height(1));
}

#[test]
fn who_brought_the_block_that_does_not_hold_is_blamed_and_not_asked_again() {
    let brought = [(3, peer("a")), (5, peer("b"))];
    let refused = |position| {
        let mut pursuit = pursuit(&[("a", 900), ("b", 900)]);
        let refused = Refused { position, reason: String::new(), fault: Fault::FalseBlock };
        let bad = pursuit.applied(&brought, &Applied { committed: Vec::new(), refused: Some(refused) });
        let asked: Vec<_> =
            pursuit.questions(Instant::now()).into_iter().map(|question| question.peer).collect();
        assert!(bad.as_ref().is_none_or(|bad| !asked.contains(bad)));
        bad
    };
    assert_eq!([0, 2, 3, 4].map(refused), ["a", "a", "b", "b"].map(|name| Some(peer(name))));
    assert_eq!(refused(5), None, "nobody brought that one");
    let sound = Applied { committed: Vec::new(), refused: None };
    assert_eq!(pursuit(&[("a", 900)]).applied(&brought, &sound), None);
}

#[test]
fn all_peers_are_asked_in_turn_how_far_they_are() {
    let names = ["a", "b", "c", "d", "e", "f", "g", "h", "i"];
    let polled = |count: usize| {
        let mut pursuit = pursuit(&names.iter().take(count).map(|name| (*name, 1)).collect::<Vec<_>>());
        [(); 3].map(|()| pursuit.to_poll().iter().map(|peer| peer.as_str()).collect::<String>())
    };
    assert_eq!(polled(9), ["abcd", "efgh", "iabc"]);
    assert_eq!(polled(2), ["ab", "ab", "ab"]);
    assert_eq!(polled(0), ["", "", ""]);
}

/// Whoever has left is not there again because its answer was heard late.
#[test]
fn who_has_left_claims_nothing() {
    let mut pursuit = pursuit(&[("a", 10)]);
    pursuit.gone(&peer("a"));
    let late = Response::Status { height: height(u64::MAX), oldest: height(1) };
    assert_eq!(pursuit.polled(&peer("a"), Some(late)), None);
    assert_eq!((pursuit.target(), pursuit.agreed(), pursuit.has_heard()), (GENESIS, GENESIS, false));
}

/// Whoever claims much and proves nothing does not keep those from being asked who can.
#[test]
fn all_who_claim_more_are_asked_for_a_proof_in_turn() {
    let (mut pursuit, mut now) = (Pursuit::new(changed().0), Instant::now());
    for name in ["a", "b", "c", "d", "e"] {
        pursuit.claimed(peer(name), height(100), height(80));
    }
    pursuit.questions(now);
    let mut round = || {
        now += PROVE;
        pursuit.to_prove(now).iter().map(|peer| peer.as_str()).collect::<String>()
    };
    assert_eq!([round(), round(), round()], ["abcd", "eabc", "deab"]);
}

#[test]
fn a_proof_is_asked_of_those_who_can_give_it_and_again_after_a_pause() {
    let (genesis, [change, _]) = changed();
    let (mut pursuit, now) = (Pursuit::new(genesis), Instant::now());
    pursuit.finality.extend(change);
    pursuit.claimed(peer("a"), height(100), height(80));
    pursuit.claimed(peer("b"), height(1), height(80));
    pursuit.questions(now);
    assert_eq!(pursuit.to_prove(now), [peer("a")], "the other claims no more than is proven");
    assert!(pursuit.to_prove(now + PROVE - Duration::from_millis(1)).is_empty());
    assert_eq!(pursuit.to_prove(now + PROVE), [peer("a")]);
}

#[test]
fn what_was_fetched_before_it_stopped_is_fetched_again() {
    let (mut pursuit, now) = (pursuit(&[("a", 10)]), Instant::now());
    assert!(pursuit.has_heard());
    let before = pursuit.questions(now);
    assert_eq!(before.len(), 1);
    pursuit.stop();
    assert_eq!(pursuit.questions(now), before);
}
