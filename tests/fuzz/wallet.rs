//! The fuzzer's program for the wallet: envelopes, its own files, what people type and what programs ask it.
#![no_main]

mod choice;

use sealpost_wallet::fuzzing::targets;

libfuzzer_sys::fuzz_target!(init: choice::choose(targets()), |input: &[u8]| choice::run(input));
