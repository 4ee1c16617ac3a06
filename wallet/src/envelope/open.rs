//! Opening: a recipient's keys, a transaction and its body in, content out. Each commitment is checked
//! before what it commits to is used.

use super::content::{Content, ContentError, from_plaintext};
use super::keys::BundleSecret;
use super::suites::{SlotBinding, SlotKeys, body_key, ecies_unwrap};
use chacha20poly1305::aead::{Aead, Payload};
use chacha20poly1305::{KeyInit, XChaCha20Poly1305, XNonce};
use sealpost_ledger::message::{
    Body, Message, MessageContext, Mode, Slot, SlotRecipient, Suite, content_commit, key_commit,
};
use sealpost_ledger::receipt::{Answer, receipt_commit};
use sealpost_ledger::transaction::Transaction;
use subtle::ConstantTimeEq;
use thiserror::Error;
use zeroize::Zeroizing;

/// What opening a message shows besides its content.
#[derive(Debug)]
pub struct Opened {
    /// Canonical bytes of the content, as the commitment covers them.
    pub content_bytes: Vec<u8>,
    /// Salt of the commitment.
    pub salt: [u8; 32],
    /// Which slot was opened.
    pub slot: u16,
    receipt_secret: Zeroizing<[u8; 32]>,
}

impl Opened {
    /// What was opened before, as the archive kept it.
    pub(crate) fn recalled(
        content_bytes: Vec<u8>,
        salt: [u8; 32],
        slot: u16,
        receipt_secret: [u8; 32],
    ) -> Self {
        Self { content_bytes, salt, slot, receipt_secret: Zeroizing::new(receipt_secret) }
    }
    /// The answer that shows this message was decrypted. Revealing it is the recipient's explicit act.
    pub fn answer(&self) -> Answer {
        Answer::Opened { secret: *self.receipt_secret }
    }
}

/// Why a message can't be opened.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[allow(missing_docs)]
pub enum OpenError {
    #[error("this transaction is not a message")]
    NotAMessage,
    #[error("this message has no slot for this wallet")]
    NotForUs,
    #[error("this message is for key bundle {bundle}, whose secret this wallet does not have (any more)")]
    KeyGone { bundle: u64 },
    #[error("slot {slot} can't be decrypted: it was not made for the published key, or was altered")]
    Slot { slot: u16 },
    #[error(
        "slot {slot}: its receipt commitment is not the one that the slot's key gives; the sender broke the rules"
    )]
    ReceiptCommit { slot: u16 },
    #[error("the content key does not match its commitment; the sender broke the rules")]
    KeyCommit,
    #[error("the body is not the one that the header commits to")]
    OtherBody,
    #[error("the body can't be decrypted")]
    Body,
    #[error("the content does not match its commitment; the sender broke the rules")]
    ContentCommit,
    #[error(transparent)]
    Content(#[from] ContentError),
}

/// Opens a message with one of the wallet's secrets: its content, and what shows that it was opened.
pub fn open(
    transaction: &Transaction,
    body: &Body,
    slot_number: u16,
    secrets: &[BundleSecret],
) -> Result<(Content, Opened), OpenError> {
    let sealpost_ledger::transaction::Payload::Message(message) = &transaction.payload else {
        return Err(OpenError::NotAMessage);
    };
    let slot = message.slot(slot_number).ok_or(OpenError::NotForUs)?;
    let SlotRecipient::Named { bundle, .. } = slot.recipient else { return Err(OpenError::NotForUs) };
    let secret = secrets.iter().find(|secret| secret.sequence == bundle);
    let secret = secret.ok_or(OpenError::KeyGone { bundle })?;
    if body.hash() != message.body_hash {
        return Err(OpenError::OtherBody);
    }
    let context = context_of(transaction, message);
    let hash = context.hash();
    let keys = slot_keys(slot, message, &hash, secret).ok_or(OpenError::Slot { slot: slot_number })?;
    let cipher = XChaCha20Poly1305::new((&*keys.wrap).into());
    let payload = Payload { msg: &slot.wrapped_key, aad: hash.as_bytes() };
    let content_key = cipher.decrypt(&XNonce::default(), payload).map(Zeroizing::new);
    let content_key = content_key.map_err(|_| OpenError::Slot { slot: slot_number })?;
    let content_key: &[u8; 32] = content_key.as_slice().try_into().map_err(|_| OpenError::KeyCommit)?;
    // The commitment first: an AEAD alone would let one body mean two texts under two keys.
    if !same(key_commit(&hash, content_key).as_bytes(), message.key_commit.as_bytes()) {
        return Err(OpenError::KeyCommit);
    }
    if !same(receipt_commit(&keys.receipt).as_bytes(), slot.receipt_commit.as_bytes()) {
        return Err(OpenError::ReceiptCommit { slot: slot_number });
    }
    let (nonce, ciphertext) = body.as_bytes().split_first_chunk::<24>().ok_or(OpenError::Body)?;
    let key = body_key(content_key, &hash);
    let cipher = XChaCha20Poly1305::new((&*key).into());
    let payload = Payload { msg: ciphertext, aad: hash.as_bytes() };
    let plaintext = cipher.decrypt(&XNonce::from(*nonce), payload).map(Zeroizing::new);
    let plaintext = plaintext.map_err(|_| OpenError::Body)?;
    let (salt, content_bytes) = from_plaintext(&plaintext)?;
    if content_commit(&salt, content_bytes) != message.content_commit {
        return Err(OpenError::ContentCommit);
    }
    let content = Content::from_bytes(content_bytes).map_err(ContentError::from)?;
    let content_bytes = content_bytes.to_vec();
    Ok((content, Opened { content_bytes, salt, slot: slot_number, receipt_secret: keys.receipt }))
}

fn context_of(transaction: &Transaction, message: &Message) -> MessageContext {
    MessageContext {
        version: transaction.version,
        chain: transaction.chain,
        sender: transaction.sender,
        expiry: transaction.expiry,
        suite: message.suite,
        mode: Mode::Open,
        recipients: message.slots.iter().map(|slot| slot.recipient).collect(),
        content_commit: message.content_commit,
    }
}

fn slot_keys(
    slot: &Slot,
    message: &Message,
    context: &sealpost_ledger::hash::ContextHash,
    secret: &BundleSecret,
) -> Option<SlotKeys> {
    let share_1 = ecies_unwrap(secret.ecies(), &slot.ecies_share)?;
    let share_2 = match (message.suite, slot.ml_kem_share.as_deref()) {
        (Suite::Ecies, None) => None,
        (Suite::EciesMlKem768, Some(ciphertext)) => Some(secret.ml_kem_share(ciphertext)?),
        _ => return None,
    };
    let binding = SlotBinding {
        context,
        ecies_share: &slot.ecies_share,
        ml_kem_share: slot.ml_kem_share.as_deref(),
        recipient: &slot.recipient,
    };
    Some(binding.keys(&share_1, share_2.as_deref()))
}

fn same(a: &[u8; 32], b: &[u8; 32]) -> bool {
    a.ct_eq(b).into()
}
