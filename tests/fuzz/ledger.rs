//! The fuzzer's program for the ledger: every decoder, and the checks that accept or refuse what others claim.
#![no_main]

mod choice;
#[path = "ledger/evidence.rs"]
mod evidence;
#[path = "ledger/planted.rs"]
mod planted;
#[path = "ledger/proofs.rs"]
mod proofs;
#[path = "ledger/quorum.rs"]
mod quorum;
#[path = "ledger/rules.rs"]
mod rules;
#[path = "ledger/texts.rs"]
mod texts;

use sealpost_ledger::examples::{KINDS, Kind};
use sealpost_ledger::fuzzing::Target;

fn targets() -> Vec<Target> {
    // 32 bytes are 32 bytes.
    let kinds = KINDS.iter().filter(|kind| !["address", "public key"].contains(&kind.name));
    let decoder = |kind: &'static Kind| {
        Target::decoder(kind.name.replace(' ', "_"), || kind.examples.clone(), |bytes| (kind.again)(bytes))
    };
    let mut targets: Vec<_> = kinds.map(decoder).collect();
    targets.extend(texts::targets());
    targets.extend(evidence::targets());
    targets.extend(proofs::targets());
    targets.extend([quorum::target(), rules::target(), planted::target()]);
    targets
}

libfuzzer_sys::fuzz_target!(init: choice::choose(targets()), |input: &[u8]| choice::run(input));
