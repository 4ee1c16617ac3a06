//! The Sealpost node: mempool, consensus, store and RPC, and the file that connects them ([`node`]).

pub mod cli;
pub mod config;
pub mod consensus;
pub mod disk;
#[cfg(feature = "fuzzing")]
pub mod fuzzing;
pub mod gossip;
pub mod health;
pub mod home;
pub mod identity;
pub mod mempool;
pub mod metrics;
pub mod node;
pub mod pauses;
mod process;
pub mod rpc;
pub mod store;
pub mod supervision;
pub mod sync;
pub mod waiting;
pub mod wire;
