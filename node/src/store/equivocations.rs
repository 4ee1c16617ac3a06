//! Equivocations that this node has seen. They are no function of the blocks, so they have a file of their
//! own beside the journal, and like everything there they are durable before anybody is told.

use super::StoreError;
use super::frame::Kind;
use super::stream::{Layout, Stream, TornEnd};
use sealpost_ledger::equivocation::{Equivocation, StatementPlace};
use sealpost_ledger::signature::PublicKey;
use std::collections::{HashMap, HashSet};
use std::path::Path;

/// No more are kept of one validator: one suffices against it, and these show that it goes on. One that says everything
/// twice must not take the place of another's. There are as many validators as were ever approved by two thirds.
pub const MAX_EQUIVOCATIONS: usize = 100;

/// What became of an equivocation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Recorded {
    /// It is kept from now on.
    New,
    /// One of the same validator, height, round and kind is kept already.
    Known,
    /// [`MAX_EQUIVOCATIONS`] of the same validator are kept, and this one is not among them.
    Full,
}

#[derive(Debug)]
pub(super) struct Equivocations {
    stream: Stream,
    list: Vec<Equivocation>,
    places: HashSet<StatementPlace>,
    /// How many are kept of each validator.
    of: HashMap<PublicKey, usize>,
}

impl Equivocations {
    /// Looks at every record, and changes nothing.
    pub(super) fn check(dir: &Path) -> Result<(), StoreError> {
        Self::open(dir, TornEnd::Keep).map(drop)
    }
    pub(super) fn open(dir: &Path, torn: TornEnd) -> Result<Self, StoreError> {
        let (mut list, mut places, mut of) = (Vec::new(), HashSet::new(), HashMap::new());
        let layout = Layout::new(u64::MAX);
        let mut wrong = None;
        let stream = Stream::open(dir, "equivocations", layout, torn, |found, payload| {
            match Equivocation::from_bytes(payload) {
                Ok(equivocation) if found.kind == Kind::Equivocation => {
                    places.insert(equivocation.place());
                    count(&mut of, equivocation.place().validator);
                    list.push(equivocation);
                }
                _ => wrong = wrong.or(Some(found.place)),
            }
            Ok(())
        })?;
        match wrong {
            Some(place) => Err(stream.damaged(place.frame(), "a record that is no equivocation".into())),
            None => Ok(Self { stream, list, places, of }),
        }
    }
    /// Keeps an equivocation. It is durable when this returns.
    pub(super) fn put(&mut self, equivocation: &Equivocation) -> Result<Recorded, StoreError> {
        if self.places.contains(&equivocation.place()) {
            return Ok(Recorded::Known);
        }
        let StatementPlace { validator, height, .. } = equivocation.place();
        if self.of.get(&validator).is_some_and(|kept| *kept >= MAX_EQUIVOCATIONS) {
            return Ok(Recorded::Full);
        }
        self.stream.append(Kind::Equivocation, height.get(), &equivocation.to_bytes())?;
        self.stream.sync()?;
        self.places.insert(equivocation.place());
        self.list.push(*equivocation);
        count(&mut self.of, validator);
        Ok(Recorded::New)
    }
    /// Those after a number, each with its own; the first has number 1.
    pub(super) fn after(&self, number: u64, limit: usize) -> Vec<(u64, Equivocation)> {
        let skip = usize::try_from(number).unwrap_or(usize::MAX);
        (1..).zip(self.list.iter().copied()).skip(skip).take(limit).collect()
    }
    /// How many are kept.
    pub(super) fn count(&self) -> usize {
        self.list.len()
    }
}

fn count(of: &mut HashMap<PublicKey, usize>, validator: PublicKey) {
    let kept = of.entry(validator).or_default();
    *kept = kept.saturating_add(1);
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::indexing_slicing)]
mod tests {
    use super::super::testing::{Chain, equivocation, equivocation_of, key};
    use super::super::{Store, StoreOptions};
    use super::*;
    use std::fs;

    fn open(dir: &Path, chain: &Chain) -> Store {
        Store::open(dir, chain.genesis.clone(), StoreOptions::default()).unwrap().0
    }

    #[test]
    fn an_equivocation_outlives_a_restart_and_stands_there_once() {
        let (dir, chain) = (tempfile::tempdir().unwrap(), Chain::new("one"));
        let store = open(dir.path(), &chain);
        for round in 0..5 {
            let found = equivocation(&chain, round, 1);
            found.verify(&chain.genesis.chain_id(), chain.genesis.validators()).unwrap();
            assert_eq!(store.put_equivocation(&found).unwrap(), Recorded::New);
            assert_eq!(store.put_equivocation(&found).unwrap(), Recorded::Known);
            // Another pair of the same place says nothing new.
            assert_eq!(store.put_equivocation(&equivocation(&chain, round, 2)).unwrap(), Recorded::Known);
        }
        let all = store.equivocations(0, 100);
        assert_eq!(all.iter().map(|(number, _)| *number).collect::<Vec<_>>(), [1, 2, 3, 4, 5]);
        drop(store);
        let store = open(dir.path(), &chain);
        assert_eq!(store.equivocations(0, 100), all);
        assert_eq!(store.equivocations(2, 2), all[2..4]);
        assert!(store.equivocations(5, 2).is_empty());
        assert_eq!(store.put_equivocation(&all[3].1).unwrap(), Recorded::Known);
    }

    #[test]
    fn a_torn_end_is_cut_off_and_damage_before_it_is_named() {
        let (dir, chain) = (tempfile::tempdir().unwrap(), Chain::new("one"));
        let store = open(dir.path(), &chain);
        store.put_equivocation(&equivocation(&chain, 0, 1)).unwrap();
        drop(store);
        let path = dir.path().join("journal").join("equivocations-000001.log");
        let one = fs::read(&path).unwrap().len();
        let store = open(dir.path(), &chain);
        store.put_equivocation(&equivocation(&chain, 1, 1)).unwrap();
        drop(store);
        let whole = fs::read(&path).unwrap();
        for length in one..whole.len() {
            fs::write(&path, &whole[..length]).unwrap();
            let kept = Equivocations::open(&dir.path().join("journal"), TornEnd::Cut).unwrap();
            assert_eq!((kept.count(), fs::read(&path).unwrap().len()), (1, one));
        }
        let mut changed = whole.clone();
        changed[40] ^= 1;
        fs::write(&path, &changed).unwrap();
        let error = Equivocations::open(&dir.path().join("journal"), TornEnd::Cut).unwrap_err();
        assert!(matches!(error, StoreError::Damaged { offset: 0, .. }), "{error}");
        assert_eq!(fs::read(&path).unwrap(), changed);
    }

    #[test]
    fn one_validator_s_equivocations_are_bounded_and_leave_room_for_another_s() {
        let (dir, chain) = (tempfile::tempdir().unwrap(), Chain::new("one"));
        let of = |signer, round| equivocation_of(&chain, &key(signer), round, 1);
        let mut kept = Equivocations::open(dir.path(), TornEnd::Cut).unwrap();
        for round in 0..MAX_EQUIVOCATIONS as u32 {
            assert_eq!(kept.put(&of(1, round)).unwrap(), Recorded::New);
        }
        let next = MAX_EQUIVOCATIONS as u32;
        assert_eq!(kept.put(&of(1, next)).unwrap(), Recorded::Full);
        assert_eq!(kept.put(&of(1, 0)).unwrap(), Recorded::Known);
        drop(kept);
        let mut kept = Equivocations::open(dir.path(), TornEnd::Cut).unwrap();
        assert_eq!(kept.put(&of(1, next)).unwrap(), Recorded::Full);
        assert_eq!(kept.put(&of(9, next)).unwrap(), Recorded::New);
    }
}
