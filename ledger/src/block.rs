//! Blocks. A [`Header`] commits to everything; a [`Block`] is a header with its transactions and the
//! bodies of its messages. A block that was read from outside is only well-formed: its links, roots and
//! signatures are checked by [`chain`](crate::chain).

use crate::codec::{
    Decode, DecodeError, Encode, MAX_BYTES, de, decode, enc, encode, error, impl_borrow_decode,
};
use crate::hash::{BlockHash, ChainId, HistoryRoot, StateRoot, Tag, TransactionRoot, ValidatorsHash, tagged};
use crate::height::BlockHeight;
use crate::merkle::{self, Node, leaf_hash};
use crate::message::Body;
use crate::postage::Price;
use crate::signature::PublicKey;
use crate::transaction::SignedTransaction;

/// The block format of this page.
pub const BLOCK_VERSION: u16 = 1;
/// Upper bound of an encoded header, in bytes.
pub const MAX_HEADER_BYTES: usize = 512;

/// What a block's hash covers.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct Header {
    /// [`BLOCK_VERSION`].
    pub version: u16,
    /// The network.
    pub chain: ChainId,
    /// Place in the chain; the first is 1.
    pub height: BlockHeight,
    /// The proposer's clock, in milliseconds since 1970 UTC. Shown to people; decides nothing but that it
    /// never runs backwards.
    pub time_ms: u64,
    /// Hash of the block before; of the genesis for block 1.
    pub parent: BlockHash,
    /// Number of transactions, which is the size of the tree under `tx_root`.
    pub transaction_count: u32,
    /// RFC 6962 root over the transactions.
    pub tx_root: TransactionRoot,
    /// RFC 6962 root over the hashes of all earlier blocks.
    pub history_root: HistoryRoot,
    /// Root of the state after this block.
    pub state_root: StateRoot,
    /// The validators that decide this block.
    pub validators_hash: ValidatorsHash,
    /// The validators that decide the next one.
    pub next_validators_hash: ValidatorsHash,
    /// Postage price for this block's transactions, in expected hashes per KiB.
    pub postage_price: Price,
    /// Who put it together.
    pub proposer: PublicKey,
}

impl Header {
    /// The block's hash, which is also what consensus decides on.
    pub fn hash(&self) -> BlockHash {
        BlockHash::from_bytes(tagged(Tag::Block, &[&encode(self)]))
    }
    /// Reads a header from its canonical bytes.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, DecodeError> {
        decode("block header", bytes, MAX_HEADER_BYTES)
    }
    /// Number of leaves under `history_root`: one for each earlier block.
    pub fn history_size(&self) -> u64 {
        self.height.previous().map_or(0, BlockHeight::get)
    }
}

/// The leaf of a block in the history tree.
pub fn history_leaf(block: &BlockHash) -> Node {
    leaf_hash(block.as_bytes())
}

/// A header with its transactions and bodies, well-formed and no more.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Block {
    header: Header,
    transactions: Vec<SignedTransaction>,
    bodies: Vec<Body>,
    hash: BlockHash,
}

impl Block {
    /// Joins the parts; `bodies` are those of the messages, in their order.
    pub fn new(header: Header, transactions: Vec<SignedTransaction>, bodies: Vec<Body>) -> Self {
        let hash = header.hash();
        Self { header, transactions, bodies, hash }
    }
    /// Reads a block from its canonical bytes.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, DecodeError> {
        decode("block", bytes, MAX_BYTES)
    }
    /// Its canonical bytes, bodies included.
    pub fn to_bytes(&self) -> Vec<u8> {
        encode(self)
    }
    /// The header.
    pub const fn header(&self) -> &Header {
        &self.header
    }
    /// The header's hash.
    pub const fn hash(&self) -> BlockHash {
        self.hash
    }
    /// The height.
    pub const fn height(&self) -> BlockHeight {
        self.header.height
    }
    /// The transactions, in their order.
    pub fn transactions(&self) -> &[SignedTransaction] {
        &self.transactions
    }
    /// The bodies of the messages, in their order.
    pub fn bodies(&self) -> &[Body] {
        &self.bodies
    }
    /// How many of its transactions are messages.
    pub fn message_count(&self) -> usize {
        self.transactions.iter().filter(|transaction| transaction.message().is_some()).count()
    }
    /// Whether it has as many bodies as messages. Whose each is, and whether it is the right one, is the
    /// transaction's question.
    pub fn is_whole(&self) -> bool {
        self.message_count() == self.bodies.len()
    }
    /// The transactions, each with its body if it is a message and the body is there.
    pub fn with_bodies(&self) -> impl Iterator<Item = (&SignedTransaction, Option<&Body>)> {
        let mut bodies = self.bodies.iter();
        self.transactions.iter().map(move |transaction| {
            let body = transaction.message().and_then(|_| bodies.next());
            (transaction, body)
        })
    }
    /// Leaves of the transaction tree.
    pub fn leaves(&self) -> Vec<Node> {
        self.transactions.iter().map(SignedTransaction::leaf).collect()
    }
}

/// Root over a block's transactions.
pub fn transaction_root(leaves: &[Node]) -> TransactionRoot {
    TransactionRoot::from_bytes(merkle::root(leaves))
}

impl Encode for Body {
    fn encode<E: enc::Encoder>(&self, encoder: &mut E) -> Result<(), error::EncodeError> {
        self.as_bytes().encode(encoder)
    }
}

impl<C> Decode<C> for Body {
    fn decode<D: de::Decoder<Context = C>>(decoder: &mut D) -> Result<Self, error::DecodeError> {
        Vec::<u8>::decode(decoder).map(Body::new)
    }
}

impl_borrow_decode!(Body);

impl Encode for Block {
    fn encode<E: enc::Encoder>(&self, encoder: &mut E) -> Result<(), error::EncodeError> {
        self.header.encode(encoder)?;
        self.transactions.encode(encoder)?;
        self.bodies.encode(encoder)
    }
}

impl<C> Decode<C> for Block {
    fn decode<D: de::Decoder<Context = C>>(decoder: &mut D) -> Result<Self, error::DecodeError> {
        let header = Header::decode(decoder)?;
        let transactions = Vec::decode(decoder)?;
        let bodies = Vec::decode(decoder)?;
        // The hash is recomputed, never read.
        Ok(Block::new(header, transactions, bodies))
    }
}
