//! Why evidence is refused: each cause its own variant, message and stable code, so that a reader learns
//! what is wrong with a file and not only that something is.

use crate::address::Address;
use crate::author::AuthorError;
use crate::certificate::CertificateError;
use crate::hash::{ChainId, TransactionId, ValidatorsHash};
use crate::height::BlockHeight;
use crate::merkle::ProofError;
use crate::state::StateProofError;
use std::fmt;
use thiserror::Error;

/// A part of an evidence file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EvidencePart {
    /// The message.
    Message,
    /// The receipt at that place in the list.
    Receipt(usize),
    /// The validator change at that place in the list.
    ValidatorChange(usize),
    /// The key of that slot.
    Key(u16),
    /// The absence for that slot.
    Absence(u16),
}

impl fmt::Display for EvidencePart {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            EvidencePart::Message => f.write_str("the message"),
            EvidencePart::Receipt(index) => write!(f, "receipt {index}"),
            EvidencePart::ValidatorChange(index) => write!(f, "validator change {index}"),
            EvidencePart::Key(slot) => write!(f, "the key of slot {slot}"),
            EvidencePart::Absence(slot) => write!(f, "the absence for slot {slot}"),
        }
    }
}

/// Why evidence is refused.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[allow(missing_docs)]
pub enum EvidenceRefusal {
    #[error("the evidence is of chain {found}, the genesis makes chain {expected}")]
    OtherChain { found: ChainId, expected: ChainId },
    #[error("block {height} is of chain {found}, the evidence of {expected}")]
    BlockChain { height: BlockHeight, found: ChainId, expected: ChainId },
    #[error("block {height} has version {version}, which is unknown")]
    BlockVersion { height: BlockHeight, version: u16 },
    #[error("block {height} stands there twice or out of order")]
    BlockOrder { height: BlockHeight },
    #[error("block {height}: {source}")]
    Certificate { height: BlockHeight, source: CertificateError },
    #[error(
        "block {height} names validators {found}, but those in office are {expected}, as far as this \
         evidence shows"
    )]
    OtherValidators { height: BlockHeight, found: ValidatorsHash, expected: ValidatorsHash },
    #[error("block {height} announces validators {announced}, not those of the validator change there")]
    OtherChange { height: BlockHeight, announced: ValidatorsHash },
    #[error("the validator change at block {height} changes nothing")]
    EmptyChange { height: BlockHeight },
    #[error("the validator change at block {height} stands there twice or out of order")]
    ChangeOrder { height: BlockHeight },
    #[error("block {height} announces other validators, but the file has no change there and goes on")]
    UnlistedChange { height: BlockHeight },
    #[error("{part} names block {height}, which is not in the evidence")]
    MissingBlock { part: EvidencePart, height: BlockHeight },
    #[error("block {height} proves nothing: no part of the evidence names it")]
    UnusedBlock { height: BlockHeight },
    #[error("{part} does not stand at that place of block {height}: {source}")]
    Inclusion { part: EvidencePart, height: BlockHeight, source: ProofError },
    #[error("{part} has transaction version {version}, which is unknown")]
    TransactionVersion { part: EvidencePart, version: u16 },
    #[error("{part} is a transaction of chain {found}, the evidence is of {expected}")]
    TransactionChain { part: EvidencePart, found: ChainId, expected: ChainId },
    #[error("{part} is not signed by its sender: the signature does not match")]
    Signature { part: EvidencePart },
    #[error("the message is a transaction of kind {kind}")]
    NotAMessage { kind: &'static str },
    #[error("{part} is a transaction of kind {kind}")]
    NotAReceipt { part: EvidencePart, kind: &'static str },
    #[error("{part} answers message {found}, the evidence is about {expected}")]
    OtherMessage { part: EvidencePart, found: TransactionId, expected: TransactionId },
    #[error("{part} is for slot {slot}, but the message has {slots}")]
    UnknownSlot { part: EvidencePart, slot: u16, slots: usize },
    #[error("{part} is for slot {slot}, whose recipient is hidden")]
    SealedSlot { part: EvidencePart, slot: u16 },
    #[error("{part} is for slot {slot}, which stands there twice or out of order")]
    SlotOrder { part: EvidencePart, slot: u16 },
    #[error("{part} is signed by {found:?}, but the recipient of slot {slot} is {expected:?}")]
    NotRecipient { part: EvidencePart, slot: u16, found: Address, expected: Address },
    #[error("{part} reveals a secret that does not match the commitment of slot {slot}")]
    WrongSecret { part: EvidencePart, slot: u16 },
    #[error("{part} stands in block {height}, which is not later than the message's {message}")]
    AnswerTooEarly { part: EvidencePart, height: BlockHeight, message: BlockHeight },
    #[error("{part} is bundle {found}, the message names {named}")]
    OtherBundle { part: EvidencePart, found: u64, named: u64 },
    #[error("{part} is bundle {named}, and {found} is said to be its owner's newer one")]
    NotNewer { part: EvidencePart, found: u64, named: u64 },
    #[error("{part} is proved at block {height}, keys are proved at the message's block {message}")]
    KeyBlock { part: EvidencePart, height: BlockHeight, message: BlockHeight },
    #[error("{part} is proved at block {height}, which is earlier than the message's {message}")]
    AbsenceTooEarly { part: EvidencePart, height: BlockHeight, message: BlockHeight },
    #[error("{part} is proved at block {height}, but block {newest} has the same state and is newer")]
    AbsenceNotNewest { part: EvidencePart, height: BlockHeight, newest: BlockHeight },
    #[error("{part} is claimed at block {height}, but its receipt stands in block {receipt}")]
    AbsenceAnswered { part: EvidencePart, height: BlockHeight, receipt: BlockHeight },
    #[error("{part}: {source}")]
    State { part: EvidencePart, source: StateProofError },
    #[error("the body is not the one the message commits to")]
    OtherBody,
    #[error("the disclosed content and salt are not those the message commits to")]
    OtherContent,
    #[error("the author block does not hold: {source}")]
    Author { source: AuthorError },
}

impl EvidenceRefusal {
    /// The stable code of the refusal, the same in commands, JSON and pages.
    pub const fn code(&self) -> &'static str {
        match self {
            EvidenceRefusal::OtherChain { .. } => "evidence.other_chain",
            EvidenceRefusal::BlockChain { .. } => "evidence.block_chain",
            EvidenceRefusal::BlockVersion { .. } => "evidence.block_version",
            EvidenceRefusal::BlockOrder { .. } => "evidence.block_order",
            EvidenceRefusal::Certificate { source, .. } => match source {
                CertificateError::OtherBlock { .. } => "evidence.certificate_block",
                CertificateError::Foreign { .. } => "evidence.certificate_foreign",
                CertificateError::Repeated { .. } => "evidence.certificate_repeated",
                CertificateError::TooFew { .. } => "evidence.certificate_too_few",
                CertificateError::Signature { .. } => "evidence.certificate_signature",
                CertificateError::Elsewhere { .. } => "evidence.certificate_foreign",
            },
            EvidenceRefusal::OtherValidators { .. } => "evidence.other_validators",
            EvidenceRefusal::OtherChange { .. } => "evidence.other_change",
            EvidenceRefusal::EmptyChange { .. } => "evidence.empty_change",
            EvidenceRefusal::ChangeOrder { .. } => "evidence.change_order",
            EvidenceRefusal::UnlistedChange { .. } => "evidence.unlisted_change",
            EvidenceRefusal::MissingBlock { .. } => "evidence.missing_block",
            EvidenceRefusal::UnusedBlock { .. } => "evidence.unused_block",
            EvidenceRefusal::Inclusion { .. } => "evidence.inclusion",
            EvidenceRefusal::TransactionVersion { .. } => "evidence.transaction_version",
            EvidenceRefusal::TransactionChain { .. } => "evidence.transaction_chain",
            EvidenceRefusal::Signature { .. } => "evidence.signature",
            EvidenceRefusal::NotAMessage { .. } => "evidence.not_a_message",
            EvidenceRefusal::NotAReceipt { .. } => "evidence.not_a_receipt",
            EvidenceRefusal::OtherMessage { .. } => "evidence.other_message",
            EvidenceRefusal::UnknownSlot { .. } => "evidence.unknown_slot",
            EvidenceRefusal::SealedSlot { .. } => "evidence.sealed_slot",
            EvidenceRefusal::SlotOrder { .. } => "evidence.slot_order",
            EvidenceRefusal::NotRecipient { .. } => "evidence.not_recipient",
            EvidenceRefusal::WrongSecret { .. } => "evidence.wrong_secret",
            EvidenceRefusal::AnswerTooEarly { .. } => "evidence.answer_too_early",
            EvidenceRefusal::OtherBundle { .. } => "evidence.other_bundle",
            EvidenceRefusal::NotNewer { .. } => "evidence.not_newer",
            EvidenceRefusal::KeyBlock { .. } => "evidence.key_block",
            EvidenceRefusal::AbsenceTooEarly { .. } => "evidence.absence_too_early",
            EvidenceRefusal::AbsenceNotNewest { .. } => "evidence.absence_not_newest",
            EvidenceRefusal::AbsenceAnswered { .. } => "evidence.absence_answered",
            EvidenceRefusal::State { .. } => "evidence.state",
            EvidenceRefusal::OtherBody => "evidence.other_body",
            EvidenceRefusal::OtherContent => "evidence.other_content",
            EvidenceRefusal::Author { .. } => "evidence.author",
        }
    }
}
