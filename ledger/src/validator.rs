//! Validators: who orders the ledger, and with how much power.

use crate::codec::{Decode, Encode, encode};
use crate::hash::{Tag, ValidatorsHash, tagged};
use crate::height::BlockHeight;
use crate::signature::{BadBatch, PublicKey, Signature, Signed, verify_batch};
use std::sync::Arc;
use thiserror::Error;

/// One validator.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Encode, Decode)]
pub struct Validator {
    /// The key that signs its votes.
    pub key: PublicKey,
    /// Its share in decisions, at least 1.
    pub power: u64,
}

/// A non-empty set of validators, ordered by key, each key once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ValidatorSet {
    validators: Vec<Validator>,
    total: u64,
}

/// A set that was agreed on and does not decide yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ScheduledValidators {
    /// The set.
    pub validators: Arc<ValidatorSet>,
    /// The first height it decides.
    pub effective: BlockHeight,
}

/// Largest number of validators in a set.
pub const MAX_VALIDATORS: usize = 1000;

/// Why validators do not form a set.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum ValidatorSetError {
    /// Nobody.
    #[error("validators: at least one is needed")]
    Empty,
    /// Too many.
    #[error("validators: {count} given, the limit is {MAX_VALIDATORS}")]
    TooMany {
        /// Validators given.
        count: usize,
    },
    /// A key twice.
    #[error("validators: key {key} stands there twice")]
    Repeated {
        /// The key.
        key: PublicKey,
    },
    /// Power zero.
    #[error("validators: {key} has power 0, at least 1 is needed")]
    Powerless {
        /// The key.
        key: PublicKey,
    },
    /// The sum leaves 64 bits.
    #[error("validators: their power adds up to more than {max}", max = i64::MAX)]
    TooPowerful,
    /// Not a key.
    #[error("validators: {key} is not a point on the curve")]
    NotAKey {
        /// The 32 bytes.
        key: PublicKey,
    },
}

/// Why signatures are not those of more than two thirds of a set.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum QuorumError {
    /// A signer that is not in the set.
    #[error("signed by validator {position}, but the set has {count}")]
    Foreign {
        /// Its position.
        position: u16,
        /// Validators in the set.
        count: usize,
    },
    /// Signers repeated or out of order.
    #[error("names validator {position} twice or out of order")]
    Repeated {
        /// Its position.
        position: u16,
    },
    /// Not enough power.
    #[error("validators with power {signed} of {total} signed, more than two thirds are needed")]
    TooFew {
        /// Power that signed.
        signed: u64,
        /// All power.
        total: u64,
    },
    /// A signature is wrong.
    #[error("the signature of validator {position} does not hold")]
    Signature {
        /// Its position.
        position: u16,
    },
}

impl ValidatorSet {
    /// Checks and orders validators.
    pub fn new(mut validators: Vec<Validator>) -> Result<Self, ValidatorSetError> {
        let total = check_list(&mut validators)?;
        match validators.iter().find(|validator| !validator.key.is_on_curve()) {
            Some(Validator { key, .. }) => Err(ValidatorSetError::NotAKey { key: *key }),
            None => Ok(Self { validators, total }),
        }
    }
    /// What [`new`](Self::new) checks, but for whether each key is a point on the curve: that takes a square root for
    /// each, milliseconds for a long list, and anybody may send one. Returns the list in its order.
    pub(crate) fn check_cheaply(mut validators: Vec<Validator>) -> Result<Vec<Validator>, ValidatorSetError> {
        check_list(&mut validators)?;
        Ok(validators)
    }
    /// The validators, ordered by key.
    pub fn validators(&self) -> &[Validator] {
        &self.validators
    }
    /// How many there are.
    pub fn count(&self) -> usize {
        self.validators.len()
    }
    /// All power together.
    pub const fn total_power(&self) -> u64 {
        self.total
    }
    /// The validator at a position.
    pub fn get(&self, position: u16) -> Option<&Validator> {
        self.validators.get(usize::from(position))
    }
    /// Position and validator with that key.
    pub fn find(&self, key: &PublicKey) -> Option<(u16, &Validator)> {
        let position = self.validators.binary_search_by_key(key, |v| v.key).ok()?;
        Some((u16::try_from(position).ok()?, self.validators.get(position)?))
    }
    /// Whether that much power decides: more than two thirds of the total.
    pub fn is_quorum(&self, power: u64) -> bool {
        u128::from(power).saturating_mul(3) > u128::from(self.total).saturating_mul(2)
    }
    /// The least power that decides.
    pub const fn quorum(&self) -> u64 {
        // The total is below 2^63, so that twice it still fits.
        self.total.saturating_mul(2) / 3 + 1
    }
    /// Checks that more than two thirds of the power signed a digest: by position, strictly ascending, so
    /// that nobody counts twice. Every signature must hold, even if the others would do without it.
    pub fn verify_quorum(
        &self,
        digest: [u8; 32],
        signatures: impl ExactSizeIterator<Item = (u16, Signature)>,
    ) -> Result<(), QuorumError> {
        let claims = self.quorum_claims(digest, signatures)?;
        let batch: Vec<_> = claims.iter().map(|(_, signed)| *signed).collect();
        verify_batch(&batch).map_err(|BadBatch { index }| QuorumError::Signature {
            position: claims.get(index).map(|(position, _)| *position).unwrap_or_default(),
        })
    }
    /// The signatures that [`verify_quorum`](Self::verify_quorum) checks, each with its position, if they are enough and
    /// in order: to be checked together with others.
    pub(crate) fn quorum_claims(
        &self,
        digest: [u8; 32],
        signatures: impl ExactSizeIterator<Item = (u16, Signature)>,
    ) -> Result<Vec<(u16, Signed)>, QuorumError> {
        let (mut power, mut previous) = (0_u64, None);
        let mut claims = Vec::with_capacity(signatures.len().min(self.count()));
        for (position, signature) in signatures {
            let foreign = QuorumError::Foreign { position, count: self.count() };
            let validator = self.get(position).ok_or(foreign)?;
            if previous.is_some_and(|p| p >= position) {
                return Err(QuorumError::Repeated { position });
            }
            previous = Some(position);
            power = power.saturating_add(validator.power);
            claims.push((position, Signed { key: validator.key, digest, signature }));
        }
        // The cheap check first: too few signatures are not worth checking.
        match self.is_quorum(power) {
            true => Ok(claims),
            false => Err(QuorumError::TooFew { signed: power, total: self.total }),
        }
    }
    /// The set's name in block headers.
    pub fn hash(&self) -> ValidatorsHash {
        ValidatorsHash::from_bytes(tagged(Tag::Validators, &[&encode(&self.validators)]))
    }
}

/// Orders validators, and checks their number, that each stands there once, and their power. Returns all power together.
fn check_list(validators: &mut [Validator]) -> Result<u64, ValidatorSetError> {
    if validators.is_empty() {
        return Err(ValidatorSetError::Empty);
    }
    if validators.len() > MAX_VALIDATORS {
        return Err(ValidatorSetError::TooMany { count: validators.len() });
    }
    validators.sort_by_key(|v| v.key);
    let mut total = 0_u64;
    let mut previous = None;
    for validator in &*validators {
        if previous == Some(validator.key) {
            return Err(ValidatorSetError::Repeated { key: validator.key });
        }
        if validator.power == 0 {
            return Err(ValidatorSetError::Powerless { key: validator.key });
        }
        total = total.checked_add(validator.power).ok_or(ValidatorSetError::TooPowerful)?;
        previous = Some(validator.key);
    }
    // Three times the total is compared with, and engines count power in signed numbers.
    i64::try_from(total).map(|_| total).map_err(|_| ValidatorSetError::TooPowerful)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::signature::SigningKey;

    fn validator(seed: u8, power: u64) -> Validator {
        Validator { key: SigningKey::from_bytes(&[seed; 32]).unwrap().public_key(), power }
    }

    #[test]
    fn a_quorum_is_more_than_two_thirds() {
        let set = ValidatorSet::new((1..=3).map(|n| validator(n, 1)).collect()).unwrap();
        assert!(!set.is_quorum(2));
        assert!(set.is_quorum(3));
        for power in 1..=20 {
            let set = ValidatorSet::new(vec![validator(1, power)]).unwrap();
            assert!(set.is_quorum(set.quorum()) && !set.is_quorum(set.quorum() - 1));
        }
    }

    #[test]
    fn order_does_not_matter_and_repetition_does() {
        let (a, b) = (validator(1, 1), validator(2, 5));
        let set = ValidatorSet::new(vec![a, b]).unwrap();
        assert_eq!(set.hash(), ValidatorSet::new(vec![b, a]).unwrap().hash());
        assert_eq!(set.find(&b.key).unwrap().1, &b);
        assert_eq!(ValidatorSet::new(vec![a, a]), Err(ValidatorSetError::Repeated { key: a.key }));
    }
}
