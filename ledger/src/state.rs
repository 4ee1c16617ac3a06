//! The state: what the ledger's rules need to remember, and what readers want proved present or absent.
//! The key directory, the answers to messages, the members, the designations and the last change of the
//! validators stand here as entries of one authenticated tree, whose root each block header carries.

mod memory;
mod proof;
mod tree;

pub use memory::MemoryState;
pub use proof::{StateProof, StateProofError};
pub use tree::{NodeSource, StateUpdate, for_each_entry, prove, root_of, update};

use crate::address::Address;
use crate::codec::{Decode, DecodeError, Encode, decode, encode};
use crate::hash::{ChainId, Tag, TransactionId, tagged};
use crate::height::BlockHeight;
use crate::key_bundle::KeyBundle;
use crate::membership::MemberStatus;
use crate::message::Message;
use crate::validator::Validator;
use thiserror::Error;

/// The name of an entry.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Encode, Decode)]
pub enum StateKey {
    /// The chain itself: always present, so the tree is never empty.
    Chain,
    /// The newest key bundle of an identity.
    Directory(Address),
    /// A key bundle of an identity, by sequence number.
    Bundle(Address, u64),
    /// The answer to a message, by slot.
    Receipt(TransactionId, u16),
    /// A member, also one whose membership has ended.
    Member(Address),
    /// The last change of the validators that was agreed on; absent if there was none.
    Validators,
    /// Where an identity receives notices of a class.
    Designation(Address, String),
}

impl StateKey {
    /// The entry's place in the tree.
    pub fn hash(&self) -> [u8; 32] {
        tagged(Tag::StateKey, &[&encode(self)])
    }
}

/// The value of an entry.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub enum StateRecord {
    /// Under [`StateKey::Chain`].
    Chain(ChainId),
    /// Under [`StateKey::Directory`] and [`StateKey::Bundle`].
    Bundle(BundleRecord),
    /// Under [`StateKey::Receipt`].
    Receipt(ReceiptRecord),
    /// Under [`StateKey::Member`].
    Member(MemberRecord),
    /// Under [`StateKey::Validators`].
    Validators(ValidatorsRecord),
    /// Under [`StateKey::Designation`].
    Designation(DesignationRecord),
}

/// A published key bundle.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct BundleRecord {
    /// The keys.
    pub bundle: KeyBundle,
    /// The transaction that published them.
    pub transaction: TransactionId,
    /// The height of its block.
    pub height: BlockHeight,
    /// From which height on they are withdrawn.
    pub revoked_from: Option<BlockHeight>,
}

/// An answer to a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Encode, Decode)]
pub struct ReceiptRecord {
    /// The receipt's transaction.
    pub receipt: TransactionId,
    /// What it says.
    pub answer: AnswerKind,
    /// The height of its block.
    pub height: BlockHeight,
}

/// The kind of an answer, without its secret or reason.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Encode, Decode)]
pub enum AnswerKind {
    /// Decrypted.
    Opened,
    /// Declined.
    Refused,
}

/// A membership.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Encode, Decode)]
pub struct MemberRecord {
    /// In or out.
    pub status: MemberStatus,
    /// The height of the block that made it so; 0 for the members of the genesis.
    pub since: BlockHeight,
    /// The expiry of the transaction that made it so. The next one must expire later, so that no approval
    /// is used twice.
    pub last_expiry: BlockHeight,
}

impl MemberRecord {
    /// Whether it is a member now.
    pub const fn is_member(&self) -> bool {
        matches!(self.status, MemberStatus::Admitted)
    }
}

/// A change of the validators.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct ValidatorsRecord {
    /// The set, ordered by key.
    pub validators: Vec<Validator>,
    /// The first height it decides.
    pub effective: BlockHeight,
    /// The transaction that changed them.
    pub transaction: TransactionId,
    /// The height of its block.
    pub height: BlockHeight,
}

/// Where notices of a class are received.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Encode, Decode)]
pub struct DesignationRecord {
    /// The address; the owner's own, if it withdrew a redirection.
    pub to: Address,
    /// The transaction that says so.
    pub transaction: TransactionId,
    /// The height of its block.
    pub height: BlockHeight,
}

impl StateRecord {
    /// Canonical bytes, the value in the tree.
    pub fn to_bytes(&self) -> Vec<u8> {
        encode(self)
    }
    /// Reads a record.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, DecodeError> {
        decode("state record", bytes, 64 * 1024)
    }
}

/// Our own storage failed us while the rules were asking it. Never a peer's fault.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("reading the ledger's state: {reason}")]
pub struct ViewError {
    /// What storage said.
    pub reason: String,
}

impl ViewError {
    /// Wraps what storage said.
    pub fn new(reason: impl std::fmt::Display) -> Self {
        Self { reason: reason.to_string() }
    }
}

/// What the rules ask of final blocks. Implemented by the node's store and by [`MemoryState`].
pub trait LedgerView: NodeSource {
    /// The newest value of an entry.
    fn record(&self, key: &StateKey) -> Result<Option<StateRecord>, ViewError>;
    /// The message with that id, if it is final.
    fn message(&self, id: &TransactionId) -> Result<Option<Message>, ViewError>;
    /// Whether a transaction with that id is final.
    fn is_final(&self, id: &TransactionId) -> Result<bool, ViewError>;
}
