//! The methods: each asks the [`Reader`] where blocking is allowed, or the rest of the node.

use super::limits::Caller;
use super::reading::{Reading, reading_for};
use super::subscriptions::{Outlet, follow_blocks, follow_mailbox, follow_status};
use super::transaction::Spot;
use super::{Failure, PoolAnswer, PoolQuery, Reader, Wiring};
use crate::wire::PeerInfo;
use jsonrpsee::Extensions;
use jsonrpsee::core::{RpcResult, SubscriptionResult, async_trait};
use jsonrpsee::server::{PendingSubscriptionSink, SubscriptionSink};
use sealpost_api::{
    AbsenceProof, ApiError, BlockId, BlockPage, BundleAnswer, BundleHistory, Category, CertificateView,
    ConsistencyProof, DesignationAnswer, EquivocationPage, FinalTransaction, Hex, HistoryProof,
    InclusionProof, MAX_SUBMISSIONS, MailboxPage, MailboxQuery, MemberAnswer, NewTransaction, NodeStatus,
    NodeVersion, PROTOCOL_VERSION, PeerView, Place, PostageQuote, ReceiptView, SealedHeader,
    SealpostRpcServer, SubmissionAnswer, Submitted, TagPage, TagQuery, TransactionStatus, TransactionsPage,
    Validators, ValidatorsChanged, WaitFor,
};
use sealpost_ledger::hash::TransactionId;
use sealpost_ledger::height::BlockHeight;
use std::time::Instant;
use tokio::sync::oneshot;

pub(super) struct Methods {
    pub(super) reading: Reading,
    pub(super) wiring: Wiring,
    pub(super) started: Instant,
}

impl Methods {
    async fn read<T: Send + 'static>(
        &self,
        read: impl FnOnce(&Reader) -> Result<T, Failure> + Send + 'static,
    ) -> RpcResult<T> {
        Ok(self.ask(read).await?)
    }
    async fn ask<T: Send + 'static>(
        &self,
        read: impl FnOnce(&Reader) -> Result<T, Failure> + Send + 'static,
    ) -> Result<T, ApiError> {
        self.reading.read(read).await
    }
    /// What is known of transactions besides the ledger.
    async fn pool(&self, ids: Vec<TransactionId>) -> Result<Vec<PoolAnswer>, ApiError> {
        let (reply, answers) = oneshot::channel();
        let sent = self.wiring.queries.send(PoolQuery { ids, reply }).await;
        sent.map_err(|_| stopping())?;
        answers.await.map_err(|_| stopping())
    }
    async fn status(&self, id: TransactionId) -> Result<TransactionStatus, ApiError> {
        Ok(self.statuses(vec![(id, None)]).await?.pop().unwrap_or(TransactionStatus::Unknown))
    }
    /// All of them in one look, in their order; of some it is known where they stand.
    pub(super) async fn statuses(
        &self,
        ids: Vec<(TransactionId, Option<Spot>)>,
    ) -> Result<Vec<TransactionStatus>, ApiError> {
        // The mempool first: what leaves it for a block is on the ledger already.
        let pool = self.pool(ids.iter().map(|(id, _)| *id).collect()).await?;
        let places = self.ask(move |reader| reader.places(ids)).await?;
        let status = |(place, pool): (Option<Place>, PoolAnswer)| match place {
            Some(place) => TransactionStatus::Final(Place { first_seen_ms: pool.first_seen_ms, ..place }),
            None if pool.waiting => TransactionStatus::Accepted,
            None => TransactionStatus::Unknown,
        };
        Ok(places.into_iter().zip(pool).map(status).collect())
    }
}

pub(super) fn stopping() -> ApiError {
    ApiError::new(Category::Busy, "node.stopping", "this node is stopping").help("ask another node")
}

#[async_trait]
impl SealpostRpcServer for Methods {
    async fn node_status(&self) -> RpcResult<NodeStatus> {
        let pool = *self.wiring.pool.borrow();
        let (health, uptime_seconds) = (self.wiring.health.now(), self.started.elapsed().as_secs());
        self.read(move |reader| {
            let (tip, sizes) = (reader.store.tip(), reader.store.sizes());
            Ok(NodeStatus {
                chain: reader.genesis.chain_id(),
                chain_name: reader.genesis.chain_name().into(),
                height: tip.height(),
                block: tip.block(),
                block_time_ms: tip.time_ms(),
                syncing: health.syncing,
                target: BlockHeight::new(health.target.max(tip.height().get())),
                peers: u32::try_from(health.peers).unwrap_or(u32::MAX),
                validator: health.deciding,
                validators: u32::try_from(tip.validators().count()).unwrap_or(u32::MAX),
                mempool_transactions: pool.transactions as u64,
                mempool_bytes: pool.bytes as u64,
                postage_price: tip.price(),
                headers_bytes: sizes.headers_bytes,
                bodies_bytes: sizes.bodies_bytes,
                uptime_seconds,
                version: env!("CARGO_PKG_VERSION").into(),
            })
        })
        .await
    }
    async fn node_peers(&self) -> RpcResult<Vec<PeerView>> {
        let Some(roster) = &self.wiring.roster else { return Ok(Vec::new()) };
        let (reply, peers) = oneshot::channel();
        roster.send(reply).await.map_err(|_| stopping())?;
        let peers = peers.await.map_err(|_| stopping())?;
        let view = |peer: PeerInfo| PeerView {
            peer: peer.peer.to_string(),
            address: peer.address,
            incoming: peer.incoming,
            agent: peer.agent,
            height: peer.height.map(BlockHeight::new),
            faults: peer.faults,
            seconds: peer.seconds,
        };
        Ok(peers.into_iter().map(view).collect())
    }
    async fn node_version(&self) -> RpcResult<NodeVersion> {
        Ok(NodeVersion { version: env!("CARGO_PKG_VERSION").into(), protocol: PROTOCOL_VERSION })
    }
    async fn chain_genesis(&self) -> RpcResult<String> {
        Ok(self.reading.reader.genesis.to_json())
    }
    async fn chain_head(&self) -> RpcResult<Option<SealedHeader>> {
        self.read(|reader| reader.head()).await
    }
    async fn chain_header(&self, block: BlockId) -> RpcResult<SealedHeader> {
        self.read(move |reader| reader.header(block)).await
    }
    async fn chain_headers(&self, from: BlockHeight, limit: u32) -> RpcResult<Vec<SealedHeader>> {
        self.read(move |reader| reader.headers(from, limit)).await
    }
    async fn chain_block(
        &self,
        block: BlockId,
        from: Option<u32>,
        limit: Option<u32>,
    ) -> RpcResult<BlockPage> {
        self.read(move |reader| reader.block(block, from, limit)).await
    }
    async fn chain_transactions(&self, from: BlockHeight, limit: Option<u32>) -> RpcResult<TransactionsPage> {
        self.read(move |reader| reader.whole_blocks(from, limit)).await
    }
    async fn chain_certificate(&self, block: BlockId) -> RpcResult<CertificateView> {
        self.read(move |reader| reader.certificate(block)).await
    }
    async fn chain_validators(&self, height: Option<BlockHeight>) -> RpcResult<Validators> {
        self.read(move |reader| reader.validators(height)).await
    }
    async fn chain_equivocations(
        &self,
        after: Option<u64>,
        limit: Option<u32>,
    ) -> RpcResult<EquivocationPage> {
        self.read(move |reader| reader.equivocations(after, limit)).await
    }
    async fn chain_validator_changes(
        &self,
        after: BlockHeight,
        limit: Option<u32>,
    ) -> RpcResult<Vec<ValidatorsChanged>> {
        self.read(move |reader| reader.validator_changes(after, limit)).await
    }
    async fn tx_submit(
        &self,
        transaction: Hex,
        body: Option<Hex>,
        wait: Option<WaitFor>,
    ) -> RpcResult<Submitted> {
        let only = vec![NewTransaction { transaction, body }];
        let answer = self.take_in(only, wait.unwrap_or_default()).await.pop();
        Ok(answer.unwrap_or_else(|| Err(stopping()))?)
    }
    async fn tx_submit_many(
        &self,
        transactions: Vec<NewTransaction>,
        wait: Option<WaitFor>,
    ) -> RpcResult<Vec<SubmissionAnswer>> {
        if transactions.len() > MAX_SUBMISSIONS as usize {
            let given = transactions.len();
            let message = format!("transactions: {given} given, {MAX_SUBMISSIONS} are allowed in one call");
            return Err(ApiError::new(Category::Input, "input.limit", message).into());
        }
        let answers = self.take_in(transactions, wait.unwrap_or_default()).await.into_iter();
        Ok(answers
            .map(|answer| match answer {
                Ok(submitted) => SubmissionAnswer::Taken(submitted),
                Err(error) => SubmissionAnswer::Refused { error },
            })
            .collect())
    }
    async fn tx_get(&self, id: TransactionId) -> RpcResult<FinalTransaction> {
        let pool = self.pool(vec![id]).await?.pop();
        let mut found = self.read(move |reader| reader.transaction(&id)).await?;
        found.place.first_seen_ms = pool.and_then(|pool| pool.first_seen_ms);
        Ok(found)
    }
    async fn tx_status(&self, id: TransactionId) -> RpcResult<TransactionStatus> {
        Ok(self.status(id).await?)
    }
    async fn tx_body(&self, id: TransactionId) -> RpcResult<Hex> {
        self.read(move |reader| reader.body(&id)).await
    }
    async fn tx_receipts(&self, id: TransactionId) -> RpcResult<Vec<ReceiptView>> {
        self.read(move |reader| reader.receipts(&id)).await
    }
    async fn postage_price(&self, bytes: u64) -> RpcResult<PostageQuote> {
        Ok(self.reading.reader.postage(bytes))
    }
    async fn directory_bundle(
        &self,
        address: String,
        at_height: Option<BlockHeight>,
    ) -> RpcResult<BundleAnswer> {
        self.read(move |reader| reader.bundle(&address, at_height)).await
    }
    async fn directory_history(&self, address: String, before: Option<u64>) -> RpcResult<BundleHistory> {
        self.read(move |reader| reader.bundles(&address, before)).await
    }
    async fn directory_designation(
        &self,
        address: String,
        class: String,
        at_height: Option<BlockHeight>,
    ) -> RpcResult<DesignationAnswer> {
        self.read(move |reader| reader.designation(&address, class, at_height)).await
    }
    async fn member_status(
        &self,
        address: String,
        at_height: Option<BlockHeight>,
    ) -> RpcResult<MemberAnswer> {
        self.read(move |reader| reader.member(&address, at_height)).await
    }
    async fn mailbox_list(&self, query: MailboxQuery) -> RpcResult<MailboxPage> {
        self.read(move |reader| reader.mailbox(&query)).await
    }
    async fn mailbox_tags(&self, query: TagQuery) -> RpcResult<TagPage> {
        self.read(move |reader| reader.tags(&query)).await
    }
    async fn proof_inclusion(&self, id: TransactionId) -> RpcResult<InclusionProof> {
        self.read(move |reader| reader.inclusion(&id)).await
    }
    async fn proof_absence(
        &self,
        id: TransactionId,
        slot: u16,
        at_height: Option<BlockHeight>,
    ) -> RpcResult<AbsenceProof> {
        self.read(move |reader| reader.absence(&id, slot, at_height)).await
    }
    async fn proof_history(&self, block: BlockId, head: Option<BlockHeight>) -> RpcResult<HistoryProof> {
        self.read(move |reader| reader.history(block, head)).await
    }
    async fn proof_consistency(&self, from: BlockHeight, to: BlockHeight) -> RpcResult<ConsistencyProof> {
        self.read(move |reader| reader.consistency(from, to)).await
    }
    async fn evidence_get(
        &self,
        id: TransactionId,
        until: Option<BlockHeight>,
        with_body: Option<bool>,
    ) -> RpcResult<String> {
        self.read(move |reader| reader.evidence(&id, until, with_body.unwrap_or(false))).await
    }
    async fn chain_subscribe_blocks(
        &self,
        pending: PendingSubscriptionSink,
        extensions: &Extensions,
        from: Option<BlockHeight>,
    ) -> SubscriptionResult {
        let asker = Asker::of(extensions);
        let outlet = asker.outlet(pending.accept().await?, &self.wiring);
        asker.follows(follow_blocks(outlet, self.reading.clone(), self.wiring.head.clone(), from)).await
    }
    async fn tx_subscribe_status(
        &self,
        pending: PendingSubscriptionSink,
        extensions: &Extensions,
        id: TransactionId,
    ) -> SubscriptionResult {
        let asker = Asker::of(extensions);
        let outlet = asker.outlet(pending.accept().await?, &self.wiring);
        asker.follows(follow_status(outlet, self.wiring.head.clone(), || self.status(id))).await
    }
    async fn mailbox_subscribe(
        &self,
        pending: PendingSubscriptionSink,
        extensions: &Extensions,
        address: String,
        from: Option<BlockHeight>,
    ) -> SubscriptionResult {
        let address = match self.reading.reader.address(&address) {
            Ok(address) => address,
            Err(error) => {
                pending.reject(error).await;
                return Ok(());
            }
        };
        let asker = Asker::of(extensions);
        let outlet = asker.outlet(pending.accept().await?, &self.wiring);
        let head = self.wiring.head.clone();
        asker.follows(follow_mailbox(outlet, self.reading.clone(), head, address, from)).await
    }
}

/// Who subscribes: a subscription is a task of its own, and its items are read and kept for them.
struct Asker(Option<Caller>);

impl Asker {
    fn of(extensions: &Extensions) -> Self {
        Self(extensions.get::<Caller>().cloned())
    }
    fn outlet(&self, sink: SubscriptionSink, wiring: &Wiring) -> Outlet {
        Outlet::new(sink, self.0.clone(), wiring.stop.clone())
    }
    async fn follows<T>(self, follow: impl Future<Output = T>) -> T {
        match self.0 {
            Some(caller) => reading_for(caller.client, follow).await,
            None => follow.await,
        }
    }
}
