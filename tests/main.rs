//! Tests across the rooms.

mod architecture;
mod demo;
mod errors;
mod faults;
mod interop;
mod main_job;
mod merkle;
mod ops;
mod schemas;
mod snapshot;
mod validators;
mod vectors;
