//! Execution of what changes who runs and who may use the network, and of withdrawn keys. Each method
//! checks everything before it writes anything, cheap checks before signatures.

use super::{Execution, Refusal, Rejection};
use crate::address::Address;
use crate::genesis::Genesis;
use crate::hash::TransactionId;
use crate::height::BlockHeight;
use crate::key_bundle::Revoke;
use crate::membership::{MemberChange, MemberStatus, ValidatorsChange, member_approval, validators_approval};
use crate::state::{LedgerView, MemberRecord, StateKey, StateRecord, ValidatorsRecord, ViewError};
use crate::validator::{ScheduledValidators, ValidatorSet};
use std::sync::Arc;

/// What a change in a block of that height schedules, if the rules allow it and the present set approves. Only
/// one may wait for its height, so that the present set, which approves, and the next one are always the only
/// two there are.
pub fn schedule(
    change: &ValidatorsChange,
    height: BlockHeight,
    present: &ValidatorSet,
    pending: Option<&ScheduledValidators>,
    genesis: &Genesis,
) -> Result<ScheduledValidators, Rejection> {
    let ValidatorsChange { validators, effective, approvals } = change;
    let effective = *effective;
    if let Some(pending) = pending {
        return Err(Refusal::ChangePending { effective: pending.effective }.into());
    }
    let window = genesis.limits().expiry_window;
    if effective <= height || effective.blocks_since(height) > window {
        return Err(Refusal::Effective { effective, next: height, window }.into());
    }
    if *validators == present.validators() {
        return Err(Refusal::SameValidators.into());
    }
    let digest = validators_approval(&genesis.chain_id(), &present.hash(), effective, validators);
    present.verify_quorum(digest, approvals.iter().copied()).map_err(Refusal::from)?;
    // Last: whether a thousand keys are points on the curve takes milliseconds, and only a list that the present set
    // has approved is worth them.
    let set = ValidatorSet::new(validators.clone()).map_err(Refusal::from)?;
    Ok(ScheduledValidators { validators: Arc::new(set), effective })
}

impl<V: LedgerView> Execution<'_, V> {
    /// Schedules a new set.
    pub(super) fn change_validators(
        &mut self,
        change: &ValidatorsChange,
        id: TransactionId,
        height: BlockHeight,
    ) -> Result<(), Rejection> {
        let (present, pending) = (self.tip.validators(), self.scheduled.as_ref());
        let scheduled = schedule(change, height, present, pending, self.tip.genesis_file())?;
        let record = ValidatorsRecord {
            validators: scheduled.validators.validators().to_vec(),
            effective: scheduled.effective,
            transaction: id,
            height,
        };
        self.changes.insert(StateKey::Validators, StateRecord::Validators(record));
        self.scheduled = Some(scheduled);
        Ok(())
    }

    /// Admits a member or ends a membership.
    pub(super) fn change_member(
        &mut self,
        change: &MemberChange,
        expiry: BlockHeight,
        height: BlockHeight,
    ) -> Result<(), Rejection> {
        let MemberChange { address, status, approvals } = change;
        let found = self.member(address)?;
        if found.map_or(MemberStatus::Ended, |record| record.status) == *status {
            return Err(Refusal::SameStatus { status: status.name() }.into());
        }
        if let Some(last) = found.map(|record| record.last_expiry).filter(|last| expiry <= *last) {
            return Err(Refusal::Superseded { expiry, last }.into());
        }
        let (chain, present) = (self.tip.genesis_file().chain_id(), self.tip.validators());
        let digest = member_approval(&chain, &present.hash(), expiry, address, *status);
        present.verify_quorum(digest, approvals.iter().copied()).map_err(Refusal::from)?;
        let record = MemberRecord { status: *status, since: height, last_expiry: expiry };
        self.changes.insert(StateKey::Member(*address), StateRecord::Member(record));
        Ok(())
    }

    /// Withdraws a bundle of its owner, from a later block on: nobody can make a key look withdrawn to whose message stands in
    /// the same block. A withdrawal can be moved to an earlier height, never to a later one.
    pub(super) fn revoke(
        &mut self,
        revoke: &Revoke,
        owner: Address,
        height: BlockHeight,
    ) -> Result<(), Rejection> {
        let Revoke { sequence, from } = *revoke;
        let key = StateKey::Bundle(owner, sequence);
        let Some(StateRecord::Bundle(mut record)) = self.record(&key)? else {
            return Err(Refusal::UnknownBundle { sequence }.into());
        };
        if from <= height {
            return Err(Refusal::RevokedInThePast { from, next: height }.into());
        }
        if let Some(earlier) = record.revoked_from.filter(|earlier| *earlier <= from) {
            return Err(Refusal::AlreadyRevoked { sequence, from: earlier }.into());
        }
        record.revoked_from = Some(from);
        let newest = StateKey::Directory(owner);
        let is_newest = matches!(
            self.record(&newest)?,
            Some(StateRecord::Bundle(newest)) if newest.bundle.sequence == sequence
        );
        if is_newest {
            self.changes.insert(newest, StateRecord::Bundle(record.clone()));
        }
        self.changes.insert(key, StateRecord::Bundle(record));
        Ok(())
    }

    /// What the state holds about a member, as this block has left it so far.
    pub(super) fn member(&self, address: &Address) -> Result<Option<MemberRecord>, ViewError> {
        Ok(match self.record(&StateKey::Member(*address))? {
            Some(StateRecord::Member(record)) => Some(record),
            _ => None,
        })
    }
}
