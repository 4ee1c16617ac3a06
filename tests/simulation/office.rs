//! Validators come and go: transactions that change their set, approved by those in office. Those who break the rules
//! stay below a third of the power, or nothing could be promised.

use crate::counts::Kind;
use crate::world::World;
use sealpost_ledger::membership::{ValidatorsChange, validators_approval};
use sealpost_ledger::transaction::Payload;
use sealpost_ledger::validator::{Validator, ValidatorSet};
use sealpost_node::wire::TransactionMessage;

impl World {
    /// Somebody who keeps the rules leaves office, comes back, or gets another power.
    pub(crate) fn change_of_office(&mut self) -> Option<TransactionMessage> {
        let tip = self.judge.tip().clone();
        let seats = self.schedule.powers.len();
        let honest: Vec<usize> = (0..seats).filter(|seat| self.machines[*seat].honest).collect();
        let seat = honest[self.random.below(honest.len())];
        let key = self.machines[seat].seat.key.public_key();
        let mut validators = tip.validators().validators().to_vec();
        let power = 1 + self.random.below(3) as u64;
        match validators.iter().position(|validator| validator.key == key) {
            Some(place) if self.random.below(2) == 0 => drop(validators.remove(place)),
            Some(place) => validators[place].power = power,
            None => validators.push(Validator { key, power }),
        }
        let set = ValidatorSet::new(validators).ok()?;
        let is_honest = |validator: &&Validator| {
            honest.iter().any(|seat| self.machines[*seat].seat.key.public_key() == validator.key)
        };
        let faithful: u64 = set.validators().iter().filter(is_honest).map(|validator| validator.power).sum();
        if (set.total_power() - faithful) * 3 >= set.total_power() {
            return None;
        }
        let effective = tip.next_height().saturating_add(2 + self.random.below(6) as u64);
        let chain = self.genesis.chain_id();
        let digest = validators_approval(&chain, &tip.validators().hash(), effective, set.validators());
        let in_office = |seat: usize| {
            let key = &self.machines[seat].seat.key;
            let (place, _) = tip.validators().find(&key.public_key())?;
            Some((place, key.sign(&digest, &[0; 32]).ok()?))
        };
        let mut approvals: Vec<_> = (0..seats).filter_map(in_office).collect();
        approvals.sort_by_key(|(place, _)| *place);
        let change = ValidatorsChange { validators: set.validators().to_vec(), effective, approvals };
        self.counts.one(Kind::Work, "changes of the validators sent");
        Some(self.people.declare(tip.height().saturating_add(20), Payload::Validators(change)))
    }
}
