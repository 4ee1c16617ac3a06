//! Asks the node and checks the answers against the genesis. What one page needs costs the same however long
//! the ledger is: single entries, or pages of a bounded number.
//!
//! ```text
//!  blocks        headers, certificates, whole blocks, who took part, history
//!  recent        what the last blocks hold, counted; kept in a bounded cache
//!  transactions  single transactions, their bodies, silence, evidence
//!  checking      where checks are made that keep a processor busy
//!  counts        what all of this did, for an operator to see
//!  recent_state  that answers about the present are not about the past
//!  addresses     keys, lists, designations, membership
//!  validators    the set in office, its changes, equivocations
//!  proven        what the REST API is answered from
//! ```

mod addresses;
mod blocks;
mod cache;
mod checking;
mod counts;
mod proven;
mod recent;
mod recent_state;
mod transactions;
mod validators;

pub(crate) use blocks::{Block, Participation};
pub(crate) use counts::Counted;
#[cfg(test)]
pub(crate) use recent::testing;
pub(crate) use recent::{Entry, Summary};
pub(crate) use transactions::Proven;
pub(crate) use validators::Witnessed;

use crate::{ExplorerError, questions};
use cache::Bounded;
use checking::Checks;
use counts::Counts;
use jsonrpsee::core::ClientError;
use jsonrpsee::http_client::{HttpClient, HttpClientBuilder};
use sealpost_api::verify::{ValidatorHistory, VerifyError};
use sealpost_api::{ApiError, Category, MAX_PAGE, NodeStatus, NodeVersion, PeerView, SealpostRpcClient};
use sealpost_ledger::address::Address;
use sealpost_ledger::block::Header;
use sealpost_ledger::certificate::CommitCertificate;
use sealpost_ledger::genesis::Genesis;
use sealpost_ledger::hash::TransactionId;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use thiserror::Error;
use tokio::sync::OnceCell;

/// Longest wait for the node.
const TIMEOUT: Duration = Duration::from_secs(8);
/// Longest answer read, in bytes.
const MAX_ANSWER_BYTES: u32 = 64 << 20;
/// Verified headers kept: those of the newest blocks, a few MiB with their certificates.
const HEADERS_KEPT: usize = 8192;
/// Transactions whose summaries are kept, with a little for each block: some 10 MiB.
const SUMMARIES_KEPT: usize = 100_000;

/// A header and the certificate that made it final, both checked.
pub(crate) type Certified = Arc<(Header, CommitCertificate)>;

/// Whose word the genesis is that everything is checked against.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Anchor {
    /// Given by whoever runs this explorer.
    Own,
    /// The first that the node gave: what is proven then is worth no more than that node's word.
    Node,
}

impl Anchor {
    pub(crate) const fn is_own(self) -> bool {
        matches!(self, Anchor::Own)
    }
}

/// The node behind the pages. Cloning it copies a reference.
#[derive(Clone)]
pub(crate) struct Reader {
    client: HttpClient,
    url: Arc<str>,
    genesis: Arc<OnceCell<Arc<Genesis>>>,
    anchor: Anchor,
    /// Verified changes of the validators; nothing before the genesis is known.
    validators: Arc<Mutex<Option<ValidatorHistory>>>,
    headers: Arc<Mutex<Bounded<Certified>>>,
    summaries: Arc<Mutex<Bounded<Arc<Summary>>>>,
    /// Held by who reads blocks for the summaries.
    reading: Arc<tokio::sync::Mutex<()>>,
    checks: Checks,
    counts: Arc<Counts>,
}

/// Why there is no answer to show.
#[derive(Debug, Error)]
#[allow(missing_docs)]
pub(crate) enum ReadError {
    #[error("{0}")]
    NotFound(ApiError),
    /// There was such a state, and the node does not prove it any more; an archive does.
    #[error("{0}")]
    StateDropped(ApiError),
    #[error("{0}")]
    Malformed(ApiError),
    #[error("{what}: {source}")]
    Untrusted { what: String, source: VerifyError },
    #[error("the evidence of {id} does not hold: {reason}")]
    Evidence { id: TransactionId, reason: String },
    #[error("the node at {url} does not answer: {reason}")]
    Unreachable { url: String, reason: String },
    #[error("more waits to be checked than can be checked soon")]
    Busy,
}

impl ReadError {
    /// What the node said of `what` does not hold.
    pub(crate) fn untrusted(what: impl std::fmt::Display) -> impl FnOnce(VerifyError) -> Self {
        let what = what.to_string();
        move |source| ReadError::Untrusted { what, source }
    }
    /// The node answered with something else than what it was asked for.
    pub(crate) fn other(what: impl std::fmt::Display) -> Self {
        Self::untrusted(what)(VerifyError::OtherEntry)
    }
}

impl Reader {
    /// With a genesis, everything is checked against it; without one, against the first that the node gives.
    pub(crate) fn new(url: &str, genesis: Option<Arc<Genesis>>) -> Result<Self, ExplorerError> {
        let client = HttpClientBuilder::default()
            .request_timeout(TIMEOUT)
            .max_response_size(MAX_ANSWER_BYTES)
            .build(url)
            .map_err(|error| ExplorerError::Node { url: url.into(), reason: error.to_string() })?;
        Ok(Self {
            client,
            url: url.into(),
            anchor: if genesis.is_some() { Anchor::Own } else { Anchor::Node },
            genesis: Arc::new(OnceCell::new_with(genesis)),
            validators: Arc::default(),
            headers: Arc::new(Mutex::new(Bounded::new(HEADERS_KEPT))),
            summaries: Arc::new(Mutex::new(Bounded::new(SUMMARIES_KEPT))),
            reading: Arc::default(),
            checks: Checks::default(),
            counts: Arc::default(),
        })
    }
    /// Whose word the genesis is.
    pub(crate) const fn anchor(&self) -> Anchor {
        self.anchor
    }
    /// What was done since the start.
    pub(crate) fn counted(&self) -> Counted {
        self.counts.read(self.checks.refused())
    }
    /// The genesis that was given, or the one that the node gave first. From then on everything is checked
    /// against this one.
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
    pub(crate) async fn peers(&self) -> Result<Vec<PeerView>, ReadError> {
        self.ask(self.client.node_peers()).await
    }
    pub(crate) async fn version(&self) -> Result<NodeVersion, ReadError> {
        self.ask(self.client.node_version()).await
    }
    /// An address of this network.
    pub(crate) async fn address(&self, text: &str) -> Result<Address, ReadError> {
        let genesis = self.genesis().await?;
        Address::parse(text, genesis.prefix())
            .map_err(|error| ReadError::Malformed(ApiError::new(Category::Input, "input.address", error)))
    }
    /// Takes in every change of the validators that the node knows and this reader does not; each must be
    /// signed by the validators before it.
    async fn follow_validators(&self, genesis: &Arc<Genesis>) -> Result<(), ReadError> {
        let mut history = self.history(genesis);
        loop {
            let call = self.client.chain_validator_changes(history.last_change(), Some(MAX_PAGE));
            let page = self.ask(call).await?;
            let is_last = page.len() < MAX_PAGE as usize;
            let extended = move || {
                for change in &page {
                    let what = format_args!("the change of validators in block {}", change.at.view.height);
                    history.extend(change).map_err(ReadError::untrusted(what))?;
                }
                Ok(history)
            };
            history = self.check(extended).await??;
            if is_last {
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
        self.counts.question();
        questions::note();
        call.await.map_err(|error| match ApiError::from_client(&error) {
            Some(error) if error.code == "block.state_dropped" => ReadError::StateDropped(error),
            Some(error) if error.category == Category::NotFound => ReadError::NotFound(error),
            Some(error) if error.category == Category::Input => ReadError::Malformed(error),
            _ => {
                self.counts.unanswered();
                ReadError::Unreachable { url: self.url.to_string(), reason: error.to_string() }
            }
        })
    }
}
