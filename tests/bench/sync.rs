//! How fast a node catches up, against how fast this machine verifies the same signatures and does nothing else. The
//! blocks come from memory, as if a peer had just sent them; reading, checking, running and writing them is what sync
//! does with every run of blocks, fsync and index included.

use crate::chain::{append, genesis};
use crate::people::People;
use crate::report::{Goal, Report, median};
use clap::Args;
use rayon::prelude::*;
use sealpost_ledger::certificate::{CommitCertificate, VoteKind, vote_digest};
use sealpost_ledger::genesis::Genesis;
use sealpost_ledger::height::BlockHeight;
use sealpost_ledger::signature::{Signed, SigningKey, verify_batch};
use sealpost_node::store::{Store, StoreOptions};
use sealpost_node::sync::apply;
use sealpost_node::wire::EncodedBlock;
use std::sync::Arc;
use std::time::Instant;

#[derive(Debug, Args)]
pub(crate) struct Options {
    #[arg(long, default_value_t = 640)]
    blocks: u64,
    /// Messages in each block
    #[arg(long, default_value_t = 100)]
    per_block: u64,
    /// Validators that sign each block
    #[arg(long, default_value_t = 4)]
    validators: u8,
    /// Bytes of each message's encrypted body
    #[arg(long, default_value_t = 250)]
    body_bytes: usize,
    /// Senders, in turn; by default each message has its own
    #[arg(long)]
    people: Option<u64>,
    /// Measurements of each kind, in turns
    #[arg(long, default_value_t = 5)]
    repetitions: usize,
}

/// Blocks that sync applies at once: four answers of a peer.
const RUN: usize = 4 * 64;
/// Signatures verified together when nothing else is done.
const BATCH: usize = 1_024;

pub(crate) fn run(options: &Options) -> Report {
    let keys: Vec<_> = (1..=options.validators).map(|number| key([number; 32])).collect();
    let genesis = genesis("sync", &keys, 1_000);
    let people = People::new(&genesis, options.people.unwrap_or(options.blocks * options.per_block));
    let (blocks, signed) = chain(options, &keys, &genesis, &people);
    let (mut pure, mut caught_up) = (Vec::new(), Vec::new());
    // The first turn warms allocator, threads and file system.
    for turn in 0..=options.repetitions {
        let times = (verify(&signed), catch_up(&blocks, &genesis));
        if turn > 0 {
            pure.push(times.0);
            caught_up.push(times.1);
        }
    }
    let (pure, caught_up) = (median(&mut pure), median(&mut caught_up));
    let (count, bytes) = (signed.len() as f64, blocks.iter().map(|b| b.block.len()).sum::<usize>());
    let mut report = Report::new(format!(
        "Catching up {} blocks of {} messages with bodies of {} bytes, {} MB, {} validators; medians of {}.",
        options.blocks,
        options.per_block,
        options.body_bytes,
        bytes / 1_000_000,
        options.validators,
        options.repetitions
    ));
    report.row("verifying the signatures alone, both cores", count / pure, "per second");
    report.row("catching up: signatures", count / caught_up, "per second");
    report.row("catching up: blocks", blocks.len() as f64 / caught_up, "per second");
    report.goal("ratio of the two", pure / caught_up, "", Goal::AtLeast(0.7));
    report
}

fn key(secret: [u8; 32]) -> SigningKey {
    SigningKey::from_bytes(&secret).expect("a key")
}

/// A chain, as a peer would send it, and every signature in it.
fn chain(
    options: &Options,
    keys: &[SigningKey],
    genesis: &Arc<Genesis>,
    people: &People,
) -> (Vec<EncodedBlock>, Vec<Signed>) {
    let dir = tempfile::tempdir().expect("a folder");
    let (store, _) = Store::open(dir.path(), genesis.clone(), StoreOptions::default()).expect("a store");
    let (mut blocks, mut signed) = (Vec::new(), Vec::new());
    for number in 0..options.blocks {
        let numbers = number * options.per_block..(number + 1) * options.per_block;
        let message = |number| people.message(number, options.body_bytes, BlockHeight::new(900_000));
        let tip = store.tip();
        let committed = append(&store, keys, numbers.into_par_iter().map(message).collect(), 2_000);
        let certificate = committed.certificate().clone();
        let CommitCertificate { height, block, signatures, .. } = &certificate;
        let digest = vote_digest(&genesis.chain_id(), VoteKind::Precommit, *height, 0, Some(block));
        signed.extend(signatures.iter().map(|s| Signed {
            key: tip.validators().get(s.validator).expect("a validator").key,
            digest,
            signature: s.signature,
        }));
        signed.extend(committed.block().transactions().iter().map(|t| t.signed()));
        blocks.push(EncodedBlock { block: committed.block().to_bytes(), certificate });
    }
    (blocks, signed)
}

/// Seconds for all signatures on all cores, in batches, and nothing else.
fn verify(signed: &[Signed]) -> f64 {
    let started = Instant::now();
    signed.par_chunks(BATCH).for_each(|batch| assert!(verify_batch(batch).is_ok()));
    started.elapsed().as_secs_f64()
}

/// Seconds for all blocks through what sync does with them, into a new store.
fn catch_up(blocks: &[EncodedBlock], genesis: &Arc<Genesis>) -> f64 {
    let dir = tempfile::tempdir().expect("a folder");
    let (store, _) = Store::open(dir.path(), genesis.clone(), StoreOptions::default()).expect("a store");
    let started = Instant::now();
    for run in blocks.chunks(RUN) {
        let applied = apply(&store, run, BlockHeight::GENESIS).expect("a store that works");
        assert!(applied.refused.is_none(), "{:?}", applied.refused);
    }
    let passed = started.elapsed().as_secs_f64();
    assert_eq!(store.tip().height().get(), blocks.len() as u64);
    passed
}
