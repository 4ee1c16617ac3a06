//! The wallet.

pub mod envelope;
pub mod mnemonic;
mod random;
