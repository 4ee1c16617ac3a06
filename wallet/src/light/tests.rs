//! What the light client does when there is no honest node to ask. With honest nodes it is tested in
//! `tests/`.
#![allow(clippy::unwrap_used)]

use super::known::Known;
use super::*;
use crate::testing::genesis;
use proptest::prelude::*;
use sealpost_api::{Hex, MailboxSide, Order};
use sealpost_ledger::hash::{BlockHash, HistoryRoot, StateRoot, TransactionRoot, ValidatorsHash};
use sealpost_ledger::signature::SigningKey;
use std::time::Duration;

fn header(height: u64, time_ms: u64) -> Header {
    Header {
        version: 1,
        chain: genesis().chain_id(),
        height: BlockHeight::new(height),
        time_ms,
        parent: BlockHash::from_bytes([1; 32]),
        transaction_count: 0,
        tx_root: TransactionRoot::from_bytes([2; 32]),
        history_root: HistoryRoot::from_bytes([3; 32]),
        state_root: StateRoot::from_bytes([4; 32]),
        validators_hash: ValidatorsHash::from_bytes([5; 32]),
        next_validators_hash: ValidatorsHash::from_bytes([5; 32]),
        postage_price: 1,
        proposer: SigningKey::development("a proposer").unwrap().public_key(),
    }
}

fn shown(by: &str, header: &Header) -> Statement {
    let header = Hex(sealpost_ledger::codec::encode(header));
    Statement { said_by: by.into(), said_ms: 7, header, certificate: Hex::default() }
}

#[tokio::test]
async fn no_node_is_told_apart_from_a_lying_node() {
    let error = Light::connect("http://127.0.0.1:1", genesis(), HeadFile::in_memory()).await.unwrap_err();
    assert!(matches!(error, LightError::Unreachable { .. }), "{error}");
}

#[test]
fn a_head_file_that_is_none_is_named() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("head.json");
    std::fs::write(&path, "{}").unwrap();
    assert!(HeadFile::load(path).unwrap_err().to_string().contains("head.json"));
    assert!(HeadFile::load(dir.path().join("absent.json")).is_ok());
}

#[test]
fn a_head_file_from_before_validators_changed_is_read() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("head.json");
    std::fs::write(&path, format!("{{\"height\":3,\"block\":\"{}\"}}", "ab".repeat(32))).unwrap();
    let head = HeadFile::load(path).unwrap();
    assert_eq!(head.height(), BlockHeight::new(3));
    assert!(head.known_sets().is_empty());
}

#[test]
fn a_view_is_old_after_three_heartbeats_and_no_less_than_ten_minutes() {
    let (genesis, minute) = (genesis(), 60_000);
    let max_age = usual_max_age(&genesis);
    assert_eq!(max_age, Duration::from_secs(600));
    let head = header(9, 100 * minute);
    assert_eq!(doubts(&head, &genesis, max_age, 110 * minute), None);
    let age = Duration::from_millis(10 * minute + 1);
    assert_eq!(doubts(&head, &genesis, max_age, 110 * minute + 1), Some(Doubt::Old { age, max_age }));
    // A proposer's clock may be ahead a little.
    let drift = u64::from(genesis.timing().clock_drift_ms);
    assert_eq!(doubts(&head, &genesis, max_age, 100 * minute - drift), None);
    let by = Duration::from_millis(drift + 1);
    let behind = doubts(&head, &genesis, max_age, 100 * minute - drift - 1);
    assert_eq!(behind, Some(Doubt::ClockBehind { by }));
}

#[test]
fn another_header_of_a_height_is_a_contradiction_and_the_first_one_stays() {
    let known = Known::new(genesis(), HeadFile::in_memory()).unwrap();
    let (one, other) = (header(3, 1), header(3, 2));
    known.take_in(&one, shown("first", &one)).unwrap();
    known.take_in(&one, shown("again", &one)).unwrap();
    let proof = known.take_in(&other, shown("second", &other)).unwrap_err();
    let text = proof.to_string();
    assert!(text.contains("block 3") && text.contains("first") && text.contains("second"), "{text}");
    assert_eq!(known.header(BlockHeight::new(3)), Some(one));
    // It is read back, and proves nothing: nobody signed it.
    let read = Contradiction::from_json(proof.to_json().as_bytes()).unwrap();
    assert_eq!(read, *proof);
    assert!(matches!(read.verify(&genesis()), Err(NoContradiction::Statement { number: 1, .. })));
}

#[test]
fn a_proof_is_kept_once_and_never_written_over() {
    let dir = tempfile::tempdir().unwrap();
    let (one, other) = (header(3, 1), header(3, 2));
    let proof = |by| Contradiction::new(&genesis(), shown(by, &one), shown("x", &other), None);
    let file = proof("first").keep(dir.path()).unwrap();
    let text = std::fs::read(&file).unwrap();
    assert_eq!(proof("later").keep(dir.path()).unwrap(), file);
    assert_eq!(std::fs::read(&file).unwrap(), text);
}

#[tokio::test]
async fn no_node_and_too_many_are_refused() {
    for count in [0, MAX_NODES + 1] {
        let urls = vec!["http://127.0.0.1:1".to_owned(); count];
        let refused =
            Light::connect_to(&urls, genesis(), HeadFile::in_memory(), LightOptions::default()).await;
        assert_eq!(refused.unwrap_err(), LightError::TooManyNodes { given: count });
    }
}

/// Whoever embeds it may ask from any thread.
#[allow(dead_code)]
fn questions_can_be_sent(light: &Light, address: &Address, proven: &Proven) {
    fn sendable<T: Send>(_: T) {}
    sendable(light.bundle(address));
    sendable(light.list(MailboxSide::Sent, address, Order::NewestFirst, None, 1));
    sendable(light.submit(&proven.transaction, None, WaitFor::Final));
    sendable(light.sync_head());
    sendable(light.block(BlockHeight::FIRST));
}

proptest! {
    #[test]
    fn arbitrary_bytes_are_no_contradiction(bytes: Vec<u8>) {
        prop_assert!(Contradiction::from_json(&bytes).is_err());
    }
}
