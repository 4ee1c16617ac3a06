//! Checks of what a node says, against the genesis alone. Wallets and explorers use the same ones, so that
//! "proven" means the same everywhere.

use crate::{
    AbsenceProof, BundleAnswer, EquivocationView, FinalTransaction, Hex, HistoryProof, SealedHeader,
};
use sealpost_ledger::address::Address;
use sealpost_ledger::block::{Header, history_leaf};
use sealpost_ledger::certificate::{CertificateError, CommitCertificate};
use sealpost_ledger::codec::{DecodeError, MAX_BYTES, decode};
use sealpost_ledger::equivocation::{Equivocation, EquivocationError};
use sealpost_ledger::genesis::Genesis;
use sealpost_ledger::hash::TransactionId;
use sealpost_ledger::merkle::{Node, ProofError, verify_inclusion};
use sealpost_ledger::message::{Slot, SlotRecipient};
use sealpost_ledger::receipt::{Answer, receipt_commit};
use sealpost_ledger::signature::BadSignature;
use sealpost_ledger::state::{BundleRecord, StateKey, StateProof, StateProofError, StateRecord};
use sealpost_ledger::transaction::{Payload, SignedTransaction};
use sealpost_ledger::validator::ValidatorSet;
use thiserror::Error;

/// Why an answer proves nothing.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[allow(missing_docs)]
pub enum VerifyError {
    #[error(transparent)]
    Decode(#[from] DecodeError),
    #[error("the header is of another chain, or names validators that are not those of the genesis")]
    OtherChain,
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
}

/// A header that more than two thirds of the genesis' validators made final. (No transaction can change
/// the validators yet.)
pub fn verify_header(
    sealed: &SealedHeader,
    genesis: &Genesis,
) -> Result<(Header, CommitCertificate), VerifyError> {
    let header = Header::from_bytes(sealed.header.as_bytes())?;
    let certificate: CommitCertificate = decode("certificate", sealed.certificate.as_bytes(), MAX_BYTES)?;
    let set = genesis.validators();
    if header.chain != genesis.chain_id() || header.validators_hash != set.hash() {
        return Err(VerifyError::OtherChain);
    }
    certificate.verify(&header.chain, header.height, &header.hash(), set)?;
    Ok((header, certificate))
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

/// The newest key bundle of an identity, or its proven absence, and the verified header it stands under.
pub fn verify_bundle(
    answer: &BundleAnswer,
    address: &Address,
    genesis: &Genesis,
) -> Result<(Header, Option<BundleRecord>), VerifyError> {
    let (header, _) = verify_header(&answer.at, genesis)?;
    let (root, key) = (&header.state_root, StateKey::Directory(*address));
    let proof = StateProof::from_bytes(answer.proof.as_bytes())?;
    let Some(record) = &answer.record else {
        proof.verify_absent(root, &key)?;
        return Ok((header, None));
    };
    let record = StateRecord::from_bytes(record.as_bytes())?;
    proof.verify_present(root, &key, &record)?;
    match record {
        StateRecord::Bundle(record) => Ok((header, Some(record))),
        _ => Err(VerifyError::OtherEntry),
    }
}

/// That a slot had no answer after a block; returns its verified header.
pub fn verify_absence(
    answer: &AbsenceProof,
    message: &TransactionId,
    slot: u16,
    genesis: &Genesis,
) -> Result<Header, VerifyError> {
    let (header, _) = verify_header(&answer.at, genesis)?;
    let proof = StateProof::from_bytes(answer.proof.as_bytes())?;
    proof.verify_absent(&header.state_root, &StateKey::Receipt(*message, slot))?;
    Ok(header)
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
    height: sealpost_ledger::height::BlockHeight,
    head: &Header,
) -> Result<(), VerifyError> {
    let index = height.get().saturating_sub(1);
    let root = head.history_root.as_bytes();
    Ok(verify_inclusion(root, head.history_size(), index, &history_leaf(block), &nodes(&proof.path)?)?)
}

fn nodes(path: &[Hex]) -> Result<Vec<Node>, VerifyError> {
    path.iter().map(|node| node.as_bytes().try_into().map_err(|_| VerifyError::Path)).collect()
}
