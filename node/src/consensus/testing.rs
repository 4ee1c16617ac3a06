//! What the tests of this crate build on: keys, a genesis, transactions that are really signed, and a
//! store in memory.
#![allow(clippy::unwrap_used)]

use super::Storage;
use sealpost_ledger::address::Address;
use sealpost_ledger::block::Block;
use sealpost_ledger::certificate::CommitCertificate;
use sealpost_ledger::chain::{CommittedBlock, Tip};
use sealpost_ledger::genesis::{
    GENESIS_FORMAT, Genesis, GenesisFile, GenesisValidator, Limits, PostageRules, Timing,
};
use sealpost_ledger::hash::TransactionId;
use sealpost_ledger::height::BlockHeight;
use sealpost_ledger::key_bundle::KeyBundle;
use sealpost_ledger::message::Message;
use sealpost_ledger::signature::SigningKey;
use sealpost_ledger::state::{LedgerView, MemoryState, NodeSource, StateKey, StateRecord, ViewError};
use sealpost_ledger::transaction::{Payload, TRANSACTION_VERSION, Transaction, VerifiedTransaction};
use std::collections::BTreeMap;
use std::convert::Infallible;
use std::sync::{Arc, Mutex};

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
    let transaction = Transaction {
        version: TRANSACTION_VERSION,
        chain: genesis.chain_id(),
        sender: Address::new(sender.public_key()),
        expiry,
        payload: Payload::KeyBundle(KeyBundle { sequence, ecies, ml_kem: None, valid_until }),
        nonce: 0,
    };
    transaction.sign(sender, &[7; 32]).unwrap().verify(None, genesis).unwrap()
}

/// A store in memory; clones share it.
#[derive(Debug, Clone)]
pub(crate) struct MemoryStorage(Arc<Mutex<Contents>>);

#[derive(Debug)]
struct Contents {
    tip: Tip,
    state: MemoryState,
    blocks: BTreeMap<BlockHeight, (Block, CommitCertificate)>,
    proposals: Vec<Block>,
}

impl MemoryStorage {
    pub(crate) fn new(genesis: Genesis) -> Self {
        let (tip, made) = Tip::genesis(Arc::new(genesis)).unwrap();
        let mut state = MemoryState::default();
        state.apply(&made.update, &made.changes);
        let contents = Contents { tip, state, blocks: BTreeMap::new(), proposals: Vec::new() };
        Self(Arc::new(Mutex::new(contents)))
    }
}

impl Storage for MemoryStorage {
    type Error = Infallible;

    fn tip(&self) -> Tip {
        self.0.lock().unwrap().tip.clone()
    }
    fn append(&self, block: &CommittedBlock) -> Result<(), Infallible> {
        let mut contents = self.0.lock().unwrap();
        let verified = block.verified();
        if let Some(update) = verified.update() {
            contents.state.apply(update, verified.changes());
        }
        contents.state.add_transactions(block.block());
        let entry = (block.block().as_ref().clone(), block.certificate().clone());
        contents.blocks.insert(block.block().height(), entry);
        contents.tip = block.tip().clone();
        contents.proposals.clear();
        Ok(())
    }
    fn put_proposal(&self, block: &Block) -> Result<(), Infallible> {
        self.0.lock().unwrap().proposals.push(block.clone());
        Ok(())
    }
    fn proposals(&self, height: BlockHeight) -> Result<Vec<Block>, Infallible> {
        let contents = self.0.lock().unwrap();
        Ok(contents.proposals.iter().filter(|block| block.height() == height).cloned().collect())
    }
    fn decided(&self, height: BlockHeight) -> Result<Option<(Block, CommitCertificate)>, Infallible> {
        Ok(self.0.lock().unwrap().blocks.get(&height).cloned())
    }
}

impl NodeSource for MemoryStorage {
    fn node(&self, key: &[u8]) -> Result<Option<Vec<u8>>, ViewError> {
        self.0.lock().unwrap().state.node(key)
    }
    fn value(&self, version: u64, key_hash: &[u8; 32]) -> Result<Option<Vec<u8>>, ViewError> {
        self.0.lock().unwrap().state.value(version, key_hash)
    }
}

impl LedgerView for MemoryStorage {
    fn record(&self, key: &StateKey) -> Result<Option<StateRecord>, ViewError> {
        self.0.lock().unwrap().state.record(key)
    }
    fn message(&self, id: &TransactionId) -> Result<Option<Message>, ViewError> {
        self.0.lock().unwrap().state.message(id)
    }
    fn is_final(&self, id: &TransactionId) -> Result<bool, ViewError> {
        self.0.lock().unwrap().state.is_final(id)
    }
}
