//! The fuzzer's program for the explorer: what browsers and programs ask it.
#![no_main]

mod choice;

use sealpost_explorer::fuzzing::targets;

libfuzzer_sys::fuzz_target!(init: choice::choose(targets()), |input: &[u8]| choice::run(input));
