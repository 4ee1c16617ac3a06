//! How HTTP clients are let in, by the node's RPC and by the explorer alike: so many connections at once, so many of
//! each client, with a time for whoever says nothing and for whoever takes nothing. What is asked and answered is
//! none of its business.
//!
//! ```text
//!  listen: a place for all, a place of the client's ─► Connection (holds both until it ends) ─► the service
//!                    └─ none left: a refusal with a word                │
//!                                                      Flow: what it is told of the connection, and tells it
//! ```
//!
//! [`Names`] tell whether a request is for this server at all; [`Places`] count anything that clients hold (connections, streams, bytes), [`Rates`] what they ask for in a second.

mod client;
mod connection;
mod frames;
mod listen;
mod names;
mod places;
mod rates;

pub use client::{Client, is_trusted, network};
pub use connection::{Call, Flow, Room, TooEarly};
pub use hyper::body::Incoming;
pub use listen::{Count, Doors, Patience, Peer, Refusal, serve};
pub use names::{Foreign, Names};
pub use places::{Full, Place, Places};
pub use rates::Rates;
