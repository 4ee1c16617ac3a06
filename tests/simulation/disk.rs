//! A disk in memory with a journal on it: what was synced outlives a crash, of the rest a beginning may. Everything
//! else is made again from the journal when a node starts. Once, in the end, that is done by all the rules, as the real
//! store does it at each start.
//!
//! It can be told to let the process die in the middle of a write.

use sealpost_ledger::block::Block;
use sealpost_ledger::certificate::CommitCertificate;
use sealpost_ledger::chain::{CommittedBlock, Tip, verify_block};
use sealpost_ledger::equivocation::Equivocation;
use sealpost_ledger::genesis::Genesis;
use sealpost_ledger::hash::{BlockHash, TransactionId};
use sealpost_ledger::height::BlockHeight;
use sealpost_ledger::message::Message;
use sealpost_ledger::state::{LedgerView, MemoryState, NodeSource, StateKey, StateRecord, ViewError};
use sealpost_ledger::validator::ValidatorSet;
use sealpost_node::consensus;
use sealpost_node::store::{Maker, ProposedBlock, StoreError};
use std::cell::{Ref, RefCell};
use std::collections::BTreeMap;
use std::rc::Rc;
use std::sync::Arc;

/// The disk of one node. Cloning it copies a reference.
#[derive(Clone)]
pub struct Disk(Rc<RefCell<Inner>>);

/// When the process dies within a write.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Dies {
    /// Nothing of it has reached the disk.
    Before,
    /// It was written and not synced.
    Written,
    /// It was synced, and nobody was told.
    Synced,
}

enum Record {
    Block(Rc<CommittedBlock>),
    Proposal(ProposedBlock),
    Equivocation(Equivocation),
}

struct Inner {
    genesis: Arc<Genesis>,
    journal: Vec<Record>,
    synced: usize,
    /// Whether writes are synced: a negative control does without.
    syncs: bool,
    /// The process dies in the write after so many others.
    doom: Option<(u32, Dies)>,
    dead: bool,
    chain: Chain,
}

/// What is made from the journal.
struct Chain {
    tip: Tip,
    state: MemoryState,
    blocks: Vec<(Block, CommitCertificate, Arc<ValidatorSet>)>,
    proposals: BTreeMap<BlockHash, ProposedBlock>,
    equivocations: Vec<Equivocation>,
}

impl Chain {
    fn begin(genesis: &Arc<Genesis>) -> Result<Self, ViewError> {
        let (tip, first) = Tip::genesis(genesis.clone())?;
        let mut state = MemoryState::default();
        state.apply(&first.update, &first.changes);
        let (blocks, proposals, equivocations) = Default::default();
        Ok(Self { tip, state, blocks, proposals, equivocations })
    }
    fn append(&mut self, block: &CommittedBlock) {
        let verified = block.verified();
        if let Some(update) = verified.update() {
            self.state.apply(update, verified.changes());
        }
        self.state.add_transactions(block.block());
        let decided_by = self.tip.validators().clone();
        self.blocks.push((block.block().as_ref().clone(), block.certificate().clone(), decided_by));
        self.tip = block.tip().clone();
        self.proposals.retain(|_, proposal| proposal.block.height() > block.block().height());
    }
    fn take(&mut self, record: &Record) {
        match record {
            Record::Block(block) => self.append(block),
            Record::Proposal(proposed) => {
                if proposed.block.height() > self.tip.height() {
                    self.propose(proposed);
                }
            }
            Record::Equivocation(equivocation) => self.equivocations.push(*equivocation),
        }
    }
    fn propose(&mut self, proposed: &ProposedBlock) {
        let kept = self.proposals.entry(proposed.block.hash()).or_insert_with(|| proposed.clone());
        if proposed.maker == Maker::Own {
            kept.maker = Maker::Own;
        }
    }
    /// Runs a block again, from its bytes.
    fn run_again(&self, block: &CommittedBlock) -> Result<CommittedBlock, String> {
        let read = Block::from_bytes(&block.block().to_bytes()).map_err(|error| error.to_string())?;
        let verified = verify_block(&self.tip, &self.state, read, None).map_err(|error| error.to_string())?;
        verified.commit(block.certificate().clone()).map_err(|error| error.to_string())
    }
}

impl Disk {
    /// An empty disk.
    pub fn new(genesis: &Arc<Genesis>, syncs: bool) -> Self {
        let chain = Chain::begin(genesis).expect("a state in memory answers");
        let (journal, genesis) = (Vec::new(), genesis.clone());
        Self(Rc::new(RefCell::new(Inner {
            genesis,
            journal,
            synced: 0,
            syncs,
            doom: None,
            dead: false,
            chain,
        })))
    }
    /// The process is to die in the write after so many others.
    pub fn doom(&self, writes: u32, dies: Dies) {
        self.0.borrow_mut().doom = Some((writes, dies));
    }
    /// It is not to die after all.
    pub fn spare(&self) {
        self.0.borrow_mut().doom = None;
    }
    /// Whether it has died in a write.
    pub fn is_dead(&self) -> bool {
        self.0.borrow().dead
    }
    /// Writes that a crash could take.
    pub fn unsynced(&self) -> usize {
        let inner = self.0.borrow();
        inner.journal.len() - inner.synced
    }
    /// The process has ended. Of what was not synced, the first so many writes reached the disk all the same.
    pub fn crash(&self, survivors: usize) {
        let inner = &mut *self.0.borrow_mut();
        inner.journal.truncate(inner.synced + survivors);
        inner.synced = inner.journal.len();
        (inner.doom, inner.dead) = (None, false);
    }
    /// A process starts: everything is made again from the journal.
    pub fn open(&self) -> Result<(), String> {
        let inner = &mut *self.0.borrow_mut();
        inner.chain = Chain::begin(&inner.genesis).map_err(|error| error.to_string())?;
        for record in &inner.journal {
            if let Record::Block(block) = record
                && block.block().header().parent != inner.chain.tip.block()
            {
                return Err(format!("block {} does not follow", block.block().height()));
            }
            inner.chain.take(record);
        }
        Ok(())
    }
    /// Runs all blocks again, by all the rules.
    pub fn check(&self) -> Result<Tip, String> {
        let inner = self.0.borrow();
        let mut chain = Chain::begin(&inner.genesis).map_err(|error| error.to_string())?;
        for record in &inner.journal {
            if let Record::Block(block) = record {
                chain.append(&chain.run_again(block)?);
            }
        }
        Ok(chain.tip)
    }
    /// Final blocks from a height on, at most so many.
    pub fn blocks(&self, from: BlockHeight, count: u64) -> Vec<(Block, CommitCertificate)> {
        let inner = self.0.borrow();
        let skip = usize::try_from(from.get().saturating_sub(1)).unwrap_or(usize::MAX);
        let count = usize::try_from(count).unwrap_or(usize::MAX);
        let blocks = inner.chain.blocks.iter().skip(skip).take(count);
        blocks.map(|(block, certificate, _)| (block.clone(), certificate.clone())).collect()
    }
    /// Final blocks beyond a height.
    pub fn committed_after(&self, height: BlockHeight) -> Vec<Rc<CommittedBlock>> {
        let inner = self.0.borrow();
        let blocks = inner.journal.iter().filter_map(|record| match record {
            Record::Block(block) if block.block().height() > height => Some(block.clone()),
            _ => None,
        });
        blocks.collect()
    }
    /// What validators said twice, as far as it was recorded.
    pub fn equivocations(&self) -> Ref<'_, Vec<Equivocation>> {
        Ref::map(self.0.borrow(), |inner| &inner.chain.equivocations)
    }

    fn write(&self, record: Record) -> Result<(), StoreError> {
        let inner = &mut *self.0.borrow_mut();
        let died = || StoreError::Fatal { reason: "the process has died".into() };
        if inner.dead {
            return Err(died());
        }
        let dies = match &mut inner.doom {
            Some((0, dies)) => Some(*dies),
            Some((left, _)) => {
                *left -= 1;
                None
            }
            None => None,
        };
        if dies != Some(Dies::Before) {
            inner.journal.push(record);
        }
        if inner.syncs && !matches!(dies, Some(Dies::Before | Dies::Written)) {
            inner.synced = inner.journal.len();
        }
        inner.dead = dies.is_some();
        if inner.dead { Err(died()) } else { Ok(()) }
    }
}

impl consensus::Disk for Disk {
    fn tip(&self) -> Tip {
        self.0.borrow().chain.tip.clone()
    }
    fn put_proposal(&self, block: &Block, round: u32, maker: Maker) -> Result<(), StoreError> {
        let known = self.0.borrow().chain.proposals.get(&block.hash()).map(|known| known.maker);
        let news = known != Some(Maker::Own) && known != Some(maker);
        if !news || block.height() <= self.tip().height() {
            return Ok(());
        }
        let proposed = ProposedBlock { block: block.clone(), round, maker };
        self.write(Record::Proposal(proposed.clone()))?;
        self.0.borrow_mut().chain.propose(&proposed);
        Ok(())
    }
    fn proposals_at(&self, height: BlockHeight) -> Vec<ProposedBlock> {
        let inner = self.0.borrow();
        inner.chain.proposals.values().filter(|proposed| proposed.block.height() == height).cloned().collect()
    }
    fn append(&self, block: &CommittedBlock) -> Result<(), StoreError> {
        let (tip, header) = (self.tip(), block.block().header());
        if header.height != tip.next_height() || header.parent != tip.block() {
            return Err(StoreError::NotNext { found: header.height, tip: tip.height() });
        }
        self.write(Record::Block(Rc::new(block.clone())))?;
        self.0.borrow_mut().chain.append(block);
        Ok(())
    }
    fn put_equivocation(&self, equivocation: &Equivocation) -> Result<(), StoreError> {
        if self.equivocations().iter().any(|known| known.place() == equivocation.place()) {
            return Ok(());
        }
        self.write(Record::Equivocation(*equivocation))?;
        self.0.borrow_mut().chain.equivocations.push(*equivocation);
        Ok(())
    }
    fn certified_block(&self, height: BlockHeight) -> Result<Option<(Block, CommitCertificate)>, StoreError> {
        Ok(if height == BlockHeight::GENESIS { None } else { self.blocks(height, 1).pop() })
    }
    fn validators(&self, height: BlockHeight) -> Result<ValidatorSet, StoreError> {
        let inner = self.0.borrow();
        let place = usize::try_from(height.get().saturating_sub(1)).unwrap_or(usize::MAX);
        let decided_by = inner.chain.blocks.get(place).map(|(_, _, set)| set);
        Ok(decided_by.unwrap_or(inner.chain.tip.validators()).as_ref().clone())
    }
    fn oldest_body_height(&self) -> BlockHeight {
        BlockHeight::FIRST
    }
}

impl NodeSource for Disk {
    fn node(&self, key: &[u8]) -> Result<Option<Vec<u8>>, ViewError> {
        self.0.borrow().chain.state.node(key)
    }
    fn value(&self, version: u64, key_hash: &[u8; 32]) -> Result<Option<Vec<u8>>, ViewError> {
        self.0.borrow().chain.state.value(version, key_hash)
    }
}

impl LedgerView for Disk {
    fn record(&self, key: &StateKey) -> Result<Option<StateRecord>, ViewError> {
        self.0.borrow().chain.state.record(key)
    }
    fn message(&self, id: &TransactionId) -> Result<Option<Message>, ViewError> {
        self.0.borrow().chain.state.message(id)
    }
    fn is_final(&self, id: &TransactionId) -> Result<bool, ViewError> {
        self.0.borrow().chain.state.is_final(id)
    }
}

/// The model has to answer as what it stands for.
#[cfg(test)]
mod tests {
    use super::*;
    use crate::people::People;
    use crate::schedule::{Range, Schedule};
    use sealpost_ledger::certificate::{CommitSignature, VoteKind, vote_digest};
    use sealpost_ledger::chain::propose;
    use sealpost_ledger::equivocation::SignedVote;
    use sealpost_ledger::signature::SigningKey;
    use sealpost_ledger::transaction::VerifiedTransaction;
    use sealpost_node::consensus::Disk as _;
    use sealpost_node::store::{Store, StoreOptions};
    use sealpost_tests::harness::random::Random;

    const VALIDATORS: usize = 4;

    struct Both {
        genesis: Arc<Genesis>,
        keys: Vec<Arc<SigningKey>>,
        disk: Disk,
        store: Store,
        home: tempfile::TempDir,
    }

    impl Both {
        fn new(random: &mut Random) -> Self {
            let schedule =
                Schedule::of(random, &Range { nodes: VALIDATORS..=VALIDATORS, seconds: 1..=1, broken: None });
            let key = |n: usize| Arc::new(SigningKey::from_bytes(&[1 + n as u8; 32]).unwrap());
            let keys: Vec<_> = (0..VALIDATORS).map(key).collect();
            let genesis = Arc::new(schedule.genesis(&keys));
            let home = tempfile::tempdir().unwrap();
            let (store, _) = Store::open(home.path(), genesis.clone(), StoreOptions::default()).unwrap();
            Self { disk: Disk::new(&genesis, true), genesis, keys, store, home }
        }
        fn block(&self, transactions: Vec<VerifiedTransaction>, time_ms: u64) -> CommittedBlock {
            let proposer = self.keys[0].public_key();
            let tip = self.disk.tip();
            let verified = propose(&tip, &self.disk, transactions, time_ms, proposer).unwrap().block;
            let (height, block) = (tip.next_height(), verified.block().hash());
            let digest = vote_digest(&self.genesis.chain_id(), VoteKind::Precommit, height, 0, Some(&block));
            let sign = |key: &Arc<SigningKey>| CommitSignature {
                validator: self.genesis.validators().find(&key.public_key()).unwrap().0,
                signature: key.sign(&digest, &[0; 32]).unwrap(),
            };
            let mut signatures: Vec<_> = self.keys.iter().map(sign).collect();
            signatures.sort_by_key(|commit| commit.validator);
            verified.commit(CommitCertificate { height, round: 0, block, signatures }).unwrap()
        }
        fn reopen(self) -> Self {
            let Self { genesis, keys, disk, store, home } = self;
            drop(store);
            disk.crash(0);
            disk.open().unwrap();
            assert_eq!(disk.check().unwrap().to_record(), disk.tip().to_record());
            let (store, _) = Store::open(home.path(), genesis.clone(), StoreOptions::default()).unwrap();
            Self { genesis, keys, disk, store, home }
        }
        fn agree(&self, ids: &[TransactionId]) {
            let (disk, store): (&dyn consensus::Disk, &dyn consensus::Disk) = (&self.disk, &self.store);
            assert_eq!(disk.tip().to_record(), store.tip().to_record());
            assert_eq!(disk.oldest_body_height(), store.oldest_body_height());
            let next = disk.tip().next_height();
            for height in (0..=next.get() + 1).map(BlockHeight::new) {
                assert_eq!(disk.certified_block(height).unwrap(), store.certified_block(height).unwrap());
                assert_eq!(disk.proposals_at(height), store.proposals_at(height));
                if height > BlockHeight::GENESIS && height <= next {
                    assert_eq!(disk.validators(height).unwrap(), store.validators(height).unwrap());
                }
            }
            for id in ids {
                assert_eq!(disk.is_final(id), store.is_final(id));
                assert_eq!(disk.message(id), store.message(id));
            }
            for key in People::keys() {
                let owner = sealpost_ledger::address::Address::new(key.public_key());
                for key in [StateKey::Directory(owner), StateKey::Member(owner), StateKey::Chain] {
                    assert_eq!(disk.record(&key), store.record(&key));
                }
            }
            let recorded: Vec<_> =
                self.store.equivocations(0, 100).into_iter().map(|(_, found)| found).collect();
            assert_eq!(*self.disk.equivocations(), recorded);
        }
    }

    #[test]
    fn it_answers_as_the_real_store_does() {
        let mut random = Random::new(1);
        let mut both = Both::new(&mut random);
        let mut people = People::new(&both.genesis, 300);
        let (mut ids, mut time_ms, mut refused) = (Vec::new(), 1_700_000_100_000, 0);
        for step in 0..60 {
            time_ms += 1_000;
            let height = both.disk.tip().height();
            let told: Vec<_> = (0..random.below(4)).map(|_| people.send(height, &mut random)).collect();
            ids.extend(told.iter().map(|told| told.transaction.id()));
            let verified = told.into_iter().filter_map(|t| t.transaction.verify(t.body, &both.genesis).ok());
            let block = both.block(verified.collect(), time_ms);
            let (disk, store): (&dyn consensus::Disk, &dyn consensus::Disk) = (&both.disk, &both.store);
            match random.below(5) {
                0 | 1 => {
                    let maker = if random.below(2) == 0 { Maker::Own } else { Maker::Other };
                    // The same comes again, and from elsewhere.
                    for (round, maker) in [(step, Maker::Other), (step + 1, maker), (step + 2, Maker::Other)]
                    {
                        disk.put_proposal(block.block(), round, maker).unwrap();
                        store.put_proposal(block.block(), round, maker).unwrap();
                    }
                }
                2 | 3 => {
                    disk.append(&block).unwrap();
                    store.append(&block).unwrap();
                    // It does not follow itself.
                    let again = (disk.append(&block).is_err(), store.append(&block).is_err());
                    assert_eq!(again, (true, true));
                    refused += 1;
                }
                _ => {
                    let (id, place) = (both.genesis.chain_id(), BlockHeight::FIRST);
                    let votes = [None, Some(BlockHash::from_bytes([1; 32]))].map(|block| {
                        let digest = vote_digest(&id, VoteKind::Prevote, place, step % 3, block.as_ref());
                        SignedVote { block, signature: both.keys[0].sign(&digest, &[0; 32]).unwrap() }
                    });
                    let twice = Equivocation::votes(
                        both.keys[0].public_key(),
                        place,
                        step % 3,
                        VoteKind::Prevote,
                        votes,
                    );
                    disk.put_equivocation(&twice).unwrap();
                    store.put_equivocation(&twice).unwrap();
                }
            }
            both.agree(&ids);
            if random.below(6) == 0 {
                both = both.reopen();
                both.agree(&ids);
            }
        }
        assert!(both.disk.tip().height().get() > 10 && refused > 10);
    }

    #[test]
    fn a_crash_takes_what_was_not_synced_and_nothing_else() {
        let mut random = Random::new(2);
        let both = Both::new(&mut random);
        let first = both.block(Vec::new(), 1_700_000_100_000);
        both.disk.append(&first).unwrap();
        for (dies, kept, height) in
            [(Dies::Before, 0, 1), (Dies::Written, 0, 1), (Dies::Written, 1, 2), (Dies::Synced, 0, 3)]
        {
            let next = both.block(Vec::new(), 1_700_000_200_000);
            both.disk.doom(0, dies);
            assert!(both.disk.append(&next).is_err() && both.disk.is_dead());
            assert!(
                both.disk.put_proposal(next.block(), 0, Maker::Own).is_err(),
                "nothing is written by the dead"
            );
            both.disk.crash(kept);
            both.disk.open().unwrap();
            assert_eq!(both.disk.tip().height().get(), height, "{dies:?}");
        }
    }
}
