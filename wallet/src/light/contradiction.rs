//! The proof that a network contradicts itself: two headers, each signed by more than two thirds of the validators of
//! its height, that can't both be true. It is kept as one JSON file, which anybody checks against the genesis alone.

use super::known::Statement;
use sealpost_api::verify::{ValidatorHistory, VerifyError};
use sealpost_api::{Hex, ValidatorsChanged};
use sealpost_ledger::block::{Header, history_leaf};
use sealpost_ledger::certificate::CommitCertificate;
use sealpost_ledger::genesis::Genesis;
use sealpost_ledger::hash::{BlockHash, ChainId};
use sealpost_ledger::height::BlockHeight;
use sealpost_ledger::merkle::{Node, verify_inclusion};
use sealpost_ledger::signature::PublicKey;
use sealpost_ledger::validator::{Validator, ValidatorSet, ValidatorSetError};
use sealpost_terminal::{Exit, Failure, create_private_folder, write_new_file};
use serde::{Deserialize, Serialize};
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use thiserror::Error;

/// The format of this file.
pub const CONTRADICTION_FORMAT: &str = "sealpost-contradiction/1";
/// Longest file read, in bytes.
pub const MAX_CONTRADICTION_BYTES: u64 = 64 << 20;

/// Two certified headers that contradict each other.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Contradiction {
    format: String,
    network: String,
    chain: ChainId,
    /// The lower one first.
    statements: [Certified; 2],
    /// Why headers of different heights contradict each other.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    history: Option<OtherHistory>,
}

/// A header with its certificate, who showed it, and the way from the genesis to those who signed it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Certified {
    said_by: String,
    said_ms: u64,
    header: Hex,
    certificate: Hex,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    validator_changes: Vec<Change>,
}

/// A change of the validators, and the block that announces it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Change {
    /// Canonical bytes of the block's header.
    pub header: Hex,
    /// Canonical bytes of its certificate.
    pub certificate: Hex,
    /// Key and power of each of the new validators.
    pub validators: Vec<(PublicKey, u64)>,
}

/// That the history under the later header has another block where the earlier header stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OtherHistory {
    /// The block there.
    pub block: BlockHash,
    /// Its path, from the leaf upwards.
    pub path: Vec<Hex>,
}

/// What a contradiction shows.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Shown {
    /// Heights of the two headers.
    pub heights: [BlockHeight; 2],
    /// Their hashes.
    pub blocks: [BlockHash; 2],
    /// Who showed them.
    pub said_by: [String; 2],
    /// When, in milliseconds since 1970 UTC.
    pub said_ms: [u64; 2],
    /// The validators that signed both, if both are of one height: more than a third of the power.
    pub signed_both: Vec<PublicKey>,
}

/// Why a file proves no contradiction.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[allow(missing_docs)]
pub enum NoContradiction {
    #[error("format: {found:?}, expected {CONTRADICTION_FORMAT:?}")]
    Format { found: String },
    #[error("{0}")]
    Json(String),
    #[error("it is of chain {found}, the genesis here is of chain {expected}")]
    OtherChain { found: ChainId, expected: ChainId },
    #[error("statement {number}: {source}")]
    Statement { number: usize, source: VerifyError },
    #[error("statement {number}: the validators are no set: {source}")]
    Set { number: usize, source: ValidatorSetError },
    #[error("both statements are the same block")]
    SameBlock,
    #[error("the earlier statement comes first")]
    Order,
    #[error("the headers are of different heights, and nothing shows that their histories differ")]
    NoHistory,
    #[error("the later block's history has no such block there, or the very block of the earlier statement")]
    History,
}

impl Contradiction {
    pub(super) fn new(
        genesis: &Genesis,
        one: Statement,
        other: Statement,
        history: Option<OtherHistory>,
    ) -> Self {
        let statements = [one, other].map(|statement| Certified {
            said_by: statement.said_by,
            said_ms: statement.said_ms,
            header: statement.header,
            certificate: statement.certificate,
            validator_changes: Vec::new(),
        });
        Self {
            format: CONTRADICTION_FORMAT.into(),
            network: genesis.chain_name().into(),
            chain: genesis.chain_id(),
            statements,
            history,
        }
    }
    /// Reads a file's content. It proves nothing before it is verified.
    pub fn from_json(json: &[u8]) -> Result<Self, NoContradiction> {
        let read: Self =
            serde_json::from_slice(json).map_err(|error| NoContradiction::Json(error.to_string()))?;
        if read.format != CONTRADICTION_FORMAT {
            return Err(NoContradiction::Format { found: read.format.chars().take(64).collect() });
        }
        Ok(read)
    }
    /// The file's content.
    pub fn to_json(&self) -> String {
        // Plain strings and numbers: writing them can't fail.
        let mut text = serde_json::to_string_pretty(self).unwrap_or_default();
        text.push('\n');
        text
    }
    /// Checks that it is one, against the genesis alone.
    pub fn verify(&self, genesis: &Arc<Genesis>) -> Result<Shown, NoContradiction> {
        if self.chain != genesis.chain_id() {
            return Err(NoContradiction::OtherChain { found: self.chain, expected: genesis.chain_id() });
        }
        let [one, other] = &self.statements;
        let ((first, first_by), (second, second_by)) = (one.verify(genesis, 1)?, other.verify(genesis, 2)?);
        if first.hash() == second.hash() {
            return Err(NoContradiction::SameBlock);
        }
        let mut signed_both = Vec::new();
        if first.height == second.height {
            signed_both = first_by.into_iter().filter(|key| second_by.contains(key)).collect();
        } else {
            if first.height > second.height {
                return Err(NoContradiction::Order);
            }
            let history = self.history.as_ref().ok_or(NoContradiction::NoHistory)?;
            let path = history.path.iter().map(|node| Node::try_from(node.as_bytes()));
            let path = path.collect::<Result<Vec<_>, _>>().map_err(|_| NoContradiction::History)?;
            let index = first.height.get().saturating_sub(1);
            let (root, leaf) = (second.history_root.as_bytes(), history_leaf(&history.block));
            let holds = verify_inclusion(root, second.history_size(), index, &leaf, &path).is_ok();
            if !holds || history.block == first.hash() {
                return Err(NoContradiction::History);
            }
        }
        Ok(Shown {
            heights: [first.height, second.height],
            blocks: [first.hash(), second.hash()],
            said_by: [one.said_by.clone(), other.said_by.clone()],
            said_ms: [one.said_ms, other.said_ms],
            signed_both,
        })
    }
    /// Writes it into a folder, never over another file, and says where it is. One that is there already is not
    /// written twice.
    pub fn keep(&self, folder: &Path) -> Result<PathBuf, Failure> {
        create_private_folder(folder)?;
        let hash = |certified: &Certified| {
            let header = Header::from_bytes(certified.header.as_bytes());
            let text = header.map_or_else(|_| "unknown".into(), |header| header.hash().to_string());
            text.chars().take(16).collect::<String>()
        };
        let [one, other] = &self.statements;
        let name = format!("{}-{}-{}", self.place().0, hash(one), hash(other));
        // Who said it may differ; what was signed does not.
        let path = folder.join(format!("{name}.json"));
        match write_new_file(&path, self.to_json().as_bytes()) {
            Err(failure) if failure.exit == Exit::Usage => Ok(path),
            written => written.map(|()| path),
        }
    }
    pub(super) fn statements_mut(&mut self) -> &mut [Certified; 2] {
        &mut self.statements
    }
    fn place(&self) -> (BlockHeight, BlockHeight) {
        let [one, other] = &self.statements;
        (one.height(), other.height())
    }
}

impl From<ValidatorsChanged> for Change {
    fn from(change: ValidatorsChanged) -> Self {
        let validators = change.validators.iter().map(|validator| (validator.public_key, validator.power));
        let validators = validators.collect();
        Self { header: change.at.header, certificate: change.at.certificate, validators }
    }
}

impl fmt::Display for Contradiction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (one, other) = self.place();
        let [first, second] = &self.statements;
        if one == other {
            write!(f, "block {one} was signed twice, and differently: {} has shown one", first.said_by)?;
            write!(f, ", {} another", second.said_by)
        } else {
            write!(f, "{} has shown a signed block {one} that is not in the history", first.said_by)?;
            write!(f, " of the signed block {other} that {} has shown", second.said_by)
        }
    }
}

impl Certified {
    /// The header, if its certificate holds, and who signed it.
    fn verify(
        &self,
        genesis: &Arc<Genesis>,
        number: usize,
    ) -> Result<(Header, Vec<PublicKey>), NoContradiction> {
        let statement = |source| NoContradiction::Statement { number, source };
        let mut history = ValidatorHistory::new(genesis.clone());
        for change in &self.validator_changes {
            let validators =
                change.validators.iter().map(|(key, power)| Validator { key: *key, power: *power });
            let set = ValidatorSet::new(validators.collect());
            let set = set.map_err(|source| NoContradiction::Set { number, source })?;
            history.extend_bytes(&change.header, &change.certificate, set).map_err(statement)?;
        }
        let (header, certificate) = self.under(&history).map_err(statement)?;
        let set = history.at(header.height);
        let signers = certificate.signatures.iter().filter_map(|commit| set.get(commit.validator));
        Ok((header, signers.map(|validator| validator.key).collect()))
    }
    pub(super) fn under(
        &self,
        history: &ValidatorHistory,
    ) -> Result<(Header, CommitCertificate), VerifyError> {
        history.verify_bytes(&self.header, &self.certificate)
    }
    pub(super) fn height(&self) -> BlockHeight {
        let header = Header::from_bytes(self.header.as_bytes());
        header.map_or(BlockHeight::GENESIS, |header| header.height)
    }
    pub(super) fn set_changes(&mut self, changes: Vec<Change>) {
        self.validator_changes = changes;
    }
}
