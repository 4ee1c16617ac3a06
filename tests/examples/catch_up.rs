//! How fast a node catches up, against how fast this machine verifies the same signatures and does nothing
//! else: `cargo run --release -p sealpost-tests --example catch_up -- --blocks 640 --transactions 100`.
//!
//! The blocks come from memory, as if a peer had just sent them; reading, checking, running and writing them
//! is what sync does with every run of blocks, fsync and index included. Prints a table in Markdown.

use sealpost_ledger::address::Address;
use sealpost_ledger::certificate::{CommitCertificate, CommitSignature, VoteKind, vote_digest};
use sealpost_ledger::chain::propose;
use sealpost_ledger::genesis::Genesis;
use sealpost_ledger::hash::{ContentCommit, KeyCommit};
use sealpost_ledger::height::BlockHeight;
use sealpost_ledger::message::{Body, Message, Mode, Slot, SlotRecipient, Suite};
use sealpost_ledger::receipt::receipt_commit;
use sealpost_ledger::signature::{Signed, SigningKey, verify_batch};
use sealpost_ledger::transaction::{Payload, TRANSACTION_VERSION, Transaction, VerifiedTransaction};
use sealpost_node::store::{Store, StoreOptions};
use sealpost_node::sync::apply;
use sealpost_node::wire::EncodedBlock;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Blocks that sync fetches and applies at once.
const RUN: usize = 64;
/// Signatures verified together, as the ledger does it.
const BATCH: usize = 128;

struct Settings {
    blocks: u64,
    transactions: u64,
    validators: u8,
    body_bytes: usize,
}

impl Settings {
    fn read() -> Self {
        let mut settings = Self { blocks: 640, transactions: 100, validators: 4, body_bytes: 300 };
        let mut words = std::env::args().skip(1);
        while let (Some(flag), Some(value)) = (words.next(), words.next()) {
            match flag.as_str() {
                "--blocks" => settings.blocks = value.parse().expect("a number"),
                "--transactions" => settings.transactions = value.parse().expect("a number"),
                "--validators" => settings.validators = value.parse().expect("a number"),
                "--body-bytes" => settings.body_bytes = value.parse().expect("a number"),
                _ => panic!("{flag}: --blocks, --transactions, --validators or --body-bytes is expected"),
            }
        }
        settings
    }
}

fn key(number: u64) -> SigningKey {
    let mut secret = [7; 32];
    secret[..8].copy_from_slice(&number.to_le_bytes());
    SigningKey::from_bytes(&secret).unwrap()
}

fn genesis(validators: &[SigningKey]) -> Arc<Genesis> {
    let named = |(number, key): (usize, &SigningKey)| serde_json::json!({"name": format!("validator {number}"), "public_key": key.public_key(), "power": 1});
    let validators: Vec<_> = validators.iter().enumerate().map(named).collect();
    let json = serde_json::json!({
        "format": "sealpost-genesis/1", "chain_name": "catch-up", "address_prefix": "t", "time_ms": 1000,
        "validators": validators,
        "limits": {"block_bytes": 8_388_608, "body_bytes": 65536, "slots": 4, "expiry_window": 1_000_000},
        "postage": {"floor": 0, "strangers_percent": 100, "member_quota_bytes": 0},
        "timing": {"block_interval_ms": 0, "heartbeat_ms": 1000, "clock_drift_ms": 1000},
        "members": [], "retention_blocks": 0
    });
    Arc::new(Genesis::parse(json.to_string().as_bytes()).unwrap())
}

/// A message of its own sender; encryption is no part of what is measured.
fn message(genesis: &Genesis, number: u64, body_bytes: usize) -> VerifiedTransaction {
    let key = key(1_000_000 + number);
    let body = Body::new(number.to_le_bytes().into_iter().cycle().take(body_bytes).collect::<Vec<_>>());
    let slot = Slot {
        recipient: SlotRecipient::Named { address: Address::new(key.public_key()), bundle: 1 },
        ecies_share: [1; _],
        ml_kem_share: None,
        wrapped_key: [2; _],
        receipt_commit: receipt_commit(&[9; 32]),
    };
    let message = Message {
        suite: Suite::Ecies,
        mode: Mode::Open,
        slots: vec![slot],
        key_commit: KeyCommit::from_bytes([4; 32]),
        content_commit: ContentCommit::from_bytes([5; 32]),
        body_hash: body.hash(),
        body_length: u32::try_from(body_bytes).unwrap(),
    };
    let transaction = Transaction {
        version: TRANSACTION_VERSION,
        chain: genesis.chain_id(),
        sender: Address::new(key.public_key()),
        expiry: BlockHeight::new(900_000),
        payload: Payload::Message(message),
        nonce: 0,
    };
    transaction.sign(&key, &[0; 32]).unwrap().verify(Some(body), genesis).unwrap()
}

/// A chain, as a peer would send it, and every signature in it.
fn chain(
    settings: &Settings,
    keys: &[SigningKey],
    genesis: &Arc<Genesis>,
) -> (Vec<EncodedBlock>, Vec<Signed>) {
    let dir = tempfile::tempdir().unwrap();
    let (store, _) = Store::open(dir.path(), genesis.clone(), StoreOptions::default()).unwrap();
    let (mut blocks, mut signed) = (Vec::new(), Vec::new());
    for number in 0..settings.blocks {
        let first = number * settings.transactions;
        let messages =
            (first..first + settings.transactions).map(|n| message(genesis, n, settings.body_bytes));
        let tip = store.tip();
        let proposal = propose(&tip, &store, messages, 2_000, keys[0].public_key()).unwrap();
        let (height, block) = (tip.next_height(), proposal.block.block().hash());
        assert_eq!(proposal.block.block().transactions().len() as u64, settings.transactions);
        let digest = vote_digest(&genesis.chain_id(), VoteKind::Precommit, height, 0, Some(&block));
        let sign = |key: &SigningKey| {
            let (validator, _) = tip.validators().find(&key.public_key()).unwrap();
            CommitSignature { validator, signature: key.sign(&digest, &[0; 32]).unwrap() }
        };
        let mut signatures: Vec<_> = keys.iter().map(sign).collect();
        signatures.sort_by_key(|signature| signature.validator);
        signed.extend(signatures.iter().map(|s| Signed {
            key: tip.validators().get(s.validator).unwrap().key,
            digest,
            signature: s.signature,
        }));
        signed.extend(proposal.block.block().transactions().iter().map(|t| t.signed()));
        let certificate = CommitCertificate { height, round: 0, block, signatures };
        let committed = proposal.block.commit(certificate.clone()).unwrap();
        blocks.push(EncodedBlock { block: committed.block().to_bytes(), certificate });
        store.append(&committed).unwrap();
    }
    (blocks, signed)
}

/// All signatures on all cores, in batches, and nothing else.
fn verify(signed: &[Signed]) -> Duration {
    let cores = std::thread::available_parallelism().unwrap().get();
    let batches: Vec<_> = signed.chunks(BATCH).collect();
    let next = std::sync::atomic::AtomicUsize::new(0);
    let started = Instant::now();
    std::thread::scope(|threads| {
        for _ in 0..cores {
            threads.spawn(|| {
                while let Some(batch) = batches.get(next.fetch_add(1, std::sync::atomic::Ordering::Relaxed)) {
                    assert!(verify_batch(batch).is_ok());
                }
            });
        }
    });
    started.elapsed()
}

/// All blocks through what sync does with them, into a new store.
fn catch_up(blocks: &[EncodedBlock], genesis: &Arc<Genesis>) -> Duration {
    let dir = tempfile::tempdir().unwrap();
    let (store, _) = Store::open(dir.path(), genesis.clone(), StoreOptions::default()).unwrap();
    let started = Instant::now();
    for run in blocks.chunks(RUN) {
        let applied = apply(&store, run, BlockHeight::GENESIS).unwrap();
        assert!(applied.refused.is_none(), "{:?}", applied.refused);
    }
    let passed = started.elapsed();
    assert_eq!(store.tip().height().get(), blocks.len() as u64);
    passed
}

fn main() {
    let settings = Settings::read();
    let keys: Vec<_> = (0..u64::from(settings.validators)).map(key).collect();
    let genesis = genesis(&keys);
    let (blocks, signed) = chain(&settings, &keys, &genesis);
    // Once before the clock runs: allocator, threads and file system are warm for both.
    verify(&signed[..signed.len().min(1024)]);
    let (pure, caught_up) = (verify(&signed), catch_up(&blocks, &genesis));
    let count = signed.len() as f64;
    let (per_second, kept) = (count / pure.as_secs_f64(), count / caught_up.as_secs_f64());
    let cores = std::thread::available_parallelism().unwrap();
    let bytes: usize = blocks.iter().map(|block| block.block.len()).sum();
    println!(
        "{} blocks of {} messages with bodies of {} bytes, {} MB, {} validators, {cores} cores, {} build.\n",
        settings.blocks,
        settings.transactions,
        settings.body_bytes,
        bytes / 1_000_000,
        settings.validators,
        if cfg!(debug_assertions) { "debug" } else { "release" }
    );
    println!("| | seconds | signatures per second | blocks per second |");
    println!("|---|---|---|---|");
    println!("| verifying the signatures alone | {:.2} | {per_second:.0} | |", pure.as_secs_f64());
    let blocks_per_second = blocks.len() as f64 / caught_up.as_secs_f64();
    println!("| catching up | {:.2} | {kept:.0} | {blocks_per_second:.0} |", caught_up.as_secs_f64());
    println!("| ratio (the goal is at least 0.33) | {:.2} | | |", kept / per_second);
}
