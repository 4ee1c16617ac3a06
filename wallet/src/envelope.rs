//! The envelope: how a message is encrypted to its recipients and opened again.
//!
//! ```text
//!  Content ─► plaintext (salt ‖ length ‖ content ‖ padding) ─► body under the content key
//!                                                               content key ─► one slot per recipient
//! ```
//!
//! Everything is bound to the [context hash](sealpost_ledger::message::MessageContext), so that no part
//! can be lifted into another transaction. `docs/protocol.md` has the bytes.

mod content;
mod keys;
mod open;
mod seal;
mod suites;
#[cfg(test)]
mod tests;
#[cfg(test)]
mod vectors;

pub use content::{
    Attachment, Content, ContentError, Data, Letter, MAX_CONTENT_OVERHEAD, Part, Parts, padded_length,
};
pub use keys::BundleSecret;
pub use open::{OpenError, Opened, open};
pub use seal::{Recipient, SealError, SealRequest, Sealed, seal};
