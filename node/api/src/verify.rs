//! Checks of what a node says, against the genesis alone. Headers are verified by a [`ValidatorHistory`];
//! everything else is verified under a header that is verified already. Wallets and explorers use the same ones, so that
//! "proven" means the same everywhere.

use crate::{
    AbsenceProof, BundleAnswer, DesignationAnswer, EquivocationView, FinalTransaction, Hex, HistoryProof,
    MemberAnswer,
};
use sealpost_ledger::address::Address;
use sealpost_ledger::block::{Header, history_leaf};
use sealpost_ledger::certificate::CertificateError;
use sealpost_ledger::codec::DecodeError;
use sealpost_ledger::equivocation::{Equivocation, EquivocationError};
use sealpost_ledger::genesis::Genesis;
use sealpost_ledger::hash::{TransactionId, ValidatorsHash};
use sealpost_ledger::height::BlockHeight;
use sealpost_ledger::merkle::{Node, ProofError, verify_inclusion};
use sealpost_ledger::message::{Slot, SlotRecipient};
use sealpost_ledger::receipt::{Answer, receipt_commit};
use sealpost_ledger::signature::BadSignature;
use sealpost_ledger::state::{
    BundleRecord, DesignationRecord, MemberRecord, StateKey, StateProof, StateProofError, StateRecord,
};
use sealpost_ledger::transaction::{Payload, SignedTransaction};
use sealpost_ledger::validator::{ValidatorSet, ValidatorSetError};
use thiserror::Error;

mod history;
mod range;

pub use history::{KnownSet, ValidatorHistory};
pub use range::{WholeBlock, verify_range};

/// Why an answer proves nothing.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[allow(missing_docs)]
pub enum VerifyError {
    #[error(transparent)]
    Decode(#[from] DecodeError),
    #[error("the header is of another chain")]
    OtherChain,
    #[error("block {height} names validators {found}, which no verified change leads to")]
    UnknownValidators { height: BlockHeight, found: ValidatorsHash },
    #[error("the change of validators is not later than the one before")]
    ChangeOrder,
    #[error("the change of validators is not the one its block announces")]
    OtherChange,
    #[error("the validators are no set: {0}")]
    NotASet(#[from] ValidatorSetError),
    #[error(transparent)]
    Certificate(#[from] CertificateError),
    #[error(transparent)]
    Equivocation(#[from] EquivocationError),
    #[error("the path holds something that is not 32 bytes")]
    Path,
    #[error(transparent)]
    Inclusion(#[from] ProofError),
    #[error("the transaction's signature does not hold: {0}")]
    Signature(#[from] BadSignature),
    #[error(transparent)]
    State(#[from] StateProofError),
    #[error("the entry is not what was asked for")]
    OtherEntry,
    #[error("the receipt does not answer this slot")]
    OtherReceipt,
    #[error("block {expected} is missing")]
    MissingBlock { expected: BlockHeight },
    #[error("block {height} has {count} transactions, and {told} were told")]
    TransactionCount { height: BlockHeight, count: u32, told: usize },
    #[error(
        "the transactions told of block {height} are not those it commits to: one is omitted, added or altered"
    )]
    OtherTransactions { height: BlockHeight },
}

/// That a validator of the set in office signed two conflicting statements, and that the decoded fields are
/// those of the signed bytes.
pub fn verify_equivocation(
    view: &EquivocationView,
    genesis: &Genesis,
    set: &ValidatorSet,
) -> Result<Equivocation, VerifyError> {
    let found = Equivocation::from_bytes(view.equivocation.as_bytes())?;
    let (place, blocks) = (found.place(), found.blocks());
    let told = (view.validator, view.height, view.round, view.kind.as_str(), [view.first, view.second]);
    if told != (place.validator, place.height, place.round, place.kind.name(), blocks) {
        return Err(VerifyError::OtherEntry);
    }
    found.verify(&genesis.chain_id(), set)?;
    Ok(found)
}

/// A transaction whose signature holds and that stands where it is said to in the block of a verified
/// header.
pub fn verify_transaction(
    found: &FinalTransaction,
    header: &Header,
) -> Result<SignedTransaction, VerifyError> {
    let transaction = SignedTransaction::from_bytes(found.transaction.as_bytes())?;
    let (size, index) = (header.transaction_count.into(), found.place.index.into());
    verify_inclusion(header.tx_root.as_bytes(), size, index, &transaction.leaf(), &nodes(&found.path)?)?;
    let signed = transaction.signed();
    signed.key.verify(&signed.digest, &signed.signature)?;
    Ok(transaction)
}

/// The newest key bundle of an identity, or its proven absence, under a verified header.
pub fn verify_bundle(
    answer: &BundleAnswer,
    address: &Address,
    header: &Header,
) -> Result<Option<BundleRecord>, VerifyError> {
    let key = StateKey::Directory(*address);
    match verify_entry(answer.record.as_ref(), &answer.proof, &key, header)? {
        None => Ok(None),
        Some(StateRecord::Bundle(record)) => Ok(Some(record)),
        Some(_) => Err(VerifyError::OtherEntry),
    }
}

/// Where an identity receives notices of a class, or that it never said so, under a verified header.
pub fn verify_designation(
    answer: &DesignationAnswer,
    address: &Address,
    class: &str,
    header: &Header,
) -> Result<Option<DesignationRecord>, VerifyError> {
    let key = StateKey::Designation(*address, class.to_owned());
    match verify_entry(answer.record.as_ref(), &answer.proof, &key, header)? {
        None => Ok(None),
        Some(StateRecord::Designation(record)) => Ok(Some(record)),
        Some(_) => Err(VerifyError::OtherEntry),
    }
}

/// What the state holds about a member, or that it holds nothing, under a verified header.
pub fn verify_member(
    answer: &MemberAnswer,
    address: &Address,
    header: &Header,
) -> Result<Option<MemberRecord>, VerifyError> {
    match verify_entry(answer.record.as_ref(), &answer.proof, &StateKey::Member(*address), header)? {
        None => Ok(None),
        Some(StateRecord::Member(record)) => Ok(Some(record)),
        Some(_) => Err(VerifyError::OtherEntry),
    }
}

fn verify_entry(
    record: Option<&Hex>,
    proof: &Hex,
    key: &StateKey,
    header: &Header,
) -> Result<Option<StateRecord>, VerifyError> {
    let proof = StateProof::from_bytes(proof.as_bytes())?;
    let Some(record) = record else {
        proof.verify_absent(&header.state_root, key)?;
        return Ok(None);
    };
    let record = StateRecord::from_bytes(record.as_bytes())?;
    proof.verify_present(&header.state_root, key, &record)?;
    Ok(Some(record))
}

/// That a slot had no answer after the block of a verified header.
pub fn verify_absence(
    answer: &AbsenceProof,
    message: &TransactionId,
    slot: u16,
    header: &Header,
) -> Result<(), VerifyError> {
    let proof = StateProof::from_bytes(answer.proof.as_bytes())?;
    Ok(proof.verify_absent(&header.state_root, &StateKey::Receipt(*message, slot))?)
}

/// That a receipt answers a slot of a message: signed by its recipient, with the secret it commits to.
pub fn verify_receipt(
    receipt: &SignedTransaction,
    message: &TransactionId,
    number: u16,
    slot: &Slot,
) -> Result<Answer, VerifyError> {
    let (Payload::Receipt(content), SlotRecipient::Named { address, .. }) =
        (receipt.payload(), slot.recipient)
    else {
        return Err(VerifyError::OtherReceipt);
    };
    let secret_fits = match content.answer {
        Answer::Opened { secret } => receipt_commit(&secret) == slot.receipt_commit,
        Answer::Refused { .. } => true,
    };
    let answers = content.message == *message && content.slot == number && receipt.sender() == address;
    if answers && secret_fits { Ok(content.answer) } else { Err(VerifyError::OtherReceipt) }
}

/// That the history under a verified header contains an earlier block.
pub fn verify_history(
    proof: &HistoryProof,
    block: &sealpost_ledger::hash::BlockHash,
    height: BlockHeight,
    head: &Header,
) -> Result<(), VerifyError> {
    let index = height.get().saturating_sub(1);
    let root = head.history_root.as_bytes();
    Ok(verify_inclusion(root, head.history_size(), index, &history_leaf(block), &nodes(&proof.path)?)?)
}

fn nodes(path: &[Hex]) -> Result<Vec<Node>, VerifyError> {
    path.iter().map(|node| node.as_bytes().try_into().map_err(|_| VerifyError::Path)).collect()
}
