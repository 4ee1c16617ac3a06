//! The methods. Server and client come from this one trait.

use crate::{
    AbsenceProof, BlockId, BlockPage, BundleAnswer, BundleHistory, CertificateView, ConsistencyProof,
    DesignationAnswer, EquivocationPage, FinalTransaction, Hex, HistoryProof, InclusionProof, MailboxPage,
    MailboxQuery, MemberAnswer, NewTransaction, NodeStatus, NodeVersion, PeerView, PostageQuote, ReceiptView,
    SealedHeader, SubmissionAnswer, Submitted, TagPage, TagQuery, TransactionStatus, TransactionsPage,
    Validators, ValidatorsChanged, WaitFor,
};
use jsonrpsee::core::{RpcResult, SubscriptionResult};
use jsonrpsee::proc_macros::rpc;
use sealpost_ledger::hash::TransactionId;
use sealpost_ledger::height::BlockHeight;

/// The node's RPC. Parameters are named.
#[rpc(server, client)]
pub trait SealpostRpc {
    /// How the node is.
    #[method(name = "node_status", param_kind = map)]
    async fn node_status(&self) -> RpcResult<NodeStatus>;
    /// The node's peers.
    #[method(name = "node_peers", param_kind = map)]
    async fn node_peers(&self) -> RpcResult<Vec<PeerView>>;
    /// What the node is.
    #[method(name = "node_version", param_kind = map)]
    async fn node_version(&self) -> RpcResult<NodeVersion>;

    /// The genesis file, as JSON text.
    #[method(name = "chain_genesis", param_kind = map)]
    async fn chain_genesis(&self) -> RpcResult<String>;
    /// The last final block's header and certificate; nothing before the first block.
    #[method(name = "chain_head", param_kind = map)]
    async fn chain_head(&self) -> RpcResult<Option<SealedHeader>>;
    /// A block's header and certificate.
    #[method(name = "chain_header", param_kind = map)]
    async fn chain_header(&self, block: BlockId) -> RpcResult<SealedHeader>;
    /// Headers and certificates from a height on: as many as an answer holds, [`MAX_HEADERS`](crate::MAX_HEADERS) at most.
    /// Beyond the last block there are none.
    #[method(name = "chain_headers", param_kind = map)]
    async fn chain_headers(&self, from: BlockHeight, limit: u32) -> RpcResult<Vec<SealedHeader>>;
    /// A block and its transactions from index `from` on.
    #[method(name = "chain_block", param_kind = map)]
    async fn chain_block(
        &self,
        block: BlockId,
        from: Option<u32>,
        limit: Option<u32>,
    ) -> RpcResult<BlockPage>;
    /// Blocks from a height on with every transaction in them, bodies left out: as many as an answer holds,
    /// [`MAX_HEADERS`](crate::MAX_HEADERS) at most. Beyond the last block there are none.
    #[method(name = "chain_transactions", param_kind = map)]
    async fn chain_transactions(&self, from: BlockHeight, limit: Option<u32>) -> RpcResult<TransactionsPage>;
    /// Who signed a block.
    #[method(name = "chain_certificate", param_kind = map)]
    async fn chain_certificate(&self, block: BlockId) -> RpcResult<CertificateView>;
    /// The validators that decide a height up to the next one, which is meant if none is given.
    #[method(name = "chain_validators", param_kind = map)]
    async fn chain_validators(&self, height: Option<BlockHeight>) -> RpcResult<Validators>;

    /// A page of the equivocations that this node has recorded, beyond number `after`.
    #[method(name = "chain_equivocations", param_kind = map)]
    async fn chain_equivocations(
        &self,
        after: Option<u64>,
        limit: Option<u32>,
    ) -> RpcResult<EquivocationPage>;
    /// Changes of the validators in blocks after a height, the oldest first,
    /// [`MAX_PAGE`](crate::MAX_PAGE) at most.
    #[method(name = "chain_validatorChanges", param_kind = map)]
    async fn chain_validator_changes(
        &self,
        after: BlockHeight,
        limit: Option<u32>,
    ) -> RpcResult<Vec<ValidatorsChanged>>;

    /// Takes in a transaction, with its body if it is a message. Submitting it again does no harm.
    #[method(name = "tx_submit", param_kind = map)]
    async fn tx_submit(
        &self,
        transaction: Hex,
        body: Option<Hex>,
        wait: Option<WaitFor>,
    ) -> RpcResult<Submitted>;
    /// Takes in many transactions, [`MAX_SUBMISSIONS`](crate::MAX_SUBMISSIONS) at most and 4 MiB of request. Each
    /// is answered by itself, in their order: one that is refused takes none of the others along.
    #[method(name = "tx_submitMany", param_kind = map)]
    async fn tx_submit_many(
        &self,
        transactions: Vec<NewTransaction>,
        wait: Option<WaitFor>,
    ) -> RpcResult<Vec<SubmissionAnswer>>;
    /// A final transaction, with place and path.
    #[method(name = "tx_get", param_kind = map)]
    async fn tx_get(&self, id: TransactionId) -> RpcResult<FinalTransaction>;
    /// How far a transaction has come.
    #[method(name = "tx_status", param_kind = map)]
    async fn tx_status(&self, id: TransactionId) -> RpcResult<TransactionStatus>;
    /// The encrypted body of a final message.
    #[method(name = "tx_body", param_kind = map)]
    async fn tx_body(&self, id: TransactionId) -> RpcResult<Hex>;
    /// The answers to a message so far.
    #[method(name = "tx_receipts", param_kind = map)]
    async fn tx_receipts(&self, id: TransactionId) -> RpcResult<Vec<ReceiptView>>;

    /// What a transaction of that size costs now, in bytes of header, signature and body.
    #[method(name = "postage_price", param_kind = map)]
    async fn postage_price(&self, bytes: u64) -> RpcResult<PostageQuote>;

    /// The newest key bundle of an identity at a height (now, if none is given), proven.
    #[method(name = "directory_bundle", param_kind = map)]
    async fn directory_bundle(
        &self,
        address: String,
        at_height: Option<BlockHeight>,
    ) -> RpcResult<BundleAnswer>;
    /// The key bundles of an identity, the newest first, from sequence number `before` downwards.
    #[method(name = "directory_history", param_kind = map)]
    async fn directory_history(&self, address: String, before: Option<u64>) -> RpcResult<BundleHistory>;

    /// Where an identity receives notices of a class at a height (now, if none is given), proven.
    #[method(name = "directory_designation", param_kind = map)]
    async fn directory_designation(
        &self,
        address: String,
        class: String,
        at_height: Option<BlockHeight>,
    ) -> RpcResult<DesignationAnswer>;
    /// Whether an identity is a member at a height (now, if none is given), proven.
    #[method(name = "member_status", param_kind = map)]
    async fn member_status(&self, address: String, at_height: Option<BlockHeight>)
    -> RpcResult<MemberAnswer>;

    /// A page of the transactions of an address: as many as are asked for, or fewer if they are long. Whether more
    /// follow is told by `more` alone.
    #[method(name = "mailbox_list", param_kind = map)]
    async fn mailbox_list(&self, query: MailboxQuery) -> RpcResult<MailboxPage>;

    /// A page of the hidden slots of sealed messages in a range of heights: the same for everybody who asks.
    #[method(name = "mailbox_tags", param_kind = map)]
    async fn mailbox_tags(&self, query: TagQuery) -> RpcResult<TagPage>;

    /// Shows that a transaction stands in its block.
    #[method(name = "proof_inclusion", param_kind = map)]
    async fn proof_inclusion(&self, id: TransactionId) -> RpcResult<InclusionProof>;
    /// Shows that a slot of a message had no answer after a height (the newest, if none is given).
    #[method(name = "proof_absence", param_kind = map)]
    async fn proof_absence(
        &self,
        id: TransactionId,
        slot: u16,
        at_height: Option<BlockHeight>,
    ) -> RpcResult<AbsenceProof>;
    /// Shows that a block is part of a later block's history (the newest, if none is given).
    #[method(name = "proof_history", param_kind = map)]
    async fn proof_history(&self, block: BlockId, head: Option<BlockHeight>) -> RpcResult<HistoryProof>;
    /// Shows that history was only added to between two blocks.
    #[method(name = "proof_consistency", param_kind = map)]
    async fn proof_consistency(&self, from: BlockHeight, to: BlockHeight) -> RpcResult<ConsistencyProof>;
    /// The evidence file of a message, as JSON text: with every receipt so far, and for each slot without
    /// one the proof of its absence up to `until` (the newest height, if none is given).
    #[method(name = "evidence_get", param_kind = map)]
    async fn evidence_get(
        &self,
        id: TransactionId,
        until: Option<BlockHeight>,
        with_body: Option<bool>,
    ) -> RpcResult<String>;

    /// Each final block: from a height on, then live, without a gap.
    #[subscription(with_extensions, name = "chain_subscribeBlocks" => "chain_block_final", unsubscribe = "chain_unsubscribeBlocks", item = SealedHeader, param_kind = map)]
    async fn chain_subscribe_blocks(&self, from: Option<BlockHeight>) -> SubscriptionResult;
    /// How far a transaction comes: what is known now, then each step.
    #[subscription(with_extensions, name = "tx_subscribeStatus" => "tx_status_changed", unsubscribe = "tx_unsubscribeStatus", item = TransactionStatus, param_kind = map)]
    async fn tx_subscribe_status(&self, id: TransactionId) -> SubscriptionResult;
    /// Each open message to an address, and each receipt for a message it sent: from a height on, then live.
    #[subscription(with_extensions, name = "mailbox_subscribe" => "mailbox_entry", unsubscribe = "mailbox_unsubscribe", item = FinalTransaction, param_kind = map)]
    async fn mailbox_subscribe(&self, address: String, from: Option<BlockHeight>) -> SubscriptionResult;
}
