//! Tests across the rooms.
