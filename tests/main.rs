//! Tests across the rooms.

mod architecture;
mod demo;
mod dev;
mod errors;
mod faults;
mod foreign_peer;
mod foreign_reader;
mod hostile;
mod interop;
mod lab;
mod library;
mod links;
mod main_job;
mod merkle;
mod mishaps;
mod network;
mod ops;
mod schemas;
mod serve;
mod siege;
mod snapshot;
mod validators;
mod vectors;
mod world;
