//! Answers inside a disclosed sealed message. The ledger knows nothing of what letters say; this reads as
//! much of one as is needed to find the receipts that never stand on the ledger.

use super::findings::{Finding, SealedAnswer};
use crate::address::Address;
use crate::codec::{Decode, Encode, decode};
use crate::hash::TransactionId;
use crate::receipt::{Answer, Receipt, receipt_commit};

/// A content is no longer than this, in bytes (8 MiB): twice what the largest body of any network holds.
pub const MAX_CONTENT_BYTES: usize = 8 * 1024 * 1024;
/// A letter has at most so many attachments, and so many answers. Both bounds together keep what a letter takes in memory
/// below what the decoder allows, so that whoever decodes in another way reads the same letters.
pub const MAX_LETTER_ENTRIES: usize = 10_000;

/// The content of a message, as `docs/protocol.md` 7 lays it out.
#[derive(Encode, Decode)]
enum Content {
    Letter(Letter),
    Part { _parcel: [u8; 16], _number: u32, _bytes: Vec<u8> },
}

#[derive(Encode, Decode)]
struct Letter {
    _subject: String,
    _text: String,
    _continued: Option<Parts>,
    _reply_to: Option<TransactionId>,
    answers: Vec<Receipt>,
    attachments: Vec<(String, Data)>,
}

#[derive(Encode, Decode)]
enum Data {
    Whole(Vec<u8>),
    Parts(Parts),
}

#[derive(Encode, Decode)]
struct Parts {
    _length: u64,
    _sha256: [u8; 32],
    _messages: Vec<TransactionId>,
}

/// The answers in a content, as its author's. None if it is no letter, which is nobody's fault: the
/// commitment covers any bytes.
pub(super) fn sealed_answers(content: &[u8], by: Address) -> Vec<Finding> {
    let Ok(Content::Letter(letter)) = decode::<Content>("content", content, MAX_CONTENT_BYTES) else {
        return Vec::new();
    };
    if letter.answers.len().max(letter.attachments.len()) > MAX_LETTER_ENTRIES {
        return Vec::new();
    }
    let answers = letter.answers.into_iter().map(|Receipt { message, slot, answer }| {
        let answer = match answer {
            Answer::Opened { secret } => SealedAnswer::Opened { commit: receipt_commit(&secret) },
            Answer::Refused { reason } => SealedAnswer::Refused { reason },
        };
        Finding::SealedAnswer { by, message, slot, answer }
    });
    answers.collect()
}
