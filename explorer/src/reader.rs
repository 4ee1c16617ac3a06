//! Asks the node and checks the answers against the genesis.

mod proven;

use crate::ExplorerError;
use jsonrpsee::core::ClientError;
use jsonrpsee::http_client::{HttpClient, HttpClientBuilder};
use sealpost_api::verify::{self, ValidatorHistory, VerifyError};
use sealpost_api::{
    ApiError, BlockId, BlockPage, BundleHistory, Category, EquivocationView, FinalTransaction, MAX_PAGE,
    MailboxQuery, MailboxSide, NamedValidator, NodeStatus, Order, SealedHeader, SealpostRpcClient, Signer,
    Validators,
};
use sealpost_ledger::address::Address;
use sealpost_ledger::block::Header;
use sealpost_ledger::certificate::CommitCertificate;
use sealpost_ledger::genesis::Genesis;
use sealpost_ledger::hash::TransactionId;
use sealpost_ledger::height::BlockHeight;
use sealpost_ledger::transaction::SignedTransaction;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use thiserror::Error;
use tokio::sync::OnceCell;

/// Longest wait for the node.
const TIMEOUT: Duration = Duration::from_secs(8);
/// Longest answer read, in bytes.
const MAX_ANSWER_BYTES: u32 = 64 << 20;

/// The node behind the pages. Cloning it copies a reference.
#[derive(Clone)]
pub(crate) struct Reader {
    client: HttpClient,
    url: Arc<str>,
    genesis: Arc<OnceCell<Arc<Genesis>>>,
    /// Verified changes of the validators; nothing before the genesis is known.
    validators: Arc<Mutex<Option<ValidatorHistory>>>,
}

/// Who made a block final, from its verified certificate.
pub(crate) struct Commit {
    pub(crate) round: u32,
    pub(crate) signers: Vec<Signer>,
    pub(crate) signed_power: u64,
    pub(crate) total_power: u64,
}

/// Why there is no answer to show.
#[derive(Debug, Error)]
#[allow(missing_docs)]
pub(crate) enum ReadError {
    #[error("{0}")]
    NotFound(ApiError),
    #[error("{0}")]
    Malformed(ApiError),
    #[error("{what}: {source}")]
    Untrusted { what: String, source: VerifyError },
    #[error("the evidence of {id} does not hold: {reason}")]
    Evidence { id: TransactionId, reason: String },
    #[error("the node at {url} does not answer: {reason}")]
    Unreachable { url: String, reason: String },
}

/// A final transaction that holds: its header, certificate, path and signature are checked.
pub(crate) struct Proven {
    pub(crate) found: FinalTransaction,
    pub(crate) transaction: SignedTransaction,
    pub(crate) header: Header,
}

/// An equivocation, and whether both signatures were checked.
pub(crate) struct Witnessed {
    pub(crate) view: EquivocationView,
    pub(crate) proven: bool,
}

/// A page of equivocations.
pub(crate) struct Equivocations {
    pub(crate) entries: Vec<Witnessed>,
    pub(crate) next: Option<u64>,
}

impl Reader {
    /// With a genesis, everything is checked against it; without one, against the first that the node gives.
    pub(crate) fn new(url: &str, genesis: Option<Arc<Genesis>>) -> Result<Self, ExplorerError> {
        let client = HttpClientBuilder::default()
            .request_timeout(TIMEOUT)
            .max_response_size(MAX_ANSWER_BYTES)
            .build(url)
            .map_err(|error| ExplorerError::Node { url: url.into(), reason: error.to_string() })?;
        let genesis = Arc::new(OnceCell::new_with(genesis));
        Ok(Self { client, url: url.into(), genesis, validators: Arc::default() })
    }
    /// The genesis that was given, or the one that the node gave first. From then on everything is checked against this one.
    pub(crate) async fn genesis(&self) -> Result<Arc<Genesis>, ReadError> {
        let genesis = self.genesis.get_or_try_init(|| async {
            let json = self.ask(self.client.chain_genesis()).await?;
            let genesis = Genesis::parse(json.as_bytes());
            let url = self.url.to_string();
            genesis.map(Arc::new).map_err(|error| ReadError::Unreachable { url, reason: error.to_string() })
        });
        genesis.await.cloned()
    }
    pub(crate) async fn status(&self) -> Result<NodeStatus, ReadError> {
        self.ask(self.client.node_status()).await
    }
    /// Headers from a height on, each verified.
    pub(crate) async fn headers(
        &self,
        from: BlockHeight,
        limit: u32,
    ) -> Result<Vec<SealedHeader>, ReadError> {
        let headers = self.ask(self.client.chain_headers(from, limit)).await?;
        for sealed in &headers {
            self.verify_header(sealed).await?;
        }
        Ok(headers)
    }
    /// A page of a block's transactions, and who made the block final.
    pub(crate) async fn block(
        &self,
        block: BlockId,
        from: Option<u32>,
    ) -> Result<(BlockPage, Commit), ReadError> {
        let page = self.ask(self.client.chain_block(block, from, None)).await?;
        let verified = self.verify_sealed(&page.sealed).await?;
        let commit = self.commit(&verified).await?;
        Ok((page, commit))
    }
    /// Who made the block at a height final.
    pub(crate) async fn commit_at(&self, height: BlockHeight) -> Result<Commit, ReadError> {
        let sealed = self.ask(self.client.chain_header(BlockId::Height(height))).await?;
        let verified = self.verify_sealed(&sealed).await?;
        if verified.0.height != height {
            let what = format!("block {height}");
            return Err(ReadError::Untrusted { what, source: VerifyError::OtherEntry });
        }
        self.commit(&verified).await
    }
    /// Who made the block of a verified header final.
    async fn commit(&self, (header, certificate): &(Header, CommitCertificate)) -> Result<Commit, ReadError> {
        let genesis = self.genesis().await?;
        let history = self.history(&genesis);
        let set = history.at(header.height);
        let signers = Signer::all(set, certificate, &genesis);
        let (round, signed_power) = (certificate.round, Signer::signed_power(&signers));
        Ok(Commit { round, signers, signed_power, total_power: set.total_power() })
    }
    /// The validators that decide the next block, as the last verified header names them.
    pub(crate) async fn validators(&self) -> Result<Validators, ReadError> {
        let height = self.status().await?.height;
        let told = self.ask(self.client.chain_validators(Some(height.saturating_add(1)))).await?;
        let expected = match height {
            BlockHeight::GENESIS => self.genesis().await?.validators().hash(),
            height => {
                let sealed = self.ask(self.client.chain_header(BlockId::Height(height))).await?;
                self.verify_header(&sealed).await?.next_validators_hash
            }
        };
        match NamedValidator::set(&told.validators) {
            Ok(set) if set.hash() == expected => Ok(told),
            _ => {
                let what = format!("the validators of block {}", told.height);
                Err(ReadError::Untrusted { what, source: VerifyError::OtherEntry })
            }
        }
    }
    /// A page of equivocations, those of validators in office verified.
    pub(crate) async fn equivocations(
        &self,
        after: Option<u64>,
        in_office: &Validators,
    ) -> Result<Equivocations, ReadError> {
        let page = self.ask(self.client.chain_equivocations(after, None)).await?;
        let (genesis, set) = (self.genesis().await?, NamedValidator::set(&in_office.validators).ok());
        let mut entries = Vec::with_capacity(page.entries.len());
        for view in page.entries {
            let known = set.as_ref().filter(|set| set.find(&view.validator).is_some());
            if let Some(set) = known {
                verify::verify_equivocation(&view, &genesis, set).map_err(|source| ReadError::Untrusted {
                    what: format!("equivocation {}", view.number),
                    source,
                })?;
            }
            entries.push(Witnessed { proven: known.is_some(), view });
        }
        Ok(Equivocations { entries, next: page.next.filter(|_| page.more) })
    }
    pub(crate) async fn transaction(&self, id: &TransactionId) -> Result<Proven, ReadError> {
        let found = self.ask(self.client.tx_get(*id)).await?;
        let proven = self.prove(found).await?;
        if proven.transaction.id() != *id {
            return Err(ReadError::Untrusted {
                what: format!("transaction {id}"),
                source: VerifyError::OtherEntry,
            });
        }
        Ok(proven)
    }
    pub(crate) async fn prove(&self, found: FinalTransaction) -> Result<Proven, ReadError> {
        let sealed = self.ask(self.client.chain_header(BlockId::Height(found.place.height))).await?;
        let header = self.verify_header(&sealed).await?;
        let what = format!("transaction {}", found.view.id);
        let transaction = verify::verify_transaction(&found, &header)
            .map_err(|source| ReadError::Untrusted { what: what.clone(), source })?;
        if transaction.id() != found.view.id {
            return Err(ReadError::Untrusted { what, source: VerifyError::OtherEntry });
        }
        Ok(Proven { found, transaction, header })
    }
    /// The header up to which a slot's silence is proven.
    pub(crate) async fn silence(&self, id: &TransactionId, slot: u16) -> Result<Header, ReadError> {
        let answer = self.ask(self.client.proof_absence(*id, slot, None)).await?;
        let header = self.verify_header(&answer.at).await?;
        let what = format!("the silence of slot {slot} of {id}");
        verify::verify_absence(&answer, id, slot, &header)
            .map_err(|source| ReadError::Untrusted { what, source })?;
        Ok(header)
    }
    pub(crate) async fn evidence(&self, id: &TransactionId) -> Result<String, ReadError> {
        self.ask(self.client.evidence_get(*id, None, Some(true))).await
    }
    pub(crate) async fn bundles(&self, address: &str) -> Result<BundleHistory, ReadError> {
        self.ask(self.client.directory_history(address.into(), None)).await
    }
    pub(crate) async fn list(
        &self,
        side: MailboxSide,
        address: &str,
        after: Option<String>,
    ) -> Result<sealpost_api::MailboxPage, ReadError> {
        let query =
            MailboxQuery { address: address.into(), side, after, limit: None, order: Order::NewestFirst };
        self.ask(self.client.mailbox_list(query)).await
    }
    /// An address of this network.
    pub(crate) async fn address(&self, text: &str) -> Result<Address, ReadError> {
        let genesis = self.genesis().await?;
        Address::parse(text, genesis.prefix())
            .map_err(|error| ReadError::Malformed(ApiError::new(Category::Input, "input.address", error)))
    }
    pub(crate) async fn verify_header(&self, sealed: &SealedHeader) -> Result<Header, ReadError> {
        let (header, _) = self.verify_sealed(sealed).await?;
        Ok(header)
    }
    /// Header and certificate, under the validators of their height.
    async fn verify_sealed(&self, sealed: &SealedHeader) -> Result<(Header, CommitCertificate), ReadError> {
        let genesis = self.genesis().await?;
        let mut verified = self.history(&genesis).verify_header(sealed);
        if let Err(VerifyError::UnknownValidators { .. }) = verified {
            self.follow_validators(&genesis).await?;
            verified = self.history(&genesis).verify_header(sealed);
        }
        let untrusted = |source| {
            let what = format!("block {}", sealed.view.height);
            ReadError::Untrusted { what, source }
        };
        let (header, certificate) = verified.map_err(untrusted)?;
        // The decoded fields are shown, so they must be those of the bytes that were signed.
        if header.hash() != sealed.view.hash || header.height != sealed.view.height {
            return Err(untrusted(VerifyError::OtherEntry));
        }
        Ok((header, certificate))
    }
    /// Takes in every change of the validators that the node knows and this reader does not; each must be
    /// signed by the validators before it.
    async fn follow_validators(&self, genesis: &Arc<Genesis>) -> Result<(), ReadError> {
        let mut history = self.history(genesis);
        loop {
            let call = self.client.chain_validator_changes(history.last_change(), Some(MAX_PAGE));
            let page = self.ask(call).await?;
            for change in &page {
                let what = || format!("the change of validators in block {}", change.at.view.height);
                let extended = history.extend(change);
                extended.map_err(|source| ReadError::Untrusted { what: what(), source })?;
            }
            if page.len() < MAX_PAGE as usize {
                break;
            }
        }
        let mut kept = self.validators.lock().unwrap_or_else(PoisonError::into_inner);
        if kept.as_ref().is_none_or(|kept| history.last_change() > kept.last_change()) {
            *kept = Some(history);
        }
        Ok(())
    }
    /// The validators as far as they are known; a copy, so that nobody waits for a node while holding it.
    fn history(&self, genesis: &Arc<Genesis>) -> ValidatorHistory {
        let kept = self.validators.lock().unwrap_or_else(PoisonError::into_inner);
        kept.clone().unwrap_or_else(|| ValidatorHistory::new(genesis.clone()))
    }
    async fn ask<T>(&self, call: impl Future<Output = Result<T, ClientError>>) -> Result<T, ReadError> {
        call.await.map_err(|error| match ApiError::from_client(&error) {
            Some(error) if error.category == Category::NotFound => ReadError::NotFound(error),
            Some(error) if error.category == Category::Input => ReadError::Malformed(error),
            _ => ReadError::Unreachable { url: self.url.to_string(), reason: error.to_string() },
        })
    }
}
