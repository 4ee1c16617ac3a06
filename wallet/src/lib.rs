//! The Sealpost wallet as a library: keys, encryption, verified reading, evidence. It owns every secret and
//! trusts no node.
//!
//! ```text
//!  mnemonic ─► identity ─┐                             ┌─► envelope (seal) ─► outbox ─► node
//!                        ├─► keystore ─► Wallet ───────┤
//!  encryption keys ──────┘                             └─► light (verify) ─► envelope (open) ─► evidence
//! ```

pub mod backup;
pub mod cli;
pub mod contacts;
pub mod envelope;
mod failure;
pub mod hardening;
pub mod keystore;
pub mod light;
pub mod mnemonic;
pub mod outbox;
pub mod postage;
pub mod profile;
mod random;
#[cfg(test)]
mod testing;
pub mod wallet;

pub use failure::failure;
pub use wallet::{Draft, Wallet, WalletError};
