//! What the fuzzer tries of the archive: a letter as it is kept, behind its encryption.
#![allow(clippy::unwrap_used)]

use super::{Facts, Record, Way};
use crate::envelope::{Content, Letter};
use sealpost_ledger::examples;
use sealpost_ledger::fuzzing::Target;

/// What is tried.
pub(crate) fn targets() -> Vec<Target> {
    vec![Target::decoder(
        "archived_letter",
        || vec![letter().to_bytes()],
        |bytes| Record::from_bytes(bytes).ok().map(|record| record.to_bytes()),
    )]
}

fn letter() -> Record {
    let (_, evidence) = examples::evidence();
    let transaction = evidence.message.transaction;
    let content = Content::from(Letter { text: "Meet me at noon".into(), ..Letter::default() });
    let facts = Facts {
        way: Way::Came,
        author: transaction.sender(),
        to: vec![transaction.sender()],
        header: evidence.blocks.first().unwrap().header.clone(),
        index: 1,
        slot: 0,
        salt: [7; 32],
        content: content.to_bytes(),
        author_block: Some(vec![1; 40]),
        whole_text: Some("All of it".into()),
        receipt_secret: Some([8; 32]),
        kept_ms: 7,
    };
    Record::new(transaction, facts).unwrap()
}
