//! The one description of the node's RPC: JSON-RPC 2.0 over HTTP and WebSocket, the types it speaks, the
//! trait a server implements and the client made from the same trait, so that the two can't drift apart.
//!
//! Canonical bytes ([`Hex`]) are what counts: whoever must not trust a node decodes and checks those. The
//! decoded fields beside them (types named `…View`) are for people and pages, and prove nothing.
//!
//! # Many transactions
//!
//! `tx_submitMany` takes [`MAX_SUBMISSIONS`] in a call, and answers each by itself. A request has 4 MiB at most. Several
//! calls may be under way at once, over HTTP in connections of their own, over a WebSocket in one; a node with no room
//! left says so (category [`Busy`](Category::Busy)), and what is submitted again does no harm.
//!
//! Over HTTP a request may come in gzip (`Content-Encoding: gzip`; its limit counts the bytes as they are after
//! unpacking), and is answered in gzip if it asks for that (`Accept-Encoding: gzip`). Bodies are encrypted and don't
//! shrink, but hexadecimal text does: to somewhat more than half.

mod block;
mod directory;
mod equivocation;
mod error;
mod hex;
mod mailbox;
mod proof;
mod rpc;
mod status;
mod transaction;
pub mod verify;

pub use block::{
    BlockId, BlockPage, BlockTransactions, CertificateView, HeaderView, NamedValidator, Scheduled,
    SealedHeader, Signer, TransactionSummary, TransactionsPage, Validators, ValidatorsChanged,
};
pub use directory::{
    BundleAnswer, BundleHistory, BundleView, DesignationAnswer, DesignationView, MemberAnswer, MemberView,
};
pub use equivocation::{EquivocationPage, EquivocationView};
pub use error::{ApiError, Category};
pub use hex::Hex;
pub use mailbox::{MailboxEntry, MailboxPage, MailboxQuery, MailboxSide, Order, SlotTag, TagPage, TagQuery};
pub use proof::{AbsenceProof, ConsistencyProof, HistoryProof, InclusionProof};
pub use rpc::{SealpostRpcClient, SealpostRpcServer};
pub use status::{NodeStatus, NodeVersion, PeerView, PostageQuote};
pub use transaction::{
    FinalTransaction, MessageView, NewTransaction, PayloadView, Place, ReceiptView, SlotView,
    SubmissionAnswer, Submitted, TransactionStatus, TransactionView, WaitFor,
};

/// The protocol version spoken here: formats and methods.
pub const PROTOCOL_VERSION: u32 = 1;
/// Port that a node serves on unless told otherwise.
pub const DEFAULT_PORT: u16 = 17325;
/// Entries of a page unless told otherwise.
pub const DEFAULT_PAGE: u32 = 25;
/// Most entries of a page.
pub const MAX_PAGE: u32 = 100;
/// Hidden slots after which a page of them ends.
pub const MAX_TAGS: u32 = 2000;
/// Most transactions of one [`tx_submit_many`](SealpostRpcServer::tx_submit_many).
pub const MAX_SUBMISSIONS: u32 = 500;
/// Most headers in one answer.
pub const MAX_HEADERS: u32 = 1000;
