//! Whole blocks in pages: for wallets that must know that no message to them was left out.

use super::chain::page_size;
use super::{Failure, Reader};
use sealpost_api::{BlockTransactions, MAX_HEADERS, TransactionsPage};
use sealpost_ledger::codec::encode;
use sealpost_ledger::height::BlockHeight;

/// A page ends after the block that reaches this many bytes. A block's transactions are 8 MiB at most, so that even
/// then, in hexadecimal, the answer stays below what the RPC sends.
const PAGE_BYTES: usize = 2 << 20;

impl Reader {
    pub(super) fn whole_blocks(
        &self,
        from: BlockHeight,
        limit: Option<u32>,
    ) -> Result<TransactionsPage, Failure> {
        let limit = page_size(Some(limit.unwrap_or(MAX_HEADERS)), MAX_HEADERS)?;
        let tip = self.store.tip().height();
        let (mut height, mut bytes) = (from.max(BlockHeight::FIRST), 0_usize);
        let mut page = TransactionsPage { blocks: Vec::new(), certificate: Vec::new().into(), next: None };
        let mut last = None;
        while height <= tip && page.blocks.len() < limit as usize && bytes < PAGE_BYTES {
            let (header, transactions, certificate) = self.bare_block(height)?;
            let transactions: Vec<_> =
                transactions.iter().map(|transaction| transaction.to_bytes()).collect();
            let header = encode(&header);
            bytes = transactions.iter().fold(bytes.saturating_add(header.len()), |sum, transaction| {
                sum.saturating_add(transaction.len())
            });
            let transactions = transactions.into_iter().map(Into::into).collect();
            page.blocks.push(BlockTransactions { header: header.into(), transactions });
            last = Some(certificate);
            height = height.saturating_add(1);
        }
        if let Some(certificate) = last {
            page.certificate = encode(&certificate).into();
        }
        page.next = (height <= tip).then_some(height);
        Ok(page)
    }
}
