//! Sealing: content and recipients in, message header and encrypted body out.

use super::content::{Content, to_plaintext};
use super::keys::{has_ml_kem, ml_kem_encapsulate};
use super::suites::{SlotBinding, body_key, ecies_wrap};
use super::view::hide;
use crate::random::{NoRandomness, random};
use chacha20poly1305::aead::{Aead, Payload};
use chacha20poly1305::{KeyInit, XChaCha20Poly1305, XNonce};
use sealpost_ledger::address::Address;
use sealpost_ledger::author::{AuthorBlock, author_salt};
use sealpost_ledger::evidence::MAX_LETTER_ENTRIES;
use sealpost_ledger::hash::{ChainId, ContextHash};
use sealpost_ledger::height::BlockHeight;
use sealpost_ledger::key_bundle::KeyBundle;
use sealpost_ledger::message::{
    Body, Message, MessageContext, Mode, Slot, SlotRecipient, Suite, WRAPPED_KEY_BYTES, content_commit,
    key_commit,
};
use sealpost_ledger::receipt::receipt_commit;
use sealpost_ledger::signature::SigningKey;
use sealpost_ledger::transaction::TRANSACTION_VERSION;
use thiserror::Error;
use zeroize::Zeroizing;

/// Whom a message is for, with the keys to use.
#[derive(Debug, Clone)]
pub struct Recipient {
    /// The identity.
    pub address: Address,
    /// Its key bundle.
    pub bundle: KeyBundle,
}

/// What is to be sealed.
#[derive(Debug)]
pub struct SealRequest<'a> {
    /// The network.
    pub chain: ChainId,
    /// Who will sign the transaction: a key made for it alone, if the message is sealed.
    pub sender: Address,
    /// Who signs inside a sealed message. Nothing makes it an open one.
    pub author: Option<&'a SigningKey>,
    /// Last height whose block may contain it.
    pub expiry: BlockHeight,
    /// Whom it is for.
    pub recipients: &'a [Recipient],
    /// What it says.
    pub content: &'a Content,
    /// Longest body that the network takes, in bytes (genesis: `limits.body_bytes`).
    pub body_limit: u32,
}

/// A sealed message.
#[derive(Debug)]
pub struct Sealed {
    /// The header part.
    pub message: Message,
    /// The encrypted body.
    pub body: Body,
    /// Salt of the content commitment. With the content it shows a third party what was written.
    pub salt: [u8; 32],
    /// Who wrote it and to whom, if it is sealed.
    pub author: Option<AuthorBlock>,
}

/// Why a message can't be sealed.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[allow(missing_docs)]
pub enum SealError {
    #[error("recipients: none given")]
    NoRecipient,
    #[error("recipient {number}: its published encryption key is not a key")]
    Key { number: usize },
    #[error(
        "message: {length} bytes encrypted, the limit is {limit} (genesis: limits.body_bytes); send fewer or smaller attachments"
    )]
    TooLong { length: usize, limit: u32 },
    #[error("message: {count} {what}, the limit is {MAX_LETTER_ENTRIES}; send them in several messages")]
    TooMany { what: &'static str, count: usize },
    #[error("encryption failed")]
    Encryption,
    #[error(transparent)]
    Randomness(#[from] NoRandomness),
}

/// Seals content to its recipients. Suite 2 if every recipient has an ML-KEM key, else suite 1: one who published
/// bytes that are no such key keeps the message from nobody.
pub fn seal(request: &SealRequest<'_>) -> Result<Sealed, SealError> {
    let Some(key) = request.author else {
        return seal_with(request, Mode::Open, *random::<32>()?, |_| Ok(None));
    };
    let recipients: Vec<_> = request.recipients.iter().map(|recipient| recipient.address).collect();
    let blinding = *random::<32>()?;
    let salt = author_salt(&blinding, &Address::new(key.public_key()), &recipients);
    seal_with(request, Mode::Sealed, salt, |context| {
        let block = AuthorBlock::sign(key, context, recipients, blinding, &*random::<32>()?);
        block.map(Some).map_err(|_| SealError::Encryption)
    })
}

/// Seals with an author block that is made when the context is known, and with the salt that it says.
pub(super) fn seal_with(
    request: &SealRequest<'_>,
    mode: Mode,
    salt: [u8; 32],
    author: impl FnOnce(&ContextHash) -> Result<Option<AuthorBlock>, SealError>,
) -> Result<Sealed, SealError> {
    let SealRequest { recipients, .. } = request;
    if recipients.is_empty() {
        return Err(SealError::NoRecipient);
    }
    // Nobody would read such a letter.
    if let Some((what, count)) = request.content.too_many() {
        return Err(SealError::TooMany { what, count });
    }
    let post_quantum = recipients.iter().all(|recipient| has_ml_kem(&recipient.bundle));
    let suite = if post_quantum { Suite::EciesMlKem768 } else { Suite::Ecies };
    let content = Zeroizing::new(request.content.to_bytes());
    let shown = recipients.iter().enumerate().map(|(number, recipient)| match mode {
        Mode::Open => Ok(slot_recipient(recipient)),
        Mode::Sealed => hide(&recipient.bundle.ecies)?.ok_or(SealError::Key { number }),
    });
    let context = MessageContext {
        version: TRANSACTION_VERSION,
        chain: request.chain,
        sender: request.sender,
        expiry: request.expiry,
        suite,
        mode,
        recipients: shown.collect::<Result<_, SealError>>()?,
        content_commit: content_commit(&salt, &content),
    };
    let hash = context.hash();
    let author = author(&hash)?;
    let content_key = random::<32>()?;
    let block = author.as_ref().map(AuthorBlock::to_bytes).unwrap_or_default();
    let body = encrypt_body(&hash, &content_key, &to_plaintext(&salt, &content, &block))?;
    let length = body.as_bytes().len();
    if length > usize::try_from(request.body_limit).unwrap_or(usize::MAX) {
        return Err(SealError::TooLong { length, limit: request.body_limit });
    }
    let slots =
        recipients.iter().zip(&context.recipients).enumerate().map(|(number, (recipient, shown))| {
            make_slot(&hash, suite, recipient, *shown, &content_key, number)
        });
    let message = Message {
        suite,
        mode,
        slots: slots.collect::<Result<_, _>>()?,
        key_commit: key_commit(&hash, &content_key),
        content_commit: context.content_commit,
        body_hash: body.hash(),
        body_length: u32::try_from(length).unwrap_or(u32::MAX),
    };
    Ok(Sealed { message, body, salt, author })
}

fn slot_recipient(recipient: &Recipient) -> SlotRecipient {
    SlotRecipient::Named { address: recipient.address, bundle: recipient.bundle.sequence }
}

/// `nonce (24) ‖ XChaCha20-Poly1305(body key, plaintext, context hash)`.
fn encrypt_body(context: &ContextHash, content_key: &[u8; 32], plaintext: &[u8]) -> Result<Body, SealError> {
    let key = body_key(content_key, context);
    let nonce = random::<24>()?;
    let cipher = XChaCha20Poly1305::new((&*key).into());
    let payload = Payload { msg: plaintext, aad: context.as_bytes() };
    let ciphertext = cipher.encrypt(&XNonce::from(*nonce), payload).map_err(|_| SealError::Encryption)?;
    Ok(Body::new([nonce.as_slice(), &ciphertext].concat()))
}

fn make_slot(
    context: &ContextHash,
    suite: Suite,
    recipient: &Recipient,
    shown: SlotRecipient,
    content_key: &[u8; 32],
    number: usize,
) -> Result<Slot, SealError> {
    let share_1 = random::<32>()?;
    let ecies_share = ecies_wrap(&recipient.bundle.ecies, &share_1).ok_or(SealError::Key { number })?;
    let (ml_kem_share, share_2) = match (suite, &recipient.bundle.ml_kem) {
        (Suite::EciesMlKem768, Some(key)) => {
            let (ciphertext, share) = ml_kem_encapsulate(key).ok_or(SealError::Key { number })?;
            (Some(ciphertext), Some(share))
        }
        _ => (None, None),
    };
    let binding = SlotBinding {
        context,
        ecies_share: &ecies_share,
        ml_kem_share: ml_kem_share.as_deref(),
        recipient: &shown,
    };
    let keys = binding.keys(&share_1, share_2.as_deref());
    let cipher = XChaCha20Poly1305::new((&*keys.wrap).into());
    // The key wraps this one value and nothing else, so the nonce may be zero.
    let wrapped = cipher
        .encrypt(&XNonce::default(), Payload { msg: content_key, aad: context.as_bytes() })
        .map_err(|_| SealError::Encryption)?;
    let wrapped_key: [u8; WRAPPED_KEY_BYTES] = wrapped.try_into().map_err(|_| SealError::Encryption)?;
    let receipt_commit = receipt_commit(&keys.receipt);
    Ok(Slot { recipient: shown, ecies_share, ml_kem_share, wrapped_key, receipt_commit })
}
