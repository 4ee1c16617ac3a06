//! The wallet.

pub mod contacts;
pub mod envelope;
pub mod keystore;
pub mod mnemonic;
pub mod postage;
mod random;
