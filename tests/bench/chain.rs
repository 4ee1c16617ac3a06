//! A chain without a network: its genesis, and blocks that its validators really sign, written through a node's own
//! store.

use crate::people::WithBody;
use sealpost_ledger::certificate::{CommitCertificate, CommitSignature, VoteKind, vote_digest};
use sealpost_ledger::chain::{CommittedBlock, propose};
use sealpost_ledger::genesis::Genesis;
use sealpost_ledger::signature::SigningKey;
use sealpost_ledger::transaction::verify_all;
use sealpost_node::store::Store;
use std::sync::Arc;

/// A network of these validators whose rules take floods for nothing.
pub(crate) fn genesis(name: &str, validators: &[SigningKey], time_ms: u64) -> Arc<Genesis> {
    let named = |(number, key): (usize, &SigningKey)| serde_json::json!({"name": format!("validator {number}"), "public_key": key.public_key(), "power": 1});
    let validators: Vec<_> = validators.iter().enumerate().map(named).collect();
    let json = serde_json::json!({
        "format": "sealpost-genesis/1", "chain_name": name, "address_prefix": "t", "time_ms": time_ms,
        "validators": validators,
        "limits": {"block_bytes": 8_388_608, "body_bytes": 65536, "slots": 256, "expiry_window": 1_000_000},
        "postage": {"floor": 0, "strangers_percent": 100, "member_quota_bytes": 0},
        "timing": {"block_interval_ms": 0, "heartbeat_ms": 30_000, "clock_drift_ms": 10_000},
        "members": [], "retention_blocks": 0
    });
    Arc::new(Genesis::parse(json.to_string().as_bytes()).expect("a genesis"))
}

/// Adds a block of all these transactions, proposed by the first validator and signed by all.
pub(crate) fn append(
    store: &Store,
    validators: &[SigningKey],
    transactions: Vec<WithBody>,
    time_ms: u64,
) -> CommittedBlock {
    let (count, tip) = (transactions.len(), store.tip());
    let verified = verify_all(transactions, tip.genesis_file()).expect("good transactions");
    let proposal = propose(&tip, store, verified, time_ms, validators[0].public_key()).expect("a proposal");
    let (height, block) = (tip.next_height(), proposal.block.block().hash());
    assert_eq!(proposal.block.block().transactions().len(), count, "{:?}", proposal.refused.first());
    let chain = tip.genesis_file().chain_id();
    let digest = vote_digest(&chain, VoteKind::Precommit, height, 0, Some(&block));
    let sign = |key: &SigningKey| {
        let (validator, _) = tip.validators().find(&key.public_key()).expect("a validator");
        CommitSignature { validator, signature: key.sign(&digest, &[0; 32]).expect("signed") }
    };
    let mut signatures: Vec<_> = validators.iter().map(sign).collect();
    signatures.sort_by_key(|signature| signature.validator);
    let certificate = CommitCertificate { height, round: 0, block, signatures };
    let committed = proposal.block.commit(certificate).expect("a certificate");
    store.append(&committed).expect("stored");
    committed
}
