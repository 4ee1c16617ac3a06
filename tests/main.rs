//! Tests across the rooms.

mod architecture;
