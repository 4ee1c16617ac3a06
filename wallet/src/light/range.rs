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
    /// In the blocks that were read.
    transactions: u64,
}

impl Range {
    /// From one height to another, both included; heights begin at 1.
    pub fn new(from: BlockHeight, to: BlockHeight) -> Self {
        Self { next: from.max(BlockHeight::FIRST), to, before: None, transactions: 0 }
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
    /// Transactions that were read.
    pub const fn transactions(&self) -> u64 {
        self.transactions
    }
    /// The next blocks; nothing when the range is read. After an error it may be called again.
    pub async fn next_blocks(&mut self, light: &Light) -> Result<Option<Vec<WholeBlock>>, LightError> {
        let blocks = self.read(light).await?;
        if let Some(blocks) = &blocks {
            self.go_on(blocks);
        }
        Ok(blocks)
    }
    /// The open messages to an address in the next blocks, perhaps none; nothing when the range is read.
    pub async fn next_messages(
        &mut self,
        light: &Light,
        address: &Address,
    ) -> Result<Option<Vec<Proven>>, LightError> {
        let Some(blocks) = self.read(light).await? else { return Ok(None) };
        let mut messages = Vec::new();
        for block in &blocks {
            messages.extend(messages_to(light, block, address)?);
        }
        self.go_on(&blocks);
        Ok(Some(messages))
    }
    async fn read(&self, light: &Light) -> Result<Option<Vec<WholeBlock>>, LightError> {
        if self.next > self.to {
            return Ok(None);
        }
        let (from, to, before) = (self.next, self.to, self.before);
        light.through(|node| node.whole_blocks(from, to, before)).await.map(Some)
    }
    fn go_on(&mut self, blocks: &[WholeBlock]) {
        for block in blocks {
            self.next = block.header().height.saturating_add(1);
            self.transactions = self.transactions.saturating_add(block.transactions().len() as u64);
        }
        self.before = blocks.last().map(|block| block.header().hash()).or(self.before);
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

/// The messages of a whole block to an address, each with its signature checked.
fn messages_to(light: &Light, block: &WholeBlock, address: &Address) -> Result<Vec<Proven>, LightError> {
    let header = block.header();
    let ours = |transaction: &SignedTransaction| {
        transaction.message().is_some_and(|message| message.slot_of(address).is_some())
    };
    let ours = (0_u32..).zip(block.transactions()).filter(|(_, transaction)| ours(transaction));
    let proven = ours.map(|(index, transaction)| {
        let signed = transaction.signed();
        signed.key.verify(&signed.digest, &signed.signature).map_err(|error| {
            light.untrusted(format!("transaction {index} of block {}", header.height), error)
        })?;
        Ok(Proven { transaction: transaction.clone(), header: header.clone(), index, first_seen_ms: None })
    });
    proven.collect()
}
