//! What the tests of this crate build on.
#![allow(clippy::unwrap_used)]

use sealpost_ledger::genesis::Genesis;
use std::sync::Arc;

/// The development network of the repository.
pub(crate) fn genesis() -> Arc<Genesis> {
    Arc::new(Genesis::parse(include_bytes!("../../genesis.json")).unwrap())
}
