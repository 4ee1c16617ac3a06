//! The law of Sealpost: what a transaction, a block and a piece of evidence are, and when they hold.
//!
//! ```text
//!  Transaction ─► SignedTransaction ─► VerifiedTransaction ─► Block ─► VerifiedBlock ─► CommittedBlock
//!    (words)        (a claim)           (signature holds)             (rules hold)      (2/3 signed)
//!                                                                                            │
//!                                                                  evidence ◄── proofs ◄─────┘
//! ```
//!
//! Pure and synchronous: no network, clock, disk, randomness or secret key of its own. A wallet, a
//! browser-side tool or an auditor's program can embed it whole.
//!
//! # Glossary
//! *message*: what a person writes. *envelope*: the message, encrypted. *transaction*: a signed header
//! that commits to the envelope. *block*: transactions in order. *commit*: two thirds of the validators
//! signed the block. *receipt*: the recipient's signed answer on the ledger. *evidence*: one file that a
//! stranger can check.
//!
//! # Invariants
//! - **I1** One value, one encoding: whatever decodes encodes back to the same bytes ([`codec`]).
//! - **I2** Nothing decoded from outside panics or allocates beyond [`codec::MAX_BYTES`].
//! - **I3** A type's name is its proof: `Verified…` and `Committed…` values come from their checks only.
//! - **I4** The same tip, view and block give the same result on every machine ([`chain`]).
//! - **I5** A transaction id appears on the ledger once; a slot is answered once ([`execution`]).
//! - **I6** Every proof is checked against a root in a header that two thirds signed ([`evidence`]).

pub mod address;
pub mod author;
pub mod block;
pub mod certificate;
pub mod chain;
pub mod codec;
#[cfg(test)]
mod decoder_tests;
pub mod equivocation;
pub mod evidence;
#[cfg(any(test, feature = "fuzzing"))]
pub mod examples;
pub mod execution;
#[cfg(any(test, feature = "fuzzing"))]
pub mod fuzzing;
pub mod genesis;
pub mod hash;
pub mod height;
pub mod key_bundle;
pub mod membership;
pub mod merkle;
pub mod message;
pub mod postage;
#[cfg(test)]
mod protocol_example;
pub mod receipt;
pub mod signature;
pub mod state;
#[cfg(any(test, feature = "fuzzing"))]
#[cfg_attr(not(test), allow(dead_code))]
mod testing;
pub mod transaction;
pub mod validator;
