//! The round in which a proposed block was wanted before. Its proposer says that twice: in the opening, by which the block is
//! judged here, and in the proposal, by which the engine votes. Who says two different things could have a block in
//! somebody else's name, which only one that is proposed again may bear, voted for as a new one. So what comes first counts,
//! and the other must say the same.

use super::context::{PartsInit, Proposal};
use super::proposals::StreamKey;
use sealpost_ledger::height::BlockHeight;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Proposals of one round that are kept without their openings. The engine takes no more of them.
const MAX_UNOPENED: usize = 2;

/// What was said of each block. Cloned, it is the same.
#[derive(Debug, Clone, Default)]
pub(super) struct ValidRounds(Arc<Mutex<BTreeMap<StreamKey, Said>>>);

#[derive(Debug, Clone, Copy, Default)]
struct Said {
    opening: Option<ValidRound>,
    proposal: Option<ValidRound>,
}

/// A round, or none.
type ValidRound = Option<u32>;

impl ValidRounds {
    /// Whether an opening agrees with the proposal of its block, if that has come. It is kept then.
    pub(super) fn admits_opening(&self, init: &PartsInit) -> bool {
        let mut said = self.said();
        let of_block = said.entry(StreamKey::of(init)).or_default();
        let agrees = of_block.proposal.is_none_or(|proposed| proposed == init.valid_round);
        if agrees {
            of_block.opening = Some(init.valid_round);
        }
        agrees
    }
    /// Whether a proposal agrees with the opening of its block, if that has come. It is kept then, if it is the first:
    /// that a validator makes two is the engine's to see.
    pub(super) fn admits_proposal(&self, proposal: &Proposal) -> bool {
        let Some(round) = proposal.round.as_u32() else { return false };
        let (height, valid_round) = (proposal.height.0, proposal.valid_round.as_u32());
        let key = StreamKey { height, round, block: proposal.value.0 };
        let mut said = self.said();
        if let Some(of_block) = said.get_mut(&key) {
            let agrees = of_block.opening.is_none_or(|opened| opened == valid_round);
            if agrees {
                of_block.proposal.get_or_insert(valid_round);
            }
            return agrees;
        }
        let of_round = said.iter().filter(|(other, _)| (other.height, other.round) == (height, round));
        if of_round.filter(|(_, said)| said.opening.is_none()).count() < MAX_UNOPENED {
            said.insert(key, Said { proposal: Some(valid_round), opening: None });
        }
        true
    }
    /// Drops what is for earlier heights.
    pub(super) fn forget_before(&self, height: BlockHeight) {
        self.said().retain(|key, _| key.height >= height);
    }
    fn said(&self) -> MutexGuard<'_, BTreeMap<StreamKey, Said>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
