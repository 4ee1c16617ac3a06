//! Evidence: one file by which a stranger checks, offline and with nothing but the genesis, who sent a
//! message, in which final block it stands, and how it was answered.
//!
//! The file holds nothing that is not checked. Every field is compared with something that two thirds of
//! the validators signed, and the text is accepted in its one canonical spelling only. So no changed byte
//! makes a file say what is not true, and all but one kind are refused: one proof of absence can hold for
//! several entries, so that `absences[].slot` with a digit changed can name another named slot that was
//! not answered up to that block either. Such a file makes another statement, which is as true.
//!
//! ```text
//!  from_json ─► Evidence ─► check(genesis) ─► Findings
//!   (format.rs)             (check.rs)        (findings.rs): what each fact shows, and what it doesn't
//! ```
//!
//! Blocks are referred to by height, not by their place in the list: a person who reads the file sees at
//! once which block is meant, and the references stay right when blocks are added.

mod answers;
mod check;
mod findings;
mod format;
mod refusal;
mod select;
#[cfg(test)]
mod tests;

pub use answers::{MAX_CONTENT_BYTES, MAX_LETTER_ENTRIES};
pub use findings::{Commit, Finding, FindingLine, Findings, KeyStanding, Place, SealedAnswer};
pub use format::{EVIDENCE_FORMAT, MAX_EVIDENCE_BYTES, NotEvidence};
pub use refusal::{EvidencePart, EvidenceRefusal};
pub use select::SlotPart;

use crate::author::AuthorBlock;
use crate::block::Header;
use crate::certificate::CommitCertificate;
use crate::hash::ChainId;
use crate::height::BlockHeight;
use crate::merkle::Node;
use crate::message::Body;
use crate::state::{BundleRecord, StateProof};
use crate::transaction::SignedTransaction;
use crate::validator::ValidatorSet;
use thiserror::Error;

/// What an evidence file holds. The parts are public so that a node can fill them from its store and a
/// wallet can add body and disclosure; only [`Evidence::check`] says whether they hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Evidence {
    /// The network, which is the hash of its genesis.
    pub chain: ChainId,
    /// The blocks that the other parts name, ascending by height, no others.
    pub blocks: Vec<CertifiedHeader>,
    /// Changes of the validators between the genesis and the last of these blocks, ascending by height.
    pub validator_changes: Vec<ProvenValidators>,
    /// The message.
    pub message: ProvenTransaction,
    /// Its receipts, ascending by slot.
    pub receipts: Vec<ProvenTransaction>,
    /// The key bundles that slots were made for, ascending by slot, as of the message's block.
    pub keys: Vec<ProvenBundle>,
    /// Slots without an answer up to a block, ascending by slot.
    pub absences: Vec<ProvenAbsence>,
    /// The encrypted body.
    pub body: Option<Body>,
    /// The plaintext that the message commits to.
    pub disclosure: Option<Disclosure>,
}

/// A header and the certificate that makes it final.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CertifiedHeader {
    /// The header.
    pub header: Header,
    /// Signatures of more than two thirds of the validators of its height.
    pub certificate: CommitCertificate,
}

/// The validators that decide from the block after `block` on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProvenValidators {
    /// The block whose header names the set as the next one.
    pub block: BlockHeight,
    /// The set.
    pub validators: ValidatorSet,
}

/// A transaction and its way to the root of a block.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProvenTransaction {
    /// The block it stands in.
    pub block: BlockHeight,
    /// Its place there.
    pub index: u32,
    /// Inclusion path, from the leaf upwards; see [`merkle::path`](crate::merkle::path).
    pub path: Vec<Node>,
    /// The transaction.
    pub transaction: SignedTransaction,
}

/// The key bundle that a slot was made for, as it stood in the directory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProvenBundle {
    /// The slot of the message.
    pub slot: u16,
    /// The block under whose state the entry is proved: the message's.
    pub block: BlockHeight,
    /// The entry.
    pub record: BundleRecord,
    /// Proof of its presence: as its owner's newest, or by its number if there is a newer one.
    pub proof: StateProof,
    /// The newer one, if there was one.
    pub newest: Option<NewestBundle>,
}

/// The newest key bundle of an identity, where it is not the one that a slot was made for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewestBundle {
    /// The entry.
    pub record: BundleRecord,
    /// Proof of its presence.
    pub proof: StateProof,
}

/// A slot that nobody had answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProvenAbsence {
    /// The slot of the message.
    pub slot: u16,
    /// The block under whose state there is no answer: the newest block of the file with that state.
    pub block: BlockHeight,
    /// Proof of the absence.
    pub proof: StateProof,
}

/// A message's plaintext, shown to whoever holds the file. No key is needed to check it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Disclosure {
    /// The salt of the commitment.
    pub salt: [u8; 32],
    /// The content, without its padding.
    pub content: Vec<u8>,
    /// Who wrote it and to whom, if the message is sealed.
    pub author: Option<AuthorBlock>,
}

/// Why evidence does not hold.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum EvidenceError {
    /// The file is not an evidence file at all; nothing is said about any message.
    #[error(transparent)]
    NotEvidence(#[from] NotEvidence),
    /// It is one, and it does not hold: the answer is no.
    #[error(transparent)]
    Refused(#[from] Box<EvidenceRefusal>),
}

impl EvidenceError {
    /// The stable code of the cause, the same in commands, JSON and pages.
    pub const fn code(&self) -> &'static str {
        match self {
            EvidenceError::NotEvidence(cause) => cause.code(),
            EvidenceError::Refused(cause) => cause.code(),
        }
    }
}

impl From<EvidenceRefusal> for EvidenceError {
    fn from(refusal: EvidenceRefusal) -> Self {
        EvidenceError::Refused(Box::new(refusal))
    }
}
