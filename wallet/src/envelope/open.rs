//! Opening: a recipient's keys, a transaction and its body in, content out. Each commitment is checked
//! before what it commits to is used.

use super::content::{Content, ContentError, Plain, from_plaintext};
use super::keys::BundleSecret;
use super::suites::{SlotBinding, SlotKeys, body_key, ecies_unwrap};
use super::view::{HiddenSlot, ViewKey, candidates_of};
use chacha20poly1305::aead::{Aead, Payload as Aad};
use chacha20poly1305::{KeyInit, XChaCha20Poly1305, XNonce};
use sealpost_ledger::address::Address;
use sealpost_ledger::author::{AuthorBlock, AuthorError, message_context};
use sealpost_ledger::hash::ContextHash;
use sealpost_ledger::message::{Body, Message, Slot, SlotRecipient, Suite, content_commit, key_commit};
use sealpost_ledger::receipt::{Answer, receipt_commit};
use sealpost_ledger::transaction::{Payload, Transaction};
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
    /// Who wrote it and to whom, checked, if the message is sealed.
    pub author: Option<AuthorBlock>,
    receipt_secret: Zeroizing<[u8; 32]>,
}

impl Opened {
    /// What was opened before, as the archive kept it.
    pub(crate) fn recalled(
        content_bytes: Vec<u8>,
        salt: [u8; 32],
        slot: u16,
        author: Option<AuthorBlock>,
        receipt_secret: [u8; 32],
    ) -> Self {
        Self { content_bytes, salt, slot, author, receipt_secret: Zeroizing::new(receipt_secret) }
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
    #[error(
        "the author block inside does not hold: {0}; whoever sent it is not who it says, or broke the rules"
    )]
    Author(#[from] AuthorError),
    #[error(
        "slot {slot}: its author wrote it to somebody else; it was passed on as if it were for this wallet"
    )]
    ForSomebodyElse { slot: u16 },
    #[error(transparent)]
    Content(#[from] ContentError),
}

/// Opens an open message with one of the wallet's secrets: its content, and what shows that it was opened.
pub fn open(
    transaction: &Transaction,
    body: &Body,
    slot_number: u16,
    secrets: &[BundleSecret],
) -> Result<(Content, Opened), OpenError> {
    let message = message_of(transaction)?;
    let slot = message.slot(slot_number).ok_or(OpenError::NotForUs)?;
    let SlotRecipient::Named { bundle, .. } = slot.recipient else { return Err(OpenError::NotForUs) };
    let secret = secrets.iter().find(|secret| secret.sequence == bundle);
    let secret = secret.ok_or(OpenError::KeyGone { bundle })?;
    check_body(message, body)?;
    let context = message_context(transaction, message).hash();
    let keys = slot_keys(slot, message, &context, secret).ok_or(OpenError::Slot { slot: slot_number })?;
    let content_key = unwrap_key(slot, &keys, &context).ok_or(OpenError::Slot { slot: slot_number })?;
    let ours = OurSlot { number: slot_number, bundle, slot, keys, content_key };
    let plaintext = open_body(message, body, &ours, &context)?;
    finish(message, ours, &from_plaintext(&plaintext, 0)?, None)
}

/// Opens a sealed message: finds the slot that one of the secrets opens, and checks who wrote the message and
/// that it was meant for this reader.
pub fn open_sealed(
    transaction: &Transaction,
    body: &Body,
    reader: &Address,
    secrets: &[BundleSecret],
) -> Result<(Content, Opened), OpenError> {
    let message = message_of(transaction)?;
    let context = message_context(transaction, message).hash();
    let ours = find_slot(message, &context, secrets)?.ok_or(OpenError::NotForUs)?;
    check_body(message, body)?;
    let plaintext = open_body(message, body, &ours, &context)?;
    let author_bytes = AuthorBlock::length(message.slots.len());
    let plain = from_plaintext(&plaintext, author_bytes)?;
    let author = AuthorBlock::from_bytes(plain.author).map_err(ContentError::from)?;
    author.verify(transaction, &plain.salt)?;
    // Whoever opens a letter can wrap it for somebody else; the author did not sign that.
    if author.recipients.get(usize::from(ours.number)) != Some(reader) {
        return Err(OpenError::ForSomebodyElse { slot: ours.number });
    }
    finish(message, ours, &plain, Some(author))
}

/// Which slot of a sealed message one of the secrets opens, if one does, and that secret's bundle. Needs no body.
pub fn slot_for(
    transaction: &Transaction,
    secrets: &[BundleSecret],
) -> Result<Option<(u16, u64)>, OpenError> {
    let message = message_of(transaction)?;
    let context = message_context(transaction, message).hash();
    Ok(find_slot(message, &context, secrets)?.map(|ours| (ours.number, ours.bundle)))
}

/// A slot that opens: its keys, and the content key that was in it.
struct OurSlot<'a> {
    number: u16,
    bundle: u64,
    slot: &'a Slot,
    keys: SlotKeys,
    content_key: Zeroizing<[u8; 32]>,
}

fn message_of(transaction: &Transaction) -> Result<&Message, OpenError> {
    match &transaction.payload {
        Payload::Message(message) => Ok(message),
        _ => Err(OpenError::NotAMessage),
    }
}

fn check_body(message: &Message, body: &Body) -> Result<(), OpenError> {
    if body.hash() != message.body_hash {
        return Err(OpenError::OtherBody);
    }
    Ok(())
}

fn find_slot<'a>(
    message: &'a Message,
    context: &ContextHash,
    secrets: &[BundleSecret],
) -> Result<Option<OurSlot<'a>>, OpenError> {
    let keys: Vec<_> = secrets.iter().filter_map(|secret| Some((secret, ViewKey::new(secret)?))).collect();
    for (number, slot) in (0_u16..).zip(&message.slots) {
        let SlotRecipient::Hidden { ephemeral, view_tag } = slot.recipient else {
            return Err(OpenError::NotForUs);
        };
        let hidden = HiddenSlot { ephemeral, view_tag };
        for (secret, key) in &keys {
            if candidates_of(std::slice::from_ref(key), &[hidden]).is_empty() {
                continue;
            }
            let Some(keys) = slot_keys(slot, message, context, secret) else { continue };
            let Some(content_key) = unwrap_key(slot, &keys, context) else { continue };
            let bundle = secret.sequence;
            return Ok(Some(OurSlot { number, bundle, slot, keys, content_key }));
        }
    }
    Ok(None)
}

/// The content key, out of a slot.
fn unwrap_key(slot: &Slot, keys: &SlotKeys, context: &ContextHash) -> Option<Zeroizing<[u8; 32]>> {
    let cipher = XChaCha20Poly1305::new((&*keys.wrap).into());
    let payload = Aad { msg: &slot.wrapped_key, aad: context.as_bytes() };
    let content_key = cipher.decrypt(&XNonce::default(), payload).map(Zeroizing::new).ok()?;
    content_key.as_slice().try_into().ok().map(Zeroizing::new)
}

/// The plaintext; each commitment is checked before what it commits to is used.
fn open_body(
    message: &Message,
    body: &Body,
    ours: &OurSlot<'_>,
    context: &ContextHash,
) -> Result<Zeroizing<Vec<u8>>, OpenError> {
    // The commitment first: an AEAD alone would let one body mean two texts under two keys.
    if !same(key_commit(context, &ours.content_key).as_bytes(), message.key_commit.as_bytes()) {
        return Err(OpenError::KeyCommit);
    }
    if !same(receipt_commit(&ours.keys.receipt).as_bytes(), ours.slot.receipt_commit.as_bytes()) {
        return Err(OpenError::ReceiptCommit { slot: ours.number });
    }
    let (nonce, ciphertext) = body.as_bytes().split_first_chunk::<24>().ok_or(OpenError::Body)?;
    let key = body_key(&ours.content_key, context);
    let cipher = XChaCha20Poly1305::new((&*key).into());
    let payload = Aad { msg: ciphertext, aad: context.as_bytes() };
    cipher.decrypt(&XNonce::from(*nonce), payload).map(Zeroizing::new).map_err(|_| OpenError::Body)
}

fn finish(
    message: &Message,
    ours: OurSlot<'_>,
    plain: &Plain<'_>,
    author: Option<AuthorBlock>,
) -> Result<(Content, Opened), OpenError> {
    let salt = plain.salt;
    if content_commit(&salt, plain.content) != message.content_commit {
        return Err(OpenError::ContentCommit);
    }
    let content = Content::from_bytes(plain.content).map_err(ContentError::from)?;
    let content_bytes = plain.content.to_vec();
    let (slot, receipt_secret) = (ours.number, ours.keys.receipt);
    Ok((content, Opened { content_bytes, salt, slot, author, receipt_secret }))
}

fn slot_keys(
    slot: &Slot,
    message: &Message,
    context: &ContextHash,
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
