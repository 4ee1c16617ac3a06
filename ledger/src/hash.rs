//! Hashes: SHA-256, tagged as BIP-340 does it, and a newtype for each thing that is named by a hash.
//!
//! A tag separates the uses: the hash of a transaction can never be taken for the hash of a block. The
//! list of all tags is [`Tag`]; nothing in the project hashes under a tag that is not there.

use crate::codec::{Decode, Encode};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};
use sha2::{Digest, Sha256};
use std::{fmt, str::FromStr, sync::OnceLock};
use thiserror::Error;

/// All uses of the tagged hash.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tag {
    /// Genesis file → chain id.
    Genesis,
    /// Unsigned transaction → transaction id, which is also what its sender signs.
    Transaction,
    /// Unsigned transaction with nonce zero → what postage work is done over.
    Postage,
    /// What a message's envelope is bound to.
    Context,
    /// Encrypted body → its hash in the header.
    Body,
    /// Salt and plaintext → content commitment.
    Content,
    /// Content key → key commitment.
    Key,
    /// Receipt secret → receipt commitment of a slot.
    Receipt,
    /// Author and recipients of a sealed message → the salt of its content commitment.
    Salt,
    /// What the author of a sealed message signs, inside the body.
    Author,
    /// Shared point of a hidden slot → its view tag, the first byte.
    View,
    /// Block header → block hash.
    Block,
    /// Validator set → its hash in the header.
    Validators,
    /// What a validator signs to approve another set.
    ValidatorsApproval,
    /// What a validator signs to approve a member's coming or going.
    MemberApproval,
    /// What a validator signs to vote.
    Vote,
    /// What a validator signs to propose.
    Proposal,
    /// Key of a state entry → its place in the state tree.
    StateKey,
    /// Weights of a batch signature check.
    BatchWeights,
    /// Contact card → what its owner signs.
    ContactCard,
    /// A public development key.
    Development,
}

impl Tag {
    /// The tag's text, the first input of the hash.
    pub const fn text(self) -> &'static str {
        match self {
            Tag::Genesis => "sealpost/v1/genesis",
            Tag::Transaction => "sealpost/v1/transaction",
            Tag::Postage => "sealpost/v1/postage",
            Tag::Context => "sealpost/v1/context",
            Tag::Body => "sealpost/v1/body",
            Tag::Content => "sealpost/v1/content",
            Tag::Key => "sealpost/v1/key",
            Tag::Receipt => "sealpost/v1/receipt",
            Tag::Salt => "sealpost/v1/salt",
            Tag::Author => "sealpost/v1/author",
            Tag::View => "sealpost/v1/view",
            Tag::Block => "sealpost/v1/block",
            Tag::Validators => "sealpost/v1/validators",
            Tag::ValidatorsApproval => "sealpost/v1/validators-approval",
            Tag::MemberApproval => "sealpost/v1/member-approval",
            Tag::Vote => "sealpost/v1/vote",
            Tag::Proposal => "sealpost/v1/proposal",
            Tag::StateKey => "sealpost/v1/state-key",
            Tag::BatchWeights => "sealpost/v1/batch-weights",
            Tag::ContactCard => "sealpost/v1/contact-card",
            Tag::Development => "sealpost/v1/development",
        }
    }
}

/// `SHA256(SHA256(tag) ‖ SHA256(tag) ‖ parts…)` (BIP-340).
pub fn tagged(tag: Tag, parts: &[&[u8]]) -> [u8; 32] {
    let started = STARTED.get(tag as usize).map(|started| started.get_or_init(|| hasher_tagged(tag.text())));
    let mut hasher = started.map_or_else(|| hasher_tagged(tag.text()), Clone::clone);
    for part in parts {
        hasher.update(part);
    }
    hasher.finalize().into()
}

/// Hashers that have taken in their tag, which for a transaction is a third of the work.
static STARTED: [OnceLock<Sha256>; Tag::Development as usize + 1] =
    [const { OnceLock::new() }; Tag::Development as usize + 1];

/// A tagged hash with nothing but its tag in it yet: whoever needs many of them clones this.
pub(crate) fn hasher_tagged(tag: &str) -> Sha256 {
    let tag = Sha256::digest(tag.as_bytes());
    Sha256::new().chain_update(tag).chain_update(tag)
}

/// Plain SHA-256 over the concatenation of `parts`.
pub fn sha256(parts: &[&[u8]]) -> [u8; 32] {
    let mut hasher = Sha256::new();
    for part in parts {
        hasher.update(part);
    }
    hasher.finalize().into()
}

/// A text is not 32 bytes in hexadecimal.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{what}: expected 64 hexadecimal digits (32 bytes), got {got:?}")]
pub struct ParseHashError {
    /// Which kind of hash was expected.
    pub what: &'static str,
    /// The beginning of what was given.
    pub got: String,
}

pub(crate) fn parse_hex32(what: &'static str, text: &str) -> Result<[u8; 32], ParseHashError> {
    let mut bytes = [0_u8; 32];
    // Upper case and a 0x prefix would give one hash several spellings.
    let plain = text.len() == 64 && text.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b));
    if !plain || const_hex::decode_to_slice(text, &mut bytes).is_err() {
        return Err(ParseHashError { what, got: text.chars().take(72).collect() });
    }
    Ok(bytes)
}

macro_rules! hash_newtypes {
    ($($(#[$doc:meta])* $name:ident, $what:literal;)*) => {$(
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Encode, Decode)]
        pub struct $name([u8; 32]);

        impl $name {
            /// Names the 32 bytes for what they are; says nothing about where they come from.
            pub const fn from_bytes(bytes: [u8; 32]) -> Self {
                Self(bytes)
            }
            /// The 32 bytes.
            pub const fn as_bytes(&self) -> &[u8; 32] {
                &self.0
            }
            /// The 32 bytes.
            pub const fn to_bytes(self) -> [u8; 32] {
                self.0
            }
        }
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&const_hex::encode(self.0))
            }
        }
        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!(stringify!($name), "({})"), self)
            }
        }
        impl FromStr for $name {
            type Err = ParseHashError;
            fn from_str(text: &str) -> Result<Self, ParseHashError> {
                parse_hex32($what, text).map(Self)
            }
        }
        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
                s.collect_str(self)
            }
        }
        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
                String::deserialize(d)?.parse().map_err(D::Error::custom)
            }
        }
    )*};
}

hash_newtypes! {
    /// Names a network: the hash of its genesis.
    ChainId, "chain id";
    /// Names a transaction: the tagged hash of all of it but the signature.
    TransactionId, "transaction id";
    /// Names a block: the tagged hash of its header.
    BlockHash, "block hash";
    /// RFC 6962 root over the transactions of a block.
    TransactionRoot, "transaction root";
    /// RFC 6962 root over all earlier block hashes.
    HistoryRoot, "history root";
    /// Root of the state tree.
    StateRoot, "state root";
    /// Names a validator set.
    ValidatorsHash, "validators hash";
    /// Hash of an encrypted body.
    BodyHash, "body hash";
    /// Commits to the plaintext of a message and its salt.
    ContentCommit, "content commitment";
    /// Commits to the key that the body is encrypted under.
    KeyCommit, "key commitment";
    /// Commits to the secret that a slot's recipient reveals in a receipt.
    ReceiptCommit, "receipt commitment";
    /// What a message's envelope is bound to.
    ContextHash, "context hash";
}

impl From<ChainId> for BlockHash {
    /// The parent of block 1 is the genesis itself.
    fn from(chain: ChainId) -> Self {
        BlockHash(chain.0)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_hash_reads_back_from_its_text() {
        let id = TransactionId::from_bytes([0xab; 32]);
        assert_eq!(id.to_string().parse::<TransactionId>().unwrap(), id);
    }

    #[test]
    fn other_spellings_of_a_hash_are_refused() {
        assert!("AB".repeat(32).parse::<BlockHash>().is_err());
        assert!(format!("0x{}", "ab".repeat(31)).parse::<BlockHash>().is_err());
        assert!("ab".repeat(31).parse::<BlockHash>().is_err());
    }

    #[test]
    fn tags_separate_uses() {
        assert_ne!(tagged(Tag::Block, &[b"x"]), tagged(Tag::Transaction, &[b"x"]));
    }
}
