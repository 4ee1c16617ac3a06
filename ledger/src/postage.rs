//! Postage: work in place of a fee (hashcash). A sender finds a nonce such that the hash of a fixed
//! 64-byte preimage is small enough. The price per KiB moves with demand, by at most an eighth per block
//! (as EIP-1559 does), so that an idle network is nearly free and a flood prices itself out.

use crate::hash::sha256;

/// Expected hashes that one KiB costs. 0 and 1 are free: the first hash tried is good.
pub type Price = u64;

/// Size that is charged for: each begun KiB of header, signature and body.
pub fn charged_kib(bytes: usize) -> u64 {
    (bytes as u64).div_ceil(1024).max(1)
}

/// Expected number of hashes for a transaction of that size.
pub fn work(price: Price, bytes: usize) -> u64 {
    price.saturating_mul(charged_kib(bytes))
}

/// The preimage of postage work: `core hash (32) ‖ zeros (24) ‖ nonce (8, little-endian)`.
///
/// Exactly one block of SHA-256. The core hash covers everything in the transaction but nonce and signature.
pub fn preimage(core_hash: &[u8; 32], nonce: u64) -> [u8; 64] {
    let mut bytes = [0_u8; 64];
    let nonce = nonce.to_le_bytes();
    for (to, from) in bytes.iter_mut().zip(core_hash.iter().chain(&[0; 24]).chain(&nonce)) {
        *to = *from;
    }
    bytes
}

/// The number that a nonce reaches: the first eight bytes of the hash, big-endian. Smaller is better.
pub fn score(core_hash: &[u8; 32], nonce: u64) -> u64 {
    let hash = sha256(&[&preimage(core_hash, nonce)]);
    hash.iter().take(8).fold(0, |n, byte| (n << 8) | u64::from(*byte))
}

/// Whether a nonce pays for that much work.
pub fn is_paid(core_hash: &[u8; 32], nonce: u64, work: u64) -> bool {
    score(core_hash, nonce) <= u64::MAX / work.max(1)
}

/// The highest price that a nonce pays for a transaction of that size. What is paid at a price is paid at each lower one.
pub fn pays_up_to(core_hash: &[u8; 32], nonce: u64, bytes: usize) -> Price {
    // As `is_paid` divides: a score of s pays for all work up to MAX / s.
    let work = u64::MAX.checked_div(score(core_hash, nonce)).unwrap_or(u64::MAX);
    work.checked_div(charged_kib(bytes)).unwrap_or(0)
}

/// The price that a use of `used_bytes` of `room_bytes` makes. It moves towards half use, by at most 1/8,
/// and never below `floor`. The next block's price is the higher of two: what the bytes that are not free make of the
/// block without those that are, and what senders who are not members make of their part. Free is what members send
/// within their quotas.
pub fn next_price(price: Price, used_bytes: u64, room_bytes: u64, floor: Price) -> Price {
    let target = (room_bytes / 2).max(1);
    // A full block of an odd size would otherwise count as a little more than twice the target.
    let used = used_bytes.min(target.saturating_mul(2));
    let change = |difference: u64| {
        let change = u128::from(price).saturating_mul(u128::from(difference)) / u128::from(target) / 8;
        u64::try_from(change).unwrap_or(u64::MAX)
    };
    let next = match used.checked_sub(target) {
        Some(0) => price,
        // At least one step up, or a price of zero could never leave zero.
        Some(over) => price.saturating_add(change(over).max(1)),
        None => price.saturating_sub(change(target.saturating_sub(used))),
    };
    next.max(floor)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_found_nonce_pays_and_for_that_core_only() {
        let work = 1 << 10;
        let nonce = (0..).find(|n| is_paid(&[7; 32], *n, work)).unwrap_or(0);
        assert!(is_paid(&[7; 32], nonce, work));
        assert!(!is_paid(&[8; 32], nonce, u64::MAX));
    }

    proptest! {
        #[test]
        fn the_price_moves_by_an_eighth_at_most(price in 0_u64..1 << 60, used: u64, size in 2_u64..1 << 40) {
            let next = next_price(price, used, size, 0);
            prop_assert!(next <= price + (price / 8).max(1));
            prop_assert!(next >= price - price / 8);
        }

        /// Around the highest price, and anywhere.
        #[test]
        fn a_nonce_pays_up_to_its_highest_price_and_not_beyond(
            core: [u8; 32], nonce: u64, bytes in 1_usize..1 << 24, price: u64,
        ) {
            let highest = pays_up_to(&core, nonce, bytes);
            for price in [price, highest.saturating_sub(1), highest, highest.saturating_add(1), 0, 1] {
                prop_assert_eq!(is_paid(&core, nonce, work(price, bytes)), price <= highest, "{}", price);
            }
        }

        #[test]
        fn the_price_keeps_its_floor(price: u64, used: u64, floor: u64) {
            prop_assert!(next_price(price, used, 1 << 20, floor) >= floor);
        }
    }
}
