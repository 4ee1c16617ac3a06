//! A node's home with a long ledger in it, written through the node's own store without a network: real signatures,
//! real blocks and certificates of one validator.

use crate::chain::{append, genesis};
use crate::people::{PEOPLE, People, WithBody};
use rayon::prelude::*;
use sealpost_ledger::height::BlockHeight;
use sealpost_ledger::signature::SigningKey;
use sealpost_node::home::Home;
use sealpost_node::store::{Store, StoreOptions};
use std::path::Path;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// One message of so many is answered, in the next block.
pub(crate) const ANSWERED: u64 = 10;
/// Time from block to block.
const INTERVAL: Duration = Duration::from_secs(2);
/// Blocks after which a transaction expires.
const LIFETIME: u64 = 1_000;
/// Secret of the validator: a network that lasts as long as a measurement.
const VALIDATOR: [u8; 32] = [11; 32];

/// How long a ledger.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Length {
    pub(crate) messages: u64,
    pub(crate) per_block: u64,
    pub(crate) body_bytes: usize,
}

impl Length {
    pub(crate) const fn blocks(self) -> u64 {
        self.messages.div_ceil(self.per_block)
    }
    /// The expiry of a message of this ledger, which is part of its id.
    pub(crate) const fn expiry(self, number: u64) -> BlockHeight {
        BlockHeight::new(number / self.per_block + LIFETIME)
    }
}

/// Writes a ledger of that length below `home`, unless one is there. Returns how long it took, if it was made.
pub(crate) fn fill(home: &Path, length: Length) -> Option<Duration> {
    let node = Home::new(home.join("node"));
    if node.exists() {
        return None;
    }
    let started = Instant::now();
    let blocks = length.blocks();
    let validators = [SigningKey::from_bytes(&VALIDATOR).expect("a key")];
    let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("a clock after 1970");
    let span = INTERVAL * u32::try_from(blocks + 1).expect("few blocks");
    let first_ms = now.saturating_sub(span).as_millis() as u64;
    let genesis = genesis("filled", &validators, first_ms);
    let people = People::new(&genesis, PEOPLE);
    let data = node.data();
    if data.exists() {
        // The home's own files come last: without them a ledger was never finished.
        std::fs::remove_dir_all(&data).expect("an unfinished ledger is removed");
    }
    std::fs::create_dir_all(node.root()).expect("a folder");
    let (store, _) = Store::open(&data, genesis.clone(), StoreOptions::default()).expect("a new store");
    let mut answers = Vec::new();
    for block in 0..blocks {
        let expiry = length.expiry(block * length.per_block);
        let mut transactions: Vec<WithBody> = Vec::new();
        if block == 0 {
            transactions.par_extend((0..PEOPLE).into_par_iter().map(|person| people.bundle(person, expiry)));
        }
        let first = block * length.per_block;
        let last = (first + length.per_block).min(length.messages);
        let both: Vec<_> = (first..last)
            .into_par_iter()
            .map(|number| {
                let message = people.message(number, length.body_bytes, expiry);
                let answered = number.is_multiple_of(ANSWERED);
                let answer = answered.then(|| people.receipt(number, &message.0, expiry));
                (message, answer)
            })
            .collect();
        let (messages, next): (Vec<_>, Vec<_>) = both.into_iter().unzip();
        transactions.append(&mut answers);
        transactions.extend(messages);
        answers.extend(next.into_iter().flatten());
        let time_ms = first_ms + (block + 1) * INTERVAL.as_millis() as u64;
        append(&store, &validators, transactions, time_ms);
    }
    drop(store);
    node.create(&genesis, Some(&VALIDATOR)).expect("a home");
    Some(started.elapsed())
}
