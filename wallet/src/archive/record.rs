//! What the archive keeps of a letter: enough to read it, to disclose it, to answer for it and to say where it
//! stands, without the key that opened it and without a node.

use sealpost_ledger::address::Address;
use sealpost_ledger::block::Header;
use sealpost_ledger::codec::{Decode, DecodeError, Encode, MAX_BYTES, decode, encode};
use sealpost_ledger::hash::TransactionId;
use sealpost_ledger::transaction::SignedTransaction;

use crate::envelope::{Content, Letter};

/// Which way a letter went.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Encode, Decode)]
#[bincode(crate = "sealpost_ledger::codec")]
pub enum Way {
    /// To this wallet.
    Came,
    /// From this wallet.
    Went,
}

/// A letter as it is kept. Whoever makes one has verified the transaction's place and opened or written the
/// content; the archive's encryption vouches for it from then on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// The message.
    pub transaction: SignedTransaction,
    /// Its content.
    pub letter: Letter,
    /// What is not in either.
    pub facts: Facts,
}

/// What stands neither in the transaction nor in the letter.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
#[bincode(crate = "sealpost_ledger::codec")]
pub struct Facts {
    /// Which way it went.
    pub way: Way,
    /// Who wrote it.
    pub author: Address,
    /// Whom to, as far as it is known.
    pub to: Vec<Address>,
    /// Header of its block.
    pub header: Header,
    /// Position in the block.
    pub index: u32,
    /// Slot that was opened.
    pub slot: u16,
    /// Salt of the content commitment.
    pub salt: [u8; 32],
    /// Canonical bytes of the content.
    pub content: Vec<u8>,
    /// What a sealed message has inside to show who wrote it, encoded.
    pub author_block: Option<Vec<u8>>,
    /// The whole text, if it came in parts.
    pub whole_text: Option<String>,
    /// What answers for it; only its recipient has one.
    pub receipt_secret: Option<[u8; 32]>,
    /// When it was kept, milliseconds since 1970 UTC.
    pub kept_ms: u64,
}

/// The encoded form. Another one gets another variant.
#[derive(Encode, Decode)]
#[bincode(crate = "sealpost_ledger::codec")]
enum Encoded {
    First { transaction: Vec<u8>, facts: Facts },
}

impl Record {
    /// No record may be longer.
    pub const MAX_BYTES: usize = MAX_BYTES;

    /// A record; nothing if the content is no letter.
    pub fn new(transaction: SignedTransaction, facts: Facts) -> Option<Self> {
        let letter = read_letter(&facts).ok()??;
        Some(Self { transaction, letter, facts })
    }
    /// The message's id.
    pub fn id(&self) -> TransactionId {
        self.transaction.id()
    }
    /// Canonical bytes.
    pub fn to_bytes(&self) -> Vec<u8> {
        encode(&Encoded::First { transaction: self.transaction.to_bytes(), facts: self.facts.clone() })
    }
    /// Reads canonical bytes.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, DecodeError> {
        let Encoded::First { transaction, facts } = decode("archived letter", bytes, Self::MAX_BYTES)?;
        let transaction = SignedTransaction::from_bytes(&transaction)?;
        let no_letter = || DecodeError::Malformed { what: "archived letter", reason: "it is a part".into() };
        let letter = read_letter(&facts)?.ok_or_else(no_letter)?;
        Ok(Self { transaction, letter, facts })
    }
}

fn read_letter(facts: &Facts) -> Result<Option<Letter>, DecodeError> {
    let Content::Letter(mut letter) = Content::from_bytes(&facts.content)? else { return Ok(None) };
    if let Some(text) = &facts.whole_text {
        letter.text.clone_from(text);
        letter.continued = None;
    }
    Ok(Some(letter))
}
