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
use sealpost_ledger::transaction::{MAX_TRANSACTION_BYTES, SignedTransaction, VerifiedTransaction};
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
/// Transactions told in one message at most.
pub const MAX_TOLD: usize = 256;
/// Bytes of transactions that this node packs into one message, unless a single one is longer. Each hop takes a
/// message whole before it passes it on: with more the first of many would wait for the last on a slow line, and
/// a peer that reads slowly would keep more of this node's memory. What a message costs by itself is little
/// among a hundred transactions already.
pub const PACKED_BYTES: usize = 64 * 1024;

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

/// A transaction as nodes hand it to one another.
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
    fn max_bytes(body_limit: u32) -> usize {
        MAX_TRANSACTION_BYTES
            .saturating_add(usize::try_from(body_limit).unwrap_or(MAX_BYTES))
            .saturating_add(64)
    }
    /// Bytes of it when it is encoded.
    pub fn bytes(&self) -> usize {
        // Whether there is a body, and its length.
        let body = self.body.as_ref().map_or(1, |body| body.as_bytes().len().saturating_add(9));
        self.transaction.as_bytes().len().saturating_add(body)
    }
}

impl From<&VerifiedTransaction> for TransactionMessage {
    fn from(transaction: &VerifiedTransaction) -> Self {
        Self { transaction: transaction.signed().clone(), body: transaction.body().cloned() }
    }
}

/// Transactions told to everybody in one message: [`MAX_TOLD`] at most, and never none.
#[derive(Debug, Clone, PartialEq, Eq, Default, Encode, Decode)]
#[bincode(crate = "sealpost_ledger::codec")]
pub struct TransactionBatch(Vec<TransactionMessage>);

impl TransactionBatch {
    /// No encoded batch is longer than this, in bytes: it holds any one transaction.
    pub fn max_bytes(body_limit: u32) -> usize {
        TransactionMessage::max_bytes(body_limit).saturating_add(8)
    }
    /// A batch of one transaction.
    pub fn of_one(transaction: TransactionMessage) -> Self {
        Self(vec![transaction])
    }
    /// How many transactions the bytes of a batch say they hold: known before anything else of them is read.
    /// Nothing if no batch holds so many.
    pub fn announced(bytes: &[u8]) -> Option<u32> {
        let count = usize::try_from(u64::from_le_bytes(*bytes.first_chunk()?)).ok()?;
        u32::try_from(count).ok().filter(|_| (1..=MAX_TOLD).contains(&count))
    }
    /// Reads one.
    pub fn from_bytes(bytes: &[u8], limit: usize) -> Result<Self, DecodeError> {
        let what = "transaction batch";
        if Self::announced(bytes).is_none() {
            return Err(DecodeError::Malformed { what, reason: format!("1 to {MAX_TOLD} are one") });
        }
        decode(what, bytes, limit)
    }
    /// Its bytes.
    pub fn to_bytes(&self) -> Vec<u8> {
        encode(self)
    }
    /// How many it holds.
    pub fn count(&self) -> u32 {
        u32::try_from(self.0.len()).unwrap_or(u32::MAX)
    }
    /// The transactions.
    pub fn into_transactions(self) -> Vec<TransactionMessage> {
        self.0
    }
}

/// Packs transactions into as few batches as they fit in, in their order.
#[derive(Debug, Default)]
pub struct Packer {
    batch: TransactionBatch,
    bytes: usize,
}

impl Packer {
    /// Adds a transaction. Gives the batch before it if that has no room for it.
    pub fn add(&mut self, transaction: TransactionMessage) -> Option<TransactionBatch> {
        let bytes = self.bytes.saturating_add(transaction.bytes());
        let is_full = self.batch.0.len() >= MAX_TOLD || bytes > PACKED_BYTES;
        let full = if is_full { self.finish() } else { None };
        self.bytes = self.bytes.saturating_add(transaction.bytes());
        self.batch.0.push(transaction);
        full
    }
    /// Gives what is left, if anything is.
    pub fn finish(&mut self) -> Option<TransactionBatch> {
        let Self { batch, .. } = std::mem::take(self);
        (!batch.0.is_empty()).then_some(batch)
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

/// How transactions came from a peer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Way {
    /// The peer told everybody: what is new goes on to others.
    Told,
    /// This node asked for what it missed: the others are told by somebody else, or ask too.
    Fetched,
}

/// Transactions that came from a peer together, and where it is awaited what became of them.
#[derive(Debug)]
pub struct ToldTransactions {
    /// The transactions and their bodies.
    pub transactions: Vec<TransactionMessage>,
    /// How they came.
    pub way: Way,
    /// Where it is awaited what became of them; dropped, nothing did.
    pub judged: oneshot::Sender<Judgement>,
}

/// What became of transactions that came together, in numbers. Each counts in one of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Judgement {
    /// Taken in, and not passed on by this node before.
    pub new: u32,
    /// Bytes of those.
    pub new_bytes: usize,
    /// Wait here already, or are final.
    pub known: u32,
    /// Bytes of those.
    pub known_bytes: usize,
    /// Not taken in for a reason that may differ from node to node, such as what is final there.
    pub untaken: u32,
    /// Break a rule that is the same everywhere.
    pub faulty: u32,
}

impl Judgement {
    /// What is to become of the message. One with anything in it that others might not take is not passed on, nor
    /// one that mostly repeats what is known: whoever wants to fill the network's lines pays for at least half of
    /// it. What is new in those is told on apart.
    pub const fn verdict(&self) -> Verdict {
        if self.faulty > 0 {
            Verdict::Refuse
        } else if self.new == 0 || self.untaken > 0 || self.new_bytes < self.known_bytes {
            Verdict::Drop
        } else {
            Verdict::Forward
        }
    }
    /// Whether there was nothing in it but what is known.
    pub const fn is_repetition(&self) -> bool {
        self.known > 0 && self.new == 0 && self.untaken == 0 && self.faulty == 0
    }
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
    /// Transactions that clients gave this node. They may go out together with others of this kind.
    Transactions(TransactionBatch),
    /// What is new in a message that is not passed on. It goes out by itself: others who do the same say it in the
    /// same words, which then count as one message.
    Rescued(TransactionBatch),
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
#[allow(clippy::unwrap_used, clippy::indexing_slicing)]
mod tests {
    use super::*;
    use crate::consensus::testing::{genesis, key, key_bundle};
    use proptest::prelude::*;

    fn message() -> TransactionMessage {
        let genesis = genesis(&[key(1)]);
        let transaction = key_bundle(&genesis, &key(2), 1, BlockHeight::new(50)).signed().clone();
        TransactionMessage { transaction, body: None }
    }

    /// One with a body, whether it wants one or not.
    fn with_body(bytes: usize) -> TransactionMessage {
        TransactionMessage { body: Some(Body::new(vec![7; bytes])), ..message() }
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
        let batch = TransactionBatch(vec![message(), with_body(9)]);
        assert_eq!(TransactionBatch::announced(&batch.to_bytes()), Some(2));
        assert_eq!(TransactionBatch::from_bytes(&batch.to_bytes(), 10_000), Ok(batch));
        let answer = Response::Transactions(vec![message()]);
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
    fn a_batch_beyond_a_limit_is_refused_unread() {
        let bytes = TransactionBatch::of_one(message()).to_bytes();
        let refused = TransactionBatch::from_bytes(&bytes, bytes.len() - 1);
        assert!(matches!(refused, Err(DecodeError::TooLong { .. })));
        let most = TransactionBatch(vec![message(); MAX_TOLD]);
        assert_eq!(TransactionBatch::from_bytes(&most.to_bytes(), 1 << 20), Ok(most));
        for batch in [Vec::new(), vec![message(); MAX_TOLD + 1]] {
            let bytes = TransactionBatch(batch).to_bytes();
            assert_eq!(TransactionBatch::announced(&bytes), None);
            let refused = TransactionBatch::from_bytes(&bytes, 1 << 20);
            assert!(matches!(refused, Err(DecodeError::Malformed { .. })));
        }
        // A number that nothing follows costs nothing.
        let promised = [&200_u64.to_le_bytes()[..], &[7; 40]].concat();
        assert!(matches!(
            TransactionBatch::from_bytes(&promised, 1 << 20),
            Err(DecodeError::Malformed { .. })
        ));
        for length in 0..8 {
            assert_eq!(TransactionBatch::announced(&bytes[..length]), None);
        }
    }

    #[test]
    fn the_largest_transaction_fits_into_a_batch_and_is_packed_alone() {
        let body_limit = 1 << 16;
        let large = with_body(body_limit as usize);
        assert!(TransactionBatch::of_one(large.clone()).to_bytes().len() > PACKED_BYTES);
        let mut packer = Packer::default();
        assert_eq!(packer.add(message()), None);
        assert_eq!(packer.add(large.clone()), Some(TransactionBatch::of_one(message())));
        assert_eq!(packer.add(message()), Some(TransactionBatch::of_one(large.clone())));
        assert_eq!(packer.finish(), Some(TransactionBatch::of_one(message())));
        assert_eq!(packer.finish(), None);
        // Whatever its header has, there is room for it.
        let rest =
            TransactionBatch::of_one(large.clone()).to_bytes().len() - large.transaction.as_bytes().len();
        assert!(TransactionBatch::max_bytes(body_limit) >= rest + MAX_TRANSACTION_BYTES);
    }

    #[test]
    fn a_message_goes_on_only_if_all_of_it_holds_and_half_of_it_is_new() {
        let mostly_new =
            Judgement { new: 1, new_bytes: 500, known: 5, known_bytes: 500, ..Judgement::default() };
        assert_eq!(mostly_new.verdict(), Verdict::Forward);
        for (judgement, verdict) in [
            (Judgement { known_bytes: 501, ..mostly_new }, Verdict::Drop),
            (Judgement { new: 0, new_bytes: 0, ..mostly_new }, Verdict::Drop),
            (Judgement { untaken: 1, ..mostly_new }, Verdict::Drop),
            (Judgement { faulty: 1, ..mostly_new }, Verdict::Refuse),
            (Judgement { untaken: 1, faulty: 1, ..mostly_new }, Verdict::Refuse),
            // Nobody has judged it.
            (Judgement::default(), Verdict::Drop),
        ] {
            assert_eq!(judgement.verdict(), verdict, "{judgement:?}");
        }
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
            if let Ok(told) = TransactionBatch::from_bytes(&bytes, 1_000) {
                prop_assert_eq!(told.to_bytes(), bytes);
            }
        }

        #[test]
        fn what_is_left_of_a_damaged_batch_is_refused_or_another_batch(
            lengths in prop::collection::vec(prop::option::of(0_usize..200), 1..6),
            damage in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..4),
            cut in prop::option::of(any::<prop::sample::Index>()),
        ) {
            let batch = lengths.iter().map(|length| length.map_or_else(message, with_body)).collect();
            let mut bytes = TransactionBatch(batch).to_bytes();
            for (at, byte) in damage {
                let at = at.index(bytes.len());
                bytes[at] = byte;
            }
            if let Some(cut) = cut {
                bytes.truncate(cut.index(bytes.len()));
            }
            if let Ok(read) = TransactionBatch::from_bytes(&bytes, bytes.len()) {
                prop_assert_eq!(TransactionBatch::announced(&bytes), Some(read.count()));
                prop_assert_eq!(read.to_bytes(), bytes);
            }
        }

        #[test]
        fn packing_keeps_the_order_and_loses_nothing(
            lengths in prop::collection::vec(prop::option::of(0_usize..30_000), 0..40)
        ) {
            let all: Vec<_> = lengths.iter().map(|length| length.map_or_else(message, with_body)).collect();
            let mut packer = Packer::default();
            let mut packed: Vec<_> = all.iter().cloned().filter_map(|one| packer.add(one)).collect();
            packed.extend(packer.finish());
            for batch in &packed {
                let (bytes, count) = (batch.to_bytes().len(), batch.0.len());
                prop_assert!(count > 0 && count <= MAX_TOLD && (count == 1 || bytes <= PACKED_BYTES + 8));
                prop_assert_eq!(batch.0.iter().map(TransactionMessage::bytes).sum::<usize>() + 8, bytes);
            }
            let unpacked = packed.into_iter().flat_map(TransactionBatch::into_transactions);
            prop_assert_eq!(unpacked.collect::<Vec<_>>(), all);
        }
    }
}
