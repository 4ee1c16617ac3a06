//! The message payload: what a message shows the ledger. The text is in the encrypted body beside it;
//! here stand the recipients' slots and the commitments that bind body, content and recipients together.

use crate::address::Address;
use crate::codec::{Decode, Encode, encode};
use crate::hash::{BodyHash, ChainId, ContentCommit, ContextHash, KeyCommit, ReceiptCommit, Tag, tagged};
use crate::height::BlockHeight;
use bytes::Bytes;

/// Length of an ECIES ciphertext of a 32-byte share: 65-byte ephemeral key, 16-byte nonce, 16-byte tag, share.
pub const ECIES_SHARE_BYTES: usize = 129;
/// Length of an ML-KEM-768 ciphertext (FIPS 203, table 3).
pub const ML_KEM_CIPHERTEXT_BYTES: usize = 1088;
/// Length of a wrapped content key: 32 bytes and a 16-byte tag.
pub const WRAPPED_KEY_BYTES: usize = 48;

/// Which key agreement wraps the content key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Encode, Decode)]
pub enum Suite {
    /// ECIES on secp256k1 alone.
    Ecies,
    /// ECIES and ML-KEM-768 together: both must be broken to open a slot.
    EciesMlKem768,
}

impl Suite {
    /// The number people and documents know it by.
    pub const fn number(self) -> u8 {
        match self {
            Suite::Ecies => 1,
            Suite::EciesMlKem768 => 2,
        }
    }
}

/// Who can be seen to take part.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Encode, Decode)]
pub enum Mode {
    /// Sender and recipients stand in the header.
    Open,
    /// A one-time key signs; the true author's signature and the recipients are inside.
    Sealed,
}

/// Whom a slot is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Encode, Decode)]
pub enum SlotRecipient {
    /// A named recipient, and which of their key bundles was used.
    Named {
        /// The recipient's identity.
        address: Address,
        /// Sequence number of the key bundle.
        bundle: u64,
    },
    /// A hidden recipient: they find the slot by computing the view tag themselves.
    Hidden {
        /// Fresh ephemeral key, SEC1 compressed.
        ephemeral: [u8; 33],
        /// First byte of the shared secret's hash: rules out 255 of 256 foreign slots.
        view_tag: u8,
    },
}

/// What one recipient needs to open the body.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct Slot {
    /// Whom it is for.
    pub recipient: SlotRecipient,
    /// ECIES ciphertext of the first share.
    pub ecies_share: [u8; ECIES_SHARE_BYTES],
    /// ML-KEM ciphertext of the second share: exactly [`ML_KEM_CIPHERTEXT_BYTES`] in suite 2, else absent.
    pub ml_kem_share: Option<Vec<u8>>,
    /// The content key, sealed under the slot key.
    pub wrapped_key: [u8; WRAPPED_KEY_BYTES],
    /// Commits to the secret that this recipient alone can reveal in a receipt.
    pub receipt_commit: ReceiptCommit,
}

/// The message payload.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct Message {
    /// Key agreement of all slots.
    pub suite: Suite,
    /// Open or sealed.
    pub mode: Mode,
    /// One slot per recipient, in the sender's order.
    pub slots: Vec<Slot>,
    /// Commits to the content key; checked before the body is decrypted.
    pub key_commit: KeyCommit,
    /// Commits to the plaintext; lets its holder show it to others without any key.
    pub content_commit: ContentCommit,
    /// Hash of the encrypted body.
    pub body_hash: BodyHash,
    /// Length of the encrypted body in bytes.
    pub body_length: u32,
}

impl Message {
    /// The slot a receipt may answer, by number.
    pub fn slot(&self, number: u16) -> Option<&Slot> {
        self.slots.get(usize::from(number))
    }
    /// The number of the slot for a named recipient.
    pub fn slot_of(&self, address: &Address) -> Option<u16> {
        let named =
            |slot: &Slot| matches!(slot.recipient, SlotRecipient::Named { address: a, .. } if a == *address);
        self.slots.iter().position(named).and_then(|n| u16::try_from(n).ok())
    }
    /// The named recipients, in order of their slots.
    pub fn recipients(&self) -> impl Iterator<Item = Address> + '_ {
        self.slots.iter().filter_map(|slot| match slot.recipient {
            SlotRecipient::Named { address, .. } => Some(address),
            SlotRecipient::Hidden { .. } => None,
        })
    }
}

/// What exists of a message's header before anything is encrypted. Its hash enters every key derivation
/// and is the body's associated data, so that no part can be lifted into another transaction.
#[derive(Debug, Clone, PartialEq, Eq, Encode)]
pub struct MessageContext {
    /// Transaction format version.
    pub version: u16,
    /// The network.
    pub chain: ChainId,
    /// Who signs the transaction.
    pub sender: Address,
    /// Its expiry height.
    pub expiry: BlockHeight,
    /// Key agreement.
    pub suite: Suite,
    /// Open or sealed.
    pub mode: Mode,
    /// Whom the slots are for.
    pub recipients: Vec<SlotRecipient>,
    /// Commitment to the plaintext.
    pub content_commit: ContentCommit,
}

impl MessageContext {
    /// The context hash.
    pub fn hash(&self) -> ContextHash {
        ContextHash::from_bytes(tagged(Tag::Context, &[&encode(self)]))
    }
}

/// An encrypted body, as it stands beside its transaction. Cloning it copies a reference, not the bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Body(Bytes);

impl Body {
    /// Takes encrypted bytes as a body.
    pub fn new(bytes: impl Into<Bytes>) -> Self {
        Self(bytes.into())
    }
    /// The encrypted bytes.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }
    /// Its hash, as it stands in the message's header.
    pub fn hash(&self) -> BodyHash {
        BodyHash::from_bytes(tagged(Tag::Body, &[&self.0]))
    }
}

/// The commitment to a plaintext: `H(salt ‖ plaintext)`. The 32-byte salt keeps short texts from being guessed.
pub fn content_commit(salt: &[u8; 32], plaintext: &[u8]) -> ContentCommit {
    ContentCommit::from_bytes(tagged(Tag::Content, &[salt, plaintext]))
}

/// The commitment to a content key.
pub fn key_commit(context: &ContextHash, content_key: &[u8; 32]) -> KeyCommit {
    KeyCommit::from_bytes(tagged(Tag::Key, &[context.as_bytes(), content_key]))
}
