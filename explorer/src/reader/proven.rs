//! What the REST API is answered from. Other than the pages' reading, nothing here passes on a field that the node
//! decoded: what is returned was read from the bytes that were verified.

use super::{Certified, ReadError, Reader};
use jsonrpsee::ws_client::{PingConfig, WsClient, WsClientBuilder};
use sealpost_api::verify::{VerifyError, verify_equivocation};
use sealpost_api::{
    BlockId, BundleView, EquivocationView, MailboxPage, MailboxQuery, PostageQuote, SealpostRpcClient,
    ValidatorsChanged,
};
use sealpost_ledger::address::Address;
use sealpost_ledger::block::Header;
use sealpost_ledger::certificate::CommitCertificate;
use sealpost_ledger::equivocation::Equivocation;
use sealpost_ledger::evidence::Evidence;
use sealpost_ledger::hash::TransactionId;
use sealpost_ledger::height::BlockHeight;
use sealpost_ledger::receipt::Answer;
use sealpost_ledger::transaction::SignedTransaction;
use sealpost_ledger::validator::ValidatorSet;

/// A final block's header, and who made it final.
pub(crate) struct Sealed {
    pub(crate) header: Header,
    pub(crate) certificate: CommitCertificate,
    pub(crate) validators: ValidatorSet,
}

/// An answer to a slot of a message.
pub(crate) struct Answered {
    pub(crate) receipt: TransactionId,
    pub(crate) answer: Answer,
    pub(crate) header: Header,
    pub(crate) index: u32,
}

impl Reader {
    /// A final block, without its transactions.
    pub(crate) async fn final_block(&self, block: BlockId) -> Result<Sealed, ReadError> {
        let certified = self.certified(block).await?;
        self.seal(&certified).await
    }
    /// The last final block; nothing before the first.
    pub(crate) async fn last_block(&self) -> Result<Option<Sealed>, ReadError> {
        let Some(told) = self.ask(self.client.chain_head()).await? else { return Ok(None) };
        let certified = self.verify_sealed(&told).await?;
        self.seal(&certified).await.map(Some)
    }
    async fn seal(&self, certified: &Certified) -> Result<Sealed, ReadError> {
        let genesis = self.genesis().await?;
        let (header, certificate) = (**certified).clone();
        let validators = self.history(&genesis).at(header.height).clone();
        Ok(Sealed { header, certificate, validators })
    }
    /// A transaction's content alone, not where it stands: its id commits to it.
    pub(crate) async fn content(&self, id: &TransactionId) -> Result<SignedTransaction, ReadError> {
        let found = self.ask(self.client.tx_get(*id)).await?;
        let what = || format!("transaction {id}");
        let transaction = SignedTransaction::from_bytes(found.transaction.as_bytes())
            .map_err(|source| ReadError::untrusted(what())(source.into()))?;
        if transaction.id() == *id { Ok(transaction) } else { Err(ReadError::other(what())) }
    }
    /// The answer to a slot, by the receipt that the node names.
    pub(crate) async fn answer(
        &self,
        message: &SignedTransaction,
        slot: u16,
        receipt: &TransactionId,
    ) -> Result<Answered, ReadError> {
        let content = message.message().and_then(|message| message.slot(slot));
        let content = content.ok_or(VerifyError::OtherReceipt);
        let content = content.map_err(ReadError::untrusted(format_args!("receipt {receipt}")))?;
        let (answer, proven) = self.receipt(receipt, &message.id(), slot, content).await?;
        let index = proven.found.place.index;
        Ok(Answered { receipt: *receipt, answer, header: proven.header, index })
    }
    /// The evidence file of a message with as much as the node keeps and as has room in an answer: everything is proven
    /// without the body, too.
    pub(crate) async fn whole_evidence(&self, id: &TransactionId) -> Result<String, ReadError> {
        match self.checked_evidence(id, None, true).await {
            Err(ReadError::NotFound(error) | ReadError::Malformed(error))
                if ["tx.body_pruned", "evidence.too_long"].contains(&error.code.as_str()) =>
            {
                self.checked_evidence(id, None, false).await
            }
            found => found,
        }
    }
    /// The evidence file of a message, checked as a stranger checks it.
    pub(crate) async fn checked_evidence(
        &self,
        id: &TransactionId,
        until: Option<BlockHeight>,
        with_body: bool,
    ) -> Result<String, ReadError> {
        let json = self.ask(self.client.evidence_get(*id, until, Some(with_body))).await?;
        let genesis = self.genesis().await?;
        let id = *id;
        self.check(move || {
            let wrong =
                |reason: &dyn std::fmt::Display| ReadError::Evidence { id, reason: reason.to_string() };
            let evidence = Evidence::from_json(json.as_bytes()).map_err(|error| wrong(&error))?;
            evidence.check(&genesis).map_err(|error| wrong(&error))?;
            if evidence.message.transaction.id() == id {
                Ok(json)
            } else {
                Err(wrong(&"it is of another message"))
            }
        })
        .await?
    }
    /// A page of an address's list.
    pub(crate) async fn mailbox(&self, query: MailboxQuery) -> Result<MailboxPage, ReadError> {
        self.ask(self.client.mailbox_list(query)).await
    }
    /// Key bundles below a sequence number as the node tells them; each names the transaction that proves it.
    pub(crate) async fn told_bundles(
        &self,
        address: &Address,
        before: Option<u64>,
    ) -> Result<(Vec<BundleView>, Option<u64>), ReadError> {
        let call = self.client.directory_history(self.written(address).await?, before);
        let told = self.ask(call).await?;
        Ok((told.bundles, told.next))
    }
    /// Changes of the validators after a height, each announced by the header beside it.
    pub(crate) async fn proven_changes(
        &self,
        after: BlockHeight,
        limit: u32,
    ) -> Result<Vec<(Header, ValidatorsChanged)>, ReadError> {
        let told = self.ask(self.client.chain_validator_changes(after, Some(limit))).await?;
        let mut changes = Vec::with_capacity(told.len());
        let mut before = after;
        for change in told.into_iter().take(limit as usize) {
            let header = self.verify_header(&change.at).await?;
            let what = || format!("the change of validators in block {}", header.height);
            let set = sealpost_api::NamedValidator::set(&change.validators)
                .map_err(|source| ReadError::untrusted(what())(source.into()))?;
            if set.hash() != header.next_validators_hash || set.hash() == header.validators_hash {
                return Err(ReadError::untrusted(what())(VerifyError::OtherChange));
            }
            if header.height <= before {
                return Err(ReadError::untrusted(what())(VerifyError::ChangeOrder));
            }
            before = header.height;
            changes.push((header, change));
        }
        Ok(changes)
    }
    /// A page of equivocations, each verified under the validators of its height, and whether more follow.
    pub(crate) async fn proven_equivocations(
        &self,
        after: Option<u64>,
        limit: u32,
    ) -> Result<(Vec<(EquivocationView, Equivocation)>, bool), ReadError> {
        let page = self.ask(self.client.chain_equivocations(after, Some(limit))).await?;
        let genesis = self.genesis().await?;
        self.follow_validators(&genesis).await?;
        let history = self.history(&genesis);
        let proven = move || {
            let told = page.entries.into_iter().take(limit as usize);
            let verified = told.map(|view| {
                let verified = verify_equivocation(&view, &genesis, history.at(view.height));
                let what = format_args!("equivocation {}", view.number);
                let found = verified.map_err(ReadError::untrusted(what))?;
                Ok((view, found))
            });
            verified.collect::<Result<_, ReadError>>()
        };
        Ok((self.check(proven).await??, page.more))
    }
    /// What the node wants for a transaction of that size.
    pub(crate) async fn postage_quote(&self, bytes: u64) -> Result<PostageQuote, ReadError> {
        self.ask(self.client.postage_price(bytes)).await
    }
    /// A connection on which the node tells of new blocks.
    pub(crate) async fn connect_live(&self) -> Result<WsClient, ReadError> {
        let url = self.url.replacen("http", "ws", 1);
        // Pings, so that a node that vanished without a word is missed.
        let client = WsClientBuilder::default().enable_ws_ping(PingConfig::new()).build(&url).await;
        client.map_err(|error| ReadError::Unreachable { url, reason: error.to_string() })
    }
    /// That the node gave no answer.
    pub(crate) fn unreachable(&self, error: &jsonrpsee::core::ClientError) -> ReadError {
        ReadError::Unreachable { url: self.url.to_string(), reason: error.to_string() }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::indexing_slicing)]
mod tests {
    use super::*;
    use crate::page::PageError;
    use crate::pretend;
    use axum::body::to_bytes;
    use axum::response::IntoResponse;
    use sealpost_api::{ApiError, Category};

    fn too_long() -> ApiError {
        ApiError::new(Category::Input, "evidence.too_long", "it is too long").help("ask for less of it")
    }

    #[tokio::test]
    async fn evidence_that_is_too_long_for_an_answer_comes_without_the_body() {
        let (genesis, mut evidence) = pretend::example();
        evidence.body = None;
        let (id, json) = (evidence.message.transaction.id(), evidence.to_json());
        let answer = move |_: String, params: serde_json::Value| {
            let json = json.clone();
            async move { if params["with_body"] == true { Err(too_long()) } else { Ok(json.into()) } }
        };
        let reader = Reader::new(&pretend::node(answer).await, Some(genesis)).unwrap();
        assert_eq!(reader.whole_evidence(&id).await.unwrap(), evidence.to_json());
    }

    /// What to do about it is the node's to say: a page of search helps nobody there.
    #[tokio::test]
    async fn evidence_that_is_too_long_even_so_is_answered_with_the_nodes_help() {
        let (genesis, evidence) = pretend::example();
        let id = evidence.message.transaction.id();
        let answer = async |_: String, _: serde_json::Value| Err(too_long());
        let reader = Reader::new(&pretend::node(answer).await, Some(genesis)).unwrap();
        let refused = reader.whole_evidence(&id).await.unwrap_err();
        let page = PageError::from(refused).into_response();
        assert_eq!(page.status(), 400);
        let page = to_bytes(page.into_body(), 1 << 20).await.unwrap();
        let page = String::from_utf8_lossy(&page);
        assert!(page.contains("ask for less of it") && page.contains("it is too long"), "{page}");
        assert!(!page.contains("Search takes"), "{page}");
    }
}
