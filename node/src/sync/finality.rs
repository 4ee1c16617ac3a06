//! Which block is certainly final: the highest one whose header and certificate were verified, under
//! validators that the chain here, or changes signed by the validators before, lead to. Peers only claim
//! heights; whatever a peer could do harm with by lying is decided by this one.

use crate::wire::{AnnouncedSet, Announcement, Verdict};
use sealpost_ledger::chain::Tip;
use sealpost_ledger::hash::ChainId;
use sealpost_ledger::height::BlockHeight;
use sealpost_ledger::validator::ValidatorSet;
use std::sync::Arc;

/// What is certainly final.
#[derive(Debug)]
pub(super) struct Finality {
    chain: ChainId,
    /// The highest block that is certainly final.
    proven: BlockHeight,
    /// The newest validators that are known.
    newest: Arc<ValidatorSet>,
    /// The first height that they decide.
    since: BlockHeight,
}

impl Finality {
    pub(super) fn new(tip: &Tip) -> Self {
        Self {
            chain: tip.genesis_file().chain_id(),
            proven: tip.height(),
            newest: tip.validators().clone(),
            since: tip.next_height(),
        }
    }
    /// The highest block that is certainly final.
    pub(super) const fn proven(&self) -> BlockHeight {
        self.proven
    }
    /// Changes of validators that later blocks announce are not known here.
    pub(super) fn last_change(&self) -> BlockHeight {
        self.since.saturating_sub(1)
    }
    /// The chain here has grown.
    pub(super) fn moved(&mut self, tip: &Tip) {
        self.proven = self.proven.max(tip.height());
        if tip.next_height() >= self.since {
            (self.newest, self.since) = (tip.validators().clone(), tip.next_height());
        }
    }
    /// Whether an announced block is final, as far as it can be known here.
    pub(super) fn judge(&mut self, announcement: &Announcement) -> Verdict {
        let Announcement { header, certificate } = announcement;
        let height = header.height;
        if header.chain != self.chain {
            return Verdict::Refuse;
        }
        // News of a block is forwarded once, whatever validators signed the certificate that came first. And
        // former validators can't speak for a height after a change that is known: that is proven already.
        if height <= self.proven {
            return Verdict::Drop;
        }
        // A later set of validators may not be known yet.
        if header.validators_hash != self.newest.hash() {
            return Verdict::Drop;
        }
        match certificate.verify(&header.chain, height, &header.hash(), &self.newest) {
            Ok(()) => {
                self.proven = height;
                Verdict::Forward
            }
            Err(error) => {
                tracing::debug!(%height, %error, "a false announcement");
                Verdict::Refuse
            }
        }
    }
    /// Takes in the next change of validators, which those before it must have signed. `false` if it does not
    /// hold. One that is known already is no fault.
    pub(super) fn extend(&mut self, change: AnnouncedSet) -> bool {
        let AnnouncedSet { at: Announcement { header, certificate }, validators } = change;
        let effective = header.height.saturating_add(1);
        if effective <= self.since {
            return true;
        }
        let Ok(set) = ValidatorSet::new(validators) else { return false };
        let follows = header.chain == self.chain
            && header.validators_hash == self.newest.hash()
            && header.next_validators_hash == set.hash()
            && set != *self.newest;
        let signed =
            || certificate.verify(&header.chain, header.height, &header.hash(), &self.newest).is_ok();
        if !follows || !signed() {
            return false;
        }
        (self.newest, self.since) = (Arc::new(set), effective);
        self.proven = self.proven.max(header.height);
        true
    }
}
