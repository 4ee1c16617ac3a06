//! What nodes say to each other besides votes: transactions and final blocks told to everybody, and
//! questions one node asks another. Only the words and their bounds stand here; [`gossip`](crate::gossip)
//! carries them, [`sync`](crate::sync) and the mempool give them their meaning.
//!
//! Everything is in the ledger's canonical encoding and bounded before it is read. `docs/protocol.md`
//! describes the bytes.

use bytes::Bytes;
use sealpost_ledger::block::{Block, Header, MAX_HEADER_BYTES};
use sealpost_ledger::certificate::{CommitCertificate, MAX_CERTIFICATE_BYTES};
use sealpost_ledger::codec::{Decode, DecodeError, Encode, MAX_BYTES, decode, encode};
use sealpost_ledger::hash::TransactionId;
use sealpost_ledger::height::BlockHeight;
use sealpost_ledger::message::Body;
use sealpost_ledger::transaction::{MAX_TRANSACTION_BYTES, SignedTransaction};
use sealpost_ledger::validator::Validator;
use std::fmt;
use std::sync::Arc;
use tokio::sync::oneshot;

/// No question is longer than this, in bytes: room for [`MAX_IDS`] ids.
pub const MAX_REQUEST_BYTES: usize = 64 * 1024;
/// No answer is longer than this, in bytes.
pub const MAX_RESPONSE_BYTES: usize = MAX_BYTES;
/// Transaction ids in one question or answer.
pub const MAX_IDS: usize = 1_000;
/// Changes of validators in one answer: each may have a thousand of them, and as many signatures.
pub const MAX_CHANGES: usize = 16;
/// Peers in one answer.
pub const MAX_PEERS: usize = 32;
/// Addresses of one peer in an answer.
pub const MAX_PEER_ADDRESSES: usize = 4;
/// Blocks in one answer.
pub const MAX_BLOCKS: u32 = 256;
/// Bytes of blocks in one answer, unless a single block is longer.
pub const MAX_BLOCKS_BYTES: usize = 4 << 20;

/// Another node, by its network identity.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Peer(Arc<str>);

impl Peer {
    /// Names a peer.
    pub fn new(name: impl fmt::Display) -> Self {
        Self(name.to_string().into())
    }
    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Peer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// What a peer did that no honest node does. Costs it its standing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// It sent what can't be decoded, or what breaks a rule that needs no state to be checked.
    Malformed,
    /// It sent a block or certificate that does not hold.
    FalseBlock,
    /// It did not answer in time, or not what was asked.
    NoAnswer,
    /// It asks or tells more than anybody needs.
    Flood,
}

/// What is to become of something a peer told everybody.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// It holds: tell the others.
    Forward,
    /// Nothing is wrong with it, but nobody needs it from here.
    Drop,
    /// It breaks the rules: its sender pays.
    Refuse,
}

/// A transaction told to everybody.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
#[bincode(crate = "sealpost_ledger::codec")]
pub struct TransactionMessage {
    /// The transaction.
    pub transaction: SignedTransaction,
    /// Its body, if it is a message.
    pub body: Option<Body>,
}

impl TransactionMessage {
    /// No encoded transaction with a body of at most `body_limit` bytes is longer than this, in bytes.
    pub fn max_bytes(body_limit: u32) -> usize {
        MAX_TRANSACTION_BYTES
            .saturating_add(usize::try_from(body_limit).unwrap_or(MAX_BYTES))
            .saturating_add(64)
    }
    /// Reads one.
    pub fn from_bytes(bytes: &[u8], limit: usize) -> Result<Self, DecodeError> {
        decode("transaction message", bytes, limit)
    }
    /// Its bytes.
    pub fn to_bytes(&self) -> Vec<u8> {
        encode(self)
    }
}

/// A new final block, told to everybody: enough to see that it is final, and to fetch it.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
#[bincode(crate = "sealpost_ledger::codec")]
pub struct Announcement {
    /// Its header.
    pub header: Header,
    /// The signatures that made it final.
    pub certificate: CommitCertificate,
}

impl Announcement {
    /// No encoded announcement is longer than this, in bytes.
    pub const MAX_BYTES: usize = MAX_HEADER_BYTES + MAX_CERTIFICATE_BYTES;
    /// Reads one.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, DecodeError> {
        decode("announcement", bytes, Self::MAX_BYTES)
    }
    /// Its bytes.
    pub fn to_bytes(&self) -> Vec<u8> {
        encode(self)
    }
}

/// A change of the validators, as those before it signed it.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
#[bincode(crate = "sealpost_ledger::codec")]
pub struct AnnouncedSet {
    /// The last block that they decided: its header announces the set.
    pub at: Announcement,
    /// The set that decides from the next block on, ordered by key.
    pub validators: Vec<Validator>,
}

/// What shows that a block is final to somebody who knows the validators up to some change.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
#[bincode(crate = "sealpost_ledger::codec")]
pub struct Proof {
    /// The changes after the one that is known, [`MAX_CHANGES`] at most. If that many are given there may be
    /// more, to be asked for anew.
    pub changes: Vec<AnnouncedSet>,
    /// The block.
    pub head: Announcement,
}

/// A question to one node.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
#[bincode(crate = "sealpost_ledger::codec")]
pub enum Request {
    /// How far are you?
    Status,
    /// Final blocks from a height on.
    Blocks {
        /// The first.
        from: BlockHeight,
        /// No more than this many.
        count: u32,
    },
    /// Which transactions wait for a block at your place?
    Waiting,
    /// These transactions, as far as they wait at your place.
    Transactions(Vec<TransactionId>),
    /// What shows that your last block is final, to somebody who knows the validators' changes up to a height?
    Proof {
        /// The block that announced the last change known.
        after: BlockHeight,
    },
    /// Whom do you know?
    Peers,
}

impl Request {
    /// Reads one.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, DecodeError> {
        decode("request", bytes, MAX_REQUEST_BYTES)
    }
    /// Its bytes.
    pub fn to_bytes(&self) -> Vec<u8> {
        encode(self)
    }
}

/// An answer.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
#[bincode(crate = "sealpost_ledger::codec")]
pub enum Response {
    /// To [`Request::Status`].
    Status {
        /// Height of the last final block.
        height: BlockHeight,
        /// From which height on bodies are kept, so that whole blocks can be had. Earlier ones come without.
        oldest: BlockHeight,
    },
    /// To [`Request::Blocks`]: one after the other, from the first that was asked for.
    Blocks(Vec<EncodedBlock>),
    /// To [`Request::Waiting`]: [`MAX_IDS`] at most.
    Waiting(Vec<TransactionId>),
    /// To [`Request::Transactions`].
    Transactions(Vec<TransactionMessage>),
    /// The node has too much to do; ask another, or later.
    Busy,
    /// To [`Request::Proof`].
    Proof(Box<Proof>),
    /// To [`Request::Peers`]: [`MAX_PEERS`] at most, each with [`MAX_PEER_ADDRESSES`] at most.
    Peers(Vec<PeerAddresses>),
}

/// Where a peer is, as far as somebody knows.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
#[bincode(crate = "sealpost_ledger::codec")]
pub struct PeerAddresses {
    /// Its network identity.
    pub peer: String,
    /// Multiaddresses.
    pub addresses: Vec<String>,
}

/// A final block on its way.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
#[bincode(crate = "sealpost_ledger::codec")]
pub struct EncodedBlock {
    /// The block in its canonical bytes: with its bodies, or with an empty list of them if they are older than
    /// the sender keeps them. A block without messages is the same either way.
    pub block: Vec<u8>,
    /// The signatures that made it final.
    pub certificate: CommitCertificate,
}

impl From<(Bytes, CommitCertificate)> for EncodedBlock {
    fn from((block, certificate): (Bytes, CommitCertificate)) -> Self {
        Self { block: block.into(), certificate }
    }
}

impl EncodedBlock {
    /// Reads the block. Whether it holds is another question.
    pub fn read(&self) -> Result<Block, DecodeError> {
        Block::from_bytes(&self.block)
    }
}

impl Response {
    /// Reads one.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, DecodeError> {
        decode("response", bytes, MAX_RESPONSE_BYTES)
    }
    /// Its bytes.
    pub fn to_bytes(&self) -> Vec<u8> {
        encode(self)
    }
}

/// A transaction that a peer told, and where its verdict is awaited.
#[derive(Debug)]
pub struct ToldTransaction {
    /// The transaction and its body.
    pub message: TransactionMessage,
    /// Where the verdict is awaited; dropped, it counts as [`Verdict::Drop`].
    pub verdict: oneshot::Sender<Verdict>,
}

/// What is heard of other nodes' chains.
#[derive(Debug)]
pub enum News {
    /// A peer says how far it is.
    Status {
        /// Who.
        peer: Peer,
        /// Its last final block.
        height: BlockHeight,
        /// From where on it has whole blocks.
        oldest: BlockHeight,
    },
    /// A peer tells of a final block.
    Announced {
        /// Who.
        peer: Peer,
        /// Header and certificate.
        announcement: Box<Announcement>,
        /// Where the verdict is awaited.
        verdict: oneshot::Sender<Verdict>,
    },
    /// A peer has left.
    Gone {
        /// Who.
        peer: Peer,
    },
}

/// A question to a peer, and where its answer is awaited.
#[derive(Debug)]
pub struct Ask {
    /// Whom.
    pub peer: Peer,
    /// What.
    pub request: Request,
    /// The answer; nothing if none came in time.
    pub answer: oneshot::Sender<Option<Response>>,
}

/// What is told to everybody.
#[derive(Debug, Clone)]
pub enum Tell {
    /// A transaction, encoded as [`TransactionMessage`].
    Transaction(Bytes),
    /// A final block, encoded as [`Announcement`].
    Block(Bytes),
}

/// A connected peer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PeerInfo {
    /// Its network identity.
    pub peer: Peer,
    /// Where it is, as a multiaddress.
    pub address: String,
    /// Whether it came to us.
    pub incoming: bool,
    /// What program it says it is.
    pub agent: Option<String>,
    /// The last final block it told of.
    pub height: Option<u64>,
    /// Its standing, 0 for a peer without faults, 100 for one about to be banned.
    pub faults: u32,
    /// Seconds since it connected.
    pub seconds: u64,
}

/// What a node wants of its mempool for others.
#[derive(Debug)]
pub enum PoolWish {
    /// The ids of what waits, [`MAX_IDS`] at most, the longest waiting first.
    Ids(oneshot::Sender<Vec<TransactionId>>),
    /// Those of these ids that do not wait here.
    Missing(Vec<TransactionId>, oneshot::Sender<Vec<TransactionId>>),
    /// These transactions, as far as they wait here and together have no more than a number of bytes.
    Get(Vec<TransactionId>, usize, oneshot::Sender<Vec<TransactionMessage>>),
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::consensus::testing::{genesis, key, key_bundle};
    use proptest::prelude::*;

    fn message() -> TransactionMessage {
        let genesis = genesis(&[key(1)]);
        let transaction = key_bundle(&genesis, &key(2), 1, BlockHeight::new(50)).signed().clone();
        TransactionMessage { transaction, body: None }
    }

    #[test]
    fn what_is_said_is_understood() {
        for request in [
            Request::Status,
            Request::Blocks { from: BlockHeight::new(7), count: 3 },
            Request::Waiting,
            Request::Transactions(vec![TransactionId::from_bytes([3; 32]); MAX_IDS]),
            Request::Proof { after: BlockHeight::new(9) },
        ] {
            assert_eq!(Request::from_bytes(&request.to_bytes()), Ok(request));
        }
        let told = message();
        assert_eq!(TransactionMessage::from_bytes(&told.to_bytes(), 10_000), Ok(told.clone()));
        let answer = Response::Transactions(vec![told]);
        assert_eq!(Response::from_bytes(&answer.to_bytes()), Ok(answer));
    }

    /// As the protocol page counts them.
    #[test]
    fn questions_and_answers_have_their_numbers() {
        let from = BlockHeight::FIRST;
        let questions = [
            Request::Status,
            Request::Blocks { from, count: 1 },
            Request::Waiting,
            Request::Transactions(Vec::new()),
            Request::Proof { after: from },
            Request::Peers,
        ];
        for (number, question) in (0..).zip(questions) {
            assert_eq!(question.to_bytes().first(), Some(&number));
        }
        let answers = [
            Response::Status { height: from, oldest: from },
            Response::Blocks(Vec::new()),
            Response::Waiting(Vec::new()),
            Response::Transactions(Vec::new()),
            Response::Busy,
        ];
        for (number, answer) in (0..).zip(answers) {
            assert_eq!(answer.to_bytes().first(), Some(&number));
        }
        assert_eq!(Response::Peers(Vec::new()).to_bytes(), [6, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
    }

    #[test]
    fn a_transaction_beyond_the_limit_is_refused_unread() {
        let bytes = message().to_bytes();
        let refused = TransactionMessage::from_bytes(&bytes, bytes.len() - 1);
        assert!(matches!(refused, Err(DecodeError::TooLong { .. })));
    }

    proptest! {
        #[test]
        fn noise_never_panics_and_what_decodes_encodes_back(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
            if let Ok(request) = Request::from_bytes(&bytes) {
                prop_assert_eq!(request.to_bytes(), bytes.clone());
            }
            if let Ok(response) = Response::from_bytes(&bytes) {
                prop_assert_eq!(response.to_bytes(), bytes.clone());
            }
            if let Ok(announcement) = Announcement::from_bytes(&bytes) {
                prop_assert_eq!(announcement.to_bytes(), bytes.clone());
            }
            if let Ok(told) = TransactionMessage::from_bytes(&bytes, 1_000) {
                prop_assert_eq!(told.to_bytes(), bytes);
            }
        }
    }
}
