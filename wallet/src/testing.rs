//! What the tests of this crate build on.
#![allow(clippy::unwrap_used)]

use crate::envelope::BundleSecret;
use crate::keystore::Keystore;
use crate::mnemonic::{Phrase, Words};
use crate::profile::Profile;
use crate::wallet::Wallet;
use sealpost_ledger::block::{BLOCK_VERSION, Header};
use sealpost_ledger::genesis::Genesis;
use sealpost_ledger::hash::{BlockHash, HistoryRoot, StateRoot, TransactionRoot, ValidatorsHash};
use sealpost_ledger::height::BlockHeight;
use sealpost_ledger::signature::SigningKey;
use std::path::PathBuf;
use std::sync::Arc;

/// The development network of the repository.
pub(crate) fn genesis() -> Arc<Genesis> {
    Arc::new(Genesis::parse(include_bytes!("../../genesis.json")).unwrap())
}

/// A block's header that belongs to no chain.
pub(crate) fn header(number: u64) -> Header {
    Header {
        version: BLOCK_VERSION,
        chain: genesis().chain_id(),
        height: BlockHeight::new(number),
        time_ms: number,
        parent: BlockHash::from_bytes([0; 32]),
        transaction_count: 1,
        tx_root: TransactionRoot::from_bytes([0; 32]),
        history_root: HistoryRoot::from_bytes([0; 32]),
        state_root: StateRoot::from_bytes([0; 32]),
        validators_hash: ValidatorsHash::from_bytes([0; 32]),
        next_validators_hash: ValidatorsHash::from_bytes([0; 32]),
        postage_price: 1,
        proposer: SigningKey::from_bytes(&[3; 32]).unwrap().public_key(),
    }
}

/// Wallets on that network, in a folder of their own.
pub(crate) struct Home {
    _dir: tempfile::TempDir,
    profile: Profile,
}

impl Home {
    pub(crate) fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let profile = Profile::create(dir.path(), genesis()).unwrap();
        Self { _dir: dir, profile }
    }
    /// A new wallet with one key bundle.
    pub(crate) fn wallet(&self, name: &str) -> Wallet {
        let words = Phrase::generate(Words::Twelve).unwrap();
        let mut wallet = Wallet::create(self.profile.clone(), name, &words, "correct horse", false).unwrap();
        let mut keystore = Keystore::open(&self.path(name, "keystore.json"), "correct horse").unwrap();
        keystore.change(|secrets| secrets.add(BundleSecret::generate(1).unwrap())).unwrap();
        wallet.refresh().unwrap();
        wallet
    }
    /// The same wallet in another program.
    pub(crate) fn open(&self, name: &str) -> Wallet {
        Wallet::open(self.profile.clone(), name, "correct horse").unwrap()
    }
    /// A file of a wallet.
    pub(crate) fn path(&self, wallet: &str, file: &str) -> PathBuf {
        self.profile.wallet_folder(wallet).unwrap().join(file)
    }
}
