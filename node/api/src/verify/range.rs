//! Whole blocks: that a range of the chain was told with every transaction in it, and nothing left out. The last
//! header of a page is verified by its certificate, the earlier ones by the links between them, and the
//! transactions of each by the number and the root in its header.

use super::{ValidatorHistory, VerifyError};
use crate::TransactionsPage;
use sealpost_ledger::block::{Header, transaction_root};
use sealpost_ledger::hash::BlockHash;
use sealpost_ledger::height::BlockHeight;
use sealpost_ledger::transaction::SignedTransaction;

/// A block's header and all of its transactions, as [`verify_range`] found them. That the transactions are signed
/// was checked by the validators that made the block final; whoever shows one to people checks it again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WholeBlock {
    header: Header,
    transactions: Vec<SignedTransaction>,
}

impl WholeBlock {
    /// The header.
    pub const fn header(&self) -> &Header {
        &self.header
    }
    /// Every transaction, in order.
    pub fn transactions(&self) -> &[SignedTransaction] {
        &self.transactions
    }
    /// Header and transactions.
    pub fn into_parts(self) -> (Header, Vec<SignedTransaction>) {
        (self.header, self.transactions)
    }
}

/// The blocks of a page: the first at `from` (and the child of `before`, if that is known), each the parent of the
/// next, the last made final by the validators of its height, none without any of its transactions. A page of no
/// blocks is [`VerifyError::MissingBlock`].
pub fn verify_range(
    page: &TransactionsPage,
    from: BlockHeight,
    before: Option<&BlockHash>,
    validators: &ValidatorHistory,
) -> Result<Vec<WholeBlock>, VerifyError> {
    let last = page.blocks.last().ok_or(VerifyError::MissingBlock { expected: from })?;
    // The signatures first: what nobody signed is not worth hashing.
    validators.verify_bytes(&last.header, &page.certificate)?;
    let (mut expected, mut parent) = (from, before.copied());
    let mut blocks = Vec::with_capacity(page.blocks.len());
    for told in &page.blocks {
        let header = Header::from_bytes(told.header.as_bytes())?;
        if header.height != expected || parent.is_some_and(|parent| parent != header.parent) {
            return Err(VerifyError::MissingBlock { expected });
        }
        (expected, parent) = (expected.saturating_add(1), Some(header.hash()));
        blocks.push((header, told));
    }
    // Only now does every header hang on the verified one.
    let whole = blocks.into_iter().map(|(header, told)| {
        let (height, count, given) = (header.height, header.transaction_count, told.transactions.len());
        if u32::try_from(given) != Ok(count) {
            return Err(VerifyError::TransactionCount { height, count, told: given });
        }
        let transactions =
            told.transactions.iter().map(|bytes| SignedTransaction::from_bytes(bytes.as_bytes()));
        let transactions = transactions.collect::<Result<Vec<_>, _>>()?;
        let leaves: Vec<_> = transactions.iter().map(SignedTransaction::leaf).collect();
        if transaction_root(&leaves) != header.tx_root {
            return Err(VerifyError::OtherTransactions { height });
        }
        Ok(WholeBlock { header, transactions })
    });
    whole.collect()
}
