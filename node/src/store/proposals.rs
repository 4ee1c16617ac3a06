//! Blocks that are proposed and not yet decided. A validator's vote for a block leaves only after the
//! block is here: whoever voted can still hand it out after a crash. With each stands who made it: the name in its header
//! says nothing about that, for anybody can write it there.

use super::StoreError;
use super::frame::Kind;
use super::stream::{Layout, Stream, TornEnd, Unmarked};
use sealpost_ledger::block::Block;
use sealpost_ledger::hash::BlockHash;
use sealpost_ledger::height::BlockHeight;
use std::collections::BTreeMap;
use std::path::Path;

/// A proposed block that is not decided yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProposedBlock {
    /// The block.
    pub block: Block,
    /// The round in which it was proposed first, as far as this node knows.
    pub round: u32,
    /// Who made it.
    pub maker: Maker,
}

/// Who made a proposed block.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Maker {
    /// This node.
    Own,
    /// Somebody else, whatever its header says.
    Other,
}

#[derive(Debug)]
pub(super) struct Proposals {
    stream: Stream,
    blocks: BTreeMap<BlockHash, ProposedBlock>,
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
        // One file: it is emptied again and again, so its first record is often the one that a power cut tears, with what
        // somebody sent in it. A vote leaves only after its block is durable: no vote rests on a record that was torn.
        let layout = Layout { unmarked: Unmarked::Unfinished, ..Layout::new(u64::MAX) };
        let stream = Stream::open(dir, "proposals", layout, torn, |found, payload| {
            if let Some(proposed) = decode_proposed(found.kind, payload) {
                insert(&mut blocks, proposed);
            }
            Ok(())
        })?;
        Ok(Self { stream, blocks })
    }
    /// Keeps a block. It is durable when this returns, and so is who made it.
    pub(super) fn put(&mut self, block: &Block, round: u32, maker: Maker) -> Result<(), StoreError> {
        let known = self.blocks.get(&block.hash());
        if known.is_some_and(|known| known.maker == maker || known.maker == Maker::Own) {
            return Ok(());
        }
        let proposed = ProposedBlock { block: block.clone(), round, maker };
        self.stream.append(Kind::ProposalOfRound, block.height().get(), &encode_proposed(&proposed))?;
        self.stream.sync()?;
        insert(&mut self.blocks, proposed);
        Ok(())
    }
    /// A block by its hash.
    pub(super) fn get(&self, hash: &BlockHash) -> Option<Block> {
        self.blocks.get(hash).map(|proposed| proposed.block.clone())
    }
    /// All blocks proposed for a height, in the order of their hashes.
    pub(super) fn at(&self, height: BlockHeight) -> Vec<ProposedBlock> {
        self.blocks.values().filter(|proposed| proposed.block.height() == height).cloned().collect()
    }
    /// Forgets the proposals up to a decided height.
    pub(super) fn drop_decided(&mut self, height: BlockHeight) -> Result<(), StoreError> {
        self.blocks.retain(|_, proposed| proposed.block.height() > height);
        if self.blocks.is_empty() {
            self.stream.clear()?;
        }
        Ok(())
    }
}

/// A block that comes again keeps its first round; it is this node's own if it ever was.
fn insert(blocks: &mut BTreeMap<BlockHash, ProposedBlock>, proposed: ProposedBlock) {
    let maker = proposed.maker;
    let kept = blocks.entry(proposed.block.hash()).or_insert(proposed);
    if maker == Maker::Own {
        kept.maker = maker;
    }
}

/// The round, who made it, the block.
fn encode_proposed(proposed: &ProposedBlock) -> Vec<u8> {
    let ProposedBlock { block, round, maker } = proposed;
    let mut payload = round.to_le_bytes().to_vec();
    payload.push(u8::from(*maker == Maker::Own));
    payload.extend(block.to_bytes());
    payload
}

fn decode_proposed(kind: Kind, payload: &[u8]) -> Option<ProposedBlock> {
    let (round, maker, block) = match kind {
        // Earlier versions kept neither, and handed every block over as one of the first round.
        Kind::Proposal => (0, Maker::Other, payload),
        Kind::ProposalOfRound => {
            let (round, rest) = payload.split_first_chunk()?;
            let (own, block) = rest.split_first()?;
            let maker = if *own == 1 { Maker::Own } else { Maker::Other };
            (u32::from_le_bytes(*round), maker, block)
        }
        _ => return None,
    };
    Some(ProposedBlock { block: Block::from_bytes(block).ok()?, round, maker })
}
