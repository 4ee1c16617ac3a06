//! The mempool: accepted transactions that no block contains yet. Pure and synchronous; whoever owns it
//! decides when it is asked. It is bounded in bytes, in count, per sender and in age, so that nobody can
//! fill a node's memory, and one sender can't crowd out the others. A part of it is the members': however many
//! strangers there are, members get in, and into the next block.

use sealpost_ledger::address::Address;
use sealpost_ledger::block::Block;
use sealpost_ledger::hash::TransactionId;
use sealpost_ledger::height::BlockHeight;
use sealpost_ledger::postage::Price;
use sealpost_ledger::transaction::VerifiedTransaction;
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use thiserror::Error;

/// Upper bounds of a mempool.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MempoolLimits {
    /// Bytes of all transactions and bodies together.
    pub bytes: usize,
    /// Transactions.
    pub count: usize,
    /// Transactions of one sender.
    pub per_sender: usize,
    /// Blocks that a transaction may wait.
    pub max_age: u64,
}

impl Default for MempoolLimits {
    fn default() -> Self {
        Self { bytes: 64 << 20, count: 50_000, per_sender: 1_000, max_age: 1_000 }
    }
}

/// What a sender is to the network.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// It may send within a quota for nothing.
    Member,
    /// It pays, and shares a part of block and mempool with all its like.
    Stranger,
}

/// How an insertion went.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Inserted {
    /// It waits for a block now.
    New,
    /// It waited already.
    Known,
}

/// Why a transaction was not taken in. Nothing is wrong with it: it may be sent again later.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[allow(missing_docs)]
pub enum MempoolRefusal {
    #[error("{part} is full: {found} {unit} with this transaction, the limit is {limit}; try again later")]
    Full { part: &'static str, unit: &'static str, found: usize, limit: usize },
    #[error(
        "this sender has {limit} transactions waiting, which is the limit; try again after the next block"
    )]
    SenderFull { limit: usize },
}

impl MempoolRefusal {
    /// The stable code of the refusal, the same in RPC, REST and commands.
    pub const fn code(&self) -> &'static str {
        match self {
            MempoolRefusal::Full { .. } => "mempool.full",
            MempoolRefusal::SenderFull { .. } => "mempool.sender_full",
        }
    }
}

/// How many, and how large together.
#[derive(Debug, Clone, Copy, Default)]
struct Amount {
    count: usize,
    bytes: usize,
}

impl Amount {
    const fn with(self, bytes: usize) -> Self {
        Self { count: self.count.saturating_add(1), bytes: self.bytes.saturating_add(bytes) }
    }
    const fn without(self, bytes: usize) -> Self {
        Self { count: self.count.saturating_sub(1), bytes: self.bytes.saturating_sub(bytes) }
    }
    /// Whether it stays within a limit.
    fn check(self, part: &'static str, limit: Self) -> Result<(), MempoolRefusal> {
        let [(unit, found, limit), bytes] =
            [("transactions", self.count, limit.count), ("bytes", self.bytes, limit.bytes)];
        let (unit, found, limit) = if found > limit { (unit, found, limit) } else { bytes };
        if found > limit { Err(MempoolRefusal::Full { part, unit, found, limit }) } else { Ok(()) }
    }
}

/// What strangers fill of a mempool, and what they may.
#[derive(Debug, Clone, Copy, Default)]
pub struct StrangersPart {
    filled: Amount,
    limit: Amount,
}

impl StrangersPart {
    /// With another transaction of so many bytes, body included.
    ///
    /// # Errors
    /// If there is no room for it.
    pub fn with(self, bytes: usize) -> Result<Self, MempoolRefusal> {
        let filled = self.filled.with(bytes);
        filled.check("the part of the mempool that is open to everybody", self.limit)?;
        Ok(Self { filled, ..self })
    }
}

#[derive(Debug)]
struct Waiting {
    transaction: VerifiedTransaction,
    standing: Standing,
    arrival: u64,
    /// Height of the last block when it came, less the blocks of the past that were only caught up with.
    since: u64,
    /// The highest price that a stranger's pays.
    pays: Option<Price>,
}

/// Transactions that wait for a block, in the order of their arrival.
#[derive(Debug)]
pub struct Mempool {
    limits: MempoolLimits,
    /// The part that is open to strangers; the rest is the members'.
    strangers_percent: u8,
    waiting: HashMap<TransactionId, Waiting>,
    arrivals: BTreeMap<u64, TransactionId>,
    /// The members' among them.
    of_members: BTreeSet<u64>,
    /// The strangers' by what they pay.
    by_price: BTreeSet<(Price, u64)>,
    /// All of them by the last height whose block may contain them.
    by_expiry: BTreeSet<(BlockHeight, u64)>,
    senders: HashMap<Address, usize>,
    all: Amount,
    strangers: Amount,
    next_arrival: u64,
    /// Blocks that were made long before this node had them.
    past: u64,
}

impl Mempool {
    /// An empty mempool, of whose bytes and count so many hundredths are open to strangers.
    pub fn new(limits: MempoolLimits, strangers_percent: u8) -> Self {
        Self {
            limits,
            strangers_percent,
            waiting: HashMap::new(),
            arrivals: BTreeMap::new(),
            of_members: BTreeSet::new(),
            by_price: BTreeSet::new(),
            by_expiry: BTreeSet::new(),
            senders: HashMap::new(),
            all: Amount::default(),
            strangers: Amount::default(),
            next_arrival: 0,
            past: 0,
        }
    }
    /// Takes in a transaction of a sender of that standing; `now` is the height of the last block. One that waits
    /// already is fine.
    pub fn insert(
        &mut self,
        transaction: VerifiedTransaction,
        standing: Standing,
        now: BlockHeight,
    ) -> Result<Inserted, MempoolRefusal> {
        let id = transaction.id();
        if self.waiting.contains_key(&id) {
            return Ok(Inserted::Known);
        }
        let limit = Amount { count: self.limits.count, bytes: self.limits.bytes };
        let all = self.all.with(transaction.bytes());
        all.check("the mempool", limit)?;
        let strangers = match standing {
            Standing::Stranger => self.strangers_part().with(transaction.bytes())?.filled,
            Standing::Member => self.strangers,
        };
        let sender = transaction.signed().sender();
        let of_sender = self.senders.get(&sender).copied().unwrap_or(0);
        if of_sender >= self.limits.per_sender {
            return Err(MempoolRefusal::SenderFull { limit: self.limits.per_sender });
        }
        let arrival = self.next_arrival;
        self.next_arrival = arrival.saturating_add(1);
        self.senders.insert(sender, of_sender.saturating_add(1));
        (self.all, self.strangers) = (all, strangers);
        self.arrivals.insert(arrival, id);
        let pays = match standing {
            Standing::Member => {
                self.of_members.insert(arrival);
                None
            }
            Standing::Stranger => Some(transaction.pays_up_to()),
        };
        self.by_price.extend(pays.map(|price| (price, arrival)));
        self.by_expiry.insert((transaction.signed().transaction().expiry, arrival));
        let since = now.get().saturating_sub(self.past);
        self.waiting.insert(id, Waiting { transaction, standing, arrival, since, pays });
        Ok(Inserted::New)
    }
    /// What strangers fill of it, and what they may.
    pub fn strangers_part(&self) -> StrangersPart {
        let part = |all: usize| {
            let percent = usize::from(self.strangers_percent.min(100));
            // Divided first where the product would be too large.
            all.checked_mul(percent).map_or(all / 100 * percent, |product| product / 100)
        };
        let limit = Amount { count: part(self.limits.count), bytes: part(self.limits.bytes) };
        StrangersPart { filled: self.strangers, limit }
    }
    /// Candidates for a block of at most `max_bytes`, of which strangers may fill `max_strangers`. Senders take turns, the longest waiting first; the order among one sender's
    /// transactions is kept, because a key bundle needs the one before it. Strangers are offered no more than their
    /// part, and members as much as the block takes, so that neither keeps the others out: together that may be more
    /// than fits. The candidates stay here until a block contains or a rule refuses them.
    pub fn take(&self, max_bytes: usize, max_strangers: usize) -> Vec<VerifiedTransaction> {
        let mut turns: HashMap<Address, u64> = HashMap::new();
        let mut order: Vec<(u64, u64, &Waiting)> = Vec::with_capacity(self.len());
        for (arrival, id) in &self.arrivals {
            let Some(waiting) = self.waiting.get(id) else { continue };
            let turn = turns.entry(waiting.transaction.signed().sender()).or_default();
            order.push((*turn, *arrival, waiting));
            *turn = turn.saturating_add(1);
        }
        order.sort_unstable_by_key(|(turn, arrival, _)| (*turn, *arrival));
        let (mut members_left, mut strangers_left) = (max_bytes, max_strangers.min(max_bytes));
        let mut closed = HashSet::new();
        let mut taken = Vec::new();
        for (_, _, Waiting { transaction, standing, .. }) in order {
            let sender = transaction.signed().sender();
            if closed.contains(&sender) {
                continue;
            }
            let left = match standing {
                Standing::Member => &mut members_left,
                Standing::Stranger => &mut strangers_left,
            };
            match left.checked_sub(transaction.bytes()) {
                Some(rest) => {
                    *left = rest;
                    taken.push(transaction.clone());
                }
                None => {
                    closed.insert(sender);
                }
            }
        }
        taken
    }
    /// Whether a transaction waits here.
    pub fn contains(&self, id: &TransactionId) -> bool {
        self.waiting.contains_key(id)
    }
    /// What waits, the longest waiting first, and the members' before that of others: whoever asks takes the first of
    /// them, and a flood is not to hide a member's.
    pub fn ids(&self) -> impl Iterator<Item = TransactionId> {
        let members = self.of_members.iter().filter_map(|arrival| self.arrivals.get(arrival));
        let others = self.arrivals.iter().filter(|(arrival, _)| !self.of_members.contains(arrival));
        members.chain(others.map(|(_, id)| id)).copied()
    }
    /// Whether it is a member's transaction that waits here.
    pub fn is_of_member(&self, id: &TransactionId) -> bool {
        self.waiting.get(id).is_some_and(|waiting| waiting.standing == Standing::Member)
    }
    /// A waiting transaction.
    pub fn get(&self, id: &TransactionId) -> Option<&VerifiedTransaction> {
        self.waiting.get(id).map(|waiting| &waiting.transaction)
    }
    /// Lets go what a final block contains.
    pub fn remove_committed(&mut self, block: &Block) {
        for transaction in block.transactions() {
            self.remove(&transaction.id());
        }
    }
    /// Lets go what the rules refuse.
    pub fn remove_refused<'a>(&mut self, ids: impl IntoIterator<Item = &'a TransactionId>) {
        for id in ids {
            self.remove(id);
        }
    }
    /// Lets go the strangers' transactions that do not pay the next block's price, so that they do not keep out those that
    /// do. Returns them. A member's may be within its quota; whoever proposes a block finds out.
    pub fn price_out(&mut self, price: Price) -> Vec<VerifiedTransaction> {
        let mut gone = Vec::new();
        while let Some((_, arrival)) = self.by_price.first().copied().filter(|(pays, _)| *pays < price) {
            let Some(id) = self.arrivals.get(&arrival).copied() else { break };
            gone.extend(self.get(&id).cloned());
            self.remove(&id);
        }
        gone
    }
    /// A block was made long before this node had it: what waits here could not have stood in it, and does not
    /// age by it.
    pub const fn pass_over(&mut self) {
        self.past = self.past.saturating_add(1);
    }
    /// Lets go what no block at or after `next` may contain, and what has waited too long. Returns their ids.
    pub fn expire(&mut self, next: BlockHeight) -> Vec<TransactionId> {
        let (max_age, now) = (self.limits.max_age, next.get().saturating_sub(self.past));
        let mut gone = Vec::new();
        while let Some((_, arrival)) = self.by_expiry.first().copied().filter(|(expiry, _)| *expiry < next) {
            let Some(id) = self.arrivals.get(&arrival).copied() else { break };
            self.remove(&id);
            gone.push(id);
        }
        // What came first has waited longest.
        let is_old = |waiting: &Waiting| now.saturating_sub(waiting.since) > max_age;
        while let Some(id) = self.arrivals.first_key_value().map(|(_, id)| *id)
            && self.waiting.get(&id).is_some_and(is_old)
        {
            self.remove(&id);
            gone.push(id);
        }
        gone
    }
    /// Bytes of everything that waits.
    pub const fn bytes(&self) -> usize {
        self.all.bytes
    }
    /// Number of transactions that wait.
    pub fn len(&self) -> usize {
        self.waiting.len()
    }
    /// Whether nothing waits.
    pub fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    fn remove(&mut self, id: &TransactionId) {
        let Some(waiting) = self.waiting.remove(id) else { return };
        self.arrivals.remove(&waiting.arrival);
        self.of_members.remove(&waiting.arrival);
        if let Some(price) = waiting.pays {
            self.by_price.remove(&(price, waiting.arrival));
        }
        self.by_expiry.remove(&(waiting.transaction.signed().transaction().expiry, waiting.arrival));
        let bytes = waiting.transaction.bytes();
        self.all = self.all.without(bytes);
        if waiting.standing == Standing::Stranger {
            self.strangers = self.strangers.without(bytes);
        }
        let sender = waiting.transaction.signed().sender();
        if let Some(count) = self.senders.get_mut(&sender) {
            *count = count.saturating_sub(1);
            if *count == 0 {
                self.senders.remove(&sender);
            }
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::indexing_slicing)]
mod tests {
    use super::*;
    use crate::consensus::testing::{genesis, key, key_bundle};
    use proptest::prelude::*;

    const NOW: BlockHeight = BlockHeight::new(5);

    fn limits() -> MempoolLimits {
        MempoolLimits { bytes: 1 << 20, count: 6, per_sender: 3, max_age: 10 }
    }
    const ANY: usize = usize::MAX;

    fn transaction(sender: u8, number: u64) -> VerifiedTransaction {
        key_bundle(&genesis(&[key(200)]), &key(sender), number, BlockHeight::new(50))
    }

    #[test]
    fn a_repeated_transaction_is_kept_once() {
        let mut pool = Mempool::new(limits(), 100);
        assert_eq!(pool.insert(transaction(1, 1), Standing::Stranger, NOW), Ok(Inserted::New));
        assert_eq!(pool.insert(transaction(1, 1), Standing::Stranger, NOW), Ok(Inserted::Known));
        assert_eq!(pool.len(), 1);
    }

    #[test]
    fn who_asks_what_waits_hears_of_members_first() {
        let mut pool = Mempool::new(limits(), 100);
        let (stranger, [first, second]) = (transaction(1, 1), [transaction(2, 1), transaction(3, 1)]);
        pool.insert(stranger.clone(), Standing::Stranger, NOW).unwrap();
        for member in [&first, &second] {
            pool.insert(member.clone(), Standing::Member, NOW).unwrap();
        }
        let expected = [&first, &second, &stranger].map(VerifiedTransaction::id);
        assert_eq!(pool.ids().collect::<Vec<_>>(), expected);
        assert!(pool.is_of_member(&first.id()) && !pool.is_of_member(&stranger.id()));
        pool.remove_refused([&first.id()]);
        assert_eq!(pool.ids().collect::<Vec<_>>(), expected[1..]);
        assert!(!pool.is_of_member(&first.id()));
    }

    #[test]
    fn one_sender_cannot_crowd_out_the_others() {
        let mut pool = Mempool::new(limits(), 100);
        for number in 1..=3 {
            pool.insert(transaction(1, number), Standing::Stranger, NOW).unwrap();
        }
        let refused = pool.insert(transaction(1, 4), Standing::Stranger, NOW).unwrap_err();
        assert_eq!(refused.code(), "mempool.sender_full");
        assert_eq!(pool.insert(transaction(2, 1), Standing::Stranger, NOW), Ok(Inserted::New));
    }

    #[test]
    fn senders_take_turns_and_each_keeps_its_order() {
        let mut pool = Mempool::new(limits(), 100);
        let (a1, a2, b1) = (transaction(1, 1), transaction(1, 2), transaction(2, 1));
        for transaction in [&a1, &a2, &b1] {
            pool.insert(transaction.clone(), Standing::Stranger, NOW).unwrap();
        }
        let order: Vec<_> = pool.take(ANY, ANY).iter().map(VerifiedTransaction::id).collect();
        assert_eq!(order, [a1.id(), b1.id(), a2.id()]);
        assert_eq!(pool.take(a1.bytes(), ANY).len(), 1);
    }

    #[test]
    fn however_many_strangers_there_are_a_member_gets_in_and_into_the_block() {
        let mut pool = Mempool::new(limits(), 50);
        for sender in 1..=3 {
            pool.insert(transaction(sender, 1), Standing::Stranger, NOW).unwrap();
        }
        let refused = pool.insert(transaction(4, 1), Standing::Stranger, NOW).unwrap_err();
        assert_eq!(refused.code(), "mempool.full");
        let member = transaction(9, 1);
        assert_eq!(pool.insert(member.clone(), Standing::Member, NOW), Ok(Inserted::New));
        // The strangers came first, and would fill the block.
        let size = member.bytes();
        let taken = pool.take(2 * size, size);
        assert_eq!(
            taken.iter().map(VerifiedTransaction::id).collect::<Vec<_>>(),
            [transaction(1, 1).id(), member.id()]
        );
        // And members do not keep strangers out of their part.
        pool.insert(transaction(9, 2), Standing::Member, NOW).unwrap();
        pool.insert(transaction(9, 3), Standing::Member, NOW).unwrap();
        let taken = pool.take(3 * size, size);
        assert!(taken.iter().any(|taken| taken.id() == transaction(1, 1).id()));
        pool.remove_refused([&transaction(1, 1).id()]);
        assert_eq!(pool.insert(transaction(4, 1), Standing::Stranger, NOW), Ok(Inserted::New));
    }

    #[test]
    fn what_no_block_can_contain_any_more_is_let_go() {
        let mut pool = Mempool::new(MempoolLimits { max_age: 1_000, ..limits() }, 100);
        let waiting = transaction(1, 1);
        pool.insert(waiting.clone(), Standing::Stranger, NOW).unwrap();
        assert!(pool.expire(BlockHeight::new(50)).is_empty());
        assert_eq!(pool.expire(BlockHeight::new(51)), [waiting.id()]);
        assert_eq!((pool.len(), pool.bytes()), (0, 0));
    }

    #[test]
    fn what_expires_is_let_go_in_its_turn_whatever_has_left_before() {
        let mut pool = Mempool::new(MempoolLimits { max_age: 1_000, ..limits() }, 100);
        let until =
            |sender, height| key_bundle(&genesis(&[key(200)]), &key(sender), 1, BlockHeight::new(height));
        let [second, third, first] = [(1, 20), (2, 30), (3, 10)].map(|(sender, height)| {
            let waiting = until(sender, height);
            pool.insert(waiting.clone(), Standing::Stranger, NOW).unwrap();
            waiting.id()
        });
        pool.remove_refused([&first]);
        assert!(pool.expire(BlockHeight::new(20)).is_empty());
        assert_eq!(pool.expire(BlockHeight::new(21)), [second]);
        assert_eq!(pool.expire(BlockHeight::new(100)), [third]);
        assert!(pool.is_empty());
    }

    /// Those that were free when they came leave room for those who pay.
    #[test]
    fn what_does_not_pay_the_price_any_more_is_let_go_unless_it_is_a_member_s() {
        let mut pool = Mempool::new(MempoolLimits { count: 40, ..limits() }, 50);
        let strangers: Vec<_> = (1..=20).map(|sender| transaction(sender, 1)).collect();
        for stranger in &strangers {
            pool.insert(stranger.clone(), Standing::Stranger, NOW).unwrap();
        }
        pool.insert(transaction(30, 1), Standing::Member, NOW).unwrap();
        assert!(pool.insert(transaction(31, 1), Standing::Stranger, NOW).is_err());
        assert!(pool.price_out(1).is_empty());
        // Nobody has paid: half of them pay twice as much by chance, and nobody everything.
        for price in [2, 3, 1 << 60] {
            let waiting = strangers.iter().filter(|one| pool.contains(&one.id()));
            let unpaid: BTreeSet<_> = waiting.filter(|one| !one.is_paid(price)).map(|one| one.id()).collect();
            let gone: BTreeSet<_> = pool.price_out(price).iter().map(VerifiedTransaction::id).collect();
            assert!(!gone.is_empty());
            assert_eq!(gone, unpaid);
            assert!(unpaid.iter().all(|id| !pool.contains(id)));
        }
        assert_eq!(pool.len(), 1);
        pool.insert(transaction(31, 1), Standing::Stranger, NOW).unwrap();
    }

    #[test]
    fn what_waits_too_long_is_let_go() {
        let mut pool = Mempool::new(limits(), 100);
        pool.insert(transaction(1, 1), Standing::Stranger, NOW).unwrap();
        assert!(pool.expire(BlockHeight::new(15)).is_empty());
        assert_eq!(pool.expire(BlockHeight::new(16)).len(), 1);
    }

    #[test]
    fn a_node_that_catches_up_lets_nothing_go_for_its_age() {
        let mut pool = Mempool::new(limits(), 100);
        pool.insert(transaction(1, 1), Standing::Stranger, BlockHeight::GENESIS).unwrap();
        for height in 1..=40 {
            pool.pass_over();
            assert!(pool.expire(BlockHeight::new(height + 1)).is_empty());
        }
        // From here on blocks are new.
        assert!(pool.expire(BlockHeight::new(50)).is_empty());
        pool.insert(transaction(2, 1), Standing::Stranger, BlockHeight::new(45)).unwrap();
        assert_eq!(pool.expire(BlockHeight::new(51)).len(), 2);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(24))]
        #[test]
        fn it_never_exceeds_its_limits_and_loses_nothing(
            steps in proptest::collection::vec((1_u8..4, 1_u64..5, any::<bool>()), 1..40)
        ) {
            let mut pool = Mempool::new(limits(), 100);
            let mut model = HashMap::new();
            for (sender, number, add) in steps {
                let transaction = transaction(sender, number);
                let (id, size) = (transaction.id(), transaction.bytes());
                if !add {
                    pool.remove_refused([&id]);
                    model.remove(&id);
                } else if pool.insert(transaction, Standing::Stranger, NOW).is_ok() {
                    model.insert(id, (sender, size));
                }
                prop_assert!(pool.len() <= limits().count && pool.bytes() <= limits().bytes);
                for sender in 1..4 {
                    prop_assert!(model.values().filter(|(s, _)| *s == sender).count() <= limits().per_sender);
                }
                prop_assert_eq!(pool.bytes(), model.values().map(|(_, size)| size).sum::<usize>());
                let taken = pool.take(ANY, ANY);
                prop_assert_eq!(taken.len(), model.len());
                prop_assert!(taken.iter().all(|t| model.contains_key(&t.id())));
            }
        }
    }
}
