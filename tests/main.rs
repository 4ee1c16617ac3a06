//! Tests across the rooms.

mod architecture;
mod demo;
mod errors;
mod faults;
mod main_job;
