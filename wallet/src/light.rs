//! The light client: asks a node and believes nothing. It knows the genesis and what it has verified;
//! every header must carry a certificate of the validators of its height, every transaction its inclusion path, every
//! directory entry its state proof. What can't be proven (that a list is complete) is not claimed.

mod directory;
mod follow;
mod head;
#[cfg(test)]
mod tests;
mod validators;

pub use directory::BundleNow;
pub use follow::Following;
pub use head::HeadFile;

use jsonrpsee::core::ClientError;
use jsonrpsee::http_client::{HttpClient, HttpClientBuilder};
use sealpost_api::{
    ApiError, BlockId, FinalTransaction, Hex, MailboxQuery, MailboxSide, Order, PostageQuote, SealedHeader,
    SealpostRpcClient, Submitted, WaitFor,
    verify::{self, ValidatorHistory},
};
use sealpost_ledger::address::Address;
use sealpost_ledger::block::Header;
use sealpost_ledger::evidence::Evidence;
use sealpost_ledger::genesis::Genesis;
use sealpost_ledger::hash::{ChainId, TransactionId};
use sealpost_ledger::height::BlockHeight;
use sealpost_ledger::message::{Body, Message, SlotRecipient};
use sealpost_ledger::receipt::Answer;
use sealpost_ledger::state::{DesignationRecord, MemberRecord};
use sealpost_ledger::transaction::SignedTransaction;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use thiserror::Error;

/// Longest wait for an answer; a submission may wait half of it for its block.
const TIMEOUT: Duration = Duration::from_secs(60);
/// Longest answer read, in bytes.
const MAX_ANSWER_BYTES: u32 = 64 << 20;

/// Why a node gave no answer that can be used.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[allow(missing_docs)]
pub enum LightError {
    #[error("the node at {url} can't be asked: {reason}")]
    Unreachable { url: String, reason: String },
    #[error("{0}")]
    Node(ApiError),
    #[error("the node at {url} is on chain {found}, the genesis here is of chain {expected}")]
    OtherChain { url: String, found: ChainId, expected: ChainId },
    #[error("what the node at {url} said about {what} does not hold: {reason}")]
    Untrusted { url: String, what: String, reason: String },
    #[error("the head that was verified before can't be read or kept: {0}")]
    Head(String),
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
}

/// How a slot stands, as verified.
#[derive(Debug, Clone)]
pub enum SlotAnswer {
    /// The recipient answered.
    Answered {
        /// The receipt.
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

/// A page of a list, every entry verified.
#[derive(Debug)]
pub struct Page {
    /// The entries.
    pub entries: Vec<Proven>,
    /// Cursor for what follows.
    pub next: Option<String>,
    /// Whether more follows now.
    pub more: bool,
}

/// A connection to one node.
#[derive(Debug)]
pub struct Light {
    url: String,
    client: HttpClient,
    genesis: Arc<Genesis>,
    headers: Mutex<HashMap<BlockHeight, Header>>,
    validators: Mutex<ValidatorHistory>,
    head: HeadFile,
}

impl Light {
    /// Connects to a node and makes sure that it is on the chain of this genesis, and that its history
    /// contains the head that was verified last.
    pub async fn connect(url: &str, genesis: Arc<Genesis>, head: HeadFile) -> Result<Self, LightError> {
        let unreachable = |reason: String| LightError::Unreachable { url: url.into(), reason };
        let client = HttpClientBuilder::default()
            .request_timeout(TIMEOUT)
            .max_response_size(MAX_ANSWER_BYTES)
            .build(url)
            .map_err(|error| unreachable(error.to_string()))?;
        let mut validators = ValidatorHistory::new(genesis.clone());
        validators.restore(head.known_sets()).map_err(|error| LightError::Head(error.to_string()))?;
        let (headers, validators) = (Mutex::default(), Mutex::new(validators));
        let light = Self { url: url.into(), client, genesis, headers, validators, head };
        let status = light.ask(light.client.node_status()).await?;
        let expected = light.genesis.chain_id();
        if status.chain != expected {
            return Err(LightError::OtherChain { url: light.url, found: status.chain, expected });
        }
        light.sync_head().await?;
        Ok(light)
    }
    /// The node's address.
    pub fn url(&self) -> &str {
        &self.url
    }
    /// The network.
    pub fn genesis(&self) -> &Arc<Genesis> {
        &self.genesis
    }
    /// The newest header, verified; nothing before the first block.
    pub async fn head(&self) -> Result<Option<Header>, LightError> {
        let head = self.ask(self.client.chain_head()).await?;
        match head {
            Some(sealed) => self.verify_header(&sealed).await.map(Some),
            None => Ok(None),
        }
    }
    /// Height of the block to come, as far as is known.
    pub async fn next_height(&self) -> Result<BlockHeight, LightError> {
        Ok(self.head().await?.map_or(BlockHeight::FIRST, |header| header.height.saturating_add(1)))
    }
    /// A final transaction; nothing if this node has none with that id.
    pub async fn transaction(&self, id: &TransactionId) -> Result<Option<Proven>, LightError> {
        let found = match self.ask(self.client.tx_get(*id)).await {
            Err(LightError::Node(error)) if error.code == "tx.unknown" => return Ok(None),
            found => found?,
        };
        let proven = self.verify_final(&found).await?;
        if proven.id() != *id {
            return Err(self.untrusted(format!("transaction {id}"), "it is another transaction"));
        }
        Ok(Some(proven))
    }
    /// Where an identity receives notices of a class, proven under a head not older than any verified
    /// before; nothing if it never said so.
    pub async fn designation(
        &self,
        address: &Address,
        class: &str,
    ) -> Result<Option<DesignationRecord>, LightError> {
        let text = address.to_text(self.genesis.prefix());
        let what = format!("where {text} receives {class:?}");
        let asked = self.client.directory_designation(text, class.into(), None);
        let Some(answer) = self.ask_present(asked).await? else { return Ok(None) };
        let header = self.recent_header(&answer.at, &what).await?;
        verify::verify_designation(&answer, address, class, &header)
            .map_err(|error| self.untrusted(what, error))
    }
    /// Whether an identity is a member, proven under a head not older than any verified before; nothing
    /// if it never was one.
    pub async fn member(&self, address: &Address) -> Result<Option<MemberRecord>, LightError> {
        let text = address.to_text(self.genesis.prefix());
        let what = format!("the membership of {text}");
        let Some(answer) = self.ask_present(self.client.member_status(text, None)).await? else {
            return Ok(None);
        };
        let header = self.recent_header(&answer.at, &what).await?;
        verify::verify_member(&answer, address, &header).map_err(|error| self.untrusted(what, error))
    }
    /// An answer about the present state; nothing before the first block, when nobody has published anything.
    async fn ask_present<T>(
        &self,
        call: impl Future<Output = Result<T, ClientError>>,
    ) -> Result<Option<T>, LightError> {
        match self.ask(call).await {
            Err(LightError::Node(error)) if error.code == "block.none" => Ok(None),
            answer => answer.map(Some),
        }
    }
    /// The header an answer about the present rests on.
    async fn recent_header(&self, sealed: &SealedHeader, what: &str) -> Result<Header, LightError> {
        let header = self.verify_header(sealed).await?;
        let known = self.head.height();
        if header.height < known {
            let reason = format!("it is of block {}, but block {known} is final", header.height);
            return Err(self.untrusted(what, reason));
        }
        Ok(header)
    }
    /// The encrypted body of a message, checked against its header.
    pub async fn body(&self, message: &Proven) -> Result<Body, LightError> {
        let Hex(bytes) = self.ask(self.client.tx_body(message.id())).await?;
        let body = Body::new(bytes);
        let expected = message.transaction.message().map(|message| message.body_hash);
        if expected != Some(body.hash()) {
            return Err(self.untrusted(format!("the body of {}", message.id()), "it has another hash"));
        }
        Ok(body)
    }
    /// How each slot of a message stands: answered, or silent up to the head, both proven.
    pub async fn answers(&self, proven: &Proven, message: &Message) -> Result<Vec<SlotAnswer>, LightError> {
        let claimed = self.ask(self.client.tx_receipts(proven.id())).await?;
        let mut answers = Vec::with_capacity(message.slots.len());
        for (number, slot) in (0_u16..).zip(&message.slots) {
            if matches!(slot.recipient, SlotRecipient::Hidden { .. }) {
                answers.push(SlotAnswer::Hidden);
                continue;
            }
            let what = format!("the answer to slot {number} of {}", proven.id());
            let Some(claim) = claimed.iter().find(|receipt| receipt.slot == number) else {
                answers.push(self.silence(proven, number).await?);
                continue;
            };
            let receipt = self.transaction(&claim.id).await?;
            let receipt = receipt.ok_or_else(|| self.untrusted(&what, "the receipt is not on the ledger"))?;
            let answer = verify::verify_receipt(&receipt.transaction, &proven.id(), number, slot);
            let answer = answer.map_err(|error| self.untrusted(&what, error))?;
            answers.push(SlotAnswer::Answered { receipt: Box::new(receipt), answer });
        }
        Ok(answers)
    }
    async fn silence(&self, message: &Proven, slot: u16) -> Result<SlotAnswer, LightError> {
        let id = message.id();
        let what = format!("the silence of slot {slot} of {id}");
        let answer = self.ask(self.client.proof_absence(id, slot, None)).await?;
        let header = self.verify_header(&answer.at).await?;
        let absent = verify::verify_absence(&answer, &id, slot, &header);
        absent.map_err(|error| self.untrusted(&what, error))?;
        Ok(SlotAnswer::Silent { until: Box::new(header) })
    }
    /// A page of an address's transactions. That a node names all of them can't be proven.
    pub async fn list(
        &self,
        side: MailboxSide,
        address: &Address,
        order: Order,
        after: Option<String>,
        limit: u32,
    ) -> Result<Page, LightError> {
        let address = address.to_text(self.genesis.prefix());
        let query = MailboxQuery { address, side, after, limit: Some(limit), order };
        let page = self.ask(self.client.mailbox_list(query)).await?;
        let mut entries = Vec::with_capacity(page.entries.len());
        for entry in &page.entries {
            entries.push(self.verify_final(entry).await?);
        }
        Ok(Page { entries, next: page.next, more: page.more })
    }
    /// What a transaction of that size costs now. The node's word: the ledger decides.
    pub async fn postage(&self, bytes: u64) -> Result<PostageQuote, LightError> {
        self.ask(self.client.postage_price(bytes)).await
    }
    /// Hands in a transaction. Doing it again does no harm.
    pub async fn submit(
        &self,
        transaction: &SignedTransaction,
        body: Option<&Body>,
        wait: WaitFor,
    ) -> Result<Submitted, LightError> {
        let body = body.map(|body| Hex(body.as_bytes().to_vec()));
        self.ask(self.client.tx_submit(Hex(transaction.to_bytes()), body, Some(wait))).await
    }
    /// The evidence of a message, checked against the genesis.
    pub async fn evidence(
        &self,
        id: &TransactionId,
        until: Option<BlockHeight>,
        with_body: bool,
    ) -> Result<Evidence, LightError> {
        let json = self.ask(self.client.evidence_get(*id, until, Some(with_body))).await?;
        let what = format!("the evidence of {id}");
        let evidence = Evidence::from_json(json.as_bytes()).map_err(|error| self.untrusted(&what, error))?;
        let findings = evidence.check(&self.genesis).map_err(|error| self.untrusted(&what, error))?;
        if findings.message() != *id {
            return Err(self.untrusted(what, "it is about another message"));
        }
        Ok(evidence)
    }

    async fn header_at(&self, height: BlockHeight) -> Result<Header, LightError> {
        let known = self.headers().get(&height).cloned();
        if let Some(header) = known {
            return Ok(header);
        }
        let sealed = self.ask(self.client.chain_header(BlockId::Height(height))).await?;
        let header = self.verify_header(&sealed).await?;
        if header.height != height {
            return Err(self.untrusted(format!("block {height}"), "it is another block"));
        }
        Ok(header)
    }
    async fn verify_final(&self, found: &FinalTransaction) -> Result<Proven, LightError> {
        let what = format!("transaction {}", found.view.id);
        let header = self.header_at(found.place.height).await?;
        let transaction = verify::verify_transaction(found, &header);
        let transaction = transaction.map_err(|error| self.untrusted(what, error))?;
        let (index, first_seen_ms) = (found.place.index, found.place.first_seen_ms);
        Ok(Proven { transaction, header, index, first_seen_ms })
    }
    fn headers(&self) -> std::sync::MutexGuard<'_, HashMap<BlockHeight, Header>> {
        self.headers.lock().unwrap_or_else(PoisonError::into_inner)
    }
    fn untrusted(&self, what: impl Into<String>, reason: impl ToString) -> LightError {
        LightError::Untrusted { url: self.url.clone(), what: what.into(), reason: reason.to_string() }
    }
    async fn ask<T>(&self, call: impl Future<Output = Result<T, ClientError>>) -> Result<T, LightError> {
        call.await.map_err(|error| match ApiError::from_client(&error) {
            Some(error) => LightError::Node(error),
            None => LightError::Unreachable { url: self.url.clone(), reason: error.to_string() },
        })
    }
}
