//! Tests across the rooms.

mod architecture;
mod errors;
