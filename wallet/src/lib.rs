//! The Sealpost wallet as a library: keys, encryption, verified reading, evidence. It owns every secret and
//! trusts no node.
//!
//! ```text
//!  mnemonic ─► identity ─┐                             ┌─► envelope (seal) ─► outbox ─► node
//!                        ├─► keystore ─► Wallet ───────┤
//!  encryption keys ──────┘                             └─► light (verify) ─► envelope (open) ─► evidence
//! ```

pub mod archive;
pub mod backup;
pub mod certificate;
pub mod cli;
pub mod contacts;
pub mod drafts;
pub mod envelope;
mod failure;
pub mod hardening;
pub mod keystore;
mod known;
pub mod letters;
pub mod light;
pub mod mail;
pub mod mnemonic;
pub mod outbox;
pub mod parcel;
pub mod postage;
pub mod profile;
mod random;
pub mod scan;
pub mod search;
#[cfg(test)]
mod testing;
pub mod wallet;

pub use failure::failure;
pub use wallet::{Draft, Wallet, WalletError};
