//! What the fuzzer tries of scans: what one has found, behind its encryption.

use super::state::{Found, FoundKind, HeldAnswer, ScanState};
use crate::light::Position;
use sealpost_ledger::examples;
use sealpost_ledger::fuzzing::Target;
use sealpost_ledger::height::BlockHeight;
use sealpost_ledger::receipt::{Answer, Receipt};

/// What is tried.
pub(crate) fn targets() -> Vec<Target> {
    // What an earlier version has written is read, and written as that of now.
    let again = |bytes: &[u8]| {
        let state = ScanState::from_bytes(bytes).filter(|_| ScanState::is_newest(bytes));
        state.map(|state| state.to_bytes())
    };
    vec![Target::decoder("scan_state", || vec![ScanState::default().to_bytes(), state().to_bytes()], again)]
}

fn state() -> ScanState {
    let (_, evidence) = examples::evidence();
    let (id, author) = (evidence.message.transaction.id(), Some(evidence.message.transaction.sender()));
    let at = Position { height: BlockHeight::new(2), index: 1 };
    let mut state = ScanState::default();
    state.looked.secrets.push(3);
    state.found.push(Found { id, at, slot: 0, bundle: 3, author, kind: FoundKind::Letter });
    let receipt = Receipt { message: id, slot: 0, answer: Answer::Opened { secret: [2; 32] } };
    state.answered(HeldAnswer { reply: id, at, receipt });
    state
}
