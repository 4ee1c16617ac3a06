//! The receipt payload: a recipient's signed answer to a message. `Opened` reveals a secret that only
//! whoever decrypted that slot can know, so it shows that the recipient's key signed *and* that the slot
//! had been decrypted. It does not show that a person read or understood the text.

use crate::codec::{Decode, Encode};
use crate::hash::{ReceiptCommit, Tag, TransactionId, tagged};
use std::fmt;

/// What the recipient says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Encode, Decode)]
pub enum Answer {
    /// Decrypted; the secret matches the slot's commitment.
    Opened {
        /// The slot's receipt secret.
        secret: [u8; 32],
    },
    /// Declined.
    Refused {
        /// Why.
        reason: RefusalReason,
    },
}

/// Why a recipient refuses.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Encode, Decode)]
pub enum RefusalReason {
    /// No reason given.
    Unspecified,
    /// This identity does not take such notices.
    NotResponsible,
    /// The content can't be read or is not understood.
    Unreadable,
    /// Unwanted.
    Unwanted,
    /// The recipient asks for another channel or form.
    OtherChannel,
}

impl RefusalReason {
    /// All reasons, in the order of their numbers.
    pub const ALL: [RefusalReason; 5] = [
        RefusalReason::Unspecified,
        RefusalReason::NotResponsible,
        RefusalReason::Unreadable,
        RefusalReason::Unwanted,
        RefusalReason::OtherChannel,
    ];
    /// Its stable name in commands, JSON and pages.
    pub const fn code(self) -> &'static str {
        match self {
            RefusalReason::Unspecified => "unspecified",
            RefusalReason::NotResponsible => "not-responsible",
            RefusalReason::Unreadable => "unreadable",
            RefusalReason::Unwanted => "unwanted",
            RefusalReason::OtherChannel => "other-channel",
        }
    }
    /// The reason with that name.
    pub fn from_code(code: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|reason| reason.code() == code)
    }
}

impl fmt::Display for RefusalReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.code())
    }
}

/// The receipt payload.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Encode, Decode)]
pub struct Receipt {
    /// The message answered.
    pub message: TransactionId,
    /// Which of its slots.
    pub slot: u16,
    /// The answer.
    pub answer: Answer,
}

/// The commitment that a slot carries to its receipt secret.
pub fn receipt_commit(secret: &[u8; 32]) -> ReceiptCommit {
    ReceiptCommit::from_bytes(tagged(Tag::Receipt, &[secret]))
}
