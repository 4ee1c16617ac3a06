//! Tests across the rooms.

mod architecture;
mod demo;
mod dev;
mod errors;
mod evidence;
mod faults;
mod foreign_peer;
mod hostile;
mod interop;
mod lab;
mod lies;
mod links;
mod main_job;
mod merkle;
mod mishaps;
mod network;
mod ops;
mod parcels;
mod schemas;
mod sealed;
mod siege;
mod snapshot;
mod validators;
mod vectors;
mod world;
