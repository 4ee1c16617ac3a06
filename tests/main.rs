//! Tests across the rooms.

mod architecture;
mod demo;
mod errors;
mod faults;
mod interop;
mod lab;
mod main_job;
mod merkle;
mod schemas;
mod vectors;
