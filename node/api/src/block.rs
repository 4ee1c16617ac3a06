//! Blocks, headers and validators as the RPC tells them.

use crate::Hex;
use sealpost_ledger::certificate::CommitCertificate;
use sealpost_ledger::genesis::Genesis;
use sealpost_ledger::hash::{
    BlockHash, ChainId, HistoryRoot, StateRoot, TransactionId, TransactionRoot, ValidatorsHash,
};
use sealpost_ledger::height::BlockHeight;
use sealpost_ledger::signature::PublicKey;
use sealpost_ledger::validator::{Validator, ValidatorSet, ValidatorSetError};
use serde::de::{self, Deserializer, Unexpected, Visitor};
use serde::{Deserialize, Serialize};
use std::fmt;

/// Names a final block: by height (a number) or by hash (text).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(untagged)]
pub enum BlockId {
    /// Its place in the chain.
    Height(BlockHeight),
    /// Its hash.
    Hash(BlockHash),
}

/// By hand, because the derived one says of every mistake "did not match any variant".
impl<'de> Deserialize<'de> for BlockId {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Either;
        impl Visitor<'_> for Either {
            type Value = BlockId;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a block's height (a number) or its hash (64 hexadecimal digits)")
            }
            fn visit_u64<E: de::Error>(self, height: u64) -> Result<BlockId, E> {
                Ok(BlockId::Height(BlockHeight::new(height)))
            }
            fn visit_str<E: de::Error>(self, text: &str) -> Result<BlockId, E> {
                text.parse().map(BlockId::Hash).map_err(|_| E::invalid_value(Unexpected::Str(text), &self))
            }
        }
        deserializer.deserialize_any(Either)
    }
}

/// A block header and the certificate that made it final.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SealedHeader {
    /// Canonical bytes of the header.
    pub header: Hex,
    /// Canonical bytes of the certificate.
    pub certificate: Hex,
    /// The header, decoded.
    pub view: HeaderView,
}

/// A header's fields.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HeaderView {
    /// The block's hash.
    pub hash: BlockHash,
    /// Format version.
    pub version: u16,
    /// The network.
    pub chain: ChainId,
    /// Place in the chain.
    pub height: BlockHeight,
    /// The proposer's clock, milliseconds since 1970 UTC.
    pub time_ms: u64,
    /// The block before.
    pub parent: BlockHash,
    /// Number of transactions.
    pub transaction_count: u32,
    /// Root over the transactions.
    pub tx_root: TransactionRoot,
    /// Root over all earlier blocks.
    pub history_root: HistoryRoot,
    /// Root of the state after this block.
    pub state_root: StateRoot,
    /// The validators that decided this block.
    pub validators_hash: ValidatorsHash,
    /// The validators that decide the next one.
    pub next_validators_hash: ValidatorsHash,
    /// Expected hashes per KiB.
    pub postage_price: u64,
    /// Who put it together.
    pub proposer: PublicKey,
}

/// A certificate's fields.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CertificateView {
    /// Canonical bytes of the certificate.
    pub certificate: Hex,
    /// Height it is for.
    pub height: BlockHeight,
    /// Block it is for.
    pub block: BlockHash,
    /// Round in which the block was decided, from 0.
    pub round: u32,
    /// Power needed: more than two thirds of the total.
    pub total_power: u64,
    /// Power that signed.
    pub signed_power: u64,
    /// Every validator of that height, and whether it signed.
    pub validators: Vec<Signer>,
}

/// A validator of a height.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Signer {
    /// Its name in the genesis, if it is there.
    pub name: Option<String>,
    /// Its key.
    pub public_key: PublicKey,
    /// Its power.
    pub power: u64,
    /// Whether its signature is in this node's certificate.
    pub signed: bool,
}

impl Signer {
    /// Every validator of a set, with its name in the genesis, and whether it signed a certificate of that set.
    pub fn all(set: &ValidatorSet, certificate: &CommitCertificate, genesis: &Genesis) -> Vec<Self> {
        let signed = |position| certificate.signatures.iter().any(|commit| commit.validator == position);
        let signer = |(position, validator): (u16, &Validator)| Self {
            name: genesis.validator_name(&validator.key).map(Into::into),
            public_key: validator.key,
            power: validator.power,
            signed: signed(position),
        };
        (0..).zip(set.validators()).map(signer).collect()
    }
    /// The power of those that signed.
    pub fn signed_power(signers: &[Self]) -> u64 {
        let signed = signers.iter().filter(|signer| signer.signed);
        signed.fold(0, |sum, signer| sum.saturating_add(signer.power))
    }
}

/// The validators that decide a height.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Validators {
    /// The height.
    pub height: BlockHeight,
    /// Their hash, as in the header.
    pub hash: ValidatorsHash,
    /// The validators, ordered by key.
    pub validators: Vec<NamedValidator>,
    /// The set that is to follow the one in office, if a change is agreed on. Told for the next block only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scheduled: Option<Scheduled>,
}

/// A set that is agreed on and does not decide yet.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Scheduled {
    /// The first height it decides.
    pub effective: BlockHeight,
    /// Its hash.
    pub hash: ValidatorsHash,
    /// The validators, ordered by key.
    pub validators: Vec<NamedValidator>,
}

/// A change of the validators, as the block before it announces it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ValidatorsChanged {
    /// The block whose header names the set as the next one; the set decides from the block after it on.
    pub at: SealedHeader,
    /// The set, ordered by key.
    pub validators: Vec<NamedValidator>,
}

/// A validator.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NamedValidator {
    /// Its name in the genesis, if it is there.
    pub name: Option<String>,
    /// Its key.
    pub public_key: PublicKey,
    /// Its power.
    pub power: u64,
}

impl NamedValidator {
    /// The set that validators form, whatever their names.
    pub fn set(validators: &[Self]) -> Result<ValidatorSet, ValidatorSetError> {
        let validators = validators.iter().map(|v| Validator { key: v.public_key, power: v.power });
        ValidatorSet::new(validators.collect())
    }
}

/// A block and a page of its transactions.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BlockPage {
    /// Header and certificate.
    pub sealed: SealedHeader,
    /// Transactions of this page.
    pub transactions: Vec<TransactionSummary>,
    /// Index at which the next page begins; nothing on the last page.
    pub next: Option<u32>,
}

/// A transaction in a list.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TransactionSummary {
    /// Its id.
    pub id: TransactionId,
    /// Position in its block.
    pub index: u32,
    /// What it does: `message`, `receipt`, `key_bundle`, …
    pub kind: String,
    /// Address of who signed.
    pub sender: String,
    /// Bytes, body included.
    pub bytes: u64,
}

/// Blocks with every transaction in them, for those who must know that nothing is left out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TransactionsPage {
    /// The blocks, the oldest first, without a gap.
    pub blocks: Vec<BlockTransactions>,
    /// Canonical bytes of the certificate of the last of them; empty if there is none.
    pub certificate: Hex,
    /// Height at which the next page begins; nothing if the chain ends here.
    pub next: Option<BlockHeight>,
}

/// A block's header and all of its transactions.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BlockTransactions {
    /// Canonical bytes of the header.
    pub header: Hex,
    /// Canonical bytes of each transaction: header and signature, no body.
    pub transactions: Vec<Hex>,
}
