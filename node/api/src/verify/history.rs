//! Who decided which height: the validators of the genesis, and every change since, each signed by the
//! validators before it. Wallets and explorers verify headers with it, and extend it when a header names
//! validators it does not know.

use super::VerifyError;
use crate::{Hex, NamedValidator, SealedHeader, ValidatorsChanged};
use sealpost_ledger::block::Header;
use sealpost_ledger::certificate::CommitCertificate;
use sealpost_ledger::genesis::Genesis;
use sealpost_ledger::height::BlockHeight;
use sealpost_ledger::signature::PublicKey;
use sealpost_ledger::validator::{Validator, ValidatorSet};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::sync::Arc;

/// The validator sets from the genesis on, as far as they were verified.
#[derive(Debug, Clone)]
pub struct ValidatorHistory {
    genesis: Arc<Genesis>,
    /// By the first height that they decide; the genesis' own are there from the start.
    sets: BTreeMap<BlockHeight, Arc<ValidatorSet>>,
}

/// A set that was verified before and kept, to be read again by whoever kept it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KnownSet {
    /// The first height it decides.
    pub effective: BlockHeight,
    /// Key and power of each validator.
    pub validators: Vec<(PublicKey, u64)>,
}

impl ValidatorHistory {
    /// Begins with the genesis.
    pub fn new(genesis: Arc<Genesis>) -> Self {
        let founders = Arc::new(genesis.validators().clone());
        Self { sets: BTreeMap::from([(BlockHeight::FIRST, founders)]), genesis }
    }
    /// Takes in what [`known`](Self::known) gave before. Only for what was kept in a safe place: nothing in
    /// it is signed.
    pub fn restore(&mut self, known: &[KnownSet]) -> Result<(), VerifyError> {
        for KnownSet { effective, validators } in known {
            let validators = validators.iter().map(|(key, power)| Validator { key: *key, power: *power });
            let set = ValidatorSet::new(validators.collect())?;
            if *effective <= self.newest().0 {
                return Err(VerifyError::ChangeOrder);
            }
            self.sets.insert(*effective, Arc::new(set));
        }
        Ok(())
    }
    /// The sets after the genesis' own, to be kept.
    pub fn known(&self) -> Vec<KnownSet> {
        let changes = self.sets.range(BlockHeight::FIRST.saturating_add(1)..);
        let set = |(effective, set): (&BlockHeight, &Arc<ValidatorSet>)| KnownSet {
            effective: *effective,
            validators: set.validators().iter().map(|v| (v.key, v.power)).collect(),
        };
        changes.map(set).collect()
    }
    /// The set that decides a height, if no change is missing here.
    pub fn at(&self, height: BlockHeight) -> &ValidatorSet {
        self.sets.range(..=height).next_back().map_or(self.genesis.validators(), |(_, set)| set)
    }
    /// The block that announced the newest set known; changes after it are to be asked for.
    pub fn last_change(&self) -> BlockHeight {
        self.newest().0.saturating_sub(1)
    }
    /// A header that more than two thirds of the validators of its height made final.
    ///
    /// # Errors
    /// [`VerifyError::UnknownValidators`] if it names a set that no change known here leads to: then a
    /// change may be missing, or the header is forged.
    pub fn verify_header(&self, sealed: &SealedHeader) -> Result<(Header, CommitCertificate), VerifyError> {
        self.verify_bytes(&sealed.header, &sealed.certificate)
    }
    /// The same, of canonical bytes alone.
    pub fn verify_bytes(
        &self,
        header: &Hex,
        certificate: &Hex,
    ) -> Result<(Header, CommitCertificate), VerifyError> {
        let header = Header::from_bytes(header.as_bytes())?;
        let certificate = CommitCertificate::from_bytes(certificate.as_bytes())?;
        if header.chain != self.genesis.chain_id() {
            return Err(VerifyError::OtherChain);
        }
        let (height, found, set) = (header.height, header.validators_hash, self.at(header.height));
        if found != set.hash() {
            return Err(VerifyError::UnknownValidators { height, found });
        }
        certificate.verify(&header.chain, height, &header.hash(), set)?;
        Ok((header, certificate))
    }
    /// Adds the next change: its block's header, signed by the set before, must announce that set.
    pub fn extend(&mut self, change: &ValidatorsChanged) -> Result<(), VerifyError> {
        let set = NamedValidator::set(&change.validators)?;
        self.extend_bytes(&change.at.header, &change.at.certificate, set)
    }
    /// The same, of canonical bytes alone.
    pub fn extend_bytes(
        &mut self,
        header: &Hex,
        certificate: &Hex,
        set: ValidatorSet,
    ) -> Result<(), VerifyError> {
        let (header, _) = self.verify_bytes(header, certificate)?;
        let effective = header.height.saturating_add(1);
        let (newest, present) = self.newest();
        if effective <= newest {
            return Err(VerifyError::ChangeOrder);
        }
        if header.next_validators_hash != set.hash() || set == *present {
            return Err(VerifyError::OtherChange);
        }
        self.sets.insert(effective, Arc::new(set));
        Ok(())
    }
    fn newest(&self) -> (BlockHeight, &ValidatorSet) {
        let newest = self.sets.last_key_value();
        newest.map_or((BlockHeight::FIRST, self.genesis.validators()), |(height, set)| (*height, set))
    }
}
