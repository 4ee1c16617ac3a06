//! The author block of a sealed message: who wrote it and to whom, signed by the author and kept inside. The
//! transaction outside is signed by a key made for it alone, so this is the one place that names the author.
//!
//! The salt of the content commitment is a hash of author and recipients. So the transaction commits to both: nobody who
//! is shown the content can sign it as their own, and the author can't name other recipients later.

use crate::address::Address;
use crate::codec::{Decode, DecodeError, Encode, MAX_BYTES, decode, encode};
use crate::hash::{ContextHash, Tag, tagged};
use crate::message::{Message, MessageContext, Mode};
use crate::signature::{BadSecretKey, Signature, SigningKey};
use crate::transaction::{Payload, Transaction};
use std::collections::BTreeSet;
use thiserror::Error;

/// Who wrote a sealed message and to whom, signed.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct AuthorBlock {
    /// The author.
    pub author: Address,
    /// The real recipients, in the order of the slots.
    pub recipients: Vec<Address>,
    /// Random. The salt would tell who wrote to whom without it, to whoever tries all addresses.
    pub blinding: [u8; 32],
    /// The author's signature over [`author_digest`].
    pub signature: Signature,
}

/// Why an author block does not hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum AuthorError {
    /// An open message has none.
    #[error("it stands with a message that is not sealed")]
    NotSealed,
    /// Recipients and slots don't match.
    #[error("it names {recipients} recipients, the message has {slots} slots")]
    Count {
        /// How many it names.
        recipients: usize,
        /// How many slots there are.
        slots: usize,
    },
    /// A recipient stands there twice.
    #[error("it names a recipient twice")]
    Repeated,
    /// The message commits to another author, or to other recipients.
    #[error("the message was sent with another author or other recipients: its salt is not made of these")]
    Salt,
    /// The signature is not the author's over this message and these recipients.
    #[error("it is not signed by the author it names, for this message and these recipients")]
    Signature,
}

/// The salt of a sealed message's content commitment: `H("salt", blinding ‖ author ‖ recipients)`.
pub fn author_salt(blinding: &[u8; 32], author: &Address, recipients: &[Address]) -> [u8; 32] {
    tagged(Tag::Salt, &[blinding, author.as_bytes(), &encode(&recipients.to_vec())])
}

/// What the author signs: `H("author", context hash ‖ recipients)`. The context hash binds the network, the
/// one-time sender, the expiry, the hidden recipients and the content.
pub fn author_digest(context: &ContextHash, recipients: &[Address]) -> [u8; 32] {
    tagged(Tag::Author, &[context.as_bytes(), &encode(&recipients.to_vec())])
}

impl AuthorBlock {
    /// Signs; the context has to commit to the content under [`author_salt`]. See [`SigningKey::sign`] for `aux_rand`.
    ///
    /// # Errors
    /// With probability 2^-256, as [`SigningKey::sign`].
    pub fn sign(
        author: &SigningKey,
        context: &ContextHash,
        recipients: Vec<Address>,
        blinding: [u8; 32],
        aux_rand: &[u8; 32],
    ) -> Result<Self, BadSecretKey> {
        let signature = author.sign(&author_digest(context, &recipients), aux_rand)?;
        Ok(Self { author: Address::new(author.public_key()), recipients, blinding, signature })
    }
    /// Bytes of a block with so many recipients.
    pub const fn length(recipients: usize) -> usize {
        recipients.saturating_mul(32).saturating_add(32 + 8 + 32 + 64)
    }
    /// Canonical bytes.
    pub fn to_bytes(&self) -> Vec<u8> {
        encode(self)
    }
    /// Reads canonical bytes.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, DecodeError> {
        decode("author block", bytes, MAX_BYTES)
    }
    /// Checks the block against the message it belongs to, whose content commitment opens with that salt.
    ///
    /// # Errors
    /// The first rule that it breaks.
    pub fn verify(&self, transaction: &Transaction, salt: &[u8; 32]) -> Result<(), AuthorError> {
        let Payload::Message(message) = &transaction.payload else { return Err(AuthorError::NotSealed) };
        if message.mode != Mode::Sealed {
            return Err(AuthorError::NotSealed);
        }
        let (recipients, slots) = (self.recipients.len(), message.slots.len());
        if recipients != slots {
            return Err(AuthorError::Count { recipients, slots });
        }
        if self.recipients.iter().collect::<BTreeSet<_>>().len() != recipients {
            return Err(AuthorError::Repeated);
        }
        if author_salt(&self.blinding, &self.author, &self.recipients) != *salt {
            return Err(AuthorError::Salt);
        }
        let digest = author_digest(&message_context(transaction, message).hash(), &self.recipients);
        self.author.key().verify(&digest, &self.signature).map_err(|_| AuthorError::Signature)
    }
}

/// The context of a message as it stands in its transaction.
pub fn message_context(transaction: &Transaction, message: &Message) -> MessageContext {
    MessageContext {
        version: transaction.version,
        chain: transaction.chain,
        sender: transaction.sender,
        expiry: transaction.expiry,
        suite: message.suite,
        mode: message.mode,
        recipients: message.slots.iter().map(|slot| slot.recipient).collect(),
        content_commit: message.content_commit,
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::testing::{ALICE, address, key};

    #[test]
    fn a_block_is_as_long_as_is_said_of_so_many_recipients() {
        let context = ContextHash::from_bytes([7; 32]);
        for count in [0, 1, 2, 3, 16] {
            let recipients = (1..).map(address).take(count).collect();
            let block = AuthorBlock::sign(&key(ALICE), &context, recipients, [5; 32], &[0; 32]).unwrap();
            assert_eq!(block.to_bytes().len(), AuthorBlock::length(count));
        }
    }
}
