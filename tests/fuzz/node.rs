//! The fuzzer's program for the node: what peers, other validators, clients and its own disk hand it.
#![no_main]

mod choice;

use sealpost_node::fuzzing::targets;

libfuzzer_sys::fuzz_target!(init: choice::choose(targets()), |input: &[u8]| choice::run(input));
