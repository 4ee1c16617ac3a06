//! The own block: what the others are shown of it, and how it is sent.

use super::super::super::context::{Contents, Part, PartsInit};
use super::super::super::engine::{NetworkActorMsg, Round, StreamContent, StreamMessage};
use super::super::super::proposals::{StreamKey, pieces};
use super::super::forgery::{self, Whole};
use super::super::{KEPT, Misdeed};
use super::{Liar, Shown, broken, misbehaved};
use bytes::Bytes;
use sealpost_ledger::block::Block;
use sealpost_ledger::hash::BlockHash;
use sealpost_ledger::height::BlockHeight;

/// What may be done to the block that is proposed: one of them at a time.
const OF_BLOCKS: [Misdeed; 9] = [
    Misdeed::TwoBlocks,
    Misdeed::WrongParent,
    Misdeed::WrongState,
    Misdeed::WrongTime,
    Misdeed::RepeatedTransaction,
    Misdeed::ForgedTransaction,
    Misdeed::Oversized,
    Misdeed::WithheldParts,
    Misdeed::ConflictingParts,
];
/// Earlier blocks that are searched for a transaction to repeat.
const SEARCHED: u64 = 50;

/// How a block is sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Delivery {
    Whole,
    WithoutEnd,
    Contradicting,
}

impl Liar {
    /// Collects the parts of the engine's block; when all are there, others are shown what they are to see.
    pub(super) async fn take_part(&mut self, message: StreamMessage<Part>) {
        let StreamContent::Data(part) = message.content else { return };
        match part {
            Part::Init(init) => self.coming = Some((init, Vec::new())),
            Part::Piece { bytes, last } => {
                let Some((_, collected)) = &mut self.coming else { return };
                collected.extend_from_slice(&bytes);
                if last && let Some((init, bytes)) = self.coming.take() {
                    self.show(&init, &bytes);
                    while let Some(said) = self.waiting.pop_front() {
                        self.say(said).await;
                    }
                }
            }
        }
    }

    /// Sends the parts of whatever stands for the engine's block.
    fn show(&mut self, init: &PartsInit, bytes: &[u8]) {
        let Ok(block) = Block::from_bytes(bytes) else { return };
        let honest = block.hash();
        let mut shown = Shown { blocks: vec![honest], forgetful: false };
        if !self.does(Misdeed::Silent) {
            let forgets = self.memory.locked(init.height.0, init.round).is_some();
            if self.does(Misdeed::Amnesia) && forgets {
                shown = self.forget(init, &block);
            } else if let Some(misdeed) = self.next_of_block() {
                shown.blocks = self.misshow(misdeed, init, &block, bytes);
            } else {
                self.send_block(init, honest, bytes, init.valid_round, Delivery::Whole);
            }
        }
        if self.shown.len() > KEPT {
            self.shown.clear();
        }
        self.shown.insert(honest, shown);
    }

    /// The next of those misdeeds that are done to the own block; they take turns.
    fn next_of_block(&mut self) -> Option<Misdeed> {
        let chosen: Vec<Misdeed> = OF_BLOCKS.into_iter().filter(|kind| self.does(*kind)).collect();
        let next = chosen.get(self.turns.checked_rem(chosen.len())?).copied();
        self.turns = self.turns.wrapping_add(1);
        next
    }

    /// Another block than the one that this validator is locked on, as if it were not.
    fn forget(&mut self, init: &PartsInit, block: &Block) -> Shown {
        let fresh = forgery::sibling(block);
        misbehaved(Misdeed::Amnesia, init.height, Round::new(init.round), &fresh.hash());
        self.send_block(init, fresh.hash(), &fresh.to_bytes(), None, Delivery::Whole);
        Shown { blocks: vec![fresh.hash()], forgetful: true }
    }

    /// Does a misdeed with the own block, or sends it honestly where that can't be done. Returns what is proposed.
    fn misshow(&mut self, misdeed: Misdeed, init: &PartsInit, block: &Block, bytes: &[u8]) -> Vec<BlockHash> {
        let (height, honest) = (init.height.0, block.hash());
        let forged = match misdeed {
            Misdeed::WrongParent => Some(forgery::wrong_parent(block)),
            Misdeed::WrongState => Some(forgery::wrong_state(block)),
            Misdeed::WrongTime => Some(forgery::wrong_time(block)),
            Misdeed::RepeatedTransaction => forgery::repeated_transaction(block, self.earlier()),
            Misdeed::ForgedTransaction => forgery::forged_transaction(block),
            _ => None,
        };
        let (blocks, delivery): (Vec<(BlockHash, Vec<u8>)>, _) = match misdeed {
            Misdeed::TwoBlocks => {
                let both = [block.clone(), forgery::sibling(block)];
                let mut both: Vec<_> = both.iter().map(|block| (block.hash(), block.to_bytes())).collect();
                // Who comes first is another each time.
                if !height.get().is_multiple_of(2) {
                    both.reverse();
                }
                (both, Delivery::Whole)
            }
            Misdeed::Oversized => {
                let mut long = bytes.to_vec();
                let limit = usize::try_from(self.max_block_bytes).unwrap_or(usize::MAX);
                long.resize(limit.saturating_add(1), 0);
                (vec![(forgery::no_block(&honest), long)], Delivery::Whole)
            }
            Misdeed::WithheldParts => (vec![(honest, bytes.to_vec())], Delivery::WithoutEnd),
            Misdeed::ConflictingParts => (vec![(honest, bytes.to_vec())], Delivery::Contradicting),
            _ => {
                let forged = forged.iter().map(|block| (block.hash(), block.to_bytes()));
                (forged.collect(), Delivery::Whole)
            }
        };
        if blocks.is_empty() {
            self.send_block(init, honest, bytes, init.valid_round, Delivery::Whole);
            return vec![honest];
        }
        let (round, last) = (Round::new(init.round), blocks.last().map_or(honest, |(hash, _)| *hash));
        misbehaved(misdeed, init.height, round, &last);
        for (hash, bytes) in &blocks {
            self.send_block(init, *hash, bytes, init.valid_round, delivery);
        }
        blocks.into_iter().map(|(hash, _)| hash).collect()
    }

    /// The first transaction of the newest block that has one.
    fn earlier(&self) -> Option<Whole> {
        let tip = self.store.tip().height().get();
        let heights = (tip.saturating_sub(SEARCHED).max(1)..=tip).rev().map(BlockHeight::new);
        heights.filter_map(|height| self.store.block(height).ok().flatten()).find_map(|block| {
            let (transaction, body) = block.with_bodies().next()?;
            Some((transaction.clone(), body.cloned()))
        })
    }

    fn send_block(
        &mut self,
        init: &PartsInit,
        block: BlockHash,
        bytes: &[u8],
        valid_round: Option<u32>,
        delivery: Delivery,
    ) {
        let bytes = Bytes::copy_from_slice(bytes);
        let contents = Contents::of(&bytes);
        let opened = self.signer.sign_parts(init.height, init.round, valid_round, block, contents);
        let Ok(mut opening) = opened else { return };
        if self.does(Misdeed::WrongSignature) {
            opening.signature = broken(opening.signature);
            misbehaved(Misdeed::WrongSignature, init.height, Round::new(init.round), &block);
        }
        let stream = StreamKey::of(&opening);
        self.send_part(stream, 0, Part::Init(opening));
        let pieces = pieces(&bytes);
        let count = pieces.len();
        for (number, piece) in pieces.into_iter().enumerate() {
            let sequence = u64::try_from(number).unwrap_or(u64::MAX).saturating_add(1);
            if delivery == Delivery::WithoutEnd && number.saturating_add(1) == count {
                return;
            }
            if delivery == Delivery::Contradicting {
                self.send_part(stream, sequence, rubbish(&piece));
            }
            self.send_part(stream, sequence, piece);
        }
    }

    pub(super) fn send_part(&self, stream: StreamKey, sequence: u64, part: Part) {
        let message = StreamMessage::new(stream.to_id(), sequence, StreamContent::Data(part));
        self.publish(NetworkActorMsg::PublishProposalPart(message));
    }
}

/// As long, and nothing of what it was.
fn rubbish(piece: &Part) -> Part {
    match piece {
        Part::Piece { bytes, last } => Part::Piece { bytes: vec![0; bytes.len()].into(), last: *last },
        Part::Init(init) => Part::Init(init.clone()),
    }
}
