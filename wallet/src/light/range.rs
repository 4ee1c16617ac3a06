//! Ranges with proof: every transaction of every block from one height to another, page by page, with the proof that
//! none is left out. It costs reading all of the range, and tells no node whose messages are looked for.

use super::node::Node;
use super::{Light, LightError, Proven};
use sealpost_api::verify::{self, WholeBlock};
use sealpost_api::{MAX_HEADERS, SealpostRpcClient};
use sealpost_ledger::address::Address;
use sealpost_ledger::hash::BlockHash;
use sealpost_ledger::height::BlockHeight;
use sealpost_ledger::transaction::SignedTransaction;

/// How far a range has been read. Whoever keeps [`next_height`](Self::next_height) can go on from there later.
#[derive(Debug, Clone)]
pub struct Range {
    next: BlockHeight,
    to: BlockHeight,
    /// The block before `next`, if it was read here.
    before: Option<BlockHash>,
}

impl Range {
    /// From one height to another, both included; heights begin at 1.
    pub fn new(from: BlockHeight, to: BlockHeight) -> Self {
        Self { next: from.max(BlockHeight::FIRST), to, before: None }
    }
    /// The height to be read next: all before it, from the first on, are complete.
    pub const fn next_height(&self) -> BlockHeight {
        self.next
    }
    /// The last height.
    pub const fn to(&self) -> BlockHeight {
        self.to
    }
    /// The last block that was read.
    pub const fn last_block(&self) -> Option<BlockHash> {
        self.before
    }
    /// The next blocks; nothing when the range is read. After an error it may be called again.
    pub async fn next_blocks(&mut self, light: &Light) -> Result<Option<Vec<WholeBlock>>, LightError> {
        if self.next > self.to {
            return Ok(None);
        }
        let (from, to, before) = (self.next, self.to, self.before);
        let blocks = light.through(|node| node.whole_blocks(from, to, before)).await?;
        if let Some(last) = blocks.last() {
            self.next = last.header().height.saturating_add(1);
            self.before = Some(last.header().hash());
        }
        Ok(Some(blocks))
    }
}

impl Light {
    /// A whole block.
    pub async fn block(&self, height: BlockHeight) -> Result<WholeBlock, LightError> {
        let mut blocks = self.through(|node| node.whole_blocks(height, height, None)).await?;
        // There is one: an empty page is an error.
        blocks.pop().ok_or(LightError::Unreachable { url: self.url().into(), reason: "no block".into() })
    }
}

impl Node {
    /// Blocks from a height on, up to another at most: one at least.
    async fn whole_blocks(
        &self,
        from: BlockHeight,
        to: BlockHeight,
        before: Option<BlockHash>,
    ) -> Result<Vec<WholeBlock>, LightError> {
        let wanted = to.get().saturating_sub(from.get()).saturating_add(1);
        let limit = u32::try_from(wanted).unwrap_or(MAX_HEADERS).min(MAX_HEADERS);
        let page = self.ask(self.client.chain_transactions(from, Some(limit))).await?;
        let what = format!("the transactions of the blocks from {from} on");
        let check = |validators: &_| verify::verify_range(&page, from, before.as_ref(), validators);
        let mut blocks = self.under_validators(&what, check).await?;
        if let (Some(last), Some(told)) = (blocks.last(), page.blocks.last()) {
            self.take_in(last.header(), &told.header, &page.certificate)?;
        }
        blocks.retain(|block| block.header().height <= to);
        Ok(blocks)
    }
}

/// The messages of a whole block to an address, each with its signature checked; the position of the first whose
/// signature does not hold, if there is one.
pub(crate) fn messages_to(block: WholeBlock, address: &Address) -> Result<Vec<Proven>, u32> {
    let (header, transactions) = block.into_parts();
    let ours = |transaction: &SignedTransaction| {
        transaction.message().is_some_and(|message| message.slot_of(address).is_some())
    };
    let ours = (0_u32..).zip(transactions).filter(|(_, transaction)| ours(transaction));
    let proven = ours.map(|(index, transaction)| {
        let signed = transaction.signed();
        signed.key.verify(&signed.digest, &signed.signature).map_err(|_| index)?;
        Ok(Proven { transaction, header: header.clone(), index, first_seen_ms: None })
    });
    proven.collect()
}
