//! The Sealpost node: mempool, consensus, store and RPC, and the file that connects them.

pub mod consensus;
pub mod identity;
pub mod mempool;
pub mod store;
