//! One node, asked: every question and the check of its answer. Headers must carry a certificate of the validators of
//! their height, every transaction its inclusion path, every directory entry its state proof. What can't be proven
//! (that a list is complete) is not claimed.

use super::known::{Known, Statement};
use super::{LightError, Proven, SlotAnswer};
use crate::wallet::now_ms;
use jsonrpsee::core::ClientError;
use jsonrpsee::http_client::{HttpClient, HttpClientBuilder};
use sealpost_api::{
    ApiError, BlockId, FinalTransaction, Hex, NewTransaction, PostageQuote, ReceiptView, SealedHeader,
    SealpostRpcClient, SubmissionAnswer, Submitted, TransactionStatus, WaitFor, verify,
};
use sealpost_ledger::address::Address;
use sealpost_ledger::block::Header;
use sealpost_ledger::genesis::Genesis;
use sealpost_ledger::hash::TransactionId;
use sealpost_ledger::height::BlockHeight;
use sealpost_ledger::message::{Body, Message, Slot, SlotRecipient};
use sealpost_ledger::state::{DesignationRecord, MemberRecord};
use sealpost_ledger::transaction::SignedTransaction;
use sealpost_terminal::printable;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};
use std::time::Duration;

/// How much longer a submission is waited for, which a node answers when its block is final.
const UNTIL_FINAL: Duration = Duration::from_secs(35);
/// Longest answer read, in bytes: no node sends a longer one.
const MAX_ANSWER_BYTES: u32 = 32 << 20;
/// Blocks by which the price may be ahead of the verified head: two that it is asked for, and those made between the
/// two questions while the price fell. Sixteen multiply it by seven.
const PRICE_BLOCKS: u32 = 16;

/// How far a node is to be relied on; the smaller, the sooner it is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Standing {
    Good,
    /// It has shown an older head than another node.
    Behind,
    /// It did not answer.
    Away,
    /// Something it said did not hold.
    Lying,
}

/// What an answer about the present may not be older than.
#[derive(Debug, Clone, Copy)]
pub(super) struct Floor {
    /// The highest head that the node has shown.
    shown: BlockHeight,
    /// The head that was verified last, whoever showed it.
    known: BlockHeight,
}

impl Floor {
    pub(super) fn height(self) -> BlockHeight {
        self.shown.max(self.known)
    }
}

/// A connection to one node, over what this wallet knows.
#[derive(Debug)]
pub(super) struct Node {
    url: String,
    pub(super) client: HttpClient,
    patience: Duration,
    pub(super) known: Arc<Known>,
    standing: AtomicU8,
    /// The highest head that this node has shown.
    shown: AtomicU64,
}

impl Node {
    pub(super) fn new(url: &str, patience: Duration, known: Arc<Known>) -> Result<Self, LightError> {
        // Each question has its own limit; this one is for those that wait for a block.
        let client = HttpClientBuilder::default()
            .request_timeout(patience.saturating_add(UNTIL_FINAL))
            .max_response_size(MAX_ANSWER_BYTES)
            .build(url)
            .map_err(|error| LightError::Unreachable { url: url.into(), reason: error.to_string() })?;
        let (standing, shown) = (AtomicU8::new(Standing::Good as u8), AtomicU64::new(0));
        Ok(Self { url: url.into(), client, patience, known, standing, shown })
    }
    pub(super) fn standing(&self) -> Standing {
        match self.standing.load(Ordering::Relaxed) {
            0 => Standing::Good,
            1 => Standing::Behind,
            2 => Standing::Away,
            _ => Standing::Lying,
        }
    }
    pub(super) fn set_standing(&self, standing: Standing) {
        self.standing.store(standing as u8, Ordering::Relaxed);
    }
    /// Makes sure that the node is on the chain of this genesis, and verifies its head.
    pub(super) async fn greet(&self) -> Result<Option<Header>, LightError> {
        let status = self.ask(self.client.node_status()).await?;
        let expected = self.genesis().chain_id();
        if status.chain != expected {
            return Err(LightError::OtherChain { url: self.url.clone(), found: status.chain, expected });
        }
        self.head().await
    }
    pub(super) fn url(&self) -> &str {
        &self.url
    }
    pub(super) fn genesis(&self) -> &Arc<Genesis> {
        self.known.genesis()
    }
    /// The newest header, verified, not older than any verified before; nothing before the first block.
    pub(super) async fn head(&self) -> Result<Option<Header>, LightError> {
        let floor = self.floor();
        match self.ask(self.client.chain_head()).await? {
            Some(sealed) => self.recent_header(&sealed, "its head", floor).await.map(Some),
            None if floor.height() > BlockHeight::GENESIS => {
                Err(self.behind(BlockHeight::GENESIS, floor.height()))
            }
            None => Ok(None),
        }
    }
    /// A final transaction; the node's error `tx.unknown` if it has none with that id, though it has reached whatever
    /// was verified before.
    pub(super) async fn transaction(&self, id: &TransactionId) -> Result<Proven, LightError> {
        let up_to_date = self.is_up_to_date();
        let found = match self.ask(self.client.tx_get(*id)).await {
            // One that is behind can't know. What it has caught up with since, it may have.
            Err(error) if error.is_unknown() && !up_to_date => {
                self.make_sure_it_is_up_to_date().await?;
                self.ask(self.client.tx_get(*id)).await?
            }
            found => found?,
        };
        let proven = self.verify_final(&found).await?;
        if proven.id() != *id {
            return Err(self.untrusted(format!("transaction {id}"), "it is another transaction"));
        }
        Ok(proven)
    }
    /// Where an identity receives notices of a class, proven under a head not older than any verified
    /// before; nothing if it never said so.
    pub(super) async fn designation(
        &self,
        address: &Address,
        class: &str,
    ) -> Result<Option<DesignationRecord>, LightError> {
        let text = address.to_text(self.genesis().prefix());
        let (what, floor) = (format!("where {text} receives {class:?}"), self.floor());
        let asked = self.client.directory_designation(text, class.into(), None);
        let Some(answer) = self.ask_present(asked, floor).await? else { return Ok(None) };
        let header = self.recent_header(&answer.at, &what, floor).await?;
        verify::verify_designation(&answer, address, class, &header)
            .map_err(|error| self.untrusted(what, error))
    }
    /// Whether an identity is a member, proven under a head not older than any verified before; nothing
    /// if it never was one.
    pub(super) async fn member(&self, address: &Address) -> Result<Option<MemberRecord>, LightError> {
        let text = address.to_text(self.genesis().prefix());
        let (what, floor) = (format!("the membership of {text}"), self.floor());
        let Some(answer) = self.ask_present(self.client.member_status(text, None), floor).await? else {
            return Ok(None);
        };
        let header = self.recent_header(&answer.at, &what, floor).await?;
        verify::verify_member(&answer, address, &header).map_err(|error| self.untrusted(what, error))
    }
    /// An answer about the present state; nothing before the first block, when nobody has published anything.
    pub(super) async fn ask_present<T>(
        &self,
        call: impl Future<Output = Result<T, ClientError>>,
        floor: Floor,
    ) -> Result<Option<T>, LightError> {
        match self.ask(call).await {
            Err(LightError::Node(error)) if error.code == "block.none" => match floor.height() {
                BlockHeight::GENESIS => Ok(None),
                // Otherwise "there is nothing" would need no proof.
                known => Err(self.behind(BlockHeight::GENESIS, known)),
            },
            answer => answer.map(Some),
        }
    }
    /// The header an answer about the present rests on: not older than what this node had shown when it was asked,
    /// nor than what is known to be final.
    pub(super) async fn recent_header(
        &self,
        sealed: &SealedHeader,
        what: &str,
        floor: Floor,
    ) -> Result<Header, LightError> {
        let header = self.verify_header(sealed).await?;
        if header.height < floor.shown {
            let reason = format!("it is of block {}, but it has shown block {}", header.height, floor.shown);
            return Err(self.untrusted(what, reason));
        }
        if header.height < floor.known {
            return Err(self.behind(header.height, floor.known));
        }
        self.shown.fetch_max(header.height.get(), Ordering::Relaxed);
        self.known.set_newest(&header);
        Ok(header)
    }
    /// To be taken before a question is asked: answers to several may come in any order.
    pub(super) fn floor(&self) -> Floor {
        let shown = BlockHeight::new(self.shown.load(Ordering::Relaxed));
        Floor { shown, known: self.known.head.height() }
    }
    /// A node that is behind may be no liar, but its answers are old.
    pub(super) fn behind(&self, reached: BlockHeight, known: BlockHeight) -> LightError {
        LightError::Behind { url: self.url.clone(), reached, known }
    }
    /// Whether this node has shown a head as high as the highest that was verified, whoever showed that.
    fn is_up_to_date(&self) -> bool {
        self.shown.load(Ordering::Relaxed) >= self.known.reached().get()
    }
    /// Makes sure of it. What it does not name afterwards though it should have it, it withholds.
    pub(super) async fn make_sure_it_is_up_to_date(&self) -> Result<(), LightError> {
        if self.is_up_to_date() {
            return Ok(());
        }
        let known = self.known.reached();
        let reached = self.head().await?.map_or(BlockHeight::GENESIS, |head| head.height);
        if reached < known { Err(self.behind(reached, known)) } else { Ok(()) }
    }
    /// The encrypted body of a message, checked against its header.
    pub(super) async fn body(&self, message: &Proven) -> Result<Body, LightError> {
        let Hex(bytes) = self.ask(self.client.tx_body(message.id())).await?;
        let body = Body::new(bytes);
        let expected = message.transaction.message().map(|message| message.body_hash);
        if expected != Some(body.hash()) {
            return Err(self.untrusted(format!("the body of {}", message.id()), "it has another hash"));
        }
        Ok(body)
    }
    /// How each slot of a message stands: answered, or silent up to the head, both proven.
    pub(super) async fn answers(
        &self,
        proven: &Proven,
        message: &Message,
    ) -> Result<Vec<SlotAnswer>, LightError> {
        let claimed = self.ask(self.client.tx_receipts(proven.id())).await?;
        let mut answers = Vec::with_capacity(message.slots.len());
        for (number, slot) in (0_u16..).zip(&message.slots) {
            answers.push(self.answer(proven, number, slot, &claimed).await?);
        }
        Ok(answers)
    }
    /// The answer of one slot, if the message has it.
    pub(super) async fn answer_of(
        &self,
        proven: &Proven,
        number: u16,
    ) -> Result<Option<SlotAnswer>, LightError> {
        let Some(slot) = proven.transaction.message().and_then(|message| message.slot(number)) else {
            return Ok(None);
        };
        let claimed = self.ask(self.client.tx_receipts(proven.id())).await?;
        self.answer(proven, number, slot, &claimed).await.map(Some)
    }
    async fn answer(
        &self,
        proven: &Proven,
        number: u16,
        slot: &Slot,
        claimed: &[ReceiptView],
    ) -> Result<SlotAnswer, LightError> {
        if matches!(slot.recipient, SlotRecipient::Hidden { .. }) {
            return Ok(SlotAnswer::Hidden);
        }
        let what = format!("the answer to slot {number} of {}", proven.id());
        let Some(claim) = claimed.iter().find(|receipt| receipt.slot == number) else {
            return self.silence(proven, number).await;
        };
        let receipt = match self.transaction(&claim.id).await {
            Err(error) if error.is_unknown() => {
                return Err(self.untrusted(&what, "the receipt is not on the ledger"));
            }
            receipt => receipt?,
        };
        let answer = verify::verify_receipt(&receipt.transaction, &proven.id(), number, slot);
        let answer = answer.map_err(|error| self.untrusted(&what, error))?;
        Ok(SlotAnswer::Answered { receipt: Box::new(receipt), answer })
    }
    async fn silence(&self, message: &Proven, slot: u16) -> Result<SlotAnswer, LightError> {
        let id = message.id();
        let (what, floor) = (format!("the silence of slot {slot} of {id}"), self.floor());
        let answer = self.ask(self.client.proof_absence(id, slot, None)).await?;
        let header = self.recent_header(&answer.at, &what, floor).await?;
        let absent = verify::verify_absence(&answer, &id, slot, &header);
        absent.map_err(|error| self.untrusted(&what, error))?;
        Ok(SlotAnswer::Silent { until: Box::new(header) })
    }
    /// What a transaction of that size costs now. The price stands in the verified head and moves by an eighth a
    /// block at most, so that a node can't name any other.
    pub(super) async fn postage(&self, bytes: u64) -> Result<PostageQuote, LightError> {
        let quote = self.ask(self.client.postage_price(bytes)).await?;
        let head = self.head().await?;
        let (height, price) =
            head.map_or((BlockHeight::GENESIS, 0), |head| (head.height, head.postage_price));
        let price = price.max(self.genesis().postage().floor);
        let most = (0..PRICE_BLOCKS).fold(price, |price, _| price.saturating_add((price / 8).max(1)));
        let asked = quote.price.max(quote.price_after);
        if asked > most {
            let reason = format!(
                "it asks for {asked} hashes per KiB; after block {height} no more than {most} can be asked"
            );
            return Err(self.untrusted("the price of postage", reason));
        }
        Ok(quote)
    }
    /// Hands in a transaction. Doing it again does no harm.
    pub(super) async fn submit(
        &self,
        transaction: &SignedTransaction,
        body: Option<&Body>,
        wait: WaitFor,
    ) -> Result<Submitted, LightError> {
        let new = NewTransaction::new(transaction, body);
        let call = self.client.tx_submit(new.transaction, new.body, Some(wait));
        let patience = self.patience.saturating_add(UNTIL_FINAL);
        let submitted = self.ask_for(call, patience).await?;
        if submitted.id != transaction.id() {
            let what = format!("the submission of {}", transaction.id());
            return Err(self.untrusted(what, "it answers for another transaction"));
        }
        Ok(submitted)
    }
    /// Hands in many transactions in one call.
    pub(super) async fn submit_many(
        &self,
        transactions: &[(SignedTransaction, Option<Body>)],
        wait: WaitFor,
    ) -> Result<Vec<Result<TransactionStatus, LightError>>, LightError> {
        let new =
            transactions.iter().map(|(transaction, body)| NewTransaction::new(transaction, body.as_ref()));
        let call = self.client.tx_submit_many(new.collect(), Some(wait));
        let answers = self.ask_for(call, self.patience.saturating_add(UNTIL_FINAL)).await?;
        let given = transactions.len();
        if answers.len() != given {
            let reason = format!("it gives {} answers", answers.len());
            return Err(self.untrusted(format!("the submission of {given} transactions"), reason));
        }
        let answers = transactions.iter().zip(answers).map(|((transaction, _), answer)| match answer {
            SubmissionAnswer::Taken(taken) if taken.id == transaction.id() => Ok(Ok(taken.status)),
            SubmissionAnswer::Taken(_) => {
                let what = format!("the submission of {}", transaction.id());
                Err(self.untrusted(what, "it answers for another transaction"))
            }
            SubmissionAnswer::Refused { error } => Ok(Err(LightError::Node(harmless(error)))),
        });
        answers.collect()
    }
    pub(super) async fn header_at(&self, height: BlockHeight) -> Result<Header, LightError> {
        if let Some(header) = self.known.header(height) {
            return Ok(header);
        }
        let sealed = self.ask(self.client.chain_header(BlockId::Height(height))).await?;
        let header = self.verify_header(&sealed).await?;
        if header.height != height {
            let reason = format!("it is block {}", header.height);
            return Err(self.untrusted(format!("block {height}"), reason));
        }
        Ok(header)
    }
    pub(super) async fn verify_final(&self, found: &FinalTransaction) -> Result<Proven, LightError> {
        let what = format!("transaction {}", found.view.id);
        let header = self.header_at(found.place.height).await?;
        let transaction = verify::verify_transaction(found, &header);
        let transaction = transaction.map_err(|error| self.untrusted(what, error))?;
        let (index, first_seen_ms) = (found.place.index, found.place.first_seen_ms);
        Ok(Proven { transaction, header, index, first_seen_ms })
    }
    pub(super) fn statement(&self, header: Hex, certificate: Hex) -> Statement {
        Statement { said_by: self.url.clone(), said_ms: now_ms(), header, certificate }
    }
    pub(super) fn untrusted(&self, what: impl Into<String>, reason: impl ToString) -> LightError {
        LightError::Untrusted { url: self.url.clone(), what: what.into(), reason: reason.to_string() }
    }
    pub(super) async fn ask<T>(
        &self,
        call: impl Future<Output = Result<T, ClientError>>,
    ) -> Result<T, LightError> {
        self.ask_for(call, self.patience).await
    }
    async fn ask_for<T>(
        &self,
        call: impl Future<Output = Result<T, ClientError>>,
        patience: Duration,
    ) -> Result<T, LightError> {
        let unreachable = |reason: String| LightError::Unreachable { url: self.url.clone(), reason };
        let Ok(answer) = tokio::time::timeout(patience, call).await else {
            return Err(unreachable(format!("no answer within {} s", patience.as_secs_f32())));
        };
        answer.map_err(|error| match ApiError::from_client(&error) {
            Some(error) => LightError::Node(harmless(error)),
            None => unreachable(no_answer(&error)),
        })
    }
}

/// Foreign text: it may not steer the terminal that shows it.
fn harmless(error: ApiError) -> ApiError {
    ApiError { message: printable(&error.message), help: error.help.map(|help| printable(&help)), ..error }
}

/// What went wrong, for people. The library's words are for those who know it.
fn no_answer(error: &ClientError) -> String {
    let text = error.to_string();
    match text.as_str() {
        "length limit exceeded" | "The HTTP message was too big" => {
            format!("its answer is longer than {MAX_ANSWER_BYTES} bytes")
        }
        "Malformed request" => "what it answers is no JSON-RPC".into(),
        _ => printable(&text),
    }
}
