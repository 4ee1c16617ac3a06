//! What is measured of final blocks and of refusals.
//!
//! Labels are bounded: kinds and codes come from the sources, validators from the set in office. Nobody's
//! address, identity or IP becomes one.

use crate::mempool::MempoolLimits;
use crate::rpc::SubmissionRefusal;
use crate::store::Store;
use sealpost_ledger::chain::{CommittedBlock, Tip};
use sealpost_ledger::height::BlockHeight;
use sealpost_ledger::receipt::Answer;
use sealpost_ledger::transaction::{Payload, SignedTransaction};
use sealpost_ledger::validator::{Validator, ValidatorSet};
use std::collections::HashSet;
use std::sync::Arc;

/// Hexadecimal digits of the key that stand for a validator whom the genesis does not name.
const SHORT_KEY: usize = 8;

/// Measures one final block after another.
#[derive(Debug)]
pub(super) struct Measuring {
    /// The validators that decide the next block.
    deciding: Arc<ValidatorSet>,
    /// Time of the last block by its header; nothing before the first.
    time_ms: Option<u64>,
}

impl Measuring {
    pub(super) fn new(store: &Store, limits: &MempoolLimits) -> Self {
        metrics::gauge!("sealpost_mempool_limit_transactions").set(limits.count as f64);
        metrics::gauge!("sealpost_mempool_limit_bytes").set(limits.bytes as f64);
        let tip = store.tip();
        let time_ms = (tip.height() > BlockHeight::GENESIS).then(|| tip.time_ms());
        set_powers(&tip, tip.validators());
        Self { deciding: tip.validators().clone(), time_ms }
    }

    /// A block is final and on disk.
    pub(super) fn note(&mut self, committed: &CommittedBlock, store: &Store) {
        let (block, certificate, tip) = (committed.block(), committed.certificate(), committed.tip());
        let header = block.header();
        let signed = certificate.signatures.len();
        tracing::info!(
            height = header.height.get(),
            hash = %block.hash(),
            transactions = header.transaction_count,
            round = certificate.round,
            signed,
            "final"
        );
        let before = self.time_ms.replace(tip.time_ms());
        if let Some(before) = before {
            let seconds = tip.time_ms().saturating_sub(before) as f64 / 1000.0;
            metrics::histogram!("sealpost_consensus_block_interval_seconds").record(seconds);
        }
        // A certificate names positions in the set that decided this height, which a change may just have ended.
        let decided_by = std::mem::replace(&mut self.deciding, tip.validators().clone());
        let signers: HashSet<u16> = certificate.signatures.iter().map(|one| one.validator).collect();
        for (position, validator) in (0_u16..).zip(decided_by.validators()) {
            let name = name(tip, validator);
            if signers.contains(&position) {
                metrics::counter!("sealpost_consensus_validator_signed_total", "validator" => name)
                    .increment(1);
            } else {
                metrics::counter!("sealpost_consensus_validator_missed_total", "validator" => name)
                    .increment(1);
            }
        }
        if decided_by.hash() != self.deciding.hash() {
            set_powers(tip, &decided_by);
        }
        let missing = decided_by.count().saturating_sub(signed);
        let sizes = store.sizes();
        metrics::gauge!("sealpost_consensus_round").set(f64::from(certificate.round));
        metrics::gauge!("sealpost_consensus_validators").set(self.deciding.count() as f64);
        metrics::gauge!("sealpost_consensus_missing_validators").set(missing as f64);
        metrics::gauge!("sealpost_postage_price").set(tip.price() as f64);
        metrics::gauge!("sealpost_journal_bytes", "segment" => "headers").set(sizes.headers_bytes as f64);
        metrics::gauge!("sealpost_journal_bytes", "segment" => "bodies").set(sizes.bodies_bytes as f64);
    }
}

/// Tells who decides with which power; whoever has left has none.
fn set_powers(tip: &Tip, before: &ValidatorSet) {
    for validator in before.validators() {
        metrics::gauge!("sealpost_consensus_validator_power", "validator" => name(tip, validator)).set(0.0);
    }
    for validator in tip.validators().validators() {
        metrics::gauge!("sealpost_consensus_validator_power", "validator" => name(tip, validator))
            .set(validator.power as f64);
    }
}

/// The genesis' name of a validator, or the beginning of its key.
fn name(tip: &Tip, validator: &Validator) -> String {
    match tip.genesis_file().validator_name(&validator.key) {
        Some(name) => name.to_owned(),
        None => validator.key.to_string().chars().take(SHORT_KEY).collect(),
    }
}

/// Counts an answer to a message.
pub(super) fn count_receipt(transaction: &SignedTransaction) {
    if let Payload::Receipt(receipt) = transaction.payload() {
        let kind = match receipt.answer {
            Answer::Opened { .. } => "opened",
            Answer::Refused { .. } => "refused",
        };
        metrics::counter!("sealpost_receipts_total", "kind" => kind).increment(1);
    }
}

/// Counts what is refused, by its code.
pub(super) fn count_refusal(refusal: &SubmissionRefusal) {
    drop(refusal.clone().counted());
}
