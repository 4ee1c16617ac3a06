//! The payloads that change who runs and who may use the network, and what validators sign to approve them.
//! The one exception is [`Designate`]: it is its sender's own word and needs nobody's approval.
//!
//! An approval binds the present set, so that it ends with it, and something that can happen only once: the
//! height from which a new set decides, or the expiry of the transaction that changes a member.

use crate::address::Address;
use crate::codec::{Decode, Encode, encode};
use crate::hash::{ChainId, Tag, ValidatorsHash, tagged};
use crate::height::BlockHeight;
use crate::signature::Signature;
use crate::validator::Validator;

/// A class of notices is no longer than this, in bytes.
pub const MAX_CLASS_BYTES: usize = 64;

/// "Notices of this class reach me at that address."
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct Designate {
    /// Class of notices, in the network's own words: see [`is_class`].
    pub class: String,
    /// Where they are received; the sender itself, if they are not redirected any more.
    pub to: Address,
}

/// Whether a text names a class of notices: 1 to [`MAX_CLASS_BYTES`] of `a-z`, `0-9`, `.`, `-`.
pub fn is_class(text: &str) -> bool {
    let plain = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || matches!(b, b'.' | b'-');
    (1..=MAX_CLASS_BYTES).contains(&text.len()) && text.bytes().all(plain)
}

/// A new validator set, agreed by two thirds of the present one.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct ValidatorsChange {
    /// The set to be, ordered by key.
    pub validators: Vec<Validator>,
    /// The first height it decides.
    pub effective: BlockHeight,
    /// Signatures over [`validators_approval`] by present validators, by their position in the present
    /// set, strictly ascending.
    pub approvals: Vec<(u16, Signature)>,
}

/// Admits a member or ends a membership.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct MemberChange {
    /// Whom.
    pub address: Address,
    /// In or out.
    pub status: MemberStatus,
    /// Signatures over [`member_approval`] by present validators, by their position in the present set,
    /// strictly ascending.
    pub approvals: Vec<(u16, Signature)>,
}

/// Whether an identity is a member.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Encode, Decode)]
pub enum MemberStatus {
    /// Sends within a quota without postage.
    Admitted,
    /// No longer does.
    Ended,
}

impl MemberStatus {
    /// Its name in RPC, commands and pages.
    pub const fn name(self) -> &'static str {
        match self {
            MemberStatus::Admitted => "admitted",
            MemberStatus::Ended => "ended",
        }
    }
}

/// What a validator of the present set signs to approve a new one, which is ordered by key.
pub fn validators_approval(
    chain: &ChainId,
    present: &ValidatorsHash,
    effective: BlockHeight,
    validators: &[Validator],
) -> [u8; 32] {
    let (effective, validators) = (effective.get().to_le_bytes(), encode(&validators));
    tagged(Tag::ValidatorsApproval, &[chain.as_bytes(), present.as_bytes(), &effective, &validators])
}

/// What a validator of the present set signs to approve a change of a member. `expiry` is that of the
/// transaction: a change is taken in only if it expires later than the last one of the same member did, so
/// that an old approval can never be used again.
pub fn member_approval(
    chain: &ChainId,
    present: &ValidatorsHash,
    expiry: BlockHeight,
    address: &Address,
    status: MemberStatus,
) -> [u8; 32] {
    let (expiry, status) = (expiry.get().to_le_bytes(), encode(&status));
    let parts: &[&[u8]] = &[chain.as_bytes(), present.as_bytes(), &expiry, address.as_bytes(), &status];
    tagged(Tag::MemberApproval, parts)
}
