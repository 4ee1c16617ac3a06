//! The payloads that change who runs and who may use the network. They decode, and are refused as not
//! active yet: their rules are not written.

use crate::address::Address;
use crate::codec::{Decode, Encode};
use crate::height::BlockHeight;
use crate::signature::Signature;
use crate::validator::Validator;

/// "Notices of this class reach me at that address."
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct Designate {
    /// Class of notices, in the network's own words.
    pub class: String,
    /// Where they are received.
    pub to: Address,
}

/// A new validator set, agreed by two thirds of the present one.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct ValidatorsChange {
    /// The set to be.
    pub validators: Vec<Validator>,
    /// The first height it decides.
    pub effective: BlockHeight,
    /// Signatures of present validators, by their position in the present set.
    pub approvals: Vec<(u16, Signature)>,
}

/// Admits a member or ends a membership.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct MemberChange {
    /// Whom.
    pub address: Address,
    /// In or out.
    pub status: MemberStatus,
    /// Signatures of present validators, by their position in the present set.
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
