//! Whose names the blocks of a height bear, and who has proposed which of them as new. The engine pairs a block with every
//! proposal of it at its height, whatever the rounds, and whatever the opening said under which it came. So somebody could
//! make a block in another's name, open it as one that is proposed again, which any validator's block may be, and sign
//! a proposal of it as a new one: it would be voted for, and nobody would ask whether two thirds have ever wanted it.
//!
//! Hence a block that is here is new only from whom it names. And one that was proposed as new by somebody else before it
//! came is kept from the engine until the round of that proposal is over: no vote comes of it any more. That can't keep a
//! block back whose maker opens it here, and others only for the rounds whose proposals the engine takes in advance.

use super::context::{Address, Height, PartsInit, Proposal};
use super::proposals::StreamKey;
use sealpost_ledger::block::Block;
use sealpost_ledger::hash::BlockHash;
use sealpost_ledger::height::BlockHeight;
use sealpost_ledger::signature::PublicKey;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Proposals of one round that are kept without their blocks. The engine takes no more of them.
const MAX_UNSEEN: usize = 2;

/// Names and proposals. Cloned, it is the same: the engine's verifier asks it, and so does whoever hands blocks over.
#[derive(Debug, Clone, Default)]
pub(super) struct Names(Arc<Mutex<Inner>>);

#[derive(Debug, Default)]
struct Inner {
    /// The blocks that are here.
    known: BTreeMap<(BlockHeight, BlockHash), Known>,
    /// Who proposed blocks as new before they were here.
    unseen: BTreeMap<StreamKey, Address>,
}

#[derive(Debug, Clone, Copy)]
struct Known {
    named: PublicKey,
    /// Whether the engine has it.
    handed_over: bool,
}

impl Names {
    /// Whether the engine may have a block now, in this round; it counts as handed over then.
    pub(super) fn admits_block(&self, init: &PartsInit, block: &Block, present: u32) -> bool {
        let (height, named) = (init.height.0, block.header().proposer);
        let mut guard = self.inner();
        let inner = &mut *guard;
        let is_foisted = inner.unseen.iter().any(|(key, proposer)| {
            (key.height, key.block) == (height, init.block) && key.round >= present && proposer.0 != named
        });
        // Who opens a block that names himself is not named by anybody else.
        let admits = !is_foisted || init.proposer.0 == named;
        let known = inner.known.entry((height, init.block)).or_insert(Known { named, handed_over: false });
        known.handed_over |= admits;
        known.handed_over
    }
    /// A block from the disk is handed over, which the engine had before this process began.
    pub(super) fn hand_over_again(&self, height: Height, block: &Block) {
        let known = Known { named: block.header().proposer, handed_over: true };
        self.inner().known.insert((height.0, block.hash()), known);
    }
    /// Whether a proposal is one by which the engine may vote.
    pub(super) fn admits_proposal(&self, proposal: &Proposal) -> bool {
        let Some(round) = proposal.round.as_u32() else { return false };
        if proposal.valid_round.is_defined() {
            // The engine asks whether two thirds wanted it then.
            return true;
        }
        let (height, block) = (proposal.height.0, proposal.value.0);
        let mut inner = self.inner();
        if let Some(known) = inner.known.get(&(height, block)) {
            return known.named == proposal.proposer.0;
        }
        let of_round = inner.unseen.keys().filter(|other| (other.height, other.round) == (height, round));
        if of_round.count() < MAX_UNSEEN {
            inner.unseen.insert(StreamKey { height, round, block }, proposal.proposer);
        }
        true
    }
    /// Drops what is for earlier heights.
    pub(super) fn forget_before(&self, height: BlockHeight) {
        let mut inner = self.inner();
        inner.known.retain(|(other, _), _| *other >= height);
        inner.unseen.retain(|key, _| key.height >= height);
    }
    /// How many notes there are.
    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        let inner = self.inner();
        inner.known.len() + inner.unseen.len()
    }
    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
