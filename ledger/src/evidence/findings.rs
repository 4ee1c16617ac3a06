//! What checked evidence says, fact by fact. Each fact knows what it shows and what it does not: a proof
//! is only useful to a stranger who is told where it ends.
//!
//! Where ETSI EN 319 522-1 has an evidence event of the same meaning, its name is given for orientation.
//! It claims no conformance: Sealpost is no licensed delivery service, and its evidence is no legal term.

use crate::address::{Address, AddressPrefix};
use crate::block::Header;
use crate::genesis::Genesis;
use crate::hash::{BlockHash, BodyHash, ChainId, ContentCommit, KeyCommit, ReceiptCommit, TransactionId};
use crate::height::BlockHeight;
use crate::message::Mode;
use crate::receipt::RefusalReason;
use crate::signature::PublicKey;
use crate::state::BundleRecord;
use crate::validator::ValidatorSet;
use serde::Serialize;

/// All that a piece of evidence shows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Findings {
    chain: ChainId,
    chain_name: String,
    prefix: AddressPrefix,
    message: TransactionId,
    list: Vec<Finding>,
}

/// One fact.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Finding {
    /// The sender's key signed the message.
    Signed {
        /// The sender; a one-time key if the message is sealed.
        by: Address,
        /// What they signed.
        message: TransactionId,
        /// Whether sender and recipients can be seen.
        mode: Mode,
    },
    /// The message stands in a final block.
    InBlock {
        /// The block.
        place: Place,
        /// The message's position among the block's transactions.
        index: u32,
    },
    /// Validators made the message's block final.
    Committed {
        /// The block.
        height: BlockHeight,
        /// Who signed.
        commit: Commit,
    },
    /// All recipients were sent one and the same content. Found wherever there are several.
    SameForAll {
        /// How many there are.
        recipients: usize,
        /// Hash of the one body.
        body: BodyHash,
        /// Commitment to the one key that opens it.
        key: KeyCommit,
        /// Commitment to the one content.
        content: ContentCommit,
    },
    /// The recipient's key bundle that a slot names stood in the key directory.
    KeyUsed {
        /// The slot.
        slot: u16,
        /// Whose bundle it is.
        owner: Address,
        /// Its number.
        sequence: u64,
        /// The transaction that published it.
        published_in: TransactionId,
        /// The height of its block.
        published_at: BlockHeight,
        /// Whether senders should have used it.
        standing: KeyStanding,
    },
    /// The recipient signed that they opened it, and showed that it had been decrypted.
    Opened {
        /// The slot.
        slot: u16,
        /// The recipient.
        by: Address,
        /// The receipt.
        receipt: TransactionId,
        /// The receipt's block.
        place: Place,
    },
    /// The recipient signed that they refuse it.
    Refused {
        /// The slot.
        slot: u16,
        /// The recipient.
        by: Address,
        /// The receipt.
        receipt: TransactionId,
        /// Why.
        reason: RefusalReason,
        /// The receipt's block.
        place: Place,
    },
    /// No answer stood on the ledger at that block.
    Unanswered {
        /// The slot.
        slot: u16,
        /// Who could have answered.
        recipient: Address,
        /// The block.
        place: Place,
    },
    /// The file carries the message's encrypted body.
    BodyAttached {
        /// Its hash.
        hash: BodyHash,
        /// Its length in bytes.
        length: usize,
    },
    /// The file carries the message's plaintext.
    ContentDisclosed {
        /// What it was checked against.
        commit: ContentCommit,
        /// Its length in bytes.
        length: usize,
    },
    /// The author of a sealed message signed inside that they wrote it, and to whom.
    Authored {
        /// The author.
        by: Address,
        /// The recipients, in the order of the slots.
        to: Vec<Address>,
    },
    /// A sealed message carries its author's answer to another sealed message.
    SealedAnswer {
        /// Who answers: the author.
        by: Address,
        /// The message that is answered.
        message: TransactionId,
        /// Its slot.
        slot: u16,
        /// What the answer says.
        answer: SealedAnswer,
    },
}

/// What an answer inside a sealed message says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SealedAnswer {
    /// Decrypted.
    Opened {
        /// What the revealed secret gives, to be compared with the commitment of the answered slot.
        commit: ReceiptCommit,
    },
    /// Declined.
    Refused {
        /// Why.
        reason: RefusalReason,
    },
}

/// A final block.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// Its height.
    pub height: BlockHeight,
    /// Its hash.
    pub block: BlockHash,
    /// Its proposer's clock, in milliseconds since 1970 UTC.
    pub time_ms: u64,
    /// Who made it final.
    pub commit: Commit,
}

/// The validators that made a block final.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Commit {
    /// Those that signed.
    pub signers: Vec<PublicKey>,
    /// How many validators were in office.
    pub validators: usize,
    /// Power that signed.
    pub signed_power: u64,
    /// Power of all in office.
    pub total_power: u64,
    /// Least power that decides.
    pub quorum: u64,
}

/// Whether senders should have used a key bundle at the message's height.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeyStanding {
    /// Yes.
    Valid {
        /// The last height at which they should.
        until: BlockHeight,
    },
    /// No: it was past its last height.
    Expired {
        /// That height.
        since: BlockHeight,
    },
    /// No: its owner had published a newer one. The secret of an older one is usually destroyed.
    Superseded {
        /// The number of the newest.
        by: u64,
        /// The height of its block.
        since: BlockHeight,
    },
    /// No: its owner had withdrawn it.
    Revoked {
        /// From that height on.
        from: BlockHeight,
    },
}

/// A finding in words, for output as text, JSON or HTML.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct FindingLine {
    /// Stable name of the kind of fact.
    pub code: &'static str,
    /// The fact in two or three words.
    pub label: &'static str,
    /// Its particulars.
    pub fact: String,
    /// What it shows.
    pub shows: &'static str,
    /// What it does not.
    pub does_not_show: &'static str,
    /// The evidence event of ETSI EN 319 522-1 that comes nearest, if one does.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub etsi: Option<&'static str>,
}

impl Findings {
    pub(super) fn new(genesis: &Genesis, message: TransactionId, list: Vec<Finding>) -> Self {
        let (chain, chain_name) = (genesis.chain_id(), genesis.chain_name().to_owned());
        Self { chain, chain_name, prefix: genesis.prefix().clone(), message, list }
    }
    /// The network.
    pub const fn chain(&self) -> ChainId {
        self.chain
    }
    /// The network's name for people.
    pub fn chain_name(&self) -> &str {
        &self.chain_name
    }
    /// The message that the evidence is about.
    pub const fn message(&self) -> TransactionId {
        self.message
    }
    /// The facts, those first that the others rest on.
    pub fn list(&self) -> &[Finding] {
        &self.list
    }
    /// The facts in words.
    pub fn lines(&self) -> Vec<FindingLine> {
        self.list.iter().map(|finding| finding.line(&self.prefix)).collect()
    }
}

impl Finding {
    /// Stable name of the kind of fact.
    pub const fn code(&self) -> &'static str {
        match self {
            Finding::Signed { .. } => "signed",
            Finding::InBlock { .. } => "in_block",
            Finding::Committed { .. } => "committed",
            Finding::SameForAll { .. } => "same_for_all",
            Finding::KeyUsed { .. } => "key_used",
            Finding::Opened { .. } => "opened",
            Finding::Refused { .. } => "refused",
            Finding::Unanswered { .. } => "unanswered",
            Finding::BodyAttached { .. } => "body_attached",
            Finding::ContentDisclosed { .. } => "content_disclosed",
            Finding::Authored { .. } => "authored",
            Finding::SealedAnswer { .. } => "sealed_answer",
        }
    }
    /// The fact in two or three words; [`fact`](Self::fact) goes on from there.
    pub const fn label(&self) -> &'static str {
        match self {
            Finding::Signed { .. } => "signed by",
            Finding::InBlock { .. } => "in block",
            Finding::Committed { .. } => "committed by",
            Finding::SameForAll { .. } => "same for all",
            Finding::KeyUsed { .. } => "key named",
            Finding::Opened { .. } => "opened by",
            Finding::Refused { .. } => "refused by",
            Finding::Unanswered { .. } => "no answer by",
            Finding::BodyAttached { .. } => "body attached",
            Finding::ContentDisclosed { .. } => "content shown",
            Finding::Authored { .. } => "written by",
            Finding::SealedAnswer { .. } => "answer inside",
        }
    }
    /// The particulars, with addresses as that network writes them.
    pub fn fact(&self, prefix: &AddressPrefix) -> String {
        let name = |address: &Address| address.to_text(prefix);
        match self {
            Finding::Signed { by, mode: Mode::Open, .. } => name(by),
            Finding::Signed { by, mode: Mode::Sealed, .. } => format!("{} (a one-time key)", name(by)),
            Finding::InBlock { place, index } => {
                format!("{} ({}), transaction {index}", place.height, place.block)
            }
            Finding::Committed { commit, .. } => commit.in_words(),
            Finding::SameForAll { recipients, body, key, content } => {
                format!(
                    "{recipients} recipients, body {body}, key commitment {key}, content commitment {content}"
                )
            }
            Finding::KeyUsed { owner, sequence, published_at, standing, .. } => {
                let standing = match standing {
                    KeyStanding::Valid { until } => format!("valid until {until}"),
                    KeyStanding::Expired { since } => format!("past its last height {since}"),
                    KeyStanding::Superseded { by, since } => {
                        format!("superseded by bundle {by} in block {since}")
                    }
                    KeyStanding::Revoked { from } => format!("withdrawn from height {from} on"),
                };
                format!("bundle {sequence} of {}, published in block {published_at}, {standing}", name(owner))
            }
            Finding::Opened { by, place, .. } => format!("{} in block {}", name(by), place.height),
            Finding::Refused { by, place, reason, .. } => {
                format!("{} in block {}: {reason}", name(by), place.height)
            }
            Finding::Unanswered { recipient, place, .. } => {
                format!("{} up to block {}", name(recipient), place.height)
            }
            Finding::BodyAttached { length, hash } => format!("{length} bytes, hash {hash}"),
            Finding::ContentDisclosed { length, commit } => format!("{length} bytes, commitment {commit}"),
            Finding::Authored { by, to } => {
                let to: Vec<_> = to.iter().map(name).collect();
                format!("{} to {}", name(by), to.join(", "))
            }
            Finding::SealedAnswer { by, message, slot, answer } => {
                let answer = match answer {
                    SealedAnswer::Opened { commit } => format!("opened, receipt commitment {commit}"),
                    SealedAnswer::Refused { reason } => format!("refused: {reason}"),
                };
                format!("{} on slot {slot} of message {message}: {answer}", name(by))
            }
        }
    }
    /// What the fact shows.
    pub const fn shows(&self) -> &'static str {
        match self {
            Finding::Signed { mode: Mode::Open, .. } => {
                "the key behind this address signed exactly this message"
            }
            Finding::Signed { mode: Mode::Sealed, .. } => {
                "whoever made the message signed it with a key made for it alone"
            }
            Finding::InBlock { .. } => {
                "the message stands at this place of the ledger, which two thirds of the validators made final"
            }
            Finding::Committed { .. } => "these validators signed the block, and they were enough to decide",
            Finding::SameForAll { .. } => {
                "the sender signed one header with one body, one key and one content for all of them: whoever opens \
                 it gets this content and no other"
            }
            Finding::KeyUsed { standing: KeyStanding::Valid { .. }, .. } => {
                "the message names its recipient's newest published key, and it was valid at the time"
            }
            Finding::KeyUsed { .. } => {
                "the message names a key that its recipient had published, but that was no longer to be used"
            }
            Finding::Opened { .. } => {
                "the recipient's key signed this answer, and the message had been decrypted by then"
            }
            Finding::Refused { .. } => "the recipient's key signed that it declines the message",
            Finding::Unanswered { .. } => {
                "the ledger held no answer for this recipient when this block was final"
            }
            Finding::BodyAttached { .. } => "the file carries the encrypted body that the sender signed for",
            Finding::ContentDisclosed { .. } => {
                "the sender committed to exactly this content when they signed"
            }
            Finding::Authored { .. } => {
                "the key behind the author's address signed this content, for exactly these recipients, and the \
                 message was sent with that author and those recipients inside"
            }
            Finding::SealedAnswer { answer: SealedAnswer::Opened { .. }, .. } => {
                "the author's key signed that they opened that message; if its slot is theirs and carries this \
                 receipt commitment, as that message's own evidence says, they had decrypted it"
            }
            Finding::SealedAnswer { answer: SealedAnswer::Refused { .. }, .. } => {
                "the author's key signed that they decline that message"
            }
        }
    }
    /// What the fact does not show.
    pub const fn does_not_show(&self) -> &'static str {
        match self {
            Finding::Signed { mode: Mode::Open, .. } => {
                "who held the key, nor which person or firm the address belongs to"
            }
            Finding::Signed { mode: Mode::Sealed, .. } => "who wrote it: the author's signature is inside",
            Finding::InBlock { .. } => {
                "the exact time: the order is certain, the time is the proposer's word, no earlier than that of the \
                 block before"
            }
            Finding::Committed { .. } => {
                "that the validators are independent of each other or honest, nor that they kept their keys safe \
                 after they left office"
            }
            Finding::SameForAll { .. } => {
                "that each of them could open it, nor that none of them was sent something else besides"
            }
            Finding::KeyUsed { standing: KeyStanding::Valid { .. }, .. } => {
                "that the recipient still had the secret part, nor that the message was really encrypted to this key"
            }
            Finding::KeyUsed { .. } => {
                "that the sender could know so when signing, nor that the message was really encrypted to this key"
            }
            Finding::Opened { .. } => "that a person read or understood it",
            Finding::Refused { .. } => "that the recipient knew the content, nor that the reason is true",
            Finding::Unanswered { .. } => {
                "that the recipient could open it, nor that they did not see it, nor that no answer came later"
            }
            Finding::BodyAttached { .. } => "what the body says: it is encrypted",
            Finding::ContentDisclosed { .. } => {
                "that the content is true, nor by itself that a recipient read it or could decrypt the body"
            }
            Finding::Authored { .. } => {
                "who held the key, nor that a slot was really made for the recipient it is said to be for"
            }
            Finding::SealedAnswer { .. } => {
                "that the answered slot is the author's, which that message's own evidence says, nor that there \
                 was no earlier answer, nor that a person read or understood it"
            }
        }
    }
    /// The evidence event of ETSI EN 319 522-1 that comes nearest, if one does.
    pub const fn etsi(&self) -> Option<&'static str> {
        match self {
            Finding::InBlock { .. } => Some("SubmissionAcceptance"),
            Finding::Opened { .. } => Some("ContentHandover"),
            Finding::Refused { .. } | Finding::SealedAnswer { answer: SealedAnswer::Refused { .. }, .. } => {
                Some("ConsignmentRejection")
            }
            Finding::Unanswered { .. } => Some("AcceptanceRejectionExpiry"),
            Finding::Signed { .. }
            | Finding::Committed { .. }
            | Finding::SameForAll { .. }
            | Finding::KeyUsed { .. }
            | Finding::BodyAttached { .. }
            | Finding::ContentDisclosed { .. }
            | Finding::Authored { .. }
            | Finding::SealedAnswer { answer: SealedAnswer::Opened { .. }, .. } => None,
        }
    }
    /// The fact in words.
    pub fn line(&self, prefix: &AddressPrefix) -> FindingLine {
        FindingLine {
            code: self.code(),
            label: self.label(),
            fact: self.fact(prefix),
            shows: self.shows(),
            does_not_show: self.does_not_show(),
            etsi: self.etsi(),
        }
    }
}

impl Place {
    pub(super) fn of(header: &Header, commit: &Commit) -> Self {
        let commit = commit.clone();
        Self { height: header.height, block: header.hash(), time_ms: header.time_ms, commit }
    }
}

impl Commit {
    pub(super) fn of(set: &ValidatorSet, positions: impl Iterator<Item = u16>) -> Self {
        let signed: Vec<_> = positions.filter_map(|position| set.get(position)).collect();
        Self {
            signers: signed.iter().map(|validator| validator.key).collect(),
            validators: set.count(),
            signed_power: signed.iter().fold(0, |sum, validator| sum.saturating_add(validator.power)),
            total_power: set.total_power(),
            quorum: set.quorum(),
        }
    }
    /// Who signed, in numbers.
    pub fn in_words(&self) -> String {
        format!(
            "{} of {} validators, power {} of {} ({} needed)",
            self.signers.len(),
            self.validators,
            self.signed_power,
            self.total_power,
            self.quorum
        )
    }
}

impl KeyStanding {
    pub(super) fn of(record: &BundleRecord, newest: Option<&BundleRecord>, at: BlockHeight) -> Self {
        match (record.revoked_from, newest) {
            (Some(from), _) if from <= at => KeyStanding::Revoked { from },
            _ if record.bundle.valid_until < at => KeyStanding::Expired { since: record.bundle.valid_until },
            (_, Some(newest)) => KeyStanding::Superseded { by: newest.bundle.sequence, since: newest.height },
            _ => KeyStanding::Valid { until: record.bundle.valid_until },
        }
    }
}
