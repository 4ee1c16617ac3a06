//! The genesis: what a network agrees on before its first block. Its hash is the chain id, so a node, a
//! wallet or a stranger with another genesis is on another chain.
//!
//! The hash covers the content, not the JSON text: spacing and order of fields don't matter.

use crate::address::{Address, AddressError, AddressPrefix};
use crate::codec::{Encode, encode};
use crate::hash::{ChainId, Tag, tagged};
use crate::signature::PublicKey;
use crate::validator::{Validator, ValidatorSet, ValidatorSetError};
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;
use thiserror::Error;

/// The genesis format of this page.
pub const GENESIS_FORMAT: &str = "sealpost-genesis/1";
/// The name from which [`SigningKey::development`](crate::signature::SigningKey::development) makes the
/// key of the validator in `genesis.json` at the root of the repository. Its secret is public.
pub const DEVELOPMENT_VALIDATOR: &str = "sealpost-dev validator 1";
/// A genesis file is no longer than this, in bytes.
pub const MAX_GENESIS_BYTES: usize = 1024 * 1024;

/// The file as people write it; checked by [`Genesis::new`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Encode)]
#[serde(deny_unknown_fields)]
pub struct GenesisFile {
    /// [`GENESIS_FORMAT`].
    pub format: String,
    /// 1 to 64 lower-case letters, digits or hyphens.
    pub chain_name: String,
    /// Prefix of the network's addresses.
    pub address_prefix: String,
    /// When the network was made, in milliseconds since 1970 UTC.
    pub time_ms: u64,
    /// Who decides the first block.
    pub validators: Vec<GenesisValidator>,
    /// Sizes and windows.
    pub limits: Limits,
    /// Price of sending.
    pub postage: PostageRules,
    /// Rhythm of blocks.
    pub timing: Timing,
    /// Addresses that send within a quota without postage.
    pub members: Vec<String>,
    /// Blocks for which ordinary nodes keep bodies; 0 keeps them for ever.
    pub retention_blocks: u64,
}

/// A founding validator.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Encode)]
#[serde(deny_unknown_fields)]
pub struct GenesisValidator {
    /// For people; 1 to 64 characters.
    pub name: String,
    /// Key that signs votes.
    pub public_key: PublicKey,
    /// Share in decisions.
    pub power: u64,
}

/// Sizes and windows that consensus enforces.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, Encode)]
#[serde(deny_unknown_fields)]
pub struct Limits {
    /// Bytes of transactions and bodies in a block: 64 KiB to 8 MiB.
    pub block_bytes: u32,
    /// Bytes of an encrypted body: 1 KiB to half a block.
    pub body_bytes: u32,
    /// Recipients of a message: 1 to 256.
    pub slots: u16,
    /// How far ahead, in blocks, an expiry may lie, and for how long ids are remembered: 10 to 10,000,000.
    pub expiry_window: u64,
}

/// Price of sending.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, Encode)]
#[serde(deny_unknown_fields)]
pub struct PostageRules {
    /// Lowest price in expected hashes per KiB; 0 makes an idle network free.
    pub floor: u64,
    /// Share of a block, in percent, that senders who are not members may fill together.
    pub strangers_percent: u8,
    /// Bytes per block that a member sends without postage.
    pub member_quota_bytes: u32,
}

/// Rhythm of blocks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, Encode)]
#[serde(deny_unknown_fields)]
pub struct Timing {
    /// Least time between blocks under load, in milliseconds.
    pub block_interval_ms: u32,
    /// Time after which an idle network makes an empty block, in milliseconds.
    pub heartbeat_ms: u32,
    /// How far a proposer's clock may be ahead of a validator's, in milliseconds.
    pub clock_drift_ms: u32,
}

/// A checked genesis.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Genesis {
    file: GenesisFile,
    chain_id: ChainId,
    prefix: AddressPrefix,
    validators: ValidatorSet,
    members: BTreeSet<Address>,
}

/// What is wrong with a genesis.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum GenesisError {
    /// Too long to be one.
    #[error("genesis: {length} bytes, the limit is {MAX_GENESIS_BYTES}")]
    TooLong {
        /// Bytes given.
        length: usize,
    },
    /// Not JSON of the right shape; the reason names line, column and field.
    #[error("genesis: {reason}")]
    Json {
        /// What the parser met.
        reason: String,
    },
    /// A field's value is out of bounds.
    #[error("genesis: {field}: {problem}")]
    Field {
        /// The field, as a path.
        field: String,
        /// What is allowed.
        problem: String,
    },
    /// A member is not an address of this network.
    #[error("genesis: members[{index}]: {source}")]
    Member {
        /// Position in the list.
        index: usize,
        /// Why.
        source: AddressError,
    },
    /// The validators do not form a set.
    #[error("genesis: {0}")]
    Validators(#[from] ValidatorSetError),
}

impl Genesis {
    /// Reads and checks a genesis file.
    pub fn parse(json: &[u8]) -> Result<Self, GenesisError> {
        if json.len() > MAX_GENESIS_BYTES {
            return Err(GenesisError::TooLong { length: json.len() });
        }
        let file = serde_json::from_slice(json).map_err(|e| GenesisError::Json { reason: e.to_string() })?;
        if let Some(part) = list_for_object(json) {
            return Err(GenesisError::Json { reason: format!("{part}: expected an object, found a list") });
        }
        Self::new(file)
    }

    /// Checks every field.
    pub fn new(file: GenesisFile) -> Result<Self, GenesisError> {
        let field = |field: &str, problem: String| GenesisError::Field { field: field.into(), problem };
        if file.format != GENESIS_FORMAT {
            return Err(field("format", format!("{:?}, expected {GENESIS_FORMAT:?}", file.format)));
        }
        let name_char = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
        if !(1..=64).contains(&file.chain_name.len()) || !file.chain_name.bytes().all(name_char) {
            let problem =
                format!("{:?}, expected 1 to 64 lower-case letters, digits or hyphens", file.chain_name);
            return Err(field("chain_name", problem));
        }
        let prefix =
            AddressPrefix::new(&file.address_prefix).map_err(|e| field("address_prefix", e.to_string()))?;
        let within = |name: &str, value: u64, low: u64, high: u64| {
            if (low..=high).contains(&value) {
                return Ok(());
            }
            Err(field(name, format!("{value}, allowed is {low} to {high}")))
        };
        let limits = &file.limits;
        within("limits.block_bytes", limits.block_bytes.into(), 64 << 10, 8 << 20)?;
        within("limits.body_bytes", limits.body_bytes.into(), 1 << 10, u64::from(limits.block_bytes) / 2)?;
        within("limits.slots", limits.slots.into(), 1, 256)?;
        within("limits.expiry_window", limits.expiry_window, 10, 10_000_000)?;
        within("postage.strangers_percent", file.postage.strangers_percent.into(), 1, 100)?;
        within("postage.floor", file.postage.floor, 0, 1 << 40)?;
        within("timing.block_interval_ms", file.timing.block_interval_ms.into(), 0, 60_000)?;
        within("timing.heartbeat_ms", file.timing.heartbeat_ms.into(), 100, 86_400_000)?;
        within("timing.clock_drift_ms", file.timing.clock_drift_ms.into(), 100, 3_600_000)?;
        for (index, validator) in file.validators.iter().enumerate() {
            let length = validator.name.chars().count();
            within(&format!("validators[{index}].name"), length as u64, 1, 64)?;
        }
        let validators = file.validators.iter();
        let validators =
            ValidatorSet::new(validators.map(|v| Validator { key: v.public_key, power: v.power }).collect())?;
        let mut members = BTreeSet::new();
        for (index, text) in file.members.iter().enumerate() {
            let address =
                Address::parse(text, &prefix).map_err(|source| GenesisError::Member { index, source })?;
            if !members.insert(address) {
                return Err(field(&format!("members[{index}]"), "stands there twice".into()));
            }
        }
        let chain_id = ChainId::from_bytes(tagged(Tag::Genesis, &[&encode(&file)]));
        Ok(Self { file, chain_id, prefix, validators, members })
    }

    /// The network's name for machines.
    pub const fn chain_id(&self) -> ChainId {
        self.chain_id
    }
    /// The network's name for people.
    pub fn chain_name(&self) -> &str {
        &self.file.chain_name
    }
    /// Prefix of its addresses.
    pub const fn prefix(&self) -> &AddressPrefix {
        &self.prefix
    }
    /// Founding validators.
    pub const fn validators(&self) -> &ValidatorSet {
        &self.validators
    }
    /// The name a founding validator goes by.
    pub fn validator_name(&self, key: &PublicKey) -> Option<&str> {
        self.file.validators.iter().find(|v| v.public_key == *key).map(|v| v.name.as_str())
    }
    /// Sizes and windows.
    pub const fn limits(&self) -> &Limits {
        &self.file.limits
    }
    /// Bytes of a block that senders who are not members may fill together.
    pub fn strangers_bytes(&self) -> u64 {
        u64::from(self.file.limits.block_bytes) / 100 * u64::from(self.file.postage.strangers_percent)
    }
    /// Price of sending.
    pub const fn postage(&self) -> &PostageRules {
        &self.file.postage
    }
    /// Rhythm of blocks.
    pub const fn timing(&self) -> &Timing {
        &self.file.timing
    }
    /// Blocks for which ordinary nodes keep bodies; 0 for ever.
    pub const fn retention_blocks(&self) -> u64 {
        self.file.retention_blocks
    }
    /// Founding members.
    pub const fn members(&self) -> &BTreeSet<Address> {
        &self.members
    }
    /// When the network was made.
    pub const fn time_ms(&self) -> u64 {
        self.file.time_ms
    }
    /// The file it was made from.
    pub const fn file(&self) -> &GenesisFile {
        &self.file
    }
    /// The file as JSON text.
    pub fn to_json(&self) -> String {
        // Plain strings and numbers: writing them cannot fail.
        let mut text = serde_json::to_string_pretty(&self.file).unwrap_or_default();
        text.push('\n');
        text
    }
}

/// The part of a genesis that lists its fields without their names, if there is one. serde takes that for an
/// object too; the format does not know it, and a person who reads it could not tell what is what.
fn list_for_object(json: &[u8]) -> Option<String> {
    let whole: serde_json::Value = serde_json::from_slice(json).ok()?;
    if whole.is_array() {
        return Some("the file".into());
    }
    let part = |name: &str| whole.get(name).filter(|part| part.is_array()).map(|_| name.to_owned());
    let validators = whole.get("validators").and_then(|list| list.as_array());
    let validator = validators.and_then(|list| list.iter().position(serde_json::Value::is_array));
    let validator = validator.map(|index| format!("validators[{index}]"));
    part("limits").or_else(|| part("postage")).or_else(|| part("timing")).or(validator)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::indexing_slicing)]
mod tests {
    use super::*;
    use crate::signature::SigningKey;
    use crate::testing::genesis_file;
    use proptest::prelude::*;

    /// The file at the root of the repository.
    const ROOT: &str = include_str!("../../genesis.json");

    #[test]
    fn the_file_at_the_root_reads_back_as_it_stands() {
        let genesis = Genesis::parse(ROOT.as_bytes()).unwrap();
        assert_eq!(genesis.to_json(), ROOT);
        assert_eq!((genesis.chain_name(), genesis.prefix().as_str()), ("sealpost-dev", "sealdev"));
        let key = SigningKey::development(DEVELOPMENT_VALIDATOR).unwrap().public_key();
        assert_eq!(genesis.validator_name(&key), Some("validator-1"));
        assert_eq!(genesis.validators().count(), 1);
    }

    #[test]
    fn spacing_does_not_change_the_chain_and_content_does() {
        let genesis = Genesis::parse(ROOT.as_bytes()).unwrap();
        let dense = serde_json::to_string(genesis.file()).unwrap();
        assert_eq!(Genesis::parse(dense.as_bytes()).unwrap().chain_id(), genesis.chain_id());
        let other = ROOT.replace("\"heartbeat_ms\": 30000", "\"heartbeat_ms\": 30001");
        assert_ne!(Genesis::parse(other.as_bytes()).unwrap().chain_id(), genesis.chain_id());
    }

    #[test]
    fn bodies_are_kept_for_as_many_blocks_as_the_file_says() {
        for retention_blocks in [0, 1, 7] {
            let genesis = Genesis::new(GenesisFile { retention_blocks, ..genesis_file() }).unwrap();
            assert_eq!(genesis.retention_blocks(), retention_blocks);
        }
    }

    #[test]
    fn a_wrong_field_is_named() {
        let refused = |change: fn(&mut GenesisFile)| {
            let mut file = genesis_file();
            change(&mut file);
            Genesis::new(file).unwrap_err().to_string()
        };
        assert!(refused(|f| f.format = "x".into()).starts_with("genesis: format: "));
        assert!(refused(|f| f.chain_name = "No".into()).starts_with("genesis: chain_name: "));
        assert!(refused(|f| f.address_prefix = "Seal".into()).starts_with("genesis: address_prefix: "));
        assert!(refused(|f| f.limits.body_bytes = 1 << 30).starts_with("genesis: limits.body_bytes: "));
        assert!(refused(|f| f.limits.slots = 0).starts_with("genesis: limits.slots: "));
        assert!(refused(|f| f.postage.strangers_percent = 101).contains("postage.strangers_percent: 101"));
        assert!(refused(|f| f.validators.clear()).starts_with("genesis: validators: "));
        assert!(refused(|f| f.members = vec!["seal1x".into()]).starts_with("genesis: members[0]: "));
        let unknown = ROOT.replacen("\"format\"", "\"extra\": 1,\n  \"format\"", 1);
        let unknown = Genesis::parse(unknown.as_bytes()).unwrap_err().to_string();
        assert!(unknown.contains("unknown field `extra`") && unknown.contains("line 2"), "{unknown}");
    }

    #[test]
    fn fields_without_their_names_are_refused() {
        let whole: serde_json::Value = serde_json::from_str(ROOT).unwrap();
        let refused = |genesis: &serde_json::Value| {
            Genesis::parse(genesis.to_string().as_bytes()).unwrap_err().to_string()
        };
        for (name, fields) in [
            ("limits", serde_json::json!([1_048_576, 65_536, 256, 100_000])),
            ("postage", serde_json::json!([0, 75, 262_144])),
            ("timing", serde_json::json!([10, 30_000, 30_000])),
        ] {
            let mut genesis = whole.clone();
            genesis[name] = fields;
            assert!(refused(&genesis).contains(&format!("{name}: expected an object")), "{name}");
        }
        let mut genesis = whole.clone();
        let validator = &whole["validators"][0];
        genesis["validators"][0] = serde_json::json!([validator["name"], validator["public_key"], 1]);
        assert!(refused(&genesis).contains("validators[0]: expected an object"));
        let names = "format chain_name address_prefix time_ms validators limits postage timing members \
                     retention_blocks";
        let nameless: serde_json::Value = names.split_whitespace().map(|name| whole[name].clone()).collect();
        assert!(refused(&nameless).contains("the file: expected an object"));
    }

    proptest! {
        #[test]
        fn arbitrary_bytes_do_not_panic(bytes: Vec<u8>) {
            prop_assert!(Genesis::parse(&bytes).is_err());
        }

        #[test]
        fn a_changed_genesis_is_refused_or_reads_back(at in any::<prop::sample::Index>(), byte: u8) {
            let mut file = ROOT.as_bytes().to_vec();
            let at = at.index(file.len());
            file[at] = byte;
            if let Ok(genesis) = Genesis::parse(&file) {
                let again = Genesis::parse(genesis.to_json().as_bytes());
                prop_assert_eq!(again.unwrap().chain_id(), genesis.chain_id());
            }
        }
    }
}
