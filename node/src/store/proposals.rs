//! Blocks that are proposed and not yet decided. A validator's vote for a block leaves only after the
//! block is here: whoever voted can still hand it out after a crash.

use super::StoreError;
use super::frame::Kind;
use super::stream::{Layout, Stream, TornEnd};
use sealpost_ledger::block::Block;
use sealpost_ledger::hash::BlockHash;
use sealpost_ledger::height::BlockHeight;
use std::collections::BTreeMap;
use std::path::Path;

#[derive(Debug)]
pub(super) struct Proposals {
    stream: Stream,
    blocks: BTreeMap<BlockHash, Block>,
}

impl Proposals {
    /// Opens the file and forgets what is decided by now.
    pub(super) fn open(dir: &Path, tip: BlockHeight) -> Result<Self, StoreError> {
        let mut proposals = Self::load(dir, TornEnd::Cut)?;
        proposals.drop_decided(tip)?;
        Ok(proposals)
    }
    /// Looks at every record, and changes nothing.
    pub(super) fn check(dir: &Path) -> Result<(), StoreError> {
        Self::load(dir, TornEnd::Keep).map(drop)
    }
    fn load(dir: &Path, torn: TornEnd) -> Result<Self, StoreError> {
        let mut blocks = BTreeMap::new();
        // One file: it is emptied again and again.
        let layout = Layout { segment_bytes: u64::MAX, first: 0 };
        let stream = Stream::open(dir, "proposals", layout, torn, |found, payload| {
            if found.kind == Kind::Proposal
                && let Ok(block) = Block::from_bytes(payload)
            {
                blocks.insert(block.hash(), block);
            }
            Ok(())
        })?;
        Ok(Self { stream, blocks })
    }
    /// Keeps a block. It is durable when this returns.
    pub(super) fn put(&mut self, block: &Block) -> Result<(), StoreError> {
        if self.blocks.contains_key(&block.hash()) {
            return Ok(());
        }
        self.stream.append(Kind::Proposal, block.height().get(), &block.to_bytes())?;
        self.stream.sync()?;
        self.blocks.insert(block.hash(), block.clone());
        Ok(())
    }
    /// A block by its hash.
    pub(super) fn get(&self, hash: &BlockHash) -> Option<Block> {
        self.blocks.get(hash).cloned()
    }
    /// All blocks proposed for a height, in the order of their hashes.
    pub(super) fn at(&self, height: BlockHeight) -> Vec<Block> {
        self.blocks.values().filter(|block| block.height() == height).cloned().collect()
    }
    /// Forgets the proposals up to a decided height.
    pub(super) fn drop_decided(&mut self, height: BlockHeight) -> Result<(), StoreError> {
        self.blocks.retain(|_, block| block.height() > height);
        if self.blocks.is_empty() {
            self.stream.clear()?;
        }
        Ok(())
    }
}
