//! Finding a stamp: the search for a nonce whose hash is small enough, on all cores.

use rayon::prelude::*;
use sealpost_ledger::postage::is_paid;
use sealpost_ledger::transaction::Transaction;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use tokio::sync::{oneshot, watch};

/// Nonces tried between two looks at the progress.
const STEP: u64 = 1 << 14;

/// Sets the transaction's nonce so that it pays for `work` expected hashes. `progress` hears how many were
/// tried so far; it answers whether to go on. Returns whether a nonce was found.
pub fn pay(transaction: &mut Transaction, work: u64, progress: impl Fn(u64) -> bool + Sync) -> bool {
    transaction.nonce = 0;
    let core = transaction.postage_hash();
    if work <= 1 {
        return true;
    }
    let (tried, stopped) = (AtomicU64::new(0), AtomicBool::new(false));
    let steps = (0..u64::MAX / STEP).into_par_iter();
    let found = steps.find_map_any(|step| {
        if stopped.load(Ordering::Relaxed) {
            return Some(None);
        }
        let first = step.saturating_mul(STEP);
        let nonce = (first..first.saturating_add(STEP)).find(|nonce| is_paid(&core, *nonce, work));
        if nonce.is_some() {
            return Some(nonce);
        }
        let so_far = tried.fetch_add(STEP, Ordering::Relaxed).saturating_add(STEP);
        if !progress(so_far) {
            stopped.store(true, Ordering::Relaxed);
        }
        None
    });
    match found.flatten() {
        Some(nonce) => {
            transaction.nonce = nonce;
            true
        }
        None => false,
    }
}

/// The same for whoever must not block: the transaction with its nonce, or nothing if `progress` answered that it
/// is enough. It asks nothing of the runtime, and dropping it ends the search.
pub async fn search(
    mut transaction: Transaction,
    work: u64,
    progress: impl Fn(u64) -> bool,
) -> Option<Transaction> {
    if work <= 1 {
        return pay(&mut transaction, work, |_| true).then_some(transaction);
    }
    let (tell, mut heard) = watch::channel(0);
    let (hand_over, mut found) = oneshot::channel();
    rayon::spawn(move || {
        // It can be told as long as somebody waits.
        let paid = pay(&mut transaction, work, |tried| tell.send(tried).is_ok());
        let _ = hand_over.send(paid.then_some(transaction));
    });
    loop {
        tokio::select! {
            biased;
            found = &mut found => return found.ok().flatten(),
            told = heard.changed() => {
                let tried = *heard.borrow_and_update();
                if told.is_ok() && !progress(tried) {
                    return None;
                }
            }
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use sealpost_ledger::address::Address;
    use sealpost_ledger::hash::{ChainId, TransactionId};
    use sealpost_ledger::height::BlockHeight;
    use sealpost_ledger::receipt::{Answer, Receipt, RefusalReason};
    use sealpost_ledger::signature::SigningKey;
    use sealpost_ledger::transaction::{Payload, TRANSACTION_VERSION};

    fn transaction() -> Transaction {
        let answer = Answer::Refused { reason: RefusalReason::Unwanted };
        Transaction {
            version: TRANSACTION_VERSION,
            chain: ChainId::from_bytes([1; 32]),
            sender: Address::new(SigningKey::from_bytes(&[1; 32]).unwrap().public_key()),
            expiry: BlockHeight::new(9),
            payload: Payload::Receipt(Receipt {
                message: TransactionId::from_bytes([2; 32]),
                slot: 0,
                answer,
            }),
            nonce: 7,
        }
    }

    #[test]
    fn a_found_nonce_pays() {
        let mut transaction = transaction();
        assert!(pay(&mut transaction, 50_000, |_| true));
        assert!(is_paid(&transaction.postage_hash(), transaction.nonce, 50_000));
    }

    #[test]
    fn the_search_stops_when_it_is_told_to() {
        assert!(!pay(&mut transaction(), u64::MAX, |tried| tried < 4 * STEP));
    }

    /// On a runtime of one thread, as a program that embeds the wallet may have.
    #[tokio::test]
    async fn a_search_needs_no_thread_of_the_runtime_and_hears_that_it_is_enough() {
        let found = search(transaction(), 50_000, |_| true).await.unwrap();
        assert!(is_paid(&found.postage_hash(), found.nonce, 50_000));
        assert_eq!(search(transaction(), 1, |_| true).await.unwrap().nonce, 0);
        assert!(search(transaction(), u64::MAX, |tried| tried < 4 * STEP).await.is_none());
    }
}
