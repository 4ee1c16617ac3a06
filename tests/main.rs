//! Tests across the rooms.

mod architecture;
mod demo;
mod errors;
mod faults;
mod foreign_peer;
mod hostile;
mod interop;
mod lab;
mod main_job;
mod merkle;
mod network;
mod ops;
mod schemas;
mod siege;
mod snapshot;
mod validators;
mod vectors;
