//! Blocks that no honest proposer makes, each an honest one with one thing changed: all else holds, so that nothing but
//! the check of that one thing can refuse it.

use sealpost_ledger::block::{Block, Header, transaction_root};
use sealpost_ledger::hash::{BlockHash, StateRoot};
use sealpost_ledger::message::Body;
use sealpost_ledger::transaction::SignedTransaction;

/// Later than any clock of a test can be wrong.
const AHEAD_MS: u64 = 3_600_000;

/// A transaction, with its body if it is a message.
pub(super) type Whole = (SignedTransaction, Option<Body>);

/// As valid as the first, and another block.
pub(super) fn sibling(block: &Block) -> Block {
    let time_ms = block.header().time_ms.saturating_add(1);
    with_header(block, |header| header.time_ms = time_ms)
}

/// It follows no block that there is.
pub(super) fn wrong_parent(block: &Block) -> Block {
    let parent = BlockHash::from_bytes(flipped(*block.header().parent.as_bytes()));
    with_header(block, |header| header.parent = parent)
}

/// Its header names another state than its transactions make.
pub(super) fn wrong_state(block: &Block) -> Block {
    let state_root = StateRoot::from_bytes(flipped(*block.header().state_root.as_bytes()));
    with_header(block, |header| header.state_root = state_root)
}

/// An hour ahead of everybody's clock, or before its parent, in turn.
pub(super) fn wrong_time(block: &Block) -> Block {
    let is_even = block.height().get().is_multiple_of(2);
    with_header(block, |header| {
        header.time_ms = if is_even { header.time_ms.saturating_add(AHEAD_MS) } else { 1 };
    })
}

/// One of its transactions once more, or that one of an earlier block. None if there is neither.
pub(super) fn repeated_transaction(block: &Block, earlier: Option<Whole>) -> Option<Block> {
    let own = block.with_bodies().next().map(|(transaction, body)| (transaction.clone(), body.cloned()));
    let is_even = block.height().get().is_multiple_of(2);
    let repeated = if is_even { earlier.or(own) } else { own.or(earlier) };
    let mut all = wholes(block);
    all.push(repeated?);
    Some(with_transactions(block, all))
}

/// The signature of one of its transactions is wrong by a bit. None if it has no transaction.
pub(super) fn forged_transaction(block: &Block) -> Option<Block> {
    let mut all = wholes(block);
    let (transaction, _) = all.first_mut()?;
    let mut bytes = transaction.to_bytes();
    // The signature stands last.
    *bytes.last_mut()? ^= 1;
    *transaction = SignedTransaction::from_bytes(&bytes).ok()?;
    Some(with_transactions(block, all))
}

/// A name that nothing has.
pub(super) fn no_block(like: &BlockHash) -> BlockHash {
    BlockHash::from_bytes(flipped(*like.as_bytes()))
}

fn wholes(block: &Block) -> Vec<Whole> {
    block.with_bodies().map(|(transaction, body)| (transaction.clone(), body.cloned())).collect()
}

fn flipped(mut bytes: [u8; 32]) -> [u8; 32] {
    for byte in &mut bytes {
        *byte = !*byte;
    }
    bytes
}

fn with_header(block: &Block, change: impl FnOnce(&mut Header)) -> Block {
    let mut header = block.header().clone();
    change(&mut header);
    Block::new(header, block.transactions().to_vec(), block.bodies().to_vec())
}

/// With other transactions, and a header that counts and covers them.
fn with_transactions(block: &Block, all: Vec<Whole>) -> Block {
    let (transactions, bodies): (Vec<_>, Vec<_>) = all.into_iter().unzip();
    let leaves: Vec<_> = transactions.iter().map(SignedTransaction::leaf).collect();
    let mut header = block.header().clone();
    header.transaction_count = u32::try_from(transactions.len()).unwrap_or(u32::MAX);
    header.tx_root = transaction_root(&leaves);
    Block::new(header, transactions, bodies.into_iter().flatten().collect())
}
