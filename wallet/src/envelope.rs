//! The envelope: how a message is encrypted to its recipients and opened again.
//!
//! ```text
//!  Content ─► plaintext (salt ‖ length ‖ content ‖ padding) ─► body under the content key
//!                                                               content key ─► one slot per recipient
//! ```
//!
//! A sealed message hides who takes part: [`view`](candidates) finds it, and the author signs inside.
//! Everything is bound to the [context hash](sealpost_ledger::message::MessageContext), so that no part
//! can be lifted into another transaction. `docs/protocol.md` has the bytes.

mod content;
#[cfg(feature = "fuzzing")]
pub(crate) mod fuzzing;
mod keys;
mod open;
mod seal;
#[cfg(test)]
mod sealed_tests;
mod suites;
#[cfg(test)]
mod tests;
#[cfg(test)]
mod vectors;
mod view;

pub use content::{
    Attachment, Content, ContentError, Data, Letter, MAX_CONTENT_OVERHEAD, Part, Parts, largest_content,
    padded_length,
};
pub use keys::{BundleSecret, has_ml_kem};
pub use open::{OpenError, Opened, open, open_sealed, slot_for};
pub use seal::{Recipient, SealError, SealRequest, Sealed, seal};
pub use view::{HiddenSlot, ViewKey, candidates, candidates_of};
