//! The light client: asks nodes and believes none. It knows the genesis and what it has verified. It asks the nodes in
//! turn: the next one when one does not answer, is behind, or says what does not hold; and it takes a head only if
//! the heads of all that answer are of one history.

mod age;
mod asking;
mod contradiction;
mod directory;
mod evidence;
mod follow;
mod head;
mod known;
mod list;
mod node;
mod options;
mod range;
mod sync;
mod tags;
#[cfg(test)]
mod tests;
mod validators;

pub use age::{Doubt, doubts, usual_max_age};
pub use contradiction::{
    CONTRADICTION_FORMAT, Certified, Change, Contradiction, MAX_CONTRADICTION_BYTES, NoContradiction,
    OtherHistory, Shown,
};
pub use directory::BundleNow;
pub use follow::Following;
pub use head::HeadFile;
pub use known::Statement;
pub use list::Page;
pub use options::{LightOptions, Listener, MAX_POSTAGE, Notice};
pub use range::Range;
pub use sealpost_api::verify::WholeBlock;
pub use tags::{ListedSlot, Position, SlotPage};

use known::Known;
use node::Node;
use sealpost_api::{ApiError, Category, PostageQuote, Submitted, TransactionStatus, WaitFor};
use sealpost_ledger::address::Address;
use sealpost_ledger::block::Header;
use sealpost_ledger::evidence::Evidence;
use sealpost_ledger::genesis::Genesis;
use sealpost_ledger::hash::{ChainId, TransactionId};
use sealpost_ledger::height::BlockHeight;
use sealpost_ledger::message::{Body, Message};
use sealpost_ledger::receipt::Answer;
use sealpost_ledger::state::{DesignationRecord, MemberRecord};
use sealpost_ledger::transaction::SignedTransaction;
use std::path::PathBuf;
use std::sync::Arc;
use thiserror::Error;

/// Nodes asked at most.
pub const MAX_NODES: usize = 16;

/// Why a node gave no answer that can be used.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[allow(missing_docs)]
pub enum LightError {
    #[error("the node at {url} can't be asked: {reason}")]
    Unreachable { url: String, reason: String },
    #[error(
        "the node at {url} is behind: it has reached block {reached}, but block {known} was final before"
    )]
    Behind { url: String, reached: BlockHeight, known: BlockHeight },
    #[error("{0}")]
    Node(ApiError),
    #[error("the node at {url} is on chain {found}, the genesis here is of chain {expected}")]
    OtherChain { url: String, found: ChainId, expected: ChainId },
    #[error("what the node at {url} said about {what} does not hold: {reason}")]
    Untrusted { url: String, what: String, reason: String },
    /// Two headers are signed that can't both be true.
    #[error("the network contradicts itself: {proof}{}", kept(.file))]
    Contradiction { proof: Box<Contradiction>, file: Option<PathBuf> },
    #[error("the head that was verified before can't be read or kept: {0}")]
    Head(String),
    #[error(
        "postage of {work} expected hashes is asked for, more than the {limit} that are accepted (max_postage)"
    )]
    Postage { work: u64, limit: u64 },
    #[error("{given} nodes were named, {MAX_NODES} at most are asked")]
    TooManyNodes { given: usize },
}

fn kept(file: &Option<PathBuf>) -> String {
    file.as_ref().map_or_else(String::new, |file| format!("; the proof is kept in {}", file.display()))
}

impl LightError {
    fn is_contradiction(&self) -> bool {
        matches!(self, Self::Contradiction { .. })
    }
    /// Whether a node says that it has no such transaction.
    fn is_unknown(&self) -> bool {
        matches!(self, Self::Node(error) if error.code == "tx.unknown")
    }
    /// Which of several nodes' errors to tell: one that answers the question before one that does not.
    const fn weight(&self) -> u8 {
        match self {
            Self::Contradiction { .. } | Self::Head(_) | Self::Postage { .. } | Self::TooManyNodes { .. } => {
                6
            }
            Self::Node(ApiError { category: Category::Busy | Category::Internal, .. }) => 1,
            Self::Node(_) => 5,
            Self::Untrusted { .. } => 4,
            Self::OtherChain { .. } => 3,
            Self::Behind { .. } => 2,
            Self::Unreachable { .. } => 0,
        }
    }
}

/// A final transaction whose inclusion, certificate and signature this wallet has verified.
#[derive(Debug, Clone)]
pub struct Proven {
    /// The transaction.
    pub transaction: SignedTransaction,
    /// Header of its block.
    pub header: Header,
    /// Position in the block.
    pub index: u32,
    /// When that node first saw it; its own claim, no proof.
    pub first_seen_ms: Option<u64>,
}

impl Proven {
    /// Its id.
    pub fn id(&self) -> TransactionId {
        self.transaction.id()
    }
    /// Where it stands.
    pub const fn place(&self) -> Position {
        Position { height: self.header.height, index: self.index }
    }
}

/// How a slot stands, as verified.
#[derive(Debug, Clone)]
pub enum SlotAnswer {
    /// The recipient answered.
    Answered {
        /// The receipt, or the sealed reply that it came in.
        receipt: Box<Proven>,
        /// What it says.
        answer: Answer,
    },
    /// No answer stood on the ledger at that block.
    Silent {
        /// Header of that block.
        until: Box<Header>,
    },
    /// The slot hides its recipient: its answer never stands on the ledger.
    Hidden,
}

/// Connections to one node or several.
#[derive(Debug)]
pub struct Light {
    /// At least one, as they were given.
    nodes: Vec<Node>,
    known: Arc<Known>,
    options: LightOptions,
}

impl Light {
    /// Connects to a node and makes sure that it is on the chain of this genesis, and that its history
    /// contains the head that was verified last.
    pub async fn connect(url: &str, genesis: Arc<Genesis>, head: HeadFile) -> Result<Self, LightError> {
        Self::connect_to(&[url.to_owned()], genesis, head, LightOptions::default()).await
    }
    /// Connects to several nodes: whatever one of them can't answer, the next one is asked for. One that answers
    /// suffices; the heads of all that do must be of one history.
    pub async fn connect_to(
        urls: &[String],
        genesis: Arc<Genesis>,
        head: HeadFile,
        options: LightOptions,
    ) -> Result<Self, LightError> {
        if urls.is_empty() || urls.len() > MAX_NODES {
            return Err(LightError::TooManyNodes { given: urls.len() });
        }
        let known = Arc::new(Known::new(genesis, head)?);
        let nodes = urls.iter().map(|url| Node::new(url, options.patience, known.clone()));
        let light = Self { nodes: nodes.collect::<Result<_, _>>()?, known, options };
        light.sync_head().await?;
        Ok(light)
    }
    /// One that reaches no node, for what asks none.
    #[cfg(test)]
    pub(crate) fn without_node(genesis: Arc<Genesis>) -> Result<Self, LightError> {
        let (known, options) =
            (Arc::new(Known::new(genesis, HeadFile::in_memory())?), LightOptions::default());
        let node = Node::new("http://127.0.0.1:1", options.patience, known.clone())?;
        Ok(Self { nodes: vec![node], known, options })
    }
    /// The address of the node that is asked first.
    pub fn url(&self) -> &str {
        self.in_order().first().map_or("", |node| node.url())
    }
    /// Addresses of the nodes that did not answer when they were asked last.
    pub fn silent(&self) -> impl Iterator<Item = &str> {
        let silent = self.nodes.iter().filter(|node| node.standing() == node::Standing::Away);
        silent.map(|node| node.url())
    }
    /// The network.
    pub fn genesis(&self) -> &Arc<Genesis> {
        self.known.genesis()
    }
    /// The newest header that was verified since the connection was made: what all answers about the present rest
    /// on. Nothing before the first block.
    pub fn newest(&self) -> Option<Header> {
        self.known.newest()
    }
    /// The newest header, verified; nothing before the first block.
    pub async fn head(&self) -> Result<Option<Header>, LightError> {
        self.through(|node| node.head()).await
    }
    /// Height of the block to come, as far as is known.
    pub async fn next_height(&self) -> Result<BlockHeight, LightError> {
        Ok(self.head().await?.map_or(BlockHeight::FIRST, |header| header.height.saturating_add(1)))
    }
    /// A final transaction; nothing if a node that is not behind says that there is none with that id, and no other one
    /// shows it. Nobody can prove that there is none.
    pub async fn transaction(&self, id: &TransactionId) -> Result<Option<Proven>, LightError> {
        match self.through(|node| node.transaction(id)).await {
            Err(error) if error.is_unknown() => Ok(None),
            found => found.map(Some),
        }
    }
    /// The same; nothing only if every node says that there is none. For what is done again when there is none.
    pub async fn transaction_of_any(&self, id: &TransactionId) -> Result<Option<Proven>, LightError> {
        let mut errors = Vec::new();
        for node in self.in_order() {
            match node.transaction(id).await {
                Ok(found) => return Ok(Some(found)),
                Err(error) if error.is_unknown() => {}
                Err(error) => errors.push((node, error)),
            }
        }
        if errors.is_empty() { Ok(None) } else { Err(self.worst(errors).await) }
    }
    /// The error of a transaction that was seen to be final, and of which nodes say that there is none.
    pub(crate) fn was_final(&self, id: &TransactionId, height: BlockHeight) -> LightError {
        let reason = format!("it says that there is none, but block {height} contains it, as was verified");
        self.untrusted(format!("transaction {id}"), reason)
    }
    /// Where an identity receives notices of a class, proven under a head not older than any verified
    /// before; nothing if it never said so.
    pub async fn designation(
        &self,
        address: &Address,
        class: &str,
    ) -> Result<Option<DesignationRecord>, LightError> {
        self.through(|node| node.designation(address, class)).await
    }
    /// Whether an identity is a member, proven under a head not older than any verified before; nothing
    /// if it never was one.
    pub async fn member(&self, address: &Address) -> Result<Option<MemberRecord>, LightError> {
        self.through(|node| node.member(address)).await
    }
    /// The encrypted body of a message, checked against its header.
    pub async fn body(&self, message: &Proven) -> Result<Body, LightError> {
        self.through(|node| node.body(message)).await
    }
    /// How each slot of a message stands: answered, or silent up to the head, both proven.
    pub async fn answers(&self, proven: &Proven, message: &Message) -> Result<Vec<SlotAnswer>, LightError> {
        self.through(|node| node.answers(proven, message)).await
    }
    /// How one slot stands; nothing if the message does not have it.
    pub(crate) async fn answer_of(
        &self,
        proven: &Proven,
        slot: u16,
    ) -> Result<Option<SlotAnswer>, LightError> {
        self.through(|node| node.answer_of(proven, slot)).await
    }
    /// What a transaction of that size costs now. The price stands in the head; the ledger decides.
    pub async fn postage(&self, bytes: u64) -> Result<PostageQuote, LightError> {
        self.through(|node| node.postage(bytes)).await
    }
    /// Whether that much work is accepted as postage of one transaction.
    pub const fn accept_postage(&self, work: u64) -> Result<(), LightError> {
        let limit = self.options.max_postage;
        if work > limit { Err(LightError::Postage { work, limit }) } else { Ok(()) }
    }
    /// Hands in a transaction. Doing it again does no harm.
    pub async fn submit(
        &self,
        transaction: &SignedTransaction,
        body: Option<&Body>,
        wait: WaitFor,
    ) -> Result<Submitted, LightError> {
        self.through(|node| node.submit(transaction, body, wait)).await
    }
    /// Hands in many transactions in one call; each is answered by itself, in their order. Doing it again does no harm.
    pub async fn submit_many(
        &self,
        transactions: &[(SignedTransaction, Option<Body>)],
        wait: WaitFor,
    ) -> Result<Vec<Result<TransactionStatus, LightError>>, LightError> {
        self.through(|node| node.submit_many(transactions, wait)).await
    }
    /// The evidence of a message, checked against the genesis.
    pub async fn evidence(
        &self,
        id: &TransactionId,
        until: Option<BlockHeight>,
        with_body: bool,
    ) -> Result<Evidence, LightError> {
        self.through(|node| node.evidence(id, until, with_body)).await
    }
}
