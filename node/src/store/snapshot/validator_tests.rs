//! Snapshots of chains whose validators change, and forgers who change them.

#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

use super::super::frame::{Head, Kind, SNAPSHOT_MARK};
use super::super::record::{decode_block, encode_block};
use super::super::testing::{Chain, key};
use super::super::{Store, StoreOptions};
use super::tests::{checked, forged, frames, restored};
use super::*;
use sealpost_ledger::block::{Block, Header, transaction_root};
use sealpost_ledger::certificate::{CommitCertificate, CommitSignature, VoteKind, vote_digest};
use sealpost_ledger::signature::SigningKey;
use sealpost_ledger::transaction::{Payload, SignedTransaction, Transaction};
use sealpost_ledger::validator::{Validator, ValidatorSet};
use tempfile::TempDir;

/// A snapshot of eight blocks: the one validator's power changes with blocks 4 and 6.
fn changing() -> (TempDir, Chain) {
    let (data, out, chain) = (TempDir::new().unwrap(), TempDir::new().unwrap(), Chain::new("changing"));
    let (store, _) = Store::open(data.path(), chain.genesis.clone(), StoreOptions::default()).unwrap();
    for height in 1..=8 {
        let change = match height {
            2 => Some((5, 4)),
            5 => Some((6, 6)),
            _ => None,
        };
        let change = change.map(|(power, at)| chain.power(&store, power, BlockHeight::new(at)));
        store.append(&chain.next(&store, change.into_iter().collect())).unwrap();
    }
    drop(store);
    create(data.path(), &chain.genesis, out.path(), |_, _| {}).unwrap();
    (out, chain)
}

#[test]
fn a_chain_whose_validators_change_is_verified_and_restored() {
    let (out, chain) = changing();
    let report = checked(out.path(), &chain, None).unwrap();
    assert_eq!((report.manifest.height.get(), report.transactions), (8, 2));
    let home = TempDir::new().unwrap();
    let there = home.path().join("data");
    restored(out.path(), &there, &chain, None).unwrap();
    let (store, _) = Store::open(&there, chain.genesis.clone(), StoreOptions::default()).unwrap();
    assert_eq!(store.tip().validators().total_power(), 6);
    assert_eq!(store.validators(BlockHeight::new(5)).unwrap().total_power(), 5);
    store.append(&chain.next(&store, Vec::new())).unwrap();
}

/// Changes block 2 of a snapshot, signs it with a key and leaves out all blocks after it.
fn with_second_block(
    out: &std::path::Path,
    signer: &SigningKey,
    change: impl Fn(&mut Header, &mut Vec<SignedTransaction>),
) -> TempDir {
    forged(out, HEADERS, |bytes| {
        let all = frames(bytes);
        let record = decode_block(&all[1][super::super::frame::HEAD_BYTES..]).unwrap();
        let (mut header, mut transactions) = (record.header, record.transactions);
        change(&mut header, &mut transactions);
        let leaves: Vec<_> = transactions.iter().map(SignedTransaction::leaf).collect();
        header.tx_root = transaction_root(&leaves);
        let block = header.hash();
        let digest = vote_digest(&header.chain, VoteKind::Precommit, header.height, 0, Some(&block));
        let signature = signer.sign(&digest, &[0; 32]).unwrap();
        let signatures = vec![CommitSignature { validator: 0, signature }];
        let certificate = CommitCertificate { height: header.height, round: 0, block, signatures };
        let (payload, _) = encode_block(&Block::new(header, transactions, Vec::new()), &certificate);
        let head = Head::of(SNAPSHOT_MARK, Kind::Block, false, 2, &payload).unwrap();
        *bytes = [all[0].clone(), head.to_bytes(), payload].concat();
    })
}

fn assert_refused(dir: &TempDir, chain: &Chain, expected: &str) {
    let error = checked(dir.path(), chain, None).unwrap_err();
    let SnapshotError::Damaged { height: Some(2), what, .. } = &error else { unreachable!("{error}") };
    assert!(what.contains(expected), "{error}");
}

fn forgers() -> ValidatorSet {
    ValidatorSet::new(vec![Validator { key: key(9).public_key(), power: 1 }]).unwrap()
}

/// The change in block 2, with the forger as the new set and the approvals of the change before.
fn forged_change(transactions: &[SignedTransaction]) -> SignedTransaction {
    let transaction = transactions[0].transaction().clone();
    let Payload::Validators(mut change) = transaction.payload.clone() else { unreachable!() };
    change.validators = forgers().validators().to_vec();
    let payload = Payload::Validators(change);
    let sender = super::super::testing::address(9);
    Transaction { payload, sender, ..transaction }.sign(&key(9), &[0; 32]).unwrap()
}

#[test]
fn a_set_that_the_set_before_did_not_approve_is_refused_whoever_signs_the_block() {
    let (out, chain) = changing();
    let change = |_: &mut Header, transactions: &mut Vec<SignedTransaction>| {
        *transactions = vec![forged_change(transactions)];
    };
    // The forger signs the block itself: it is not in office.
    assert_refused(&with_second_block(out.path(), &key(9), change), &chain, "certificate");
    // Even if those in office sign the block: they did not approve that set.
    assert_refused(&with_second_block(out.path(), &key(1), change), &chain, "change of validators");
}

#[test]
fn a_header_that_announces_a_set_without_a_transaction_is_refused() {
    let (out, chain) = changing();
    let announce = |header: &mut Header, _: &mut Vec<SignedTransaction>| {
        header.next_validators_hash = forgers().hash();
    };
    assert_refused(&with_second_block(out.path(), &key(1), announce), &chain, "no transaction has set");
    // The block as it was, made anew: what is refused above is the forgery, not the making.
    let dir = with_second_block(out.path(), &key(1), |_, _| {});
    let error = checked(dir.path(), &chain, None).unwrap_err().to_string();
    assert!(error.contains("too early"), "{error}");
}
