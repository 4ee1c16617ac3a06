//! A validator that owns no network, clock, thread or disk: the engine's own state machine over this node's own
//! `Application`, driven by whoever simulates a network of them. What the engine's tasks do around its state machine
//! (timers, the log of votes, answers that come later) is done here in one thread, in an order that is always the same.
//!
//! Only for tests: it is built with the feature `simulation`.

mod log;
mod misdeeds;
mod remembering;
mod replica;

pub use log::VoteLog;
pub use misdeeds::Flaw;
pub use replica::{Message, Moment, Output, Replica, Rules, Said, Seat, said};
