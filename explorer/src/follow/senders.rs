//! Who sent which message: known of the messages that were read lately, so that a receipt for one of them is no question
//! to the node.

use sealpost_ledger::address::Address;
use sealpost_ledger::hash::TransactionId;
use std::collections::{HashMap, VecDeque};

/// A bounded number of senders; the one that was learnt first is forgotten first.
#[derive(Debug)]
pub(super) struct Senders {
    by_message: HashMap<TransactionId, Address>,
    order: VecDeque<TransactionId>,
    most: usize,
}

impl Senders {
    pub(super) fn new(most: usize) -> Self {
        Self { by_message: HashMap::new(), order: VecDeque::new(), most }
    }
    pub(super) fn get(&self, message: &TransactionId) -> Option<Address> {
        self.by_message.get(message).copied()
    }
    pub(super) fn insert(&mut self, message: TransactionId, sender: Address) {
        if self.by_message.insert(message, sender).is_some() {
            return;
        }
        self.order.push_back(message);
        while self.order.len() > self.most {
            let Some(first) = self.order.pop_front() else { break };
            self.by_message.remove(&first);
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use sealpost_ledger::signature::SigningKey;

    #[test]
    fn the_first_are_forgotten_and_the_bound_holds() {
        let sender = Address::new(SigningKey::from_bytes(&[7; 32]).unwrap().public_key());
        let id = |number: u8| TransactionId::from_bytes([number; 32]);
        let mut senders = Senders::new(10);
        for number in (0..100).chain(90..100) {
            senders.insert(id(number), sender);
            assert_eq!(senders.by_message.len(), senders.order.len());
            assert!(senders.order.len() <= 10);
        }
        let known: Vec<_> = (0..100).filter(|number| senders.get(&id(*number)).is_some()).collect();
        assert_eq!(known, (90..100).collect::<Vec<_>>());
    }
}
