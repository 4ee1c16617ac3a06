//! What the tests of this crate build on: keys, a genesis, and transactions that are really signed.
#![allow(clippy::unwrap_used)]

use sealpost_ledger::address::Address;
use sealpost_ledger::genesis::{
    GENESIS_FORMAT, Genesis, GenesisFile, GenesisValidator, Limits, PostageRules, Timing,
};
use sealpost_ledger::height::BlockHeight;
use sealpost_ledger::key_bundle::KeyBundle;
use sealpost_ledger::membership::{ValidatorsChange, validators_approval};
use sealpost_ledger::signature::SigningKey;
use sealpost_ledger::transaction::{Payload, TRANSACTION_VERSION, Transaction, VerifiedTransaction};
use sealpost_ledger::validator::{Validator, ValidatorSet};

pub(crate) fn key(seed: u8) -> SigningKey {
    SigningKey::from_bytes(&[seed; 32]).unwrap()
}

/// A network of these validators, whose idle blocks are an hour apart.
pub(crate) fn genesis(validators: &[SigningKey]) -> Genesis {
    let validators = validators.iter().enumerate().map(|(n, key)| GenesisValidator {
        name: format!("validator-{n}"),
        public_key: key.public_key(),
        power: 1,
    });
    Genesis::new(GenesisFile {
        format: GENESIS_FORMAT.into(),
        chain_name: "test".into(),
        address_prefix: "sealtest".into(),
        time_ms: 1_700_000_000_000,
        validators: validators.collect(),
        limits: Limits { block_bytes: 1 << 20, body_bytes: 64 << 10, slots: 16, expiry_window: 1_000 },
        postage: PostageRules { floor: 0, strangers_percent: 100, member_quota_bytes: 0 },
        timing: Timing { block_interval_ms: 0, heartbeat_ms: 3_600_000, clock_drift_ms: 10_000 },
        members: Vec::new(),
        retention_blocks: 0,
    })
    .unwrap()
}

/// Validators of these seeds and powers.
pub(crate) fn validator_set(validators: &[(u8, u64)]) -> ValidatorSet {
    let validator = |(seed, power): &(u8, u64)| Validator { key: key(*seed).public_key(), power: *power };
    ValidatorSet::new(validators.iter().map(validator).collect()).unwrap()
}

/// A transaction: a change from one set to another, approved by these seeds.
pub(crate) fn validators_change(
    genesis: &Genesis,
    present: &ValidatorSet,
    to: &ValidatorSet,
    effective: u64,
    by: &[u8],
) -> VerifiedTransaction {
    let effective = BlockHeight::new(effective);
    let digest = validators_approval(&genesis.chain_id(), &present.hash(), effective, to.validators());
    let approve = |seed: &u8| {
        let position = present.find(&key(*seed).public_key()).map_or(u16::MAX, |(position, _)| position);
        (position, key(*seed).sign(&digest, &[0; 32]).unwrap())
    };
    let mut approvals: Vec<_> = by.iter().map(approve).collect();
    approvals.sort_by_key(|(position, _)| *position);
    let change = ValidatorsChange { validators: to.validators().to_vec(), effective, approvals };
    sign(genesis, &key(200), BlockHeight::new(500), Payload::Validators(change))
}

/// Signs a payload.
pub(crate) fn sign(
    genesis: &Genesis,
    sender: &SigningKey,
    expiry: BlockHeight,
    payload: Payload,
) -> VerifiedTransaction {
    let transaction = Transaction {
        version: TRANSACTION_VERSION,
        chain: genesis.chain_id(),
        sender: Address::new(sender.public_key()),
        expiry,
        payload,
        nonce: 0,
    };
    transaction.sign(sender, &[7; 32]).unwrap().verify(None, genesis).unwrap()
}

/// A transaction: the `sequence`th key bundle of an identity.
pub(crate) fn key_bundle(
    genesis: &Genesis,
    sender: &SigningKey,
    sequence: u64,
    expiry: BlockHeight,
) -> VerifiedTransaction {
    let mut ecies = [2_u8; 33];
    ecies.split_at_mut(1).1.copy_from_slice(sender.public_key().as_bytes());
    let valid_until = BlockHeight::new(1_000_000);
    sign(
        genesis,
        sender,
        expiry,
        Payload::KeyBundle(KeyBundle { sequence, ecies, ml_kem: None, valid_until }),
    )
}
